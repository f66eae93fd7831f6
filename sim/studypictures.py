"""The pictures of many runs: differences, means, distributions, time by cause, what a figure is due to.

They are drawn as the charts of a run's report are, in the colours of the page, and from what a study's folder
holds. Where there is nothing to show, there is no picture. Names of cells are the user's: they are cut where
there is no room for them, and whole in the tables.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim import charts
from sim.charts import NOTHING, Chart, Table
from sim.figures import bare_text, better_of, scale, span_text, title_of, unit_of
from sim.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.figures import Values
    from sim.studytable import Findings, Measure

MOST_ROWS: Final = 60
"""More cells than these stand in tables only."""

MOST_PANELS: Final = 12
MOST_LINES: Final = 6
_WIDE: Final = 1024
"""The width of a drawing that fills the page, in px."""

_HALF: Final = 488
_ROW: Final = 26.0


class Row(NamedTuple):
    """A point with its interval on a line of its own; bounds are None where there is none."""

    label: str
    mean: float | None
    low: float | None
    high: float | None
    text: str
    colour: str = "accent"
    is_open: bool = False


# --- differences -------------------------------------------------------------------------------------------


def decisive(found: Findings) -> Chart | None:
    """Every paired difference of the deciding measure, the cell named later less the one before it."""
    measure = next(iter(found.shown), "")
    pairs = [
        row
        for row in found.document.get("paired", ())
        if row["kpi"] == measure and row["difference"] is not None
    ]
    if not pairs or len(pairs) > MOST_ROWS:
        return None
    about = found.shown[measure]
    # What a study compares with its baseline stands as it does there; else the later cell less the earlier.
    is_study = found.kind == "study"
    turned = [
        (row, row["difference"], row["low"], row["high"]) if is_study else (row, *_reversed(row))
        for row in pairs
    ]
    factor, unit = scale([v for _, *values in turned for v in values if v is not None], about.unit)
    rows = []
    for row, mean, low, high in turned:
        text = span_text(mean, low, high, about.unit, is_difference=True)
        label = _less(found, row["a"], row["b"]) if is_study else f"{row['b']} less {row['a']}"
        colour, is_open = _judged(mean, low, high, about.better)
        rows.append(_row(label, factor, mean, low, high, text, colour, is_open))
    svg, figure = _intervals(rows, "differences", unit=_difference_unit(unit), zero=True)
    heads = ["Difference", "Mean and interval", "Runs", "Interval's width over that with other seeds"]
    cells = [
        [
            each.label,
            each.text,
            str(row["n"]),
            NOTHING if (ratio := row.get("unpaired_ratio")) is None else f"{ratio:.2f}",
        ]
        for each, row in zip(rows, pairs, strict=True)
    ]
    swatches = _legend(rows)
    return Chart(svg, f"Paired differences of {about.title}.", Table(heads, cells), swatches, None, figure)


def _less(found: Findings, a: str, b: str) -> str:
    """A difference in words; the situation that two cells of a study share is said once."""
    for cell in found.document["cells"]:
        ending = f", {cell['group']}"
        if cell["group"] and a == f"{cell['name']}{ending}" and b.endswith(ending):
            return f"{cell['name']} less {b}"
    return f"{a} less {b}"


class Others(NamedTuple):
    """What differs beside the deciding measure: a picture, and in words what it leaves out."""

    chart: Chart | None
    words: list[str]


def others(found: Findings) -> Others:
    """What else differs: measures of the other cells less the first, as shares of the first cell's mean."""
    document = found.document
    if found.kind != "compare" or len(found.cells) > _MOST_OTHERS + 1:
        return Others(None, [])
    first = document["cells"][0]
    names = [cell["name"] for cell in document["cells"][1:]]
    by_pair = {(row["kpi"], row["b"]): row for row in document["paired"] if row["a"] == first["name"]}
    blocks: list[list[Row]] = []
    small, new = [], []
    for measure, figure in first["kpis"].items():
        pairs = [by_pair.get((measure, name)) for name in names]
        there = [row for row in pairs if row is not None and row["difference"] is not None]
        if not any(row["differs"] for row in there) or measure == document["kpi"]:
            continue
        # Parts stand in the table of all figures, and what time goes to has a picture of its own.
        if "." in measure or measure.endswith("_by_cause_s"):
            continue
        rows = [_other(row, figure["mean"], several=len(names) > 1) for row in there]
        if not figure["mean"]:
            new += [f"{row.label} {row.text}" for row in rows if not row.is_open]
        elif all(abs(row.mean or 0.0) < _LEAST_PERCENT for row in rows):
            small.append(title_of(measure))
        else:
            blocks.append(rows)
    words = [f"By less than {_LEAST_PERCENT:g} % of the mean: {', '.join(small)}."] if small else []
    words += [f"Where {first['name']} has none: {'; '.join(new)}."] if new else []
    if not blocks:
        return Others(None, words)
    flat = [row for rows in blocks for row in rows]
    ends = list(itertools.accumulate(len(rows) for rows in blocks))[:-1]
    svg, figure_ = _intervals(
        flat, "others", unit=f"% of the mean of {first['name']}", zero=True, most=_MOST_PERCENT,
        breaks=ends if len(names) > 1 else (),
    )  # fmt: skip
    table = [[row.label, row.text, _percent_text(row.mean)] for row in flat]
    heads = ["Measure", f"Difference to {first['name']}", "Of its mean"]
    alt = f"Differences of other measures, as shares of the mean of {first['name']}."
    return Others(Chart(svg, alt, Table(heads, table), _legend(flat), None, figure_), words)


