"""What `sim.slots` keeps and the rules of `sim.allocation` decide, a second time and in the most obvious form.

Everything is counted from scratch at every question: which boxes stand in which slot, which slots are out of use
and which boxes have come and gone. A rule is a function that gives all slots that its sentence allows. Where a
share of places ends just at a border, or a number is cut just at a whole one, both sides are allowed.
"""

import math
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from hypothesis import strategies as st

from sim.allocation import POLICIES, BoxView, SlotIndex, allocate, allocate_batch
from sim.facts import NONE
from sim.robots import RobotParams
from sim.streams import Stream
from sim.travel import Travel
from sim.turnover import PRIOR_BOXES, Turnover
from tests.worlds import layout_of

STREAM = Stream(1, "policy.allocation")
BOX = BoxView(box=5, sku=0, lot=0, verified_day=0, meters=15)
EPSILON = Fraction(1, 10**9)
OVERFLOWS = ("outward", "inward", "nearest")
BOXES = 20
"""Boxes that a plan knows a slot for."""


class Store(NamedTuple):
    """A store to be built: its layout, what a robot needs from place to place, and how boxes are divided."""

    layout: object
    travel: object
    times: tuple
    turnover: Turnover
    zones: int
    borders: tuple
    overflow: str
    admits: tuple
    class_of_sku: tuple

    def index(self):
        return SlotIndex(
            self.layout, self.times, self.turnover, self.zones, borders=self.borders, overflow=self.overflow,
            travel=self.travel, admits=self.admits, class_of_sku=self.class_of_sku,
        )  # fmt: skip


class Held(NamedTuple):
    """A box in a slot or bound for it."""

    sku: int
    lot: int
    day: int


class Plain:
    """A store by plain counting: the boxes taken in each slot, the reasons why one is out of use, the past."""

    def __init__(self, store):
        self.store, self.layout = store, store.layout
        self.taken = {slot: [] for slot in range(self.layout.slots)}
        self.reasons = {slot: set() for slot in self.taken}
        self.now = 0
        self.past = []
        """(time, SKU, +1 or -1) of all that came and went."""

    # -- slots -------------------------------------------------------------------------------------

    def room(self, slot):
        return self.layout.capacity[slot] - len(self.taken[slot])

    def admits(self, slot, box_class=0):
        mask = self.store.admits[box_class]
        return mask is None or mask[slot] == 1

    def open(self, box_class=0):
        return [
            slot
            for slot in self.taken
            if self.room(slot) > 0 and not self.reasons[slot] and self.admits(slot, box_class)
        ]

    def places(self, box_class=0):
        """Places that boxes of a class may have at all."""
        return sum(self.layout.capacity[slot] for slot in self.taken if self.admits(slot, box_class))

    # -- orders ------------------------------------------------------------------------------------

    def by_position(self, slot):
        layout = self.layout
        return layout.column[slot], layout.level[slot], layout.row[slot]

    def by_time(self, slot):
        return self.store.times[slot], *self.by_position(slot)

    def by_out_time(self, slot):
        return self.travel_ms(self.layout.outbound, slot), *self.by_position(slot)

    def by_aisle(self, slot):
        return self.layout.aisle[slot], *self.by_time(slot)

    def by_level(self, slot):
        return self.layout.level[slot], *self.by_time(slot)

    def rank(self, slot):
        return sum(self.by_time(other) < self.by_time(slot) for other in self.taken)

    def travel_ms(self, place, slot):
        z = self.layout.z_mm
        return self.store.travel.between_ms(place, int(z[place]), slot, int(z[slot]))

    # -- SKUs --------------------------------------------------------------------------------------

    def class_of(self, sku):
        classes = self.store.class_of_sku
        return classes[sku] if sku < len(classes) else 0

    def weight(self, sku, box_class):
        """The share of the places for the SKU's boxes that also take boxes of a class."""
        own = self.class_of(sku)
        both = sum(
            self.layout.capacity[slot]
            for slot in self.taken
            if self.admits(slot, own) and self.admits(slot, box_class)
        )
        return Fraction(both, self.places(own)) if both else Fraction(0)

    def turnover(self, box_class):
        """Demand and stock of each SKU that compete for the places of a class, as exact shares."""
        given = self.store.turnover
        weights = [Fraction(1)] * len(given.demand)
        if len(self.store.admits) > 1:
            weights = [self.weight(sku, box_class) for sku in range(len(given.demand))]
        return [
            shares_of([weight * Fraction(each) for weight, each in zip(weights, amounts, strict=True)])
            for amounts in (given.demand, given.stock)
        ]

    def fastest(self, box_class):
        demand, stock = self.turnover(box_class)
        speed = [d / s if s else Fraction(0) for d, s in zip(demand, stock, strict=True)]
        return sorted(range(len(demand)), key=lambda sku: (-speed[sku], -demand[sku], sku))

    def here(self):
        return Counter(box.sku for boxes in self.taken.values() for box in boxes)


