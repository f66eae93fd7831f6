"""In which order a robot calls at many slots, for example to count them.

The shortest way through many places is a hard problem (the travelling salesman's, here with a fixed start
and an end that may be open). Few slots are solved outright. Of more, there are sweeps, as a person would walk
them, then exchanges that shorten the way until none does, then small disturbances, each mended by exchanges.
The answer is never longer than the best sweep; that it is the shortest is promised for few slots only. What
other robots do meanwhile is left out.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.streams import Stream

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.travel import Travel

Cost = Callable[[int, int], int]
"""Milliseconds from place to place, the same both ways."""

EXACT_SLOTS: Final = 8
"""Up to so many slots the tour is the shortest that there is."""

PAIRED_SLOTS: Final = 600
"""Up to so many slots an exchange may bring any two together; above, only those that are close in a sweep."""

_NEAREST: Final = 10
_LONGEST_SEGMENT: Final = 3
_LONGEST_SWAP: Final = 30
_SWAPS_PER_SLOT: Final = 8
_MOST_SWAPS: Final = 5_000


def count_tour(
    slots: Sequence[int],
    start: int,
    cost: Cost | NDArray[np.integer[Any]],
    layout: "Layout",
    *,
    end: int | None = None,
) -> list[int]:
    """A short way from a place through all the slots, as the slots in the order of calling.

    It is never longer than the best sweep (`sweep_tour`), and up to `EXACT_SLOTS` slots the shortest there is
    (Held and Karp 1962). The same slots in any order have the same answer. Exchanges are 2-opt (Croes 1958)
    and Or-opt (Or 1976) with lists of near places and don't-look bits (Bentley 1992); a disturbance swaps
    two neighbouring stretches (Martin, Otto and Felten 1991).

    Parameters
    ----------
    slots : their numbers, each once.
    start : the place at which the robot stands; it is in the answer only if it is one of the slots.
    cost : milliseconds from place to place, the same both ways (`slot_cost`), or an array (n, n) of them in
        which every place named has its row.
    end : the place to which the robot goes after the last slot; when not given, it stays there.

    Raises
    ------
    ValueError
        When a number is not a slot, or comes twice.
    """
    sweep = sweep_tour(slots, start, cost, layout, end=end)
    if len(sweep) < 2:
        return sweep
    stops = [start, *sweep, start if end is None else end]
    between = _between(stops, _as_function(cost), is_open=end is None)
    many = len(sweep) > PAIRED_SLOTS
    tour = _by_sweeps(stops, layout, between) if many else _by_pairs(len(stops), between)
    return [stops[stop] for stop in tour[1:-1]]


def sweep_tour(
    slots: Sequence[int],
    start: int,
    cost: Cost | NDArray[np.integer[Any]],
    layout: "Layout",
    *,
    end: int | None = None,
) -> list[int]:
    """The shortest sweep through the slots: aisle by aisle or row by row, each by level or by column.

    Lines of slots are followed to and fro, from either side, the first or the last line first; each aisle
    (or row) may do it in its own way. Parameters and errors are those of `count_tour`.
    """
    chosen = _checked(slots, layout)
    cost = _as_function(cost)
    level, column = layout.level.tolist(), layout.column.tolist()
    best: tuple[int, list[int]] = (-1, [])
    for halls in (_grouped(chosen, layout.aisle), _grouped(chosen, layout.row.tolist())):
        ways = {hall: _ways(members, level, column, cost) for hall, members in halls.items()}
        for order in _orders_of_halls(sorted(halls), _hall_of(start, halls, layout)):
            found = _chained([ways[hall] for hall in order], start, end, cost)
            if best[0] < 0 or found[0] < best[0]:
                best = found
    return best[1]


def by_level(slots: Iterable[int], layout: "Layout") -> list[int]:
    """Slots aisle by aisle, level by level from the lowest, to and fro from the cross-aisle."""
    return _plain_sweep(slots, layout, layout.level.tolist(), layout.column.tolist())


def by_column(slots: Iterable[int], layout: "Layout") -> list[int]:
    """Slots aisle by aisle, column by column from the cross-aisle, up and down from the lowest level."""
    return _plain_sweep(slots, layout, layout.column.tolist(), layout.level.tolist())


def tour_ms(tour: Iterable[int], start: int, cost: Cost, *, end: int | None = None) -> int:
    """Milliseconds from a place through the slots in this order and, if given, on to the end; travel only."""
    stops = [start, *tour, *([] if end is None else [end])]
    return sum(cost(a, b) for a, b in pairwise(stops))


def slot_cost(travel: "Travel") -> Cost:
    """Milliseconds between places at the height of their lowest boxes."""
    between, z_mm = travel.between_ms, travel.layout.z_mm.tolist()
    return lambda a, b: between(a, z_mm[a], b, z_mm[b])


# -- Sweeps ---------------------------------------------------------------------------------------------


class _Way(NamedTuple):
    """A sweep of one aisle or row, and how long it takes from its first slot to its last."""

    ms: int
    slots: list[int]


def _plain_sweep(slots: Iterable[int], layout: "Layout", line: list[int], along: list[int]) -> list[int]:
    halls = _grouped(sorted(slots), layout.aisle)
    return [slot for hall in sorted(halls) for slot in _to_and_fro(halls[hall], line, along)]


def _to_and_fro(
    slots: list[int], line: list[int], along: list[int], *, back_first: bool = False
) -> list[int]:
    """Line after line, every other one backwards; slots that face each other follow each other."""
    tour: list[int] = []
    in_lines = sorted(slots, key=lambda slot: (line[slot], along[slot], slot))
    for number, (_, members) in enumerate(groupby(in_lines, key=lambda slot: line[slot])):
        tour += reversed(list(members)) if (number % 2 == 1) != back_first else members
    return tour


def _ways(slots: list[int], level: list[int], column: list[int], cost: Cost) -> list[_Way]:
    """The eight sweeps of one aisle or row."""
    ways = []
    for line, along in ((level, column), (column, level)):
        for back_first in (False, True):
            tour = _to_and_fro(slots, line, along, back_first=back_first)
            ms = sum(cost(a, b) for a, b in pairwise(tour))
            ways += [_Way(ms, tour), _Way(ms, tour[::-1])]
    return ways


class _Chain(NamedTuple):
    """Sweeps of some halls one after the other, from the start: the last of them and the chain before it."""

    ms: int
    last: int
    way: _Way | None = None
    before: "_Chain | None" = None


def _chained(halls: list[list[_Way]], start: int, end: int | None, cost: Cost) -> tuple[int, list[int]]:
    """The shortest sweep of halls in this order, whichever way each is swept, with its milliseconds."""
    chains = [_Chain(0, start)]
    for ways in halls:
        chains = [_joined(chains, way, cost) for way in ways]
    if end is not None:
        chains = [chain._replace(ms=chain.ms + cost(chain.last, end)) for chain in chains]
    chain: _Chain | None = min(chains, key=lambda chain: chain.ms)
    ms, ways = (chain.ms if chain else 0), []
    while chain and chain.way:
        ways.append(chain.way)
        chain = chain.before
    return ms, [slot for way in reversed(ways) for slot in way.slots]


def _joined(chains: list[_Chain], way: _Way, cost: Cost) -> _Chain:
    """The shortest chain that a sweep can follow, with it."""
    legs_ms = [chain.ms + cost(chain.last, way.slots[0]) for chain in chains]
    ms = min(legs_ms)
    return _Chain(ms + way.ms, way.slots[-1], way, chains[legs_ms.index(ms)])


def _orders_of_halls(halls: list[int], here: int) -> Iterator[list[int]]:
    """Aisles (or rows) one way, the other way, and from the one at hand first to one side, then the other."""
    below, above = [hall for hall in halls if hall < here], [hall for hall in halls if hall > here]
    mine = [here] if here in halls else []
    yield halls
    yield halls[::-1]
    if below and above:
        yield [*mine, *below[::-1], *above]
        yield [*mine, *above, *below[::-1]]


def _hall_of(start: int, halls: dict[int, list[int]], layout: "Layout") -> int:
    """The aisle (or row) in which, or nearest to which, a place lies."""
    theirs = {hall: layout.aisle[members[0]] for hall, members in halls.items()}
    return min(theirs, key=lambda hall: (abs(theirs[hall] - layout.aisle[start]), hall), default=0)


def _grouped(slots: Iterable[int], of: Sequence[int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for slot in slots:
        groups.setdefault(of[slot], []).append(slot)
    return groups


# -- Exchanges ------------------------------------------------------------------------------------------


def _between(stops: list[int], cost: Cost, *, is_open: bool) -> Cost:
    """Milliseconds between stops by their position in a list; to the last of an open tour it is none."""
    last = len(stops) - 1 if is_open else len(stops)

    def between(a: int, b: int) -> int:
        if a > b:  # always asked the same way round: exchanges that disagreed about a leg would never end
            a, b = b, a
        return 0 if b == last else cost(stops[a], stops[b])

    return between


def _by_pairs(count: int, between: Cost) -> list[int]:
    """So many stops in a good order, the first and the last where they are; every pair is weighed."""
    matrix = [[0] * count for _ in range(count)]
    for a in range(count):
        for b in range(a):
            matrix[a][b] = matrix[b][a] = between(a, b)
    if count - 2 <= EXACT_SLOTS:
        return _shortest(matrix)
    near = []
    for a, row in enumerate(matrix):
        nearest = sorted(range(count), key=row.__getitem__)[: _NEAREST + 1]
        near.append([b for b in nearest if b != a])
    paths = []
    for order in (list(range(count)), _nearest_first(matrix)):
        path = _Path(order, lambda a, b: matrix[a][b], near)
        path.mend(order)
        paths.append(path)
    path = min(paths, key=_Path.ms)
    path.disturb()
    return path.order


def _shortest(matrix: list[list[int]]) -> list[int]:
    """The shortest order of the stops between the first and the last: a table over all sets of stops."""
    last = len(matrix) - 1
    inner = range(1, last)
    # By the stops called at, as bits, and the latest of them: milliseconds so far, and the stop before.
    ways = {(1 << stop, stop): (matrix[0][stop], 0) for stop in inner}
    states = list(ways)
    for seen, stop in states:  # grows as it goes: every state stands behind all that lead to it
        for following in inner:
            if seen >> following & 1:
                continue
            state = (seen | 1 << following, following)
            way = (ways[seen, stop][0] + matrix[stop][following], stop)
            if state not in ways:
                states.append(state)
            ways[state] = min(way, ways.get(state, way))
    seen = (1 << last) - 2
    stop = min(inner, key=lambda stop: ways[seen, stop][0] + matrix[stop][last])
    order = [last]
    while stop:
        order.append(stop)
        seen, stop = seen ^ 1 << stop, ways[seen, stop][1]
    return [0, *reversed(order)]


def _by_sweeps(stops: list[int], layout: "Layout", between: Cost) -> list[int]:
    """The same for many stops: only those are weighed that are close in a sweep."""
    last = len(stops) - 1
    nodes = {slot: node for node, slot in enumerate(stops[1:last], 1)}
    close: list[set[int]] = [{0, last} for _ in stops]
    for sweep in (
        range(1, last),
        *([nodes[slot] for slot in by(nodes, layout)] for by in (by_level, by_column)),
    ):
        for step in range(1, _NEAREST // 2 + 1):
            for a, b in zip(sweep, sweep[step:], strict=False):
                close[a].add(b)
                close[b].add(a)
    near = []
    for a, others in enumerate(close):
        weighed = sorted((between(a, b), b) for b in others if b != a)
        near.append([b for _, b in weighed[:_NEAREST]])
    path = _Path(list(range(last + 1)), between, near)
    path.mend(range(last + 1))
    path.disturb()
    return path.order


def _nearest_first(matrix: list[list[int]]) -> list[int]:
    """From the first stop always to the nearest one left, the last stop last."""
    left = list(range(1, len(matrix) - 1))
    order = [0]
    while left:
        row = matrix[order[-1]]
        nearest = min(left, key=row.__getitem__)
        left.remove(nearest)
        order.append(nearest)
    return [*order, len(matrix) - 1]


class _Path:
    """An order of stops 0 to n whose ends stay, and the exchanges that shorten it.

    Parameters
    ----------
    order : the stops, the fixed ones first and last.
    between : milliseconds from stop to stop.
    near : for each stop the near ones, nearest first: only exchanges that bring a stop beside one of these
        are tried.
    """

    def __init__(self, order: list[int], between: Cost, near: list[list[int]]) -> None:
        self.order, self.between, self.near = order[:], between, near
        self.at = [0] * len(order)
        self._place(0, len(order))

    def ms(self) -> int:
        """Milliseconds from the first stop to the last."""
        return sum(self.between(a, b) for a, b in pairwise(self.order))

    def mend(self, stops: Iterable[int]) -> int:
        """Exchange around these stops, and those that this touches, until nothing helps; gives the gain."""
        waiting = deque(stops)
        is_waiting = [False] * len(self.order)
        for stop in waiting:
            is_waiting[stop] = True
        total = 0
        while waiting:
            stop = waiting.popleft()
            is_waiting[stop] = False
            gain, touched = self._reverse_beside(stop)
            if not gain:
                gain, touched = self._move_beside(stop)
            total += gain
            for other in touched:
                if not is_waiting[other]:
                    is_waiting[other] = True
                    waiting.append(other)
        return total

    def disturb(self) -> None:
        """Swap two neighbouring stretches, mend, and take it back where that is longer; many times."""
        draws = Stream(0, "tours")  # the same for every tour: which stretches are tried is no part of a run
        between, inner = self.between, len(self.order) - 2
        length = min(_LONGEST_SWAP, inner // 2)
        for number in range(min(_SWAPS_PER_SLOT * inner, _MOST_SWAPS)):
            before, at_before = self.order[:], self.at[:]
            one, two = (1 + int(draws.uniform(3 * number + k) * length) for k in range(2))
            first = 1 + int(draws.uniform(3 * number + 2) * (inner - one - two + 1))
            middle, after = first + one, first + one + two
            edges = (first - 1, first, middle - 1, middle, after - 1, after)
            p, a, b, c, d, q = ends = [before[i] for i in edges]
            loss = between(p, c) + between(d, a) + between(b, q)
            loss -= between(p, a) + between(b, c) + between(d, q)
            self.order[first:after] = before[middle:after] + before[first:middle]
            self._place(first, after)
            if self.mend(ends) < loss:
                self.order, self.at = before, at_before

    def _reverse_beside(self, a: int) -> tuple[int, tuple[int, ...]]:
        """2-opt: turn a stretch so that stop a comes beside a near one; the gain and the stops touched."""
        order, at, between = self.order, self.at, self.between
        i, last = at[a], len(order) - 1
        for step, fixed in ((1, last), (-1, 0)):
            if i == fixed:
                continue
            b = order[i + step]
            leaving = between(a, b)
            for c in self.near[a]:
                coming = between(a, c)
                if coming >= leaving:
                    break
                j = at[c]
                if j == fixed:
                    continue
                d = order[j + step]
                gain = leaving - coming + between(c, d) - between(b, d)
                if gain > 0:
                    low, high = sorted((i, j)) if step < 0 else sorted((i + 1, j + 1))
                    order[low:high] = order[low:high][::-1]
                    self._place(low, high)
                    return gain, (a, b, c, d)
        return 0, ()

    def _move_beside(self, a: int) -> tuple[int, tuple[int, ...]]:
        """Or-opt: bring a short stretch that ends in stop a beside a near one; gain and stops touched."""
        order, at, between = self.order, self.at, self.between
        i, last = at[a], len(order) - 1
        for low, high in _stretches(i, last):
            p, q, z = order[low - 1], order[high + 1], order[low + high - i]
            leaving = between(p, order[low]) + between(order[high], q) - between(p, q)
            for c in self.near[a]:
                coming = between(a, c)
                if coming >= leaving:
                    break
                j = at[c]
                for k in (j + 1, j - 1):
                    if low <= j <= high or low <= k <= high or not 0 <= k <= last:
                        continue
                    e = order[k]
                    gain = leaving - coming + between(c, e) - between(z, e)
                    if gain > 0:
                        self._move(low, high, max(j, k), turned=(a == order[low]) != (k > j))
                        return gain, (p, q, a, z, c, e)
        return 0, ()

    def _move(self, low: int, high: int, to: int, *, turned: bool) -> None:
        """Put the stretch from low to high before the stop at position `to`, turned round or not."""
        order = self.order
        stretch = order[low : high + 1]
        if turned:
            stretch.reverse()
        if to > high:
            order[low:to] = order[high + 1 : to] + stretch
        else:
            order[to : high + 1] = stretch + order[to:low]
        self._place(min(low, to), max(high + 1, to))

    def _place(self, low: int, high: int) -> None:
        """Note where the stops from one position to before another now are."""
        at, order = self.at, self.order
        for i in range(low, high):
            at[order[i]] = i


def _stretches(i: int, last: int) -> Iterator[tuple[int, int]]:
    """First and last position of the short stretches that begin or end at i, the path's ends left out."""
    if 0 < i < last:
        yield i, i
        for more in range(1, _LONGEST_SEGMENT):
            if i + more < last:
                yield i, i + more
            if i - more > 0:
                yield i - more, i


# -- What was asked -------------------------------------------------------------------------------------


def _checked(slots: Sequence[int], layout: "Layout") -> list[int]:
    """The slots in order of their numbers."""
    chosen = sorted(int(slot) for slot in slots)
    for slot in (*chosen[:1], *chosen[-1:]):
        if not 0 <= slot < layout.slots:
            raise ValueError(f"a tour: expected slots from 0 to {layout.slots - 1:,}, found {slot}")
    for slot, following in pairwise(chosen):
        if slot == following:
            raise ValueError(f"a tour: expected each slot once, found {slot} again")
    return chosen


def _as_function(cost: Cost | NDArray[np.integer[Any]]) -> Cost:
    if not isinstance(cost, np.ndarray):
        return cost
    rows: list[list[int]] = cost.tolist()
    return lambda a, b: rows[a][b]