def _other(row: Mapping[str, Any], base: float | None, *, several: bool) -> Row:
    """A difference to the first cell, as a share of its mean in per cent."""
    mean, low, high = _reversed(row)
    text = span_text(mean, low, high, row["unit"], is_difference=True)
    colour, is_open = _judged(mean, low, high, better_of(row["kpi"]))
    label = f"{title_of(row['kpi'])} · {row['b']}" if several else title_of(row["kpi"])
    return _row(label, 100 / abs(base) if base else 1.0, mean, low, high, text, colour, is_open)


_MOST_OTHERS: Final = 3
_MOST_PERCENT: Final = 120.0
_LEAST_PERCENT: Final = 1.0


def same_in_all(found: Findings) -> list[str]:
    """The measures of a comparison that are the same in every replication of all cells, in words."""
    kpis: dict[str, bool] = {}
    for row in found.document.get("paired", ()):
        if found.kind == "compare" and row["n"] and "." not in row["kpi"]:
            kpis[row["kpi"]] = kpis.get(row["kpi"], True) and row["same"]
    return [title_of(kpi) for kpi, same in kpis.items() if same]


def _reversed(row: Mapping[str, Any]) -> tuple[float, float | None, float | None]:
    """b - a of a difference a - b."""
    low, high = (None if row[bound] is None else 0.0 - row[bound] for bound in ("high", "low"))
    return 0.0 - row["difference"], low, high


def _judged(mean: float, low: float | None, high: float | None, better: str) -> tuple[str, bool]:
    """The colour of a difference, and whether it may be chance."""
    if low is None or high is None or low <= 0.0 <= high:
        return "muted", True
    if better == "neither":
        return "ink", False
    return ("accent" if (mean < 0) == (better == "less") else "mark"), False


def _legend(rows: Sequence[Row]) -> list[tuple[str, str]]:
    words = {
        "accent": "better",
        "mark": "worse",
        "muted": "may be chance: the interval holds 0",
        "ink": "differs; neither way is better",
    }
    used = {row.colour for row in rows}
    return [(colour, text) for colour, text in words.items() if colour in used]


def _difference_unit(unit: str) -> str:
    return "percentage points" if unit == "%" else unit


# --- means -------------------------------------------------------------------------------------------------


def means(found: Findings) -> list[tuple[str, Chart]]:
    """The means of the measures shown, with their intervals: a line a cell, or over a number that varies."""
    pictures: list[tuple[str, Chart]] = []
    for number, (measure, about) in enumerate(found.shown.items()):
        figures = found.figures(measure)
        if len(figures) < 2 or all(figure["mean"] is None for figure in figures):
            continue
        if number and len({(figure["mean"], figure["low"], figure["high"]) for figure in figures}) == 1:
            continue
        values = [figure[key] for figure in figures for key in ("mean", "low", "high")]
        factor, unit = scale([value for value in values if value is not None], about.unit)
        frame = _Frame(f"means-{number}", factor, unit, _HALF if pictures else _WIDE)
        title = about.title[:1].upper() + about.title[1:]
        if (axes := _factors(found)) is not None:
            picture = _scatter(found, figures, axes, frame)
        elif (lines := _lines_of(found)) is not None:
            picture = _lines(figures, *lines, frame)
        elif len(figures) <= MOST_ROWS:
            picture = _rows(found, figures, about, frame)
        else:
            continue
        svg, figure_ = picture
        table = Table(["Cell", "Mean and interval", "Observations"], [
            [cell.name, _span(figure, about.unit), str(figure["n"])]
            for cell, figure in zip(found.cells, figures, strict=True)
        ])  # fmt: skip
        swatches = [] if axes is not None or lines_swatches(found) is None else lines_swatches(found) or []
        pictures.append((title, Chart(svg, f"Means of {about.title}.", table, swatches, None, figure_)))
    return pictures


class _Frame(NamedTuple):
    """A drawing's name, what its numbers are multiplied with, the unit that they then have, and its width."""

    name: str
    factor: float
    unit: str
    width: float


