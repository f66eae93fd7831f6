"""The store at any past instant, worked out from the facts alone.

The state has two sides, kept apart: where each box truly is and which meters are in it, and where the
warehouse believes it to be, with which meters. What robots, people and orders were doing is not part of it;
`kpis` reads that from the facts directly. `truth_gaps` and `record_gaps` hold a state against a running
store. `OnRecord` gives the facts themselves as the records have them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from sim.assets import STATE_CODES, STATES
from sim.facts import KINDS, LOST_MESSAGE, NEVER, NONE, SHORT_PACKED, UNRECORDED_REMOVAL, WHY_CHECK, WHY_ERROR
from sim.tables import ISSUED_WHOLE, is_first, is_last, look_up, meter_changes
from sim.trace import FactsError, Trace

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.ledger import Ledger
    from sim.stock import Stock
    from sim.trace import Columns

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class StoreState:
    """Every box that the model had created by an instant, in the order of box numbers; arrays are (boxes,).

    Boxes that were handed over or emptied stay listed, at the place to which they went. Places are those of
    the layout, columns and tiers count from 0, and NONE (-1) stands where nothing applies.
    """

    t_ms: int
    """The instant; facts at this very millisecond are included."""
    meters_per_box: int
    box: Ints
    sku: Ints
    lot: Ints
    verified_day: Ints
    """Day of the last verification, as a proleptic ordinal."""
    place: Ints
    """Where the box truly is; `column` and `tier` are its position there, if it is in a slot."""
    column: Ints
    tier: Ints
    recorded_place: Ints
    """Where the ledger says that it is; `recorded_column` and `recorded_tier` likewise."""
    recorded_column: Ints
    recorded_tier: Ints
    mask: Ints
    """Meters truly in the box, one bit each."""
    recorded_mask: Ints
    """Meters in the box by the records."""
    damaged: Ints
    """Those of the meters in the box that are damaged, whether anybody knows or not."""
    reserved: Ints
    """How many meters of the box are reserved for orders."""
    order: Ints
    """The order for which the whole box is reserved; of an open box only `reserved` tells."""
    state: Ints
    """Asset state of the box on record as in `assets.STATE_CODES`: `reserved` when the whole box is."""
    slot_counts: Ints
    """Boxes truly in each slot, (slots,)."""

    @property
    def meters(self) -> Ints:
        """How many meters are truly in each box."""
        return np.bitwise_count(self.mask).astype(np.int64)

    def state_names(self) -> list[str]:
        """The asset state of each box, by name."""
        return [STATES[code] for code in self.state.tolist()]


def state_at(trace: Trace, layout: "Layout", t_ms: int | None = None) -> StoreState:
    """The state after every fact with a time up to and including `t_ms` (ms; None: after all facts).

    Raises FactsError when a fact tells of a box that was not created before it.
    """

    def told(name: str) -> "Columns":
        return _until(trace.table(name), t_ms)

    created = told("box_created")
    boxes, first = np.unique(created["box"], return_index=True)
    if boxes.size != created["box"].size:
        raise FactsError(
            f"facts: expected each box created once, found {created['box'].size - boxes.size} again"
        )
    index = _BoxIndex(boxes)
    place = created["place"][first]
    moved, recorded = told("box_moved"), told("box_recorded")
    truth = _last(index, place, [(moved, (moved["to_place"], moved["column"], moved["tier"]))])
    is_told = moved["recorded"] != NONE
    is_true = moved["recorded"] == moved["to_place"]
    by_move = tuple(np.where(is_true, moved[name], NONE)[is_told] for name in ("column", "tier"))
    record = _last(
        index,
        place,
        [
            (
                {name: values[is_told] for name, values in moved.items()},
                (moved["recorded"][is_told], *by_move),
            ),
            (recorded, (recorded["place"], recorded["column"], recorded["tier"])),
        ],
    )

    changes = meter_changes(told)
    index.of(changes)
    last = is_last(changes["box"])
    mask, recorded_mask = changes["truth"][last], changes["record"][last]
    damaged = np.zeros_like(mask)
    damage = told("meters_damaged")
    np.bitwise_or.at(damaged, index.of(damage), damage["mask"])

    sku = created["sku"][first]
    full = np.asarray(layout.full_boxes(int(sku.max(initial=NONE)) + 1), np.int64)[sku]
    reserved, order = _promises(index, told, full)
    reserved = np.clip(reserved, 0, np.bitwise_count(recorded_mask))
    order[recorded_mask == 0] = NONE
    verified = told("box_verified")
    day = look_up(verified["box"], verified["day"], boxes)
    return StoreState(
        t_ms=trace.last_ms if t_ms is None else t_ms,
        meters_per_box=trace.meters_per_box,
        box=boxes,
        sku=sku,
        lot=created["lot"][first],
        verified_day=np.where(day == NONE, created["verified_day"][first], day),
        place=truth[0],
        column=truth[1],
        tier=truth[2],
        recorded_place=record[0],
        recorded_column=record[1],
        recorded_tier=record[2],
        mask=mask,
        recorded_mask=recorded_mask,
        damaged=damaged & mask,
        reserved=reserved,
        order=order,
        state=_states(index, told, place == layout.truck, changes, order),
        slot_counts=_boxes_in(truth[0], layout.slots),
    )


def by_records(state: StoreState) -> StoreState:
    """The state that the records describe, as if it were the truth: nobody in the store knows more."""
    return replace(
        state,
        place=state.recorded_place,
        column=state.recorded_column,
        tier=state.recorded_tier,
        mask=state.recorded_mask,
        damaged=np.zeros_like(state.damaged),
        slot_counts=_boxes_in(state.recorded_place, state.slot_counts.size),
    )


def by_truth(state: StoreState) -> StoreState:
    """The state as it truly is, as if the records said the same."""
    return replace(
        state,
        recorded_place=state.place,
        recorded_column=state.column,
        recorded_tier=state.tier,
        recorded_mask=state.mask,
        reserved=np.minimum(state.reserved, state.meters),
    )


def places_kept(trace: Trace, layout: "Layout") -> Ints:
    """Places of each slot that are kept for boxes on their way there, (slots,); those of digs not counted.

    A place is kept from its allocation until it is given back or the records have the box in a slot. A box
    of which the records have not heard that it was set down has its place still.
    """
    allocated, released, moved, recorded = (
        trace.table(name) for name in ("slot_allocated", "allocation_released", "box_moved", "box_recorded")
    )
    slots = layout.slots
    ends = (
        (released, np.ones(released["box"].size, np.bool_)),
        (moved, (moved["recorded"] >= 0) & (moved["recorded"] < slots)),
        (recorded, (recorded["place"] >= 0) & (recorded["place"] < slots)),
    )
    box = np.concatenate([allocated["box"], *(table["box"][rows] for table, rows in ends)])
    seq = np.concatenate([allocated["seq"], *(table["seq"][rows] for table, rows in ends)])
    slot = np.full(box.size, NONE)
    slot[: allocated["box"].size] = allocated["slot"]
    order = np.lexsort((seq, box))
    last = slot[order][is_last(box[order])]
    return np.bincount(last[last != NONE], minlength=slots)


def slot_flags(trace: Trace, layout: "Layout") -> tuple[Flags, Flags]:
    """Which slots are out of use, and which a discrepancy keeps on hold, (slots,) each."""
    flags = []
    for kind, name in (("slot_blocked", "blocked"), ("slot_held", "held")):
        told, now = trace.table(kind), np.zeros(layout.slots, np.bool_)
        now[told["slot"]] = told[name] != 0  # of several facts of one slot the last one stays
        flags.append(now)
    return flags[0], flags[1]


# -- the facts on record ------------------------------------------------------------------------------------

_TRUTH_ALONE: Final = ("error_made", "error_found", "meters_damaged")
"""Kinds of facts of which nobody in the store knows when they happen, or that tell of such."""

_SETS_METERS: Final = (
    "box_created", "meters_picked", "meters_issued", "meters_scrapped", "meters_recorded", "error_made",
    "box_left", "box_came_back",
)  # fmt: skip
"""What `tables.meter_changes` reads."""


class OnRecord(Trace):
    """A trace as the records have it: what nobody knew of is not in it, and what it tells is as recorded.

    What can be worked out from it is what the warehouse knows. Of the facts of the whole trace

    - `error_made`, `error_found` and `meters_damaged` are left out;
    - a `box_moved` of which the records did not hear is left out, and so is the `task_done` of its task,
      until the records learn where the box is: then the task is done, in the place of the `error_found`;
    - a box that is set down astray is moved to the slot that is recorded, and the `box_recorded` by which
      the error was written is left out;
    - the meters picked from a box or issued are those that leave the record: a box that goes out with a
      meter less than anybody knows is issued as it was recorded, and the `meters_recorded` that clears what
      was not there is left out.

    Facts are numbered anew, for a gap in their numbers would tell that there is something to know. What is
    cut off at an instant between events has the same facts, with the same numbers, as the whole until then.
    """

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace.meters_per_box, names=trace.names, model_version=trace.model_version)
        self._whole = trace
        self._facts = len(trace)
        self._kept: dict[str, Columns] = {}

    def __len__(self) -> int:
        return self._facts - self._parting.hidden.size

    @property
    def last_ms(self) -> int:
        """The time of the last fact in ms, 0 when there is none."""
        times = (self.table(name)["time_ms"] for name in KINDS)
        return max((int(column[-1]) for column in times if column.size), default=0)

    def table(self, name: str) -> "Columns":
        """The facts of one kind, as `Trace.table`."""
        if name not in self._kept:
            told = self._parting.tables.get(name)
            table = self._whole.table(name) if told is None else told
            hidden = self._parting.hidden
            if hidden.size:
                table = {**table, "seq": table["seq"] - np.searchsorted(hidden, table["seq"])}
            self._kept[name] = table
        return self._kept[name]

    def rows(self, from_seq: int = 0) -> Iterator[tuple[int, ...]]:
        """Every fact from number `from_seq` on, as `Trace.rows`."""
        rows: list[tuple[int, tuple[int, ...]]] = []
        for kind in KINDS.values():
            table = self.table(kind.name)
            columns = (table[field].tolist() for field in ("seq", "time_ms", *kind.fields))
            rows += [(seq, (at, kind.number, *values)) for seq, at, *values in zip(*columns, strict=True)]
        return (row for seq, row in sorted(rows) if seq >= from_seq)

    def digest(self) -> str:
        """SHA-256 over the facts on record, as `Trace.digest`."""
        again = Trace(self.meters_per_box, model_version=self.model_version)
        for row in self.rows():
            again.record(row)
        return again.digest()

    def masks(self) -> "Columns":
        """The meters of each box on record, `box`, `seq` and `record`, by box and then in order (masks)."""
        changes = meter_changes(self._whole.table)
        hidden = self._parting.hidden
        return {
            "box": changes["box"],
            "seq": changes["seq"] - np.searchsorted(hidden, changes["seq"]),
            "record": changes["record"],
        }

    @cached_property
    def _parting(self) -> "_Parting":
        return _parting(self._whole.table)


class _Parting(NamedTuple):
    """Where facts and records part: facts that the records do not have, tables that they have otherwise."""

    hidden: Ints
    """Numbers of the facts that are left out, ascending."""
    tables: "dict[str, Columns]"
    """The tables on record, where they differ, with the numbers that facts have among all."""


def _parting(table: "Callable[[str], Columns]") -> _Parting:
    moved, given = table("box_moved"), table("box_recorded")
    made, found, damaged = (table(name) for name in _TRUTH_ALONE)
    unheard, astray = moved["recorded"] == NONE, given["why"] == WHY_ERROR
    tables: dict[str, Columns] = {}
    hidden = [made["seq"], damaged["seq"]]
    heard = _empty(found["seq"])
    if astray.any() or (moved["recorded"] != moved["to_place"]).any():
        lost = _chosen(moved, unheard & ~_is_corrected(moved, _chosen(given, astray)))
        tables["box_moved"] = _moves_on_record(moved, given, unheard, astray)
        tables["box_recorded"] = _chosen(given, ~astray)
        hidden.append(moved["seq"][unheard])
        if lost["box"].size:
            tables["task_done"], heard, unknown = _done_on_record(table("task_done"), lost, made, found)
            hidden.append(unknown)
    hidden.append(np.setdiff1d(found["seq"], heard))
    for name in _TRUTH_ALONE:
        tables[name] = _chosen(table(name), slice(0))
    masks, cleared = _masks_on_record(table)
    tables |= masks
    hidden.append(cleared)
    return _Parting(np.sort(np.concatenate(hidden)), tables)


def _is_corrected(moved: "Columns", astray: "Columns") -> Flags:
    """Which moves are followed by the record that an error wrote in their place."""
    flags: Flags = look_up(astray["seq"], astray["box"], moved["seq"] + 1) == moved["box"]
    return flags


def _moves_on_record(moved: "Columns", given: "Columns", unheard: Flags, astray: Flags) -> "Columns":
    """The moves that the records tell: those heard of, and those that errors wrote in the place of others."""
    wrong = _chosen(given, astray)
    by = look_up(moved["seq"], np.arange(moved["seq"].size), wrong["seq"] - 1)
    same = (by != NONE) & (np.append(moved["box"], NONE)[by] == wrong["box"])
    written = {
        "seq": wrong["seq"], "time_ms": wrong["time_ms"], "box": wrong["box"], "to_place": wrong["place"],
        "column": wrong["column"], "tier": wrong["tier"], "recorded": wrong["place"],
        **{
            name: np.where(same, np.append(moved[name], NONE)[by], NONE)
            for name in ("from_place", "robot", "task")
        },
    }  # fmt: skip
    told = _chosen(moved, ~unheard)
    agrees = told["recorded"] == told["to_place"]
    for name in ("column", "tier"):
        told[name] = np.where(agrees, told[name], NONE)
    told["to_place"] = told["recorded"]
    told = {name: np.concatenate([values, written[name]]) for name, values in told.items()}
    return _chosen(told, np.argsort(told["seq"]))


def _done_on_record(
    done: "Columns", lost: "Columns", made: "Columns", found: "Columns"
) -> "tuple[Columns, Ints, Ints]":
    """The tasks done by the records; numbers of the facts in whose place some are, and of those left out.

    A task whose last message was lost is done when the records learn where its box is.
    """
    task = np.where(lost["task"] == NONE, NONE - 1, lost["task"])
    at = look_up(done["task"], np.arange(done["task"].size), task)
    at = np.where(np.append(done["time_ms"], NONE)[at] == lost["time_ms"], at, NONE)
    error = look_up(made["seq"], np.arange(made["seq"].size), lost["seq"] + 1)
    is_known = (error != NONE) & (np.append(made["cause"], NONE)[error] == LOST_MESSAGE)
    is_known &= np.append(made["box"], NONE)[error] == lost["box"]
    number = np.where(is_known, np.append(made["error"], NONE)[error], NONE - 1)
    end = look_up(found["error"], np.arange(found["seq"].size), number)
    end = np.where(np.append(found["how"], NEVER)[end] == NEVER, NONE, end)
    end = np.where(at == NONE, NONE, end)
    late = _chosen(done, at[end != NONE])
    late["seq"], late["time_ms"] = (found[name][end[end != NONE]] for name in ("seq", "time_ms"))
    unheard = np.zeros(done["seq"].size, np.bool_)
    unheard[at[at != NONE]] = True
    told = {name: np.concatenate([values[~unheard], late[name]]) for name, values in done.items()}
    return _chosen(told, np.argsort(told["seq"])), late["seq"], done["seq"][unheard]


def _masks_on_record(table: "Callable[[str], Columns]") -> "tuple[dict[str, Columns], Ints]":
    """The tables of meters that leave boxes, as the records lose them, and numbers of the facts left out."""
    made, recorded = table("error_made"), table("meters_recorded")
    is_loss = np.isin(made["cause"], (SHORT_PACKED, UNRECORDED_REMOVAL))
    boxes = np.unique(np.concatenate([made["box"][is_loss], recorded["box"]]))
    if not boxes.size:
        return {}, _empty(boxes)

    def of_boxes(name: str) -> "Columns":
        facts = table(name)
        return _chosen(facts, np.isin(facts["box"], boxes))

    changes = meter_changes(of_boxes)
    before = np.append(0, changes["record"][:-1])
    before[is_first(changes["box"])] = 0
    leaves = np.append(0, changes["left"][:-1]) == ISSUED_WHOLE
    leaves[is_first(changes["box"])] = False
    by_seq = np.argsort(changes["seq"])
    seq = changes["seq"][by_seq]

    def row_of(facts: "Columns") -> tuple[Flags, Ints]:
        ours = np.isin(facts["box"], boxes)
        return ours, by_seq[np.searchsorted(seq, facts["seq"][ours])]

    tables: dict[str, Columns] = {}
    for name in ("meters_picked", "meters_issued"):
        facts = dict(table(name))
        ours, row = row_of(facts)
        whole = changes["left"][row] == ISSUED_WHOLE
        out = np.where(whole, before[row], before[row] & ~changes["record"][row])
        if name == "meters_issued":  # what was picked before is out of the box already
            out = np.where(out == 0, facts["mask"][ours], out)
        facts["mask"] = facts["mask"].copy()
        facts["mask"][ours] = out
        tables[name] = facts
    ours, row = row_of(recorded)
    after_issue = np.zeros(recorded["seq"].size, np.bool_)
    after_issue[ours] = leaves[row] & (changes["time_ms"][row - 1] == changes["time_ms"][row])
    cleared = after_issue & (recorded["why"] == WHY_CHECK) & (recorded["mask"] == 0)
    tables["meters_recorded"] = _chosen(recorded, ~cleared)
    return tables, recorded["seq"][cleared]


# -- states against a running store -------------------------------------------------------------------------


def truth_gaps(state: StoreState, stock: "Stock") -> list[str]:
    """Where a state and the truth of a store differ, in words: places, heights, meters, damage."""
    damaged = [stock.damaged.get(box, 0) for box in range(len(stock.place))]
    return list(
        _gaps(
            state,
            "the stock",
            (
                ("place", state.place, stock.place),
                ("column", state.column, stock.column),
                ("tier", state.tier, stock.tier),
                ("mask", state.mask, stock.mask),
                ("damaged", state.damaged, damaged),
            ),
        )
    )


def record_gaps(state: StoreState, ledger: "Ledger") -> list[str]:
    """Where a state and the records of a store differ, in words: places, heights, meters, states.

    The asset state of a box that is empty on record is nobody's, and not compared.
    """
    empty = state.recorded_mask == 0
    states = [now if none_left else kept for now, kept, none_left in zip(
        state.state.tolist(), ledger.state, empty.tolist(), strict=False
    )]  # fmt: skip
    return list(
        _gaps(
            state,
            "the ledger",
            (
                ("place", state.recorded_place, ledger.place),
                ("column", state.recorded_column, ledger.column),
                ("tier", state.recorded_tier, ledger.tier),
                ("mask", state.recorded_mask, ledger.mask),
                ("state", state.state, states),
                ("verified_day", state.verified_day, ledger.verified_day),
                ("sku", state.sku, ledger.sku),
                ("lot", state.lot, ledger.lot),
            ),
        )
    )


def _gaps(state: StoreState, who: str, columns: Iterable[tuple[str, Ints, list[int]]]) -> Iterator[str]:
    """A line for each box and column in which the facts and a list by box number differ."""
    for name, told, kept in columns:
        if state.box.tolist() != list(range(len(kept))):
            yield f"boxes: the facts tell of {state.box.size}, {who} has {len(kept)}"
            return
        here = np.asarray(kept, np.int64)
        for box in np.flatnonzero(told != here).tolist():
            yield f"box {box}: {name}: the facts tell {told[box]}, {who} has {here[box]}"


def _boxes_in(place: Ints, slots: int) -> Ints:
    """How many of some places each slot is, (slots,)."""
    return np.bincount(place[(place >= 0) & (place < slots)], minlength=slots)


def _chosen(table: "Columns", rows: "Flags | Ints | slice") -> "Columns":
    """Some rows of a table."""
    return {name: column[rows] for name, column in table.items()}


def _empty(like: Ints) -> Ints:
    return like[:0]


class _BoxIndex:
    """From box numbers to rows of the state."""

    def __init__(self, boxes: Ints) -> None:
        self._boxes = boxes
        self.size = boxes.size

    def of(self, facts: "Columns") -> Ints:
        """The row of each fact's box."""
        wanted = facts["box"]
        rows = np.searchsorted(self._boxes, wanted)
        known = rows < self._boxes.size
        known[known] = self._boxes[rows[known]] == wanted[known]
        if not known.all():
            raise FactsError(
                f"facts: expected box {wanted[~known][0]} to be created first, found no such fact"
            )
        return rows


