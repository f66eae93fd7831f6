"""Stock lists and order lists: what is read, what is refused and what comes back."""

import itertools
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from sim import stocklist
from sim.assets import asset_number
from sim.facts import BOX_CREATED, BOX_EXPIRED, BOX_MOVED, BOX_RESERVED, METERS_PICKED, NONE
from sim.history import StoreState, state_at
from sim.layout import CapacityParams, Layout, LayoutParams
from sim.ledger import Ledger
from sim.scenario import load
from sim.simulation import Simulation
from sim.stocklist import OrderRow, StockListError, StockRow, read_orders, read_stock, write_stock
from sim.trace import Trace

HOUR = 3_600_000
START = date(2026, 3, 2)
SKUS = ["single-phase", "单相远程表", '=x, "5(60)A"; c']
HEAD = "box,slot,position,sku,lot,verified_on,meters,state\n"
COLUMNS = "box, slot, position, sku, lot, verified_on, meters, state, assets"
STATES = ", ".join(stocklist.STOCK_STATES)
NO_HEADINGS = f": expected the headings {COLUMNS}, found none"


def small_layout(access: str = "direct") -> Layout:
    """2 rows x 2 columns x 2 levels, 4 boxes a slot in 2 columns; 2-02-2 holds none, 1-01-1 three (2 + 1)."""
    params = LayoutParams(
        profile="uniform",
        rows=2,
        columns=2,
        levels=2,
        boxes_per_slot=4,
        tiers=2,
        capacity=[
            CapacityParams(rows=[2], columns=[2], levels=[2], boxes=0),
            CapacityParams(rows=[1], columns=[1], levels=[1], boxes=3),
        ],
    )
    return Layout(params, meters_per_box=15, box_height_m=0.2, access=access, robots=1)


def small_state(layout: Layout) -> StoreState:
    """Five boxes in slots, one of them open, one overdue and one reserved, others elsewhere or gone."""
    trace = Trace(15)
    day = START.toordinal()
    places = [
        (0, 0, 0), (0, 0, 1), (0, 1, 0), (3, 1, 1), (5, 0, 0), (layout.staging, NONE, NONE),
        (layout.robot_place(0), NONE, NONE), (layout.inbound, NONE, NONE), (layout.truck, NONE, NONE),
        (layout.handed_over, NONE, NONE), (layout.loose_rack, NONE, NONE),
    ]  # fmt: skip
    for box, (place, _, _) in enumerate(places):
        meters = 15 if box != 10 else 4
        trace.record((0, BOX_CREATED, box, box % 3, box % 3 + 40, day - box * 9, meters, place, NONE))
    for box, (place, column, tier) in enumerate(places):
        trace.record((0, BOX_MOVED, box, layout.outside, place, column, tier, NONE, NONE, place))
    trace.record((3_600_000, BOX_RESERVED, 1, 0, 0, 15))
    trace.record((3_600_000, METERS_PICKED, 3, 0, 0b000_0100_0000_0011, 0))
    trace.record((3_600_000, BOX_EXPIRED, 4))
    return state_at(trace, layout)


def rows_of(state: StoreState, layout: Layout, *, assets: bool = False) -> list[StockRow]:
    """What reading the state's list has to give, worked out from the state."""
    rows = []
    for i, place in enumerate(state.place.tolist()):
        if place not in (layout.truck, layout.handed_over):
            left = [k for k in range(15) if int(state.mask[i]) >> k & 1]
            rows.append(
                StockRow(
                    row=len(rows) + 2,
                    box=str(i),
                    place=place,
                    column=int(state.column[i]),
                    tier=int(state.tier[i]),
                    sku=int(state.sku[i]),
                    lot=str(state.lot[i]),
                    verified_day=int(state.verified_day[i]),
                    meters=len(left),
                    state=state.state_names()[i],
                    assets=tuple(asset_number(i * 15 + k) for k in left) if assets else (),
                )
            )
    return rows


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("s.csv", "utf-8"),
        ("s.csv", "utf-8-sig"),
        ("s.csv", "gb18030"),
        ("s.xlsx", "utf-8"),
        ("S.XLSX", "utf-8"),
    ],
)
@pytest.mark.parametrize("assets", [False, True])
def test_any_instant_comes_back(
    tmp_path: Path, name: str, encoding: Any, language: Any, assets: bool
) -> None:
    """What was written is read back: box, place, position, SKU, lot, day, meters, state and assets."""
    layout = small_layout()
    state = small_state(layout)
    expected = rows_of(state, layout, assets=assets)
    assert [row.meters for row in expected] == [15, 15, 15, 12, 15, 15, 15, 15, 4]
    assert [row.state for row in expected[:5]] == [
        "qualified_in_stock", "reserved", "qualified_in_stock", "qualified_in_stock",
        "overdue_pending_reverify",
    ]  # fmt: skip
    path = tmp_path / name
    count = write_stock(path, state, layout, SKUS, START, encoding=encoding, language=language, assets=assets)
    assert count == 9
    assert read_stock(path, layout, SKUS, START) == expected


