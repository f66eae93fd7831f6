"""Replay: a recorded order trace through the allocator of the full model, without time for handling.

In `seq` order an arriving unit takes the slot that the rule names and a leaving unit frees its slot; nothing
queues. What remains is the choice of slots, and its score is the sum of one-way times between port and slot.
The units at time 0 are placed and not scored. A trace is CSV (or CSV.gz) with the columns
`seq, time_s, op (in|out), unit, sku` and whatever else it likes. Robots, people and lots are left out: a lot
is a SKU here, and a slot of several boxes counts as reached at its lowest one.
"""

import csv
import gzip
import itertools
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from sim.allocation import POLICIES, BoxView, SlotIndex, SlotView
from sim.facts import NONE
from sim.scenario import Loaded, Scenario
from sim.simulation import build_layout
from sim.streams import Streams
from sim.travel import Travel
from sim.words import near, show

COLUMNS: Final = ("seq", "time_s", "op", "unit", "sku")
"""The columns that a trace must have; others are ignored."""

MOST_ROWS: Final = 2_000_000
"""A longer trace is refused: it is kept in memory, 33 bytes a row and 100 a unit."""

MOST_FAULTS: Final = 20
"""Reading stops after so many faults."""

_LONGEST_LINE: Final = 10_000
_LAST_S: Final = 10**10


