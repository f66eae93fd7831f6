"""Histories of assets: every kind of fact told, truth and records kept apart, folders read where they lie."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import tracking
from sim.assets import STATE_CODES, STATES, asset_number, check_digit
from sim.facts import (
    BOX_CAME_BACK,
    BOX_CREATED,
    BOX_DUG,
    BOX_EMPTIED,
    BOX_EXPIRED,
    BOX_LEFT,
    BOX_MOVED,
    BOX_RECEIVED,
    BOX_RECORDED,
    BOX_RESERVED,
    BOX_STATE,
    BOX_VERIFIED,
    BY_COUNT,
    BY_NUMBER,
    CHARGE,
    CONFIRMED,
    COUNT_DIFFERENCE,
    DAMAGE,
    DISCREPANCY,
    ERROR_FOUND,
    ERROR_MADE,
    ERRORS,
    FAULTS,
    FOUND_POSTED,
    ISSUE,
    KINDS,
    LOST_MESSAGE,
    LOST_POSTED,
    LOT_CREATED,
    LOT_RECALLED,
    METERS_DAMAGED,
    METERS_ISSUED,
    METERS_PICKED,
    METERS_RECORDED,
    METERS_SCRAPPED,
    MISSING,
    NEVER,
    NONE,
    NOTED,
    ORDER_HANDED_OVER,
    ORDER_LINE,
    ORDER_RELEASED,
    PUT_AWAY,
    RESENT,
    REVERIFIED,
    ROBOT_STRETCH,
    SCRAPPED,
    SHORT_PACKED,
    SLOT_ALLOCATED,
    SLOT_COUNTED,
    SLOT_HELD,
    SURPLUS,
    TAG_REPLACED,
    TASK_ASSIGNED,
    TASK_CANCELLED,
    TASK_CREATED,
    TASK_DONE,
    UNRECORDED_REMOVAL,
    UNUSED,
    WHY_CHECK,
    WHY_COUNT,
    WHY_ERROR,
    WHY_GATE,
    WHY_OPENING,
    WHY_RESENT,
    WORKING,
    WRONG_SLOT,
)
from sim.history import state_at
from sim.layout import Layout, LayoutParams
from sim.results import read_result
from sim.scenario import load
from sim.simulation import Simulation, run
from sim.trace import FactsError, Trace, read_facts, write_facts
from sim.tracking import (
    KINDS_OF_SUBJECT,
    Page,
    Run,
    Subject,
    TrackError,
    as_json,
    history_of_box,
    history_of_lot,
    history_of_meter,
    history_of_order,
    history_of_robot,
    history_of_slot,
    open_run,
    page_of,
    subject_of,
    track,
    where_is,
)

START = date(2026, 3, 2)
DAY = date(2026, 2, 20).toordinal()
S = 1000
FULL = 2**15 - 1
LAYOUT = Layout(
    LayoutParams(profile="uniform", rows=1, columns=3, levels=2, boxes_per_slot=4, tiers=2),
    meters_per_box=15, box_height_m=0.2, access="direct", robots=1, hands=1,
)  # fmt: skip
# 1 row x 3 columns x 2 levels: slots 0 to 5 are 1-01-1, 1-01-2, 1-02-1, 1-02-2, 1-03-1, 1-03-2.
A, B = LAYOUT.place("1-02-1"), LAYOUT.place("1-03-1")
PORT, OUT, ROBOT, HAND = LAYOUT.inbound, LAYOUT.outbound, LAYOUT.robot_place(0), LAYOUT.place("person-1")
TRUCK, GONE, AWAY, STATION = LAYOUT.truck, LAYOUT.handed_over, LAYOUT.outside, LAYOUT.pick_station


def traced(*rows: tuple[int, ...], names: dict | None = None) -> SimpleNamespace:
    """A run by hand: facts, the small layout, and names."""
    trace = Trace(15)
    for row in rows:
        trace.record(row)
    named = {"start": START.isoformat(), "places": list(LAYOUT.names), "skus": ["A", "B"], "stations": []}
    return SimpleNamespace(trace=trace, layout=LAYOUT, names={**named, **(names or {})}, end_ms=trace.last_ms)


def told(events) -> list[tuple]:
    """Events as (seconds, side, word, where, on record, by, text)."""

    def at(place, column, tier):
        return f"{place} {column + 1}.{tier + 1}" if column != NONE else place

    return [
        (
            event.time_ms // 1000, event.side, event.word, at(event.place, event.column, event.tier),
            at(event.recorded_place, event.recorded_column, event.recorded_tier), event.by, event.text,
        )
        for event in events
    ]  # fmt: skip


def words(events) -> list[str]:
    return [event.word for event in events]


ARRIVAL = (
    (0, LOT_CREATED, 7, 1, 2, DAY),
    (0, BOX_CREATED, 4, 1, 7, DAY, 15, TRUCK, 3),
    (20 * S, BOX_RECEIVED, 4, 3, 1),
    (20 * S, BOX_MOVED, 4, TRUCK, PORT, NONE, NONE, NONE, NONE, PORT),
)
STORED = (
    *ARRIVAL,
    (30 * S, BOX_MOVED, 4, PORT, ROBOT, NONE, NONE, 0, 5, ROBOT),
    (40 * S, BOX_MOVED, 4, ROBOT, A, 1, 0, 0, 5, A),
)


# --- the life of a box -------------------------------------------------------------------------------


def test_quiet_life_of_a_box():
    """A box comes, is stored, reserved, taken and handed over: each event tells where it truly was."""
    run = traced(
        *STORED,
        (50 * S, BOX_RESERVED, 4, 9, 0, 15),
        (60 * S, BOX_MOVED, 4, A, ROBOT, NONE, NONE, 0, 6, ROBOT),
        (70 * S, BOX_MOVED, 4, ROBOT, OUT, NONE, NONE, 0, 6, OUT),
        (80 * S, METERS_ISSUED, 4, 9, FULL),
        (80 * S, BOX_MOVED, 4, OUT, GONE, NONE, NONE, NONE, NONE, GONE),
    )
    assert told(history_of_box(run, 4)) == [
        (
            0,
            "both",
            "arrived",
            "truck",
            "truck",
            "",
            "on truck 3: 15 meters of B, lot 7, verified 2026-02-20",
        ),
        (20, "both", "received", "truck", "truck", "person-2", "receiving scan done, truck 3"),
        (20, "both", "moved", "in", "in", "", "from truck"),
        (30, "both", "taken", "robot-1", "robot-1", "robot-1", "taken from in, task 5"),
        (40, "both", "stored", "1-02-1 2.1", "1-02-1 2.1", "robot-1", "set down, task 5"),
        (50, "both", "reserved", "1-02-1 2.1", "1-02-1 2.1", "", "15 meters for order 9"),
        (60, "both", "taken", "robot-1", "robot-1", "robot-1", "taken from 1-02-1 2.1, task 6"),
        (70, "both", "moved", "out", "out", "robot-1", "from robot-1, task 6"),
        (80, "both", "issued", "out", "out", "", "15 meters handed over for order 9"),
        (80, "both", "left", "handed-over", "handed-over", "", "handed over, from out"),
    ]
    box = Subject("box", 4)
    assert where_is(run, box, 10 * S) == "Box 4 is on a truck, as recorded: 15 meters of B, in transit."
    assert (
        where_is(run, box, 30 * S) == "Box 4 is on robot-1, as recorded: 15 meters of B, qualified in stock."
    )
    stands = "Box 4 is in 1-02-1 2.1, as recorded: 15 meters of B"
    assert where_is(run, box, 49 * S) == f"{stands}, qualified in stock."
    assert where_is(run, box, 50 * S) == f"{stands}, reserved for order 9."
    assert where_is(run, box) == "Box 4 left the store on 2026-03-02 at 00:01:20, handed over for order 9."


def test_wrong_slot_is_told_on_both_sides():
    """A box set down astray is where it is; the records say otherwise until a count has found it."""
    run = traced(
        *STORED[:-1],
        (40 * S, BOX_MOVED, 4, ROBOT, B, 0, 1, 0, 5, NONE),
        (40 * S, BOX_RECORDED, 4, A, 1, 0, WHY_ERROR),
        (40 * S, ERROR_MADE, 0, WRONG_SLOT, 4, 0, B),
        (50 * S, SLOT_COUNTED, 0, A, 0, 0, 0, 1, 0),
        (50 * S, COUNT_DIFFERENCE, 0, A, 4, MISSING, NOTED),
        (50 * S, SLOT_HELD, A, 1),
        (60 * S, SLOT_COUNTED, 0, A, 1, 1, 0, 1, 0),
        (60 * S, COUNT_DIFFERENCE, 0, A, 4, MISSING, CONFIRMED),
        (60 * S, BOX_RECORDED, 4, AWAY, NONE, NONE, WHY_COUNT),
        (60 * S, BOX_STATE, 4, STATE_CODES["quarantined"]),
        (61 * S, COUNT_DIFFERENCE, NONE, NONE, 4, MISSING, LOST_POSTED),
        (61 * S, BOX_STATE, 4, STATE_CODES["lost"]),
        (70 * S, SLOT_COUNTED, 1, B, 0, 0, 0, 0, 1),
        (70 * S, COUNT_DIFFERENCE, 1, B, 4, SURPLUS, CONFIRMED),
        (70 * S, BOX_RECORDED, 4, B, 0, 1, WHY_COUNT),
        (70 * S, ERROR_FOUND, 0, BY_COUNT, 4),
        (70 * S, BOX_STATE, 4, STATE_CODES["surplus_found"]),
        (71 * S, COUNT_DIFFERENCE, NONE, NONE, 4, SURPLUS, FOUND_POSTED),
        (72 * S, BOX_STATE, 4, STATE_CODES["qualified_in_stock"]),
    )
    true, astray = "1-03-1 1.2", "1-02-1 2.1"
    assert told(history_of_box(run, 4))[4:] == [
        (40, "truth", "stored", true, astray, "robot-1", f"set down, task 5 (recorded: {astray})"),
        (40, "truth", "error", true, astray, "", "wrong slot in 1-03-1; nobody knew"),
        (50, "both", "counted", true, astray, "robot-1",
         "in 1-02-1 by camera, look 1: not seen, to be looked at again"),
        (50, "both", "held", true, astray, "", "1-02-1 on hold, no put-aways"),
        (60, "both", "counted", true, astray, "robot-1",
         "in 1-02-1 by rfid, look 2: not seen, confirmed"),
        (60, "records", "missed", true, "outside", "", "not where it is recorded, seen in a count"),
        (60, "records", "held", true, "outside", "", "recorded as quarantined"),
        (61, "both", "lost", true, "outside", "", "written off as a loss"),
        (61, "records", "lost", true, "outside", "", "recorded as lost"),
        (70, "both", "counted", true, "outside", "robot-1",
         "in 1-03-1 by camera, look 1: seen, recorded elsewhere, confirmed"),
        (70, "records", "recorded", true, true, "", "recorded where it is, seen in a count"),
        (70, "both", "error found", true, true, "", "wrong slot, found by a count"),
        (70, "records", "found", true, true, "", "recorded as surplus found"),
        (71, "both", "found", true, true, "", "posted as found"),
        (72, "records", "let go", true, true, "", "recorded as qualified in stock"),
    ]  # fmt: skip
    said = partial(where_is, run, Subject("box", 4))
    assert said(45 * S) == f"Box 4 is in {true}, recorded in {astray}: 15 meters of B, qualified in stock."
    assert said(65 * S) == f"Box 4 is in {true}, recorded as missing: 15 meters of B, lost."
    assert said() == f"Box 4 is in {true}, as recorded: 15 meters of B, qualified in stock."


def test_count_that_notices_nothing():
    """A count of the true slot that overlooks a box, and one of the recorded slot that does not miss it."""
    run = traced(
        *STORED[:-1],
        (40 * S, BOX_MOVED, 4, ROBOT, B, 0, 0, 0, 5, NONE),
        (40 * S, BOX_RECORDED, 4, A, 0, 0, WHY_ERROR),
        (50 * S, SLOT_COUNTED, 0, B, 2, 0, 1, 0, 0),
        (51 * S, SLOT_COUNTED, 0, A, 3, 0, 1, 1, 1),
        (52 * S, SLOT_COUNTED, 0, 0, 0, 0, 0, 0, 0),
    )
    counted = [event for event in history_of_box(run, 4) if event.word == "counted"]
    assert [(event.by, event.text) for event in counted] == [
        ("person-1", "in 1-03-1 by bar-code, look 1: not noticed"),
        ("person-1", "in 1-02-1 by handheld, look 1: not missed"),
    ]


def test_lost_message_leaves_the_record():
    """A move that the records never hear of is one of the truth; the record stays where it was."""
    run = traced(*STORED[:-1], (40 * S, BOX_MOVED, 4, ROBOT, A, 1, 0, 0, 5, NONE))
    last = history_of_box(run, 4)[-1]
    assert (last.side, last.place, last.recorded_place) == ("truth", "1-02-1", "robot-1")
    assert last.text == "set down, task 5 (recorded: robot-1)"
    assert where_is(run, Subject("box", 4)) == (
        "Box 4 is in 1-02-1 2.1, recorded on robot-1: 15 meters of B, qualified in stock."
    )


def test_box_that_leaves_and_comes_back():
    """Re-verification: the box leaves with its meters, comes back with them and has a new date."""
    run = traced(
        *STORED,
        (50 * S, BOX_EXPIRED, 4),
        (60 * S, BOX_MOVED, 4, A, AWAY, NONE, NONE, NONE, NONE, AWAY),
        (60 * S, BOX_LEFT, 4, REVERIFIED),
        (60 * S, BOX_STATE, 4, STATE_CODES["in_verification"]),
        (90 * S, BOX_CAME_BACK, 4, REVERIFIED, NONE),
        (90 * S, BOX_VERIFIED, 4, DAY + 20),
        (95 * S, BOX_RECEIVED, 4, NONE, 0),
        (95 * S, BOX_MOVED, 4, AWAY, B, 0, 0, NONE, NONE, B),
    )
    events = history_of_box(run, 4)[5:]
    assert words(events) == [
        "expired", "left", "sent out", "state", "returned", "re-verified", "received", "stored",
    ]  # fmt: skip
    assert [event.text for event in events[:1] + events[2:6]] == [
        "verified on 2026-02-20, too old to be issued", "to be verified again",
        "recorded as in verification", "from verification", "verified again on 2026-03-12",
    ]  # fmt: skip
    said = partial(where_is, run, Subject("box", 4))
    assert said(55 * S).endswith("15 meters of B, overdue pending reverify.")
    assert said(70 * S) == "Box 4 left the store on 2026-03-02 at 00:01:00, to be verified again."
    assert said() == "Box 4 is in 1-03-1 1.1, as recorded: 15 meters of B, qualified in stock."
    assert track(run, Subject("box", 4)).where["verified_on"] == "2026-03-12"


def test_full_box_goes_out_of_the_store():
    """A box that leaves with its meters is told as such, and not as an empty one; so is a scrapped one."""
    run = traced(
        *STORED,
        (50 * S, BOX_STATE, 4, STATE_CODES["scrapped"]),
        (50 * S, BOX_LEFT, 4, SCRAPPED),
        (50 * S, BOX_MOVED, 4, A, AWAY, NONE, NONE, NONE, NONE, AWAY),
    )
    assert told(history_of_box(run, 4))[5:] == [
        (50, "records", "scrapped", "1-02-1 2.1", "1-02-1 2.1", "", "recorded as scrapped"),
        (50, "both", "sent out", "1-02-1 2.1", "1-02-1 2.1", "", "to be scrapped"),
        (50, "both", "left", "outside", "outside", "", "out of the store"),
    ]
    assert where_is(run, Subject("box", 4)) == (
        "Box 4 left the store on 2026-03-02 at 00:00:50, to be scrapped."
    )
    assert where_is(run, Subject("lot", 7)) == "Lot 7 of B: 1 box came; none in the store, 1 gone."


def test_removed_meters_have_no_date():
    """Meters from customers are told as such: the day of the fact is that of their coming, not of a test."""
    run = traced(
        (0, LOT_CREATED, 7, 1, NONE, DAY),
        (0, BOX_CREATED, 4, 1, 7, DAY, 15, TRUCK, NONE),
        (0, BOX_STATE, 4, STATE_CODES["removed_pending_return"]),
        (5 * S, BOX_STATE, 4, STATE_CODES["returned_pending_sort"]),
    )
    assert [(e.word, e.text) for e in history_of_box(run, 4)] == [
        ("arrived", "15 meters of B, lot 7, removed from customers"),
        ("state", "recorded as returned pending sort"),
    ]
    assert where_is(run, Subject("box", 4), 1 * S) == (
        "Box 4 is on a truck, as recorded: 15 meters of B, removed pending return."
    )
    # The same state later on is a state like any other.
    later = traced(*ARRIVAL, (30 * S, BOX_STATE, 4, STATE_CODES["removed_pending_return"]))
    assert history_of_box(later, 4)[0].text == "on truck 3: 15 meters of B, lot 7, verified 2026-02-20"
    assert history_of_box(later, 4)[-1].text == "recorded as removed pending return"


def test_dig_names_the_box_it_makes_way_for():
    """A blocker is dug out for a task of another box, which is named."""
    run = traced(
        *STORED,
        (45 * S, TASK_CREATED, 8, ISSUE, 3, A, OUT, 2),
        (50 * S, BOX_DUG, 4, A, B, 0, 8),
        (50 * S, BOX_MOVED, 4, A, ROBOT, NONE, NONE, 0, 8, ROBOT),
    )
    events = history_of_box(run, 4)[5:]
    assert [(event.word, event.text) for event in events] == [
        ("dug", "out of the way of box 3, task 8"),
        ("taken", "taken from 1-02-1 2.1, task 8"),
    ]


def test_discrepancy_is_told_to_both_boxes():
    """Who meets another box than the recorded one tells something of both."""
    run = traced(
        *STORED,
        (0 + 40 * S, BOX_CREATED, 5, 0, 7, DAY, 15, B, NONE),
        (50 * S, DISCREPANCY, A, 4, 5, 9),
        (51 * S, DISCREPANCY, B, NONE, 4, 9),
    )
    assert [(e.word, e.text) for e in history_of_box(run, 4) if e.fact == "discrepancy"] == [
        ("missed", "box 5 met in 1-02-1, where it is recorded"),
        ("met", "met in 1-03-1, where nothing is recorded"),
    ]
    assert [(e.word, e.text) for e in history_of_box(run, 5) if e.fact == "discrepancy"] == [
        ("met", "met in 1-02-1, where box 4 is recorded"),
    ]


def test_task_called_off_is_told():
    """A task that is called off is told to its box, though the fact names the task alone."""
    run = traced(*ARRIVAL, (21 * S, TASK_CREATED, 5, PUT_AWAY, 4, PORT, A, NONE), (25 * S, TASK_CANCELLED, 5))
    assert [(e.word, e.text) for e in history_of_box(run, 4)][-2:] == [
        ("task", "put away 5 from in to 1-02-1"),
        ("called off", "task 5"),
    ]


# --- meters ------------------------------------------------------------------------------------------


def opened(*rows):
    """Box 4 in A, from which meters 0 and 1 are picked for order 9 and handed over; then more facts."""
    return traced(
        *STORED,
        (50 * S, BOX_RESERVED, 4, 9, 0, 2),
        (60 * S, BOX_MOVED, 4, A, STATION, NONE, NONE, NONE, NONE, STATION),
        (70 * S, METERS_PICKED, 4, 9, 0b11, 1),
        (80 * S, BOX_MOVED, 4, STATION, B, 0, 0, 0, 7, B),
        (90 * S, METERS_ISSUED, 4, 9, 0b11),
        *rows,
    )


def test_meter_leaves_its_box():
    """The history of a meter ends with what happened to it, not with what its box does afterwards."""
    run = opened()
    common = ["arrived", "received", "moved", "taken", "stored", "reserved", "moved"]
    assert words(history_of_meter(run, 4 * 15 + 1)) == [*common, "picked", "issued"]
    assert words(history_of_meter(run, 4 * 15 + 2)) == [*common, "stored"]
    one, two = Subject("meter", 61), Subject("meter", 62)
    name = asset_number(61)
    assert where_is(run, one, 65 * S) == (
        f"Meter {name} is in box 4, which is at the pick station, as recorded: B, qualified in stock,"
        " 2 reserved for order 9."
    )
    assert where_is(run, one, 75 * S) == (
        f"Meter {name} was picked for order 9 on 2026-03-02 at 00:01:10, and is not handed over yet."
    )
    assert where_is(run, one) == f"Meter {name} was handed over for order 9 on 2026-03-02 at 00:01:30."
    assert where_is(run, two) == (
        f"Meter {asset_number(62)} is in box 4, which is in 1-03-1 1.1, as recorded: B, qualified in stock."
    )
    assert track(run, one).where["in_box"] is False
    assert track(run, two).where["meters"] == 13


def test_meter_goes_unnoticed():
    """A removal that nobody wrote down ends the meter's truth; the record has it until the box is opened."""
    run = opened(
        (95 * S, ERROR_MADE, 3, UNRECORDED_REMOVAL, 4, 0b100, NONE),
        (97 * S, BOX_MOVED, 4, B, ROBOT, NONE, NONE, 0, 8, ROBOT),
        (99 * S, METERS_RECORDED, 4, FULL & ~0b111, WHY_OPENING),
        (99 * S, ERROR_FOUND, 3, BY_COUNT, 4),
    )
    gone, other = Subject("meter", 62), Subject("meter", 63)
    taken = f"Meter {asset_number(62)} was taken out of box 4 on 2026-03-02 at 00:01:35 and not written down"
    assert where_is(run, gone, 96 * S) == f"{taken}; the records have it in box 4."
    assert where_is(run, gone) == f"{taken}."
    assert where_is(run, Subject("box", 4), 96 * S) == (
        "Box 4 is in 1-03-1 1.1, as recorded: 12 meters of B (13 on record), qualified in stock."
    )
    assert [(e.word, e.side, e.text) for e in history_of_meter(run, 62)][-3:] == [
        ("error", "truth", "unrecorded removal, 1 meter; nobody knew"),
        ("recorded", "records", "12 meters on record, seen in the open box"),
        ("error found", "both", "unrecorded removal, found by a count"),
    ]
    assert [e.word for e in history_of_meter(run, 63)][-1:] == ["taken"]
    assert where_is(run, other).startswith(f"Meter {asset_number(63)} is in box 4, which is on robot-1")


