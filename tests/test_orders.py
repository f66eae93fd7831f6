"""Demand and supply: how many orders, when and how large, and what is called off on which trucks."""

import math
from collections import Counter
from datetime import date
from itertools import chain

import pytest
from scipy import stats

from sim.calendar import DAY_MS, CalendarParams, WorkCalendar
from sim.orders import ORDER_TYPES, DemandParams, OrderBook, OrderSpec, Supply, SupplyParams
from sim.streams import Streams

MONDAY = date(2026, 3, 2)
HOUR_MS = 3_600_000
FLAT = [1.0] * 12


def a_book(*, shares=(1.0,), start=MONDAY, seed=1, calendar=None, orders=(), **demand):
    """An order book with whole boxes of 15 and, unless told otherwise, the same demand in every month."""
    demand = {"months": FLAT, **demand}
    working = WorkCalendar(CalendarParams(**(calendar or {})), start)
    return OrderBook(
        DemandParams(**demand), shares, working, Streams(seed), meters_per_box=15, orders=orders
    )  # fmt: skip


def days_of(book, days):
    """The orders of each day."""
    kind = ORDER_TYPES[book.params.kind]
    return [list(kind(book, day)) for day in range(days)]


# -- how much demand a day has ----------------------------------------------------------------------------


def test_factor_of_a_day():
    """Demand of a day is the month's factor times the weekday's times the campaign's, and 0 without work."""
    book = a_book(
        months=[0.6, 0.4, 1.1, 1.3, 1.4, 1.1, 0.7, 0.7, 1.2, 1.4, 1.3, 0.8],
        weekdays=[1.5, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0],
        campaign={"from_day": 29, "days": 2, "factor": 3.0},
        calendar={"holidays": [date(2026, 4, 3)]},
    )
    # Day 0 is Monday 2 March: 1.1 x 1.5. Day 4 is a Friday: 1.1 x 0.5. Days 5 and 6 are a weekend. Day 29 is
    # Tuesday 31 March: 1.1 x 3; day 30 Wednesday 1 April: 1.3 x 3; day 31: 1.3; day 32 is the holiday.
    assert [round(book.factor(day), 9) for day in (0, 1, 4, 5, 6, 29, 30, 31, 32)] == [
        1.65, 1.1, 0.55, 0, 0, 3.3, 3.9, 1.3, 0
    ]  # fmt: skip


def test_orders_of_a_year():
    """Over a year each month has the orders that its factor, its working days and the rate give."""
    months = [0.6, 0.4, 1.1, 1.3, 1.4, 1.1, 0.7, 0.7, 1.2, 1.4, 1.3, 0.8]
    book = a_book(start=date(2026, 1, 1), orders_per_day=50, months=months, kind="poisson")
    found, expected = Counter(), Counter()
    for day, orders in enumerate(days_of(book, 365)):
        month = book.calendar.date_of(day).month
        found[month] += len(orders)
        expected[month] += 50 * months[month - 1] * book.calendar.is_working_day(day)
    # Poisson: four standard deviations of each month, and of the year.
    assert all(abs(found[m] - expected[m]) < 4 * math.sqrt(expected[m]) for m in range(1, 13)), found
    assert abs(found.total() - expected.total()) < 4 * math.sqrt(expected.total())


def test_orders_vary_as_poisson():
    """The number of orders a day has the mean and the variance of a Poisson variable."""
    counts = [
        len(orders) for day, orders in enumerate(days_of(a_book(orders_per_day=8), 2800)) if day % 7 < 5
    ]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    # 2,000 days: the mean has a standard error of sqrt(8 / 2000) = 0.063, the variance one of
    # 8 sqrt(2 / 2000) = 0.25 and a little more.
    assert abs(mean - 8) < 4 * 0.063
    assert abs(variance - 8) < 4 * 0.3


def test_large_rates_are_kept():
    """A day with very many orders has as many as asked for."""
    found = len(days_of(a_book(orders_per_day=20_000), 1)[0])
    # Mean 20,000, standard deviation 141.
    assert abs(found - 20_000) < 4 * 142


