"""How fast allocation is: rules and index operations from 258 slots to 2.58 million, timed beside references.

A case is a rule (or an operation of the index) in a rack of one size, filled at random to one share. Its
rounds are alike: the store is as it was, other boxes come. In every round the case and its references are
timed in turn, by the CPU time of the process, so that only ratios of one run count and load from elsewhere
strikes all of them:

- the empty call pair: the same loop round two empty methods;
- the numpy masked argmin, `np.where(open, cost, inf).argmin()`, one pass over all slots a box;
- the plain copy of the answer, which is known beforehand and only written down;
- for a batch the same boxes asked one by one, each placed before the next.

Left out: what a ledger does around a decision (columns and tiers, stays seen, facts), and memory.
"""

import gc
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import compress, cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.allocation import (
    HORIZON,
    LIVE_POLICIES,
    OWN_RULES,
    POLICIES,
    Rule,
    SlotIndex,
    allocate_batch,
    rule_named,
)
from sim.facts import NONE
from sim.layout import Layout, LayoutParams, RestrictedParams
from sim.robots import RobotParams
from sim.slots import MOST_TABLE_SLOTS, BoxView, Stack
from sim.streams import Stream
from sim.travel import Travel
from sim.turnover import Turnover
from sim.words import near, one_of, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Ints = NDArray[np.int64]

SIZES: Final = (258, 2_580, 25_800, 258_000, 2_580_000)
FILLS: Final = (50, 80, 95)
"""Shares of the places that are taken, per cent."""

QUICK_SIZES: Final = (258, 2_580, 25_800)
QUICK_FILLS: Final = (80,)

LEAST_SLOTS: Final = 100
MOST_SLOTS: Final = 5_000_000

BATCH: Final = 258
"""Boxes of a batch, as far as there are places for so many."""

OPTIMUM_BOXES: Final = 2_475
"""Boxes that are placed optimally, by sorting and by linear assignment."""

PLACES: Final = 10
ROUNDS: Final = 15
LEAST_ROUNDS: Final = 5
"""Rounds of a case, and of one whose loop takes long."""


_STEPS: Final = 1_000  # most steps of a round
_ROUND_NS: Final = 3_000_000  # what the steps of a round may take
_LEAST_LOOP_NS: Final = 100_000  # shorter loops say more of the timer than of themselves
_LONG_NS: Final = 50_000_000
_MOST_BATCH_NS: Final = 300_000_000
_HELD: Final = 258_000  # most boxes that are known one by one
_LOT_BOXES: Final = 60
_SKUS: Final = 20
_BLOCKED_SHARE: Final = 0.01
_TODAY: Final = 739_000


