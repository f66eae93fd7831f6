"""A forecast of the day: each open order's chance of being late, from the stock and the orders of now.

The stock list and the order list of a store are where every replication begins; what is random is what comes
after: new orders, faults, errors. Replication k has the same draws for any number of people (common random
numbers). Left out: trucks that are under way, which the lists do not name; what people and robots have in
hand at the time of the lists.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

from sim.calendar import DAY_MS, WorkCalendar
from sim.orders import ORDER_TYPES, OrderBook, OrderSpec
from sim.scenario import Loaded, Scenario, build_layout, from_dict, full_boxes, resolved
from sim.simulation import Simulation
from sim.statistics import share_interval, t_interval
from sim.stocklist import read_orders, read_stock
from sim.streams import Streams

LEVEL: Final = 0.95
"""Confidence of every interval."""

MOST_DAYS: Final = 7
"""A forecast reaches no farther: trucks under way are not known to it."""

_RANDOM: Final = ("poisson", "stations")
"""Kinds of demand whose new orders a forecast draws."""


class ForecastError(ValueError):
    """What cannot be forecast; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class OpenOrder(NamedTuple):
    """An order of the list; times in ms since 00:00 of the day."""

    name: str
    station: str
    released_ms: int
    due_ms: int
    lines: tuple[tuple[int, int], ...]


class Day(NamedTuple):
    """One replication as a unit of work, for any process."""

    resolved: dict[str, Any]
    """The scenario, which starts on the day; its stock list by its full path."""
    orders: tuple[OpenOrder, ...]
    at_ms: int
    until_ms: int
    new_orders: bool
    seed: int


class Played(NamedTuple):
    """What one replication has shown: when each order was handed over, in ms; None for one that is open."""

    seed: int
    digest: str
    handed_over: tuple[int | None, ...]


