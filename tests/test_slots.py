"""Open places: the index against plain counting, trials that leave no trace, and a view that changes nothing."""

import copy
import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import slots as slots_module
from sim.allocation import POLICIES, SlotIndex, SlotView, allocate, allocate_batch
from sim.facts import NONE
from sim.layout import Layout
from sim.slots import ORDERS, BoxView, Stack
from sim.travel import Travel
from sim.turnover import Turnover
from tests.plain_slots import (
    BOX,
    BOXES,
    SEQUENTIAL,
    SIMULTANEOUS,
    STREAM,
    Plain,
    apply,
    both,
    layouts,
    operations,
    stores,
)
from tests.worlds import layout_of

KEYS = {
    "port_time": Plain.by_time, "position": Plain.by_position, "out_time": Plain.by_out_time,
    "aisle": Plain.by_aisle, "level": Plain.by_level,
}  # fmt: skip


def row_of(slots, boxes_per_slot=1, shares=(1.0,), times=None, **more):
    """The index of one row of slots on one level, and the view of its first class of boxes."""
    layout = layout_of(rows=1, columns=slots, levels=1, boxes_per_slot=boxes_per_slot)
    index = SlotIndex(layout, range(slots) if times is None else times, shares, **more)
    return index, index.views[0]


class TestIndex:
    @given(stores(), operations)
    @settings(max_examples=150)
    def test_index_equals_counting(self, store, done):
        """After any takes, gives and blocks, with orders built at any moment, every answer is the plain count."""
        plain, index = both(store, done)
        slots = range(plain.layout.slots)
        assert index.room == [plain.room(s) for s in slots]
        assert [s for s in slots if index.is_open(s)] == [
            s for s in slots if plain.room(s) > 0 and not plain.reasons[s]
        ]
        assert index.open_places == sum(plain.room(s) for s in slots)
        held = {lot: Counter(s for s in slots for b in plain.taken[s] if b.lot == lot) for lot in range(3)}
        assert index.lots == {lot: dict(slots) for lot, slots in held.items() if slots}
        assert index.has_open() == any(plain.open(k) for k in range(len(store.admits)))
        assert (index.stays.boxes, index.stays.here) == (
            len(plain.past) - 2 * sum(change < 0 for _, _, change in plain.past),
            [plain.here()[sku] for sku in range(len(store.turnover.demand))],
        )

    @given(stores(), operations, st.data())
    @settings(max_examples=150)
    def test_view_equals_counting(self, store, done, data):
        """A view shows the slots open to its class and nothing else, in every order and by every question."""
        plain, index = both(store, done)
        box_class = data.draw(st.integers(0, len(store.admits) - 1))
        view, slots, opened = index.views[box_class], list(plain.taken), plain.open(box_class)
        assert [s for s in range(-3, len(slots) + 3) if view.is_open(s)] == opened
        for name in ORDERS:
            ranked = index.order(name, box_class).slots
            if name in KEYS:
                assert ranked == sorted(slots, key=lambda slot, key=KEYS[name]: key(plain, slot))
            assert list(view.open_slots(name)) == [slot for slot in ranked if slot in opened]
            start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(slots))] * 2)))
            part = [slot for slot in ranked[start:end] if slot in opened]
            assert view.first_open(name, start, end) == (part[0] if part else NONE)
            assert view.last_open(name, start, end) == (part[-1] if part else NONE)
            count = data.draw(st.integers(0, 9))
            places = [slot for slot in part for _ in range(plain.room(slot))]
            assert view.places(count, name, start, end).tolist() == places[:count]
            assert view.places(count, name, start, end, last=True).tolist() == places[::-1][:count]
        for rank in range(-2, len(slots) + 3):
            near = min(((abs(plain.rank(slot) - rank), plain.rank(slot)) for slot in opened), default=None)
            assert view.nearest_open(rank) == (
                NONE if near is None else index.order("port_time").slots[near[1]]
            )
        empty = [slot for slot in opened if not plain.taken[slot]]
        assert view.first_empty() == min(empty, key=plain.by_time, default=NONE)
        for lot in range(4):
            with_lot = [slot for slot in slots if any(box.lot == lot for box in plain.taken[slot])]
            assert [slot for slot in slots if view.holds_lot(slot, lot)] == with_lot
            assert view.with_lot(lot) == min(
                (slot for slot in with_lot if slot in opened), key=plain.by_time, default=NONE
            )
        assert [(view.room(s), view.capacity(s)) for s in slots] == [
            (plain.room(s), plain.layout.capacity[s]) for s in slots
        ]
        assert [(view.port_time_ms(s), view.level(s), view.aisle(s)) for s in slots] == [
            (store.times[s], plain.layout.level[s], plain.layout.aisle[s]) for s in slots
        ]
        assert (view.slots, view.occupied) == (len(slots), sum(plain.here().values()))

    @given(stores(), operations)
    def test_removed_counts_each_slot_once(self, store, done):
        """What each constraint takes away: wrong class, else full, else the first of the reasons; the rest is open."""
        plain, index = both(store, done)
        for box_class in range(len(store.admits)):
            expected = Counter({"class": 0, "full": 0})
            for slot in plain.taken:
                if not plain.admits(slot, box_class):
                    expected["class"] += 1
                elif plain.room(slot) == 0:
                    expected["full"] += 1
                elif plain.reasons[slot]:
                    expected[min(plain.reasons[slot])] += 1
            assert index.removed(box_class) == dict(expected)
            assert expected.total() + len(plain.open(box_class)) == len(plain.taken)

    @given(stores(), operations)
    def test_history_leaves_no_trace(self, store, done):
        """Giving everything back and unblocking leads to the index of an empty store."""
        plain, index = both(store, done)
        for slot in plain.taken:
            while plain.taken[slot]:
                apply(plain, index, ("give", slot, 0, 0))
            for verb in ("unblock", "release"):
                apply(plain, index, (verb, slot, 0, 0))
        _, fresh = both(store)
        # What a store has learned it keeps.
        fresh.stays = index.stays
        assert (index.room, index.lots, index.open_places) == (fresh.room, {}, fresh.open_places)
        index.shorter_stays = fresh.shorter_stays = lambda _ms: 0
        for rule in POLICIES.values():
            for sku in range(5):
                box = BOX._replace(sku=sku)
                assert allocate(rule, box, index, STREAM) == allocate(rule, box, fresh, STREAM)

    def test_blocked_slot_stays_closed(self):
        """A place given back in a slot that is out of use opens nothing until the slot is put back."""
        index, view = row_of(2, times=[1, 2])
        assert (view.first_open("port_time"), view.first_empty(), view.any_open(0.0)) == (0, 0, 0)
        index.take(0, 3)
        index.block(0, True)
        index.give(0, 3)
        assert (view.first_open("port_time"), view.first_empty(), view.any_open(0.0)) == (1, 1, 1)
        index.block(0, False)
        assert (view.first_open("port_time"), view.first_empty(), view.is_open(0)) == (0, 0, True)

    def test_slot_waits_for_every_reason(self):
        """A slot blocked and on hold is in use again when both reasons are gone; each counts once."""
        index, view = row_of(1)
        steps = [("hold", True), ("blocked", True), ("hold", True), ("hold", False), ("blocked", False)]
        opened = []
        for reason, blocked in steps:
            index.block(0, blocked, reason)
            opened.append(view.is_open(0))
        assert opened == [False, False, False, False, True]
        index.block(0, False, "never was")
        assert view.is_open(0)

    def test_ranges_are_half_open(self):
        """Ranks are asked from the first up to, and without, the last."""
        _, view = row_of(5, times=[50, 40, 30, 20, 10])
        assert view.first_open("port_time", 1, 3) == 3
        assert view.last_open("port_time", 1, 3) == 2
        assert view.first_open("port_time", 2, 2) == NONE

    def test_slot_of_no_boxes_stays_closed(self):
        """A slot that serves other needs is never open, empty or unblocked."""
        layout = layout_of(rows=1, columns=2, levels=1, capacity=[{"columns": [1], "boxes": 0}])
        index = SlotIndex(layout, [1, 2])
        view = index.views[0]
        for blocked in (True, False):
            index.block(0, blocked)
            assert (view.is_open(0), view.first_empty(), view.first_open("port_time")) == (False, 1, 1)
            assert {view.any_open(k / 10) for k in range(10)} == {1}
            assert (view.roomiest(), list(view.open_slots())) == (1, [1])

    def test_taking_from_full_slot(self):
        """Reserving a place that is not there is a bug and says where; nothing is changed by it."""
        index, view = row_of(1)
        index.take(0, 0)
        with pytest.raises(RuntimeError, match="slot 0 has no room left"):
            index.take(0, 0)
        assert (index.room, index.lots, view.first_open()) == ([0], {0: {0: 1}}, NONE)

    def test_giving_too_much(self):
        """A place given back twice is a bug and says where; nothing is changed by it."""
        index, view = row_of(1)
        with pytest.raises(RuntimeError, match="slot 0 has more room than places"):
            index.give(0, 0)
        assert (index.room, index.lots, view.first_open()) == ([1], {}, 0)

    def test_unknown_order_is_refused(self):
        """Rank orders have names; another one is an error."""
        _, view = row_of(1)
        with pytest.raises(KeyError, match="colour"):
            view.first_open("colour")

    def test_watcher_hears_every_change(self):
        """A watcher is told the places to be had after every change, none while the slot is out of use."""
        index, _ = row_of(2, 3)
        heard = []
        index.watch(lambda slot, places: heard.append((slot, places)))
        index.take(0)
        index.take(0)
        index.give(0)
        index.block(0, True)
        index.block(0, True, "hold")
        index.take(0)
        index.block(0, False)
        index.block(0, False, "hold")
        assert heard == [(0, 2), (0, 1), (0, 2), (0, 0), (0, 1)]

    def test_first_class_may_be_restricted(self):
        """The first class of boxes keeps to its slots like any other."""
        index, view = row_of(3, 2, admits=(bytes([0, 1, 0]), None))
        assert (list(view.open_slots()), list(index.views[1].open_slots())) == ([1], [0, 1, 2])
        for slot in (0, 0, 1, 1):
            index.take(slot)
        assert (list(view.open_slots()), list(index.views[1].open_slots()), index.has_open()) == (
            [],
            [2],
            True,
        )
        index.give(0)
        index.give(1)
        assert (list(view.open_slots()), list(index.views[1].open_slots())) == ([1], [0, 1, 2])