def shares_of(amounts):
    total = sum(amounts)
    return [amount / total for amount in amounts] if total else [Fraction(1, len(amounts))] * len(amounts)


# --- the rules again -------------------------------------------------------------------------------------


def first(slots, key):
    return {min(slots, key=key)} if slots else set()


def closest_open(plain, box, slots, **_):
    return first(slots, plain.by_time)


def class_based(plain, box, slots, *, box_class, **_):
    allowed = set()
    for epsilon in (-EPSILON, 0, EPSILON):
        zone_of_sku, zone_of_slot = zones(plain, box_class, epsilon)
        own = zone_of_sku.get(box.sku, max(zone_of_slot.values()))
        tries = sorted(set(zone_of_slot.values()), key=turn(plain.store.overflow, own))
        for zone in tries:
            if here := [slot for slot in slots if zone_of_slot[slot] == zone]:
                allowed |= first(here, plain.by_time)
                break
    return allowed


def turn(overflow, own):
    """When a zone is tried: a zone's own boxes first, then by `policy.overflow`."""
    return {
        "outward": lambda zone: (zone < own, abs(zone - own)),
        "inward": lambda zone: (zone > own, abs(zone - own)),
        "nearest": lambda zone: (abs(zone - own), -zone),
    }[overflow]


def zones(plain, box_class, epsilon):
    """The zone of each SKU and of each slot: a SKU's is where its part of the demand begins."""
    store, (demand, stock) = plain.store, plain.turnover(box_class)
    borders = store.borders or Turnover([*map(float, demand)], [*map(float, stock)]).borders(store.zones)
    of_sku, running, held = {}, Fraction(0), [Fraction(0)] * (len(borders) + 1)
    for sku in plain.fastest(box_class):
        of_sku[sku] = sum(running >= Fraction(border) - epsilon for border in borders)
        held[of_sku[sku]] += stock[sku]
        running += demand[sku]
    return of_sku, cut(plain, box_class, held, epsilon)


def cut(plain, box_class, shares, epsilon):
    """The part of each slot when the slots are cut by port time into shares of the places, to the nearest slot."""
    ends = [sum(shares[: k + 1]) * plain.places(box_class) - Fraction(1, 2) for k in range(len(shares) - 1)]
    of_slot, before = {}, 0
    for slot in sorted(plain.taken, key=plain.by_time):
        of_slot[slot] = sum(before >= end - epsilon for end in ends)
        if plain.admits(slot, box_class):
            before += plain.layout.capacity[slot]
    return of_slot


def by_rank(plain, slots, box_class, places):
    """The open slots closest to the slots that hold some places, counted from the port on; lower of two."""
    ranked = sorted(plain.taken, key=plain.by_time)
    held = [
        rank
        for rank, slot in enumerate(ranked)
        if plain.admits(slot, box_class)
        for _ in range(plain.layout.capacity[slot])
    ]
    allowed = set()
    for place in {math.floor(places - EPSILON), math.floor(places + EPSILON)} if slots else ():
        wanted = held[min(max(place, 0), len(held) - 1)]
        allowed |= first(slots, lambda slot, at=wanted: (abs(plain.rank(slot) - at), plain.rank(slot)))
    return allowed


