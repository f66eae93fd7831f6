"""Allocation: every rule against an obvious one, zones by hand, one box and several boxes at once."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from sim import slots as slots_module
from sim.allocation import (
    ALIASES,
    HORIZON,
    LIVE_POLICIES,
    MIXING_MS,
    OWN_RULES,
    POLICIES,
    BoxView,
    Rule,
    SlotIndex,
    allocate,
    allocate_batch,
    assign,
    rule_named,
)
from sim.facts import NONE
from sim.ledger import Ledger
from sim.streams import Stream
from sim.turnover import Turnover
from tests.plain_slots import BOX, BOXES, OBVIOUS, STREAM, both, operations, stores
from tests.worlds import layout_of

ONE_BY_ONE = [name for name, rule in POLICIES.items() if not rule.at_once]


def row_of(slots, boxes_per_slot=1, shares=(1.0,), times=None, **more):
    """The index of one row of slots on one level."""
    layout = layout_of(rows=1, columns=slots, levels=1, boxes_per_slot=boxes_per_slot)
    return SlotIndex(layout, range(slots) if times is None else times, shares, **more)


def ask(name, index, box=BOX, stream=STREAM):
    return allocate(POLICIES[name], box, index, stream)


boxes_to_store = st.builds(
    BoxView,
    box=st.integers(0, BOXES - 1),
    sku=st.integers(0, 4),
    lot=st.integers(0, 3),
    verified_day=st.integers(99, 106),
    meters=st.just(15),
    now_ms=st.just(40),
    leaves_ms=st.integers(40, 60),
    weight_g=st.integers(0, 5000),
)


class TestRules:
    def test_every_rule_has_an_obvious_one(self):
        """No rule is left out of the comparison."""
        assert set(OBVIOUS) == set(POLICIES)

    @given(
        stores(), operations, boxes_to_store, st.integers(NONE, 60), st.lists(st.integers(0, 25)),
        st.sampled_from([(0, 0), (1000, 4000)]),
    )  # fmt: skip
    @settings(max_examples=400)
    def test_rule_equals_obvious(self, store, done, box, following, stays, weights_g):
        """Each rule names a slot that its sentence allows, in any state; NONE just when nothing is open to the box."""
        plain, index = both(store, done)
        box = box._replace(sku=box.sku % len(store.turnover.demand))
        box_class = plain.class_of(box.sku)
        following = min(following, store.layout.places - 1)
        index.next_retrieval = lambda: following
        index.shorter_stays = lambda ms: sum(stay < ms for stay in stays)
        index.weights_g = weights_g
        known = {
            "box_class": box_class, "plan": index.plan, "stays": stays, "weights_g": weights_g, "following": following,
        }  # fmt: skip
        slots = plain.open(box_class)
        wrong = {}
        for name, obvious in OBVIOUS.items():
            named, allowed = ask(name, index, box), obvious(plain, box, slots, **known)
            if named not in (allowed or {NONE}):
                wrong[name] = named, allowed
        assert wrong == {}

    def test_random_belongs_to_the_box(self):
        """A box draws the same slot whatever was asked before it."""
        index, stream = row_of(7), Stream(1, "x")
        first = ask("random", index, stream=stream)
        for box in range(100, 140):
            ask("random", index, BOX._replace(box=box), stream)
        assert ask("random", index, stream=stream) == first == int(stream.uniform(BOX.box) * 7)

    def test_ties_go_by_column(self):
        """Of slots equally far, the one of the lowest column wins, then level, then row: not the lowest number."""
        # Rows 1 and 2 (one aisle), columns 1 and 2, level 1: slots 1-01-1, 1-02-1, 2-01-1, 2-02-1 = 0, 1, 2, 3.
        layout = layout_of(rows=2, columns=2, levels=1, boxes_per_slot=2)
        index = SlotIndex(layout, [9, 5, 5, 5])
        assert ask("closest-open", index) == 2
        assert ask("farthest-open", index) == 0
        assert ask("first-free", index) == 0
        for slot in (1, 2):
            index.take(slot, BOX.lot)
        assert ask("lot-pure", index) == 2

    def test_lot_pure_by_steps(self):
        """A lot's own slot comes first, then an empty one, then any with room."""
        index, named = row_of(3, 2), []
        for lot in (0, 1, 0, 2, 2, 1, 3):
            slot = ask("lot-pure", index, BOX._replace(lot=lot))
            named.append(slot)
            if slot != NONE:
                index.take(slot, lot)
        # Lots 0, 1, 2 open slots 0, 1, 2; the second boxes of 0, 2, 1 join them; then the store is full.
        assert named == [0, 1, 0, 2, 2, 1, NONE]

    def test_lot_pure_takes_nearest_of_lot(self):
        """Among the slots of the lot the nearest open one is named, past a full and a blocked one."""
        index = row_of(4, 2)
        for slot in (0, 0, 1, 2, 3):
            index.take(slot, BOX.lot)
        index.block(1, True)
        assert ask("lot-pure", index) == 2

    def test_turnover_by_hand(self):
        """A SKU is put where the boxes of faster SKUs end and half of its own have their place."""
        # Demand 3:1, stock 1:3. SKU 0 is faster: middle 1/8; SKU 1: 1/4 + 3/8 = 5/8. Ten slots of one box, eight
        # boxes here: SKU 0 earns place int(8/8) = 1, SKU 1 place int(40/8) = 5.
        index = row_of(10, shares=Turnover([3, 1], [1, 3]))
        for k in range(8):
            index.stays.arrived(k % 2, 0, 0)
        assert [ask("turnover", index, BOX._replace(sku=sku)) for sku in (0, 1)] == [1, 5]
        # Slot 5 taken: 4 and 6 are equally close, the nearer to the port is named.
        index.take(5)
        assert ask("turnover", index, BOX._replace(sku=1)) == 4

    def test_learned_stay_by_hand(self):
        """What the store has seen decides, not what is given."""
        # SKU 1 leaves after 1 ms, SKU 0 after 1,000 ms, 16 of each gone; then four of each come. At the last look
        # (after 33 events, the first of the four) it is: one box of SKU 0 here, none of SKU 1.
        index = row_of(10, shares=[9, 1])
        for k in range(8):
            index.stays.arrived(0, 5000 * k, 0)
            index.stays.left(0, 5000 * k + 1000, 0)
            index.stays.arrived(1, 5000 * k + 2000, 0)
            index.stays.left(1, 5000 * k + 2001, 0)
        for k in range(17):
            index.stays.arrived(k % 2, 40_000, 0)
        # 49 events: the last look is at the 49th, with nine of SKU 0 and eight of SKU 1: 1 is faster. So SKU 1
        # earns place 8 // 2 = 4, SKU 0 place 8 + 9 // 2 = 12, which is beyond the last slot.
        assert [ask("learned-stay", index, BOX._replace(sku=sku)) for sku in (1, 0)] == [4, 9]

    def test_shortest_leg_by_hand(self):
        """The slot on the way is named, not the one nearest to the box that leaves."""
        # From the port 1, 2, 3, 4 s to the slots; the next retrieval is at slot 3. By way of slot 0: 1 s + from 0 to 3.
        layout = layout_of(rows=1, columns=4, levels=1, boxes_per_slot=1)
        travel = TableTravel(layout, {3: [9000, 900, 500, 0]})
        index = SlotIndex(layout, [1000, 2000, 3000, 4000], travel=travel)
        index.next_retrieval = lambda: 3
        index.take(3)
        # Slot 0: 10.0 s; slot 1: 2.9 s; slot 2: 3.5 s. Nearest to slot 3 is slot 2.
        assert [ask(name, index) for name in ("shortest-leg", "closest-to-next-retrieval")] == [1, 2]

    @pytest.mark.parametrize("name", ["closest-to-destination", "closest-to-next-retrieval", "shortest-leg"])
    @pytest.mark.parametrize("most", [0, 1024])
    def test_travel_must_be_known(self, name, most, monkeypatch):
        """A rule that needs travel times says so when the index has none."""
        monkeypatch.setattr(slots_module, "MOST_TABLE_SLOTS", most)
        index = row_of(3)
        index.next_retrieval = lambda: 1
        assert "travel" in POLICIES[name].needs
        with pytest.raises(RuntimeError, match="asks for travel times"):
            ask(name, index)

    def test_age_zoned_by_hand(self):
        """Boxes soon due lie near: as many places nearer as boxes here were verified before, and half of its day."""
        index = row_of(10)
        for day in (100, 100, 101, 101, 101, 103):
            index.stays.arrived(0, 0, day)
        asked = [ask("age-zoned", index, BOX._replace(verified_day=day)) for day in (99, 100, 101, 102, 104)]
        # None before 99; 100: half of 2; 101: 2 and half of 3; 102: 5; 104: all 6.
        assert asked == [0, 1, 3, 5, 6]

    def test_heavy_low_by_hand(self):
        """The heaviest boxes go to the bottom, the lightest to the top, and beside when the level is full."""
        layout = layout_of(rows=1, columns=1, levels=3, boxes_per_slot=1)
        index = SlotIndex(layout, [0, 1, 2])
        index.weights_g = (1000, 5000)
        weights = (9000, 5000, 3000, 1000, 0)
        assert [ask("heavy-low", index, BOX._replace(weight_g=w)) for w in weights] == [0, 0, 1, 2, 2]
        index.take(1)
        # Levels 1 and 3 are as close to level 2: the lower one.
        assert ask("heavy-low", index, BOX._replace(weight_g=3000)) == 0

    def test_aisle_with_most_room_for_its_size(self):
        """Not the aisle with the most open places but with the largest share of its places open."""
        # Two aisles of one row: 3 slots of 4 boxes and 3 slots of 1.
        layout = layout_of(
            rows=2, columns=3, levels=1, boxes_per_slot=4, single_sided=True, capacity=[{"rows": [2], "boxes": 1}]
        )  # fmt: skip
        index = SlotIndex(layout, range(6))
        assert ask("aisle-balanced", index) == 0
        index.take(0)
        assert ask("aisle-balanced", index) == 3
        index.take(3)
        # 11 of 12 against 2 of 3.
        assert ask("aisle-balanced", index) == 0

    def test_names_of_rules(self):
        """A rule is found by its name, an alias or the name of an own rule that was loaded."""
        own = Rule(lambda box, view, stream: NONE)
        assert all(rule_named(name) is rule for name, rule in POLICIES.items())
        assert {alias: rule_named(alias) for alias in ALIASES} == {
            "coi": POLICIES["turnover"], "mean-stay": POLICIES["turnover"],
        }  # fmt: skip
        with pytest.raises(KeyError):
            rule_named("my.py:mine")
        OWN_RULES["my.py:mine"] = own
        try:
            assert rule_named("my.py:mine") is own
        finally:
            del OWN_RULES["my.py:mine"]
        assert set(LIVE_POLICIES) == set(POLICIES) - {"duration-of-stay", "offline-oracle"}

    def test_rule_is_called(self):
        """A rule is called like the function that it stands for."""
        index = row_of(3)
        assert POLICIES["farthest-open"](BOX, index.views[0], STREAM) == 2


