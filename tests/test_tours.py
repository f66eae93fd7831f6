"""Tours: the figures of rack A, the shortest way by trying every order, and what holds for any store."""

import math
from itertools import pairwise, permutations
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.layout import Layout, LayoutParams
from sim.scenario import build_layout, load
from sim.tours import (
    EXACT_SLOTS,
    PAIRED_SLOTS,
    _Path,
    by_column,
    by_level,
    count_tour,
    slot_cost,
    sweep_tour,
    tour_ms,
)
from sim.travel import Travel

AT_MOST_LONGER = 1.1
"""Tours of 9 or 10 slots are at most a tenth longer than the shortest; nearly all are the shortest."""


class Motion(NamedTuple):
    """A robot's kinematics, without the limits of a scenario."""

    axes: str = "sequential"
    speed_m_per_s: float = 1.0
    acceleration_m_per_s2: float = math.inf
    lift_speed_m_per_s: float = 1.0
    lift_acceleration_m_per_s2: float = math.inf
    turn_s: float = 0.0


def store(motion=None, **params):
    """A layout of slots one metre apart with a port at (0, 0) of aisle 1, and the costs between its places.

    The port is the place numbered after the last slot.
    """
    metre = {"first_column_m": 1.0, "pitch_m": 1.0, "level_pitch_m": 1.0, "aisle_pitch_m": 1.0}
    params = {"profile": "uniform", "room_height_m": 1000, "ports": [{"name": "port"}], **metre, **params}
    layout = Layout(LayoutParams(**params), meters_per_box=15, box_height_m=0.2, access="direct", robots=1)
    return layout, slot_cost(Travel(layout, motion or Motion()))


def scenario_store(name):
    scenario = load(name).scenario
    layout = build_layout(scenario)
    return layout, slot_cost(Travel(layout, scenario.robots)), layout.ports[0].place


@st.composite
def tasks(draw, least=0, most=40):
    """Any small store and robot, some of its slots, a place to start from, and an end or none."""
    rows, columns, levels = draw(st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(1, 5)))
    single = draw(st.booleans())
    aisles = rows if single else (rows + 1) // 2
    speeds, accelerations = st.sampled_from([0.1, 0.5, 1.5, 20.0]), st.sampled_from([math.inf, 0.05, 0.7])
    motion = Motion(
        draw(st.sampled_from(["sequential", "simultaneous"])),
        *draw(st.tuples(speeds, accelerations, speeds, accelerations)),
        draw(st.sampled_from([0.0, 4.0, 30.0])),
    )
    layout, cost = store(
        motion, rows=rows, columns=columns, levels=levels, single_sided=single,
        pitch_m=draw(st.sampled_from([0.3, 0.95, 4.0])), aisle_pitch_m=draw(st.sampled_from([0.5, 2.7, 9.0])),
        ports=[{"name": "port", "aisle": draw(st.integers(1, aisles)), "x_m": draw(st.sampled_from([0, 2.2]))}],
    )  # fmt: skip
    count = st.integers(min(least, layout.slots), min(most, layout.slots))
    slots = draw(st.permutations(range(layout.slots)))[: draw(count)]
    start = draw(st.integers(0, layout.slots))
    return layout, cost, slots, start, draw(st.one_of(st.none(), st.integers(0, layout.slots)))


def shortest_ms(slots, start, cost, end):
    """Held and Karp's recursion, over numbers of slots: the shortest way through `left` after the latest."""
    known = {}

    def onward(latest, left):
        if not left:
            return 0 if end is None else cost(latest, end)
        if (latest, left) not in known:
            known[latest, left] = min(cost(latest, slot) + onward(slot, left - {slot}) for slot in left)
        return known[latest, left]

    return onward(start, frozenset(slots))


