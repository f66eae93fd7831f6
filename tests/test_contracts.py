"""What every choice in a dict keeps to: a name, a sentence, and a legal answer in any state it may meet.

A rule that is added to a dict is covered here at once; what is particular to it belongs to the tests of its file.
"""

import copy
import inspect
import re
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import LIVE_POLICIES, POLICIES, BoxView, SlotIndex, allocate, allocate_batch
from sim.calendar import DAY_MS, CalendarParams, WorkCalendar
from sim.counting import METHODS, PLANS, CountingParams, CountView
from sim.facts import COUNT, NONE
from sim.ledger import Ledger
from sim.orders import ORDER_TYPES, DemandParams, OrderBook, OrderSpec
from sim.retrieval import RETRIEVAL, BoxesView
from sim.robots import DISPATCH, DWELL, DispatchView, DwellView, RobotParams, Task
from sim.streams import Stream, Streams
from sim.travel import Travel
from tests.worlds import START, World, layout_of

DICTS = {
    "POLICIES": POLICIES, "RETRIEVAL": RETRIEVAL, "DISPATCH": DISPATCH, "DWELL": DWELL, "ORDER_TYPES": ORDER_TYPES,
    "PLANS": PLANS, "METHODS": METHODS,
}  # fmt: skip
NEEDS = {"departures", "travel", "lots"}
CHOICES = [(kind, name) for kind, choices in DICTS.items() for name in choices]


def function_of(choice):
    """The function of a choice; that of a rule or a plan stands in its `choose`, that of a method in its `look`."""
    return getattr(choice, "choose", getattr(choice, "look", choice))


@pytest.mark.parametrize(("kind", "name"), CHOICES)
class TestEveryChoice:
    def test_choice_has_a_sentence(self, kind, name):
        """A choice is explained by one sentence of at most 140 characters: what `list` and the pages show."""
        sentence = inspect.getdoc(function_of(DICTS[kind][name]))
        assert sentence
        first = sentence.splitlines()[0]
        assert re.fullmatch(r"[A-Z].{10,138}\.", first), first

    def test_choice_has_a_plain_name(self, kind, name):
        """A name can be typed on a command line: lower case, digits, hyphens or underscores."""
        assert re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name)

    def test_choice_is_a_plain_function(self, kind, name):
        """A choice is a function of the module, not an object with a memory."""
        function = function_of(DICTS[kind][name])
        assert inspect.isfunction(function)
        assert function.__closure__ is None


def test_sentences_differ():
    """No two choices of a dict are explained by the same words, unless they are the same function."""
    for choices in DICTS.values():
        functions = set(map(function_of, choices.values()))
        assert len({inspect.getdoc(each) for each in functions}) == len(functions)


@st.composite
def shelves(draw):
    """A store in any state: slots of 0 to 3 places, some taken, some blocked, some not for every box."""
    layout, index = draw(open_stores())
    for slot in range(layout.slots):
        for _ in range(draw(st.integers(0, layout.capacity[slot]))):
            index.take(slot, draw(st.integers(0, 2)))
            index.stays.arrived(draw(st.integers(0, 3)), 0, 739_000)
        if draw(st.integers(0, 4)) == 0:
            index.block(slot, True, draw(st.sampled_from(["blocked", "hold"])))
    index.plan = draw(st.lists(st.integers(0, layout.slots - 1), min_size=20, max_size=20))
    stays, following = draw(st.lists(st.integers(0, 9))), draw(st.integers(NONE, layout.places - 1))
    index.shorter_stays = lambda stay_ms: sum(each < stay_ms for each in stays)
    index.next_retrieval = lambda: following
    after = draw(st.lists(st.integers(0, 3), max_size=3))
    index.announced = lambda: [BoxView(50 + k, sku, 9, 739_000, 15) for k, sku in enumerate(after)]
    return index


