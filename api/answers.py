"""The form of the answers about a run: what the OpenAPI document says of each view of `views`.

These models describe; answers are written as the views make them. `ANSWERS` has one for each view. Where the
truth is asked for (`view=truth`), rows tell beside it what is recorded where that differs; elsewhere those
fields are not there.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from sim.assets import STATES
from sim.control import BY
from sim.counting import METHODS, PLANS
from sim.facts import ACTIVITIES, DIFFERENCES, KINDS, TASK_CLASSES, VERDICTS
from sim.words import one_of

SLOT_STATUSES: Final = ("empty", "open", "full", "held", "blocked", "none")
"""What a slot is for put-aways: `none` has no places, `blocked` is out of use, `held` on hold after a
discrepancy, `full` has every place taken or kept, `empty` neither a box nor a place that is kept; of several
the last."""

TASK_STATUSES: Final = ("waiting", "assigned", "done", "cancelled")

ORDER_STATUSES: Final = ("open", "short", "late", "handed_over")
"""By what orders can be listed: `open` are all that are not handed over, `short` those of them that wait for
stock; `late` is past its due time or was handed over behind it."""

COUNT_STATUSES: Final = ("open", "ended")

RACKS: Final = {
    "boxes": "boxes", "age": "days", "sku": "key", "visits": "boxes", "count": "boxes", "differs": "boxes",
}  # fmt: skip
"""What racks can be coloured by, with its unit."""


def _among(words: Sequence[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in words:
            raise ValueError(f"expected {one_of(list(words))}")
        return value

    return check


def _enum(words: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(words)})


AssetState = Annotated[str, AfterValidator(_among(STATES)), _enum(STATES)]
SlotStatus = Annotated[str, AfterValidator(_among(SLOT_STATUSES)), _enum(SLOT_STATUSES)]
TaskStatus = Annotated[str, AfterValidator(_among(TASK_STATUSES)), _enum(TASK_STATUSES)]
TaskClass = Annotated[str, AfterValidator(_among(TASK_CLASSES)), _enum(TASK_CLASSES)]
CountStatus = Annotated[str, AfterValidator(_among(COUNT_STATUSES)), _enum(COUNT_STATUSES)]
PlanName = Annotated[str, AfterValidator(_among([*PLANS])), _enum([*PLANS])]
MethodName = Annotated[str, AfterValidator(_among([*METHODS])), _enum([*METHODS])]
Activity = Annotated[str, AfterValidator(_among(ACTIVITIES)), _enum(ACTIVITIES)]
Difference = Annotated[str, AfterValidator(_among(DIFFERENCES)), _enum(DIFFERENCES)]
Verdict = Annotated[str, AfterValidator(_among(VERDICTS)), _enum(VERDICTS)]
Listing = Annotated[str, AfterValidator(_among(BY)), _enum(BY)]
FactKind = Annotated[str, AfterValidator(_among([*KINDS])), _enum([*KINDS])]

LocalTime = Annotated[
    str, Field(description="local time, without zone", examples=["2026-03-02T09:30:00.000"])
]
Day = Annotated[str, Field(description="a day", examples=["2026-03-02"])]
Seconds = Annotated[float, Field(description="simulated seconds since the run began")]


class Row(BaseModel):
    """An entry of an answer."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Answer(Row):
    """What every answer about the state of a run begins with."""

    run: str = Field(description="the run", examples=["r1"])
    t_s: Seconds = Field(description="the instant, in simulated seconds since the run began")
    time: LocalTime | None
    facts: int = Field(description="facts that the run had recorded: its version")
    view: Literal["records", "truth"] = Field(description="what the records say, or what is true")


Next = Annotated[int | str | None, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]})]
"""A key of a view, of which the server makes a cursor."""


class Listed(Answer):
    """A page of a list."""

    next: Next = Field(description="cursor of the next page; null on the last one")


# -- slots


class SlotRow(Row):
    """A slot and what stands in it."""

    slot: str = Field(examples=["2-07-3"])
    row: int
    column: int
    level: int
    zone: str = Field(description="the device classes that it takes")
    status: SlotStatus
    boxes: int
    capacity: int = Field(description="boxes that it holds")
    reserved: int = Field(description="places kept for boxes on their way in")
    meters: int
    fill: float = Field(description="share of its places in which a box stands")
    skus: list[str]