class BenchError(ValueError):
    """A benchmark that cannot be run or read; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


# --- a store to be timed ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def rack(slots: int) -> tuple[Layout, Travel]:
    """A rack of so many slots of 10 boxes on five levels, in the proportions of the reference store.

    Boxes above 13 kg may not lie on the top level. What a full grid has too many is left out at column 1.
    """
    rows = 2 * max(1, round((slots / 5 / 3.25) ** 0.5 / 2))
    columns = -(-slots // (5 * rows))
    spare = 5 * rows * columns - slots
    digits = max(2, len(str(columns)))
    omit = [f"{(k + 1) % rows + 1}-{1:0{digits}d}-{k // rows + 1}" for k in range(spare)]
    params = LayoutParams(
        rows=rows, columns=columns, levels=5, omit=omit, profile="uniform", boxes_per_slot=PLACES,
        restricted=[RestrictedParams(levels=[5], most_box_kg=13.0)],
    )  # fmt: skip
    layout = Layout(params, meters_per_box=15, box_height_m=0.2, access="direct", robots=1)
    return layout, Travel(layout, RobotParams())


def abc_turnover() -> Turnover:
    """20 SKUs, each with 4/5 of the demand of the one before; stock as the square root of demand (EOQ)."""
    demand = 0.8 ** np.arange(_SKUS)
    return Turnover(demand.tolist(), np.sqrt(demand).tolist())


class Store:
    """A rack filled at random: holes over all places, 20 SKUs of an ABC curve, lots of 60 boxes.

    Up to 258,000 of its boxes are known one by one, by number; they are the ones that leave and come again.

    Attributes
    ----------
    index : the open places.
    held : the slot of each known box.
    sku, lot, day : of each known box; `day` is the ordinal of its verification.
    room : places open in each slot at the start.
    boxes : all boxes in the store.

    Parameters
    ----------
    slots : slots of the rack.
    fill : share of the places that is taken, per cent.
    constrained : whether a quarter of the SKUs is too heavy for the top level and 1 % of the slots is out of
        use; without, one class of boxes may lie anywhere, and lots are not followed.
    """

    def __init__(self, slots: int, fill: int, *, constrained: bool) -> None:
        self.layout, self.travel = layout, travel = rack(slots)
        self.fill = fill
        rng = np.random.default_rng([slots, fill])
        self.turnover = abc_turnover()
        self.weights_g = [6_000 + 3_000 * (sku % 4) for sku in range(_SKUS)]
        admits = [layout.admits("", weight) if constrained else None for weight in self.weights_g]
        classes = list(dict.fromkeys(admits))
        self.port_ms = travel.one_way_ms(layout.inbound)
        self.index = index = SlotIndex(
            layout, self.port_ms.tolist(), self.turnover, travel=travel, admits=classes,
            class_of_sku=[classes.index(each) for each in admits],
        )  # fmt: skip
        self.is_used = np.ones(slots, dtype=bool)
        if constrained:
            self.is_used[rng.choice(slots, int(_BLOCKED_SHARE * slots), replace=False)] = False
            for slot in np.flatnonzero(~self.is_used).tolist():
                index.block(slot, True)

        self.boxes = PLACES * slots * fill // 100
        holes = rng.choice(PLACES * slots, PLACES * slots - self.boxes, replace=False, shuffle=False)
        room = np.bincount(holes // PLACES, minlength=slots)
        self._fill(room)
        self._know_boxes(rng, room, follow_lots=constrained)
        index.weights_g = min(self.weights_g), max(self.weights_g)
        index.leaves_ms = self.leaves_ms
        self.room: list[int] = room.tolist()
        self._standing = self.room
        self.forget()
        # For the references.
        self.rank_cost = np.empty(slots)
        self.rank_cost[index.order("port_time").slots] = np.arange(slots)
        self.is_open = (room > 0) & self.is_used
        self.scratch = list(self.held)

    def _fill(self, room: Ints) -> None:
        """The index as it is after a `take` of every place but the holes, without 20 million calls."""
        index = self.index
        index.room[:] = room.tolist()
        for box_class, admits in enumerate(index.admits):
            order = index.order("port_time", box_class)
            is_open = (room > 0) & self.is_used
            if admits is not None:
                is_open &= np.frombuffer(admits, dtype=bool)
            order.open[:] = is_open[order.slots].tobytes()

    def _know_boxes(self, rng: np.random.Generator, room: Ints, *, follow_lots: bool) -> None:
        """Draw the boxes that are known one by one, and what the store has seen of all."""
        slots = np.repeat(np.arange(len(room)), np.where(self.is_used, PLACES - room, 0))
        held = rng.choice(slots, min(_HELD, len(slots)), replace=False)
        sku = rng.choice(_SKUS, len(held), p=self.turnover.stock)
        # A heavy box does not lie on the top level; every fourth SKU is heavy.
        sku[(sku % 4 == 3) & (self.layout.level[held] == 5)] -= 1
        day = _TODAY - rng.integers(0, 360, len(held))
        lot = np.zeros(len(held), dtype=np.int64)
        for one in range(_SKUS):
            here = np.flatnonzero(sku == one)
            lot[here] = one * _HELD + np.arange(len(here)) // _LOT_BOXES
        self.held: list[int] = held.tolist()
        self.sku: list[int] = sku.tolist()
        self.lot: list[int] = lot.tolist() if follow_lots else [NONE] * len(held)
        self.day: list[int] = day.tolist()

        index = self.index
        if follow_lots:
            for slot, number in zip(self.held, self.lot, strict=True):
                in_slots = index.lots.setdefault(number, {})
                in_slots[slot] = in_slots.get(slot, 0) + 1
        self._see_boxes(sku, day)

    def _see_boxes(self, sku: Ints, day: Ints) -> None:
        """Let the index see the known boxes come ten days ago, and stays that agree with the turnover."""
        stays, now_ms = self.index.stays, 10 * 86_400_000
        for one, ordinal in zip(sku.tolist(), day.tolist(), strict=True):
            stays.arrived(one, 0, ordinal)
        # All boxes of the store count, not the known ones alone; their days are those of the known ones.
        of_all = self.boxes / len(sku)
        stays.here[:] = [round(boxes * of_all) for boxes in stays.here]
        stays.boxes = self.boxes
        for k in np.argsort(sku, kind="stable").tolist():
            one = self.sku[k]
            if stays.left_boxes[one] < 1 + 200 * self.turnover.demand[one]:
                stays.left(one, now_ms, self.day[k])
                stays.arrived(one, now_ms, self.day[k])

    def box(self, known: int, number: int) -> BoxView:
        """A new box of that number, otherwise like a known one."""
        sku = self.sku[known]
        return BoxView(number, sku, self.lot[known], self.day[known], 15, weight_g=self.weights_g[sku])

    def batch(self, known: Sequence[int], first: int = 0) -> list[BoxView]:
        """New boxes, numbered from the first on, otherwise like known ones."""
        return [self.box(k, number) for number, k in enumerate(known, first)]

    def forget(self) -> None:
        """Drop what the index has built for a rule: a store keeps up only what its own rule asks for."""
        index = self.index
        index.forget()
        # Tables that are made when a place is first asked for: a store at work has all of them.
        for place in range(len(index.room) if len(index.room) <= MOST_TABLE_SLOTS else 0):
            for view in index.views:
                view.nearest_to(place)
                view.on_the_way_to(place)

    def stack(self, rule: Rule, *, live: bool) -> None:
        """Have boxes stand on one another for a rule that chooses stacks, as they do now or did at first."""
        self._standing = self.index.room if live else self.room
        self.index.stacks = self._stacks if rule.column is not None else None

    def leaves_ms(self, box: int) -> float:
        """When a box is expected to leave: any time, without a pattern."""
        return float(box * 40_503 % 65_536)

    def _stacks(self, slot: int) -> list[Stack]:
        """The stacks of a slot, filled one after the other with boxes that are numbered by place."""
        stacks, first, boxes = [], slot * PLACES, PLACES - self._standing[slot]
        for height in self.layout.stacks[slot]:
            here = min(height, boxes)
            stacks.append(Stack(tuple(range(first, first + here)), height - here))
            first, boxes = first + height, boxes - here
        return stacks


# --- what is timed ---------------------------------------------------------------------------------------


class _Nothing:
    """The empty call pair."""

    def give(self, slot: int) -> None:
        pass

    def place(self, box: int) -> int:
        return box


class Trial:
    """A case and its references, timed once in each round.

    A subclass says in `_come` what comes in a round and in `_work` what is timed; `steps` is how often the
    work is done in each of the `rounds`, and `boxes` how many boxes that handles each time.

    Parameters
    ----------
    store : the store, as it was before and will be after `undo`.
    """

    boxes = 1
    steps = _STEPS
    rounds = ROUNDS
    references: tuple[str, ...] = ("pair", "copy", "argmin")

    def __init__(self, store: Store) -> None:
        self.store = store
        self._rng = np.random.default_rng(len(store.held))
        self._numbers: list[int] = []
        self._was: list[int] = []
        self._arrived = 0
        self._argmins = max(1, min(50, 129_000 // store.layout.slots))
        self._calibrate()

    def _calibrate(self) -> None:
        """Choose steps for a loop of a few milliseconds, or of one step where that takes longer."""
        for self.steps in (1, 1, 4):  # the first one builds what the rule asks for
            self.prepare()
            ns = self.time_own()
        most = len(self._numbers)
        self.steps = next((n for n in (_STEPS, 300, 100, 30, 10, 3) if n <= most and n * ns <= _ROUND_NS), 1)
        self._choose_rounds(ns)
        self.undo()

    def _choose_rounds(self, ns: float) -> None:
        self.rounds = ROUNDS if ns * self.steps * self.boxes < _LONG_NS else LEAST_ROUNDS

    def prepare(self) -> None:
        """Put the store back and let other boxes come; to be called before each round."""
        self.undo()
        held = self.store.held
        self._numbers = self._rng.choice(len(held), min(_STEPS, len(held)), replace=False).tolist()
        self._was = [held[k] for k in self._numbers]
        self._come()

    def time_own(self) -> float:
        """CPU nanoseconds a box of the case itself."""
        return _cpu_ns(self._work) / (self.steps * self.boxes)

    def time_references(self) -> dict[str, float]:
        """CPU nanoseconds a box of each reference."""
        return {name: getattr(self, f"_time_{name}")() for name in self.references}

    def undo(self) -> None:
        """Put the store back to what it was before the round."""

    def _come(self) -> None:
        raise NotImplementedError

    def _work(self) -> None:
        raise NotImplementedError

    def _time_pair(self) -> float:
        def loop() -> None:
            for k in numbers:
                give(held[k])
                held[k] = place(k)

        nothing, numbers, held = _Nothing(), self._numbers, self.store.scratch
        give, place = nothing.give, nothing.place
        return _cpu_ns(loop) / len(numbers)

    def _time_copy(self) -> float:
        def loop() -> None:
            for _ in range(10):
                for k, slot in zip(numbers, answers, strict=True):
                    held[k] = slot

        numbers, answers, held = self._numbers, self._was, self.store.scratch
        return _cpu_ns(loop) / (10 * len(numbers))

    def _time_argmin(self) -> float:
        def loop() -> None:
            for slot in slots:
                was = is_open[slot]
                is_open[slot] = True
                np.where(is_open, cost, np.inf).argmin()
                is_open[slot] = was

        slots, is_open, cost = self._was[: self._argmins], self.store.is_open, self.store.rank_cost
        return _cpu_ns(loop) / len(slots)


class SingleTrial(Trial):
    """One box leaves, the rule is asked for another, and its place is taken: a step."""

    def __init__(self, store: Store, rule: Rule) -> None:
        self.rule = rule
        self._stream = Stream(1, "bench")
        store.stack(rule, live=True)
        super().__init__(store)

    def _come(self) -> None:
        store = self.store
        # As a run does: lots are followed for the rules that need them, and for a rule of the user's.
        store.index.follows_lots = "lots" in self.rule.needs or self.rule in OWN_RULES.values()
        self._boxes = store.batch(self._numbers[: self.steps], self._arrived)
        self._arrived += self.steps
        going = [store.held[k] for k in self._rng.integers(0, len(store.held), self.steps).tolist()]
        store.index.next_retrieval = cycle(going).__next__
        announced = store.batch(self._numbers[: HORIZON - 1], self._arrived)
        store.index.announced = lambda: announced

    def _work(self) -> None:
        index, held = self.store.index, self.store.held
        give, take, view_of, choose, stream = (
            index.give, index.take, index.view_of, self.rule.choose, self._stream,
        )  # fmt: skip
        # As many boxes as steps; more numbers are drawn than that.
        for box, k in zip(self._boxes, self._numbers, strict=False):
            lot = box.lot
            give(held[k], lot)
            slot = choose(box, view_of(box.sku), stream)
            if slot == NONE:
                slot = held[k]
            take(slot, lot)
            held[k] = slot

    def undo(self) -> None:
        """Give back what was taken, then take what was given."""
        put_back(self.store, self._numbers, self._was)
        self.store.index.follows_lots = True


class IndexTrial(Trial):
    """One box leaves, the index is asked without a rule, and the place is taken: a step.

    `operation` is one of `OPERATIONS`.
    """

    def __init__(self, store: Store, operation: str) -> None:
        self.operation = operation
        super().__init__(store)

    def _come(self) -> None:
        self._arguments = OPERATIONS[self.operation].arguments(self.store, self._numbers[: self.steps])

    def _work(self) -> None:
        OPERATIONS[self.operation].loop(self.store, self._numbers[: self.steps], self._arguments)

    def undo(self) -> None:
        """Give back what was taken, then take what was given."""
        put_back(self.store, self._numbers, self._was)


class BatchTrial(Trial):
    """Slots for a batch of boxes of one class, none of which is placed; nothing is changed.

    A rule without a batch of its own gets fewer boxes than `most` where those would take longer than 0.3 s.
    """

    references = ("pair", "copy", "argmin", "single")

    def __init__(self, store: Store, rule: Rule, most: int = BATCH) -> None:
        self.rule = rule
        self._most = most
        self._stream = Stream(1, "bench")
        self._light = [k for k, sku in enumerate(store.sku) if store.index.class_of_sku[sku] == 0]
        self._taken: list[tuple[int, int]] = []
        store.stack(rule, live=False)
        self.answer = np.empty(0, dtype=np.int64)
        super().__init__(store)

    def _calibrate(self) -> None:
        most = min(self._most, len(self._light), sum(compress(self.store.room, self.store.is_used)))
        self.steps, self.boxes = 1, min(4, most)
        for _ in range(2):
            self.prepare()
            ns = self.time_own()
        if self.rule.batch is None:
            most = max(self.boxes, min(most, int(_MOST_BATCH_NS / ns)))
        self.boxes = most
        self.prepare()
        ns = self.time_own()
        self.steps = next((n for n in (1, 3, 10, 30) if n * ns * most >= 2 * _LEAST_LOOP_NS), 100)
        self._choose_rounds(ns)

    def _come(self) -> None:
        store, light = self.store, self._light
        numbers = self._rng.choice(len(light), self.boxes, replace=False).tolist()
        self._boxes = store.batch([light[k] for k in numbers], self._arrived)
        self._arrived += self.boxes
        going = [store.held[k] for k in numbers]
        store.index.next_retrieval = cycle(going).__next__
        store.index.announced = lambda: self._boxes[: HORIZON - 1]

    def _work(self) -> None:
        rule, boxes, index, stream = self.rule, self._boxes, self.store.index, self._stream
        for _ in range(self.steps):
            self.answer = allocate_batch(rule, boxes, index, stream)

    def _time_copy(self) -> float:
        def loop() -> None:
            for _ in range(300):
                answer.copy()

        answer = self.answer if len(self.answer) else np.zeros(self.boxes, dtype=np.int64)
        return _cpu_ns(loop) / (300 * len(answer))

    def _time_single(self) -> float:
        def loop() -> None:
            for box in boxes:
                slot = choose(box, view_of(box.sku), stream)
                if slot != NONE:
                    take(slot, box.lot)
                    taken.append((slot, box.lot))

        index, boxes, taken, stream = self.store.index, self._boxes, self._taken, self._stream
        choose, view_of, take = self.rule.choose, index.view_of, index.take
        ns = _cpu_ns(loop) / len(boxes)
        self.undo()
        return ns

    def undo(self) -> None:
        """Give back what the reference took."""
        for slot, lot in reversed(self._taken):
            self.store.index.give(slot, lot)
        self._taken.clear()


class Operation(NamedTuple):
    """An operation of the index: what it is asked with for some boxes, and the loop round it."""

    arguments: Callable[[Store, Sequence[int]], Sequence[Any]]
    loop: Callable[[Store, Sequence[int], Sequence[Any]], None]


def _first_open_loop(store: Store, numbers: Sequence[int], _arguments: Sequence[Any]) -> None:
    index, held = store.index, store.held
    give, take, first_open = index.give, index.take, index.views[0].first_open
    for k in numbers:
        give(held[k])
        slot = first_open()
        take(slot)
        held[k] = slot


def _any_open_loop(store: Store, numbers: Sequence[int], uniforms: Sequence[float]) -> None:
    index, held = store.index, store.held
    give, take, any_open = index.give, index.take, index.views[0].any_open
    for k, u in zip(numbers, uniforms, strict=True):
        give(held[k])
        slot = any_open(u)
        take(slot)
        held[k] = slot


def _zone_loop(store: Store, numbers: Sequence[int], zones: Sequence[tuple[int, int]]) -> None:
    index, held = store.index, store.held
    give, take, first_open = index.give, index.take, index.views[0].first_open
    for k, (start, end) in zip(numbers, zones, strict=True):
        give(held[k])
        slot = first_open("port_time", start, end)
        if slot == NONE:
            slot = first_open()
        take(slot)
        held[k] = slot


def _nearest_open_loop(store: Store, numbers: Sequence[int], ranks: Sequence[int]) -> None:
    index, held = store.index, store.held
    give, take, nearest_open = index.give, index.take, index.views[0].nearest_open
    for k, rank in zip(numbers, ranks, strict=True):
        give(held[k])
        slot = nearest_open(rank)
        take(slot)
        held[k] = slot


def _nearest_to_loop(store: Store, numbers: Sequence[int], places: Sequence[int]) -> None:
    index, held = store.index, store.held
    give, take, nearest_to = index.give, index.take, index.views[0].nearest_to
    for k, place in zip(numbers, places, strict=True):
        give(held[k])
        slot = nearest_to(place)
        take(slot)
        held[k] = slot


def _uniforms(_store: Store, numbers: Sequence[int]) -> list[float]:
    stream = Stream(1, "bench")
    return [stream.uniform(k) for k in numbers]


def _next_places(store: Store, numbers: Sequence[int]) -> list[int]:
    """Of each box, the slot of the box that left before it: where the robot is, or goes to next."""
    return [store.held[k] for k in (*numbers[1:], numbers[0])]


OPERATIONS: Final[dict[str, Operation]] = {
    "closest": Operation(lambda _store, numbers: numbers, _first_open_loop),
    "random": Operation(_uniforms, _any_open_loop),
    "class": Operation(
        lambda store, numbers: [store.index.views[0].zones_of(store.sku[k])[0] for k in numbers], _zone_loop
    ),
    "turnover": Operation(
        lambda store, numbers: [store.index.views[0].earned_rank(store.sku[k]) for k in numbers],
        _nearest_open_loop,
    ),
    "dual command": Operation(_next_places, _nearest_to_loop),
}
"""Operations of the index: `first_open`, `any_open`, `first_open` in a zone, `nearest_open`, `nearest_to`."""


def put_back(store: Store, numbers: Sequence[int], was: Sequence[int]) -> None:
    """Put known boxes back into the slots where they were."""
    held, lot, index = store.held, store.lot, store.index
    moved = [(k, held[k], slot) for k, slot in zip(numbers, was, strict=True) if held[k] != slot]
    for k, now, _ in moved:
        index.give(now, lot[k])
    for k, _, slot in moved:
        index.take(slot, lot[k])
        held[k] = slot


def _cpu_ns(work: Callable[[], None]) -> int:
    """CPU time of one call in nanoseconds, the collector held back."""
    collects = gc.isenabled()
    gc.disable()
    start = time.process_time_ns()
    work()
    ns = time.process_time_ns() - start
    if collects:
        gc.enable()
    return ns


# --- one case --------------------------------------------------------------------------------------------


def measure(trial: Trial) -> dict[str, list[float]]:
    """Nanoseconds a box in each round, of the case (`own`) and of each reference."""
    times: dict[str, list[float]] = {name: [] for name in ("own", *trial.references)}
    for _ in range(trial.rounds):
        trial.prepare()
        for name, ns in trial.time_references().items():
            times[name].append(ns)
        times["own"].append(trial.time_own())
    trial.undo()
    return times


def figures(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Best and median of each, and the case over each reference: best over best, and the median of rounds."""
    own = times["own"]
    others = [name for name in times if name != "own"]
    return {
        "rounds": len(own),
        "ns": {name: round(min(ns), 2) for name, ns in times.items()},
        "median_ns": {name: round(median(ns), 2) for name, ns in times.items()},
        "ratio": {name: _digits(min(own) / min(times[name])) for name in others},
        "median_ratio": {
            name: _digits(median(a / b for a, b in zip(own, times[name], strict=True))) for name in others
        },
    }


