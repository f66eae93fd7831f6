"""What the server tells of runs, commands and itself: the models of these answers, and how they are made.

What is told of the state of a run stands in `answers`.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

if TYPE_CHECKING:
    from api.registry import CommandRow
    from api.runs import Run, Runs, Static

RunId = Annotated[str, Field(pattern=r"^r[1-9][0-9]{0,17}$")]
Speed = Annotated[
    float | Literal["max"],
    # Client generators know what to do with a value that is among some, not with one that is constant.
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "enum": ["max"]}]}),
]
RunState = Literal["queued", "running", "paused", "finished", "stopped", "failed", "interrupted"]
CommandState = Literal["accepted", "applied", "rejected", "expired"]


class Told(BaseModel):
    """An answer; more keys may come with later versions."""

    model_config = ConfigDict(extra="allow")


class ProblemError(Told):
    """One mistake of a request."""

    pointer: str = Field(description="where it is, a JSON pointer into what was sent")
    detail: str


class ProblemTold(Told):
    """A problem document, RFC 9457."""

    type: str = Field(description="what kind of problem: a path below /problems/")
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[ProblemError] = []


class ScenarioOfRun(Told):
    """Which scenario a run is of."""

    name: str
    id: str = Field(description="SHA-256 of all its values")


class Parent(Told):
    """Where a branch left its parent."""

    run: str
    at_s: float


class RunTold(Told):
    """A run."""

    id: RunId
    name: str
    mode: Literal["batch", "live"]
    state: RunState
    scenario: ScenarioOfRun
    seed: int
    speed: Speed = Field(description="wanted pace, simulated seconds a second")
    reached_speed: float | None = Field(description="the pace of late; null while it does not run")
    t_s: float = Field(description="simulated seconds so far")
    time: str | None = Field(description="the same as local time")
    end_s: float
    progress: float = Field(ge=0, le=1)
    facts: int = Field(description="facts recorded so far: the version of its state")
    ready: bool = Field(description="whether its state can be asked for: not while it is rebuilt")
    model_version: str
    digest: str | None = Field(description="SHA-256 over its facts, once it is over")
    demand_digest: str | None
    limits: str | None = Field(description="what limits the store, in a sentence, once it is over")
    error: str | None = Field(description="why it failed, or stands")
    parent: Parent | None
    keep: bool
    current: bool = Field(description="whether `current` means it")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    created_by: str
    size_bytes: int
    time_limit_s: float | None
    memory_limit_mb: int | None
    links: dict[str, str]


class RunsTold(Told):
    """Runs, the newest first."""

    runs: list[RunTold]
    next: str | None = Field(description="cursor of the next page")


class TaskOfWhy(Told):
    """A task, in a sentence and in figures."""

    task: int
    sentence: str


class RuleOfWhy(Told):
    """The rule that decided."""

    name: str
    sentence: str


class ConstraintOfWhy(Told):
    """What took slots or boxes out of the choice."""

    constraint: str
    sentence: str
    slots: int | None = None
    boxes: int | None = None


class ConstraintsOfWhy(Told):
    """From how many was chosen."""

    removed: list[ConstraintOfWhy]
    left: int


class ConsequencesOfWhy(Told):
    """What other choices would have changed by the end of the day."""

    until_s: float
    sentence: str
    run: dict[str, float | None] = Field(description="the figures of the run itself")
    branches: list[dict[str, Any]]


class DecisionOfWhy(Told):
    """A decision: why this slot, this box, this robot."""

    kind: Literal["slot", "box", "robot"]
    t_s: float
    time: str
    facts: int = Field(description="facts that the run had recorded when it was made")
    sentence: str
    rule: RuleOfWhy | None = None
    constraints: ConstraintsOfWhy | None = None
    best: list[dict[str, Any]] = Field([], description="the best five that were left")
    others: list[dict[str, Any]] = Field([], description="what every other rule would have chosen")
    consequences: ConsequencesOfWhy | None = None


class VerifiedOfWhy(Told):
    """Whether what was played again are the facts of the run."""

    is_checked: bool
    facts: int
    sentence: str


class WhyTold(Told):
    """Why a task is as it is."""

    run: str
    t_s: float
    time: str
    facts: int
    view: Literal["records"]
    task: TaskOfWhy
    decisions: list[DecisionOfWhy]
    verified: VerifiedOfWhy


class FactsOfCommand(Told):
    """Which facts a command caused at once."""

    first: int
    count: int


class CommandTold(Told):
    """A command: accepted (in the log of its run), then applied, rejected with a reason, or expired."""

    id: str
    run: str
    sequence: int
    type: str
    args: dict[str, Any]
    external_id: str | None
    state: CommandState
    reason: str | None
    apply_at_s: float | None
    expires_at_s: float | None
    if_version: int | None
    t_s: float | None = Field(description="the instant at which it takes effect")
    time: str | None
    facts: FactsOfCommand | None = Field(
        description="numbered as in the events of the truth (view=truth); those on record have other numbers"
    )
    made: dict[str, int] | None = Field(
        description="numbers of what it has made: order, truck, count, task; null for nothing"
    )
    inherited: bool = Field(description="whether it came with a branch from the parent's log")
    accepted_at: datetime
    settled_at: datetime | None
    created_by: str
    links: dict[str, str]


class CommandsTold(Told):
    """The command log of a run."""

    run: str
    commands: list[CommandTold]
    next: str | None


class ProposedSlot(Told):
    """Which slot a box would get; null where there is none left."""

    slot: str | None
    column: int | None = Field(description="tier column of the slot, from 1")
    port_time_s: float | None = Field(description="time from the inbound port to the slot")


class AllocateTold(Told):
    """Which slots boxes would get; nothing was done."""

    run: str
    t_s: float
    time: str
    facts: int
    view: Literal["records"]
    policy: str
    slots: list[ProposedSlot]


class SeriesTold(Told):
    """A series in buckets, or (`step_s` null) as the steps that it is; each value holds from its time on."""

    run: str
    now_s: float
    time: str
    facts: int
    view: Literal["records"]
    name: str
    unit: str
    from_s: float
    to_s: float
    step_s: float | None
    t_s: list[float] = Field(default=[], description="when each bucket begins")
    min: list[float | None] = []
    max: list[float | None] = []
    last: list[float | None] = []
    states: list[str] = Field(default=[], description="of robot_states: what a robot can be about")
    robots: list[dict[str, Any]] = Field(default=[], description="of robot_states: the states of each robot")


class ChangeOfScenario(Told):
    """A command that changed values, when it was carried out."""

    t_s: float
    type: Literal["set", "change_policy"]
    args: dict[str, Any]


class ValuesTold(Told):
    """Every value of a run's scenario, as `GET /scenarios/{name}` has them."""

    run: str
    t_s: float
    time: str
    facts: int
    begun_with: dict[str, Any]
    now: dict[str, Any] = Field(description="the same after what commands have changed")
    changes: list[ChangeOfScenario]


