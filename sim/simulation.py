"""One run: a scenario, a seed, and the processes that turn them into facts.

`advance` may be called as often as one likes: in one go or in slices of a minute the facts are the same.
Between two calls a command may act (`sim.commands`): a truck is called off, a value of the scenario changes.
Everything that a run tells (KPIs, report, exports) is made from its facts, its scenario and its layout.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from simpy import Timeout

from sim.allocation import OWN_RULES, Rule, SlotIndex, rule_named
from sim.assets import STATE_CODES
from sim.calendar import DAY_MS, WorkCalendar, clock_ms
from sim.clock import Clock
from sim.counting import METHODS, PLANS, Counting
from sim.facts import NONE, STATION_CONSUMED, TRUCK_CALLED_OFF
from sim.faults import Faults
from sim.flows import Flows
from sim.layout import Layout
from sim.ledger import QUALIFIED, Ledger
from sim.mishaps import Mishaps
from sim.opening import Opening, PseudoHistory
from sim.orders import ORDER_TYPES, ORDERS_A_DAY, Delivery, OrderBook, OrderSpec, Supply, in_boxes
from sim.people import FallbackParams, People
from sim.reads import TagReader
from sim.robots import Fleet, RobotParams
from sim.scenario import (
    Scenario,
    box_weight_g,
    build_layout,
    counts_by_hand,
    full_boxes,
    full_weights_g,
    may_carry_by_hand,
)
from sim.stock import Stock
from sim.streams import Streams
from sim.tours import slot_cost
from sim.trace import Trace
from sim.travel import Travel
from sim.turnover import Turnover
from sim.warehouse import Order, PolicyParams, Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from sim.robots import Life
    from sim.scenario import Loaded


class Given(NamedTuple):
    """A command that a run was given, JSON-ready, and what became of it (as `sim.commands` says)."""

    t_ms: int
    sequence: int
    type: str
    args: dict[str, Any]
    applied: bool
    reason: str


class Simulation:
    """A run that can be advanced to any time, looked at, and asked for its result.

    Parameters
    ----------
    scenario : what to simulate; a `Loaded` scenario also says where its files lie.
    seed : the root of all random streams; the scenario's own when not given.

    Attributes
    ----------
    scenario : the values that hold now; commands may have changed some.
    begun_with : those with which the run began; with its seed and its commands they are the run.
    commands : what the run was given, in order.
    """

    def __init__(self, scenario: "Scenario | Loaded", *, seed: int | None = None) -> None:
        if isinstance(scenario, Scenario):
            self.scenario = scenario
            self._files: dict[str, Path] = {}
        else:
            self.scenario, self._files = scenario.scenario, scenario.files()
        scn = self.begun_with = self.scenario
        self.commands: list[Given] = []
        self.seed = scn.seed if seed is None else seed
        self.start = scn.time.start
        self.end_ms = scn.time.days * DAY_MS
        self.calendar = WorkCalendar(scn.calendar, scn.time.start)
        self.layout = build_layout(scn)
        self.travel = Travel(self.layout, scn.robots)
        self.streams = Streams(self.seed)
        self.trace = Trace(scn.boxes.meters_per_box)
        self.env = Clock()
        self.sku_names = [sku.name for sku in scn.skus]
        self.stations: list[str] = []
        self._listed: dict[str, dict[str, Any]] = {}
        self._stacked = scn.robots.access == "stack_lifo"
        # Nobody orders the SKU of removed meters, and nobody calls it off.
        self._removed = scn.returns.sku if scn.returns.share_here > 0 else None
        self._shares = [0.0 if sku.name == self._removed else sku.share for sku in scn.skus]
        self._one_for_one = scn.demand.kind in ("hold_fill", "saturated")
        self.book = OrderBook(
            scn.demand, self._shares, self.calendar, self.streams,
            meters_per_box=scn.boxes.meters_per_box, full_boxes=full_boxes(scn),
            orders=self._listed_orders(),
        )  # fmt: skip
        self.supply = self._make_supply()
        record = self.trace.record
        self._rule: Rule = rule_named(scn.policy.allocation)
        self.stock = Stock(self.layout, stacked=self._stacked)
        self.ledger = self._new_ledger()
        faults = self._faults = Faults(scn.faults, self.streams, self.env, record, self.calendar)
        self.fleet = Fleet(
            self.env, self.layout, self.travel, scn.robots, scn.tour,
            dispatch=scn.policy.dispatch, dwell=scn.policy.dwell,
            ageing_ms=scn.policy.ageing_min * 60_000, record=record, faults=faults,
        )  # fmt: skip
        self.people = People(self.env, scn.people, self._people_calendar(), record)
        if scn.people.count:
            faults.post_repair = self.people.post_repair
        if may_carry_by_hand(scn) or counts_by_hand(scn):
            self._mind_robots()
        mishaps = self._mishaps = Mishaps(scn.records, self.streams, self.env, record)
        reader = self._reader = TagReader(scn.reads, self.streams, scn.boxes.meters_per_box)
        self.warehouse = Warehouse(
            self.env, self.layout, self.stock, self.ledger, self.fleet, self.people,
            policy=scn.policy, rule=self._rule, staging=scn.staging,
            allocation_stream=self.streams["policy.allocation"],
            max_age_days=scn.demand.max_age_days, start_day=self.calendar.ordinal(0), record=record,
            mishaps=mishaps, reader=reader, faults=faults, by_hand=scn.operation == "manual",
        )  # fmt: skip
        if mishaps.is_on or PLANS[scn.counting.plan].counts:
            self.warehouse.counting = self._new_counting()
        self._orders_drawn = 0
        self._ordered: set[int] = set()
        self._under_way: list[Delivery] = []
        self._open_store()
        self.fleet.start()
        self.people.start()
        if self.warehouse.counting is not None:
            self.warehouse.counting.start()
        if self._one_for_one:
            self.warehouse.on_box_out = self._replace
        if scn.demand.kind == "saturated":
            self.warehouse.on_hand_over = self._next_order
            self._saturate()
        self.warehouse.flows = Flows(
            self.warehouse, self.calendar, self.streams, returns=scn.returns, reverify=scn.reverify,
            empties=scn.empties, control=scn.control, skus=self.sku_names,
        )  # fmt: skip
        self.warehouse.flows.start()
        for delivery in self._under_way:
            self._announce(delivery)
        self.env.process(self._days())

    @property
    def now_ms(self) -> int:
        """The simulated time reached, in milliseconds since time.start."""
        return int(self.env._now)

    def advance(self, until_ms: int) -> None:
        """Run on until just before `until_ms`; what happens at that instant belongs to the next call."""
        if until_ms > self.env._now:
            self.env.run(until=until_ms)

    def finish(self, progress: Callable[[float], None] | None = None) -> "Result":
        """Run to the end, a simulated day at a time, and give the result."""
        while self.now_ms < self.end_ms:
            self.advance(min(self.end_ms, (self.now_ms // DAY_MS + 1) * DAY_MS))
            if progress is not None:
                progress(self.now_ms / self.end_ms)
        return self.result()

    def snapshot(self) -> dict[str, Any]:
        """The state now, as recorded: JSON-ready, built anew, so that nothing is shared with the run."""
        ledger, layout = self.ledger, self.layout
        return {
            "t_ms": self.now_ms,
            "facts": len(self.trace),
            "slots": [
                {"slot": layout.names[slot], "boxes": len(ledger.boxes_in(slot)), "capacity": capacity}
                for slot, capacity in enumerate(layout.capacity)
            ],
            "robots": [
                {"robot": r.number, "place": layout.names[r.place], "boxes": list(r.board)}
                for r in self.fleet.robots
            ],
            "waiting_tasks": [len(queue) for queue in self.fleet.waiting],
            "open_orders": len(self.warehouse.orders),
        }

    def check(self) -> None:
        """Raise when an invariant of the truth or of the records does not hold."""
        self.warehouse.check()
        if self.warehouse.flows is not None:
            self.warehouse.flows.check()

    def result(self) -> "Result":
        """What the run has shown so far."""
        self.check()
        self.trace.seal()
        return Result(
            self.trace, self.begun_with, self.layout, self.calendar, self.seed, self.now_ms, self.names(),
            commands=self.commands, scenario_at_end=self.scenario,
        )  # fmt: skip

    def names(self) -> dict[str, Any]:
        """What the numbers in the facts stand for; what came from a stock list keeps its names."""
        return {
            "start": self.start.isoformat(),
            "meters_per_box": self.layout.meters_per_box,
            "full_boxes": self.ledger.full,
            "places": list(self.layout.names),
            "skus": self.sku_names,
            "stations": self.stations,
            **self._listed,
        }

    # -- what commands do ---------------------------------------------------------------------------

    def order(self, station: int, lines: Sequence[tuple[int, int]], due_ms: int | None) -> None:
        """An order is released now: lines of (SKU, meters), due by an instant or (None) as others are."""
        due = self._due_from_now() if due_ms is None else due_ms
        self._ordered.add(self.warehouse.release_order(station, due, lines, exogenous=True).number)

    def call_off(self, loads: Sequence[tuple[int, int]], at_ms: int) -> None:
        """A truck with loads of (SKU, boxes) is called off beside those of the supply rule."""
        self._announce(self.supply.beside(at_ms, tuple(loads)))

    def count(self, slots: Sequence[int], method: str) -> None:
        """Slots are counted by a method as soon as somebody can."""
        if any(METHODS[name].by == "person" for name in (method, self.scenario.counting.recount) if name):
            self._mind_robots()
        self._counting().count(slots, urgent=True, method=method)

    def change(self, scenario: Scenario) -> None:
        """Go on under a scenario that differs in values which may change in mid-run, and in no others."""
        old, self.scenario = self.scenario, scenario

        def changed(*sections: str) -> bool:
            return any(getattr(scenario, name) != getattr(old, name) for name in sections)

        policy, rule = scenario.policy, rule_named(scenario.policy.allocation)
        is_faster = _motion(scenario.robots) != _motion(old.robots)
        if is_faster:
            self.travel = Travel(self.layout, scenario.robots)
        if is_faster or _zoning(policy) != _zoning(old.policy):
            index = build_index(scenario, self.layout, self.travel, self.ledger.index.turnover)
            self.ledger.use_index(index, self.travel.one_way_ms(self.layout.outbound).tolist())
        if "lots" in rule.needs or policy.allocation in OWN_RULES:
            self.ledger.follow_lots()
        if changed("demand"):
            self.book.adopt(scenario.demand)
        if changed("supply"):
            self.supply.adopt(scenario.supply, self._target_fill())
        if changed("faults"):
            self._faults.adopt(scenario.faults)
            if self._faults.is_on:
                self.fleet.follow_faults()
        if changed("robots", "tour", "policy"):
            self.fleet.adopt(
                scenario.robots, scenario.tour, self.travel, dispatch=policy.dispatch, dwell=policy.dwell,
                ageing_ms=policy.ageing_min * 60_000,
            )  # fmt: skip
        if changed("people", "fallback", "policy"):
            self.people.adopt(scenario.people, self._fallback(), dispatch=policy.dispatch)
        if changed("policy", "staging"):
            self.warehouse.adopt(policy, rule, scenario.staging)
        if changed("control", "robots") and self.warehouse.flows is not None:
            self.warehouse.flows.adopt(scenario.control)
        if changed("records"):
            self._mishaps.adopt(scenario.records)
        self._change_counting(is_new=changed("counting"), is_faster=is_faster)

    def _change_counting(self, *, is_new: bool, is_faster: bool) -> None:
        """Count by other values, or begin to count, where the scenario says so now."""
        scn, counting = self.scenario, self.warehouse.counting
        if counts_by_hand(scn):
            self._mind_robots()
        if counting is None:
            if self._mishaps.is_on or PLANS[scn.counting.plan].counts:
                self._counting()
            return
        if is_faster:
            counting.use_travel(slot_cost(self.travel))
        if is_new:
            counting.adopt(scn.counting)

    def _counting(self) -> Counting:
        """The counts of the run, which begin when they are first asked for."""
        if self.warehouse.counting is None:
            self.warehouse.counting = self._new_counting()
            self.warehouse.counting.start()
        return self.warehouse.counting

    def _mind_robots(self) -> None:
        """Have robots keep out of the aisles in which people work, as where people carry boxes."""
        if not self.people.minds_robots:
            dispatch = self.scenario.policy.dispatch
            self.people.carry_by_hand(self.fleet, self._fallback(), dispatch=dispatch)

    def _fallback(self) -> FallbackParams | None:
        """When people carry: None for always; never where the layout has no places for their boxes."""
        if self.scenario.operation == "manual":
            return None
        return self.scenario.fallback if self.layout.hands else FallbackParams(people=0)

    # -- the processes of the outside world ---------------------------------------------------------

    def _days(self) -> "Life":
        """Midnight's work, then the orders of the day as they fall due, day after day."""
        env, warehouse = self.env, self.warehouse
        orders_of = ORDER_TYPES[self.scenario.demand.kind]
        day = 0
        while True:
            warehouse.expire(self.calendar.ordinal(day))
            warehouse.check_cheaply()
            self.trace.seal()
            orders = list(orders_of(self.book, day))
            for station, sku, meters in self.book.consumed:
                self.trace.record((env._now, STATION_CONSUMED, station, sku, meters))
            if not self._one_for_one:
                for delivery in self.supply.call_off(day, self._positions()):
                    self._announce(delivery)
            for order in orders:
                if order.at_ms > env._now:
                    yield Timeout(env, order.at_ms - env._now)
                due = order.due_ms
                if due is None:
                    due = self._due_from_now()
                warehouse.release_order(order.station, due, order.lines, exogenous=order.exogenous)
            day += 1
            yield Timeout(env, day * DAY_MS - env._now)

    def _due_from_now(self) -> int:
        """When an order that is released now is due."""
        return self.calendar.add_open_ms(self.now_ms, round(self.scenario.demand.due_h * 3_600_000))

    def _positions(self) -> list[int]:
        """Usable meters plus those on order, less those that orders wait for, by SKU."""
        ledger = self.ledger
        positions = [a + b for a, b in zip(ledger.on_hand, ledger.on_order, strict=True)]
        for order in self.warehouse.orders.values():
            for line in order.lines:
                positions[line.sku] -= line.missing
        return positions

    def _announce(self, delivery: Delivery) -> None:
        """A truck is called off; it comes when it is due."""
        for sku, boxes in delivery.loads:
            self.ledger.on_order[sku] += boxes * self.ledger.full[sku]
            self.trace.record((self.env._now, TRUCK_CALLED_OFF, delivery.truck, sku, boxes, delivery.at_ms))
        self.env.process(self._bring(delivery))

    def _bring(self, delivery: Delivery) -> "Life":
        yield Timeout(self.env, max(0, delivery.at_ms - self.env._now))
        self._arrive(delivery)

    def _arrive(self, delivery: Delivery) -> None:
        day = self.env._now // DAY_MS
        loads = []
        for sku, boxes in delivery.loads:
            maker, verified = self.supply.lot(day, boxes, delivery.truck)
            loads.append((sku, maker, verified))
        self.warehouse.truck_arrives(delivery.truck, loads)

    def _replace(self, sku: int) -> None:
        """One box in for each box out (hold_fill, saturated)."""
        delivery = self.supply.single(sku, self.now_ms)
        self.ledger.on_order[sku] += self.ledger.full[sku]
        self._arrive(delivery)

    def _saturate(self) -> None:
        """Begin with a backlog of orders and of boxes on trucks."""
        demand = self.scenario.demand
        carriers = self.scenario.robots.count * self.scenario.robots.carry or self.scenario.people.count
        boxes = max(1, 2 * carriers)
        for k in range(boxes):
            self._replace(self.book.order(0, k).lines[0][0])
        for _ in range(demand.backlog_orders):
            self._next_order(None)

    def _next_order(self, handed_over: Order | None) -> None:
        if handed_over is not None and handed_over.number in self._ordered:
            return  # it came beside the backlog
        drawn = self.book.order(*divmod(self._orders_drawn, ORDERS_A_DAY))
        self._orders_drawn += 1
        self.warehouse.release_order(drawn.station, self._due_from_now(), drawn.lines, exogenous=False)

    # -- building the run ---------------------------------------------------------------------------

    def _new_ledger(self) -> Ledger:
        scn, layout = self.scenario, self.layout
        index = build_index(scn, layout, self.travel)
        index.follows_lots = "lots" in self._rule.needs or scn.policy.allocation in OWN_RULES
        ledger = Ledger(layout, index, self.travel.one_way_ms(layout.outbound).tolist(), len(scn.skus))
        weights = [sku.meter_kg for sku in scn.skus]
        ledger.weight_g = cache(lambda sku, meters: box_weight_g(scn, weights[sku], meters))
        return ledger

    def _new_counting(self) -> Counting:
        return Counting(
            self.warehouse, self.scenario.counting, self.calendar, self._reader, self.streams,
            slot_cost(self.travel),
        )  # fmt: skip

    def _target_fill(self) -> float:
        """The share of box places that the supply rule aims at."""
        target = self.scenario.supply.target_fill
        return self.scenario.initial.fill if target is None else target

    def _make_supply(self) -> Supply:
        scn = self.scenario
        numbers = {sku.name: k for k, sku in enumerate(scn.skus)}
        return Supply(
            scn.supply, self.book, places=self.layout.boxes, target_fill=self._target_fill(),
            deliveries=[(d.day, numbers[d.sku], d.boxes) for d in scn.supply.schedule],
        )  # fmt: skip

    def _people_calendar(self) -> WorkCalendar:
        """The shifts without the breaks."""
        breaks = self.scenario.people.breaks
        if not breaks:
            return self.calendar
        shifts = []
        for start, end in self.scenario.calendar.shifts:
            at = start
            for b, e in sorted(breaks):
                if b < end and e > at:
                    if b > at:
                        shifts.append((at, b))
                    at = max(at, e)
            if at < end:
                shifts.append((at, end))
        return WorkCalendar(self.scenario.calendar.model_copy(update={"shifts": shifts}), self.start)

    def _listed_orders(self) -> list[OrderSpec]:
        """Orders that are given one by one: the schedule, the order file, the list at time 0."""
        scn = self.scenario
        numbers = {sku.name: k for k, sku in enumerate(scn.skus)}
        orders = []
        if scn.demand.kind == "schedule":
            orders += [
                OrderSpec(
                    o.day * DAY_MS + clock_ms(o.at),
                    o.station,
                    None,
                    ((numbers[o.sku], o.meters),),
                    exogenous=True,
                )
                for o in scn.demand.schedule
            ]
        if scn.demand.kind == "trace" and scn.demand.file is not None:
            orders += self._read_orders("demand.file", scn.demand.file)
        return orders

    def _read_orders(self, key: str, name: str) -> list[OrderSpec]:
        from sim.stocklist import read_orders

        lines: dict[str, list[Any]] = {}
        for row in read_orders(self._files.get(key, name), self.sku_names, self.start):
            lines.setdefault(row.order, []).append(row)
        orders = []
        for rows in lines.values():
            first = rows[0]
            if first.station not in self.stations:
                self.stations.append(first.station)
            orders.append(
                OrderSpec(
                    max(0, first.released_ms), self.stations.index(first.station), first.due_ms,
                    tuple((row.sku, row.meters) for row in rows), exogenous=True,
                )
            )  # fmt: skip
        return sorted(orders, key=lambda order: order.at_ms)

    def _open_store(self) -> None:
        """Put the stock of time 0 into the store: from a list, or as the policies would have left it."""
        scn = self.scenario
        if scn.initial.stock is not None:
            self._open_from_list(scn.initial.stock)
        elif scn.initial.fill > 0:
            history = PseudoHistory(
                self.layout, self._new_ledger(), self.book, self.supply, scn.policy,
                self.streams["policy.opening"], rule=self._rule, stacked=self._stacked,
                max_age_days=scn.demand.max_age_days, one_for_one=self._one_for_one,
                orders_of=ORDER_TYPES["poisson" if scn.demand.kind != "stations" else "stations"],
            )  # fmt: skip
            opening = history.run(scn.initial.fill, self._dwells())
            # What the store learned in the days before time 0 it still knows.
            self.ledger.index.stays = history.stays
            self._set_up(opening)
        if scn.initial.orders is not None:
            for order in self._read_orders("initial.orders", scn.initial.orders):
                due = order.due_ms
                if due is None:
                    due = self.calendar.add_open_ms(order.at_ms, round(scn.demand.due_h * 3_600_000))
                self.env.process(self._release_listed(order, due))

    def _compute_turnover(self, skus: Iterable[int]) -> None:
        """Take turnover from demand shares and the boxes in slots at time 0, where the scenario wants that.

        A SKU without a box counts as half a one.
        """
        if self.scenario.policy.turnover == "computed":
            boxes = Counter(skus)
            stock = [boxes[sku] or 0.5 for sku in range(len(self._shares))]
            self.ledger.index.turnover = Turnover(in_boxes(self._shares, self.ledger.full), stock)

    def _release_listed(self, order: OrderSpec, due: int) -> "Life":
        yield Timeout(self.env, max(0, order.at_ms - self.now_ms))
        self.warehouse.release_order(order.station, due, order.lines, exogenous=True)

    def _dwells(self) -> float:
        """How many mean dwells the pseudo-history lasts: none where orders or deliveries come from a list."""
        scn = self.scenario
        listed = scn.demand.kind in ("schedule", "trace") or scn.supply.rule == "schedule"
        return 0.0 if listed else self.scenario.initial.prefill_dwells

    def _set_up(self, opening: Opening) -> None:
        warehouse = self.warehouse
        self._compute_turnover(each.sku for each in opening.boxes if each.slot != NONE)
        lots: dict[int, int] = {}
        earliest: dict[int, int] = {}
        for box in opening.boxes:
            earliest[box.lot] = min(earliest.get(box.lot, box.verified_day), box.verified_day)
        for each in opening.boxes:
            lot = lots.get(each.lot)
            if lot is None:
                lot = lots[each.lot] = warehouse.new_lot(each.sku, earliest[each.lot], NONE)
            mask = (1 << each.meters) - 1
            place = self.layout.outside if each.slot == NONE else each.slot
            box_number = warehouse.new_box(each.sku, lot, each.verified_day, mask, place, NONE)
            if each.slot == NONE and each.meters == self.ledger.full[each.sku]:
                warehouse.stage_at_start(box_number, each.received_ms)
            elif each.slot == NONE:
                warehouse.rack_at_start(box_number, each.received_ms)
            else:
                warehouse.place_at_start(box_number, each.slot, each.column, each.tier, each.received_ms)
        self._under_way = opening.deliveries

    def _open_from_list(self, name: str) -> None:
        from sim.stocklist import read_stock

        rows = read_stock(self._files.get("initial.stock", name), self.layout, self.sku_names, self.start)
        layout, warehouse = self.layout, self.warehouse
        self._compute_turnover(row.sku for row in rows if row.place < layout.slots)
        first_verified: dict[tuple[int, str], int] = {}
        for row in rows:
            key = (row.sku, row.lot)
            first_verified[key] = min(first_verified.get(key, row.verified_day), row.verified_day)
        lots = {key: warehouse.new_lot(key[0], first, NONE) for key, first in first_verified.items()}
        self._listed = {"boxes": {}, "assets": {}, "lots": {str(lot): key[1] for key, lot in lots.items()}}
        elsewhere = []
        for row in rows:
            in_slot = row.place < layout.slots
            box = warehouse.new_box(
                row.sku, lots[row.sku, row.lot], row.verified_day, (1 << row.meters) - 1,
                row.place if in_slot else layout.outside, NONE,
            )  # fmt: skip
            self._listed["boxes"][str(box)] = row.box
            if row.assets:
                self._listed["assets"][str(box)] = list(row.assets)
            if STATE_CODES[row.state] != QUALIFIED:
                warehouse.set_state_at_start(box, STATE_CODES[row.state])
            if in_slot:
                warehouse.place_at_start(box, row.place, row.column, row.tier, -DAY_MS)
                self.ledger.index.stays.arrived(row.sku, 0, row.verified_day)
            else:
                elsewhere.append((box, row.place))
        # A box outside the slots is given one: only when all boxes of the list stand in theirs.
        for box, place in elsewhere:
            if place == layout.loose_rack:
                warehouse.rack_at_start(box, -DAY_MS)
            else:
                warehouse.stage_at_start(box, -DAY_MS)


