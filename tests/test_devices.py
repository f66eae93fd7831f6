"""Devices that come in boxes of their own: a SKU whose box is full with five meters, in stores worked out by hand."""

from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import facts as f
from sim.control import on_order
from sim.facts import METERS, NONE, WHY_COUNT
from sim.history import record_gaps, state_at, truth_gaps
from sim.ledger import IN_TRANSIT, QUALIFIED
from sim.opening import Opening, OpeningBox, PseudoHistory
from sim.orders import DemandParams, OrderBook, Supply, SupplyParams, in_boxes
from sim.scenario import ScenarioError, build_layout, from_dict, full_boxes, full_weights_g, load
from sim.simulation import Simulation, run
from sim.stocklist import StockListError, read_stock
from sim.streams import Streams
from sim.tracking import Subject, track
from tests.test_counting import SEEING
from tests.test_flows import SMALL, Flowing
from tests.test_invariants import check_facts, check_store, one_of

MIXED = {"skus": 2, "full_boxes": [15, 5]}
"""SKU 0 has fifteen meters in a box, SKU 1 has five."""
FIVE = 0b11111
SKUS = [
    {"name": "single", "share": 0.75},
    {"name": "three", "share": 0.25, "device": "three-phase", "meters_per_box": 5},
]


def data_of(**sections):
    """A small store of sixty places as plain data, with boxes of 15 and of 5."""
    data = {
        "time": {"days": 12},
        "layout": {**SMALL, "profile": "uniform"},
        "skus": SKUS,
        "initial": {"fill": 0.6},
        "supply": {"lead_time_days": 1, "truck_boxes": 20, "min_boxes": 2},
        "demand": {"orders_per_day": 6, "mean_meters": 20, "cap_boxes": 4},
    }
    for name, section in sections.items():
        data[name] = {**data.get(name, {}), **section} if isinstance(section, dict) else section
    return data


# -- what a scenario may say ------------------------------------------------------------------------------


class TestScenario:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (16, "skus[1].meters_per_box: expected at most boxes.meters_per_box = 15, found 16"),
            (0, "skus[1].meters_per_box: expected a whole number from 1 to 60, found 0"),
            (61, "skus[1].meters_per_box: expected a whole number from 1 to 60, found 61"),
            (4.5, "skus[1].meters_per_box: expected a whole number from 1 to 60, found 4.5"),
            ("five", "skus[1].meters_per_box: expected a whole number from 1 to 60, found 'five'"),
        ],
    )
    def test_wrong_number_is_refused(self, value, message):
        """A box holds 1 to boxes.meters_per_box meters, a whole number of them."""
        with pytest.raises(ScenarioError) as caught:
            from_dict(data_of(skus=[{"name": "A"}, {"name": "B", "meters_per_box": value}]))
        assert caught.value.lines == [message]

    def test_place_of_a_wrong_number(self, tmp_path):
        """A file that says too much is refused by its line."""
        path = tmp_path / "s.toml"
        path.write_text('[boxes]\nmeters_per_box = 12\n\n[[skus]]\nname = "A"\nmeters_per_box = 15\n')
        with pytest.raises(ScenarioError) as caught:
            load(path)
        (line,) = caught.value.lines
        assert line.endswith(
            "s.toml:6: skus[0].meters_per_box: expected at most boxes.meters_per_box = 12, found 15"
        )

    def test_boxes_and_their_weights(self):
        """A SKU without a number of its own has boxes.meters_per_box; a full box weighs its tare and its meters."""
        skus = [
            {"name": "A"},
            {"name": "B", "meters_per_box": 5, "meter_kg": 2.4},
            {"name": "C", "meters_per_box": 15},
        ]
        scenario = from_dict(data_of(skus=skus))
        assert full_boxes(scenario) == [15, 5, 15]
        # 2 kg + 15 x 0.55 kg; 2 kg + 5 x 2.4 kg.
        assert full_weights_g(scenario) == [10_250, 14_000, 10_250]
        simulation = Simulation(scenario)
        assert simulation.ledger.weight_g(1, 5) == 14_000
        assert simulation.ledger.index.weights_g == (10_250, 14_000)

    def test_limit_of_weight_counts_the_full_box(self):
        """Five meters of 2.4 kg may stand where 13 kg are allowed only in a box of four, not of five."""
        for meters, slots in ((5, 6), (4, 12)):
            scenario = from_dict(
                data_of(
                    layout={
                        **SMALL,
                        "profile": "uniform",
                        "restricted": [{"levels": [2], "most_box_kg": 13}],
                    },
                    skus=[{"name": "A"}, {"name": "B", "meters_per_box": meters, "meter_kg": 2.4}],
                )
            )
            layout = build_layout(scenario)
            admitted = layout.admits("single-phase", full_weights_g(scenario)[1])
            assert (12 if admitted is None else sum(admitted)) == slots

    def test_numbers_that_change_nothing(self):
        """Saying what is so anyway gives the very same run."""
        said = load("tiny", ["skus[0].meters_per_box=15"])
        assert full_boxes(said.scenario)[0] == 15
        assert run(said).digest == run(load("tiny")).digest


