"""What the store holds at time 0, when no stock list is given.

The store fills itself by its own policies: a pseudo-history of some mean dwells through allocation and
retrieval alone, under the streams of the run, with trucks, orders and expiry day by day and without robots or
people. So slots are mixed, ages spread and open boxes left over as the policies leave them.
"""

import math
from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.allocation import Rule, SlotView
from sim.calendar import DAY_MS
from sim.facts import NONE
from sim.ledger import QUALIFIED, Ledger
from sim.retrieval import RETRIEVAL, BoxesView

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.orders import Delivery, OrderBook, OrderSpec, OrderType, Supply
    from sim.streams import Stream
    from sim.turnover import SeenStays
    from sim.warehouse import PolicyParams

MOST_DAYS: Final = 3 * 366
"""The pseudo-history is never longer than this, however slowly the store turns."""


class OpeningBox(NamedTuple):
    """A box that is there at time 0: slot, column, tier, and what it holds.

    Without a slot (NONE) a full box stands in staging and an open one in the loose rack.
    """

    slot: int
    column: int
    tier: int
    sku: int
    lot: int
    verified_day: int
    meters: int
    received_ms: int


class Opening(NamedTuple):
    """The boxes at time 0, by slot, column and tier, and the trucks that are under way."""

    boxes: list[OpeningBox]
    deliveries: list["Delivery"]


