"""How long a run takes to settle: MSER, Welch's moving average, and advice in words.

A series starts from a store that was filled somehow; its first values differ from those of the long run. What
to cut off is judged from values of equal spans of time, here mostly weeks. Cycles shorter than a span do not
show; a trend over the whole series does.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from sim.statistics import t_quantile

FEWEST: Final = 10
"""Weeks below which nothing is said: by chance alone, short series look as if they had not settled."""

_DOUBT: Final = 0.01


class Mser(NamedTuple):
    """Where to cut a series: before value number `cut`, from 0.

    `settled` is False when the best cut is at the middle, the last that was tried: the series is too short to
    tell, or drifts.
    """

    cut: int
    settled: bool


def mser(values: Sequence[float], batch: int = 5) -> Mser:
    """The cut that gives the mean of the rest its smallest standard error, by the rule MSER.

    Values are first averaged in batches of `batch`, of which the cut is a multiple; those at the end that
    fill none are left out. The cut d minimises sum (z[i] - mean)^2 / (m - d)^2 over the m - d batch means
    after it, d being at most half of m (White, An effective truncation heuristic for bias reduction in
    simulation output, Simulation 69, 1997; batches of 5: White, Cobb and Spratt, Winter Simulation Conference
    2000). Of equal cuts the first is taken. Raises ValueError for fewer than two batches.
    """
    if batch < 1:
        raise ValueError(f"expected a batch of at least 1 value, found {batch}")
    count = len(values) // batch
    if count < 2:
        raise ValueError(f"expected at least {2 * batch} values, found {len(values)}")
    means = [math.fsum(values[batch * i : batch * (i + 1)]) / batch for i in range(count)]
    half = count // 2
    best, cut = math.inf, 0
    # From the end forwards by Welford's recurrence: squares around the mean of all batches from d on.
    mean = squares = 0.0
    for n, d in enumerate(reversed(range(count)), 1):
        step = means[d] - mean
        mean += step / n
        squares += step * (means[d] - mean)
        if d <= half and squares / n**2 <= best:
            best, cut = squares / n**2, d
    return Mser(cut * batch, settled=cut < half)


def welch(runs: Sequence[Sequence[float | None]], window: int) -> list[float | None]:
    """The mean over all runs of each span of time, smoothed by a moving average, for the eye.

    The average at i goes over i - w to i + w, near the start over as many on either side as there are before
    it; it ends w before the series does (Welch, The statistical analysis of simulation results, 1983; Law,
    Simulation Modeling and Analysis, 5th edition, 9.5.1). None where nothing was observed.

    Parameters
    ----------
    runs : one row a run, one value a span of time; None where nothing was observed.
    window : w, from 0; 0 only averages over the runs.

    Raises
    ------
    ValueError
        For no runs, runs of different length and a window below 0.
    """
    if window < 0:
        raise ValueError(f"expected a window from 0, found {window}")
    means = _over_runs(runs)
    smooth: list[float | None] = []
    for i in range(len(means) - window):
        w = min(i, window)
        near = [value for value in means[i - w : i + w + 1] if value is not None]
        smooth.append(math.fsum(near) / len(near) if near else None)
    return smooth


class Advice(NamedTuple):
    """Whether a warm-up is long enough.

    `enough` is None when there are too few weeks to tell. `cut_weeks` is where MSER would cut, None if there
    is nothing to judge by; `weeks` is how many were looked at. `words` says it all in a sentence.
    """

    enough: bool | None
    cut_weeks: int | None
    weeks: int
    words: str


def advise(weeks: Sequence[Sequence[float | None]], warmup_weeks: int) -> Advice:
    """Whether a warm-up of so many weeks is long enough, judged by the weekly values of a KPI.

    Weeks are averaged over the runs, and MSER says where to cut: by single weeks, or by batches of 5 from 50
    weeks on (MSER-5). On its own it would cut more than the warm-up of every fourth series that never
    changes, so its word counts against a warm-up only if the weeks between the warm-up and the cut also
    differ from the later ones: by Student's t at the 1 % level (`make statistics` measures how often it is
    then wrong).

    Parameters
    ----------
    weeks : one row a run: the value of each whole week from time 0, including the warm-up; None where nothing
        was observed.
    warmup_weeks : whole weeks, from 0.

    Raises
    ------
    ValueError
        For no runs, runs of different length and a warm-up below 0.
    """
    if warmup_weeks < 0:
        raise ValueError(f"expected a warm-up from 0 weeks, found {warmup_weeks}")
    means = _over_runs(weeks)
    if len(means) < max(FEWEST, 2 * warmup_weeks):
        need = max(FEWEST, 2 * warmup_weeks)
        words = f"{_weeks(len(means))} cannot tell whether a warm-up of {_weeks(warmup_weeks)} is enough"
        return Advice(None, None, len(means), f"{words}; {need} would.")
    # A week without a value takes the place of none: the others keep their order, and their number in time.
    seen = [(week, value) for week, value in enumerate(means) if value is not None]
    values = [value for _, value in seen]
    if len(values) < FEWEST:
        words = f"Only {len(values)} of {_weeks(len(means))} have a value"
        return Advice(None, None, len(means), f"{words}; {FEWEST} are needed to judge a warm-up.")
    found = mser(values, batch=5 if len(values) >= _FOR_BATCHES else 1)
    cut = seen[found.cut][0] if found.cut else 0
    start = sum(week < warmup_weeks for week, _ in seen)
    rule = "MSER-5" if len(values) >= _FOR_BATCHES else "MSER"
    says = f"{rule} over {_weeks(len(means))} cuts {_weeks(cut)}"
    given = f"the warm-up of {_weeks(warmup_weeks)}"
    if cut <= warmup_weeks:
        return Advice(True, cut, len(means), f"{says}: {given} is long enough.")
    if not _differ(values[start : found.cut], values[found.cut :]):
        because = "those after the warm-up differ from later ones by no more than chance does"
        return Advice(True, cut, len(means), f"{says}, but {because}: {given} is long enough.")
    if not found.settled:
        return Advice(
            False, cut, len(means), f"{says}, half of all: {given} is too short, and so is the run."
        )
    return Advice(False, cut, len(means), f"{says}: {given} is too short.")


_FOR_BATCHES: Final = 50


def _differ(early: Sequence[float], late: Sequence[float]) -> bool:
    """Whether two means differ by more than chance, the spread being that of the later values."""
    mean = math.fsum(late) / len(late)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in late) / (len(late) - 1))
    error = spread * math.sqrt(1 / len(early) + 1 / len(late))
    return abs(math.fsum(early) / len(early) - mean) > t_quantile(len(late) - 1, 1.0 - _DOUBT) * error


def _over_runs(runs: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean of each span of time over the runs that have a value there."""
    if not runs:
        raise ValueError("expected at least one run, found none")
    lengths = sorted({len(run) for run in runs})
    if len(lengths) > 1:
        raise ValueError(f"expected runs of the same length, found {lengths}")
    means: list[float | None] = []
    for column in zip(*runs, strict=True):
        values = [value for value in column if value is not None]
        means.append(math.fsum(values) / len(values) if values else None)
    return means


def _weeks(count: int) -> str:
    return "1 week" if count == 1 else f"{count} weeks"
