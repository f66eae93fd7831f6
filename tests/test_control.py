"""Stock limits, alerts and recalls, from facts that are worked out by hand."""

from typing import ClassVar

import pytest

from sim.calendar import DAY_MS
from sim.control import (
    FLOOR,
    Alert,
    StockLine,
    alerts,
    old_boxes,
    on_order,
    recalls,
    safety_stock,
    stock_lines,
    stock_report,
    zone_names,
)
from sim.facts import NONE
from sim.history import state_at
from sim.ledger import QUARANTINED
from sim.scenario import from_dict, load
from sim.simulation import Simulation
from tests.test_flows import SMALL, TODAY, Flowing, small_scenario

PLAIN = {
    "layout": {**SMALL, "profile": "uniform"},
    "skus": [{"name": "a", "share": 3.0}, {"name": "b", "share": 1.0}],
    "demand": {"orders_per_day": 4.0, "mean_meters": 10.0},
    "control": {"safety_days": 2.0},
}


def looked_at(world, data=PLAIN):
    """What `control` asks for: state, layout and scenario."""
    return state_at(world.trace(), world.layout), world.layout, from_dict(data)


def line(lines, key):
    return next(each for each in lines if each.key == key)


class TestStock:
    def test_usable_stock_formula(self):
        """Usable is qualified less what is promised and not delivered, less safety stock."""
        world = Flowing(skus=2)
        for _ in range(6):
            world.stock_box("1-01-1" if world.stock.cells[0][0][4] == NONE else "1-01-2")
        old = world.stock_box("1-02-1", age=181)
        held = world.stock_box("1-03-1")
        world.stock_box("2-01-1", sku=1, meters=7)
        world.warehouse.expire(TODAY)
        world.warehouse.hold(held)
        world.order(20)
        # SKU a: 8 boxes of 15 on hand = 120; one is overdue, one on hold: 90 qualified. An order has 15 + 5 of
        # them. Four orders of 10 meters a day, 3 of 4 for a: two days are 60. 90 - 20 - 60 = 10.
        lines = stock_lines(*looked_at(world))
        assert world.ledger.state[old] != world.ledger.state[held] == QUARANTINED
        assert lines == [
            StockLine("a", 8, 120, 90, 20, 15, 15, 0, 60, 10, 0),
            StockLine("b", 1, 7, 7, 0, 0, 0, 0, 20, -13, 0),
        ]

    def test_lots_and_zones_add_up(self):
        """However it is listed, the stock is the same."""
        run = Simulation(from_dict(small_scenario(
            returns={"share_here": 1.0, "sku": "old", "removed_days_max": 4, "unused_share": 0.2},
            control={"recalls": [{"day": 9, "lot": "largest"}]},
        )))  # fmt: skip
        run.finish()
        state = state_at(run.trace, run.layout)
        sums = []
        for by in ("sku", "lot", "zone"):
            lines = stock_lines(state, run.layout, run.scenario, by)
            sums.append([sum(column) for column in zip(*(each[1:8] for each in lines), strict=True)])
        assert sums[0] == sums[1] == sums[2]
        # And it is what the store itself believes: free meters of the SKU that is ordered.
        sku = line(stock_lines(state, run.layout, run.scenario), "new")
        assert sku.qualified - sku.reserved == run.ledger.on_hand[0]
        assert line(stock_lines(state, run.layout, run.scenario), "old").returned > 0

    def test_zones_are_device_classes(self):
        """A zone is all slots that take the same classes; what stands elsewhere is on the floor."""
        data = small_scenario()
        scenario = from_dict(data)
        run = Simulation(scenario)
        names = zone_names(run.layout, scenario)
        assert names[run.layout.place("2-03-1")] == "removed"
        assert names[run.layout.place("1-01-1")] == "single-phase"
        state = state_at(run.trace, run.layout)
        assert [each.key for each in stock_lines(state, run.layout, scenario, "zone")] == [
            "single-phase", "removed", FLOOR,
        ]  # fmt: skip

    def test_unknown_listing_is_refused(self):
        """Stock is listed by SKU, lot or zone, and by nothing else."""
        with pytest.raises(ValueError, match="expected one of sku, lot, zone, found 'row'"):
            stock_lines(*looked_at(Flowing(skus=2)), by="row")

    def test_nobody_orders_removed_meters(self):
        """The SKU of removed meters has no demand, and so no safety stock."""
        data = small_scenario(returns={"share_here": 0.5, "sku": "old"}, control={"safety_days": 3.0})
        # Six orders of 20 meters a day, all for the other SKU.
        assert safety_stock(from_dict(data)) == [360, 0]

    def test_on_order_is_what_the_ledger_has(self):
        """Meters called off or on a truck, at midnight of each day, as the store itself counts them."""
        run = Simulation(from_dict(small_scenario(returns={"unused_share": 0.3, "unused_days_max": 4})))
        seen = set()
        for day in range(1, 20):
            run.advance(day * DAY_MS + 9 * 3_600_000 + 5 * 60_000 * day)
            called = on_order(run.trace, run.layout, state_at(run.trace, run.layout))
            assert [called.get(sku, 0) for sku in range(2)] == run.ledger.on_order
            seen.add(bool(called))
        assert seen == {True, False}

    def test_past_instant(self):
        """Stock can be listed as it was."""
        world = Flowing(skus=2)
        world.stock_box("1-01-1")
        world.run(3600)
        world.order(15)
        world.run(3600)
        trace, layout, scenario = world.trace(), world.layout, from_dict(PLAIN)
        before = stock_report(trace, layout, scenario, t_ms=1_000_000)
        after = stock_report(trace, layout, scenario)
        assert [each["lines"][0]["on_hand"] for each in (before, after)] == [15, 0]


