"""The runs of a server: started, queued, steered, brought back after a crash, and asked about.

Every run that is not over has a worker process of its own (`worker`), a board that it shows itself on
(`board`), and a line in the registry that says what it is and how far it has come. What the registry holds is
written before anybody is told that it is so. What is asked of facts goes to a reader (`processes`). This
module knows nothing of HTTP but its problems.
"""

import asyncio
import contextlib
import os
import shutil
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from api.board import STATES, Board, BoardError, Shown
from api.logs import Log
from api.problems import Problem, pointer
from api.processes import Child, Nursery, Readers
from api.registry import (
    CommandRow,
    Conflict,
    Idempotency,
    NewCommand,
    NewRun,
    NotFound,
    Registry,
    RunRow,
    Settled,
    Unavailable,
)
from api.slottext import MOST_SKUS, SlotText
from sim.calendar import DAY_MS
from sim.trace import MODEL_VERSION, sync_folder
from sim.words import near

if TYPE_CHECKING:
    from api.channel import Message
    from api.settings import Settings

T = TypeVar("T")

MOST_WHOLE_SLOTS: Final = 10_000
"""A store of more slots is told in pages."""

OVER: Final = ("finished", "stopped", "failed", "interrupted")
"""States of a run that will not change any more."""

REACHED_S: Final = 1.0
"""How often the time that runs have reached is stored."""

CHANGES: Final = ("set", "change_policy")
"""Commands that change values of the scenario."""

WHY_S: Final = 120.0
"""Time in which the reasons of a task have to be found."""

STRIKES: Final = 3
"""A run whose process has died so often has failed."""

CONTROL_S: Final = 10.0
"""Time in which a worker has to do what it is told."""

BOARDS_KEPT: Final = 8
"""Runs that are over and still show their last instant without being asked of their facts."""

CLEAR_S: Final = 60.0
"""How often what is too old or too much is cleared away."""

PRUNE_DAYS: Final = 7
"""Age at which idempotent answers are forgotten."""

SLOW_REPEAT_S: Final = 0.5
"""How long is waited before a database that is out of reach is tried again."""


class Static(NamedTuple):
    """The fixed things of a run's store, as `reader.describe` gives them."""

    slots: int
    robots: int
    places: list[str]
    capacity: list[int]
    grid: list[list[int]]
    zones: list[str]
    skus: list[str]
    start: datetime
    end_ms: int
    meters_per_box: int

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Static":
        """From plain data, with more in it."""
        fields = {name: values[name] for name in cls._fields}
        return cls(**{**fields, "start": datetime.fromisoformat(values["start"])})

    def time_at(self, t_ms: int) -> str:
        """The local time of an instant, without zone."""
        return (self.start + timedelta(milliseconds=t_ms)).isoformat(timespec="milliseconds")


class Where(NamedTuple):
    """An instant of a run: simulated time, facts recorded."""

    t_ms: int
    facts: int


