"""Stock lists and order lists as people keep them: CSV or XLSX, UTF-8 or GB18030, English or Chinese.

A list is read whole or not at all: every fault of the file is found and told by its row. What was read are
plain rows; what a run makes of them is its own business. `write_stock` writes the records of any instant in
the same form, so that a run can start from where another one stood.
"""

import csv
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from sim.assets import CHINESE, STATES, AssetError, asset_number, check_asset
from sim.facts import NONE
from sim.layout import LayoutError
from sim.words import near, printable

if TYPE_CHECKING:
    from sim.history import StoreState
    from sim.layout import Layout

MOST_BYTES: Final = 100_000_000
MOST_UNPACKED_BYTES: Final = 500_000_000
MOST_ROWS: Final = 5_000_000
MOST_FAULTS: Final = 1000
"""After so many faults the rest of the list is only counted."""

_STOCK_COLUMNS: Final = {
    "box": ("箱号", "周转箱号", "箱码"),
    "slot": ("货位", "货位号", "库位", "储位"),
    "position": ("位置", "箱位"),
    "sku": ("品规", "型号", "物料"),
    "lot": ("批次", "批次号", "到货批次"),
    "verified_on": ("检定日期", "检定时间"),
    "meters": ("数量", "表数", "只数"),
    "state": ("状态", "资产状态"),
    "assets": ("资产编号", "条码"),
}
_ORDER_COLUMNS: Final = {
    "order": ("订单号", "领用单号", "单号"),
    "released": ("下达时间", "申请时间"),
    "station": ("供电所", "领用单位"),
    "sku": ("品规", "型号", "物料"),
    "meters": ("数量", "表数", "只数"),
    "due": ("要求时间", "交付期限"),
}
_OPTIONAL: Final = {"position", "state", "assets", "due"}

_NOT_IN_STORE: Final = {
    "in_transit", "in_verification", "issued_pending_install", "installed", "removed_pending_return",
    "to_maker", "scrapped", "lost",
}  # fmt: skip
STOCK_STATES: Final = tuple(state for state in STATES if state not in _NOT_IN_STORE)
"""The asset states that a box in the store can have."""


