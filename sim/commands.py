"""Commands into a run: what it may be told between two events, when that is refused, and the log of them.

A run is its scenario, its seed and its command log. A command acts at the border of a slice, before any other
event of that instant; several act in their sequence. `examine` finds what can never be right, with nothing
but scenario and layout; what cannot be done as the store stands is refused while it is carried out, and then
the run is exactly as before. Left out: who may give a command, and when: that is for those who take them in.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, ValidationError

from sim.assets import STATES
from sim.calendar import DAY_MS
from sim.counting import METHODS
from sim.facts import NONE
from sim.layout import Layout, LayoutError
from sim.ledger import IN_TRANSIT, OVERDUE, QUALIFIED, QUARANTINED
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.scenario import MOST_LEVELS, Fault, Scenario, changed, may_carry_by_hand, mistakes, tree_of
from sim.simulation import Given, Simulation
from sim.toml_lines import KeyPath
from sim.words import dotted, near, one_of, printable, show


class CommandError(ValueError):
    """Arguments that can never be right.

    Attributes
    ----------
    lines : one line a mistake, "args.lines[0].sku: expected ..., found ...".
    faults : the same as (path within the arguments, "expected ..., found ...").
    """

    def __init__(self, lines: Sequence[str], faults: Sequence[tuple[KeyPath, str]] = ()) -> None:
        self.lines = list(lines)
        self.faults = list(faults)
        super().__init__("\n".join(self.lines))


class Refused(Exception):  # noqa: N818 - no error: the store cannot do that now
    """A command that cannot be carried out as the store stands; nothing has changed."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Entry(NamedTuple):
    """One line of a command log; `args` are ready for JSON."""

    t_ms: int
    sequence: int
    type: str
    args: dict[str, Any]


class Outcome(NamedTuple):
    """What became of a command: facts from `first_fact` on, so many, are what it caused at once."""

    applied: bool
    reason: str
    first_fact: int
    facts: int


class CommandKind(NamedTuple):
    """A command: the model of its arguments, how it is carried out, what it does."""

    params: type[Params]
    apply: Callable[[Simulation, Any], None]
    sentence: str


# --- arguments -------------------------------------------------------------------------------------------

_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Number = Annotated[JsonInt, Field(ge=0)]


class OrderLineArgs(Params):
    """One line of an order."""

    sku: Annotated[_Name, Field(description="name of the SKU")]
    meters: Annotated[JsonInt, Field(gt=0, le=10_000_000, description="meters wanted")]


class OrderArgs(Params):
    """An order of a station."""

    station: JsonInt = fact(0, "number of the supply station", ge=0, le=100_000)
    lines: Annotated[list[OrderLineArgs], Field(min_length=1, max_length=1000, description="what is wanted")]
    due_in_s: JsonFloat | None = fact(
        None, "time until it is due; demand.due_h in shift hours when not given", unit="s", ge=0, le=1e9
    )


class LoadArgs(Params):
    """Boxes of one SKU on a truck."""

    sku: Annotated[_Name, Field(description="name of the SKU")]
    boxes: Annotated[JsonInt, Field(gt=0, le=100_000, description="boxes on the truck")]


class DeliveryArgs(Params):
    """A truck and what it brings."""

    loads: Annotated[list[LoadArgs], Field(min_length=1, max_length=1000, description="what it brings")]
    in_s: JsonFloat = fact(0.0, "time until it comes", unit="s", ge=0, le=1e9)


class SlotArgs(Params):
    """A slot by its name."""

    slot: Annotated[_Name, Field(description="name of the slot")]


class RobotArgs(Params):
    """A robot by its name, or by its number, from 0."""

    robot: Annotated[_Number | _Name, Field(description="name of the robot (robot-1), or its number, from 0")]


class CountArgs(Params):
    """Slots to be counted, and how."""

    slots: Annotated[list[_Name], Field(min_length=1, max_length=100_000)] | None = fact(
        None, "names of the slots; all when not given"
    )
    method: str | None = fact(None, "how a slot is looked at first; counting.method when not given")


class LotArgs(Params):
    """A lot by its number, or by its name in the stock list."""

    lot: Annotated[_Number | _Name, Field(description="name of the lot in the stock list, or its number")]


class BoxArgs(Params):
    """A box by its number, or by its name in the stock list."""

    box: Annotated[_Number | _Name, Field(description="name of the box in the stock list, or its number")]


class TransferArgs(BoxArgs):
    """A box and where it is to go."""

    slot: Annotated[_Name, Field(description="name of the slot")]


