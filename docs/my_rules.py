"""An allocation rule of one's own; own-rule.md walks through it."""

from itertools import islice

from sim.facts import NONE


def mine(box, view, stream):
    """Boxes of a fast SKU take the nearest open slot, those of a slow one any of the six nearest."""
    nearest = list(islice(view.open_slots(), 6))
    if not nearest:
        return NONE
    if view.speed(box.sku) >= 1:
        return nearest[0]
    return nearest[int(stream.uniform(box.box) * len(nearest))]