def decisions(store: Store, name: str, rule: Rule, boxes: int = 8) -> str:
    """A short digest of what a rule decides for some boxes, each placed before the next.

    Raises
    ------
    BenchError
        When the rule names a slot that may not take the box.
    """
    index, stream, slots = store.index, Stream(1, "bench"), []
    store.stack(rule, live=False)
    index.next_retrieval = cycle(store.held[:boxes]).__next__
    coming = store.batch(range(boxes))
    index.announced = lambda: coming[1:]
    with index.trial() as place:
        for box in coming:
            view = index.view_of(box.sku)
            slot = rule.choose(box, view, stream)
            if slot != NONE:
                if not view.is_open(slot):
                    where = f"rule {name}, {store.layout.slots:,} slots, {store.fill} % full"
                    raise BenchError([f"{where}: expected an open slot or NONE, found {show(slot)}"])
                place(box, slot, rule.column(box, view, slot) if rule.column is not None else NONE)
            slots.append(slot)
    return hashlib.sha256(np.array(slots, dtype="<i8").tobytes()).hexdigest()[:12]


# --- all of them -----------------------------------------------------------------------------------------


def run_allocation(
    sizes: Sequence[int] = SIZES,
    fills: Sequence[int] = FILLS,
    rules: Sequence[str] | None = None,
    progress: Callable[[float], None] | None = None,
    *,
    optimum: bool = True,
) -> dict[str, Any]:
    """Time rules and index operations in racks of several sizes and fills; JSON-ready.

    Parameters
    ----------
    sizes : slots of the racks, 100 to 5 million.
    fills : shares of the places that are taken, 1 to 99 per cent.
    rules : names, aliases and own rules that were loaded; all that a store can follow when not given.
    progress : is told the share done, 0 to 1.
    optimum : whether `optimal-turnover`, if it is among the rules, also places 2,475 boxes beside the linear
        assignment, which takes half a minute.

    Raises
    ------
    BenchError
        For a size, a fill or a rule that cannot be timed, and for a rule that names a slot which may not take
        its box.
    """
    names = list(rules) if rules is not None else [*LIVE_POLICIES, *OWN_RULES]
    _refuse(sizes, fills, names)
    machine = machine_facts()
    optimum = optimum and POLICIES["optimal-turnover"] in map(rule_named, names)
    racks = [(slots, fill) for slots in sorted(set(sizes)) for fill in sorted(set(fills))]
    # A case takes about as long in any store, but to fill a large one takes longer.
    weights = [(len(names) + 2) * (1.0 + slots / 500_000) for slots, _ in racks]
    total = sum(weights) + (60.0 if optimum else 0.0)
    cases: list[dict[str, Any]] = []
    done = 0.0
    for (slots, fill), weight in zip(racks, weights, strict=True):
        for share in _time_rack(slots, fill, names, cases):
            if progress is not None:
                progress((done + share * weight) / total)
        done += weight
    placed = place_optimally(OPTIMUM_BOXES) if optimum else None
    if progress is not None:
        progress(1.0)
    return {
        "bench": "allocation",
        "version": version("meterhouse"),
        "machine": machine,
        "sizes": sorted(set(sizes)),
        "fills": sorted(set(fills)),
        "cases": cases,
        "optimum": placed,
    }


