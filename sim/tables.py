"""The facts of a run as tables that the KPIs share: stays, segments, tasks, orders, step functions of time.

`RunFacts` turns the trace into a few tables: where each box stood and from when to when (`stays`), what each
robot did (`segments`), in whose hands each task was (`task_spans`), when each order came and left (`orders`)
and what its time went to (`order_causes`). Times are whole milliseconds. A table covers the whole run; what
is asked of it is cut to the measured window. Nothing here is a KPI; those stand in `kpis`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim import facts
from sim.facts import CHECK, ISSUE, NONE, PUT_AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.calendar import WorkCalendar
    from sim.layout import Layout
    from sim.scenario import Scenario
    from sim.simulation import Result
    from sim.trace import Trace

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Table = dict[str, Ints]

DAY_MS: Final = 86_400_000
"""Milliseconds of a day."""

FOREVER: Final = 1 << 60
"""An instant after the end of every run, in milliseconds."""

ROBOT_CAUSES: Final = (
    "idle", "travel", "handling", "digging", "tour_wait", "aisle", "port", "conflict", "charging", "parking",
    "fault",
)  # fmt: skip
"""What a robot's time goes to."""

TASK_CAUSES: Final = (
    "waiting_assignment", "travel", "handling", "digging", "aisle", "port", "conflict", "charging", "fault",
    "tour_wait",
)  # fmt: skip
"""What the clock time of a task goes to, from its creation until its box is where it should be."""

ORDER_CAUSES: Final = (
    "waiting_stock", "waiting_robot", "travel", "handling", "digging", "aisle", "port", "conflict",
    "charging", "fault", "tour_wait", "waiting_people", "people", "outside_shifts",
)  # fmt: skip
"""What the clock time of an order goes to, from its release to its hand-over."""

_BEFORE_ARRIVAL: Final = np.array([ROBOT_CAUSES.index(cause) for cause in (
    "idle", "travel", "travel", "tour_wait", "aisle", "port", "conflict", "charging", "charging", "charging",
    "parking", "fault",
)])  # fmt: skip
_AFTER_ARRIVAL: Final = _BEFORE_ARRIVAL.copy()
_AFTER_ARRIVAL[facts.WORKING] = ROBOT_CAUSES.index("handling")
_AFTER_ARRIVAL[facts.DIGGING] = ROBOT_CAUSES.index("digging")

# A robot that holds a task and does nothing has not begun it; driving to a parking place is driving.
_CAUSE_OF_TASK: Final = np.array([
    TASK_CAUSES.index({"idle": "waiting_assignment", "parking": "travel"}.get(cause, cause))
    for cause in ROBOT_CAUSES
])  # fmt: skip


# While no robot has taken a task, it waits in or outside shifts, or for robots that cannot work.
_WAITING: Final = ("assignment_open", "assignment_closed", "tour_wait", "charging", "fault")
_CAUSE_OF_WAITING: Final = (0, 0, *(TASK_CAUSES.index(cause) for cause in _WAITING[2:]))


