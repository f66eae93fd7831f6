"""The command line: what it prints, what it writes, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from sim import cli, printing
from sim.allocation import ALIASES, OWN_RULES, POLICIES
from sim.cli import LISTS, main
from sim.kpis import KPIS
from sim.replay import ladder
from sim.results import read_result
from sim.scenario import load, scenario_files

ROOT = Path(__file__).resolve().parents[1]
TRACE = ROOT / "tests" / "data" / "synthetic_200.csv"


@pytest.fixture
def call(capsys):
    """Runs a command line in this process; gives its exit code, its output and its error lines."""

    def run(*words: str) -> tuple[int, str, list[str]]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return run


@pytest.fixture(autouse=True)
def own_rules():
    """No test leaves a rule behind."""
    yield
    OWN_RULES.clear()


@pytest.fixture
def rules(tmp_path, monkeypatch) -> Path:
    """A file of rules in a folder of its own, in which the test works."""
    monkeypatch.chdir(tmp_path)
    path = Path("my_rules.py")
    path.write_text(RULES, encoding="utf-8")
    return path


RULES = """\
from sim.allocation import Rule

def nearest(box, view, stream):
    return view.first_open()

def first(box, view, stream):
    return 0

def late(box, view, stream):
    return view.first_open() if box.box < 5 else 1 / 0

def oracle(box, view, stream):
    return view.rank_by_stay(box.leaves_ms - box.now_ms) and view.first_open()

knowing = Rule(nearest, needs={"departures"})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The result folder of a run of the tiny store."""
    path = tmp_path_factory.mktemp("results") / "tiny"
    assert main(["run", "tiny", "--out", str(path), "--json"]) == 0
    return path


def document(call, *words: str) -> dict:
    """What a command prints with --json; nothing may stand beside it."""
    code, out, errors = call(*words, "--json")
    assert (code, errors) == (0, [])
    return json.loads(out)


# --- run ---------------------------------------------------------------------------------------------


def test_run_gives_one_object(call):
    """--json prints scenario, seed, digest, simulated seconds, facts and every KPI with its unit."""
    run = document(call, "run", "tiny", "--seed", "7")
    assert (run["scenario"], run["seed"], run["simulated_s"]) == ("tiny", 7, 2 * 86_400.0)
    assert len(run["digest"]) == 64
    assert run["facts"] > 0
    assert {name: kpi["unit"] for name, kpi in run["kpis"].items()} == {n: k.unit for n, k in KPIS.items()}
    assert run["limits"].endswith(".")


def test_run_prints_for_people(call):
    """People get the question, a table, what limits the store, the digest and where the results lie."""
    code, out, errors = call("run", "tiny")
    assert (code, errors) == (0, [])
    assert out.startswith("Does everything work?")
    assert "order cycle time" in out
    assert "where the time goes" in out
    assert document(call, "run", "tiny")["digest"] in out
    assert document(call, "run", "tiny")["limits"].split(":")[0] in out


def test_slices_and_watching_change_nothing(call):
    """In one go, in slices of a minute, in odd slices, watched: one digest."""
    ways = ([], ["--slice-min", "1"], ["--slice-min", "7.3", "--watch"], ["--watch"])
    assert len({document(call, "run", "tiny", *way)["digest"] for way in ways}) == 1


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_hash_seed_changes_nothing(call, hash_seed):
    """The digest does not depend on the order of sets."""
    command = [sys.executable, "-m", "sim.cli", "run", "tiny", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert json.loads(ran.stdout)["digest"] == document(call, "run", "tiny")["digest"]


def test_set_changes_the_run(call):
    """--set reaches the run; the last one wins."""
    run = document(call, "run", "tiny", "--set", "time.days=3", "--set", "time.days=1")
    assert run["simulated_s"] == 86_400.0


def test_policy_is_short_for_set(call):
    """--policy is the same as --set policy.allocation, and wins over it."""
    named = document(call, "run", "tiny", "--policy", "random", "--set", "policy.allocation=levelling")
    assert named["digest"] == document(call, "run", "tiny", "--set", "policy.allocation=random")["digest"]
    assert named["digest"] != document(call, "run", "tiny")["digest"]


def test_replications_give_intervals(call):
    """N runs on seeds counted up: means with intervals, and each run's digest and values."""
    many = document(call, "run", "tiny", "--replications", "3", "--seed", "5")
    assert [run["seed"] for run in many["runs"]] == [5, 6, 7]
    assert many["runs"][1]["digest"] == document(call, "run", "tiny", "--seed", "6")["digest"]
    values = [run["kpis"]["box_moves"] for run in many["runs"]]
    kpi = many["kpis"]["box_moves"]
    assert (kpi["mean"], kpi["n"], kpi["unit"]) == (pytest.approx(sum(values) / 3), 3, "boxes")
    assert kpi["low"] < kpi["mean"] < kpi["high"]


# --- result folders ----------------------------------------------------------------------------------


def test_result_folder_is_whole(folder):
    """The folder holds result.json, the facts with their manifest, the slots and the report."""
    assert sorted(path.name for path in folder.iterdir()) == [
        "facts",
        "report.html",
        "result.json",
        "slots.parquet",
    ]
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["resolved"]["time"]["days"] == 2
    assert set(result["versions"]) == {"model", "python", "meterhouse", "simpy", "numpy", "pydantic"}
    assert json.loads((folder / "facts" / "manifest.json").read_text())["digest"] == result["digest"]
    rows = duckdb.sql(f"SELECT name, capacity_boxes, visits FROM '{folder}/slots.parquet' ORDER BY slot")
    assert [name for name, *_ in rows.fetchall()][:2] == ["1-01-1", "1-01-2"]


def test_result_folder_tells_no_machine(folder):
    """No file of a result folder names the folders or the user of the machine."""
    for path in folder.rglob("*.*"):
        content = path.read_bytes()
        assert str(ROOT).encode() not in content
        assert str(folder).encode() not in content


def test_result_folder_repeats(folder, tmp_path, capsys):
    """The same run again gives the same result.json and report, byte for byte."""
    assert main(["run", "tiny", "--out", str(tmp_path / "again")]) == 0
    for name in ("result.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_result_is_read_back(folder):
    """A folder gives its run again, with the same KPIs."""
    result = read_result(folder)
    stored = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result.scenario == load("tiny").scenario
    assert json.loads(json.dumps(result.kpis())) == stored["kpis"]


def test_result_folder_replaces_its_like(call, tmp_path):
    """An older result gives way, whole; a folder with anything else in it is refused before the run."""
    path = tmp_path / "out" / "tiny"
    assert call("run", "tiny", "--out", str(path))[0] == 0
    assert call("run", "tiny", "--seed", "2", "--out", str(path))[0] == 0
    assert json.loads((path / "result.json").read_text())["seed"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["tiny"]
    (tmp_path / "precious.txt").write_text("mine")
    code, out, errors = call("run", "tiny", "--out", str(tmp_path))
    assert (code, out) == (2, "")
    assert errors == [f"{tmp_path}: expected a new, empty or result folder, found other files in it"]


def test_replications_leave_a_result(call, tmp_path):
    """--out of several runs holds their summary."""
    out = tmp_path / "many"
    many = document(call, "run", "tiny", "--replications", "2", "--out", str(out))
    stored = json.loads((out / "result.json").read_text())
    assert stored["kpis"] == many["kpis"]
    assert stored["resolved"]["name"] == "tiny"


def test_report_is_written_again(call, folder):
    """`report` makes the same report from the facts."""
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert document(call, "report", str(folder)) == {"report": str(folder / "report.html")}
    assert (folder / "report.html").read_bytes() == before


def test_stock_is_exported_and_started_from(call, folder, tmp_path):
    """The stock of an instant is a list that a run can start from, also in GB18030 with Chinese headings."""
    for name, options in (("a.csv", []), ("b.csv", ["--encoding", "gb18030", "--chinese"]), ("c.xlsx", [])):
        stock = tmp_path / name
        written = document(call, "export", str(folder), "--stock", str(stock), "--at", "86400", *options)
        assert written["at_s"] == 86_400
        assert written["boxes"] > 0
        (tmp_path / "s.toml").write_text(f'extends = "tiny"\n[initial]\nstock = "{name}"\n')
        code, _, errors = call("run", str(tmp_path / "s.toml"), "--json")
        assert (code, errors) == (0, [])


def test_listed_names_are_kept(call, tmp_path):
    """Boxes, lots and meters of a stock list keep their names: what is exported at time 0 is what was read."""
    from sim.assets import check_digit

    # Meters 0-14 of another keeper: 22 digits that end in their check digit.
    meters = [f"9930001{k:014d}" for k in range(7_000, 7_015)]
    numbers = ";".join(meter + check_digit(meter) for meter in meters)
    listed = [
        "box,slot,position,sku,lot,verified_on,meters,state,assets",
        f"FD-0017,1-01-1,1.1,A,2026-B7,2026-01-15,15,qualified_in_stock,{numbers}",
        "1,1-01-1,1.2,A,2026-B7,2026-01-16,15,qualified_in_stock,",
    ]
    (tmp_path / "stock.csv").write_text("\n".join(listed) + "\n")
    (tmp_path / "s.toml").write_text(
        'extends = "tiny"\ndemand.orders_per_day = 0\ninitial.stock = "stock.csv"\n'
    )
    assert call("run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"))[0] == 0
    document(
        call, "export", str(tmp_path / "out"), "--stock", str(tmp_path / "back.csv"), "--at", "0", "--assets"
    )
    back = (tmp_path / "back.csv").read_text().splitlines()
    assert back[:2] == listed[:2]
    assert back[2].startswith("1,1-01-1,1.2,A,2026-B7,2026-01-16,15,qualified_in_stock,9930001")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--at", "-1"], "--at: expected seconds from 0 to 172,800, found -1"),
        (["--at", "172801"], "--at: expected seconds from 0 to 172,800, found 172801"),
        (["--at", "nan"], "--at: expected seconds from 0 to 172,800, found nan"),
        (
            ["--encoding", "gbk"],
            "--encoding: expected 'utf-8', 'utf-8-sig' or 'gb18030', found 'gbk'",
        ),
    ],
)
def test_wrong_export_is_refused(call, folder, tmp_path, words, line):
    """An instant outside the run, or an encoding that is not offered, writes nothing."""
    code, out, errors = call("export", str(folder), "--stock", str(tmp_path / "a.csv"), *words)
    assert (code, out, errors) == (2, "", [line])
    assert list(tmp_path.iterdir()) == []


