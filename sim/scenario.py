"""The scenario: one strict schema for files, the command line and HTTP, and the loader of its files.

A scenario file is TOML and states only what makes it different; every value has a default. `extends`
names a file to start from: tables merge, lists replace. All mistakes are reported at once, each as
`FILE:LINE: dotted.path: expected ..., found ...[, did you mean 'x'?]`.
"""

import json
import math
import operator
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError

from sim.allocation import ALIASES, LIVE_POLICIES, OWN_RULES, POLICIES
from sim.calendar import CalendarParams, Day, clock_ms
from sim.control import ControlParams
from sim.counting import METHODS, PLANS, CountingParams
from sim.faults import FaultParams
from sim.flows import EmptiesParams, ReturnsParams, ReverifyParams
from sim.layout import MOST_SLOTS, Layout, LayoutError, LayoutParams
from sim.mishaps import RecordParams
from sim.orders import DemandParams, SkuParams, SupplyParams
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.people import FallbackParams, PeopleParams
from sim.reads import ReadParams
from sim.retrieval import RETRIEVAL
from sim.robots import DISPATCH, DWELL, RobotParams, TourParams
from sim.toml_lines import KeyPath, key_lines
from sim.warehouse import BoxParams, PolicyParams, StagingParams
from sim.words import describe, dotted, inlined, near, node_at, one_of, printable, show

MOST_BYTES: Final = 1_000_000
"""A scenario file of more bytes than this is refused."""

MOST_PARENTS: Final = 8
"""A chain of `extends` may have at most so many parents."""

MOST_LEVELS: Final = 16
"""Tables and lists may be nested so deep."""

MOST_LINES: Final = 1000
"""Mistakes beyond so many are only counted."""


class TimeParams(Params):
    """The simulated period."""

    start: Day = fact(
        date(2026, 3, 2),
        "first day of the run; time 0 is its 00:00",
        ge=date(1950, 1, 1),
        le=date(2199, 12, 31),
    )
    days: JsonInt = fact(28, "length of the run", unit="days", ge=1, le=36500)
    warmup_days: JsonInt = fact(0, "first days that the KPIs leave out", unit="days", ge=0, le=36500)


class InitialParams(Params):
    """What is in the store at time 0."""

    fill: JsonFloat = fact(0.65, "share of box places taken", origin="assumption", ge=0, le=1)
    stock: str | None = fact(
        None, "a stock list to start from, a CSV or XLSX file beside the scenario", min_length=1
    )
    orders: str | None = fact(
        None, "orders that are open at time 0, a CSV or XLSX file beside the scenario", min_length=1
    )
    prefill_dwells: JsonFloat = fact(
        3.0,
        "length of the pseudo-history that fills the store, in mean dwells",
        origin="assumption",
        ge=0,
        le=20,
    )


def _section() -> Any:
    """A table that a file may leave out: read as an empty one, so that it needs no validator of its own."""
    return Field(default_factory=dict)


class Scenario(Params):
    """A store, what is asked of it and how it works: everything a run is made of, except its seed."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = fact(
        "", "name of the scenario"
    )
    question: str = fact("", "the question that the scenario answers", max_length=2000)
    seed: JsonInt = fact(1, "seed of every stream of random numbers", ge=0, le=2**63 - 1)
    operation: Literal["robot", "manual"] = fact(
        "robot", "who moves the boxes: robots, or people with a ladder and a bar-code scanner"
    )
    time: TimeParams = _section()
    calendar: CalendarParams = _section()
    boxes: BoxParams = _section()
    layout: LayoutParams = _section()
    skus: list[SkuParams] = fact(
        [
            {"name": "single-phase A", "share": 0.70},
            {"name": "single-phase B", "share": 0.15},
            {"name": "single-phase C", "share": 0.08},
            {"name": "single-phase D", "share": 0.05},
            {"name": "single-phase E", "share": 0.02},
        ],
        "the kinds of meter", origin="assumption", min_length=1, max_length=1000)  # fmt: skip
    initial: InitialParams = _section()
    supply: SupplyParams = _section()
    demand: DemandParams = _section()
    people: PeopleParams = _section()
    staging: StagingParams = _section()
    robots: RobotParams = _section()
    tour: TourParams = _section()
    policy: PolicyParams = _section()
    records: RecordParams = _section()
    reads: ReadParams = _section()
    counting: CountingParams = _section()
    faults: FaultParams = _section()
    fallback: FallbackParams = _section()
    returns: ReturnsParams = _section()
    reverify: ReverifyParams = _section()
    empties: EmptiesParams = _section()
    control: ControlParams = _section()


FILE_KEYS: Final[tuple[tuple[str, str], ...]] = (
    ("initial", "stock"),
    ("initial", "orders"),
    ("demand", "file"),
)
"""Values that name a file."""


class Fault(NamedTuple):
    """A mistake: where it is, "expected ..., found ...", and the other values that it rests on."""

    path: KeyPath
    message: str
    others: tuple[KeyPath, ...] = ()


class ScenarioError(ValueError):
    """A scenario that cannot be used; `lines` has one line for each mistake."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True)
class Loaded:
    """A scenario with where it came from.

    Attributes
    ----------
    scenario : the resolved scenario.
    origins : for each dotted path, the file that set it, "--set" or "default".
    base_dir : the folder against which the file names in `scenario` are relative.
    path : the scenario's file.
    shown : the same as `origins` names it.
    """

    scenario: Scenario
    origins: dict[str, str]
    base_dir: Path
    path: Path
    shown: str = ""

    def files(self) -> dict[str, Path]:
        """The input files that the scenario names, by the dotted path that names them."""
        found = {}
        for section, key in FILE_KEYS:
            name = getattr(getattr(self.scenario, section), key)
            if name is not None:
                found[f"{section}.{key}"] = self.base_dir / name
        return found

    def with_(self, values: Mapping[str, Any]) -> "Loaded":
        """The same scenario with some values set, by dotted path: `{"robots.carry": 2}`.

        Raises ScenarioError with every mistake in them; this one stays as it is.
        """
        data = resolved(self.scenario)
        lines = [
            f"{key}: expected a value of the scenario, found {show(key)}"
            for key, value in values.items()
            if not put_value(data, key, value)
        ]
        if lines:
            raise ScenarioError(lines)
        scenario = from_dict(data)
        origins = {dotted(leaf): "default" for leaf, _ in leaves(scenario)} | self.origins
        changed_here = [key for key in origins if any(f"{key}.".startswith(f"{each}.") for each in values)]
        return replace(self, scenario=scenario, origins=origins | dict.fromkeys(changed_here, "with_"))


