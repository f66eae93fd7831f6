"""Forecasts: what is certain is known by hand, what is not has an interval, and lists are read or refused."""

import csv
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from sim.forecast import MOST_DAYS, Day, ForecastError, OpenOrder, forecast, play
from sim.scenario import load, resolved
from sim.statistics import share_interval
from sim.stocklist import StockListError

TINY = load("tiny")
MONDAY = "2026-03-02"
STOCK = [
    ("b1", "1-01-1", "A", 15),
    ("b2", "1-01-1", "A", 15),
    ("b3", "1-02-1", "A", 15),
    ("b4", "1-03-1", "B", 15),
]
ORDERS = [
    ("early", "08:00", "A", 15, "08:30"),
    ("late", "08:00", "A", 15, "08:00"),
    ("short", "08:00", "B", 30, ""),
]


def lists(folder: Path, stock: Sequence[Any] = STOCK, orders: Sequence[Any] = ORDERS) -> tuple[Path, Path]:
    """A stock list and an order list, both of Monday."""
    for name, head, rows in (
        ("stock.csv", ["box", "slot", "sku", "lot", "verified_on", "meters"],
         [[b, slot, sku, sku, "2026-02-20", meters] for b, slot, sku, meters in stock]),
        ("orders.csv", ["order", "released", "station", "sku", "meters", "due"],
         [[o, f"{MONDAY} {at}", "North", sku, meters, due and f"{MONDAY} {due}"] for o, at, sku, meters, due in orders]),
    ):  # fmt: skip
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    return folder / "stock.csv", folder / "orders.csv"


def rows_of(document: dict[str, Any], case: int = 0) -> dict[str, dict[str, Any]]:
    return {row["order"]: row for row in document["cases"][case]["orders"]}


# -- What is certain ------------------------------------------------------------------------------------


def test_certain_orders_are_certain(tmp_path: Path) -> None:
    """An order in stock is in time, one due at its release is late, one that stock does not cover stays open."""
    document = forecast(TINY, *lists(tmp_path), until="18:00", replications=10)
    rows = rows_of(document)
    none, every = share_interval(0, 10), share_interval(10, 10)
    assert rows["early"]["late"] == {"share": 0.0, "low": 0.0, "high": none.high, "n": 10}
    assert rows["late"]["late"] == {"share": 1.0, "low": every.low, "high": 1.0, "n": 10}
    # 30 meters of B are wanted, 15 are there, and no truck comes: due 4 shift hours after 08:00, at 12:00.
    assert rows["short"]["due"] == f"{MONDAY}T12:00"
    assert rows["short"]["late"]["share"] == 1.0
    assert rows["short"]["open"] == 1.0
    assert rows["short"]["handed_over"] == {"p50": None, "p95": None}
    # Orders of one instant are released in the order of the list, before what may come: always alike.
    assert rows["early"]["handed_over"]["p50"] == rows["early"]["handed_over"]["p95"] < f"{MONDAY}T08:10"
    assert document["cases"][0]["late_orders"] == {"mean": 2.0, "low": 2.0, "high": 2.0, "n": 10}
    assert (document["from"], document["until"]) == (f"{MONDAY}T00:00", f"{MONDAY}T18:00")


def test_due_at_the_end_is_late_when_open(tmp_path: Path) -> None:
    """What is due at the very end and still open is late; what is due after it has no verdict yet."""
    orders = [("at the end", "08:00", "B", 30, "12:00"), ("after it", "08:00", "B", 30, "12:01")]
    rows = rows_of(forecast(TINY, *lists(tmp_path, orders=orders), until="12:00", replications=3))
    assert rows["at the end"]["late"]["share"] == 1.0
    assert rows["after it"]["late"] is None
    assert rows["after it"]["open"] == 1.0


def test_nothing_happens_before_the_lists(tmp_path: Path) -> None:
    """With --at 10:00 an order of 08:00 is begun at 10:00, and is due as it was."""
    orders = [("waiting", "08:00", "A", 15, "")]
    document = forecast(TINY, *lists(tmp_path, orders=orders), until="18:00", at="10:00", replications=5)
    row = rows_of(document)["waiting"]
    assert row["due"] == f"{MONDAY}T12:00"
    assert f"{MONDAY}T10:00" <= row["handed_over"]["p50"] < f"{MONDAY}T10:10"
    assert document["from"] == f"{MONDAY}T10:00"


def test_outside_shifts_orders_wait(tmp_path: Path) -> None:
    """An order of 12:30 is handed over after 14:30, when the shift begins."""
    rows = rows_of(
        forecast(
            TINY,
            *lists(tmp_path, orders=[("noon", "12:30", "A", 15, "14:00")]),
            until="18:00",
            replications=3,
        )
    )
    assert rows["noon"]["late"]["share"] == 1.0
    assert f"{MONDAY}T14:30" <= rows["noon"]["handed_over"]["p50"] < f"{MONDAY}T14:40"


# -- What is not ----------------------------------------------------------------------------------------


