"""Slot allocation: which slot takes a box.

A rule is a function `(box, view, stream) -> slot` in `POLICIES`. It sees the ledger's open places through
a read-only `SlotView` and returns a slot, or `NONE` when nothing fits. The hard constraints (room, blocked
slots, reservations) are one mechanism for all rules: `SlotIndex` keeps the open places in the rank orders
that rules ask for, as bytearrays whose `find` is a memchr, and changes them as the ledger changes.

Left out here: weights and device classes (every slot takes every box of the one class that is modelled).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.facts import NONE

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.streams import Stream


class BoxView(NamedTuple):
    """What a rule may know of the box to be stored; `verified_day` is an ordinal."""

    box: int
    sku: int
    lot: int
    verified_day: int
    meters: int


class _Order:
    """The slots in one rank order, and which of them are open."""

    __slots__ = ("open", "rank", "slots")

    def __init__(self, slots: list[int], is_open: Callable[[int], bool]) -> None:
        self.slots = slots
        self.rank = [0] * len(slots)
        for rank, slot in enumerate(slots):
            self.rank[slot] = rank
        self.open = bytearray(is_open(slot) for slot in slots)


class SlotIndex:
    """Room in every slot, recorded and reserved boxes taken off, with the open slots in rank order.

    `port_time_ms[s]` is the time from the inbound port to slot s; `shares` the demand shares of the SKUs,
    from which class-based zones are cut.
    """

    def __init__(
        self, layout: "Layout", port_time_ms: Sequence[int], shares: Sequence[float] = (1.0,), zones: int = 3
    ) -> None:
        self.capacity: list[int] = list(layout.capacity)
        self.room: list[int] = list(layout.capacity)
        self.port_time_ms: list[int] = [int(t) for t in port_time_ms]
        self.lots: dict[int, dict[int, int]] = {}
        self._column = [int(c) for c in layout.column]
        self._level = [int(v) for v in layout.level]
        self._row = [int(r) for r in layout.row]
        self._shares = list(shares)
        self._zone_count = zones
        self._zones: list[tuple[int, int]] | None = None
        self._class_of: list[int] = []
        self._orders: dict[str, _Order] = {}
        self._flips: list[tuple[list[int], bytearray]] = []
        self._random: tuple[list[int], list[int]] | None = None
        self._empty: _Order | None = None
        self._blocked: set[int] = set()
        self.open_places = sum(self.room)

    def take(self, slot: int, lot: int) -> None:
        """Reserve one place of the slot for a box of the lot."""
        room = self.room[slot]
        if room <= 0:
            raise RuntimeError(f"slot {slot} has no room left to reserve")
        if self._empty is not None and room == self.capacity[slot]:
            self._empty.open[self._empty.rank[slot]] = 0
        self.room[slot] = room - 1
        self.open_places -= 1
        if room == 1 and slot not in self._blocked:
            self._close(slot)
        slots = self.lots.get(lot)
        if slots is None:
            self.lots[lot] = {slot: 1}
        else:
            slots[slot] = slots.get(slot, 0) + 1

    def give(self, slot: int, lot: int) -> None:
        """Free one place of the slot, taken before for a box of the lot."""
        room = self.room[slot] = self.room[slot] + 1
        if room > self.capacity[slot]:
            raise RuntimeError(f"slot {slot} has more room than places")
        self.open_places += 1
        slots = self.lots[lot]
        if slots[slot] == 1:
            del slots[slot]
            if not slots:
                del self.lots[lot]
        else:
            slots[slot] -= 1
        if room == 1 and slot not in self._blocked:
            self._open(slot)
        if self._empty is not None and room == self.capacity[slot] and slot not in self._blocked:
            self._empty.open[self._empty.rank[slot]] = 1

    def block(self, slot: int, blocked: bool) -> None:
        """Take a slot out of use, or put it back."""
        if blocked == (slot in self._blocked):
            return
        if blocked:
            if self.room[slot] > 0:
                self._close(slot)
            self._blocked.add(slot)
        else:
            self._blocked.remove(slot)
            if self.room[slot] > 0:
                self._open(slot)
        if self._empty is not None:
            empty = not blocked and self.room[slot] == self.capacity[slot] > 0
            self._empty.open[self._empty.rank[slot]] = empty

    def is_open(self, slot: int) -> bool:
        """Whether the slot has room and is in use."""
        return self.room[slot] > 0 and slot not in self._blocked

    def order(self, name: str) -> _Order:
        """The open slots by `port_time` (ties by column, level, row) or `position` (column, level, row)."""
        order = self._orders.get(name)
        if order is None:
            key = {"port_time": self.by_port_time, "position": self._by_position}[name]
            order = _Order(sorted(range(len(self.room)), key=key), self.is_open)
            self._orders[name] = order
            self._flips.append((order.rank, order.open))
        return order

    def empty_order(self) -> _Order:
        """The empty slots by `port_time`."""
        if self._empty is None:
            self._empty = _Order(
                list(self.order("port_time").slots),
                lambda s: self.is_open(s) and self.room[s] == self.capacity[s],
            )
        return self._empty

    def random_list(self) -> list[int]:
        """The open slots in no order, for drawing one."""
        if self._random is None:
            slots = [s for s in range(len(self.room)) if self.is_open(s)]
            where = [NONE] * len(self.room)
            for i, slot in enumerate(slots):
                where[slot] = i
            self._random = (slots, where)
        return self._random[0]

    def zones_of(self, sku: int) -> Iterable[tuple[int, int]]:
        """Rank ranges of the SKU's zone first, then of the zones further out, then nearer in."""
        if self._zones is None:
            self._cut_zones()
        assert self._zones is not None
        own = self._class_of[sku] if sku < len(self._class_of) else len(self._zones) - 1
        return self._zones[own:] + self._zones[:own][::-1]

    def _cut_zones(self) -> None:
        # Classes by cumulative demand: A to 2/3, B to 9/10, C the rest. Zones share places alike.
        borders = [2 / 3, 0.9][: self._zone_count - 1]
        ranked = sorted(range(len(self._shares)), key=lambda s: (-self._shares[s], s))
        total = sum(self._shares)
        self._class_of = [0] * len(self._shares)
        places_share = [0.0] * self._zone_count
        running, zone = 0.0, 0
        for sku in ranked:
            self._class_of[sku] = zone
            places_share[zone] += self._shares[sku] / total
            running += self._shares[sku] / total
            while zone < len(borders) and running >= borders[zone] - 1e-12:
                zone += 1
        slots = self.order("port_time").slots
        places = sum(self.capacity)
        self._zones = []
        start, taken, upto = 0, 0, 0.0
        for zone in range(self._zone_count):
            upto += places_share[zone] * places
            end = start
            while end < len(slots) and (taken < upto - 0.5 or zone == self._zone_count - 1):
                taken += self.capacity[slots[end]]
                end += 1
            self._zones.append((start, end))
            start = end

    def _close(self, slot: int) -> None:
        for rank, opened in self._flips:
            opened[rank[slot]] = 0
        if self._random is not None:
            slots, where = self._random
            hole, last = where[slot], slots.pop()
            if last != slot:
                slots[hole] = last
                where[last] = hole
            where[slot] = NONE

    def _open(self, slot: int) -> None:
        for rank, opened in self._flips:
            opened[rank[slot]] = 1
        if self._random is not None:
            slots, where = self._random
            where[slot] = len(slots)
            slots.append(slot)

    def by_port_time(self, slot: int) -> tuple[int, int, int, int]:
        """The sort key of the `port_time` order."""
        return self.port_time_ms[slot], self._column[slot], self._level[slot], self._row[slot]

    def _by_position(self, slot: int) -> tuple[int, int, int]:
        return self._column[slot], self._level[slot], self._row[slot]


