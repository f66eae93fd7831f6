"""The twins in idiomatic SimPy come to the same as the product, and what the product does for it is counted."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench_kernel, bench_twin, kernel, where
from benchmarks.ratios import best_of, figure, in_columns, limit_words, table, verdict
from benchmarks.twin import Twin, given, told_of
from sim.calendar import DAY_MS
from sim.simulation import Simulation

LIMITS = {
    "events of a job in the kernel": 5.4,
    "calls of a job in the kernel": 106.0,
    "events of a box move": 4.3,
    "calls of a box move": 128.0,
}
"""Exact counts of today and a few per cent; a lower count lowers its limit."""

ROOT = Path(__file__).resolve().parents[1]
JOBS = 2_000


def test_kernel_tells_the_same():
    """The fleet and a resource give every job the same wait and the same flow time."""
    jobs = kernel.draw(JOBS)
    product, twin = kernel.Product(jobs).run(), kernel.Twin(jobs).run()
    assert product == twin
    assert product.jobs == JOBS
    # The shortest job is a drive to the nearest slot, a pick and the drive back; no wait is shorter than none.
    assert min(product.waits) == 0
    assert min(product.flows) >= 2 * min(kernel.WAY_MS) + kernel.PICK_MS


def test_kernel_is_loaded_as_said():
    """The robots are at work 85 % of the time."""
    jobs = kernel.draw(20_000)
    work = sum(2 * kernel.WAY_MS[job.slot] + kernel.PICK_MS for job in jobs)
    assert work / kernel.ROBOTS / jobs[-1].at_ms == pytest.approx(kernel.LOAD, rel=0.03)


def test_kernel_counts():
    """Events and Python calls of a job stay below their limits."""
    product = kernel.Product(kernel.draw(JOBS))
    before = next(product.env._eid)
    calls = where.python_calls(product.run)
    events = next(product.env._eid) - before - 1
    assert events / JOBS <= LIMITS["events of a job in the kernel"]
    assert calls / JOBS <= LIMITS["calls of a job in the kernel"]
    # A job drives there and drives back: nothing less is the same work.
    assert events / JOBS >= 2


def test_model_counts():
    """Events and Python calls of a box move of the reference store stay below their limits."""
    found = where.counts()
    assert found["moves"] == 1_581
    assert found["events"] <= LIMITS["events of a box move"]
    assert found["calls"] <= LIMITS["calls of a box move"]
    assert found["rows"] > 13


def test_python_calls_are_counted():
    """Functions and resumed generators count, calls of C do not."""

    def three():
        yield from range(2)

    # The work itself, two calls of `int` that are C, and a generator that is entered for 0, for 1 and for its end.
    assert where.python_calls(lambda: [int("1"), int("2"), *three()]) == 4


def test_twin_comes_to_the_same():
    """The twin moves the same boxes, hands over the same orders and writes as many rows of every kind."""
    scenario = bench_twin.scenario(28)
    simulation, twin = Simulation(scenario), Twin(scenario, given(scenario))
    simulation.advance(28 * DAY_MS)
    digest = twin.run(28 * DAY_MS)
    ours, theirs = told_of(simulation), twin.told()
    bench_twin.check(ours, theirs)
    assert bench_twin.unlike(simulation, twin) <= bench_twin.MOST_UNLIKE
    assert (ours.boxes_in, ours.orders, ours.box_moves) == (755, 219, 1_581)
    assert len(digest) == 64
    with pytest.raises(AssertionError, match="order_cycle_s"):
        bench_twin.check(ours, theirs._replace(order_cycle_s=1.01 * ours.order_cycle_s))
    with pytest.raises(AssertionError, match="orders"):
        bench_twin.check(ours, theirs._replace(orders=ours.orders - 1))


def test_another_store_is_told():
    """A twin that has a robot of half the speed is not taken for the same."""
    scenario = bench_twin.scenario(5)
    slow = bench_twin.load("luoyang", ["time.days=5", "robots.speed_m_per_s=0.75"]).scenario
    simulation, twin = Simulation(scenario), Twin(slow, given(scenario))
    simulation.advance(5 * DAY_MS)
    twin.run(5 * DAY_MS)
    with pytest.raises(AssertionError):
        bench_twin.check(told_of(simulation), twin.told())
    assert bench_twin.unlike(simulation, twin) > bench_twin.MOST_UNLIKE


def test_parts_are_whole():
    """The parts of a move's time add up to it."""
    found = where.figures(rounds=1, days=5)
    assert sum(part["us"] for part in found["parts"].values()) == pytest.approx(found["us_a_move"], rel=0.01)
    assert {"recording and hashing", "events (SimPy, clock)", "people"} <= set(found["parts"])


