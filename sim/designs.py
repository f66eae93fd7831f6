"""Which cells of a parameter space to simulate: all of them, a Latin hypercube, or Sobol points.

A factor is a named thing that varies: a range of numbers, of whole numbers, or a choice. A design is a list
of cells, each with a value for every factor. Designs are functions of the factors, the number of cells and
the seed. Fractional factorials and adaptive designs are left out.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Range(NamedTuple):
    """Any number from low to high."""

    low: float
    high: float


class Whole(NamedTuple):
    """A whole number from low to high, both included."""

    low: int
    high: int


class Choice(NamedTuple):
    """One of some values, which have no order."""

    values: tuple[Any, ...]


Factor = Range | Whole | Choice
Cell = dict[str, Any]


def grid(factors: Mapping[str, Factor], steps: int = 5) -> list[Cell]:
    """Every combination; the factor named last changes fastest.

    Of a range as many evenly spaced values are taken as `steps` says, both ends among them; of whole numbers
    and choices all. Raises ValueError for no factors, senseless ones and fewer than 2 steps.
    """
    check_factors(factors)
    if steps < 2:
        raise ValueError(f"expected at least 2 steps of a range, found {steps}")
    values = [_steps(factor, steps) for factor in factors.values()]
    return [dict(zip(factors, row, strict=True)) for row in itertools.product(*values)]


def latin_hypercube(factors: Mapping[str, Factor], n: int, seed: int) -> list[Cell]:
    """So many cells, of which each n-th part of every factor's range holds exactly one.

    McKay, Beckman and Conover, A comparison of three methods for selecting values of input variables,
    Technometrics 21, 1979. Whole numbers and choices come up equally often, as far as n allows. Raises
    ValueError for no factors, senseless ones and fewer than one cell.
    """
    check_factors(factors)
    _check_cells(n)
    from scipy.stats import qmc

    return cells_at(factors, qmc.LatinHypercube(len(factors), rng=seed).random(n))


def sobol(factors: Mapping[str, Factor], n: int, seed: int) -> list[Cell]:
    """So many points of a scrambled Sobol sequence: any first part of them fills the space evenly.

    Most evenly when n is a power of 2 (Owen, Scrambling Sobol and Niederreiter-Xing points, Journal of
    Complexity 14, 1998). Raises ValueError as `latin_hypercube`.
    """
    check_factors(factors)
    _check_cells(n)
    return cells_at(factors, sobol_points(len(factors), n, seed))


DESIGNS: Final[dict[str, Callable[[Mapping[str, Factor], int, int], list[Cell]]]] = {
    "latin-hypercube": latin_hypercube,
    "sobol": sobol,
}
"""The designs that take a number of cells and a seed."""


def cells_at(factors: Mapping[str, Factor], points: "NDArray[np.float64]") -> list[Cell]:
    """The cells at points of the unit cube, shape (cells, factors): 0 is the low end of a factor, 1 the high.

    Whole numbers and choices share the unit interval in equal parts.
    """
    return [
        {name: _value(factor, at) for (name, factor), at in zip(factors.items(), point, strict=True)}
        for point in points.tolist()
    ]


def sobol_points(dimensions: int, n: int, seed: int) -> "NDArray[np.float64]":
    """The first n scrambled Sobol points of the unit cube, shape (n, dimensions)."""
    from scipy.stats import qmc

    # Drawn as a power of 2, as balance demands; the first n of them are the same whatever the power.
    return qmc.Sobol(dimensions, rng=seed).random_base2(math.ceil(math.log2(n)))[:n]


def _value(factor: Factor, at: float) -> Any:
    match factor:
        case Range(low, high):
            # The second form reaches the high end exactly, the first the low one.
            return low + at * (high - low) if at < 0.5 else high - (1.0 - at) * (high - low)
        case Whole(low, high):
            return low + _part(at, high - low + 1)
        case Choice(values):
            return values[_part(at, len(values))]


def _part(at: float, parts: int) -> int:
    """Which of so many equal parts of the unit interval a point lies in, from 0."""
    return min(int(at * parts), parts - 1)


def _steps(factor: Factor, steps: int) -> Sequence[Any]:
    match factor:
        case Range():
            return [_value(factor, step / (steps - 1)) for step in range(steps)]
        case Whole(low, high):
            return range(low, high + 1)
        case Choice(values):
            return values


def _check_cells(n: int) -> None:
    if n < 1:
        raise ValueError(f"expected at least one cell, found {n}")


def check_factors(factors: Mapping[str, Factor]) -> None:
    """Refuse in words factors that do not vary: ValueError, with the name of the factor."""
    if not factors:
        raise ValueError("expected at least one factor, found none")
    for name, factor in factors.items():
        match factor:
            case Choice(values) if len(values) < 1:
                raise ValueError(f"{name}: expected at least one value to choose from, found none")
            case Range(low, high) | Whole(low, high) if not -math.inf < low < high < math.inf:
                raise ValueError(f"{name}: expected a low end below the high end, found {low} and {high}")
