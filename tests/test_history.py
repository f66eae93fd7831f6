"""The state of the store at any instant, from the facts."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.assets import STATE_CODES, STATES
from sim.facts import (
    ALLOCATION_RELEASED,
    AT_CHECK,
    BOX_CAME_BACK,
    BOX_CREATED,
    BOX_EXPIRED,
    BOX_FREED,
    BOX_LEFT,
    BOX_MOVED,
    BOX_RECEIVED,
    BOX_RECORDED,
    BOX_RESERVED,
    BOX_STATE,
    BOX_VERIFIED,
    BY_NUMBER,
    DAMAGE,
    ERROR_FOUND,
    ERROR_MADE,
    ERRORS,
    KINDS,
    LOST_MESSAGE,
    METERS_DAMAGED,
    METERS_ISSUED,
    METERS_PICKED,
    METERS_RECORDED,
    METERS_SCRAPPED,
    NEVER,
    NONE,
    RESENT,
    REVERIFIED,
    SHORT_PACKED,
    SLOT_ALLOCATED,
    SLOT_BLOCKED,
    SLOT_HELD,
    STATION_CONSUMED,
    TASK_DONE,
    UNRECORDED_REMOVAL,
    UNUSED,
    WHY_CHECK,
    WHY_COUNT,
    WHY_ERROR,
    WHY_OPENING,
    WHY_PICK,
    WHY_RESENT,
    WRONG_SLOT,
)
from sim.history import (
    OnRecord,
    StoreState,
    by_records,
    by_truth,
    places_kept,
    record_gaps,
    slot_flags,
    state_at,
    truth_gaps,
)
from sim.layout import Layout, LayoutParams
from sim.scenario import load
from sim.simulation import Simulation
from sim.tables import QUARANTINED
from sim.trace import FactsError, Trace

DAY = date(2026, 2, 20).toordinal()
FULL = 2**15 - 1
QUALIFIED = STATE_CODES["qualified_in_stock"]


def small_layout() -> Layout:
    """1 row x 3 columns x 2 levels, 4 boxes a slot in two columns of 2; one robot."""
    params = LayoutParams(profile="uniform", rows=1, columns=3, levels=2, boxes_per_slot=4, tiers=2)
    return Layout(params, meters_per_box=15, box_height_m=0.2, access="direct", robots=1)


def trace_of(*rows: tuple[int, ...]) -> Trace:
    trace = Trace(15)
    for row in rows:
        trace.record(row)
    return trace


def box_state(state: StoreState, box: int) -> dict[str, object]:
    """All that the state says of one box."""
    [i] = np.flatnonzero(state.box == box).tolist()
    return {
        "at": (int(state.place[i]), int(state.column[i]), int(state.tier[i])),
        "recorded": tuple(
            int(column[i]) for column in (state.recorded_place, state.recorded_column, state.recorded_tier)
        ),
        "meters": int(state.meters[i]),
        "reserved": int(state.reserved[i]),
        "order": int(state.order[i]),
        "state": state.state_names()[i],
    }


def test_life_of_a_box() -> None:
    """A box comes by truck, is put away, opened for an order and leaves; each instant shows it."""
    layout = small_layout()
    port, robot = layout.inbound, layout.robot_place(0)
    slot = layout.place("1-02-1")
    trace = trace_of(
        (10, BOX_CREATED, 4, 1, 7, DAY, 15, layout.truck, 0),
        (20, BOX_MOVED, 4, layout.truck, port, NONE, NONE, NONE, NONE, port),
        (20, BOX_RECEIVED, 4, 0, 1),
        (30, BOX_MOVED, 4, port, robot, NONE, NONE, 0, 5, NONE),
        (40, BOX_MOVED, 4, robot, slot, 1, 0, 0, 5, slot),
        (50, BOX_RESERVED, 4, 9, 0, 2),
        (60, METERS_PICKED, 4, 9, 0b11, 1),
        (60, METERS_ISSUED, 4, 9, 0b11),
        (70, BOX_EXPIRED, 4),
    )
    state = state_at(trace, layout, 9)
    assert state.box.size == 0
    assert state.slot_counts.tolist() == [0] * 6

    nowhere = {"meters": 15, "reserved": 0, "order": NONE}
    truck = (layout.truck, NONE, NONE)
    at_port = (port, NONE, NONE)
    stored = {"at": (slot, 1, 0), "recorded": (slot, 1, 0)}
    qualified = "qualified_in_stock"
    expected = [
        (10, {**nowhere, "at": truck, "recorded": truck, "state": "in_transit"}),
        (19, {**nowhere, "at": truck, "recorded": truck, "state": "in_transit"}),
        (20, {**nowhere, "at": at_port, "recorded": at_port, "state": qualified}),
        # The robot has it, the ledger still has it at the port.
        (30, {**nowhere, "at": (robot, NONE, NONE), "recorded": at_port, "state": qualified}),
        (49, {**nowhere, **stored, "state": qualified}),
        (50, {**stored, "meters": 15, "reserved": 2, "order": NONE, "state": qualified}),
        (60, {**stored, "meters": 13, "reserved": 0, "order": NONE, "state": qualified}),
        (70, {**stored, "meters": 13, "reserved": 0, "order": NONE, "state": "overdue_pending_reverify"}),
    ]
    for t, wanted in expected:
        assert box_state(state_at(trace, layout, t), 4) == wanted, t
    last = state_at(trace, layout)
    assert last.t_ms == 70
    assert (last.sku.tolist(), last.lot.tolist(), last.verified_day.tolist()) == ([1], [7], [DAY])
    # 1-02-1 is the third slot: 1-01-1, 1-01-2, 1-02-1.
    assert last.slot_counts.tolist() == [0, 0, 1, 0, 0, 0]


def test_whole_box_leaves_with_its_reservation() -> None:
    """A box issued whole has no meters left, no reservation, and stays listed where it went."""
    layout = small_layout()
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 15, 3, NONE),
        (0, BOX_MOVED, 0, layout.outside, 3, 0, 1, NONE, NONE, 3),
        (5, BOX_RESERVED, 0, 2, 0, 15),
        (6, METERS_ISSUED, 0, 2, 2**15 - 1),
        (6, BOX_MOVED, 0, 3, layout.handed_over, NONE, NONE, NONE, NONE, layout.handed_over),
    )
    assert box_state(state_at(trace, layout, 0), 0)["state"] == "qualified_in_stock"
    promised = box_state(state_at(trace, layout, 5), 0)
    assert (promised["state"], promised["reserved"], promised["order"]) == ("reserved", 15, 2)
    gone = (layout.handed_over, NONE, NONE)
    assert box_state(state_at(trace, layout), 0) == {
        "at": gone, "recorded": gone, "meters": 0, "reserved": 0, "order": NONE,
        "state": "issued_pending_install",
    }  # fmt: skip


def test_record_and_truth_differ() -> None:
    """A box set down elsewhere than recorded is in two places: one true, one recorded without a position."""
    layout = small_layout()
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 15, layout.truck, 0),
        (1, BOX_MOVED, 0, layout.truck, 2, 1, 1, 0, 0, 3),
    )
    assert box_state(state_at(trace, layout), 0)["at"] == (2, 1, 1)
    assert box_state(state_at(trace, layout), 0)["recorded"] == (3, NONE, NONE)
    assert state_at(trace, layout).slot_counts.tolist() == [0, 0, 1, 0, 0, 0]


def test_unknown_box_is_refused() -> None:
    """A fact of a box that nobody created is named."""
    trace = trace_of((0, BOX_CREATED, 3, 0, 0, DAY, 15, 0, NONE), (1, BOX_RECEIVED, 8, NONE, 0))
    with pytest.raises(FactsError, match=r"^facts: expected box 8 to be created first, found no such fact$"):
        state_at(trace, small_layout())


def test_box_created_twice_is_refused() -> None:
    """A box is created once."""
    created = (0, BOX_CREATED, 3, 0, 0, DAY, 15, 0, NONE)
    with pytest.raises(FactsError, match=r"^facts: expected each box created once, found 1 again$"):
        state_at(trace_of(created, created), small_layout())


# -- both sides, fact by fact ---------------------------------------------------------------------------


KINDS_OF_LIVES = (
    "box_moved", "box_recorded", "box_reserved", "box_freed", "meters_picked", "meters_issued", "box_received",
    "box_expired", "box_state", "error_made", "meters_recorded", "meters_damaged", "meters_scrapped",
    "box_left", "box_came_back", "box_verified", "station_consumed",
)  # fmt: skip


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Lives of a few boxes in any order, many facts at one instant; positions need not make sense."""
    places, slots = small_layout().places, small_layout().slots
    rows: list[tuple[int, ...]] = []
    t = -50
    for box in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([small_layout().truck, 0, 3]))
        rows.append((t, BOX_CREATED, 2 * box, box, box, DAY, draw(st.integers(0, 15)), place, NONE))
    created = len(rows)
    for _ in range(draw(st.integers(0, 25))):
        t += draw(st.sampled_from([0, 0, 1, 7]))
        box, number = 2 * draw(st.integers(0, created - 1)), draw(st.integers(0, places - 1))
        mask = draw(st.sampled_from([FULL, 1, 0b110, 0b111000, 0b1010101]))
        spot = draw(st.sampled_from([(0, 0), (1, 1)])) if number < slots else (NONE, NONE)
        name = draw(st.sampled_from(KINDS_OF_LIVES))
        fields = {
            "box_moved": (box, 0, number, *spot, 0, 0, draw(st.sampled_from([number, NONE, 1]))),
            "box_recorded": (box, number, *spot, 0),
            "box_reserved": (box, number, 0, draw(st.sampled_from([1, 2, 15]))),
            "box_freed": (box, 0, 1),
            "meters_picked": (box, 0, mask, 0),
            "meters_issued": (box, 0, mask),
            "box_received": (box, 0, 0),
            "box_expired": (box,),
            "box_state": (
                box,
                draw(st.sampled_from([STATE_CODES["quarantined"], STATE_CODES["lost"], QUALIFIED])),
            ),
            "error_made": (0, draw(st.integers(0, len(ERRORS) - 1)), box, mask, NONE),
            "meters_recorded": (box, mask, 0),
            "meters_damaged": (box, mask),
            "meters_scrapped": (box, mask, 0),
            "box_left": (box, 0),
            "box_came_back": (box, 0, NONE),
            "box_verified": (box, DAY + number),
            "station_consumed": (0, 0, 1),
        }[name]
        rows.append((t, KINDS[name].number, *fields))
    return rows


