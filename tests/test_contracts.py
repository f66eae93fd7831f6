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

from sim.allocation import POLICIES, BoxView, SlotIndex, SlotView
from sim.calendar import DAY_MS, CalendarParams, WorkCalendar
from sim.facts import COUNT, NONE
from sim.ledger import Ledger
from sim.orders import ORDER_TYPES, DemandParams, OrderBook, OrderSpec
from sim.retrieval import RETRIEVAL, BoxesView
from sim.robots import DISPATCH, DWELL, DispatchView, DwellView, Task
from sim.streams import Stream, Streams
from tests.worlds import START, World, layout_of

DICTS = {
    "POLICIES": POLICIES, "RETRIEVAL": RETRIEVAL, "DISPATCH": DISPATCH, "DWELL": DWELL, "ORDER_TYPES": ORDER_TYPES,
}  # fmt: skip
CHOICES = [(kind, name) for kind, choices in DICTS.items() for name in choices]


@pytest.mark.parametrize(("kind", "name"), CHOICES)
class TestEveryChoice:
    def test_choice_has_a_sentence(self, kind, name):
        """A choice is explained by one sentence of at most 140 characters: what `list` and the pages show."""
        sentence = inspect.getdoc(DICTS[kind][name])
        assert sentence
        first = sentence.splitlines()[0]
        assert re.fullmatch(r"[A-Z].{10,138}\.", first), first

    def test_choice_has_a_plain_name(self, kind, name):
        """A name can be typed on a command line: lower case, digits, hyphens or underscores."""
        assert re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name)

    def test_choice_is_a_plain_function(self, kind, name):
        """A choice is a function of the module, not an object with a memory."""
        assert inspect.isfunction(DICTS[kind][name])
        assert DICTS[kind][name].__closure__ is None


def test_sentences_differ():
    """No two choices of a dict are explained by the same words, unless they are the same function."""
    for choices in DICTS.values():
        functions = set(choices.values())
        assert len({inspect.getdoc(each) for each in functions}) == len(functions)


@st.composite
def shelves(draw):
    """A store in any state: slots of 0 to 3 places, some taken, some blocked."""
    rows, columns, levels = draw(st.tuples(st.integers(1, 2), st.integers(2, 4), st.integers(1, 2)))
    layout = layout_of(
        rows=rows, columns=columns, levels=levels, boxes_per_slot=draw(st.integers(1, 3)),
        capacity=[{"rows": [1], "columns": [1], "boxes": draw(st.integers(0, 3)), "levels": [1]}],
    )  # fmt: skip
    times = draw(st.lists(st.integers(0, 9), min_size=layout.slots, max_size=layout.slots))
    index = SlotIndex(layout, times, [5, 3, 1, 1], draw(st.integers(2, 3)))
    for slot in range(layout.slots):
        for _ in range(draw(st.integers(0, layout.capacity[slot]))):
            index.take(slot, draw(st.integers(0, 2)))
        if draw(st.integers(0, 4)) == 0:
            index.block(slot, True)
    return index


@pytest.mark.parametrize("name", POLICIES)
class TestEveryPolicy:
    @given(shelves(), st.integers(0, 3), st.integers(0, 5), st.integers(0, 10**6))
    @settings(max_examples=40)
    def test_slot_is_legal(self, name, index, sku, lot, number):
        """A rule names an open slot as long as there is one and NONE otherwise, twice the same, changing nothing."""
        box = BoxView(number, sku, lot, 739_000, 15)
        view, stream = SlotView(index), Stream(1, "policy.allocation")
        named = POLICIES[name](box, view, stream)
        before = copy.deepcopy((index.room, index.lots, index.open_places))
        some = any(index.is_open(slot) for slot in range(len(index.room)))
        assert index.is_open(named) if some else named == NONE
        assert POLICIES[name](box, view, stream) == named
        assert (index.room, index.lots, index.open_places) == before

    def test_store_fills_to_the_last_place(self, name):
        """Box after box, a rule fills the store whole and then gives NONE."""
        layout = layout_of()
        index = SlotIndex(layout, range(layout.slots), [7, 2, 1])
        view, stream = SlotView(index), Stream(1, "policy.allocation")
        for box in range(layout.boxes):
            slot = POLICIES[name](BoxView(box, box % 3, box // 60, 739_000, 15), view, stream)
            index.take(slot, box // 60)
        assert index.open_places == 0
        assert POLICIES[name](BoxView(0, 0, 0, 739_000, 15), view, stream) == NONE

    def test_rule_keeps_a_store_running(self, name):
        """The whole warehouse works under the rule: trucks come, orders go, every invariant holds."""
        world = World(policy={"allocation": name}, skus=3, rows=2, columns=3, levels=2)
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
            ledger.reserve_column(box % 3, 0, 0)
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