class StockListError(ValueError):
    """A list that cannot be used; `faults` has one line for each of its faults, for people."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class StockRow(NamedTuple):
    """One box of a stock list."""

    row: int
    """Line of the CSV file or row of the sheet, from 1."""
    box: str
    place: int
    """Place of the layout: a slot, or wherever else in the store the box stands."""
    column: int
    """Tier column and tier from 0; NONE (-1) outside the slots."""
    tier: int
    sku: int
    lot: str
    verified_day: int
    """Day of verification, as a proleptic ordinal."""
    meters: int
    state: str
    assets: tuple[str, ...]
    """Asset numbers of the meters, when the list has them."""


class OrderRow(NamedTuple):
    """One order line of an order list; the lines of an order share its number."""

    row: int
    order: str
    released_ms: int
    """Since the start of the run; negative before it."""
    station: str
    sku: int
    meters: int
    due_ms: int | None


def read_stock(
    path: Path | str, layout: "Layout", skus: Sequence[str], start: date | None = None
) -> list[StockRow]:
    """The boxes of a stock list, in its order; a blank position takes the lowest free place of its slot.

    `skus` are the names that the column sku may have; no verification may lie behind the day `start`.
    Raises StockListError with every fault of the file: cells that cannot be read, boxes or assets named
    twice, two boxes at one place, slots over their capacity, a box above a gap in a free stack.
    """
    table = Table(Path(path), _STOCK_COLUMNS)
    rows = [_stock_row(cells, layout, skus, start) for cells in table.rows()]
    _refuse_twins(table, rows)
    rows = _stand(table, rows, layout)
    table.refuse()
    return rows


def read_orders(path: Path | str, skus: Sequence[str], start: date) -> list[OrderRow]:
    """The lines of an order list, in its order; times are local and count from `start` 00:00.

    Raises StockListError with every fault of the file: cells that cannot be read, an order that is due before
    it is released, and lines of one order that differ in station or times.
    """
    table = Table(Path(path), _ORDER_COLUMNS)
    rows: list[OrderRow] = []
    heads: dict[str, OrderRow] = {}
    for cells in table.rows():
        row = OrderRow(
            row=cells.number,
            order=cells.read("order", _text) or "",
            released_ms=cells.read("released", lambda cell: _since(start, cell)) or 0,
            station=cells.read("station", _text) or "",
            sku=cells.one_of("sku", skus),
            meters=cells.whole("meters", _MOST_METERS),
            due_ms=cells.read("due", lambda cell: _since(start, cell)),
        )
        rows.append(row)
        if cells.is_faulty:
            continue
        if row.due_ms is not None and row.due_ms < row.released_ms:
            released, due = cells.shown("released"), cells.shown("due")
            cells.fault("due", f"expected a time from the release {released} on, found {due}")
        head = heads.setdefault(row.order, row)
        for column, mine, first in (
            ("released", row.released_ms, head.released_ms),
            ("station", row.station, head.station),
            ("due", row.due_ms, head.due_ms),
        ):
            if mine != first:
                found = cells.shown(column)
                cells.fault(column, f"expected the same as in row {head.row} of this order, found {found}")
    table.refuse()
    return rows


def write_stock(
    path: Path | str,
    state: "StoreState",
    layout: "Layout",
    skus: Sequence[str],
    start: date,
    *,
    encoding: Literal["utf-8", "utf-8-sig", "gb18030"] = "utf-8",
    language: Literal["en", "zh"] = "en",
    assets: bool = False,
    names: Mapping[str, Any] | None = None,
) -> int:
    """Write the boxes that the records give in the store as a stock list; gives how many they are.

    The ending of `path` chooses CSV (in this encoding) or XLSX; a sheet is named after the instant, which
    counts from `start`. With `assets`, the numbers of the meters that are left stand in a column. Boxes, lots
    and meters go by their numbers, those that came from a stock list by what it called them: the `names` of
    the run. Raises StockListError for another ending or more rows than a sheet has.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".xlsx"):
        raise StockListError([f"{path}: expected a name that ends in .csv or .xlsx"])
    columns = [column for column in _STOCK_COLUMNS if assets or column != "assets"]
    headings = columns if language == "en" else [_STOCK_COLUMNS[column][0] for column in columns]
    state_names = STATES if language == "en" else tuple(CHINESE[name] for name in STATES)
    gone = {layout.truck, layout.handed_over, layout.outside}
    listed = names or {}
    box_names, lot_names, asset_numbers = (listed.get(key, {}) for key in ("boxes", "lots", "assets"))
    taken = set(box_names.values())
    rows: list[list[Any]] = []
    for box, place, column, tier, sku, lot, day, mask, code in zip(
        state.box.tolist(), state.recorded_place.tolist(), state.recorded_column.tolist(),
        state.recorded_tier.tolist(), state.sku.tolist(), state.lot.tolist(), state.verified_day.tolist(),
        state.recorded_mask.tolist(), state.state.tolist(), strict=True,
    ):  # fmt: skip
        if mask and place not in gone:
            rows.append([
                box_names.get(str(box)) or _free_name(str(box), taken),
                layout.place_name(place),
                f"{column + 1}.{tier + 1}" if column >= 0 else "",
                skus[sku],
                lot_names.get(str(lot), str(lot)),
                date.fromordinal(day),
                mask.bit_count(),
                state_names[code],
            ])  # fmt: skip
            if assets:
                meters = [k for k in range(state.meters_per_box) if mask >> k & 1]
                own = asset_numbers.get(str(box))
                first = box * state.meters_per_box
                rows[-1].append(";".join(own[k] if own else asset_number(first + k) for k in meters))
    if path.suffix.lower() == ".csv":
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([headings, *rows])
    else:
        instant = datetime.combine(start, time()) + timedelta(milliseconds=state.t_ms)
        _write_sheet(path, f"{instant:%Y-%m-%d %H.%M.%S}", [headings, *rows])
    return len(rows)


def _free_name(name: str, taken: set[str]) -> str:
    """A name for a box of the run that no box of the stock list has."""
    while name in taken:
        name += "-new"
    return name


