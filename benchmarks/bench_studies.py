"""What it costs to run many replications: processes that wait, and the time that an engine adds to each.

200 replications of some 50 ms each run on two processes and are committed one by one. A core is busy while a
process simulates on it: CPU seconds of all replications, over the time of both cores between the first
beginning and the last end. Beside it stand two processes that have half of the work each and nobody to report
to, since no engine can do better on a machine that others use, and the share of time in which a process has a
replication at hand. What handing out, taking in and committing costs is measured with replications that do
nothing.
"""

import multiprocessing
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.ratios import ratio
from sim.engines import Local
from sim.jobs import Job, Outcome, make_jobs, run_job
from sim.scenario import load, resolved
from sim.studybook import Studybook, finish

WORKERS = 2
SETS = ["time.days=21"]


def jobs(count: int) -> list[Job]:
    """Replications of some 50 ms."""
    return list(make_jobs(0, resolved(load("tiny", SETS).scenario), 1, range(count)))


def timed(job: Job) -> Outcome:
    """A replication, with the instants between which it was at hand, and no values by week."""
    start = time.monotonic()
    outcome = run_job(job)
    return outcome._replace(weeks={"at": [start, time.monotonic()], "pid": [os.getpid()]})


def hollow(job: Job) -> Outcome:
    """An outcome of the usual size that takes no time to come to; the first one is simulated."""
    if not _OUTCOMES:
        _OUTCOMES.append(run_job(job))
    return _OUTCOMES[0]._replace(key=job.key, seconds=0.0)


_OUTCOMES: list[Outcome] = []


def busy_share(outcomes: list[Outcome]) -> float:
    """CPU seconds of replications over the time of all cores from the first beginning to the last end."""
    begins, ends = zip(*(each.weeks["at"] for each in outcomes), strict=True)
    return sum(each.seconds for each in outcomes) / (WORKERS * (max(ends) - min(begins)))


def at_hand_share(outcomes: list[Outcome]) -> float:
    """The share of its time in which the least busy process has a replication at hand."""
    shares = []
    for process in {each.weeks["pid"][0] for each in outcomes}:
        at = sorted(each.weeks["at"] for each in outcomes if each.weeks["pid"][0] == process)
        assert all(one[1] <= other[0] for one, other in pairwise(at))
        shares.append(sum(end - start for start, end in at) / (at[-1][1] - at[0][0]))
    assert len(shares) == WORKERS
    return min(shares)


def split(todo: list[Job]) -> list[Outcome]:
    """The same work by processes that have their part from the beginning."""
    context = multiprocessing.get_context("fork")
    ours, theirs = zip(*(context.Pipe(duplex=False) for _ in range(WORKERS)), strict=True)
    processes = [
        context.Process(target=lambda k=k: theirs[k].send([timed(job) for job in todo[k::WORKERS]]))
        for k in range(WORKERS)
    ]
    for process in processes:
        process.start()
    outcomes = [outcome for pipe in ours for outcome in pipe.recv()]
    for process in processes:
        process.join()
    return outcomes


def test_processes_are_busy(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """How busy two cores are while replications run and are committed, beside the same without an engine."""
    count, rounds = (200, 3) if benchmark.enabled else (12, 1)
    todo = jobs(count)
    busy, alone, at_hand = [], [], []

    def beside() -> tuple[tuple[Studybook], dict[str, object]]:
        alone.append(busy_share(split(todo)))
        return (Studybook(tmp_path / str(len(alone))),), {}

    def study(book: Studybook) -> None:
        with book:
            found = finish(todo, book, Local(work=timed), WORKERS)
            assert book.done(job.key for job in todo) == found
        outcomes = [each for each in found.values() if isinstance(each, Outcome)]
        assert len({each.digest for each in outcomes}) == count
        assert outcomes[0].digest == run_job(todo[0]).digest
        busy.append(busy_share(outcomes))
        at_hand.append(at_hand_share(outcomes))

    benchmark.pedantic(study, setup=beside, rounds=rounds)
    ratio(
        benchmark, "replications: share of two cores busy", max(busy), at_least=0.95,
        against=f"the same without an engine: {max(alone):.3f}",
    )  # fmt: skip
    ratio(benchmark, "replications: time with one at hand", max(at_hand), at_least=0.95, against="all time")


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_overhead_of_a_run(benchmark: BenchmarkFixture, tmp_path: Path, workers: int) -> None:
    """Handing out, taking in and committing replications that do nothing: time for each."""
    count = 2000 if benchmark.enabled else 40
    todo = jobs(count)
    with Studybook(tmp_path) as book:
        list(Local(work=hollow).run(todo[:workers], workers=workers))
        arrived: list[float] = []
        cpu = time.process_time()
        found = benchmark.pedantic(
            finish, (todo, book, Local(work=hollow), workers, lambda *_: arrived.append(time.perf_counter())),
            rounds=1, iterations=1,
        )  # fmt: skip
        cpu = time.process_time() - cpu
        assert book.done(job.key for job in todo) == found
    assert len(found) == count
    assert len(arrived) == count + 1
    # From the tenth on, when every process has begun.
    ms = 1000 * (arrived[-1] - arrived[10]) / (count - 10)
    benchmark.extra_info["cpu_ms_a_run_of_the_command"] = round(1000 * cpu / count, 3)
    ratio(
        benchmark, f"replications: ms a run beside its simulation, {workers} at work", ms, at_most=1.0,
        against="1 ms, its commit included",
    )  # fmt: skip
