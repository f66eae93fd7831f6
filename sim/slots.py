"""Open places: which slots can take a box, in the orders that allocation rules ask for.

The hard constraints are one mechanism for all rules. A slot is open to a class of boxes while it has room,
is in use (not blocked, not on hold) and admits the class (device, weight); `SlotIndex` keeps the open slots
of each class in rank orders, as bytearrays whose `find` is a memchr, and changes them as the ledger changes.
A rule sees them through the read-only `SlotView` of its box's class: it finds no slot that may not take the
box.

Everything beyond one rank order is built when a rule first asks for it, and kept up to date from then on.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, compress, pairwise, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.facts import NONE
from sim.turnover import SeenStays, Turnover

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.travel import Travel

MOST_TABLE_SLOTS: Final = 1_024
"""Up to so many slots an order table is kept from each place that is asked for (2 MB for 258 slots)."""

MOST_WHOLE_SLOTS: Final = 4_096
"""Up to so many slots a batch is cut from all of them at once, beyond from as many as it takes."""

MOST_TABLE_PLACES: Final = 1 << 20
"""Up to so many places the rank of each is kept in a list; beyond, it is searched for."""

MOST_DRAWS: Final = 512
"""So often a random slot of a large store is drawn from all of them before the open ones are counted."""

# Steps of the drawing: Knuth's MMIX generator, whose upper bits are used.
_FACTOR: Final = 6_364_136_223_846_793_005
_STEP: Final = 1_442_695_040_888_963_407
_TWO_64: Final = 1 << 64


class BoxView(NamedTuple):
    """What a rule may know of the box to be stored.

    `verified_day` is an ordinal, `now_ms` the time of asking. `leaves_ms` is when the box will leave: known
    in a replay to rules that declare `needs = {"departures"}`, NONE anywhere else.
    """

    box: int
    sku: int
    lot: int
    verified_day: int
    meters: int
    now_ms: int = 0
    leaves_ms: int = NONE
    weight_g: int = 0


class Stack(NamedTuple):
    """A tier column: the boxes in it and bound for it, the lowest first, and the places left."""

    boxes: tuple[int, ...]
    room: int


class _Order:
    """The slots in one rank order, and which of them are open to one class of boxes."""

    __slots__ = ("open", "rank", "slots")

    def __init__(self, slots: list[int], rank: list[int], opened: bytearray) -> None:
        self.slots = slots
        self.rank = rank
        self.open = opened


class SlotIndex:
    """Room in every slot, recorded and reserved boxes taken off, with the open slots in rank order.

    Parameters
    ----------
    layout : the slots.
    port_time_ms : time from the inbound port to each slot, (slots,).
    shares : demand shares of the SKUs, or their `Turnover`; class-based zones are cut from them.
    zones : number of zones of class-based allocation.
    borders : shares of demand at which the classes end, zones - 1 of them; found when not given.
    overflow : which zones a box tries when its own is full: further out first ("outward"), nearer in first
        ("inward"), or the closest ones ("nearest").
    travel : travel times, for the rules that look further than the inbound port.
    admits : for each class of boxes, which slots may take it, (slots,) of 0 and 1, or None for all.
    class_of_sku : the class of each SKU's boxes; class 0 for a SKU that is not in it.
    online : whether turnover is what the store has seen (`stays`) and not what is given.
    """

    # A fixed set of attributes: twice as quick to reach as those of a dict with more than 30 keys.
    __slots__ = (
        "_blocked", "_flips", "_geometry", "_more", "_near", "_open", "_orders", "_rank", "_watchers",
        "admits", "announced", "borders", "capacity", "class_of_sku", "follows_lots", "layout",
        "leaves_ms", "lots", "most_boxes", "next_retrieval", "online", "overflow", "plan", "port_time_ms",
        "room", "shorter_stays", "stacks", "stays", "travel", "turnover", "views", "weights_g", "zones",
    )  # fmt: skip

    def __init__(
        self,
        layout: "Layout",
        port_time_ms: Sequence[int],
        shares: "Sequence[float] | Turnover" = (1.0,),
        zones: int = 3,
        *,
        borders: Sequence[float] = (),
        overflow: str = "outward",
        travel: "Travel | None" = None,
        admits: Sequence[bytes | None] = (None,),
        class_of_sku: Sequence[int] = (),
        online: bool = False,
    ) -> None:
        self.layout = layout
        self.capacity: list[int] = list(layout.capacity)
        self.room: list[int] = list(layout.capacity)
        self.most_boxes = max(self.capacity, default=0)
        self.port_time_ms: list[int] = np.asarray(port_time_ms).astype(np.int64).tolist()
        self.lots: dict[int, dict[int, int]] = {}
        self.follows_lots = True
        """Whether `lots` is kept; its owner may do without for rules that do not need "lots"."""
        self.turnover = shares if isinstance(shares, Turnover) else Turnover(shares)
        self.stays = SeenStays(len(self.turnover.demand))
        self.online = online
        self.zones = zones
        self.borders = list(borders)
        self.overflow = overflow
        self.travel = travel
        self.next_retrieval: Callable[[], int] = lambda: NONE
        """Place of the box that leaves next, as far as it is known; NONE otherwise. Its owner sets it."""
        self.announced: Callable[[], Sequence[BoxView]] = lambda: ()
        """Boxes known to follow the one that is asked for, in their order. Its owner sets it."""
        self.stacks: Callable[[int], Sequence[Stack]] | None = None
        """The tier columns of a slot, where boxes stand on one another. Its owner sets it."""
        self.leaves_ms: Callable[[int], float] = lambda _box: 0.0
        """When a box is expected to leave. Its owner sets it."""
        self.shorter_stays: Callable[[int], int] = lambda _ms: 0
        """How many boxes here stay shorter than a time; only a replay knows it and sets it."""
        self.plan: Sequence[int] = ()
        """The slot of each box by its number, made with hindsight; only a replay has one."""
        self.weights_g = (0, 0)
        """The lightest and the heaviest box of the store's SKUs. Its owner sets it."""
        self.admits = list(admits)
        self.class_of_sku = list(class_of_sku)
        self.views: list[SlotView] = []
        self._blocked: dict[int, frozenset[str]] = {}
        self._geometry: dict[str, tuple[list[int], list[int]]] = {}
        self._orders: dict[tuple[str, int], _Order] = {}
        self._flips: list[tuple[list[int], bytearray, bytes | None]] = []
        self._watchers: list[Callable[[int, int], None]] = []
        self._near: dict[tuple[int, bool], list[int]] = {}
        self._begin()

    # -- changes ----------------------------------------------------------------------------------

    def take(self, slot: int, lot: int = NONE) -> None:
        """Reserve one place of the slot, for a box of the lot if lots are to be followed."""
        room = self.room
        left = room[slot] - 1
        if left <= 0:
            if left < 0:
                raise RuntimeError(f"slot {slot} has no room left to reserve")
            self._open[self._rank[slot]] = 0
            if self._more:
                self._close_more(slot)
        room[slot] = left
        if self._watchers and slot not in self._blocked:
            for changed in self._watchers:
                changed(slot, left)
        if self.follows_lots and lot >= 0:
            slots = self.lots.get(lot)
            if slots is None:
                self.lots[lot] = {slot: 1}
            else:
                slots[slot] = slots.get(slot, 0) + 1

    def give(self, slot: int, lot: int = NONE) -> None:
        """Free one place of the slot, taken before for a box of the lot."""
        room = self.room
        before = room[slot]
        if before == self.capacity[slot]:
            raise RuntimeError(f"slot {slot} has more room than places")
        room[slot] = before + 1
        if not before and slot not in self._blocked:
            self._open[self._rank[slot]] = 1
            if self._more:
                self._open_more(slot)
        if self._watchers and slot not in self._blocked:
            for changed in self._watchers:
                changed(slot, before + 1)
        if self.follows_lots and lot >= 0:
            slots = self.lots[lot]
            boxes = slots[slot]
            if boxes > 1:
                slots[slot] = boxes - 1
            else:
                del slots[slot]
                if not slots:
                    del self.lots[lot]

    def block(self, slot: int, blocked: bool, reason: str = "blocked") -> None:
        """Take a slot out of use for a reason, or put it back; it is in use again when no reason is left."""
        reasons = self._blocked.get(slot, frozenset())
        now = reasons | {reason} if blocked else reasons - {reason}
        if now:
            self._blocked[slot] = now
        else:
            self._blocked.pop(slot, None)
        if bool(now) == bool(reasons):
            return
        if self.room[slot] > 0:
            self._open[self._rank[slot]] = not blocked
            if blocked:
                self._close_more(slot)
            else:
                self._open_more(slot)
        for changed in self._watchers:
            changed(slot, 0 if blocked else self.room[slot])

    @contextmanager
    def trial(self) -> Iterator[Callable[[BoxView, int, int], None]]:
        """A function to place (box, slot, tier column); at the end all is as if nothing had been placed."""
        taken: list[tuple[int, int]] = []
        extra: dict[tuple[int, int], list[int]] = {}
        stays, stacks = self.stays, self.stacks
        later = _StaysOfTrial(stays)
        self.stays = later  # type: ignore[assignment]

        def stacks_now(slot: int) -> list[Stack]:
            assert stacks is not None
            more = [extra.get((slot, column), []) for column in range(len(stacks(slot)))]
            return [
                Stack((*stack.boxes, *boxes), stack.room - len(boxes))
                for stack, boxes in zip(stacks(slot), more, strict=True)
            ]

        def place(box: BoxView, slot: int, column: int) -> None:
            if stacks is not None:
                if column == NONE:
                    column = next(k for k, stack in enumerate(stacks_now(slot)) if stack.room > 0)
                extra.setdefault((slot, column), []).append(box.box)
            self.take(slot, box.lot)
            taken.append((slot, box.lot))
            later.placed.append(box)

        if stacks is not None:
            self.stacks = stacks_now
        try:
            yield place
        finally:
            self.stays, self.stacks = stays, stacks
            for slot, lot in reversed(taken):
                self.give(slot, lot)

    def know_lots(self, boxes: Iterable[tuple[int, int]]) -> None:
        """Follow lots from now on; `boxes` are the (lot, slot) of every place that is taken or reserved."""
        self.follows_lots = True
        self.lots = {}
        for lot, slot in boxes:
            if lot >= 0:
                slots = self.lots.setdefault(lot, {})
                slots[slot] = slots.get(slot, 0) + 1

    def take_over(self, other: "SlotIndex") -> None:
        """Stand for another index of the same slots: with its room, its blocks, and what it has seen."""
        self.room, self.lots, self.follows_lots = other.room, other.lots, other.follows_lots
        self.stays, self._blocked = other.stays, other._blocked
        self.stays.forget_weights()  # those of the views of the other index
        self.next_retrieval, self.announced = other.next_retrieval, other.announced
        self.stacks, self.leaves_ms = other.stacks, other.leaves_ms
        self.shorter_stays, self.plan = other.shorter_stays, other.plan
        self._orders = {}
        self._begin()

    def forget(self) -> None:
        """Drop what was built for rules; it is built again, in new views, when one asks."""
        self._watchers.clear()
        self._orders = {key: order for key, order in self._orders.items() if key[0] == "port_time"}
        self._begin()

    def _begin(self) -> None:
        """Follow one rank order for each class of boxes, the first apart if it may take every slot."""
        first = self.order("port_time")
        self._rank, self._open = first.rank, first.open
        self.views = [SlotView(self, box_class) for box_class in range(len(self.admits))]
        orders = [(self.order("port_time", k), admits) for k, admits in enumerate(self.admits)]
        self._flips = [(order.rank, order.open, admits) for order, admits in orders]
        if self.admits[0] is None:
            del self._flips[0]
        else:
            self._open = bytearray(len(self.room))
        self._more = bool(self._flips)

    def _close_more(self, slot: int) -> None:
        for rank, opened, _ in self._flips:
            opened[rank[slot]] = 0

    def _open_more(self, slot: int) -> None:
        for rank, opened, admits in self._flips:
            if admits is None or admits[slot]:
                opened[rank[slot]] = 1

    # -- what is open -----------------------------------------------------------------------------

    def view_of(self, sku: int) -> "SlotView":
        """The view of the slots that may take boxes of the SKU."""
        return self.views[self.class_of_sku[sku] if sku < len(self.class_of_sku) else 0]

    def is_open(self, slot: int) -> bool:
        """Whether the slot has room and is in use."""
        return self.room[slot] > 0 and slot not in self._blocked

    def out_of_use(self, slot: int) -> frozenset[str]:
        """Why a slot is out of use: the reasons given to `block`; none while it is in use."""
        return self._blocked.get(slot, frozenset())

    def has_open(self) -> bool:
        """Whether any slot is open to any class of boxes."""
        return any(self.order("port_time", k).open.find(1) >= 0 for k in range(len(self.admits)))

    @property
    def open_places(self) -> int:
        """Places neither taken nor reserved, blocked slots included; costs a pass over the slots."""
        return sum(self.room)

    def removed(self, box_class: int = 0) -> dict[str, int]:
        """How many slots each constraint takes from a class of boxes; a slot counts once, in this order."""
        counts = {"class": 0, "full": 0}
        admits = self.admits[box_class]
        for slot, room in enumerate(self.room):
            if admits is not None and not admits[slot]:
                counts["class"] += 1
            elif not room:
                counts["full"] += 1
            else:
                for reason in sorted(self._blocked.get(slot, ()))[:1]:
                    counts[reason] = counts.get(reason, 0) + 1
        return counts

    def order(self, name: str, box_class: int = 0) -> _Order:
        """The slots open to a class of boxes, in a rank order of `ORDERS`."""
        order = self._orders.get((name, box_class))
        if order is None:
            slots, rank = self._sorted(name)
            admits = self.admits[box_class]
            if not self._blocked and admits is None:
                opened = bytearray((np.asarray(self.room)[slots] > 0).tobytes())
            else:
                opened = bytearray(self.is_open(s) and (admits is None or admits[s] == 1) for s in slots)
            order = self._orders[name, box_class] = _Order(slots, rank, opened)
            self._flips.append((rank, opened, admits))
            self._more = True
        return order

    def _sorted(self, name: str) -> tuple[list[int], list[int]]:
        """The slots in a rank order, and the rank of each slot."""
        known = self._geometry.get(name)
        if known is None:
            keys = ORDERS[name](self)
            slots = np.lexsort(keys[::-1])
            rank = np.empty_like(slots)
            rank[slots] = np.arange(len(slots))
            known = self._geometry[name] = (slots.tolist(), rank.tolist())
        return known

    def watch(self, changed: Callable[[int, int], None]) -> None:
        """Have a function called with (slot, places to be had) after every change; 0 when out of use."""
        self._watchers.append(changed)

    def near_ranks(self, place: int, *, on_the_way: bool) -> list[int]:
        """Ranks in `port_time` of all slots, the one first that `near_ms` says is reached first."""
        ranks = self._near.get((place, on_the_way))
        if ranks is None:
            rank = np.array(self._rank)
            order = np.lexsort((rank, self.near_ms(place, on_the_way=on_the_way)))
            ranks = self._near[place, on_the_way] = rank[order].tolist()
        return ranks

    def near_ms(self, place: int, *, on_the_way: bool = False) -> Any:
        """Times from a place to all slots, or from the inbound port by each slot to the place; (slots,)."""
        if self.travel is None:
            raise RuntimeError("this rule asks for travel times; the index was made without them")
        times = self.travel.one_way_ms(place)
        return times + np.asarray(self.port_time_ms) if on_the_way else times


