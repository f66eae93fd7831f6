"""The command line: what it prints, what it writes, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from sim import cli
from sim.cli import LISTS, main
from sim.kpis import KPIS
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
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


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
