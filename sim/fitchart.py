"""The picture of a fit: what a log has recorded beside what the fitted demand gives, in four panels."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.charts import (
    _COLOUR,
    _INK,
    _MUTED,
    _PT,
    Chart,
    Table,
    _bare,
    _figure,
    _line,
    _svg,
    _width_px,
    _words,
)
from sim.words import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE: Final = 900.0
_HIGH: Final = 560.0
_MOST_NAMES: Final = 8
"""Months beyond so many are named by their first letter."""


def fit_picture(document: Mapping[str, Any]) -> Chart:
    """Orders by hour, by weekday and by month, and order sizes: bars recorded, marks fitted.

    The drawing is 900 px wide and needs no legend beside it.

    Parameters
    ----------
    document : what `fit.Fitted.to_json` gives.
    """
    figure = _figure(_WIDE, _HIGH)
    hours, weekdays, months = document["hours"], document["weekdays"], document["months"]
    axes = _panel(figure, (58, 124, 822, 150))
    _bars(axes, [row["recorded"] for row in hours], [row["fitted"] for row in hours])
    axes.set_xticks(np.arange(0, 24, 2), [f"{hour:02d}" for hour in range(0, 24, 2)])
    _heading(axes, "Orders by hour", "share of the day's orders, hour of the day", _per_cent)
    axes = _panel(figure, (58, 344, 210, 150))
    _bars(axes, *_sides(weekdays))
    axes.set_xticks(range(len(weekdays)), [row["name"] for row in weekdays])
    _heading(axes, "By weekday", "orders a working day", _number)
    axes = _panel(figure, (326, 344, 268, 150))
    _bars(axes, *_sides(months))
    letters = 1 if len(months) > _MOST_NAMES else 3
    axes.set_xticks(range(len(months)), [row["name"][:letters] for row in months])
    _heading(axes, "By month", "orders a working day", _number)
    axes = _panel(figure, (660, 344, 220, 150))
    sizes = [row for row in document["sizes"] if row["unit"] == "meters"]
    _bars(axes, *_sides(sizes))
    axes.set_xticks(range(len(sizes)), [row["name"] for row in sizes])
    _heading(axes, "Order sizes", "meters", _number)
    wrong = [each["name"] for each in document["goodness"] if not each["fits"]]
    title = "The fitted demand and the log agree as well as chance allows"
    if wrong:
        title = f"The fitted demand differs from the log in {_all_of(wrong)}"
    _line(figure, 26, title, size=_PT + 3, colour=_INK, bold=True)
    about = f"{printable(document['log'])}: {document['orders']:,} orders in {document['days']:,} days"
    _line(figure, 50, about, size=_PT, colour=_MUTED)
    _key(figure, 74)
    for number, each in enumerate(document["goodness"]):
        text = f"{each['name']}: gap {100 * each['gap']:.1f} %, chance {100 * each['limit']:.1f} %"
        _line(figure, _HIGH - 20, text, size=_PT - 0.5, colour=_MUTED, x_px=20 + 290 * number)
    alt = f"Bars recorded and marks fitted, in four panels. {title}."
    return Chart(_svg(figure, "fit"), alt, _table(document), figure=figure)


def _panel(figure: "Figure", box: tuple[float, float, float, float]) -> "Axes":
    """Axes at so many pixels from the left and the top, of a width and a height."""
    left, top, wide, high = box
    axes = figure.add_axes((left / _WIDE, 1 - (top + high) / _HIGH, wide / _WIDE, high / _HIGH))
    _bare(axes)
    return axes


def _sides(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [row["recorded"] for row in rows], [row["fitted"] for row in rows]


def _bars(axes: "Axes", recorded: Sequence[float], fitted: Sequence[float]) -> None:
    places = np.arange(len(recorded))
    axes.bar(places, recorded, width=0.72, color=_COLOUR["accent-soft"])
    shown = [height if height or bar else np.nan for height, bar in zip(fitted, recorded, strict=True)]
    axes.plot(
        places, shown, linestyle="none", marker="_", markersize=11, markeredgewidth=2.2,
        color=_COLOUR["mark"], clip_on=False,
    )  # fmt: skip
    axes.set_xlim(-0.6, len(recorded) - 0.4)
    axes.set_ylim(0, 1.08 * max([*recorded, *fitted, 1e-9]))


def _heading(axes: "Axes", title: str, note: str, shown: Callable[[float], str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: shown(value))
    left = axes.get_xlim()[0]
    _words(axes, title, (left, 1), (0, 14), _INK, bold=True, of_axes=True)
    _words(axes, note, (left, 1), (0.75 * _width_px(title) + 18, 14), _MUTED, size=_PT - 0.5, of_axes=True)


def _per_cent(value: float) -> str:
    return f"{100 * value:g} %"


def _number(value: float) -> str:
    return f"{value:,g}"


def _key(figure: "Figure", y_px: float) -> None:
    """What bars and marks are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    y = 1 - y_px / _HIGH
    bar = Rectangle((20 / _WIDE, y - 5 / _HIGH), 18 / _WIDE, 10 / _HIGH, color=_COLOUR["accent-soft"])
    mark = Line2D([130 / _WIDE, 148 / _WIDE], [y, y], color=_COLOUR["mark"], linewidth=2.2)
    figure.add_artist(bar)
    figure.add_artist(mark)
    _line(figure, y_px, "recorded", size=_PT, colour=_MUTED, x_px=45)
    _line(figure, y_px, "fitted", size=_PT, colour=_MUTED, x_px=155)


def _all_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _table(document: Mapping[str, Any]) -> Table:
    rows = [
        [f"{row['hour']:02d} h", f"{100 * row['recorded']:.1f} %", f"{100 * row['fitted']:.1f} %"]
        for row in document["hours"]
    ]
    for name in ("weekdays", "months", "sizes"):
        rows += [[row["name"], f"{row['recorded']:.3g}", f"{row['fitted']:.3g}"] for row in document[name]]
    return Table(["What", "Recorded", "Fitted"], rows)
