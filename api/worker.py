"""The worker of a run: one process that simulates, shows where it is, and takes commands between events.

It advances in slices of a few milliseconds of clock time, in the pace that is wanted. Between two slices it
reads what the server wants; a command that is due waits until the server has written down the instant at
which it takes effect, and only then acts: law 1, a run is its scenario, its seed and its command log. It
writes its facts to a log as they come, shows the newest instant on the board, and at the end leaves a result
folder. When the server has gone, it goes.
"""

import contextlib
import os
import resource
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from api.board import BLOCKED, HELD, STATES, Board
from api.channel import Channel, Message
from api.factslog import FactsLog
from api.logs import where_of
from sim.facts import (
    ALLOCATION_RELEASED,
    BOX_DUG,
    BOX_MOVED,
    BOX_RECORDED,
    COUNT_PLANNED,
    METERS_RECORDED,
    METERS_SCRAPPED,
    NONE,
    ORDER_RELEASED,
    ROBOT_STRETCH,
    SLOT_ALLOCATED,
    SLOT_BLOCKED,
    SLOT_HELD,
    TASK_CREATED,
    TRUCK_CALLED_OFF,
)

if TYPE_CHECKING:
    from sim.scenario import Loaded, Scenario
    from sim.simulation import Result, Simulation

SLICE_S: Final = 0.004
"""Clock time that a slice should take: so long a command, a question or the board may wait."""

SHOW_S: Final = 0.05
"""Least clock time between two instants on the board."""

SHOWN_SHARE: Final = 0.05
"""Most of the processor's time that showing may take: large stores are shown less often."""

PACE_S: Final = 0.02
"""A run that has a pace is advanced whenever so much clock time has passed."""

MOST_DEBT_S: Final = 0.5
"""A run that falls behind its pace by more than this does not make up for it."""

LOOK_S: Final = 0.5
"""Clock time between two looks at memory and time limits."""

FIRST_SLICE_MS: Final = 60_000
MOST_SLICE_MS: Final = 7 * 86_400_000

_OF_SLOTS: Final = {
    BOX_MOVED: ("from_place", "to_place", "recorded"), BOX_RECORDED: ("place",),
    BOX_DUG: ("slot", "to_place"),
    SLOT_ALLOCATED: ("slot",), ALLOCATION_RELEASED: ("slot",), SLOT_BLOCKED: ("slot",), SLOT_HELD: ("slot",),
}  # fmt: skip
"""Kinds of facts after which slots are not what they were, with the fields that name them."""

_OF_BOXES: Final = frozenset({BOX_RECORDED, METERS_RECORDED, METERS_SCRAPPED})
"""Kinds after which the slot in which a box is, or was, recorded is not what it was."""

_SHOWN_BY: Final = frozenset({*_OF_SLOTS, *_OF_BOXES, ROBOT_STRETCH})

_MAKERS: Final = {
    ORDER_RELEASED: "order", TRUCK_CALLED_OFF: "truck", COUNT_PLANNED: "count", TASK_CREATED: "task",
}  # fmt: skip
"""Kinds of facts that tell of something new, with the field that has its number."""

STARTING, RUNNING, PAUSED, ENDED = range(len(STATES))


class Setup(NamedTuple):
    """What a worker is told of its run."""

    run: str
    resolved: dict[str, Any]
    seed: int
    inputs: str
    """Folder of the files that the scenario names; empty when it names none."""
    log: str
    """Path of the log of facts to be written."""
    result: str
    """Folder for the result."""
    commands: list[list[Any]]
    """The command log so far: time in ms, sequence, type, args, wanted version, whether it is settled."""
    resume_ms: int
    """The run goes on from here."""
    paused: bool
    speed: float
    """Simulated seconds a second; 0 for as fast as possible."""
    time_limit_s: float
    memory_limit_mb: int
    hold: bool
    """Whether the run is over already, and is only set up again to be asked."""


class _Command(NamedTuple):
    """A command that was accepted and has no instant yet."""

    sequence: int
    type: str
    args: dict[str, Any]
    apply_at_ms: int
    expires_at_ms: int | None
    if_version: int | None


class _Over(Exception):  # noqa: N818 - no error
    """The run is to end: with a state, and why."""

    def __init__(self, state: str, reason: str = "") -> None:
        super().__init__(state, reason)
        self.state = state
        self.reason = reason