class TableTravel:
    """Travel times from a table: place -> times to the slots."""

    def __init__(self, layout, table):
        self.layout, self.table = layout, table

    def one_way_ms(self, place):
        return np.array(self.table[place])


class TestClasses:
    def zones(self, shares, count=3, slots=20, **layout):
        layout = layout_of(rows=1, columns=slots, levels=1, **{"boxes_per_slot": 1, **layout})
        return SlotIndex(layout, range(slots), shares, count).views[0]

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

    def test_unknown_sku_is_slow(self):
        """A SKU that turnover knows nothing of belongs to the last zone."""
        assert self.zones([0.7, 0.2, 0.1]).zones_of(99)[0] == self.zones([0.7, 0.2, 0.1]).zones_of(2)[0]

    @pytest.mark.parametrize(
        ("overflow", "order"),
        [
            ("outward", [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]),
            ("inward", [7, 8, 0, 1, 2, 3, 4, 5, 6, 9]),
            ("nearest", [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]),
        ],
    )
    def test_full_zone_overflows(self, overflow, order):
        """When B's zone is full, C's is tried, and A's after that; the other way round inward."""
        index = row_of(10, shares=[0.75, 0.17, 0.08], overflow=overflow)
        # Places: A 7.5 -> up to 7.0 taken: 7 slots (0-6); B to 9.2: 7, 8 (9 >= 8.7); C: 9.
        box, named = BOX._replace(sku=1), []
        while (slot := ask("class-based", index, box)) != NONE:
            named.append(slot)
            index.take(slot, 0)
        assert named == order

    def test_nearest_zone_of_four(self):
        """Under `nearest` zones are tried by distance, the one further out before the one as far in."""
        index = row_of(8, shares=[1, 1, 1, 1], zones=4, borders=[0.25, 0.5, 0.75], overflow="nearest")
        zones = [(0, 2), (2, 4), (4, 6), (6, 8)]
        assert index.views[0].zones_of(1) == (zones[1], zones[2], zones[0], zones[3])
        assert index.views[0].zones_of(2) == (zones[2], zones[3], zones[1], zones[0])

    def test_given_borders_count(self):
        """Borders that are given replace those that are found: half of the demand is A."""
        index = row_of(10, shares=[4, 3, 3], zones=2, borders=[0.5])
        # .4 < .5: SKU 1 begins in A as well; .7: SKU 2 is B. A holds 7 of 10 places.
        assert [index.views[0].zones_of(sku)[0] for sku in range(3)] == [(0, 7), (0, 7), (7, 10)]

    def test_slow_sku_takes_more_places(self):
        """A zone is as large as the stock of its class, not as its demand."""
        # SKU 0 makes 4/5 of the demand with 1/5 of the stock: its zone is 2 of 10 slots.
        index = row_of(10, shares=Turnover([4, 1], [1, 4]), zones=2, borders=[0.5])
        assert [index.views[0].zones_of(sku)[0] for sku in (0, 1)] == [(0, 2), (2, 10)]

    def test_other_devices_need_no_zone(self):
        """Where device classes share no slot, each class is cut as if the other SKUs were not there."""
        near, far = bytes([1] * 10 + [0] * 10), bytes([0] * 10 + [1] * 10)
        layout = layout_of(rows=1, columns=20, levels=1, boxes_per_slot=1)
        mixed = SlotIndex(
            layout, range(20), [0.5, 0.3, 0.15, 0.05], admits=(near, far), class_of_sku=[0, 0, 0, 1]
        )  # fmt: skip
        alone = SlotIndex(layout, range(20), [0.5, 0.3, 0.15], admits=(near,))
        assert [mixed.views[0].zones_of(sku) for sku in range(3)] == [
            alone.views[0].zones_of(sku) for sku in range(3)
        ]
        # Of ten places A gets .8 / .95 of them (8.4), B the rest.
        assert [zones[0] for zones in (mixed.views[0].zones_of(0), mixed.views[0].zones_of(2))] == [
            (0, 8),
            (8, 10),
        ]


