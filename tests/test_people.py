"""What people do, when they do it, and how long it takes."""

import itertools
from collections import deque
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy import Environment

from sim.calendar import FOREVER, CalendarParams, WorkCalendar
from sim.facts import BY_NUMBER, NONE, WORK
from sim.faults import FaultParams, Faults
from sim.people import WORK_ORDER, FallbackParams, People, PeopleParams, Piece, Truck
from sim.robots import DISPATCH
from sim.streams import Streams
from tests import worlds
from tests.worlds import ALWAYS, World, layout_of

MONDAY = date(2026, 3, 2)
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Desk:
    """A warehouse that only notes what it is told, and when."""

    def __init__(self, env):
        self.env = env
        self.told = []
        self.wanted = {}
        self.extra_ms = {}
        self.meters = {}

    def receiving_extra_ms(self, box):
        return self.extra_ms.get(box, 0)

    def meters_in(self, box):
        return self.meters[box]

    def inspected(self, box, person):
        self.told.append((self.env.now / 1000, "inspected", box, person))

    def received(self, box, truck, person):
        self.told.append((self.env.now / 1000, "received", box, person))

    def next_pick(self, box):
        return self.wanted[box]

    def picked_loose(self, box, order, meters, person):
        self.told.append((self.env.now / 1000, "picked", box, order, meters, person))

    def checked(self, piece):
        self.told.append((self.env.now / 1000, "checked", piece.box, piece.order))


class Shop:
    """People with a desk; by default they are two and their shift is 00:00 to 01:00 every day."""

    def __init__(self, shifts=(("00:00", "01:00"),), **params):
        self.env = Environment()
        self.desk = Desk(self.env)
        self.facts = []
        calendar = WorkCalendar(CalendarParams(shifts=list(shifts), weekdays=EVERY_DAY), MONDAY)
        self.people = People(self.env, PeopleParams(**params), calendar, self.facts.append)
        self.people.desk = self.desk
        self.people.start()

    def note(self, word):
        """What a job calls when it is done: a note of the word and of who has done it."""
        return lambda person: self.desk.told.append((self.env.now / 1000, word, person))

    def at(self, second):
        if second > self.env.now / 1000:
            self.env.run(until=second * 1000)
        return self.people

    def end(self, second=3 * 86_400):
        self.at(second)
        return self.desk.told

    def work(self):
        """The pieces of work as (begin, end, person, what, box)."""
        for row in self.facts:
            assert BY_NUMBER[row[1]].name == "person_work"
        return [(t / 1000, end / 1000, who, WORK[what], box) for t, _, who, what, end, box, _ in self.facts]


def truck(boxes):
    return Truck(0, port=0, boxes=deque(range(boxes)))


def piece(box):
    return Piece(box, order=7, mask=1, loose=False)


def test_two_unload_together():
    """Two people unload a truck box by box, each taking unload_s + receive_s a box."""
    shop = Shop()
    shop.at(0).post_truck(truck(3))
    # 30 + 8 = 38 s a box: both at once, then person 0, who is first to be free again, the third.
    assert shop.end() == [(38, "received", 0, 0), (38, "received", 1, 1), (76, "received", 2, 0)]
    assert shop.work() == [(0, 38, 0, "receive", 0), (0, 38, 1, "receive", 1), (38, 76, 0, "receive", 2)]


def test_check_before_pick_before_truck():
    """Hand-over comes first, then loose picking, then the truck, whatever was there first."""
    shop = Shop(count=1)
    shop.desk.wanted[5] = (9, 4)
    people = shop.at(0)
    people.post_truck(truck(1))
    people.post_pick(5)
    people.post_check(piece(6))
    # Check 20 s; pick 20 + 4 x 4 = 36 s; box 38 s.
    assert shop.end() == [(20, "checked", 6, 7), (56, "picked", 5, 9, 4, 0), (94, "received", 0, 0)]


def test_truck_work_gives_way():
    """A check that comes while a truck is unloaded is done after the box in hand, before the next box."""
    shop = Shop(count=1)
    shop.at(0).post_truck(truck(2))
    shop.at(10).post_check(piece(6))
    assert shop.end() == [(38, "received", 0, 0), (58, "checked", 6, 7), (96, "received", 1, 0)]


def test_pick_time_by_meter():
    """Picking takes the set-up and a time for each meter."""
    shop = Shop(count=1, pick_setup_s=5, pick_meter_s=1.5)
    shop.desk.wanted = {0: (1, 1), 1: (1, 14)}
    shop.at(0).post_pick(0)
    shop.at(0).post_pick(1)
    # 5 + 1.5 = 6.5 s, then 5 + 21 = 26 s.
    assert shop.end() == [(6.5, "picked", 0, 1, 1, 0), (32.5, "picked", 1, 1, 14, 0)]


def test_begun_work_is_finished():
    """What was begun before the end of the shift is finished; the next piece waits for the next shift."""
    shop = Shop(count=1, shifts=[("00:00", "00:01")])
    shop.at(0).post_truck(truck(3))
    # The shift is one minute: boxes begin at 0 and 38 s (done at 76 s, after its end), the third next day.
    shop.end()
    assert shop.work() == [
        (0, 38, 0, "receive", 0), (38, 76, 0, "receive", 1), (86_400, 86_438, 0, "receive", 2)
    ]  # fmt: skip


def test_night_work_waits_for_morning():
    """Work that comes outside the shifts begins with the next shift, with as many people as there are."""
    shop = Shop(shifts=[("08:00", "09:00")])
    shop.at(3600).post_check(piece(1))
    shop.at(7200).post_check(piece(2))
    shop.at(7300).post_check(piece(3))
    # 08:00 = 28,800 s.
    assert shop.end() == [(28_820, "checked", 1, 7), (28_820, "checked", 2, 7), (28_840, "checked", 3, 7)]


