"""Replay: a recorded order trace through the allocator of the full model, without time for handling.

In `seq` order an arriving unit takes the slot that the rule names and a leaving unit frees its slot; nothing
queues. What remains is the choice of slots, and its score is the sum of one-way times between port and slot.
The units at time 0 are placed and not scored. A trace is CSV (or CSV.gz) with the columns
`seq, time_s, op (in|out), unit, sku` and whatever else it likes. Robots, people and lots are left out: a lot
is a SKU here, a slot of several boxes counts as reached at its lowest one, and slots take every unit.
`robot_run` drives the whole model by a trace instead: what arrives and what is ordered, and when, is as
recorded; robots, people and shifts are those of the scenario.

What a rule must know of the SKUs beforehand (classes, turnover) is learned on the first third of the rows and
fixed; so every rule is scored on the other two thirds as well. In free stacks a unit goes on top; when one
leaves, each unit above it is dug once and set back in the same order.
"""

import csv
import gzip
import itertools
import zlib
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import numpy as np

from sim.allocation import ALIASES, HORIZON, OWN_RULES, POLICIES, BoxView, SlotIndex, rule_named
from sim.calendar import DAY_MS
from sim.commands import Entry
from sim.commands import replay as replay_log
from sim.facts import NONE
from sim.regret import Stays, lower_bound_ms, oracle, stays_of
from sim.scenario import Loaded, Scenario, build_layout, from_dict, full_boxes, resolved
from sim.simulation import Result, Simulation
from sim.slots import Stack
from sim.streams import Streams
from sim.travel import Travel
from sim.turnover import SeenStays, Turnover
from sim.words import near, show

COLUMNS: Final = ("seq", "time_s", "op", "unit", "sku")
"""The columns that a trace must have; others are ignored."""

MOST_ROWS: Final = 2_000_000
"""A longer trace is refused: it is kept in memory, 33 bytes a row and 100 a unit."""

MOST_FAULTS: Final = 20
"""Reading stops after so many faults."""

MOST_BOUND_ROWS: Final = 20_000
"""The bound of a longer trace is refused: its flow takes time with rows times peak."""

NEVER_MS: Final = 1 << 60
"""When units leave that never do."""

_LONGEST_LINE: Final = 10_000
_LAST_S: Final = 10**10


