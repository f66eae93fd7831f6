"""Intervals of replications, counts and shares, and what a sample of slots proves."""

import math
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.statistics import (
    Interval,
    Precision,
    batch_means,
    bonferroni,
    certify_sample,
    chance_of_meeting,
    family,
    paired,
    poisson_interval,
    proven_accuracy,
    quantile_interval,
    quantile_ranks,
    share_interval,
    t_interval,
)


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


levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])


class TestPaired:
    def test_difference_of_known_pairs(self):
        """The interval is that of the differences: what both sides share is gone."""
        # Differences 1, 2, 3: mean 2, s = 1, t(2, 0.975) = 4.302653: half-width 4.302653 / sqrt(3) = 2.484138
        interval = paired([11.0, 102.0, 53.0], [10.0, 100.0, 50.0])
        assert interval.mean == 2.0
        assert interval.low == pytest.approx(2.0 - 2.484138, abs=1e-6)
        assert interval.high == pytest.approx(2.0 + 2.484138, abs=1e-6)
        assert interval.n == 3

    def test_other_way_round(self):
        """The difference of b and a is the difference of a and b with its sign changed."""
        a, b = [3.5, 1.0, 4.0, 1.5], [2.0, 7.0, 1.0, 8.0]
        one, other = paired(a, b, 0.9), paired(b, a, 0.9)
        assert (other.mean, other.low, other.high, other.n) == (-one.mean, -one.high, -one.low, 4)

    def test_unequal_numbers_are_refused(self):
        """A value without a partner is an error in words."""
        with pytest.raises(ValueError, match="as many values on both sides, found 2 and 1"):
            paired([1.0, 2.0], [1.0])


def poisson_at_most(events, mean):
    return math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(events + 1))


class TestPoisson:
    @pytest.mark.parametrize(
        ("events", "low", "high"),
        [
            (0, 0.0, 3.6889),  # -ln 0.025 = 3.68888
            (1, 0.0253, 5.5716),  # -ln 0.975 = 0.02532
            (
                10,
                4.7954,
                18.3904,
            ),  # chi-squared quantiles 9.5908 / 2 with 20, 36.7807 / 2 with 22 degrees of freedom
        ],
    )
    def test_interval_of_known_counts(self, events, low, high):
        """The bounds are those of the published tables."""
        assert poisson_interval(events) == pytest.approx((low, high), abs=5e-5)

    @given(st.integers(0, 60), levels)
    def test_tails_are_equal(self, events, level):
        """At either bound the count is as extreme as the level says, no more and no less."""
        low, high = poisson_interval(events, level)
        tail = pytest.approx((1 - level) / 2, rel=1e-9)
        assert poisson_at_most(events, high) == tail
        assert 1 - poisson_at_most(events - 1, low) == tail if events else low == 0.0

    def test_holds_the_mean_often_enough(self):
        """Whatever the mean, the interval holds it with at least its level, at all counts together."""
        intervals = [poisson_interval(events, 0.9) for events in range(81)]
        for tenths in range(1, 301):
            mean = tenths / 10
            misses = [events for events, (low, high) in enumerate(intervals) if not low <= mean <= high]
            # More than 80 events are left out of the covered ones: they count as missed.
            covered = math.fsum(
                math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1))
                for k in set(range(81)) - set(misses)
            )
            assert covered >= 0.9

    def test_per_exposure(self):
        """Over four years the bounds are a quarter a year."""
        low, high = poisson_interval(7)
        assert poisson_interval(7, exposure=4.0) == (low / 4, high / 4)

    @pytest.mark.parametrize(
        ("events", "level", "exposure", "text"),
        [
            (-1, 0.95, 1.0, "events from 0, found -1"),
            (3, 0.0, 1.0, "level between 0 and 1, found 0.0"),
            (3, 0.95, 0.0, "exposure above 0, found 0.0"),
        ],
    )
    def test_senseless_input_is_refused(self, events, level, exposure, text):
        """Negative counts, levels and exposures that are none are errors in words."""
        with pytest.raises(ValueError, match=text):
            poisson_interval(events, level, exposure=exposure)


def binomial(k, n, share):
    return math.comb(n, k) * share**k * (1 - share) ** (n - k)


