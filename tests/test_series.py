"""Lines over time and the figures of an instant: by hand on small stores, by brute force on random ones."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim import control, series
from sim import facts as f
from sim.calendar import DAY_MS, WorkCalendar
from sim.following import Followed
from sim.history import state_at
from sim.kpis import KPIS, RunFacts, compute
from sim.scenario import from_dict, load
from sim.series import (
    LEAD_H,
    MOST_POINTS,
    ROBOT_STATES,
    SERIES,
    Course,
    Series,
    Window,
    figures,
    limits_now,
    sample,
)
from sim.simulation import Simulation
from sim.tables import ROBOT_CAUSES
from sim.trace import Trace
from tests.test_flows import small_scenario
from tests.test_invariants import ALWAYS, one_of
from tests.test_kpis import HOUR, IN, NONE, OUT, R0, START, STORE, Story
from tests.worlds import ERRORS_ON, World

MIN = 60_000
CARDS = ("occupancy", "queue", "boxes_per_h", "robot_utilisation", "lead_time", "over_age", "alerts")
SHIFTS = {"shifts": [["08:00", "12:00"], ["13:00", "18:00"]], "weekdays": ["mon", "tue", "wed", "thu", "fri"]}


def scenario_of(**sections):
    """A scenario of the store of `test_kpis`: 4 slots of 2 boxes, one robot, two people, always open."""
    data = {
        "calendar": ALWAYS,
        "people": {"count": 2},
        "robots": {"count": 1},
        "demand": {"orders_per_day": 0},
    }
    for name, section in sections.items():
        data[name] = {**data.get(name, {}), **section}
    return from_dict(data)


def window_of(rows, t_ms, scenario=None, layout=STORE):
    """A window on written facts, in the order of time."""
    trace = Trace(15)
    for row in sorted(rows, key=lambda row: row[0]):
        trace.record(row)
    scenario = scenario or scenario_of()
    return Window(trace, scenario, layout, WorkCalendar(scenario.calendar, START), t_ms)


def window_on(run, t_ms=None, trace=None):
    """A window on a simulation: up to the instant before which it stands."""
    t_ms = run.now_ms - 1 if t_ms is None else t_ms
    return Window(trace or run.trace, run.scenario, run.layout, run.calendar, t_ms)


def value(window, name, t_ms):
    """The value of a series at one instant."""
    found = sample(window, name, t_ms, t_ms, 1)
    assert found["min"] == found["max"] == found["last"]
    return found["last"][0]


def lasting(window, name, from_ms, to_ms):
    """The steps of a series as (minute, value)."""
    found = sample(window, name, from_ms, to_ms, MOST_POINTS)
    assert found["step_s"] is None
    assert found["min"] == found["max"] == found["last"]
    return [(t / 60, v) for t, v in zip(found["t_s"], found["last"], strict=True)]


# -- the choices ---------------------------------------------------------------------------------------------


def test_every_series_explains_itself():
    """A series has a sentence that ends, a unit and a direction."""
    for name, each in SERIES.items():
        assert each.sentence.endswith("."), name
        assert each.unit, name
        assert each.better in ("more", "less", "neither"), name


def test_names_that_others_rely_on():
    """The series of the live page are there by their names."""
    assert set(SERIES) == {
        "occupancy", "meters", "queue", "oldest_task_s", "boxes_in_per_h", "boxes_out_per_h",
        "robot_utilisation", "robot_states", "open_orders", "late_orders_open", "lead_time_p50_s",
        "lead_time_p90_s", "lead_time_p95_s", "staging", "over_age_150", "over_age_180", "fault_robots",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("ocupancy", 0, 9, 5), "expected a series, found 'ocupancy', did you mean 'occupancy'?"),
        (("queue", 9, 8, 5), "expected an end not before the start at 9 ms, found 8 ms"),
        (("queue", 0, 9, 0), "expected points from 1 to 2,000, found 0"),
        (("queue", 0, 9, 2001), "expected points from 1 to 2,000, found 2,001"),
        (("queue", 11, 12, 5), "expected a part of 0 to 10 ms, found 11 to 12 ms"),
        (("queue", -9, -2, 5), "expected a part of 0 to 10 ms, found -9 to -2 ms"),
    ],
)
def test_wrong_questions_are_refused(asked, says):
    """What cannot be answered is refused in words."""
    with pytest.raises(ValueError, match="expected") as error:
        sample(window_of([], 10), *asked)
    assert str(error.value) == says


# -- one day by hand -----------------------------------------------------------------------------------------


def one_day():
    """A box comes and is put away, an order is served late by one robot.

    Minutes: 10 truck, 20 scan and put-away, taken at 30, stored at 31 (it drives for half a minute); 60 an
    order of one box, due at 90, taken at 61, out of the slot at 62, at the port at 63, handed over at 100.
    """
    story = Story().stock(1, 0, age=149).stock(2, 0, age=180)
    story.robot(0, f.IDLE)
    story.truck(10 * MIN, 3).receive(20 * MIN, 3)
    story.task(20 * MIN, 0, f.PUT_AWAY, 3, IN, 1)
    story.tell(30 * MIN, "task_assigned", 0, 0, 0).robot(30 * MIN, f.WORKING, 30 * MIN + 30_000, 31 * MIN)
    story.move(30 * MIN + 30_000, 3, IN, R0, 0, 0).move(31 * MIN, 3, R0, 1, 0, 0)
    story.tell(31 * MIN, "task_done", 0, 0).robot(31 * MIN, f.IDLE)
    story.tell(60 * MIN, "order_released", 0, 0, 90 * MIN, 1).tell(60 * MIN, "order_line", 0, 0, 0, 15)
    story.tell(60 * MIN, "box_reserved", 1, 0, 0, 15).task(60 * MIN, 1, f.ISSUE, 1, 0, OUT, 0)
    story.tell(61 * MIN, "task_assigned", 1, 0, 1).robot(61 * MIN, f.WORKING, 61 * MIN + 30_000, 62 * MIN)
    story.move(62 * MIN, 1, 0, R0, 0, 1).robot(62 * MIN, f.WORKING, 63 * MIN, 63 * MIN)
    story.move(63 * MIN, 1, R0, OUT, 0, 1).tell(63 * MIN, "task_done", 1, 0).robot(63 * MIN, f.IDLE)
    story.tell(95 * MIN, "person_work", 0, f.CHECK, 100 * MIN, 1, 0)
    story.tell(100 * MIN, "meters_issued", 1, 0, (1 << 15) - 1).move(100 * MIN, 1, OUT, STORE.handed_over)
    story.tell(100 * MIN, "order_handed_over", 0, 15, 10 * MIN)
    return story.rows


DAY_BY_HAND = {
    # 2 of 8 places at first, 3 from the set-down, 2 again from the pick.
    "occupancy": [(0, 0.25), (31, 0.375), (62, 0.25)],
    # Two boxes of 15; the third counts from its scan, the first until it is handed over.
    "meters": [(0, 30), (20, 45), (100, 30)],
    "queue": [(0, 0), (20, 1), (30, 0), (60, 1), (61, 0)],
    "boxes_in_per_h": [(0, 0), (20, 1), (80, 0)],
    "boxes_out_per_h": [(0, 0), (100, 1), (160, 0)],
    "open_orders": [(0, 0), (60, 1), (100, 0)],
    # Late from the first millisecond after its due time.
    "late_orders_open": [(0, 0), (90 + 1 / MIN, 1), (100, 0)],
    # 40 minutes from release to hand-over, for 8 hours from then on.
    "lead_time_p50_s": [(0, None), (100, 2400), (580, None)],
    "lead_time_p90_s": [(0, None), (100, 2400), (580, None)],
    "lead_time_p95_s": [(0, None), (100, 2400), (580, None)],
    "staging": [(0, 0)],
    # Box 2 is old all the time; box 1 would be from midnight on, but has left.
    "over_age_150": [(0, 15)],
    # 180 days are within the limit, 181 of the next day are not.
    "over_age_180": [(0, 0), (1440, 15)],
    "fault_robots": [(0, 0)],
}


@pytest.mark.parametrize("name", DAY_BY_HAND)
def test_steps_of_one_day(name):
    """Each series has its steps where things happen."""
    window = window_of(one_day(), 2 * DAY_MS)
    found = lasting(window, name, 0, 2 * DAY_MS)
    assert found == [(pytest.approx(t), v) for t, v in DAY_BY_HAND[name]]


def test_oldest_task_grows():
    """The age of the oldest task grows while it waits; a bucket has its peak just before the end."""
    window = window_of(one_day(), 2 * DAY_MS)
    assert value(window, "oldest_task_s", 25 * MIN) == 300
    found = sample(window, "oldest_task_s", 15 * MIN, 35 * MIN, 2)
    # From 15 to 25 min it grows from nothing to 5 min less 1 ms; until 30 min to 10 min less 1 ms.
    assert (found["t_s"], found["step_s"]) == ([900.0, 1500.0], 600.0)
    assert (found["min"], found["max"], found["last"]) == ([0, 0], [300, 600], [300, 0])


def test_oldest_of_several_tasks():
    """A task that a robot gives back is as old as it was; the next oldest counts once it is taken."""
    story = Story()
    for task, minute in ((0, 0), (1, 5), (2, 7)):
        story.task(minute * MIN, task, f.ISSUE, task, 0, OUT)
    story.tell(10 * MIN, "task_assigned", 0, 0, 0).tell(12 * MIN, "task_returned", 0, 0)
    story.tell(15 * MIN, "task_assigned", 0, 0, 0).tell(20 * MIN, "task_cancelled", 1)
    window = window_of(story.rows, 30 * MIN)
    ages = [value(window, "oldest_task_s", minute * MIN) / 60 for minute in (0, 9, 11, 13, 16, 21)]
    #               created at: 0  0  5  0   5   7
    assert ages == [0, 9, 6, 13, 11, 14]
    assert [value(window, "queue", minute * MIN) for minute in (6, 8, 11, 13, 16, 21)] == [2, 3, 2, 3, 2, 1]


def test_utilisation_looks_back_an_hour():
    """Utilisation is the busy share of the last hour, in the first hour of what there is."""
    window = window_of(one_day(), 2 * DAY_MS)
    expected = {
        0: None,  # no time yet
        30: 0.0,
        31: round(1 / 31, 4),
        60: round(1 / 60, 4),
        63: round(3 / 60, 4),
        # The minute from 30 to 31 has half left the hour.
        90.5: round(2.5 / 60, 4),
        123: 0.0,
    }
    found = {minute: value(window, "robot_utilisation", round(minute * MIN)) for minute in expected}
    assert found == expected


def test_states_of_one_robot():
    """A robot's states follow one another, and the first begins with the stretch that is asked for."""
    window = window_of(one_day(), 2 * DAY_MS)
    found = sample(window, "robot_states", 10 * MIN, 70 * MIN, 10)
    assert found == {
        "name": "robot_states", "unit": "state", "from_s": 600.0, "to_s": 4200.0, "step_s": None,
        "states": ["idle", "move", "handle", "charge", "wait", "fault"],
        "robots": [{
            "robot": 0,
            "t_s": [600.0, 1800.0, 1830.0, 1860.0, 3660.0, 3690.0, 3720.0, 3780.0],
            "state": ["idle", "move", "handle", "idle", "move", "handle", "move", "idle"],
        }],
    }  # fmt: skip