def _rows(
    found: Findings, figures: Sequence[Mapping[str, Any]], about: Measure, frame: _Frame
) -> tuple[Markup, Figure]:
    best = _best(found)
    rows = [
        _row(
            cell.name, frame.factor, figure["mean"], figure["low"], figure["high"],
            _span(figure, about.unit),
            "accent" if not best or cell.name == best else "muted",
        )
        for cell, figure in zip(found.cells, figures, strict=True)
    ]  # fmt: skip
    return _intervals(rows, frame.name, unit=frame.unit, width=frame.width)


def _best(found: Findings) -> str | None:
    verdict = found.document.get("verdict")
    return found.document.get("selected") if verdict is None else verdict["best"]


def _numeric(found: Findings) -> list[str]:
    """The keys in which all cells have a number, and not all the same."""
    keys = list(dict.fromkeys(key for cell in found.cells for key in cell.sets))
    rows = {key: [cell.sets.get(key) for cell in found.cells] for key in keys}
    return [
        key
        for key, values in rows.items()
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        and len(set(values)) > 1
    ]


def _factors(found: Findings) -> list[str] | None:
    """The factors of a sweep over ranges; None for any other study."""
    if found.kind != "sweep" or found.document["design"] == "grid":
        return None
    return _numeric(found)[:MOST_LINES]


Lines = dict[str, list[tuple[float, int]]]
"""For each line, where its points lie along the axis and the numbers of their cells."""


def _lines_of(found: Findings) -> tuple[Lines, str] | None:
    """Cells as lines over a number, and the words of its axis; None where a line a cell says more."""
    lines: Lines = {}
    if found.kind == "study":
        cells, picture = found.document["cells"], found.document["picture"]
        if picture["kind"] != "lines":
            return None
        along, name = ("group_x", "name") if cells[0]["x"] is None else ("x", "group")
        for number, cell in enumerate(cells):
            if cell[along] is None:
                return None
            lines.setdefault(cell[name], []).append((cell[along], number))
        return (lines, picture["x"]) if len(lines) <= MOST_LINES else None
    keys = _numeric(found)
    if found.kind != "sweep" or not keys:
        return None
    key = max(keys, key=lambda key: len({cell.sets[key] for cell in found.cells}))
    for number, cell in enumerate(found.cells):
        rest = [f"{k.rpartition('.')[2]} {_word(value)}" for k, value in cell.sets.items() if k != key]
        lines.setdefault(", ".join(rest), []).append((float(cell.sets[key]), number))
    if len(lines) > MOST_LINES or min(len(points) for points in lines.values()) < 3:
        return None
    return {name: sorted(points) for name, points in lines.items()}, key