def test_short_box_never_had_the_meter():
    """A box that comes short: its last meter was advised and never came."""
    run = traced(
        *ARRIVAL[:2],
        (0, ERROR_MADE, 1, SHORT_PACKED, 4, 1 << 14, NONE),
        *ARRIVAL[2:],
        (30 * S, METERS_RECORDED, 4, FULL >> 1, WHY_GATE),
    )
    name = asset_number(74)
    said = partial(where_is, run, Subject("meter", 74))
    assert said(25 * S) == f"Meter {name} never came: box 4 was packed short; the records have it in box 4."
    assert said() == f"Meter {name} never came: box 4 was packed short."
    assert words(history_of_meter(run, 74)) == ["arrived", "error", "recorded"]
    assert words(history_of_meter(run, 73)) == ["arrived", "received", "moved"]


def test_damage_is_told_to_its_meter():
    """Damage is one of the truth until the meter is taken out; other meters of the box hear nothing of it."""
    run = traced(
        *STORED,
        (50 * S, METERS_DAMAGED, 4, 0b1000),
        (50 * S, ERROR_MADE, 0, DAMAGE, 4, 0b1000, NONE),
        (60 * S, TAG_REPLACED, 4, 2),
        (70 * S, METERS_SCRAPPED, 4, 0b1000, 0),
        (70 * S, ERROR_FOUND, 0, BY_COUNT, 4),
    )
    damaged = history_of_meter(run, 63)[5:]
    assert [(e.word, e.side, e.text) for e in damaged] == [
        ("damaged", "truth", "1 meter; nobody has noticed"),
        ("scrapped", "both", "1 meter taken out"),
        ("error found", "both", "damage, found by a count"),
    ]
    assert [(e.word, e.text) for e in history_of_meter(run, 62)[5:]] == [
        ("tag replaced", f"the tag of {asset_number(62)} could not be read")
    ]
    assert words(history_of_meter(run, 61)[5:]) == []
    name = asset_number(63)
    assert where_is(run, Subject("meter", 63), 65 * S).endswith(": B, damaged unnoticed, qualified in stock.")
    assert where_is(run, Subject("meter", 63)) == (
        f"Meter {name} was taken out of box 4 on 2026-03-02 at 00:01:10, to be scrapped."
    )


