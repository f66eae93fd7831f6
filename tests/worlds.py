"""Small stores at work, for tests: the parts of a run wired together by hand, without a scenario file.

Everything is always open, one person takes no time for anything, nothing is random, and the facts are a plain
list, so that a test can place boxes, let trucks and orders come, and read off what happened.
"""

import itertools
from collections import defaultdict
from datetime import date
from typing import NamedTuple

from sim.allocation import SlotIndex, rule_named
from sim.assets import STATES
from sim.calendar import CalendarParams, WorkCalendar
from sim.clock import Clock
from sim.counting import Counting, CountingParams
from sim.facts import (
    ACTIVITIES,
    BY_NUMBER,
    DIFFERENCES,
    ERRORS,
    KINDS,
    LOOKS,
    NONE,
    ROBOT_STRETCH,
    UNRECORDED_REMOVAL,
    VERDICTS,
    WHYS,
    WRONG_SLOT,
)
from sim.layout import Layout, LayoutParams
from sim.ledger import Ledger
from sim.mishaps import Mishaps, RecordParams
from sim.people import People, PeopleParams
from sim.reads import ReadParams, TagReader
from sim.robots import Fleet, RobotParams, TourParams
from sim.stock import Stock
from sim.streams import Streams
from sim.tours import slot_cost
from sim.travel import Travel
from sim.warehouse import PolicyParams, StagingParams, Warehouse

