"""Replay a second time: plain lists, no index, everything looked for from scratch at every step.

It shares no code with `sim`. A rack is a list of slots with their times in whole milliseconds, worked out from
the formulas of its scenario; a rule is a function of all that is known of the store and names a slot.
"""

import csv
import gzip
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import NamedTuple

NEVER = math.inf
DAY_MS = 86_400_000
PRIOR = 2
"""As many boxes of the mean stay are added to what has been seen of each SKU."""

LOOK_AGAIN = 16
"""Stays are looked at after the first row, and again after so many, or as many as there are SKUs if that is more."""


class Slot(NamedTuple):
    """A slot; slots sort by time from the inbound port, then by column, level and row, all from 0."""

    in_ms: int
    column: int
    level: int
    row: int
    out_ms: int
    aisle: int = 0
    capacity: int = 1


class Rack(NamedTuple):
    """Slots in order, and the time from one to another; free stacks, so many a slot, where there are any."""

    slots: Sequence[Slot]
    between_ms: Callable[[Slot, Slot], int]
    stacks: int = 0


class Row(NamedTuple):
    """A row of a trace in `seq` order; SKUs are numbered as they appear."""

    time_ms: int
    arrives: bool
    unit: str
    sku: int


class Visit:
    """A unit in the store from one row to another."""

    def __init__(self, number: int, sku: int, row: int, time_ms: int) -> None:
        self.number, self.sku = number, sku
        self.first, self.last = row, NEVER
        self.arrives_ms, self.leaves_ms = time_ms, NEVER
        self.slot = Slot(0, 0, 0, 0, 0)
        self.expected_ms: Fraction | float = NEVER

    @property
    def stay_ms(self) -> float:
        return self.leaves_ms - self.arrives_ms

    @property
    def day(self) -> int:
        return self.arrives_ms // DAY_MS


# -- Racks ----------------------------------------------------------------------------------------------


def rack_a() -> Rack:
    """43 columns x 6 levels: 0.6 m at 2 m/s and 0.5 m at 0.5 m/s, at the same time; the port is at 0."""

    def way_ms(columns: int, levels: int) -> int:
        return max(300 * abs(columns), 1000 * abs(levels))

    ways = {(c, v): way_ms(c + 1, v) for c in range(43) for v in range(6)}
    slots = sorted(Slot(ms, c, v, 0, ms) for (c, v), ms in ways.items())
    return Rack(slots, lambda a, b: way_ms(a.column - b.column, a.level - b.level))


def small_rack(
    rows: int, columns: int, levels: int, capacity: int, out_aisle: int, out_x_mm: int, stacks: int = 0
) -> Rack:
    """A row an aisle, 2 m apart; columns and levels 1 m apart; 1 m/s along one axis after the other.

    The inbound port is at the corner of aisle 1, the outbound one at an aisle (from 0), so far from its mouth.
    """

    def way_ms(a: tuple[int, int, int], b: tuple[int, int, int]) -> int:
        (aisle_a, x_a, z_a), (aisle_b, x_b, z_b) = a, b
        drive = abs(x_a - x_b) if aisle_a == aisle_b else x_a + 2000 * abs(aisle_a - aisle_b) + x_b
        return drive + abs(z_a - z_b)

    def at(row: int, column: int, level: int) -> tuple[int, int, int]:
        return row, 1000 * (column + 1), 1000 * level

    slots = []
    for row in range(rows):
        for column in range(columns):
            for level in range(levels):
                here = at(row, column, level)
                in_ms, out_ms = way_ms((0, 0, 0), here), way_ms(here, (out_aisle, out_x_mm, 0))
                slots.append(Slot(in_ms, column, level, row, out_ms, row, capacity))

    def between_ms(a: Slot, b: Slot) -> int:
        return way_ms(at(a.row, a.column, a.level), at(b.row, b.column, b.level))

    return Rack(sorted(slots), between_ms, stacks)


# -- Traces ---------------------------------------------------------------------------------------------


