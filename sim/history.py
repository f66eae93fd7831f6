"""The store at any past instant, worked out from the facts alone.

The state has two sides, kept apart: where each box truly is, and where the warehouse believes it to be. What
robots, people and orders were doing is not part of it; `kpis` reads that from the facts directly.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.assets import STATE_CODES, STATES
from sim.facts import NONE
from sim.trace import FactsError

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.trace import Columns, Trace

Ints = npt.NDArray[np.int64]


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
    """Day of verification, as a proleptic ordinal."""
    place: Ints
    """Where the box truly is; `column` and `tier` are its position there, if it is in a slot."""
    column: Ints
    tier: Ints
    recorded_place: Ints
    """Where the ledger says that it is; `recorded_column` and `recorded_tier` likewise."""
    recorded_column: Ints
    recorded_tier: Ints
    mask: Ints
    """Meters still in the box, one bit each."""
    reserved: Ints
    """How many of them are reserved for orders."""
    order: Ints
    """The order for which the whole box is reserved; of an open box only `reserved` tells."""
    state: Ints
    """Asset state of the box as in `assets.STATE_CODES`: `reserved` when the whole box is."""
    slot_counts: Ints
    """Boxes truly in each slot, (slots,)."""

    @property
    def meters(self) -> Ints:
        """How many meters are still in each box."""
        return np.bitwise_count(self.mask).astype(np.int64)

    def state_names(self) -> list[str]:
        """The asset state of each box, by name."""
        return [STATES[code] for code in self.state.tolist()]


def state_at(trace: "Trace", layout: "Layout", t_ms: int | None = None) -> StoreState:
    """The state after every fact with a time up to and including `t_ms` (ms; None: after all facts).

    Raises FactsError when a fact tells of a box that was not created before it.
    """
    created = _until(trace.table("box_created"), t_ms)
    boxes, first = np.unique(created["box"], return_index=True)
    if boxes.size != created["box"].size:
        raise FactsError(
            f"facts: expected each box created once, found {created['box'].size - boxes.size} again"
        )
    index = _BoxIndex(boxes)

    place = created["place"][first]
    where = np.stack([place, np.full_like(place, NONE), np.full_like(place, NONE)])
    recorded = where.copy()
    moved = _until(trace.table("box_moved"), t_ms)
    at = index.of(moved)
    # Of several moves of one box the last one in the order of recording stays: numpy assigns in order.
    where[:, at] = moved["to_place"], moved["column"], moved["tier"]
    is_told = moved["recorded"] != NONE
    is_true = moved["recorded"] == moved["to_place"]
    told = [
        moved["recorded"],
        np.where(is_true, moved["column"], NONE),
        np.where(is_true, moved["tier"], NONE),
    ]
    recorded[:, at[is_told]] = [column[is_told] for column in told]

    mask = (np.int64(1) << created["meters"][first]) - 1
    reserved = np.zeros_like(mask)
    order = np.full_like(mask, NONE)
    reservations, freed = _until(trace.table("box_reserved"), t_ms), _until(trace.table("box_freed"), t_ms)
    picked = _until(trace.table("meters_picked"), t_ms)
    np.add.at(reserved, index.of(reservations), reservations["meters"])
    np.subtract.at(reserved, index.of(freed), freed["meters"])
    np.subtract.at(reserved, index.of(picked), np.bitwise_count(picked["mask"]))
    for leaving in (picked, _until(trace.table("meters_issued"), t_ms)):
        np.bitwise_and.at(mask, index.of(leaving), ~leaving["mask"])
    reserved = np.clip(reserved, 0, np.bitwise_count(mask))  # a whole box leaves with its reservation
    is_whole = reservations["meters"] == trace.meters_per_box
    changes = np.concatenate([reservations["seq"][is_whole], freed["seq"]]).argsort()
    at = np.concatenate([index.of(reservations)[is_whole], index.of(freed)])[changes]
    order[at] = np.concatenate([reservations["order"][is_whole], np.full_like(freed["seq"], NONE)])[changes]
    order[mask == 0] = NONE

    in_transit, qualified = STATE_CODES["in_transit"], STATE_CODES["qualified_in_stock"]
    state = np.where(place == layout.truck, in_transit, qualified)
    received = _until(trace.table("box_received"), t_ms)
    expired = _until(trace.table("box_expired"), t_ms)
    given = _until(trace.table("box_state"), t_ms)
    state[index.of(given)] = given["state"]
    state[index.of(received)] = qualified
    state[index.of(expired)] = STATE_CODES["overdue_pending_reverify"]  # never before the receiving scan
    state[(state == qualified) & (order != NONE)] = STATE_CODES["reserved"]
    state[mask == 0] = STATE_CODES["issued_pending_install"]

    in_slot = where[0][(where[0] >= 0) & (where[0] < layout.slots)]
    return StoreState(
        t_ms=trace.last_ms if t_ms is None else t_ms,
        meters_per_box=trace.meters_per_box,
        box=boxes,
        sku=created["sku"][first],
        lot=created["lot"][first],
        verified_day=created["verified_day"][first],
        place=where[0],
        column=where[1],
        tier=where[2],
        recorded_place=recorded[0],
        recorded_column=recorded[1],
        recorded_tier=recorded[2],
        mask=mask,
        reserved=reserved,
        order=order,
        state=state,
        slot_counts=np.bincount(in_slot, minlength=layout.slots),
    )


class _BoxIndex:
    """From box numbers to rows of the state."""

    def __init__(self, boxes: Ints) -> None:
        self._boxes = boxes

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


def _until(table: "Columns", t_ms: int | None) -> "Columns":
    """The rows with a time up to and including `t_ms`; times never fall in a trace."""
    if t_ms is None:
        return table
    end = int(np.searchsorted(table["time_ms"], t_ms, side="right"))
    return {name: column[:end] for name, column in table.items()}