# -- a store at work --------------------------------------------------------------------------------------


class TestBoxes:
    def test_box_of_five_comes_in_whole(self):
        """Three boxes of five are fifteen meters on order, and then on hand in whole boxes that are put away."""
        world = Flowing(**MIXED)
        boxes = world.truck(3, sku=1)
        assert world.ledger.on_order == [0, 15]
        assert [fact["meters"] for fact in world.facts("box_created")] == [5, 5, 5]
        world.run(3600)
        assert (world.ledger.on_order, world.ledger.on_hand) == ([0, 0], [0, 15])
        assert all(world.stock.column[box] != NONE and box in world.ledger.ready for box in boxes)
        assert world.stock.mask == [FIVE] * 3
        world.holds()

    def test_whole_boxes_and_loose_meters(self):
        """Twelve meters of five a box are two whole boxes and two loose ones; three stay and serve the next order."""
        world = Flowing(**MIXED)
        boxes = [world.stock_box("1-01-1", sku=1, meters=5) for _ in range(3)]
        world.order(12, sku=1)
        assert [(fact["box"], fact["meters"]) for fact in world.facts("box_reserved")] == [
            (boxes[0], 5), (boxes[1], 5), (boxes[2], 2),
        ]  # fmt: skip
        # The facts tell the same: two boxes are promised whole to order 0, of the third two meters.
        state = state_at(world.trace(), world.layout)
        assert (state.order.tolist(), state.reserved.tolist()) == ([0, 0, NONE], [5, 5, 2])
        assert state.state_names() == ["reserved", "reserved", "qualified_in_stock"]
        world.run(3600)
        assert sorted(fact["mask"] for fact in world.facts("meters_issued")) == [0b11, FIVE, FIVE]
        assert [fact["mask"] for fact in world.facts("meters_picked")] == [0b11]
        assert (world.stock.mask[boxes[2]], world.ledger.on_hand) == (0b11100, [0, 3])
        world.order(3, sku=1)
        world.run(3600)
        assert len(world.facts("order_handed_over")) == 2
        assert [fact["box"] for fact in world.facts("box_emptied")] == [boxes[2]]
        world.holds()

    def test_same_meters_in_a_larger_box_are_loose(self):
        """Five meters in a box of fifteen are an open box: they are picked one by one, and make no whole box."""
        world = Flowing(**MIXED)
        small, large = world.stock_box("1-01-1", sku=1, meters=5), world.stock_box("1-01-1", meters=5)
        assert (small in world.ledger.ready, large in world.ledger.ready) == (True, False)
        world.order(5)
        world.order(5, sku=1)
        world.run(3600)
        assert [fact["box"] for fact in world.facts("meters_picked")] == [large]
        assert world.stock.place[small] == world.layout.handed_over
        world.holds()

    def test_missing_box_frees_five(self):
        """A promised box that is not there frees its five meters, and the order gets another box of five."""
        world = Flowing(**MIXED, records={"scale": 1})
        first, second = (world.stock_box("1-01-1", sku=1, meters=5, age=age) for age in (60, 30))
        world.order(5, sku=1)
        world.warehouse.miss(first, WHY_COUNT)
        assert [(fact["box"], fact["meters"]) for fact in world.facts("box_freed")] == [(first, 5)]
        assert [fact["meters"] for fact in world.facts("order_short")] == [5]
        assert [fact["box"] for fact in world.facts("box_reserved")] == [first, second]
        world.run(3600)
        assert len(world.facts("order_handed_over")) == 1

    def test_recalled_box_frees_five(self):
        """A recall takes a promised box of five back: its order is short of five meters."""
        world = Flowing(**MIXED)
        box = world.stock_box("1-01-1", sku=1, meters=5)
        world.order(5, sku=1)
        world.warehouse.recall(world.ledger.lot[box])
        assert [fact["meters"] for fact in world.facts("box_freed")] == [5]
        assert [fact["meters"] for fact in world.facts("order_short")] == [5]
        world.days(2)
        assert [fact["cause"] for fact in world.facts("box_left")] == [f.RECALLED]

    def test_box_that_was_looked_into_is_whole_again(self):
        """A box of five that was opened to be counted, and in which nothing was wrong, is issued whole."""
        world = Flowing(**MIXED, records={"scale": 1})
        box = world.stock_box("1-01-1", sku=1, meters=5)
        assert world.warehouse.inspect(box)
        world.run(3600)
        assert box in world.ledger.ready
        world.order(5, sku=1)
        world.run(3600)
        assert world.facts("meters_picked") == []
        assert [fact["mask"] for fact in world.facts("meters_issued")] == [FIVE]

    def test_short_packed_box_is_lacking_one(self):
        """A box that came with four meters is found at the check: the order lacks one, which another box gives."""
        world = Flowing(**MIXED, records={"scale": 1, "check_finds": 1.0})
        first, second = (world.stock_box("1-01-1", sku=1, meters=5, age=age) for age in (60, 30))
        world.lose(first, 1)
        world.order(5, sku=1)
        world.run(7200)
        assert [fact["meters"] for fact in world.facts("order_short", box=first)] == [1]
        assert [fact["box"] for fact in world.facts("meters_picked")] == [second]
        assert world.stock.mask[second].bit_count() == 4
        assert len(world.facts("order_handed_over")) == 1

    def test_unopened_box_comes_back(self):
        """A box of five that comes back unused is whole, is put away and may be issued again."""
        world = Flowing(**MIXED, returns={"unused_share": 1, "unused_days_min": 1, "unused_days_max": 1})
        box = world.stock_box("1-01-1", sku=1, meters=5)
        world.order(5, sku=1)
        world.days(3)
        assert [fact["box"] for fact in world.facts("box_came_back")] == [box]
        assert (world.stock.mask[box], world.ledger.on_hand) == (FIVE, [0, 5])
        assert box in world.ledger.ready
        world.order(5, sku=1)
        world.days(1)
        assert [fact["mask"] for fact in world.facts("meters_issued")] == [FIVE, FIVE]

    def test_removed_meters_fill_their_boxes(self):
        """For 13 meters handed over 13 old ones come: two boxes of five, and three meters wait for more."""
        world = Flowing(**MIXED, returns={
            "share_here": 1, "sku": "sku 1", "removed_per_issued": 1, "removed_days_min": 1, "removed_days_max": 1,
        })  # fmt: skip
        world.stock_box("1-01-1")
        world.order(13)
        world.days(3)
        come = world.facts("box_created", sku=1)
        assert [fact["meters"] for fact in come] == [5, 5]
        assert world.flows._removed_rest == 3000
        # Two more make the third box full.
        world.order(2)
        world.days(3)
        assert len(world.facts("box_created", sku=1)) == 3

    def test_rfid_counts_five(self):
        """A count by tags sees five meters of five: no difference. Where one is gone it sees that, and it is confirmed."""
        for gone, verdicts in ((0, []), (1, [0, 1])):
            world = Flowing(**MIXED, records={"scale": 1, "wrong_slot": 0}, reads=SEEING,
                            counting={"plan": "passive", "method": "rfid"})  # fmt: skip
            box = world.stock_box("1-01-1", sku=1, meters=5)
            if gone:
                world.lose(box, 1)
            world.warehouse.counting.count([world.slot("1-01-1")])
            world.run(7200)
            counted = world.facts("slot_counted", look=0)
            assert [fact["recorded"] for fact in counted] == [1]
            assert [fact["verdict"] for fact in world.facts("count_difference", what=METERS)] == verdicts
            assert world.ledger.mask[box] == FIVE - gone
            assert world.differences() == []
            world.holds()

    def test_story_of_a_box(self):
        """Five meters of a box of five are the whole box in its story; five of fifteen are some of its meters."""
        world = Flowing(**MIXED)
        small, large = world.stock_box("1-01-1", sku=1, meters=5), world.stock_box("1-01-1")
        world.order(5)
        world.order(5, sku=1)
        told = SimpleNamespace(
            trace=world.trace(), layout=world.layout, end_ms=world.env.now,
            names={"places": world.layout.names, "full_boxes": world.ledger.full},
        )  # fmt: skip
        stories = [track(told, Subject("box", box)) for box in (small, large)]
        assert [(story.where["state"], story.where["reserved"]) for story in stories] == [
            ("reserved", 5), ("qualified_in_stock", 5),
        ]  # fmt: skip
        assert stories[0].sentence == (
            "Box 0 is in 1-01-1 1.1, as recorded: 5 meters of SKU 1, reserved for order 1."
        )


