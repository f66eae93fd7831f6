"""What people do, when they do it, and how long it takes."""

from collections import deque
from datetime import date

import pytest
from simpy import Environment

from sim.calendar import CalendarParams, WorkCalendar
from sim.facts import BY_NUMBER, WORK
from sim.people import People, PeopleParams, Piece, Truck

MONDAY = date(2026, 3, 2)
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Desk:
    """A warehouse that only notes what it is told, and when."""

    def __init__(self, env):
        self.env = env
        self.told = []
        self.wanted = {}

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
