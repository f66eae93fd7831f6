"""What many runs show: figures with intervals, paired differences, and a verdict in a sentence.

A measure is a KPI (`order_cycle_time_s`), its 50th or 95th percentile (`order_cycle_time_s.p95`), or one of
its parts (`time_by_cause_s.travel`). What counts as one observation depends on the horizon:

- terminating: a run ends as the real thing does; one value a replication.
- cyclic: weeks are alike; the whole weeks after the warm-up, of which a replication gives the mean. With one
  replication each week is a batch. Percentiles and parts stay one value a replication.
- steady: nothing changes but by chance; as cyclic, but with one replication the weeks are joined to longer
  batches.

Counts of a horizon with weeks are therefore counts of a week. Nothing runs here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from sim.kpis import KPIS
from sim.statistics import Compared, Interval, batch_means, bonferroni, family, t_interval
from sim.words import near, show

Horizon = Literal["terminating", "cyclic", "steady"]
HORIZONS: Final[dict[str, str]] = {
    "terminating": "One value a replication: a run ends as the real thing does.",
    "cyclic": "Whole weeks after the warm-up: every week is like the others.",
    "steady": "Whole weeks after the warm-up, joined to batches: nothing changes but by chance.",
}
"""What may count as one observation, and when it is right."""

WEEK_DAYS: Final = 7
CYCLIC_FROM_WEEKS: Final = 8
"""From so many weeks on, a run is taken for one whose weeks repeat, if nothing else is said."""

PERCENTILES: Final = {"p50": "median", "p95": "95th percentile"}

BEFORE_START: Final = "share_of_issues_from_before_start"
MOST_BEFORE_START: Final = 0.10
"""With a larger share of boxes that stood in the store at time 0 there is no verdict on allocation."""

ON_ALLOCATION: Final = tuple(
    f"policy.{key}" for key in ("allocation", "zones", "zone_borders", "overflow", "turnover", "decide_at")
)
"""Values that say which slot takes a box."""

Values = list[float | None]
"""One value a replication; None where nothing was observed."""


class MeasureError(ValueError):
    """A measure that there is not, or a number that makes no sense; `lines` has one line for each mistake."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(self.lines))


class Replication(NamedTuple):
    """What a replication gave: its seed, the digests of its facts and of its demand, and its measures."""

    replication: int
    seed: int
    digest: str
    demand_digest: str
    facts: int
    measures: dict[str, float | None]
    weeks: dict[str, list[float | None]]


@dataclass(frozen=True)
class Figure:
    """The mean of a measure with its interval; `n` observations, `method` as in `sim.statistics.METHODS`.

    `observations` says what they are: replications, or batches of whole weeks. Bounds are None where there is
    no interval, all of it where nothing was observed.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    method: str
    observations: str

    def to_json(self) -> dict[str, Any]:
        """The figure, ready for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Difference:
    """The difference a - b of a measure between two cells, over replications that share their seeds.

    Attributes
    ----------
    level : the level of this interval, after the correction for the number of comparisons.
    unpaired_ratio : its width over that of the same cells with seeds of their own (Welch); None where that
        is 0.
    differs : whether the interval leaves 0 out.
    same : whether every replication gave the same in both cells.
    """

    kpi: str
    a: str
    b: str
    difference: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    method: str
    level: float
    comparisons: int
    unpaired_ratio: float | None
    differs: bool
    same: bool

    def to_json(self) -> dict[str, Any]:
        """The difference, ready for JSON."""
        return dict(vars(self))

    def reversed(self) -> "Difference":
        """The same the other way round: b - a."""
        mean, low, high = (
            None if value is None else 0.0 - value for value in (self.difference, self.high, self.low)
        )
        return replace(self, a=self.b, b=self.a, difference=mean, low=low, high=high)


@dataclass(frozen=True)
class Verdict:
    """What a comparison comes to: the best cell, if there is one that stands out from all others.

    `needed` is about how many replications would tell the best from the next, were the difference as it
    looks.
    """

    kpi: str
    decided: bool
    best: str | None
    sentence: str
    level: float
    comparisons: int
    needed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The verdict, ready for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Frame:
    """What counts as an observation: the horizon, the warm-up and the level of intervals."""

    horizon: Horizon = "terminating"
    warmup_weeks: int = 0
    level: float = 0.95


# --- measures --------------------------------------------------------------------------------------------


