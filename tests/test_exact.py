"""Expected values against other people's tables and other ways to reckon them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from sim import exact
from sim.layout import Layout, LayoutParams
from sim.robots import RobotParams
from sim.travel import Travel

SLOW = RobotParams(
    speed_m_per_s=1.0, acceleration_m_per_s2=0.5, lift_speed_m_per_s=0.3, lift_acceleration_m_per_s2=0.3,
    pick_s=8, place_s=8, positioning_s=2,
)  # fmt: skip
DEFAULT = RobotParams()
FAST = RobotParams(
    speed_m_per_s=1.8, acceleration_m_per_s2=1.0, lift_speed_m_per_s=0.8, lift_acceleration_m_per_s2=0.8,
    pick_s=5, place_s=5, positioning_s=1,
)  # fmt: skip
CRANE = RobotParams(
    axes="simultaneous", speed_m_per_s=2.0, acceleration_m_per_s2=math.inf, lift_speed_m_per_s=0.5,
    lift_acceleration_m_per_s2=math.inf, pick_s=0, place_s=0, positioning_s=0,
)  # fmt: skip


def face(columns, levels, robot, **params):
    """One face of a rack with a port at (0, 0)."""
    settings = {"rows": 1, "single_sided": True, "profile": "uniform", "ports": [{"name": "port"}]} | params
    layout = Layout(
        LayoutParams(columns=columns, levels=levels, **settings),
        meters_per_box=15, box_height_m=0.2, access="direct", robots=1,
    )  # fmt: skip
    return Travel(layout, robot)


def reference(robot):
    return face(13, 5, robot)


def rack_a(robot):
    return face(43, 6, robot, first_column_m=0.6, pitch_m=0.6, level_pitch_m=0.5, boxes_per_slot=1)


def leg(d, v, a):
    return d / v + v / a if d >= v * v / a else 2 * math.sqrt(d / a)


class TestCommands:
    @pytest.mark.parametrize(
        ("robot", "single", "boxes_per_h", "dual", "moves_per_h"),
        [
            (SLOW, 55.994, 64, 87.310, 82),
            (DEFAULT, 40.047, 90, 62.959, 114),
            (FAST, 31.167, 116, 49.345, 146),
        ],
    )
    def test_reference_face(self, robot, single, boxes_per_h, dual, moves_per_h):
        """The table of the reference face of 13 x 5, within 0.5 ms a leg of four (single) or six legs."""
        travel = reference(robot)
        port = travel.layout.inbound
        found_single = exact.mean_single_command_s(travel, port, robot)
        found_dual = exact.mean_dual_command_s(travel, port, robot)
        assert found_single == pytest.approx(single, abs=0.002)
        assert found_dual == pytest.approx(dual, abs=0.003)
        assert round(3600 / found_single) == boxes_per_h
        assert round(7200 / found_dual) == moves_per_h

    def test_default_by_another_way(self):
        """The closed form summed in plain loops, in seconds, gives the same."""
        slots = [(1.5 + 0.95 * c, 1.2 * v) for c in range(13) for v in range(5)]

        def way(p, q):
            return leg(abs(p[0] - q[0]), 1.5, 0.7) + leg(abs(p[1] - q[1]), 0.5, 0.5)

        out = sum(way((0, 0), slot) for slot in slots) / 65
        between = sum(way(p, q) for p, q in itertools.permutations(slots, 2)) / (65 * 64)
        # Single: there and back, a pick and a place of 6 s, positioning 1.5 s at the slot and at the port.
        single = 2 * out + 2 * 6 + 2 * 1.5
        # Dual: four handlings, positioning at both slots and on return.
        dual = 2 * out + between + 4 * 6 + 3 * 1.5
        # The published values are cut to the millisecond.
        assert math.floor(single * 1000) == 40047
        assert math.floor(dual * 1000) == 62959
        travel = reference(DEFAULT)
        port = travel.layout.inbound
        assert exact.mean_single_command_s(travel, port, DEFAULT) == pytest.approx(single, abs=0.001)
        assert exact.mean_dual_command_s(travel, port, DEFAULT) == pytest.approx(dual, abs=0.0015)

    def test_three_slots_by_hand(self):
        """A crane without acceleration at three slots 2, 4 and 6 m away on the floor."""
        travel = face(3, 1, CRANE, first_column_m=2.0, pitch_m=2.0)
        port = travel.layout.inbound
        # One way 1, 2, 3 s: single 2 x 2 = 4 s. Between: 1, 2, 1 s, mean 4/3; dual 4 + 4/3 s.
        assert exact.single_command_times_s(travel, port, CRANE).tolist() == [2.0, 4.0, 6.0]
        assert exact.mean_single_command_s(travel, port, CRANE) == 4.0
        assert exact.mean_dual_command_s(travel, port, CRANE) == pytest.approx(4 + 4 / 3, abs=1e-12)

    @pytest.mark.parametrize(("a", "lift_a"), [(math.inf, math.inf), (0.5, 0.3)])
    def test_rack_a_by_another_way(self, a, lift_a):
        """Rack A of 43 x 6 with simultaneous axes, with and without acceleration."""
        robot = CRANE.model_copy(update={"acceleration_m_per_s2": a, "lift_acceleration_m_per_s2": lift_a})
        travel = rack_a(robot)
        slots = [(0.6 * (c + 1), 0.5 * v) for c in range(43) for v in range(6)]

        def way(p, q):
            return max(leg(abs(p[0] - q[0]), 2.0, a), leg(abs(p[1] - q[1]), 0.5, lift_a))

        out = sum(way((0, 0), slot) for slot in slots) / 258
        between = sum(way(p, q) for p, q in itertools.permutations(slots, 2)) / (258 * 257)
        port = travel.layout.inbound
        assert exact.mean_single_command_s(travel, port, robot) == pytest.approx(2 * out, abs=0.001)
        assert exact.mean_dual_command_s(travel, port, robot) == pytest.approx(2 * out + between, abs=0.0015)

    @given(
        columns=st.integers(1, 6), levels=st.integers(1, 5), gap=st.integers(1, 900), data=st.data(),
        axes=st.sampled_from(["sequential", "simultaneous"]),
    )  # fmt: skip
    def test_pairs_by_offset_equal_matrix(self, columns, levels, axes, gap, data):
        """Counting pairs by offset gives the sum over the matrix, with omitted places and gaps."""
        grid = [f"1-{c:02d}-{v}" for c in range(1, columns + 1) for v in range(1, levels + 1)]
        omit = data.draw(st.lists(st.sampled_from(grid), unique=True, max_size=len(grid) - 1))
        gaps = [{"after_column": 1, "width_m": gap / 1000}] if columns > 1 else []
        travel = face(columns, levels, RobotParams(axes=axes), omit=omit, gaps=gaps)
        slots = travel.layout.slots
        if slots == 1:
            with pytest.raises(ValueError, match="expected at least 2 slots, found 1"):
                exact.mean_between_ms(travel)
        else:
            by_matrix = int(travel.matrix_ms().sum()) / (slots * (slots - 1))
            assert exact.mean_between_ms(travel) == by_matrix

    def test_several_aisles_use_the_matrix(self):
        """Between the aisles of the reference store turns and the cross-aisle count."""
        layout = Layout(LayoutParams(), meters_per_box=15, box_height_m=0.2, access="direct", robots=1)
        travel = Travel(layout, DEFAULT)
        z = layout.z_mm.tolist()
        pairs = itertools.permutations(range(258), 2)
        total = sum(travel.between_ms(a, z[a], b, z[b]) for a, b in pairs)
        assert exact.mean_between_ms(travel) == total / (258 * 257)


class TestContinuousRack:
    def test_square_in_time(self):
        """A rack that is square in time: 4/3 and 9/5."""
        assert exact.bozer_white(1.0) == pytest.approx((4 / 3, 1.8), abs=1e-12)

    def test_line(self):
        """A rack without height: out and back of a uniform point is 1; two of them add a third."""
        assert exact.bozer_white(0.0) == pytest.approx((1.0, 4 / 3), abs=1e-12)

    def test_shape_is_a_ratio(self):
        with pytest.raises(ValueError, match="shape of a rack: expected 0 to 1, found 2"):
            exact.bozer_white(2.0)

    @pytest.mark.parametrize("b", [1.0, 0.5, 0.2])
    def test_cell_centres_approach(self, b):
        """Cell centres come nearer as n grows: within 0.4 / n^2, and 2 ms in 1,000 s for rounding."""
        expected = exact.bozer_white(b)
        for n in (50, 100, 200):
            assert exact.cell_centres(n, b) == pytest.approx(expected, abs=0.4 / n**2 + 2e-6)

    @pytest.mark.parametrize(("n", "b"), [(2, 1.0), (5, 0.5), (8, 0.2)])
    def test_cell_centres_by_plain_loops(self, n, b):
        """The model's rack has its slots at the cell centres."""
        cells = [((i + 0.5) / n, b * (j + 0.5) / n) for i in range(n) for j in range(n)]
        out = sum(max(cell) for cell in cells) / n**2
        pairs = list(itertools.permutations(cells, 2))
        between = sum(max(abs(p[0] - q[0]), abs(p[1] - q[1])) for p, q in pairs) / len(pairs)
        assert exact.cell_centres(n, b) == pytest.approx((2 * out, 2 * out + between), abs=5e-6)