def state_of(thing, seen=None):
    """Everything that an index consists of, down to the last byte; what others own is left out."""
    seen = {} if seen is None else seen
    if thing is None or isinstance(thing, (int, float, str, bytes, bytearray, Layout, Travel, BoxView)):
        return thing if not isinstance(thing, (Layout, Travel)) else type(thing).__name__
    if id(thing) in seen:
        return f"<{seen[id(thing)]}>"
    seen[id(thing)] = len(seen)
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if isinstance(thing, (list, tuple)):
        return [state_of(each, seen) for each in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted(thing)
    if isinstance(thing, dict):
        return {key: state_of(thing[key], seen) for key in sorted(thing, key=repr)}
    if hasattr(thing, "__self__"):
        return state_of(thing.__self__, seen)
    if callable(thing) and not hasattr(thing, "choose"):
        return thing.__qualname__
    names = itertools.chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(thing).__mro__)
    values = {**getattr(thing, "__dict__", {}), **{n: getattr(thing, n) for n in names if hasattr(thing, n)}}
    return type(thing).__name__, {name: state_of(values[name], seen) for name in sorted(values)}


def state(index):
    _, parts = copy.deepcopy(state_of(index))
    if index.admits[0] is not None:
        parts["_open"] = None  # of no meaning when the first class has bytes of its own, as the others have
    return parts