class TestShare:
    @pytest.mark.parametrize(
        ("k", "n", "low", "high"),
        [
            (0, 10, 0.0, 0.308497),  # 1 - 0.025^(1/10)
            (10, 10, 0.691503, 1.0),
            (5, 10, 0.187086, 0.812914),
            (1, 1, 0.025, 1.0),
        ],
    )
    def test_interval_of_known_shares(self, k, n, low, high):
        """The bounds are those of Clopper and Pearson."""
        interval = share_interval(k, n)
        assert (interval.mean, interval.n) == (k / n, n)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)

    @given(st.integers(1, 40), st.data(), levels)
    def test_tails_are_equal(self, n, data, level):
        """At either bound the count is as extreme as the level says, no more and no less."""
        k = data.draw(st.integers(0, n))
        interval, tail = share_interval(k, n, level), pytest.approx((1 - level) / 2, rel=1e-9)
        below = math.fsum(binomial(i, n, interval.high) for i in range(k + 1))
        above = math.fsum(binomial(i, n, interval.low) for i in range(k, n + 1))
        assert below == tail if k < n else interval.high == 1.0
        assert above == tail if k else interval.low == 0.0

    @pytest.mark.parametrize("n", [1, 2, 7, 20, 33])
    def test_holds_the_share_often_enough(self, n):
        """Whatever the share, the interval holds it with at least its level, at all counts together."""
        intervals = [share_interval(k, n, 0.9) for k in range(n + 1)]
        for thousandths in range(1001):
            share = thousandths / 1000
            covered = math.fsum(binomial(k, n, share) for k in range(n + 1) if share in intervals[k])
            assert covered >= 0.9 - 1e-12

    @pytest.mark.parametrize(
        ("k", "n", "level", "text"),
        [
            (0, 0, 0.95, "at least one trial, found 0"),
            (4, 3, 0.95, "from 0 to 3 of 3, found 4"),
            (-1, 3, 0.95, "from 0 to 3 of 3, found -1"),
            (1, 3, 1.0, "level between 0 and 1, found 1.0"),
        ],
    )
    def test_senseless_input_is_refused(self, k, n, level, text):
        """Counts that cannot be and levels that are none are errors in words."""
        with pytest.raises(ValueError, match=text):
            share_interval(k, n, level)


class TestFamily:
    def test_level_is_shared_out(self):
        """Five comparisons at 95 % are made at 99 % each."""
        assert bonferroni(0.95, 5) == pytest.approx(0.99, rel=1e-15)
        assert bonferroni(0.9, 1) == 0.9

    def test_known_adjusted_chances(self):
        """Each p is worked out by hand, and multiplied as Bonferroni and Holm say."""
        # Two pairs have one degree of freedom, where t is the tangent: differences d - 1 and d + 1 have mean d,
        # s = sqrt 2 and t = d, so p = 1 - 2 atan(d) / pi; d = tan((1 - p) pi / 2).
        chances = [0.04, 0.01, 0.03]
        pairs = []
        for p in chances:
            d = math.tan((1 - p) * math.pi / 2)
            pairs.append(([d - 1, d + 1], [0.0, 0.0]))
        found = {how: family(pairs, 0.95, how) for how in ("none", "bonferroni", "holm")}
        for result in found.values():
            assert [each.p for each in result] == pytest.approx(chances, rel=1e-9)
        assert [each.adjusted for each in found["none"]] == pytest.approx([0.04, 0.01, 0.03])
        assert [each.adjusted for each in found["bonferroni"]] == pytest.approx([0.12, 0.03, 0.09])
        # 3 x 0.01, then 2 x 0.03, then the larger of 1 x 0.04 and what went before.
        assert [each.adjusted for each in found["holm"]] == pytest.approx([0.06, 0.03, 0.06])
        assert [each.differs for each in found["none"]] == [True, True, True]
        assert [each.differs for each in found["holm"]] == [False, True, False]

    @given(st.lists(st.lists(st.floats(-9, 9), min_size=4, max_size=4), min_size=1, max_size=6), levels)
    def test_verdict_agrees_with_interval(self, rows, level):
        """With Bonferroni a difference is one exactly when its interval leaves 0 out; Holm finds those too."""
        pairs = [(row, [0.0] * 4) for row in rows]
        for each, by_holm, row in zip(family(pairs, level), family(pairs, level, "holm"), rows, strict=True):
            assert each.interval == t_interval(row, bonferroni(level, len(rows)))
            assert by_holm.interval == each.interval
            assert by_holm.adjusted <= each.adjusted
            # At the very edge either may come first by a rounding.
            if abs(each.adjusted - (1 - level)) > 1e-9:
                assert each.differs == (0.0 not in each.interval)

    def test_certain_and_unknown(self):
        """Equal differences are certain, equal values no difference, and one pair says nothing."""
        sure, same = family([([2.0, 3.0], [1.0, 2.0]), ([2.0, 3.0], [2.0, 3.0])])
        assert (sure.p, sure.differs) == (0.0, True)
        assert (same.p, same.differs) == (1.0, False)
        assert family([([2.0], [1.0])])[0].adjusted == 1.0
        assert family([]) == []

    def test_senseless_input_is_refused(self):
        """Another correction, no comparison and pairs of different length are errors in words."""
        with pytest.raises(ValueError, match="none, bonferroni or holm, found 'tukey'"):
            family([([1.0], [2.0])], correction="tukey")
        with pytest.raises(ValueError, match="at least one comparison, found 0"):
            bonferroni(0.95, 0)
        with pytest.raises(ValueError, match="found 2 and 1"):
            family([([1.0, 2.0], [1.0])])


