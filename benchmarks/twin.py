"""The reference store as somebody writes it who knows SimPy and its documentation: the twin of the product.

Objects for slots, boxes and meters, orders and jobs; a process for each order, box, pick and check. People
are a `PriorityResource`, places at the ports `Resource`s, free places of the racks a `Container`, the robot's
jobs a `FilterStore`. A row of the log is a dict; all are packed and hashed at the end as the product does it.
It covers what a run of `luoyang` does: trucks, unloading and scan, allocation by `min` over the open slots,
put-away and retrieval in tours of four boxes with the same kinematics, the pick station, hand-over, (R,S)
supply, the battery, and records beside the truth.

It is given the same stock, orders and trucks as a run of the product and must come to the same (`told`). Left
out is what the reference run switches off (errors, faults, counts, returns) and what never happens in it
(orders from staging, put-aways called off): the product asks for these and pays for it.
"""

import hashlib
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from itertools import pairwise, permutations
from typing import Any, NamedTuple

import simpy

from sim.calendar import DAY_MS, WEEKDAYS, clock_ms
from sim.facts import ACTIVITIES, KINDS, TASK_CLASSES, WORK
from sim.scenario import Scenario
from sim.simulation import Simulation

Steps = Generator[simpy.Event, Any, Any]

NONE = -1
CHECK, PICK, UNLOAD = range(3)
"""Kinds of people's work by urgency; `SHIFT` keeps people at home."""
SHIFT = -1
MOST_TRIED = 6
"""Tours of up to so many stops are made in the best order of all; in the reference run all are."""


class Given(NamedTuple):
    """What a run of the product was given, read from its facts."""

    layout: Any
    first_lots: list[dict[str, int]]
    boxes: list[dict[str, int]]
    orders: list[dict[str, int]]
    called_off: list[dict[str, int]]
    lots: dict[int, list[tuple[int, int, list[int]]]]


class Told(NamedTuple):
    """What a run has come to, for comparison: totals, means in seconds, rows of each kind."""

    boxes_in: int
    boxes_out: int
    boxes_emptied: int
    orders: int
    meters: int
    late: int
    order_cycle_s: float
    put_away_s: float
    robot_travel_s: float
    robot_busy_s: float
    box_moves: int
    rows: Counter[str]


def given(scenario: Scenario) -> Given:
    """The stock at time 0, the orders, and the trucks with what is on them, of a run of the product."""
    simulation = Simulation(scenario)
    at_start = len(simulation.trace)
    simulation.advance(scenario.time.days * DAY_MS)
    facts = [
        dict(zip(("time", "kind", *kind.fields), row, strict=True))
        for row in simulation.trace.rows()
        for kind in (_KIND[row[1]],)
    ]
    by_kind = defaultdict(list)
    for number, fact in enumerate(facts):
        fact["at_start"] = number < at_start
        by_kind[_KIND[fact["kind"]].name].append(fact)
    stands = {fact["box"]: fact for fact in by_kind["box_moved"] if fact["at_start"]}
    lot_of = {fact["lot"]: fact for fact in by_kind["lot_created"]}
    boxes, lots = [], defaultdict(dict)
    for fact in by_kind["box_created"]:
        if fact["at_start"]:
            there = stands[fact["box"]]
            boxes.append({**fact, **{key: there[key] for key in ("to_place", "column", "tier")}})
        else:
            load = lots[fact["truck"]].setdefault(
                fact["lot"], (fact["sku"], lot_of[fact["lot"]]["maker"], [])
            )
            load[2].append(fact["verified_day"])
    lines = {fact["order"]: fact for fact in by_kind["order_line"]}
    orders = [{**fact, **lines[fact["order"]], "time": fact["time"]} for fact in by_kind["order_released"]]
    return Given(
        simulation.layout, [fact for fact in lot_of.values() if fact["at_start"]], boxes, orders,
        by_kind["truck_called_off"], {truck: list(loads.values()) for truck, loads in lots.items()},
    )  # fmt: skip


_KIND = {kind.number: kind for kind in KINDS.values()}


# --- things ------------------------------------------------------------------------------------------------


class Place:
    """Somewhere in the store where a box or a robot may be."""

    def __init__(self, number: int, layout: Any) -> None:
        self.number = number
        self.x = int(layout.x_mm[number])
        self.y = int(layout.y_mm[number])
        self.z = int(layout.z_mm[number])
        self.aisle = layout.aisle[number]


class Slot(Place):
    """A slot of the racks: tier columns of boxes, or None where a tier is free."""

    def __init__(self, number: int, layout: Any) -> None:
        super().__init__(number, layout)
        self.position = (int(layout.column[number]), int(layout.level[number]), int(layout.row[number]))
        self.cells: list[list[Box | None]] = [[None] * height for height in layout.stacks[number]]
        self.in_ms = 0
        self.out_ms = 0