# -- demand and supply ------------------------------------------------------------------------------------


def a_book(**demand):
    """Demand of ten orders of 60 meters a day, three to one in meters, in boxes of 15 and of 5."""
    data = from_dict(data_of())
    calendar = Simulation(data).calendar
    return OrderBook(
        DemandParams(**{"orders_per_day": 10, "mean_meters": 60, **demand}), [0.75, 0.25], calendar, Streams(1),
        meters_per_box=15, full_boxes=[15, 5],
    )  # fmt: skip


class TestDemand:
    def test_orders_of_whole_boxes(self):
        """Orders for whole boxes are multiples of the box of their SKU, and none is larger than cap_boxes of them."""
        book = a_book(full_box_share=1.0, cap_boxes=6, size_cv=2.0)
        for sku, full in ((0, 15), (1, 5)):
            sizes = {book.size(number, sku) for number in range(3000)}
            assert {size % full for size in sizes} == {0}
            assert (min(sizes), max(sizes)) == (full, 6 * full)

    def test_loose_orders_are_capped_too(self):
        """The cap holds for orders with a loose remainder."""
        book = a_book(full_box_share=0.0, cap_boxes=2, mean_meters=200)
        assert max(book.size(number, 1) for number in range(1000)) == 10

    def test_shares_in_boxes(self):
        """Three quarters in boxes of 15 and one quarter in boxes of 5 are as many boxes each: 0.05 and 0.05 a meter."""
        book = a_book()
        assert book.box_shares == pytest.approx([0.5, 0.5])
        # Ten orders of 60 meters: 450 meters in 30 boxes and 150 meters in 30 boxes.
        assert book.daily_boxes == pytest.approx(60)
        assert in_boxes([0.3, 0.7], [15, 15]) == [0.3, 0.7]

    @given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(1, 60)), min_size=1, max_size=6))
    def test_shares_in_boxes_by_definition(self, pairs):
        """Shares in boxes go with meters over meters a box, and sum to the shares in meters."""
        shares, full = zip(*pairs, strict=True)
        boxes = [share / meters for share, meters in pairs]
        found = in_boxes(shares, full)
        assert found == pytest.approx([sum(shares) * box / sum(boxes) for box in boxes])

    def test_call_off_in_boxes(self):
        """S of each SKU is half of 0.5 x 100 places and of the demand of 4.5 days: 25 + 30 x 4.5 boxes."""
        supply = Supply(
            SupplyParams(lead_time_days=2, review_weekdays=["mon"], min_boxes=1, truck_boxes=1000, cover_days=100),
            a_book(), places=100, target_fill=0.5,
        )  # fmt: skip
        # Demand over two days and half of a week of five days, each of 30 boxes of either SKU.
        assert [supply.order_up_to(sku) for sku in (0, 1)] == pytest.approx([160, 160])
        # 300 meters are 20 boxes of 15, and 60 boxes of 5.
        (truck,) = supply.call_off(0, [301, 301])
        assert truck.loads == ((0, 139), (1, 99))

    def test_reorder_point_is_in_boxes(self):
        """(s,Q) reorders half of Q of each SKU when half of s boxes are left, of their own size."""
        supply = Supply(
            SupplyParams(rule="s,Q", reorder_boxes=20, order_boxes=8, truck_boxes=1000), a_book(), places=100,
            target_fill=0.5,
        )  # fmt: skip
        # Half of 20 boxes are 150 and 50 meters.
        assert supply.call_off(0, [151, 51]) == []
        (truck,) = supply.call_off(0, [150, 50])
        assert truck.loads == ((0, 4), (1, 4))

    def test_store_at_time_0(self):
        """The store is filled by boxes: half of 36 boxes hold fifteen meters, half of them five."""
        simulation = Simulation(from_dict(data_of(initial={"fill": 0.6, "prefill_dwells": 0})))
        ledger = simulation.ledger
        masks = sorted((sku, mask) for sku, mask in zip(ledger.sku, ledger.mask, strict=True))
        assert masks == [(0, 0x7FFF)] * 18 + [(1, FIVE)] * 18
        assert ledger.on_hand == [18 * 15, 18 * 5]
        assert list(ledger.ready.counts) == [18, 18]

    def test_waiting_box_of_five(self):
        """A full box that had no slot waits at the port at time 0, an open one stands in the loose rack."""
        simulation = Simulation(from_dict(data_of(initial={"fill": 0.0})))
        today = simulation.calendar.ordinal(0)
        opening = Opening(
            [
                OpeningBox(NONE, NONE, NONE, 1, 0, today, 5, 0),
                OpeningBox(NONE, NONE, NONE, 0, 1, today, 5, 0),
            ],
            [],
        )
        simulation._set_up(opening)
        assert [simulation.layout.names[place] for place in simulation.stock.place] == [
            "in", "loose-rack",
        ]  # fmt: skip

    def test_lots_cover_days(self):
        """Three days of demand are 90 boxes of either SKU, however much is missing."""
        supply = Supply(
            SupplyParams(review_weekdays=["mon"], min_boxes=1, truck_boxes=1000, cover_days=3), a_book(), places=1000,
            target_fill=0.9,
        )  # fmt: skip
        (truck,) = supply.call_off(0, [0, 0])
        assert truck.loads == ((0, 90), (1, 90))

    @pytest.mark.parametrize("turnover", ["given", "computed"])
    def test_turnover_is_that_of_boxes(self, turnover):
        """As many boxes of either SKU come and go, though one has three times the meters."""
        simulation = Simulation(
            from_dict(data_of(policy={"turnover": turnover}, initial={"prefill_dwells": 0}))
        )
        assert simulation.ledger.index.turnover.demand == pytest.approx([0.5, 0.5])

    @settings(max_examples=20)
    @given(st.integers(0, 10**6), one_of(0.2, 0.9), one_of("R,S", "s,Q"), one_of(20, 180))
    def test_days_before_the_start_count_meters(self, seed, fill, rule, max_age_days):
        """In the days before time 0 usable meters are those of the boxes that are there, and on order those under way."""
        data = data_of(
            initial={"fill": fill},
            demand={"max_age_days": max_age_days},
            supply={"rule": rule, "lead_time_days": 3},
        )
        histories = []

        class Seen(PseudoHistory):
            def run(self, fill, dwells):
                histories.append(self)
                return super().run(fill, dwells)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sim.simulation.PseudoHistory", Seen)
            Simulation(from_dict(data), seed=seed)
        (history,) = histories
        ledger = history._ledger
        waiting = [ledger.sku[box] for queue in history._waiting.values() for _, box in queue]
        whole = [ledger.ready.counts[sku] + waiting.count(sku) for sku in (0, 1)]
        loose = [history._open.get(sku, (NONE, 0))[1] for sku in (0, 1)]
        assert ledger.on_hand == [15 * whole[0] + loose[0], 5 * whole[1] + loose[1]]
        under_way = [load for day in history._due.values() for delivery in day for load in delivery.loads]
        assert ledger.on_order == [
            full * sum(boxes for number, boxes in under_way if number == sku) for sku, full in ((0, 15), (1, 5))
        ]  # fmt: skip

    @pytest.mark.parametrize("kind", ["hold_fill", "saturated"])
    def test_one_for_one_is_on_order_in_its_meters(self, kind):
        """Where a box comes for each that leaves, on order are the meters of the boxes that are not yet received."""
        simulation = Simulation(from_dict(data_of(demand={"kind": kind})))
        ledger = simulation.ledger
        for _ in range(200):
            simulation.advance(simulation.now_ms + 30 * 60_000)
            coming = [box for box, state in enumerate(ledger.state) if state == IN_TRANSIT]
            for sku, full in ((0, 15), (1, 5)):
                boxes = sum(ledger.sku[box] == sku for box in coming)
                assert ledger.on_order[sku] == full * boxes
        created = simulation.trace.table("box_created")
        assert set(created["sku"][created["truck"] != NONE].tolist()) == {0, 1}


