"""Demand fitted to logs whose truth is known, to the real trace, and what is said of logs that cannot be read."""

import csv
import gzip
import itertools
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook

from sim.cli import main
from sim.fit import (
    Columns,
    Fitted,
    _rounded,
    fit_log,
    fit_windows,
    scenario_text,
    write_scenario,
)
from sim.fitchart import fit_picture
from sim.orderlog import OrderLogError
from sim.orders import poisson_orders
from sim.scenario import load
from sim.simulation import Simulation
from sim.stocklist import StockListError

BASE = load("luoyang")
COLUMNS = Columns("released", "sku", "meters", order="order")


def model_log(path: Path, sets: Sequence[str] = (), seed: int = 1, days: int = 364) -> Path:
    """A log of the orders that the model draws."""
    simulation = Simulation(load("luoyang", [f"time.days={days}", "initial.fill=0", *sets]), seed=seed)
    midnight = datetime.combine(simulation.start, datetime.min.time())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order", "released", "sku", "meters"])
        number = itertools.count()
        for day in range(days):
            for order in poisson_orders(simulation.book, day):
                at = midnight + timedelta(milliseconds=order.at_ms)
                for sku, meters in order.lines:
                    name = simulation.sku_names[sku]
                    writer.writerow([next(number), at.isoformat(timespec="seconds"), name, meters])
    return path


def plain_log(path: Path, rows: Sequence[Sequence[object]], head: str = "released,sku,meters") -> Path:
    text = "\n".join([head, *(",".join(map(str, row)) for row in rows)])
    path.write_text(text + "\n", encoding="utf-8")
    return path


def steady(days: int = 28, per_day: int = 4) -> list[list[object]]:
    """So many orders at 09:00 of each day from Monday 2026-03-02 on, of 30 meters of A."""
    return [[f"{date(2026, 3, 2) + timedelta(days=day)}T09:00", "A", 30] for day in range(days)] * per_day


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A fit to a year of the reference store's own demand."""
    return fit_log(model_log(tmp_path_factory.mktemp("fit") / "year.csv"), COLUMNS, BASE)


# -- Known truth ----------------------------------------------------------------------------------------


def test_sizes_are_recovered(year: Fitted) -> None:
    """Mean, spread and share of whole boxes of the model lie within their intervals, which are narrow."""
    demand = BASE.scenario.demand
    for found, truth in (
        (year.mean_meters, demand.mean_meters),
        (year.size_cv, demand.size_cv),
        (year.full_box_share, demand.full_box_share),
    ):
        assert found.low <= truth <= found.high
        assert found.high - found.low < 0.1 * truth
    assert year.cap_boxes == demand.cap_boxes


def test_rates_are_recovered(year: Fitted) -> None:
    """Orders a day, and the factors of months and weekdays, lie within their intervals."""
    demand = BASE.scenario.demand
    assert year.orders_per_day.low <= demand.orders_per_day <= year.orders_per_day.high
    assert sorted(year.weekdays) == [0, 1, 2, 3, 4]
    assert sorted(year.months) == list(range(1, 13))
    factors = [(year.months[month], demand.months[month - 1]) for month in year.months]
    factors += [(year.weekdays[day], 1.0) for day in year.weekdays]
    # Of 17 intervals at 95 %, 3 or more miss with a chance of 5 %.
    assert sum(not found.low <= truth <= found.high for found, truth in factors) <= 2
    assert year.day_cv.value == 0.0
    assert year.holidays == []


def test_windows_are_recovered(year: Fitted) -> None:
    """The parts of the day are those of the model: two peaks, and an even rest in the shifts."""
    ends = [(window.start_min, window.end_min) for window in year.windows]
    # 08:30 to 10:00 and 14:30 to 16:00 are the peaks, 08:00 to 12:00 and 14:30 to 18:00 the shifts.
    assert ends == [(480, 510), (510, 600), (600, 720), (870, 960), (960, 1080)]
    # The rest of 0.2 spreads over 7.5 h: 0.0133, 0.04, 0.0533, 0.04 and 0.0533 in these parts.
    truth = [0.2 / 15, 0.5 + 0.04, 0.8 / 15, 0.3 + 0.04, 0.8 / 15]
    for window, share in zip(year.windows, truth, strict=True):
        assert abs(window.share - share) < 3.3 * math.sqrt(share * (1 - share) / year.orders_per_day.n)
    assert sum(window.share for window in year.windows) == pytest.approx(1, abs=1e-12)


