"""What is recorded: where the warehouse believes each box is, what it may do with it, and what is promised.

The ledger follows scans and confirmations, never the truth itself. It keeps the records of boxes, their
asset states (illegal moves are refused), places reserved per tier column, the boxes that may be reserved
for orders, and the open places that allocation sees.
"""

from itertools import chain
from typing import TYPE_CHECKING, Final

from sim.allocation import BoxView, Rule, SlotIndex
from sim.assets import STATE_CODES, STATES, TRANSITIONS, IllegalMove
from sim.calendar import DAY_MS
from sim.facts import NONE
from sim.retrieval import ReadyBoxes
from sim.slots import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sim.layout import Layout
    from sim.stock import Stock
    from sim.streams import Stream

IN_TRANSIT: Final = STATE_CODES["in_transit"]
QUALIFIED: Final = STATE_CODES["qualified_in_stock"]
RESERVED: Final = STATE_CODES["reserved"]
ISSUED: Final = STATE_CODES["issued_pending_install"]
OVERDUE: Final = STATE_CODES["overdue_pending_reverify"]
QUARANTINED: Final = STATE_CODES["quarantined"]
LOST: Final = STATE_CODES["lost"]
SURPLUS: Final = STATE_CODES["surplus_found"]

_LEGAL: Final = [frozenset(STATE_CODES[s] for s in TRANSITIONS[name]) for name in STATES]


class LedgerError(RuntimeError):
    """The records contradict themselves; always a bug."""


