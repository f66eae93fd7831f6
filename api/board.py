"""The board: what a run shows of itself at this moment, in memory that the server reads without asking.

The worker of a run writes it between events, at most 20 times a second; the server copies it out whenever it
wants to. A counter that is odd while the worker writes tells a reader that it came at a bad moment, and a
checksum over what was read tells so whatever the processor did with the order of the stores. So every read
is one consistent instant, and nobody ever waits for anybody.
"""

import time
import zlib
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEAD: Final = (
    "facts", "t_ms", "log_bytes", "state", "speed", "reached", "wall_ms", "rss_kb", "open_orders", "waiting",
    "oldest_ms",
)  # fmt: skip
"""Numbers of the whole run: facts recorded, simulated time, bytes of the log of facts, one of STATES, wanted
and reached speed (thousandths; 0: as fast as possible), time of day of the board, memory, open orders, tasks
that wait, creation of the oldest of them (-1: none)."""

SLOT_COLUMNS: Final = ("boxes", "reserved", "meters", "flags", "changed")
"""Of each slot on record: boxes, places kept for boxes on their way in, meters, BLOCKED and HELD, and how
many facts there were when it last changed; `skus` beside them is a bit a SKU."""

ROBOT_COLUMNS: Final = (
    "activity", "from_place", "to_place", "height_mm", "start_ms", "arrive_ms", "end_ms", "task", "load",
    "permille", "down",
)  # fmt: skip
"""Of each robot: its stretch as in the fact `robot_stretch`, boxes on board, charge, whether it is down."""

BLOCKED, HELD = 1, 2

STATES: Final = ("starting", "running", "paused", "ended")
"""What the worker of a run is about."""

_SEQUENCE, _CHECK = 0, 1
_FIRST: Final = 2
_MOST_TRIES: Final = 2_000


class Shown(NamedTuple):
    """A copy of the board: one consistent instant."""

    sequence: int
    head: dict[str, int]
    slots: dict[str, NDArray[np.int64]]
    skus: NDArray[np.int64]
    robots: NDArray[np.int64]
    """(robots, len(ROBOT_COLUMNS))."""


class BoardError(RuntimeError):
    """The board could not be read: its worker died while it wrote."""


class Board:
    """The memory of one run, shared by its worker, who writes, and the server, which reads.

    `memory` is a raw array of bytes that both processes have (`size` says how many).
    """

    def __init__(self, memory: Any, slots: int, robots: int) -> None:
        self.memory = memory
        self.slots = slots
        self.robots = robots
        self._all: NDArray[np.int64] = np.frombuffer(memory, np.int64)
        self._head = self._all[_FIRST : _FIRST + len(HEAD)]
        columns = len(SLOT_COLUMNS) + 1
        first = _FIRST + len(HEAD)
        self._slots = self._all[first : first + columns * slots].reshape(columns, slots)
        first += columns * slots
        wide = len(ROBOT_COLUMNS)
        self._robots = self._all[first : first + wide * robots].reshape(robots, wide)

    @staticmethod
    def size(slots: int, robots: int) -> int:
        """Bytes that the board of such a store takes."""
        return 8 * (_FIRST + len(HEAD) + (len(SLOT_COLUMNS) + 1) * slots + len(ROBOT_COLUMNS) * robots)

    # -- the worker's side

    def write(
        self,
        head: dict[str, int],
        changed: "dict[int, tuple[int, ...]]",
        robots: "list[tuple[int, ...]]",
    ) -> None:
        """Show a new instant: `changed` has SLOT_COLUMNS and the bits of the SKUs by slot."""
        whole = self._all
        whole[_SEQUENCE] += 1
        self._head[:] = [head[name] for name in HEAD]
        if changed:
            self._slots[:, list(changed)] = np.array(list(changed.values()), np.int64).T
        if robots:
            self._robots[:] = robots
        whole[_CHECK] = _check_of(whole)
        whole[_SEQUENCE] += 1

    def write_head(self, **values: int) -> None:
        """Show other numbers of the whole run, all else being as it was."""
        self.write({**dict(zip(HEAD, self._head.tolist(), strict=True)), **values}, {}, [])

    # -- the server's side

    @property
    def sequence(self) -> int:
        """The counter: a board whose counter has not changed shows what it showed. Odd: being written."""
        return int(self._all[_SEQUENCE])

    def read(self) -> Shown:
        """A copy of the board; raises BoardError when its worker stands still, or died, while it wrote."""
        whole = self._all
        for turn in range(_MOST_TRIES):
            before = int(whole[_SEQUENCE])
            if not before & 1:
                copy = whole.copy()
                if int(whole[_SEQUENCE]) == before and copy[_CHECK] == _check_of(copy):
                    return self._cut(before, copy)
            if turn > 100:
                time.sleep(0)
        raise BoardError("the board of the run is torn: its process stands still, or died, while it wrote")

    def _cut(self, sequence: int, copy: NDArray[np.int64]) -> Shown:
        here = Board(copy, self.slots, self.robots)
        names = (*SLOT_COLUMNS, "skus")
        columns = dict(zip(names, here._slots, strict=True))
        skus = columns.pop("skus")
        return Shown(sequence, dict(zip(HEAD, here._head.tolist(), strict=True)), columns, skus, here._robots)


def _check_of(whole: NDArray[np.int64]) -> int:
    """The checksum over all that is shown."""
    return zlib.crc32(whole[_FIRST:].data)