def _stock_row(cells: "_Cells", layout: "Layout", skus: Sequence[str], start: date | None) -> StockRow:
    place = cells.read("slot", lambda cell: _store_place(cell, layout))
    position = None if place is None else cells.read("position", lambda cell: _position(cell, place, layout))
    most = [*layout.full_boxes(len(skus)), layout.meters_per_box]  # the last for a SKU that is not known
    row = StockRow(
        row=cells.number,
        box=cells.read("box", _text) or "",
        place=NONE if place is None else place,
        column=NONE if position is None else position[0],
        tier=NONE if position is None else position[1],
        sku=(sku := cells.one_of("sku", skus)),
        lot=cells.read("lot", _text) or "",
        verified_day=cells.read("verified_on", lambda cell: _day(cell, start)) or 0,
        meters=cells.whole("meters", most[sku]),
        state=cells.read("state", _state) or "qualified_in_stock",
        assets=cells.read("assets", _assets) or (),
    )
    if row.assets and row.meters and len(row.assets) != row.meters:
        cells.fault("assets", f"expected {row.meters} asset numbers, one a meter, found {len(row.assets)}")
    return row


def _refuse_twins(table: "Table", rows: list[StockRow]) -> None:
    """Boxes and assets that an earlier row has already."""
    boxes: dict[str, int] = {}
    assets: dict[str, int] = {}
    for row in rows:
        if row.box and boxes.setdefault(row.box, row.row) != row.row:
            first = boxes[row.box]
            table.fault(row.row, f"expected each box once, found {row.box!r} again (row {first})", "box")
        for asset in row.assets:
            if asset in assets:
                first = assets[asset]
                table.fault(
                    row.row, f"expected each asset once, found {asset!r} again (row {first})", "assets"
                )
            assets.setdefault(asset, row.row)


def _stand(table: "Table", rows: list[StockRow], layout: "Layout") -> list[StockRow]:
    """Give each box of a slot its own place: first to those with a position, then to the others."""
    taken: dict[tuple[int, int, int], StockRow] = {}
    for row in rows:
        if row.column != NONE:
            head = taken.setdefault((row.place, row.column, row.tier), row)
            if head is not row:
                found = f"{row.column + 1}.{row.tier + 1}"
                text = f"expected a free place, found {found!r} with box {head.box!r} (row {head.row})"
                table.fault(row.row, text, "position")
    standing = []
    for row in rows:
        if row.column == NONE and 0 <= row.place < layout.slots:
            slot = row.place
            places = ((slot, c, t) for c, tiers in enumerate(layout.stacks[slot]) for t in range(tiers))
            free = next((place for place in places if place not in taken), None)
            if free is None:
                most, name = layout.capacity[slot], layout.place_name(slot)
                table.fault(row.row, f"expected at most {most} boxes in {name}, found one more", "slot")
            else:
                row = row._replace(column=free[1], tier=free[2])
                taken[free] = row
        standing.append(row)
    if layout.access == "stack_lifo":
        for (slot, column, tier), row in taken.items():
            if tier and (slot, column, tier - 1) not in taken:
                text = (
                    f"expected a box under {column + 1}.{tier + 1} of {layout.place_name(slot)}, found a gap"
                )
                table.fault(row.row, text, "position")
    return standing


# Single cells. A cell is a text, or what a sheet holds: a number, a truth value, a date, nothing.


class CellError(ValueError):
    """What a cell was expected to hold; whoever catches it adds what it holds, unless that is said here."""

    def __init__(self, expected: str, *, meant: str = "", found: str = "") -> None:
        self.expected, self.meant, self.found = expected, meant, found


class _Formula(str):
    """The text of a cell that holds a formula or an error instead of a value."""

    __slots__ = ()


_MOST_METERS: Final = 10_000_000
_TIME: Final = re.compile(
    r"([0-9]{4})(?:[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日|([0-9]{2})([0-9]{2}))"
    r"(?:[ T]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?)?"
)
_ENGLISH: Final = {chinese: state for state, chinese in CHINESE.items()}


def _shown(cell: object) -> str:
    if cell in ("", None):
        return "nothing"
    if isinstance(cell, date):
        return f"the date {cell}".removesuffix(" 00:00:00")
    text = str(cell)
    return f"{'the formula ' if isinstance(cell, _Formula) else ''}{text[:60]!r}{'...' if text[60:] else ''}"