# -- lists, KPIs and whole runs ---------------------------------------------------------------------------


class TestRuns:
    def test_stock_list_knows_whole_boxes(self, tmp_path):
        """In a list five meters are a whole box of one SKU and an open box of the other; six are too many of it."""
        path = tmp_path / "stock.csv"
        text = "box,slot,position,sku,lot,verified_on,meters\nA,1-01-1,,{},L,2026-02-20,5\nB,1-01-1,,{},M,2026-02-20,{}\n"
        path.write_text(text.format("single", "three", 5))
        simulation = Simulation(from_dict(data_of(initial={"fill": 0.0, "stock": str(path)})))
        ledger = simulation.ledger
        assert [ledger.is_full(box) for box in (0, 1)] == [False, True]
        assert [box in ledger.ready for box in (0, 1)] == [False, True]
        assert ledger.state[:2] == [QUALIFIED, QUALIFIED]
        path.write_text(text.format("single", "three", 6))
        layout = build_layout(simulation.scenario)
        with pytest.raises(StockListError) as caught:
            read_stock(path, layout, ["single", "three"], date(2026, 3, 2))
        assert caught.value.faults == [f"{path}:3: meters: expected a whole number from 1 to 5, found '6'"]

    def test_on_order_is_what_the_ledger_has(self):
        """Meters called off or on a truck, as the store itself counts them, with boxes of two sizes."""
        simulation, seen = Simulation(from_dict(data_of())), set()
        for hour in range(6, 12 * 24, 7):
            simulation.advance(hour * 3_600_000)
            state = state_at(simulation.trace, simulation.layout)
            called = on_order(simulation.trace, simulation.layout, state)
            assert [called.get(sku, 0) for sku in (0, 1)] == simulation.ledger.on_order
            seen |= set(called)
            assert truth_gaps(state, simulation.stock) == []
            assert record_gaps(state, simulation.ledger) == []
        assert seen == {0, 1}

    def test_fefo_counts_boxes_of_five(self):
        """Whole boxes of five are judged as those of fifteen are, and only the rule that takes the oldest passes none over."""
        demand = {"full_box_share": 1.0, "orders_per_day": 10}
        told = {}
        for retrieval in ("fefo", "lifo"):
            result = run(
                from_dict(
                    data_of(
                        demand=demand, policy={"retrieval": retrieval}, time={"days": 12, "warmup_days": 0}
                    )
                )
            )
            told[retrieval] = result.kpis()["fefo_violations"]
            boxes, reserved = result.trace.table("box_created"), result.trace.table("box_reserved")
            sku = dict(zip(boxes["box"].tolist(), boxes["sku"].tolist(), strict=True))
            created = dict(zip(boxes["box"].tolist(), boxes["meters"].tolist(), strict=True))
            first = {}
            for box in reserved["box"].tolist():
                first.setdefault(box, created[box] == (15, 5)[sku[box]])
            # Every first reservation of a box that came whole is judged: of both SKUs.
            assert told[retrieval]["n"] == sum(first.values())
            assert {sku[box] for box, whole in first.items() if whole} == {0, 1}
        assert told["fefo"]["value"] == 0 < told["lifo"]["value"]

    def test_devices_scenario_has_real_boxes(self):
        """In luoyang_devices each class has its box: 15 single-phase meters, 5 three-phase, 4 terminals, 6 transformers."""
        scenario = load("luoyang_devices").scenario
        by_device = {(sku.device, full, weight) for sku, full, weight in zip(
            scenario.skus, full_boxes(scenario), full_weights_g(scenario), strict=True
        )}  # fmt: skip
        assert by_device == {
            ("single-phase", 15, 10_250), ("three-phase", 5, 14_000), ("terminal", 4, 10_800),
            ("transformer", 6, 9_200),
        }  # fmt: skip
        # The sourced share is one of meters.
        assert sum(sku.share for sku in scenario.skus) == pytest.approx(1)
        assert sum(sku.share for sku in scenario.skus if sku.device == "three-phase") == pytest.approx(0.11)