@dataclass
class Side:
    """What one side, the truth or the records, has of a box."""

    at: tuple[int, int, int]
    meters: set[int]


@dataclass
class Seen:
    """What a replay knows of a box."""

    truth: Side
    record: Side
    state: str
    day: int
    damaged: set[int] = field(default_factory=set)
    reserved: int = 0
    order: int = NONE
    taken_along: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))


def bits_of(mask: int) -> set[int]:
    return {k for k in range(15) if mask >> k & 1}


def replayed(rows: list[tuple[int, ...]], layout: Layout, t_ms: int) -> dict[int, Seen]:
    """Truth and records by going through the facts one by one."""
    boxes: dict[int, Seen] = {}
    for t, kind, *fields in rows:
        if t > t_ms:
            break
        if kind == BOX_CREATED:
            box, _, _, day, meters, place, _ = fields
            state = "in_transit" if place == layout.truck else "qualified_in_stock"
            at = (place, NONE, NONE)
            boxes[box] = Seen(Side(at, set(range(meters))), Side(at, set(range(meters))), state, day)
        elif BY_NUMBER[kind].name == "error_made":
            if ERRORS[fields[1]] in ("short_packed", "unrecorded_removal"):
                boxes[fields[2]].truth.meters -= bits_of(fields[3])
        elif kind != STATION_CONSUMED:
            see(boxes[fields[0]], BY_NUMBER[kind].name, fields)
    return boxes