def _motion(robots: RobotParams) -> tuple[float, ...]:
    """What the time of a way depends on and may change in mid-run."""
    return (
        robots.speed_m_per_s, robots.acceleration_m_per_s2, robots.lift_speed_m_per_s,
        robots.lift_acceleration_m_per_s2, robots.turn_s,
    )  # fmt: skip


def _zoning(policy: PolicyParams) -> tuple[object, ...]:
    """What the ranges of slots that rules ask for depend on."""
    return policy.zones, policy.zone_borders, policy.overflow


def build_index(
    scenario: Scenario, layout: Layout, travel: Travel, turnover: Turnover | None = None
) -> SlotIndex:
    """The open places of a store without boxes, under the constraints and the policy values of its scenario.

    `turnover` replaces what the SKUs of the scenario say.
    """
    skus, policy = scenario.skus, scenario.policy
    weights = full_weights_g(scenario)
    admits = [layout.admits(sku.device, weight) for sku, weight in zip(skus, weights, strict=True)]
    classes = list(dict.fromkeys(admits))
    if turnover is None:
        demand = in_boxes([sku.share for sku in skus], full_boxes(scenario))
        days = [sku.stay_days for sku in skus]
        known = [day for day in days if day is not None]
        mean = sum(known) / len(known) if known else 1.0
        stock = [d * (mean if day is None else day) for d, day in zip(demand, days, strict=True)]
        turnover = Turnover(demand, stock if known else None)
    index = SlotIndex(
        layout, travel.one_way_ms(layout.inbound).tolist(), turnover, policy.zones,
        borders=policy.zone_borders, overflow=policy.overflow, travel=travel, admits=classes,
        class_of_sku=[classes.index(each) for each in admits], online=policy.turnover == "online",
    )  # fmt: skip
    index.weights_g = min(weights), max(weights)
    return index