def test_skus_by_their_share():
    """SKUs are ordered in proportion to their shares, which need not sum to 1."""
    orders = [*chain(*days_of(a_book(orders_per_day=100, shares=(14, 3, 2, 1)), 28))]
    found = Counter(order.lines[0][0] for order in orders)
    for sku, share in enumerate((0.7, 0.15, 0.1, 0.05)):
        assert abs(found[sku] - share * len(orders)) < 4 * math.sqrt(len(orders) * share * (1 - share))


def test_stations_alike():
    """Every station orders as often as the others."""
    orders = [*chain(*days_of(a_book(orders_per_day=100, stations=4), 28))]
    found = Counter(order.station for order in orders)
    assert sorted(found) == [0, 1, 2, 3]
    assert all(abs(found[s] - len(orders) / 4) < 4 * math.sqrt(len(orders) * 3 / 16) for s in found)


# -- when -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("u", "clock"),
    [
        (0.0, "08:30:00"),
        (0.25, "09:15:00"),  # half of the first window's share of 0.5
        (0.5, "14:30:00"),
        (0.65, "15:15:00"),
        (0.8, "08:00:00"),  # the rest, 0.2, over the shifts of 4 and 3.5 hours
        (0.8 + 0.2 * 3 / 7.5, "11:00:00"),
        (0.8 + 0.2 * 5 / 7.5, "15:30:00"),
    ],
)
def test_time_of_day(u, clock):
    """Orders fall into the windows by their shares; the rest spreads evenly over the shifts."""
    at = a_book().time_of_day(3, u) - 3 * DAY_MS
    hours, minutes, seconds = map(int, clock.split(":"))
    assert abs(at - (hours * 3600 + minutes * 60 + seconds) * 1000) <= 1


def test_orders_in_order_of_time():
    """The orders of a day come in order of time, and lie within it."""
    for day, orders in enumerate(days_of(a_book(orders_per_day=40), 7)):
        times = [order.at_ms for order in orders]
        assert times == sorted(times)
        assert all(day * DAY_MS <= at < (day + 1) * DAY_MS for at in times)


def test_orders_without_windows():
    """Without windows all orders lie in the shifts."""
    book = a_book(orders_per_day=60, windows=[])
    assert all(book.calendar.is_open(order.at_ms) for orders in days_of(book, 7) for order in orders)


# -- how large --------------------------------------------------------------------------------------------


def _size_law(mean, cv, cap, box):
    """P(size = meters) of whole-box orders and of loose ones, from the lognormal law cut at the cap."""
    sigma = math.sqrt(math.log1p(cv * cv))
    law = stats.lognorm(sigma, scale=math.exp(math.log(mean) - sigma * sigma / 2))

    def rounded(unit):
        # Sizes below 1.5 units become one unit, sizes around k units become k, what is above the cap the cap.
        most = cap // unit
        edges = [0.0, *(unit * (k + 0.5) for k in range(1, most)), math.inf]
        return {unit * (k + 1): law.cdf(edges[k + 1]) - law.cdf(edges[k]) for k in range(most)}

    return rounded(box), rounded(1)


@pytest.mark.parametrize("share", [0.0, 0.55, 1.0])
def test_order_sizes(share):
    """Sizes are lognormal, cut at the cap; the given share is rounded to whole boxes, the rest to meters."""
    book = a_book(full_box_share=share, mean_meters=60, size_cv=0.8, cap_boxes=24)
    sizes = [book.size(number) for number in range(20_000)]
    boxes, loose = _size_law(60, 0.8, 360, 15)
    mean = share * sum(m * p for m, p in boxes.items()) + (1 - share) * sum(m * p for m, p in loose.items())
    square = share * sum(m * m * p for m, p in boxes.items()) + (1 - share) * sum(
        m * m * p for m, p in loose.items()
    )
    error = math.sqrt((square - mean * mean) / len(sizes))
    assert abs(sum(sizes) / len(sizes) - mean) < 4 * error
    assert (min(sizes) >= 1, max(sizes)) == (True, 360)
    whole = share + (1 - share) * sum(p for m, p in loose.items() if m % 15 == 0)
    found = sum(size % 15 == 0 for size in sizes)
    assert abs(found - 20_000 * whole) <= 4 * math.sqrt(20_000 * whole * (1 - whole))


def test_even_sizes():
    """Without variation every order has the mean size, whole boxes rounded to the nearest box."""
    book = a_book(size_cv=0, mean_meters=52, full_box_share=0.5)
    assert {book.size(number) for number in range(200)} == {45, 52}


