"""What the API answers about the state of a run at an instant, worked out from its facts alone.

A view is a function of an `Instant` and a query; it gives plain values, ready for JSON. Every answer is what
the records say (`history.OnRecord`): of what nobody in the store knows nothing shows, and nothing can be
worked out; only the number of facts counts them all, and tells by that how much has happened. On the side of
the truth the same views tell what is true, and beside it what is recorded where
that differs. Names stand for numbers everywhere but in raw facts; tier columns and tiers count from 1, as on
stock lists; a null says that nothing applies. Lists come in pages by key: `after` is the last key that was
seen, `next` the one to ask with. `answers` describes each answer.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from api.answers import COUNT_STATUSES, ORDER_STATUSES, RACKS, SLOT_STATUSES, TASK_STATUSES
from sim import control
from sim.assets import METER_TYPE, STATE_CODES, STATES, UNIT, asset_number
from sim.calendar import DAY_MS, WorkCalendar
from sim.counting import METHODS, PLANS
from sim.facts import (
    ACTIVITIES,
    DIFFERENCES,
    ERRORS,
    FAULTS,
    KINDS,
    LOOKS,
    NONE,
    RETURNS,
    TASK_CLASSES,
    VERDICTS,
    WHYS,
    WORK,
)
from sim.following import Followed, Past
from sim.history import OnRecord, StoreState, by_records, by_truth, places_kept, slot_flags, state_at
from sim.kpis import KPIS, limits
from sim.layout import Layout, LayoutError
from sim.scenario import Scenario
from sim.tables import ORDER_CAUSES, RunFacts, is_first, look_up, meter_changes
from sim.trace import Columns, Trace
from sim.tracking import Event, Page, Run, Subject, TrackError, as_json, page_of, subject_of, track
from sim.words import near, one_of, show

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Row = dict[str, Any]
Query = Mapping[str, Any]

MOST_LISTED: Final = 200
"""A page has at most so many entries."""

LISTED: Final = 50
"""A page has so many entries when the query does not say."""

MOST_SLOTS: Final = 10_000
"""Slots are listed whole up to so many."""

KPIS_OF_TRUTH: Final = frozenset({
    "record_accuracy_location", "record_accuracy_box", "record_accuracy_meter", "errors_made", "errors_found",
    "errors_missed", "days_to_discovery",
})  # fmt: skip
"""KPIs that hold records against the truth, and so are none of the records. All others are worked out from
the facts on record, with boxes and meters where these have them."""


class NotFound(LookupError):  # noqa: N818 - it reads as what it is
    """A name that the run does not have, or a word that is none to choose from; the text is for people."""


class Kept:
    """What stays the same of one run from one instant to the next; whoever reads runs keeps it."""

    def __init__(self) -> None:
        self._fixed: _Fixed | None = None

    def fixed(self, scenario: Scenario, layout: Layout, names: Mapping[str, Any]) -> "_Fixed":
        """What is known of a run without its facts, made once."""
        if self._fixed is None:
            self._fixed = _Fixed(scenario, layout, names)
        return self._fixed


class _Fixed:
    """What is known of a run without its facts."""

    def __init__(self, scenario: Scenario, layout: Layout, names: Mapping[str, Any]) -> None:
        self.layout = layout
        self.scenario = scenario
        self.skus = [sku.name for sku in scenario.skus]
        full = layout.full_boxes(len(self.skus))
        self.names: dict[str, Any] = {
            "start": scenario.time.start.isoformat(), "full_boxes": full, "skus": self.skus, **names,
        }  # fmt: skip
        self.full = np.asarray(full, np.int64)
        self.capacity = np.asarray(layout.capacity, np.int64)
        self.start = datetime.combine(scenario.time.start, time())
        takes_removed = scenario.returns.share_here > 0
        self.removed_sku = self.skus.index(scenario.returns.sku or "") if takes_removed else NONE

    @cached_property
    def calendar(self) -> WorkCalendar:
        """The working time."""
        return WorkCalendar(self.scenario.calendar, self.scenario.time.start)

    @cached_property
    def zones(self) -> list[str]:
        """The zone of each slot."""
        return control.zone_names(self.layout, self.scenario)

    @cached_property
    def slots(self) -> list[Row]:
        """Each slot as far as it never changes."""
        layout = self.layout
        columns = (layout.row, layout.column, layout.level)
        grid = zip(*(column[: layout.slots].tolist() for column in columns), strict=True)
        return [
            {"slot": name, "row": row, "column": column, "level": level, "zone": zone}
            for name, zone, (row, column, level) in zip(layout.names, self.zones, grid, strict=False)
        ]

    @cached_property
    def listed(self) -> list[tuple[str, int]]:
        """The assets that a stock list has named, with their meters, by asset number."""
        n = self.layout.meters_per_box
        assets: Mapping[str, Sequence[str]] = self.names.get("assets", {})
        return sorted((asset, int(box) * n + k) for box, own in assets.items() for k, asset in enumerate(own))

    def own_from(self, box: int) -> int:
        """The first meter of a box that goes by the model's own number."""
        return len(self.names.get("assets", {}).get(str(box), ()))


@dataclass(frozen=True)
class _Traced:
    """What `tracking` wants to know of a run."""

    trace: Trace
    layout: Layout
    names: Mapping[str, Any]
    now_ms: int


