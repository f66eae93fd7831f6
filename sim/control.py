"""Control of the stock: what may be used, what is too old, too little or too much, and how a recall went.

All of it is worked out from facts, as the records have it: what the truth is nobody in the store knows. The
recalls of a scenario are stated here too; `flows` carries them out. Left out: approval of what is found.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import Field, StrictBool

from sim.assets import STATE_CODES
from sim.calendar import DAY_MS
from sim.calendar import Clock as TimeOfDay
from sim.facts import NONE, RECALLED
from sim.history import state_at
from sim.params import JsonFloat, JsonInt, Params, fact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.history import StoreState
    from sim.layout import Layout
    from sim.scenario import Scenario
    from sim.trace import Trace

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

BY: Final = ("sku", "lot", "zone")
"""What stock can be listed by. A zone is all slots that take the same device classes; all else is one."""

FLOOR: Final = "floor"
"""The zone of boxes that are in the store but in no slot."""


class RecallParams(Params):
    """A recall: on a day, of one lot, of the largest lot, or of every lot of a SKU that is here."""

    day: JsonInt = fact(0, "day of the run", unit="days", ge=0, le=36500)
    at: TimeOfDay = fact("09:00", "time of day")
    lot: Annotated[JsonInt, Field(ge=0)] | Literal["largest"] | None = fact(
        None, "number of the lot; 'largest': the one with most boxes in the store then"
    )
    sku: Annotated[str, Field(min_length=1)] | None = fact(
        None, "name of a SKU: all its lots here are recalled, or its largest with lot = 'largest'"
    )


class ControlParams(Params):
    """Limits of the stock, and recalls."""

    recalls: list[RecallParams] = fact([], "lots that are recalled")
    recall_first: StrictBool = fact(
        False,
        "whether recalled boxes are fetched beside orders at once; else while no order waits",
        live=True,
    )
    safety_days: JsonFloat = fact(
        2.0, "safety stock of each SKU, in days of its mean demand", unit="days", origin="assumption", ge=0,
        le=365,
    )  # fmt: skip
    age_alert_days: JsonInt = fact(
        150, "age of a verification from which stock is listed as old; red beyond demand.max_age_days",
        unit="days", origin="sourced", ge=0, le=36500,
    )  # fmt: skip


_RESERVED: Final = STATE_CODES["reserved"]
_QUALIFIED: Final = (STATE_CODES["qualified_in_stock"], _RESERVED)
_OVERDUE: Final = STATE_CODES["overdue_pending_reverify"]
_HELD: Final = (STATE_CODES["quarantined"], STATE_CODES["surplus_found"])


class StockLine(NamedTuple):
    """Meters on record in the store, of one SKU, lot or zone; `boxes` counts boxes that hold any.

    `on_hand` = qualified + held + overdue + returned: `qualified` may be issued, `reserved` of these are
    promised to orders; `held`: on hold; `returned`: removed from customers, or to leave otherwise. `usable` =
    qualified - reserved - safety, below 0 when the safety stock is touched. `safety` and `on_order` are those
    of SKUs, 0 for lots and zones.
    """

    key: str
    boxes: int
    on_hand: int
    qualified: int
    reserved: int
    held: int
    overdue: int
    returned: int
    safety: int
    usable: int
    on_order: int


class Alert(NamedTuple):
    """Something to act on: `level` yellow or red; `kind` age, safety or capacity; found against its limit."""

    level: Literal["yellow", "red"]
    kind: Literal["age", "safety", "capacity"]
    key: str
    found: int
    limit: int
    text: str


class OldBox(NamedTuple):
    """A box of the high-age list, the age of its verification in days."""

    box: int
    sku: int
    lot: int
    place: int
    meters: int
    age_days: int
    is_red: bool


class Recall(NamedTuple):
    """How a recall went: when, boxes on record then, boxes that left since, the last one when (NONE: none).

    `open` lists boxes that are still on record, on a truck or missing, `missing` those of them that are not
    where they were recorded; `digs` counts boxes moved out of the way for it.
    """

    lot: int
    recalled_ms: int
    boxes: int
    left: int
    last_ms: int
    open: tuple[int, ...]
    missing: tuple[int, ...]
    digs: int

    @property
    def lasted_ms(self) -> int:
        """From the recall until the last box had left; NONE while one is open."""
        return NONE if self.open or self.last_ms == NONE else self.last_ms - self.recalled_ms


def safety_stock(scenario: "Scenario") -> list[int]:
    """The safety stock of each SKU in meters: `control.safety_days` of its mean demand."""
    demand = scenario.demand
    shares = [0.0 if _is_removed(scenario, sku.name) else sku.share for sku in scenario.skus]
    daily = demand.orders_per_day * demand.mean_meters / (sum(shares) or 1.0)
    return [round(scenario.control.safety_days * daily * share) for share in shares]


def stock_lines(
    state: "StoreState",
    layout: "Layout",
    scenario: "Scenario",
    by: str = "sku",
    on_order: "Mapping[int, int] | None" = None,
) -> list[StockLine]:
    """Stock by SKU, lot or zone (one of `BY`), in the order of scenario, number and layout.

    `on_order` gives the meters called off by SKU number, as the function of that name finds them. Usable
    stock is qualified stock less what is committed and not delivered, less safety stock: the formula in the
    stock control of a metering centre. Raises ValueError for another `by`.
    """
    groups = _groups(state, layout, scenario, by)
    safety = safety_stock(scenario) if by == "sku" else []
    called = on_order or {}
    lines = []
    for number, (key, rows) in enumerate(groups):
        qualified = np.isin(state.state, _QUALIFIED) & rows
        held = np.isin(state.state, _HELD) & rows
        overdue = (state.state == _OVERDUE) & rows
        meters = _recorded_meters(state)
        sums = [int(meters[chosen].sum()) for chosen in (rows, qualified, held, overdue)]
        on_hand, of_qualified, of_held, of_overdue = sums
        reserved = int(state.reserved[qualified].sum())
        kept = safety[number] if by == "sku" else 0
        lines.append(
            StockLine(
                key, int((meters[rows] > 0).sum()), on_hand, of_qualified, reserved, of_held, of_overdue,
                on_hand - of_qualified - of_held - of_overdue, kept, of_qualified - reserved - kept,
                called.get(number, 0) if by == "sku" else 0,
            )
        )  # fmt: skip
    return lines


def on_order(trace: "Trace", layout: "Layout", state: "StoreState") -> dict[int, int]:
    """Meters by SKU that are called off or on a truck, and not received at the instant of a state."""
    called = trace.table("truck_called_off")
    created = trace.table("box_created")
    until = called["time_ms"] <= state.t_ms
    trucks = np.unique(called["truck"][until])
    arrived = (created["time_ms"] <= state.t_ms) & np.isin(created["truck"], trucks)
    meters: dict[int, int] = {}
    full = layout.full_boxes(int(max(called["sku"].max(initial=NONE), created["sku"].max(initial=NONE))) + 1)
    for sku, boxes in zip(called["sku"][until].tolist(), called["boxes"][until].tolist(), strict=True):
        meters[sku] = meters.get(sku, 0) + boxes * full[sku]
    for sku in created["sku"][arrived].tolist():
        meters[sku] -= full[sku]
    on_truck = state.recorded_place == layout.truck
    of_box = _recorded_meters(state)
    for sku in np.unique(state.sku[on_truck]).tolist():
        meters[sku] = meters.get(sku, 0) + int(of_box[on_truck & (state.sku == sku)].sum())
    return {sku: count for sku, count in sorted(meters.items()) if count}


def old_boxes(state: "StoreState", layout: "Layout", scenario: "Scenario") -> list[OldBox]:
    """The high-age list: boxes here verified `control.age_alert_days` ago or earlier, oldest first.

    Red is what is older than `demand.max_age_days`. Removed meters and boxes that are to leave have no such
    age.
    """
    age = _today(state, scenario) - state.verified_day
    ages = np.isin(state.state, (*_QUALIFIED, *_HELD, _OVERDUE))
    meters = _recorded_meters(state)
    old = ages & (age >= scenario.control.age_alert_days) & _in_store(state, layout) & (meters > 0)
    rows = np.flatnonzero(old)
    rows = rows[np.lexsort((state.box[rows], -age[rows]))]
    limit = scenario.demand.max_age_days
    columns = (state.box, state.sku, state.lot, state.recorded_place, meters, age, age > limit)
    return [OldBox(*row) for row in zip(*(column[rows].tolist() for column in columns), strict=True)]


def alerts(
    state: "StoreState",
    layout: "Layout",
    scenario: "Scenario",
    on_order: "Mapping[int, int] | None" = None,
) -> list[Alert]:
    """What is to be acted on: old stock, stock below its safety stock, classes that outgrow their slots.

    A device class outgrows its slots when its boxes here and on order are more than the places that it may
    have: those of all slots that take it, less boxes of other classes there (running stock + arrivals >
    capacity).
    """
    return [
        *_age_alerts(state, layout, scenario),
        *_safety_alerts(state, layout, scenario),
        *_capacity_alerts(state, layout, scenario, on_order or {}),
    ]


def recalls(trace: "Trace", layout: "Layout", t_ms: int | None = None) -> list[Recall]:
    """How each recall stands at an instant (ms; None: at the end of the facts), in the order of recall."""
    state = state_at(trace, layout, t_ms)
    told = {name: _until(trace.table(name), state.t_ms) for name in (
        "lot_recalled", "box_left", "box_dug", "task_created",
    )}  # fmt: skip
    left, dug, tasks = told["box_left"], told["box_dug"], told["task_created"]
    found = []
    for lot, since, boxes in zip(
        *(told["lot_recalled"][name].tolist() for name in ("lot", "time_ms", "boxes")), strict=True
    ):
        of_lot = state.lot == lot
        ours = state.box[of_lot]
        out = np.isin(left["box"], ours) & (left["cause"] == RECALLED)
        still = of_lot & (state.recorded_mask != 0)
        is_missing = still & (state.recorded_place == layout.outside)
        numbers = tasks["task"][np.isin(tasks["box"], ours)]
        digs = np.isin(dug["task"], numbers) & (dug["time_ms"] >= since)
        found.append(
            Recall(
                lot, since, boxes, int(out.sum()),
                int(left["time_ms"][out].max()) if out.any() else NONE,
                tuple(state.box[still].tolist()), tuple(state.box[is_missing].tolist()), int(digs.sum()),
            )
        )  # fmt: skip
    return found


def stock_report(
    trace: "Trace", layout: "Layout", scenario: "Scenario", *, t_ms: int | None = None, by: str = "sku"
) -> dict[str, Any]:
    """Stock and alerts at an instant (ms; None: at the end of the facts), JSON-ready.

    Keys: `t_ms`, `by`, `lines` (see `StockLine`), `alerts` (see `Alert`), `old` (see `OldBox`, with names)
    and `recalls` (see `Recall`).
    """
    state = state_at(trace, layout, t_ms)
    called = on_order(trace, layout, state)
    names = [sku.name for sku in scenario.skus]
    return {
        "t_ms": state.t_ms,
        "by": by,
        "lines": [line._asdict() for line in stock_lines(state, layout, scenario, by, called)],
        "alerts": [alert._asdict() for alert in alerts(state, layout, scenario, called)],
        "old": [
            {**box._asdict(), "sku": names[box.sku], "place": layout.place_name(box.place)}
            for box in old_boxes(state, layout, scenario)
        ],
        "recalls": [
            {**recall._asdict(), "lasted_ms": recall.lasted_ms} for recall in recalls(trace, layout, t_ms)
        ],
    }


def _age_alerts(state: "StoreState", layout: "Layout", scenario: "Scenario") -> Iterable[Alert]:
    old = old_boxes(state, layout, scenario)
    limits = (("red", scenario.demand.max_age_days), ("yellow", scenario.control.age_alert_days))
    for level, limit in limits:
        for number, sku in enumerate(scenario.skus):
            ours = [box for box in old if box.sku == number and box.is_red == (level == "red")]
            if ours:
                meters, age = sum(box.meters for box in ours), ours[0].age_days
                text = (
                    f"{meters} meters of {sku.name} in {len(ours)} boxes were verified up to {age} days ago"
                )
                yield Alert("red" if level == "red" else "yellow", "age", sku.name, age, limit, text)


def _safety_alerts(state: "StoreState", layout: "Layout", scenario: "Scenario") -> Iterable[Alert]:
    for line in stock_lines(state, layout, scenario):
        free = line.qualified - line.reserved
        if line.usable < 0:
            text = f"{free} meters of {line.key} are not promised, the safety stock is {line.safety}"
            yield Alert("yellow" if free > 0 else "red", "safety", line.key, free, line.safety, text)


def _capacity_alerts(
    state: "StoreState", layout: "Layout", scenario: "Scenario", on_order: "Mapping[int, int]"
) -> Iterable[Alert]:
    here = _in_store(state, layout) & (state.recorded_mask != 0)
    in_slot = here & (state.recorded_place < layout.slots)
    capacity = np.asarray(layout.capacity)
    device_of = np.asarray([_devices(scenario).index(sku.device) for sku in scenario.skus])
    of_box = device_of[state.sku]
    full = layout.full_boxes(len(scenario.skus))
    for number, device in enumerate(_devices(scenario)):
        takes = _takes(layout, device)
        others = in_slot & (of_box != number)
        others[others] = takes[state.recorded_place[others]]
        room = int(capacity[takes].sum()) - int(others.sum())
        coming: dict[int, int] = {}
        for sku, meters in on_order.items():
            if device_of[sku] == number:
                coming[full[sku]] = coming.get(full[sku], 0) + meters
        boxes = int((here & (of_box == number)).sum())
        arriving = sum(-(-meters // box) for box, meters in coming.items())
        if boxes + arriving > room:
            text = f"{boxes} boxes of {device} here and {arriving} on order have {room} places"
            level: Literal["yellow", "red"] = "red" if boxes > room else "yellow"
            yield Alert(level, "capacity", device, boxes + arriving, room, text)


def _groups(
    state: "StoreState", layout: "Layout", scenario: "Scenario", by: str
) -> "list[tuple[str, Flags]]":
    """The name and the rows of each SKU, lot or zone, of boxes that are here."""
    here = _in_store(state, layout)
    if by == "sku":
        return [(sku.name, here & (state.sku == number)) for number, sku in enumerate(scenario.skus)]
    if by == "lot":
        lots = np.unique(state.lot[here & (state.recorded_mask != 0)]).tolist()
        return [(str(lot), here & (state.lot == lot)) for lot in lots]
    if by != "zone":
        raise ValueError(f"expected one of {', '.join(BY)}, found {by!r}")
    names = zone_names(layout, scenario)
    zone_of = {name: number for number, name in enumerate(dict.fromkeys([*names, FLOOR]))}
    of_place = np.full(layout.places, zone_of[FLOOR])
    of_place[: layout.slots] = [zone_of[name] for name in names]
    of_box = of_place[state.recorded_place]
    return [(name, here & (of_box == number)) for name, number in zone_of.items()]


def zone_names(layout: "Layout", scenario: "Scenario") -> list[str]:
    """The zone of each slot: the device classes that it takes, joined by " + ", or "none"."""
    devices = _devices(scenario)
    takes = [_takes(layout, device).tolist() for device in devices]
    return [
        " + ".join(device for device, slots in zip(devices, takes, strict=True) if slots[slot]) or "none"
        for slot in range(layout.slots)
    ]


def _devices(scenario: "Scenario") -> list[str]:
    return list(dict.fromkeys(sku.device for sku in scenario.skus))


def _takes(layout: "Layout", device: str) -> "Flags":
    """Which slots take a device class, whatever a box weighs."""
    admits = layout.admits(device, 0)
    if admits is None:
        return np.ones(layout.slots, np.bool_)
    return np.frombuffer(admits, np.uint8).astype(np.bool_)


def _in_store(state: "StoreState", layout: "Layout") -> "Flags":
    """Which boxes are on record in the store."""
    away = (NONE, layout.truck, layout.outside, layout.handed_over)
    flags: Flags = ~np.isin(state.recorded_place, away)
    return flags


def _recorded_meters(state: "StoreState") -> "Ints":
    return np.bitwise_count(state.recorded_mask).astype(np.int64)


def _today(state: "StoreState", scenario: "Scenario") -> int:
    return scenario.time.start.toordinal() + state.t_ms // DAY_MS


def _is_removed(scenario: "Scenario", name: str) -> bool:
    return scenario.returns.share_here > 0 and scenario.returns.sku == name


def _until(table: "dict[str, Ints]", t_ms: int) -> "dict[str, Ints]":
    end = int(np.searchsorted(table["time_ms"], t_ms, side="right"))
    return {name: column[:end] for name, column in table.items()}