@pytest.mark.parametrize("name", ["stock.csv", "stock.xlsx"])
def test_run_starts_from_another_run(tmp_path: Path, name: str) -> None:
    """The records of a run at an instant, written and read at the start of a run, are the same records."""
    first = Simulation(load("tiny"))
    t = 9 * HOUR + 20 * 60_000
    first.advance(t + 1)
    state = state_at(first.trace, first.layout, t)
    path = tmp_path / name
    count = write_stock(path, state, first.layout, first.sku_names, first.start)
    ledger = Simulation(load("tiny", [f"initial.stock={path}"])).ledger
    kept = [box for box in range(len(first.ledger.place)) if is_in_slot(first, box)]
    assert len(ledger.place) == count > len(kept) > 10

    def records(of: Ledger, boxes: Sequence[int]) -> list[tuple[object, ...]]:
        return sorted(
            (of.place[b], of.column[b], of.tier[b], of.sku[b], of.verified_day[b], of.mask[b].bit_count())
            for b in boxes
        )

    slots = first.layout.slots
    again = [box for box, place in enumerate(ledger.place) if place < slots]
    assert records(ledger, again) == records(first.ledger, kept)


def is_in_slot(run: Simulation, box: int) -> bool:
    return bool(run.ledger.mask[box]) and run.ledger.place[box] < run.layout.slots


def test_csv_to_the_letter(tmp_path: Path) -> None:
    """The list has the columns, names and dates that people expect."""
    path = tmp_path / "stock.csv"
    layout = small_layout()
    write_stock(path, small_state(layout), layout, SKUS, START, language="zh", encoding="gb18030")
    assert path.read_text(encoding="gb18030").splitlines()[:5] == [
        "箱号,货位,位置,品规,批次,检定日期,数量,状态",
        "0,1-01-1,1.1,single-phase,40,2026-03-02,15,合格在库",
        "1,1-01-1,1.2,单相远程表,41,2026-02-21,15,已预留",
        '2,1-01-1,2.1,"=x, ""5(60)A""; c",42,2026-02-12,15,合格在库',
        "3,1-02-2,2.2,single-phase,40,2026-02-03,12,合格在库",
    ]


def test_sheet_is_named_after_the_instant(tmp_path: Path) -> None:
    """A workbook says of which instant it is, and names are no formulas in it."""
    path = tmp_path / "stock.xlsx"
    layout = small_layout()
    write_stock(path, small_state(layout), layout, SKUS, START)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["2026-03-02 01.00.00"]
    assert book.active is not None
    third = next(book.active.iter_rows(min_row=4, max_row=4))
    assert [cell.data_type for cell in third] == ["s", "s", "s", "s", "s", "d", "n", "s"]


def test_empty_store_comes_back(tmp_path: Path) -> None:
    """The list of an empty store has headings and no boxes."""
    layout = small_layout()
    for name in ("stock.csv", "stock.xlsx"):
        assert write_stock(tmp_path / name, state_at(Trace(15), layout), layout, SKUS, START) == 0
        assert read_stock(tmp_path / name, layout, SKUS, START) == []


def test_other_endings_are_refused(tmp_path: Path) -> None:
    """A list is CSV or XLSX."""
    layout = small_layout()
    with pytest.raises(StockListError) as error:
        write_stock(tmp_path / "stock.ods", small_state(layout), layout, SKUS, START)
    assert error.value.faults == [f"{tmp_path}/stock.ods: expected a name that ends in .csv or .xlsx"]
    assert list(tmp_path.iterdir()) == []


