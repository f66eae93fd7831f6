"""Every allocation rule and index operation, single and in batches, from 258 slots to 2.58 million.

`sim.bench` says how they are timed: beside the empty call pair, the numpy masked argmin and the plain copy of
the answer, in turn, round by round. Each test first holds the decisions to a slow and obvious reference; the
ratios stand in `extra_info`, those with a goal in the table at the end. With `--benchmark-enable` the
smallest and the largest store are timed at 80 % full, all others by `meterhouse bench allocation`; without it
every case runs once on the two small sizes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.ratios import ratio
from sim.allocation import HORIZON, LIVE_POLICIES, MIXING_MS, OWN_RULES, Rule, allocate, allocate_batch
from sim.bench import (
    BATCH,
    FILLS,
    OPERATIONS,
    OPTIMUM_BOXES,
    SIZES,
    BatchTrial,
    IndexTrial,
    SingleTrial,
    Store,
    Trial,
    figures,
    place_optimally,
    put_back,
    ratios,
)
from sim.facts import NONE
from sim.slots import BoxView, SlotView
from sim.streams import Stream
from sim.turnover import Turnover

Keys = tuple[Any, ...]

GOAL_FILL = 80
"""Goals hold for stores so full, per cent."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The sizes of the goals when benchmarks are enabled, two small ones when they run as plain tests."""
    config = metafunc.config
    enabled = config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")
    sizes, fills = ((SIZES[0], SIZES[-1]), (GOAL_FILL,)) if enabled else (SIZES[:2], FILLS)
    racks = [(slots, fill) for slots in sizes for fill in fills]
    if "operation" in metafunc.fixturenames:
        cases = [(slots, fill, name) for slots, fill in racks for name in OPERATIONS]
        ids = [f"{slots}-{fill}-{name.replace(' ', '-')}" for slots, fill, name in cases]
        metafunc.parametrize(("slots", "fill", "operation"), cases, ids=ids)
    elif "call" in metafunc.fixturenames:
        names = [*LIVE_POLICIES, *OWN_RULES]
        calls = [(*r, name, call) for r in racks for name in names for call in ("single", "batch")]
        if enabled:
            calls = [case for case in calls if case[0] == SIZES[0] or case[2:] in GROWING]
        ids = ["-".join(map(str, case)) for case in calls]
        metafunc.parametrize(("slots", "fill", "name", "call"), calls, ids=ids)
    elif "boxes" in metafunc.fixturenames:
        metafunc.parametrize("boxes", [258, OPTIMUM_BOXES] if enabled else [258])


@lru_cache(maxsize=1)
def store_of(slots: int, fill: int, constrained: bool) -> "Plain":
    """One store at a time: the tests come in the order of the stores."""
    return Plain(Store(slots, fill, constrained=constrained))


def timed(benchmark: BenchmarkFixture, trial: Trial, kind: str, name: str) -> None:
    """Time a trial; its references come before each of its rounds."""

    def references() -> None:
        trial.prepare()
        for name, ns in trial.time_references().items():
            times[name].append(ns)

    times: dict[str, list[float]] = {name: [] for name in ("own", *trial.references)}
    layout = trial.store.layout
    benchmark.group = f"{layout.slots:,} slots, {trial.store.fill} % full"
    benchmark.pedantic(lambda: times["own"].append(trial.time_own()), setup=references, rounds=trial.rounds)
    trial.undo()
    found = {"boxes": trial.boxes, "steps": trial.steps, **figures(times)}
    benchmark.extra_info.update(found)
    CASES.append({"kind": kind, "rule": name, "slots": layout.slots, "fill": trial.store.fill, **found})
    hand_over(benchmark)


CASES: list[dict[str, Any]] = []
HANDED: set[str] = set()


def hand_over(benchmark: BenchmarkFixture, optimum: dict[str, Any] | None = None) -> None:
    """Hand over the goals of `sim.bench` of which something is known now and was not before."""
    known = {"cases": CASES, "fills": [GOAL_FILL], "optimum": optimum}
    for row in ratios(known, GOAL_FILL):
        if row["found"] is None or row["name"] in HANDED:
            continue
        HANDED.add(row["name"])
        way, _, limit = row["goal"].rpartition(" ")
        ratio(
            benchmark, row["name"], row["found"], against=AGAINST[row["unit"]],
            **{way.replace(" ", "_"): float(limit.replace(",", ""))},
        )  # fmt: skip


