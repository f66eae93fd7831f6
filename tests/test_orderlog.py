"""Imported order logs: what is read, who leaves with which order, what is refused, and at what cost."""

import csv
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import orderlog
from sim.orderlog import ImportSummary, OrderLogError, import_log
from sim.replay import MOST_FAULTS, read_events
from tests.order_logs import FILL, Order, seconds, slow_rows, write_large

HEAD = "seq,time_s,op,unit,sku,dock"
WORDS = "'in', 'delivery', 'inbound', 'receipt', 'store', '入库', 'out', 'retrieval', 'outbound', 'issue', 'retrieve' or '出库'"
TIMES = "seconds from 0 to 1e+10 or a date and time as 2026-03-02T08:30"
SHAPE = "expected [op, sku, time_s, dock, batch, week], a delivery with one field more"
SKU = "sku: expected a whole number or a name of at most 200 characters"
DOCK = "dock: expected a whole number, a name of at most 200 characters, some of them or nothing"


def imported(
    folder: Path,
    log: str | bytes | list[Any],
    name: str = "log.csv",
    *,
    fill: Mapping[str, Any] | str | None = None,
    out: str = "trace.csv",
    **options: Any,
) -> tuple[ImportSummary, list[str]]:
    """Import a log from a file of this text, and check that replay reads what came out."""
    source = folder / name
    if isinstance(log, list):
        source = folder / "log.json"
        log = json.dumps(log)
    data = log.encode() if isinstance(log, str) else log
    source.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    if fill is not None:
        options["initial"] = folder / "fill.json"
        options["initial"].write_text(fill if isinstance(fill, str) else json.dumps(fill), encoding="utf-8")
    before = sorted(folder.iterdir())
    try:
        summary = import_log(source, folder / out, **options)
    except OrderLogError:
        assert sorted(folder.iterdir()) == before, "an import that fails leaves nothing behind"
        raise
    data = (folder / out).read_bytes()
    text = (gzip.decompress(data) if out.endswith(".gz") else data).decode()
    rows = text.split("\r\n")
    assert rows[0] == HEAD
    assert rows[-1] == ""
    assert len(read_events(folder / out).time_ms) == summary.rows == len(rows) - 2
    return summary, rows[1:-1]


def faults(folder: Path, log: str | bytes | list[Any], name: str = "log.csv", **options: Any) -> list[str]:
    """The lines of the error of an import, without the folder."""
    with pytest.raises(OrderLogError) as caught:
        imported(folder, log, name, **options)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return [line.replace(f"{folder}/", "") for line in caught.value.lines]


# -- JSON ----------------------------------------------------------------------------------------------------


def test_orders_take_the_oldest_unit(tmp_path: Path) -> None:
    """The initial stock is numbered by SKU in numbers, then the deliveries; the oldest of a SKU leaves first."""
    orders = [
        ["delivery", 9, 60, 3, 1, 1],
        ["retrieval", 10, 61, 7, 1, 1],
        ["retrieval", 9, 61, 8, 2, 1],
        ["delivery", 2, 90.25, 3, 2, 1],
        ["retrieval", 9, 120, 8, 3, 2],
    ]
    # Numbers: SKU 9 has unit 0 (2 < 9 < 10, and 2 has none), SKU 10 units 1 and 2; the deliveries are 3 and 4.
    summary, rows = imported(tmp_path, orders, fill={"10": 2, "9": 1, "2": 0})
    assert rows == [
        "0,0,in,0,9,0",
        "1,0,in,1,10,0",
        "2,0,in,2,10,0",
        "3,60,in,3,9,3",
        "4,61,out,1,10,7",
        "5,61,out,0,9,8",
        "6,90.250,in,4,2,3",
        "7,120,out,3,9,8",
    ]
    # 3 at first, 4 after the delivery at 60 s, 2 after the departures of 61 s, 3, then 2.
    assert summary == ImportSummary(
        rows=8,
        units=5,
        skus=3,
        initial=3,
        arrivals=2,
        departures=3,
        dropped=0,
        last_time_s=120.0,
        peak=4,
        final=2,
    )


def test_deliveries_may_have_destinations(tmp_path: Path) -> None:
    """A delivery of CrossStacks says before its batch where it is going; a retrieval does not."""
    orders = [
        ["delivery", 1, 0, 6, 21, 1, 1],
        ["delivery", 2, 120, 6, 30, 2, 1],
        ["retrieval", 1, 1740, 21, 21, 1],
    ]
    _, rows = imported(tmp_path, orders, fill={"1": 1})
    assert rows == ["0,0,in,0,1,0", "1,0,in,1,1,6", "2,120,in,2,2,6", "3,1740,out,0,1,21"]
    assert faults(tmp_path, [orders[0], ["retrieval", 1, 1740, 21, 21, 1, 1]]) == [
        f"log.json: order 2: {SHAPE}, found a list of 7"
    ]