def _plain(cell: object) -> str:
    """The text of a cell; a sheet keeps 15 as 15.0, and its dates and truth values are no text."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if isinstance(cell, bool | date | _Formula) else str(cell).strip()


def _text(cell: object) -> str:
    text = _plain(cell)
    if not text or len(text) > 200 or not text.isprintable():
        raise CellError("expected a text of 1 to 200 characters")
    return text


def whole_number(cell: object, most: int) -> int:
    """The whole number that a cell holds, from 1 to `most`; raises CellError for anything else."""
    text = _plain(cell)
    if not re.fullmatch(r"[0-9]{1,18}", text) or not 1 <= int(text) <= most:
        raise CellError(f"expected a whole number from 1 to {most}")
    return int(text)


def _one_of(cell: object, names: Sequence[str]) -> int:
    text = _plain(cell)
    for i, name in enumerate(names):
        if name.strip() == text:
            return i
    raise CellError(f"expected one of {', '.join(names)}", meant=near(text, names))


def _state(cell: object) -> str:
    text = _plain(cell)
    state = _ENGLISH.get(text, text)
    if state in STOCK_STATES:
        return state
    if state in STATES:
        raise CellError("expected the state of a box in the store")
    raise CellError(
        f"expected one of {', '.join(STOCK_STATES)}", meant=near(text, [*STOCK_STATES, *_ENGLISH])
    )


def _assets(cell: object) -> tuple[str, ...]:
    if not isinstance(cell, str) or isinstance(cell, _Formula):
        raise CellError("expected asset numbers as text (a sheet keeps 15 digits of a number)")
    assets = tuple(part for part in re.split(r"[;,\uff1b\uff0c\s]+", cell) if part)
    for asset in assets:
        try:
            check_asset(asset)
        except AssetError as error:
            expected, _, found = str(error).partition(", found ")
            raise CellError(expected, found=found) from None
    return assets


def _store_place(cell: object, layout: "Layout") -> int:
    if isinstance(cell, date):
        raise CellError("expected the name of a slot as text (a spreadsheet takes 2-07-3 for a date)")
    try:
        place = layout.place(_plain(cell))
    except LayoutError as error:
        expected, _, found = error.faults[0][1].partition(", found ")
        raise CellError(expected, found="" if _plain(cell) == "" else found) from None
    if place in layout.chargers or place in (layout.truck, layout.handed_over, layout.outside):
        raise CellError("expected a place in the store that holds boxes")
    return place


def _position(cell: object, place: int, layout: "Layout") -> tuple[int, int]:
    if place >= layout.slots:
        raise CellError(f"expected no position in {layout.place_name(place)}")
    tiers = layout.stacks[place]
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", _plain(cell))
    if match:
        column, tier = int(match[1]), int(match[2])
        if 1 <= column <= len(tiers) and 1 <= tier <= tiers[column - 1]:
            return column - 1, tier - 1
    heights = " and ".join(map(str, tiers)) or "no"
    raise CellError(f"expected column.tier of {layout.place_name(place)} (columns of {heights} boxes)")


def _moment(cell: object) -> datetime:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return datetime.combine(cell, time())
    match = _TIME.fullmatch(_plain(cell))
    if match is None:
        raise ValueError
    year, month, day, *clock = [int(group) for group in match.groups()[:-1] if group]
    fraction = timedelta(microseconds=int((match[11] or "").ljust(6, "0")))
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    return datetime.combine(date(year, month, day), time(hour, minute, second)) + fraction


def _day(cell: object, start: date | None) -> int:
    try:
        moment = _moment(cell)
    except ValueError:
        raise CellError("expected a day such as 2026-03-02") from None
    if moment.time() != time():
        raise CellError("expected a day without a time")
    if start is not None and moment.date() > start:
        raise CellError(f"expected a day up to {start}")
    return moment.toordinal()


def _since(start: date, cell: object) -> int:
    try:
        return (_moment(cell) - _moment(start)) // timedelta(milliseconds=1)
    except ValueError:
        raise CellError("expected a local time such as 2026-03-02T08:30") from None


# The table of a file: its headings, its rows and the faults found so far.

_Value = TypeVar("_Value")


class Table:
    """A list in a file: its rows below the headings, and the faults that were found in it."""

    def __init__(self, path: Path, columns: dict[str, tuple[str, ...]]) -> None:
        self.path = path
        self._columns = columns
        self._faults: list[tuple[int, str]] = []
        self._more_faults = 0
        self._width = 0
        self.at: dict[str, int] = {}
        self.heading: dict[str, str] = {}

    def fault(self, row: int, text: str, column: str = "") -> None:
        """Note a fault of a row (0: of the file) and go on."""
        if len(self._faults) >= MOST_FAULTS:
            self._more_faults += 1
            return
        where = f"{self.path}:{row}: " if row else f"{self.path}: "
        self._faults.append((row, where + (f"{self.heading[column]}: " if column else "") + text))

    def stop(self, row: int, text: str) -> "StockListError":
        """The error for a file that cannot be read on."""
        self.fault(row, text)
        return self._error()

    def refuse(self) -> None:
        """Raise StockListError when there are faults."""
        if self._faults:
            raise self._error()

    def _error(self) -> "StockListError":
        lines = [line for _, line in sorted(self._faults, key=lambda fault: fault[0])]
        more = [f"{self.path}: and {self._more_faults} more faults"] if self._more_faults else []
        return StockListError(lines + more)

    @property
    def faults(self) -> int:
        """How many faults were found."""
        return len(self._faults) + self._more_faults

    def rows(self) -> Iterator["_Cells"]:
        """Every row below the headings that is not blank."""
        lines = sheet_rows(self) if ending_of(self) == ".xlsx" else _csv_rows(self)
        for count, (number, cells) in enumerate(lines):
            if count > MOST_ROWS:
                raise self.stop(0, f"expected at most {MOST_ROWS:,} rows, found more")
            while cells and cells[-1] in ("", None):
                cells.pop()
            if not cells:
                continue
            if not self.heading:
                self._read_headings(number, cells)
                continue
            if len(cells) > self._width:
                self.fault(number, f"expected {self._width} cells, found {len(cells)}")
            yield _Cells(self, number, cells)
        if not self.heading:
            raise self.stop(0, f"expected the headings {', '.join(self._columns)}, found none")

    def _read_headings(self, number: int, cells: list[Any]) -> None:
        known = {name: name for name in self._columns}
        known |= {alias: name for name, aliases in self._columns.items() for alias in aliases}
        self._width = len(cells)
        for i, cell in enumerate(cells):
            text = _plain(cell)
            name = known.get(re.sub(r"[ _-]+", "_", text.lower()))
            if name is None:
                close = near(text.lower(), known)
                self.fault(number, f"expected one of {', '.join(self._columns)}, found {_shown(cell)}{close}")
            elif name in self.at:
                self.fault(number, f"expected one column {name}, found {_shown(cell)} again")
            else:
                self.at[name] = i
                self.heading[name] = text
        missing = [name for name in self._columns if name not in self.at and name not in _OPTIONAL]
        for name in missing:
            self.fault(number, f"expected a column {name} ({self._columns[name][0]}), found none")
        if missing:
            raise self._error()  # every row would only repeat it


class _Cells:
    """One row, read column by column; a cell that cannot be read becomes a fault."""

    def __init__(self, table: Table, number: int, cells: list[Any]) -> None:
        self._table = table
        self._cells = cells
        self._faults_before = table.faults
        self.number = number

    @property
    def is_faulty(self) -> bool:
        return self._table.faults > self._faults_before

    def _cell(self, column: str) -> Any:
        i = self._table.at.get(column, len(self._cells))
        return self._cells[i] if i < len(self._cells) else ""

    def shown(self, column: str) -> str:
        return _shown(self._cell(column))

    def fault(self, column: str, text: str) -> None:
        self._table.fault(self.number, text, column)

    def read(self, column: str, reader: Callable[[Any], _Value]) -> _Value | None:
        """What the reader makes of a cell; None for a fault, and for a blank cell of an optional column."""
        cell = self._cell(column)
        if cell in ("", None) and column in _OPTIONAL:
            return None
        try:
            return reader(cell)
        except CellError as wrong:
            self.fault(column, f"{wrong.expected}, found {wrong.found or _shown(cell)}{wrong.meant}")
            return None

    def whole(self, column: str, most: int) -> int:
        return self.read(column, lambda cell: whole_number(cell, most)) or 0

    def one_of(self, column: str, names: Sequence[str]) -> int:
        found = self.read(column, lambda cell: _one_of(cell, names))
        return NONE if found is None else found


# Files


def ending_of(table: Table) -> str:
    """The ending of a file's name, once the file looks as if it could be read."""
    path = table.path
    expected = "expected a CSV or XLSX file"
    if path.is_dir():
        raise table.stop(0, f"{expected}, found a folder")
    if not path.is_file():
        raise table.stop(0, f"{expected}, found {'no regular file' if path.exists() else 'nothing'}")
    ending = path.suffix.lower()
    if ending not in (".csv", ".xlsx"):
        hint = " (save it as .xlsx)" if ending == ".xls" else ""
        raise table.stop(0, f"expected a name that ends in .csv or .xlsx, found {ending!r}{hint}")
    size = path.stat().st_size
    if size == 0:
        raise table.stop(0, f"{expected}, found an empty file")
    if size > MOST_BYTES:
        raise table.stop(0, f"expected at most {MOST_BYTES:,} bytes, found {size:,}")
    return ending


