"""A study answered: the sentence with its interval, and how far what is not known could change it.

Two bands stand beside each answer. The first is the noise of the simulation: paired differences with
intervals. The second is what is not known: all assumptions with a stated range are drawn from it at once, by
a Latin hypercube, the same draw for both cells. Where that band spans zero the answer is not decided by what
is known. For the most influential inputs bisection finds the value at which the answer flips, all others at
their defaults. Left out: what no scenario value says, such as another building.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from itertools import pairwise
from statistics import fmean
from typing import Any, Final, NamedTuple

from sim.assumed import Range, drawn, held, is_whole
from sim.designs import Factor, Whole, latin_hypercube
from sim.designs import Range as Between
from sim.experiment import Cell as Configuration
from sim.experiment import Runs, StudyError, settling
from sim.figures import BEFORE_START, MOST_BEFORE_START, ON_ALLOCATION, Replication, frame_of, unpaired_ratio
from sim.kpis import KPIS
from sim.scenario import Scenario, ScenarioError, build_layout, field_facts, from_dict, load, resolved
from sim.statistics import Interval, bonferroni, paired, t_interval
from sim.studyfile import LAYOUT, PROFILES, MeasureParams, Study, blank_of, blanks, filled
from sim.trace import MODEL_VERSION

Values = list[float | None]
"""One value a replication; None where nothing was observed."""

MOST_FLIPS: Final = 3
"""Flip points are sought for so many inputs."""

BISECTIONS: Final = 5
"""Halvings of a range: a flip point is known to 1/32 of it."""

BAND: Final = 0.9
"""The band of the assumptions holds this share of the draws: extremes only grow with the number of draws."""


@dataclass
class Answer:
    """The answer to a study: a sentence, whether it is decided, and the figures behind it."""

    name: str
    number: int | None
    question: str
    answer: str
    decided: bool
    status: str
    picture: dict[str, Any]
    cells: list[dict[str, Any]]
    paired: list[dict[str, Any]]
    bands: dict[str, Any]
    flips: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    relies_on: list[dict[str, Any]]
    missing: str
    notes: list[str]
    seed: int
    replications: int
    days: int
    horizon: str
    model_version: str
    costs: dict[str, Any]
    profiles: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What to know before the answer is believed: warm-ups that are too short."""
    replicated: list[list[Replication]] = field(default_factory=list, repr=False)
    """The replications of each cell; they and what was observed in them are no part of the document."""
    observed: list[dict[str, Values]] = field(default_factory=list, repr=False)
    """The measures of each cell, one value a replication."""

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for JSON.

        A bound that is not finite is null, for there is none; a value that a cell sets to infinity is "inf",
        as in a resolved scenario, and is read back as that.
        """
        left_out = ("replicated", "observed")
        found = _plain({name: value for name, value in vars(self).items() if name not in left_out})
        assert isinstance(found, dict)
        return found


def answer(
    study: Study,
    runs: Runs | None = None,
    *,
    replications: int | None = None,
    costs: Mapping[str, float] | None = None,
    bands: bool = True,
    profiles: bool = False,
) -> Answer:
    """Run a study and answer it.

    Parameters
    ----------
    study : the question.
    runs : where replications come from; this process if not given.
    replications : instead of those of the study, from 2.
    costs : money by the names that the study has for its costs.
    bands : whether the ranges of the assumptions are drawn and flip points sought.
    profiles : whether the answer is repeated for every slot profile.

    Raises
    ------
    StudyError
        When a run fails.
    ScenarioError
        When a cell is no scenario.
    """
    many = study.params.replications if replications is None else replications
    if many < 2:
        raise ScenarioError([f"--replications: expected at least 2, found {many}"])
    given = dict(costs or {})
    unknown = sorted(set(given) - set(study.params.costs))
    if unknown:
        known = ", ".join(study.params.costs) or "no costs"
        raise ScenarioError([f"--cost: expected {known}, found '{unknown[0]}'"])
    if profiles and not study.params.profiles:
        raise ScenarioError(
            [f"--profiles: expected a study that leaves the profile open, found {study.name}"]
        )
    place = runs or Runs()
    found = _Answering(study, place, many, given)
    place.claim("study", found.configurations, study.params.seed, study=study.name)
    document = found.document()
    if bands and document.status != "open":
        _add_bands(found, document)
    if profiles:
        _add_profiles(found, document)
    return document


# --- one set of cells ---------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What the runs show in one situation.

    Attributes
    ----------
    status : one of `studyfile.STATUSES`.
    best, other : numbers of the cells that it is about; the same under 'limit' and 'estimate' where there is
        no other.
    difference : of the measure that decides, best - other; None under 'limit' and 'estimate'.
    sides : under 'limit', of each cell whether it is within, beyond or open.
    """

    status: str
    best: int
    other: int
    difference: Interval | None
    sides: tuple[str, ...] = ()