class Choice(Told):
    """Something that can be chosen."""

    name: str
    sentence: str


class ScenariosTold(Told):
    """The scenarios that ship."""

    scenarios: list[Choice]


class ScenarioTold(Told):
    """A scenario with all its values."""

    name: str
    question: str
    id: str
    values: dict[str, Any]
    origins: dict[str, str] = Field(description="for each value that a file sets, the file")


class QuestionTold(Told):
    """A question, and what came of it."""

    name: str
    number: int = Field(description="which of the twenty")
    question: str
    base: str = Field(description="the scenario that it is asked of")
    command: str = Field(description="what answers it again")
    answer: str | None = Field(description="the answer in a sentence, where it is kept")
    decided: bool | None = Field(description="whether what is known decides it")
    caption: str = Field(description="what its picture shows")
    picture: str | None = Field(description="where the picture is, SVG")


class QuestionsTold(Told):
    """The twenty questions."""

    questions: list[QuestionTold]


class RuleChoice(Choice):
    """An allocation rule."""

    source: str = Field(description="where it is from")
    needs: list[str] = Field(description="what it has to know beside slots and boxes")
    aliases: list[str] = Field(description="other names that it goes by")
    is_live: bool = Field(description="whether POST /allocate can try it: it need not know the future")


class PoliciesTold(Told):
    """What can be chosen: rules of allocation, retrieval, dispatch and dwell, counting plans and methods."""

    allocation: list[RuleChoice]
    retrieval: list[Choice]
    dispatch: list[Choice]
    dwell: list[Choice]
    plans: list[Choice]
    count_methods: list[Choice]


