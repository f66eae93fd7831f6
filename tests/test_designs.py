"""Which cells a design holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.designs import DESIGNS, Choice, Range, Whole, cells_at, grid, latin_hypercube, sobol

MIXED = {"fill": Range(0.5, 0.9), "robots": Whole(1, 4), "rule": Choice(("near", "far"))}


def test_grid_holds_every_combination():
    """Ranges are taken in even steps with both ends, whole numbers and choices as they are."""
    assert grid({"fill": Range(0.5, 0.9), "robots": Whole(1, 2)}, steps=3) == [
        {"fill": 0.5, "robots": 1},
        {"fill": 0.5, "robots": 2},
        {"fill": 0.7, "robots": 1},
        {"fill": 0.7, "robots": 2},
        {"fill": 0.9, "robots": 1},
        {"fill": 0.9, "robots": 2},
    ]
    assert grid({"rule": Choice(("near", None, 3))}) == [{"rule": "near"}, {"rule": None}, {"rule": 3}]
    assert len(grid(MIXED)) == 5 * 4 * 2


def test_points_become_values():
    """Both ends are reached, and equal parts of the unit interval fall to each whole number and choice."""
    points = np.array([[0.0, 0.0, 0.0], [0.25, 0.2499, 0.4999], [0.5, 0.25, 0.5], [1.0, 1.0, 1.0]])
    assert cells_at(MIXED, points) == [
        {"fill": 0.5, "robots": 1, "rule": "near"},
        {"fill": 0.6, "robots": 1, "rule": "near"},
        {"fill": 0.7, "robots": 2, "rule": "far"},
        {"fill": 0.9, "robots": 4, "rule": "far"},
    ]


@given(st.integers(1, 40), st.integers(0, 5))
def test_each_part_holds_one(n, seed):
    """In a Latin hypercube every n-th part of every range holds exactly one cell."""
    cells = latin_hypercube({"a": Range(0.0, 1.0), "b": Range(-2.0, 6.0)}, n, seed)
    assert sorted(math.floor(cell["a"] * n) for cell in cells) == list(range(n))
    assert sorted(math.floor((cell["b"] + 2) / 8 * n) for cell in cells) == list(range(n))


def test_numbers_come_up_equally_often():
    """Whole numbers and choices share the cells of a Latin hypercube, and those of a power of 2 Sobol points."""
    for cells in (latin_hypercube(MIXED, 16, 1), sobol(MIXED, 16, 1)):
        assert sorted(cell["robots"] for cell in cells) == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4
        assert sorted(cell["rule"] for cell in cells) == ["far"] * 8 + ["near"] * 8


def test_sobol_fills_every_box():
    """Of sixteen Sobol points each of the sixteen boxes of every even cut of the square holds one."""
    cells = sobol({"a": Range(0.0, 1.0), "b": Range(0.0, 1.0)}, 16, 3)
    for parts in (1, 2, 4, 8, 16):
        boxes = {(int(cell["a"] * parts), int(cell["b"] * (16 // parts))) for cell in cells}
        assert len(boxes) == 16


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_a_seed_is_a_design(design):
    """The same seed gives the same cells, another seed others; each has a value within every range."""
    cells = design(MIXED, 12, 7)
    assert cells == design(MIXED, 12, 7)
    assert cells != design(MIXED, 12, 8)
    assert len(cells) == 12
    for cell in cells:
        assert list(cell) == list(MIXED)
        assert 0.5 <= cell["fill"] <= 0.9
        assert cell["robots"] in (1, 2, 3, 4)
        assert cell["rule"] in ("near", "far")


def test_more_points_go_on():
    """The first Sobol points are the same however many are asked for."""
    assert sobol(MIXED, 1, 7) == sobol(MIXED, 2, 7)[:1] == sobol(MIXED, 100, 7)[:1]
    assert sobol(MIXED, 12, 7) == sobol(MIXED, 100, 7)[:12]


@pytest.mark.parametrize(
    ("factors", "text"),
    [
        ({}, "at least one factor, found none"),
        ({"a": Choice(())}, "a: expected at least one value to choose from, found none"),
        ({"a": Range(2.0, 2.0)}, r"a: expected a low end below the high end, found 2\.0 and 2\.0"),
        ({"a": Range(0.0, math.inf)}, r"a: expected a low end below the high end, found 0\.0 and inf"),
        ({"a": Whole(3, 1)}, "a: expected a low end below the high end, found 3 and 1"),
    ],
)
def test_senseless_factors_are_refused(factors, text):
    """Factors that do not vary are errors in words, in every design."""
    for design in (
        grid,
        lambda factors: latin_hypercube(factors, 4, 1),
        lambda factors: sobol(factors, 4, 1),
    ):
        with pytest.raises(ValueError, match=text):
            design(factors)


def test_senseless_numbers_are_refused():
    """A design without cells and a grid of one step are errors in words."""
    for design in DESIGNS.values():
        with pytest.raises(ValueError, match="at least one cell, found 0"):
            design(MIXED, 0, 1)
    with pytest.raises(ValueError, match="at least 2 steps of a range, found 1"):
        grid(MIXED, 1)