def _by_position(index: SlotIndex) -> tuple[Any, ...]:
    layout = index.layout
    return layout.column, layout.level, layout.row


ORDERS: Final[dict[str, Callable[[SlotIndex], tuple[Any, ...]]]] = {
    "port_time": lambda index: (np.asarray(index.port_time_ms), *_by_position(index)),
    "position": _by_position,
    "out_time": lambda index: (_out_time_ms(index), *_by_position(index)),
    "aisle": lambda index: (_aisles(index), np.asarray(index.port_time_ms), *_by_position(index)),
    "level": lambda index: (index.layout.level, np.asarray(index.port_time_ms), *_by_position(index)),
    "line": lambda index: (
        _aisles(index), index.layout.level, np.asarray(index.layout.x_mm)[: len(index.room)],
        index.layout.row,
    ),
}  # fmt: skip
"""Rank orders by name, each by its sort keys: time from the inbound port or to the outbound one, position
(column, level, row), by aisle, by level, and along each level of each aisle. Ties go by position."""


def _aisles(index: SlotIndex) -> Any:
    return np.asarray(index.layout.aisle)[: len(index.room)]


def _out_time_ms(index: SlotIndex) -> Any:
    return index.near_ms(index.layout.outbound)


class SlotView:
    """What a rule may see: the slots that may take its box, as the ledger has them. It changes nothing.

    Ranks count from 0 in a rank order of `ORDERS`; ranges of ranks are half-open. Every answer that names a
    slot is NONE when there is none.
    """

    __slots__ = ("_box_class", "_index", "_made", "_near", "_open", "_orders", "_slots")

    _index: SlotIndex
    _box_class: int
    _orders: dict[str, tuple[list[int], bytearray]]
    _made: "_Made"
    _slots: list[int]
    _open: bytearray
    _near: dict[int, list[int]]

    def __init__(self, index: SlotIndex, box_class: int = 0) -> None:
        order = index.order("port_time", box_class)
        values = {
            "_index": index,
            "_box_class": box_class,
            "_orders": {"port_time": (order.slots, order.open)},
            "_made": _Made(),
            "_slots": order.slots,
            "_open": order.open,
            "_near": {},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a rule cannot change {name!r}: the view is read-only")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a rule cannot delete {name!r}: the view is read-only")

    # -- along a rank order ------------------------------------------------------------------------

    def first_open(self, order: str = "port_time", start: int = 0, end: int | None = None) -> int:
        """The first open slot of a rank order, between two ranks if given."""
        try:
            slots, opened = self._orders[order]
        except KeyError:
            slots, opened = self._pair(order)
        rank = opened.find(1, start, end)
        return slots[rank] if rank >= 0 else NONE

    def last_open(self, order: str = "port_time", start: int = 0, end: int | None = None) -> int:
        """The last open slot of a rank order, between two ranks if given."""
        slots, opened = self._pair(order)
        rank = opened.rfind(1, start, end)
        return slots[rank] if rank >= 0 else NONE

    def nearest_open(self, rank: int) -> int:
        """The open slot whose rank in `port_time` is closest to a rank; the nearer to the port of two."""
        slots, opened = self._slots, self._open
        if not 0 <= rank < len(opened):
            rank = 0 if rank < 0 else len(opened) - 1
        if opened[rank]:
            return slots[rank]
        above = opened.find(1, rank)
        if above < 0:
            below = opened.rfind(1, 0, rank)
        else:
            # Only a slot no further below than the one above can win.
            low = rank + rank - above
            below = opened.rfind(1, max(low, 0), rank) if rank else NONE
            if below < 0:
                return slots[above]
        return slots[below] if below >= 0 else NONE

    def places(
        self,
        boxes: int,
        order: str = "port_time",
        start: int = 0,
        end: int | None = None,
        *,
        last: bool = False,
    ) -> NDArray[np.int64]:
        """The slots of the first (or last) open places of a rank order, a slot as often as it has room.

        At most `boxes` of them, (boxes,). In a large store it reads no further than it has to.
        """
        slots, opened = self._pair(order)
        array_of = self._made.arrays.get(order)
        if array_of is None:
            array_of = self._made.arrays[order] = np.array(slots, dtype=np.int64)
        stop = len(slots) if end is None else min(end, len(slots))
        room = self._index.room
        if stop - start <= MOST_WHOLE_SLOTS:
            here = array_of[start:stop]
            free: NDArray[Any]
            if self._index.most_boxes < 256:
                free = np.frombuffer(bytes(room), dtype=np.uint8)[here]
            else:
                free = np.array(room)[here]
            free = free * np.frombuffer(opened, dtype=np.uint8)[start:stop]
            return here[::-1].repeat(free[::-1])[:boxes] if last else here.repeat(free)[:boxes]
        parts: list[NDArray[np.int64]] = []
        step, found = min(2 * boxes, 256), 0
        while start < stop and found < boxes:
            part = slice(max(start, stop - step), stop) if last else slice(start, min(start + step, stop))
            chunk = list(compress(slots[part], opened[part]))[:: -1 if last else 1]
            parts.append(np.repeat(np.array(chunk, dtype=np.int64), [room[slot] for slot in chunk]))
            start, stop = (start, part.start) if last else (part.stop, stop)
            step, found = 2 * step, found + len(parts[-1])
        return np.concatenate(parts)[:boxes] if parts else np.empty(0, dtype=np.int64)

    def any_open(self, u: float) -> int:
        """The open slot that a uniform u on [0, 1) picks, each as likely; always the same of the same ones.

        Slots are drawn until one is open; where few are open, one of them is drawn.
        """
        slots, opened = self._slots, self._open
        count = len(slots)
        rank = int(u * count)
        if opened[rank]:
            return slots[rank]
        drawn = int(u * _TWO_64)
        for _ in range(8 if count <= MOST_TABLE_SLOTS else MOST_DRAWS):
            drawn = (drawn * _FACTOR + _STEP) % _TWO_64
            rank = (drawn >> 32) * count >> 32
            if opened[rank]:
                return slots[rank]
        left = opened.count(1)
        if not left:
            return NONE
        # The last draw lay on a closed rank: it must not choose among the open ones as well.
        drawn = (drawn * _FACTOR + _STEP) % _TWO_64
        rank = NONE
        for _ in range(((drawn >> 32) * left >> 32) + 1):
            rank = opened.find(1, rank + 1)
        return slots[rank]

    # -- by what a slot holds ----------------------------------------------------------------------

    def first_empty(self) -> int:
        """The empty slot nearest the port."""
        empties = self._made.empties
        if empties is None:
            empties = _Empties(self._index, self._box_class)
            self._made.empties = empties
        return empties.first()

    def roomiest(self) -> int:
        """The slot with the most open places, the nearest of several."""
        levels = self._made.levels
        if levels is None:
            levels = _Levels(self._index, self._box_class)
            self._made.levels = levels
        return levels.roomiest()

    def with_lot(self, lot: int) -> int:
        """The open slot nearest the port that already holds, or expects, boxes of the lot."""
        opened, rank = self._open, self._index._rank
        best = min((rank[slot] for slot in self._index.lots.get(lot, ()) if opened[rank[slot]]), default=NONE)
        return self._slots[best] if best >= 0 else NONE

    def holds_lot(self, slot: int, lot: int) -> bool:
        """Whether the slot holds, or expects, boxes of the lot."""
        return slot in self._index.lots.get(lot, ())

    def stacks(self, slot: int) -> Sequence[Stack]:
        """The tier columns of a slot, where boxes stand on one another; none elsewhere."""
        return self._index.stacks(slot) if self._index.stacks is not None else ()

    def leaves_ms(self, box: int) -> float:
        """When a box of the store, or the box to be stored, is expected to leave."""
        return self._index.leaves_ms(box)

    def open_slots(self, order: str = "port_time") -> Iterator[int]:
        """The open slots in a rank order."""
        slots, opened = self._pair(order)
        rank = opened.find(1)
        while rank >= 0:
            yield slots[rank]
            rank = opened.find(1, rank + 1)

    # -- zones and turnover ------------------------------------------------------------------------

    def zones_of(self, sku: int) -> tuple[tuple[int, int], ...]:
        """Rank ranges of `port_time`: the SKU's zone first, then the others in the order of overflow."""
        if self._made.zones is None:
            self._made.zones = _cut_zones(self._index, self._weigh(), self._sums())
        of_sku, tries = self._made.zones
        own = of_sku[sku] if sku < len(of_sku) else -1
        return tries[own]

    def range_of(self, sku: int) -> tuple[int, int]:
        """The rank range of `port_time` that is the SKU's own, in proportion to its stock, fastest first."""
        ranges = self._made.ranges
        if ranges is None:
            ranges = self._made.ranges = _cut_ranges(self._weigh(), self._sums())
        return ranges.get(sku, (0, 0))

    def earned_rank(self, sku: int, *, learned: bool = False) -> int:
        """The rank in `port_time` that the SKU's turnover has earned it among the boxes that are here.

        As many boxes lie nearer as there are of SKUs with a shorter stay, and half of its own. `learned` goes
        by what the store has seen itself, else by what is given (under `policy.turnover = online` also seen).
        """
        made, index = self._made, self._index
        if not made.middles:
            self._weigh()
        stays = index.stays
        if learned or index.online:
            boxes = stays.boxes_before(sku, made.weights)
        else:
            here = stays.boxes if made.weights is None else stays.boxes_of(made.weights)
            boxes = int((made.middles[sku] if sku < len(made.middles) else 1.0) * here)
        table = made.table
        return table[boxes] if table and boxes < len(table) else self.rank_of_place(boxes)

    def rank_by_age(self, verified_day: int) -> int:
        """The rank in `port_time` when the boxes here stand by verification day, the oldest nearest."""
        self._weigh()
        return self.rank_of_place(self._index.stays.boxes_due_before(verified_day, self._made.weights))

    def rank_by_stay(self, stay_ms: int) -> int:
        """The rank in `port_time` when the boxes here stand by their stays, shortest first; replay only."""
        return self.rank_of_place(self._index.shorter_stays(stay_ms))

    def planned(self, box: int) -> int:
        """The slot that was found for a box with hindsight; in a replay only."""
        return self._index.plan[box]

    def heaviness(self, weight_g: int) -> float:
        """0 for the lightest box of the store's SKUs, 1 for the heaviest, and 1 where all weigh the same."""
        lightest, heaviest = self._index.weights_g
        if heaviest <= lightest:
            return 1.0
        return min(1.0, max(0.0, (weight_g - lightest) / (heaviest - lightest)))

    def rank_of_place(self, place: int) -> int:
        """The rank in `port_time` of the slot that holds a place, places counted from the nearest slot on."""
        table = self._made.table
        if table is None:
            table = self._make_rank_table()
        if table:
            return table[place] if place < len(table) else table[-1]
        sums = self._sums()
        return min(bisect_right(sums, place), len(sums) - 1) - 1

    def speed(self, sku: int) -> float:
        """Demand over stock of the SKU, 1 for the mean of all."""
        speeds = self._index.turnover.speed
        return speeds[sku] if sku < len(speeds) else 0.0

    @property
    def occupied(self) -> int:
        """Boxes in the store and bound for it, as the ledger has reported them to `SlotIndex.stays`."""
        return self._index.stays.boxes

    # -- by where a slot is ------------------------------------------------------------------------

    def nearest_to(self, place: int) -> int:
        """The open slot that the robot reaches soonest from a place.

        Ties go by port time; in a large store not every slot of a tie is looked at.
        """
        ranks = self._near.get(place)
        if ranks is None:
            if len(self._slots) > MOST_TABLE_SLOTS:
                return self._in_lines().nearest(place)
            ranks = self._near[place] = self._index.near_ranks(place, on_the_way=False)
        opened = self._open
        for rank in ranks:
            if opened[rank]:
                return self._slots[rank]
        return NONE

    def on_the_way_to(self, place: int) -> int:
        """The open slot with the least time from the inbound port to it and on to a place.

        Ties, and in a large store sums that differ by the rounding of their legs, go as in `nearest_to`.
        Under simultaneous axes a large store costs a pass over its open slots.
        """
        slots, opened = self._slots, self._open
        if len(slots) > MOST_TABLE_SLOTS:
            return self._in_lines().nearest_on_the_way(place)
        for rank in self._index.near_ranks(place, on_the_way=True):
            if opened[rank]:
                return slots[rank]
        return NONE

    def roomiest_aisle(self) -> tuple[int, int]:
        """The rank range in `aisle` order of the aisle with the largest share of open places."""
        aisles = self._made.aisles
        if aisles is None:
            aisles = _AisleRoom(self._index, self._box_class)
            self._made.aisles = aisles
        return aisles.roomiest()

    def level_ranges(self) -> tuple[tuple[int, int], ...]:
        """The rank ranges in `level` order of all levels, the lowest first."""
        if self._made.level_ranges is None:
            level = np.asarray(self._index.layout.level)
            self._made.level_ranges = _ranges_of(level[self._pair("level")[0]].tolist())
        return self._made.level_ranges

    @property
    def next_retrieval(self) -> int:
        """The place of the box that leaves next, as far as that is known; NONE otherwise."""
        return self._index.next_retrieval()

    @property
    def announced(self) -> tuple[BoxView, ...]:
        """The boxes known to follow this one that the slots of this view may take, in their order."""
        index = self._index
        return tuple(box for box in index.announced() if index.view_of(box.sku) is self)

    # -- of one slot -------------------------------------------------------------------------------

    def room(self, slot: int) -> int:
        """Places of the slot that are neither taken nor reserved."""
        return self._index.room[slot]

    def capacity(self, slot: int) -> int:
        """Places of the slot."""
        return self._index.capacity[slot]

    def port_time_ms(self, slot: int) -> int:
        """Time from the inbound port to the slot."""
        return self._index.port_time_ms[slot]

    def level(self, slot: int) -> int:
        """The level of the slot, from 1."""
        return int(self._index.layout.level[slot])

    def aisle(self, slot: int) -> int:
        """The aisle of the slot, from 0."""
        return int(self._index.layout.aisle[slot])

    def is_open(self, slot: int) -> bool:
        """Whether the slot may take the box."""
        rank = self._index._rank
        return 0 <= slot < len(rank) and self._open[rank[slot]] == 1

    @property
    def slots(self) -> int:
        """How many slots the store has."""
        return len(self._index.room)

    # -- private -----------------------------------------------------------------------------------

    def _pair(self, name: str) -> tuple[list[int], bytearray]:
        pair = self._orders.get(name)
        if pair is None:
            order = self._index.order(name, self._box_class)
            pair = self._orders[name] = (order.slots, order.open)
        return pair

    def _in_lines(self) -> "_Lines":
        lines = self._made.lines
        if lines is None:
            lines = self._made.lines = _Lines(self._index, self._pair("line"))
        return lines

    def _weigh(self) -> Turnover:
        """The turnover of the boxes that compete for the slots of this view.

        A SKU of another class counts by the share of its own places that this view has too.
        """
        made, index = self._made, self._index
        if made.turnover is None:
            made.turnover = index.turnover
            if len(index.admits) > 1:
                made.weights = _weights(index, self._box_class)
                pairs = list(zip(made.weights, index.turnover.demand, index.turnover.stock, strict=True))
                made.turnover = Turnover([w * d for w, d, _ in pairs], [w * s for w, _, s in pairs])
            made.middles = made.turnover.middles
        return made.turnover

    def _make_rank_table(self) -> list[int]:
        sums = self._sums()
        table: list[int] = []
        if 0 < sums[-1] <= MOST_TABLE_PLACES:
            held = (b - a for a, b in pairwise(sums))
            table = list(chain.from_iterable(map(repeat, range(len(sums) - 1), held)))
        self._made.table = table
        return table

    def _sums(self) -> list[int]:
        """Places of the slots before each rank of `port_time`, and all of them at the end."""
        if self._made.sums is None:
            capacity, admits = self._index.capacity, self._index.admits[self._box_class]
            held: Iterable[int] = map(capacity.__getitem__, self._slots)
            if admits is not None:
                held = (capacity[s] if admits[s] else 0 for s in self._slots)
            self._made.sums = list(accumulate(held, initial=0))
        return self._made.sums