def test_fields_as_real_files_have_them(tmp_path: Path) -> None:
    """59, 59.0, "59" and " 59 " are one SKU; a dock may be missing or a list; a time may be a float or a text."""
    orders = [
        ["delivery", 59, 1.0004, None, 1, 1],
        ["Delivery", 59.0, 1.0016, [1, 2.0, "x"], None, 1],
        ["retrieval ", "59", "2", [], 1, 1],
        ["retrieval", " 59 ", 3, "gate, north", 1, 1],
    ]
    _, rows = imported(tmp_path, orders)
    assert rows == ["0,1,in,0,59,", "1,1.002,in,1,59,1;2;x", "2,2,out,0,59,", '3,3,out,1,59,"gate, north"']


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["delivery", 1, float("nan"), 1, 1, 1], f"time_s: expected {TIMES}, found nan"),
        (["delivery", 1, float("inf"), 1, 1, 1], f"time_s: expected {TIMES}, found inf"),
        (["delivery", 1, -1, 1, 1, 1], f"time_s: expected {TIMES}, found -1"),
        (["delivery", 1, 10**10, 1, 1, 1], f"time_s: expected {TIMES}, found 10000000000"),
        (["delivery", 1, 9_999_999_999.9999, 1, 1, 1], f"time_s: expected {TIMES}, found 9999999999.9999"),
        (["delivery", 1, True, 1, 1, 1], f"time_s: expected {TIMES}, found true"),
        (["delivery", 1, None, 1, 1, 1], f"time_s: expected {TIMES}, found nothing"),
        (["delivery", 1, "NaN", 1, 1, 1], f"time_s: expected {TIMES}, found 'NaN'"),
        (["delivry", 1, 1, 1, 1, 1], f"op: expected {WORDS}, found 'delivry', did you mean 'delivery'?"),
        (["delivry", 1, 1, 1, 1, 1, 1], f"op: expected {WORDS}, found 'delivry', did you mean 'delivery'?"),
        ([1, 1, 1, 1, 1, 1], f"op: expected {WORDS}, found 1"),
        (
            ["delivery", None, 1, 1, 1, 1],
            f"{SKU}, found nothing",
        ),
        (
            ["delivery", float("nan"), 1, 1, 1, 1],
            f"{SKU}, found nan",
        ),
        (
            ["delivery", 1.5, 1, 1, 1, 1],
            f"{SKU}, found 1.5",
        ),
        (
            ["delivery", "a\nb", 1, 1, 1, 1],
            f"{SKU}, found 'a\\nb'",
        ),
        (
            ["delivery", "\ud800", 1, 1, 1, 1],
            f"{SKU}, found '\\ud800'",
        ),
        (
            ["delivery", 1, 1, {"a": 1}, 1, 1],
            f"{DOCK}, found a table",
        ),
        (
            ["delivery", 1, 1, [1, [2]], 1, 1],
            f"{DOCK}, found [1, [2]]",
        ),
        (
            ["delivery", 1, 1],
            f"{SHAPE}, found a list of 3",
        ),
        (
            {"op": "delivery"},
            f"{SHAPE}, found a table",
        ),
        (
            "delivery",
            f"{SHAPE}, found 'delivery'",
        ),
    ],
)  # fmt: skip
def test_wrong_field_is_named(tmp_path: Path, order: Any, expected: str) -> None:
    """A field that cannot be used is a fault with the number of its order and its name."""
    assert faults(tmp_path, [["delivery", 1, 0, 1, 1, 1], order]) == [f"log.json: order 2: {expected}"]


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Faults are collected over the whole log, up to the most that anyone reads."""
    good = ["delivery", 1, 0, 1, 1, 1]
    assert faults(tmp_path, [["delivery", "", -1, 1, 1, 1], good, ["x", 1, 1, 1, 1, 1]]) == [
        f"log.json: order 1: time_s: expected {TIMES}, found -1",
        f"log.json: order 1: {SKU}, found nothing",
        f"log.json: order 3: op: expected {WORDS}, found 'x'",
    ]
    lines = faults(tmp_path, [["x", 1, 1, 1, 1, 1]] * 1000)
    assert len(lines) == MOST_FAULTS + 1
    assert lines[-1] == "log.json: reading stopped after 20 faults"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"  \n ", "expected a list of orders in JSON, found an empty file"),
        (b'{"1": 2}', "expected a list of orders in JSON, found a table"),
        (b"seq,time_s,op,unit,sku", "expected a list of orders in JSON, found 'seq,time_s,op,unit,s'"),
        (b"12", "expected a list of orders in JSON, found '12'"),
        (b"[]", "expected at least one order, found none"),
        (b"[", "order 1: expected JSON, found the end of the file"),
        (b'[["delivery", 1, 0, 1, 1, 1]', "order 1: expected a comma or ] after it, found the end of the file"),
        (b'[["delivery", 1, 0, 1, 1, 1],', "order 2: expected JSON, found the end of the file"),
        (b'[["delivery", 1, 0, 1, 1, 1],]', "order 2: expected JSON, found ']' (expecting value)"),
        (b'[["delivery", 1, 0,', "order 1: expected JSON, found the end of the file"),
        (b'[["deliv', "order 1: expected JSON, found '\"deliv' (unterminated string starting at)"),
        (
            b'[["delivery", 1, 0, 1, 1, 1] ["delivery"',
            "order 1: expected a comma or ] after it, found '[\"delivery\"'",
        ),
        (b'[["delivery", 1 0]]', "order 1: expected JSON, found '0]]' (expecting ',' delimiter)"),
        (b'[["delivery", 1, 0, 1, 1, 1]] x', "expected nothing after the list of orders, found 'x'"),
        (b'[["delivery", 1, 0, 1, 1, 1]]' + b" " * 3_000_000 + b"[]",
         "expected nothing after the list of orders, found '[]'"),
        (b"[" + b"[" * 100_000, "order 1: expected JSON, found lists in lists in lists"),
        (b'[["delivery", 1, ' + b"1" * 5000, "order 1: expected JSON, found a number of too many digits"),
        (b'[["delivery", "' + b"x" * 2_000_000 + b'", 1, 1, 1, 1]]',
         "order 1: expected JSON of at most 65,536 characters, found '\"xxxxxxxxxxxxxxxxxxx' (unterminated string starting at)"),
        (b"[\xff]", "expected text in UTF-8 or GB18030, found the byte 0xff in line 1"),
        ('[["delivery", 1, 0, 1, 1, 1]]'.encode("utf-16"), "expected text in UTF-8 or GB18030, found a zero byte in line 1"),
    ],
)  # fmt: skip
def test_torn_json_is_refused(tmp_path: Path, text: bytes, expected: str) -> None:
    """What is not a list of orders in JSON ends in a line that says where it stops being one."""
    assert faults(tmp_path, text, "log.json") == [f"log.json: {expected}"]


def test_blanks_between_orders_do_not_count(tmp_path: Path) -> None:
    """Orders are found behind any number of blanks, across the chunks that a file is read in."""
    gap = " \n\t\r" * 400_000
    text = f'{gap}[{gap}["delivery", 1, 5, 2, 1, 1]{gap},{gap}["retrieval", 1, 6, 3, 1, 1]{gap}]{gap}'
    _, rows = imported(tmp_path, text, "log.json")
    assert rows == ["0,5,in,0,1,2", "1,6,out,0,1,3"]


@pytest.mark.parametrize("chunk", [7, 64, 65])
def test_chunks_do_not_matter(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order may lie across the border of two chunks, or be as long as the window."""
    orders: list[Any] = [["入库", f"电表 {k}", k, k % 3, 1, 1] for k in range(40)]
    _, whole = imported(tmp_path, orders)
    monkeypatch.setattr(orderlog, "_CHUNK", chunk)
    monkeypatch.setattr(orderlog, "_LONGEST_ORDER", 64)
    text = json.dumps(orders, ensure_ascii=False, indent=1)
    assert imported(tmp_path, text, "log.json")[1] == whole
    assert imported(tmp_path, text.encode("gb18030"), "log.json.gz")[1] == whole