def test_error_nobody_finds():
    """An error that leaves with its box was never found, which is one of the truth."""
    run = traced(
        *STORED,
        (50 * S, METERS_DAMAGED, 4, 1),
        (60 * S, METERS_ISSUED, 4, 9, FULL),
        (60 * S, ERROR_FOUND, 0, NEVER, 4),
    )
    last = history_of_box(run, 4)[-1]
    assert (last.word, last.side) == ("never found", "truth")


def test_returned_box_brings_its_meters():
    """An unused return: the meters that were issued with the box are in it again, and so is the history."""
    run = traced(
        *STORED,
        (50 * S, METERS_ISSUED, 4, 9, FULL),
        (60 * S, BOX_MOVED, 4, A, GONE, NONE, NONE, NONE, NONE, GONE),
        (70 * S, BOX_CAME_BACK, 4, UNUSED, 9),
        (80 * S, BOX_MOVED, 4, GONE, B, 1, 1, NONE, NONE, B),
    )
    assert words(history_of_meter(run, 60))[5:] == ["issued", "returned", "stored"]
    assert history_of_meter(run, 60)[6].text == "unused, order 9"
    assert where_is(run, Subject("meter", 60)).startswith(
        f"Meter {asset_number(60)} is in box 4, which is in 1-03-1 2.2, as recorded: B"
    )


def test_open_box_is_emptied():
    """A box from which the last meters are picked is empty and leaves."""
    run = opened(
        (91 * S, METERS_PICKED, 4, 10, FULL & ~0b11, 1),
        (91 * S, BOX_EMPTIED, 4),
        (91 * S, BOX_MOVED, 4, B, AWAY, NONE, NONE, NONE, NONE, AWAY),
    )
    assert [(e.word, e.text) for e in history_of_box(run, 4)][-3:] == [
        ("picked", "13 meters for order 10"),
        ("emptied", "no meter is left in it"),
        ("left", "the empty box goes"),
    ]
    assert where_is(run, Subject("box", 4)) == "Box 4 left the store on 2026-03-02 at 00:01:31, empty."


# --- slots, lots, robots, orders ---------------------------------------------------------------------


def test_slot_sees_what_comes_and_goes():
    """A slot is told what came and left, truly or on record, and what was counted and held there."""
    run = traced(
        *STORED[:-1],
        (35 * S, SLOT_ALLOCATED, 4, A, 1, 5),
        (40 * S, BOX_MOVED, 4, ROBOT, B, 0, 1, 0, 5, NONE),
        (40 * S, BOX_RECORDED, 4, A, 1, 0, WHY_ERROR),
        (40 * S, ERROR_MADE, 0, WRONG_SLOT, 4, 0, B),
        (50 * S, BOX_RESERVED, 4, 9, 0, 15),
        (60 * S, SLOT_COUNTED, 0, A, 0, 0, 0, 1, 0),
        (60 * S, SLOT_HELD, A, 1),
        (70 * S, BOX_RECORDED, 4, B, 0, 1, WHY_COUNT),
        (80 * S, SLOT_HELD, A, 0),
    )
    assert [(e.word, e.text) for e in history_of_slot(run, A)] == [
        ("allocated", "a place in 1-02-1 is kept for it, task 5"),
        ("stored", "set down, task 5 (recorded: 1-02-1 2.1)"),
        ("counted", "by camera, look 1: 1 on record, 0 seen"),
        ("held", "on hold, no put-aways"),
        ("recorded", "recorded where it is, seen in a count"),
        ("let go", "no longer on hold"),
    ]
    assert words(history_of_slot(run, B)) == ["stored", "error", "recorded"]
    said = partial(where_is, run)
    wrong = "Slot 1-02-1 holds no box: 1 on record here and elsewhere"
    assert said(Subject("slot", A), 50 * S) == f"{wrong}."
    assert said(Subject("slot", A), 60 * S) == f"{wrong}; it is on hold."
    assert said(Subject("slot", A)) == "Slot 1-02-1 holds no box, as recorded."
    assert said(Subject("slot", B), 50 * S) == "Slot 1-03-1 holds 1 box: 1 not on record here."
    assert said(Subject("slot", B)) == "Slot 1-03-1 holds 1 box, as recorded."
    assert said(Subject("slot", 0)) == "Slot 1-01-1 holds no box, as recorded."


def test_lot_follows_its_boxes():
    """A lot is told with all its boxes, and its recall once."""
    run = traced(
        *STORED,
        (41 * S, BOX_CREATED, 5, 1, 7, DAY, 15, TRUCK, 4),
        (41 * S, BOX_CREATED, 6, 0, 8, DAY, 15, TRUCK, 4),
        (50 * S, LOT_RECALLED, 7, 1),
        (60 * S, METERS_ISSUED, 4, 9, FULL),
    )
    events = history_of_lot(run, 7)
    assert words(events) == [
        "announced", "arrived", "received", "moved", "taken", "stored", "arrived", "recalled", "issued",
    ]  # fmt: skip
    assert [event.box for event in events] == [NONE, 4, 4, 4, 4, 4, 5, NONE, 4]
    assert events[0].text == "lot 7 of B, maker 2, verified from 2026-02-20 on"
    assert where_is(run, Subject("lot", 7), 50 * S) == (
        "Lot 7 of B: 2 boxes came; 1 in the store with 15 meters, 1 on a truck; all where they are recorded."
    )
    assert where_is(run, Subject("lot", 7)) == (
        "Lot 7 of B: 2 boxes came; none in the store, 1 on a truck, 1 gone."
    )
    assert "recalled" in words(history_of_box(run, 4))