def put_value(data: dict[str, Any], key: str, value: Any) -> bool:
    """Set a value of a resolved scenario by its dotted path, a number in a list; whether it has a place."""
    *above, last = key.split(".")
    holder: Any = data
    for part in above:
        if isinstance(holder, list):
            if not part.isdigit() or int(part) >= len(holder):
                return False
            holder = holder[int(part)]
        elif isinstance(holder, dict):
            holder = holder.setdefault(part, {})
        else:
            return False
    if isinstance(holder, list):
        if not last.isdigit() or int(last) >= len(holder):
            return False
        holder[int(last)] = value
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        return False
    return True


def load(path_or_name: str | os.PathLike[str], sets: Sequence[str] = ()) -> Loaded:
    """The scenario of a file, or of a name in `scenario_files`, with the values of `sets` put in.

    Parameters
    ----------
    path_or_name : a file, or a name without separator and ending.
    sets : texts "dotted.path=value", the value in TOML; a bare word is taken as text.

    Raises
    ------
    ScenarioError
        With every mistake of all files and sets involved.
    """
    path, shown = _find(os.fspath(path_or_name))
    lines: list[str] = []
    layers = _chain(path, shown, lines)
    if not layers:
        raise ScenarioError(lines)
    layers.append(_set_layer(sets, layers, lines))
    data = _merged(layers)
    data.setdefault("name", path.stem)
    missing = list(_resolve_files(data, layers, path.parent))
    scenario, faults = examine(data, {fault.path for fault in missing})
    if lines:
        # What could not be read might have mended it: only mistakes that stand on their own count.
        faults = [fault for fault in faults if not fault.others]
    faults = sorted(missing + faults, key=lambda fault: _position(layers, fault))
    lines += [_line(layers, fault) for fault in faults]
    if scenario is None or lines:
        more = len(lines) - MOST_LINES
        if more > 0:
            lines[MOST_LINES:] = [f"{shown}: expected no mistakes, found {more:,} more"]
        raise ScenarioError(lines)
    origins = {dotted(leaf): _layer_of(layers, leaf).name for leaf, _ in leaves(scenario)}
    return Loaded(scenario, origins, path.parent, path, shown)


def examine(data: Mapping[str, Any], wrong: Collection[KeyPath] = ()) -> tuple[Scenario | None, list[Fault]]:
    """The scenario of plain data, or None, and every mistake, also those that involve several values.

    What rests on a value that is wrong, or that the caller knows to be `wrong`, is not judged.
    """
    pruned = _copy(data)
    faults: list[Fault] = []
    bad = set(wrong)
    while True:
        try:
            scenario = Scenario.model_validate(pruned)
        except ValidationError as error:
            # Take the wrong values out, so that the others can be looked at together.
            before = len(bad)
            found = mistakes(error, pruned, _tree())
            faults += found
            bad.update([_prune(pruned, fault.path) for fault in found])
            if len(bad) == before:
                return None, faults
        else:
            break
    faults += [
        fault
        for fault in cross_faults(scenario)
        if not any(_overlap(path, other) for path in (fault.path, *fault.others) for other in bad)
    ]
    return (None if faults else scenario), faults


def compose(
    base: str | None, values: Mapping[str, Any], sets: Mapping[str, Any], *, most_places: int = MOST_SLOTS
) -> tuple[Scenario | None, list[Fault]]:
    """The scenario of plain data that somebody sends, or None, and every mistake in it.

    Parameters
    ----------
    base : the name of a scenario that ships, or None for the defaults.
    values : tables and values as a scenario file has them, "inf" for infinity; they replace those of `base`.
    sets : values by dotted path, put in last.
    most_places : a grid of more places is refused before anything is built.

    Names of files are refused: who sends a scenario cannot read files here.
    """
    known, faults = scenario_files(), []
    layers: list[_Layer] = []
    if base is not None and base not in known:
        message = f"expected one of {', '.join(known)}, found {show(base)}{near(base, known)}"
        return None, [Fault(("extends",), message)]
    if base is not None:
        layers = _chain(known[base], base, [])
    if _depth(values) > MOST_LEVELS:
        return None, [Fault((), f"expected at most {MOST_LEVELS} levels of nesting, found more")]
    data = _merged([*layers, _Layer("", Path(), _copy(values))])
    for key, value in sets.items():
        path = _parts(key)
        if not path or len(path) > MOST_LEVELS or _depth([value]) > MOST_LEVELS:
            faults.append(Fault((key,), f"expected a.b = value, found {show(key)}"))
            continue
        try:
            path, value = _element(data, path, value, key)
        except ScenarioError as error:
            faults.append(Fault((key,), error.lines[0].removeprefix(f"--set: {key}: ")))
        else:
            _put(data, path, value)
    for section, key in FILE_KEYS:
        table = data.get(section)
        if isinstance(table, dict) and table.get(key) is not None:
            found = f"found {show(table[key])}"
            faults.append(Fault((section, key), f"expected nothing here: files are not read, {found}"))
            del table[key]
    if base is not None:
        data.setdefault("name", base)
    _put_infinities(data)
    places = _grid_places(data)
    if places > most_places:
        faults.append(
            Fault(("layout",), f"expected a grid of at most {most_places:,} places, found {places:,}")
        )
        return None, faults
    scenario, more = examine(data, {fault.path for fault in faults})
    return (None if faults else scenario), faults + more


def _grid_places(data: Mapping[str, Any]) -> int:
    """The places of the grid, as far as its values are numbers."""
    sizes = [_held(data, ("layout", key)) for key in ("rows", "columns", "levels")]
    return math.prod(size for size in sizes if isinstance(size, int))