def test_sheet_has_a_last_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More boxes than a sheet has rows are refused before anything is written."""
    monkeypatch.setattr(stocklist, "_SHEET_ROWS", 5)
    layout = small_layout()
    with pytest.raises(StockListError, match=r"expected at most 5 rows in a sheet, found 10$"):
        write_stock(tmp_path / "stock.xlsx", small_state(layout), layout, SKUS, START)
    assert list(tmp_path.iterdir()) == []


def written(tmp_path: Path, text: str, name: str = "stock.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("headings", "cells"),
    [
        (
            "box,slot,position,sku,lot,verified_on,meters,state",
            "B1,1-01-2,1.2,single-phase,L,2026-03-02,7,reserved",
        ),
        (
            "Box ;Slot;Position;SKU;Lot;Verified On;Meters;State",
            "B1;1-01-2;1.2;single-phase;L;2026/3/2;7;已预留\r",
        ),
        (
            "箱号\t货位号\t箱位\t型号\t批次号\t检定时间\t只数",
            "B1\t1-01-2\t1.2\tsingle-phase\tL\t2026年3月2日\t7",
        ),
        (
            "\n\nsku,lot,verified_on,meters,state,box,slot,position,,",
            ",,,\n single-phase,L,20260302,7,reserved,B1 ,1-01-2,1.2,",
        ),
        (
            '"box","slot","position","sku","lot","verified-on","meters","state"',
            '"B1","1-01-2","1.2","single-phase","L","2026.03.02 00:00:00","007","reserved"',
        ),
    ],
)
def test_forms_of_a_list(tmp_path: Path, headings: str, cells: str) -> None:
    """Separators, headings, quotes, blanks and dates come as people write them."""
    [row] = read_stock(written(tmp_path, f"{headings}\n{cells}\n"), small_layout(), SKUS, START)
    # 1-01-2 is slot 1; column 1 and tier 2 are 0 and 1; the third list has no states.
    state = "qualified_in_stock" if "只数" in headings else "reserved"
    expected = StockRow(0, "B1", 1, 0, 1, 0, "L", START.toordinal(), 7, state, ())
    assert row._replace(row=0) == expected


def test_blank_positions_are_filled_up(tmp_path: Path) -> None:
    """Boxes without a position take the lowest free places, also those listed before one with a position."""
    text = "box,slot,position,sku,lot,verified_on,meters\n" + "".join(
        f"{box},1-02-1,{position},single-phase,L,2026-01-01,15\n"
        for box, position in (("a", ""), ("b", "1.1"), ("c", ""), ("d", ""))
    )
    rows = read_stock(written(tmp_path, text), small_layout("stack_lifo"), SKUS)
    # Two columns of two tiers: b has 0.0, so a, c and d follow at 0.1, 1.0 and 1.1.
    assert [(row.box, row.column, row.tier) for row in rows] == [
        ("a", 0, 1), ("b", 0, 0), ("c", 1, 0), ("d", 1, 1)
    ]  # fmt: skip
    assert {row.state for row in rows} == {"qualified_in_stock"}


def test_sheet_cells_as_excel_has_them(tmp_path: Path) -> None:
    """Numbers that stand for codes, dates and positions typed as numbers are read."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["箱号", "货位", "位置", "品规", "批次", "检定日期", "数量", None])
    sheet.append([])
    sheet.append([1001, "1-01-2", 1.2, "single-phase", 77.0, datetime.fromisoformat("2026-02-01"), 15.0])
    sheet.append([1002, "staging", None, " 单相远程表 ", "x", 20260201, "15"])
    book.save(tmp_path / "stock.xlsx")
    day = date(2026, 2, 1).toordinal()
    layout = small_layout()
    assert read_stock(tmp_path / "stock.xlsx", layout, SKUS, START) == [
        StockRow(3, "1001", 1, 0, 1, 0, "77", day, 15, "qualified_in_stock", ()),
        StockRow(4, "1002", layout.staging, NONE, NONE, 1, "x", day, 15, "qualified_in_stock", ()),
    ]


GOOD = "B{n},1-02-1,,single-phase,L,2026-01-01,15,\n"


def good(*numbers: int) -> str:
    return "".join(GOOD.format(n=n) for n in numbers)


