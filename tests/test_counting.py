"""Which slots are counted when, what a look shows, and what becomes of a difference."""

import pytest

from sim.calendar import DAY_MS
from sim.counting import AT_ONCE, METHODS, PLANS
from sim.facts import COUNT, COUNT_SLOT, NONE, WHY_COUNT
from sim.ledger import LOST, OVERDUE, QUALIFIED, QUARANTINED
from sim.statistics import certify_sample
from tests.worlds import ERRORS_ON, TODAY, World

HOUR_S = 3600
DAY_S = 86_400
FULL = (1 << 15) - 1
ROW = {"rows": 1, "columns": 5, "levels": 1, "boxes_per_slot": 2}
SHIFT = {"shifts": [["08:00", "18:00"]], "weekdays": ["mon", "tue", "wed", "thu", "fri"]}
SEEING = {"box_miss": 0.0, "meter_miss": 0.0, "dead": 0.0, "stray": 0.0}
METHOD_NAMES = list(METHODS)


def store(plan="passive", **options):
    """Five slots in a row of two places each, one above the other, always open; looks miss nothing by chance."""
    counting = {"plan": plan, **options.pop("counting", {})}
    return World(**{"records": ERRORS_ON, "reads": SEEING, "counting": counting, **ROW, **options})


def count(world, *slots, seconds=600, **options):
    """A count of some slots, and some time for it."""
    world.warehouse.counting.count([world.slot(slot) for slot in slots], **options)
    return world.run(seconds)


def story(world, since=1):
    """What counts told from a time on, without the tasks."""
    return [line for line in world.told(since=since) if not line.startswith(("task_", "count_planned"))]


