"""Why a task is as it is: why this slot, this box, this robot, and what another choice would have changed.

A run is its scenario, its seed and its commands, so it costs the run nothing to be asked: it is played again
in a process of its own, up to the instant of a decision. There the rules are asked once more, on the records
as they stood, and all is left as it was found. What another choice would have changed is played, too: at the
decision the process is forked, and each copy takes another choice and goes on as the run did, with the same
random numbers, rules and commands, to the end of the day.

Left out: what people decide, where a robot rests, and in which order a tour calls at its slots.
"""

import json
import multiprocessing
import os
import select
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sim.allocation import ALIASES, LIVE_POLICIES, OWN_RULES, POLICIES, BoxView, Rule, expected_costs_ms
from sim.calendar import DAY_MS
from sim.commands import Entry, replay
from sim.facts import (
    ACTIVITIES,
    BY_NUMBER,
    COUNT,
    DIGGING,
    GO_CHARGE,
    ISSUE,
    LOOSE_RETURN,
    NONE,
    PARK,
    PUT_AWAY,
    TASK_CLASSES,
    WORKING,
)
from sim.kpis import box_moves, digs, order_cycle_time_s, orders, put_away_time_s
from sim.ledger import IN_TRANSIT, LOST, OVERDUE, QUALIFIED, RESERVED
from sim.ownrule import OwnChoice, is_own, load_rule
from sim.retrieval import RETRIEVAL, BoxesView
from sim.robots import DISPATCH
from sim.scenario import Loaded, Scenario
from sim.simulation import Simulation
from sim.tables import FOREVER, RunFacts, is_last
from sim.trace import MODEL_VERSION
from sim.tracking import Run
from sim.words import printable, show

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from sim.robots import Task
    from sim.slots import SlotIndex, SlotView
    from sim.streams import Stream
    from sim.trace import Trace
    from sim.warehouse import Line, Order

MOST_BRANCHES: Final = 8
"""So many other choices of a decision are played to the end of the day."""

BEST: Final = 5
"""So many of what a rule would have named one after another are told."""

MOST_TURNS: Final = 5
"""So often, the last times, it is told why a robot took a task that came back again."""

SHORT_DAY_MS: Final = 4 * 3_600_000
"""With less than this left of a day, choices are played to the end of the next one."""

BRANCH_S: Final = 300
"""A choice that takes longer to play is given up."""

SILENCE_S: Final = 600
"""Another process that is heard of nothing for so long is given up."""

Row = dict[str, int]
Told = dict[str, Any]
Progress = Callable[[float], None]


class WhyError(ValueError):
    """A task of which there is nothing to tell; `lines` has one line a mistake."""

    def __init__(self, lines: list[str]) -> None:
        # SimPy, and pickle, make a copy of an error out of its arguments.
        super().__init__(lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


def explain(
    loaded: Scenario | Loaded,
    seed: int,
    log: Sequence[Entry],
    task: int,
    *,
    consequences: bool = True,
    until_ms: int | None = None,
    trace: "Trace | None" = None,
    progress: Progress | None = None,
) -> Told:
    """Why a task of a run is as it is, JSON-ready: the run is played again in this process.

    Parameters
    ----------
    log : the commands that the run was given.
    consequences : whether other choices are played. That forks this process: see `explain_apart`.
    until_ms : the instant that the run has reached; its end when not given.
    trace : the facts of the run, up to that instant or further. What is played is held against them.
    progress : is told the share that is done.

    Returns
    -------
    `task`; `decisions`, each of a `kind` (slot, box, robot), in their order; `verified` (see docs/why.md).

    Raises
    ------
    WhyError
        For a task that the run does not have or without a decision, and for facts that are not the run's.
    RuntimeError
        When it would have to fork a process with several threads.
    """
    if consequences and threading.active_count() > 1:
        raise RuntimeError("a process with threads must not fork: use explain_apart")
    known = _known_of_run(trace, task, until_ms)
    asked = _Asked(loaded, seed, list(log), task, until_ms, consequences=consequences)
    return _held_against(trace, *_explained(asked, known, progress))


def explain_apart(
    loaded: Scenario | Loaded,
    seed: int,
    log: Sequence[Entry],
    task: int,
    *,
    consequences: bool = True,
    until_ms: int | None = None,
    trace: "Trace | None" = None,
    progress: Progress | None = None,
) -> Told:
    """The same as `explain` from a fresh process, whatever threads or event loop there are here.

    It waits for the answer, in which `progress` is told the share that is done. Rules of the user's own are
    loaded there from their files again. Raises as `explain`, and WhyError when nothing is heard for
    `SILENCE_S`.
    """
    known = _known_of_run(trace, task, until_ms)
    asked = _Asked(loaded, seed, list(log), task, until_ms, consequences=consequences)
    own = [
        (f"{rule.choose.source.file}:{rule.choose.source.function}", name)
        for name, rule in OWN_RULES.items()
        if isinstance(rule.choose, OwnChoice)
    ]
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer_apart, args=(theirs, own, asked, known))
    process.start()
    theirs.close()
    is_over = False
    try:
        while ours.poll(SILENCE_S):
            word, value = ours.recv()
            is_over = word in ("refused", "answer")
            if word == "refused":
                raise WhyError(value)
            if word == "answer":
                return _held_against(trace, *value)
            if progress is not None:
                progress(value)
        raise WhyError([f"task {task}: expected an answer within {SILENCE_S} s, found none"])
    except EOFError:
        raise RuntimeError(f"the process that explains task {task} ended without an answer") from None
    finally:
        ours.close()
        if not is_over and process.pid is not None:
            with suppress(ProcessLookupError):  # with those that it has forked
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        process.join()


def _answer_apart(
    line: "Connection", own: Sequence[tuple[str, str]], asked: "_Asked", known: "Known | None"
) -> None:
    os.setpgid(0, 0)
    try:
        for text, name in own:
            load_rule(text, name)
        line.send(("answer", _explained(asked, known, lambda done: line.send(("done", done)))))
    except ValueError as error:
        if not isinstance(lines := getattr(error, "lines", None), list):
            raise
        line.send(("refused", lines))


def loaded_of(folder: Path, scenario: Scenario) -> Loaded:
    """The scenario of a result folder with its input files, which are looked for in it, beside it and here.

    Files that went into the run go before others of their names. Raises WhyError, a line each, for one that
    is not found or not the one that went into the run, and for a rule of the user's own that is not loaded.
    """
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    inputs: Mapping[str, Mapping[str, str]] = document.get("inputs", {})
    shown, rule = printable(str(folder)), scenario.policy.allocation
    lines = []
    if is_own(rule) and rule not in OWN_RULES:
        lines.append(
            f"{shown}: policy.allocation: expected the file of {show(rule)}, found only its name:"
            " give it with --policy FILE.py:FUNCTION"
        )
    elif is_own(rule) and isinstance(own := OWN_RULES[rule].choose, OwnChoice):
        lines += _other_than(inputs, "policy.allocation", own.source.sha256, shown)
    bases = [base for base in (folder, folder.parent, Path.cwd()) if base.is_dir()]
    here = [Loaded(scenario, {}, base, folder / "result.json", shown) for base in bases]
    best = max(here, key=lambda each: _held(each, inputs))
    for key, path in best.files().items():
        if path.is_file():
            lines += _other_than(inputs, key, sha256(path.read_bytes()).hexdigest(), shown)
        else:
            lines.append(
                f"{shown}: {key}: expected {show(path.name)}, with which the run began, found none here or"
                " beside it"
            )
    if lines:
        raise WhyError(lines)
    return best