def test_evening_work_waits_for_morning():
    """A person who is idle at the end of the shift takes no work that comes after it."""
    shop = Shop(count=1, shifts=[("08:00", "09:00")])
    shop.at(8 * 3600).post_check(piece(1))
    shop.at(10 * 3600).post_check(piece(2))
    # Done at 08:00:20; idle; the next at 08:00 of the next day: 86,400 + 28,800 = 115,200 s.
    assert shop.end() == [(28_820, "checked", 1, 7), (115_220, "checked", 2, 7)]


def test_idle_person_starts_at_once():
    """An idle person begins when work comes, one piece a person."""
    shop = Shop()
    shop.at(100).post_check(piece(1))
    shop.at(110).post_check(piece(2))
    shop.at(111).post_check(piece(3))
    assert shop.end() == [(120, "checked", 1, 7), (130, "checked", 2, 7), (140, "checked", 3, 7)]


def test_trucks_one_after_another():
    """The second truck is begun when no box of the first is left to take."""
    shop = Shop(count=1)
    shop.at(0).post_truck(Truck(0, 0, deque([0, 1])))
    shop.at(1).post_truck(Truck(1, 0, deque([2])))
    assert [told[2] for told in shop.end()] == [0, 1, 2]


def test_nobody_does_nothing():
    """Without people nothing is done, and nothing breaks."""
    shop = Shop(count=0)
    shop.at(0).post_truck(truck(2))
    shop.at(5).post_check(piece(1))
    assert shop.end() == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_work_is_conserved(count):
    """However many people there are, each piece is done once and the hours of work are the same."""
    shop = Shop(count=count)
    shop.at(0).post_truck(truck(7))
    for box in range(10, 16):
        shop.at(3 * box).post_check(piece(box))
    shop.end()
    assert sorted(box for *_, box in shop.work()) == [*range(7), *range(10, 16)]
    # 7 boxes of 38 s and 6 checks of 20 s.
    assert sum(end - begin for begin, end, *_ in shop.work()) == 7 * 38 + 6 * 20


# -- work beside receiving, picking and checking ------------------------------------------------------


def test_extra_time_at_gate():
    """Repeated reads at the gate make the receiving of a box longer."""
    shop = Shop(count=1)
    shop.desk.extra_ms[1] = 5_500
    shop.at(0).post_truck(truck(3))
    # 38 s; 38 + 5.5 = 43.5 s; 38 s.
    assert shop.end() == [(38, "received", 0, 0), (81.5, "received", 1, 0), (119.5, "received", 2, 0)]
    assert [(begin, end) for begin, end, *_ in shop.work()] == [(0, 38), (38, 81.5), (81.5, 119.5)]


def test_box_is_inspected():
    """A box that no order wants anything of is opened and all meters in it are counted."""
    shop = Shop(count=1, inspect_meter_s=3)
    shop.desk.wanted[5] = (NONE, 0)
    shop.desk.meters[5] = 14
    shop.at(10).post_pick(5)
    # 10 + 20 to open it + 14 x 3 = 72 s.
    assert shop.end() == [(72, "inspected", 5, 0)]
    assert shop.work() == [(10, 72, 0, "inspect", 5)]


def test_work_in_its_order():
    """One person who finds every kind of work does it in the order of `WORK_ORDER`, carries left out."""
    shop = Shop(count=1)
    shop.desk.wanted[5] = (9, 1)
    people = shop.at(0)
    people.wake()  # it works before anything is posted, so that it meets all of it at once
    people.post_sort(8, 7_000, shop.note("sorted"))
    people.post_count(3, 60_000, shop.note("counted"))
    people.post_truck(truck(1))
    people.post_pick(5)
    people.post_check(piece(6))
    people.post_repair(90_000, shop.note("repaired"))
    # Repair 90 s, check 20 s, pick 20 + 4 = 24 s, and its box 38 s, slot 60 s, meters 7 s.
    assert shop.end() == [
        (90, "repaired", 0), (110, "checked", 6, 7), (134, "picked", 5, 9, 1, 0), (172, "received", 0, 0),
        (232, "counted", 0), (239, "sorted", 0),
    ]  # fmt: skip
    assert shop.work() == [
        (0, 90, 0, "repair", NONE), (90, 110, 0, "check", 6), (110, 134, 0, "pick", 5),
        (134, 172, 0, "receive", 0), (172, 232, 0, "count", NONE), (232, 239, 0, "sort", 8),
    ]  # fmt: skip
    assert list(WORK_ORDER) == ["repair", "check", "pick", "carry", "unload", "count", "sort"]


def test_count_gives_way():
    """A check that comes while slots are counted is done before the next slot."""
    shop = Shop(count=1)
    shop.at(0).post_count(0, 30_000, shop.note("counted"))
    shop.at(0).post_count(1, 30_000, shop.note("counted"))
    shop.at(5).post_check(piece(6))
    assert shop.end() == [(30, "counted", 0), (50, "checked", 6, 7), (80, "counted", 0)]


def test_each_person_told():
    """Whoever has done a job is told to the one who asked; a count begun before the shift ends is finished."""
    shop = Shop(shifts=[("00:00", "00:01")])
    for slot in range(3):
        shop.at(0).post_count(slot, 50_000, shop.note("counted"))
    shop.at(3600).post_repair(10_000, shop.note("repaired"))
    # Both count from 0 to 50 s, person 0 the third to 100 s, beyond 60 s. The repair is next day's, of person
    # 0, who has waited for the morning since then; person 1 was called for it in the evening.
    assert shop.end() == [
        (50, "counted", 0), (50, "counted", 1), (100, "counted", 0), (86_410, "repaired", 0)
    ]  # fmt: skip


# -- carrying by hand -----------------------------------------------------------------------------------

NOBODY = {"count": 0}
ONE_SLOT = {"rows": 1, "columns": 1, "levels": 1, "boxes_per_slot": 4, "tiers": 2}
ROOM = {"rows": 2, "columns": 3, "levels": 2, "boxes_per_slot": 4, "tiers": 2}

HALL = {"rows": 2, "columns": 8, "levels": 2, "boxes_per_slot": 4, "tiers": 2}