CURVES = [exact.abc_exponent(0.2, demand) for demand in (0.5, 0.6, 0.8)]


def midpoints(places):
    """Ways to so many places of a square-in-time rack, by the middle of each one's share."""
    return np.sqrt((np.arange(places) + 0.5) / places)


class TestStorage:
    def test_exponents(self):
        """The fastest fifth of the items has half of the demand, 60 or 80 %."""
        for demand, s in ((0.5, 0.4307), (0.6, 0.3174), (0.8, 0.1386)):
            found = exact.abc_exponent(0.2, demand)
            assert found == pytest.approx(s, abs=5e-5)
            assert 0.2**found == pytest.approx(demand, rel=1e-12)
        assert exact.abc_exponent(0.3, 0.3) == 1.0

    @pytest.mark.parametrize("s", [*CURVES, 1.0])
    def test_stock_goes_with_root_of_demand(self, s):
        """A million items on the curve, each with stock as the root of its demand, give the same shares."""
        items = np.arange(1_000_001) / 1e6
        demand = np.diff(items**s)
        stock = np.cumsum(np.sqrt(demand)) / np.sqrt(demand).sum()
        for upto in (1_000, 10_000, 200_000, 700_000):
            by_stock = exact.abc_demand(s, float(stock[upto - 1]))
            # The fastest item of so steep a curve has more than a millionth of the stock: a few per mille.
            assert by_stock == pytest.approx(items[upto] ** s, rel=4e-3)

    def test_full_turnover_by_hand(self):
        """s = 1/3: a share j of the stock has sqrt(j) of the demand, so the mean of sqrt(j) is 1/2."""
        # p = 2/3 / 4/3 = 1/2. With y = sqrt(j) demand grows as y itself: a uniform y on 0 to 1.
        assert exact.abc_demand(1 / 3, 0.25) == pytest.approx(0.5)
        assert exact.full_turnover(1 / 3) == pytest.approx(0.5)
        # s = 1: all items alike, nothing to gain: 4 / 6.
        assert exact.full_turnover(1.0) == pytest.approx(exact.RANDOM_STORAGE)

    @pytest.mark.parametrize("s", [*CURVES, 0.7])
    def test_full_turnover_by_integration(self, s):
        """Item by item: the way to it is the root of the stock before it, weighted by its demand."""

        def stock(i):
            return quad(lambda x: math.sqrt(s * x ** (s - 1)), 0, i)[0]

        whole = stock(1)
        # With i = u^(1/s) the demand of du is du, and no pole is left at 0.
        found, _ = quad(lambda u: math.sqrt(stock(u ** (1 / s)) / whole), 0, 1, epsabs=1e-9)
        assert exact.full_turnover(s) == pytest.approx(found, abs=1e-7)

    def test_zones_by_hand(self):
        """s = 1/3 with zones that end at ways 1/2, and at 1/4 and 1/2."""
        # Two: demand 1/2 each. Means 2/3 x 1/2 = 1/3 and 2/3 (1 - 1/8) / (1 - 1/4) = 7/9: together 5/9.
        assert exact.class_based(1 / 3, [1 / 4]) == pytest.approx(5 / 9)
        # Three: demand 1/4, 1/4, 1/2. Means 1/6, 2/3 (1/8 - 1/64) / (1/4 - 1/16) = 7/18 and 7/9:
        # 1/24 + 7/72 + 7/18 = 38/72.
        assert exact.class_based(1 / 3, [1 / 16, 1 / 4]) == pytest.approx(19 / 36)
        assert exact.class_based(1 / 3, []) == pytest.approx(2 / 3)
        assert exact.zones_mean([1, 1, 2], [1, 3, 12]) == pytest.approx(19 / 36)

    @pytest.mark.parametrize("s", CURVES)
    @pytest.mark.parametrize("borders", [[], [0.2], [0.05, 0.4], [0.01, 0.1, 0.7]])
    def test_zones_by_integration(self, s, borders):
        """In a zone from way a to b the way has density 2y / (b^2 - a^2)."""
        ways = [0.0, *(math.sqrt(end) for end in borders), 1.0]
        found = sum(
            (exact.abc_demand(s, b * b) - exact.abc_demand(s, a * a))
            * quad(lambda y: y * 2 * y, a, b)[0]
            / (b * b - a * a)
            for a, b in itertools.pairwise(ways)
        )
        assert exact.class_based(s, borders) == pytest.approx(found, rel=1e-9)

    @given(
        zones=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 400)), min_size=1, max_size=6).filter(
            lambda zones: sum(demand for demand, _ in zones) > 0.01
        ),
        tenths=st.integers(1, 10),
    )
    def test_zones_place_by_place(self, zones, tenths):
        """The mean over a thousand places a unit of stock, the nearest tenths of each zone taken."""
        demand, stock = zip(*zones, strict=True)
        ways = midpoints(1000 * sum(stock))
        total, start = 0.0, 0
        for moves, places in zones:
            total += moves * ways[start : start + 100 * tenths * places].mean()
            start += 1000 * places
        expected = total / sum(demand)
        assert exact.zones_mean(demand, stock, tenths / 10) == pytest.approx(expected, rel=1e-4)

    @given(st.lists(st.floats(0.01, 0.99), unique=True, max_size=5))
    def test_alike_items_gain_nothing(self, borders):
        """Where all items turn over alike, any zones give 2/3."""
        assert exact.class_based(1.0, sorted(borders)) == pytest.approx(2 / 3)

    @pytest.mark.parametrize("s", CURVES)
    def test_best_zones_by_search(self, s):
        """No borders on a grid are better than the best, and the best of the grid is hardly worse."""
        least, (border,) = exact.best_zones(s, 2)
        ways = np.arange(1, 200) / 200
        means = [exact.class_based(s, [way**2]) for way in ways]
        assert least <= min(means) <= least + 1e-4
        assert abs(ways[int(np.argmin(means))] - math.sqrt(border)) <= 1 / 200
        least, borders = exact.best_zones(s, 3)
        means = {
            (a, b): exact.class_based(s, [a**2, b**2])
            for a, b in itertools.combinations((np.arange(1, 60) / 60).tolist(), 2)
        }
        best = min(means, key=means.__getitem__)
        assert least <= means[best] <= least + 4e-4
        assert best == pytest.approx([math.sqrt(end) for end in borders], abs=1 / 60)

    @pytest.mark.parametrize("s", CURVES)
    def test_more_zones_are_better(self, s):
        """Random, 2, 3, 4 and 5 zones, full turnover: each better than the one before."""
        means = [exact.best_zones(s, zones)[0] for zones in (1, 2, 3, 4, 5)] + [exact.full_turnover(s)]
        assert all(before > after for before, after in itertools.pairwise(means))
        assert means[0] == 2 / 3

    @pytest.mark.parametrize("s", CURVES)
    def test_zones_approach_full_turnover(self, s):
        """A zone for each of many items is the full turnover, from above."""
        full = exact.full_turnover(s)
        gaps = [
            exact.class_based(s, (np.arange(1, items) / items).tolist()) - full for items in (10, 100, 10_000)
        ]
        assert gaps[0] > gaps[1] > gaps[2] > 0
        assert gaps[2] < 4e-4

    def test_cells_of_a_rack(self):
        """4 x 4 cell centres of the model's rack: 1, 3, 5 and 7 of them 125, 375, 625 and 875 s away."""
        travel = exact.cell_rack(4, 1.0)
        ways_ms = np.sort(travel.one_way_ms(travel.layout.inbound))
        assert ways_ms.tolist() == [125_000] + 3 * [375_000] + 5 * [625_000] + 7 * [875_000]

    @pytest.mark.parametrize(
        ("ask", "text"),
        [
            (lambda: exact.abc_exponent(0.5, 0.2), "expected 0 < items <= demand < 1, found 0.5 and 0.2"),
            (lambda: exact.abc_demand(1.5, 0.2), "expected above 0 and up to 1, found 1.5"),
            (lambda: exact.full_turnover(0.0), "expected above 0 and up to 1, found 0"),
            (lambda: exact.zones_mean([1], [1], 0.0), "share of places taken: .* found 0"),
            (lambda: exact.best_zones(1.0, 2), "expected 1 to 5 zones and 0 < s < 1, found 2 and 1"),
            (lambda: exact.best_zones(0.5, 6), "expected 1 to 5 zones and 0 < s < 1, found 6 and 0.5"),
        ],
    )
    def test_bad_curves(self, ask, text):
        """A curve that is none is refused in words."""
        with pytest.raises(ValueError, match=text):
            ask()


