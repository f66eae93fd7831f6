"""The trace: every fact of a run, in the order of recording, with its digest and its files.

A row `(time_ms, kind, *fields)` is appended to a list while the model runs. `seal` packs the rows of the
list as the bytes that the digest covers and keeps those bytes and nothing else: a fact costs 10 bytes and 8
for each field, and columns are cut from the bytes when somebody asks. When `seal` is called changes no
answer. What kinds of facts there are stands in `facts`; what they mean for the store, in `history`, `kpis`.
"""

import hashlib
import json
import os
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sim.facts import BY_NUMBER, EXOGENOUS, KINDS, ORDER_LINE, ORDER_RELEASED

MODEL_VERSION: Final = "2"
"""Changes with every change of the model that changes facts; it opens the digest."""

PART_ROWS: Final = 500_000
"""Rows in a Parquet part, and in a block of memory."""

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
        self._last_ms = -(2**63)
        self._hash = hashlib.sha256(model_version.encode())

    def __len__(self) -> int:
        """The number of facts recorded so far."""
        return sum(len(block.kinds) for block in self._blocks) + len(self._rows)

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
            if not self._blocks or len(self._blocks[-1].kinds) >= PART_ROWS:
                self._blocks.append(_Block(first=len(self) - len(rows)))
            block = self._blocks[-1]
            room = PART_ROWS - len(block.kinds)
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
            block.data += packed
            block.kinds += bytes([row[1] for row in batch])
            del rows[: len(batch)]  # the same list stays behind `record`

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
        exogenous: list[tuple[int, ...]] = []
        is_exogenous = False
        flag = 2 + KINDS["order_released"].fields.index("exogenous")
        for row in self._of_kinds({KINDS[name].number for name in EXOGENOUS}):
            if row[1] == ORDER_RELEASED:
                is_exogenous = row[flag] == 1
            if is_exogenous or row[1] not in (ORDER_RELEASED, ORDER_LINE):
                exogenous.append(row)
        digest = hashlib.sha256(self.model_version.encode())
        for row in sorted(exogenous):
            digest.update(_PACK[row[1]](*row))
        return digest.hexdigest()

    def table(self, name: str) -> Columns:
        """The facts of one kind as int64 columns `seq`, `time_ms` and its fields, in the order of recording.

        `seq` is the place of a row among all facts, from 0. Raises FactsError for a name that is no kind.
        """
        if name not in KINDS:
            from sim.words import near  # only a mistake needs it

            raise FactsError(f"trace: expected a kind of fact, found {name!r}{near(name, KINDS)}")
        self.seal()
        return _joined(name, [block.table(name) for block in self._blocks])

    def rows(self, from_seq: int = 0) -> Iterator[tuple[int, ...]]:
        """Every fact from number `from_seq` on as `(time_ms, kind, *fields)`, in the order of recording."""
        self.seal()
        for block in self._blocks:
            if from_seq < block.first + len(block.kinds):
                yield from block.rows(max(from_seq - block.first, 0))

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
            if start < len(block.kinds):
                yield from block.records(start, wanted)

    def packed(self, from_seq: int = 0, to_seq: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The facts from number `from_seq` on as pairs (kinds, data): a byte a fact, and the hashed bytes.

        All of them, or those before number `to_seq`. `extend` takes them in again, in another process too.
        """
        self.seal()
        for block in self._blocks:
            start, end = max(from_seq - block.first, 0), len(block.kinds)
            if to_seq is not None:
                end = min(end, to_seq - block.first)
            if start < end:
                data = block.data[block.offset(start) : block.offset(end)]
                yield bytes(block.kinds[start:end]), bytes(data)

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
            if not self._blocks or len(self._blocks[-1].kinds) >= PART_ROWS:
                self._blocks.append(_Block(first=len(self)))
            block = self._blocks[-1]
            some = kinds[done : done + PART_ROWS - len(block.kinds)]
            end = start + int(_SIZES[numbers[done : done + len(some)]].sum())
            block.kinds += some
            block.data += data[start:end]
            start, done = end, done + len(some)
        if done:
            last = len(data) - int(_SIZES[numbers[-1]])
            self._last_ms = int.from_bytes(data[last : last + 8], "little", signed=True)
        self._hash.update(data)

    def _of_kinds(self, numbers: set[int]) -> Iterator[tuple[int, ...]]:
        for block in self._blocks:
            offsets = block.offsets()
            kinds = np.frombuffer(bytes(block.kinds), np.uint8)
            for i in np.flatnonzero(np.isin(kinds, sorted(numbers))).tolist():
                yield _STRUCTS[kinds[i]].unpack_from(block.data, offsets[i])


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
        self._folder = Path(directory)
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
        self._write(len(self._trace._blocks) - 1)
        if len(self._parts) > before:
            self._name(_SO_FAR, {"rows": sum(part["rows"] for part in self._parts)})

    def finish(self) -> None:
        """Write what is left, and the manifest last of all."""
        trace = self._trace
        trace.seal()
        self._write(len(trace._blocks))
        digests = {"digest": trace.digest(), "demand_digest": trace.demand_digest()}
        self._name(_MANIFEST, {"rows": len(trace), **digests})
        (self._folder / _SO_FAR).unlink(missing_ok=True)

    def _write(self, blocks: int) -> None:
        """Write the blocks up to a number that are not written yet."""
        if blocks <= len(self._parts):
            return
        with duckdb_here() as connection:
            for number in range(len(self._parts), blocks):
                block = self._trace._blocks[number]
                part = {"file": f"part-{number:05d}.parquet", "rows": len(block.kinds)}
                unfinished = self._folder / f"{part['file']}.tmp"
                log = _union(connection, block)
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
            block = _read_part(connection, path, part["rows"], len(trace), manifest["kinds"])
            trace._blocks.append(block)
            trace._hash.update(block.data)
    if len(trace) != manifest["rows"]:
        raise FactsError(f"{folder}: facts: expected {manifest['rows']} rows, found {len(trace)}")
    for row in trace.rows(len(trace) - 1):
        trace._last_ms = row[0]
    return trace


class _Block:
    """Up to PART_ROWS sealed facts: their bytes as hashed, and the kind of each."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.data = bytearray()
        self.kinds = bytearray()

    def offsets(self) -> npt.NDArray[np.int64]:
        """Where in `data` each fact starts."""
        sizes = _SIZES[np.frombuffer(bytes(self.kinds), np.uint8)]
        starts: npt.NDArray[np.int64] = np.cumsum(sizes) - sizes
        return starts

    def offset(self, start: int) -> int:
        """Where in `data` the fact of that number within the block starts."""
        if start <= len(self.kinds) // 2:  # the shorter way
            return int(_SIZES[np.frombuffer(bytes(self.kinds[:start]), np.uint8)].sum())
        return len(self.data) - int(_SIZES[np.frombuffer(bytes(self.kinds[start:]), np.uint8)].sum())

    def records(
        self, start: int, wanted: Collection[int] | None = None
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.void]]]:
        """From a fact within the block on: each kind with the numbers of its facts and their records."""
        kinds = np.frombuffer(bytes(self.kinds[start:]), np.uint8)
        sizes = _SIZES[kinds]
        starts = np.cumsum(sizes) - sizes + self.offset(start)
        for number in np.flatnonzero(np.bincount(kinds)).tolist():
            if wanted is None or number in wanted:
                at = np.flatnonzero(kinds == number)
                yield number, at + (self.first + start), _records(self.data, number)[starts[at]]

    def times(self, start: int) -> npt.NDArray[np.int64]:
        """The times of the facts from one within the block on."""
        sizes = _SIZES[np.frombuffer(bytes(self.kinds[start:]), np.uint8)]
        starts = np.cumsum(sizes) - sizes + self.offset(start)
        stamps = np.ndarray((len(self.data) - 7,), "<i8", buffer=self.data, strides=(1,))
        times: npt.NDArray[np.int64] = stamps[starts].astype(np.int64)
        return times

    def table(self, name: str) -> Columns:
        """The columns of one kind."""
        kind = KINDS[name]
        at = np.flatnonzero(np.frombuffer(bytes(self.kinds), np.uint8) == kind.number)
        columns = {"seq": at + self.first}
        if at.size:
            records = _records(self.data, kind.number)[self.offsets()[at]]
            for field in ("time_ms", *kind.fields):
                columns[field] = records[field].astype(np.int64)
        return columns

    def rows(self, start: int) -> Iterator[tuple[int, ...]]:
        offset = self.offset(start)
        for kind in bytes(self.kinds[start:]):
            packer = _STRUCTS[kind]
            yield packer.unpack_from(self.data, offset)
            offset += packer.size


