"""Regret: brute force over subsets, assignments and stacks, linear programming, and the traces of the replay."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from sim.allocation import POLICIES
from sim.regret import (
    Stays,
    cost_ms,
    digs_of,
    heaviest_sets,
    lower_bound_ms,
    oracle,
    peak_of,
    stack_optimum,
    stays_of,
)
from sim.replay import Events, read_events, replay
from sim.scenario import build_layout, load
from sim.travel import Travel

SYNTHETIC = Path(__file__).parent / "data" / "synthetic_200.csv"
RACK_A = load("rack_a").scenario


def stays_from(*intervals, scored_in=None, scored_out=None) -> Stays:
    """Stays of two scored moves each, unless said otherwise, from (first, last)."""
    first, last = np.array(intervals, np.int64).reshape(-1, 2).T
    ones = np.ones(len(first), np.int64)
    return Stays(
        first,
        last,
        ones if scored_in is None else np.array(scored_in),
        ones if scored_out is None else np.array(scored_out),
    )


def trace_of(rng, arrivals: int, peak: int, at_zero: int = 0) -> tuple[list[int], list[int]]:
    """The columns unit and time_ms of a made-up trace; some units come back under their old number."""
    unit, time_ms, here, away, new, come = [], [], [], [], 0, 0
    while come < arrivals:
        if here and (len(here) >= peak or rng.random() < 0.5) and come >= at_zero:
            number = here.pop(int(rng.integers(len(here))))
            away.append(number)
        else:
            if away and rng.random() < 0.2:
                number = away.pop()
            else:
                number, new = new, new + 1
            here.append(number)
            come += 1
        unit.append(number)
        time_ms.append(0 if len(unit) <= at_zero else 1000 * len(unit))
    return unit, time_ms


def overlap_of(intervals) -> int:
    """Most intervals at once, instant by instant."""
    ends = max((last for _, last in intervals), default=0)
    return max((sum(a <= row < b for a, b in intervals) for row in range(ends)), default=0)


def intervals_of(stays: Stays) -> list[tuple[int, int]]:
    return list(zip(stays.first.tolist(), stays.last.tolist(), strict=True))


def is_feasible(stays: Stays, slots, capacity) -> bool:
    """Whether no slot ever holds more than it takes."""
    intervals = intervals_of(stays)
    return len(slots) == len(intervals) and all(
        overlap_of([interval for interval, at in zip(intervals, slots, strict=True) if at == slot]) <= room
        for slot, room in enumerate(capacity)
    )


def cheapest_ms(stays: Stays, in_ms, out_ms, capacity) -> int:
    """The least cost over all assignments, one after another."""
    return min(
        cost_ms(stays, in_ms, out_ms, slots)
        for slots in itertools.product(range(len(capacity)), repeat=len(stays.first))
        if is_feasible(stays, slots, capacity)
    )


@st.composite
def some_stays(draw, most=10, peak=4) -> Stays:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrivals = draw(st.integers(0, most))
    return stays_of(*trace_of(rng, arrivals, draw(st.integers(1, peak)), int(rng.integers(2))))


@st.composite
def small_stores(draw, same=None, most_ms=9):
    """One-way times in and out and capacities of up to four slots that hold at least three units."""
    slots = draw(st.integers(1, 4))
    ways = st.lists(st.integers(0, most_ms), min_size=slots, max_size=slots)
    in_ms = draw(ways)
    out_ms = in_ms if draw(st.booleans()) or same else draw(ways)
    capacity = draw(st.lists(st.integers(0, 3), min_size=slots, max_size=slots))
    capacity[draw(st.integers(0, slots - 1))] += max(0, 3 - sum(capacity))
    return in_ms, out_ms, capacity


# -- Stays ---------------------------------------------------------------------------------------------


def test_rows_pair_into_stays() -> None:
    """A visit begins and ends with two rows of one unit; a unit that comes back has a second stay."""
    # Rows 0 and 1 bring units 4 and 7 at time 0: not scored. Unit 4 leaves in row 2, unit 5 comes in row 3,
    # unit 4 is back in row 4 and leaves in row 5; units 7 and 5 never leave, so they stay until row 6.
    stays = stays_of([4, 7, 4, 5, 4, 4], [0, 0, 10, 20, 20, 30])
    assert stays.first.tolist() == [0, 1, 3, 4]
    assert stays.last.tolist() == [2, 6, 6, 5]
    assert stays.scored_in.tolist() == [0, 0, 1, 1]
    assert stays.scored_out.tolist() == [1, 0, 0, 1]
    assert peak_of(stays) == 3


def test_no_rows_no_stays() -> None:
    """An empty trace has no stays, needs no place and costs nothing."""
    stays = stays_of([], [])
    assert [column.tolist() for column in stays] == [[], [], [], []]
    assert peak_of(stays) == 0
    assert heaviest_sets(stays, []) == [0]
    assert lower_bound_ms(stays, [5], [6], [1]) == 0
    assert oracle(stays, [5], [6], [1]).tolist() == []
    assert oracle(stays, [], [], []).tolist() == []
    assert stack_optimum(stays, 1, 1) == 0


def test_columns_of_two_lengths() -> None:
    """Columns of different lengths are refused."""
    with pytest.raises(ValueError, match=r"^expected two columns of one length, found \(2,\) and \(1,\)$"):
        stays_of([1, 1], [0])


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 9))
def test_stays_follow_the_trace(seed: int, arrivals: int, peak: int) -> None:
    """Row by row, in a dictionary, the same stays are found."""
    unit, time_ms = trace_of(np.random.default_rng(seed), arrivals, peak, min(arrivals, seed % 3))
    slow, here = [], {}
    for row, number in enumerate(unit):
        if number in here:
            stay = slow[here.pop(number)]
            stay[1], stay[3] = row, 1
        else:
            here[number] = len(slow)
            slow.append([row, len(unit), int(time_ms[row] > 0), 0])
    stays = stays_of(unit, time_ms)
    assert [list(stay) for stay in zip(*(column.tolist() for column in stays), strict=True)] == slow
    assert peak_of(stays) == overlap_of(intervals_of(stays))


# -- What k places can hold ----------------------------------------------------------------------------


def test_three_stays_two_places() -> None:
    """One place holds the two that follow one another or the long one, whichever weighs more."""
    # [0, 2) and [2, 5) follow one another; [1, 4) meets both. One place: 3 + 1 or 2 + 0: 4. Two: all, 6.
    stays = stays_from((0, 2), (1, 4), (2, 5))
    assert heaviest_sets(stays, [3, 2, 1]) == [0, 4, 6]
    # Now the long one weighs more than both, and the other two fit the second place.
    assert heaviest_sets(stays, [3, 9, 1]) == [0, 9, 13]


def test_weightless_stays_need_nothing() -> None:
    """What weighs nothing takes no place: three at once, one of weight 2, are held by one place."""
    assert heaviest_sets(stays_from((0, 9), (1, 9), (2, 9)), [0, 2, 0]) == [0, 2]


def test_limit_stops_early() -> None:
    """With a limit the list ends there."""
    stays = stays_from((0, 9), (1, 9), (2, 9), (3, 9))
    assert heaviest_sets(stays, [1, 4, 3, 2], limit=2) == [0, 4, 7]
    assert heaviest_sets(stays, [1, 4, 3, 2], limit=0) == [0]
    assert heaviest_sets(stays, [1, 4, 3, 2], limit=99) == [0, 4, 7, 9, 10]


def test_negative_weight_is_refused() -> None:
    """A weight below 0 has no meaning."""
    with pytest.raises(ValueError, match=r"^expected weights from 0, found -3$"):
        heaviest_sets(stays_from((0, 1), (2, 3)), [1, -3])


@settings(max_examples=150)
@given(some_stays(most=9, peak=5), st.sampled_from([2, 1000]), st.randoms(use_true_random=False))
def test_heaviest_sets_brute_force(stays: Stays, most: int, random) -> None:
    """All subsets, one after another: the heaviest of those of at most k at once."""
    weights = [random.randint(0, most) for _ in stays.first]
    intervals = intervals_of(stays)
    best = [0] * (len(intervals) + 1)
    for chosen in itertools.product([False, True], repeat=len(intervals)):
        needs = overlap_of(list(itertools.compress(intervals, chosen)))
        best[needs] = max(best[needs], sum(itertools.compress(weights, chosen)))
    best = list(itertools.accumulate(best, max))
    expected = best[: best.index(sum(weights)) + 1]
    assert heaviest_sets(stays, weights) == expected


@given(st.integers(0, 2**32), st.integers(1, 20), st.sampled_from([2, 50]))
@settings(max_examples=30)
def test_heaviest_sets_are_concave(seed: int, peak: int, most: int) -> None:
    """Each place adds at most as much as the one before, and what all hold is all, at the peak at the latest."""
    rng = np.random.default_rng(seed)
    stays = stays_of(*trace_of(rng, 200, peak))
    weights = rng.integers(0, most + 1, len(stays.first))
    steps = np.diff(heaviest_sets(stays, weights))
    assert (np.diff(steps) <= 0).all()
    assert (steps > 0).all()
    assert steps.sum() == weights.sum()
    assert len(steps) <= peak_of(stays)


@pytest.mark.parametrize("seed", range(3))
def test_heaviest_sets_linear_program(seed: int) -> None:
    """The linear program over the rows, whose corners are whole, gives the same for every k."""
    rng = np.random.default_rng(seed)
    stays = stays_of(*trace_of(rng, 150, 12))
    weights = rng.integers(0, 3, len(stays.first))
    rows = range(int(stays.last.max()))
    here = sparse.csr_array([(stays.first <= row) & (row < stays.last) for row in rows], dtype=float)
    found = heaviest_sets(stays, weights)
    for k, weight in enumerate(found):
        best = linprog(-weights, A_ub=here, b_ub=np.full(len(rows), k), bounds=(0, 1))
        assert -best.fun == pytest.approx(weight, abs=1e-6)
    assert found[-1] == weights.sum()


# -- The lower bound -----------------------------------------------------------------------------------


def test_bound_by_hand() -> None:
    """Three stays of two moves in places of 10, 30 and 60 ms."""
    # [0, 2) and [2, 5) fit one place, [1, 4) needs a second: C = 0, 4, 6 and W = 6.
    # (10 - 0) 6 + (30 - 10)(6 - 4) + (60 - 30)(6 - 6) = 60 + 40 = 100, and that is what it costs:
    # 4 moves of 10 and 2 of 30.
    stays = stays_from((0, 2), (1, 4), (2, 5))
    assert lower_bound_ms(stays, [60, 10, 30], [60, 10, 30], [1, 1, 1]) == 100
    assert cost_ms(stays, [60, 10, 30], [60, 10, 30], [1, 2, 1]) == 100


def test_bound_is_not_always_reached() -> None:
    """Where the best sets for one place and for two need not fit together, every assignment costs more."""
    # A [0, 5) of 1 move, B [1, 3) of 2, C [2, 7) of 2, D [4, 7) of 1, E [6, 7) of 2; W = 8.
    # One place: B and E, 4. Two: C beside them, 6. Three: all, 8. The bound in places of 0, 1, 2, 3 ms:
    # (1 - 0)(8 - 4) + (2 - 1)(8 - 6) + (3 - 2)(8 - 8) = 6.
    # But A and D meet: beside B, E and C they need two more places, and the cost is 2 x 1 + 1 x 2 + 1 x 3 = 7.
    stays = stays_from(
        (0, 5), (1, 3), (2, 7), (4, 7), (6, 7), scored_in=[0, 1, 1, 1, 1], scored_out=[1, 1, 1, 0, 1]
    )
    assert heaviest_sets(stays, stays.scored_in + stays.scored_out) == [0, 4, 6, 8]
    store = [0, 1, 2, 3], [0, 1, 2, 3], [1, 1, 1, 1]
    assert lower_bound_ms(stays, *store) == 6
    assert cheapest_ms(stays, *store) == 7
    assert cost_ms(stays, *store[:2], oracle(stays, *store)) == 7


def test_bound_moves_apart() -> None:
    """Ways in and out that differ: the best split may be into arrivals and departures."""
    # P is scored out, Q, there at the same time, in and out; places (in, out): (0, 0) and (0, 2).
    # Apart: arrivals 0; two departures at once, one near, one far: 2. By kind: P and Q each for itself finds
    # the near place: 0. By halves: in + out is 0 or 2, W = 3, C_1 = 2: 2 (3 - 2) = 2, and the half of it: 1.
    stays = stays_from((0, 4), (1, 2), scored_in=[0, 1], scored_out=[1, 1])
    store = [0, 0], [0, 2], [1, 1]
    assert lower_bound_ms(stays, *store) == cheapest_ms(stays, *store) == 2


def test_bound_by_kind_of_stay() -> None:
    """Ways in and out that differ: the best split may be into stays of two moves and of one."""
    # P is scored out; Q comes after it and is scored in and out; places (in, out): (3, 0) and (0, 1).
    # Apart: no way in for Q, none out for P and Q, one after the other: 0. By kind: Q by in + out, 3 or 1: 1; P: 0.
    # By halves: in + out is 1 or 3, W = 3 and one place holds all: 3; P by out - in, -3 or 1: -3; in all 0.
    stays = stays_from((0, 1), (2, 3), scored_in=[0, 1], scored_out=[1, 1])
    store = [3, 0], [0, 1], [1, 1]
    assert lower_bound_ms(stays, *store) == cheapest_ms(stays, *store) == 1


def test_bound_by_halves() -> None:
    """Ways in and out that differ: the best split may be into in + out and what is off it."""
    # P is scored out, Q, there at the same time, in; places (in, out): (1, 2) and (0, 0).
    # Apart, and by kind: each for itself has the near place: 0. By halves: in + out is 0 or 3, W = 2, C_1 = 1: 3;
    # Q by in - out, -1 or 0: -1; P by out - in, 0 or 1: 0; in all 3 - 1 = 2, and the half of it: 1.
    stays = stays_from((0, 4), (1, 2), scored_in=[0, 1], scored_out=[1, 0])
    store = [1, 0], [2, 0], [1, 1]
    assert lower_bound_ms(stays, *store) == cheapest_ms(stays, *store) == 1


def test_bound_needs_room() -> None:
    """Too few places for the peak are refused, by the bound and by the oracle."""
    stays = stays_from((0, 3), (1, 3), (2, 3))
    for function in (lower_bound_ms, oracle):
        with pytest.raises(ValueError, match=r"^expected places for 3 units at once, found 2$"):
            function(stays, [1, 2], [1, 2], [2, 0])


@settings(max_examples=150, deadline=None)
@given(some_stays(most=6, peak=3), small_stores())
def test_bound_brute_force(stays: Stays, store) -> None:
    """No assignment of up to six stays to up to four slots costs less than the bound."""
    assert lower_bound_ms(stays, *store) <= cheapest_ms(stays, *store)


@settings(max_examples=60, deadline=None)
@given(some_stays(most=6, peak=3), st.integers(0, 9), st.integers(0, 9), st.integers(1, 3))
def test_bound_of_two_costs(stays: Stays, near_ms: int, more_ms: int, near_room: int) -> None:
    """With two different ways, and room for all in the far slots, the bound is reached."""
    # One border: what C_k leaves out goes far, and finds a place there.
    ways = [near_ms, near_ms + more_ms]
    store = ways, ways, [near_room, 3]
    assert lower_bound_ms(stays, *store) == cheapest_ms(stays, *store)


# -- The oracle ----------------------------------------------------------------------------------------


def closest_open_ms(stays: Stays, in_ms, out_ms, capacity) -> int:
    """What it costs to give each stay the slot with the shortest way in that has room when it arrives."""
    slots: list[int] = []
    for number, first in enumerate(stays.first):
        free = list(capacity)
        for before in range(number):
            free[slots[before]] -= first < stays.last[before]
        slots.append(min((way, slot) for slot, way in enumerate(in_ms) if free[slot])[1])
    return cost_ms(stays, in_ms, out_ms, slots)


def test_oracle_knows_who_leaves() -> None:
    """A unit that stays goes far, so that those who come and go find the near place."""
    # [0, 9) comes first and would be nearest; the two short ones need the near place one after the other.
    stays = stays_from((0, 9), (1, 3), (4, 6))
    assert oracle(stays, [10, 20], [10, 20], [1, 1]).tolist() == [1, 0, 0]


def test_oracle_leaves_room() -> None:
    """The heaviest set for the near place is left where the far place could not hold the others."""
    # A [0, 2), B [1, 4), C [3, 6), D [5, 8): each meets the next one. A and D have 2 moves, B and C have 1.
    # Near A and D, far B and C would cost 4 x 1 + 2 x 5 = 14, the bound, but B and C meet. So they alternate:
    # near A and C or near B and D, 3 x 1 + 3 x 5 = 18.
    stays = stays_from((0, 2), (1, 4), (3, 6), (5, 8), scored_out=[1, 0, 0, 1])
    store = [1, 5], [1, 5], [1, 1]
    assert lower_bound_ms(stays, *store) == 14
    assert oracle(stays, *store).tolist() in ([0, 1, 0, 1], [1, 0, 1, 0])
    assert cost_ms(stays, *store[:2], oracle(stays, *store)) == cheapest_ms(stays, *store) == 18
    # A third place, far as well, lets the others have it: 14.
    wider = [1, 5], [1, 5], [1, 2]
    assert oracle(stays, *wider).tolist() == [0, 1, 1, 0]


def test_oracle_falls_back() -> None:
    """Where the mean ways of many slots mislead the division, the nearest open slot for each is the answer."""
    # Two arrivals only, at once; (in, out): (4, 5), (7, 8), (6, 0). The least in + out is that of the last slot,
    # the best for them are the first and the last: 4 + 6 = 10.
    stays = stays_from((0, 2), (1, 2), scored_out=[0, 0])
    store = [4, 7, 6], [5, 8, 0], [1, 1, 1]
    assert oracle(stays, *store, rounds=0).tolist() == [0, 2]
    assert cost_ms(stays, *store[:2], [0, 2]) == cheapest_ms(stays, *store) == 10


def test_far_slot_of_short_way_out() -> None:
    """A slot that is far by in + out is still the best for a unit of which only the departure counts."""
    stays = stays_from((0, 1), scored_in=[0])
    assert oracle(stays, [0, 1, 5], [1, 1, 0], [1, 1, 1]).tolist() == [2]


@settings(max_examples=100, deadline=None)
@given(some_stays(most=6, peak=3), small_stores())
def test_oracle_brute_force(stays: Stays, store) -> None:
    """Feasible, and with at most two different slots the cheapest assignment there is."""
    slots = oracle(stays, *store)
    assert is_feasible(stays, slots, store[2])
    found, best = cost_ms(stays, *store[:2], slots), cheapest_ms(stays, *store)
    assert found >= best
    kinds = {(way_in, way_out) for way_in, way_out, room in zip(*store, strict=True) if room}
    if len(kinds) <= 2:
        assert found == best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.booleans())
def test_oracle_is_feasible(seed: int, peak: int, one_port: bool) -> None:
    """A hundred stays, with no place to spare: feasible, not below the bound, not above closest-open."""
    rng = np.random.default_rng(seed)
    stays = stays_of(*trace_of(rng, 100, peak, seed % peak))
    capacity = rng.multinomial(peak_of(stays) + seed % 2, [0.2] * 5).tolist()
    in_ms = rng.integers(0, 50, 5).tolist()
    store = in_ms, in_ms if one_port else rng.integers(0, 50, 5).tolist(), capacity
    slots = oracle(stays, *store, rounds=2)
    assert is_feasible(stays, slots, capacity)
    assert (
        lower_bound_ms(stays, *store) <= cost_ms(stays, *store[:2], slots) <= closest_open_ms(stays, *store)
    )
    assert (oracle(stays, *store, rounds=2) == slots).all()


def test_more_rounds_never_cost_more() -> None:
    """Improvement keeps what is no dearer, and finds something on a store of many different slots."""
    rng = np.random.default_rng(2)
    stays = stays_of(*trace_of(rng, 300, 20))
    ways = np.arange(1, 25) ** 2
    costs = [
        cost_ms(stays, ways, ways, oracle(stays, ways, ways, np.ones(24, int), rounds=rounds))
        for rounds in range(5)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_oracle_in_a_large_store() -> None:
    """In a store of far more places than units nobody goes farther than twice the peak."""
    stays = stays_of(*trace_of(np.random.default_rng(4), 200, 10))
    ways = np.arange(5000)
    slots = oracle(stays, ways, ways, np.ones(5000, int), rounds=1)
    assert slots.max() < 20
    assert is_feasible(stays, slots.tolist(), [1] * 20)


# -- Against the replay --------------------------------------------------------------------------------


def rack_a_ways() -> tuple[list[int], list[int], list[int]]:
    layout = build_layout(RACK_A)
    travel = Travel(layout, RACK_A.robots)
    in_ms, out_ms = (travel.one_way_ms(port).tolist() for port in (layout.inbound, layout.outbound))
    return in_ms, out_ms, list(layout.capacity)


def stays_of_events(events: Events) -> Stays:
    return stays_of(events.unit, events.time_ms)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_rule_below_the_bound(policy: str) -> None:
    """On the synthetic trace every rule of the replay costs at least the bound."""
    stays = stays_of_events(read_events(SYNTHETIC))
    result = replay(SYNTHETIC, RACK_A, policy)
    assert lower_bound_ms(stays, *rack_a_ways()) / 1000 <= result["total_s"]
    assert (peak_of(stays), int(stays.scored_in.sum() + stays.scored_out.sum())) == (
        result["peak"],
        result["moves"],
    )


def test_closest_open_is_the_rule() -> None:
    """The rule that the oracle is held against costs what the replay says."""
    stays = stays_of_events(read_events(SYNTHETIC))
    assert (
        closest_open_ms(stays, *rack_a_ways()) / 1000 == replay(SYNTHETIC, RACK_A, "closest-open")["total_s"]
    )


def test_real_trace_bound_and_oracle(shared_data: Path) -> None:
    """On the real trace the bound is 19,665.8 s, and one who knows the departures comes within 0.2 %."""
    stays = stays_of_events(read_events(shared_data / "wepa258.csv.gz"))
    store = rack_a_ways()
    bound = lower_bound_ms(stays, *store)
    slots = oracle(stays, *store, rounds=4)
    assert bound == 19_665_800
    assert is_feasible_fast(stays, slots)
    assert bound <= cost_ms(stays, *store[:2], slots) <= 1.002 * bound


def is_feasible_fast(stays: Stays, slots) -> bool:
    """Whether in each slot, of one place, the next stay begins after the last one is over."""
    order = np.lexsort((stays.first, slots))
    follows = slots[order][1:] == slots[order][:-1]
    return bool((stays.last[order][:-1] < stays.first[order][1:])[follows].all())


# -- Digs ----------------------------------------------------------------------------------------------


def digs_by_stacking(stays: Stays, stack) -> int:
    """Put each unit on its stack and take it out, row by row, counting who is moved."""
    piles: dict[int, list[int]] = {}
    digs = 0
    for row in range(int(stays.last.max(initial=0)) + 1):
        for number in np.flatnonzero(stays.last == row):
            pile = piles[stack[number]]
            # Whoever has the row after the last one never leaves and is not dug for.
            if stays.scored_out[number]:
                digs += len(pile) - 1 - pile.index(number)
            pile.remove(number)
        for number in np.flatnonzero(stays.first == row):
            piles.setdefault(stack[number], []).append(number)
    return digs


def fewest_digs(stays: Stays, stacks: int, height: int) -> int:
    """The fewest digs over all assignments to stacks, one after another."""
    return min(
        digs_by_stacking(stays, stack)
        for stack in itertools.product(range(stacks), repeat=len(stays.first))
        if is_feasible(stays, stack, [height] * stacks)
    )


def test_digs_by_hand() -> None:
    """A leaves from under B and C: two digs; then B from under C: one."""
    # A [0, 3), B [1, 4), C [2, 5) in one stack: C and B are dug for A, C for B.
    stays = stays_from((0, 3), (1, 4), (2, 5))
    assert digs_of(stays, [0, 0, 0]) == 3
    # Two stacks of two: one pair must share a stack: 1. Three stacks: none.
    assert stack_optimum(stays, 2, 2) == 1
    assert stack_optimum(stays, 3, 1) == 0
    assert stack_optimum(stays, 1, 3) == 3


def test_last_in_first_out_needs_none() -> None:
    """Units that leave in the opposite order are never in the way."""
    stays = stays_from((0, 7), (1, 6), (2, 5), (3, 4))
    assert digs_of(stays, [0, 0, 0, 0]) == stack_optimum(stays, 1, 4) == 0


def test_who_stays_is_not_dug_for() -> None:
    """Units that never leave are in the way of others and never dug for."""
    # Units of rows 0, 1 and 3 never leave; the one of row 2 leaves in row 4 from under that of row 3.
    stays = stays_of([0, 1, 2, 3, 2], [1, 1, 1, 1, 1])
    assert digs_of(stays, [0, 0, 0, 0]) == 1
    assert stack_optimum(stays, 1, 4) == 1
    assert stack_optimum(stays, 2, 2) == 0


def test_height_costs_digs() -> None:
    """Stacks of three keep apart what stacks of two cannot."""
    # A [0, 9), B [1, 8) and C [2, 7) leave from the top; D [3, 10) leaves after all of them. Three high: A B C and D.
    # Two high: D stands on one of the others, which is dug out from under it: 1.
    stays = stays_from((0, 9), (1, 8), (2, 7), (3, 10))
    assert stack_optimum(stays, 2, 3) == 0
    assert stack_optimum(stays, 2, 2) == 1


@settings(max_examples=100, deadline=None)
@given(some_stays(most=7, peak=6), st.integers(1, 3), st.integers(1, 4))
def test_stack_optimum_brute_force(stays: Stays, stacks: int, height: int) -> None:
    """All assignments of up to seven stays to up to three stacks, one after another."""
    if peak_of(stays) > stacks * height:
        with pytest.raises(ValueError, match=r"^expected places for \d units at once, found \d$"):
            stack_optimum(stays, stacks, height)
    else:
        assert stack_optimum(stays, stacks, height) == fewest_digs(stays, stacks, height)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_digs_are_pairs(seed: int, stacks: int) -> None:
    """Stacking row by row counts as many digs as there are pairs that cross."""
    rng = np.random.default_rng(seed)
    stays = stays_of(*trace_of(rng, 40, 15))
    stack = rng.integers(0, stacks, 40).tolist()
    assert digs_of(stays, stack) == digs_by_stacking(stays, stack)


def layered_optimum(stays: Stays, stacks: int, height: int) -> int:
    """The fewest digs by keeping every filling of the stacks after each arrival, without any bound."""
    fillings = {((),) * stacks: 0}
    for first, last in intervals_of(stays):
        after: dict[tuple[tuple[int, ...], ...], int] = {}
        for filling, digs in fillings.items():
            left = [tuple(leaves for leaves in pile if leaves > first) for pile in filling]
            for at, pile in enumerate(left):
                if len(pile) < height:
                    anew = tuple(sorted([*left[:at], (*pile, last), *left[at + 1 :]]))
                    more = digs + sum(leaves < last for leaves in pile)
                    after[anew] = min(more, after.get(anew, more))
        fillings = after
    return min(fillings.values())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("stacks", "height"), [(2, 4), (3, 3), (4, 2), (6, 1)])
def test_stack_optimum_without_bound(stacks: int, height: int, seed: int) -> None:
    """Fifty stays in a store that is full at times: the same as without any bound."""
    stays = stays_of(*trace_of(np.random.default_rng(seed), 50, stacks * height))
    assert stack_optimum(stays, stacks, height) == layered_optimum(stays, stacks, height)


def test_too_many_stacks() -> None:
    """More than six stacks, or none, are refused."""
    for stacks in (0, 7):
        with pytest.raises(ValueError, match=rf"^expected from 1 to 6 stacks, found {stacks}$"):
            stack_optimum(stays_from((0, 1)), stacks, 3)


def test_proof_out_of_reach() -> None:
    """When the states run out, what is known is said."""
    stays = stays_of(*trace_of(np.random.default_rng(0), 30, 9))
    with pytest.raises(
        ValueError, match=r"^expected a proof within 5 states, found only that \d+ digs are needed$"
    ):
        stack_optimum(stays, 3, 3, most_states=5)