class Slots(Listed):
    """The slots of a store."""

    slots: list[SlotRow]


class Recorded(Row):
    """Where the records have a box, of the truth alone; null where that is where it is."""

    recorded_place: str | None = None
    recorded_column: int | None = None
    recorded_tier: int | None = None


class Dated(Row):
    """A verification; all null for meters that were removed from customers."""

    verified_on: Day | None
    age_days: int | None = Field(description="days since then")
    expires_on: Day | None = Field(description="last day on which it is good for issue")


class BoxInSlot(Dated, Recorded):
    """A box in a slot."""

    box: str
    sku: str
    lot: str
    meters: int
    capacity: int = Field(description="meters that a full box of its SKU holds")
    reserved: int = Field(description="meters that are promised to orders")
    order: int | None = Field(description="the order that is promised the whole box")
    status: AssetState
    column: int | None = Field(description="tier column in the slot, from 1")
    tier: int | None = Field(description="tier, from 1, the lowest first")
    missing: bool = Field(description="whether it is not where it was recorded, and nobody has seen it since")
    received_s: Seconds | None = Field(description="its receiving scan; null for what was there at time 0")
    recorded_meters: int | None = None


class BoxRow(BoxInSlot):
    """A box and where it is."""

    place: str


class Look(Row):
    """A look at a slot for a count."""

    t_s: Seconds
    time: LocalTime | None
    count: int
    slot: str | None
    look: int = Field(description="the how-many-th look of the count at this slot")
    method: MethodName | None
    by: str | None
    recorded: int = Field(description="boxes that were recorded there")
    seen: int = Field(description="boxes that were seen")


class Slot(Answer):
    """One slot and the boxes in it."""

    slot: str
    row: int
    column: int
    level: int
    zone: str
    status: SlotStatus
    boxes: list[BoxInSlot]
    capacity: int
    reserved: int
    meters: int
    fill: float
    skus: list[str]
    aisle: int
    x_m: float
    y_m: float
    z_m: float
    last_count: Look | None
    expires_on: Day | None = Field(description="the last day on which all boxes in it are still in date")


class Racks(Answer):
    """One value for each slot, in the order of `/slots`."""

    by: Literal[tuple(RACKS)]  # type: ignore[valid-type]
    unit: str = Field(description="of the values; key: they number `keys`, from 0")
    keys: list[str] | None = Field(description="what values stand for that are numbers of names")
    values: list[int | None] = Field(description="null: it has none")


# -- boxes, meters, lots


class Happened(Row):
    """One thing that happened. Columns and tiers count from 1."""

    seq: int = Field(description="number of the fact; of several events with one number all are on one page")
    time_s: Seconds
    at: str = Field(description="day and time of day")
    event: str = Field(description="what happened, in a word", examples=["stored"])
    text: str = Field(description="what happened, in words")
    fact: FactKind
    side: Literal["both", "truth", "records"] | None = None
    place: str | None
    column: int | None
    tier: int | None
    recorded_place: str | None = None
    recorded_column: int | None = None
    recorded_tier: int | None = None
    box: int | None
    box_name: str | None
    by: str | None
    robot: int | None
    person: int | None
    order: int | None
    task: int | None


class Boxes(Listed):
    """Boxes, by number."""

    boxes: list[BoxRow]


class Promise(Row):
    """Meters that are promised to an order."""

    order: int
    meters: int


class Box(Answer, BoxRow):
    """One box."""

    received_time: LocalTime | None
    assets: list[str] = Field(description="the asset numbers of the meters in it")
    reserved_for: list[Promise]
    task: int | None = Field(description="the task that it has now")
    sentence: str = Field(description="where it is, in words")
    last_event: Happened | None


class MeterRow(Dated, Recorded):
    """A meter and where it is."""

    asset: str = Field(description="its asset number", examples=["9930001000000000000002"])
    box: str = Field(description="the box in which it came")
    in_box: bool = Field(description="whether it is in it still, and the box not gone")
    sku: str
    lot: str
    status: AssetState
    place: str | None
    column: int | None
    tier: int | None
    missing: bool
    order: int | None = Field(
        description="the order that it is promised to as part of a whole box, or went to"
    )
    recorded_in_box: bool | None = None


class Meters(Listed):
    """Meters, by asset number."""

    meters: list[MeterRow]


class Meter(Answer, MeterRow):
    """One meter."""

    sentence: str = Field(description="where it is, in words")
    last_event: Happened | None