def _records(data: bytearray, number: int) -> npt.NDArray[Any]:
    """A record of one kind at every byte of `data`, to be indexed by the offsets of its facts."""
    dtype = _DTYPES[number]
    return np.ndarray((len(data) - dtype.itemsize + 1,), dtype, buffer=data, strides=(1,))


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


def _union(connection: Any, block: _Block) -> str:
    """Register a table for each kind and name the query that joins them as one log."""
    fields = sorted({field for kind in BY_NUMBER for field in kind.fields})
    columns = ", ".join(f'"{field}"' for field in fields)
    empty = ", ".join(f'NULL::BIGINT AS "{field}"' for field in fields)
    selects = [f"SELECT NULL::BIGINT AS seq, NULL::BIGINT AS time_ms, '' AS kind, {empty} WHERE false"]
    for kind in BY_NUMBER:
        connection.register(kind.name, _joined(kind.name, [block.table(kind.name)]))
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


def _read_part(connection: Any, path: Path, rows: int, first: int, known: Collection[str]) -> _Block:
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
    block = _Block(first)
    block.kinds += kinds.tobytes()
    block.data += bytes(int(_SIZES[kinds].sum()))
    offsets = block.offsets()
    for kind, table in zip(kinds_of_part, tables, strict=True):
        if table["seq"].size:
            records = np.empty(table["seq"].size, _DTYPES[kind.number])
            records["kind"] = kind.number
            for field in ("time_ms", *kind.fields):
                records[field] = table[field]
            _records(block.data, kind.number)[offsets[table["seq"] - first]] = records
    return block