class SetArgs(Params):
    """Values of the scenario by dotted path."""

    values: Annotated[dict[str, Any], Field(description="values of the scenario by dotted path")]


class PolicyArgs(Params):
    """Rules by name; those that are not given stay."""

    allocation: str | None = fact(None, "which slot takes a box")
    retrieval: str | None = fact(None, "which boxes leave")
    dispatch: str | None = fact(None, "which work a free robot takes first")
    dwell: str | None = fact(None, "where an idle robot waits")


# --- carrying out ----------------------------------------------------------------------------------------


def _order(simulation: Simulation, args: OrderArgs) -> None:
    due_ms = None if args.due_in_s is None else simulation.now_ms + round(1000 * args.due_in_s)
    lines = [(simulation.sku_names.index(line.sku), line.meters) for line in args.lines]
    simulation.order(args.station, lines, due_ms)


def _delivery(simulation: Simulation, args: DeliveryArgs) -> None:
    loads = [(simulation.sku_names.index(load.sku), load.boxes) for load in args.loads]
    simulation.call_off(loads, simulation.now_ms + round(1000 * args.in_s))


def _block_slot(simulation: Simulation, args: SlotArgs) -> None:
    slot = simulation.layout.place(args.slot)
    if "blocked" in simulation.ledger.index.out_of_use(slot):
        raise Refused(f"slot {args.slot} is blocked already")
    simulation.warehouse.block_slot(slot, blocked=True)


def _free_slot(simulation: Simulation, args: SlotArgs) -> None:
    slot = simulation.layout.place(args.slot)
    reasons = simulation.ledger.index.out_of_use(slot)
    if "blocked" not in reasons:
        more = "; a discrepancy keeps it on hold until it is counted" if reasons else ""
        raise Refused(f"slot {args.slot} is not blocked{more}")
    simulation.warehouse.block_slot(slot, blocked=False)


def _stop_robot(simulation: Simulation, args: RobotArgs) -> None:
    robot = _robot_number(args.robot, simulation.layout)
    if simulation.fleet.is_stopped(robot):
        raise Refused(f"{_robot(args.robot)} is stopped already")
    simulation.fleet.stop(robot)


def _repair_robot(simulation: Simulation, args: RobotArgs) -> None:
    robot = _robot_number(args.robot, simulation.layout)
    if not simulation.fleet.repair(robot):
        is_dark = simulation.fleet.down_since_ms(robot) != NONE
        state = "only waits for the power to come back" if is_dark else "is in order"
        raise Refused(f"{_robot(args.robot)} {state}")


def _robot_number(given: int | str, layout: Layout) -> int:
    """The number of a robot that is known by its name or number; NONE for a name that no robot has."""
    if isinstance(given, int):
        return given
    names = _robot_names(layout)
    return names.index(given) if given in names else NONE


def _robot_names(layout: Layout) -> list[str]:
    first = layout.outside + 1
    return list(layout.names[first : first + layout.robots])


def _robot(given: int | str) -> str:
    return given if isinstance(given, str) else f"robot {given}"


def _count(simulation: Simulation, args: CountArgs) -> None:
    layout, scenario = simulation.layout, simulation.scenario
    method = args.method or scenario.counting.method
    for name in dict.fromkeys((method, scenario.counting.recount)):
        if not (problem := _cannot_count(scenario, name)):
            continue
        what = "the first look" if name == method else "the second look (counting.recount)"
        raise Refused(f"{what} by {name} is not possible: {problem}")
    if args.slots is None:
        slots = [slot for slot, capacity in enumerate(layout.capacity) if capacity]
    else:
        slots = [layout.place(name) for name in args.slots]
    counting = simulation.warehouse.counting
    if counting is not None and not counting.may_hurry(slots):
        each = f"slot {args.slots[0]}" if args.slots and len(args.slots) == 1 else "each of these slots"
        raise Refused(f"{each} waits for an urgent count already")
    simulation.count(slots, method)


def _cannot_count(scenario: Scenario, name: str) -> str:
    """Why slots cannot be counted by a method in this store; empty when they can."""
    by = METHODS[name].by
    there = scenario.robots.count if by == "robot" else scenario.people.count
    if not there:
        return f"there is no {by}"
    if scenario.robots.access == "stack_lifo" and (name != "camera" or scenario.reads.box_miss):
        return "free stacks are counted by camera only, and with reads.box_miss = 0"
    return ""


def _recall(simulation: Simulation, args: LotArgs) -> None:
    house = simulation.warehouse
    lot = _lot_number(simulation, args.lot)
    assert house.flows is not None
    if lot in house.flows.recalled:
        raise Refused(f"lot {args.lot} is recalled already")
    house.recall(lot)


