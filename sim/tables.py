"""The facts of a run as tables that the KPIs share: stays, records, segments, tasks, orders, step functions.

`RunFacts` turns the trace into a few tables: where each box stood and from when to when (`stays`), where the
records had it (`records`) and both beside each other with the meters on either side (`both_sides`), what
parted them and who found it (`errors`), what each robot did (`segments`), in whose hands each task was
(`task_spans`), when each order came and left (`orders`) and what its time went to (`order_causes`). Times are
whole milliseconds. A table covers the whole run; what is asked of it is cut to the measured window. Robots
numbered from the number of robots on are people who carry boxes by hand. Nothing here is a KPI; those stand
in `kpis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, overload

import numpy as np

from sim import facts
from sim.columns import LazyColumns
from sim.facts import CARRY, CHECK, ISSUE, NONE, PUT_AWAY, SHORT_PACKED, UNRECORDED_REMOVAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sim.calendar import WorkCalendar
    from sim.layout import Layout
    from sim.scenario import Scenario
    from sim.simulation import Result
    from sim.trace import Trace

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Table = dict[str, Ints]

MOST_KEPT_BYTES: Final = 64 << 20
"""Tables of a run are kept up to so many bytes; beyond, those used longest ago are computed again."""

_ROWS_AT_ONCE: Final = 1 << 17

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
    "tour_wait", "people",
)  # fmt: skip
"""What the clock time of a task goes to, from its creation until its box is where it should be."""

ORDER_CAUSES: Final = (
    "waiting_stock", "count", "waiting_robot", "travel", "handling", "digging", "aisle", "port", "conflict",
    "charging", "fault", "tour_wait", "waiting_people", "people", "outside_shifts",
)  # fmt: skip
"""What the clock time of an order goes to, from its release to its hand-over.