def take(seen: Seen, mask: int) -> set[int]:
    """Meters leave the box: the record loses as many, the same ones where it has them, else the lowest."""
    out = bits_of(mask) & seen.truth.meters
    seen.truth.meters -= out
    lacking = len(out - seen.record.meters)
    seen.record.meters -= out
    seen.record.meters -= set(sorted(seen.record.meters)[:lacking])
    return out


def see(seen: Seen, kind: str, fields: list[int]) -> None:
    """Let one fact change what is known of its box."""
    if kind == "box_moved":
        _, _, to, column, tier, _, _, recorded = fields
        seen.truth.at = (to, column, tier)
        if recorded != NONE:
            seen.record.at = seen.truth.at if recorded == to else (recorded, NONE, NONE)
    elif kind == "box_recorded":
        seen.record.at = (fields[1], fields[2], fields[3])
    elif kind == "box_reserved":
        seen.reserved += fields[3]
        if fields[3] == 15:
            seen.order = fields[1]
    elif kind == "box_freed":
        seen.reserved -= fields[2]
        seen.order = NONE
    elif kind == "meters_picked":
        seen.reserved -= fields[2].bit_count()
        take(seen, fields[2])
    elif kind == "meters_issued":
        before = seen.truth.meters.copy(), seen.record.meters.copy()
        if take(seen, fields[2]) and not seen.truth.meters:
            seen.taken_along, seen.state = before, "issued_pending_install"
    elif kind in ("box_left", "box_came_back"):
        see_leaving(seen, kind)
    elif kind.startswith("meters_"):
        see_meters(seen, kind, bits_of(fields[1]))
    elif kind == "box_verified":
        seen.day = fields[1]
    else:
        seen.state = {
            "box_received": "qualified_in_stock", "box_expired": "overdue_pending_reverify",
        }.get(kind) or STATES[fields[1]]  # fmt: skip