def _transfer(simulation: Simulation, args: TransferArgs) -> None:
    house, ledger = simulation.warehouse, simulation.ledger
    box, slot = _box_number(simulation, args.box), simulation.layout.place(args.slot)
    _refuse_absent(simulation, box, args.box)
    _refuse_promised(simulation, box, args.box)
    assert house.flows is not None
    if house.flows.is_to_be_transferred(box):
        raise Refused(f"box {args.box} is being transferred already")
    if ledger.state[box] != QUALIFIED:
        raise Refused(f"box {args.box} is {_state(simulation, box)}: only qualified boxes are transferred")
    if house.is_open(box):
        raise Refused(f"box {args.box} is open: only whole boxes are transferred")
    if house.has_task(box):
        raise Refused(f"box {args.box} is on its way, or waits to be put away")
    if ledger.column[box] == NONE:
        place = simulation.layout.place_name(ledger.place[box])
        raise Refused(f"box {args.box} stands in no slot ({place})")
    if ledger.place[box] == slot:
        raise Refused(f"box {args.box} stands in slot {args.slot} already")
    _refuse_slot(simulation, box, slot)
    if not house.transfer(box, slot):
        raise Refused(f"box {args.box} may not be moved now: its record is being checked")


def _refuse_slot(simulation: Simulation, box: int, slot: int) -> None:
    """Refuse a slot that may not take a box, each reason in its own words."""
    index, name = simulation.ledger.index, simulation.layout.place_name(slot)
    reasons = index.out_of_use(slot)
    if "blocked" in reasons:
        raise Refused(f"slot {name} is blocked")
    if reasons:
        raise Refused(f"slot {name} is on hold: a discrepancy there is not cleared")
    if not index.room[slot]:
        raise Refused(f"slot {name} is full, reserved places counted")
    if not index.view_of(simulation.ledger.sku[box]).is_open(slot):
        raise Refused(f"slot {name} does not take such boxes (layout.restricted)")


def _hold_box(simulation: Simulation, args: BoxArgs) -> None:
    house, ledger = simulation.warehouse, simulation.ledger
    box = _box_number(simulation, args.box)
    _refuse_absent(simulation, box, args.box)
    _refuse_promised(simulation, box, args.box)
    if house.is_put_on_hold(box):
        raise Refused(f"box {args.box} is on hold already")
    if ledger.state[box] not in (QUALIFIED, OVERDUE):
        raise Refused(f"box {args.box} is {_state(simulation, box)}: nobody can have it")
    house.put_on_hold(box)


def _release_box(simulation: Simulation, args: BoxArgs) -> None:
    house = simulation.warehouse
    box = _box_number(simulation, args.box)
    _refuse_absent(simulation, box, args.box)
    _refuse_recalled(simulation, box, args.box)
    if house.counting is not None and house.counting.is_noted(box):
        raise Refused(f"box {args.box} was not seen in a count: it is looked for again first")
    if not house.is_put_on_hold(box):
        raise Refused(f"box {args.box} is not on hold by a command: it is {_state(simulation, box)}")
    house.take_off_hold(box)


def _scrap(simulation: Simulation, args: BoxArgs) -> None:
    box = _box_number(simulation, args.box)
    _refuse_absent(simulation, box, args.box)
    _refuse_promised(simulation, box, args.box)
    _refuse_recalled(simulation, box, args.box)
    if simulation.ledger.state[box] not in (QUALIFIED, OVERDUE, QUARANTINED):
        raise Refused(f"box {args.box} is {_state(simulation, box)}: it cannot be scrapped")
    if not simulation.warehouse.scrap(box):
        raise Refused(f"box {args.box} is being inspected")


def _set(simulation: Simulation, args: SetArgs) -> None:
    scenario, _ = changed(simulation.scenario, args.values)
    assert scenario is not None
    by_robot = scenario.operation == "robot"
    if by_robot and may_carry_by_hand(scenario) and scenario.people.count and not simulation.layout.hands:
        raise Refused(
            "people would step in for robots (fallback), and this run has begun without places for the boxes"
            " in their hands: set fallback.people to 0 as well, or begin a run with faults.scale above 0"
        )
    simulation.change(scenario)


def _change_policy(simulation: Simulation, args: PolicyArgs) -> None:
    _set(simulation, SetArgs(values=_policy_values(args.model_dump())))