def test_box_taken_off_a_robot():
    """What a person takes off a robot that is out of order is no longer on board."""
    run = traced(*STORED[:-1], (40 * S, BOX_MOVED, 4, ROBOT, HAND, NONE, NONE, 1, 5, HAND))
    assert track(run, Subject("robot", 0), 35 * S).where["boxes"] == ["4"]
    assert track(run, Subject("robot", 0)).where["boxes"] == []
    assert [(e.word, e.by, e.text) for e in history_of_robot(run, 0)] == [
        ("taken", "robot-1", "taken from in, task 5"),
        ("taken", "person-1", "taken from robot-1, task 5"),
    ]
    assert track(run, Subject("robot", 1)).where["boxes"] == ["4"]


def test_robot_and_hands():
    """A robot is told with its stretches and boxes; a person who carries boxes likewise."""
    run = traced(
        *STORED[:-1],
        (30 * S, ROBOT_STRETCH, 0, WORKING, PORT, A, 100, 35 * S, 40 * S, 5),
        (40 * S, BOX_MOVED, 4, ROBOT, A, 1, 0, 0, 5, A),
        (40 * S, ROBOT_STRETCH, 0, CHARGE, A, LAYOUT.chargers[0], 0, NONE, NONE, NONE),
        (50 * S, BOX_MOVED, 4, A, HAND, NONE, NONE, 1, 6, HAND),
    )
    assert [(e.word, e.text) for e in history_of_robot(run, 0)] == [
        ("taken", "taken from in, task 5"),
        ("work", "from in, until 00:00:40, task 5"),
        ("stored", "set down, task 5"),
        ("charge", "from 1-02-1"),
    ]
    said = partial(where_is, run)
    worked = "robot-1 has worked at 1-02-1 since 2026-03-02 00:00:30 with 1 box on board."
    assert said(Subject("robot", 0), 35 * S) == worked
    assert said(Subject("robot", 0)) == "robot-1 has charged at charger-1 since 2026-03-02 00:00:40."
    assert [(e.by, e.word) for e in history_of_robot(run, 1)] == [
        ("person-2", "received"),
        ("person-1", "taken"),
    ][1:]
    assert said(Subject("robot", 1)) == "person-1 has set down no box with 1 box on board."
    assert (
        said(Subject("box", 4)) == "Box 4 is with person-1, as recorded: 15 meters of B, qualified in stock."
    )


def test_order_from_release_to_hand_over():
    """An order is told with its lines, boxes, tasks and moves."""
    run = traced(
        *STORED,
        (50 * S, ORDER_RELEASED, 9, 2, 7_200_000, 1),
        (50 * S, ORDER_LINE, 9, 0, 1, 15),
        (50 * S, BOX_RESERVED, 4, 9, 0, 15),
        (50 * S, TASK_CREATED, 6, ISSUE, 4, A, OUT, 9),
        (55 * S, TASK_ASSIGNED, 6, 0, 0),
        (60 * S, BOX_MOVED, 4, A, ROBOT, NONE, NONE, 0, 6, ROBOT),
        (70 * S, BOX_MOVED, 4, ROBOT, OUT, NONE, NONE, 0, 6, OUT),
        (70 * S, TASK_DONE, 6, 0),
        (80 * S, METERS_ISSUED, 4, 9, FULL),
        (7_300 * S, ORDER_HANDED_OVER, 9, 15, 100_000),
    )
    events = history_of_order(run, 9)
    assert words(events) == [
        "released", "ordered", "reserved", "task", "assigned", "taken", "moved", "done", "issued", "handed over",
    ]  # fmt: skip
    assert [event.box for event in events] == [NONE, NONE, 4, 4, 4, 4, 4, 4, 4, NONE]
    assert (events[0].text, events[1].text) == ("for station 2, due 02:00:00", "line 1: 15 meters of B")
    assert events[-1].text == "15 meters, 1 min 40 s late"
    begun = "Order 9 for station 2, 15 meters, released on 2026-03-02 at 00:00:50"
    assert where_is(run, Subject("order", 9), 60 * S) == f"{begun}: 0 of them handed over; due 02:00:00."
    assert where_is(run, Subject("order", 9)) == (
        f"{begun}, was handed over on 2026-03-02 at 02:01:40, 1 min 40 s late."
    )
    assert where_is(run, Subject("order", 9), 40 * S) == "Order 9 has not been released yet."


def test_moves_of_an_order_say_when_records_stay():
    """Where the life of a box is not followed, a move that the records did not hear of says so."""
    run = traced(
        *STORED[:-1],
        (30 * S, ORDER_RELEASED, 9, 2, 7_200_000, 1),
        (30 * S, TASK_CREATED, 5, ISSUE, 4, PORT, OUT, 9),
        (40 * S, BOX_MOVED, 4, ROBOT, OUT, NONE, NONE, 0, 5, NONE),
    )
    last = history_of_order(run, 9)[-1]
    assert (last.side, last.text) == ("truth", "from robot-1, task 5 (records unchanged)")


def test_days_are_counted_without_a_start():
    """A run that does not say on which day it began counts days; a due time beyond all calendars is no error."""
    run = traced(*STORED, (50 * S, ORDER_RELEASED, 9, 2, 10**17, 1))
    assert (
        track(run, Subject("order", 9)).events[0].text
        == "for station 2, due 100000000000000 s after the start"
    )
    del run.names["start"]
    assert where_is(run, Subject("order", 9)).startswith(
        "Order 9 for station 2, 0 meters, released on day 0 at 00:00:50: 0 of them handed over"
    )
    assert as_json(Run.of(run), history_of_box(run, 4)[-1])["at"] == "day 0 00:00:40"


# --- every kind --------------------------------------------------------------------------------------


def test_every_error_and_fault_has_its_sentence():
    """What can go wrong is said in words, in the order of its numbers."""
    assert tuple(tracking.ERROR_SENTENCES) == ERRORS
    assert tuple(tracking.FAULT_SENTENCES) == FAULTS


@pytest.mark.parametrize("kind", BY_NUMBER, ids=lambda kind: kind.name)
@pytest.mark.parametrize("value", [NONE, 0, 1, 4])
def test_every_kind_is_told(kind, value):
    """Each kind of fact, with numbers that apply and with none, is told wherever it belongs, in words."""
    fields = dict.fromkeys(kind.fields, value)
    run = traced(*STORED, (50 * S, kind.number, *fields.values()))
    found = [
        event
        for subject in (
            Subject("box", 4), Subject("meter", 62), Subject("slot", 4), Subject("slot", A), Subject("lot", 7),
            Subject("robot", 0), Subject("robot", 1),
        )
        for event in track(run, subject).events
        if event.seq == len(STORED)
    ]  # fmt: skip
    if value == 4 and {"box", "slot"} & set(kind.fields) and kind.name != "box_created":
        assert found
    for event in found:
        assert event.fact == kind.name
        assert event.word
        assert event.text
        assert "{" not in event.text
        json.dumps(as_json(Run.of(run), event))


def test_no_kind_is_forgotten():
    """Every kind that a history can be about has words of its own; the others are named here."""
    no_history = {"truck_called_off", "truck_arrived", "truck_unloaded", "station_consumed"}
    assert set(KINDS) - set(tracking._TOLD) - set(tracking._SPECIAL) == no_history
    assert not set(tracking._TOLD) & set(tracking._SPECIAL)
    for name, (_, template) in tracking._TOLD.items():
        fields = set(KINDS[name].fields)
        for said in tracking.re.findall(r"\{(\w+)\}", template):
            assert said in fields or said in tracking._SAYING, f"{name}: {said}"


ROWS = st.lists(
    st.tuples(st.sampled_from(BY_NUMBER), st.lists(st.integers(-1, 18), min_size=9, max_size=9)), max_size=40
)


@given(ROWS)
@settings(max_examples=150)
def test_any_facts_are_told(rows):
    """Whatever facts follow each other, every history is told, its events in the order of recording."""
    facts = [(i * S, kind.number, *values[: len(kind.fields)]) for i, (kind, values) in enumerate(rows, 100)]
    run = traced(*STORED, (50 * S, ORDER_RELEASED, 0, 0, 0, 1), *facts)
    for subject in (
        Subject("box", 4), Subject("meter", 61), Subject("slot", A), Subject("lot", 7), Subject("robot", 0),
        Subject("order", 0),
    ):  # fmt: skip
        story = track(run, subject)
        assert story.sentence.endswith(".")
        assert [event.seq for event in story.events] == sorted(event.seq for event in story.events)
        json.dumps([story.where, *(as_json(Run.of(run), event) for event in story.events)])


# --- against the state at an instant -----------------------------------------------------------------

MASKS = st.integers(0, FULL)
CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just(BOX_MOVED), st.sampled_from([(A, 0, 0), (B, 1, 1), (ROBOT, NONE, NONE)]), st.booleans()
        ),
        st.tuples(st.just(BOX_RECORDED), st.sampled_from([(A, 0, 1), (B, 1, 0), (AWAY, NONE, NONE)])),
        st.tuples(st.just(METERS_PICKED), MASKS),
        st.tuples(st.just(METERS_ISSUED), MASKS),
        st.tuples(st.just(METERS_RECORDED), MASKS),
        st.tuples(st.just(METERS_SCRAPPED), MASKS),
        st.tuples(st.just(ERROR_MADE), MASKS),
        st.tuples(st.just(BOX_LEFT)),
        st.tuples(st.just(BOX_CAME_BACK)),
        st.tuples(st.just(BOX_STATE), st.integers(0, len(STATES) - 1)),
        st.tuples(st.just(BOX_EXPIRED)),
        st.tuples(st.just(BOX_RECEIVED)),
    ),
    max_size=14,
)