def test_table_of_measures_is_quiet():
    """What nothing happened in is one line, a split that has no value none, and a long title stays whole."""
    from io import StringIO

    from rich.console import Console

    kpis = {
        "orders": {"value": 3, "unit": "orders", "parts": {}},
        "time_by_cause_s": {"value": None, "unit": "s"},
        "tours": {"value": 2, "unit": "tours"},
        "slots_counted": {"value": 0, "unit": "slots", "parts": {}},
        "count_duration_h": {"value": None, "unit": "h"},
    }
    title = "a title that is longer than the table below it, which is a narrow one"
    console = Console(file=StringIO(), width=100)
    console.print(cli._kpi_table(kpis, title, 100))
    printed = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert printed[0] == title
    assert [line.split() for line in printed[3:] if line] == [
        ["Orders"], ["orders", "3", "orders"], ["Robots"], ["tours", "2", "tours"], ["Counts", "none"],
    ]  # fmt: skip


# --- stock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["sku", "lot", "zone"])
def test_stock_is_told(call, folder, by):
    """The table has the lines of the report and their sums, in meters on record."""
    from sim.control import stock_report

    result = read_result(folder)
    told = stock_report(result.trace, result.layout, result.scenario, t_ms=100_000_000, by=by)
    found = document(call, "stock", str(folder), "--at", "100000", "--by", by)
    assert found["at_s"] == 100_000.0
    assert {key: found[key] for key in ("by", "lines", "alerts", "old")} == {
        key: told[key] for key in ("by", "lines", "alerts", "old")
    }
    code, out, errors = call("stock", str(folder), "--at", "100000", "--by", by)
    assert (code, errors) == (0, [])
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= 100
    moment = "2026-03-03 03:46:40"  # 100,000 s after midnight: a day of 86,400 s and 3 h 46 min 40 s
    assert lines[0] == f"stock on record at {moment}, in meters"
    head = re.split(r"  +", lines[1])
    assert head[:4] == [by.upper() if by == "sku" else by, "boxes", "on hand", "qualified"]
    assert ("safety" in head) == (by == "sku")
    rows = {re.split(r"  +", line)[0]: re.split(r"  +", line)[1:] for line in lines[3:]}
    for line in told["lines"]:
        assert rows[line["key"]] == [f"{line[name.replace(' ', '_')]:,}" for name in head[1:]]
    assert rows["all"][1] == f"{sum(line['on_hand'] for line in told['lines']):,}"


LINE = {
    "key": "A", "boxes": 1_000, "on_hand": 15_000, "qualified": 14_000, "reserved": 100, "held": 500,
    "overdue": 300, "returned": 200, "safety": 14_000, "usable": -100, "on_order": 1_500,
}  # fmt: skip


@pytest.mark.parametrize(
    ("width", "gone"), [(100, ()), (84, ("boxes",)), (76, ("boxes", "on hand")), (68, ("boxes", "on hand", "safety"))]
)  # fmt: skip
def test_narrow_stock_has_fewer_columns(astray, monkeypatch, capsys, width, gone):
    """On a narrow terminal columns go that others imply, and no figure is cut."""
    from types import SimpleNamespace

    from rich.console import Console

    monkeypatch.setattr(printing, "console", lambda: Console(width=width, highlight=False))
    trace = SimpleNamespace(meters_per_box=15, last_ms=0)
    layout = SimpleNamespace(names=["1-01-1", "truck", "handed-over", "outside"])
    told = {"t_ms": 0, "by": "sku", "lines": [LINE], "alerts": [], "old": [], "recalls": []}
    cli._print_stock(told, SimpleNamespace(trace=trace, layout=layout))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    head, row = re.split(r"  +", lines[1].rstrip()), re.split(r"  +", lines[3].rstrip())
    assert [name for name in LINE if name.replace("_", " ") not in head and name != "key"] == [
        name.replace(" ", "_") for name in gone
    ]
    assert row == ["A", *(f"{LINE[name.replace(' ', '_')]:,}" for name in head[1:])]


def test_alerts_old_boxes_and_recalls_are_sentences(monkeypatch, capsys):
    """Under the table stand what is to be acted on, the ten oldest boxes, and how each recall went."""
    from types import SimpleNamespace

    trace = SimpleNamespace(meters_per_box=15, last_ms=0)
    layout = SimpleNamespace(names=["1-01-1", "truck", "handed-over", "outside"])
    names = {"boxes": {"3": "K3"}, "lots": {"7": "B-7"}, "start": "2026-03-02"}
    old = [
        {"box": box, "sku": "A", "lot": 7, "place": "1-01-1", "meters": 15, "age_days": 190 - box,
         "is_red": box < 10}
        for box in range(12)
    ]  # fmt: skip
    hour = 3_600_000
    done = {"lot": 7, "recalled_ms": 9 * hour, "boxes": 20, "left": 20, "last_ms": 12 * hour, "open": (),
            "missing": (), "digs": 1, "lasted_ms": 3 * hour}  # fmt: skip
    more = {"lot": 8, "recalled_ms": 9 * hour, "boxes": 20, "left": 0, "last_ms": -1, "open": tuple(range(14)),
            "missing": (3,), "digs": 0, "lasted_ms": -1}  # fmt: skip
    told = {
        "t_ms": 10 * hour, "by": "lot", "lines": [{**LINE, "key": "7"}], "old": old, "recalls": [done, more],
        "alerts": [
            {"level": "yellow", "text": "15 meters of A are old"}, {"level": "red", "text": "too many boxes"},
        ],
    }  # fmt: skip
    cli._print_stock(told, SimpleNamespace(trace=trace, layout=layout, names=names))
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed[0] == "stock on record at 2026-03-02 10:00:00, in meters"
    assert printed[3].startswith("B-7 ")
    at = printed.index("yellow  15 meters of A are old")
    assert printed[at - 1 : at + 3] == ["", "yellow  15 meters of A are old", "red     too many boxes", ""]
    assert printed[at + 3] == "oldest boxes"
    listed = [line.split() for line in printed[at + 6 : at + 16]]
    assert listed[3] == ["K3", "1-01-1", "A", "B-7", "15", "187", "days", "ago"]
    assert [line[0] for line in listed] == ["0", "1", "2", "K3", *map(str, range(4, 10))]
    assert printed[at + 16 : at + 18] == ["and 2 more", ""]
    # Of the 14 boxes that are open box 3 is missing: 13 are to leave, ten of them are named.
    assert " ".join(printed[at + 18 :]) == (
        "lot B-7, recalled on 2026-03-02 at 09:00:00: 20 of 20 boxes left, the last 3.0 h later, 1 dig "
        "lot 8, recalled on 2026-03-02 at 09:00:00: 0 of 20 boxes left; 13 still to leave: boxes 0, 1, 2, 4, "
        "5, 6, 7, 8, 9, 10 and 3 more; 1 missing: box K3"
    )
    document = cli._stock_document(told)
    assert (document["at_s"], "t_ms" in document) == (36_000.0, False)
    assert document["recalls"][1] == {
        "lot": 8, "recalled_s": 32_400.0, "boxes": 20, "left": 0, "last_s": None, "open": tuple(range(14)),
        "missing": (3,), "digs": 0, "lasted_s": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--by", "lots"], "--by: expected 'sku', 'lot' or 'zone', found 'lots', did you mean 'lot'?"),
        (["--at", "172801"], "--at: expected seconds from 0 to 172,800, found 172801"),
    ],
)
def test_wrong_stock_is_refused(call, folder, tmp_path, words, line):
    """What is no listing, an instant outside the run and what is no result are one line each."""
    assert call("stock", str(folder), *words) == (2, "", [line])
    missing = tmp_path / "x"
    assert call("stock", str(missing)) == (2, "", [f"{missing}: expected a result folder, found none"])


