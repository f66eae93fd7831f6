"""What is true: which meters are in which box, and which box is where, at which height.

Nothing here knows what the warehouse believes; that is the `ledger`. A place is a number of the layout;
a box in a slot also has a tier column (or stack) and a tier, both from 0. Meters are rows, not objects:
meter k of a box is `box * meters_per_box + k`, and a box keeps one bit a meter.
"""

from typing import TYPE_CHECKING

from sim.facts import NONE

if TYPE_CHECKING:
    from sim.layout import Layout


class StockError(RuntimeError):
    """The physical world was asked for something impossible; always a bug."""


class Stock:
    """Boxes in tiers or stacks in slots, meters in boxes. `stacked`: boxes stand on each other."""

    def __init__(self, layout: "Layout", *, stacked: bool) -> None:
        self._layout = layout
        self.stacked = stacked
        self.place: list[int] = []
        self.column: list[int] = []
        self.tier: list[int] = []
        self.mask: list[int] = []
        self.cells: list[list[list[int]]] = [[[NONE] * height for height in slot] for slot in layout.stacks]
        self.meters_in = 0
        self.meters_picked = 0
        self.meters_out = 0
        self.meters_lost = 0
        self.meters_scrapped = 0
        self.damaged: dict[int, int] = {}
        """Damaged meters that are still in their box, as a mask by box."""

    def new_box(self, place: int, mask: int) -> int:
        """Bring a box with the meters of `mask` into the world at a place outside the racks."""
        box = len(self.place)
        self.place.append(place)
        self.column.append(NONE)
        self.tier.append(NONE)
        self.mask.append(mask)
        self.meters_in += mask.bit_count()
        return box

    def move(self, box: int, place: int) -> None:
        """Move a box that is not in a slot to a place that is not a slot."""
        if self.column[box] != NONE:
            raise StockError(f"box {box} stands in slot {self.place[box]}: take it out first")
        if place < self._layout.slots:
            raise StockError(f"box {box} has to be put into slot {place}, not moved")
        self.place[box] = place

    def put(self, box: int, slot: int, column: int) -> int:
        """Set a box down in a tier column, on the lowest free tier; gives the tier."""
        cells = self.cells[slot][column]
        try:
            tier = cells.index(NONE)
        except ValueError:
            raise StockError(f"slot {slot} column {column} is full, box {box} cannot be set down") from None
        cells[tier] = box
        self.place[box] = slot
        self.column[box] = column
        self.tier[box] = tier
        return tier

    def put_at(self, box: int, slot: int, column: int, tier: int) -> None:
        """Set a box down on a given tier."""
        cells = self.cells[slot][column]
        if cells[tier] != NONE or (self.stacked and tier and cells[tier - 1] == NONE):
            raise StockError(f"slot {slot} column {column} tier {tier} cannot take box {box}")
        cells[tier] = box
        self.place[box] = slot
        self.column[box] = column
        self.tier[box] = tier

    def take(self, box: int, place: int) -> None:
        """Take a box out of its slot to another place, a robot's; from a stack only the top box comes."""
        column, tier = self.column[box], self.tier[box]
        if column == NONE:
            raise StockError(f"box {box} is not in a slot but at place {self.place[box]}")
        cells = self.cells[self.place[box]][column]
        if self.stacked and tier + 1 < len(cells) and cells[tier + 1] != NONE:
            raise StockError(f"box {box} is under box {cells[tier + 1]}")
        cells[tier] = NONE
        self.place[box] = place
        self.column[box] = NONE
        self.tier[box] = NONE

    def top(self, slot: int, column: int) -> int:
        """The top box of a stack, or NONE."""
        for box in reversed(self.cells[slot][column]):
            if box != NONE:
                return box
        return NONE

    def pick_meters(self, box: int, mask: int) -> None:
        """Take loose meters out of a box."""
        if mask & ~self.mask[box]:
            raise StockError(f"box {box} does not hold all meters of {mask:b}")
        self.mask[box] &= ~mask
        self.meters_picked += mask.bit_count()
        self._mend(box)

    def lose_meters(self, box: int, mask: int) -> None:
        """Meters are not, or no longer, in a box, and nobody knows where they are."""
        if mask & ~self.mask[box]:
            raise StockError(f"box {box} does not hold all meters of {mask:b}")
        self.mask[box] &= ~mask
        self.meters_lost += mask.bit_count()
        self._mend(box)

    def scrap_meters(self, box: int, mask: int) -> None:
        """Take damaged meters out of a box."""
        if mask & ~self.mask[box]:
            raise StockError(f"box {box} does not hold all meters of {mask:b}")
        self.mask[box] &= ~mask
        self.meters_scrapped += mask.bit_count()
        self._mend(box)

    def _mend(self, box: int) -> None:
        """Forget damage of meters that are not in the box any more."""
        damaged = self.damaged.get(box, 0) & self.mask[box]
        if damaged:
            self.damaged[box] = damaged
        else:
            self.damaged.pop(box, None)

    def issue_picked(self, meters: int) -> None:
        """Hand loose meters over."""
        if meters > self.meters_picked:
            raise StockError(f"{meters} loose meters are handed over, {self.meters_picked} are picked")
        self.meters_picked -= meters
        self.meters_out += meters

    def issue_box(self, box: int) -> int:
        """Hand a whole box over; gives the meters in it."""
        meters = self.mask[box].bit_count()
        self.mask[box] = 0
        self.meters_out += meters
        self.damaged.pop(box, None)
        return meters

    def check(self) -> None:
        """Raise `StockError` unless every box and meter is in exactly one place, at a possible height."""
        seen = 0
        for slot, columns in enumerate(self.cells):
            for column, cells in enumerate(columns):
                gap = False
                for tier, box in enumerate(cells):
                    if box == NONE:
                        gap = True
                        continue
                    if self.stacked and gap:
                        raise StockError(f"box {box} floats in slot {slot} column {column} tier {tier}")
                    if (self.place[box], self.column[box], self.tier[box]) != (slot, column, tier):
                        raise StockError(f"box {box} stands in slot {slot} but says place {self.place[box]}")
                    seen += 1
        slots = self._layout.slots
        for box, place in enumerate(self.place):
            if (0 <= place < slots) != (self.column[box] != NONE):
                raise StockError(f"box {box} is at place {place} and in column {self.column[box]}")
        placed = sum(1 for column in self.column if column != NONE)
        if placed != seen:
            raise StockError(f"{placed} boxes say that they are in a slot, {seen} are")
        inside = sum(mask.bit_count() for mask in self.mask)
        gone = self.meters_picked + self.meters_out + self.meters_lost + self.meters_scrapped
        if self.meters_in != inside + gone:
            raise StockError(
                f"{self.meters_in} meters came in, {inside} are in boxes, {self.meters_picked} picked, "
                f"{self.meters_out} out, {self.meters_lost} lost, {self.meters_scrapped} scrapped"
            )