class ByHand(World):
    """A world in which people carry, with places for them: always, or with `fallback` only then."""

    def __init__(self, *, robots=NOBODY, people=None, fallback=None, start=True, **rest):
        people = {"count": 1, **(people or {})}

        def with_people(*, robots, **params):
            return layout_of(robots=robots + people["count"], **params)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worlds, "layout_of", with_people)
            super().__init__(robots=robots, people=people, start=False, **rest)
        self.people.carry_by_hand(
            self.fleet, fallback, dispatch=rest.get("policy", {}).get("dispatch", "priority")
        )  # fmt: skip
        if start:
            self.start()

    def work(self, what=None):
        """The pieces of work as (begin, end, person, what, box), seconds."""
        work = [
            (f["time"] / 1000, f["end"] / 1000, f["person"], WORK[f["work"]], f["box"])
            for f in self.facts("person_work")
            if f["end"] > f["time"]
        ]
        return [piece for piece in work if what in (None, piece[3])]

    def moves(self, box):
        """The places of a box with the seconds at which it came there."""
        return [
            (f["time"] / 1000, self.layout.place_name(f["to_place"]))
            for f in self.facts("box_moved", box=box)
        ]

    def handed_over(self):
        return [(f["time"] / 1000, f["order"]) for f in self.facts("order_handed_over")]


def test_put_away_by_hand():
    """A put-away takes the naming of a slot and a carry; halfway of the carry the box is in hand."""
    store = ByHand(**ROOM)
    [box] = store.truck(1)
    store.run(600)
    # 45 boxes/h are 80 s a box. 30 s to name the slot + 40 s = 70 s; + 40 s = 110 s.
    assert store.work() == [(0, 110, 0, "carry", box)]
    assert store.moves(box) == [(0, "in"), (70, "robot-1"), (110, "1-01-1")]
    assert [f["robot"] for f in store.facts("task_assigned")] == [0]
    assert store.facts("task_done")[0]["time"] == 110_000


def test_order_fetched_by_hand():
    """A fetched box is in hand after half a carry and at the port after a whole one."""
    store = ByHand(people={"carry_per_h": 60, "check_s": 20}, **ROOM)
    box = store.stock_box("2-03-2")
    store.order(15)
    store.run(600)
    # 60 s a box: 30 s, 60 s; checked 20 s later.
    assert store.moves(box) == [(0, "2-03-2"), (30, "robot-1"), (60, "out"), (80, "handed-over")]
    assert store.work() == [(0, 60, 0, "carry", box), (60, 80, 0, "check", box)]
    assert store.handed_over() == [(80, 0)]


def test_carry_of_odd_length():
    """The halves of a carry add up to the whole, to the millisecond."""
    store = ByHand(people={"carry_per_h": 49}, **ROOM)
    store.stock_box("1-01-1")
    store.order(15)
    store.run(600)
    # 3,600,000 / 49 = 73,469.4 ms: 73,469 ms, the box in hand after 36,734 ms.
    assert [f["time"] for f in store.facts("box_moved")] == [0, 36_734, 73_469, 73_469]


def test_open_box_returned_by_hand():
    """An opened box goes back to a slot by a carry without the naming of a slot."""
    store = ByHand(people={"pick_setup_s": 20, "pick_meter_s": 4}, staging={"loose_rack_boxes": 0}, **ROOM)
    box = store.stock_box("1-01-1")
    store.order(5)
    store.run(600)
    # Fetched by 80 s, picked by 80 + 20 + 5 x 4 = 120 s, stored by 200 s.
    assert store.work() == [(0, 80, 0, "carry", box), (80, 120, 0, "pick", box), (120, 200, 0, "carry", box)]
    assert store.moves(box)[-2:] == [(160, "robot-1"), (200, "1-01-1")]
    assert store.handed_over() == [(120, 0)]


def test_truck_before_put_aways():
    """A truck is unloaded before its boxes are put away; a box that an order waits for is fetched first."""
    store = ByHand(people={"unload_s": 38}, **ROOM)
    old = store.stock_box("2-01-1", sku=0, age=90)
    boxes = store.truck(3)
    store.at(50_000, lambda: store.order(15))
    store.run(3600)
    # Unloaded 0-38, 38-76; the order of 50 s is fetched 76-156; unloaded 156-194; put away 110 s each.
    assert store.work() == [
        (0, 38, 0, "receive", boxes[0]), (38, 76, 0, "receive", boxes[1]), (76, 156, 0, "carry", old),
        (156, 194, 0, "receive", boxes[2]), (194, 304, 0, "carry", boxes[0]),
        (304, 414, 0, "carry", boxes[1]), (414, 524, 0, "carry", boxes[2]),
    ]  # fmt: skip


@pytest.mark.parametrize(("dispatch", "second"), [("priority", "order"), ("put-away-first", "put-away")])
def test_dispatch_rule_while_orders_wait(dispatch, second):
    """While an order waits, what is carried first is what the dispatch rule says."""
    store = ByHand(policy={"dispatch": dispatch}, **ROOM)
    old = store.stock_box("2-01-1", age=90)
    new = store.truck(2)
    store.at(10_000, lambda: store.order(15))
    store.run(600)
    # The first put-away is carried from 0 to 110 s; then the other and the order wait.
    expected = [new[0], old, new[1]] if second == "order" else [*new, old]
    assert [box for *_, box in store.work("carry")] == expected


