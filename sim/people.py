"""The people of the store: they unload and scan, pick loose meters, check and hand over, in their shifts.

One process a person, pulling from three queues: hand-over first, then loose picking, then the truck. A piece
of work that has begun is finished, even when the shift ends. Left out: walking, and who can do what.
"""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from simpy import Event, Timeout

from sim.calendar import Shift
from sim.facts import CHECK, NONE, PERSON_WORK, PICK, RECEIVE
from sim.params import JsonFloat, JsonInt, Params, fact

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.calendar import WorkCalendar
    from sim.clock import Clock
    from sim.robots import Life


class PeopleParams(Params):
    """The people of the store and how long their work takes; they work in shifts."""

    count: JsonInt = fact(2, "people on shift", origin="assumption", ge=0, le=1000)
    breaks: list[Shift] = fact(
        [], "breaks within the shifts, as [from, to] times of day", origin="assumption"
    )
    unload_s: JsonFloat = fact(
        30.0, "to take a box off the truck", unit="s/box", origin="sourced", ge=0, le=86400
    )
    receive_s: JsonFloat = fact(
        8.0, "receiving scan of a box", unit="s/box", origin="assumption", ge=0, le=86400
    )
    pick_setup_s: JsonFloat = fact(
        20.0, "to open a box at the pick station", unit="s", origin="assumption", ge=0, le=86400
    )
    pick_meter_s: JsonFloat = fact(
        4.0, "to pick one loose meter", unit="s/meter", origin="assumption", ge=0, le=86400
    )
    check_s: JsonFloat = fact(
        20.0, "to check and hand over a box", unit="s/box", origin="assumption", ge=0, le=86400
    )


class Piece(NamedTuple):
    """Something to check and hand over: a whole box, or the meters of `mask` picked out of it."""

    box: int
    order: int
    mask: int
    loose: bool


class Truck:
    """A truck at a port, with the boxes still on it."""

    __slots__ = ("boxes", "left", "number", "port")

    def __init__(self, number: int, port: int, boxes: deque[int]) -> None:
        self.number = number
        self.port = port
        self.boxes = boxes
        self.left = len(boxes)


class Desk(Protocol):
    """What people ask of the warehouse; `warehouse.Warehouse` answers."""

    def received(self, box: int, truck: Truck, person: int) -> None: ...
    def next_pick(self, box: int) -> tuple[int, int]: ...
    def picked_loose(self, box: int, order: int, meters: int, person: int) -> None: ...
    def checked(self, piece: Piece) -> None: ...


class People:
    """The people on shift and the work that waits for them."""

    def __init__(
        self,
        env: "Clock",
        params: PeopleParams,
        calendar: "WorkCalendar",
        record: "Callable[[tuple[int, ...]], None]",
    ) -> None:
        self.env = env
        self.desk: Desk
        self.checks: deque[Piece] = deque()
        self.picks: deque[int] = deque()
        self.trucks: deque[Truck] = deque()
        self._calendar = calendar
        self._record = record
        self._count = params.count
        self._receive = round((params.unload_s + params.receive_s) * 1000)
        self._setup = round(params.pick_setup_s * 1000)
        self._meter = round(params.pick_meter_s * 1000)
        self._check = round(params.check_s * 1000)
        self._idle: deque[Event] = deque()

    def start(self) -> None:
        """Let the people come to work."""
        for person in range(self._count):
            self.env.process(self._live(person))

    def post_check(self, piece: Piece) -> None:
        """Add something to check and hand over."""
        self.checks.append(piece)
        self._wake()

    def post_pick(self, box: int) -> None:
        """Add an open box at the pick station from which meters are wanted."""
        self.picks.append(box)
        self._wake()

    def post_truck(self, truck: Truck) -> None:
        """Add a truck to unload."""
        self.trucks.append(truck)
        for _ in range(min(len(truck.boxes), len(self._idle))):
            self._wake()

    def _wake(self) -> None:
        if self._idle:
            self._idle.popleft().succeed()

    def _live(self, person: int) -> "Life":
        env, record, desk = self.env, self._record, self.desk
        open_until = -1
        while True:
            now = env._now
            if now >= open_until:
                start = self._calendar.next_open(now)
                if start > now:
                    yield Timeout(env, start - now)
                    now = env._now
                open_until = self._calendar.closes_at(now)
            if self.checks:
                piece = self.checks.popleft()
                record((now, PERSON_WORK, person, CHECK, now + self._check, piece.box, piece.order))
                yield Timeout(env, self._check)
                desk.checked(piece)
            elif self.picks:
                box = self.picks.popleft()
                order, meters = desk.next_pick(box)
                work = self._setup + meters * self._meter
                record((now, PERSON_WORK, person, PICK, now + work, box, order))
                yield Timeout(env, work)
                desk.picked_loose(box, order, meters, person)
            elif self.trucks:
                truck = self.trucks[0]
                box = truck.boxes.popleft()
                if not truck.boxes:
                    self.trucks.popleft()
                record((now, PERSON_WORK, person, RECEIVE, now + self._receive, box, NONE))
                yield Timeout(env, self._receive)
                desk.received(box, truck, person)
            else:
                event = Event(env)
                self._idle.append(event)
                yield event