`count`: it waits for stock while a box of its SKU is on hold because of a discrepancy, or until a box is
found not to be where the records have it.
"""

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


_What = TypeVar("_What")


class kept(Generic[_What]):  # noqa: N801 - used as `property` is
    """A table that `RunFacts` computes when it is asked for, and keeps while there is room."""

    def __init__(self, make: Callable[[RunFacts], _What]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, run: None, owner: type) -> kept[_What]: ...
    @overload
    def __get__(self, run: RunFacts, owner: type) -> _What: ...
    def __get__(self, run: RunFacts | None, owner: type) -> kept[_What] | _What:
        return self if run is None else run._keep(self._key(run), self._make)

    def _key(self, run: RunFacts) -> str:  # noqa: ARG002 - see below
        return self._name


class kept_of_window(kept[_What]):  # noqa: N801
    """The same for what depends on the window that is measured; all else covers the whole run."""

    def _key(self, run: RunFacts) -> str:
        return f"{self._name} {run.start_ms} {run.end_ms}"


class RunFacts:
    """One run as the KPIs read it: its facts from `start_ms` (the warm-up cut) to `end_ms`.

    Tables are computed when first asked for, and kept up to `MOST_KEPT_BYTES`: of a long run not all are here
    at once.
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
        self.until_ms = end_ms
        """The end of the run, where the window that is measured may end before it."""
        self.robots = scenario.robots.count
        self.hands = layout.hands
        """People who carry boxes; each is a robot number from `robots` on."""
        self._kept: dict[str, Any] = {}

    def _keep(self, name: str, make: Callable[[RunFacts], _What]) -> _What:
        """What was kept under a name, or is made and kept now."""
        made: _What | None = self._kept.pop(name, None)
        if made is not None:
            self._kept[name] = made  # the latest one stands last
            return made
        made = self._kept[name] = make(self)
        held = {other: _bytes_of(value) for other, value in self._kept.items()}
        excess = sum(held.values()) - MOST_KEPT_BYTES
        for other in list(held)[:-1]:
            if excess <= 0:
                break
            if held[other]:
                excess -= held[other]
                del self._kept[other]
        return made

    @classmethod
    def of(cls, result: Result) -> RunFacts:
        """The facts of a result, its scenario's warm-up cut off."""
        scenario = result.scenario_at_end
        start_ms = min(scenario.time.warmup_days * DAY_MS, result.end_ms)
        return cls(result.trace, scenario, result.layout, result.calendar, start_ms, result.end_ms)

    @property
    def span_ms(self) -> int:
        """Length of the measured window."""
        return self.end_ms - self.start_ms

    def table(self, name: str) -> Table:
        """The facts of one kind, of no more columns than are asked for."""
        return self._keep(f"facts: {name}", lambda run: run.trace.columns(name))

    def measured(self, name: str) -> Table:
        """The facts of one kind that fall into the window."""
        table = self.table(name)
        return _chosen(table, self.inside(table["time_ms"]))

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

    @kept_of_window
    def shift_ms(self) -> int:
        """Working time in the window."""
        return int(self.open_between(np.array([self.start_ms]), np.array([self.end_ms]))[0])

    @kept
    def _shifts(self) -> tuple[Ints, Ints, Ints]:
        intervals = self.calendar.intervals(0, self.until_ms)
        starts = np.array([a for a, _ in intervals], np.int64)
        lengths = np.array([b - a for a, b in intervals], np.int64)
        return starts, lengths, np.cumsum(lengths) - lengths

    @kept
    def is_port(self) -> Flags:
        """For each place and, last, for no place: whether it is a port."""
        return self.places([port.place for port in self.layout.ports])

    @kept
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

    @kept
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

    def verified_day(self, box: Ints, seq: Ints) -> Ints:
        """The day of verification of each of these boxes at a fact (given by its place among all facts)."""
        day = self.box_value("verified_day", box)
        again = self.table("box_verified")
        if not again["box"].size:
            return day
        scale = _above(seq, again["seq"])
        key = again["box"] * scale + again["seq"]
        order = np.argsort(key)
        at = np.searchsorted(key[order], box * scale + seq, side="right") - 1
        at = np.where(at < 0, 0, order[at])
        fits = (again["box"][at] == box) & (again["seq"][at] <= seq)
        return np.where(fits, again["day"][at], day)

    @kept
    def stays(self) -> Table:
        """Where each box stood: `box`, `place`, `seq`, `start`, `end`, `meters` (by box, then by time).

        `end` is the end of the run for the last stay of a box; `meters` are those in the box at the start. A
        box on a truck stays there from its creation; one of time 0 starts in its slot.
        """
        moved, created = self.table("box_moved"), self.table("box_created")
        stays = self._lasting(
            _rows(created, created["place"] == self.layout.truck, place=created["place"]),
            _rows(moved, place=moved["to_place"]),
        )
        stays["meters"] = self.box_value("meters", stays["box"]) - self._taken_before(
            stays["box"], stays["seq"]
        )
        return stays

    @kept
    def records(self) -> Table:
        """Where the records had each box: `box`, `place`, `seq`, `start`, `end` (by box, then by time).

        NONE stands for a record that no fact tells.
        """
        moved, created, recorded = (self.table(f"box_{name}") for name in ("moved", "created", "recorded"))
        return self._lasting(
            _rows(created, created["place"] == self.layout.truck, place=created["place"]),
            _rows(moved, moved["recorded"] != NONE, place=moved["recorded"]),
            _rows(recorded, place=recorded["place"]),
        )

    def _lasting(self, *tables: Table) -> Table:
        """Rows that each last until the next one of their box, by box and then in the order of recording."""
        columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        order = np.lexsort((columns["seq"], columns["box"]))
        rows = {name: values[order] for name, values in columns.items()}
        rows["end"] = _until_next(rows["box"], rows["start"], self.until_ms)
        return rows

    @kept
    def both_sides(self) -> Table:
        """Truth and record of each box: `box`, `start`, `end`, `place`, `recorded`, `truth`, `record`.

        A row lasts as long as nothing changes on either side: the true and the recorded place, the meters
        truly in the box and those on record (masks). Rows are by box, then by time; a box begins with its
        first stay.
        """
        sides = self.stays, self.records, meter_changes(self.table)
        # Some boxes at a time: what it takes to put the sides in order is many times what comes out.
        parts = -(-max(table["box"].size for table in sides) // _ROWS_AT_ONCE)
        last = max(int(table["box"].max(initial=0)) for table in sides)
        borders = [last * part // max(parts, 1) for part in range(1, parts)]
        cuts = [[0, *np.searchsorted(table["box"], borders).tolist(), table["box"].size] for table in sides]
        both = [
            self._side_by_side(*(
                {name: values[cut[part] : cut[part + 1]] for name, values in table.items()}
                for table, cut in zip(sides, cuts, strict=True)
            ))
            for part in range(len(borders) + 1)
        ]  # fmt: skip
        return {name: np.concatenate([part[name] for part in both]) for name in both[0]}

    def _side_by_side(self, stays: Table, records: Table, meters: Table) -> Table:
        """Rows of `both_sides` from the stays, the records and the changes of meters of some boxes."""
        sides = (("place", stays), ("recorded", records), ("meters", meters))
        box = np.concatenate([table["box"] for _, table in sides])
        seq = np.concatenate([table["seq"] for _, table in sides])
        time = np.concatenate([stays["start"], records["start"], meters["time_ms"]])
        order = np.lexsort((seq, box))
        box, time = box[order], time[order]
        opens, row = is_first(box), np.arange(box.size)
        values = {
            "place": stays["place"], "recorded": records["place"],
            "truth": meters["truth"], "record": meters["record"],
        }  # fmt: skip
        side_of = np.repeat(np.arange(3), [table["box"].size for _, table in sides])[order]
        columns = {}
        for name, side in (("place", 0), ("recorded", 1), ("truth", 2), ("record", 2)):
            own = side_of == side
            spread = np.full(box.size, NONE if side < 2 else 0)
            spread[own] = values[name][order[own] - sum(table["box"].size for _, table in sides[:side])]
            columns[name] = spread[np.maximum.accumulate(np.where(own | opens, row, 0))]
        end = _until_next(box, time, self.until_ms)
        lasting = (columns["place"] != NONE) & (end > time)
        both = {"box": box, "start": time, "end": end, **columns}
        return {name: column[lasting] for name, column in both.items()}

    @kept
    def errors(self) -> Table:
        """The errors: `error`, `cause`, `box`, `mask`, `slot`, `start`, `end` and `how` (of LOOKS, or NONE).

        `end` is when it was found or left the store, and the end of the run while it is neither.
        """
        made, found = self.table("error_made"), self.table("error_found")
        end = look_up(found["error"], found["time_ms"], made["error"])
        return {
            **{name: made[name] for name in ("error", "cause", "box", "mask", "slot")},
            "start": made["time_ms"],
            "end": np.where(end == NONE, self.until_ms, end),
            "how": look_up(found["error"], found["how"], made["error"]),
        }

    @kept
    def counts(self) -> Table:
        """The counts: `count`, `plan`, `planned` (slots), `start`, `end`, `slots`, `differences`, `done`.

        A count that is not done lasts until the end of the run; its slots and differences are NONE.
        """
        planned, ended = self.table("count_planned"), self.table("count_ended")
        end, slots, differences = (
            look_up(ended["count"], ended[name], planned["count"])
            for name in ("time_ms", "slots", "differences")
        )
        return {
            "count": planned["count"],
            "plan": planned["plan"],
            "planned": planned["slots"],
            "start": planned["time_ms"],
            "end": np.where(end == NONE, self.until_ms, end),
            "slots": slots,
            "differences": differences,
            "done": (end != NONE).astype(np.int64),
        }

    @kept
    def faults(self) -> Table:
        """What broke: `cause`, `robot`, `box`, `place`, `start`, `end` (of the run until it is repaired)."""
        began, ended = self.table("fault_began"), self.table("fault_ended")
        scale = _above(began["seq"], ended["seq"])
        robots = _above(began["robot"], ended["robot"]) + 1
        keys = [
            (table["cause"] * robots + table["robot"] + 1) * scale + table["seq"] for table in (ended, began)
        ]
        order = np.argsort(keys[0])
        at = np.searchsorted(keys[0][order], keys[1])
        after = np.append(keys[0][order], -1)[at]
        end = np.append(ended["time_ms"][order], self.until_ms)[at]
        end[after // scale != keys[1] // scale] = self.until_ms
        fields = {name: began[name] for name in ("cause", "robot", "box", "place")}
        return {**fields, "start": began["time_ms"], "end": end}

    @kept
    def holds(self) -> Table:
        """The boxes on hold: `box`, `start`, `end`, `seq` and `listed` (1: by the stock list itself)."""
        given = self.table("box_state")
        order = np.lexsort((given["seq"], given["box"]))
        box, start, seq = given["box"][order], given["time_ms"][order], given["seq"][order]
        held = given["state"][order] == QUARANTINED
        moved = self.table("box_moved")
        first_box, first = np.unique(moved["box"], return_index=True)
        arrived = look_up(first_box, moved["seq"][first], box)
        holds = {
            "box": box, "start": start, "end": _until_next(box, start, self.until_ms), "seq": seq,
            "listed": ((arrived == NONE) | (seq < arrived)).astype(np.int64),
        }  # fmt: skip
        return {name: column[held] for name, column in holds.items()}

    def _taken_before(self, box: Ints, seq: Ints) -> Ints:
        """How many meters left each of these boxes singly before each of these facts, noticed or not."""
        picked, scrapped, made = (
            self.table(name) for name in ("meters_picked", "meters_scrapped", "error_made")
        )
        is_loss = np.isin(made["cause"], _LOSSES)
        taken = [_rows(picked, mask=picked["mask"]), _rows(scrapped, mask=scrapped["mask"])]
        taken.append(_rows(made, is_loss, mask=made["mask"]))
        columns = {name: np.concatenate([table[name] for table in taken]) for name in ("box", "seq", "mask")}
        scale = _above(seq, columns["seq"])
        key = columns["box"] * scale + columns["seq"]
        order = np.argsort(key)
        total = np.append(0, np.cumsum(bits(columns["mask"])[order]))
        key = key[order]
        before: Ints = (
            total[np.searchsorted(key, box * scale + seq)] - total[np.searchsorted(key, box * scale)]
        )
        return before

    def standing(self, where: Flags) -> Table:
        """The stays at a set of places, given as a flag for each place and, last, for no place."""
        chosen = where[self.stays["place"]]
        return {name: values[chosen] for name, values in self.stays.items()}

    @kept
    def in_slots(self) -> Table:
        """The stays in slots."""
        return self.standing(self.places(range(self.layout.slots)))

    @kept
    def received(self) -> Table:
        """The received boxes: `box`, `start` (receiving scan), `end` (stored or gone), `stored`, `done`.

        `stored` is the time at which its put-away was done, NONE for a box that was served before; `done` is
        1 for a box that is stored or gone, else 0.
        """
        received, layout = self.table("box_received"), self.layout
        final = self.places([layout.pick_station, layout.loose_rack, layout.handed_over, layout.outside])
        final[: layout.slots] = True
        left = self.standing(final)
        box, scale = received["box"], _above(self.stays["seq"], received["seq"])
        at = np.searchsorted(left["box"] * scale + left["seq"], box * scale + received["seq"])
        gone = np.append(left["box"], NONE)[at] == box
        end = np.where(gone, np.append(left["start"], self.until_ms)[at], self.until_ms)
        start, done = received["time_ms"], (self.tasks["done"] == 1) & (self.tasks["class"] == PUT_AWAY)
        stored = self._first_after(self.tasks["box"][done], self.tasks["end"][done], box, start)
        again = self._first_after(box, start, box, start + 1)  # a box that comes back is received again
        stored[(again != NONE) & (stored > again)] = NONE
        return {"box": box, "start": start, "end": end, "stored": stored, "done": gone.astype(np.int64)}

    def _first_after(self, boxes: Ints, times: Ints, box: Ints, since: Ints) -> Ints:
        """Of events of boxes the first of each wanted box from an instant on; NONE where there is none."""
        scale = self.until_ms + 2
        keys = np.sort(boxes * scale + times)
        found = np.append(keys, -1)[np.searchsorted(keys, box * scale + since)]
        return np.where(found // scale == box, found % scale, NONE)

    @kept
    def segments(self) -> Table:
        """What the robots did: `robot`, `cause` (of ROBOT_CAUSES), `start`, `end`, `task`, by robot and time.

        A stretch lasts until the next one of its robot; one of work splits where the robot arrives.
        """
        stretch = self.table("robot_stretch")
        order = np.lexsort((stretch["seq"], stretch["robot"]))
        robot, activity = stretch["robot"][order], stretch["activity"][order]
        start = stretch["time_ms"][order]
        end = _until_next(robot, start, self.until_ms)
        works = (activity == facts.WORKING) | (activity == facts.DIGGING)
        split = np.where(works, np.clip(stretch["arrive"][order], start, end), end)
        # Two segments a stretch, side by side, so that the order stays.
        segments = {
            "robot": np.repeat(robot, 2),
            "cause": np.column_stack([_BEFORE_ARRIVAL[activity], _AFTER_ARRIVAL[activity]]).ravel(),
            "start": np.column_stack([start, split]).ravel(),
            "end": np.column_stack([split, end]).ravel(),
            "task": np.repeat(stretch["task"][order], 2),
        }
        lasting = segments["end"] > segments["start"]
        return {name: values[lasting] for name, values in segments.items()}

    @kept
    def waiting(self) -> Table:
        """Why a task waits that no robot has taken: `robot` (0), `cause` (of _WAITING), `start`, `end`.

        It waits for assignment as long as a robot is at work or idle; when none is, for one that waits to
        fill a tour, else for one that charges, else for one that is out of order.
        """
        segments, (opens, lengths, _) = self.segments, self._shifts
        edges = [segments["start"], segments["end"], opens, opens + lengths, np.array([0, self.until_ms])]
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
            "end": np.append(start[1:], self.until_ms),
        }

    def robot_ms(self, robot: Ints, start: Ints, end: Ints) -> Ints:
        """What each robot did between two instants, in milliseconds; shape (n, len(ROBOT_CAUSES))."""
        return _spent(self.segments, len(ROBOT_CAUSES), robot, start, end)

    @kept
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
        end = _until_next(task, start, self.until_ms)
        return {"task": task[going], "start": start[going], "end": end[going], "robot": robot[going]}

    @kept
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

    @kept
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
        free, by_hand = robot == NONE, robot >= self.robots
        held = ~free & ~by_hand
        causes = np.zeros((rows.size, len(TASK_CAUSES)), np.int64)
        spent = self.robot_ms(robot[held], start[held], end[held])
        for cause, column in zip(_CAUSE_OF_TASK.tolist(), spent.T, strict=True):
            causes[:, cause] += sum_by(row[held], column, rows.size)
        causes[:, TASK_CAUSES.index("people")] = sum_by(row[by_hand], (end - start)[by_hand], rows.size)
        waited = _spent(self.waiting, len(_WAITING), np.zeros_like(start[free]), start[free], end[free])
        for cause, column in zip(_CAUSE_OF_WAITING, waited.T, strict=True):
            causes[:, cause] += sum_by(row[free], column, rows.size)
        return causes, sum_by(row[free], waited[:, 1], rows.size)

    @kept_of_window
    def set_downs(self) -> Table:
        """The box moves: somebody sets a box down in a slot or at a port, as the box's own task says."""
        moved = self.measured("box_moved")
        place = moved["to_place"]
        task_box = look_up(self.tasks["task"], self.tasks["box"], moved["task"])
        wanted = (moved["robot"] != NONE) & (moved["task"] != NONE) & (task_box == moved["box"])
        wanted &= (place >= 0) & ((place < self.layout.slots) | self.is_port[place])
        return {name: moved[name][wanted] for name in ("box", "to_place", "robot", "task")}

    @kept
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
            "end": np.where(end == NONE, self.until_ms, end),
            "late": look_up(handed["order"], handed["late"], order),
            "done": (end != NONE).astype(np.int64),
        }

    @kept_of_window
    def finished_orders(self) -> Table:
        """The orders handed over in the window."""
        finished = (self.orders["done"] == 1) & self.inside(self.orders["end"])
        return {name: values[finished] for name, values in self.orders.items()}

    @kept_of_window
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
        causes["count"] = self._held_up(order, box, start, reserved)
        causes["waiting_stock"] = self.open_between(start, reserved) - causes["count"]
        waiting_taker = self.open_between(reserved, created) + waiting_assignment - waiting_closed
        causes["waiting_robot"] = waiting_taker if self.robots else np.zeros_like(waiting_taker)
        causes["waiting_people"] = self.open_between(delivered, end) - people_open
        if not self.robots:  # nobody else could have taken the task
            causes["waiting_people"] += waiting_taker
        causes["people"] += sum_by(row, work_end - work_start, order.size)
        causes["outside_shifts"] = end - start - sum(causes.values())
        return np.column_stack([causes[cause] for cause in ORDER_CAUSES])

    def _held_up(self, order: Ints, box: Ints, start: Ints, end: Ints) -> Ints:
        """Working time from start to end in which a discrepancy kept each order from its stock, in ms.

        That is while a box of the SKU is on hold, and from the reservation of a box that turns out not to be
        there, or not whole, until that shows.
        """
        holds, short, reserved = self.holds, self.table("order_short"), self.table("box_reserved")
        by_count = holds["listed"] == 0
        held_up = np.zeros_like(start)
        if not by_count.any() and not short["order"].size:
            return held_up
        held = [holds[name][by_count] for name in ("start", "end")]
        held_sku = self.box_value("sku", holds["box"][by_count])
        for row in np.flatnonzero(end > start).tolist():
            same = held_sku == self.box_value("sku", box[row])
            vain = short["order"] == order[row]
            asked = reserved["order"] == order[row]
            since = look_up(reserved["box"][asked], reserved["time_ms"][asked], short["box"][vain])
            found = short["time_ms"][vain]
            a = np.concatenate([held[0][same], np.where(since == NONE, found, np.minimum(since, found))])
            b = np.concatenate([held[1][same], found])
            a, b = np.maximum(a, start[row]), np.minimum(b, end[row])
            _, a, b = joined(np.zeros(int((b > a).sum()), np.int64), a[b > a], b[b > a])
            held_up[row] = self.open_between(a, b).sum()
        return held_up

    def _fetched(self, order: Ints, box: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
        """When one box of each order was reserved for it, and the task that brought it to the port then.

        NONE stands for no task: the box was served from staging or stood open at the pick station. Another
        order may have asked for the task.
        """
        reservation, tasks = self.table("box_reserved"), self.tasks
        work = _chosen(self.table("person_work"), self.table("person_work")["work"] != CARRY)
        scale = _above(self.boxes["box"]) + 1
        wanted = order * scale + box + 1
        keys = reservation["order"] * scale + reservation["box"] + 1
        reserved = np.clip(look_up(keys, reservation["time_ms"], wanted), start, end)
        # The first work of people on the box for the order: `look_up` finds the last of equal keys.
        keys = (work["order"] * scale + work["box"] + 1)[::-1]
        begun = look_up(keys, work["time_ms"][::-1], wanted)
        begun = np.where((begun < reserved) | (begun > end), end, begun)
        issues = np.flatnonzero((tasks["done"] == 1) & (tasks["class"] == ISSUE))
        scale = self.until_ms + 1
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

    def overdue_from(self, verified_day: Ints) -> Ints:
        """When a verification on each of these days becomes too old for issue, in milliseconds.

        A meter may be issued up to `demand.max_age_days` days after its verification, the last one included.
        """
        day = verified_day + self.scenario.demand.max_age_days + 1
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


def meter_changes(table: Callable[[str], Table]) -> Table:
    """The meters of each box in truth and on record: `box`, `seq`, `time_ms`, `truth`, `record`, `left`.

    A row for the creation of a box and one for every fact that may change its meters on either side, by box
    and then in the order of recording; `truth` and `record` are the masks after it. `left` is ISSUED_WHOLE or
    LEFT where the box leaves with its meters, else 0.

    Meters that are picked or issued leave the truth by their mask; those picked before are out already. The
    record loses as many: the same ones where it has them, else its lowest. What was packed short or taken
    unnoticed leaves the truth alone; what is scrapped, both; what somebody has counted sets the record. A box
    that left otherwise takes its meters along, and one that comes back has on both sides what it left with.

    Parameters
    ----------
    table : gives the facts of a kind as columns, as `trace.Trace.table` does.
    """
    made = table("error_made")
    created, picked, issued, scrapped, recorded, left, back = (table(name) for name in (
        "box_created", "meters_picked", "meters_issued", "meters_scrapped", "meters_recorded", "box_left",
        "box_came_back",
    ))  # fmt: skip
    parts = (
        _rows(created, mask=(np.int64(1) << created["meters"]) - 1),
        _rows(picked, mask=picked["mask"]),
        _rows(issued, mask=issued["mask"]),
        _rows(scrapped, mask=scrapped["mask"]),
        _rows(recorded, mask=recorded["mask"]),
        _rows(made, np.isin(made["cause"], _LOSSES), mask=made["mask"]),
        _rows(left, mask=np.zeros_like(left["box"])),
        _rows(back, mask=np.zeros_like(back["box"])),
    )
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    kind = np.repeat(np.arange(len(parts)), [part["box"].size for part in parts])
    order = np.lexsort((kind, columns["seq"], columns["box"]))
    box, mask, kind = columns["box"][order], columns["mask"][order], kind[order]
    truth = _and_within(box, np.where(kind == _CREATED, mask, ~mask))
    before = np.append(0, truth[:-1]) * ~is_first(box)
    leaves = np.where((kind == _ISSUED) & (before != 0) & (truth == 0), ISSUED_WHOLE, 0)
    record = truth.copy()
    # Only where truth and record part the facts have to be gone through one by one.
    for first, end in _groups(box, np.unique(box[kind >= _RECORDED])):
        walked = _walk(kind[first:end].tolist(), mask[first:end].tolist())
        truth[first:end], record[first:end], leaves[first:end] = walked
    return {
        "box": box, "seq": columns["seq"][order], "time_ms": columns["start"][order],
        "truth": truth, "record": record, "left": leaves,
    }  # fmt: skip


def _walk(kinds: list[int], masks: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Truth, record and leaving of one box after each of its facts (kinds: the parts of `meter_changes`)."""
    truth = record = 0
    taken_along = (0, 0)
    rows: tuple[list[int], list[int], list[int]] = [], [], []
    for kind, mask in zip(kinds, masks, strict=True):
        leaves = 0
        if kind == _CREATED:
            truth = record = mask
        elif kind in (_PICKED, _ISSUED):
            out = mask & truth
            if kind == _ISSUED and out and out == truth:
                leaves, taken_along = ISSUED_WHOLE, (truth, record)
            truth &= ~out
            record = record_without(record, out)
        elif kind == _SCRAPPED:
            truth, record = truth & ~mask, record & ~mask
        elif kind == _RECORDED:
            record = mask
        elif kind == _LOST:
            truth &= ~mask
        elif kind == _LEFT_ALONE:
            leaves, taken_along = LEFT, (truth, record)
            truth = record = 0
        else:
            truth, record = taken_along
        for column, value in zip(rows, (truth, record, leaves), strict=True):
            column.append(value)
    return rows


def record_without(record: int, out: int) -> int:
    """What a record keeps when these meters leave the box: as many less, the same ones if it has them."""
    kept = record & ~out
    for _ in range(out.bit_count() - (record & out).bit_count()):
        kept &= kept - 1
    return kept


ISSUED_WHOLE: Final = 1
LEFT: Final = 2
"""How a box leaves with its meters: issued with all that are in it, or otherwise."""

_CREATED, _PICKED, _ISSUED, _SCRAPPED, _RECORDED, _LOST, _LEFT_ALONE = range(7)
_LOSSES: Final = (SHORT_PACKED, UNRECORDED_REMOVAL)
QUARANTINED: Final = 16
"""The asset state of what is on hold, as in `assets.STATE_CODES`."""


def _and_within(group: Ints, masks: Ints) -> Ints:
    """The bitwise and of each mask with all before it in its run of equal groups."""
    masks, reach = masks.copy(), 1
    while reach < group.size and (same := group[reach:] == group[:-reach]).any():
        masks[reach:] &= np.where(same, masks[:-reach], -1)
        reach *= 2
    return masks


def _groups(group: Ints, wanted: Ints) -> list[tuple[int, int]]:
    """Where the rows of each wanted group begin and end in sorted groups."""
    first, end = (np.searchsorted(group, wanted, side=side).tolist() for side in ("left", "right"))
    return list(zip(first, end, strict=True))


def _chosen(table: Table, rows: Flags) -> Table:
    """Some rows of a table."""
    if isinstance(table, LazyColumns):
        return table.chosen(rows)
    return {name: values[rows] for name, values in table.items()}


def _bytes_of(value: object) -> int:
    """Bytes of an array, of the columns of a table or of several arrays."""
    if isinstance(value, (np.ndarray, LazyColumns)):
        return value.nbytes
    values = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return sum(each.nbytes for each in values if isinstance(each, np.ndarray))


def _rows(facts: Table, chosen: Flags | slice = slice(None), **columns: Ints) -> Table:
    """Facts of boxes as `box`, `seq`, `start` and these columns, all or those chosen."""
    named = {"box": facts["box"], "seq": facts["seq"], "start": facts["time_ms"], **columns}
    return {name: values[chosen] for name, values in named.items()}


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