def see_meters(seen: Seen, kind: str, meters: set[int]) -> None:
    if kind == "meters_recorded":
        seen.record.meters = meters
    elif kind == "meters_damaged":
        seen.damaged |= meters
    else:
        seen.truth.meters -= meters
        seen.record.meters -= meters


def see_leaving(seen: Seen, kind: str) -> None:
    if kind == "box_left":
        seen.taken_along = seen.truth.meters, seen.record.meters
        seen.truth.meters, seen.record.meters = set(), set()
    else:
        seen.truth.meters, seen.record.meters = (side.copy() for side in seen.taken_along)
        seen.reserved, seen.order = 0, NONE


def told_of(seen: Seen) -> dict[str, object]:
    """A box as `box_in` gives it."""
    order = seen.order if seen.record.meters else NONE
    state = "reserved" if seen.state == "qualified_in_stock" and order != NONE else seen.state
    usable = ("in_transit", "qualified_in_stock", "reserved", "overdue_pending_reverify")
    if not seen.record.meters and state in usable:
        state = "issued_pending_install"
    return {
        "at": seen.truth.at, "meters": seen.truth.meters, "damaged": seen.damaged & seen.truth.meters,
        "recorded": seen.record.at, "recorded meters": seen.record.meters,
        "reserved": max(0, min(seen.reserved, len(seen.record.meters))), "order": order, "state": state,
        "day": seen.day,
    }  # fmt: skip


def box_in(state: StoreState, i: int) -> dict[str, object]:
    """Everything that a state says of the box in a row."""
    columns = (state.place, state.column, state.tier), (
        state.recorded_place, state.recorded_column, state.recorded_tier,
    )  # fmt: skip
    at, recorded = (tuple(int(column[i]) for column in side) for side in columns)
    return {
        "at": at, "meters": bits_of(int(state.mask[i])), "damaged": bits_of(int(state.damaged[i])),
        "recorded": recorded, "recorded meters": bits_of(int(state.recorded_mask[i])),
        "reserved": int(state.reserved[i]), "order": int(state.order[i]), "state": state.state_names()[i],
        "day": int(state.verified_day[i]),
    }  # fmt: skip


@given(lives())
def test_equal_to_a_replay(rows: list[tuple[int, ...]]) -> None:
    """At every instant truth and records equal a replay of the facts up to then, one by one."""
    layout, trace = small_layout(), trace_of(*rows)
    for t in [-51, *sorted({row[0] for row in rows}), 10**9]:
        state = state_at(trace, layout, t)
        expected = replayed(rows, layout, t)
        assert {box: box_in(state, i) for i, box in enumerate(state.box.tolist())} == {
            box: told_of(seen) for box, seen in expected.items()
        }
        in_slots = [seen.truth.at[0] for seen in expected.values() if seen.truth.at[0] < layout.slots]
        assert state.slot_counts.tolist() == [in_slots.count(slot) for slot in range(layout.slots)]


# -- truth and records apart ----------------------------------------------------------------------------


def test_wrong_slot() -> None:
    """A box set down in another slot than it is recorded in is in both, until somebody sees it."""
    layout = small_layout()
    robot = layout.robot_place(0)
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 15, layout.staging, NONE),
        (1, BOX_MOVED, 0, layout.staging, robot, NONE, NONE, 0, 0, robot),
        (2, BOX_MOVED, 0, robot, 2, 1, 0, 0, 0, NONE),
        (2, BOX_RECORDED, 0, 3, 0, 1, WHY_ERROR),
        (2, ERROR_MADE, 0, WRONG_SLOT, 0, 0, 2),
        (9, BOX_RECORDED, 0, layout.outside, NONE, NONE, WHY_PICK),
        (9, BOX_STATE, 0, STATE_CODES["quarantined"]),
        (12, BOX_RECORDED, 0, 2, 1, 0, WHY_COUNT),
        (12, BOX_STATE, 0, QUALIFIED),
    )
    told = [box_state(state_at(trace, layout, t), 0) for t in (2, 9, 12)]
    assert [box["at"] for box in told] == [(2, 1, 0)] * 3
    # Recorded in slot 3; missed there, and so outside; seen in slot 2.
    assert [box["recorded"] for box in told] == [(3, 0, 1), (layout.outside, NONE, NONE), (2, 1, 0)]
    assert [box["state"] for box in told] == ["qualified_in_stock", "quarantined", "qualified_in_stock"]