def _put_infinities(data: dict[str, Any]) -> None:
    """Turn "inf", which stands for infinity where JSON is used, into a number where a number belongs."""
    for leaf, value in _leaves(data, ()):
        if value == "inf" and node_at(_tree(), leaf).get("type") == "number":
            _put(data, leaf, math.inf)


def from_dict(data: Mapping[str, Any]) -> Scenario:
    """The scenario of plain data, such as `resolved` gives; raises ScenarioError with every mistake."""
    values: dict[str, Any] = _copy(data)
    _put_infinities(values)
    scenario, faults = examine(values)
    if scenario is None or faults:
        raise ScenarioError([f"{dotted(fault.path)}: {fault.message}" for fault in faults])
    return scenario


def changed(scenario: Scenario, values: Mapping[str, Any]) -> tuple[Scenario | None, list[Fault]]:
    """A scenario in mid-run with values set by dotted path, or None, and every mistake in them.

    Each has to be one that can change in mid-run, and all of them have to fit together.
    """
    data, faults = resolved(scenario), []
    for key, value in values.items():
        path = _parts(key)
        node = field_facts(path) if path else {}
        if not node:
            known = [dotted(leaf) for leaf, _ in leaves(scenario)]
            expected = f"expected a value of the scenario, found {show(key)}{near(key, known)}"
            faults.append(Fault((key,), expected))
        elif not node.get("live"):
            found = "found a table" if "properties" in node else "found one that is fixed when a run begins"
            faults.append(Fault(path, f"expected a value that can change in mid-run, {found}"))
        elif _depth([value]) > MOST_LEVELS:
            faults.append(Fault(path, f"expected at most {MOST_LEVELS} levels of nesting, found more"))
        else:
            _put(data, path, _copy(value))
    _put_infinities(data)
    made, more = examine(data, {fault.path for fault in faults})
    return (None if faults else made), faults + more


def resolved(scenario: Scenario) -> dict[str, Any]:
    """Every value of a scenario, ready for JSON; infinity, which JSON lacks, is written "inf"."""
    values = scenario.model_dump(mode="json")
    for leaf, value in _leaves(scenario.model_dump(), ()):
        if value == math.inf:
            _put(values, leaf, "inf")
    return values


def scenario_id(scenario: Scenario) -> str:
    """SHA-256, in hex, of the resolved scenario as canonical JSON; name and question do not count."""
    values = {key: value for key, value in resolved(scenario).items() if key not in ("name", "question")}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256(text.encode()).hexdigest()


@cache
def scenario_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file, `extends` included."""
    schema: dict[str, Any] = with_limits(Scenario.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "meterhouse scenario"
    schema["properties"] = {
        "extends": {"type": "string", "description": "a scenario file to start from, or the name of one"},
        **schema["properties"],
    }
    return schema


def schema_text() -> str:
    """The JSON Schema as it stands in scenarios/scenario.schema.json."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


def scenario_files() -> dict[str, Path]:
    """The scenarios that can be named: those of the repository, or of the installed package."""
    return {path.stem: path for path in sorted(_scenario_folder().glob("*.toml"))}


@cache
def _tree() -> dict[str, Any]:
    return tree_of(Scenario)


def tree_of(model: type[Params]) -> dict[str, Any]:
    """The JSON Schema of a model with its limits, without references."""
    return inlined(with_limits(model.model_json_schema()))


