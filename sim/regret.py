"""Regret: how cheap the slots of a trace could have been, for one who knew every departure beforehand.

A stay is the visit of one unit to the store, an interval between two rows of a trace; its scored moves
are its weight. A place of the store holds stays that do not overlap, so k places hold a set of intervals
that k colours can colour. Three answers follow: a lower bound on the time of any assignment of stays to
slots, an assignment that comes near it, and, for stores of a few stacks, the least number of digs. Fixed
pairs and one cost a unit: robots, queues, lots and the choice of what to retrieve are left out.
"""

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

Whole = NDArray[np.int64]

MOST_STACKS: Final = 6
"""A store of more stacks is refused: the ways to fill it are too many."""

_NEVER: Final = 1 << 90
_DEAR: Final = 1 << 60


class Stays(NamedTuple):
    """Unit loads as intervals over the row numbers of a trace, in the order of their arrival.

    A place that is left in row r can be taken in row r + 1.

    Parameters
    ----------
    first : rows of the arrivals, shape (stays,).
    last : rows of the departures, above `first`; the number of rows for who never leaves.
    scored_in, scored_out : 1 where the arrival (the departure) counts, 0 where not.
    """

    first: Whole
    last: Whole
    scored_in: Whole
    scored_out: Whole


def stays_of(unit: ArrayLike, time_ms: ArrayLike) -> Stays:
    """Pair the rows of a trace into stays: the rows of one unit are arrival and departure by turns.

    Arrivals after time 0 are scored, and all departures, as `replay` does it.

    Parameters
    ----------
    unit : numbers of the units, shape (rows,), in the order of the trace.
    time_ms : times of the rows, shape (rows,), not below 0.

    Raises
    ------
    ValueError
        When the columns differ in length.
    """
    units, times = np.asarray(unit, np.int64), np.asarray(time_ms, np.int64)
    if units.shape != times.shape or units.ndim != 1:
        raise ValueError(f"expected two columns of one length, found {units.shape} and {times.shape}")
    rows = len(units)
    order = np.argsort(units, kind="stable")
    of_unit = units[order]
    begins = np.ones(rows, bool)
    begins[1:] = of_unit[1:] != of_unit[:-1]
    position = np.arange(rows)
    since = position - np.maximum.accumulate(np.where(begins, position, 0))
    arrivals = np.flatnonzero(since % 2 == 0)
    first = order[arrivals]
    leaves = np.append(~begins, False)[arrivals + 1]
    last = np.where(leaves, np.append(order, rows)[arrivals + 1], rows)
    sooner = np.argsort(first)
    first, last = first[sooner], last[sooner]
    return Stays(first, last, (times[first] > 0).astype(np.int64), (last < rows).astype(np.int64))


def peak_of(stays: Stays) -> int:
    """Most stays at once."""
    return int(_blocks(stays.first, stays.last).here.max(initial=0))


def cost_ms(stays: Stays, in_ms: ArrayLike, out_ms: ArrayLike, slot: ArrayLike) -> int:
    """The time of an assignment: the scored arrivals by `in_ms`, the scored departures by `out_ms`.

    Parameters
    ----------
    in_ms, out_ms : one-way times of the slots, shape (slots,), whole milliseconds.
    slot : the slot of each stay, shape (stays,).
    """
    slots = np.asarray(slot, np.int64)
    arriving = stays.scored_in @ np.asarray(in_ms, np.int64)[slots]
    leaving = stays.scored_out @ np.asarray(out_ms, np.int64)[slots]
    return int(arriving + leaving)


# -- What k places can hold ----------------------------------------------------------------------------


