"""Where jobs run: an engine takes jobs and gives back what each came to, as it comes.

`local` keeps processes of its own on this machine. `dask` hands jobs to dask.distributed (extra `cluster`):
to a cluster of its own on the loopback, or to one that runs, over TLS where that asks for it. Whatever dies,
a job is done or said to have failed, once: a process that dies costs its job one attempt, and the third time
the job is taken to be the cause. What the model itself raises would be raised again, and fails at once.

Left out: what was done before (`studybook`). An engine remembers nothing.
"""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count, islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sim.jobs import Job, Outcome, run_job
from sim.words import printable

if TYPE_CHECKING:
    from distributed import Client, Future

ATTEMPTS: Final = 3
"""A job has failed when so many processes have died of it."""

QUICK_S: Final = 1.0
"""While jobs take less, the next one waits with the process that will do it, so that none is ever idle."""

WAIT_S: Final = 30.0
"""Time in which the scheduler of a cluster has to answer, and to have a worker."""

GONE_S: Final = 5.0
"""Time in which a process that has been told to end has to be gone."""

Work = Callable[[Job], Outcome]


class Failed(NamedTuple):
    """A job that came to nothing.

    Attributes
    ----------
    key : that of the job.
    reason : why, in words.
    attempts : how often it was begun.
    """

    key: str
    reason: str
    attempts: int


class EngineError(RuntimeError):
    """An engine that cannot go on; `lines` says why. What was given before holds."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Engine(Protocol):
    """Something that runs jobs."""

    def run(self, jobs: Iterable[Job], *, workers: int) -> Generator[Outcome | Failed, None, None]:
        """Run jobs with so many processes, and give what they come to as they end.

        Jobs are taken as they can be begun. Closing the iterator ends all that was begun.
        """
        ...


# --- processes of our own --------------------------------------------------------------------------------


class Local:
    """Processes on this machine, each with a pipe to this one.

    They are begun anew, not forked: a fork would take along the threads' locks of whatever this process has
    loaded. Each has a process group of its own, so that Ctrl-C reaches this process only, and ends when
    its pipe does, whatever way this process went.

    Parameters
    ----------
    work : what is done with a job; importable by its name.
    """

    def __init__(self, *, work: Work = run_job) -> None:
        self._work = work

    def run(self, jobs: Iterable[Job], *, workers: int) -> Generator[Outcome | Failed, None, None]:
        """Run jobs as every engine does.

        Raises EngineError when processes die before they can begin a job, ValueError for less than 1 worker.
        """
        if workers < 1:
            raise ValueError(f"expected at least 1 worker, found {workers}")
        crew = _Crew(self._work, iter(jobs), workers)
        with closing(crew):
            yield from crew.outcomes()


@dataclass(eq=False)
class _Task:
    """A job and how many processes have died of it."""

    job: Job
    deaths: int = 0


class _Worker:
    """A process, the pipe to it, and what it has been given: the first of it is what it does."""

    def __init__(self, work: Work) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - this interpreter, with arguments of our own
                [sys.executable, "-c", _BEGIN, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                process_group=0, env={**os.environ, **_ONE_THREAD},
            )  # fmt: skip
        self.pipe = Connection(ours.detach())
        self.tasks: deque[_Task] = deque()
        self.is_ready = False
        with suppress(OSError):  # one that is dead already is found to be so when it is read from
            self.pipe.send(sys.path)
            self.pipe.send(work)

    def give(self, task: _Task) -> None:
        self.tasks.append(task)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(task.job)

    def end(self) -> int:
        """Have the process end, kill it if it is slow to; gives its exit code."""
        self.pipe.close()
        try:
            return self.process.wait(GONE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class _Crew:
    """The processes of one `run`, and the jobs that are with them or come back from one that died."""

    def __init__(self, work: Work, jobs: Iterator[Job], size: int) -> None:
        self._work, self._jobs, self._size = work, jobs, size
        self._again: deque[_Task] = deque()
        self._workers: list[_Worker] = []
        self._ahead = 1
        self._stillborn = 0

    def outcomes(self) -> Iterator[Outcome | Failed]:
        """Give out jobs and take what they come to until there are none left."""
        self._hand_out()
        while any(worker.tasks for worker in self._workers):
            pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in self._workers}
            for pipe in wait(list(pipes)):
                said = self._hear(pipes[pipe])
                # Before anybody looks at what was said, so that no process waits for that.
                self._hand_out()
                yield from said

    def close(self) -> None:
        """End every process; those that are at work at once."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _hand_out(self) -> None:
        """Give the next job to whoever has least to do, until all have enough."""
        while True:
            worker = min(self._workers, key=lambda each: len(each.tasks), default=None)
            is_idle = worker is not None and not worker.tasks
            may_grow = len(self._workers) < self._size
            if worker is not None and len(worker.tasks) >= self._ahead and not may_grow:
                return
            task = self._next()
            if task is None:
                return
            if worker is None or (may_grow and not is_idle):
                worker = _Worker(self._work)
                self._workers.append(worker)
            worker.give(task)

    def _next(self) -> _Task | None:
        if self._again:
            return self._again.popleft()
        job = next(self._jobs, None)
        return None if job is None else _Task(job)

    def _hear(self, worker: _Worker) -> list[Outcome | Failed]:
        """What a process says: that it is ready, what a job came to; or that it is dead, by its silence."""
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            return [*self._bury(worker)]
        if said is None:
            worker.is_ready, self._stillborn = True, 0
            return []
        if isinstance(said, str):
            raise EngineError([f"local: expected a process that can simulate, found: {said}"])
        worker.tasks.popleft()
        if isinstance(said, Outcome):
            self._ahead = 2 if said.seconds < QUICK_S else 1
        return [said]

    def _bury(self, worker: _Worker) -> Iterator[Failed]:
        """Take what a dead process had; the job that it was at has cost one process more."""
        self._workers.remove(worker)
        death = _death(worker.end())
        tasks = worker.tasks
        if not worker.is_ready:
            self._stillborn += 1
            if self._stillborn >= ATTEMPTS:
                words = f"{ATTEMPTS} in a row that {death} before they began"
                raise EngineError([f"local: expected processes that simulate, found {words}"])
        elif tasks:
            tasks[0].deaths += 1
            if tasks[0].deaths >= ATTEMPTS:
                task = tasks.popleft()
                reason = f"{ATTEMPTS} processes were given it and died, the last one {death}"
                yield Failed(task.job.key, reason, ATTEMPTS)
        # What has cost a process goes last, so that others do not wait for what may cost more.
        self._again.extend(sorted(tasks, key=lambda task: task.deaths))