def test_skus_are_recovered(year: Fitted) -> None:
    """The shares of the SKUs lie within their intervals, the largest first."""
    truth = {sku.name: sku.share for sku in BASE.scenario.skus}
    assert year.orders.skus[0] == "single-phase A"
    for name, share in zip(year.orders.skus, year.shares, strict=True):
        assert share.low <= truth[name] <= share.high


def test_own_demand_fits(year: Fitted) -> None:
    """The model's demand fits a log of its own: no gap is larger than chance explains."""
    assert [each.name for each in year.goodness if not each.fits] == []
    assert [each.n for each in year.goodness] == [260, year.orders_per_day.n, year.orders_per_day.n]
    assert year.goodness[0].words.startswith("orders a day: cumulative shares differ by at most ")


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_busy_days_are_recovered(tmp_path: Path, seed: int) -> None:
    """Where the mean of a day varies, the fit says by how much, and does not take quiet days for holidays."""
    path = model_log(tmp_path / "log.csv", ["demand.day_cv=0.5"], seed)
    fitted = fit_log(path, COLUMNS, BASE)
    assert fitted.day_cv.low <= 0.5 <= fitted.day_cv.high
    assert fitted.dispersion > 2
    assert fitted.holidays == []
    assert fitted.orders_per_day.low <= 10 <= fitted.orders_per_day.high
    assert fitted.goodness[0].fits
    assert any(note.startswith("days vary ") for note in fitted.notes)


def test_intervals_hold_what_they_promise(tmp_path: Path) -> None:
    """Of 20 logs, the interval of the orders a day misses the truth in few: 4 or more have a chance of 1.6 %."""
    sets = ["demand.months=[1,1,1,1,1,1,1,1,1,1,1,1]"]
    missed = 0
    for seed in range(100, 120):
        fitted = fit_log(model_log(tmp_path / "log.csv", sets, seed, 60), COLUMNS, BASE)
        missed += not fitted.orders_per_day.low <= 10 <= fitted.orders_per_day.high
    assert missed <= 3


def test_holidays_are_found(tmp_path: Path) -> None:
    """Empty working days of a busy store are holidays; weekends have no work."""
    sets = ["calendar.holidays=[2026-05-01, 2026-05-04]"]
    fitted = fit_log(model_log(tmp_path / "log.csv", sets, 1, 91), COLUMNS, BASE)
    assert fitted.holidays == [date(2026, 5, 1), date(2026, 5, 4)]
    assert "2 empty working days are taken for holidays" in fitted.notes


def test_other_rates_are_told(tmp_path: Path) -> None:
    """Another store gives another fit: the intervals exclude what is not so."""
    sets = ["demand.orders_per_day=20", "demand.mean_meters=30", "demand.full_box_share=0.1"]
    fitted = fit_log(model_log(tmp_path / "log.csv", sets, 1, 182), COLUMNS, BASE)
    assert fitted.mean_meters.low <= 30 <= fitted.mean_meters.high < 60
    assert fitted.full_box_share.low <= 0.1 <= fitted.full_box_share.high < 0.55
    assert fitted.orders_per_day.low > 10


def test_sizes_that_are_not_lognormal_do_not_fit(tmp_path: Path) -> None:
    """Two sizes only, 7 and 200 meters: the gap says that the fitted sizes are others."""
    rows = [[*row[:2], 7 if k % 2 else 200] for k, row in enumerate(steady(60, 10))]
    sizes = fit_log(
        plain_log(tmp_path / "log.csv", rows), Columns("released", "sku", "meters"), BASE
    ).goodness[2]
    assert not sizes.fits
    assert "more than the " in sizes.words