NOTHING_YET = {"cases": [], "fills": [GOAL_FILL], "optimum": None}
GROWING = {
    (row["name"].partition(",")[0], "single") for row in ratios(NOTHING_YET) if " over " in row["name"]
}
"""Cases with a goal for how the largest store compares with the smallest."""

AGAINST = {
    "empty call pairs": "two calls of nothing",
    "times": "the same in the small store",
    "times cheaper a box than single calls": "as many single calls",
    "times faster than linear assignment": "scipy's linear assignment",
    "relative difference": "the least possible",
}


# --- the obvious references ------------------------------------------------------------------------------


class Plain:
    """A store by plain arrays: what is open to a box, and the slots by rank."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.layout = store.layout
        self.slots = store.layout.slots
        self.position = (store.layout.column, store.layout.level, store.layout.row)
        self.aisle = np.array(store.layout.aisle[: self.slots])
        self.next_place = NONE
        self._views: dict[int, Plain.Shares] = {}
        self._serves = ""

    def serve(self, name: str) -> None:
        """Drop what the index has built for another rule than the one of this name."""
        if name != self._serves:
            self.store.forget()
        self._serves = name

    @cached_property
    def rank(self) -> Any:
        """The slots numbered by port time, ties by position."""
        order = np.lexsort((*self.position[::-1], self.store.port_ms))
        return np.argsort(order)

    @property
    def room(self) -> Any:
        return np.array(self.store.index.room)

    def takes(self, sku: int) -> Any:
        """Which slots may ever take boxes of the SKU."""
        admits = self.store.index.admits[self.store.index.class_of_sku[sku]]
        every = np.ones(self.slots, dtype=bool)
        return every if admits is None else np.frombuffer(admits, dtype=bool)

    def open_to(self, box: BoxView) -> Any:
        return np.flatnonzero((self.room > 0) & self.takes(box.sku) & self.store.is_used)

    class Shares:
        """What the SKUs hold of the places that a class of boxes may lie in."""

        def __init__(self, plain: "Plain", sku: int) -> None:
            turnover, mine = plain.store.turnover, plain.takes(sku)
            skus = range(len(turnover.demand))
            self.weights = [(plain.takes(s) & mine).sum() / plain.takes(s).sum() for s in skus]
            self.turnover = Turnover(
                [w * d for w, d in zip(self.weights, turnover.demand, strict=True)],
                [w * s for w, s in zip(self.weights, turnover.stock, strict=True)],
            )
            places = np.array(plain.layout.capacity) * mine
            # Places up to each slot, that one included, and before it, the nearest slot first.
            self.upto = np.cumsum(places[np.argsort(plain.rank)])
            self.before = (self.upto - places[np.argsort(plain.rank)])[plain.rank]

        def rank_of(self, place: float) -> int:
            return min(int(np.searchsorted(self.upto, int(place), side="right")), len(self.upto) - 1)

        def cut(self, shares: Sequence[float]) -> Any:
            """The part of each slot when the places are cut by shares."""
            ends = np.cumsum(shares)[:-1] * self.upto[-1] - 0.5
            return (self.before[:, None] >= ends).sum(axis=1)

    def shares(self, sku: int) -> "Plain.Shares":
        box_class = self.store.index.class_of_sku[sku]
        if box_class not in self._views:
            self._views[box_class] = Plain.Shares(self, sku)
        return self._views[box_class]

    def lots_at(self, lot: int) -> Any:
        """Whether each slot holds boxes of a lot."""
        store = self.store
        here = np.zeros(self.slots, dtype=bool)
        slots = [slot for slot, theirs in zip(store.held, store.lot, strict=True) if theirs == lot]
        here[[slot for slot in slots if slot != NONE]] = True
        return here

    def by_rank(self, box: BoxView, place: float) -> Keys:
        wanted = self.shares(box.sku).rank_of(place)
        return abs(self.rank - wanted), self.rank


def closest(box: BoxView, plain: Plain) -> Keys:
    return (plain.rank,)


def by_zone(box: BoxView, plain: Plain) -> Keys:
    shares = plain.shares(box.sku)
    of_sku, held = shares.turnover.classes(shares.turnover.borders(3))
    outward = (shares.cut(held) - of_sku[box.sku]) % 3
    return outward, plain.rank


def by_turnover(box: BoxView, plain: Plain) -> Keys:
    shares = plain.shares(box.sku)
    here = sum(w * n for w, n in zip(shares.weights, plain.store.index.stays.here, strict=True))
    faster = shares.turnover.fastest[: shares.turnover.fastest.index(box.sku)]
    before = sum(shares.turnover.stock[sku] for sku in faster) + shares.turnover.stock[box.sku] / 2
    return plain.by_rank(box, int(before * here))


def by_learned_stay(box: BoxView, plain: Plain) -> Keys:
    return plain.by_rank(box, plain.store.index.stays.boxes_before(box.sku, plain.shares(box.sku).weights))


def by_age(box: BoxView, plain: Plain) -> Keys:
    store, weights = plain.store, plain.shares(box.sku).weights
    days, skus = np.array(store.day), np.array(store.sku)
    older = 0.0
    for box_class in range(len(store.index.admits)):
        mine = np.array([theirs == box_class for theirs in store.index.class_of_sku])[skus]
        weight = weights[store.index.class_of_sku.index(box_class)]
        older += weight * ((days[mine] < box.verified_day).sum() + (days[mine] == box.verified_day).sum() / 2)
    return plain.by_rank(box, older)


def by_own_range(box: BoxView, plain: Plain) -> Keys:
    turnover = plain.shares(box.sku).turnover
    part = plain.shares(box.sku).cut([turnover.stock[sku] for sku in turnover.fastest])
    return part != turnover.fastest.index(box.sku), plain.rank


def by_lot(box: BoxView, plain: Plain) -> Keys:
    is_empty = plain.room == np.array(plain.layout.capacity)
    return np.where(plain.lots_at(box.lot), 0, np.where(is_empty, 1, 2)), plain.rank


def by_aisle(box: BoxView, plain: Plain) -> Keys:
    places = np.bincount(plain.aisle, np.array(plain.layout.capacity) * plain.takes(box.sku))
    free = np.bincount(plain.aisle, plain.room * plain.takes(box.sku) * plain.store.is_used)
    return plain.aisle != np.argmax(free / places), plain.rank


def by_weight(box: BoxView, plain: Plain) -> Keys:
    light, heavy = min(plain.store.weights_g), max(plain.store.weights_g)
    wanted = 1 + round((heavy - box.weight_g) / (heavy - light) * 4)
    return abs(plain.layout.level - wanted), plain.layout.level, plain.rank


def by_blockings(box: BoxView, plain: Plain) -> Keys:
    # Boxes are numbered by place and fill one stack of five after the other.
    boxes = np.arange(10 * plain.slots).reshape(-1, 10)
    leaves = boxes * 40_503 % 65_536 < plain.store.leaves_ms(box.box)
    stands = np.arange(10) < 10 - plain.room[:, None]
    first, second = (leaves & stands)[:, :5].sum(axis=1), (leaves & stands)[:, 5:].sum(axis=1)
    return np.where(plain.room > 5, np.minimum(first, second), second), plain.rank


def by_leg(box: BoxView, plain: Plain) -> Keys:
    return plain.store.port_ms + plain.store.travel.one_way_ms(plain.next_place), plain.rank


OBVIOUS: dict[str, Callable[[BoxView, Plain], Keys]] = {
    "closest-open": closest,
    "farthest-open": lambda box, plain: (-plain.rank,),
    "first-free": lambda box, plain: plain.position,
    "class-based": by_zone,
    "turnover": by_turnover,
    "learned-stay": by_learned_stay,
    "lot-pure": by_lot,
    "levelling": lambda box, plain: (-plain.room, plain.rank),
    "dedicated": by_own_range,
    "closest-to-destination": lambda box, plain: (
        plain.store.travel.one_way_ms(plain.layout.outbound),
        *plain.position,
    ),
    "closest-to-next-retrieval": lambda box, plain: (
        plain.store.travel.one_way_ms(plain.next_place),
        plain.rank,
    ),
    "shortest-leg": by_leg,
    "aisle-balanced": by_aisle,
    "heavy-low": by_weight,
    "age-zoned": by_age,
    "fewest-blockings": by_blockings,
    "optimal-turnover": closest,
}
"""What each rule makes least among the open slots, the first key before the next."""


def obvious(keys: Keys, slots: Any) -> int:
    """The open slot with the least keys: by Python's own `min` in a small store, else key by key."""
    if not len(slots):
        return NONE
    if len(keys[0]) <= 1_000:
        return min(slots.tolist(), key=lambda slot: tuple(key[slot] for key in keys))
    for key in keys:
        slots = slots[key[slots] == key[slots].min()]
    return int(slots[0])