# --- the table -------------------------------------------------------------------------------------------


def row(found, *, at_least=None, at_most=None):
    return {"name": "a", "found": found, "at_least": at_least, "at_most": at_most, "against": "b"}


@pytest.mark.parametrize(
    ("line", "limit", "says"),
    [
        (row(5.0, at_least=5.0), "at least 5", "holds"),
        (row(4.99, at_least=5.0), "at least 5", "falls short: 4.99 of 5"),
        (row(1.3, at_most=1.3), "at most 1.3", "holds"),
        (row(1.31, at_most=1.3), "at most 1.3", "falls short: 1.31 of 1.3"),
        (row(0.0, at_most=0), "at most 0", "holds"),
    ],
)
def test_verdicts(line, limit, says):
    """A limit that is met holds; one that is missed says by how much."""
    assert (limit_words(line), verdict(line)) == (limit, says)


@pytest.mark.parametrize(
    ("value", "words"), [(0.0171, "0.0171"), (3.6666, "3.67"), (149_999.0, "149,999"), (12.0, "12"), (0, "0")]
)
def test_figures(value, words):
    """Three digits that count; whole numbers from 100 on."""
    assert figure(value) == words


def test_figure_never_hides_a_miss():
    """What falls short by less than its digits show is shown with more."""
    assert verdict(row(4.9999, at_least=5.0)) == "falls short: 4.9999 of 5"
    assert verdict(row(150_000.4, at_most=150_000)) == "falls short: 150000.4 of 150,000"


def test_table_is_aligned():
    """Columns begin at the same place in every line."""
    lines = in_columns(
        table([row(5.0, at_least=5.0), {**row(1.0, at_most=2), "name": "a longer one"}])
    ).split("\n")
    at = lines[0].index("found")
    assert lines[2][at - 2 :].startswith("  5 ")
    assert lines[3][at - 2 :].startswith("  1 ")


def test_candidates_have_turns():
    """Every candidate is prepared and called once a round, in turn; nothing is called before its clock starts."""
    calls = []

    def candidate(name):
        def prepare():
            calls.append(f"prepare {name}")
            return lambda: calls.append(name)

        return prepare

    best = best_of(2, a=candidate("a"), b=candidate("b"))
    assert calls == ["prepare a", "a", "prepare b", "b"] * 2
    assert set(best) == {"a", "b"}


BENCH = """
from benchmarks.ratios import ratio

def test_held(benchmark):
    ratio(benchmark, "one", 2.0, at_least=1.0, against="another")
    benchmark(sum, [1])

def test_missed(benchmark):
    ratio(benchmark, "two", 0.5, at_least=1.0, against="another")
    benchmark(sum, [1])

def test_wrong(benchmark):
    ratio(benchmark, "three", 9.0, at_least=1.0, against="another")
    assert benchmark(sum, [1]) == WRONG
"""


