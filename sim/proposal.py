"""Which slots a store would give to some boxes now, without doing it.

The same rules see the same index as in the run; nothing is reserved, drawn or learned, so a run that is asked
has the same facts as one that is not. Left out: the tiers of a slot, which are settled when a box comes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sim.allocation import BoxView, Rule, allocate_batch
from sim.calendar import DAY_MS
from sim.facts import NONE

if TYPE_CHECKING:
    from sim.simulation import Simulation


class Asked(NamedTuple):
    """A box for which a slot is wanted: its SKU; meters (NONE: full), lot and verification day if known.

    `verified_day` is an ordinal; NONE means that the box was verified today, and a lot of NONE is a new one.
    """

    sku: int
    meters: int = NONE
    lot: int = NONE
    verified_day: int = NONE


class Proposal(NamedTuple):
    """The slot and the tier column that a box would get, NONE where there is none left."""

    slot: int
    column: int


def propose(simulation: "Simulation", boxes: Sequence[Asked], rule: Rule | None = None) -> list[Proposal]:
    """The slots that boxes would get that came now, one after the other.

    `rule` replaces the one of the run. The boxes are seen as the next ones to be numbered.
    """
    ledger, warehouse = simulation.ledger, simulation.warehouse
    chosen = warehouse.rule if rule is None else rule
    if "lots" in chosen.needs:
        ledger.follow_lots()
    now_ms, first = simulation.now_ms, len(ledger.sku)
    today = simulation.start.toordinal() + now_ms // DAY_MS
    seen = []
    for number, box in enumerate(boxes, first):
        meters = ledger.full[box.sku] if box.meters == NONE else box.meters
        day = today if box.verified_day == NONE else box.verified_day
        weight_g = ledger.weight_g(box.sku, meters)
        seen.append(BoxView(number, box.sku, box.lot, day, meters, now_ms, NONE, weight_g))
    with _leaving(simulation, seen):
        slots = allocate_batch(chosen, seen, ledger.index, simulation.streams["policy.allocation"]).tolist()
        return _with_columns(simulation, chosen, seen, slots)


@contextmanager
def _leaving(simulation: "Simulation", boxes: Sequence[BoxView]) -> Iterator[None]:
    """Let rules ask when a box leaves that is not in the ledger."""
    index = simulation.ledger.index
    first, of_ledger = boxes[0].box if boxes else 0, index.leaves_ms

    def leaves_ms(box: int) -> float:
        if box < first:
            return of_ledger(box)
        asked = boxes[box - first]
        return asked.verified_day * DAY_MS + index.stays.stay_ms(asked.sku)

    index.leaves_ms = leaves_ms
    try:
        yield
    finally:
        index.leaves_ms = of_ledger


def _with_columns(
    simulation: "Simulation", rule: Rule, boxes: Sequence[BoxView], slots: Sequence[int]
) -> list[Proposal]:
    """The tier column that each box of a batch would get in its slot."""
    index = simulation.ledger.index
    left: dict[int, list[int]] = {}
    given = []
    with index.trial() as place:
        for box, slot in zip(boxes, slots, strict=True):
            if slot == NONE:
                given.append(Proposal(NONE, NONE))
                continue
            rooms = left.setdefault(slot, list(simulation.ledger.column_room[slot]))
            column = NONE if rule.column is None else rule.column(box, index.view_of(box.sku), slot)
            if column == NONE:
                column = next(k for k, room in enumerate(rooms) if room > 0)
            rooms[column] -= 1
            place(box, slot, column)
            given.append(Proposal(slot, column))
    return given