class TestRestricted:
    def test_box_sees_its_own_slots(self):
        """A box is put only where its class may go, and the nearest such slot is found past nearer ones."""
        index = row_of(4, admits=(None, bytes([0, 0, 1, 1])), class_of_sku=[0, 1], shares=[1, 1])
        assert [ask("closest-open", index, BOX._replace(sku=sku)) for sku in (0, 1)] == [0, 2]
        index.take(2)
        index.take(3)
        assert [ask("closest-open", index, BOX._replace(sku=sku)) for sku in (0, 1)] == [0, NONE]

    def test_unknown_sku_is_of_the_first_class(self):
        """A SKU that no class names may go where class 0 may."""
        index = row_of(4, admits=(bytes([0, 1, 1, 1]), None), class_of_sku=[1])
        assert [ask("closest-open", index, BOX._replace(sku=sku)) for sku in (0, 7)] == [0, 1]


class TestAgree:
    """One box after the other, and all at once."""

    @given(stores(), operations, st.lists(boxes_to_store, max_size=14), st.integers(NONE, 60), st.booleans())
    @settings(max_examples=120)
    def test_batch_equals_one_by_one(self, store, done, boxes, following, is_asked_before):
        """A batch decides what asking for each, reserving and counting it before the next decides; for any rule but two."""
        wrong = {}
        following = min(following, store.layout.places - 1)
        for name in ONE_BY_ONE:
            _, index = both(store, done, ask=is_asked_before)
            index.next_retrieval = lambda: following
            batch = allocate_batch(POLICIES[name], boxes, index, STREAM).tolist()
            named = []
            for box in boxes:
                slot = ask(name, index, box)
                named.append(slot)
                if slot != NONE:
                    index.take(slot, box.lot)
                    if box.sku < len(index.stays.here):
                        index.stays.arrived(box.sku, box.now_ms, box.verified_day)
            if batch != named:
                wrong[name] = batch, named
        assert wrong == {}

    @given(
        st.sampled_from(["direct", "stack_lifo"]),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(100, 105)), max_size=20),
        st.integers(0, 20),
    )
    @settings(max_examples=60)
    def test_batch_equals_the_ledger(self, access, rows, before):
        """A batch decides what the ledger allocates box by box, in free stacks too; nothing is left of the trial."""
        wrong = {}
        layout = layout_of(rows=2, columns=2, levels=2, boxes_per_slot=4, tiers=2, access=access)
        for name in set(ONE_BY_ONE) & set(LIVE_POLICIES):
            rule = POLICIES[name]
            travel = TableTravel(layout, {layout.outbound: range(8, 0, -1), 3: [3, 2, 1, 0, 4, 5, 6, 7]})
            index = SlotIndex(layout, range(8), Turnover([3, 2, 1], [1, 2, 3]), travel=travel)
            index.next_retrieval = lambda: 3
            ledger = Ledger(layout, index, [1] * 8, 3)
            for sku, lot, day in rows:
                ledger.new_box(sku, lot, day, 1, layout.truck)
            for box in range(min(before, len(rows))):
                ledger.allocate(rule, box, 10 * box, STREAM)
            rest = range(min(before, len(rows)), len(rows))
            batch = allocate_batch(rule, [ledger.seen(box, 500) for box in rest], index, STREAM).tolist()
            named = [ledger.allocate(rule, box, 500, STREAM)[0] for box in rest]
            ledger.check()
            if batch != named:
                wrong[name] = batch, named
        assert wrong == {}

    @pytest.mark.parametrize("name", POLICIES)
    def test_batch_fills_the_store(self, name):
        """A batch larger than the store takes every place and gives NONE to the boxes that are left."""
        index = row_of(5, 2, shares=[1, 1])
        index.travel = TableTravel(index.layout, {index.layout.outbound: list(range(5))})
        index.plan = [k % 5 for k in range(BOXES)]
        boxes = [BOX._replace(box=k, sku=k % 2, lot=k % 3) for k in range(13)]
        named = allocate_batch(POLICIES[name], boxes, index, STREAM)
        assert named.dtype == np.int64
        assert sorted(named.tolist()) == [NONE] * 3 + sorted([0, 1, 2, 3, 4] * 2)
        if name != "optimal-turnover":
            assert named.tolist()[10:] == [NONE] * 3

    def test_no_boxes(self):
        """No boxes are a batch too."""
        for rule in POLICIES.values():
            named = allocate_batch(rule, [], row_of(3), STREAM)
            assert (named.shape, named.dtype) == ((0,), np.int64)

    def test_failing_rule_leaves_no_trace(self):
        """When a rule fails in the middle of a batch, the places of the boxes before it are given back."""
        index = row_of(3)

        def fails(box, view, stream):
            if box.box == 2:
                raise ValueError("no more")
            return view.first_open()

        stays = index.stays
        with pytest.raises(ValueError, match="no more"):
            allocate_batch(Rule(fails), [BOX._replace(box=k) for k in range(4)], index, STREAM)
        assert (index.room, index.lots, index.stays is stays, index.stays.boxes) == ([1, 1, 1], {}, True, 0)
        assert ask("closest-open", index) == 0