boxes = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3)).map(
        lambda each: BOX._replace(sku=each[0], lot=each[1], verified_day=100 + each[1], leaves_ms=each[0])
    ),
    max_size=15,
).map(lambda all_of: [box._replace(box=k) for k, box in enumerate(all_of)])


class TestNoTrace:
    @given(stores(), operations, boxes)
    @settings(max_examples=50)
    def test_asking_changes_nothing(self, store, done, some):
        """Asking any rule, for one box or a batch, leaves everything as it was, once its orders are built."""
        _, index = both(store, done)
        for rule in POLICIES.values():  # built now
            allocate_batch(rule, some, index, STREAM)
            for box in some:
                allocate(rule, box, index, STREAM)
        before = state(index)
        for name, rule in POLICIES.items():
            named = allocate_batch(rule, some, index, STREAM).tolist()
            assert state(index) == before, name
            singles = [allocate(rule, box, index, STREAM) for box in some]
            assert state(index) == before, name
            assert allocate_batch(rule, some, index, STREAM).tolist() == named
            assert [allocate(rule, box, index, STREAM) for box in some] == singles

    @given(stores(), operations, operations, boxes, st.sampled_from(list(POLICIES)))
    @settings(max_examples=200)
    def test_later_answers_stay_the_same(self, store, done, later, some, name):
        """A store that was never asked and one that was asked early and often decide alike from then on."""
        _, quiet = both(store, done, ask=False)
        plain, asked = both(store, done)
        allocate_batch(POLICIES[name], some, asked, STREAM)
        quiet_plain, _ = both(store, done, ask=False)
        for operation in later:
            apply(plain, asked, operation)
            apply(quiet_plain, quiet, operation, ask=False)
        for each, rule in POLICIES.items():
            for sku in range(5):
                box = BOX._replace(box=3 * sku, sku=sku)
                assert allocate(rule, box, asked, STREAM) == allocate(rule, box, quiet, STREAM), each

    @given(stores(), operations, st.lists(st.tuples(st.integers(0, 31), st.integers(NONE, 3)), max_size=30))
    @settings(max_examples=50)
    def test_trial_leaves_no_trace(self, store, done, places):
        """Places taken on trial are open again afterwards, even when a rule takes one that is not there."""
        _, index = both(store, done)
        for rule in POLICIES.values():
            allocate_batch(rule, [BOX] * 3, index, STREAM)
            allocate(rule, BOX, index, STREAM)
        before = state(index)
        with index.trial() as place:
            for number, lot in places:
                slot = number % len(index.room)
                if index.room[slot]:
                    place(BOX._replace(box=number, lot=lot), slot, NONE)
        assert state(index) == before
        with pytest.raises(RuntimeError, match="no room left"):
            self.overfill(index)
        assert state(index) == before

    def overfill(self, index):
        """Take one place more than there are, on trial."""
        with index.trial() as place:
            for _ in range(index.capacity[0] + 1):
                place(BOX, 0, NONE)

    def test_trial_counts_boxes(self):
        """On trial a box is one that is here, in its lot and on its stack; afterwards it never was."""
        index, view = row_of(2, 4)
        standing = {0: [Stack((7,), 1), Stack((), 2)], 1: [Stack((), 2), Stack((), 2)]}
        index.stacks = lambda slot: standing[slot]
        index.take(0, 3)
        stays, stacks = index.stays, index.stacks
        with index.trial() as place:
            place(BOX._replace(box=8, lot=6), 0, 1)
            place(BOX._replace(box=9, lot=6), 0, NONE)
            assert list(view.stacks(0)) == [Stack((7, 9), 0), Stack((8,), 1)]
            assert list(view.stacks(1)) == standing[1]
            assert (view.occupied, view.room(0), view.holds_lot(0, 6)) == (2, 1, True)
        assert list(view.stacks(0)) == standing[0]
        assert (view.occupied, view.room(0), view.holds_lot(0, 6)) == (0, 3, False)
        assert index.stays is stays
        assert index.stacks is stacks


