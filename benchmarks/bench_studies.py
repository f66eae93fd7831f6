"""What it costs to run many replications: processes that wait, and the time that an engine adds to each.

200 replications of some 50 ms each run on two processes and are committed one by one. The share of time in
which a process has a replication at hand is taken between its first beginning and its last end, so that it is
the same on a machine that others use. What handing out, taking in and committing costs is measured with
replications that do nothing.
"""

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

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


def test_processes_are_busy(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The share of time in which each of two processes has a replication at hand, commits among it."""
    count = 200 if benchmark.enabled else 12
    todo = jobs(count)
    with Studybook(tmp_path) as book:
        wall, cpu = time.perf_counter(), time.process_time()
        found = benchmark.pedantic(finish, (todo, book, Local(work=timed), WORKERS), rounds=1, iterations=1)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert book.done(job.key for job in todo) == found
    outcomes = list(found.values())
    assert outcomes[0].digest == run_job(todo[0]).digest
    assert len({each.digest for each in outcomes}) == count
    shares = []
    for process in {each.weeks["pid"][0] for each in outcomes}:
        at = sorted(each.weeks["at"] for each in outcomes if each.weeks["pid"][0] == process)
        assert all(one[1] <= other[0] for one, other in pairwise(at))
        shares.append(sum(end - start for start, end in at) / (at[-1][1] - at[0][0]))
    assert len(shares) == WORKERS
    ms = 1000 / count
    worked = sum(each.seconds for each in outcomes)
    benchmark.extra_info.update(
        busy_share=round(min(shares), 4),
        cpu_ms_a_run=round(worked * ms, 2),
        cpu_ms_a_run_of_the_command=round(cpu * ms, 3),
        cpu_share_of_two_cores=round(worked / (WORKERS * wall), 4),
    )


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
    benchmark.extra_info.update(
        ms_a_run=round(1000 * (arrived[-1] - arrived[10]) / (count - 10), 3),
        cpu_ms_a_run_of_the_command=round(1000 * cpu / count, 3),
    )