class TestAlerts:
    DATA: ClassVar = {**PLAIN, "control": {"safety_days": 0.0}}

    def test_ages_of_150_and_180_days(self):
        """From 150 days on stock is listed as old, beyond 180 as red, the oldest first."""
        world = Flowing(skus=2)
        boxes = {age: world.stock_box(k // 5, age=age) for k, age in enumerate((149, 150, 180, 181))}
        look = looked_at(world, self.DATA)
        listed = [(each.box, each.age_days, each.is_red) for each in old_boxes(*look)]
        assert listed == [(boxes[181], 181, True), (boxes[180], 180, False), (boxes[150], 150, False)]
        assert [each[:5] for each in alerts(*look)] == [
            ("red", "age", "a", 181, 180),
            ("yellow", "age", "a", 180, 150),
        ]

    def test_verified_again_is_young(self):
        """A box that was verified again is no old stock any more."""
        world = Flowing(skus=2, reverify={"on": True, "days_min": 1, "days_max": 1})
        world.stock_box("1-01-1", age=181)
        assert len(old_boxes(*looked_at(world, self.DATA))) == 1
        world.days(3)
        assert old_boxes(*looked_at(world, self.DATA)) == []

    def test_below_safety_stock(self):
        """Stock below its safety stock is yellow, none at all red."""
        world = Flowing(skus=2)
        for _ in range(3):
            world.stock_box("1-01-1")
        # 45 of a against 60, none of b against 20.
        assert alerts(*looked_at(world)) == [
            Alert("yellow", "safety", "a", 45, 60, "45 meters of a are not promised, the safety stock is 60"),
            Alert("red", "safety", "b", 0, 20, "0 meters of b are not promised, the safety stock is 20"),
        ]

    def test_more_than_the_zone_holds(self):
        """Stock and arrivals of a class against the places that it may have, less what others have there."""
        data = {
            **self.DATA,
            "skus": [{"name": "a", "device": "x"}, {"name": "b", "device": "y"}],
            "layout": {**PLAIN["layout"], "restricted": [{"rows": [1], "devices": ["x"]}]},
        }
        world = Flowing(skus=2, restricted=data["layout"]["restricted"])
        look = looked_at(world, data)
        # y may have row 2: 6 slots of 5. With 5 boxes of x there, 25 places are left for it.
        for _ in range(5):
            world.stock_box("2-01-1")
        for k in range(20):
            world.stock_box(world.slot("2-01-2") + k // 5, sku=1)
        look = looked_at(world, data)
        assert alerts(*look) == []
        assert alerts(*look, {1: 75}) == []
        assert [each[:5] for each in alerts(*look, {1: 76})] == [("yellow", "capacity", "y", 26, 25)]


class TestRecalls:
    def test_progress_of_a_recall(self):
        """While boxes are still here the recall is open; its time is known when the last one has left."""
        world = Flowing(skus=2, people={"check_s": 600})
        box = world.stock_box("1-01-1")
        lot = world.ledger.lot[box]
        other = world.stock_box("2-03-2", lot=lot)
        world.run(60)
        world.warehouse.recall(lot)
        world.run(1000)
        (now,) = recalls(world.trace(), world.layout)
        left = [fact["box"] for fact in world.facts("box_left")]
        assert (now.boxes, now.left, now.lasted_ms) == (2, 1, NONE)
        assert now.open == tuple({box, other} - set(left))
        world.run(3600)
        (done,) = recalls(world.trace(), world.layout)
        assert (done.left, done.open, done.missing) == (2, (), ())
        assert done.lasted_ms == world.facts("box_left")[-1]["time"] - 60_000
        (before,) = recalls(world.trace(), world.layout, 60_000)
        assert (before.left, before.last_ms) == (0, NONE)

    def test_missing_box_is_named(self):
        """A box that nobody finds is told apart from those that are still to be fetched."""
        world = Flowing(skus=2, records={"scale": 1}, counting={"plan": "passive"})
        box = world.stock_box("1-01-1")
        world.stock.take(box, world.layout.outside)
        world.stock.put(box, world.slot("2-03-2"), 0)
        world.warehouse.mishaps.made(0, box, 0, world.slot("2-03-2"))
        world.warehouse.recall(world.ledger.lot[box])
        world.run(3600)
        (recall,) = recalls(world.trace(), world.layout)
        assert (recall.open, recall.missing) == ((box,), (box,))


def test_report_is_json_ready():
    """The report holds plain values only."""
    import json

    data = small_scenario(
        returns={"share_here": 1.0, "sku": "old", "removed_days_max": 4},
        control={"recalls": [{"day": 5, "lot": "largest"}], "age_alert_days": 20},
    )
    run = Simulation(from_dict(data))
    run.finish()
    report = stock_report(run.trace, run.layout, run.scenario, by="lot")
    assert json.loads(json.dumps(report)) == {
        **report, "recalls": [{**each, "open": list(each["open"]), "missing": list(each["missing"])}
                              for each in report["recalls"]],
    }  # fmt: skip
    assert report["recalls"][0]["left"] == report["recalls"][0]["boxes"] > 0


def test_recall_time_is_a_kpi():
    """The KPI of a recall lasts from the recall to the last box that leaves; without recalls there is none."""
    sets = ['control.recalls=[{day=8, lot="largest"}]', "time.days=10"]
    result = Simulation(load("luoyang", sets)).finish()
    told = result.trace.table("lot_recalled")
    left = result.trace.table("box_left")["time_ms"]
    kpi = result.kpis()["recall_time_h"]
    assert kpi["value"] == pytest.approx((left.max() - told["time_ms"][0]) / 3_600_000)
    assert kpi["parts"] == {"lots": 1, "still_open": 0, "boxes": int(told["boxes"][0]), "digs": 0}
    assert Simulation(load("tiny")).finish().kpis()["recall_time_h"]["value"] is None