BROKEN_LISTS: dict[str, tuple[str | bytes, list[str]]] = {
    "wrong type": (
        HEAD + "B1,1-02-1,,single-phase,L,2026-01-01,fifteen,\n" + good(2),
        [":2: meters: expected a whole number from 1 to 15, found 'fifteen'"],
    ),
    "fraction": (
        HEAD + "B1,1-02-1,,single-phase,L,2026-01-01,1.5,\n",
        [":2: meters: expected a whole number from 1 to 15, found '1.5'"],
    ),
    "range": (
        HEAD
        + good(1)
        + "B2,1-02-1,,single-phase,L,2026-01-01,16,\nB3,1-02-1,,single-phase,L,2026-01-01,0,\n",
        [
            ":3: meters: expected a whole number from 1 to 15, found '16'",
            ":4: meters: expected a whole number from 1 to 15, found '0'",
        ],
    ),
    "unknown SKU": (
        HEAD + "B1,1-02-1,,single-phas,L,2026-01-01,15,\n",
        [
            ":2: sku: expected one of "
            + ", ".join(SKUS)
            + ", found 'single-phas', did you mean 'single-phase'?",
        ],
    ),
    "unknown slots": (
        HEAD + "B1,1-2-1,,single-phase,L,2026-01-01,15,\nB2,9-02-1,,single-phase,L,2026-01-01,15,\n",
        [
            ":2: slot: expected a place of this store, found '1-2-1', did you mean '1-02-1'?",
            ":3: slot: expected a place of this store, found '9-02-1'",
        ],
    ),
    "place outside": (
        HEAD + "B1,truck,,single-phase,L,2026-01-01,15,\n",
        [":2: slot: expected a place in the store that holds boxes, found 'truck'"],
    ),
    "not UTF-8 nor GB18030": (
        HEAD.encode() + b"B1,1-02-1,,\xff\xff,L,2026-01-01,15,\n",
        [":2: expected UTF-8 or GB18030, found the byte 0xff"],
    ),
    "UTF-16": ((HEAD + good(1)).encode("utf-16"), [": expected UTF-8 or GB18030, found UTF-16"]),
    "NUL bytes": ((HEAD + good(1)).encode() + b"B2,\0\0", [":3: expected text, found NUL bytes"]),
    "empty": ("", [": expected a CSV or XLSX file, found an empty file"]),
    "blank": (
        "\n \n,,\n",
        [NO_HEADINGS],
    ),
    "same box twice": (
        HEAD + good(1, 2, 1),
        [":4: box: expected each box once, found 'B1' again (row 2)"],
    ),
    "two boxes at one position": (
        HEAD + "B1,1-02-1,2.1,single-phase,L,2026-01-01,15,\nB2,1-02-1,2.1,single-phase,L,2026-01-01,15,\n",
        [":3: position: expected a free place, found '2.1' with box 'B1' (row 2)"],
    ),
    "missing columns": (
        "box,slot,sku,verified_on\nB1,,,\n",
        [":1: expected a column lot (批次), found none", ":1: expected a column meters (数量), found none"],
    ),
    "unknown column": (
        HEAD.replace(",lot", ",lot,vendor").replace("state", "states") + good(1),
        [
            f":1: expected one of {COLUMNS}, found 'vendor'",
            f":1: expected one of {COLUMNS}, found 'states', did you mean 'state'?",
            ":2: verified_on: expected a day such as 2026-03-02, found '15'",
            ":2: meters: expected a whole number from 1 to 15, found nothing",
        ],
    ),
    "column twice": (
        HEAD.replace("state", "货位") + good(1),
        [":1: expected one column slot, found '货位' again"],
    ),
    "too many cells": (HEAD + good(1).strip() + ",b,c\n", [":2: expected 8 cells, found 10"]),
    "date nonsense": (
        HEAD
        + "".join(
            f"B{n},1-02-1,,single-phase,L,{day},15,\n"
            for n, day in enumerate(["2026-02-30", "yesterday", "", "02/03/2026", "2026-01-01 08:30"])
        ),
        [
            ":2: verified_on: expected a day such as 2026-03-02, found '2026-02-30'",
            ":3: verified_on: expected a day such as 2026-03-02, found 'yesterday'",
            ":4: verified_on: expected a day such as 2026-03-02, found nothing",
            ":5: verified_on: expected a day such as 2026-03-02, found '02/03/2026'",
            ":6: verified_on: expected a day without a time, found '2026-01-01 08:30'",
            ":6: slot: expected at most 4 boxes in 1-02-1, found one more",
        ],
    ),
    "future date": (
        HEAD + "B1,1-02-1,,single-phase,L,2026-03-03,15,\n",
        [":2: verified_on: expected a day up to 2026-03-02, found '2026-03-03'"],
    ),
    "position outside": (
        HEAD
        + "".join(
            f"B{n},{slot},{position},single-phase,L,2026-01-01,15,\n"
            for n, (slot, position) in enumerate(
                [
                    ("1-02-1", "3.1"),
                    ("1-02-1", "1.3"),
                    ("1-01-1", "2.2"),
                    ("1-02-1", "0.1"),
                    ("1-02-1", "left"),
                    ("2-02-2", "1.1"),
                    ("staging", "1.1"),
                ]
            )
        ),
        [
            ":2: position: expected column.tier of 1-02-1 (columns of 2 and 2 boxes), found '3.1'",
            ":3: position: expected column.tier of 1-02-1 (columns of 2 and 2 boxes), found '1.3'",
            ":4: position: expected column.tier of 1-01-1 (columns of 2 and 1 boxes), found '2.2'",
            ":5: position: expected column.tier of 1-02-1 (columns of 2 and 2 boxes), found '0.1'",
            ":6: position: expected column.tier of 1-02-1 (columns of 2 and 2 boxes), found 'left'",
            ":7: position: expected column.tier of 2-02-2 (columns of no boxes), found '1.1'",
            ":7: slot: expected at most 0 boxes in 2-02-2, found one more",
            ":8: position: expected no position in staging, found '1.1'",
        ],
    ),
    "over capacity": (
        HEAD + good(1, 2, 3, 4, 5, 6),
        [
            ":6: slot: expected at most 4 boxes in 1-02-1, found one more",
            ":7: slot: expected at most 4 boxes in 1-02-1, found one more",
        ],
    ),
    "unknown state": (
        HEAD
        + "B1,1-02-1,,single-phase,L,2026-01-01,15,quarantine\n"
        + "B2,1-02-1,,single-phase,L,2026-01-01,15,sold\n",
        [
            f":2: state: expected one of {STATES}, found 'quarantine', did you mean 'quarantined'?",
            f":3: state: expected one of {STATES}, found 'sold'",
        ],
    ),
    "contradictory state": (
        HEAD + "B1,1-02-1,,single-phase,L,2026-01-01,15,运行\n",
        [":2: state: expected the state of a box in the store, found '运行'"],
    ),
    "nothing in cells": (
        HEAD + ",,,,,,,x\n",
        [
            ":2: slot: expected a place of this store, found nothing",
            ":2: box: expected a text of 1 to 200 characters, found nothing",
            ":2: sku: expected one of " + ", ".join(SKUS) + ", found nothing",
            ":2: lot: expected a text of 1 to 200 characters, found nothing",
            ":2: verified_on: expected a day such as 2026-03-02, found nothing",
            ":2: meters: expected a whole number from 1 to 15, found nothing",
            f":2: state: expected one of {STATES}, found 'x'",
        ],
    ),
    "bad assets": (
        HEAD.replace("state", "assets")
        + f"B1,1-02-1,,single-phase,L,2026-01-01,2,{asset_number(1)};{asset_number(2)}\n"
        + f"B2,1-02-1,,single-phase,L,2026-01-01,2,{asset_number(2)};{asset_number(3)}\n"
        + f"B3,1-02-1,,single-phase,L,2026-01-01,2,{asset_number(4)}\n"
        + f"B4,1-02-1,,single-phase,L,2026-01-01,1,{asset_number(5)[:-1]}\n",
        [
            f":3: assets: expected each asset once, found '{asset_number(2)}' again (row 2)",
            ":4: assets: expected 2 asset numbers, one a meter, found 1",
            f":5: assets: expected an asset number of 22 digits, found 21 in '{asset_number(5)[:-1]}'",
        ],
    ),
    "quote that never ends": (
        HEAD + good(1) + 'B2,"1-02-1,,\n',
        [":3: expected a row of CSV, found unexpected end of data"],
    ),
    "cell over lines": (
        HEAD + '"B\n1",1-02-1,,single-phase,L,2026-01-01,15,\nB2,1-02-1,,single-phase,L,2026-01-01,x,\n',
        [
            ":2: box: expected a text of 1 to 200 characters, found 'B\\n1'",
            ":4: meters: expected a whole number from 1 to 15, found 'x'",
        ],
    ),
    "long cell": (
        HEAD + f"{'B' * 201},1-02-1,,single-phase,L,2026-01-01,15,\n",
        [f":2: box: expected a text of 1 to 200 characters, found '{'B' * 60}'..."],
    ),
}