def test_round_trip_through_the_scenario(year: Fitted, tmp_path: Path) -> None:
    """The scenario that is written draws orders that fit again to the same values."""
    out = tmp_path / "fitted.toml"
    loaded = write_scenario(year, BASE, out)
    demand = loaded.scenario.demand
    assert demand.orders_per_day == pytest.approx(year.orders_per_day.value, rel=1e-4)
    assert demand.months == pytest.approx([year.months[month].value for month in range(1, 13)], rel=1e-4)
    assert loaded.scenario.time.days == 362
    assert load(out).scenario == loaded.scenario
    assert main(["check", str(out)]) == 0
    simulation = Simulation(load(out, ["initial.fill=0"]))
    orders = [order for day in range(362) for order in poisson_orders(simulation.book, day)]
    mean = len(orders)
    # Poisson numbers again: within 4 standard deviations.
    assert abs(mean - year.orders_per_day.n) < 4 * math.sqrt(2 * mean)


def test_busy_days_of_the_model() -> None:
    """Without day_cv a day has its plain mean; with it days differ, 1 in the mean, and each keeps its own."""
    plain = Simulation(load("tiny")).book
    assert [plain.busyness(day) for day in range(5)] == [1.0] * 5
    book = Simulation(load("tiny", ["demand.day_cv=0.5"])).book
    values = [book.busyness(day) for day in range(4000)]
    # Standard error 0.5 / sqrt(4000) = 0.008.
    assert abs(sum(values) / 4000 - 1) < 4 * 0.008
    assert abs(np.std(values) - 0.5) < 0.05
    assert [book.busyness(day) for day in (7, 3)] == [values[7], values[3]]


# -- Worked by hand ---------------------------------------------------------------------------------------


def test_even_log_by_hand(tmp_path: Path) -> None:
    """Four orders of two boxes at 09:00 of every day: every figure is known."""
    fitted = fit_log(plain_log(tmp_path / "log.csv", steady()), Columns("released", "sku", "meters"), BASE)
    assert fitted.orders_per_day[0] == pytest.approx(4)
    assert fitted.orders_per_day.n == 112  # 28 days of 4
    assert {day: round(factor.value, 9) for day, factor in fitted.weekdays.items()} == dict.fromkeys(
        range(7), 1.0
    )
    assert list(fitted.months) == [3]
    assert fitted.dispersion == 0.0
    assert [tuple(window) for window in fitted.windows] == [(540, 555, 1.0)]
    assert fitted.mean_meters[:3] == (30.0, 30.0, 30.0)
    assert fitted.size_cv.value == 0.0
    assert fitted.full_box_share.value == 1.0
    assert fitted.cap_boxes == 2
    assert fitted.shares[0].value == 1.0


def test_weekday_factors_by_hand(tmp_path: Path) -> None:
    """Twice as many orders on Mondays: factors of 1.4 and, for the others, 0.7 where two days have work."""
    rows = [
        [f"{date(2026, 3, 2) + timedelta(days=day)}T09:00", "A", 30]
        for day in range(28)
        for _ in range({0: 20, 3: 10}.get(day % 7, 0))
    ]
    fitted = fit_log(plain_log(tmp_path / "log.csv", rows), Columns("released", "sku", "meters"), BASE)
    # 20 and 10 orders a day: the mean is 15, the factors 4/3 and 2/3.
    assert fitted.orders_per_day.value == pytest.approx(15)
    assert {day: factor.value for day, factor in fitted.weekdays.items()} == pytest.approx(
        {0: 4 / 3, 3: 2 / 3}
    )


def test_rare_weekday_has_no_work(tmp_path: Path) -> None:
    """One order on a Sunday among hundreds does not open the store on Sundays, and the fit says so."""
    rows = [row for row in steady(56, 5) if date.fromisoformat(str(row[0])[:10]).weekday() < 5]
    rows.append(["2026-03-08T10:00", "A", 30])
    fitted = fit_log(plain_log(tmp_path / "log.csv", rows), Columns("released", "sku", "meters"), BASE)
    assert sorted(fitted.weekdays) == [0, 1, 2, 3, 4]
    assert fitted.notes[0].startswith("1 order on sat, sun left out: less than 5 % ")


