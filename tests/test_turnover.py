"""Turnover: classes and borders by hand and against all borders there are; what a store learns of its stays."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import turnover as turnover_module
from sim.turnover import CLASS_BORDERS, PRIOR_BOXES, SeenStays, Turnover
from tests.plain_slots import counted, looked_at, stays_of

amounts = st.lists(st.integers(1, 40), min_size=1, max_size=7)


class TestTurnover:
    def test_speed_by_hand(self):
        """Speed is the share of demand over the share of stock: 1 for the mean of all."""
        # Demand .5 .3 .2, stock .2 .3 .5: speeds 2.5, 1, .4.
        turnover = Turnover([5, 3, 2], [4, 6, 10])
        assert turnover.demand == [0.5, 0.3, 0.2]
        assert turnover.stock == [0.2, 0.3, 0.5]
        assert turnover.speed == pytest.approx([2.5, 1, 0.4])
        assert turnover.fastest == [0, 1, 2]
        assert turnover.middles == pytest.approx([0.1, 0.35, 0.75])

    def test_stock_follows_demand(self):
        """Without a stock all SKUs stay equally long, and the one with more demand comes first."""
        turnover = Turnover([2, 5, 3])
        assert (turnover.speed, turnover.fastest, turnover.is_even) == ([1, 1, 1], [1, 2, 0], True)
        assert turnover.middles == pytest.approx([0.9, 0.25, 0.65])

    def test_ties_go_by_demand_then_number(self):
        """SKUs that stay equally long come by demand, then by number, whatever floats make of their speed."""
        assert Turnover([5, 2, 2], [5, 2, 2]).fastest == [0, 1, 2]
        assert Turnover([0.1, 0.7, 0.1, 0.1], [1, 7, 1, 1]).fastest == [1, 0, 2, 3]
        assert Turnover([3, 3, 6], [1, 1, 2]).fastest == [2, 0, 1]

    def test_sku_without_stock(self):
        """A SKU of no stock does not turn over, and does not make the others uneven."""
        turnover = Turnover([4, 0, 4], [4, 0, 4])
        assert (turnover.speed, turnover.is_even) == ([1, 0, 1], True)
        assert turnover.fastest == [0, 2, 1]
        assert turnover.borders(3) == list(CLASS_BORDERS)
        # Two SKUs of different stays and one of no stock are too few for three classes.
        assert Turnover([5, 1, 0], [1, 5, 0]).borders(3) == list(CLASS_BORDERS)

    def test_nothing_known(self):
        """Without any demand all SKUs are alike."""
        assert Turnover([0, 0]).demand == [0.5, 0.5]

    @given(amounts, st.data())
    def test_shares_are_whole(self, demand, data):
        """Shares sum to 1, the fastest comes first, and the middles of all stock are in their order."""
        stock = data.draw(st.lists(st.integers(1, 40), min_size=len(demand), max_size=len(demand)))
        turnover = Turnover(demand, stock)
        assert math.fsum(turnover.demand) == pytest.approx(1)
        assert math.fsum(turnover.stock) == pytest.approx(1)
        exact = [Fraction(d, s) for d, s in zip(demand, stock, strict=True)]
        assert turnover.fastest == sorted(range(len(demand)), key=lambda k: (-exact[k], -demand[k], k))
        before = Fraction(0)
        for sku in turnover.fastest:
            share = Fraction(stock[sku], sum(stock))
            assert turnover.middles[sku] == pytest.approx(float(before + share / 2))
            before += share


class TestEvenBorders:
    """Where all SKUs stay equally long, or are fewer than the zones: A to 2/3, B to 9/10."""

    @pytest.mark.parametrize(
        ("zones", "borders"),
        [
            (2, [2 / 3]),
            (3, [2 / 3, 0.9]),
            (4, [2 / 3, 0.9, 0.95]),
            (5, [2 / 3, 0.9, 0.9 + 0.1 / 3, 0.9 + 0.2 / 3]),
        ],
    )
    def test_convention(self, zones, borders):
        """Two thirds and nine tenths; more borders lie evenly between nine tenths and 1."""
        assert Turnover([5, 3, 1, 1, 1, 1]).borders(zones) == pytest.approx(borders)
        assert Turnover([5, 1], [1, 5]).borders(max(zones, 3)) == pytest.approx(
            borders if zones >= 3 else [2 / 3, 0.9]
        )

    @given(st.integers(2, 20))
    def test_borders_ascend(self, zones):
        """There is one border less than zones, each above the one before and below 1."""
        borders = Turnover([1, 1]).borders(zones)
        assert len(borders) == zones - 1
        assert all(a < b for a, b in itertools.pairwise([0.0, *borders, 1.0]))

    def test_classes_by_hand(self):
        """Shares .5 .3 .15 .05 are A A B C, holding .8, .15 and .05 of the stock."""
        of_sku, held = Turnover([0.5, 0.3, 0.15, 0.05]).classes(CLASS_BORDERS)
        assert of_sku == [0, 0, 1, 2]
        assert held == pytest.approx([0.8, 0.15, 0.05])

    def test_class_of_no_sku(self):
        """A SKU that reaches over a whole class leaves that class empty."""
        assert Turnover([0.95, 0.03, 0.02]).classes(CLASS_BORDERS) == (
            [0, 2, 2],
            pytest.approx([0.95, 0, 0.05]),
        )

    def test_border_is_reached(self):
        """What begins just at a border belongs to the next class, whatever floats make of the sum."""
        # 0.7 + 0.2 is 0.8999999999999999.
        assert Turnover([0.7, 0.2, 0.1]).classes(CLASS_BORDERS)[0] == [0, 1, 2]
        assert Turnover([2, 1]).classes([2 / 3])[0] == [0, 1]


def expected_way(turnover, classes):
    """Sum over classes of demand times the mean of sqrt(place) over the class's places, places in (0, 1)."""
    way, before = 0.0, 0.0
    for skus in classes:
        stock = math.fsum(turnover.stock[sku] for sku in skus)
        demand = math.fsum(turnover.demand[sku] for sku in skus)
        if stock:
            way += demand * 2 / 3 * ((before + stock) ** 1.5 - before**1.5) / stock
        before += stock
    return way