def text_of(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def rows_of(path: Path) -> list[Row]:
    """The rows of a trace whose lines stand in `seq` order."""
    lines = list(csv.DictReader(text_of(path).splitlines()))
    numbers = {sku: k for k, sku in enumerate(dict.fromkeys(line["sku"] for line in lines))}
    return [
        Row(round(1000 * float(line["time_s"])), line["op"] == "in", line["unit"], numbers[line["sku"]])
        for line in lines
    ]


# -- The store ------------------------------------------------------------------------------------------


class SlowStore:
    """A store while a trace is replayed, with the whole trace at hand."""

    def __init__(self, rack: Rack, rows: Sequence[Row]) -> None:
        self.rack, self.rows = rack, rows
        self.skus = 1 + max(row.sku for row in rows)
        self.row = 0
        self.here: list[Visit] = []
        self.held: Counter[Slot] = Counter()
        self.stacks: dict[Slot, list[list[Visit]]] = {s: [[] for _ in range(rack.stacks)] for s in rack.slots}
        self.visits: list[Visit] = []
        self.visit_of_row: list[Visit] = []
        inside: dict[str, Visit] = {}
        for number, row in enumerate(rows):
            if row.arrives:
                visit = inside[row.unit] = Visit(len(self.visits), row.sku, number, row.time_ms)
                self.visits.append(visit)
            else:
                visit = inside.pop(row.unit)
                visit.last, visit.leaves_ms = number, row.time_ms
            self.visit_of_row.append(visit)
        self.learned = Known(self, len(rows) // 3)
        self._latest = Known(self, 0)

    @cached_property
    def zones(self) -> tuple[list[list[int]], list[Sequence[Slot]]]:
        """The SKUs and the slots of three classes."""
        classes = self.learned.classes(3)
        shares = (sum((self.learned.stock[s] for s in skus), Fraction(0)) for skus in classes)
        return classes, ranges_of(self.rack, shares)

    @cached_property
    def own_slots(self) -> dict[int, Sequence[Slot]]:
        """The slots of each SKU, in proportion to its stock, the fastest nearest."""
        learned = self.learned
        ranges = ranges_of(self.rack, (learned.stock[s] for s in learned.fastest))
        return dict(zip(learned.fastest, ranges, strict=True))

    def latest(self) -> "Known":
        """What the rows so far tell of the SKUs, as of the last look."""
        every = max(LOOK_AGAIN, self.skus)
        looked = 1 + (self.row - 1) // every * every if self.row else 0
        if self._latest.row != looked:
            self._latest = Known(self, looked)
        return self._latest

    def room(self, slot: Slot) -> int:
        return slot.capacity - self.held[slot]

    @property
    def open(self) -> list[Slot]:
        return [slot for slot in self.rack.slots if self.held[slot] < slot.capacity]

    def open_stacks(self, slot: Slot) -> list[list[Visit]]:
        """The stacks of a slot with room, the first first; the lowest unit of each comes first."""
        height = slot.capacity // self.rack.stacks
        return [stack for stack in self.stacks[slot] if len(stack) < height]

    def next_leaver(self) -> Visit | None:
        """The unit of the next departure of the trace, if it has arrived."""
        for number in range(self.row, len(self.rows)):
            if not self.rows[number].arrives:
                visit = self.visit_of_row[number]
                return visit if visit in self.here else None
        return None

    def closest_to_place(self, place: int) -> Slot:
        """The open slot whose rank is closest to the rank of a place, places counted from the port on."""
        places = [rank for rank, slot in enumerate(self.rack.slots) for _ in range(slot.capacity)]
        wanted = places[min(place, len(places) - 1)]
        rank_of = {slot: rank for rank, slot in enumerate(self.rack.slots)}
        return min(self.open, key=lambda slot: (abs(rank_of[slot] - wanted), rank_of[slot]))


class Known:
    """What the rows before one tell of the SKUs: demand, mean stay, and so the share of the stock."""

    def __init__(self, store: SlowStore, row: int) -> None:
        self.row = row
        now_ms = store.rows[row - 1].time_ms if row else 0
        skus = range(store.skus)
        left, box_ms, here = [0] * store.skus, [0] * store.skus, [0] * store.skus
        for visit in store.visits:
            if visit.first < row:
                has_left = visit.last < row
                left[visit.sku] += has_left
                here[visit.sku] += not has_left
                box_ms[visit.sku] += int(visit.leaves_ms if has_left else now_ms) - visit.arrives_ms
        mean = Fraction(sum(box_ms), max(1, sum(left)))
        self.stays_ms = [(box_ms[s] + PRIOR * mean) / (left[s] + PRIOR) for s in skus]
        demand = [left[s] + Fraction(PRIOR, store.skus) for s in skus]
        stock = [demand[s] * self.stays_ms[s] for s in skus]
        self.demand = [d / sum(demand) for d in demand]
        self.stock = [b / sum(stock) if sum(stock) else Fraction(1, store.skus) for b in stock]
        speed = [d / s for d, s in zip(self.demand, self.stock, strict=True)]
        self.fastest = sorted(skus, key=lambda s: (-speed[s], -self.demand[s], s))
        self.speed = speed
        by_stay = sorted(skus, key=lambda s: (self.stays_ms[s], s))
        self.boxes_before = {
            sku: sum(here[s] for s in by_stay[:k]) + here[sku] // 2 for k, sku in enumerate(by_stay)
        }

    def middle(self, sku: int) -> Fraction:
        before = self.fastest[: self.fastest.index(sku)]
        return sum((self.stock[s] for s in before), self.stock[sku] / 2)

    def classes(self, zones: int) -> list[list[int]]:
        """The SKUs of each class, fastest first: the cut with the least expected time, tried one by one."""
        demand = [float(self.demand[s]) for s in self.fastest]
        upto = [0.0, *accumulate(float(self.stock[s]) for s in self.fastest)]
        if len(demand) < zones or max(self.speed) - min(self.speed) < 1e-9:
            borders = (2 / 3, 0.9, *(0.9 + 0.1 * (k + 1) / (zones - 2) for k in range(zones - 3)))[
                : zones - 1
            ]
            begins = [0.0, *accumulate(demand)]
            cuts = [sum(begin < border - 1e-12 for begin in begins[:-1]) for border in borders]
        else:

            def expected(cuts: tuple[int, ...]) -> float:
                ends = (0, *cuts, len(demand))
                return sum(
                    sum(demand[a:b]) * (2 / 3) * (upto[b] ** 1.5 - upto[a] ** 1.5) / (upto[b] - upto[a])
                    for a, b in pairwise(ends)
                )

            cuts = min(
                combinations(range(1, len(demand)), zones - 1), key=lambda cuts: round(expected(cuts), 12)
            )
        ends = [0, *cuts, len(demand)]
        return [self.fastest[a:b] for a, b in pairwise(ends)]


def ranges_of(rack: Rack, shares: Iterable[Fraction]) -> list[Sequence[Slot]]:
    """Cut the slots into stretches that hold shares of the places, to the nearest slot."""
    before = [0, *accumulate(slot.capacity for slot in rack.slots)]
    shares = list(shares)
    ends = [bisect_left(before, upto * before[-1] - Fraction(1, 2)) for upto in accumulate(shares)]
    ends[-1] = len(rack.slots)
    return [rack.slots[a:b] for a, b in pairwise([0, *ends])]


# -- Rules ----------------------------------------------------------------------------------------------

SlowRule = Callable[[SlowStore, Visit], Slot]


def closest_open(store: SlowStore, visit: Visit) -> Slot:
    return min(store.open)


def farthest_open(store: SlowStore, visit: Visit) -> Slot:
    return max(store.open)


def first_free(store: SlowStore, visit: Visit) -> Slot:
    return min(store.open, key=lambda slot: (slot.column, slot.level, slot.row))


def closest_to_destination(store: SlowStore, visit: Visit) -> Slot:
    return min(store.open, key=lambda slot: (slot.out_ms, slot.column, slot.level, slot.row))


def closest_to_next_retrieval(store: SlowStore, visit: Visit) -> Slot:
    leaver = store.next_leaver()
    if leaver is None:
        return min(store.open)
    return min(store.open, key=lambda slot: (store.rack.between_ms(leaver.slot, slot), slot))


def shortest_leg(store: SlowStore, visit: Visit) -> Slot:
    leaver = store.next_leaver()
    if leaver is None:
        return min(store.open)
    return min(store.open, key=lambda slot: (slot.in_ms + store.rack.between_ms(slot, leaver.slot), slot))


def class_based(store: SlowStore, visit: Visit) -> Slot:
    classes, zones = store.zones
    (own,) = (k for k, skus in enumerate(classes) if visit.sku in skus)
    for k in [own, *range(own + 1, 3), *range(own - 1, -1, -1)]:
        if room := [slot for slot in zones[k] if store.room(slot)]:
            return room[0]
    raise AssertionError("no room")


def dedicated(store: SlowStore, visit: Visit) -> Slot:
    return min([slot for slot in store.own_slots[visit.sku] if store.room(slot)] or store.open)


def turnover(store: SlowStore, visit: Visit) -> Slot:
    return store.closest_to_place(math.floor(store.learned.middle(visit.sku) * len(store.here)))


def learned_stay(store: SlowStore, visit: Visit) -> Slot:
    return store.closest_to_place(store.latest().boxes_before[visit.sku])


def duration_of_stay(store: SlowStore, visit: Visit) -> Slot:
    return store.closest_to_place(sum(other.stay_ms < visit.stay_ms for other in store.here))


def age_zoned(store: SlowStore, visit: Visit) -> Slot:
    days = [other.day for other in store.here]
    return store.closest_to_place(sum(day < visit.day for day in days) + days.count(visit.day) // 2)


def lot_pure(store: SlowStore, visit: Visit) -> Slot:
    of_lot = {other.slot for other in store.here if other.sku == visit.sku}
    return min(
        [slot for slot in store.open if slot in of_lot]
        or [slot for slot in store.open if store.room(slot) == slot.capacity]
        or store.open
    )


def levelling(store: SlowStore, visit: Visit) -> Slot:
    return min(store.open, key=lambda slot: (-store.room(slot), slot))


def aisle_balanced(store: SlowStore, visit: Visit) -> Slot:
    def share(aisle: int) -> Fraction:
        slots = [slot for slot in store.rack.slots if slot.aisle == aisle]
        return Fraction(sum(map(store.room, slots)), sum(slot.capacity for slot in slots))

    aisles = sorted({slot.aisle for slot in store.open})
    best = max(aisles, key=share)
    return min(slot for slot in store.open if slot.aisle == best)


def heavy_low(store: SlowStore, visit: Visit) -> Slot:
    """All boxes weigh the same in a replay, as the heaviest: the lowest level first."""
    return min(store.open, key=lambda slot: (slot.level, slot))


def fewest_blockings(store: SlowStore, visit: Visit) -> Slot:
    if not store.rack.stacks:
        return min(store.open)

    def blocked(slot: Slot) -> int:
        return min(blocked_beneath(stack, visit) for stack in store.open_stacks(slot))

    return min(store.open, key=lambda slot: (blocked(slot), slot))


def blocked_beneath(stack: Sequence[Visit], visit: Visit) -> int:
    return sum(other.expected_ms < visit.expected_ms for other in stack)


RULES: dict[str, SlowRule] = {
    "closest-open": closest_open,
    "farthest-open": farthest_open,
    "first-free": first_free,
    "class-based": class_based,
    "turnover": turnover,
    "learned-stay": learned_stay,
    "duration-of-stay": duration_of_stay,
    "lot-pure": lot_pure,
    "levelling": levelling,
    "dedicated": dedicated,
    "closest-to-destination": closest_to_destination,
    "closest-to-next-retrieval": closest_to_next_retrieval,
    "shortest-leg": shortest_leg,
    "aisle-balanced": aisle_balanced,
    "heavy-low": heavy_low,
    "age-zoned": age_zoned,
    "fewest-blockings": fewest_blockings,
    "optimal-turnover": closest_open,  # a box alone gets the nearest place
}
"""Every rule that draws nothing and has one right answer."""


# -- The replay -----------------------------------------------------------------------------------------


class Replayed(NamedTuple):
    slots: list[Slot]
    total_ms: int
    rest_ms: int
    digs: int


def slow_replay(rack: Rack, rows: Sequence[Row], rule: SlowRule, *, knows: bool = False) -> Replayed:
    """The slot of each arrival, the sums of the one-way times (of all scored rows, and after the first third), digs.

    `knows`: whether units are expected to leave when they do.
    """
    store = SlowStore(rack, rows)
    slots: list[Slot] = []
    total_ms = rest_ms = digs = 0
    for number, (row, visit) in enumerate(zip(rows, store.visit_of_row, strict=True)):
        store.row = number
        if row.arrives:
            if rack.stacks:
                stay_ms = store.latest().stays_ms[visit.sku] if number else 0
                visit.expected_ms = visit.leaves_ms if knows else visit.arrives_ms + stay_ms
            slot = visit.slot = rule(store, visit)
            assert store.room(slot) > 0
            slots.append(slot)
            store.here.append(visit)
            store.held[slot] += 1
            if rack.stacks:
                stacks = store.open_stacks(slot)
                best = min(stacks, key=lambda stack: blocked_beneath(stack, visit))
                (best if rule is fewest_blockings else stacks[0]).append(visit)
            way_ms = slot.in_ms if row.time_ms > 0 else 0
        else:
            store.here.remove(visit)
            store.held[visit.slot] -= 1
            for stack in store.stacks[visit.slot]:
                if visit in stack:
                    digs += len(stack) - 1 - stack.index(visit)
                    stack.remove(visit)
            way_ms = visit.slot.out_ms
        total_ms += way_ms
        rest_ms += way_ms if number >= len(rows) // 3 else 0
    return Replayed(slots, total_ms, rest_ms, digs)


def as_decided(slots: Iterable[Slot]) -> SlowRule:
    """A rule that repeats what was decided, to add up its times."""
    decided = iter(slots)
    return lambda store, visit: next(decided)