def _policy_values(args: Mapping[str, Any]) -> dict[str, Any]:
    return {f"policy.{name}": value for name, value in args.items() if value is not None}


# --- boxes and lots --------------------------------------------------------------------------------------


def _box_number(simulation: Simulation, box: int | str) -> int:
    """The number of a box; refuses one that has not come."""
    return _number(simulation, box, "box", len(simulation.ledger.sku), "boxes")


def _lot_number(simulation: Simulation, lot: int | str) -> int:
    """The number of a lot; refuses one that has not come."""
    return _number(simulation, lot, "lot", simulation.warehouse.lots(), "lots")


_MOST_DIGITS: Final = 19


def _number(simulation: Simulation, given: int | str, what: str, known: int, names: str) -> int:
    if isinstance(given, int):
        if given >= known:
            last = f"the last is {known - 1}" if known else "there is none yet"
            raise Refused(f"no {what} {given} has come: {last}")
        return given
    listed: dict[str, str] = simulation.names().get(names, {})
    numbers = [int(number) for number, name in listed.items() if name == given]
    if not numbers and given.isascii() and given.isdecimal() and len(given) < _MOST_DIGITS:
        return _number(simulation, int(given), what, known, names)  # as answers name what has no name
    if not numbers:
        raise Refused(f"no {what} of the stock list is named {show(given)}{near(given, listed.values())}")
    if len(numbers) > 1:
        several = ", ".join(map(str, numbers))
        raise Refused(f"several {what}s of the stock list are named {show(given)}, by number {several}")
    return numbers[0]


def _refuse_absent(simulation: Simulation, box: int, name: int | str) -> None:
    """Refuse a box that is not on record in the store."""
    house, ledger, layout = simulation.warehouse, simulation.ledger, simulation.layout
    if box in house.missing:
        raise Refused(f"box {name} is missing: nobody knows where it is")
    if ledger.place[box] == layout.truck or ledger.state[box] == IN_TRANSIT:
        raise Refused(f"box {name} is still on its truck")
    if ledger.place[box] == layout.handed_over:
        raise Refused(f"box {name} was handed over to a station")
    if house.is_gone(box):
        raise Refused(f"box {name} has left the store")


def _refuse_promised(simulation: Simulation, box: int, name: int | str) -> None:
    """Refuse a box that an order is promised, whole or in part."""
    order = simulation.warehouse.promised_to(box)
    if order != NONE:
        raise Refused(f"box {name} is promised to order {order}")


def _refuse_recalled(simulation: Simulation, box: int, name: int | str) -> None:
    """Refuse a box of a recalled lot: it leaves."""
    flows, lot = simulation.warehouse.flows, simulation.ledger.lot[box]
    if flows is not None and lot in flows.recalled:
        raise Refused(f"box {name} leaves: its lot {lot} is recalled")


def _state(simulation: Simulation, box: int) -> str:
    return STATES[simulation.ledger.state[box]].replace("_", " ")


COMMANDS: Final[dict[str, CommandKind]] = {
    "order": CommandKind(
        OrderArgs,
        _order,
        "A station orders: boxes and meters are reserved, and what is short waits for stock.",
    ),
    "delivery": CommandKind(
        DeliveryArgs,
        _delivery,
        "A truck is called off beside those of the supply rule, and comes at its time.",
    ),
    "block_slot": CommandKind(
        SlotArgs, _block_slot, "A slot takes no more boxes; what stands in it can be fetched."
    ),
    "free_slot": CommandKind(SlotArgs, _free_slot, "A slot that was blocked takes boxes again."),
    "stop_robot": CommandKind(
        RobotArgs, _stop_robot, "A robot stops where it is, whatever it does, until it is repaired."
    ),
    "repair_robot": CommandKind(
        RobotArgs,
        _repair_robot,
        "A robot that is stopped, broken down or in a minor stop works again at once.",
    ),
    "count": CommandKind(
        CountArgs, _count, "Slots are counted as soon as somebody can, before all planned counts."
    ),
    "recall": CommandKind(
        LotArgs, _recall, "No box of a lot may be had from now on, and all of them leave the store."
    ),
    "transfer": CommandKind(
        TransferArgs, _transfer, "A whole box that nobody is promised goes to another slot, by the ports."
    ),
    "hold_box": CommandKind(
        BoxArgs, _hold_box, "A box that nobody is promised may not be had until it is released."
    ),
    "release_box": CommandKind(
        BoxArgs, _release_box, "A box that a command put on hold may be had again, if nothing else keeps it."
    ),
    "scrap": CommandKind(
        BoxArgs, _scrap, "A box that nobody is promised leaves the store with its meters, to be scrapped."
    ),
    "set": CommandKind(
        SetArgs, _set, "Values of the scenario change, all of them or none: those that say that they can."
    ),
    "change_policy": CommandKind(PolicyArgs, _change_policy, "Rules change: short for set policy.*."),
}
"""What a run may be told."""


