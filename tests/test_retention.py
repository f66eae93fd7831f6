"""Which runs are cleared away, by a server and by `meterhouse data clean`, and which never are."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import lock_folder
from api.registry import NewRun, Registry, RunRow, registry_url
from api.runs import OVER, to_clear
from api.serve import FOLDER
from sim.cli import main
from tests.processes import Altered, wait_until
from tests.test_serve import tree

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STATES = ("queued", "running", "paused", *OVER)

# --- the rule --------------------------------------------------------------------------------------------


def row(number, state, age_h, size, *, keep=False):
    """A run that was made a day before it ended, so many hours ago."""
    ended = NOW - timedelta(hours=age_h)
    return RunRow(
        id=f"r{number}", number=number, name="a run", mode="batch", state=state, speed=None, scenario_name="tiny",
        scenario_id="1", seed=1, resolved={}, model_version="1", end_ms=1, t_ms=1, facts=1, digest=None,
        demand_digest=None, error=None, parent=None, parent_t_ms=None, incarnation=1,
        created_at=ended - timedelta(days=1), started_at=None, ended_at=ended if state in OVER else None,
        created_by="local", time_limit_s=None, memory_limit_mb=None, size_bytes=size, kpis=None, limits=None, keep=keep,
    )  # fmt: skip


@st.composite
def runs_of_a_server(draw):
    """Some runs in any order, and the id of the current one, or of none."""
    made = draw(
        st.lists(
            st.tuples(st.sampled_from(STATES), st.integers(0, 400), st.integers(0, 3) | st.integers(0, 2 * 10**9), st.booleans()),
            max_size=12,
        )
    )  # fmt: skip
    rows = [row(k, state, age, size, keep=keep) for k, (state, age, size, keep) in enumerate(made, 1)]
    current = draw(st.sampled_from(["", *(each.id for each in rows)]))
    return draw(st.permutations(rows)), current


@given(
    runs_of_a_server(),
    st.just(0.0) | st.floats(0.01, 20),
    st.just(0.0) | st.floats(1e-9, 3) | st.sampled_from([1e-9, 2e-9]),
)
def test_oldest_go_until_limits_hold(given_runs, keep_days, keep_gb):
    """What is cleared are the oldest runs that may be, no more than it takes for both limits to hold afterwards."""
    rows, current = given_runs
    gone = to_clear(rows, current, NOW, keep_days, keep_gb)
    may_go = sorted(
        (each for each in rows if each.state in OVER and each.id != current and not each.keep),
        key=lambda each: (each.ended_at, each.number),
    )
    # The oldest first, and nobody else.
    assert gone == [each.id for each in may_go[: len(gone)]]

    def is_within(left):
        is_young = keep_days == 0 or all(each.ended_at >= NOW - timedelta(days=keep_days) for each in left)
        return is_young and (keep_gb == 0 or sum(each.size_bytes for each in left) <= keep_gb * 1e9)

    assert is_within(may_go[len(gone) :])
    if gone:
        assert not is_within(may_go[len(gone) - 1 :])


def test_run_without_an_end_counts_from_its_beginning():
    """A run whose end nobody has noted is as old as it is, and of two that ended at once the first goes."""
    # Made 25 h ago; the others ended 24.5 h ago.
    noted = [row(3, "finished", 24.5, 10), row(2, "finished", 24.5, 10)]
    lost = replace(row(1, "failed", 1, 10), ended_at=None)
    assert to_clear([*noted, lost], "", NOW, 0, 25e-9) == ["r1"]
    assert to_clear([*noted, lost], "", NOW, 0, 15e-9) == ["r1", "r2"]
    assert to_clear([*noted, lost], "", NOW, 25 / 24, 0) == []
    assert to_clear([*noted, lost], "", NOW, 24.9 / 24, 0) == ["r1"]


# --- `meterhouse data` -----------------------------------------------------------------------------------


@pytest.fixture
def call(capsys, monkeypatch):
    """Runs a command line in this process; gives its exit code, its output and its error lines."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("METERHOUSE_DATABASE", raising=False)

    def run(*words):
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return run