class Meter:
    """One meter, with its asset state."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = "in_transit"


class Box:
    """A turnover box with its meters, and where it truly is."""

    def __init__(
        self, env: simpy.Environment, number: int, sku: int, verified_day: int, meters: list[Meter]
    ) -> None:
        self.number = number
        self.sku = sku
        self.verified_day = verified_day
        self.meters = meters
        self.place: Place | None = None
        self.column = NONE
        self.tier = NONE
        self.unpromised = 0
        self.in_use = simpy.Resource(env, capacity=1)
        self.station: Any = None
        self.received = 0


class Record:
    """What the ledger knows of a box."""

    def __init__(self, box: Box, state: str) -> None:
        self.sku = box.sku
        self.verified_day = box.verified_day
        self.state = state
        self.meters = len(box.meters)
        self.place: Place | None = None
        self.column = NONE
        self.tier = NONE


class Ledger:
    """The records: where boxes are believed to be, what is reserved, which boxes orders may have."""

    def __init__(self, slots: list[Slot], skus: int) -> None:
        self.records: dict[Box, Record] = {}
        self.room = {slot: [len(column) for column in slot.cells] for slot in slots}
        self.cells = {slot: [[False] * len(column) for column in slot.cells] for slot in slots}
        self.ready: list[list[Box]] = [[] for _ in range(skus)]
        self.open: list[list[Box]] = [[] for _ in range(skus)]
        self.on_hand = [0] * skus
        self.on_order = [0] * skus

    def free(self, slot: Slot) -> int:
        """Places of a slot that are neither taken nor reserved."""
        return sum(self.room[slot])

    def reserve(self, slot: Slot) -> int:
        """Reserve a place in the first tier column with room; gives the column."""
        column = next(column for column, room in enumerate(self.room[slot]) if room > 0)
        self.room[slot][column] -= 1
        return column

    def moved(self, box: Box, place: Place, column: int = NONE, tier: int = NONE) -> None:
        """Record a box at another place, on the confirmation of whoever moved it."""
        record = self.records[box]
        if isinstance(record.place, Slot):
            self.cells[record.place][record.column][record.tier] = False
            self.room[record.place][record.column] += 1
        record.place, record.column, record.tier = place, column, tier
        if isinstance(place, Slot):
            self.cells[place][column][tier] = True


class Order:
    """An order of meters of one SKU."""

    def __init__(self, number: int, sku: int, meters: int, due: int) -> None:
        self.number = number
        self.sku = sku
        self.meters = meters
        self.due = due


class Job:
    """A box to bring from a place to a place."""

    def __init__(
        self, env: simpy.Environment, number: int, kind: str, box: Box, target: Place, column: int, order: int
    ) -> None:
        self.number = number
        self.kind = kind
        self.box = box
        self.target = target
        self.column = column
        self.order = order
        self.created = int(env.now)
        self.picked = env.event()
        self.done = env.event()
        self.place: Any = None


Stop = tuple[Place, bool]
"""A stop of a tour: where, and whether boxes are put away there."""


class Truck:
    """A truck with boxes that are still to be scanned."""

    def __init__(self, number: int, boxes: list[Box]) -> None:
        self.number = number
        self.boxes = boxes
        self.left = len(boxes)


# --- the robot ---------------------------------------------------------------------------------------------


class Robot:
    """A case-handling robot: takes jobs from the queue and makes tours of up to four boxes each way."""

    def __init__(self, store: "Twin", number: int, own: Place) -> None:
        self.store = store
        self.env = store.env
        self.number = number
        self.own = own
        self.place: Place = store.inbound
        self.z = 0
        self.fork: Box | None = None
        params = store.robots
        self.full_ms = params.run_h * 3_600_000
        self.battery_ms = self.full_ms
        self.charging = params.run_h / params.charge_h
        self.log_stretch("idle", self.place, 0, NONE, NONE, NONE)
        self.process = self.env.process(self.live())

    def log_stretch(self, activity: str, to: Place, z: int, arrive: int, end: int, task: int) -> None:
        """Log the beginning of a stretch of time."""
        self.store.log(
            "robot_stretch", robot=self.number, activity=ACTIVITIES.index(activity),
            from_place=self.place.number, to_place=to.number, height_mm=z, arrive=arrive, end=end, task=task,
        )  # fmt: skip

    def log_battery(self) -> None:
        """Log the state of charge."""
        self.store.log("battery", robot=self.number, permille=round(1000 * self.battery_ms / self.full_ms))

    def live(self) -> Steps:
        """Work while there are jobs, else wait at the charger."""
        jobs, charger = self.store.jobs, self.store.charger
        while True:
            if self.battery_ms < self.store.robots.charge_below * self.full_ms:
                yield from self.charge()
            if not jobs.items and self.place is not charger:
                yield from self.go(charger, charger.z, 0, "park", NONE)
                continue
            first = jobs.get()
            if not first.triggered:
                began = self.env.now
                self.log_battery()
                self.log_stretch("idle", self.place, self.z, NONE, NONE, NONE)
                job = yield first
                rested = self.env.now - began
                self.battery_ms = min(self.full_ms, self.battery_ms + rested * self.charging)
                self.log_battery()
            else:
                job = yield first
            yield from self.tour((yield from self.gather(job)))

    def gather(self, job: Job) -> Steps:
        """Take more jobs for a tour, up to four boxes in and four out; wait a little for a fuller one."""
        jobs, carry = self.store.jobs, self.store.robots.carry
        tour = [job]
        while True:
            for inward in (True, False):
                while sum((j.kind != "issue") == inward for j in tour) < carry:
                    more = jobs.get(lambda j, inward=inward: (j.kind != "issue") == inward)
                    if not more.triggered:
                        more.cancel()
                        break
                    tour.append((yield more))
            wait = min(j.created for j in tour) + self.store.max_wait - self.env.now
            is_full = len(tour) >= carry or any(j.kind == "issue" for j in tour)
            if is_full or not self.store.unreceived or wait <= 0:
                return tour
            self.log_stretch("wait_tour", self.place, self.z, NONE, NONE, NONE)
            more = jobs.get()
            yield more | self.env.timeout(wait)
            if more.triggered:
                tour.append(more.value)
            else:
                more.cancel()

    def tour(self, jobs: list[Job]) -> Steps:
        """Fetch boxes at the ports, set down and take boxes at the slots, and deliver."""
        store = self.store
        number = next(store.tour_numbers)
        inward = [job for job in jobs if job.kind != "issue"]
        outward = [job for job in jobs if job.kind == "issue"]
        store.log(
            "tour_started", robot=self.number, tour=number, put_aways=len(inward), retrievals=len(outward)
        )
        for job in inward + outward:
            store.log("task_assigned", task=job.number, robot=self.number, tour=number)
        for port in (store.inbound, store.outbound):
            for job in inward:
                if port is (store.outbound if job.kind == "loose_return" else store.inbound):
                    yield from self.go(port, port.z, self.pick_ms(), "work", job.number)
                    self.take(job)
        stops: dict[Stop, list[Job]] = {}
        for job in inward:
            stops.setdefault((job.target, True), []).append(job)
        for job in outward:
            stops.setdefault((store.ledger.records[job.box].place, False), []).append(job)
        for place, is_put_away in self.shortest(list(stops), stops, len(inward), bool(outward)):
            for job in stops[place, is_put_away]:
                if is_put_away:
                    yield from self.set_down(job)
                else:
                    z = place.z + store.tier_mm * store.ledger.records[job.box].tier
                    yield from self.go(place, z, self.pick_ms(), "work", job.number)
                    self.take(job)
        for job in outward:
            yield from self.deliver(job)
        store.log("tour_ended", robot=self.number, tour=number)

    def shortest(
        self, stops: list[Stop], jobs: dict[Stop, list[Job]], on_board: int, delivers: bool
    ) -> Sequence[Stop]:
        """The shortest way by all stops, and to the outbound port, that never carries too much."""
        store, carry = self.store, self.store.robots.carry

        def fits(way: Sequence[Stop]) -> bool:
            load = on_board
            for stop in way:
                load += -len(jobs[stop]) if stop[1] else len(jobs[stop])
                if load > carry:
                    return False
            return True

        def length(way: Sequence[Stop]) -> int:
            places = [self.place, *(place for place, _ in way), *([store.outbound] if delivers else [])]
            return sum(store.travel_ms(a, a.z, b, b.z) for a, b in pairwise(places))

        if len(stops) <= MOST_TRIED:
            return min(filter(fits, permutations(stops)), key=length)
        stores, takes = [stop for stop in stops if stop[1]], [stop for stop in stops if not stop[1]]
        return stores + takes

    def pick_ms(self) -> int:
        """Time to take a box; one on the fork first goes to the rack on board."""
        params = self.store.robots
        return round(1000 * (params.pick_s + (params.transfer_s if self.fork else 0)))

    def place_ms(self, box: Box) -> int:
        """Time to set a box down, with its way from the rack on board."""
        params = self.store.robots
        transfers = 0 if self.fork is box else 2 if self.fork else 1
        return round(1000 * (params.place_s + transfers * params.transfer_s))

    def take(self, job: Job) -> None:
        """Have a job's box on board."""
        self.store.move(job.box, self.own, robot=self.number, task=job.number)
        self.fork = job.box
        job.picked.succeed()

    def set_down(self, job: Job) -> Steps:
        """Store a box in its slot."""
        store, slot = self.store, job.target
        tier = store.ledger.cells[slot][job.column].index(False)
        yield from self.go(slot, slot.z + store.tier_mm * tier, self.place_ms(job.box), "work", job.number)
        self.fork = None
        tier = slot.cells[job.column].index(None)
        store.move(job.box, slot, job.column, tier, robot=self.number, task=job.number)
        store.log("task_done", task=job.number, robot=self.number)
        job.done.succeed()

    def deliver(self, job: Job) -> Steps:
        """Set a box down at the outbound port when there is room."""
        store, port = self.store, self.store.outbound
        if self.place is not port:
            yield from self.go(port, port.z, 0, "work", job.number)
        job.place = store.out_places.request()
        if not job.place.triggered:
            self.log_stretch("wait_port", self.place, self.z, NONE, NONE, job.number)
        yield job.place
        yield from self.go(port, port.z, self.place_ms(job.box), "work", job.number)
        self.fork = None
        store.move(job.box, port, robot=self.number, task=job.number)
        store.log("task_done", task=job.number, robot=self.number)
        job.done.succeed()

    def go(self, place: Place, z: int, handle: int, activity: str, task: int) -> Steps:
        """Drive, lift, and handle."""
        travel = self.store.travel_ms(self.place, self.z, place, z)
        if place is not self.place:
            handle += round(1000 * self.store.robots.positioning_s)
        arrive = int(self.env.now) + travel
        self.log_stretch(activity, place, z, arrive, arrive + handle, task)
        self.battery_ms -= travel + handle
        yield self.env.timeout(travel)
        if handle:
            yield self.env.timeout(handle)
        self.place = place
        self.z = z

    def charge(self) -> Steps:
        """Drive to the charger and charge."""
        charger, goal = self.store.charger, self.store.robots.resume_above * self.full_ms
        yield from self.go(charger, charger.z, 0, "go_charge", NONE)
        needed = max(0, math.ceil((goal - self.battery_ms) / self.charging))
        now = int(self.env.now)
        self.log_battery()
        self.log_stretch("charge", charger, self.z, now, now + needed, NONE)
        yield self.env.timeout(needed)
        self.battery_ms = max(self.battery_ms, goal)
        self.log_battery()


