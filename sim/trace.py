"""The trace: every fact of a run, in the order of recording, with its digest and its files.

A row `(time_ms, kind, *fields)` is appended to a list while the model runs. `seal` packs the rows of the
list as the bytes that the digest covers and keeps those bytes and nothing else: a fact costs 10 bytes and 8
for each field, and columns are cut from the bytes when somebody asks. When `seal` is called changes no
answer. Memory holds the latest blocks of facts; older ones lie in a file without a name, are mapped back
while somebody reads them, and are gone with the process, however it ends. What kinds of facts there are
stands in `facts`; what they mean for the store, in `history`, `kpis`.
"""

import hashlib
import json
import mmap
import os
import struct
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sim.columns import LazyColumns
from sim.facts import BY_NUMBER, EXOGENOUS, KINDS, ORDER_LINE, ORDER_RELEASED

MODEL_VERSION: Final = "2"
"""Changes with every change of the model that changes facts; it opens the digest."""

PART_ROWS: Final = 500_000
"""Rows in a Parquet part."""

BLOCK_ROWS: Final = 50_000
"""Rows in a block of memory, about 3 MB."""

BLOCKS_HERE: Final = 4
"""Blocks that stay in memory, the one that grows included; older ones are put away."""

_SCHEMA_VERSION: Final = 1
_MANIFEST: Final = "manifest.json"
_SO_FAR: Final = "so-far.json"

Columns = dict[str, npt.NDArray[np.int64]]

_STRUCTS: Final = [struct.Struct(f"<qh{len(kind.fields)}q") for kind in BY_NUMBER]
_PACK: Final = {number: packer.pack for number, packer in enumerate(_STRUCTS)}
_SIZES: Final = np.array([packer.size for packer in _STRUCTS])
_DTYPES: Final = [
    np.dtype([("time_ms", "<i8"), ("kind", "<i2"), *((field, "<i8") for field in kind.fields)])
    for kind in BY_NUMBER
]


class FactsError(ValueError):
    """A row that is no fact, or a folder that is no complete, unaltered trace; the text is for people."""