def change_row(t, change):
    kind, *given = change
    if kind == BOX_MOVED:
        (place, column, tier), is_told = given
        return (t, kind, 4, PORT, place, column, tier, 0, NONE, place if is_told else NONE)
    if kind == BOX_RECORDED:
        return (t, kind, 4, *given[0], WHY_COUNT)
    if kind in (METERS_PICKED, METERS_SCRAPPED):
        return (
            t,
            kind,
            4,
            *((9,) if kind == METERS_PICKED else ()),
            given[0],
            *((1,) if kind == METERS_PICKED else (0,)),
        )
    if kind == METERS_ISSUED:
        return (t, kind, 4, 9, given[0])
    if kind == METERS_RECORDED:
        return (t, kind, 4, given[0], WHY_OPENING)
    if kind == ERROR_MADE:
        return (t, kind, t, UNRECORDED_REMOVAL, 4, given[0], NONE)
    return (t, kind, 4, *{BOX_LEFT: (REVERIFIED,), BOX_CAME_BACK: (REVERIFIED, NONE), BOX_STATE: given,
                          BOX_EXPIRED: (), BOX_RECEIVED: (NONE, 0)}[kind])  # fmt: skip


@given(CHANGES)
@settings(max_examples=100)
def test_lives_agree_with_the_state(changes):
    """A box followed fact by fact is where, and holds what, the state of that instant says, on both sides."""
    rows = [change_row(100 * S + i, change) for i, change in enumerate(changes)]
    run = traced(*STORED, *rows)
    for t_ms in (50 * S, *(row[0] for row in rows)):
        state, where = state_at(run.trace, LAYOUT, t_ms), track(run, Subject("box", 4), t_ms).where
        assert where["place"] == LAYOUT.place_name(int(state.place[0]))
        assert (where["column"], where["tier"]) == (state.column[0], state.tier[0])
        assert where["recorded_place"] == LAYOUT.place_name(int(state.recorded_place[0]))
        assert (where["recorded_column"], where["recorded_tier"]) == (
            state.recorded_column[0], state.recorded_tier[0],
        )  # fmt: skip
        assert where["meters"] == int(state.mask[0]).bit_count()
        assert where["recorded_meters"] == int(state.recorded_mask[0]).bit_count()
        if where["recorded_meters"]:
            assert where["state"] == STATES[int(state.state[0])]