@pytest.mark.parametrize(("wrong", "code", "shown"), [("1", 0, True), ("2", 1, False)])
def test_table_ends_the_run(tmp_path, wrong, code, shown):
    """One table with every ratio of right answers; a missed limit fails nothing, a wrong answer does."""
    (tmp_path / "conftest.py").write_text((ROOT / "benchmarks/conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "test_few.py").write_text(BENCH.replace("WRONG", wrong), encoding="utf-8")
    options = [
        "--benchmark-only",
        "--benchmark-quiet",
        "--benchmark-min-rounds=1",
        "--benchmark-max-time=0.01",
    ]
    # A worker of xdist would hand its own role on.
    here = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**here, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["one", "2", "another", "at", "least", "1", "holds"] in lines
    assert ["two", "0.5", "another", "at", "least", "1", "falls", "short:", "0.5", "of", "1"] in lines
    assert any(line[:1] == ["three"] and line[-1:] == ["holds"] for line in lines) is shown
    assert "Min" not in done.stdout


def test_a_row_has_one_limit(benchmark):
    """A row without a limit, or with two, is refused."""
    with pytest.raises(AssertionError, match="one limit"):
        bench_kernel.ratio(benchmark, "a", 1.0)
    with pytest.raises(AssertionError, match="one limit"):
        bench_kernel.ratio(benchmark, "a", 1.0, at_least=1.0, at_most=1.0)
    benchmark(int)


# --- the page --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def make_performance():
    spec = importlib.util.spec_from_file_location("make_performance", ROOT / "docs/make_performance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def on_record(make_performance):
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (make_performance.MEASURED, make_performance.BEFORE)
    ]


def test_page_is_what_is_on_record(make_performance, on_record):
    """Tables and pictures of the page are made from the figures beside the benchmarks."""
    page = make_performance.PAGE.read_text(encoding="utf-8")
    assert make_performance.with_parts(page, *on_record) == page, "run `python docs/make_performance.py`"
    for name in make_performance.PICTURES:
        assert f"(performance/{name})" in page
    # The third one is drawn by make_scale.py.
    stored = {path.name for path in make_performance.FOLDER.iterdir()}
    assert stored == {*make_performance.PICTURES, "scale.svg"}
    assert set(make_performance.OLD_ROWS) <= {line["name"] for line in on_record[0]["rows"]}


def test_pictures_are_drawn(make_performance, on_record, tmp_path):
    """A picture names every row, the same bytes each time, and no address."""
    for name, draw in make_performance.PICTURES.items():
        for copy in ("a.svg", "b.svg"):
            draw(*on_record, tmp_path / copy)
        text = (tmp_path / "a.svg").read_text(encoding="utf-8")
        assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
        assert text == (make_performance.FOLDER / name).read_text(encoding="utf-8"), (
            "run `python docs/make_performance.py`"
        )
        assert not re.search(r"https?://(?!www\.w3\.org/(?:2000/svg|1999/xlink))", text)
        wanted = on_record[0]["model"]["parts"] if name == "where.svg" else make_performance.OLD_ROWS
        assert all(f">{words}</text>" in text for words in wanted)


def test_missing_marker_is_told(make_performance, on_record):
    """A page without the place for a table is refused in words."""
    with pytest.raises(ValueError, match="expected the markers of 'machine', found none"):
        make_performance.with_parts("nothing", *on_record)


def test_part_of_a_measurement_keeps_the_rest(make_performance):
    """Rows that were not measured again stay; those that were take their place; those of the model come first."""
    model, other, new = ({"name": name, "found": 1} for name in ("complete model, box moves", "other", "new"))
    old = {"rows": [other, model], "machine": "old"}
    again = {"rows": [new, {**other, "found": 2}], "machine": "new"}
    kept = make_performance.kept(again, old)
    assert kept == {"rows": [model, {"name": "other", "found": 2}, new], "machine": "new"}
    assert make_performance.kept(again, None)["rows"] == again["rows"]


def test_before_tells_the_same_run(on_record):
    """What is compared is the same run: as many days, moves and rows of facts."""
    now, before = (figures["model"] for figures in on_record)
    assert [now["days"], now["moves"]] == [before["days"], before["moves"]]
    assert now["counts_a_move"]["rows"] == before["counts_a_move"]["rows"]
    assert before["counts_a_move"]["calls"] > LIMITS["calls of a box move"]
