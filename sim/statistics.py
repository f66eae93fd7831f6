"""Intervals for what random replications, long runs, rare events and samples of slots show."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

METHODS: Final[dict[str, str]] = {
    "t": "Student's t over independent replications",
    "paired-t": "Student's t over the differences of replications that share their random streams",
    "batch-means": "Student's t over the means of batches of one long run",
    "order-statistics": "two of the ordered replications, by the binomial distribution",
}
"""How an interval was come by: the word that stands beside it, and what it means."""

Correction = Literal["none", "bonferroni", "holm"]


class Interval(NamedTuple):
    """The mean of n observations with the bounds of its confidence interval."""

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
    _check_level("level", level)
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile(n - 1, level) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


@lru_cache(maxsize=4096)
def t_quantile(freedom: int, level: float) -> float:
    """The bound that |t| stays within with probability `level`, t having Student's distribution."""
    from scipy.special import stdtrit  # takes longer to import than a small run takes

    return float(stdtrit(freedom, (1.0 + level) / 2.0))


def paired(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of a - b over pairs of replications with its two-sided t interval; n is the number of pairs.

    Pairs share their random streams, so that what they have in common falls out of the difference (common
    random numbers: Law, Simulation Modeling and Analysis, 5th edition, 10.2.1 and 11.2). Raises ValueError
    when the numbers of values differ, and as `t_interval`.
    """
    if len(a) != len(b):
        raise ValueError(f"expected as many values on both sides, found {len(a)} and {len(b)}")
    return t_interval([x - y for x, y in zip(a, b, strict=True)], level)


# -- Several comparisons at once ------------------------------------------------------------------------


class Compared(NamedTuple):
    """One of a family of paired comparisons.

    `interval` is that of a - b, as wide as the number of comparisons demands: all of a family hold together
    with at least the level. `p` is the two-sided probability of so large a mean difference, were there none;
    `adjusted` is the same after the correction, and `differs` says whether it is at most 1 - level.
    """

    interval: Interval
    p: float
    adjusted: float
    differs: bool


def bonferroni(level: float, comparisons: int) -> float:
    """The level of each of so many intervals with which all together hold with at least `level`.

    1 - (1 - level) / comparisons (Law, Simulation Modeling and Analysis, 5th edition, 9.7 and 10.3). Raises
    ValueError for less than one comparison and a level that is not between 0 and 1.
    """
    _check_level("level", level)
    if comparisons < 1:
        raise ValueError(f"expected at least one comparison, found {comparisons}")
    return 1.0 - (1.0 - level) / comparisons


def family(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]],
    level: float = 0.95,
    correction: Correction = "bonferroni",
) -> list[Compared]:
    """Paired differences a - b of several pairs of systems, honest as a whole.

    With "bonferroni" interval and verdict agree. "holm" (A simple sequentially rejective multiple test
    procedure, Scandinavian Journal of Statistics 6, 1979) finds more differences with the same risk of even
    one false one; intervals stay those of Bonferroni, as none that fit Holm's steps hold together. "none" is
    for a single comparison that was fixed beforehand. Raises ValueError as `paired`.
    """
    if correction not in ("none", "bonferroni", "holm"):
        raise ValueError(f"expected a correction none, bonferroni or holm, found {correction!r}")
    if not pairs:
        return []
    many = len(pairs)
    each = level if correction == "none" else bonferroni(level, many)
    intervals = [paired(a, b, each) for a, b in pairs]
    chances = [_chance_of_no_difference([x - y for x, y in zip(a, b, strict=True)]) for a, b in pairs]
    adjusted = {"none": chances, "bonferroni": [min(1.0, many * p) for p in chances]}.get(correction)
    if adjusted is None:
        adjusted, floor = [0.0] * many, 0.0
        for step, index in enumerate(sorted(range(many), key=chances.__getitem__)):
            floor = max(floor, min(1.0, (many - step) * chances[index]))
            adjusted[index] = floor
    return [
        Compared(interval, p, q, q <= 1.0 - level)
        for interval, p, q in zip(intervals, chances, adjusted, strict=True)
    ]


def _chance_of_no_difference(differences: Sequence[float]) -> float:
    """The two-sided p value of Student's t test that the mean is 0."""
    n = len(differences)
    mean = math.fsum(differences) / n
    if n == 1 or mean == 0.0:
        return 1.0
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (n - 1))
    if deviation == 0.0:
        return 0.0
    from scipy.special import stdtr

    return 2.0 * float(stdtr(n - 1, -abs(mean) * math.sqrt(n) / deviation))