class _Made:
    """What a view has made for the rules that asked for it."""

    __slots__ = (
        "aisles", "arrays", "empties", "level_ranges", "levels", "lines", "middles",
        "ranges", "sums", "table",
        "turnover", "weights", "zones",
    )  # fmt: skip

    def __init__(self) -> None:
        self.aisles: _AisleRoom | None = None
        self.arrays: dict[str, NDArray[np.int64]] = {}
        self.empties: _Empties | None = None
        self.level_ranges: tuple[tuple[int, int], ...] | None = None
        self.levels: _Levels | None = None
        self.lines: _Lines | None = None
        self.ranges: dict[int, tuple[int, int]] | None = None
        self.sums: list[int] | None = None
        self.table: list[int] | None = None
        self.middles: list[float] = []
        self.turnover: Turnover | None = None
        self.weights: list[float] | None = None
        self.zones: tuple[list[int], list[tuple[tuple[int, int], ...]]] | None = None


class _StaysOfTrial:
    """What has been seen, and boxes placed on trial: counted in a copy when a rule looks at it."""

    def __init__(self, stays: SeenStays) -> None:
        self.placed: list[BoxView] = []
        self._stays = stays
        self._copy: SeenStays | None = None

    def __getattr__(self, name: str) -> Any:
        if self._copy is None:
            self._copy = self._stays.copy()
        for box in self.placed:
            if box.sku < len(self._copy.here):
                self._copy.arrived(box.sku, box.now_ms, box.verified_day)
        self.placed.clear()
        return getattr(self._copy, name)


