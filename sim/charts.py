"""The charts of a report: drawings as inline SVG, each with its legend and its data as a table.

matplotlib draws with hex codes that stand for colours of the page; they are replaced by the names of CSS
variables, so that one drawing follows the light, the dark and the printed page. Texts in a drawing are all
from here, but for the names of rules in the ladder: names that a scenario chooses appear in tables only. The
same facts give the same bytes. `write_picture` makes a drawing a file of its own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from html import escape
from importlib.resources import files
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from sim.allocation import ALIASES, OWN_RULES, POLICIES
from sim.calendar import DAY_MS
from sim.facts import NEVER, NONE, TASK_CLASSES
from sim.kpis import SERIES, KpiValue, RunFacts, slot_fill, slot_visits, wrong_slots
from sim.tables import ORDER_CAUSES, ROBOT_CAUSES, Steps
from sim.words import printable, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from sim.layout import Layout
    from sim.tables import Ints

    Floats = NDArray[np.float64]

Across = Literal["left", "center", "right"]
Coordinates = Literal["data"] | tuple[Literal["data"], Literal["axes fraction"]]

NOTHING: Final = "\N{EN DASH}"
"""What stands where nothing was observed."""


class Table(NamedTuple):
    """A table of texts; all columns but the first are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Chart(NamedTuple):
    """A drawing with its alternative text, its data and its legend.

    The legend is swatches (a colour of the page, words), or the lowest and the highest of a ramp of colours.
    `figure` is what the SVG was made of; a drawing that stands in a page only may leave it out.
    """

    svg: Markup
    alt: str
    table: Table
    swatches: Sequence[tuple[str, str]] = ()
    ramp: tuple[str, str] | None = None
    figure: Figure | None = None

    def _repr_svg_(self) -> str:
        """The drawing, for what shows SVG."""
        return _picture_svg(self)

    def _repr_html_(self) -> str:
        """The drawing with its legend, for a notebook: as it is by day or by night."""
        source = b64encode(_picture_svg(self).encode()).decode()
        alt = escape(self.alt)
        image = f'<img alt="{alt}" style="max-width: 100%" src="data:image/svg+xml;base64,{source}">'
        day, _ = _palettes()
        legend = "".join(
            f'<span style="margin-right: 1.2em; white-space: nowrap"><span style="display: inline-block;'
            f' width: 11px; height: 11px; background: {day[colour]}"></span> {escape(words)}</span>'
            for colour, words in self.swatches
        )
        return f'<figure style="margin: 0">{image}<figcaption>{legend}</figcaption></figure>'


# Where the time goes


def time_split(kpis: dict[str, KpiValue]) -> Chart:
    """Bars of 100 %: the time of an order, of each class of task, and of a robot's shifts, by cause."""
    bars: list[tuple[str, str, dict[str, float]]] = []
    order, robot = kpis["order_time_by_cause_s"], kpis["time_by_cause_s"]
    if order["value"]:
        bars.append(("An order", f"{duration(order['value'])} each", order["parts"]))
    for name in TASK_CLASSES:
        task = kpis["task_time_by_cause_s"]["by_class"].get(name)
        if task and task["value"]:
            causes = {_SAME_AS.get(cause, cause): seconds for cause, seconds in task["parts"].items()}
            bars.append((_TASK_WORDS[name], f"{duration(task['value'])} each", causes))
    if robot["value"]:
        bars.append(("A robot's shifts", f"{duration(robot['value'])} in all", robot["parts"]))
    used = [cause for cause in _CAUSE_WORDS if any(causes.get(cause) for _, _, causes in bars)]
    rows = max(len(bars), 1)
    figure = _figure(_PAGE_PX, 56 * rows)
    axes = figure.add_axes((0.165, 0.0, 0.835, 1.0))
    axes.set_xlim(0, 1)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.axis("off")
    for row, (label, note, causes) in enumerate(bars):
        _words(axes, label, (0, row), (-10, 5), _INK, size=_PT + 1, across="right", bold=True)
        _words(axes, note, (0, row), (-10, -8), _MUTED, across="right")
        _bar_of_parts(axes, row, [(cause, causes[cause]) for cause in used if causes.get(cause)])
    table = [
        [_CAUSE_WORDS[cause], *(_part(causes.get(cause), sum(causes.values())) for _, _, causes in bars)]
        for cause in used
    ]
    return Chart(
        _svg(figure, "time-split"),
        "Shares of the time of an order, of each class of task and of a robot's shifts, by what it goes to.",
        Table(["Time goes to", *(label for label, _, _ in bars)], table),
        [(_cause_name(cause), _CAUSE_WORDS[cause]) for cause in used],
        figure=figure,
    )


def _bar_of_parts(axes: Axes, row: int, parts: Sequence[tuple[str, float]]) -> None:
    total, left = sum(seconds for _, seconds in parts), 0.0
    for cause, seconds in parts:
        share, words = seconds / total, _CAUSE_WORDS[cause]
        colour, edge = _COLOUR[_cause_name(cause)], _COLOUR["paper"]
        axes.barh(row, share, left=left, height=0.64, color=colour, edgecolor=edge, linewidth=1.0)
        text = percent(share, 0) if share >= 0.03 else ""
        if share > 0.0085 * len(words) + 0.02:
            text = f"{words}\n{text}"
        on = _COLOUR["on-light" if cause in _PALE else "on-dark"]
        _words(axes, text, (left + share / 2, row), (0, 0), on, size=_PT - 0.5, across="center")
        left += share


def _part(seconds: float | None, total: float) -> str:
    return f"{duration(seconds)} ({percent(seconds / total)})" if seconds else NOTHING


_SAME_AS: Final = {"waiting_assignment": "waiting_robot"}
_CAUSE_WORDS: Final = {
    "waiting_stock": "waiting for stock",
    "count": "records were wrong",
    "waiting_robot": "waiting for a robot",
    "charging": "robot charges",
    "fault": "robot out of order",
    "tour_wait": "tour fills up",
    "aisle": "aisle taken",
    "port": "port taken",
    "conflict": "place taken",
    "travel": "driving",
    "handling": "handling",
    "digging": "digging",
    "parking": "parking",
    "waiting_people": "waiting for people",
    "people": "people at work",
    "outside_shifts": "outside shifts",
    "idle": "idle",
}
_PALE: Final = (
    "idle", "outside_shifts", "digging", "parking", "conflict", "port", "waiting_people", "waiting_robot",
)  # fmt: skip
_TASK_WORDS: Final = {
    "issue": "Fetching a box",
    "put_away": "Putting a box away",
    "loose_return": "Returning a box",
    "empties": "Collecting empties",
    "count": "Counting a slot",
}


# Over time