# --- real runs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """The tiny store after its two days."""
    return run(load("tiny"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Its result folder."""
    from sim.cli import main

    path = tmp_path_factory.mktemp("results") / "tiny"
    assert main(["run", "tiny", "--out", str(path), "--json"]) == 0
    return path


def subjects(result) -> list[Subject]:
    boxes = result.trace.table("box_created")["box"].tolist()
    lots = result.trace.table("lot_created")["lot"].tolist()
    orders = result.trace.table("order_released")["order"].tolist()
    return [
        *(Subject("box", box) for box in boxes), *(Subject("meter", 15 * box) for box in boxes),
        *(Subject("slot", slot) for slot in range(result.layout.slots)), *(Subject("lot", lot) for lot in lots),
        *(Subject("order", order) for order in orders), Subject("robot", 0),
    ]  # fmt: skip


def test_every_fact_of_a_box_is_told(tiny):
    """The history of a box has each of its facts once; those that say one thing together are one event."""
    rows = list(tiny.trace.rows())
    at = {kind.number: kind.fields.index("box") + 2 for kind in BY_NUMBER if "box" in kind.fields}
    for box in tiny.trace.table("box_created")["box"].tolist():
        own = [seq for seq, row in enumerate(rows) if row[1] in at and row[at[row[1]]] == box]
        events = history_of_box(tiny, box)
        told_seqs = [event.seq for event in events if event.box == box]
        # Only the move into the opening place is told with the box's creation.
        left_out = set(own) - set(told_seqs)
        assert len(left_out) <= 1
        assert all(
            rows[seq][1] == BOX_MOVED and rows[seq - 1][1] in (BOX_CREATED, BOX_STATE) for seq in left_out
        )
        assert all(events[i].time_ms <= events[i + 1].time_ms for i in range(len(events) - 1))


def test_real_lives_agree_with_the_state(tiny):
    """After some hours, a day, a day and a half and the end, each box is where the state says."""
    for hours in (9, 24, 36, 48):
        t_ms = hours * 3_600_000
        state = state_at(tiny.trace, tiny.layout, t_ms)
        for i, box in enumerate(state.box.tolist()):
            where = track(tiny, Subject("box", box), t_ms).where
            assert where["place"] == tiny.layout.place_name(int(state.place[i]))
            assert where["as_recorded"]
            assert (where["meters"], where["reserved"]) == (int(state.meters[i]), int(state.reserved[i]))


def test_meters_of_a_box_tell_what_became_of_them(tiny):
    """Of every box, as many meters are in it, picked or issued as the facts say."""
    issued = tiny.trace.table("meters_issued")
    state = state_at(tiny.trace, tiny.layout)
    for i, box in enumerate(state.box.tolist()[:12]):
        came = int(tiny.trace.table("box_created")["meters"][box])
        stories = [track(tiny, Subject("meter", 15 * box + k)) for k in range(came)]
        assert sum(story.where["in_box"] for story in stories) == int(state.meters[i])
        handed = sum(int(mask).bit_count() for mask in issued["mask"][issued["box"] == box])
        assert sum("handed over for order" in story.sentence for story in stories) == handed


def test_folder_tells_the_same(tiny, folder):
    """Read from the parts of a folder, from a result and from a run under way, histories are the same."""
    opened_run, result = open_run(folder), read_result(folder)
    live = Simulation(load("tiny"))
    live.advance(live.end_ms)
    for subject in subjects(tiny):
        expected = track(tiny, subject)
        assert track(opened_run, subject) == expected, subject
        assert track(result, subject) == expected
        assert track(live, subject) == expected


def test_last_events_only(tiny, folder):
    """`last` tells the end of a history and says how much came before."""
    opened_run = open_run(folder)
    for subject in subjects(tiny)[::3]:
        whole = track(tiny, subject)
        short = track(opened_run, subject, last=3)
        assert short.events == whole.events[-3:]
        assert short.earlier == max(0, len(whole.events) - 3)
        assert (short.sentence, short.where) == (whole.sentence, whole.where)


def test_an_instant_cuts_the_history(tiny):
    """At an instant, only what had happened by then is told."""
    for box in (0, 5, 40):
        whole = history_of_box(tiny, box)
        cut = whole[len(whole) // 2].time_ms
        assert track(tiny, Subject("box", box), cut).events == [e for e in whole if e.time_ms <= cut]
    late = tiny.trace.table("box_created")
    box = int(late["box"][late["time_ms"] > 0][0])
    assert where_is(tiny, Subject("box", box), 0) == f"Box {box} has not come yet."
    assert (
        where_is(tiny, Subject("meter", 15 * box), 0) == f"Meter {asset_number(15 * box)} has not come yet."
    )


# --- the side of the records -------------------------------------------------------------------------

RECORDS = "records"


def recorded(run, subject, at_ms=None):
    """What the records told of a subject: its events as words and places, and its sentence."""
    story = track(run, subject, at_ms, side="records")
    told_so = [
        (
            e.time_ms // 1000,
            e.word,
            f"{e.place} {e.column + 1}.{e.tier + 1}" if e.column != NONE else e.place,
            e.text,
        )
        for e in story.events
    ]
    assert [event.seq for event in story.events] == sorted(event.seq for event in story.events)
    return told_so, story.sentence


FOUND_ASTRAY = (
    *STORED[:-1],
    (40 * S, BOX_MOVED, 4, ROBOT, B, 0, 1, 0, 5, NONE),
    (40 * S, BOX_RECORDED, 4, A, 1, 0, WHY_ERROR),
    (40 * S, ERROR_MADE, 0, WRONG_SLOT, 4, 0, B),
    (50 * S, SLOT_COUNTED, 0, B, 0, 0, 0, 0, 0),
    (55 * S, SLOT_COUNTED, 0, A, 0, 0, 0, 1, 0),
    (55 * S, COUNT_DIFFERENCE, 0, A, 4, MISSING, NOTED),
    (60 * S, BOX_RECORDED, 4, AWAY, NONE, NONE, WHY_COUNT),
    (60 * S, BOX_STATE, 4, STATE_CODES["quarantined"]),
    (70 * S, SLOT_COUNTED, 1, B, 0, 0, 0, 0, 1),
    (70 * S, COUNT_DIFFERENCE, 1, B, 4, SURPLUS, CONFIRMED),
    (70 * S, BOX_RECORDED, 4, B, 0, 1, WHY_COUNT),
    (70 * S, ERROR_FOUND, 0, BY_COUNT, 4),
)


def test_wrong_slot_by_the_records():
    """By the records a box is in the slot that was named until it is missed, and where it is found after that."""
    run, box = traced(*FOUND_ASTRAY), Subject("box", 4)
    events, sentence = recorded(run, box)
    assert events[3:] == [
        (30, "taken", "robot-1", "taken from in, task 5"),
        (40, "stored", "1-02-1 2.1", "set down, task 5"),
        (55, "counted", "1-02-1 2.1", "in 1-02-1 by camera, look 1: not seen, to be looked at again"),
        (60, "missed", "outside", "not where it is recorded, seen in a count"),
        (60, "held", "outside", "recorded as quarantined"),
        (70, "counted", "outside", "in 1-03-1: seen, recorded elsewhere, confirmed"),
        (70, "recorded", "1-03-1 1.2", "recorded in 1-03-1 1.2, seen in a count"),
    ]
    assert sentence == "Box 4 is recorded in 1-03-1 1.2: 15 meters of B, quarantined."
    there = "1-02-1 2.1: 15 meters of B, qualified in stock."
    assert recorded(run, box, 45 * S) == (events[:5], f"Box 4 is recorded in {there}")
    assert recorded(run, box, 65 * S)[1] == "Box 4 is missing: 15 meters of B, quarantined."
    assert track(run, box, 45 * S, side="records").where == {
        "place": "1-02-1", "column": 1, "tier": 0, "box": "4", "meters": 15, "reserved": 0,
        "state": "qualified_in_stock", "sku": "B", "lot": "7", "verified_on": "2026-02-20",
    }  # fmt: skip
    # What was counted in a slot, and what that said of a box.
    in_slots = [[told[1] for told in recorded(run, Subject("slot", slot))[0]] for slot in (A, B)]
    assert in_slots == [
        ["stored", "counted", "counted", "missed"],
        ["counted", "counted", "counted", "recorded"],
    ]
    said = [recorded(run, Subject("slot", slot), 45 * S)[1] for slot in (A, B)]
    assert said == ["Slot 1-02-1 has 1 box on record.", "Slot 1-03-1 has no box on record."]
    lot = "Lot 7 of B: 1 box came; "
    assert recorded(run, Subject("lot", 7), 45 * S)[1] == f"{lot}1 in the store with 15 meters."
    assert recorded(run, Subject("lot", 7), 65 * S)[1] == f"{lot}none in the store, 1 missing."
    assert track(run, Subject("lot", 7), 65 * S, side="records").where["missing"] == 1
    # What is told is numbered without the rest: a gap would tell that there is something to know. The counts
    # are 6 (of another slot, as far as anybody knows) and 7, the difference 8 is told with it; 11 is as 6.
    assert [event.seq for event in track(run, box, side="records").events] == [
        1,
        2,
        3,
        4,
        5,
        7,
        9,
        10,
        12,
        13,
    ]


def test_lost_message_by_the_records():
    """A box of which no message came is on the robot by the records, and its task not done, until one comes."""
    lost = (
        *STORED[:-1],
        (40 * S, BOX_MOVED, 4, ROBOT, A, 1, 0, 0, 5, NONE),
        (40 * S, ERROR_MADE, 0, LOST_MESSAGE, 4, 0, A),
        (40 * S, TASK_DONE, 5, 0),
    )
    box, robot = Subject("box", 4), Subject("robot", 0)
    assert recorded(traced(*lost), box) == recorded(traced(*STORED[:-1]), box)
    assert recorded(traced(*lost), robot) == recorded(traced(*STORED[:-1]), robot)
    assert track(traced(*lost), robot, side="records").where["boxes"] == ["4"]
    run = traced(*lost, (90 * S, BOX_RECORDED, 4, A, 1, 0, WHY_RESENT), (90 * S, ERROR_FOUND, 0, RESENT, 4))
    assert recorded(run, box)[0][-1] == (
        90, "recorded", "1-02-1 2.1", "recorded in 1-02-1 2.1, the message was sent again",
    )  # fmt: skip
    assert recorded(run, robot)[0][-1] == (90, "done", "", "task 5")
    assert track(run, robot, side="records").where["boxes"] == []
    assert [e.text for e in history_of_box(run, 4)][-2:] == [
        "recorded where it is, the message was sent again",
        "lost message, found when the message was sent again",
    ]


def test_meters_by_the_records():
    """Who asks after a meter that is gone unnoticed hears that it is in its box, until somebody has looked."""
    run = opened(
        (95 * S, ERROR_MADE, 3, UNRECORDED_REMOVAL, 4, 0b100, NONE),
        (96 * S, METERS_DAMAGED, 4, 0b1000),
        (96 * S, ERROR_MADE, 4, DAMAGE, 4, 0b1000, NONE),
        (99 * S, METERS_RECORDED, 4, FULL & ~0b111, WHY_OPENING),
        (99 * S, ERROR_FOUND, 3, BY_COUNT, 4),
    )
    gone, damaged = Subject("meter", 62), Subject("meter", 63)
    here = "is in box 4, which is recorded in 1-03-1 1.1: B, qualified in stock."
    for meter in (gone, damaged):
        assert recorded(run, meter, 97 * S)[1] == f"Meter {asset_number(meter.number)} {here}"
        assert [told[1] for told in recorded(run, meter, 97 * S)[0]] == [
            "arrived", "received", "moved", "taken", "stored", "reserved", "moved", "stored",
        ]  # fmt: skip
        assert track(run, meter, side="records").where.keys() == {
            "place", "column", "tier", "box", "meters", "reserved", "state", "sku", "lot", "verified_on", "in_box",
        }  # fmt: skip
    name = asset_number(62)
    assert recorded(run, gone) == (
        [
            *recorded(run, gone, 97 * S)[0],
            (99, "recorded", "1-03-1 1.1", "12 meters on record, seen in the open box"),
        ],
        f"Meter {name} is not in box 4 any more, as found on 2026-03-02 at 00:01:39.",
    )
    assert recorded(run, damaged)[1] == f"Meter {asset_number(63)} {here}"
    picked = recorded(run, Subject("meter", 60))[1]
    assert picked == where_is(run, Subject("meter", 60))


def test_short_box_is_told_as_it_was_recorded():
    """A box that goes out with a meter less, unnoticed, is told as one with all that were recorded."""
    issue = ((50 * S, BOX_RESERVED, 4, 9, 0, 15), (60 * S, METERS_ISSUED, 4, 9, FULL))
    right = traced(*STORED, *issue)
    short = traced(
        *STORED,
        (45 * S, ERROR_MADE, 0, SHORT_PACKED, 4, 1 << 14, NONE),
        issue[0],
        (60 * S, METERS_ISSUED, 4, 9, FULL >> 1),
        (60 * S, METERS_RECORDED, 4, 0, WHY_CHECK),
        (60 * S, ERROR_FOUND, 0, NEVER, 4),
    )
    for subject in (Subject("box", 4), Subject("meter", 60), Subject("meter", 74), Subject("lot", 7)):
        assert track(short, subject, side="records") == track(right, subject, side="records")
    assert where_is(short, Subject("meter", 74)).endswith("never came: box 4 was packed short.")


def test_sides_tell_the_same_without_errors(tiny, folder):
    """Where nothing goes wrong both sides tell the same events, from a trace as from the files of a folder."""
    opened_run = open_run(folder)
    for subject in subjects(tiny)[::4]:
        both, records = track(tiny, subject), track(tiny, subject, side="records")
        assert records.events == both.events
        assert {name: both.where[name] for name in records.where if name != "missing"} == {
            name: value for name, value in records.where.items() if name != "missing"
        }
        assert track(opened_run, subject, side="records") == records
        assert track(opened_run.on_record(), subject) == records


SILENT = re.compile(
    r"recorded: |mistake|truly|nobody|noticed|damaged|unnoticed|astray|error|not missed|truth"
)


@pytest.fixture(scope="module")
def erring():
    """The reference store with 300 times the default errors, counted every day."""
    rates = ["records.wrong_slot=0.0005", "records.lost_message=0.0003", "records.damage=0.001"]
    sets = ["time.days=4", "records.check_finds=0.5", "counting.plan=cyclic", "counting.slots_per_day=60"]
    return run(load("luoyang_records", ["records.scale=300", *rates, *sets]))


def hit_by_errors(result) -> list[Subject]:
    """Everything that errors have hit, and some that they have not."""
    made = result.trace.table("error_made")
    boxes = sorted({*made["box"].tolist(), 3, 1600})
    lots = sorted({int(result.trace.table("box_created")["lot"][box]) for box in boxes})
    slots = sorted({*made["slot"][made["slot"] != NONE].tolist(), 5})
    meters = {15 * box + k for box, mask in zip(made["box"].tolist(), made["mask"].tolist(), strict=True)
              for k in range(15) if mask >> k & 1}  # fmt: skip
    return [
        *(Subject("box", box) for box in boxes), *(Subject("meter", meter) for meter in sorted(meters)),
        *(Subject("slot", slot) for slot in slots), *(Subject("lot", lot) for lot in lots),
        *(Subject("order", order) for order in range(12)), Subject("robot", 0),
    ]  # fmt: skip


def test_records_say_nothing_of_errors(erring):
    """However much goes wrong, the records' side of a history says where the ledger had a box, and no more."""
    known = Run.of(erring).on_record()
    assert erring.trace.table("error_made")["seq"].size > 20
    for at_ms in (30 * 3_600_000, erring.end_ms):
        state = state_at(erring.trace, erring.layout, at_ms)
        row_of = {box: i for i, box in enumerate(state.box.tolist())}
        for subject in hit_by_errors(erring):
            story = track(known, subject, at_ms)
            text = json.dumps(
                [story.sentence, story.where, *(as_json(known, event) for event in story.events)]
            )
            assert not SILENT.search(text), text
            assert all(
                event.place == event.recorded_place or not event.recorded_place for event in story.events
            )
            if subject.kind == "box" and story.where:
                i = row_of[subject.number]
                assert story.where["place"] == erring.layout.place_name(int(state.recorded_place[i]))
                assert story.where["meters"] == int(state.recorded_mask[i]).bit_count()
                assert story.where["column"] == state.recorded_column[i]
            if subject.kind == "slot":
                held = int((state.recorded_place == subject.number).sum())
                assert story.where["boxes"] == held


def test_records_do_not_depend_on_the_truth(erring):
    """Two traces that differ in what truly happened alone tell the same on the side of the records."""
    rng = np.random.default_rng(5)
    other = Trace(15)
    changed = 0
    for row in erring.trace.rows():
        time_ms, kind, *values = row
        if kind == BOX_MOVED and values[7] == NONE:
            values[2:5] = rng.integers(0, [erring.layout.slots, 2, 5]).tolist()
            changed += 1
        if kind == ERROR_MADE and values[1] in (ERRORS.index("wrong_slot"), ERRORS.index("damage")):
            values[3:] = int(rng.integers(2)), int(rng.integers(erring.layout.slots))
            changed += 1
        if kind == METERS_DAMAGED and rng.random() < 0.5:
            continue
        other.record((time_ms, kind, *values))
        if kind == BOX_RECEIVED and rng.random() < 0.2:
            other.record((time_ms, METERS_DAMAGED, values[0], 1 << int(rng.integers(15))))
    assert changed > 5
    twin = SimpleNamespace(trace=other, layout=erring.layout, names=erring.names, end_ms=erring.end_ms)
    one, two = Run.of(erring).on_record(), Run.of(twin).on_record()
    differs = False
    for subject in hit_by_errors(erring):
        assert track(one, subject) == track(two, subject), subject
        differs = differs or track(erring, subject) != track(twin, subject)
    assert differs


@given(CHANGES, CHANGES)
@settings(max_examples=100)
def test_what_the_records_do_not_hear_of(changes, unheard):
    """Whatever happens to a box unheard of, in between other things, its recorded history stays the same."""
    rows = [
        change_row(100 * S + 10 * i, change) for i, change in enumerate(changes) if change[0] != ERROR_MADE
    ]
    rows = [row for row in rows if row[1] != BOX_MOVED or row[-1] != NONE]
    hidden = [
        row if row[1] == BOX_MOVED else (row[0], METERS_DAMAGED, 4, 0b101)
        for row in (change_row(105 * S + 10 * i, change) for i, change in enumerate(unheard))
        if row[1] in (METERS_SCRAPPED, METERS_RECORDED) or (row[1] == BOX_MOVED and row[-1] == NONE)
    ]
    plain = traced(*STORED, *rows)
    more = traced(*STORED, *sorted([*rows, *hidden], key=lambda row: row[0]))
    for subject in (
        Subject("box", 4),
        Subject("meter", 62),
        Subject("slot", A),
        Subject("lot", 7),
        Subject("robot", 0),
    ):
        assert track(plain, subject, 10**6, side="records") == track(more, subject, 10**6, side="records")


@given(ROWS)
@settings(max_examples=100)
def test_any_facts_are_told_by_the_records(rows):
    """Whatever facts follow each other, what the records have of them is told."""
    facts = [(i * S, kind.number, *values[: len(kind.fields)]) for i, (kind, values) in enumerate(rows, 100)]
    run = traced(*STORED, (50 * S, ORDER_RELEASED, 0, 0, 0, 1), *facts)
    for subject in (
        Subject("box", 4), Subject("meter", 61), Subject("slot", A), Subject("lot", 7), Subject("robot", 0),
        Subject("order", 0),
    ):  # fmt: skip
        story = track(run, subject, side="records")
        assert story.sentence.endswith(".")
        assert not {event.fact for event in story.events} & {"error_made", "error_found", "meters_damaged"}
        json.dumps([story.where, *(as_json(Run.of(run), event) for event in story.events)])


# --- pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("side", ["both", "records"])
def test_pages_make_up_a_history(erring, folder, newest, side):
    """Page after page, from either end, a history is told whole; events of one fact stand on one page."""
    for told_run in (erring, open_run(folder)):
        for subject in (
            Subject("box", 3), Subject("slot", 5), Subject("lot", 0), Subject("order", 2), Subject("robot", 0),
        ):  # fmt: skip
            events, after = [], None
            while True:
                page, after = page_of(told_run, subject, Page(7, after, newest), side=side)
                assert len(page) == 7 or after is None or page[-1].seq == page[-2].seq
                events += page
                if after is None:
                    break
                assert after == page[-1].seq
            whole = track(told_run, subject, side=side).events
            assert sorted(events, key=lambda e: (e.seq, e.box)) == sorted(whole, key=lambda e: (e.seq, e.box))
            assert [e.seq for e in events] == sorted((e.seq for e in whole), reverse=newest)


def test_page_at_an_instant(tiny):
    """A page of a past instant has what had happened by then."""
    at_ms = 30 * 3_600_000
    page, after = page_of(tiny, Subject("robot", 0), Page(10_000), at_ms)
    assert after is None
    assert page == track(tiny, Subject("robot", 0), at_ms).events


# --- which asset is meant ----------------------------------------------------------------------------

LISTED = {
    "boxes": {"4": "ZX-001", "5": "6"},
    "lots": {"7": "L-2026-01"},
    "assets": {"4": [f"33300010000000001{k:04d}" + "5" for k in range(15)]},
}


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        (asset_number(4 * 15 + 2), "meter", 62),
        (f"meter:{asset_number(62)}", "meter", 62),
        ("box:4", "box", 4),
        (" Box: 4 ", "box", 4),
        ("slot:1-02-1", "slot", A),
        ("1-02-1", "slot", A),
        ("lot:7", "lot", 7),
        ("robot:0", "robot", 0),
        ("robot:robot-1", "robot", 0),
        ("robot:person-1", "robot", 1),
        ("order:9", "order", 9),
    ],
)
def test_subjects_are_found(text, kind, number):
    """An asset number, a kind with a number, a slot by its name."""
    run = traced(*STORED, (50 * S, ORDER_RELEASED, 9, 2, 0, 1))
    assert subject_of(run, text) == Subject(kind, number)