class TraceError(ValueError):
    """A trace that cannot be replayed; `lines` has `FILE:ROW: column: expected ..., found ...` a fault."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def replay(
    trace_path: str | Path, loaded: Loaded | Scenario, policy: str, *, seed: int = 0
) -> dict[str, Any]:
    """Replay a trace on the layout of a scenario and give its score.

    Parameters
    ----------
    trace_path : a CSV file, gzipped or not, UTF-8.
    loaded : the scenario whose layout, robots' speeds, zones and turnover count.
    policy : a name of `allocation.POLICIES`, an alias or an own rule that was loaded.
    seed : of the rules that draw.

    Returns
    -------
    `policy`; `moves`, the arrivals after time 0 and all departures; `total_s`, the sum of their one-way times
    (from the first inbound port, to the first outbound one, each in whole milliseconds); `per_move_s` (None
    without moves); `peak` and `final`, most units at once and units left; `mean_occupancy`, time-weighted
    from the first to the last row; in free stacks `digs`, the units that were dug.

    Raises
    ------
    TraceError
        With the faults of the trace, or of the name of the rule.
    """
    refuse_unknown([policy])
    prepared = Prepared(trace_path, loaded)
    score = prepared.play(policy, seed)
    total_s = score.total_ms / 1000
    return {
        "policy": policy,
        "moves": score.moves,
        "total_s": total_s,
        "per_move_s": total_s / score.moves if score.moves else None,
        "peak": score.peak,
        "final": score.final,
        "mean_occupancy": prepared.events.mean_occupancy(),
        **({"digs": score.digs} if score.digs is not None else {}),
    }


def ladder(
    trace_path: str | Path,
    loaded: Loaded | Scenario,
    policies: Sequence[str] = (),
    *,
    seed: int = 0,
    bound: bool = True,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Replay a trace with several rules, all of them if none is named, and say how far each is from the best.

    Without the bound all of them are all but `offline-oracle` where the trace is too long for its plan.

    Returns
    -------
    `moves`, `peak`, `mean_occupancy`, `learned_rows` (the first third of the rows); with `bound`
    `bound_total_s` and `rest_bound_total_s`, which no assignment of the units to slots goes below
    (`regret.lower_bound_ms`), and None for both without; `policies`, the cheapest first, each with `policy`,
    `total_s`, `per_move_s`, `regret` (total over bound, less 1), `against_random` (total over that of
    `random`, less 1), `rest_total_s` and `rest_regret` of the moves after the learned rows, in free stacks
    `digs`.

    Raises
    ------
    TraceError
        With the faults of the trace, or of the names of the rules.
    """
    names = list(dict.fromkeys(policies)) or list(POLICIES)
    refuse_unknown(names)
    prepared = Prepared(trace_path, loaded)
    if bound:
        prepared.refuse_too_long("the bound")
    elif not policies and len(prepared.events.time_ms) > MOST_BOUND_ROWS:
        names.remove("offline-oracle")
    steps = len(names) + 2 * bound
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done / steps)

    scores = {}
    for name in names:
        scores[name] = prepared.play(name, seed)
        advance()
    least_ms = rest_ms = None
    if bound:
        least_ms = prepared.bound_ms()
        advance()
        rest_ms = prepared.bound_ms(prepared.learned_rows)
        advance()
    random_ms = scores["random"].total_ms if "random" in scores else None
    rows: list[dict[str, Any]] = [
        {
            "policy": name,
            "total_s": score.total_ms / 1000,
            "per_move_s": score.total_ms / 1000 / score.moves if score.moves else None,
            "regret": _above(score.total_ms, least_ms),
            "against_random": _above(score.total_ms, random_ms),
            "rest_total_s": score.rest_ms / 1000,
            "rest_regret": _above(score.rest_ms, rest_ms),
            **({"digs": score.digs} if score.digs is not None else {}),
        }
        for name, score in sorted(scores.items(), key=lambda item: item[1].total_ms)
    ]
    first = next(iter(scores.values()))
    return {
        "trace": str(trace_path),
        "moves": first.moves,
        "peak": first.peak,
        "mean_occupancy": prepared.events.mean_occupancy(),
        "learned_rows": prepared.learned_rows,
        "bound_total_s": None if least_ms is None else least_ms / 1000,
        "rest_bound_total_s": None if rest_ms is None else rest_ms / 1000,
        "policies": rows,
    }


STOCK_FILE: Final = "replayed-stock.csv"
"""The stock list of a trace's units at time 0, as `robot_run` writes it."""


class RobotRun(NamedTuple):
    """A trace driven through the whole model: the run, the scenario that it was, and what drove it."""

    result: Result
    loaded: Loaded
    initial: int
    """Units in the store at time 0, placed by the rule."""
    deliveries: int
    """Trucks: the units that arrive at one instant come on one."""
    orders: int
    open_orders: int
    """Orders that were not handed over by the end."""