class TestRackA:
    """43 columns 0.6 m apart at 2 m/s: 0.3 s a column. 6 levels 0.5 m apart at 0.5 m/s: 1 s a level.

    Both axes move at once, nothing accelerates, turns, positions or reads; the port is at the corner, one
    column pitch before column 1 and at the height of level 1.
    """

    def test_by_level_and_by_column(self):
        """From the port through all slots and back to it, a tour takes 85.9 s by level and 240.8 s by column."""
        layout, cost, port = scenario_store("rack_a")
        levels, columns = by_level(range(258), layout), by_column(range(258), layout)
        # Level: 0.3 in, 6 x 42 x 0.3 along, 5 x 1 up = 80.9; home from column 1 of level 6: max(0.3, 5) = 5.
        assert tour_ms(levels, port, cost) == 80_900
        assert tour_ms(levels, port, cost, end=port) == 85_900
        # Column: 0.3 in, 43 x 5 x 1 up or down, 42 x 0.3 along = 227.9; home from the top of column 43, as 43
        # is odd: max(43 x 0.3, 5) = 12.9.
        assert tour_ms(columns, port, cost) == 227_900
        assert tour_ms(columns, port, cost, end=port) == 240_800

    def test_shortest_round_is_found(self):
        """The planned round trip takes 84.7 s, and none can take less."""
        layout, cost, port = scenario_store("rack_a")
        tour = count_tour(range(258), port, cost, layout, end=port)
        # 259 legs of at least 0.3 s. To level 6 and back is 10 levels: legs that climb or sink take 1 s a level,
        # so k of them take at least max(k, 10) s, and all at least (259 - 10) x 0.3 + 10 = 84.7 s.
        # By level it is 85.9, as 6 long legs leave one more to drive than 10 short ones, and 4 x 0.3 = 1.2.
        assert sorted(tour) == list(range(258))
        assert tour_ms(tour, port, cost, end=port) == 84_700

    def test_shortest_way_out_is_found(self):
        """Without the way back it takes 80.9 s, and none can take less."""
        layout, cost, port = scenario_store("rack_a")
        # 258 legs, 5 levels up: (258 - 5) x 0.3 + 5 = 80.9.
        assert tour_ms(count_tour(range(258), port, cost, layout), port, cost) == 80_900


class TestSweeps:
    def test_by_level_and_column(self):
        """Aisle by aisle; lines to and fro; slots that face each other one after the other."""
        layout, _ = store(rows=3, columns=2, levels=2)
        named = layout.names
        # Rows 1 and 2 face aisle 1, row 3 faces aisle 2.
        assert [named[slot] for slot in by_level(range(12), layout)] == [
            "1-01-1", "2-01-1", "1-02-1", "2-02-1", "2-02-2", "1-02-2", "2-01-2", "1-01-2",
            "3-01-1", "3-02-1", "3-02-2", "3-01-2",
        ]  # fmt: skip
        assert [named[slot] for slot in by_column(range(12), layout)] == [
            "1-01-1", "2-01-1", "1-01-2", "2-01-2", "2-02-2", "1-02-2", "2-02-1", "1-02-1",
            "3-01-1", "3-01-2", "3-02-2", "3-02-1",
        ]  # fmt: skip

    def test_lines_without_slots(self):
        """Only lines with slots to call at take turns in direction."""
        layout, _ = store(rows=1, columns=3, levels=3)
        # Levels 1 and 3: out along level 1, back along level 3. Slot number: 3 x column + level, from 0.
        assert by_level([0, 6, 2, 8], layout) == [0, 6, 8, 2]

    @given(tasks(), st.data())
    def test_best_sweep_is_best(self, task, data):
        """No sweep of the halls, however ordered and swept, is shorter than the best one."""
        layout, cost, slots, start, end = task
        best = sweep_tour(slots, start, cost, layout, end=end)
        of = data.draw(st.sampled_from([layout.aisle, layout.row.tolist()]))
        halls = sorted({of[slot] for slot in slots}, reverse=data.draw(st.booleans()))
        other = []
        for hall in halls:
            line, along = data.draw(st.permutations([layout.level, layout.column]))
            forward = data.draw(st.booleans())
            members = [slot for slot in slots if of[slot] == hall]
            for number in sorted({int(line[slot]) for slot in members}, reverse=data.draw(st.booleans())):
                in_line = [slot for slot in members if line[slot] == number]
                other += sorted(in_line, key=lambda slot: (along[slot], slot), reverse=not forward)
                forward = not forward
        assert sorted(best) == sorted(slots)
        assert tour_ms(best, start, cost, end=end) <= tour_ms(other, start, cost, end=end)

    @pytest.mark.parametrize("corner", [0, 2, 6, 8])
    def test_from_any_corner(self, corner):
        """A rack of 3 x 3 is swept in 8 steps from whichever corner the robot stands at."""
        layout, cost = store(rows=1, columns=3, levels=3)
        sweep = sweep_tour(range(9), corner, cost, layout)
        assert sweep[0] == corner
        assert tour_ms(sweep, corner, cost) == 8_000

    @pytest.mark.parametrize(("end", "sweep"), [(1, [0, 2, 4, 5, 3, 1]), (5, [0, 1, 3, 2, 4, 5])])
    def test_sweep_that_ends_well(self, end, sweep):
        """3 columns of 2 levels are swept in 5 steps by level or by column: whichever ends at the end."""
        layout, cost = store(rows=1, columns=3, levels=2)
        # Slots 0, 2, 4 lie on level 1, 1, 3, 5 above them. By level it ends above the start, by column across.
        assert sweep_tour(range(6), 0, cost, layout, end=end) == sweep

    def test_row_by_row(self):
        """Where it costs to turn to the facing row, one row is swept after the other."""
        layout, cost = store(rows=2, columns=5, levels=1)

        def turning(a, b):
            return cost(a, b) + (10_000 if {a < 5, b < 5} == {True, False} else 0)

        # Row 1 has slots 0 to 4, row 2 has 5 to 9: out along one, back along the other.
        assert sweep_tour(range(10), 0, turning, layout) == [0, 1, 2, 3, 4, 9, 8, 7, 6, 5]

    def test_nearer_end_comes_first(self):
        """From a middle aisle the sweep takes the shorter side first and crosses once."""
        layout, cost = store(rows=5, columns=1, levels=1, single_sided=True)
        # Aisles are 1 m apart, slots 1 m inside; the robot stands at the slot of aisle 2. To aisle 1 it is
        # 1 + 1 + 1 = 3 s, on to aisle 3 1 + 2 + 1 = 4 s, to 4 and 5 3 s each: 13 s. From aisle 1 up to 5 it would
        # be 3 + 4 x 3 = 15 s, from 5 down 1 + 3 + 1 + 12 = 17 s, upwards first 3 + 3 + 3 + (1 + 4 + 1) = 15 s.
        sweep = sweep_tour(range(5), 1, cost, layout)
        assert sweep == [1, 0, 2, 3, 4]
        assert tour_ms(sweep, 1, cost) == 13_000


