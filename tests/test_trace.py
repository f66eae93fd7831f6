"""The trace: recording, digest, tables and files."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import trace as trace_module
from sim.facts import (
    BOX_MOVED,
    BY_NUMBER,
    KINDS,
    LOT_CREATED,
    ORDER_LINE,
    ORDER_RELEASED,
    STATION_CONSUMED,
    TRUCK_UNLOADED,
)
from sim.trace import MODEL_VERSION, FactsError, Trace, read_facts, write_facts

LOT = (0, LOT_CREATED, 7, 0, 2, 739_677)
MOVED = (5, BOX_MOVED, 3, 40, 12, 1, 4, -1, -1, 12)
UNLOADED = (9, TRUCK_UNLOADED, 0)


def recorded(*rows: tuple[int, ...]) -> Trace:
    """A trace of these rows, unsealed."""
    trace = Trace(15)
    for row in rows:
        trace.record(row)
    return trace


@st.composite
def facts(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Facts of all kinds with rising times and fields from the whole range of int64."""
    kinds = draw(st.lists(st.sampled_from(BY_NUMBER), max_size=40))
    times = sorted(draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=len(kinds), max_size=len(kinds))))
    field = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 5)
    return [
        (time, kind.number, *(draw(field) for _ in kind.fields))
        for time, kind in zip(times, kinds, strict=True)
    ]


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and blocks of 4 rows."""
    monkeypatch.setattr(trace_module, "PART_ROWS", 4)


def test_digest_by_the_letter() -> None:
    """The digest covers model version, then time, kind and fields of each row, little-endian."""
    expected = hashlib.sha256(MODEL_VERSION.encode())
    for row in (LOT, MOVED, UNLOADED):
        time, kind, *fields = row
        expected.update(time.to_bytes(8, "little", signed=True) + kind.to_bytes(2, "little"))
        for field in fields:
            expected.update(field.to_bytes(8, "little", signed=True))
    assert recorded(LOT, MOVED, UNLOADED).digest() == expected.hexdigest()


def test_empty_trace_has_digest() -> None:
    """A trace without facts is the model version alone."""
    assert Trace(15).digest() == hashlib.sha256(MODEL_VERSION.encode()).hexdigest()
    assert Trace(15, model_version="x").digest() == hashlib.sha256(b"x").hexdigest()
    assert len(Trace(15)) == 0
    assert list(Trace(15).rows()) == []


@given(facts(), st.lists(st.booleans(), min_size=40, max_size=40))
def test_sealing_changes_nothing(rows: list[tuple[int, ...]], seal: list[bool]) -> None:
    """Rows, tables and digest are the same whenever the trace was sealed."""
    at_once, in_slices = recorded(*rows), Trace(15)
    for row, sealed in zip(rows, seal, strict=False):
        in_slices.record(row)
        if sealed:
            in_slices.seal()
        assert in_slices._rows == [] or not sealed
    assert len(at_once) == len(in_slices) == len(rows)
    assert at_once.digest() == in_slices.digest()
    assert at_once.demand_digest() == in_slices.demand_digest()
    assert list(in_slices.rows()) == rows
    for name in KINDS:
        one, other = at_once.table(name), in_slices.table(name)
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[column], other[column]) for column in one)


@given(facts(), st.integers(-3, 45))
@pytest.mark.usefixtures("short_parts")
def test_blocks_change_nothing(rows: list[tuple[int, ...]], start: int) -> None:
    """Rows and tables join the blocks in which they are kept."""
    trace = recorded(*rows)
    assert list(trace.rows(start)) == rows[max(start, 0) :]
    packed = b"".join(struct.pack(f"<qh{len(row) - 2}q", *row) for row in rows)
    assert trace.digest() == hashlib.sha256(MODEL_VERSION.encode() + packed).hexdigest()
    for kind in BY_NUMBER:
        table = trace.table(kind.name)
        assert list(table) == ["seq", "time_ms", *kind.fields]
        assert all(column.dtype == np.int64 for column in table.values())
        expected = [(seq, row[0], *row[2:]) for seq, row in enumerate(rows) if row[1] == kind.number]
        assert list(zip(*(column.tolist() for column in table.values()), strict=True)) == expected


def test_record_survives_sealing() -> None:
    """A model may keep `record` in a variable for the whole run."""
    trace = Trace(15)
    record = trace.record
    record(LOT)
    trace.seal()
    record(MOVED)
    assert list(trace.rows()) == [LOT, MOVED]


def test_rows_go_on_while_recording() -> None:
    """Facts may be recorded and sealed while somebody reads the earlier ones."""
    trace = recorded(LOT, MOVED)
    rows = trace.rows()
    assert next(rows) == LOT
    trace.record(UNLOADED)
    trace.seal()
    assert list(rows) == [MOVED]
    table = trace.table("box_moved")
    for _ in range(100):
        trace.record(UNLOADED)
    trace.seal()
    assert table["box"].tolist() == [3]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((5, TRUCK_UNLOADED), "truck_unloaded: expected whole numbers (time_ms, kind, truck)"),
        ((5, TRUCK_UNLOADED, 1, 2), "truck_unloaded: expected whole numbers (time_ms, kind, truck)"),
        ((5, TRUCK_UNLOADED, 1.0), "truck_unloaded: expected whole numbers (time_ms, kind, truck)"),
        ((5.5, TRUCK_UNLOADED, 1), "truck_unloaded: expected whole numbers (time_ms, kind, truck)"),
        ((5, TRUCK_UNLOADED, None), "truck_unloaded: expected whole numbers (time_ms, kind, truck)"),
        ((5, TRUCK_UNLOADED, 2**63), "truck_unloaded: expected whole numbers (time_ms, kind, truck)"),
        ((5, 999, 1), "expected (time_ms, kind, *fields)"),
        ((5, -1, 1), "expected (time_ms, kind, *fields)"),
        ((5, "truck_unloaded", 1), "expected (time_ms, kind, *fields)"),
        ((5,), "expected (time_ms, kind, *fields)"),
        ((), "expected (time_ms, kind, *fields)"),
        (None, "expected (time_ms, kind, *fields)"),
        ((4, TRUCK_UNLOADED, 1), "truck_unloaded: expected a time from 5 ms on"),
    ],
)
def test_wrong_rows_are_refused(row: object, expected: str) -> None:
    """A row that is no fact raises with its text, also behind good rows and sealed ones."""
    trace = recorded(LOT, MOVED)
    trace.record(row)  # type: ignore[arg-type]
    with pytest.raises(FactsError) as error:
        trace.seal()
    assert str(error.value) == f"trace: {expected}, found {row}"
    sealed = recorded(LOT, MOVED)
    sealed.seal()
    sealed.record(row)  # type: ignore[arg-type]
    with pytest.raises(FactsError) as error:
        sealed.digest()
    assert str(error.value) == f"trace: {expected}, found {row}"


def test_unknown_table_is_refused() -> None:
    """A name that is no kind is refused with the nearest one."""
    with pytest.raises(FactsError) as error:
        Trace(15).table("box_move")
    assert str(error.value) == "trace: expected a kind of fact, found 'box_move', did you mean 'box_moved'?"


def test_last_ms_is_the_last_time() -> None:
    """The last time counts unsealed rows; an empty trace ends at 0."""
    assert Trace(15).last_ms == 0
    assert recorded(LOT, MOVED, UNLOADED).last_ms == 9


def test_demand_digest_covers_the_exogenous() -> None:
    """Consumption and exogenous orders with their lines are covered, in no particular order at one time."""
    consumed = (1, STATION_CONSUMED, 4, 0, 30)
    order, line = (8, ORDER_RELEASED, 0, 4, 99, 1), (8, ORDER_LINE, 0, 0, 1, 30)
    mine, my_line = (8, ORDER_RELEASED, 1, 4, 99, 0), (8, ORDER_LINE, 1, 0, 1, 45)
    lines = [struct.pack("<qh3q", *consumed), struct.pack("<qh4q", *order), struct.pack("<qh4q", *line)]
    expected = hashlib.sha256(MODEL_VERSION.encode() + b"".join(lines)).hexdigest()
    assert recorded(consumed, order, line).demand_digest() == expected
    assert recorded(LOT, consumed, MOVED, mine, my_line, order, line).demand_digest() == expected
    assert recorded(consumed, order, line, line).demand_digest() != expected
    assert recorded(consumed, (8, ORDER_RELEASED, 0, 4, 98, 1), line).demand_digest() != expected


@pytest.mark.usefixtures("short_parts")
def test_files_give_the_trace_back(tmp_path: Path) -> None:
    """Parts and manifest give back rows, digest, names and versions."""
    rows = [(i, LOT_CREATED, i, -1, 2**63 - 1, -(2**63)) for i in range(9)] + [(9, *MOVED[1:])]
    trace = Trace(12, names={"places": ["1-01-1", "进"]}, model_version="0.9")
    for row in rows:
        trace.record(row)
    write_facts(trace, tmp_path / "facts")
    files = sorted(path.name for path in (tmp_path / "facts").iterdir())
    assert files == ["manifest.json", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    manifest = json.loads((tmp_path / "facts" / "manifest.json").read_text(encoding="utf-8"))
    assert [part["rows"] for part in manifest["parts"]] == [4, 4, 2]
    assert (manifest["rows"], manifest["digest"]) == (10, trace.digest())
    again = read_facts(tmp_path / "facts")
    assert list(again.rows()) == rows
    assert (again.digest(), again.demand_digest()) == (trace.digest(), trace.demand_digest())
    assert (again.meters_per_box, again.names, again.model_version) == (12, trace.names, "0.9")
    # A trace from files can be gone on with.
    again.record((10, TRUCK_UNLOADED, 1))
    trace.record((10, TRUCK_UNLOADED, 1))
    assert again.digest() == trace.digest()
    again.record((9, TRUCK_UNLOADED, 1))
    with pytest.raises(FactsError, match="expected a time from 10 ms on"):
        again.seal()


def test_parts_are_one_wide_log(tmp_path: Path) -> None:
    """A part has the kind by name and every field of any kind, NULL where it does not apply."""
    write_facts(recorded(LOT, MOVED, UNLOADED), tmp_path)
    fields = sorted({field for kind in BY_NUMBER for field in kind.fields})
    log = duckdb.sql(f"FROM read_parquet('{tmp_path}/part-00000.parquet')")
    assert log.columns == ["seq", "time_ms", "kind", *fields]
    assert log.select("seq, time_ms, kind, lot, box, tier, truck").fetchall() == [
        (0, 0, "lot_created", 7, None, None, None),
        (1, 5, "box_moved", None, 3, 4, None),
        (2, 9, "truck_unloaded", None, None, None, 0),
    ]


@settings(max_examples=20)
@given(rows=facts())
def test_any_facts_survive_files(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]]
) -> None:
    """What was written is read, to the last bit."""
    folder = tmp_path_factory.mktemp("facts")
    write_facts(recorded(*rows), folder)
    assert list(read_facts(folder).rows()) == rows


def test_empty_trace_survives_files(tmp_path: Path) -> None:
    """A trace without facts has a manifest and no part."""
    write_facts(Trace(15), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert len(read_facts(tmp_path)) == 0


@pytest.mark.usefixtures("short_parts")
def test_writing_again_replaces(tmp_path: Path) -> None:
    """Parts of an older, longer trace do not stay behind."""
    write_facts(recorded(*[LOT] * 9), tmp_path)
    write_facts(recorded(UNLOADED), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "part-00000.parquet"]
    assert list(read_facts(tmp_path).rows()) == [UNLOADED]


@pytest.mark.parametrize("name", ["a b'c", "we[i]rd*", "仓库"])
def test_folder_names_are_taken_literally(tmp_path: Path, name: str) -> None:
    """Quotes and wildcards in the name of a folder mean themselves."""
    write_facts(recorded(LOT), tmp_path / name)
    assert list(read_facts(tmp_path / name).rows()) == [LOT]


def altered(folder: Path, query: str) -> None:
    """Replace the only part by what the query makes of it."""
    part = folder / "part-00000.parquet"
    duckdb.sql(f"COPY ({query.format(part=part)}) TO '{folder}/new' (FORMAT parquet)")
    (folder / "new").replace(part)


def set_manifest(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda d: (d / "manifest.json").unlink(),
            "{d}: expected manifest.json, found none: the run was interrupted",
        ),
        (
            lambda d: torn(d / "manifest.json"),
            "{d}/manifest.json: expected a manifest of facts, found something else: torn or altered",
        ),
        (
            lambda d: (d / "manifest.json").write_text("[]"),
            "{d}/manifest.json: expected a manifest of facts, found something else: torn or altered",
        ),
        (
            lambda d: set_manifest(d, parts=[{"file": "../x", "rows": 3}]),
            "{d}/manifest.json: expected a manifest of facts, found something else: torn or altered",
        ),
        (
            lambda d: set_manifest(d, schema_version=2),
            "{d}/manifest.json: schema_version: expected 1, found 2",
        ),
        (
            lambda d: set_manifest(d, kinds={"truck_unloaded": ["dock"]}),
            "{d}/manifest.json: kinds: expected facts of this version, found 'truck_unloaded' with ['dock']",
        ),
        (lambda d: set_manifest(d, rows=4), "{d}: facts: expected 4 rows, found 3"),
        (
            lambda d: set_manifest(d, digest="0" * 64),
            "{d}: facts: expected digest " + "0" * 64 + ", found {digest}",
        ),
        (
            lambda d: (d / "part-00000.parquet").unlink(),
            "{d}/part-00000.parquet: expected rows 0 to 2, found no file",
        ),
        (
            lambda d: torn(d / "part-00000.parquet"),
            "{d}/part-00000.parquet: expected rows 0 to 2, found a torn or altered file: *",
        ),
        (
            lambda d: altered(d, "SELECT 1 AS seq"),
            "{d}/part-00000.parquet: expected rows 0 to 2, found a torn or altered file: *",
        ),
        (
            lambda d: altered(d, "FROM '{part}' WHERE seq < 2"),
            "{d}/part-00000.parquet: expected rows 0 to 2, found 2 rows or other numbers: it was altered",
        ),
        (
            lambda d: altered(d, "SELECT * REPLACE (seq + 1 AS seq) FROM '{part}'"),
            "{d}/part-00000.parquet: expected rows 0 to 2, found 3 rows or other numbers: it was altered",
        ),
        (
            lambda d: altered(d, "SELECT * REPLACE ('sold' AS kind) FROM '{part}'"),
            "{d}/part-00000.parquet: expected rows 0 to 2, found 0 rows or other numbers: it was altered",
        ),
        (
            lambda d: altered(d, "SELECT * REPLACE (NULL::BIGINT AS box) FROM '{part}'"),
            "{d}/part-00000.parquet: expected rows 0 to 2, found fields that are no whole numbers: *",
        ),
        (
            lambda d: altered(d, "SELECT * REPLACE (box + 1 AS box) FROM '{part}'"),
            "{d}: facts: expected digest *, found *",
        ),
    ],
)
def test_damaged_folders_are_refused(tmp_path: Path, damage: object, message: str) -> None:
    """Interrupted, torn and altered folders are told apart, in one line each."""
    trace = recorded(LOT, MOVED, UNLOADED)
    write_facts(trace, tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(FactsError) as error:
        read_facts(tmp_path)
    found = str(error.value)
    before, star, after = message.format(d=tmp_path, digest=trace.digest()).partition("*")
    assert "\n" not in found
    assert found.startswith(before)
    assert star or (found == before and not after)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    """A path that is no folder says what it is."""
    (tmp_path / "file").touch()
    with pytest.raises(FactsError, match=r"expected a folder of facts, found nothing$"):
        read_facts(tmp_path / "none")
    with pytest.raises(FactsError, match=r"expected a folder of facts, found a file$"):
        read_facts(tmp_path / "file")


def test_interrupted_writing_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash while parts are written leaves a folder that counts as interrupted, also over an older run."""
    write_facts(recorded(LOT), tmp_path)

    def crash(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space left"):
        write_facts(recorded(MOVED), tmp_path)
    with pytest.raises(FactsError, match=r"the run was interrupted$"):
        read_facts(tmp_path)


def test_recording_needs_no_database() -> None:
    """A run that writes no files never loads DuckDB."""
    program = "import sim.trace, sys; sys.exit('duckdb' in sys.modules or 'difflib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
