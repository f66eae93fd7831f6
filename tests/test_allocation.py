"""Allocation: every rule against an obvious one, the index against plain counting, zones by hand."""

import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import POLICIES, BoxView, SlotIndex, SlotView
from sim.facts import NONE
from sim.streams import Stream
from tests.worlds import layout_of

STREAM = Stream(1, "policy.allocation")
BOX = BoxView(box=5, sku=0, lot=0, verified_day=0, meters=15)


class Plain:
    """What `SlotIndex` keeps, by plain counting: the boxes taken in each slot by lot, and the blocked slots."""

    def __init__(self, layout, port_time_ms):
        self.layout, self.time = layout, list(port_time_ms)
        self.taken = {slot: [] for slot in range(layout.slots)}
        self.blocked = set()

    def room(self, slot):
        return self.layout.capacity[slot] - len(self.taken[slot])

    @property
    def open(self):
        return [s for s in self.taken if self.room(s) > 0 and s not in self.blocked]

    def by_time(self, slot):
        return self.time[slot], *self.by_position(slot)

    def by_position(self, slot):
        layout = self.layout
        return layout.column[slot], layout.level[slot], layout.row[slot]


# The rules again, in the most obvious form.
OBVIOUS = {
    "closest-open": lambda box, plain, zones: min(plain.open, key=plain.by_time, default=NONE),
    "farthest-open": lambda box, plain, zones: max(plain.open, key=plain.by_time, default=NONE),
    "first-free": lambda box, plain, zones: min(plain.open, key=plain.by_position, default=NONE),
    "class-based": lambda box, plain, zones: min(
        plain.open, key=lambda s: (zones.distance(s, box.sku), plain.by_time(s)), default=NONE
    ),
    "lot-pure": lambda box, plain, zones: min(
        [s for s in plain.open if box.lot in plain.taken[s]]
        or [s for s in plain.open if not plain.taken[s]]
        or plain.open,
        key=plain.by_time,
        default=NONE,
    ),
}


class Zones:
    """Demand classes A to 2/3, B to 9/10, C the rest (A and the rest when two); a zone holds its share of places."""

    def __init__(self, plain, shares, count):
        borders = [2 / 3, 0.9][: count - 1]
        total = math.fsum(shares)
        self.count, self.of_sku, running, held = count, {}, 0.0, [0.0] * count
        for sku in sorted(range(len(shares)), key=lambda s: (-shares[s], s)):
            self.of_sku[sku] = sum(running >= border - 1e-9 for border in borders)
            held[self.of_sku[sku]] += shares[sku] / total
            running += shares[sku] / total
        ranked = sorted(plain.taken, key=plain.by_time)
        ends = [math.fsum(held[: zone + 1]) * plain.layout.boxes - 0.5 for zone in range(count - 1)]
        self.of_slot, before = {}, 0
        for slot in ranked:
            self.of_slot[slot] = sum(before >= end for end in ends)
            before += plain.layout.capacity[slot]

    def distance(self, slot, sku):
        """How late the slot's zone is tried: the SKU's own, the next ones out, then back in."""
        own, zone = self.of_sku[sku], self.of_slot[slot]
        return zone - own if zone >= own else self.count - zone


@st.composite
def stores(draw):
    """A small store with slots of 0 to 3 boxes, port times with ties, and random SKU shares."""
    rows, columns, levels = draw(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 2)))
    layout = layout_of(
        rows=rows, columns=columns, levels=levels, boxes_per_slot=draw(st.integers(1, 3)),
        capacity=[{"columns": [c + 1], "boxes": draw(st.integers(0, 3))} for c in range(1, columns)],
    )  # fmt: skip
    times = draw(st.lists(st.integers(0, 4), min_size=layout.slots, max_size=layout.slots))
    shares = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    return layout, times, shares, draw(st.integers(2, 3))


operations = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "give", "give", "block", "unblock", "ask"]),
        st.integers(0, 15),
        st.integers(0, 1),
    ),
    max_size=100,
)


def apply(plain, index, view, operation):
    """One operation on both, where it is legal; `ask` has the lazy orders built at that moment."""
    name, number, lot = operation
    slot = number % plain.layout.slots
    if name == "take" and plain.room(slot) > 0:
        index.take(slot, lot)
        plain.taken[slot].append(lot)
    elif name == "give" and lot in plain.taken[slot]:
        index.give(slot, lot)
        plain.taken[slot].remove(lot)
    elif name == "block":
        index.block(slot, True)
        plain.blocked.add(slot)
    elif name == "unblock":
        index.block(slot, False)
        plain.blocked.discard(slot)
    elif name == "ask":
        list(POLICIES.values())[number % len(POLICIES)](BOX, view, STREAM)


