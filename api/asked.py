"""What may be asked: the queries and bodies of requests, strict about names and about numbers.

A request that has another form than this is answered with 422; one that has this form and does not fit what
is here with 404 or 409.
"""

import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from api.answers import RACKS
from sim.allocation import ALIASES, LIVE_POLICIES
from sim.assets import STATES
from sim.commands import COMMANDS
from sim.counting import PLANS
from sim.facts import KINDS, TASK_CLASSES
from sim.params import JsonFloat, JsonInt, Params
from sim.series import SERIES

MOST_LISTED: Final = 200
MOST_WHOLE_SLOTS: Final = 10_000
MOST_BOXES: Final = 1000
LEAST_SPEED: Final = 0.001
MOST_SPEED: Final = 1_000_000.0
MOST_S: Final = 4e9

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A name as people give one: a line of text."""

Seconds = Annotated[JsonFloat, Field(ge=0, le=MOST_S, allow_inf_nan=False)]
"""Simulated seconds since the run began."""

Cursor = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{4,600}$")]


def _iso_day(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise PydanticCustomError("day", "expected a day as 2026-03-02")
    return value


Day = Annotated[date, BeforeValidator(_iso_day)]


def _refuse_null(data: Any) -> Any:
    """Null is no value: what is not meant is left out."""
    if isinstance(data, dict) and None in data.values():
        name = next(key for key, value in data.items() if value is None)
        raise PydanticCustomError(
            "null", "expected a value for {name}, or not to be there, found null", {"name": name}
        )
    return data


class Query(BaseModel):
    """The query of a request: names that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Body(BaseModel):
    """The body of a request: names that are not known are refused, and so is null."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _no_null = model_validator(mode="before")(_refuse_null)


class StateQuery(Query):
    """What every question about the state of a run may have."""

    at: Annotated[float, Field(ge=0, le=MOST_S, allow_inf_nan=False)] | SkipJsonSchema[None] = Field(
        None, description="simulated seconds: the state after all that happened until then; now if not given"
    )
    view: Literal["records", "truth"] = Field(
        "records", description="what the records say, or (scope truth:read) what is true"
    )


class ReportQuery(Query):
    """What a report may be of."""

    view: Literal["records", "truth"] = Field(
        "records", description="what the records say, or (scope truth:read) what is true"
    )


class ListQuery(StateQuery):
    """What every list may have: pages of one instant, which the first page fixes."""

    limit: int = Field(50, ge=1, le=MOST_LISTED, description="how many at most")
    cursor: Cursor | SkipJsonSchema[None] = Field(None, description="`next` of the page before")


Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Number = Annotated[int, Field(ge=0, le=2**31)]
Maybe = SkipJsonSchema[None]
Instant = Annotated[float, Field(ge=0, le=MOST_S)] | Maybe

AssetState = Literal[STATES]  # type: ignore[valid-type]
RunStateName = Literal["queued", "running", "paused", "finished", "stopped", "failed", "interrupted"]
SlotStatus = Literal["empty", "open", "full", "held", "blocked", "none"]


ExternalId = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]


class RunsQuery(Query):
    """Which runs."""

    state: RunStateName | Maybe = None
    mode: Literal["batch", "live"] | Maybe = None
    scenario: Word | Maybe = Field(None, description="name of the scenario")
    limit: int = Field(50, ge=1, le=MOST_LISTED)
    cursor: Cursor | Maybe = None


class CommandsQuery(Query):
    """Which commands."""

    state: Literal["accepted", "applied", "rejected", "expired"] | Maybe = None
    type: Literal[tuple(COMMANDS)] | Maybe = None  # type: ignore[valid-type]
    external_id: ExternalId | Maybe = Field(None, description="the sender's own name for it")
    limit: int = Field(50, ge=1, le=MOST_LISTED)
    cursor: Cursor | Maybe = None


class SlotsQuery(StateQuery):
    """Which slots: all of them if nothing is said."""

    status: SlotStatus | Maybe = Field(None, description="what it is for put-aways")
    row: Annotated[int, Field(ge=1, le=10_000_000)] | Maybe = Field(None, description="row, from 1")
    sku: Word | Maybe = Field(None, description="slots that hold boxes of this SKU")
    min_fill: Annotated[float, Field(ge=0, le=1)] | Maybe = Field(None, description="least share taken")
    limit: Annotated[int, Field(ge=1, le=MOST_WHOLE_SLOTS)] | Maybe = Field(
        None, description=f"how many at most; without it all, in a store of up to {MOST_WHOLE_SLOTS:,} slots"
    )
    cursor: Cursor | Maybe = Field(None, description="`next` of the page before")


class RacksQuery(StateQuery):
    """By what racks are coloured."""

    by: Literal[tuple(RACKS)] = Field(  # type: ignore[valid-type]
        "boxes",
        description="boxes in it; age: days since the oldest verification in it; sku: that of most boxes;"
        " visits: boxes set down or taken so far; count: boxes by which its last count and the records"
        " parted; differs: boxes whose record is wrong, with view=truth alone",
    )


class StockQuery(StateQuery):
    """How the stock is summed up."""

    by: Literal["sku", "lot", "zone"] = Field("sku", description="what a line is of")


class _GoodsQuery(ListQuery):
    status: AssetState | Maybe = Field(None, description="asset state on record")
    sku: Word | Maybe = None
    lot: Word | Maybe = None
    slot: Word | Maybe = None
    place: Word | Maybe = Field(None, description="any place: a slot, a port, staging, a robot")
    verified_before: Day | Maybe = Field(None, description="verified before this day")
    min_age_days: Annotated[int, Field(ge=0, le=40_000)] | Maybe = Field(
        None, description="verified at least so many days ago"
    )
    in_store: bool | Maybe = Field(None, description="whether it is in the store, not on a truck or gone")


class BoxesQuery(_GoodsQuery):
    """Which boxes."""


class MetersQuery(_GoodsQuery):
    """Which meters."""


class LotsQuery(ListQuery):
    """Which lots."""

    sku: Word | Maybe = None
    verified_before: Day | Maybe = Field(None, description="verified before this day")
    recalled: bool | Maybe = Field(None, description="whether it has been recalled")


class TasksQuery(ListQuery):
    """Which tasks."""

    status: Literal["waiting", "assigned", "done", "cancelled"] | Maybe = None
    task_class: Literal[TASK_CLASSES] | Maybe = Field(None, alias="class")  # type: ignore[valid-type]
    robot: Word | Maybe = None
    order: Number | Maybe = None
    box: Word | Maybe = None
    slot: Word | Maybe = Field(None, description="from or to this slot")
    sku: Word | Maybe = Field(None, description="whose box is of this SKU")
    lot: Word | Maybe = Field(None, description="whose box is of this lot")


class OrdersQuery(ListQuery):
    """Which orders."""

    status: Literal["open", "short", "late", "handed_over"] | Maybe = None
    station: Word | Maybe = None
    sku: Word | Maybe = None


class CountsQuery(ListQuery):
    """Which counts."""

    status: Literal["open", "ended"] | Maybe = None
    plan: Literal[tuple(PLANS)] | Maybe = None  # type: ignore[valid-type]


class HistoryQuery(ListQuery):
    """Which part of a history."""

    sort: Literal["oldest", "newest"] = Field("oldest", description="which events come first")


class EventsQuery(HistoryQuery):
    """Which facts."""

    kind: Literal[tuple(KINDS)] | Maybe = None  # type: ignore[valid-type]
    box: Word | Maybe = None
    slot: Word | Maybe = None
    order: Number | Maybe = None
    robot: Word | Maybe = None
    task: Number | Maybe = None
    from_s: Instant = Field(None, alias="from", description="from this time on")
    to_s: Instant = Field(None, alias="to", description="up to this time")
    after_seq: Annotated[int, Field(ge=0, le=2**62)] | Maybe = Field(
        None, description="those behind this `seq` only: whoever has seen it goes on from there"
    )


class SearchQuery(StateQuery):
    """What somebody looks for."""

    q: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="a few characters of a name or number"
    )
    limit: int = Field(20, ge=1, le=50)


class WhyQuery(Query):
    """How much is to be told of a task's reasons."""

    consequences: bool = Field(
        True, description="whether other choices are played on to the end of the day, which takes longest"
    )