class LotRow(Row):
    """A lot and where its boxes are."""

    lot: str
    sku: str
    maker: int | None
    verified_from: Day | None = Field(description="the first verification of one of its meters")
    boxes: int = Field(description="boxes that came")
    in_store: int
    on_truck: int
    missing: int
    gone: int
    meters: int = Field(description="meters in the store")
    recalled: bool


class Lots(Listed):
    """Lots, by number."""

    lots: list[LotRow]


class RecallRow(Row):
    """How far a recall is."""

    t_s: Seconds
    time: LocalTime | None
    boxes: int = Field(description="boxes on record when it was recalled")
    left: int = Field(description="boxes that have left since")
    last_left_s: Seconds | None
    open: list[str] = Field(description="boxes that are here still, on a truck or missing")
    missing: list[str]
    digs: int
    lasted_s: float | None = Field(description="seconds until the last box had left; null while one is open")


class Lot(Answer, LotRow):
    """One lot."""

    recall: RecallRow | None


# -- stock


class StockLine(Row):
    """Meters in the store of one SKU, lot or zone."""

    key: str
    boxes: int
    on_hand: int = Field(description="qualified + held + overdue + returned")
    qualified: int
    reserved: int = Field(description="qualified meters that are promised to orders")
    held: int
    overdue: int
    returned: int = Field(description="removed from customers, or to leave otherwise than by an order")
    safety: int
    usable: int = Field(description="qualified - reserved - safety")
    on_order: int


class StockAlert(Row):
    """Something to act on."""

    level: Literal["yellow", "red"]
    kind: Literal["age", "safety", "capacity"]
    key: str
    found: int
    limit: int
    text: str


class Stock(Answer):
    """Stock by SKU, lot or zone."""

    by: Listing
    lines: list[StockLine]
    alerts: list[StockAlert]
    old_boxes: int = Field(description="boxes verified control.age_alert_days ago or earlier")
    overdue_boxes: int = Field(description="those of them that are older than demand.max_age_days")


# -- tasks, orders, counts, robots


class TaskRow(Row):
    """A piece of work of a robot, or of a person who carries."""

    task: int
    class_: TaskClass | None = Field(alias="class")
    status: TaskStatus
    box: str | None
    order: int | None
    robot: str | None = Field(description="who has it, or has done it")
    from_place: str | None
    to_place: str | None
    created_s: Seconds
    assigned_s: Seconds | None
    ended_s: Seconds | None


class Tasks(Listed):
    """Tasks, by number."""

    tasks: list[TaskRow]


class TaskStep(Row):
    """A step in the life of a task."""

    step: Literal["created", "allocated", "assigned", "returned", "done", "cancelled"]
    t_s: Seconds
    time: LocalTime | None
    robot: str | None
    tour: int | None
    slot: str | None


class Task(Answer, TaskRow):
    """One task."""

    steps: list[TaskStep]


class OrderRow(Row):
    """An order: meters = reserved + issued + missing."""

    order: int
    station: str
    status: Literal["open", "short", "handed_over"] = Field(description="short: it waits for stock")
    late: bool = Field(description="past its due time, or handed over behind it")
    released_s: Seconds
    released_time: LocalTime | None
    due_s: Seconds
    due_time: LocalTime | None
    handed_over_s: Seconds | None
    handed_over_time: LocalTime | None
    late_s: float | None = Field(description="how late it was handed over, in seconds")
    meters: int
    reserved: int = Field(description="meters promised and not handed over yet")
    issued: int
    missing: int = Field(description="meters that wait for stock")


class Orders(Listed):
    """Orders, by number."""

    orders: list[OrderRow]


class OrderLine(Row):
    """A line of an order."""

    line: int = Field(description="from 1")
    sku: str
    meters: int
    missing: int


class OrderBox(Row):
    """A box of an order."""

    box: str
    reserved: int
    issued: int
    status: AssetState
    place: str


class Order(Answer, OrderRow):
    """One order."""

    lines: list[OrderLine]
    boxes: list[OrderBox]
    tasks: list[int]
    time_by_cause_s: dict[str, float] | None = Field(
        description="what the time from release to hand-over went to, in seconds; null before the hand-over"
    )
    sentence: str