def weighed(plain, box_class, count):
    """A count by SKU, each SKU's by its share in a class."""
    if len(plain.store.admits) == 1:
        return Fraction(sum(count.values()))
    return sum((plain.weight(sku, box_class) * boxes for sku, boxes in count.items()), Fraction(0))


def turnover(plain, box, slots, *, box_class, **_):
    stock, fastest = plain.turnover(box_class)[1], plain.fastest(box_class)
    middle = Fraction(1)
    if box.sku in fastest:
        middle = sum((stock[sku] for sku in fastest[: fastest.index(box.sku)]), stock[box.sku] / 2)
    return by_rank(plain, slots, box_class, middle * weighed(plain, box_class, plain.here()))


def learned_stay(plain, box, slots, *, box_class, **_):
    skus = len(plain.store.turnover.demand)
    here, stays = looked_at(plain.past, skus)
    faster = sorted(range(skus), key=lambda sku: (stays[sku], sku))
    count = Counter({sku: here[sku] for sku in faster[: faster.index(box.sku)]})
    count[box.sku] = Fraction(here[box.sku], 2)
    return by_rank(plain, slots, box_class, weighed(plain, box_class, count))


def looked_at(past, skus):
    """Boxes here and mean stays of the SKUs at the last look: after 1 event and every max(16, SKUs) more."""
    looks = [n for n in range(len(past) + 1) if n % max(16, skus) == 1 % max(16, skus)]
    seen = past[: looks[-1]] if looks else []
    return counted(seen, skus), stays_of(seen, skus, seen[-1][0] if seen else 0)


def counted(past, skus):
    return [sum(change for _, sku, change in past if sku == each) for each in range(skus)]


def stays_of(past, skus, now):
    """Box-time over departures of each SKU, with so many boxes more of the mean of all."""
    box_ms = [0] * skus
    for sku in range(skus):
        moments = [(at, change) for at, each, change in past if each == sku]
        here = 0
        for (at, change), (until, _) in pairwise([*moments, (now, 0)]):
            here += change
            box_ms[sku] += here * (until - at)
    left = [sum(sku == each and change < 0 for _, sku, change in past) for each in range(skus)]
    mean = sum(box_ms) / max(1, sum(left))
    return [(ms + PRIOR_BOXES * mean) / (n + PRIOR_BOXES) for ms, n in zip(box_ms, left, strict=True)]


def duration_of_stay(plain, box, slots, *, box_class, stays, **_):
    shorter = sum(stay < box.leaves_ms - box.now_ms for stay in stays)
    return by_rank(plain, slots, box_class, Fraction(shorter))


def age_zoned(plain, box, slots, *, box_class, **_):
    count = Counter()
    for each in (each for boxes in plain.taken.values() for each in boxes):
        count[each.sku] += Fraction((each.day < box.verified_day) + (each.day <= box.verified_day), 2)
    return by_rank(plain, slots, box_class, weighed(plain, box_class, count))


def offline_oracle(plain, box, slots, *, plan, **_):
    return {plan[box.box]} if plan[box.box] in slots else first(slots, plain.by_time)


def dedicated(plain, box, slots, *, box_class, **_):
    fastest, stock = plain.fastest(box_class), plain.turnover(box_class)[1]
    allowed = set()
    for epsilon in (-EPSILON, 0, EPSILON):
        part = cut(plain, box_class, [stock[sku] for sku in fastest], epsilon)
        own = [slot for slot in slots if fastest[part[slot]] == box.sku]
        allowed |= first(own or slots, plain.by_time)
    return allowed


def lot_pure(plain, box, slots, **_):
    own = [slot for slot in slots if any(each.lot == box.lot for each in plain.taken[slot])]
    return first(own or [slot for slot in slots if not plain.taken[slot]] or slots, plain.by_time)


def levelling(plain, box, slots, **_):
    return first(slots, lambda slot: (-plain.room(slot), plain.by_time(slot)))


def aisle_balanced(plain, box, slots, *, box_class, **_):
    def share(aisle):
        mine = [s for s in plain.taken if plain.layout.aisle[s] == aisle and plain.admits(s, box_class)]
        room = sum(plain.room(slot) for slot in mine if slot in slots)
        return Fraction(room, sum(plain.layout.capacity[slot] for slot in mine))

    return first(slots, lambda s: (-share(plain.layout.aisle[s]), plain.layout.aisle[s], plain.by_time(s)))