class SeriesQuery(Query):
    """A series over a stretch of the run's past."""

    name: Literal[tuple(SERIES)]  # type: ignore[valid-type]
    from_s: Instant = Field(None, alias="from", description="the beginning if not given")
    to_s: Instant = Field(None, alias="to", description="now if not given")
    points: int = Field(600, ge=1, le=2000, description="buckets at most, each with its least and greatest")


def _in_range(speed: "float | Literal['max']") -> "float | Literal['max']":
    if speed != "max" and not LEAST_SPEED <= speed <= MOST_SPEED:
        raise PydanticCustomError(
            "speed",
            "expected a number from {least} to {most}, or 'max'",
            {"least": LEAST_SPEED, "most": MOST_SPEED},
        )
    return speed


def _number_or_max(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and value != "max"):
        raise PydanticCustomError("speed", "expected a number or 'max'")
    return value


Speed = Annotated[
    float | Literal["max"],
    BeforeValidator(_number_or_max),
    AfterValidator(_in_range),
    WithJsonSchema({
        "anyOf": [
            {"type": "number", "minimum": LEAST_SPEED, "maximum": MOST_SPEED},
            {"type": "string", "enum": ["max"]},
        ],
    }),
]  # fmt: skip
"""Simulated seconds a second, or as fast as possible."""