def _last(index: _BoxIndex, place: Ints, told: Iterable[tuple["Columns", tuple[Ints, ...]]]) -> Ints:
    """Place, column and tier of each box after facts of several kinds, each with what it sets; (3, boxes)."""
    here = np.stack([place, np.full_like(place, NONE), np.full_like(place, NONE)])
    told = list(told)
    order = np.argsort(np.concatenate([facts["seq"] for facts, _ in told]))
    at = np.concatenate([index.of(facts) for facts, _ in told])[order]
    # Of several facts of one box the last one in the order of recording stays: numpy assigns in order.
    here[:, at] = np.concatenate([np.stack(values) for _, values in told], axis=1)[:, order]
    return here


def _promises(index: _BoxIndex, told: Callable[[str], "Columns"], full: Ints) -> tuple[Ints, Ints]:
    """Meters of each box that are reserved, and the order that has the whole box; a return starts anew.

    `full` are the meters that each box holds when it is full, (boxes,).
    """
    returned, reservations, freed = (told(name) for name in ("box_came_back", "box_reserved", "box_freed"))
    picked = told("meters_picked")
    boxes = index.size
    since = np.full(boxes, NONE)
    since[index.of(returned)] = returned["seq"]
    reserved, order = np.zeros(boxes, np.int64), np.full(boxes, NONE)
    for sign, facts, meters in (
        (1, reservations, reservations["meters"]),
        (-1, freed, freed["meters"]),
        (-1, picked, np.bitwise_count(picked["mask"]).astype(np.int64)),
    ):
        at = index.of(facts)
        np.add.at(reserved, at, sign * meters * (facts["seq"] > since[at]))
    is_whole = reservations["meters"] == full[index.of(reservations)]
    nobody = [np.full_like(facts["seq"], NONE) for facts in (freed, returned)]
    changes = np.concatenate([reservations["seq"][is_whole], freed["seq"], returned["seq"]]).argsort()
    at = np.concatenate([index.of(reservations)[is_whole], index.of(freed), index.of(returned)])[changes]
    order[at] = np.concatenate([reservations["order"][is_whole], *nobody])[changes]
    return reserved, order