class TestPrecision:
    def test_known_stop(self):
        """The rule holds from the third value on, and stops two later when it looks two ahead."""
        # 90, 110: half-width 12.706 x 14.14 / sqrt 2 = 127; 90, 110, 100: 4.3027 x 10 / sqrt 3 = 24.8; with another
        # 100: 3.1824 x 8.165 / 2 = 13.0; another: 2.7764 x 7.071 / sqrt 5 = 8.8; another: 2.5706 x 6.325 / sqrt 6 = 6.6.
        values = [90.0, 110.0, 100.0, 100.0, 100.0, 100.0]
        assert Precision(0.25, start=2, look_ahead=0).stops_at(values) == 3
        assert Precision(0.25, start=2, look_ahead=2).stops_at(values) == 5
        assert Precision(13.1, relative=False, start=2, look_ahead=0).stops_at(values) == 4
        assert Precision(0.09, start=2, look_ahead=1).stops_at(values) == 6
        assert Precision(0.09, start=2, look_ahead=2).stops_at(values) is None
        assert Precision(0.25, start=4, look_ahead=0).stops_at(values) == 4

    def test_luck_does_not_stop(self):
        """Three values that happen to agree stop a rule that does not look ahead, and only that."""
        values = [100.0, 100.1, 99.9, 300.0, 20.0, 180.0, 90.0, 400.0, 10.0]
        assert Precision(0.2, start=3, look_ahead=0).stops_at(values) == 3
        assert Precision(0.2, start=3).stops_at(values) is None

    def test_least_replications(self):
        """Values that all agree take the first ten and five more."""
        assert Precision(0.2).stops_at([7.0] * 14) is None
        assert Precision(0.2).stops_at([7.0] * 40) == 15
        assert Precision(0.2).foreseen([]) == 15

    @given(
        st.lists(st.floats(-50, 100), min_size=2, max_size=30),
        st.sampled_from([0.1, 0.5, 2.0]),
        st.integers(0, 3),
        st.booleans(),
    )
    def test_first_stop_by_definition(self, values, wish, look_ahead, relative):
        """It is the first number at which so many intervals in a row are narrow, each looked at on its own."""
        rule = Precision(wish, relative=relative, start=3, look_ahead=look_ahead)

        def narrow(n, slack):
            interval = t_interval(values[:n])
            width = wish * abs(interval.mean) if relative else wish
            return interval.high - interval.mean <= width * (1 + slack) + slack

        def first(slack):
            for n in range(3 + look_ahead, len(values) + 1):
                if all(narrow(m, slack) for m in range(n - look_ahead, n + 1)):
                    return n
            return math.inf

        stop = rule.stops_at(values)
        # Another way to add up may decide a tie otherwise.
        assert first(1e-9) <= (stop or math.inf) <= first(-1e-9)
        assert rule.stops_at([*values, 1e6, -1e6]) == stop if stop else True

    def test_foreseen_replications(self):
        """Half the half-width takes four times the replications; a wish that is met takes no more."""
        # As above: five values, half-width 8.8 around 100; for 4.39 it takes 5 x (8.78 / 4.39)^2 = 20, and 5 ahead.
        values = [90.0, 110.0, 100.0, 100.0, 100.0]
        half = t_interval(values).high - 100.0
        assert Precision(half / 2 * 1.0001, relative=False, start=5).foreseen(values) == 25
        assert Precision(9.0, relative=False, start=2, look_ahead=0).foreseen(values) == 5
        assert Precision(9.0, relative=False, start=2, look_ahead=0).is_met(values)
        assert not Precision(8.0, relative=False, start=2, look_ahead=0).is_met(values)
        assert Precision(0.1).foreseen([-1.0, 1.0]) == 1_000_000

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"half_width": 0.0}, "half-width above 0, found 0.0"),
            ({"half_width": 0.1, "start": 1}, "at least 2 replications to start with, found 1"),
            ({"half_width": 0.1, "look_ahead": -1}, "look ahead from 0, found -1"),
            ({"half_width": 0.1, "level": 1.0}, "level between 0 and 1, found 1.0"),
        ],
    )
    def test_senseless_input_is_refused(self, given, text):
        """Wishes that cannot be met are errors in words."""
        with pytest.raises(ValueError, match=text):
            Precision(**given)