# --- tracking ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def astray(tmp_path_factory) -> Path:
    """The result folder of a box that is set down in another slot than the recorded one, and found by a count."""
    from sim.assets import STATE_CODES
    from sim.facts import (
        BOX_CREATED,
        BOX_MOVED,
        BOX_RECEIVED,
        BOX_RECORDED,
        BOX_RESERVED,
        BOX_STATE,
        CONFIRMED,
        COUNT_DIFFERENCE,
        ERROR_FOUND,
        ERROR_MADE,
        LOT_CREATED,
        NONE,
        PERSON_WORK,
        SLOT_COUNTED,
    )
    from sim.scenario import build_layout
    from sim.trace import Trace, write_facts

    layout = build_layout(load("tiny").scenario)
    port, robot, right, wrong = (
        layout.inbound,
        layout.robot_place(0),
        layout.place("1-02-1"),
        layout.place("1-02-2"),
    )
    day, start, h = 739_662, 8 * 3_600_000, 3_600_000
    trace = Trace(15, names={"start": "2026-03-02", "places": list(layout.names), "skus": ["A", "B"]})
    for row in (
        (start, LOT_CREATED, 3, 0, 1, day),
        (start, BOX_CREATED, 12, 0, 3, day, 15, layout.truck, 7),
        (start, PERSON_WORK, 0, 0, start + 38_000, 12, NONE),
        (start + 38_000, BOX_RECEIVED, 12, 7, 0),
        (start + 38_000, BOX_MOVED, 12, layout.truck, port, NONE, NONE, NONE, NONE, port),
        (start + 60_000, BOX_MOVED, 12, port, robot, NONE, NONE, 0, 40, robot),
        (start + 90_000, BOX_MOVED, 12, robot, wrong, 0, 1, 0, 40, NONE),
        (start + 90_000, BOX_RECORDED, 12, right, 0, 0, 0),
        (start + 90_000, ERROR_MADE, 0, 0, 12, 0, wrong),
        (start + 30 * h, SLOT_COUNTED, 2, right, 0, 1, 0, 1, 0),
        (start + 30 * h, COUNT_DIFFERENCE, 2, right, 12, 0, CONFIRMED),
        (start + 30 * h, BOX_RECORDED, 12, layout.outside, NONE, NONE, 3),
        (start + 30 * h, BOX_STATE, 12, STATE_CODES["quarantined"]),
        (start + 31 * h, SLOT_COUNTED, 2, wrong, 0, 1, 0, 0, 1),
        (start + 31 * h, COUNT_DIFFERENCE, 2, wrong, 12, 1, CONFIRMED),
        (start + 31 * h, BOX_RECORDED, 12, wrong, 0, 1, 3),
        (start + 31 * h, BOX_STATE, 12, STATE_CODES["qualified_in_stock"]),
        (start + 31 * h, ERROR_FOUND, 0, 3, 12),
        (start + 32 * h, BOX_RESERVED, 12, 5, 0, 15),
    ):
        trace.record(row)
    folder = tmp_path_factory.mktemp("results") / "astray"
    write_facts(trace, folder / "facts")
    (folder / "result.json").write_text(json.dumps({"digest": trace.digest(), "simulated_s": 172_800.0}))
    return folder


SERIAL = "993000100000000000183"
"""All digits but the check digit of meter 183. From the right, with weights 3, 1, 3, ...: 3 x 3 + 8 + 3 x 1, then
3 x 1 for the type, 3 x 3 + 9 + 3 x 9 for the unit: 68, to which 2 is missing."""

ASTRAY = """\
Box 12 is in 1-02-2 1.2, as recorded: 15 meters of A, reserved for order 5.

time         event         where          by         what happened
────────────────────────────────────────────────────────────────────────────────────────────────────
2026-03-02   Monday
  08:00:00   arrived       truck                     on truck 7: 15 meters of A, lot 3, verified
                                                     2026-02-15
  08:00:00   unloading     truck          person-1   until 08:00:38
  08:00:38   received      truck          person-1   receiving scan done, truck 7
  08:00:38   moved         port                      from truck
  08:01:00   taken         robot-1        robot-1    taken from port, task 40
  08:01:30   stored        1-02-2 1.2 *   robot-1    set down, task 40 (recorded: 1-02-1 1.1)
  08:01:30   error         1-02-2 1.2 *              wrong slot in 1-02-2; nobody knew
2026-03-03   Tuesday
  14:00:00   counted       1-02-2 1.2 *   robot-1    in 1-02-1 by camera, look 2: not seen,
                                                     confirmed
  14:00:00   missed        1-02-2 1.2 *              not where it is recorded, seen in a count
  14:00:00   held          1-02-2 1.2 *              recorded as quarantined
  15:00:00   counted       1-02-2 1.2 *   robot-1    in 1-02-2 by camera, look 2: seen, recorded
                                                     elsewhere, confirmed
  15:00:00   recorded      1-02-2 1.2                recorded where it is, seen in a count
  15:00:00   let go        1-02-2 1.2                recorded as qualified in stock
  15:00:00   error found   1-02-2 1.2                wrong slot, found by a count
  16:00:00   reserved      1-02-2 1.2                15 meters for order 5

* not where it was recorded
"""


def test_history_is_printed(call, astray):
    """People get a sentence and one line an event, at 100 columns; what the records missed is marked."""
    code, out, errors = call("trace", "box:12", str(astray))
    assert (code, errors) == (0, [])
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= 100
    assert lines == ASTRAY.splitlines()


def test_history_of_an_instant(call, astray):
    """--at gives the state then, --limit the last events of it, and how many came before."""
    from sim.assets import asset_number

    at = str(10 * 3600)
    code, out, _ = call("trace", "box:12", str(astray), "--at", at, "--limit", "1")
    lines = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    said = (
        "2026-03-02 10:00:00: Box 12 is in 1-02-2 1.2, recorded in 1-02-1 1.1: 15 meters of A, qualified in"
    )
    assert " ".join(lines[:2]) == f"{said} stock."
    assert lines[-3:] == ["", "6 earlier events left out (--limit)", "* not where it was recorded"]
    asset = asset_number(12 * 15 + 3)
    found = document(call, "trace", asset, str(astray), "--at", at)
    assert (found["kind"], found["number"], found["name"], found["at_s"]) == ("meter", 183, asset, 36_000.0)
    assert found["sentence"].startswith(
        f"Meter {asset} is in box 12, which is in 1-02-2 1.2, recorded in 1-02-1"
    )
    assert (found["where"]["place"], found["where"]["recorded_place"]) == ("1-02-2", "1-02-1")
    assert found["earlier"] == 0
    stored = found["events"][-2]
    assert stored == {
        "seq": 6, "time_s": 28_890.0, "at": "2026-03-02 08:01:30", "event": "stored",
        "text": "set down, task 40 (recorded: 1-02-1 1.1)", "fact": "box_moved", "side": "truth",
        "place": "1-02-2", "column": 0, "tier": 1, "recorded_place": "1-02-1", "recorded_column": 0,
        "recorded_tier": 0, "box": 12, "by": "robot-1", "robot": 0, "person": None, "order": None, "task": 40,
        "box_name": "12",
    }  # fmt: skip