def test_size_belongs_to_the_order():
    """An order's draws belong to its number: more orders a day change none of those that were there."""
    few, many = (days_of(a_book(orders_per_day=rate), 5) for rate in (5, 9))
    for day in range(5):
        assert len(few[day]) < len(many[day]) or day
        assert set(few[day]) <= set(many[day])


def test_orders_by_seed():
    """The same seed gives the same orders, another one gives others."""
    assert days_of(a_book(seed=3), 5) == days_of(a_book(seed=3), 5)
    assert days_of(a_book(seed=3), 5) != days_of(a_book(seed=4), 5)


# -- lists, backlogs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["schedule", "trace"])
def test_listed_orders(kind):
    """Orders of a list come on their day, in order of time, whatever the order of the list."""
    listed = [
        OrderSpec(at, 0, None, ((0, 15),), exogenous=True)
        for at in (DAY_MS + 10 * HOUR_MS, 9 * HOUR_MS, DAY_MS + 9 * HOUR_MS, 3 * DAY_MS)
    ]
    extra = {"schedule": [{"sku": "A"}]} if kind == "schedule" else {"file": "orders.csv"}
    book = a_book(kind=kind, orders=listed, **extra)
    assert [[order.at_ms for order in orders] for orders in days_of(book, 4)] == [
        [9 * HOUR_MS], [DAY_MS + 9 * HOUR_MS, DAY_MS + 10 * HOUR_MS], [], [3 * DAY_MS]
    ]  # fmt: skip


def test_backlog_has_no_times():
    """Under `saturated` no order is timed: each follows a hand-over."""
    assert days_of(a_book(kind="saturated"), 3) == [[], [], []]


@pytest.mark.parametrize("kind", list(ORDER_TYPES))
def test_every_kind_gives_orders(kind):
    """Every kind gives orders of its day, in order of time, with meters of SKUs that there are."""
    book = a_book(kind=kind, shares=(3, 1), orders=[OrderSpec(5, 0, None, ((1, 3),), exogenous=True)])
    for day, orders in enumerate(days_of(book, 10)):
        assert orders == sorted(orders, key=lambda order: order.at_ms)
        for order in orders:
            assert order.at_ms // DAY_MS == day
            assert 0 <= order.station < 40
            assert order.lines
            assert all(sku in (0, 1) and meters >= 1 for sku, meters in order.lines)


# -- supply stations --------------------------------------------------------------------------------------


def test_level_of_a_station():
    """S is the Poisson quantile of what a station installs in a review period and the day of delivery."""
    book = a_book(kind="stations", orders_per_day=10, mean_meters=60, stations=40, review_days=5)
    # 600 meters a day / 40 stations = 15 a day and station; six days: 90; 95 % quantile of Poisson(90): 106.
    assert book.order_up_to(0, 1.0) == 106 == stats.poisson.ppf(0.95, 90)
    assert book.order_up_to(0, 0.1) == 14 == stats.poisson.ppf(0.95, 9)


def test_stations_balance():
    """What a station has ordered is what it has installed, less what it will order at its next review."""
    book = a_book(kind="stations", shares=(0.8, 0.2), stations=7, orders_per_day=20, review_days=3)
    used, ordered = Counter(), Counter()
    for day in range(200):
        for order in ORDER_TYPES["stations"](book, day):
            for sku, meters in order.lines:
                ordered[order.station, sku] += meters
        for station, sku, meters in book.consumed:
            used[station, sku] += meters
    for station in range(7):
        # The level is the same every day here, so the rest is what lies between level and position.
        still = dict(book.replenish(200, station))
        for sku in (0, 1):
            assert ordered[station, sku] + still.get(sku, 0) == used[station, sku]
    # 200 days from a Monday are 28 weeks and 4 days: 144 working days of 20 x 60 = 1,200 meters.
    assert abs(used.total() - 144 * 1200) < 4 * math.sqrt(144 * 1200)