def both(store, done=()):
    layout, times, shares, zones = store
    plain, index = Plain(layout, times), SlotIndex(layout, times, shares, zones)
    view = SlotView(index)
    for operation in done:
        apply(plain, index, view, operation)
    return plain, index, view


class TestRules:
    @pytest.mark.parametrize("name", sorted(OBVIOUS))
    @given(stores(), operations, st.integers(0, 4), st.integers(0, 2))
    @settings(max_examples=60)
    def test_rule_equals_obvious(self, name, store, done, sku, lot):
        """A rule names the slot that its sentence says, in any state; ties go by column, level, row."""
        plain, _, view = both(store, done)
        shares = store[2]
        box = BOX._replace(sku=sku % len(shares), lot=lot)
        expected = OBVIOUS[name](box, plain, Zones(plain, shares, store[3]))
        assert POLICIES[name](box, view, STREAM) == expected

    @given(stores(), operations)
    @settings(max_examples=60)
    def test_random_reaches_every_slot(self, store, done):
        """Uniforms spread evenly over [0, 1) name every open slot equally often."""
        plain, _, view = both(store, done)
        count = len(plain.open)
        named = [view.nth_open((k + 0.5) / (2 * count)) for k in range(2 * count)]
        assert sorted(named) == sorted(2 * plain.open)

    def test_random_belongs_to_the_box(self):
        """A box draws the same uniform whatever was asked before it."""
        layout = layout_of(rows=1, columns=7, levels=1)
        view = SlotView(SlotIndex(layout, range(7)))
        stream = Stream(1, "x")
        first = POLICIES["random"](BOX, view, stream)
        for box in range(100, 140):
            POLICIES["random"](BOX._replace(box=box), view, stream)
        assert POLICIES["random"](BOX, view, stream) == first == int(stream.uniform(BOX.box) * 7)

    def test_ties_go_by_column(self):
        """Of slots equally far, the one of the lowest column wins, then level, then row: not the lowest number."""
        # Rows 1 and 2 (one aisle), columns 1 and 2, level 1: slots 1-01-1, 1-02-1, 2-01-1, 2-02-1 = 0, 1, 2, 3.
        layout = layout_of(rows=2, columns=2, levels=1, boxes_per_slot=2)
        view = SlotView(index := SlotIndex(layout, [9, 5, 5, 5]))
        assert POLICIES["closest-open"](BOX, view, STREAM) == 2
        assert POLICIES["farthest-open"](BOX, view, STREAM) == 0
        assert POLICIES["first-free"](BOX, view, STREAM) == 0
        for slot in (1, 2):
            index.take(slot, BOX.lot)
        assert POLICIES["lot-pure"](BOX, view, STREAM) == 2

    def test_lot_pure_by_steps(self):
        """A lot's own slot comes first, then an empty one, then any with room."""
        layout = layout_of(rows=1, columns=3, levels=1, boxes_per_slot=2)
        index = SlotIndex(layout, [1, 2, 3])
        view = SlotView(index)
        named = []
        for lot in (0, 1, 0, 2, 2, 1, 3):
            slot = POLICIES["lot-pure"](BOX._replace(lot=lot), view, STREAM)
            named.append(slot)
            if slot != NONE:
                index.take(slot, lot)
        # Lots 0, 1, 2 open slots 0, 1, 2; the second boxes of 0, 2, 1 join them; then the store is full.
        assert named == [0, 1, 0, 2, 2, 1, NONE]

    def test_lot_pure_takes_nearest_of_lot(self):
        """Among the slots of the lot the nearest open one is named, past a full and a blocked one."""
        layout = layout_of(rows=1, columns=4, levels=1, boxes_per_slot=2)
        index = SlotIndex(layout, [1, 2, 3, 4])
        for slot in (0, 0, 1, 2, 3):
            index.take(slot, BOX.lot)
        index.block(1, True)
        assert POLICIES["lot-pure"](BOX, SlotView(index), STREAM) == 2


