"""Which factors matter: how much of a result's variance each explains, or how far it moves by steps of each.

Sobol indices say what share of the variance of a result over the whole space of factors is due to each alone
(first order) and with all its interactions (total). Morris's elementary effects cost far fewer cells and rank
factors. Both come as a design, whose `cells` are to be simulated, and a function of the results in the order
of those cells. Feed the mean of some replications with the same seeds in all cells: what is left of the noise
counts as an influence of every factor.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.designs import Factor, cells_at, check_factors, sobol_points
from sim.statistics import Interval, t_interval


class Influence(NamedTuple):
    """Shares of variance of one factor, each with its bootstrap interval; n is the number of base points.

    `first` is due to the factor alone, `total` to it and its interactions. Estimates may lie a little below
    0 or above 1.
    """

    first: Interval
    total: Interval


class Saltelli:
    """A design for Sobol indices: n (d + 2) cells for d factors.

    Two sets A and B of n points each, and for each factor A with its column taken from B (Saltelli and
    others, Variance based sensitivity analysis of model output, Computer Physics Communications 181, 2010).
    Points are scrambled Sobol points; `cells` holds A, then B, then the mixed sets in the order of the
    factors.

    Parameters
    ----------
    factors : what varies.
    n : base points, a power of 2.
    seed : of the scrambling and of the bootstrap.

    Raises
    ------
    ValueError
        For no factors, senseless ones, and n that is not a power of 2 from 2.
    """

    def __init__(self, factors: Mapping[str, Factor], n: int, seed: int) -> None:
        check_factors(factors)
        if n < 2 or n & (n - 1):
            raise ValueError(f"expected a power of 2 base points, from 2, found {n}")
        self.names = tuple(factors)
        self.n = n
        self.seed = seed
        a, b = np.hsplit(sobol_points(2 * len(factors), n, seed), 2)
        mixed = []
        for column in range(len(factors)):
            points = a.copy()
            points[:, column] = b[:, column]
            mixed.append(points)
        self.cells: list[dict[str, Any]] = cells_at(factors, np.vstack([a, b, *mixed]))

    def indices(
        self, values: Sequence[float], level: float = 0.95, resamples: int = 1000
    ) -> dict[str, Influence]:
        """First and total index of each factor, from the results in the order of `cells`.

        First order by mean(B (AB - A)) / variance (Saltelli 2010, table 2 b), total by mean((A - AB)^2) / (2
        variance) (Jansen 1999, table 2 f); intervals are percentiles over resampled base points. A result
        that is the same in all cells is influenced by nothing: all is 0. Raises ValueError for another number
        of results than cells, and for results that are not finite.
        """
        found = _results(values, len(self.cells))
        # Around the mean of A and B the estimate of the first index spreads least.
        a, b, *mixed = np.split(found - found[: 2 * self.n].mean(), len(self.names) + 2)
        ab = np.array(mixed)
        rng = np.random.default_rng(self.seed)
        first, total = _indices(a[None, :], b[None, :], ab[:, None, :])
        samples: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for start in range(0, resamples, _AT_ONCE):
            # Whole numbers from uniforms: the same with every version of numpy.
            rows = (rng.random((min(_AT_ONCE, resamples - start), self.n)) * self.n).astype(np.intp)
            samples.append(_indices(a[rows], b[rows], ab[:, rows]))
        tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
        bounds = [np.quantile(np.hstack(parts), tails, axis=1) for parts in zip(*samples, strict=True)]
        alone, together = (
            [
                Interval(mean, low, high, self.n)
                for mean, (low, high) in zip(index[:, 0].tolist(), bound.T.tolist(), strict=True)
            ]
            for index, bound in zip((first, total), bounds, strict=True)
        )
        return {name: Influence(alone[at], together[at]) for at, name in enumerate(self.names)}


class Effect(NamedTuple):
    """How a result moves with one factor, per move over its whole range, in the unit of the result.

    `mean` is the mean move (Morris's mu); `size` the mean of its absolute value with a t interval over the
    trajectories (mu star; n is their number): it ranks factors; `spread` is the standard deviation of moves
    (sigma): large where the factor interacts or its effect bends.
    """

    mean: float
    size: Interval
    spread: float


class Morris:
    """A design of elementary effects: r (d + 1) cells for d factors.

    Each trajectory starts at a random point of a grid of `levels` values a factor and moves each factor once,
    in random order, by levels / (2 (levels - 1)) of its range (Morris, Factorial sampling plans for
    preliminary computational experiments, Technometrics 33, 1991; the absolute value: Campolongo, Cariboni
    and Saltelli, Environmental Modelling & Software 22, 2007). `cells` holds trajectory after trajectory.

    Parameters
    ----------
    factors : what varies.
    trajectories : r, from 2.
    seed : of the random points and orders.
    levels : even, from 2.

    Raises
    ------
    ValueError
        For no factors, senseless ones, and values outside these ranges.
    """

    def __init__(self, factors: Mapping[str, Factor], trajectories: int, seed: int, levels: int = 4) -> None:
        check_factors(factors)
        if trajectories < 2:
            raise ValueError(f"expected at least 2 trajectories, found {trajectories}")
        if levels < 2 or levels % 2:
            raise ValueError(f"expected an even number of levels from 2, found {levels}")
        self.names = tuple(factors)
        self.trajectories = trajectories
        self.step = levels / (2 * (levels - 1))
        d, half = len(factors), levels // 2
        rng = np.random.default_rng(seed)
        points: list[NDArray[np.float64]] = []
        self._moved: list[list[tuple[int, float]]] = []
        for _ in range(trajectories):
            at = (rng.random(d) * levels).astype(np.intp)
            moves = []
            points.append(at / (levels - 1))
            for factor in np.argsort(rng.random(d), kind="stable").tolist():
                # Up from the lower half, down from the upper: either way half the levels, and still inside.
                sign = 1 if at[factor] < half else -1
                at[factor] += sign * half
                moves.append((factor, sign * self.step))
                points.append(at / (levels - 1))
            self._moved.append(moves)
        self.cells: list[dict[str, Any]] = cells_at(factors, np.array(points))

    def effects(self, values: Sequence[float], level: float = 0.95) -> dict[str, Effect]:
        """The effect of each factor, from the results in the order of `cells`.

        Raises ValueError for another number of results than cells, and for results that are not finite.
        """
        found = _results(values, len(self.cells)).reshape(self.trajectories, -1)
        moves: list[list[float]] = [[] for _ in self.names]
        for row, moved in zip(np.diff(found).tolist(), self._moved, strict=True):
            for change, (factor, step) in zip(row, moved, strict=True):
                moves[factor].append(change / step)
        return {
            name: Effect(
                math.fsum(each) / len(each),
                t_interval([abs(move) for move in each], level),
                float(np.std(each, ddof=1)),
            )
            for name, each in zip(self.names, moves, strict=True)
        }


_AT_ONCE: Final = 100
"""Resamples computed together: enough for numpy, and little memory."""


def _indices(
    a: NDArray[np.float64], b: NDArray[np.float64], ab: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and total indices, shape (factors, samples), of results of shape ([factors,] samples, n)."""
    variance = np.concatenate([a, b], axis=-1).var(axis=-1)
    scale = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0.0)
    return (b * (ab - a)).mean(axis=-1) * scale, ((a - ab) ** 2).mean(axis=-1) / 2.0 * scale


def _results(values: Sequence[float], cells: int) -> NDArray[np.float64]:
    if len(values) != cells:
        raise ValueError(f"expected {cells} results, one a cell, found {len(values)}")
    found = np.asarray(values, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("expected results that are finite numbers")
    return found