def _time_rack(slots: int, fill: int, names: Sequence[str], cases: list[dict[str, Any]]) -> Iterator[float]:
    """Time every case of one rack; gives the share that is done after each."""
    store = Store(slots, fill, constrained=False)
    for operation in OPERATIONS:
        store.forget()
        trial = IndexTrial(store, operation)
        cases.append(_case("index", operation, trial))
    yield 1 / (len(names) + 2)
    store = Store(slots, fill, constrained=True)
    yield 2 / (len(names) + 2)
    for k, name in enumerate(names):
        rule = rule_named(name)
        store.forget()
        digest = decisions(store, name, rule)
        cases.append(_case("single", name, SingleTrial(store, rule), digest))
        cases.append(_case("batch", name, BatchTrial(store, rule)))
        yield (k + 3) / (len(names) + 2)


def _case(kind: str, name: str, trial: Trial, digest: str | None = None) -> dict[str, Any]:
    return {
        "kind": kind,
        "rule": name,
        "slots": trial.store.layout.slots,
        "fill": trial.store.fill,
        "boxes": trial.boxes,
        "steps": trial.steps,
        "decisions": digest,
        **figures(measure(trial)),
    }


def place_optimally(boxes: int, rounds: int = 5) -> dict[str, Any]:
    """So many boxes into the empty rack of 258 slots: by `optimal-turnover`, and by linear assignment.

    Gives the CPU seconds of both, their ratio, and the value of both, which is the expected way a day.
    """
    from scipy.optimize import linear_sum_assignment

    def sort() -> None:
        for _ in range(10):
            allocate_batch(rule, views, index, stream)

    layout, travel = rack(SIZES[0])
    port_ms, turnover = travel.one_way_ms(layout.inbound), abc_turnover()
    index = SlotIndex(layout, port_ms.tolist(), turnover)
    skus = np.random.default_rng(boxes).choice(_SKUS, boxes, p=turnover.stock).tolist()
    views = [BoxView(k, sku, NONE, _TODAY, 15) for k, sku in enumerate(skus)]
    rule, stream = POLICIES["optimal-turnover"], Stream(1, "bench")
    named = allocate_batch(rule, views, index, stream)
    sort_ns = min(_cpu_ns(sort) for _ in range(rounds)) / 10
    speeds = np.array(turnover.speed)[skus]
    costs = np.outer(speeds, np.repeat(port_ms, PLACES))
    found: list[tuple[Any, Any]] = []
    assign_ns = _cpu_ns(lambda: found.append(linear_sum_assignment(costs)))
    return {
        "boxes": boxes,
        "sort_s": sort_ns / 1e9,
        "assignment_s": assign_ns / 1e9,
        "ratio": _digits(assign_ns / sort_ns),
        "sort_value": float((speeds * port_ms[named]).sum()),
        "assignment_value": float(costs[found[0]].sum()),
    }