def heavy_low(plain, box, slots, *, weights_g, **_):
    lightest, heaviest = weights_g
    heaviness = 1.0
    if heaviest > lightest:
        heaviness = min(1.0, max(0.0, (box.weight_g - lightest) / (heaviest - lightest)))
    levels = sorted(set(plain.layout.level.tolist()))
    wanted = round((1 - heaviness) * (len(levels) - 1))
    return first(
        slots,
        lambda s: (
            abs(levels.index(plain.layout.level[s]) - wanted), plain.layout.level[s], plain.by_time(s)
        ),
    )  # fmt: skip


def closest_to_destination(plain, box, slots, **_):
    return first(slots, plain.by_out_time)


def closest_to_next_retrieval(plain, box, slots, *, following, **_):
    if following == NONE:
        return first(slots, plain.by_time)
    return first(slots, lambda slot: (plain.travel_ms(following, slot), plain.by_time(slot)))


def shortest_leg(plain, box, slots, *, following, **_):
    if following == NONE:
        return first(slots, plain.by_time)
    times = plain.store.times
    return first(slots, lambda slot: (times[slot] + plain.travel_ms(following, slot), plain.by_time(slot)))


def cost(plain, box, slot):
    """What `assignment` pays: time weighted by turnover, and 5 s where lots get mixed."""
    speeds = plain.store.turnover.speed
    speed = speeds[box.sku] if box.sku < len(speeds) else 0.0
    is_mixed = plain.taken[slot] and all(each.lot != box.lot for each in plain.taken[slot])
    return speed * plain.store.times[slot] + 5000.0 * bool(is_mixed)


def assignment(plain, box, slots, **_):
    least = min((cost(plain, box, slot) for slot in slots), default=0.0)
    return {slot for slot in slots if cost(plain, box, slot) <= least + 1e-6}


OBVIOUS = {
    "closest-open": closest_open,
    "random": lambda plain, box, slots, **_: set(slots),
    "farthest-open": lambda plain, box, slots, **_: {max(slots, key=plain.by_time)} if slots else set(),
    "first-free": lambda plain, box, slots, **_: first(slots, plain.by_position),
    "class-based": class_based,
    "turnover": turnover,
    "learned-stay": learned_stay,
    "duration-of-stay": duration_of_stay,
    "offline-oracle": offline_oracle,
    "lot-pure": lot_pure,
    "levelling": levelling,
    "dedicated": dedicated,
    "closest-to-destination": closest_to_destination,
    "closest-to-next-retrieval": closest_to_next_retrieval,
    "shortest-leg": shortest_leg,
    "aisle-balanced": aisle_balanced,
    "heavy-low": heavy_low,
    "age-zoned": age_zoned,
    "fewest-blockings": closest_open,  # where boxes do not stand on one another
    "optimal-turnover": closest_open,  # a box alone
    "assignment": assignment,  # nothing announced
}
"""The rules again: `(plain, box, slots, box_class=..., what is known...) -> allowed slots`, `slots` the open ones."""


# --- any store, any state --------------------------------------------------------------------------------


@cache
def layouts(rows, columns, levels, boxes, few, single_sided, port_x_m, robot):
    """A layout and its travel times; column 2 holds `few` boxes a slot; the port in the last aisle if it has an x."""
    aisles = rows if single_sided else (rows + 1) // 2
    ports = None if port_x_m is None else [{"name": "p", "aisle": aisles, "x_m": port_x_m, "z_m": 0.7}]
    layout = layout_of(
        rows=rows, columns=columns, levels=levels, boxes_per_slot=boxes, single_sided=single_sided, ports=ports,
        capacity=[{"columns": [2], "boxes": few}] if columns > 1 else [], aisle_pitch_m=1.5,
    )  # fmt: skip
    return layout, Travel(layout, RobotParams(**dict(robot)))


SIMULTANEOUS = (("axes", "simultaneous"), ("turn_s", 0.0), ("lift_speed_m_per_s", 0.3))
SEQUENTIAL = (("axes", "sequential"), ("acceleration_m_per_s2", math.inf), ("turn_s", 4.0))


