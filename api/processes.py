"""The processes of a server: workers that simulate, readers that answer, all forked from one that is clean.

The fork server has imported what they need, so that one is there in some milliseconds and shares its memory
with the others. It is told nothing of the server and holds none of its sockets.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from api.board import Board
from api.channel import Line, Message
from api.problems import Problem

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    from api.logs import Log

_PRELOADED: Final = (
    "api.worker", "api.reader", "api.views", "sim.simulation", "sim.commands", "sim.kpis", "sim.control",
    "sim.tracking", "sim.series", "sim.results", "sim.why",
)  # fmt: skip

APART: Final = 2
"""So many questions at a time get a process of their own; as many as APART_WAITING wait for their turn."""

APART_WAITING: Final = 20

_GONE_S: Final = 5.0
"""Time in which a process that was told to end has to be gone."""


def _context() -> "ForkServerContext":
    # One thread of linear algebra is enough for all of them, and a fork has none of its threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


@contextlib.contextmanager
def _nobody_as_main() -> Iterator[None]:
    """Keep a process that is begun from importing the program that this one was started as.

    `multiprocessing` has it do that, for functions of `__main__`; ours are none, and it takes longer than
    everything else.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class Nursery:
    """Starts processes, one after the other, without holding the event loop up."""

    def __init__(self) -> None:
        self._context = _context()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nursery")

    async def start(self, target: Callable[..., None], *args: Any) -> "Child":
        """A process that runs `target(socket, *args)`, and the line to it."""
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        try:
            process = await loop.run_in_executor(self._thread, self._begin, target, (theirs, *args))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Child(process, await Line.on(ours))

    def _begin(self, target: Callable[..., None], args: tuple[Any, ...]) -> "ForkServerProcess":
        process = self._context.Process(target=target, args=args, daemon=True)
        with _nobody_as_main():
            process.start()
        return process

    def memory(self, size: int) -> Any:
        """Bytes that a process shares with the server."""
        return self._context.RawArray("b", size)

    def close(self) -> None:
        """Start no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Child:
    """A process and the line to it."""

    def __init__(self, process: "ForkServerProcess", line: Line) -> None:
        self.process = process
        self.line = line

    async def end(self) -> int | None:
        """Wait for it to be gone, kill it when it is slow; gives its exit code."""
        self.line.close()
        deadline = asyncio.get_running_loop().time() + _GONE_S
        while self.process.is_alive():
            if asyncio.get_running_loop().time() > deadline:
                self.process.kill()
            await asyncio.sleep(0.005)
        code = self.process.exitcode
        self.process.close()
        return code

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ValueError):
            self.process.kill()

    def kill_all(self) -> None:
        """End it at once with those that it has forked, if it leads a group of its own."""
        with contextlib.suppress(ValueError, OSError):
            if self.process.pid is not None and os.getpgid(self.process.pid) == self.process.pid:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.kill()


class Readers:
    """The readers: a run is always asked of the same one, which has it at hand."""

    def __init__(self, nursery: Nursery, count: int, timeout_s: float, log: "Log") -> None:
        self._nursery = nursery
        self._timeout_s = timeout_s
        self._log = log
        self._readers = [_Reader(nursery) for _ in range(count)]
        self._apart = asyncio.Semaphore(APART)
        self._apart_waiting = 0

    async def start(self) -> None:
        """Start them all."""
        await asyncio.gather(*(reader.start() for reader in self._readers))

    async def ask(
        self, question: dict[str, Any], *, key: str = "", timeout_s: float | None = None
    ) -> Message:
        """The answer to a question, from the reader that `key` belongs to.

        Raises Problem for an answer that is one, and when none comes in time: the reader is then replaced.
        """
        reader = self._readers[hash(key) % len(self._readers)]
        return self._told(question, await reader.ask(question, timeout_s or self._timeout_s))

    async def ask_apart(self, question: dict[str, Any], timeout_s: float) -> Message:
        """The answer to a question that takes long, from a process of its own that ends then.

        Raises Problem as `ask`, and for a question too many.
        """
        from api import reader

        if self._apart_waiting >= APART + APART_WAITING:
            detail = f"{APART_WAITING} questions of this kind wait already"
            raise Problem(429, "too-many-requests", detail, headers={"Retry-After": "5"})
        self._apart_waiting += 1
        try:
            async with self._apart:
                child = await self._nursery.start(reader.main)
                try:
                    child.line.send({"id": 0, **question})
                    answer = await asyncio.wait_for(child.line.receive(), timeout_s)
                except TimeoutError:
                    detail = f"the answer took more than {timeout_s:g} s"
                    raise Problem(503, "timeout", detail, headers={"Retry-After": "10"}) from None
                finally:
                    child.kill_all()
                    await asyncio.shield(child.end())
        finally:
            self._apart_waiting -= 1
        if answer is None:
            raise Problem(507, "too-large", "this is too much for the memory of this server")
        return self._told(question, answer)

    def _told(self, question: dict[str, Any], answer: Message) -> Message:
        """An answer; raises Problem for one that is one."""
        head = answer.head
        if "reason" in head:
            self._log.error("reader failed", op=question["op"], reason=head["reason"], where=head["where"])
        if head["status"] != 200:
            raise Problem(head["status"], head["kind"], head["detail"], errors=head["errors"])
        return answer

    @property
    def alive(self) -> int:
        """How many are there."""
        return sum(reader.is_alive for reader in self._readers)

    async def stop(self) -> None:
        """End them all."""
        await asyncio.gather(*(reader.stop() for reader in self._readers))


class _Reader:
    """One reader, asked one question at a time and replaced when it fails."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._child: Child | None = None
        self._turn = asyncio.Lock()
        self._numbers = itertools.count()
        self._stopped = False

    @property
    def is_alive(self) -> bool:
        return self._child is not None

    async def start(self) -> None:
        from api import reader

        self._child = await self._nursery.start(reader.main)

    async def ask(self, question: dict[str, Any], timeout_s: float) -> Message:
        async with self._turn:
            for attempt in (1, 2):
                if self._stopped:
                    raise Problem(503, "unavailable", "the server is about to stop")
                if self._child is None:
                    await self.start()
                assert self._child is not None
                number = next(self._numbers)
                self._child.line.send({"id": number, **question})
                try:
                    answer = await asyncio.wait_for(self._child.line.receive(), timeout_s)
                except TimeoutError:
                    await self._drop()
                    raise Problem(
                        503,
                        "timeout",
                        f"the answer took more than {timeout_s:g} s",
                        headers={"Retry-After": "1"},
                    ) from None
                except asyncio.CancelledError:
                    await asyncio.shield(self._drop())  # its answer would be taken for that of the next
                    raise
                if answer is not None:
                    return answer
                await self._drop()
                if attempt == 2:
                    raise Problem(507, "too-large", "this is too much for the memory of this server")
            raise AssertionError("two attempts end")

    async def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            await child.end()

    async def stop(self) -> None:
        self._stopped = True
        child, self._child = self._child, None
        if child is not None:
            await child.end()


async def board_for(nursery: Nursery, slots: int, robots: int) -> tuple[Board, Any]:
    """A board for a store, and its memory."""
    memory = await asyncio.to_thread(nursery.memory, Board.size(slots, robots))
    return Board(memory, slots, robots), memory
