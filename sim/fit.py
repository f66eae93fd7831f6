"""Demand fitted to a log: what the orders of a real store say of rates, sizes and SKUs, as a scenario.

The log is CSV (or CSV.gz) or XLSX with columns that the caller names, one line of an order a row. What is
fitted is what `orders.DemandParams` can express: orders on an average working day, factors by month and by
weekday, how much days vary beyond that, the parts of the day, sizes, shares of the SKUs, working days.
Left out: due times, stations, orders of several SKUs (each counts once for every SKU), a trend over years,
and sizes that depend on the SKU or the hour. Everything else is that of a base scenario.
"""

import csv
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from sim.calendar import DAY_MS, WEEKDAYS
from sim.orderlog import OPS, SECONDS, Faults, OrderLogError, is_arrival, opened, time_of
from sim.replay import MOST_ROWS
from sim.scenario import Loaded, ScenarioError, load, scenario_files
from sim.statistics import poisson_interval, share_interval
from sim.stocklist import CellError, Table, ending_of, sheet_rows, whole_number
from sim.streams import lognormal, normal_quantile
from sim.trace import sync_folder
from sim.words import near, one_of, show

Floats = npt.NDArray[np.float64]

LEVEL: Final = 0.95
"""Confidence of every interval."""

LEAST_ORDERS: Final = 30
"""A log of fewer orders is refused: nothing could be said of its rates."""

MOST_SKUS: Final = 1000
"""As many as a scenario may have."""

CLOSED_SHARE: Final = 0.05
"""A weekday with less than this share of the busiest one's orders is taken for one without work."""

GRID_MIN: Final = 15
"""Parts of the day begin and end on this grid, in minutes."""

_MOST_METERS: Final = 10_000_000
_LONGEST_NAME: Final = 64
_GRID: Final = 1440 // GRID_MIN
_KOLMOGOROV: Final = 1.358
"""Times 1/sqrt(n): the gap that samples of a known distribution exceed in 5 % of cases (Kolmogorov 1933)."""
_LILLIEFORS: Final = 0.886
"""The same where mean and deviation were fitted to the sample (Lilliefors, JASA 62, 1967)."""


class Columns(NamedTuple):
    """The headings of a log's columns; None for one that it has not.

    Without `quantity` a row is one full box; without `kind` every row is an order; without `order` every row
    is an order of its own.
    """

    time: str
    sku: str
    quantity: str | None = None
    kind: str | None = None
    order: str | None = None


class Estimate(NamedTuple):
    """A fitted value with the bounds of its interval and the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int


class Window(NamedTuple):
    """A part of the day, from and to in minutes from midnight, with its share of the orders."""

    start_min: int
    end_min: int
    share: float


class Goodness(NamedTuple):
    """How far the fitted distribution lies from the recorded one.

    Attributes
    ----------
    gap : largest difference of the two cumulative shares (Kolmogorov-Smirnov D), 0 to 1.
    limit : what chance alone exceeds in 5 % of logs of this size.
    n : observations.
    """

    name: str
    gap: float
    limit: float
    n: int

    @property
    def fits(self) -> bool:
        """Whether chance alone may explain the gap."""
        return self.gap <= self.limit

    @property
    def words(self) -> str:
        """The figure in a sentence."""
        gap, limit = f"{100 * self.gap:.1f} %", f"{100 * self.limit:.1f} %"
        verdict = f"chance alone gives up to {limit}" if self.fits else f"more than the {limit} of chance"
        return f"{self.name}: cumulative shares differ by at most {gap} (n = {self.n:,}), {verdict}"


@dataclass
class Orders:
    """The orders of a log, one for each SKU of an order, in order of time.

    Attributes
    ----------
    at_ms : instants, in ms since 00:00 of `first`.
    first, days : the day on which the log begins, and how many days it covers, both ends included.
    skus : their names, the one with the most meters first.
    arrivals_ms : instants at which boxes came, where the log has them.
    numbers : orders before they were split by SKU.
    """

    at_ms: npt.NDArray[np.int64]
    sku: npt.NDArray[np.int64]
    meters: npt.NDArray[np.int64]
    skus: list[str]
    first: date
    days: int
    arrivals_ms: npt.NDArray[np.int64]
    numbers: int


@dataclass
class Fitted:
    """Demand that was fitted to a log, with intervals, and recorded beside fitted figures."""

    log: str
    base: str
    orders: Orders
    orders_per_day: Estimate
    months: dict[int, Estimate]
    """By calendar month, 1 to 12, those that the log covers."""
    weekdays: dict[int, Estimate]
    """By weekday, Monday 0, those with work."""
    holidays: list[date]
    dispersion: float
    """Variance of the orders of a day over that of Poisson numbers of the same mean."""
    day_cv: Estimate
    windows: list[Window]
    mean_meters: Estimate
    size_cv: Estimate
    full_box_share: Estimate
    cap_boxes: int
    meters_per_box: int
    shares: list[Estimate]
    """In meters, one a SKU of `orders.skus`."""
    order_shares: list[float]
    """The same in orders."""
    arrive: tuple[int, int] | None
    """When boxes come, minutes from midnight: 5th and 95th percentile on the grid."""
    goodness: list[Goodness]
    tables: dict[str, list[dict[str, Any]]]
    """Recorded beside fitted: "hours", "weekdays", "months", "sizes", "skus"."""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything but the rows of the log, ready for JSON."""
        values = {
            "demand.orders_per_day": self.orders_per_day, "demand.day_cv": self.day_cv,
            "demand.mean_meters": self.mean_meters, "demand.size_cv": self.size_cv,
            "demand.full_box_share": self.full_box_share,
            **{f"demand.months[{month - 1}]": factor for month, factor in self.months.items()},
            **{f"demand.weekdays[{day}]": factor for day, factor in self.weekdays.items()},
            **{f"skus[{k}].share": share for k, share in enumerate(self.shares)},
        }  # fmt: skip
        return {
            "log": self.log,
            "base": self.base,
            "orders": len(self.orders.at_ms),
            "order_numbers": self.orders.numbers,
            "arrivals": len(self.orders.arrivals_ms),
            "from": self.orders.first.isoformat(),
            "days": self.orders.days,
            "working_weekdays": [WEEKDAYS[day] for day in self.weekdays],
            "holidays": [day.isoformat() for day in self.holidays],
            "dispersion": self.dispersion,
            "values": {name: estimate._asdict() for name, estimate in values.items()},
            "cap_boxes": self.cap_boxes,
            "windows": [
                {"start": _clock(w.start_min), "end": _clock(w.end_min), "share": w.share}
                for w in self.windows
            ],
            "goodness": [{**g._asdict(), "fits": g.fits, "words": g.words} for g in self.goodness],
            **self.tables,
            "notes": self.notes,
        }