def _refuse(sizes: Sequence[int], fills: Sequence[int], names: Sequence[str]) -> None:
    lines = [
        f"--size: expected {LEAST_SLOTS:,} to {MOST_SLOTS:,} slots, found {size:,}"
        for size in sizes
        if not LEAST_SLOTS <= size <= MOST_SLOTS
    ]
    lines += [f"fill: expected 1 to 99 per cent, found {fill}" for fill in fills if not 1 <= fill <= 99]
    for name in names:
        try:
            rule = rule_named(name)
        except KeyError:
            known = [*LIVE_POLICIES, *OWN_RULES]
            lines.append(f"--rule: expected {one_of(known)}, found {show(name)}{near(name, known)}")
        else:
            if "departures" in rule.needs:
                what = "a rule that a store can follow"
                lines.append(f"--rule: expected {what}, found {show(name)}, which must know all departures")
    if lines:
        raise BenchError(lines)


def machine_facts() -> dict[str, Any]:
    """Processor, cores, the versions that count, and the load of the last minute (None if unknown)."""
    try:
        load: float | None = round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        load = None
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": version("numpy"),
        "load": load,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _digits(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


# --- what a person reads ---------------------------------------------------------------------------------


def machine_line(results: Mapping[str, Any]) -> str:
    """The machine of a result in one line."""
    machine = results["machine"]
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    load = "unknown" if machine["load"] is None else f"{machine['load']:g}"
    about = (machine["processor"], cores, machine["system"], machine["python"], f"numpy {machine['numpy']}")
    return f"{', '.join(about)}, load {load} at the start"


def table(results: Mapping[str, Any], fill: int = 80) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table for people, at the fill that is nearest to one.

    The time of one allocation and one release at each size, then at the smallest the empty call pairs that
    this is and the time a box in a batch. Operations of the index come first, references last.
    """
    fill, sizes = _nearest_fill(results, fill), results["sizes"]
    known = {(c["kind"], c["rule"], c["slots"]): c for c in results["cases"] if c["fill"] == fill}
    least = sizes[0]
    head = ["rule", *(f"{slots:,} slots" for slots in sizes), "empty pairs", f"batch of {BATCH}"]
    rows = []
    for kind, rule, slots in known:
        if slots == least and kind != "batch":
            here, batch = [known.get((kind, rule, n)) for n in sizes], known.get(("batch", rule, least))
            rows.append(
                [
                    f"index: {rule}" if kind == "index" else rule,
                    *(time_words(case["ns"]["own"]) if case else "" for case in here),
                    f"{known[kind, rule, least]['ratio']['pair']:.1f}",
                    time_words(batch["ns"]["own"]) if batch and kind == "single" else "",
                ]
            )
    for name, words in REFERENCES.items():
        best = [_reference_ns(results, name, slots) for slots in sizes]
        pairs = best[0] / _reference_ns(results, "pair", least)
        rows.append([words, *(time_words(ns) for ns in best), f"{pairs:.1f}", ""])
    return head, rows


REFERENCES: Final = {"copy": "copy of the answer", "pair": "empty call pair", "argmin": "numpy masked argmin"}
"""The references of single calls, in words."""


def time_words(ns: float) -> str:
    """A time a box, as short as it is useful: "0.42 ns", "614 ns", "12.3 us", "9.4 ms"."""
    for below, size, unit in ((9_999.5, 1, "ns"), (9_999_500, 1_000, "us"), (9_999_500_000, 1_000_000, "ms")):
        if ns < below:
            value = ns / size
            return f"{value:,.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"
    return f"{ns / 1e9:,.1f} s"


def _nearest_fill(results: Mapping[str, Any], fill: int) -> int:
    return min((int(one) for one in results["fills"]), key=lambda one: (abs(one - fill), one))


def _reference_ns(results: Mapping[str, Any], name: str, slots: int) -> float:
    """The best time of a reference of single calls in all cases of a size."""
    cases = results["cases"]
    return min(float(c["ns"][name]) for c in cases if c["slots"] == slots and c["kind"] != "batch")


# --- ratios to reach -------------------------------------------------------------------------------------

_RULES_OF_OPERATION: Final = {
    "closest": "closest-open", "random": "random", "class": "class-based", "turnover": "turnover",
    "dual command": "closest-to-next-retrieval",
}  # fmt: skip
_BATCH_RULES: Final = ("closest-open", "class-based", "optimal-turnover", "random", "turnover")


def ratios(results: Mapping[str, Any], fill: int = 80) -> list[dict[str, Any]]:
    """The ratios to reach, each with what was found: best over best, of one run, at the fill nearest to one.

    `goal` is in words; `found` and `ok` are None for what was not measured.
    """
    fill = _nearest_fill(results, fill)
    known = {(c["kind"], c["rule"], c["slots"]): c for c in results["cases"] if c["fill"] == fill}
    least, most = SIZES[0], SIZES[-1]
    rows = []

    def over(kind: str, rule: str, goal: float) -> None:
        case = known.get((kind, rule, least))
        found = case["ratio"]["pair"] if case else None
        rows.append(_goal(f"{_words(kind, rule)}, {least} slots", "empty call pairs", found, most=goal))

    def growth(kind: str, rule: str) -> None:
        small, large = known.get((kind, rule, least)), known.get((kind, rule, most))
        found = large["ns"]["own"] / small["ns"]["own"] if small and large else None
        rows.append(_goal(f"{_words(kind, rule)}, {most:,} slots over {least}", "times", found, most=6))

    for operation in OPERATIONS:
        over("index", operation, 4 if operation == "dual command" else 7)
    for operation, rule in _RULES_OF_OPERATION.items():
        if operation != "dual command":
            over("single", rule, 12)
    for operation in OPERATIONS:
        growth("index", operation)
    for rule in _RULES_OF_OPERATION.values():
        growth("single", rule)
    for rule in _BATCH_RULES:
        case = known.get(("batch", rule, least))
        found = case["ns"]["single"] / case["ns"]["own"] if case else None
        name = f"batch of {BATCH} boxes by {rule}, {least} slots"
        rows.append(_goal(name, "times cheaper a box than single calls", found, least=15))
    placed = results["optimum"]
    name = f"{OPTIMUM_BOXES:,} boxes by optimal-turnover"
    found = placed["ratio"] if placed else None
    rows.append(_goal(name, "times faster than linear assignment", found, least=10_000))
    off = abs(placed["sort_value"] / placed["assignment_value"] - 1) if placed else None
    rows.append(_goal(f"{name}, value beside linear assignment", "relative difference", off, most=1e-9))
    return rows


def _goal(
    name: str, unit: str, found: float | None, *, most: float | None = None, least: float | None = None
) -> dict[str, Any]:
    goal, words = (most, "at most") if most is not None else (least, "at least")
    assert goal is not None
    ok = None if found is None else found <= goal if most is not None else found >= goal
    shown = None if found is None else _digits(found, 3)
    return {"name": name, "goal": f"{words} {goal:,g}", "found": shown, "unit": unit, "ok": ok}


def _words(kind: str, rule: str) -> str:
    return {"index": f"index operation '{rule}'", "single": rule, "batch": f"batch by {rule}"}[kind]


# --- two versions ----------------------------------------------------------------------------------------


def compare(new: Mapping[str, Any], old: Mapping[str, Any], margin: float = 0.2) -> list[dict[str, Any]]:
    """Two results case by case, each in empty call pairs of its own test: machines may differ in speed.

    A case is slower (faster) when both its best and its median ratio moved by more than the margin; `ratio`
    is that of the best. `ok` is False for a slower one only.
    """
    mine, theirs = ({_key(case): case for case in results["cases"]} for results in (new, old))
    rows = []
    for key in dict.fromkeys([*theirs, *mine]):
        a, b = mine.get(key), theirs.get(key)
        ratio: float | None = None
        if a is None or b is None:
            verdict = "only in the new" if b is None else "only in the old"
        else:
            ratio = a["ratio"]["pair"] / b["ratio"]["pair"]
            moved = (ratio, a["median_ratio"]["pair"] / b["median_ratio"]["pair"])
            if min(moved) > 1 + margin:
                verdict = "slower"
            elif a["decisions"] != b["decisions"]:
                verdict = "decides otherwise"
            else:
                verdict = "faster" if max(moved) < 1 / (1 + margin) else "same"
        rows.append(
            {
                "case": f"{_words(key[0], key[1])}, {key[2]:,} slots, {key[3]} % full",
                "old": b and b["ratio"]["pair"],
                "new": a and a["ratio"]["pair"],
                "ratio": ratio and _digits(ratio, 3),
                "verdict": verdict,
                "ok": verdict != "slower",
            }
        )
    return rows


def _key(case: Mapping[str, Any]) -> tuple[str, str, int, int]:
    return case["kind"], case["rule"], case["slots"], case["fill"]


def save(results: Mapping[str, Any], path: Path) -> None:
    """Write a result as JSON, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.part")
    text = json.dumps(results, ensure_ascii=False, allow_nan=False, indent=1)
    unfinished.write_text(f"{text}\n", encoding="utf-8")
    unfinished.replace(path)


def read(path: Path) -> dict[str, Any]:
    """A result that `save` wrote.

    Raises
    ------
    BenchError
        For a file that is none.
    """
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if results["bench"] != "allocation":
            raise ValueError
        for case in results["cases"]:
            float(case["ratio"]["pair"]), float(case["median_ratio"]["pair"]), _key(case), case["decisions"]
    except (ValueError, KeyError, TypeError) as error:
        wanted = "a result saved by `meterhouse bench allocation`"
        raise BenchError([f"{path}: expected {wanted}, found another file"]) from error
    return results


# --- a picture -------------------------------------------------------------------------------------------

_HUES: Final = ("#146b7f", "#b04a12", "#2f6d4d", "#7a4fa3", "#a3303f", "#5c6875", "#8a6d00", "#2b5fb3")
_INK: Final = "#17202b"
_MUTED: Final = "#5c6875"
_LINE: Final = "#dde2e7"


def draw(results: Mapping[str, Any], path: Path, fill: int = 80) -> None:
    """Draw time a box over slots, both axes logarithmic: one box at a time, and in a batch; SVG or PNG.

    One line a rule at the fill that is nearest to one, the references in grey, and dotted what a time that
    does not grow, and one that grows as the slots do, would look like.

    Raises
    ------
    BenchError
        For another ending of the file name.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    refuse_picture(path)
    fill = _nearest_fill(results, fill)
    figure = Figure(figsize=(1180 / 96, 620 / 96), facecolor="white")
    for kind, left, words in (
        ("single", 0.055, "One box: a release and an allocation"),
        ("batch", 0.555, f"A batch of {BATCH}: an allocation"),
    ):
        axes = figure.add_axes((left, 0.13, 0.27, 0.74))
        _draw_lines(axes, results, kind, fill)
        axes.set_title(words, loc="left", fontsize=10, fontweight="bold", color=_INK, pad=10)
    figure.text(
        0.055, 0.965, f"CPU time a box, {fill} % of the places taken", fontsize=12, color=_INK, va="top"
    )
    figure.text(0.055, 0.02, machine_line(results), fontsize=8, color=_MUTED)
    unfinished = path.with_name(f"{path.name}.part")
    kind = path.suffix.lower()[1:]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif"}):
        figure.savefig(
            unfinished, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else {"Software": None}
        )
    unfinished.replace(path)


def refuse_picture(path: Path) -> None:
    """Raise BenchError for a file name that ends neither in .svg nor in .png."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise BenchError([f"--picture: expected a name ending in .svg or .png, found {show(path.name)}"])


def _draw_lines(axes: "Axes", results: Mapping[str, Any], kind: str, fill: int) -> None:
    sizes = results["sizes"]
    lines: list[tuple[str, list[int], list[float], str, float]] = []
    for name in ("pair", "copy", "argmin") if kind == "single" else ("pair", "copy"):
        ns = [_least_ns(results, kind, name, slots) for slots in sizes]
        lines.append((REFERENCES[name], list(sizes), ns, "#9aa3ab", 2.2))
    rules: dict[str, list[tuple[int, float]]] = {}
    for case in results["cases"]:
        if case["kind"] == kind and case["fill"] == fill:
            rules.setdefault(case["rule"], []).append((case["slots"], case["ns"]["own"]))
    by_end = sorted(rules.items(), key=lambda item: item[1][-1][1])
    for k, (rule, points) in enumerate(by_end):
        lines.append((rule, [n for n, _ in points], [ns for _, ns in points], _HUES[k % len(_HUES)], 1.4))
    start = median(points[0][1] for points in rules.values()) if rules else lines[0][2][0]
    ends = np.array([sizes[0], max(sizes[-1], sizes[0] * 2)], dtype=np.float64)
    every = [ns for _, _, values, _, _ in lines for ns in values] + [start * ends[1] / ends[0]]
    low, high = min(every) / 1.6, max(every) * 1.6
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / 1.25, max(sizes[-1], sizes[0] * 2) * 1.25)
    axes.set_ylim(low, high)
    guides = []
    for slope, words in ((0, "flat"), (1, "linear")):
        guide = (start * (ends / ends[0]) ** slope).tolist()
        axes.plot(ends, guide, color=_INK, linewidth=1.0, linestyle=(0, (1, 3)), zorder=1)
        guides.append((words, ends.tolist(), guide, _INK, 1.0))
    for _, x, y, colour, width in lines:
        axes.plot(x, y, color=colour, linewidth=width, marker="o", markersize=2.6, solid_capstyle="round")
    _label_ends(axes, [*lines, *guides], low, high)
    _dress(axes, sizes, low, high)