KEPT = ("running", "queued", "paused", "current", "kept")


def fill(url, folder):
    """Runs of every kind in a data folder: each with 1,000 bytes of result, 100 of work and 10 of inputs."""
    states = {"old": "finished", "broken": "failed", "ended": "stopped", "foreign": "interrupted"}
    with Registry(url) as registry:
        for age, name in enumerate(("ended", "old", *KEPT, "broken", "foreign")):
            run = registry.add_run(
                NewRun(
                    name=name, mode="batch", scenario_name="tiny", scenario_id="1", seed=1, resolved={}, model_version="1",
                    end_ms=2 * 86_400_000, created_by="local", keep=name == "kept",
                )
            ).id  # fmt: skip
            ended = datetime.now(UTC) - timedelta(days=40 - 2 * age)
            state = states.get(name, "finished" if name in ("current", "kept") else name)
            is_over = {"ended_at": ended} if state in OVER else {}
            registry.update_run(run, state=state, t_ms=3_600_000, facts=1234, **is_over)
            for part, size in (("runs", 1000), ("work", 100), ("inputs", 10)):
                (folder / part / run / "below").mkdir(parents=True)
                (folder / part / run / "below" / "file").write_bytes(b"x" * size)
            if name == "current":
                registry.set_setting("current", run)
    for stray in ("runs/r98", "runs/.r99.unfinished", "work/r1234567", "inputs/r97"):
        (folder / stray).mkdir()
        (folder / stray / "file").write_bytes(b"x" * 7)
    for mine in ("runs/notes", "runs/r1x", "runs/r0", "work/rubbish", "elsewhere/r98"):
        (folder / mine).mkdir(parents=True)
        (folder / mine / "file").write_bytes(b"x")


@pytest.fixture
def folder(tmp_path):
    """The data folder of a server that does not run: r1 ended first; r3 to r7 are not to be touched."""
    folder = tmp_path / "data"
    fill(registry_url(folder), folder)
    return folder


def left(folder):
    """The runs that have a result."""
    return sorted(path.name for path in (folder / "runs").iterdir())


ALL = [f"r{k}" for k in range(1, 10)]
MINE = ["notes", "r0", "r1x"]
STRAYS = [".r99.unfinished", "r98"]


def test_data_is_listed(call, folder):
    """Runs are listed with state, size and marks; folders that belong to no run are counted."""
    code, out, errors = call("data", "list", "--json", "--data", folder)
    told = json.loads(out)
    assert (code, errors) == (0, [])
    assert [(run["run"], run["name"], run["state"]) for run in told["runs"][:3]] == [
        ("r1", "ended", "stopped"), ("r2", "old", "finished"), ("r3", "running", "running"),
    ]  # fmt: skip
    assert {run["bytes"] for run in told["runs"]} == {1110}
    assert (told["bytes"], told["data"]) == (9 * 1110, str(folder))
    assert [run["run"] for run in told["runs"] if run["current"]] == ["r6"]
    assert [run["run"] for run in told["runs"] if run["keep"]] == ["r7"]
    assert told["runs"][2]["ended_at"] is None
    assert told["strays"] == ["runs/.r99.unfinished", "runs/r98", "work/r1234567", "inputs/r97"]
    code, out, _ = call("data", "list", "--data", folder)
    lines = [line.rstrip() for line in out.splitlines()]
    heading = next(line.split() for line in lines if line.startswith("run"))
    assert heading == ["run", "name", "state", "simulated", "facts", "size", "made"]
    body = [line for line in lines if line.startswith(tuple(ALL))]
    assert [line.split()[:3] for line in body[:2]] == [["r1", "ended", "stopped"], ["r2", "old", "finished"]]
    assert "1,234" in body[0]
    assert "1.1 kB" in body[0]
    assert body[5].endswith("current")
    assert body[6].endswith("keep")
    assert lines[-2:] == ["9 runs, 10.0 kB", "4 folders of no run: `meterhouse data clean` removes them"]


