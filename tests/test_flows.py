"""What comes back and what leaves without an order, in small stores worked out by hand."""

from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import facts as f
from sim.assets import STATES, TRANSITIONS, IllegalMove
from sim.calendar import DAY_MS, CalendarParams, WorkCalendar
from sim.control import ControlParams, recalls, zone_names
from sim.facts import NONE
from sim.flows import EmptiesParams, Flows, ReturnsParams, ReverifyParams
from sim.history import record_gaps, state_at, truth_gaps
from sim.mishaps import RecordParams
from sim.scenario import ScenarioError, build_layout, from_dict, load
from sim.simulation import Simulation
from sim.streams import Streams
from sim.trace import Trace
from tests.worlds import ALWAYS, START, TODAY, World

SMALL = {"rows": 2, "columns": 3, "levels": 2, "boxes_per_slot": 5}
WEEKDAYS = {**ALWAYS, "weekdays": ["mon", "tue", "wed", "thu", "fri"]}
HOUR = 3_600_000
NO_ERRORS = {
    "scale": 1, "wrong_slot": 0, "wrong_slot_by_hand": 0, "lost_message": 0, "short_packed": 0,
    "short_packed_by_hand": 0, "unrecorded_removal": 0, "damage": 0,
}  # fmt: skip
"""Errors switched on, each with rate 0."""