def _csv_rows(table: Table) -> Iterator[tuple[int, list[Any]]]:
    text = _decoded(table)
    heading = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=heading.count), strict=True)
    number = 1
    try:
        for cells in reader:
            yield number, [cell.strip() for cell in cells]
            number = reader.line_num + 1
    except csv.Error as error:
        raise table.stop(number, f"expected a row of CSV, found {error}") from None


def _decoded(table: Table) -> str:
    try:
        data = table.path.read_bytes()
    except OSError as error:
        raise table.stop(0, f"expected a file that can be read, found: {error.strerror}") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise table.stop(0, "expected UTF-8 or GB18030, found UTF-16")
    if b"\0" in data:
        raise table.stop(data.count(b"\n", 0, data.index(b"\0")) + 1, "expected text, found NUL bytes")
    fault = 0
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            fault = max(fault, error.start)
    row = data.count(b"\n", 0, fault) + 1
    raise table.stop(row, f"expected UTF-8 or GB18030, found the byte {data[fault]:#04x}")


def sheet_rows(table: Table) -> Iterator[tuple[int, list[Any]]]:
    """The rows of the first sheet of a workbook, numbered from 1; raises StockListError for a damaged one."""
    from openpyxl import load_workbook  # half a second that CSV need not wait for
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with table.path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > MOST_UNPACKED_BYTES:
                raise table.stop(
                    0, f"expected at most {MOST_UNPACKED_BYTES:,} bytes unpacked, found {size:,}"
                )
            with _quiet():
                sheet = load_workbook(file, read_only=True, keep_links=False).worksheets[0]
                sheet.reset_dimensions()
            lines = enumerate(sheet.iter_rows(), 1)
            while True:
                with _quiet():
                    batch = list(islice(lines, 1000))
                if not batch:
                    return
                for number, cells in batch:
                    yield number, [_cell_value(cell) for cell in cells]
    except (
        zipfile.BadZipFile, zlib.error, InvalidFileException, OSError, EOFError, SyntaxError, LookupError,
        TypeError, AttributeError, ValueError, RuntimeError,
    ) as error:  # fmt: skip
        if isinstance(error, StockListError):
            raise
        text = printable(" ".join(str(error).split())[:120])
        raise table.stop(0, f"expected an XLSX workbook, found a damaged or other file ({text})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings about styles, extensions and odd dates, none of which a list needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _cell_value(cell: Any) -> Any:
    if cell.data_type in ("f", "e"):
        return _Formula(cell.value)
    return cell.value.strip() if isinstance(cell.value, str) else cell.value


def _write_sheet(path: Path, title: str, rows: list[list[Any]]) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    if len(rows) > _SHEET_ROWS:
        raise StockListError(
            [f"{path}: expected at most {_SHEET_ROWS:,} rows in a sheet, found {len(rows):,}"]
        )
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    for row in rows:
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value)
            if isinstance(value, str):
                cell.data_type = "s"  # a name that begins with = is no formula
            cells.append(cell)
        sheet.append(cells)
    book.save(path)


_SHEET_ROWS: Final = 1_048_576