def _least_ns(results: Mapping[str, Any], kind: str, name: str, slots: int) -> float:
    cases = results["cases"]
    of_kind = [c for c in cases if c["slots"] == slots and c["kind"] == kind]
    return min(float(c["ns"][name]) for c in of_kind or [c for c in cases if c["slots"] == slots])


def _label_ends(
    axes: "Axes", lines: Sequence[tuple[str, list[int], list[float], str, float]], low: float, high: float
) -> None:
    """The name of each line at its right end, moved up or down so that no two touch."""
    span = np.log(high / low)
    wanted = sorted((float(np.log(y[-1] / low) / span), k) for k, (_, _, y, _, _) in enumerate(lines))
    heights = _apart([at for at, _ in wanted], 1 / 32)
    for (at, k), height in zip(wanted, heights, strict=True):
        name, x, _, colour, _ = lines[k]
        right = axes.transAxes.inverted().transform(axes.transData.transform((x[-1], high)))[0]
        axes.plot(
            [right + 0.015, 1.06, 1.085], [at, height, height], transform=axes.transAxes, color=colour,
            linewidth=0.6, clip_on=False,
        )  # fmt: skip
        axes.annotate(
            name, (1.095, height), xycoords="axes fraction", fontsize=8.5, color=colour, va="center"
        )  # fmt: skip


