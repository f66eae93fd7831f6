"""The store while it works: lines over any stretch of time, and the figures of one instant.

A `Window` holds the facts of a run up to an instant. `sample` draws a series over a stretch of time that lies
before it, in so few buckets as one likes without losing a peak; `figures` gives the cards of the instant
itself, `limits_now` a sentence on it. All of it is what the records say: where boxes truly stand, and what is
truly in them, nobody in the store knows. Robots, tasks and orders are known as they are. Left out: means over
a run and their intervals; those are in `kpis` and `statistics`.

A series is a function of a `Part`, with a line in `_CHOICES`; its docstring is the sentence that people read.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from sim import control
from sim.assets import STATE_CODES
from sim.facts import COUNT, NONE, TASK_CLASSES
from sim.history import state_at
from sim.kpis import open_orders as open_orders_of
from sim.kpis import waiting_tasks
from sim.tables import DAY_MS, ROBOT_CAUSES, RunFacts, Steps, bits, is_first, look_up, meter_changes, steps
from sim.trace import Trace
from sim.words import near

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sim.calendar import WorkCalendar
    from sim.history import StoreState
    from sim.kpis import Better
    from sim.layout import Layout
    from sim.scenario import Scenario
    from sim.tables import Flags, Ints, Table

    Floats = NDArray[np.float64]

HOUR_MS: Final = 3_600_000
"""What a rate and a utilisation look back over: 60 minutes of simulated time."""

LEAD_H: Final = (8, 24)
"""Lead times are those of the last 8 hours, a working day; where nothing was handed over, of the last 24."""

MOST_POINTS: Final = 2000
"""A sample has at most so many buckets."""

ROBOT_STATES: Final = ("idle", "move", "handle", "charge", "wait", "fault")
"""What a robot does, as a bar over time shows it; `wait`: for a tour, an aisle, a port or another robot."""

_STATE_OF_CAUSE: Final = np.array([
    ROBOT_STATES.index({
        "idle": "idle", "travel": "move", "parking": "move", "handling": "handle", "digging": "handle",
        "charging": "charge", "fault": "fault",
    }.get(cause, "wait"))
    for cause in ROBOT_CAUSES
])  # fmt: skip
_IDLE: Final = ROBOT_STATES.index("idle")
_FAULT: Final = ROBOT_STATES.index("fault")

_AGEING: Final = [
    STATE_CODES[state]
    for state in (
        "qualified_in_stock", "reserved", "quarantined", "surplus_found", "overdue_pending_reverify",
    )
]  # fmt: skip
"""Asset states whose verification grows old in the store; `control.old_boxes` lists the same."""


@dataclass(frozen=True, eq=False)
class Window:
    """The facts of a run up to and including an instant (ms), and what is needed to read them.

    The trace may go on behind the instant. With a `following.Followed` or a past of one, tables cost nothing
    to take; what is derived from them is kept as long as the window.
    """

    trace: Trace
    scenario: Scenario
    layout: Layout
    calendar: WorkCalendar
    t_ms: int

    def table(self, name: str) -> Table:
        """The facts of one kind up to the instant."""
        return self._told.table(name)

    def since(self, name: str, from_ms: int) -> Table:
        """The facts of one kind behind `from_ms` and up to the instant."""
        table = self.table(name)
        first = int(np.searchsorted(table["time_ms"], from_ms, side="right"))
        return {column: values[first:] for column, values in table.items()}

    @cached_property
    def run(self) -> RunFacts:
        """The facts as tables over the whole run; what still lasts there ends just behind the instant."""
        return RunFacts(self._told, self.scenario, self.layout, self.calendar, 0, self.t_ms + 1)

    @cached_property
    def recorded(self) -> Table:
        """What the records had of each box: `box`, `start`, `end`, `place`, `meters`, `day`, `ages`.

        A row lasts as long as nothing of it changes; rows are by box, then by time. `day` is the day of the
        last verification, `ages` 1 while the box is stock whose verification grows old.
        """
        run = self.run
        places, meters, again = run.records, meter_changes(run.table), run.table("box_verified")
        created, received, expired, given = (
            run.table(f"box_{name}") for name in ("created", "received", "expired", "state")
        )
        is_here = (created["place"] != self.layout.truck).astype(np.int64)
        one = np.ones_like
        return _side_by_side(self.t_ms + 1, (
            ("place", NONE, places, places["place"]),
            ("meters", 0, meters, bits(meters["record"])),
            ("day", 0, created, created["verified_day"]),
            ("day", 0, again, again["day"]),
            ("ages", 0, created, is_here),
            ("ages", 0, received, one(received["box"])),
            ("ages", 0, expired, one(expired["box"])),
            ("ages", 0, given, np.isin(given["state"], _AGEING).astype(np.int64)),
        ))  # fmt: skip

    @cached_property
    def state(self) -> StoreState:
        """The store at the instant, of those boxes alone that are on record in it or on a truck."""
        places = _recorded_places(self._told)
        there = (places != NONE) & (places != self.layout.outside) & (places != self.layout.handed_over)
        return state_at(_Told(self.trace, self.t_ms, np.append(there, False)), self.layout, self.t_ms)

    @cached_property
    def waiting(self) -> Table:
        """The tasks that no robot has taken at the instant, as the columns of `task_created`."""
        created = self.table("task_created")
        done, cancelled, assigned, returned = (
            self.table(f"task_{step}") for step in ("done", "cancelled", "assigned", "returned")
        )
        going = np.ones(_above(created["task"]), np.bool_)
        going[done["task"]] = going[cancelled["task"]] = False
        taken, back = np.full((2, going.size), NONE)
        taken[assigned["task"]], back[returned["task"]] = assigned["seq"], returned["seq"]
        return _chosen(created, (going & (back >= taken))[created["task"]])

    @cached_property
    def open_orders(self) -> Table:
        """The orders released and not handed over at the instant, as the columns of `order_released`."""
        released = self.table("order_released")
        going = np.ones(_above(released["order"]), np.bool_)
        going[self.table("order_handed_over")["order"]] = False
        return _chosen(released, going[released["order"]])

    @property
    def last_hour(self) -> tuple[int, int]:
        """The last hour, or what there is of it since the run began, as two instants in ms."""
        return max(0, self.t_ms - HOUR_MS), self.t_ms

    @cached_property
    def lately(self) -> Table:
        """What the robots did in the last hour: `robot`, `state` (of ROBOT_STATES), `start`, `end`.

        The row of each robot that ends behind the instant tells what the robot does at it.
        """
        since, robots = self.last_hour[0], self.scenario.robots.count
        stretches = self.since_each("robot_stretch", since, "robot", robots)
        few = _Given(self.trace.meters_per_box, {"robot_stretch": stretches})
        did = _states(RunFacts(few, self.scenario, self.layout, self.calendar, since, self.t_ms + 1))
        return _chosen(did, did["end"] > since)

    @cached_property
    def robots_down(self) -> int:
        """How many robots are out of order at the instant."""
        return int(((self.lately["state"] == _FAULT) & (self.lately["end"] > self.t_ms)).sum())

    def robot_shares(self) -> tuple[float, list[float]] | None:
        """The share of the last hour that is not idle and that of each of ROBOT_STATES, fleet mean.

        None without a robot, and at the very start.
        """
        a, b = self.last_hour
        there = (b - a) * self.scenario.robots.count
        if not there:
            return None
        did, spent = self.lately, np.zeros(len(ROBOT_STATES), np.int64)
        np.add.at(spent, did["state"], np.clip(did["end"], a, b) - np.clip(did["start"], a, b))
        return int(spent.sum() - spent[_IDLE]) / there, (spent / there).tolist()

    def since_each(self, name: str, from_ms: int, by: str, groups: int) -> Table:
        """As `since`, and before that the last earlier fact of each group: 0 to groups - 1, by a field."""
        table = self.table(name)
        first = int(np.searchsorted(table["time_ms"], from_ms, side="right"))
        rows = np.append(np.sort(_last_of_each(table[by][:first], groups)), np.arange(first, table[by].size))
        return {column: values[rows] for column, values in table.items()}

    @cached_property
    def _told(self) -> _Told:
        return _Told(self.trace, self.t_ms)


class Part(NamedTuple):
    """The stretch of a run over which a series is asked for, both ends included, in ms."""

    window: Window
    from_ms: int
    to_ms: int


class Course(NamedTuple):
    """A quantity over time: `at` gives it at any instants (whole ms) of its part, NaN where it has no value.

    Between two of the `changes` it rises or falls all the way, and stays where it `is_steps`.
    """

    changes: Ints
    at: Callable[[Ints], Floats]
    is_steps: bool


class States(NamedTuple):
    """What each robot did: `robot`, `state` (of ROBOT_STATES), `start`, `end`, by robot and time."""

    robot: Ints
    state: Ints
    start: Ints
    end: Ints


class Series(NamedTuple):
    """A series: its function, its unit, its sentence, whether more is better, and decimals worth showing."""

    function: Callable[[Part], Course | States]
    unit: str
    sentence: str
    better: Better
    decimals: int


def occupancy(part: Part) -> Course:
    """Share of the box places that are taken."""
    records, layout = part.window.run.records, part.window.layout
    held = (records["place"] >= 0) & (records["place"] < layout.slots)
    return _course(steps(records["start"][held], records["end"][held]), layout.boxes)


def meters(part: Part) -> Course:
    """Meters in the store."""
    rows = _chosen(part.window.recorded, part.window.run.in_store[part.window.recorded["place"]])
    return _course(steps(rows["start"], rows["end"], rows["meters"]))


def queue(part: Part) -> Course:
    """Tasks that no robot has taken."""
    return _course(waiting_tasks(part.window.run))


def oldest_task_s(part: Part) -> Course:
    """Time since the creation of the oldest task that no robot has taken; 0 while none waits."""
    run = part.window.run
    spans, tasks = run.task_spans, run.tasks
    asked = (spans["robot"] == NONE) & (spans["end"] > part.from_ms) & (spans["start"] <= part.to_ms)
    created = tasks["start"][np.searchsorted(tasks["task"], spans["task"][asked])]
    oldest = _least(spans["start"][asked], spans["end"][asked], created)

    def at(times: Ints) -> Floats:
        since = oldest.at(times)
        waited: Floats = np.where(since == NONE, 0, times - since) / 1000
        return waited

    return Course(oldest.times, at, is_steps=False)


def boxes_in_per_h(part: Part) -> Course:
    """Boxes that passed the receiving scan in the last 60 minutes."""
    return _lasting(part, part.window.table("box_received")["time_ms"])


def boxes_out_per_h(part: Part) -> Course:
    """Boxes that left the store in the last 60 minutes: handed over whole, emptied or otherwise."""
    return _lasting(part, _left(part.window.table("box_moved"), part.window.layout))


def robot_utilisation(part: Part) -> Course:
    """Share of the last 60 minutes in which a robot is not idle, fleet mean, by the clock."""
    did, robots = _states(part.window.run), part.window.scenario.robots.count
    busy = did["state"] != _IDLE
    line = steps(did["start"][busy], did["end"][busy])

    def at(times: Ints) -> Floats:
        since = np.maximum(times - HOUR_MS, 0)
        spent, there = line.total_before(times) - line.total_before(since), robots * (times - since)
        share: Floats = np.divide(spent, there, out=np.full(times.size, np.nan), where=there > 0)
        return share

    return Course(np.concatenate([line.times, line.times + HOUR_MS, [HOUR_MS]]), at, is_steps=False)


def robot_states(part: Part) -> States:
    """What each robot does: move, handle, charge, wait, be out of order, or nothing."""
    did = _states(part.window.run)
    return States(did["robot"], did["state"], did["start"], did["end"])


def open_orders(part: Part) -> Course:
    """Orders released and not handed over."""
    return _course(open_orders_of(part.window.run))


def late_orders_open(part: Part) -> Course:
    """Orders not handed over though their due time has passed."""
    orders = part.window.run.orders
    start = np.maximum(orders["start"], orders["due"] + 1)
    late = start < orders["end"]
    return _course(steps(start[late], orders["end"][late]))


def lead_time_p50_s(part: Part) -> Course:
    """Time from release to hand-over that half of the orders of the last 8 hours needed at most."""
    return _lead_time(part, 0.50)


def lead_time_p90_s(part: Part) -> Course:
    """Time from release to hand-over that 90 % of the orders of the last 8 hours needed at most."""
    return _lead_time(part, 0.90)


def lead_time_p95_s(part: Part) -> Course:
    """Time from release to hand-over that 95 % of the orders of the last 8 hours needed at most."""
    return _lead_time(part, 0.95)


def staging(part: Part) -> Course:
    """Boxes in staging."""
    records = part.window.run.records
    held = records["place"] == part.window.layout.staging
    return _course(steps(records["start"][held], records["end"][held]))


def over_age_150(part: Part) -> Course:
    """Meters in the store whose verification is old enough for an alert (control.age_alert_days, 150)."""
    return _older(part.window, part.window.scenario.control.age_alert_days)


def over_age_180(part: Part) -> Course:
    """Meters in the store whose verification is too old for issue (beyond demand.max_age_days, 180)."""
    return _older(part.window, part.window.scenario.demand.max_age_days + 1)


def fault_robots(part: Part) -> Course:
    """Robots out of order."""
    did = _states(part.window.run)
    down = did["state"] == _FAULT
    return _course(steps(did["start"][down], did["end"][down]))


_CHOICES: Final[tuple[tuple[Callable[[Part], Course | States], str, Better, int], ...]] = (
    (occupancy, "share", "neither", 4),
    (meters, "meters", "neither", 0),
    (queue, "tasks", "less", 0),
    (oldest_task_s, "s", "less", 0),
    (boxes_in_per_h, "boxes/h", "neither", 0),
    (boxes_out_per_h, "boxes/h", "neither", 0),
    (robot_utilisation, "share", "neither", 4),
    (robot_states, "state", "neither", 4),
    (open_orders, "orders", "less", 0),
    (late_orders_open, "orders", "less", 0),
    (lead_time_p50_s, "s", "less", 0),
    (lead_time_p90_s, "s", "less", 0),
    (lead_time_p95_s, "s", "less", 0),
    (staging, "boxes", "less", 0),
    (over_age_150, "meters", "less", 0),
    (over_age_180, "meters", "less", 0),
    (fault_robots, "robots", "less", 0),
)

SERIES: Final[dict[str, Series]] = {
    function.__name__: Series(function, unit, " ".join((function.__doc__ or "").split()), better, decimals)
    for function, unit, better, decimals in _CHOICES
}
"""Every series by name, in the order of reading."""


def sample(window: Window, name: str, from_ms: int, to_ms: int, points: int) -> dict[str, Any]:
    """A series over a stretch of time, ready for JSON: `name`, `unit`, `from_s`, `to_s`, `step_s` and values.

    The stretch, both ends included, is cut to the run so far. It is parted into at most `points` buckets of
    `step_s` seconds (the last one may be shorter) that begin at `t_s`; `min` and `max` are the extremes of
    each over its whole milliseconds, `last` the value at its end, null where there is none. A series of so
    few steps that they are not more than the buckets is given as it is: `step_s` is null, and each value
    holds from its `t_s` on.

    `robot_states` gives `states`, their names, and in `robots` a `robot` each with `t_s` and `state`, each of
    which holds until the next; where that would be more than `points`, buckets as above with the `share` of
    each state.

    Raises
    ------
    ValueError
        For a name that is no series, a stretch that ends before it begins or lies outside of the run, and
        points not from 1 to 2,000.
    """
    if name not in SERIES:
        raise ValueError(f"expected a series, found {name!r}{near(name, SERIES)}")
    if from_ms > to_ms:
        raise ValueError(f"expected an end not before the start at {from_ms} ms, found {to_ms} ms")
    if not 1 <= points <= MOST_POINTS:
        raise ValueError(f"expected points from 1 to {MOST_POINTS:,}, found {points:,}")
    a, b = max(0, from_ms), min(to_ms, window.t_ms)
    if a > b:
        raise ValueError(f"expected a part of 0 to {window.t_ms} ms, found {from_ms} to {to_ms} ms")
    series = SERIES[name]
    head = {"name": name, "unit": series.unit, "from_s": a / 1000, "to_s": b / 1000, "step_s": None}
    found = series.function(Part(window, a, b))
    if isinstance(found, States):
        return {**head, **_bars(found, a, b, points, series.decimals)}
    return {**head, **_buckets(found, a, b, points, series.decimals)}


# -- the cards of an instant ------------------------------------------------------------------------------

Level = Literal["ok", "warn", "alarm"]

FULL: Final = (0.94, 0.99)
"""Occupancy from which the card warns and alarms. A truck brings up to 150 boxes, 6 % of the places of the
reference store: above 94 % the next one does not fit. At 99 % boxes begin to find no slot of their class."""

WAIT_MS: Final = (1_800_000, 14_400_000)
"""Shift time that the oldest task, counts left out, waits. After 30 minutes it has gained a class of priority
(the default of policy.ageing_min); a put-away is promised in 4 hours (`kpis.performance_availability`)."""

BUSY: Final = (0.85, 0.97)
"""Utilisation. Work that comes by chance waits r / (1 - r) times as long as it takes: 6 times at 85 %, from
where `kpis.limits` calls robots the limit, 32 times at 97 %: what breaks then is not caught up with."""

LATE: Final = 0.05
"""Share of late hand-overs above which the 95th percentile, the figure of the card, breaks its promise."""


def figures(window: Window) -> dict[str, Any]:
    """The figures of the instant by card, ready for JSON; each card has its `unit` and its `state`.

    `t_s`; `occupancy`, `queue`, `boxes_per_h`, `robot_utilisation`, `lead_time`, `over_age`, `alerts`. Shares
    are rounded to 0.001, times to the second. `state` is ok, warn or alarm, by the limits above.
    """
    return {
        "t_s": window.t_ms / 1000,
        "occupancy": _occupancy_now(window),
        "queue": _queue_now(window),
        "boxes_per_h": _boxes_now(window),
        "robot_utilisation": _utilisation_now(window),
        "lead_time": _lead_time_now(window),
        "over_age": _over_age_now(window),
        "alerts": _alerts_now(window),
    }


def _occupancy_now(window: Window) -> dict[str, Any]:
    layout, state = window.layout, window.state
    boxes = int((state.recorded_place < layout.slots).sum())
    here = state.recorded_place != layout.truck
    return {
        "value": _rounded(boxes / layout.boxes),
        "unit": "share",
        "boxes": boxes,
        "places": layout.boxes,
        "meters": int(bits(state.recorded_mask[here]).sum()),
        "meters_capacity": layout.meters,
        "state": _level(boxes / layout.boxes, FULL),
    }


def _queue_now(window: Window) -> dict[str, Any]:
    waiting, now = window.waiting, window.t_ms
    task_class, created = waiting["task_class"], waiting["time_ms"]
    # A count may take its time: it goes on while nothing else is to be done.
    urgent = _oldest(created[task_class != COUNT])
    oldest = _oldest(created)
    waited = 0 if urgent is None else window.calendar.open_ms(urgent, now)
    return {
        "value": int(created.size),
        "unit": "tasks",
        "by_class": {name: int((task_class == k).sum()) for k, name in enumerate(TASK_CLASSES)},
        "oldest_s": None if oldest is None else round((now - oldest) / 1000),
        "state": _level(waited, WAIT_MS),
    }


def _boxes_now(window: Window) -> dict[str, Any]:
    since = window.t_ms - HOUR_MS
    came = int(window.since("box_received", since)["box"].size)
    went = int(_left(window.since("box_moved", since), window.layout).size)
    # Work that a whole hour of shift has not moved on is stuck.
    oldest = _oldest(np.append(window.waiting["time_ms"], window.open_orders["time_ms"]))
    stuck = oldest is not None and oldest <= since and window.calendar.open_ms(since, window.t_ms) == HOUR_MS
    return {
        "in": came,
        "out": went,
        "unit": "boxes/h",
        "window_s": HOUR_MS // 1000,
        "state": "warn" if stuck and not came + went else "ok",
    }


def _utilisation_now(window: Window) -> dict[str, Any]:
    found = window.robot_shares()
    busy, shares = found or (0.0, ())
    return {
        "value": _rounded(busy) if found else None,
        "unit": "share",
        "robots": window.scenario.robots.count,
        "by_state": dict(zip_longest(ROBOT_STATES, map(_rounded, shares))),
        "state": _level(busy, BUSY),
    }


def _lead_time_now(window: Window) -> dict[str, Any]:
    for hours in LEAD_H:
        handed = window.since("order_handed_over", window.t_ms - hours * HOUR_MS)
        if handed["order"].size:
            break
    released = window.table("order_released")
    since = np.zeros(_above(released["order"]), np.int64)
    since[released["order"]] = released["time_ms"]
    lasted = np.sort(handed["time_ms"] - since[handed["order"]]).tolist()
    late, n = int((handed["late"] > 0).sum()), len(lasted)
    late_open = int((window.open_orders["due"] < window.t_ms).sum())
    p50, p90, p95 = (round(_quantile(lasted, q) / 1000) if n else None for q in (0.5, 0.9, 0.95))
    return {
        "value": p95,
        "unit": "s",
        "p50": p50,
        "p90": p90,
        "p95": p95,
        "n": n,
        "window_h": hours,
        "late": late,
        "late_open": late_open,
        "state": "alarm" if late > LATE * n else "warn" if late or late_open else "ok",
    }


def _over_age_now(window: Window) -> dict[str, Any]:
    old = control.old_boxes(window.state, window.layout, window.scenario)
    red = [box for box in old if box.is_red]
    limits = (window.scenario.control.age_alert_days, window.scenario.demand.max_age_days)
    parts = [
        {"days": days, "meters": sum(box.meters for box in boxes), "boxes": len(boxes)}
        for days, boxes in zip(limits, (old, red), strict=True)
    ]
    return {
        "value": parts[0]["meters"],
        "unit": "meters",
        "old": parts[0],
        "too_old": parts[1],
        "state": "alarm" if red else "warn" if old else "ok",
    }


def _alerts_now(window: Window) -> dict[str, Any]:
    layout, scenario = window.layout, window.scenario
    told = control.alerts(window.state, layout, scenario, _on_order(window))
    by_kind = {
        kind: {level: sum(a.kind == kind and a.level == level for a in told) for level in ("yellow", "red")}
        for kind in ("age", "safety", "capacity")
    }
    red = sum(alert.level == "red" for alert in told)
    held, blocked = (_slots_now(window.table(f"slot_{what}"), what) for what in ("held", "blocked"))
    empties = window.table("empties")["boxes"]
    staged = int((window.state.recorded_place == layout.staging).sum())
    if empties.size:
        staged += -(-int(empties[-1]) // scenario.empties.nested)
    is_full = staged >= scenario.staging.boxes
    down = window.robots_down
    count = len(told) + down + held + blocked + is_full
    is_alarm = red or is_full or (down and down == scenario.robots.count)
    return {
        "value": count,
        "unit": "alerts",
        "yellow": len(told) - red,
        "red": red,
        "by_kind": by_kind,
        "robots_down": down,
        "slots_held": held,
        "slots_blocked": blocked,
        "staging": {"places_taken": staged, "places": scenario.staging.boxes, "is_full": is_full},
        "state": "alarm" if is_alarm else "warn" if count else "ok",
    }


def limits_now(window: Window) -> str:
    """One sentence on what limits the store at the instant, from its last hour and from what waits now."""
    since = window.t_ms - HOUR_MS
    seen = _Seen(
        busy=(window.robot_shares() or (0.0,))[0],
        people=_people_share(window) or 0.0,
        down=window.robots_down,
        tasks=window.waiting["task"].size,
        short=_orders_without_stock(window),
        failed=np.unique(window.since("allocation_failed", since)["box"]).size,
        overflow=window.since("staging_overflow", since)["box"].size,
    )
    clauses = [f"{_verdict(window, seen)}: {_who_is_busy(window, seen)}"]
    if seen.down:
        robots = _count(window.scenario.robots.count, "robot")
        clauses.append(f"{seen.down} of {robots} {_be(seen.down)} out of order")
    if seen.tasks:
        waited = _minutes(window.t_ms - int(window.waiting["time_ms"].min()))
        verb = "has waited" if seen.tasks == 1 else "wait, the oldest"
        clauses.append(f"{_count(seen.tasks, 'task')} {verb} for {waited}")
    if seen.short:
        orders = _count(window.open_orders["order"].size, "open order")
        clauses.append(f"{seen.short:,} of {orders} {_be(seen.short)} short of stock")
    if seen.failed:
        clauses.append(f"{_count(seen.failed, 'box', 'boxes')} found no slot")
    if seen.overflow:
        clauses.append(f"{_count(seen.overflow, 'box', 'boxes')} found staging full")
    return "; ".join(clauses) + "."


class _Seen(NamedTuple):
    """What a verdict rests on: shares of the last hour that robots and people work, and what is in the way.

    Robots out of order, tasks that wait and orders short of stock are those of the instant; boxes that found
    no slot, or staging full, are those of the last hour.
    """

    busy: float
    people: float
    down: int
    tasks: int
    short: int
    failed: int
    overflow: int


def _verdict(window: Window, seen: _Seen) -> str:
    robots = window.scenario.robots.count
    if robots and seen.down == robots:
        return "What breaks limits the store"
    if max(seen.busy, seen.people) >= BUSY[0]:
        if seen.people > seen.busy:
            return "The people limit the store"
        return f"The {robots} robots limit the store" if robots > 1 else "The robot limits the store"
    waits = bool(seen.tasks or window.open_orders["order"].size)
    reasons = (
        (seen.short, "Supply limits the store"),
        (seen.failed, "Room in the racks limits the store"),
        (seen.down, "What breaks limits the store"),
        (seen.overflow, "Put-away limits the store"),
        (waits and _is_closed(window), "The shifts limit the store"),
    )
    return next((verdict for holds, verdict in reasons if holds), "Nothing works near its limit")


def _is_closed(window: Window) -> bool:
    """Whether people are off at the instant."""
    return window.scenario.people.count > 0 and not window.calendar.is_open(window.t_ms)


def _who_is_busy(window: Window, seen: _Seen) -> str:
    robots, calendar = window.scenario.robots.count, window.calendar
    people = f"people {_percent(seen.people)} of their shift time"
    if not window.scenario.people.count:
        people = "there are no people"
    elif _is_closed(window):
        day, rest = divmod(calendar.next_open(window.t_ms), DAY_MS)
        hours, minutes = divmod(rest // 60_000, 60)
        people = f"the next shift begins on {calendar.date_of(day)} at {hours:02d}:{minutes:02d}"
    if not robots:
        return f"there is no robot and {people}"
    fleet = f"the {robots} robots were" if robots > 1 else "the robot was"
    return f"{fleet} busy {_percent(seen.busy)} of the last hour and {people}"


def _people_share(window: Window) -> float | None:
    """Hands-on share of the shift time of all people in the last hour; None when there was none."""
    a, b = window.last_hour
    count = window.scenario.people.count
    there = count * window.calendar.open_ms(a, b)
    if not there:
        return None
    # A person does one thing at a time: what began earlier and still went on is the last one before.
    work = window.since_each("person_work", a, "person", count)
    return int((np.clip(work["end"], a, b) - np.clip(work["time_ms"], a, b)).sum()) / there


def _orders_without_stock(window: Window) -> int:
    """How many open orders have meters for which no box is reserved."""
    orders = window.open_orders["order"]
    missing = np.zeros(_above(window.table("order_released")["order"]), np.int64)
    is_open = np.zeros(missing.size, np.bool_)
    is_open[orders] = True
    # Whatever is freed of an order's meters, the order is short of from then on.
    for name, sign in (("order_line", 1), ("order_short", 1), ("box_reserved", -1)):
        told = window.table(name)
        ours = told["order"] >= 0
        ours[ours] = is_open[told["order"][ours]]
        np.add.at(missing, told["order"][ours], sign * told["meters"][ours])
    return int((missing[orders] > 0).sum())


def _on_order(window: Window) -> dict[int, int]:
    """Meters by SKU on order, as `control.on_order`, from the trucks alone that have not come yet."""
    called, arrived = window.table("truck_called_off"), window.table("truck_arrived")
    coming = _chosen(called, ~np.isin(called["truck"], arrived["truck"]))
    few = {"truck_called_off": coming, "box_created": _chosen(window.table("box_created"), slice(0))}
    return control.on_order(_Given(window.trace.meters_per_box, few), window.layout, window.state)


def _slots_now(told: Table, flag: str) -> int:
    """How many slots have a flag at the end of facts that set it or take it away."""
    now = np.zeros(_above(told["slot"]), np.int64)
    now[told["slot"]] = told[flag]  # of several facts of one slot the last one stays
    return int(now.sum())


def _level(value: float, limits: tuple[float, float]) -> Level:
    warn, alarm = limits
    return "alarm" if value >= alarm else "warn" if value >= warn else "ok"


# -- how series come about ---------------------------------------------------------------------------------


def _course(line: Steps, whole: int = 1) -> Course:
    """A quantity that changes in steps, or its share of a whole."""
    return Course(line.times, lambda times: line.at(times) / np.float64(whole), is_steps=True)


def _lasting(part: Part, times: Ints) -> Course:
    """How many events lie in the last hour."""
    first = np.searchsorted(times, part.from_ms - HOUR_MS, side="right")
    asked = times[first : np.searchsorted(times, part.to_ms, side="right")]
    return _course(steps(asked, asked + HOUR_MS))


def _left(moved: Table, layout: Layout) -> Ints:
    """When boxes left the store by the records, of these moves."""
    out = (moved["recorded"] == layout.handed_over) | (moved["recorded"] == layout.outside)
    times: Ints = moved["time_ms"][out]
    return times


def _older(window: Window, days: int) -> Course:
    """Meters on record in the store whose verification is at least so many days old."""
    rows = window.recorded
    since = (rows["day"] + days - window.calendar.ordinal(0)) * DAY_MS
    start = np.maximum(rows["start"], since)
    old = window.run.in_store[rows["place"]] & (rows["ages"] == 1) & (start < rows["end"])
    return _course(steps(start[old], rows["end"][old], rows["meters"][old]))


def _lead_time(part: Part, q: float) -> Course:
    """A quantile of how long the orders took that were handed over in the last 8 hours."""
    lasts = LEAD_H[0] * HOUR_MS
    handed, released = (part.window.table(f"order_{what}") for what in ("handed_over", "released"))
    first = np.searchsorted(handed["time_ms"], part.from_ms - lasts, side="right")
    last = np.searchsorted(handed["time_ms"], part.to_ms, side="right")
    end = handed["time_ms"][first:last]
    took = end - look_up(released["order"], released["time_ms"], handed["order"][first:last])
    times = np.concatenate([end, end + lasts])
    order = np.argsort(times, kind="stable")
    changes, closes = np.unique(times[order], return_index=True)
    value = np.full(changes.size, np.nan)
    inside: list[int] = []
    at = 0
    comes_and_goes = list(zip(np.tile(took, 2)[order].tolist(), (order < end.size).tolist(), strict=True))
    for k, until in enumerate([*closes[1:].tolist(), times.size]):
        for ms, comes in comes_and_goes[at:until]:
            if comes:
                insort(inside, ms)
            else:
                del inside[bisect_left(inside, ms)]
        at = until
        if inside:
            value[k] = _quantile(inside, q) / 1000

    def holds(asked: Ints) -> Floats:
        found = np.searchsorted(changes, asked, side="right") - 1
        return np.where(found < 0, np.nan, np.append(value, np.nan)[found])

    return Course(changes, holds, is_steps=True)


def _quantile(rising: Sequence[int], q: float) -> float:
    """The quantile of values in rising order, between two of them in proportion, as numpy has it."""
    place = (len(rising) - 1) * q
    below = int(place)
    above = min(below + 1, len(rising) - 1)
    return rising[below] + (rising[above] - rising[below]) * (place - below)


def _least(start: Ints, end: Ints, key: Ints) -> Steps:
    """The least key of the intervals [start, end) that hold an instant from 0 on, NONE where none does."""
    order = np.argsort(start, kind="stable")
    coming = list(zip(*(column[order].tolist() for column in (start, key, end)), strict=True))
    times = np.unique(np.concatenate([[NONE], start, end]))
    values, at = np.full(times.size, NONE), 0
    heap: list[tuple[int, int]] = []
    for k, time in enumerate(times.tolist()):
        while at < len(coming) and coming[at][0] <= time:
            heappush(heap, coming[at][1:])
            at += 1
        while heap and heap[0][1] <= time:
            heappop(heap)
        if heap:
            values[k] = heap[0][0]
    return Steps(times, values)


def _states(run: RunFacts) -> Table:
    """What the robots did: `robot`, `state` (of ROBOT_STATES), `start`, `end`, by robot and time."""
    segments = run.segments
    robot, state = segments["robot"], _STATE_OF_CAUSE[segments["cause"]]
    first = is_first(robot) | is_first(state)
    at = np.flatnonzero(first)
    last = np.append(at[1:] - 1, robot.size - 1)[: at.size]
    return {
        "robot": robot[at], "state": state[at], "start": segments["start"][at], "end": segments["end"][last],
    }  # fmt: skip


def _side_by_side(end_ms: int, parts: Sequence[tuple[str, int, Table, Ints]]) -> Table:
    """What is told of boxes by several kinds of facts, side by side: rows that last until one of it changes.

    A part is the name of a column, its value until something is told, the facts (`box`, `seq` and `time_ms`
    or `start`) and what they tell. Several parts may tell the same column.
    """
    box = np.concatenate([facts["box"] for _, _, facts, _ in parts])
    seq = np.concatenate([facts["seq"] for _, _, facts, _ in parts])
    time = np.concatenate([facts["time_ms" if "time_ms" in facts else "start"] for _, _, facts, _ in parts])
    told = np.concatenate([values for *_, values in parts])
    sizes = [values.size for *_, values in parts]
    order = np.lexsort((seq, box))
    box, start, told = box[order], time[order], told[order]
    opens, row = is_first(box), np.arange(box.size)
    columns = {}
    for name, unknown in {name: unknown for name, unknown, *_ in parts}.items():
        own = np.repeat([each == name for each, *_ in parts], sizes)[order]
        known = np.where(own, told, unknown)
        columns[name] = known[np.maximum.accumulate(np.where(own | opens, row, 0))]
    end = np.append(start[1:], end_ms)[: box.size]
    end[np.append(opens[1:], True)[: box.size]] = end_ms
    return _chosen({"box": box, "start": start, "end": end, **columns}, end > start)


def _recorded_places(told: Trace) -> Ints:
    """Where the records have each box, by its number; NONE for a number that no box has."""
    created, moved, recorded = (told.table(f"box_{what}") for what in ("created", "moved", "recorded"))
    place, seq = np.full((2, _above(created["box"])), NONE)
    place[created["box"]] = created["place"]
    known = moved["recorded"] != NONE
    # Of several facts of one box the last one stays: numpy assigns in order.
    place[moved["box"][known]], seq[moved["box"][known]] = moved["recorded"][known], moved["seq"][known]
    later = recorded["seq"] > seq[recorded["box"]]
    place[recorded["box"][later]] = recorded["place"][later]
    return place


class _Told(Trace):
    """A trace up to and including an instant, of all boxes or of those flagged; only for its tables.

    `boxes` has a flag for each number and, last, one for no box.
    """

    def __init__(self, trace: Trace, t_ms: int, boxes: Flags | None = None) -> None:
        super().__init__(trace.meters_per_box)
        self._whole = trace
        self._t_ms = t_ms
        self._boxes = boxes
        self._kept: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """The facts of one kind, as `Trace.table`, taken once."""
        if name not in self._kept:
            table = self._whole.table(name)
            end = int(np.searchsorted(table["time_ms"], self._t_ms, side="right"))
            table = _chosen(table, slice(end))
            if self._boxes is not None and "box" in table:
                table = _chosen(table, self._boxes[table["box"]])
            self._kept[name] = table
        return self._kept[name]


class _Given(Trace):
    """Some tables in the place of a trace."""

    def __init__(self, meters_per_box: int, tables: dict[str, Table]) -> None:
        super().__init__(meters_per_box)
        self._given = tables

    def table(self, name: str) -> Table:
        """The facts of one of the kinds that are given."""
        return self._given[name]


# -- how series are shown ----------------------------------------------------------------------------------


def _buckets(course: Course, a: int, b: int, points: int, decimals: int) -> dict[str, Any]:
    """The extremes and the last value of a course in buckets, or its steps where those are not more."""
    starts, step = _bucket_starts(a, b, points)
    changes = np.unique(course.changes)
    changes = changes[(changes > a) & (changes <= b)]
    if course.is_steps:
        times = np.append(a, changes)
        values = course.at(times)
        moves = np.ones(times.size, np.bool_)
        moves[1:] = ~_same(values[1:], values[:-1])
        if moves.sum() <= starts.size:
            held = values[moves]
            return _in_columns(times[moves], (held, held, held), decimals)
    ends = np.append(starts[1:] - 1, b)
    before = changes[:0] if course.is_steps else changes - 1
    asked = np.unique(np.concatenate([starts, ends, changes, before]))
    values = course.at(asked)
    first = np.searchsorted(asked, starts)
    extremes = (reduce.reduceat(values, first) for reduce in (np.fmin, np.fmax))
    last = values[np.searchsorted(asked, ends)]
    return {"step_s": step / 1000, **_in_columns(starts, (*extremes, last), decimals)}


def _bars(states: States, a: int, b: int, points: int, decimals: int) -> dict[str, Any]:
    """What each robot did one after another, or the shares of it in buckets where that would be too much."""
    asked = (states.start <= b) & (states.end > a)
    robot, state, start, end = (column[asked] for column in states)
    robots = np.unique(robot)
    shown: dict[str, Any] = {"states": list(ROBOT_STATES), "robots": []}
    if np.bincount(robot, minlength=1).max() <= points:
        for number in robots.tolist():
            own = robot == number
            shown["robots"].append({
                "robot": number,
                "t_s": (np.maximum(start[own], a) / 1000).tolist(),
                "state": [ROBOT_STATES[k] for k in state[own].tolist()],
            })  # fmt: skip
        return shown
    starts, step = _bucket_starts(a, b, points)
    edges = np.append(starts, b)
    for number in robots.tolist():
        share = {}
        for k, name in enumerate(ROBOT_STATES):
            own = (robot == number) & (state == k)
            spent = np.diff(steps(start[own], end[own]).total_before(edges))
            share[name] = np.round(spent / np.diff(edges), decimals).tolist()
        shown["robots"].append({"robot": number, "t_s": (starts / 1000).tolist(), "share": share})
    return {"step_s": step / 1000, **shown}


def _bucket_starts(a: int, b: int, points: int) -> tuple[Ints, int]:
    """Where at most so many equal buckets of a stretch begin, and their length in ms."""
    step = max(1, -(-(b - a) // points))
    return np.arange(a, max(b, a + 1), step), step


def _in_columns(times: Ints, values: Sequence[Floats], decimals: int) -> dict[str, list[Any]]:
    """Times in seconds, and their least, greatest and last values, rounded; None for no value."""
    columns: dict[str, list[Any]] = {"t_s": (times / 1000).tolist()}
    for name, column in zip(("min", "max", "last"), values, strict=True):
        rounded = np.round(column, decimals).tolist()
        # Only what is no number is not itself.
        columns[name] = [None if x != x else x if decimals else int(x) for x in rounded]
    return columns


def _same(one: Floats, other: Floats) -> Flags:
    same: Flags = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


# -- small things ------------------------------------------------------------------------------------------


def _last_of_each(numbers: Ints, groups: int) -> Ints:
    """The last row of each number from 0 to groups - 1 that occurs, looking back no further than needed."""
    reach = 16 * (groups + 1)
    while True:
        first = max(0, numbers.size - reach)
        late = numbers[first:]
        found = np.full(groups, NONE)
        known = (late >= 0) & (late < groups)
        found[late[known]] = np.flatnonzero(known) + first
        if not first or (found != NONE).all():
            rows: Ints = found[found != NONE]
            return rows
        reach *= 4


def _chosen(table: Table, rows: Flags | slice) -> Table:
    return {name: values[rows] for name, values in table.items()}


def _above(numbers: Ints) -> int:
    """A whole number above all of these."""
    return int(numbers.max(initial=NONE)) + 1


def _oldest(times: Ints) -> int | None:
    return int(times.min()) if times.size else None


def _rounded(share: float) -> float:
    return round(share, 3)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _minutes(ms: int) -> str:
    minutes = ms // 60_000
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