class TestBatchMeans:
    def test_batches_by_hand(self):
        """Seven values in three batches leave out the first; the interval is that of the three means."""
        # Batches (1, 3), (5, 5), (9, 9): means 2, 5, 9, around 16/3.
        found = batch_means([100.0, 1.0, 3.0, 5.0, 5.0, 9.0, 9.0], batches=3)
        assert found.interval == t_interval([2.0, 5.0, 9.0])
        assert (found.size, found.left_out) == (2, 1)
        # Squares (10/3)^2 + (1/3)^2 + (11/3)^2 = 222/9, steps 3^2 + 4^2 = 25: 1 - 25 / (2 x 222/9) = 0.49324.
        assert found.lag_1 == pytest.approx(0.493243, abs=1e-6)
        # At most 1.645 x sqrt(1/8) = 0.58.
        assert found.independent

    def test_drift_is_noticed(self):
        """Means that climb resemble their neighbours; means that alternate do not."""
        assert not batch_means([float(i) for i in range(60)]).independent
        assert batch_means([float(i % 2) for i in range(20)]).independent
        assert batch_means([3.0] * 20).independent

    @pytest.mark.parametrize(
        ("n", "batches", "text"),
        [(19, 20, "at least 20 observations, one a batch, found 19"), (9, 2, "at least 3 batches, found 2")],
    )
    def test_senseless_input_is_refused(self, n, batches, text):
        """Too few observations or batches are errors in words."""
        with pytest.raises(ValueError, match=text):
            batch_means([1.0] * n, batches=batches)


