"""The slots of a run as JSON text: what never changes is written once, what does is filled in.

The same text as the view `slots` gives, from the board instead of the facts, and in a fraction of its time:
it is asked for more often than anything else.
"""

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from api.board import BLOCKED, HELD, Shown

if TYPE_CHECKING:
    from api.runs import Static

MOST_SKUS: Final = 63
"""With more SKUs the board does not tell which of them are in a slot; the facts do."""

EMPTY, OPEN, FULL, HELD_BACK, OUT, NONE = range(6)
STATUSES: Final = ("empty", "open", "full", "held", "blocked", "none")
"""What a slot is for put-aways: one without places is `none`, one out of use `blocked`, one on hold after a
discrepancy `held`."""


def statuses(shown: Shown, capacity: "np.typing.NDArray[np.int64]") -> list[int]:
    """The place of each slot's status in STATUSES, (slots,)."""
    columns = shown.slots
    taken = columns["boxes"] + columns["reserved"]
    status = np.where(taken == 0, EMPTY, np.where(taken >= capacity, FULL, OPEN))
    status = np.where(columns["flags"] & HELD, HELD_BACK, status)
    status = np.where(columns["flags"] & BLOCKED, OUT, status)
    found: list[int] = np.where(capacity == 0, NONE, status).tolist()
    return found


class SlotText:
    """The text of one run's slots, made once a version."""

    def __init__(self, run: str, static: "Static") -> None:
        self._run = run
        self._static = static
        self._capacity = np.asarray(static.capacity, np.int64)
        self._fixed = [
            _text({
                "slot": name, "row": grid[0], "column": grid[1], "level": grid[2], "zone": zone,
            })[:-1] + ',"status":"'
            for name, grid, zone in zip(static.places, static.grid, static.zones, strict=False)
        ]  # fmt: skip
        self._held = [f',"capacity":{capacity},"reserved":' for capacity in static.capacity]
        self._skus: dict[int, str] = {}
        self._facts = -1
        self._body = ""

    def text(self, shown: Shown) -> bytes:
        """The whole answer of an instant."""
        head = shown.head
        if head["facts"] != self._facts:
            self._body = self._slots(shown)
            self._facts = head["facts"]
        return (stamp_text(self._run, self._static, head["t_ms"], self._facts) + self._body).encode()

    def _slots(self, shown: Shown) -> str:
        columns = shown.slots
        boxes, reserved, meters = (columns[name].tolist() for name in ("boxes", "reserved", "meters"))
        status = statuses(shown, self._capacity)
        shares = (columns["boxes"] / np.maximum(self._capacity, 1)).tolist()
        fills = [round(share, 4) for share in shares]  # numpy would round some of them otherwise
        skus = [self._skus.get(bits) or self._names(bits) for bits in shown.skus.tolist()]
        lines = [
            f'{fixed}{STATUSES[state]}","boxes":{here}{held}{kept},"meters":{inside},"fill":{fill},"skus":{names}}}'
            for fixed, state, here, held, kept, inside, fill, names in zip(
                self._fixed, status, boxes, self._held, reserved, meters, fills, skus, strict=True
            )
        ]
        return f',"slots":[{",".join(lines)}],"next":null}}'

    def _names(self, bits: int) -> str:
        names = [name for k, name in enumerate(self._static.skus) if bits >> k & 1]
        text = self._skus[bits] = _text(names)
        return text


def stamp_text(run: str, static: "Static", t_ms: int, facts: int) -> str:
    """The beginning of every answer about the state of a run, as recorded."""
    when = f'"t_s":{t_ms / 1000},"time":"{static.time_at(t_ms)}"'
    return f'{{"run":"{run}",{when},"facts":{facts},"view":"records"'


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