class CountRow(Row):
    """A count."""

    count: int
    plan: PlanName | None
    status: CountStatus
    planned_s: Seconds
    planned_time: LocalTime | None
    ended_s: Seconds | None
    ended_time: LocalTime | None
    slots: int = Field(description="slots that are to be counted")
    counted: int = Field(description="slots that were looked at")
    differences: int | None = Field(description="differences that were confirmed")
    boxes_seen: int | None


class Counts(Listed):
    """Counts, by number."""

    counts: list[CountRow]


class Found(Row):
    """A difference between a count and the records."""

    t_s: Seconds
    time: LocalTime | None
    slot: str | None
    box: str
    what: Difference | None
    verdict: Verdict | None


class Count(Answer, CountRow):
    """One count: its looks and what they found."""

    looks: list[Look]
    found: list[Found]


class RobotRow(Row):
    """A robot: from `since_s` to `arrive_s` it drives from place to place, then it is busy until `end_s`."""

    robot: str
    state: Activity | None = Field(description="what it does; null for a person who carries")
    since_s: Seconds | None
    place: str | None = Field(description="where it stands; null while it drives")
    slot: str | None = Field(description="the slot to which it drives, or at which it works")
    from_place: str | None
    to_place: str | None
    arrive_s: Seconds | None
    end_s: Seconds | None = Field(description="planned end; null when that is open")
    height_m: float | None = Field(description="height of its fork at the end of the way")
    boxes: list[str] = Field(description="boxes on board")
    battery_permille: int | None = Field(description="charge when charging began or ended last")
    task: int | None = Field(description="the task on which it works")
    tasks: list[int] = Field(description="the tasks of its tour that are not done")
    tour: int | None


class Robots(Listed):
    """Robots, by number."""

    robots: list[RobotRow]


class RobotAnswer(Answer, RobotRow):
    """One robot."""

    last_tasks: list[TaskRow] = Field(description="the last ten that it has done, the newest first")


# -- histories, facts, search, KPIs


class History(Listed):
    """What happened to something, in the order of facts."""

    events: list[Happened]


class SlotHistory(History):
    """What happened in a slot."""

    slot: str


class BoxHistory(History):
    """What happened to a box."""

    box: str


class MeterHistory(History):
    """What happened to a meter."""

    asset: str


class LotHistory(History):
    """What happened to a lot and its boxes."""

    lot: str


class RobotHistory(History):
    """What a robot did."""

    robot: str


class OrderHistory(History):
    """What happened to an order."""

    order: str


class FactRow(BaseModel):
    """A fact, with the fields of its kind and, beside them, the names of what they stand for."""

    model_config = ConfigDict(extra="allow")

    seq: int
    t_s: Seconds
    time: LocalTime | None
    kind: FactKind


class Events(Listed):
    """Facts, in the order of recording."""

    events: list[FactRow]


class Hit(Row):
    """Something that was found by its name."""

    kind: Literal["slot", "robot", "box", "order", "lot", "meter"]
    name: str
    text: str
    path: str


class Search(Answer):
    """What has a name with some characters in it, the best first."""

    found: list[Hit]


class KpiRow(BaseModel):
    """A KPI and what belongs to it."""

    model_config = ConfigDict(extra="allow")

    value: float | None
    unit: str
    p50: float | None = None
    p95: float | None = None
    n: int | None = None
    parts: dict[str, Any] | None = None


class Kpis(Answer):
    """The KPIs from the end of the warm-up to the instant."""

    from_s: Seconds
    kpis: dict[str, KpiRow]
    limits: str = Field(description="what limits the store, in a sentence")


ANSWERS: Final[dict[str, type[Answer]]] = {
    "slots": Slots,
    "slot": Slot,
    "racks": Racks,
    "boxes": Boxes,
    "box": Box,
    "meters": Meters,
    "meter": Meter,
    "lots": Lots,
    "lot": Lot,
    "stock": Stock,
    "tasks": Tasks,
    "task": Task,
    "orders": Orders,
    "order": Order,
    "counts": Counts,
    "count": Count,
    "robots": Robots,
    "robot": RobotAnswer,
    "slot_history": SlotHistory,
    "box_history": BoxHistory,
    "meter_history": MeterHistory,
    "lot_history": LotHistory,
    "robot_history": RobotHistory,
    "order_history": OrderHistory,
    "events": Events,
    "search": Search,
    "kpis": Kpis,
}
"""The form of the answer of each view."""
