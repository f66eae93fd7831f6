"""The picture of a study's answer: every cell with its interval, as bars or over an axis.

It is drawn from the document of the answer alone, so that an answer that was kept gives the same
picture, byte for byte.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

INK: Final = "#21303d"
MUTED: Final = "#5c6b78"
LINE: Final = "#d5dce2"
COLOURS: Final = ("#1f6fb2", "#c05a00", "#2f8f5b", "#7d4fb0", "#8a7a1d", "#b0395c")
"""Colours of the groups or lines, told apart by shade too."""

WIDE_PX: Final = 860


def draw(document: Mapping[str, Any]) -> str:
    """The picture as SVG.

    Parameters
    ----------
    document : an answer's JSON: its `question`, `cells` and `picture`, which says the measure, the kind (bars
        or lines), the caption and the words of the axis.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture = document["picture"]
    cells = [cell for cell in document["cells"] if cell["kpis"][picture["measure"]]["mean"] is not None]
    lines = picture["kind"] == "lines"
    high = 430 if lines else 120 + 30 * len(cells)
    figure = Figure(figsize=(WIDE_PX / 96, high / 96), facecolor="white")
    left, top, foot = (80, 62, 62) if lines else (330, 62, 52)
    right = 190 if lines else 40
    axes = figure.add_axes(
        (left / WIDE_PX, foot / high, 1 - (left + right) / WIDE_PX, 1 - (top + foot) / high),
        facecolor="white",
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(length=0, colors=MUTED, labelsize=9)
    scale, unit = _scale(cells, picture["measure"])
    words = cells[0]["kpis"][picture["measure"]]["words"] if cells else ""
    if lines:
        _lines(axes, cells, picture, scale)
        axes.set_xlabel(picture["x"], color=MUTED, fontsize=9)
        axes.set_ylabel(f"{words}{f', {unit}' if unit else ''}", color=MUTED, fontsize=9)
    else:
        _bars(axes, cells, picture, scale)
        axes.set_xlabel(f"{words}{f', {unit}' if unit else ''}", color=MUTED, fontsize=9)
    place = (24 / WIDE_PX, 1 - 26 / high)
    figure.text(*place, picture["caption"], color=INK, fontsize=12, fontweight="bold", parse_math=False)
    note = f"Mean of {document['replications']} runs with its 95 % interval; differences, paired, are surer"
    figure.text(place[0], 1 - 46 / high, note, color=MUTED, fontsize=9)
    buffer = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": document["name"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the picture of an answer as a file in .svg."""
    path.write_text(draw(document), encoding="utf-8")


def _lines(axes: Axes, cells: Sequence[Mapping[str, Any]], picture: Mapping[str, Any], scale: float) -> None:
    """One line a cell over the situations where these have a place on the axis; else one line a situation."""
    by_group = cells[0]["x"] is None
    places = [cell["group_x" if by_group else "x"] for cell in cells]
    apart = (max(places) - min(places)) / 90
    along, name = ("group_x", "name") if by_group else ("x", "group")
    for number, line in enumerate(dict.fromkeys(cell[name] for cell in cells)):
        here = [cell for cell in cells if cell[name] == line]
        figures = [cell["kpis"][picture["measure"]] for cell in here]
        means = [figure["mean"] * scale for figure in figures]
        colour = COLOURS[number % len(COLOURS)]
        # Side by side, as intervals would hide each other.
        xs = [cell[along] + number * apart for cell in here]
        axes.errorbar(
            xs, means, yerr=_errors(figures, scale), color=colour, marker="o", markersize=5, linewidth=1.8,
            capsize=3, label=line or None,
        )  # fmt: skip
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_ylim(
        bottom=min(0.0, axes.get_ylim()[0]) if axes.get_ylim()[0] < axes.get_ylim()[1] / 2 else None
    )
    if any(cell[name] for cell in cells):
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _bars(axes: Axes, cells: Sequence[Mapping[str, Any]], picture: Mapping[str, Any], scale: float) -> None:
    """A bar a cell, those of a situation in one colour; from 0, so that lengths compare."""
    groups = list(dict.fromkeys(cell["group"] for cell in cells))
    figures = [cell["kpis"][picture["measure"]] for cell in cells]
    places = range(len(cells))
    axes.barh(
        places, [figure["mean"] * scale for figure in figures], height=0.62, xerr=_errors(figures, scale),
        color=[COLOURS[groups.index(cell["group"]) % len(COLOURS)] for cell in cells],
        error_kw={"ecolor": INK, "capsize": 3, "elinewidth": 1.2},
    )  # fmt: skip
    labels = [f"{cell['name']}, {cell['group']}" if cell["group"] else cell["name"] for cell in cells]
    axes.set_yticks(places, labels, color=INK, parse_math=False)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)


def _errors(figures: Sequence[Mapping[str, Any]], scale: float) -> list[list[float]]:
    """How far the bounds are from the mean; 0 where there is no interval."""
    low = [(f["mean"] - f["low"]) * scale if f["low"] is not None else 0.0 for f in figures]
    high = [(f["high"] - f["mean"]) * scale if f["high"] is not None else 0.0 for f in figures]
    return [[max(value, 0.0) for value in low], [max(value, 0.0) for value in high]]


def _scale(cells: Sequence[Mapping[str, Any]], measure: str) -> tuple[float, str]:
    from sim.study import scaled

    figures = [cell["kpis"][measure] for cell in cells]
    unit = figures[0]["unit"] if figures else ""
    return scaled(max((abs(figure["mean"]) for figure in figures), default=0.0), unit)