# --- examining -------------------------------------------------------------------------------------------


def examine(type_: str, args: Mapping[str, Any], scenario: Scenario, layout: Layout) -> Params:
    """The arguments of a command; raises CommandError with every mistake that can never be right.

    That is their shape, their ranges, and names that scenario or layout do not have. `scenario` is the one
    that holds when the command acts.
    """
    kind = COMMANDS.get(type_) if isinstance(type_, str) else None
    if kind is None:
        message = f"expected {one_of(list(COMMANDS))}, found {show(type_)}{near(type_, COMMANDS)}"
        raise CommandError([f"type: {message}"], [(("type",), message)])
    if not isinstance(args, Mapping) or _is_deep(args):
        deep = f"expected at most {MOST_LEVELS} levels of nesting, found more"
        message = deep if isinstance(args, Mapping) else f"expected a table, found {show(args)}"
        raise CommandError([f"args: {message}"], [((), message)])
    data: dict[str, Any] = _plain(args)
    made: Params | None = None
    faults: list[Fault] = []
    try:
        made = kind.params.model_validate(data)
    except ValidationError as error:
        faults = mistakes(error, data, tree_of(kind.params))
    wrong = {fault.path for fault in faults}
    for find in _FINDERS.get(type_, ()):
        faults += [fault for fault in find(data, scenario, layout) if fault.path not in wrong]
    if faults or made is None:
        lines = [f"{_shown(type_, fault.path)}: {fault.message}" for fault in faults]
        raise CommandError(lines, [(fault.path, fault.message) for fault in faults])
    return made


def _shown(type_: str, path: KeyPath) -> str:
    """A path within arguments as people write it."""
    if type_ == "set" and len(path) > 1:  # its last part is a dotted path itself
        return f"args.{path[0]}.{path[1]}"
    return f"args.{dotted(path)}" if path else "args"


def _plain(value: Any) -> Any:
    """A value as JSON in UTF-8 can hold it."""
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value).encode(errors="replace").decode()


def _is_deep(args: Mapping[str, Any]) -> bool:
    """Whether tables and lists are nested deeper than any argument is."""
    level: list[Any] = [args]
    for _ in range(MOST_LEVELS):
        inner = (each.values() if isinstance(each, Mapping) else each for each in level)
        level = [value for values in inner for value in values if isinstance(value, Mapping | list | tuple)]
    return bool(level)


def _sku_faults(data: Mapping[str, Any], scenario: Scenario, _: Layout) -> Iterator[Fault]:
    """SKUs that nobody deals in, in the lines of an order or the loads of a truck."""
    names = [sku.name for sku in scenario.skus]
    for key in ("lines", "loads"):
        rows = data.get(key)
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            sku = row.get("sku") if isinstance(row, dict) else None
            if not isinstance(sku, str):
                continue
            if sku not in names:
                message = f"expected the name of a SKU, found {show(sku)}{near(sku, names)}"
                yield Fault((key, index, "sku"), message)
            elif scenario.returns.share_here > 0 and sku == scenario.returns.sku:
                message = f"expected a SKU other than returns.sku, found {show(sku)}"
                yield Fault((key, index, "sku"), message)


_GRID: Final = re.compile(r"\d+-\d+-\d+", re.ASCII)


def _slot_faults(data: Mapping[str, Any], _: Scenario, layout: Layout) -> Iterator[Fault]:
    """Names that are those of no slot."""
    slots = data.get("slots")
    named: list[tuple[KeyPath, Any]] = [(("slot",), data.get("slot"))]
    named += [(("slots", index), name) for index, name in enumerate(slots if isinstance(slots, list) else ())]
    seen = set()
    for path, name in named:
        if not isinstance(name, str):
            continue
        try:
            place = layout.place(name)
        except LayoutError as error:
            place, expected = NONE, error.faults[0][1]
        if place >= layout.slots or (place == NONE and not _GRID.fullmatch(name)):
            yield Fault(path, f"expected a slot as {layout.names[0]}, found {show(name)}")
        elif place == NONE:
            yield Fault(path, expected)
        elif len(path) > 1 and place in seen:
            yield Fault(path, f"expected each slot once, found {show(name)} again")
        elif len(path) > 1 and not layout.capacity[place]:
            yield Fault(path, f"expected a slot that holds boxes, found {show(name)}")
        seen.add(place)