def costs_by_hand(boxes: Sequence[BoxView], places: Any, plain: Plain) -> Any:
    """What each box costs in each place: speed times way, and half a dig where lots get mixed."""
    speeds = np.array(plain.store.turnover.speed)[[box.sku for box in boxes]]
    is_taken = (plain.room != np.array(plain.layout.capacity))[places]
    mixed = [is_taken & ~plain.lots_at(box.lot)[places] for box in boxes]
    return np.outer(speeds, plain.store.port_ms[places]) + MIXING_MS * np.array(mixed)


def least_cost(costs: Any) -> float:
    from scipy.optimize import linear_sum_assignment

    return float(costs[linear_sum_assignment(costs)].sum())


def nearest_places(count: int, box: BoxView, plain: Plain) -> Any:
    slots = plain.open_to(box)
    slots = slots[np.argsort(plain.rank[slots])][:count]
    return np.repeat(slots, plain.room[slots])[:count]


# --- the decisions ---------------------------------------------------------------------------------------


@contextmanager
def boxes_out(plain: Plain, rule: Rule | None = None) -> Iterator[Iterator[tuple[int, BoxView]]]:
    """A handful of times a known box leaves and another comes: its number, and what is to be stored."""

    def one_after_the_other() -> Iterator[tuple[int, BoxView]]:
        for number, k in enumerate(numbers):
            index.give(store.held[k], store.lot[k])
            store.held[k] = NONE
            plain.next_place = store.held[numbers[number - 1]]
            yield k, store.box(k, number)

    store, index, handful = plain.store, plain.store.index, 8 if plain.slots <= 10_000 else 2
    if rule is not None:
        store.stack(rule, live=True)
    numbers = np.random.default_rng(plain.slots).choice(len(store.held), handful, replace=False).tolist()
    was, room = [store.held[k] for k in numbers], index.open_places
    index.next_retrieval = lambda: plain.next_place
    try:
        yield one_after_the_other()
        put_back(store, numbers, was)
    finally:
        if index.open_places != room:
            store_of.cache_clear()


