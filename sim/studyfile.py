"""Study files: a question in TOML, what varies, what decides, and the sentence of the answer with its blanks.

A study file is strict, as a scenario is: unknown keys are refused, and every mistake is a line with its place
and what was expected. It names a base scenario; `sets` hold for every cell. `groups` are situations in each
of which the cells are compared. A measure is a KPI, or a product of KPIs over another. What an answer rests
on stands in `relies_on`; a study in which one of those parts is switched off is refused.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, StrictBool, ValidationError

from sim.assumed import held
from sim.kpis import KPIS
from sim.params import JsonFloat, JsonInt, Params
from sim.scenario import MOST_BYTES, Fault, Scenario, ScenarioError, load, mistakes, resolved, tree_of
from sim.scenario import scenario_files as scenario_files
from sim.toml_lines import KeyPath, key_lines
from sim.words import dotted, near, one_of, printable, show

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f{}:|]+$")]

Kind = Literal["best", "limit", "estimate"]
Horizon = Literal["terminating", "cyclic", "steady"]

STATUSES: Final[dict[Kind, tuple[str, ...]]] = {
    "best": ("wins", "equal", "open"),
    "limit": ("crossed", "within", "beyond", "open"),
    "estimate": ("known", "open"),
}
"""What an answer can be: one cell wins, the best do not differ by anything that matters, or the runs leave it
open; a limit is crossed between two cells, kept by all, broken by all, or open; an estimate is narrow enough,
or open.
"""

PROFILES: Final[dict[str, dict[str, Any]]] = {
    "two_stack": {},
    "mixed_10_9": {"layout.profile": "mixed_10_9"},
    "service_33": {"layout.profile": "service_33"},
    "zoned_165": {"layout.profile": "zoned_165"},
    "uniform_144": {"layout.profile": "uniform_144", "boxes.meters_per_box": 12},
}
"""The readings of 258 slots and 37,125 meters, and what makes each."""


LAYOUT: Final = ("layout.slots", "layout.boxes", "layout.meters")
"""What a measure can take beside KPIs: what the racks hold, which no run changes."""


class MeasureParams(Params):
    """What is measured in a replication: kpi x times x factor / per, in money where it has a cost."""

    words: Text = Field(description="what it is, in words")
    kpi: Text = Field(description="a KPI, or KPI.p95, KPI.PART")
    times: list[Text] = Field([], description="KPIs that it is multiplied by")
    per: Text | None = Field(None, description="a KPI that it is divided by")
    factor: JsonFloat = Field(1.0, description="a number that it is multiplied by")
    unit: str | None = Field(None, max_length=40, description="its unit; that of the KPI when not given")
    cost: Name | None = Field(
        None, description="a cost that it is multiplied by; those of its cell are added"
    )
    weeks_below: JsonFloat | None = Field(
        None, description="instead of the value: days until a week's value is first below this"
    )


class CellParams(Params):
    """One configuration, or one situation: its name and the scenario values that make it."""

    name: Name = Field(description="its name, in words")
    x: JsonFloat | None = Field(None, description="its place on the axis of the picture")
    sets: dict[str, Any] = Field(default_factory=dict, description="scenario values by dotted path")
    costs: list[Name] = Field([], description="costs that it has beside what is measured in it")


class DecidesParams(Params):
    """What decides: a measure, which way is better, and the smallest difference that matters."""

    kind: Kind = Field(description="best: which cell; limit: which cells keep a limit; estimate: how much")
    measure: Name = Field(description="the measure that decides")
    better: Literal["less", "more"] = Field("less", description="which way is better")
    matters: JsonFloat = Field(0.0, ge=0, description="the smallest difference that matters")
    baseline: Name | None = Field(None, description="the cell that the others are compared with; else each")
    limit: JsonFloat | None = Field(None, description="the limit of kind = 'limit'")
    relative_to: Name | None = Field(None, description="a cell whose value the limit is a multiple of")
    focus: Name | None = Field(None, description="the group for which the ranges of assumptions are drawn")
    precision: JsonFloat = Field(0.2, gt=0, description="widest half-width of an estimate, as a share of it")


class BandParams(Params):
    """How the ranges of assumptions are drawn."""

    draws: JsonInt = Field(20, ge=10, le=1000, description="draws from the ranges of the assumptions")
    runs: JsonInt = Field(3, ge=1, le=100, description="replications of each step of a bisection")
    days: JsonInt | None = Field(None, ge=1, description="days of the draws' runs; else those of the study")


class PartParams(Params):
    """A part of the model that an answer relies on, as a scenario value that it must not have."""

    part: Text = Field(description="the part, in words")
    key: Text = Field(description="the scenario value that switches it on")
    off: Any = Field(None, description="what the value must not be, beside not being given")


class PictureParams(Params):
    """The picture of an answer."""

    caption: Text = Field(description="what it shows")
    kind: Literal["bars", "lines"] = Field("bars", description="bars by cell, or lines over x")
    measure: Name | None = Field(None, description="what it shows; the measure that decides when not given")
    x: str = Field("", max_length=100, description="the words of the axis")


class StudyParams(Params):
    """A question and how it is answered."""

    number: JsonInt | None = Field(None, ge=1, le=20, description="which of the twenty questions")
    question: Text = Field(description="the question")
    base: Text = Field("luoyang", description="a scenario that ships, or a file beside the study")
    sets: dict[str, Any] = Field(default_factory=dict, description="scenario values of every cell")
    seed: JsonInt = Field(1, ge=0, le=2**62, description="the seed of the first replication")
    replications: JsonInt = Field(10, ge=2, le=1000, description="runs of each cell")
    horizon: Horizon = Field("terminating", description="what an observation is")
    cells: list[CellParams] = Field(min_length=1, max_length=100, description="what is compared")
    groups: list[CellParams] = Field([], max_length=20, description="situations in which it is compared")
    measures: dict[Name, MeasureParams] = Field(min_length=1, description="what is measured")
    costs: dict[Name, Text] = Field(default_factory=dict, description="costs, in words; they have no default")
    decides: DecidesParams
    answers: dict[str, Text] = Field(min_length=1, description="the sentence for each outcome, with blanks")
    with_costs: Text | None = Field(None, description="a further sentence when all costs are given")
    missing: str = Field("", max_length=2000, description="what the model cannot say about the question")
    relies_on: list[PartParams] = Field(min_length=1, description="parts of the model the answer rests on")
    ranges: dict[str, tuple[JsonFloat, JsonFloat]] = Field(
        default_factory=dict, description="ranges of inputs that this study states itself"
    )
    leave: list[str] = Field([], description="inputs that are not drawn, as they are the question")
    bands: BandParams = Field(default_factory=BandParams)
    profiles: StrictBool = Field(True, description="whether the question can be asked of other slot profiles")
    picture: PictureParams


class Cell(NamedTuple):
    """One configuration in one situation; `group` is empty where there are none."""

    name: str
    group: str
    x: float | None
    sets: dict[str, Any]

    @property
    def shown(self) -> str:
        """Its name with that of its situation."""
        return f"{self.name}, {self.group}" if self.group else self.name


class Study(NamedTuple):
    """A study with where it came from."""

    name: str
    params: StudyParams
    path: Path
    base: str

    def cells(self) -> list[Cell]:
        """Every cell in every situation, a situation at a time."""
        params = self.params
        if not params.groups:
            return [Cell(cell.name, "", cell.x, {**params.sets, **cell.sets}) for cell in params.cells]
        return [
            Cell(cell.name, group.name, cell.x, {**params.sets, **group.sets, **cell.sets})
            for group in params.groups
            for cell in params.cells
        ]

    def taken(self) -> set[str]:
        """The dotted paths that the question itself sets, or leaves as they are."""
        params = self.params
        tables = [params.sets, *(each.sets for each in (*params.groups, *params.cells))]
        return {path for table in tables for path in table} | set(params.leave)

    def scenario(self, cell: Cell, more: Mapping[str, Any] | None = None) -> Scenario:
        """The scenario of a cell, with more values put in; raises ScenarioError."""
        sets = {**cell.sets, **(more or {})}
        return load(self.base, [f"{key}={toml_value(value)}" for key, value in sets.items()]).scenario


def study_files() -> dict[str, Path]:
    """The studies that ship, by name."""
    folder = next(iter(scenario_files().values())).parent / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_study(path_or_name: str, sets: Sequence[str] = ()) -> Study:
    """The study of a file, or of a name in `study_files`.

    Parameters
    ----------
    path_or_name : a file, or a name without separator and ending, or a number of the twenty questions.
    sets : texts "dotted.path=value" that are put into every cell.

    Raises
    ------
    ScenarioError
        With every mistake of the file, and of the scenarios that it makes.
    """
    path, shown = _find(path_or_name)
    text = _text(path, shown)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError([f"{shown}: expected TOML, found: {error}"]) from None
    lines = key_lines(text)
    for given in sets:
        key, equals, value = given.partition("=")
        if not equals or not key.strip():
            raise ScenarioError([f"--set: expected a.b=value, found {show(given)}"])
        table = data.setdefault("sets", {})
        if isinstance(table, dict):
            table[key.strip()] = _toml_or_word(value.strip())
    try:
        params = StudyParams.model_validate(data)
    except ValidationError as error:
        faults = mistakes(error, data, _tree())
        raise ScenarioError([_line(shown, lines, fault) for fault in faults]) from None
    base = params.base
    if base not in scenario_files():
        base = str(path.parent / base)
    study = Study(path.stem, params, path, base)
    found = list(_faults(study))
    if not found:
        found = list(_scenario_faults(study))
    if found:
        raise ScenarioError([_line(shown, lines, fault) for fault in found])
    return study


def toml_value(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(each) for each in value) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)


# --- blanks -----------------------------------------------------------------------------------------

_BLANK: Final = re.compile(r"\{([^{}]*)\}")


class Blank(NamedTuple):
    """A blank of a sentence: what is asked of which cells, of which measure.

    `what` is "value", "difference", "ratio", "share", "crossing" or a name of `SPECIAL`.
    """

    what: str
    cells: tuple[tuple[str, str], ...]
    measure: str


SPECIAL: Final = (
    "best", "runner up", "difference", "last within", "first beyond", "within", "beyond", "limit",
    "replications", "days", "count",
)  # fmt: skip
"""Blanks that are no cell: the best cell and the next, their difference, the cells beside a limit."""


_PAIRS: Final = (
    ("crossing ", " - ", "crossing"), ("", " - ", "difference"), ("", " / ", "ratio"), ("", " off ", "share"),
)  # fmt: skip
_AT: Final = ("at best", "at runner up", "at last within", "at first beyond")


def blanks(text: str) -> list[str]:
    """The blanks of a sentence as they stand there."""
    return _BLANK.findall(text)


def filled(text: str, fill: Mapping[str, str]) -> str:
    """A sentence with its blanks filled."""
    return _BLANK.sub(lambda match: fill[match[1]], text)


def blank_of(text: str, params: StudyParams) -> Blank | None:
    """What a blank means; None when it means nothing.

    `{CELL}`, `{CELL: MEASURE}`, `{A - B}`, `{A / B: MEASURE}`, `{A off B}` (per cent),
    `{crossing A - B: MEASURE}`, `{best}`, `{at best: MEASURE}`; a cell of one situation is `CELL | GROUP`;
    of a pair the last may name it for both.
    """
    where, _, measure = (part.strip() for part in text.partition(":"))
    measure = measure or params.decides.measure
    if measure not in params.measures:
        return None
    name, _, group = (part.strip() for part in where.partition("|"))
    if name in _AT and (not group or group in {each.name for each in params.groups}):
        return Blank(name, (("", group),), measure)
    if name in SPECIAL and (not group or group in {each.name for each in params.groups}):
        return Blank(name, (("", group),), measure)
    for start, sign, what in _PAIRS:
        if where.startswith(start) and sign in where:
            parts = where.removeprefix(start).split(sign)
            _, bar, group = parts[-1].partition("|")
            if bar and "|" not in parts[0]:
                parts[0] = f"{parts[0]} | {group}"
            cells = [_cell_of(part.strip(), params, needs_group=what != "crossing") for part in parts]
            if len(parts) == 2 and None not in cells:
                return Blank(what, tuple(cell for cell in cells if cell is not None), measure)
    cell = _cell_of(where, params)
    return None if cell is None else Blank("value", (cell,), measure)


def _cell_of(text: str, params: StudyParams, *, needs_group: bool = True) -> tuple[str, str] | None:
    name, _, group = (part.strip() for part in text.partition("|"))
    if name not in {cell.name for cell in params.cells}:
        return None
    if not params.groups or not needs_group:
        return None if group else (name, "")
    return (name, group) if group in {each.name for each in params.groups} else None


# --- mistakes ---------------------------------------------------------------------------------------


def _faults(study: Study) -> Iterator[Fault]:
    """The mistakes that no single value of a study shows."""
    params = study.params
    for key, each in (("cells", params.cells), ("groups", params.groups)):
        names = [cell.name for cell in each]
        for index, name in enumerate(names):
            if name in names[:index] or name in SPECIAL:
                yield Fault(
                    (key, index, "name"), f"expected another name than the others, found {show(name)}"
                )
    yield from _measure_faults(params)
    decides = params.decides
    for table, measure in (("decides", decides.measure), ("picture", params.picture.measure)):
        if measure is not None and measure not in params.measures:
            expected = f"expected {one_of(list(params.measures))}"
            yield Fault((table, "measure"), f"{expected}, found {show(measure)}")
    if decides.measure in params.measures:
        if params.measures[decides.measure].cost:
            yield Fault(("decides", "measure"), "expected a measure that can be had without costs")
        yield from _sentence_faults(params)
    yield from _deciding_faults(params)
    for path, (low, high) in params.ranges.items():
        if not low < high:
            yield Fault(("ranges", path), f"expected a range that rises, found {low:g} to {high:g}")


def _measure_faults(params: StudyParams) -> Iterator[Fault]:
    for name, measure in params.measures.items():
        here: KeyPath = ("measures", name)
        named: list[tuple[KeyPath, str | None]] = [
            ((*here, "kpi"), measure.kpi),
            ((*here, "per"), measure.per),
        ]
        named += [((*here, "times", index), kpi) for index, kpi in enumerate(measure.times)]
        for where, kpi in named:
            if kpi is not None and kpi not in LAYOUT and kpi.partition(".")[0] not in KPIS:
                yield Fault(where, f"expected a KPI, found {show(kpi)}{near(kpi.partition('.')[0], KPIS)}")
    costs: list[tuple[KeyPath, str]] = [
        (("measures", name, "cost"), measure.cost)
        for name, measure in params.measures.items()
        if measure.cost is not None
    ]
    costs += [(("cells", at, "costs"), cost) for at, cell in enumerate(params.cells) for cost in cell.costs]
    for where, cost in costs:
        if cost not in params.costs:
            yield Fault(where, f"expected one of costs, found {show(cost)}{near(cost, params.costs)}")


def _deciding_faults(params: StudyParams) -> Iterator[Fault]:
    decides = params.decides
    if (decides.kind == "limit") != (decides.limit is not None):
        found = "nothing" if decides.limit is None else show(decides.limit)
        yield Fault(("decides", "limit"), f"expected a number under kind = 'limit' only, found {found}")
    if decides.kind == "best" and len(params.cells) < 2:
        yield Fault(("cells",), "expected at least two cells under kind = 'best', found one")
    names = [cell.name for cell in params.cells]
    for key in ("baseline", "relative_to"):
        if (name := getattr(decides, key)) is not None and name not in names:
            yield Fault(("decides", key), f"expected {one_of(names)}, found {show(name)}{near(name, names)}")
    groups = [group.name for group in params.groups]
    if (decides.focus is None) != (not groups) or (decides.focus and decides.focus not in groups):
        expected = f"expected {one_of(groups)}" if groups else "expected nothing without groups"
        yield Fault(("decides", "focus"), f"{expected}, found {show(decides.focus)}")


def _sentence_faults(params: StudyParams) -> Iterator[Fault]:
    kind = params.decides.kind
    for status in params.answers:
        if status not in STATUSES[kind]:
            expected = f"expected {one_of(STATUSES[kind])} under kind = '{kind}'"
            yield Fault(("answers", status), f"{expected}, found {show(status)}")
    sentences: list[tuple[KeyPath, str]] = [(("answers", key), text) for key, text in params.answers.items()]
    if params.with_costs is not None:
        sentences.append((("with_costs",), params.with_costs))
    for where, text in sentences:
        for blank in blanks(text):
            if blank_of(blank, params) is None:
                expected = f"expected a cell, a measure of a cell, or one of {', '.join(SPECIAL)}"
                yield Fault(where, f"{expected}, found the blank {show(blank)}")


def _scenario_faults(study: Study) -> Iterator[Fault]:
    """The mistakes of the scenarios that a study makes, and the parts that it switches off."""
    values: dict[str, Any] = {}
    for cell in study.cells():
        where = _position(study, cell)
        try:
            scenario = study.scenario(cell)
        except ScenarioError as error:
            for line in error.lines:
                key, _, rest = line.removeprefix("--set: ").partition(": ")
                yield Fault(where, f"{cell.shown}: {key}: {rest}")
            continue
        time = scenario.time
        if study.params.horizon == "cyclic" and (time.days % 7 or time.warmup_days % 7):
            found = f"{time.days} and {time.warmup_days} days in {cell.shown}"
            yield Fault(
                ("horizon",), f"expected whole weeks of run and warm-up under 'cyclic', found {found}"
            )
        values[cell.shown] = resolved(scenario)
    if len(values) < len(study.cells()):
        return
    for index, part in enumerate(study.params.relies_on):
        off = [name for name, held_here in values.items() if _is_off(part, held_here)]
        # Where the part itself is what varies, cells without it are the comparison.
        asked = {path for each in (*study.params.cells, *study.params.groups) for path in each.sets}
        if (off and part.key not in asked) or len(off) == len(values):
            expected = f"expected {part.key} other than {show(part.off)}, as the answer relies on {part.part}"
            yield Fault(("relies_on", index), f"{expected}, found it in {off[0]}")


def _is_off(part: PartParams, values: Mapping[str, Any]) -> bool:
    value = held(values, part.key)
    return value is None or bool(value == part.off)


def _position(study: Study, cell: Cell) -> KeyPath:
    """Where a cell stands in its file."""
    names = [each.name for each in study.params.cells]
    return ("cells", names.index(cell.name))


def _line(shown: str, lines: Mapping[KeyPath, int], fault: Fault) -> str:
    for end in range(len(fault.path), 0, -1):
        if fault.path[:end] in lines:
            return f"{shown}:{lines[fault.path[:end]]}: {dotted(fault.path)}: {fault.message}"
    return f"{shown}: {dotted(fault.path)}: {fault.message}"


@cache
def _tree() -> dict[str, Any]:
    return tree_of(StudyParams)


def _find(path_or_name: str) -> tuple[Path, str]:
    known = study_files()
    for name in known:
        if path_or_name == name or (path_or_name.isdigit() and name.startswith(f"q{int(path_or_name):02d}_")):
            return known[name], f"scenarios/studies/{name}.toml"
    path = Path(path_or_name)
    if re.fullmatch(r"[\w-]+", path_or_name) and not path.exists():
        expected = "expected a study file, a number from 1 to 20, or one of"
        found = f"{', '.join(known)}, found neither{near(path_or_name, known)}"
        raise ScenarioError([f"{printable(path_or_name)}: {expected} {found}"])
    return path, printable(path_or_name)


def _text(path: Path, shown: str) -> str:
    try:
        if not path.is_file():
            names = [other.name for other in path.parent.glob("*.toml")] if path.parent.is_dir() else []
            raise ScenarioError([f"{shown}: expected a study file, found none{near(path.name, names)}"])
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError) as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError([f"{shown}: expected a file that can be read, found: {error}"]) from None
    if raw is None:
        raise ScenarioError([f"{shown}: expected at most {MOST_BYTES:,} bytes, found more"])
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ScenarioError([f"{shown}: expected UTF-8 text, found other bytes"]) from None


def _toml_or_word(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