class Instant:
    """One consistent instant of one run; everything is worked out when it is asked for, and kept.

    Parameters
    ----------
    run_id : the run, as paths name it.
    trace : its facts up to the instant, and none behind it; it may go on meanwhile.
    scenario, layout : of the run.
    names : what numbers stand for, as `Simulation.names` gives it.
    t_ms : the instant, in simulated milliseconds.
    side : whether answers tell what the records say, or the truth.
    keep : what is kept of the run between instants.
    """

    def __init__(
        self,
        run_id: str,
        trace: Followed | Past,
        scenario: Scenario,
        layout: Layout,
        names: Mapping[str, Any],
        t_ms: int,
        side: Literal["records", "truth"] = "records",
        keep: Kept | None = None,
    ) -> None:
        self.run_id = run_id
        self.trace = trace.until(len(trace)) if isinstance(trace, Followed) else trace
        self.scenario = scenario
        self.layout = layout
        self.t_ms = t_ms
        self.side = side
        self.fixed = (keep or Kept()).fixed(scenario, layout, names)
        self.facts = len(self.trace)
        """How many facts the run had."""

    def stamp(self) -> Row:
        """What every answer begins with: run, time, facts, side."""
        return {
            "run": self.run_id, "t_s": self.t_ms / 1000, "time": self.time(self.t_ms), "facts": self.facts,
            "view": self.side,
        }  # fmt: skip

    @cached_property
    def told(self) -> Trace:
        """The facts on the side of the answers: those on record, or all."""
        return OnRecord(self.trace) if self.side == "records" else self.trace

    @cached_property
    def run(self) -> Run:
        """The run with its names, for histories."""
        return Run.of(_Traced(self.told, self.layout, self.fixed.names, self.t_ms))

    @cached_property
    def both(self) -> StoreState:
        """The store on both sides."""
        return state_at(self.trace, self.layout, self.t_ms)

    @cached_property
    def state(self) -> StoreState:
        """The store on the side of the answers, as if the other were the same."""
        return by_records(self.both) if self.side == "records" else by_truth(self.both)

    def table(self, name: str) -> Columns:
        """The facts of one kind on the side of the answers."""
        return self.told.table(name)

    # -- words for numbers

    def time(self, ms: int) -> str | None:
        """A time as local ISO time, null when there is none."""
        if ms == NONE:
            return None
        try:
            return (self.fixed.start + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
        except OverflowError:
            return None

    def place(self, place: int) -> str | None:
        """The name of a place, null when there is none."""
        return None if place == NONE else self.run.place(place)

    def sku(self, sku: int) -> str:
        """The name of a SKU."""
        return self.run.named("skus", sku, "SKU")

    def station(self, station: int) -> str:
        """The name of a station."""
        return self.run.named("stations", station, "station")

    def carrier(self, robot: int) -> str | None:
        """The name of a robot or of a person who carries, null when there is none."""
        return None if robot == NONE else self.run.carrier(robot)

    @property
    def today(self) -> int:
        """The day, as an ordinal."""
        return self.scenario.time.start.toordinal() + self.t_ms // DAY_MS

    # -- numbers for words

    def number(self, kind: str, name: object) -> int:
        """The number of a meter, box, slot, lot, robot or order of this name. Raises NotFound."""
        try:
            return subject_of(self.run, f"{kind}:{name}").number
        except TrackError as error:
            raise NotFound(error.lines[0]) from None

    def place_of(self, name: object) -> int:
        """The number of a place of this name. Raises NotFound."""
        try:
            return self.layout.place(str(name))
        except LayoutError as error:
            raise NotFound(str(error)) from None

    def sku_of(self, name: object) -> int:
        """The number of a SKU of this name. Raises NotFound."""
        return self.fixed.skus.index(_one("sku", name, self.fixed.skus, "a SKU of this run"))

    def station_of(self, name: object) -> int:
        """The number of a station of this name, or with this number. Raises NotFound."""
        listed: Sequence[str] = self.fixed.names.get("stations", ())
        if str(name) in listed:
            return listed.index(str(name))
        number = str(name).removeprefix("station ")
        if number.isascii() and number.isdigit() and len(number) < 16:
            return int(number)
        expected = "the name or the number of a station"
        raise NotFound(f"station: expected {expected}, found {show(name)}{near(name, listed)}")

    # -- what several views need

    @cached_property
    def tasks(self) -> "_Tasks":
        """The tasks by number."""
        return _Tasks.of(self)

    @cached_property
    def orders(self) -> "_Orders":
        """The orders by number."""
        return _Orders.of(self)

    @cached_property
    def fates(self) -> "_Fates":
        """What has become of the meters of each box."""
        return _Fates.of(self)

    @cached_property
    def slot_columns(self) -> dict[str, NDArray[Any]]:
        """What `slot_columns` gives."""
        state, slots = self.state, self.layout.slots
        inside = np.flatnonzero((state.place >= 0) & (state.place < slots))
        place = state.place[inside]
        blocked, held = slot_flags(self.trace, self.layout)
        return {
            "boxes": np.bincount(place, minlength=slots),
            "reserved": places_kept(self.trace, self.layout),
            "meters": np.bincount(place, state.meters[inside], slots).astype(np.int64),
            "blocked": blocked,
            "held": held,
        }


def slot_columns(instant: Instant) -> dict[str, NDArray[Any]]:
    """What stands in each slot, (slots,): boxes, places kept (`reserved`), meters, `blocked`, `held`."""
    return instant.slot_columns


# --- queries ---------------------------------------------------------------------------------------------


def _one(key: str, value: object, choices: Collection[str], expected: str = "") -> str:
    """A value that is one of some words. Raises NotFound."""
    if not isinstance(value, str) or value not in choices:
        wanted = expected or one_of(list(choices))
        raise NotFound(f"{key}: expected {wanted}, found {show(value)}{near(value, choices)}")
    return value


def _code(key: str, query: Query, names: Sequence[str]) -> int | None:
    """The number of a word in a query, None when it is not asked for."""
    value = query.get(key)
    return None if value is None else names.index(_one(key, value, names))


def _limit(query: Query, usual: int = LISTED, most: int = MOST_LISTED) -> int:
    limit = query.get("limit")
    return usual if limit is None else max(1, min(int(limit), most))


def _page(query: Query, keys: Ints, limit: int) -> tuple[Ints, int | None]:
    """Which of some ascending keys are on the page, by their places, and the key to go on from."""
    after = query.get("after")
    first = 0 if after is None else int(np.searchsorted(keys, int(after), side="right"))
    rows = np.arange(first, min(first + limit, keys.size))
    return rows, int(keys[rows[-1]]) if rows.size and first + limit < keys.size else None


def _listed(
    instant: Instant,
    name: str,
    query: Query,
    keys: Ints,
    chosen: Flags,
    rows: Callable[[Ints], list[Row]],
    *,
    limit: int | None = None,
) -> Row:
    """The answer with a page of what is chosen among all that have ascending keys."""
    at = np.flatnonzero(chosen)
    on_page, following = _page(query, keys[at], _limit(query) if limit is None else limit)
    return {**instant.stamp(), name: rows(at[on_page]), "next": following}


def _seconds(ms: int) -> float | None:
    return None if ms == NONE else ms / 1000


def _day(ordinal: int) -> str | None:
    return date.fromordinal(ordinal).isoformat() if 0 < ordinal <= date.max.toordinal() else None


def _number(value: int) -> int | None:
    return None if value == NONE else value


def _from_one(value: int) -> int | None:
    return None if value == NONE else value + 1


def _name(names: Sequence[str], number: int) -> str | None:
    return names[number] if 0 <= number < len(names) else None


def _lists(columns: Iterable[NDArray[Any]]) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns, as plain values."""
    return zip(*(column.tolist() for column in columns), strict=True)


# --- slots -----------------------------------------------------------------------------------------------


def slots(instant: Instant, query: Query) -> Row:
    """Every slot with what stands in it, up to 10,000 of them at a time.

    Keys: status, row, sku, min_fill; limit, after.
    """
    columns, fixed = slot_columns(instant), instant.fixed
    boxes, capacity = columns["boxes"], fixed.capacity
    status = _slot_status(columns, capacity)
    chosen = np.ones(boxes.size, np.bool_)
    wanted = _code("status", query, SLOT_STATUSES)
    if wanted is not None:
        chosen &= status == wanted
    if query.get("row") is not None:
        row = int(query["row"])
        if not 1 <= row <= instant.layout.rows:
            raise NotFound(f"row: expected a row from 1 to {instant.layout.rows}, found {row}")
        chosen &= instant.layout.row[: boxes.size] == row
    if query.get("sku") is not None:
        chosen &= np.isin(np.arange(boxes.size), instant.state.place[_of_sku(instant, query["sku"])])
    if query.get("min_fill") is not None:
        chosen &= (capacity > 0) & (boxes >= float(query["min_fill"]) * capacity)
    return _listed(
        instant, "slots", query, np.arange(boxes.size), chosen,
        lambda at: _slot_rows(instant, at, status), limit=_limit(query, MOST_SLOTS, MOST_SLOTS),
    )  # fmt: skip


def _of_sku(instant: Instant, name: object) -> Flags:
    flags: Flags = instant.state.sku == instant.sku_of(name)
    return flags


def _slot_status(columns: Mapping[str, NDArray[Any]], capacity: Ints) -> Ints:
    """The place of each slot's status in SLOT_STATUSES, (slots,)."""
    taken = columns["boxes"] + columns["reserved"]
    empty, open_, full, held, blocked, none = range(len(SLOT_STATUSES))
    return np.select(
        [capacity == 0, columns["blocked"], columns["held"], taken == 0, taken >= capacity],
        [none, blocked, held, empty, full],
        open_,
    )


def _slot_rows(instant: Instant, rows: Ints, status: Ints) -> list[Row]:
    columns, fixed, state = slot_columns(instant), instant.fixed, instant.state
    inside = (state.place >= 0) & (state.place < instant.layout.slots)
    skus: dict[int, list[str]] = {}
    many = len(fixed.skus) + 1
    for pair in np.unique(state.place[inside] * many + state.sku[inside]).tolist():
        skus.setdefault(pair // many, []).append(instant.sku(pair % many))
    values = [columns[name][rows] for name in ("boxes", "reserved", "meters")]
    return [
        {
            **fixed.slots[slot], "status": SLOT_STATUSES[code], "boxes": boxes, "capacity": capacity,
            "reserved": reserved, "meters": meters, "fill": round(boxes / max(capacity, 1), 4),
            "skus": skus.get(slot, []),
        }
        for slot, code, capacity, boxes, reserved, meters in _lists(
            [rows, status[rows], fixed.capacity[rows], *values]
        )
    ]  # fmt: skip


def slot(instant: Instant, query: Query) -> Row:
    """One slot; its `boxes` are those in it, from the lowest of the first tier column on. Key: slot."""
    number = instant.number("slot", query["slot"])
    layout, state = instant.layout, instant.state
    status = _slot_status(slot_columns(instant), instant.fixed.capacity)
    [row] = _slot_rows(instant, np.array([number]), status)
    here = np.flatnonzero(state.place == number)
    here = here[np.lexsort((state.tier[here], state.column[here]))]
    inside = _box_rows(instant, here)
    counted = instant.table("slot_counted")
    at = np.flatnonzero(counted["slot"] == number)
    expires = [each["expires_on"] for each in inside if each["expires_on"] is not None]
    return {
        **instant.stamp(), **row, "aisle": layout.aisle[number] + 1,
        **{f"{axis}_m": int(getattr(layout, f"{axis}_mm")[number]) / 1000 for axis in "xyz"},
        "boxes": [{key: value for key, value in each.items() if key != "place"} for each in inside],
        "last_count": _look(instant, counted, int(at[-1])) if at.size else None,
        "expires_on": min(expires, default=None),
    }  # fmt: skip


def _look(instant: Instant, counted: Columns, row: int) -> Row:
    """A look at a slot for a count."""
    look = {name: int(column[row]) for name, column in counted.items()}
    return {
        "t_s": look["time_ms"] / 1000, "time": instant.time(look["time_ms"]), "count": look["count"],
        "slot": instant.place(look["slot"]), "look": look["look"] + 1,
        "method": _name(tuple(METHODS), look["method"]), "by": instant.carrier(look["robot"]),
        "recorded": look["recorded"], "seen": look["seen"],
    }  # fmt: skip


def racks(instant: Instant, query: Query) -> Row:
    """One value for each slot, in the order of `slots`, by which racks are coloured. Key: by."""
    by = _one("by", query.get("by", "boxes"), RACKS)
    if by == "differs" and instant.side == "records":
        raise NotFound("by: expected view=truth beside 'differs', which no record tells")
    found = _RACKS[by](instant)
    values = [None if value == NONE else value for value in found.tolist()]
    keys = instant.fixed.skus if by == "sku" else None
    return {**instant.stamp(), "by": by, "unit": RACKS[by], "keys": keys, "values": values}


def _boxes_by_slot(instant: Instant) -> Ints:
    boxes: Ints = slot_columns(instant)["boxes"]
    return boxes


def _oldest_by_slot(instant: Instant) -> Ints:
    """Age in days of the oldest verification in each slot, NONE where nothing in it ages."""
    state, slots = instant.state, instant.layout.slots
    here = np.flatnonzero((state.place >= 0) & (state.place < slots) & _is_dated(instant))
    age = np.full(slots, NONE)
    np.maximum.at(age, state.place[here], instant.today - state.verified_day[here])
    return age


def _sku_by_slot(instant: Instant) -> Ints:
    """The SKU of most boxes in each slot, the first of several; NONE where there is none."""
    state, slots, skus = instant.state, instant.layout.slots, len(instant.fixed.skus)
    here = np.flatnonzero((state.place >= 0) & (state.place < slots))
    key = state.place[here] * skus + state.sku[here]
    many = np.bincount(key, minlength=slots * skus).reshape(slots, skus)
    return np.where(many.any(axis=1), many.argmax(axis=1), NONE)


def _visits_by_slot(instant: Instant) -> Ints:
    """Boxes that were set down in each slot or taken from it so far."""
    moved, slots = instant.table("box_moved"), instant.layout.slots
    since = moved["time_ms"] > 0  # the opening is no visit
    places = np.concatenate([moved["from_place"][since], moved["to_place"][since]])
    return np.bincount(places[(places >= 0) & (places < slots)], minlength=slots)


def _last_count_by_slot(instant: Instant) -> Ints:
    """By how many boxes the last look at each slot and the records parted; NONE where nobody has looked."""
    counted = instant.table("slot_counted")
    apart = np.full(instant.layout.slots, NONE)
    apart[counted["slot"]] = np.abs(counted["seen"] - counted["recorded"])  # of several the last stays
    return apart


def _differs_by_slot(instant: Instant) -> Ints:
    """Boxes that are in each slot by truth or records alone, or hold other meters than recorded."""
    both, slots = instant.both, instant.layout.slots
    is_astray = both.place != both.recorded_place
    is_other = ~is_astray & (both.mask != both.recorded_mask)
    places = np.concatenate([both.place[is_astray | is_other], both.recorded_place[is_astray]])
    return np.bincount(places[(places >= 0) & (places < slots)], minlength=slots)


_RACKS: Final[dict[str, Callable[[Instant], Ints]]] = {
    "boxes": _boxes_by_slot,
    "age": _oldest_by_slot,
    "sku": _sku_by_slot,
    "visits": _visits_by_slot,
    "count": _last_count_by_slot,
    "differs": _differs_by_slot,
}
"""What racks can be coloured by, `answers.RACKS`."""


# --- boxes -----------------------------------------------------------------------------------------------


def boxes(instant: Instant, query: Query) -> Row:
    """The boxes that the run ever had, by number.

    Keys: status, sku, lot, slot, place, in_store, verified_before, min_age_days; limit, after.
    """
    state = instant.state
    chosen = _boxes_of(instant, query)
    for place in _places_asked(instant, query):
        chosen &= state.place == place
    status = _code("status", query, STATES)
    if status is not None:
        chosen &= state.state == status
    return _listed(instant, "boxes", query, state.box, chosen, lambda at: _box_rows(instant, at))


def _places_asked(instant: Instant, query: Query) -> list[int]:
    """The places by which a query asks, as a slot or as any place."""
    places = [] if query.get("slot") is None else [instant.number("slot", query["slot"])]
    return places if query.get("place") is None else [*places, instant.place_of(query["place"])]


def _boxes_of(instant: Instant, query: Query) -> Flags:
    """The boxes that a query asks for by what they hold."""
    state = instant.state
    chosen = np.ones(state.box.size, np.bool_)
    if query.get("sku") is not None:
        chosen &= _of_sku(instant, query["sku"])
    if query.get("lot") is not None:
        chosen &= state.lot == instant.number("lot", query["lot"])
    if query.get("in_store") is not None:
        chosen &= _in_store(instant) == bool(query["in_store"])
    if query.get("verified_before") is not None:
        chosen &= _is_dated(instant) & (state.verified_day < _ordinal(query["verified_before"]))
    if query.get("min_age_days") is not None:
        age = instant.today - state.verified_day
        chosen &= _is_dated(instant) & (age >= int(query["min_age_days"]))
    return chosen


def _ordinal(day: object) -> int:
    try:
        return (day if isinstance(day, date) else date.fromisoformat(str(day))).toordinal()
    except ValueError:
        expected = "verified_before: expected a date as 2026-03-02"
        raise NotFound(f"{expected}, found {show(day)}") from None


def _in_store(instant: Instant) -> Flags:
    """Which boxes are in the store: not on a truck, not gone, not missing."""
    layout, state = instant.layout, instant.state
    away = np.isin(state.place, (NONE, layout.truck, layout.outside, layout.handed_over))
    flags: Flags = ~away
    return flags


def _is_dated(instant: Instant) -> Flags:
    """Which boxes hold meters whose day of verification is known: all but those removed from customers."""
    flags: Flags = instant.state.sku != instant.fixed.removed_sku
    return flags


def _box_rows(instant: Instant, rows: Ints) -> list[Row]:
    """Boxes as they are listed."""
    state, both, run = instant.state, instant.both, instant.run
    received = instant.table("box_received")
    scanned = look_up(received["box"], received["time_ms"], state.box[rows])
    missing = (both.recorded_place == instant.layout.outside) & (both.recorded_mask != 0)
    columns = (
        state.box, state.sku, state.lot, state.meters, state.reserved, state.order, state.state, state.place,
        state.column, state.tier, state.verified_day, _is_dated(instant), missing,
    )  # fmt: skip
    found = []
    for at, scan, values in zip(
        rows.tolist(), scanned.tolist(), _lists(column[rows] for column in columns), strict=True
    ):
        box, sku, lot, meters, reserved, order, code, place, column, tier, day, is_dated, is_missing = values
        row: Row = {
            "box": run.box(box), "sku": instant.sku(sku), "lot": run.lot(lot), "meters": meters,
            "capacity": run.full(sku), "reserved": reserved, "order": _number(order),
            "status": STATES[code], "place": run.place(place), "column": _from_one(column),
            "tier": _from_one(tier), "missing": bool(is_missing),
            **_dates(instant, day if is_dated else NONE), "received_s": _seconds(scan),
        }  # fmt: skip
        if instant.side == "truth":
            row |= _on_record(instant, at)
        found.append(row)
    return found


def _dates(instant: Instant, verified_day: int) -> Row:
    """The day of a verification, its age, and the last day on which it is good for issue."""
    if verified_day == NONE:
        return {"verified_on": None, "age_days": None, "expires_on": None}
    last = verified_day + instant.scenario.demand.max_age_days
    return {
        "verified_on": _day(verified_day), "age_days": instant.today - verified_day, "expires_on": _day(last),
    }  # fmt: skip


def _on_record(instant: Instant, row: int) -> Row:
    """Where the records have a box, and how many meters in it, where that is not the truth."""
    both, nowhere = instant.both, (NONE, NONE, NONE)
    true, recorded = (
        tuple(int(column[row]) for column in columns)
        for columns in (
            (both.place, both.column, both.tier),
            (both.recorded_place, both.recorded_column, both.recorded_tier),
        )
    )
    place, column, tier = nowhere if true == recorded else recorded
    is_told = both.mask[row] == both.recorded_mask[row]
    return {
        "recorded_place": instant.place(place), "recorded_column": _from_one(column),
        "recorded_tier": _from_one(tier),
        "recorded_meters": None if is_told else int(both.recorded_mask[row]).bit_count(),
    }  # fmt: skip


def box(instant: Instant, query: Query) -> Row:
    """One box: where it is, what it holds, who is promised it. Key: box."""
    number = instant.number("box", query["box"])
    [at] = np.flatnonzero(instant.state.box == number)
    [row] = _box_rows(instant, np.array([at]))
    mask, first = int(instant.state.mask[at]), number * instant.layout.meters_per_box
    return {
        **instant.stamp(), **row, "received_time": instant.time(_ms(row["received_s"])),
        "assets": [instant.run.meter(first + k) for k in range(mask.bit_length()) if mask >> k & 1],
        "reserved_for": _promises_of(instant, number) if row["reserved"] else [],
        "task": instant.tasks.of_box(number),
        **_told_last(instant, Subject("box", number)),
    }  # fmt: skip


def _ms(seconds: float | None) -> int:
    return NONE if seconds is None else round(seconds * 1000)


def _promises_of(instant: Instant, box: int) -> list[Row]:
    """The orders that meters of a box are reserved for."""
    back = instant.table("box_came_back")
    since = int(back["seq"][back["box"] == box].max(initial=NONE))
    orders: dict[int, int] = {}
    for name, sign in (("box_reserved", 1), ("box_freed", -1), ("meters_picked", -1)):
        told = instant.table(name)
        own = (told["box"] == box) & (told["seq"] > since)
        meters = told["meters"] if "meters" in told else np.bitwise_count(told["mask"]).astype(np.int64)
        for order, number in _lists([told["order"][own], meters[own]]):
            orders[order] = orders.get(order, 0) + sign * number
    return [{"order": order, "meters": meters} for order, meters in sorted(orders.items()) if meters > 0]


def _told_last(instant: Instant, subject: Subject) -> Row:
    """The sentence on a subject, and the last thing that happened to it."""
    story = track(instant.run, subject, last=1)
    last = _event(instant, story.events[-1]) if story.events else None
    return {"sentence": story.sentence, "last_event": last}


# --- meters ----------------------------------------------------------------------------------------------

_ISSUED: Final = STATE_CODES["issued_pending_install"]
_RESERVED: Final = STATE_CODES["reserved"]
_PENDING_SCRAP: Final = STATE_CODES["pending_scrap"]
_LOST: Final = STATE_CODES["lost"]
_OWN_NUMBER: Final = UNIT + METER_TYPE
_SERIAL_END: Final = 21


class _Fates(NamedTuple):
    """What has become of the meters with which each box came, as masks, (boxes,).

    A meter is in its box, or was issued, picked and not handed over yet, taken out as scrap, or left with the
    box otherwise; or the box was opened and it was not in it (`lost`).
    """

    inside: Ints
    issued: Ints
    picked: Ints
    scrapped: Ints
    left: Ints
    lost: Ints

    @classmethod
    def of(cls, instant: Instant) -> "_Fates":
        state = instant.state
        boxes = state.box
        created, back = instant.table("box_created"), instant.table("box_came_back")
        came = (np.int64(1) << look_up(created["box"], created["meters"], boxes)) - 1
        since = look_up(back["box"], back["seq"], boxes)

        def out(name: str) -> Ints:
            told, mask = instant.table(name), np.zeros_like(boxes)
            row = np.searchsorted(boxes, told["box"])
            late = told["seq"] > since[row]
            np.bitwise_or.at(mask, row[late], told["mask"][late])
            return mask

        rest = came & ~state.mask
        parts = {}
        for name in ("issued", "scrapped", "picked"):
            parts[name] = rest & out(f"meters_{name}")
            rest = rest & ~parts[name]
        left = rest & cls._taken_along(instant, since)
        return cls(state.mask, parts["issued"], parts["picked"], parts["scrapped"], left, rest & ~left)

    @staticmethod
    def _taken_along(instant: Instant, since: Ints) -> Ints:
        """The meters with which each box left the store otherwise than by an order, and is gone still."""
        boxes, left = instant.state.box, instant.table("box_left")
        gone = np.zeros_like(boxes)
        if not left["box"].size:
            return gone
        if isinstance(instant.told, OnRecord):
            changes = instant.told.masks()
            mask = changes["record"]
        else:
            changes = meter_changes(instant.trace.table)
            mask = changes["truth"]
        before = np.append(0, mask[:-1])
        before[is_first(changes["box"])] = 0
        scale = instant.facts + 1
        at = np.searchsorted(changes["box"] * scale + changes["seq"], left["box"] * scale + left["seq"])
        row = np.searchsorted(boxes, left["box"])
        late = left["seq"] > since[row]
        gone[row[late]] = before[at[late]]
        return gone

    def at(self, row: int, k: int) -> str:
        """The fate of meter k of a box."""
        return next(name for name, masks in self._asdict().items() if int(masks[row]) >> k & 1)


_STATE_OF_FATE: Final = {
    "issued": _ISSUED, "picked": _RESERVED, "scrapped": _PENDING_SCRAP, "lost": _LOST,
}  # fmt: skip
"""The asset state of meters that are not with their box; the others have that of the box."""


def meters(instant: Instant, query: Query) -> Row:
    """The meters that the run ever had, by asset number.

    Keys: status, sku, lot, slot, place, in_store, verified_before, min_age_days; limit, after.
    """
    eligible = _meters_of(instant, query)
    limit, after = _limit(query), str(query.get("after") or "")
    found = sorted([
        *_first(_listed_meters(instant, eligible, after), limit + 1),
        *_first(_own_meters(instant, eligible, after), limit + 1),
    ])  # fmt: skip
    on_page = found[:limit]
    following = on_page[-1][0] if len(found) > limit else None
    return {
        **instant.stamp(), "meters": _meter_rows(instant, [meter for _, meter in on_page]), "next": following,
    }  # fmt: skip


def _first(found: Iterator[tuple[str, int]], many: int) -> list[tuple[str, int]]:
    return [pair for pair, _ in zip(found, range(many), strict=False)]


def _meters_of(instant: Instant, query: Query) -> Ints:
    """The meters of each box that a query asks for, as masks."""
    state, fates, layout = instant.state, instant.fates, instant.layout
    places = _places_asked(instant, query)
    status = _code("status", query, STATES)
    in_store = query.get("in_store")
    eligible = np.zeros_like(state.box)
    elsewhere = {"issued": layout.handed_over, "picked": layout.pick_station}
    for name, masks in fates._asdict().items():
        is_with_box = name in ("inside", "left")
        states = state.state if is_with_box else np.full_like(state.state, _STATE_OF_FATE[name])
        where = state.place if is_with_box else np.full_like(state.place, elsewhere.get(name, NONE))
        chosen = np.ones(state.box.size, np.bool_)
        for place in places:
            chosen &= where == place
        if status is not None:
            chosen &= states == status
        if in_store is not None:
            here = _in_store(instant) if name == "inside" else np.full(chosen.size, name == "picked")
            chosen &= here == bool(in_store)
        eligible |= masks * chosen
    boxes = _boxes_of(instant, {key: value for key, value in query.items() if key != "in_store"})
    return eligible * boxes


def _own_meters(instant: Instant, eligible: Ints, after: str) -> Iterator[tuple[str, int]]:
    """The eligible meters that go by the model's own numbers, behind an asset number."""
    n, fixed = instant.layout.meters_per_box, instant.fixed
    first = 0
    if after[: len(_OWN_NUMBER)] > _OWN_NUMBER:
        return
    if after.startswith(_OWN_NUMBER):
        first = int(after[len(_OWN_NUMBER) : _SERIAL_END].ljust(_SERIAL_END - len(_OWN_NUMBER), "0"))
    boxes = instant.state.box
    rows = np.flatnonzero(eligible)
    for row in rows[np.searchsorted(boxes[rows], first // n) :].tolist():
        box, mask = int(boxes[row]), int(eligible[row])
        for k in range(fixed.own_from(box), mask.bit_length()):
            if mask >> k & 1 and box * n + k >= first:
                asset = asset_number(box * n + k)
                if asset > after:
                    yield asset, box * n + k


def _listed_meters(instant: Instant, eligible: Ints, after: str) -> Iterator[tuple[str, int]]:
    """The eligible meters that a stock list has named, behind an asset number."""
    listed, n, boxes = instant.fixed.listed, instant.layout.meters_per_box, instant.state.box
    for asset, meter in listed[bisect_right(listed, after, key=lambda pair: pair[0]) :]:
        row = int(np.searchsorted(boxes, meter // n))
        if row < boxes.size and int(eligible[row]) >> (meter % n) & 1:
            yield asset, meter


def _meter_rows(instant: Instant, numbers: Sequence[int]) -> list[Row]:
    """Meters as they are listed."""
    n, layout, run = instant.layout.meters_per_box, instant.layout, instant.run
    boxes = sorted({meter // n for meter in numbers})
    rows = np.searchsorted(instant.state.box, boxes)
    of_box = dict(zip(boxes, _box_rows(instant, rows), strict=True))
    row_of = dict(zip(boxes, rows.tolist(), strict=True))
    orders = _orders_of_meters(instant, boxes)
    found = []
    for meter in numbers:
        number, k = divmod(meter, n)
        box, fate = of_box[number], instant.fates.at(row_of[number], k)
        is_with_box = fate in ("inside", "left")
        elsewhere = {"issued": layout.handed_over, "picked": layout.pick_station}.get(fate, NONE)
        row = {
            "asset": run.meter(meter), "box": box["box"], "in_box": fate == "inside", "sku": box["sku"],
            "lot": box["lot"],
            "status": box["status"] if is_with_box else STATES[_STATE_OF_FATE[fate]],
            "place": box["place"] if is_with_box else instant.place(elsewhere),
            "column": box["column"] if is_with_box else None, "tier": box["tier"] if is_with_box else None,
            "missing": box["missing"] and fate == "inside",
            "order": box["order"] if fate == "inside" else orders.get((fate, number, k)),
            "verified_on": box["verified_on"], "age_days": box["age_days"], "expires_on": box["expires_on"],
        }  # fmt: skip
        if instant.side == "truth":
            is_recorded = bool(int(instant.both.recorded_mask[row_of[number]]) >> k & 1)
            row |= {name: box[name] for name in ("recorded_place", "recorded_column", "recorded_tier")}
            row["recorded_in_box"] = None if is_recorded == row["in_box"] else is_recorded
        found.append(row)
    return found


def _orders_of_meters(instant: Instant, boxes: Sequence[int]) -> dict[tuple[str, int, int], int]:
    """The orders for which meters of some boxes were picked or issued last, by fate, box and meter."""
    orders: dict[tuple[str, int, int], int] = {}
    for fate in ("picked", "issued"):
        told = instant.table(f"meters_{fate}")
        own = np.isin(told["box"], boxes)
        for box, order, mask in _lists(told[name][own] for name in ("box", "order", "mask")):
            orders |= {(fate, box, k): order for k in range(mask.bit_length()) if mask >> k & 1}
    return orders


def meter(instant: Instant, query: Query) -> Row:
    """One meter: where it is, and in which state. Key: asset."""
    number = instant.number("meter", query["asset"])
    [row] = _meter_rows(instant, [number])
    return {**instant.stamp(), **row, **_told_last(instant, Subject("meter", number))}


# --- lots ------------------------------------------------------------------------------------------------


def lots(instant: Instant, query: Query) -> Row:
    """The lots that came, by number. Keys: sku, verified_before, recalled; limit, after."""
    created = instant.table("lot_created")
    order = np.argsort(created["lot"], kind="stable")
    table = {name: column[order] for name, column in created.items()}
    chosen = np.ones(order.size, np.bool_)
    if query.get("sku") is not None:
        chosen &= table["sku"] == instant.sku_of(query["sku"])
    if query.get("verified_before") is not None:
        chosen &= table["verified_day"] < _ordinal(query["verified_before"])
    if query.get("recalled") is not None:
        is_recalled = np.isin(table["lot"], instant.table("lot_recalled")["lot"])
        chosen &= is_recalled == bool(query["recalled"])
    return _listed(instant, "lots", query, table["lot"], chosen, lambda at: _lot_rows(instant, table, at))


def _lot_rows(instant: Instant, table: Columns, rows: Ints) -> list[Row]:
    state, layout, recalled = instant.state, instant.layout, instant.table("lot_recalled")
    in_store = _in_store(instant) & (state.mask != 0)
    on_truck = state.place == layout.truck
    missing = (state.place == layout.outside) & (state.mask != 0)
    found = []
    for lot, sku, maker, day in _lists(table[name][rows] for name in ("lot", "sku", "maker", "verified_day")):
        own = state.lot == lot
        counts = {
            name: int((own & flags).sum())
            for name, flags in (("in_store", in_store), ("on_truck", on_truck), ("missing", missing))
        }
        boxes = int(own.sum())
        found.append({
            "lot": instant.run.lot(lot), "sku": instant.sku(sku), "maker": _number(maker),
            "verified_from": None if sku == instant.fixed.removed_sku else _day(day), "boxes": boxes,
            **counts, "gone": boxes - sum(counts.values()),
            "meters": int(state.meters[own & in_store].sum()),
            "recalled": bool((recalled["lot"] == lot).any()),
        })  # fmt: skip
    return found


def lot(instant: Instant, query: Query) -> Row:
    """One lot, and how far its recall is. Key: lot."""
    number = instant.number("lot", query["lot"])
    created = instant.table("lot_created")
    [row] = _lot_rows(instant, created, np.flatnonzero(created["lot"] == number)[:1])
    recall = None
    if row["recalled"]:
        told = control.recalls(instant.trace, instant.layout, instant.t_ms)
        recall = _recall(instant, next(each for each in told if each.lot == number))
    return {**instant.stamp(), **row, "recall": recall}


def _recall(instant: Instant, recall: control.Recall) -> Row:
    box = instant.run.box
    return {
        "t_s": recall.recalled_ms / 1000, "time": instant.time(recall.recalled_ms), "boxes": recall.boxes,
        "left": recall.left, "last_left_s": _seconds(recall.last_ms), "open": [box(b) for b in recall.open],
        "missing": [box(b) for b in recall.missing], "digs": recall.digs,
        "lasted_s": _seconds(recall.lasted_ms),
    }  # fmt: skip


# --- stock -----------------------------------------------------------------------------------------------


def stock(instant: Instant, query: Query) -> Row:
    """Stock by SKU, lot or zone, what is to be acted on, and how much is old. Key: by."""
    by = _one("by", query.get("by") or "sku", control.BY)
    state, layout, scenario = instant.state, instant.layout, instant.scenario
    called = control.on_order(instant.told, layout, state)
    lines = [line._asdict() for line in control.stock_lines(state, layout, scenario, by, called)]
    if by == "lot":
        for line in lines:
            line["key"] = instant.run.lot(int(line["key"]))
    old = control.old_boxes(state, layout, scenario)
    return {
        **instant.stamp(), "by": by, "lines": lines,
        "alerts": [alert._asdict() for alert in control.alerts(state, layout, scenario, called)],
        "old_boxes": len(old), "overdue_boxes": sum(each.is_red for each in old),
    }  # fmt: skip


# --- tasks -----------------------------------------------------------------------------------------------

_WAITING, _ASSIGNED, _DONE, _CANCELLED = range(len(TASK_STATUSES))


class _Tasks(NamedTuple):
    """The tasks by number, (tasks,); `target` is where the box is to go, NONE while no slot is named."""

    task: Ints
    kind: Ints
    box: Ints
    order: Ints
    source: Ints
    target: Ints
    status: Ints
    robot: Ints
    created_ms: Ints
    assigned_ms: Ints
    ended_ms: Ints

    @classmethod
    def of(cls, instant: Instant) -> "_Tasks":
        created = instant.table("task_created")
        by_number = np.argsort(created["task"], kind="stable")
        made = {name: column[by_number] for name, column in created.items()}
        task = made["task"]
        assigned, returned, done, cancelled, allocated = (instant.table(name) for name in (
            "task_assigned", "task_returned", "task_done", "task_cancelled", "slot_allocated",
        ))  # fmt: skip

        def last(told: Columns, name: str) -> Ints:
            return look_up(told["task"], told[name], task)

        ends = [last(told, "time_ms") for told in (done, cancelled)]
        is_assigned = last(assigned, "seq") > last(returned, "seq")
        status = np.select(
            [ends[0] != NONE, ends[1] != NONE, is_assigned], [_DONE, _CANCELLED, _ASSIGNED], _WAITING
        )
        robot = np.select(
            [status == _DONE, status == _ASSIGNED], [last(done, "robot"), last(assigned, "robot")], NONE
        )
        slot = last(allocated, "slot")
        return cls(
            task, made["task_class"], made["box"], made["order"], made["from_place"],
            np.where(slot == NONE, made["to_place"], slot), status, robot, made["time_ms"],
            np.where(status == _WAITING, NONE, last(assigned, "time_ms")),
            np.where(status == _DONE, ends[0], ends[1]),
        )  # fmt: skip

    def of_box(self, box: int) -> int | None:
        """The task that a box has now."""
        rows = np.flatnonzero((self.box == box) & (self.status < _DONE))
        return int(self.task[rows[-1]]) if rows.size else None


def tasks(instant: Instant, query: Query) -> Row:
    """The tasks of robots and of people who carry, by number.

    Keys: status, class, robot, order, box, slot (from or to it), sku, lot (of its box); limit, after.
    """
    told = instant.tasks
    chosen = np.ones(told.task.size, np.bool_)
    for key, names, column in (("status", TASK_STATUSES, told.status), ("class", TASK_CLASSES, told.kind)):
        wanted = _code(key, query, names)
        if wanted is not None:
            chosen &= column == wanted
    for key, column in (("robot", told.robot), ("order", told.order), ("box", told.box)):
        if query.get(key) is not None:
            chosen &= column == instant.number(key, query[key])
    if query.get("slot") is not None:
        place = instant.number("slot", query["slot"])
        chosen &= (told.source == place) | (told.target == place)
    state = instant.state
    if query.get("sku") is not None:
        chosen &= np.isin(told.box, state.box[state.sku == instant.sku_of(query["sku"])])
    if query.get("lot") is not None:
        chosen &= np.isin(told.box, state.box[state.lot == instant.number("lot", query["lot"])])
    return _listed(instant, "tasks", query, told.task, chosen, lambda at: _task_rows(instant, at))


def _task_rows(instant: Instant, rows: Ints) -> list[Row]:
    found = []
    for values in _lists(column[rows] for column in instant.tasks):
        task, kind, box, order, source, target, status, robot, created, assigned, ended = values
        found.append({
            "task": task, "class": _name(TASK_CLASSES, kind), "status": TASK_STATUSES[status],
            "box": None if box == NONE else instant.run.box(box), "order": _number(order),
            "robot": instant.carrier(robot), "from_place": instant.place(source),
            "to_place": instant.place(target), "created_s": created / 1000, "assigned_s": _seconds(assigned),
            "ended_s": _seconds(ended),
        })  # fmt: skip
    return found


_STEPS: Final = {
    "task_created": "created", "slot_allocated": "allocated", "task_assigned": "assigned",
    "task_returned": "returned", "task_done": "done", "task_cancelled": "cancelled",
}  # fmt: skip


def task(instant: Instant, query: Query) -> Row:
    """One task and its life. Key: task."""
    told = instant.tasks
    rows = _row_of("task", query["task"], told.task)
    number = int(told.task[rows[0]])
    [row] = _task_rows(instant, rows)
    steps = []
    for kind, step in _STEPS.items():
        table = instant.table(kind)
        for at in np.flatnonzero(table["task"] == number).tolist():
            fact = {name: int(column[at]) for name, column in table.items()}
            steps.append((fact["seq"], {
                "step": step, "t_s": fact["time_ms"] / 1000, "time": instant.time(fact["time_ms"]),
                "robot": instant.carrier(fact.get("robot", NONE)), "tour": _number(fact.get("tour", NONE)),
                "slot": instant.place(fact.get("slot", NONE)),
            }))  # fmt: skip
    return {**instant.stamp(), **row, "steps": [step for _, step in sorted(steps, key=lambda pair: pair[0])]}


def _row_of(kind: str, number: object, numbers: Ints) -> Ints:
    """The row of a number among numbers that ascend. Raises NotFound."""
    text = str(number)
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else NONE
    rows = np.flatnonzero(numbers == wanted)
    if not rows.size:
        last = int(numbers.max(initial=NONE))
        expected = f"a {kind} from 0 to {last}" if last != NONE else f"a {kind}, of which this run has none"
        raise NotFound(f"{kind}: expected {expected}, found {show(text)}")
    return rows[:1]


# --- orders ----------------------------------------------------------------------------------------------


class _Orders(NamedTuple):
    """The orders by number, (orders,): meters in all, those that wait for stock, and those handed over."""

    order: Ints
    station: Ints
    released_ms: Ints
    due_ms: Ints
    meters: Ints
    missing: Ints
    issued: Ints
    ended_ms: Ints
    late_ms: Ints

    @classmethod
    def of(cls, instant: Instant) -> "_Orders":
        released, over = instant.table("order_released"), instant.table("order_handed_over")
        by_number = np.argsort(released["order"], kind="stable")
        order = released["order"][by_number]

        def total(name: str) -> Ints:
            told, sums = instant.table(name), np.zeros(order.size + 1, np.int64)
            meters = told["meters"] if "meters" in told else np.bitwise_count(told["mask"]).astype(np.int64)
            row = np.searchsorted(order, told["order"])
            known = np.append(order, NONE - 1)[row] == told["order"]
            np.add.at(sums, row[known], meters[known])
            return sums[: order.size]

        meters = total("order_line")
        # What is freed of an order's promises is told as lacking, too: `order_short`.
        missing = np.maximum(meters - total("box_reserved") + total("order_short"), 0)
        return cls(
            order, released["station"][by_number], released["time_ms"][by_number], released["due"][by_number],
            meters, missing, total("meters_issued"), look_up(over["order"], over["time_ms"], order),
            look_up(over["order"], over["late"], order),
        )  # fmt: skip

    def flags(self, t_ms: int) -> dict[str, Flags]:
        """Which orders are open, short, late and handed over at an instant."""
        is_open = self.ended_ms == NONE
        return {
            "open": is_open,
            "short": is_open & (self.missing > 0),
            "late": np.where(is_open, self.due_ms < t_ms, self.late_ms > 0),
            "handed_over": ~is_open,
        }


def orders(instant: Instant, query: Query) -> Row:
    """The orders, by number. Keys: status, station, sku; limit, after."""
    told = instant.orders
    chosen = np.ones(told.order.size, np.bool_)
    if query.get("status") is not None:
        chosen &= told.flags(instant.t_ms)[_one("status", query["status"], ORDER_STATUSES)]
    if query.get("station") is not None:
        chosen &= told.station == instant.station_of(query["station"])
    if query.get("sku") is not None:
        line = instant.table("order_line")
        chosen &= np.isin(told.order, line["order"][line["sku"] == instant.sku_of(query["sku"])])
    return _listed(instant, "orders", query, told.order, chosen, lambda at: _order_rows(instant, at))


def _order_rows(instant: Instant, rows: Ints) -> list[Row]:
    told, found = instant.orders, []
    flags = told.flags(instant.t_ms)
    columns = [*told, flags["short"], flags["late"]]
    for values in _lists(column[rows] for column in columns):
        order, station, released, due, meters, missing, issued, ended, late_ms, is_short, is_late = values
        is_over = ended != NONE
        found.append({
            "order": order, "station": instant.station(station),
            "status": "handed_over" if is_over else "short" if is_short else "open", "late": bool(is_late),
            "released_s": released / 1000, "released_time": instant.time(released), "due_s": due / 1000,
            "due_time": instant.time(due), "handed_over_s": _seconds(ended),
            "handed_over_time": instant.time(ended), "late_s": _seconds(late_ms), "meters": meters,
            "reserved": 0 if is_over else max(0, meters - missing - issued), "issued": issued,
            "missing": missing,
        })  # fmt: skip
    return found


def order(instant: Instant, query: Query) -> Row:
    """One order: its lines, its boxes, what has been handed over. Key: order."""
    number = instant.number("order", query["order"])
    [row] = _order_rows(instant, _row_of("order", number, instant.orders.order))
    return {
        **instant.stamp(), **row, "lines": _lines_of(instant, number),
        "boxes": _boxes_of_order(instant, number),
        "tasks": [int(task) for task in instant.tasks.task[instant.tasks.order == number]],
        "time_by_cause_s": _causes_of(instant, number, row["handed_over_s"]),
        "sentence": track(instant.run, Subject("order", number), last=0).sentence,
    }  # fmt: skip


def _causes_of(instant: Instant, number: int, ended_s: float | None) -> Row | None:
    """What the time of an order went to, in seconds by cause; None before it is handed over."""
    if ended_s is None:
        return None
    ended = round(ended_s * 1000)
    facts = RunFacts if instant.side == "truth" else _RecordFacts
    run = facts(instant.told, instant.scenario, instant.layout, instant.fixed.calendar, ended, ended + 1)
    [spent] = run.order_causes[run.finished_orders["order"] == number]
    return {cause: ms / 1000 for cause, ms in zip(ORDER_CAUSES, spent.tolist(), strict=True) if ms}


def _lines_of(instant: Instant, number: int) -> list[Row]:
    lines = instant.table("order_line")
    own = lines["order"] == number
    missing: dict[int, int] = {}
    for name, sign in (("order_line", 1), ("box_reserved", -1), ("order_short", 1)):
        told = instant.table(name)
        ours = told["order"] == number
        for line, meters in _lists([told["line"][ours], told["meters"][ours]]):
            missing[line] = missing.get(line, 0) + sign * meters
    return [
        {"line": line + 1, "sku": instant.sku(sku), "meters": meters, "missing": max(0, missing[line])}
        for line, sku, meters in _lists(lines[name][own] for name in ("line", "sku", "meters"))
    ]


def _boxes_of_order(instant: Instant, number: int) -> list[Row]:
    """The boxes of an order: meters reserved in each that are not handed over, and those that are."""
    reserved: dict[int, int] = {}
    issued: dict[int, int] = {}
    for name, sums, sign in (
        ("box_reserved", reserved, 1), ("box_freed", reserved, -1), ("meters_issued", reserved, -1),
        ("meters_issued", issued, 1),
    ):  # fmt: skip
        told = instant.table(name)
        own = told["order"] == number
        meters = told["meters"] if "meters" in told else np.bitwise_count(told["mask"]).astype(np.int64)
        for box, count in _lists([told["box"][own], meters[own]]):
            sums[box] = sums.get(box, 0) + sign * count
    wanted = sorted(box for box in reserved if reserved[box] > 0 or issued.get(box))
    rows = np.searchsorted(instant.state.box, wanted)
    return [
        {
            "box": row["box"], "reserved": max(0, reserved[box]), "issued": issued.get(box, 0),
            "status": row["status"], "place": row["place"],
        }
        for box, row in zip(wanted, _box_rows(instant, rows), strict=True)
    ]  # fmt: skip


# --- counts ----------------------------------------------------------------------------------------------


def counts(instant: Instant, query: Query) -> Row:
    """The counts, by number. Keys: status, plan; limit, after."""
    planned, ended = instant.table("count_planned"), instant.table("count_ended")
    chosen = np.ones(planned["count"].size, np.bool_)
    if query.get("status") is not None:
        is_ended = np.isin(planned["count"], ended["count"])
        chosen &= is_ended == (_one("status", query["status"], COUNT_STATUSES) == "ended")
    plan = _code("plan", query, tuple(PLANS))
    if plan is not None:
        chosen &= planned["plan"] == plan
    return _listed(instant, "counts", query, planned["count"], chosen, lambda at: _count_rows(instant, at))


def _count_rows(instant: Instant, rows: Ints) -> list[Row]:
    planned, ended, counted = (
        instant.table(name) for name in ("count_planned", "count_ended", "slot_counted")
    )
    of_page = {name: column[rows] for name, column in planned.items()}
    number = of_page["count"]
    over, differences, boxes = (
        look_up(ended["count"], ended[name], number) for name in ("time_ms", "differences", "boxes")
    )
    first = counted["count"][counted["look"] == 0]
    return [
        {
            "count": count, "plan": _name(tuple(PLANS), plan), "status": "open" if end == NONE else "ended",
            "planned_s": at / 1000, "planned_time": instant.time(at), "ended_s": _seconds(end),
            "ended_time": instant.time(end), "slots": many, "counted": int((first == count).sum()),
            "differences": _number(different), "boxes_seen": _number(seen),
        }
        for count, plan, at, many, end, different, seen in _lists(
            [number, of_page["plan"], of_page["time_ms"], of_page["slots"], over, differences, boxes]
        )
    ]  # fmt: skip


def count(instant: Instant, query: Query) -> Row:
    """One count: every look at a slot, and every difference. Key: count."""
    rows = _row_of("count", query["count"], instant.table("count_planned")["count"])
    [row] = _count_rows(instant, rows)
    counted, found = instant.table("slot_counted"), instant.table("count_difference")
    looks = np.flatnonzero(counted["count"] == row["count"]).tolist()
    own = found["count"] == row["count"]
    names = ("time_ms", "slot", "box", "what", "verdict")
    return {
        **instant.stamp(), **row, "looks": [_look(instant, counted, at) for at in looks],
        "found": [
            {
                "t_s": at / 1000, "time": instant.time(at), "slot": instant.place(place),
                "box": instant.run.box(box), "what": _name(DIFFERENCES, what),
                "verdict": _name(VERDICTS, verdict),
            }
            for at, place, box, what, verdict in _lists(found[name][own] for name in names)
        ],
    }  # fmt: skip


# --- robots ----------------------------------------------------------------------------------------------

_LAST_TASKS: Final = 10


def robots(instant: Instant, query: Query) -> Row:
    """The robots, by number; all of them when no limit is given. Keys: limit, after."""
    numbers = np.arange(instant.layout.robots)
    return _listed(
        instant, "robots", query, numbers, np.ones(numbers.size, np.bool_),
        lambda at: [_robot_row(instant, number) for number in at.tolist()],
        limit=_limit(query, max(1, numbers.size)),
    )  # fmt: skip


def _robot_row(instant: Instant, number: int) -> Row:
    layout = instant.layout
    stretch, battery, started, ended = (
        _last_row(instant.table(name), number)
        for name in ("robot_stretch", "battery", "tour_started", "tour_ended")
    )
    told = instant.tasks
    tasks = told.task[(told.robot == number) & (told.status == _ASSIGNED)].tolist()
    on_board = instant.state.box[instant.state.place == layout.robot_place(number)].tolist()
    is_on_tour = started is not None and (ended is None or ended["seq"] < started["seq"])
    row: Row = {
        "robot": instant.carrier(number), "state": None, "since_s": None, "place": None, "slot": None,
        "from_place": None, "to_place": None, "arrive_s": None, "end_s": None, "height_m": None,
        "boxes": [instant.run.box(box) for box in on_board],
        "battery_permille": None if battery is None else battery["permille"], "task": None, "tasks": tasks,
        "tour": started["tour"] if started is not None and is_on_tour else None,
    }  # fmt: skip
    if stretch is not None:
        to_place, arrive = stretch["to_place"], stretch["arrive"]
        row |= {
            "state": _name(ACTIVITIES, stretch["activity"]), "since_s": stretch["time_ms"] / 1000,
            "place": instant.place(to_place) if arrive <= instant.t_ms else None,
            "slot": instant.place(to_place) if 0 <= to_place < layout.slots else None,
            "from_place": instant.place(stretch["from_place"]), "to_place": instant.place(to_place),
            "arrive_s": _seconds(arrive), "end_s": _seconds(stretch["end"]),
            "height_m": stretch["height_mm"] / 1000, "task": _number(stretch["task"]),
        }  # fmt: skip
    return row


def _last_row(table: Columns, robot: int) -> dict[str, int] | None:
    """The last fact of a robot in a table."""
    rows = np.flatnonzero(table["robot"] == robot)
    return {name: int(column[rows[-1]]) for name, column in table.items()} if rows.size else None


def robot(instant: Instant, query: Query) -> Row:
    """One robot, or a person who carries boxes: what it does, and its last tasks. Key: robot."""
    number = instant.number("robot", query["robot"])
    told = instant.tasks
    done = np.flatnonzero((told.robot == number) & (told.status == _DONE))
    last = done[np.argsort(told.ended_ms[done], kind="stable")][: -_LAST_TASKS - 1 : -1]
    return {**instant.stamp(), **_robot_row(instant, number), "last_tasks": _task_rows(instant, last)}


# --- histories -------------------------------------------------------------------------------------------


def _history(kind: str, key: str) -> Callable[[Instant, Query], Row]:
    def history(instant: Instant, query: Query) -> Row:
        subject = Subject(kind, instant.number(kind, query[key]))
        # The history of an order has its number under this name.
        way = query.get("sort") or (None if key == "order" else query.get("order"))
        page = _page_asked(query, way)
        events, following = page_of(instant.run, subject, page)
        return {
            **instant.stamp(), key: instant.run.name_of(subject),
            "events": [_event(instant, event) for event in events], "next": following,
        }  # fmt: skip

    history.__doc__ = (
        f"Everything that happened to a {kind}, in the order of facts."
        f" Keys: {key}, sort (oldest, newest); limit, after."
    )
    return history


def _page_asked(query: Query, way: object) -> Page:
    after = query.get("after")
    newest = _one("sort", way or "oldest", ("oldest", "newest")) == "newest"
    return Page(_limit(query), None if after is None else int(after), newest)


def _event(instant: Instant, event: Event) -> Row:
    """An event of a history; on the side of the records without what tells the sides apart."""
    row = as_json(instant.run, event)
    for name in ("column", "tier", "recorded_column", "recorded_tier"):
        row[name] = None if row[name] is None else row[name] + 1
    row |= {name: row[name] or None for name in ("place", "recorded_place", "by")}
    row.setdefault("box_name", None)
    if instant.side == "records":
        for name in ("side", "recorded_place", "recorded_column", "recorded_tier"):
            del row[name]
    return row


# --- facts -----------------------------------------------------------------------------------------------

_PLACES: Final = ("place", "from_place", "to_place", "slot", "port", "recorded")
_WORDS: Final[dict[str, Sequence[str]]] = {
    "task_class": TASK_CLASSES, "activity": ACTIVITIES, "work": WORK, "state": STATES, "how": LOOKS,
    "why": WHYS, "what": DIFFERENCES, "verdict": VERDICTS, "plan": tuple(PLANS), "method": tuple(METHODS),
}  # fmt: skip
_CAUSES: Final[dict[str, Sequence[str]]] = {
    "error_made": ERRORS, "fault_began": FAULTS, "fault_ended": FAULTS, "box_came_back": RETURNS,
    "box_left": RETURNS,
}  # fmt: skip
_OF_BOX: Final = ("box", "expected", "found")


def events(instant: Instant, query: Query) -> Row:
    """The facts themselves, by number: `seq`, `t_s`, `kind` and the fields of the kind (docs/facts.md).

    Keys: kind, box, slot (any place of a fact), order, robot, task, from_s, to_s (both ends are included),
    sort (oldest, newest); limit, after.

    A field that does not apply is null; places, boxes, lots, SKUs, stations, carriers and codes stand once
    more in words, as `<field>_name`. On the side of the records

    - `error_made`, `error_found` and `meters_damaged` are not there, nor a `box_moved` that the records did
      not hear of, nor the `task_done` of its task until they learn where the box is;
    - of a box that was set down astray the `box_moved` tells the slot on record, and the `box_recorded` that
      the error wrote is not there;
    - a box that goes out with a meter less than anybody knows has the `meters_issued` on record, and the
      `meters_recorded` behind it is not there;
    - `seq` counts these facts alone, so that no gap tells of one that is not there.
    """
    page = _page_asked(query, query.get("sort"))
    wanted = _facts_wanted(instant, query)
    kind = query.get("kind")
    kinds = [_one("kind", kind, KINDS)] if kind is not None else [*KINDS]
    found: list[tuple[int, str, int]] = []
    for name in kinds:
        table = instant.table(name)
        rows = _facts_on(page, name, table, wanted)
        if rows is not None:
            found += [(int(table["seq"][row]), name, row) for row in rows.tolist()]
    found.sort(reverse=page.newest)
    on_page = found[: page.limit]
    return {
        **instant.stamp(), "events": [_fact(instant, name, row) for _, name, row in on_page],
        "next": on_page[-1][0] if len(found) > page.limit else None,
    }  # fmt: skip


_Wanted = list[tuple[tuple[str, ...], int]]


def _facts_wanted(instant: Instant, query: Query) -> tuple[_Wanted, float, float]:
    """The fields of which one has to have a value, and the time between which facts have to be, in ms."""
    fields: _Wanted = []
    for key, names in (("box", _OF_BOX), ("slot", _PLACES), ("order", ("order",)), ("robot", ("robot",))):
        if query.get(key) is not None:
            fields.append((names, instant.number(key, query[key])))
    if query.get("task") is not None:
        row = _row_of("task", query["task"], instant.tasks.task)
        fields.append((("task",), int(instant.tasks.task[row[0]])))
    from_s, to_s = query.get("from_s"), query.get("to_s")
    return (
        fields,
        -np.inf if from_s is None else float(from_s) * 1000,
        np.inf if to_s is None else float(to_s) * 1000,
    )  # fmt: skip


def _facts_on(page: Page, kind: str, table: Columns, wanted: tuple[_Wanted, float, float]) -> Ints | None:
    """The rows of a table that a page may have, one more than it takes; None when no fact of the kind can."""
    fields, from_ms, to_ms = wanted
    seq, first, last = table["seq"], 0, table["seq"].size
    if page.after is not None and page.newest:
        last = int(np.searchsorted(seq, page.after))
    elif page.after is not None:
        first = int(np.searchsorted(seq, page.after, side="right"))
    first = max(first, int(np.searchsorted(table["time_ms"], from_ms)))
    last = min(last, int(np.searchsorted(table["time_ms"], to_ms, side="right")))
    rows = np.arange(first, max(first, last))
    for names, value in fields:
        own = [name for name in names if name in KINDS[kind].fields and _is_of(kind, name)]
        if not own:
            return None
        hit = np.zeros(rows.size, np.bool_)
        for name in own:
            hit |= table[name][rows] == value
        rows = rows[hit]
    return rows[-page.limit - 1 :] if page.newest else rows[: page.limit + 1]


def _is_of(kind: str, field: str) -> bool:
    """Whether a field of a kind is what its name says elsewhere: some are numbers of boxes."""
    if field in ("recorded", "expected", "found"):
        return kind == ("box_moved" if field == "recorded" else "discrepancy")
    return True


def _fact(instant: Instant, kind: str, row: int) -> Row:
    """A fact as an object."""
    table = instant.table(kind)
    at = int(table["time_ms"][row])
    told: Row = {"seq": int(table["seq"][row]), "t_s": at / 1000, "time": instant.time(at), "kind": kind}
    for field in KINDS[kind].fields:
        value = int(table[field][row])
        told[field] = _number(value)
        word = _word(instant, kind, field, value)
        if word is not None:
            told[f"{field}_name"] = word
    return told


def _word(instant: Instant, kind: str, field: str, value: int) -> str | None:
    """What a field of a fact says in words, None when its number says it all."""
    run = instant.run
    if value == NONE or not _is_of(kind, field):
        return None
    if field in _PLACES:
        return run.place(value)
    if field in _OF_BOX:
        return run.box(value)
    if field == "cause":
        return _name(_CAUSES[kind], value)
    if field in _WORDS:
        return _name(_WORDS[field], value)
    named: dict[str, Callable[[int], str]] = {
        "lot": run.lot, "sku": instant.sku, "station": instant.station, "robot": run.carrier,
        "person": lambda person: f"person-{person + 1}",
    }  # fmt: skip
    return named[field](value) if field in named else None


# --- search ----------------------------------------------------------------------------------------------

_SEARCHED: Final = ("slot", "robot", "box", "order", "lot", "meter")
_PATHS: Final = {
    "slot": "slots", "robot": "robots", "box": "boxes", "order": "orders", "lot": "lots", "meter": "meters",
}  # fmt: skip
_CHUNK: Final = 100_000


def search(instant: Instant, query: Query) -> Row:
    """What has a name with some characters in it: slots, robots, boxes, orders, lots, meters. Keys: q, limit.

    What is called so comes first, then what begins so.
    """
    text, limit = str(query.get("q") or "").strip().casefold(), _limit(query)
    hits: list[tuple[int, int, int, str]] = []
    for turn, kind in enumerate(_SEARCHED if text else ()):
        names = _meters_called(instant, text) if kind == "meter" else _called(instant, kind)
        of_kind: list[tuple[int, int, int, str]] = []
        for number, name in names:
            at = name.casefold().find(text)
            if at >= 0:
                rank = 0 if len(name) == len(text) else 1 if at == 0 else 2
                of_kind.append((rank, turn, number, name))
                if kind == "meter" and len(of_kind) >= limit:
                    break
        hits += sorted(of_kind)[:limit]
    found = [
        {
            "kind": _SEARCHED[turn],
            "name": name,
            "text": _about(instant, _SEARCHED[turn], number),
            "path": f"/runs/{instant.run_id}/{_PATHS[_SEARCHED[turn]]}/{quote(name, safe='')}",
        }
        for _, turn, number, name in sorted(hits)[:limit]
    ]
    return {**instant.stamp(), "found": found}


def _called(instant: Instant, kind: str) -> Iterable[tuple[int, str]]:
    """The numbers and names of everything of a kind."""
    run, layout = instant.run, instant.layout
    if kind == "slot":
        return enumerate(layout.names[: layout.slots])
    if kind == "robot":
        return enumerate(layout.names[layout.outside + 1 :])
    if kind == "box":
        return ((box, run.box(box)) for box in instant.state.box.tolist())
    if kind == "lot":
        return ((lot, run.lot(lot)) for lot in instant.table("lot_created")["lot"].tolist())
    return ((order, str(order)) for order in instant.orders.order.tolist())


def _meters_called(instant: Instant, text: str) -> Iterator[tuple[int, str]]:
    """The meters that have some digits in their asset number, those of a stock list first."""
    if not (text.isascii() and text.isdigit()) or len(text) > _SERIAL_END + 1:
        return
    n, state, fixed = instant.layout.meters_per_box, instant.state, instant.fixed
    created = instant.table("box_created")
    came = look_up(created["box"], created["meters"], state.box)
    for asset, meter in fixed.listed:
        row = int(np.searchsorted(state.box, meter // n))
        if text in asset and row < state.box.size and state.box[row] == meter // n:
            yield meter, asset
    boxes = np.repeat(state.box, came)
    k = np.arange(boxes.size) - np.repeat(np.cumsum(came) - came, came)
    for start in range(0, boxes.size, _CHUNK):
        of_chunk = slice(start, start + _CHUNK)
        numbers = boxes[of_chunk] * n + k[of_chunk]
        for meter in numbers[_have_digits(numbers, text)].tolist():
            if meter % n >= fixed.own_from(meter // n):
                yield meter, asset_number(meter)


def _have_digits(meters: Ints, text: str) -> Flags:
    """Which meters have some digits, one after the other, in their own asset numbers."""
    wanted = np.frombuffer(text.encode(), np.uint8) - ord("0")
    digits = np.empty((_SERIAL_END + 1, meters.size), np.int8)
    digits[: len(_OWN_NUMBER)] = [[int(digit)] for digit in _OWN_NUMBER]
    rest = meters
    for place in range(_SERIAL_END - 1, len(_OWN_NUMBER) - 1, -1):
        rest, digits[place] = np.divmod(rest, 10)
    # As `assets.check_digit`: weights 3, 1, 3, ... from the right.
    weights = np.resize([3, 1], _SERIAL_END)[::-1]
    digits[_SERIAL_END] = -(weights[:, None] * digits[:_SERIAL_END].astype(np.int64)).sum(axis=0) % 10
    found = np.zeros(meters.size, np.bool_)
    for first in range(_SERIAL_END + 2 - wanted.size):
        found |= (digits[first : first + wanted.size] == wanted[:, None]).all(axis=0)
    return found


def _about(instant: Instant, kind: str, number: int) -> str:
    """A few words on something that was found."""
    if kind == "slot":
        columns = slot_columns(instant)
        return f"{int(columns['boxes'][number])} of {instant.layout.capacity[number]} boxes"
    if kind == "box":
        [row] = _box_rows(instant, np.flatnonzero(instant.state.box == number))
        return f"{row['meters']} of {row['sku']} at {row['place']}, {row['status'].replace('_', ' ')}"
    if kind == "meter":
        [row] = _meter_rows(instant, [number])
        return f"{row['sku']} of box {row['box']}, {row['status'].replace('_', ' ')}"
    if kind == "lot":
        created = instant.table("lot_created")
        [row] = _lot_rows(instant, created, np.flatnonzero(created["lot"] == number)[:1])
        return f"{row['sku']}, {row['in_store']} of {row['boxes']} boxes in the store"
    if kind == "order":
        [row] = _order_rows(instant, _row_of("order", number, instant.orders.order))
        return f"{row['meters']} meters for {row['station']}, {row['status'].replace('_', ' ')}"
    state = _robot_row(instant, number)["state"]
    return "a person who carries boxes" if state is None else str(state).replace("_", " ")


# --- KPIs ------------------------------------------------------------------------------------------------


class _RecordFacts(RunFacts):
    """A run as the KPIs read it, with boxes where the records have them and the meters that are recorded."""

    @cached_property
    def stays(self) -> Columns:
        """Where each box stood by the records, as `RunFacts.stays`."""
        assert isinstance(self.trace, OnRecord)
        records, masks = self.records, self.trace.masks()
        scale = len(self.trace) + 1
        at = np.searchsorted(
            masks["box"] * scale + masks["seq"], records["box"] * scale + records["seq"], side="right"
        )
        meters = np.bitwise_count(masks["record"][at - 1]).astype(np.int64)
        return {**records, "meters": meters}


def facts_of(instant: Instant) -> RunFacts:
    """A run as the KPIs read it, from the end of the warm-up to the instant: by the records, or the truth."""
    facts = RunFacts if instant.side == "truth" else _RecordFacts
    from_ms = min(instant.scenario.time.warmup_days * DAY_MS, instant.t_ms)
    return facts(
        instant.told, instant.scenario, instant.layout, instant.fixed.calendar, from_ms, instant.t_ms
    )


def kpis(instant: Instant, _query: Query) -> Row:
    """Every KPI from the end of the warm-up to the instant, and what limits the store. No keys.

    By the records, KPIs that hold these against the truth are left out (KPIS_OF_TRUTH).
    """
    run = facts_of(instant)
    names = [name for name in KPIS if instant.side == "truth" or name not in KPIS_OF_TRUTH]
    return {
        **instant.stamp(), "from_s": run.start_ms / 1000,
        "kpis": {name: {**KPIS[name].function(run), "unit": KPIS[name].unit} for name in names},
        "limits": limits(run),
    }  # fmt: skip


VIEWS: Final[dict[str, Callable[[Instant, Query], Row]]] = {
    "slots": slots,
    "slot": slot,
    "racks": racks,
    "boxes": boxes,
    "box": box,
    "meters": meters,
    "meter": meter,
    "lots": lots,
    "lot": lot,
    "stock": stock,
    "tasks": tasks,
    "task": task,
    "orders": orders,
    "order": order,
    "counts": counts,
    "count": count,
    "robots": robots,
    "robot": robot,
    "slot_history": _history("slot", "slot"),
    "box_history": _history("box", "box"),
    "meter_history": _history("meter", "asset"),
    "lot_history": _history("lot", "lot"),
    "robot_history": _history("robot", "robot"),
    "order_history": _history("order", "order"),
    "events": events,
    "search": search,
    "kpis": kpis,
}
"""Every view by name."""