def parts(total, most):
    """A total in 1 to `most` whole parts, none of them zero."""
    cuts = st.lists(st.integers(1, total - 1), max_size=most - 1, unique=True).map(sorted)
    return cuts.map(lambda at: [b - a for a, b in pairwise([0, *at, total])])


@st.composite
def stores(draw, most_classes=3):
    """A store with one to four aisles, slots of 0 to 3 boxes, port times with ties, classes of boxes and SKUs."""
    layout, travel = layouts(
        draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(1, 3)),
        draw(st.integers(0, 3)), draw(st.booleans()), draw(st.sampled_from([None, 0.0, 2.0])),
        draw(st.sampled_from([(), SIMULTANEOUS, SEQUENTIAL])),
    )  # fmt: skip
    times = tuple(travel.one_way_ms(layout.inbound).tolist())
    if draw(st.booleans()):
        times = tuple(draw(st.lists(st.integers(0, 4), min_size=layout.slots, max_size=layout.slots)))
    masks = st.none() | st.lists(st.integers(0, 1), min_size=layout.slots, max_size=layout.slots).map(bytes)
    admits = draw(st.lists(masks, min_size=1, max_size=most_classes))
    # Parts of 64, so that shares are exact.
    demand = draw(parts(64, 5))
    stock = draw(st.none() | st.permutations(demand) | parts(64, 5).filter(lambda s: len(s) == len(demand)))
    zones = draw(st.integers(2, 5))
    borders = st.lists(st.integers(1, 63), min_size=zones - 1, max_size=zones - 1, unique=True)
    return Store(
        layout, travel, times, Turnover(demand, stock), zones,
        tuple(sorted(each / 64 for each in draw(borders))) if draw(st.booleans()) else (),
        draw(st.sampled_from(OVERFLOWS)), tuple(admits),
        tuple(draw(st.lists(st.integers(0, len(admits) - 1), min_size=len(demand), max_size=len(demand)))),
    )  # fmt: skip


operations = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "give", "give", "block", "hold", "unblock", "release", "ask"]),
        st.integers(0, 31), st.integers(0, 4), st.integers(0, 2),
    ),
    max_size=100,
)  # fmt: skip
"""(verb, slot, SKU, lot), each number taken modulo how many there are."""


def apply(plain, index, operation, *, ask=True):
    """One operation on both, where it is legal; `ask` has what is lazy built at that moment."""
    verb, number, sku, lot = operation
    slot = number % plain.layout.slots
    sku %= len(plain.store.turnover.demand)
    plain.now += number
    day = 100 + number % 5
    if verb == "take" and plain.room(slot) > 0:
        index.take(slot, lot)
        index.stays.arrived(sku, plain.now, day)
        plain.taken[slot].append(Held(sku, lot, day))
        plain.past.append((plain.now, sku, 1))
    elif verb == "give" and plain.taken[slot]:
        box = plain.taken[slot].pop(number % len(plain.taken[slot]))
        index.give(slot, box.lot)
        index.stays.left(box.sku, plain.now, box.day)
        plain.past.append((plain.now, box.sku, -1))
    elif verb in {"block", "hold"}:
        index.block(slot, True, verb)
        plain.reasons[slot].add(verb)
    elif verb in {"unblock", "release"}:
        reason = "block" if verb == "unblock" else "hold"
        index.block(slot, False, reason)
        plain.reasons[slot].discard(reason)
    elif verb == "ask" and ask:
        for rule in POLICIES.values():
            allocate(rule, BOX._replace(sku=sku, lot=lot), index, STREAM)
        boxes = [BOX._replace(box=k, sku=(sku + k) % 5, lot=lot) for k in range(number % 4)]
        allocate_batch(list(POLICIES.values())[number % len(POLICIES)], boxes, index, STREAM)


def both(store, done=(), *, ask=True):
    """A store by plain counting and as it is, after some operations."""
    plain, index = Plain(store), store.index()
    index.plan = [box % plain.layout.slots for box in range(BOXES)]
    for operation in done:
        apply(plain, index, operation, ask=ask)
    return plain, index