def test_truck_is_not_forgotten():
    """While orders wait, the truck is a put-away to the dispatch rule: waiting lifts it like one."""
    store = ByHand(people={"unload_s": 38}, policy={"ageing_min": 1}, **ROOM)
    old = [store.stock_box("2-01-1", k // 2, age=90 - k) for k in range(4)]
    boxes = store.truck(2)
    for _ in range(2):
        store.order(15)
        store.at(130_000, lambda: store.order(15))
    store.run(1200)
    # Class 4 for orders and 3 for what comes in, and one more for each minute. The first orders came with the
    # truck: 0-160 s. At 160 s the others stand at 4 + 30/60, the truck at 3 + 160/60 = 5.7: unloaded 160-236 s.
    # Then its boxes stand at 3 + 38/60 (the first came in at 198 s), the orders at 4 + 106/60.
    assert [(begin, what, box) for begin, _, _, what, box in store.work()] == [
        (0, "carry", old[0]), (80, "carry", old[1]), (160, "receive", boxes[0]), (198, "receive", boxes[1]),
        (236, "carry", old[2]), (316, "carry", old[3]), (396, "carry", boxes[0]), (506, "carry", boxes[1]),
    ]  # fmt: skip


def test_older_put_aways_before_truck():
    """Boxes of an earlier truck are put away before a later truck is unloaded."""
    store = ByHand(people={"unload_s": 38}, **ROOM)
    first = store.truck(2)
    second = []
    store.at(100_000, lambda: second.extend(store.truck(1)))
    store.run(1200)
    # Unloaded 0-76 s; the later truck comes at 100 s, while the first put-away is carried, 76-186 s.
    assert [(begin, what, box) for begin, _, _, what, box in store.work()] == [
        (0, "receive", first[0]), (38, "receive", first[1]), (76, "carry", first[0]), (186, "carry", first[1]),
        (296, "receive", second[0]), (334, "carry", second[0]),
    ]  # fmt: skip


def test_two_carry_into_one_slot():
    """Two people store into one slot at the same instant, each into the place reserved for its box."""
    store = ByHand(people={"count": 2}, **ONE_SLOT)
    boxes = store.truck(4)
    store.run(600)
    # Both carry from 0 to 110 s, then both again to 220 s: two columns of two tiers are full.
    assert [(begin, end, who) for begin, end, who, *_ in store.work()] == [
        (0, 110, 0), (0, 110, 1), (110, 220, 0), (110, 220, 1)
    ]  # fmt: skip
    assert store.moves(boxes[0])[-1] == (110, "1-01-1") == store.moves(boxes[1])[-1]
    stands = [(store.stock.place[box], store.stock.column[box], store.stock.tier[box]) for box in boxes]
    assert sorted(stands) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]


def test_two_fetch_from_one_slot():
    """Two people take boxes out of one slot at the same instant."""
    store = ByHand(people={"count": 2}, **ONE_SLOT)
    boxes = [store.stock_box(0, column, tier) for column, tier in [(0, 0), (0, 1), (1, 0)]]
    store.order(45)
    store.run(600)
    assert sorted(store.work()) == [
        (0, 80, 0, "carry", boxes[0]), (0, 80, 1, "carry", boxes[1]), (80, 160, 0, "carry", boxes[2])
    ]  # fmt: skip
    assert store.handed_over() == [(160, 0)]


def test_carry_finished_after_shift():
    """A carry that has begun is finished after the shift; the next waits for the next shift."""
    store = ByHand(calendar={**ALWAYS, "shifts": [["00:00", "00:01"]]}, **ROOM)
    first, second = store.truck(2)
    store.run(2 * 86_400)
    # 0 to 110 s, though the shift ends at 60 s.
    assert store.work() == [(0, 110, 0, "carry", first), (86_400, 86_510, 0, "carry", second)]


def ports(*, out_places):
    return [{"name": "in", "serves": "in"}, {"name": "out", "serves": "out", "out_places": out_places}]


def test_full_port_waits_for_check():
    """Who finds the outbound port full waits until somebody has checked a box there."""
    store = ByHand(people={"count": 2, "check_s": 100}, ports=ports(out_places=1), **ROOM)
    a, b = store.stock_box("1-01-1", age=90), store.stock_box("1-02-1", age=60)
    store.order(30)
    store.run(3600)
    # Both stand at the port at 80 s. Person 0 sets down its box and checks it, 80-180. Person 1 waits, sets
    # down at 180, and checks, 180-280.
    assert store.moves(a)[-2:] == [(80, "out"), (180, "handed-over")]
    assert store.moves(b)[-2:] == [(180, "out"), (280, "handed-over")]
    assert store.work("check") == [(80, 180, 0, "check", a), (180, 280, 1, "check", b)]


def test_makes_room_at_full_port():
    """Who finds the outbound port full, and nobody free, checks the box there, and then sets down."""
    store = ByHand(people={"count": 2, "check_s": 100}, ports=ports(out_places=1), **ROOM)
    a, b = store.stock_box("1-01-1", age=90), store.stock_box("1-02-1", age=60)
    store.order(30)
    store.at(70_000, lambda: store.people.post_repair(200_000, lambda person: None))
    store.run(3600)
    # Both come at 80 s. Person 0 sets down and repairs 80-280; person 1, box in hand, checks 80-180.
    assert store.work() == [
        (0, 80, 0, "carry", a), (0, 80, 1, "carry", b), (80, 280, 0, "repair", NONE),
        (80, 180, 1, "check", a), (180, 280, 1, "check", b),
    ]  # fmt: skip
    assert store.moves(b)[-2:] == [(180, "out"), (280, "handed-over")]


@pytest.mark.parametrize(("end", "checks_first"), [("00:01", 1), ("00:02", 0)])
def test_port_cleared_after_shift(end, checks_first):
    """Carries that the end of the shift finds under way are finished, though the port is full and others go home."""
    shifts = {**ALWAYS, "shifts": [["00:00", end]]}
    store = ByHand(people={"count": 3, "check_s": 100}, ports=ports(out_places=1), calendar=shifts, **ROOM)
    a, b, c = (store.stock_box(f"1-0{column}-1", age=90 - column) for column in (1, 2, 3))
    store.order(45)
    store.run(2 * 86_400)
    # All come at 80 s. Person 0 sets down and, after the shift, goes home, else checks that box, 80-180; else
    # person 1 does. Then person 1 sets down its own and goes home, and person 2 does the same, 180-280. The
    # last box is checked in the morning.
    assert store.work() == [
        (0, 80, 0, "carry", a), (0, 80, 1, "carry", b), (0, 80, 2, "carry", c),
        (80, 180, checks_first, "check", a), (180, 280, 2, "check", b), (86_400, 86_500, 0, "check", c),
    ]  # fmt: skip
    assert store.moves(c)[-2:] == [(280, "out"), (86_500, "handed-over")]


def test_wanted_while_returned():
    """An opened box that is wanted again while somebody returns it is stored first and then fetched."""
    store = ByHand(staging={"loose_rack_boxes": 0}, **ROOM)
    box = store.stock_box("1-01-1")
    store.order(5)
    store.at(90_000, lambda: store.order(5))
    store.run(300)
    # Fetched by 80 s, returned 80-160 s, fetched 160-240 s, and returned again.
    assert [(begin, end) for begin, end, *_ in store.work("carry")] == [
        (0, 80),
        (80, 160),
        (160, 240),
        (240, 320),
    ]
    assert [place for _, place in store.moves(box)][-6:] == [
        "1-01-1", "robot-1", "out", "pick-station", "loose-rack", "robot-1"
    ]  # fmt: skip
    assert store.handed_over() == [(80, 0), (240, 1)]


def test_place_taken_tries_next():
    """Who finds a place taken brings the box to the next one that is named: half a carry more."""
    store = ByHand(**ROOM)
    taken = find_taken(store, times=1)
    [box] = store.truck(1)
    store.run(600)
    # At 110 s the place is taken; 40 s to the next.
    assert taken == [110]
    assert store.work() == [(0, 110, 0, "carry", box), (110, 150, 0, "carry", box)]
    assert store.moves(box)[-1][0] == 150


def test_no_place_brings_back():
    """With no other place the box is brought back to the port."""
    store = ByHand(**ONE_SLOT)
    taken = find_taken(store, times=1, full=True)
    [box] = store.truck(1)
    store.run(3600)
    # Taken at 110 s; back at the port at 150 s, where it is set down and waits for room.
    assert taken == [110]
    assert store.work() == [(0, 110, 0, "carry", box), (110, 150, 0, "carry", box)]
    assert [place for time, place in store.moves(box) if time == 150] == ["in", "staging"]


def find_taken(store, *, times, full=False):
    """Have the next places be found taken; gives the list of the seconds at which they were."""
    house, seen = store.warehouse, []
    stored = house.stored

    def other_first(task, robot):
        if len(seen) == times:
            return stored(task, robot)
        seen.append(store.env.now / 1000)
        store.ledger.release(task.box, task.target, task.column, store.env.now)
        task.target, task.column = (NONE, NONE) if full else house._allocate(task.box)
        return False

    house.stored = other_first
    return seen


def test_box_not_there():
    """Who does not find the box comes back with nothing, after the time of a whole carry."""
    store = ByHand(**ROOM)
    old, new = store.stock_box("1-01-1", age=90), store.stock_box("1-02-1", age=60)
    house = store.warehouse
    picked = house.picked
    house.picked = lambda task, robot: task.box != old and picked(task, robot)
    store.order(15)
    store.order(15)
    store.run(600)
    assert store.work() == [(0, 80, 0, "carry", old), (80, 160, 0, "carry", new)]
    assert store.moves(old) == [(0, "1-01-1")]
    assert store.moves(new)[-2:] == [(160, "out"), (160, "handed-over")]


STACKS = {"robots": {"count": 0, "access": "stack_lifo", "kind": "top_gripper"}}


def test_dig_by_hand():
    """In free stacks each box that stands on the wanted one is carried away first."""
    store = ByHand(**STACKS, **ROOM)
    low = store.stock_box("1-01-1", age=90)
    top = store.stock_box("1-01-1", age=60)
    store.order(15)
    store.run(600)
    # The upper box is moved 0-80 s, into the other stack of the slot; the lower fetched 80-160 s.
    assert store.work() == [(0, 80, 0, "carry", top), (80, 160, 0, "carry", low)]
    assert store.moves(top) == [(0, "1-01-1"), (40, "robot-1"), (80, "1-01-1")]
    assert store.stock.column[top] == 1
    assert store.moves(low)[1:] == [(120, "robot-1"), (160, "out"), (160, "handed-over")]
    assert [f["box"] for f in store.facts("box_dug")] == [top]


def test_dig_waits_for_room():
    """A box that nothing can be moved away from waits; it is tried again after five minutes."""
    store = ByHand(**STACKS, rows=1, columns=1, levels=1, boxes_per_slot=2, tiers=2)
    low, top = store.stock_box(0, age=90), store.stock_box(0, age=60)
    store.order(15)
    store.at(200_000, lambda: store.order(15))
    store.run(1200)
    # At 200 s the top box is wanted too and fetched by 280 s; at 300 s the lower is tried again.
    assert store.work() == [(200, 280, 0, "carry", top), (300, 380, 0, "carry", low)]
    assert [f["time"] for f in store.facts("task_returned")] == [0]


def test_two_dig_in_one_stack():
    """Two people who want boxes of one stack may hinder each other; both have theirs in the end."""
    store = ByHand(**STACKS, people={"count": 2}, rows=1, columns=2, levels=1, boxes_per_slot=6, tiers=3)
    low, middle, top = (store.stock_box(0, 0, age=age) for age in (90, 80, 70))
    store.order(15)
    store.order(15)
    store.run(600)
    # Both come for the top box. Person 0 has it and moves it by 80 s; person 1 goes back with nothing.
    # Both come for the middle one: person 0, first again, moves it by 160 s for the sake of the lower one.
    assert store.work() == [
        (0, 80, 0, "carry", top), (0, 80, 1, "carry", top), (80, 160, 0, "carry", middle),
        (80, 160, 1, "carry", middle), (160, 240, 0, "carry", low), (160, 240, 1, "carry", middle),
    ]  # fmt: skip
    assert [place for _, place in store.moves(top)] == ["1-01-1", "robot-1", "1-01-1"]
    assert [place for _, place in store.moves(middle)][1:] == [
        "robot-1", "1-01-1", "robot-2", "out", "handed-over"
    ]  # fmt: skip
    assert store.handed_over() == [(240, 0), (240, 1)]


def test_dig_loses_its_room():
    """A dig for which no room is left when the person comes is put off."""
    store = ByHand(**STACKS, people={"count": 2}, **ONE_SLOT)
    low, top = store.stock_box(0, 0, age=90), store.stock_box(0, 0, age=60)
    store.stock_box(0, 1, age=30)
    store.order(15)
    store.at(10_000, lambda: store.truck(1))
    store.at(200_000, lambda: store.order(15))
    store.run(600)
    # From 10 s on the last place is reserved for the new box. At 40 s there is none for the upper box: back at
    # 80 s, and tried again at 380 s, when the upper box has been fetched.
    assert [piece for piece in store.work() if piece[4] in (low, top)] == [
        (0, 80, 0, "carry", top), (200, 280, 0, "carry", top), (380, 460, 1, "carry", low)
    ]  # fmt: skip
    assert [f["time"] for f in store.facts("task_returned")] == [80_000]


DAY_S = 86_400
events = st.tuples(
    st.integers(0, 7000), st.sampled_from(["truck", "order"]), st.integers(1, 6), st.integers(0, 1)
)


@settings(max_examples=60)
@given(
    happens=st.lists(events, max_size=12),
    count=st.integers(1, 3),
    stacked=st.booleans(),
    out_places=st.integers(1, 3),
    loose=st.integers(0, 14),
    shifts=st.sampled_from([[["00:00", "24:00"]], [["00:00", "00:30"]]]),
    dispatch=st.sampled_from(sorted(DISPATCH)),
    decide_at=st.sampled_from(["receipt", "pickup"]),
)
def test_all_is_served_by_hand(happens, count, stacked, out_places, loose, shifts, dispatch, decide_at):
    """Whatever trucks and orders come, people alone unload, put away and hand over all of it."""
    store = ByHand(
        robots={"count": 0, **({"access": "stack_lifo", "kind": "top_gripper"} if stacked else {})},
        people={"count": count, "unload_s": 30, "check_s": 20, "pick_setup_s": 20, "pick_meter_s": 4},
        policy={"dispatch": dispatch, "decide_at": decide_at}, calendar={**ALWAYS, "shifts": shifts}, skus=2,
        staging={"pick_buffer_boxes": 1, "loose_rack_boxes": 1}, ports=ports(out_places=out_places), **HALL,
    )  # fmt: skip
    for second, what, boxes, sku in happens:
        if what == "truck":
            store.at(second * 1000, lambda boxes=boxes, sku=sku: store.truck(boxes, sku=sku))
        else:
            meters = 15 * (boxes // 2) + loose
            store.at(second * 1000, lambda meters=meters, sku=sku: meters and store.order(meters, sku=sku))
    for _ in range(8):
        store.run(900)
    # What is missing comes by trucks, so that all orders can be served.
    for sku in range(2):
        wanted = sum(f["meters"] for f in store.facts("order_line", sku=sku))
        store.truck(1 + wanted // 15, sku=sku)
    for _ in range(30):
        store.run(DAY_S / 2)
    layout, house = store.layout, store.warehouse
    assert not house.orders
    assert not any([*store.fleet.waiting, store.people.checks, store.people.picks])
    ended = {layout.handed_over, layout.outside, layout.loose_rack}
    assert all(place < layout.slots or place in ended for place in store.stock.place)
    assert {f["task"] for f in store.facts("task_created")} == {
        f["task"] for kind in ("task_done", "task_cancelled") for f in store.facts(kind)
    }
    _nobody_does_two_things(store)


def _nobody_does_two_things(store):
    """The pieces of work of each person follow each other."""
    ends = {}
    for begin, end, person, *_ in sorted(store.work()):
        assert begin >= ends.get(person, 0)
        ends[person] = end


# -- stepping in for a robot that is down ---------------------------------------------------------------


class Breaks(Faults):
    """Faults in which the one robot breaks down at given seconds, each time for so many minutes."""

    def __init__(self, seconds, minutes, env, record):
        params = FaultParams(
            scale=1, clock="calendar", mtbf_h=1, repair_kind="constant", mttr_h=minutes / 60, vendor_share=0,
            minor_stop_share=0, power_failures_per_year=0, blocked_per_day=0, misshaped_share=0,
        )  # fmt: skip
        super().__init__(params, Streams(1), env, record)
        self.ahead = [after - before for before, after in itertools.pairwise([0, *seconds])]

    def _gap_to_breakdown(self, robot):
        return round(self.ahead.pop(0) * 1000) if self.ahead else FOREVER


def with_breaks(seconds, minutes, *, after_min=10, most=2, people=None, robots=None, **rest):
    """A world with one robot that breaks down, for which people step in."""
    store = ByHand(
        robots={"count": 1, **(robots or {})}, people={"count": 2, **(people or {})},
        fallback=FallbackParams(after_min=after_min, people=most), start=False, **{**ROOM, **rest},
    )  # fmt: skip
    store.fleet._faults = Breaks(seconds, minutes, store.env, store.rows.append)
    return store.start()


def boxes_on(store, robot=0):
    return [box for box, place in enumerate(store.stock.place) if place == store.layout.robot_place(robot)]


def test_dead_robot_with_three_boxes():
    """Three boxes on a robot that stays down are taken off it and stored by two people; it gets none back."""
    store = with_breaks([30], 120)
    boxes = store.truck(3)
    store.run(600)
    # Its place is the port: three picks of 6 s and two moves on board of 2 s, from 1.5 s on, end at 23.5 s.
    assert boxes_on(store) == boxes
    store.run(3600)
    # Down at 30 s; ten minutes later both begin, a way of 40 s to have a box and one of 40 s to store it.
    assert sorted(store.work(), key=lambda piece: (piece[0], piece[4])) == [
        (630, 670, 1, "carry", boxes[0]), (630, 670, 0, "carry", boxes[1]), (670, 710, 1, "carry", boxes[0]),
        (670, 710, 0, "carry", boxes[1]), (710, 750, 1, "carry", boxes[2]), (750, 790, 1, "carry", boxes[2]),
    ]  # fmt: skip
    # Persons 0 and 1 carry as robots 1 and 2, which are robot-2 and robot-3.
    assert [place for _, place in store.moves(boxes[2])] == ["in", "robot-1", "robot-3", "1-01-1"]
    assert [(f["time"], f["robot"]) for f in store.facts("task_done")] == [
        (710_000, 2), (710_000, 1), (790_000, 2)
    ]  # fmt: skip
    store.run(7200)
    # In order again, the robot has nothing on board and serves the next order.
    assert store.fleet.robots[0].board == []
    store.order(15)
    store.run(600)
    assert store.facts("task_done")[-1]["robot"] == 0


def test_order_box_on_dead_robot():
    """An order's box on a robot that is down is brought to the port by hand, checked and handed over."""
    store = with_breaks([20], 120, most=1, people={"check_s": 20})
    box = store.stock_box("1-01-1")
    store.order(15)
    store.run(300)
    assert boxes_on(store) == [box]
    store.run(3600)
    # In hand at 620 + 40 s, at the port at 700 s, checked by 720 s; one of two people only carries at a time.
    assert store.handed_over() == [(720, 0)]
    assert [(begin, end, what) for begin, end, _, what, _ in store.work()] == [
        (620, 660, "carry"), (660, 700, "carry"), (700, 720, "check")
    ]  # fmt: skip


def test_box_without_slot_on_dead_robot():
    """A box that a robot was bringing back, no slot being left for it, is brought back by hand."""
    trial = with_breaks([], 1, **ONE_SLOT)
    taken = find_taken(trial, times=1, full=True)
    trial.truck(1)
    trial.run(600)
    store = with_breaks([taken[0] + 1], 120, most=1, **ONE_SLOT)
    find_taken(store, times=1, full=True)
    [box] = store.truck(1)
    store.run(300)
    assert boxes_on(store) == [box]
    store.run(3600)
    # The robot went down a second after it had found the place taken; then 600 s, and 80 s to the port.
    assert [(time, place) for time, place in store.moves(box) if place in ("in", "staging")][1:] == [
        (taken[0] + 681, "in"), (taken[0] + 681, "staging")
    ]  # fmt: skip
    assert [end - begin for begin, end, *_ in store.work()] == [40, 40]


def test_orders_served_until_robot_works():
    """Orders that come while the robot is long down are fetched by hand; it has those that come later."""
    store = with_breaks([100], 60)
    for column in (1, 2, 3):
        store.stock_box(f"1-0{column}-1")
    for second in (200, 2000, 4000):
        store.at(second * 1000, lambda: store.order(15))
    store.run(7200)
    # Down from 100 to 3700 s. The first order waits until 700 s, the second is fetched at once.
    assert store.handed_over()[:2] == [(780, 0), (2080, 1)]
    assert [f["robot"] for f in store.facts("task_done")] in ([1, 1, 0], [2, 1, 0], [1, 2, 0], [2, 2, 0])
    assert not store.people.by_hand


@pytest.mark.parametrize(
    ("minutes", "fallback"),
    [(9, {}), (120, {"after_min": float("inf")}), (120, {"most": 0})],
    ids=["soon repaired", "never", "nobody"],
)
def test_nobody_steps_in(minutes, fallback):
    """A robot that is soon in order again keeps its boxes and stores them, as where nobody may step in."""
    store = with_breaks([30], minutes, **fallback)
    store.truck(3)
    store.run(5 * 3600)
    assert store.work() == []
    assert [f["robot"] for f in store.facts("task_done")] == [0, 0, 0]


def test_down_again_counts_anew():
    """How long a robot is down is counted anew each time: two short breaks do not make a long one."""
    store = with_breaks([30, 700], 8)
    store.stock_box("1-01-1")
    store.at(720_000, lambda: store.order(15))
    store.run(3600)
    # Down 30-510 s and 700-1180 s, with no box or order in the first; 630 s would be ten minutes from the first.
    assert len(store.facts("fault_began")) == 2
    assert store.work() == []
    assert [f["robot"] for f in store.facts("task_done")] == [0]


def test_next_carries_when_one_is_done():
    """Where one may carry at a time and turns to other work, somebody idle carries what waits."""
    store = with_breaks([30], 120, most=1, people={"check_s": 50})
    a, b = store.stock_box("1-01-1", age=90), store.stock_box("1-02-1", age=60)
    store.at(700_000, lambda: store.order(15))
    store.at(710_000, lambda: store.order(15))
    store.run(3600)
    # The first carry ends at 780 s; who did it checks 780-830; the other person carries from 780 s on.
    begins = [(begin, what, box) for begin, _, _, what, box in store.work()]
    assert begins == [
        (700, "carry", a), (740, "carry", a), (780, "check", a), (780, "carry", b), (820, "carry", b),
        (860, "check", b),
    ]  # fmt: skip
    assert len({person for _, _, person, what, _ in store.work() if what == "carry"}) == 2


def _aisles_at(store, second):
    """The aisles in which people are, or for which they wait, at a time."""
    store.run(second - store.env.now / 1000)
    return sorted(store.fleet._gates)


def test_dig_in_place_of_robot():
    """Who digs in place of a robot, from one aisle into another, leaves both: the robot works there afterwards."""
    store = with_breaks(
        [10], 60, most=1, robots={"access": "stack_lifo", "kind": "top_gripper"}, rows=4, columns=1, levels=1,
        boxes_per_slot=2, tiers=2,
    )  # fmt: skip
    low, top = store.stock_box("1-01-1", age=90), store.stock_box("1-01-1", age=60)
    for age in (30, 20):
        store.stock_box("2-01-1", age=age)
    for second in (700, 4000, 4000, 4000):
        store.at(second * 1000, lambda: store.order(15))
    in_first, in_second = _aisles_at(store, 720), _aisles_at(store, 750)
    assert (in_first, in_second) == ([0], [1])
    store.run(7200)
    # Down 10-3610 s. The top box is moved 700-780 s, the lower one fetched 780-860 s.
    assert [(begin, end, box) for begin, end, _, _, box in store.work()] == [
        (700, 740, top), (740, 780, top), (780, 820, low), (820, 860, low)
    ]  # fmt: skip
    assert store.moves(top)[2] == (780, "3-01-1")
    assert [f["robot"] == 0 for f in store.facts("task_done")] == [False, True, True, True]
    assert len(store.handed_over()) == 4


def test_stepping_in_waits_for_shift():
    """Nobody steps in out of hours; in the morning people do, if the robot is still down."""
    shifts = {**ALWAYS, "shifts": [["00:00", "00:05"], ["08:00", "12:00"]]}
    for hours, begins in ((10, [28_800, 28_800]), (7, [])):
        store = with_breaks([30], hours * 60, calendar=shifts)
        boxes = store.truck(2)
        store.run(7 * 3600)
        assert boxes_on(store) == boxes
        store.run(2 * 3600)
        assert boxes_on(store) == []
        assert [begin for begin, *_ in store.work() if begin % 100 == 0] == begins


def test_rescued_over_shift_end():
    """Boxes that were taken off a dead robot before the shift ends are stored, the last ones next morning."""
    shifts = {**ALWAYS, "shifts": [["00:00", "00:11"]]}
    store = with_breaks([30], 60, most=1, calendar=shifts)
    boxes = store.truck(3)
    store.run(86_400 * 2)
    # From 630 s on; the shift ends at 660 s: the first is finished by 710 s; the robot works from 3630 s on.
    begins = sorted({(begin, box) for begin, _, _, _, box in store.work()})
    assert begins == [
        (630, boxes[0]), (670, boxes[0]), (86_400, boxes[1]), (86_440, boxes[1]), (86_480, boxes[2]),
        (86_520, boxes[2]),
    ]  # fmt: skip


AISLES = {"rows": 4, "columns": 4, "levels": 1, "boxes_per_slot": 4, "tiers": 2}


def test_robots_keep_out_of_aisle():
    """While somebody counts in an aisle no robot works there; each waits until the last person has left."""
    store = ByHand(robots={"count": 1}, people={"count": 2}, fallback=FallbackParams(), **AISLES)
    slot = store.slot("1-03-1")
    store.stock_box("1-02-1", age=90)
    store.people.post_count(slot, 300_000, lambda person: None)
    store.people.post_count(slot, 400_000, lambda person: None)
    store.at(1_000, lambda: store.order(15))
    store.run(3600)
    assert sorted((begin, end) for begin, end, *_ in store.work("count")) == [(0, 300), (0, 400)]
    [moved] = [
        f["time"]
        for f in store.facts("box_moved")
        if f["robot"] == 0 and f["to_place"] != store.layout.outbound
    ]
    assert 400_000 < moved < 420_000


def test_nothing_breaks_nothing_changes():
    """Where no robot is ever down, people who might step in do not change a fact."""
    alone, watched = _busy_store(), _busy_store(fallback=FallbackParams(after_min=0))
    assert alone.rows == watched.rows
    assert len(alone.rows) > 500


def _busy_store(*, fallback=None):
    """Two robots and two people at work for four hours, the people ready to step in or not."""
    store = World(start=False, people={"count": 2, "check_s": 20}, robots={"count": 2}, **HALL)
    if fallback is not None:
        store.people.carry_by_hand(store.fleet, fallback)
    store.start()
    for minute in range(0, 120, 10):
        store.at(minute * 60_000, lambda: store.truck(5))
        store.at(minute * 60_000 + 90_000, lambda: store.order(37))
    return store.run(4 * 3600)


@settings(max_examples=100)
@given(
    happens=st.lists(events, min_size=1, max_size=12),
    robots=st.integers(1, 3),
    count=st.integers(1, 3),
    most=st.integers(1, 3),
    stacked=st.booleans(),
    passing=st.booleans(),
    out_places=st.integers(1, 3),
    loose=st.integers(0, 14),
    mtbf_h=st.sampled_from([0.02, 0.1, 0.5]),
    mttr_h=st.sampled_from([0.1, 0.5, 2]),
    after_min=st.sampled_from([0, 1, 10]),
    shifts=st.sampled_from([[["00:00", "24:00"]], [["00:00", "02:30"]]]),
    seed=st.integers(0, 10**6),
)
def test_all_is_served_with_breaks(
    happens, robots, count, most, stacked, passing, out_places, loose, mtbf_h, mttr_h, after_min, shifts, seed
):
    """Whatever breaks and whoever steps in, nothing is lost, and all orders are handed over in the end."""
    store = ByHand(
        robots={
            "count": robots, "passing": passing, **({"access": "stack_lifo", "kind": "top_gripper"} if stacked else {})
        },
        people={"count": count, "unload_s": 30, "check_s": 20, "pick_setup_s": 20, "pick_meter_s": 4},
        calendar={**ALWAYS, "shifts": shifts}, skus=2, fallback=FallbackParams(after_min=after_min, people=most),
        staging={"pick_buffer_boxes": 1, "loose_rack_boxes": 1}, ports=ports(out_places=out_places), start=False,
        **HALL,
    )  # fmt: skip
    params = FaultParams(
        scale=1, mtbf_h=mtbf_h, mttr_h=mttr_h, mttr_sd_h=0.1, vendor_share=0, clock="powered"
    )
    faults = Faults(params, Streams(seed), store.env, store.rows.append)
    store.fleet._faults = faults
    store.start()
    for second, what, boxes, sku in happens:
        if what == "truck":
            store.at(second * 1000, lambda boxes=boxes, sku=sku: store.truck(boxes, sku=sku))
        else:
            meters = 15 * (boxes // 2) + loose
            store.at(second * 1000, lambda meters=meters, sku=sku: meters and store.order(meters, sku=sku))
    for _ in range(8):
        store.run(900)
    for sku in range(2):
        wanted = sum(f["meters"] for f in store.facts("order_line", sku=sku))
        store.truck(1 + wanted // 15, sku=sku)
    days = 0.0
    while store.warehouse.orders:
        assert days < 15
        store.run(DAY_S / 12)
        days += 1 / 12
    _nobody_does_two_things(store)