def test_new_orders_take_what_is_there(tmp_path: Path) -> None:
    """Four boxes, and an order of 16:00 for two: new orders of the day may take them first, none do when none come."""
    stock = [(f"b{k}", "1-01-1", "A", 15) for k in range(4)]
    paths = lists(tmp_path, stock, [("last", "16:00", "A", 30, "18:00")])
    alone = rows_of(forecast(TINY, *paths, until="18:00", replications=40, new_orders=False))["last"]
    among = rows_of(forecast(TINY, *paths, until="18:00", replications=40))["last"]
    assert alone["late"]["share"] == 0.0
    # Most of six orders come before 16:00, 80 % are for A, and two small ones leave enough.
    assert 0.3 < among["late"]["share"] < 1.0
    assert among["late"]["low"] < among["late"]["share"] < among["late"]["high"]
    interval = share_interval(round(40 * among["late"]["share"]), 40)
    assert (among["late"]["low"], among["late"]["high"]) == (interval.low, interval.high)


def test_new_orders_are_those_of_the_scenario(tmp_path: Path) -> None:
    """More demand leaves less for the list; other kinds of demand bring no new orders."""
    stock = [(f"b{k}", "1-01-1", "A", 15) for k in range(4)]
    paths = lists(tmp_path, stock, [("last", "16:00", "A", 30, "18:00")])

    def late(*sets: str) -> float:
        found = forecast(load("tiny", sets), *paths, until="18:00", replications=40)
        return float(rows_of(found)["last"]["late"]["share"])

    assert late("demand.orders_per_day=0") == 0.0
    assert late("demand.orders_per_day=1") < late() < late("demand.orders_per_day=30") == 1.0
    assert late("demand.kind=saturated") == 0.0


def test_people_make_a_difference(tmp_path: Path) -> None:
    """With more people the same orders are handed over sooner; every number of people meets the same draws."""
    orders = [(f"o{k}", "08:00", "A", 14, "08:05") for k in range(4)]
    stock = [(f"b{k}", "1-01-1", "A", 15) for k in range(4)]
    paths = lists(tmp_path, stock, orders)
    document = forecast(TINY, *paths, until="12:00", people=[1, 3], replications=10)
    assert [case["people"] for case in document["cases"]] == [1, 3]
    one, three = (case["late_orders"]["mean"] for case in document["cases"])
    assert three < one
    alone = forecast(TINY, *paths, until="12:00", people=[3], replications=10)
    assert alone["cases"][0] == document["cases"][1]


def test_replications_repeat(tmp_path: Path) -> None:
    """The same seed gives the same forecast, in this process or in others; another one another."""
    stock = [(f"b{k}", "1-01-1", "A", 15) for k in range(4)]
    orders = [("last", "15:00", "A", 30, "18:00"), ("small", "11:00", "A", 5, "11:05")]
    paths = lists(tmp_path, stock, orders)

    def asked(**how: Any) -> dict[str, Any]:
        return forecast(TINY, *paths, until="18:00", replications=12, **how)

    done: list[float] = []
    assert asked() == asked(workers=2, progress=done.append)
    assert done[-1] == 1.0
    assert len(done) == 12
    assert asked(seed=7)["cases"] != asked()["cases"]


def test_played_day_has_a_digest(tmp_path: Path) -> None:
    """One replication says when each order was handed over, and has the digest of its facts."""
    stock, _ = lists(tmp_path)
    values = resolved(TINY.scenario)
    values["initial"] |= {"stock": str(stock)}
    order = OpenOrder("x", "North", 28_800_000, 30_000_000, ((0, 15),))
    day = Day(values, (order,), 0, 43_200_000, new_orders=True, seed=3)
    first, again = play(day), play(day)
    assert first == again
    assert first.handed_over[0] is not None
    assert 28_800_000 < first.handed_over[0] < 30_000_000
    assert first.digest != play(day._replace(seed=4)).digest


# -- Lists and times ------------------------------------------------------------------------------------


def test_day_of_the_last_release(tmp_path: Path) -> None:
    """The day is that of the last release, orders of days before it are open since then; or the one given."""
    stock, _ = lists(tmp_path)
    orders = tmp_path / "orders.csv"
    orders.write_text(
        "order,released,station,sku,meters,due\n"
        "old,2026-03-03 17:00,North,A,15,2026-03-04 09:00\nnew,2026-03-04 08:15,North,A,15,\n"
    )
    document = forecast(TINY, stock, orders, until="18:00", replications=3)
    assert document["from"] == "2026-03-04T00:00"
    rows = rows_of(document)
    assert rows["old"]["released"] == "2026-03-03T17:00"
    assert rows["old"]["late"]["share"] == 0.0
    assert rows["old"]["handed_over"]["p50"].startswith("2026-03-04T08:0")
    given = forecast(TINY, stock, orders, until="18:00", day=date(2026, 3, 3), replications=3)
    assert given["from"] == "2026-03-03T00:00"
    assert rows_of(given)["new"]["late"] is None  # it comes on the day after


