"""The reader: a process that answers what is asked of the facts of runs, so that no answer slows another.

It follows the logs of runs that go on and reads the folders of those that are over, keeps a few of them at
hand, and gives answers as JSON text, which the server passes on as it is. It also looks at scenarios and
commands before they are taken in: what is wrong with them is said in words, and what would be too much for
this machine ends with this process and not with the server.
"""

import contextlib
import json
import os
import resource
import signal
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from api import cursors
from api.channel import Channel
from api.factslog import read_frames
from api.logs import where_of

if TYPE_CHECKING:
    from api.views import Instant, Kept
    from sim.calendar import WorkCalendar
    from sim.layout import Layout
    from sim.scenario import Scenario
    from sim.series import Window

AT_HAND: Final = 8
"""So many runs are kept open."""

SCENARIOS_AT_HAND: Final = 8
"""So many states of a run's scenario are kept, when commands change it."""

MOST_FACTS_AT_HAND: Final = 8_000_000
"""Facts of all runs that are kept open; the newest one is, however large."""

MOST_ADDRESS_BYTES: Final = 12 * 2**30


class Unanswered(Exception):  # noqa: N818 - the server makes a problem document of it
    """A question that has no answer: a status, what kind of problem, words, the mistakes if there are any."""

    def __init__(
        self, status: int, kind: str, detail: str, errors: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = errors or []


def main(end: socket.socket) -> None:
    """The life of a reader process: a question, an answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_BYTES, MOST_ADDRESS_BYTES))
    channel = Channel(end)
    reader = Reader()
    try:
        while True:
            question = channel.receive()
            assert question is not None
            head, body = reader.answer(question.head)
            channel.send({"id": question.head["id"], **head}, body)
    except EOFError:
        os._exit(0)


class Reader:
    """What can be asked, and the runs at hand."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, int], OpenRun] = OrderedDict()

    def answer(self, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer to a question as a head and JSON text; what went wrong is an answer, too."""
        from sim.trace import FactsError

        try:
            return _QUESTIONS[question["op"]](self, question)
        except Unanswered as problem:
            return {
                "status": problem.status, "kind": problem.kind, "detail": problem.detail,
                "errors": problem.errors,
            }, b""  # fmt: skip
        except FactsError as error:
            return {"status": 500, "kind": "facts-damaged", "detail": str(error), "errors": []}, b""
        except MemoryError:
            self._runs.clear()
            detail = "the answer does not fit into the memory of this server"
            return {"status": 507, "kind": "too-large", "detail": detail, "errors": []}, b""
        except Exception as error:  # noqa: BLE001 - a bug: the server logs it, and this process goes on
            words = f"{type(error).__name__}: {error}"
            return {
                "status": 500, "kind": "internal", "detail": "the server has failed; its log says why",
                "errors": [], "reason": words[:500], "where": where_of(error),
            }, b""  # fmt: skip

    # -- runs

    def open(self, question: Mapping[str, Any]) -> "OpenRun":
        """The run that a question is about, with all the facts that it may know."""
        about = question["about"]
        key = (about["run"], about["incarnation"])
        run = self._runs.get(key)
        if run is None or run.is_over != about["over"]:
            for other in [other for other in self._runs if other[0] == about["run"]]:
                del self._runs[other]
            run = self._runs[key] = OpenRun(about)
        self._runs.move_to_end(key)
        run.follow(about)
        while len(self._runs) > 1 and (
            len(self._runs) > AT_HAND or sum(len(r.trace) for r in self._runs.values()) > MOST_FACTS_AT_HAND
        ):
            self._runs.popitem(last=False)
        return run


class OpenRun:
    """A run at hand: its facts so far, and what its numbers mean."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        from sim.following import Followed
        from sim.trace import Trace

        self.id: str = about["run"]
        self.is_over: bool = about["over"]
        self.names: dict[str, Any] = about["names"]
        self._resolved = about["resolved"]
        self._changes: list[dict[str, Any]] = []
        self._scenarios: dict[int, Scenario] = {}
        self._log = Path(about["log"])
        self._read = 0
        self._folder = Path(about["result"])
        self.trace: Followed
        if self.is_over and (self._folder / "facts" / "manifest.json").exists():
            from sim.trace import read_facts

            self.trace = Followed(read_facts(self._folder / "facts"))
            self.names = self.trace.names
            self._read = -1
        else:
            self.trace = Followed(Trace(self.layout.meters_per_box, names=self.names))
        self._made: OrderedDict[tuple[int, int, str, int], Instant] = OrderedDict()

    def follow(self, about: Mapping[str, Any]) -> None:
        """Know what the run was told, and read on in the log, up to the byte that is named."""
        self._changes = about["changes"]
        if self._read < 0:
            return
        end = None if self.is_over else int(about["log_bytes"])
        if end is not None and end <= self._read:
            return
        try:
            for frame in read_frames(self._log, self._read, end):
                self.trace.extend(frame.kinds, frame.data)
                self._read = frame.end
        except FileNotFoundError:
            if not self.is_over:
                raise
        if self.is_over:
            self._read = -1

    def changes(self, t_ms: int) -> int:
        """How many commands had changed the scenario at an instant."""
        return sum(each["t_ms"] <= t_ms for each in self._changes)

    def scenario(self, t_ms: int | None = None) -> "Scenario":
        """The scenario as it was at an instant, after what commands had changed; as it is now for None."""
        count = len(self._changes) if t_ms is None else self.changes(t_ms)
        found = self._scenarios.get(count)
        if found is None:
            from sim.commands import scenario_after
            from sim.scenario import from_dict
            from sim.simulation import Given

            changes = [Given(0, 0, each["type"], each["args"], True, "") for each in self._changes[:count]]
            found = self._scenarios[count] = scenario_after(from_dict(self._resolved), changes)
            while len(self._scenarios) > SCENARIOS_AT_HAND:
                del self._scenarios[next(iter(self._scenarios))]
        return found

    @cached_property
    def layout(self) -> "Layout":
        """The places of the store."""
        from sim.scenario import build_layout

        return build_layout(self.scenario())

    @cached_property
    def kept(self) -> "Kept":
        """What the views keep of the run from one instant to the next."""
        from api.views import Kept

        return Kept()

    def window(self, t_ms: int, facts: int) -> "Window":
        """What the series are made from, at an instant."""
        from sim.series import Window

        return Window(self.trace.until(facts), self.scenario(t_ms), self.layout, self.calendar, t_ms)

    @cached_property
    def calendar(self) -> "WorkCalendar":
        """The shifts."""
        from sim.calendar import WorkCalendar

        scenario = self.scenario()
        return WorkCalendar(scenario.calendar, scenario.time.start)

    def instant(self, t_ms: int, facts: int | None, side: str) -> "Instant":
        """The run when it had so many facts (None: all up to and including `t_ms`).

        Raises FactsError when they are not all there.
        """
        from api.views import Instant

        if facts is not None and facts > len(self.trace):
            from sim.trace import FactsError

            found = f"found {len(self.trace):,}"
            raise FactsError(f"run {self.id}: expected {facts:,} facts on the disk, {found}")
        if facts is None:
            facts = self.trace.count_until(t_ms)
        scenario = self.scenario(t_ms)
        key = (t_ms, facts, side, id(scenario))
        instant = self._made.get(key)
        if instant is None:
            trace = self.trace if facts == len(self.trace) and self._read < 0 else self.trace.until(facts)
            instant = Instant(
                self.id, trace, scenario, self.layout, self.names, t_ms,
                side="truth" if side == "truth" else "records", keep=self.kept,
            )  # fmt: skip
            self._made[key] = instant
            if len(self._made) > 4:
                self._made.popitem(last=False)
        return instant


# --- questions -------------------------------------------------------------------------------------------


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _view(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A view of a run at an instant."""
    from api.views import VIEWS, NotFound

    run = reader.open(question)
    instant = run.instant(question["t_ms"], question["facts"], question["side"])
    try:
        document = VIEWS[question["view"]](instant, question["query"])
    except NotFound as error:
        raise Unanswered(404, "not-found", str(error)) from None
    after = document.get("next")
    if after is not None:
        document["next"] = cursors.encoded(
            {**question["cursor"], "f": instant.facts, "t": instant.t_ms, "a": after}
        )
    about = {"facts": instant.facts, "t_ms": instant.t_ms, "changes": run.changes(instant.t_ms)}
    return {"status": 200, **about}, _encoded(document)


def _describe(_: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What the server needs to know of a run before it begins."""
    from sim.scenario import from_dict

    return {"status": 200, **describe(from_dict(question["resolved"]))}, b""


def describe(scenario: "Scenario") -> dict[str, Any]:
    """The fixed things of a store: its slots, robots, SKUs, places."""
    from sim.control import zone_names
    from sim.scenario import build_layout

    layout = build_layout(scenario)
    zones = zone_names(layout, scenario)
    return {
        "slots": layout.slots,
        "robots": scenario.robots.count,
        "places": list(layout.names),
        "capacity": list(layout.capacity),
        "grid": [
            [int(layout.row[k]), int(layout.column[k]), int(layout.level[k])] for k in range(layout.slots)
        ],
        "zones": zones,
        "skus": [sku.name for sku in scenario.skus],
        "start": scenario.time.start.isoformat(),
        "end_ms": scenario.time.days * 86_400_000,
        "meters_per_box": layout.meters_per_box,
    }


def _scenario(_: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A scenario that somebody wants to run: resolved, or every mistake in it."""
    from sim.scenario import compose, resolved, scenario_id

    scenario, faults = compose(
        question["base"], question["values"], question["sets"], most_places=question["most_places"]
    )
    if scenario is None:
        errors = [{"path": list(fault.path), "detail": fault.message} for fault in faults]
        raise Unanswered(409, "does-not-fit", "the scenario cannot be used", errors)
    about = {"name": scenario.name, "question": scenario.question, "seed": scenario.seed}
    return {
        "status": 200, "resolved": resolved(scenario), "scenario_id": scenario_id(scenario), **about,
        **describe(scenario),
    }, b""  # fmt: skip


def _command(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A command that somebody wants to give: right in itself, or every mistake in it."""
    from sim.commands import CommandError, examine

    run = reader.open(question)
    try:
        examine(question["type"], question["args"], run.scenario(), run.layout)
    except CommandError as error:
        errors = [{"path": list(path), "detail": text} for path, text in error.faults]
        raise Unanswered(409, "does-not-fit", "the command can never be carried out", errors) from None
    return {"status": 200}, b""


def _figures(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The figures that a page shows beside the racks, and what limits the store now."""
    from sim.series import figures, limits_now

    window = reader.open(question).window(question["t_ms"], question["facts"])
    return {"status": 200}, _encoded({**figures(window), "limits": limits_now(window)})


def _series(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """One series over a stretch of the past."""
    from sim.series import sample

    run = reader.open(question)
    stamp = _stamp(run, question["t_ms"], question["facts"])
    window = run.window(question["t_ms"], question["facts"])
    to_ms = question["t_ms"] if question["to_ms"] is None else min(question["to_ms"], question["t_ms"])
    return {"status": 200}, _encoded(
        {"run": stamp["run"], "now_s": stamp["t_s"], "time": stamp["time"], "facts": stamp["facts"]}
        | {"view": "records"}
        | sample(window, question["name"], question["from_ms"], to_ms, question["points"])
    )


def _charts(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Several series at once."""
    from sim.series import sample

    window = reader.open(question).window(question["t_ms"], question["facts"])
    return {"status": 200}, _encoded({
        name: sample(window, name, question["from_ms"], question["t_ms"], question["points"])
        for name in question["names"]
    })  # fmt: skip


def _accuracy(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """How much of the records is right now: of slots, of boxes in the store, of the meters in them."""
    import numpy as np

    from sim.history import state_at

    run = reader.open(question)
    state = state_at(run.trace.until(question["facts"]), run.layout)
    away = (run.layout.truck, run.layout.outside, run.layout.handed_over)
    here = ~np.isin(state.place, away) | ~np.isin(state.recorded_place, away)
    same = (state.place == state.recorded_place) & (state.column == state.recorded_column)
    same &= state.tier == state.recorded_tier
    wrong = np.concatenate([state.place[here & ~same], state.recorded_place[here & ~same]])
    slots = np.unique(wrong[(wrong >= 0) & (wrong < run.layout.slots)]).size
    boxes = int(here.sum())
    right = int((here & same & (state.mask == state.recorded_mask)).sum())
    meters = int(np.bitwise_count(state.mask[here] | state.recorded_mask[here]).sum())
    off = int(np.bitwise_count(state.mask[here] ^ state.recorded_mask[here]).sum())
    accuracy = {
        "slots": 1 - slots / run.layout.slots,
        "boxes": right / boxes if boxes else 1.0,
        "meters": 1 - off / meters if meters else 1.0,
    }
    return {"status": 200, "accuracy": accuracy}, b""


def _why(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Why a task is as it is; only in a process of its own, which forks and leads a group."""
    from api.worker import loaded_from
    from sim.commands import Entry
    from sim.scenario import from_dict
    from sim.why import WhyError, explain

    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (2 * question["time_s"], 2 * question["time_s"]))
    run, t_ms = reader.open(question), question["t_ms"]
    trace = run.trace if run.is_over else run.trace.until(question["facts"])
    loaded = loaded_from(from_dict(question["about"]["resolved"]), question["inputs"])
    log = [Entry(*each) for each in question["commands"] if each[0] <= t_ms]
    tasks = trace.table("task_created")["task"]
    if question["task"] not in tasks:
        raise Unanswered(404, "not-found", f"no task {question['task']!r}; {tasks.size:,} so far")
    try:
        told = explain(
            loaded, question["seed"], log, question["task"], consequences=question["consequences"],
            until_ms=t_ms, trace=trace,
        )  # fmt: skip
    except WhyError as error:
        raise Unanswered(409, "conflict", "; ".join(error.lines)) from None
    return {"status": 200}, _encoded({**_stamp(run, t_ms, len(trace)), "view": "records", **told})


def _report(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The report of a run that is over, as HTML; by the records without what only the truth can tell."""
    from api.views import KPIS_OF_TRUTH, facts_of
    from sim.report import render
    from sim.results import ResultError, read_result

    run = reader.open(question)
    try:
        result = read_result(Path(question["about"]["result"]))
    except ResultError:
        raise Unanswered(404, "not-found", f"run {run.id} has left no result to report on") from None
    facts = facts_of(run.instant(question["t_ms"], question["facts"], question["side"]))
    hidden = () if question["side"] == "truth" else KPIS_OF_TRUTH
    return {"status": 200}, render(result, facts, without=hidden).encode()


def _values(reader: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The scenario of a run: as it began, and as it is now."""
    from sim.scenario import resolved

    run = reader.open(question)
    changes = [
        {"t_s": each["t_ms"] / 1000, "type": each["type"], "args": each["args"]}
        for each in question["about"]["changes"]
    ]
    return {"status": 200}, _encoded({
        **_stamp(run, question["t_ms"], question["facts"]),
        "begun_with": question["about"]["resolved"], "now": resolved(run.scenario()), "changes": changes,
    })  # fmt: skip


def _stamp(run: OpenRun, t_ms: int, facts: int) -> dict[str, Any]:
    """The instant that an answer is of."""
    start = datetime.combine(run.scenario().time.start, time())
    local = (start + timedelta(milliseconds=t_ms)).isoformat(timespec="milliseconds")
    return {"run": run.id, "t_s": t_ms / 1000, "time": local, "facts": facts}


# --- what can be chosen ----------------------------------------------------------------------------------


def _catalogue(_: Reader, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Scenarios, policies, KPIs, commands: what there is, with a sentence each."""
    part = question["part"]
    if part == "scenario":
        return {"status": 200}, _encoded(_scenario_told(question["name"]))
    return {"status": 200}, _listed(part)


@cache
def _listed(part: str) -> bytes:
    from api.questions import questions
    from sim.allocation import LIVE_POLICIES
    from sim.cli import LISTS
    from sim.scenario import scenario_schema

    if part == "schema":
        return _encoded(scenario_schema())
    if part == "questions":
        return _encoded({"questions": questions()})
    if part == "policies":
        parts = ("policies", "retrieval", "dispatch", "dwell", "plans", "count-methods")
        names = ("allocation", *(name.replace("-", "_") for name in parts[1:]))
        lists = {name: LISTS[key][1]() for name, key in zip(names, parts, strict=True)}
        for rule in lists["allocation"]:
            rule["is_live"] = rule["name"] in LIVE_POLICIES
        return _encoded(lists)
    return _encoded({part: LISTS[part][1]()})


def _scenario_told(name: str) -> dict[str, Any]:
    from sim.scenario import load, resolved, scenario_files, scenario_id
    from sim.words import near

    known = scenario_files()
    if name not in known:
        raise Unanswered(404, "not-found", f"no scenario {name!r}{near(name, known)}")
    loaded = load(name)
    return {
        "name": loaded.scenario.name,
        "question": loaded.scenario.question,
        "id": scenario_id(loaded.scenario),
        "values": resolved(loaded.scenario),
        "origins": {
            path: Path(origin).name for path, origin in loaded.origins.items() if origin != "default"
        },
    }


_QUESTIONS: Final[dict[str, Callable[[Reader, Mapping[str, Any]], tuple[dict[str, Any], bytes]]]] = {
    "view": _view,
    "describe": _describe,
    "scenario": _scenario,
    "command": _command,
    "figures": _figures,
    "series": _series,
    "charts": _charts,
    "accuracy": _accuracy,
    "why": _why,
    "report": _report,
    "values": _values,
    "catalogue": _catalogue,
}
