"""Where jobs run: whatever dies, each job is done once or said to have failed, and nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest

from sim import engines as module
from sim.engines import ENGINES, Dask, EngineError, Failed, Local
from sim.jobs import Outcome, make_jobs, run_job
from sim.scenario import load, resolved
from tests import odd_jobs
from tests.odd_jobs import signs, tiny_jobs
from tests.processes import wait_until

ROOT = Path(__file__).resolve().parents[1]
SELF = os.getpid()


@pytest.fixture(autouse=True)
def odd(tmp_path, monkeypatch):
    """The folder of signs, and a check that no process of ours outlives its engine."""
    monkeypatch.setenv("METERHOUSE_ODD", str(tmp_path))
    yield tmp_path
    assert not alive()


@pytest.fixture(params=[*ENGINES])
def engine(request):
    """Every engine there is."""
    return ENGINES[request.param]


def alive() -> set[int]:
    """The processes that did the work of `odd_jobs` and live."""
    return {pid for pid in (int(path.name.split("-")[1]) for path in signs("pid")) if is_alive(pid)}


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def told(outcomes) -> dict:
    """Outcomes by key without the time they took; each job has one only."""
    found = {}
    for each in outcomes:
        assert each.key not in found
        found[each.key] = each[:-1] if isinstance(each, Outcome) else each
    return found


def here(jobs) -> dict:
    """What jobs come to in this process."""
    return told(run_job(job) for job in jobs)


# --- every engine ----------------------------------------------------------------------------------------


def test_engines_agree(engine):
    """Other processes come to what this one comes to, digest by digest; each job once."""
    jobs = tiny_jobs(7)
    assert told(engine(work=odd_jobs.note).run(jobs, workers=2)) == here(jobs)
    assert len({int(path.name.split("-")[1]) for path in signs("pid")} - {SELF}) == 2


def test_dead_process_costs_a_retry(engine):
    """A process that is killed half way is replaced, and what it had is done by another."""
    jobs = tiny_jobs(8)
    assert told(engine(work=odd_jobs.die_once).run(jobs, workers=2)) == here(jobs)
    assert len(signs("death")) == 2


def test_poison_fails_alone(engine):
    """A job of which three processes have died has failed; all others are done."""
    jobs = tiny_jobs(8)
    found = told(engine(work=odd_jobs.die_always).run(jobs, workers=2))
    [poison] = [each for each in found.values() if isinstance(each, Failed)]
    assert (poison.key, poison.attempts) == (jobs[3].key, 3)
    assert poison.reason.startswith("3 processes were given it and died")
    assert len(signs("death")) == 3
    del found[poison.key]
    assert found == here([job for job in jobs if job is not jobs[3]])


def test_error_of_the_model_fails_at_once(engine):
    """What the model raises is told in its words and not tried again."""
    jobs = tiny_jobs(5)
    found = told(engine(work=odd_jobs.raise_always).run(jobs, workers=2))
    words = "ZeroDivisionError: a robot of no speed"
    assert found.pop(jobs[3].key) == Failed(jobs[3].key, words, 1)
    assert len(signs("raised")) == 1
    assert found == here([job for job in jobs if job is not jobs[3]])


def test_wrong_scenario_fails_in_its_lines(engine):
    """A scenario that is refused fails with the line that says why."""
    values = resolved(load("tiny").scenario)
    values["people"] = {**values["people"], "count": -1}
    [failed] = engine().run(make_jobs(0, values, 1, [0]), workers=1)
    assert failed.reason == "people.count: expected a whole number from 0 to 1,000, found -1"
    assert failed.attempts == 1


def test_jobs_are_taken_as_they_can_begin(engine):
    """An engine takes no more jobs than its processes can hold."""
    taken = []
    jobs = (taken.append(job) or job for job in tiny_jobs(50))
    with closing(engine().run(jobs, workers=2)) as outcomes:
        assert all(isinstance(each, Outcome) for each in islice(outcomes, 3))
        assert 3 <= len(taken) <= 8


def test_no_jobs_no_outcomes(engine):
    """Nothing to do is done."""
    assert list(engine().run([], workers=1)) == []


def test_closing_ends_everything(engine):
    """Whoever stops listening leaves no process behind, though one is in the middle of a long job."""
    with closing(engine(work=odd_jobs.slow).run(tiny_jobs(6), workers=2)) as outcomes:
        assert isinstance(next(outcomes), Outcome)
        wait_until(lambda: len(signs("began")) == 2)
        assert len(alive()) == 2
    assert not alive()


def test_no_workers_are_refused(engine):
    """Less than one worker is no engine."""
    with pytest.raises(ValueError, match=r"^expected at least 1 worker, found 0$"):
        list(engine().run([], workers=0))


# --- local -----------------------------------------------------------------------------------------------


def test_orderly_end_is_a_death_too():
    """A process that a job ends is dead, whatever its exit code."""
    found = told(Local(work=odd_jobs.leave).run(tiny_jobs(5), workers=1))
    [failed] = [each for each in found.values() if isinstance(each, Failed)]
    assert failed.reason == "3 processes were given it and died, the last one ended with exit code 7"
    assert len(found) == 5


def test_few_jobs_few_processes():
    """No more processes are begun than there are jobs."""
    list(Local(work=odd_jobs.note).run(tiny_jobs(1), workers=8))
    assert len(signs("pid")) == 1


def test_work_that_is_not_there_is_said(monkeypatch):
    """Processes that cannot do the work say why, once."""
    monkeypatch.setattr(odd_jobs.hollow, "__module__", "tests.gone")
    monkeypatch.setitem(sys.modules, "tests.gone", odd_jobs)
    with pytest.raises(
        EngineError, match=r"^local: expected a process that can simulate, found: Module.*gone'$"
    ):
        list(Local(work=odd_jobs.hollow).run(tiny_jobs(2), workers=2))


def test_processes_that_never_begin_are_said(monkeypatch):
    """Three processes in a row that die before they can do anything are enough."""
    monkeypatch.setattr(module, "_BEGIN", "import os; os._exit(3)")
    expected = "^local: expected processes that simulate, found 3 in a row that ended with exit code 3 before"
    with pytest.raises(EngineError, match=expected):
        list(Local().run(tiny_jobs(2), workers=1))


@contextmanager
def command(program: str):
    """A command of a terminal: a session of its own, with its processes in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