def test_names_of_a_stock_list_are_found():
    """What came from a stock list goes by its own names, which win over numbers, and is shown by them."""
    run = traced(*STORED, (41 * S, BOX_CREATED, 5, 0, 7, DAY, 3, B, NONE), (41 * S, BOX_CREATED, 6, 0, 7, DAY, 3, B, NONE),
                 names=LISTED)  # fmt: skip
    third = LISTED["assets"]["4"][2]
    assert subject_of(run, third) == Subject("meter", 62)
    assert subject_of(run, "ZX-001") == subject_of(run, "box:ZX-001") == Subject("box", 4)
    assert subject_of(run, "lot:L-2026-01") == Subject("lot", 7)
    # Box 5 is called 6; box 6, which came by truck, is 6-new, as an exported list calls it.
    assert subject_of(run, "box:6") == Subject("box", 5)
    assert subject_of(run, "box:6-new") == Subject("box", 6)
    assert track(run, Subject("box", 6)).name == "6-new"
    assert track(run, Subject("meter", 62)).name == third
    assert where_is(run, Subject("meter", 62)).startswith(
        f"Meter {third} is in box ZX-001, which is in 1-02-1"
    )
    assert "lot L-2026-01" in history_of_box(run, 4)[0].text


NO = "asset: expected"
DIGIT = check_digit(asset_number(62)[:-1])
WRONG_DIGIT = str((int(DIGIT) + 1) % 10)
WRONG = asset_number(62)[:-1] + WRONG_DIGIT
FOREIGN = "1234501" + "0" * 14 + check_digit("1234501" + "0" * 14)
LAST = f"the last is {asset_number(77)}"
FORMS = "meter:..., box:..., slot:..., lot:..., robot:..., order:..."
ANY_FORM = "an asset number of 22 digits, a name of the stock list, or box:, slot:, lot:, robot:, order:"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (WRONG, f"{NO} check digit {DIGIT}, found {WRONG_DIGIT} in '{WRONG}', did you mean '{asset_number(62)}'?"),
        (asset_number(62)[:-1], f"{NO} an asset number of 22 digits, found 21 in '{asset_number(62)[:-1]}'"),
        (asset_number(999), f"{NO} a meter of this run, found '{asset_number(999)}', the last is {asset_number(89)}"),
        (asset_number(79), f"{NO} a meter of this run, found '{asset_number(79)}': box 5 came with 3, {LAST}"),
        (FOREIGN, f"{NO} unit code 99300 (of this model), found 12345 in '{FOREIGN}'"),
        ("slot:1-2-1", "slot: expected a slot of this store, found '1-2-1', did you mean '1-02-1'?"),
        ("1-9-1", "slot: expected a slot of this store, found '1-9-1', did you mean '1-03-1'?"),
        ("slot:", "slot: expected a slot of this store, found ''"),
        ("box:99", "box: expected a box from 0 to 5, found '99'"),
        ("box:-1", "box: expected a box from 0 to 5, found '-1'"),
        ("box:x", "box: expected a box from 0 to 5, found 'x'"),
        ("lot:8", "lot: expected a lot from 0 to 7, found '8'"),
        ("robot:7", "robot: expected a robot from 0 to 0, found '7'"),
        ("robot:robot-2", "robot: expected a robot from 0 to 0, found 'robot-2', did you mean 'robot-1'?"),
        ("order:1", "order: expected an order, of which this run has none, found '1'"),
        ("slt:1-02-1", f"{NO} {FORMS}, found 'slt:1-02-1', did you mean 'slot'?"),
        ("", f"{NO} {ANY_FORM}, found ''"),
        ("\x1b[31m", f"{NO} {ANY_FORM}, found '\\x1b[31m'"),
    ],
)  # fmt: skip
def test_unknown_subjects_are_refused(text, line):
    """What the run does not have is refused in one line, with what is nearest to it."""
    run = traced(*STORED, (41 * S, BOX_CREATED, 5, 0, 7, DAY, 3, B, NONE))
    with pytest.raises(TrackError) as caught:
        subject_of(run, text)
    assert caught.value.lines == [line]


def test_near_asset_of_a_stock_list():
    """A wrong digit in a number of a stock list names the number that is there."""
    run = traced(*STORED, names=LISTED)
    right = LISTED["assets"]["4"][3]
    wrong = f"{right[:5]}9{right[6:]}"
    with pytest.raises(TrackError, match=rf"found .* in '{wrong}', did you mean '{right}'\?$"):
        subject_of(run, wrong)


@pytest.mark.parametrize("kind", KINDS_OF_SUBJECT)
def test_numbers_the_run_lacks(kind):
    """Asked by number in Python, what the run lacks is refused or empty, and never an error of ours."""
    run = traced(*STORED)
    if kind in ("meter", "box", "order"):
        with pytest.raises(TrackError, match=f"^{kind}: expected one of this run, found "):
            track(run, Subject(kind, 12345))
    else:
        assert track(run, Subject(kind, 0 if kind == "robot" else 3)).sentence


# --- folders -----------------------------------------------------------------------------------------


def written(folder: Path, copy: Path) -> Path:
    """A copy of a result folder that a test may spoil."""
    shutil.copytree(folder, copy)
    return copy


def test_folder_without_manifest_is_refused(folder, tmp_path):
    """Facts without a manifest are those of an interrupted run."""
    spoilt = written(folder, tmp_path / "r")
    (spoilt / "facts" / "manifest.json").unlink()
    with pytest.raises(
        FactsError, match=r"facts: expected manifest.json, found none: the run was interrupted$"
    ):
        open_run(spoilt)