class TraceError(ValueError):
    """A trace that cannot be replayed; `lines` has `FILE:ROW: column: expected ..., found ...` a fault."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def replay(
    trace_path: str | Path, loaded: Loaded | Scenario, policy: str, *, seed: int = 0
) -> dict[str, Any]:
    """Replay a trace on the layout of a scenario and give its score.

    Parameters
    ----------
    trace_path : a CSV file, gzipped or not, UTF-8.
    loaded : the scenario whose layout, robots' speeds and number of zones count.
    policy : a name of `allocation.POLICIES`.
    seed : of the rules that draw.

    Returns
    -------
    `policy`; `moves`, the arrivals after time 0 and all departures; `total_s`, the sum of their one-way times
    (from the first inbound port, to the first outbound one, each in whole milliseconds); `per_move_s` (None
    without moves); `peak` and `final`, most units at once and units left; `mean_occupancy`, time-weighted
    from the first to the last row.

    Raises
    ------
    TraceError
        With the faults of the trace, or of the name of the rule.
    """
    rule = POLICIES.get(policy)
    if rule is None:
        known = ", ".join(POLICIES)
        raise TraceError([f"policy: expected one of {known}, found {show(policy)}{near(policy, POLICIES)}"])
    events = read_events(trace_path)

    scenario = loaded.scenario if isinstance(loaded, Loaded) else loaded
    layout = build_layout(scenario)
    travel = Travel(layout, scenario.robots)
    in_ms: list[int] = travel.one_way_ms(layout.inbound).tolist()
    out_ms: list[int] = travel.one_way_ms(layout.outbound).tolist()
    index = SlotIndex(layout, in_ms, events.shares(), scenario.policy.zones)
    view = SlotView(index)
    stream = Streams(seed)["policy.allocation"]

    slot_of = [NONE] * events.units
    total_ms = moves = arrivals = here = peak = 0
    for time_ms, unit, sku, row in zip(events.time_ms, events.unit, events.sku, events.row, strict=True):
        slot = slot_of[unit]
        if slot == NONE:
            slot = rule(BoxView(arrivals, sku, sku, time_ms // 86_400_000, 1), view, stream)
            if slot == NONE:
                where = f"{trace_path}:{row}: op: expected a departure or room for a unit"
                raise TraceError([f"{where}, found an arrival with all {layout.boxes:,} places taken"])
            index.take(slot, sku)
            slot_of[unit] = slot
            arrivals += 1
            here += 1
            peak = max(peak, here)
            if time_ms > 0:
                total_ms += in_ms[slot]
                moves += 1
        else:
            index.give(slot, sku)
            slot_of[unit] = NONE
            here -= 1
            total_ms += out_ms[slot]
            moves += 1
    return {
        "policy": policy,
        "moves": moves,
        "total_s": total_ms / 1000,
        "per_move_s": total_ms / 1000 / moves if moves else None,
        "peak": peak,
        "final": here,
        "mean_occupancy": events.mean_occupancy(),
    }


@dataclass
class Events:
    """A checked trace in `seq` order, one column a property: a unit is in the store between two of its rows.

    `unit` and `sku` are numbers in the order of first appearance; `row` is the line of the file.
    """

    time_ms: "array[int]" = field(default_factory=lambda: array("q"))
    unit: "array[int]" = field(default_factory=lambda: array("q"))
    sku: "array[int]" = field(default_factory=lambda: array("q"))
    row: "array[int]" = field(default_factory=lambda: array("q"))
    units: int = 0

    def shares(self) -> list[float]:
        """The share of the rows that each SKU has."""
        rows = Counter(self.sku)
        return [rows[sku] / len(self.sku) for sku in range(len(rows))]

    def mean_occupancy(self) -> float:
        """Units in the store, the mean over the time from the first to the last row."""
        here: set[int] = set()
        unit_ms, last_ms = 0, self.time_ms[0]
        for time_ms, unit in zip(self.time_ms, self.unit, strict=True):
            unit_ms += len(here) * (time_ms - last_ms)
            last_ms = time_ms
            here ^= {unit}
        elapsed_ms = last_ms - self.time_ms[0]
        return unit_ms / elapsed_ms if elapsed_ms else float(len(here))


def read_events(path: str | Path) -> Events:
    """Read and check a trace; its rows may stand in any order. Raises TraceError with every fault found."""
    reader = _Reader(Path(path))
    try:
        with _open(reader.path) as file:
            reader.read(file)
    except UnicodeDecodeError as error:
        reader.fault(None, "", "UTF-8 text", f"the byte 0x{error.object[error.start]:02x}")
    except csv.Error as error:
        reader.fault(None, "", "CSV", str(error))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reader.fault(None, "", "a whole gzip file", str(error))
    except OSError as error:
        reader.fault(None, "", "a readable file", error.strerror or str(error))
    except _TooMuch:
        pass
    if reader.faults:
        raise TraceError(reader.faults)
    return reader.events


class _TooMuch(Exception):  # noqa: N818
    """Reading on would be of no use."""


class _Reader:
    """What is known of a trace while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = Events()
        self.faults: list[str] = []
        self._seq: array[int] = array("q")
        self._arrives = bytearray()
        self._units: dict[str, int] = {}
        self._skus: dict[str, int] = {}

    def fault(self, row: int | None, column: str, expected: str, found: str) -> None:
        """Note a fault; gives up after `MOST_FAULTS`."""
        where = [f"{self.path}:{row}" if row is not None else str(self.path)] + [column] * bool(column)
        self.faults.append(f"{': '.join(where)}: expected {expected}, found {found}")
        if len(self.faults) == MOST_FAULTS:
            self.faults.append(f"{self.path}: reading stopped after {MOST_FAULTS} faults")
            raise _TooMuch

    def read(self, file: TextIO) -> None:
        """Read all rows, then check them in `seq` order."""
        rows = csv.reader(self._lines(file), strict=True)
        head = [name.strip().lower() for name in next(rows, [])]
        if not head:
            self.fault(None, "", f"the columns {', '.join(COLUMNS)}", "an empty file")
            return
        for name in COLUMNS:
            if name not in head:
                self.fault(1, name, "a column of this name", f"none{near(name, head)}")
            elif head.count(name) > 1:
                self.fault(1, name, "one column of this name", str(head.count(name)))
        if self.faults:
            return
        where = [head.index(name) for name in COLUMNS]
        for cells in rows:
            if len(cells) == len(head):
                self._take(rows.line_num, *(cells[i] for i in where))
            elif cells:
                self.fault(rows.line_num, "", f"{len(head)} cells", str(len(cells)))
        if not self._seq and not self.faults:
            self.fault(None, "", "rows of arrivals and departures", "none")
        self._sort()
        self._check()

    def _lines(self, file: TextIO) -> Iterator[str]:
        """The lines of the file, as long as they are of a length that a trace may have."""
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            found = ""
            if len(line) == _LONGEST_LINE:
                found = "a longer one"
            elif "\0" in line:
                found = "a zero byte"
            if found:
                self.fault(number, "", f"a line of text of less than {_LONGEST_LINE:,} characters", found)
                raise _TooMuch
            yield line

    def _take(self, row: int, seq: str, time_s: str, op: str, unit: str, sku: str) -> None:
        """Keep one row, or say what is wrong with it."""
        number, time_ms = _whole(seq), _milliseconds(time_s)
        if len(self._seq) == MOST_ROWS:
            self.fault(row, "", f"at most {MOST_ROWS:,} rows", "more")
            raise _TooMuch
        if (
            number is not None
            and time_ms is not None
            and op in ("in", "out")
            and unit.strip()
            and sku.strip()
        ):
            events = self.events
            self._seq.append(number)
            self._arrives.append(op == "in")
            events.time_ms.append(time_ms)
            events.unit.append(self._units.setdefault(unit, len(self._units)))
            events.sku.append(self._skus.setdefault(sku, len(self._skus)))
            events.row.append(row)
            events.units = len(self._units)
            return
        if number is None:
            self.fault(row, "seq", "a whole number, not below 0", show(seq))
        if time_ms is None:
            self.fault(row, "time_s", f"seconds from 0 to {_LAST_S:.0e}", show(time_s))
        if op not in ("in", "out"):
            self.fault(row, "op", "in or out", show(op) + near(op, ("in", "out")))
        for column, text in (("unit", unit), ("sku", sku)):
            if not text.strip():
                self.fault(row, column, "a name or number", "nothing")

    def _sort(self) -> None:
        """Put the rows into `seq` order, where they are not."""
        seq, events = self._seq, self.events
        order = sorted(range(len(seq)), key=seq.__getitem__)
        for before, after in itertools.pairwise(order):
            if seq[before] == seq[after]:
                found = f"{seq[after]} as in row {events.row[before]}"
                self.fault(events.row[after], "seq", "each number once", found)
        if order != list(range(len(seq))):
            self._arrives = bytearray(self._arrives[i] for i in order)
            for name in ("time_ms", "unit", "sku", "row"):
                column = getattr(events, name)
                setattr(events, name, array("q", (column[i] for i in order)))

    def _check(self) -> None:
        """Follow the units: each arrives, then leaves, and time does not go back."""
        events = self.events
        here: dict[int, int] = {}
        units, skus = list(self._units), list(self._skus)
        last_ms = 0
        rows = zip(events.row, events.time_ms, self._arrives, events.unit, events.sku, strict=True)
        for row, time_ms, arrives, unit, sku in rows:
            if time_ms < last_ms:
                before, now = last_ms / 1000, time_ms / 1000
                self.fault(row, "time_s", f"at least {before:.15g} s, the time before", f"{now:.15g} s")
            last_ms = max(last_ms, time_ms)
            name = show(units[unit])
            if arrives:
                if unit in here:
                    self.fault(row, "unit", "a unit that is not in the store", f"{name}, which is")
                here[unit] = sku
            elif unit not in here:
                self.fault(row, "unit", "a unit that is in the store", f"{name}, which is not")
            elif (arrived := here.pop(unit)) != sku:
                expected = f"{show(skus[arrived])}, with which unit {name} arrived"
                self.fault(row, "sku", expected, show(skus[sku]))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _whole(text: str) -> int | None:
    """A whole number from 0 below 10**18, or None."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= 18
    return int(text) if is_number else None


def _milliseconds(text: str) -> int | None:
    """Seconds, whole or decimal, as whole milliseconds; None for anything else."""
    whole, point, part = text.partition(".")
    seconds, fraction = _whole(whole), _whole(part) if point else 0
    if seconds is None or fraction is None or seconds >= _LAST_S:
        return None
    return seconds * 1000 + round(1000 * fraction / int(10 ** len(part)))
