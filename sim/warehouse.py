"""The verbs of the store: receive, allocate, put away, reserve, retrieve, pick, check, hand over.

The warehouse changes the truth (`stock`) and the records (`ledger`) as things happen, and records each as a
fact. Robots and people call it when a piece of their work is done. A full store is no error: received
boxes wait in staging, and when that is full in the flat store, until a slot frees.

Where truth and records part (`mishaps`), the store goes on by its records: a robot that does not find a box,
or finds a place taken, says so, the order gets another box, and what was seen instead is recorded.
"""

from collections import Counter, deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Literal

from simpy import Event, Timeout

from sim.allocation import HORIZON, POLICIES, BoxView, Rule, SlotView
from sim.assets import STATE_CODES
from sim.calendar import DAY_MS
from sim.facts import (
    ALLOCATION_FAILED,
    ALLOCATION_RELEASED,
    AT_CHECK,
    AT_PICK,
    AT_PLACE,
    BOX_CAME_BACK,
    BOX_CREATED,
    BOX_DUG,
    BOX_EMPTIED,
    BOX_EXPIRED,
    BOX_FREED,
    BOX_LEFT,
    BOX_MOVED,
    BOX_RECEIVED,
    BOX_RECORDED,
    BOX_RESERVED,
    BOX_STATE,
    BOX_VERIFIED,
    BY_COUNT,
    COUNT,
    DAMAGE,
    DISCREPANCY,
    GATE,
    ISSUE,
    LINE_SHORT,
    LOOSE_RETURN,
    LOST_MESSAGE,
    LOT_CREATED,
    LOT_RECALLED,
    METERS_DAMAGED,
    METERS_ISSUED,
    METERS_PICKED,
    METERS_RECORDED,
    METERS_SCRAPPED,
    MISCOUNT,
    NONE,
    OPENING,
    ORDER_HANDED_OVER,
    ORDER_LINE,
    ORDER_RELEASED,
    ORDER_SHORT,
    PUT_AWAY,
    RECALLED,
    RESENT,
    SCRAPPED,
    SHORT_PACKED,
    SLOT_ALLOCATED,
    SLOT_BLOCKED,
    SLOT_HELD,
    STAGING_OVERFLOW,
    TASK_CANCELLED,
    TASK_CREATED,
    TASK_DONE,
    TRUCK_ARRIVED,
    TRUCK_UNLOADED,
    UNRECORDED_REMOVAL,
    WHY_CHECK,
    WHY_COUNT,
    WHY_ERROR,
    WHY_GATE,
    WHY_OPENING,
    WHY_PICK,
    WHY_PLACE,
    WHY_RESENT,
    WRONG_SLOT,
)  # fmt: skip
from sim.ledger import (
    IN_TRANSIT,
    ISSUED,
    LOST,
    OVERDUE,
    QUALIFIED,
    QUARANTINED,
    RESERVED,
    SURPLUS,
    Ledger,
)
from sim.mishaps import Mishaps
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.people import People, Piece, Truck
from sim.retrieval import RETRIEVAL, BoxesView
from sim.robots import Fleet, Robot, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sim.clock import Clock
    from sim.counting import Counting
    from sim.faults import Faults
    from sim.flows import Comeback, Flows
    from sim.layout import Layout
    from sim.reads import TagReader
    from sim.robots import Life
    from sim.stock import Stock
    from sim.streams import Stream


_PENDING_SCRAP: Final = STATE_CODES["pending_scrap"]


class BoxParams(Params):
    """The turnover box."""

    meters_per_box: JsonInt = fact(
        15, "single-phase meters in a full box", unit="meters", origin="assumption", ge=1, le=60
    )
    height_m: JsonFloat = fact(0.20, "outer height", unit="m", origin="assumption", gt=0, le=5)
    tare_kg: JsonFloat = fact(2.0, "mass of an empty box", unit="kg", origin="assumption", ge=0, le=1000)


class StagingParams(Params):
    """Floor places between the trucks, the ports and the pick station."""

    boxes: JsonInt = fact(
        150,
        "places for received boxes; more go to the flat store",
        unit="boxes",
        origin="assumption",
        ge=0,
        le=1_000_000,
        live=True,
    )
    pick_buffer_boxes: JsonInt = fact(
        2,
        "boxes that may stand at the pick station",
        unit="boxes",
        origin="assumption",
        ge=1,
        le=10_000,
        live=True,
    )
    loose_rack_boxes: JsonInt = fact(
        3, "open boxes that may stay beside it", unit="boxes", origin="assumption", ge=0, le=10_000, live=True
    )


class PolicyParams(Params):
    """The choices of the store; `meterhouse list policies` says what each is."""

    allocation: str = fact("closest-open", "which slot takes a box", live=True)
    retrieval: str = fact("fefo", "which boxes leave", live=True)
    dispatch: str = fact("priority", "which work a free robot takes first", live=True)
    dwell: str = fact("charger", "where an idle robot waits", live=True)
    decide_at: Literal["receipt", "pickup"] = fact("receipt", "when the slot of a box is named", live=True)
    allocation_ms: JsonInt = fact(
        0,
        "how long one allocation decision takes in the simulated world",
        unit="ms",
        ge=0,
        le=3_600_000,
        live=True,
    )
    tolerance_days: JsonInt = fact(
        3,
        "boxes due within so many days of the first count as equally due",
        unit="days",
        origin="assumption",
        ge=0,
        le=3650,
        live=True,
    )
    zones: JsonInt = fact(3, "zones of class-based allocation", ge=2, le=20, live=True)
    zone_borders: list[JsonFloat] = fact(
        [],
        "shares of demand at which the classes end, zones - 1 of them, ascending; those of least expected"
        " time when not given (2/3 and 9/10 where all SKUs stay equally long)",
        live=True,
    )
    overflow: Literal["outward", "inward", "nearest"] = fact(
        "outward",
        "which zones are tried when a box's own is full: further out first, nearer in, the closest",
        live=True,
    )
    turnover: Literal["given", "computed", "online"] = fact(
        "given",
        "where the turnover of a SKU comes from: skus.share and skus.stay_days; shares and the stock of time"
        " 0; what the store has seen so far (for the rule turnover; zones stay as given)",
    )
    ageing_min: JsonFloat = fact(
        30.0,
        "waiting time that lifts a task by one priority class",
        unit="min",
        origin="assumption",
        gt=0,
        le=1_000_000,
        live=True,
    )


_HOW: Final = {
    WHY_PICK: AT_PICK,
    WHY_PLACE: AT_PLACE,
    WHY_COUNT: BY_COUNT,
    WHY_OPENING: OPENING,
    WHY_CHECK: AT_CHECK,
    WHY_GATE: GATE,
    WHY_RESENT: RESENT,
}
"""Who finds an error, by why a record is set."""


class Line:
    """One line of an order: meters of a SKU, and how many of them have no box yet."""

    __slots__ = ("meters", "missing", "short", "sku")

    def __init__(self, sku: int, meters: int) -> None:
        self.sku = sku
        self.meters = meters
        self.missing = meters
        self.short = False


class Order:
    """An order on its way through the store."""

    __slots__ = ("due", "handed", "lines", "meters", "number", "released", "station")

    def __init__(self, number: int, station: int, released: int, due: int, lines: list[Line]) -> None:
        self.number = number
        self.station = station
        self.released = released
        self.due = due
        self.lines = lines
        self.meters = sum(line.meters for line in lines)
        self.handed = 0


