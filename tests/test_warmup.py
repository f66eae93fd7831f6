"""Where a series is cut, how it is smoothed, and what is said about a warm-up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.warmup import Mser, advise, mser, welch


def by_definition(values, batch):
    """Every cut tried, each with its own mean."""
    means = [math.fsum(values[i : i + batch]) / batch for i in range(0, len(values) - batch + 1, batch)]
    errors = []
    for d in range(len(means) // 2 + 1):
        rest = means[d:]
        mean = math.fsum(rest) / len(rest)
        errors.append(math.fsum((z - mean) ** 2 for z in rest) / len(rest) ** 2)
    return errors


class TestMser:
    def test_cut_by_hand(self):
        """A high start is cut off, and no more than that."""
        # From 0: around 3.2, 60.8 / 25 = 2.4; from 1: 1, 1, 3, 1 around 1.5, 3 / 16 = 0.1875;
        # from 2: 1, 3, 1 around 5/3, (8/3) / 9 = 0.296.
        assert mser([10.0, 1.0, 1.0, 3.0, 1.0], batch=1) == Mser(1, settled=True)

    def test_constant_is_not_cut(self):
        """Of equal cuts the first is taken."""
        assert mser([4.0] * 30) == Mser(0, settled=True)
        assert mser([9.0, 9.0, 4.0, 4.0, 4.0, 4.0, 4.0], batch=1) == Mser(2, settled=True)

    def test_drift_never_settles(self):
        """A series that climbs to its end is best cut at the middle, the last cut that is tried."""
        assert mser([float(i) for i in range(40)], batch=1) == Mser(20, settled=False)

    @given(st.lists(st.integers(-99, 99), min_size=10, max_size=60), st.sampled_from([1, 2, 5]))
    def test_smallest_error_by_trying(self, values, batch):
        """No other cut gives a smaller error, and none before it as small a one."""
        found = mser([float(value) for value in values], batch)
        errors = by_definition([float(value) for value in values], batch)
        d, rest = divmod(found.cut, batch)
        assert rest == 0
        assert errors[d] <= min(errors) * (1 + 1e-9) + 1e-12
        assert all(error >= errors[d] * (1 - 1e-9) - 1e-12 for error in errors[:d])
        assert found.settled == (d < len(values) // batch // 2)

    def test_transient_of_a_series(self):
        """An AR(1) series that starts ten deviations high is cut once its start has died away."""
        rng = np.random.default_rng(1)
        cuts = []
        for _ in range(40):
            value, values = 0.0, []
            for i in range(1000):
                value = 0.8 * value + rng.normal()
                values.append(value + 16.7 * 0.8**i)
            cuts.append(mser(values).cut)
        # The start falls to one deviation (1.67) after ln 10 / -ln 0.8 = 10 values and to a tenth after 21.
        assert 10 <= sorted(cuts)[20] <= 25
        assert min(cuts) >= 5

    @pytest.mark.parametrize(
        ("n", "batch", "text"), [(9, 5, "at least 10 values, found 9"), (9, 0, "at least 1 value")]
    )
    def test_senseless_input_is_refused(self, n, batch, text):
        """Too few values are an error in words."""
        with pytest.raises(ValueError, match=text):
            mser([1.0] * n, batch)


class TestWelch:
    def test_average_by_hand(self):
        """The window grows from the start, and the series ends a window early."""
        runs = [[8.0, 2.0, 4.0, 4.0, 6.0], [4.0, 4.0, 2.0, 6.0, 2.0]]
        assert welch(runs, 0) == [6.0, 3.0, 3.0, 5.0, 4.0]
        # 6; (6 + 3 + 3) / 3; (3 + 3 + 5) / 3; (3 + 5 + 4) / 3
        assert welch(runs, 1) == [6.0, 4.0, 11 / 3, 4.0]
        # 6; 4; (6 + 3 + 3 + 5 + 4) / 5
        assert welch(runs, 2) == [6.0, 4.0, 4.2]

    def test_missing_values(self):
        """A week is the mean of the runs that saw something; one that none saw has no mean."""
        runs = [[None, 2.0, None], [4.0, 4.0, None]]
        assert welch(runs, 0) == [4.0, 3.0, None]
        assert welch(runs, 1) == [4.0, 3.5]

    @pytest.mark.parametrize(
        ("runs", "window", "text"),
        [
            ([], 1, "at least one run, found none"),
            ([[1.0], [1.0, 2.0]], 1, r"runs of the same length, found \[1, 2\]"),
            ([[1.0]], -1, "window from 0, found -1"),
        ],
    )
    def test_senseless_input_is_refused(self, runs, window, text):
        """No runs, and runs that do not fit, are errors in words."""
        with pytest.raises(ValueError, match=text):
            welch(runs, window)


STEADY = [5.0, 6.0, 5.0, 4.0, 5.0, 6.0, 4.0, 5.0, 5.0, 6.0, 4.0, 5.0]


class TestAdvice:
    def test_long_enough(self):
        """Two odd weeks are covered by a warm-up of two."""
        found = advise([[30.0, 20.0, *STEADY]], 2)
        assert found == (
            True,
            2,
            14,
            "MSER over 14 weeks cuts 2 weeks: the warm-up of 2 weeks is long enough.",
        )

    def test_too_short(self):
        """They are not covered by one; the runs are averaged first."""
        up, down = [value + 3 for value in STEADY], [value - 3 for value in STEADY]
        found = advise([[30.0, 18.0, *up], [30.0, 22.0, *down]], 1)
        assert found == (False, 2, 14, "MSER over 14 weeks cuts 2 weeks: the warm-up of 1 week is too short.")

    def test_chance_is_not_held_against_it(self):
        """MSER also cuts weeks that differ from the others by no more than these do among themselves."""
        found = advise([[7.0, 7.0, *STEADY]], 0)
        # 7 and 7 against twelve weeks around 5 with s = 0.74: t = 2 / (0.74 x sqrt(1/2 + 1/12)) = 3.5, above 3.1.
        assert found.enough is False
        found = advise([[6.5, 6.5, *STEADY]], 0)
        # 1.5 / (0.74 x 0.764) = 2.7, below 3.1.
        assert found.enough is True
        assert found.words == (
            "MSER over 14 weeks cuts 2 weeks, but those after the warm-up differ from later ones by no more than"
            " chance does: the warm-up of 0 weeks is long enough."
        )

    def test_drift_wants_a_longer_run(self):
        """Where weeks climb all along, the run is too short as well."""
        found = advise([[float(i) for i in range(20)]], 4)
        assert (found.enough, found.cut_weeks) == (False, 10)
        assert found.words == (
            "MSER over 20 weeks cuts 10 weeks, half of all: the warm-up of 4 weeks is too short, and so is the run."
        )

    def test_fives_in_long_runs(self):
        """From fifty weeks on weeks are taken by fives, and cut by fives."""
        weeks = [40.0, 30.0, 5.0, 6.0, 4.0, *([5.0, 6.0, 4.0, 4.0, 6.0] * 10)]
        assert advise([weeks], 1) == (
            False, 5, 55, "MSER-5 over 55 weeks cuts 5 weeks: the warm-up of 1 week is too short.",
        )  # fmt: skip
        # What is left of the first five after a warm-up of two is like all the others.
        assert advise([weeks], 2).enough is True
        assert advise([weeks], 5).enough is True

    def test_too_few_weeks(self):
        """Nothing is said from nine weeks, nor from fewer than twice the warm-up."""
        found = advise([STEADY[:9]], 1)
        assert found == (
            None,
            None,
            9,
            "9 weeks cannot tell whether a warm-up of 1 week is enough; 10 would.",
        )
        assert advise([STEADY], 7).words.endswith("a warm-up of 7 weeks is enough; 14 would.")
        assert advise([[]], 0).enough is None

    def test_weeks_without_a_value(self):
        """They are passed over, and the cut is still told in weeks of time."""
        found = advise([[30.0, None, 20.0, *STEADY]], 2)
        assert (found.enough, found.cut_weeks) == (False, 3)
        assert advise([[30.0, None, 20.0, *STEADY]], 3).enough is True
        found = advise([[5.0] * 8 + [None] * 4], 1)
        assert found == (None, None, 12, "Only 8 of 12 weeks have a value; 10 are needed to judge a warm-up.")

    def test_senseless_input_is_refused(self):
        """A warm-up below 0 is an error in words."""
        with pytest.raises(ValueError, match="warm-up from 0 weeks, found -1"):
            advise([STEADY], -1)