def measures_of(kpis: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The numbers of a run's KPIs by measure: values, percentiles and parts."""
    found: dict[str, float | None] = {}
    for name, kpi in kpis.items():
        found[name] = _number(kpi["value"])
        for percentile in PERCENTILES:
            if percentile in kpi:
                found[f"{name}.{percentile}"] = _number(kpi[percentile])
        for part, value in (kpi.get("parts") or {}).items():
            if isinstance(value, int | float):
                found[f"{name}.{part}"] = _number(value)
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def check_measures(option: str, names: Sequence[str]) -> None:
    """Raise MeasureError for names whose KPI there is not, one line each."""
    wrong = [name for name in names if name.partition(".")[0] not in KPIS]
    if wrong:
        wanted = "expected a KPI (`meterhouse list kpis`), or one with .p50, .p95 or a part of it"
        raise MeasureError([f"{option}: {wanted}, found {show(name)}{near(name, KPIS)}" for name in wrong])


def check_found(option: str, names: Sequence[str], replications: Sequence[Replication]) -> None:
    """Raise MeasureError for measures that no replication has, although their KPIs exist."""
    known = {name: None for each in replications for name in each.measures}
    lines = []
    for name in names:
        if known and name not in known:
            kpi = name.partition(".")[0]
            there = [other for other in known if other.partition(".")[0] == kpi]
            lines.append(f"{option}: expected {' or '.join(there)}, found {show(name)}{near(name, there)}")
    if lines:
        raise MeasureError(lines)


def unit_of(measure: str) -> str:
    """The unit of a measure: that of its KPI."""
    return KPIS[measure.partition(".")[0]].unit


def better_of(measure: str) -> str:
    """Whether more or less of a measure is better, or neither."""
    return KPIS[measure.partition(".")[0]].better


def title_of(measure: str) -> str:
    """A measure in words: "order cycle time, 95th percentile"."""
    name, _, part = measure.partition(".")
    for unit in ("_s", "_m", "_h"):
        name = name.removesuffix(unit)
    words = name.replace("_", " ")
    return f"{words}, {PERCENTILES.get(part, part.replace('_', ' '))}" if part else words


# --- figures ---------------------------------------------------------------------------------------------


def default_horizon(days: int) -> Horizon:
    """The horizon when nothing is said: terminating below 8 weeks, cyclic from there on."""
    return "terminating" if days < CYCLIC_FROM_WEEKS * WEEK_DAYS else "cyclic"


def frame_of(horizon: Horizon, days: int, warmup_days: int, level: float = 0.95) -> Frame:
    """The frame of runs of so many days; raises MeasureError when no whole week is left after the warm-up."""
    warmup_weeks = -(-warmup_days // WEEK_DAYS)
    if horizon != "terminating" and days // WEEK_DAYS - warmup_weeks < 1:
        expected = f"expected a whole week after the warm-up for a horizon {show(horizon)}"
        raise MeasureError([f"time.days: {expected}, found {days} days less {warmup_days} of warm-up"])
    return Frame(horizon, warmup_weeks, level)


def by_weeks(measure: str, replications: Sequence[Replication], frame: Frame) -> bool:
    """Whether the observations of a measure are whole weeks."""
    return frame.horizon != "terminating" and all(measure in each.weeks for each in replications)


def values_of(measure: str, replications: Sequence[Replication], frame: Frame) -> Values:
    """One value a replication: that of the run after its warm-up, or the mean of its whole weeks."""
    if not by_weeks(measure, replications, frame):
        return [each.measures.get(measure) for each in replications]
    return [_mean(each.weeks[measure][frame.warmup_weeks :]) for each in replications]


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return math.fsum(found) / len(found) if found else None


def figure(measure: str, replications: Sequence[Replication], frame: Frame) -> Figure:
    """A measure of one cell with its interval."""
    unit = unit_of(measure)
    if len(replications) == 1 and by_weeks(measure, replications, frame):
        weeks = [week for week in replications[0].weeks[measure][frame.warmup_weeks :] if week is not None]
        batches = len(weeks) if frame.horizon == "cyclic" else min(_MOST_BATCHES, len(weeks))
        if batches >= _LEAST_BATCHES:
            found = batch_means(weeks, frame.level, batches).interval
            return _figure(found, unit, "batch-means", "whole weeks")
    values = [value for value in values_of(measure, replications, frame) if value is not None]
    kind = "whole weeks" if by_weeks(measure, replications, frame) else "replications"
    if not values:
        return Figure(None, None, None, 0, unit, "t", kind)
    return _figure(t_interval(values, frame.level), unit, "t", kind)


_MOST_BATCHES: Final = 20
_LEAST_BATCHES: Final = 3


def _figure(found: Interval, unit: str, method: str, observations: str) -> Figure:
    low, high = _bound(found.low), _bound(found.high)
    return Figure(found.mean, low, high, found.n, unit, method, observations)


def _bound(value: float) -> float | None:
    return value if math.isfinite(value) else None


def figures(replications: Sequence[Replication], frame: Frame) -> dict[str, Figure]:
    """Every measure of one cell with its interval, in the order of reading."""
    names = dict.fromkeys(name for each in replications for name in each.measures)
    order = {name: place for place, name in enumerate(KPIS)}
    ordered = sorted(names, key=lambda name: order.get(name.partition(".")[0], len(order)))
    return {name: figure(name, replications, frame) for name in ordered}


# --- differences -----------------------------------------------------------------------------------------


def differences(
    measure: str, values: Mapping[str, Values], pairs: Sequence[tuple[str, str]], frame: Frame
) -> list[Difference]:
    """The differences a - b of a measure over replications with the same seeds, corrected for their number.

    The intervals hold together with the level of the frame: each is wider, after Bonferroni, the more pairs
    there are. Replications without an observation in either cell are left out.

    Parameters
    ----------
    values : for each cell one value a replication, in the same order.
    pairs : the cells to compare, by name.
    """
    both = {pair: _both(values[pair[0]], values[pair[1]]) for pair in pairs}
    known = [pair for pair in pairs if both[pair][0]]
    many = max(1, len(pairs))
    found: dict[tuple[str, str], Compared] = {}
    if known:
        # The family is all pairs, also those without an observation: they widen the others, never narrow.
        each = 1.0 - (1.0 - bonferroni(frame.level, many)) * len(known)
        found = dict(zip(known, family([both[pair] for pair in known], each), strict=True))
    level = bonferroni(frame.level, many)
    unit = unit_of(measure)
    rows = []
    for a, b in pairs:
        one, other = both[a, b]
        compared = found.get((a, b))
        interval = compared.interval if compared else None
        mean, low, high = (
            (None, None, None) if interval is None else (interval.mean, *map(_bound, interval[1:3]))
        )
        ratio = None if interval is None else unpaired_ratio(one, other, interval, level)
        differs = low is not None and high is not None and not low <= 0.0 <= high
        row = Difference(
            measure, a, b, mean, low, high, len(one), unit, "paired-t", level, many, ratio, differs,
            same=bool(one) and one == other,
        )  # fmt: skip
        rows.append(row)
    return rows


def _both(a: Values, b: Values) -> tuple[list[float], list[float]]:
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return [x for x, _ in pairs], [y for _, y in pairs]


def unpaired_ratio(a: Sequence[float], b: Sequence[float], interval: Interval, level: float) -> float | None:
    """The width of a paired interval over that of Welch's for independent samples of the same spread.

    Welch, The generalization of "Student's" problem when several different population variances are involved,
    Biometrika 34, 1947.
    """
    n = len(a)
    if n < 2:
        return None
    parts = [_variance(values) / n for values in (a, b)]
    total = sum(parts)
    if total == 0.0:
        return None
    from scipy.special import stdtrit

    freedom = total**2 / sum(part**2 / (n - 1) for part in parts)
    width = 2.0 * float(stdtrit(freedom, (1.0 + level) / 2.0)) * math.sqrt(total)
    return (interval.high - interval.low) / width


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def all_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of cells once, in their order."""
    return [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]


def from_first(names: Sequence[str]) -> list[tuple[str, str]]:
    """The first cell against each of the others."""
    return [(names[0], b) for b in names[1:]]


# --- verdicts --------------------------------------------------------------------------------------------


def verdict(
    measure: str, means: Mapping[str, float | None], rows: Sequence[Difference], level: float = 0.95
) -> Verdict:
    """Which cell is best by a measure, in a sentence, or why that is not decided.

    The best is chosen by looking at the means, so that its comparisons are some of all pairs: `rows` has to
    hold all of them, corrected for their number. Where neither more nor less is better, the first cell is
    held against the others.
    """
    comparisons = max(1, len(rows))
    about = f"{level * 100:.4g} %" + (f" over {comparisons} comparisons" if comparisons > 1 else "")
    known = {name: mean for name, mean in means.items() if mean is not None}
    absent = [name for name in means if name not in known]
    if absent or len(known) < 2:
        who = _names(absent or list(means))
        sentence = f"not decided: nothing was observed of {title_of(measure)} in {who}"
        return Verdict(measure, False, None, sentence, level, comparisons)
    better = better_of(measure)
    if better == "neither":
        best = next(iter(known))
    else:
        best = min(known, key=lambda name: known[name] if better == "less" else -known[name])
    turned = [row if row.a == best else row.reversed() for row in rows if best in (row.a, row.b)]
    if all(row.same for row in turned):
        who = _names(list(means))
        sentence = f"no difference: {title_of(measure)} is the same in every replication of {who}"
        return Verdict(measure, False, None, sentence, level, comparisons)
    if any(row.low is None for row in turned):
        sentence = "not decided: one replication shows no spread; more are needed (--replications)"
        return Verdict(measure, False, None, sentence, level, comparisons)
    turned.sort(key=lambda row: abs(row.difference or 0.0))
    apart, together = [row for row in turned if row.differs], [row for row in turned if not row.differs]
    if not together:
        sentence = f"{title_of(measure)}: {best} is {_against(apart)}, {about}"
        return Verdict(measure, True, best if better != "neither" else None, sentence, level, comparisons)
    needed = _needed(together)
    others = _names([best, *[row.b for row in together]])
    closest = "; ".join(
        f"{row.a} less {row.b}: {span(row)}" for row in together[:_MOST_TOLD] if row.difference is not None
    )
    more = f"; {best} is {_against(apart)}" if apart else ""
    wish = (
        f"; about {needed:,} replications would tell, were the difference as it looks"
        if needed is not None and needed <= _MOST_NEEDED
        else ""
    )
    what = f"the {title_of(measure)} of {others} cannot be told apart ({closest})"
    sentence = f"not decided: {what}{more}, {about}{wish}"
    return Verdict(measure, False, None, sentence, level, comparisons, needed)


_MOST_TOLD: Final = 3
_MOST_NEEDED: Final = 100_000


def _against(rows: Sequence[Difference]) -> str:
    """What a cell is against others: "shorter by 3.1 s (2.4 to 3.8) than random"."""
    texts: list[str] = []
    word = ""
    for row in rows[:_MOST_TOLD]:
        assert row.difference is not None
        now = comparative(row.unit, is_less=row.difference < 0)
        texts.append(f"{'' if now == word else now + ' '}by {span(row, absolute=True)} than {row.b}")
        word = now
    if len(rows) > _MOST_TOLD:
        texts.append(f"by more than {_count_others(len(rows) - _MOST_TOLD)}")
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]


def _count_others(many: int) -> str:
    return "the other one" if many == 1 else f"the other {many}"


def comparative(unit: str, *, is_less: bool) -> str:
    """The word for less or more of a unit: times are shorter, counts fewer, the rest lower."""
    if unit in ("s", "h", "days"):
        return "shorter" if is_less else "longer"
    return "lower" if is_less else "higher"


def _needed(rows: Sequence[Difference]) -> int | None:
    """About how many replications would tell the nearest pair apart, by the spread of those at hand."""
    row = rows[0]
    if row.difference is None or row.low is None or row.difference == 0.0 or row.n < 2:
        return None
    half = row.difference - row.low
    return max(row.n + 1, math.ceil(row.n * (half / abs(row.difference)) ** 2))


def span(row: Difference, *, absolute: bool = False) -> str:
    """A difference with its bounds in one unit: "3.1 s (2.4 to 3.8)"; `absolute` drops the sign."""
    assert row.difference is not None
    mean, low, high = row.difference, row.low, row.high
    if absolute and mean < 0 and low is not None and high is not None:
        mean, low, high = -mean, -high, -low
    return span_text(mean, low, high, row.unit, is_difference=True)


def span_text(
    mean: float, low: float | None, high: float | None, unit: str, *, is_difference: bool = False
) -> str:
    """A number with its bounds in one unit, with as many places as the interval deserves."""
    factor, shown = scale([value for value in (mean, low, high) if value is not None], unit)
    if unit == "share" and is_difference:
        shown = "percentage points"
    if low is None or high is None:
        return f"{bare_text(mean, low, high, factor)} {shown}".rstrip()
    text, _, bounds = bare_text(mean, low, high, factor).partition(" ")
    return f"{f'{text} {shown}'.rstrip()} {bounds}".rstrip()


def bare_text(mean: float, low: float | None, high: float | None, factor: float = 1.0) -> str:
    """A number with its bounds and no unit, with as many places as the interval deserves."""
    if low is None or high is None:
        return f"{mean * factor:,.0f}" if abs(mean * factor) >= 100 else f"{mean * factor:.3g}"
    half = (high - low) / 2 * factor
    if half <= 0:
        return bare_text(mean, None, None, factor)
    text, *bounds = (_rounded(value * factor, half) for value in (mean, low, high))
    return f"{text} ({' to '.join(bounds)})"


def scale(values: Sequence[float], unit: str) -> tuple[float, str]:
    """What to multiply values of a unit with, and the unit that they then have: the one that says most."""
    if unit == "share":
        return 100.0, "%"
    largest = max((abs(value) for value in values), default=0.0)
    seconds = {"s": 1.0, "h": 3600.0, "days": 86_400.0}.get(unit)
    if seconds is None or (unit != "s" and largest >= 1):
        return 1.0, unit
    if largest * seconds < 120:
        return seconds, "s"
    return (seconds / 60, "min") if largest * seconds < 7200 else (seconds / 3600, "h")


def _rounded(value: float, reach: float) -> str:
    """A number with the places of the first digit of what it may be off by; one more where that is 1 or 2."""
    power = math.floor(math.log10(reach))
    places = min(6, max(0, (1 if reach < 3 * 10.0**power else 0) - power))
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text


def _names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
