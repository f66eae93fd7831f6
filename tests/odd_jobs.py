"""Work that goes wrong in every way that work can, done by the processes of an engine; and a command to kill.

What a process is to do, and what it leaves as a sign, is in the folder that METERHOUSE_ODD names. Run as a
program, it finishes a study: `python -m tests.odd_jobs PLACE REPLICATIONS WORKERS`, one line a replication.
"""

import os
import signal
import sys
import time
from pathlib import Path

from sim.jobs import Job, Outcome, make_jobs, run_job
from sim.scenario import load, resolved


def tiny_jobs(count: int, *sets: str) -> list[Job]:
    """Replications of the smallest scenario, over a day."""
    return list(make_jobs(0, resolved(load("tiny", ["time.days=1", *sets]).scenario), 1, range(count)))


def odd() -> Path:
    return Path(os.environ["METERHOUSE_ODD"])


def sign(name: str) -> int:
    """Leave one more sign of this name, and say how many there are."""
    (odd() / f"{name}-{os.getpid()}-{time.monotonic_ns()}").touch()
    return len(signs(name))


def signs(name: str) -> list[Path]:
    return list(odd().glob(f"{name}-*"))


def hollow(job: Job) -> Outcome:
    """Nothing at all."""
    return Outcome(job.key, "", "", 0, {}, {}, 0.0)


def note(job: Job) -> Outcome:
    """A run whose process can be found."""
    sign("pid")
    return run_job(job)


def slow(job: Job) -> Outcome:
    """The first replication at once, all others until they are killed."""
    sign("pid")
    if job.replication:
        sign("began")
        time.sleep(600)
    return hollow(job)


def die_once(job: Job) -> Outcome:
    """The process dies half way of replication 3, the first time."""
    if job.replication == 3 and sign("death") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job)


def die_always(job: Job) -> Outcome:
    """Replication 3 is poison."""
    if job.replication == 3:
        sign("death")
        os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job)


def leave(job: Job) -> Outcome:
    """Replication 3 ends the process in an orderly way."""
    if job.replication == 3:
        os._exit(7)
    return hollow(job)


def raise_always(job: Job) -> Outcome:
    """Replication 3 is more than the model can do."""
    if job.replication == 3:
        sign("raised")
        raise ZeroDivisionError("a robot of no speed")
    return run_job(job)


def main() -> None:
    from sim.engines import Local
    from sim.studybook import Studybook, finish
    from tests import odd_jobs  # not of `__main__`, which another process has not

    place, count, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    def told(done: int, total: int) -> None:
        sys.stdout.write(f"{done} of {total}\n")
        sys.stdout.flush()

    with Studybook(place) as book:
        finish(tiny_jobs(count), book, Local(work=odd_jobs.note), workers, told)


if __name__ == "__main__":
    main()
