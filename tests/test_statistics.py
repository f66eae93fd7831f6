"""Intervals of replications, counts and shares, and what a sample of slots proves."""

import math
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.statistics import (
    Interval,
    certify_sample,
    chance_of_meeting,
    paired,
    poisson_interval,
    proven_accuracy,
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