# -- The initial fill ------------------------------------------------------------------------------------------


def test_named_skus_are_sorted_as_texts(tmp_path: Path) -> None:
    """Where one SKU of the fill is no number, all are sorted as texts."""
    _, rows = imported(tmp_path, [["retrieval", "b", 5, 1, 1, 1]], fill={"b": 1, "10": 1, "9": 1.0})
    assert rows == ["0,0,in,0,10,0", "1,0,in,1,9,0", "2,0,in,2,b,0", "3,5,out,2,b,1"]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("[1, 2]", ["expected a table of units by SKU in JSON, found [1, 2]"]),
        ("{", ["expected JSON, found the end of the file"]),
        ('{"1": 2} x', ["expected JSON, found 'x' (extra data)"]),
        (
            '{"1": -1, "2": 1.5, "3": true, "4": "5", "5": NaN, "6": null, "7": {"8": 1}}',
            [
                f"SKU '{sku}': expected a whole number from 0 to 2,000,000, found {found}"
                for sku, found in (
                    (1, -1), (2, 1.5), (3, "true"), (4, "'5'"), (5, "nan"), (6, "nothing"), (7, "[['8', 1]]"),
                )
            ],
        ),
        (
            '{"1": 1, " 1": 1, "": 1}',
            ["SKU '1': expected each SKU once, found it again",
             "SKU '': expected a name of at most 200 characters, found nothing"],
        ),
        ('{"1": 2000000, "2": 1}', ["expected at most 2,000,000 units, found 2,000,001"]),
    ],
)  # fmt: skip
def test_wrong_fill_is_refused(tmp_path: Path, fill: str, expected: list[str]) -> None:
    """The initial fill is a table of whole numbers by SKU."""
    lines = faults(tmp_path, [["delivery", 1, 0, 1, 1, 1]], fill=fill)
    assert lines == [f"fill.json: {line}" for line in expected]


def test_endless_fill_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fill is read whole, so it has to be of a length that one may have."""
    monkeypatch.setattr(orderlog, "_CHUNK", 8)
    monkeypatch.setattr(orderlog, "_FILL_CHUNKS", 2)
    orders = [["delivery", 1, 0, 1, 1, 1]]
    assert imported(tmp_path, orders, fill='{"1":       2}')[0].initial == 2
    assert faults(tmp_path, orders, fill='{"1":           2}') == [
        "fill.json: expected less than 16 characters, found more"
    ]


# -- CSV -----------------------------------------------------------------------------------------------------


def test_columns_go_by_their_names(tmp_path: Path) -> None:
    """Columns are found by the headings given, whatever stands between them; no units means the oldest leaves."""
    log = "Kind;who;Item;ts\ninbound;x;a;1\ninbound;x;a;2.5\n;;;\noutbound;y;a;3\n"
    _, rows = imported(tmp_path, log, columns={"time_s": "ts", "op": "kind", "sku": " item "})
    assert rows == ["0,1,in,0,a,", "1,2.500,in,1,a,", "2,3,out,0,a,"]


def test_named_units_leave_as_named(tmp_path: Path) -> None:
    """A named unit leaves out of turn and may come back as the youngest; a departure without a name is the oldest."""
    log = """time_s,op,unit,sku,dock