class Trace:
    """The facts of one run. `record(row)` appends one `(time_ms, kind, *fields)` of whole numbers.

    `meters_per_box` says how the meters of a box are numbered; `names` is what a reader needs to show the
    numbers as words (JSON-ready, kept beside the facts in files); `model_version` opens the digest.
    """

    record: Callable[[tuple[int, ...]], None]

    def __init__(
        self, meters_per_box: int, *, names: dict[str, Any] | None = None, model_version: str = MODEL_VERSION
    ) -> None:
        self.meters_per_box = meters_per_box
        self.names: dict[str, Any] = names or {}
        self.model_version = model_version
        self._rows: list[tuple[int, ...]] = []
        self.record = self._rows.append
        self._blocks: list[_Block] = []
        self._sealed = 0
        self._away = 0
        self._file: _Away | None = None
        self._folder: Path | None = None
        self._last_ms = -(2**63)
        self._hash = hashlib.sha256(model_version.encode())

    def __len__(self) -> int:
        """The number of facts recorded so far."""
        return self._sealed + len(self._rows)

    @property
    def last_ms(self) -> int:
        """The time of the last fact in ms, 0 when there is none."""
        self.seal()
        return self._last_ms if len(self) else 0

    def seal(self) -> None:
        """Check, hash and pack what was recorded since the last call.

        Raises FactsError with the row's text when a row is not `(time_ms, kind, *fields)` in whole numbers
        or stands behind a row of a later time; the rows from there on stay unsealed.
        """
        rows = self._rows
        while rows:
            block, room = self._block_with_room()
            batch = rows if len(rows) <= room else rows[:room]
            try:
                packed = b"".join([_PACK[row[1]](*row) for row in batch])
            except (struct.error, LookupError, TypeError) as error:
                raise FactsError(_first_fault(batch)) from error
            times = [row[0] for row in batch]
            if times[0] < self._last_ms or times != sorted(times):
                raise FactsError(_first_step_back(batch, self._last_ms))
            self._last_ms = times[-1]
            self._hash.update(packed)
            block.add(bytes([row[1] for row in batch]), packed)
            self._sealed += len(batch)
            del rows[: len(batch)]  # the same list stays behind `record`
            self._put_away()

    def _block_with_room(self) -> "tuple[_Block, int]":
        """The block to which the next facts go, and how many it takes."""
        most = min(BLOCK_ROWS, PART_ROWS)
        if not self._blocks or self._blocks[-1].rows >= most:
            self._blocks.append(_Block(first=self._sealed))
        return self._blocks[-1], most - self._blocks[-1].rows

    def _put_away(self) -> None:
        """Have all but the latest blocks lie in a file; without room there they stay where they are."""
        while self._away < len(self._blocks) - BLOCKS_HERE:
            if self._file is None or self._file.process != os.getpid():  # a fork goes on in a file of its own
                try:
                    self._file = _Away(self._folder)
                except OSError:
                    return
            try:
                self._blocks[self._away].put_away(self._file)
            except OSError:
                return
            self._away += 1

    def digest(self) -> str:
        """SHA-256, in hex, over the model version and every fact in the order of recording.

        A fact is packed little-endian: time int64, kind int16, then its fields int64 each.
        """
        self.seal()
        return self._hash.hexdigest()

    def demand_digest(self) -> str:
        """SHA-256, in hex, over the exogenous facts: what stations consume, and new orders with their lines.

        Packed as in `digest`, sorted by time, kind and fields, so that it is the same for every policy
        however events of one instant interleave.
        """
        self.seal()
        digest = hashlib.sha256(self.model_version.encode())
        for _, rows in groupby(self._exogenous(), key=itemgetter(0)):  # by time: so they stand already
            for row in sorted(rows):
                digest.update(_PACK[row[1]](*row))
        return digest.hexdigest()

    def _exogenous(self) -> Iterator[tuple[int, ...]]:
        """The exogenous facts in the order of recording."""
        is_exogenous = False
        flag = 2 + KINDS["order_released"].fields.index("exogenous")
        for row in self._of_kinds({KINDS[name].number for name in EXOGENOUS}):
            if row[1] == ORDER_RELEASED:
                is_exogenous = row[flag] == 1
            if is_exogenous or row[1] not in (ORDER_RELEASED, ORDER_LINE):
                yield row

    def table(self, name: str) -> Columns:
        """The facts of one kind as int64 columns `seq`, `time_ms` and its fields, in the order of recording.

        `seq` is the place of a row among all facts, from 0. Raises FactsError for a name that is no kind.
        """
        if name not in KINDS:
            from sim.words import near  # only a mistake needs it

            raise FactsError(f"trace: expected a kind of fact, found {name!r}{near(name, KINDS)}")
        self.seal()
        return _joined(name, [block.table(name) for block in self._blocks])

    def columns(self, name: str) -> LazyColumns:
        """The same table, each column cut when it is first asked for: a table of which few are used."""
        if name not in KINDS or type(self).table is not Trace.table:  # the latter has tables of its own
            table = self.table(name)
            return LazyColumns(table, table.__getitem__)
        self.seal()
        number = KINDS[name].number
        found = [(block, *block.places(number)) for block in self._blocks]
        found = [(block, at, starts) for block, at, starts in found if at.size]

        def cut(field: str) -> npt.NDArray[np.int64]:
            parts = [
                at.astype(np.int64) + block.first
                if field == "seq"
                else _field(block.data, number, field)[starts].astype(np.int64)
                for block, at, starts in found
            ]
            return np.concatenate(parts) if parts else np.empty(0, np.int64)

        return LazyColumns(("seq", "time_ms", *KINDS[name].fields), cut)

    def rows(self, from_seq: int = 0) -> Iterator[tuple[int, ...]]:
        """Every fact from number `from_seq` on as `(time_ms, kind, *fields)`, in the order of recording."""
        self.seal()
        for block in self._blocks:
            if from_seq < block.first + block.rows:
                yield from block.rows_from(max(from_seq - block.first, 0))

    def records(
        self, from_seq: int = 0, wanted: Collection[int] | None = None
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.void]]]:
        """The facts from number `from_seq` on by kind: its number, the numbers of the facts, their records.

        Only kinds that are `wanted`, all when None. A kind comes once for each block of memory in which it
        stands.
        """
        self.seal()
        for block in self._blocks:
            start = max(from_seq - block.first, 0)
            if start < block.rows:
                yield from block.records(start, wanted)

    def packed(self, from_seq: int = 0, to_seq: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The facts from number `from_seq` on as pairs (kinds, data): a byte a fact, and the hashed bytes.

        All of them, or those before number `to_seq`. `extend` takes them in again, in another process too.
        """
        self.seal()
        for block in self._blocks:
            start, end = max(from_seq - block.first, 0), block.rows
            if to_seq is not None:
                end = min(end, to_seq - block.first)
            if start < end:
                kinds = block.kinds
                first, last = (_offset(kinds, number, block.size) for number in (start, end))
                yield bytes(kinds[start:end]), bytes(block.data[first:last])

    def extend(self, kinds: bytes, data: bytes) -> None:
        """Take in facts as `packed` gives them, behind those that are here.

        Raises FactsError when they do not fit together; none of them is taken in then.
        """
        self.seal()
        numbers = np.frombuffer(kinds, np.uint8)
        if numbers.max(initial=0) >= len(BY_NUMBER) or int(_SIZES[numbers].sum()) != len(data):
            raise FactsError("trace: expected packed facts, found other bytes: they are torn or altered")
        start = done = 0
        while done < len(kinds):
            block, room = self._block_with_room()
            some = kinds[done : done + room]
            end = start + int(_SIZES[numbers[done : done + len(some)]].sum())
            block.add(some, data[start:end])
            self._sealed += len(some)
            start, done = end, done + len(some)
            self._put_away()
        if done:
            last = len(data) - int(_SIZES[numbers[-1]])
            self._last_ms = int.from_bytes(data[last : last + 8], "little", signed=True)
        self._hash.update(data)

    def _of_kinds(self, numbers: set[int]) -> Iterator[tuple[int, ...]]:
        for block in self._blocks:
            kinds, data = np.frombuffer(bytes(block.kinds), np.uint8), block.data
            offsets = _offsets(kinds)
            for i in np.flatnonzero(np.isin(kinds, sorted(numbers))).tolist():
                yield _STRUCTS[kinds[i]].unpack_from(data, offsets[i])


def write_facts(trace: Trace, directory: Path | str) -> None:
    """Write the trace as Parquet parts of at most 500,000 rows and, last of all, `manifest.json`.

    A part has the columns seq, time_ms, kind (its name) and every field that a kind has, NULL where it does
    not apply. A part is written under another name, synced and renamed; without a manifest that fits, the
    folder is an interrupted run. Older facts in the folder are replaced. Raises OSError as files do.
    """
    FactsWriter(trace, directory).finish()


class FactsWriter:
    """Writes a trace while it grows: whole parts as they come, the rest and the manifest at the end.

    Until then `so-far.json` names the parts that are there, for `read_parts`. Raises OSError as files do.
    """

    def __init__(self, trace: Trace, directory: Path | str) -> None:
        self._trace = trace
        self._folder = trace._folder = Path(directory)
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in (_MANIFEST, _SO_FAR):
            (self._folder / name).unlink(missing_ok=True)
        for old in self._folder.glob("part-*.parquet*"):
            old.unlink()
        self._parts: list[dict[str, Any]] = []

    def write_ready(self) -> None:
        """Write the parts that will not change any more, and say which are there."""
        self._trace.seal()
        before = len(self._parts)
        self._write((len(self._trace._blocks) - 1) // _blocks_of_part())
        if len(self._parts) > before:
            self._name(_SO_FAR, {"rows": sum(part["rows"] for part in self._parts)})

    def finish(self) -> None:
        """Write what is left, and the manifest last of all."""
        trace = self._trace
        trace.seal()
        self._write(-(-len(trace._blocks) // _blocks_of_part()))
        digests = {"digest": trace.digest(), "demand_digest": trace.demand_digest()}
        self._name(_MANIFEST, {"rows": len(trace), **digests})
        (self._folder / _SO_FAR).unlink(missing_ok=True)

    def _write(self, parts: int) -> None:
        """Write the parts up to a number that are not written yet."""
        if parts <= len(self._parts):
            return
        step = _blocks_of_part()
        with duckdb_here() as connection:
            for number in range(len(self._parts), parts):
                blocks = self._trace._blocks[number * step : (number + 1) * step]
                rows = sum(block.rows for block in blocks)
                part = {"file": f"part-{number:05d}.parquet", "rows": rows}
                unfinished = self._folder / f"{part['file']}.tmp"
                log = _union(connection, blocks)
                connection.execute(f"COPY ({log}) TO {_quoted(unfinished)} (FORMAT parquet)")
                _settle(unfinished, self._folder / str(part["file"]))
                self._parts.append(part)

    def _name(self, name: str, counts: dict[str, Any]) -> None:
        """Write down what is in the folder."""
        manifest = {
            "schema_version": _SCHEMA_VERSION,
            "model_version": self._trace.model_version,
            **counts,
            "parts": self._parts,
            "meters_per_box": self._trace.meters_per_box,
            "names": self._trace.names,
            "kinds": {kind.name: list(kind.fields) for kind in BY_NUMBER},
        }
        unfinished = self._folder / f"{name}.tmp"
        unfinished.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        _settle(unfinished, self._folder / name)


def read_parts(directory: Path | str) -> tuple[Trace, bool]:
    """The facts that an interrupted run has left, and whether they are all: False when the run was cut off.

    Of a folder with a manifest it gives what `read_facts` gives. Raises FactsError when no part is finished,
    and when one that is named is missing, torn or altered.
    """
    folder = Path(directory)
    if (folder / _MANIFEST).exists():
        return read_facts(folder), True
    if not (folder / _SO_FAR).exists():
        raise FactsError(f"{folder}: expected {_SO_FAR} or {_MANIFEST}, found neither: no part was finished")
    return _read_named(folder, read_manifest(folder, _SO_FAR)), False


def read_facts(directory: Path | str) -> Trace:
    """The trace that `write_facts` wrote, checked against its row counts and its digest.

    Raises FactsError when there is no manifest (the run was interrupted), when a part is missing, torn or
    altered, and when the facts are of a vocabulary that this version does not know.
    """
    folder = Path(directory)
    manifest = read_manifest(folder)
    trace = _read_named(folder, manifest)
    if trace.digest() != manifest["digest"]:
        raise FactsError(f"{folder}: facts: expected digest {manifest['digest']}, found {trace.digest()}")
    return trace


def _read_named(folder: Path, manifest: dict[str, Any]) -> Trace:
    """The trace of the parts that a manifest names."""
    trace = Trace(
        manifest["meters_per_box"], names=manifest["names"], model_version=manifest["model_version"]
    )
    with duckdb_here() as connection:
        for part in manifest["parts"]:
            path = folder / part["file"]
            trace.extend(*_read_part(connection, path, part["rows"], len(trace), manifest["kinds"]))
    if len(trace) != manifest["rows"]:
        raise FactsError(f"{folder}: facts: expected {manifest['rows']} rows, found {len(trace)}")
    return trace


class _Away:
    """A file without a name for blocks that are put away; it is gone when the last of them is."""

    def __init__(self, folder: Path | None) -> None:
        self.process = os.getpid()
        with tempfile.TemporaryFile(dir=folder) as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._end = 0

    def add(self, data: bytes | bytearray) -> int:
        """Write bytes to where a mapping may begin; gives where that is."""
        at, rest, view = self._end, 0, memoryview(data)
        while rest < len(view):
            rest += os.pwrite(self._descriptor, view[rest:], at + rest)
        self._end = at + -(-len(view) // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        return at

    def read(self, at: int, size: int) -> bytes:
        """Bytes as they were written."""
        return os.pread(self._descriptor, size, at)

    def map(self, at: int, size: int) -> mmap.mmap:
        """The same, mapped as long as somebody holds the answer."""
        return mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ, offset=at)


class _Block:
    """Sealed facts that stand one behind another: their bytes as hashed, and the kind of each.

    They are here or put away; `data` and `kinds` give them either way, to be asked for once a use.
    """

    __slots__ = ("_away", "_data", "_data_at", "_kinds", "_kinds_at", "first", "rows", "size")

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows = 0
        self.size = 0
        self._kinds: bytearray = bytearray()
        self._data: bytearray = bytearray()
        self._away: _Away | None = None
        self._kinds_at = self._data_at = 0

    @property
    def kinds(self) -> bytes | bytearray:
        """The kind of each fact, a byte."""
        return self._kinds if self._away is None else self._away.read(self._kinds_at, self.rows)

    @property
    def data(self) -> bytearray | mmap.mmap:
        """The bytes of the facts."""
        return self._data if self._away is None else self._away.map(self._data_at, self.size)

    def add(self, kinds: bytes, data: bytes) -> None:
        """Take in further facts."""
        self._kinds += kinds
        self._data += data
        self.rows += len(kinds)
        self.size += len(data)

    def put_away(self, file: _Away) -> None:
        """Move what is here to a file; nothing is added from now on. Raises OSError as files do."""
        self._data_at, self._kinds_at = file.add(self._data), file.add(self._kinds)
        self._away = file
        self._data, self._kinds = bytearray(), bytearray()

    def records(
        self, start: int, wanted: Collection[int] | None = None
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.void]]]:
        """From a fact within the block on: each kind with the numbers of its facts and their records."""
        all_kinds, data = self.kinds, self.data
        kinds = np.frombuffer(bytes(all_kinds[start:]), np.uint8)
        starts = _offsets(kinds) + _offset(all_kinds, start, self.size)
        for number in np.flatnonzero(np.bincount(kinds)).tolist():
            if wanted is None or number in wanted:
                at = np.flatnonzero(kinds == number)
                yield number, at + (self.first + start), _records(data, number)[starts[at]]

    def times(self, start: int) -> npt.NDArray[np.int64]:
        """The times of the facts from one within the block on."""
        kinds, data = self.kinds, self.data
        starts = _offsets(np.frombuffer(bytes(kinds[start:]), np.uint8)) + _offset(kinds, start, self.size)
        stamps = np.ndarray((len(data) - 7,), "<i8", buffer=data, strides=(1,))
        times: npt.NDArray[np.int64] = stamps[starts].astype(np.int64)
        return times

    def places(self, number: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """The facts of one kind: their numbers within the block, and where in `data` they start."""
        kinds = np.frombuffer(bytes(self.kinds), np.uint8)
        at = np.flatnonzero(kinds == number)
        starts = _offsets(kinds)[at] if at.size else at
        return at.astype(np.uint32), starts.astype(np.uint32)

    def table(self, name: str) -> Columns:
        """The columns of one kind."""
        kind = KINDS[name]
        kinds = np.frombuffer(bytes(self.kinds), np.uint8)
        at = np.flatnonzero(kinds == kind.number)
        columns = {"seq": at + self.first}
        if at.size:
            records = _records(self.data, kind.number)[_offsets(kinds)[at]]
            for field in ("time_ms", *kind.fields):
                columns[field] = records[field].astype(np.int64)
        return columns

    def rows_from(self, start: int) -> Iterator[tuple[int, ...]]:
        """Every fact from one within the block on."""
        kinds, data = self.kinds, self.data
        offset = _offset(kinds, start, self.size)
        for kind in bytes(kinds[start:]):
            packer = _STRUCTS[kind]
            yield packer.unpack_from(data, offset)
            offset += packer.size


def _blocks_of_part() -> int:
    """How many blocks of memory make a Parquet part."""
    return PART_ROWS // min(BLOCK_ROWS, PART_ROWS)


def _offsets(kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where each of these facts starts, when they stand one behind another."""
    sizes = _SIZES[kinds]
    starts: npt.NDArray[np.int64] = np.cumsum(sizes) - sizes
    return starts


def _offset(kinds: bytes | bytearray, start: int, size: int) -> int:
    """Where the fact of that number among these starts, when all have `size` bytes together."""
    if start <= len(kinds) // 2:  # the shorter way
        return int(_SIZES[np.frombuffer(bytes(kinds[:start]), np.uint8)].sum())
    return size - int(_SIZES[np.frombuffer(bytes(kinds[start:]), np.uint8)].sum())


def _records(data: bytearray | mmap.mmap, number: int) -> npt.NDArray[Any]:
    """A record of one kind at every byte of `data`, to be indexed by the offsets of its facts."""
    dtype = _DTYPES[number]
    return np.ndarray((len(data) - dtype.itemsize + 1,), dtype, buffer=data, strides=(1,))


def _field(data: bytearray | mmap.mmap, number: int, field: str) -> npt.NDArray[Any]:
    """The same for one field of the kind."""
    fields = _DTYPES[number].fields
    assert fields is not None
    within = int(fields[field][1])
    return np.ndarray((len(data) - within - 7,), "<i8", buffer=data, offset=within, strides=(1,))


def _joined(name: str, tables: list[Columns]) -> Columns:
    tables = [table for table in tables if table["seq"].size]
    return {
        column: np.concatenate([table[column] for table in tables]) if tables else np.empty(0, np.int64)
        for column in ("seq", "time_ms", *KINDS[name].fields)
    }


def _first_fault(rows: list[tuple[int, ...]]) -> str:
    for row in rows:
        try:
            kind = BY_NUMBER[row[1]] if row[1] >= 0 else None
        except (LookupError, TypeError):
            kind = None
        if kind is None:
            return f"trace: expected (time_ms, kind, *fields), found {row!r}"
        try:
            _PACK[kind.number](*row)
        except (struct.error, TypeError):
            wanted = ", ".join(("time_ms", "kind", *kind.fields))
            return f"trace: {kind.name}: expected whole numbers ({wanted}), found {row!r}"
    raise AssertionError("every row can be packed")


def _first_step_back(rows: list[tuple[int, ...]], last_ms: int) -> str:
    for row in rows:
        if row[0] < last_ms:
            return f"trace: {BY_NUMBER[row[1]].name}: expected a time from {last_ms} ms on, found {row!r}"
        last_ms = row[0]
    raise AssertionError("the times rise")


def duckdb_here() -> Any:
    """A DuckDB connection that reads and writes files here, fetches nothing and prints nothing."""
    import duckdb  # takes as long to import as everything else here together

    connection = duckdb.connect(config={
        "threads": "1",
        "memory_limit": "1GB",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    })  # fmt: skip
    # What takes two seconds would draw a bar on standard output; this is a setting of the session.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _union(connection: Any, blocks: list[_Block]) -> str:
    """Register a table for each kind and name the query that joins them as one log."""
    fields = sorted({field for kind in BY_NUMBER for field in kind.fields})
    columns = ", ".join(f'"{field}"' for field in fields)
    empty = ", ".join(f'NULL::BIGINT AS "{field}"' for field in fields)
    selects = [f"SELECT NULL::BIGINT AS seq, NULL::BIGINT AS time_ms, '' AS kind, {empty} WHERE false"]
    for kind in BY_NUMBER:
        connection.register(kind.name, _joined(kind.name, [block.table(kind.name) for block in blocks]))
        own = "".join(f', "{field}"' for field in kind.fields)
        selects.append(f"SELECT seq, time_ms, '{kind.name}' AS kind{own} FROM \"{kind.name}\"")  # noqa: S608
    union = " UNION ALL BY NAME ".join(selects)
    return f"SELECT seq, time_ms, kind, {columns} FROM ({union}) ORDER BY seq"  # noqa: S608


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _settle(unfinished: Path, path: Path) -> None:
    """Sync a finished file and give it its name, so that a name always stands for a whole file."""
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder, as they are now, outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path, name: str = _MANIFEST) -> dict[str, Any]:
    """What the manifest of a folder of facts says.

    Raises FactsError when there is none, when it is torn, and when its facts are not of this vocabulary.
    """
    path = folder / name
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise FactsError(f"{folder}: expected a folder of facts, found {found}")
    if not path.exists():
        raise FactsError(f"{folder}: expected {_MANIFEST}, found none: the run was interrupted")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["schema_version"] == _SCHEMA_VERSION
        fitting = known and (
            isinstance(manifest["rows"], int)
            and (name == _SO_FAR or isinstance(manifest["digest"], str))
            and isinstance(manifest["model_version"], str)
            and isinstance(manifest["meters_per_box"], int)
            and isinstance(manifest["names"], dict)
            and isinstance(manifest["kinds"], dict)
            and all(
                isinstance(part["rows"], int) and Path(part["file"]).name == part["file"]
                for part in manifest["parts"]
            )
        )
    except (OSError, ValueError, LookupError, TypeError):
        known, fitting = True, False
    if not known:
        found = manifest["schema_version"]
        raise FactsError(f"{path}: schema_version: expected {_SCHEMA_VERSION}, found {found!r}")
    if not fitting:
        raise FactsError(f"{path}: expected a manifest of facts, found something else: torn or altered")
    for name, fields in manifest["kinds"].items():
        if name not in KINDS or list(KINDS[name].fields) != fields:
            raise FactsError(f"{path}: kinds: expected facts of this version, found {name!r} with {fields}")
    return dict(manifest)


