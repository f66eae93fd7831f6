"""What a notebook uses: scenarios changed in Python, tables of numpy, results and pictures that show themselves."""

import base64
import re
from dataclasses import FrozenInstanceError

import duckdb
import numpy as np
import pytest

import sim
from sim.scenario import ScenarioError, load


@pytest.fixture(scope="module")
def result():
    return sim.run(load("tiny"), seed=7)


@pytest.fixture(scope="module")
def comparison():
    return sim.compare("tiny", {"robots.carry": [1, 2]}, 3, kpi="put_away_time_s")


def test_with_gives_another_scenario():
    """Values are set by dotted path, in lists by their place; the scenario before stays as it was."""
    store = load("tiny")
    faster = store.with_({"robots.carry": 3, "skus.1.name": "C", "robots.acceleration_m_per_s2": "inf"})
    assert (faster.scenario.robots.carry, store.scenario.robots.carry) == (3, 2)
    assert [sku.name for sku in faster.scenario.skus] == ["A", "C"]
    assert faster.scenario.robots.acceleration_m_per_s2 == float("inf")
    assert (faster.origins["robots.carry"], faster.origins["skus"]) == ("with_", store.origins["skus"])
    assert faster.origins["robots.count"] == store.origins["robots.count"]
    assert (faster.path, faster.base_dir) == (store.path, store.base_dir)
    with pytest.raises(FrozenInstanceError):
        faster.scenario = store.scenario


def test_with_is_the_command_line():
    """A scenario changed in Python is the one that --set makes."""
    assert load("tiny").with_({"robots.carry": 2}).scenario == load("tiny", ["robots.carry=2"]).scenario


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        (
            {"robots.coutn": 1},
            ["robots.coutn: expected a key of robots, found 'coutn', did you mean 'count'?"],
        ),
        ({"skus.9.name": "C"}, ["skus.9.name: expected a value of the scenario, found 'skus.9.name'"]),
        ({"robots.carry.x": 1}, ["robots.carry.x: expected a value of the scenario, found 'robots.carry.x'"]),
        ({"robots.speed_m_per_s": -1, "initial.fill": 2.0}, None),
    ],
)
def test_with_tells_every_mistake(values, lines):
    """Mistakes are one line each, as those of a file."""
    with pytest.raises(ScenarioError) as caught:
        load("tiny").with_(values)
    if lines is None:
        assert [line.partition(":")[0] for line in caught.value.lines] == [
            "initial.fill",
            "robots.speed_m_per_s",
        ]
    else:
        assert caught.value.lines == lines


def test_tables_are_columns(result):
    """Tables are dicts of numpy arrays of one length, which data frames and DuckDB take as they are."""
    for table in (sim.kpi_table(result), sim.slot_table(result), result.trace.table("box_moved")):
        assert {type(column) for column in table.values()} == {np.ndarray}
        assert len({column.shape for column in table.values()}) == 1
    kpis = sim.kpi_table(result)
    at = kpis["kpi"].tolist().index("order_cycle_time_s")
    told = result.kpis()["order_cycle_time_s"]
    assert [kpis[key][at] for key in ("value", "p95", "n")] == [told[key] for key in ("value", "p95", "n")]
    assert np.isnan(kpis["value"][kpis["kpi"].tolist().index("recall_time_h")])
    with duckdb.connect() as connection:
        connection.register("slots", sim.slot_table(result))
        assert connection.execute("SELECT count(*), sum(capacity_boxes) FROM slots").fetchone() == (12, 60)


def test_run_shows_itself(result):
    """A run shows what it is and its KPIs, with names as text."""
    shown = result._repr_html_()
    assert f"<p>tiny: 2 days, seed 7, digest {result.digest[:16]}</p>" in shown
    assert "<td>order_cycle_time_s</td>" in shown
    assert "<td>recall_time_h</td><td>\N{EN DASH}</td><td>h</td>" in shown
    scenario = load("tiny").with_({"name": "<b>", "time.days": 1})
    assert "<p>&lt;b&gt;: 1 days" in sim.run(scenario)._repr_html_()


def test_pictures_show_themselves(result, comparison):
    """A picture is HTML with its drawing and its legend, and SVG; nothing in it reaches into the page."""
    found = sim.pictures(result)
    assert list(found)[:3] == ["Where the time goes", "Over time", "Lead times"]
    for picture in [*found.values(), *sim.pictures(comparison).values()]:
        shown = picture._repr_html_()
        (source,) = re.findall('src="data:image/svg\\+xml;base64,([^"]+)"', shown)
        assert base64.b64decode(source).decode() == picture._repr_svg_()
        assert "<style" not in shown
        assert shown.count("display: inline-block") == len(picture.swatches)
        assert picture._repr_svg_().startswith("<svg ")
        assert picture.figure is not None


def test_cells_give_their_values(comparison):
    """A cell gives what its figures are made of, one value a replication."""
    for cell in comparison.cells:
        values = cell.values("put_away_time_s")
        assert len(values) == 3
        assert np.mean(values) == pytest.approx(cell.figures["put_away_time_s"].mean)
    weekly = sim.replicate(load("tiny", ["time.days=21"]), 2, horizon="cyclic").cell
    values = weekly.values("box_moves")
    assert np.mean(values) == pytest.approx(weekly.figures["box_moves"].mean)
    assert values[0] == pytest.approx(weekly.replications[0].measures["box_moves"] / 3)


def test_study_is_kept(tmp_path, comparison):
    """What was run in Python has the folder of a command, report and all."""
    sim.keep_study(comparison, tmp_path / "s", load("tiny"))
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert names == ["replications.parquet", "report.html", "result.json"]
    sim.write_study_report(comparison, tmp_path / "alone.html")
    alone = (tmp_path / "alone.html").read_text(encoding="utf-8")
    assert comparison.verdict.sentence.split(": ")[1].split(",")[0].split(" is ")[0] in alone


def test_public_names_are_there():
    """Every public name can be imported from the package."""
    assert len(sim.__all__) == len(set(sim.__all__)) > 30
    for name in sim.__all__:
        assert getattr(sim, name) is not None