def _robot_faults(data: Mapping[str, Any], scenario: Scenario, layout: Layout) -> Iterator[Fault]:
    """Robots that the store does not have."""
    robot, count = data.get("robot"), scenario.robots.count
    if not count:
        yield Fault(("robot",), f"expected a store with robots, found robots.count = 0 and {show(robot)}")
    elif isinstance(robot, int) and not isinstance(robot, bool) and robot >= count:
        numbers = "0, the only robot" if count == 1 else f"a number from 0 to {count - 1}"
        yield Fault(("robot",), f"expected {numbers}, found {robot}")
    elif isinstance(robot, str) and _robot_number(robot, layout) == NONE:
        names = _robot_names(layout)
        wanted = names[0] if count == 1 else f"a name from {names[0]} to {names[-1]}"
        yield Fault(("robot",), f"expected {wanted}, found {show(robot)}{near(robot, names)}")


def _method_faults(data: Mapping[str, Any], scenario: Scenario, _: Layout) -> Iterator[Fault]:
    """Ways to count that there are not, here or at all."""
    name = data.get("method")
    if not isinstance(name, str):
        return
    able = [each for each in METHODS if not _cannot_count(scenario, each)]
    if name not in METHODS:
        yield Fault(
            ("method",), f"expected {one_of(able or list(METHODS))}, found {show(name)}{near(name, able)}"
        )
    elif problem := _cannot_count(scenario, name):
        expected = one_of(able) if able else "a store in which slots can be counted"
        yield Fault(("method",), f"expected {expected}, found {show(name)}: {problem}")


def _value_faults(data: Mapping[str, Any], scenario: Scenario, _: Layout) -> Iterator[Fault]:
    """Values that are not right, that do not fit together, or that cannot change in mid-run."""
    values = data.get("values")
    if isinstance(values, dict):
        if not values:
            yield Fault(("values",), "expected at least one value, found none")
        for fault in changed(scenario, values)[1]:
            key = _given(fault, values)
            where = "" if key == _text(fault.path) else f"{dotted(fault.path)}: "
            yield Fault(("values", key), where + fault.message)


def _given(fault: Fault, values: Mapping[str, Any]) -> str:
    """The key under which a mistake was given: its own path, or the one of a value that it rests on."""
    for path in (fault.path, *fault.others):
        for end in range(len(path), 0, -1):
            if (text := _text(path[:end])) in values:
                return text
    return _text(fault.path)