def put(plain: Plain, k: int, slot: int) -> None:
    plain.store.index.take(slot, plain.store.lot[k])
    plain.store.held[k] = slot


def check_single(plain: Plain, name: str, rule: Rule) -> None:
    """Box by box the rule names what the obvious reference names."""
    store, stream = plain.store, Stream(1, "bench")
    announced = store.batch(range(40, 40 + HORIZON - 1), 100)
    store.index.announced = lambda: announced
    with boxes_out(plain, rule) as out:
        for k, box in out:
            slots = plain.open_to(box)
            slot = allocate(rule, box, store.index, stream)
            assert slot in slots
            if name in OBVIOUS:
                assert slot == obvious(OBVIOUS[name](box, plain), slots)
            if name == "assignment":
                # The cheapest assignment stays the cheapest when the box has got this slot.
                of_class = store.index.class_of_sku
                boxes = [box, *(one for one in announced if of_class[one.sku] == of_class[box.sku])]
                places = nearest_places(max(64, 4 * len(boxes)), box, plain)
                costs, mine = costs_by_hand(boxes, places, plain), int(np.flatnonzero(places == slot)[0])
                rest = least_cost(np.delete(costs[1:], mine, axis=1)) if len(boxes) > 1 else 0.0
                assert costs[0, mine] + rest == pytest.approx(least_cost(costs), rel=1e-12)
            put(plain, k, slot)


def check_batch(plain: Plain, name: str, rule: Rule) -> None:
    """A batch decides as single calls do, each box placed before the next, or at least cost, all in view."""
    store, stream = plain.store, Stream(1, "bench")
    store.stack(rule, live=False)
    light = [k for k, sku in enumerate(store.sku[:2_000]) if store.index.class_of_sku[sku] == 0]
    boxes = store.batch(light[: 40 if plain.slots <= 10_000 else 4])
    plain.next_place = store.held[0]
    store.index.next_retrieval = lambda: plain.next_place
    named = allocate_batch(rule, boxes, store.index, stream)
    if name == "optimal-turnover":
        # No pairing of the same numbers has a smaller sum of products than the largest with the smallest.
        speeds = np.array(store.turnover.speed)[[box.sku for box in boxes]]
        ways = np.sort(store.port_ms[nearest_places(len(boxes), boxes[0], plain)])
        least = float((np.sort(speeds)[::-1] * ways).sum())
        assert float((speeds * store.port_ms[named]).sum()) == pytest.approx(least, rel=1e-12)
        assert least_cost(np.outer(speeds, ways)) == pytest.approx(least, rel=1e-12)
    elif name == "assignment":
        costs = costs_by_hand(boxes, nearest_places(max(64, 4 * len(boxes)), boxes[0], plain), plain)
        paid = np.diagonal(costs_by_hand(boxes, named, plain)).sum()
        assert float(paid) == pytest.approx(least_cost(costs), rel=1e-12)
    elif rule.column is not None:
        assert named[0] == obvious(OBVIOUS[name](boxes[0], plain), plain.open_to(boxes[0]))
    else:
        assert named.tolist() == one_by_one(plain, rule, boxes)