class _Empties:
    """The empty slots by port time."""

    def __init__(self, index: SlotIndex, box_class: int) -> None:
        self._index = index
        self._order = order = index.order("port_time", box_class)
        self._admits = index.admits[box_class]
        self._empty = bytearray(
            is_open and index.room[slot] == index.capacity[slot]
            for slot, is_open in zip(order.slots, order.open, strict=True)
        )
        index.watch(self._changed)

    def _changed(self, slot: int, room: int) -> None:
        empty = room > 0 and room == self._index.capacity[slot]
        self._empty[self._order.rank[slot]] = empty and (self._admits is None or self._admits[slot] == 1)

    def first(self) -> int:
        rank = self._empty.find(1)
        return self._order.slots[rank] if rank >= 0 else NONE


class _Levels:
    """The open slots by how many places they have open, each group by port time."""

    def __init__(self, index: SlotIndex, box_class: int) -> None:
        order = index.order("port_time", box_class)
        self._slots, self._rank, self._admits = order.slots, order.rank, index.admits[box_class]
        most = max(index.capacity, default=0)
        self._open = [bytearray(len(order.slots)) for _ in range(most + 1)]
        self._count = [0] * (most + 1)
        self._now = [0] * len(order.slots)
        self._top = 0
        for slot, room in enumerate(index.room):
            self._changed(slot, room if index.is_open(slot) else 0)
        index.watch(self._changed)

    def _changed(self, slot: int, room: int) -> None:
        if self._admits is not None and not self._admits[slot]:
            return
        rank, before = self._rank[slot], self._now[slot]
        if before:
            self._open[before][rank] = 0
            self._count[before] -= 1
        self._now[slot] = room
        if room:
            self._open[room][rank] = 1
            self._count[room] += 1
            if room > self._top:
                self._top = room

    def roomiest(self) -> int:
        top = self._top
        while top and not self._count[top]:
            top -= 1
        self._top = top
        return self._slots[self._open[top].find(1)] if top else NONE