class Limits(Body):
    """What a run may take of this machine, at most what the server allows."""

    time_s: Annotated[JsonFloat, Field(gt=0, le=1e7)] | SkipJsonSchema[None] = Field(
        None, description="clock time that it may compute"
    )
    memory_mb: Annotated[JsonInt, Field(ge=64, le=1_000_000)] | SkipJsonSchema[None] = Field(
        None, description="memory that it may take"
    )


Values = Annotated[dict[Annotated[str, Field(min_length=1, max_length=200)], Any], Field(max_length=500)]
"""Values of a scenario by dotted path."""


class RunBody(Body):
    """A run that is to be."""

    scenario: Name | dict[str, Any] = Field(
        description="the name of a scenario that ships, or values as a scenario file has them, with `extends`"
    )
    set: Values = Field(default_factory=dict, description="more values, by dotted path, as --set does")
    seed: Annotated[JsonInt, Field(ge=0, le=2**63 - 1)] | SkipJsonSchema[None] = Field(
        None, description="seed of every stream of random numbers; the scenario's own if not given"
    )
    name: Name | SkipJsonSchema[None] = Field(
        None, description="what it is called; the scenario's name if not given"
    )
    mode: Literal["batch", "live"] = Field(
        "batch",
        description="batch: to its end as fast as possible, in its turn; live: now, at a pace, to be steered",
    )
    speed: Speed | SkipJsonSchema[None] = Field(
        None, description="pace; if not given as fast as possible for batch runs, 60 for live ones"
    )
    state: Literal["running", "paused"] = Field("running", description="paused: a live run stands at time 0")
    limits: Limits = Field(default_factory=Limits, description="what it may take of this machine")
    keep: bool = Field(False, description="whether no clearing up removes it", strict=True)
    current: bool = Field(False, description="whether `current` means this run from now on", strict=True)


class RunPatch(Body):
    """What is to change in a run; all of it at once."""

    state: Literal["running", "paused", "stopped"] | SkipJsonSchema[None] = Field(
        None, description="stopped: it ends here and keeps what it has shown"
    )
    speed: Speed | SkipJsonSchema[None] = Field(None, description="pace from now on")
    step_s: Annotated[JsonFloat, Field(gt=0, le=MOST_S)] | SkipJsonSchema[None] = Field(
        None, description="go on for so many simulated seconds, as fast as possible, and pause"
    )
    name: Name | SkipJsonSchema[None] = Field(None, description="what it is called from now on")
    keep: Annotated[bool, Field(strict=True)] | SkipJsonSchema[None] = Field(
        None, description="whether no clearing up removes it"
    )
    current: Literal[True] | SkipJsonSchema[None] = Field(
        None, description="`current` means this run from now on"
    )