_LIMITS: Final = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def with_limits(node: Any) -> Any:
    """A schema in which optional numbers keep their limits: pydantic leaves them under its own names."""
    if isinstance(node, list):
        return [with_limits(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        _LIMITS.get(key, key) if isinstance(value, int | float) else key: with_limits(value)
        for key, value in node.items()
    }


def leaves(scenario: Scenario) -> Iterator[tuple[KeyPath, Any]]:
    """Every value of a scenario as JSON has it, with its path; a list is one value."""
    return _leaves(resolved(scenario), ())


def field_facts(path: KeyPath) -> dict[str, Any]:
    """What the schema says of a value: "description", "unit", "origin", limits; empty when it is unknown."""
    return node_at(_tree(), path)


# --- values that must fit together -----------------------------------------------------------------------


def cross_faults(scenario: Scenario) -> Iterator[Fault]:
    """The mistakes that no single value shows."""
    yield from _time_faults(scenario)
    yield from _break_faults(scenario)
    yield from _machine_faults(scenario)
    yield from _policy_faults(scenario)
    yield from _counting_faults(scenario)
    yield from _demand_faults(scenario)
    yield from _device_faults(scenario)
    yield from _supply_faults(scenario)
    yield from _flow_faults(scenario)
    yield from _layout_faults(scenario)


def _time_faults(scenario: Scenario) -> Iterator[Fault]:
    time = scenario.time
    if time.warmup_days >= time.days:
        yield Fault(
            ("time", "warmup_days"),
            f"expected fewer days than time.days = {time.days}, found {time.warmup_days}",
            (("time", "days"),),
        )


def _break_faults(scenario: Scenario) -> Iterator[Fault]:
    breaks, here = scenario.people.breaks, ("people", "breaks")
    free = {minute for a, b in breaks for minute in range(clock_ms(a), clock_ms(b), 60_000)}
    shifts = scenario.calendar.shifts
    if breaks and all(
        minute in free for a, b in shifts for minute in range(clock_ms(a), clock_ms(b), 60_000)
    ):
        yield Fault(
            here,
            "expected breaks that leave some of the shifts, found nothing left",
            (("calendar", "shifts"),),
        )


def _machine_faults(scenario: Scenario) -> Iterator[Fault]:
    robots = scenario.robots
    access, kind = ("robots", "access"), ("robots", "kind")
    if robots.kind == "acr" and robots.access == "stack_lifo":
        yield Fault(
            access,
            "expected 'direct', found 'stack_lifo': a case-handling robot pulls a box from its own support;"
            " free stacks need kind = 'top_gripper'",
            (kind,),
        )
    if robots.kind == "top_gripper" and robots.access == "direct":
        yield Fault(
            access,
            "expected 'stack_lifo', found 'direct': a gripper from above cannot reach a box under another"
            " support; single supports need kind = 'acr'",
            (kind,),
        )
    if robots.handling_unit == "stack" and robots.access == "direct":
        yield Fault(
            ("robots", "handling_unit"),
            "expected 'box', found 'stack': only boxes that stand on one another move together;"
            " stacks need access = 'stack_lifo'",
            (access,),
        )
    if robots.charge_below >= robots.resume_above:
        yield Fault(
            ("robots", "charge_below"),
            f"expected less than robots.resume_above = {robots.resume_above:g},"
            f" found {robots.charge_below:g}",
            (("robots", "resume_above"),),
        )
    if scenario.operation == "manual" and robots.count:
        yield Fault(
            ("robots", "count"),
            f"expected 0 with operation = 'manual', found {robots.count}",
            (("operation",),),
        )
    if scenario.layout.profile == "uniform_144" and scenario.boxes.meters_per_box != 12:
        yield Fault(
            ("boxes", "meters_per_box"),
            f"expected 12 with layout.profile = 'uniform_144', found {scenario.boxes.meters_per_box}",
            (("layout", "profile"),),
        )


def _policy_faults(scenario: Scenario) -> Iterator[Fault]:
    choices: dict[str, Sequence[str]] = {
        "allocation": [*LIVE_POLICIES, *ALIASES, *OWN_RULES],
        "retrieval": list(RETRIEVAL),
        "dispatch": list(DISPATCH),
        "dwell": list(DWELL),
    }
    for key, names in choices.items():
        name = getattr(scenario.policy, key)
        if key == "allocation" and name in POLICIES and name not in LIVE_POLICIES:
            expected = "expected a rule that a store can follow"
            found = f"found {show(name)}, which needs to know when boxes leave: only `meterhouse replay` does"
            yield Fault(("policy", key), f"{expected}, {found}")
        elif key == "allocation" and ".py:" in name and name not in names:
            found = f"found {show(name)}: own rules are given on the command line, --policy FILE.py:FUNCTION"
            yield Fault(("policy", key), f"expected the name of a rule, {found}")
        elif name not in names:
            yield Fault(("policy", key), f"expected {one_of(names)}, found {show(name)}{near(name, names)}")
    yield from _border_faults(scenario.policy.zone_borders, scenario.policy.zones)


def _border_faults(borders: list[float], zones: int) -> Iterator[Fault]:
    path, other = ("policy", "zone_borders"), (("policy", "zones"),)
    if borders and len(borders) != zones - 1:
        wanted = f"expected {zones - 1} borders of {zones} zones, or none"
        yield Fault(path, f"{wanted}, found {len(borders)}", other)
    for index, (before, border) in enumerate(pairwise([0.0, *borders])):
        if not before < border < 1:
            expected = f"expected shares of demand above {before:g} and below 1, ascending"
            yield Fault((*path, index), f"{expected}, found {border:g}")


def _counting_faults(scenario: Scenario) -> Iterator[Fault]:
    """Plans and methods that are not known, and errors in a store for which they are not modelled."""
    counting, here = scenario.counting, "counting"
    for key, names in (("plan", list(PLANS)), ("method", list(METHODS)), ("recount", list(METHODS))):
        name = getattr(counting, key)
        if name not in names:
            yield Fault((here, key), f"expected {one_of(names)}, found {show(name)}{near(name, names)}")
    if counting.recount in METHODS and not METHODS[counting.recount].places:
        names = [name for name, method in METHODS.items() if method.places]
        expected = f"expected a method that knows where boxes stand, {one_of(names)}"
        yield Fault((here, "recount"), f"{expected}, found {show(counting.recount)}")
    if counting.plan in PLANS and PLANS[counting.plan].counts:
        yield from _counter_faults(scenario)


def _counter_faults(scenario: Scenario) -> Iterator[Fault]:
    """Counts that nobody is there to make, and those that free stacks do not allow."""
    counting = scenario.counting
    there = {"robot": scenario.robots.count, "person": scenario.people.count}
    for key in ("method", "recount"):
        method = METHODS.get(getattr(counting, key))
        if method is not None and not there[method.by]:
            names = [name for name, other in METHODS.items() if there[other.by]]
            known = one_of(names) if names else "robots or people to count"
            who = "robots.count" if method.by == "robot" else "people.count"
            found = f"found '{getattr(counting, key)}' with {who} = 0"
            others = (("counting", "plan"), tuple(who.split(".")))
            yield Fault(("counting", key), f"expected {known}, {found}", others)
    exact = counting.method == counting.recount == "camera" and scenario.reads.box_miss == 0
    if scenario.robots.access == "stack_lifo" and not exact:
        yield Fault(
            ("counting", "plan"),
            f"expected 'none' or 'passive' with robots.access = 'stack_lifo', found '{counting.plan}': free"
            " stacks are counted by camera only, and with reads.box_miss = 0",
            (("robots", "access"), ("reads", "box_miss"), ("counting", "method"), ("counting", "recount")),
        )


def _demand_faults(scenario: Scenario) -> Iterator[Fault]:
    demand, here = scenario.demand, "demand"
    names = [sku.name for sku in scenario.skus]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(
                ("skus", index, "name"), f"expected a name that no other SKU has, found {show(name)} again"
            )
    for index, window in enumerate(demand.windows):
        if clock_ms(window.start) >= clock_ms(window.end):
            yield Fault(
                (here, "windows", index, "end"),
                f"expected a time after start = '{window.start}', found '{window.end}'",
                ((here, "windows", index, "start"),),
            )
    total = math.fsum(window.share for window in demand.windows)
    if total > 1 + 1e-9:
        yield Fault((here, "windows"), f"expected shares that sum to at most 1, found {total:g}")
    if demand.kind == "schedule" and not demand.schedule:
        yield Fault(
            (here, "schedule"),
            "expected orders with demand.kind = 'schedule', found none",
            ((here, "kind"),),
        )
    if demand.kind == "trace" and demand.file is None:
        yield Fault(
            (here, "file"), "expected a file with demand.kind = 'trace', found none", ((here, "kind"),)
        )
    yield from _unknown_skus((here, "schedule"), [order.sku for order in demand.schedule], names)


def _device_faults(scenario: Scenario) -> Iterator[Fault]:
    """Boxes of a SKU that hold too many meters, device classes of restricted slots that no SKU has."""
    most = scenario.boxes.meters_per_box
    for index, sku in enumerate(scenario.skus):
        if sku.meters_per_box is not None and sku.meters_per_box > most:
            expected = f"expected at most boxes.meters_per_box = {most}, found {sku.meters_per_box}"
            yield Fault(("skus", index, "meters_per_box"), expected, (("boxes", "meters_per_box"),))
    known = list(dict.fromkeys(sku.device for sku in scenario.skus))
    for index, entry in enumerate(scenario.layout.restricted):
        for at, device in enumerate(entry.devices or ()):
            if device not in known:
                found = f"found {show(device)}{near(device, known)}"
                path = ("layout", "restricted", index, "devices", at)
                yield Fault(path, f"expected the device class of a SKU, {found}", (("skus",),))


def _restricted_faults(scenario: Scenario, layout: Layout) -> Iterator[Fault]:
    """SKUs for whose boxes there is no slot."""
    weights = full_weights_g(scenario)
    for index, sku in enumerate(scenario.skus):
        weight_g = weights[index]
        admits = layout.admits(sku.device, weight_g)
        if admits is not None and not any(map(operator.and_, admits, map(bool, layout.capacity))):
            found = f"found none for {show(sku.device)} and boxes of {weight_g / 1000:g} kg"
            expected = "expected a SKU whose boxes some slot takes"
            yield Fault(("skus", index), f"{expected}, {found}", (("layout", "restricted"),))


def box_weight_g(scenario: Scenario, meter_kg: float, meters: int | None = None) -> int:
    """What a box weighs with so many meters of a mass, a full one if not given; in whole grams."""
    full = scenario.boxes.meters_per_box if meters is None else meters
    return round(1000 * (scenario.boxes.tare_kg + full * meter_kg))


def full_boxes(scenario: Scenario) -> list[int]:
    """The meters in a full box of each SKU."""
    most = scenario.boxes.meters_per_box
    return [most if sku.meters_per_box is None else sku.meters_per_box for sku in scenario.skus]


def full_weights_g(scenario: Scenario) -> list[int]:
    """What a full box of each SKU weighs, in whole grams."""
    full = full_boxes(scenario)
    return [
        box_weight_g(scenario, sku.meter_kg, meters) for sku, meters in zip(scenario.skus, full, strict=True)
    ]


def _supply_faults(scenario: Scenario) -> Iterator[Fault]:
    supply, here = scenario.supply, "supply"
    if supply.age_days_min > supply.age_days_max:
        yield Fault(
            (here, "age_days_min"),
            f"expected at most supply.age_days_max = {supply.age_days_max}, found {supply.age_days_min}",
            ((here, "age_days_max"),),
        )
    if clock_ms(supply.arrive_from) >= clock_ms(supply.arrive_to):
        yield Fault(
            (here, "arrive_to"),
            f"expected a time after supply.arrive_from = '{supply.arrive_from}', found '{supply.arrive_to}'",
            ((here, "arrive_from"),),
        )
    if supply.rule == "schedule" and not supply.schedule:
        yield Fault(
            (here, "schedule"),
            "expected deliveries with supply.rule = 'schedule', found none",
            ((here, "rule"),),
        )
    names = [sku.name for sku in scenario.skus]
    yield from _unknown_skus((here, "schedule"), [delivery.sku for delivery in supply.schedule], names)


def _flow_faults(scenario: Scenario) -> Iterator[Fault]:
    """Spans that end before they begin, shares that sum to more than 1, and recalls of nothing."""
    yield from _removed_faults(scenario)
    returns, names = scenario.returns, [sku.name for sku in scenario.skus]
    if returns.test_share + returns.maker_share > 1 + 1e-9:
        total = returns.test_share + returns.maker_share
        yield Fault(
            ("returns", "test_share"),
            f"expected at most 1 together with returns.maker_share, found {total:g}",
            (("returns", "maker_share"),),
        )
    for section, span in (
        ("returns", "unused_days"), ("returns", "removed_days"), ("reverify", "days"), ("empties", "days"),
    ):  # fmt: skip
        least, most = (getattr(getattr(scenario, section), f"{span}_{end}") for end in ("min", "max"))
        if least > most:
            expected = f"expected at most {section}.{span}_max = {most}, found {least}"
            yield Fault((section, f"{span}_min"), expected, ((section, f"{span}_max"),))
    for index, recall in enumerate(scenario.control.recalls):
        at = "control", "recalls", index
        if recall.lot is None and recall.sku is None:
            yield Fault(at, "expected a lot or a sku to recall, found neither")
        if isinstance(recall.lot, int) and recall.sku is not None:
            yield Fault((*at, "sku"), "expected none beside the number of a lot, found one")
    wanted = [recall.sku or names[0] for recall in scenario.control.recalls]
    yield from _unknown_skus(("control", "recalls"), wanted, names)


def _removed_faults(scenario: Scenario) -> Iterator[Fault]:
    """Removed meters that are of no known SKU, or of one that is ordered or called off."""
    returns, names = scenario.returns, [sku.name for sku in scenario.skus]
    here, share = ("returns", "sku"), ("returns", "share_here")
    if returns.sku is not None and returns.sku not in names:
        expected = f"expected the name of a SKU, found {show(returns.sku)}{near(returns.sku, names)}"
        yield Fault(here, expected, (("skus",),))
    if not returns.share_here:
        return
    if returns.sku is None:
        yield Fault(here, f"expected a SKU with share_here = {returns.share_here:g}, found none", (share,))
    elif len(names) == 1:
        expected = "expected a SKU beside those that are ordered, found the only one"
        yield Fault(here, expected, (("skus",),))
    if scenario.supply.rule == "s,Q":
        expected = "expected 'R,S' or 'schedule' where removed meters are taken in, found 's,Q'"
        yield Fault(("supply", "rule"), f"{expected}: it would call them off", (share,))
    for section in ("demand", "supply"):
        for index, each in enumerate(getattr(scenario, section).schedule):
            if each.sku == returns.sku:
                path = section, "schedule", index, "sku"
                yield Fault(path, f"expected a SKU other than returns.sku, found {show(each.sku)}", (here,))


def _unknown_skus(path: KeyPath, wanted: Sequence[str], names: Sequence[str]) -> Iterator[Fault]:
    known = set(names)
    for index, name in enumerate(wanted):
        if name not in known:
            yield Fault(
                (*path, index, "sku"),
                f"expected the name of a SKU, found {show(name)}{near(name, names)}",
                (("skus",),),
            )


def _layout_faults(scenario: Scenario) -> Iterator[Fault]:
    try:
        layout = build_layout(scenario)
    except LayoutError as error:
        for path, message in error.faults:
            yield Fault(_parts(path), message, (("layout",), ("boxes", "height_m"), ("robots", "access")))
    else:
        yield from _restricted_faults(scenario, layout)


def build_layout(scenario: Scenario) -> Layout:
    """The layout of a scenario; raises LayoutError where its values do not fit together."""
    return Layout(
        scenario.layout,
        meters_per_box=scenario.boxes.meters_per_box,
        box_height_m=scenario.boxes.height_m,
        access=scenario.robots.access,
        robots=scenario.robots.count,
        hands=scenario.people.count if may_carry_by_hand(scenario) else 0,
        full_boxes=full_boxes(scenario),
    )


def counts_by_hand(scenario: Scenario) -> bool:
    """Whether people count slots: robots then keep out of the aisle."""
    counting = scenario.counting
    by = {METHODS[name].by for name in (counting.method, counting.recount)}
    return PLANS[counting.plan].counts and "person" in by


def may_carry_by_hand(scenario: Scenario) -> bool:
    """Whether people may come to carry boxes: always in a manual store, else while a robot is down."""
    fallback = scenario.fallback
    steps_in = fallback.people > 0 and fallback.after_min < math.inf
    return scenario.operation == "manual" or (scenario.faults.scale > 0 and steps_in)


# --- files, `extends` and `--set` ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """The values that one source sets: a file, or the command line."""

    name: str
    folder: Path
    data: dict[str, Any]
    text: str = field(default="", repr=False)

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text) if self.text else {}