def test_cleaning_without_a_wish_removes_strays(call, folder):
    """Cleaning removes what belongs to no run, and neither runs nor anything else that lies there."""
    assert call("data", "clean", "--data", folder) == (
        0,
        "0 runs and 4 folders of no run removed; 28 B freed\n",
        [],
    )
    assert left(folder) == sorted([*ALL, *MINE])
    for mine in ("runs/notes", "runs/r1x", "runs/r0", "work/rubbish", "elsewhere/r98"):
        assert (folder / mine / "file").exists()
    assert not (folder / "work" / "r1234567").exists()
    assert call("data", "clean", "--data", folder) == (0, "0 runs removed; 0 B freed\n", [])


def test_old_runs_are_cleaned(call, folder):
    """Runs that ended too long ago go with all their files; those that must stay do, however old."""
    # r1 ended 40 days ago, r2 38; r6 (current) and r7 (kept) 30 and 28; r8 26, r9 24.
    asked = ("data", "clean", "--older-than", "25", "--json", "--data", folder)
    before = tree(folder)
    dry = json.loads(call(*asked, "--dry-run")[1])
    assert (dry["removed"], dry["dry"], dry["bytes"]) == (["r1", "r2", "r8"], True, 3 * 1110 + 28)
    after = tree(folder)
    assert {path for path in before if "registry.db" not in path.name} <= set(after)
    done = json.loads(call(*asked)[1])
    assert done == {**dry, "dry": False}
    gone = ("r1", "r2", "r8")
    assert left(folder) == sorted([*(set(ALL) - set(gone)), *MINE])
    assert not any((folder / part / run).exists() for part in ("work", "inputs") for run in gone)
    with Registry(registry_url(folder)) as registry:
        assert [run.id for run in registry.runs()] == [run for run in ALL if run not in gone]
        assert registry.setting("current") == "r6"


def test_results_are_cleaned_to_a_size(call, folder):
    """The oldest runs go until those that may go are small enough; people are told what went."""
    # r1, r2, r8 and r9 may go, 1,110 bytes each: 2,220 are within 0.0000025 GB, 3,330 are not.
    asked = ("data", "clean", "--larger-than", "0.0000025", "--data", folder)
    would = "2 runs and 4 folders of no run would be removed: r1, r2; 2.2 kB would be freed\n"
    assert call(*asked, "--dry-run") == (0, would, [])
    assert left(folder) == sorted([*ALL, *MINE, *STRAYS])
    assert call(*asked)[:2] == (0, "2 runs and 4 folders of no run removed: r1, r2; 2.2 kB freed\n")
    assert call(*asked)[:2] == (0, "0 runs removed; 0 B freed\n")
    assert call("data", "clean", "--larger-than", "1e-9", "--data", folder)[1].startswith(
        "2 runs removed: r8, r9;"
    )
    assert left(folder) == sorted([*ALL[2:7], *MINE])


def test_named_runs_are_cleaned(call, folder):
    """Runs that are named go, whatever their age, each once."""
    assert call("data", "clean", "r9", "r2", "r9", "--data", folder)[1].startswith(
        "2 runs and 4 folders of no run removed: r9, r2;"
    )
    assert left(folder) == sorted([*(set(ALL) - {"r9", "r2"}), *MINE])


def test_runs_that_must_stay_are_refused(call, folder):
    """A run that goes on, waits, stands, is current or kept is not removed by name, and then nothing is."""
    before = {path for path in tree(folder) if "registry.db" not in path.name}
    code, out, errors = call("data", "clean", "r1", *ALL[2:7], "r11", "--data", folder)
    assert (code, out) == (2, "")
    assert errors == [
        "run: expected one that is over, found r3, which is running",
        "run: expected one that is over, found r4, which is queued",
        "run: expected one that is over, found r5, which is paused",
        "run: expected another than the current one, found r6",
        "run: expected one that is not to be kept, found r7",
        "run: expected one of this folder, found 'r11', did you mean 'r1'?",
    ]
    assert before <= set(tree(folder))
    with Registry(registry_url(folder)) as registry:
        assert len(registry.runs()) == 9