def forecast(
    loaded: Loaded,
    stock: Path | str,
    orders: Path | str,
    *,
    until: str,
    day: date | None = None,
    at: str = "00:00",
    replications: int = 100,
    people: Sequence[int] = (),
    new_orders: bool = True,
    seed: int | None = None,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Each open order's chance of being late, with its interval, for one or several numbers of people.

    Parameters
    ----------
    loaded : the store, and what may come: its SKUs are those of the lists.
    stock, orders : lists as `stocklist` reads them. An order without a due time is due `demand.due_h` shift
        hours after its release.
    until : where the forecast ends: a time of the day, or a date and time at most `MOST_DAYS` later.
    day : the day of the lists; if not given, the one on which the last order was released.
    at : time of the day at which the lists were true; nothing happens before it.
    people : values of people.count to compare; the scenario's own when empty.
    new_orders : whether more orders come, as the scenario's demand has it.

    Returns
    -------
    `from`, `until`, `replications`, `seed`, and `cases`, one a number of people, each with `people`, `orders`
    (`order`, `station`, `released`, `due`, `late`: share, low, high, n, None where it is due after the end
    and may still be in time; `open`, the share that is open at the end; `handed_over`: p50 and p95 of those
    handed over, local times) and `late_orders` (mean, low, high, n).

    Raises
    ------
    StockListError
        With the faults of the lists, by row.
    ForecastError, ScenarioError
        For times that do not fit, and values that are wrong.
    """
    scenario = loaded.scenario
    first, listed = _read(scenario, Path(orders), day)
    at_ms = _time(at, first, "--at")
    until_ms = _time(until, first, "--until")
    if not at_ms < until_ms <= MOST_DAYS * DAY_MS:
        last = _local(first, MOST_DAYS * DAY_MS)
        raise ForecastError(
            [f"--until: expected a time after {_local(first, at_ms)}, up to {last}, found {until}"]
        )
    read_stock(stock, build_layout(scenario), [sku.name for sku in scenario.skus], first)
    root = scenario.seed if seed is None else seed
    counts = list(dict.fromkeys(people)) or [scenario.people.count]
    jobs = [
        Day(
            _on_day(scenario, first, until_ms, Path(stock), count),
            tuple(listed),
            at_ms,
            until_ms,
            new_orders,
            root + k,
        )
        for count in counts
        for k in range(replications)
    ]
    played = []
    for outcome in _played(jobs, workers):
        played.append(outcome)
        if progress is not None:
            progress(len(played) / len(jobs))
    cases = []
    for number, count in enumerate(counts):
        runs = played[number * replications : (number + 1) * replications]
        cases.append(_case(count, listed, runs, first, until_ms))
    return {
        "scenario": scenario.name,
        "from": _local(first, at_ms),
        "until": _local(first, until_ms),
        "replications": replications,
        "seed": root,
        "level": LEVEL,
        "cases": cases,
    }


def play(day: Day) -> Played:
    """Play one replication from the lists to the end of the forecast."""
    scenario = from_dict(day.resolved)
    demand = scenario.demand.model_copy(update={"kind": "poisson", "orders_per_day": 0.0})
    quiet = scenario.model_copy(update={"demand": demand})
    simulation = Simulation(quiet, seed=day.seed)
    coming: list[tuple[int, int, OpenOrder | OrderSpec]] = []
    for number, listed in enumerate(day.orders):
        coming.append((max(listed.released_ms, day.at_ms), number, listed))
    if day.new_orders and scenario.demand.kind in _RANDOM:
        for spec in _new_orders(scenario, simulation, day.until_ms // DAY_MS):
            if spec.at_ms >= day.at_ms:
                coming.append((spec.at_ms, len(coming), spec))
    numbers: dict[int, int] = {}
    for at_ms, number, order in sorted(coming, key=lambda each: each[:2]):
        if at_ms >= day.until_ms:
            break
        simulation.advance(at_ms)
        if isinstance(order, OpenOrder):
            released = simulation.warehouse.release_order(number, order.due_ms, order.lines, exogenous=True)
            numbers[released.number] = number
        else:
            due_ms = simulation.calendar.add_open_ms(at_ms, round(scenario.demand.due_h * 3_600_000))
            simulation.warehouse.release_order(order.station, due_ms, order.lines, exogenous=True)
    simulation.advance(day.until_ms + 1)
    handed: list[int | None] = [None] * len(day.orders)
    table = simulation.trace.table("order_handed_over")
    for order_number, time_ms in zip(table["order"].tolist(), table["time_ms"].tolist(), strict=True):
        if order_number in numbers:
            handed[numbers[order_number]] = time_ms
    return Played(day.seed, simulation.trace.digest(), tuple(handed))


def _read(scenario: Scenario, path: Path, day: date | None) -> tuple[date, list[OpenOrder]]:
    """The day, and the orders of the list in its order."""
    start = scenario.time.start if day is None else day
    rows = read_orders(path, [sku.name for sku in scenario.skus], start)
    if not rows:
        raise ForecastError([f"{path}: expected at least one order, found none"])
    later = 0 if day is not None else max(row.released_ms for row in rows) // DAY_MS
    first = start + timedelta(days=later)
    calendar = WorkCalendar(scenario.calendar, first)
    lines: dict[str, list[Any]] = {}
    for row in rows:
        lines.setdefault(row.order, []).append(row)
    orders = []
    for name, group in lines.items():
        released_ms, due_ms = group[0].released_ms - later * DAY_MS, group[0].due_ms
        if due_ms is None:
            due_ms = calendar.add_open_ms(released_ms, round(scenario.demand.due_h * 3_600_000))
        else:
            due_ms -= later * DAY_MS
        wanted = tuple((row.sku, row.meters) for row in group)
        orders.append(OpenOrder(name, group[0].station, released_ms, due_ms, wanted))
    return first, orders


def _on_day(scenario: Scenario, first: date, until_ms: int, stock: Path, people: int) -> dict[str, Any]:
    """The scenario, made to start from the list on the day."""
    values = resolved(scenario)
    values["time"] |= {"start": first.isoformat(), "days": until_ms // DAY_MS + 1, "warmup_days": 0}
    values["initial"] |= {"stock": str(stock.resolve()), "orders": None}
    values["people"] |= {"count": people}
    from_dict(values)  # says what is wrong before anything is played
    return values


def _new_orders(scenario: Scenario, simulation: Simulation, last_day: int) -> Iterator[OrderSpec]:
    """The orders that come by the scenario's demand, from the draws of the run."""
    removed = scenario.returns.sku if scenario.returns.share_here > 0 else None
    book = OrderBook(
        scenario.demand, [0.0 if sku.name == removed else sku.share for sku in scenario.skus],
        simulation.calendar, Streams(simulation.seed),
        meters_per_box=scenario.boxes.meters_per_box, full_boxes=full_boxes(scenario),
    )  # fmt: skip
    for day in range(last_day + 1):
        yield from ORDER_TYPES[scenario.demand.kind](book, day)


def _played(jobs: Sequence[Day], workers: int) -> Iterator[Played]:
    """The outcomes in the order of the jobs; no process is left when the caller ends early."""
    if workers <= 1:
        yield from map(play, jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield from pool.map(play, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


# -- What is told ---------------------------------------------------------------------------------------


def _case(
    people: int, orders: Sequence[OpenOrder], runs: Sequence[Played], first: date, until_ms: int
) -> dict[str, Any]:
    """What the replications with one number of people have shown."""
    n = len(runs)
    rows = []
    late_in = [0] * n
    for number, order in enumerate(orders):
        times = [run.handed_over[number] for run in runs]
        is_late = [order.due_ms <= until_ms if time is None else order.due_ms < time for time in times]
        is_open = [time is None for time in times]
        # One that is open at the end and due after it has no verdict yet.
        unknown = order.due_ms > until_ms and any(is_open)
        late = share_interval(sum(is_late), n, LEVEL)
        for k, value in enumerate(is_late):
            late_in[k] += value
        done = sorted(time for time in times if time is not None)
        rows.append({
            "order": order.name,
            "station": order.station,
            "released": _local(first, order.released_ms),
            "due": _local(first, order.due_ms),
            "late": None if unknown else {"share": late.mean, "low": late.low, "high": late.high, "n": n},
            "open": sum(is_open) / n,
            "handed_over": {
                name: _local(first, done[min(len(done) - 1, int(level * len(done)))]) if done else None
                for name, level in (("p50", 0.5), ("p95", 0.95))
            },
        })  # fmt: skip
    mean = t_interval([float(count) for count in late_in], LEVEL)
    bounds = (mean.low, mean.high) if n > 1 else (None, None)
    return {
        "people": people,
        "orders": rows,
        "late_orders": {"mean": mean.mean, "low": bounds[0], "high": bounds[1], "n": n},
    }


def _time(text: str, first: date, option: str) -> int:
    """A time of the day, or a date and time, in ms since 00:00 of the day."""
    moment = f"{first.isoformat()}T{text}" if len(text) <= 5 else text
    is_midnight = text == "24:00"
    try:
        found = datetime.fromisoformat(moment.replace("24:00", "00:00") if is_midnight else moment)
        since = found - datetime.combine(first, datetime.min.time())
    except (ValueError, TypeError):
        expected = "expected a time of the day as 18:00, or a local time as 2026-03-02T18:00"
        raise ForecastError([f"{option}: {expected}, found {text!r}"]) from None
    return since // timedelta(milliseconds=1) + DAY_MS * is_midnight


def _local(first: date, t_ms: int) -> str:
    """A local time to the minute."""
    moment = datetime.combine(first, datetime.min.time()) + timedelta(milliseconds=t_ms)
    return moment.isoformat(timespec="minutes")
