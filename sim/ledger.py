"""What is recorded: where the warehouse believes each box is, what it may do with it, and what is promised.

The ledger follows scans and confirmations, never the truth itself. It keeps the records of boxes, their
asset states (illegal moves are refused), places reserved per tier column, the boxes that may be reserved
for orders, and the open places that allocation sees.
"""

from typing import TYPE_CHECKING, Final

from sim.allocation import SlotIndex
from sim.assets import STATE_CODES, STATES, TRANSITIONS, IllegalMove
from sim.facts import NONE
from sim.retrieval import ReadyBoxes

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.stock import Stock

IN_TRANSIT: Final = STATE_CODES["in_transit"]
QUALIFIED: Final = STATE_CODES["qualified_in_stock"]
RESERVED: Final = STATE_CODES["reserved"]
ISSUED: Final = STATE_CODES["issued_pending_install"]
OVERDUE: Final = STATE_CODES["overdue_pending_reverify"]

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

    def set_state(self, box: int, state: int) -> None:
        """Change the asset state of a box's meters; raises `IllegalMove` for a move that is not allowed."""
        if state not in _LEGAL[self.state[box]]:
            raise IllegalMove(f"box {box}: {STATES[self.state[box]]} -> {STATES[state]} is not allowed")
        self.state[box] = state

    def reserve_place(self, slot: int, lot: int) -> int:
        """Reserve a place in a slot for a box of the lot; gives the tier column."""
        rooms = self.column_room[slot]
        for column, room in enumerate(rooms):
            if room > 0:
                rooms[column] = room - 1
                self.index.take(slot, lot)
                return column
        raise LedgerError(f"slot {slot} has no column with room")

    def reserve_column(self, slot: int, column: int, lot: int) -> None:
        """Reserve a place in a given tier column."""
        if self.column_room[slot][column] <= 0:
            raise LedgerError(f"slot {slot} column {column} has no room")
        self.column_room[slot][column] -= 1
        self.index.take(slot, lot)

    def release_place(self, slot: int, column: int, lot: int) -> None:
        """Give a reserved place back."""
        self.column_room[slot][column] += 1
        self.index.give(slot, lot)

    def stored(self, box: int, slot: int, column: int, tier: int) -> None:
        """Record a box in a slot, in a place that was reserved for it."""
        self.place[box] = slot
        self.column[box] = column
        self.tier[box] = tier
        self.cells[slot][column][tier] = box

    def taken(self, box: int, place: int) -> None:
        """Record that a box left its slot; its place is free again."""
        slot, column = self.place[box], self.column[box]
        self.cells[slot][column][self.tier[box]] = NONE
        self.place[box] = place
        self.column[box] = NONE
        self.tier[box] = NONE
        self.column_room[slot][column] += 1
        self.index.give(slot, self.lot[box])

    def moved(self, box: int, place: int) -> None:
        """Record a box at a place outside the racks."""
        self.place[box] = place

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
        if index.open_places != sum(index.room):
            raise LedgerError("the count of open places is wrong")
        for box in self.ready:
            if self.state[box] != QUALIFIED or self.order[box] != NONE:
                raise LedgerError(f"box {box} is offered to orders but is {STATES[self.state[box]]}")

    def differences(self, stock: "Stock") -> list[int]:
        """Boxes whose recorded place is not the true one."""
        return [b for b, place in enumerate(self.place) if place != stock.place[b]]