class PseudoHistory:
    """The days before time 0, on records of their own."""

    def __init__(
        self,
        layout: "Layout",
        ledger: Ledger,
        book: "OrderBook",
        supply: "Supply",
        policy: "PolicyParams",
        stream: "Stream",
        *,
        rule: Rule,
        stacked: bool,
        max_age_days: int,
        one_for_one: bool,
        orders_of: "OrderType",
    ) -> None:
        self._layout = layout
        self._ledger = ledger
        self._book = book
        self._supply = supply
        self._rule = rule
        self._retrieve = RETRIEVAL[policy.retrieval]
        self._boxes = BoxesView(ledger, ledger.ready, policy.tolerance_days)
        self._stream = stream
        self._stacked = stacked
        self._max_age = max_age_days
        self._one_for_one = one_for_one
        self._orders_of = orders_of
        self._lots = 0
        # What found no slot, by the slots that may take it, each box with its place in the whole queue.
        self._waiting: dict[SlotView, deque[tuple[int, int]]] = {}
        self._waited = 0
        self._open: dict[int, tuple[int, int]] = {}
        self._due: dict[int, list[Delivery]] = {}
        self._day = 0

    @property
    def stays(self) -> "SeenStays":
        """What was seen of how long boxes stay."""
        return self._ledger.index.stays

    def run(self, fill: float, dwells: float) -> Opening:
        """Fill the store to a share of its places and let it turn over for so many mean dwells."""
        places = self._layout.boxes
        daily = self._book.daily_boxes * 5 / 7
        wanted = round(fill * places)
        dwell_days = wanted / daily if daily > 0 else math.inf
        days = min(math.ceil(dwells * dwell_days), MOST_DAYS) if daily > 0 else 0
        self._day = -days
        self._fill(wanted, min(dwell_days, self._max_age / 2))
        for day in range(-days, 0):
            self._day = day
            self._live_day(day)
        return self._opening()

    def _fill(self, wanted: int, dwell_days: float) -> None:
        """Set the first boxes into the store, lots of each SKU in turn, the oldest one mean dwell old."""
        shares = self._book.box_shares
        lots = max(1, round(dwell_days / 5)) if math.isfinite(dwell_days) else 12
        left = _in_proportion(wanted, shares)
        for k in range(lots):
            for sku, boxes in enumerate(left):
                part = boxes * (k + 1) // lots - boxes * k // lots
                if part > 0:
                    age = round(dwell_days * (lots - 1 - k) / lots) if math.isfinite(dwell_days) else 0
                    self._arrive(sku, part, self._day - age)

    def _arrive(self, sku: int, boxes: int, day: int) -> None:
        _, verified = self._supply.lot(day, boxes)
        lot = self._lots
        self._lots += 1
        ledger = self._ledger
        for day_of_box in verified:
            box = ledger.new_box(sku, lot, day_of_box, ledger.full_mask[sku], self._layout.staging)
            ledger.set_state(box, QUALIFIED)
            ledger.received_ms[box] = day * DAY_MS
            ledger.on_hand[sku] += ledger.full[sku]
            if not self._store(box):
                view = ledger.index.view_of(sku)
                self._waiting.setdefault(view, deque()).append((self._waited, box))
                self._waited += 1

    def _store(self, box: int) -> bool:
        ledger = self._ledger
        slot, column = ledger.allocate(self._rule, box, self._day * DAY_MS, self._stream)
        if slot == NONE:
            return False
        ledger.stored(box, slot, column, ledger.cells[slot][column].index(NONE))
        ledger.add_ready(box)
        return True

    def _store_waiting(self) -> None:
        """Store what waits, the first ones first, each class until one of it finds no slot."""
        heads = [(*queue[0], view) for view, queue in self._waiting.items()]
        heapify(heads)
        while heads:
            _, box, view = heads[0]
            queue = self._waiting[view]
            if not self._store(box):
                heappop(heads)
                continue
            queue.popleft()
            if queue:
                heapreplace(heads, (*queue[0], view))
            else:
                heappop(heads)
                del self._waiting[view]

    def _live_day(self, day: int) -> None:
        ledger = self._ledger
        self._deliver(day)
        self._expire(day)
        for order in self._orders_of(self._book, day):
            self._serve(order)
        if not self._one_for_one:
            positions = [a + b for a, b in zip(ledger.on_hand, ledger.on_order, strict=True)]
            for delivery in self._supply.call_off(day, positions):
                for sku, boxes in delivery.loads:
                    ledger.on_order[sku] += boxes * ledger.full[sku]
                self._due.setdefault(delivery.at_ms // DAY_MS, []).append(delivery)
            self._deliver(day)

    def _deliver(self, day: int) -> None:
        """The trucks of a day are unloaded at once."""
        for delivery in self._due.pop(day, ()):
            for sku, boxes in delivery.loads:
                self._ledger.on_order[sku] -= boxes * self._ledger.full[sku]
                self._arrive(sku, boxes, day)

    def _expire(self, day: int) -> None:
        """Boxes too old to be issued leave for re-verification, so that they do not fill the store."""
        ledger = self._ledger
        limit = self._book.calendar.ordinal(day) - self._max_age
        for sku in range(len(ledger.on_hand)):
            while (days := ledger.ready.days(sku)) and days[0] < limit:
                self._leave(next(self._boxes.boxes(sku)), sku)
                ledger.on_hand[sku] -= ledger.full[sku]

    def _serve(self, order: "OrderSpec") -> None:
        for sku, meters in order.lines:
            full, left = self._ledger.full[sku], meters
            while left >= full:
                box = self._retrieve(sku, self._boxes)
                if box == NONE:
                    break
                self._leave(box, sku)
                self._ledger.on_hand[sku] -= full
                left -= full
            while 0 < left < full:
                box, rest = self._open.get(sku, (NONE, 0))
                if not rest:
                    box = self._retrieve(sku, self._boxes)
                    if box == NONE:
                        break
                    self._leave(box, sku)
                    rest = full
                taken = min(left, rest)
                left -= taken
                self._ledger.on_hand[sku] -= taken
                self._open[sku] = (box, rest - taken)

    def _leave(self, box: int, sku: int) -> None:
        """A box leaves its slot; in free stacks those above come down by one."""
        ledger = self._ledger
        slot, column = ledger.place[box], ledger.column[box]
        ledger.ready.remove(box)
        ledger.taken(box, self._layout.outside)
        ledger.left(box, self._day * DAY_MS)
        if self._stacked:
            cells = ledger.cells[slot][column]
            standing = [b for b in cells if b != NONE]
            for tier in range(len(cells)):
                cells[tier] = standing[tier] if tier < len(standing) else NONE
                if cells[tier] != NONE:
                    ledger.tier[cells[tier]] = tier
        if self._one_for_one:
            self._arrive(sku, 1, self._day)
        if self._waiting:
            self._store_waiting()

    def _opening(self) -> Opening:
        ledger, full = self._ledger, self._ledger.full
        boxes = []
        for slot, columns in enumerate(ledger.cells):
            for column, cells in enumerate(columns):
                for tier, box in enumerate(cells):
                    if box != NONE:
                        boxes.append(self._opening_box(box, slot, column, tier, full[ledger.sku[box]]))
        waiting = sorted(each for queue in self._waiting.values() for each in queue)
        boxes += [self._opening_box(box, NONE, NONE, NONE, full[ledger.sku[box]]) for _, box in waiting]
        boxes += [self._opening_box(box, NONE, NONE, NONE, rest) for box, rest in self._open.values() if rest]
        under_way = [delivery for day in sorted(self._due) for delivery in self._due[day]]
        return Opening(boxes, under_way)

    def _opening_box(self, box: int, slot: int, column: int, tier: int, meters: int) -> OpeningBox:
        ledger = self._ledger
        return OpeningBox(
            slot, column, tier, ledger.sku[box], ledger.lot[box], ledger.verified_day[box], meters,
            ledger.received_ms[box],
        )  # fmt: skip


def _in_proportion(total: int, shares: Sequence[float]) -> list[int]:
    """A whole number cut in proportion to shares that sum to 1, by largest remainders."""
    exact = [share * total for share in shares]
    parts = [math.floor(part) for part in exact]
    by_rest = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_rest[: total - sum(parts)]:
        parts[i] += 1
    return parts
