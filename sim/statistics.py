"""Intervals for what random replications, rare events and samples of slots show."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple


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


def paired(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of a - b over pairs of replications with its two-sided t interval; n is the number of pairs.

    Pairs share their random streams, so that what they have in common falls out of the difference (common
    random numbers: Law, Simulation Modeling and Analysis, 5th edition, 10.2.1 and 11.2). Raises ValueError
    when the numbers of values differ, and as `t_interval`.
    """
    if len(a) != len(b):
        raise ValueError(f"expected as many values on both sides, found {len(a)} and {len(b)}")
    return t_interval([x - y for x, y in zip(a, b, strict=True)], level)


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