class Run:
    """A run of the server."""

    def __init__(self, row: RunRow) -> None:
        self.row = row
        self.static: Static | None = None
        self.names: dict[str, Any] = {}
        self.commands: OrderedDict[str, CommandRow] = OrderedDict()
        self.commands_loaded = False
        self.changes: list[dict[str, Any]] = []
        """The commands so far that changed values of its scenario: instant in ms, type, args."""
        self.board: Board | None = None
        self.child: Child | None = None
        self.ready = asyncio.Event()
        """Set while the run is where it was left, or over: it can be asked."""
        self.lock = asyncio.Lock()
        self.strikes = 0
        self.holder = False
        """Whether its worker only answers: the run is over."""
        self.waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.tending: asyncio.Task[None] | None = None
        self.removed = False
        self.slots_maker: SlotText | None = None
        self.slots_made: tuple[int, bytes] | None = None
        self.slot_set: frozenset[str] | None = None
        self.slot_made: tuple[int, dict[str, bytes]] = (-1, {})
        self._shown: Shown | None = None

    @property
    def id(self) -> str:
        """What it is called."""
        return self.row.id

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens in it."""
        return self.row.state in OVER

    @property
    def state(self) -> str:
        """What it does at this moment: a run that makes a step runs, though it would stand after a crash."""
        if self.row.state in ("running", "paused") and self.ready.is_set() and (shown := self.shown):
            word = STATES[shown.head["state"]]
            return word if word in ("running", "paused") else self.row.state
        return self.row.state

    @property
    def shown(self) -> Shown | None:
        """The newest instant on its board; None when it has none."""
        board = self.board
        if board is None:
            return None
        shown = self._shown
        if shown is None or shown.sequence != board.sequence:
            # What a worker has begun to write and does not end is no instant: the one before it counts.
            with contextlib.suppress(BoardError):
                shown = self._shown = board.read()
        return shown

    @property
    def where(self) -> Where:
        """The instant that it is at."""
        shown = self.shown if self.ready.is_set() else None
        if shown is None or self.is_over:
            return Where(self.row.t_ms, self.row.facts)
        return Where(shown.head["t_ms"], shown.head["facts"])

    def version(
        self, by: Literal["facts", "day", "time"], where: Where | None = None, changes: int | None = None
    ) -> str:
        """What tells one state of the run from every other.

        By facts, which is enough for what only they change; by facts, values that commands have changed, and
        the day, or the very instant, for what gets older without them. Of now, if not of another instant and
        so many changes.
        """
        where = where or self.where
        facts = f"{self.row.id}-{self.row.incarnation}-{where.facts}"
        if by == "facts":
            return facts
        changes = len(self.changes) if changes is None else changes
        return f"{facts}-{changes}-{where.t_ms // DAY_MS if by == 'day' else where.t_ms}"

    def version_at(self, t_ms: int, changes: int | None = None) -> str:
        """The same for an instant of the past, which only a crash can make come otherwise."""
        if changes is None:
            changes = sum(each["t_ms"] <= t_ms for each in self.changes)
        return f"{self.row.id}-{self.row.incarnation}-at-{t_ms}-{changes}"

    def show(self, board: Board | None) -> None:
        """Have another board, or none."""
        self.board, self._shown = board, None
        self.slots_made, self.slot_made = None, (-1, {})

    def forget(self) -> None:
        """Let go of what can be read again: nobody may ask for years."""
        self.static, self.names = None, {}
        self.slots_maker, self.slot_set = None, None
        self.commands, self.commands_loaded = OrderedDict(), False


class Runs:
    """All runs, and what can be done with them."""

    def __init__(
        self, settings: "Settings", registry: Registry, nursery: Nursery, readers: Readers, log: Log
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.readers = readers
        self.log = log
        self.all: OrderedDict[str, Run] = OrderedDict()
        self.current = ""
        self.trouble = ""
        """Why the registry cannot be used at the moment; empty while it can."""
        self.stopping = False
        self._nursery = nursery
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry")
        self._queue: deque[Run] = deque()
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._kept_boards: OrderedDict[str, None] = OrderedDict()
        self._restored: list[Run] = []

    # -- the registry ---------------------------------------------------------------------------------

    async def stored(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """What a method of the registry gives, called in its own thread.

        Raises Problem when the database is out of reach or full.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, partial(function, *args, **named))
        except Unavailable as error:
            if not self.trouble:
                self.log.error("registry unavailable", reason=str(error))
            self.trouble = str(error)
            if error.full:
                raise Problem(507, "storage-full", f"nothing can be stored: {error}") from error
            detail = f"nothing can be stored at the moment: {error}"
            raise Problem(503, "unavailable", detail, headers={"Retry-After": "1"}) from error
        if self.trouble:
            self.log.info("registry available again")
            self.trouble = ""
        return found

    async def _stored_in_the_end(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """The same for what has to be stored before anything goes on: tried until it is."""
        while True:
            try:
                return await self.stored(function, *args, **named)
            except Problem:
                if self.stopping:
                    raise
                await asyncio.sleep(SLOW_REPEAT_S)

    # -- the life of the server -----------------------------------------------------------------------

    async def start(self) -> None:
        """Bring back what was there when the last server ended, and go on with it."""
        for row in await self.stored(self.registry.runs):
            self.all[row.id] = Run(replace(row, kpis=None))
        current = await self.stored(self.registry.setting, "current")
        self.current = current if current is not None and current in self.all else ""
        for run in self.all.values():
            await self._restore(run)
        self._task(self._every(REACHED_S, self._store_reached))
        self._task(self._every(CLEAR_S, self._clear))
        self._fill()

    async def _restore(self, run: Run) -> None:
        row = run.row
        if run.is_over:
            run.ready.set()
            return
        if row.model_version != MODEL_VERSION:
            error = (
                f"made by model version {row.model_version}, this is {MODEL_VERSION}: it can be read as far"
                " as it had come, and does not go on"
            )
            run.row = await self.stored(
                self.registry.update_run, row.id, state="interrupted", error=error, ended_at=_now()
            )
            await self._reject_rest(run)
            run.ready.set()
            return
        if row.state == "queued":
            self._queue.append(run)
            run.ready.set()
            return
        run.row = await self.stored(self.registry.update_run, row.id, incarnation=row.incarnation + 1)
        self._restored.append(run)
        self._task(self._bring_back(run))

    async def _bring_back(self, run: Run) -> None:
        try:
            await self._begin(run)
        except Problem as problem:
            self.log.error("run not restored", run=run.id, reason=problem.detail)

    @property
    def restoring(self) -> int:
        """How many runs are not yet where they were left."""
        self._restored = [run for run in self._restored if not run.ready.is_set()]
        return len(self._restored)

    async def stop(self) -> None:
        """Have every run stand, store how far it has come, and let the processes go."""
        self.stopping = True
        for task in list(self._tasks):
            task.cancel()
        at_work = [run for run in self.all.values() if run.child is not None and not run.holder]
        with contextlib.suppress(Exception):
            await asyncio.wait_for(
                asyncio.gather(
                    *(self._order(run, {"paused": True}) for run in at_work), return_exceptions=True
                ),
                2.0,
            )
        with contextlib.suppress(Problem):
            await self._store_reached()
        children = [run.child for run in self.all.values() if run.child is not None]
        for child in children:
            child.kill()
        for run in self.all.values():
            if run.tending is not None:
                run.tending.cancel()
        await asyncio.gather(*(child.end() for child in children), return_exceptions=True)
        await self.readers.stop()
        self._nursery.close()
        self._thread.shutdown(wait=True)

    def _task(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.failure("background task", task.exception())

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            with contextlib.suppress(Problem):
                await work()

    async def _store_reached(self) -> None:
        """Store how far every run has come that has moved."""
        moved = []
        for run in self.all.values():
            if run.child is None or run.is_over or not run.ready.is_set():
                continue
            where = run.where
            if where != (run.row.t_ms, run.row.facts):
                moved.append((run, where))
        if moved:
            await self.stored(self.registry.reached, [(run.id, w.t_ms, w.facts) for run, w in moved])
            for run, where in moved:
                if not run.is_over:
                    run.row = replace(run.row, t_ms=where.t_ms, facts=where.facts)

    # -- look-ups -------------------------------------------------------------------------------------

    def get(self, name: str) -> Run:
        """The run of an id, or `current`; raises Problem when there is none."""
        run = self.all.get(self.current if name == "current" else name)
        if run is not None:
            return run
        if name == "current":
            detail = (
                "no current run: start one with POST /runs, or the server with `meterhouse serve SCENARIO`"
            )
            raise Problem(404, "not-found", detail)
        raise Problem(
            404, "not-found", f"no run {name[:40]!r}{near(name, self.all)}; runs are listed at /runs"
        )

    async def ready_run(self, name: str) -> Run:
        """The same, when it can be asked of its state."""
        run = self.get(name)
        if not run.ready.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(run.ready.wait(), CONTROL_S)
        if not run.ready.is_set():
            detail = f"run {run.id} is being rebuilt from its log"
            raise Problem(503, "restoring", detail, headers={"Retry-After": "1"})
        if run.row.state == "queued" or (run.is_over and not run.row.facts):
            word = "waits to be started" if run.row.state == "queued" else "has no state"
            raise Problem(409, "conflict", f"run {run.id} {word}", headers={"Retry-After": "1"})
        return run

    async def static_of(self, run: Run) -> Static:
        """The fixed things of a run's store."""
        if run.static is None:
            answer = await self.readers.ask({"op": "describe", "resolved": run.row.resolved}, key=run.id)
            run.static = Static.of(answer.head)
        return run.static

    @property
    def queue(self) -> Sequence[Run]:
        """The runs that wait, in their order."""
        return tuple(self._queue)

    async def checks(self) -> list[dict[str, Any]]:
        """What has to be in order for the server to be ready: name, whether it is, in words."""
        loop = asyncio.get_running_loop()
        is_up = await loop.run_in_executor(self._thread, self.registry.is_ready)
        readers = self.readers.alive
        restoring = self.restoring
        found = [
            ("registry", is_up, "reached, its schema is the newest" if is_up else "cannot be used"),
            ("readers", readers > 0, f"{readers} of {self.settings.readers}"),
            ("runs", not restoring, f"{restoring} being rebuilt" if restoring else "all where they were"),
        ]
        return [{"name": name, "ok": ok, "detail": detail} for name, ok, detail in found]

    # -- slots, at once -------------------------------------------------------------------------------

    def slots_text(self, run: Run) -> bytes | None:
        """All slots of a run as JSON text, from its board; None when that cannot tell."""
        shown, static = run.shown, run.static
        if shown is None or static is None or static.slots > MOST_WHOLE_SLOTS or len(static.skus) > MOST_SKUS:
            return None
        if run.slots_made is not None and run.slots_made[0] == shown.sequence:
            return run.slots_made[1]
        if run.slots_maker is None:
            run.slots_maker = SlotText(run.id, static)
        text = run.slots_maker.text(shown)
        run.slots_made = shown.sequence, text
        return text

    def slot_text(self, run: Run, name: str) -> bytes | None:
        """One slot of a run as JSON text, when it has been asked for at this instant before."""
        shown = run.shown
        if shown is None or run.slot_made[0] != shown.sequence:
            return None
        return run.slot_made[1].get(name)

    def keep_slot_text(self, run: Run, name: str, where: Where, text: bytes) -> None:
        """Keep what a reader has told of a slot, as long as the run shows this instant."""
        shown = run.shown
        if shown is None or where != (shown.head["t_ms"], shown.head["facts"]):
            return
        if run.slot_made[0] != shown.sequence:
            run.slot_made = shown.sequence, {}
        run.slot_made[1][name] = text

    def slot_names(self, run: Run) -> frozenset[str]:
        """The names of a run's slots, as far as they are at hand."""
        if run.slot_set is None and run.static is not None:
            run.slot_set = frozenset(run.static.places[: run.static.slots])
        return run.slot_set or frozenset()

    def lot_of(self, run: Run, name: str) -> int:
        """The number of a lot by its name; one that the run has not is a new one."""
        for number, listed in run.names.get("lots", {}).items():
            if listed == name:
                return int(number)
        return int(name) if name.isdecimal() and len(name) < 10 else -1

    async def note(self, run: Run, **changes: Any) -> None:
        """Change what is written about a run: its name, whether it is kept."""
        run.row = await self.stored(self.registry.update_run, run.id, **changes)

    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        found = dict.fromkeys(("queued", "running", "paused", *OVER), 0)
        for run in self.all.values():
            found[run.state] += 1
        return found

    # -- asking of facts ------------------------------------------------------------------------------

    async def ask(
        self,
        run: Run,
        view: str,
        query: Mapping[str, Any],
        *,
        where: Where | None = None,
        at_ms: int | None = None,
        side: str = "records",
        cursor: Mapping[str, Any] | None = None,
    ) -> "Message":
        """A view of a run now, at an instant that an earlier answer fixed, or at a past time."""
        question = {
            "op": "view", "view": view, "query": dict(query), "side": side, "cursor": cursor,
            **self._instant(run, where, at_ms), "about": await self._about(run),
        }  # fmt: skip
        return await self.readers.ask(question, key=run.id)

    async def ask_else(self, run: Run, op: str, *, where: Where | None = None, **more: Any) -> "Message":
        """Another question of a run's facts, as they are now or were at an instant."""
        question = {"op": op, **self._instant(run, where, None), **more, "about": await self._about(run)}
        return await self.readers.ask(question, key=run.id)

    def _instant(self, run: Run, where: Where | None, at_ms: int | None) -> dict[str, Any]:
        now = run.where
        if at_ms is not None:
            if at_ms > now.t_ms:
                wanted = f"at: expected a time up to {now.t_ms / 1000:g} s, which the run has reached"
                detail = f"{wanted}, found {at_ms / 1000:g} s"
                raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/at", "detail": detail}])
            return {"t_ms": at_ms, "facts": now.facts if at_ms == now.t_ms else None}
        if where is not None:
            if where.t_ms > now.t_ms or where.facts > now.facts:
                detail = f"expected an instant up to {now.t_ms / 1000:g} s, which run {run.id} has reached"
                detail += (
                    f", found {where.t_ms / 1000:g} s: it was brought back, and has not come so far again"
                )
                raise Problem(409, "conflict", detail, headers={"Retry-After": "1"})
            return {"t_ms": where.t_ms, "facts": where.facts}
        return {"t_ms": now.t_ms, "facts": now.facts}

    async def _about(self, run: Run) -> dict[str, Any]:
        """What a reader has to know of a run."""
        while not (run.names and run.commands_loaded):  # it may be forgotten meanwhile
            await self._names(run)
            await self._load_commands(run)
        shown = run.shown
        return {
            "run": run.id,
            "incarnation": run.row.incarnation,
            "over": run.is_over,
            "resolved": run.row.resolved,
            "changes": run.changes,
            "names": run.names,
            "log": str(self._log_of(run)),
            "log_bytes": shown.head["log_bytes"] if shown is not None else 0,
            "result": str(self.result_of(run)),
        }

    async def _names(self, run: Run) -> None:
        if not run.names:
            static = await self.static_of(run)
            run.names = {
                "start": static.start.date().isoformat(), "meters_per_box": static.meters_per_box,
                "places": static.places, "skus": static.skus, "stations": [],
            }  # fmt: skip

    # -- places on the disk ---------------------------------------------------------------------------

    def result_of(self, run: Run) -> Path:
        """The folder with the result of a run that is over."""
        return self.settings.folder / "runs" / run.id

    def _work_of(self, run: Run) -> Path:
        return self.settings.folder / "work" / run.id

    def _log_of(self, run: Run) -> Path:
        return self._work_of(run) / f"facts-{run.row.incarnation}.log"

    def inputs(self, run: Run) -> dict[str, Path]:
        """The files that a run's scenario names, by the names that it has for them."""
        folder = self.inputs_of(run.id)
        return {path.name: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}

    def _inputs(self, run: Run) -> str:
        folder = self.inputs_of(run.id)
        return str(folder) if folder.is_dir() else ""

    def inputs_of(self, run: str) -> Path:
        """The folder with copies of the files that the scenario of a run names."""
        return self.settings.folder / "inputs" / run

    # -- beginning ------------------------------------------------------------------------------------

    async def create(
        self,
        new: NewRun,
        static: Static,
        *,
        idempotency: Idempotency[RunRow] | None = None,
        commands: Sequence[NewCommand] = (),
        inputs: Mapping[str, Path] | None = None,
        current: bool = False,
    ) -> Run:
        """Take a run in: it is in the registry before this ends, and begins as soon as there is room.

        Raises Problem when it cannot be taken in, `registry.Repeated` for a request that was answered before.
        """
        if self.stopping:
            raise Problem(503, "unavailable", "the server is about to stop")
        if new.mode == "batch":
            if len(self._queue) >= self.settings.queue:
                detail = f"{len(self._queue):,} runs wait already, and no more may"
                raise Problem(429, "queue-full", detail, headers={"Retry-After": "10"})
        elif self._live_workers() >= self.settings.live:
            detail = f"{self.settings.live:,} live runs are open already, and no more may be; stop one first"
            raise Problem(429, "queue-full", detail, headers={"Retry-After": "10"})
        row = await self._add(new, idempotency, commands)
        run = self.all[row.id] = Run(row)
        run.static = static
        if inputs:
            await asyncio.to_thread(_copy_inputs, inputs, self.inputs_of(row.id))
        if current or not self.current:
            await self.make_current(run)
        self.log.info("run taken in", run=run.id, scenario=row.scenario_name, mode=row.mode)
        if row.mode == "batch" and row.state == "queued":
            run.ready.set()
            self._queue.append(run)
            self._fill()
        else:
            self._task(self._start_live(run))
        return run

    async def _add(
        self, new: NewRun, idempotency: Idempotency[RunRow] | None, commands: Sequence[NewCommand]
    ) -> RunRow:
        try:
            return await self.stored(self.registry.add_run, new, idempotency=idempotency, commands=commands)
        except Conflict as error:
            raise Problem(409, "conflict", str(error)) from None

    async def _start_live(self, run: Run) -> None:
        try:
            await self._begin(run)
        except Problem as problem:
            await self._fail(run, problem.detail)

    def _live_workers(self) -> int:
        return sum(
            run.row.mode == "live" and not run.is_over and not run.removed for run in self.all.values()
        )

    def _fill(self) -> None:
        """Let runs that wait begin, as far as there is room."""
        if self.stopping:
            return
        waiting = set(self._queue)
        at_work = sum(
            run.row.mode == "batch" and not run.is_over and run not in waiting for run in self.all.values()
        )
        while self._queue and at_work < self.settings.workers:
            run = self._queue.popleft()
            if run.row.state == "queued" and not run.removed:
                at_work += 1
                run.ready.clear()
                self._task(self._start_queued(run))

    async def _start_queued(self, run: Run) -> None:
        try:
            run.row = await self._stored_in_the_end(
                self.registry.update_run, run.id, state="running", started_at=_now()
            )
            await self._begin(run)
        except Problem as problem:
            await self._fail(run, problem.detail)

    async def _begin(self, run: Run, *, hold: bool = False) -> None:
        """Start the worker of a run; it is ready when the worker says so."""
        static = await self.static_of(run)
        await self._load_commands(run)
        try:
            await asyncio.to_thread(_prepare, self._work_of(run), self._log_of(run), static.slots)
        except OSError as error:
            reason = (error.strerror or "error").lower()
            raise Problem(507, "storage-full", f"the run cannot be written: {reason}") from error
        from api import worker

        try:
            memory = await asyncio.to_thread(self._nursery.memory, Board.size(static.slots, static.robots))
            child = await self._nursery.start(worker.main, memory, static.slots, static.robots)
        except (OSError, EOFError) as error:
            detail = f"no process could be started: {type(error).__name__}: {error}"
            raise Problem(503, "unavailable", detail) from error
        if run.removed:
            child.kill()
            await child.end()
            return
        run.child, run.holder = child, hold
        if not hold:
            run.show(Board(memory, static.slots, static.robots))
        child.line.send(self._setup(run, hold=hold))
        if run.row.started_at is None:
            run.row = await self._stored_in_the_end(self.registry.update_run, run.id, started_at=_now())
        run.tending = asyncio.ensure_future(self._tend(run, child))
        run.tending.add_done_callback(self._done)

    def _setup(self, run: Run, *, hold: bool) -> dict[str, Any]:
        row = run.row
        log = sorted(
            (
                c
                for c in run.commands.values()
                if c.t_ms is not None and c.state in ("accepted", "applied", "rejected")
            ),
            key=lambda c: (c.t_ms or 0, c.sequence),
        )
        resume_ms = max([row.t_ms, row.parent_t_ms or 0, *(c.t_ms or 0 for c in log)])
        return {
            "run": row.id,
            "resolved": row.resolved,
            "seed": row.seed,
            "inputs": self._inputs(run),
            "log": str(self._log_of(run)) if not hold else str(self._work_of(run) / "held.log"),
            "result": str(self.result_of(run)),
            "commands": [
                [c.t_ms, c.sequence, c.type, c.args, c.if_version, c.state != "accepted"] for c in log
            ],
            "resume_ms": resume_ms,
            "paused": row.state == "paused",
            "speed": row.speed or 0.0,
            "time_limit_s": row.time_limit_s or 0.0,
            "memory_limit_mb": row.memory_limit_mb or 0,
            "hold": hold,
        }

    async def _load_commands(self, run: Run) -> None:
        if not run.commands_loaded:
            rows = await self._stored_in_the_end(self.registry.commands, run.id)
            run.commands = OrderedDict((row.id, row) for row in rows)
            run.changes = [
                {"t_ms": row.t_ms, "type": row.type, "args": row.args}
                for row in sorted(rows, key=lambda row: (row.t_ms or 0, row.sequence))
                if row.state == "applied" and row.type in CHANGES
            ]
            run.commands_loaded = True

    # -- what workers say -----------------------------------------------------------------------------

    async def _tend(self, run: Run, child: Child) -> None:
        """Listen to the worker of a run until it has ended."""
        ended = False
        while (message := await child.line.receive()) is not None:
            head = message.head
            event = head.pop("event")
            if event == "ended":
                ended = True
                await self._ended(run, head)
            else:
                await self._TOLD[event](self, run, head)
        code = await child.end()
        if run.child is child:
            run.child = None
        for future in run.waiting.values():
            if not future.done():
                future.set_result({"gone": True})
        run.waiting.clear()
        if self.stopping or run.removed:
            return
        if not ended and not run.is_over:
            await self._died(run, code)
        self._fill()

    async def _ready(self, run: Run, head: dict[str, Any]) -> None:
        run.names = head["names"]
        run.ready.set()
        assert run.child is not None
        for command in run.commands.values():
            if command.state == "accepted" and command.t_ms is None:
                run.child.line.send(_order_of(command))

    async def _paused(self, run: Run, head: dict[str, Any]) -> None:
        """The run stands: a step is over, or it cannot go on."""
        if self.stopping:
            return
        if head["error"]:
            self.log.error("run stands", run=run.id, reason=head["error"])
        run.row = await self._stored_in_the_end(
            self.registry.update_run, run.id, state="paused", t_ms=head["t_ms"], facts=head["facts"],
            error=head["error"] or None,
        )  # fmt: skip

    async def _instants(self, run: Run, head: dict[str, Any]) -> None:
        """Commands take effect now: that is written down, and then the worker may go on."""
        instants = [(sequence, head["t_ms"]) for sequence in head["sequences"]]
        await self._stored_in_the_end(self.registry.set_instants, run.id, instants)
        for sequence, t_ms in instants:
            name = f"c{sequence}"
            run.commands[name] = replace(run.commands[name], t_ms=t_ms)
        if run.child is not None:
            run.child.line.send({"op": "written"})

    async def _settled(self, run: Run, head: dict[str, Any]) -> None:
        settled = Settled(
            head["sequence"], head["state"], head["reason"] or None, head["first_fact"], head["facts"],
            head["made"],
        )  # fmt: skip
        await self._stored_in_the_end(self.registry.settle, run.id, [settled])
        command = self._take_settled(run, settled)
        if command.state == "applied" and command.type in CHANGES:
            run.changes.append({"t_ms": command.t_ms, "type": command.type, "args": command.args})

    def _take_settled(self, run: Run, settled: Settled) -> CommandRow:
        name = f"c{settled.sequence}"
        run.commands[name] = replace(
            run.commands[name], state=settled.state, reason=settled.reason, first_fact=settled.first_fact,
            facts=settled.facts, made=settled.made, settled_at=_now(),
        )  # fmt: skip
        return run.commands[name]

    async def _reject_rest(self, run: Run) -> None:
        """The run is over: what it was told and has not done will not be done."""
        await self._load_commands(run)
        reason = f"the run is over ({run.row.state})"
        rest = [
            Settled(command.sequence, "rejected", reason)
            for command in run.commands.values() if command.state == "accepted"
        ]  # fmt: skip
        if rest:
            await self._stored_in_the_end(self.registry.settle, run.id, rest)
            for settled in rest:
                self._take_settled(run, settled)

    async def _steered(self, run: Run, head: dict[str, Any]) -> None:
        """The worker has done what it was ordered: stored in the order of its messages, then told."""
        if "t_ms" not in head:  # it ends: the next message says how
            await self._answered(run, head)
            return
        future = run.waiting.pop(head["id"], None)
        changes: dict[str, Any] = {"t_ms": head["t_ms"], "facts": head["facts"]}
        changes["speed"] = head["speed"] or None
        changes["error"] = head["trouble"] or None
        if not head["is_step"]:  # after a crash a run stands where its step had come to
            changes["state"] = "paused" if head["paused"] else "running"
        try:
            if not self.stopping and not run.removed:
                run.row = await self.stored(self.registry.update_run, run.id, **changes)
        except Problem as problem:
            if future is not None and not future.done():
                future.set_exception(problem)
        else:
            if future is not None and not future.done():
                future.set_result(head)

    async def _answered(self, run: Run, head: dict[str, Any]) -> None:
        future = run.waiting.pop(head["id"], None)
        if future is not None and not future.done():
            future.set_result(head)

    _TOLD: Final = {
        "ready": _ready, "paused": _paused, "instants": _instants, "settled": _settled, "done": _steered,
        "allocated": _answered,
    }  # fmt: skip

    async def _ended(self, run: Run, head: dict[str, Any]) -> None:
        """The run is over: so the registry has it, and what was under way is cleared."""
        if run.holder:
            run.ready.set()
            return
        if head.get("where"):
            self.log.error("run failed", run=run.id, reason=head["error"], where=head["where"])
        size = await asyncio.to_thread(_size_of, self.result_of(run))
        row = await self._stored_in_the_end(
            self.registry.update_run, run.id, state=head["state"], t_ms=head["t_ms"], facts=head["facts"],
            digest=head["digest"], demand_digest=head["demand_digest"], error=head["error"] or None,
            kpis=head.get("kpis"), limits=head.get("limits"), ended_at=_now(), size_bytes=size,
        )  # fmt: skip
        run.row = replace(row, kpis=None)
        await self._reject_rest(run)
        run.ready.set()
        self.log.info("run over", run=run.id, state=run.row.state, facts=run.row.facts)
        if (self.result_of(run) / "facts" / "manifest.json").exists():
            await asyncio.to_thread(shutil.rmtree, self._work_of(run), True)
        self._keep_board(run)

    def _keep_board(self, run: Run) -> None:
        """Keep the boards of the runs that ended last: what they show needs no reader."""
        self._kept_boards[run.id] = None
        while len(self._kept_boards) > BOARDS_KEPT:
            name, _ = self._kept_boards.popitem(last=False)
            other = self.all.get(name)
            if other is None or other.id == self.current:
                continue
            other.show(None)
            if other.child is None and not other.lock.locked():
                other.forget()

    async def _died(self, run: Run, code: int | None) -> None:
        """The process of a run is gone before its time: it is rebuilt, but not for ever."""
        run.strikes += 1
        word = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self.log.error("worker died", run=run.id, ended_by=word, strike=run.strikes)
        if run.strikes >= STRIKES:
            await self._fail(run, f"its process has ended {run.strikes} times, the last time by {word}")
            return
        run.ready.clear()
        run.row = await self._stored_in_the_end(
            self.registry.update_run, run.id, incarnation=run.row.incarnation + 1
        )
        self._task(self._start_live(run))

    async def _fail(self, run: Run, reason: str) -> None:
        self.log.error("run failed", run=run.id, reason=reason)
        run.row = await self._stored_in_the_end(
            self.registry.update_run, run.id, state="failed", error=reason, ended_at=_now()
        )
        await self._reject_rest(run)
        run.ready.set()
        self._fill()

    # -- steering -------------------------------------------------------------------------------------

    async def steer(
        self, run: Run, *, state: str | None = None, speed: float | None = None, step_ms: int | None = None
    ) -> None:
        """Pause, go on, stop, step, or change the pace of a run (0: as fast as possible).

        It is done, and in the registry, when this ends. Raises Problem when it cannot be.
        """
        async with run.lock:
            if run.is_over:
                raise Problem(
                    409, "conflict", f"run {run.id} is over ({run.row.state}): nothing can be changed"
                )
            if run.row.state == "queued":
                await self._steer_queued(run, state, speed, step_ms)
                return
            if not run.ready.is_set() or run.child is None:
                detail = f"run {run.id} is being set up"
                raise Problem(503, "restoring", detail, headers={"Retry-After": "1"})
            if state == "stopped":
                await self._order(run, {"stop": True})
                await self._wait_until_over(run)
                return
            order: dict[str, Any] = {}
            if state is not None:
                order["paused"] = state == "paused"
            if speed is not None:
                order["speed"] = speed
            if step_ms is not None:
                order["step_ms"] = step_ms
            await self._order(run, order)

    async def _steer_queued(
        self, run: Run, state: str | None, speed: float | None, step_ms: int | None
    ) -> None:
        if state == "stopped":
            self._queue = deque(other for other in self._queue if other is not run)
            run.row = await self.stored(self.registry.update_run, run.id, state="stopped", ended_at=_now())
            await self._reject_rest(run)
        elif state is not None or step_ms is not None:
            raise Problem(409, "conflict", f"run {run.id} waits to be started; it can only be stopped")
        elif speed is not None:
            run.row = await self.stored(self.registry.update_run, run.id, speed=speed or None)

    async def _order(self, run: Run, order: Mapping[str, Any], op: str = "control") -> dict[str, Any]:
        """Have the worker of a run do something, and wait until it has."""
        child = run.child
        if child is None:
            raise Problem(409, "conflict", f"run {run.id} has no process")
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        run.waiting[number] = future
        child.line.send({"op": op, "id": number, **order})
        try:
            done = await asyncio.wait_for(future, CONTROL_S)
        except TimeoutError:
            detail = (
                f"run {run.id} does not answer; it may be waiting for the registry or for room on the disk"
            )
            raise Problem(503, "timeout", detail, headers={"Retry-After": "1"}) from None
        finally:
            run.waiting.pop(number, None)
        if done.get("gone"):
            raise Problem(409, "conflict", f"run {run.id} has just ended")
        return done

    async def _wait_until_over(self, run: Run) -> None:
        tending = run.tending
        if tending is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(tending), CONTROL_S)

    async def delete(self, run: Run) -> None:
        """Remove a run and all that it left; one that goes on is broken off first."""
        async with run.lock:
            if run.removed:
                raise Problem(404, "not-found", f"no run {run.id!r}")
            await self.stored(self.registry.delete_run, run.id)
            run.removed = True
            self.all.pop(run.id, None)
            self._kept_boards.pop(run.id, None)
            self._queue = deque(other for other in self._queue if other is not run)
            if run.child is not None:
                run.child.kill()
            if self.current == run.id:
                await self.make_current(None)
            self.log.info("run removed", run=run.id)
        if run.tending is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(asyncio.shield(run.tending), CONTROL_S)
        run.show(None)
        await asyncio.to_thread(self._remove_files, run)
        self._fill()

    def _remove_files(self, run: Run) -> None:
        for folder in (self.result_of(run), self._work_of(run), self.inputs_of(run.id)):
            shutil.rmtree(folder, ignore_errors=True)

    async def make_current(self, run: Run | None) -> None:
        """Have `current` mean this run from now on."""
        await self.stored(self.registry.set_setting, "current", None if run is None else run.id)
        self.current = "" if run is None else run.id

    # -- commands -------------------------------------------------------------------------------------

    async def command(
        self, run: Run, new: NewCommand, *, idempotency: Idempotency[CommandRow] | None = None
    ) -> CommandRow:
        """Take a command in: it is in the log of its run before this ends, and done as soon as it is due."""
        async with run.lock:
            await self._load_commands(run)
            is_known = new.external_id is not None and any(
                command.external_id == new.external_id for command in run.commands.values()
            )
            if run.is_over and not is_known:
                raise Problem(
                    409, "conflict", f"run {run.id} is over ({run.row.state}): it takes no commands"
                )
            if new.apply_at_ms is not None and new.apply_at_ms > run.row.end_ms:
                detail = f"expected a time up to the end of the run at {run.row.end_ms / 1000:g} s"
                detail += f", found {new.apply_at_ms / 1000:g} s"
                raise Problem(
                    409, "does-not-fit", detail, errors=[{"pointer": "/apply_at", "detail": detail}]
                )
            try:
                row = await self.stored(self.registry.add_command, run.id, new, idempotency=idempotency)
            except Conflict as error:
                raise Problem(409, "conflict", str(error)) from None
            except NotFound as error:
                raise Problem(404, "not-found", str(error)) from None
            if row.id not in run.commands:
                run.commands[row.id] = row
                if run.is_over:  # it has ended while this was stored
                    await self._reject_rest(run)
                elif run.child is not None and run.ready.is_set():
                    run.child.line.send(_order_of(row))
            return run.commands[row.id]

    async def commands_of(self, run: Run) -> Iterable[CommandRow]:
        """The command log of a run."""
        await self._load_commands(run)
        return run.commands.values()

    async def examine(self, run: Run, type_: str, args: Mapping[str, Any]) -> None:
        """Raise Problem when a command can never be carried out in a run."""
        try:
            await self.ask_else(run, "command", type=type_, args=dict(args))
        except Problem as problem:
            problem.errors = [
                {"pointer": pointer(["args", *error["path"]]), "detail": error["detail"]}
                if "path" in error else error
                for error in problem.errors
            ]  # fmt: skip
            raise

    async def branch_log(self, run: Run, t_ms: int) -> list[NewCommand]:
        """What a branch of a run at an instant inherits: what was carried out up to it."""
        await self._load_commands(run)
        kept = [
            command for command in run.commands.values()
            if command.t_ms is not None and command.t_ms <= t_ms and command.state == "applied"
        ]  # fmt: skip
        return [
            NewCommand(
                type=command.type, args=command.args, created_by=command.created_by, state="applied",
                t_ms=command.t_ms, first_fact=command.first_fact, facts=command.facts, made=command.made,
                accepted_at=command.accepted_at, settled_at=command.settled_at, inherited=True,
            )
            for command in sorted(kept, key=lambda c: (c.t_ms or 0, c.sequence))
        ]  # fmt: skip

    # -- allocation -----------------------------------------------------------------------------------

    async def allocate(self, run: Run, boxes: Sequence[Sequence[int]], policy: str | None) -> dict[str, Any]:
        """Which slots boxes would get now; a run that is over is set up again at its end for that."""
        if run.is_over and not run.holder:
            await self._wait_until_over(run)  # its worker may be there still, and will not answer
        if run.child is None:
            self._playable(run)
            async with run.lock:
                if run.child is None:
                    if not run.is_over or run.row.state == "interrupted":
                        raise Problem(409, "conflict", f"run {run.id} has no process that could be asked")
                    self.log.info("run set up again to be asked", run=run.id)
                    run.ready.clear()
                    await self._begin(run, hold=True)
        if not run.ready.is_set():
            await asyncio.wait_for(run.ready.wait(), CONTROL_S)
        return await self._order(run, {"boxes": boxes, "policy": policy}, op="allocate")

    # -- reasons --------------------------------------------------------------------------------------

    async def why(self, run: Run, task: int, *, consequences: bool) -> "Message":
        """Why a task of a run is as it is: played again in a process of its own, which costs the run nothing.

        Raises Problem for a task that is not there or without a decision, and when it takes too long.
        """
        self._playable(run)
        about = await self._about(run)
        log = [
            [command.t_ms, command.sequence, command.type, command.args]
            for command in run.commands.values() if command.state == "applied"
        ]  # fmt: skip
        question = {
            "op": "why", "task": task, "consequences": consequences, "seed": run.row.seed, "commands": log,
            "inputs": self._inputs(run), **self._instant(run, None, None),
            "about": about, "time_s": round(WHY_S),
        }  # fmt: skip
        return await self.readers.ask_apart(question, WHY_S)

    async def report(self, run: Run, side: str) -> "Message":
        """The report of a run that is over, made in a process of its own, since it takes seconds.

        Raises Problem for a run of another version of the model, and for one that has left no result.
        """
        self._playable(run)
        question = {
            "op": "report", "side": side, **self._instant(run, None, None), "about": await self._about(run),
        }  # fmt: skip
        return await self.readers.ask_apart(question, WHY_S)

    def _playable(self, run: Run) -> None:
        """Raise Problem for a run that this model would not play as it was."""
        if run.row.model_version != MODEL_VERSION:
            version = f"model version {run.row.model_version}, this is {MODEL_VERSION}"
            raise Problem(409, "read-only", f"run {run.id} is of {version}: it cannot be played again")

    # -- clearing up ----------------------------------------------------------------------------------

    async def _clear(self) -> None:
        """Remove runs that are over and too old, or too much; forget old answers; let idle holders go."""
        before = _now() - timedelta(days=PRUNE_DAYS)
        await self.stored(self.registry.prune_idempotency, before)
        for run in to_clear(
            [run.row for run in self.all.values()], self.current, _now(), self.settings.keep_days,
            self.settings.keep_gb,
        ):  # fmt: skip
            self.log.info("run cleared away", run=run)
            await self.delete(self.all[run])


def to_clear(
    rows: Iterable[RunRow], current: str, now: datetime, keep_days: float, keep_gb: float
) -> list[str]:
    """Runs that are to be removed: over, not current, not to be kept, too old or (the oldest) too much.

    `keep_days` and `keep_gb` of 0 are no limits.
    """
    over = sorted(
        (row for row in rows if row.state in OVER and row.id != current and not row.keep),
        key=lambda row: (row.ended_at or row.created_at, row.number),
    )
    gone = []
    total = sum(row.size_bytes for row in over)
    for row in over:
        is_old = keep_days > 0 and (row.ended_at or row.created_at) < now - timedelta(days=keep_days)
        if is_old or (keep_gb > 0 and total > keep_gb * 1e9):
            gone.append(row.id)
            total -= row.size_bytes
    return gone


def _order_of(command: CommandRow) -> dict[str, Any]:
    """A command as its worker is told."""
    return {
        "op": "command", "sequence": command.sequence, "type": command.type, "args": command.args,
        "apply_at_ms": command.apply_at_ms, "expires_at_ms": command.expires_at_ms,
        "if_version": command.if_version,
    }  # fmt: skip


def _prepare(work: Path, log: Path, slots: int) -> None:
    """Make the folder of a run that is to begin, and see that there is some room."""
    work.mkdir(parents=True, exist_ok=True)
    for old in work.glob("facts-*.log"):
        old.unlink()
    with log.open("wb") as file:
        file.write(b"\0" * min(1_000_000, 64 * slots))


def _copy_inputs(files: Mapping[str, Path], folder: Path) -> None:
    """Copy files under their new names, so that they outlive a loss of power."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        with (folder / name).open("wb") as copy:
            copy.write(path.read_bytes())
            copy.flush()
            os.fsync(copy.fileno())
    sync_folder(folder)
    sync_folder(folder.parent)


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _now() -> datetime:
    return datetime.now(UTC)