class TestRanks:
    @given(stores(), st.booleans())
    def test_places_have_ranks(self, store, is_large):
        """Places counted from the nearest slot on lie in its slots in turn, with a table and without."""
        before = slots_module.MOST_TABLE_PLACES
        slots_module.MOST_TABLE_PLACES = 0 if is_large else before
        try:
            plain, index = both(store)
            for box_class, view in enumerate(index.views):
                ranked = sorted(plain.taken, key=plain.by_time)
                held = [
                    rank
                    for rank, slot in enumerate(ranked)
                    if plain.admits(slot, box_class)
                    for _ in range(plain.layout.capacity[slot])
                ]
                assert [view.rank_of_place(place) for place in range(len(held))] == held
                # Beyond the last place no slot is open: any rank from the last one on will do.
                for place in (len(held), len(held) + 5):
                    assert (held or [NONE])[-1] <= view.rank_of_place(place) < len(ranked)
        finally:
            slots_module.MOST_TABLE_PLACES = before

    @given(stores(), operations, st.integers(0, 40), st.data())
    @settings(max_examples=60)
    def test_large_store_has_the_same_places(self, store, done, count, data):
        """Read in pieces, the first or last open places of an order are those of one look."""
        _, index = both(store, done)
        order = data.draw(st.sampled_from([name for name in ORDERS if name != "out_time"]))
        start, end = data.draw(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 40)))
        last = data.draw(st.booleans())

        def places():
            return [view.places(count, order, start, end, last=last).tolist() for view in index.views]

        whole = places()
        before = slots_module.MOST_WHOLE_SLOTS
        slots_module.MOST_WHOLE_SLOTS = 0
        try:
            assert places() == whole
        finally:
            slots_module.MOST_WHOLE_SLOTS = before

    def test_heaviness_by_hand(self):
        """0 for the lightest, 1 for the heaviest, in proportion between and cut beyond; 1 where all weigh the same."""
        index, view = row_of(1)
        assert view.heaviness(700) == 1.0
        index.weights_g = (2000, 6000)
        assert [view.heaviness(weight) for weight in (0, 2000, 3000, 6000, 9000)] == [0, 0, 0.25, 1, 1]

    def test_levels_are_ranges(self):
        """Each level is a stretch of its order, the lowest first; a level without slots is none."""
        layout = layout_of(rows=1, columns=3, levels=3, omit=["1-01-2", "1-02-2", "1-03-2", "1-03-1"])
        view = SlotIndex(layout, range(layout.slots)).views[0]
        # Two slots on level 1, three on level 3.
        assert view.level_ranges() == ((0, 2), (2, 5))

    def test_roomiest_goes_by_port_time(self):
        """Of the slots with the most open places the nearest is named."""
        index, view = row_of(3, 3, times=[30, 10, 20])
        named = []
        for _ in range(9):
            named.append(view.roomiest())
            index.take(named[-1])
        assert named == [1, 2, 0] * 3
        assert view.roomiest() == NONE
        index.give(0)
        assert view.roomiest() == 0