@pytest.mark.parametrize("case", BROKEN_LISTS)
def test_broken_lists_are_refused(tmp_path: Path, case: str) -> None:
    """A broken list gives one line for each fault, in the order of its rows, and nothing else."""
    content, faults = BROKEN_LISTS[case]
    path = tmp_path / "stock.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout(), SKUS, START)
    assert error.value.faults == [f"{path}{fault}" for fault in faults]
    assert str(error.value) == "\n".join(error.value.faults)


def test_gap_in_a_stack_is_refused(tmp_path: Path) -> None:
    """A box of a free stack stands on another box; with direct access it has its own support."""
    path = written(tmp_path, HEAD + "B1,1-02-1,2.2,single-phase,L,2026-01-01,15,\n")
    assert read_stock(path, small_layout(), SKUS, START)[0].tier == 1
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout("stack_lifo"), SKUS, START)
    assert error.value.faults == [f"{path}:2: position: expected a box under 2.2 of 1-02-1, found a gap"]


def sheet(path: Path, *rows: list[object]) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(path)


def no_sheet_at_all(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no workbook")


def truncated(path: Path) -> None:
    sheet(path, HEAD.strip().split(","))
    path.write_bytes(path.read_bytes()[:-200])


def damaged(path: Path) -> None:
    sheet(path, HEAD.strip().split(","), *[[f"B{n}", "1-02-1"] for n in range(200)])
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    for i in range(at + 80, at + 400):
        data[i] ^= 0x55
    path.write_bytes(data)


DAMAGED = ": expected an XLSX workbook, found a damaged or other file ("


@pytest.mark.parametrize(
    ("name", "make", "fault"),
    [
        ("none.csv", lambda path: None, ": expected a CSV or XLSX file, found nothing"),
        ("folder.csv", lambda path: path.mkdir(), ": expected a CSV or XLSX file, found a folder"),
        ("s.xlsx", lambda path: path.touch(), ": expected a CSV or XLSX file, found an empty file"),
        ("s.xlsx", lambda path: path.write_text(HEAD), DAMAGED + "File is not a zip file)"),
        ("s.xlsx", truncated, DAMAGED + "File is not a zip file)"),
        (
            "s.xlsx",
            no_sheet_at_all,
            DAMAGED + "\"There is no item named '[Content_Types].xml' in the archive\")",
        ),
        ("s.xlsx", damaged, DAMAGED),
        ("s.csv", lambda path: sheet(path, [1]), ":1: expected text, found NUL bytes"),
        (
            "s.xls",
            lambda path: path.write_text("x"),
            ": expected a name that ends in .csv or .xlsx, found '.xls' (save it as .xlsx)",
        ),
        (
            "stock",
            lambda path: path.write_text("x"),
            ": expected a name that ends in .csv or .xlsx, found ''",
        ),
        (
            "s.xlsx",
            lambda path: sheet(path),
            NO_HEADINGS,
        ),
    ],
)
def test_no_list_at_all(tmp_path: Path, name: str, make: Callable[[Path], object], fault: str) -> None:
    """What is no list is told apart in one line."""
    path = tmp_path / name
    make(path)
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout(), SKUS, START)
    [line] = error.value.faults
    assert "\n" not in line
    assert line.startswith(f"{path}{fault}")
    assert line.endswith(fault) or fault == DAMAGED