class SlotView:
    """What an allocation rule may see: open places of the ledger. Nothing can be changed through it."""

    __slots__ = ("_index",)

    def __init__(self, index: SlotIndex) -> None:
        self._index = index

    def first_open(self, order: str, start: int = 0, end: int | None = None) -> int:
        """The first open slot of an order (`port_time`, `position`), between two ranks if given; or NONE."""
        o = self._index.order(order)
        rank = o.open.find(1, start, end)
        return o.slots[rank] if rank >= 0 else NONE

    def last_open(self, order: str, start: int = 0, end: int | None = None) -> int:
        """The last open slot of an order, between two ranks if given; or NONE."""
        o = self._index.order(order)
        rank = o.open.rfind(1, start, end)
        return o.slots[rank] if rank >= 0 else NONE

    def first_empty(self) -> int:
        """The empty slot nearest the port, or NONE."""
        o = self._index.empty_order()
        rank = o.open.find(1)
        return o.slots[rank] if rank >= 0 else NONE

    def nth_open(self, u: float) -> int:
        """The open slot that a uniform u on [0, 1) picks, each alike; or NONE."""
        slots = self._index.random_list()
        return slots[int(u * len(slots))] if slots else NONE

    def with_lot(self, lot: int) -> int:
        """The open slot nearest the port that already holds, or expects, boxes of the lot; or NONE."""
        index = self._index
        best, best_key = NONE, None
        for slot in index.lots.get(lot, ()):
            if index.is_open(slot):
                key = index.by_port_time(slot)
                if best_key is None or key < best_key:
                    best, best_key = slot, key
        return best

    def zones_of(self, sku: int) -> Iterable[tuple[int, int]]:
        """Rank ranges in `port_time` order: the SKU's zone, then the zones further out, then nearer in."""
        return self._index.zones_of(sku)

    def room(self, slot: int) -> int:
        """Places of the slot that are neither taken nor reserved."""
        return self._index.room[slot]

    def capacity(self, slot: int) -> int:
        """Places of the slot."""
        return self._index.capacity[slot]

    def port_time_ms(self, slot: int) -> int:
        """Time from the inbound port to the slot."""
        return self._index.port_time_ms[slot]

    def is_open(self, slot: int) -> bool:
        """Whether the slot has room and is in use."""
        return self._index.is_open(slot)

    @property
    def slots(self) -> int:
        """How many slots the store has."""
        return len(self._index.room)