class TestQuantiles:
    @pytest.mark.parametrize(
        ("n", "share", "ranks"),
        [
            (20, 0.5, (6, 15, 0.9586)),
            (100, 0.5, (40, 61, 0.9648)),
            (100, 0.95, (90, 100, 0.9826)),
            # 0.5^5 = 0.03 of five values all lie on one side: more than 2.5 %, so neither bound is a value.
            (5, 0.5, (0, 6, 1.0)),
            (6, 0.5, (1, 6, 1 - 2 / 64)),
        ],
    )
    def test_known_ranks(self, n, share, ranks):
        """The ranks are those of the tables."""
        found = quantile_ranks(n, share)
        assert (found.low, found.high) == ranks[:2]
        assert found.coverage == pytest.approx(ranks[2], abs=5e-5)

    @given(st.integers(1, 60), st.sampled_from([0.05, 0.3, 0.5, 0.9, 0.95]), levels)
    def test_ranks_by_the_binomial(self, n, share, level):
        """The ranks are as close as either tail allows, every probability added up one by one."""
        low, high, coverage = quantile_ranks(n, share, level)
        tail = (1 - level) / 2
        below = [math.fsum(binomial(i, n, share) for i in range(k + 1)) for k in range(-1, n + 1)]
        # below[k] is P(fewer than k values lie below the quantile).
        assert (below[low] <= tail + 1e-12) if low else below[1] > tail - 1e-12
        assert below[low + 1] > tail - 1e-12
        assert (1 - below[high] <= tail + 1e-12) if high <= n else 1 - below[n] > tail - 1e-12
        assert 1 - below[high - 1] > tail - 1e-12
        assert coverage == pytest.approx(below[min(high, n + 1)] - below[low], abs=1e-12)
        assert coverage >= level - 1e-12

    def test_bounds_are_values(self):
        """Of twenty values the sixth and the fifteenth hold the median, whatever their order."""
        values = [float(7 * i % 20) for i in range(20)]
        assert quantile_interval(values, 0.5) == Interval(9.5, 5.0, 14.0, 20)

    def test_too_few_for_a_bound(self):
        """Twenty values say nothing about how high the 95th percentile is."""
        found = quantile_interval([float(i) for i in range(20)], 0.95)
        # Between 18 and 19: 19 x 0.95 = 18.05.
        assert found.mean == pytest.approx(18.05)
        assert (found.low, found.high) == (16.0, math.inf)
        assert quantile_interval([4.0], 0.5) == Interval(4.0, -math.inf, math.inf, 1)

    def test_senseless_input_is_refused(self):
        """No values and shares that are none are errors in words."""
        with pytest.raises(ValueError, match="at least one replication, found 0"):
            quantile_interval([], 0.5)
        with pytest.raises(ValueError, match=r"share between 0 and 1, found 1\.0"):
            quantile_ranks(5, 1.0)


def ways_to_find(slots, wrong, counted):
    """How many samples find 0, 1, ... of the wrong slots: by listing every sample."""
    ways = [0] * (counted + 1)
    for sample in combinations(range(slots), counted):
        ways[sum(slot < wrong for slot in sample)] += 1
    return ways


def chance_at_most(found, slots, wrong, counted):
    """The same as a probability, slot by slot: the first counted slot is wrong or it is not."""
    if found < 0:
        return Fraction(0)
    if found >= min(wrong, counted):
        return Fraction(1)
    share = Fraction(wrong, slots)
    met = chance_at_most(found - 1, slots - 1, wrong - 1, counted - 1) if wrong else 0
    return share * met + (1 - share) * chance_at_most(found, slots - 1, wrong, counted - 1)


class TestMeeting:
    @pytest.mark.parametrize(
        ("slots", "counted", "wrong", "chance"),
        [
            (258, 26, 1, 26 / 258),
            (4, 2, 2, 5 / 6),  # of the 6 pairs of 4 slots one has both right ones
            (258, 0, 9, 0.0),
            (258, 100, 0, 0.0),
            (258, 250, 9, 1.0),  # only 8 are left out
        ],
    )
    def test_chance_by_hand(self, slots, counted, wrong, chance):
        """One wrong slot is met as often as it is counted; so many that not all can be missed, always."""
        assert chance_of_meeting(slots, counted, wrong) == pytest.approx(chance, rel=1e-15)

    @given(st.integers(1, 9), st.data())
    def test_every_sample_listed(self, slots, data):
        """The chance is the share of samples that meet one, among all there are."""
        counted, wrong = data.draw(st.integers(0, slots)), data.draw(st.integers(0, slots))
        ways = ways_to_find(slots, wrong, counted)
        assert chance_of_meeting(slots, counted, wrong) == pytest.approx(1 - ways[0] / sum(ways), abs=1e-15)

    def test_half_of_many_slots(self):
        """Samples of thousands of slots are exact too, and take no time."""
        # C(5000, 5000) / C(10000, 5000) is far below what a float can tell from 0.
        assert chance_of_meeting(10_000, 5_000, 5_000) == 1.0
        assert chance_of_meeting(10_000, 5_000, 1) == 0.5

    @pytest.mark.parametrize(
        ("counted", "wrong", "text"),
        [(11, 1, "from 0 to 10 counted slots, found 11"), (3, 11, "from 0 to 10 wrong slots, found 11")],
    )
    def test_senseless_input_is_refused(self, counted, wrong, text):
        """More than there is is an error in words."""
        with pytest.raises(ValueError, match=text):
            chance_of_meeting(10, counted, wrong)


accuracies = st.sampled_from([0.0, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0])


