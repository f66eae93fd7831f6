"""A trace that somebody else writes: facts come as packed bytes, tables grow with them, the past stays.

`Followed` takes the bytes that `Trace.packed` gives, in another process or from a file, and keeps a table a
kind of fact that grows as facts come, so that asking again costs what is new and no more. `until` gives the
trace as it was when it had so many facts: every function of a trace (`history.state_at`, `kpis.compute`,
`tracking.track`, `control.stock_report`) works on it, and so answers for any past instant.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import islice

import numpy as np
import numpy.typing as npt

from sim.facts import BY_NUMBER, KINDS
from sim.trace import Columns, Trace


class Followed(Trace):
    """A trace that grows by `extend` and is read with `table` and `until`; nothing is recorded in it."""

    def __init__(self, trace: Trace) -> None:
        """Follow on from a trace, such as one read from a folder; what it holds is taken over."""
        super().__init__(trace.meters_per_box, names=trace.names, model_version=trace.model_version)
        self._tables = [_GrowingTable(kind.fields) for kind in BY_NUMBER]
        self._times = _Growing()
        self._tabled = 0
        for kinds, data in trace.packed():
            self.extend(kinds, data)

    def extend(self, kinds: bytes, data: bytes) -> None:
        """Take in facts as `Trace.packed` gives them; raises FactsError when they do not fit together."""
        super().extend(kinds, data)
        for block in self._blocks:
            end = block.first + block.rows
            if end <= self._tabled:
                continue
            for number, seq, records in block.records(self._tabled - block.first):
                self._tables[number].add(seq, records)
            self._times.add(block.times(self._tabled - block.first))
            self._tabled = end

    def table(self, name: str) -> Columns:
        """The facts of one kind, as `Trace.table`; the columns are views and must not be changed."""
        return self._cut(name, len(self))

    def count_until(self, t_ms: int) -> int:
        """How many facts have a time up to and including `t_ms`."""
        return int(np.searchsorted(self._times.values, t_ms, side="right"))

    def time_of(self, seq: int) -> int:
        """The time of a fact in ms."""
        return int(self._times.values[seq])

    def until(self, facts: int) -> "Past":
        """The trace as it was when it had so many facts."""
        return Past(self, min(facts, len(self)))

    def _cut(self, name: str, facts: int) -> Columns:
        if name not in KINDS:
            return super().table(name)  # says what is wrong
        return self._tables[KINDS[name].number].until(facts)


class Past(Trace):
    """A trace as it was when it had its first so many facts; it stays so while the trace goes on."""

    def __init__(self, trace: Followed, facts: int) -> None:
        super().__init__(trace.meters_per_box, names=trace.names, model_version=trace.model_version)
        self._whole = trace
        self._facts = facts

    def __len__(self) -> int:
        return self._facts

    @property
    def last_ms(self) -> int:
        """The time of the last fact in ms, 0 when there is none."""
        return self._whole.time_of(self._facts - 1) if self._facts else 0

    def table(self, name: str) -> Columns:
        """The facts of one kind, as `Trace.table`."""
        return self._whole._cut(name, self._facts)

    def rows(self, from_seq: int = 0) -> Iterator[tuple[int, ...]]:
        """Every fact from number `from_seq` on, as `Trace.rows`."""
        return islice(self._whole.rows(from_seq), max(0, self._facts - from_seq))

    def packed(self, from_seq: int = 0, to_seq: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The facts from number `from_seq` on, as `Trace.packed`."""
        return self._whole.packed(from_seq, self._facts if to_seq is None else min(to_seq, self._facts))

    def count_until(self, t_ms: int) -> int:
        """How many facts have a time up to and including `t_ms`."""
        return min(self._facts, self._whole.count_until(t_ms))

    def seal(self) -> None:
        """Do nothing: what is past is sealed."""

    def digest(self) -> str:
        """SHA-256 over the facts up to here, as `Trace.digest`."""
        digest = sha256(self.model_version.encode())
        for _, data in self.packed():
            digest.update(data)
        return digest.hexdigest()


class _Growing:
    """A column that grows: appending costs what is appended, reading nothing."""

    __slots__ = ("_room", "_size")

    def __init__(self) -> None:
        self._room: npt.NDArray[np.int64] = np.empty(64, np.int64)
        self._size = 0

    def add(self, values: npt.NDArray[np.int64]) -> None:
        size = self._size + values.size
        if size > self._room.size:
            room = np.empty(max(size, 2 * self._room.size), np.int64)
            room[: self._size] = self._room[: self._size]
            self._room = room
        self._room[self._size : size] = values
        self._size = size

    @property
    def values(self) -> npt.NDArray[np.int64]:
        return self._room[: self._size]


class _GrowingTable:
    """The facts of one kind: a growing column for each field."""

    __slots__ = ("_columns",)

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._columns = {name: _Growing() for name in ("seq", "time_ms", *fields)}

    def add(self, seq: npt.NDArray[np.int64], records: npt.NDArray[np.void]) -> None:
        for name, column in self._columns.items():
            column.add(seq if name == "seq" else records[name])

    def until(self, facts: int) -> Columns:
        end = int(np.searchsorted(self._columns["seq"].values, facts))
        return {name: column.values[:end] for name, column in self._columns.items()}