class _Answering:
    """The cells of a study with their values, and what follows from them."""

    def __init__(
        self,
        study: Study,
        runs: Runs,
        replications: int,
        costs: Mapping[str, float],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.study, self.params, self.runs, self.costs = study, study.params, runs, costs
        self.replications = replications
        self.cells = study.cells()
        self.more = dict(more or {})
        scenarios = [study.scenario(cell, self.more) for cell in self.cells]
        self.files = load(study.base).files()
        self.configurations = [self.configuration(n, scenario) for n, scenario in enumerate(scenarios)]
        self.scenarios = [each.resolved for each in self.configurations]
        self.outcomes = self.run([(each, range(replications)) for each in self.configurations])
        self.groups = [group.name for group in self.params.groups] or [""]
        self._values: dict[tuple[int, str], Values] = {}

    def configuration(self, number: int, scenario: Scenario) -> Configuration:
        """A cell as runs take it."""
        return Configuration(
            self.cells[number].shown, self.cells[number].sets, resolved(scenario), self.files
        )

    def run(self, wanted: Sequence[tuple[Configuration, Iterable[int]]]) -> list[list[Replication]]:
        """Some replications of configurations; raises StudyError for each that failed."""
        rows = [
            (number, configuration, replication)
            for number, (configuration, replications) in enumerate(wanted)
            for replication in replications
        ]
        found: list[list[Replication]] = [[] for _ in wanted]
        failed = []
        for (number, configuration, replication), each in zip(
            rows, self.runs.get(rows, self.params.seed), strict=True
        ):
            if isinstance(each, Replication):
                found[number].append(each)
            else:
                failed.append(f"{configuration.name}, replication {replication}: {each.reason}")
        if failed:
            raise StudyError(failed)
        return found

    def measured(
        self, number: int, configuration: Configuration, replications: Sequence[Replication], name: str
    ) -> Values:
        """A measure of some replications of a cell, or of what a draw has made of it."""
        params = self.params.measures[name]
        layout = (
            layout_figures(configuration.resolved) if params.kpi in LAYOUT or params.per in LAYOUT else {}
        )
        own = next(cell.costs for cell in self.params.cells if cell.name == self.cells[number].name)
        return [measured(each, params, self.costs, layout, own) for each in replications]

    def members(self, group: str) -> list[int]:
        """The numbers of the cells of a group."""
        return [number for number, cell in enumerate(self.cells) if cell.group == group]

    def number(self, name: str, group: str) -> int:
        """The number of a cell."""
        return next(n for n, cell in enumerate(self.cells) if (cell.name, cell.group) == (name, group))

    def values(self, number: int, measure: str) -> Values:
        """A measure of a cell, one value a replication."""
        key = (number, measure)
        if key not in self._values:
            configuration = self.configurations[number]
            self._values[key] = self.measured(number, configuration, self.outcomes[number], measure)
        return self._values[key]

    def interval(self, number: int, measure: str) -> Interval | None:
        """A measure of a cell with its interval; None where nothing was observed."""
        found = [value for value in self.values(number, measure) if value is not None]
        return _possible(t_interval(found), found, self.unit(measure)) if found else None

    def difference(self, a: int, b: int, measure: str, level: float = 0.95) -> Interval | None:
        """The paired difference a - b."""
        pairs = _pairs(self.values(a, measure), self.values(b, measure))
        return paired([x for x, _ in pairs], [y for _, y in pairs], level) if pairs else None

    def ratio(self, a: int, b: int, measure: str, level: float = 0.95) -> Interval | None:
        """The ratio of a to b, by the logarithm of each pair; None where a value is not above 0."""
        pairs = _pairs(self.values(a, measure), self.values(b, measure))
        if not pairs or any(x <= 0 or y <= 0 for x, y in pairs):
            return None
        logs = t_interval([math.log(x / y) for x, y in pairs], level)
        return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.n)

    def level(self, group: str) -> float:
        """The level of each interval that decides in a group, so that all of them hold together with 95 %."""
        many = len(self.members(group))
        if self.params.decides.kind == "estimate":
            return 0.95  # nothing is compared
        if self.params.decides.kind == "best":
            against = self.params.decides.baseline is not None
            return bonferroni(0.95, max(1, many - 1 if against else many * (many - 1) // 2))
        return bonferroni(0.95, many)

    def unit(self, measure: str) -> str:
        """The unit of a measure."""
        return unit_of(self.params.measures[measure])

    # --- verdicts

    def verdict(self, group: str) -> Verdict:
        """What the runs show in a situation."""
        kind = self.params.decides.kind
        return {"best": self._best, "limit": self._limit, "estimate": self._estimate}[kind](group)

    def _best(self, group: str) -> Verdict:
        decides = self.params.decides
        sign = 1.0 if decides.better == "less" else -1.0
        members = [n for n in self.members(group) if self.interval(n, decides.measure) is not None]
        if len(members) < 2:
            return Verdict("open", self.members(group)[0], self.members(group)[-1], None)

        def rank(number: int) -> float:
            found = self.interval(number, decides.measure)
            assert found is not None
            return sign * found.mean

        ranked = sorted(members, key=rank)
        best, other = ranked[0], ranked[1]
        if decides.baseline is not None:
            other = self.number(decides.baseline, group)
            best = next(number for number in ranked if number != other)
        found = self.difference(best, other, decides.measure, self.level(group))
        if found is None or found.n < 2:
            return Verdict("open", best, other, found)
        low, high = sorted((sign * found.low, sign * found.high))
        if -decides.matters <= low and high <= decides.matters:
            return Verdict("equal", best, other, found)
        if high < 0:
            return Verdict("wins", best, other, found)
        if low > 0:  # a baseline that is better than all others
            return Verdict("wins", other, best, Interval(-found.mean, -found.high, -found.low, found.n))
        return Verdict("open", best, other, found)

    def _limit(self, group: str) -> Verdict:
        decides = self.params.decides
        members = self.members(group)
        sides = []
        for number in members:
            found = self.against_limit(number, self.level(group))
            if found is None:
                sides.append("open")
                continue
            low, high = (found.low, found.high) if decides.better == "less" else (-found.high, -found.low)
            sides.append("within" if high <= 0 else "beyond" if low > 0 else "open")
        if all(side == "within" for side in sides):
            return Verdict("within", members[-1], members[-1], None, tuple(sides))
        if all(side == "beyond" for side in sides):
            return Verdict("beyond", members[0], members[0], None, tuple(sides))
        within = [number for number, side in zip(members, sides, strict=True) if side == "within"]
        beyond = [number for number, side in zip(members, sides, strict=True) if side == "beyond"]
        if not within or not beyond:
            return Verdict("open", members[0], members[-1], None, tuple(sides))
        if within[0] < beyond[0]:
            first = beyond[0]
            return Verdict("crossed", max(n for n in within if n < first), first, None, tuple(sides))
        last = beyond[-1]
        after = [n for n in within if n > last]
        best = after[0] if after else within[-1]
        return Verdict("crossed", best, max(n for n in beyond if n < best or not after), None, tuple(sides))

    def against_limit(self, number: int, level: float = 0.95) -> Interval | None:
        """A cell's value less the limit, which may be a multiple of another cell's value."""
        values = self.limit_gaps(number)
        found = [value for value in values if value is not None]
        return t_interval(found, level) if len(found) > 1 else None

    def limit_gaps(self, number: int) -> Values:
        """A cell's value less the limit, one a replication."""
        decides = self.params.decides
        assert decides.limit is not None
        values = self.values(number, decides.measure)
        if decides.relative_to is None:
            return [None if value is None else value - decides.limit for value in values]
        base = self.values(self.number(decides.relative_to, self.cells[number].group), decides.measure)
        return [
            None if value is None or other is None else value - decides.limit * other
            for value, other in zip(values, base, strict=True)
        ]

    def _estimate(self, group: str) -> Verdict:
        decides, members = self.params.decides, self.members(group)
        known = True
        for number in members:
            found = self.interval(number, decides.measure)
            if found is None or found.n < 2:
                known = False
                continue
            widest = 2 * max(decides.precision * abs(found.mean), decides.matters)
            known = known and found.high - found.low <= widest
        return Verdict("known" if known else "open", members[0], members[0], None)

    # --- the document

    def refusal(self) -> str:
        """Why there is no verdict on allocation yet; empty when there can be one."""
        if not any(path in cell.sets for cell in (*self.params.cells,) for path in ON_ALLOCATION):
            return ""
        shares = [each.measures.get(BEFORE_START) or 0.0 for found in self.outcomes for each in found]
        most = max(shares)
        if most <= MOST_BEFORE_START:
            return ""
        return (
            f"No verdict on allocation: up to {most:.0%} of the boxes served stood in the store at time 0,"
            f" more than {MOST_BEFORE_START:.0%}; a longer warm-up is needed."
        )

    def document(self) -> Answer:
        """The answer without bands."""
        params, decides = self.params, self.params.decides
        focus = decides.focus or ""
        verdict = self.verdict(focus)
        refused = self.refusal()
        status = "open" if refused else verdict.status
        text = refused or self.sentence(focus)
        days = self.scenarios[0]["time"]["days"]
        return Answer(
            name=self.study.name, number=params.number, question=params.question, answer=text,
            decided=status != "open", status=status,
            picture={**params.picture.model_dump(), "measure": params.picture.measure or decides.measure},
            cells=[self._cell(n) for n in range(len(self.cells))],
            paired=list(self._paired()), bands={"noise": self._noise(verdict)}, flips=[],
            verdicts=[self._verdict(group) for group in self.groups],
            relies_on=[{"part": part.part, "key": part.key, "off": part.off} for part in params.relies_on],
            missing=params.missing, notes=self._notes(), seed=params.seed, replications=self.replications,
            days=days, horizon=params.horizon, model_version=str(MODEL_VERSION),
            costs={name: {"words": words, "value": self.costs.get(name)}
                   for name, words in params.costs.items()},
            replicated=self.outcomes,
            observed=[
                {name: self.values(n, name) for name in params.measures} for n in range(len(self.cells))
            ],
            warnings=list(self._warnings()),
        )  # fmt: skip

    def sentence(self, focus: str) -> str:
        """The answer of the runs in words: the sentence of its status, and that with costs where given."""
        verdict = self.verdict(focus)
        text = self.params.answers.get(verdict.status) or self._default(verdict)
        if self.params.with_costs is not None and set(self.costs) == set(self.params.costs):
            text = f"{text} {self.params.with_costs}"
        return filled(text, {blank: self.fill(blank) for blank in blanks(text)})

    def _default(self, verdict: Verdict) -> str:
        runs = f"{self.replications} runs"
        where = f" | {self.params.decides.focus}" if self.params.decides.focus else ""
        if self.params.decides.kind == "best":
            pair, by = f"{{best{where}}} and {{runner up{where}}}", f"{{difference{where}}}"
            if verdict.status == "equal":
                return f"Between {pair} there is no difference that matters: {by}."
            return f"{runs} do not decide between {pair}: {by}."
        if self.params.decides.kind == "limit":
            if verdict.status == "within":
                return "All keep the limit of {limit}."
            if verdict.status == "beyond":
                return "None keeps the limit of {limit}."
            return f"{runs} do not decide where the limit of {{limit}} is crossed."
        return f"{runs} do not tell it well enough: {{{self.cells[verdict.best].name}{where}}}."

    def fill(self, blank: str) -> str:
        """What stands in a blank."""
        meant = blank_of(blank, self.params)
        assert meant is not None
        measure, unit = meant.measure, self.unit(meant.measure)
        groups = [group or self.params.decides.focus or "" for _, group in meant.cells]
        verdict = self.verdict(groups[0]) if not meant.cells[0][0] else None
        if verdict is not None:
            return self._special(meant.what, verdict, measure, groups[0])
        if meant.what == "crossing":
            return self._crossing(meant.cells[0][0], meant.cells[1][0], measure)
        numbers = [self.number(*cell) for cell in meant.cells]
        # Cells of one situation are compared with one another: these are some of the corrected comparisons.
        is_one = self.params.decides.kind == "best" and len(set(groups)) == 1
        level = self.level(groups[0]) if is_one else 0.95
        if meant.what == "value":
            return told(self.interval(numbers[0], measure), unit)
        if meant.what == "difference":
            return told(self.difference(numbers[0], numbers[1], measure, level), unit)
        ratio = self.ratio(numbers[0], numbers[1], measure, level)
        if ratio is None:
            return "an unknown ratio"
        if meant.what == "ratio":
            return told(ratio, "")
        return told(Interval(ratio.mean - 1, ratio.low - 1, ratio.high - 1, ratio.n), "share")

    def _special(self, what: str, verdict: Verdict, measure: str, group: str) -> str:
        names = {"best": verdict.best, "runner up": verdict.other, "last within": verdict.best,
                 "first beyond": verdict.other}  # fmt: skip
        if what in names:
            return self.cells[names[what]].name
        if what.startswith("at "):
            return told(self.interval(names[what.removeprefix("at ")], measure), self.unit(measure))
        if what in ("within", "beyond"):
            sides = zip(self.members(group), verdict.sides, strict=True)
            return _listed([self.cells[number].name for number, side in sides if side == what])
        if what == "difference":
            found = self.difference(verdict.best, verdict.other, measure, self.level(group))
            return told(found, self.unit(measure))
        if what == "limit":
            return self._limit_words()
        if what == "count":
            return str(len(self.members(group)))
        return str(self.replications if what == "replications" else self.scenarios[0]["time"]["days"])

    def _limit_words(self) -> str:
        decides = self.params.decides
        limit = decides.limit or 0.0
        if decides.relative_to is not None:
            return f"{limit:g} times {decides.relative_to}"
        return amount(limit, self.unit(decides.measure))

    def _crossing(self, a: str, b: str, measure: str) -> str:
        """Where over the x of the groups the mean of a - b changes its sign, by a straight line."""
        line = []
        for group in self.params.groups:
            found = self.difference(self.number(a, group.name), self.number(b, group.name), measure)
            if found is not None and group.x is not None:
                line.append((group.x, found.mean))
        for (x0, y0), (x1, y1) in pairwise(line):
            if (y0 <= 0 < y1) or (y1 <= 0 < y0):
                return amount(float(f"{x0 + (x1 - x0) * y0 / (y0 - y1):.3g}"), "")
        if not line:
            return "nowhere"
        return f"nowhere from {line[0][0]:g} to {line[-1][0]:g}"

    def _cell(self, number: int) -> dict[str, Any]:
        cell = self.cells[number]
        kpis = {}
        for name, measure in self.params.measures.items():
            found = self.interval(number, name)
            kpis[name] = {
                **_bounds(found), "unit": self.unit(name), "words": measure.words,
                "method": "t interval over replications, cut to what is possible",
            }  # fmt: skip
        return {
            "name": cell.name,
            "group": cell.group,
            "x": cell.x,
            "group_x": next((each.x for each in self.params.groups if each.name == cell.group), None),
            "set": _readable(cell.sets),
            "kpis": kpis,
        }

    def _paired(self) -> Iterable[dict[str, Any]]:
        decides = self.params.decides
        for group in self.groups:
            members = self.members(group)
            pairs = [(a, b) for index, a in enumerate(members) for b in members[index + 1 :]]
            if decides.baseline is not None:
                base = self.number(decides.baseline, group)
                pairs = [(a, base) for a in members if a != base]
            level = bonferroni(0.95, max(1, len(pairs)))
            for a, b in pairs:
                found = self.difference(a, b, decides.measure, level)
                yield {
                    "kpi": decides.measure, "a": self.cells[a].shown, "b": self.cells[b].shown,
                    **_bounds(found, "difference"), "unpaired_ratio": self._width(a, b, found, level),
                    "unit": self.unit(decides.measure),
                    "method": f"paired by common random numbers, Bonferroni for {len(pairs)}",
                }  # fmt: skip

    def _width(self, a: int, b: int, found: Interval | None, level: float) -> float | None:
        """The width of a paired interval over that with other seeds in each cell."""
        measure = self.params.decides.measure
        pairs = _pairs(self.values(a, measure), self.values(b, measure))
        if found is None:
            return None
        return unpaired_ratio([x for x, _ in pairs], [y for _, y in pairs], found, level)

    def _noise(self, verdict: Verdict) -> dict[str, Any]:
        """The band of the simulation's noise, of what decides: as wide as the interval that decides."""
        level = self.level(self.params.decides.focus or "")
        contrast = self.contrast(verdict)
        found = [value for value in contrast.values(self.limit_or_values) if value is not None]
        interval = t_interval(found, level) if found else None
        unit = self.unit(self.params.decides.measure)
        return {"of": contrast.words, **_bounds(interval), "level": level, "unit": unit}

    def limit_or_values(self, number: int) -> Values:
        """What a contrast is made of: the gap to the limit, or the value."""
        if self.params.decides.kind == "limit":
            return self.limit_gaps(number)
        return self.values(number, self.params.decides.measure)

    def contrast(self, verdict: Verdict) -> "Contrast":
        """The number whose sign is the answer."""
        kind = self.params.decides.kind
        best, other = self.cells[verdict.best].shown, self.cells[verdict.other].shown
        if kind == "best":
            return Contrast((verdict.best, verdict.other), f"{best} - {other}", has_sign=True)
        if kind == "limit":
            return Contrast((verdict.best,), f"{best} - {self._limit_words()}", has_sign=True)
        return Contrast((verdict.best,), best, has_sign=False)

    def _verdict(self, group: str) -> dict[str, Any]:
        verdict = self.verdict(group)
        return {
            "group": group, "status": verdict.status, "best": self.cells[verdict.best].name,
            "other": self.cells[verdict.other].name, **_bounds(verdict.difference, "difference"),
            "sides": {
                self.cells[n].name: side
                for n, side in zip(self.members(group), verdict.sides, strict=False)
            },
        }  # fmt: skip

    def _warnings(self) -> Iterator[str]:
        """The cells whose warm-up is too short, by the weeks of the measure that decides.

        Only where weeks are alike or steady: what ends is measured as it is.
        """
        kpi = self.params.measures[self.params.decides.measure].kpi
        for configuration, made in zip(self.configurations, self.outcomes, strict=True):
            days, warmup_days = configuration.days, configuration.warmup_days
            if self.params.horizon == "terminating" or days // 7 <= -(-warmup_days // 7):
                continue
            found = settling(configuration.name, kpi, made, frame_of(self.params.horizon, days, warmup_days))
            if found is not None and found.enough is False:
                yield found.sentence

    def _notes(self) -> list[str]:
        decides = self.params.decides
        many = len(self.members(self.groups[0]))
        notes = [f"{self.replications} runs a cell, seeds from {self.params.seed}, the same in every cell."]
        if decides.kind == "best":
            pairs = many - 1 if decides.baseline else many * (many - 1) // 2
            notes.append(
                f"Intervals of differences hold together with 95 %, corrected for {pairs}"
                f" comparison{'s' * (pairs != 1)} (Bonferroni); those of single cells hold with 95 % each."
            )
        elif decides.kind == "limit":
            notes.append(
                f"Intervals against the limit hold together with 95 % for {many} cells (Bonferroni)."
            )
        return notes


class Contrast(NamedTuple):
    """What decides as one number: the value of a cell, or the difference of two; its sign is the answer."""

    cells: tuple[int, ...]
    words: str
    has_sign: bool

    def values(self, of: Callable[[int], Values]) -> Values:
        """One value a replication."""
        if len(self.cells) == 1:
            return of(self.cells[0])
        return [
            None if x is None or y is None else x - y
            for x, y in zip(of(self.cells[0]), of(self.cells[1]), strict=True)
        ]


def measured(
    replication: Replication,
    params: MeasureParams,
    costs: Mapping[str, float],
    layout: Mapping[str, float] | None = None,
    own: Sequence[str] = (),
) -> float | None:
    """A measure of one replication; None where nothing was observed, or where its cost is not given.

    Parameters
    ----------
    costs : money by name.
    layout : what the racks hold, from `layout_figures`.
    own : the costs that the cell has beside what is measured.
    """
    if params.weeks_below is not None:
        return _days_until_below(replication.weeks[params.kpi], params.weeks_below)

    def value_of(name: str) -> float | None:
        if layout and name in layout:
            return layout[name]
        found = replication.measures.get(name)
        # A part that did not come up is not among the parts: where its KPI has a value, it is none of it.
        is_empty_part = name not in replication.measures and replication.measures.get(name.partition(".")[0])
        return 0.0 if found is None and is_empty_part is not None and "." in name else found

    value = value_of(params.kpi)
    for kpi in params.times:
        other = value_of(kpi)
        value = None if value is None or other is None else value * other
    if value is None:
        return None
    value *= params.factor
    if params.per is not None:
        by = value_of(params.per)
        if not by:
            return None
        value /= by
    if params.cost is not None:
        if params.cost not in costs:
            return None
        value *= costs[params.cost]
        if any(cost not in costs for cost in own):
            return None
        value += sum(costs[cost] for cost in own)
    return value


def layout_figures(values: Mapping[str, Any]) -> dict[str, float]:
    """What the racks of a resolved scenario hold: the names of `studyfile.LAYOUT`."""
    layout = build_layout(from_dict(values))
    return {"layout.slots": layout.slots, "layout.boxes": layout.boxes, "layout.meters": layout.meters}


def unit_of(params: MeasureParams) -> str:
    """The unit of a measure."""
    if params.unit is not None:
        return params.unit
    return "days" if params.weeks_below is not None else KPIS[params.kpi.partition(".")[0]].unit


def _days_until_below(weeks: Sequence[float | None], limit: float) -> float:
    """Days until the middle of the first week whose value is below a limit; all days where none is."""
    for number, value in enumerate(weeks):
        if value is not None and value < limit:
            return 7.0 * number + 3.5
    return 7.0 * len(weeks)


# --- what is not known ------------------------------------------------------------------------------------


def _add_bands(found: _Answering, document: Answer) -> None:
    """Draw the assumptions from their ranges, find flip points, and say so in the answer."""
    params = found.params
    verdict = found.verdict(params.decides.focus or "")
    contrast = found.contrast(verdict)
    cells = _needed(found, contrast)
    chosen, fixed = drawn([found.scenarios[n] for n in cells], found.study.taken(), params.ranges)
    document.bands["fixed"] = fixed
    if not chosen:
        document.notes.append("No assumption of this question has a stated range: all stay fixed.")
        return
    draw = _Drawing(found, contrast, cells, chosen)
    document.bands["assumptions"] = band = draw.band()
    left = sum(1 for why in fixed.values() if why == "no stated range")
    document.notes.append(
        f"{len(chosen)} assumptions are drawn from their stated ranges; {left} have none and stay fixed."
    )
    unit = found.unit(params.decides.measure)
    if band["low"] is None:
        document.notes.append("The draws showed nothing of the measure that decides.")
        return
    span = f"{between(band['low'], band['high'], unit)} in {_of(band['within'], band['draws'])}"
    if not contrast.has_sign:
        document.answer += f" Over the stated ranges of {len(chosen)} assumptions: {span}."
        return
    document.flips = draw.flips()
    words = contrast.words
    if document.status == "equal":
        decided = -params.decides.matters <= band["low"] and band["high"] <= params.decides.matters
    else:
        nominal = document.bands["noise"]["mean"] or 0.0
        decided = band["low"] * nominal > 0 and band["high"] * nominal > 0
    if decided:
        document.answer += (
            f" That holds over the stated ranges of {len(chosen)} assumptions: {words} is {span}."
        )
    else:
        document.decided = False
        document.answer = (
            f"Not decided by what is known: over the stated ranges of {len(chosen)} assumptions {words} is"
            f" {span}. With the defaults: {document.answer}"
        )
    told_flips = [flip["text"] for flip in document.flips if flip["at"] is not None]
    if told_flips and document.status != "equal":
        document.answer += f" It flips {'; '.join(told_flips)}."


def _needed(found: _Answering, contrast: Contrast) -> list[int]:
    """The cells that a contrast needs to be simulated."""
    needed = list(contrast.cells)
    relative = found.params.decides.relative_to
    if relative is not None:
        needed.append(found.number(relative, found.cells[needed[0]].group))
    return list(dict.fromkeys(needed))


class _Drawing:
    """Draws of the assumptions for the cells of a contrast."""

    def __init__(
        self, found: _Answering, contrast: Contrast, cells: Sequence[int], ranges: Mapping[str, Range]
    ) -> None:
        self.found, self.contrast, self.cells, self.ranges = found, contrast, list(cells), ranges
        self.study, self.params = found.study, found.params
        self.refused: list[str] = []
        self.kept: list[tuple[dict[str, Any], float]] = []

    def band(self) -> dict[str, Any]:
        """The band of the contrast over the draws; draw k has the seed of replication k, in both cells."""
        many = self.params.bands.draws
        factors: dict[str, Factor] = {
            path: Whole(int(each.low), int(each.high)) if is_whole(path) else Between(each.low, each.high)
            for path, each in self.ranges.items()
        }
        points = [
            {path: _rounded(value) for path, value in point.items()}
            for point in latin_hypercube(factors, many, self.params.seed)
        ]
        found = self._contrasts([(point, [number]) for number, point in enumerate(points)])
        self.kept = [(point, value) for point, value in zip(points, found, strict=True) if value is not None]
        values = sorted(value for _, value in self.kept)
        low, high = _central(values) if values else (None, None)
        nominal = self._noise_mean()
        opposite = sum(1 for value in values if nominal is not None and value * nominal < 0)
        return {
            "of": self.contrast.words, "unit": self.found.unit(self.params.decides.measure), "low": low,
            "high": high, "least": values[0] if values else None, "most": values[-1] if values else None,
            "mean": fmean(values) if values else None, "draws": len(values), "drawn": many,
            "within": len(values) - 2 * _outside(len(values)),
            "opposite": opposite, "refused": self.refused[:3], "design": "latin hypercube",
            "inputs": {
                path: {
                    "low": each.low, "high": each.high, "source": each.source,
                    "value": held(self.found.scenarios[self.cells[0]], path),
                    "influence": self._influence(path),
                }
                for path, each in self.ranges.items()
            },
        }  # fmt: skip

    def influential(self) -> list[str]:
        """The inputs by their influence on the contrast, strongest first: rank correlation over the draws."""
        return sorted(self.ranges, key=lambda path: (-abs(self._influence(path)), path))

    def flips(self) -> list[dict[str, Any]]:
        """Where the sign of the contrast changes as one input goes through its range, the others as they are.

        For the most influential inputs, by bisection, of all of them side by side.
        """
        paths = self.influential()[:MOST_FLIPS]
        ends = [(path, end) for path in paths for end in (self.ranges[path].low, self.ranges[path].high)]
        found = self._at(ends)
        at = {path: (found[2 * k], found[2 * k + 1]) for k, path in enumerate(paths)}
        brackets = {
            path: (float(self.ranges[path].low), float(self.ranges[path].high))
            for path, (low, high) in at.items()
            if low is not None and high is not None and low * high < 0
        }
        for _ in range(BISECTIONS):
            middles = {path: _middle(path, *bracket) for path, bracket in brackets.items()}
            asked = [(path, middle) for path, middle in middles.items() if middle not in brackets[path]]
            for (path, middle), value in zip(asked, self._at(asked), strict=True):
                low = at[path][0]
                if value is not None and low is not None:
                    below, above = brackets[path]
                    brackets[path] = (middle, above) if value * low > 0 else (below, middle)
        return [self._flip(path, at[path], brackets.get(path)) for path in paths]

    def _flip(
        self, path: str, ends: tuple[float | None, float | None], bracket: tuple[float, float] | None
    ) -> dict[str, Any]:
        """A flip point, or that there is none in the range."""
        each = self.ranges[path]
        document: dict[str, Any] = {
            "input": path, "unit": field_facts(tuple(path.split("."))).get("unit", ""),
            "value": held(self.found.scenarios[self.cells[0]], path), "low": each.low, "high": each.high,
            "at_low": ends[0], "at_high": ends[1], "influence": self._influence(path), "at": None,
            "runs": self.params.bands.runs,
            "text": f"nowhere for {path} from {_input(path, each.low)} to {_input(path, each.high)}",
        }  # fmt: skip
        if bracket is None or ends[0] is None:
            return document
        below, above = bracket
        # On which side of the flip the answer of the defaults does not hold.
        is_under = ends[0] * (self._noise_mean() or 0.0) < 0
        if is_whole(path):
            document["at"] = above if is_under else below
            side = "under" if is_under else "over"
        else:
            document["at"] = (below + above) / 2
            side = "under" if is_under else "over"
        document["text"] = f"where {path} is {side} {_input(path, document['at'])}"
        return document

    def _noise_mean(self) -> float | None:
        found = [v for v in self.contrast.values(self.found.limit_or_values) if v is not None]
        return fmean(found) if found else None

    def _at(self, points: Sequence[tuple[str, float]]) -> list[float | None]:
        """The mean contrast with one input set, for each of some points."""
        runs = range(self.params.bands.runs)
        return self._contrasts(
            [({path: int(value) if is_whole(path) else _rounded(value)}, runs) for path, value in points]
        )

    def _contrasts(self, points: Sequence[tuple[Mapping[str, Any], Iterable[int]]]) -> list[float | None]:
        """The mean contrast at points, each with its replications; None where a scenario refuses a point."""
        made = [self._configurations(point) for point, _ in points]
        wanted = [
            (configuration, list(replications))
            for configurations, (_, replications) in zip(made, points, strict=True)
            for configuration in configurations or ()
        ]
        outcomes = iter(self.found.run(wanted))
        found: list[float | None] = []
        for configurations in made:
            if configurations is None:
                found.append(None)
                continue
            there = {
                number: (configuration, next(outcomes))
                for number, configuration in zip(self.cells, configurations, strict=True)
            }
            found.append(self._value(there))
        return found

    def _configurations(self, point: Mapping[str, Any]) -> list[Configuration] | None:
        """The cells at a point; None, with a note, where a scenario refuses it."""
        more = {**self.found.more, **point}
        if self.params.bands.days is not None:
            more["time.days"] = self.params.bands.days
        try:
            return [
                self.found.configuration(n, self.study.scenario(self.found.cells[n], more))
                for n in self.cells
            ]
        except ScenarioError as error:
            self.refused += error.lines[:1]
            return None

    def _value(self, outcomes: Mapping[int, tuple[Configuration, Sequence[Replication]]]) -> float | None:
        """The mean contrast of some outcomes."""
        decides = self.params.decides

        def of(number: int) -> Values:
            values = self.found.measured(number, *outcomes[number], decides.measure)
            if decides.kind != "limit" or decides.limit is None:
                return values
            if decides.relative_to is None:
                return [None if value is None else value - decides.limit for value in values]
            other = self.found.number(decides.relative_to, self.found.cells[number].group)
            base = self.found.measured(other, *outcomes[other], decides.measure)
            return [
                None if x is None or y is None else x - decides.limit * y
                for x, y in zip(values, base, strict=True)
            ]

        found = [value for value in self.contrast.values(of) if value is not None]
        return fmean(found) if found else None

    def _influence(self, path: str) -> float:
        """Spearman's rank correlation of an input with the contrast over the draws."""
        xs = [float(point[path]) for point, _ in self.kept]
        return rank_correlation(xs, [value for _, value in self.kept])


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Spearman's rank correlation, ties by their mean rank; 0 where one of them does not vary."""
    a, b = _ranks(xs), _ranks(ys)
    if len(a) < 2:
        return 0.0
    mean = fmean(a)
    over = math.fsum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    under = math.sqrt(math.fsum((x - mean) ** 2 for x in a) * math.fsum((y - mean) ** 2 for y in b))
    return over / under if under else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    # The mean of the first and the last place that a value has.
    last = {value: place for place, value in enumerate(ordered)}
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    return [(first[value] + last[value]) / 2 for value in values]


def _central(ordered: Sequence[float]) -> tuple[float, float]:
    """The bounds of the central share `BAND` of values in order: the same number is left out at both ends."""
    out = _outside(len(ordered))
    return ordered[out], ordered[len(ordered) - 1 - out]


def _of(within: int, draws: int) -> str:
    return f"all of {draws} draws" if within == draws else f"{within} of {draws} draws"


def _outside(draws: int) -> int:
    """How many of so many draws are left out at each end; of fewer than 20 none."""
    return math.floor(draws * (1 - BAND) / 2 + 1e-9)


# --- slot profiles ------------------------------------------------------------------------------------


def _add_profiles(found: _Answering, document: Answer) -> None:
    """Repeat the answer for every slot profile and say where it differs."""
    focus = found.params.decides.focus or ""
    mine = found.verdict(focus)
    same = []
    for name, sets in PROFILES.items():
        other = (
            found if not sets else _Answering(found.study, found.runs, found.replications, found.costs, sets)
        )
        verdict = other.verdict(focus)
        alike = (verdict.status, other.cells[verdict.best].name) == (mine.status, found.cells[mine.best].name)
        same.append(alike)
        document.profiles.append({
            "profile": name, "status": verdict.status, "best": other.cells[verdict.best].name,
            "same": alike, "answer": other.sentence(focus),
            "cells": [other._cell(number) for number in range(len(other.cells))],
        })  # fmt: skip
    differ = [each["profile"] for each in document.profiles if not each["same"]]
    document.answer += f" It is the same for {sum(same)} of {len(same)} slot profiles" + (
        f", other for {', '.join(differ)}." if differ else "."
    )


# --- words ------------------------------------------------------------------------------------


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def told(found: Interval | None, unit: str) -> str:
    """A mean with its interval in words: 12.1 (11.4 to 12.8) min."""
    if found is None:
        return "nothing observed"
    known = math.isfinite(found.low) and found.low != found.high
    scale, shown = scaled(abs(found.mean), unit)
    values = [value * scale for value in (found[:3] if known else found[:1])]
    places = _places(values, shown)
    mean, *bounds = (_figure(value, places) for value in values)
    return _with_unit(f"{mean} ({bounds[0]} to {bounds[1]})" if bounds else mean, shown)


def between(low: float, high: float, unit: str) -> str:
    """Two numbers in the same unit: 1.2 to 3.4 min."""
    scale, shown = scaled(max(abs(low), abs(high)), unit)
    places = _places([low * scale, high * scale], shown)
    return _with_unit(f"{_figure(low * scale, places)} to {_figure(high * scale, places)}", shown)


def amount(value: float, unit: str) -> str:
    """A number with its unit as people read it: seconds as minutes or hours, shares as per cent."""
    scale, shown = scaled(abs(value), unit)
    return _with_unit(_figure(value * scale, _places([value * scale], shown)), shown)


def scaled(size: float, unit: str) -> tuple[float, str]:
    """What a number of a unit is multiplied by, and the unit it then has, for people."""
    if unit == "s" and size >= 7200:
        return 1 / 3600, "h"
    if unit == "s" and size >= 120:
        return 1 / 60, "min"
    return (100.0, "%") if unit == "share" else (1.0, unit)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


def _places(values: Sequence[float], unit: str) -> int:
    """Decimals of numbers that stand together: so many that the largest shows three digits."""
    if all(value == int(value) for value in values):
        return 0
    size = max(map(abs, values))
    if unit == "%" and size > 99:
        return 2
    if size >= 100:
        return 0
    if size >= 10:
        return 1
    return 2 if size >= 0.1 or unit == "%" else min(6, 2 - math.floor(math.log10(size)))


def _figure(value: float, places: int) -> str:
    """A number with thousands apart, and no sign before nothing."""
    text = f"{value:,.{places}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def _middle(path: str, low: float, high: float) -> float:
    """The middle of a bracket; of whole numbers the low end once there is none between."""
    return float((low + high) // 2) if is_whole(path) else (low + high) / 2


def _input(path: str, value: float) -> str:
    unit = field_facts(tuple(path.split("."))).get("unit", "")
    return _with_unit(f"{value:.3g}", unit)


def _rounded(value: Any) -> Any:
    """Four digits: enough for an assumption, and the same key on every machine."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _bounds(found: Interval | None, name: str = "mean") -> dict[str, Any]:
    if found is None:
        return {name: None, "low": None, "high": None, "n": 0}
    return {name: found.mean, "low": found.low, "high": found.high, "n": found.n}


def _possible(found: Interval, values: Sequence[float], unit: str) -> Interval:
    """An interval cut to what is possible: not below 0 where nothing is, no share above 1."""
    low = max(found.low, 0.0) if min(values) >= 0 else found.low
    high = min(found.high, 1.0) if unit == "share" and max(values) <= 1 else found.high
    return Interval(found.mean, low, high, found.n)


def _pairs(a: Values, b: Values) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]


def _readable(value: Any) -> Any:
    """A value of a scenario as JSON can hold it and a scenario takes it back: infinity as "inf"."""
    if isinstance(value, Mapping):
        return {key: _readable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(each) for each in value]
    return "inf" if value == math.inf else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date | time):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