def test_lost_message() -> None:
    """A put-away of which nobody was told leaves the record on the robot."""
    layout = small_layout()
    robot = layout.robot_place(0)
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 15, layout.truck, 0),
        (1, BOX_MOVED, 0, layout.truck, robot, NONE, NONE, 0, 0, robot),
        (2, BOX_MOVED, 0, robot, 2, 1, 0, 0, 0, NONE),
        (2, ERROR_MADE, 0, LOST_MESSAGE, 0, 0, 2),
    )
    assert box_state(state_at(trace, layout), 0)["at"] == (2, 1, 0)
    assert box_state(state_at(trace, layout), 0)["recorded"] == (robot, NONE, NONE)


def masks_of(*rows: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Truth, record and damage of box 0, created full at time 0 in slot 3, after each of the times."""
    layout = small_layout()
    trace = trace_of((0, BOX_CREATED, 0, 0, 0, DAY, 15, 3, NONE), *rows)
    states = [state_at(trace, layout, t) for t in sorted({row[0] for row in rows})]
    return [(int(s.mask[0]), int(s.recorded_mask[0]), int(s.damaged[0])) for s in states]


def test_unnoticed_removal() -> None:
    """A meter that is gone unnoticed leaves the truth; who opens the box sets the record right."""
    assert masks_of(
        (1, ERROR_MADE, 0, SHORT_PACKED, 0, 1 << 4, NONE),
        (2, ERROR_MADE, 1, UNRECORDED_REMOVAL, 0, 1, NONE),
        (3, METERS_RECORDED, 0, FULL & ~0b10001, WHY_OPENING),
    ) == [(FULL & ~0b10000, FULL, 0), (FULL & ~0b10001, FULL, 0), (FULL & ~0b10001, FULL & ~0b10001, 0)]


def test_as_many_leave_the_record() -> None:
    """Meters that the record does not have leave it by number, its lowest ones."""
    # The record has lost sight of meters 0 and 1. Meters 0, 1 and 2 are picked: meter 2, then 3 and 4 go.
    assert (
        masks_of(
            (1, METERS_RECORDED, 0, FULL & ~0b11, WHY_COUNT),
            (2, METERS_PICKED, 0, 9, 0b111, 0),
            (3, METERS_ISSUED, 0, 9, 0b111),
        )[1:]
        == [(FULL & ~0b111, FULL & ~0b11111, 0)] * 2
    )


def test_handing_picked_meters_over_says_nothing_of_the_box() -> None:
    """An empty box on hold stays so when the meters that were picked out of it are handed over."""
    layout = small_layout()
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 2, 3, NONE),
        (1, METERS_PICKED, 0, 9, 0b11, 0),
        (2, BOX_STATE, 0, STATE_CODES["quarantined"]),
        (3, METERS_ISSUED, 0, 9, 0b11),
    )
    states = [state_at(trace, layout, t).state_names()[0] for t in (1, 2, 3)]
    assert states == ["issued_pending_install", "quarantined", "quarantined"]


def test_damage_is_truth_only() -> None:
    """Damaged meters stay in the box on both sides until they are scrapped."""
    assert masks_of(
        (1, METERS_DAMAGED, 0, 0b10),
        (1, ERROR_MADE, 0, DAMAGE, 0, 0b10, NONE),
        (2, METERS_SCRAPPED, 0, 0b10, 1),
    ) == [(FULL, FULL, 0b10), (FULL & ~0b10, FULL & ~0b10, 0)]


def test_returned_box_is_as_it_left() -> None:
    """A box that comes back has the meters with which it left, and no promise of before."""
    layout = small_layout()
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 15, 3, NONE),
        (1, BOX_RESERVED, 0, 7, 0, 15),
        (2, METERS_ISSUED, 0, 7, FULL),
        (5, BOX_CAME_BACK, 0, UNUSED, 7),
        (6, BOX_RECEIVED, 0, NONE, 0),
        (7, BOX_LEFT, 0, REVERIFIED),
        (7, BOX_STATE, 0, STATE_CODES["in_verification"]),
        (8, BOX_VERIFIED, 0, DAY + 3),
        (8, BOX_CAME_BACK, 0, REVERIFIED, NONE),
        (9, BOX_STATE, 0, QUALIFIED),
    )
    states = [state_at(trace, layout, t) for t in (1, 2, 5, 6, 7, 9)]
    assert [int(s.meters[0]) for s in states] == [15, 0, 15, 15, 0, 15]
    assert [s.state_names()[0] for s in states] == [
        "reserved", "issued_pending_install", "issued_pending_install", "qualified_in_stock",
        "in_verification", "qualified_in_stock",
    ]  # fmt: skip
    assert [int(s.reserved[0]) for s in states] == [15, 0, 0, 0, 0, 0]
    assert [int(s.verified_day[0]) - DAY for s in states] == [0, 0, 0, 0, 0, 3]


def test_state_of_a_missing_promise() -> None:
    """A promised box that is not there is on hold, also after its promise is taken back."""
    layout = small_layout()
    trace = trace_of(
        (0, BOX_CREATED, 0, 0, 0, DAY, 15, 3, NONE),
        (1, BOX_RESERVED, 0, 7, 0, 15),
        (2, BOX_STATE, 0, STATE_CODES["quarantined"]),
        (2, BOX_FREED, 0, 7, 15),
    )
    told = box_state(state_at(trace, layout), 0)
    assert (told["state"], told["reserved"], told["order"]) == ("quarantined", 0, NONE)


def test_state_that_means_on_hold() -> None:
    """The number by which `tables` knows boxes on hold is that of the state."""
    assert STATE_CODES["quarantined"] == QUARANTINED


def test_gaps_are_named() -> None:
    """Where facts and a running store differ, box, column and both values are said; elsewhere nothing."""
    run = Simulation(load("tiny", ["time.days=1"]))
    run.finish()
    state = state_at(run.trace, run.layout)
    assert truth_gaps(state, run.stock) == []
    assert record_gaps(state, run.ledger) == []
    [box] = [box for box, mask in enumerate(run.stock.mask) if mask][:1]
    run.stock.mask[box] ^= 1
    run.ledger.place[box] += 1
    run.ledger.verified_day[box] += 1
    now, place, day = run.stock.mask[box], run.ledger.place[box], run.ledger.verified_day[box]
    assert truth_gaps(state, run.stock) == [f"box {box}: mask: the facts tell {now ^ 1}, the stock has {now}"]
    assert record_gaps(state, run.ledger) == [
        f"box {box}: place: the facts tell {place - 1}, the ledger has {place}",
        f"box {box}: verified_day: the facts tell {day - 1}, the ledger has {day}",
    ]
    run.stock.mask.append(0)
    run.stock.place.append(0)
    assert "boxes: the facts tell of" in truth_gaps(state, run.stock)[0]


MANY_ERRORS = ["records.scale=300", "records.check_finds=0.5"]
ASTRAY = {
    "nothing": ("luoyang_stacks", []),
    "little": ("tiny", []),
    "errors": ("luoyang", MANY_ERRORS),
    "counts": ("luoyang", [*MANY_ERRORS, "counting.plan=cyclic", "counting.slots_per_day=60"]),
    "faults": ("luoyang", [*MANY_ERRORS, "counting.plan=on-access", "faults.scale=100"]),
    "by hand": ("luoyang", ["operation=manual", "robots.count=0", "records.scale=20"]),
    "returns": (
        "luoyang",
        [
            *MANY_ERRORS,
            "demand.max_age_days=40",
            "reverify.on=true",
            "reverify.days_min=1",
            "reverify.days_max=1",
            "returns.unused_share=0.5",
            "returns.unused_days_min=1",
            "returns.unused_days_max=1",
        ],
    ),
}
"""Stores in which truth and records part for different reasons: a scenario and what is set in it."""


@pytest.mark.parametrize("case", ASTRAY)
def test_equal_to_the_running_store(case: str) -> None:
    """At any instant of a run the facts alone give the truth and the records of the store."""
    name, sets = ASTRAY[case]
    run = Simulation(load(name, ["time.days=3", *sets]))
    stock, ledger = run.stock, run.ledger
    apart = 0
    for t in range(0, run.end_ms, 2 * 3_600_000 + 1_234):
        run.advance(t + 1)  # up to and including t
        state = state_at(run.trace, run.layout, t)
        assert truth_gaps(state, stock) == []
        assert record_gaps(state, ledger) == []
        inside = [box for box, mask in enumerate(ledger.mask) if mask]
        assert state.order[inside].tolist() == [ledger.order[box] for box in inside]
        assert state.slot_counts.tolist() == [
            sum(box != NONE for column in slot for box in column) for slot in stock.cells
        ]
        differs = state.place != state.recorded_place
        apart += int((differs | (state.mask != state.recorded_mask)).sum())
    assert len(stock.place) > 0
    if case == "returns":
        causes = set(run.trace.table("box_came_back")["cause"].tolist())
        assert causes == {UNUSED, REVERIFIED}
    assert (apart > 0) == (case not in ("nothing", "little"))


# --- the facts on record -----------------------------------------------------------------------------------


def on_record(*rows: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(OnRecord(trace_of(*rows)).rows())


ROBOT_PLACE = small_layout().robot_place(0)
ON_TRUCK = (0, BOX_CREATED, 0, 0, 0, DAY, 15, small_layout().truck, 0)
ON_BOARD = (1, BOX_MOVED, 0, small_layout().truck, ROBOT_PLACE, NONE, NONE, 0, 7, ROBOT_PLACE)


def test_box_set_down_astray_is_where_it_is_recorded() -> None:
    """The move goes to the slot on record; neither the error nor its record is there, and no number is missing."""
    done = (2, TASK_DONE, 7, 0)
    assert on_record(
        ON_TRUCK, ON_BOARD,
        (2, BOX_MOVED, 0, ROBOT_PLACE, 4, 1, 1, 0, 7, NONE),
        (2, BOX_RECORDED, 0, 3, 0, 0, WHY_ERROR),
        (2, ERROR_MADE, 0, WRONG_SLOT, 0, 0, 4),
        done,
    ) == [ON_TRUCK, ON_BOARD, (2, BOX_MOVED, 0, ROBOT_PLACE, 3, 0, 0, 0, 7, 3), done]  # fmt: skip


def test_task_is_done_when_its_message_is_there() -> None:
    """A put-away whose message is lost is not told; its task is done when the records learn of the box."""
    lost = [
        ON_TRUCK, ON_BOARD,
        (2, BOX_MOVED, 0, ROBOT_PLACE, 3, 0, 0, 0, 7, NONE),
        (2, ERROR_MADE, 0, LOST_MESSAGE, 0, 0, 3),
        (2, METERS_DAMAGED, 0, 1),
        (2, ERROR_MADE, 1, DAMAGE, 0, 1, NONE),
        (2, TASK_DONE, 7, 0),
    ]  # fmt: skip
    assert on_record(*lost) == [ON_TRUCK, ON_BOARD]
    resent = (9, BOX_RECORDED, 0, 3, 0, 0, WHY_RESENT)
    assert on_record(*lost, resent, (9, ERROR_FOUND, 0, RESENT, 0)) == [
        ON_TRUCK, ON_BOARD, resent, (9, TASK_DONE, 7, 0),
    ]  # fmt: skip
    # Where the box leaves with its error, nobody ever hears that the task was done.
    assert on_record(*lost, (9, ERROR_FOUND, 0, NEVER, 0)) == [ON_TRUCK, ON_BOARD]


def test_short_box_is_issued_as_recorded() -> None:
    """A box that goes out a meter short, unnoticed, is issued with all that are recorded; noticed, as it is."""
    created = (0, BOX_CREATED, 0, 0, 0, DAY, 15, 3, NONE)
    short = (1, ERROR_MADE, 0, SHORT_PACKED, 0, 1 << 14, NONE)
    out = (2, METERS_ISSUED, 0, 9, FULL >> 1)
    assert on_record(created, short, out, (2, METERS_RECORDED, 0, 0, WHY_CHECK)) == [
        created, (2, METERS_ISSUED, 0, 9, FULL),
    ]  # fmt: skip
    noticed = (2, METERS_RECORDED, 0, FULL >> 1, WHY_CHECK)
    assert on_record(created, short, noticed, (2, ERROR_FOUND, 0, AT_CHECK, 0), out) == [
        created, noticed, out,
    ]  # fmt: skip


def test_facts_without_errors_are_all_on_record() -> None:
    """Where nothing goes wrong the facts on record are the facts."""
    run = Simulation(load("tiny"))
    run.finish()
    assert list(OnRecord(run.trace).rows()) == list(run.trace.rows())
    assert OnRecord(run.trace).digest() == run.trace.digest()
    assert OnRecord(run.trace).last_ms == run.trace.last_ms
    assert len(OnRecord(Trace(15))) == OnRecord(Trace(15)).last_ms == 0


UNNOTICED = [
    "records.scale=1000", "records.gate=boxes", "records.check_finds=0.3", "records.short_packed=0.0003",
    "records.damage=0", "initial.fill=0.2", "demand.orders_per_day=20", "returns.unused_share=0.5",
    "returns.unused_days_min=1", "returns.unused_days_max=1",
    'supply.review_weekdays=["mon", "tue", "wed", "thu"]', "supply.lead_time_days=0",
]  # fmt: skip
PARTED = {**ASTRAY, "unnoticed": ("tiny", UNNOTICED)}


def told_by(rows: list[tuple[int, ...]], outside: int) -> tuple[dict[int, int], dict[int, int]]:
    """Where each box is and which meters are in it, as one who reads facts one by one would have it."""
    place, mask, gone_with = {}, {}, {}
    for _, kind, *values in rows:
        name, box = BY_NUMBER[kind].name, values[0]
        if name == "box_created":
            place[box], mask[box] = values[5], (1 << values[4]) - 1
        elif name == "box_moved":
            is_opening = values[1] == outside and values[6] == NONE
            assert values[1] == place[box] or is_opening, f"box {box} moves from where it is not"
            place[box] = values[2]
            assert values[7] == values[2]
        elif name == "box_recorded":
            assert values[4] != WHY_ERROR
            place[box] = values[1]
        elif name in ("meters_picked", "meters_issued"):
            out = values[2] & mask[box]
            assert name == "meters_issued" or out == values[2]
            if name == "meters_issued" and out and out == mask[box]:
                gone_with[box] = out
            mask[box] &= ~out
        elif name == "meters_scrapped":
            mask[box] &= ~values[1]
        elif name == "meters_recorded":
            mask[box] = values[1]
        elif name == "box_left":
            gone_with[box], mask[box] = mask[box], 0
        elif name == "box_came_back":
            mask[box] = gone_with[box]
    return place, mask


@pytest.mark.parametrize("case", PARTED)
def test_facts_on_record_tell_the_records(case: str) -> None:
    """Read one by one, the facts on record give the ledger; what is cut off at an instant stays as it is."""
    name, sets = PARTED[case]
    run = Simulation(load(name, ["time.days=3", *sets]))
    before: list[tuple[int, ...]] = []
    for t in range(0, run.end_ms, 9 * 3_600_000 + 1_234):
        run.advance(t + 1)
        told = OnRecord(run.trace)
        rows = list(told.rows())
        assert len(rows) == len(told)
        assert rows[: len(before)] == before
        before = rows
        numbers = np.sort(np.concatenate([told.table(kind)["seq"] for kind in KINDS]))
        assert numbers.tolist() == list(range(len(told)))
        for kind in ("error_made", "error_found", "meters_damaged"):
            assert not told.table(kind)["seq"].size
        place, mask = told_by(rows, run.layout.outside)
        assert [place[box] for box in range(len(place))] == run.ledger.place
        assert [mask[box] for box in range(len(mask))] == run.ledger.mask
        masks = told.masks()
        # Of several rows of one box the last one stays.
        assert dict(zip(masks["box"].tolist(), masks["record"].tolist(), strict=True)) == mask
    if case == "unnoticed":
        issued = run.trace.table("meters_issued")["mask"], OnRecord(run.trace).table("meters_issued")["mask"]
        assert (issued[0] != issued[1]).sum() > 2


def test_sides_of_a_state() -> None:
    """Either side of a state can stand for both."""
    run = Simulation(load("luoyang", ["time.days=2", *MANY_ERRORS]))
    run.finish()
    state = state_at(run.trace, run.layout)
    recorded, true = by_records(state), by_truth(state)
    assert record_gaps(recorded, run.ledger) == truth_gaps(true, run.stock) == []
    for side in (recorded, true):
        for name in ("place", "column", "tier", "mask"):
            assert np.array_equal(getattr(side, name), getattr(side, f"recorded_{name}"))
    assert recorded.place.tolist() == run.ledger.place
    assert not recorded.damaged.any()
    assert recorded.slot_counts.tolist() == [
        len(run.ledger.boxes_in(slot)) for slot in range(run.layout.slots)
    ]


def test_place_is_kept_until_the_box_is_there() -> None:
    """A place is kept from its allocation until it is given back, or the records have the box in a slot."""
    layout = small_layout()
    rows = [
        ON_TRUCK,
        (1, SLOT_ALLOCATED, 0, 3, 0, 7),
        (2, ALLOCATION_RELEASED, 0, 3, 0),
        (2, SLOT_ALLOCATED, 0, 4, 0, 7),
        (3, BOX_MOVED, 0, ROBOT_PLACE, 4, 0, 0, 0, 7, NONE),
        (9, BOX_RECORDED, 0, 4, 0, 0, WHY_RESENT),
    ]

    def kept(facts: int) -> list[int]:
        return places_kept(trace_of(*rows[:facts]), layout).tolist()

    assert kept(1) == kept(3) == [0] * 6
    assert kept(2) == [0, 0, 0, 1, 0, 0]
    # Set down, but the message is lost: nobody may have the place.
    assert kept(4) == kept(5) == [0, 0, 0, 0, 1, 0]
    assert kept(6) == [0] * 6


def test_slots_out_of_use() -> None:
    """The last word on a slot counts: out of use by the keeper, or on hold."""
    trace = trace_of(
        (0, SLOT_BLOCKED, 1, 1), (1, SLOT_BLOCKED, 2, 1), (2, SLOT_BLOCKED, 1, 0), (3, SLOT_HELD, 1, 1)
    )
    blocked, held = slot_flags(trace, small_layout())
    assert np.flatnonzero(blocked).tolist() == [2]
    assert np.flatnonzero(held).tolist() == [1]