class TestQueues:
    @pytest.mark.parametrize(
        ("servers", "rho", "waits"),
        [(1, 0.8, 0.8), (2, 0.75, 0.642857), (3, 0.9, 0.817061), (10, 0.8, 0.409180)],
    )
    def test_erlang_c_table(self, servers, rho, waits):
        """Published values of Erlang's delay formula."""
        assert exact.erlang_c(servers, servers * rho) == pytest.approx(waits, abs=1e-6)

    @given(st.integers(0, 30), st.floats(0.01, 40))
    def test_erlang_b_by_its_sum(self, servers, load):
        """The recursion is a^c/c! over the sum of a^k/k!."""
        terms = [load**k / math.factorial(k) for k in range(servers + 1)]
        assert exact.erlang_b(servers, load) == pytest.approx(terms[-1] / sum(terms), rel=1e-9)

    def test_hunting_by_hand(self):
        """Load 2 on 5 slots: B = 1, 2/3, 2/5, 4/19, 2/21, 4/109."""
        # Slot k is taken 2 [B(k-1) - B(k)]: 2/3, 8/15, 36/95, 92/399, 268/2289.
        expected = [2 / 3, 8 / 15, 36 / 95, 92 / 399, 268 / 2289]
        assert exact.ordered_hunting(5, 2.0) == pytest.approx(expected, abs=1e-12)

    def test_hunting_adds_up(self):
        """258 slots under a load of 200: together what is not lost, each slot less than the one before."""
        taken = exact.ordered_hunting(258, 200.0)
        assert sum(taken) == pytest.approx(200 * (1 - exact.erlang_b(258, 200.0)), rel=1e-12)
        assert all(before > after > 0 for before, after in itertools.pairwise(taken))
        assert taken[0] == pytest.approx(200 / 201)

    def test_constant_service_halves_the_wait(self):
        """M/M/1 at 0.8 waits 4 services, M/D/1 waits 2."""
        assert exact.pollaczek_khinchine_wait(0.8, 1.0, 2.0) == pytest.approx(4.0)
        assert exact.pollaczek_khinchine_wait(0.8, 1.0, 1.0) == pytest.approx(2.0)

    def test_moments_come_from_the_rack(self):
        """Three slots of 2, 4 and 6 s: mean 4, second moment 56/3; at utilisation 1/2 the wait is 7/3 s."""
        travel = face(3, 1, CRANE, first_column_m=2.0, pitch_m=2.0)
        times = exact.single_command_times_s(travel, travel.layout.inbound, CRANE)
        # W = (1/8) (56/3) / (2 x 1/2) = 7/3
        wait = exact.pollaczek_khinchine_wait(1 / 8, float(times.mean()), float(np.square(times).mean()))
        assert wait == pytest.approx(7 / 3)

    def test_two_servers_by_hand(self):
        """M/M/2 with a = 1.5 and service 4 s: C = 9/14, W = 9/14 x 4 / 0.5 = 36/7 s."""
        assert exact.mmc_wait(1.5 / 4, 4.0, 2) == pytest.approx(36 / 7)

    def test_one_server_agrees(self):
        """M/M/1 by both formulas."""
        assert exact.mmc_wait(0.7, 1.0, 1) == pytest.approx(exact.pollaczek_khinchine_wait(0.7, 1.0, 2.0))

    @pytest.mark.parametrize(
        "wait",
        [
            lambda: exact.pollaczek_khinchine_wait(1.0, 1.0, 2.0),
            lambda: exact.mmc_wait(2.0, 1.0, 2),
            lambda: exact.erlang_c(3, 3.0),
        ],
    )
    def test_overload_is_refused(self, wait):
        """A queue that grows without end has no mean wait."""
        with pytest.raises(ValueError, match="expected a utilisation below 1, found 1"):
            wait()


class TestShares:
    def test_availability_by_hand(self):
        """500 h between failures, 2 h to repair."""
        assert exact.availability(500, 2) == pytest.approx(500 / 502)

    def test_wrong_records_by_hand(self):
        """One error a period on average: 1 - (1 - 1/e) = 1/e."""
        assert exact.wrong_records(1 / 30, 30) == pytest.approx(1 / math.e)

    def test_rare_errors_stay_exact(self):
        """Below noise the series takes over: l T / 2, and nothing without errors."""
        assert exact.wrong_records(0.0, 30) == 0.0
        assert exact.wrong_records(1e-12, 1) == pytest.approx(5e-13, rel=1e-9)
        just_below, just_above = exact.wrong_records(0.99e-5, 1), exact.wrong_records(1.01e-5, 1)
        assert just_above / just_below == pytest.approx(1.01 / 0.99, rel=1e-5)