@pytest.mark.parametrize("what", ["slot:1-02-1", "lot:3", "robot:0", "order:5", "1-02-2", "robot:robot-1"])
def test_everything_can_be_traced(call, folder, what):
    """Slots, lots, robots and orders of a real run: a sentence and events, within 100 columns."""
    found = document(call, "trace", what, str(folder), "--verify")
    assert found["sentence"].endswith(".")
    assert found["verified"] is True
    assert found["events"]
    code, out, errors = call("trace", what, str(folder))
    assert (code, errors) == (0, [])
    assert max(map(len, out.splitlines())) <= 100
    first = out.splitlines()[0]
    assert found["sentence"].startswith(first.rstrip())
    left_out = max(0, len(found["events"]) - 100)
    assert (f"{left_out:,} earlier events left out" in out) == bool(left_out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["box:99"], "box: expected a box from 0 to 12, found '99'"),
        (["slot:1-2-1"], "slot: expected a slot of this store, found '1-2-1', did you mean '1-02-1'?"),
        (["box:12", "--at", "-1"], "--at: expected seconds from 0 to 172,800, found -1"),
        (["box:12", "--at", "inf"], "--at: expected seconds from 0 to 172,800, found inf"),
        (
            [f"{SERIAL}4"],
            f"asset: expected check digit 2, found 4 in '{SERIAL}4', did you mean '{SERIAL}2'?",
        ),
    ],
)
def test_wrong_trace_is_refused(call, astray, words, line):
    """What the run does not have ends with 2 and one line that names the nearest."""
    assert call("trace", words[0], str(astray), *words[1:]) == (2, "", [line])
    assert call("trace", words[0], str(astray), *words[1:], "--json") == (2, "", [line])


def test_torn_results_are_not_traced(call, folder, tmp_path):
    """A folder whose writing was interrupted, or that lost a part, is refused in one line."""
    import shutil

    spoilt = tmp_path / "r"
    shutil.copytree(folder, spoilt)
    (spoilt / "facts" / "part-00000.parquet").rename(spoilt / "facts" / "part-00000.parquet.tmp")
    code, out, errors = call("trace", "box:1", str(spoilt))
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].endswith("found no file")
    (spoilt / "facts" / "manifest.json").unlink()
    line = f"{spoilt}/facts: expected manifest.json, found none: the run was interrupted"
    assert call("trace", "box:1", str(spoilt)) == (2, "", [line])
    line = f"{tmp_path / 'x'}: expected a result folder, found none"
    assert call("trace", "box:1", str(tmp_path / "x"), "--json") == (2, "", [line])