@st.composite
def two_sizes(draw):
    """A small store with two or three SKUs in boxes of different sizes."""
    full = draw(st.integers(2, 15))
    skus = [{"name": "A"}] + [
        {"name": name, "share": draw(one_of(0.2, 1.0)), "meters_per_box": draw(st.integers(1, full - 1))}
        for name in "BC"[: draw(st.integers(1, 2))]
    ]
    return data_of(
        time={"days": 4}, boxes={"meters_per_box": full}, skus=skus,
        initial={"fill": draw(one_of(0.0, 0.5, 0.95)), "prefill_dwells": draw(st.integers(0, 2))},
        demand={
            "kind": draw(one_of("poisson", "stations", "hold_fill", "saturated")),
            "orders_per_day": draw(one_of(3, 20)), "mean_meters": draw(one_of(3, 20)),
            "full_box_share": draw(one_of(0.0, 0.5, 1.0)), "cap_boxes": 6, "max_age_days": 40,
        },
        staging={"boxes": draw(one_of(0, 20)), "loose_rack_boxes": draw(st.integers(0, 2))},
        supply={"rule": draw(one_of("R,S", "s,Q")), "lead_time_days": 1, "min_boxes": 1},
    )  # fmt: skip


@pytest.mark.timeout(600)
@given(two_sizes(), st.integers(0, 2**32))
@settings(max_examples=40)
def test_meters_are_conserved(data, seed):
    """In stores with boxes of several sizes no meter is lost or promised twice, and no box holds more than it can."""
    simulation = Simulation(from_dict(data), seed=seed)
    full = full_boxes(simulation.scenario)
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(simulation.now_ms + 3 * 3_600_000)
        check_store(simulation)
        ledger = simulation.ledger
        assert all(mask < 1 << full[sku] for sku, mask in zip(ledger.sku, ledger.mask, strict=True))
        assert all(ledger.mask[box].bit_count() == full[ledger.sku[box]] for box in ledger.ready)
    check_facts(simulation)
    stock = simulation.stock
    here = sum(mask.bit_count() for mask in stock.mask)
    assert stock.meters_in == here + stock.meters_out + stock.meters_picked
    created = simulation.trace.table("box_created")
    came = [full[sku] for sku in created["sku"][created["truck"] != NONE].tolist()]
    assert created["meters"][created["truck"] != NONE].tolist() == came