def split(skus, cuts):
    return [skus[a:b] for a, b in itertools.pairwise([0, *cuts, len(skus)])]


class TestBorders:
    """The borders of least expected time, when SKUs stay differently long."""

    def test_two_classes_by_hand(self):
        """Of two borders the one with the shorter expected way is taken."""
        # Demand .6 .3 .1, stock .2 .3 .5. After SKU 0: .6 * 2/3 * .2^.5 + .4 * 2/3 * (1 - .2^1.5) / .8 = .1789 + .3035
        # = .4824. After SKU 1: .9 * 2/3 * .5^.5 + .1 * 2/3 * (1 - .5^1.5) / .5 = .4243 + .0862 = .5105.
        turnover = Turnover([6, 3, 1], [2, 3, 5])
        assert expected_way(turnover, [[0], [1, 2]]) == pytest.approx(0.4824, abs=1e-4)
        assert expected_way(turnover, [[0, 1], [2]]) == pytest.approx(0.5105, abs=1e-4)
        assert turnover.borders(2) == pytest.approx([0.6])
        assert turnover.classes(turnover.borders(2))[0] == [0, 1, 1]

    @given(
        st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=8), st.integers(2, 5)
    )
    @settings(max_examples=200)
    def test_borders_equal_brute_force(self, skus, zones):
        """No other borders between SKUs have a shorter expected way."""
        turnover = Turnover(*zip(*skus, strict=True))
        borders = turnover.borders(zones)
        if turnover.is_even or len(skus) < zones:
            assert borders[:2] == list(CLASS_BORDERS[: zones - 1])
            return
        of_sku, held = turnover.classes(borders)
        classes = [[sku for sku in turnover.fastest if of_sku[sku] == k] for k in range(zones)]
        # Every class has a SKU, fast SKUs are in lower classes, and what a class holds is its SKUs' stock.
        assert all(classes)
        assert list(itertools.chain.from_iterable(classes)) == turnover.fastest
        assert held == pytest.approx([math.fsum(turnover.stock[sku] for sku in skus) for skus in classes])
        least = min(
            expected_way(turnover, split(turnover.fastest, cuts))
            for cuts in itertools.combinations(range(1, len(skus)), zones - 1)
        )
        assert expected_way(turnover, classes) == pytest.approx(least, rel=1e-9)

    def test_equal_borders_take_the_first(self):
        """Of borders that are equally good the first is taken, not the one that rounding prefers."""
        # SKUs 1 to 4 are alike: cutting before or after any of them gives other ways only by where it lies.
        turnover = Turnover([6, 1, 1, 1, 1], [1, 1, 1, 1, 1])
        of_sku = turnover.classes(turnover.borders(2))[0]
        assert of_sku == [0, 1, 1, 1, 1]

    @given(st.integers(1, 2**31))
    @settings(max_examples=10)
    def test_many_skus_in_steps(self, seed):
        """With more SKUs than are tried one by one, borders are looked for in steps: at most 1 % off the best."""
        demand = [1 + (seed * (k + 7) * 2654435761 % 1000) for k in range(60)]
        stock = [1 + (seed * (k + 3) * 40503 % 1000) for k in range(60)]
        turnover = Turnover(demand, stock)
        fine = turnover.borders(3)
        before = turnover_module._MOST_STEPS
        turnover_module._MOST_STEPS = 20
        try:
            coarse = turnover.borders(3)
        finally:
            turnover_module._MOST_STEPS = before
        ways = []
        for borders in (fine, coarse):
            of_sku, _ = turnover.classes(borders)
            ways.append(
                expected_way(turnover, [[s for s in turnover.fastest if of_sku[s] == k] for k in range(3)])
            )
        assert ways[0] <= ways[1] + 1e-9 <= ways[0] * 1.01 + 1e-9

    def test_zones_shorten_the_way(self):
        """More zones never make the expected way longer, and no zoning beats full turnover."""
        turnover = Turnover([30, 20, 10, 5, 3, 2, 1, 1], [2, 2, 3, 4, 4, 5, 5, 6])
        ways = [expected_way(turnover, [turnover.fastest])]
        for zones in range(2, 9):
            of_sku, _ = turnover.classes(turnover.borders(zones))
            ways.append(
                expected_way(
                    turnover, [[s for s in turnover.fastest if of_sku[s] == k] for k in range(zones)]
                )
            )
        assert all(a > b for a, b in itertools.pairwise(ways))
        assert ways[0] == pytest.approx(2 / 3)
        assert ways[-1] == pytest.approx(expected_way(turnover, [[sku] for sku in turnover.fastest]))


events = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 50), st.integers(100, 104), st.booleans()),
    max_size=90,
)
"""(SKU, whether one leaves, ms since the one before, day, whether somebody asks)."""


def lived(rows, skus=4, *, ask=True):
    """What is seen of a store, the past as (time, SKU, +1 or -1), and the days of the boxes that are here."""
    seen, past, here, now = SeenStays(skus), [], [[] for _ in range(skus)], 0
    for sku, leaves, later, day, asks in rows:
        now += later
        if leaves and here[sku]:
            seen.left(sku, now, here[sku].pop(0))
            past.append((now, sku, -1))
        else:
            seen.arrived(sku, now, day)
            here[sku].append(day)
            past.append((now, sku, 1))
        if asks and ask:
            seen.boxes_before(sku)
            seen.stay_ms(sku)
            seen.stays_ms(now)
            seen.turnover(now)
            seen.boxes_due_before(day)
            seen.copy().arrived(sku, now, day)
    return seen, past, here


class TestSeenStays:
    def test_stays_by_hand(self):
        """Box-time over departures, drawn to the mean of all by two boxes."""
        seen = SeenStays(2)
        seen.arrived(0, 0, 100)
        seen.arrived(0, 1000, 100)
        seen.arrived(1, 1000, 100)
        seen.left(0, 3000, 100)
        # At 4,000: SKU 0 has 3,000 + 3,000 box-ms and one departure, SKU 1 3,000 and none; the mean is 9,000 / 1.
        assert seen.stays_ms(4000) == pytest.approx([(6000 + 2 * 9000) / 3, (3000 + 2 * 9000) / 2])
        assert (seen.here, seen.left_boxes, seen.boxes) == ([1, 1], [1, 0], 2)

    @given(events, st.integers(0, 1000))
    @settings(max_examples=150)
    def test_stays_equal_slow(self, rows, later):
        """The stays of all SKUs are box-time over departures, at the last event or any time after it."""
        seen, past, here = lived(rows)
        now = (past[-1][0] if past else 0) + later
        assert seen.stays_ms(now) == pytest.approx(stays_of(past, 4, now))
        assert seen.here == counted(past, 4) == [len(each) for each in here]
        assert seen.left_boxes == [sum(s == sku and change < 0 for _, s, change in past) for sku in range(4)]

    @given(events)
    @settings(max_examples=100)
    def test_littles_law(self, rows):
        """With no box left, box-time is the sum of the stays: box-time over departures is the mean stay itself."""
        seen, past, here = lived(rows)
        now = past[-1][0] + 7 if past else 7
        for sku in range(4):
            for day in list(here[sku]):
                seen.left(sku, now, day)
                past.append((now, sku, -1))
        for sku in range(4):
            came = [at for at, each, change in past if each == sku and change > 0]
            went = [at for at, each, change in past if each == sku and change < 0]
            total = sum(went) - sum(came)  # whichever of them left first
            departures = len(went)
            mean = seen.stays_ms(now)[sku] * (departures + PRIOR_BOXES)
            all_of_them = sum(c * -at for at, _, c in past) / max(1, sum(c < 0 for _, _, c in past))
            assert mean - PRIOR_BOXES * all_of_them == pytest.approx(total, abs=1e-6 * (1 + now))
        assert seen.boxes == 0

    @given(events)
    @settings(max_examples=150)
    def test_places_equal_slow(self, rows):
        """A SKU's place: boxes here of SKUs with a shorter stay and half its own, as of the last look."""
        seen, past, _ = lived(rows)
        here, stays = looked_at(past, 4)
        fastest = sorted(range(4), key=lambda sku: (stays[sku], sku))
        for sku in range(4):
            faster = fastest[: fastest.index(sku)]
            assert seen.boxes_before(sku) == sum(here[each] for each in faster) + here[sku] // 2
            assert seen.stay_ms(sku) == pytest.approx(stays[sku])

    @given(events, st.lists(st.integers(0, 8), min_size=4, max_size=4))
    @settings(max_examples=100)
    def test_weighed_places_equal_slow(self, rows, eighths):
        """With weights every SKU's boxes count by its share, its own as well."""
        seen, past, here_now = lived(rows)
        weights = [each / 8 for each in eighths]
        here, stays = looked_at(past, 4)
        fastest = sorted(range(4), key=lambda sku: (stays[sku], sku))
        for sku in range(4):
            before = sum(weights[each] * here[each] for each in fastest[: fastest.index(sku)])
            assert seen.boxes_before(sku, weights) == int(before + weights[sku] * here[sku] / 2)
        assert seen.boxes_of(weights) == sum(w * len(each) for w, each in zip(weights, here_now, strict=True))
        for day in range(99, 106):
            older = [sum((d < day) + (d <= day) for d in each) / 2 for each in here_now]
            assert seen.boxes_due_before(day) == int(sum(older))
            assert seen.boxes_due_before(day, weights) == int(
                sum(w * each for w, each in zip(weights, older, strict=True))
            )

    @given(events, st.integers(0, 3))
    @settings(max_examples=150)
    def test_asking_changes_no_answer(self, rows, sku):
        """A store that was asked all the time and one that never was answer alike."""
        (asked, past, _), (quiet, _, _) = lived(rows), lived(rows, ask=False)
        now = past[-1][0] if past else 0
        assert asked.boxes_before(sku) == quiet.boxes_before(sku)
        assert [asked.stay_ms(each) for each in range(4)] == [quiet.stay_ms(each) for each in range(4)]
        assert asked.stays_ms(now) == quiet.stays_ms(now)
        assert asked.turnover(now).speed == quiet.turnover(now).speed

    def test_look_is_taken_in_turn(self):
        """The order of SKUs is made anew after 1 event and every 16 more, or as many as there are SKUs."""
        for skus, every in ((2, 16), (16, 16), (40, 40)):
            seen, places = SeenStays(skus), []
            for k in range(3 * every):
                seen.arrived(0, k, 100)
                places.append(seen.boxes_before(0))
            # No other SKU has boxes: its place is half of the boxes that were here at the last look.
            assert places == [(1 + every * (k // every)) // 2 for k in range(3 * every)]

    def test_look_costs_once_a_turn(self, monkeypatch):
        """However often it is asked, the SKUs are put in order once for 16 events: the cost of a decision is small."""
        looks = 0
        real = SeenStays._order

        def order(self):
            nonlocal looks
            looks += 1
            real(self)

        monkeypatch.setattr(SeenStays, "_order", order)
        seen = SeenStays(10)
        for k in range(160):
            seen.arrived(k % 10, k, 100)
            for sku in range(10):
                seen.boxes_before(sku)
                seen.stay_ms(sku)
        assert looks == 10

    def test_unknown_sku(self):
        """A SKU never heard of comes behind all boxes that are here, and no stay of it is known."""
        seen = SeenStays(1)
        for k in range(5):
            seen.arrived(0, k, 100)
        assert (seen.boxes_before(3), seen.stay_ms(3)) == (5, 0.0)

    def test_seldom_seen_is_near_the_mean(self):
        """One long stay of a new SKU moves it less than many of an old one do."""
        seen = SeenStays(3)
        now = 0
        for _ in range(100):
            for sku, stay in ((0, 1000), (1, 3000)):
                seen.arrived(sku, now, 100)
                seen.left(sku, now + stay, 100)
                now += stay
        seen.arrived(2, now, 100)
        seen.left(2, now + 9000, 100)
        stays = seen.stays_ms(now + 9000)
        # Mean of all: (100,000 + 300,000 + 9,000) / 201 = 2,034.8; SKU 2: (9,000 + 2 * 2,034.8) / 3 = 4,356.6.
        assert stays == pytest.approx([1020.29, 2981.08, 4356.55], abs=0.01)

    def test_copy_goes_its_own_way(self):
        """What is seen by a copy is not seen by the first, nor the other way round."""
        seen, _, _ = lived([(k % 4, k % 5 == 4, 10, 100, False) for k in range(40)])
        now = 400
        before = seen.stays_ms(now), [seen.boxes_before(sku) for sku in range(4)], seen.boxes_due_before(101)
        other = seen.copy()
        for k in range(40):
            other.arrived(k % 3, now + k, 99)
        assert (other.boxes, other.here[3]) == (seen.boxes + 40, seen.here[3])
        assert (
            seen.stays_ms(now),
            [seen.boxes_before(s) for s in range(4)],
            seen.boxes_due_before(101),
        ) == before

    def test_seen_becomes_given(self):
        """What was seen can be fixed: demand by departures, stock by demand times stay."""
        seen = SeenStays(2)
        for k in range(50):
            for sku, stay in ((0, 1000), (1, 3000)):
                seen.arrived(sku, 10_000 * k, 100)
                seen.left(sku, 10_000 * k + stay, 100)
        now = 500_000
        turnover, stays = seen.turnover(now), seen.stays_ms(now)
        assert turnover.demand == pytest.approx([0.5, 0.5])
        # Demand over stock goes as the reciprocal of the stay: by Little's law the order of one is that of the other.
        assert turnover.speed[0] / turnover.speed[1] == pytest.approx(stays[1] / stays[0])
        assert turnover.fastest == [0, 1]

    def test_leaving_what_never_came(self):
        """A box that leaves without having come is a bug, and nothing is counted."""
        seen = SeenStays(1)
        with pytest.raises(KeyError):
            seen.left(0, 10, 100)
        assert (seen.here, seen.boxes, seen.left_boxes) == ([0], 0, [0])