def test_folder_without_a_part_is_refused(folder, tmp_path):
    """A part that the manifest names and that is gone is named."""
    spoilt = written(folder, tmp_path / "r")
    (spoilt / "facts" / "part-00000.parquet").unlink()
    with pytest.raises(FactsError, match=r"part-00000.parquet: expected rows 0 to \d+, found no file$"):
        open_run(spoilt)


@pytest.mark.parametrize("keep", [0, 3, 0.2, 0.9])
def test_torn_part_is_refused(folder, tmp_path, keep):
    """A part that was cut off anywhere is no part."""
    spoilt = written(folder, tmp_path / "r")
    part = spoilt / "facts" / "part-00000.parquet"
    data = part.read_bytes()
    part.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(FactsError, match=r"expected whole parts, found a torn or altered file"):
        open_run(spoilt)


def test_part_of_another_run_is_refused(folder, tmp_path):
    """A part with other rows than the manifest's is told apart by its numbers."""
    spoilt = written(folder, tmp_path / "r")
    short = Trace(15)
    short.record((0, BOX_EXPIRED, 0))
    write_facts(short, tmp_path / "other")
    (tmp_path / "other" / "part-00000.parquet").replace(spoilt / "facts" / "part-00000.parquet")
    with pytest.raises(FactsError, match=r"expected rows 0 to \d+, found 1 rows, 0 to 0: it was altered$"):
        open_run(spoilt)


def test_other_digest_is_refused(folder, tmp_path):
    """A result whose facts are those of another one is refused."""
    spoilt = written(folder, tmp_path / "r")
    document = json.loads((spoilt / "result.json").read_text())
    (spoilt / "result.json").write_text(json.dumps({**document, "digest": "0" * 64}))
    with pytest.raises(FactsError, match=r"expected facts with digest [0-9a-f]{64}, found 0{64}$|digest"):
        open_run(spoilt)


def test_altered_fact_needs_verify(folder, tmp_path):
    """A number changed inside a part is found by the digest: with `verify`, as `read_result` does."""
    import duckdb

    spoilt = written(folder, tmp_path / "r")
    part = spoilt / "facts" / "part-00000.parquet"
    other = tmp_path / "altered.parquet"
    with duckdb.connect() as connection:
        rows = (
            f"SELECT * REPLACE (CASE WHEN seq = 7 THEN time_ms + 1 ELSE time_ms END AS time_ms) FROM '{part}'"
        )
        connection.execute(f"COPY ({rows} ORDER BY seq) TO '{other}' (FORMAT parquet)")
    other.replace(part)
    assert open_run(spoilt)
    with pytest.raises(FactsError, match=r"facts: expected digest [0-9a-f]{64}, found [0-9a-f]{64}$"):
        open_run(spoilt, verify=True)


def test_folder_of_fewer_kinds_is_read(tiny, folder, tmp_path):
    """Facts that were written when fewer kinds were known tell the same."""
    import duckdb

    old = written(folder, tmp_path / "r") / "facts"
    manifest = json.loads((old / "manifest.json").read_text())
    used = {BY_NUMBER[row[1]].name for row in tiny.trace.rows()}
    manifest["kinds"] = {name: fields for name, fields in manifest["kinds"].items() if name in used}
    assert len(manifest["kinds"]) < len(KINDS)
    fields = sorted({field for fields in manifest["kinds"].values() for field in fields})
    with duckdb.connect() as connection:
        columns = ", ".join(f'"{field}"' for field in fields)
        rows = f"SELECT seq, time_ms, kind, {columns} FROM '{old}/part-00000.parquet' ORDER BY seq"
        connection.execute(f"COPY ({rows}) TO '{tmp_path}/part.parquet' (FORMAT parquet)")
    (tmp_path / "part.parquet").replace(old / "part-00000.parquet")
    (old / "manifest.json").write_text(json.dumps(manifest))
    opened_run = open_run(tmp_path / "r")
    for subject in subjects(tiny)[::5]:
        assert track(opened_run, subject) == track(tiny, subject)


def test_no_folder_at_all(tmp_path):
    """Nothing, a file, an empty folder, a folder that is being written: each is said in words."""
    shown = str(tmp_path / "r")
    with pytest.raises(TrackError, match=r"r: expected a result folder, found none$"):
        open_run(tmp_path / "r")
    (tmp_path / ".r.unfinished" / "facts").mkdir(parents=True)
    with pytest.raises(TrackError) as caught:
        open_run(tmp_path / "r")
    there = "found none: writing it was interrupted before a part of the facts was finished"
    assert caught.value.lines == [f"{shown}: expected a result folder, {there}"]
    with pytest.raises(TrackError, match=r"\.r\.unfinished: expected parts of facts, found none finished$"):
        open_run(tmp_path / "r", partial=True)
    (tmp_path / "f").write_text("x")
    with pytest.raises(TrackError, match=r"f: expected a result folder, found a file$"):
        open_run(tmp_path / "f")
    (tmp_path / "e" / "facts").mkdir(parents=True)
    with pytest.raises(TrackError, match=r"found no result.json in it: writing it was interrupted before"):
        open_run(tmp_path / "e")
    with pytest.raises(TrackError, match=r"x: expected a result folder, found none$"):
        open_run(tmp_path / "x", partial=True)
    (tmp_path / "e" / "result.json").write_text("[]")
    with pytest.raises(
        TrackError, match=r"result.json: expected the result of one run, found something else$"
    ):
        open_run(tmp_path / "e")


def test_parts_tell_what_they_hold(tmp_path, monkeypatch):
    """Of a run that was cut off the finished parts tell the same as the whole run told then."""
    from sim import trace as trace_module
    from sim.results import begin_result

    monkeypatch.setattr(trace_module, "PART_ROWS", 100)
    simulation = Simulation(load("tiny"))
    writer = begin_result(simulation.trace, simulation.names(), tmp_path / "r")
    simulation.advance(simulation.end_ms // 2)
    writer.write_ready()
    left = tmp_path / ".r.unfinished"
    rows = json.loads((left / "facts" / "so-far.json").read_text())["rows"]
    assert 100 <= rows < len(simulation.trace)
    assert rows % 100 == 0
    said = rf"found none: writing it was interrupted, --partial tells what the facts in {left} say$"
    with pytest.raises(TrackError, match=said):
        open_run(tmp_path / "r")
    with pytest.raises(TrackError, match="in it: writing it was interrupted, --partial tells"):
        open_run(left)
    with pytest.raises(TrackError, match="expected a whole run with --verify, found parts"):
        open_run(left, partial=True, verify=True)
    # The same rows in memory, and nothing after them.
    cut = Trace(simulation.trace.meters_per_box)
    for number, row in enumerate(simulation.trace.rows()):
        if number < rows:
            cut.record(row)
    known = SimpleNamespace(trace=cut, layout=simulation.layout, names=simulation.names(), end_ms=cut.last_ms)
    for folder in (tmp_path / "r", left):
        run = open_run(folder, partial=True)
        assert not run.is_whole
        assert run.end_ms == cut.last_ms
        for text in ("box:0", "box:5", "lot:0", "robot:0", "slot:1-01-1"):
            assert track(run, subject_of(run, text)) == track(known, subject_of(known, text))
    # When all facts are there and only what is made of them is not, they are all told.
    simulation.finish()
    writer.finish()
    run = open_run(left, partial=True, verify=True)
    assert run.is_whole
    assert track(run, Subject("robot", 0)) == track(simulation, Subject("robot", 0), simulation.trace.last_ms)


def test_killed_while_writing(tmp_path):
    """Killed at any time while a result is written, a folder is whole and verified, or refused in words."""
    out = tmp_path / "r"
    command = [sys.executable, "-m", "sim.cli", "run", "tiny", "--out", str(out), "--json"]
    root = Path(__file__).resolve().parents[1]
    unfinished = tmp_path / ".r.unfinished"
    refused = 0
    for turn in range(6):
        shutil.rmtree(unfinished, ignore_errors=True)
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
        while process.poll() is None and not unfinished.exists():
            time.sleep(0.002)
        time.sleep(0.03 * turn)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (out, unfinished):
            try:
                open_run(path, verify=True)
            except (TrackError, FactsError) as error:
                refused += "expected" in str(error)
            else:
                document = json.loads((path / "result.json").read_text())
                assert read_result(path).trace.digest() == document["digest"]
    # Killed as soon as it begins to write, it has written nothing that could be taken for a result.
    assert refused


# --- speed -------------------------------------------------------------------------------------------


def test_one_asset_is_read_faster_than_all(tmp_path):
    """Tracing one meter among 300,000 facts takes a fraction of reading them all, and tells the same."""
    trace = Trace(15)
    layout = Simulation(load("tiny")).layout
    trace.names = {"start": START.isoformat(), "places": list(layout.names), "skus": ["A"]}
    rng = np.random.default_rng(1)
    boxes, facts = 2_475, 300_000
    for box in range(boxes):
        trace.record((0, BOX_CREATED, box, 0, box // 50, DAY, 15, layout.truck, 0))
    moved, to = rng.integers(0, boxes, facts).tolist(), rng.integers(0, layout.slots, facts).tolist()
    for i in range(facts):
        trace.record((i, BOX_MOVED, moved[i], to[i - 1], to[i], 0, 0, 0, i, to[i]))
    folder = tmp_path / "r"
    write_facts(trace, folder / "facts")
    document = {"digest": trace.digest(), "simulated_s": facts / 1000}
    (folder / "result.json").write_text(json.dumps(document))
    meter = Subject("meter", 1234 * 15 + 7)

    def quick():
        began = time.perf_counter()
        story = track(open_run(folder), meter)
        return time.perf_counter() - began, story

    def whole():
        began = time.perf_counter()
        read = read_facts(folder / "facts")
        return time.perf_counter() - began, read

    quick_s, story = min((quick() for _ in range(3)), key=lambda timed: timed[0])
    whole_s, read = min((whole() for _ in range(2)), key=lambda timed: timed[0])
    told_again = SimpleNamespace(trace=read, layout=layout, names=trace.names, end_ms=facts)
    assert track(told_again, meter) == story
    assert len(story.events) == 1 + moved.count(1234)
    assert quick_s < whole_s / 2