def test_states_in_buckets():
    """Where a robot does more than there are points, buckets tell the share of each state."""
    window = window_of(one_day(), 2 * DAY_MS)
    found = sample(window, "robot_states", 0, 70 * MIN, 2)
    # In 35 minutes half a minute each of driving and handling; then 1.5 minutes and half a minute.
    assert found["step_s"] == 2100.0
    [robot] = found["robots"]
    assert robot["t_s"] == [0.0, 2100.0]
    assert robot["share"] == {
        "idle": [round(34 / 35, 4), round(33 / 35, 4)], "move": [round(0.5 / 35, 4), round(1.5 / 35, 4)],
        "handle": [round(0.5 / 35, 4)] * 2, "charge": [0.0] * 2, "wait": [0.0] * 2, "fault": [0.0] * 2,
    }  # fmt: skip


def test_figures_by_hand():
    """The cards while the robot fetches the box of the order."""
    found = figures(window_of(one_day(), 62 * MIN))
    # Of the last hour the robot drove for a minute and handled for a minute.
    shares = {name: {"move": 0.017, "handle": 0.017, "idle": 0.967}.get(name, 0.0) for name in ROBOT_STATES}
    assert {name: found[name] for name in CARDS[:-1]} == {
        "occupancy": {
            "value": 0.25, "unit": "share", "boxes": 2, "places": 8, "meters": 45, "meters_capacity": 120,
            "state": "ok",
        },
        "queue": {
            "value": 0, "unit": "tasks", "oldest_s": None, "state": "ok",
            "by_class": {"issue": 0, "put_away": 0, "loose_return": 0, "empties": 0, "count": 0},
        },
        "boxes_per_h": {"in": 1, "out": 0, "unit": "boxes/h", "window_s": 3600, "state": "ok"},
        "robot_utilisation": {
            "value": 0.033, "unit": "share", "robots": 1, "by_state": shares, "state": "ok",
        },
        "lead_time": {
            "value": None, "unit": "s", "p50": None, "p90": None, "p95": None, "n": 0, "window_h": 24,
            "late": 0, "late_open": 0, "state": "ok",
        },
        "over_age": {
            "value": 15, "unit": "meters", "state": "warn",
            "old": {"days": 150, "meters": 15, "boxes": 1}, "too_old": {"days": 180, "meters": 0, "boxes": 0},
        },
    }  # fmt: skip
    assert found["t_s"] == 3720.0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_figures_of_an_empty_run():
    """Before anything has happened there are noughts and nulls, and nothing fails."""
    found = figures(window_of([], 0))
    assert found["robot_utilisation"]["value"] is None
    assert found["robot_utilisation"]["by_state"] == dict.fromkeys(ROBOT_STATES)
    assert found["lead_time"]["value"] is None
    json.dumps(found, allow_nan=False)
    assert limits_now(window_of([], 0)).endswith(".")
    for name in SERIES:
        json.dumps(sample(window_of([], 0), name, -HOUR, HOUR, 600), allow_nan=False)


