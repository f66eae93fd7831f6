"""Retrieval: which boxes leave for an order.

A rule is a function `(sku, view) -> box` in `RETRIEVAL`. It sees the boxes that the ledger holds ready
(qualified, in date, not reserved) and returns one, or `NONE`. Boxes whose verification is too old are
never in the view.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from sim.facts import NONE

if TYPE_CHECKING:
    from sim.ledger import Ledger

_BOX_BITS = 40
_BOX_MASK = (1 << _BOX_BITS) - 1
_FEW: Final = 64


class ReadyBoxes:
    """The boxes that may be reserved, by SKU, verification day and time to the outbound port."""

    __slots__ = ("_days", "_keys", "_of_day", "_queues", "counts")

    def __init__(self, skus: int) -> None:
        self._days: list[list[int]] = [[] for _ in range(skus)]
        self._of_day: list[dict[int, list[int]]] = [{} for _ in range(skus)]
        self._keys: dict[int, tuple[int, int, int]] = {}
        # By SKU and direction: a heap of (receipt, box), and boxes that have come since it was last asked.
        self._queues: dict[tuple[int, int], tuple[list[tuple[int, int]], list[int]]] = {}
        self.counts = [0] * skus

    def add(self, box: int, sku: int, day: int, port_time_ms: int) -> None:
        """Make a box ready; `port_time_ms` is its time to the outbound port (0 from staging)."""
        key = (port_time_ms << _BOX_BITS) | box
        of_day = self._of_day[sku]
        keys = of_day.get(day)
        if keys is None:
            insort(self._days[sku], day)
            of_day[day] = [key]
        else:
            insort(keys, key)
        self._keys[box] = (sku, day, key)
        self.counts[sku] += 1
        if self._queues:
            for direction in (1, -1):
                _, come = self._queues.get((sku, direction), ((), []))
                come.append(box)
                if len(come) > 2 * self.counts[sku] + _FEW:  # nobody asks any more
                    del self._queues[sku, direction]

    def remove(self, box: int) -> None:
        """Take a box out: reserved, expired, or on its way."""
        sku, day, key = self._keys.pop(box)
        keys = self._of_day[sku][day]
        del keys[bisect_left(keys, key)]
        if not keys:
            del self._of_day[sku][day]
            days = self._days[sku]
            del days[bisect_left(days, day)]
        self.counts[sku] -= 1

    def __contains__(self, box: int) -> bool:
        return box in self._keys

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def days(self, sku: int) -> list[int]:
        """Verification days of the SKU's ready boxes, earliest first."""
        return self._days[sku]

    def keys_of(self, sku: int, day: int) -> list[int]:
        """Sort keys of the boxes of a day, nearest the outbound port first."""
        return self._of_day[sku][day]

    def of_day(self, sku: int) -> dict[int, list[int]]:
        """The same of every verification day."""
        return self._of_day[sku]

    def by_receipt(self, sku: int, received_ms: Sequence[int], direction: int) -> int:
        """The box of a SKU that was received first (direction 1) or last (-1), or NONE.

        `received_ms`, by box, does not change while a box is ready. Of equal receipts the lowest number
        counts as the first. Boxes that are gone stay in the queue until they come to its head.
        """
        keys = self._keys
        queue = self._queues.get((sku, direction))
        if queue is None or len(queue[0]) > 2 * self.counts[sku] + _FEW:
            here = [key & _BOX_MASK for of_day in self._of_day[sku].values() for key in of_day]
            queue = self._queues[sku, direction] = ([], here)
        heap, come = queue
        for box in come:
            if box in keys:
                heappush(heap, (direction * received_ms[box], direction * box))
        come.clear()
        while heap:
            receipt, signed = heap[0]
            box = direction * signed
            if box in keys and direction * received_ms[box] == receipt:
                return box
            heappop(heap)
        return NONE


class BoxesView:
    """What a retrieval rule may see. Nothing can be changed through it."""

    __slots__ = ("_ledger", "_ready", "_tolerance_days")

    def __init__(self, ledger: "Ledger", ready: ReadyBoxes, tolerance_days: int) -> None:
        self._ledger = ledger
        self._ready = ready
        self._tolerance_days = tolerance_days

    @property
    def tolerance_days(self) -> int:
        """Boxes due within so many days of the first count as equally due."""
        return self._tolerance_days

    def days(self, sku: int) -> tuple[int, ...]:
        """Verification days (ordinals) of the SKU's ready boxes, earliest first."""
        return tuple(self._ready.days(sku))

    def soonest_due(self, sku: int, tolerance_days: int) -> int:
        """Among the boxes due within the tolerance of the first one, the nearest to the port; or NONE."""
        days = self._ready.days(sku)
        if not days:
            return NONE
        limit = days[0] + tolerance_days
        of_day = self._ready.of_day(sku)
        best = of_day[days[0]][0]
        for i in range(1, len(days)):
            day = days[i]
            if day > limit:
                break
            first = of_day[day][0]
            if first < best:
                best = first
        return best & _BOX_MASK

    def nearest(self, sku: int) -> int:
        """The box nearest the outbound port, or NONE."""
        best = min((self._ready.keys_of(sku, day)[0] for day in self._ready.days(sku)), default=NONE)
        return best & _BOX_MASK if best != NONE else NONE

    def boxes(self, sku: int) -> Iterator[int]:
        """All ready boxes of the SKU, by verification day, then nearness."""
        for day in self._ready.days(sku):
            for key in self._ready.keys_of(sku, day):
                yield key & _BOX_MASK

    def received_first(self, sku: int) -> int:
        """The box that passed the receiving scan first, the lowest number of several; or NONE."""
        return self._ready.by_receipt(sku, self._ledger.received_ms, 1)

    def received_last(self, sku: int) -> int:
        """The box that passed the receiving scan last, the highest number of several; or NONE."""
        return self._ready.by_receipt(sku, self._ledger.received_ms, -1)

    def received_ms(self, box: int) -> int:
        """When the box passed the receiving scan (negative: before the run)."""
        return self._ledger.received_ms[box]

    def verified_day(self, box: int) -> int:
        """The verification day of the box, an ordinal."""
        return self._ledger.verified_day[box]

    def blockers(self, box: int) -> int:
        """How many boxes stand on the box; always 0 where each box has its own support."""
        return self._ledger.blockers(box)


Retrieval = Callable[[int, BoxesView], int]
"""A retrieval rule: the box to take for a SKU, or NONE when none is ready."""


def fefo(sku: int, view: BoxesView) -> int:
    """First expired, first out: the nearest box among those due within tolerance_days of the first."""
    return view.soonest_due(sku, view.tolerance_days)


def fifo(sku: int, view: BoxesView) -> int:
    """First in, first out: the box received first."""
    return view.received_first(sku)


def lifo(sku: int, view: BoxesView) -> int:
    """Last in, first out: the box received last."""
    return view.received_last(sku)


def nearest(sku: int, view: BoxesView) -> int:
    """The box that the robot brings soonest, whatever its age."""
    return view.nearest(sku)


def fewest_digs(sku: int, view: BoxesView) -> int:
    """The box with the fewest boxes on it; among equals the one due first."""
    best, least = NONE, None
    for box in view.boxes(sku):
        blockers = view.blockers(box)
        if least is None or blockers < least:
            best, least = box, blockers
            if blockers == 0:
                break
    return best


RETRIEVAL: Final[dict[str, Retrieval]] = {
    "fefo": fefo,
    "fifo": fifo,
    "lifo": lifo,
    "nearest": nearest,
    "fewest-digs": fewest_digs,
}