def _apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved as little as it takes for neighbours to be a gap apart.

    Those that touch form a block round the mean of where they want to be, less their places in it.
    """
    blocks: list[tuple[float, int]] = []
    for k, at in enumerate(wanted):
        start, size = at - k * gap, 1
        while blocks and blocks[-1][0] > start:
            before, many = blocks.pop()
            start, size = (before * many + start * size) / (many + size), many + size
        blocks.append((start, size))
    starts = [start for start, size in blocks for _ in range(size)]
    return [start + k * gap for k, start in enumerate(starts)]


def _dress(axes: "Axes", sizes: Sequence[int], low: float, high: float) -> None:
    """Hair lines at the powers of ten, in words, and the sizes of the racks."""
    from matplotlib.ticker import NullLocator

    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    powers = [10.0**p for p in range(-1, 12) if low <= 10.0**p <= high]
    axes.set_yticks(powers, [_round_words(ns) for ns in powers])
    axes.set_xticks(list(sizes), [f"{slots:,}" for slots in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=_MUTED, labelsize=8.5, pad=5)
    axes.set_xlabel("slots", fontsize=8.5, color=_MUTED)


def _round_words(ns: float) -> str:
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= size:
            return f"{ns / size:g} {unit}"
    return f"{ns:g} ns"