class TestCountTour:
    @given(tasks(most=6))
    def test_every_order_tried(self, task):
        """Of few slots no order is shorter."""
        layout, cost, slots, start, end = task
        found = tour_ms(count_tour(slots, start, cost, layout, end=end), start, cost, end=end)
        assert found == min(tour_ms(order, start, cost, end=end) for order in permutations(slots))

    @settings(max_examples=50)
    @given(tasks(least=7, most=10))
    def test_near_the_shortest(self, task):
        """Up to 8 slots it is the shortest way, with 9 or 10 at most a tenth longer."""
        layout, cost, slots, start, end = task
        found = tour_ms(count_tour(slots, start, cost, layout, end=end), start, cost, end=end)
        best = shortest_ms(slots, start, cost, end)
        assert best <= found <= best * (1 if len(slots) <= EXACT_SLOTS else AT_MOST_LONGER)

    @given(tasks(least=EXACT_SLOTS + 1), st.randoms(use_true_random=False))
    def test_never_longer_than_sweep(self, task, shuffled):
        """It calls at each slot once, is no longer than the best sweep, and the order asked for is nothing."""
        layout, cost, slots, start, end = task
        tour = count_tour(slots, start, cost, layout, end=end)
        assert sorted(tour) == sorted(slots)
        sweep = sweep_tour(slots, start, cost, layout, end=end)
        assert tour_ms(tour, start, cost, end=end) <= tour_ms(sweep, start, cost, end=end)
        shuffled.shuffle(slots)
        assert count_tour(slots, start, cost, layout, end=end) == tour

    def test_matrix_instead_of_function(self):
        """An array of times gives the tour that the function gives."""
        layout, cost, port = scenario_store("luoyang")
        matrix = np.array([[cost(a, b) for b in range(port + 1)] for a in range(port + 1)])
        slots = range(3, 258, 11)
        assert count_tour(slots, port, matrix, layout) == count_tour(slots, port, cost, layout)
        assert sweep_tour(slots, port, matrix, layout) == sweep_tour(slots, port, cost, layout)

    def test_reference_store(self):
        """In the reference store some slots in any place take a shorter tour than any sweep."""
        layout, cost, port = scenario_store("luoyang")
        slots = [slot * 97 % 258 for slot in range(65)]  # 97 has no divisor in common with 258: no slot twice
        tour, sweep = count_tour(slots, port, cost, layout), sweep_tour(slots, port, cost, layout)
        assert tour_ms(tour, port, cost) < 0.97 * tour_ms(sweep, port, cost)

    def test_aisles_that_are_dear_to_leave(self):
        """Where leaving an aisle costs, each aisle is finished before the next."""
        layout, cost = store(rows=6, columns=6, levels=3)

        def bound(a, b):
            return cost(a, b) + (60_000 if layout.aisle[a] != layout.aisle[b] else 0)

        slots = range(0, layout.slots, 5)
        tour = count_tour(slots, layout.ports[0].place, bound, layout)
        aisles = [layout.aisle[slot] for slot in tour]
        assert aisles == sorted(aisles)

    def test_end_draws_the_tour(self):
        """A tour that has to end somewhere calls at the slots on the way there last."""
        layout, cost = store(rows=1, columns=5, levels=1)
        # In a line with the port before them: outwards; with the end at slot 0, outwards past it and back.
        assert count_tour([0, 1, 4], 5, cost, layout) == [0, 1, 4]
        assert tour_ms(count_tour(range(5), 0, cost, layout, end=0), 0, cost, end=0) == 8_000

    def test_nothing_and_one(self):
        """No slots are no tour; one slot is its tour."""
        layout, cost = store(rows=1, columns=5, levels=1)
        assert count_tour([], 5, cost, layout) == []
        assert count_tour([3], 5, cost, layout, end=5) == [3]
        assert tour_ms([], 5, cost) == 0

    def test_many_slots(self):
        """Ten thousand slots have a tour too, no longer than the best sweep."""
        layout, cost = store(Motion("simultaneous"), rows=10, columns=100, levels=10)
        tour = count_tour(range(10_000), 10_000, cost, layout)
        sweep = sweep_tour(range(10_000), 10_000, cost, layout)
        assert sorted(tour) == list(range(10_000))
        assert tour_ms(tour, 10_000, cost) <= tour_ms(sweep, 10_000, cost)

    def test_no_step_at_the_limit(self):
        """One slot more than those that are weighed in pairs makes no tour much longer."""
        layout, cost = store(rows=10, columns=40, levels=5)
        slots = [slot * 677 % 2000 for slot in range(PAIRED_SLOTS + 1)]
        below, above = (
            tour_ms(count_tour(chosen, 2000, cost, layout), 2000, cost) for chosen in (slots[:-1], slots)
        )
        sweep = tour_ms(sweep_tour(slots, 2000, cost, layout), 2000, cost)
        assert 0.97 * below < above < 1.03 * below < sweep

    @pytest.mark.parametrize(
        ("slots", "text"),
        [
            ([1, 5], "expected slots from 0 to 4, found 5"),
            ([-1, 2], "expected slots from 0 to 4, found -1"),
            ([1, 3, 1], "expected each slot once, found 1 again"),
        ],
    )
    def test_senseless_slots_are_refused(self, slots, text):
        """Places that are no slots, and slots named twice, are errors in words."""
        layout, cost = store(rows=1, columns=5, levels=1)
        with pytest.raises(ValueError, match=text):
            count_tour(slots, 5, cost, layout)