def test_parts_of_an_interrupted_run_are_told(call, tmp_path, monkeypatch):
    """--partial tells from what a run has left that was cut off, and says that it is not all."""
    from sim import trace
    from sim.results import begin_result
    from sim.simulation import Simulation

    monkeypatch.setattr(trace, "PART_ROWS", 100)
    simulation = Simulation(load("tiny"))
    writer = begin_result(simulation.trace, simulation.names(), tmp_path / "r")
    simulation.advance(simulation.end_ms // 2)
    writer.write_ready()
    code, out, errors = call("trace", "box:1", str(tmp_path / "r"))
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith(f"{tmp_path / 'r'}: expected a result folder, found none: writing it was int")
    code, out, errors = call("trace", "box:1", str(tmp_path / "r"), "--partial")
    assert (code, errors) == (0, [])
    assert out.startswith("Not all: the run was interrupted, and what it has left ends at 2026-03-02 ")
    assert out.splitlines()[2].startswith("Box 1 ")
    found = document(call, "trace", "box:1", str(tmp_path / ".r.unfinished"), "--partial")
    assert (found["whole"], found["verified"]) == (False, False)
    end_s = found["at_s"]
    assert 0 < end_s < 86_400
    code, out, errors = call("trace", "box:1", str(tmp_path / "r"), "--partial", "--at", str(end_s + 1))
    assert errors == [f"--at: expected seconds from 0 to {end_s:,.0f}, found {end_s + 1:g}"]


def test_truth_is_labelled(call, tmp_path):
    """`export` writes the records; --truth writes what truly is there, and no run takes that for a stock list."""
    import csv

    from openpyxl import load_workbook

    out = tmp_path / "out"
    # Nothing is counted or corrected, so that the wrong slots of the first days stay.
    settings = ("records.scale=2000", "counting.plan=none", "records.short_packed=0", "records.damage=0")
    sets = [word for setting in settings for word in ("--set", setting)]
    assert call("run", "tiny", *sets, "--out", str(out), "--json")[0] == 0

    def slots(path):
        with path.open(encoding="utf-8-sig", newline="") as file:
            headings, *rows = list(csv.reader(file))
        return headings, {row[0]: (row[1], row[2]) for row in rows}

    written = {}
    for name, options in (("records", []), ("truth", ["--truth"])):
        path = tmp_path / f"{name}.csv"
        found = document(call, "export", str(out), "--stock", str(path), "--encoding", "utf-8-sig", *options)
        assert found["side"] == name
        written[name] = slots(path)
    assert written["records"][0][1] == "slot"
    assert written["truth"][0][1] == "slot (truth)"
    run = read_result(out)
    from sim.history import state_at

    state = state_at(run.trace, run.layout)
    for i, box in enumerate(state.box.tolist()):
        for name, place in (("records", state.recorded_place[i]), ("truth", state.place[i])):
            here = written[name][1].get(str(box))
            assert here is None or here[0] == run.layout.place_name(int(place))
    differing = state.box[(state.place != state.recorded_place) & (state.mask > 0)].tolist()
    assert differing
    assert any(written["records"][1].get(str(b)) != written["truth"][1].get(str(b)) for b in differing)
    (tmp_path / "s.toml").write_text('extends = "tiny"\n[initial]\nstock = "truth.csv"\n')
    code, _, errors = call("run", str(tmp_path / "s.toml"), "--json")
    assert code == 2
    assert any("found 'slot (truth)'" in line for line in errors)
    sheet = tmp_path / "truth.xlsx"
    code, text, _ = call("export", str(out), "--stock", str(sheet), "--truth", "--chinese")
    assert code == 0
    assert ", as it truly was, at day 2, 00:00 of the run" in text
    assert load_workbook(sheet).worksheets[0]["B1"].value == "货位 (truth)"


def test_wrong_folders_are_refused(call, tmp_path):
    """No folder, a file, an empty folder, a broken result: one line each."""
    file = tmp_path / "file"
    file.write_text("")
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.mkdir()
    broken.mkdir()
    (broken / "result.json").write_text("{}")
    for path, found in (
        (tmp_path / "none", "expected a result folder, found none"),
        (file, "expected a result folder, found a file"),
        (empty, "expected a result folder, found no result.json in it"),
    ):
        assert call("report", str(path)) == (2, "", [f"{path}: {found}"])
    assert call("report", str(broken)) == (
        2,
        "",
        [f"{broken}/result.json: expected the result of one run, found something else"],
    )


def test_altered_facts_are_refused(call, tmp_path):
    """A result whose facts are gone is not reported from."""
    out = tmp_path / "tiny"
    assert call("run", "tiny", "--out", str(out))[0] == 0
    (out / "facts" / "manifest.json").unlink()
    code, _, errors = call("report", str(out))
    assert code == 2
    assert errors == [f"{out}/facts: expected manifest.json, found none: the run was interrupted"]


# --- rules of the user's own -------------------------------------------------------------------------


def test_own_rule_runs(call, rules):
    """A rule of a file is a rule like ours: the nearest open slot gives the facts of `closest-open`."""
    own = document(call, "run", "tiny", "--policy", "my_rules.py:nearest")
    ours = document(call, "run", "tiny", "--policy", "closest-open")
    assert own["digest"] == ours["digest"]
    assert own["scenario_id"] != ours["scenario_id"]


def test_own_rule_is_in_its_result(call, rules, tmp_path):
    """A result names rule and file with its SHA-256, no folder of the machine, and is read without the file."""
    from hashlib import sha256

    digest = sha256(rules.read_bytes()).hexdigest()
    for options in (["--seed", "3"], ["--replications", "2"]):
        out = tmp_path / f"out{len(options[0])}"
        words = ["--policy", f"{rules.resolve()}:nearest", "--out", str(out)]
        assert call("run", "tiny", *options, *words)[0] == 0
        stored = json.loads((out / "result.json").read_text(encoding="utf-8"))
        assert stored["resolved"]["policy"]["allocation"] == "my_rules.py:nearest"
        assert stored["inputs"] == {"policy.allocation": {"file": "my_rules.py", "sha256": digest}}
        for path in out.rglob("*.*"):
            assert str(tmp_path).encode() not in path.read_bytes()


def test_result_needs_no_file_of_rules(call, rules, tmp_path):
    """`report` and `export` need the facts only; nothing can run with the name that is left."""
    out = tmp_path / "out"
    assert call("run", "tiny", "--policy", "my_rules.py:nearest", "--out", str(out))[0] == 0
    report = (out / "report.html").read_bytes()
    rules.unlink()
    OWN_RULES.clear()
    assert call("report", str(out))[0] == 0
    assert (out / "report.html").read_bytes() == report
    assert call("export", str(out), "--stock", "stock.csv")[0] == 0
    assert read_result(out).scenario.policy.allocation == "my_rules.py:nearest"
    assert OWN_RULES == {}
    Path("again.toml").write_text('extends = "tiny"\npolicy.allocation = "my_rules.py:nearest"\n')
    code, printed, errors = call("run", "again.toml")
    assert (code, printed, len(errors)) == (2, "", 1)
    assert errors[0].startswith("again.toml:2: policy.allocation: expected ")
    code, printed, errors = call("run", "again.toml", "--policy", "my_rules.py:nearest")
    assert (code, printed) == (2, "")
    assert errors == ["my_rules.py: expected a Python file with a rule, found none"]


def test_result_of_unknown_rule_is_refused(call, folder, tmp_path):
    """Only a name FILE.py:FUNCTION whose file stands among the inputs passes without a rule."""
    import shutil

    for name, inputs in (("mine", {"policy.allocation": {}}), ("a.py:f", {}), (3, {"policy.allocation": {}})):
        out = tmp_path / f"out-{len(str(name))}"
        shutil.copytree(folder, out)
        stored = json.loads((out / "result.json").read_text(encoding="utf-8"))
        stored["resolved"]["policy"]["allocation"] = name
        (out / "result.json").write_text(json.dumps({**stored, "inputs": inputs}), encoding="utf-8")
        code, printed, errors = call("report", str(out))
        assert (code, printed, len(errors)) == (2, "", 1)
        assert errors[0].startswith(f"{out}/result.json: resolved.policy.allocation: expected ")


def test_scenario_may_name_a_loaded_rule(call, rules):
    """A scenario file may name an own rule that the command line loads, from whatever folder it is."""
    Path("s.toml").write_text('extends = "tiny"\npolicy.allocation = "my_rules.py:nearest"\n')
    code, _, errors = call("run", "s.toml", "--json")
    assert (code, len(errors)) == (2, 1)
    assert document(call, "check", "s.toml", "--policy", f"{rules.resolve()}:nearest")["files"][0]["ok"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("first", r"my_rules\.py:6: first: expected an open slot or NONE for box \d+, found slot 0 \(1-01-1\), which has no room"),
        ("late", r"my_rules\.py:10: late: expected a slot for box 5, found ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "words",
    [
        ["run", "tiny", "--out", "out"],
        ["run", "tiny", "--set", "initial.fill=0", "--set", "policy.decide_at=pickup", "--out", "out"],
        ["run", "luoyang_stacks", "--set", "time.days=3", "--replications", "2", "--out", "out", "--json"],
        ["replay", str(TRACE), "--layout", "rack_a"],
        ["replay", str(TRACE), "--layout", "rack_a", "--all", "--bound", "--json"],
    ],
)  # fmt: skip
def test_wrong_answer_ends_the_command(call, rules, name, line, words):
    """What no rule may do ends a run or a replay with 2 and one line; nothing is printed or written."""
    import re

    code, out, errors = call(*words, "--policy", f"my_rules.py:{name}")
    assert (code, out, len(errors)) == (2, "", 1)
    assert re.fullmatch(line, errors[0]), errors[0]
    assert [path.name for path in Path.cwd().iterdir()] == ["my_rules.py"]


def test_rule_of_departures_is_for_replay(call, rules):
    """A rule that must know when boxes leave is refused by a run, in words, and replayed."""
    words = "needs to know when boxes leave: only `meterhouse replay` does"
    code, out, errors = call("run", "tiny", "--policy", "my_rules.py:knowing")
    expected = "--policy: expected a rule that a store can follow"
    assert (code, out) == (2, "")
    assert errors == [f"{expected}, found 'my_rules.py:knowing', which {words}"]
    code, _, errors = call("run", "tiny", "--policy", "offline-oracle")
    assert code == 2
    assert errors[0].endswith(f"found 'offline-oracle', which {words}")
    score = document(call, "replay", str(TRACE), "--layout", "rack_a", "--policy", "my_rules.py:knowing")
    assert score["total_s"] == 433.4


def test_every_wrong_policy_is_a_line(call, rules):
    """Names that nothing has and files that give no rule are reported together."""
    words = [word for name in ("closest", "no.py:f", "my_rules.py:nearst") for word in ("--policy", name)]
    for command in (["replay", str(TRACE), "--layout", "rack_a"], ["check"], ["bench", "allocation"]):
        code, out, errors = call(*command, *words)
        assert (code, out, len(errors)) == (2, "", 3)
        assert errors[0].startswith("--policy: expected closest-open, ")
        assert errors[0].endswith(" or FILE.py:FUNCTION, found 'closest', did you mean 'closest-open'?")
        assert errors[1] == "no.py: expected a Python file with a rule, found none"
        assert errors[2] == "my_rules.py: expected the function 'nearst', found none, did you mean 'nearest'?"


def test_files_of_one_name_are_told_apart(call, rules):
    """Two versions of a file in two folders can be replayed side by side."""
    for folder, which in (("a", "first"), ("b", "last")):
        Path(folder).mkdir()
        Path(folder, "r.py").write_text(f"def f(box, view, stream):\n    return view.{which}_open()\n")
    words = ["--policy", "a/r.py:f", "--policy", "b/r.py:f"]
    found = document(call, "replay", str(TRACE), "--layout", "rack_a", *words)
    assert [row["policy"] for row in found["policies"]] == ["r.py:f", "b/r.py:f"]
    assert [row["total_s"] for row in found["policies"]] == [433.4, 2234.4]


def test_names_are_shown_as_they_are(call, tmp_path, monkeypatch):
    """What others take for markup or for an emoji is a name like any other."""
    monkeypatch.chdir(tmp_path)
    name = "[bold] [-x].py"
    Path(name).write_text("def x(box, view, stream):\n    raise ValueError('[/red] :x:')\n")
    code, out, _ = call("check", "--policy", f"{name}:x")
    assert code == 1
    assert f"{name}:2: x: expected" in out
    assert "[/red] :x:" in out
    Path(name).write_text("def x(box, view, stream):\n    return view.first_open()\n")
    code, out, _ = call(
        "replay", str(TRACE), "--layout", "rack_a", "--policy", f"{name}:x", "--policy", "random"
    )
    assert code == 0
    assert f"{name}:x is best" in out


def test_check_of_a_rule(call, rules):
    """`check --policy` prints what a rule keeps to, with 1 when it does not, files beside it."""
    found = document(call, "check", "--policy", "my_rules.py:nearest", "--policy", "coi")
    assert found["files"] == []
    assert [(each["policy"], each["ok"]) for each in found["policies"]] == [
        ("my_rules.py:nearest", True),
        ("coi", True),
    ]
    assert all(set(check) == {"check", "ok", "finding"} for check in found["policies"][0]["checks"])
    code, out, errors = call("check", "tiny", "--policy", "my_rules.py:nearest")
    assert (code, errors) == (0, [])
    assert out.startswith("tiny: right: ")
    assert "all 9 checks hold" in out
    code, out, errors = call("check", "--policy", "my_rules.py:first")
    assert (code, errors) == (1, [])
    assert "FAILED" in out
    assert "my_rules.py:6: first: expected an open slot or NONE for box" in " ".join(out.split())
    code, out, errors = call("check", "--policy", "my_rules.py:first", "--json")
    assert (code, errors, json.loads(out)["policies"][0]["ok"]) == (1, [], False)


# --- check, show, layout, list, replay, validate -----------------------------------------------------


def test_check_names_every_file(call, tmp_path):
    """Right files are printed, wrong ones go to standard error, and one wrong one decides the exit code."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[time]\ndays = 0\n")
    line = f"{wrong}:2: time.days: expected a whole number from 1 to 36,500, found 0"
    right = "tiny: right: 12 slots, 60 boxes, 900 meters, 2 days\n"
    assert call("check", "tiny", str(wrong)) == (2, right, [line])
    code, out, errors = call("check", "tiny", str(wrong), "--json")
    assert (code, errors) == (2, [line])
    assert [(file["ok"], file["errors"]) for file in json.loads(out)["files"]] == [
        (True, []),
        (False, [line]),
    ]
    assert call("check")[0] == 2


def test_all_scenarios_check(call):
    """Everything that ships is right."""
    checked = document(call, "check", *scenario_files())
    assert all(file["ok"] for file in checked["files"])


def test_show_tells_where_values_come_from(call):
    """`show` gives each value with unit, origin and the file that set it."""
    shown = document(call, "show", "tiny", "--set", "robots.count=2")
    rows = {row["path"]: row for row in shown["values"]}
    assert rows["robots.count"]["value"] == 2
    assert rows["robots.count"]["from"] == "--set"
    assert Path(rows["time.days"]["from"]).name == "tiny.toml"
    assert (rows["robots.run_h"]["unit"], rows["robots.run_h"]["origin"]) == ("h", "sourced")
    assert rows["robots.run_h"]["from"] == "default"
    code, out, _ = call("show", "tiny", "--changed")
    assert code == 0
    assert "time.days" in out
    assert "robots.run_h" not in out


def test_layout_gives_totals(call):
    """`layout` gives the totals of the racks, or draws them."""
    totals = document(call, "layout", "luoyang")
    assert (totals["slots"], totals["boxes"], totals["meters"]) == (258, 2475, 37_125)
    code, out, _ = call("layout", "tiny")
    assert code == 0
    assert "12 slots, 60 boxes, 900 meters" in out


@pytest.mark.parametrize("what", LISTS)
def test_lists_have_sentences(call, what):
    """Everything that can be chosen has a name and a sentence, in both forms."""
    rows = document(call, "list", what)[what]
    assert rows
    for row in rows:
        assert row["name"]
        assert row["sentence"]
    code, out, _ = call("list", what)
    assert code == 0
    assert all(row["name"] in out for row in rows)


def test_list_names_near_miss(call):
    """A list that is none is refused with the nearest; without a name, the lists are listed."""
    code, _, errors = call("list", "policy")
    assert code == 2
    assert errors[0].endswith("found 'policy', did you mean 'policies'?")
    assert [row["name"] for row in document(call, "list")["lists"]] == list(LISTS)


def test_replay_scores(call):
    """A trace on a layout under a policy gives its score; a wrong policy is refused."""
    score = document(call, "replay", str(TRACE), "--layout", "rack_a", "--policy", "closest-open")
    assert list(score) == ["policy", "moves", "total_s", "per_move_s", "peak", "final", "mean_occupancy"]
    code, out, _ = call("replay", str(TRACE), "--layout", "rack_a", "--policy", "closest-open")
    assert code == 0
    assert "per move" in out
    code, _, errors = call("replay", str(TRACE), "--layout", "rack_a", "--policy", "closest")
    assert code == 2
    assert errors[0].endswith("found 'closest', did you mean 'closest-open'?")


def test_policies_are_listed_with_all_that_is_known(call, monkeypatch):
    """JSON has source, fallback, needs and aliases of a rule; people see the fallback where there is room."""
    rows = {row["name"]: row for row in document(call, "list", "policies")["policies"]}
    assert list(rows) == list(POLICIES)
    keys = ["name", "sentence", "source", "fallback", "needs", "aliases"]
    assert all(list(row) == keys and all(row[key] for key in keys[:4]) for row in rows.values())
    assert rows["duration-of-stay"]["needs"] == ["departures"]
    assert {alias: name for name, row in rows.items() for alias in row["aliases"]} == ALIASES
    out = " ".join(call("list", "policies")[1].split())
    assert "duration-of-stay and offline-oracle must know when boxes leave" in out
    assert "FILE.py:FUNCTION" in out
    assert rows["heavy-low"]["fallback"] not in out
    from rich.console import Console

    monkeypatch.setattr(printing, "console", lambda: Console(width=300, highlight=False))
    assert rows["heavy-low"]["fallback"] in call("list", "policies")[1]


def test_ladder_is_replayed(call, rules):
    """--all, --bound or several policies give the document of `ladder`: all of ours, then the user's."""
    trace, layout = str(TRACE), ["--layout", "rack_a"]
    words = ["--all", "--bound", "--policy", "my_rules.py:nearest"]
    found = document(call, "replay", trace, *layout, *words)
    loaded = load("rack_a")
    assert found == ladder(trace, loaded, [*POLICIES, "my_rules.py:nearest"], bound=True)
    assert {row["policy"] for row in found["policies"]} == {*POLICIES, "my_rules.py:nearest"}
    assert found["bound_total_s"] > 0
    assert all(row["total_s"] >= found["bound_total_s"] for row in found["policies"])
    assert document(call, "replay", trace, *layout, "--all") == ladder(trace, loaded, POLICIES, bound=False)
    two = ["random", "levelling"]
    assert document(call, "replay", trace, *layout, "--policy", two[0], "--policy", two[1], "--seed", "5") == ladder(
        trace, loaded, two, bound=False, seed=5
    )  # fmt: skip
    one = document(call, "replay", trace, *layout, "--policy", "levelling", "--bound")
    assert one == ladder(trace, loaded, ["levelling"])


def test_ladder_is_printed(call, rules):
    """People get one line a rule, the bound above all, and which rule is best, within 100 columns."""
    words = ["--all", "--bound", "--policy", "my_rules.py:nearest"]
    code, out, errors = call("replay", str(TRACE), "--layout", "rack_a", *words)
    assert (code, errors) == (0, [])
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= 100
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    assert lines[0] == "synthetic_200.csv on rack_a: 188 moves, at most 58 units"
    assert lines[1].split("  ")[0] == "policy"
    assert lines[3].startswith("lower bound ")
    for name in (*POLICIES, "my_rules.py:nearest"):
        assert [line for line in lines if line.startswith((f"{name}  ", f"{name} * "))], name
    assert sum(" * " in line for line in lines) == 2
    assert "* knows when each unit leaves" in lines
    assert "best of the policies that a store can follow" in out


def test_digs_are_printed(call):
    """In free stacks the digs stand beside the times, and the sentence says that they are left out."""
    words = ["--policy", "closest-open", "--policy", "fewest-blockings"]
    layout = ["--layout", "luoyang_stacks"]
    found = document(call, "replay", str(TRACE), *layout, *words)
    code, out, _ = call("replay", str(TRACE), *layout, *words)
    assert code == 0
    assert "digs" in out.splitlines()[1]
    assert all(f"{row['digs']:,}" in out for row in found["policies"])
    assert "Digging is left out of these times: fewest-blockings digs least" in " ".join(out.split())


def row(policy, total, regret=None, rest=None, against=None, **more):
    """A row of a ladder; the rest of the trace is told by its regret."""
    return {
        "policy": policy, "total_s": total, "per_move_s": total / 10, "regret": regret,
        "against_random": against, "rest_total_s": rest or total, "rest_regret": rest, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row("turnover", 12.0, 0.2, 0.3)], "turnover is 20.0 % above the lower bound; on the last two thirds of the trace 30.0 %."),
        ([row("turnover", 12.0)], "turnover."),
        ([row("turnover", 12.0), row("random", 15.0)], "turnover is best of the policies that a store can follow."),
        (
            [row("offline-oracle", 10.0, 0.0, 0.1), row("turnover", 12.0, 0.2, 0.5), row("learned-stay", 13.0, 0.3, 0.4)],
            (
                "turnover is best of the policies that a store can follow: 20.0 % above the lower bound;"
                " on the last two thirds of the trace it is learned-stay, 40.0 %."
            ),
        ),
        (
            [row("turnover", 12.0, 0.2, 0.3), row("levelling", 12.0, 0.2, 0.3), row("random", 14.0, 0.4, 0.4)],
            (
                "turnover is best of the policies that a store can follow, with levelling as good:"
                " 20.0 % above the lower bound; on the last two thirds of the trace 30.0 %."
            ),
        ),
        (
            [row("turnover", 12.0), row("levelling", 12.0), row("dedicated", 12.0), row("lot-pure", 12.0)],
            "turnover is best of the policies that a store can follow, with 3 others as good.",
        ),
        ([row("offline-oracle", 10.0)], "No store can follow these policies: it does not know when boxes leave."),
        (
            [row("turnover", 12.0, digs=5), row("fewest-blockings", 13.0, digs=1)],
            "turnover is best of the policies that a store can follow. Digging is left out of these times: fewest-blockings digs least, 1 time.",
        ),
    ],
)  # fmt: skip
def test_ladder_ends_in_a_sentence(rows, sentence):
    """The best rule that a store can follow, what is as good, how far it is from the bound, and later on."""
    said = cli._ladder_sentence({"policies": rows}).replace("\u00a0", " ")
    assert said == sentence


