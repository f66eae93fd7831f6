"""The fleet: kinematics of one robot, tours of several boxes, aisles, ports and battery.

One process a robot. It pulls work from the fleet's queues, makes a tour of at most 2 x carry boxes (put-aways
fetched at a port, then slots in the best order, then the delivery), and rests at its dwell point. A stretch
in which nobody else can see or change anything is one timeout, recorded when it begins. Robots share aisles,
ports and chargers: a robot frees what it holds before it claims the next, so no ring of waiting robots can
close.

Faults (`faults`) cut stretches. Times to them are known ahead, so a stretch of work is a timeout up to its
fault, a stretch of `FAULT` until the robot works again, and one of the same activity, place and height for
the time that is left. Where the robot is follows from the facts: so far from the goal of its stretch as the
time left until `arrive` takes; in a stretch of `FAULT`, or of waiting that leads to another place, where the
one before it was cut. A command stops a robot at any instant, whatever it does, in the same way.

People may work in an aisle: robots that come to it wait until they have left.

Left out: re-optimising a tour that has begun.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, cast

from pydantic import StrictBool
from simpy import Event, Interrupt, Timeout
from simpy.events import Initialize

from sim.calendar import FOREVER
from sim.facts import (
    BATTERY,
    BREAKDOWN,
    CHARGE,
    COUNT,
    DIGGING,
    EMPTIES,
    FAULT,
    GO_CHARGE,
    IDLE,
    ISSUE,
    LOOSE_RETURN,
    MINOR_STOP,
    NONE,
    PARK,
    POWER,
    PUT_AWAY,
    ROBOT_STRETCH,
    STOPPED,
    TASK_ASSIGNED,
    TASK_RETURNED,
    TOUR_ENDED,
    TOUR_STARTED,
    WAIT_AISLE,
    WAIT_CHARGER,
    WAIT_CONFLICT,
    WAIT_PORT,
    WAIT_TOUR,
    WORKING,
)
from sim.params import JsonFloat, JsonInt, Params, fact

if TYPE_CHECKING:
    from simpy import Process

    from sim.clock import Clock
    from sim.faults import Faults
    from sim.layout import Layout
    from sim.travel import Travel

Life = Generator[Event, object, None]
"""Steps of a process: a generator that yields what it waits for."""

Standing = Generator[Event, object, int]
"""The same of a process that stands and waits; it gives a time in milliseconds."""


class RobotParams(Params):
    """The fleet, its kinematics and its battery."""

    count: JsonInt = fact(1, "robots in the room", origin="assumption", ge=0, le=50)
    kind: Literal["acr", "top_gripper"] = fact(
        "acr", "case-handling robot, or gripper from above", origin="assumption"
    )
    access: Literal["direct", "stack_lifo"] = fact(
        "direct",
        "each box on its own support, or free stacks whose top box leaves first",
        origin="assumption",
    )
    handling_unit: Literal["box", "stack"] = fact(
        "box", "what one pick or place takes: a box, or the boxes wanted from the top of one stack"
    )
    axes: Literal["sequential", "simultaneous"] = fact(
        "sequential", "drive then lift (ACR), or both at once (crane)", origin="assumption"
    )
    carry: JsonInt = fact(4, "boxes on board", unit="boxes", origin="assumption", ge=1, le=16, live=True)
    speed_m_per_s: JsonFloat = fact(
        1.5, "travel speed", unit="m/s", origin="assumption", gt=0, le=20, live=True
    )
    acceleration_m_per_s2: JsonFloat = fact(
        0.7,
        "travel acceleration; inf for none",
        unit="m/s2",
        origin="assumption",
        gt=0,
        allow_inf_nan=True,
        live=True,
    )
    lift_speed_m_per_s: JsonFloat = fact(
        0.5, "lift speed", unit="m/s", origin="assumption", gt=0, le=20, live=True
    )
    lift_acceleration_m_per_s2: JsonFloat = fact(
        0.5,
        "lift acceleration; inf for none",
        unit="m/s2",
        origin="assumption",
        gt=0,
        allow_inf_nan=True,
        live=True,
    )
    pick_s: JsonFloat = fact(
        6.0, "time to take a box", unit="s", origin="assumption", ge=0, le=3600, live=True
    )
    place_s: JsonFloat = fact(
        6.0, "time to set a box down", unit="s", origin="assumption", ge=0, le=3600, live=True
    )
    positioning_s: JsonFloat = fact(
        1.5, "fine positioning at each stop", unit="s", origin="assumption", ge=0, le=3600, live=True
    )
    turn_s: JsonFloat = fact(
        4.0,
        "time of one turn between two straight legs",
        unit="s",
        origin="assumption",
        ge=0,
        le=3600,
        live=True,
    )
    transfer_s: JsonFloat = fact(
        2.0,
        "time to move a box between the fork and the rack on board",
        unit="s",
        origin="assumption",
        ge=0,
        le=3600,
        live=True,
    )
    passing: StrictBool = fact(False, "whether robots can pass each other in an aisle", origin="assumption")
    run_h: JsonFloat = fact(8.4, "working time on a full battery", unit="h", origin="sourced", gt=0, le=10000)
    charge_h: JsonFloat = fact(2.7, "time of a full charge", unit="h", origin="sourced", gt=0, le=1000)
    charge_below: JsonFloat = fact(
        0.25, "state of charge at which a robot goes to charge", origin="assumption", ge=0, lt=1, live=True
    )
    resume_above: JsonFloat = fact(
        0.80, "state of charge at which it resumes", origin="assumption", gt=0, le=1, live=True
    )
    idle_draw: JsonFloat = fact(
        0.02, "share of the working draw that standing still takes", origin="assumption", ge=0, le=1
    )


class TourParams(Params):
    """How boxes are gathered into tours."""

    command: Literal["single", "dual"] = fact(
        "dual", "whether put-aways and retrievals share a tour", live=True
    )
    max_wait_s: JsonFloat = fact(
        60.0,
        "longest wait for more put-aways before a tour that is not full starts",
        unit="s",
        origin="assumption",
        ge=0,
        le=86400,
        live=True,
    )


class Task:
    """One piece of robot work: a box to bring from a place to a place, or a slot to visit.

    `source` and `target` are places (a target slot may be NONE until pickup); `column` is the tier column
    reserved at the target. `service_ms` is the time a visit takes; visits `in_turn` are made in the order in
    which they were posted.
    """

    __slots__ = (
        "assigned", "box", "cancelled", "column", "created", "in_turn", "kind", "number", "order",
        "service_ms", "source", "target",
    )  # fmt: skip

    def __init__(self, number: int, kind: int, box: int, source: int, target: int, created: int) -> None:
        self.number = number
        self.kind = kind
        self.box = box
        self.source = source
        self.target = target
        self.created = created
        self.column = NONE
        self.order = NONE
        self.service_ms = 0
        self.in_turn = False
        self.assigned = False
        self.cancelled = False


class Robot:
    """One robot: where it stands, what it carries and what it holds.

    `bound` is the place of its stretch of work, NONE while it stands; `down_since` the instant (ms) since
    which it is down, NONE while it works; `tasks` are those of its tour that are not done, by number; `task`
    is the number of the one at which a fault met it; `out` what it waits for at the outbound port; `carry`
    the boxes that it may have on board in its tour.
    """

    __slots__ = (
        "aisle", "board", "bound", "carry", "charge_ms", "charger", "down_since", "fork", "number", "out",
        "own", "place", "port", "process", "slot", "task", "tasks", "under_way_since", "waits", "wake", "z",
    )  # fmt: skip

    def __init__(self, number: int, own: int, place: int, charge_ms: float) -> None:
        self.number = number
        self.own = own
        self.place = place
        self.z = 0
        self.carry = 1
        self.board: list[int] = []
        self.fork = NONE
        self.charge_ms = charge_ms
        self.charger = NONE
        self.aisle = NONE
        self.port = NONE
        self.slot = NONE
        self.under_way_since = NONE
        self.wake: Event | None = None
        self.bound = NONE
        self.down_since = NONE
        self.task = NONE
        self.tasks: dict[int, Task] = {}
        self.out: Event | None = None
        self.waits = False
        self.process: Process | None = None


class Lock:
    """Something one robot has at a time: an aisle, a port, a slot. Waiting robots get it in turn."""

    __slots__ = ("owner", "waiting")

    def __init__(self) -> None:
        self.owner = NONE
        self.waiting: deque[tuple[int, Event]] = deque()

    def release(self) -> None:
        """Pass it to the robot that has waited longest, or leave it free."""
        if self.waiting:
            self.owner, event = self.waiting.popleft()
            event.succeed()
        else:
            self.owner = NONE


class Gate:
    """An aisle that people work in or want to enter, and who waits there."""

    __slots__ = ("inside", "people", "robots")

    def __init__(self) -> None:
        self.inside: set[int] = set()
        self.people: deque[tuple[int, Event]] = deque()
        self.robots: deque[Event] = deque()


class DispatchView:
    """What a dispatch rule may see: the oldest waiting task of each class."""

    __slots__ = ("_fleet",)

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet

    def waiting_since_ms(self, task_class: int) -> int:
        """How long the oldest task of a class has waited, or NONE when none waits."""
        queue = self._fleet.waiting[task_class]
        return self._fleet.env._now - queue[0].created if queue else NONE

    @property
    def ageing_ms(self) -> float:
        """The waiting time that lifts a task by one class."""
        return self._fleet.ageing_ms


Dispatch = Callable[[DispatchView], int]
"""A dispatch rule: the class of work that a free robot takes first, or NONE when nothing waits."""

_INWARD: Final = (PUT_AWAY, LOOSE_RETURN, EMPTIES)
_INWARD_FIRST: Final = {
    LOOSE_RETURN: (LOOSE_RETURN, PUT_AWAY, EMPTIES),
    EMPTIES: (EMPTIES, PUT_AWAY, LOOSE_RETURN),
}
_PRIORITY: Final = {ISSUE: 4, PUT_AWAY: 3, LOOSE_RETURN: 2, EMPTIES: 1, COUNT: 0}


def by_priority(view: DispatchView) -> int:
    """Orders before put-aways before returns, empties and counts; waiting lifts a task class by class."""
    best, best_score = NONE, -1.0
    for task_class, priority in _PRIORITY.items():
        age = view.waiting_since_ms(task_class)
        if age >= 0:
            score = priority + age / view.ageing_ms
            if score > best_score:
                best, best_score = task_class, score
    return best


def oldest_first(view: DispatchView) -> int:
    """Whatever has waited longest."""
    best, longest = NONE, NONE
    for task_class in _PRIORITY:
        age = view.waiting_since_ms(task_class)
        if age > longest:
            best, longest = task_class, age
    return best


def put_away_first(view: DispatchView) -> int:
    """Put-aways before orders: clears the staging area first."""
    for task_class in (PUT_AWAY, ISSUE, LOOSE_RETURN, EMPTIES, COUNT):
        if view.waiting_since_ms(task_class) >= 0:
            return task_class
    return NONE


DISPATCH: Final[dict[str, Dispatch]] = {
    "priority": by_priority,
    "oldest-first": oldest_first,
    "put-away-first": put_away_first,
}


class DwellView(NamedTuple):
    """What a dwell rule may see: places of the store."""

    inbound: int
    outbound: int
    chargers: tuple[int, ...]
    centre: int


Dwell = Callable[[DwellView], int]
"""A dwell rule: the place where a robot waits for work, or NONE to stay where it is."""


def dwell_at_port(view: DwellView) -> int:
    """At the inbound port."""
    return view.inbound


def dwell_at_outbound(view: DwellView) -> int:
    """At the outbound port."""
    return view.outbound


def dwell_in_place(view: DwellView) -> int:
    """Where the last tour ended (at the aisle's mouth where robots cannot pass)."""
    return NONE


def dwell_at_charger(view: DwellView) -> int:
    """At the charger, charging while it waits."""
    return view.chargers[0] if view.chargers else view.inbound


def dwell_at_centre(view: DwellView) -> int:
    """At the slot from which all slots are nearest on average."""
    return view.centre


DWELL: Final[dict[str, Dwell]] = {
    "port": dwell_at_port,
    "outbound": dwell_at_outbound,
    "stay": dwell_in_place,
    "charger": dwell_at_charger,
    "centre": dwell_at_centre,
}

RETRY_MS: Final = 300_000
"""A retrieval that no place can be found for digging waits so long before it is tried again."""

_MOST_STOP_COSTS: Final = 1_000_000

EXACT_STOPS: Final = 9
"""Tours of up to so many different slots are ordered by exact search; larger ones by insertion and 2-opt."""


def order_stops(
    start: int,
    stops: Sequence[tuple[int, int]],
    end: int,
    load: int,
    carry: int,
    cost: Callable[[int, int], int],
) -> list[int]:
    """The cheapest order in which to visit stops, as indices into `stops`.

    A stop is (place, change of load); the load starts at `load`, never exceeds `carry`; the path runs from
    `start` to `end` (NONE: it ends at the last stop). `cost` is symmetric. Branch and bound over all feasible
    orders up to `EXACT_STOPS` stops. Each slot is one stop: with times that keep the triangle inequality, a
    slot's set-downs gain nothing by a second visit, nor do its picks.
    """
    n = len(stops)
    if n <= 1:
        return list(range(n))
    places = [place for place, _ in stops]
    change = [delta for _, delta in stops]
    first = [cost(start, b) for b in places]
    last = [cost(a, end) if end != NONE else 0 for a in places]
    if n == 2:
        ahead_fits, back_fits = load + change[0] <= carry, load + change[1] <= carry
        return (
            [0, 1] if ahead_fits and (first[0] + last[1] <= first[1] + last[0] or not back_fits) else [1, 0]
        )
    between = _between(places, cost)
    if n > EXACT_STOPS:
        return _insertion_order(first, between, last, change, load, carry)
    # Two bounds on what is left: the least way out of every stop, and the way by the worst stop to the end.
    least_out = [min(last[i], *(between[i][j] for j in range(n) if j != i)) for i in range(n)]
    best_cost = 1 << 62
    best: list[int] = []
    path: list[int] = []
    reached: dict[tuple[int, int], int] = {}

    def visit(at: int, so_far: int, now: int, left: int, bound: int) -> None:
        nonlocal best_cost, best
        costs = first if at < 0 else between[at]
        options = []
        for i in range(n):
            if left >> i & 1:
                step = so_far + costs[i]
                if step + last[i] >= best_cost:
                    return
                if now + change[i] <= carry:
                    options.append((step, i))
        options.sort()
        for step, i in options:
            rest = left & ~(1 << i)
            if not rest:
                if step + last[i] < best_cost:
                    best_cost, best = step + last[i], [*path, i]
                return
            if step + bound >= best_cost:
                return
            if reached.get((i, rest), best_cost) <= step:
                continue
            reached[i, rest] = step
            path.append(i)
            visit(i, step, now + change[i], rest, bound - least_out[i])
            path.pop()

    visit(-1, 0, load, (1 << n) - 1, sum(least_out))
    return best


def _between(places: list[int], cost: Callable[[int, int], int]) -> list[list[int]]:
    """The costs between all pairs of places, each asked for once."""
    costs = [[0] * len(places) for _ in places]
    for i, a in enumerate(places):
        for j in range(i):
            costs[i][j] = costs[j][i] = cost(a, places[j])
    return costs


def _insertion_order(
    first: list[int], between: list[list[int]], last: list[int], change: list[int], load: int, carry: int
) -> list[int]:
    """A good feasible order for large tours: set-downs before picks by insertion, then 2-opt."""

    def total(order: list[int]) -> int:
        now = load
        for i in order:
            now += change[i]
            if now > carry:
                return 1 << 62
        legs = sum(between[a][b] for a, b in pairwise(order))
        return first[order[0]] + legs + last[order[-1]]

    order: list[int] = []
    for i in sorted(range(len(change)), key=lambda i: (change[i] > 0, i)):
        order = min(([*order[:k], i, *order[k:]] for k in range(len(order) + 1)), key=total)
    improved = True
    while improved:
        improved = False
        now = total(order)
        for a in range(len(order) - 1):
            for b in range(a + 2, len(order) + 1):
                trial = order[:a] + order[a:b][::-1] + order[b:]
                cost = total(trial)
                if cost < now:
                    order, now, improved = trial, cost, True
    return order


class Floor(Protocol):
    """What the fleet asks of the warehouse; `warehouse.Warehouse` answers."""

    def expecting_put_aways(self) -> bool: ...
    def locate(self, task: Task) -> bool: ...
    def assigned(self, task: Task) -> None: ...
    def unassigned(self, task: Task) -> None: ...
    def picked(self, task: Task, robot: Robot) -> bool: ...
    def stored(self, task: Task, robot: Robot) -> bool: ...
    def brought_back(self, task: Task, robot: Robot, port: int) -> None: ...
    def delivered(self, task: Task, robot: Robot, port: int) -> None: ...
    def visited(self, task: Task, robot: Robot) -> None: ...
    def out_place(self, port: int) -> Event | None: ...
    def out_given_up(self, port: int, place: Event) -> None: ...
    def where(self, box: int) -> tuple[int, int, int]: ...
    def landing(self, slot: int, column: int) -> int: ...
    def blocker_of(self, task: Task) -> int: ...
    def can_dig(self, task: Task, on_board: int) -> bool: ...
    def dig_target(self, box: int, task: Task, on_board: bool) -> tuple[int, int] | None: ...
    def dig_given_up(self, box: int, target: tuple[int, int]) -> None: ...
    def dig_out(self, box: int, task: Task, robot: Robot, target: tuple[int, int]) -> None: ...
    def dig_in(self, box: int, task: Task, robot: Robot, target: tuple[int, int]) -> None: ...


class Fleet:
    """The robots, the work that waits for them, and the aisles, ports and chargers they share."""

    def __init__(
        self,
        env: "Clock",
        layout: "Layout",
        travel: "Travel",
        robots: RobotParams,
        tours: TourParams,
        *,
        dispatch: str,
        dwell: str,
        ageing_ms: float,
        record: Callable[[tuple[int, ...]], None],
        faults: "Faults | None" = None,
    ) -> None:
        self.env = env
        self.layout = layout
        self.travel = travel
        self.params = robots
        self.record = record
        self.ageing_ms = ageing_ms
        self.waiting: list[deque[Task]] = [deque() for _ in range(5)]
        self.floor: Floor
        self.on_work: Callable[[], None] | None = None
        self.on_down: Callable[[int], None] | None = None
        self._known_faults = faults
        self._faults = faults if faults is not None and faults.is_on else None
        self._gates: dict[int, Gate] = {}
        self._view = DispatchView(self)
        self._set_pace(robots, tours, dispatch)
        self._by_stack = robots.handling_unit == "stack"
        self._sequential = robots.axes == "sequential"
        self._per_ms = robots.run_h / robots.charge_h
        self._z: list[int] = layout.z_mm.tolist()
        self._stop_costs: dict[int, int] = {}
        self._zone = [
            NONE if mouth else aisle for aisle, mouth in zip(layout.aisle, layout.at_mouth, strict=True)
        ]
        self._alone = robots.count <= 1
        self._narrow = not self._alone and not robots.passing
        self._aisles = [Lock() for _ in layout.mouths]
        self._ports = {port.place: Lock() for port in layout.ports}
        self._slots: dict[int, Lock] = {}
        self._free_chargers = list(layout.chargers)
        self._charger_queue: deque[Event] = deque()
        self._dwell = dwell
        self._dwell_place = self._dwell_point()
        self._tours = 0
        zone = self._zone[layout.inbound]
        first = layout.mouths[zone] if self._narrow and zone != NONE else layout.inbound
        self.robots = [Robot(r, layout.robot_place(r), first, self._full_ms) for r in range(robots.count)]

    def _set_pace(self, robots: RobotParams, tours: TourParams, dispatch: str) -> None:
        """Take over what may change in the middle of a run."""
        self._dispatch = DISPATCH[dispatch]
        self._dual = tours.command == "dual"
        self._max_wait = round(tours.max_wait_s * 1000)
        self._carry = robots.carry
        self._pick = round(robots.pick_s * 1000)
        self._place = round(robots.place_s * 1000)
        self._transfer = round(robots.transfer_s * 1000)
        self._positioning = round(robots.positioning_s * 1000)
        self._full_ms = robots.run_h * 3_600_000
        self._low_ms = robots.charge_below * self._full_ms
        self._resume_ms = robots.resume_above * self._full_ms

    def start(self) -> None:
        """Set the robots to work, from the inbound port."""
        if self._faults is not None:
            self._faults.start(len(self.robots), self.layout.outbound, self._stop)
        for robot in self.robots:
            self.record(
                (
                    self.env._now,
                    ROBOT_STRETCH,
                    robot.number,
                    IDLE,
                    robot.place,
                    robot.place,
                    0,
                    NONE,
                    NONE,
                    NONE,
                )
            )
            robot.process = self.env.process(self._live(robot))

    def post(self, task: Task) -> None:
        """Add a task to the work that waits, and wake a robot for it."""
        self.waiting[task.kind].append(task)
        self.nudge()

    def nudge(self) -> None:
        """Wake a resting robot, and tell `on_work`: work that could not start before may do so now."""
        for robot in self.robots:
            if robot.wake is not None and robot.down_since == NONE:
                robot.wake.succeed()
                robot.wake = None
                break
        if self.on_work is not None:
            self.on_work()

    def drop_cancelled(self, task_class: int) -> deque[Task]:
        """The queue of a class, without cancelled tasks at its head."""
        queue = self.waiting[task_class]
        while queue and queue[0].cancelled:
            queue.popleft()
        return queue

    # -- what a command does ------------------------------------------------------------------------

    def is_stopped(self, robot: int) -> bool:
        """Whether a command has stopped a robot."""
        return self._faults is not None and self._faults.is_halted(robot)

    def stop(self, number: int) -> None:
        """Stop a robot where it is, whatever it does, until it is repaired."""
        self.follow_faults()
        assert self._faults is not None
        robot = self.robots[number]
        self._faults.halt(number, robot.place)
        process = robot.process
        if robot.down_since == NONE and process is not None and not isinstance(process.target, Initialize):
            robot.waits = False
            process.interrupt()
            self.env.settle()

    def repair(self, robot: int) -> bool:
        """Set a robot to work again that is stopped or broken; False when it is neither."""
        return self._faults is not None and self._faults.repair(robot)

    def follow_faults(self) -> None:
        """Let robots be cut by faults from now on, where none could happen before."""
        if self._faults is None:
            assert self._known_faults is not None
            self._faults = self._known_faults
            self._faults.start(len(self.robots), self.layout.outbound, self._stop)

    def adopt(
        self, robots: RobotParams, tours: TourParams, travel: "Travel", *, dispatch: str, dwell: str,
        ageing_ms: float,
    ) -> None:  # fmt: skip
        """Go on with other values: from the next stretch on, and `carry` from each robot's next tour on.

        How many robots there are, how they reach boxes and their batteries have to stay. Robots that rest
        look round at once when where they rest, or how long, has changed.
        """
        before = self._rests_by()
        if travel is not self.travel:
            self._stop_costs.clear()
        if travel is not self.travel or dwell != self._dwell:
            self.travel, self._dwell = travel, dwell
            self._dwell_place = self._dwell_point()
        self.params = robots
        self.ageing_ms = ageing_ms
        self._set_pace(robots, tours, dispatch)
        if self._rests_by() != before:
            for robot in self.robots:
                if robot.wake is not None and robot.down_since == NONE:
                    self._ring(robot, robot.wake)

    def _rests_by(self) -> tuple[float, ...]:
        """What decides where a robot rests, and how long."""
        return self._dwell_place, self._low_ms, self._max_wait, self._dual, self._carry

    # -- people who step in -------------------------------------------------------------------------

    def down_since_ms(self, robot: int) -> int:
        """The instant since which a robot is down without a break, or NONE when it is in order."""
        return self.robots[robot].down_since

    def hand_tasks(self, limit: int) -> list[Task]:
        """Up to so many tasks for people to carry, taken off the queues: no visits; nothing is recorded yet.

        The dispatch rule says which class comes first; each is one that can be done as things stand.
        """
        kinds = [kind for kind in range(5) if self.waiting[kind] and self.drop_cancelled(kind)]
        found: list[Task] = []
        if any(kind != COUNT for kind in kinds):
            seed = self._dispatch(self._view)
            for kind in sorted(kinds, key=lambda kind: kind != seed):
                if kind != COUNT:
                    self._draw(kind, found, limit)
        return found

    def take_boxes_off(self, robot: int) -> list[Task]:
        """Take over from a robot that is down: the tasks whose boxes were on board, for people to finish.

        What it has not begun goes back to the queues. Blockers that it dug out stay on board, and in free
        stacks the task that it is digging for stays its own. Of a robot that is in order nothing is taken.
        """
        dead = self.robots[robot]
        if dead.down_since == NONE:
            return []
        aboard = [task for task in dead.tasks.values() if task.kind != COUNT and task.box in dead.board]
        for task in aboard:
            dead.board.remove(task.box)
            if dead.fork == task.box:
                dead.fork = NONE
            self._finish(dead, task)
        stacks = self.params.access == "stack_lifo"
        rest = [task for task in dead.tasks.values() if not (stacks and task.number == dead.task)]
        for task in reversed(rest):
            self._return(task, dead)
        if dead.out is not None and not dead.board:
            place, dead.out = dead.out, None
            self.floor.out_given_up(dead.place, place)
            if not place.triggered:
                place.succeed()
        for _ in rest:
            self.nudge()
        return aboard

    def enter_by_hand(self, aisle: int, person: int) -> Life:
        """Have a person wait until no robot is under way in an aisle; from then on robots keep out of it.

        Robots that come for the aisle wait as soon as a person does. One that stands there, down or at rest,
        keeps nobody out; it stays where it is until the last person has left.
        """
        gate = self._gates.get(aisle)
        if gate is None:
            gate = self._gates[aisle] = Gate()
        if not self._is_busy(aisle):
            gate.inside.add(person)
            return
        event = Event(self.env)
        gate.people.append((person, event))
        yield event

    def leave_by_hand(self, aisle: int, person: int) -> None:
        """Have a person leave an aisle; the robots that wait for it go on when nobody is left in it."""
        gate = self._gates[aisle]
        gate.inside.remove(person)
        if not gate.inside and not gate.people:
            del self._gates[aisle]
            for event in gate.robots:
                event.succeed()

    def _is_busy(self, aisle: int) -> bool:
        """Whether a robot is under way in an aisle, into it or out of it."""
        zone = self._zone
        return any(r.bound != NONE and aisle in (zone[r.bound], zone[r.place]) for r in self.robots)

    def _let_people_in(self) -> None:
        """Let people into the aisles that they wait for, as far as no robot is under way there."""
        for aisle, gate in self._gates.items():
            if gate.people and not self._is_busy(aisle):
                for person, event in gate.people:
                    gate.inside.add(person)
                    event.succeed()
                gate.people.clear()

    def _mind_people(
        self, robot: Robot, place: int, task: int, on_way: tuple[int, int] | None = None
    ) -> Life:
        """Wait while people are in the way, or come first: before a stretch, or (`on_way`) in the middle."""
        zone = self._zone
        while True:
            here = zone[robot.place]
            for aisle in (here, zone[place]):
                gate = self._gates.get(aisle)
                comes = aisle != here and on_way is None
                if gate is not None and (gate.inside or (gate.people and comes)):
                    break
            else:
                return
            event = Event(self.env)
            gate.robots.append(event)
            yield from self._stand(robot, WAIT_AISLE, task, event, on_way)

    # -- one robot's life -------------------------------------------------------------------------

    def _live(self, robot: Robot) -> Life:
        while True:
            if self._gates:
                robot.bound = NONE
                self._let_people_in()
            if robot.charge_ms < self._low_ms and self.layout.chargers:
                yield from self._charge(robot)
            tour = self._plan()
            if tour is None:
                yield from self._rest(robot)
            elif isinstance(tour, int):
                yield from self._wait_to_fill(robot, tour)
            else:
                yield from self._run(robot, *tour)

    def _plan(self) -> tuple[list[Task], list[Task], list[Task]] | int | None:
        """The next tour as (put-aways, retrievals, visits), a wait in ms to fill one, or nothing.

        The dispatch rule says which class leads; when none of its tasks can be done as things stand, the
        other classes have their turn.
        """
        waiting = self.waiting
        busy = [kind for kind in range(5) if waiting[kind] and self.drop_cancelled(kind)]
        if not busy:
            return None
        seed = busy[0] if len(busy) == 1 else self._dispatch(self._view)
        for lead in [seed, *(kind for kind in busy if kind != seed)]:
            if lead == COUNT:
                limit = 2 * self._carry if self._dual else 1
                return [], [], [waiting[COUNT].popleft() for _ in range(min(limit, len(waiting[COUNT])))]
            inward: list[Task] = []
            outward: list[Task] = []
            if lead != ISSUE or self._dual:
                for kind in _INWARD_FIRST.get(lead, _INWARD):
                    if waiting[kind]:
                        self._draw(kind, inward, self._carry)
            if waiting[ISSUE] and (lead == ISSUE or self._dual):
                self._draw(ISSUE, outward, self._carry)
            if inward or outward:
                wait = 0 if outward else self._worth_waiting(inward)
                if wait <= 0:
                    return inward, outward, []
                for task in reversed(inward):
                    waiting[task.kind].appendleft(task)
                return wait
        return None

    def _worth_waiting(self, inward: list[Task]) -> int:
        """How long to wait for more put-aways before a tour that is not full starts; 0 for not at all."""
        if len(inward) >= self._carry or not self._max_wait or not self.floor.expecting_put_aways():
            return 0
        return min(task.created for task in inward) + self._max_wait - self.env._now

    def _draw(self, task_class: int, into: list[Task], limit: int) -> None:
        queue = self.waiting[task_class]
        skipped: list[Task] = []
        while queue and len(into) < limit:
            task = queue.popleft()
            if task.cancelled:
                continue
            if self.floor.locate(task):
                into.append(task)
            else:
                skipped.append(task)
        queue.extendleft(reversed(skipped))

    def _run(self, robot: Robot, inward: list[Task], outward: list[Task], visits: list[Task]) -> Life:
        """One tour: fetch at the ports, call at the slots in the best order, deliver."""
        env, record, faults = self.env, self.record, self._faults
        tour = self._tours
        self._tours += 1
        robot.carry = self._carry
        record((env._now, TOUR_STARTED, robot.number, tour, len(inward), len(outward)))
        for tasks in (inward, outward, visits):
            for task in tasks:
                task.assigned = True
                robot.tasks[task.number] = task
                record((env._now, TASK_ASSIGNED, task.number, robot.number, tour))
                self.floor.assigned(task)
                if faults is not None:
                    faults.mission(robot.number, task.number)
        if visits:
            yield from self._visit(robot, visits)
        else:
            if inward:
                yield from self._fetch(robot, inward)
            yield from self._call_at_slots(robot, inward, outward)
            for task in outward:
                if task.box in robot.board:
                    yield from self._deliver(robot, task)
        for task in list(robot.tasks.values()):
            self._finish(robot, task)
        record((env._now, TOUR_ENDED, robot.number, tour))

    def _fetch(self, robot: Robot, inward: list[Task]) -> Life:
        """Take the boxes of a tour on board at the ports where they stand, port by port."""
        outbound = self.layout.outbound
        ports = [outbound if task.kind == LOOSE_RETURN else task.source for task in inward]
        for port in sorted(set(ports)):
            for task, fetch_at in zip(inward, ports, strict=True):
                if fetch_at == port and task.number in robot.tasks:
                    yield from self._pick_box(robot, task, port, self._z[port])

    def _call_at_slots(self, robot: Robot, inward: list[Task], outward: list[Task]) -> Life:
        """Set down and take boxes at the slots of a tour in the best order, but for what people took over."""
        stores: dict[int, list[Task]] = {}
        takes: dict[int, list[Task]] = {}
        for task in inward:
            if task.number in robot.tasks:
                stores.setdefault(task.target, []).append(task)
        for task in outward:
            if task.number in robot.tasks:
                takes.setdefault(task.source, []).append(task)
        stops = [(slot, -len(tasks)) for slot, tasks in stores.items()]
        stops += [(slot, len(tasks)) for slot, tasks in takes.items()]
        load = sum(map(len, stores.values()))
        delivery = self.layout.outbound if outward else NONE
        for index in order_stops(robot.place, stops, delivery, load, robot.carry, self._stop_cost):
            slot, change = stops[index]
            if change < 0:
                for task in stores[slot]:
                    yield from self._set_down(robot, task)
            else:
                yield from self._take_boxes(robot, takes[slot])

    def _visit(self, robot: Robot, visits: list[Task]) -> Life:
        """Call at slots one after another; urgent work takes over between two of them."""
        stops = [(task.target, 0) for task in visits]
        order = list(range(len(visits)))
        if not visits[0].in_turn:
            order = order_stops(robot.place, stops, self.layout.inbound, 0, 1, self._stop_cost)
        for k, index in enumerate(order):
            task = visits[index]
            if task.number not in robot.tasks:
                continue
            if k and self._is_urgent():
                for rest in reversed(order[k:]):
                    if visits[rest].number in robot.tasks:
                        self._return(visits[rest], robot)
                return
            yield from self._go(
                robot, task.target, self._z[task.target], task.service_ms, WORKING, task.number
            )
            if task.number in robot.tasks:
                self._finish(robot, task)
                self.floor.visited(task, robot)
        if not self._dual:
            yield from self._go(robot, self.layout.inbound, 0, 0, WORKING, NONE)

    def _is_urgent(self) -> bool:
        """Whether an order waits, or a box that has its slot."""
        put_aways = self.drop_cancelled(PUT_AWAY)
        return bool(self.drop_cancelled(ISSUE)) or bool(put_aways and put_aways[0].target != NONE)

    def _return(self, task: Task, robot: Robot) -> None:
        """Put a task back to the head of its queue: the tour was replanned."""
        task.assigned = False
        self._finish(robot, task)
        if task.cancelled:
            return
        self.record((self.env._now, TASK_RETURNED, task.number, robot.number))
        self.floor.unassigned(task)
        self.waiting[task.kind].appendleft(task)

    def _postpone(self, task: Task, robot: Robot) -> None:
        """Put a task back that cannot be done as the store stands; it is tried again a little later."""
        task.assigned = False
        self._finish(robot, task)
        if task.cancelled:
            return
        self.record((self.env._now, TASK_RETURNED, task.number, robot.number))
        self.floor.unassigned(task)
        timer = Timeout(self.env, RETRY_MS)
        assert timer.callbacks is not None
        timer.callbacks.append(lambda _: self.post(task))

    def _finish(self, robot: Robot, task: Task) -> None:
        """Strike a task off a robot's tour: it is done, or somebody else's."""
        robot.tasks.pop(task.number, None)
        if self._faults is not None:
            self._faults.forget(task.number)

    # -- handling ---------------------------------------------------------------------------------

    def _pick_box(self, robot: Robot, task: Task, place: int, z: int) -> Life:
        """Take a task's box on board; a box on the fork first goes to the rack on board."""
        yield from self._go(robot, place, z, self._pick_ms(robot), WORKING, task.number)
        if task.number in robot.tasks:
            self._load(robot, task.box)
            self.floor.picked(task, robot)

    def _set_down(self, robot: Robot, task: Task) -> Life:
        """Store a task's box; a place that is found taken is left for another one that the floor names."""
        floor = self.floor
        while task.number in robot.tasks and (slot := task.target) != NONE:
            # The tier is known when nobody else can change it.
            if not (self._alone or self._is_in(robot, slot)):
                yield from self._enter(robot, slot, WORKING, task.number)
                if task.number not in robot.tasks:
                    return
            z = self._z[slot] + self.layout.tier_mm * floor.landing(slot, task.column)
            yield from self._bring(robot, task.box, slot, z, WORKING, task.number)
            if task.number in robot.tasks and floor.stored(task, robot):
                self._unload(robot, task.box)
                self._finish(robot, task)
                return
        port = self.layout.inbound
        if task.number in robot.tasks:
            yield from self._put(robot, task.box, port, self._z[port], WORKING, task.number)
        if task.number in robot.tasks:
            self._finish(robot, task)
            floor.brought_back(task, robot, port)

    def _put(self, robot: Robot, box: int, place: int, z: int, activity: int, task: int) -> Life:
        """Drive to a place and set a box down there, unless people take it off on the way."""
        yield from self._go(robot, place, z, self._place_ms(robot, box), activity, task)
        if box in robot.board:
            self._unload(robot, box)

    def _bring(self, robot: Robot, box: int, place: int, z: int, activity: int, task: int) -> Life:
        """Drive to a place and hold a box out there."""
        yield from self._go(robot, place, z, self._place_ms(robot, box), activity, task)
        if box in robot.board:
            robot.fork = box if robot.carry > 1 else NONE

    def _pick_ms(self, robot: Robot) -> int:
        """Time to take a box; one on the fork first goes to the rack on board."""
        return self._pick if robot.fork == NONE else self._pick + self._transfer

    def _place_ms(self, robot: Robot, box: int) -> int:
        """Time to hold a box out, with its way from the rack on board to the fork."""
        if robot.carry == 1 or robot.fork == box:
            return self._place
        return self._place + (self._transfer if robot.fork == NONE else 2 * self._transfer)

    def _unload(self, robot: Robot, box: int) -> None:
        robot.board.remove(box)
        robot.fork = NONE

    def _load(self, robot: Robot, box: int) -> None:
        robot.board.append(box)
        robot.fork = box if robot.carry > 1 else NONE

    def _take_boxes(self, robot: Robot, tasks: list[Task]) -> Life:
        """Take all boxes wanted at a slot, digging where others stand on them."""
        if self.params.access == "stack_lifo":
            yield from self._take_from_stacks(robot, tasks)
            return
        for task in tasks:
            if task.number not in robot.tasks:
                continue
            reached = None
            # The record may change on the way there: then the robot goes on to where the box is now recorded.
            while (at := self.floor.where(task.box)) != reached and at[1] != NONE and not task.cancelled:
                reached = at
                slot, _, tier = at
                z = self._z[slot] + self.layout.tier_mm * tier
                yield from self._go(robot, slot, z, self._pick_ms(robot), WORKING, task.number)
            if task.number in robot.tasks:
                self._take(robot, task)

    def _take(self, robot: Robot, task: Task) -> None:
        """Have a task's box on board, if it is where the records have it."""
        if self.floor.picked(task, robot):
            self._load(robot, task.box)
        else:
            self._finish(robot, task)

    def _reach(
        self, robot: Robot, slot: int, tier: int, activity: int, task: int, *, again: bool = False
    ) -> Life:
        """Drive to a tier of a slot and take a box; `again`: it came with the handling unit before it."""
        z = self._z[slot] + self.layout.tier_mm * tier
        yield from self._go(robot, slot, z, 0 if again else self._pick_ms(robot), activity, task)

    def _take_from_stacks(self, robot: Robot, tasks: list[Task]) -> Life:
        """The same from free stacks: the highest box of each stack first, blockers moved out of the way."""
        floor = self.floor
        tasks.sort(key=lambda t: (floor.where(t.box)[1], -floor.where(t.box)[2]))
        before: tuple[int, int] | None = None
        for task in tasks:
            if task.number not in robot.tasks:
                continue
            held: list[tuple[int, tuple[int, int]]] = []
            begun = took = False
            while not took:
                there = slot, column, tier = floor.where(task.box)
                if column == NONE:
                    break
                # What stands on the box is known on arrival, when nobody else can change it.
                if robot.place != slot or not self._holds(robot, slot):
                    yield from self._go(robot, slot, self._z[slot], 0, WORKING, task.number)
                    continue
                blocker = floor.blocker_of(task)
                if blocker == NONE:
                    again = self._by_stack and before == (slot, column)
                    yield from self._reach(robot, slot, tier, WORKING, task.number, again=again)
                    took = self._is_as_before(task, there, blocker)
                    before = (slot, column) if took else None
                    continue
                if not begun and not floor.can_dig(task, robot.carry - len(robot.board) - 1):
                    break
                begun = True
                target = floor.dig_target(blocker, task, len(robot.board) + 2 <= robot.carry)
                if target is None:
                    break
                before = None
                yield from self._reach(robot, slot, floor.where(blocker)[2], DIGGING, task.number)
                if not self._is_as_before(task, there, blocker):
                    floor.dig_given_up(blocker, target)
                    continue
                self._load(robot, blocker)
                floor.dig_out(blocker, task, robot, target)
                if target[0] == NONE:
                    held.append((blocker, (slot, column)))
                else:
                    yield from self._dig_down(robot, blocker, task, target)
            if took:
                self._take(robot, task)
            for box, origin in reversed(held):
                yield from self._dig_down(robot, box, task, origin)
            if not took:
                self._postpone(task, robot)

    def _is_as_before(self, task: Task, there: tuple[int, int, int], blocker: int) -> bool:
        """Whether a stack is as the robot found it: while it was down, people may have worked there."""
        floor = self.floor
        return self._faults is None or (floor.where(task.box) == there and floor.blocker_of(task) == blocker)

    def _dig_down(self, robot: Robot, blocker: int, task: Task, target: tuple[int, int]) -> Life:
        slot, column = target
        if not (self._alone or self._is_in(robot, slot)):
            yield from self._enter(robot, slot, DIGGING, task.number)
        z = self._z[slot] + self.layout.tier_mm * self.floor.landing(slot, column)
        yield from self._put(robot, blocker, slot, z, DIGGING, task.number)
        self.floor.dig_in(blocker, task, robot, target)

    def _deliver(self, robot: Robot, task: Task) -> Life:
        """Set a box down at the outbound port; a full port blocks the robot."""
        port = task.target
        if robot.place != port:
            yield from self._go(robot, port, self._z[port], 0, WORKING, task.number)
        while task.number in robot.tasks and (free := self._out_place(robot, port)) is not None:
            yield from self._stand(robot, WAIT_PORT, task.number, free)
            robot.out = None
        if task.number in robot.tasks:
            yield from self._put(robot, task.box, port, self._z[port], WORKING, task.number)
        if task.number in robot.tasks:
            self._finish(robot, task)
            self.floor.delivered(task, robot, port)

    def _out_place(self, robot: Robot, port: int) -> Event | None:
        """None when a box can be set down at the outbound port, else what to wait for."""
        if self._faults is not None and self._faults.blocked is not None:
            return self._faults.blocked
        robot.out = self.floor.out_place(port)
        return robot.out

    # -- moving -----------------------------------------------------------------------------------

    def _go(self, robot: Robot, place: int, z: int, handle: int, activity: int, task: int) -> Life:
        """Drive to a place and handle there: one stretch, or several where an aisle or port is shared."""
        env = self.env
        here = robot.place
        if not (self._alone or self._is_in(robot, place)):
            yield from self._enter(robot, place, activity, task)
            if here != place == robot.place and place in self._ports:  # reached, and then claimed
                handle += self._positioning
            here = robot.place
        if self._gates:
            yield from self._mind_people(robot, place, task)
        if here == place:
            travel = self._lift(robot, z) if z != robot.z else 0
        else:
            travel = (
                self.travel.between_ms(here, robot.z, place, z) if self._alone else self._way(robot, place, z)
            )
            handle += self._positioning
        robot.bound = place
        robot.under_way_since = NONE
        if self._faults is None:
            now = env._now
            arrive = now + travel
            self.record(
                (now, ROBOT_STRETCH, robot.number, activity, here, place, z, arrive, arrive + handle, task)
            )
            robot.charge_ms -= travel + handle
            try:
                yield Timeout(env, travel + handle)
            except Interrupt:
                yield from self._go_on(robot, activity, place, z, travel, handle, task, since=now)
        else:
            yield from self._spend(robot, activity, place, z, travel, handle, task)
        robot.place = place
        robot.z = z
        if self._gates:
            self._let_people_in()

    def _is_in(self, robot: Robot, place: int) -> bool:
        """Whether a robot has claimed what a place needs."""
        if self._narrow and (zone := self._zone[place]) != NONE:
            return robot.aisle == zone
        return place == robot.slot if place < self.layout.slots else place == robot.port

    def _enter(self, robot: Robot, place: int, activity: int, task: int) -> Life:
        """Claim what a place needs: its aisle where robots cannot pass, else the slot or the port itself.

        An aisle or slot that is held is freed first, and a port before another is claimed: in this order
        nobody who waits holds what the one that it waits for needs, and no ring can close.
        """
        yield from self._leave(robot, activity, task)
        zone = self._zone[place]
        if zone != NONE and self._narrow:
            yield from self._claim(robot, self._aisles[zone], WAIT_AISLE, task)
            robot.aisle = zone
            self._free_port(robot)
        elif place < self.layout.slots:
            lock = self._slots.get(place)
            if lock is None:
                lock = self._slots[place] = Lock()
            yield from self._claim(robot, lock, WAIT_CONFLICT, task)
            robot.slot = place
            self._free_port(robot)
        else:
            self._free_port(robot)
            if place in self._ports and activity != PARK:
                if robot.place != place:
                    yield from self._drive(robot, place, activity, task)
                yield from self._claim(robot, self._ports[place], WAIT_PORT, task)
                robot.port = place

    def _holds(self, robot: Robot, slot: int) -> bool:
        """Whether nobody else can change a slot now."""
        return self._alone or (robot.aisle == self._zone[slot] if self._narrow else robot.slot == slot)

    def _leave(self, robot: Robot, activity: int, task: int) -> Life:
        """Free the slot and, by driving out to its mouth, the aisle."""
        if robot.slot != NONE:
            self._slots[robot.slot].release()
            robot.slot = NONE
        if robot.aisle != NONE:
            yield from self._drive(robot, self.layout.mouths[robot.aisle], activity, task)
            self._aisles[robot.aisle].release()
            robot.aisle = NONE

    def _drive(self, robot: Robot, place: int, activity: int, task: int) -> Life:
        """Drive to a port or a mouth without doing anything there; the fork stays at its height."""
        if self._gates:
            yield from self._mind_people(robot, place, task)
        now, travel = self.env._now, self._way(robot, place, robot.z)
        end = now + travel
        robot.bound = place
        if robot.under_way_since == NONE:
            robot.under_way_since = now
        if self._faults is None:
            self.record(
                (now, ROBOT_STRETCH, robot.number, activity, robot.place, place, robot.z, end, end, task)
            )
            robot.charge_ms -= travel
            try:
                yield Timeout(self.env, travel)
            except Interrupt:
                yield from self._go_on(robot, activity, place, robot.z, travel, 0, task, since=now)
        else:
            yield from self._spend(robot, activity, place, robot.z, travel, 0, task)
        robot.place = place
        if self._gates:
            self._let_people_in()

    def _go_on(
        self, robot: Robot, activity: int, place: int, z: int, travel: int, handle: int, task: int, *,
        since: int, works: bool = True,
    ) -> Life:  # fmt: skip
        """What is left of a stretch that was to go through from `since` on, and that a command cuts now."""
        gone = self.env._now - since
        left = travel + handle - gone
        if works:
            robot.charge_ms += left
        travel = max(0, travel - gone)
        yield from self._spend(robot, activity, place, z, travel, left - travel, task, works=works)

    def _spend(
        self, robot: Robot, activity: int, place: int, z: int, travel: int, handle: int, task: int, *,
        works: bool = True,
    ) -> Life:  # fmt: skip
        """A stretch that faults may cut: what is left of it follows when the robot works again.

        `works`: it drives, lifts or handles; else it charges. When people have taken over the task meanwhile,
        the robot only drives to its goal.
        """
        env, faults, number = self.env, self._faults, robot.number
        assert faults is not None
        left = travel + handle
        stop = faults.minor_stop_ms(task, left) if works else FOREVER
        is_cut = faults.is_halted(number)
        while True:
            until = 0 if is_cut else min(stop, faults.until_ms(number, works=works))
            run = min(left, until)
            if run or (until >= left and not is_cut):
                now = env._now
                arrive, end = now + travel, now + left
                self.record((now, ROBOT_STRETCH, number, activity, robot.place, place, z, arrive, end, task))
                try:
                    yield Timeout(env, run)
                except Interrupt:
                    is_cut, run = True, env._now - now
                if works:
                    robot.charge_ms -= run
                    faults.worked(number, run)
                left -= run
                stop -= run
                travel = max(0, travel - run)
            if not is_cut and until >= left + run:
                return
            cause = faults.due(number, works=works)
            if stop <= 0 and not is_cut:
                cause, stop = MINOR_STOP, FOREVER
            is_cut = False
            if cause == NONE:  # a command has made the fault come later
                continue
            if not left:  # stopped at its very end
                robot.place, robot.z = place, z
            yield from self._suffer(robot, cause, place, z, task)
            if self._gates:
                yield from self._mind_people(robot, place, task, (place, z))
            if works:
                robot.bound = place
            if task != NONE and task not in robot.tasks:
                left = travel
            if not left:
                return

    def _suffer(self, robot: Robot, cause: int, place: int, z: int, task: int) -> Life:
        """Be down from a fault on, until it is over and the power is there; `place` and `z` are the goal."""
        env, faults, number = self.env, self._faults, robot.number
        assert faults is not None
        began = env._now
        robot.bound = NONE
        robot.down_since = began
        robot.task = task
        faults.goes_down(number)
        if self._gates:
            self._let_people_in()
        while cause != NONE:
            now = env._now
            until, over = faults.strike(number, cause, robot.place)
            self.record((now, ROBOT_STRETCH, number, FAULT, robot.place, place, z, NONE, until, task))
            if now == began and self.on_down is not None:
                self.on_down(number)
            yield over
            if cause != BREAKDOWN:  # switched off for the repair
                self._draw_idle(robot, env._now - now)
            cause = POWER if faults.is_dark else STOPPED if faults.is_halted(number) else NONE
        faults.comes_up(number)
        robot.down_since = NONE
        if robot.under_way_since != NONE:
            robot.under_way_since += env._now - began
        if self.on_down is not None:
            self.on_down(number)

    def _stop(self, number: int) -> None:
        """A fault strikes by a clock that runs for all: a robot that stands is told; work is cut anyway."""
        robot = self.robots[number]
        if robot.waits:
            robot.waits = False
            assert robot.process is not None
            robot.process.interrupt()

    def _free_port(self, robot: Robot) -> None:
        if robot.port != NONE:
            self._ports[robot.port].release()
            robot.port = NONE

    def _stand(
        self, robot: Robot, activity: int, task: int, until: Event, on_way: tuple[int, int] | None = None
    ) -> Standing:
        """Stand and wait for an event, in a stretch whose end is open; gives how long it stood in order.

        `on_way`: the place and height to which it is on its way. A fault ends a rest: whether there is work
        is asked anew when the robot works again.
        """
        env, number = self.env, robot.number
        place, z = on_way or (robot.place, robot.z)
        robot.bound = NONE
        if self._gates:
            self._let_people_in()
        stood = 0
        while True:
            faults = self._faults
            cause = NONE if faults is None else faults.due(number, works=False)
            if cause == NONE:
                now = env._now
                self.record((now, ROBOT_STRETCH, number, activity, robot.place, place, z, NONE, NONE, task))
                robot.waits = True
                try:  # noqa: SIM105  (`suppress` takes longer than the event)
                    yield until
                except Interrupt:
                    pass
                robot.waits = False
                stood += env._now - now
                self._draw_idle(robot, env._now - now)
            else:
                yield from self._suffer(robot, cause, place, z, task)
                if robot.wake is until:
                    robot.wake = None
                    return stood
            if until.triggered and not self.is_stopped(number):
                return stood

    def _draw_idle(self, robot: Robot, ms: int) -> None:
        robot.charge_ms = max(0.0, robot.charge_ms - ms * self.params.idle_draw)

    def _claim(self, robot: Robot, lock: Lock, cause: int, task: int) -> Life:
        if lock.owner == NONE:
            lock.owner = robot.number
            return
        event = Event(self.env)
        lock.waiting.append((robot.number, event))
        yield from self._stand(robot, cause, task, event)

    def _way(self, robot: Robot, place: int, z: int) -> int:
        """Travel time from where the robot stands, the turn at a mouth it has come out of included."""
        here = robot.place
        aisle = self.layout.aisle[here]
        if here == self.layout.mouths[aisle]:
            drive = self.travel.from_mouth_ms(aisle, place, arriving=True)
        else:
            drive = self.travel.drive_ms(here, place)
        lift = self._lift(robot, z)
        return drive + lift if self._sequential else max(drive, lift)

    def _lift(self, robot: Robot, z: int) -> int:
        """Time left to lift to a height; a lift that moves beside the drive has used the way so far."""
        lift = self.travel.lift_ms(abs(z - robot.z))
        if self._sequential or robot.under_way_since == NONE:
            return lift
        return max(0, lift - (self.env._now - robot.under_way_since))

    # -- standing ---------------------------------------------------------------------------------

    def _rest(self, robot: Robot) -> Life:
        """Go to the dwell point and wait for work, or for a battery that runs low."""
        goal = self._resting_place(robot)
        if goal != robot.place:
            yield from self._go(robot, goal, self._z[goal], 0, PARK, NONE)
            return
        if not self._alone:
            yield from self._leave(robot, PARK, NONE)
            self._free_port(robot)
        charging = robot.place in self._free_chargers
        wake = robot.wake = Event(self.env)
        draw = self.params.idle_draw
        if charging:
            self._free_chargers.remove(robot.place)
            robot.charger = robot.place
            self._tell_battery(robot)
        elif draw and self.layout.chargers:
            self._ring_after(robot, wake, max(1, math.ceil((robot.charge_ms - self._low_ms) / draw) + 1))
        rested = yield from self._stand(robot, IDLE, NONE, wake)
        if charging:
            robot.charge_ms = min(self._full_ms, robot.charge_ms + rested * (self._per_ms + draw))
            self._tell_battery(robot)
            robot.charger = NONE
            self._return_charger(robot.place)

    def _resting_place(self, robot: Robot) -> int:
        """The dwell point; where robots cannot pass, the mouth of its aisle, so that nobody is shut out."""
        goal = robot.place if self._dwell_place == NONE else self._dwell_place
        if self._narrow and self._zone[goal] != NONE:
            return self.layout.mouths[self._zone[goal]]
        return goal

    def _wait_to_fill(self, robot: Robot, wait: int) -> Life:
        """Stand a moment for more put-aways to make a fuller tour."""
        wake = robot.wake = Event(self.env)
        self._ring_after(robot, wake, wait)
        yield from self._stand(robot, WAIT_TOUR, NONE, wake)

    def _ring_after(self, robot: Robot, wake: Event, delay: int) -> None:
        """Wake the robot after a time, if it still waits for the same event."""
        timer = Timeout(self.env, delay)
        assert timer.callbacks is not None
        timer.callbacks.append(lambda _: self._ring(robot, wake))

    def _tell_battery(self, robot: Robot) -> None:
        permille = round(1000 * robot.charge_ms / self._full_ms)
        self.record((self.env._now, BATTERY, robot.number, permille))

    def _ring(self, robot: Robot, wake: Event) -> None:
        if robot.wake is wake:
            robot.wake = None
            wake.succeed()

    def _charge(self, robot: Robot) -> Life:
        """Drive to a free charger and charge up to the level at which work resumes."""
        if self._free_chargers:
            charger = min(self._free_chargers, key=lambda c: (self.travel.drive_ms(robot.place, c), c))
            self._free_chargers.remove(charger)
        else:
            if not self._alone:
                yield from self._leave(robot, PARK, NONE)
                self._free_port(robot)
            event = Event(self.env)
            self._charger_queue.append(event)
            for other in self.robots:  # one that only rests on a charger makes room
                if other.charger != NONE and other.wake is not None and other.down_since == NONE:
                    self._ring(other, other.wake)
                    break
            yield from self._stand(robot, WAIT_CHARGER, NONE, event)
            charger = cast("int", event.value)
        yield from self._go(robot, charger, self._z[charger], 0, GO_CHARGE, NONE)
        goal = self._resume_ms
        needed = max(0, math.ceil((goal - robot.charge_ms) / self._per_ms))
        now = self.env._now
        self._tell_battery(robot)
        robot.bound = NONE
        if self._gates:
            self._let_people_in()
        if self._faults is None:
            self.record(
                (now, ROBOT_STRETCH, robot.number, CHARGE, charger, charger, robot.z, now, now + needed, NONE)
            )
            try:
                yield Timeout(self.env, needed)
            except Interrupt:
                yield from self._go_on(
                    robot, CHARGE, charger, robot.z, 0, needed, NONE, since=now, works=False
                )
        else:
            yield from self._spend(robot, CHARGE, charger, robot.z, 0, needed, NONE, works=False)
        robot.charge_ms = max(robot.charge_ms, goal)
        self._tell_battery(robot)
        self._return_charger(charger)

    def _return_charger(self, charger: int) -> None:
        """Pass a charger to the robot that has waited longest, or leave it free."""
        if self._charger_queue:
            self._charger_queue.popleft().succeed(charger)
        else:
            self._free_chargers.append(charger)

    # -- places -----------------------------------------------------------------------------------

    def _stop_cost(self, a: int, b: int) -> int:
        key = a * self.layout.places + b
        time = self._stop_costs.get(key)
        if time is None:
            if len(self._stop_costs) >= _MOST_STOP_COSTS:
                self._stop_costs.clear()
            time = self._stop_costs[key] = self.travel.between_ms(a, self._z[a], b, self._z[b])
        return time

    def _dwell_point(self) -> int:
        layout, dwell = self.layout, self._dwell
        centre = self._centre(dwell)
        return DWELL[dwell](DwellView(layout.inbound, layout.outbound, tuple(layout.chargers), centre))

    def _centre(self, dwell: str) -> int:
        return self.travel.centre() if dwell == "centre" else NONE