class TestAnyOpen:
    """A slot drawn by a uniform: each open one as likely."""

    @pytest.mark.parametrize("is_large", [False, True])
    @pytest.mark.parametrize(
        "opened", [{0, 1}, {19}, {18, 19}, {0, 9, 10, 19}, set(range(10, 20)), set(range(20))]
    )
    def test_each_is_as_likely(self, opened, is_large, monkeypatch):
        """Over uniforms spread evenly every open slot is named equally often, drawn or counted."""
        monkeypatch.setattr(slots_module, "MOST_TABLE_SLOTS", 0 if is_large else 1024)
        index, view = row_of(20)
        for slot in set(range(20)) - opened:
            index.take(slot)
        draws = 40_000
        named = Counter(view.any_open((k + 0.5) / draws) for k in range(draws))
        assert set(named) == opened
        # The counts are a binomial's at most: 4.5 standard deviations.
        share = 1 / len(opened)
        assert max(abs(count - draws * share) for count in named.values()) <= 4.5 * math.sqrt(
            draws * share * (1 - share)
        )

    @given(stores(), operations, st.floats(0, 1, exclude_max=True))
    @settings(max_examples=80)
    def test_slot_depends_on_the_open_ones(self, store, done, u):
        """The same uniform and the same open slots name the same slot, whatever led to them; NONE when there is none."""
        plain, index = both(store, done)
        for box_class, view in enumerate(index.views):
            fresh = store.index()
            for slot in plain.taken:
                fresh.block(slot, slot not in plain.open(box_class))
            assert view.any_open(u) == fresh.views[box_class].any_open(u)
            assert view.any_open(u) in (plain.open(box_class) or {NONE})

    def test_largest_uniform(self):
        """The largest uniform below 1 names the last slot of an open store."""
        for slots in (1, 2, 3, 7, 8):
            _, view = row_of(slots)
            assert view.any_open(1 - 2**-53) == slots - 1