def test_lead_time_falls_back():
    """Where nothing was handed over in the last 8 hours the card tells of the last 24, and says so."""
    for hours, expected in ((1.7, (8, 2400)), (9.6, (8, 2400)), (9.7, (24, 2400)), (25.7, (24, None))):
        card = figures(window_of(one_day(), round(hours * HOUR)))["lead_time"]
        assert (card["window_h"], card["value"]) == expected, hours


def test_lead_time_quantiles():
    """Quantiles lie between two values in proportion, as those of the KPIs."""
    story = Story()
    for order, took in enumerate((10, 20, 30, 40, 50)):
        story.tell(0, "order_released", order, 0, HOUR, 1)
        story.tell(took * MIN, "order_handed_over", order, 15, 0)
    card = figures(window_of(story.rows, HOUR))["lead_time"]
    # 90 % lie at place 3.6 from 0 to 4: 40 + 0.6 x 10 minutes; 95 % at 3.8.
    assert (card["p50"], card["p90"], card["p95"], card["n"]) == (1800, 2760, 2880, 5)


# -- what the records say ------------------------------------------------------------------------------------


def in_world(world, t_ms=None, **sections):
    """A window on a world at work."""
    data = {"layout": {"profile": "uniform", "rows": 1, "columns": 2, "levels": 2, "boxes_per_slot": 2}}
    scenario = scenario_of(**data, **sections)
    return window_of(world.rows, world.env.now if t_ms is None else t_ms, scenario, world.layout)


def small_world(**parts):
    return World(rows=1, columns=2, levels=2, boxes_per_slot=2, single_sided=True, **parts)


def test_missing_box_counts_until_missed():
    """A box that is gone from its slot counts there until a robot misses it, and then nowhere."""
    world = small_world(records=ERRORS_ON)
    box = world.stock_box("1-01-1")
    world.stock_box("1-01-2")
    world.misplace(box, "1-02-1")
    world.at(10 * MIN, lambda: world.order(15)).run(600 + 3600)
    [miss] = world.facts("discrepancy")
    assert miss["time"] > 10 * MIN
    window = in_world(world)
    assert lasting(window, "occupancy", 0, miss["time"])[-2:] == [(0, 0.25), (miss["time"] / MIN, 0.125)]
    truth = [box for box in range(2) if world.stock.place[box] < world.layout.slots]
    # The order got the other box, the one that is missed stands where nobody knows.
    assert truth == [0]
    card = figures(window)["occupancy"]
    assert (card["boxes"], card["meters"]) == (0, 0)


def test_lost_meters_count_until_seen():
    """Meters that were taken unnoticed count until somebody opens the box."""
    world = small_world(records=ERRORS_ON)
    box = world.stock_box("1-01-1")
    world.lose(box, 0b11)
    world.at(10 * MIN, lambda: world.order(1)).run(600 + 3600)
    [seen] = world.facts("meters_recorded")
    [picked] = world.facts("meters_picked")
    window = in_world(world)
    steps_of_meters = lasting(window, "meters", 0, world.env.now)
    assert steps_of_meters == [(0, 15), (seen["time"] / MIN, 13 if picked["time"] > seen["time"] else 12)] + (
        [(picked["time"] / MIN, 12)] if picked["time"] > seen["time"] else []
    )
    assert figures(window)["occupancy"]["meters"] == 12


def test_nothing_uses_the_truth():
    """Without any fact that only the truth knows, and with boxes truly elsewhere, every answer is the same."""
    run = Simulation(load("tiny", [
        "time.days=3", "records.scale=1000", "records.wrong_slot=0.0003", "records.lost_message=0.0003",
        "records.short_packed=0.0003", "records.unrecorded_removal=0.0005", "records.damage=0.0003",
        "demand.orders_per_day=40", 'supply.review_weekdays=["mon", "tue"]', "counting.plan=cyclic",
    ]))  # fmt: skip
    run.finish()
    assert np.unique(run.trace.table("error_made")["cause"]).size >= 4
    blind = Trace(15)
    for row in run.trace.rows():
        if row[1] == f.BOX_MOVED:  # time, kind, box, from_place, to_place, column, tier, ...
            row = (*row[:3], run.layout.outside, run.layout.outside, 0, 0, *row[7:])
        if row[1] not in (f.ERROR_MADE, f.ERROR_FOUND, f.METERS_DAMAGED):
            blind.record(row)
    for hours in (9.5, 33.2, 57.9, 71.9):
        t = round(hours * HOUR)
        seeing, unseeing = window_on(run, t), window_on(run, t, blind)
        assert figures(seeing) == figures(unseeing)
        assert limits_now(seeing) == limits_now(unseeing)
        for name in SERIES:
            assert sample(seeing, name, 0, t, 300) == sample(unseeing, name, 0, t, 300), name