def test_stations_follow_the_season():
    """When the level rises a station orders the difference on top of what it has installed."""
    months = [1.0, 1.0, 1.0, 2.0, *[1.0] * 8]
    book = a_book(kind="stations", stations=1, months=months, orders_per_day=10, review_days=1)
    used = ordered = 0
    for day in range(44):  # 2 March to 14 April
        ordered += sum(order.lines[0][1] for order in ORDER_TYPES["stations"](book, day))
        used += sum(meters for *_, meters in book.consumed)
    # The station reviews every working day: its position began at March's level and is at April's.
    rise = stats.poisson.ppf(0.95, 2 * 1200) - stats.poisson.ppf(0.95, 2 * 600)
    assert abs(ordered - used - rise) <= 0.01 * rise  # levels above 500 are normal quantiles


def test_stations_review_in_turn():
    """A station reviews every review_days working days, and stations take turns."""
    book = a_book(kind="stations", stations=5, orders_per_day=100, review_days=5)
    days = [sorted(order.station for order in orders) for orders in days_of(book, 14)]
    # Five working days a week, five stations, one a day: (working day + station) is a multiple of 5.
    week = [[0], [4], [3], [2], [1], [], []]
    # On the first day station 0 has one day's consumption behind it.
    assert days == week + week


def test_stations_rest_on_holidays():
    """On days without work stations neither install nor order."""
    book = a_book(kind="stations", calendar={"holidays": [date(2026, 3, 3)]})
    for day, is_work in enumerate([True, False, True, True, True, False, False]):
        orders = list(ORDER_TYPES["stations"](book, day))
        assert bool(book.consumed) == is_work
        assert is_work or not orders


# -- call-off ---------------------------------------------------------------------------------------------


def a_supply(*, shares=(1.0,), places=100, fill=0.5, deliveries=(), calendar=None, demand=None, **params):
    """Supply for a store of 100 places that issues 8 boxes a working day (2 orders of 60 meters)."""
    book = a_book(
        shares=shares, calendar=calendar, **{"orders_per_day": 2, "mean_meters": 60, **(demand or {})}
    )
    params = {"min_boxes": 1, "truck_boxes": 1000, **params}
    return Supply(SupplyParams(**params), book, places=places, target_fill=fill, deliveries=deliveries)


def test_review_brings_up_to_level():
    """(R,S) calls off what position lacks to S: target stock, demand over lead time and half a review."""
    supply = a_supply(shares=(0.75, 0.25), lead_time_days=2, review_weekdays=["mon", "thu"])
    # 8 boxes a day x (2 + 0.5 x 5 / 2) = 26 boxes; S = 50 + 26 = 76: 57 and 19 by share.
    assert [supply.order_up_to(sku) for sku in (0, 1)] == [57, 19]
    # Positions of 400 and 290 meters are 26.67 and 19.33 boxes: 30 are missing (30.33), and none.
    (truck,) = supply.call_off(0, [400, 290])
    assert truck.loads == ((0, 30),)


def test_reviews_on_their_weekdays():
    """(R,S) reviews on its weekdays only, and not on a holiday."""
    supply = a_supply(calendar={"holidays": [date(2026, 3, 5)]}, review_weekdays=["mon", "thu"])
    assert [day for day in range(14) if supply.call_off(day, [0])] == [0, 7, 10]


def test_small_call_off_waits():
    """(R,S) calls nothing off while less than min_boxes is missing."""
    supply = a_supply(min_boxes=60, lead_time_days=0, review_weekdays=["mon"], fill=0.5)
    # S = 50 + 8 x 2.5 = 70 boxes = 1,050 meters: 59 and 60 boxes are missing at 165 and 150 meters.
    assert supply.call_off(0, [165]) == []
    assert supply.call_off(0, [150])[0].loads == ((0, 60),)


def test_lots_cover_days():
    """A lot is at most cover_days of its SKU's demand, however much is missing."""
    supply = a_supply(shares=(0.75, 0.25), cover_days=3)
    # Three days of 6 and 2 boxes.
    assert supply.call_off(0, [0, 0])[0].loads == ((0, 18), (1, 6))


def test_reorder_point():
    """(s,Q) calls Q off on the first working day on which position is at s or below, by share."""
    supply = a_supply(rule="s,Q", shares=(0.8, 0.2), reorder_boxes=50, order_boxes=30, min_boxes=60)
    # s = 40 and 10 boxes = 600 and 150 meters; Q = 24 and 6.
    assert supply.call_off(1, [601, 151]) == []
    assert supply.call_off(1, [600, 151])[0].loads == ((0, 24),)
    assert supply.call_off(1, [601, 150])[0].loads == ((1, 6),)
    assert supply.call_off(5, [0, 0]) == []  # a Saturday