def _read_part(
    connection: Any, path: Path, rows: int, first: int, known: Collection[str]
) -> tuple[bytes, bytes]:
    """The facts of a part, packed as `Trace.packed` gives them."""
    import duckdb

    expected = f"{path}: expected rows {first} to {first + rows - 1}"
    if not path.is_file():
        raise FactsError(f"{expected}, found no file")
    tables = []
    try:
        connection.execute("CREATE OR REPLACE TEMP TABLE part AS FROM read_parquet(?)", [str(path)])
        kinds_of_part = [kind for kind in BY_NUMBER if kind.name in known]
        for kind in kinds_of_part:
            fields = "".join(f', "{field}"' for field in kind.fields)
            query = f"SELECT seq, time_ms{fields} FROM part WHERE kind = ? ORDER BY seq"  # noqa: S608
            tables.append(connection.execute(query, [kind.name]).fetchnumpy())
    except duckdb.Error as error:
        raise FactsError(f"{expected}, found a torn or altered file: {str(error).splitlines()[0]}") from error
    columns = [column for table in tables for column in table.values()]
    if any(np.ma.is_masked(column) or column.dtype != np.int64 for column in columns):
        raise FactsError(f"{expected}, found fields that are no whole numbers: it was altered")
    seq = np.concatenate([table["seq"] for table in tables])
    if seq.size != rows or not np.array_equal(np.sort(seq), np.arange(first, first + rows)):
        raise FactsError(f"{expected}, found {seq.size} rows or other numbers: it was altered")
    kinds = np.empty(rows, np.uint8)
    for kind, table in zip(kinds_of_part, tables, strict=True):
        kinds[table["seq"] - first] = kind.number
    data, offsets = bytearray(int(_SIZES[kinds].sum())), _offsets(kinds)
    for kind, table in zip(kinds_of_part, tables, strict=True):
        if table["seq"].size:
            records = np.empty(table["seq"].size, _DTYPES[kind.number])
            records["kind"] = kind.number
            for field in ("time_ms", *kind.fields):
                records[field] = table[field]
            _records(data, kind.number)[offsets[table["seq"] - first]] = records
    return kinds.tobytes(), bytes(data)