class RunFacts:
    """One run as the KPIs read it: its facts from `start_ms` (the warm-up cut) to `end_ms`.

    Tables are computed when first asked for and kept.
    """

    def __init__(
        self,
        trace: Trace,
        scenario: Scenario,
        layout: Layout,
        calendar: WorkCalendar,
        start_ms: int,
        end_ms: int,
    ) -> None:
        self.trace = trace
        self.scenario = scenario
        self.layout = layout
        self.calendar = calendar
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.robots = scenario.robots.count
        self._tables: dict[str, Table] = {}

    @classmethod
    def of(cls, result: Result) -> RunFacts:
        """The facts of a result, its scenario's warm-up cut off."""
        start_ms = min(result.scenario.time.warmup_days * DAY_MS, result.end_ms)
        return cls(result.trace, result.scenario, result.layout, result.calendar, start_ms, result.end_ms)

    @property
    def span_ms(self) -> int:
        """Length of the measured window."""
        return self.end_ms - self.start_ms

    def table(self, name: str) -> Table:
        """The facts of one kind, read once."""
        if name not in self._tables:
            self._tables[name] = self.trace.table(name)
        return self._tables[name]

    def measured(self, name: str) -> Table:
        """The facts of one kind that fall into the window."""
        table = self.table(name)
        inside = self.inside(table["time_ms"])
        return {column: values[inside] for column, values in table.items()}

    def inside(self, times: Ints) -> Flags:
        """Which instants fall into the window, both ends included."""
        return (times >= self.start_ms) & (times <= self.end_ms)

    def cut(self, start: Ints, end: Ints) -> Ints:
        """How long each of these intervals lies in the window, in milliseconds."""
        lasted: Ints = np.maximum(np.minimum(end, self.end_ms) - np.maximum(start, self.start_ms), 0)
        return lasted

    def open_before(self, times: Ints) -> Ints:
        """Working time from time 0 to each of these instants (0 before time 0), in milliseconds."""
        starts, lengths, before = self._shifts
        if not starts.size:
            return np.zeros_like(times)
        shift = np.searchsorted(starts, times, side="right") - 1
        at = np.maximum(shift, 0)
        worked: Ints = np.where(shift < 0, 0, before[at] + np.minimum(times - starts[at], lengths[at]))
        return worked

    def open_between(self, start: Ints, end: Ints) -> Ints:
        """Working time from each of these instants to another, in milliseconds."""
        return self.open_before(end) - self.open_before(start)

    def open_cut(self, start: Ints, end: Ints) -> Ints:
        """How much working time each of these intervals has in the window, in milliseconds."""
        a, b = np.maximum(start, self.start_ms), np.minimum(end, self.end_ms)
        lasted: Ints = np.where(b > a, self.open_between(a, b), 0)
        return lasted

    @cached_property
    def shift_ms(self) -> int:
        """Working time in the window."""
        return int(self.open_between(np.array([self.start_ms]), np.array([self.end_ms]))[0])

    @cached_property
    def _shifts(self) -> tuple[Ints, Ints, Ints]:
        intervals = self.calendar.intervals(0, self.end_ms)
        starts = np.array([a for a, _ in intervals], np.int64)
        lengths = np.array([b - a for a, b in intervals], np.int64)
        return starts, lengths, np.cumsum(lengths) - lengths

    @cached_property
    def is_port(self) -> Flags:
        """For each place and, last, for no place: whether it is a port."""
        return self.places([port.place for port in self.layout.ports])

    @cached_property
    def in_store(self) -> Flags:
        """For each place and, last, for no place: whether a box there belongs to the store's stock."""
        layout = self.layout
        away = self.places([layout.truck, layout.outside, layout.handed_over])
        away[-1] = True
        return ~away

    def places(self, places: Sequence[int]) -> Flags:
        """A flag for each place and, last, for no place (NONE): whether it is one of these."""
        flags = np.zeros(self.layout.places + 1, np.bool_)
        flags[list(places)] = True
        return flags

    @cached_property
    def boxes(self) -> Table:
        """The boxes by number: the columns of `box_created` and `arrived`.

        `arrived` is the time of the box's truck, and of the first box for those that were there at time 0.
        """
        created = self.table("box_created")
        order = np.argsort(created["box"], kind="stable")
        boxes = {name: values[order] for name, values in created.items()}
        truck, at = np.unique(boxes["truck"], return_inverse=True)
        arrived = np.full(truck.size, FOREVER)
        np.minimum.at(arrived, at, boxes["time_ms"])
        boxes["arrived"] = arrived[at]
        return boxes

    def box_value(self, column: str, box: Ints) -> Ints:
        """A column of `boxes` for each of these boxes."""
        return self.boxes[column][np.searchsorted(self.boxes["box"], box)]

    @cached_property
    def stays(self) -> Table:
        """Where each box stood: `box`, `place`, `start`, `end`, `meters`, `recorded` (by box, then by time).

        `end` is the end of the run for the last stay of a box. `recorded` is the place that the ledger gave
        meanwhile. A box on a truck stays there from its creation; one of time 0 starts in its slot.
        """
        moved, created = self.table("box_moved"), self.table("box_created")
        fresh = created["place"] == self.layout.truck
        columns = {
            "box": np.concatenate([created["box"][fresh], moved["box"]]),
            "seq": np.concatenate([created["seq"][fresh], moved["seq"]]),
            "place": np.concatenate([created["place"][fresh], moved["to_place"]]),
            "start": np.concatenate([created["time_ms"][fresh], moved["time_ms"]]),
            "recorded": np.concatenate([created["place"][fresh], moved["recorded"]]),
        }
        order = np.lexsort((columns["seq"], columns["box"]))
        stays = {name: values[order] for name, values in columns.items()}
        box = stays["box"]
        stays["end"] = _until_next(box, stays["start"], self.end_ms)
        # A move that leaves the record unchanged carries the last recorded place of the same box on.
        row = np.arange(box.size)
        stays["recorded"] = stays["recorded"][
            np.maximum.accumulate(np.where((stays["recorded"] != NONE) | is_first(box), row, 0))
        ]
        stays["meters"] = self.box_value("meters", box) - self._picked_before(box, stays["seq"])
        return stays

    def _picked_before(self, box: Ints, seq: Ints) -> Ints:
        """How many meters were picked out of each of these boxes before each of these facts."""
        picked = self.table("meters_picked")
        scale = _above(seq, picked["seq"])
        key = picked["box"] * scale + picked["seq"]
        order = np.argsort(key)
        total = np.append(0, np.cumsum(bits(picked["mask"])[order]))
        key = key[order]
        before: Ints = (
            total[np.searchsorted(key, box * scale + seq)] - total[np.searchsorted(key, box * scale)]
        )
        return before

    def standing(self, where: Flags) -> Table:
        """The stays at a set of places, given as a flag for each place and, last, for no place."""
        chosen = where[self.stays["place"]]
        return {name: values[chosen] for name, values in self.stays.items()}

    @cached_property
    def in_slots(self) -> Table:
        """The stays in slots."""
        return self.standing(self.places(range(self.layout.slots)))

    @cached_property
    def received(self) -> Table:
        """The received boxes: `box`, `start` (receiving scan), `end` (stored or gone), `stored` (or NONE).

        `stored` is the time at which its put-away was done, NONE for a box that was served before.
        """
        received, layout = self.table("box_received"), self.layout
        final = self.places([layout.pick_station, layout.loose_rack, layout.handed_over, layout.outside])
        final[: layout.slots] = True
        left = self.standing(final)
        box, scale = received["box"], _above(self.stays["seq"], received["seq"])
        at = np.searchsorted(left["box"] * scale + left["seq"], box * scale + received["seq"])
        end = np.append(left["start"], self.end_ms)[at]
        end[np.append(left["box"], NONE)[at] != box] = self.end_ms
        done = (self.tasks["done"] == 1) & (self.tasks["class"] == PUT_AWAY)
        stored = look_up(self.tasks["box"][done], self.tasks["end"][done], box)
        return {"box": box, "start": received["time_ms"], "end": end, "stored": stored}

    @cached_property
    def segments(self) -> Table:
        """What the robots did: `robot`, `cause` (of ROBOT_CAUSES), `start`, `end` (by robot, then by time).

        A stretch lasts until the next one of its robot; one of work splits where the robot arrives.
        """
        stretch = self.table("robot_stretch")
        order = np.lexsort((stretch["seq"], stretch["robot"]))
        robot, activity = stretch["robot"][order], stretch["activity"][order]
        start = stretch["time_ms"][order]
        end = _until_next(robot, start, self.end_ms)
        works = (activity == facts.WORKING) | (activity == facts.DIGGING)
        split = np.where(works, np.clip(stretch["arrive"][order], start, end), end)
        # Two segments a stretch, side by side, so that the order stays.
        segments = {
            "robot": np.repeat(robot, 2),
            "cause": np.column_stack([_BEFORE_ARRIVAL[activity], _AFTER_ARRIVAL[activity]]).ravel(),
            "start": np.column_stack([start, split]).ravel(),
            "end": np.column_stack([split, end]).ravel(),
        }
        lasting = segments["end"] > segments["start"]
        return {name: values[lasting] for name, values in segments.items()}

    @cached_property
    def waiting(self) -> Table:
        """Why a task waits that no robot has taken: `robot` (0), `cause` (of _WAITING), `start`, `end`.

        It waits for assignment as long as a robot is at work or idle; when none is, for one that waits to
        fill a tour, else for one that charges, else for one that is out of order.
        """
        segments, (opens, lengths, _) = self.segments, self._shifts
        edges = [segments["start"], segments["end"], opens, opens + lengths, np.array([0, self.end_ms])]
        start = np.unique(np.concatenate(edges))[:-1]
        absent = np.array([ROBOT_CAUSES.index(cause) for cause in _WAITING[2:]])
        there = []
        for causes in (np.setdiff1d(np.arange(len(ROBOT_CAUSES)), absent), *absent[:, None]):
            chosen = np.isin(segments["cause"], causes)
            there.append(steps(segments["start"][chosen], segments["end"][chosen]).at(start) > 0)
        is_open = steps(opens, opens + lengths).at(start) > 0
        assignment = np.where(is_open, 0, 1)
        return {
            "robot": np.zeros_like(start),
            "cause": np.select(there, [assignment, *(np.full_like(start, k) for k in (2, 3, 4))], assignment),
            "start": start,
            "end": np.append(start[1:], self.end_ms),
        }

    def robot_ms(self, robot: Ints, start: Ints, end: Ints) -> Ints:
        """What each robot did between two instants, in milliseconds; shape (n, len(ROBOT_CAUSES))."""
        return _spent(self.segments, len(ROBOT_CAUSES), robot, start, end)

    @cached_property
    def task_spans(self) -> Table:
        """In whose hands each task was: `task`, `start`, `end`, `robot` (NONE: waiting), by task and time."""
        names = ("created", "assigned", "returned", "done", "cancelled")
        steps = [self.table(f"task_{step}") for step in names]
        unsorted = {
            name: np.concatenate([step[name] for step in steps]) for name in ("task", "seq", "time_ms")
        }
        order = np.lexsort((unsorted["seq"], unsorted["task"]))
        task, start = unsorted["task"][order], unsorted["time_ms"][order]
        step_of = np.repeat(np.arange(len(names)), [step["seq"].size for step in steps])
        holder = np.full(task.size, NONE)
        holder[step_of == 1] = steps[1]["robot"]
        robot, going = holder[order], (step_of < names.index("done"))[order]
        end = _until_next(task, start, self.end_ms)
        return {"task": task[going], "start": start[going], "end": end[going], "robot": robot[going]}

    @cached_property
    def tasks(self) -> Table:
        """The tasks by number: `task`, `class`, `box`, `order`, `start`, `end` and `done` (0, 1).

        A task that is not done ends when it is called off, or with the run.
        """
        created, spans = self.table("task_created"), self.task_spans
        order = np.argsort(created["task"], kind="stable")
        done = look_up(
            self.table("task_done")["task"], self.table("task_done")["seq"], created["task"][order]
        )
        return {
            "task": created["task"][order],
            "class": created["task_class"][order],
            "box": created["box"][order],
            "order": created["order"][order],
            "start": created["time_ms"][order],
            "end": spans["end"][is_last(spans["task"])],
            "done": (done != NONE).astype(np.int64),
        }

    @cached_property
    def task_causes(self) -> Ints:
        """What the time of each task went to, in ms, from `start` to `end`; shape (tasks, len(TASK_CAUSES)).

        Rows sum to the task's clock time exactly.
        """
        return self._split(np.arange(self.tasks["task"].size), self.tasks["start"])[0]

    def _split(self, rows: Ints, since: Ints) -> tuple[Ints, Ints]:
        """What the time of tasks went to from an instant on, and the part of waiting outside shifts, in ms.

        `rows` are rows of `tasks`; NONE stands for no task, and no time.
        """
        spans = self.task_spans
        number = np.append(self.tasks["task"], NONE)[rows]
        first = np.searchsorted(spans["task"], number)
        many = np.searchsorted(spans["task"], number, side="right") - first
        row = np.repeat(np.arange(rows.size), many)
        at = first[row] + np.arange(row.size) - (np.cumsum(many) - many)[row]
        start = np.maximum(spans["start"][at], since[row])
        end, robot = np.maximum(spans["end"][at], start), spans["robot"][at]
        held, free = robot != NONE, robot == NONE
        causes = np.zeros((rows.size, len(TASK_CAUSES)), np.int64)
        spent = self.robot_ms(robot[held], start[held], end[held])
        for cause, column in zip(_CAUSE_OF_TASK.tolist(), spent.T, strict=True):
            causes[:, cause] += sum_by(row[held], column, rows.size)
        waited = _spent(self.waiting, len(_WAITING), np.zeros_like(start[free]), start[free], end[free])
        for cause, column in zip(_CAUSE_OF_WAITING, waited.T, strict=True):
            causes[:, cause] += sum_by(row[free], column, rows.size)
        return causes, sum_by(row[free], waited[:, 1], rows.size)

    @cached_property
    def set_downs(self) -> Table:
        """The box moves: a robot sets a box down in a slot or at a port, as the box's own task says."""
        moved = self.measured("box_moved")
        place = moved["to_place"]
        task_box = look_up(self.tasks["task"], self.tasks["box"], moved["task"])
        wanted = (moved["robot"] != NONE) & (moved["task"] != NONE) & (task_box == moved["box"])
        wanted &= (place >= 0) & ((place < self.layout.slots) | self.is_port[place])
        return {name: values[wanted] for name, values in moved.items()}

    @cached_property
    def orders(self) -> Table:
        """The orders by number: `order`, `start`, `end` (of the run if open), `due`, `late`, `done`."""
        released, handed = self.table("order_released"), self.table("order_handed_over")
        by_number = np.argsort(released["order"], kind="stable")
        order = released["order"][by_number]
        end = look_up(handed["order"], handed["time_ms"], order)
        return {
            "order": order,
            "start": released["time_ms"][by_number],
            "due": released["due"][by_number],
            "end": np.where(end == NONE, self.end_ms, end),
            "late": look_up(handed["order"], handed["late"], order),
            "done": (end != NONE).astype(np.int64),
        }

    @cached_property
    def finished_orders(self) -> Table:
        """The orders handed over in the window."""
        finished = (self.orders["done"] == 1) & self.inside(self.orders["end"])
        return {name: values[finished] for name, values in self.orders.items()}

    @cached_property
    def order_causes(self) -> Ints:
        """What the time of each finished order went to, in ms; shape (orders, len(ORDER_CAUSES)).

        An order's boxes are served side by side; its time is followed along the box that was checked last:
        until that box was reserved, until a robot took its task, on the robot, until people had handed the
        order over. Rows sum to the order's clock time exactly.
        """
        orders = self.finished_orders
        order, start, end = orders["order"], orders["start"], orders["end"]
        box = self._last_box(order)
        reserved, task = self._fetched(order, box, start, end)
        created = np.maximum(reserved, np.append(self.tasks["start"], NONE)[task])
        delivered = np.where(task == NONE, created, np.append(self.tasks["end"], NONE)[task])
        of_task, waiting_closed = self._split(task, created)
        row, work_start, work_end = self._people_at(order, box, delivered, end)
        people_open = sum_by(row, self.open_between(work_start, work_end), order.size)
        causes = dict(zip(TASK_CAUSES, of_task.T, strict=True))
        waiting_assignment = causes.pop("waiting_assignment")
        causes["waiting_stock"] = self.open_between(start, reserved)
        causes["waiting_robot"] = self.open_between(reserved, created) + waiting_assignment - waiting_closed
        causes["waiting_people"] = self.open_between(delivered, end) - people_open
        causes["people"] = sum_by(row, work_end - work_start, order.size)
        causes["outside_shifts"] = end - start - sum(causes.values())
        return np.column_stack([causes[cause] for cause in ORDER_CAUSES])

    def _fetched(self, order: Ints, box: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
        """When one box of each order was reserved for it, and the task that brought it to the port then.

        NONE stands for no task: the box was served from staging or stood open at the pick station. Another
        order may have asked for the task.
        """
        reservation, work, tasks = self.table("box_reserved"), self.table("person_work"), self.tasks
        scale = _above(self.boxes["box"]) + 1
        wanted = order * scale + box + 1
        keys = reservation["order"] * scale + reservation["box"] + 1
        reserved = np.clip(look_up(keys, reservation["time_ms"], wanted), start, end)
        # The first work of people on the box for the order: `look_up` finds the last of equal keys.
        keys = (work["order"] * scale + work["box"] + 1)[::-1]
        begun = look_up(keys, work["time_ms"][::-1], wanted)
        begun = np.where((begun < reserved) | (begun > end), end, begun)
        issues = np.flatnonzero((tasks["done"] == 1) & (tasks["class"] == ISSUE))
        scale = self.end_ms + 1
        keys = tasks["box"][issues] * scale + tasks["end"][issues]
        by_box = np.argsort(keys, kind="stable")
        at = np.searchsorted(keys[by_box], box * scale + begun, side="right") - 1
        task = np.append(issues[by_box], NONE)[at]
        fits = np.append(tasks["box"], NONE)[task] == box
        fits &= np.append(tasks["end"], NONE)[task] > reserved
        return reserved, np.where(fits, task, NONE)

    def _last_box(self, order: Ints) -> Ints:
        """The box of each order that was checked last (or, without checks, issued last); NONE for none."""
        work, issued = self.table("person_work"), self.table("meters_issued")
        check = (work["work"] == CHECK) & (work["box"] != NONE)
        by_end = np.lexsort((work["seq"][check], work["end"][check]))
        box = look_up(work["order"][check][by_end], work["box"][check][by_end], order)
        return np.where(box == NONE, look_up(issued["order"], issued["box"], order), box)

    def _people_at(self, order: Ints, box: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
        """When people worked on one box of each order from start to end, as (row, start, end)."""
        work = self.table("person_work")
        row = look_up(order, np.arange(order.size), work["order"])
        ours = (row != NONE) & (work["order"] != NONE)
        ours[ours] = (work["box"][ours] == box[row[ours]]) | (work["box"][ours] == NONE)
        row = row[ours]
        a, b = np.maximum(work["time_ms"][ours], start[row]), np.minimum(work["end"][ours], end[row])
        return joined(row[b > a], a[b > a], b[b > a])

    def overdue_from(self, box: Ints) -> Ints:
        """When the verification of each of these boxes becomes too old for issue, in milliseconds.

        A meter may be issued up to `demand.max_age_days` days after its verification, the last one included.
        """
        day = self.box_value("verified_day", box) + self.scenario.demand.max_age_days + 1
        return (day - self.calendar.ordinal(0)) * DAY_MS


class Steps(NamedTuple):
    """A quantity that changes in steps: `values[i]` holds from `times[i]` on, 0 before the first."""

    times: Ints
    values: Ints

    def total_before(self, times: Ints) -> Ints:
        """The integral from the first step to each of these instants, in units x milliseconds."""
        if not self.times.size:
            return np.zeros_like(times)
        held = np.append(0, np.cumsum(self.values[:-1] * np.diff(self.times)))
        at = np.searchsorted(self.times, times, side="right") - 1
        inside = np.maximum(at, 0)
        total: Ints = held[inside] + self.values[inside] * (times - self.times[inside])
        return total * (at >= 0)

    def mean(self, start: int, end: int) -> float | None:
        """The time mean between two instants."""
        a, b = self.total_before(np.array([start, end]))
        return float(b - a) / (end - start) if end > start else None

    def at(self, times: Ints) -> Ints:
        """The value at each of these instants."""
        at = np.searchsorted(self.times, times, side="right") - 1
        return np.where(at < 0, 0, np.append(self.values, 0)[at])

    def most(self, start: int, end: int) -> int:
        """The greatest value between two instants."""
        inside = (self.times >= start) & (self.times < end)
        return int(max(self.at(np.array([start]))[0], self.values[inside].max(initial=0)))


def steps(start: Ints, end: Ints, weight: Ints | int = 1) -> Steps:
    """The sum of the weights of the intervals [start, end) that hold an instant, as a step function."""
    weights = np.broadcast_to(np.asarray(weight, np.int64), start.shape)
    times = np.concatenate([start, end])
    order = np.argsort(times, kind="stable")
    times = times[order]
    values = np.cumsum(np.concatenate([weights, -weights])[order])
    last = is_last(times)
    return Steps(times[last], values[last])


def bits(mask: Ints) -> Ints:
    """How many meters each mask names."""
    return np.bitwise_count(mask).astype(np.int64)


def is_first(group: Ints) -> Flags:
    """Which rows open a run of equal values."""
    first = np.ones(group.size, np.bool_)
    first[1:] = group[1:] != group[:-1]
    return first


def is_last(group: Ints) -> Flags:
    """Which rows close a run of equal values."""
    last = np.ones(group.size, np.bool_)
    last[:-1] = group[1:] != group[:-1]
    return last


def _until_next(group: Ints, start: Ints, end: int) -> Ints:
    """The start of the next row of the same group, or the end."""
    until = np.empty_like(start)
    until[:-1] = start[1:]
    until[is_last(group)] = end
    return until


def look_up(keys: Ints, values: Ints, wanted: Ints) -> Ints:
    """The value that stands last beside each wanted key; NONE where the key does not occur."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    at = np.searchsorted(keys, wanted, side="right") - 1
    found = at >= 0
    found[found] = keys[at[found]] == wanted[found]
    values_found = np.full(wanted.shape, NONE)
    values_found[found] = values[order][at[found]]
    return values_found


def _spent(segments: Table, causes: int, robot: Ints, start: Ints, end: Ints) -> Ints:
    """How much of each cause a robot's segments have between two instants, in ms; shape (n, causes).

    Segments are sorted by robot and start and follow one another without gaps.
    """
    spent = np.zeros((robot.size, causes), np.int64)
    if not segments["start"].size or not robot.size:
        return spent
    first = min(int(segments["start"].min()), int(start.min()))
    scale = max(int(segments["start"].max()), int(end.max())) - first + 1
    key = segments["robot"] * scale + segments["start"] - first
    length = segments["end"] - segments["start"]
    clocks = []
    for time in (start, end):
        at = np.searchsorted(key, robot * scale + time - first, side="right") - 1
        clocks.append((at, time - segments["start"][at]))
    for cause in range(causes):
        own = segments["cause"] == cause
        before = np.cumsum(length * own) - length * own
        a, b = (before[at] + into * own[at] for at, into in clocks)
        spent[:, cause] = b - a
    return spent


def _above(*numbers: Ints) -> int:
    """A whole number above all of these: the scale that makes one key of two numbers."""
    return max(int(values.max(initial=0)) for values in numbers) + 1


def sum_by(group: Ints, values: Ints, groups: int) -> Ints:
    """The sum of the values of each group, exactly."""
    sums = np.zeros(groups, np.int64)
    np.add.at(sums, group, values)
    return sums


def joined(group: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """The intervals of each group with overlaps joined, as (group, start, end)."""
    if not group.size:
        return group, start, end
    order = np.lexsort((start, group))
    group, start, end = group[order], start[order], end[order]
    # Shift each group behind the one before it: one running maximum then serves all.
    first = int(start.min())
    shift = (np.cumsum(is_first(group)) - 1) * (int(end.max()) - first + 1) - first
    reach = np.maximum.accumulate(end + shift)
    opens = np.ones(group.size, np.bool_)
    opens[1:] = (start + shift)[1:] > reach[:-1]
    at = np.flatnonzero(opens)
    until = np.append(at[1:] - 1, group.size - 1)
    return group[at], start[at], reach[until] - shift[at]