class _AisleRoom:
    """The open places of each aisle."""

    def __init__(self, index: SlotIndex, box_class: int) -> None:
        order = index.order("aisle", box_class)
        admits = index.admits[box_class]
        self._aisle = index.layout.aisle
        self._admits = admits
        aisles = [self._aisle[slot] for slot in order.slots]
        self._range: dict[int, tuple[int, int]] = {aisles[a]: (a, b) for a, b in _ranges_of(aisles)}
        self._places = [0] * (max(self._aisle) + 1)
        self._room = [0] * len(self._places)
        self._now = [0] * len(order.slots)
        for slot, capacity in enumerate(index.capacity):
            if admits is None or admits[slot]:
                self._places[self._aisle[slot]] += capacity
        for slot, room in enumerate(index.room):
            self._changed(slot, room if index.is_open(slot) else 0)
        index.watch(self._changed)

    def _changed(self, slot: int, room: int) -> None:
        if self._admits is None or self._admits[slot]:
            self._room[self._aisle[slot]] += room - self._now[slot]
            self._now[slot] = room

    def roomiest(self) -> tuple[int, int]:
        best, best_share = NONE, 0.0
        for aisle, room in enumerate(self._room):
            if room and room / self._places[aisle] > best_share:
                best, best_share = aisle, room / self._places[aisle]
        return self._range[best] if best >= 0 else (0, 0)


