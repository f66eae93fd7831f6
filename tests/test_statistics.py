"""Intervals of replications."""

import math

import pytest

from sim.statistics import Interval, t_interval


def test_interval_of_known_sample():
    """Five values give the mean and the half-width that the t table gives."""
    # mean 3, s = sqrt(10/4) = 1.5811, t(4, 0.975) = 2.7764: half-width 2.7764 x 1.5811 / sqrt(5) = 1.9632
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval.mean == 3.0
    assert interval.low == pytest.approx(3.0 - 1.963243, abs=1e-6)
    assert interval.high == pytest.approx(3.0 + 1.963243, abs=1e-6)
    assert interval.n == 5
    assert 2.0 in interval
    assert 5.0 not in interval


def test_one_value_bounds_nothing():
    """A single replication says nothing about its spread."""
    assert t_interval([7.0]) == Interval(7.0, -math.inf, math.inf, 1)


def test_equal_values_have_no_width():
    """Replications that agree have an interval of width 0."""
    assert t_interval([2.5] * 4) == Interval(2.5, 2.5, 2.5, 4)


@pytest.mark.parametrize(
    ("values", "level", "text"),
    [([], 0.95, "at least one replication"), ([1.0, 2.0], 1.0, "between 0 and 1, found 1.0")],
)
def test_senseless_input_is_refused(values, level, text):
    """No values and no level are errors in words."""
    with pytest.raises(ValueError, match=text):
        t_interval(values, level)