def test_folder_in_use_is_left_alone(call, folder):
    """While somebody uses the folder nothing is cleaned, and a dry run says so, too."""
    held = lock_folder(folder)
    try:
        for more in ((), ("--dry-run",)):
            code, out, errors = call("data", "clean", "--larger-than", "1e-9", *more, "--data", folder)
            assert (code, out) == (2, "")
            assert "in use by process" in errors[0]
    finally:
        os.close(held)
    assert left(folder) == sorted([*ALL, *MINE, *STRAYS])


def test_folder_of_no_server_is_left_alone(call, tmp_path):
    """A folder that is no server's is refused: nothing of it is taken for what runs have left, nothing is made."""
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    (tmp_path / "runs" / "r1" / "precious").write_text("mine")
    line = f"--data: expected the folder of a server, found no registry under '{tmp_path}'"
    before = tree(tmp_path)
    for words in (("list",), ("clean",), ("clean", "r1"), ("clean", "--dry-run")):
        assert call("data", *words, "--data", tmp_path) == (2, "", [line])
    assert tree(tmp_path) == before


def test_registry_apart_goes_with_its_folder(call, tmp_path):
    """With a database apart only the folder that its server uses is cleaned: another one's runs are not strays."""
    url = registry_url(tmp_path / "database")
    mine, other, none = tmp_path / "mine", tmp_path / "other", tmp_path / "none"
    fill(url, mine)
    fill(registry_url(other), other)
    with Registry(url) as registry:
        registry.set_setting(FOLDER, str(mine))
    before = tree(other)
    asked = ("data", "clean", "--larger-than", "1e-9", "--database", url)
    wanted = f"expected the folder that goes with the registry, '{mine}', found '{other}'"
    assert call(*asked, "--data", other) == (2, "", [f"--data: {wanted}"])
    assert call("data", "list", "--database", url, "--data", other) == (2, "", [f"--data: {wanted}"])
    assert tree(other) == before
    assert call(*asked, "--data", none) == (
        2,
        "",
        [f"--data: expected the folder of a server, found none under '{none}'"],
    )
    assert not none.exists()
    assert call(*asked, "--data", mine)[1].startswith(
        "4 runs and 4 folders of no run removed: r1, r2, r8, r9;"
    )


# --- a server --------------------------------------------------------------------------------------------


def test_server_clears_away(tmp_path):
    """A server removes results that are too large, with all their files; what goes on, is current or kept stays."""
    folder = tmp_path / "data"
    hurried = Altered(folder, "tiny", "--speed", "1", "--keep-gb", "1e-9", change="api.runs.CLEAR_S = 0.2")
    with hurried as server, server.client() as client:
        kept = client.start("tiny", keep=True)["id"]
        gone = [client.start("tiny", seed=seed)["id"] for seed in (2, 3)]
        names = {kept, "r1"}
        wait_until(lambda: {run["id"] for run in client.get("/runs")["runs"]} == names)
        assert client.wait(kept)["state"] == "finished"
        assert client.get("/runs/r1")["state"] == "running"
        wait_until(lambda: left(folder) == [kept])
        assert [run for run in gone if (folder / "work" / run).exists()] == []
        cleared = [line["run"] for line in server.log_lines() if line["event"] == "run cleared away"]
        assert sorted(cleared) == gone
        # What is not to be kept any longer goes, too; what has become the current one does not.
        other = client.start("tiny", seed=4, current=True)["id"]
        client.request("PATCH", f"/runs/{kept}", {"keep": False})
        wait_until(lambda: {run["id"] for run in client.get("/runs")["runs"]} == {"r1", other})
        assert client.wait(other)["state"] == "finished"
        assert client.get("/slots")["run"] == other
    assert "Traceback" not in server.log()