class BranchBody(Body):
    """A run that leaves another one at an instant, with changes."""

    at: Seconds | SkipJsonSchema[None] = Field(
        None, description="simulated seconds at which it leaves; where the run is now if not given"
    )
    set: Values = Field(
        default_factory=dict,
        description="values that are different from then on; those that can change in mid-run",
    )
    name: Name | SkipJsonSchema[None] = Field(
        None, description="what it is called; if not given after its parent and the instant"
    )
    mode: Literal["batch", "live"] = Field(
        "batch",
        description="batch: to its end as fast as possible, in its turn; live: now, at a pace, to be steered",
    )
    speed: Speed | SkipJsonSchema[None] = Field(
        None, description="pace; if not given as fast as possible for batch runs, 60 for live ones"
    )
    state: Literal["running", "paused"] = Field(
        "running", description="paused: a live run stands where it left its parent"
    )
    keep: bool = Field(False, description="whether no clearing up removes it", strict=True)


class AskedBox(Body):
    """A box for which a slot is wanted."""

    sku: Name = Field(description="name of its SKU")
    meters: Annotated[JsonInt, Field(ge=1, le=60)] | SkipJsonSchema[None] = Field(
        None, description="meters in it; full if not given"
    )
    lot: Name | SkipJsonSchema[None] = Field(None, description="its lot, if the store knows it")
    verified_on: Day | SkipJsonSchema[None] = Field(
        None, description="day of its verification; today if not given"
    )


RULES: Final = (*LIVE_POLICIES, *ALIASES)
"""Rules that a run can be asked to try: those that need to know the future are not among them."""


class AllocateBody(Body):
    """Boxes that come one after the other."""

    run: Annotated[str, Field(pattern=r"^(current|r[1-9][0-9]{0,17})$")] = Field(
        "current", description="which run"
    )
    boxes: list[AskedBox] = Field(
        min_length=1, max_length=MOST_BOXES, description="the boxes, in the order in which they come"
    )
    policy: Literal[RULES] | SkipJsonSchema[None] = Field(  # type: ignore[valid-type]
        None, description="another allocation rule than that of the run"
    )


class _CommandBody(Body):
    """A command into a run."""

    external_id: ExternalId | SkipJsonSchema[None] = Field(
        None, description="the sender's own name for it; sent again it is the same command"
    )
    apply_at: Seconds | SkipJsonSchema[None] = Field(
        None,
        description="simulated seconds at which it takes effect; as soon as possible if not given or past",
    )
    expires_at: Seconds | SkipJsonSchema[None] = Field(
        None, description="simulated seconds after which it is not done any more"
    )
    if_version: Annotated[JsonInt, Field(ge=0, le=2**62)] | SkipJsonSchema[None] = Field(
        None, description="done only when the run has exactly so many facts then"
    )


class OneCommand(_CommandBody):
    """What all of them have."""

    type: str
    args: Params


def _command_body(name: str) -> type[_CommandBody]:
    kind = COMMANDS[name]
    words = "".join(part.title() for part in name.split("_"))
    required = any(field.is_required() for field in kind.params.model_fields.values())
    args: Any = (kind.params, ... if required else Field(default_factory=kind.params))
    type_: Any = (Literal[name], ...)
    return create_model(
        f"{words}Command", __base__=_CommandBody, __doc__=kind.sentence, type=type_, args=args
    )


COMMAND_BODIES: Final = tuple(_command_body(name) for name in COMMANDS)
"""The body of each kind of command."""

if TYPE_CHECKING:
    CommandBody = OneCommand
else:
    CommandBody = Union[COMMAND_BODIES]  # noqa: UP007 - made from a tuple
    """Any of them."""
