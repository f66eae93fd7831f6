"""The state of the store at any instant, from the facts."""

import random
from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest

from sim.assets import STATE_CODES
from sim.facts import (
    BOX_CREATED,
    BOX_EXPIRED,
    BOX_FREED,
    BOX_MOVED,
    BOX_RECEIVED,
    BOX_RESERVED,
    METERS_ISSUED,
    METERS_PICKED,
    NONE,
    STATION_CONSUMED,
)
from sim.history import StoreState, state_at
from sim.layout import Layout, LayoutParams
from sim.scenario import load
from sim.simulation import Simulation
from sim.trace import FactsError, Trace

DAY = date(2026, 2, 20).toordinal()


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


def random_rows(layout: Layout, rng: random.Random) -> list[tuple[int, ...]]:
    """A life of some boxes, with many facts at the same instants; positions need not make sense."""
    rows: list[tuple[int, ...]] = []
    boxes: list[int] = []
    t = -50
    for _ in range(rng.randrange(120)):
        t += rng.choice([0, 0, 0, 1, 7])
        if not boxes or rng.random() < 0.15:
            box = max(boxes, default=2) + rng.randrange(1, 3)
            place = rng.choice([layout.truck, rng.randrange(layout.slots)])
            rows.append(
                (t, BOX_CREATED, box, rng.randrange(3), len(boxes), DAY, rng.randrange(16), place, NONE)
            )
            boxes.append(box)
            continue
        box = rng.choice(boxes)
        to = rng.randrange(layout.places)
        mask = rng.randrange(1, 2**15)
        position = (rng.randrange(2), rng.randrange(2)) if to < layout.slots else (NONE, NONE)
        rows.append(
            rng.choice(
                [
                    (t, BOX_MOVED, box, 0, to, *position, 0, 0, rng.choice([to, to, NONE, 1])),
                    (t, BOX_RESERVED, box, rng.randrange(9), 0, rng.choice([1, 2, 15])),
                    (t, BOX_FREED, box, 0, 1),
                    (t, METERS_PICKED, box, 0, mask & rng.randrange(2**15), 0),
                    (t, METERS_ISSUED, box, 0, mask),
                    (t, BOX_RECEIVED, box, 0, 0),
                    (t, STATION_CONSUMED, 0, 0, 1),
                ]
            )
        )
    return rows


@dataclass
class Seen:
    """What a replay knows of a box."""

    at: tuple[int, int, int]
    recorded: tuple[int, int, int]
    mask: int
    state: int
    reserved: int = 0
    order: int = NONE


def replayed(rows: list[tuple[int, ...]], layout: Layout, t_ms: int) -> dict[int, Seen]:
    """The same state by going through the facts one by one."""
    boxes: dict[int, Seen] = {}
    for t, kind, *fields in rows:
        if t <= t_ms and kind == BOX_CREATED:
            box, _, _, _, meters, place, _ = fields
            at = (place, NONE, NONE)
            state = "in_transit" if place == layout.truck else "qualified_in_stock"
            boxes[box] = Seen(at, at, 2**meters - 1, STATE_CODES[state])
        elif t <= t_ms and kind != STATION_CONSUMED:
            see(boxes[fields[0]], kind, fields)
    for seen in boxes.values():
        seen.reserved = max(min(seen.reserved, seen.mask.bit_count()), 0)
        if seen.mask == 0:
            seen.order = NONE
            seen.state = STATE_CODES["issued_pending_install"]
        elif seen.order != NONE and seen.state == STATE_CODES["qualified_in_stock"]:
            seen.state = STATE_CODES["reserved"]
    return dict(sorted(boxes.items()))


def see(seen: Seen, kind: int, fields: list[int]) -> None:
    """Let one fact change what is known of its box."""
    if kind == BOX_MOVED:
        _, _, to, column, tier, _, _, recorded = fields
        seen.at = (to, column, tier)
        if recorded != NONE:
            seen.recorded = seen.at if recorded == to else (recorded, NONE, NONE)
    elif kind == BOX_RESERVED:
        seen.reserved += fields[3]
        if fields[3] == 15:
            seen.order = fields[1]
    elif kind == BOX_FREED:
        seen.reserved -= fields[2]
        seen.order = NONE
    elif kind == METERS_PICKED:
        seen.reserved -= fields[2].bit_count()
        seen.mask &= ~fields[2]
    elif kind == METERS_ISSUED:
        seen.mask &= ~fields[2]
    elif kind == BOX_RECEIVED:
        seen.state = STATE_CODES["qualified_in_stock"]


def seen_in(state: StoreState) -> dict[int, Seen]:
    """The state as a replay tells it."""
    truth, record = (
        list(zip(*(column.tolist() for column in columns), strict=True))
        for columns in (
            (state.place, state.column, state.tier),
            (state.recorded_place, state.recorded_column, state.recorded_tier),
        )
    )
    rest = (column.tolist() for column in (state.mask, state.state, state.reserved, state.order))
    rows = zip(truth, record, *rest, strict=True)
    return {box: Seen(*row) for box, row in zip(state.box.tolist(), rows, strict=True)}


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_a_replay(seed: int) -> None:
    """At every instant the state equals a replay of the facts up to then, one by one."""
    layout = small_layout()
    rows = random_rows(layout, random.Random(seed))
    trace = trace_of(*rows)
    for t in [-51, *sorted({row[0] for row in rows}), 10**9]:
        state = state_at(trace, layout, t)
        expected = replayed(rows, layout, t)
        assert seen_in(state) == expected
        in_slots = [seen.at[0] for seen in expected.values() if seen.at[0] < layout.slots]
        assert state.slot_counts.tolist() == [in_slots.count(slot) for slot in range(layout.slots)]
        assert state.meters.tolist() == [seen.mask.bit_count() for seen in expected.values()]


@pytest.mark.parametrize("name", ["tiny", "luoyang_stacks"])
def test_equal_to_the_running_store(name: str) -> None:
    """At any instant of a run the facts alone give the truth and the records of the store."""
    run = Simulation(load(name, ["time.days=2"]))
    stock, ledger = run.stock, run.ledger
    for t in range(0, run.end_ms, 2 * 3_600_000 + 1_234):
        run.advance(t + 1)  # up to and including t
        state = state_at(run.trace, run.layout, t)
        assert state.place.tolist() == stock.place
        assert state.column.tolist() == stock.column
        assert state.tier.tolist() == stock.tier
        assert state.mask.tolist() == stock.mask == ledger.mask
        assert state.recorded_place.tolist() == ledger.place
        assert state.recorded_column.tolist() == ledger.column
        assert state.recorded_tier.tolist() == ledger.tier
        assert state.sku.tolist() == ledger.sku
        assert state.lot.tolist() == ledger.lot
        assert state.verified_day.tolist() == ledger.verified_day
        inside = [box for box, mask in enumerate(stock.mask) if mask]
        assert state.state[inside].tolist() == [ledger.state[box] for box in inside]
        assert state.order[inside].tolist() == [ledger.order[box] for box in inside]
        assert state.slot_counts.tolist() == [
            sum(box != NONE for column in slot for box in column) for slot in stock.cells
        ]
    assert len(stock.place) > 0
