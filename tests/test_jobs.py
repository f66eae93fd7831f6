"""Replications as units of work: their keys, their seeds, and what they come to."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim import jobs as module
from sim.allocation import OWN_RULES
from sim.jobs import NOT_BY_WEEK, Input, Job, JobError, key_of, make_jobs, run_job, seed_of
from sim.kpis import KPIS, RunFacts
from sim.ownrule import load_rule
from sim.scenario import load, resolved
from sim.simulation import run

ROOT = Path(__file__).resolve().parents[1]
TINY = resolved(load("tiny", ["time.days=1"]).scenario)

STOCK = "box,slot,position,sku,lot,verified_on,meters\nb-1,1-01-1,,A,lot-1,2026-02-20,15\n"
RULE = "def first(box, view, stream):\n    return next(iter(view.open_slots()), -1)\n"


def job_of(*sets: str, seed: int = 1) -> Job:
    return next(make_jobs(0, resolved(load("tiny", sets).scenario), seed, [0]))


# --- seeds and keys --------------------------------------------------------------------------------------


def test_seeds_count_up():
    """Replication k has the root seed plus k, in every configuration, as `run --replications` has it."""
    assert [seed_of(41, k) for k in range(3)] == [41, 42, 43]
    made = [list(make_jobs(cell, {**TINY, "name": str(cell)}, 41, range(3))) for cell in range(2)]
    assert [[job.seed for job in jobs] for jobs in made] == [[41, 42, 43], [41, 42, 43]]
    assert [(job.cell, job.replication) for job in made[1]] == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize(("root", "replication"), [(2**63 - 1, 1), (-1, 5), (1, -1)])
def test_strange_seeds_are_refused(root, replication):
    """A seed that no run can have is refused, also when a sum would mend it."""
    with pytest.raises(ValueError, match=f"found {root} and {replication}$"):
        seed_of(root, replication)


def test_same_work_same_key():
    """The name, the question and the seed of a scenario, the cell and the replication are no part of the key."""
    other = {**TINY, "name": "x", "question": "y?", "seed": 99}
    [one] = make_jobs(0, TINY, 5, [2])
    [two] = make_jobs(7, dict(reversed(other.items())), 7, [0])
    assert one.key == two.key == key_of(TINY, 7)
    assert len(one.key) == 24
    assert int(one.key, 16)


def test_other_work_other_key(monkeypatch):
    """A seed, a value, the bytes of a file, and the version of what makes an outcome each make another key."""
    stock = Input("initial.stock", "/a/stock.csv", "ab" * 32)
    keys = [
        key_of(TINY, 1),
        key_of(TINY, 2),
        key_of({**TINY, "people": {**TINY["people"], "count": 2}}, 1),
        key_of(TINY, 1, [stock]),
        key_of(TINY, 1, [stock._replace(sha256="cd" * 32)]),
        key_of(TINY, 1, [stock._replace(path="demand.file")]),
    ]
    monkeypatch.setattr(module, "_version", lambda: "3 abc")
    keys.append(key_of(TINY, 1))
    assert len(set(keys)) == 7
    # Where a file lies is no part of what is in it.
    assert key_of(TINY, 1, [stock]) == key_of(TINY, 1, [stock._replace(file="/b/stock.csv")])


def test_key_is_the_same_elsewhere():
    """Another process, with other hashes of strings, makes the same key."""
    program = "from tests.odd_jobs import tiny_jobs; print(tiny_jobs(2)[1].key)"
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "7")
    }
    assert keys == {key_of(TINY, 2)}


# --- outcomes --------------------------------------------------------------------------------------------


def test_outcome_is_that_of_the_run():
    """A job comes to the digest, the facts and the KPIs that a run of its scenario and seed gives."""
    sets = ["time.days=3", "time.warmup_days=1"]
    outcome, result = run_job(job_of(*sets, seed=5)), run(load("tiny", sets), 5)
    assert outcome.key == job_of(*sets, seed=5).key
    assert outcome.digest == result.digest
    assert outcome.demand_digest == result.trace.demand_digest()
    assert outcome.facts == len(result.trace)
    assert outcome.kpis == result.kpis()
    assert outcome.seconds > 0


def test_outcome_is_ready_for_json():
    """What is written as JSON and read again is the same; jobs and outcomes can be sent to other processes."""
    job = job_of("time.days=7")
    outcome = run_job(job)
    for part in (outcome.kpis, outcome.weeks):
        assert json.loads(json.dumps(part, allow_nan=False)) == part
    assert pickle.loads(pickle.dumps((job, outcome))) == (job, outcome)


@pytest.mark.parametrize("name", ["tiny", "luoyang_records", "luoyang_faults"])
def test_week_is_a_run_cut_to_it(name):
    """A KPI of week k is that of the same run ended after week k, with all before it as warm-up."""
    whole = run_job(
        next(make_jobs(0, resolved(load(name, ["time.days=16", "time.warmup_days=3"]).scenario), 1, [0]))
    )
    assert set(whole.weeks) == set(KPIS) - NOT_BY_WEEK
    for week in range(2):
        cut = load(name, [f"time.days={7 * week + 7}", f"time.warmup_days={7 * week}"])
        facts = RunFacts.of(run(cut, 1))
        for kpi, values in whole.weeks.items():
            assert len(values) == 2, kpi
            expected = KPIS[kpi].function(facts)["value"]
            # Before there has been an error or a count at all, a run says None and its whole says 0.
            assert values[week] == (pytest.approx(expected, rel=1e-12) if expected is not None else None) or (
                expected is None and values[week] == 0
            ), (kpi, week)


def test_left_out_kpis_exist():
    """What is left out by week is among the KPIs."""
    assert set(KPIS) >= NOT_BY_WEEK


def test_no_whole_week_no_values():
    """A run shorter than a week has no week."""
    assert set(map(len, run_job(job_of()).weeks.values())) == {0}


# --- what a job needs ------------------------------------------------------------------------------------


def test_other_version_is_refused():
    """A job that another version of the program made is refused: it would not be the same work."""
    job = job_of()._replace(key="0" * 24)
    with pytest.raises(
        JobError, match=r"^0{24}: expected a job of this version of the program, found one of"
    ):
        run_job(job)


@pytest.fixture
def stocked(tmp_path) -> tuple[Path, Job]:
    """A job whose scenario starts from a stock list beside its file."""
    (tmp_path / "stock.csv").write_text(STOCK)
    (tmp_path / "mine.toml").write_text(
        'extends = "tiny"\n[initial]\nstock = "stock.csv"\n[time]\ndays = 1\n'
    )
    loaded = load(tmp_path / "mine.toml")
    return tmp_path / "stock.csv", next(make_jobs(0, resolved(loaded.scenario), 1, [0], loaded.files()))


def test_files_are_found(stocked, monkeypatch, tmp_path_factory):
    """A job names its files so that they are found from any folder, and comes to what the run came to."""
    file, job = stocked
    assert [each.file for each in job.inputs] == [str(file)]
    digest = run(load(file.parent / "mine.toml"), 1).digest
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert run_job(job).digest == digest


def test_changed_file_is_refused(stocked):
    """A file that has changed since the study began, or has gone, is said: it would be other work."""
    file, job = stocked
    file.write_text(STOCK.replace(",15", ",14"))
    with pytest.raises(
        JobError, match=r"stock\.csv: expected the file with SHA-256 \w{64}, with which the study"
    ):
        run_job(job)
    file.unlink()
    with pytest.raises(JobError, match=r"stock\.csv: expected a file that can be read, found: no such file"):
        run_job(job)


def test_unnamed_file_is_refused(stocked):
    """A scenario that reads a file is no job without it."""
    _, job = stocked
    with pytest.raises(
        JobError, match=r"^initial\.stock: expected the file that the scenario reads, found only"
    ):
        list(make_jobs(0, job.resolved, 1, [0]))


@pytest.fixture
def own_rule(tmp_path) -> Iterator[Callable[[str], Job]]:
    """Makes jobs of a rule of the user's own, which is forgotten after each."""
    file = tmp_path / "mine.py"

    def make(text: str) -> Job:
        file.write_text(text)
        load_rule(f"{file}:first", "mine.py:first")
        try:
            return job_of("time.days=1", "policy.allocation=mine.py:first")
        finally:
            del OWN_RULES["mine.py:first"]

    yield make
    OWN_RULES.pop("mine.py:first", None)


def test_own_rule_goes_along(own_rule, tmp_path):
    """A rule of the user's own is loaded wherever the job runs, and its bytes are part of the key."""
    job, other = own_rule(RULE), own_rule(f"# as before\n{RULE}")
    assert job.key != other.key
    [given] = other.inputs
    assert given[:2] == ("policy.allocation", str(tmp_path / "mine.py"))
    assert given.function == "first"
    outcome = run_job(other)
    assert outcome.digest == run_job(job_of("time.days=1", "policy.allocation=closest-open")).digest
    with pytest.raises(JobError, match=r"mine\.py: expected the file with SHA-256"):
        run_job(job)


def test_rules_of_one_name_are_told_apart(own_rule, tmp_path):
    """Two rules of one name, one after the other in one process: each job meets its own."""
    near = own_rule(RULE)
    (tmp_path / "near.py").write_text(RULE)
    far = own_rule(RULE.replace("next(iter(view.open_slots()), -1)", "max(view.open_slots(), default=-1)"))
    [given] = near.inputs
    near = near._replace(inputs=(given._replace(file=str(tmp_path / "near.py")),))
    digests = [run_job(job).digest for job in (near, far, near)]
    assert digests[0] == digests[2] != digests[1]
