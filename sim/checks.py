"""What a comparison with theory is: expected, found, its interval, and when it counts as passed.

The modules that hold theory share this, and `validation` runs their cases. A case is a generator of checks
that is given a `Trial`. Intervals of random cases hold the expected values, all those of a case together, at
the 99.9 % level (Bonferroni), and reach at most 1 % of them to either side.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from sim.statistics import Interval

LEVEL: Final = 0.999
"""Chance that the intervals of one random case all hold what they should; each alone does with a greater."""

HALF_WIDTH: Final = 0.01
"""Greatest half-width of an interval, as a share of the expected value."""


class Check(NamedTuple):
    """One comparison: `ok` when `expected` lies from `low` to `high`, the interval about `found`.

    In a random case `ok` also says that the interval is narrow enough.
    """

    name: str
    expected: float
    found: float
    low: float
    high: float
    ok: bool
    unit: str
    note: str


class Trial(NamedTuple):
    """What a case is given: random numbers of its own, and whom to tell the share of work that is done."""

    rng: np.random.Generator
    step: Callable[[float], None]


def exact_check(name: str, expected: float, found: float, tolerance: float, unit: str, note: str) -> Check:
    """A comparison of an exact case: passed when found and expected differ by the tolerance at most."""
    low, high = found - tolerance, found + tolerance
    return Check(name, expected, found, low, high, low <= expected <= high, unit, note)


def random_check(name: str, expected: float, found: Interval, unit: str, note: str) -> Check:
    """A comparison of a random case: passed when the interval is narrow enough and holds what is expected."""
    ok = expected in found and is_narrow(found, expected)
    return Check(name, expected, found.mean, found.low, found.high, ok, unit, note)


def is_narrow(found: Interval, expected: float) -> bool:
    """Whether an interval reaches at most `HALF_WIDTH` of the expected value to either side."""
    return (found.high - found.low) / 2 <= HALF_WIDTH * abs(expected)


def level_of_each(intervals: int) -> float:
    """The level of each of several intervals that hold together at `LEVEL`."""
    return 1.0 - (1.0 - LEVEL) / intervals


def sum_of(a: Interval, b: Interval) -> Interval:
    """The interval of the sum of two independent means."""
    mean, half = a.mean + b.mean, math.hypot(a.high - a.mean, b.high - b.mean)
    return Interval(mean, mean - half, mean + half, min(a.n, b.n))