def test_bars_are_to_scale():
    """A bar is as long as its share, to an eighth of a column."""
    # 2.5 columns: two whole blocks and one of four eighths; 0.06 of a column is nearer to none than an eighth.
    assert [cli._bar(columns) for columns in (0, 0.06, 0.125, 1, 2.5)] == ["", "", "▏", "█", "██▌"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "replay: expected --policy POLICY or --all, found neither"),
        (["--bound"], "replay: expected --policy POLICY or --all, found neither"),
        (["--all", "--picture", "a.jpg"], "--picture: expected a name in '.svg' or '.png', found 'a.jpg'"),
        (["--all", "--picture", "no/a.svg"], "--picture: expected a file in a folder that is there, found 'no/a.svg'"),
        (["--all", "--picture", "a.svg"], "--picture: expected a file, found the folder 'a.svg'"),
    ],
)  # fmt: skip
def test_wrong_replay_is_refused(call, tmp_path, monkeypatch, words, line):
    """A replay of nothing, and a picture that could not be written, are refused before anything is replayed."""
    monkeypatch.chdir(tmp_path)
    Path("a.svg").mkdir()
    assert call("replay", "none.csv", "--layout", "rack_a", *words) == (2, "", [line])


def test_ladder_is_drawn(call, tmp_path, monkeypatch):
    """--picture writes a drawing of its own, with its colours and a title, and nothing from elsewhere."""
    from xml.etree import ElementTree

    monkeypatch.chdir(tmp_path)
    words = ["--policy", "random", "--policy", "turnover", "--bound", "--picture", "a.svg"]
    code, out, errors = call("replay", str(TRACE), "--layout", "rack_a", *words)
    assert (code, errors) == (0, [])
    assert out.endswith("picture in a.svg\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]
    text = Path("a.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"var\((--[\w-]+)\)", text)) <= set(re.findall(r"(--[\w-]+):", text))
    assert not re.search(r"(href|src|url)\W+https?:", text)
    assert "title" in [child.tag.rpartition("}")[2] for child in ElementTree.fromstring(text)]


# --- import, bench -----------------------------------------------------------------------------------


def test_log_becomes_a_trace(call, tmp_path, monkeypatch):
    """`import` makes an order log into a trace that `replay` takes, with the stock before it."""
    monkeypatch.chdir(tmp_path)
    orders = [["delivery", 7, 10, 0, 1, 1], ["retrieval", 7, 20, 1, 1, 1], ["retrieval", 8, 30, 1, 1, 1]]
    Path("orders.json").write_text(json.dumps(orders))
    Path("fill.json").write_text('{"7": 1, "8": 2}')
    words = ["import", "orders.json", "--initial", "fill.json", "--out", "trace.csv"]
    made = document(call, *words)
    # Three units at time 0, one more, two gone: most 4 at once, 2 at the end; the last order comes at 30 s.
    assert made == {
        "trace": "trace.csv", "rows": 6, "units": 4, "skus": 2, "initial": 3, "arrivals": 1, "departures": 2,
        "dropped": 0, "last_time_s": 30.0, "peak": 4, "final": 2,
    }  # fmt: skip
    code, out, errors = call(*words)
    assert (code, errors) == (0, [])
    assert out.startswith("orders.json as trace.csv")
    assert "most units at once" in out
    assert (
        document(call, "replay", "trace.csv", "--layout", "rack_a", "--policy", "closest-open")["moves"] == 3
    )


def test_columns_of_a_log_are_named(call, tmp_path, monkeypatch):
    """--column names the headings of a CSV log; --drop-unmatched leaves out what is not there, and counts it."""
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("when,what,article\n0,in,A\n5,out,A\n9,out,A\n")
    words = ["import", "log.csv", "--out", "t.csv", "--column", "time_s=when", "--column", "op = what"]
    words += ["--column", "sku=article"]
    code, out, errors = call(*words)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith("log.csv:4: ")
    assert not Path("t.csv").exists()
    assert document(call, *words, "--drop-unmatched")["dropped"] == 1
    assert "departures left out" in call(*words, "--drop-unmatched")[1]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--column", "time_s"], ["--column: expected OURS=THEIRS, found 'time_s'"]),
        (
            ["--column", "sku=a", "--column", "sku=b", "--column", "x"],
            ["--column: expected each column once, found 'sku' again", "--column: expected OURS=THEIRS, found 'x'"],
        ),
        (["--column", "skus=a"], ["columns: expected 'time_s', 'op', 'unit', 'sku' or 'dock', found 'skus', did you mean 'sku'?"]),
    ],
)  # fmt: skip
def test_wrong_columns_are_refused(call, tmp_path, monkeypatch, words, lines):
    """A column that is none, or given twice, is a line each, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("time_s,op,sku\n0,in,A\n")
    assert call("import", "log.csv", "--out", "t.csv", *words) == (2, "", lines)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_allocation_is_timed(call, rules):
    """`bench allocation` times rules, the user's among them, keeps the results, compares and draws them."""
    words = ["bench", "allocation", "--quick", "--size", "258", "--rule", "closest-open"]
    words += ["--policy", "my_rules.py:nearest"]
    first = document(call, *words, "--save", "kept.json")
    assert {"machine", "cases", "ratios"} <= set(first)
    assert first["sizes"] == [258]
    code, out, errors = call(*words, "--picture", "p.svg")
    assert (code, errors) == (0, [])
    assert "my_rules.py:nearest" in out
    assert "closest-open" in out
    assert "levelling" not in out
    assert "not measured" in out
    assert out.endswith("picture in p.svg\n")
    assert Path("p.svg").stat().st_size > 1000
    kept = json.loads(Path("kept.json").read_text())
    assert kept["sizes"] == [258]