class TestNear:
    """The open slot nearest to a place, from an order table or along the lines of a large store."""

    shapes = st.tuples(
        st.integers(1, 6), st.integers(1, 9), st.integers(1, 3), st.just(1), st.integers(0, 1), st.booleans(),
        st.sampled_from([None, 0.0, 0.4, 3.0, 20.0]), st.sampled_from([(), SIMULTANEOUS, SEQUENTIAL]),
    )  # fmt: skip
    shares = st.sampled_from([0.02, 0.1, 0.5, 0.9])

    def store(self, shape, seed, share, is_restricted):
        """A view of a store with real travel times, in which that share of the slots is open."""
        layout, travel = layouts(*shape)
        rng = np.random.default_rng(seed)
        opened = rng.random(layout.slots) < share
        mask = bytes((rng.random(layout.slots) < 0.5).astype(np.uint8)) if is_restricted else None
        index = SlotIndex(layout, travel.one_way_ms(layout.inbound), travel=travel, admits=(None, mask))
        for slot in range(layout.slots):
            if not opened[slot] and layout.capacity[slot]:
                index.take(slot)
        return index, index.views[1]

    def both_forms(self, index, ask):
        """The answers with order tables and without, each of a view that was never asked before."""
        before = slots_module.MOST_TABLE_SLOTS
        named = [ask(SlotView(index, 1))]
        slots_module.MOST_TABLE_SLOTS = 0
        try:
            return [*named, ask(SlotView(index, 1))]
        finally:
            slots_module.MOST_TABLE_SLOTS = before

    @given(shapes, st.integers(0, 2**32), shares, st.integers(0, 10**6), st.booleans())
    @settings(max_examples=300)
    def test_lines_are_as_near(self, shape, seed, share, number, is_restricted):
        """Whatever is open, from every kind of place, both forms name slots that no open one is nearer than."""
        index, view = self.store(shape, seed, share, is_restricted)
        z, place = index.layout.z_mm, number % index.layout.places
        times = {
            slot: index.travel.between_ms(place, int(z[place]), slot, int(z[slot]))
            for slot in view.open_slots()
        }
        named = self.both_forms(index, lambda each: each.nearest_to(place))
        if times:
            assert [times[slot] for slot in named] == [min(times.values())] * 2
            # With a table ties go by port time.
            assert named[0] == next(slot for slot in view.open_slots() if times[slot] == times[named[0]])
        else:
            assert named == [NONE, NONE]

    @given(shapes, st.integers(0, 2**32), shares, st.integers(0, 10**6), st.booleans())
    @settings(max_examples=300)
    def test_way_by_lines_is_as_short(self, shape, seed, share, number, is_restricted):
        """From the port by a slot to a place: no open slot makes a shorter way, but for the rounding of two legs."""
        index, view = self.store(shape, seed, share, is_restricted)
        z, place = index.layout.z_mm, number % index.layout.places
        times = {
            slot: index.port_time_ms[slot] + index.travel.between_ms(place, int(z[place]), slot, int(z[slot]))
            for slot in view.open_slots()
        }
        named = self.both_forms(index, lambda each: each.on_the_way_to(place))
        if times:
            least = min(times.values())
            assert named[0] == next(slot for slot in view.open_slots() if times[slot] == least)
            assert times[named[1]] <= least + 2
        else:
            assert named == [NONE, NONE]

    def test_lift_outlasts_the_drive(self, monkeypatch):
        """Where lifts take longer than drives the best slot lies between port and place, next to neither."""
        monkeypatch.setattr(slots_module, "MOST_TABLE_SLOTS", 0)
        robot = (*SIMULTANEOUS, ("acceleration_m_per_s2", math.inf), ("lift_acceleration_m_per_s2", math.inf))
        layout, travel = layouts(2, 20, 3, 1, 1, True, None, robot)
        index = SlotIndex(layout, travel.one_way_ms(layout.inbound), travel=travel)
        for slot in range(layout.slots):
            if layout.row[slot] != 2 or layout.level[slot] != 3:
                index.take(slot)
        place = layout.place("2-13-2")
        named = index.views[0].on_the_way_to(place)
        # 0.3 m/s up: 8 s to level 3, 4 s from there to level 2. At 1.5 m/s the drive within aisle 2 keeps within 4 s up
        # to 6 m from the place, and from the port (1.5 m across, 1 s) within 8 s up to 10.5 m into it.
        assert index.port_time_ms[named] + travel.one_way_ms(place)[named] == 8000 + 4000
        assert layout.x_mm[place] - layout.x_mm[named] in range(1000, 6001)

    def test_other_aisle_may_be_nearer(self, monkeypatch):
        """Another aisle is looked at as long as the drive across takes less than the best way found."""
        monkeypatch.setattr(slots_module, "MOST_TABLE_SLOTS", 0)
        robot = (("turn_s", 0.0), ("acceleration_m_per_s2", math.inf))
        layout, travel = layouts(6, 9, 1, 1, 1, True, None, robot)
        index = SlotIndex(layout, travel.one_way_ms(layout.inbound), travel=travel)
        far, other = layout.place("1-09-1"), layout.place("5-01-1")
        for slot in range(layout.slots):
            if slot not in {far, other}:
                index.take(slot)
        # From the mouth of aisle 1, at 1.5 m/s: 4 s across to aisle 5 and a column into it, or nine columns along.
        times = travel.one_way_ms(layout.mouths[0])
        assert 4000 < times[other] < times[far] < 8000
        assert index.views[0].nearest_to(layout.mouths[0]) == other

    def test_rows_of_a_line_go_by_port_time(self, monkeypatch):
        """Of two rows that face the same place of an aisle the one of the lower rank is named, on either side."""
        monkeypatch.setattr(slots_module, "MOST_TABLE_SLOTS", 0)
        layout, travel = layouts(2, 9, 1, 1, 1, False, None, ())
        index = SlotIndex(layout, travel.one_way_ms(layout.inbound), travel=travel)
        for column in (4, 5, 6):
            for row in (1, 2):
                index.take(layout.place(f"{row}-{column:02d}-1"))
        view = index.views[0]
        near = [
            layout.place_name(view.nearest_to(layout.place(name)))
            for name in ("1-04-1", "2-04-1", "1-06-1", "2-06-1")
        ]
        assert near == ["1-03-1", "1-03-1", "1-07-1", "1-07-1"]

    def test_lines_follow_changes(self):
        """A slot taken is no longer the nearest, and is again when it is given back, without order tables."""
        layout, travel = layouts(2, 9, 2, 1, 1, True, None, ())
        before = slots_module.MOST_TABLE_SLOTS
        slots_module.MOST_TABLE_SLOTS = 0
        try:
            index = SlotIndex(layout, travel.one_way_ms(layout.inbound), travel=travel)
            view, place = index.views[0], layout.place("1-05-1")
            assert view.nearest_to(place) == place
            index.take(place)
            second = view.nearest_to(place)
            assert second in {layout.place("1-04-1"), layout.place("1-06-1")}
            index.block(second, True)
            assert view.nearest_to(place) not in {place, second}
            index.give(place)
            assert view.nearest_to(place) == place
        finally:
            slots_module.MOST_TABLE_SLOTS = before

    def test_only_near_aisles_are_looked_at(self, monkeypatch):
        """In a large store each line of the robot's aisle costs three travel times, of other aisles one; far ones none."""
        monkeypatch.setattr(slots_module, "MOST_TABLE_SLOTS", 0)
        layout, real = layouts(6, 9, 3, 1, 1, True, None, ())
        travel = CountingTravel(real)
        index = SlotIndex(layout, real.one_way_ms(layout.inbound), travel=travel)
        index.views[0].nearest_to(layout.place("3-05-2"))
        # An open slot where it stands: three lines of its aisle, at most three candidates each; all aisles are further.
        assert travel.asked <= 3 * 3
        assert index._near == {}
        for slot in range(layout.slots):
            if layout.aisle[slot] == 2:
                index.take(slot)
        travel.asked = 0
        named = index.views[0].nearest_to(layout.place("3-05-2"))
        assert layout.aisle[named] in {1, 3}
        assert travel.asked <= 5 * 3