def test_huge_files_are_refused(tmp_path: Path) -> None:
    """A file over 100 MB is not even read; it may be sparse."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout(), SKUS, START)
    assert error.value.faults == [f"{path}: expected at most 100,000,000 bytes, found 100,000,001"]


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    """A small workbook that unpacks to more than 500 MB is not unpacked."""
    path = tmp_path / "bomb.xlsx"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/sharedStrings.xml", "w") as f,
    ):
        for _ in range(501):
            f.write(bytes(1_000_000))
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout(), SKUS, START)
    assert error.value.faults == [f"{path}: expected at most 500,000,000 bytes unpacked, found 501,000,000"]


@pytest.mark.parametrize("name", ["stock.csv", "stock.xlsx"])
def test_endless_lists_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A list has a most number of rows, blank ones counted."""
    monkeypatch.setattr(stocklist, "MOST_ROWS", 5)
    path = tmp_path / name
    if name == "stock.csv":
        path.write_text(HEAD + good(1) + "\n" * 5)
    else:
        sheet(path, HEAD.strip().split(","), *[["B1"], *[[]] * 4, ["B2"]])
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout(), SKUS, START)
    assert error.value.faults[0] == f"{path}: expected at most 5 rows, found more"


def test_faults_are_counted_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the first thousand faults the others are only counted."""
    path = written(tmp_path, HEAD + "".join(f"B{n},1-02-1,,x,L,2026-01-01,15,\n" for n in range(1200)))
    layout = small_layout()
    layout.stacks[layout.place("1-02-1")] = (2000,)
    with pytest.raises(StockListError) as error:
        read_stock(path, layout, SKUS, START)
    assert len(error.value.faults) == 1001
    assert error.value.faults[-1] == f"{path}: and 200 more faults"


def test_wrong_cells_of_a_sheet(tmp_path: Path) -> None:
    """Formulas, errors, truth values, dates for slots and numbers for assets are refused in words."""
    path = tmp_path / "stock.xlsx"
    row = ["B1", "1-02-1", None, "single-phase", "L", "2026-01-01", 1, None, None]
    variants = [
        (0, "=A1", "box: expected a text of 1 to 200 characters, found the formula '=A1'"),
        (0, True, "box: expected a text of 1 to 200 characters, found 'True'"),
        (
            0,
            datetime.fromisoformat("2026-01-01"),
            "box: expected a text of 1 to 200 characters, found the date 2026-01-01",
        ),
        (
            1,
            datetime.fromisoformat("2002-07-03"),
            "slot: expected the name of a slot as text (a spreadsheet takes 2-07-3 for a date)",
        ),
        (5, "=TODAY()", "verified_on: expected a day such as 2026-03-02, found the formula '=TODAY()'"),
        (5, 46054.5, "verified_on: expected a day such as 2026-03-02, found '46054.5'"),
        (6, "=1+1", "meters: expected a whole number from 1 to 15, found the formula '=1+1'"),
        (6, 1.5, "meters: expected a whole number from 1 to 15, found '1.5'"),
        (6, True, "meters: expected a whole number from 1 to 15, found 'True'"),
        (6, "#REF!", "meters: expected a whole number from 1 to 15, found the formula '#REF!'"),
        (
            8,
            9930001000000000000170,
            "assets: expected asset numbers as text (a sheet keeps 15 digits of a number), found ",
        ),
    ]
    rows = [[*row[:i], value, *row[i + 1 :]] for i, value, _ in variants]
    for n, cells in enumerate(rows):
        cells[0] = f"B{n}" if cells[0] == "B1" else cells[0]
        cells[1] = ("1-01-2", "1-02-1", "1-02-2")[n // 4] if cells[1] == "1-02-1" else cells[1]
    sheet(path, [*HEAD.strip().split(","), "assets"], *rows)
    with pytest.raises(StockListError) as error:
        read_stock(path, small_layout(), SKUS, START)
    for n, ((_, _, fault), line) in enumerate(zip(variants, error.value.faults, strict=True)):
        assert line.startswith(f"{path}:{n + 2}: {fault}")


ORDER_HEAD = "order,released,station,sku,meters,due\n"


@pytest.mark.parametrize(
    "lines",
    [
        [
            ORDER_HEAD.strip(),
            "7,2026-03-02T08:30,North,single-phase,60,2026-03-02 12:00:00",
            "7,2026-03-02T08:30,North,单相远程表,5,2026-03-02 12:00:00",
            "8,2026/3/1,South,single-phase,1,",
        ],
        [
            "订单号;下达时间;供电所;品规;数量;要求时间",
            "7;2026年3月2日 8:30;North;single-phase;60;20260302 12:00:00.000",
            "7;2026-03-02 08:30:00;North;单相远程表;5;2026.3.2 12:00",
            "8;2026-03-01;South;single-phase;1",
        ],
    ],
)
def test_forms_of_an_order_list(tmp_path: Path, lines: list[str]) -> None:
    """Orders have lines, stations and local times that count from the start of the run."""
    assert read_orders(written(tmp_path, "\n".join(lines)), SKUS, START) == [
        OrderRow(2, "7", 8 * HOUR + HOUR // 2, "North", 0, 60, 12 * HOUR),
        OrderRow(3, "7", 8 * HOUR + HOUR // 2, "North", 1, 5, 12 * HOUR),
        OrderRow(4, "8", -24 * HOUR, "South", 0, 1, None),
    ]


def test_order_sheet(tmp_path: Path) -> None:
    """A workbook may hold its times as dates."""
    path = tmp_path / "orders.xlsx"
    sheet(
        path,
        ORDER_HEAD.strip().split(","),
        [7, datetime.fromisoformat("2026-03-02 08:30"), "North", SKUS[0], 60, None],
    )
    assert read_orders(path, SKUS, START) == [OrderRow(2, "7", 8 * HOUR + HOUR // 2, "North", 0, 60, None)]


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (
            ["7,soon,North,single-phase,60,"],
            [":2: released: expected a local time such as 2026-03-02T08:30, found 'soon'"],
        ),
        (
            ["7,2026-03-02T25:00,North,single-phase,60,2026-03-02T08:30+08:00"],
            [
                ":2: released: expected a local time such as 2026-03-02T08:30, found '2026-03-02T25:00'",
                ":2: due: expected a local time such as 2026-03-02T08:30, found '2026-03-02T08:30+08:00'",
            ],
        ),
        (
            ["7,2026-03-02,North,single-phase,-5,"],
            [":2: meters: expected a whole number from 1 to 10000000, found '-5'"],
        ),
        (
            ["7,2026-03-02T09:00,North,single-phase,5,2026-03-02T08:30"],
            [
                ":2: due: expected a time from the release '2026-03-02T09:00' on, found '2026-03-02T08:30'",
            ],
        ),
        (
            ["7,2026-03-02,North,single-phase,5,", "7,2026-03-03,South,single-phase,5,2026-04-01"],
            [
                ":3: released: expected the same as in row 2 of this order, found '2026-03-03'",
                ":3: station: expected the same as in row 2 of this order, found 'South'",
                ":3: due: expected the same as in row 2 of this order, found '2026-04-01'",
            ],
        ),
        (
            [",,,,,x"],
            [
                ":2: order: expected a text of 1 to 200 characters, found nothing",
                ":2: released: expected a local time such as 2026-03-02T08:30, found nothing",
                ":2: station: expected a text of 1 to 200 characters, found nothing",
                ":2: sku: expected one of " + ", ".join(SKUS) + ", found nothing",
                ":2: meters: expected a whole number from 1 to 10000000, found nothing",
                ":2: due: expected a local time such as 2026-03-02T08:30, found 'x'",
            ],
        ),
    ],
)
def test_broken_order_lists(tmp_path: Path, rows: list[str], faults: list[str]) -> None:
    """A broken order list gives one line for each fault."""
    path = written(tmp_path, ORDER_HEAD + "".join(f"{row}\n" for row in rows))
    with pytest.raises(StockListError) as error:
        read_orders(path, SKUS, START)
    assert error.value.faults == [f"{path}{fault}" for fault in faults]


def lines_of(path: Path, layout: Layout) -> list[str]:
    """The fault lines of a list, none when it can be read."""
    try:
        read_stock(path, layout, SKUS, START)
    except StockListError as error:
        return error.faults
    return []


def test_any_bytes_give_faults_or_rows(tmp_path: Path) -> None:
    """Whatever byte of a list is damaged, reading ends in rows or in faults of one line each."""
    layout = small_layout()
    for name in ("stock.csv", "stock.xlsx"):
        path = tmp_path / name
        write_stock(path, small_state(layout), layout, SKUS, START, language="zh", encoding="gb18030")
        data = path.read_bytes()
        broken = 0
        for at, flip in itertools.product(range(0, len(data), max(1, len(data) // 150)), (0x01, 0x80)):
            path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
            lines = lines_of(path, layout)
            broken += bool(lines)
            assert all(line.startswith(f"{path}:") and line.isprintable() for line in lines)
        assert broken > 50