def test_slower_ends_with_one(call, monkeypatch, tmp_path):
    """A case that has become slower than what was kept makes the exit code 1."""
    from sim import bench

    kept = {"cases": []}
    pair = {"case": "a", "old": 1.0, "new": 2.0, "ratio": 2.0, "verdict": "slower", "ok": False}
    results = {"sizes": [258], "cases": []}
    monkeypatch.setattr(bench, "read", lambda _path: kept)
    monkeypatch.setattr(bench, "run_allocation", lambda *_a, **_k: results)
    monkeypatch.setattr(bench, "table", lambda _results: (["rule", "258 slots"], [["a", "1 ns"]]))
    monkeypatch.setattr(bench, "ratios", lambda _results: [])
    monkeypatch.setattr(bench, "machine_line", lambda _results: "a machine")
    monkeypatch.setattr(bench, "compare", lambda new, old: [pair] if (new, old) == (results, kept) else [])
    code, out, _ = call("bench", "allocation", "--against", "kept.json")
    assert code == 1
    assert "slower" in out
    code, out, _ = call("bench", "allocation", "--against", "kept.json", "--json")
    assert (code, json.loads(out)["compared"]) == (1, [pair])
    pair.update(verdict="same", ok=True)
    assert call("bench", "allocation", "--against", "kept.json")[0] == 0


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["alocation"], "bench: expected 'allocation', found 'alocation', did you mean 'allocation'?"),
        (["--quick"], "bench: expected 'allocation' before --quick, found nothing"),
        (["--size", "9", "--json"], "bench: expected 'allocation' before --size and --json, found nothing"),
        (["allocation", "--rule", "closest"], "--rule: expected closest-open, "),
        (["allocation", "--save", "a.txt"], "--save: expected a name in '.json', found 'a.txt'"),
        (["allocation", "--picture", "a.gif"], "--picture: expected a name in '.svg' or '.png', found 'a.gif'"),
        (["allocation", "--against", "none.json"], "none.json: expected "),
        (["allocation", "--size", "0"], "meterhouse bench: Invalid value for '--size'"),
    ],
)  # fmt: skip
def test_wrong_bench_is_refused(call, monkeypatch, tmp_path, words, start):
    """What cannot be timed, read or written is one line, before anything takes time."""
    from sim import bench

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "run_allocation", lambda *_a, **_k: pytest.fail("timed all the same"))
    code, out, errors = call("bench", *words)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith(start)