class Flowing(World):
    """A small store with its other flows; weekends are off in them."""

    def __init__(self, *, returns=None, reverify=None, empties=None, control=None, **world):
        super().__init__(**{**SMALL, **world}, start=False)
        self.flows = self.warehouse.flows = Flows(
            self.warehouse, WorkCalendar(CalendarParams(**WEEKDAYS), START), Streams(1),
            returns=ReturnsParams(**(returns or {})), reverify=ReverifyParams(**(reverify or {})),
            empties=EmptiesParams(**(empties or {})), control=ControlParams(**(control or {})),
            skus=[f"sku {k}" for k in range(world.get("skus", 1))],
        )  # fmt: skip
        self.start()
        self.flows.start()
        self.warehouse.expire(TODAY)

    def days(self, days):
        """Run to the end of so many days, midnight's work included, and hold the facts against the store."""
        for _ in range(days):
            self.run((DAY_MS - self.env.now % DAY_MS) / 1000)
            self.warehouse.expire(TODAY + self.env.now // DAY_MS)
        return self.holds()

    def holds(self):
        """Check that facts tell the truth and the records, and that no asset state changed illegally."""
        self.warehouse.check()
        self.flows.check()
        state = state_at(self.trace(), self.layout)
        assert truth_gaps(state, self.stock) == []
        assert record_gaps(state, self.ledger) == []
        return self

    def trace(self):
        trace = Trace(self.layout.meters_per_box)
        for row in self.rows:
            trace.record(row)
        return trace

    def told(self, *kinds, box):
        """What happened to a box of some kinds: (day, kind, its fields), in order."""
        return [
            (row[0] / DAY_MS, f.BY_NUMBER[row[1]].name, *row[3:])
            for row in self.rows
            if f.BY_NUMBER[row[1]].name in kinds and row[2] == box
        ]

    def states(self, box):
        """The asset states that were set by a fact of their own, by name."""
        return [STATES[fact["state"]] for fact in self.facts("box_state", box=box)]

    def state(self, box):
        return STATES[self.ledger.state[box]]


def at(day, hour):
    return day * DAY_MS + hour * HOUR


class TestUnusedReturns:
    def test_unopened_box_comes_back(self):
        """A box that nobody opened is received and put away again, with its number, meters and age."""
        world = Flowing(returns={"unused_share": 1, "unused_days_min": 3, "unused_days_max": 3})
        box = world.stock_box("1-01-1", age=30)
        world.order(15)
        world.days(5)
        # Handed over on Monday, back three days later, on Thursday at 16:00.
        (back,) = world.facts("box_came_back")
        assert back == {"time": at(3, 16), "box": box, "cause": f.UNUSED, "order": 0}
        assert [fact["time"] for fact in world.facts("box_received", box=box)] == [at(3, 16)]
        assert world.layout.place_name(world.stock.place[box])[0] in "12"
        assert (world.state(box), world.ledger.verified_day[box]) == ("qualified_in_stock", TODAY - 30)
        assert world.stock.mask[box] == 0b111_1111_1111_1111
        assert (world.ledger.on_hand, world.ledger.on_order) == ([15], [0])

    def test_it_may_be_issued_again(self):
        """A box that came back serves the next order, and may come back once more."""
        world = Flowing(returns={"unused_share": 1, "unused_days_min": 1, "unused_days_max": 1})
        box = world.stock_box("1-01-1")
        world.order(15)
        world.days(2)
        world.order(15)
        world.days(3)
        assert len(world.facts("order_handed_over")) == 2
        assert [fact["order"] for fact in world.facts("box_came_back", box=box)] == [0, 1]

    def test_weekend_delays_it(self):
        """What is due on a Saturday comes on Monday."""
        world = Flowing(returns={"unused_share": 1, "unused_days_min": 5, "unused_days_max": 5})
        world.stock_box("1-01-1")
        world.order(15)
        world.days(8)
        assert [fact["time"] for fact in world.facts("box_came_back")] == [at(7, 16)]

    def test_age_goes_on_outside(self):
        """A box whose verification became too old meanwhile is overdue as soon as it is back."""
        world = Flowing(returns={"unused_share": 1, "unused_days_min": 3, "unused_days_max": 3})
        box = world.stock_box("1-01-1", age=178)
        world.order(15)
        world.days(4)
        # 178 days on day 0 are 181 on day 3; up to 180 it could be issued.
        assert world.state(box) == "overdue_pending_reverify"
        assert world.ledger.on_hand == [0]
        world.order(15)
        world.days(1)
        assert world.facts("order_handed_over") == [
            {"time": world.facts("order_handed_over")[0]["time"], "order": 0, "meters": 15, "late": 0}
        ]

    def test_crews_pack_by_hand(self):
        """A return is packed by hand: a meter may be missing, and the receiving gate notices."""
        world = Flowing(
            returns={"unused_share": 1, "unused_days_min": 1, "unused_days_max": 1},
            records={**NO_ERRORS, "short_packed_by_hand": 1},
        )
        box = world.stock_box("1-01-1")
        world.order(15)
        world.days(2)
        (error,) = world.facts("error_made")
        assert (error["cause"], error["box"]) == (f.SHORT_PACKED, box)
        assert (world.stock.mask[box].bit_count(), world.ledger.mask[box].bit_count()) == (14, 14)
        assert world.facts("error_found")[0]["how"] == f.GATE

    def test_damage_comes_back_with_the_box(self):
        """A meter that was damaged unnoticed is still in the box when it comes back, and still damaged."""
        world = Flowing(
            returns={"unused_share": 1, "unused_days_min": 1, "unused_days_max": 1},
            records={**NO_ERRORS, "damage": 1},
        )
        (box,) = world.truck(1)
        world.run(600)
        damaged = dict(world.stock.damaged)
        assert damaged[box].bit_count() == 1
        world.order(15)
        world.run(600)
        assert world.stock.damaged == {}
        world.run(39 * HOUR / 1000)  # until Tuesday, 15:20; the return comes at 16:00 and is set down again
        world.warehouse.mishaps.params = RecordParams(**NO_ERRORS)
        world.days(1)
        assert world.stock.damaged == damaged

    def test_list_is_written_anew(self):
        """Whatever the records had: what comes back is what is in the box, as its new list says."""
        world = Flowing(
            returns={"unused_share": 1, "unused_days_min": 1, "unused_days_max": 1},
            records={**NO_ERRORS, "short_packed": 1, "check_finds": 0, "gate": "boxes"},
        )
        (box,) = world.truck(1)
        world.order(15)
        world.run(3600)
        assert [fact["mask"].bit_count() for fact in world.facts("meters_issued")] == [14]
        world.days(2)
        assert (world.stock.mask[box].bit_count(), world.ledger.mask[box].bit_count()) == (14, 14)
        assert world.ledger.on_hand == [14]


class TestReverification:
    def test_overdue_box_leaves_and_returns(self):
        """An overdue box leaves on the next working morning and comes back verified anew."""
        world = Flowing(reverify={"on": True, "days_min": 3, "days_max": 3})
        old, young = world.stock_box("1-01-1", age=180), world.stock_box("1-02-1", age=30)
        world.days(6)
        # At 180 days, on Monday, it may still be issued. Overdue on Tuesday (day 1) it is fetched at 08:00,
        # verified, and back on Friday at 10:00.
        assert [(fact["time"], fact["box"]) for fact in world.facts("box_expired")] == [(at(1, 0), old)]
        (left,) = world.facts("box_left")
        assert (left["box"], left["cause"]) == (old, f.REVERIFIED)
        assert at(1, 8) < left["time"] < at(1, 8) + 5 * 60_000
        assert world.facts("box_verified") == [{"time": at(4, 10), "box": old, "day": TODAY + 4}]
        assert world.states(old) == ["in_verification"]
        assert world.state(old) == "qualified_in_stock"
        assert world.ledger.on_hand == [30]
        # The fresh one is now the younger: first expired, first out takes the other.
        world.order(15)
        world.days(1)
        assert [fact["box"] for fact in world.facts("meters_issued")] == [young]

    def test_open_box_goes_too(self):
        """An open box with an old verification leaves with the meters that are left in it."""
        world = Flowing(reverify={"on": True, "days_min": 3, "days_max": 3})
        box = world.stock_box("1-01-1", age=180, meters=15)
        world.order(4)
        world.days(5)
        assert world.facts("box_left")[0]["box"] == box
        assert world.state(box) == "qualified_in_stock"
        assert world.stock.mask[box].bit_count() == 11
        assert world.ledger.on_hand == [11]
        world.order(11)
        world.days(1)
        assert world.facts("order_handed_over")[-1]["meters"] == 11

    def test_orders_go_first(self):
        """While an order waits for a robot no overdue box is sent for."""
        world = Flowing(reverify={"on": True}, robots={"carry": 1}, tour={"command": "single"})
        overdue = [world.stock_box("1-01-1", age=181) for _ in range(3)]
        for _ in range(4):
            world.stock_box("2-03-2", age=10)
        world.run(8 * 3600 - 1)
        world.warehouse.expire(TODAY)
        for _ in range(3):
            world.order(15)
        # The last one comes when the boxes have been wanted for half a minute.
        world.at(at(0, 8) + 30_000, lambda: world.order(15))
        world.days(1)
        issued = [fact["time"] for fact in world.facts("meters_issued")]
        left = [fact["time"] for fact in world.facts("box_left")]
        assert (len(issued), len(left)) == (4, 3)
        assert min(left) > max(issued)
        assert {fact["box"] for fact in world.facts("box_left")} == set(overdue)

    def test_box_on_the_floor_leaves_from_there(self):
        """An overdue box that found no slot is checked where it stands, also when a place becomes free meanwhile."""
        world = Flowing(
            reverify={"on": True}, people={"count": 2, "check_s": 600}, rows=1, columns=1, levels=1, boxes_per_slot=1,
            single_sided=True,
        )  # fmt: skip
        world.stock_box("1-01-1", age=10)
        (old,) = world.truck(1, age=181)
        world.run(8 * 3600 + 60)
        world.order(15)
        world.days(1)
        assert [fact["box"] for fact in world.facts("box_left")] == [old]
        assert world.facts("task_created", box=old) == []
        assert world.told("box_moved", box=old)[0][3] == world.layout.staging

    def test_off_by_default(self):
        """Without the scenario's say overdue boxes stay."""
        world = Flowing()
        world.stock_box("1-01-1", age=181)
        world.days(4)
        assert world.facts("box_left") == []


class TestRemovedMeters:
    RETURNS: ClassVar = {
        "share_here": 1, "sku": "sku 1", "removed_per_issued": 1, "removed_days_min": 2, "removed_days_max": 2,
        "hold_days": 3, "test_share": 0, "maker_share": 0, "sort_s": 90,
    }  # fmt: skip

    def test_old_meters_pass_through(self):
        """Old meters come in boxes of their own, are sorted, kept, and leave to be scrapped."""
        world = Flowing(skus=2, returns=self.RETURNS)
        for _ in range(2):
            world.stock_box("1-01-1")
        world.order(30)
        world.days(9)
        # 30 meters handed over on Monday bring 30 old ones on Wednesday at 16:00: two boxes, sorted by one
        # person in 90 s each. Kept for 3 days they may leave on Saturday, and do on Monday from 08:00.
        first, second = 2, 3
        assert [(fact["box"], fact["sku"], fact["time"]) for fact in world.facts("box_created")][2:] == [
            (first, 1, at(2, 16)), (second, 1, at(2, 16)),
        ]  # fmt: skip
        sorts = [fact for fact in world.facts("person_work") if fact["work"] == f.SORT]
        assert [(fact["time"], fact["end"], fact["box"]) for fact in sorts] == [
            (at(2, 16), at(2, 16) + 90_000, first), (at(2, 16) + 90_000, at(2, 16) + 180_000, second),
        ]  # fmt: skip
        for box in (first, second):
            assert world.states(box) == [
                "removed_pending_return", "returned_pending_sort", "pending_scrap", "scrapped",
            ]  # fmt: skip
        left = world.facts("box_left")
        assert [(fact["box"], fact["cause"]) for fact in left] == [(first, f.SCRAPPED), (second, f.SCRAPPED)]
        assert all(at(7, 8) < fact["time"] < at(7, 8) + 10 * 60_000 for fact in left)

    def test_nobody_can_order_them(self):
        """Removed meters are never stock that may be had."""
        world = Flowing(skus=2, returns={**self.RETURNS, "hold_days": 60})
        world.stock_box("1-01-1")
        world.order(15)
        world.days(4)
        world.order(15, sku=1)
        world.days(1)
        assert world.ledger.on_hand == [0, 0]
        assert len(world.facts("order_handed_over")) == 1
        assert world.state(1) == "pending_scrap"
        assert world.stock.column[1] != NONE

    def test_fates_follow_their_shares(self):
        """What is not scrapped goes to be tested or to its maker."""
        world = Flowing(skus=2, returns={**self.RETURNS, "test_share": 0.5, "maker_share": 0.5})
        for k in range(20):
            world.stock_box(k // 5)
        world.order(300)
        world.days(9)
        ends = [world.states(box)[-1] for box in range(20, 40)]
        assert set(ends) == {"pending_test", "to_maker"}
        assert {fact["cause"] for fact in world.facts("box_left")} == {f.REMOVED}
        assert len(world.facts("box_left")) == 20

    def test_part_of_a_box_waits(self):
        """Meters that do not fill a box wait for more: 0.85 of 15 are none, of 30 one box, of 45 two."""
        world = Flowing(skus=2, returns={**self.RETURNS, "removed_per_issued": 0.85})
        for _ in range(3):
            world.stock_box("1-01-1")
        created = []
        for _ in range(3):
            world.order(15)
            world.days(1)
        world.days(4)
        created = [fact["time"] // DAY_MS for fact in world.facts("box_created")[3:]]
        # 12.75 on Wednesday, 25.5 on Thursday, 38.25 on Friday.
        assert created == [3, 4]

    def test_they_keep_to_their_slots(self):
        """Slots that take their class alone are all that they get: more of them stand on the floor."""
        scenario = small_scenario(
            returns={"share_here": 1.0, "sku": "old", "removed_per_issued": 2.0, "removed_days_max": 3},
        )
        run = Simulation(from_dict(scenario))
        run.finish()
        layout, ledger = run.layout, run.ledger
        old = [box for box, sku in enumerate(ledger.sku) if sku == 1]
        slots = {ledger.place[box] for box in old if ledger.column[box] != NONE}
        assert slots == {layout.place("2-03-1"), layout.place("2-03-2")}
        here = [box for box in old if not run.warehouse.is_gone(box)]
        assert len(here) > 10  # two slots of five
        young = [box for box, sku in enumerate(ledger.sku) if sku == 0 and ledger.column[box] != NONE]
        assert not slots & {ledger.place[box] for box in young}


class TestEmpties:
    def test_box_makes_its_round(self):
        """A box is handed over, comes back empty, stands nested, and the next truck takes it along."""
        world = Flowing(empties={"track": True, "days_min": 2, "days_max": 2, "nested": 2})
        for _ in range(3):
            world.stock_box("1-01-1")
        world.order(45)
        world.days(1)
        account = world.flows.empties
        assert (account.at_stations, account.here, account.collected) == (3, 0, 0)
        world.days(2)
        # Three boxes nest on two places.
        assert (account.at_stations, account.here, world.warehouse.places_for_empties) == (0, 3, 2)
        world.truck(2)
        world.days(1)
        assert (account.at_stations, account.here, account.collected) == (0, 0, 3)
        staging = world.layout.staging
        assert [(fact["place"], fact["boxes"]) for fact in world.facts("empties")] == [
            (staging, 3),
            (staging, 0),
        ]

    def test_emptied_box_is_here(self):
        """A box of which the last meter was picked is empty at once."""
        world = Flowing(empties={"track": True})
        world.stock_box("1-01-1", meters=4)
        world.order(4)
        world.days(1)
        assert (world.flows.empties.at_stations, world.flows.empties.here) == (0, 1)

    def test_truck_takes_what_it_can(self):
        """What exceeds the capacity of a truck waits for the next."""
        world = Flowing(empties={"track": True, "days_min": 1, "days_max": 1, "per_truck": 2})
        for _ in range(3):
            world.stock_box("1-01-1")
        world.order(45)
        world.days(2)
        world.truck(1)
        world.days(1)
        assert (world.flows.empties.here, world.flows.empties.collected) == (1, 2)

    def test_vehicle_with_returns_takes_none(self):
        """Only trucks from the province take empty boxes along, not what brings boxes back."""
        world = Flowing(
            empties={"track": True},
            returns={"unused_share": 1, "unused_days_min": 1, "unused_days_max": 1},
        )
        world.stock_box("1-01-1", meters=4)
        world.order(4)
        world.stock_box("1-02-1")
        world.order(15)
        world.days(3)
        assert [fact["box"] for fact in world.facts("box_came_back")] == [1]
        assert (world.flows.empties.here, world.flows.empties.collected) == (1, 0)

    def test_they_take_room_in_staging(self):
        """Received boxes find staging full of empty ones: they go to the flat store."""
        world = Flowing(
            empties={"track": True, "days_min": 1, "days_max": 1, "nested": 1, "per_truck": 0},
            staging={"boxes": 3}, rows=1, columns=1, levels=1, boxes_per_slot=3, robots={"count": 0},
        )  # fmt: skip
        world.flows.empties.emptied()
        world.flows.empties.emptied()
        world.truck(14)
        world.run(3600)
        # 3 boxes have their places in the slot named and stand at the port; of the rest one fits into staging.
        assert len(world.facts("staging_overflow")) == 10
        assert sum(1 for place in world.stock.place if place == world.layout.staging) == 1

    def test_unused_box_is_not_empty(self):
        """A box that comes back with its meters does not come back empty as well."""
        world = Flowing(
            empties={"track": True, "days_min": 1, "days_max": 1},
            returns={"unused_share": 1, "unused_days_min": 2, "unused_days_max": 2},
        )
        world.stock_box("1-01-1")
        world.order(15)
        world.days(5)
        assert world.facts("empties") == []
        assert world.flows.empties.at_stations == 0


class TestRecall:
    def test_all_boxes_of_the_lot_leave(self):
        """Every box of a recalled lot is put on hold at once, fetched and gone; others stay."""
        world = Flowing(control={"recalls": [{"day": 0, "at": "09:00", "lot": 0}]})
        first = world.stock_box("1-01-1")
        lot = world.ledger.lot[first]
        ours = [first, world.stock_box("2-03-2", lot=lot), world.stock_box("2-01-1", lot=lot, meters=7)]
        other = world.stock_box("1-02-1")
        world.days(1)
        assert world.facts("lot_recalled") == [{"time": at(0, 9), "lot": lot, "boxes": 3}]
        assert {fact["box"] for fact in world.facts("box_left", cause=f.RECALLED)} == set(ours)
        assert [world.states(box) for box in ours] == [["quarantined", "to_maker"]] * 3
        assert world.state(other) == "qualified_in_stock"
        assert world.ledger.on_hand == [15]
        (report,) = recalls(world.trace(), world.layout)
        last = max(fact["time"] for fact in world.facts("box_left"))
        assert (report.boxes, report.left, report.open, report.digs) == (3, 3, (), 0)
        assert report.lasted_ms == last - at(0, 9)

    def test_largest_lot_is_meant(self):
        """'largest' is the lot with most boxes here; of equal ones the first."""
        world = Flowing(control={"recalls": [{"day": 0, "at": "09:00", "lot": "largest"}]})
        world.stock_box("1-01-1")
        two = world.stock_box("1-02-1")
        world.stock_box("1-03-1", lot=world.ledger.lot[two])
        world.days(1)
        assert [fact["lot"] for fact in world.facts("lot_recalled")] == [world.ledger.lot[two]]

    def test_sku_means_all_its_lots(self):
        """A SKU alone recalls every lot of it that is here, one after another."""
        world = Flowing(skus=2, control={"recalls": [{"day": 0, "sku": "sku 1"}]})
        world.stock_box("1-01-1")
        ours = [world.stock_box("1-02-1", sku=1), world.stock_box("1-03-1", sku=1)]
        world.days(1)
        assert [fact["lot"] for fact in world.facts("lot_recalled")] == [world.ledger.lot[b] for b in ours]
        assert {fact["box"] for fact in world.facts("box_left")} == set(ours)

    def test_order_gets_another_box(self):
        """A box that is promised, and on its way to the port, is replaced by one of another lot."""
        world = Flowing()
        old = [world.stock_box("2-03-2", age=60)]
        old.append(world.stock_box("2-03-2", age=60, lot=world.ledger.lot[old[0]]))
        young = world.stock_box("1-01-1", age=30)
        order = world.order(15)
        (promised,) = [fact["box"] for fact in world.facts("box_reserved")]
        assert promised in old
        world.run(20)  # the robot is on its way
        assert world.warehouse.recall(world.ledger.lot[old[0]]) == 2
        world.days(1)
        assert [fact["box"] for fact in world.facts("box_freed")] == [promised]
        assert [fact["box"] for fact in world.facts("meters_issued")] == [young]
        assert {fact["box"] for fact in world.facts("box_left")} == set(old)
        assert world.facts("order_handed_over")[0]["order"] == order.number

    def test_checked_box_is_stopped(self):
        """A recall reaches a box while it is being checked for its order."""
        world = Flowing(people={"check_s": 600})
        old, young = world.stock_box("1-01-1", age=60), world.stock_box("1-01-1", age=30)
        world.order(15)
        world.run(120)
        assert [fact["box"] for fact in world.facts("person_work")] == [old]
        world.warehouse.recall(world.ledger.lot[old])
        world.days(1)
        assert [fact["box"] for fact in world.facts("box_left")] == [old]
        assert [fact["box"] for fact in world.facts("meters_issued")] == [young]

    def test_promised_meters_of_an_open_box(self):
        """Loose meters that are promised come from another box; the recalled one is counted and leaves whole."""
        world = Flowing(people={"pick_meter_s": 60})
        old, young = world.stock_box("1-01-1", age=60), world.stock_box("2-01-1", age=30)
        world.order(4)
        world.run(5)
        world.warehouse.recall(world.ledger.lot[old])
        world.days(1)
        assert [fact["box"] for fact in world.facts("meters_issued")] == [young]
        assert [fact["box"] for fact in world.facts("box_left")] == [old]
        assert world.facts("meters_picked", box=old) == []

    def test_meters_in_hand_are_handed_over(self):
        """Meters that a person is just picking are handed over; those promised to the next order are not."""
        world = Flowing(people={"pick_meter_s": 60})
        old, young = world.stock_box("1-01-1", age=60), world.stock_box("2-01-1", age=30)
        world.order(4)
        world.order(3)
        world.run(120)  # four meters take 240 s
        assert [fact["box"] for fact in world.facts("person_work")] == [old]
        world.warehouse.recall(world.ledger.lot[old])
        world.days(1)
        issued = [(fact["box"], fact["order"]) for fact in world.facts("meters_issued")]
        assert issued == [(old, 0), (young, 1)]
        assert world.facts("box_left")[0]["box"] == old
        assert world.stock.meters_out == 4 + 3 + 11

    def test_boxes_on_a_truck_leave_too(self):
        """Boxes of a recalled lot that are not received yet leave as soon as they are."""
        world = Flowing(people={"unload_s": 600})
        boxes = world.truck(3)
        world.run(700)
        assert world.warehouse.recall(world.ledger.lot[boxes[0]]) == 1
        world.days(1)
        assert {fact["box"] for fact in world.facts("box_left", cause=f.RECALLED)} == set(boxes)
        assert world.ledger.on_hand == [0]

    def test_returned_box_is_kept(self):
        """A box that was at a station when its lot was recalled leaves when it comes back unused."""
        world = Flowing(returns={"unused_share": 1, "unused_days_min": 2, "unused_days_max": 2})
        box = world.stock_box("1-01-1")
        world.order(15)
        world.days(1)
        assert world.warehouse.recall(world.ledger.lot[box]) == 0
        world.days(2)
        assert [fact["box"] for fact in world.facts("box_left")] == [box]

    def test_missing_box_stays_open(self):
        """A box that is not where it is recorded keeps the recall open until somebody finds it."""
        world = Flowing(records=NO_ERRORS, counting={"plan": "passive"})
        box, other = world.stock_box("1-01-1"), NONE
        lot = world.ledger.lot[box]
        other = world.stock_box("2-01-1", lot=lot)
        # Somebody has moved it by hand to another slot and told nobody.
        goal = world.slot("1-03-2")
        world.stock.take(box, world.layout.outside)
        world.stock.put(box, goal, 0)
        world.warehouse.mishaps.made(f.WRONG_SLOT, box, 0, goal)
        assert world.warehouse.recall(lot) == 2
        world.run(4 * 3600)
        assert [fact["box"] for fact in world.facts("box_left")] == [other]
        assert box in world.warehouse.missing
        assert world.warehouse.see(box, goal, 0, 0, f.WHY_COUNT)
        world.run(3600)
        assert [fact["box"] for fact in world.facts("box_left")] == [other, box]

    def test_recalled_stack_is_dug_out(self):
        """In free stacks the boxes above have to be moved: one dig for each, and the time shows it."""
        stacks = {
            "robots": {"kind": "top_gripper", "access": "stack_lifo", "carry": 2}, "rows": 2, "columns": 3,
        }  # fmt: skip
        world = Flowing(**stacks)
        bottom = world.stock_box("1-01-1", age=60)
        for _ in range(3):
            world.stock_box("1-01-1", age=30)
        free = Flowing(**stacks)
        alone = free.stock_box("1-01-1", age=60)
        for each, box in ((world, bottom), (free, alone)):
            assert each.warehouse.recall(each.ledger.lot[box]) == 1
            each.run(3600)
            each.holds()
        (dug,), (direct,) = (recalls(each.trace(), each.layout) for each in (world, free))
        assert (dug.digs, direct.digs) == (3, 0)
        assert dug.lasted_ms > direct.lasted_ms > 0
        assert len(world.facts("box_dug")) == 3

    def test_box_out_of_reach_waits(self):
        """What has nowhere to dig to is passed over: others leave meanwhile, and it follows when there is room."""
        stacks = {
            "robots": {"kind": "top_gripper", "access": "stack_lifo", "carry": 1}, "rows": 1, "columns": 1,
        }  # fmt: skip
        world = Flowing(**stacks)
        # Two slots of one stack each, full: with one box on board nothing below the top can be reached.
        low = [world.stock_box("1-01-1", age=60) for _ in range(2)]
        tops = [world.stock_box("1-01-1", age=30) for _ in range(3)]
        high = [world.stock_box("1-01-2", age=60, lot=world.ledger.lot[low[0]]) for _ in range(5)]
        world.warehouse.recall(world.ledger.lot[low[0]])
        world.run(4 * 3600)
        # The upper slot from the top down, and then the lowest box of the other, under four that find room there.
        assert [fact["box"] for fact in world.facts("box_left")] == [*reversed(high), low[0]]
        assert {fact["box"] for fact in world.facts("box_dug")} == {*tops, low[1]}
        assert world.facts("task_cancelled") == world.facts("task_returned") == []
        world.holds()

    def test_box_that_got_out_of_reach(self):
        """A box for whose blocker no place is left by the time the robot comes keeps no other one back."""
        world = Flowing(
            robots={"kind": "top_gripper", "access": "stack_lifo", "carry": 1}, rows=1, columns=1,
            levels=2, boxes_per_slot=2,
        )  # fmt: skip
        low, _ = world.stock_box("1-01-1", age=60), world.stock_box("1-01-1", age=30)
        world.stock_box("1-01-2", age=20)
        world.warehouse.recall(world.ledger.lot[low])
        assert len(world.facts("task_created", box=low)) == 1  # one of each
        top = world.stock_box("1-01-2", age=10)
        world.warehouse.scrap(top)
        world.run(2 * 3600)
        assert [fact["box"] for fact in world.facts("box_left")] == [top, low]
        world.holds()

    def test_pending_decision_is_awaited(self):
        """A box whose slot is being decided on is not taken from the floor under the allocator's nose."""
        world = Flowing(policy={"allocation_ms": 40_000}, people={"check_s": 600})
        (box,) = world.truck(1)
        world.run(10)
        assert world.stock.place[box] == world.layout.staging
        world.warehouse.recall(world.ledger.lot[box])
        world.run(2 * 3600)
        assert [fact["box"] for fact in world.facts("box_left")] == [box]
        world.holds()

    def test_recall_comes_before_other_reasons(self):
        """Recalled boxes are fetched before overdue ones that were wanted first."""
        world = Flowing(reverify={"on": True}, robots={"carry": 1}, tour={"command": "single"})
        overdue = [world.stock_box(k // 5, age=181) for k in range(6)]
        recalled = [world.stock_box("2-01-1") for _ in range(2)]
        world.warehouse.expire(TODAY)
        world.run(8 * 3600 + 10)
        for box in recalled:
            world.warehouse.recall(world.ledger.lot[box])
        world.days(1)
        left = [fact["box"] for fact in world.facts("box_left")]
        assert set(left) == {*overdue, *recalled}
        # One was under way already.
        assert left[1:3] == recalled

    def test_recall_may_go_first(self):
        """With recall_first all boxes are asked for at once, beside orders."""
        world = Flowing(control={"recall_first": True}, robots={"carry": 1}, tour={"command": "single"})
        lot = world.ledger.lot[world.stock_box("1-01-1")]
        for _ in range(4):
            world.stock_box("1-01-1", lot=lot)
        for _ in range(4):
            world.stock_box("2-01-1", age=10)
        world.warehouse.recall(lot)
        assert len([t for t in world.facts("task_created") if t["order"] == NONE]) == 5
        world.days(1)
        assert len(world.facts("box_left")) == 5

    def test_nothing_to_recall(self):
        """A lot that is not here, or recalled already, gives no boxes and does no harm."""
        world = Flowing(control={"recalls": [{"day": 0, "lot": "largest"}, {"day": 0, "lot": 99}]})
        world.days(1)
        assert world.facts("lot_recalled") == [{"time": at(0, 9), "lot": 99, "boxes": 0}]
        assert world.warehouse.recall(99) == 0


class TestTransferAndScrap:
    def test_box_goes_to_another_slot(self):
        """A box goes by the ports to the slot that is named, and may be had again there."""
        world = Flowing()
        box, goal = world.stock_box("1-01-1"), world.slot("2-03-2")
        assert world.warehouse.transfer(box, goal)
        assert box not in world.ledger.ready
        world.run(3600)
        assert (world.stock.place[box], world.ledger.place[box]) == (goal, goal)
        assert box in world.ledger.ready
        assert [fact["task_class"] for fact in world.facts("task_created")] == [f.ISSUE, f.PUT_AWAY]
        assert world.facts("box_left") == []
        world.holds()

    def test_full_slot_is_refused(self):
        """A slot without room, the box's own, and a promised box are refused."""
        world = Flowing()
        box = world.stock_box("1-01-1")
        for _ in range(5):
            world.stock_box("2-03-2", age=10)
        assert not world.warehouse.transfer(box, world.slot("2-03-2"))
        assert not world.warehouse.transfer(box, world.slot("1-01-1"))
        world.order(15)
        assert not world.warehouse.transfer(box, world.slot("1-02-1"))

    def test_slot_that_fills_up_meanwhile(self):
        """When the slot has been filled before the box is at the port, the allocation rule names another."""
        world = Flowing()
        box, goal = world.stock_box("1-01-1"), world.slot("2-03-2")
        world.warehouse.transfer(box, goal)
        for _ in range(5):
            world.stock_box(goal, age=10)
        world.run(3600)
        assert world.stock.column[box] != NONE
        assert world.stock.place[box] != goal
        world.holds()

    def test_scrapped_box_leaves(self):
        """A box whose meters are to be scrapped leaves with them."""
        world = Flowing()
        box = world.stock_box("1-01-1")
        assert world.warehouse.scrap(box)
        world.run(3600)
        assert world.states(box) == ["quarantined", "pending_scrap", "scrapped"]
        assert (world.ledger.on_hand, world.stock.meters_out) == ([0], 15)
        assert world.facts("box_left")[0]["cause"] == f.SCRAPPED
        world.holds()

    def test_illegal_move_is_impossible(self):
        """A box cannot leave through states that the trade does not know, and nothing is recorded of it."""
        world = Flowing()
        box = world.stock_box("1-01-1")
        told = len(world.rows)
        scrapped, maker = (STATES.index(name) for name in ("scrapped", "to_maker"))
        for cause, state in ((f.SCRAPPED, scrapped), (f.RECALLED, maker)):
            with pytest.raises(IllegalMove):
                world.warehouse.leave(box, cause, (state,))
        assert len(world.rows) == told
        assert world.state(box) == "qualified_in_stock"

    def test_promised_box_is_not_scrapped(self):
        """What an order was promised is not scrapped."""
        world = Flowing()
        box = world.stock_box("1-01-1")
        world.order(15)
        assert not world.warehouse.scrap(box)


def small_scenario(**sections):
    """A small store over some weeks, as plain data."""
    data = {
        "time": {"days": 20},
        "layout": {
            "rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 5,
            "ports": [{"name": "port", "aisle": 1, "serves": "both"}],
            "restricted": [
                {"rows": [2], "columns": [3], "devices": ["removed"]},
                {"rows": [1], "devices": ["single-phase"]},
                {"rows": [2], "columns": [1, 2], "devices": ["single-phase"]},
            ],
        },
        "skus": [{"name": "new"}, {"name": "old", "device": "removed", "share": 0.01}],
        "initial": {"fill": 0.4},
        "supply": {"lead_time_days": 1, "truck_boxes": 20, "min_boxes": 4},
        "demand": {"orders_per_day": 6, "mean_meters": 20, "cap_boxes": 4},
        "people": {"count": 1},
        "robots": {"carry": 2},
    }  # fmt: skip
    for name, section in sections.items():
        data[name] = {**data.get(name, {}), **section}
    return data


STATE_BY_FACT = {"box_received": "qualified_in_stock", "box_expired": "overdue_pending_reverify"}


def walk_states(rows, full):
    """The asset states of each box as a plain reader of facts has them; fails at a move the trade does not know."""
    state, left = {}, {}
    for row in rows:
        kind = f.BY_NUMBER[row[1]]
        fact = dict(zip(kind.fields, row[2:], strict=True))
        box = fact.get("box", NONE)
        if kind.name == "box_created":
            state[box], left[box] = None, fact["meters"]
            continue
        if kind.name == "box_reserved" and fact["meters"] == full:
            new = "reserved"
        elif kind.name == "box_freed" and state[box] == "reserved":
            new = "qualified_in_stock"
        elif kind.name == "meters_issued" and state[box] == "reserved":
            new = "issued_pending_install"
        elif kind.name == "box_state":
            new = STATES[fact["state"]]
        else:
            new = STATE_BY_FACT.get(kind.name)
        if new is None:
            continue
        before = state[box]
        if before is None and new in ("reserved", "overdue_pending_reverify"):
            before = "qualified_in_stock"  # of time 0
        assert before in (None, new) or new in TRANSITIONS[before], (box, before, new)
        state[box] = new
    return state


def never_issued_too_old(rows, max_age):
    """Hold each reservation against the age of its box on that day."""
    verified = {}
    for row in rows:
        if row[1] == f.BOX_CREATED:
            verified[row[2]] = row[5]
        elif row[1] == f.BOX_VERIFIED:
            verified[row[2]] = row[3]
        elif row[1] == f.BOX_RESERVED:
            assert TODAY + row[0] // DAY_MS - verified[row[2]] <= max_age, row
    return True


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.integers(1, 50)),
        st.tuples(st.just("truck"), st.integers(1, 8), st.sampled_from([30, 177, 179, 181])),
        st.tuples(st.just("recall"), st.integers(0, 6)),
        st.tuples(st.just("transfer"), st.integers(0, 20), st.integers(0, 11)),
        st.tuples(st.just("scrap"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.integers(1, 900)),
        st.tuples(st.just("day")),
    ),
    max_size=25,
)


def play(world, steps, boxes=8):
    """Do some things in a world, and let everything come to rest again."""
    for k in range(boxes):
        world.stock_box(k % 6, age=(30, 100, 178, 180)[k % 4])
    for name, *values in steps:
        if name == "order":
            world.order(values[0])
        elif name == "truck":
            world.truck(values[0], age=values[1])
        elif name == "recall":
            world.warehouse.recall(values[0])
        elif name == "transfer" and values[0] < len(world.stock.place):
            world.warehouse.transfer(values[0], values[1])
        elif name == "scrap" and values[0] < len(world.stock.place):
            world.warehouse.scrap(values[0])
        elif name == "wait":
            world.run(values[0])
        elif name == "day":
            world.days(1)
    return world.days(3)


class TestEverythingAtOnce:
    FLOWS: ClassVar = {
        "returns": {
            "unused_share": 0.4, "unused_days_min": 1, "unused_days_max": 3, "share_here": 1, "sku": "sku 1",
            "removed_days_min": 1, "removed_days_max": 2, "hold_days": 2, "test_share": 0.3, "maker_share": 0.3,
        },
        "reverify": {"on": True, "days_min": 1, "days_max": 2},
        "empties": {"track": True, "days_min": 1, "days_max": 2},
    }  # fmt: skip

    @settings(max_examples=60, deadline=None)
    @given(
        steps=STEPS,
        access=st.sampled_from(["direct", "stack_lifo"]),
        first=st.booleans(),
        policy=st.sampled_from([{}, {"decide_at": "pickup"}, {"allocation_ms": 40_000}]),
    )
    def test_nothing_is_lost(self, steps, access, first, policy):
        """Whatever comes together: meters and boxes are conserved, facts tell all of it, and no move is illegal."""
        kind = "acr" if access == "direct" else "top_gripper"
        world = Flowing(
            skus=2, robots={"kind": kind, "access": access, "carry": 2}, control={"recall_first": first}, policy=policy,
            people={"receive_s": 8, "pick_meter_s": 4, "check_s": 20}, **self.FLOWS,
        )  # fmt: skip
        play(world, steps)
        walk_states(world.rows, 15)
        assert never_issued_too_old(world.rows, 180)
        stock = world.stock
        inside = sum(mask.bit_count() for mask in stock.mask)
        assert stock.meters_in == inside + stock.meters_out + stock.meters_picked
        for report in recalls(world.trace(), world.layout):
            assert report.missing == ()

    @settings(max_examples=60, deadline=None)
    @given(steps=STEPS, plan=st.sampled_from(["passive", "full", "on-access", "zero-confirmation"]))
    def test_errors_and_counts_beside(self, steps, plan):
        """With errors and counts on, boxes leave and come back all the same, and facts tell both sides."""
        world = Flowing(
            skus=2, robots={"carry": 2}, records={"scale": 300, "resend_h": 2}, counting={"plan": plan},
            people={"receive_s": 8, "pick_meter_s": 4, "check_s": 20}, **self.FLOWS,
        )  # fmt: skip
        play(world, steps)
        walk_states(world.rows, 15)
        assert never_issued_too_old(world.rows, 180)


class TestScenario:
    ALL: ClassVar = {
        "returns": {"unused_share": 0.1, "share_here": 1.0, "sku": "old", "removed_days_max": 5, "hold_days": 5},
        "reverify": {"on": True},
        "empties": {"track": True},
        "demand": {"max_age_days": 45},
        "control": {"recalls": [{"day": 9, "lot": "largest"}]},
    }  # fmt: skip

    def test_slots_of_their_own(self):
        """In `luoyang_returns` 30 slots of ten boxes take removed meters, the other 228 everything else."""
        loaded = load("luoyang_returns").scenario
        layout = build_layout(loaded)
        zones = zone_names(layout, loaded)
        assert {zone: zones.count(zone) for zone in set(zones)} == {"removed": 30, "single-phase": 228}
        places = [layout.capacity[slot] for slot, zone in enumerate(zones) if zone == "removed"]
        assert sum(places) == 300

    def test_same_facts_in_slices(self):
        """Run at once or in slices of some hours, the facts are the same."""
        scenario = from_dict(small_scenario(**self.ALL))
        whole = Simulation(scenario)
        whole.finish()
        cut = Simulation(scenario)
        while cut.now_ms < cut.end_ms:
            cut.advance(min(cut.end_ms, cut.now_ms + 7_777_777))
        assert cut.result().digest == whole.result().digest
        told = {name for name in f.KINDS if whole.trace.table(name)["seq"].size}
        assert {"box_came_back", "box_left", "box_verified", "empties", "lot_recalled"} <= told

    def test_defaults_change_nothing(self):
        """While every flow is off, a store with the SKU beside has the facts of one without any flows."""
        plain = small_scenario()
        off = small_scenario(returns={"sku": "old"}, control={"safety_days": 7.0})
        first, second = (Simulation(from_dict(data)).finish().digest for data in (plain, off))
        assert first == second

    @pytest.mark.parametrize(
        ("sections", "line"),
        [
            ({"returns": {"share_here": 0.5}}, "returns.sku: expected a SKU with share_here = 0.5, found none"),
            (
                {"returns": {"sku": "odl"}},
                "returns.sku: expected the name of a SKU, found 'odl', did you mean 'old'?",
            ),
            (
                {"returns": {"share_here": 0.5, "sku": "old"}, "supply": {"rule": "s,Q"}},
                ("supply.rule: expected 'R,S' or 'schedule' where removed meters are taken in, found 's,Q':"
                " it would call them off"),
            ),
            (
                {"returns": {"test_share": 0.7, "maker_share": 0.5}},
                "returns.test_share: expected at most 1 together with returns.maker_share, found 1.2",
            ),
            (
                {"reverify": {"days_min": 12}},
                "reverify.days_min: expected at most reverify.days_max = 10, found 12",
            ),
            (
                {"control": {"recalls": [{"day": 3}]}},
                "control.recalls[0]: expected a lot or a sku to recall, found neither",
            ),
            (
                {"control": {"recalls": [{"sku": "nwe"}]}},
                "control.recalls[0].sku: expected the name of a SKU, found 'nwe', did you mean 'new'?",
            ),
            (
                {"control": {"recalls": [{"sku": "new", "lot": 3}]}},
                "control.recalls[0].sku: expected none beside the number of a lot, found one",
            ),
        ],
    )  # fmt: skip
    def test_mistakes_in_words(self, sections, line):
        """Values that do not fit together are refused, each with what was expected."""
        with pytest.raises(ScenarioError) as error:
            from_dict(small_scenario(**sections))
        assert error.value.lines == [line]