class TestCertify:
    @pytest.mark.parametrize(
        ("slots", "accuracy", "confidence", "wrong", "expected"),
        [
            # 2 of 258 may be wrong (2.58); 3 are missed by n with (258-n)(257-n)(256-n) / (258 x 257 x 256):
            # 95 x 94 x 93 / 16974336 = 0.0489 at n = 163, 96 x 95 x 94 / 16974336 = 0.0505 at 162.
            (258, 0.99, 0.95, 0, 163),
            # None may be wrong: one is missed with (258 - n) / 258, at most 0.05 from n = 245.1.
            (258, 1.0, 0.95, 0, 246),
            # One of ten may be wrong, as 0.9 is 9/10: two are missed with (10-n)(9-n) / 90: 2/90 at 8, 6/90 at 7.
            (10, 0.9, 0.95, 0, 8),
            # Two of four may be wrong, one may be met. With three wrong, two counted slots show one in 3 of 6
            # samples, three counted always two or more.
            (4, 0.5, 0.95, 1, 3),
            (258, 0.0, 0.95, 0, 0),
            (1, 1.0, 0.95, 0, 1),
        ],
    )
    def test_sizes_by_hand(self, slots, accuracy, confidence, wrong, expected):
        """The sample is the smallest in which one wrong slot too many would hardly stay unseen."""
        assert certify_sample(slots, accuracy, confidence, wrong) == expected

    @given(st.integers(1, 16), accuracies, levels, st.integers(0, 5))
    def test_smallest_sample_by_trying(self, slots, accuracy, confidence, wrong):
        """Every size is tried against every number of wrong slots that makes the claim false."""
        doubt = 1 - Fraction(str(confidence))
        false = [d for d in range(slots + 1) if Fraction(slots - d, slots) < Fraction(str(accuracy))]
        enough = [
            n for n in range(slots + 1) if all(chance_at_most(wrong, slots, d, n) <= doubt for d in false)
        ]
        if enough:
            assert certify_sample(slots, accuracy, confidence, wrong) == enough[0]
        else:
            with pytest.raises(ValueError, match=f"wrong of {slots} slots for an accuracy of"):
                certify_sample(slots, accuracy, confidence, wrong)

    @given(st.integers(1, 300), accuracies, levels, st.integers(0, 3))
    def test_more_wanted_takes_more(self, slots, accuracy, confidence, wrong):
        """More accuracy, more confidence or another wrong slot never takes a smaller sample."""
        if wrong + 1 > slots * (1 - Fraction(str(accuracy))):
            return
        n = certify_sample(slots, accuracy, confidence, wrong)
        assert 0 <= n <= slots
        assert certify_sample(slots, accuracy, confidence, wrong + 1) >= n
        assert certify_sample(slots, accuracy, (1 + confidence) / 2, wrong) >= n
        if accuracy and wrong <= slots * (1 - Fraction(str(accuracy + 0.004))):
            assert certify_sample(slots, accuracy + 0.004, confidence, wrong) >= n

    def test_full_count_with_too_many(self):
        """When what is found already refutes the accuracy, no sample proves it."""
        with pytest.raises(
            ValueError, match=r"at most 2 wrong of 258 slots for an accuracy of 0\.99, found 3"
        ):
            certify_sample(258, 0.99, 0.95, 3)

    @pytest.mark.parametrize(
        ("slots", "accuracy", "confidence", "wrong", "text"),
        [
            (0, 0.9, 0.95, 0, "at least one slot, found 0"),
            (10, 1.1, 0.95, 0, "accuracy from 0 to 1, found 1.1"),
            (10, 0.9, 1.0, 0, "confidence between 0 and 1, found 1.0"),
            (10, 0.9, 0.95, -1, "wrong slots from 0, found -1"),
        ],
    )
    def test_senseless_input_is_refused(self, slots, accuracy, confidence, wrong, text):
        """Shares that are none and stores without slots are errors in words."""
        with pytest.raises(ValueError, match=text):
            certify_sample(slots, accuracy, confidence, wrong)