class Result:
    """The facts of a run and what is needed to read them.

    `scenario` is that with which the run began: with `seed` and `commands` it gives the same run again. What
    is read from the facts with the values of a scenario is read with those of `scenario_at_end`.
    """

    def __init__(
        self,
        trace: Trace,
        scenario: "Scenario",
        layout: Layout,
        calendar: WorkCalendar,
        seed: int,
        end_ms: int,
        names: dict[str, Any],
        *,
        commands: Sequence[Given] = (),
        scenario_at_end: "Scenario | None" = None,
    ) -> None:
        self.trace = trace
        self.scenario = scenario
        self.scenario_at_end = scenario if scenario_at_end is None else scenario_at_end
        self.commands = list(commands)
        self.layout = layout
        self.calendar = calendar
        self.seed = seed
        self.end_ms = end_ms
        self.names = names

    @property
    def digest(self) -> str:
        """SHA-256 over the facts: the same scenario, seed and commands give the same."""
        return self.trace.digest()

    def kpis(self) -> dict[str, dict[str, Any]]:
        """Every KPI by name, from the facts after the warm-up."""
        from sim.kpis import RunFacts, compute

        scenario = self.scenario_at_end
        warmup = scenario.time.warmup_days * DAY_MS
        return compute(RunFacts(self.trace, scenario, self.layout, self.calendar, warmup, self.end_ms))

    def _repr_html_(self) -> str:
        """What a notebook shows of a run: what it is, and its KPIs."""
        from html import escape

        from sim.kpis import KPIS

        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(str(_short(kpi['value'])))}</td>"
            f"<td>{escape(KPIS[name].unit)}</td></tr>"
            for name, kpi in self.kpis().items()
        )
        days = f"{self.end_ms / DAY_MS:g} days"
        told = f"{self.scenario.name}: {days}, seed {self.seed}, digest {self.digest[:16]}"
        head = "<tr><th>KPI</th><th>value</th><th>unit</th></tr>"
        return f"<p>{escape(told)}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _short(value: Any) -> Any:
    """A number as a table shows it; a dash where nothing was observed."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.6g}" if isinstance(value, float) else value


def run(
    scenario: "Scenario | Loaded", seed: int | None = None, progress: Callable[[float], None] | None = None
) -> Result:
    """Simulate a scenario from start to end."""
    return Simulation(scenario, seed=seed).finish(progress)
