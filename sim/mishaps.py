"""What parts truth from records: wrong slots, lost messages, short boxes, meters taken or damaged unnoticed.

Each error has a stream of its own, and each draw belongs to a box and to how often the same was done with
it before, so that every policy meets the same errors. The module decides that an error happens and
remembers which ones are still unknown; what it does to truth and records is the warehouse's work. Left out:
a meter of one box that lies in another (a box has some of its own meters, or all).
"""

from typing import TYPE_CHECKING, Literal

from sim.facts import (
    DAMAGE,
    ERROR_FOUND,
    ERROR_MADE,
    LOST_MESSAGE,
    MISCOUNT,
    NEVER,
    WRONG_SLOT,
)
from sim.params import JsonFloat, Params, fact

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.clock import Clock
    from sim.streams import Streams


class RecordParams(Params):
    """How truth and records part: the rate of each error. All are multiplied by `scale`."""

    scale: JsonFloat = fact(
        0.0, "multiple of every error rate below; 0: a store without errors, 1: the rates as given", ge=0,
        le=10_000, live=True,
    )  # fmt: skip
    wrong_slot: JsonFloat = fact(
        0.00005, "chance that a robot sets a box down in another slot", unit="1/put-away",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    wrong_slot_by_hand: JsonFloat = fact(
        0.005, "the same for a person", unit="1/put-away", origin="assumption", ge=0, le=1, live=True
    )
    bad_choice_by_hand: JsonFloat = fact(
        0.02, "chance that a keeper names any open slot, not the one that the rule would", unit="1/put-away",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    lost_message: JsonFloat = fact(
        0.0001, "chance that the confirmation of a put-away never reaches the records",
        unit="1/put-away", origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    resend_h: JsonFloat = fact(
        24.0, "time after which a confirmation that never came is asked for again", unit="h",
        origin="assumption", gt=0, le=100_000, live=True,
    )  # fmt: skip
    short_packed: JsonFloat = fact(
        0.0005, "chance that a box comes with a meter less than advised", unit="1/box",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    short_packed_by_hand: JsonFloat = fact(
        0.01,
        "the same for a return that was packed by hand",
        unit="1/box",
        origin="assumption",
        ge=0,
        le=1,
        live=True,
    )
    unrecorded_removal: JsonFloat = fact(
        0.0005, "chance that whoever picks loose meters takes one more than is written down",
        unit="1/pick", origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    damage: JsonFloat = fact(
        0.0002, "chance that a meter is damaged when its box is set down", unit="1/set-down",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    check_finds: JsonFloat = fact(
        0.98,
        "chance that the check at hand-over notices a missing meter",
        origin="assumption",
        ge=0,
        le=1,
        live=True,
    )
    gate: Literal["meters", "boxes"] = fact(
        "meters", "what the receiving gate reads: every meter's tag, or the code of the box only",
        origin="assumption", live=True,
    )  # fmt: skip
    gate_pass_s: JsonFloat = fact(
        2.0, "a further pass through the gate", unit="s", origin="assumption", ge=0, le=3600, live=True
    )
    by_hand_s: JsonFloat = fact(
        60.0, "to check a box by hand that the gate could not read whole", unit="s/box",
        origin="assumption", ge=0, le=86400, live=True,
    )  # fmt: skip


_AT_PLACE_OF_BOX = (WRONG_SLOT, LOST_MESSAGE, MISCOUNT)


class Mishaps:
    """The errors of one run: which happen, and which nobody knows of yet."""

    def __init__(
        self,
        params: RecordParams,
        streams: "Streams",
        env: "Clock",
        record: "Callable[[tuple[int, ...]], None]",
    ) -> None:
        self.params = params
        self.is_on = params.scale > 0
        self._streams = streams
        self._env = env
        self._record = record
        self._done: dict[tuple[str, int], int] = {}
        self._open: dict[int, dict[int, int]] = {}
        self._next = 0

    def adopt(self, params: RecordParams) -> None:
        """Go on with other rates; once errors could happen, what they have left has to be reckoned with."""
        self.params = params
        self.is_on = self.is_on or params.scale > 0

    def strikes(self, name: str, box: int, rate: float) -> float:
        """Below 0 when nothing happens; else a uniform on [0, 1) that decides how, for this box and time."""
        chance = min(1.0, rate * self.params.scale)
        if chance <= 0.0:
            return -1.0
        u = self.uniform(name, box)
        return u / chance if u < chance else -1.0

    def uniform(self, name: str, box: int) -> float:
        """The uniform that belongs to a box and to how often it was asked for before."""
        occurrence = self._done.get((name, box), 0)
        self._done[name, box] = occurrence + 1
        return self._streams["records." + name].uniform(box, occurrence)

    @property
    def unknown(self) -> "dict[int, dict[int, int]]":
        """Errors that nobody has found yet: by box, the number and the cause of each."""
        return self._open

    def made(self, cause: int, box: int, mask: int, slot: int) -> None:
        """An error enters the world."""
        self._open.setdefault(box, {})[self._next] = cause
        self._record((self._env._now, ERROR_MADE, self._next, cause, box, mask, slot))
        self._next += 1

    def settled(self, box: int, how: int, *, place: bool, meters: bool) -> None:
        """The records of a box were set right: of its place, of its meters, or of both."""
        causes = self._open.get(box)
        if not causes:
            return
        for error, cause in list(causes.items()):
            if cause != DAMAGE and (place if cause in _AT_PLACE_OF_BOX else meters):
                self._found(box, error, how)

    def noticed(self, box: int, how: int) -> None:
        """Damaged meters of a box are noticed."""
        for error, cause in list(self._open.get(box, {}).items()):
            if cause == DAMAGE:
                self._found(box, error, how)

    def left(self, box: int) -> None:
        """A box has left the store with the errors that nobody found."""
        for error in list(self._open.get(box, ())):
            self._found(box, error, NEVER)

    def _found(self, box: int, error: int, how: int) -> None:
        causes = self._open[box]
        del causes[error]
        if not causes:
            del self._open[box]
        self._record((self._env._now, ERROR_FOUND, error, how, box))