def over_time(run: RunFacts) -> Chart:
    """What the store holds, waits for and owes over time; a row of the table is a day or longer."""
    lines = {name: SERIES[name](run) for name in SERIES_WORDS}
    low, high = run.start_ms, max(run.end_ms, run.start_ms + 1)
    panel, gap, foot = 76.0, 52.0, 24.0
    height = len(lines) * (panel + gap) - gap + 30 + foot
    figure = _figure(_PAGE_PX, height)
    for number, (name, line) in enumerate(lines.items()):
        bottom = height - 30 - number * (panel + gap) - panel
        axes = figure.add_axes((0.05, bottom / height, 0.945, panel / height))
        _bare(axes)
        for a, b in _closed_days(run):
            axes.axvspan(a, b, color=_COLOUR["band"], linewidth=0)
        edges, mean, most = _sampled(line, low, high)
        middle = (edges[:-1] + edges[1:]) / 2
        axes.fill_between(middle, most, step="mid", color=_COLOUR["accent-soft"], linewidth=0)
        axes.plot(middle, mean, color=_COLOUR["accent"], linewidth=1.3, drawstyle="steps-mid")
        top = max(float(most.max()), 1.0)
        if name == "boxes_in_slots":
            top = max(top, float(run.layout.boxes))
            axes.axhline(run.layout.boxes, color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(low, high)
        axes.set_ylim(0, top * 1.06)
        _count_ticks(axes, top)
        _date_ticks(axes, run, shown=number == len(lines) - 1)
        _title(axes, SERIES_WORDS[name], "dashed: all box places" if name == "boxes_in_slots" else "")
    return Chart(
        _svg(figure, "over-time"),
        "Boxes in slots, boxes received and not stored, waiting tasks and open orders over time.",
        _span_table(run, lines),
        [("accent", "mean"), ("accent-soft", "greatest"), ("band", "day without a shift")],
        figure=figure,
    )


SERIES_WORDS: Final = {
    "boxes_in_slots": "Boxes in slots",
    "staged_boxes": "Received boxes, neither stored nor served",
    "waiting_tasks": "Tasks that wait for a robot",
    "open_orders": "Open orders",
}
"""The series as a heading."""


def _sampled(line: Steps, low: int, high: int) -> tuple[Ints, Floats, Ints]:
    """Edges of 560 equal spans of time, and the mean and the greatest value of a series in each."""
    spans = min(560, high - low)
    edges = low + (np.arange(spans + 1) * (high - low)) // spans
    mean = np.diff(line.total_before(edges)) / np.diff(edges)
    most = line.at(edges[:-1])
    inside = (line.times >= low) & (line.times < high)
    np.maximum.at(most, np.searchsorted(edges, line.times[inside], side="right") - 1, line.values[inside])
    return edges, mean, most


def _span_table(run: RunFacts, lines: dict[str, Steps]) -> Table:
    head, spans = _spans(run)
    rows = []
    for label, a, b in spans:
        cells = [f"{line.mean(a, b) or 0.0:,.1f} / {line.most(a, b):,}" for line in lines.values()]
        rows.append([label, *cells])
    return Table([head, *(f"{SERIES_WORDS[name]}: mean / greatest" for name in lines)], rows)


def _spans(run: RunFacts) -> tuple[str, list[tuple[str, int, int]]]:
    """At most 60 spans of whole days with their dates, and a heading for the dates."""
    days = max(1, -(-run.span_ms // DAY_MS))
    length = -(-days // 60)
    low, high = run.start_ms, max(run.end_ms, run.start_ms + 1)
    return "Day" if length == 1 else f"{length} days from", [
        (day_words(run.calendar.date_of(a // DAY_MS), year=days > 300), a, b)
        for a, b in pairwise([*range(low, high, length * DAY_MS), high])
    ]


def _closed_days(run: RunFacts) -> Iterator[tuple[int, int]]:
    """Days without a shift, joined; none when the run is too long to show them."""
    if run.span_ms > 92 * DAY_MS:
        return
    days = range(run.start_ms // DAY_MS, -(-run.end_ms // DAY_MS))
    closed = [day for day in days if not run.calendar.is_working_day(day)]
    for day in closed:
        if day - 1 not in closed:
            end = next(later for later in range(day, days.stop + 1) if later not in closed)
            yield max(day * DAY_MS, run.start_ms), min(end * DAY_MS, run.end_ms)


def _date_ticks(axes: Axes, run: RunFacts, *, shown: bool = True) -> None:
    """Dates below a panel; the last one ends at its day where it would reach beyond the drawing."""
    first, last = -(-run.start_ms // DAY_MS), -(-run.end_ms // DAY_MS)
    # Dates with a year are longer, so that fewer of them fit.
    steps = ((1, 14), (2, 14), (7, 14), (14, 14), (28, 14), (91, 11), (182, 11), (364, 11))
    step = next((step for step, most in steps if (last - first) / step <= most), 728)
    days = range(first, last, step)
    texts = [day_words(run.calendar.date_of(day), year=step > 28) for day in days]
    axes.set_xticks([day * DAY_MS for day in days], texts if shown else [""] * len(texts))
    if not texts:
        return
    low, high = axes.get_xlim()
    left, _, right, _ = axes.get_position().extents
    room_px = ((high - days[-1] * DAY_MS) / (high - low) * (right - left) + 1 - right) * _PAGE_PX
    if room_px < _width_px(texts[-1]) / 2:
        axes.get_xticklabels()[-1].set_horizontalalignment("right")


# Truth and records


def has_records_to_show(run: RunFacts) -> bool:
    """Whether truth and records ever part in a run, or anybody counts."""
    return any(run.table(kind)["seq"].size for kind in ("error_made", "slot_counted", "discrepancy"))


def records_over_time(run: RunFacts) -> Chart:
    """The share of slots whose record is right over time, and when errors happen and are found."""
    slots, line = run.layout.slots, wrong_slots(run)
    low, high = run.start_ms, max(run.end_ms, run.start_ms + 1)
    edges, mean, most = _sampled(line, low, high)
    middle = (edges[:-1] + edges[1:]) / 2
    marks = _record_marks(run)
    panel, row, foot, top = 150.0, 24.0, 30.0, 34.0
    height = top + panel + 14 + row * len(marks) + foot
    figure = _figure(_PAGE_PX, height)
    labels = [f"{times.size:,} {name}" for name, _, times in marks]
    left = (max(map(_width_px, labels)) + 16) / _PAGE_PX
    axes = figure.add_axes((left, 1 - (top + panel) / height, 0.995 - left, panel / height))
    _bare(axes)
    for a, b in _closed_days(run):
        axes.axvspan(a, b, color=_COLOUR["band"], linewidth=0)
    right, least = 1 - mean / slots, 1 - most / slots
    axes.fill_between(middle, least, right, step="mid", color=_COLOUR["accent-soft"], linewidth=0)
    axes.plot(middle, right, color=_COLOUR["accent"], linewidth=1.3, drawstyle="steps-mid")
    floor = next(
        floor for floor in (0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5, 0.0) if least.min() >= floor
    )
    axes.set_xlim(low, high)
    axes.set_ylim(floor, 1 + (1 - floor) * 0.04)
    ticks = [floor, (1 + floor) / 2, 1.0]
    axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.set_xticks([])
    whole = line.mean(run.start_ms, run.end_ms)
    note = "" if whole is None else f"mean {_fine(1 - whole / slots)}, least {_fine(float(least.min()))}"
    _title(axes, "Slots whose record names what stands there", note)
    below = figure.add_axes((left, foot / height, 0.995 - left, row * len(marks) / height))
    _bare(below)
    below.grid(visible=False)
    below.set_xlim(low, high)
    below.set_ylim(len(marks) - 0.5, -0.5)
    below.set_yticks([])
    _date_ticks(below, run)
    for number, (label, (_, colour, times)) in enumerate(zip(labels, marks, strict=True)):
        shown = edges[np.unique(np.searchsorted(edges, times, side="right") - 1)] if times.size else times
        below.vlines(shown, number - 0.3, number + 0.3, color=_COLOUR[colour], linewidth=1.4)
        _words(below, label, (low, number), (-8, 0), _INK, across="right")
    return Chart(
        _svg(figure, "records"),
        "Share of slots whose record is right over time, with the times of errors, finds and counts.",
        _records_table(run, line, marks),
        [("accent", "mean"), ("accent-soft", "down to the least"), ("band", "day without a shift")],
        figure=figure,
    )


def _record_marks(run: RunFacts) -> list[tuple[str, str, Ints]]:
    """What is marked below the line, as (words, colour, times in the window)."""
    errors, counted = run.errors, run.table("slot_counted")["time_ms"]
    found = (errors["how"] != NONE) & (errors["how"] != NEVER)
    marks = (
        ("errors made", "mark", errors["start"]),
        ("found", "accent", errors["end"][found]),
        ("looks into slots", "muted", counted),
    )
    return [(name, colour, times[run.inside(times)]) for name, colour, times in marks]


def _records_table(run: RunFacts, line: Steps, marks: Sequence[tuple[str, str, Ints]]) -> Table:
    head, spans = _spans(run)
    slots, rows = run.layout.slots, []
    for label, a, b in spans:
        right = (1 - (line.mean(a, b) or 0.0) / slots, 1 - line.most(a, b) / slots)
        last = b == spans[-1][2]
        many = [int(((times >= a) & ((times < b) | last)).sum()) for _, _, times in marks]
        rows.append([label, " / ".join(map(_fine, right)), *(f"{n:,}" for n in many)])
    words = (name[0].upper() + name[1:] for name, _, _ in marks)
    return Table([head, "Slots right: mean / least", *words], rows)


def _fine(share: float) -> str:
    """A share in per cent with two places near 0 and near 1, and none where it is just that."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return percent(share, 1 if 0.05 < share < 0.95 else 2)


# Lead times


def lead_times(run: RunFacts) -> Chart:
    """How long orders and put-aways take, as two histograms."""
    orders, received = run.finished_orders, run.received
    stored = (received["stored"] != NONE) & run.inside(received["stored"])
    panels = {
        "Order cycle time, shift hours": run.open_between(orders["start"], orders["end"]),
        "Put-away time, clock time": (received["stored"] - received["start"])[stored],
    }
    figure = _figure(_PAGE_PX, 250)
    rows: list[list[str]] = []
    for number, (title, times_ms) in enumerate(panels.items()):
        axes = figure.add_axes((0.04 + 0.515 * number, 0.135, 0.44, 0.70))
        _bare(axes)
        if times_ms.size:
            rows += [[title, *row] for row in _histogram(axes, times_ms / 1000)]
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        _title(axes, title, f"n = {times_ms.size:,}")
    return Chart(
        _svg(figure, "lead-times"),
        "Histograms of the order cycle time in shift hours and of the put-away time.",
        Table(["Time", "From, to", "Count", "Share"], rows),
        figure=figure,
    )


def _histogram(axes: Axes, seconds: Floats) -> list[list[str]]:
    """Draw a histogram of durations and give its rows as (from-to, count, share)."""
    step, bins = _bins(seconds)
    counts = np.bincount(np.minimum(seconds // step, bins - 1).astype(np.int64), minlength=bins)
    unit, size = ("s", 1) if step < 30 else ("min", 60) if step < 1800 else ("h", 3600)
    axes.bar(np.arange(bins) + 0.5, counts, width=0.86, color=_COLOUR["accent"], linewidth=0)
    every = next(every for every in (1, 2, 4, 6, 12, 24) if bins <= 12 * every)
    ticks = range(0, bins, every)
    axes.set_xticks(ticks, [f"{k * step / size:g}" for k in ticks])
    axes.set_xlim(0, bins)
    axes.set_ylim(0, counts.max() * 1.3)
    axes.set_xlabel(unit, color=_MUTED, fontsize=_PT, loc="right", labelpad=1)
    _count_ticks(axes, float(counts.max()))
    for level, words, up in ((0.5, "half within", -7), (0.95, "95 % within", -20)):
        at = float(np.quantile(seconds, level))
        x = min(at / step, bins - 0.5)
        left = x > 0.7 * bins
        axes.axvline(x, color=_COLOUR["mark"], linewidth=1.2, linestyle=(0, (3, 2)))
        text, offset = f"{words} {duration(at)}", (-5 if left else 5, up)
        across: Across = "right" if left else "left"
        _words(axes, text, (x, 1), offset, _COLOUR["mark"], across=across, of_axes=True)
    ends = [f"to {(k + 1) * step / size:g} {unit}" for k in range(bins - 1)] + [f"{unit} or more"]
    return [
        [f"{k * step / size:g} {end}", f"{count:,}", percent(count / seconds.size)]
        for k, (end, count) in enumerate(zip(ends, counts.tolist(), strict=True))
    ]


def _bins(seconds: Floats) -> tuple[int, int]:
    """Width in seconds and number of even bins; the last one also takes all that is longer."""
    reach = float(np.quantile(seconds, 0.98))
    widths = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)
    step = next((width for width in widths if reach / width <= 23), 86400 * (int(reach / 86400 / 23) + 1))
    return step, max(3, int(reach // step) + 1)


# Racks


def racks(run: RunFacts) -> list[tuple[str, Chart]]:
    """Heat maps of the rows of the store with their titles: by fill and by visits."""
    layout = run.layout
    fill, visits = slot_fill(run), slot_visits(run).astype(np.float64)
    visits[np.isnan(fill)] = np.nan
    most = max(float(np.nanmax(visits, initial=0.0)), 1.0)
    table = _slot_table(layout, fill, visits)
    maps = (
        ("fill", "Fill: share of box places taken, time mean", fill, 1.0, ("empty", "full")),
        ("visits", "Visits: boxes set down or taken", visits, most, ("none", f"{most:,.0f}")),
    )
    drawn = {name: _heat_maps(layout, values, top, name) for name, _, values, top, _ in maps}
    return [
        (title, Chart(drawn[name][0], f"Heat map. {title}.", table, (), ramp, drawn[name][1]))
        for name, title, _, _, ramp in maps
    ]


def has_narrow_rows(layout: Layout) -> bool:
    """Whether two heat maps of a row fit side by side on a page."""
    return layout.columns <= 26


def _heat_maps(layout: Layout, values: Floats, top: float, name: str) -> tuple[Markup, Figure]:
    panels = list(_panels(layout, values))
    high, wide = (max(matrix.shape[axis] for _, matrix in panels) for axis in (0, 1))
    width = 520.0 if has_narrow_rows(layout) else 1072.0
    cell = min(36.0, (width - 42) / wide)
    panel, gap = cell * 0.8 * high, 46.0
    height = len(panels) * (panel + gap)
    figure = _figure(width, height)
    for number, (label, matrix) in enumerate(panels):
        levels, columns = matrix.shape
        bottom = height - number * (panel + gap) - 20 - panel
        size = (cell * columns / width, cell * 0.8 * levels / height)
        axes = figure.add_axes((30 / width, bottom / height, *size))
        _bare(axes)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlim(0, columns)
        axes.set_ylim(0, levels)
        for heat in range(-1, HEAT):
            _draw_cells(axes, matrix, top, heat)
        is_whole_row = matrix.shape == (layout.levels, layout.columns)
        marks = [c for c in range(columns) if is_whole_row and (c == 0 or (c + 1) % 5 == 0)]
        axes.set_xticks([c + 0.5 for c in marks], [str(c + 1) for c in marks])
        marks = list(range(0, levels if is_whole_row else 0, -(-levels // 6)))
        axes.set_yticks([r + 0.5 for r in marks], [str(r + 1) for r in marks])
        axes.tick_params(labelsize=_PT - 1)
        _title(axes, label, rise=9)
    return _svg(figure, f"racks-{name}"), figure


def _draw_cells(axes: Axes, matrix: Floats, top: float, heat: int) -> None:
    """Draw the cells of one class of heat together; class -1 is slots that hold no boxes, in outline."""
    from matplotlib.collections import PolyCollection

    finite = np.isfinite(matrix)
    classes = np.minimum(np.where(finite, matrix, 0.0) / top * HEAT, HEAT - 1).astype(np.int64)
    chosen = np.isposinf(matrix) if heat < 0 else finite & (classes == heat)
    gap = 0.05 if matrix.shape[1] <= 50 else 0.0
    a, b = gap, 1 - gap
    corners = [
        [(c + a, r + a), (c + b, r + a), (c + b, r + b), (c + a, r + b)]
        for r, c in np.argwhere(chosen).tolist()
    ]
    if not corners:
        return
    face, edge = ("none", _COLOUR["line"]) if heat < 0 else (_COLOUR[f"heat-{heat}"], "none")
    axes.add_collection(PolyCollection(corners, facecolors=face, edgecolors=edge, linewidths=0.7))


def _panels(layout: Layout, values: Floats) -> Iterator[tuple[str, Floats]]:
    """Each row as a matrix (levels, columns); a store too large to draw as one of (rows, columns).

    NaN is a place without a slot, infinity a slot that holds no boxes.
    """
    if layout.rows <= 12 and layout.columns <= 120 and layout.levels <= 40:
        shown = np.where(np.isnan(values), np.inf, values)
        for row in range(1, layout.rows + 1):
            matrix, here = np.full((layout.levels, layout.columns), np.nan), layout.row == row
            matrix[layout.level[here] - 1, layout.column[here] - 1] = shown[here]
            yield f"Row {row}", matrix
        return
    high, wide = min(layout.rows, 60), min(layout.columns, 120)
    at = (layout.row - 1) * high // layout.rows * wide + (layout.column - 1) * wide // layout.columns
    finite = np.isfinite(values)
    held = np.bincount(at[finite], values[finite], high * wide)
    many = np.bincount(at[finite], minlength=high * wide)
    matrix = np.divide(held, many, out=np.full(high * wide, np.nan), where=many > 0)
    about = "mean of slots side by side"
    yield f"{layout.rows:,} rows upwards, {layout.columns:,} columns: {about}", matrix.reshape(high, wide)


def _slot_table(layout: Layout, fill: Floats, visits: Floats) -> Table:
    slots, head = list(range(layout.slots)), "Slot"
    if layout.slots > 1000:
        slots = np.argsort(-np.nan_to_num(visits, nan=-1.0), kind="stable")[:200].tolist()
        head = "The 200 slots visited most"
    rows = []
    for slot in slots:
        used = not np.isnan(fill[slot])
        shown = [percent(fill[slot]), f"{visits[slot]:,.0f}"] if used else [NOTHING, NOTHING]
        rows.append([layout.place_name(slot), f"{layout.capacity[slot]:,}", *shown])
    return Table([head, "Boxes it holds", "Fill", "Visits"], rows)


# Age of the stock


def stock_age(kpis: dict[str, KpiValue]) -> Chart | None:
    """The meters in the store at the end by the days since their verification; None for an empty store."""
    age = kpis["stock_age_days"]
    if age["value"] is None:
        return None
    parts, most = age["parts"], max(age["parts"].values())
    figure = _figure(_PAGE_PX, 190)
    axes = figure.add_axes((0.05, 0.14, 0.945, 0.66))
    _bare(axes)
    colours = [_COLOUR["accent"]] * (len(parts) - 1) + [_COLOUR["mark"]]
    axes.bar(range(len(parts)), list(parts.values()), width=0.74, color=colours, linewidth=0)
    for k, meters in enumerate(parts.values()):
        _words(axes, f"{meters:,}", (k, meters), (0, 7), _INK, across="center")
    axes.set_xticks(range(len(parts)), list(parts))
    axes.set_xlim(-0.6, len(parts) - 0.4)
    axes.set_ylim(0, most * 1.2)
    _count_ticks(axes, float(most))
    _title(axes, "Meters by days since verification", f"mean {age['value']:.0f} days, n = {age['n']:,}")
    rows = [[f"{days} days", f"{meters:,}", percent(meters / age["n"])] for days, meters in parts.items()]
    alt = "Histogram of the age of the meters in the store at the end."
    table = Table(["Age", "Meters", "Share"], rows)
    return Chart(_svg(figure, "stock-age"), alt, table, figure=figure)


# The ladder of rules


def ladder(document: Mapping[str, Any]) -> Chart:
    """The rules of a replay one below the other: seconds a move, and how far above the least possible.

    The drawing is 900 px wide and needs no legend beside it.

    Parameters
    ----------
    document : what `replay.ladder` gives, with a bound or without one.
    """
    rungs, moves = [_rung(row) for row in document["policies"]], document["moves"]
    least_s = None if document["bound_total_s"] is None else document["bound_total_s"] / max(1, moves)
    wide, top, foot = 900, 116, 68
    high = top + 24 * len(rungs) + foot
    figure = _figure(wide, high)
    axes = figure.add_axes((180 / wide, foot / high, 514 / wide, 1 - (top + foot) / high))
    _bare(axes)
    axes.grid(visible=False)
    longest_s = max((rung.seconds for rung in rungs), default=0.0) or 1.0
    axes.set_xlim(0, longest_s)
    axes.set_ylim(max(1, len(rungs)) - 0.5, -0.5)
    axes.set_yticks([])
    _second_ticks(axes)
    has_rest = any(rung.rest_regret is not None for rung in rungs)
    heads = [("s a move", 114), ("last 2/3", 188)][: 1 + has_rest]
    for head, x in heads:
        _words(axes, head, (longest_s, 1), (0.75 * x, 9), _MUTED, across="right", of_axes=True)
    for row, rung in enumerate(rungs):
        _draw_rung(axes, row, rung, least_s)
        cells = (f"{rung.seconds:.2f}", "" if rung.rest_regret is None else _share_above(rung.rest_regret))
        for text, (_, x) in zip(cells, heads, strict=False):
            _words(axes, text, (longest_s, row), (0.75 * x, 0), _MUTED, across="right")
    if least_s is not None:
        axes.axvline(least_s, color=_COLOUR["mark"], linewidth=1.6, clip_on=False)
        words = f"least possible: {least_s:.2f}"
        across: Across = "center" if least_s < 0.8 * longest_s else "right"
        _words(axes, words, (least_s, 1), (0, 9), _COLOUR["mark"], across=across, bold=True, of_axes=True)
    finding = _finding(rungs)
    note = f"One-way travel in seconds a move, mean of {moves:,} moves"
    note += "; beside each bar, how far it is above the least possible" if least_s is not None else ""
    _line(figure, 26, finding, size=_PT + 3, colour=_INK, bold=True)
    _line(figure, 50, f"{note}.", size=_PT, colour=_MUTED)
    _key(figure, 73, rungs)
    if has_rest:
        words = (
            "last 2/3: above the least possible after the first third of the rows, from which rules may learn"
        )
        _line(figure, high - 20, words, size=_PT - 0.5, colour=_MUTED)
    alt = f"Bars, one a rule. {finding}."
    return Chart(_svg(figure, "ladder"), alt, _ladder_table(document), figure=figure)


def _draw_rung(axes: Axes, row: int, rung: _Rung, least_s: float | None) -> None:
    """The bar of a rule, paler up to the least possible and hollow for one that knows the departures."""
    from matplotlib.patches import Rectangle

    cut_s = rung.seconds if rung.knows else min(least_s or 0.0, rung.seconds)
    for start, end, face in (
        (0.0, cut_s, "paper" if rung.knows else "accent-soft"),
        (cut_s, rung.seconds, "accent"),
    ):
        if end > start:
            size = ((start, row - 0.31), end - start, 0.62)
            part = Rectangle(
                *size, facecolor=_COLOUR[face], edgecolor=_COLOUR["accent"], linewidth=rung.knows
            )
            part.set_clip_on(False)
            axes.add_patch(part)
    _words(axes, rung.name, (0, row), (-9, 0), _INK, across="right")
    if rung.regret is not None:
        _words(axes, _share_above(rung.regret), (rung.seconds, row), (7, 0), _INK, bold=True)


class _Rung(NamedTuple):
    """A rule in the ladder."""

    name: str
    knows: bool
    seconds: float
    regret: float | None
    rest_regret: float | None


def _rung(row: Mapping[str, Any]) -> _Rung:
    """A row of the document; names of own rules are cut to what fits beside a bar."""
    name = printable(row["policy"])
    rule = (POLICIES | OWN_RULES).get(ALIASES.get(row["policy"], row["policy"]))
    return _Rung(
        name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}",
        rule is not None and "departures" in rule.needs,
        row["per_move_s"] or 0.0,
        row["regret"],
        row["rest_regret"],
    )


_LONGEST_NAME: Final = 26


def _finding(rungs: Sequence[_Rung]) -> str:
    """What the ladder shows: the best rule that a store can follow, and what it leaves to be had."""
    if not any(rung.seconds for rung in rungs):
        return "Nothing was moved"
    live = [rung for rung in rungs if not rung.knows] or list(rungs)
    best = min(live, key=lambda rung: rung.seconds)
    alike = sum(rung.seconds == best.seconds for rung in live) - 1
    words = (
        f"Best {'rules' if alike else 'rule'}{' that a store can follow' if len(live) < len(rungs) else ''}"
    )
    words += f": {best.name}{f' and {alike} more' if alike else ''}"
    if best.regret is None:
        return f"{words}, {best.seconds:.2f} s a move"
    return f"{words}, {_share_above(best.regret)[1:]} above the least possible"


def _share_above(share: float) -> str:
    """How far something is above another: "+43 %", "+0.2 %"."""
    return f"{share * 100:+.{1 if abs(share) < 0.0995 else 0}f}\N{NO-BREAK SPACE}%"


def _key(figure: Figure, y_px: float, rungs: Sequence[_Rung]) -> None:
    """What full and hollow bars are, where there are both."""
    if len({rung.knows for rung in rungs}) < 2:
        return
    from matplotlib.patches import Rectangle

    wide, high = figure.get_size_inches() * 96
    x = 20.0
    for face, words in (
        ("accent", "can be followed by a store"),
        ("paper", "knows when each unit will leave, as no store does"),
    ):
        at = (x / wide, 1 - (y_px + 5) / high)
        figure.add_artist(
            Rectangle(
                at, 18 / wide, 10 / high, facecolor=_COLOUR[face], edgecolor=_COLOUR["accent"], linewidth=1.0
            )
        )
        _line(figure, y_px, words, size=_PT, colour=_MUTED, x_px=x + 25)
        x += 220


def _line(
    figure: Figure, y_px: float, text: str, *, size: float, colour: str, bold: bool = False, x_px: float = 20
) -> None:
    """A line of text, so many pixels from the left and from the top."""
    wide, high = figure.get_size_inches() * 96
    figure.text(
        x_px / wide, 1 - y_px / high, text, size=size, color=colour, weight="bold" if bold else "normal",
        va="center", parse_math=False,
    )  # fmt: skip


def _second_ticks(axes: Axes) -> None:
    """Ticks at round numbers of seconds from 0."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def _ladder_table(document: Mapping[str, Any]) -> Table:
    rows = document["policies"]
    has_digs = any("digs" in row for row in rows)
    head = [
        "Rule",
        "Seconds a move",
        "Total in seconds",
        "Above the least possible",
        "The same after the learned rows",
    ]
    head += ["Against random"] + ["Digs"] * has_digs
    cells = []
    for row in rows:
        shares = (row["regret"], row["rest_regret"], row["against_random"])
        cells.append(
            [
                printable(row["policy"]),
                NOTHING if row["per_move_s"] is None else f"{row['per_move_s']:.4f}",
                f"{row['total_s']:,.1f}",
                *(NOTHING if share is None else f"{share * 100:+.1f} %" for share in shares),
                *[f"{row.get('digs', 0):,}"] * has_digs,
            ]
        )
    return Table(head, cells)


# Studies of records


def accuracy_lines(document: Mapping[str, Any]) -> Chart:
    """Record accuracy over time for some count plans, one panel a multiple of the error rates.

    Heights go by the share that is wrong, on a logarithmic scale that all panels have in common, and are
    labelled with the share that is right. The drawing is 900 px wide and needs no legend beside it.

    Parameters
    ----------
    document : `days`, the days since the start to which all curves belong; `target`, the share to hold (drawn
        dashed); `panels`, each with a `title` and `lines`; each line with `plan`, `mean`, perhaps `low` and
        `high` (shares, one a day of `days`; the latter two make a band), `whole` (`mean`, `low` and `high` of
        all days, a dot with its interval beside the curves), `holds` (whether it holds the target; else
        whether the mean over the days does) and `note` (a few words, such as its cost). Perhaps `title` and
        `about` (what mean and band are).
    """
    panels, target = document["panels"], document["target"]
    plans = list(dict.fromkeys(line["plan"] for panel in panels for line in panel["lines"]))
    wide, high, top, foot, left, gap = 900.0, 372.0, 128.0, 48.0, 62.0, 22.0
    figure = _figure(wide, high)
    width = (wide - left - 18 - gap * (len(panels) - 1)) / max(1, len(panels))
    drawn = [line for panel in panels for line in panel["lines"]]
    wrong = [1 - share for line in drawn for share in line.get("low", line["mean"])]
    wrong += [1 - line["whole"]["low"] for line in drawn if "whole" in line]
    worst = max([*wrong, 1 - target], default=1.0)
    first, last = document["days"][0], document["days"][-1]
    # What stands for all days has a place of its own to the right of the curves, a plan beside the other.
    beside = 13 * (len(plans) + 1) if any("whole" in line for line in drawn) else 0
    day = (last - first) / max(1.0, width - beside)
    bottom = next(value for value in _WRONG_TICKS if value >= min(worst, 1.0) * 0.999)
    for number, panel in enumerate(panels):
        axes = figure.add_axes(
            ((left + number * (width + gap)) / wide, foot / high, width / wide, 1 - (top + foot) / high)
        )
        _bare(axes)
        axes.set_yscale("log")
        axes.set_ylim(bottom, _LEAST_WRONG)
        axes.minorticks_off()
        ticks = [value for value in _WRONG_TICKS if value <= bottom]
        axes.set_yticks(ticks, [f"{100 - 100 * value:g} %" if not number else "" for value in ticks])
        axes.set_xlim(first, last)
        days = [tick for tick in axes.get_xticks() if first <= tick <= last]
        axes.set_xticks(days, [f"{tick:g}" for tick in days])
        if beside:
            axes.set_xticks([*days, last + day * beside / 2], [*(f"{tick:g}" for tick in days), "all days"])
            axes.axvline(last, color=_COLOUR["line"], linewidth=0.7)
        axes.set_xlim(first, last + day * beside)
        axes.axhline(
            max(1 - target, _LEAST_WRONG), color=_COLOUR["ink"], linewidth=1.1, linestyle=(0, (4, 3))
        )
        for line in panel["lines"]:
            rank = plans.index(line["plan"])
            _draw_accuracy(axes, document["days"], line, rank)
            if "whole" in line:
                _draw_whole(axes, last + day * 13 * (rank + 1), line["whole"], rank)
        held = [plans.index(line["plan"]) for line in panel["lines"] if _holds(line, target)]
        _words(axes, printable(panel["title"]), (first, 1), (0, 24), _INK, bold=True, of_axes=True)
        words = f"{100 * target:g} % held by" if held else f"{100 * target:g} % held by none"
        _words(axes, words, (first, 1), (0, 10), _MUTED, size=_PT - 0.5, of_axes=True)
        x_px = left + number * (width + gap) + 6.1 * len(words) + 8
        for rank, plan in enumerate(held):
            _plan_sample(figure, x_px + 24 * rank, top - 13, plan, 17)
    _line(figure, 26, printable(document.get("title", _ACCURACY_TITLE)), size=_PT + 3, colour=_INK, bold=True)
    about = printable(document.get("about", "mean of the seeds; band: its interval"))
    words = f"Share of slots whose record is right; dashed: {100 * target:g} % to hold; {about}"
    _line(figure, 50, words, size=_PT, colour=_MUTED)
    _plan_key(figure, 74, plans)
    _line(figure, high - 14, "days since the start", size=_PT - 0.5, colour=_MUTED, x_px=left)
    alt = f"Lines of record accuracy over time, one a count plan, in {len(panels)} panels by error rate."
    return Chart(_svg(figure, "accuracy"), alt, _accuracy_table(document), figure=figure)


_ACCURACY_TITLE: Final = "Which count plan keeps the records right?"
_LEAST_WRONG: Final = 0.0001
_WRONG_TICKS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_PLAN_COLOURS: Final = 6


def _draw_accuracy(axes: Axes, days: Sequence[float], line: Mapping[str, Any], number: int) -> None:
    colour = _COLOUR[f"series-{number % _PLAN_COLOURS}"]
    if "low" in line:
        low, high = (_wrong(line[name]) for name in ("low", "high"))
        axes.fill_between(days, low, high, color=colour, alpha=0.16, linewidth=0)
    style: Any = "solid" if number < _PLAN_COLOURS else (0, (2, 1.5))
    axes.plot(days, _wrong(line["mean"]), color=colour, linewidth=1.6, linestyle=style)


def _draw_whole(axes: Axes, x: float, whole: Mapping[str, float], number: int) -> None:
    """The mean over all days as a dot with its interval."""
    colour = _COLOUR[f"series-{number % _PLAN_COLOURS}"]
    low, mean, high = _wrong([whole["low"], whole["mean"], whole["high"]])
    axes.plot([x, x], [low, high], color=colour, linewidth=2.4, solid_capstyle="butt")
    axes.plot([x], [mean], "o", color=colour, markersize=5.5, clip_on=False)


def _wrong(right: Sequence[float]) -> Floats:
    """Shares that are wrong, as far as they are drawn."""
    return np.clip(1 - np.asarray(right, np.float64), _LEAST_WRONG, 1.0)


def _plan_key(figure: Figure, y_px: float, plans: Sequence[str]) -> None:
    """The plans with their colours, in a line or two."""
    wide = figure.get_size_inches()[0] * 96
    x = 20.0
    for number, plan in enumerate(plans):
        words = printable(plan)
        need = 40 + 6.6 * len(words)
        if x + need > wide - 10:
            x, y_px = 20.0, y_px + 18
        _plan_sample(figure, x, y_px, number, 20)
        _line(figure, y_px, words, size=_PT, colour=_INK, x_px=x + 27)
        x += need


def _plan_sample(figure: Figure, x_px: float, y_px: float, number: int, length_px: float) -> None:
    """A piece of the line of a plan, so many pixels from the left and from the top."""
    from matplotlib.lines import Line2D

    wide, high = figure.get_size_inches() * 96
    style: Any = "solid" if number < _PLAN_COLOURS else (0, (2, 1.5))
    ends = [x_px / wide, (x_px + length_px) / wide]
    colour = _COLOUR[f"series-{number % _PLAN_COLOURS}"]
    at = 1 - y_px / high
    figure.add_artist(Line2D(ends, [at, at], color=colour, linewidth=2.4, linestyle=style))


def _holds(line: Mapping[str, Any], target: float) -> bool:
    """Whether a plan holds the target: as the document says, or else by its mean over the days."""
    return bool(line["holds"]) if "holds" in line else float(np.mean(line["mean"])) >= target


def _accuracy_table(document: Mapping[str, Any]) -> Table:
    target, days, rows = document["target"], document["days"], []
    for panel in document["panels"]:
        for line in panel["lines"]:
            mean = [float(share) for share in line["mean"]]
            whole = line.get("whole", {"mean": float(np.mean(mean))})
            last = {name: line[name][-1] for name in ("mean", "low", "high") if name in line}
            rows.append([
                f"{printable(panel['title'])}: {printable(line['plan'])}",
                _with_interval(whole), _fine(min(mean)), _with_interval(last),
                "yes" if _holds(line, target) else "no", printable(line.get("note", "")) or NOTHING,
            ])  # fmt: skip
    holds = f"Holds {100 * target:g} %"
    return Table(
        ["Errors and plan", "Mean", "Least", f"After {days[-1]:g} days (interval)", holds, "Note"], rows
    )


def _with_interval(share: Mapping[str, float]) -> str:
    """A share, and its interval where there is one, which ends at none and at all."""
    if "low" not in share:
        return _fine(share["mean"])
    return f"{_fine(share['mean'])} ({_fine(max(share['low'], 0.0))} to {_fine(min(share['high'], 1.0))})"


# Robot against manual


def operation_gaps(document: Mapping[str, Any]) -> Chart:
    """How a robot compares with people by hand: each ratio as a dot with its interval, beside no difference.

    The drawing is 900 px wide and needs no legend beside it.

    Parameters
    ----------
    document : `situations`, each with a `name` and `rows`; each row with `measure`, `unit`, `better` ("less"
        or "more"), the means `robot` and `manual` (or None), and `ratio`, `low`, `high` of robot to manual,
        paired by seed (None where there is nothing to divide by). A row may have the `difference` of robot
        and manual too (`mean`, `low`, `high`), which is said where there is no ratio. Perhaps `title`, and
        `about` (what the interval is).
    """
    situations = document["situations"]
    lines: list[tuple[str, Mapping[str, Any] | None]] = []
    for situation in situations:
        lines.append((printable(situation["name"]), None))
        lines += [("", row) for row in situation["rows"]]
    wide, row_px, top, foot = 900, 25, 94, 62
    high = top + row_px * max(1, len(lines)) + foot
    figure = _figure(wide, high)
    axes = figure.add_axes((268 / wide, foot / high, 400 / wide, 1 - (top + foot) / high))
    _bare(axes)
    axes.grid(visible=False)
    axes.set_xscale("log")
    axes.minorticks_off()
    low, most = _gap_limits(situations)
    axes.set_xlim(low, most)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks([])
    ticks = [tick for tick in _GAP_TICKS if low <= tick <= most]
    axes.set_xticks(ticks, [f"{tick:g} x" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks])
    for tick in ticks:
        axes.axvline(tick, color=_COLOUR["line"], linewidth=0.7, zorder=0)
    axes.axvline(1.0, color=_COLOUR["ink"], linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    _words(axes, "no difference", (1.0, 1), (0, 9), _INK, size=_PT - 0.5, across="center", of_axes=True)
    for head, x in (("robot", 112), ("by hand", 205)):
        _words(axes, head, (most, 1), (x * 0.75, 9), _MUTED, across="right", of_axes=True)
    for number, (heading, row) in enumerate(lines):
        if row is None:
            _words(axes, heading, (low, number), (-248 * 0.75, 0), _INK, bold=True)
        else:
            _draw_gap(axes, number, row, low, most)
    title = printable(document.get("title", "Robot against people by hand, the same demand"))
    _line(figure, 26, title, size=_PT + 3, colour=_INK, bold=True)
    about = printable(document.get("about", "paired by seed; bar: the interval"))
    _line(figure, 50, f"Ratio of robot to hand, logarithmic; {about}", size=_PT, colour=_MUTED)
    x_px = 268.0
    for colour, words in (
        ("accent", "robot better"),
        ("mark", "robot worse"),
        ("muted", "no difference shown"),
    ):
        _line(figure, high - 18, "\N{BLACK CIRCLE}", size=_PT, colour=_COLOUR[colour], x_px=x_px)
        _line(figure, high - 18, words, size=_PT - 0.5, colour=_MUTED, x_px=x_px + 14)
        x_px += 24 + 6.4 * len(words)
    alt = "Dots with intervals: ratios of robot to hand, by situation and measure, beside a line at 1."
    return Chart(_svg(figure, "gaps"), alt, _gap_table(situations), figure=figure)


_GAP_TICKS: Final = (
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0,
)  # fmt: skip


def _gap_limits(situations: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The lowest and the highest ratio that are drawn; what lies beyond ends at the edge."""
    rows = [row for situation in situations for row in situation["rows"] if row["ratio"]]
    ratios = [row["ratio"] for row in rows]
    ends = [end for row in rows for end in (row["low"], row["high"]) if end and np.isfinite(end)]
    low, high = min([0.5, *ratios, *ends]), max([2.0, *ratios, *ends])
    return max(low / 1.25, 0.004), min(high * 1.25, 250.0)


def _draw_gap(axes: Axes, number: int, row: Mapping[str, Any], low: float, most: float) -> None:
    """The name, the dot with its interval, and both values of a row."""
    _words(axes, printable(row["measure"]), (low, number), (-9, 0), _INK, across="right")
    for value, x in ((row["robot"], 112), (row["manual"], 205)):
        _words(axes, _value_words(value, row["unit"]), (most, number), (x * 0.75, 0), _INK, across="right")
    if not row["ratio"]:
        words, colour = _no_ratio(row)
        # On the side with more room: the dashed line stands where the ratio is 1.
        side: tuple[int, Across] = (-8, "right") if 1 / low > most else (8, "left")
        _words(axes, words, (1.0, number), (side[0], 0), _COLOUR[colour], size=_PT - 0.5, across=side[1])
        return
    colour = _COLOUR[_gap_colour(row)]
    ends = [float(np.clip(row[name], low, most)) for name in ("low", "high")]
    axes.plot(ends, [number, number], color=colour, linewidth=2.4, solid_capstyle="butt")
    axes.plot(
        [float(np.clip(row["ratio"], low, most))], [number], "o", color=colour, markersize=6.5, clip_on=False
    )


def _no_ratio(row: Mapping[str, Any]) -> tuple[str, str]:
    """What is said of a row without a ratio, and its colour: the difference, where the document has it."""
    gap = row.get("difference")
    if gap is None:
        return "not to be compared", "muted"
    if gap["low"] <= 0.0 <= gap["high"]:
        return "no ratio; no difference shown", "muted"
    less = gap["mean"] < 0
    low, high = sorted(abs(gap[name]) for name in ("low", "high"))
    mean, low, high = (_value_words(value, row["unit"]) for value in (abs(gap["mean"]), low, high))
    words = f"no ratio; {'less' if less else 'more'} by {mean} ({low} to {high})"
    if row["unit"] == "share":
        words = words.replace(" %", "", 1).replace(" % to", " to").replace(" %)", " points)")
    return words, "accent" if less == (row["better"] == "less") else "mark"


def _gap_colour(row: Mapping[str, Any]) -> str:
    if row["low"] <= 1.0 <= row["high"]:
        return "muted"
    return "accent" if (row["ratio"] < 1.0) == (row["better"] == "less") else "mark"


def _value_words(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    if unit == "share":
        return _fine(value)
    if unit == "s" or (unit == "h" and 0 < abs(value) < 1):
        return duration(value * (3600 if unit == "h" else 1))
    text = f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"
    return f"{text} {printable(unit)}"


def _gap_table(situations: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for situation in situations:
        for row in situation["rows"]:
            shown = [
                NOTHING if row[name] is None else f"{row[name]:.3g}" for name in ("ratio", "low", "high")
            ]
            values = [_value_words(row[name], row["unit"]) for name in ("robot", "manual")]
            name = f"{printable(situation['name'])}: {printable(row['measure'])}"
            rows.append([name, *values, shown[0], f"{shown[1]} to {shown[2]}", row["better"]])
    return Table(["Situation and measure", "Robot", "By hand", "Ratio", "Interval", "Better"], rows)


# Pictures


class PictureError(ValueError):
    """A picture that cannot be written; `lines` says why."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def write_picture(chart: Chart, path: Path | str) -> None:
    """Write a drawing as a file of its own, without its legend and table; whole or not at all.

    Parameters
    ----------
    path : a name in .svg (by day and by night, as the viewer likes it) or .png (by day, twice the size, for
        charts that have a figure).

    Raises
    ------
    PictureError
        For another ending.
    OSError
        As files do.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".svg", ".png") or (kind == ".png" and chart.figure is None):
        ending = ".svg or .png" if chart.figure is not None else ".svg"
        raise PictureError([f"{printable(str(path))}: expected a name in {ending}, found {show(path.name)}"])
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        if kind == ".svg" or chart.figure is None:
            unfinished.write_text(_picture_svg(chart), encoding="utf-8", newline="\n")
        else:
            _paint(chart.figure, _palettes()[0])
            chart.figure.savefig(unfinished, format="png", dpi=192, metadata={"Software": None})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _picture_svg(chart: Chart) -> str:
    """The drawing with a ground, a name, and the colours of the report, by day and by night."""
    svg = str(chart.svg)
    used = {"paper", *re.findall(r"var\(--([\w-]+)\)", svg)}
    day, night = (
        "".join(f"--{name}:{code};" for name, code in palette.items() if name in used)
        for palette in _palettes()
    )
    text = f"font-family:{_FONTS};font-variant-numeric:tabular-nums"
    style = f"svg{{{day}{text}}}@media(prefers-color-scheme:dark){{svg{{{night}}}}}"
    head, _, body = svg.replace(' aria-hidden="true" focusable="false"', "", 1).partition(">")
    if "xlink:href" not in body:
        head = head.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    wide, high = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)[0]
    return "\n".join(
        [
            f'{head} width="{round(float(wide) * 96 / 72)}" role="img">',
            f"<title>{escape(chart.alt)}</title>",
            f"<style>{style}</style>",
            f'<rect width="{wide}" height="{high}" rx="6" style="fill: var(--paper)"/>{body}',
            "",
        ]
    )


_FONTS: Final = "system-ui,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',Arial,sans-serif"


def _palettes() -> tuple[dict[str, str], dict[str, str]]:
    """The colours of the report by day, and what differs by night."""
    style = (files("sim") / "templates" / "style.css.j2").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    day, night = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks[:2])
    return day, night


def _paint(figure: Figure, palette: Mapping[str, str]) -> None:
    """Replace the colours that stand for those of a page by what they are."""
    from matplotlib.colors import to_hex

    codes = {code: palette[name] for name, code in _COLOUR.items()}
    figure.set_facecolor(palette["paper"])
    for artist in figure.findobj():
        for kind in ("color", "facecolor", "edgecolor"):
            get, put = getattr(artist, f"get_{kind}", None), getattr(artist, f"set_{kind}", None)
            if get is None or put is None:
                continue
            colour = get()
            many = np.ndim(colour) == 2
            found = [to_hex(each) for each in colour] if many else [to_hex(colour)]
            if any(code in codes for code in found):
                named = [codes.get(code, code) for code in found]
                put(named if many else named[0])


# Numbers in words


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever reads best: "98 s", "37.5 min", "150.0 h", "60.2 d"."""
    for below, size, unit in ((120, 1, "s"), (7200, 60, "min"), (3_600_000, 3600, "h")):
        if abs(seconds) < below:
            places = 0 if size == 1 and (seconds >= 10 or seconds == 0) else 1
            return f"{seconds / size:.{places}f} {unit}"
    return f"{seconds / 86400:,.1f} d"


def percent(share: float, places: int = 1) -> str:
    """A share in per cent, which says neither 100 % of less than all nor 0 % of more than none.

    Where `places` would, more are shown, up to two: "50.0 %", "99.96 %", "> 99.99 %", "< 0.01 %".
    """
    if not 0 < share < 1:
        text = f"{100 * share:.{places}f} %"
        return text if float(text[:-2]) else text.removeprefix("-")
    texts = (f"{100 * share:.{more}f}" for more in range(places, max(places, 2) + 1))
    told = [text for text in texts if 0 < float(text) < 100]
    if told:
        return f"{told[0]} %"
    return "< 0.01 %" if share < 0.5 else "> 99.99 %"


def day_words(day: date, *, year: bool = False) -> str:
    """A date in words that no locale changes: "2 Mar", "2 Mar 2026"."""
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{day.day} {months[day.month - 1]}{f' {day.year}' if year else ''}"


# Drawing

HEAT: Final = 7
"""Steps of the ramp of the heat maps."""


def _cause_name(cause: str) -> str:
    return f"cause-{cause.replace('_', '-')}"


COLOURS: Final = (
    "ink", "muted", "line", "paper", "band", "accent", "accent-soft", "mark", "on-dark", "on-light",
    *(f"heat-{step}" for step in range(HEAT)),
    *(f"series-{number}" for number in range(_PLAN_COLOURS)),
    *(_cause_name(cause) for cause in dict.fromkeys(ORDER_CAUSES + ROBOT_CAUSES)),
)  # fmt: skip
"""The colours that a page gives as CSS variables, without their two hyphens."""

_COLOUR: Final = {name: f"#0f{number:02x}a5" for number, name in enumerate(COLOURS)}
_INK: Final = _COLOUR["ink"]
_MUTED: Final = _COLOUR["muted"]
_PT: Final = 9.0
_PAGE_PX: Final = 1072
"""How wide a chart of the report is."""


def _figure(width_px: float, height_px: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_px / 96, height_px / 96))


def _bare(axes: Axes) -> None:
    """A base line, hair lines across and quiet numbers, nothing else."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_COLOUR["line"])
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_COLOUR["line"], linewidth=0.7)
    axes.tick_params(length=0, colors=_MUTED, labelsize=_PT, pad=4)


def _width_px(text: str) -> float:
    """How wide a text is at most, whichever of the fonts of the page it is in."""
    return 6.6 * _PT / 9 * len(text)


def _words(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], colour: str, *,
    size: float = _PT, across: Across = "left", bold: bool = False, of_axes: bool = False,
) -> None:  # fmt: skip
    """Text at a point of the data (with `of_axes`, at a height of the axes), moved by an offset in points."""
    from_where: Coordinates = ("data", "axes fraction") if of_axes else "data"
    weight = "bold" if bold else "normal"
    axes.annotate(
        text, at, offset, xycoords=from_where, textcoords="offset points",
        color=colour, fontsize=size, fontweight=weight, ha=across, va="center", parse_math=False,
    )  # fmt: skip


def _title(axes: Axes, text: str, note: str = "", rise: int = 15) -> None:
    left, right = axes.get_xlim()
    _words(axes, text, (left, 1), (0, rise), _INK, size=_PT + 0.5, bold=True, of_axes=True)
    if note:
        _words(axes, note, (right, 1), (0, rise), _MUTED, across="right", of_axes=True)


def _count_ticks(axes: Axes, most: float) -> None:
    """Two to four round whole numbers from 0 up to the greatest."""
    size = 10.0 ** np.floor(np.log10(max(most, 1.0)))
    step = max(1.0, next(float(size * m) for m in (0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10) if most <= 4 * size * m))
    ticks = [k * step for k in range(int(most / step + 1e-9) + 1)]
    axes.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])


def _svg(figure: Figure, name: str) -> Markup:
    """A figure as inline SVG in the colours of the page."""
    from markupsafe import Markup
    from matplotlib import rc_context

    buffer = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    for waste in (_METADATA, _STYLE, _IDS, _FONT):
        svg = waste.sub("", svg)
    svg = _SIZE.sub(' aria-hidden="true" focusable="false"', svg, count=1)
    for colour, code in _COLOUR.items():
        svg = svg.replace(code, f"var(--{colour})")
    return Markup(svg)  # noqa: S704 - every text in a drawing is ours or escaped by matplotlib


_METADATA: Final = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_STYLE: Final = re.compile(r'<defs>\s*<style type="text/css">.*?</style>\s*</defs>\s*', re.DOTALL)
_IDS: Final = re.compile(r' id="(?:[a-z]+\d?d?_|matplotlib\.|[A-Z]\w*_)\w*"')
_FONT: Final = re.compile(r"font-family: [^;\"]*(?:; )?")
_SIZE: Final = re.compile(r' width="[\d.]+pt" height="[\d.]+pt"')