# -- How many replications ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """When replications are enough: the interval is narrow, and stays so for some replications more.

    Without the look-ahead a rule that stops at the first narrow interval stops by luck, and its intervals
    hold too seldom (Hoad, Robinson and Davies, Automated selection of the number of replications for a
    discrete-event simulation, Journal of the Operational Research Society 61, 2010). `make statistics`
    measures how often they do: of exponential values 94 % instead of 95 % for a wish of 20 %.

    Parameters
    ----------
    half_width : the wish, above 0: a share of the mean, or an amount in the unit of the values.
    relative : whether it is a share of the mean.
    level : level of the interval.
    start : replications before the rule is asked for the first time, from 2.
    look_ahead : replications after that for which it must hold as well.
    """

    half_width: float
    relative: bool = True
    level: float = 0.95
    start: int = 10
    look_ahead: int = 5

    def __post_init__(self) -> None:
        """Refuse in words what can never be met."""
        _check_level("level", self.level)
        if not 0.0 < self.half_width < math.inf:
            raise ValueError(f"expected a half-width above 0, found {self.half_width}")
        if self.start < 2:
            raise ValueError(f"expected at least 2 replications to start with, found {self.start}")
        if self.look_ahead < 0:
            raise ValueError(f"expected replications to look ahead from 0, found {self.look_ahead}")

    def is_met(self, values: Sequence[float]) -> bool:
        """Whether the interval of these replications is as narrow as wished, whatever others would say."""
        if len(values) < 2:
            return False
        interval = t_interval(values, self.level)
        return interval.high - interval.mean <= self._wish(interval.mean)

    def stops_at(self, values: Sequence[float]) -> int | None:
        """After how many of these replications, in their order, to stop; None when more are needed.

        The look-ahead is part of the number: all replications up to it are to be used. The answer depends on
        the values before it alone, so that replications made in parallel beyond it change nothing.
        """
        held = 0
        for n, mean, half in self._path(values):
            held = held + 1 if half <= self._wish(mean) else 0
            if held > self.look_ahead:
                return n
        return None

    def foreseen(self, values: Sequence[float]) -> int:
        """About how many replications it will take in all, judged by the spread of those at hand.

        For planning only: n times the square of (half-width found / half-width wished), and the look-ahead.
        Before there are two values it is the least there can be.
        """
        least = self.start + self.look_ahead
        if len(values) < 2:
            return least
        interval = t_interval(values, self.level)
        half, wish = interval.high - interval.mean, self._wish(interval.mean)
        if half <= wish:
            return max(least, len(values))
        if wish == 0.0:
            return _MOST_FORESEEN
        needed = min(float(_MOST_FORESEEN), len(values) * (half / wish) ** 2)
        return max(least, math.ceil(needed) + self.look_ahead)

    def _wish(self, mean: float) -> float:
        return self.half_width * abs(mean) if self.relative else self.half_width

    def _path(self, values: Sequence[float]) -> Iterator[tuple[int, float, float]]:
        """Number, mean and half-width after each replication from `start` on (Welford's recurrence)."""
        mean = squares = 0.0
        for n, value in enumerate(values, 1):
            step = value - mean
            mean += step / n
            squares += step * (value - mean)
            if n >= self.start:
                half = t_quantile(n - 1, self.level) * math.sqrt(squares / (n - 1) / n)
                yield n, mean, half


_MOST_FORESEEN: Final = 1_000_000


# -- One long run, and quantiles ------------------------------------------------------------------------


class BatchMeans(NamedTuple):
    """The mean of one long run with its interval, and whether the batches were long enough.

    `interval.n` is the number of batches. `left_out` observations at the start did not fill a batch. `lag_1`
    is the correlation of neighbouring batch means; `independent` is False when it is so high that chance
    would show it in 5 % of runs at most: the interval is then too narrow, and the run too short.
    """

    interval: Interval
    size: int
    left_out: int
    lag_1: float
    independent: bool


def batch_means(values: Sequence[float], level: float = 0.95, batches: int = 20) -> BatchMeans:
    """The mean of observations that follow one another in one run, with its interval from batch means.

    Neighbours may resemble each other: means of long batches hardly do (Law, Simulation Modeling and
    Analysis, 5th edition, 9.5.3). Whether they do is judged by lag_1 = 1 - sum (m[i] - m[i+1])^2 / (2 sum
    (m[i] - mean)^2), which for independent normal means has mean 0 and variance (b - 2) / (b^2 - 1) (Fishman,
    Grouping observations in digital simulation, Management Science 24, 1978).

    Parameters
    ----------
    values : observations in order of time, the warm-up cut off.
    batches : batches of equal length, from 3; few long ones are safer than many short ones.

    Raises
    ------
    ValueError
        For fewer observations than batches, and values outside these ranges.
    """
    _check_level("level", level)
    if batches < 3:
        raise ValueError(f"expected at least 3 batches, found {batches}")
    size, left_out = divmod(len(values), batches)
    if size == 0:
        raise ValueError(f"expected at least {batches} observations, one a batch, found {len(values)}")
    means = [
        math.fsum(values[start : start + size]) / size
        for start in range(left_out, len(values) - size + 1, size)
    ]
    interval = t_interval(means, level)
    squares = math.fsum((mean - interval.mean) ** 2 for mean in means)
    if squares == 0.0:
        return BatchMeans(interval, size, left_out, 0.0, independent=True)
    steps = math.fsum((a - b) ** 2 for a, b in pairwise(means))
    lag_1 = 1.0 - steps / (2.0 * squares)
    most = _NORMAL_95 * math.sqrt((batches - 2) / (batches**2 - 1))
    return BatchMeans(interval, size, left_out, lag_1, independent=lag_1 <= most)


_NORMAL_95: Final = 1.6448536269514722
"""The 95 % quantile of the normal distribution."""


class Ranks(NamedTuple):
    """Which two of n ordered values hold a quantile between them (from 1; 0 and n + 1 are infinite)."""

    low: int
    high: int
    coverage: float


def quantile_ranks(n: int, share: float, level: float = 0.95) -> Ranks:
    """The ordered values between which the quantile lies with at least the level, whatever the distribution.

    The low one is the highest, and the high one the lowest, that the quantile passes with a probability of
    at most (1 - level) / 2, the number of values below it being binomial (David and Nagaraja, Order
    Statistics, 3rd edition, 7.1). With too few values a bound is infinite. Raises ValueError for no values
    and for a share or level that is not between 0 and 1.
    """
    _check_level("level", level)
    _check_level("share", share)
    if n < 1:
        raise ValueError(f"expected at least one replication, found {n}")
    from scipy.special import bdtr, bdtrc

    tail = (1.0 - level) / 2.0
    # P(fewer than low values lie below the quantile) <= tail; it grows with low.
    low, above = 0, n + 1
    while above - low > 1:
        middle = (low + above) // 2
        low, above = (middle, above) if bdtr(middle - 1, n, share) <= tail else (low, middle)
    # P(high or more values lie below the quantile) <= tail; it falls with high.
    below, high = 0, n + 1
    while high - below > 1:
        middle = (below + high) // 2
        below, high = (below, middle) if bdtrc(middle - 1, n, share) <= tail else (middle, high)
    missed = (float(bdtr(low - 1, n, share)) if low else 0.0) + (
        float(bdtrc(high - 1, n, share)) if high <= n else 0.0
    )
    return Ranks(low, high, 1.0 - missed)


def quantile_interval(values: Sequence[float], share: float, level: float = 0.95) -> Interval:
    """A quantile of independent values with bounds that hold it with at least the level.

    `mean` of the interval is the quantile of the values, by straight lines between them (as the KPIs take
    p50 and p95); the bounds are two of the values, those of `quantile_ranks`. Raises ValueError as that does.
    """
    ranks = quantile_ranks(len(values), share, level)
    ordered = sorted(values)
    n = len(ordered)
    place = (n - 1) * share
    below = min(int(place), n - 1)
    above = min(below + 1, n - 1)
    found = ordered[below] + (ordered[above] - ordered[below]) * (place - below)
    low = ordered[ranks.low - 1] if ranks.low else -math.inf
    high = ordered[ranks.high - 1] if ranks.high <= n else math.inf
    return Interval(found, low, high, n)


# -- Counts and shares ----------------------------------------------------------------------------------


def poisson_interval(events: int, level: float = 0.95, *, exposure: float = 1.0) -> tuple[float, float]:
    """Bounds of the mean number of events, of which so many were counted; per exposure, if given.

    Exact: the low bound is the mean at which as many events or more, the high bound that at which as many or
    fewer have the probability (1 - level) / 2, by quantiles of the gamma distribution (Garwood, Fiducial
    limits for the Poisson distribution, Biometrika 28, 1936). Whatever the mean, the bounds hold it with at
    least the probability `level`.

    Parameters
    ----------
    events : events counted, from 0; the low bound of 0 is 0.
    exposure : what they were counted over, for example years: both bounds are divided by it.

    Raises
    ------
    ValueError
        For less than 0 events, an exposure that is not above 0, and a level that is not between 0 and 1.
    """
    _check_level("level", level)
    if events < 0:
        raise ValueError(f"expected events from 0, found {events}")
    if not 0.0 < exposure < math.inf:
        raise ValueError(f"expected an exposure above 0, found {exposure}")
    from scipy.special import gammainccinv, gammaincinv

    tail = (1.0 - level) / 2.0
    low = float(gammaincinv(events, tail)) if events else 0.0
    return low / exposure, float(gammainccinv(events + 1, tail)) / exposure


def share_interval(k: int, n: int, level: float = 0.95) -> Interval:
    """The share k / n with the exact bounds of Clopper and Pearson.

    The low bound is the share at which k or more of n independent trials, the high bound that at which k or
    fewer have the probability (1 - level) / 2, by quantiles of the beta distribution (Clopper and Pearson,
    The use of confidence or fiducial limits illustrated in the case of the binomial, Biometrika 26, 1934).
    Whatever the share, the bounds hold it with at least the probability `level`.

    Raises
    ------
    ValueError
        When k is not from 0 to n, n is below 1 or the level not between 0 and 1.
    """
    _check_level("level", level)
    if n < 1:
        raise ValueError(f"expected at least one trial, found {n}")
    if not 0 <= k <= n:
        raise ValueError(f"expected from 0 to {n} of {n}, found {k}")
    from scipy.special import betainccinv, betaincinv

    tail = (1.0 - level) / 2.0
    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(betainccinv(k + 1, n - k, tail)) if k < n else 1.0
    return Interval(k / n, low, high, n)


# -- Samples of slots, drawn without replacement --------------------------------------------------------


def certify_sample(slots: int, accuracy: float, confidence: float, wrong: int = 0) -> int:
    """How many slots to count so that few wrong ones among them prove the accuracy of all.

    The smallest n such that, when n of the slots are drawn without replacement and at most `wrong` of them
    turn out wrong, one may say with the confidence that the share of right slots is at least the accuracy:
    were it less, so few wrong ones would be found with a probability of at most 1 - confidence. Wrong and
    right are meant as found, before anything is corrected. The number of wrong slots in a sample is
    hypergeometric (Cochran, Sampling Techniques, 3rd edition, 3.5); sums are exact, in whole numbers. A full
    count proves what it finds, so the answer is never above `slots`.

    Parameters
    ----------
    slots : slots in all.
    accuracy : share of right slots to be proven, 0 to 1.
    confidence : between 0 and 1.
    wrong : wrong slots that may be found in the sample.

    Raises
    ------
    ValueError
        For values outside these ranges, and when not even a full count with so many wrong slots would prove
        the accuracy.
    """
    _check_slots(slots, 0, 0)
    _check_level("confidence", confidence)
    if not 0.0 <= accuracy <= 1.0:
        raise ValueError(f"expected an accuracy from 0 to 1, found {accuracy}")
    if wrong < 0:
        raise ValueError(f"expected wrong slots from 0, found {wrong}")
    # The most wrong slots with which the claim is still true; one more must be noticed.
    allowed = slots - math.ceil(slots * _as_written(accuracy))
    if allowed == slots:
        return 0
    if wrong > allowed:
        found = f"found {wrong}"
        raise ValueError(
            f"expected at most {allowed} wrong of {slots} slots for an accuracy of {accuracy}, {found}"
        )
    doubt = 1 - _as_written(confidence)
    # The more are counted, the less likely it is to find so few: halve between what is too few and enough.
    too_few, enough = wrong, min(slots, 2 * wrong + 1)
    while _chance_of_at_most(wrong, slots, allowed + 1, enough) > doubt:
        too_few, enough = enough, min(slots, 2 * enough)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _chance_of_at_most(wrong, slots, allowed + 1, middle) > doubt:
            too_few = middle
        else:
            enough = middle
    return enough


def proven_accuracy(
    slots: int, counted: int, wrong: int, confidence: float, *, corrected: bool = False
) -> float:
    """The share of right slots that a sample proves: a lower bound that holds with the confidence.

    The bound is (slots - d) / slots, d being the largest number of wrong slots with which at most `wrong`
    would be found in the sample with a probability above 1 - confidence (the hypergeometric distribution
    inverted: Buonaccorsi, A note on confidence intervals for proportions in finite populations, The American
    Statistician 41, 1987). It is about the records as they were before the count. With `corrected` it is
    about them after the wrong ones that were found have been put right: d less `wrong`. Exact, in whole
    numbers.

    Parameters
    ----------
    slots : slots in all.
    counted : slots in the sample, drawn without replacement.
    wrong : wrong slots found among them.
    confidence : between 0 and 1.

    Raises
    ------
    ValueError
        When it is not 0 <= wrong <= counted <= slots, or the confidence not between 0 and 1.
    """
    _check_slots(slots, counted, wrong)
    _check_level("confidence", confidence)
    doubt = 1 - _as_written(confidence)
    # More wrong slots in all make it less likely to find so few: halve between possible and refuted.
    possible, refuted = wrong, slots - (counted - wrong) + 1
    while refuted - possible > 1:
        middle = (possible + refuted) // 2
        if _chance_of_at_most(wrong, slots, middle, counted) > doubt:
            possible = middle
        else:
            refuted = middle
    return (slots - possible + (wrong if corrected else 0)) / slots


def chance_of_meeting(slots: int, counted: int, wrong: int) -> float:
    """The probability that a sample of so many of the slots meets at least one of those that are wrong.

    1 - C(slots - wrong, counted) / C(slots, counted), the hypergeometric distribution at 0. Raises ValueError
    when `counted` or `wrong` is not from 0 to `slots`.
    """
    _check_slots(slots, counted, 0)
    if not 0 <= wrong <= slots:
        raise ValueError(f"expected from 0 to {slots} wrong slots, found {wrong}")
    return float(1 - _chance_of_at_most(0, slots, wrong, counted))


def _chance_of_at_most(found: int, slots: int, wrong: int, counted: int) -> Fraction:
    """The probability that at most so many of the wrong slots are among those counted."""
    # The counted ones could as well be marked and the wrong ones drawn: take the smaller number as the draws.
    drawn, marked = sorted((wrong, counted))
    others = slots - marked
    least = max(0, drawn - others)
    term = math.comb(marked, least) * math.comb(others, drawn - least)
    ways = 0
    for k in range(least, min(found, drawn) + 1):
        ways += term
        # From C(marked, k) C(others, drawn - k) to the same at k + 1, without remainder.
        term = term * (marked - k) * (drawn - k) // ((k + 1) * (others - drawn + k + 1))
    return Fraction(ways, math.comb(slots, drawn))


def _as_written(share: float) -> Fraction:
    """The decimal that a person wrote: 0.9 is 9/10, which no float is."""
    return Fraction(repr(float(share)))


def _check_level(what: str, level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"expected a {what} between 0 and 1, found {level}")


def _check_slots(slots: int, counted: int, wrong: int) -> None:
    if slots < 1:
        raise ValueError(f"expected at least one slot, found {slots}")
    if not 0 <= counted <= slots:
        raise ValueError(f"expected from 0 to {slots} counted slots, found {counted}")
    if not 0 <= wrong <= counted:
        raise ValueError(f"expected from 0 to {counted} wrong among the counted slots, found {wrong}")