def counted(world):
    """The first looks so far as (day, slot)."""
    return [(f["time"] // DAY_MS, f["slot"]) for f in world.facts("slot_counted", look=0)]


# -- one look -------------------------------------------------------------------------------------------------


class TestLooks:
    def test_all_is_well(self):
        """A look that shows what is recorded ends the count at once."""
        world = store()
        world.stock_box("1-01-1")
        count(world, "1-01-1")
        assert world.told("slot_counted", "count_difference", "slot_held", "count_ended") == [
            "slot_counted count=0 slot=1-01-1 method=0 look=0 robot=0 recorded=1 seen=1",
            "count_ended count=0 slots=1 differences=0 boxes=1",
        ]
        # 5 s a slot and 1 s a box, after the drive, with 1.5 s of positioning.
        [look] = [s for s in world.stretches() if s.task == 0]
        assert look.end - look.arrive == 7500

    def test_blind_look_is_refuted(self):
        """A label that the first look did not read is read by the second: the box was on hold in between."""
        world = store()
        world.stock_box("1-01-1")
        world.stock_box("1-01-1")
        world.blind(box1=[0])
        count(world, "1-01-1")
        assert story(world) == [
            "slot_counted count=0 slot=1-01-1 method=0 look=0 robot=0 recorded=2 seen=1",
            "count_difference count=0 slot=1-01-1 box=1 what=missing verdict=noted",
            "box_state box=1 state=quarantined",
            "slot_held slot=1-01-1 held=1",
            "slot_counted count=0 slot=1-01-1 method=0 look=1 robot=0 recorded=2 seen=2",
            "count_difference count=0 slot=1-01-1 box=1 what=missing verdict=refuted",
            "box_state box=1 state=qualified_in_stock",
            "slot_held slot=1-01-1 held=0",
            "count_ended count=0 slots=1 differences=0 boxes=2",
        ]
        assert world.ledger.on_hand == [30]

    def test_two_blind_looks_make_an_error(self):
        """What two looks do not see is taken off the records, though it is there: that is an error of its own."""
        world = store()
        world.stock_box("1-01-1")
        world.blind(box0=[0, 1])
        count(world, "1-01-1")
        assert story(world)[4:] == [
            "slot_counted count=0 slot=1-01-1 method=0 look=1 robot=0 recorded=1 seen=0",
            "count_difference count=0 slot=1-01-1 box=0 what=missing verdict=confirmed",
            "error_made error=0 cause=miscount box=0 mask=0 slot=1-01-1",
            "box_recorded box=0 place=outside why=count",
            "slot_held slot=1-01-1 held=0",
            "count_ended count=0 slots=1 differences=1 boxes=0",
            # The slot beside is searched for it.
            "slot_counted count=1 slot=1-02-1 method=0 look=0 robot=0 recorded=0 seen=0",
            "count_ended count=1 slots=1 differences=0 boxes=0",
        ]
        assert world.warehouse.missing.keys() == {0}
        # The next count sees the box where nothing is recorded.
        before = world.env.now
        count(world, "1-01-1")
        assert [line for line in story(world, before) if "slot_" not in line] == [
            "count_difference count=2 slot=1-01-1 box=0 what=surplus verdict=noted",
            "count_difference count=2 slot=1-01-1 box=0 what=surplus verdict=confirmed",
            "box_recorded box=0 place=1-01-1 column=0 tier=0 why=count",
            "box_state box=0 state=qualified_in_stock",
            "error_found error=0 how=count box=0",
            "count_ended count=2 slots=1 differences=1 boxes=1",
        ]
        assert world.warehouse.missing == {}
        assert world.ledger.on_hand == [15]

    def test_small_difference_is_believed(self):
        """Up to recount_above differences of a slot are posted after the first look, even a wrong one."""
        world = store(counting={"recount_above": 1})
        world.stock_box("1-01-1")
        world.blind(box0=[0])
        count(world, "1-01-1")
        assert story(world)[:4] == [
            "slot_counted count=0 slot=1-01-1 method=0 look=0 robot=0 recorded=1 seen=0",
            "count_difference count=0 slot=1-01-1 box=0 what=missing verdict=confirmed",
            "error_made error=0 cause=miscount box=0 mask=0 slot=1-01-1",
            "box_recorded box=0 place=outside why=count",
        ]
        assert world.facts("slot_held") == []

    def test_more_differences_bring_a_second_look(self):
        """Two differences with recount_above = 1 are looked at again."""
        world = store(counting={"recount_above": 1})
        world.stock_box("1-01-1")
        world.stock_box("1-01-1")
        world.blind(box0=[0], box1=[0])
        count(world, "1-01-1")
        assert [f["look"] for f in world.facts("slot_counted")] == [0, 1]
        assert [f["verdict"] for f in world.facts("count_difference")] == [0, 0, 2, 2]
        assert world.facts("error_made") == []

    def test_other_box_at_the_second_look(self):
        """Where the second look misses another box a third decides; a box that only one look missed is not lost."""
        world = store(boxes_per_slot=5)
        for _ in range(3):
            world.stock_box("1-01-1")
        world.blind(box0=[0], box1=[1], box2=[2])
        count(world, "1-01-1")
        told = [(f["box"], f["verdict"]) for f in world.facts("count_difference")]
        # Noted and refuted in turn; what the third look alone misses is nothing to act on.
        assert told[:4] == [(0, 0), (0, 2), (1, 0), (1, 2)]
        assert world.warehouse.missing == {}
        assert world.ledger.on_hand == [45]
        assert world.ledger.state == [QUALIFIED] * 3
        assert len(world.facts("slot_counted")) <= 3
        assert world.told("slot_held")[-1] == "slot_held slot=1-01-1 held=0"

    def test_box_in_the_wrong_tier(self):
        """A box that stands in the other tier than recorded is recorded where it is seen."""
        world = store()
        world.stock_box("1-01-1")
        world.misplace(0, "1-01-1", 0, 1)
        count(world, "1-01-1")
        assert [line for line in story(world) if "slot_" not in line] == [
            "count_difference count=0 slot=1-01-1 box=0 what=surplus verdict=noted",
            "count_difference count=0 slot=1-01-1 box=0 what=surplus verdict=confirmed",
            "box_recorded box=0 place=1-01-1 column=0 tier=1 why=count",
            "error_found error=0 how=count box=0",
            "count_ended count=0 slots=1 differences=1 boxes=1",
        ]

    def test_two_boxes_have_changed_places(self):
        """Two boxes that stand in each other's places are recorded anew by a count of one slot, and none is lost."""
        world = store()
        world.stock_box("1-01-1")
        world.stock_box("1-01-1")
        for box in (0, 1):
            world.stock.take(box, world.layout.outside)
            world.warehouse.mishaps.made(0, box, 0, 0)
        world.stock.put_at(0, 0, 0, 1)
        world.stock.put_at(1, 0, 0, 0)
        count(world, "1-01-1")
        assert world.differences() == []
        assert world.warehouse.missing == {}
        assert world.ledger.on_hand == [30]
        assert world.ledger.state == [QUALIFIED] * 2

    def test_search_next_door(self):
        """A box that a count does not find is looked for in the slots beside, above and below."""
        world = store()
        world.stock_box("1-03-1")
        world.misplace(0, "1-04-1")
        count(world, "1-03-1")
        looks = [(f["slot"], f["look"]) for f in world.facts("slot_counted")]
        # Two looks at 1-03-1 (slot 2), then one at each side, and a second one where the box is.
        assert looks[:2] == [(2, 0), (2, 1)]
        assert sorted(looks[2:]) == [(1, 0), (3, 0), (3, 1)]
        assert world.differences() == []
        assert world.ledger.state == [QUALIFIED]

    def test_search_every_time(self):
        """A box that was found otherwise and goes missing again is looked for again."""
        world = store()
        world.stock_box("1-01-1")
        world.blind(box0=[0, 1, 2, 3])
        for _ in range(2):
            count(world, "1-01-1")
            world.warehouse.see(0, 0, 0, 0, WHY_COUNT)
        # Twice two looks at 1-01-1, each time followed by one at the slot beside.
        assert [f["slot"] for f in world.facts("slot_counted")] == [0, 0, 1] * 2

    def test_full_count_finds_both_ends(self):
        """One count sees the box missing in one slot and standing in another: the second look finds it recorded there."""
        world = store()
        world.stock_box("1-01-1")
        world.misplace(0, "1-03-1")
        count(world, "1-01-1", "1-02-1", "1-03-1")
        verdicts = [(f["slot"], f["what"], f["verdict"]) for f in world.facts("count_difference")]
        # Seen in 1-03-1 (slot 2) and recorded there before 1-01-1 is looked at again: it is not missing any more.
        assert verdicts == [(0, 0, 0), (2, 1, 0), (2, 1, 1), (0, 0, 2)]
        assert world.told("count_ended") == ["count_ended count=0 slots=3 differences=1 boxes=1"]
        assert world.ledger.on_hand == [15]

    def test_box_that_moves_counts_once(self):
        """A box that is seen in one slot and later in another is one box of the count."""
        world = store(columns=12)
        boxes = {0: world.stock_box("1-01-1"), 11: world.stock_box("1-12-1")}
        world.warehouse.counting.count([0, 11])
        while not (looks := world.facts("slot_counted")):
            world.run(1)
        first = looks[0]["slot"]
        world.misplace(boxes[first], 11 - first)
        world.run(600)
        # One box in the first slot, then both in the other.
        seen = {f["slot"]: f["seen"] for f in world.facts("slot_counted", look=0, count=0)}
        assert seen == {first: 1, 11 - first: 2}
        assert world.facts("count_ended", count=0)[0]["boxes"] == 2

    def test_box_taken_between_two_looks(self):
        """A reserved box that a robot fetches between two looks is no loss."""
        world = store()
        world.stock_box("1-01-1")
        world.order(15)
        world.blind(box0=[0])
        count(world, "1-01-1")
        assert len(world.facts("order_handed_over")) == 1
        assert world.facts("box_recorded") == []
        assert world.facts("count_difference", verdict=1) == []

    def test_quarantined_by_somebody_else(self):
        """A box that a stock list keeps out of use stays so, whatever a count thought of it."""
        world = store(start=False)
        world.stock_box("1-01-1")
        world.ledger.ready.remove(0)
        world.ledger.on_hand[0] -= 15
        world.warehouse.set_state_at_start(0, QUARANTINED)
        world.start().blind(box0=[0])
        count(world, "1-01-1")
        assert world.facts("count_difference", verdict=2) != []
        assert world.ledger.state == [QUARANTINED]
        assert world.ledger.on_hand == [0]

    def test_overdue_box_stays_overdue(self):
        """A box that is too old is so after a blind look as before it."""
        world = store()
        world.stock_box("1-01-1", age=200)
        world.blind(box0=[0])
        count(world, "1-01-1")
        assert world.ledger.state == [OVERDUE]
        assert world.ledger.on_hand == [0]


class TestHold:
    def held(self):
        """A store at 15 s: the first look has just not seen box 0, the older one, in 1-01-1."""
        world = store()
        world.stock_box("1-01-1", age=90)
        world.stock_box("1-02-1")
        world.blind(box0=[0])
        return count(world, "1-01-1", seconds=14)

    def test_slot_takes_no_put_away(self):
        """A slot on hold is not named for a put-away, though it has room and is the nearest."""
        world = self.held()
        assert world.told("slot_held") == ["slot_held slot=1-01-1 held=1"]
        assert not world.index.is_open(0)
        world.truck(1)
        world.run(0.1)
        assert world.names([f["slot"] for f in world.facts("slot_allocated")]) == ["1-02-1"]
        world.run(600)
        assert world.index.is_open(0)

    def test_other_box_serves_the_order(self):
        """A held box is not reserved: the order gets the younger one at once."""
        world = self.held()
        assert world.ledger.on_hand == [15]
        world.order(15)
        assert [f["box"] for f in world.facts("box_reserved")] == [1]

    def test_order_waits_for_the_held_box(self):
        """An order for which only the held box is there waits until it is let go."""
        world = self.held()
        world.order(30)
        world.run(600)
        assert [f["box"] for f in world.facts("box_reserved")] == [1, 0]
        assert len(world.facts("order_handed_over")) == 1

    def test_put_away_on_its_way(self):
        """A put-away that was named the slot before the hold is carried out, and is no difference."""
        world = store(robots={"count": 2, "passing": True})
        world.stock_box("1-01-1")
        world.blind(box0=[0])
        world.truck(1)
        world.warehouse.counting.count([0])
        world.run(600)
        assert world.names([world.stock.place[1]]) == ["1-01-1"]
        assert world.facts("count_difference", box=1) == []
        assert world.differences() == []


class TestApproval:
    def test_only_shift_hours_count(self):
        """Four shift hours: a box missed on a Friday at 17:00 is written off on Monday at 11:00."""
        world = store(calendar=SHIFT)
        box = world.stock_box("1-01-1")
        world.at((4 * 24 + 17) * HOUR_S * 1000, lambda: world.warehouse.miss(box, WHY_COUNT))
        world.run(10 * DAY_S)
        # One hour on Friday from 17:00 to 18:00, three on Monday from 08:00: day 7, 11:00.
        assert [(f["time"], f["verdict"]) for f in world.facts("count_difference")] == [
            ((7 * 24 + 11) * HOUR_S * 1000, 3)
        ]
        assert world.ledger.state[box] == LOST

    def test_seen_in_time(self):
        """A box that is seen before its loss is approved is never posted."""
        world = store()
        box = world.stock_box("1-01-1")
        world.warehouse.miss(box, WHY_COUNT)
        world.run(3 * HOUR_S)
        world.warehouse.see(box, 0, 0, 0, WHY_COUNT)
        world.run(2 * DAY_S)
        assert world.facts("count_difference") == []
        assert world.ledger.state[box] == QUALIFIED


# -- meters ---------------------------------------------------------------------------------------------------


class TestMeters:
    def test_missing_meter_is_confirmed(self):
        """A person counts 14 for 15: the box is opened, the records follow, and the difference is confirmed."""
        world = store(counting={"method": "bar-code"})
        world.stock_box("1-01-1")
        world.lose(0, 1).chance(0.0)
        count(world, "1-01-1", seconds=2 * HOUR_S)
        told = [line for line in story(world) if "box_moved" not in line]
        assert told == [
            "slot_counted count=0 slot=1-01-1 method=2 look=0 robot=1 recorded=1 seen=1",
            "count_difference count=0 slot=1-01-1 box=0 what=meters verdict=noted",
            "count_ended count=0 slots=1 differences=0 boxes=1",
            f"meters_recorded box=0 mask={FULL - 1} why=opening",
            "error_found error=0 how=opening box=0",
            "count_difference count=0 slot=1-01-1 box=0 what=meters verdict=confirmed",
        ]
        assert world.ledger.on_hand == [14]
        # 15 meters on record at 500 an hour; then the box is opened where it stands, 4 s a meter on record.
        took = [f["end"] - f["time"] for f in world.facts("person_work") if f["work"] == COUNT_SLOT]
        assert took == [108_000, 60_000]
        assert world.facts("box_moved", robot=0) == []

    def test_box_found_empty_leaves(self):
        """A box that a person opens in its slot and finds empty is fetched, and the empty box leaves."""
        world = store(counting={"method": "bar-code"})
        world.stock_box("1-01-1", meters=1)
        world.lose(0, 1).chance(0.0)
        count(world, "1-01-1", seconds=2 * HOUR_S)
        assert world.ledger.on_hand == [0]
        assert [f["box"] for f in world.facts("box_emptied")] == [0]
        assert world.ledger.boxes_in(world.slot("1-01-1")) == []

    def test_overlooked_meter_is_refuted(self):
        """A person who overlooks a meter has a right box opened: nothing was wrong, and it may be had whole again."""
        world = store(counting={"method": "bar-code"}, staging={"loose_rack_boxes": 0})
        world.stock_box("1-01-1")
        world.chance(0.9)
        count(world, "1-01-1", seconds=2 * HOUR_S)
        assert [f["verdict"] for f in world.facts("count_difference")] == [0, 2]
        assert world.facts("meters_recorded") == []
        assert world.ledger.on_hand == [15]
        world.order(15)
        world.run(HOUR_S)
        assert len(world.facts("order_handed_over")) == 1
        assert world.facts("meters_picked") == []

    def test_inspected_box_serves_short_line(self):
        """An order that comes while the only box is inspected gets it whole afterwards."""
        world = store(people={"inspect_meter_s": 60})
        world.stock_box("1-01-1")
        assert world.warehouse.inspect(0)
        world.run(120)
        world.order(15)
        world.run(2 * HOUR_S)
        assert len(world.facts("order_handed_over")) == 1

    def test_unreadable_tags_are_replaced(self):
        """Tags that did not answer to the robot are found dead in the opened box and replaced, once."""
        world = store(counting={"method": "rfid"})
        world.stock_box("1-01-1")
        reader = world.warehouse._reader
        # Meters 2 and 5 are dead until their tags are replaced.
        dead = {2, 5}
        reader.replace = dead.discard
        reader.read = lambda _box, mask, _passes, _occasion: mask & ~sum(1 << k for k in dead)
        reader.shelf = lambda slot, boxes, _near, _occasion: {
            slot: {box: reader.read(box, mask, 1, 0) for box, mask in boxes}
        }
        count(world, "1-01-1", seconds=2 * HOUR_S)
        assert world.told("count_difference", "tag_replaced") == [
            "count_difference count=0 slot=1-01-1 box=0 what=meters verdict=noted",
            "count_difference count=0 slot=1-01-1 box=0 what=meters verdict=refuted",
            "tag_replaced box=0 meter=2",
            "tag_replaced box=0 meter=5",
        ]
        assert dead == set()

    def test_promised_box_is_not_opened(self):
        """A box that an order has is left alone."""
        world = store(counting={"method": "bar-code"})
        world.stock_box("1-01-1")
        world.lose(0, 1)
        world.order(15)
        assert not world.warehouse.inspect(0)

    def test_missing_box_needs_no_tags(self):
        """A box that is missed while it waits to be opened is not opened, nor its tags replaced."""
        world = store(counting={"method": "bar-code"}, reads={**SEEING, "dead": 0.4})
        world.stock_box("1-05-1")
        world.lose(0, 1).chance(0.0)
        count(world, "1-05-1", seconds=110)
        assert [f["verdict"] for f in world.facts("count_difference")] == [0]
        world.warehouse.miss(0, WHY_COUNT)
        world.run(2 * HOUR_S)
        assert world.facts("tag_replaced") == []
        assert world.facts("count_difference", verdict=1) == []


# -- methods --------------------------------------------------------------------------------------------------


class TestMethods:
    def looked(self, name, world, slot=0):
        return METHODS[name].look(world.warehouse.counting._looker, slot)

    def filled(self, **options):
        """Two boxes in 1-01-1, one of them with three meters."""
        world = store(**options)
        world.stock_box("1-01-1")
        world.stock_box("1-01-1", meters=3)
        return world

    def test_camera_sees_places(self):
        """A camera sees boxes and where they stand, no meters; a label that is not read leaves a gap."""
        world = self.filled().blind(box1=[1])
        assert self.looked("camera", world) == ({(0, 0): 0, (0, 1): 1}, None)
        assert self.looked("camera", world) == ({(0, 0): 0}, None)
        assert self.looked("camera", world, 1) == ({}, None)

    def test_rfid_sees_meters(self):
        """An RFID pass sees the meters of the boxes around, not where they stand."""
        assert self.looked("rfid", self.filled()) == (None, {0: FULL, 1: 7})

    def test_rfid_loses_strays(self):
        """A tag that is taken for the slot beside is not seen in its own."""
        world = self.filled(reads={**SEEING, "stray": 0.4})
        seen = self.looked("rfid", world).meters
        assert 0 < seen[0].bit_count() < 15

    def test_bar_code_overlooks_one(self):
        """A person scans boxes and meters; in a box that comes out wrong the first meter is overlooked."""
        world = self.filled()
        assert self.looked("bar-code", world.chance(0.849)) == ({(0, 0): 0, (0, 1): 1}, {0: FULL, 1: 7})
        assert self.looked("bar-code", world.chance(0.85)).meters == {0: FULL - 1, 1: 6}

    def test_handheld_reads_tags(self):
        """A person with a handheld sees boxes, places and the tags that answer."""
        assert self.looked("handheld", self.filled()) == ({(0, 0): 0, (0, 1): 1}, {0: FULL, 1: 7})
        world = self.filled(reads={**SEEING, "dead": 0.4})
        assert 0 < self.looked("handheld", world).meters[0].bit_count() < 15

    @pytest.mark.parametrize(
        ("name", "ms"),
        # 5 s + 3 boxes x 1 s; 2 passes x 5 s; 40 meters at 500 an hour; 40 at 3,750 an hour.
        [("camera", 8000), ("rfid", 10_000), ("bar-code", 288_000), ("handheld", 38_400)],
    )
    def test_time_that_a_look_takes(self, name, ms):
        """What a look at a slot of three boxes and 40 meters takes, with two passes."""
        params = store().warehouse.counting.params
        assert METHODS[name].takes_ms(params, 3, 40, 2) == pytest.approx(ms)

    def test_gate_and_count_are_not_one_read(self):
        """A label that the gate did not read is read by a camera as often as any other."""
        world = store(reads={**SEEING, "box_miss": 0.5})
        seen = []
        reader = world.warehouse._reader
        real = reader.box_is_read
        reader.box_is_read = lambda box, occasion, reads=1: (
            seen.append((box, occasion)) or real(box, occasion)
        )
        world.truck(2)
        world.run(600)
        gate = set(seen)
        seen.clear()
        count(world, "1-01-1")
        assert seen
        assert not gate & set(seen)

    @pytest.mark.parametrize("method", METHODS)
    def test_method_finds_a_misplaced_box(self, method):
        """With any method a box in another slot is found and recorded in the end."""
        world = store(counting={"method": method})
        world.stock_box("1-01-1")
        world.stock_box("1-03-1")
        world.misplace(0, "1-02-1")
        world.chance(0.0)
        count(world, *world.layout.names[:5], seconds=4 * HOUR_S)
        assert world.differences() == []
        assert world.ledger.on_hand == [30]
        looks = {(f["look"], METHOD_NAMES[f["method"]]) for f in world.facts("slot_counted")}
        assert looks == {(0, method), (1, "camera")}


# -- plans ----------------------------------------------------------------------------------------------------


class TestPlans:
    def test_full_every_three_days(self):
        """All slots on day 2, 5, 8 (from 0) at 18:00."""
        world = store("full", counting={"interval_days": 3})
        world.run(9 * DAY_S)
        assert sorted(counted(world)) == [(day, slot) for day in (2, 5, 8) for slot in range(5)]
        assert [f["time"] % DAY_MS for f in world.facts("count_planned")] == [18 * HOUR_S * 1000] * 3
        assert [f["plan"] for f in world.facts("count_planned")] == [list(PLANS).index("full")] * 3

    def test_cyclic_goes_round(self):
        """One slot each working day, the one not counted for longest; the week-end is free."""
        world = store("cyclic", counting={"slots_per_day": 1}, calendar=SHIFT)
        world.run(9 * DAY_S)
        # Monday is day 0, Friday day 4; the next Monday day 7.
        assert counted(world) == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (7, 0), (8, 1)]

    def test_cyclic_counts_the_oldest(self):
        """Several slots a day are those whose last count is longest ago, to the second."""
        world = store("cyclic", counting={"slots_per_day": 2})
        world.run(7 * DAY_S)
        last = dict.fromkeys(range(5), -1)
        for day in range(7):
            looks = [f for f in world.facts("slot_counted") if f["time"] // DAY_MS == day]
            assert {f["slot"] for f in looks} == set(sorted(last, key=lambda slot: (last[slot], slot))[:2])
            last.update((f["slot"], f["time"]) for f in looks)

    def test_abc_counts_the_busy_more_often(self):
        """The busiest fifth four times, the next 30 % twice as often as the others."""
        world = store("abc", counting={"slots_per_day": 1})
        for _ in range(3):
            world.warehouse.counting.accessed(4)
        world.run(6 * DAY_S)
        # Of five slots 4 has weight 4, 0 and 1 (equal, the lower numbers) 2, 2 and 3 one. Weight times hours since
        # 18:00 of the day of its count, from midnight (uncounted: since midnight of day 0):
        # day 0: all 0 h, the highest weight: 4. Day 1: 4 x 6, 2 x 24, 2 x 24, 24, 24: 0.
        # Day 2: 4 x 30, 2 x 6, 2 x 48, 48, 48: 4. Day 3: 4 x 6, 2 x 30, 2 x 72, 72, 72: 1.
        # Day 4: 4 x 30, 2 x 54, 2 x 6, 96, 96: 4. Day 5: 4 x 6, 2 x 78, 2 x 30, 120, 120: 0.
        assert counted(world) == [(0, 4), (1, 0), (2, 4), (3, 1), (4, 4), (5, 0)]

    def test_risk_is_accesses_since_the_count(self):
        """The slots with most accesses since their last count; a count starts them anew."""
        world = store("location-risk", counting={"slots_per_day": 2})
        counting = world.warehouse.counting
        for slot, times in ((3, 5), (1, 3), (2, 1)):
            for _ in range(times):
                counting.accessed(slot)
        world.run(2 * DAY_S)
        # Day 0: 3 and 1. Day 1: these have none any more, 2 has one, and 0 is the lowest of the rest.
        assert [sorted(s for d, s in counted(world) if d == day) for day in (0, 1)] == [[1, 3], [0, 2]]

    def test_on_access_counts_every_second(self):
        """A slot is counted after two boxes were put in or taken out, at once."""
        world = store("on-access", counting={"every_accesses": 2})
        world.truck(2)
        world.run(600)
        world.order(30)
        world.run(600)
        # Both boxes go to 1-01-1, and both leave it: two counts of slot 0.
        assert counted(world) == [(0, 0), (0, 0)]

    def test_zero_confirmation_at_the_last_box(self):
        """A slot is looked at when its last box has been taken, not before."""
        world = store("zero-confirmation")
        world.stock_box("1-01-1", age=90)
        world.stock_box("1-01-1", age=80)
        world.order(15)
        world.run(600)
        assert counted(world) == []
        world.order(15)
        world.run(600)
        assert counted(world) == [(0, 0)]
        assert world.facts("slot_counted")[0]["recorded"] == 0

    def test_zero_confirmation_finds_what_is_left(self):
        """A box that stands in a slot that is empty by the records is found by looking."""
        world = store("zero-confirmation")
        world.stock_box("1-01-1", age=90)
        world.stock_box("1-03-1")
        world.misplace(1, "1-01-1")
        world.order(15)
        world.run(600)
        assert world.differences() == []

    def test_triggered_counts_around(self):
        """A robot that finds nothing has the slot counted, and those beside, at once."""
        world = store("triggered")
        world.stock_box("1-03-1")
        world.misplace(0, "1-05-1")
        world.order(15)
        world.run(600)
        assert sorted(counted(world)) == [(0, 1), (0, 2), (0, 3)]

    @pytest.mark.parametrize("plan", ["none", "passive"])
    def test_no_count_without_a_plan(self, plan):
        """Plans none and passive name no slot, whatever happens."""
        world = store(plan)
        world.stock_box("1-03-1")
        world.misplace(0, "1-04-1")
        world.order(15)
        world.run(3 * DAY_S)
        assert len(world.facts("discrepancy")) == 1
        assert world.facts("count_planned") == []

    def test_night_counts_every_evening(self):
        """All slots every evening, week-end or not."""
        world = store("night", calendar=SHIFT)
        world.run(7 * DAY_S)
        assert sorted(counted(world)) == [(day, slot) for day in range(7) for slot in range(5)]

    def test_certify_draws_a_sample(self):
        """Every two days as many different slots as the accuracy and confidence demand."""
        sample = certify_sample(5, 0.7, 0.8)
        assert 0 < sample < 5
        world = store(
            "certify", counting={"interval_days": 2, "certify": {"accuracy": 0.7, "confidence": 0.8}}
        )
        world.run(8 * DAY_S)
        days = [{s for d, s in counted(world) if d == day} for day in range(8)]
        assert [len(slots) for slots in days] == [0, sample] * 4
        assert len(counted(world)) == 4 * sample

    def test_slots_without_room_are_not_counted(self):
        """A place of the grid that holds no box is no slot to count."""
        world = store("full", counting={"interval_days": 1}, capacity=[{"columns": [2], "boxes": 0}])
        world.run(DAY_S)
        assert sorted(slot for _, slot in counted(world)) == [0, 2, 3, 4]

    def test_planned_slot_becomes_urgent(self):
        """A slot that waits for the evening is counted at once when something unexpected is met there."""
        world = store("full", calendar=SHIFT)
        world.stock_box("1-01-1", age=90)
        world.misplace(0, "1-05-1")
        world.run(9 * HOUR_S)
        world.warehouse.counting.count(range(5))
        world.order(15)
        world.run(HOUR_S)
        assert {0, 1} <= {slot for _, slot in counted(world)}


# -- when -----------------------------------------------------------------------------------------------------


class TestWhen:
    def test_only_outside_shifts(self):
        """A planned count begins when the shift is over, and no sooner."""
        world = store("full", calendar=SHIFT)
        world.run(9 * HOUR_S)
        world.warehouse.counting.count(range(5))
        world.run(8 * HOUR_S)
        assert counted(world) == []
        world.run(2 * HOUR_S)
        assert sorted(slot for _, slot in counted(world)) == [0, 1, 2, 3, 4]
        assert all(f["time"] >= 18 * HOUR_S * 1000 for f in world.facts("slot_counted"))

    def test_any_hour(self):
        """With hours = any a planned count begins at once."""
        world = store("full", counting={"hours": "any"}, calendar=SHIFT)
        world.run(9 * HOUR_S)
        world.warehouse.counting.count(range(5))
        world.run(HOUR_S)
        assert len(counted(world)) == 5

    def test_goes_on_where_it_stopped(self):
        """What a night has not done the next one does: no slot twice, and one count in all."""
        world = store("passive", columns=40, counting={"camera_slot_s": 3600}, calendar=SHIFT)
        world.run(17 * HOUR_S)
        world.warehouse.counting.count(range(40))
        world.run(24 * HOUR_S)
        # 14 hours from 18:00 to 08:00 are 13 whole looks of an hour and a drive; those that the robot has been
        # given already it may finish in the shift.
        first = len(counted(world))
        assert 13 <= first <= 14 + AT_ONCE
        in_shift = [f for f in world.facts("slot_counted") if 9 <= f["time"] / 3_600_000 % 24 < 18]
        assert len(in_shift) <= AT_ONCE
        world.run(2 * DAY_S)
        assert sorted(slot for _, slot in counted(world)) == list(range(40))
        assert world.facts("count_ended")[0]["slots"] == 40

    def test_nothing_is_due_twice(self):
        """A slot that waits for a count is not planned again."""
        world = store(calendar=SHIFT)
        world.run(9 * HOUR_S)
        counting = world.warehouse.counting
        assert counting.count([0, 1]) == 0
        assert counting.count([1, 2]) == 1
        assert counting.count([0, 2]) == NONE
        assert [f["slots"] for f in world.facts("count_planned")] == [2, 1]

    def test_order_comes_between(self):
        """A robot that counts takes an order after the slot that it is at, and then goes on counting."""
        world = store(columns=20)
        world.stock_box("1-10-1")
        world.warehouse.counting.count(range(20))
        world.at(60_000, lambda: world.order(15))
        world.run(2 * HOUR_S)
        handed = world.facts("order_handed_over")[0]["time"]
        ended = world.facts("count_ended")[0]["time"]
        assert handed < ended
        # One slot takes 5 or 6 s, 1.5 s and a short drive; the fetch is the next thing the robot does.
        [fetched] = [f["time"] for f in world.facts("task_assigned") if f["task"] in {
            t["task"] for t in world.facts("task_created") if t["task_class"] != COUNT
        }]  # fmt: skip
        assert 60_000 <= fetched < 60_000 + 15_000
        assert world.facts("task_returned") != []
        assert sorted(slot for _, slot in counted(world)) == list(range(20))

    @pytest.mark.parametrize("passing", [False, True])
    def test_several_robots_share_a_count(self, passing):
        """Three robots count each slot once between them, in less time than one."""
        alone, three = (
            store("full", counting={"interval_days": 1}, columns=20, robots={"count": n, "passing": passing})
            for n in (1, 3)
        )
        for world in (alone, three):
            world.run(DAY_S)
            assert sorted(slot for _, slot in counted(world)) == list(range(20))
        ended = [world.facts("count_ended")[0]["time"] for world in (alone, three)]
        assert ended[1] < ended[0] if passing else ended[1] <= ended[0] * 1.5
        assert len({f["robot"] for f in three.facts("slot_counted")}) > 1

    def test_people_count_in_their_shift(self):
        """A count by bar code waits for people, who come in the morning."""
        world = store("full", counting={"method": "bar-code", "interval_days": 1}, calendar=SHIFT)
        world.stock_box("1-01-1")
        world.run(DAY_S + 9 * HOUR_S)
        assert {f["time"] // 3_600_000 for f in world.facts("slot_counted")} == {24 + 8}
        assert {f["robot"] for f in world.facts("slot_counted")} == {1}
        assert world.facts("slot_counted")[0]["method"] == METHOD_NAMES.index("bar-code")

    def test_plan_sees_no_truth(self):
        """The view that a plan is given shows nothing of where boxes truly are."""
        from sim.counting import CountView

        shown = {name for name in dir(CountView) if not name.startswith("_")}
        assert shown == {
            "accesses", "all_accesses", "counted_ms", "day", "draw", "is_working_day", "params", "slots",
        }  # fmt: skip
        assert TODAY == 739_677
