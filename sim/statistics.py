"""Intervals for what random replications show."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """The mean of n replications with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float
    n: int

    def __contains__(self, value: object) -> bool:
        """Whether a value lies between the bounds."""
        return isinstance(value, int | float) and self.low <= value <= self.high


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of independent replications with its two-sided interval from Student's t distribution.

    The bounds of a single replication are infinite. Raises ValueError for no values and for a level that
    is not between 0 and 1.
    """
    if not values:
        raise ValueError("expected at least one replication, found none")
    if not 0.0 < level < 1.0:
        raise ValueError(f"expected a level between 0 and 1, found {level}")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    from scipy.special import stdtrit  # takes longer to import than a small run takes

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1.0 + level) / 2.0)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)