# -- words for how it stands ---------------------------------------------------------------------------------


def state_of(card, rows, t_ms=HOUR, scenario=None):
    return figures(window_of(rows, t_ms, scenario))[card]["state"]


def test_occupancy_warns():
    """A store in which the next truck finds no room warns, a full one alarms."""
    layout = World(rows=1, columns=5, levels=2, boxes_per_slot=10, single_sided=True).layout
    for boxes, state in ((93, "ok"), (94, "warn"), (98, "warn"), (99, "alarm")):
        story = Story()
        for box in range(boxes):
            story.stock(box, box // 10)
        window = window_of(story.rows, 0, None, layout)
        assert figures(window)["occupancy"]["state"] == state, boxes


@pytest.mark.parametrize(("minutes", "state"), [(29, "ok"), (30, "warn"), (239, "warn"), (240, "alarm")])
def test_queue_warns(minutes, state):
    """A task that waits for half an hour warns, one that waits for four hours alarms."""
    story = Story().task(0, 0, f.ISSUE, 1, 0, OUT)
    assert state_of("queue", story.rows, minutes * MIN) == state


def test_queue_minds_shifts_and_counts():
    """Waiting counts in shifts only, and counts may wait."""
    story = Story().task(18 * HOUR - 20 * MIN, 0, f.PUT_AWAY, 1, 0, OUT)
    for hours, state in ((18, "ok"), (32, "ok"), (32.2, "warn")):
        assert state_of("queue", story.rows, round(hours * HOUR), scenario_of(calendar=SHIFTS)) == state, (
            hours
        )
    story = Story().task(0, 0, f.COUNT, NONE, 0, 0)
    card = figures(window_of(story.rows, 9 * HOUR))["queue"]
    assert (card["state"], card["value"], card["oldest_s"]) == ("ok", 1, 9 * 3600)


def test_standstill_warns():
    """Nothing in or out for an hour of shift warns where work has waited all the time, and not at night."""
    story = Story().task(0, 0, f.ISSUE, 1, 0, OUT)
    assert state_of("boxes_per_h", story.rows, HOUR - 1) == "ok"
    assert state_of("boxes_per_h", story.rows, HOUR) == "warn"
    assert state_of("boxes_per_h", story.rows, HOUR, scenario_of(calendar=SHIFTS)) == "ok"
    assert state_of("boxes_per_h", story.truck(0, 3).receive(MIN, 3).rows, HOUR) == "ok"


@pytest.mark.parametrize(("busy", "state"), [(50, "ok"), (51, "warn"), (58, "warn"), (59, "alarm")])
def test_utilisation_warns(busy, state):
    """A robot that is busy for 51 of 60 minutes warns, for 59 alarms."""
    story = Story().robot(0, f.WORKING, busy * MIN, busy * MIN).robot(busy * MIN, f.IDLE)
    assert state_of("robot_utilisation", story.rows) == state


def test_late_orders_warn():
    """A late order warns; more than one in twenty alarms, as the 95th percentile is then late."""
    story = Story()
    for order in range(20):
        story.tell(0, "order_released", order, 0, 10 * MIN, 1)
    for order in range(20):
        story.tell((9 + order % 2) * MIN, "order_handed_over", order, 15, 0)
    assert state_of("lead_time", story.rows) == "ok"
    waiting = Story()
    waiting.rows = [*story.rows, (0, f.ORDER_RELEASED, 20, 0, 10 * MIN, 1)]
    assert state_of("lead_time", waiting.rows, 10 * MIN) == "ok"
    assert state_of("lead_time", waiting.rows, 10 * MIN + 1) == "warn"
    late = [(30 * MIN, f.ORDER_HANDED_OVER, 20, 15, 20 * MIN)]
    assert state_of("lead_time", waiting.rows + late) == "warn"  # 1 of 21
    assert state_of("lead_time", [row for row in waiting.rows if row[2] > 1] + late) == "alarm"  # 1 of 19


def test_old_stock_warns():
    """Old stock warns, stock too old for issue alarms."""
    for age, state in ((149, "ok"), (150, "warn"), (180, "warn"), (181, "alarm")):
        assert state_of("over_age", Story().stock(1, 0, age=age).rows) == state, age


QUIET = {"demand": {"orders_per_day": 0}}


def alerts_of(rows, **sections):
    return figures(window_of(rows, HOUR, scenario_of(**{**QUIET, **sections})))["alerts"]


def test_alerts_are_counted():
    """Alerts of the stock are counted by kind and level, beside robots down and slots out of use."""
    story = Story().stock(1, 0, age=150).stock(2, 0, age=181, sku=1)
    assert alerts_of(Story().stock(1, 0).rows)["state"] == "ok"
    story.tell(0, "slot_held", 1, 1).tell(1, "slot_held", 2, 1).tell(2, "slot_held", 1, 0)
    story.tell(0, "slot_blocked", 3, 1)
    found = alerts_of(story.rows)
    assert found == {
        "value": 4, "unit": "alerts", "yellow": 1, "red": 1, "robots_down": 0, "slots_held": 1, "slots_blocked": 1,
        "by_kind": {
            "age": {"yellow": 1, "red": 1}, "safety": {"yellow": 0, "red": 0},
            "capacity": {"yellow": 0, "red": 0},
        },
        "staging": {"places_taken": 0, "places": 150, "is_full": False}, "state": "alarm",
    }  # fmt: skip


def test_robot_down_warns():
    """A robot out of order warns, the last one alarms."""
    story = Story().robot(0, f.IDLE).robot(0, f.IDLE, robot=1).robot(MIN, f.FAULT)
    one = alerts_of(story.rows, robots={"count": 2})
    assert (one["robots_down"], one["value"], one["state"]) == (1, 1, "warn")
    assert alerts_of(story.rows)["state"] == "alarm"
    window = window_of(story.rows, HOUR)
    assert lasting(window, "fault_robots", 0, HOUR) == [(0, 0), (1, 1)]


def test_full_staging_alarms():
    """Staging is full when boxes and nests of empty ones take all its places."""
    story = Story().truck(0, 3).receive(MIN, 3, to=STORE.staging).tell(MIN, "empties", STORE.staging, 5)
    for places, is_full in ((4, False), (3, True)):
        found = alerts_of(story.rows, staging={"boxes": places})
        # One box, and 5 empty ones that stand nested by 4: 3 places.
        assert found["staging"] == {"places_taken": 3, "places": places, "is_full": is_full}
        assert found["state"] == ("alarm" if is_full else "ok")
    assert lasting(window_of(story.rows, HOUR), "staging", 0, HOUR) == [(0, 0), (1, 1)]


# -- what limits the store -----------------------------------------------------------------------------------


def test_robot_limits():
    """A robot that worked all the hour is the limit."""
    story = Story().robot(0, f.WORKING, 2 * HOUR, 2 * HOUR).task(26 * MIN, 0, f.ISSUE, 1, 0, OUT)
    story.task(30 * MIN, 1, f.ISSUE, 2, 0, OUT)
    assert limits_now(window_of(story.rows, HOUR)) == (
        "The robot limits the store: the robot was busy 100 % of the last hour and people 0 % of their shift time;"
        " 2 tasks wait, the oldest for 34 min."
    )


def test_people_limit():
    """People whose hands are never free are the limit; what began before the hour counts in it."""
    story = Story().robot(0, f.IDLE)
    for person in (0, 1):
        story.tell(0, "person_work", person, f.RECEIVE, 10 * MIN, 3, NONE)
        story.tell(10 * MIN, "person_work", person, f.RECEIVE, 3 * HOUR, 3, NONE)
    assert limits_now(window_of(story.rows, 2 * HOUR)) == (
        "The people limit the store: the robot was busy 0 % of the last hour and people 100 % of their shift time."
    )


def test_supply_limits():
    """Orders that wait for stock name supply."""
    story = Story().robot(0, f.IDLE)
    for order in (0, 1):
        story.tell(0, "order_released", order, 0, HOUR, 1).tell(0, "order_line", order, 0, 0, 15)
    story.tell(0, "box_reserved", 1, 0, 0, 15).tell(0, "line_short", 1, 0, 15)
    quiet = "the robot was busy 0 % of the last hour and people 0 % of their shift time"
    assert limits_now(window_of(story.rows, HOUR)) == (
        f"Supply limits the store: {quiet}; 1 of 2 open orders is short of stock."
    )
    # The box of the first order is not there, either.
    story.tell(MIN, "box_freed", 1, 0, 15).tell(MIN, "order_short", 0, 0, 15, 1)
    assert limits_now(window_of(story.rows, HOUR)).endswith("2 of 2 open orders are short of stock.")
    story.tell(2 * MIN, "box_reserved", 2, 0, 0, 15).tell(2 * MIN, "box_reserved", 3, 1, 0, 15)
    assert limits_now(window_of(story.rows, HOUR)) == f"Nothing works near its limit: {quiet}."


def test_room_and_put_away_limit():
    """Boxes that found no slot name room, those that found staging full the put-aways."""
    story = Story().robot(0, f.IDLE).tell(MIN, "staging_overflow", 3)
    assert limits_now(window_of(story.rows, HOUR)) == (
        "Put-away limits the store: the robot was busy 0 % of the last hour and people 0 % of their shift time;"
        " 1 box found staging full."
    )
    story.tell(MIN, "allocation_failed", 3, 0).tell(2 * MIN, "allocation_failed", 3, 0)
    assert limits_now(window_of(story.rows, HOUR)).startswith("Room in the racks limits the store: ")
    assert limits_now(window_of(story.rows, HOUR)).endswith(
        "; 1 box found no slot; 1 box found staging full."
    )
    assert limits_now(window_of(story.rows, 2 * HOUR)).startswith("Nothing works near its limit: ")


def test_faults_limit():
    """A robot out of order is named; when it is the last one it is the limit whatever else is."""
    story = Story().robot(0, f.IDLE).robot(0, f.IDLE, robot=1).robot(30 * MIN, f.FAULT)
    assert limits_now(window_of(story.rows, HOUR, scenario_of(robots={"count": 2}))) == (
        "What breaks limits the store: the 2 robots were busy 25 % of the last hour and people 0 % of their shift"
        " time; 1 of 2 robots is out of order."
    )
    assert limits_now(window_of(story.rows, HOUR)).startswith(
        "What breaks limits the store: the robot was busy"
    )


def test_shifts_limit():
    """At night the next shift is named, and it is the limit where something waits."""
    story = Story().robot(0, f.IDLE)
    closed = scenario_of(calendar=SHIFTS)
    # Day 4 is a Friday.
    friday = 4 * DAY_MS + 20 * HOUR
    night = "the robot was busy 0 % of the last hour and the next shift begins on 2026-03-09 at 08:00"
    assert limits_now(window_of(story.rows, friday, closed)) == f"Nothing works near its limit: {night}."
    story.task(friday - 150 * MIN, 0, f.ISSUE, 1, 0, OUT)
    assert limits_now(window_of(story.rows, friday, closed)) == (
        f"The shifts limit the store: {night}; 1 task has waited for 2 h."
    )


def test_no_robot_and_no_people():
    """A store without robots, or without people, says so."""
    story = Story().robot(0, f.IDLE)
    assert limits_now(window_of(story.rows, HOUR, scenario_of(people={"count": 0}))) == (
        "Nothing works near its limit: the robot was busy 0 % of the last hour and there are no people."
    )
    scenario = scenario_of(robots={"count": 0})
    assert limits_now(window_of([], HOUR, scenario)) == (
        "Nothing works near its limit: there is no robot and people 0 % of their shift time."
    )
    assert figures(window_of([], HOUR, scenario))["robot_utilisation"]["value"] is None
    assert lasting(window_of([], HOUR, scenario), "fault_robots", 0, HOUR) == [(0, 0)]
    found = sample(window_of([], HOUR, scenario), "robot_utilisation", 0, HOUR, 2)
    assert found["min"] == found["max"] == found["last"] == [None, None]
    assert sample(window_of([], HOUR, scenario), "robot_states", 0, HOUR, 2)["robots"] == []


# -- buckets -------------------------------------------------------------------------------------------------


@st.composite
def courses(draw):
    """Random courses of steps, or of slopes between jumps, as a list of values by ms, some missing."""
    times = sorted(draw(st.sets(st.integers(0, 60), max_size=12)))
    is_steps = draw(st.booleans())
    values, value_now, slope, missing = [], draw(st.integers(-9, 9)), 0, False
    for t in range(61):
        if t in times:
            value_now, missing = draw(st.integers(-9, 9)), draw(st.booleans())
            slope = 0 if is_steps else draw(st.integers(-2, 2))
        values.append(np.nan if missing else float(value_now))
        value_now += slope
    return Course(np.array(times, np.int64), lambda asked: np.array(values)[asked], is_steps), values


@given(courses(), st.integers(0, 60), st.integers(0, 60), st.integers(1, 40))
def test_buckets_lose_no_extreme(drawn, a, b, points):
    """Each bucket has the extremes of all its milliseconds and the last value; all buckets cover the stretch."""
    course, values = drawn
    a, b = min(a, b), max(a, b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(series.SERIES, "drawn", Series(lambda _: course, "-", "Drawn.", "neither", 0))
        found = sample(window_of([], 60), "drawn", a, b, points)
    starts = [round(t * 1000) for t in found["t_s"]]
    assert starts[0] == a
    assert 1 <= len(starts) <= points
    if found["step_s"] is not None:
        step = round(found["step_s"] * 1000)
        assert starts == [a + k * step for k in range(len(starts))]
        assert starts[-1] <= b <= starts[-1] + step
    else:
        assert course.is_steps
    ends = [*starts[1:], b + 1]
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        inside = [v for v in values[start:end] if v == v]
        assert found["min"][k] == (min(inside) if inside else None)
        assert found["max"][k] == (max(inside) if inside else None)
        last = values[end - 1]
        assert found["last"][k] == (last if last == last else None)


def test_few_steps_are_given_as_they_are():
    """A series of no more steps than buckets is exact; one step more, and it comes in buckets."""
    window = window_of(one_day(), 2 * DAY_MS)
    # Five values of the queue from 0 to 70 minutes.
    exact = sample(window, "queue", 0, 70 * MIN, 5)
    assert (exact["step_s"], exact["t_s"]) == (None, [0.0, 1200.0, 1800.0, 3600.0, 3660.0])
    assert sample(window, "queue", 0, 70 * MIN, 4)["step_s"] == 70 * 60 / 4


def test_stretch_is_cut_to_the_run():
    """What lies before the run and behind the instant is left out."""
    found = sample(window_of(one_day(), 40 * MIN), "queue", -HOUR, 9 * HOUR, 600)
    assert (found["from_s"], found["to_s"], found["t_s"]) == (0.0, 2400.0, [0.0, 1200.0, 1800.0])


@pytest.fixture(scope="module")
def busy_store():
    """Two days of the small store that ships, with two robots that break and are counted around."""
    run = Simulation(load("tiny", [
        "robots.count=2", "robots.passing=true", "faults.scale=1", "faults.mtbf_h=2", "faults.mttr_h=1",
        "demand.orders_per_day=60", "counting.plan=cyclic", "records.scale=300", "initial.fill=0.8",
    ]))  # fmt: skip
    run.finish()
    return run


@pytest.mark.parametrize("name", [name for name in SERIES if name != "robot_states"])
def test_coarse_and_fine_agree(busy_store, name):
    """The extremes of a coarse bucket are those of the fine buckets that make it up."""
    window = window_on(busy_store, 2 * DAY_MS - 1)
    for from_ms, step in ((DAY_MS + 9 * HOUR, 997), (10 * HOUR, 60_000), (DAY_MS + 6 * HOUR, 13)):
        to_ms = from_ms + 1750 * step - 1
        coarse, fine = (sample(window, name, from_ms, to_ms, points) for points in (7, 1750))
        if coarse["step_s"] is None or fine["step_s"] is None:
            continue  # few steps, given as they are
        for k in range(7):
            for which, pick in (("min", min), ("max", max)):
                parts = [v for v in fine[which][250 * k : 250 * (k + 1)] if v is not None]
                assert coarse[which][k] == (pick(parts) if parts else None)
            assert coarse["last"][k] == fine["last"][250 * k + 249]


def test_shares_of_states_add_up(busy_store):
    """Bars in buckets add up to the whole time, and to the bars one after another."""
    window = window_on(busy_store, 2 * DAY_MS - 1)
    a, b = 0, 48 * HOUR - 1
    exact, coarse = (sample(window, "robot_states", a, b, points) for points in (MOST_POINTS, 48))
    assert [robot["robot"] for robot in coarse["robots"]] == [0, 1]
    for whole, parted in zip(exact["robots"], coarse["robots"], strict=True):
        spent = Counter()
        for state, start, end in zip(
            whole["state"], whole["t_s"], [*whole["t_s"][1:], b / 1000], strict=True
        ):
            spent[state] += end - start
        for state in ROBOT_STATES:
            assert sum(parted["share"][state]) * HOUR / 1000 == pytest.approx(spent[state], abs=4), state
        assert all(one != other for one, other in zip(whole["state"], whole["state"][1:], strict=False))


# -- random stores by brute force ----------------------------------------------------------------------------


FAULTY = one_of(
    {},
    {"scale": 1, "mtbf_h": 3, "mttr_h": 1, "clock": "calendar"},
    {"scale": 1, "mtbf_h": 0.3, "mttr_h": 2, "repairers": 2},
)
ERRING = one_of(
    {},
    {"scale": 1000, "wrong_slot": 0.0003, "lost_message": 0.0003, "short_packed": 0.0003},
    {"scale": 1000, "wrong_slot": 0.0008, "unrecorded_removal": 0.0005, "damage": 0.0005},
)
WAITS = st.lists(st.one_of(st.integers(1, HOUR), st.integers(1, 30 * HOUR)), min_size=3, max_size=8)


@st.composite
def small_stores(draw):
    """Small stores with removed meters, laboratory, empties, recalls, errors, counts, faults, people who carry."""
    manual = draw(st.integers(0, 5)) == 0
    data = small_scenario(
        time={"days": 4},
        calendar=draw(one_of(ALWAYS, SHIFTS)),
        initial={"fill": draw(one_of(0.3, 0.9))},
        demand={
            "orders_per_day": draw(one_of(4, 30)), "max_age_days": draw(one_of(20, 25, 180)),
            "due_h": draw(one_of(0.1, 4.0)),
        },
        control={
            "age_alert_days": draw(one_of(10, 18)),
            "recalls": draw(one_of([], [{"day": 1, "at": "10:00", "lot": "largest"}])),
        },
        staging={"boxes": draw(one_of(2, 20))},
        returns=draw(one_of({}, {
            "unused_share": 0.3, "unused_days_min": 1, "unused_days_max": 1, "sku": "old", "share_here": 1.0,
            "removed_days_min": 1, "removed_days_max": 1, "hold_days": 1,
        })),
        reverify=draw(one_of({}, {"on": True, "days_min": 1, "days_max": 2})),
        empties=draw(one_of({}, {"track": True, "days_min": 1, "days_max": 2, "nested": 2})),
        records=draw(ERRING), faults=draw(FAULTY), fallback=draw(one_of({}, {"after_min": 20, "people": 1})),
        counting={"plan": draw(one_of("none", "passive", "triggered", "on-access")), "slots_per_day": 4},
        policy={"decide_at": draw(one_of("receipt", "pickup"))},
        robots={"count": 0 if manual else draw(st.integers(1, 2)), "passing": draw(st.booleans())},
    )  # fmt: skip
    if manual:
        data["operation"] = "manual"
        data["counting"].update(method="bar-code", recount="bar-code")
    return data


def seen_in(run):
    """What the series and the figures should be at the instant before which a simulation stands, one by one."""
    ledger, house, layout, scenario = run.ledger, run.warehouse, run.layout, run.scenario
    t = run.now_ms - 1
    away = (layout.truck, layout.outside, layout.handed_over)
    here = [box for box, place in enumerate(ledger.place) if place not in away]
    today = run.calendar.ordinal(t // DAY_MS)
    ages = {
        control.STATE_CODES[name]
        for name in (
            "qualified_in_stock",
            "reserved",
            "quarantined",
            "surplus_found",
            "overdue_pending_reverify",
        )
    }

    def older(days):
        return sum(
            ledger.mask[box].bit_count()
            for box in here
            if ledger.state[box] in ages and today - ledger.verified_day[box] >= days
        )

    waiting = [task for task in house._task_of.values() if not task.assigned]
    waiting += [task for task in run.fleet.waiting[f.COUNT] if not task.cancelled]
    return {
        "occupancy": sum(column != NONE for column in ledger.column) / layout.boxes,
        "meters": sum(ledger.mask[box].bit_count() for box in here),
        "queue": len(waiting),
        "by_class": [sum(task.kind == kind for task in waiting) for kind in range(5)],
        "oldest_task_s": (t - min((task.created for task in waiting), default=t)) / 1000,
        "open_orders": len(house.orders),
        "late_orders_open": sum(order.due < t for order in house.orders.values()),
        "short": sum(any(line.missing for line in order.lines) for order in house.orders.values()),
        "staging": ledger.place.count(layout.staging),
        "over_age_150": older(scenario.control.age_alert_days),
        "over_age_180": older(scenario.demand.max_age_days + 1),
        "fault_robots": sum(robot.down_since != NONE for robot in run.fleet.robots),
        "held": sum("hold" in why for why in ledger.index._blocked.values()),
        "places_taken": house._staging_used + house.places_for_empties,
    }  # fmt: skip


def told_by(rows, layout, t):
    """What the facts up to an instant say of the hours before it, one row after another."""
    released, came, went, took = {}, 0, 0, {hours: [] for hours in LEAD_H}
    for row in rows:
        time, kind, *fields = row
        if time > t:
            break
        if kind == f.ORDER_RELEASED:
            released[fields[0]] = time
        elif kind == f.BOX_RECEIVED:
            came += time > t - HOUR
        elif kind == f.BOX_MOVED:
            went += time > t - HOUR and fields[7] in (layout.outside, layout.handed_over)
        elif kind == f.ORDER_HANDED_OVER:
            for hours, found in took.items():
                if time > t - hours * HOUR:
                    found.append((time - released[fields[0]]) / 1000)
    return {"boxes_in_per_h": came, "boxes_out_per_h": went, "took": took}


def hour_of(run, t):
    """The last hour as the tables of a whole run have it: busy shares of the robots and of the people."""
    a, robots = max(0, t - HOUR), run.scenario.robots.count
    tables = RunFacts(run.trace, run.scenario, run.layout, run.calendar, a, t)
    segments = tables.segments
    spent = tables.cut(segments["start"], segments["end"])
    busy = int(spent[segments["cause"] != ROBOT_CAUSES.index("idle")].sum())
    people = KPIS["people_utilisation"].function(tables)["value"]
    return busy / (robots * (t - a)) if robots and t > a else None, people


def check_instant(run, seen):
    """Hold series, figures and what the sentence rests on against the simulation and its rows."""
    t = run.now_ms - 1
    window = window_on(run)
    told = told_by(run.trace.rows(), run.layout, t)
    shown = {name: value(window, name, t) for name in SERIES if name != "robot_states"}
    for name, found in shown.items():
        if name in seen:
            assert found == pytest.approx(seen[name], abs=0.51 if name == "oldest_task_s" else 6e-5), name
        if name in told:
            assert found == told[name], name
    took = {hours: told["took"][hours] for hours in LEAD_H}
    hours = LEAD_H[0] if took[LEAD_H[0]] else LEAD_H[1]
    for q in (50, 90, 95):
        known = took[LEAD_H[0]]
        found = shown[f"lead_time_p{q}_s"]
        assert found == (pytest.approx(np.quantile(known, q / 100), abs=0.51) if known else None)
    busy, people = hour_of(run, t)
    assert shown["robot_utilisation"] == (None if busy is None else pytest.approx(busy, abs=6e-5))
    cards = figures(window)
    assert cards["occupancy"]["boxes"] == round(seen["occupancy"] * run.layout.boxes)
    assert cards["occupancy"]["meters"] == seen["meters"]
    assert cards["queue"]["value"] == seen["queue"]
    assert list(cards["queue"]["by_class"].values()) == seen["by_class"]
    assert (cards["queue"]["oldest_s"] or 0) == shown["oldest_task_s"]
    assert (cards["boxes_per_h"]["in"], cards["boxes_per_h"]["out"]) == (
        told["boxes_in_per_h"], told["boxes_out_per_h"],
    )  # fmt: skip
    if busy is not None:
        assert cards["robot_utilisation"]["value"] == pytest.approx(busy, abs=6e-4)
        assert sum(cards["robot_utilisation"]["by_state"].values()) == pytest.approx(1, abs=4e-3)
    lead = cards["lead_time"]
    assert (lead["n"], lead["window_h"]) == (len(took[hours]), hours)
    assert lead["late_open"] == seen["late_orders_open"]
    if took[hours]:
        assert lead["p90"] == pytest.approx(np.quantile(took[hours], 0.9), abs=0.51)
    assert cards["over_age"]["old"]["meters"] == seen["over_age_150"] == cards["over_age"]["value"]
    assert cards["over_age"]["too_old"]["meters"] == seen["over_age_180"]
    assert cards["alerts"]["robots_down"] == seen["fault_robots"]
    assert cards["alerts"]["slots_held"] == seen["held"]
    assert cards["alerts"]["staging"]["places_taken"] == seen["places_taken"]
    # The same as the whole state, with all boxes that ever were, has it.
    state = state_at(run.trace, run.layout, t)
    called = control.on_order(run.trace, run.layout, state)
    assert series._on_order(window) == called
    alerts = control.alerts(state, run.layout, run.scenario, called)
    assert Counter({
        (kind, level): count for kind, levels in cards["alerts"]["by_kind"].items() for level, count in levels.items()
    }) == Counter((alert.kind, alert.level) for alert in alerts)  # fmt: skip
    assert series._orders_without_stock(window) == seen["short"]
    lately = series._people_share(window)
    assert (lately is None and people is None) or lately == pytest.approx(people, abs=1e-3)
    assert limits_now(window).endswith(".")
    return cards, limits_now(window), shown


@given(small_stores(), st.integers(0, 2**63 - 1), WAITS)
@settings(max_examples=25)
@pytest.mark.timeout(600)
def test_random_stores(data, seed, waits):
    """At any instant of any store the answers are those of brute force, and later on they are still the same."""
    run = Simulation(from_dict(data), seed=seed)
    run.advance(8 * HOUR + 30 * MIN)
    then = {}
    for wait in waits:
        if run.now_ms + wait < run.end_ms:
            run.advance(run.now_ms + wait)
            then[run.now_ms - 1] = check_instant(run, seen_in(run))
    run.advance(run.end_ms)
    followed = Followed(run.trace)
    for t, (cards, sentence, _) in then.items():
        past = followed.until(followed.count_until(t))
        for trace in (run.trace, followed, past):
            assert figures(window_on(run, t, trace)) == cards
            assert limits_now(window_on(run, t, trace)) == sentence
    late = window_on(run, run.end_ms - 1, followed)
    for t, (_, _, shown) in then.items():
        assert {name: value(late, name, t) for name in shown} == shown


def test_figures_read_the_last_hours_only():
    """Of what robots, people and trucks do the figures read rows of the last hours, and one before them."""
    run = Simulation(load("tiny"))
    run.advance(40 * HOUR)
    window = window_on(run)
    early = window.table("robot_stretch")["time_ms"] < window.last_hour[0]
    assert early.sum() > 20
    stretches = window.since_each("robot_stretch", window.last_hour[0], "robot", 1)
    assert (stretches["time_ms"] < window.last_hour[0]).sum() == 1


def test_kpis_of_true_records():
    """Where records and truth agree a whole hour of shift gives what the KPIs give."""
    run = Simulation(load("tiny", ["demand.orders_per_day=40", 'calendar.shifts=[["00:00", "24:00"]]']))
    run.advance(20 * HOUR)
    t = int(run.trace.table("order_handed_over")["time_ms"][-1])
    kpis = compute(RunFacts(run.trace, run.scenario, run.layout, run.calendar, t - HOUR + 1, t))
    cards = figures(window_on(run, t))
    assert cards["boxes_per_h"]["in"] == kpis["boxes_in"]["value"]
    assert cards["boxes_per_h"]["out"] == kpis["boxes_out"]["value"] > 0
    assert cards["robot_utilisation"]["value"] == pytest.approx(kpis["robot_utilisation"]["value"], abs=1e-3)
    stays = RunFacts(run.trace, run.scenario, run.layout, run.calendar, 0, t + 1).in_slots
    assert cards["occupancy"]["boxes"] == int((stays["end"] > t).sum())


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(-5, 30)), max_size=12))
def test_least_key_of_intervals(rows):
    """The least key among the intervals that hold an instant, found by looking at all of them."""
    start = np.array([a for a, _, _ in rows], np.int64)
    end = start + np.array([b for _, b, _ in rows], np.int64)
    key = np.array([max(0, c) for _, _, c in rows], np.int64)
    line = series._least(start, end, key)
    for t in range(45):
        inside = key[(start <= t) & (end > t)]
        assert line.at(np.array([t]))[0] == (inside.min() if inside.size else NONE)


@given(st.lists(st.integers(-1, 4), max_size=60), st.integers(0, 5))
@example([3] + [0] * 900, 4)
def test_last_row_of_each(numbers, groups):
    """The last row of each number, however far back it lies."""
    found = series._last_of_each(np.array(numbers, np.int64), groups)
    expected = [max((k for k, x in enumerate(numbers) if x == g), default=None) for g in range(groups)]
    assert found.tolist() == [k for k in expected if k is not None]