# --- the store ---------------------------------------------------------------------------------------------


class Twin:
    """The whole store; `run` it, then ask for its `digest` and what it `told`."""

    def __init__(self, scenario: Scenario, inputs: Given) -> None:
        self.env = simpy.Environment()
        self.rows: list[dict[str, Any]] = []
        self.scenario = scenario
        self.robots = scenario.robots
        self.layout = layout = inputs.layout
        self.max_wait = round(scenario.tour.max_wait_s * 1000)
        self.tier_mm = layout.tier_mm
        self.per_box = scenario.boxes.meters_per_box
        self.slots = sorted((Slot(k, layout) for k in range(layout.slots)), key=lambda slot: slot.position)
        others = {k: Place(k, layout) for k in range(layout.slots, layout.places)}
        self.places: dict[int, Place] = {**{slot.number: slot for slot in self.slots}, **others}
        self.inbound, self.outbound = others[layout.inbound], others[layout.outbound]
        self.charger = others[layout.chargers[0]]
        for slot in self.slots:
            slot.in_ms = self.travel_ms(self.inbound, self.inbound.z, slot, slot.z)
            slot.out_ms = self.travel_ms(self.outbound, self.outbound.z, slot, slot.z)
        self.ledger = Ledger(self.slots, len(scenario.skus))
        port_in = next(port for port in layout.ports if port.inbound)
        port_out = next(port for port in layout.ports if port.outbound)
        self.in_places = simpy.Resource(self.env, capacity=port_in.in_places)
        self.out_places = simpy.Resource(self.env, capacity=port_out.out_places)
        self.station = simpy.Resource(self.env, capacity=scenario.staging.pick_buffer_boxes)
        self.people = simpy.PriorityResource(self.env, capacity=scenario.people.count)
        self.off_work = list(range(scenario.people.count))
        self.jobs = simpy.FilterStore(self.env)
        self.rack: list[Box] = []
        self.stock_came = self.env.event()
        self.unreceived = 0
        self.box_numbers = iter(range(10**9))
        self.lot_numbers = iter(range(10**9))
        self.job_numbers = iter(range(10**9))
        self.tour_numbers = iter(range(10**9))
        later = {line["truck"] for line in inputs.called_off if not line["at_start"]}
        self.truck_numbers = iter(sorted(later))
        self.province = inputs
        for lot in inputs.first_lots:
            self.log("lot_created", **{field: lot[field] for field in KINDS["lot_created"].fields})
            next(self.lot_numbers)
        for box in inputs.boxes:
            self.box_at_start(box)
        places = sum(len(column) for slot in self.slots for column in slot.cells)
        free = sum(self.ledger.free(slot) for slot in self.slots)
        self.free_places = simpy.Container(self.env, capacity=places, init=free)
        self.robot = Robot(self, 0, others[layout.robot_place(0)])
        under_way = defaultdict(list)
        for line in inputs.called_off:
            if line["at_start"]:
                under_way[line["truck"], line["due"]].append((line["sku"], line["boxes"]))
        for (number, due), loads in under_way.items():
            self.call_off(number, loads, due)
        self.env.process(self.shifts())
        self.env.process(self.days())
        self.env.process(self.demand(inputs.orders))

    def run(self, until_ms: int) -> str:
        """Run, and give the digest of the log."""
        self.env.run(until=until_ms)
        return self.digest()

    # -- the log ------------------------------------------------------------------------------------------

    def log(self, kind: str, **fields: Any) -> None:
        """Append a row to the log."""
        fields["time"] = int(self.env.now)
        fields["kind"] = kind
        self.rows.append(fields)

    def digest(self) -> str:
        """SHA-256 of all rows, packed as the product packs its facts."""
        packers = {name: struct.Struct(f"<qh{len(kind.fields)}q") for name, kind in KINDS.items()}
        packed = []
        for row in self.rows:
            kind = KINDS[row["kind"]]
            values = [row[field] for field in kind.fields]
            packed.append(packers[kind.name].pack(row["time"], kind.number, *values))
        return hashlib.sha256(b"".join(packed)).hexdigest()

    def move(
        self, box: Box, place: Place, column: int = NONE, tier: int = NONE, *, robot: int = NONE,
        task: int = NONE,
    ) -> None:  # fmt: skip
        """Move a box in truth and on record."""
        before = box.place
        if isinstance(before, Slot):
            before.cells[box.column][box.tier] = None
            self.free_places.put(1)
        if isinstance(place, Slot):
            place.cells[column][tier] = box
        box.place, box.column, box.tier = place, column, tier
        self.ledger.moved(box, place, column, tier)
        self.log(
            "box_moved", box=box.number, from_place=before.number, to_place=place.number, column=column,
            tier=tier, robot=robot, task=task, recorded=self.ledger.records[box].place.number,
        )  # fmt: skip

    def travel_ms(self, a: Place, za: int, b: Place, zb: int) -> int:
        """Time to drive from a to b, turns included, then to lift from one height to the other."""
        robots = self.robots

        def drive(length: int) -> int:
            return round(1000 * leg_s(length / 1000, robots.speed_m_per_s, robots.acceleration_m_per_s2))

        def out(place: Place) -> int:
            return drive(place.x) + (round(1000 * robots.turn_s) if place.x else 0)

        way = drive(abs(a.x - b.x)) if a.aisle == b.aisle else out(a) + drive(abs(a.y - b.y)) + out(b)
        return way + round(
            1000 * leg_s(abs(za - zb) / 1000, robots.lift_speed_m_per_s, robots.lift_acceleration_m_per_s2)
        )

    # -- people -------------------------------------------------------------------------------------------

    def shifts(self) -> Steps:
        """Keep people at home outside their shifts; what they have begun they finish."""
        while True:
            absent = [self.people.request(priority=SHIFT) for _ in range(self.scenario.people.count)]
            yield self.env.all_of(absent)
            start, end = self.next_shift(int(self.env.now))
            yield self.env.timeout(start - self.env.now)
            for request in absent:
                self.people.release(request)
            yield self.env.timeout(end - self.env.now)

    def next_shift(self, now: int) -> tuple[int, int]:
        """The next shift that begins at or after an instant."""
        day = now // DAY_MS
        while True:
            if self.is_working_day(day):
                for start, end in self.scenario.calendar.shifts:
                    if day * DAY_MS + clock_ms(start) >= now:
                        return day * DAY_MS + clock_ms(start), day * DAY_MS + clock_ms(end)
            day += 1

    def is_working_day(self, day: int) -> bool:
        """Whether people work on a day."""
        return WEEKDAYS[self.weekday(day)] in self.scenario.calendar.weekdays

    def weekday(self, day: int) -> int:
        """The weekday of a day of the run, Monday 0."""
        return (self.scenario.time.start.weekday() + day) % 7

    def work(self, urgency: int, kind: str, seconds: float, box: Box, order: int) -> Steps:
        """Have a person do a piece of work; gives who it was."""
        with self.people.request(priority=urgency) as request:
            yield request
            person = self.off_work.pop(0)
            ms = round(1000 * seconds)
            self.log(
                "person_work", person=person, work=WORK.index(kind), end=int(self.env.now) + ms,
                box=box.number, order=order,
            )  # fmt: skip
            yield self.env.timeout(ms)
            self.off_work.append(person)
        return person

    # -- coming in ----------------------------------------------------------------------------------------

    def new_box(self, lot: int, sku: int, verified_day: int, meters: int, place: Place, truck: int) -> Box:
        """Bring a box into the store."""
        number = next(self.box_numbers)
        first = number * self.per_box
        box = Box(self.env, number, sku, verified_day, [Meter(first + k) for k in range(meters)])
        box.place = place
        self.ledger.records[box] = Record(box, "in_transit")
        self.ledger.records[box].place = place
        self.log(
            "box_created", box=number, sku=sku, lot=lot, verified_day=verified_day, meters=meters,
            place=place.number, truck=truck,
        )  # fmt: skip
        return box

    def box_at_start(self, fact: dict[str, int]) -> None:
        """Set up a box that the store holds at time 0."""
        place = self.places[fact["to_place"]]
        first = self.places[fact["place"]]
        box = self.new_box(fact["lot"], fact["sku"], fact["verified_day"], fact["meters"], first, NONE)
        box.place = self.ledger.records[box].place = self.places[self.layout.outside]
        if isinstance(place, Slot):
            self.ledger.room[place][fact["column"]] -= 1
        self.move(box, place, fact["column"], fact["tier"])
        self.in_stock(box)
        if len(box.meters) < self.per_box:
            self.open_up(box)
            if not isinstance(place, Slot):
                self.rack.append(box)
        else:
            self.ledger.ready[box.sku].append(box)

    def in_stock(self, box: Box) -> None:
        """Book the meters of a box as qualified in stock."""
        for meter in box.meters:
            meter.state = "qualified_in_stock"
        self.ledger.records[box].state = "qualified_in_stock"
        self.ledger.on_hand[box.sku] += len(box.meters)

    def truck(self, number: int, due: int, loads: list[tuple[int, int]]) -> Steps:
        """A truck comes when it is due; each box on it is unloaded, scanned and put away."""
        yield self.env.timeout(max(0, due - self.env.now))
        count = sum(boxes for _, boxes in loads)
        self.log("truck_arrived", truck=number, boxes=count, port=self.inbound.number)
        on_truck, boxes = self.places[self.layout.truck], []
        for (sku, count), (_, maker, days) in zip(loads, self.province.lots[number], strict=True):
            lot = next(self.lot_numbers)
            self.log("lot_created", lot=lot, sku=sku, maker=maker, verified_day=min(days))
            verified = (days[k % len(days)] for k in range(count))
            boxes += [self.new_box(lot, sku, day, self.per_box, on_truck, number) for day in verified]
        self.unreceived += len(boxes)
        truck = Truck(number, boxes)
        for box in boxes:
            self.env.process(self.receive(box, truck))

    def receive(self, box: Box, truck: Truck) -> Steps:
        """Unload and scan a box, then put it away."""
        params = self.scenario.people
        person = yield from self.work(UNLOAD, "receive", params.unload_s + params.receive_s, box, NONE)
        box.received = int(self.env.now)
        self.ledger.on_order[box.sku] -= len(box.meters)
        self.in_stock(box)
        self.log("box_received", box=box.number, truck=truck.number, person=person)
        truck.left -= 1
        self.unreceived -= 1
        if not truck.left:
            self.log("truck_unloaded", truck=truck.number)
        yield from self.put_away(box)

    def allocate(self, box: Box) -> Slot:
        """The open slot that the robot reaches soonest from the inbound port."""
        return min((slot for slot in self.slots if self.ledger.free(slot) > 0), key=lambda slot: slot.in_ms)

    def put_away(self, box: Box) -> Steps:
        """Name a slot, wait for a place at the port, and have the robot bring the box."""
        yield self.free_places.get(1)
        slot = self.allocate(box)
        column = self.ledger.reserve(slot)
        job = self.new_job("put_away", box, slot, column, NONE)
        with self.in_places.request() as place:
            if not place.triggered:
                self.move(box, self.places[self.layout.staging])
            yield place
            self.move(box, self.inbound)
            self.jobs.put(job)
            yield job.picked
        yield job.done
        self.ledger.ready[box.sku].append(box)
        self.stock_came.succeed()
        self.stock_came = self.env.event()

    def new_job(self, kind: str, box: Box, target: Place, column: int, order: int) -> Job:
        """Make work for the robot known."""
        job = Job(self.env, next(self.job_numbers), kind, box, target, column, order)
        self.log(
            "task_created", task=job.number, task_class=TASK_CLASSES.index(kind), box=box.number,
            from_place=box.place.number, to_place=target.number, order=order,
        )  # fmt: skip
        if isinstance(target, Slot):
            self.log("slot_allocated", box=box.number, slot=target.number, column=column, task=job.number)
        return job

    # -- supply and demand --------------------------------------------------------------------------------

    def days(self) -> Steps:
        """At midnight withdraw what is too old, and review the stock."""
        day = 0
        while True:
            limit = self.scenario.time.start.toordinal() + day - self.scenario.demand.max_age_days
            for ready in self.ledger.ready:
                for box in [box for box in ready if box.verified_day < limit]:
                    ready.remove(box)
                    self.ledger.records[box].state = "overdue"
                    self.ledger.on_hand[box.sku] -= len(box.meters)
                    self.log("box_expired", box=box.number)
            is_review = WEEKDAYS[self.weekday(day)] in self.scenario.supply.review_weekdays
            if is_review and self.is_working_day(day):
                self.review()
            day += 1
            yield self.env.timeout(day * DAY_MS - self.env.now)

    def review(self) -> None:
        """Call off what is missing up to S, by (R,S), and load it on trucks."""
        supply, demand = self.scenario.supply, self.scenario.demand
        daily = demand.orders_per_day * demand.mean_meters / self.per_box
        wait = supply.lead_time_days + 0.5 * 5 / len(supply.review_weekdays)
        total = sum(sku.share for sku in self.scenario.skus)
        wanted = []
        for sku, params in enumerate(self.scenario.skus):
            share = params.share / total
            level = share * (self.scenario.initial.fill * self.layout.boxes + daily * wait)
            position = (self.ledger.on_hand[sku] + self.ledger.on_order[sku]) / self.per_box
            most = max(1, round(supply.cover_days * daily * share))
            wanted.append(min(max(0, math.floor(level - position)), most))
        if sum(wanted) < supply.min_boxes:
            return
        loads: list[tuple[int, int]] = []
        room = supply.truck_boxes
        for sku, left in enumerate(wanted):
            while left:
                part = min(left, room)
                loads.append((sku, part))
                left -= part
                room -= part
                if not room:
                    self.send(loads)
                    loads, room = [], supply.truck_boxes
        if loads:
            self.send(loads)

    def send(self, loads: list[tuple[int, int]]) -> None:
        """Call off a truck; when it comes the list of the province says."""
        number = next(self.truck_numbers)
        due = next(line["due"] for line in self.province.called_off if line["truck"] == number)
        self.call_off(number, loads, due)

    def call_off(self, number: int, loads: list[tuple[int, int]], due: int) -> None:
        """Note what is on order and let the truck come."""
        for sku, boxes in loads:
            self.ledger.on_order[sku] += boxes * self.per_box
            self.log("truck_called_off", truck=number, sku=sku, boxes=boxes, due=due)
        self.env.process(self.truck(number, due, loads))

    def demand(self, orders: list[dict[str, int]]) -> Steps:
        """Let each order come in its time."""
        for fact in orders:
            yield self.env.timeout(fact["time"] - self.env.now)
            order = Order(fact["order"], fact["sku"], fact["meters"], fact["due"])
            self.log(
                "order_released", order=order.number, station=fact["station"], due=order.due,
                exogenous=fact["exogenous"],
            )  # fmt: skip
            self.log("order_line", order=order.number, line=0, sku=order.sku, meters=order.meters)
            self.env.process(self.serve(order))

    # -- going out ----------------------------------------------------------------------------------------

    def serve(self, order: Order) -> Steps:
        """Reserve boxes, have all pieces of the order brought and checked, and hand it over."""
        pieces = []
        missing = order.meters
        while missing:
            if missing >= self.per_box:
                box = self.first_expired(order.sku)
                meters = self.per_box
            else:
                box = self.open_box(order.sku)
                meters = min(missing, box.unpromised) if box else 0
            if box is None:
                self.log("line_short", order=order.number, line=0, meters=missing)
                yield self.stock_came
                continue
            missing -= meters
            self.ledger.on_hand[order.sku] -= meters
            self.log("box_reserved", box=box.number, order=order.number, line=0, meters=meters)
            if box.unpromised:
                box.unpromised -= meters
                pieces.append(self.env.process(self.pick(box, order, meters)))
            else:
                self.ledger.records[box].state = "reserved"
                pieces.append(self.env.process(self.issue(box, order)))
        yield self.env.all_of(pieces)
        late = max(0, int(self.env.now) - order.due)
        self.log("order_handed_over", order=order.number, meters=order.meters, late=late)

    def first_expired(self, sku: int) -> Box | None:
        """First expired, first out: the nearest of those due within the tolerance of the first."""
        ready = self.ledger.ready[sku]
        if not ready:
            return None
        limit = min(box.verified_day for box in ready) + self.scenario.policy.tolerance_days
        due = [box for box in ready if box.verified_day <= limit]
        best = min(due, key=lambda box: (self.ledger.records[box].place.out_ms, box.number))
        ready.remove(best)
        return best

    def open_box(self, sku: int) -> Box | None:
        """The open box to pick from that expires first, else one that is opened now."""
        opened = [box for box in self.ledger.open[sku] if box.unpromised]
        if opened:
            return min(opened, key=lambda box: (box.verified_day, box.number))
        box = self.first_expired(sku)
        if box is not None:
            self.open_up(box)
        return box

    def open_up(self, box: Box) -> None:
        """Have the meters of a box one by one from now on."""
        box.unpromised = len(box.meters)
        self.ledger.open[box.sku].append(box)

    def issue(self, box: Box, order: Order) -> Steps:
        """Have a whole box brought, check it and hand it over."""
        job = self.new_job("issue", box, self.outbound, NONE, order.number)
        self.jobs.put(job)
        yield job.done
        yield from self.work(CHECK, "check", self.scenario.people.check_s, box, order.number)
        for meter in box.meters:
            meter.state = "issued"
        self.ledger.records[box].state = "issued"
        self.ledger.records[box].meters = 0
        self.log("meters_issued", box=box.number, order=order.number, mask=self.mask(box, box.meters))
        self.move(box, self.places[self.layout.handed_over])
        self.out_places.release(job.place)

    def pick(self, box: Box, order: Order, meters: int) -> Steps:
        """Pick loose meters out of an open box at the pick station, check them and hand them over."""
        params = self.scenario.people
        with box.in_use.request() as turn:
            yield turn
            job = None
            if isinstance(box.place, Slot):
                job = self.new_job("issue", box, self.outbound, NONE, order.number)
                self.jobs.put(job)
                yield job.done
            if box.station is None:
                box.station = self.station.request()
                yield box.station
                if box in self.rack:
                    self.rack.remove(box)
                self.move(box, self.places[self.layout.pick_station])
                if job is not None:
                    self.out_places.release(job.place)
            seconds = params.pick_setup_s + meters * params.pick_meter_s
            person = yield from self.work(PICK, "pick", seconds, box, order.number)
            picked, box.meters = box.meters[:meters], box.meters[meters:]
            mask = self.mask(box, picked)
            self.ledger.records[box].meters -= meters
            self.log("meters_picked", box=box.number, order=order.number, mask=mask, person=person)
            check = self.env.process(self.check_loose(box, order, picked))
            if not box.in_use.queue:
                self.put_by(box)
        yield check

    def check_loose(self, box: Box, order: Order, picked: list[Meter]) -> Steps:
        """Check loose meters and hand them over."""
        yield from self.work(CHECK, "check", self.scenario.people.check_s, box, order.number)
        for meter in picked:
            meter.state = "issued"
        self.log("meters_issued", box=box.number, order=order.number, mask=self.mask(box, picked))

    def put_by(self, box: Box) -> None:
        """An open box that nobody wants: an empty one leaves, others go to the rack, or back to a slot."""
        self.station.release(box.station)
        box.station = None
        if not box.meters:
            self.ledger.open[box.sku].remove(box)
            self.log("box_emptied", box=box.number)
            self.move(box, self.places[self.layout.outside])
            return
        self.move(box, self.places[self.layout.loose_rack])
        self.rack.append(box)
        if len(self.rack) > self.scenario.staging.loose_rack_boxes:
            unused = (b for b in self.rack if not b.in_use.queue and (b is box or not b.in_use.users))
            back = next(unused, None)
            if back is not None:
                self.rack.remove(back)
                self.env.process(self.put_back(back))

    def put_back(self, box: Box) -> Steps:
        """Bring an open box back to a slot; nobody picks from it meanwhile."""
        with box.in_use.request() as turn:
            yield turn
            yield self.free_places.get(1)
            slot = self.allocate(box)
            job = self.new_job("loose_return", box, slot, self.ledger.reserve(slot), NONE)
            self.jobs.put(job)
            yield job.done

    def mask(self, box: Box, meters: list[Meter]) -> int:
        """Meters of a box as a number, a bit each."""
        return sum(1 << (meter.number - box.number * self.per_box) for meter in meters)

    def told(self) -> Told:
        """What the run has come to."""
        return told([(row["time"], row["kind"], row) for row in self.rows], self.layout)