def _held(loaded: Loaded, inputs: Mapping[str, Mapping[str, str]]) -> tuple[int, int]:
    """How many input files are where they are looked for: those that went into the run, and any."""
    found = {key: path for key, path in loaded.files().items() if path.is_file()}
    same = sum(
        sha256(path.read_bytes()).hexdigest() == inputs.get(key, {}).get("sha256")
        for key, path in found.items()
    )
    return same, len(found)


def _other_than(inputs: Mapping[str, Mapping[str, str]], key: str, digest: str, shown: str) -> list[str]:
    wanted = inputs.get(key, {}).get("sha256", digest)
    if wanted == digest:
        return []
    return [f"{shown}: {key}: expected a file with SHA-256 {wanted}, found one that was changed since"]


def _known_of_run(trace: "Trace | None", task: int, until_ms: int | None) -> "Known | None":
    """What the facts of a run say of a task; raises WhyError for a run that cannot be played again."""
    if trace is None:
        return None
    if trace.model_version != MODEL_VERSION:
        made = f"expected a run of model_version {MODEL_VERSION}, found one of {trace.model_version}"
        raise WhyError([f"task {task}: {made}: it cannot be played again"])
    return known_of(trace, task, until_ms)


# --- what the facts say of a task ------------------------------------------------------------------------


class Known(NamedTuple):
    """What the facts of a run say of one task: facts by their fields, with `seq` and `time_ms`."""

    task: Row
    slots: list[Row]
    """Every slot that was named for it."""
    waited: bool
    """Whether none could be named for its box before."""
    cause: Row
    """What was reserved of its box for an order, if that made it."""
    order: Row
    line: Row
    lacks: bool
    """Whether the order had just been found to lack what it was promised."""
    assigned: list[Row]
    ended: Row
    status: str
    tours: dict[int, list[Row]]
    """All tasks of the tours that are told."""
    tour_ends: dict[int, int]

    @property
    def number(self) -> int:
        """The number of the task."""
        return self.task["task"]

    @property
    def taken(self) -> list[Row]:
        """When a robot took it, into which tour; the last times only, if it came back often."""
        return [row for row in self.assigned if row["tour"] != NONE][-MOST_TURNS:]

    @property
    def last_ms(self) -> int:
        """The instant of its last decision."""
        return max(row["time_ms"] for row in (*self.slots, *filter(None, [self.cause]), *self.taken))


def known_of(trace: "Trace", task: int, until_ms: int | None = None) -> Known:
    """What facts up to an instant say of a task; raises WhyError when there is none, or no decision."""

    def rows(kind: str, **wanted: int | Sequence[int]) -> list[Row]:
        table = trace.table(kind)
        hit = np.ones(table["seq"].size, np.bool_)
        if until_ms is not None:
            hit &= table["time_ms"] <= until_ms
        for name, value in wanted.items():
            hit &= np.isin(table[name], value)
        return [
            {name: int(column[at]) for name, column in table.items()} for at in np.flatnonzero(hit).tolist()
        ]

    created = rows("task_created", task=task)
    if not created:
        tasks = trace.table("task_created")
        until = FOREVER if until_ms is None else until_ms
        last = int(tasks["task"][tasks["time_ms"] <= until].max(initial=NONE))
        expected = f"a number from 0 to {last}" if last != NONE else "a run with tasks"
        raise WhyError([f"task: expected {expected}, found {task}"])
    own = created[0]
    cause: Row = {}
    order: list[Row] = []
    line: list[Row] = []
    lacks = False
    if own["order"] != NONE and own["task_class"] == ISSUE:
        reserved = rows("box_reserved", box=own["box"], order=own["order"])
        cause = max((row for row in reserved if row["seq"] < own["seq"]), key=lambda r: r["seq"], default={})
    if cause:
        order = rows("order_released", order=own["order"])
        line = rows("order_line", order=own["order"], line=cause["line"])
        short = rows("order_short", order=own["order"], line=cause["line"])
        lacks = any(row["time_ms"] == cause["time_ms"] and row["seq"] < cause["seq"] for row in short)
    assigned = rows("task_assigned", task=task)
    numbers = [row["tour"] for row in assigned if row["tour"] != NONE]
    tours = {number: rows("task_assigned", tour=number) for number in numbers[-MOST_TURNS:]}
    along = [row["task"] for told in tours.values() for row in told]
    of_tasks = {row["task"]: row for row in rows("task_created", task=along)}
    done, cancelled = rows("task_done", task=task), rows("task_cancelled", task=task)
    returned = rows("task_returned", task=task)
    waits = len(returned) == len(assigned)
    known = Known(
        own, rows("slot_allocated", task=task),
        any(row["seq"] < own["seq"] for row in rows("allocation_failed", box=own["box"])),
        cause, next(iter(order), {}), next(iter(line), {}), lacks, assigned,
        next(iter(done + cancelled), {}),
        "done" if done else "cancelled" if cancelled else "waiting" if waits else "assigned",
        {number: [{**of_tasks[row["task"]], **row} for row in told] for number, told in tours.items()},
        {row["tour"]: row["time_ms"] for row in rows("tour_ended", tour=numbers)},
    )  # fmt: skip
    if not (known.slots or known.cause or known.taken):
        kind, _ = _CLASS_WORDS[TASK_CLASSES[own["task_class"]]]
        nobody = f"no rule named a slot or a box for this {kind}, no robot took it"
        raise WhyError([f"task {task}: nothing to explain: {nobody}"])
    return known


# --- the run once more -----------------------------------------------------------------------------------


class _Asked(NamedTuple):
    """A run, and the task that is asked about."""

    loaded: Scenario | Loaded
    seed: int
    log: list[Entry]
    task: int
    until_ms: int | None
    consequences: bool


_FIRST_SHARE: Final = 0.4
"""Share of the work that finding the task takes when the facts are not at hand."""

Check = tuple[int, str]
"""So many facts, and their digest."""


def _explained(asked: _Asked, known: Known | None, progress: Progress | None) -> tuple[Told, list[Check]]:
    """The answer, and what it rests on. Processes that it forks end in here."""
    begun = 0.0
    if known is None:
        known, begun = _played_plainly(asked, progress), _FIRST_SHARE

    def tell(done: float) -> None:
        if progress is not None and witness.pipe is None:
            progress(begun + (1 - begun) * done)

    witness = _Witness(known, branches=asked.consequences)
    try:
        return _played_again(asked, witness, tell)
    except BaseException as error:
        if witness.pipe is None:
            raise
        witness.tell({"error": f"{type(error).__name__}: {error}".splitlines()[0]})
        raise
    finally:
        if witness.pipe is not None:
            os._exit(0)


