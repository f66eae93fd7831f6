"""Order logs of other systems, made into the trace format that `sim.replay` reads.

A log is CSV with named columns, or JSON as the data sets WEPAStacks and CrossStacks of the Python package
`slapstack` have it: a list of `[op, sku, time_s, dock, batch, week]`, with a destination before the batch
where a delivery has one; the stock that was there before is `{sku: units}`. Batch, week and destination are
left out.

The log is read as a stream into columns, about 50 bytes an order and 100 a name. A departure that names no
unit takes the oldest of its SKU. Both data sets are in order of time, and stay in order of the file. Exports
of warehouse systems often are not, and a trace has to be: a log whose times never rise is newest first and is
turned round; any other is sorted by time, orders of one instant as they stand in the file.
"""

import codecs
import csv
import gzip
import io
import itertools
import json
import math
import os
import re
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TextIO

import numpy as np

from sim.facts import NONE
from sim.replay import MOST_FAULTS, MOST_ROWS
from sim.trace import sync_folder
from sim.words import near, one_of, printable, show

COLUMNS: Final = ("time_s", "op", "unit", "sku", "dock")
"""What a CSV log says of an order; `unit` and `dock` may be missing."""

OPS: Final = {
    "in": True, "delivery": True, "inbound": True, "receipt": True, "store": True, "入库": True,
    "out": False, "retrieval": False, "outbound": False, "issue": False, "retrieve": False, "出库": False,
}  # fmt: skip
"""The words for an order: does a unit arrive?"""

_OPTIONAL: Final = ("unit", "dock")
_HEADINGS: Final = ("seq", "time_s", "op", "unit", "sku", "dock")
_LAST_S: Final = 10**10  # as replay reads
_LONGEST_NAME: Final = 200
_LONGEST_LINE: Final = 10_000
_LONGEST_ORDER: Final = 65_536
_CHUNK: Final = 262_144
_FILL_CHUNKS: Final = 80  # it is read whole
_READING: Final = 0.7  # of the time of an import
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001
_MILLISECOND: Final = timedelta(milliseconds=1)