def test_lines_of_an_order_are_joined(tmp_path: Path) -> None:
    """Rows of one order and SKU are one order; other SKUs of it count as orders of their own."""
    rows = [[*row, number] for number, row in enumerate(steady(10, 4))]
    rows += [[*row[:2], 15, row[3]] for row in rows]
    rows += [[row[0], "B", 15, row[3]] for row in rows[:40]]
    path = plain_log(tmp_path / "log.csv", rows, "released,sku,meters,no")
    fitted = fit_log(path, Columns("released", "sku", "meters", order="no"), BASE)
    assert len(fitted.orders.at_ms) == 80
    assert fitted.orders.numbers == 40
    # 40 orders of 30 + 15 meters of A, 40 of 15 of B.
    assert [share.value for share in fitted.shares] == [0.75, 0.25]
    assert "an order has 2.00 SKUs in the mean: it counts once for each of them" in fitted.notes


def test_sizes_by_sku_are_told(tmp_path: Path) -> None:
    """Where one SKU comes in larger orders, the fit says what the model cannot express."""
    rows = [[row[0], "A" if k % 2 else "B", 15 if k % 2 else 150] for k, row in enumerate(steady(60, 10))]
    notes = fit_log(plain_log(tmp_path / "log.csv", rows), Columns("released", "sku", "meters"), BASE).notes
    # B has 150 of 165 meters in half the orders.
    assert notes[-1] == (
        "sizes depend on the SKU, which the model cannot express: B has 90.9 % of the meters in 50.0 % of the orders"
    )


def test_even_day_is_one_window() -> None:
    """Evenly spread orders need one part of the day, however many they are."""
    draw = np.random.Generator(np.random.PCG64(1))
    for n in (50, 5000):
        minutes = 480 + 240 * draw.random(n)
        assert [(w.start_min, w.end_min) for w in fit_windows(minutes)] == [(480, 720)]


def test_shares_round_to_a_whole() -> None:
    """Rounded shares sum to 1; the largest remainders are rounded up."""
    assert _rounded([1 / 3, 1 / 3, 1 / 3], 2) == [0.34, 0.33, 0.33]
    assert _rounded([0.126, 0.255, 0.619], 2) == [0.13, 0.25, 0.62]


# -- What is read -----------------------------------------------------------------------------------------


def test_file_forms_agree(tmp_path: Path) -> None:
    """CSV, CSV with semicolons in GB18030, CSV.gz and XLSX give the same fit."""
    rows = [[str(row[0]), "甲", 30] for row in steady(10, 4)]
    csv_path = plain_log(tmp_path / "a.csv", rows, "时间,品规,数量")
    text = csv_path.read_text(encoding="utf-8")
    (tmp_path / "b.csv").write_text(text.replace(",", ";"), encoding="gb18030")
    with gzip.open(tmp_path / "c.csv.gz", "wt", encoding="utf-8") as packed:
        packed.write(text)
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["时间", "品规", "数量"])
    for at, sku, meters in rows:
        sheet.append([datetime.fromisoformat(at), sku, meters])
    book.save(tmp_path / "d.xlsx")
    columns = Columns("时间", "品规", "数量")
    found = [
        fit_log(tmp_path / name, columns, BASE).to_json() for name in ("a.csv", "b.csv", "c.csv.gz", "d.xlsx")
    ]
    for each in found:
        del each["log"]
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0]["skus"][0]["sku"] == "甲"


def test_offsets_leave_the_clock(tmp_path: Path) -> None:
    """A time with an offset counts by the clock that it shows."""
    rows = [[f"{row[0]!s}:00+08:00", *row[1:]] for row in steady(10, 4)]
    fitted = fit_log(plain_log(tmp_path / "log.csv", rows), Columns("released", "sku", "meters"), BASE)
    assert [(window.start_min, window.end_min) for window in fitted.windows] == [(540, 555)]