class CommandsKnown(Told):
    """Which commands a run takes."""

    commands: list[Choice]


class KpiChoice(Choice):
    """A KPI."""

    unit: str
    better: Literal["more", "less", "neither"]


class KpisKnown(Told):
    """Which KPIs there are."""

    kpis: list[KpiChoice]


class ProblemsKnown(Told):
    """Which kinds of problems there are."""

    problems: list[Choice]


class HealthTold(Told):
    """The process answers."""

    status: Literal["ok"]
    version: str
    model_version: str


class Check(Told):
    """One thing that has to be in order."""

    name: str
    ok: bool
    detail: str


class ReadyTold(Told):
    """Whether the server can do all that it is there for."""

    ready: bool
    checks: list[Check]


# --- making them -----------------------------------------------------------------------------------------

_LINKED: Final = (
    "slots", "stock", "meters", "boxes", "lots", "tasks", "robots", "orders", "counts", "kpis", "series",
    "events", "commands", "live",
)  # fmt: skip


def run_told(run: "Run", runs: "Runs", static: "Static | None") -> dict[str, Any]:
    """A run as JSON."""
    row, where = run.row, run.where
    state = run.state
    shown = run.shown if state == "running" and run.ready.is_set() else None
    parent = None
    if row.parent is not None:
        parent = {"run": row.parent, "at_s": (row.parent_t_ms or 0) / 1000}
    here = f"/runs/{row.id}"
    return {
        "id": row.id,
        "name": row.name,
        "mode": row.mode,
        "state": state,
        "scenario": {"name": row.scenario_name, "id": row.scenario_id},
        "seed": row.seed,
        "speed": "max" if row.speed is None else row.speed,
        "reached_speed": None if shown is None else shown.head["reached"] / 1000,
        "t_s": where.t_ms / 1000,
        "time": None if static is None else static.time_at(where.t_ms),
        "end_s": row.end_ms / 1000,
        "progress": round(min(1.0, where.t_ms / row.end_ms), 4),
        "facts": where.facts,
        "ready": run.ready.is_set() and row.state != "queued",
        "model_version": row.model_version,
        "digest": row.digest,
        "demand_digest": row.demand_digest,
        "limits": row.limits,
        "error": row.error,
        "parent": parent,
        "keep": row.keep,
        "current": runs.current == row.id,
        "created_at": _iso(row.created_at),
        "started_at": _iso(row.started_at),
        "ended_at": _iso(row.ended_at),
        "created_by": row.created_by,
        "size_bytes": row.size_bytes,
        "time_limit_s": row.time_limit_s,
        "memory_limit_mb": row.memory_limit_mb,
        "links": {"self": here, **{name: f"{here}/{name}" for name in _LINKED}},
    }


def command_told(row: "CommandRow", static: "Static | None") -> dict[str, Any]:
    """A command as JSON."""
    facts = None
    if row.first_fact is not None and row.facts is not None and row.state == "applied":
        facts = {"first": row.first_fact, "count": row.facts}
    return {
        "id": row.id,
        "run": row.run,
        "sequence": row.sequence,
        "type": row.type,
        "args": row.args,
        "external_id": row.external_id,
        "state": row.state,
        "reason": row.reason,
        "apply_at_s": _seconds(row.apply_at_ms),
        "expires_at_s": _seconds(row.expires_at_ms),
        "if_version": row.if_version,
        "t_s": _seconds(row.t_ms),
        "time": None if row.t_ms is None or static is None else static.time_at(row.t_ms),
        "facts": facts,
        "made": row.made,
        "inherited": row.inherited,
        "accepted_at": _iso(row.accepted_at),
        "settled_at": _iso(row.settled_at),
        "created_by": row.created_by,
        "links": {"self": f"/runs/{row.run}/commands/{row.id}", "run": f"/runs/{row.run}"},
    }


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