def leg_s(distance: float, speed: float, acceleration: float) -> float:
    """Seconds for a straight leg from rest to rest."""
    if distance >= speed * speed / acceleration:
        return distance / speed + speed / acceleration
    return 2 * math.sqrt(distance / acceleration)


# --- what both tell ----------------------------------------------------------------------------------------


def told(rows: list[tuple[int, str, dict[str, Any]]], layout: Any) -> Told:
    """What rows (time, kind, fields) come to: the same sums for the twin and for the product."""
    totals: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    released: dict[int, int] = {}
    received: dict[int, int] = {}
    ports = {port.place for port in layout.ports}
    for time, kind, row in rows:
        kinds[kind] += 1
        if kind == "order_released":
            released[row["order"]] = time
        elif kind == "order_handed_over":
            sums["cycle"] += time - released[row["order"]]
            totals["meters"] += row["meters"]
            totals["late"] += row["late"] > 0
        elif kind == "box_received":
            received[row["box"]] = time
        elif kind == "box_moved":
            target = row["to_place"]
            totals["out"] += target == layout.handed_over
            totals["moves"] += row["robot"] != NONE and (target < layout.slots or target in ports)
            if row["robot"] != NONE and target < layout.slots and row["box"] in received:
                sums["put_away"] += time - received.pop(row["box"])
                totals["stored"] += 1
        elif kind == "robot_stretch" and row["arrive"] != NONE:
            sums["travel"] += row["arrive"] - time
            sums["busy"] += row["end"] - time
    return Told(
        kinds["box_received"], totals["out"], kinds["box_emptied"], kinds["order_handed_over"],
        totals["meters"], totals["late"], sums["cycle"] / max(1, kinds["order_handed_over"]) / 1000,
        sums["put_away"] / max(1, totals["stored"]) / 1000, sums["travel"] / 1000, sums["busy"] / 1000,
        totals["moves"], kinds,
    )  # fmt: skip


def told_of(simulation: Simulation) -> Told:
    """The same of a run of the product."""
    rows = []
    for row in simulation.trace.rows():
        kind = _KIND[row[1]]
        rows.append((row[0], kind.name, dict(zip(kind.fields, row[2:], strict=True))))
    return told(rows, simulation.layout)