def test_seconds_count_from_a_day(tmp_path: Path) -> None:
    """Second 0 is 00:00 of the day that is given; what arrives then is stock, and no arrival."""
    rows: list[list[object]] = [[0, "in", "A"]] * 5
    rows += [[day * 86_400 + 32_400, "out", "A"] for day in range(1, 11) for _ in range(4)]
    rows += [[day * 86_400 + 36_000, "in", "A"] for day in range(1, 11) for _ in range(4)]
    path = plain_log(tmp_path / "log.csv", rows, "time_s,op,sku")
    fitted = fit_log(path, Columns("time_s", "sku", kind="op"), BASE, start=date(2026, 6, 1))
    assert fitted.orders.first == date(2026, 6, 2)
    assert fitted.orders.days == 10
    assert len(fitted.orders.arrivals_ms) == 40
    assert fitted.arrive == (600, 615)
    assert fitted.mean_meters.value == 15  # without a quantity a row is a full box
    text = scenario_text(fitted, BASE, tmp_path / "x.toml")
    assert 'arrive_from = "10:00"' in text


def test_boxes_become_meters(tmp_path: Path) -> None:
    """Quantities in boxes are full boxes of the base."""
    rows = [[*row[:2], 2] for row in steady(10, 4)]
    path = plain_log(tmp_path / "log.csv", rows)
    fitted = fit_log(path, Columns("released", "sku", "meters"), BASE, in_boxes=True)
    assert fitted.mean_meters.value == 30


def test_faults_by_row(tmp_path: Path) -> None:
    """Every fault is told by its row and its column."""
    rows = steady(10, 4)
    rows[1] = ["soon", "A", 30]
    rows[2] = ["2026-03-02T09:00", "", 30]
    rows[3] = ["2026-03-02T09:00", "A", "-3"]
    rows[4] = ["86400", "A", "many"]
    rows[5] = ["2026-03-02T09:00", "A", 30, "x"]
    path = plain_log(tmp_path / "log.csv", rows)
    with pytest.raises(OrderLogError) as error:
        fit_log(path, Columns("released", "sku", "meters"), BASE)
    assert error.value.lines == [
        f"{path}:3: released: expected seconds from 0 or a date and time as 2026-03-02T08:30, found 'soon'",
        f"{path}:4: sku: expected a name of 1 to 64 characters, found nothing",
        f"{path}:5: meters: expected a whole number from 1 to 10000000, found '-3'",
        f"{path}:6: released: expected a date and time as in row 2, found '86400'",
        f"{path}:6: meters: expected a whole number from 1 to 10000000, found 'many'",
        f"{path}:7: expected 3 cells, found 4",
    ]


def test_kind_and_order_faults(tmp_path: Path) -> None:
    """A word that is no kind is refused with the near one; an order needs its number, an arrival does not."""
    rows = [[*row, "out", k] for k, row in enumerate(steady(10, 4))]
    rows[0][3] = "isue"
    rows[1][4] = ""
    rows[2][3:] = ["in", ""]
    path = plain_log(tmp_path / "log.csv", rows, "released,sku,meters,op,no")
    with pytest.raises(OrderLogError) as error:
        fit_log(path, Columns("released", "sku", "meters", "op", "no"), BASE)
    lines = error.value.lines
    assert len(lines) == 2
    assert lines[0].startswith(f"{path}:2: op: expected 'in', 'delivery', ")
    assert lines[0].endswith("found 'isue', did you mean 'issue'?")
    assert lines[1] == f"{path}:3: no: expected the number of the order, found nothing"


def test_column_that_is_not_there(tmp_path: Path) -> None:
    """A heading that the log has not is refused with the near one."""
    path = plain_log(tmp_path / "log.csv", steady(10, 4))
    with pytest.raises(OrderLogError) as error:
        fit_log(path, Columns("release", "sku", "meters"), BASE)
    assert error.value.lines == [
        f"{path}:1: expected a column 'release', found none, did you mean 'released'?"
    ]


def test_too_few_orders(tmp_path: Path) -> None:
    """Nothing is said of a log of 29 orders."""
    path = plain_log(tmp_path / "log.csv", steady(29, 1))
    with pytest.raises(OrderLogError) as error:
        fit_log(path, Columns("released", "sku", "meters"), BASE)
    assert error.value.lines == [f"{path}: expected at least 30 orders to fit to, found 29"]


@pytest.mark.parametrize(
    ("name", "found"),
    [("no.csv", "found nothing"), ("log.txt", "found '.txt'"), ("no.csv.gz", "found nothing")],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, found: str) -> None:
    """A file that is not there, or of another kind, is one line."""
    (tmp_path / "log.txt").write_text("x")
    with pytest.raises((OrderLogError, StockListError)) as error:
        fit_log(tmp_path / name, Columns("released", "sku"), BASE)
    assert str(error.value).startswith(f"{tmp_path / name}: expected ")
    assert str(error.value).endswith(found)