def _death(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


# --- dask.distributed ------------------------------------------------------------------------------------


class Dask:
    """The workers of dask.distributed: on the loopback of this machine, or those of a cluster that runs.

    A cluster that runs needs the same version of this program on its workers, and the files that scenarios
    read under the same names. Its workers should have one thread each.

    Parameters
    ----------
    address : its scheduler, as tcp://HOST:PORT or tls://HOST:PORT; without one, a cluster of our own.
    ca, cert, key : for TLS, the files (PEM) with the authority's certificate, ours, and our private key.
    work : what is done with a job; importable by its name.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        work: Work = run_job,
    ) -> None:
        self._address = address
        self._files = {"--tls-ca": ca, "--tls-cert": cert, "--tls-key": key}
        self._work = work

    def run(self, jobs: Iterable[Job], *, workers: int) -> Generator[Outcome | Failed, None, None]:
        """Run jobs as every engine does; a cluster that runs is used whole, whatever `workers` says.

        Raises EngineError when dask.distributed is not installed, when the cluster cannot be reached or is
        lost on the way, and when its workers cannot do the work; ValueError for less than 1 worker.
        """
        if workers < 1:
            raise ValueError(f"expected at least 1 worker, found {workers}")
        self._check()
        rest = iter(jobs)
        if (first := next(rest, None)) is None:
            return
        with self._client(workers) as client:
            yield from self._outcomes(client, chain((first,), rest))

    def _check(self) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise EngineError(
                ["dask: expected dask.distributed to be installed: pip install 'meterhouse[cluster]'"]
            ) from None
        given = [name for name, file in self._files.items() if file is not None]
        address = self._address or ""
        if address and not re.fullmatch(r"(tcp|tls)://.+:\d+", address):
            raise EngineError([f"{self._where}: expected tcp://HOST:PORT or tls://HOST:PORT"])
        if given and not address.startswith("tls://"):
            raise EngineError([f"{given[0]}: expected --address tls://HOST:PORT, found {address or 'none'}"])
        if address.startswith("tls://") and len(given) < len(self._files):
            missing = [name for name in self._files if name not in given]
            raise EngineError([f"{address}: expected {' and '.join(missing)} with it, found none"])

    @contextmanager
    def _client(self, workers: int) -> "Iterator[Client]":
        if self._address is None:
            with _own_cluster(workers) as client:
                yield client
            return
        from distributed import Client, Security

        security = None
        if self._address.startswith("tls://"):
            for name, file in self._files.items():
                if not Path(str(file)).is_file():
                    raise EngineError([f"{name}: expected a file, found no {printable(str(file))}"])
            ca, cert, key = map(str, self._files.values())
            security = Security(
                tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True
            )
        try:
            client = Client(self._address, security=security, timeout=WAIT_S, set_as_default=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineError([f"{self._where}: expected a scheduler, found: {_words(error)}"]) from None
        with client:
            yield client

    @property
    def _where(self) -> str:
        return "dask" if self._address is None else printable(self._address)

    def _outcomes(self, client: "Client", jobs: Iterator[Job]) -> Iterator[Outcome | Failed]:
        from distributed import as_completed

        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            raise EngineError([f"{self._where}: expected a cluster with workers, found none"]) from None
        going: dict[Future, Job] = {}
        ended = as_completed(loop=client.loop)

        def hand_out() -> None:
            # A job that waits at a worker would be blamed for its death as well: none does.
            for job in islice(jobs, max(0, room - len(going))):
                future = client.submit(
                    _done, self._work, job, key=f"replication-{job.key}", pure=False, retries=0
                )
                going[future] = job
                ended.add(future)

        try:
            room = sum(client.nthreads().values())
            hand_out()
            for heard in count(1):
                if not going:
                    return
                future = next(ended)
                said = self._heard(future, going.pop(future))
                if heard % room == 0:  # a cluster may grow and shrink
                    room = max(1, sum(client.nthreads().values()))
                hand_out()
                yield said
        finally:
            with suppress(Exception):
                client.cancel(list(going))

    def _heard(self, future: "Future", job: Job) -> Outcome | Failed:
        from distributed import KilledWorker

        if future.status == "finished":
            outcome: Outcome | Failed = future.result()
            return outcome
        error = future.exception() if future.status == "error" else None
        if error is None:
            raise EngineError([f"{self._where}: the scheduler of the cluster has gone"])
        if isinstance(error, KilledWorker):
            attempts = error.allowed_failures + 1
            return Failed(job.key, f"{attempts} processes were given it and died", attempts)
        raise EngineError([f"{self._where}: expected workers that can simulate, found: {_words(error)}"])


@contextmanager
def _own_cluster(workers: int) -> "Iterator[Client]":
    """Workers of one thread each on this machine; nothing of them listens on any address but the loopback."""
    import dask
    from distributed import Client, LocalCluster

    # A port of its own for what a scheduler says of itself: with a fixed one, a second study would be warned.
    settings = {
        "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.worker.http.routes": [],
    }
    with (
        TemporaryDirectory(prefix="meterhouse-dask-") as folder,
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address="127.0.0.1:0", memory_limit=0, local_directory=folder,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


ENGINES: Final[dict[str, Callable[..., Engine]]] = {"local": Local, "dask": Dask}
"""Where jobs can run; `list engines` shows the first sentence of each."""


# --- what runs in such a process -------------------------------------------------------------------------

_BEGIN: Final = (
    "import sys; from multiprocessing.connection import Connection; pipe = Connection(int(sys.argv[1])); "
    "sys.path[:] = pipe.recv(); from sim.engines import serve; serve(pipe)"
)

_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""One thread of linear algebra a process: the processes are as many as the cores."""


def serve(pipe: Connection) -> None:
    """Do the jobs that come through a pipe, one after the other, until it ends; first comes what to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work = pipe.recv()
        _warm_up()
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - said where it can be read
        pipe.send(_words(error))
        return
    desk = _Desk(pipe)
    threading.Thread(target=desk.listen, daemon=True).start()
    with suppress(OSError):  # nobody is there any more
        pipe.send(None)
        while (job := desk.jobs.get()) is not None:
            pipe.send(_done(work, job))
            desk.answered += 1


class _Desk:
    """The jobs that have come through a pipe. Each of the two numbers is written by one thread only."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.received = self.answered = 0

    def listen(self) -> None:
        """Take jobs in. When the pipe ends nobody waits for what they come to: stop at once."""
        while True:
            try:
                job = self._pipe.recv()
            except (EOFError, OSError):
                if self.received > self.answered:
                    os._exit(1)
                self.jobs.put(None)
                return
            self.received += 1
            self.jobs.put(job)


def _done(work: Work, job: Job) -> Outcome | Failed:
    try:
        return work(job)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - told to whoever asked for the job
        return Failed(job.key, _words(error), 1)


def _words(error: BaseException) -> str:
    """An error in words: its own lines where it has some, else its kind and its text."""
    lines = getattr(error, "lines", None) or getattr(error, "faults", None)
    if isinstance(lines, list) and lines:
        return "\n".join(": ".join(line) if isinstance(line, tuple) else str(line) for line in lines)
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _warm_up() -> None:
    """Import what every job needs."""
    import sim.kpis
    import sim.simulation  # noqa: F401