Policy = Callable[[BoxView, SlotView, "Stream"], int]
"""An allocation rule: the slot for a box, or NONE when nothing fits."""


def closest_open(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot that the robot reaches soonest from the inbound port."""
    return view.first_open("port_time")


def farthest_open(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot that the robot reaches last: the worst sensible rule, for comparison."""
    return view.last_open("port_time")


def first_free(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The first open slot by column, then level, then row, as a keeper fills a rack."""
    return view.first_open("position")


def random_open(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """Any open slot, each as likely: the reference of the literature (Hausman, Schwarz and Graves 1976)."""
    return view.nth_open(stream.uniform(box.box))


def class_based(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The nearest open slot of the zone of the SKU's demand class; when full, the next zones out, then in."""
    for start, end in view.zones_of(box.sku):
        slot = view.first_open("port_time", start, end)
        if slot != NONE:
            return slot
    return NONE


def lot_pure(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """A slot that holds the box's lot; else the nearest empty slot; else the nearest open one."""
    slot = view.with_lot(box.lot)
    if slot == NONE:
        slot = view.first_empty()
    if slot == NONE:
        slot = view.first_open("port_time")
    return slot


POLICIES: Final[dict[str, Policy]] = {
    "closest-open": closest_open,
    "random": random_open,
    "farthest-open": farthest_open,
    "first-free": first_free,
    "class-based": class_based,
    "lot-pure": lot_pure,
}
