"""The log of facts of a run that is not over: what its worker has recorded, for others to follow.

Frames of packed facts, each with a checksum, appended and never changed. The log is not synced: a run is
rebuilt from its scenario, seed and commands, not from its log. What a process that was killed has left is
read up to the last whole frame.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sim.trace import Trace

_HEAD: Final = struct.Struct("<4sIIIq")
_MARK: Final = b"MHF1"


class Frame(NamedTuple):
    """Facts that were recorded until a run stood at `t_ms`, packed as `Trace.packed` gives them."""

    t_ms: int
    kinds: bytes
    data: bytes
    end: int
    """Where the next frame starts."""


class FactsLog:
    """The worker's side: appends what a trace has recorded since the last time."""

    def __init__(self, path: Path) -> None:
        """Begin a new log; an older one of the same name goes. Raises OSError as files do."""
        self.size = 0
        self._written = 0
        self._file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def write(self, trace: "Trace", t_ms: int) -> None:
        """Append the facts that are new.

        Raises OSError when the disk is full: what was begun is taken back, and may be written again later.
        """
        for kinds, data in trace.packed(self._written):
            body = kinds + data
            frame = _HEAD.pack(_MARK, len(kinds), len(data), zlib.crc32(body), t_ms) + body
            try:
                done = 0
                while done < len(frame):
                    done += os.write(self._file, frame[done:])
            except OSError:
                os.ftruncate(self._file, self.size)
                os.lseek(self._file, self.size, os.SEEK_SET)
                raise
            self.size += len(frame)
            self._written += len(kinds)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_frames(path: Path, start: int = 0, end: int | None = None) -> Iterator[Frame]:
    """The whole frames of a log from one byte to another, to its end when that is not given.

    Ends at the first frame that is torn. Raises OSError as files do.
    """
    with path.open("rb") as file:
        file.seek(start)
        while end is None or start < end:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            mark, facts, size, check, t_ms = _HEAD.unpack(head)
            body = file.read(facts + size) if mark == _MARK else b""
            if mark != _MARK or len(body) != facts + size or zlib.crc32(body) != check:
                return
            start += _HEAD.size + len(body)
            yield Frame(t_ms, body[:facts], body[facts:], start)