class _Lines:
    """The open slots along each level of each aisle: the nearest to a place in a large store.

    The time of a way from rest to rest grows with its length, and ever more slowly. So along a line the least
    time to a place, and with sequential axes the least sum of two ways, is found next to where a way begins
    or ends, or at the mouth. That leaves a few candidates a line; aisles are tried from the place's own
    outward until even the drive across takes longer than the best found.
    """

    def __init__(self, index: SlotIndex, pair: tuple[list[int], bytearray]) -> None:
        if index.travel is None:
            raise RuntimeError("this rule asks for travel times; the index was made without them")
        self._index, self._travel = index, index.travel
        self._slots, self._open = pair
        layout = index.layout
        self._x: list[int] = np.asarray(layout.x_mm)[self._slots].tolist()
        self._z: list[int] = np.asarray(layout.z_mm)[self._slots].tolist()
        aisle = np.asarray(layout.aisle)[self._slots]
        level = np.asarray(layout.level)[self._slots]
        self._lines: dict[int, list[tuple[int, int]]] = {}
        for a, b in _ranges_of((aisle * (int(level.max(initial=0)) + 1) + level).tolist()):
            self._lines.setdefault(int(aisle[a]), []).append((a, b))
        self._outward: dict[int, list[int]] = {}
        self._by_height: dict[tuple[int, int], list[tuple[int, int, int]]] = {}

    def nearest(self, place: int, *, on_the_way: bool = False) -> int:
        """The open slot with the least time from a place, or from the inbound port by it to the place."""
        layout, drive_ms, between_ms = self._index.layout, self._travel.drive_ms, self._travel.between_ms
        lift_ms = self._travel.lift_ms
        port_rank, port_time_ms = self._index._rank, self._index.port_time_ms
        own, z = layout.aisle[place], int(layout.z_mm[place])
        ends = {own: [int(layout.x_mm[place])]}
        if on_the_way:
            ends.setdefault(layout.aisle[layout.inbound], []).append(int(layout.x_mm[layout.inbound]))
        mouths = layout.mouths
        first_mouth = mouths[layout.aisle[layout.inbound]]
        best: tuple[int, int, int] | None = None
        for aisle in self._aisles_from(own):
            if best is not None and aisle != own:
                across_ms = drive_ms(mouths[own], mouths[aisle])
                if across_ms > best[0]:
                    break
                if on_the_way and across_ms + drive_ms(first_mouth, mouths[aisle]) > best[0]:
                    continue
            for start, end, dz in self._lines_from(aisle, z):
                if best is not None and lift_ms(dz) > best[0]:
                    break
                for rank in self._candidates(start, end, ends.get(aisle, ())):
                    slot = self._slots[rank]
                    ms = between_ms(place, z, slot, self._z[rank])
                    key = (ms + port_time_ms[slot] if on_the_way else ms, port_rank[slot], slot)
                    if best is None or key < best:
                        best = key
        return best[2] if best is not None else NONE

    def nearest_on_the_way(self, place: int) -> int:
        """The open slot with the least time from the inbound port to it and on to a place."""
        if not self._travel.is_simultaneous:
            return self.nearest(place, on_the_way=True)
        # A lift that takes longer than its drive makes the sum flat in parts: look at every open slot.
        opened = np.array(self._slots)[np.frombuffer(self._open, dtype=np.uint8) == 1]
        if not len(opened):
            return NONE
        times = self._index.near_ms(place, on_the_way=True)[opened]
        return int(min(opened[times == times.min()].tolist(), key=self._index._rank.__getitem__))

    def _lines_from(self, aisle: int, z: int) -> list[tuple[int, int, int]]:
        """The lines of an aisle with their distance in height, the nearest level first."""
        lines = self._by_height.get((aisle, z))
        if lines is None:
            heights = ((start, end, abs(self._z[start] - z)) for start, end in self._lines[aisle])
            lines = self._by_height[aisle, z] = sorted(heights, key=lambda line: line[2])
        return lines

    def _aisles_from(self, own: int) -> list[int]:
        aisles = self._outward.get(own)
        if aisles is None:
            aisles = self._outward[own] = sorted(self._lines, key=lambda aisle: (abs(aisle - own), aisle))
        return aisles

    def _candidates(self, start: int, end: int, ends: Sequence[int]) -> set[int]:
        """Ranks of the first open slot of a line, and of those next to where ways begin or end in it."""
        first = self._open.find(1, start, end)
        if first < 0:
            return set()
        found = {first}
        for x in ends:
            at = bisect_left(self._x, x, start, end)
            above, below = self._open.find(1, at, end), self._open.rfind(1, start, at)
            if above >= 0:
                found.add(above)
            if below >= 0:
                # Of the slots that share its x the first open one, as on the other side.
                same = bisect_left(self._x, self._x[below], start, below)
                found.add(self._open.find(1, same, below + 1))
        return found


