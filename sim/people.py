"""The people of the store: they unload and scan, pick loose meters, check and hand over, in their shifts.

One process a person. Who is free takes the first kind of work in `WORK_ORDER` that waits. A piece of work
that has begun is finished, even when the shift ends, and so is the way of a box that is carried by hand.
People carry boxes where there are no robots, and where one has been down for long: one box at a time, with a
ladder. Left out: walking other than in the time of a carry, and who can do what.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Sized
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from simpy import Event, Timeout

from sim.calendar import Shift
from sim.facts import (
    CARRY,
    CHECK,
    COUNT_SLOT,
    INSPECT,
    ISSUE,
    NONE,
    PERSON_WORK,
    PICK,
    PUT_AWAY,
    RECEIVE,
    REPAIR,
    SORT,
    TASK_ASSIGNED,
    TASK_CLASSES,
    TASK_RETURNED,
)
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.robots import DISPATCH, RETRY_MS, DispatchView, Robot

if TYPE_CHECKING:
    from sim.calendar import WorkCalendar
    from sim.clock import Clock
    from sim.robots import Dispatch, Fleet, Life, Task

    Taker = tuple[Sized, Callable[[int], Life | None]]


class PeopleParams(Params):
    """The people of the store and how long their work takes; they work in shifts."""

    count: JsonInt = fact(2, "people on shift", origin="assumption", ge=0, le=1000)
    breaks: list[Shift] = fact(
        [], "breaks within the shifts, as [from, to] times of day", origin="assumption"
    )
    unload_s: JsonFloat = fact(
        30.0, "to take a box off the truck", unit="s/box", origin="sourced", ge=0, le=86400, live=True
    )
    receive_s: JsonFloat = fact(
        8.0, "receiving scan of a box", unit="s/box", origin="assumption", ge=0, le=86400, live=True
    )
    pick_setup_s: JsonFloat = fact(
        20.0, "to open a box at the pick station", unit="s", origin="assumption", ge=0, le=86400, live=True
    )
    pick_meter_s: JsonFloat = fact(
        4.0, "to pick one loose meter", unit="s/meter", origin="assumption", ge=0, le=86400, live=True
    )
    inspect_meter_s: JsonFloat = fact(
        4.0,
        "to count one meter of an opened box",
        unit="s/meter",
        origin="assumption",
        ge=0,
        le=86400,
        live=True,
    )
    check_s: JsonFloat = fact(
        20.0, "to check and hand over a box", unit="s/box", origin="assumption", ge=0, le=86400, live=True
    )
    carry_per_h: JsonFloat = fact(
        45.0,
        "boxes put away or fetched by hand, with a ladder (30 to 60)",
        unit="boxes/h",
        origin="assumption",
        gt=0,
        le=3600,
        live=True,
    )
    allocate_s: JsonFloat = fact(
        30.0,
        "for the keeper to name the slot of a box that is put away by hand",
        unit="s/box",
        origin="assumption",
        ge=0,
        le=86400,
        live=True,
    )


class FallbackParams(Params):
    """When people carry boxes by hand in place of a robot that is down."""

    after_min: JsonFloat = fact(
        60.0,
        "how long a robot is down before people step in; inf for never",
        unit="min",
        origin="assumption",
        ge=0,
        allow_inf_nan=True,
        live=True,
    )
    people: JsonInt = fact(
        2, "most people who carry at a time", origin="assumption", ge=0, le=1000, live=True
    )


WORK_ORDER: Final = {
    "repair": "What stands still is cleared first: everything else may wait for it.",
    "check": "Boxes that are ready are handed over, which also makes room at the port.",
    "pick": "Boxes at the pick station are picked from, or inspected, which makes room there.",
    "carry": "By hand: boxes off a dead robot, then as the dispatch rule says; a truck is a put-away to it.",
    "unload": "A truck is unloaded; by hand, before its own boxes are put away, which can stand in staging.",
    "count": "Slots are counted when nothing else is to be done.",
    "sort": "Returned meters are sorted last.",
}
"""Which work a free person takes first, and why."""


class Piece(NamedTuple):
    """Something to check and hand over: a whole box, or the meters of `mask` picked out of it."""

    box: int
    order: int
    mask: int
    loose: bool


class Job(NamedTuple):
    """Work of a known length (`ms`); `done` is told the person who has done it."""

    work: int
    box: int
    slot: int
    ms: int
    done: Callable[[int], object]


class Truck:
    """A truck at a port, with the boxes still on it."""

    __slots__ = ("boxes", "left", "number", "port", "since")

    def __init__(self, number: int, port: int, boxes: deque[int]) -> None:
        self.number = number
        self.port = port
        self.boxes = boxes
        self.left = len(boxes)
        self.since = NONE


class Desk(Protocol):
    """What people ask of the warehouse; `warehouse.Warehouse` answers."""

    def receiving_extra_ms(self, box: int) -> int: ...
    def received(self, box: int, truck: Truck, person: int) -> None: ...
    def next_pick(self, box: int) -> tuple[int, int]: ...
    def picked_loose(self, box: int, order: int, meters: int, person: int) -> None: ...
    def meters_in(self, box: int) -> int: ...
    def inspected(self, box: int, person: int) -> None: ...
    def checked(self, piece: Piece) -> None: ...
    def rescued(self, task: "Task", carrier: Robot) -> None: ...


class People:
    """The people on shift and the work that waits for them."""

    def __init__(
        self,
        env: "Clock",
        params: PeopleParams,
        calendar: "WorkCalendar",
        record: Callable[[tuple[int, ...]], None],
    ) -> None:
        self.env = env
        self.params = params
        self.desk: Desk
        self.repairs: deque[Job] = deque()
        self.checks: deque[Piece] = deque()
        self.picks: deque[int] = deque()
        self.trucks: deque[Truck] = deque()
        self.counts: deque[Job] = deque()
        self.sorts: deque[Job] = deque()
        self._calendar = calendar
        self._record = record
        self._count = params.count
        self._set_pace(params)
        self._idle: deque[Event] = deque()
        self._at_port: list[Event] = []
        self._hands: Hands | None = None
        self._carriers: list[Hands] = []
        # What waits, and who takes it on; only what waits is asked for.
        takers: dict[str, Taker] = {
            "repair": (self.repairs, lambda person: self._do(person, self.repairs.popleft())),
            "check": (self.checks, lambda person: self._hand_over(person, self.checks.popleft())),
            "pick": (self.picks, lambda person: self._pick(person, self.picks.popleft())),
            "carry": (self._carriers, lambda person: self._carriers[0].carry(person)),
            "unload": (self.trucks, self._take_unload),
            "count": (self.counts, lambda person: self._do(person, self.counts.popleft())),
            "sort": (self.sorts, lambda person: self._do(person, self.sorts.popleft())),
        }
        self._takers = [takers[work] for work in WORK_ORDER]
        self._frees_ports = [takers["check"], takers["pick"]]

    def _set_pace(self, params: PeopleParams) -> None:
        self._receive = round((params.unload_s + params.receive_s) * 1000)
        self._setup = round(params.pick_setup_s * 1000)
        self._meter = round(params.pick_meter_s * 1000)
        self._inspect_meter = round(params.inspect_meter_s * 1000)
        self._check = round(params.check_s * 1000)

    def adopt(
        self, params: PeopleParams, fallback: FallbackParams | None = None, *, dispatch: str = "priority"
    ) -> None:
        """Go on with other times, from the next piece of work on; how many there are and when has to stay.

        `fallback` and `dispatch` as in `carry_by_hand`.
        """
        self.params = params
        self._set_pace(params)
        if self._hands is not None:
            self._hands.adopt(fallback, DISPATCH[dispatch])

    @property
    def minds_robots(self) -> bool:
        """Whether robots keep out of an aisle while somebody works in it."""
        return self._hands is not None

    def carry_by_hand(
        self, fleet: "Fleet", fallback: FallbackParams | None = None, *, dispatch: str = "priority"
    ) -> None:
        """Let people carry boxes for a fleet: always, or with `fallback` while a robot is down for long.

        To be called before anybody carries. Person p carries as robot `robots.count + p`, which needs a place
        of the layout as soon as somebody carries. `dispatch` names the rule of the fleet.
        """
        self._hands = Hands(self, fleet, fallback, DISPATCH[dispatch])
        self._carriers[:] = [self._hands]

    @property
    def by_hand(self) -> bool:
        """Whether people carry boxes now."""
        return self._hands is not None and self._hands.is_wanted()

    def start(self) -> None:
        """Let the people come to work."""
        for person in range(self._count):
            self.env.process(self._live(person))

    def post_repair(self, ms: int, done: Callable[[int], object]) -> Callable[[], None]:
        """Add something that stands still until a person has worked on it for so long.

        Gives what calls it off; a person who has begun goes on.
        """
        job = Job(REPAIR, NONE, NONE, ms, done)
        self.repairs.append(job)
        self.wake()

        def call_off() -> None:
            if job in self.repairs:
                self.repairs.remove(job)

        return call_off

    def post_check(self, piece: Piece) -> None:
        """Add something to check and hand over."""
        self.checks.append(piece)
        self._call_to_port()

    def post_pick(self, box: int) -> None:
        """Add an open box at the pick station from which meters are wanted, or that is to be inspected."""
        self.picks.append(box)
        self._call_to_port()

    def post_truck(self, truck: Truck) -> None:
        """Add a truck to unload."""
        truck.since = self.env._now
        self.trucks.append(truck)
        for _ in range(min(len(truck.boxes), len(self._idle))):
            self.wake()

    def post_count(self, slot: int, ms: int, done: Callable[[int], None]) -> None:
        """Add a slot to count by hand; robots keep out of its aisle meanwhile."""
        self.counts.append(Job(COUNT_SLOT, NONE, slot, ms, done))
        self.wake()

    def post_sort(self, box: int, ms: int, done: Callable[[int], None]) -> None:
        """Add a box of returned meters to sort."""
        self.sorts.append(Job(SORT, box, NONE, ms, done))
        self.wake()

    def wake(self) -> None:
        """Have an idle person look for work."""
        if self._idle:
            self._idle.popleft().succeed()

    def begin(self, person: int, work: int, ms: int, box: int, order: int) -> None:
        """Note that a person begins a piece of work that takes so long."""
        now = self.env._now
        self._record((now, PERSON_WORK, person, work, now + ms, box, order))

    def _work(self, person: int, work: int, ms: int, box: int, order: int) -> Timeout:
        self.begin(person, work, ms, box, order)
        return Timeout(self.env, ms)

    def make_room(self, person: int, place: Event) -> "Life":
        """Until a place at the outbound port is free, do the work that may free it, as it comes."""
        while not place.triggered:
            work = self._next(person, self._frees_ports)
            if work is not None:
                yield from work
                continue
            called = Event(self.env)
            self._at_port.append(called)
            yield place | called
            if not called.triggered:
                self._at_port.remove(called)

    def _call_to_port(self) -> None:
        """There is work that may free a place at the port: for an idle person, or for one who waits there."""
        self.wake()
        if self._at_port:
            self._at_port.pop(0).succeed()

    def _live(self, person: int) -> "Life":
        env = self.env
        open_until = -1
        while True:
            now = env._now
            if now >= open_until:
                start = self._calendar.next_open(now)
                if start > now:
                    yield Timeout(env, start - now)
                    now = env._now
                open_until = self._calendar.closes_at(now)
            work = self._next(person, self._takers)
            if work is not None:
                yield from work
            else:
                event = Event(env)
                self._idle.append(event)
                yield event

    def _next(self, person: int, takers: "list[Taker]") -> "Life | None":
        """The work that a free person begins now, if any of some kinds waits."""
        for waiting, take in takers:
            if waiting and (work := take(person)) is not None:
                return work
        return None

    def _hand_over(self, person: int, piece: Piece) -> "Life":
        yield self._work(person, CHECK, self._check, piece.box, piece.order)
        self.desk.checked(piece)

    def _pick(self, person: int, box: int) -> "Life":
        """Pick loose meters out of a box for an order; when no order wants any, count those in it."""
        desk = self.desk
        order, meters = desk.next_pick(box)
        if order == NONE:
            yield self._work(
                person, INSPECT, self._setup + desk.meters_in(box) * self._inspect_meter, box, NONE
            )
            desk.inspected(box, person)
        else:
            yield self._work(person, PICK, self._setup + meters * self._meter, box, order)
            desk.picked_loose(box, order, meters, person)

    def _take_unload(self, person: int) -> "Life":
        truck = self.trucks[0]
        box = truck.boxes.popleft()
        if not truck.boxes:
            self.trucks.popleft()
        return self._unload(person, truck, box)

    def _unload(self, person: int, truck: Truck, box: int) -> "Life":
        yield self._work(person, RECEIVE, self._receive + self.desk.receiving_extra_ms(box), box, NONE)
        self.desk.received(box, truck, person)

    def _do(self, person: int, job: Job) -> "Life":
        if self._hands is not None:
            yield from self._hands.enter(person, job.slot)
        yield self._work(person, job.work, job.ms, job.box, NONE)
        if self._hands is not None:
            self._hands.leave(person, job.slot)
        job.done(person)


class TrucksView(DispatchView):
    """What a dispatch rule sees of work by hand: a truck is a put-away that waits since it came."""

    __slots__ = ("_people",)

    def __init__(self, fleet: "Fleet", people: People) -> None:
        super().__init__(fleet)
        self._people = people

    def waiting_since_ms(self, task_class: int) -> int:
        """How long the oldest task of a class (a put-away: or truck) has waited, or NONE when none waits."""
        waited = super().waiting_since_ms(task_class)
        return max(waited, self._truck_waited_ms()) if task_class == PUT_AWAY else waited

    @property
    def truck_is_oldest(self) -> bool:
        """Whether a truck has waited at least as long as every put-away."""
        return self._truck_waited_ms() >= super().waiting_since_ms(PUT_AWAY)

    def _truck_waited_ms(self) -> int:
        trucks = self._people.trucks
        return self._people.env._now - trucks[0].since if trucks else NONE


class Hands:
    """Carrying by hand, one box at a time: always, or (`fallback`) while a robot has been down for long.

    In free stacks, whoever wants a box below others first moves these away, a carry each. Nobody waits in an
    aisle: a person leaves it before going to the next, and before standing at a port that is full.
    """

    def __init__(
        self, people: People, fleet: "Fleet", fallback: FallbackParams | None, dispatch: "Dispatch"
    ) -> None:
        self._env = people.env
        self._view = TrucksView(fleet, people)
        self._people = people
        self._fleet = fleet
        self._set_pace(fallback, dispatch)
        self._robots = len(fleet.robots)
        self._stacked = fleet.params.access == "stack_lifo"
        self._carriers: dict[int, Robot] = {}
        self._busy = 0
        self._long_down: dict[int, None] = {}
        self._rescues: deque[tuple[int, Task]] = deque()
        fleet.on_work = self._work_waits
        fleet.on_down = self._robot_changed

    def _set_pace(self, fallback: FallbackParams | None, dispatch: "Dispatch") -> None:
        """Take over what may change in the middle of a run."""
        params = self._people.params
        self._dispatch = dispatch
        self._fallback = fallback
        self._most = params.count if fallback is None else fallback.people
        self._allocate = round(params.allocate_s * 1000)
        carry = round(3_600_000 / params.carry_per_h)
        self._there, self._back = carry // 2, carry - carry // 2

    def adopt(self, fallback: FallbackParams | None, dispatch: "Dispatch") -> None:
        """Go on with other times and another rule for when to step in: also for robots that are down now."""
        is_same = fallback == self._fallback
        self._set_pace(fallback, dispatch)
        if is_same:
            return
        self._long_down.clear()
        for robot in self._fleet.robots:
            if robot.down_since != NONE:
                self._robot_changed(robot.number)

    def is_wanted(self) -> bool:
        """Whether there are boxes that people may carry now."""
        return self._fallback is None or bool(self._long_down or self._rescues)

    def carry(self, person: int) -> "Life | None":
        """The carry that a free person begins now; None when there is none, or a truck has its turn."""
        if not self._may_carry():
            return None
        fleet = self._fleet
        for number in self._long_down:
            place = fleet.robots[number].place
            self._rescues.extend((place, task) for task in fleet.take_boxes_off(number))
        if self._rescues:
            return self._rescue(self._carrier(person), *self._rescues.popleft())
        tasks = [] if self._is_turn_of_truck() else fleet.hand_tasks(1)
        return self._carry(self._carrier(person), tasks[0]) if tasks else None

    def enter(self, person: int, place: int) -> "Life":
        """Go to a place: robots come out of the aisle of a slot and keep out."""
        if self._robots and 0 <= place < self._fleet.layout.slots:
            yield from self._fleet.enter_by_hand(int(self._fleet.layout.aisle[place]), person)

    def leave(self, person: int, place: int) -> None:
        """Leave a place again."""
        if self._robots and 0 <= place < self._fleet.layout.slots:
            self._fleet.leave_by_hand(int(self._fleet.layout.aisle[place]), person)

    # -- when -----------------------------------------------------------------------------------------

    def _may_carry(self) -> bool:
        """Whether one person more may carry; what was taken off a robot is brought in any case."""
        return self.is_wanted() and self._busy < max(self._most, len(self._rescues) > 0)

    def _is_turn_of_truck(self) -> bool:
        """Whether the dispatch rule wants boxes in, and a truck has waited longest of them."""
        if not self._people.trucks:
            return False
        for kind in range(len(TASK_CLASSES)):
            self._fleet.drop_cancelled(kind)
        return self._dispatch(self._view) == PUT_AWAY and self._view.truck_is_oldest

    def _work_waits(self) -> None:
        """The fleet has work: somebody comes for it where people carry."""
        if self._may_carry():
            self._people.wake()

    def _robot_changed(self, number: int) -> None:
        """A robot stops or works again: people step in when it has stood for long."""
        since = self._fleet.down_since_ms(number)
        if since == NONE:
            self._long_down.pop(number, None)
        elif self._fallback is not None and self._most and self._fallback.after_min < math.inf:
            wait = since + round(self._fallback.after_min * 60_000) - self._env._now
            timer = Timeout(self._env, max(0, wait))
            assert timer.callbacks is not None
            timer.callbacks.append(lambda _: self._step_in(number, since))

    def _step_in(self, number: int, since: int) -> None:
        """People carry from now on, if a robot has been down all the time since, and for long enough."""
        assert self._fallback is not None
        lasted = self._env._now - since
        if self._fleet.down_since_ms(number) == since and lasted >= self._fallback.after_min * 60_000 - 1:
            self._long_down[number] = None
            for _ in range(self._most):
                self._people.wake()

    # -- how ------------------------------------------------------------------------------------------

    def _carrier(self, person: int) -> Robot:
        carrier = self._carriers.get(person)
        if carrier is None:
            number = self._robots + person
            layout = self._fleet.layout
            carrier = self._carriers[person] = Robot(number, layout.robot_place(number), layout.inbound, 0)
        return carrier

    def _rescue(self, carrier: Robot, place: int, task: "Task") -> "Life":
        """Bring a box that was taken off a dead robot to where its task wants it."""

        def take() -> bool:
            self._people.desk.rescued(task, carrier)
            return True

        self._busy += 1
        yield from self._trip(carrier, task, place, self._there, take)
        self._busy -= 1

    def _carry(self, carrier: Robot, task: "Task") -> "Life":
        """Bring the box of a task that has waited to where the task wants it."""
        floor = self._fleet.floor
        self._busy += 1
        task.assigned = True
        self._fleet.record((self._env._now, TASK_ASSIGNED, task.number, carrier.number, NONE))
        floor.assigned(task)
        if task.kind == ISSUE:
            yield from self._fetch_box(carrier, task)
        else:
            there = self._there + (self._allocate if task.kind == PUT_AWAY else 0)
            yield from self._trip(carrier, task, task.source, there, lambda: floor.picked(task, carrier))
        self._busy -= 1

    def _fetch_box(self, carrier: Robot, task: "Task") -> "Life":
        """Bring a box out of its slot; in a stack somebody may cover it again before it is taken."""
        floor = self._fleet.floor
        is_covered = False

        def take() -> bool:
            nonlocal is_covered
            is_covered = self._stacked and not self._is_on_top(task)
            return not is_covered and floor.picked(task, carrier)

        while True:
            if self._stacked and not (yield from self._uncover(carrier, task)):
                self._postpone(carrier, task)
                return
            yield from self._trip(carrier, task, floor.where(task.box)[0], self._there, take)
            if not is_covered:
                return

    def _trip(self, carrier: Robot, task: "Task", place: int, there: int, take: Callable[[], bool]) -> "Life":
        """One carry: time to have the box in hand, and half a carry to bring it.

        It is one piece of work; where robots share the aisles it is two, as the person may wait in between.
        """
        yield from self._go(carrier, place, task.box, task.order, there, self._back)
        has_it = take()
        self.leave(self._person(carrier), place)
        if not has_it:
            yield from self._go_on(carrier, NONE, task.box, task.order)
            return
        carrier.board.append(task.box)
        yield from (self._bring_out if task.kind == ISSUE else self._bring_in)(carrier, task)
        carrier.board.remove(task.box)

    def _bring_out(self, carrier: Robot, task: "Task") -> "Life":
        """Set a box down at the outbound port; who finds it full makes room there, or waits."""
        floor, port = self._fleet.floor, task.target
        yield from self._go_on(carrier, NONE, task.box, task.order)
        while (free := floor.out_place(port)) is not None:
            yield from self._people.make_room(self._person(carrier), free)
        floor.delivered(task, carrier, port)

    def _bring_in(self, carrier: Robot, task: "Task") -> "Life":
        """Store a box; from a place that is taken to the next that the floor names, or back to the port."""
        floor, port = self._fleet.floor, self._fleet.layout.inbound
        slot = task.target
        yield from self._go_on(carrier, slot, task.box, task.order)
        # A robot that went down on its way back to the port leaves a box that has no slot.
        while slot != NONE and not floor.stored(task, carrier):
            self.leave(self._person(carrier), slot)
            slot = task.target
            yield from self._go(carrier, slot, task.box, task.order, self._back, 0)
        self.leave(self._person(carrier), slot)
        if slot == NONE:
            floor.brought_back(task, carrier, port)

    def _uncover(self, carrier: Robot, task: "Task") -> "Generator[Event, object, bool]":
        """Move away what stands on a task's box; False when that cannot be done as the store stands."""
        floor = self._fleet.floor
        has_begun = False
        while not self._is_on_top(task):
            slot, column, _ = floor.where(task.box)
            if column == NONE or not (has_begun or floor.can_dig(task, 0)):
                return False
            has_begun = True
            blocker = floor.blocker_of(task)
            yield from self._go(carrier, slot, blocker, task.order, self._there, self._back)
            # Another person may have been faster.
            target: tuple[int, int] | None = NONE, NONE
            if not self._is_on_top(task) and floor.where(task.box)[0] == slot:
                blocker = floor.blocker_of(task)
                target = floor.dig_target(blocker, task, on_board=False)
            if target is None or target[0] == NONE:
                self.leave(self._person(carrier), slot)
                yield from self._go_on(carrier, NONE, blocker, task.order)
                if target is None:
                    return False
                continue
            floor.dig_out(blocker, task, carrier, target)
            self.leave(self._person(carrier), slot)
            carrier.board.append(blocker)
            yield from self._go_on(carrier, target[0], blocker, task.order)
            carrier.board.remove(blocker)
            floor.dig_in(blocker, task, carrier, target)
            self.leave(self._person(carrier), target[0])
        return True

    def _is_on_top(self, task: "Task") -> bool:
        """Whether a task's box stands in a stack with nothing on it."""
        floor = self._fleet.floor
        return floor.where(task.box)[1] != NONE and floor.blocker_of(task) == NONE

    def _postpone(self, carrier: Robot, task: "Task") -> None:
        """Let a task wait that cannot be done now; it is tried again a little later."""
        fleet = self._fleet
        task.assigned = False
        fleet.record((self._env._now, TASK_RETURNED, task.number, carrier.number))
        fleet.floor.unassigned(task)
        timer = Timeout(self._env, RETRY_MS)
        assert timer.callbacks is not None
        timer.callbacks.append(lambda _: fleet.post(task))

    def _go(self, carrier: Robot, place: int, box: int, order: int, there: int, back: int) -> "Life":
        """Go to a place and be busy there; `back`: what then follows at once where no robot is in the way."""
        person = self._person(carrier)
        yield from self.enter(person, place)
        self._people.begin(person, CARRY, there if self._robots else there + back, box, order)
        yield Timeout(self._env, there)

    def _go_on(self, carrier: Robot, place: int, box: int, order: int) -> "Life":
        """The second half of a carry, to a place."""
        if self._robots:
            yield from self._go(carrier, place, box, order, self._back, 0)
        else:
            yield Timeout(self._env, self._back)

    def _person(self, carrier: Robot) -> int:
        return carrier.number - self._robots