def main(end: socket.socket, memory: Any, slots: int, robots: int) -> None:
    """The life of a worker process: the first message sets up its run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, who tells us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.nice(5)
    channel = Channel(end)
    try:
        first = channel.receive()
        assert first is not None
        Worker(channel, Board(memory, slots, robots), Setup(**first.head)).live()
    except EOFError:
        _leave()


def _leave() -> NoReturn:
    """End at once: the server has gone, and what matters stands in its registry."""
    os._exit(1)


class Worker:
    """One run at work."""

    simulation: "Simulation"
    loaded: "Loaded"
    _log: FactsLog
    _shown: "_Slots"

    def __init__(self, channel: Channel, board: Board, setup: Setup) -> None:
        self.channel = channel
        self.board = board
        self.setup = setup
        self.paused = setup.paused
        self.speed = setup.speed
        self._pending: list[_Command] = []
        self._backlog: list[Message] = []
        self._step_until = NONE
        self._slice_ms = float(FIRST_SLICE_MS)
        self._show_again = 0.0
        self._look_again = 0.0
        self._worked_s = 0.0
        self._anchor = (0.0, 0)
        self._reached = _Pace()
        self._trouble = ""

    def live(self) -> None:
        """Set the run up, work until it is over, and leave its result."""
        try:
            self._set_up()
            try:
                self._work()
            except _Over as over:
                self._end(over)
        except EOFError:
            raise
        except MemoryError:
            self._fail("expected to fit into memory, found none left")
        except Exception as error:  # noqa: BLE001 - whatever the model does, the server hears of it
            self._fail(f"{type(error).__name__}: {error}", error)
            raise SystemExit(1) from None

    # -- the beginning and the end --------------------------------------------------------------------

    def _set_up(self) -> None:
        """Build the store, and bring it by its command log to where it was."""
        from sim.scenario import from_dict
        from sim.simulation import Simulation

        setup = self.setup
        self._limit_memory()
        self.loaded = loaded_from(from_dict(setup.resolved), setup.inputs)
        self.simulation = Simulation(self.loaded, seed=setup.seed)
        self._log = FactsLog(Path(setup.log))
        self._shown = _Slots(self.simulation)
        for t_ms, sequence, type_, args, if_version, is_settled in setup.commands:
            self.simulation.advance(t_ms)
            command = _Command(sequence, type_, args, t_ms, None, if_version)
            self._carry_out(command, tell=not is_settled)
        self.simulation.advance(setup.resume_ms)
        self._show(STARTING, force=True)
        self.channel.send({
            "event": "ready", "t_ms": self.simulation.now_ms, "facts": len(self.simulation.trace),
            "names": self.simulation.names(),
        })  # fmt: skip
        self._set_anchor()

    def _limit_memory(self) -> None:
        """Have the system refuse what is far beyond the limit; what is a little beyond we see ourselves."""
        if self.setup.memory_limit_mb:
            most = 4 * self.setup.memory_limit_mb * 2**20 + 2 * 2**30  # address space, not memory
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def _end(self, over: _Over) -> None:
        """Leave the result of what was simulated, and say so."""
        simulation = self.simulation
        for command in self._pending:
            self._settle(command, "rejected", f"the run ended at {simulation.now_ms / 1000:g} s")
        about: dict[str, Any] = {}
        result = simulation.result() if over.state != "failed" else _unchecked(simulation)
        if not self.setup.hold:
            about = self._write_result(result)
        self._show(ENDED, force=True)
        self.channel.send({
            "event": "ended", "state": over.state, "error": over.reason, "t_ms": simulation.now_ms,
            "facts": len(simulation.trace), "digest": result.digest,
            "demand_digest": simulation.trace.demand_digest(), **about,
        })  # fmt: skip
        if self.setup.hold:
            self._answer_only()

    def _write_result(self, result: "Result") -> dict[str, Any]:
        from sim.kpis import RunFacts, limits
        from sim.results import summary, write_result

        kpis = result.kpis()
        sentence = limits(RunFacts.of(result))
        while True:
            try:
                write_result(
                    result, Path(self.setup.result), loaded=self.loaded,
                    about=summary(result, kpis, sentence), report=False,
                )  # fmt: skip
            except OSError as error:
                try:
                    self._wait_for_room(error)
                except _Over:
                    return {"kpis": kpis, "limits": sentence, "error": self._trouble}
            else:
                return {"kpis": kpis, "limits": sentence}

    def _fail(self, reason: str, error: BaseException | None = None) -> None:
        """Say that the model has failed; what it recorded until then can be read from its log."""
        trace = "" if error is None else where_of(error)
        t_ms = facts = 0
        with contextlib.suppress(Exception):
            self._show(ENDED, force=True)
            t_ms, facts = self.simulation.now_ms, len(self.simulation.trace)
        self.channel.send({
            "event": "ended", "state": "failed", "error": reason[:2000], "where": trace, "t_ms": t_ms,
            "facts": facts, "digest": None, "demand_digest": None,
        })  # fmt: skip

    # -- slices ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Slice by slice until the end."""
        if self.setup.hold:
            raise _Over("finished")
        end_ms = self.simulation.end_ms
        while True:
            self._read_messages()
            self._carry_out_due()
            if self._trouble and not self.paused:
                self._pause()
            if self.paused:
                self._show(PAUSED)
                continue
            if self.simulation.now_ms >= end_ms:
                raise _Over("finished")
            self._slice(end_ms)
            self._look()
            self._show(RUNNING)

    def _slice(self, end_ms: int) -> None:
        """Advance by one slice, in the pace that is wanted; a step goes as fast as it can."""
        simulation, begin = self.simulation, time.monotonic()
        now_ms = simulation.now_ms
        border = min(end_ms, now_ms + max(1, int(self._slice_ms)))
        if self._step_until != NONE:
            border = min(border, self._step_until)
        elif self.speed:
            border = min(border, now_ms + int(1000 * self.speed * self._behind_s()))
        for command in self._pending:
            if now_ms < command.apply_at_ms < border:
                border = command.apply_at_ms
        if border > now_ms:
            simulation.advance(border)
            took = time.monotonic() - begin
            self._worked_s += took
            self._fit_slice(border - now_ms, took)
            if self.speed and self._behind_s() > MOST_DEBT_S:
                self._set_anchor()
        if simulation.now_ms == self._step_until:
            self._step_until = NONE
            self._pause()

    def _fit_slice(self, simulated_ms: int, took_s: float) -> None:
        """Make slices longer or shorter, so that they take about SLICE_S."""
        if took_s > 2 * SLICE_S:
            self._slice_ms = max(1.0, simulated_ms / 2)
        elif took_s < SLICE_S / 2 and simulated_ms >= int(self._slice_ms):
            self._slice_ms = min(float(MOST_SLICE_MS), 2 * self._slice_ms)

    def _set_anchor(self) -> None:
        """The pace counts from here."""
        self._anchor = (time.monotonic(), self.simulation.now_ms)

    def _behind_s(self) -> float:
        """By how much clock time the run is behind its pace."""
        since_s, from_ms = self._anchor
        return time.monotonic() - since_s - (self.simulation.now_ms - from_ms) / 1000 / self.speed

    def _look(self) -> None:
        """Now and then: is the run within its limits?"""
        now_s = time.monotonic()
        if now_s < self._look_again:
            return
        self._look_again = now_s + LOOK_S
        setup, at = self.setup, f"at {self.simulation.now_ms / 1000:,.0f} s of the run"
        if setup.time_limit_s and self._worked_s > setup.time_limit_s:
            found = f"found {self._worked_s:.0f} s {at}"
            raise _Over("failed", f"expected at most {setup.time_limit_s:g} s of computing, {found}")
        memory_mb = _resident_kb() // 1024
        if setup.memory_limit_mb and memory_mb > setup.memory_limit_mb:
            found = f"found {memory_mb:,} MB {at}"
            raise _Over("failed", f"expected at most {setup.memory_limit_mb:,} MB of memory, {found}")

    def _pause(self) -> None:
        self.paused = True
        self._show(PAUSED, force=True)
        simulation = self.simulation
        self.channel.send({
            "event": "paused", "t_ms": simulation.now_ms, "facts": len(simulation.trace),
            "error": self._trouble,
        })  # fmt: skip

    # -- what the server wants ------------------------------------------------------------------------

    def _read_messages(self) -> None:
        """Do what the server asks; wait for it while the run stands or is ahead of its pace."""
        while True:
            if self._backlog:
                self._obey(self._backlog.pop(0))
                continue
            message = self.channel.receive(self._may_wait_s())
            if message is None:
                return
            self._obey(message)

    def _may_wait_s(self) -> float:
        """How long nothing is to be done unless the server wants it."""
        if self._is_due():
            return 0.0
        if self.paused:
            return 1.0
        if not self.speed or self._step_until != NONE:
            return 0.0
        return max(0.0, PACE_S - self._behind_s())

    def _obey(self, message: Message) -> None:
        head = message.head
        {
            "control": self._control, "command": self._take_command, "allocate": self._allocate,
        }[head.pop("op")](head)  # fmt: skip

    def _control(self, head: dict[str, Any]) -> None:
        """Pause, go on, step, change the pace, or stop."""
        if head.get("stop"):
            self.channel.send({"event": "done", "id": head["id"]})
            raise _Over("stopped")
        if "speed" in head:
            self.speed = head["speed"]
        if head.get("paused") is not None:
            self.paused = head["paused"]
            self._trouble = ""
            self._step_until = NONE
        if head.get("step_ms"):
            self.paused = False
            self._trouble = ""
            self._step_until = min(self.simulation.end_ms, self.simulation.now_ms + head["step_ms"])
        self._set_anchor()
        self._reached.forget()
        self._show(PAUSED if self.paused else RUNNING, force=True)
        self.channel.send({
            "event": "done", "id": head["id"], "t_ms": self.simulation.now_ms,
            "facts": len(self.simulation.trace), "paused": self.paused, "speed": self.speed,
            "trouble": self._trouble, "is_step": self._step_until != NONE,
        })  # fmt: skip

    def _take_command(self, head: dict[str, Any]) -> None:
        command = _Command(
            head["sequence"], head["type"], head["args"], head["apply_at_ms"] or 0, head["expires_at_ms"],
            head["if_version"],
        )  # fmt: skip
        self._pending.append(command)
        self._pending.sort()

    def _allocate(self, head: dict[str, Any]) -> None:
        """Name slots for boxes without doing it."""
        from sim.allocation import rule_named
        from sim.proposal import Asked, propose

        simulation = self.simulation
        rule = None if head["policy"] is None else rule_named(head["policy"])
        found = propose(simulation, [Asked(*box) for box in head["boxes"]], rule)
        self.channel.send({
            "event": "allocated", "id": head["id"], "t_ms": simulation.now_ms,
            "facts": len(simulation.trace), "slots": [list(each) for each in found],
            "policy": head["policy"] or simulation.scenario.policy.allocation,
            "port_times_ms": [
                NONE if slot == NONE else simulation.ledger.index.port_time_ms[slot] for slot, _ in found
            ],
        })  # fmt: skip

    def _answer_only(self) -> None:
        """The run is over: answer what is asked of its end until the server has enough."""
        while True:
            message = self.channel.receive()
            assert message is not None
            if message.head["op"] == "allocate":
                self._obey(message)
            elif message.head["op"] == "control":
                self.channel.send({"event": "done", "id": message.head["id"]})
                if message.head.get("stop"):
                    return

    # -- commands -------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        return any(command.apply_at_ms <= self.simulation.now_ms for command in self._pending)

    def _carry_out_due(self) -> None:
        """Carry out the commands that are due, in their order, once their instant is written down."""
        now_ms = self.simulation.now_ms
        due = [command for command in self._pending if command.apply_at_ms <= now_ms]
        if not due:
            return
        self._pending = [command for command in self._pending if command.apply_at_ms > now_ms]
        due = [command for command in due if not self._has_expired(command)]
        if due:
            self._write_down(due)
        for command in due:
            self._carry_out(command)
        if due:
            self._show(PAUSED if self.paused else RUNNING, force=True)

    def _has_expired(self, command: _Command) -> bool:
        if command.expires_at_ms is None or self.simulation.now_ms <= command.expires_at_ms:
            return False
        self._settle(command, "expired", f"it was to be done by {command.expires_at_ms / 1000:g} s")
        return True

    def _write_down(self, due: list[_Command]) -> None:
        """Have the server write the instant of commands down; until then nothing moves."""
        sequences = [command.sequence for command in due]
        self.channel.send({"event": "instants", "t_ms": self.simulation.now_ms, "sequences": sequences})
        while True:
            message = self.channel.receive()
            assert message is not None
            if message.head["op"] == "written":
                return
            if message.head["op"] == "allocate":
                self._obey(message)
            else:
                self._backlog.append(message)

    def _carry_out(self, command: _Command, *, tell: bool = True) -> None:
        """Carry out a command at this instant; again, and the same, when the run is rebuilt from its log."""
        from sim.commands import Outcome, apply

        simulation = self.simulation
        facts = len(simulation.trace)
        if command.if_version is not None and command.if_version != facts:
            reason = f"expected version {command.if_version}, found {facts}"
            outcome = Outcome(applied=False, reason=reason, first_fact=facts, facts=0)
        else:
            outcome = apply(simulation, command.type, command.args, sequence=command.sequence)
        if tell:
            state = "applied" if outcome.applied else "rejected"
            self._settle(command, state, outcome.reason, outcome.first_fact, outcome.facts)

    def _settle(
        self, command: _Command, state: str, reason: str, first: int | None = None, facts: int = 0
    ) -> None:
        self.channel.send({
            "event": "settled", "sequence": command.sequence, "state": state, "reason": reason,
            "t_ms": self.simulation.now_ms, "first_fact": first, "facts": facts,
            "made": self._made(first, facts) if state == "applied" and first is not None else None,
        })  # fmt: skip

    def _made(self, first: int, facts: int) -> dict[str, int] | None:
        """Numbers of the order, truck, count or task that a command has made; None for nothing."""
        made: dict[str, int] = {}
        if facts:
            for kind, _, records in self.simulation.trace.records(first, _MAKERS):
                made.setdefault(_MAKERS[kind], int(records[_MAKERS[kind]][0]))
        return made or None

    # -- showing --------------------------------------------------------------------------------------

    def _show(self, state: int, *, force: bool = False) -> None:
        """Write the facts that are new to the log, and show this instant on the board."""
        begin = time.monotonic()
        if begin < self._show_again and not force:
            return
        simulation = self.simulation
        try:
            self._log.write(simulation.trace, simulation.now_ms)
        except OSError as error:
            # What is not in the log is not shown either; the loop sees the trouble and pauses the run.
            self._trouble = f"the facts of the run cannot be written: {(error.strerror or 'error').lower()}"
            self.board.write_head(state=PAUSED, wall_ms=time.time_ns() // 1_000_000)
            return
        used_s = time.thread_time()
        changed, robots = self._shown.news()
        waiting = [task for queue in simulation.fleet.waiting for task in queue if not task.cancelled]
        self.board.write(
            {
                "facts": len(simulation.trace),
                "t_ms": simulation.now_ms,
                "log_bytes": self._log.size,
                "state": state,
                "speed": round(1000 * self.speed),
                "reached": self._reached.per_s(begin, simulation.now_ms) if state == RUNNING else 0,
                "wall_ms": time.time_ns() // 1_000_000,
                "rss_kb": _resident_kb(),
                "open_orders": len(simulation.warehouse.orders),
                "waiting": len(waiting),
                "oldest_ms": min((task.created for task in waiting), default=NONE),
            },
            changed,
            robots,
        )
        # What it costs, not how long it took: another process may have had the processor meanwhile.
        self._show_again = begin + max(SHOW_S, (time.thread_time() - used_s) / SHOWN_SHARE)

    def _wait_for_room(self, error: OSError) -> None:
        """The result cannot be written: stand until the server says to try again, or to stop."""
        self._trouble = f"the result cannot be written: {(error.strerror or 'error').lower()}"
        self._pause()
        while self.paused:
            message = self.channel.receive()
            assert message is not None
            self._obey(message)


class _Pace:
    """How fast the run has gone of late."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []

    def forget(self) -> None:
        self._marks.clear()

    def per_s(self, now_s: float, t_ms: int) -> int:
        """Simulated milliseconds a second over the last second or so."""
        marks = self._marks
        marks.append((now_s, t_ms))
        while len(marks) > 2 and now_s - marks[1][0] > 1.0:
            marks.pop(0)
        since_s, from_ms = marks[0]
        return round((t_ms - from_ms) / (now_s - since_s)) if now_s > since_s else 0


class _Slots:
    """What the records say of each slot and what each robot does, kept up by the facts that are new."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._seen = 0
        self._slot_of: dict[int, int] = {}
        self._stretch: list[tuple[int, ...]] = [(0, NONE, NONE, 0, 0, NONE, NONE, NONE)] * len(
            simulation.fleet.robots
        )
        self._begun = False

    def news(self) -> tuple[dict[int, tuple[int, ...]], list[tuple[int, ...]]]:
        """The columns of the slots that have changed since the last time, and those of all robots."""
        dirty = self._dirty()
        simulation = self._simulation
        ledger, facts = simulation.ledger, len(simulation.trace)
        kept = simulation.warehouse.kept_places()
        blocked = ledger.index.out_of_use
        masks, skus, slot_of = ledger.mask, ledger.sku, self._slot_of
        changed: dict[int, tuple[int, ...]] = {}
        for slot in sorted(dirty):
            boxes = ledger.boxes_in(slot)
            meters = bits = 0
            for box in boxes:
                meters += masks[box].bit_count()
                bits |= 1 << (skus[box] & 63)
                slot_of[box] = slot
            reasons = blocked(slot)
            flags = (BLOCKED if "blocked" in reasons else 0) | (HELD if "hold" in reasons else 0)
            bits -= (bits >> 63) << 64  # as a signed number of 64 bits
            changed[slot] = (len(boxes), kept[slot], meters, flags, facts, bits)
        return changed, self._robots()

    def _dirty(self) -> set[int]:
        simulation = self._simulation
        slots = simulation.layout.slots
        if not self._begun:
            self._begun = True
            dirty = set(range(slots))
        else:
            dirty = set()
        place, places = simulation.ledger.place, []
        for kind, _, records in simulation.trace.records(self._seen, _SHOWN_BY):
            places += [records[field] for field in _OF_SLOTS.get(kind, ())]
            if kind in _OF_BOXES:
                for box in records["box"].tolist():
                    dirty.update((place[box], self._slot_of.get(box, NONE)))
            elif kind == ROBOT_STRETCH:
                self._follow_robots(records)
        self._seen = len(simulation.trace)
        for column in places:
            dirty.update(column.tolist())
        return {slot for slot in dirty if 0 <= slot < slots}

    def _follow_robots(self, records: Any) -> None:
        """Keep the last stretch of each robot."""
        names = ("activity", "from_place", "to_place", "height_mm", "time_ms", "arrive", "end", "task")
        robots = records["robot"]
        for robot in range(len(self._stretch)):
            at = (robots == robot).nonzero()[0]
            if at.size:
                last = records[at[-1]]
                self._stretch[robot] = tuple(int(last[name]) for name in names)

    def _robots(self) -> list[tuple[int, ...]]:
        fleet = self._simulation.fleet
        full_ms = fleet.params.run_h * 3_600_000
        return [
            (
                *self._stretch[robot.number], len(robot.board), round(1000 * robot.charge_ms / full_ms),
                int(robot.down_since != NONE),
            )
            for robot in fleet.robots
        ]  # fmt: skip


def loaded_from(scenario: "Scenario", inputs: str) -> "Loaded":
    """A scenario from the registry as `load` would have given it, its files in a folder."""
    from sim.scenario import Loaded

    base = Path(inputs) if inputs else Path()
    return Loaded(scenario, {}, base, base / "scenario.json")


def _unchecked(simulation: "Simulation") -> "Result":
    """The result of a run that was broken off, whose invariants need not hold."""
    from sim.simulation import Result

    simulation.trace.seal()
    return Result(
        simulation.trace, simulation.begun_with, simulation.layout, simulation.calendar, simulation.seed,
        simulation.now_ms, simulation.names(), commands=simulation.commands,
        scenario_at_end=simulation.scenario,
    )  # fmt: skip


_PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


def _resident_kb() -> int:
    """Memory that this process takes, in kilobytes."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read twice a second
            return int(file.read().split()[1]) * _PAGE_KB
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