class TestClasses:
    def zones(self, shares, count=3, slots=20, **layout):
        layout = layout_of(rows=1, columns=slots, levels=1, **{"boxes_per_slot": 1, **layout})
        return SlotView(SlotIndex(layout, range(slots), shares, count))

    def test_borders_by_hand(self):
        """Shares .5 .3 .15 .05 are A A B C: after .5 A still runs, .8 passes 2/3, .95 passes 9/10."""
        view = self.zones([0.5, 0.3, 0.15, 0.05])
        # Of 20 places A gets 0.8 * 20 = 16, B 0.15 * 20 = 3, C 1; own zone first, then out, then back in.
        a, b, c = (0, 16), (16, 19), (19, 20)
        assert [list(view.zones_of(sku)) for sku in range(4)] == [[a, b, c], [a, b, c], [b, c, a], [c, b, a]]

    def test_two_zones_by_hand(self):
        """With two zones all beyond A share the second."""
        view = self.zones([0.5, 0.3, 0.15, 0.05], count=2)
        assert [list(view.zones_of(sku)) for sku in (0, 2, 3)] == [
            [(0, 16), (16, 20)], [(16, 20), (0, 16)], [(16, 20), (0, 16)],
        ]  # fmt: skip

    def test_borders_count_places(self):
        """A border lies where the places, not the slots, reach the share."""
        # Places 5 5 1 1 ... (18 slots of 1) = 28; A = 0.75 of them = 21: 5 + 5 + 11 ones = 13 slots.
        view = self.zones([0.75, 0.2, 0.05], capacity=[{"columns": [1, 2], "boxes": 5}])
        # B = 0.2 * 28 = 5.6, up to 26.6: five ones more reach 26, the sixth 27 >= 26.1: six slots; C the last one.
        assert list(view.zones_of(0)) == [(0, 13), (13, 19), (19, 20)]

    def test_unequal_shares_need_no_order(self):
        """Classes go by share, not by the number of the SKU; shares need not sum to one."""
        view = self.zones([1, 14, 5])
        # .7 is A (SKU 1), then .25 to .95 is B (SKU 2), C is .05 (SKU 0): 14, 5 and 1 of 20 places.
        assert [next(iter(view.zones_of(sku))) for sku in range(3)] == [(19, 20), (0, 14), (14, 19)]

    def test_share_beyond_nine_tenths(self):
        """A SKU that begins beyond 9/10 of the demand is C, even when no SKU is B."""
        view = self.zones([0.95, 0.03, 0.02])
        assert [next(iter(view.zones_of(sku))) for sku in range(3)] == [(0, 19), (19, 20), (19, 20)]

    def test_exact_border_is_reached(self):
        """Shares .7 .2 .1 are A, B, C: .7 + .2 reaches 9/10, whatever floats make of the sum."""
        view = self.zones([0.7, 0.2, 0.1], slots=10)
        assert [next(iter(view.zones_of(sku))) for sku in range(3)] == [(0, 7), (7, 9), (9, 10)]

    def test_single_sku_has_it_all(self):
        """One SKU takes the whole store as its zone."""
        assert next(iter(self.zones([3.0]).zones_of(0))) == (0, 20)

    def test_full_zone_overflows_outward(self):
        """When B's zone is full, C's is tried, and A's after that."""
        layout = layout_of(rows=1, columns=10, levels=1, boxes_per_slot=1)
        index = SlotIndex(layout, range(10), [0.75, 0.17, 0.08], 3)
        # Places: A 7.5 -> up to 7.0 taken: 7 slots (0-6); B to 9.2: 7, 8 (9 >= 8.7); C: 9.
        box, view, named = BOX._replace(sku=1), SlotView(index), []
        while (slot := POLICIES["class-based"](box, view, STREAM)) != NONE:
            named.append(slot)
            index.take(slot, 0)
        assert named == [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]