class TestProven:
    def test_bounds_by_hand(self):
        """A sample proves what its size was made for; a full count what it finds; none proves nothing."""
        # As above: 163 right ones of 258 leave at most 2 wrong, 162 leave at most 3.
        assert proven_accuracy(258, 163, 0, 0.95) == 256 / 258
        assert proven_accuracy(258, 162, 0, 0.95) == 255 / 258
        assert proven_accuracy(258, 258, 5, 0.95) == 253 / 258
        assert proven_accuracy(258, 0, 0, 0.95) == 0.0

    def test_before_or_after_correction(self):
        """The wrong slots that were found count as wrong, unless they have been put right since."""
        assert proven_accuracy(258, 258, 5, 0.95, corrected=True) == 1.0
        # Of 4 slots 2 are counted, 1 of them wrong. 3 wrong in all show 1 of 2 in half the samples (3 of 6): more
        # than 0.05, so at most 3 are wrong before and 2 after the one that was found is put right.
        assert proven_accuracy(4, 2, 1, 0.95) == 0.25
        assert proven_accuracy(4, 2, 1, 0.95, corrected=True) == 0.5

    @given(st.integers(1, 14), st.data(), levels)
    def test_bound_by_trying(self, slots, data, confidence):
        """It is the lowest accuracy with which so few wrong ones would be found often enough."""
        counted = data.draw(st.integers(0, slots))
        wrong = data.draw(st.integers(0, counted))
        doubt = 1 - Fraction(str(confidence))
        possible = [
            d
            for d in range(wrong, slots - counted + wrong + 1)
            if chance_at_most(wrong, slots, d, counted) > doubt
        ]
        assert proven_accuracy(slots, counted, wrong, confidence) == (slots - max(possible)) / slots

    @pytest.mark.parametrize("corrected", [False, True])
    @pytest.mark.parametrize("slots", [1, 5, 12])
    def test_bound_holds_often_enough(self, slots, corrected):
        """However many are wrong, the bound is true with at least the confidence, at all findings together."""
        confidence = 0.9
        for counted in range(slots + 1):
            for wrong in range(slots + 1):
                ways = ways_to_find(slots, wrong, counted)
                true = 0
                for found in range(max(0, counted - (slots - wrong)), min(wrong, counted) + 1):
                    right = slots - wrong + (found if corrected else 0)
                    bound = proven_accuracy(slots, counted, found, confidence, corrected=corrected)
                    true += ways[found] if bound <= right / slots else 0
                assert Fraction(true, sum(ways)) >= Fraction(9, 10)

    @given(st.integers(1, 400), accuracies, levels, st.integers(0, 4))
    def test_certified_sample_proves(self, slots, accuracy, confidence, wrong):
        """The sample of `certify_sample` proves its accuracy when it finds what it may; one less does not."""
        if wrong > math.floor(slots * (1 - Fraction(str(accuracy)))):
            return
        n = certify_sample(slots, accuracy, confidence, wrong)
        if n > wrong:
            assert proven_accuracy(slots, n, wrong, confidence) >= accuracy
            assert proven_accuracy(slots, n - 1, wrong, confidence) < accuracy

    @given(st.integers(2, 300), st.data(), levels)
    def test_more_counted_proves_more(self, slots, data, confidence):
        """One more slot that is right never proves less, one that is wrong never more."""
        counted = data.draw(st.integers(0, slots - 1))
        wrong = data.draw(st.integers(0, counted))
        now = proven_accuracy(slots, counted, wrong, confidence)
        assert proven_accuracy(slots, counted + 1, wrong, confidence) >= now
        assert proven_accuracy(slots, counted + 1, wrong + 1, confidence) <= now

    def test_thousands_of_slots(self):
        """Large samples with many wrong ones are exact too: the bound lies just below what was found."""
        # Half of 10,000 counted, 2,500 wrong: standard error sqrt(0.25 / 5000 x 0.5) = 0.005; 1.645 of them: 0.0082.
        assert proven_accuracy(10_000, 5_000, 2_500, 0.95) == pytest.approx(0.5 - 0.00822, abs=1e-4)

    @pytest.mark.parametrize(
        ("counted", "wrong", "text"),
        [
            (11, 0, "from 0 to 10 counted slots, found 11"),
            (3, 4, "from 0 to 3 wrong among the counted slots, found 4"),
        ],
    )
    def test_senseless_input_is_refused(self, counted, wrong, text):
        """Samples that cannot be are errors in words."""
        with pytest.raises(ValueError, match=text):
            proven_accuracy(10, counted, wrong, 0.95)