class Ledger:
    """The warehouse's records. Box columns are lists indexed by box number."""

    def __init__(self, layout: "Layout", index: SlotIndex, out_time_ms: list[int], skus: int) -> None:
        self._layout = layout
        self._slots = layout.slots
        self.index = index
        self.out_time_ms = out_time_ms
        self.ready = ReadyBoxes(skus)
        self.full = layout.full_boxes(skus)
        """Meters in a full box, by SKU."""
        self.full_mask = [(1 << meters) - 1 for meters in self.full]
        """The mask of a full box, by SKU."""
        self.sku: list[int] = []
        self.lot: list[int] = []
        self.verified_day: list[int] = []
        self.received_ms: list[int] = []
        self.place: list[int] = []
        self.column: list[int] = []
        self.tier: list[int] = []
        self.mask: list[int] = []
        self.state: list[int] = []
        self.order: list[int] = []
        self.cells: list[list[list[int]]] = [[[NONE] * height for height in slot] for slot in layout.stacks]
        self.column_room: list[list[int]] = [list(slot) for slot in layout.stacks]
        self.on_hand = [0] * skus
        """Meters in stock that are qualified, in date and not promised, by SKU."""
        self.on_order = [0] * skus
        """Meters called off and not yet received, by SKU."""
        self.weight_g: Callable[[int, int], int] = lambda _sku, _meters: 0
        """What a box with so many meters of a SKU weighs. Its owner sets it."""
        self.bound: Callable[[], Iterable[tuple[int, int]]] = lambda: ()
        """The (box, slot) of places reserved, where boxes do not stand on one another. Its owner sets it."""
        self._promised: dict[tuple[int, int], list[int]] | None = None
        if layout.access == "stack_lifo":
            self._promised = {}
            index.stacks = self._stacks
        index.leaves_ms = self._leaves_ms

    def new_box(self, sku: int, lot: int, verified_day: int, mask: int, place: int) -> int:
        """Record a box that is announced; it is in transit until its receiving scan."""
        box = len(self.sku)
        self.sku.append(sku)
        self.lot.append(lot)
        self.verified_day.append(verified_day)
        self.received_ms.append(NONE)
        self.place.append(place)
        self.column.append(NONE)
        self.tier.append(NONE)
        self.mask.append(mask)
        self.state.append(IN_TRANSIT)
        self.order.append(NONE)
        return box

    def is_full(self, box: int) -> bool:
        """Whether a box is whole on record: all meters that a box of its SKU can hold are in it."""
        return self.mask[box] == self.full_mask[self.sku[box]]

    def set_state(self, box: int, state: int) -> None:
        """Change the asset state of a box's meters; raises `IllegalMove` for a move that is not allowed."""
        if state not in _LEGAL[self.state[box]]:
            raise IllegalMove(f"box {box}: {STATES[self.state[box]]} -> {STATES[state]} is not allowed")
        self.state[box] = state

    def may_become(self, box: int, state: int) -> bool:
        """Whether an asset state may follow that of a box."""
        return state in _LEGAL[self.state[box]]

    def allocate(self, rule: Rule, box: int, now_ms: int, stream: "Stream") -> tuple[int, int]:
        """Ask a rule for a slot and reserve a place there; gives slot and tier column, or (NONE, NONE)."""
        seen = self.seen(box, now_ms)
        view = self.index.view_of(seen.sku)
        slot = rule.choose(seen, view, stream)
        if slot == NONE:
            return NONE, NONE
        if type(slot) is not int or not view.is_open(slot):
            name = self._layout.names[slot] if type(slot) is int and 0 <= slot < self._slots else slot
            raise LedgerError(f"the allocation rule named {name!r} for box {box}, which is not an open slot")
        column = rule.column(seen, view, slot) if rule.column is not None else NONE
        if column == NONE:
            column, room = 0, self.column_room[slot]
            while room[column] <= 0:  # an open slot has one
                column += 1
        self.reserve(box, slot, column)
        self.index.stays.arrived(seen.sku, now_ms, seen.verified_day)
        return slot, column

    def seen(self, box: int, now_ms: int) -> BoxView:
        """What an allocation rule may know of a box."""
        sku, meters = self.sku[box], self.mask[box].bit_count()
        weight_g = self.weight_g(sku, meters)
        return BoxView(box, sku, self.lot[box], self.verified_day[box], meters, now_ms, NONE, weight_g)

    def reserve(self, box: int, slot: int, column: int) -> None:
        """Reserve a place in a tier column for a box."""
        if self.column_room[slot][column] <= 0:
            raise LedgerError(f"slot {slot} column {column} has no room")
        self.column_room[slot][column] -= 1
        self.index.take(slot, self.lot[box])
        if self._promised is not None:
            self._promised.setdefault((slot, column), []).append(box)

    def release(self, box: int, slot: int, column: int, now_ms: int) -> None:
        """Give a place back that was reserved for a box which does not come after all."""
        self.give_back(box, slot, column)
        self.left(box, now_ms)

    def give_back(self, box: int, slot: int, column: int) -> None:
        """Give a place back that was reserved for a box, which stays in the racks elsewhere."""
        self.column_room[slot][column] += 1
        self.index.give(slot, self.lot[box])
        if self._promised is not None:
            self._promised[slot, column].remove(box)

    def left(self, box: int, now_ms: int) -> None:
        """Count the end of a box's stay in the racks."""
        self.index.stays.left(self.sku[box], now_ms, self.verified_day[box])

    def stored(self, box: int, slot: int, column: int, tier: int) -> None:
        """Record a box in a slot, in a place that was reserved for it."""
        self.place[box] = slot
        self.column[box] = column
        self.tier[box] = tier
        self.cells[slot][column][tier] = box
        if self._promised is not None:
            self._promised[slot, column].remove(box)

    def taken(self, box: int, place: int) -> None:
        """Record that a box left its slot; its place is free again."""
        slot, column = self.place[box], self.column[box]
        self.cells[slot][column][self.tier[box]] = NONE
        self.place[box] = place
        self.column[box] = NONE
        self.tier[box] = NONE
        self.column_room[slot][column] += 1
        self.index.give(slot, self.lot[box])

    def found(self, box: int, slot: int, column: int, tier: int) -> None:
        """Record a box where it was seen; no place was reserved for it."""
        if self.cells[slot][column][tier] != NONE:
            raise LedgerError(f"slot {slot} column {column} tier {tier} is recorded as taken")
        if self.column_room[slot][column] <= 0:
            raise LedgerError(f"slot {slot} column {column} has no room on record for box {box}")
        self.column_room[slot][column] -= 1
        self.index.take(slot, self.lot[box])
        self.place[box] = slot
        self.column[box] = column
        self.tier[box] = tier
        self.cells[slot][column][tier] = box

    def moved(self, box: int, place: int) -> None:
        """Record a box at a place outside the racks."""
        self.place[box] = place

    def follow_lots(self) -> None:
        """Have the index know from now on which lots stand in which slots, or are bound for them."""
        if self.index.follows_lots:
            return
        stored = ((box, self.place[box]) for box, column in enumerate(self.column) if column != NONE)
        bound = self.bound()
        if self._promised is not None:
            bound = ((box, slot) for (slot, _), boxes in self._promised.items() for box in boxes)
        self.index.know_lots((self.lot[box], slot) for box, slot in chain(stored, bound))

    def use_index(self, index: SlotIndex, out_time_ms: list[int]) -> None:
        """Go on with another index of the same slots, and other times to the outbound port."""
        index.take_over(self.index)
        self.index = index
        self.out_time_ms = out_time_ms
        for box in sorted(self.ready):
            self.ready.remove(box)
            self.add_ready(box)

    def add_ready(self, box: int) -> None:
        """Let orders have the box from where it is recorded."""
        place = self.place[box]
        near = self.out_time_ms[place] if place < self._slots else 0
        self.ready.add(box, self.sku[box], self.verified_day[box], near)

    def blockers(self, box: int) -> int:
        """Recorded boxes above a box in its stack; 0 outside the racks."""
        column = self.column[box]
        if column == NONE:
            return 0
        cells = self.cells[self.place[box]][column]
        return sum(1 for above in cells[self.tier[box] + 1 :] if above != NONE)

    def boxes_in(self, slot: int) -> list[int]:
        """Boxes recorded in a slot, by column and tier."""
        return [box for cells in self.cells[slot] for box in cells if box != NONE]

    def _stacks(self, slot: int) -> list[Stack]:
        """The stacks of a slot: boxes recorded in them, then those on their way."""
        assert self._promised is not None
        stacks = []
        for column, cells in enumerate(self.cells[slot]):
            boxes = [box for box in cells if box != NONE] + self._promised.get((slot, column), [])
            stacks.append(Stack(tuple(boxes), self.column_room[slot][column]))
        return stacks

    def _leaves_ms(self, box: int) -> float:
        # Boxes of one SKU leave by verification day, those of another as much later as they stay longer.
        return self.verified_day[box] * DAY_MS + self.index.stays.stay_ms(self.sku[box])

    def check(self) -> None:
        """Raise `LedgerError` unless places, reservations and open places agree with each other."""
        index = self.index
        for slot in range(self._slots):
            rooms, stacks = self.column_room[slot], self._layout.stacks[slot]
            for column, cells in enumerate(self.cells[slot]):
                recorded = sum(1 for box in cells if box != NONE)
                if not 0 <= rooms[column] <= stacks[column] - recorded:
                    raise LedgerError(f"slot {slot} column {column}: {recorded} boxes, room {rooms[column]}")
            if index.room[slot] != sum(rooms):
                raise LedgerError(f"slot {slot}: index room {index.room[slot]}, columns {sum(rooms)}")
        for box in self.ready:
            if self.state[box] != QUALIFIED or self.order[box] != NONE:
                raise LedgerError(f"box {box} is offered to orders but is {STATES[self.state[box]]}")

    def differences(self, stock: "Stock") -> list[int]:
        """Boxes whose recorded place or meters are not the true ones."""
        return [
            box
            for box, place in enumerate(self.place)
            if place != stock.place[box]
            or self.column[box] != stock.column[box]
            or self.tier[box] != stock.tier[box]
            or self.mask[box] != stock.mask[box]
        ]