@st.composite
def open_stores(draw):
    """A layout with one or two aisles, its travel times, and an index with one or two classes of boxes."""
    rows, columns, levels = draw(st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(1, 2)))
    layout = layout_of(
        rows=rows, columns=columns, levels=levels, boxes_per_slot=draw(st.integers(1, 3)),
        capacity=[{"rows": [1], "columns": [1], "boxes": draw(st.integers(0, 3)), "levels": [1]}],
    )  # fmt: skip
    times = draw(st.lists(st.integers(0, 9), min_size=layout.slots, max_size=layout.slots))
    masks = st.none() | st.lists(st.integers(0, 1), min_size=layout.slots, max_size=layout.slots).map(bytes)
    index = SlotIndex(
        layout, times, [5, 3, 1, 1], draw(st.integers(2, 5)), travel=Travel(layout, RobotParams()),
        admits=draw(st.lists(masks, min_size=1, max_size=2)), class_of_sku=[0, 0, 0, 0],
    )  # fmt: skip
    index.class_of_sku = draw(
        st.lists(st.integers(0, len(index.admits) - 1), min_size=4, max_size=4)
    )  # fmt: skip
    return layout, index


@pytest.mark.parametrize("name", POLICIES)
class TestEveryPolicy:
    @given(shelves(), st.integers(0, 3), st.integers(0, 5), st.integers(0, 19))
    @settings(max_examples=40)
    def test_slot_is_legal(self, name, index, sku, lot, number):
        """A rule names a slot open to the box as long as there is one and NONE otherwise, twice the same, changing nothing."""
        box = BoxView(number, sku, lot, 739_000, 15, 3, 7, 500)
        rule, stream = POLICIES[name], Stream(1, "policy.allocation")
        admits = index.admits[index.class_of_sku[sku]]
        may_take = [s for s in range(len(index.room)) if index.is_open(s) and (admits is None or admits[s])]
        named = allocate(rule, box, index, stream)
        before = copy.deepcopy((index.room, index.lots, index.open_places))
        assert named in may_take if may_take else named == NONE
        assert allocate(rule, box, index, stream) == named
        assert (index.room, index.lots, index.open_places) == before

    @given(shelves(), st.lists(st.integers(0, 3), max_size=12))
    @settings(max_examples=25)
    def test_batch_is_legal(self, name, index, skus):
        """A batch names open slots as long as there are any, no slot more often than it has room, changing nothing."""
        boxes = [BoxView(k, sku, k % 3, 739_000, 15, 3, 7, 500) for k, sku in enumerate(skus)]
        room, lots = list(index.room), copy.deepcopy(index.lots)
        named = allocate_batch(POLICIES[name], boxes, index, Stream(1, "policy.allocation")).tolist()
        assert len(named) == len(boxes)
        assert (index.room, index.lots) == (room, lots)
        for box, slot in zip(boxes, named, strict=True):
            admits = index.admits[index.class_of_sku[box.sku]]
            if slot != NONE:
                assert index.is_open(slot)
                assert admits is None or admits[slot]
                assert named.count(slot) <= room[slot]
            else:  # nothing that the box may have is left by the others
                assert all(
                    named.count(s) == room[s]
                    for s in range(len(room))
                    if index.is_open(s) and (admits is None or admits[s])
                )

    def test_store_fills_to_the_last_place(self, name):
        """Box after box, a rule fills the store whole and then gives NONE."""
        layout = layout_of()
        index = SlotIndex(
            layout, range(layout.slots), [7, 2, 1], travel=Travel(layout, RobotParams())
        )  # fmt: skip
        index.plan = [box % layout.slots for box in range(layout.boxes)]
        index.shorter_stays = lambda stay_ms: stay_ms % 7
        rule, stream = POLICIES[name], Stream(1, "policy.allocation")
        for box in range(layout.boxes):
            seen = BoxView(box, box % 3, box // 60, 739_000, 15)
            slot = allocate(rule, seen, index, stream)
            index.take(slot, box // 60)
            index.stays.arrived(box % 3, box, 739_000)
        assert index.open_places == 0
        assert allocate(rule, BoxView(0, 0, 0, 739_000, 15), index, stream) == NONE

    def test_rule_says_what_to_know(self, name):
        """A rule states its source, what it does when its first choice is taken, and what must be known."""
        rule = POLICIES[name]
        assert len(rule.source) >= 10
        assert len(rule.fallback) >= 10
        assert rule.needs <= NEEDS
        assert (name in LIVE_POLICIES) == ("departures" not in rule.needs)


@pytest.mark.parametrize("name", LIVE_POLICIES)
class TestEveryLivePolicy:
    @pytest.mark.parametrize("access", ["direct", "stack_lifo"])
    def test_rule_keeps_a_store_running(self, name, access):
        """The whole warehouse works under the rule: trucks come, orders go, every invariant holds."""
        kind = "acr" if access == "direct" else "top_gripper"
        world = World(
            robots={"kind": kind, "access": access}, policy={"allocation": name}, skus=3, rows=2, columns=3, levels=2
        )  # fmt: skip
        for sku in range(3):
            world.truck(5, sku=sku)
        world.at(600_000, lambda: world.order(40, sku=1))
        world.run(4 * 3600)
        assert len(world.facts("task_done")) >= 15
        assert len(world.facts("order_handed_over")) == 1


@pytest.mark.parametrize("name", RETRIEVAL)
class TestEveryRetrieval:
    @given(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), max_size=12),
        st.integers(0, 4),
        st.integers(0, 2),
    )
    @settings(max_examples=40)
    def test_box_is_ready(self, name, boxes, tolerance, sku):
        """A rule names a ready box of the SKU as long as there is one and NONE otherwise, changing nothing."""
        layout = layout_of(rows=1, columns=3, levels=1, boxes_per_slot=5)
        ledger = Ledger(layout, SlotIndex(layout, range(3)), [3, 2, 1], 3)
        for box, (kind, day) in enumerate(boxes):
            ledger.new_box(kind, 0, 100 + day, 1, layout.staging)
            ledger.reserve(box, box % 3, 0)
            ledger.stored(box, box % 3, 0, box // 3)
            ledger.add_ready(box)
        mine = [box for box, (kind, _) in enumerate(boxes) if kind == sku]
        view = BoxesView(ledger, ledger.ready, tolerance)
        named = RETRIEVAL[name](sku, view)
        assert named in mine if mine else named == NONE
        assert RETRIEVAL[name](sku, view) == named
        assert sorted(ledger.ready) == list(range(len(boxes)))

    def test_rule_keeps_a_store_running(self, name):
        """The whole warehouse works under the rule, in free stacks too."""
        world = World(
            robots={"kind": "top_gripper", "access": "stack_lifo"}, policy={"retrieval": name, "tolerance_days": 5},
            rows=2, columns=2, levels=1,
        )  # fmt: skip
        for k in range(10):
            world.stock_box(k % 2, 0, age=20 + 7 * k % 30)
        for meters in (15, 30, 20, 45):
            world.order(meters)
        world.run(4 * 3600)
        assert len(world.facts("order_handed_over")) == 4


@pytest.mark.parametrize("name", DISPATCH)
class TestEveryDispatch:
    @given(st.lists(st.none() | st.integers(0, 10**7), min_size=5, max_size=5), st.floats(1, 1e7))
    def test_class_has_work(self, name, ages, ageing):
        """A rule names a class in which a task waits, and NONE when none does."""

        waits = [
            [] if age is None else [Task(0, kind, 0, 0, 0, 10**7 - age)] for kind, age in enumerate(ages)
        ]
        clock = SimpleNamespace(now=10**7, _now=10**7)
        fleet = SimpleNamespace(env=clock, ageing_ms=ageing, waiting=waits)
        named = DISPATCH[name](DispatchView(fleet))
        waiting = [kind for kind, age in enumerate(ages) if age is not None]
        assert named in waiting if waiting else named == NONE

    def test_all_work_is_done(self, name):
        """Under any rule put-aways, orders, returns and visits all get done."""
        world = World(policy={"dispatch": name}, staging={"loose_rack_boxes": 0})
        world.stock_box("1-05-1", age=90)
        world.truck(6)
        world.order(40)
        world.warehouse.visit(world.slot("2-02-2"), 1000)
        world.run(4 * 3600)
        created = world.facts("task_created")
        assert {f["task_class"] for f in created} >= {0, 1, 2, COUNT}
        gone = {f["task"] for kind in ("task_done", "task_cancelled") for f in world.facts(kind)}
        assert gone == {f["task"] for f in created}


@pytest.mark.parametrize("name", DWELL)
class TestEveryDwell:
    def test_place_exists(self, name):
        """A rule names a place that it was shown, or NONE for where the robot stands."""
        view = DwellView(inbound=5, outbound=6, chargers=(7, 8), centre=3)
        assert DWELL[name](view) in (NONE, 3, 5, 6, 7, 8)
        assert DWELL[name](view._replace(chargers=())) in (NONE, 3, 5, 6)

    @pytest.mark.parametrize("count", [1, 2])
    @pytest.mark.parametrize("passing", [False, True])
    def test_robot_comes_back_to_work(self, name, count, passing):
        """Work is done before and after a rest, wherever that is."""
        world = World(robots={"count": count, "passing": passing}, policy={"dwell": name})
        world.truck(2)
        world.run(1800)
        world.order(30)
        world.run(1800)
        assert len(world.facts("order_handed_over")) == 1


@pytest.mark.parametrize("name", ORDER_TYPES)
class TestEveryOrderType:
    def book(self, seed=1):
        streams, calendar = Streams(seed), WorkCalendar(CalendarParams(), START)
        orders = [OrderSpec(3 * DAY_MS + 10 * k, 0, None, ((0, 7),), True) for k in (5, 2, 9)]
        return OrderBook(
            DemandParams(orders_per_day=20), [0.7, 0.3], calendar, streams, meters_per_box=15, orders=orders
        )

    def test_orders_fall_on_their_day(self, name):
        """Orders of a day lie on it, in order of time, each with meters of a SKU that exists."""
        book = self.book()
        for day in range(10):
            orders = list(ORDER_TYPES[name](book, day))
            assert [o.at_ms for o in orders] == sorted(o.at_ms for o in orders)
            for order in orders:
                assert day * DAY_MS <= order.at_ms < (day + 1) * DAY_MS
                assert order.lines
                assert all(sku in (0, 1) and meters >= 1 for sku, meters in order.lines)
                assert order.due_ms is None or order.due_ms >= order.at_ms

    def test_same_seed_same_orders(self, name):
        """The same seed gives the same orders, another one others, where chance decides."""
        days = [
            [list(ORDER_TYPES[name](book, day)) for day in range(10)] for book in map(self.book, (1, 1, 2))
        ]
        assert days[0] == days[1]
        if name in ("poisson", "stations", "hold_fill"):
            assert days[0] != days[2]

    def test_no_orders_on_a_day_off(self, name):
        """Chance releases nothing on a Sunday; a list may."""
        assert name in ("schedule", "trace") or list(ORDER_TYPES[name](self.book(), 6)) == []


ERRING = {"scale": 1000, "wrong_slot": 0.0002, "lost_message": 0.0002, "short_packed": 0.0001, "resend_h": 6}
"""One put-away in five goes to a wrong slot, one in five is not confirmed, one box in ten comes short."""


def erring_week(**counting):
    """A week of a small store in which much goes wrong."""
    world = World(
        records=ERRING, counting=counting, reads={"box_miss": 0.05}, rows=2, columns=4, levels=2, boxes_per_slot=3,
        people={"count": 2}, skus=2,
    )  # fmt: skip
    for day in range(7):
        for hour in (8, 9, 10):
            time = (24 * day + hour) * 3_600_000
            world.at(time + 1, lambda sku=hour % 2: world.truck(3, sku=sku))
            world.at(time + 2, lambda sku=hour % 2: world.order(34, sku=sku))
    for _ in range(7 * 4):
        world.run(6 * 3600)
    return world


@pytest.mark.parametrize("name", PLANS)
class TestEveryPlan:
    def test_plan_says_what_it_does(self, name):
        """The sentence of a plan is that of its function, and ends like one."""
        assert re.fullmatch(r"[A-Z].{20,138}\.", PLANS[name].sentence)
        assert PLANS[name].on <= {"discrepancy", "access", "empty"}

    def test_slots_are_legal(self, name):
        """A plan names slots that exist, none twice, the same when asked again where no chance is in it."""
        world = World(
            counting={"plan": name, "interval_days": 1}, rows=2, columns=3, levels=2, boxes_per_slot=3
        )
        counting = world.warehouse.counting
        for slot in (3, 3, 5, 0):
            counting.accessed(slot)
        view = CountView(counting)
        named = list(PLANS[name].choose(view))
        assert len(set(named)) == len(named)
        assert set(named) <= set(range(world.layout.slots))
        assert name == "certify" or list(PLANS[name].choose(view)) == named

    def test_store_keeps_running(self, name):
        """A week with errors breaks no invariant, twice the same, and orders go out."""
        world = erring_week(plan=name, interval_days=2, slots_per_day=4, certify={"accuracy": 0.8})
        assert len(world.facts("order_handed_over")) >= 5
        assert len(world.facts("error_made")) >= 10
        assert bool(world.facts("slot_counted")) == PLANS[name].counts
        assert (
            erring_week(plan=name, interval_days=2, slots_per_day=4, certify={"accuracy": 0.8}).rows
            == world.rows
        )


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_method_says_what_it_sees(self, name):
        """A method says who looks, with what, and what that shows."""
        method = METHODS[name]
        assert method.by in ("robot", "person")
        assert re.fullmatch(r"(robot|person), .{10,80}", method.sentence)
        assert method.sentence.startswith(method.by)

    @given(st.integers(0, 40), st.integers(0, 600), st.integers(1, 5))
    @settings(max_examples=30)
    def test_more_takes_longer(self, name, boxes, meters, passes):
        """More boxes, meters or passes never take less time, and nothing takes less than none."""
        params = CountingParams()
        base = METHODS[name].takes_ms(params, boxes, meters, passes)
        assert base >= 0
        for more in ((boxes + 1, meters, passes), (boxes, meters + 1, passes), (boxes, meters, passes + 1)):
            assert METHODS[name].takes_ms(params, *more) >= base

    def test_method_invents_nothing(self, name):
        """A look shows only boxes that are in the slot, where they stand, and meters that are in them; it changes nothing."""
        world = World(
            records={"scale": 1e-12}, counting={"plan": "passive"}, reads={"box_miss": 0.3, "dead": 0.2},
            rows=1, columns=3, levels=1, boxes_per_slot=3,
        )  # fmt: skip
        boxes = [world.stock_box("1-01-1", meters=k) for k in (15, 7, 1)]
        world.stock_box("1-02-1")
        looker, before = world.warehouse.counting._looker, copy.deepcopy(world.stock.cells)
        for _ in range(20):
            seen = METHODS[name].look(looker, 0)
            if METHODS[name].places:
                assert all(
                    world.stock.cells[0][column][tier] == box for (column, tier), box in seen.cells.items()
                )
            else:
                assert seen.cells is None
            for box, mask in (seen.meters or {}).items():
                assert box in boxes
                assert mask & ~world.stock.mask[box] == 0
        assert world.stock.cells == before

    def test_store_keeps_running(self, name):
        """A week with errors, counted that way every other day, breaks no invariant and leaves nothing undone."""
        world = erring_week(plan="full", method=name, interval_days=2)
        methods = {list(METHODS)[f["method"]] for f in world.facts("slot_counted", look=0)}
        assert methods == {name}
        assert len(world.facts("count_ended")) >= 2