class TestAtOnce:
    speeds = st.lists(st.integers(1, 30), min_size=1, max_size=6)

    @given(
        speeds, st.lists(st.integers(0, 50), min_size=4, max_size=6), st.lists(st.integers(0, 5)), st.data()
    )
    @settings(max_examples=150)
    def test_optimal_turnover_is_optimal(self, demand, times, taken, data):
        """A batch by sorting costs what the linear assignment of turnover times time costs, and nothing is cheaper."""
        stock = data.draw(st.lists(st.integers(1, 30), min_size=len(demand), max_size=len(demand)))
        index = row_of(len(times), 2, Turnover(demand, stock), times=times)
        for slot in taken:
            if slot < len(times) and index.room[slot]:
                index.take(slot)
        places = [slot for slot, room in enumerate(index.room) for _ in range(room)]
        skus = data.draw(st.lists(st.integers(0, len(demand) - 1), max_size=len(places)))
        boxes = [BOX._replace(box=k, sku=sku) for k, sku in enumerate(skus)]
        named = allocate_batch(POLICIES["optimal-turnover"], boxes, index, STREAM).tolist()
        costs = np.array([[index.turnover.speed[sku] * times[slot] for slot in places] for sku in skus])
        costs = costs.reshape(len(skus), len(places))
        least = costs[linear_sum_assignment(costs)].sum()
        assert all(named.count(slot) <= index.room[slot] for slot in named)
        assert sum(
            index.turnover.speed[sku] * times[slot] for sku, slot in zip(skus, named, strict=True)
        ) == pytest.approx(least, abs=1e-6)

    def test_slow_boxes_are_left(self):
        """With too few places the fastest boxes get them, the first of equally fast ones before the others."""
        index = row_of(2, shares=Turnover([1, 2], [2, 1]))
        boxes = [BOX._replace(box=k, sku=sku) for k, sku in enumerate((0, 1, 0, 1, 1))]
        assert allocate_batch(POLICIES["optimal-turnover"], boxes, index, STREAM).tolist() == [
            NONE, 0, NONE, 1, NONE,
        ]  # fmt: skip

    def test_equal_boxes_keep_their_turn(self):
        """Of many boxes of equally fast SKUs the first gets the nearest place."""
        index = row_of(90, shares=Turnover([9, 1], [1, 9]))
        boxes = [BOX._replace(box=k, sku=k % 2) for k in range(80)]
        named = allocate_batch(POLICIES["optimal-turnover"], boxes, index, STREAM).tolist()
        assert (named[::2], named[1::2]) == (list(range(40)), list(range(40, 80)))

    @given(
        st.integers(1, 4),
        st.lists(st.integers(0, 2), min_size=3, max_size=5),
        st.data(),
    )
    @settings(max_examples=100)
    def test_assign_equals_brute_force(self, count, rooms, data):
        """Whatever the costs, no other assignment of the boxes to places is cheaper."""
        layout = layout_of(
            rows=1, columns=len(rooms) + 1, levels=1, boxes_per_slot=1,
            capacity=[{"columns": [k + 2], "boxes": room} for k, room in enumerate(rooms)],
        )  # fmt: skip
        index = SlotIndex(layout, range(layout.slots))
        boxes = [BOX._replace(box=k) for k in range(count)]
        row = st.lists(st.integers(-20, 20), min_size=layout.slots, max_size=layout.slots)
        table = data.draw(st.lists(row, min_size=count, max_size=count))

        def costs_ms(some, slots, view):
            return np.array([[float(table[box.box][slot]) for slot in slots] for box in some])

        named = assign(boxes, index.views[0], costs_ms)
        places = [slot for slot, room in enumerate(index.room) for _ in range(room)]
        stored = min(count, len(places))
        # The first boxes come first: with too few places the last ones get none.
        assert [slot == NONE for slot in named] == [False] * stored + [True] * (count - stored)
        assert all(named.count(slot) <= index.room[slot] for slot in named[:stored])
        least = min(
            sum(table[k][slot] for k, slot in enumerate(chosen))
            for chosen in itertools.permutations(places, stored)
        )
        assert sum(table[k][slot] for k, slot in enumerate(named[:stored])) == least

    def test_assign_looks_at_so_many(self):
        """With a number of candidates only the nearest so many open places are looked at."""
        index = row_of(6)

        def far_is_cheap(some, slots, view):
            return -np.array([slots] * len(some), dtype=float)

        assert [assign([BOX], index.views[0], far_is_cheap, candidates=n) for n in (1, 3, 0)] == [
            [0],
            [2],
            [5],
        ]

    def test_announced_box_keeps_the_near_slot(self):
        """A slow box leaves the nearest slot to the fast one that is known to follow."""
        index = row_of(3, shares=Turnover([9, 1], [1, 9]), times=[10, 20, 30])
        assert ask("assignment", index, BOX._replace(sku=1)) == 0
        index.announced = lambda: [BOX._replace(box=6, sku=0)]
        assert ask("assignment", index, BOX._replace(sku=1)) == 1
        assert ask("assignment", index, BOX._replace(sku=0)) == 0

    def test_last_place_goes_to_the_box(self):
        """The box that is asked for gets the last place, however many faster or slower ones follow."""
        index = row_of(3, shares=Turnover([9, 1], [1, 9]), times=[10, 20, 30])
        index.take(0)
        index.take(2)
        for sku in (0, 1):
            index.announced = lambda other=1 - sku: [BOX._replace(box=6 + k, sku=other) for k in range(3)]
            assert ask("assignment", index, BOX._replace(sku=sku)) == 1

    def test_other_devices_do_not_compete(self):
        """Announced boxes of a class that may not take the slots of the box are no rivals of it."""
        index = row_of(
            3, shares=Turnover([9, 1], [1, 9]), times=[10, 20, 30], admits=(None, bytes([0, 0, 1])), class_of_sku=[1, 0]
        )  # fmt: skip
        index.announced = lambda: [BOX._replace(box=6, sku=0)]
        assert ask("assignment", index, BOX._replace(sku=1)) == 0

    def test_horizon_is_kept(self):
        """The box and at most so many that follow are looked at together."""
        index = row_of(30, shares=Turnover([9, 1], [1, 9]), times=range(1, 31))
        index.announced = lambda: [BOX._replace(box=6 + k, sku=0) for k in range(28)]
        assert ask("assignment", index, BOX._replace(sku=1)) == HORIZON - 1

    def test_mixing_costs(self):
        """A box goes past a slot of other lots to an empty one when the way is shorter than half a dig."""
        # One SKU: turnover 1. Slot 0 holds lot 9, slot 1 is empty and 4,999 or 5,001 ms further.
        for further, slot in ((MIXING_MS - 1, 1), (MIXING_MS + 1, 0)):
            index = row_of(2, 2, times=[1000, 1000 + int(further)])
            index.take(0, 9)
            assert ask("assignment", index) == slot
            assert ask("assignment", index, BOX._replace(lot=9)) == 0

    @pytest.mark.parametrize("name", ["optimal-turnover", "assignment"])
    def test_classes_share_slots(self, name):
        """Where two device classes may take the same slots, the second class gets what the first has left."""
        index = row_of(
            6, shares=Turnover([9, 1, 1], [1, 9, 9]), times=range(10, 70, 10),
            admits=(None, bytes([1, 1, 1, 0, 0, 0])), class_of_sku=[0, 0, 1],
        )  # fmt: skip
        boxes = [BOX._replace(box=k, sku=sku) for k, sku in enumerate((1, 2, 0, 2))]
        assert sorted(allocate_batch(POLICIES[name], boxes, index, STREAM).tolist()) == [NONE, 0, 1, 2]

    @pytest.mark.parametrize("name", ["optimal-turnover", "assignment"])
    def test_two_classes_at_once(self, name):
        """A batch of two device classes is decided class by class, each with all its boxes in view."""
        index = row_of(
            6, shares=Turnover([9, 1, 1], [1, 9, 9]), times=range(10, 70, 10),
            admits=(None, bytes([0, 0, 0, 1, 1, 1])), class_of_sku=[0, 0, 1],
        )  # fmt: skip
        boxes = [BOX._replace(box=k, sku=sku) for k, sku in enumerate((1, 2, 0, 1))]
        # Class 0 in turn: the fast box 2 gets slot 0, boxes 0 and 3 the next; class 1 begins at slot 3.
        named = allocate_batch(POLICIES[name], boxes, index, STREAM).tolist()
        assert (named[2], sorted(named[::3]), named[1]) == (0, [1, 2], 3)
        assert (index.room, index.lots) == ([1] * 6, {})