def _played_plainly(asked: _Asked, progress: Progress | None) -> Known:
    """Play a run whose facts are not at hand until the task is over, and see what they say of it."""
    simulation = Simulation(asked.loaded, seed=asked.seed)
    end_ms, seen, is_over = _end_ms(asked, simulation), 0, False
    while not is_over:
        replay(simulation, asked.log, min(end_ms, (simulation.now_ms // DAY_MS + 1) * DAY_MS))
        for number, _, records in simulation.trace.records(seen):
            if BY_NUMBER[number].name in ("task_done", "task_cancelled"):
                is_over |= bool((records["task"] == asked.task).any())
        seen, is_over = len(simulation.trace), is_over or simulation.now_ms >= end_ms
        if progress is not None:
            progress(_FIRST_SHARE * simulation.now_ms / max(1, end_ms))
    return known_of(simulation.trace, asked.task, asked.until_ms)


def _end_ms(asked: _Asked, simulation: Simulation) -> int:
    """The instant that the run has reached."""
    return simulation.end_ms if asked.until_ms is None else min(simulation.end_ms, asked.until_ms)


def _played_again(asked: _Asked, witness: "_Witness", tell: Progress) -> tuple[Told, list[Check]]:
    """Play a run before a witness to the last decision, and on to where its consequences are seen."""
    simulation = _Replay(asked.loaded, asked.seed, witness)
    until_ms = _end_ms(asked, simulation)
    replay(simulation, asked.log, min(until_ms, witness.known.last_ms + 1), tell)
    if witness.branch is not None:
        replay(simulation, asked.log, witness.branch.until_ms)
        witness.tell(_outcome(simulation, witness.branch))
        return {}, []
    witness.is_over = True
    checks = [*witness.checks, (len(simulation.trace), simulation.trace.digest())]
    for decision in sorted(witness.decisions, key=lambda each: each.until_ms):
        if decision.branches:
            replay(simulation, asked.log, decision.until_ms, tell)
            if decision.until_ms <= until_ms:
                checks.append((len(simulation.trace), simulation.trace.digest()))
            decision.outcome = _outcome(simulation, decision)
    decisions = sorted(witness.decisions, key=lambda each: each.told["facts"])
    for decision in decisions:
        if decision.kind != "robot":
            told = _consequences(decision, simulation, until_ms) if asked.consequences else None
            decision.told["consequences"] = told
    words = _Words(simulation)
    given = len(witness.known.slots) > sum(each.kind == "slot" for each in decisions)
    task = _task_told(witness.known, words, is_given=given)
    answer = {"task": task, "decisions": [each.told for each in decisions]}
    return answer, checks


def _held_against(trace: "Trace | None", answer: Told, checks: Sequence[Check]) -> Told:
    """An answer that says whether what was played are the facts of the run; raises WhyError if not."""
    number, last = answer["task"]["task"], checks[-1]
    if trace is not None:
        at_hand = [check for check in checks if check[0] <= len(trace)]
        if not at_hand or any(_digest_of(trace, facts) != digest for facts, digest in at_hand):
            raise WhyError(
                [f"task {number}: expected the facts of the run when it is played again, found others"]
            )
        last = at_hand[-1]
    facts, digest = last
    if trace is not None:
        sentence = f"Played again, the run has the same first {facts:,} facts."
    else:
        sentence = "What was played again was not held against the facts of the run: they were not at hand."
    verified = {"is_checked": trace is not None, "facts": facts, "digest": digest, "sentence": sentence}
    if not answer["decisions"]:
        nobody = "its slot was given to it, no rule was asked, no robot took it"
        raise WhyError([f"task {number}: nothing to explain: {nobody}"])
    return {**answer, "verified": verified}


def _digest_of(trace: "Trace", facts: int) -> str:
    """The digest of the first facts of a trace."""
    digest = sha256(trace.model_version.encode())
    for _, data in trace.packed(0, facts):
        digest.update(data)
    return digest.hexdigest()


class _Replay(Simulation):
    """The run once more, with a witness from its very first decision on."""

    def __init__(self, loaded: Scenario | Loaded, seed: int, witness: "_Witness") -> None:
        self._witness = witness
        super().__init__(loaded, seed=seed)

    def _open_store(self) -> None:
        self._witness.look_on(self)
        super()._open_store()


@dataclass
class _Decision:
    """A decision: what is told of it, and the choices of others with what becomes of them.

    `others` are the choices that differ, each with its row in `told`; `until_ms` is how far they are played.
    """

    kind: str
    t_ms: int
    until_ms: int
    told: Told
    others: list[tuple[Any, Told]] = field(default_factory=list)
    branches: list[Told] = field(default_factory=list)
    outcome: Told = field(default_factory=dict)


class _Witness:
    """Looks on while a run is played again, and asks at the decisions of one task; changes nothing.

    In a process that was forked for another choice `branch` is its decision and `pipe` the way to tell.
    """

    def __init__(self, known: Known, *, branches: bool) -> None:
        self.known = known
        self.decisions: list[_Decision] = []
        self.checks: list[Check] = []
        self.is_over = False
        self.branch: _Decision | None = None
        self.pipe: int | None = None
        self._forks = branches
        self._run: Simulation

    def look_on(self, run: Simulation) -> None:
        """Have the rules of a run that begins asked through this."""
        self._run = run
        _through(run.ledger, "allocate", self._allocate)
        _through(run.warehouse, "_reserve_box", self._reserve_box)
        _through(run.warehouse, "_open_box", self._open_box)
        _through(run.fleet, "_plan", self._plan)

    def tell(self, outcome: Told) -> None:
        """Tell the process that forked this one."""
        assert self.pipe is not None
        text = json.dumps(outcome).encode()
        while text:
            text = text[os.write(self.pipe, text) :]

    # -- where a run decides

    def _allocate(
        self, allocate: Callable[..., tuple[int, int]], rule: Rule, box: int, now_ms: int, stream: "Stream"
    ) -> tuple[int, int]:
        # A slot is recorded when it is named, or right after what comes with it: a task, a place given back.
        known, facts = self.known, len(self._run.trace)
        rows = [row for row in known.slots if facts <= row["seq"] <= facts + 1 and box == row["box"]]
        if rows and not self.is_over:
            decision = _slot_decision(
                self._run, known, rows[0], rule, self._run.ledger.seen(box, now_ms), stream
            )
            place = None if decision is None else self._decide(decision)
            if place is not None:
                rule = _naming(*place)
        return allocate(rule, box, now_ms, stream)

    def _reserve_box(self, reserve_box: Callable[..., None], order: "Order", line: "Line", box: int) -> None:
        if self._is_cause(box):
            other = self._decide(
                _box_decision(self._run, self.known, line.missing + self._run.ledger.full[line.sku])
            )
            box = box if other is None else other
        reserve_box(order, line, box)

    def _open_box(self, open_box: Callable[..., int], sku: int) -> int:
        house, known = self._run.warehouse, self.known
        if not known.cause or len(self._run.trace) != known.cause["seq"] or self.is_over:
            return open_box(sku)
        opened = _open_boxes(self._run, sku)
        box = opened[0] if opened else house._retrieval(sku, house._boxes_view)
        if box != known.cause["box"]:
            return open_box(sku)
        line = house.orders[known.cause["order"]].lines[known.cause["line"]]
        other = self._decide(_box_decision(self._run, known, line.missing, opened))
        if other is None:
            return open_box(sku)
        kept = house._retrieval
        house._retrieval = lambda _sku, _view: int(other)
        try:
            return open_box(sku)
        finally:
            house._retrieval = kept

    def _is_cause(self, box: int) -> bool:
        """Whether a box is about to be reserved, and that makes the task."""
        cause = self.known.cause
        is_now = bool(cause) and cause["seq"] == len(self._run.trace) and cause["box"] == box
        return is_now and not self.is_over

    def _plan(self, plan: Callable[[], Any]) -> Any:
        run, known = self._run, self.known
        rows = {row["tour"]: row for row in known.taken if row["time_ms"] == run.now_ms}
        if self.is_over or run.fleet._tours not in rows:
            return plan()
        told = _work_told(run, rows[run.fleet._tours]) if any(run.fleet.waiting) else {}
        tour = plan()
        if self.is_over:
            return tour
        if (
            told
            and isinstance(tour, tuple)
            and any(task.number == known.number for tasks in tour for task in tasks)
        ):
            self._keep(_robot_decision(run, known, rows[run.fleet._tours], told, tour))
        return tour

    def _keep(self, decision: _Decision) -> None:
        self.decisions.append(decision)
        self.checks.append((len(self._run.trace), self._run.trace.digest()))

    # -- other choices

    def _decide(self, decision: _Decision) -> Any:
        """Keep a decision and have its other choices played; gives one in a process that is to play it."""
        self._keep(decision)
        if not self._forks or decision.until_ms <= decision.t_ms:
            return None
        most = max(1, min(4, os.cpu_count() or 1))
        others = decision.others[:MOST_BRANCHES]
        for first in range(0, len(others), most):
            if (choice := self._fork(decision, others[first : first + most])) is not None:
                return choice
        return None

    def _fork(self, decision: _Decision, others: Sequence[tuple[Any, Told]]) -> Any:
        """Play some choices side by side, and hear what becomes of each."""
        running: list[tuple[int, int, Told]] = []
        try:
            for choice, row in others:
                ours, theirs = os.pipe()
                child = os.fork()
                if not child:
                    running.clear()
                    os.close(ours)
                    self.pipe, self.branch, self.is_over = theirs, decision, True
                    return choice
                os.close(theirs)
                running.append((child, ours, row))
            while running:
                child, pipe, row = running[0]
                decision.branches.append({**row, "outcome": _heard(pipe)})
                _end(*running.pop(0)[:2])
        finally:
            for child, pipe, _ in running:
                _end(child, pipe)
        return None


def _through(owner: object, name: str, wrapper: Callable[..., Any]) -> None:
    """Have a method of one object called through a function that gets the method first."""
    vars(owner)[name] = partial(wrapper, getattr(owner, name))


def _naming(slot: int, column: int) -> Rule:
    """A rule that names one place."""
    return Rule(lambda _box, _view, _stream: slot, column=lambda _box, _view, _slot: column)


def _heard(pipe: int) -> Told:
    """What a forked process tells through a pipe, or that it tells nothing."""
    text = b""
    while select.select([pipe], [], [], BRANCH_S)[0]:
        part = os.read(pipe, 1 << 16)
        if not part:
            return dict(json.loads(text)) if text else {"error": "its process ended without an answer"}
        text += part
    return {"error": f"it took longer than {BRANCH_S} s"}


def _end(child: int, pipe: int) -> None:
    """Have a forked process gone, whatever it does."""
    os.close(pipe)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


# --- why this slot ---------------------------------------------------------------------------------------

CONSTRAINTS: Final[dict[str, str]] = {
    "class": "do not take such boxes (layout.restricted)",
    "full": "are full, places kept for boxes on their way counted",
    "blocked": "are blocked",
    "hold": "are on hold until a discrepancy there is cleared",
}
"""What takes slots from a box, in the order of `SlotIndex.removed`."""

OCCASIONS: Final[dict[str, str]] = {
    "put_away": "when the box was to be put away",
    "room": "when a place had become free again",
    "pickup": "when a robot came for the box",
    "taken": "when its place was found taken",
    "aside": "to make room for a box that was seen in its place",
    "release": "when the order was released",
    "stock": "when stock had come for which the order waited",
    "lack": "when the order was found to lack what it was promised",
}
"""When a slot or a box is chosen."""

_TRIAL: Final = "trial"


class Measure(NamedTuple):
    """What a rule goes by: words, unit, and its value for a slot."""

    name: str
    unit: str
    value: Callable[[BoxView, "SlotView", "SlotIndex", int], float]


def _from_rank(rank_of: Callable[[BoxView, "SlotView"], int]) -> Measure:
    def value(box: BoxView, view: "SlotView", index: "SlotIndex", slot: int) -> float:
        rank = index.order("port_time", index.views.index(view)).rank[slot]
        return float(abs(rank - rank_of(box, view)))

    return Measure("ranks off the wanted one", "ranks", value)


def _zone(box: BoxView, view: "SlotView", index: "SlotIndex", slot: int) -> float:
    rank = index.order("port_time", index.views.index(view)).rank[slot]
    zones = view.zones_of(box.sku)
    return float(next(k for k, (start, end) in enumerate(zones, 1) if start <= rank < end))


def _is_own_range(box: BoxView, view: "SlotView", index: "SlotIndex", slot: int) -> float:
    start, end = view.range_of(box.sku)
    return float(start <= index.order("port_time", index.views.index(view)).rank[slot] < end)


def _from_retrieval(*, on_the_way: bool) -> Measure:
    def value(_box: BoxView, view: "SlotView", index: "SlotIndex", slot: int) -> float:
        place = view.next_retrieval
        if place == NONE:
            return view.port_time_ms(slot) / 1000
        return float(index.near_ms(place, on_the_way=on_the_way)[slot]) / 1000

    words = (
        "time by the slot to the box that leaves next" if on_the_way else "time to the box that leaves next"
    )
    return Measure(words, "s", value)


def _aisle_share(_box: BoxView, view: "SlotView", index: "SlotIndex", slot: int) -> float:
    admits = index.admits[index.views.index(view)]
    here = [other for other in range(view.slots) if view.aisle(other) == view.aisle(slot)]
    places = sum(view.capacity(other) for other in here if admits is None or admits[other])
    return sum(view.room(other) for other in here if view.is_open(other)) / max(1, places)


def _levels_off(box: BoxView, view: "SlotView", index: "SlotIndex", slot: int) -> float:
    levels = sorted(set(index.layout.level.tolist()))
    wanted = round((1.0 - view.heaviness(box.weight_g)) * (len(levels) - 1))
    return float(abs(levels.index(view.level(slot)) - wanted))


def _blocked_boxes(box: BoxView, view: "SlotView", _index: "SlotIndex", slot: int) -> float:
    leaves = view.leaves_ms(box.box)
    stacks = [stack for stack in view.stacks(slot) if stack.room > 0]
    return float(min((sum(view.leaves_ms(b) < leaves for b in s.boxes) for s in stacks), default=0))


MEASURES: Final[dict[str, Measure]] = {
    "turnover": _from_rank(lambda box, view: view.earned_rank(box.sku)),
    "learned-stay": _from_rank(lambda box, view: view.earned_rank(box.sku, learned=True)),
    "age-zoned": _from_rank(lambda box, view: view.rank_by_age(box.verified_day)),
    "class-based": Measure("zone, in the order in which they are tried", "", _zone),
    "dedicated": Measure("slots of the SKU's own", "slots", _is_own_range),
    "closest-to-next-retrieval": _from_retrieval(on_the_way=False),
    "shortest-leg": _from_retrieval(on_the_way=True),
    "levelling": Measure("open places", "places", lambda _b, view, _i, slot: float(view.room(slot))),
    "aisle-balanced": Measure("open share of the aisle", "share", _aisle_share),
    "heavy-low": Measure("levels off the wanted one", "levels", _levels_off),
    "fewest-blockings": Measure("boxes beneath that leave before it", "boxes", _blocked_boxes),
    "assignment": Measure(
        "expected cost", "s",
        lambda box, view, _i, slot: float(expected_costs_ms([box], [slot], view)[0, 0]) / 1000,
    ),
}  # fmt: skip
"""What rules go by, where that is one number a slot and not the time to a port."""


def _slot_decision(
    run: Simulation, known: Known, row: Row, rule: Rule, box: BoxView, stream: "Stream"
) -> _Decision | None:
    """The slot that a rule names for a box now, and why; None when it names none."""
    ledger, words = run.ledger, _Words(run)
    ledger.follow_lots()
    index = ledger.index
    view = index.view_of(box.sku)
    best = _best_slots(rule, box, view, index, stream)
    if not best:
        return None
    name = _name_of(rule, run)
    measure = MEASURES.get(name)
    places = [(slot, _column(run, rule, box, view, slot)) for slot in best]

    def scores(slot: int, column: int) -> Told:
        boxes, taken = len(ledger.boxes_in(slot)), view.capacity(slot) - view.room(slot)
        return {
            **words.slot(slot, column), "port_s": view.port_time_ms(slot) / 1000,
            "out_s": ledger.out_time_ms[slot] / 1000, "boxes": boxes, "kept": taken - boxes,
            "capacity": view.capacity(slot), "own_lot": view.holds_lot(slot, box.lot),
            "measure": None if measure is None else measure.value(box, view, index, slot),
        }  # fmt: skip

    rules = {**LIVE_POLICIES, **({name: rule} if name not in LIVE_POLICIES else {})}
    named: dict[tuple[int, int], list[str]] = {}
    for each, other in rules.items():
        slot = other.choose(box, view, copy(stream))
        column = NONE if slot == NONE else _column(run, other, box, view, slot)
        named.setdefault((slot, column), []).append(each)
    chosen = places[0]
    others = [
        (place, {
            **words.slot(*place), "port_s": None if place[0] == NONE else view.port_time_ms(place[0]) / 1000,
            "rules": named[place], "is_chosen": place == chosen,
        })
        for place in sorted(named, key=lambda p: (p != chosen, p[0] == NONE, view.port_time_ms(p[0]), p))
    ]  # fmt: skip
    removed = index.removed(index.views.index(view))
    rows: list[Told] = [
        {"constraint": key, "slots": removed.pop(key, 0), "sentence": sentence}
        for key, sentence in CONSTRAINTS.items()
    ]
    rows += [
        {"constraint": key, "slots": slots, "sentence": "are out of use"} for key, slots in removed.items()
    ]
    left = view.slots - sum(row["slots"] for row in rows)
    t_ms = run.now_ms
    told: Told = {
        "kind": "slot", **words.at(t_ms), "facts": len(run.trace),
        "occasion": _occasion(known, row, len(run.trace)),
        "rule": {
            "name": name, "sentence": _sentence_of(rule.choose), "source": rule.source,
            "fallback": rule.fallback,
            "measure": None if measure is None else {"name": measure.name, "unit": measure.unit},
        },
        "box": words.box(box.box),
        "constraints": {"slots": view.slots, "removed": rows, "left": left},
        "best": [scores(*place) for place in places],
        "others": [other for _, other in others],
    }  # fmt: skip
    told["sentence"] = _slot_sentence(told, words.run.moment(t_ms))
    differing = [(place, other) for place, other in others if place != chosen and place[0] != NONE]
    return _Decision("slot", t_ms, _horizon(t_ms, run.end_ms), told, differing)


def _best_slots(
    rule: Rule, box: BoxView, view: "SlotView", index: "SlotIndex", stream: "Stream"
) -> list[int]:
    """The slots that a rule names one after another, those before out of use; all is then as before."""
    named: list[int] = []
    try:
        while len(named) < BEST and (slot := rule.choose(box, view, copy(stream))) != NONE:
            index.block(slot, True, _TRIAL)
            named.append(slot)
    finally:
        for slot in reversed(named):
            index.block(slot, False, _TRIAL)
    return named


def _column(run: Simulation, rule: Rule, box: BoxView, view: "SlotView", slot: int) -> int:
    """The tier column that a box would get in a slot, as `Ledger.allocate` settles it."""
    column = rule.column(box, view, slot) if rule.column is not None else NONE
    if column != NONE:
        return column
    return next(column for column, room in enumerate(run.ledger.column_room[slot]) if room > 0)


def _name_of(rule: Rule, run: Simulation) -> str:
    """The name of the rule that is asked: the one of the run, or of a person who names any slot."""
    own = run.scenario.policy.allocation
    if rule is run.warehouse.rule:
        return ALIASES.get(own, own)
    return next((name for name, each in POLICIES.items() if each is rule), own)


def _occasion(known: Known, row: Row, facts: int) -> str:
    """When a slot is named, from where its fact stands."""
    if row["seq"] == known.task["seq"] + 1:
        return "room" if known.waited else "put_away"
    if row is known.slots[0]:
        return "pickup"
    return "taken" if row["seq"] == facts else "aside"


def _slot_sentence(told: Told, when: str) -> str:
    rule, best, counts = told["rule"]["name"], told["best"][0], told["constraints"]
    gone = [_some(row["slots"], row["sentence"]) for row in counts["removed"] if row["slots"]]
    same = next(row["rules"] for row in told["others"] if row["is_chosen"])
    rules = sum(len(row["rules"]) for row in told["others"])
    left = _some(counts["left"], "are left") if gone or counts["slots"] == 1 else "all can take it"
    return (
        f"{rule} named {best['slot']} for box {told['box']['box']} {when}, {OCCASIONS[told['occasion']]}:"
        f" of {_count(counts['slots'], 'slot')} {'; '.join([*gone, left])}."
        f" {_agreeing(len(same) - 1, rules - 1)}"
    )


def _agreeing(same: int, others: int) -> str:
    """How many other rules would have chosen the same."""
    if not others:
        return ""
    who = "All" if same == others else "None" if not same else f"{same:,}"
    return f"{who} of the {others:,} other rules would have chosen the same."


# --- why this box ----------------------------------------------------------------------------------------

STATES_OF_BOXES: Final[dict[str, str]] = {
    "not_received": "are on a truck that is here",
    "missing": "are missing",
    "reserved": "are promised to orders",
    "overdue": "are past their verification",
    "held": "are on hold",
    "open": "are open with nothing left to promise",
    "whole": "are whole",
    "under_way": "are on their way",
    "other": "cannot be had",
}
"""What takes boxes from an order."""

_OPEN_FIRST: Final = "An open box with meters left is picked from before another one is opened."


def _box_decision(run: Simulation, known: Known, missing: int, opened: Sequence[int] = ()) -> _Decision:
    """The box that is taken for a line of an order now, and why; `opened`: boxes that are open already."""
    ledger, words, cause = run.ledger, _Words(run), known.cause
    sku, policy = known.line["sku"], run.scenario.policy
    t_ms, today = run.now_ms, run.start.toordinal() + run.now_ms // DAY_MS
    states = Counter(
        state for box in range(len(ledger.sku)) if ledger.sku[box] == sku and (state := _state(run, box))
    )

    def scores(box: int) -> Told:
        near = ledger.out_time_ms[ledger.place[box]] / 1000 if ledger.column[box] != NONE else 0.0
        return {
            **words.box(box), "age_days": today - ledger.verified_day[box], "port_s": near,
            "received_s": ledger.received_ms[box] / 1000,
            "blockers": ledger.blockers(box) if run.stock.stacked else 0,
        }  # fmt: skip

    rule, ready = RETRIEVAL[policy.retrieval], deepcopy(ledger.ready)
    view = BoxesView(ledger, ready, policy.tolerance_days)
    named: dict[int, list[str]] = {}
    best = list(opened[:BEST])
    if not opened:
        for name, other in RETRIEVAL.items():
            named.setdefault(other(sku, view), []).append(name)
        while len(best) < BEST and (box := rule(sku, view)) != NONE:
            best.append(box)
            ready.remove(box)
    others = [
        (box, {**scores(box), "rules": named[box], "is_chosen": box == cause["box"]})
        for box in sorted(named, key=lambda box: (box != cause["box"], ledger.verified_day[box], box))
    ]
    left = states["ready"]
    if opened:  # of the open boxes some have no meters left to promise
        states["whole"], left = left, len(opened)
        states["open"] -= left
    rows: list[Told] = [
        {"constraint": key, "boxes": states[key], "sentence": sentence}
        for key, sentence in STATES_OF_BOXES.items()
    ]
    told: Told = {
        "kind": "box", **words.at(t_ms), "facts": len(run.trace), "occasion": _occasion_of_box(known),
        "is_open": bool(opened),
        "order": {
            "order": cause["order"],
            "station": words.run.named("stations", known.order["station"], "station"),
            "released_s": known.order["time_ms"] / 1000, "due_s": known.order["due"] / 1000,
            "line": cause["line"] + 1, "sku": run.sku_names[sku], "meters": known.line["meters"],
            "missing": missing, "reserved": cause["meters"],
        },
        "rule": {
            "name": "open first" if opened else policy.retrieval,
            "sentence": _OPEN_FIRST if opened else _sentence_of(rule),
        },
        "box": words.box(cause["box"]),
        "constraints": {"boxes": sum(row["boxes"] for row in rows) + left, "removed": rows, "left": left},
        "best": [scores(box) for box in best],
        "others": [other for _, other in others],
    }  # fmt: skip
    told["sentence"] = _box_sentence(told, words.run.moment(t_ms))
    differing = [(box, other) for box, other in others if box != cause["box"]]
    return _Decision("box", t_ms, _horizon(t_ms, run.end_ms), told, differing)


def _open_boxes(run: Simulation, sku: int) -> list[int]:
    """The open boxes from which meters of a SKU can be had, in the order in which they are picked from."""
    house, ledger = run.warehouse, run.ledger
    boxes = [
        box
        for box in house._open_of.get(sku, ())
        if house._open_left[box] and ledger.state[box] == QUALIFIED and box not in house._unconfirmed
    ]
    return sorted(boxes, key=lambda box: (ledger.verified_day[box], box))


def _state(run: Simulation, box: int) -> str:
    """Whether a box may be had, or why not (STATES_OF_BOXES); empty for one that is not here on record."""
    house, ledger = run.warehouse, run.ledger
    state = ledger.state[box]
    if box in ledger.ready:
        return "ready"
    if box in house.missing:
        return "missing" if state != LOST else ""
    if state == IN_TRANSIT:
        return "not_received" if ledger.place[box] == run.layout.truck else ""
    if house.is_gone(box):
        return ""
    by_state = {RESERVED: "reserved", OVERDUE: "overdue"}
    if state != QUALIFIED:
        return by_state.get(state, "held")
    return "open" if house.is_open(box) else "under_way" if house.has_task(box) else "other"


def _occasion_of_box(known: Known) -> str:
    """When a box is chosen."""
    if known.lacks:
        return "lack"
    return "release" if known.order["time_ms"] == known.cause["time_ms"] else "stock"


def _box_sentence(told: Told, when: str) -> str:
    order, counts, box = told["order"], told["constraints"], told["box"]
    gone = [_some(row["boxes"], row["sentence"]) for row in counts["removed"] if row["boxes"]]
    left = f"{counts['left']:,} could be had" if gone or counts["boxes"] == 1 else "all could be had"
    first = (
        f"Box {box['box']} (verified {box['verified']}) was taken for order {order['order']} {when},"
        f" {OCCASIONS[told['occasion']]}: of {_count(counts['boxes'], 'box', 'boxes')} of {order['sku']}"
        f" {'; '.join([*gone, left])}."
    )
    if told["is_open"]:
        return f"{first} {_OPEN_FIRST}"
    same = next(row["rules"] for row in told["others"] if row["is_chosen"])
    rules = sum(len(row["rules"]) for row in told["others"])
    return f"{first} {_agreeing(len(same) - 1, rules - 1)}"


# --- why this robot --------------------------------------------------------------------------------------

ACTIVITY_WORDS: Final[dict[str, str]] = {
    "idle": "idle", "work": "at work", "dig": "digging", "wait_tour": "waiting to fill a tour",
    "wait_aisle": "waiting for an aisle", "wait_port": "waiting for a port",
    "wait_conflict": "waiting for another robot", "go_charge": "on its way to a charger",
    "charge": "charging", "wait_charger": "waiting for a charger", "park": "on its way to where it rests",
    "fault": "out of order",
}  # fmt: skip
"""What a robot does, in a sentence."""

_CLASS_WORDS: Final[dict[str, tuple[str, str]]] = {
    "issue": ("issue", "issues"), "put_away": ("put-away", "put-aways"),
    "loose_return": ("loose return", "loose returns"), "empties": ("load of empties", "loads of empties"),
    "count": ("count", "counts"),
}  # fmt: skip


def _work_told(run: Simulation, row: Row) -> Told:
    """What waits for robots now, what each robot does, and what each dispatch rule would begin with."""
    fleet, words = run.fleet, _Words(run)
    kinds = [kind for kind in range(len(TASK_CLASSES)) if fleet.waiting[kind] and fleet.drop_cancelled(kind)]
    waiting = []
    for kind in kinds:
        tasks = [task for task in fleet.waiting[kind] if not task.cancelled]
        waiting.append({
            "class": TASK_CLASSES[kind], "tasks": len(tasks), "oldest_task": tasks[0].number,
            "since_s": tasks[0].created / 1000, "waited_s": (run.now_ms - tasks[0].created) / 1000,
        })  # fmt: skip
    stretches = run.trace.table("robot_stretch")
    last = {int(robot): at for at, robot in enumerate(stretches["robot"].tolist())}
    robots = []
    for robot in fleet.robots:
        stretch = {name: int(column[last[robot.number]]) for name, column in stretches.items()}
        robots.append({
            "robot": words.run.carrier(robot.number), "is_chosen": robot.number == row["robot"],
            "activity": ACTIVITIES[stretch["activity"]], "since_s": stretch["time_ms"] / 1000,
            "place": words.run.place(robot.place), "to_place": words.run.place(stretch["to_place"]),
            "task": words.number(stretch["task"]), "boxes": len(robot.board),
        })  # fmt: skip
    firsts: dict[int, list[str]] = {}
    for name, rule in DISPATCH.items():
        firsts.setdefault(rule(fleet._view), []).append(name)
    chosen = next((kind for kind, names in firsts.items() if run.scenario.policy.dispatch in names), NONE)
    others = [
        {
            "class": TASK_CLASSES[kind],
            "task": next(task.number for task in fleet.waiting[kind] if not task.cancelled),
            "rules": names, "is_chosen": kind == chosen,
        }
        for kind, names in sorted(firsts.items(), key=lambda pair: (pair[0] != chosen, pair[0]))
    ]  # fmt: skip
    return {
        "kind": "robot", **words.at(run.now_ms), "facts": len(run.trace),
        "robot": words.run.carrier(row["robot"]), "waiting": waiting, "robots": robots, "others": others,
    }  # fmt: skip


def _robot_decision(
    run: Simulation, known: Known, row: Row, told: Told, plan: tuple[list["Task"], ...]
) -> _Decision:
    """A robot takes the task into a tour, and why."""
    words, rule = _Words(run), run.scenario.policy.dispatch
    first = next(each["class"] for each in told["others"] if each["is_chosen"])
    kinds = {TASK_CLASSES[task.kind] for tasks in plan for task in tasks}
    tour = row["tour"]
    tasks = [
        {
            "task": each["task"], "class": TASK_CLASSES[each["task_class"]],
            "box": None if each["box"] == NONE else words.run.box(each["box"]),
        }
        for each in known.tours[tour]
    ]  # fmt: skip
    told |= {
        "rule": {"name": rule, "sentence": _sentence_of(DISPATCH[rule])},
        "first": first, "was_first_possible": first in kinds,
        "tour": {"tour": tour, "tasks": tasks, "ended_s": words.seconds(known.tour_ends.get(tour, NONE))},
    }  # fmt: skip
    told["sentence"] = _robot_sentence(told, known, words.run.moment(run.now_ms))
    return _Decision("robot", run.now_ms, run.now_ms, told)


def _robot_sentence(told: Told, known: Known, when: str) -> str:
    own, _ = _CLASS_WORDS[TASK_CLASSES[known.task["task_class"]]]
    first, _ = _CLASS_WORDS[told["first"]]
    mine = next(each for each in told["robots"] if each["is_chosen"])
    waited = [
        f"{_count(each['tasks'], *_CLASS_WORDS[each['class']])}"
        f" ({_waited(each['waited_s'], several=each['tasks'] > 1)})"
        for each in told["waiting"]
    ]
    why = "nothing else waited" if len(waited) == 1 else f"{told['rule']['name']} put {first} first"
    if not told["was_first_possible"]:
        why += ", of which none could be begun"
    elif own != first:
        why += f", and the {own} went along"
    before = (
        "had just become free"
        if mine["activity"] in ("work", "dig")
        else f"was {ACTIVITY_WORDS[mine['activity']]}"
    )
    return (
        f"{told['robot']} {before} at {mine['place']} and took it into tour {told['tour']['tour']} {when}:"
        f" {_all_of(waited)} waited; {why}."
    )


# --- what another choice would have changed --------------------------------------------------------------


class Figure(NamedTuple):
    """What is compared: its function of the facts from a decision on, and words for more and for less."""

    value: Callable[[RunFacts], float | None]
    unit: str
    more: str
    less: str


_DRIVING: Final = (WORKING, DIGGING, GO_CHARGE, PARK)


def robot_travel_s(run: RunFacts) -> float:
    """Time in which robots drive or lift, also to chargers and to where they rest; of all robots together."""
    stretch = run.table("robot_stretch")
    order = np.lexsort((stretch["seq"], stretch["robot"]))
    robot, start, arrive, activity = (
        stretch[name][order] for name in ("robot", "time_ms", "arrive", "activity")
    )
    end = np.append(start[1:], run.end_ms)
    end[is_last(robot)] = run.end_ms
    drives = np.isin(activity, _DRIVING)
    return int(run.cut(start[drives], np.minimum(arrive, end)[drives]).sum()) / 1000


def _late_orders(run: RunFacts) -> float:
    return int((run.finished_orders["late"] > 0).sum())


FIGURES: Final[dict[str, Figure]] = {
    "robot_travel_s": Figure(robot_travel_s, "s", "cost {} of robot travel", "saved {} of robot travel"),
    "order_cycle_time_s": Figure(
        lambda run: order_cycle_time_s(run)["value"], "s",
        "orders take {} longer on average", "orders take {} less on average",
    ),
    "put_away_time_s": Figure(
        lambda run: put_away_time_s(run)["value"], "s",
        "put-aways take {} longer on average", "put-aways take {} less on average",
    ),
    "orders": Figure(
        lambda run: orders(run)["value"], "orders", "{} more handed over", "{} fewer handed over"
    ),
    "late_orders": Figure(_late_orders, "orders", "{} more late", "{} fewer late"),
    "box_moves": Figure(lambda run: box_moves(run)["value"], "box moves", "{} more", "{} fewer"),
    "digs": Figure(lambda run: digs(run)["value"], "digs", "{} more", "{} fewer"),
}  # fmt: skip
"""What is compared between a run and the same with another choice; times of orders and boxes are means."""


def _horizon(t_ms: int, end_ms: int) -> int:
    """How far choices of an instant are played: to the end of its day, or of the next if little is left."""
    midnight = (t_ms // DAY_MS + 1) * DAY_MS
    return min(end_ms, midnight if midnight - t_ms >= SHORT_DAY_MS else midnight + DAY_MS)


def _outcome(run: Simulation, decision: _Decision) -> Told:
    """What is compared, from a decision on, and which commands were applied."""
    facts = RunFacts(run.trace, run.scenario, run.layout, run.calendar, decision.t_ms, decision.until_ms)
    return {
        "figures": {name: figure.value(facts) for name, figure in FIGURES.items()},
        "applied": {str(given.sequence): given.applied for given in run.commands},
    }


def _consequences(decision: _Decision, run: Simulation, until_ms: int) -> Told:
    """What each other choice would have changed by the end of the day."""
    words = _Words(run)
    key = decision.kind
    chosen = decision.told["best"][0] if key == "slot" else decision.told["box"]
    own = decision.outcome.get("figures", {})
    by = _by(decision, run.end_ms)
    branches = []
    for branch in decision.branches:
        outcome = branch.pop("outcome")
        names = _names(branch, chosen, key)
        told: Told = {
            **{name: branch[name] for name in (key, "column", "rules") if name in branch},
            "figures": None, "differences": None, "error": outcome.get("error"), "commands": [],
        }  # fmt: skip
        if told["error"] is not None:
            told["sentence"] = f"{names} could not be played: {told['error']}."
        else:
            others = outcome["figures"]
            told["figures"] = others
            told["differences"] = {
                name: None if other is None or own[name] is None else other - own[name]
                for name, other in others.items()
            }
            applied = decision.outcome["applied"]
            told["commands"] = [int(n) for n, was in outcome["applied"].items() if applied.get(n) != was]
            told["sentence"] = _change_sentence(names, by, told)
        branches.append(told)
    left = len(decision.others) - len(branches)
    if decision.until_ms <= decision.t_ms:
        sentence = "The run ends with this decision."
    elif not decision.others:
        sentence = "No other rule would have chosen otherwise: nothing was played."
    else:
        sentence = f"{_count(len(branches), 'other choice')} played on {by.replace('by ', 'to ', 1)}."
        if left:
            sentence += f" {left:,} more were not."
    return {
        "from_s": decision.t_ms / 1000, **words.at(decision.until_ms, "until_s", "until_time"),
        "is_beyond_run": decision.until_ms > until_ms, "run": own or None, "branches": branches,
        "sentence": sentence,
    }  # fmt: skip


def _by(decision: _Decision, end_ms: int) -> str:
    """Until when choices are compared, in words."""
    if decision.until_ms == end_ms:
        return "by the end of the run"
    days = decision.until_ms // DAY_MS - decision.t_ms // DAY_MS
    return "by midnight" if days == 1 else "by the midnight of the next day"


def _names(branch: Mapping[str, Any], chosen: Mapping[str, Any], key: str) -> str:
    """Another choice and the one that was made, in words."""
    if key == "box":
        return f"Box {branch['box']} instead of {chosen['box']}"
    if branch["slot"] == chosen["slot"]:
        return f"Stack {branch['column']} of {branch['slot']} instead of stack {chosen['column']}"
    return f"{branch['slot']} instead of {chosen['slot']}"


def _change_sentence(names: str, by: str, told: Told) -> str:
    """One sentence on what a choice would have changed: travel first, then what else does."""
    phrases = {}
    for name, difference in told["differences"].items():
        figure = FIGURES[name]
        if difference is not None and abs(difference) >= (0.0005 if figure.unit == "s" else 0.5):
            amount = _span(abs(difference)) if figure.unit == "s" else _of(abs(difference), figure.unit)
            phrases[name] = (figure.more if difference > 0 else figure.less).format(amount)
    travel = phrases.pop("robot_travel_s", None)
    if told["commands"]:
        phrases["commands"] = f"{_count(len(told['commands']), 'command ends', 'commands end')} otherwise"
    rest = _all_of(list(phrases.values()))
    if travel is None and not rest:
        return f"{names} would have changed nothing {by}."
    if travel is None:
        return f"{names} would have cost no travel {by}, but {rest}."
    return f"{names} would have {travel} {by}; {rest or 'nothing else changes'}."


# --- words -----------------------------------------------------------------------------------------------


class _Words:
    """The words of a run for numbers and times."""

    def __init__(self, run: Simulation) -> None:
        self.run = Run.of(run)
        self._simulation = run
        self._start = datetime.combine(run.start, time())

    def at(self, t_ms: int, seconds: str = "t_s", clock: str = "time") -> Told:
        """An instant in seconds and as a date."""
        moment = self._start + timedelta(milliseconds=t_ms)
        return {seconds: t_ms / 1000, clock: moment.isoformat(timespec="milliseconds")}

    def slot(self, slot: int, column: int) -> Told:
        """A place in the racks, its tier column from 1."""
        if slot == NONE:
            return {"slot": None, "column": None}
        return {"slot": self.run.place(slot), "column": column + 1}

    def box(self, box: int) -> Told:
        """A box, as recorded now."""
        ledger, layout = self._simulation.ledger, self._simulation.layout
        meters = ledger.mask[box].bit_count()
        return {
            "box": self.run.box(box), "sku": self._simulation.sku_names[ledger.sku[box]],
            "lot": self.run.lot(ledger.lot[box]),
            "verified": date.fromordinal(ledger.verified_day[box]).isoformat(), "meters": meters,
            "weight_kg": ledger.weight_g(ledger.sku[box], meters) / 1000,
            "place": layout.place_name(ledger.place[box]),
        }  # fmt: skip

    def number(self, number: int) -> int | None:
        """A number, None where there is none."""
        return None if number == NONE else number

    def seconds(self, t_ms: int) -> float | None:
        """An instant in seconds, None where there is none."""
        return None if t_ms == NONE else t_ms / 1000


_VERBS: Final = {
    ISSUE: "brings box {box} out{order}", PUT_AWAY: "puts box {box} away in {to}",
    LOOSE_RETURN: "brings open box {box} back to {to}", COUNT: "calls at {to} to count it",
}  # fmt: skip


def _task_told(known: Known, words: _Words, *, is_given: bool) -> Told:
    """A task: what it moves from where to where, and when."""
    task, run = known.task, words.run
    robot = known.assigned[-1]["robot"] if known.assigned and known.status != "waiting" else NONE
    target = known.slots[-1]["slot"] if known.slots else task["to_place"]
    box = None if task["box"] == NONE else run.box(task["box"])
    to = None if target == NONE else run.place(target)
    order = f" for order {task['order']}" if task["order"] != NONE else ""
    sentence = f"Task {known.number} " + _VERBS.get(task["task_class"], "moves box {box}").format(
        box=box, to=to or "a slot", order=order
    )
    sentence += f": created {run.moment(task['time_ms'])}"
    taken = known.assigned[-1]["time_ms"] if robot != NONE else NONE
    if robot != NONE:
        sentence += f", taken by {run.carrier(robot)} at {run.when(taken, task['time_ms'])}"
    if known.ended:
        sentence += f", {known.status} at {run.when(known.ended['time_ms'], task['time_ms'])}"
    sentence += "; a command gave it a slot, and no rule was asked" * is_given
    return {
        "task": known.number, "class": TASK_CLASSES[task["task_class"]], "status": known.status, "box": box,
        "order": words.number(task["order"]), "robot": None if robot == NONE else run.carrier(robot),
        "from_place": run.place(task["from_place"]), "to_place": to, "created_s": task["time_ms"] / 1000,
        "assigned_s": words.seconds(taken), "ended_s": words.seconds(known.ended.get("time_ms", NONE)),
        "tours": list(known.tours), "times_taken": len(known.assigned), "sentence": f"{sentence}.",
    }  # fmt: skip


def _sentence_of(function: object) -> str:
    """The first line of a rule's docstring."""
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    return lines[0] if lines else ""


def _span(seconds: float) -> str:
    if seconds < 0.095:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _waited(seconds: float, *, several: bool) -> str:
    return "new" if seconds == 0 else f"{'up to ' * several}{_span(seconds)}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _some(number: int, what: str) -> str:
    """So many and what they are or do: 1 is full, 2 are full."""
    verb, _, rest = what.partition(" ")
    one = {"are": "is", "do": "does"}.get(verb, verb)
    return f"{number:,} {one if number == 1 else verb} {rest}"


def _of(number: float, many: str) -> str:
    return f"{number:,.0f} {many.removesuffix('s') if number == 1 else many}"


def _all_of(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