def _scenario_folder() -> Path:
    here = Path(__file__).resolve().parent
    beside = here.parent / "scenarios"
    return beside if (here.parent / "pyproject.toml").is_file() and beside.is_dir() else here / "_scenarios"


def _find(path_or_name: str) -> tuple[Path, str]:
    """The file that is meant, and how to show it."""
    known = scenario_files()
    if path_or_name in known:
        path = known[path_or_name]
        return path, _shown(path)
    path = Path(path_or_name)
    if _looks_like_name(path_or_name) and not path.exists():
        expected = f"expected a scenario file or one of {', '.join(known)}, found neither"
        raise ScenarioError([f"{printable(path_or_name)}: {expected}{near(path_or_name, known)}"])
    return path, printable(path_or_name)


def _looks_like_name(text: str) -> bool:
    return re.fullmatch(r"[\w-]+", text) is not None


def _shown(path: Path) -> str:
    """A path as seen from the working folder where it lies below that, else whole."""
    try:
        return printable(str(path.resolve().relative_to(Path.cwd())))
    except (ValueError, OSError):
        return printable(str(path))


def _read(path: Path, shown: str) -> _Layer:
    """The values of one file; raises ScenarioError with its one line."""
    try:
        if path.is_dir():
            raise ScenarioError([f"{shown}: expected a scenario file, found a folder"])
        if path.exists() and not path.is_file():
            raise ScenarioError([f"{shown}: expected a scenario file, found a device or pipe"])
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        names = [other.name for other in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise ScenarioError(
            [f"{shown}: expected a scenario file, found none{near(path.name, names)}"]
        ) from None
    except ScenarioError:
        raise
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ScenarioError([f"{shown}: expected a file that can be read, found: {reason}"]) from None
    if len(raw) > MOST_BYTES:
        raise ScenarioError([f"{shown}: expected at most {MOST_BYTES:,} bytes, found more"])
    text = _decoded(raw, shown)
    return _Layer(shown, path.parent, _parsed(text, shown), text)


def _decoded(raw: bytes, shown: str) -> str:
    for mark, name in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if raw.startswith(mark):
            raise ScenarioError([f"{shown}: expected UTF-8 text, found {name}"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        try:
            raw.decode("gb18030")
            found = "bytes of another encoding (GB18030?)"
        except UnicodeDecodeError:
            found = f"the byte 0x{raw[error.start]:02x}"
        raise ScenarioError([f"{shown}:{line}: expected UTF-8 text, found {found}"]) from None
    return text.replace("\r\n", "\n")


# Keys of so many parts are no scenario's, and they cost the parser the square of their number.
_LONG_KEY: Final = re.compile(
    r"(?<![\w-])(?:(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+){" + str(2 * MOST_LEVELS) + "}"
)


def _parsed(text: str, shown: str) -> dict[str, Any]:
    if long := _LONG_KEY.search(text):
        line = text.count("\n", 0, long.start()) + 1
        raise ScenarioError([f"{shown}:{line}: expected a key of at most {MOST_LEVELS} parts, found more"])
    try:
        data = tomllib.loads(text)
    except RecursionError:
        data = None
    except ValueError as error:
        line, problem = _toml_problem(str(error), text)
        raise ScenarioError([f"{shown}:{line}: expected TOML, found {problem}"]) from None
    if data is None or _depth(data) > MOST_LEVELS:
        raise ScenarioError([f"{shown}: expected at most {MOST_LEVELS} levels of nesting, found more"])
    return data


_TOML_PROBLEMS: Final = (
    (r"Cannot overwrite a value", "a key that is given twice"),
    (r"Cannot declare .* twice", "a table that is declared twice"),
    (r"Cannot mutate immutable namespace .*", "a key added to a table that is already closed"),
    (r"Cannot redefine namespace .*", "a table that is already defined by its keys"),
    (r"Expected '=' after a key.*", "a key without '=' after it"),
    (r"Expected newline or end of document after a statement", "more text after a complete value"),
    (r"Expected '\]' at the end of a table declaration", "a table header without its ']'"),
    (r"Expected '\]\]' at the end of an array declaration", "a table header without its ']]'"),
    (r"Invalid initial character for a key part", "a key that is neither a word nor in quotes"),
    (r"Invalid value", "a value that is neither a number, true, false, a list, a table nor text in quotes"),
    (r"Invalid statement", "a line that is neither a table header nor key = value"),
    (r"Invalid date or datetime", "a date that does not exist"),
    (r"Unclosed array", "a list without its ']'"),
    (r"Unclosed inline table", "an inline table without its '}'"),
    (r"Unterminated string", "text without its closing quote"),
    (r"Unescaped '\\\\' in a string", "a backslash that is not doubled"),
    (r"Illegal character '\\n'", "text without its closing quote"),
    (r"Duplicate inline table key .*", "a key that is given twice"),
    (r"Exceeds the limit .*", "a number of far too many digits"),
    (r"Expected \"(.*)\"", r"an end without \1"),
)


def _toml_problem(message: str, text: str) -> tuple[int, str]:
    """The line and the words for a message of `tomllib`, which has its position in brackets at the end."""
    line = text.count("\n") + 1
    if where := re.search(r" \(at line (\d+), column \d+\)$", message):
        line = int(where[1])
    elif message.endswith(" (at end of document)"):
        line = text.rstrip().count("\n") + 1
    else:
        line = 1
    problem = re.sub(r" \(at (line \d+, column \d+|end of document)\)$", "", message)
    for pattern, words in _TOML_PROBLEMS:
        if re.fullmatch(pattern, problem, re.DOTALL):
            return line, re.sub(pattern, words, problem)
    return line, printable(problem[:1].lower() + problem[1:])


def _chain(path: Path, shown: str, lines: list[str]) -> list[_Layer]:
    """The layers of a file and of what it extends, the farthest parent first; mistakes go to `lines`."""
    layers: list[_Layer] = []
    seen: list[Path] = []
    while True:
        try:
            layer = _read(path, shown)
        except ScenarioError as error:
            lines += error.lines
            return layers
        data = layer.data
        parent = data.pop("extends", None)
        if layers:
            # What a file is called and asks is its own.
            data = {key: value for key, value in data.items() if key not in ("name", "question")}
        layer = _Layer(layer.name, layer.folder, data, layer.text)
        layers.insert(0, layer)
        seen.append(path.resolve())
        if parent is None:
            return layers
        where = f"{layer.name}:{layer.lines[('extends',)]}: extends: "
        if not isinstance(parent, str):
            lines.append(f"{where}expected the name of a scenario file, found {show(parent)}")
            return layers
        known = scenario_files()
        path = known[parent] if _looks_like_name(parent) and parent in known else layer.folder / parent
        problem = _parent_problem(path, parent, seen, known)
        if problem:
            lines.append(where + problem)
            return layers
        shown = _shown(path)


def _parent_problem(path: Path, parent: str, seen: list[Path], known: Mapping[str, Path]) -> str:
    if "\x00" in parent or not path.is_file():
        names = [other.name for other in path.parent.glob("*.toml")] if "\x00" not in parent else []
        return f"expected a scenario file, found no {show(parent)}{near(parent, [*names, *known])}"
    if path.resolve() in seen:
        cycle = [other.name for other in seen[seen.index(path.resolve()) :]]
        return f"expected a chain that ends, found the cycle {' -> '.join([*cycle, path.name])}"
    if len(seen) > MOST_PARENTS:
        return f"expected at most {MOST_PARENTS} parents, found more"
    return ""


def _merged(layers: Sequence[_Layer]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for layer in layers:
        _merge(data, layer.data)
    return data


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = _copy(value)


def _set_layer(sets: Sequence[str], layers: Sequence[_Layer], lines: list[str]) -> _Layer:
    """The values of `--set`; mistakes go to `lines`."""
    data: dict[str, Any] = {}
    merged = _merged(layers)
    for text in sets:
        try:
            path, value = _set(text, merged)
        except ScenarioError as error:
            lines += error.lines
            continue
        _put(data, path, value)
        _put(merged, path, _copy(value))
    return _Layer("--set", Path.cwd(), data)


def _set(text: str, merged: Mapping[str, Any]) -> tuple[KeyPath, Any]:
    """The path and the value that a text "a.b=value" sets; for an element of a list, the whole list."""
    key, equals, word = text.partition("=")
    path = _parts(key.strip())
    if not equals or not path or len(path) > MOST_LEVELS:
        raise ScenarioError([f"--set: expected a.b=value, found {show(text)}"])
    value = _set_value(word.strip())
    if value is None:
        where = f"--set: {dotted(path)}"
        raise ScenarioError([f"{where}: expected a value in TOML or a bare word, found {show(word)}"])
    return _element(merged, path, value, dotted(path))


def _element(merged: Mapping[str, Any], path: KeyPath, value: Any, shown: str) -> tuple[KeyPath, Any]:
    """The path and the value that are set: for an element of a list, the whole list."""
    where = f"--set: {shown}"
    for end in range(1, len(path)):
        held = _held(merged, path[:end])
        if isinstance(held, list):
            index, inner = path[end], path[end + 1 :]
            if not isinstance(index, int) or index >= len(held):
                expected = f"expected an index below {len(held)} in {dotted(path[:end])}"
                raise ScenarioError([f"{where}: {expected}, found {show(index)}"])
            whole = _copy(held)
            if inner and isinstance(whole[index], dict):
                _put(whole[index], inner, value)
            else:
                whole[index] = value
            return path[:end], whole
    return tuple(map(str, path)), value


def _set_value(text: str) -> Any:
    """The value that a text means, or None when it means none."""
    try:
        parsed = tomllib.loads(f"x = {text}")
        if list(parsed) == ["x"] and "\n" not in text and _depth(parsed) <= MOST_LEVELS:
            return parsed["x"]
    except (ValueError, RecursionError):
        pass
    return text if text and not re.search(r"[\x00-\x1f\"'\[\]{}#=]", text) else None


def _held(data: Any, path: KeyPath) -> Any:
    """What stands at a path, or its default."""
    value = data
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        value = _defaults()
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
    return value


@cache
def _defaults() -> dict[str, Any]:
    return Scenario().model_dump(mode="json")


def _resolve_files(data: dict[str, Any], layers: Sequence[_Layer], base: Path) -> Iterator[Fault]:
    """Makes file names relative to `base`; a file that is not there is a mistake."""
    for section, key in FILE_KEYS:
        table = data.get(section)
        if not isinstance(table, dict):
            continue
        name = table.get(key)
        if not isinstance(name, str) or not name:
            continue
        folder = _layer_of(layers, (section, key)).folder
        path = folder / name
        if "\x00" in name or not path.is_file():
            others = [other.name for other in path.parent.glob("*")] if "\x00" not in name else []
            meant = near(path.name, others)
            yield Fault((section, key), f"expected a file beside the scenario, found no {show(name)}{meant}")
            del table[key]
        elif not Path(name).is_absolute() and folder.resolve() != base.resolve():
            table[key] = Path(os.path.relpath(path, base)).as_posix()


def _layer_of(layers: Sequence[_Layer], path: KeyPath) -> _Layer:
    """The layer whose value stands at a path, or the defaults."""
    for layer in reversed(layers):
        value: Any = layer.data
        for part in path:
            if not _has(value, part):
                break
            value = value[part]
        else:
            return layer
        if not isinstance(value, dict):
            return layer
    return _DEFAULT


_DEFAULT: Final = _Layer("default", Path(), {})


def _standing(layers: Sequence[_Layer], fault: Fault) -> tuple[_Layer, int]:
    """The layer that made a mistake, and its line there (0: none)."""
    paths = (fault.path, *fault.others)
    path = next((path for path in paths if _layer_of(layers, path) is not _DEFAULT), fault.path)
    for end in range(len(path), 0, -1):
        layer = _layer_of(layers, path[:end])
        if layer is not _DEFAULT:
            return layer, layer.lines.get(path[:end], 0)
    return layers[-2], 0  # the file itself


def _position(layers: Sequence[_Layer], fault: Fault) -> tuple[int, int]:
    layer, line = _standing(layers, fault)
    return next(index for index, other in enumerate(layers) if other is layer), line


def _line(layers: Sequence[_Layer], fault: Fault) -> str:
    layer, line = _standing(layers, fault)
    where = f"{layer.name}:{line}" if line else layer.name
    return f"{where}: {dotted(fault.path)}: {fault.message}"


# --- mistakes in words -----------------------------------------------------------------------------------


def mistakes(error: ValidationError, data: Mapping[str, Any], tree: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with plain data in our words, from pydantic's; `tree` is its schema, inlined."""
    told = (_translate(details, data, tree) for details in error.errors(include_url=False))
    return list(dict.fromkeys(told))  # each choice of a value that can be of several kinds has failed


def _translate(details: Any, data: Mapping[str, Any], tree: Mapping[str, Any]) -> Fault:
    path = _path_in(data, details["loc"], is_missing=details["type"] == "missing")
    node, found = node_at(tree, path), show(details["input"])
    if details["type"] == "extra_forbidden":
        return _unknown_key(path, tree)
    if details["type"] == "missing":
        return Fault(path, f"expected {describe(node)}, found nothing")
    message = details["msg"]
    if message.startswith("expected ") and details["type"] not in ("number_type", "date_type"):
        return Fault(path, f"{message}, found {found}")
    meant = near(details["input"], node.get("enum", ())) if isinstance(details["input"], str) else ""
    limits = details.get("ctx", {})
    if isinstance(details["input"], date) and ("ge" in limits or "le" in limits):
        bounds = f"a date not {'before' if 'ge' in limits else 'after'} {limits.get('ge', limits.get('le'))}"
        return Fault(path, f"expected {bounds}, found {found}")
    return Fault(path, f"expected {describe(node)}, found {found}{meant}")


def _unknown_key(path: KeyPath, tree: Mapping[str, Any]) -> Fault:
    key, table = path[-1], path[:-1]
    names = list(node_at(tree, table).get("properties", ()))
    if tree is not _tree():
        known = one_of(names) if names else "nothing here"
        return Fault(path, f"expected {known}, found {show(key)}{near(key, names)}")
    section = f"a key of {dotted(table)}" if table else "a key or table of a scenario"
    meant = near(key, names)
    if not meant:
        elsewhere = [dotted(leaf) for leaf, _ in _leaves(_defaults(), ()) if leaf[-1] == key]
        meant = f", did you mean '{elsewhere[0]}'?" if elsewhere else ""
    return Fault(path, f"expected {section}, found {show(key)}{meant}")


def _path_in(data: Any, loc: Sequence[str | int], *, is_missing: bool) -> KeyPath:
    """The part of a location that stands in the data; pydantic also names the branches of a union."""
    path: KeyPath = ()
    value = data
    for index, part in enumerate(loc):
        if _has(value, part):
            value = value[part]
            path = (*path, part)
        elif is_missing and index == len(loc) - 1:
            path = (*path, part)
    return path


# --- plain data ------------------------------------------------------------------------------------------


def _parts(text: str) -> KeyPath:
    """The path that a dotted text means: skus[0].share and skus.0.share are the same."""
    parts = re.sub(r"\[(\d{1,9})\]", r".\1", text).split(".")
    if not all(re.fullmatch(r"[\w -]+", part) for part in parts):
        return ()
    return tuple(int(part) if re.fullmatch(r"\d{1,9}", part, re.ASCII) else part for part in parts)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _put(data: Any, path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        if not isinstance(data.get(part), dict):
            data[part] = {}
        data = data[part]
    data[path[-1]] = value


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _prune(data: dict[str, Any], path: KeyPath) -> KeyPath:
    """Takes a value out, or the whole list that it stands in; gives the path of what is gone."""
    value: Any = data
    for end, part in enumerate(path, 1):
        if not isinstance(value, dict) or part not in value:
            return path
        if end == len(path) or not isinstance(value[part], dict):
            del value[part]
            return path[:end]
        value = value[part]
    return path


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list | tuple):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _overlap(a: KeyPath, b: KeyPath) -> bool:
    short = min(len(a), len(b))
    return a[:short] == b[:short]


def _depth(data: Any) -> int:
    """How deep tables and lists are nested, looked at no deeper than matters."""
    level, depth = [data], 0
    while level and depth <= MOST_LEVELS:
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        depth += 1
    return depth