def one_by_one(plain: Plain, rule: Rule, boxes: Sequence[BoxView]) -> list[int]:
    """The slots that single calls name, each box placed for good before the next; then all is undone."""
    index, stream, slots = plain.store.index, Stream(1, "bench"), []
    stays, index.stays = index.stays, index.stays.copy()
    for box in boxes:
        slots.append(allocate(rule, box, index, stream))
        index.take(slots[-1], box.lot)
        index.stays.arrived(box.sku, box.now_ms, box.verified_day)
    for box, slot in zip(boxes, slots, strict=True):
        index.give(slot, box.lot)
    index.stays = stays
    return slots


def ask_class(view: SlotView, box: BoxView, plain: Plain) -> tuple[int, Keys]:
    start, end = view.zones_of(box.sku)[0]
    found = view.first_open("port_time", start, end)
    if found == NONE:
        found = view.first_open()
    return found, ((plain.rank < start) | (plain.rank >= end), plain.rank)


def ask_turnover(view: SlotView, box: BoxView, plain: Plain) -> tuple[int, Keys]:
    rank = view.earned_rank(box.sku)
    return view.nearest_open(rank), (abs(plain.rank - rank), plain.rank)


def ask_dual(view: SlotView, box: BoxView, plain: Plain) -> tuple[int, Keys]:
    times = plain.store.travel.one_way_ms(plain.next_place)
    return view.nearest_to(plain.next_place), (times, plain.rank)


ASKED: dict[str, Callable[[SlotView, BoxView, Plain], tuple[int, Keys]]] = {
    "closest": lambda view, box, plain: (view.first_open(), (plain.rank,)),
    # Any open slot will do; the same one when nothing has changed.
    "random": lambda view, box, plain: (view.any_open(0.3), (plain.rank != plain.rank[view.any_open(0.3)],)),
    "class": ask_class,
    "turnover": ask_turnover,
    "dual command": ask_dual,
}
"""What each operation answers, and the keys that it makes least."""


# --- the benchmarks --------------------------------------------------------------------------------------


def test_index_operation(benchmark: BenchmarkFixture, slots: int, fill: int, operation: str) -> None:
    """An operation of the index without a rule, one box out and one box in."""
    plain = store_of(slots, fill, False)
    plain.serve(operation)
    with boxes_out(plain) as out:
        for k, box in out:
            found, keys = ASKED[operation](plain.store.index.views[0], box, plain)
            slots_open = plain.open_to(box)
            assert found in slots_open
            assert found == obvious(keys, slots_open)
            put(plain, k, found)
    timed(benchmark, IndexTrial(plain.store, operation), "index", operation)


def test_rule(benchmark: BenchmarkFixture, slots: int, fill: int, name: str, call: str) -> None:
    """A rule with constraints on: one box out and one box in, or a batch of boxes."""
    plain, rule = store_of(slots, fill, True), {**LIVE_POLICIES, **OWN_RULES}[name]
    plain.serve(name)
    if call == "single":
        check_single(plain, name, rule)
    else:
        check_batch(plain, name, rule)
    # Run as a plain test, a batch is small.
    most = 20 if benchmark.disabled else BATCH

    def trial() -> Trial:
        return SingleTrial(plain.store, rule) if call == "single" else BatchTrial(plain.store, rule, most)

    trial()  # what the rule asks for is built when the first box of a class comes, which may be late
    timed(benchmark, trial(), call, name)


@pytest.mark.timeout(300)
def test_optimal_turnover_against_assignment(benchmark: BenchmarkFixture, boxes: int) -> None:
    """Sorting reaches the value of the linear assignment; how much faster stands in `extra_info`."""
    placed = benchmark.pedantic(lambda: place_optimally(boxes), rounds=1)
    assert placed["sort_value"] == pytest.approx(placed["assignment_value"], rel=1e-9)
    benchmark.extra_info.update(placed)
    if boxes == OPTIMUM_BOXES:
        hand_over(benchmark, placed)