def test_scheduled_deliveries():
    """A schedule brings what it lists, on its days, also on a day without work."""
    supply = a_supply(
        rule="schedule", schedule=[{"sku": "A"}], deliveries=[(0, 0, 10), (5, 0, 20), (0, 0, 3)]
    )
    trucks = [[(t.at_ms // DAY_MS, t.loads) for t in supply.call_off(day, [0])] for day in range(6)]
    assert trucks == [[(0, ((0, 10),)), (0, ((0, 3),))], [], [], [], [], [(5, ((0, 20),))]]


def test_trucks_are_filled_in_turn():
    """A call-off goes on as few trucks as hold it, one SKU after another."""
    supply = a_supply(
        shares=(0.5, 0.5), truck_boxes=20, cover_days=100, lead_time_days=0, review_weekdays=["mon"]
    )
    # S = 0.5 x (50 + 8 x 2.5) = 35 boxes each.
    assert [truck.loads for truck in supply.call_off(0, [0, 0])] == [
        ((0, 20),), ((0, 15), (1, 5)), ((1, 20),), ((1, 10),)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "lead", "arrival"),
    [
        (0, 0, 0),  # Monday, the same day
        (0, 2, 2),
        (3, 2, 7),  # Thursday and two working days: Monday
        (3, 5, 11),  # with Tuesday 10 March a holiday: Friday, Monday, Wednesday, Thursday, Friday
    ],
)
def test_lead_time_in_working_days(day, lead, arrival):
    """A truck comes after its lead time in working days, between arrive_from and arrive_to."""
    supply = a_supply(lead_time_days=lead, calendar={"holidays": [date(2026, 3, 10)]})
    (truck,) = supply.call_off(day, [0])
    assert truck.at_ms // DAY_MS == arrival
    assert 9 * HOUR_MS <= truck.at_ms % DAY_MS < 11 * HOUR_MS


def test_trucks_have_numbers():
    """Trucks are numbered in the order of their call-off, single boxes included."""
    supply = a_supply(truck_boxes=40, cover_days=100)
    numbers = [truck.truck for truck in supply.call_off(0, [0])]
    single = supply.single(0, 777)
    # S = 50 + 8 x 3.25 = 76 boxes on two trucks.
    assert (numbers, single) == ([0, 1], (2, 777, ((0, 1),)))


# -- lots -------------------------------------------------------------------------------------------------


def test_age_of_lots():
    """A lot is verified age_days_min to age_days_max before it arrives, its boxes within lot_spread_days."""
    supply = a_supply(age_days_min=10, age_days_max=12, lot_spread_days=2, older_chance=0)
    ages, spreads = Counter(), Counter()
    for _ in range(600):
        _, days = supply.lot(7, 40)
        first = MONDAY.toordinal() + 7 - max(days)
        ages[first] += 1
        spreads.update(max(days) - day for day in days)
    # 40 boxes leave no lot without one on its latest day: (2/3)^40 = 1e-7.
    assert set(ages) == {10, 11, 12}
    assert all(abs(n - 200) < 4 * math.sqrt(600 * 2 / 9) for n in ages.values())
    assert set(spreads) == {0, 1, 2}
    assert all(abs(n - 8000) < 4 * math.sqrt(24_000 * 2 / 9) for n in spreads.values())


def test_older_lots():
    """By its chance a lot is older than the others by older_days."""
    supply = a_supply(age_days_min=20, age_days_max=20, lot_spread_days=0, older_chance=0.25, older_days=30)
    ages = Counter(MONDAY.toordinal() - supply.lot(0, 1)[1][0] for _ in range(1000))
    assert set(ages) == {20, 50}
    assert abs(ages[50] - 250) < 4 * math.sqrt(1000 * 3 / 16)


def test_lots_do_not_depend_on_days():
    """A lot's age and spread belong to its number: a later arrival moves its verification by as many days."""
    (maker, early), (same, late) = (a_supply().lot(day, 5) for day in (3, 9))
    assert (same, late) == (maker, [day + 6 for day in early])