def _states(
    index: _BoxIndex, told: Callable[[str], "Columns"], in_transit: Flags, changes: "Columns", order: Ints
) -> Ints:
    """The asset state of each box on record: the last one that a fact gives, `reserved` while the box is."""
    qualified, issued = STATE_CODES["qualified_in_stock"], STATE_CODES["issued_pending_install"]
    overdue = STATE_CODES["overdue_pending_reverify"]
    state = np.where(in_transit, STATE_CODES["in_transit"], qualified)
    whole = {name: values[changes["left"] == ISSUED_WHOLE] for name, values in changes.items()}
    given = told("box_state")
    events: list[tuple[Columns, int | Ints]] = [
        (told("box_received"), qualified), (told("box_expired"), overdue), (whole, issued),
        (given, given["state"]),
    ]  # fmt: skip
    by_seq = np.argsort(np.concatenate([facts["seq"] for facts, _ in events]), kind="stable")
    at = np.concatenate([index.of(facts) for facts, _ in events])
    codes = np.concatenate([np.broadcast_to(np.asarray(code), facts["seq"].shape) for facts, code in events])
    state[at[by_seq]] = codes[by_seq]
    state[(state == qualified) & (order != NONE)] = STATE_CODES["reserved"]
    # Of an open box the last meter may have been picked: only then no fact of its own says so.
    emptied = changes["record"][is_last(changes["box"])] == 0
    usable = np.isin(state, [STATE_CODES[name] for name in ("in_transit", "reserved")] + [qualified, overdue])
    state[emptied & usable] = issued
    return state


def _until(table: "Columns", t_ms: int | None) -> "Columns":
    """The rows with a time up to and including `t_ms`; times never fall in a trace."""
    if t_ms is None:
        return table
    end = int(np.searchsorted(table["time_ms"], t_ms, side="right"))
    return {name: column[:end] for name, column in table.items()}