def _ranges_of(keys: Sequence[Any]) -> tuple[tuple[int, int], ...]:
    """The stretches of equal keys, as half-open ranges."""
    borders = [0, *(i for i in range(1, len(keys)) if keys[i] != keys[i - 1]), len(keys)]
    return tuple(pairwise(borders)) if keys else ()


def _weights(index: SlotIndex, box_class: int) -> list[float]:
    """For each SKU, which share of the places that take its boxes takes boxes of the class as well."""
    capacity = np.asarray(index.capacity)
    places = [
        capacity if admits is None else capacity * np.frombuffer(admits, dtype=np.uint8)
        for admits in index.admits
    ]
    mine = places[box_class] > 0
    shares = [float(each[mine].sum() / each.sum()) if each.any() else 0.0 for each in places]
    skus = range(len(index.turnover.demand))
    return [shares[index.class_of_sku[sku] if sku < len(index.class_of_sku) else 0] for sku in skus]


def _cut_zones(
    index: SlotIndex, turnover: Turnover, sums: list[int]
) -> tuple[list[int], list[tuple[tuple[int, int], ...]]]:
    """The zone of each SKU, and for each zone the ranges to try: its own first, then by overflow.

    A zone gets the share of the places that its class holds of the stock; an unknown SKU belongs to the last.
    """
    borders = index.borders or turnover.borders(index.zones)
    of_sku, held = turnover.classes(borders)
    zones = _cut(sums, held)
    tries = []
    for own in range(len(zones)):
        outer, inner = list(range(own + 1, len(zones))), list(range(own - 1, -1, -1))
        if index.overflow == "nearest":
            others = sorted(outer + inner, key=lambda zone: (abs(zone - own), -zone))
        else:
            others = outer + inner if index.overflow == "outward" else inner + outer
        tries.append(tuple(zones[zone] for zone in [own, *others]))
    return of_sku, tries


def _cut_ranges(turnover: Turnover, sums: list[int]) -> dict[int, tuple[int, int]]:
    ranges = _cut(sums, [turnover.stock[sku] for sku in turnover.fastest])
    return dict(zip(turnover.fastest, ranges, strict=True))


def _cut(sums: list[int], shares: Sequence[float]) -> list[tuple[int, int]]:
    """Cut the ranks into ranges that hold the given shares of the places, to the nearest slot."""
    ranges: list[tuple[int, int]] = []
    places, ranks = sums[-1], len(sums) - 1
    start, upto = 0, 0.0
    for k, share in enumerate(shares):
        upto += share * places
        end = ranks if k == len(shares) - 1 else max(start, min(ranks, bisect_left(sums, upto - 0.5)))
        ranges.append((start, end))
        start = end
    return ranges
