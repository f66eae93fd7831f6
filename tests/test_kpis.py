"""KPIs from small hand-written traces: every expected number is worked out beside its assertion."""

import json
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import facts as f
from sim.assets import STATE_CODES
from sim.calendar import CalendarParams, WorkCalendar
from sim.kpis import (
    KPIS,
    SERIES,
    RunFacts,
    _sum_before_and_below,
    buffers,
    compute,
    limits,
    slot_fill,
    slot_visits,
)
from sim.layout import Layout, LayoutParams
from sim.mishaps import RecordParams
from sim.orders import DemandParams
from sim.people import PeopleParams
from sim.robots import RobotParams
from sim.scenario import Scenario
from sim.simulation import run as simulate
from sim.tables import ORDER_CAUSES, ROBOT_CAUSES, TASK_CAUSES, Steps, bits, is_last, joined, steps
from sim.trace import Trace
from sim.warehouse import PolicyParams
from tests.test_history import lives, replayed, small_layout

START = date(2026, 3, 2)
DAY = START.toordinal()
NONE = f.NONE
HOUR = 3_600_000
ALWAYS = CalendarParams(
    shifts=[("00:00", "24:00")], weekdays=["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
)
SHIFT = CalendarParams(shifts=[("08:00", "12:00")])

# One row of 2 columns x 2 levels, 2 boxes a slot: 4 slots, 8 box places, 120 meters.
STORE = Layout(
    LayoutParams(rows=1, columns=2, levels=2, profile="uniform", boxes_per_slot=2, single_sided=True),
    meters_per_box=15,
    box_height_m=0.2,
    access="direct",
    robots=2,
)
WITH_HANDS = Layout(STORE.params, meters_per_box=15, box_height_m=0.2, access="direct", robots=1, hands=1)
DAY_MS = 86_400_000
QUARANTINED, QUALIFIED = STATE_CODES["quarantined"], STATE_CODES["qualified_in_stock"]
IN, OUT = STORE.inbound, STORE.outbound
R0, R1 = STORE.robot_place(0), STORE.robot_place(1)
FULL = (1 << 15) - 1


class Story:
    """Facts told in any order; `run` puts them in the order of time."""

    def __init__(self):
        self.rows = []

    def tell(self, time, kind, *fields):
        assert len(fields) == len(f.KINDS[kind].fields), kind
        self.rows.append((time, f.KINDS[kind].number, *fields))
        return self

    def stock(self, box, slot, sku=0, age=30, meters=15):
        """A box that stands in a slot at time 0."""
        self.tell(0, "box_created", box, sku, 0, DAY - age, meters, slot, NONE)
        return self.tell(0, "box_moved", box, STORE.outside, slot, 0, NONE, NONE, NONE, slot)

    def truck(self, time, box, sku=0, age=30, truck=0):
        """A box that comes on a truck."""
        return self.tell(time, "box_created", box, sku, 0, DAY - age, 15, STORE.truck, truck)

    def receive(self, time, box, to=IN, truck=0):
        self.move(time, box, STORE.truck, to)
        return self.tell(time, "box_received", box, truck, 0)

    def move(self, time, box, a, b, robot=NONE, task=NONE, recorded=None):
        return self.tell(
            time, "box_moved", box, a, b, 0, NONE, robot, task, b if recorded is None else recorded
        )

    def task(self, time, task, task_class, box, a, b, order=NONE):
        return self.tell(time, "task_created", task, task_class, box, a, b, order)

    def robot(self, time, activity, arrive=NONE, end=NONE, robot=0):
        return self.tell(time, "robot_stretch", robot, activity, OUT, OUT, 0, arrive, end, NONE)

    def run(self, end, start=0, calendar=ALWAYS, robots=1, people=2, warmup=0, layout=STORE, rows=None):
        trace = Trace(15)
        for row in rows or sorted(self.rows, key=lambda row: row[0]):
            trace.record(row)
        scenario = SimpleNamespace(
            robots=RobotParams(count=robots),
            people=PeopleParams(count=people),
            demand=DemandParams(),
            policy=PolicyParams(),
            records=RecordParams(),
            time=SimpleNamespace(warmup_days=warmup),
        )
        return RunFacts(trace, scenario, layout, WorkCalendar(calendar, START), start, end)


def value(name, run):
    return KPIS[name].function(run)["value"]


def parts(name, run):
    return KPIS[name].function(run)["parts"]


def by_class(run):
    return KPIS["task_time_by_cause_s"].function(run)["by_class"]


# The choices


def test_every_kpi_explains_itself():
    """A KPI has a sentence that ends, a unit and a direction."""
    for name, kpi in KPIS.items():
        assert kpi.sentence.endswith("."), name
        assert kpi.unit, name
        assert kpi.better in ("more", "less", "neither"), name


def test_names_that_others_rely_on():
    """The KPIs of the interface are there by their names."""
    assert {
        "box_moves", "put_away_time_s", "order_cycle_time_s", "order_cycle_time_working_s", "late_orders",
        "robot_utilisation", "time_by_cause_s", "fill_boxes", "digs_per_retrieval", "overdue_meters",
        "overdue_meters_end", "record_accuracy_location", "record_accuracy_box", "record_accuracy_meter",
        "person_hours_per_1000_meters", "digs", "share_of_issues_from_before_start",
    } <= set(KPIS)  # fmt: skip


def test_an_empty_run_observes_nothing():
    """Without facts counts are 0, everything else is null, and nothing fails."""
    computed = compute(Story().run(0))
    assert {name: kpi["value"] for name, kpi in computed.items() if kpi["value"] not in (None, 0)} == {}
    assert computed["order_cycle_time_s"] == {"value": None, "p50": None, "p95": None, "n": 0, "unit": "s"}
    json.dumps(computed, allow_nan=False)
    assert limits(Story().run(0)).endswith(".")


# Stock over time


def test_fill_is_weighted_by_time():
    """Boxes, slots and meters are weighted by the time they stand in slots."""
    run = (
        Story()
        .stock(0, 0)
        .stock(1, 0, meters=6)
        .stock(2, 3)
        .move(4_000, 2, 3, R0, 0)  # leaves slot 3 after 4 of 10 s
        .run(10_000)
    )
    # boxes: (10 + 10 + 4) s of 8 places x 10 s = 24/80; slots: (10 + 4) of 4 x 10 s = 14/40
    assert value("fill_boxes", run) == 24 / 80
    assert value("fill_slots", run) == 14 / 40
    # meters: (15 x 10 + 6 x 10 + 15 x 4) of 120 x 10 = 270/1200
    assert value("fill_meters", run) == 270 / 1200
    assert slot_fill(run).tolist() == [1.0, 0.0, 0.0, 4 / 20]


def test_warm_up_is_cut_off():
    """What lasts is cut to the window; what happened before it does not count."""
    story = (
        Story().stock(0, 0).stock(2, 3).robot(0, f.WORKING, 2_000, 4_000).task(0, 7, f.ISSUE, 2, 3, OUT, 0)
    )
    story.move(4_000, 2, 3, OUT, 0, 7).robot(4_000, f.IDLE)
    run = story.run(10_000, start=5_000)
    assert value("fill_boxes", run) == 5 / 40
    assert value("box_moves", run) == 0
    assert value("robot_utilisation", run) == 0.0
    assert value("box_moves", story.run(10_000, start=4_000)) == 1


def test_warm_up_comes_from_the_scenario():
    """A result's window starts after its warm-up days and never after its end."""
    facts = Story().run(0, warmup=3)
    result = SimpleNamespace(
        trace=facts.trace,
        scenario_at_end=facts.scenario,
        layout=STORE,
        calendar=facts.calendar,
        end_ms=5 * 86_400_000,
    )
    assert (RunFacts.of(result).start_ms, RunFacts.of(result).end_ms) == (3 * 86_400_000, 5 * 86_400_000)
    result.end_ms = 1_000
    assert RunFacts.of(result).start_ms == 1_000


def test_picked_meters_leave_the_box():
    """A box that comes back from the pick station holds what was left in it."""
    story = Story().stock(0, 1)
    story.move(1_000, 0, 1, R0, 0).move(2_000, 0, R0, OUT, 0).move(2_000, 0, OUT, STORE.pick_station)
    story.tell(3_000, "meters_picked", 0, 9, 0b11111, 0)  # 5 of 15
    story.move(5_000, 0, OUT, 1, 0)
    run = story.run(10_000)
    # 1 s with 15 meters and 5 s with 10 of 120 x 10 s
    assert value("fill_meters", run) == (15 * 1 + 10 * 5) / 1200
    assert value("stock_age_days", run) == 30.0
    assert KPIS["stock_age_days"].function(run)["n"] == 10


def test_stock_grows_overdue_at_midnight():
    """A meter verified 180 days ago may be issued until the day ends; the next day it is overdue."""
    day = 86_400_000
    # Verified 180 days before day 0: overdue from day 1 on. Box 1 (age 200) is overdue all along.
    story = Story().stock(0, 0, age=180).stock(1, 1, age=200, meters=4).stock(2, 2, age=10)
    run = story.run(4 * day)
    # 15 meters for 3 of 4 days and 4 meters for 4 of 4
    assert value("overdue_meters", run) == 15 * 3 / 4 + 4
    assert value("overdue_meters_end", run) == 19
    assert value("overdue_meters_end", story.run(day - 1)) == 4
    # Ages at the end, day 4: 184, 204 and 14 days.
    age = KPIS["stock_age_days"].function(run)
    assert age["value"] == (184 * 15 + 204 * 4 + 14 * 15) / 34
    assert age["parts"] == {
        "0 to 30": 15, "31 to 60": 0, "61 to 90": 0, "91 to 120": 0, "121 to 150": 0, "151 to 180": 0,
        "over 180": 19,
    }  # fmt: skip
    # Of 34 meters 15 are 14 days old, 15 are 184 and 4 are 204: the 17th is 184, the 33rd 204.
    assert (age["p50"], age["p95"], age["n"]) == (184.0, 204.0, 34)


def test_issued_stock_is_no_longer_overdue():
    """Meters handed over or still on the truck are not in the store."""
    story = Story().stock(0, 0, age=400).move(2_000, 0, 0, STORE.handed_over).truck(0, 1, age=400)
    run = story.receive(8_000, 1).run(10_000)
    assert value("overdue_meters", run) == 15 * 2 / 10 + 15 * 2 / 10
    assert value("overdue_meters_end", run) == 15


def test_records_that_differ_from_truth():
    """A box in another slot than recorded makes both slots, itself and its meters wrong until it is found."""
    story = Story().stock(0, 0).stock(1, 1, meters=5).stock(2, 3)
    story.move(1_000, 2, 3, R0, 0)
    story.move(2_000, 2, R0, 1, 0, recorded=2)  # set down in slot 1, recorded in slot 2
    story.move(6_000, 2, 1, 1, recorded=1)  # a count finds it
    run = story.run(10_000)
    # Slots 1 and 2 are wrong for 4 of 10 s: 8 of 4 x 10 slot-seconds.
    assert value("record_accuracy_location", run) == pytest.approx(1 - 8 / 40)
    # One of three boxes for 4 s of 3 x 10; 15 of 35 meters for 4 of 10 s.
    assert value("record_accuracy_box", run) == pytest.approx(1 - 4 / 30)
    assert value("record_accuracy_meter", run) == pytest.approx(1 - 60 / 350)


def test_an_unchanged_record_carries_on():
    """A move that leaves the record as it was keeps the last recorded place of the same box."""
    story = Story().stock(0, 0).stock(1, 1)
    story.move(4_000, 1, 1, R0, 0, recorded=NONE).move(6_000, 1, R0, 1, 0)
    run = story.run(10_000)
    # Box 1 is on the robot for 2 s while the record says slot 1: 2 of 20 box-seconds, 2 of 40 slot-seconds.
    assert value("record_accuracy_box", run) == pytest.approx(1 - 2 / 20)
    assert value("record_accuracy_location", run) == pytest.approx(1 - 2 / 40)


def test_boxes_in_and_out():
    """Received boxes come in; boxes handed over or emptied go out; those of time 0 do neither."""
    story = Story().stock(0, 0).stock(1, 1).truck(0, 2).receive(1_000, 2)
    story.move(2_000, 0, 0, STORE.handed_over).move(3_000, 1, 1, STORE.outside)
    run = story.run(10_000)
    assert value("boxes_in", run) == 1
    assert KPIS["boxes_out"].function(run) == {"value": 2, "parts": {"whole": 1, "emptied": 1}}


# Put-away


def put_away_story():
    """Two boxes from a truck: one is put away by robot 0, the other is served from staging."""
    story = Story().truck(0, 0).truck(0, 1).robot(0, f.IDLE)
    story.receive(1_000, 0).receive(2_000, 1, to=STORE.staging)
    story.task(1_000, 5, f.PUT_AWAY, 0, IN, 2)
    story.tell(3_000, "task_assigned", 5, 0, 0).tell(3_000, "tour_started", 0, 0, 1, 0)
    story.robot(3_000, f.WORKING, 4_000, 6_000)  # to the port and pick
    story.move(6_000, 0, IN, R0, 0, 5)
    story.robot(6_000, f.WAIT_AISLE)
    story.robot(7_000, f.WORKING, 9_000, 11_000)  # to the slot and place
    story.move(11_000, 0, R0, 2, 0, 5).tell(11_000, "task_done", 5, 0)
    story.robot(11_000, f.IDLE)
    story.move(8_000, 1, STORE.staging, STORE.pick_station)
    return story


def test_put_away_time_and_backlog():
    """A box is in the backlog from its scan until it is stored or served; only storing ends a put-away."""
    run = put_away_story().run(20_000)
    put_away = KPIS["put_away_time_s"].function(run)
    assert put_away == {"value": 10.0, "p50": 10.0, "p95": 10.0, "n": 1}
    # Backlog: box 0 for 1..11 s, box 1 for 2..8 s: 16 box-seconds in 20 s, both from 2 to 8.
    assert KPIS["put_away_backlog"].function(run) == {"value": 16 / 20, "parts": {"mean": 16 / 20, "max": 2}}


def test_a_box_that_comes_back_is_put_away_again():
    """Each receiving scan has the put-away that follows it; one before which the box left again has none."""
    story = put_away_story()
    story.move(12_000, 0, 2, STORE.handed_over).tell(13_000, "box_came_back", 0, f.UNUSED, 0)
    story.receive(13_000, 0).task(13_000, 6, f.PUT_AWAY, 0, IN, 3).tell(13_000, "task_assigned", 6, 0, 1)
    story.move(16_000, 0, IN, 3, 0, 6).tell(16_000, "task_done", 6, 0)
    run = story.run(20_000)
    put_away = KPIS["put_away_time_s"].function(run)
    # 10 s as before, then 3 s.
    assert (put_away["n"], put_away["value"]) == (2, 6.5)
    assert value("boxes_in", run) == 3
    # Served from the port before any put-away: of the two scans only the second has one.
    story = Story().truck(0, 0).receive(1_000, 0).move(2_000, 0, IN, STORE.handed_over).receive(3_000, 0)
    story.task(3_000, 6, f.PUT_AWAY, 0, IN, 3).tell(3_000, "task_assigned", 6, 0, 1)
    story.move(5_000, 0, IN, 3, 0, 6).tell(5_000, "task_done", 6, 0)
    run = story.run(20_000)
    assert run.received["stored"].tolist() == [NONE, 5_000]
    assert run.received["end"].tolist() == [2_000, 5_000]


def test_put_away_counts_when_it_ends():
    """A put-away counts in the window in which it ends, wholly."""
    assert KPIS["put_away_time_s"].function(put_away_story().run(20_000, start=10_000))["n"] == 1
    assert KPIS["put_away_time_s"].function(put_away_story().run(10_000))["n"] == 0


def test_an_opened_box_is_no_put_away():
    """A box served from staging that later goes to a slot as an open box has no put-away time."""
    story = put_away_story().task(12_000, 6, f.LOOSE_RETURN, 1, OUT, 3)
    story.move(13_000, 1, OUT, R0, 0, 6).move(14_000, 1, R0, 3, 0, 6).tell(14_000, "task_done", 6, 0)
    run = story.run(20_000)
    assert KPIS["put_away_time_s"].function(run)["n"] == 1
    assert parts("box_moves", run) == {"issue": 0, "put_away": 1, "loose_return": 1, "empties": 0, "count": 0}


def test_put_away_task_splits_by_cause():
    """A put-away waits, drives, handles and stands at the aisle; the parts are its whole clock time."""
    run = put_away_story().run(20_000)
    split = by_class(run)["put_away"]
    # Created 1, assigned 3: 2 waiting. Then 1 drive, 2 handle, 1 aisle, 2 drive, 2 handle. Done at 11.
    expected = dict.fromkeys(TASK_CAUSES, 0.0)
    expected |= {"waiting_assignment": 2.0, "travel": 3.0, "handling": 4.0, "aisle": 1.0}
    assert split == {"value": 10.0, "n": 1, "parts": expected}
    assert KPIS["task_time_by_cause_s"].function(run) == {**split, "by_class": {"put_away": split}}


def test_robot_time_by_cause():
    """Shift time of a robot is split by what it did; waiting at an aisle is not idle."""
    run = put_away_story().run(20_000)
    assert value("robot_utilisation", run) == 8 / 20
    expected = dict.fromkeys(ROBOT_CAUSES, 0.0)
    expected |= {"idle": 12.0, "travel": 3.0, "handling": 4.0, "aisle": 1.0}
    assert KPIS["time_by_cause_s"].function(run) == {"value": 20.0, "parts": expected}


def test_boxes_per_hour_gross_and_net():
    """Gross is per hour of driving and handling, net per shift hour."""
    run = put_away_story().run(20_000)
    # 1 move in 3 + 4 s of work, and in 20 s of shift.
    assert parts("boxes_per_hour", run) == {"gross": 3600 / 7, "net": 3600 / 20}
    assert value("boxes_per_tour", run) == 1.0
    assert value("tours", run) == 1


# Robots


def test_only_shift_time_counts_for_robots():
    """What a robot does outside the shifts is not in its shift time."""
    # Shift 08:00-12:00. It works 07:30-08:30 (drive until 08:15) and 11:30-12:30, all handling: shift time
    # 15 min of travel, 15 + 30 min of handling, 3 h idle.
    story = Story().robot(0, f.IDLE)
    story.robot(7 * HOUR + HOUR // 2, f.WORKING, 8 * HOUR + HOUR // 4, 8 * HOUR + HOUR // 2)
    story.robot(8 * HOUR + HOUR // 2, f.IDLE)
    story.robot(11 * HOUR + HOUR // 2, f.WORKING, 11 * HOUR + HOUR // 2, 12 * HOUR + HOUR // 2)
    story.robot(12 * HOUR + HOUR // 2, f.IDLE)
    run = story.run(24 * HOUR, calendar=SHIFT)
    spent = parts("time_by_cause_s", run)
    assert (spent["travel"], spent["handling"], spent["idle"]) == (900.0, 2700.0, 10800.0)
    assert value("robot_utilisation", run) == 0.25


def test_fleet_means_and_faults():
    """Utilisation is the fleet's mean, and a robot out of order is neither idle nor available."""
    story = Story().robot(0, f.IDLE).robot(0, f.FAULT, robot=1).robot(2_000, f.PARK, robot=1)
    story.robot(4_000, f.CHARGE, robot=1)
    run = story.run(10_000, robots=2)
    assert value("robot_utilisation", run) == 0.5
    assert value("robot_availability", run) == 1 - 2 / 20
    spent = parts("time_by_cause_s", run)
    assert {cause: s for cause, s in spent.items() if s} == {
        "idle": 5.0,
        "fault": 1.0,
        "parking": 1.0,
        "charging": 3.0,
    }


def test_digs_count_apart():
    """A blocker set down for another box's task is a dig and no box move."""
    story = Story().stock(0, 0).stock(1, 0).robot(0, f.DIGGING, 1_000, 3_000)
    story.task(0, 4, f.ISSUE, 0, 0, OUT, 0).tell(0, "task_assigned", 4, 0, 0)
    story.tell(3_000, "box_dug", 1, 0, 1, 0, 4).move(3_000, 1, 0, R0, 0, 4).move(4_000, 1, R0, 1, 0, 4)
    story.robot(3_000, f.WORKING, 3_000, 5_000)
    story.move(5_000, 0, 0, R0, 0, 4).move(6_000, 0, R0, OUT, 0, 4).tell(6_000, "task_done", 4, 0)
    run = story.run(10_000)
    assert value("box_moves", run) == 1
    assert value("digs", run) == 1
    assert KPIS["digs_per_retrieval"].function(run) == {"value": 1.0, "n": 1}
    # 1 s driving to the blocker, 2 s digging, 3 s handling (the last stretch lasts until the task is done).
    split = by_class(run)["issue"]
    assert {cause: s for cause, s in split["parts"].items() if s} == {
        "travel": 1.0,
        "digging": 2.0,
        "handling": 3.0,
    }
    assert split["value"] == 6.0
    assert slot_visits(run).tolist() == [2, 1, 0, 0]


def test_a_returned_task_waits_again():
    """A task that was given back waits until a robot takes it again, and each robot's time is its own."""
    story = Story().stock(0, 0).task(0, 4, f.ISSUE, 0, 0, OUT, 0)
    story.robot(0, f.WORKING, 2_000, 9_000).robot(0, f.IDLE, robot=1).robot(7_000, f.WAIT_PORT, robot=1)
    story.tell(1_000, "task_assigned", 4, 0, 0).tell(3_000, "task_returned", 4, 0)
    story.tell(6_000, "task_assigned", 4, 1, 1).tell(8_000, "task_done", 4, 1)
    run = story.run(10_000, robots=2)
    # 0-1 waits; robot 0: 1-2 drives, 2-3 handles; 3-6 waits; robot 1: 6-7 idle (not begun: waits), 7-8 port.
    split = by_class(run)["issue"]
    assert split["value"] == 8.0
    assert {cause: s for cause, s in split["parts"].items() if s} == {
        "waiting_assignment": 5.0, "travel": 1.0, "handling": 1.0, "port": 1.0,
    }  # fmt: skip
    # 1 + 3 s of waiting in 10 s.
    assert SERIES["waiting_tasks"](run).mean(0, 10_000) == 0.4


# Orders


def order_story(at=0):
    """One order for a whole box and a loose remainder, in the shift that begins at `at`."""
    story = Story().stock(0, 0).stock(1, 1)
    story.tell(at, "order_released", 0, 3, at + 30_000, 1).tell(at, "order_line", 0, 0, 0, 20)
    story.tell(at, "line_short", 0, 0, 5)
    story.tell(at, "box_reserved", 0, 0, 0, 15).tell(at + 2_000, "box_reserved", 1, 0, 0, 5)
    story.task(at, 0, f.ISSUE, 0, 0, OUT, 0).task(at + 2_000, 1, f.ISSUE, 1, 1, OUT, 0)
    story.robot(0, f.IDLE)
    story.tell(at + 1_000, "task_assigned", 0, 0, 0).robot(at + 1_000, f.WORKING, at + 2_000, at + 4_000)
    story.move(at + 4_000, 0, 0, R0, 0, 0).move(at + 4_000, 0, R0, OUT, 0, 0).tell(
        at + 4_000, "task_done", 0, 0
    )
    story.tell(at + 5_000, "task_assigned", 1, 0, 1).robot(at + 4_000, f.IDLE)
    story.robot(at + 5_000, f.WORKING, at + 8_000, at + 10_000)
    story.move(at + 10_000, 1, 1, R0, 0, 1).move(at + 10_000, 1, R0, OUT, 0, 1)
    story.tell(at + 10_000, "task_done", 1, 0).robot(at + 10_000, f.IDLE)
    # People: box 0 checked 5-7 s; box 1 picked 12-15 s, checked 16-20 s.
    story.tell(at + 5_000, "person_work", 0, f.CHECK, at + 7_000, 0, 0)
    story.tell(at + 7_000, "meters_issued", 0, 0, FULL).move(at + 7_000, 0, OUT, STORE.handed_over)
    story.tell(at + 12_000, "person_work", 0, f.PICK, at + 15_000, 1, 0)
    story.tell(at + 15_000, "meters_picked", 1, 0, 0b11111, 0)
    story.tell(at + 16_000, "person_work", 1, f.CHECK, at + 20_000, 1, 0)
    story.tell(at + 20_000, "meters_issued", 1, 0, 0b11111).tell(at + 20_000, "order_handed_over", 0, 20, 0)
    return story


def test_order_time_follows_the_last_box():
    """An order's clock time is split along the box that was checked last, and the parts sum to it."""
    run = order_story().run(40_000)
    assert KPIS["order_cycle_time_s"].function(run) == {"value": 20.0, "p50": 20.0, "p95": 20.0, "n": 1}
    # Box 1: 2 s until reserved, 3 s until assigned, 3 s drive, 2 s handle, then until 20 s: 3 + 4 s of work
    # of people and 2 + 1 s of waiting for them.
    expected = dict.fromkeys(ORDER_CAUSES, 0.0)
    expected |= {"waiting_stock": 2.0, "waiting_robot": 3.0, "travel": 3.0, "handling": 2.0}
    expected |= {"waiting_people": 3.0, "people": 7.0}
    assert KPIS["order_time_by_cause_s"].function(run) == {"value": 20.0, "n": 1, "parts": expected}


def test_order_counts_and_meters():
    """Orders, meters and person-hours are counted from hand-overs and hands-on work."""
    run = order_story().run(40_000)
    assert KPIS["orders"].function(run) == {"value": 1, "parts": {"released": 1, "handed_over": 1}}
    assert value("meters_issued", run) == 20
    assert KPIS["late_orders"].function(run) == {"value": 0.0, "n": 1}
    # 2 + 3 + 4 s of work for 20 meters: 9/3600 h x 1000/20
    assert value("person_hours_per_1000_meters", run) == pytest.approx(9 / 3600 * 50)
    assert value("people_utilisation", run) == 9 / (2 * 40)
    assert KPIS["share_of_issues_from_before_start"].function(run) == {"value": 1.0, "n": 2}


def test_work_in_progress_is_cut():
    """Hands-on work that lasts beyond the end counts up to the end."""
    run = Story().tell(0, "person_work", 0, f.RECEIVE, 90_000, 0, NONE).run(60_000)
    assert parts("people_utilisation", run) == {"receive": 0.5, "pick": 0.0, "check": 0.0}


def test_a_task_waits_for_robots_that_cannot_work():
    """A task that waits while no robot is at work or idle waits for a tour to fill, a battery or a repair."""
    story = Story().stock(0, 0).task(0, 4, f.ISSUE, 0, 0, OUT, 0)
    # Robot 0: charges 0-3, out of order 3-8, then idle. Robot 1: works 0-1, waits for its tour 1-2, charges
    # 2-4, out of order from 4. Together: 0-1 at work, 1-2 tour, 2-4 charging, 4-8 fault, 8-9 idle.
    story.robot(0, f.CHARGE).robot(3_000, f.FAULT).robot(8_000, f.IDLE)
    story.robot(0, f.WORKING, 500, 1_000, 1).robot(1_000, f.WAIT_TOUR, robot=1)
    story.robot(2_000, f.CHARGE, robot=1).robot(4_000, f.FAULT, robot=1)
    story.tell(9_000, "task_assigned", 4, 0, 0).tell(9_000, "task_done", 4, 0)
    split = by_class(story.run(10_000, robots=2))["issue"]
    assert split["value"] == 9.0
    assert {cause: s for cause, s in split["parts"].items() if s} == {
        "waiting_assignment": 2.0, "tour_wait": 1.0, "charging": 2.0, "fault": 4.0,
    }  # fmt: skip


def test_a_put_away_called_off_waits_no_more():
    """A put-away ends undone when it is called off before a robot takes it."""
    story = Story().truck(0, 0).receive(1_000, 0).task(1_000, 5, f.PUT_AWAY, 0, IN, 2)
    run = reserve(story, 4_000, 0).tell(4_000, "task_cancelled", 5).run(10_000)
    assert SERIES["waiting_tasks"](run).mean(0, 10_000) == 0.3
    assert KPIS["task_time_by_cause_s"].function(run) == {"value": None, "n": 0, "by_class": {}}


def test_an_order_waits_for_the_fetch_of_another():
    """An order whose loose meters come in a box fetched for another order shares that fetch from then on."""
    story = order_story()
    # Order 1 is released at 6 s and wants 2 meters of box 1, whose task began at 5 s (2 s more drive, 2 s
    # handling); picked 17-19 s, checked 21-22 s.
    story.tell(6_000, "order_released", 1, 0, 90_000, 1).tell(6_000, "box_reserved", 1, 1, 0, 2)
    story.tell(17_000, "person_work", 1, f.PICK, 19_000, 1, 1).tell(
        19_000, "meters_picked", 1, 1, 0b1100000, 1
    )
    story.tell(21_000, "person_work", 1, f.CHECK, 22_000, 1, 1).tell(22_000, "meters_issued", 1, 1, 0b1100000)
    story.tell(22_000, "order_handed_over", 1, 2, 0)
    second = dict(zip(ORDER_CAUSES, (story.run(40_000).order_causes[1] / 1000).tolist(), strict=True))
    assert {cause: s for cause, s in second.items() if s} == {
        "travel": 2.0, "handling": 2.0, "waiting_people": 9.0, "people": 3.0,
    }  # fmt: skip


def test_waiting_over_night_is_told_apart():
    """What an order waits while nobody works is time outside shifts, not waiting for people or robots."""
    # Shift 08:00-12:00; released 11:59:50, robot work over noon, handed over at 08:00:10 the next day.
    noon, morning = 12 * HOUR, 32 * HOUR
    story = Story().stock(0, 0).robot(0, f.IDLE).tell(noon - 10_000, "order_released", 0, 0, noon, 1)
    story.tell(noon - 10_000, "box_reserved", 0, 0, 0, 15).task(noon - 10_000, 0, f.ISSUE, 0, 0, OUT, 0)
    story.tell(noon - 4_000, "task_assigned", 0, 0, 0).robot(noon - 4_000, f.WORKING, noon, noon + 3_000)
    story.tell(noon + 3_000, "task_done", 0, 0).robot(noon + 3_000, f.IDLE)
    story.tell(morning + 2_000, "person_work", 0, f.CHECK, morning + 10_000, 0, 0)
    story.tell(morning + 10_000, "meters_issued", 0, 0, FULL)
    story.tell(morning + 10_000, "order_handed_over", 0, 15, 20 * HOUR)
    run = story.run(40 * HOUR, calendar=SHIFT)
    split = {cause: s for cause, s in parts("order_time_by_cause_s", run).items() if s}
    # 6 s for a robot; 4 s drive, 3 s handling (3 s of it after noon); closed from noon + 3 s until morning;
    # 2 s for people, 8 s check.
    assert split == {
        "waiting_robot": 6.0, "travel": 4.0, "handling": 3.0, "waiting_people": 2.0, "people": 8.0,
        "outside_shifts": 20 * 3600 - 3.0,
    }  # fmt: skip
    # 10 s before noon and 10 s after eight.
    assert value("order_cycle_time_working_s", run) == 20.0
    assert value("late_orders", run) == 1.0


def test_served_from_staging_needs_no_robot():
    """An order served from staging waits for stock and for people only."""
    story = Story().truck(0, 0).tell(0, "order_released", 0, 0, 9_000, 1).receive(3_000, 0, to=STORE.staging)
    story.tell(3_000, "box_reserved", 0, 0, 0, 15).tell(4_000, "person_work", 0, f.CHECK, 6_000, 0, 0)
    story.tell(6_000, "meters_issued", 0, 0, FULL).tell(6_000, "order_handed_over", 0, 15, 0)
    run = story.run(10_000)
    split = {cause: s for cause, s in parts("order_time_by_cause_s", run).items() if s}
    assert split == {"waiting_stock": 3.0, "waiting_people": 1.0, "people": 2.0}
    assert value("share_of_issues_from_before_start", run) == 0.0


def test_open_orders_at_the_end():
    """Orders that are not handed over are open, and overdue once their due time has passed."""
    story = Story().tell(0, "order_released", 0, 0, 5_000, 1).tell(0, "order_released", 1, 0, 50_000, 1)
    run = story.run(10_000)
    assert KPIS["open_orders_end"].function(run) == {"value": 2, "parts": {"overdue": 1}}
    assert value("order_cycle_time_s", run) is None
    assert value("late_orders", run) is None


def test_allocation_failures_by_reason():
    """Refused allocations and boxes sent to the flat store are counted."""
    story = Story().tell(1, "allocation_failed", 0, 0).tell(2, "allocation_failed", 0, 1)
    run = story.tell(3, "allocation_failed", 1, 0).tell(4, "staging_overflow", 1).run(10)
    assert KPIS["allocation_failures"].function(run) == {
        "value": 3,
        "parts": {"full": 2, "none_of_its_class": 1},
    }
    assert value("overflow_boxes", run) == 1


# First in, first out; first expired, first out


def reserve(story, time, box, order=0):
    return story.tell(time, "box_reserved", box, order, 0, 15)


def test_fefo_violation_beyond_tolerance():
    """Taking a box passes over one that expires earlier, unless the policy's tolerance covers it."""
    # Tolerance 3 days. Box 0 is 40 days old, box 1 37, box 2 30; box 3 is of another SKU.
    story = Story().stock(0, 0, age=40).stock(1, 1, age=37).stock(2, 2, age=30).stock(3, 3, sku=1, age=90)
    assert value("fefo_violations", reserve(story, 1_000, 1).run(9_000)) == 0
    reserve(story, 2_000, 2)
    run = story.run(9_000)
    assert KPIS["fefo_violations"].function(run) == {"value": 1, "n": 2, "parts": {"share": 0.5}}


def test_reserved_together_is_no_violation():
    """Boxes taken at the same instant do not pass each other over, nor does an expired box count."""
    story = Story().stock(0, 0, age=40).stock(1, 1, age=10).stock(2, 2, age=181)
    reserve(reserve(story, 1_000, 1), 1_000, 0)
    assert value("fefo_violations", story.run(9_000)) == 0


def test_an_open_box_is_judged_once():
    """Only the first reservation of a box is a choice; an open box is used up first."""
    story = Story().stock(0, 0, age=10).truck(0, 1, age=60).receive(2_000, 1)
    reserve(reserve(story, 1_000, 0), 3_000, 0, order=1)
    assert value("fefo_violations", story.run(9_000)) == 0


def test_a_box_in_hand_is_not_passed_over():
    """A box that a robot is putting away cannot be had; before and after it can."""
    story = Story().truck(0, 0, age=90).receive(1_000, 0).task(1_000, 5, f.PUT_AWAY, 0, IN, 2)
    for box, slot in ((1, 0), (2, 0), (3, 1)):
        story.stock(box, slot, age=10)
    story.tell(3_000, "task_assigned", 5, 0, 0).move(4_000, 0, IN, R0, 0, 5).move(6_000, 0, R0, 2, 0, 5)
    story.tell(6_000, "task_done", 5, 0)
    reserve(reserve(reserve(story, 2_000, 1), 5_000, 2), 7_000, 3)
    run = story.run(9_000)
    # At 2 s box 0 stands at the port, at 5 s it is in hand, at 7 s it stands in its slot.
    assert value("fefo_violations", run) == 2


def test_fifo_goes_by_truck():
    """Boxes of one truck arrive together; a box of a later truck passes over one of an earlier truck."""
    story = Story().truck(0, 0, truck=0).truck(500, 1, truck=0).truck(1_000, 2, truck=1)
    story.receive(1_500, 0).receive(1_600, 1).receive(1_700, 2, truck=1)
    reserve(story, 2_000, 1)
    assert value("fifo_violations", story.run(9_000)) == 0
    reserve(story, 3_000, 2)
    assert value("fifo_violations", story.run(9_000)) == 1
    # Verified on one day: no matter for first expired, first out.
    assert value("fefo_violations", story.run(9_000)) == 0


def test_fifo_ignores_what_is_not_received():
    """A box still on its truck cannot be passed over."""
    story = Story().truck(0, 0, truck=0).truck(1_000, 1, truck=1).receive(1_500, 1, truck=1)
    reserve(story, 2_000, 1).receive(5_000, 0)
    assert value("fifo_violations", story.run(9_000)) == 0


# Truth and records


def astray():
    """Box 2 leaves slot 3 for slot 2 at 2 s but lands in slot 1; a pick misses it at 5 s, a count sees it at 8 s."""
    story = Story().stock(0, 0).stock(1, 1, meters=5).stock(2, 3)
    story.move(1_000, 2, 3, R0, 0).move(2_000, 2, R0, 1, 0, recorded=NONE)
    story.tell(2_000, "box_recorded", 2, 2, 0, 0, f.WHY_ERROR)
    story.tell(2_000, "error_made", 0, f.WRONG_SLOT, 2, 0, 1)
    story.tell(5_000, "discrepancy", 2, 2, NONE, 7)
    story.tell(5_000, "box_recorded", 2, STORE.outside, NONE, NONE, f.WHY_PICK)
    story.tell(5_000, "box_state", 2, QUARANTINED)
    story.tell(8_000, "box_recorded", 2, 1, 0, 1, f.WHY_COUNT).tell(8_000, "error_found", 0, f.BY_COUNT, 2)
    return story.tell(8_000, "box_state", 2, QUALIFIED)


def test_records_follow_both_kinds_of_fact():
    """A record is set by moves and apart from them, and it is right again only where the box truly is."""
    run = astray().run(10_000)
    # Slot 1 is wrong from 2 to 8 s, slot 2 from 2 to 5 s: 9 of 4 x 10 slot-seconds; two of four at most.
    location = KPIS["record_accuracy_location"].function(run)
    assert location["value"] == pytest.approx(1 - 9 / 40)
    assert location["parts"] == {"start": 1.0, "end": 1.0, "least": 0.5}
    # One of three boxes for 6 s of 3 x 10; 15 of 35 meters for 6 of 10 s.
    box, meter = (KPIS[f"record_accuracy_{what}"].function(run) for what in ("box", "meter"))
    assert box["value"] == pytest.approx(1 - 6 / 30)
    assert meter["value"] == pytest.approx(1 - 15 * 6 / 350)
    assert (box["parts"]["least"], meter["parts"]["least"]) == (pytest.approx(2 / 3), pytest.approx(20 / 35))
    wrong = {
        what: SERIES[f"wrong_{what}"](run).at(np.arange(1_000, 10_000, 1_000)).tolist()
        for what in ("slots", "boxes", "meters")
    }
    assert wrong == {
        "slots": [0, 2, 2, 2, 1, 1, 1, 0, 0], "boxes": [0, 1, 1, 1, 1, 1, 1, 0, 0],
        "meters": [0, 15, 15, 15, 15, 15, 15, 0, 0],
    }  # fmt: skip


def test_accuracy_at_start_and_end():
    """The parts are what held when the window began and when it ended."""
    story = astray()
    story.rows = [row for row in story.rows if row[0] <= 6_000]
    run = story.run(6_000, start=3_000)
    assert parts("record_accuracy_location", run) == {"start": 0.5, "end": 0.75, "least": 0.5}


def test_a_missing_meter_is_a_wrong_meter():
    """A meter that is on record and not in the box is wrong, its box is not; the record set right ends it."""
    story = Story().stock(0, 0).stock(1, 1, meters=5)
    story.tell(2_000, "error_made", 0, f.UNRECORDED_REMOVAL, 0, 0b100, NONE)
    story.tell(6_000, "meters_recorded", 0, FULL & ~0b100, f.WHY_OPENING)
    story.tell(6_000, "error_found", 0, f.OPENING, 0)
    run = story.run(10_000)
    # 20 meters until 6 s, 19 from then on; one of them is wrong from 2 to 6 s.
    assert value("record_accuracy_meter", run) == pytest.approx(1 - 4 / (20 * 6 + 19 * 4))
    assert parts("record_accuracy_meter", run)["least"] == pytest.approx(19 / 20)
    assert (value("record_accuracy_box", run), value("record_accuracy_location", run)) == (1.0, 1.0)
    # A stay that begins after it has a meter less.
    moved = story.move(7_000, 0, 0, R0, 0).move(8_000, 0, R0, 2, 0).run(10_000)
    assert value("fill_meters", moved) == (5 * 10 + 15 * 7 + 14 * 2) / 1200


def test_errors_made_found_and_missed():
    """Errors count where they happen, finds where they happen; what nobody finds is missed."""
    story = Story().stock(0, 0).stock(1, 1)
    for error, cause in enumerate((f.WRONG_SLOT, f.SHORT_PACKED, f.SHORT_PACKED, f.DAMAGE, f.LOST_MESSAGE)):
        story.tell(error * DAY_MS, "error_made", error, cause, 0, 1, 0)
    story.tell(4 * DAY_MS, "error_found", 0, f.AT_PICK, 0)
    story.tell(5 * DAY_MS, "error_found", 2, f.OPENING, 0)
    story.tell(6 * DAY_MS, "error_found", 3, f.NEVER, 0)
    run = story.run(8 * DAY_MS, start=DAY_MS)
    made = KPIS["errors_made"].function(run)
    # Error 0 happened before the window.
    assert made["value"] == 4
    assert {name: n for name, n in made["parts"].items() if n} == {
        "short_packed": 2,
        "damage": 1,
        "lost_message": 1,
    }
    found = KPIS["errors_found"].function(run)
    assert found["value"] == 2
    assert {name: n for name, n in found["parts"].items() if n} == {"pick": 1, "opening": 1}
    assert {name: n for name, n in found["by_cause"].items() if n} == {"wrong_slot": 1, "short_packed": 1}
    missed = KPIS["errors_missed"].function(run)
    assert (missed["value"], missed["parts"]) == (3, {"in_store": 2, "left": 1})
    # 4 days and 3 days; the median of two lies between, the 95th percentile 0.95 of the way.
    assert KPIS["days_to_discovery"].function(run) == {
        "value": 3.5, "p50": 3.5, "p95": pytest.approx(3.95), "n": 2,
        "parts": {"wrong_slot": 4.0, "short_packed": 3.0},
    }  # fmt: skip
    assert SERIES["unfound_errors"](run).at(np.arange(8) * DAY_MS).tolist() == [1, 2, 3, 4, 4, 3, 2, 2]


def test_no_errors_no_verdict():
    """Where no error was made none can be found, and where nothing was counted there are no false alarms."""
    run = order_story().run(40_000)
    for name in (
        "errors_found",
        "errors_missed",
        "days_to_discovery",
        "count_false_alarms",
        "differences_posted",
    ):
        assert value(name, run) is None, name
    assert (value("errors_made", run), value("slots_counted", run), value("count_robot_hours", run)) == (
        0,
        0,
        0.0,
    )


def counting():
    """A count of three slots by robot 0, of which one is looked at again by a person."""
    story = Story().stock(0, 0).stock(1, 1).stock(2, 2).robot(0, f.IDLE)
    story.tell(HOUR, "count_planned", 0, 1, 3)
    for slot in range(3):
        start = (1 + slot) * HOUR
        story.task(HOUR, slot, f.COUNT, NONE, slot, slot).tell(start, "task_assigned", slot, 0, slot)
        story.tell(start, "robot_stretch", 0, f.WORKING, OUT, slot, 0, start + HOUR // 4, start + HOUR, slot)
        story.tell(start + HOUR, "slot_counted", 0, slot, 0, 0, 0, 1, 1).tell(
            start + HOUR, "task_done", slot, 0
        )
    story.robot(4 * HOUR, f.IDLE)
    story.tell(2 * HOUR, "count_difference", 0, 0, 0, f.MISSING, f.NOTED)
    story.tell(3 * HOUR, "count_difference", 0, 1, 1, f.MISSING, f.NOTED)
    story.tell(5 * HOUR, "person_work", 0, f.COUNT_SLOT, 5 * HOUR + HOUR // 2, NONE, NONE)
    story.tell(5 * HOUR + HOUR // 2, "slot_counted", 0, 0, 1, 1, NONE, 1, 1)
    story.tell(5 * HOUR + HOUR // 2, "count_difference", 0, 0, 0, f.MISSING, f.REFUTED)
    story.tell(6 * HOUR, "slot_counted", 0, 1, 1, 1, NONE, 1, 0)
    story.tell(6 * HOUR, "count_difference", 0, 1, 1, f.MISSING, f.CONFIRMED)
    story.tell(6 * HOUR, "count_ended", 0, 3, 1, 9).tell(
        6 * HOUR, "person_work", 1, f.INSPECT, 7 * HOUR, 2, NONE
    )
    return story.tell(8 * HOUR, "count_difference", 0, 1, 1, f.MISSING, f.LOST_POSTED)


def test_effort_and_yield_of_a_count():
    """A count costs the robot's stretches and people's work; what it notes is confirmed or a false alarm."""
    run = counting().run(10 * HOUR)
    assert parts("slots_counted", run) == {"first_look": 3, "second_look": 2}
    # Three visits of an hour, a quarter of it on the way.
    assert KPIS["count_robot_hours"].function(run) == {
        "value": 3.0, "parts": {"travel": 0.75, "handling": 2.25, "waiting": 0.0},
    }  # fmt: skip
    assert KPIS["count_person_hours"].function(run) == {"value": 1.5, "parts": {"count": 0.5, "inspect": 1.0}}
    # Planned at 1, ended at 6 o'clock.
    assert KPIS["count_duration_h"].function(run) == {"value": 5.0, "p50": 5.0, "p95": 5.0, "n": 1}
    assert (value("differences_noted", run), parts("differences_posted", run)) == (2, {"lost": 1, "found": 0})
    assert KPIS["count_false_alarms"].function(run) == {
        "value": 1, "n": 2, "parts": {"missing": 1, "surplus": 0, "meters": 0, "share": 0.5},
    }  # fmt: skip
    # Half an hour and an hour of 2 x 10; the work that every store has is listed even when none was done.
    assert parts("people_utilisation", run) == {
        "receive": 0.0, "pick": 0.0, "check": 0.0, "count": 0.025, "inspect": 0.05,
    }  # fmt: skip
    assert run.counts["done"].tolist() == [1]
    assert run.counts["planned"].tolist() == run.counts["slots"].tolist() == [3]


def test_a_fault_is_no_effort():
    """A robot that breaks down on its way to a slot does not count meanwhile; one that waits for an aisle does."""
    story = Story().task(0, 4, f.COUNT, NONE, 1, 1).tell(0, "task_assigned", 4, 0, 0)
    for hour, activity in enumerate((f.WAIT_AISLE, f.FAULT, f.IDLE)):
        task = NONE if activity == f.IDLE else 4
        story.tell(hour * HOUR, "robot_stretch", 0, activity, OUT, 1, 0, NONE, NONE, task)
    assert KPIS["count_robot_hours"].function(story.run(9 * HOUR)) == {
        "value": 1.0, "parts": {"travel": 0.0, "handling": 0.0, "waiting": 1.0},
    }  # fmt: skip


def test_an_unfinished_count_lasts():
    """A count that the run ends in has no end, and the effort so far counts."""
    story = counting()
    story.rows = [row for row in story.rows if row[0] <= 2 * HOUR + HOUR // 2]
    run = story.run(2 * HOUR + HOUR // 2)
    assert value("count_duration_h", run) is None
    assert value("count_robot_hours", run) == 1.5
    assert (run.counts["done"].tolist(), run.counts["end"].tolist()) == ([0], [run.end_ms])


def test_what_is_met_unexpectedly():
    """Other boxes, empty places and taken places are told apart."""
    story = Story().tell(1, "discrepancy", 0, 4, 5, 0).tell(2, "discrepancy", 0, 4, NONE, 0)
    run = story.tell(3, "discrepancy", 0, NONE, 4, 0).run(10)
    assert parts("discrepancies", run) == {"another_box": 1, "no_box": 1, "unexpected_box": 1}


def test_boxes_on_hold():
    """A hold lasts until another state is given; what a stock list holds from the first is none of ours."""
    story = Story().tell(0, "box_created", 9, 0, 0, DAY, 15, 3, NONE).tell(0, "box_state", 9, QUARANTINED)
    story.tell(0, "box_moved", 9, STORE.outside, 3, 0, NONE, NONE, NONE, 3)
    story.rows += astray().rows
    story.tell(9_000, "box_state", 1, QUARANTINED)
    # Box 2 from 5 to 8 s, box 1 from 9 s to the end: 4 of 10 s.
    assert KPIS["boxes_on_hold"].function(story.run(10_000)) == {
        "value": 0.4,
        "parts": {"mean": 0.4, "max": 1},
    }


def waiting_for(story):
    """An order released at 4 s whose box is reserved at 10 s and handed over, checked, at 20 s."""
    story.stock(5, 2).tell(4_000, "order_released", 0, 0, 90_000, 1).tell(10_000, "box_reserved", 5, 0, 0, 15)
    story.tell(18_000, "person_work", 0, f.CHECK, 20_000, 5, 0).tell(20_000, "meters_issued", 5, 0, FULL)
    return story.tell(20_000, "order_handed_over", 0, 15, 0)


def split_of(story):
    run = story.run(40_000)
    assert np.array_equal(
        run.order_causes.sum(axis=1), run.finished_orders["end"] - run.finished_orders["start"]
    )
    return {cause: s for cause, s in parts("order_time_by_cause_s", run).items() if s}


def test_an_order_waits_for_a_count():
    """While a box of its SKU is on hold an order waits for the count, not for supply."""
    story = waiting_for(Story().stock(0, 0).stock(1, 1, sku=1))
    story.tell(1_000, "box_state", 1, QUARANTINED)  # of another SKU
    assert split_of(story) == {"waiting_stock": 6.0, "waiting_people": 8.0, "people": 2.0}
    story.tell(3_000, "box_state", 0, QUARANTINED).tell(7_000, "box_state", 0, QUALIFIED)
    story.stock(2, 2).tell(6_000, "box_state", 2, QUARANTINED).tell(8_000, "box_state", 2, QUALIFIED)
    # Box 0 until 7 s and box 2 until 8 s: 4 s from the release at 4 s, then 2 s for stock.
    assert split_of(story) == {"waiting_stock": 2.0, "count": 4.0, "waiting_people": 8.0, "people": 2.0}


def test_what_a_stock_list_holds_is_no_count():
    """A box that the stock list itself holds back keeps nobody waiting for a count."""
    story = Story().tell(0, "box_created", 0, 0, 0, DAY, 15, 3, NONE).tell(0, "box_state", 0, QUARANTINED)
    story = waiting_for(story.tell(0, "box_moved", 0, STORE.outside, 3, 0, NONE, NONE, NONE, 3))
    assert split_of(story) == {"waiting_stock": 6.0, "waiting_people": 8.0, "people": 2.0}


def test_an_order_without_a_box_waits_for_no_count():
    """An order that is handed over with nothing in it has no SKU that could be on hold."""
    story = Story().stock(0, 0).tell(1_000, "box_state", 0, QUARANTINED)
    story.tell(2_000, "order_released", 0, 0, 90_000, 1).tell(9_000, "order_handed_over", 0, 0, 0)
    assert "count" not in split_of(story)


def test_a_vain_trip_is_charged_to_the_count():
    """From the reservation of a box that is not there until that shows, the order waits for a count."""
    story = waiting_for(Story().stock(0, 0)).tell(5_000, "box_reserved", 0, 0, 0, 15)
    story.tell(9_000, "box_freed", 0, 0, 15).tell(9_000, "order_short", 0, 0, 15, 0)
    # Released at 4 s, box 0 promised from 5 to 9 s, box 5 from 10 s.
    assert split_of(story) == {"waiting_stock": 2.0, "count": 4.0, "waiting_people": 8.0, "people": 2.0}


def test_a_box_on_hold_is_not_passed_over():
    """Nobody can take a box that is on hold, nor one that is being opened to be counted."""
    story = Story().stock(0, 0, age=90).stock(1, 1, age=80).stock(2, 2, age=10).stock(3, 3, age=10)
    reserve(story, 4_000, 2)
    assert value("fefo_violations", story.run(9_000)) == 1
    story.tell(1_000, "box_state", 0, QUARANTINED).tell(6_000, "box_state", 0, QUALIFIED)
    story.task(2_000, 8, f.ISSUE, 1, 1, OUT)
    assert value("fefo_violations", story.run(9_000)) == 0
    reserve(story, 7_000, 3)
    assert value("fefo_violations", story.run(9_000)) == 1
    # A box that was opened to be counted is used up first, whatever is older.
    reserve(story, 8_000, 1)
    assert KPIS["fefo_violations"].function(story.run(9_000))["n"] == 2


def test_verified_again():
    """A box that comes back from verification is as old as its new verification."""
    story = Story().stock(0, 0, age=400)
    story.tell(DAY_MS, "box_left", 0, f.REVERIFIED).move(DAY_MS, 0, 0, STORE.outside)
    story.tell(3 * DAY_MS, "box_verified", 0, DAY + 2).tell(
        3 * DAY_MS, "box_came_back", 0, f.REVERIFIED, NONE
    )
    story.move(3 * DAY_MS, 0, STORE.outside, 1)
    run = story.run(5 * DAY_MS)
    # Overdue for the first of five days only; 3 days old on day 5.
    assert value("overdue_meters", run) == 15 / 5
    assert (value("overdue_meters_end", run), value("stock_age_days", run)) == (0, 3.0)
    assert parts("boxes_out", run) == {"whole": 0, "emptied": 0, "otherwise": 1}


# By hand


def hand_story():
    """Person 0 (number 1, beside one robot) carries a box from slot 0 to the port; the robot carries another one."""
    person = WITH_HANDS.robot_place(1)
    story = Story().stock(0, 0).stock(1, 1).robot(0, f.IDLE)
    story.tell(0, "order_released", 0, 0, 90_000, 1).tell(0, "box_reserved", 0, 0, 0, 15)
    story.task(0, 0, f.ISSUE, 0, 0, OUT, 0).task(0, 1, f.ISSUE, 1, 1, OUT, 1)
    story.tell(2_000, "task_assigned", 0, 1, NONE).tell(2_000, "person_work", 0, f.CARRY, 12_000, 0, 0)
    story.move(6_000, 0, 0, person, 1, 0).move(12_000, 0, person, OUT, 1, 0).tell(12_000, "task_done", 0, 1)
    story.tell(1_000, "task_assigned", 1, 0, 0).robot(1_000, f.WORKING, 3_000, 6_000)
    story.move(5_000, 1, 1, R0, 0, 1).move(6_000, 1, R0, OUT, 0, 1).tell(6_000, "task_done", 1, 0)
    story.robot(6_000, f.IDLE)
    story.tell(14_000, "person_work", 0, f.CHECK, 16_000, 0, 0).tell(16_000, "meters_issued", 0, 0, FULL)
    return story.tell(16_000, "order_handed_over", 0, 15, 0)


def test_hands_are_counted_apart():
    """Boxes carried by hand are moves of their own, at their own rate, and no robot's time."""
    run = hand_story().run(20_000, layout=WITH_HANDS)
    assert parts("box_moves", run) == {
        "issue": 1, "put_away": 0, "loose_return": 0, "empties": 0, "count": 0, "by_hand": 1,
    }  # fmt: skip
    assert value("box_moves", run) == 2
    # The robot works 5 s, the person 10 s; one move each.
    assert parts("boxes_per_hour", run) == {
        "gross": 2 * 3600 / 15, "net": 2 * 3600 / 20, "by_robot": 720.0, "by_hand": 360.0,
    }  # fmt: skip
    assert value("robot_utilisation", run) == 5 / 20
    assert parts("people_utilisation", run)["carry"] == 10 / 40


def test_time_in_hands():
    """A task that a person carries out waits until then and is people's work; its parts are its clock time."""
    run = hand_story().run(20_000, layout=WITH_HANDS)
    # Box 0: 2 s until taken, 10 s by hand; box 1: 1 s, 2 s driving, 3 s handling.
    assert run.task_causes.sum(axis=1).tolist() == [12_000, 6_000]
    assert {cause: ms for cause, ms in zip(TASK_CAUSES, run.task_causes[0].tolist(), strict=True) if ms} == {
        "waiting_assignment": 2_000, "people": 10_000,
    }  # fmt: skip
    # Then 2 s until the check and 2 s of it.
    assert {cause: s for cause, s in parts("order_time_by_cause_s", run).items() if s} == {
        "waiting_robot": 2.0, "people": 12.0, "waiting_people": 2.0,
    }  # fmt: skip


def test_without_robots_orders_wait_for_people():
    """In a store without robots a task waits for people."""
    story = hand_story()
    story.rows = [row for row in story.rows if f.BY_NUMBER[row[1]].name != "robot_stretch"]
    for k, row in enumerate(story.rows):  # with no robot the person is number 0
        if f.BY_NUMBER[row[1]].name == "task_assigned" and row[2] == 0:
            story.rows[k] = (*row[:3], 0, row[4])
    run = story.run(20_000, layout=WITH_HANDS, robots=0)
    assert {cause: s for cause, s in parts("order_time_by_cause_s", run).items() if s} == {
        "people": 12.0, "waiting_people": 4.0,
    }  # fmt: skip
    assert value("availability", run) is None
    assert limits(run).startswith("Nothing works near its limit: there is no robot and people 30 %")


# Availability


def test_availability_after_fem():
    """Down time over all time, by the clock and in shifts: a robot that is down over night misses few shift hours."""
    # Shift 08:00-12:00. Down from 11:00 to 19:00 of 24 h: 16/24 by the clock, 3/4 in the shift.
    story = Story().robot(0, f.IDLE).robot(11 * HOUR, f.FAULT).robot(19 * HOUR, f.IDLE)
    story.tell(11 * HOUR, "fault_began", 0, f.BREAKDOWN, 0, NONE, OUT, NONE)
    story.tell(19 * HOUR, "fault_ended", 0, f.BREAKDOWN, 0)
    story.tell(20 * HOUR, "fault_began", 1, f.STATION, NONE, NONE, OUT, NONE)
    run = story.run(24 * HOUR, calendar=SHIFT)
    assert parts("availability", run) == {"by_clock": 16 / 24, "in_shifts": 3 / 4}
    assert {name: n for name, n in parts("faults", run).items() if n} == {"breakdown": 1, "station": 1}
    assert run.faults["end"].tolist() == [19 * HOUR, 24 * HOUR]


def test_faults_end_in_their_turn():
    """Each fault ends with the next end of its cause on its robot."""
    story = Story()
    for fault, (cause, robot, start, end) in enumerate(
        [(f.BREAKDOWN, 0, 1, 5), (f.BREAKDOWN, 1, 2, 9), (f.MINOR_STOP, 0, 3, 4), (f.BREAKDOWN, 0, 7, 8)]
    ):
        story.tell(start, "fault_began", fault, cause, robot, NONE, NONE, NONE)
        story.tell(end, "fault_ended", fault, cause, robot)
    story.tell(9, "fault_began", 4, f.BREAKDOWN, 0, NONE, NONE, NONE).tell(
        10, "fault_ended", 9, f.MINOR_STOP, 1
    )
    assert story.run(12, robots=2).faults["end"].tolist() == [5, 9, 4, 8, 12]


def test_performance_availability_after_vdi():
    """Orders in time and boxes put away within 4 shift hours, of all that were due."""
    story = Story()
    # Order 0 in time, 1 late, 2 open and overdue, 3 open and not due yet.
    for order, due in enumerate((5, 5, 5, 90)):
        story.tell(0, "order_released", order, 0, due * HOUR, 1)
    story.tell(3 * HOUR, "order_handed_over", 0, 15, 0).tell(6 * HOUR, "order_handed_over", 1, 15, HOUR)
    # Boxes scanned at 0: stored after 3 h and after 5 h; served after 2 h; not stored yet. One scanned at 9 h.
    for box, hours in enumerate((3, 5)):
        story.truck(0, box).receive(0, box).task(0, box, f.PUT_AWAY, box, IN, 1)
        story.tell(0, "task_assigned", box, 0, 0).move(hours * HOUR, box, IN, 1, 0, box)
        story.tell(hours * HOUR, "task_done", box, 0)
    story.truck(0, 2).receive(0, 2).move(2 * HOUR, 2, IN, STORE.pick_station)
    story.truck(0, 3).receive(0, 3).truck(9 * HOUR, 4).receive(9 * HOUR, 4)
    found = KPIS["performance_availability"].function(story.run(10 * HOUR))
    # Orders: 1 of 3 judged; boxes: 2 of 4 judged.
    assert found == {"value": 3 / 7, "n": 7, "parts": {"orders": 1 / 3, "put_aways": 2 / 4}}


@given(lives(), st.integers(-40, 60), st.integers(1, 60))
def test_accuracy_agrees_with_a_walk(rows, start, span):
    """The time means are what comparing truth and record at every single instant gives."""
    rows = [row for row in rows if row[0] < start + span]
    layout = small_layout()
    told = []
    for row in rows:
        told.append(row)
        if row[1] == f.BOX_CREATED and (place := row[7]) != layout.truck:
            told.append((row[0], f.BOX_MOVED, row[2], layout.outside, place, NONE, NONE, NONE, NONE, place))
    run = Story().run(start + span, start, layout=layout, rows=told)
    wrong_slot_ms, wrong, counted, wrong_meters, meters = 0, 0, 0, 0, 0
    away = (layout.truck, layout.outside, layout.handed_over)
    for t in range(start, start + span):
        bad = set()
        for seen in replayed(told, layout, t).values():
            truly, on_record = seen.truth.at[0], seen.record.at[0]
            inside = [
                (side.at[0], side.meters) for side in (seen.truth, seen.record) if side.at[0] not in away
            ]
            counted += bool(inside)
            wrong += bool(inside) and truly != on_record
            bad |= {truly, on_record} if truly != on_record else set()
            here = set().union(*(side for _, side in inside))
            meters += len(here)
            agreed = seen.truth.meters & seen.record.meters if truly == on_record and inside else set()
            wrong_meters += len(here) - len(agreed)
        wrong_slot_ms += sum(place < layout.slots for place in bad)
    expected = {
        "location": 1 - wrong_slot_ms / (layout.slots * span),
        "box": 1 - wrong / counted if counted else None,
        "meter": 1 - wrong_meters / meters if meters else None,
    }
    for what, share in expected.items():
        found = value(f"record_accuracy_{what}", run)
        assert found is None if share is None else found == pytest.approx(share, abs=1e-12), what


# What limits the store


def test_limits_names_what_orders_wait_for():
    """The sentence says how busy robots and people are and where orders spend their time."""
    # Robot: 8 of 40 s; people 9 of 80 s. Of the order's 20 s, 3 + 2 + 7 are work; 3 s each are spent waiting
    # for a robot and for people, 2 s for stock.
    assert limits(order_story().run(40_000)) == (
        "Nothing works near its limit: the robot is busy 20 % of shift time and people 11 %; "
        "an order is worked on for 60 % of its time and waits longest for a robot (15 %)."
    )


def test_limits_names_a_busy_robot():
    """A robot that is hardly ever idle limits the store."""
    story = order_story().robot(20_000, f.WORKING, 30_000, 200_000)
    assert limits(story.run(200_000)).startswith(
        "The robot limits the store: the robot is busy 94 % of shift time"
    )


def test_limits_tells_room_from_put_away():
    """Boxes in the flat store mean too little room when no slot could be named, else too slow a put-away."""
    story = Story().tell(2_000, "staging_overflow", 0)
    assert limits(story.run(9_000)) == (
        "Put-away limits the store: the robot is busy 0 % of shift time and people 0 %; "
        "1 box found staging full and went to the flat store."
    )
    story.tell(1_000, "allocation_failed", 0, 0)
    assert limits(story.run(9_000)).startswith("Room in the racks limits the store: ")


def test_limits_counts_orders_that_pile_up():
    """Open orders that grow are said."""
    story = order_story()
    for order in range(1, 9):
        story.tell(5_000, "order_released", order, 0, 9_000, 1)
    assert "orders pile up, from 1 open at the start to 8 at the end" in limits(story.run(40_000))


# Laws


def test_little_holds_on_every_buffer():
    """Mean number = arrival rate x mean stay, each computed in its own way, in any window."""
    for story in (order_story(), put_away_story()):
        for start, end in ((0, 40_000), (3_000, 9_500), (10_000, 30_000)):
            for name, buffer in buffers(story.run(end, start)).items():
                product = buffer.arrivals_per_s * buffer.mean_stay_s
                assert buffer.mean_number == pytest.approx(product, abs=1e-12), name
    slots = buffers(order_story().run(40_000))["slots"]
    # Two boxes, in their slots for 4 and 10 s of 40.
    assert slots == (14 / 40, 2 / 40, 7.0)


def test_a_real_run_adds_up():
    """In a run of the model every split sums to its time, meters are kept, and Little's law holds."""
    scenario = Scenario.model_validate({"time": {"days": 8, "warmup_days": 1}, "robots": {"count": 2}})
    run = RunFacts.of(simulate(scenario, 3))
    computed = compute(run)
    json.dumps(computed, allow_nan=False)
    assert computed["orders"]["value"] > 20
    tasks, orders = run.tasks, run.finished_orders
    assert np.array_equal(run.task_causes.sum(axis=1), tasks["end"] - tasks["start"])
    assert np.array_equal(run.order_causes.sum(axis=1), orders["end"] - orders["start"])
    assert (run.order_causes >= 0).all()
    assert sum(computed["time_by_cause_s"]["parts"].values()) == pytest.approx(run.shift_ms / 1000)
    for name, buffer in buffers(run).items():
        assert buffer.mean_number == pytest.approx(buffer.arrivals_per_s * buffer.mean_stay_s), name
    # Meters that entered = meters on trucks and in the store + meters picked or issued, over the whole run.
    stays = run.stays
    here = is_last(stays["box"]) & ~np.isin(stays["place"], [run.layout.handed_over, run.layout.outside])
    whole = stays["meters"][is_last(stays["box"]) & (stays["place"] == run.layout.handed_over)].sum()
    picked = bits(run.table("meters_picked")["mask"]).sum()
    assert run.boxes["meters"].sum() == stays["meters"][here].sum() + whole + picked


@st.composite
def robot_days(draw):
    """Tasks that wander between two robots whose stretches are drawn at random."""
    story = Story()
    for robot in range(2):
        time = 0
        for activity in draw(st.lists(st.integers(0, len(f.ACTIVITIES) - 1), min_size=1, max_size=12)):
            lasts, arrive = draw(st.integers(0, 50)), draw(st.integers(0, 60))
            works = activity in (f.WORKING, f.DIGGING)
            story.robot(time, activity, time + arrive if works else NONE, NONE, robot)
            time += lasts
    for task in range(draw(st.integers(1, 5))):
        story.stock(task, 0)
        times = sorted(draw(st.lists(st.integers(0, 300), min_size=3, max_size=7)))
        story.task(times[0], task, draw(st.integers(0, 4)), task, 0, OUT, NONE)
        middle = times[1:-1] if len(times) % 2 else times[1:-2]  # assigned, returned, assigned, ...
        for number, time in enumerate(middle):
            if number % 2:
                story.tell(time, "task_returned", task, 0)
            else:
                story.tell(time, "task_assigned", task, draw(st.integers(0, 1)), 0)
        story.tell(times[-1], "task_done", task, 0)
    return story


@given(robot_days(), st.integers(0, 150), st.integers(150, 400))
def test_causes_sum_to_clock_time(story, start, end):
    """Whatever robots and tasks do, causes sum to the clock time of each task and of each robot."""
    story.rows = [row for row in story.rows if row[0] <= end]
    run = story.run(end, start, robots=2)
    assert (run.task_causes >= 0).all()
    assert np.array_equal(run.task_causes.sum(axis=1), run.tasks["end"] - run.tasks["start"])
    spent = KPIS["time_by_cause_s"].function(run)
    if end > start:
        assert sum(spent["parts"].values()) == pytest.approx((end - start) / 1000)


@given(robot_days(), st.integers(0, 300), st.integers(0, 300))
def test_robot_time_agrees_with_the_plain_sum(story, a, b):
    """The differences of cumulative times are what adding up overlaps one by one gives."""
    a, b = min(a, b), max(a, b)
    run = story.run(400, robots=2)
    for robot in range(2):
        plain = [0] * len(ROBOT_CAUSES)
        for r, cause, s, e in zip(
            *(run.segments[k].tolist() for k in ("robot", "cause", "start", "end")), strict=True
        ):
            plain[cause] += max(0, min(e, b) - max(s, a)) if r == robot else 0
        assert run.robot_ms(np.array([robot]), np.array([a]), np.array([b]))[0].tolist() == plain


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 9), st.integers(-1, 1)), max_size=40))
def test_sums_before_and_below(rows):
    """The wavelet sum is what adding up row by row gives."""
    times, keys, weight = (np.array([row[k] for row in rows], np.int64) for k in range(3))
    plain = [
        sum(w for s, k, w in rows if (s, w == 0) <= (t, v == 0) and s <= t and k < key) for t, key, v in rows
    ]
    found = _sum_before_and_below(times, keys, weight)
    assert found[weight == 0].tolist() == np.array(plain, np.int64)[weight == 0].tolist()


intervals = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 40)), max_size=20)


@given(intervals)
def test_joined_intervals_cover_the_same(drawn):
    """Joining keeps what is covered, group by group, and leaves no overlap."""
    columns = [np.array([row[k] for row in drawn], np.int64) for k in range(3)]
    columns[2] = columns[1] + columns[2]
    covered = {(g, t) for g, a, b in zip(*(c.tolist() for c in columns), strict=True) for t in range(a, b)}
    joint = list(zip(*(c.tolist() for c in joined(*columns)), strict=True))
    assert {(g, t) for g, a, b in joint for t in range(a, b)} == covered
    assert sum(b - a for _, a, b in joint) == len(covered)


@given(intervals, st.integers(0, 90), st.integers(0, 90))
def test_steps_count_what_overlaps(drawn, a, b):
    """A step function gives the number of intervals at an instant, its mean and its greatest value."""
    a, b = min(a, b), max(a, b) + 1
    start = np.array([row[1] for row in drawn], np.int64)
    end = start + np.array([row[2] for row in drawn], np.int64)
    count = [int(((start <= t) & (t < end)).sum()) for t in range(a, b)]
    line = steps(start, end)
    assert line.at(np.arange(a, b)).tolist() == count
    assert line.mean(a, b) == pytest.approx(sum(count) / (b - a))
    assert line.most(a, b) == max(count)


def test_steps_of_nothing():
    """A quantity that never changes is 0 everywhere."""
    nothing = Steps(np.empty(0, np.int64), np.empty(0, np.int64))
    assert nothing.mean(0, 10) == 0.0
    assert nothing.most(0, 10) == 0


def test_working_time_agrees_with_the_calendar():
    """The vectorised working time is that of the calendar at every minute of two weeks."""
    params = CalendarParams(shifts=[("08:00", "12:00"), ("14:30", "18:00")], holidays=[date(2026, 3, 4)])
    run = Story().run(14 * 24 * HOUR, calendar=params)
    times = np.arange(0, run.end_ms, 60_000)
    assert run.open_before(times).tolist() == [run.calendar.open_ms(0, int(t)) for t in times]
    assert run.shift_ms == run.calendar.open_ms(0, run.end_ms)