SLOW = "from tests.odd_jobs import *; from sim.engines import {0}\nif __name__ == '__main__': list({0}(work=slow).run(tiny_jobs(6), workers=2))"


@pytest.mark.parametrize("name", ["Local", "Dask"])
def test_killed_command_leaves_nothing(name):
    """When a command is killed with kill -9, its processes end, though they are in the middle of a job."""
    with command(SLOW.format(name)) as process:
        wait_until(lambda: len(signs("began")) == 2)
        pids = alive()
        assert len(pids) == 2
        process.kill()
        process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in pids))


@pytest.mark.parametrize("name", ["Local", "Dask"])
def test_interrupted_command_leaves_nothing(name):
    """Ctrl-C reaches the command alone: it ends what it began, and only it says anything."""
    with command(SLOW.format(name)) as process:
        wait_until(lambda: len(signs("began")) == 2)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGINT
        assert said.count("Traceback") == 1
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert not alive()


# --- dask ------------------------------------------------------------------------------------------------


def test_own_cluster_stays_on_the_loopback():
    """Nothing of a cluster of our own listens on any address but 127.0.0.1."""
    psutil = pytest.importorskip("psutil")
    with closing(Dask(work=odd_jobs.note).run(tiny_jobs(6), workers=2)) as outcomes:
        next(outcomes)
        this = psutil.Process()
        family = [this, *this.children(recursive=True)]
        listening = [
            connection.laddr.ip
            for process in family
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    # The scheduler, and two workers with at least one port each.
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_two_clusters_stand_side_by_side():
    """A second study finds ports of its own, without a warning, while the cluster of the first one stands."""
    jobs = tiny_jobs(3)
    with closing(Dask(work=odd_jobs.note).run(jobs, workers=1)) as first:
        found = [next(first)]
        assert told(Dask(work=odd_jobs.note).run(jobs, workers=1)) == here(jobs)
        assert told([*found, *first]) == here(jobs)


def test_missing_extra_is_said(monkeypatch):
    """Without dask.distributed one line says what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EngineError) as caught:
        list(Dask().run(tiny_jobs(1), workers=1))
    assert caught.value.lines == [
        "dask: expected dask.distributed to be installed: pip install 'meterhouse[cluster]'"
    ]


def test_unreached_scheduler_is_said(monkeypatch):
    """A scheduler that is not there is said with its address."""
    monkeypatch.setattr(module, "WAIT_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EngineError, match=f"^{address}: expected a scheduler, found: "):
            list(Dask(address=address).run(tiny_jobs(1), workers=1))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"ca": Path("ca.pem")}, "--tls-ca: expected --address tls://HOST:PORT, found none"),
        (
            {"address": "tcp://127.0.0.1:9", "cert": Path("c")},
            "--tls-cert: expected --address tls://HOST:PORT, found tcp://127.0.0.1:9",
        ),
        (
            {"address": "tls://127.0.0.1:9", "ca": Path("ca.pem")},
            "tls://127.0.0.1:9: expected --tls-cert and --tls-key with it, found none",
        ),
        (
            {"address": "tls://127.0.0.1:9", "ca": Path("no.pem"), "cert": Path("c"), "key": Path("k")},
            "--tls-ca: expected a file, found no no.pem",
        ),
        ({"address": "hello"}, "hello: expected tcp://HOST:PORT or tls://HOST:PORT"),
    ],
)
def test_half_an_address_is_refused(options, line):
    """TLS needs an address and three files that are there."""
    with pytest.raises(EngineError) as caught:
        list(Dask(**options).run(tiny_jobs(1), workers=1))
    assert caught.value.lines == [line]


class Cluster:
    """A scheduler and a worker of dask.distributed, begun as anybody would."""

    def __init__(self, folder: Path, scheme: str = "tcp", *options: str) -> None:
        self._folder, self._scheme, self._options = folder, scheme, options
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"{self._scheme}://127.0.0.1:{free.getsockname()[1]}"
        self.scheduler = self._begin("dask_scheduler", "--host", self.address, "--no-dashboard")
        self._begin(
            "dask_worker", self.address, "--host", self.address.rpartition(":")[0], "--no-dashboard",
            "--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder),
        )  # fmt: skip
        return self

    def _begin(self, program: str, *arguments: str) -> subprocess.Popen:
        with (self._folder / f"{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *arguments, *self._options],
                cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def test_cluster_that_runs(tmp_path):
    """Jobs go to the workers of a cluster that runs; it still runs afterwards. When its scheduler is killed,
    that is said, and what was given before holds.
    """
    jobs = tiny_jobs(6)
    with Cluster(tmp_path) as cluster:
        engine = Dask(address=cluster.address, work=odd_jobs.note)
        assert told(engine.run(jobs[:3], workers=1)) == here(jobs[:3])
        assert len(alive()) == 1
        outcomes = engine.run(jobs, workers=1)
        found = [next(outcomes)]
        cluster.scheduler.kill()
        with pytest.raises(EngineError) as caught:
            found.extend(outcomes)
        assert caught.value.lines == [f"{cluster.address}: the scheduler of the cluster has gone"]
        assert told(found).items() <= here(jobs).items()


def test_cluster_over_tls(tmp_path):
    """A cluster that asks for TLS takes whoever has a certificate of its authority, and nobody else."""
    ca, ca_key, cert, key = (tmp_path / name for name in ("ca.pem", "ca.key", "cert.pem", "key.pem"))
    request = tmp_path / "request.pem"
    new = ["-newkey", "rsa:2048", "-nodes"]
    for arguments in (
        ["req", "-x509", *new, "-keyout", ca_key, "-out", ca, "-subj", "/CN=authority", "-days", "2"],
        ["req", *new, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1"],
        [
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            ca,
            "-CAkey",
            ca_key,
            "-CAcreateserial",
            "-out",
            cert,
            "-days",
            "2",
        ],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    files = {"ca": ca, "cert": cert, "key": key}
    options = ["--tls-ca-file", str(ca), "--tls-cert", str(cert), "--tls-key", str(key)]
    jobs = tiny_jobs(2)
    with Cluster(tmp_path, "tls", *options) as cluster:
        engine = Dask(address=cluster.address, **files, work=odd_jobs.note)
        assert told(engine.run(jobs, workers=1)) == here(jobs)
        in_the_clear = cluster.address.replace("tls", "tcp")
        with pytest.raises(EngineError, match=f"^{in_the_clear}: expected a scheduler, found: "):
            list(Dask(address=in_the_clear).run(jobs, workers=1))