class OrderLogError(ValueError):
    """A log that cannot be imported; `lines` has one line a fault, where it is, what was expected, found."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class ImportSummary(NamedTuple):
    """What was written: `rows` is `initial` and `arrivals` and `departures`."""

    rows: int
    units: int
    skus: int
    initial: int
    arrivals: int
    """After the initial stock."""
    departures: int
    dropped: int
    """Departures that were left out because no unit was there for them."""
    last_time_s: float
    peak: int
    """Most units in the store at once."""
    final: int
    """Units in the store after the last row."""


def import_log(
    source: Path | str,
    out: Path | str,
    *,
    initial: Path | str | None = None,
    columns: Mapping[str, str] | None = None,
    drop_unmatched: bool = False,
    progress: Callable[[float], None] | None = None,
) -> ImportSummary:
    """Write an order log as a trace for `replay`, whole or not at all.

    Parameters
    ----------
    source : a name in .json or .csv, either with .gz; UTF-8 or GB18030. The words for an order are those of
        `OPS`. Times are seconds from 0, or dates and times of ISO 8601, of which the first becomes 0; a
        number is always seconds. What arrives at 0 `replay` takes for stock, and does not score.
    out : the trace, a name in .csv or .csv.gz; an older file of this name is replaced. Columns
        `seq,time_s,op,unit,sku,dock`, lines end in CRLF.
    initial : JSON, `{sku: units}`; arrivals at time 0, at dock 0, before all others.
    columns : heading of the CSV log by the name in `COLUMNS`; the same name where it is not given, "" for a
        column not to be read. Where the log names no units they are numbered from 0: the initial stock by SKU
        ascending, in numbers where all are, then the arrivals in their order. Where it does, a departure may
        leave the name open.
    drop_unmatched : leave out departures for which no unit is there, and count them.
    progress : is called with the share done, from 0 to 1.

    Raises
    ------
    OrderLogError
        With the faults of the paths, of the names of columns, or of up to `MOST_FAULTS` orders.
    """
    source, out, initial = Path(source), Path(out), None if initial is None else Path(initial)
    headings = _checked(source, out, initial, columns)
    tick = progress or (lambda _done: None)
    fill = [] if initial is None else _read_fill(initial)
    log = _Log(source, sum(units for _, units in fill))
    with opened(source, log.faults, lambda share: tick(_READING * share)) as file:
        if _form(source) == ".json":
            _read_json(log, file)
        else:
            _read_csv(log, file, headings, has_fill=initial is not None)
    log.faults.refuse()
    if not log.time_ms:
        raise log.faults.stop("at least one order", "none")
    first_ms = log.settle()
    order = _in_order(log.time_ms)
    pairs = _paired(log, fill, order, drop_unmatched)
    written = pairs.initial + pairs.arrivals + pairs.departures
    if not written:
        raise log.faults.stop("a unit for one of the orders", f"none for all {pairs.dropped:,} of them")
    rows = _rows(log, fill, order, pairs.unit, first_ms)
    _write(out, _counted(rows, written, lambda share: tick(_READING + (1 - _READING) * share)))
    tick(1.0)
    return ImportSummary(
        rows=written,
        units=pairs.units,
        skus=len(pairs.skus),
        initial=pairs.initial,
        arrivals=pairs.arrivals,
        departures=pairs.departures,
        dropped=pairs.dropped,
        last_time_s=(log.time_ms[pairs.last] - first_ms) / 1000 if pairs.last != NONE else 0.0,
        peak=pairs.peak,
        final=pairs.here,
    )


class Faults:
    """The faults of one file; after `MOST_FAULTS` reading stops."""

    def __init__(self, path: Path, place: str) -> None:
        self.lines: list[str] = []
        self._path = path
        self._place = place

    def add(self, number: int | str, column: str, expected: str, found: str) -> None:
        """Note a fault of an order, and give up where there are too many."""
        where = f"{self._path}{self._place}{number}: {column}{': ' * bool(column)}"
        self.lines.append(f"{where}expected {expected}, found {found}")
        if len(self.lines) == MOST_FAULTS:
            self.lines.append(f"{self._path}: reading stopped after {MOST_FAULTS} faults")
            self.refuse()

    def stop(self, expected: str, found: str) -> OrderLogError:
        """The error for a fault of the whole file."""
        return OrderLogError([*self.lines, f"{self._path}: expected {expected}, found {found}"])

    def stop_at(self, number: int, expected: str, found: str) -> OrderLogError:
        """The error for a fault behind which nothing can be read."""
        self.add(number, "", expected, found)
        return OrderLogError(self.lines)

    def refuse(self) -> None:
        """Raise OrderLogError when there are faults."""
        if self.lines:
            raise OrderLogError(self.lines)


class _Log:
    """The orders of a log as columns; SKUs, docks and named units are numbers of first appearance."""

    def __init__(self, source: Path, initial: int) -> None:
        self.is_json = _form(source) == ".json"
        self.faults = Faults(source, ": order " if self.is_json else ":")
        self.heading = {name: name for name in COLUMNS}
        self.names_units = False
        self.time_ms: array[int] = array("q")
        self.arrives = bytearray()
        self.sku: array[int] = array("i")
        self.unit: array[int] = array("i")
        self.dock: array[int] = array("i")
        self.number: array[int] = array("i")
        self.skus: dict[str, int] = {}
        self.units: dict[str, int] = {}
        self.docks: dict[str, int] = {}
        self._most = MOST_ROWS - initial
        self._clock: tuple[int, int] | None = None

    def take(self, number: int, op: Any, time: Any, unit: Any, sku: Any, dock: Any) -> None:
        """Keep the order of this number (or row), or say what is wrong with it."""
        arrives, moment = is_arrival(op), time_of(time)
        unit_name, sku_name, dock_name = _name(unit), _name(sku), _dock(dock)
        if len(self.time_ms) == self._most:
            raise self.faults.stop(f"at most {MOST_ROWS:,} rows with the initial stock", "more")
        if arrives is None or moment is None or not sku_name or unit_name is None or dock_name is None:
            self._refuse(number, op, time, unit, sku, dock)
            return
        if not unit_name and arrives and self.names_units:
            self.faults.add(number, self.heading["unit"], "the name of the unit that arrives", "nothing")
            return
        if self._clock is None:
            self._clock = (moment[1], number)
        if moment[1] != self._clock[0]:
            kind, first = self._clock
            expected = f"{_CLOCKS[kind]} as in {'order' if self.is_json else 'row'} {first}"
            self.faults.add(number, self.heading["time_s"], expected, show(time))
            return
        self.time_ms.append(moment[0])
        self.arrives.append(arrives)
        self.sku.append(self.skus.setdefault(sku_name, len(self.skus)))
        self.unit.append(self.units.setdefault(unit_name, len(self.units)) if unit_name else NONE)
        self.dock.append(self.docks.setdefault(dock_name, len(self.docks)))
        self.number.append(number)

    def _refuse(self, number: int, op: Any, time: Any, unit: Any, sku: Any, dock: Any) -> None:
        if time_of(time) is None:
            expected = f"seconds from 0 to {_LAST_S:.0e} or a date and time as 2026-03-02T08:30"
            self.faults.add(number, self.heading["time_s"], expected, _shown(time))
        if is_arrival(op) is None:
            found = _shown(op) + (near(op, OPS) if isinstance(op, str) else "")
            self.faults.add(number, self.heading["op"], one_of(list(OPS)), found)
        if _name(unit) is None:
            expected = f"a name of at most {_LONGEST_NAME} characters or nothing"
            self.faults.add(number, self.heading["unit"], expected, _shown(unit))
        if not _name(sku):
            expected = f"a whole number or a name of at most {_LONGEST_NAME} characters"
            self.faults.add(number, self.heading["sku"], expected, _shown(sku))
        if _dock(dock) is None:
            expected = (
                f"a whole number, a name of at most {_LONGEST_NAME} characters, some of them or nothing"
            )
            self.faults.add(number, self.heading["dock"], expected, _shown(dock))

    def settle(self) -> int:
        """The time that becomes 0, in ms: 0 of seconds, the first of dates and times."""
        if self._clock is None or self._clock[0] == SECONDS:
            return 0
        first_ms, last_ms = min(self.time_ms), max(self.time_ms)
        if last_ms - first_ms >= 1000 * _LAST_S:
            days = (last_ms - first_ms) // 86_400_000
            raise self.faults.stop(f"times within {_LAST_S // 86_400:,} days", f"{days:,} days")
        return first_ms


# -- Single fields: a text, or what JSON holds --------------------------------------------------------------

SECONDS, _LOCAL, _WITH_OFFSET = range(3)
"""Kinds of clock: times are seconds, or dates and times without or with an offset."""

_CLOCKS: Final = ("seconds", "a date and time without an offset", "a date and time with its offset")
_LOOSE: Final = re.compile(  # what spreadsheets make of a date
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?(?:[ T]*([0-9]{1,2})(:.+))?"
)


def _shown(value: object) -> str:
    return "nothing" if value == "" else show(value)


def is_arrival(op: object) -> bool | None:
    """Whether a word of `OPS` means an arrival; None for another word."""
    return OPS.get(op.strip().lower()) if isinstance(op, str) else None


def _name(value: object) -> str | None:
    """A name or whole number as text, "" for nothing; None for what is no name."""
    if value is None:
        return ""
    if type(value) is int:
        text = str(value)
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    elif isinstance(value, str):
        text = value.strip()
    else:
        return None
    return text if len(text) <= _LONGEST_NAME and text.isprintable() else None


def _dock(value: object) -> str | None:
    """A dock, or several in one text."""
    if not isinstance(value, list):
        return _name(value)
    names = [_name(part) for part in value]
    return None if None in names else _name(";".join(name for name in names if name))


def time_of(value: object) -> tuple[int, int] | None:
    """A time in ms and its kind of clock: since 0, or since 1970 by a local clock or by UTC."""
    if isinstance(value, str):
        seconds = _decimal(value)
        if seconds is None:
            return _date_time(value.strip())
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    else:
        seconds = value
    if not 0 <= seconds < _LAST_S:
        return None
    time_ms = round(seconds * 1000)
    return (time_ms, SECONDS) if time_ms < 1000 * _LAST_S else None


def _decimal(text: str) -> Decimal | float | None:
    """The number that a text is; infinite where it is none that counts."""
    if not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else math.inf


def _date_time(text: str) -> tuple[int, int] | None:
    if match := _LOOSE.fullmatch(text):
        year, month, day, hour, rest = match.groups()
        text = f"{year}-{month:>02}-{day:>02}" + (f"T{hour:>02}{rest}" if hour else "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    clock = _LOCAL
    if moment.tzinfo is not None:
        clock = _WITH_OFFSET
        try:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            return None
    return round((moment - _EPOCH) / _MILLISECOND), clock


# -- What is read ------------------------------------------------------------------------------------------


def _read_json(log: _Log, file: "_File") -> None:
    """Every order of a JSON list."""
    for number, order in enumerate(_decoded(file, log.faults), 1):
        is_list = isinstance(order, list)
        if is_list and (len(order) == 6 or (len(order) == 7 and is_arrival(order[0]) is not False)):
            log.take(number, order[0], order[2], None, order[1], order[3])
        else:
            found = f"a list of {len(order):,}" if is_list else show(order)
            log.faults.add(
                number, "", "[op, sku, time_s, dock, batch, week], a delivery with one field more", found
            )


def _decoded(file: "_File", faults: Faults) -> Iterator[Any]:
    """The items of a list in JSON, one after the other."""
    decode = json.JSONDecoder().raw_decode
    window = _Window(file)
    sign = window.sign()
    if sign != "[":
        found = "a table" if sign == "{" else show(window.text[window.at :][:20]) if sign else "an empty file"
        raise faults.stop("a list of orders in JSON", found)
    window.at += 1
    sign = window.sign()
    number = 0
    while sign != "]":
        number += 1
        try:
            item, window.at = decode(window.text, window.at)
        except (ValueError, RecursionError) as error:
            shorter = "" if window.is_all else f" of at most {_LONGEST_ORDER:,} characters"
            raise faults.stop_at(number, f"JSON{shorter}", _wrong(error)) from None
        yield item
        sign = window.sign()
        if sign == ",":
            window.at += 1
            window.sign()
        elif sign != "]":
            found = show(window.text[window.at :][:20]) if sign else "the end of the file"
            raise faults.stop_at(number, "a comma or ] after it", found)
    window.at += 1
    if window.sign():
        raise faults.stop("nothing after the list of orders", show(window.text[window.at :][:20]))


class _Window:
    """The part of a text around the place `at`."""

    def __init__(self, file: "_File") -> None:
        self.text = ""
        self.at = 0
        self.is_all = False
        self._file = file

    def sign(self) -> str:
        """Pass blanks, and give the next character ("" at the end) with the longest order in sight."""
        while True:
            blanks = _BLANKS.match(self.text, self.at)
            assert blanks is not None
            self.at = blanks.end()
            if self.is_all or len(self.text) - self.at >= _LONGEST_ORDER:
                return self.text[self.at : self.at + 1]
            chunk = self._file.chunk()
            self.text = self.text[self.at :] + chunk
            self.at = 0
            self.is_all = len(chunk) < _CHUNK


_BLANKS: Final = re.compile(r"[ \t\n\r]*")


def _wrong(error: Exception) -> str:
    """What stands where a value of JSON was expected."""
    if isinstance(error, json.JSONDecodeError):
        rest = error.doc[error.pos : error.pos + 20]
        return f"{show(rest)} ({error.msg.lower()})" if rest.strip() else "the end of the file"
    return "lists in lists in lists" if isinstance(error, RecursionError) else "a number of too many digits"


def _read_csv(log: _Log, file: "_File", headings: Mapping[str, str], *, has_fill: bool) -> None:
    """Every row below the headings that is not blank."""
    faults = log.faults
    lines = file.lines(faults)
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    rows = csv.reader(itertools.chain([first], lines), delimiter=separator, strict=True)
    skipped = file.line - 1
    try:
        head = [cell.strip() for cell in next(rows)] if first else []
        if not head:
            raise faults.stop("headings", "an empty file")
        at = _places(log, head, headings, file.line)
        log.names_units = at["unit"] != NONE
        if log.names_units and has_fill:
            expected = "no initial fill beside a column of units (unit= reads the log without them)"
            raise faults.stop(expected, show(log.heading["unit"]))
        op, time, unit, sku, dock = (at[name] for name in ("op", "time_s", "unit", "sku", "dock"))
        for cells in rows:
            row = skipped + rows.line_num
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(head):
                faults.add(row, "", f"{len(head)} cells", str(len(cells)))
                continue
            cells.append("")  # what NONE points at
            log.take(row, cells[op], cells[time], cells[unit], cells[sku], cells[dock])
    except csv.Error as error:
        raise faults.stop_at(skipped + rows.line_num, "a row of CSV", str(error)) from None


def _places(log: _Log, head: list[str], headings: Mapping[str, str], row: int) -> dict[str, int]:
    """Where the columns stand; NONE for one that is not read."""
    folded = [cell.lower() for cell in head]
    at = dict.fromkeys(COLUMNS, NONE)
    for name in COLUMNS:
        heading = headings.get(name, name)
        count = folded.count(heading.lower())
        if not heading:
            continue
        if count == 1:
            at[name] = folded.index(heading.lower())
            log.heading[name] = head[at[name]]
        elif count:
            log.faults.add(row, name, f"one column {show(heading)}", str(count))
        elif name in headings or name not in _OPTIONAL:
            log.faults.add(row, name, f"a column {show(heading)}", f"none{near(heading, head)}")
    log.faults.refuse()
    return at


def _read_fill(path: Path) -> list[tuple[str, int]]:
    """The SKUs of an initial fill and their units, ascending: in numbers where all are."""
    faults = Faults(path, ": SKU ")
    with opened(path, faults, lambda _share: None) as file:
        text = "".join(itertools.islice(iter(file.chunk, ""), _FILL_CHUNKS))
    if len(text) == _FILL_CHUNKS * _CHUNK:
        raise faults.stop(f"less than {len(text):,} characters", "more")
    try:
        pairs = json.loads(text, object_pairs_hook=tuple)  # a list stays a list
    except (ValueError, RecursionError) as error:
        raise faults.stop("JSON", _wrong(error)) from None
    if not isinstance(pairs, tuple):
        raise faults.stop("a table of units by SKU in JSON", show(pairs))
    fill: dict[str, int] = {}
    for key, units in pairs:
        sku = _name(key)
        is_whole = type(units) is int or (isinstance(units, float) and units.is_integer())
        if not sku:
            faults.add(show(key), "", f"a name of at most {_LONGEST_NAME} characters", _shown(key))
        elif sku in fill:
            faults.add(show(sku), "", "each SKU once", "it again")
        elif not is_whole or not 0 <= units <= MOST_ROWS:
            faults.add(show(sku), "", f"a whole number from 0 to {MOST_ROWS:,}", show(units))
        else:
            fill[sku] = int(units)
    faults.refuse()
    if sum(fill.values()) > MOST_ROWS:
        raise faults.stop(f"at most {MOST_ROWS:,} units", f"{sum(fill.values()):,}")
    are_numbers = all(re.fullmatch("-?[0-9]+", sku) for sku in fill)
    stocked = [item for item in fill.items() if item[1]]
    return sorted(stocked, key=lambda item: (int(item[0]) if are_numbers else 0, item[0]))


# -- What is written ---------------------------------------------------------------------------------------


def _in_order(time_ms: "array[int]") -> Sequence[int]:
    """The orders in order of time."""
    steps = np.diff(np.frombuffer(time_ms, np.int64))
    if not (steps < 0).any():
        return range(len(time_ms))
    if not (steps > 0).any():
        return range(len(time_ms))[::-1]
    order: list[int] = np.argsort(np.frombuffer(time_ms, np.int64), kind="stable").tolist()
    return order


class _Pairs:
    """Which unit goes with which order, and what is counted on the way."""

    def __init__(self, orders: int) -> None:
        self.unit = array("i", [NONE]) * orders
        """NONE for an order that is left out."""
        self.last = NONE
        """The last order that is not left out."""
        self.skus: set[int] = set()
        self.initial = self.arrivals = self.departures = self.dropped = 0
        self.units = self.here = self.peak = 0


def _paired(log: _Log, fill: list[tuple[str, int]], order: Sequence[int], drop_unmatched: bool) -> _Pairs:
    """Follow the units in order of time: those named, and of the others the oldest of a SKU first."""
    pairs = _Pairs(len(log.time_ms))
    stocked = [(log.skus.setdefault(name, len(log.skus)), units) for name, units in fill]
    pairs.initial = pairs.here = pairs.peak = sum(units for _, units in stocked)
    store = _Store(len(log.skus), len(log.units) or pairs.initial + len(log.time_ms))
    number = 0
    for sku, units in stocked:
        pairs.skus.add(sku)
        for _ in range(units):
            store.put(number, sku)
            number += 1
    for i in order:
        sku, unit = log.sku[i], log.unit[i]
        if log.arrives[i]:
            if unit == NONE:
                unit = number
                number += 1
            elif store.sku_of[unit] != NONE:
                _refuse_arrival(log, i)
                continue
            store.put(unit, sku)
            pairs.arrivals += 1
            pairs.here += 1
            pairs.peak = max(pairs.peak, pairs.here)
        else:
            if unit == NONE:
                unit = store.oldest(sku)
            if unit == NONE or store.sku_of[unit] == NONE:
                if drop_unmatched:
                    pairs.dropped += 1
                else:
                    _refuse_departure(log, i, has_fill=bool(fill))
                continue
            if store.sku_of[unit] != sku:
                _refuse_sku(log, i, store.sku_of[unit])
                continue
            store.take(unit)
            pairs.departures += 1
            pairs.here -= 1
        pairs.unit[i] = unit
        pairs.skus.add(sku)
        pairs.last = i
    log.faults.refuse()
    pairs.units = store.units
    return pairs


def _refuse_arrival(log: _Log, i: int) -> None:
    name = show(list(log.units)[log.unit[i]])
    log.faults.add(log.number[i], log.heading["unit"], "a unit that is not in the store", f"{name}, which is")


def _refuse_departure(log: _Log, i: int, *, has_fill: bool) -> None:
    if log.unit[i] == NONE:
        expected = f"a unit of {show(list(log.skus)[log.sku[i]])} in the store"
        found = "none" if has_fill or log.names_units else "none, is an initial fill missing?"
        log.faults.add(log.number[i], log.heading["sku"], expected, found)
    else:
        found = f"{show(list(log.units)[log.unit[i]])}, which is not"
        log.faults.add(log.number[i], log.heading["unit"], "a unit that is in the store", found)


def _refuse_sku(log: _Log, i: int, arrived: int) -> None:
    skus = list(log.skus)
    expected = f"{show(skus[arrived])}, with which unit {show(list(log.units)[log.unit[i]])} arrived"
    log.faults.add(log.number[i], log.heading["sku"], expected, show(skus[log.sku[i]]))


class _Store:
    """The units that are there, and those of each SKU in the order in which they came.

    A stay is one visit of a unit: one that comes back is as young as its last arrival. The stays of a SKU are
    a chain, from the oldest on; those of units that left out of turn are passed over when it is theirs.
    """

    def __init__(self, skus: int, units: int) -> None:
        self.sku_of = array("i", [NONE]) * units
        """NONE for a unit that is not there."""
        self.units = 0
        """How many have ever been there."""
        self._stay_of = array("i", [NONE]) * units
        self._unit_of: array[int] = array("i")
        self._next: array[int] = array("i")
        self._oldest = array("i", [NONE]) * skus
        self._newest = array("i", [NONE]) * skus

    def put(self, unit: int, sku: int) -> None:
        """A unit arrives."""
        stay = len(self._unit_of)
        self.units += self._stay_of[unit] == NONE
        self._unit_of.append(unit)
        self._next.append(NONE)
        if self._oldest[sku] == NONE:
            self._oldest[sku] = stay
        else:
            self._next[self._newest[sku]] = stay
        self._newest[sku] = stay
        self._stay_of[unit] = stay
        self.sku_of[unit] = sku

    def oldest(self, sku: int) -> int:
        """The unit of a SKU that has been there longest; NONE when there is none."""
        stay = self._oldest[sku]
        while stay != NONE:
            unit = self._unit_of[stay]
            if self.sku_of[unit] != NONE and self._stay_of[unit] == stay:
                break
            stay = self._next[stay]
        self._oldest[sku] = stay
        return NONE if stay == NONE else self._unit_of[stay]

    def take(self, unit: int) -> None:
        """A unit leaves."""
        self.sku_of[unit] = NONE


def _rows(
    log: _Log, fill: list[tuple[str, int]], order: Sequence[int], unit_of: "array[int]", first_ms: int
) -> Iterator[tuple[object, ...]]:
    """The rows of the trace below its headings."""
    skus, docks = list(log.skus), list(log.docks)
    units: Sequence[object] = list(log.units) or range(len(unit_of) + sum(count for _, count in fill))
    seq = 0
    for sku, count in fill:
        for _ in range(count):
            yield seq, 0, "in", seq, sku, 0
            seq += 1
    for i in order:
        if unit_of[i] != NONE:
            seconds, part = divmod(log.time_ms[i] - first_ms, 1000)
            time = f"{seconds}.{part:03d}" if part else seconds
            op = "in" if log.arrives[i] else "out"
            yield seq, time, op, units[unit_of[i]], skus[log.sku[i]], docks[log.dock[i]]
            seq += 1


def _counted(
    rows: Iterator[tuple[object, ...]], count: int, tick: Callable[[float], None]
) -> Iterator[tuple[object, ...]]:
    """The same rows; says how many of them are through."""
    for done, row in enumerate(rows):
        if done % 20_000 == 0:
            tick(done / count)
        yield row


# -- Files -------------------------------------------------------------------------------------------------


def _form(path: Path) -> str:
    """The ending of a name that tells what is in the file, whether it is packed or not."""
    name = path.name.lower().removesuffix(".gz")
    return next((form for form in (".json", ".csv") if name.endswith(form)), "")


def _checked(
    source: Path, out: Path, initial: Path | None, columns: Mapping[str, str] | None
) -> dict[str, str]:
    """The headings to look for, once the files and names look as if they could be used."""
    headings = {name.strip(): heading.strip() for name, heading in (columns or {}).items()}
    lines = _source_faults(source, (".json", ".csv"), "an order log")
    if initial is not None:
        lines += _source_faults(initial, (".json",), "an initial fill")
    lines += _out_faults(out, [source] if initial is None else [source, initial])
    for name, heading in headings.items():
        if name not in COLUMNS:
            lines.append(f"columns: expected {one_of(COLUMNS)}, found {show(name)}{near(name, COLUMNS)}")
        elif not heading and name not in _OPTIONAL:
            lines.append(f"columns: {name}: expected a heading, found nothing")
    if headings and _form(source) == ".json":
        lines.append(f"columns: expected none for a log in JSON, found {', '.join(map(show, headings))}")
    if lines:
        raise OrderLogError(lines)
    return headings


def _source_faults(path: Path, forms: Sequence[str], what: str) -> list[str]:
    found = ""
    if path.is_dir():
        found = "a folder"
    elif not path.is_file():
        found = "no regular file" if path.exists() else "nothing"
    elif _form(path) not in forms:
        found = "another name"
    elif path.stat().st_size == 0:
        found = "an empty file"
    expected = f"{what}, a file in {' or '.join(forms)} or these with .gz"
    return [f"{path}: expected {expected}, found {found}"] if found else []


def _out_faults(path: Path, sources: list[Path]) -> list[str]:
    expected, found = "", ""
    if _form(path) != ".csv":
        expected, found = "a name in .csv or .csv.gz for the trace", "another"
    elif path.is_dir():
        expected, found = "a file for the trace", "a folder"
    elif not path.parent.is_dir():
        found = "a file" if path.parent.exists() else "nothing"
        expected, found = "a folder for the trace", f"{found} at {path.parent}"
    elif path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        expected, found = "another file for the trace", "one that is read"
    return [f"{path}: expected {expected}, found {found}"] if found else []


class _File:
    """An open text, and how far it is read."""

    def __init__(self, text: TextIO, tick: Callable[[], None]) -> None:
        self.line = 0
        self._text = text
        self._tick = tick

    def chunk(self) -> str:
        """The next characters; fewer than `_CHUNK` at the end only."""
        self._tick()
        return self._text.read(_CHUNK)

    def lines(self, faults: Faults) -> Iterator[str]:
        """The lines, as long as they are of a length that one may have."""
        while line := self._text.readline(_LONGEST_LINE):
            self.line += 1
            if len(line) == _LONGEST_LINE:
                raise faults.stop_at(
                    self.line, f"a line of less than {_LONGEST_LINE:,} characters", "a longer one"
                )
            if self.line % 10_000 == 0:
                self._tick()
            yield line


@contextmanager
def opened(path: Path, faults: Faults, tick: Callable[[float], None]) -> Iterator[_File]:
    """A file of text in UTF-8 or GB18030, packed or not; what is wrong with it becomes a fault."""
    try:
        size = max(path.stat().st_size, 1)
        with path.open("rb") as raw:
            encoding = _encoding(raw, path, faults)
            raw.seek(0)
            with _unpacked(raw, path) as data, io.TextIOWrapper(data, encoding, newline="") as text:
                yield _File(text, lambda: tick(raw.tell() / size))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise faults.stop("a whole gzip file", printable(str(error))) from None
    except OSError as error:
        raise faults.stop("a file that can be read", (error.strerror or str(error)).lower()) from None


def _unpacked(raw: BinaryIO, path: Path) -> gzip.GzipFile | nullcontext[BinaryIO]:
    return gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else nullcontext(raw)


def _encoding(raw: BinaryIO, path: Path, faults: Faults) -> str:
    """What decodes all of a file; it is gone through once for this, so that no line is read wrongly."""
    found = []
    for encoding in ("utf-8-sig", "gb18030"):
        raw.seek(0)
        with _unpacked(raw, path) as data:
            fault = _undecodable(data, encoding)
        if fault is None:
            return encoding
        found.append(fault)
    _, text = max(found)
    raise faults.stop("text in UTF-8 or GB18030", text)


def _undecodable(data: BinaryIO | gzip.GzipFile, encoding: str) -> tuple[int, str] | None:
    """Where the first byte stands that cannot be decoded, and in words."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, chunk = 1, b"-"
    while chunk:
        chunk = data.read(_CHUNK)
        if b"\0" in chunk:
            line += chunk.count(b"\n", 0, chunk.index(b"\0"))
            return line, f"a zero byte in line {line}"
        try:
            decoder.decode(chunk, not chunk)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            return line, f"the byte {error.object[error.start]:#04x} in line {line}"
        line += chunk.count(b"\n")
    return None


def _write(out: Path, rows: Iterator[tuple[object, ...]]) -> None:
    """Write the trace under another name and give it its own when it is whole; equal rows, equal bytes."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        with (
            unfinished.open("wb") as file,
            _packed(file, out) as data,
            io.TextIOWrapper(data, "utf-8", newline="") as text,
        ):
            writer = csv.writer(text)
            writer.writerow(_HEADINGS)
            writer.writerows(rows)
        with unfinished.open("rb+") as written:
            os.fsync(written.fileno())
        unfinished.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OrderLogError([f"{out}: expected a file that can be written, found {reason}"]) from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _packed(file: BinaryIO, path: Path) -> gzip.GzipFile | nullcontext[BinaryIO]:
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile("", "wb", 6, file, mtime=0)
    return nullcontext(file)