class Warehouse:
    """The store at work: what robots, people, orders and trucks call when something happens."""

    def __init__(
        self,
        env: "Clock",
        layout: "Layout",
        stock: "Stock",
        ledger: Ledger,
        fleet: Fleet,
        people: People,
        *,
        policy: PolicyParams,
        rule: Rule,
        staging: StagingParams,
        allocation_stream: "Stream",
        max_age_days: int,
        start_day: int,
        record: "Callable[[tuple[int, ...]], None]",
        mishaps: Mishaps,
        reader: "TagReader | None" = None,
        faults: "Faults | None" = None,
        by_hand: bool = False,
    ) -> None:
        self.env = env
        self.layout = layout
        self.mishaps = mishaps
        self.counting: Counting | None = None
        self.flows: Flows | None = None
        self.places_for_empties = 0
        """Places of the staging area that empty boxes take up."""
        self.missing: dict[int, int] = {}
        """Boxes that are not where they were recorded and have not been seen since, with the time."""
        self._on_hold: set[int] = set()
        self._put_on_hold: set[int] = set()
        self._reader = reader
        self._faults = faults
        self._by_hand = by_hand
        self._hands_from = layout.robots
        self._unconfirmed: dict[int, tuple[int, int]] = {}
        self.stock = stock
        self.ledger = ledger
        self.fleet = fleet
        self.people = people
        self.record = record
        self.staging = staging
        self.rule = rule
        self.orders: dict[int, Order] = {}
        self.on_box_out: Callable[[int], None] | None = None
        self.on_hand_over: Callable[[Order], None] | None = None
        fleet.floor = self
        people.desk = self
        self._retrieval = RETRIEVAL[policy.retrieval]
        self._boxes_view = BoxesView(ledger, ledger.ready, policy.tolerance_days)
        self._allocation_stream = allocation_stream
        self._at_pickup = policy.decide_at == "pickup"
        self._names_late = self._at_pickup
        self._allocation_ms = policy.allocation_ms
        self._allocator_free_at = 0
        self._max_age = max_age_days
        self._start_day = start_day
        self._inbound_ports = [port.place for port in layout.ports if port.inbound]
        self._in_free = {port.place: port.in_places for port in layout.ports if port.inbound}
        self._out_free = {port.place: port.out_places for port in layout.ports if port.outbound}
        self._out_waiting: dict[int, deque[Event]] = {port: deque() for port in self._out_free}
        self._staged: dict[int, deque[Task]] = {port: deque() for port in self._in_free}
        self._staging_used = 0
        self._unreceived = 0
        self._unplaced: dict[int, None] = {}
        self._port_of: dict[int, int] = {}
        self._dug: set[int] = set()
        self._kept_for_digs = 0
        self._on_in_place: set[int] = set()
        self._task_of: dict[int, Task] = {}
        self._short: dict[int, deque[tuple[Order, Line]]] = {}
        self._open_left: dict[int, int] = {}
        self._open_of: dict[int, list[int]] = {}
        self._picks: dict[int, deque[tuple[int, int]]] = {}
        self._rack: list[int] = []
        self._at_pick_station = 0
        self._loose_at_port: deque[int] = deque()
        self._height: list[int] = layout.z_mm.tolist()
        self._aisle_slots: list[list[int]] = [[] for _ in layout.mouths]
        for slot in range(layout.slots):
            self._aisle_slots[layout.aisle[slot]].append(slot)
        self._aisle_orders: dict[int, list[int]] = {}
        self._coming: dict[int, None] = {}
        self._asked = NONE
        ledger.index.next_retrieval = self._next_retrieval
        ledger.index.announced = self._announced
        ledger.bound = self._bound
        self._next_task = 0
        self._next_order = 0
        self._next_lot = 0

    def adopt(self, policy: PolicyParams, rule: Rule, staging: StagingParams) -> None:
        """Go on with other choices and places; what is decided, and what stands somewhere, stays so."""
        self.rule = rule
        self._retrieval = RETRIEVAL[policy.retrieval]
        self._boxes_view = BoxesView(self.ledger, self.ledger.ready, policy.tolerance_days)
        self._at_pickup = policy.decide_at == "pickup"
        self._names_late = self._names_late or self._at_pickup
        self._allocation_ms = policy.allocation_ms
        self.staging = staging
        while self._loose_at_port and self._at_pick_station < staging.pick_buffer_boxes:
            self._to_pick_station(self._loose_at_port[0])

    # -- coming in --------------------------------------------------------------------------------

    def new_lot(self, sku: int, verified_day: int, maker: int) -> int:
        """Announce a lot; gives its number."""
        lot = self._next_lot
        self._next_lot += 1
        self.record((self.env._now, LOT_CREATED, lot, sku, maker, verified_day))
        return lot

    def new_box(self, sku: int, lot: int, verified_day: int, mask: int, place: int, truck: int) -> int:
        """Bring a box into the model; gives its number."""
        box = self.stock.new_box(place, mask)
        if self.ledger.new_box(sku, lot, verified_day, mask, place) != box:
            raise RuntimeError("truth and records number boxes differently")
        self.record((self.env._now, BOX_CREATED, box, sku, lot, verified_day, mask.bit_count(), place, truck))
        return box

    def place_at_start(self, box: int, slot: int, column: int, tier: int, received_ms: int) -> None:
        """Set a box that the store holds at time 0 into its slot."""
        ledger, layout = self.ledger, self.layout
        ledger.reserve(box, slot, column)
        self.stock.put_at(box, slot, column, tier)
        ledger.stored(box, slot, column, tier)
        self.record((self.env._now, BOX_MOVED, box, layout.outside, slot, column, tier, NONE, NONE, slot))
        self._in_stock(box, received_ms)
        if ledger.is_full(box):
            if ledger.state[box] == QUALIFIED:
                ledger.add_ready(box)
        else:
            self._register_open(box)

    def rack_at_start(self, box: int, received_ms: int) -> None:
        """Set an open box that the store holds at time 0 on the loose rack."""
        self._relocate(box, self.layout.loose_rack, NONE, NONE)
        self._in_stock(box, received_ms)
        self._register_open(box)
        self._rack.append(box)

    def stage_at_start(self, box: int, received_ms: int) -> None:
        """Set a received box that the store holds at time 0, but not in a slot, down in staging."""
        self._in_stock(box, received_ms)
        if not self.ledger.is_full(box):
            self._register_open(box)
        elif self.ledger.state[box] == QUALIFIED:
            self.ledger.add_ready(box)
        self._port_of[box] = self._inbound_ports[0]
        self._to_floor(box)
        self._decide(box)

    def set_state_at_start(self, box: int, state: int) -> None:
        """Give a box of a stock list the asset state that the list states; it is kept out of use by it."""
        self.ledger.state[box] = state
        self.record((self.env._now, BOX_STATE, box, state))

    def _in_stock(self, box: int, received_ms: int) -> None:
        ledger = self.ledger
        ledger.received_ms[box] = received_ms
        if ledger.state[box] != IN_TRANSIT:
            return
        ledger.set_state(box, QUALIFIED)
        ledger.on_hand[ledger.sku[box]] += ledger.mask[box].bit_count()
        if ledger.verified_day[box] < self._today() - self._max_age:
            self._expire(box)

    def _today(self) -> int:
        return self._start_day + self.env._now // DAY_MS

    def truck_arrives(self, truck: int, loads: "Sequence[tuple[int, int, Sequence[int]]]") -> None:
        """A truck comes with loads of (SKU, maker, verification day of each box)."""
        now = self.env._now
        port = self._inbound_ports[truck % len(self._inbound_ports)]
        self.record((now, TRUCK_ARRIVED, truck, sum(len(days) for _, _, days in loads), port))
        boxes: deque[int] = deque()
        for sku, maker, days in loads:
            lot = self.new_lot(sku, min(days), maker)
            for day in days:
                box = self.new_box(sku, lot, day, self.ledger.full_mask[sku], self.layout.truck, truck)
                boxes.append(box)
                self._pack(box, by_hand=False)
        self._unreceived += len(boxes)
        self._coming.update(dict.fromkeys(boxes))
        self.people.post_truck(Truck(truck, port, boxes))

    def _pack(self, box: int, *, by_hand: bool) -> None:
        """A box was packed elsewhere, perhaps with a meter less than its list says."""
        params = self.mishaps.params
        rate = params.short_packed_by_hand if by_hand else params.short_packed
        u = self.mishaps.strikes("short_packed", box, rate)
        if u >= 0 and self.stock.mask[box].bit_count() > 1:
            meter = _one_bit(self.stock.mask[box], u)
            self.stock.lose_meters(box, meter)
            self.mishaps.made(SHORT_PACKED, box, meter, NONE)

    def received(self, box: int, truck: Truck, person: int) -> None:
        """The receiving scan of a box is done: it is in stock, and a slot is named for it."""
        ledger, now = self.ledger, self.env._now
        self._coming.pop(box, None)
        ledger.received_ms[box] = now
        ledger.set_state(box, QUALIFIED)
        sku = ledger.sku[box]
        ledger.on_order[sku] -= ledger.mask[box].bit_count()
        self.record((now, BOX_RECEIVED, box, truck.number, person))
        if self.mishaps.params.scale and self.mishaps.params.gate == "meters":
            self._record_meters(box, WHY_GATE)
        ledger.on_hand[sku] += ledger.mask[box].bit_count()
        truck.left -= 1
        self._unreceived -= 1
        if not truck.left:
            self.record((now, TRUCK_UNLOADED, truck.number))
        self._port_of[box] = truck.port
        if not ledger.is_full(box):
            self._register_open(box)
        if self._allocation_ms:
            self._to_floor(box)
            self.env.process(self._decide_later(box))
        else:
            self._decide(box)
        if ledger.is_full(box):
            self._make_ready(box)
        elif ledger.verified_day[box] < self._today() - self._max_age:
            self._expire(box)
        elif sku in self._short:
            self._serve_short(sku)
        if self.flows is not None:
            self.flows.received(box, truck)

    def receiving_extra_ms(self, box: int) -> int:
        """Time at the gate beyond the first pass: further passes, a look by hand, a box out of shape.

        The gate compares the tags that it has seen with the advice; a meter that is not there is never seen.
        """
        reader, mishaps = self._reader, self.mishaps
        bent_ms = 0 if self._faults is None else self._faults.misshaped_ms(box)
        if reader is None or not mishaps.params.scale:
            return bent_ms
        advised = self.ledger.mask[box]
        reads_meters = mishaps.params.gate == "meters"
        by_code, seen = False, 0
        for turn in range(reader.params.gate_passes):
            occasion = -2 - turn  # counts number theirs from 0
            by_code = by_code or reader.box_is_read(box, occasion)
            if reads_meters:
                seen |= reader.read(box, self.stock.mask[box], 1, occasion)
            if by_code and (seen == advised or not reads_meters):
                return bent_ms + round(1000 * turn * mishaps.params.gate_pass_s)
        passes = reader.params.gate_passes - 1
        return bent_ms + round(1000 * (passes * mishaps.params.gate_pass_s + mishaps.params.by_hand_s))

    def _decide_later(self, box: int) -> "Life":
        """The allocator decides one box after another, each in its own time."""
        now = self.env._now
        self._allocator_free_at = max(now, self._allocator_free_at) + self._allocation_ms
        yield Timeout(self.env, self._allocator_free_at - now)
        is_free = self.ledger.order[box] == NONE and box not in self._picks
        if is_free and self.stock.place[box] in (self.layout.staging, self.layout.overflow):
            self._decide(box)

    def _decide(self, box: int) -> None:
        """Name a slot for a received box and make its put-away known, or let it wait for room."""
        if self._at_pickup:
            self._announce(box, NONE, NONE)
            return
        view_of, skus = self.ledger.index.view_of, self.ledger.sku
        waiting = self._unplaced
        if waiting and any(view_of(skus[other]) is view_of(skus[box]) for other in waiting):
            slot, column = NONE, NONE
        else:
            slot, column = self._allocate(box)
        if slot == NONE:
            self._to_floor(box)
            self._unplaced[box] = None
        else:
            self._announce(box, slot, column)

    def _allocate(self, box: int) -> tuple[int, int]:
        """Ask the policy for a slot and reserve a place there; (NONE, NONE) when the store is full."""
        self._asked = box
        rule = self.rule
        if self._by_hand and self.mishaps.is_on:
            errs = self.mishaps.params.bad_choice_by_hand
            rule = rule if self.mishaps.strikes("bad_choice", box, errs) < 0 else POLICIES["random"]
        slot, column = self.ledger.allocate(rule, box, self.env._now, self._allocation_stream)
        if slot == NONE:
            self.record((self.env._now, ALLOCATION_FAILED, box, 0))
        return slot, column

    def _next_retrieval(self) -> int:
        """Where the box is recorded that a robot is to fetch next, or NONE."""
        tasks = (task for queue in self.fleet.waiting for task in queue)
        task = next((task for task in tasks if task.kind == ISSUE and not task.cancelled), None)
        return self.ledger.place[task.box] if task is not None else NONE

    def _announced(self) -> list[BoxView]:
        """The boxes that will ask for a slot after the one that asks now, as far as they are here."""
        tasks = chain(self.fleet.waiting[PUT_AWAY], *self._staged.values()) if self._names_late else ()
        waiting = (task.box for task in tasks if task.target == NONE and not task.cancelled)
        boxes = (box for box in chain(waiting, self._coming) if box != self._asked)
        return [self.ledger.seen(box, self.env._now) for box in islice(boxes, HORIZON)]

    def _announce(self, box: int, slot: int, column: int) -> None:
        """Make the put-away of a box a task, presented at the port when a place there is free."""
        port = self._port_of[box]
        task = self._new_task(PUT_AWAY, box, self.stock.place[box], slot, NONE)
        task.column = column
        if slot != NONE:
            self.record((self.env._now, SLOT_ALLOCATED, box, slot, column, task.number))
        if self._in_free[port] > 0 and not self._staged[port]:
            self._present(task, port)
        else:
            self._to_floor(box)
            self._staged[port].append(task)

    def _present(self, task: Task, port: int) -> None:
        self._in_free[port] -= 1
        self._on_in_place.add(task.box)
        self._relocate(task.box, port, NONE, NONE)
        task.source = port
        self.fleet.post(task)

    def _to_floor(self, box: int) -> None:
        """Set a received box down in staging, or in the flat store when staging is full."""
        layout = self.layout
        if self.stock.place[box] in (layout.staging, layout.overflow):
            return
        if self._staging_used + self.places_for_empties < self.staging.boxes:
            self._relocate(box, layout.staging, NONE, NONE)
        else:
            self.record((self.env._now, STAGING_OVERFLOW, box))
            self._relocate(box, layout.overflow, NONE, NONE)

    def _is_on_floor(self, box: int) -> bool:
        """Whether a box stands in staging or in the flat store, or beside the pick station."""
        layout = self.layout
        return self.stock.place[box] in (layout.staging, layout.overflow, layout.loose_rack)

    def _relocate(self, box: int, place: int, robot: int, task: int) -> None:
        """Move a box between places outside the racks, in truth and on record."""
        stock, layout = self.stock, self.layout
        before = stock.place[box]
        if before == layout.staging:
            self._staging_used -= 1
        if place == layout.staging:
            self._staging_used += 1
        stock.place[box] = place
        self.ledger.place[box] = place
        self.record((self.env._now, BOX_MOVED, box, before, place, NONE, NONE, robot, task, place))

    def _free_in_place(self, port: int) -> None:
        """A place for boxes on their way in is free: the next staged box moves up."""
        self._in_free[port] += 1
        staged = self._staged[port]
        while staged:
            task = staged.popleft()
            if not task.cancelled:
                self._present(task, port)
                return

    def _place_freed(self) -> None:
        """A place in the racks is free: boxes that found none are tried again."""
        full: set[SlotView] = set()
        for box in list(self._unplaced) if self._unplaced and self.ledger.index.has_open() else ():
            if not self._is_on_floor(box) or self.ledger.order[box] != NONE or box in self._picks:
                self._unplaced.pop(box, None)
                continue
            view = self.ledger.index.view_of(self.ledger.sku[box])
            if view not in full:
                slot, column = (NONE, NONE) if view.first_open() == NONE else self._allocate(box)
                if slot == NONE:
                    full.add(view)
            if view in full:
                if len(full) == len(self.ledger.index.views):
                    break
                continue
            del self._unplaced[box]
            if self.stock.place[box] == self.layout.loose_rack:
                self._return_open(box, slot, column)
            else:
                self._announce(box, slot, column)
        if self._names_late:
            self.fleet.nudge()

    def _new_task(self, kind: int, box: int, source: int, target: int, order: int) -> Task:
        task = Task(self._next_task, kind, box, source, target, self.env._now)
        task.order = order
        self._next_task += 1
        self._task_of[box] = task
        self.record((self.env._now, TASK_CREATED, task.number, kind, box, source, target, order))
        return task

    # -- orders -----------------------------------------------------------------------------------

    def release_order(
        self, station: int, due: int, lines: "Sequence[tuple[int, int]]", *, exogenous: bool
    ) -> Order:
        """Release an order of lines (SKU, meters) and reserve boxes for it."""
        now = self.env._now
        order = Order(self._next_order, station, now, due, [Line(sku, meters) for sku, meters in lines])
        self._next_order += 1
        self.orders[order.number] = order
        self.record((now, ORDER_RELEASED, order.number, station, due, int(exogenous)))
        for number, line in enumerate(order.lines):
            self.record((now, ORDER_LINE, order.number, number, line.sku, line.meters))
        for line in order.lines:
            if line.sku in self._short:
                self._wait_for_stock(order, line)
            else:
                self._reserve(order, line)
                if line.missing:
                    self._wait_for_stock(order, line)
        return order

    def _reserve(self, order: Order, line: Line) -> None:
        """Reserve whole boxes for a line, then loose meters for its remainder, as far as stock goes."""
        full = self.ledger.full[line.sku]
        while line.missing >= full:
            box = self._retrieval(line.sku, self._boxes_view)
            if box == NONE:
                if not self.mishaps.is_on:
                    return
                break  # boxes that came short have loose meters only
            line.missing -= full
            self._reserve_box(order, line, box)
        while line.missing:
            box = self._open_box(line.sku)
            if box == NONE:
                return
            meters = min(line.missing, self._open_left[box])
            line.missing -= meters
            self._reserve_meters(order, line, box, meters)

    def _wait_for_stock(self, order: Order, line: Line) -> None:
        self._short.setdefault(line.sku, deque()).append((order, line))
        line.short = True
        self.record((self.env._now, LINE_SHORT, order.number, order.lines.index(line), line.missing))

    def _serve_short(self, sku: int) -> None:
        """Stock has come: serve the lines that wait for the SKU, the first ones first."""
        waiting = self._short[sku]
        while waiting:
            order, line = waiting[0]
            self._reserve(order, line)
            if line.missing:
                return
            waiting.popleft()
        del self._short[sku]

    def _reserve_box(self, order: Order, line: Line, box: int) -> None:
        ledger = self.ledger
        ledger.ready.remove(box)
        ledger.set_state(box, RESERVED)
        ledger.order[box] = order.number
        full = ledger.full[line.sku]
        ledger.on_hand[line.sku] -= full
        self.record((self.env._now, BOX_RESERVED, box, order.number, order.lines.index(line), full))
        if ledger.column[box] != NONE:
            task = self._new_task(ISSUE, box, ledger.place[box], self.layout.outbound, order.number)
            self.fleet.post(task)
        else:
            self._withdraw(box)
            self.people.post_check(Piece(box, order.number, ledger.mask[box], loose=False))

    def _withdraw(self, box: int) -> None:
        """Call off the put-away or return of a box that is wanted where it stands."""
        if box in self._rack:
            self._rack.remove(box)
        task = self._task_of.pop(box, None)
        if task is None:
            return
        task.cancelled = True
        self.record((self.env._now, TASK_CANCELLED, task.number))
        if task.target != NONE:
            self.ledger.release(box, task.target, task.column, self.env._now)
            self.record((self.env._now, ALLOCATION_RELEASED, box, task.target, task.column))
            self._place_freed()

    def _open_box(self, sku: int) -> int:
        """The open box to pick from: one that is open already, else one that the retrieval rule names."""
        ledger = self.ledger
        best = NONE
        for box in self._open_of.get(sku, ()):
            if self._open_left[box] and ledger.state[box] == QUALIFIED and box not in self._unconfirmed:
                key = (ledger.verified_day[box], box)
                if best == NONE or key < (ledger.verified_day[best], best):
                    best = box
        if best != NONE:
            return best
        box = self._retrieval(sku, self._boxes_view)
        if box != NONE:
            ledger.ready.remove(box)
            self._register_open(box)
        return box

    def _register_open(self, box: int) -> None:
        self._open_left[box] = self.ledger.mask[box].bit_count()
        self._open_of.setdefault(self.ledger.sku[box], []).append(box)

    def _reserve_meters(self, order: Order, line: Line, box: int, meters: int) -> None:
        """Reserve loose meters of an open box and see that the box comes to the pick station."""
        ledger = self.ledger
        self._open_left[box] -= meters
        ledger.on_hand[line.sku] -= meters
        self.record((self.env._now, BOX_RESERVED, box, order.number, order.lines.index(line), meters))
        self._want_open(box, order.number, meters)

    def inspect(self, box: int) -> bool:
        """Have a box opened and its meters counted; False when it is promised or not to be had."""
        ledger = self.ledger
        if box not in self._open_left:
            if ledger.order[box] != NONE or ledger.column[box] == NONE or box in self._task_of:
                return False
            if box in ledger.ready:
                ledger.ready.remove(box)
            self._register_open(box)
        if box in self.missing or box in self._dug:
            return False
        self._want_open(box, NONE, 0)
        return True

    def may_be_opened(self, box: int) -> bool:
        """Whether a box stands in its slot, as recorded, and nobody is promised it or on the way to it."""
        is_promised = self.ledger.order[box] != NONE or box in self._picks
        return self._is_here(box) and not is_promised and box not in self._task_of

    def open_in_slot(self, box: int) -> None:
        """A person opens a box where it stands and counts its meters; damaged ones go to scrap."""
        ledger = self.ledger
        if box not in self._open_left:
            self._register_open(box)
        if box in ledger.ready:
            ledger.ready.remove(box)
        self._picks[box] = deque()
        self._open(box)
        del self._picks[box]
        if ledger.is_full(box):
            del self._open_left[box]
            self._open_of[ledger.sku[box]].remove(box)
            self._offer(box)
        elif not ledger.mask[box]:  # nothing is left in it: it is fetched to leave
            self._want_open(box, NONE, 0)

    def _want_open(self, box: int, order: int, meters: int) -> None:
        """Somebody wants meters of an open box (or to count them): it comes to the pick station."""
        ledger = self.ledger
        picks = self._picks.setdefault(box, deque())
        picks.append((order, meters))
        if len(picks) > 1:
            return
        task = self._task_of.get(box)
        if box in self._dug:
            return
        if ledger.column[box] != NONE:
            if task is None:
                self._fetch_open(box)
        elif task is None:
            self.people.post_pick(box)
        elif not task.assigned and task.kind != ISSUE:
            self._withdraw(box)
            self.people.post_pick(box)

    def _fetch_open(self, box: int) -> None:
        order, _ = self._picks[box][0]
        self.fleet.post(self._new_task(ISSUE, box, self.ledger.place[box], self.layout.outbound, order))

    # -- the pick station ---------------------------------------------------------------------------

    def next_pick(self, box: int) -> tuple[int, int]:
        """A person turns to an open box: it comes to the pick station. Gives the order and its meters."""
        if self.stock.place[box] != self.layout.pick_station:
            self._to_pick_station(box)
        if self.mishaps.is_on:
            self._open(box)
        return self._picks[box][0]

    def _to_pick_station(self, box: int) -> None:
        before = self.stock.place[box]
        if box in self._rack:
            self._rack.remove(box)
        if box in self._loose_at_port:
            self._loose_at_port.remove(box)
        self._unplaced.pop(box, None)
        self._relocate(box, self.layout.pick_station, NONE, NONE)
        self._at_pick_station += 1
        self._left_port(box, before)

    def _left_port(self, box: int, place: int) -> None:
        """A box has been carried away from a port by hand: its place there is free."""
        if box in self._on_in_place:
            self._on_in_place.remove(box)
            self._free_in_place(place)
        elif place in self._out_free:
            self._out_free[place] += 1
            if self._out_waiting[place]:
                self._out_waiting[place].popleft().succeed()

    def picked_loose(self, box: int, order: int, meters: int, person: int) -> None:
        """Loose meters are out of the box; they go to the check, the box to where it belongs."""
        stock, ledger = self.stock, self.ledger
        mask = _lowest_bits(stock.mask[box], meters)
        if mask:  # nothing, when the box was found empty
            stock.pick_meters(box, mask)
            ledger.mask[box] &= ~mask
            self.record((self.env._now, METERS_PICKED, box, order, mask, person))
            self.people.post_check(Piece(box, order, mask, loose=True))
        if self.mishaps.is_on:
            self._take_unrecorded(box)
        self._opened(box)

    def inspected(self, box: int, person: int) -> None:  # noqa: ARG002 - the facts of people tell
        """A person has opened a box and counted its meters."""
        self._open(box)
        if self.counting is not None:
            self.counting.inspected(box)
        self._opened(box)

    def meters_in(self, box: int) -> int:
        """Meters that whoever opens a box finds in it."""
        return self.stock.mask[box].bit_count()

    def rescued(self, task: Task, carrier: Robot) -> None:
        """A person takes a task's box off a robot that is out of order."""
        self._relocate(task.box, carrier.own, carrier.number, task.number)

    def _opened(self, box: int) -> None:
        """What was wanted of an open box is done: the next has it, or it goes where it belongs."""
        picks = self._picks[box]
        picks.popleft()
        if picks:
            self.people.post_pick(box)
            return
        del self._picks[box]
        self._at_pick_station -= 1
        self._put_by(box)
        if self._loose_at_port and self._at_pick_station < self.staging.pick_buffer_boxes:
            self._to_pick_station(self._loose_at_port[0])

    def _put_by(self, box: int) -> None:
        """An open box that nobody wants now: empty ones leave, others stay in the rack or go back."""
        ledger, layout = self.ledger, self.layout
        sku = ledger.sku[box]
        if ledger.is_full(box):  # it was only looked into: it is a whole box again
            del self._open_left[box]
            self._open_of[sku].remove(box)
        if not ledger.mask[box]:
            del self._open_left[box]
            self._open_of[sku].remove(box)
            self.record((self.env._now, BOX_EMPTIED, box))
            self.mishaps.left(box)
            self._relocate(box, layout.outside, NONE, NONE)
            if self.flows is not None:
                self.flows.emptied()
            if self.on_box_out is not None:
                self.on_box_out(sku)
            return
        self._relocate(box, layout.loose_rack, NONE, NONE)
        self._rack.append(box)
        if box not in self._open_left and ledger.state[box] == QUALIFIED:
            self._make_ready(box)
        if len(self._rack) > self.staging.loose_rack_boxes:
            back = next((b for b in self._rack if b not in self._picks and ledger.order[b] == NONE), NONE)
            if back != NONE:
                self._rack.remove(back)
                slot, column = self._allocate(back)
                if slot == NONE:
                    self._unplaced[back] = None
                else:
                    self._return_open(back, slot, column)

    def _return_open(self, box: int, slot: int, column: int) -> None:
        if box in self._rack:
            self._rack.remove(box)
        task = self._new_task(LOOSE_RETURN, box, self.layout.loose_rack, slot, NONE)
        task.column = column
        self.record((self.env._now, SLOT_ALLOCATED, box, slot, column, task.number))
        self.fleet.post(task)

    # -- going out --------------------------------------------------------------------------------

    def checked(self, piece: Piece) -> None:
        """A piece is checked and handed over."""
        box, number, mask, loose = piece
        stock, now = self.stock, self.env._now
        if self.flows is not None and not loose and self.ledger.order[box] == NONE:
            self.flows.out(box)
            return
        order = self.orders[number]
        if loose:
            meters = mask.bit_count()
            stock.issue_picked(meters)
            self.record((now, METERS_ISSUED, box, number, mask))
        else:
            before = stock.place[box]
            is_short = stock.mask[box] != mask
            if is_short and self.mishaps.uniform("check", box) < self.mishaps.params.check_finds:
                self._record_meters(box, WHY_CHECK)
                mask = stock.mask[box]
            self.ledger.set_state(box, ISSUED)
            issued = stock.mask[box]
            if self.flows is not None:
                self.flows.handed_over(box, number)
            stock.issue_box(box)
            self.ledger.mask[box] = 0
            meters = mask.bit_count()
            if issued:
                self.record((now, METERS_ISSUED, box, number, issued))
            if issued != mask:
                self.record((now, METERS_RECORDED, box, 0, WHY_CHECK))
            self.mishaps.left(box)
            if lacking := self._full(box) - meters:
                self._lack(order, box, lacking)
            self._relocate(box, self.layout.handed_over, NONE, NONE)
            self._left_port(box, before)
            self._port_of.pop(box, None)
            if self.on_box_out is not None:
                self.on_box_out(self.ledger.sku[box])
        order.handed += meters
        if order.handed == order.meters:
            del self.orders[number]
            self.record((now, ORDER_HANDED_OVER, number, order.meters, max(0, now - order.due)))
            if self.on_hand_over is not None:
                self.on_hand_over(order)

    # -- what robots call -------------------------------------------------------------------------

    def expecting_put_aways(self) -> bool:
        """Whether boxes are still on a truck or in the hands of those who unload it."""
        return self._unreceived > 0

    def locate(self, task: Task) -> bool:
        """Whether a task can be taken now; names the slot where that is left until pickup."""
        if task.kind == ISSUE:
            return self.ledger.column[task.box] != NONE
        if task.target == NONE:
            task.target, task.column = self._allocate(task.box)
            if task.target == NONE:
                return False
            self.record((self.env._now, SLOT_ALLOCATED, task.box, task.target, task.column, task.number))
        return True

    def assigned(self, task: Task) -> None:
        """A robot takes a task: a box on its way in is not offered to orders until it is stored."""
        if task.kind != ISSUE and task.box in self.ledger.ready:
            self.ledger.ready.remove(task.box)

    def unassigned(self, task: Task) -> None:
        """A task waits again; a box that was dug away meanwhile waits at its new slot."""
        box = task.box
        if task.kind == ISSUE:
            task.source = self.ledger.place[box]
        elif (
            task.kind != COUNT
            and (box in self._on_in_place or self.stock.place[box] == self.layout.loose_rack)
            and box not in self._open_left
            and self.ledger.state[box] == QUALIFIED
            and self.ledger.order[box] == NONE
        ):
            self._make_ready(box)

    def where(self, box: int) -> tuple[int, int, int]:
        """Recorded (place, column, tier) of a box."""
        ledger = self.ledger
        return ledger.place[box], ledger.column[box], ledger.tier[box]

    def landing(self, slot: int, column: int) -> int:
        """The tier on which a box set down in a tier column comes to stand, by the records."""
        return self.ledger.cells[slot][column].index(NONE)

    def picked(self, task: Task, robot: Robot) -> bool:
        """A robot has a task's box on board; False when the box is not where the records have it."""
        box, place = task.box, self.stock.place[task.box]
        if task.kind == ISSUE:
            if task.cancelled:  # a count has found meanwhile that the box is not there
                return False
            if self.mishaps.is_on and not self._is_here(box):
                self._not_here(task)
                return False
            self.stock.take(box, robot.own)
            self.ledger.taken(box, robot.own)
            self.ledger.left(box, self.env._now)
            self.record(
                (
                    self.env._now,
                    BOX_MOVED,
                    box,
                    place,
                    robot.own,
                    NONE,
                    NONE,
                    robot.number,
                    task.number,
                    robot.own,
                )
            )
            if self.counting is not None:
                self.counting.accessed(place)
            if self._unplaced or self._names_late:
                self._place_freed()
        else:
            self._relocate(box, robot.own, robot.number, task.number)
            if task.kind == PUT_AWAY:
                self._on_in_place.remove(box)
                self._free_in_place(place)
        return True

    def stored(self, task: Task, robot: Robot) -> bool:
        """A robot sets a task's box down in its slot, and the slot's scan confirms it.

        False when the place is taken: the task then names another one, or NONE when there is none.
        """
        box, slot, column = task.box, task.target, task.column
        ledger, now = self.ledger, self.env._now
        if self.mishaps.is_on:
            if not self._set_down(task, robot):
                return False
        else:
            tier = self.stock.put(box, slot, column)
            ledger.stored(box, slot, column, tier)
            self.record((now, BOX_MOVED, box, robot.own, slot, column, tier, robot.number, task.number, slot))
        self.record((now, TASK_DONE, task.number, robot.number))
        del self._task_of[box]
        if box not in self._unconfirmed:
            self._offer(box)
        if self.counting is not None:
            self.counting.accessed(slot)
        return True

    def _set_down(self, task: Task, robot: Robot) -> bool:
        """Set a box down where a place may be taken that the records call free, and boxes go astray."""
        box, slot, column = task.box, task.target, task.column
        stock, ledger, now, mishaps = self.stock, self.ledger, self.env._now, self.mishaps
        params = mishaps.params
        tier = ledger.cells[slot][column].index(NONE)
        other = stock.cells[slot][column][tier]
        if other != NONE:
            self.record((now, DISCREPANCY, slot, NONE, other, task.number))
            ledger.release(box, slot, column, now)
            self.record((now, ALLOCATION_RELEASED, box, slot, column))
            if self.counting is None or self.counting.corrects:
                self.see(other, slot, column, tier, WHY_PLACE)
            else:  # nobody corrects the records: the slot would be named for ever
                self.hold_slot(slot, True)
            self._notice(slot)
            task.target, task.column = self._allocate(box)
            if task.target != NONE:
                self.record((now, SLOT_ALLOCATED, box, task.target, task.column, task.number))
            return False
        by_hand = robot.number >= self._hands_from
        # In free stacks boxes have no places of their own: errors of place are left out there.
        may_stray = not stock.stacked
        rate = params.wrong_slot_by_hand if by_hand else params.wrong_slot
        u = mishaps.strikes("wrong_slot", box, rate) if may_stray else -1.0
        wrong = self._neighbour(slot, u) if u >= 0 else NONE
        lost = may_stray and wrong == NONE and mishaps.strikes("lost_message", box, params.lost_message) >= 0
        if wrong != NONE:
            at, at_tier = self._free_cell(wrong)
            stock.put_at(box, wrong, at, at_tier)
            ledger.stored(box, slot, column, tier)
            self.record((now, BOX_MOVED, box, robot.own, wrong, at, at_tier, robot.number, task.number, NONE))
            self.record((now, BOX_RECORDED, box, slot, column, tier, WHY_ERROR))
            mishaps.made(WRONG_SLOT, box, 0, wrong)
        else:
            stock.put_at(box, slot, column, tier)
            recorded = NONE if lost else slot
            self.record(
                (now, BOX_MOVED, box, robot.own, slot, column, tier, robot.number, task.number, recorded)
            )
            if lost:
                self._unconfirmed[box] = (slot, column)
                mishaps.made(LOST_MESSAGE, box, 0, slot)
                self.env.process(self._resend(box, tier))
            else:
                ledger.stored(box, slot, column, tier)
        u = mishaps.strikes("damage", box, params.damage)
        if u >= 0 and stock.mask[box]:
            meter = _one_bit(stock.mask[box], u)
            stock.damaged[box] = stock.damaged.get(box, 0) | meter
            self.record((now, METERS_DAMAGED, box, meter))
            mishaps.made(DAMAGE, box, meter, NONE)
        return True

    def _resend(self, box: int, tier: int) -> "Life":
        """A confirmation that never came is asked for again, unless the box was seen meanwhile."""
        place = self._unconfirmed[box]
        yield Timeout(self.env, round(self.mishaps.params.resend_h * 3_600_000))
        if self._unconfirmed.get(box) is not place:
            return
        slot, column = place
        there = self.ledger.cells[slot][column][tier]
        if there != NONE and there != box:
            self.miss(there, WHY_RESENT)
        del self._unconfirmed[box]
        self.ledger.stored(box, slot, column, tier)
        self.record((self.env._now, BOX_RECORDED, box, slot, column, tier, WHY_RESENT))
        self.mishaps.settled(box, RESENT, place=self._is_here(box), meters=False)
        self._offer(box)

    def brought_back(self, task: Task, robot: Robot, port: int) -> None:
        """A robot sets a box down at the port again for which no slot is left; it waits for room."""
        box = task.box
        self._relocate(box, port, robot.number, task.number)
        del self._task_of[box]
        self.record((self.env._now, TASK_CANCELLED, task.number))
        self._port_of.setdefault(box, port)
        if box in self._open_left:
            self._relocate(box, self.layout.loose_rack, NONE, NONE)
            if box in self._picks:
                self.people.post_pick(box)
                return
        else:
            self._to_floor(box)
            if self.ledger.state[box] == QUALIFIED:
                self._make_ready(box)
        if self.ledger.order[box] == NONE:
            self._unplaced[box] = None

    def _offer(self, box: int) -> None:
        """A box stands in its slot: an open one is fetched if it is wanted, others are there for orders."""
        ledger = self.ledger
        if box in self._open_left:
            if box in self._picks:
                self._fetch_open(box)
        elif ledger.state[box] == QUALIFIED:
            self._make_ready(box)

    def _make_ready(self, box: int) -> None:
        """Let orders have a box that nobody has claimed, unless its verification has become too old."""
        ledger = self.ledger
        if self.flows is not None and self.flows.keeps(box):
            return
        if ledger.verified_day[box] < self._today() - self._max_age:
            self._expire(box)
            return
        ledger.add_ready(box)
        if ledger.sku[box] in self._short:
            self._serve_short(ledger.sku[box])

    def out_place(self, port: int) -> Event | None:
        """None when the port can take a box, else the event of a place becoming free."""
        if self._out_free[port] > 0:
            return None
        event = Event(self.env)
        self._out_waiting[port].append(event)
        return event

    def out_given_up(self, port: int, place: Event) -> None:
        """Nobody waits for a place at the outbound port any more; one that is free goes to the next."""
        if place in self._out_waiting[port]:
            self._out_waiting[port].remove(place)
        elif self._out_waiting[port]:
            self._out_waiting[port].popleft().succeed()

    def delivered(self, task: Task, robot: Robot, port: int) -> None:
        """A robot has set a box down at the outbound port."""
        box = task.box
        self._out_free[port] -= 1
        self._relocate(box, port, robot.number, task.number)
        self.record((self.env._now, TASK_DONE, task.number, robot.number))
        del self._task_of[box]
        if box not in self._open_left:
            self.people.post_check(Piece(box, task.order, self.ledger.mask[box], loose=False))
            return
        self.people.post_pick(box)
        if self._at_pick_station < self.staging.pick_buffer_boxes:
            self._to_pick_station(box)
        else:
            self._loose_at_port.append(box)

    def visit(self, slot: int, service_ms: int) -> Task:
        """Have a robot call at a slot for some time (the motion of a count)."""
        task = Task(self._next_task, COUNT, NONE, slot, slot, self.env._now)
        task.service_ms = service_ms
        self._next_task += 1
        self.record((self.env._now, TASK_CREATED, task.number, COUNT, NONE, slot, slot, NONE))
        self.fleet.post(task)
        return task

    def visited(self, task: Task, robot: Robot) -> None:
        """A robot has called at a slot."""
        self.record((self.env._now, TASK_DONE, task.number, robot.number))
        if self.counting is not None:
            self.counting.visited(task, robot.number)

    # -- what is not as recorded ----------------------------------------------------------------------

    def _is_here(self, box: int) -> bool:
        """Whether a box stands where the records have it."""
        slot, column, tier = self.where(box)
        return column != NONE and self.stock.cells[slot][column][tier] == box

    def _not_here(self, task: Task) -> None:
        """A robot meets another box, or none, where a task's box should be: the order gets another one."""
        box = task.box
        slot, column, tier = self.where(box)
        found = self.stock.cells[slot][column][tier]
        self.record((self.env._now, DISCREPANCY, slot, box, found, task.number))
        self.miss(box, WHY_PICK)
        if found != NONE and (self.counting is None or self.counting.corrects):
            self.see(found, slot, column, tier, WHY_PICK)
        self._notice(slot)

    def _notice(self, slot: int) -> None:
        """Truth and records of a slot were seen to differ."""
        if self.counting is not None:
            self.counting.discrepancy(slot)

    def miss(self, box: int, why: int) -> None:
        """A box is not where it is recorded: it is put on hold, and who was promised it gets another one."""
        ledger, now = self.ledger, self.env._now
        if self._is_here(box):
            self.mishaps.made(MISCOUNT, box, 0, ledger.place[box])
        if box in ledger.ready:
            ledger.ready.remove(box)
        ledger.taken(box, self.layout.outside)
        ledger.left(box, now)
        self.record((now, BOX_RECORDED, box, self.layout.outside, NONE, NONE, why))
        self.missing[box] = now
        task = self._task_of.pop(box, None)
        if task is not None:
            task.cancelled = True
            self.record((now, TASK_CANCELLED, task.number))
        number = ledger.order[box]
        if number != NONE:
            ledger.order[box] = NONE
            self._set_state(box, QUARANTINED)
            self._on_hold.add(box)
            self.record((now, BOX_FREED, box, number, self._full(box)))
            self._lack(self.orders[number], box, self._full(box))
        else:
            self.hold(box)
        if box in self._picks:
            for number, meters in self._picks.pop(box):
                self._open_left[box] += meters
                if number != NONE:
                    self.record((now, BOX_FREED, box, number, meters))
                    self._lack(self.orders[number], box, meters)
                elif self.counting is not None:
                    self.counting.called_off(box)
        if self.counting is not None:
            self.counting.missed(box)
        self._place_freed()

    def _lack(self, order: Order, box: int, meters: int) -> None:
        """Meters that an order was promised are not there: others are reserved, or it waits for stock."""
        sku = self.ledger.sku[box]
        line = next(line for line in order.lines if line.sku == sku)
        line.missing += meters
        self.record((self.env._now, ORDER_SHORT, order.number, order.lines.index(line), meters, box))
        if any(waiting is line for _, waiting in self._short.get(sku, ())):
            return
        self._reserve(order, line)
        if line.missing:
            self._wait_for_stock(order, line)

    def see(self, box: int, slot: int, column: int, tier: int, why: int) -> bool:
        """A box is seen in a cell of a slot: the records follow. False when they have no room for it there.

        What is recorded in that very cell is missing; a put-away that no robot has taken makes room.
        """
        ledger, now = self.ledger, self.env._now
        if self.where(box) == (slot, column, tier):
            return True
        there = ledger.cells[slot][column][tier]
        if there != NONE:
            self.miss(there, why)
        expected = self._unconfirmed.pop(box, None)
        if expected is not None:
            ledger.release(box, *expected, now)
        is_ready = box in ledger.ready
        if is_ready:
            ledger.ready.remove(box)
        old = self.where(box)
        if old[1] != NONE:
            ledger.taken(box, self.layout.outside)
        has_room = ledger.column_room[slot][column] > 0 or self._make_room(slot, column)
        if has_room:
            ledger.found(box, slot, column, tier)
            self.record((now, BOX_RECORDED, box, slot, column, tier, why))
        elif expected is not None:
            ledger.reserve(box, *expected)
            self._unconfirmed[box] = expected
        elif old[1] != NONE:
            ledger.found(box, *old)
        if expected is not None or (box in self.missing and has_room):
            ledger.index.stays.arrived(ledger.sku[box], now, ledger.verified_day[box])
        if is_ready:
            ledger.add_ready(box)
        if has_room:
            self._follow(box, was_expected=expected is not None)
            self.mishaps.settled(box, _HOW[why], place=self._is_here(box), meters=False)
            if old[1] != NONE or expected is not None:
                self._place_freed()
        return has_room

    def _follow(self, box: int, *, was_expected: bool) -> None:
        """A box has a new place on record: whoever wants it goes there, and others may have it."""
        task = self._task_of.get(box)
        if task is not None:
            task.source = self.ledger.place[box]
        if box in self.missing:
            del self.missing[box]
            self._come_back(box)
        elif was_expected:
            self._offer(box)

    def _make_room(self, slot: int, column: int) -> bool:
        """Send a box elsewhere that has a place reserved in a tier column and that no robot has taken yet."""
        ledger, now = self.ledger, self.env._now
        for task in list(self._task_of.values()):
            if task.target != slot or task.column != column or task.assigned or task.kind == ISSUE:
                continue
            other, other_column = self._allocate(task.box)
            if other == NONE:
                return False
            ledger.release(task.box, slot, column, now)
            self.record((now, ALLOCATION_RELEASED, task.box, slot, column))
            task.target, task.column = other, other_column
            self.record((now, SLOT_ALLOCATED, task.box, other, other_column, task.number))
            return True
        return False

    def hold(self, box: int) -> bool:
        """Keep a qualified box that nobody is promised out of use; says whether it was one."""
        ledger = self.ledger
        if ledger.state[box] not in (QUALIFIED, OVERDUE) or ledger.order[box] != NONE:
            return False
        if box in ledger.ready:
            ledger.ready.remove(box)
        if ledger.state[box] == QUALIFIED:
            ledger.on_hand[ledger.sku[box]] -= self._free_meters(box)
        self._set_state(box, QUARANTINED)
        self._on_hold.add(box)
        return True

    def let_go(self, box: int) -> None:
        """End the hold on a box: it may be had again, unless its verification has become too old.

        A box that is in quarantine for another reason stays there.
        """
        ledger = self.ledger
        if ledger.state[box] != QUARANTINED or box in self.missing or box not in self._on_hold:
            return
        if box in self._put_on_hold:
            return
        self._on_hold.remove(box)
        if self.flows is not None and self.flows.keeps(box):
            return
        self._set_state(box, QUALIFIED)
        ledger.on_hand[ledger.sku[box]] += self._free_meters(box)
        if ledger.verified_day[box] < self._today() - self._max_age:
            self._expire(box)
        elif ledger.column[box] != NONE or self._is_on_floor(box):
            if box in self._open_left:
                if ledger.sku[box] in self._short:
                    self._serve_short(ledger.sku[box])
            elif box not in self._task_of and ledger.mask[box]:
                self._make_ready(box)

    def put_on_hold(self, box: int) -> bool:
        """Hold a box until it is taken off hold; says as `hold` whether that can be done."""
        if not self.hold(box):
            return False
        self._put_on_hold.add(box)
        return True

    def take_off_hold(self, box: int) -> None:
        """End the hold on a box that was put on hold; other reasons may keep it."""
        self._put_on_hold.discard(box)
        self.let_go(box)

    def is_put_on_hold(self, box: int) -> bool:
        """Whether somebody has put a box on hold, be it the only reason or not."""
        return box in self._put_on_hold

    def is_open(self, box: int) -> bool:
        """Whether a box is open on record: its meters are had one by one."""
        return box in self._open_left

    def has_task(self, box: int) -> bool:
        """Whether somebody is to move a box, or just does."""
        return box in self._task_of or box in self._dug

    def promised_to(self, box: int) -> int:
        """The order to which a box is promised, or some of its meters; NONE when nobody is."""
        picks = (order for order, _ in self._picks.get(box, ()))
        return next((order for order in (self.ledger.order[box], *picks) if order != NONE), NONE)

    def lots(self) -> int:
        """How many lots there are; they are numbered from 0."""
        return self._next_lot

    def _come_back(self, box: int) -> None:
        """A missing box was seen: what was written off is a surplus until it is approved."""
        if self.ledger.state[box] == LOST:
            self._set_state(box, SURPLUS)
        if self.ledger.state[box] != SURPLUS:
            self.let_go(box)
        elif self.counting is not None:
            self.counting.came_back(box)

    def write_off(self, box: int) -> bool:
        """Post a missing box as a loss; False when its state does not allow that."""
        if not self.ledger.may_become(box, LOST):
            return False
        self._set_state(box, LOST)
        return True

    def post_surplus(self, box: int) -> None:
        """A box that was written off and found again is posted as a surplus, and may be had."""
        if self.ledger.state[box] == SURPLUS:
            self._set_state(box, QUARANTINED)
            self.let_go(box)

    def _set_state(self, box: int, state: int) -> None:
        self.ledger.set_state(box, state)
        self.record((self.env._now, BOX_STATE, box, state))

    def _full(self, box: int) -> int:
        """Meters that a full box of this one's SKU holds."""
        return self.ledger.full[self.ledger.sku[box]]

    def _free_meters(self, box: int) -> int:
        """Meters on record in a box that nobody is promised."""
        return self._open_left.get(box, self.ledger.mask[box].bit_count())

    def hold_slot(self, slot: int, held: bool) -> None:
        """Keep put-aways out of a slot until a discrepancy there is cleared, or let it go."""
        self.ledger.index.block(slot, held, "hold")
        self.record((self.env._now, SLOT_HELD, slot, int(held)))
        if not held:
            self._place_freed()

    def _record_meters(self, box: int, why: int) -> None:
        """Somebody has counted the meters in a box: the records follow."""
        mask = self.stock.mask[box]
        if self.ledger.mask[box] != mask:
            self.ledger.mask[box] = mask
            self.record((self.env._now, METERS_RECORDED, box, mask, why))
            if self.counting is not None:
                self.counting.corrected(box)
            self.mishaps.settled(box, _HOW[why], place=False, meters=True)

    def _open(self, box: int) -> None:
        """Look into an open box: what is not there cannot be promised, and damaged meters go to scrap."""
        stock, ledger, now = self.stock, self.ledger, self.env._now
        damaged = stock.damaged.get(box, 0)
        if damaged:
            stock.scrap_meters(box, damaged)
            ledger.mask[box] &= ~damaged
            self.record((now, METERS_SCRAPPED, box, damaged, NONE))
            self.mishaps.noticed(box, OPENING)
        self._record_meters(box, WHY_OPENING)
        picks = self._picks[box]
        before = self._open_left[box]
        left = ledger.mask[box].bit_count() - sum(meters for _, meters in picks)
        self._open_left[box] = max(0, left)
        if ledger.state[box] == QUALIFIED:
            ledger.on_hand[ledger.sku[box]] += self._open_left[box] - before
        if left < 0:
            self._cut_picks(box, -left)

    def _cut_picks(self, box: int, meters: int) -> None:
        """Take promises of an open box back, the last ones first, and see that others serve them."""
        picks = self._picks[box]
        kept = list(picks)
        lacking: list[tuple[int, int]] = []
        for at in reversed(range(len(kept))):
            number, promised = kept[at]
            cut = min(meters, promised)
            if cut:
                meters -= cut
                kept[at] = number, promised - cut
                lacking.append((number, cut))
        # A promise of nothing stays only where it is the one that the person at the station works on.
        picks.clear()
        picks.extend(kept[:1] + [pick for pick in kept[1:] if pick[1] or pick[0] == NONE])
        for number, cut in lacking:
            self.record((self.env._now, BOX_FREED, box, number, cut))
            self._lack(self.orders[number], box, cut)

    def _take_unrecorded(self, box: int) -> None:
        """Whoever picks may take one meter more than is written down."""
        mask = self.stock.mask[box]
        u = self.mishaps.strikes("unrecorded_removal", box, self.mishaps.params.unrecorded_removal)
        if u >= 0 and mask:
            meter = _one_bit(mask, u)
            self.stock.lose_meters(box, meter)
            self.mishaps.made(UNRECORDED_REMOVAL, box, meter, NONE)

    def _neighbour(self, slot: int, u: float) -> int:
        """One of the nearest slots of the same row that have room in truth, or NONE when none has."""
        for ring in self.layout.rings(slot):
            near = [other for other in ring if self._free_cell(other)[0] != NONE]
            if near:
                return near[int(u * len(near))]
        return NONE

    def _free_cell(self, slot: int) -> tuple[int, int]:
        """The first free (tier column, tier) of a slot in truth, or (NONE, NONE)."""
        for column, cells in enumerate(self.stock.cells[slot]):
            if NONE in cells:
                return column, cells.index(NONE)
        return NONE, NONE

    # -- other flows ----------------------------------------------------------------------------------

    def boxes_to_recall(self) -> "Iterator[int]":
        """Every box on record in the store that is stock, or was until it was put on hold."""
        states = (QUALIFIED, RESERVED, OVERDUE, QUARANTINED)
        here = (box for box, state in enumerate(self.ledger.state) if state in states)
        return (box for box in here if not self.is_gone(box))

    def is_gone(self, box: int) -> bool:
        """Whether a box is not on record in the store (any more)."""
        layout = self.layout
        return self.ledger.place[box] in (layout.truck, layout.outside, layout.handed_over)

    def is_on_its_way_out(self, box: int) -> bool:
        """Whether a box that was sent out is on its way still: it has a task, or has left its slot."""
        return not self.is_gone(box) and (box in self._task_of or self.ledger.column[box] == NONE)

    def send_out(self, box: int) -> bool:
        """Have a box brought to the outbound port that no order wants; False when it cannot be had now."""
        ledger, layout = self.ledger, self.layout
        task = self._task_of.get(box)
        is_busy = task is not None and (task.assigned or task.kind == ISSUE)
        if is_busy or box in self._picks or box in self._dug or box in self._unconfirmed:
            return False
        if ledger.order[box] != NONE or self.is_gone(box):
            return False
        place = ledger.place[box]
        if ledger.column[box] != NONE:
            if self.stock.stacked and not self._is_within_reach(box):
                return False
            self._take_back(box)
            self.fleet.post(self._new_task(ISSUE, box, place, layout.outbound, NONE))
            return True
        # On the floor only when no decision on its slot is due that would call it off again.
        is_settled = task is not None or box in self._unplaced or place == layout.loose_rack
        if not is_settled or not (self._is_on_floor(box) or box in self._on_in_place):
            return False
        self._take_back(box)
        self._unplaced.pop(box, None)
        self._withdraw(box)
        self.people.post_check(Piece(box, NONE, ledger.mask[box], loose=False))
        return True

    def call_back(self, box: int) -> bool:
        """Call off the task of a box that was sent out when no robot has it and the box is out of reach."""
        task = self._task_of.get(box)
        stands = self.stock.stacked and self.ledger.column[box] != NONE
        if not stands or task is None or task.assigned or self._is_within_reach(box):
            return False
        del self._task_of[box]
        task.cancelled = True
        self.record((self.env._now, TASK_CANCELLED, task.number))
        return True

    def _is_within_reach(self, box: int) -> bool:
        """Whether what stands on a box has somewhere to go."""
        task = Task(self._next_task, ISSUE, box, self.ledger.place[box], self.layout.outbound, self.env._now)
        return self.can_dig(task, self.fleet.params.carry - 1)

    def _take_back(self, box: int) -> None:
        """Offer a box to nobody any more, neither whole nor meter by meter."""
        if box in self.ledger.ready:
            self.ledger.ready.remove(box)
        if box in self._open_left:
            del self._open_left[box]
            self._open_of[self.ledger.sku[box]].remove(box)
        if box in self._rack:
            self._rack.remove(box)

    def leave(self, box: int, cause: int, states: "Sequence[int]") -> None:
        """A checked box leaves the store without an order, through asset states to the last of these."""
        before = self.stock.place[box]
        for state in states:
            self._set_state(box, state)
        self.record((self.env._now, BOX_LEFT, box, cause))
        self._put_on_hold.discard(box)
        self.stock.issue_box(box)
        self.ledger.mask[box] = 0
        self.mishaps.left(box)
        self._relocate(box, self.layout.outside, NONE, NONE)
        self._left_port(box, before)

    def come_back(self, truck: int, boxes: "Sequence[Comeback]", *, by_hand: bool) -> None:
        """Boxes that left with their meters come back and are received; `by_hand`: crews packed them."""
        stock, ledger, now = self.stock, self.ledger, self.env._now
        port = self._inbound_ports[truck % len(self._inbound_ports)]
        self.record((now, TRUCK_ARRIVED, truck, len(boxes), port))
        for box, cause, order, away, day in boxes:
            stock.mask[box] = away.mask
            stock.meters_out -= away.mask.bit_count()
            if away.damaged:
                stock.damaged[box] = away.damaged
            ledger.mask[box] = away.recorded
            ledger.order[box] = NONE
            self.record((now, BOX_CAME_BACK, box, cause, order))
            if day != NONE:
                ledger.verified_day[box] = day
                self.record((now, BOX_VERIFIED, box, day))
            self._relocate(box, self.layout.truck, NONE, NONE)
            self._record_meters(box, WHY_GATE)  # the list that comes with it is written anew
            if by_hand:
                self._pack(box, by_hand=True)
            ledger.on_order[ledger.sku[box]] += ledger.mask[box].bit_count()
        self._unreceived += len(boxes)
        numbers = deque(back.box for back in boxes)
        self._coming.update(dict.fromkeys(numbers))
        self.people.post_truck(Truck(truck, port, numbers))

    def removed_come(self, sku: int, boxes: int, states: "Sequence[int]") -> list[int]:
        """Crews bring boxes of meters removed from customers, as a lot; they wait on the floor to be sorted.

        Their asset states are the first of `states`, and then the others.
        """
        ledger = self.ledger
        lot = self.new_lot(sku, self._today(), NONE)
        come = []
        for _ in range(boxes):
            box = self.new_box(sku, lot, self._today(), ledger.full_mask[sku], self.layout.truck, NONE)
            come.append(box)
            ledger.received_ms[box] = self.env._now
            self.set_state_at_start(box, states[0])
            for state in states[1:]:
                self._set_state(box, state)
            self._port_of[box] = self._inbound_ports[0]
            self._to_floor(box)
        return come

    def put_by_sorted(self, box: int, state: int) -> None:
        """A box of removed meters is sorted, and put away until it leaves."""
        self._set_state(box, state)
        self._decide(box)

    def kept_places(self) -> "Counter[int]":
        """Places kept for boxes on their way into the racks, by slot, on record; those of digs are not."""
        inward = (task for task in self._task_of.values() if task.kind in (PUT_AWAY, LOOSE_RETURN))
        kept = Counter(task.target for task in inward if task.target != NONE)
        kept.update(slot for slot, _ in self._unconfirmed.values())
        return kept

    def _bound(self) -> "Iterator[tuple[int, int]]":
        """The boxes on their way into the racks, with the slots in which a place is kept for them."""
        for box, task in self._task_of.items():
            if task.kind in (PUT_AWAY, LOOSE_RETURN) and task.target != NONE:
                yield box, task.target
        for box, (slot, _) in self._unconfirmed.items():
            yield box, slot

    def transfer(self, box: int, slot: int) -> bool:
        """Have a box go to another slot, by the ports; False when it is promised or the slot may not take it.

        The slot is named to it at the port: if it has been filled by then, the allocation rule decides.
        """
        ledger = self.ledger
        is_free = box in ledger.ready and ledger.column[box] != NONE and box not in self._task_of
        view = ledger.index.view_of(ledger.sku[box])
        if self.flows is None or not is_free or slot == ledger.place[box] or not view.is_open(slot):
            return False
        self.flows.transfer(box, slot)
        return True

    def turn_round(self, box: int, slot: int) -> None:
        """A box on its way to another slot is at the port: it is put away again."""
        ledger, now, before = self.ledger, self.env._now, self.stock.place[box]
        self._port_of[box] = self._inbound_ports[0]
        self._to_floor(box)
        self._left_port(box, before)
        if ledger.index.view_of(ledger.sku[box]).is_open(slot):
            column = next(column for column, room in enumerate(ledger.column_room[slot]) if room > 0)
            ledger.reserve(box, slot, column)
            ledger.index.stays.arrived(ledger.sku[box], now, ledger.verified_day[box])
            self._announce(box, slot, column)
        else:
            self._decide(box)
        if ledger.state[box] == QUALIFIED:
            self._make_ready(box)

    def scrap(self, box: int) -> bool:
        """Have a box leave to be scrapped with its meters; False when it is not to be had, or promised."""
        legal = (QUALIFIED, OVERDUE, QUARANTINED)
        if self.flows is None or box in self.missing or self.is_gone(box) or box in self._picks:
            return False
        if self.ledger.state[box] not in legal or self.ledger.order[box] != NONE:
            return False
        self.hold(box)
        self.keep_for_scrap(box)
        self.flows.want(box, SCRAPPED)
        return True

    def keep_for_scrap(self, box: int) -> None:
        """What is on hold is to be scrapped."""
        self._set_state(box, _PENDING_SCRAP)

    def recall(self, lot: int) -> int:
        """Recall a lot: no box of it may be had from now on, and all leave. Gives how many are on record.

        Orders that were promised some get others. Boxes that are missing leave when they are found, those
        under way to the store when they come. Meters that a person is just picking are handed over.
        """
        if self.flows is None or lot in self.flows.recalled:
            return 0
        self.flows.recalled.add(lot)
        boxes = [box for box in self.boxes_to_recall() if self.ledger.lot[box] == lot]
        self.record((self.env._now, LOT_RECALLED, lot, len(boxes)))
        on_their_way = self.withhold(boxes)
        for box in boxes:
            self.flows.want(box, RECALLED, is_coming=box in on_their_way)
        return len(boxes)

    def withhold(self, boxes: "Sequence[int]") -> set[int]:
        """Put boxes on hold, also those that are promised: orders get others in their place.

        Gives those that were promised whole: they are on their way to the outbound port, or there.
        """
        ledger = self.ledger
        promised = []
        for box in boxes:
            if ledger.state[box] == RESERVED:
                promised.append((box, ledger.order[box]))
                ledger.order[box] = NONE
                self._set_state(box, QUARANTINED)
                task = self._task_of.get(box)
                if task is not None:
                    task.order = NONE
            else:
                self.hold(box)
        for box, number in promised:
            self.record((self.env._now, BOX_FREED, box, number, self._full(box)))
            self._lack(self.orders[number], box, self._full(box))
        for box in boxes:
            if box in self._picks:
                self._unpromise(box)
        return {box for box, _ in promised}

    def _unpromise(self, box: int) -> None:
        """Take the promises of an open box back, but for meters that a person is just picking.

        Who turns to a box that nobody wants any more counts what is in it.
        """
        picks = self._picks[box]
        in_hand = self.stock.place[box] == self.layout.pick_station and box not in self.people.picks
        kept = [pick for k, pick in enumerate(picks) if pick[0] == NONE or (k == 0 and in_hand)]
        freed = [pick for k, pick in enumerate(picks) if pick[0] != NONE and not (k == 0 and in_hand)]
        picks.clear()
        picks.extend(kept or [(NONE, 0)])
        for number, meters in freed:
            self._open_left[box] += meters
            self.record((self.env._now, BOX_FREED, box, number, meters))
            self._lack(self.orders[number], box, meters)

    # -- digging ----------------------------------------------------------------------------------

    def blocker_of(self, task: Task) -> int:
        """The top box of the stack in which a task's box stands under others, or NONE."""
        box = task.box
        top = self.stock.top(self.stock.place[box], self.stock.column[box])
        return NONE if top == box else top

    def can_dig(self, task: Task, on_board: int) -> bool:
        """Whether every box that stands on a task's box has somewhere to go, on board or in another stack.

        A dig that cannot be finished would only move boxes to and fro.
        """
        ledger = self.ledger
        slot, column = ledger.place[task.box], ledger.column[task.box]
        above = [box for box in ledger.cells[slot][column][ledger.tier[task.box] + 1 :] if box != NONE]
        # Those that are dug last may stay on board; the others need places that take them.
        views = [ledger.index.view_of(ledger.sku[box]) for box in above[max(0, on_board) :]]
        return not views or all(
            self._has_room(set(group), sum(view in group for view in views), (slot, column), task)
            for group in [*({view} for view in views), set(views)]
        )

    def _has_room(self, views: set[SlotView], boxes: int, own: tuple[int, int], task: Task) -> bool:
        """Whether slots open to any of some views have so many places, outside of one tier column."""
        looked_at: set[int] = set()
        for slot in chain.from_iterable(view.open_slots() for view in views):
            if boxes <= 0:
                break
            if slot not in looked_at:
                looked_at.add(slot)
                for column, room in enumerate(self.ledger.column_room[slot]):
                    if room > 0 and (slot, column) != own and self._may_take(slot, column, task.number):
                        boxes -= room
        return boxes <= 0

    def dig_target(self, box: int, task: Task, on_board: bool) -> tuple[int, int] | None:
        """Where a blocker goes: another stack of the slot, (NONE, NONE) on board, the nearest open stack.

        Stacks in which wanted boxes stand come last, and those of older tasks under way not at all: the
        oldest task always gets on, and robots do not bury each other's boxes for ever. None when nothing is
        left. The place is reserved at once, before others are given it.
        """
        here, own = self.ledger.place[box], self.ledger.column[box]
        slot, column = NONE, NONE
        for before in (self._next_task, task.number):
            slot, column = here, self._open_stack(here, own, before)
            if column == NONE and on_board:
                return NONE, NONE
            if column == NONE:
                slot, column = self._nearest_stack(box, here, before)
            if column != NONE:
                break
        if column == NONE:
            return None
        self.ledger.reserve(box, slot, column)
        self._kept_for_digs += 1
        return slot, column

    def _open_stack(self, slot: int, other_than: int, before: int) -> int:
        """A stack of a slot with room and without a box of any task numbered below `before`, or NONE.

        Below the next number to be given counts every wanted box, below another one only tours under way.
        """
        for column, room in enumerate(self.ledger.column_room[slot]):
            if room > 0 and column != other_than and self._may_take(slot, column, before):
                return column
        return NONE

    def _may_take(self, slot: int, column: int, before: int) -> bool:
        """Whether no box of a task numbered below `before` stands in a stack (see `_open_stack`)."""
        all_count = before == self._next_task
        for box in self.ledger.cells[slot][column]:
            task = self._task_of.get(box)
            if task is not None and task.number < before and (task.assigned or all_count):
                return False
        return True

    def _nearest_stack(self, box: int, slot: int, before: int) -> tuple[int, int]:
        """The (slot, column) of an open stack that the robot reaches soonest from a slot, or NONE twice.

        Aisle by aisle, the nearest first, as long as one can be reached in time; of equal times the slot with
        the lower number.
        """
        is_open = self.ledger.index.view_of(self.ledger.sku[box]).is_open
        travel, height, mouths = self.fleet.travel, self._height, self.layout.mouths
        own = self.layout.aisle[slot]
        best, best_column, best_time = NONE, NONE, 0
        for aisle in self._aisles_from(own):
            if best != NONE and aisle != own and travel.drive_ms(slot, mouths[aisle]) > best_time:
                break
            for other in self._aisle_slots[aisle]:
                if other != slot and is_open(other):
                    time = travel.between_ms(slot, height[slot], other, height[other])
                    if best == NONE or (time, other) < (best_time, best):
                        column = self._open_stack(other, NONE, before)
                        if column != NONE:
                            best, best_column, best_time = other, column, time
        return best, best_column

    def _aisles_from(self, own: int) -> list[int]:
        """The aisles by their distance from one, which comes first."""
        found = self._aisle_orders.get(own)
        if found is None:
            y_mm, mouths = self.layout.y_mm, self.layout.mouths
            away = [abs(int(y_mm[mouth] - y_mm[mouths[own]])) for mouth in mouths]
            found = self._aisle_orders[own] = sorted(range(len(mouths)), key=lambda aisle: away[aisle])
        return found

    def dig_out(self, box: int, task: Task, robot: Robot, target: tuple[int, int]) -> None:
        """A blocker is on the fork; one that stays on board keeps the place that it leaves."""
        ledger = self.ledger
        slot, column = ledger.place[box], ledger.column[box]
        if box in ledger.ready:
            ledger.ready.remove(box)
        self._dug.add(box)
        self.stock.take(box, robot.own)
        ledger.taken(box, robot.own)
        if target[0] == NONE:
            ledger.reserve(box, slot, column)
            self._kept_for_digs += 1
        now = self.env._now
        self.record(
            (now, BOX_DUG, box, slot, slot if target[0] == NONE else target[0], robot.number, task.number)
        )
        self.record((now, BOX_MOVED, box, slot, robot.own, NONE, NONE, robot.number, task.number, robot.own))
        if target[0] != NONE:
            self._place_freed()

    def dig_in(self, box: int, task: Task, robot: Robot, target: tuple[int, int]) -> None:
        """A blocker stands at its new place, and may be had again."""
        slot, column = target
        ledger = self.ledger
        tier = self.stock.put(box, slot, column)
        ledger.stored(box, slot, column, tier)
        now = self.env._now
        self.record((now, BOX_MOVED, box, robot.own, slot, column, tier, robot.number, task.number, slot))
        self._dug.remove(box)
        self._kept_for_digs -= 1
        if box in self._task_of:
            self._task_of[box].source = slot
        else:
            self._offer(box)

    def dig_given_up(self, box: int, target: tuple[int, int]) -> None:
        """A blocker is not where it was when its dig began: the place that it was to have is free again."""
        if target[0] != NONE:
            self.ledger.give_back(box, *target)
            self._kept_for_digs -= 1
            self._place_freed()

    # -- the calendar and the keeper ----------------------------------------------------------------

    def expire(self, today: int) -> None:
        """Withdraw every box whose verification is too old on a day (an ordinal).

        Age is judged when a box is reserved: one that is reserved on its last day is still handed over.
        """
        limit = today - self._max_age
        ready = self.ledger.ready
        for sku in range(len(self.ledger.on_hand)):
            while (days := ready.days(sku)) and days[0] < limit:
                box = next(self._boxes_view.boxes(sku))
                ready.remove(box)
                self._expire(box)
        for box, left in self._open_left.items():
            if left and self.ledger.verified_day[box] < limit and self.ledger.state[box] == QUALIFIED:
                self._expire(box)

    def _expire(self, box: int) -> None:
        ledger = self.ledger
        left = self._open_left.get(box, ledger.mask[box].bit_count())
        ledger.set_state(box, OVERDUE)
        ledger.on_hand[ledger.sku[box]] -= left
        self.record((self.env._now, BOX_EXPIRED, box))

    def block_slot(self, slot: int, blocked: bool) -> None:
        """Take a slot out of use for allocation, or put it back."""
        self.ledger.index.block(slot, blocked)
        self.record((self.env._now, SLOT_BLOCKED, slot, int(blocked)))
        if not blocked:
            self._place_freed()

    # -- invariants -------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise unless every invariant of the truth, the records and the promises between them holds."""
        self.stock.check()
        self.ledger.check()
        unknown = self.mishaps.unknown
        wrong = [box for box in self.ledger.differences(self.stock) if box not in unknown]
        if wrong:
            raise RuntimeError(f"boxes {wrong[:5]} are not as recorded, and no error explains it")
        staged = sum(1 for place in self.stock.place if place == self.layout.staging)
        if staged != self._staging_used:
            raise RuntimeError(f"{staged} boxes stand in staging, {self._staging_used} are counted")
        inward = (task for task in self._task_of.values() if task.kind in (PUT_AWAY, LOOSE_RETURN))
        kept = self._kept_for_digs + sum(1 for task in inward if task.target != NONE) + len(self._unconfirmed)
        taken = sum(1 for column in self.ledger.column if column != NONE)
        open_places = self.ledger.index.open_places
        if taken + kept + open_places != self.layout.boxes:
            raise RuntimeError(
                f"{self.layout.boxes} places are not {taken} taken + {kept} reserved + {open_places} open"
            )
        for box, left in self._open_left.items():
            promised = sum(meters for _, meters in self._picks.get(box, ()))
            if self.ledger.mask[box].bit_count() != left + promised:
                raise RuntimeError(f"open box {box}: {left} free + {promised} promised are not its meters")

    def check_cheaply(self) -> None:
        """Raise unless the totals hold: places taken, reserved and open; meters in, here and out."""
        index, stock = self.ledger.index, self.stock
        if min(index.room, default=0) < 0:
            raise RuntimeError(f"slot {index.room.index(min(index.room))} has fewer places than boxes")
        if stock.meters_picked < 0 or stock.meters_out + stock.meters_picked > stock.meters_in:
            raise RuntimeError(f"{stock.meters_in} meters came in, {stock.meters_out} went out")


def _one_bit(mask: int, u: float) -> int:
    """One of the set bits of a mask, chosen by a uniform."""
    for _ in range(int(u * mask.bit_count())):
        mask &= mask - 1
    return mask & -mask


def _lowest_bits(mask: int, count: int) -> int:
    """The lowest `count` set bits of a mask."""
    kept = 0
    for _ in range(count):
        bit = mask & -mask
        kept |= bit
        mask ^= bit
    return kept