def robot_run(
    trace_path: str | Path,
    loaded: Loaded | Scenario,
    policy: str,
    folder: Path,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> RobotRun:
    """Drive the whole model by a trace: each unit a full box that comes, and is ordered, when recorded.

    The run is a scenario, a stock list and a command log like any other. Its scenario is the one given, with
    the SKUs of the trace (shares of demand from the departures of the first third), no demand and no call-off
    of its own, and meters of one age, so that FEFO is first in, first out and nothing grows too old. Which
    box of a SKU leaves is up to the scenario's retrieval rule; an order that finds none waits for stock. The
    run ends a day after the last row.

    Parameters
    ----------
    folder : where the stock list is written, a file `STOCK_FILE`; the run reads it there.

    Raises
    ------
    TraceError, ScenarioError
        With the faults of the trace, of the rule's name, or of what does not fit together.
    """
    refuse_unknown([policy])
    prepared = Prepared(trace_path, loaded)
    scenario = _driven(prepared, policy, folder, seed)
    log = _log_of(prepared, scenario)
    base = loaded if isinstance(loaded, Loaded) else Loaded(scenario, {}, folder, folder, scenario.name)
    driven = Loaded(scenario, base.origins, folder, base.path, base.shown)
    simulation = Simulation(driven, seed=seed)
    replay_log(simulation, log, simulation.end_ms, progress)
    refused = [given for given in simulation.commands if not given.applied]
    assert not refused, refused[0]
    orders = sum(entry.type == "order" for entry in log)
    initial = sum(time_ms == 0 for time_ms in prepared.events.time_ms)
    return RobotRun(
        simulation.result(), driven, initial, len(log) - orders, orders, len(simulation.warehouse.orders)
    )


def _driven(prepared: "Prepared", policy: str, folder: Path, seed: int) -> Scenario:
    """The scenario of a run that a trace drives; writes its stock list."""
    events, given = prepared.events, prepared.scenario
    values = resolved(given)
    known = {sku["name"]: sku for sku in values["skus"]}
    wanted = np.zeros(events.skus)
    here = bytearray(events.units)
    rows = zip(events.unit, events.sku, strict=True)
    for unit, sku in itertools.islice(rows, prepared.learned_rows):
        wanted[sku] += here[unit]
        here[unit] ^= 1
    shares = np.maximum(wanted, 0.5) / np.maximum(wanted, 0.5).sum()
    values["skus"] = [
        {**known.get(name, {"name": name}), "share": share}
        for name, share in zip(events.sku_names, shares.tolist(), strict=True)
    ]
    stock = _write_stock(prepared, policy, folder, seed)
    values["time"] |= {"days": events.time_ms[-1] // DAY_MS + 2, "warmup_days": 0}
    values["initial"] |= {"fill": 0, "stock": stock, "orders": None}
    values["demand"] |= {
        "kind": "poisson", "orders_per_day": 0, "campaign": None, "schedule": [], "file": None,
        "max_age_days": 36_500,
    }  # fmt: skip
    values["supply"] |= {
        "rule": "R,S", "target_fill": 1e-9, "min_boxes": 100_000, "schedule": [], "age_days_min": 0,
        "age_days_max": 0, "lot_spread_days": 0, "older_chance": 0,
    }  # fmt: skip
    values["returns"] |= {"share_here": 0, "sku": None}
    values["control"] |= {"recalls": []}
    values["policy"] |= {"allocation": policy}
    return from_dict(values)


def _write_stock(prepared: "Prepared", policy: str, folder: Path, seed: int) -> str | None:
    """Write the units at time 0 as a stock list, each where the rule puts it; the name of the file."""
    events, layout = prepared.events, prepared.layout
    scenario = prepared.scenario
    full = dict(zip((sku.name for sku in scenario.skus), full_boxes(scenario), strict=True))
    initial = next((row for row, at in enumerate(events.time_ms) if at), len(events.time_ms))
    if not initial:
        return None
    slots = iter(prepared.play(policy, seed).slots)
    standing: dict[int, int] = {}
    for unit in events.unit[:initial]:
        if unit in standing:
            del standing[unit]
        else:
            standing[unit] = next(slots)
    with (folder / STOCK_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["box", "slot", "sku", "lot", "verified_on", "meters"])
        for row in range(initial):
            unit, sku = events.unit[row], events.sku[row]
            if unit in standing:
                name, slot = events.sku_names[sku], layout.place_name(standing.pop(unit))
                writer.writerow(
                    [
                        f"unit {unit}",
                        slot,
                        name,
                        name,
                        scenario.time.start,
                        full.get(name, scenario.boxes.meters_per_box),
                    ]
                )
    return STOCK_FILE


def _log_of(prepared: "Prepared", scenario: Scenario) -> list[Entry]:
    """The rows after time 0 as commands: a truck an instant with arrivals, an order a departure."""
    events = prepared.events
    full = dict(zip(events.sku_names, full_boxes(scenario), strict=True))
    here = bytearray(events.units)
    log: list[Entry] = []
    rows = zip(events.time_ms, events.unit, events.sku, strict=True)
    for time_ms, unit, sku in rows:
        arrives, name = not here[unit], events.sku_names[sku]
        here[unit] ^= 1
        if time_ms == 0:
            continue
        last = log[-1] if log else None
        if not arrives:
            lines = [{"sku": name, "meters": full[name]}]
            log.append(Entry(time_ms, len(log) + 1, "order", {"station": 0, "lines": lines}))
        elif last is not None and last.type == "delivery" and last.t_ms == time_ms:
            loads = last.args["loads"]
            same = next((load for load in loads if load["sku"] == name), None)
            if same is None:
                loads.append({"sku": name, "boxes": 1})
            else:
                same["boxes"] += 1
        else:
            loads = [{"sku": name, "boxes": 1}]
            log.append(Entry(time_ms, len(log) + 1, "delivery", {"loads": loads, "in_s": 0}))
    return log


def refuse_unknown(policies: Iterable[str]) -> None:
    """Raise TraceError for names that no rule has."""
    known = [*POLICIES, *ALIASES, *OWN_RULES]
    faults = [
        f"policy: expected one of {', '.join(known)}, found {show(name)}{near(name, known)}"
        for name in policies
        if name not in known
    ]
    if faults:
        raise TraceError(faults)


def _above(total: float, base: float | None) -> float | None:
    return total / base - 1 if base else None


class Score(NamedTuple):
    """What a rule made of a trace: milliseconds, of all scored moves and of those after the learned rows."""

    total_ms: int
    rest_ms: int
    moves: int
    peak: int
    final: int
    digs: int | None
    slots: list[int]


class Prepared:
    """A trace on a layout, ready to be replayed with one rule after another."""

    def __init__(self, trace_path: str | Path, loaded: Loaded | Scenario) -> None:
        self.path = trace_path
        self.events = events = read_events(trace_path)
        self.scenario = loaded.scenario if isinstance(loaded, Loaded) else loaded
        self.layout = build_layout(self.scenario)
        self.travel = Travel(self.layout, self.scenario.robots)
        self.in_ms: list[int] = self.travel.one_way_ms(self.layout.inbound).tolist()
        self.out_ms: list[int] = self.travel.one_way_ms(self.layout.outbound).tolist()
        self.learned_rows = len(events.time_ms) // 3
        self.stays = stays_of(events.unit, events.time_ms)
        self._turnover: Turnover | None = None
        self._plan: list[int] | None = None
        self._refuse_too_many()

    def _refuse_too_many(self) -> None:
        """Raise TraceError for the first arrival that no rule could find a place for."""
        rows = len(self.events.time_ms)
        change = np.full(rows, -1)
        change[self.stays.first] = 1
        over = np.flatnonzero(np.cumsum(change) > self.layout.boxes)
        if len(over):
            raise self._homeless(int(over[0]), "", is_full=True)

    def refuse_too_long(self, what: str) -> None:
        """Raise TraceError for a trace that is too long for the flows of the bound and of the plan."""
        rows = len(self.events.time_ms)
        if rows > MOST_BOUND_ROWS:
            raise TraceError(
                [f"{self.path}: expected at most {MOST_BOUND_ROWS:,} rows for {what}, found {rows:,}"]
            )

    @property
    def turnover(self) -> Turnover:
        """What the first third of the rows tells of the SKUs."""
        if self._turnover is None:
            events = self.events
            seen, here = SeenStays(events.skus), bytearray(events.units)
            rows = zip(events.time_ms, events.unit, events.sku, strict=True)
            for time_ms, unit, sku in itertools.islice(rows, self.learned_rows):
                (seen.left if here[unit] else seen.arrived)(sku, time_ms, 0)
                here[unit] ^= 1
            self._turnover = seen.turnover(events.time_ms[self.learned_rows - 1] if self.learned_rows else 0)
        return self._turnover

    @property
    def plan(self) -> list[int]:
        """The slot of each arrival, with the whole trace in hand."""
        if self._plan is None:
            self.refuse_too_long("offline-oracle")
            self._plan = oracle(self.stays, self.in_ms, self.out_ms, self.layout.capacity).tolist()
        return self._plan

    def bound_ms(self, from_row: int = 0) -> float:
        """A time that no assignment of the units goes below, for the moves from a row on."""
        stays = self.stays
        scored = stays._replace(
            scored_in=stays.scored_in * (stays.first >= from_row),
            scored_out=stays.scored_out * (stays.last >= from_row),
        )
        return lower_bound_ms(scored, self.in_ms, self.out_ms, self.layout.capacity)

    def index(self) -> SlotIndex:
        """The open places of the empty store."""
        policy = self.scenario.policy
        return SlotIndex(
            self.layout, self.in_ms, self.turnover, policy.zones, borders=policy.zone_borders,
            overflow=policy.overflow, travel=self.travel, online=policy.turnover == "online",
        )  # fmt: skip

    def play(self, policy: str, seed: int = 0) -> Score:
        """Replay the trace with a rule."""
        rule, events, layout = rule_named(policy), self.events, self.layout
        index = self.index()
        view, seen, stream = index.views[0], index.stays, Streams(seed)["policy.allocation"]
        choose, take, give = rule.choose, index.take, index.give
        knows = "departures" in rule.needs
        look = _Look(self, index, knows=knows)
        if knows and policy == "offline-oracle":
            index.plan = self.plan
        stacks = _Stacks(index, look.leaves_ms) if layout.access == "stack_lifo" else None
        in_ms, out_ms, learned = self.in_ms, self.out_ms, self.learned_rows
        slot_of, arrival_of = look.slot_of, [NONE] * events.units
        slots: list[int] = []
        total_ms = rest_ms = moves = here = peak = 0
        rows = zip(events.time_ms, events.unit, events.sku, strict=True)
        for row, (time_ms, unit, sku) in enumerate(rows):
            slot = slot_of[unit]
            if slot == NONE:
                number, day = len(slots), time_ms // 86_400_000
                look.row = row
                leaves = look.departure_ms(number) if knows else NONE
                box = BoxView(number, sku, sku, day, 1, time_ms, leaves)
                if stacks is not None:
                    look.expect(number, time_ms, sku)
                slot = choose(box, view, stream)
                if slot == NONE:
                    raise self._homeless(row, policy, is_full=view.first_open() == NONE)
                take(slot, sku)
                if stacks is not None:
                    stacks.put(
                        number, slot, rule.column(box, view, slot) if rule.column is not None else NONE
                    )
                seen.arrived(sku, time_ms, day)
                slot_of[unit], arrival_of[unit] = slot, number
                slots.append(slot)
                look.arrived(leaves - time_ms)
                here += 1
                peak = max(peak, here)
                if time_ms == 0:
                    continue
                way_ms = in_ms[slot]
            else:
                number = arrival_of[unit]
                give(slot, sku)
                if stacks is not None:
                    stacks.remove(number, slot)
                seen.left(sku, time_ms, look.day_of(number))
                slot_of[unit] = NONE
                look.left(time_ms - events.time_ms[look.first[number]])
                here -= 1
                way_ms = out_ms[slot]
            total_ms += way_ms
            moves += 1
            if row >= learned:
                rest_ms += way_ms
        digs = stacks.digs if stacks is not None else None
        return Score(total_ms, rest_ms, moves, peak, here, digs, slots)

    def _homeless(self, row: int, policy: str, *, is_full: bool) -> TraceError:
        where = f"{self.path}:{self.events.row[row]}: op: expected a departure or room for a unit"
        found = f"found an arrival with all {self.layout.boxes:,} places taken"
        if not is_full:
            found = f"found an arrival for which {policy} names no slot, though some are open"
        return TraceError([f"{where}, {found}"])


class _Look:
    """What a replay lets its rules know of the rows to come.

    Every rule may know the unit that leaves next (its order is released) and the arrivals that follow at the
    same time (they stand on the same truck); when the others leave is known to rules that need departures.
    """

    def __init__(self, prepared: Prepared, index: SlotIndex, *, knows: bool) -> None:
        self._events, self._stays = prepared.events, prepared.stays
        self.row = 0
        self.slot_of = [NONE] * prepared.events.units
        self._index = index
        self._knows = knows
        self._here: list[int] = []
        self._expected: list[float] = []
        self._next_out: list[int] | None = None
        self._last: list[int] = self._stays.last.tolist()
        self.first: list[int] = self._stays.first.tolist()
        index.next_retrieval = self._next_retrieval
        index.announced = self._announced
        index.leaves_ms = self.leaves_ms
        if knows:
            index.shorter_stays = lambda stay_ms: bisect_left(self._here, stay_ms)

    def departure_ms(self, number: int) -> int:
        """When an arrival leaves again; after everything else when it never does."""
        last, times = self._last[number], self._events.time_ms
        return times[last] if last < len(times) else NEVER_MS

    def day_of(self, number: int) -> int:
        return self._events.time_ms[self.first[number]] // 86_400_000

    def arrived(self, stay_ms: int) -> None:
        if self._knows:
            insort(self._here, stay_ms)

    def left(self, stay_ms: int) -> None:
        if self._knows:
            del self._here[bisect_left(self._here, stay_ms)]

    def expect(self, number: int, time_ms: int, sku: int) -> None:
        """Estimate when an arrival will leave."""
        self._expected.append(
            self.departure_ms(number) if self._knows else time_ms + self._index.stays.stay_ms(sku)
        )

    def leaves_ms(self, number: int) -> float:
        return self._expected[number] if number < len(self._expected) else 0.0

    def _next_retrieval(self) -> int:
        if self._next_out is None:
            self._next_out = _next_departures(self._stays, len(self._events.time_ms))
        row = self._next_out[self.row]
        return self.slot_of[self._events.unit[row]] if row != NONE else NONE

    def _announced(self) -> list[BoxView]:
        events, row, boxes = self._events, self.row, []
        number = bisect_left(self.first, row)
        for ahead in range(1, HORIZON):
            if number + ahead >= len(self.first) or self.first[number + ahead] != row + ahead:
                break
            sku, time_ms = events.sku[row + ahead], events.time_ms[row + ahead]
            if time_ms > events.time_ms[row]:
                break
            boxes.append(BoxView(number + ahead, sku, sku, time_ms // 86_400_000, 1, time_ms))
        return boxes


def _next_departures(stays: "Stays", rows: int) -> list[int]:
    """For each row the next departure at or after it, or NONE."""
    departures = np.sort(stays.last[stays.last < rows])
    at = np.searchsorted(departures, np.arange(rows))
    return np.append(departures, NONE)[at].tolist()  # type: ignore[no-any-return]


class _Stacks:
    """The units of free stacks, the lowest first, and how often one was dug."""

    def __init__(self, index: SlotIndex, leaves_ms: Callable[[int], float]) -> None:
        self.digs = 0
        self._heights = index.layout.stacks
        self._units: list[list[list[int]]] = [[[] for _ in stacks] for stacks in self._heights]
        index.stacks = self.of
        self._leaves_ms = leaves_ms

    def of(self, slot: int) -> list[Stack]:
        return [
            Stack(tuple(units), height - len(units))
            for units, height in zip(self._units[slot], self._heights[slot], strict=True)
        ]

    def put(self, unit: int, slot: int, column: int) -> None:
        if column == NONE:
            column = next(k for k, stack in enumerate(self.of(slot)) if stack.room > 0)
        self._units[slot][column].append(unit)

    def remove(self, unit: int, slot: int) -> None:
        """Units above the one that leaves are dug and set back in the same order."""
        units = next(units for units in self._units[slot] if unit in units)
        at = units.index(unit)
        self.digs += len(units) - 1 - at
        del units[at]


@dataclass
class Events:
    """A checked trace in `seq` order, one column a property: a unit is in the store between two of its rows.

    `unit` and `sku` are numbers in the order of first appearance; `row` is the line of the file.
    """

    time_ms: "array[int]" = field(default_factory=lambda: array("q"))
    unit: "array[int]" = field(default_factory=lambda: array("q"))
    sku: "array[int]" = field(default_factory=lambda: array("q"))
    row: "array[int]" = field(default_factory=lambda: array("q"))
    units: int = 0
    sku_names: list[str] = field(default_factory=list)

    @property
    def skus(self) -> int:
        """How many SKUs there are."""
        return max(self.sku) + 1

    def mean_occupancy(self) -> float:
        """Units in the store, the mean over the time from the first to the last row."""
        here: set[int] = set()
        unit_ms, last_ms = 0, self.time_ms[0]
        for time_ms, unit in zip(self.time_ms, self.unit, strict=True):
            unit_ms += len(here) * (time_ms - last_ms)
            last_ms = time_ms
            here ^= {unit}
        elapsed_ms = last_ms - self.time_ms[0]
        return unit_ms / elapsed_ms if elapsed_ms else float(len(here))


def read_events(path: str | Path) -> Events:
    """Read and check a trace; its rows may stand in any order. Raises TraceError with every fault found."""
    reader = _Reader(Path(path))
    try:
        with _open(reader.path) as file:
            reader.read(file)
    except UnicodeDecodeError as error:
        reader.fault(None, "", "UTF-8 text", f"the byte 0x{error.object[error.start]:02x}")
    except csv.Error as error:
        reader.fault(None, "", "CSV", str(error))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reader.fault(None, "", "a whole gzip file", str(error))
    except OSError as error:
        reader.fault(None, "", "a readable file", error.strerror or str(error))
    except _TooMuch:
        pass
    if reader.faults:
        raise TraceError(reader.faults)
    return reader.events


class _TooMuch(Exception):  # noqa: N818
    """Reading on would be of no use."""


class _Reader:
    """What is known of a trace while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = Events()
        self.faults: list[str] = []
        self._seq: array[int] = array("q")
        self._arrives = bytearray()
        self._units: dict[str, int] = {}
        self._skus: dict[str, int] = {}

    def fault(self, row: int | None, column: str, expected: str, found: str) -> None:
        """Note a fault; gives up after `MOST_FAULTS`."""
        where = [f"{self.path}:{row}" if row is not None else str(self.path)] + [column] * bool(column)
        self.faults.append(f"{': '.join(where)}: expected {expected}, found {found}")
        if len(self.faults) == MOST_FAULTS:
            self.faults.append(f"{self.path}: reading stopped after {MOST_FAULTS} faults")
            raise _TooMuch

    def read(self, file: TextIO) -> None:
        """Read all rows, then check them in `seq` order."""
        rows = csv.reader(self._lines(file), strict=True)
        head = [name.strip().lower() for name in next(rows, [])]
        if not head:
            self.fault(None, "", f"the columns {', '.join(COLUMNS)}", "an empty file")
            return
        for name in COLUMNS:
            if name not in head:
                self.fault(1, name, "a column of this name", f"none{near(name, head)}")
            elif head.count(name) > 1:
                self.fault(1, name, "one column of this name", str(head.count(name)))
        if self.faults:
            return
        where = [head.index(name) for name in COLUMNS]
        for cells in rows:
            if len(cells) == len(head):
                self._take(rows.line_num, *(cells[i] for i in where))
            elif cells:
                self.fault(rows.line_num, "", f"{len(head)} cells", str(len(cells)))
        if not self._seq and not self.faults:
            self.fault(None, "", "rows of arrivals and departures", "none")
        self.events.sku_names = [name.strip() for name in self._skus]
        self._sort()
        self._check()

    def _lines(self, file: TextIO) -> Iterator[str]:
        """The lines of the file, as long as they are of a length that a trace may have."""
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            found = ""
            if len(line) == _LONGEST_LINE:
                found = "a longer one"
            elif "\0" in line:
                found = "a zero byte"
            if found:
                self.fault(number, "", f"a line of text of less than {_LONGEST_LINE:,} characters", found)
                raise _TooMuch
            yield line

    def _take(self, row: int, seq: str, time_s: str, op: str, unit: str, sku: str) -> None:
        """Keep one row, or say what is wrong with it."""
        number, time_ms = _whole(seq), _milliseconds(time_s)
        if len(self._seq) == MOST_ROWS:
            self.fault(row, "", f"at most {MOST_ROWS:,} rows", "more")
            raise _TooMuch
        if (
            number is not None
            and time_ms is not None
            and op in ("in", "out")
            and unit.strip()
            and sku.strip()
        ):
            events = self.events
            self._seq.append(number)
            self._arrives.append(op == "in")
            events.time_ms.append(time_ms)
            events.unit.append(self._units.setdefault(unit, len(self._units)))
            events.sku.append(self._skus.setdefault(sku, len(self._skus)))
            events.row.append(row)
            events.units = len(self._units)
            return
        if number is None:
            self.fault(row, "seq", "a whole number, not below 0", show(seq))
        if time_ms is None:
            self.fault(row, "time_s", f"seconds from 0 to {_LAST_S:.0e}", show(time_s))
        if op not in ("in", "out"):
            self.fault(row, "op", "in or out", show(op) + near(op, ("in", "out")))
        for column, text in (("unit", unit), ("sku", sku)):
            if not text.strip():
                self.fault(row, column, "a name or number", "nothing")

    def _sort(self) -> None:
        """Put the rows into `seq` order, where they are not."""
        seq, events = self._seq, self.events
        order = sorted(range(len(seq)), key=seq.__getitem__)
        for before, after in itertools.pairwise(order):
            if seq[before] == seq[after]:
                found = f"{seq[after]} as in row {events.row[before]}"
                self.fault(events.row[after], "seq", "each number once", found)
        if order != list(range(len(seq))):
            self._arrives = bytearray(self._arrives[i] for i in order)
            for name in ("time_ms", "unit", "sku", "row"):
                column = getattr(events, name)
                setattr(events, name, array("q", (column[i] for i in order)))

    def _check(self) -> None:
        """Follow the units: each arrives, then leaves, and time does not go back."""
        events = self.events
        here: dict[int, int] = {}
        units, skus = list(self._units), list(self._skus)
        last_ms = 0
        rows = zip(events.row, events.time_ms, self._arrives, events.unit, events.sku, strict=True)
        for row, time_ms, arrives, unit, sku in rows:
            if time_ms < last_ms:
                before, now = last_ms / 1000, time_ms / 1000
                self.fault(row, "time_s", f"at least {before:.15g} s, the time before", f"{now:.15g} s")
            last_ms = max(last_ms, time_ms)
            if arrives:
                if unit in here:
                    found = f"{show(units[unit])}, which is"
                    self.fault(row, "unit", "a unit that is not in the store", found)
                here[unit] = sku
            elif unit not in here:
                self.fault(row, "unit", "a unit that is in the store", f"{show(units[unit])}, which is not")
            elif (arrived := here.pop(unit)) != sku:
                expected = f"{show(skus[arrived])}, with which unit {show(units[unit])} arrived"
                self.fault(row, "sku", expected, show(skus[sku]))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _whole(text: str) -> int | None:
    """A whole number from 0 below 10**18, or None."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= 18
    return int(text) if is_number else None


def _milliseconds(text: str) -> int | None:
    """Seconds, whole or decimal, as whole milliseconds; None for anything else."""
    whole, point, part = text.partition(".")
    seconds, fraction = _whole(whole), _whole(part) if point else 0
    if seconds is None or fraction is None or seconds >= _LAST_S:
        return None
    return seconds * 1000 + round(1000 * fraction / int(10 ** len(part)))
