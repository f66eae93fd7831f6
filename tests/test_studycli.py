"""The commands of studies: what they print and write, how they end, and how they go on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sim.allocation import OWN_RULES
from sim.cli import main
from tests import databases
from tests.processes import processes_of

ROOT = Path(__file__).resolve().parents[1]
KPI = "order_cycle_time_s"
NO_KPI = "--kpi: expected a KPI (`meterhouse list kpis`), or one with .p50, .p95 or a part of it"
CARRY = ("compare", "tiny", "--vary", "robots.carry=1,2")


@pytest.fixture
def call(capsys):
    """Runs a command line in this process; gives its exit code, its output and its error lines."""

    def run(*words: str) -> tuple[int, str, list[str]]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return run


def document(call, *words):
    code, out, errors = call(*words, "--json")
    assert (code, errors) == (0, [])
    return json.loads(out)


# --- compare ---------------------------------------------------------------------------------------------


def test_compare_gives_the_shape(call):
    """Cells, one demand digest, paired differences with the ratio of widths, and a verdict."""
    found = document(call, *CARRY, "--replications", "3")
    assert found["scenario"] == "tiny"
    assert re.fullmatch("[0-9a-f]{64}", found["demand_digest"])
    assert [cell["set"] for cell in found["cells"]] == [{"robots.carry": 1}, {"robots.carry": 2}]
    figure = found["cells"][0]["kpis"][KPI]
    assert set(figure) == {"mean", "low", "high", "n", "unit", "method", "observations"}
    assert (figure["n"], figure["unit"], figure["method"]) == (3, "s", "t")
    row = found["paired"][0]
    assert {"kpi", "a", "b", "difference", "low", "high", "unpaired_ratio"} <= set(row)
    assert (row["kpi"], row["a"], row["b"]) == (KPI, "robots.carry=1", "robots.carry=2")
    assert row["difference"] == pytest.approx(figure["mean"] - found["cells"][1]["kpis"][KPI]["mean"])
    assert set(found["verdict"]) == {
        "kpi", "decided", "best", "sentence", "level", "comparisons", "needed",
    }  # fmt: skip


WIDE = "Where it is above 70 %, the same seeds save few runs: what varies there comes from what each cell chooses"


@pytest.mark.parametrize(
    ("first", "is_told"), [("robots.carry=1,2", True), ("robots.speed_m_per_s=1.5,1.51", False)]
)
def test_compare_says_what_a_wide_ratio_means(call, first, is_told):
    """Where pairs share little, a sentence says so; where they share almost all, none does."""
    out = " ".join(call("compare", "tiny", "--vary", first, "--replications", "6")[1].split())
    widths = [
        int(width)
        for width in re.findall(r"(\d+) %(?= [a-z]|$)", out.split("difference width")[1].split("Paired")[0])
    ]
    assert (max(widths) > 70) is is_told
    assert (WIDE in out) is is_told


def test_many_cells_say_what_a_wide_ratio_means(call):
    """With a line a cell only the measure that decides counts."""
    words = ["compare", "tiny", "--vary", "robots.carry=1,2,3,4,5", "--replications", "3"]
    assert WIDE in " ".join(call(*words, "--kpi", "put_away_time_s")[1].split())
    assert WIDE not in " ".join(call(*words, "--kpi", "fill_boxes")[1].split())


def test_compare_prints_for_people(call):
    """A table of cells, a table of differences, what they rest on, and the verdict in a sentence."""
    code, out, errors = call(*CARRY, "--replications", "4", "--kpi", "put_away_time_s")
    assert (code, errors) == (0, [])
    assert "tiny: 2 days from 2026-03-02, 4 replications, seeds 1 to 4" in out
    assert re.search(r"^carry +put away time +runs$", out, re.MULTILINE)
    assert re.search(r"^put away time, s +[\d.]+ +[\d.]+ \([\d.]+ to [\d.]+\) +\d+ %$", out, re.MULTILINE)
    words = " ".join(out.split())
    assert re.search(r"Demand is the same in all cells, digest [0-9a-f]{16}\.", words)
    assert re.search(
        r"Put away time: robots\.carry=1 is shorter by [\d.]+ s \([\d.]+ to [\d.]+\) than robots\.carry=2, 95 %\.",
        words,
    )


def test_many_cells_are_one_a_line(call):
    """With more than four cells the deciding measure is compared, one line a cell."""
    code, out, _ = call("compare", "tiny", "--vary", "robots.carry=1,2,3,4,5", "--replications", "2")
    assert code == 0
    assert re.search(r"^configuration +order cycle time, \w+, less 1 +width$", out, re.MULTILINE)
    assert len(re.findall(r"^robots\.carry=\d  +\S", out, re.MULTILINE)) == 4


def test_compare_needs_whole_weeks(call):
    """From 8 weeks on whole weeks count; where none is left after the warm-up that is said."""
    sets = ["--set", "time.days=56", "--set", "time.warmup_days=42"]
    found = document(call, *CARRY, *sets, "--replications", "2")
    assert found["horizon"] == "cyclic"
    assert found["cells"][0]["kpis"][KPI]["observations"] == "whole weeks"
    assert found["cells"][0]["kpis"][f"{KPI}.p95"]["observations"] == "replications"
    assert document(call, *CARRY, "--replications", "2")["horizon"] == "terminating"
    code, _, errors = call(*CARRY, "--horizon", "steady")
    assert (code, len(errors)) == (2, 1)
    assert errors[0].startswith("time.days: expected a whole week after the warm-up for a horizon 'steady'")


def test_own_rules_are_compared(call, tmp_path, monkeypatch):
    """A rule of a file takes part under its short name, also in other processes."""
    monkeypatch.chdir(tmp_path)
    Path("my_rules.py").write_text("def nearest(box, view, stream):\n    return view.first_open()\n")
    words = ("--vary", f"policy.allocation=closest-open,{tmp_path}/my_rules.py:nearest")
    try:
        found = document(
            call, "compare", "tiny", *words, "--replications", "2", "--workers", "2", "--out", "s"
        )
    finally:
        OWN_RULES.clear()
    assert [cell["name"] for cell in found["cells"]] == ["closest-open", "my_rules.py:nearest"]
    assert found["cells"][0]["runs"] == found["cells"][1]["runs"]
    for path in Path("s").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()


# --- the others ------------------------------------------------------------------------------------------


def test_sweep_is_a_grid(call):
    """Values of several keys give every combination; tables show what was asked for."""
    words = ("sweep", "tiny", "--vary", "robots.carry=1,2", "--vary", "initial.fill=0.4,0.6")
    found = document(call, *words, "--replications", "2")
    assert [cell["set"] for cell in found["cells"]] == [
        {"robots.carry": carry, "initial.fill": fill} for carry in (1, 2) for fill in (0.4, 0.6)
    ]
    code, out, _ = call(*words, "--replications", "2", "--kpi", "box_moves", "--kpi", "tours")
    assert code == 0
    assert re.search(r"^carry +fill +box moves +tours +runs$", out, re.MULTILINE)


def test_sweep_of_ranges_is_a_design(call):
    """Ranges give as many cells as --points says; whole numbers stay whole; a grid is crossed with them."""
    factors = ("--factor", "robots.speed_m_per_s=1..2", "--factor", "robots.carry=1..4")
    found = document(call, "sweep", "tiny", *factors, "--points", "5", "--replications", "1")
    assert (found["design"], len(found["cells"])) == ("latin-hypercube", 5)
    sets = [cell["set"] for cell in found["cells"]]
    assert all(
        1 <= each["robots.speed_m_per_s"] <= 2 and each["robots.carry"] in (1, 2, 3, 4) for each in sets
    )
    # One cell in each fifth of the range.
    assert sorted(int((each["robots.speed_m_per_s"] - 1) * 5) for each in sets) == [0, 1, 2, 3, 4]
    crossed = document(
        call, "sweep", "tiny", *factors, "--vary", "initial.fill=0.4,0.6", "--points", "2", "--design", "sobol",
        "--replications", "1",
    )  # fmt: skip
    assert [cell["set"]["initial.fill"] for cell in crossed["cells"]] == [0.4, 0.4, 0.6, 0.6]


def test_select_names_the_best(call):
    """The best is selected with its promise; 1 when as many runs as allowed do not tell."""
    words = ("select", "tiny", "--vary", "robots.carry=1,2,3", "--kpi", "put_away_time_s")
    found = document(call, *words, "--delta", "10")
    assert (found["selected"], found["contenders"]) == ("robots.carry=1", ["robots.carry=1"])
    assert [cell["dropped_after"] for cell in found["cells"]] == [None, 10, 10]
    code, out, _ = call("select", "tiny", "--vary", "robots.carry=1,2", "--delta", "0.001", "--most", "11")
    assert code == 1
    assert "Not selected: 'robots.carry=1', 'robots.carry=2' are still in after 11 replications" in " ".join(
        out.split()
    )


def test_sensitivity_ranks_factors(call):
    """What matters most stands first, by Sobol's indices and by Morris's effects."""
    words = ("sensitivity", "tiny", "--factor", "robots.turn_s=3..4", "--factor", "robots.carry=1..4")
    for method, points in (("sobol", "8"), ("morris", "4")):
        found = document(call, *words, "--kpi", "put_away_time_s", "--method", method, "--points", points)
        assert [row["factor"] for row in found["factors"]] == ["robots.carry", "robots.turn_s"]
        code, out, _ = call(*words, "--kpi", "put_away_time_s", "--method", method, "--points", points)
        assert code == 0
        assert re.search(r"^robots\.carry (explains|moves) ", out, re.MULTILINE)


# --- run with many replications ---------------------------------------------------------------------------


def test_run_to_a_precision(call, tmp_path):
    """`run --precision` makes as many runs as it takes, says how precise it is, and keeps them."""
    words = ("run", "tiny", "--precision", "0.2", "--kpi", KPI)
    found = document(call, *words, "--out", str(tmp_path / "s"))
    assert found["precision"]["reached"]
    assert len(found["runs"]) == found["precision"]["replications"] >= 15
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "replications.parquet", "report.html", "result.json", "study.db",
    ]  # fmt: skip
    code, out, _ = call(*words)
    assert code == 0
    assert re.search(
        r"^precision 20 % reached with \d+ replications: half-width [\d.]+ % of the mean$", out, re.MULTILINE
    )
    code, out, _ = call("run", "tiny", "--precision", "0.0001", "--replications", "3")
    assert code == 1
    assert "precision 0.01 % not reached with 3 replications" in out


def test_single_run_spares_a_study(call, tmp_path):
    """A run replaces the folder of another run, not that of a study; --kpi needs many runs."""
    out = str(tmp_path / "s")
    assert call("run", "tiny", "--replications", "2", "--out", out)[0] == 0
    before = (tmp_path / "s" / "result.json").read_bytes()
    assert call("run", "tiny", "--out", out) == (
        2, "", [f"{out}: expected a new, empty or result folder, found that of a study"],
    )  # fmt: skip
    assert (tmp_path / "s" / "result.json").read_bytes() == before
    assert call("run", "tiny", "--kpi", KPI)[2] == [
        "--kpi: expected --precision or --replications with it, found neither"
    ]
    assert call("run", "tiny", "--commands", "log.json", "--precision", "0.1")[2] == [
        "--commands: expected one run, found --precision 0.1"
    ]


# --- folders ---------------------------------------------------------------------------------------------


def test_folder_goes_on(call, tmp_path):
    """The same command on the same folder gives the same result; another study there is refused."""
    out = str(tmp_path / "s")
    first = document(call, *CARRY, "--replications", "2", "--out", out)
    stored = (tmp_path / "s" / "result.json").read_bytes()
    assert document(call, *CARRY, "--replications", "2", "--out", out) == first
    assert (tmp_path / "s" / "result.json").read_bytes() == stored
    assert json.loads(stored)["resolved"]["name"] == "tiny"
    assert len(document(call, *CARRY, "--replications", "3", "--out", out)["cells"][0]["runs"]) == 3
    code, printed, errors = call(*CARRY, "--replications", "2", "--seed", "9", "--out", out)
    assert (code, printed) == (2, "")
    assert errors == [f"{out}: expected the study that it holds, with seed 1, found seed 9"]


@pytest.mark.timeout(300)
def test_ctrl_c_keeps_what_is_finished(tmp_path):
    """Ctrl-C ends with 130 and says how to go on; the same command then runs only what is missing."""
    import sqlite3

    out = tmp_path / "s"
    words = ["compare", "tiny", "--vary", "robots.carry=1,2", "--replications", "400", "--out", str(out)]
    command = [sys.executable, "-c", "import sys; from sim.cli import main; sys.exit(main())", *words]
    command += ["--workers", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )

    def finished():
        try:
            with sqlite3.connect(f"file:{out / 'study.db'}?mode=ro", uri=True) as book:
                return book.execute("SELECT count(*) FROM study_replications").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        finally:
            if "book" in locals():
                locals()["book"].close()

    until = time.monotonic() + 120
    while finished() < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    assert said == f"stopped: what is finished is kept in {out}; the same command goes on with the rest\n"
    there = finished()
    assert 5 <= there < 800
    # Nobody is left of the session that it began.
    assert processes_of(SimpleNamespace(process=process)) == {}
    assert not (out / "result.json").exists()
    fewer = [*words[:5], str(there // 2), "--out", str(out)]
    assert main(fewer) == 0
    assert (out / "result.json").exists()


def test_database_is_shared_by_studies(call, tmp_path, monkeypatch):
    """In a database each run is made once for all studies; the folder then holds the result only."""
    with databases.postgres_database() as url:
        out = tmp_path / "s"
        first = document(call, *CARRY, "--replications", "2", "--database", url, "--out", str(out))
        assert sorted(path.name for path in out.iterdir()) == [
            "replications.parquet",
            "report.html",
            "result.json",
        ]
        # Every run of this other study is there: none is made.
        monkeypatch.setattr("sim.experiment.run_job", None)
        words = ("sweep", "tiny", "--vary", "robots.carry=2,1", "--replications", "2")
        rows = document(call, *words, "--database", url)["cells"]
        assert [row["runs"] for row in rows] == [cell["runs"] for cell in reversed(first["cells"])]


# --- wrong input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["compare", "tiny"], ["--vary: expected at least 2 cells, found 0"]),
        (["compare", "tiny", "--vary", "robots.carry=1"], ["--vary: expected at least 2 cells, found 1"]),
        (
            ["compare", "tiny", "--vary", "robots.carry", "--vary", "=1", "--vary", "a.b=1,,2"],
            [f"--vary: expected a.b=value,value, found '{text}'" for text in ("robots.carry", "=1", "a.b=1,,2")],
        ),
        (
            ["compare", "tiny", "--vary", "robots.carry=1,1", "--vary", "seed=1,2", "--vary", "seed=3,4"],
            ["--vary: robots.carry: expected values that differ, found '1' twice",
             "--vary: expected every value once, found 'seed' twice"],
        ),
        (
            ["compare", "tiny", "--vary", "robots.cary=1,2", "--vary", "robots.carry=1,99"],
            ["--vary: robots.cary: expected a key of robots, found 'cary', did you mean 'carry'?",
             "--vary: robots.carry: expected a whole number from 1 to 16, found 99"],
        ),
        (
            ["compare", "tiny", "--vary", "robots.carry=1,2", "--set", "robots.pick=3"],
            ["--set: robots.pick: expected a key of robots, found 'pick', did you mean 'pick_s'?"],
        ),
        (
            ["sweep", "tiny", "--vary", "robots.carry=1,2", "--kpi", "tuors", "--kpi", "late"],
            [f"{NO_KPI}, found 'tuors', did you mean 'tours'?", f"{NO_KPI}, found 'late'"],
        ),
        (["sweep", "tiny"], ["--vary: expected at least 1 cell, found 0"]),
        (
            ["sweep", "tiny", "--vary", "robots.carry=1,2", "--points", "4"],
            ["--factor: expected a range with --design and --points, found none"],
        ),
        (
            ["sweep", "tiny", "--factor", "robots.carry=1-3", "--factor", "policy.allocation=1..2"],
            ["--factor: expected a.b=low..high, found 'robots.carry=1-3'",
             "--factor: policy.allocation: expected a number of the scenario, found a value of type string"],
        ),
        (["sensitivity", "tiny"], ["--factor: expected a.b=low..high at least once, found none"]),
        (
            ["select", "tiny", "--vary", "robots.carry=1,2", "--delta", "-1"],
            ["select: expected a difference that matters above 0, found -1.0"],
        ),
        (
            [*CARRY, "--engine", "lokal"],
            ["--engine: expected 'local' or 'dask', found 'lokal', did you mean 'local'?"],
        ),
        (
            [*CARRY, "--tls-key", "key.pem"],
            ["--tls-key: expected the engine 'dask' with it, found 'local'"],
        ),
        (
            [*CARRY, "--database", "mysql://localhost/x"],
            ["mysql://localhost/x: expected a folder or postgresql://USER:PASSWORD@HOST:5432/NAME"],
        ),
        ([*CARRY, "--precision", "-0.1"], ["--precision: expected a half-width above 0, found -0.1"]),
    ],
)  # fmt: skip
def test_wrong_input_is_lines(call, words, lines):
    """Wrong input ends with 2, one line a mistake, and nothing is printed."""
    assert call(*words) == (2, "", lines)


@pytest.mark.parametrize("name", ["compare", "sweep", "select", "sensitivity"])
def test_commands_have_help(call, name):
    """Every command says in a sentence what it does, and every option what it is for."""
    code, out, _ = call(name, "--help")
    assert code == 0
    assert "..." not in out.split("Options:")[0].split("[OPTIONS]")[1].replace("SCENARIO", "")
    options = re.findall(r"^  --[\w-]+ +(\S.*)?$", out, re.MULTILINE)
    assert len(options) >= 10