START = date(2026, 3, 2)  # a Monday
TODAY = START.toordinal()
AT_ONCE = {"unload_s": 0, "receive_s": 0, "pick_setup_s": 0, "pick_meter_s": 0, "check_s": 0}
ALWAYS = {"shifts": [["00:00", "24:00"]], "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
ERRORS_ON = {"scale": 1e-12}
"""Records and truth may part, but nothing happens by chance: `fate` says what does."""

PLACES = {"place", "port", "slot", "from_place", "to_place", "recorded"}
WORDS = {
    "cause": ERRORS, "how": LOOKS, "why": WHYS, "what": DIFFERENCES, "verdict": VERDICTS, "state": STATES,
}  # fmt: skip
TOLD = (
    "box_moved", "box_expired", "box_state", "box_emptied", "box_reserved", "box_freed", "line_short", "order_short",
    "order_handed_over", "meters_picked", "meters_issued", "meters_recorded", "meters_damaged", "meters_scrapped",
    "task_done", "task_cancelled", "slot_allocated", "allocation_released", "allocation_failed", "box_recorded",
    "error_made", "error_found", "discrepancy", "slot_held", "count_planned", "slot_counted", "count_difference",
    "count_ended", "tag_replaced",
)  # fmt: skip
"""What happens to boxes, meters, orders and records: all but what robots and people do for it."""


def layout_of(*, access="direct", robots=1, meters_per_box=15, full_boxes=(), **params):
    """A layout; the reference store when nothing is said, a uniform one when a size is."""
    if {"rows", "columns", "levels"} & set(params):
        params.setdefault("profile", "uniform")
    return Layout(
        LayoutParams(**params), meters_per_box=meters_per_box, box_height_m=0.2, access=access, robots=robots,
        full_boxes=full_boxes,
    )  # fmt: skip


class World:
    """A store at work. `now` runs on with `run`; `facts(kind)` gives the facts of a kind as dicts."""

    def __init__(
        self, *, robots=None, tour=None, policy=None, people=None, staging=None, calendar=None, skus=1,
        shares=None, start=True, records=None, reads=None, counting=None, **layout,
    ):  # fmt: skip
        self.rows = []
        robot = RobotParams(**(robots or {}))
        policy = PolicyParams(**(policy or {}))
        self.env = Clock()
        self.layout = layout_of(access=robot.access, robots=robot.count, **layout)
        self.travel = Travel(self.layout, robot)
        self.trucks = itertools.count()
        self.stock = Stock(self.layout, stacked=robot.access == "stack_lifo")
        self.index = SlotIndex(
            self.layout,
            self.travel.one_way_ms(self.layout.inbound).tolist(),
            shares or [1.0] * skus,
            policy.zones,
            travel=self.travel,
        )
        self.ledger = Ledger(
            self.layout, self.index, self.travel.one_way_ms(self.layout.outbound).tolist(), skus
        )
        self.fleet = Fleet(
            self.env, self.layout, self.travel, robot, TourParams(**(tour or {})),
            dispatch=policy.dispatch, dwell=policy.dwell, ageing_ms=policy.ageing_min * 60_000,
            record=self.rows.append,
        )  # fmt: skip
        self.people = People(
            self.env, PeopleParams(**{"count": 1, **AT_ONCE, **(people or {})}),
            WorkCalendar(CalendarParams(**(calendar or ALWAYS)), START), self.rows.append,
        )  # fmt: skip
        self.warehouse = Warehouse(
            self.env, self.layout, self.stock, self.ledger, self.fleet, self.people,
            policy=policy, rule=rule_named(policy.allocation), staging=StagingParams(**(staging or {})),
            allocation_stream=Streams(1)["policy.allocation"], max_age_days=180, start_day=TODAY,
            record=self.rows.append,
            mishaps=Mishaps(RecordParams(**(records or {})), Streams(1), self.env, self.rows.append),
            reader=TagReader(ReadParams(**(reads or {})), Streams(1), self.layout.meters_per_box),
        )  # fmt: skip
        if counting is not None:
            self.warehouse.counting = Counting(
                self.warehouse, CountingParams(**counting),
                WorkCalendar(CalendarParams(**(calendar or ALWAYS)), START), self.warehouse._reader, Streams(1),
                slot_cost(self.travel),
            )  # fmt: skip
        self._trucks = 0
        if start:
            self.start()

    def start(self):
        """Let robots and people begin."""
        self.fleet.start()
        self.people.start()
        if self.warehouse.counting is not None:
            self.warehouse.counting.start()
        return self

    # -- what a test does ---------------------------------------------------------------------------

    def slot(self, name):
        return self.layout.place(name)

    def stock_box(self, slot, column=0, tier=None, *, sku=0, age=30, meters=15, lot=None):
        """Put a box into a slot as if it had always been there; gives its number."""
        slot = self.slot(slot) if isinstance(slot, str) else slot
        if tier is None:
            tier = self.stock.cells[slot][column].index(NONE)
        house = self.warehouse
        lot = house.new_lot(sku, TODAY - age, 0) if lot is None else lot
        box = house.new_box(sku, lot, TODAY - age, (1 << meters) - 1, slot, NONE)
        house.place_at_start(box, slot, column, tier, -1000)
        self.index.stays.arrived(sku, self.env.now, TODAY - age)
        return box

    def truck(self, boxes, *, sku=0, age=30, truck=None):
        """A truck brings boxes of a SKU now; gives their numbers."""
        first = len(self.stock.place)
        self.ledger.on_order[sku] += boxes * self.ledger.full[sku]
        number = next(self.trucks) if truck is None else truck
        self.warehouse.truck_arrives(number, [(sku, 0, [TODAY - age] * boxes)])
        return list(range(first, first + boxes))

    def order(self, meters, *, sku=0, due=10**12):
        """An order is released now."""
        return self.warehouse.release_order(0, due, [(sku, meters)], exogenous=True)

    def at(self, time_ms, act):
        """Do something at a time; in the order of asking where times are equal."""

        def wait():
            yield self.env.timeout(time_ms - self.env.now)
            act()

        self.env.process(wait())
        return self

    def run(self, seconds=3600.0):
        """Run on for some time and check every invariant; gives the world."""
        self.env.run(until=self.env.now + round(seconds * 1000))
        self.warehouse.check()
        return self

    # -- what goes wrong ----------------------------------------------------------------------------

    def fate(self, **strokes):
        """Let errors strike once each: by the name of their stream, the uniform that decides how, by box."""
        mishaps = self.warehouse.mishaps
        left = {(name, box): u for name, by_box in strokes.items() for box, u in by_box.items()}
        mishaps.strikes = lambda name, box, _rate: left.pop((name, box), -1.0)
        return self

    def chance(self, value):
        """Let every uniform that belongs to a box have one value: 0.0 for what is seldom, 0.999 for what is common."""
        house = self.warehouse
        house.mishaps.uniform = lambda _name, _box: value
        if house.counting is not None:
            house.counting._looker = house.counting._looker._replace(chance=house.mishaps.uniform)
        return self

    def blind(self, **looks):
        """Let labels not be read: `box3=[0, 2]` at the first and the third time that somebody tries box 3."""
        hidden = {int(name.removeprefix("box")): set(times) for name, times in looks.items()}
        tries = defaultdict(itertools.count)
        self.warehouse._reader.box_is_read = lambda box, _occasion, reads=1: (
            next(tries[box]) not in hidden.get(box, ())
        )
        return self

    def misplace(self, box, slot, column=0, tier=None):
        """Have a box stand elsewhere than recorded, as after a wrong set-down."""
        slot = self.slot(slot) if isinstance(slot, str) else slot
        if tier is None:
            tier = self.stock.cells[slot][column].index(NONE)
        self.stock.take(box, self.layout.outside)
        self.stock.put_at(box, slot, column, tier)
        self.warehouse.mishaps.made(WRONG_SLOT, box, 0, slot)
        return self

    def lose(self, box, mask):
        """Have meters be gone from a box without a record."""
        self.stock.lose_meters(box, mask)
        self.warehouse.mishaps.made(UNRECORDED_REMOVAL, box, mask, NONE)
        return self

    def differences(self):
        """The boxes whose records are not the truth."""
        return self.ledger.differences(self.stock)

    # -- what a test reads --------------------------------------------------------------------------

    def told(self, *kinds, since=1):
        """The facts of some kinds (else `TOLD`) from a time on, as words: the kind and the fields that apply."""
        lines = []
        for row in self.rows:
            kind = BY_NUMBER[row[1]]
            if row[0] < since or kind.name not in (kinds or TOLD):
                continue
            words = [kind.name]
            for field, value in zip(kind.fields, row[2:], strict=True):
                if value != NONE:
                    if (field in PLACES and kind.name != "slot_counted") or field == "slot":
                        value = self.layout.place_name(value)
                    words.append(f"{field}={WORDS[field][value] if field in WORDS else value}")
            lines.append(" ".join(words))
        return lines

    def facts(self, kind, **where):
        """The facts of a kind as dicts with `time`, filtered by field values."""
        return [fact for fact in named(self.rows, kind) if all(fact[k] == v for k, v in where.items())]

    def stretches(self, robot=0, after=-1):
        """A robot's stretches that last, from `after` on; an open-ended one ends where the next begins, or now."""
        found = stretches_of(self.rows, self.env.now)[robot]
        return [s for s in found if s.end > s.start and s.start > after]

    def names(self, places):
        return [self.layout.place_name(place) for place in places]

    def path(self, robot=0, after=-1):
        """The same as (activity, to, start, end), in words."""
        return [
            (ACTIVITIES[s.activity], self.layout.place_name(s.to_place), s.start, s.end)
            for s in self.stretches(robot, after)
        ]


class Stretch(NamedTuple):
    """A stretch of a robot's time, with the end that it really had."""

    robot: int
    start: int
    end: int
    activity: int
    from_place: int
    to_place: int
    height_mm: int
    arrive: int
    planned_end: int
    task: int


def named(rows, kind):
    """The facts of a kind as dicts, `time` beside the fields."""
    spec = KINDS[kind]
    return [
        {"time": row[0], **dict(zip(spec.fields, row[2:], strict=True))}
        for row in rows
        if row[1] == spec.number
    ]


def stretches_of(rows, end):
    """The stretches of each robot in order; the last one, if open, ends at `end`."""
    found = defaultdict(list)
    for row in rows:
        if row[1] == ROBOT_STRETCH:
            time, _, robot, activity, from_place, to_place, height, arrive, planned, task = row
            found[robot].append(
                Stretch(robot, time, planned, activity, from_place, to_place, height, arrive, planned, task)
            )
    for stretches in found.values():
        for k, stretch in enumerate(stretches):
            if stretch.planned_end == NONE:
                follows = stretches[k + 1].start if k + 1 < len(stretches) else end
                stretches[k] = stretch._replace(end=follows)
    return dict(found)
