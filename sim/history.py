"""The store at any past instant, worked out from the facts alone.

The state has two sides, kept apart: where each box truly is and which meters are in it, and where the
warehouse believes it to be, with which meters. What robots, people and orders were doing is not part of it;
`kpis` reads that from the facts directly. `truth_gaps` and `record_gaps` hold a state against a running
store.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.assets import STATE_CODES, STATES
from sim.facts import NONE
from sim.tables import ISSUED_WHOLE, is_last, look_up, meter_changes
from sim.trace import FactsError

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.ledger import Ledger
    from sim.stock import Stock
    from sim.trace import Columns, Trace

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


def state_at(trace: "Trace", layout: "Layout", t_ms: int | None = None) -> StoreState:
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
    in_slot = truth[0][(truth[0] >= 0) & (truth[0] < layout.slots)]
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
        slot_counts=np.bincount(in_slot, minlength=layout.slots),
    )


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