def test_faults_of_the_lists_by_row(tmp_path: Path) -> None:
    """A list that cannot be used is refused by row, before anything is played."""
    stock, orders = lists(tmp_path, orders=[("x", "08:00", "C", 15, "")])
    with pytest.raises(StockListError) as error:
        forecast(TINY, stock, orders, until="18:00")
    assert error.value.faults == [f"{orders}:2: sku: expected one of A, B, found 'C'"]
    stock, orders = lists(tmp_path, stock=[("x", "9-01-1", "A", 15)])
    with pytest.raises(StockListError, match="slot: expected"):
        forecast(TINY, stock, orders, until="18:00")


def test_no_orders(tmp_path: Path) -> None:
    """A list without orders has nothing to forecast."""
    stock, orders = lists(tmp_path, orders=[])
    with pytest.raises(ForecastError) as error:
        forecast(TINY, stock, orders, until="18:00")
    assert error.value.lines == [f"{orders}: expected at least one order, found none"]


@pytest.mark.parametrize(
    ("times", "line"),
    [
        ({"until": "soon"}, "--until: expected a time of the day as 18:00, or a local time as 2026-03-02T18:00, found 'soon'"),
        ({"until": "25:00"}, "--until: expected a time of the day as 18:00, or a local time as 2026-03-02T18:00, found '25:00'"),
        (
            {"until": "09:00", "at": "09:00"},
            "--until: expected a time after 2026-03-02T09:00, up to 2026-03-09T00:00, found 09:00",
        ),
        (
            {"until": "2026-03-10T09:00"},
            "--until: expected a time after 2026-03-02T00:00, up to 2026-03-09T00:00, found 2026-03-10T09:00",
        ),
        ({"until": "18:00", "at": "24:60"}, "--at: expected a time of the day as 18:00, or a local time as 2026-03-02T18:00, found '24:60'"),
    ],
)  # fmt: skip
def test_times_that_do_not_fit(tmp_path: Path, times: dict[str, str], line: str) -> None:
    """Times have to be times, and the end lies after the beginning and not too far."""
    assert MOST_DAYS == 7
    with pytest.raises(ForecastError) as error:
        forecast(TINY, *lists(tmp_path), **times)  # type: ignore[arg-type]
    assert error.value.lines == [line]


def test_end_of_the_day_and_of_the_next(tmp_path: Path) -> None:
    """24:00 is the end of the day; a date and time may lie days ahead."""
    paths = lists(tmp_path)
    assert forecast(TINY, *paths, until="24:00", replications=1)["until"] == "2026-03-03T00:00"
    assert forecast(TINY, *paths, until="2026-03-04T12:00", replications=1)["until"] == "2026-03-04T12:00"


# -- The command ----------------------------------------------------------------------------------------


def test_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People read a line an order with its chance and the interval."""
    stock, orders = lists(tmp_path)
    code = main(["forecast", str(stock), str(orders), "tiny", "--until", "18:00", "--replications", "10"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.splitlines()[0].rstrip() == "tiny, 2026-03-02 00:00 to 2026-03-02 18:00, 10 runs"
    line = next(line for line in out.splitlines() if line.startswith("late "))
    # Clopper and Pearson: 0.025 ** (1 / 10) = 0.69.
    assert line.split() == [
        "late",
        "08:00",
        "08:00",
        "100.0",
        "%",
        "(69",
        "to",
        "100",
        "%)",
        *line.split()[-2:],
    ]
    assert "1 person: 2 of 3 orders late in the mean (95 %: 2 to 2)" in out


def test_command_compares_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--people gives a column a number of people, --json all of it."""
    stock, orders = lists(tmp_path)
    args = [
        "forecast",
        str(stock),
        str(orders),
        "tiny",
        "--until",
        "18:00",
        "--replications",
        "4",
        "--people",
        "1,2",
    ]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "1 person" in out.splitlines()[1]
    assert "2 people" in out.splitlines()[1]
    # 4 of 4: 0.025 ** (1 / 4) = 0.40; none of 4: 1 - 0.40.
    line = next(line for line in out.splitlines() if line.startswith("late "))
    assert " ".join(line.split()) == "late 08:00 100.0 % (40 to 100 %) 100.0 % (40 to 100 %)"
    assert main([*args, "--json", "--no-new-orders"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [case["people"] for case in document["cases"]] == [1, 2]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--people", "one"), "--people: expected whole numbers as 1,2,3, found 'one'"),
        (("--day", "Monday"), "--day: expected a date as 2026-03-02, found 'Monday'"),
        (("--people", "9000"), "people.count: expected"),
    ],
)
def test_command_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], line: str
) -> None:
    """Wrong options end in one line and code 2."""
    stock, orders = lists(tmp_path)
    code = main(["forecast", str(stock), str(orders), "tiny", "--until", "18:00", *args])
    out, err = capsys.readouterr()
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(line)