class CountingTravel:
    """Travel times that count how often one between two places is asked for."""

    def __init__(self, travel):
        self.travel, self.asked = travel, 0
        self.drive_ms, self.one_way_ms, self.lift_ms = travel.drive_ms, travel.one_way_ms, travel.lift_ms

    def between_ms(self, *places):
        self.asked += 1
        return self.travel.between_ms(*places)


class CountingList(list):
    """A list that counts how often an element is read."""

    read = 0

    def __getitem__(self, at):
        self.read += 1
        return super().__getitem__(at)


class TestCost:
    """What is looked at, counted: nothing that grows with the store."""

    def test_single_box_reads_few_slots(self):
        """One decision reads the rooms of no more slots in 2,000 than in 20."""
        reads = {}
        for slots in (20, 2000):
            index, _ = row_of(slots, 2, shares=[3, 2, 1])
            for rule in POLICIES.values():
                if "travel" not in rule.needs and "departures" not in rule.needs:
                    allocate(rule, BOX, index, STREAM)
            index.room = CountingList(index.room)
            for name, rule in POLICIES.items():
                if "travel" not in rule.needs and "departures" not in rule.needs:
                    index.room.read = 0
                    allocate(rule, BOX, index, STREAM)
                    reads.setdefault(name, []).append(index.room.read)
        assert len(reads) >= 15
        # `assignment` looks at 64 places, or at all of 40.
        assert {name: few for name, few in reads.items() if few[1] > max(few[0], 64)} == {}

    def test_batch_reads_as_far_as_it_must(self):
        """A batch of ten in a large store reads few rooms, not all."""
        index, view = row_of(6000)
        assert len(index.room) > slots_module.MOST_WHOLE_SLOTS
        index.room = CountingList(index.room)
        assert view.places(10).tolist() == list(range(10))
        assert index.room.read <= 20
        for slot in range(100):
            index.take(slot)
        index.room.read = 0
        assert view.places(10).tolist() == list(range(100, 110))
        assert index.room.read <= 200
        index.room.read = 0
        assert view.places(10, last=True).tolist() == list(range(5999, 5989, -1))
        assert index.room.read <= 20

    def test_nothing_is_built_unasked(self):
        """A store whose rule needs one order keeps one: every change costs as little as it can."""
        index, _ = row_of(5)
        allocate(POLICIES["closest-open"], BOX, index, STREAM)
        assert (len(index._orders), index._flips, index._watchers) == (1, [], [])

    def test_order_is_built_once(self):
        """An order that was asked for is kept, for every view of its class."""
        index, view = row_of(5)
        other = SlotView(index)
        for each in (view, other, view):
            each.first_open("position")
        assert set(index._orders) == {("port_time", 0), ("position", 0)}


CALLS = {
    "aisle": lambda view: view.aisle(0),
    "announced": lambda view: view.announced,
    "any_open": lambda view: view.any_open(0.5),
    "capacity": lambda view: view.capacity(0),
    "earned_rank": lambda view: (view.earned_rank(0), view.earned_rank(1, learned=True)),
    "first_empty": lambda view: view.first_empty(),
    "first_open": lambda view: view.first_open(),
    "heaviness": lambda view: view.heaviness(1500),
    "holds_lot": lambda view: view.holds_lot(0, 0),
    "is_open": lambda view: view.is_open(0),
    "last_open": lambda view: view.last_open("position"),
    "leaves_ms": lambda view: view.leaves_ms(0),
    "level": lambda view: view.level(0),
    "level_ranges": lambda view: view.level_ranges(),
    "nearest_open": lambda view: view.nearest_open(2),
    "nearest_to": lambda view: view.nearest_to(3),
    "next_retrieval": lambda view: view.next_retrieval,
    "occupied": lambda view: view.occupied,
    "on_the_way_to": lambda view: view.on_the_way_to(3),
    "open_slots": lambda view: view.open_slots("aisle"),
    "places": lambda view: view.places(7),
    "planned": lambda view: view.planned(0),
    "port_time_ms": lambda view: view.port_time_ms(0),
    "range_of": lambda view: view.range_of(0),
    "rank_by_age": lambda view: view.rank_by_age(101),
    "rank_by_stay": lambda view: view.rank_by_stay(5),
    "rank_of_place": lambda view: view.rank_of_place(4),
    "room": lambda view: view.room(0),
    "roomiest": lambda view: view.roomiest(),
    "roomiest_aisle": lambda view: view.roomiest_aisle(),
    "slots": lambda view: view.slots,
    "speed": lambda view: view.speed(0),
    "stacks": lambda view: view.stacks(0),
    "with_lot": lambda view: view.with_lot(0),
    "zones_of": lambda view: view.zones_of(0),
}