def _text(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _policy_faults(data: Mapping[str, Any], scenario: Scenario, _: Layout) -> Iterator[Fault]:
    """Rules that are not known."""
    names = list(PolicyArgs.model_fields)
    given = {name: data[name] for name in names if isinstance(data.get(name), str)}
    if not any(data.get(name) is not None for name in names):
        yield Fault((), f"expected at least one of {one_of(names)}, found none")
    for fault in changed(scenario, _policy_values(given))[1]:
        yield Fault(fault.path[1:], fault.message)


_FINDERS: Final[dict[str, tuple[Callable[[Mapping[str, Any], Scenario, Layout], Iterator[Fault]], ...]]] = {
    "order": (_sku_faults,),
    "delivery": (_sku_faults,),
    "block_slot": (_slot_faults,),
    "free_slot": (_slot_faults,),
    "stop_robot": (_robot_faults,),
    "repair_robot": (_robot_faults,),
    "count": (_slot_faults, _method_faults),
    "transfer": (_slot_faults,),
    "set": (_value_faults,),
    "change_policy": (_policy_faults,),
}
"""What names in the arguments of a command are held against."""


# --- a run and its log -----------------------------------------------------------------------------------


def apply(
    simulation: Simulation, type_: str, args: Mapping[str, Any], *, sequence: int | None = None
) -> Outcome:
    """Carry out a command now, before any other event of this instant, and note it in `simulation.commands`.

    Never raises for wrong arguments or a store that cannot: the outcome says so, and nothing has changed.
    `sequence` is the next number when not given.
    """
    first, reason = len(simulation.trace), ""
    try:
        given = examine(type_, args, simulation.scenario, simulation.layout)
        COMMANDS[type_].apply(simulation, given)
    except CommandError as error:
        reason = "; ".join(error.lines)
    except Refused as refusal:
        reason = refusal.reason
    facts = len(simulation.trace) - first
    if reason and facts:
        raise RuntimeError(f"{type_} at {simulation.now_ms} ms was refused and left {facts} facts: {reason}")
    if sequence is None:
        sequence = simulation.commands[-1].sequence + 1 if simulation.commands else 1
    plain = {} if not isinstance(args, Mapping) or _is_deep(args) else _plain(args)
    simulation.commands.append(
        Given(simulation.now_ms, sequence, str(type_), plain, applied=not reason, reason=reason)
    )
    return Outcome(not reason, reason, first, facts)


def replay(
    simulation: Simulation,
    log: Iterable[Entry | Given],
    until_ms: int,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Advance a run to an instant with the commands of a log, those at that instant included.

    Commands that it was given before are left out, so that it can go on with the same log. `progress` is told
    the share of the run that is done, at least once a simulated day. Raises ValueError for a command that
    lies before the run.
    """
    due = [entry for entry in log if entry.t_ms <= until_ms]
    before = {(given.t_ms, given.sequence) for given in simulation.commands} if due else set()
    for entry in sorted(due, key=lambda entry: entry[:2]):
        if entry[:2] in before:
            continue
        if entry.t_ms < simulation.now_ms:
            at_s, now_s = entry.t_ms / 1000, simulation.now_ms / 1000
            raise ValueError(
                f"command {entry.sequence} acts at {at_s:g} s, and the run stands at {now_s:g} s"
            )
        _advance(simulation, entry.t_ms, progress)
        apply(simulation, entry.type, entry.args, sequence=entry.sequence)
    _advance(simulation, until_ms, progress)


def _advance(simulation: Simulation, until_ms: int, progress: Callable[[float], None] | None) -> None:
    while simulation.now_ms < until_ms:
        simulation.advance(min(until_ms, (simulation.now_ms // DAY_MS + 1) * DAY_MS))
        if progress is not None:
            progress(min(1.0, simulation.now_ms / simulation.end_ms))


def scenario_after(scenario: Scenario, commands: Iterable[Given]) -> Scenario:
    """The scenario that holds after the commands of a run that was begun with another."""
    for given in commands:
        if given.applied and given.type in ("set", "change_policy"):
            is_set = given.type == "set"
            after, _ = changed(scenario, given.args["values"] if is_set else _policy_values(given.args))
            scenario = scenario if after is None else after
    return scenario


def log_as_json(log: Iterable[Entry | Given]) -> dict[str, Any]:
    """A log as a JSON document, with what became of each command where that is known."""
    return {
        "commands": [
            {
                "t_s": each.t_ms / 1000, "sequence": each.sequence, "type": each.type, "args": each.args,
                **({"applied": each.applied, "reason": each.reason} if isinstance(each, Given) else {}),
            }
            for each in log
        ]
    }  # fmt: skip


# --- the file of a log -----------------------------------------------------------------------------------

_KEYS: Final = ("t_s", "sequence", "type", "args")
_OUTCOME: Final = ("applied", "reason")


def read_log(path: Path | str, scenario: Scenario | None = None, layout: Layout | None = None) -> list[Entry]:
    """The commands of a JSON file {"commands": [{"t_s", "sequence", "type", "args"}]}, in their order.

    The result.json of a run is such a file, whatever else is in it. With `scenario` and `layout`, those with
    which the run begins, arguments that can never be right are mistakes, too, but for commands that say of
    themselves that they were not applied. Raises CommandError with every mistake, as FILE:LINE:
    commands[0].args.sku: expected ..., found ...; OSError as files do.
    """
    shown = printable(str(path))
    raw = Path(path).read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        document = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise CommandError([f"{shown}:{line}: expected UTF-8 text, found other bytes"]) from None
    except json.JSONDecodeError as error:
        problem = error.msg[:1].lower() + error.msg[1:]
        raise CommandError([f"{shown}:{error.lineno}: expected JSON, found a mistake: {problem}"]) from None
    except (ValueError, RecursionError) as error:
        raise CommandError([f"{shown}: expected JSON, found {error}"]) from None
    lines, twice = _json_lines(text)
    faults = [Fault(path, "expected each key once, found it again") for path in twice]
    log: list[Entry] = []
    is_result = isinstance(document, dict) and "resolved" in document
    rows = document.get("commands", [] if is_result else None) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        faults.append(Fault((), 'expected an object {"commands": [...]}, found something else'))
        rows = []
    elif len(document) > 1 and not is_result:
        more = next(key for key in document if key != "commands")
        faults.append(Fault((more,), f"expected 'commands' only, found {show(more)}"))
    for index, row in enumerate(rows):
        here: KeyPath = ("commands", index)
        found = list(_row_faults(row, {entry.sequence for entry in log}))
        faults += [Fault((*here, *fault.path), fault.message) for fault in found]
        if not found:
            log.append(Entry(round(1000 * row["t_s"]), row["sequence"], row["type"], row["args"]))
    if scenario is not None and layout is not None and not faults:
        faults = list(_log_faults(rows, scenario, layout))
    if faults:
        messages = [(f"{shown}:{_line(lines, fault.path)}", fault) for fault in faults]
        told = [f"{at}: {_row_text(fault.path)}{fault.message}" for at, fault in messages]
        raise CommandError(told, [(fault.path, fault.message) for fault in faults])
    return sorted(log, key=lambda entry: entry[:2])


def _row_faults(row: Any, sequences: set[int]) -> Iterator[Fault]:
    """What is wrong with one command of a file, but for its arguments."""
    if not isinstance(row, dict):
        yield Fault((), f"expected a table with {one_of(_KEYS)}, found {show(row)}")
        return
    for key in row:
        if key not in (*_KEYS, *_OUTCOME):
            yield Fault((key,), f"expected {one_of(_KEYS)}, found {show(key)}{near(key, _KEYS)}")
    expected: dict[str, tuple[str, Callable[[Any], bool]]] = {
        "t_s": ("simulated seconds from 0", lambda value: _is_number(value) and 0 <= value < 1e12),
        "sequence": ("a whole number from 0", lambda value: type(value) is int and value >= 0),
        "type": (one_of(list(COMMANDS)), lambda value: isinstance(value, str) and value in COMMANDS),
        "args": ("a table", lambda value: isinstance(value, dict)),
        "applied": ("true or false", lambda value: isinstance(value, bool)),
        "reason": ("text", lambda value: isinstance(value, str)),
    }
    for key, (words, is_right) in expected.items():
        if key not in row:
            if key in _KEYS:
                yield Fault((key,), f"expected {words}, found nothing")
        elif not is_right(row[key]):
            meant = near(row[key], COMMANDS) if key == "type" and isinstance(row[key], str) else ""
            yield Fault((key,), f"expected {words}, found {show(row[key])}{meant}")
        elif key == "sequence" and row[key] in sequences:
            yield Fault((key,), f"expected a number of its own, found {row[key]} again")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _log_faults(rows: Sequence[dict[str, Any]], scenario: Scenario, layout: Layout) -> Iterator[Fault]:
    """Arguments of a log that can never be right, as values stand after the commands before them."""
    end_s = scenario.time.days * DAY_MS // 1000
    order = sorted(
        range(len(rows)), key=lambda index: (round(1000 * rows[index]["t_s"]), rows[index]["sequence"])
    )
    for index in order:
        row = rows[index]
        if row["t_s"] > end_s:
            message = f"expected at most the length of the run, {end_s:,} s, found {row['t_s']:,}"
            yield Fault(("commands", index, "t_s"), message)
        if not row.get("applied", True):
            continue
        try:
            examine(row["type"], row["args"], scenario, layout)
        except CommandError as error:
            for path, message in error.faults:
                yield Fault(("commands", index, "args", *path), message)
        else:
            scenario = scenario_after(scenario, [Given(0, 0, row["type"], row["args"], True, "")])


def _row_text(path: KeyPath) -> str:
    if path[2:4] == ("args", "values") and len(path) > 4:
        return f"{dotted(path[:4])}.{path[4]}: "
    return f"{dotted(path)}: " if path else ""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no JSON number")


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def _json_lines(text: str) -> tuple[dict[KeyPath, int], list[KeyPath]]:
    """The line on which each value of a JSON text begins, by its path, and the keys that stand twice."""
    lines: dict[KeyPath, int] = {}
    twice: list[KeyPath] = []
    path: list[str | int] = []
    opened: list[str] = []
    line, at, wants_key = 1, 0, False
    for token in _TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at = token.start()
        word = token[0]
        if word in "}]":
            path.pop()
            opened.pop()
        elif word == ",":
            wants_key = opened[-1] == "{"
            if not wants_key:
                path[-1] = int(path[-1]) + 1
        elif wants_key:
            path[-1] = json.loads(word)
            twice += [tuple(path)] if tuple(path) in lines else []
            lines[tuple(path)] = line
            wants_key = False
        elif word != ":":
            lines.setdefault(tuple(path), line)
            if word in "{[":
                opened.append(word)
                path.append("" if word == "{" else 0)
                wants_key = word == "{"
    return lines, twice


def _line(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of a path, or of what it would stand in."""
    return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 1)