@st.composite
def paths(draw, most):
    """An order of points anywhere, with every point near every other; an open end for half of them."""
    points = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=4, max_size=most))
    matrix = [[abs(a - c) + abs(b - d) for c, d in points] for a, b in points]
    if draw(st.booleans()):
        matrix = [[*row[:-1], 0] for row in matrix[:-1]] + [[0] * len(points)]
    near = [sorted(set(range(len(points))) - {a}, key=row.__getitem__) for a, row in enumerate(matrix)]
    return matrix, _Path(list(range(len(points))), lambda a, b: matrix[a][b], near)


@given(paths(most=30))
def test_gain_is_what_is_gained(task):
    """An exchange gains what it says, moves neither end, and knows afterwards where each stop is."""
    matrix, path = task
    count, before = len(matrix), path.ms()
    gain = path.mend(range(count))
    assert path.ms() == before - gain == sum(matrix[a][b] for a, b in pairwise(path.order))
    mended = path.ms()
    path.disturb()
    assert path.ms() <= mended
    assert (path.order[0], path.order[-1]) == (0, count - 1)
    assert sorted(path.order) == list(range(count))
    assert [path.order[at] for at in path.at] == list(range(count))


@given(paths(most=12))
def test_nothing_left_to_turn(task):
    """When mending everywhere gains nothing more, no stretch turned round makes the path shorter."""
    matrix, path = task
    while path.mend(range(len(matrix))):
        pass
    order = path.order
    for low in range(1, len(order) - 1):
        for high in range(low + 1, len(order)):
            turned = order[:low] + order[low:high][::-1] + order[high:]
            assert path.ms() <= sum(matrix[a][b] for a, b in pairwise(turned))


def test_stop_on_the_way_is_moved():
    """A stop that lies on another leg of the path is called at there."""
    points = [(0, 0), (9, 0), (9, 1), (9, 2), (4, 0), (9, 9)]
    matrix = [[abs(a - c) + abs(b - d) for c, d in points] for a, b in points]
    near = [sorted(set(range(6)) - {a}, key=row.__getitem__) for a, row in enumerate(matrix)]
    path = _Path(list(range(6)), lambda a, b: matrix[a][b], near)
    # 9 + 1 + 1 + 7 + 14 = 32 as it stands; (4, 0) on the leg from (0, 0) to (9, 0): 4 + 5 + 1 + 1 + 7 = 18.
    assert path._move_beside(4)[0] == 14
    assert path.order == [0, 4, 1, 2, 3, 5]
    assert path.ms() == 18