def test_bench_runs_a_checkout(call, monkeypatch):
    """`bench` alone runs the benchmarks of the checkout; what is not ours goes to pytest as it is."""
    called = []
    monkeypatch.setattr(subprocess, "call", lambda command, **_k: called.append(command) or 3)
    assert call("bench")[0] == 3
    assert call("bench", "-k", "startup", "-x")[0] == 3
    assert called[0][1:4] == ["-m", "pytest", str(ROOT / "benchmarks")]
    assert called[1] == [*called[0], "-k", "startup", "-x"]


def test_validate_ends_with_one_on_failure(call, monkeypatch):
    """A check that fails makes the exit code 1; all that hold make it 0."""
    from sim import validation

    check = validation.Check("rack", 1.0, 1.0, 0.9, 1.1, True, "s", "")
    monkeypatch.setattr(validation, "run_checks", lambda *_: [check])
    assert document(call, "validate") == {
        "checks": [
            {
                "name": "rack",
                "expected": 1.0,
                "found": 1.0,
                "low": 0.9,
                "high": 1.1,
                "ok": True,
                "unit": "s",
                "note": "",
            }
        ]
    }
    monkeypatch.setattr(validation, "run_checks", lambda *_: [check, check._replace(ok=False)])
    code, out, _ = call("validate")
    assert code == 1
    assert "FAILED" in out
    assert "1 check of 2 failed" in out
    code, _, errors = call("validate", "--only", "racka")
    assert code == 2
    assert errors[0].startswith("--only: expected ")


# --- how it ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "meterhouse run: Missing argument 'SCENARIO'."),
        (["rnu"], "meterhouse: No such command 'rnu'."),
        (["run", "tiny", "--sed", "1"], "meterhouse run: No such option: --sed"),
        (["run", "tiny", "--seed", "-1"], "meterhouse run: Invalid value for '--seed'"),
        (["run", "tiny", "--seed", "9" * 30], "--seed: expected a whole number below"),
        (["run", "tiny", "--slice-min", "nan"], "--slice-min: expected at least a millisecond, found nan"),
        (["run", "tiny", "--slice-min", "0"], "--slice-min: expected at least a millisecond, found 0"),
        (["run", "tiny", "--replications", "0"], "meterhouse run: Invalid value for '--replications'"),
        (["run", "tiny", "--out", "/dev/null"], "/dev/null: expected a folder, found a file"),
        (["run", "tiny", "--out", "/dev/null/x"], "/dev/null/x: expected a folder that can be made"),
    ],
)
def test_wrong_command_line_is_one_line(call, words, line):
    """A command line that makes no sense ends with 2 and one line."""
    code, out, errors = call(*words)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith(line)


def test_faults_of_a_list_are_lines(call, tmp_path):
    """A stock list that is wrong ends the run with its faults, one line each, and nothing is written."""
    (tmp_path / "stock.csv").write_text(
        "box,slot,sku,lot,verified_on,meters\n1,9-01-1,A,1,2026-01-01,15\n2,1-01-1,Z,1,2026-01-01,15\n"
    )
    (tmp_path / "s.toml").write_text('extends = "tiny"\n[initial]\nstock = "stock.csv"\n')
    code, out, errors = call("run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert [":".join(error.split(":")[1:3]) for error in errors] == ["2: slot", "3: sku"]
    assert not (tmp_path / "out").exists()


def test_help_and_version(call):
    """Without a word there is help; --version says the version."""
    code, out, _ = call()
    assert code == 0
    assert "Commands:" in out
    assert "..." not in out.split("Commands:")[1]
    assert call("--version")[1].startswith("meterhouse ")


def test_help_imports_nothing_heavy():
    """`meterhouse --help` loads neither the model nor the libraries of any command."""
    code = (
        "import sys; from sim.cli import main; main(['--help'])\n"
        "heavy = {'numpy', 'simpy', 'pydantic', 'rich', 'scipy', 'duckdb', 'matplotlib', 'openpyxl'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("what", ["plans", "policies", "errors", "faults"])
def test_lists_import_nothing_heavy(what):
    """What can be chosen is listed without statistics, files and drawing."""
    code = (
        f"import sys; from sim.cli import main; main(['list', '{what}'])\n"
        "heavy = {'scipy', 'duckdb', 'matplotlib', 'openpyxl', 'jinja2'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_small_run_loads_nothing_heavy():
    """A run without a folder loads no library that only files, statistics, drawing and the server need."""
    code = (
        "import sys; from sim.cli import main; main(['run', 'tiny', '--json'])\n"
        "heavy = {'duckdb', 'sqlalchemy', 'matplotlib', 'scipy', 'fastapi', 'pyarrow', 'rich', 'jinja2', 'openpyxl'}\n"
        "ours = {'sim.studycli', 'sim.studycommand', 'sim.fitcommand', 'sim.experiment', 'sim.study', 'sim.fit'}\n"
        "found = (heavy | ours) & set(sys.modules)\n"
        "sys.exit(repr(found) if found else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(json.loads(ran.stdout)["digest"]) == 64


@pytest.mark.parametrize(("given", "kept"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_libraries_are_spared_unless_told(given, kept):
    """A command line asks for one thread of linear algebra, except where the environment says how many."""
    code = (
        "import os; from sim.cli import main; main(['--version']); print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    bare = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env={**bare, **given})
    assert ran.stdout.splitlines()[-1] == kept


def test_every_command_is_made_when_asked_for():
    """The help of a command loads no module of another's, and every command has its name and its sentence."""
    code = (
        "import sys; from sim.cli import COMMANDS, app; from typer.main import get_command\n"
        "group = get_command(app)\n"
        "group.commands['compare']\n"
        "loaded = [name for name in ('sim.studycli', 'sim.studycommand', 'sim.fitcommand') if name in sys.modules]\n"
        "made = {name: group.commands[name] for name in COMMANDS}\n"
        "print(loaded, [name for name, each in made.items() if each.name not in (name, None, '') or not each.help])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stdout == "['sim.studycli'] []\n"


def test_model_imports_nothing_it_need_not():
    """What a run needs loads without statistics, files, drawing and tables."""
    code = (
        "import sys; from sim import Simulation, load, run\n"
        "heavy = {'rich', 'scipy', 'duckdb', 'matplotlib', 'openpyxl', 'jinja2', 'typer'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_public_names_exist():
    """Every name that `sim` offers is there, and no other."""
    import sim

    for name in sim.__all__:
        assert getattr(sim, name) is not None
    assert set(sim.__all__) <= set(dir(sim))
    with pytest.raises(AttributeError, match="module 'sim' has no attribute 'Simulator'"):
        sim.Simulator  # noqa: B018


def test_interrupt_is_quiet(tmp_path):
    """Ctrl-C ends a run with 130, without a word, and leaves nothing behind."""
    command = [sys.executable, "-m", "sim.cli", "run", "luoyang", "--set", "time.days=3650", "--out"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "out")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_query_is_quiet(monkeypatch):
    """Ctrl-C that reaches DuckDB while it writes facts ends a run as quietly; another such error is a bug."""
    from sim import scenario

    def raising(text):
        def load(*_: object) -> None:
            raise RuntimeError(text)

        return load

    monkeypatch.setattr(scenario, "load", raising("Query interrupted"))
    assert main(["run", "tiny"]) == 130
    monkeypatch.setattr(scenario, "load", raising("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["run", "tiny"])


def test_closed_pipe_is_quiet():
    """A reader that goes away, such as `head`, is no reason for a traceback."""
    command = f"{sys.executable} -m sim.cli show luoyang | head -1"
    ran = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, check=True)
    assert ran.stderr == b""


def test_bench_needs_a_checkout(call, monkeypatch, tmp_path):
    """Without a checkout `bench` says so, and ends with 2."""
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "sim" / "cli.py"))
    code, _, errors = call("bench")
    assert code == 2
    assert errors[0].startswith("bench: expected a checkout")


def test_bug_is_not_hidden(monkeypatch):
    """An error that no input explains is raised, not printed as if the user had made it."""
    from sim import scenario

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(scenario, "load", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["run", "tiny"])