class TestIndex:
    @given(stores(), operations)
    def test_index_equals_counting(self, store, done):
        """After any takes, gives and blocks, with orders built at any moment, every answer is the plain count."""
        plain, index, view = both(store, done)
        slots = range(plain.layout.slots)
        assert [view.room(s) for s in slots] == [plain.room(s) for s in slots]
        assert [s for s in slots if view.is_open(s)] == plain.open
        assert index.open_places == sum(plain.room(s) for s in slots)
        for name, key in (("port_time", plain.by_time), ("position", plain.by_position)):
            order = index.order(name)
            assert order.slots == sorted(slots, key=key)
            assert [s for s, is_open in zip(order.slots, order.open, strict=True) if is_open] == sorted(
                plain.open, key=key
            )
        empty = index.empty_order()
        assert [s for s, is_open in zip(empty.slots, empty.open, strict=True) if is_open] == sorted(
            (s for s in plain.open if not plain.taken[s]), key=plain.by_time
        )
        assert sorted(index.random_list()) == plain.open
        lots = {
            lot: {s: plain.taken[s].count(lot) for s in slots if lot in plain.taken[s]} for lot in range(3)
        }
        assert index.lots == {lot: slots for lot, slots in lots.items() if slots}

    @given(stores(), operations)
    def test_history_leaves_no_trace(self, store, done):
        """Giving everything back and unblocking leads to the index of an empty store."""
        plain, index, view = both(store, done)
        for slot, lots in plain.taken.items():
            for lot in list(lots):
                apply(plain, index, view, ("give", slot, lot))
            apply(plain, index, view, ("unblock", slot, 0))
        _, fresh, fresh_view = both(store)
        assert (index.room, index.lots, index.open_places) == (fresh.room, {}, fresh.open_places)
        for name in set(POLICIES) - {"random"}:
            assert POLICIES[name](BOX, view, STREAM) == POLICIES[name](BOX, fresh_view, STREAM)

    def test_blocked_slot_stays_closed(self):
        """A place given back in a slot that is out of use opens nothing until the slot is put back."""
        index = SlotIndex(layout_of(rows=1, columns=2, levels=1, boxes_per_slot=1), [1, 2])
        view = SlotView(index)
        assert (view.first_open("port_time"), view.first_empty(), view.nth_open(0.0)) == (0, 0, 0)
        index.take(0, 3)
        index.block(0, True)
        index.give(0, 3)
        assert (view.first_open("port_time"), view.first_empty(), view.nth_open(0.0)) == (1, 1, 1)
        index.block(0, False)
        assert (view.first_open("port_time"), view.first_empty(), view.is_open(0)) == (0, 0, True)

    def test_ranges_are_half_open(self):
        """Ranks are asked from the first up to, and without, the last."""
        layout = layout_of(rows=1, columns=5, levels=1)
        view = SlotView(SlotIndex(layout, [50, 40, 30, 20, 10]))
        assert view.first_open("port_time", 1, 3) == 3
        assert view.last_open("port_time", 1, 3) == 2
        assert view.first_open("port_time", 2, 2) == NONE

    def test_slot_of_no_boxes_stays_closed(self):
        """A slot that serves other needs is never open, empty or unblocked."""
        layout = layout_of(rows=1, columns=2, levels=1, capacity=[{"columns": [1], "boxes": 0}])
        index = SlotIndex(layout, [1, 2])
        view = SlotView(index)
        for blocked in (True, False):
            index.block(0, blocked)
            assert (view.is_open(0), view.first_empty(), view.first_open("port_time")) == (False, 1, 1)
        assert sorted(index.random_list()) == [1]

    def test_taking_from_full_slot(self):
        """Reserving a place that is not there is a bug and says where."""
        index = SlotIndex(layout_of(rows=1, columns=1, levels=1, boxes_per_slot=1), [1])
        index.take(0, 0)
        with pytest.raises(RuntimeError, match="slot 0 has no room left"):
            index.take(0, 0)

    def test_giving_too_much(self):
        """A place given back twice is a bug and says where."""
        index = SlotIndex(layout_of(rows=1, columns=1, levels=1, boxes_per_slot=1), [1])
        with pytest.raises(RuntimeError, match="slot 0 has more room than places"):
            index.give(0, 0)

    def test_unknown_order_is_refused(self):
        """Rank orders have names; another one is an error."""
        view = SlotView(SlotIndex(layout_of(rows=1, columns=1, levels=1), [1]))
        with pytest.raises(KeyError, match="colour"):
            view.first_open("colour")


class TestView:
    @given(stores(), operations, st.integers(0, 4), st.integers(0, 2))
    @settings(max_examples=40)
    def test_rules_change_nothing(self, store, done, sku, lot):
        """Asking any rule leaves room, lots, blocks and later answers as they were."""
        _, index, view = both(store, done)
        box = BOX._replace(sku=sku % len(store[2]), lot=lot)
        first = [rule(box, view, STREAM) for rule in POLICIES.values()]
        before = copy.deepcopy((index.room, index.lots, index.open_places, index._blocked))
        assert [rule(box, view, STREAM) for rule in POLICIES.values()] == first
        assert (index.room, index.lots, index.open_places, index._blocked) == before

    def test_view_takes_no_attributes(self):
        """A rule can neither set nor add anything on the view, nor on the box."""
        view = SlotView(SlotIndex(layout_of(rows=1, columns=1, levels=1), [1]))
        for name in ("slots", "room", "anything"):
            with pytest.raises(AttributeError):
                setattr(view, name, 1)
        with pytest.raises(AttributeError):
            BOX.sku = 1

    def test_view_hands_out_copies(self):
        """What the view hands out can be changed without any effect on the store."""
        view = SlotView(SlotIndex(layout_of(rows=1, columns=4, levels=1), range(4), [0.7, 0.3], 2))
        zones = view.zones_of(0)
        before = list(zones)
        if isinstance(zones, list):
            zones.clear()
        assert list(view.zones_of(0)) == before

    def test_view_tells_the_slot(self):
        """The view gives places, room and port time of a slot, and how many slots there are."""
        layout = layout_of(rows=1, columns=2, levels=1, capacity=[{"columns": [2], "boxes": 3}])
        index = SlotIndex(layout, [70, 80])
        index.take(1, 0)
        view = SlotView(index)
        assert (view.slots, view.capacity(1), view.room(1), view.port_time_ms(1)) == (2, 3, 2, 80)