def fit_log(
    path: Path | str,
    columns: Columns,
    base: Loaded,
    *,
    in_boxes: bool = False,
    start: date | None = None,
    progress: Callable[[float], None] | None = None,
) -> Fitted:
    """Fit the demand of a scenario to a log.

    Parameters
    ----------
    path : CSV, CSV.gz or XLSX; UTF-8 or GB18030. Times are dates and times, by the clock as it is written, or
        seconds from `start`. A kind is one of the words of `orderlog.OPS`; quantities are whole numbers.
    base : the scenario that gives meters a box and, in the end, everything that the log does not say.
    in_boxes : quantities are boxes, not meters.
    start : the day of second 0; that of the base when not given. Of no use for dates.

    Raises
    ------
    OrderLogError, StockListError
        With the faults of the file by row, and for less than `LEAST_ORDERS` orders.
    """
    tick = progress or (lambda _done: None)
    box = base.scenario.boxes.meters_per_box
    orders = read_orders_log(
        Path(path), columns, box, in_boxes=in_boxes, start=start or base.scenario.time.start,
        progress=lambda done: tick(0.7 * done),
    )  # fmt: skip
    return fit_orders(orders, box, log=Path(path).name, base=base)


def fit_orders(orders: Orders, meters_per_box: int, *, log: str, base: Loaded) -> Fitted:
    """Fit demand to orders that were read, or made by a model; see `fit_log`."""
    days = _Days(orders)
    minutes = (orders.at_ms[days.is_counted] % DAY_MS) / 60_000
    windows = fit_windows(minutes)
    sizes = _Sizes(orders.meters, meters_per_box)
    weights = orders.meters.astype(np.float64)
    shares, order_shares = _shares(orders.sku, weights, len(orders.skus))
    fitted = Fitted(
        log=log, base=base.shown or base.scenario.name, orders=orders,
        orders_per_day=days.per_day, months=days.months, weekdays=days.weekdays, holidays=days.holidays,
        dispersion=days.dispersion, day_cv=days.day_cv, windows=windows,
        mean_meters=sizes.mean, size_cv=sizes.cv, full_box_share=sizes.full_share,
        cap_boxes=sizes.cap_boxes, meters_per_box=meters_per_box, shares=shares, order_shares=order_shares,
        arrive=_arrive(orders.arrivals_ms),
        goodness=[days.goodness(), _time_goodness(minutes, windows), sizes.goodness()],
        tables={
            "hours": _hours(minutes, windows), **days.tables(), "sizes": sizes.table(),
            "skus": [
                {"sku": name, **share._asdict(), "of_orders": of_orders}
                for name, share, of_orders in zip(orders.skus, shares, order_shares, strict=True)
            ],
        },
    )  # fmt: skip
    fitted.notes = list(_notes(fitted, days))
    return fitted


# -- The log ------------------------------------------------------------------------------------------------


def read_orders_log(
    path: Path,
    columns: Columns,
    meters_per_box: int,
    *,
    in_boxes: bool = False,
    start: date,
    progress: Callable[[float], None] | None = None,
) -> Orders:
    """The orders of a log, and when boxes came; see `fit_log`. Raises with every fault, by row."""
    faults = Faults(path, ":")
    rows = _Rows(faults, columns, meters_per_box if in_boxes else 1)
    if columns.quantity is None:
        rows.scale = meters_per_box
    for number, cells in _lines(path, faults, progress or (lambda _done: None)):
        rows.take(number, cells)
    if not rows.at and not faults.lines:
        raise faults.stop(f"the headings {', '.join(map(show, rows.wanted))}", "an empty file")
    faults.refuse()
    if len(rows.orders) < LEAST_ORDERS:
        raise faults.stop(f"at least {LEAST_ORDERS} orders to fit to", f"{len(rows.orders):,}")
    return rows.settled(start)


def _lines(path: Path, faults: Faults, tick: Callable[[float], None]) -> Iterator[tuple[int, list[Any]]]:
    """Every row of a file that is not blank, the headings first, with its number."""
    if path.name.lower().endswith(".csv.gz"):
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise faults.stop("a log in .csv, .csv.gz or .xlsx", found)
    elif ending_of(table := Table(path, {})) == ".xlsx":
        for number, cells in sheet_rows(table):
            if any(cell not in ("", None) for cell in cells):
                yield number, cells
        return
    with opened(path, faults, tick) as file:
        lines = file.lines(faults)
        first = next((line for line in lines if line.strip()), "")
        skipped = file.line - 1
        rows = csv.reader(
            itertools.chain([first], lines), delimiter=max(",;\t", key=first.count), strict=True
        )
        try:
            for cells in rows:
                if any(map(str.strip, cells)):
                    yield skipped + rows.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise faults.stop_at(skipped + rows.line_num, "a row of CSV", str(error)) from None