def spoil(thing):
    """Change what can be changed of an answer, at any depth; gives how much that was."""
    if isinstance(thing, np.ndarray):
        if thing.flags.writeable:
            thing[...] = 99
        if thing.base is not None and thing.base.flags.writeable:
            thing.base[...] = 99
        return 1
    if isinstance(thing, (tuple, frozenset)):
        return sum(map(spoil, thing))
    if isinstance(thing, list):
        spoiled = sum(map(spoil, thing))
        thing.clear()
        return spoiled + 1
    if isinstance(thing, (dict, set, bytearray)):
        thing.clear()
        return 1
    assert thing is None or isinstance(thing, (int, float, str)), f"what is {thing!r}?"
    return 0


def settled(answer):
    """An answer as it can be compared."""
    if hasattr(answer, "__next__"):
        return list(answer)
    return answer.tolist() if isinstance(answer, np.ndarray) else copy.deepcopy(answer)


class TestView:
    def store(self):
        """A store with something of everything, in free stacks."""
        layout, travel = layouts(3, 4, 2, 3, 3, False, None, ())
        index = SlotIndex(
            layout, travel.one_way_ms(layout.inbound), Turnover([3, 2, 1], [1, 1, 1]), travel=travel, admits=(None, b"\x01" * 24)
        )  # fmt: skip
        for k in range(12):
            index.take(k % 5, k % 3)
            index.stays.arrived(k % 3, k, 100 + k % 4)
        index.block(7, True)
        stacks = [Stack((1, 2), 1), Stack((), 3)]
        index.stacks = lambda _slot: stacks.copy()
        waiting = [BOX, BOX._replace(box=6)]
        index.announced = lambda: waiting
        index.next_retrieval = lambda: 2
        index.plan = [3] * BOXES
        index.weights_g = (1000, 2000)
        return index

    def test_every_question_is_covered(self):
        """No public name of the view is left out of these tests."""
        assert set(CALLS) == {name for name in dir(SlotView) if not name.startswith("_")}

    @pytest.mark.parametrize("name", CALLS)
    def test_answers_cannot_be_spoiled(self, name):
        """What a view hands out can be changed without any effect on the store or on later answers."""
        index = self.store()
        view, ask = index.views[0], CALLS[name]
        for other in CALLS.values():
            settled(other(view))
        answers, before = {each: settled(CALLS[each](view)) for each in CALLS}, state(index)
        answer = ask(view)
        spoil(list(answer) if hasattr(answer, "__next__") else answer)
        assert state(index) == before
        assert {each: settled(CALLS[each](view)) for each in CALLS} == answers

    @pytest.mark.parametrize("name", [*CALLS, *SlotView.__slots__, "anything", "__class__", "__doc__"])
    def test_view_takes_no_attributes(self, name):
        """A rule can neither set, add nor delete anything on the view."""
        index = self.store()
        view = index.views[0]
        settled(CALLS["earned_rank"](view))
        before = state(index)
        with pytest.raises(AttributeError):
            setattr(view, name, 1)
        with pytest.raises(AttributeError):
            delattr(view, name)
        assert state(index) == before

    def test_box_takes_no_attributes(self):
        """A rule cannot change the box, nor a stack that it looks at."""
        for thing, name in ((BOX, "sku"), (BOX, "anything"), (Stack((), 1), "room")):
            with pytest.raises(AttributeError):
                setattr(thing, name, 1)
            with pytest.raises(AttributeError):
                delattr(thing, name)

    def test_view_hands_out_no_index(self):
        """Nothing public of the view leads to what changes the store."""
        view = self.store().views[0]
        for name in CALLS:
            assert not isinstance(getattr(view, name), (SlotIndex, list, dict, bytearray, set))

    def test_view_tells_the_slot(self):
        """The view gives places, room and port time of a slot, and how many slots there are."""
        layout = layout_of(rows=1, columns=2, levels=1, capacity=[{"columns": [2], "boxes": 3}])
        index = SlotIndex(layout, [70, 80])
        index.take(1, 0)
        view = index.views[0]
        assert (view.slots, view.capacity(1), view.room(1), view.port_time_ms(1)) == (2, 3, 2, 80)

    def test_announced_boxes_are_of_the_class(self):
        """A view tells of the boxes to follow that may take its slots, in their order."""
        index, view = row_of(3, admits=(None, bytes([1, 0, 0])), class_of_sku=[0, 1, 0])
        coming = [BOX._replace(box=k, sku=sku) for k, sku in enumerate((1, 0, 2, 1))]
        index.announced = lambda: coming
        assert [box.box for box in view.announced] == [1, 2]
        assert [box.box for box in index.views[1].announced] == [0, 3]

    def test_speed_of_unknown_sku(self):
        """A SKU that turnover knows nothing of does not turn over."""
        _, view = row_of(3, shares=Turnover([3, 1], [1, 1]))
        assert [view.speed(sku) for sku in (0, 1, 2)] == [1.5, 0.5, 0.0]