0,in,p,a,1
1,in,q,a,1
2,in,r,a,1
3,out,p,a,2
4,in,p,a,1
5,out,,a,2
6,out,,a,2
7,out,,a,2
"""
    # At 5 s q, r and p are there in this order of arrival: p is the youngest, for it came back at 4 s.
    summary, rows = imported(tmp_path, log)
    assert [row.split(",")[3] for row in rows] == ["p", "q", "r", "p", "p", "q", "r", "p"]
    assert summary == ImportSummary(
        rows=8, units=3, skus=1, initial=0, arrivals=4, departures=4, dropped=0, last_time_s=7.0, peak=3, final=0
    )  # fmt: skip


def test_units_can_be_left_unread(tmp_path: Path) -> None:
    """Without its column of units a log may have an initial fill, which knows no names."""
    log = "time_s,op,unit,sku\n0,in,p,a\n1,out,p,a\n"
    assert imported(tmp_path, log, columns={"unit": ""}, fill={"a": 1})[1] == [
        "0,0,in,0,a,0",
        "1,0,in,1,a,",
        "2,1,out,0,a,",
    ]
    assert faults(tmp_path, log, fill={"a": 1}) == [
        "log.csv: expected no initial fill beside a column of units (unit= reads the log without them), found 'unit'"
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected_s"),
    [
        ("2026-03-02T08:30", "2026-03-02 08:31:00.25", "60.250"),
        ("2026-03-02T08:30:00Z", "2026-03-02T16:30:01+08:00", "1"),
        ("2026/3/2 8:30", "2026/3/3 08:30:00", "86400"),
        ("2026-3-2 8:30", "2026.03.02 9:30", "3600"),
        ("2026年3月2日 8:30", "2026年3月2日8:30:01", "1"),
        ("2026-03-02", "2026-04-01", str(30 * 86_400)),
        ("1899-12-31", "1900-01-01T00:00:01", "86401"),
    ],
)
def test_first_date_becomes_zero(tmp_path: Path, first: str, second: str, expected_s: str) -> None:
    """Dates and times, with offsets or without, become seconds since the first of them."""
    summary, rows = imported(tmp_path, f"time_s,op,sku\n{first},in,a\n{second},out,a\n")
    assert rows == ["0,0,in,0,a,", f"1,{expected_s},out,0,a,"]
    assert summary.last_time_s == float(expected_s)


def test_seconds_stay_as_they_are(tmp_path: Path) -> None:
    """Seconds count from the time 0 of the log, rounded to the millisecond."""
    log = "time_s,op,sku\n86466,in,a\n8.65e4,in,a\n 86500.0004 ,in,a\n9999999999.999,in,a\n"
    assert [row.split(",")[1] for row in imported(tmp_path, log)[1]] == [
        "86466",
        "86500",
        "86500",
        "9999999999.999",
    ]


def test_one_clock_a_log(tmp_path: Path) -> None:
    """Seconds, local times and times with an offset are not mixed, for nothing says how they relate."""
    log = "time_s,op,sku\n2026-03-02,in,a\n5,in,a\n2026-03-02T00:00Z,in,a\n"
    expected = "time_s: expected a date and time without an offset as in row 2"
    assert faults(tmp_path, log) == [
        f"log.csv:3: {expected}, found '5'",
        f"log.csv:4: {expected}, found '2026-03-02T00:00Z'",
    ]
    assert faults(tmp_path, [["in", 1, 5, 1, 1, 1], ["in", 1, "2026-03-02", 1, 1, 1]]) == [
        "log.json: order 2: time_s: expected seconds as in order 1, found '2026-03-02'"
    ]


@pytest.mark.parametrize("moment", ["2026-02-30", "2026-03-02T25:00", "1e10", "-1", "1_0", "1,5", "0x10", "now", "2026-03-02T08:30:00+99:00", "0001-01-01T00:00+08:00"])  # fmt: skip
def test_odd_times_are_refused(tmp_path: Path, moment: str) -> None:
    """A time that is no number of seconds and no date is named as it stands."""
    log = f'when,op,sku\n"{moment}",in,a\n'
    assert faults(tmp_path, log, columns={"time_s": "when"}) == [
        f"log.csv:2: when: expected {TIMES}, found '{moment}'"
    ]


def test_centuries_do_not_fit(tmp_path: Path) -> None:
    """A trace holds 10^10 s (115,740 days), and a log with a year mistyped is longer."""
    # From 1 January 0026 to 1 January 2026 are 2000 years of 365.2425 days: 730,485 days.
    log = "time_s,op,sku\n0026-01-01,in,a\n2026-01-01,out,a\n"
    assert faults(tmp_path, log) == ["log.csv: expected times within 115,740 days, found 730,485 days"]


@pytest.mark.parametrize("pair", [("in", "out"), ("delivery", "retrieval"), ("inbound", "outbound"), ("receipt", "issue"), ("Store", "RETRIEVE"), ("入库", " 出库 ")])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_words_and_encodings(tmp_path: Path, pair: tuple[str, str], encoding: str) -> None:
    """Every pair of words is understood, in UTF-8 with or without its mark and in GB18030."""
    log = f"时间\t方向\t品规\n1\t{pair[0]}\t单相远程表\n2\t{pair[1]}\t单相远程表\n".encode(encoding)
    columns = {"time_s": "时间", "op": "方向", "sku": "品规"}
    _, rows = imported(tmp_path, log, "log.csv.gz", columns=columns, out="trace.csv.gz")
    assert rows == ["0,1,in,0,单相远程表,", "1,2,out,0,单相远程表,"]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """A column that is not there is a fault with the nearest heading; one that is twice there is one, too."""
    assert faults(tmp_path, "times,op,op,sku\n1,in,in,a\n", columns={"dock": "gate"}) == [
        "log.csv:1: time_s: expected a column 'time_s', found none, did you mean 'times'?",
        "log.csv:1: op: expected one column 'op', found 2",
        "log.csv:1: dock: expected a column 'gate', found none",
    ]
    assert faults(tmp_path, "time_s,op,sku\n", columns={"tme_s": "a", "op": "", "seq": "b"}) == [
        "columns: expected 'time_s', 'op', 'unit', 'sku' or 'dock', found 'tme_s', did you mean 'time_s'?",
        "columns: op: expected a heading, found nothing",
        "columns: expected 'time_s', 'op', 'unit', 'sku' or 'dock', found 'seq'",
    ]
    assert faults(tmp_path, [["in", 1, 1, 1, 1, 1]], columns={"op": "kind"}) == [
        "columns: expected none for a log in JSON, found 'op'"
    ]


def test_wrong_rows_are_named(tmp_path: Path) -> None:
    """Faults of a CSV log stand with their row and the heading of the file."""
    log = '\nTS,Kind,unit,sku\n1,in,,a\n2,inn,p,a\n3,in,q\n\n4,in,"q\nr",a\n5,in,s,\n'
    assert faults(tmp_path, log, columns={"time_s": "ts", "op": "kind"}) == [
        "log.csv:3: unit: expected the name of the unit that arrives, found nothing",
        f"log.csv:4: Kind: expected {WORDS}, found 'inn', did you mean 'in'?",
        "log.csv:5: expected 4 cells, found 3",
        "log.csv:8: unit: expected a name of at most 200 characters or nothing, found 'q\\nr'",
        f"log.csv:9: {SKU}, found nothing",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\n \n", ": expected headings, found an empty file"),
        (b"time_s,op,sku\n", ": expected at least one order, found none"),
        (b'time_s,op,sku\n1,in,"a\n', ":2: expected a row of CSV, found unexpected end of data"),
        (b'"time_s,op,sku\n1,in,a\n', ":2: expected a row of CSV, found unexpected end of data"),
        (b"time_s,op,sku\n1,in," + b"a" * 10_000, ":2: expected a line of less than 10,000 characters, found a longer one"),
        (b"time_s,op,sku\n1,in,a\n1,in,\0\n", ": expected text in UTF-8 or GB18030, found a zero byte in line 3"),
        (b"time_s,op,sku\n1,in,a\n1,in,\xff\n", ": expected text in UTF-8 or GB18030, found the byte 0xff in line 3"),
        # UTF-8 gives up in line 2, GB18030 in line 3: the one that came farther tells.
        ("time_s,op,sku\n1,in,表".encode("gb18030") + b"\n2,in,\x80\n", ": expected text in UTF-8 or GB18030, found the byte 0x80 in line 3"),
    ],
)  # fmt: skip
def test_torn_csv_is_refused(tmp_path: Path, text: bytes, expected: str) -> None:
    """What is no table of text ends in a line with its row."""
    assert faults(tmp_path, text) == [f"log.csv{expected}"]


# -- Who leaves, and in which order ----------------------------------------------------------------------------


def test_departure_without_unit_is_refused(tmp_path: Path) -> None:
    """A retrieval that finds no unit of its SKU is a fault, or is left out and counted."""
    orders = [["retrieval", 5, 1, 1, 1, 1], ["delivery", 5, 2, 1, 1, 1], ["retrieval", 5, 3, 1, 1, 1], ["retrieval", 6, 4, 1, 1, 1]]  # fmt: skip
    assert faults(tmp_path, orders) == [
        "log.json: order 1: sku: expected a unit of '5' in the store, found none, is an initial fill missing?",
        "log.json: order 4: sku: expected a unit of '6' in the store, found none, is an initial fill missing?",
    ]
    assert faults(tmp_path, orders, fill={"5": 1}) == [
        "log.json: order 4: sku: expected a unit of '6' in the store, found none"
    ]
    summary, rows = imported(tmp_path, orders, drop_unmatched=True)
    assert rows == ["0,2,in,0,5,1", "1,3,out,0,5,1"]
    assert summary == ImportSummary(
        rows=2, units=1, skus=1, initial=0, arrivals=1, departures=1, dropped=2, last_time_s=3.0, peak=1, final=0
    )  # fmt: skip
    assert faults(tmp_path, orders[3:], drop_unmatched=True) == [
        "log.json: expected a unit for one of the orders, found none for all 1 of them"
    ]


def test_units_come_and_go_in_turn(tmp_path: Path) -> None:
    """A named unit cannot arrive twice, leave before it came, or leave as another SKU."""
    log = "LPN,time_s,op,sku\np,0,in,a\np,1,in,a\nq,2,out,a\np,3,out,b\np,4,out,a\n,5,out,a\n"
    columns = {"unit": "lpn"}
    twice = "log.csv:3: LPN: expected a unit that is not in the store, found 'p', which is"
    other = "log.csv:5: sku: expected 'a', with which unit 'p' arrived, found 'b'"
    assert faults(tmp_path, log, columns=columns) == [
        twice,
        "log.csv:4: LPN: expected a unit that is in the store, found 'q', which is not",
        other,
        "log.csv:7: sku: expected a unit of 'a' in the store, found none",
    ]
    assert faults(tmp_path, log, columns=columns, drop_unmatched=True) == [twice, other]


def test_log_is_put_in_order_of_time(tmp_path: Path) -> None:
    """A log out of order is sorted by time, orders of one instant as they stand; its numbers follow time."""
    log = "time_s,op,sku,dock\n9,out,a,1\n5,in,a,2\n7,in,a,3\n7,out,a,4\n"
    # 5: unit 0 in; 7: unit 1 in, then 0 out; 9: 1 out.
    assert imported(tmp_path, log)[1] == ["0,5,in,0,a,2", "1,7,in,1,a,3", "2,7,out,0,a,4", "3,9,out,1,a,1"]


def test_newest_first_is_turned_round(tmp_path: Path) -> None:
    """In a log that never steps forward an order of the same instant further down is the older one."""
    log = "time_s,op,sku\n9,out,a\n9,in,a\n5,in,b\n"
    assert imported(tmp_path, log)[1] == ["0,5,in,0,b,", "1,9,in,1,a,", "2,9,out,1,a,"]
    assert faults(tmp_path, "time_s,op,sku\n9,out,a\n9,in,a\n5,in,b\n6,in,b\n") == [
        "log.csv:2: sku: expected a unit of 'a' in the store, found none, is an initial fill missing?"
    ]


SKUS = ("1", "2", "10")
ORDERS = st.lists(
    st.builds(
        Order,
        st.integers(0, 5) | st.integers(0, 10**13 - 1),
        st.booleans(),
        st.sampled_from(SKUS),
        st.sampled_from(("", "1", "2")),
        st.none(),
    ),
    min_size=1,
    max_size=30,
)
FILLS = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 3))


@given(ORDERS, FILLS, st.booleans())
def test_second_way_agrees_on_json(
    tmp_path_factory: pytest.TempPathFactory, orders: list[Order], fill: dict[str, int], drop: bool
) -> None:
    """A JSON log gives the rows of a slow way to pair; what that cannot pair is refused."""
    log = [
        ["delivery" if o.arrives else "retrieval", int(o.sku), o.time_ms / 1000, o.dock or None, 1, 1] for o in orders
    ]  # fmt: skip
    check(tmp_path_factory.mktemp("log"), log, orders, fill, drop=drop)


@given(ORDERS, FILLS, st.booleans())
def test_second_way_agrees_on_csv(
    tmp_path_factory: pytest.TempPathFactory, orders: list[Order], fill: dict[str, int], drop: bool
) -> None:
    """So does a CSV log that names no units."""
    log = "dock,sku,op,time_s\n" + "".join(
        f"{o.dock},{o.sku},{'in' if o.arrives else 'out'},{seconds(o.time_ms)}\n" for o in orders
    )
    check(tmp_path_factory.mktemp("log"), log, orders, fill, drop=drop)


def check(
    folder: Path, log: str | list[Any], orders: list[Order], fill: dict[str, int], *, drop: bool
) -> None:
    expected = slow_rows(orders, fill, drop=drop)
    if not expected:
        assert faults(folder, log, fill=fill, drop_unmatched=drop)
        return
    summary, rows = imported(folder, log, fill=fill, drop_unmatched=drop)
    assert rows == expected
    kinds = [row.split(",")[2] for row in rows]
    here = [kinds[: k + 1].count("in") - kinds[: k + 1].count("out") for k in range(len(kinds))]
    initial = sum(fill.values())
    assert summary == ImportSummary(
        rows=len(rows),
        units=kinds.count("in"),
        skus=len({row.split(",")[4] for row in rows}),
        initial=initial,
        arrivals=kinds.count("in") - initial,
        departures=kinds.count("out"),
        dropped=initial + len(orders) - len(rows),
        last_time_s=float(rows[-1].split(",")[1]),
        peak=max(here),
        final=here[-1],
    )


@st.composite
def named_logs(draw: st.DrawFn) -> list[Order]:
    """Logs with named units that come, leave by name or by age, and come back."""
    there: list[tuple[str, str]] = []
    orders = []
    for k in range(draw(st.integers(1, 30))):
        away = [name for name in "pqrstu" if name not in {unit for unit, _ in there}]
        if there and (not away or draw(st.booleans())):
            leaving = draw(st.sampled_from(there))
            is_named = draw(st.booleans())
            if not is_named:
                leaving = next(pair for pair in there if pair[1] == leaving[1])
            there.remove(leaving)
            orders.append(Order(k // 2, False, leaving[1], "", leaving[0] if is_named else ""))
        else:
            arriving = (draw(st.sampled_from(away)), draw(st.sampled_from(SKUS)))
            there.append(arriving)
            orders.append(Order(k // 2, True, arriving[1], "", arriving[0]))
    return orders


@given(named_logs())
def test_second_way_agrees_on_named_units(
    tmp_path_factory: pytest.TempPathFactory, orders: list[Order]
) -> None:
    """Units leave by name or by age in any mixture, and may come back."""
    log = "time_s,op,unit,sku\n" + "".join(
        f"{seconds(o.time_ms)},{'in' if o.arrives else 'out'},{o.unit},{o.sku}\n" for o in orders
    )
    expected = slow_rows([o._replace(unit=o.unit or None) for o in orders], {})
    summary, rows = imported(tmp_path_factory.mktemp("log"), log)
    assert rows == expected
    assert summary.units == len({o.unit for o in orders if o.arrives})


# -- Files -----------------------------------------------------------------------------------------------------


def test_wrong_paths_are_named(tmp_path: Path) -> None:
    """Paths that cannot be used are all named before anything is read."""
    (tmp_path / "a.json").write_text('[["in", 1, 1, 1, 1, 1]]')
    (tmp_path / "empty.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text("time_s,op,sku\n1,in,a\n")
    (tmp_path / "log.txt").write_text("time_s,op,sku\n1,in,a\n")
    os.mkfifo(tmp_path / "pipe.csv")
    log = "expected an order log, a file in .json or .csv or these with .gz"
    for source, initial, out, expected in (
        ("no.csv", None, "t.csv", [f"no.csv: {log}, found nothing"]),
        ("folder.csv", None, "t.csv", [f"folder.csv: {log}, found a folder"]),
        ("empty.csv", None, "t.csv", [f"empty.csv: {log}, found an empty file"]),
        ("log.txt", None, "t.csv", [f"log.txt: {log}, found another name"]),
        ("pipe.csv", None, "t.csv", [f"pipe.csv: {log}, found no regular file"]),
        ("log.csv", None, "t.txt", ["t.txt: expected a name in .csv or .csv.gz for the trace, found another"]),
        ("log.csv", None, "folder.csv", ["folder.csv: expected a file for the trace, found a folder"]),
        ("log.csv", None, "no/t.csv", ["no/t.csv: expected a folder for the trace, found nothing at no"]),
        ("log.csv", None, "log.txt/t.csv", ["log.txt/t.csv: expected a folder for the trace, found a file at log.txt"]),
        ("log.csv", None, "log.csv", ["log.csv: expected another file for the trace, found one that is read"]),
        ("log.csv", None, "link.csv", ["link.csv: expected another file for the trace, found one that is read"]),
        ("no.csv", "log.csv", "t.json", [
            f"no.csv: {log}, found nothing",
            "log.csv: expected an initial fill, a file in .json or these with .gz, found another name",
            "t.json: expected a name in .csv or .csv.gz for the trace, found another",
        ]),
    ):  # fmt: skip
        before = sorted(tmp_path.iterdir())
        with pytest.raises(OrderLogError) as caught:
            import_log(
                tmp_path / source, tmp_path / out, initial=None if initial is None else tmp_path / initial
            )
        assert [line.replace(f"{tmp_path}/", "") for line in caught.value.lines] == expected
        assert sorted(tmp_path.iterdir()) == before


def test_torn_gzip_is_refused(tmp_path: Path) -> None:
    """A packed file that is cut short, damaged or not packed at all is named as such."""
    log = "time_s,op,sku\n" + "".join(f"{k},in,{k * k}\n" for k in range(2000))
    packed = gzip.compress(log.encode())
    for data, found in (
        (packed[:-500], "Compressed file ended before the end-of-stream marker was reached"),
        (packed[:500] + bytes(50) + packed[550:], None),
        (log.encode(), "Not a gzipped file (b'ti')"),
    ):
        (tmp_path / "log.csv.gz").write_bytes(data)
        with pytest.raises(OrderLogError) as caught:
            import_log(tmp_path / "log.csv.gz", tmp_path / "trace.csv")
        (line,) = caught.value.lines
        assert line.startswith(f"{tmp_path}/log.csv.gz: expected a whole gzip file, found {found or ''}")
        assert [path.name for path in tmp_path.iterdir()] == ["log.csv.gz"]


def test_older_trace_stays_on_failure(tmp_path: Path) -> None:
    """A trace is replaced when the new one is whole, and not before."""
    (tmp_path / "trace.csv").write_text("older")
    faults(tmp_path, "time_s,op,sku\n1,in,a\n2,out,b\n")
    assert (tmp_path / "trace.csv").read_text() == "older"
    imported(tmp_path, "time_s,op,sku\n1,in,a\n")
    assert (tmp_path / "trace.csv").read_text().startswith(HEAD)


def test_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the trace cannot be written out the fault is named, and the unfinished file goes."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert faults(tmp_path, "time_s,op,sku\n1,in,a\n") == [
        "trace.csv: expected a file that can be written, found no space left on device"
    ]


def test_unreadable_log_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be opened, or read to its end, is named with the reason."""

    def broken(*_args: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(orderlog, "_encoding", broken)
    assert faults(tmp_path, "time_s,op,sku\n1,in,a\n") == [
        "log.csv: expected a file that can be read, found input/output error"
    ]


def test_progress_rises_to_one(tmp_path: Path) -> None:
    """The share done rises while a log is read and its trace is written, and ends at 1."""
    log = "time_s,op,sku\n" + "".join(f"{k},in,a\n" for k in range(50_000))
    shares: list[float] = []
    imported(tmp_path, log, progress=shares.append)
    assert shares == sorted(shares)
    # A tick each 10,000 lines up to 0.7, one each 20,000 rows from there on, and the end.
    assert [share <= 0.7 for share in shares].count(True) == 6
    assert shares[5:] == pytest.approx([0.7, 0.7 + 0.3 * 0.4, 0.7 + 0.3 * 0.8, 1.0])


def test_interrupted_import_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl+C in the middle of writing leaves no file."""
    (tmp_path / "log.csv").write_text("time_s,op,sku\n1,in,a\n")

    def stop(done: float) -> None:
        if done >= 0.7:
            assert (tmp_path / ".trace.csv.gz.unfinished").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_log(tmp_path / "log.csv", tmp_path / "trace.csv.gz", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_equal_logs_make_equal_bytes(tmp_path: Path) -> None:
    """A packed trace has no time and no name in it, so that its digest depends on the log alone."""
    log = "time_s,op,sku\n1,in,a\n"
    imported(tmp_path, log, out="a.csv.gz")
    imported(tmp_path, log, out="b.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    # RFC 1952: byte 3 tells of no name, bytes 4 to 7 of no time.
    assert (tmp_path / "a.csv.gz").read_bytes()[3:8] == bytes(5)


def test_too_many_orders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace is made that replay would not read, the initial stock included."""
    monkeypatch.setattr(orderlog, "MOST_ROWS", 5)
    orders = [["delivery", 1, k, 1, 1, 1] for k in range(4)]
    assert imported(tmp_path, orders, fill={"1": 1})[0].rows == 5
    assert faults(tmp_path, orders, fill={"1": 2}) == [
        "log.json: expected at most 5 rows with the initial stock, found more"
    ]


# -- Real logs -------------------------------------------------------------------------------------------------


def test_shared_trace_comes_back_from_orders(shared_data: Path, tmp_path: Path) -> None:
    """The real trace, taken apart into orders and fill as its source has them, is imported byte for byte."""
    text = gzip.decompress((shared_data / "wepa258.csv.gz").read_bytes()).decode()
    orders: list[Any] = []
    fill: dict[str, int] = {}
    for row in csv.DictReader(io.StringIO(text)):
        if row["time_s"] == "0":
            fill[row["sku"]] = fill.get(row["sku"], 0) + 1
        else:
            op = "delivery" if row["op"] == "in" else "retrieval"
            orders.append([op, int(row["sku"]), int(row["time_s"]), int(row["dock"]), 1, 1])
    summary, rows = imported(tmp_path, orders, fill=dict(reversed(fill.items())), out="trace.csv.gz")
    assert "\r\n".join([HEAD, *rows, ""]) == text
    assert summary == ImportSummary(
        rows=5537, units=2844, skus=108, initial=190, arrivals=2654, departures=2693, dropped=0,
        last_time_s=7_657_200.0, peak=255, final=151,
    )  # fmt: skip


def test_trace_is_a_log_too(shared_data: Path, tmp_path: Path) -> None:
    """A trace, which names its units, is imported as it is."""
    packed = (shared_data / "wepa258.csv.gz").read_bytes()
    text = gzip.decompress(packed)
    _, rows = imported(tmp_path, text, "log.csv.gz")
    assert "\r\n".join([HEAD, *rows, ""]).encode() == text
    # Paired by age instead, it comes out the same: its units leave oldest first.
    _, rows = imported(tmp_path, text, columns={"unit": ""})
    assert "\r\n".join([HEAD, *rows, ""]).encode() == text


@pytest.fixture(scope="session")
def slapstack() -> Path:
    """The folder `use_cases` of the Python package slapstack 0.1.1, which the project does not ship."""
    folder = Path(os.environ.get("METERHOUSE_SLAPSTACK", "no folder"))
    if not folder.is_dir():
        pytest.skip("no real order logs: set METERHOUSE_SLAPSTACK to the folder use_cases of slapstack 0.1.1")
    return folder


def test_real_log_thins_to_the_shared_trace(slapstack: Path, tmp_path: Path) -> None:
    """The import of all of WEPAStacks, thinned by the rule of its thinned copy, has the digest of that."""
    folder = slapstack / "wepastacks"
    summary = import_log(
        folder / "2_orders.json", tmp_path / "trace.csv", initial=folder / "3_initial_fill_lvl.json"
    )
    assert summary == ImportSummary(
        rows=425_772, units=219_200, skus=130, initial=13_942, arrivals=205_258, departures=206_572, dropped=0,
        last_time_s=7_657_200.0, peak=19_271, final=12_628,
    )  # fmt: skip
    numbers: dict[str, int] = {}
    thinned = [HEAD]
    for row in csv.DictReader((tmp_path / "trace.csv").read_text().splitlines()):
        share = (
            int.from_bytes(hashlib.sha256(f"wepa258-8:{row['unit']}".encode()).digest()[:8], "big") / 2**64
        )
        if share < 0.0131:
            unit = numbers.setdefault(row["unit"], len(numbers))
            thinned.append(
                f"{len(thinned) - 1},{row['time_s']},{row['op']},{unit},{row['sku']},{row['dock']}"
            )
    digest = hashlib.sha256("\r\n".join([*thinned, ""]).encode()).hexdigest()
    assert digest == "b179b6ab64f8b28cea14671b09e924d5eecdc3eeac63261f93fc171cf8091ba6"


def test_real_crossdock_is_read(slapstack: Path, tmp_path: Path) -> None:
    """CrossStacks, in which each pallet is a SKU, comes through whole."""
    folder = slapstack / "crossstacks"
    summary = import_log(
        folder / "2_orders.json", tmp_path / "trace.csv", initial=folder / "3_initial_fill_lvl.json"
    )
    assert summary == ImportSummary(
        rows=16_803, units=8402, skus=8401, initial=1, arrivals=8401, departures=8401, dropped=0,
        last_time_s=1_283_760.0, peak=1726, final=1,
    )  # fmt: skip
    assert len(read_events(tmp_path / "trace.csv").time_ms) == 16_803


# -- Size ------------------------------------------------------------------------------------------------------

IMPORT = """
import sys, time
from sim.orderlog import import_log
start = time.process_time()
shares = []
summary = import_log(sys.argv[1], sys.argv[2], initial=sys.argv[3], progress=shares.append)
print(time.process_time() - start, *summary)
assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1 and 150 < len(shares) < 250, shares
"""


def test_large_log_takes_seconds(tmp_path: Path) -> None:
    """411,830 orders, as many as WEPAStacks has, are imported in seconds."""
    deliveries = write_large(tmp_path / "log.json", 411_830)
    (tmp_path / "fill.json").write_text(json.dumps(FILL))
    paths = [str(tmp_path / name) for name in ("log.json", "trace.csv", "fill.json")]
    ran = subprocess.run([sys.executable, "-c", IMPORT, *paths], capture_output=True, text=True, check=True)
    took_s, *summary = ran.stdout.split()
    initial = sum(FILL.values())
    retrievals = 411_830 - deliveries
    assert summary[:7] == [
        str(n) for n in (initial + 411_830, initial + deliveries, 130, initial, deliveries, retrievals, 0)
    ]
    assert float(took_s) < 40  # a tenth of it where nothing else runs


def test_memory_is_a_few_bytes_an_order(tmp_path: Path) -> None:
    """20,000 more orders cost less than 64 bytes each; their text alone has over 90, their values over 300."""
    (tmp_path / "fill.json").write_text(json.dumps(FILL))
    peaks = []
    for orders in (10_000, 30_000):
        write_large(tmp_path / "log.json", orders)
        tracemalloc.start()
        try:
            import_log(tmp_path / "log.json", tmp_path / "trace.csv", initial=tmp_path / "fill.json")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert (tmp_path / "log.json").stat().st_size > 30_000 * 90
    assert (peaks[1] - peaks[0]) / 20_000 < 64
    assert peaks[1] < 4_000_000