def heaviest_sets(stays: Stays, weights: ArrayLike, limit: int | None = None) -> list[int]:
    """The weight of the heaviest set of stays that 0, 1, ..., K places can hold; K hold all that weighs.

    The list is concave: each place adds at most as much as the one before. A maximum-weight k-colourable
    subgraph of an interval graph is a flow of k units along the time (Carlisle and Lloyd 1995, Discrete
    Applied Mathematics 59, 225-235); successive shortest paths give all k in one pass.

    Parameters
    ----------
    weights : whole numbers from 0, shape (stays,).
    limit : stop after so many places, all held or not.

    Returns
    -------
    C_0 = 0 to C_K = the sum of the weights, or to C_limit.

    Raises
    ------
    ValueError
        For a weight below 0.
    """
    weight = np.asarray(weights, np.int64)
    if (weight < 0).any():
        raise ValueError(f"expected weights from 0, found {weight.min()}")
    counts = weight > 0
    blocks = _blocks(stays.first[counts], stays.last[counts])
    network = _Network(blocks, -weight[counts])
    for node in range(blocks.nodes):
        network.idle(node, _NEVER, 0)
    sums, whole = [0], int(weight.sum())
    paths = network.paths()
    while sums[-1] < whole and (limit is None or len(sums) <= limit):
        sums.append(sums[-1] - next(paths))
    return sums


class _Blocks(NamedTuple):
    """Intervals over the nodes 0 to `nodes` of a time that is cut only where a departure precedes an arrival.

    Arrivals without a departure between them share a node; who leaves is gone at the next node.
    """

    nodes: int
    start: list[int]
    end: list[int]
    here: Whole


def _blocks(first: Whole, last: Whole) -> _Blocks:
    """Cut the time; `here` holds the intervals at each node, shape (nodes,)."""
    arrivals = np.sort(first)
    gone = np.searchsorted(np.sort(last), arrivals, side="right")
    opens = np.ones(len(arrivals), bool)
    opens[1:] = gone[1:] > gone[:-1]
    begin = arrivals[opens]
    start = np.searchsorted(begin, first, side="right") - 1
    end = np.searchsorted(begin, last, side="left")
    closes = np.append(opens[1:], True)[: len(arrivals)]
    here = (np.arange(1, len(arrivals) + 1) - gone)[closes]
    return _Blocks(len(begin), start.tolist(), end.tolist(), here)


class _Network:
    """The residual network of paths along the time: one path may take an interval, or idle."""

    def __init__(self, blocks: _Blocks, costs: Whole) -> None:
        self.last = blocks.nodes
        self.head: list[int] = []
        self.room: list[int] = []
        self.cost: list[int] = []
        self.leaving: list[list[int]] = [[] for _ in range(blocks.nodes + 1)]
        for start, end, cost in zip(blocks.start, blocks.end, costs.tolist(), strict=True):
            self._arc(start, end, 1, cost)

    def idle(self, node: int, room: int, cost: int) -> None:
        """Let so many paths pass from a node to the next one without an interval."""
        self._arc(node, node + 1, room, cost)

    def taken(self, intervals: int) -> NDArray[np.bool_]:
        """Which intervals the paths take now, shape (intervals,)."""
        return np.array([not room for room in self.room[: 2 * intervals : 2]], bool)

    def _arc(self, start: int, end: int, room: int, cost: int) -> None:
        """An arc and, next to it, the way back."""
        self.leaving[start].append(len(self.head))
        self.leaving[end].append(len(self.head) + 1)
        self.head += (end, start)
        self.room += (room, 0)
        self.cost += (cost, -cost)

    def paths(self) -> Iterator[int]:
        """Send one path more at each step, so that the sum of the costs stays least, and give what it costs.

        Primal-dual: with prices on the nodes from one search of Dijkstra, all paths of one cost are found by
        plain search over arcs that cost nothing. The idle arcs must leave room for as many as are asked for.
        """
        price = [_NEVER] * (self.last + 1)
        price[0] = 0
        for node, arcs in enumerate(self.leaving):
            for arc in arcs:
                if self.room[arc]:
                    price[self.head[arc]] = min(price[self.head[arc]], price[node] + self.cost[arc])
        while True:
            while path := self._free_path(price):
                for arc in path:
                    self.room[arc] -= 1
                    self.room[arc ^ 1] += 1
                yield price[self.last]
            self._raise(price)

    def _free_path(self, price: list[int]) -> list[int]:
        """A path over arcs of no reduced cost, depth first; empty when there is none."""
        head, room, cost, leaving, last = self.head, self.room, self.cost, self.leaving, self.last
        seen = bytearray(last + 1)
        seen[0] = 1
        path: list[int] = []
        node, ahead = 0, [iter(leaving[0])]
        while ahead and node != last:
            here = price[node]
            for arc in ahead[-1]:
                to = head[arc]
                if room[arc] and not seen[to] and here + cost[arc] == price[to]:
                    seen[to] = 1
                    path.append(arc)
                    ahead.append(iter(leaving[to]))
                    node = to
                    break
            else:
                ahead.pop()
                if path:
                    node = head[path.pop() ^ 1]
        return path

    def _raise(self, price: list[int]) -> None:
        """Raise the prices by the distances from node 0, at most that of the last node."""
        head, room, cost, leaving, last = self.head, self.room, self.cost, self.leaving, self.last
        far = [_NEVER] * (last + 1)
        far[0] = 0
        done = bytearray(last + 1)
        heap = [(0, 0)]
        while not done[last]:
            distance, node = heapq.heappop(heap)
            if done[node]:
                continue
            done[node] = 1
            base = distance + price[node]
            for arc in leaving[node]:
                if room[arc]:
                    to = head[arc]
                    reach = base + cost[arc] - price[to]
                    if reach < far[to]:
                        far[to] = reach
                        heapq.heappush(heap, (reach, to))
        for node, distance in enumerate(far):
            price[node] += min(distance, far[last])