# -- The command ------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out, err


ASK = ("--time", "released", "--sku", "sku", "--quantity", "meters")


def test_command_writes_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes a scenario that is right, a picture, and says how well it fits."""
    path, out, picture = plain_log(tmp_path / "log.csv", steady()), tmp_path / "s.toml", tmp_path / "p.svg"
    code, text, err = run(capsys, "fit", path, *ASK, "--out", out, "--picture", picture)
    assert (code, err) == (0, "")
    assert "orders a day: cumulative shares differ by at most " in text
    assert picture.read_text(encoding="utf-8").startswith("<svg ")
    assert run(capsys, "check", out)[0] == 0


def test_command_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints one object, which the picture can be drawn from."""
    path, out = plain_log(tmp_path / "log.csv", steady()), tmp_path / "s.toml"
    code, text, _ = run(capsys, "fit", path, *ASK, "--out", out, "--json")
    document: dict[str, Any] = json.loads(text)
    assert code == 0
    assert document["values"]["demand.orders_per_day"]["n"] == 112
    assert [each["name"] for each in document["goodness"]] == ["orders a day", "time of day", "order sizes"]
    assert len(document["hours"]) == 24
    chart = fit_picture(document)
    assert chart.table.head == ["What", "Recorded", "Fitted"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--out", "s.json"), "s.json: expected a name in .toml for the scenario, found 's.json'"),
        (("--out", "s.toml", "--start", "May"), "--start: expected a date as 2026-03-02, found 'May'"),
        (
            ("--out", "s.toml", "--picture", "p.txt"),
            "--picture: expected a name in .svg or .png, found 'p.txt'",
        ),
    ],
)
def test_command_refuses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    line: str,
) -> None:
    """Wrong options are one line each, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    plain_log(tmp_path / "log.csv", steady())
    code, text, err = run(capsys, "fit", "log.csv", *ASK, *args)
    assert (code, text, err) == (2, "", f"{line}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_base_that_needs_its_skus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A base that names SKUs which the log has not is told what is missing, and nothing is left behind."""
    base = tmp_path / "base.toml"
    base.write_text(
        '[supply]\nrule = "schedule"\nschedule = [{ sku = "single-phase A", boxes = 5 }]\n', encoding="utf-8"
    )
    path, out = plain_log(tmp_path / "log.csv", steady()), tmp_path / "s.toml"
    code, _, err = run(capsys, "fit", path, *ASK, "--out", out, "--base", base)
    assert code == 2
    assert "supply.schedule[0].sku: expected the name of a SKU, found 'single-phase A'" in err
    assert not out.exists()


# -- The real trace ---------------------------------------------------------------------------------------


def test_real_trace(shared_data: Path, tmp_path: Path) -> None:
    """The real log: 2,693 departures on six or fewer weekdays, more even by the day than in the day."""
    path = shared_data / "wepa258.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real trace at {path}: set METERHOUSE_SHARED to the shared folder")
    fitted = fit_log(path, Columns("time_s", "sku", kind="op"), BASE, start=date(2026, 3, 7))
    assert (len(fitted.orders.at_ms), len(fitted.orders.arrivals_ms)) == (2693, 2654)
    # 2 weekdays in 7 are all but empty: days 0 and 1, which a start on a Saturday makes a weekend.
    assert [day for day in range(7) if fitted.weekdays.get(day, (0.0,))[0] < 0.2] == [5, 6]
    assert fitted.orders_per_day.n == 2693
    assert 2 < fitted.dispersion < 3
    assert fitted.day_cv.low > 0.1
    by_name = {each.name: each for each in fitted.goodness}
    assert by_name["orders a day"].fits
    assert not by_name["time of day"].fits  # a third of the orders come several at once
    assert any(note.startswith("30 % of the orders are released at the very time") for note in fitted.notes)
    loaded = write_scenario(fitted, BASE, tmp_path / "wepa.toml")
    assert len(loaded.scenario.skus) == 101
