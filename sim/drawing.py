"""The racks drawn for a terminal: each row a grid of slots as one sees it from its aisle, top level on top.

A cell says what its slot holds, by number and by shade, so that the drawing also reads without colour. It
draws the slots, not the floor plan; rows that would not fit a sensible page are counted, not drawn.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from sim.layout import PROFILES, Layout, Port

MOST_ROWS: Final = 12
MOST_CELLS: Final = 20_000
"""Rows beyond these bounds are not drawn."""

_SHADES: Final = (
    "#10243a on #dceaf7",
    "#10243a on #b3d3ee",
    "#071a2c on #7fb4e0",
    "#ffffff on #2f74b5",
    "#ffffff on #174a84",
)
_HATCH: Final = "░░"
_QUIET: Final = "dim"
_PORT_STYLE: Final = "bold #c05a00"


def draw(layout: Layout, values: Sequence[float] | None = None, *, width: int = 100) -> Text:
    """The racks with the boxes that each slot holds, a legend and the totals.

    Parameters
    ----------
    layout : the racks.
    values : one number a slot, at least 0, shown rounded instead of what it holds (boxes in it, visits).
    width : columns of the terminal; two rows stand side by side about their aisle where they fit.

    Returns
    -------
    Text
        Rich text of lines no longer than `width`; `.plain` is the drawing without colour.
    """
    numbers = [round(v) for v in (layout.capacity if values is None else values)]
    if len(numbers) != layout.slots:
        raise ValueError(f"values to draw: expected {layout.slots}, one a slot, found {len(numbers)}")
    lines = [*_Racks(layout, numbers, width).lines(), *_legend(layout, numbers, values is None)]
    return Text("\n").join([*lines, *_totals(layout, width)])


class _Racks:
    """The grids of a layout: what stands in each cell, and how many cells fit a line."""

    def __init__(self, layout: Layout, numbers: Sequence[int], width: int) -> None:
        self.layout = layout
        self.numbers = numbers
        self.most = max(numbers)
        self.openings = _openings(layout)
        self.label_width = len(str(layout.levels)) + 1
        self.rows = range(1, 1 + min(layout.rows, MOST_ROWS, MOST_CELLS // (layout.columns * layout.levels)))

        self.digits = digits = len(str(self.most))
        room = width - self.label_width - 3  # two borders, and a blank before the right one
        # Single digits may stand shoulder to shoulder when a row fits the page only then.
        shoulder = digits == 1 and layout.columns <= room < 2 * layout.columns
        self.cell_width = digits if shoulder else digits + 1
        blocks = math.ceil(layout.columns / max(1, room // self.cell_width))
        self.block = math.ceil(layout.columns / blocks)
        pair = 2 * (width - room + layout.columns * self.cell_width) + 3
        self.per_line = 2 if pair <= width and not layout.params.single_sided else 1

    def lines(self) -> list[Text]:
        """All rows that can be drawn, with a blank line after each."""
        lines: list[Text] = []
        for first in range(0, len(self.rows), self.per_line):
            for left in range(1, self.layout.columns + 1, self.block):
                columns = range(left, min(left + self.block, self.layout.columns + 1))
                panels = [self._panel(row, columns) for row in self.rows[first : first + self.per_line]]
                lines += [Text("   ").join(parts) for parts in zip(*panels, strict=True)]
            lines.append(Text())
        if hidden := self.layout.rows - len(self.rows):
            lines += [Text(f"{hidden:,} of {self.layout.rows:,} rows are not drawn", _QUIET), Text()]
        return lines

    def _panel(self, row: int, columns: range) -> list[Text]:
        """One row, or a part of its columns: caption, column numbers, levels from the top down."""
        layout = self.layout
        inner = len(columns) * self.cell_width + 1
        margin = " " * self.label_width
        caption = f"row {row}, aisle {row if layout.params.single_sided else (row + 1) // 2}"
        if len(columns) < layout.columns:
            caption += f", columns {columns[0]}-{columns[-1]}"
        lines = [
            Text(f"{margin} {caption:<{inner + 1}}", "bold"),
            Text(f"{margin} {self._ruler(columns):<{inner + 1}}", _QUIET),
            Text(f"{margin}┌{'─' * inner}┐", _QUIET),
        ]
        for level in range(layout.levels, 0, -1):
            line = Text().append(f"{level:>{self.label_width - 1}} │", _QUIET)
            for column in columns:
                line.append(" " * (self.cell_width - self.digits))
                line.append(*self._cell(row, column, level))
            lines.append(line.append(" │", _QUIET))
        lines.append(Text(f"{margin}└{'─' * inner}┘", _QUIET))
        return lines

    def _ruler(self, columns: range) -> str:
        """Column numbers at 1, 5, 10 and so on, each at the right edge of its cell."""
        ruler = [" "] * (len(columns) * self.cell_width)
        for i, column in enumerate(columns, 1):
            digits = str(column)
            end = i * self.cell_width
            if (column == 1 or column % 5 == 0) and end >= len(digits):
                ruler[end - len(digits) : end] = digits
        return "".join(ruler)

    def _cell(self, row: int, column: int, level: int) -> tuple[str, str]:
        """The text of a cell and its style."""
        slot = self.layout.slot_at(row, column, level)
        if slot < 0:
            return self.openings.get((row, column, level), " ").rjust(self.digits), _PORT_STYLE
        if self.layout.capacity[slot] == 0:
            return _HATCH[: self.digits].rjust(self.digits), _QUIET
        number = self.numbers[slot]
        if number == 0:
            return "·".rjust(self.digits), _QUIET
        return str(number).rjust(self.digits), _SHADES[math.ceil(number / self.most * len(_SHADES)) - 1]


def _port_mark(port: Port) -> str:
    return "◆" if port.inbound and port.outbound else "▶" if port.inbound else "◀"


def _openings(layout: Layout) -> dict[tuple[int, int, int], str]:
    """The marks of ports by the omitted place that they open: the nearest one within a column and a level."""
    params = layout.params
    marks: dict[tuple[int, int, int], str] = {}
    for port in layout.ports:
        x_m, z_m = int(layout.x_mm[port.place]) / 1000, int(layout.z_mm[port.place]) / 1000
        near = []
        for name in layout.omitted:
            row, column, level = map(int, name.split("-"))
            dx = abs(params.first_column_m + (column - 1) * params.pitch_m - x_m)
            dz = abs(params.first_level_m + (level - 1) * params.level_pitch_m - z_m)
            aisle = row - 1 if params.single_sided else (row - 1) // 2
            close = dx < params.first_column_m + params.pitch_m and dz < params.level_pitch_m
            if aisle == layout.aisle[port.place] and close:
                near.append((dx + dz, (row, column, level)))
        if near:
            place = min(near)[1]
            marks[place] = "◆" if marks.get(place, _port_mark(port)) != _port_mark(port) else _port_mark(port)
    return marks


def _legend(layout: Layout, numbers: Sequence[int], of_capacity: bool) -> list[Text]:
    parts = ["a number is what the slot holds, in boxes" if of_capacity else "a number is the slot's value"]
    if 0 in layout.capacity:
        parts.append(f"{_HATCH} holds no boxes")
    if not of_capacity and 0 in numbers:
        parts.append("· is nothing")
    if layout.omitted:
        parts.append("blank is no slot")
    lines = [Text("; ".join(parts), _QUIET)]
    for port in layout.ports:
        ways = [f"{port.in_places} places in"] * port.inbound + [
            f"{port.out_places} places out"
        ] * port.outbound
        what = f" port '{port.name}' at {_where(layout, port.place)}, {' and '.join(ways)}"
        lines.append(Text().append(_port_mark(port), _PORT_STYLE).append(what, _QUIET))
    for place in layout.chargers:
        what = f" {layout.place_name(place)} at {_where(layout, place)}"
        lines.append(Text().append("↯", _PORT_STYLE).append(what, _QUIET))
    return lines


def _where(layout: Layout, place: int) -> str:
    x_m, z_m = int(layout.x_mm[place]) / 1000, int(layout.z_mm[place]) / 1000
    where = f"the mouth of aisle {layout.aisle[place] + 1}"
    if x_m > 0:
        where = f"x = {x_m:g} m in aisle {layout.aisle[place] + 1}"
    return where if z_m == 0 else f"{where}, {z_m:g} m high"


def _totals(layout: Layout, width: int) -> list[Text]:
    params = layout.params
    (boxes, count), *others = sorted(Counter(layout.capacity).items(), reverse=True)
    capacities = [f"{count:,} slots of {boxes} {'box' if boxes == 1 else 'boxes'}"]
    capacities += [f"{n:,} of {b}" for b, n in others[:5]] + ["..."] * (len(others) > 5)
    words = [f"{', '.join(capacities)}; {layout.meters_per_box} meters a box"]
    levels = (
        f"levels {params.level_pitch_m:g} m high with {layout.tiers} tiers of {layout.tier_mm / 1000:g} m"
    )
    words.append(f"{levels}, columns {params.pitch_m:g} m, aisles {params.aisle_pitch_m:g} m apart")
    if params.profile in PROFILES:
        words.append(f"profile {params.profile}, an interpretation: {PROFILES[params.profile].sentence}")
    total = f"{layout.slots:,} slots, {layout.boxes:,} boxes, {layout.meters:,} meters"
    return [Text(), Text(total, "bold"), *(Text(line) for w in words for line in textwrap.wrap(w, width))]