# -- The lower bound -----------------------------------------------------------------------------------


def lower_bound_ms(stays: Stays, in_ms: ArrayLike, out_ms: ArrayLike, capacity: ArrayLike) -> int:
    """A time that no assignment of the stays to the slots goes below, whatever it knows of the departures.

    With one way of t(s) from slot s for both moves, the places sorted, 0 = t_0 < t_1 <= t_2 <= ... <=
    t_N, and w the scored moves of a stay, a stay in the j-th place costs w t_j, which is the sum over k <
    j of w (t_(k+1) - t_k). So an assignment costs the sum over k of (t_(k+1) - t_k) times the weight that
    lies outside of the first k places. What lies inside is a set that k places can hold and weighs at
    most C_k (`heaviest_sets`): the cost is at least the sum of (t_(k+1) - t_k)(W - C_k), W being the
    weight of all. It is reached where one assignment fills the first k places best for every k at once.
    Nothing in it needs t_1 >= 0: every stay has a place.

    Where the ways in and out differ, costs are split into parts of this kind, in three ways, and each sum
    of bounds is one: moves in and moves out apart; stays of two scored moves by in + out, the others
    apart; all moves by (in + out) / 2, and what stays of one move are off by, (in - out) / 2 or its
    opposite, apart. The greatest counts; the last one is the first formula again when in = out.

    Parameters
    ----------
    in_ms, out_ms : one-way times of the slots, shape (slots,), whole milliseconds from 0.
    capacity : units that a slot takes, shape (slots,).

    Raises
    ------
    ValueError
        When the slots hold fewer units than there are at once.
    """
    ways_in, ways_out = _places(stays, in_ms, out_ms, capacity)
    arrives, leaves = stays.scored_in, stays.scored_out
    there_and_back = _least_ms(stays, arrives + leaves, ways_in + ways_out)
    if (ways_in == ways_out).all():
        return there_and_back // 2
    only_in, only_out = arrives & ~leaves, leaves & ~arrives
    apart = _least_ms(stays, arrives, ways_in) + _least_ms(stays, leaves, ways_out)
    by_kind = (
        _least_ms(stays, arrives & leaves, ways_in + ways_out)
        + _least_ms(stays, only_in, ways_in)
        + _least_ms(stays, only_out, ways_out)
    )
    twice = (
        there_and_back
        + _least_ms(stays, only_in, ways_in - ways_out)
        + _least_ms(stays, only_out, ways_out - ways_in)
    )
    return max(apart, by_kind, -(-twice // 2))


def _places(stays: Stays, in_ms: ArrayLike, out_ms: ArrayLike, capacity: ArrayLike) -> tuple[Whole, Whole]:
    """The ways of the single places, a slot repeated by its capacity; ValueError where room is short."""
    room = np.asarray(capacity, np.int64)
    ways_in, ways_out = (np.repeat(np.asarray(ways, np.int64), room) for ways in (in_ms, out_ms))
    peak = peak_of(stays)
    if len(ways_in) < peak:
        raise ValueError(f"expected places for {peak:,} units at once, found {len(ways_in):,}")
    return ways_in, ways_out


def _least_ms(stays: Stays, weights: Whole, ways: Whole) -> int:
    """The sum over k of (t_(k+1) - t_k)(W - C_k), t being the sorted ways, of either sign."""
    held = np.array(heaviest_sets(stays, weights, limit=len(ways)), np.int64)[: len(ways)]
    steps = np.diff(np.sort(ways)[: len(held)], prepend=0)
    return int(steps @ (weights.sum() - held))


# -- An assignment near the bound ----------------------------------------------------------------------


def oracle(
    stays: Stays, in_ms: ArrayLike, out_ms: ArrayLike, capacity: ArrayLike, *, rounds: int = 6
) -> Whole:
    """A slot for each stay, near the cheapest way, by one who knows every departure.

    Slots of the same ways are one group. The groups, nearest first by in + out, are halved again and
    again; at each halving a flow finds the stays that gain most from the near half, among the sets that
    the near places can hold while the far ones hold the rest, so that a place for every stay is never
    lost. With two groups at most this is the cheapest assignment there is; with four different costs the
    problem is NP-hard (Kroon, Sen, Deng and Roy 1997, LNCS 1197, 279-292). Then windows of a few
    neighbouring groups, and pairs of groups where ways in and out differ, are emptied and divided anew, in
    other orders and with ties broken otherwise, and what is no dearer is kept. The answer is held against
    the nearest open slot for each in turn (the rule `closest-open`) and is never dearer. No random numbers:
    the same input gives the same slots.

    Parameters
    ----------
    in_ms, out_ms : one-way times of the slots, shape (slots,), whole milliseconds from 0.
    capacity : units that a slot takes, shape (slots,).
    rounds : of improvement; each takes about as long as the division and brings less than the one before.

    Returns
    -------
    Slots, shape (stays,).

    Raises
    ------
    ValueError
        When the slots hold fewer units than there are at once.
    """
    ways_in, _ = _places(stays, in_ms, out_ms, capacity)
    groups = _Groups(stays, in_ms, out_ms, capacity)
    shares = groups.divide(np.arange(len(stays.first)), range(len(groups.room)), 0, None)
    for number in range(rounds if len(shares) > 2 else 0):
        groups.improve(shares, number)
    slots = groups.slots(shares)
    place_slot = np.repeat(np.arange(len(np.asarray(capacity))), np.asarray(capacity, np.int64))
    in_turn = _nearest_open(stays, place_slot[np.argsort(ways_in, kind="stable")])
    return min(slots, in_turn, key=lambda chosen: cost_ms(stays, in_ms, out_ms, chosen))


def _nearest_open(stays: Stays, places: Whole) -> Whole:
    """The first open place for each stay in turn, as the slot it belongs to; there must be room for all."""
    slot_of = places.tolist()
    open_places = list(range(len(slot_of)))
    leaving: list[tuple[int, int]] = []
    slots = []
    for first, last in zip(stays.first.tolist(), stays.last.tolist(), strict=True):
        while leaving and leaving[0][0] <= first:
            heapq.heappush(open_places, heapq.heappop(leaving)[1])
        place = heapq.heappop(open_places)
        heapq.heappush(leaving, (last, place))
        slots.append(slot_of[place])
    return np.array(slots, np.int64)


_WINDOWS: Final = (3, 4, 6, 9)
"""Groups that are divided anew together."""

_APART: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)
"""How far apart in the order two groups stand that are divided anew."""

_MOVE: Final = 1 << 14
"""What one scored move weighs where ties are broken, by up to half of it."""


class _Groups:
    """Slots of equal ways, one group each, in the order of in + out; stays are shared out among them."""

    def __init__(self, stays: Stays, in_ms: ArrayLike, out_ms: ArrayLike, capacity: ArrayLike) -> None:
        self.stays = stays
        room = np.asarray(capacity, np.int64)
        ways = np.stack([np.asarray(in_ms, np.int64), np.asarray(out_ms, np.int64)], axis=1)
        order = np.lexsort((ways[:, 0], ways.sum(axis=1)))
        order = order[room[order] > 0]
        self.slot, self.slot_room, ways = order, room[order], ways[order]
        begins = np.append([True], (ways[1:] != ways[:-1]).any(axis=1))[: len(ways)]
        border = np.append(np.flatnonzero(begins), len(ways))
        ways = ways[begins]
        # No group needs more room than there are units at once, and twice that many places, the nearest ones
        # by in + out, by in and by out, leave choice enough: the far end of a large store only takes time.
        peak = max(1, peak_of(stays))
        places = np.minimum(np.diff(np.append(0, np.cumsum(self.slot_room))[border]), peak)
        is_near = np.zeros(len(ways), bool)
        for way in (ways.sum(axis=1), ways[:, 0], ways[:, 1]):
            nearest = np.argsort(way, kind="stable")
            nearer = np.cumsum(places[nearest]) - places[nearest]
            is_near[nearest[nearer < 2 * peak]] = True
        self.ways, self.room = ways[is_near], places[is_near]
        self.begin, self.end = border[:-1][is_near], border[1:][is_near]

    def divide(self, ids: Whole, groups: range, manner: int, tie: Whole | None) -> list[Whole]:
        """Share stays out among groups that stand in order.

        In halves (`manner` 0), the nearest group first (1) or the farthest (2); `tie`, shape (stays,), is
        added to what the moves gain.
        """
        if len(groups) <= 1:
            return [ids] * len(groups)
        middle = (len(groups) // 2, 1, len(groups) - 1)[manner]
        near, far = groups[:middle], groups[middle:]
        is_near = self._is_near(ids, near, far, tie)
        return self.divide(ids[is_near], near, manner, tie) + self.divide(ids[~is_near], far, manner, tie)

    def improve(self, shares: list[Whole], number: int) -> None:
        """Divide windows of groups anew, in round `number`, and keep in `shares` what is no dearer."""
        for turn, groups in enumerate(self._windows(number), number + 1):
            before = [shares[group] for group in groups]
            ids = np.sort(np.concatenate(before))
            tie = self._tie(turn) if len(groups) > 2 else None
            anew = self.divide(ids, groups, turn % 3, tie)
            if self._cost(groups, anew) <= self._cost(groups, before):
                for group, share in zip(groups, anew, strict=True):
                    shares[group] = share

    def _windows(self, number: int) -> Iterator[range]:
        """A few neighbours at a time; where ways in and out differ, also two groups that stand apart."""
        count = len(self.room)
        for most in _WINDOWS:
            size = min(most, count)
            step = size // 2
            for low in range(number % step, count - size + 1, step):
                yield range(low, low + size)
        # With one way for both moves a division leaves every pair at its best: nothing was ever found there.
        if (self.ways[:, 0] != self.ways[:, 1]).any():
            for apart in (gap for gap in _APART if gap < count):
                for low in range(count - apart):
                    yield range(low, low + apart + 1, apart)

    def slots(self, shares: list[Whole]) -> Whole:
        """A slot of its group for each stay: one that is open when it arrives."""
        slots = np.zeros(len(self.stays.first), np.int64)
        for ids, begin, end in zip(shares, self.begin, self.end, strict=True):
            part = Stays(*(column[ids] for column in self.stays))
            slots[ids] = _nearest_open(part, np.repeat(self.slot[begin:end], self.slot_room[begin:end]))
        return slots

    def _cost(self, groups: range, shares: list[Whole]) -> int:
        """What the shares of these groups cost."""
        stays = self.stays
        return sum(
            int(stays.scored_in[ids].sum() * way_in + stays.scored_out[ids].sum() * way_out)
            for ids, (way_in, way_out) in zip(shares, self.ways[groups], strict=True)
        )

    def _tie(self, turn: int) -> Whole | None:
        """How ties are broken: not at all, for the shorter stay, for the longer one, or without reason."""
        kind = turn // 3 % 4
        if kind == 0:
            return None
        if kind == 3:
            # Middle bits of a product with 2^32 over the golden ratio (Knuth 1973, vol. 3, 6.4) look drawn.
            mixed = (np.arange(len(self.stays.first)) + turn * 40_503) % (1 << 31) * 2_654_435_761
            drawn: Whole = mixed // (1 << 16) % (_MOVE // 2)
            return drawn
        span: Whole = np.minimum(self.stays.last - self.stays.first, _MOVE // 2)
        return span if kind == 2 else -span

    def _is_near(self, ids: Whole, near: range, far: range, tie: Whole | None) -> NDArray[np.bool_]:
        """Which stays go to the near groups: the most gain while the far ones hold the rest."""
        near_room, far_room = int(self.room[near].sum()), int(self.room[far].sum())
        gains = self._gains(ids, near, far, tie)
        blocks = _blocks(self.stays.first[ids], self.stays.last[ids])
        if blocks.here.max(initial=0) <= near_room and (gains >= 0).all():
            return np.ones(len(ids), bool)
        if tie is not None:
            gains = gains + tie[ids]
        # Paths are sent for the smaller side, the fewer the better; the other side must hold what they leave.
        sends_near = near_room <= far_room
        paths, others = (near_room, far_room) if sends_near else (far_room, near_room)
        network = _Network(blocks, -gains if sends_near else gains)
        for node, here in enumerate(blocks.here.tolist()):
            must_work = max(0, here - others)
            if paths > must_work:
                network.idle(node, paths - must_work, 0)
            if must_work:
                network.idle(node, must_work, _DEAR)
        for _ in zip(range(paths), network.paths(), strict=False):
            pass
        taken = network.taken(len(ids))
        return taken if sends_near else ~taken

    def _gains(self, ids: Whole, near: range, far: range, tie: Whole | None) -> Whole:
        """What each stay gains in the near groups, by the mean ways of both sides, in any unit."""
        gain = self.room[far] @ self.ways[far] * self.room[near].sum()
        gain -= self.room[near] @ self.ways[near] * self.room[far].sum()
        gain //= max(1, int(np.gcd.reduce(gain)))
        if tie is not None:
            gain = np.rint(gain / max(1, abs(gain).max()) * _MOVE).astype(np.int64)
        gains: Whole = self.stays.scored_in[ids] * gain[0] + self.stays.scored_out[ids] * gain[1]
        return gains


# -- The least number of digs --------------------------------------------------------------------------


def digs_of(stays: Stays, stack: ArrayLike) -> int:
    """Digs of an assignment to stacks: pairs in one stack of which the lower one leaves before the upper one.

    An arriving unit goes on top. When a unit leaves, each unit above it is dug once and set back in the
    same order.

    Parameters
    ----------
    stack : the stack of each stay, shape (stays,).
    """
    stacks = np.asarray(stack)
    return int((_crosses(stays) & (stacks[:, None] == stacks[None, :])).sum())


def stack_optimum(stays: Stays, stacks: int, height: int, *, most_states: int = 50_000) -> int:
    """The least number of digs (`digs_of`) with which these stays pass through a few stacks.

    A* over what stands in the stacks after each arrival. What is still to come costs at least, for every
    later arrival, the fewest units of today in one stack that it would block; later arrivals that all
    block one another (cliques) are placed together, by linear assignment: the n-th of one clique in a
    stack costs n - 1 more.

    Parameters
    ----------
    stacks : from 1 to `MOST_STACKS`.
    height : units that a stack takes.
    most_states : give up after so many. Where few digs are needed, hundreds do for 100 stays; full stores
        with departures in any order are out of reach from about 40 stays in four stacks of four.

    Raises
    ------
    ValueError
        For too many stacks, too little room, or when `most_states` are not enough for a proof.
    """
    if not 1 <= stacks <= MOST_STACKS:
        raise ValueError(f"expected from 1 to {MOST_STACKS} stacks, found {stacks}")
    peak = peak_of(stays)
    if peak > stacks * height:
        raise ValueError(f"expected places for {peak:,} units at once, found {stacks * height:,}")
    digs = _Digs(stays, height)
    arrivals = len(stays.first)
    empty: _Filled = ((),) * stacks
    fewest = {(0, empty): 0}
    # Digs needed in all, arrivals done (negative: the latest first), digs so far, stacks, the bound is sharp
    heap = [(0, 0, 0, empty, False)]
    while heap:
        bound, behind, so_far, filled, is_sharp = heapq.heappop(heap)
        arrival = -behind
        if arrival == arrivals:
            return so_far
        if fewest[arrival, filled] < so_far:
            continue
        if not is_sharp:
            sharp = so_far + digs.still(arrival, filled)
            if sharp > bound:
                heapq.heappush(heap, (sharp, behind, so_far, filled, True))
                continue
        for more, after in digs.ways_on(arrival, filled):
            total = so_far + more
            if total < fewest.get((arrival + 1, after), _NO_ROOM):
                fewest[arrival + 1, after] = total
                reach = total + digs.still_roughly(arrival + 1, after)
                heapq.heappush(heap, (max(bound, reach), behind - 1, total, after, False))
        if len(fewest) > most_states:
            raise ValueError(
                f"expected a proof within {most_states:,} states, found only that {bound} digs are needed"
            )
    raise AssertionError("stays that find room at all times fill the stacks in some way")


def _crosses(stays: Stays) -> NDArray[np.bool_]:
    """Whether a stay (row) would leave beneath another one (column) in its stack."""
    first, last = stays.first, stays.last
    return (
        (first[:, None] < first[None, :]) & (first[None, :] < last[:, None]) & (last[:, None] < last[None, :])
    )


_NO_ROOM: Final = 1 << 40
_Stack = tuple[int, ...]
_Filled = tuple[_Stack, ...]


class _Digs:
    """Ways on from filled stacks, and the digs to come; a stack is the sorted departures of what it holds."""

    def __init__(self, stays: Stays, height: int) -> None:
        self.height = height
        self.first, self.last = stays.first, stays.last
        self.arrives: list[int] = stays.first.tolist()
        self.departs: list[int] = stays.last.tolist()
        self.cliques = [self._cliques_from(arrival) for arrival in range(len(self.arrives))]
        self._blocked: dict[_Stack, Whole] = {}

    def ways_on(self, arrival: int, filled: _Filled) -> Iterator[tuple[int, _Filled]]:
        """Digs that each choice for an arrival brings, and the stacks after it, sorted."""
        now, departure = self.arrives[arrival], self.departs[arrival]
        left = [tuple(leaves for leaves in stack if leaves > now) for stack in filled]
        for position, stack in enumerate(left):
            if len(stack) < self.height and stack not in left[:position]:
                after = [*left[:position], *left[position + 1 :], tuple(sorted((*stack, departure)))]
                yield sum(leaves < departure for leaves in stack), tuple(sorted(after))

    def still_roughly(self, arrival: int, filled: _Filled) -> int:
        """Digs that the arrivals from this one on bring at least, with the units that are there."""
        least = self._blocks(filled[0])[arrival:]
        for stack in filled[1:]:
            least = np.minimum(least, self._blocks(stack)[arrival:])
        return int(least.sum())

    def still(self, arrival: int, filled: _Filled) -> int:
        """Digs that the arrivals from this one on bring at least, with those units and in their cliques."""
        blocks = np.array([self._blocks(stack) for stack in filled])
        least, nearest = blocks.min(axis=0), blocks.argmin(axis=0).tolist()
        digs = int(least[arrival:].sum())
        for clique in self.cliques[arrival]:
            if len({nearest[member] for member in clique}) < len(clique):
                alone = blocks[:, clique].T[:, :, None]
                costs = (alone + np.arange(len(clique))).reshape(len(clique), -1)
                digs += int(costs[linear_sum_assignment(costs)].sum() - least[clique].sum())
        return digs

    def _blocks(self, stack: _Stack) -> Whole:
        """Units of a stack that each arrival would block, shape (stays,); `_NO_ROOM` if it is full."""
        found = self._blocked.get(stack)
        if found is None:
            gone = np.searchsorted(stack, self.first)
            found = np.searchsorted(stack, self.last) - gone
            found[len(stack) - gone >= self.height] = _NO_ROOM
            self._blocked[stack] = found
        return found

    def _cliques_from(self, arrival: int) -> list[list[int]]:
        """Disjoint sets of at least two later arrivals that all block one another, the largest first."""
        left = list(range(arrival, len(self.arrives)))
        cliques = []
        while len(largest := max((self._chain(last, left) for last in left), key=len, default=[])) > 1:
            cliques.append(largest)
            left = [member for member in left if member not in largest]
        return cliques

    def _chain(self, top: int, among: list[int]) -> list[int]:
        """The most stays that all are there when `top` arrives, and leave in the order of their arrival."""
        now = self.arrives[top]
        there = [member for member in among if member <= top and self.departs[member] > now]
        chains: dict[int, list[int]] = {}
        for member in there:
            beneath = (chains[low] for low in chains if self.departs[low] < self.departs[member])
            chains[member] = [*max(beneath, key=len, default=[]), member]
        return max(chains.values(), key=len)