def _word(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def lines_swatches(found: Findings) -> list[tuple[str, str]] | None:
    """The legend of lines; None where there are none."""
    lines = _lines_of(found)
    if lines is None or len(lines[0]) < 2:
        return None
    return [(f"series-{_series(at)}", printable(name)) for at, name in enumerate(lines[0])]


def _series(at: int) -> int:
    """The order in which lines take their colours: the strong ones first."""
    return (2, 1, 3, 4, 5, 0)[at % 6]


def _lines(
    figures: Sequence[Mapping[str, Any]], lines: Lines, words: str, frame: _Frame
) -> tuple[Markup, Figure]:
    """A line a series over a number; those of one place stand a little apart, so that intervals show."""
    figure = charts._figure(frame.width, 290)
    axes = figure.add_axes((60 / frame.width, 0.19, 1 - 76 / frame.width, 0.70))
    charts._bare(axes)
    places = [x for points in lines.values() for x, _ in points]
    step = 5 * (max(places) - min(places)) / frame.width
    for at, points in enumerate(lines.values()):
        aside = step * (at - (len(lines) - 1) / 2)
        there = [(x + aside, figures[number]) for x, number in points if figures[number]["mean"] is not None]
        _points(axes, there, frame.factor, f"series-{_series(at)}")
        xs, ys = [x for x, _ in there], [each["mean"] * frame.factor for _, each in there]
        axes.plot(xs, ys, color=charts._COLOUR[f"series-{_series(at)}"], linewidth=1.6)
    low, high = axes.get_ylim()
    axes.set_ylim(min(0.0, low) if low < 0.5 * high else low, high)
    _along(axes, words, frame.width - 90)
    _note(axes, frame.unit)
    return _drawn(figure, frame.name)


def _scatter(
    found: Findings, figures: Sequence[Mapping[str, Any]], keys: Sequence[str], frame: _Frame
) -> tuple[Markup, Figure]:
    """A measure over each factor of a design, a point a cell."""
    wide = frame.width
    across = min(3 if wide == _WIDE else 1, len(keys))
    height = 210.0 * -(-len(keys) // across)
    figure = charts._figure(wide, height)
    for at, key in enumerate(keys):
        left, top = (at % across) / across, 210 * (at // across)
        axes = figure.add_axes(
            (left + 48 / wide, 1 - (top + 165) / height, 1 / across - 64 / wide, 130 / height)
        )
        charts._bare(axes)
        there = [
            (cell.sets[key], each)
            for cell, each in zip(found.cells, figures, strict=True)
            if each["mean"] is not None
        ]
        _points(axes, there, frame.factor, "accent")
        _along(axes, key, wide / across - 90)
        _note(axes, frame.unit)
    return _drawn(figure, frame.name)


def _points(axes: Axes, there: Sequence[tuple[float, Mapping[str, Any]]], factor: float, colour: str) -> None:
    """Means with their intervals, upright."""
    code = charts._COLOUR[colour]
    axes.scatter(
        [x for x, _ in there], [each["mean"] * factor for _, each in there], color=code, s=16, zorder=3
    )
    spans = [(x, each["low"] * factor, each["high"] * factor) for x, each in there if each["low"] is not None]
    if spans:
        axes.vlines(*zip(*spans, strict=True), color=code, linewidth=1.3)


def _along(axes: Axes, words: str, room: float) -> None:
    """Numbers along both axes, and the words of the lower one."""
    _ticks(axes, "y")
    _ticks(axes, "x")
    words = _cut(words, room)
    axes.set_xlabel(words, color=charts._MUTED, fontsize=charts._PT, loc="right", parse_math=False)


def _note(axes: Axes, text: str) -> None:
    left, _ = axes.get_xlim()
    charts._words(axes, text, (left, 1), (0, 11), charts._MUTED, of_axes=True)


# --- distributions -----------------------------------------------------------------------------------------


def distributions(found: Findings) -> Chart | None:
    """The values of the deciding measure in every replication, a panel a cell on one axis."""
    measure = next(iter(found.shown), "")
    if not found.cells:
        return None
    about = found.shown[measure]
    rows = [[value for value in values if value is not None] for values in found.values(measure)]
    shown = [(cell.name, values) for cell, values in zip(found.cells, rows, strict=True) if values]
    shown = shown[:MOST_PANELS]
    if max((len(values) for _, values in shown), default=0) < 3:
        return None
    every = [value for _, values in shown for value in values]
    factor, unit = scale(every, about.unit)
    low, high = min(every) * factor, max(every) * factor
    pad = (high - low) * 0.04 or abs(high) * 0.02 or 1.0
    panel, foot, head = 58.0, 34.0, 8.0
    height = head + panel * len(shown) + foot
    figure = charts._figure(_WIDE, height)
    label = _label_px([name for name, _ in shown], 300)
    note = 210.0
    table = []
    for number, (name, values) in enumerate(shown):
        bottom = 1 - (head + panel * (number + 1)) / height
        axes = figure.add_axes((label / _WIDE, bottom, 1 - (label + note) / _WIDE, (panel - 12) / height))
        charts._bare(axes)
        axes.set_xlim(low - pad, high + pad)
        _dots(axes, [value * factor for value in values], (low - pad, high + pad))
        mean = math.fsum(values) / len(values) * factor
        axes.axvline(mean, color=charts._COLOUR["mark"], linewidth=1.2, zorder=0.5)
        axes.set_yticks([])
        axes.grid(visible=False)
        last = number == len(shown) - 1
        if last:
            _ticks(axes, "x")
            axes.set_xlabel(unit, color=charts._MUTED, fontsize=charts._PT, loc="right", labelpad=1)
        else:
            axes.set_xticks([])
        charts._words(
            axes,
            _cut(name, label - 20),
            (low - pad, 0.42),
            (-8, 0),
            charts._INK,
            across="right",
            of_axes=True,
        )
        ordered = sorted(values)
        texts = [
            bare_text(value * factor, None, None) for value in (ordered[0], _median(ordered), ordered[-1])
        ]
        spread = f"{texts[0]} to {texts[2]} {unit}"
        many = f"{len(values):,} runs" if len(values) > 1 else "1 run"
        charts._words(axes, many, (high + pad, 0.62), (8, 0), charts._INK, of_axes=True)
        charts._words(axes, spread, (high + pad, 0.22), (8, 0), charts._MUTED, of_axes=True)
        table.append([name, str(len(values)), *texts])
    svg, _ = _drawn(figure, "distributions")
    heads = ["Cell", "Runs", *(f"{word}, {unit}" if unit else word for word in ("Least", "Median", "Most"))]
    alt = f"Values of {about.title} in every replication, by cell."
    swatches = [("accent", "a replication"), ("mark", "mean")]
    return Chart(svg, alt, Table(heads, table), swatches, None, figure)


def _dots(axes: Axes, values: Sequence[float], reach: tuple[float, float]) -> None:
    """One dot a value, those that would lie on each other stacked; bars where there is no room for that."""
    bins = 72
    step = (reach[1] - reach[0]) / bins
    heights: dict[int, int] = {}
    places = []
    for value in sorted(values):
        at = min(bins - 1, int((value - reach[0]) / step))
        heights[at] = heights.get(at, 0) + 1
        places.append((value, heights[at]))
    most = max(heights.values())
    colour = charts._COLOUR["accent"]
    if most > _MOST_STACKED:
        edges = [reach[0] + step * (at + 0.5) for at in heights]
        axes.bar(edges, list(heights.values()), width=0.86 * step, color=colour, linewidth=0)
        axes.set_ylim(0, most * 1.1)
        return
    xs, ys = [x for x, _ in places], [y - 0.5 for _, y in places]
    axes.scatter(xs, ys, color=colour, s=26, linewidth=0, alpha=None)
    axes.set_ylim(0, max(_MOST_STACKED, 1.0))


_MOST_STACKED: Final = 5


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


# --- time by cause -----------------------------------------------------------------------------------------


def time_by_cause(found: Findings) -> list[tuple[str, Chart]]:
    """Where the time of an order and that of a robot's shifts goes, a bar a cell."""
    if not 1 <= len(found.cells) <= _MOST_BARS:
        return []
    pictures = []
    for kpi, title, is_whole in (
        ("order_time_by_cause_s", "An order, from release to hand-over", False),
        ("time_by_cause_s", "A robot's shifts", True),
    ):
        bars = [(cell.name, _causes(cell.values, kpi)) for cell in found.cells]
        if any(causes for _, causes in bars):
            pictures.append((title, _bars(bars, kpi, is_whole=is_whole)))
    return pictures


_MOST_BARS: Final = 16


def _causes(values: Mapping[str, Values], kpi: str) -> dict[str, float]:
    """The mean time of each cause over the replications."""
    causes = {}
    for cause in charts._CAUSE_WORDS:
        there = [value for value in values.get(f"{kpi}.{cause}", ()) if value is not None]
        if there and (mean := math.fsum(there) / len(there)) > 0:
            causes[cause] = mean
    return causes


def _bars(bars: Sequence[tuple[str, dict[str, float]]], name: str, *, is_whole: bool) -> Chart:
    """Stacked bars, of 100 % or as long as the time is."""
    height = 34.0 * len(bars) + 4
    figure = charts._figure(_WIDE, height)
    label, note = _label_px([cell for cell, _ in bars], 300), 86.0
    axes = figure.add_axes((label / _WIDE, 0.0, 1 - (label + note) / _WIDE, 1.0))
    axes.axis("off")
    longest = max(sum(causes.values()) for _, causes in bars)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    room = _WIDE - label - note
    for row, (cell, causes) in enumerate(bars):
        total = sum(causes.values())
        left, wide = 0.0, 1.0 if is_whole else total / longest
        charts._words(axes, _cut(cell, label - 20), (0, row), (-8, 0), charts._INK, across="right")
        for cause, seconds in causes.items():
            share = seconds / total
            part = share * wide
            colour = charts._COLOUR[charts._cause_name(cause)]
            axes.barh(
                row,
                part,
                left=left,
                height=0.7,
                color=colour,
                edgecolor=charts._COLOUR["paper"],
                linewidth=1.0,
            )
            text = charts.percent(share, 0) if part * room >= 34 else ""
            if part * room > charts._width_px(words := charts._CAUSE_WORDS[cause]) + 44:
                text = f"{words} {text}"
            on = charts._COLOUR["on-light" if cause in charts._PALE else "on-dark"]
            charts._words(
                axes, text, (left + part / 2, row), (0, 0), on, size=charts._PT - 0.5, across="center"
            )
            left += part
        end = charts.duration(total) if total else NOTHING
        charts._words(axes, end, (left, row), (6, 0), charts._MUTED)
    used = [cause for cause in charts._CAUSE_WORDS if any(cause in causes for _, causes in bars)]
    svg, _ = _drawn(figure, name)
    table = [
        [
            charts._CAUSE_WORDS[cause],
            *(charts._part(causes.get(cause), sum(causes.values()) or 1.0) for _, causes in bars),
        ]
        for cause in used
    ]
    swatches = [(charts._cause_name(cause), charts._CAUSE_WORDS[cause]) for cause in used]
    alt = "Time by what it goes to, by cell."
    return Chart(
        svg, alt, Table(["Time goes to", *(cell for cell, _ in bars)], table), swatches, None, figure
    )


# --- warm-up, influence, what is not known ------------------------------------------------------------------


def warmup(found: Findings) -> Chart | None:
    """The weeks of the deciding measures from time 0 on, with the warm-up that is cut off."""
    rows = [row for row in found.document.get("warmup", ()) if any(week is not None for week in row["weeks"])]
    rows = rows[:MOST_LINES]
    if not rows:
        return None
    panel, gap = 92.0, 44.0
    height = len(rows) * (panel + gap) + 22
    figure = charts._figure(_WIDE, height)
    table = []
    for number, row in enumerate(rows):
        unit = unit_of(row["kpi"])
        weeks = [math.nan if week is None else week for week in row["weeks"]]
        factor, shown = scale([week for week in weeks if week == week], unit)
        axes = figure.add_axes((0.05, 1 - ((panel + gap) * (number + 1) - 8) / height, 0.94, panel / height))
        charts._bare(axes)
        xs = [week + 0.5 for week in range(len(weeks))]
        axes.plot(xs, [week * factor for week in weeks], color=charts._COLOUR["accent"], linewidth=1.3)
        axes.scatter(xs, [week * factor for week in weeks], color=charts._COLOUR["accent"], s=10)
        axes.set_xlim(0, len(weeks))
        if row["warmup_weeks"]:
            axes.axvspan(0, row["warmup_weeks"], color=charts._COLOUR["band"], linewidth=0)
        if row["cut_weeks"] is not None:
            axes.axvline(row["cut_weeks"], color=charts._COLOUR["mark"], linewidth=1.2, linestyle=(0, (4, 3)))
        _ticks(axes, "y")
        axes.set_xticks([])
        if number == len(rows) - 1:
            _ticks(axes, "x")
            axes.set_xlabel("weeks", color=charts._MUTED, fontsize=charts._PT, loc="right", labelpad=1)
        words = f"{row['cell']}: {title_of(row['kpi'])}, {shown}"
        charts._title(axes, _cut(words, _WIDE * 0.6))
        table += [
            [
                f"{row['cell']}: {title_of(row['kpi'])}",
                str(at),
                NOTHING if week != week else f"{week * factor:.4g} {shown}",
            ]
            for at, week in enumerate(weeks)
        ]
    svg, _ = _drawn(figure, "warmup")
    swatches = [
        ("accent", "mean of the week"),
        ("band", "warm-up, cut off"),
        ("mark", "where MSER would cut"),
    ]
    alt = "Week means from the beginning on, with the warm-up."
    return Chart(svg, alt, Table(["Measure", "Week", "Mean"], table), swatches, None, figure)


def influence(found: Findings) -> Chart | None:
    """How much of a measure is due to each factor, with intervals."""
    factors = found.document.get("factors") if found.kind == "sensitivity" else None
    if not factors:
        return None
    is_sobol = found.document["method"] == "sobol"
    unit = "share" if is_sobol else found.document["unit"]
    parts = (("total", "with interactions", "accent"), ("first", "alone", "mark")) if is_sobol else (
        ("size", "over its range, either way", "accent"),
    )  # fmt: skip
    bounds = [row[key][bound] for row in factors for key, _, _ in parts for bound in ("mean", "low", "high")]
    factor, shown = scale([value for value in bounds if value is not None], unit)
    rows, table = [], []
    for row in factors:
        texts = []
        for key, words, colour in parts:
            mean, low, high = (row[key][bound] for bound in ("mean", "low", "high"))
            text = span_text(mean, low, high, unit, is_difference=not is_sobol)
            label = row["factor"] if key == parts[0][0] else ""
            rows.append(_row(label, factor, mean, low, high, f"{text} {words}" if is_sobol else text, colour))
            texts.append(text)
        if not is_sobol:
            texts.append(span_text(row["spread"], None, None, unit, is_difference=True))
        ends = [_word(row[end]) for end in ("low", "high")] if "low" in row else [_word(row["values"]), ""]
        table.append([row["factor"], *ends, *texts])
    breaks = range(2, len(rows), 2) if is_sobol else ()
    words = "% of its variance" if is_sobol else shown
    svg, figure = _intervals(rows, "influence", unit=words, zero=True, breaks=breaks)
    heads = ["Factor", "From", "To", *(words for _, words, _ in parts), *([] if is_sobol else ["Spread"])]
    swatches = [(colour, words) for _, words, colour in parts]
    return Chart(svg, "What a measure is due to, by factor.", Table(heads, table), swatches, None, figure)


def bands(found: Findings) -> Chart | None:
    """The two bands of a study's answer: the noise of the simulation, and the ranges of what is assumed."""
    if found.kind != "study":
        return None
    document = found.document["bands"]
    noise, assumed = document.get("noise"), document.get("assumptions")
    if not noise or noise["mean"] is None:
        return None
    unit = noise["unit"]
    held = "95 % together" if noise.get("level", 0.95) > 0.95 else "95 % interval"
    each = [(f"other random numbers: {held}", noise["mean"], noise["low"], noise["high"])]
    if assumed and assumed["low"] is not None:
        each.append(
            (
                f"other assumptions: 90 % of {assumed['draws']} draws",
                assumed["mean"],
                assumed["low"],
                assumed["high"],
            )
        )
    factor, shown = scale([v for _, *values in each for v in values if v is not None], unit)
    rows = []
    for words, mean, low, high in each:
        colour = "muted" if low is None or low <= 0.0 <= high else "accent"
        text = span_text(mean, low, high, unit, is_difference=True)
        rows.append(_row(words, factor, mean, low, high, text, colour, colour == "muted"))
    zero = " - " in noise["of"] or any(row.low is not None and row.low <= 0 for row in rows)
    svg, figure = _intervals(rows, "bands", unit=_difference_unit(shown) if zero else shown, zero=zero)
    table = Table(["Band", "Mean and bounds"], [[row.label, row.text] for row in rows])
    return Chart(svg, f"Bands of {printable(noise['of'])}.", table, (), None, figure)


# --- drawing -----------------------------------------------------------------------------------------------


def _intervals(
    rows: Sequence[Row], name: str, *, unit: str, width: float = _WIDE, zero: bool = False,
    most: float | None = None, breaks: Sequence[int] = (),
) -> tuple[Markup, Figure]:  # fmt: skip
    """Points with intervals, a line each: a label, the interval on a common axis, and the same in words.

    With `zero` the axis holds 0 and marks it; what lies beyond `most` is cut, with an arrow.
    """
    label = _label_px([row.label for row in rows], 0.42 * width)
    text = min(0.36 * width, max((_px(row.text) for row in rows), default=0.0) + 14)
    gap, foot, head = 8.0, 34.0, 4.0
    height = head + _ROW * len(rows) + gap * len(breaks) + foot
    figure = charts._figure(width, height)
    axes = figure.add_axes(
        (label / width, foot / height, 1 - (label + text) / width, 1 - (foot + head) / height)
    )
    charts._bare(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=charts._COLOUR["line"], linewidth=0.7)
    low, high = _reach(rows, zero=zero, most=most)
    axes.set_xlim(low, high)
    places = [at + gap / _ROW * sum(at >= each for each in breaks) for at in range(len(rows))]
    axes.set_ylim((places[-1] if places else 0) + 0.5, -0.5)
    axes.set_yticks([])
    if zero:
        axes.axvline(0, color=charts._COLOUR["ink"], linewidth=1.0)
    for place, row in zip(places, rows, strict=True):
        _interval(axes, place, row, (low, high))
        charts._words(axes, _cut(row.label, label - 16), (low, place), (-8, 0), charts._INK, across="right")
        charts._words(axes, _cut(row.text, text - 8), (high, place), (8, 0), charts._MUTED)
    _ticks(axes, "x")
    words = _cut(unit, width - label - text)
    axes.set_xlabel(
        words, color=charts._MUTED, fontsize=charts._PT, loc="right", labelpad=1, parse_math=False
    )
    return _drawn(figure, name)


def _interval(axes: Axes, place: float, row: Row, reach: tuple[float, float]) -> None:
    """A point and its interval; beyond the ends of the axis there are arrows."""
    if row.mean is None:
        return
    colour, (left, right) = charts._COLOUR[row.colour], reach
    if row.low is not None and row.high is not None and row.high >= left and row.low <= right:
        axes.hlines(place, max(row.low, left), min(row.high, right), color=colour, linewidth=2.2)
    face = charts._COLOUR["paper"] if row.is_open else colour
    if left <= row.mean <= right:
        axes.scatter(
            [row.mean],
            [place],
            s=30,
            facecolor=face,
            edgecolor=colour,
            linewidth=1.4,
            zorder=4,
            clip_on=False,
        )
    beyond = [
        (end, mark)
        for end, mark, is_out in (
            (left, "<", row.mean < left or (row.low is not None and row.low < left)),
            (right, ">", row.mean > right or (row.high is not None and row.high > right)),
        )
        if is_out
    ]
    for end, mark in beyond:
        axes.scatter([end], [place], s=34, marker=mark, color=colour, linewidth=0, zorder=4, clip_on=False)


def _reach(rows: Sequence[Row], *, zero: bool, most: float | None) -> tuple[float, float]:
    values = [value for row in rows for value in (row.mean, row.low, row.high) if value is not None]
    if most is not None:
        values = [min(max(value, -most), most) for value in values]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if zero or (low >= 0 and low < 0.5 * high):
        low, high = min(low, 0.0), max(high, 0.0)
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return (low if low == 0 and not zero else low - pad), high + pad


def _ticks(axes: Axes, which: str) -> None:
    """A few round numbers along an axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(6 if which == "x" else 4, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _tick(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "0" if float(text.replace(",", "")) == 0 else text


def _drawn(figure: Figure, name: str) -> tuple[Markup, Figure]:
    with _quiet():
        return charts._svg(figure, name), figure


@contextmanager
def _quiet() -> Iterator[None]:
    """Have letters that the font for measuring lacks measured as another; whoever reads the page has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _px(text: str) -> float:
    """How wide a text is at most; letters of East Asia are twice as wide."""
    wide = sum(1 for letter in text if unicodedata.east_asian_width(letter) in "WF")
    return charts._width_px("x" * (len(text) + wide))


def _cut(text: str, room: float) -> str:
    """A text that fits, cut at its end where it has to be."""
    text = printable(text)
    if _px(text) <= room:
        return text
    while text and _px(text) + 8 > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _label_px(labels: Sequence[str], most: float) -> float:
    return min(most, max((_px(printable(label)) for label in labels), default=0.0) + 20)


def _row(
    label: str, factor: float, mean: float | None, low: float | None, high: float | None, text: str,
    colour: str, is_open: bool = False,
) -> Row:  # fmt: skip
    """A row with its numbers multiplied."""
    mean, low, high = (None if value is None else value * factor for value in (mean, low, high))
    return Row(label, mean, low, high, text, colour, is_open)


def _span(figure: Mapping[str, Any], unit: str) -> str:
    if figure["mean"] is None:
        return NOTHING
    return span_text(figure["mean"], figure["low"], figure["high"], unit)


def _percent_text(value: float | None) -> str:
    return NOTHING if value is None else f"{bare_text(value, None, None)} %"


# --- files -------------------------------------------------------------------------------------------------


def write_png(title: str, chart: Chart, path: Path) -> None:
    """Write a picture as PNG, by day and twice the size, with its title above and its legend below.

    Letters that no font of this machine has are drawn as boxes.
    """
    figure = chart.figure
    assert figure is not None
    ends = (
        () if chart.ramp is None else (("heat-0", chart.ramp[0]), (f"heat-{charts.HEAT - 1}", chart.ramp[1]))
    )
    _framed(figure, title, [*chart.swatches, *ends])
    with _quiet():
        charts.write_picture(chart, path)


def _framed(figure: Figure, title: str, swatches: Sequence[tuple[str, str]]) -> None:
    """Give a drawing a margin, its title and its legend, and its letters every font that may have them."""
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text

    wide, high = (96 * inches for inches in figure.get_size_inches())
    lines = _legend_lines(swatches, wide)
    margin, above, below = 20.0, 46.0, 22.0 * len(lines) + (8 if lines else 0)
    whole_wide, whole_high = wide + 2 * margin, high + above + below + margin
    figure.set_size_inches(whole_wide / 96, whole_high / 96)
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position().bounds
        axes.set_position(
            ((margin + left * wide) / whole_wide, (margin + below + bottom * high) / whole_high,
             width * wide / whole_wide, height * high / whole_high)
        )  # fmt: skip
    figure.text(
        margin / whole_wide, 1 - 24 / whole_high, _cut(title, wide), color=charts._INK,
        fontsize=charts._PT + 2, fontweight="bold", va="center", parse_math=False,
    )  # fmt: skip
    for number, line in enumerate(lines):
        y = (margin + below - 22 * number - 22) / whole_high
        for x, colour, words in line:
            left = (margin + x) / whole_wide
            square = Rectangle(
                (left, y - 5 / whole_high), 11 / whole_wide, 11 / whole_high, color=charts._COLOUR[colour],
                linewidth=0, transform=figure.transFigure,
            )  # fmt: skip
            figure.add_artist(square)
            figure.text(
                left + 17 / whole_wide, y, words, color=charts._MUTED, fontsize=charts._PT, va="center",
                parse_math=False,
            )  # fmt: skip
    families = _families()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontfamily(families)


def _legend_lines(swatches: Sequence[tuple[str, str]], wide: float) -> list[list[tuple[float, str, str]]]:
    """Where the parts of a legend stand: lines of (place from the left in px, colour, words)."""
    lines: list[list[tuple[float, str, str]]] = []
    x = math.inf
    for colour, words in swatches:
        words = _cut(words, wide / 2)
        if x + 17 + _px(words) > wide:
            lines.append([])
            x = 0.0
        lines[-1].append((x, colour, words))
        x += 17 + _px(words) + 16
    return lines


def _families() -> list[str]:
    """The fonts of this machine in which names may be written, in the order of asking."""
    from matplotlib.font_manager import fontManager

    known = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in known)]


_OTHER_FONTS: Final = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Microsoft YaHei", "SimHei", "PingFang SC", "Droid Sans Fallback", "Noto Sans",
)  # fmt: skip