class _Rows:
    """What the rows of a log say, read one by one."""

    def __init__(self, faults: Faults, columns: Columns, scale: int) -> None:
        self.faults = faults
        self.columns = columns
        self.scale = scale
        """Meters of a quantity of 1."""
        self.at: dict[str, int] = {}
        self.wanted = [name for name in columns if name is not None]
        self.orders: dict[tuple[str, int], list[int]] = {}
        """Time in ms and meters by (number of the order, SKU)."""
        self.arrivals: list[int] = []
        self.skus: dict[str, int] = {}
        self.numbers: set[str] = set()
        self._width = 0
        self._is_seconds: bool | None = None
        self._clock_row = 0
        self._rows = 0

    def take(self, number: int, cells: list[Any]) -> None:
        """Read the headings, or a row; what is wrong with it becomes a fault."""
        if not self.at:
            self._read_headings(number, cells)
            return
        self._rows += 1
        if self._rows > MOST_ROWS:
            raise self.faults.stop(f"at most {MOST_ROWS:,} rows", "more")
        while len(cells) > self._width and cells[-1] in ("", None):
            cells.pop()
        if len(cells) > self._width:
            self.faults.add(number, "", f"{self._width} cells", str(len(cells)))
            return
        cells = [*cells, *[""] * (self._width - len(cells))]
        moment = self._moment(number, self._cell(cells, self.columns.time))
        sku = self._sku(number, self._cell(cells, self.columns.sku))
        meters = self._meters(number, cells)
        arrives = self._arrives(number, cells)
        order = self._order(number, cells)
        if moment is None or meters is None or sku is None or arrives is None or order is None:
            return
        if arrives:
            self.arrivals.append(moment)
            return
        self.numbers.add(order)
        known = self.orders.setdefault((order, sku), [moment, 0])
        known[0] = min(known[0], moment)
        known[1] += meters

    def _read_headings(self, number: int, cells: list[Any]) -> None:
        heads = [_text(cell) for cell in cells]
        folded = [head.lower() for head in heads]
        self._width = len(heads)
        for name in self.wanted:
            count = folded.count(name.strip().lower())
            if count == 1:
                self.at[name] = folded.index(name.strip().lower())
            else:
                found = f"{count} of them" if count else f"none{near(name, heads)}"
                self.faults.add(number, "", f"a column {show(name)}", found)
        self.faults.refuse()  # every row would only repeat it

    def _cell(self, cells: list[Any], name: str) -> Any:
        return cells[self.at[name]]

    def _moment(self, number: int, cell: Any) -> int | None:
        """Milliseconds by the clock of the log."""
        value = _OFFSET.sub("", cell) if isinstance(cell, str) else cell
        if isinstance(value, date):
            value = value.isoformat()
        found = time_of(value)
        if found is None:
            expected = "seconds from 0 or a date and time as 2026-03-02T08:30"
            self.faults.add(number, self.columns.time, expected, _shown(cell))
            return None
        is_seconds = found[1] == SECONDS
        if self._is_seconds is None:
            self._is_seconds, self._clock_row = is_seconds, number
        if is_seconds != self._is_seconds:
            kind = "seconds" if self._is_seconds else "a date and time"
            self.faults.add(number, self.columns.time, f"{kind} as in row {self._clock_row}", _shown(cell))
            return None
        return found[0]

    def _sku(self, number: int, cell: Any) -> int | None:
        name = _text(cell)
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            self.faults.add(
                number, self.columns.sku, f"a name of 1 to {_LONGEST_NAME} characters", _shown(cell)
            )
            return None
        if name not in self.skus and len(self.skus) == MOST_SKUS:
            raise self.faults.stop_at(number, f"at most {MOST_SKUS:,} SKUs", "one more")
        return self.skus.setdefault(name, len(self.skus))

    def _meters(self, number: int, cells: list[Any]) -> int | None:
        name = self.columns.quantity
        if name is None:
            return self.scale
        cell = self._cell(cells, name)
        try:
            return self.scale * whole_number(cell, _MOST_METERS // self.scale)
        except CellError as wrong:
            self.faults.add(number, name, wrong.expected.removeprefix("expected "), _shown(cell))
            return None

    def _arrives(self, number: int, cells: list[Any]) -> bool | None:
        name = self.columns.kind
        if name is None:
            return False
        cell = self._cell(cells, name)
        arrives = is_arrival(cell)
        if arrives is None:
            self.faults.add(number, name, one_of(list(OPS)), _shown(cell) + near(cell, OPS))
        return arrives

    def _order(self, number: int, cells: list[Any]) -> str | None:
        name = self.columns.order
        if name is None:
            return str(number)
        text = _text(self._cell(cells, name))
        if not text and self._arrives_quietly(cells):
            return ""
        if not text:
            self.faults.add(number, name, "the number of the order", "nothing")
            return None
        return text

    def _arrives_quietly(self, cells: list[Any]) -> bool:
        """Whether the row is an arrival, which needs no number of an order."""
        return self.columns.kind is not None and bool(is_arrival(self._cell(cells, self.columns.kind)))

    def settled(self, start: date) -> Orders:
        """The rows in order of time; seconds count from `start`, where what comes at 0 is stock."""
        rows = sorted((at, sku, meters) for (_, sku), (at, meters) in self.orders.items())
        arrivals = sorted(at for at in self.arrivals if at or not self._is_seconds)
        begin_ms = min(rows[0][0], arrivals[0] if arrivals else rows[0][0]) // DAY_MS * DAY_MS
        end_ms = max(rows[-1][0], arrivals[-1] if arrivals else 0)
        origin = start if self._is_seconds else date(1970, 1, 1)
        table = np.array(rows, np.int64)
        names = list(self.skus)
        meters = np.bincount(table[:, 1], table[:, 2], len(names))
        ordered = [k for k in np.argsort(-meters, kind="stable").tolist() if meters[k]]
        rank = np.zeros(len(names), np.int64)
        rank[ordered] = np.arange(len(ordered))
        return Orders(
            at_ms=table[:, 0] - begin_ms, sku=rank[table[:, 1]], meters=table[:, 2],
            skus=[names[k] for k in ordered],
            first=origin + timedelta(days=begin_ms // DAY_MS), days=(end_ms - begin_ms) // DAY_MS + 1,
            arrivals_ms=np.array(arrivals, np.int64) - begin_ms, numbers=len(self.numbers),
        )  # fmt: skip


_OFFSET: Final = re.compile(r"(?<=:[0-9]{2})(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})$")
"""An offset behind a time: the fit goes by the clock of the store."""


def _text(cell: Any) -> str:
    """The text of a cell; a sheet keeps 15 as 15.0."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None or isinstance(cell, bool | date) else str(cell).strip()


def _shown(cell: Any) -> str:
    if cell in ("", None):
        return "nothing"
    return str(cell) if isinstance(cell, date | datetime) else show(cell)


# -- Days ---------------------------------------------------------------------------------------------------


class _Days:
    """Orders a day as a product of a mean, a factor of the month and one of the weekday.

    The factors are those of the greatest likelihood of Poisson numbers, found by scaling rows and columns in
    turn (Deming and Stephan, Annals of Mathematical Statistics 11, 1940). Where days vary by more than
    Poisson numbers would, intervals are wider by the square root of the dispersion (quasi-likelihood:
    Wedderburn, Biometrika 61, 1974), and `day_cv` says how much the mean of a day varies.
    """

    def __init__(self, orders: Orders) -> None:
        self.dates = [orders.first + timedelta(days=day) for day in range(orders.days)]
        day_of = orders.at_ms // DAY_MS
        self.counts = np.bincount(day_of, minlength=orders.days)
        self.weekday = np.array([day.weekday() for day in self.dates])
        self.month = np.array([day.month for day in self.dates])
        open_days = self._open_days()
        empty = open_days & (self.counts == 0)
        self.holidays: list[date] = []
        self._fit(open_days & ~empty)
        if self._are_holidays(empty):
            self.holidays = [day for day, is_empty in zip(self.dates, empty, strict=True) if is_empty]
        elif empty.any():
            self._fit(open_days)
        self.is_counted = self.works[day_of]
        """Which orders came on days with work."""
        self.outside = int((~self.is_counted).sum())
        self._bound()

    def _open_days(self) -> npt.NDArray[np.bool_]:
        """The days of weekdays with work."""
        present = np.bincount(self.weekday, minlength=7)
        rate = np.bincount(self.weekday, self.counts, 7) / np.maximum(present, 1)
        return np.asarray((rate >= CLOSED_SHARE * rate.max())[self.weekday])

    def _fit(self, works: npt.NDArray[np.bool_]) -> None:
        self.works = works
        self._scale()
        self._disperse()

    def _are_holidays(self, empty: npt.NDArray[np.bool_]) -> bool:
        """Whether more days are empty than chance would leave so in one log of a hundred."""
        from scipy.special import pdtr

        means = np.outer(self.expected[self.works | empty], _busyness(self.day_cv.value))
        by_chance = float(np.exp(-means).mean(axis=1).sum())
        count = int(empty.sum())
        return count > 0 and 1 - float(pdtr(count - 1, by_chance)) < 0.01

    def _scale(self) -> None:
        table, exposure = np.zeros((13, 7)), np.zeros((13, 7))
        np.add.at(table, (self.month[self.works], self.weekday[self.works]), self.counts[self.works])
        np.add.at(exposure, (self.month[self.works], self.weekday[self.works]), 1)
        months, weekdays = np.ones(13), np.ones(7)
        for _ in range(500):
            before = months.copy()
            months = _ratio(table.sum(1), exposure @ weekdays)
            weekdays = _ratio(table.sum(0), months @ exposure)
            if np.allclose(before, months, rtol=1e-12, atol=0):
                break
        has_month, has_day = exposure.sum(1) > 0, exposure.sum(0) > 0
        self._month_mean, self._day_mean = months[has_month].mean(), weekdays[has_day].mean()
        self.mean = float(self._month_mean * self._day_mean)
        self.month_factor = months / self._month_mean
        self.day_factor = weekdays / self._day_mean
        self._table, self._exposure = table, exposure
        self.expected = self.mean * self.month_factor[self.month] * self.day_factor[self.weekday]

    def _disperse(self) -> None:
        from scipy.special import chdtrc

        counts, expected = self.counts[self.works].astype(np.float64), self.expected[self.works]
        factors = int((self._exposure.sum(1) > 0).sum() + (self._exposure.sum(0) > 0).sum()) - 1
        freedom = max(1, len(counts) - factors)
        squares = (counts - expected) ** 2
        chi = float((squares / np.maximum(expected, 1e-12)).sum())
        self.dispersion = chi / freedom
        self.chance = float(chdtrc(freedom, chi))
        """Of a chi-squared as large as this, were the days Poisson."""
        cv2 = float((squares * len(counts) / freedom - expected).sum() / (expected**2).sum())
        cv = math.sqrt(max(cv2, 0.0)) if self.chance < 0.01 else 0.0
        self.day_cv = Estimate(cv, *_cv_bounds(cv, expected), len(counts))

    def _bound(self) -> None:
        wide = max(1.0, self.dispersion) if self.chance < 0.01 else 1.0

        def estimate(value: float, events: float, exposure: float) -> Estimate:
            low, high = poisson_interval(round(events / wide), LEVEL, exposure=exposure / wide)
            return Estimate(value, min(low, value), max(high, value), round(events))

        total = float(self._table.sum())
        self.per_day = estimate(self.mean, total, total / self.mean)
        self.months = {
            month: estimate(float(self.month_factor[month]), events, events / float(self.month_factor[month]))
            for month in range(1, 13)
            if (events := float(self._table[month].sum()))
        }
        self.weekdays = {
            day: estimate(float(self.day_factor[day]), events, events / float(self.day_factor[day]))
            for day in range(7)
            if (events := float(self._table[:, day].sum()))
        }

    def goodness(self) -> Goodness:
        """Orders a day: the recorded numbers against those that the fitted demand gives."""
        counts, expected = self.counts[self.works], self.expected[self.works]
        means = np.outer(expected, _busyness(self.day_cv.value)).ravel()
        fitted = _poisson_cdf(int(counts.max()), means)
        found = np.cumsum(np.bincount(counts, minlength=len(fitted))) / len(counts)
        gap = float(np.abs(found - fitted).max())
        return Goodness("orders a day", gap, _LILLIEFORS / math.sqrt(len(counts)), len(counts))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Mean orders of a working day by weekday and by month, recorded and fitted."""

        def row(name: str, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
            days = int(chosen.sum())
            recorded, fitted = float(self.counts[chosen].mean()), float(self.expected[chosen].mean())
            return {"name": name, "days": days, "recorded": recorded, "fitted": fitted}

        return {
            "weekdays": [row(WEEKDAYS[day], self.works & (self.weekday == day)) for day in self.weekdays],
            "months": [row(_MONTHS[m - 1], self.works & (self.month == m)) for m in self.months],
        }


def _cv_bounds(cv: float, expected: Floats) -> tuple[float, float]:
    """Bounds of a day's coefficient of variation, by moments, even in its logarithm.

    The standard error of its square is that of the squared deviations of the days, whose fourth moments are
    those of Poisson numbers with a lognormal mean.
    """
    if cv == 0.0:
        return 0.0, 0.0
    means = np.outer(expected, _busyness(cv))
    apart = means - expected[:, None]
    second = (means + apart**2).mean(axis=1)
    fourth = (means + 3 * means**2 + 4 * apart * means + 6 * apart**2 * means + apart**4).mean(axis=1)
    error = math.sqrt(float((fourth - second**2).sum())) / float((expected**2).sum())
    wide = math.exp(normal_quantile((1 + LEVEL) / 2) * error / (2 * cv * cv))
    return cv / wide, cv * wide


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _ratio(events: Floats, exposure: Floats) -> Floats:
    """Events over exposure; 1 where nothing was seen."""
    return np.where(exposure > 0, events / np.where(exposure > 0, exposure, 1.0), 1.0)


def _busyness(day_cv: float) -> Floats:
    """Factors of a day that are equally likely, as `OrderBook.busyness` draws them."""
    if day_cv == 0.0:
        return np.ones(1)
    return np.array([lognormal((k + 0.5) / 200, 1.0, day_cv) for k in range(200)])


def _poisson_cdf(most: int, means: Floats) -> Floats:
    """The mean chance, over Poisson numbers of these means, of at most 0, 1, ... `most`."""
    from scipy.special import pdtr

    return np.array([float(pdtr(k, means).mean()) for k in range(most + 1)])


# -- The day ------------------------------------------------------------------------------------------------


def fit_windows(minutes: Floats) -> list[Window]:
    """The parts of the day that a log supports, each with an even rate; their shares sum to 1.

    The cut into parts that has the greatest likelihood less ln(n) a part, by dynamic programming over a grid
    of `GRID_MIN` (Scargle et al., Bayesian blocks, The Astrophysical Journal 764, 2013; the price of a part
    is that of Schwarz, Annals of Statistics 6, 1978, for its end and its rate).

    Parameters
    ----------
    minutes : times of day, in minutes from midnight.
    """
    bins = np.bincount((minutes / GRID_MIN).astype(np.int64), minlength=_GRID)[:_GRID]
    total = np.concatenate([[0], np.cumsum(bins)])
    n = int(total[-1])
    price = math.log(n)
    best, cut = [0.0], [0]
    for end in range(1, _GRID + 1):
        scores = [
            best[start] + _even(int(total[end] - total[start]), end - start, n) - price
            for start in range(end)
        ]
        cut.append(max(range(end), key=scores.__getitem__))
        best.append(scores[cut[-1]])
    edges = [_GRID]
    while edges[0]:
        edges.insert(0, cut[edges[0]])
    parts = [(a, b, int(total[b] - total[a])) for a, b in itertools.pairwise(edges) if total[b] > total[a]]
    shares = _rounded([count / n for _, _, count in parts])
    return [
        Window(a * GRID_MIN, b * GRID_MIN, share)
        for (a, b, _), share in zip(parts, shares, strict=True)
        if share > 0
    ]


def _even(count: int, bins: int, n: int) -> float:
    """The logarithm of the likelihood of so many of n orders in a part with an even rate."""
    return count * math.log(count / n / bins) if count else 0.0


def _rounded(shares: Sequence[float], places: int = 5) -> list[float]:
    """Shares in decimals that sum to 1 still: the largest remainders are rounded up."""
    unit = 10**places
    floors = [math.floor(share * unit) for share in shares]
    left = unit - sum(floors)
    by_rest = sorted(range(len(shares)), key=lambda k: floors[k] - shares[k] * unit)
    for k in by_rest[:left]:
        floors[k] += 1
    return [floor / unit for floor in floors]


def _time_goodness(minutes: Floats, windows: Sequence[Window]) -> Goodness:
    """Time of day; the limit is that of a distribution that is known, and so too kind to a fitted one."""
    at = np.sort(minutes)
    n = len(at)
    fitted = _day_cdf(at, windows)
    gap = max(float((np.arange(1, n + 1) / n - fitted).max()), float((fitted - np.arange(n) / n).max()))
    return Goodness("time of day", gap, _KOLMOGOROV / math.sqrt(n), n)


def _day_cdf(at: Floats, windows: Sequence[Window]) -> Floats:
    """The share of orders up to times of day."""
    below = np.zeros(len(at))
    for window in windows:
        width = window.end_min - window.start_min
        below += window.share * np.clip((at - window.start_min) / width, 0, 1)
    return below


def _hours(minutes: Floats, windows: Sequence[Window]) -> list[dict[str, Any]]:
    """Shares of the orders by hour."""
    found = np.bincount((minutes // 60).astype(np.int64), minlength=24) / len(minutes)
    fitted = np.diff(_day_cdf(np.arange(0.0, 1441.0, 60.0), windows))
    return [
        {"hour": hour, "recorded": float(found[hour]), "fitted": float(fitted[hour])} for hour in range(24)
    ]


def _arrive(arrivals_ms: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    if len(arrivals_ms) < LEAST_ORDERS:
        return None
    early, late = np.quantile(arrivals_ms % DAY_MS / 60_000, (0.05, 0.95))
    start = int(early // GRID_MIN) * GRID_MIN
    return start, min(1440, max(start + GRID_MIN, math.ceil(late / GRID_MIN) * GRID_MIN))


# -- Sizes --------------------------------------------------------------------------------------------------


class _Sizes:
    """Order sizes as `OrderBook.size` draws them: lognormal, cut at a largest order, in boxes or in meters.

    Mean, coefficient of variation and share of orders for whole boxes are those of the greatest likelihood;
    intervals come from its curvature (Wald).
    """

    def __init__(self, meters: npt.NDArray[np.int64], box: int) -> None:
        self.box = box
        self.sizes, self.times = np.unique(meters, return_counts=True)
        self.n = len(meters)
        self.cap_boxes = max(1, math.ceil(int(self.sizes[-1]) / box))
        self._whole = self.sizes % box == 0
        observed = float(self.times[self._whole].sum()) / self.n
        if len(self.sizes) == 1:
            value = float(self.sizes[0])
            self.mean, self.cv = Estimate(value, value, value, self.n), Estimate(0.0, 0.0, 0.0, self.n)
            share = share_interval(round(observed * self.n), self.n, LEVEL)
            self.full_share = Estimate(share.mean, share.low, share.high, self.n)
            return
        self._fit(observed)

    def _fit(self, observed: float) -> None:
        from scipy.optimize import minimize

        mean = float((self.sizes * self.times).sum()) / self.n
        logs = np.log(self.sizes)
        centre = float((logs * self.times).sum()) / self.n
        spread = math.sqrt(float(((logs - centre) ** 2 * self.times).sum()) / self.n)
        # A share that only one kind of size shows is fixed; logarithms keep all in their range.
        is_free = 0.0 < observed < 1.0
        begin = [math.log(mean), math.log(max(0.05, math.sqrt(math.expm1(min(spread**2, 4.0)))))]
        if is_free:
            begin.append(math.log(observed / (1 - observed)))
        fixed = observed

        def loss(theta: Floats) -> float:
            share = 1 / (1 + math.exp(-theta[2])) if is_free else fixed
            return self._loss(math.exp(theta[0]), math.exp(theta[1]), share)

        bounds = [(-5.0, 20.0), (-6.0, 2.3), (-15.0, 15.0)][: len(begin)]
        options: Any = {"xatol": 1e-7, "fatol": 1e-7, "maxiter": 4000, "maxfev": 4000}
        found = minimize(loss, np.array(begin), method="Nelder-Mead", bounds=bounds, options=options).x
        errors = _errors(loss, found)
        z = normal_quantile((1 + LEVEL) / 2)

        def estimate(k: int, back: Callable[[float], float]) -> Estimate:
            low, high = back(found[k] - z * errors[k]), back(found[k] + z * errors[k])
            return Estimate(back(float(found[k])), low, high, self.n)

        self.mean, self.cv = estimate(0, _exp), estimate(1, _exp)
        if is_free:
            self.full_share = estimate(2, lambda x: 1 / (1 + _exp(-x)))
        else:
            share = share_interval(round(observed * self.n), self.n, LEVEL)
            self.full_share = Estimate(share.mean, share.low, share.high, self.n)

    def _loss(self, mean: float, cv: float, share: float) -> float:
        """Minus the logarithm of the likelihood."""
        chance = self._chances(self.sizes, mean, cv, share)
        return -float((np.log(np.maximum(chance, 1e-300)) * self.times).sum())

    def _chances(self, sizes: npt.NDArray[np.int64], mean: float, cv: float, share: float) -> Floats:
        """The chance of each size."""
        exact = sizes.astype(np.float64)
        loose = self._binned(sizes, exact - 0.5, exact + 0.5, 1, self.cap_boxes * self.box, mean, cv)
        boxes = exact / self.box
        full = self._binned(
            sizes, (boxes - 0.5) * self.box, (boxes + 0.5) * self.box, self.box, self.cap_boxes * self.box,
            mean, cv,
        )  # fmt: skip
        return share * np.where(sizes % self.box == 0, full, 0.0) + (1 - share) * loose

    def _binned(
        self, sizes: npt.NDArray[np.int64], low: Floats, high: Floats, least: int, most: int,
        mean: float, cv: float,
    ) -> Floats:  # fmt: skip
        """The chance of a lognormal size between bounds; the least and the largest take what lies beyond."""
        from scipy.special import ndtr

        variance = math.log1p(cv * cv)
        centre, spread = math.log(mean) - variance / 2, math.sqrt(variance)
        below = np.where(sizes <= least, 0.0, ndtr((np.log(np.maximum(low, 1e-9)) - centre) / spread))
        upto = np.where(sizes >= most, 1.0, ndtr((np.log(high) - centre) / spread))
        return np.asarray(upto - below, np.float64)

    def _cumulative(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Every size that the fitted demand gives, and the chance of at most so many meters."""
        most = self.cap_boxes * self.box
        if self.cv.value == 0.0:
            return self.sizes, np.ones(1)
        if most <= _MOST_SIZES:
            sizes = np.arange(1, most + 1)
        else:
            sizes = np.unique(np.concatenate([self.sizes, np.arange(self.box, most + 1, self.box)]))
        chances = self._chances(sizes, self.mean.value, self.cv.value, self.full_share.value)
        return sizes, np.cumsum(chances)

    def goodness(self) -> Goodness:
        """Order sizes; a gap of zero where all orders are of one size."""
        sizes, fitted = self._cumulative()
        found = np.cumsum(self.times) / self.n
        at = np.searchsorted(self.sizes, sizes, side="right")
        recorded = np.concatenate([[0.0], found])[at]
        gap = float(np.abs(recorded - fitted).max())
        return Goodness("order sizes", gap, _LILLIEFORS / math.sqrt(self.n), self.n)

    def table(self) -> list[dict[str, Any]]:
        """Mean and percentiles of the sizes in meters, and the share of whole boxes, recorded and fitted."""
        sizes, fitted = self._cumulative()
        chances = np.diff(fitted, prepend=0.0)
        found = np.cumsum(self.times) / self.n
        rows: list[dict[str, Any]] = [
            {
                "name": "mean", "unit": "meters",
                "recorded": float((self.sizes * self.times).sum()) / self.n,
                "fitted": float((sizes * chances).sum() / chances.sum()),
            }
        ]  # fmt: skip
        for level in (0.5, 0.9, 0.95, 0.99):
            recorded = float(self.sizes[min(int(np.searchsorted(found, level - 1e-12)), len(found) - 1)])
            model = float(sizes[min(int(np.searchsorted(fitted, level - 1e-12)), len(sizes) - 1)])
            rows.append(
                {"name": f"p{100 * level:.0f}", "unit": "meters", "recorded": recorded, "fitted": model}
            )
        whole = sizes % self.box == 0
        rows.append(
            {
                "name": "whole boxes", "unit": "share",
                "recorded": float(self.times[self._whole].sum()) / self.n,
                "fitted": float(chances[whole].sum() / chances.sum()),
            }
        )  # fmt: skip
        return rows


_MOST_SIZES: Final = 200_000
"""Above so many meters only whole boxes and sizes of the log are looked at."""


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


def _errors(loss: Callable[[Floats], float], at: Floats) -> Floats:
    """Standard errors from the curvature of minus the log-likelihood at its least, by differences."""
    k = len(at)
    step = 1e-3
    curve = np.zeros((k, k))
    for i, j in itertools.product(range(k), repeat=2):
        a, b = step * np.eye(k)[i], step * np.eye(k)[j]
        curve[i, j] = (loss(at + a + b) - loss(at + a - b) - loss(at - a + b) + loss(at - a - b)) / (
            4 * step**2
        )
    inverse = np.linalg.pinv(curve)
    return np.asarray(np.sqrt(np.maximum(np.diag(inverse), 0.0)))


# -- SKUs ---------------------------------------------------------------------------------------------------


def _shares(sku: npt.NDArray[np.int64], meters: Floats, skus: int) -> tuple[list[Estimate], list[float]]:
    """The share of each SKU in meters with its interval, and in orders.

    Meters of an order come together: the interval is that of the effective number of orders, the square of
    the sum over the sum of squares (Kish, Survey Sampling, 1965), exact for a share (Clopper and Pearson).
    """
    total = float(meters.sum())
    effective = max(1, round(total**2 / float((meters**2).sum())))
    taken = np.bincount(sku, meters, skus) / total
    orders = np.bincount(sku, minlength=skus)
    estimates = []
    for share, count in zip(taken.tolist(), orders.tolist(), strict=True):
        bounds = share_interval(min(effective, round(share * effective)), effective, LEVEL)
        estimates.append(Estimate(share, min(bounds.low, share), max(bounds.high, share), count))
    return estimates, (orders / len(sku)).tolist()


# -- What is said of it -------------------------------------------------------------------------------------


def _notes(fitted: Fitted, days: _Days) -> Iterator[str]:
    """What a reader has to know of the fit."""
    orders = fitted.orders
    if days.outside:
        closed = [WEEKDAYS[day] for day in range(7) if day not in fitted.weekdays]
        yield (
            f"{days.outside:,} {'order' if days.outside == 1 else 'orders'} on {', '.join(closed)} left out:"
            " less than"
            f" {100 * CLOSED_SHARE:.0f} % of the busiest weekday's, taken for days without work"
        )
    if fitted.holidays:
        count = len(fitted.holidays)
        yield f"{count:,} empty working {'day is' if count == 1 else 'days are'} taken for holidays"
    if len(fitted.months) < 12:
        yield (
            f"the log covers {len(fitted.months)} of 12 months: factors are relative to their mean,"
            " and the other months get 1"
        )
    if fitted.day_cv.value:
        yield (
            f"days vary {fitted.dispersion:.1f} times as much as Poisson numbers:"
            f" the mean of a day varies by {100 * fitted.day_cv.value:.0f} % (demand.day_cv)"
        )
    together = 1 - len(np.unique(orders.at_ms)) / len(orders.at_ms)
    if together > 0.05:
        yield (
            f"{100 * together:.0f} % of the orders are released at the very time of another one:"
            " the model releases each by itself"
        )
    if orders.numbers < len(orders.at_ms):
        lines = len(orders.at_ms) / orders.numbers
        yield f"an order has {lines:.2f} SKUs in the mean: it counts once for each of them"
    apart = max(range(len(orders.skus)), key=lambda k: abs(fitted.shares[k].value - fitted.order_shares[k]))
    share, in_orders = fitted.shares[apart], fitted.order_shares[apart]
    if not share.low <= in_orders <= share.high:
        yield (
            f"sizes depend on the SKU, which the model cannot express: {orders.skus[apart]} has"
            f" {100 * share.value:.1f} % of the meters in {100 * in_orders:.1f} % of the orders"
        )


# -- The scenario -------------------------------------------------------------------------------------------


def write_scenario(fitted: Fitted, base: Loaded, out: Path) -> Loaded:
    """Write the fitted demand as a scenario that extends its base, and load it; whole or not at all.

    Raises ScenarioError where the base needs what the log has not, such as a SKU by its name.
    """
    if out.suffix.lower() != ".toml":
        raise OrderLogError([f"{out}: expected a name in .toml for the scenario, found {show(out.name)}"])
    if not out.parent.is_dir():
        raise OrderLogError([f"{out}: expected a folder for the scenario, found none"])
    if out.exists() and base.path.exists() and out.samefile(base.path):
        raise OrderLogError([f"{out}: expected another file for the scenario, found its base"])
    unfinished = out.with_name(f".{out.stem}.unfinished.toml")
    try:
        unfinished.write_text(scenario_text(fitted, base, out), encoding="utf-8", newline="\n")
        try:
            load(unfinished)
        except ScenarioError as error:
            shown = [line.replace(unfinished.name, out.name) for line in error.lines]
            raise ScenarioError(shown) from None
        unfinished.replace(out)
        sync_folder(out.parent)
    finally:
        unfinished.unlink(missing_ok=True)
    return load(out)


def scenario_text(fitted: Fitted, base: Loaded, out: Path) -> str:
    """The scenario as TOML: values with their intervals, and what comes from the base by its name."""
    orders = fitted.orders
    scenario = base.scenario
    named = scenario_files().get(base.path.stem)
    is_named = named is not None and named.samefile(base.path)
    extends = base.path.stem if is_named else os.path.relpath(base.path.resolve(), out.parent.resolve())
    last = orders.first + timedelta(days=orders.days - 1)
    lines = [
        f"# Demand fitted to {fitted.log}: {len(orders.at_ms):,} orders from {orders.first} to {last}.",
        f"# Behind a value stand the bounds of its interval ({100 * LEVEL:.0f} %). {_verdict(fitted)}",
        *[f"# {note[:1].upper()}{note[1:]}." for note in fitted.notes],
        "",
        f"extends = {_quoted(Path(extends).as_posix())}",
        f"question = {_quoted(f'How does the store fare under the demand of {fitted.log}?')}",
        "",
        "[time]",
        f"start = {orders.first}",
        f"days = {orders.days}",
        f"warmup_days = {min(scenario.time.warmup_days, orders.days - 1)}",
        "",
        "[calendar]",
        f"weekdays = [{', '.join(_quoted(WEEKDAYS[day]) for day in fitted.weekdays)}]",
        f"holidays = [{', '.join(day.isoformat() for day in fitted.holidays)}]",
        "",
        "[demand]",
        'kind = "poisson"',
        _line("orders_per_day", fitted.orders_per_day),
        _line("day_cv", fitted.day_cv),
        _line("mean_meters", fitted.mean_meters),
        _line("size_cv", fitted.size_cv),
        f"cap_boxes = {fitted.cap_boxes}  # the largest order of the log",
        _line("full_box_share", fitted.full_box_share),
        "windows = [",
        *[
            f'    {{ start = "{_clock(w.start_min)}", end = "{_clock(w.end_min)}", share = {w.share:g} }},'
            for w in fitted.windows
        ],
        "]",
        "months = [",
        *_factors(fitted.months, range(1, 13), _MONTHS),
        "]",
        "weekdays = [",
        *_factors(fitted.weekdays, range(7), WEEKDAYS),
        "]",
    ]
    if scenario.demand.campaign is not None:
        lines.append("campaign = { factor = 1.0 }  # the log has its own")
    if fitted.arrive is not None:
        early, late = map(_clock, fitted.arrive)
        lines += [
            "",
            "[supply]",
            f'arrive_from = "{early}"  # 5th percentile of {len(orders.arrivals_ms):,} arrivals',
            f'arrive_to = "{late}"  # 95th',
        ]
    known = {sku.name: sku for sku in scenario.skus}
    for name, share in zip(orders.skus, _sku_shares(fitted), strict=True):
        lines += ["", "[[skus]]", f"name = {_quoted(name)}", share]
        if name in known:
            given = known[name].model_dump(exclude={"name", "share"}, exclude_defaults=True)
            lines += [f"{key} = {_quoted(v) if isinstance(v, str) else v}" for key, v in given.items()]
    return "\n".join(lines) + "\n"


def _verdict(fitted: Fitted) -> str:
    """Which distributions fit, in a sentence."""
    wrong = [g.name for g in fitted.goodness if not g.fits]
    if not wrong:
        return "Orders a day, times of day and sizes fit as well as chance allows."
    return f"By more than chance differ: {', '.join(wrong)}."


def _sku_shares(fitted: Fitted) -> Iterator[str]:
    for share in fitted.shares:
        yield _line("share", share)


def _line(key: str, estimate: Estimate) -> str:
    bounds = "" if estimate.low == estimate.high else f"  # {estimate.low:.4g} to {estimate.high:.4g}"
    return f"{key} = {_plain(estimate.value)}{bounds}"


def _factors(factors: Mapping[int, Estimate], numbers: Iterable[int], names: Sequence[str]) -> Iterator[str]:
    for number, name in zip(numbers, names, strict=True):
        factor = factors.get(number)
        if factor is None:
            yield f"    1.0,  # {name}: not in the log"
        else:
            yield f"    {_plain(factor.value)},  # {name}: {factor.low:.4g} to {factor.high:.4g}"


def _plain(value: float) -> str:
    """A number with five digits that say something, as TOML has it."""
    text = f"{value:.5g}"
    return str(float(text))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
