"""Views of a run: live and past instants against the running store, and nothing of the truth in what is recorded."""

import json
import re
from collections import Counter
from datetime import date, timedelta
from itertools import count as numbers_from
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import answers, views
from api.answers import ANSWERS
from api.views import KPIS_OF_TRUTH, VIEWS, Instant, Kept, NotFound, slot_columns
from sim.assets import STATES, asset_number
from sim.calendar import DAY_MS
from sim.facts import (
    BOX_CAME_BACK,
    BOX_CREATED,
    BOX_LEFT,
    BOX_MOVED,
    BOX_RECEIVED,
    BOX_RECORDED,
    BOX_RESERVED,
    BOX_STATE,
    BY_NUMBER,
    CHARGE,
    ERROR_MADE,
    FAULT_BEGAN,
    ISSUE,
    KINDS,
    LOT_CREATED,
    METERS_DAMAGED,
    METERS_ISSUED,
    METERS_PICKED,
    METERS_RECORDED,
    METERS_SCRAPPED,
    NONE,
    ORDER_HANDED_OVER,
    ORDER_LINE,
    ORDER_RELEASED,
    PUT_AWAY,
    REVERIFIED,
    ROBOT_STRETCH,
    SLOT_ALLOCATED,
    SLOT_BLOCKED,
    SLOT_COUNTED,
    SLOT_HELD,
    STATION_CONSUMED,
    TASK_ASSIGNED,
    TASK_CREATED,
    TASK_DONE,
    TASK_RETURNED,
    WHY_ERROR,
    WHY_OPENING,
    WORKING,
    WRONG_SLOT,
)
from sim.following import Followed
from sim.history import OnRecord, state_at
from sim.kpis import KPIS
from sim.scenario import from_dict, load
from sim.simulation import Simulation
from sim.tables import ISSUED_WHOLE, meter_changes
from sim.trace import Trace
from tests.test_records import erring_stores
from tests.test_records import tiny as erring_tiny

HOUR_MS = 3_600_000
FULL = 2**15 - 1


def instant_of(run, side="records", keep=None, t_ms=None) -> Instant:
    """The run as it is now."""
    t_ms = run.now_ms if t_ms is None else t_ms
    return Instant("r1", Followed(run.trace), run.scenario, run.layout, run.names(), t_ms, side, keep)


def ask(instant, view, **query):
    """The answer of a view, held to its form and to JSON."""
    document = VIEWS[view](instant, query)
    json.dumps(document, allow_nan=False)
    model = ANSWERS[view].model_validate(document)
    assert model.model_dump(by_alias=True, exclude_unset=True) == document
    return document


def whole(instant, view, name, **query):
    """A list, page by page; every page but the last is full."""
    query = {"limit": 200, **query}
    found, after = [], None
    while True:
        document = ask(instant, view, **query, after=after)
        found += document[name]
        after = document["next"]
        if after is None:
            return found
        assert len(document[name]) == query["limit"]


# --- against the running store ---------------------------------------------------------------------------


def check_live(run, instant):
    """What the views say of the records at this instant is what the running store has."""
    _boxes_are_those_of_the_ledger(run, instant)
    _slots_are_those_of_the_ledger(run, instant)
    _tasks_are_those_under_way(run, instant)
    _orders_are_those_of_the_house(run, instant)
    _robots_have_what_is_on_board(run, instant)
    _stock_is_what_may_be_used(run, instant)
    _counts_are_those_under_way(run, instant)


def _boxes_are_those_of_the_ledger(run, instant):
    ledger, house, layout = run.ledger, run.warehouse, run.layout
    rows = whole(instant, "boxes", "boxes")
    assert len(rows) == len(ledger.place)
    today = run.calendar.ordinal(0) + instant.t_ms // DAY_MS
    removed = run.warehouse.flows.removed_sku
    for box, row in enumerate(rows):
        assert row["box"] == instant.run.box(box)
        place, column, tier = house.where(box)
        assert row["place"] == layout.place_name(place)
        assert (row["column"], row["tier"]) == ((None, None) if column == NONE else (column + 1, tier + 1))
        assert row["meters"] == ledger.mask[box].bit_count()
        assert (row["sku"], row["capacity"]) == (
            run.sku_names[ledger.sku[box]], ledger.full[ledger.sku[box]],
        )  # fmt: skip
        assert row["lot"] == instant.run.lot(ledger.lot[box])
        assert row["missing"] == (box in house.missing)
        if ledger.mask[box]:
            assert row["status"] == STATES[ledger.state[box]], box
            assert row["order"] == (None if ledger.order[box] == NONE else ledger.order[box])
            whole_box = row["meters"] if row["order"] is not None else 0
            picks = sum(meters for _, meters in house._picks.get(box, ()))
            assert row["reserved"] == whole_box + picks, box
        if ledger.sku[box] == removed:
            assert row["verified_on"] is row["age_days"] is None
        else:
            assert row["verified_on"] == date.fromordinal(ledger.verified_day[box]).isoformat()
            assert row["age_days"] == today - ledger.verified_day[box]
            scanned = ledger.received_ms[box]
            assert row["received_s"] == (scanned / 1000 if scanned > 0 else None)


def _slots_are_those_of_the_ledger(run, instant):
    ledger, layout = run.ledger, run.layout
    kept, index = run.warehouse.kept_places(), ledger.index
    columns = slot_columns(instant)
    rows = ask(instant, "slots")["slots"]
    assert [row["slot"] for row in rows] == layout.names[: layout.slots]
    for slot, row in enumerate(rows):
        boxes = ledger.boxes_in(slot)
        assert (row["boxes"], row["capacity"]) == (len(boxes), layout.capacity[slot])
        assert row["reserved"] == kept[slot] == columns["reserved"][slot], (row["slot"], instant.t_ms)
        assert row["meters"] == sum(ledger.mask[box].bit_count() for box in boxes)
        assert row["skus"] == [run.sku_names[sku] for sku in sorted({ledger.sku[box] for box in boxes})]
        reasons = index.out_of_use(slot)
        assert (bool(columns["blocked"][slot]), bool(columns["held"][slot])) == (
            "blocked" in reasons, "hold" in reasons,
        )  # fmt: skip
        taken, places = len(boxes) + kept[slot], layout.capacity[slot]
        expected = "empty" if not taken else "full" if taken >= places else "open"
        expected = "held" if "hold" in reasons else expected
        expected = "blocked" if "blocked" in reasons else expected
        assert row["status"] == ("none" if not places else expected)
        assert row["fill"] == round(len(boxes) / max(places, 1), 4)


def _tasks_are_those_under_way(run, instant):
    house = run.warehouse
    rows = [row for row in whole(instant, "tasks", "tasks") if row["status"] in ("waiting", "assigned")]
    of_boxes = {row["box"]: row for row in rows if row["box"] is not None}
    assert len(of_boxes) == sum(row["box"] is not None for row in rows)
    names = {instant.run.box(box): task for box, task in house._task_of.items()}
    unconfirmed = {instant.run.box(box) for box in house._unconfirmed}
    assert set(of_boxes) == set(names) | unconfirmed
    for name, task in names.items():
        row = of_boxes[name]
        assert row["task"] == task.number
        assert row["status"] == ("assigned" if task.assigned else "waiting"), row
        if task.target != NONE:
            assert row["to_place"] == run.layout.place_name(task.target)
    assert all(of_boxes[name]["status"] == "assigned" for name in unconfirmed)


def _orders_are_those_of_the_house(run, instant):
    house = run.warehouse
    rows = {row["order"]: row for row in whole(instant, "orders", "orders")}
    assert {order for order, row in rows.items() if row["status"] != "handed_over"} == set(house.orders)
    waiting = {order.number for lines in house._short.values() for order, _ in lines}
    assert {order for order, row in rows.items() if row["status"] == "short"} == waiting
    for number, order in house.orders.items():
        row = rows[number]
        missing = sum(line.missing for line in order.lines)
        assert (row["meters"], row["issued"], row["missing"]) == (order.meters, order.handed, missing)
        assert row["reserved"] == order.meters - order.handed - missing
        assert (row["released_s"], row["due_s"]) == (order.released / 1000, order.due / 1000)
        assert row["late"] == (order.due < instant.t_ms)
        one = ask(instant, "order", order=number)
        assert [line["missing"] for line in one["lines"]] == [line.missing for line in order.lines]
        assert sum(box["issued"] for box in one["boxes"]) == order.handed


def _robots_have_what_is_on_board(run, instant):
    rows = ask(instant, "robots")["robots"]
    assert [row["robot"] for row in rows] == [f"robot-{k + 1}" for k in range(len(run.fleet.robots))]
    for robot, row in zip(run.fleet.robots, rows, strict=True):
        own = [instant.run.box(box) for box, place in enumerate(run.ledger.place) if place == robot.own]
        assert row["boxes"] == own
        last = [fact for fact in run.trace.rows() if fact[1] == ROBOT_STRETCH and fact[2] == robot.number]
        if last:
            time, _, _, activity, _, place, _, arrive, end, task = last[-1]
            assert row["since_s"] == time / 1000
            assert row["to_place"] == run.layout.place_name(place)
            assert row["end_s"] == (None if end == NONE else end / 1000)
            assert row["arrive_s"] == (None if arrive == NONE else arrive / 1000)
            assert row["task"] == (None if task == NONE else task)
            assert row["state"] == views.ACTIVITIES[activity]


def _stock_is_what_may_be_used(run, instant):
    lines = ask(instant, "stock")["lines"]
    ledger = run.ledger
    assert [line["key"] for line in lines] == run.sku_names
    assert [line["qualified"] - line["reserved"] for line in lines] == ledger.on_hand
    assert [line["on_order"] for line in lines] == ledger.on_order
    for by in ("lot", "zone"):
        others = ask(instant, "stock", by=by)["lines"]
        for name in ("boxes", "on_hand", "qualified", "reserved", "held", "overdue", "returned"):
            assert sum(line[name] for line in others) == sum(line[name] for line in lines)


def _counts_are_those_under_way(run, instant):
    counting = run.warehouse.counting
    rows = whole(instant, "counts", "counts", status="open")
    assert [row["count"] for row in rows] == sorted(counting._counts if counting is not None else ())


def check_meters(run, instant):
    """Every meter that ever came is listed once, by asset number; those on record are in their boxes."""
    rows = whole(instant, "meters", "meters")
    assets = [row["asset"] for row in rows]
    assert assets == sorted(set(assets))
    created = run.trace.table("box_created")
    assert len(rows) == created["meters"].sum()
    ledger = run.ledger
    inside = Counter(row["box"] for row in rows if row["in_box"])
    assert inside == {
        instant.run.box(box): mask.bit_count() for box, mask in enumerate(ledger.mask) if mask
    }  # fmt: skip
    for row in rows:
        if row["in_box"]:
            box = int(row["asset"][7:21]) // run.layout.meters_per_box
            assert row["status"] == STATES[ledger.state[box]]
            assert row["place"] == run.layout.place_name(ledger.place[box])
    # What is not in a box any more was issued, picked, scrapped, taken away, or found not to be there.
    issued = sum(row["status"] == "issued_pending_install" for row in rows if not row["in_box"])
    told, back = OnRecord(run.trace), run.trace.table("box_came_back")["box"]
    masks = told.table("meters_issued")
    once = ~np.isin(masks["box"], back)
    least = int(np.bitwise_count(masks["mask"][once]).sum())
    assert issued >= least
    if not back.size:
        assert issued == least
        scrapped = int(np.bitwise_count(told.table("meters_scrapped")["mask"]).sum())
        assert sum(row["status"] == "pending_scrap" for row in rows if not row["in_box"]) == scrapped


QUERIES = [
    ("slots", {}), ("slots", {"status": "open"}), ("slot", {"slot": "1-02-2"}), ("boxes", {"limit": 200}),
    ("boxes", {"in_store": True, "min_age_days": 60}), ("box", {"box": "3"}), ("meters", {"limit": 30}),
    ("meters", {"status": "issued_pending_install"}), ("meter", {"asset": asset_number(5)}), ("lots", {}),
    ("lot", {"lot": "0"}), ("stock", {}), ("stock", {"by": "zone"}), ("tasks", {"limit": 200}),
    ("orders", {}), ("orders", {"status": "late"}), ("counts", {}), ("robots", {}),
    ("robot", {"robot": "robot-1"}), ("slot_history", {"slot": "1-02-2"}), ("box_history", {"box": "3"}),
    ("meter_history", {"asset": asset_number(5)}), ("lot_history", {"lot": "0"}),
    ("robot_history", {"robot": "robot-1", "sort": "newest"}), ("events", {"sort": "newest"}),
    ("events", {"kind": "box_moved"}), ("events", {"slot": "1-02-2"}), ("search", {"q": "1-02"}),
    ("search", {"q": "12"}), ("kpis", {}),
]  # fmt: skip
"""Questions that any run of some hours can answer."""


def everything(instant) -> list[dict]:
    """The answers to all of QUERIES."""
    return [ask(instant, view, **query) for view, query in QUERIES]


MANY_ERRORS = ["records.scale=300", "records.check_finds=0.5"]
STORES = {
    "tiny": ("tiny", [], 5),
    "luoyang": ("luoyang", ["time.days=3"], 11),
    "stacks": ("luoyang_stacks", ["time.days=3"], 11),
    "all that can happen": (
        "luoyang_returns",
        [
            "time.days=4", "time.warmup_days=0", *MANY_ERRORS, "counting.plan=cyclic", "counting.slots_per_day=60",
            "faults.scale=100", "demand.orders_per_day=20", "demand.max_age_days=40", "reverify.days_min=1",
            "reverify.days_max=1", "returns.unused_share=0.5", "returns.unused_days_min=1",
            "returns.unused_days_max=1", "returns.removed_days_min=1", "returns.removed_days_max=2",
            'control.recalls=[{day=1, lot="largest"}]',
        ],
        13,
    ),
}  # fmt: skip
"""Stores with what is set in them and the hours between two looks."""


@pytest.mark.parametrize("case", STORES)
def test_live_and_past_instants(case):
    """An instant tells what the running store has; later on the same instant of the past tells just the same."""
    name, sets, hours = STORES[case]
    run = Simulation(load(name, sets))
    keep, seen = Kept(), []
    for t in range(2 * HOUR_MS, run.end_ms, hours * HOUR_MS + 1_234_567):
        run.advance(t)
        instant = instant_of(run, keep=keep)
        check_live(run, instant)
        seen.append((run.now_ms, len(run.trace), everything(instant)))
    check_meters(run, instant)
    run.finish()
    trace, keep = Followed(run.trace), Kept()
    for t_ms, facts, told in seen:
        past = Instant("r1", trace.until(facts), run.scenario, run.layout, run.names(), t_ms, "records", keep)
        assert everything(past) == told
    if case == "all that can happen":
        for kind in (
            "box_came_back",
            "box_left",
            "lot_recalled",
            "fault_began",
            "error_made",
            "slot_held",
            "order_short",
        ):
            assert trace.table(kind)["seq"].size, kind


def test_removed_meters_are_not_dated():
    """Meters that come from customers have a box, a lot and a state, and no day of verification."""
    sets = ["time.days=9", "time.warmup_days=0", "returns.removed_days_min=1", "returns.removed_days_max=2"]
    run = Simulation(load("luoyang_returns", sets))
    run.advance(8 * DAY_MS)
    instant = instant_of(run)
    rows = whole(instant, "boxes", "boxes", sku="removed")
    assert rows
    assert all(row["verified_on"] is None and row["status"] in STATES for row in rows)
    assert ask(instant, "lot", lot=rows[0]["lot"])["verified_from"] is None
    assert not whole(instant, "boxes", "boxes", sku="removed", min_age_days=0)
    check_live(run, instant)


@given(erring_stores(), st.integers(0, 2**63 - 1), st.integers(20, 500))
@settings(max_examples=20)
@pytest.mark.timeout(600)
def test_random_stores(data, seed, minutes):
    """Whatever the store, its errors and its plan, the views tell what it has, whenever one looks."""
    data["time"] = {"days": 2}
    run = Simulation(from_dict(data), seed=seed)
    keep = Kept()
    while run.now_ms < run.end_ms:
        run.advance(min(run.end_ms, run.now_ms + minutes * 60_000))
        check_live(run, instant_of(run, keep=keep))
    check_meters(run, instant_of(run, keep=keep))


# --- nothing of the truth --------------------------------------------------------------------------------

NOTHING = {"wrong_slot": 0, "lost_message": 0, "short_packed": 0, "unrecorded_removal": 0, "damage": 0}
WHOLE_BOXES = {"demand": {"orders_per_day": 20, "full_box_share": 1.0}, "counting": {"plan": "passive"}}
PAIRS = {
    "damage": ({"damage": 0.0005}, WHOLE_BOXES),
    "short boxes": ({"short_packed": 0.0005, "gate": "boxes", "check_finds": 0.0}, WHOLE_BOXES),
    "wrong slots": ({"wrong_slot": 0.0002}, {"counting": {"plan": "passive"}}),
    "removals": ({"unrecorded_removal": 0.0003}, {"counting": {"plan": "passive"}}),
}
"""What goes wrong in one store and not in another, of which nothing is known before it is met."""

UNTOLD = re.compile(
    r"recorded: |mistake|truly|nobody|notic|damag|wrong.slot|lost.message|short.packed|removal|miscount|error"
    r'|not missed|"side"|"recorded_place"|"recorded_meters"|"recorded_in_box"'
)
"""What no answer on the side of the records has in it."""


def first_met(run) -> int:
    """When somebody first met something that is not as recorded; the end of the run when nobody did."""
    told = OnRecord(run.trace)
    kinds = ("discrepancy", "meters_recorded", "meters_scrapped", "box_recorded")
    times = [told.table(kind)["time_ms"] for kind in kinds]
    return min((int(column[0]) for column in times if column.size), default=run.end_ms)


def all_told(run, t_ms, facts, side="records"):
    """What is told at an instant of a run: the usual questions, all facts, and every history of boxes and slots."""
    instant = Instant(
        "r1", Followed(run.trace).until(facts), run.scenario, run.layout, run.names(), t_ms, side
    )
    documents = everything(instant)
    documents += [{"events": whole(instant, "events", "events")}]
    for kind, key, names in (
        ("box", "box", [row["box"] for row in whole(instant, "boxes", "boxes")]),
        ("slot", "slot", run.layout.names[: run.layout.slots]),
        ("meter", "asset", [row["asset"] for row in whole(instant, "meters", "meters")][::41]),
        ("order", "order", [row["order"] for row in whole(instant, "orders", "orders")]),
    ):
        for name in names:
            documents += [ask(instant, kind, **{key: name})]
            documents += [{"events": whole(instant, f"{kind}_history", "events", **{key: name})}]
    for document in documents:
        document.pop("facts", None)
    return documents


@pytest.mark.parametrize("pair", PAIRS)
def test_stores_that_differ_in_truth_alone(pair):
    """Until somebody meets what went wrong, nothing tells a store with errors from one without."""
    rates, more = PAIRS[pair]
    one, other = (
        Simulation(erring_tiny(**{"time": {"days": 4}, **more, "records": {**NOTHING, "check_finds": 0.0, **has}}))
        for has in (rates, {**rates, **NOTHING})
    )  # fmt: skip
    ahead = Simulation(
        erring_tiny(**{"time": {"days": 4}, **more, "records": {**NOTHING, "check_finds": 0.0, **rates}})
    )
    ahead.finish()
    met = first_met(ahead)
    assert met == ahead.end_ms or pair not in ("damage", "short boxes")
    for part in (0.4, 1.0):
        t_ms = int(met * part) - 1
        for run in (one, other):
            run.advance(t_ms)
        assert not other.trace.table("error_made")["seq"].size
        told = [all_told(run, t_ms, len(run.trace)) for run in (one, other)]
        assert told[0] == told[1]
        assert not UNTOLD.search(json.dumps(told[0]))
    least = {"removals": 1, "wrong slots": 3}.get(pair, 5)
    assert one.trace.table("error_made")["seq"].size >= least
    true = [everything(instant_of(run, "truth")) for run in (one, other)]
    assert true[0] != true[1]


def test_no_answer_tells_of_errors():
    """In a store where a put-away in five goes wrong and much is found, no answer on record says a word of it."""
    run = Simulation(erring_tiny(counting={"plan": "night"}, time={"days": 3}))
    run.finish()
    assert np.unique(run.trace.table("error_made")["cause"]).size >= 4
    told = all_told(run, run.now_ms, len(run.trace))
    assert UNTOLD.search(json.dumps(told)) is None
    assert UNTOLD.search(json.dumps(all_told(run, run.now_ms, len(run.trace), "truth")))


@pytest.mark.parametrize("seed", range(3))
def test_truth_of_the_past_does_not_matter(seed):
    """Where boxes truly are, what is damaged and which errors there were may be anything: answers stay the same."""
    run = Simulation(erring_tiny(counting={"plan": "cyclic"}, time={"days": 3}), seed=seed)
    run.finish()
    rng, slots = np.random.default_rng(seed), run.layout.slots
    other = Trace(run.trace.meters_per_box)
    numbers, changed = numbers_from(1000), 0
    for row in run.trace.rows():
        time, kind, *values = row
        if kind == BOX_MOVED and values[7] == NONE:
            values[2:5] = rng.integers(0, [slots, 2, 5]).tolist()
            changed += 1
        if kind == ERROR_MADE and values[1] == WRONG_SLOT:
            values[4] = int(rng.integers(slots))
        if kind == METERS_DAMAGED and rng.random() < 0.5:
            continue
        other.record((time, kind, *values))
        if kind == BOX_RECEIVED and rng.random() < 0.3:
            other.record((time, METERS_DAMAGED, values[0], 1))
            other.record((time, ERROR_MADE, next(numbers), 4, values[0], 1, NONE))
    assert changed > 5
    twin = SimpleNamespace(
        trace=other, scenario=run.scenario, layout=run.layout, names=run.names, now_ms=run.now_ms
    )
    assert all_told(twin, run.now_ms, len(other)) == all_told(run, run.now_ms, len(run.trace))


def test_sides_are_the_same_without_errors():
    """Where nothing goes wrong the truth is what is recorded."""
    run = Simulation(load("tiny"))
    run.advance(30 * HOUR_MS)
    records, truth = (everything(instant_of(run, side)) for side in ("records", "truth"))
    for (view, _), recorded, true in zip(QUERIES, records, truth, strict=True):
        assert (recorded.pop("view"), true.pop("view")) == ("records", "truth")
        if view == "kpis":
            assert set(true["kpis"]) - set(recorded["kpis"]) == KPIS_OF_TRUTH
            true["kpis"] = {name: true["kpis"][name] for name in recorded["kpis"]}
        if "history" not in view and view not in ("box", "meter", "order"):
            assert recorded == without_recorded(true), view


def without_recorded(document):
    """A document of the truth without what it says of the records."""
    if isinstance(document, list):
        return [without_recorded(each) for each in document]
    if not isinstance(document, dict):
        return document
    left_out = {"recorded_place", "recorded_column", "recorded_tier", "recorded_meters", "recorded_in_box"}
    assert all(value is None for name, value in document.items() if name in left_out)
    return {name: without_recorded(value) for name, value in document.items() if name not in left_out}


# --- by hand ---------------------------------------------------------------------------------------------

TINY = Simulation(load("tiny"))
LAYOUT = TINY.layout
# 2 rows x 3 columns x 2 levels of 5 boxes in one tier column: slots 0 to 11 are 1-01-1 to 2-03-2.
A, B = LAYOUT.place("1-02-1"), LAYOUT.place("1-03-1")
PORT, ROBOT, TRUCK, STATION = LAYOUT.inbound, LAYOUT.robot_place(0), LAYOUT.truck, LAYOUT.pick_station
GONE, AWAY = LAYOUT.handed_over, LAYOUT.outside
DAY = date(2026, 2, 20).toordinal()
S = 1000


def made(*rows, side="records", t_s=1000.0, names=None, scenario=TINY.scenario):
    """The instant of a run by hand in the tiny store."""
    trace = Trace(15)
    for row in rows:
        trace.record(row)
    named = {**TINY.names(), **(names or {})}
    return Instant("r1", Followed(trace), scenario, LAYOUT, named, round(t_s * S), side)


ARRIVED = (
    (0, LOT_CREATED, 0, 1, 2, DAY),
    (0, BOX_CREATED, 0, 1, 0, DAY, 15, TRUCK, 3),
    (20 * S, BOX_RECEIVED, 0, 3, 0),
    (20 * S, BOX_MOVED, 0, TRUCK, PORT, NONE, NONE, NONE, NONE, PORT),
    (20 * S, TASK_CREATED, 5, PUT_AWAY, 0, PORT, A, NONE),
    (20 * S, SLOT_ALLOCATED, 0, A, 0, 5),
    (25 * S, TASK_ASSIGNED, 5, 0, 1),
    (30 * S, BOX_MOVED, 0, PORT, ROBOT, NONE, NONE, 0, 5, ROBOT),
)
STORED = (*ARRIVED, (40 * S, BOX_MOVED, 0, ROBOT, A, 0, 0, 0, 5, A), (40 * S, TASK_DONE, 5, 0))
ASTRAY = (
    *ARRIVED,
    (40 * S, BOX_MOVED, 0, ROBOT, B, 0, 2, 0, 5, NONE),
    (40 * S, BOX_RECORDED, 0, A, 0, 0, WHY_ERROR),
    (40 * S, ERROR_MADE, 0, WRONG_SLOT, 0, 0, B),
    (40 * S, TASK_DONE, 5, 0),
)
LOST = (
    *ARRIVED,
    (40 * S, BOX_MOVED, 0, ROBOT, A, 0, 0, 0, 5, NONE),
    (40 * S, ERROR_MADE, 0, 1, 0, 0, A),
    (40 * S, TASK_DONE, 5, 0),
)


def test_box_is_told_by_the_records():
    """One box with all that is said of it."""
    assert ask(made(*STORED, (50 * S, BOX_RESERVED, 0, 9, 0, 4)), "box", box="0") == {
        "run": "r1", "t_s": 1000.0, "time": "2026-03-02T00:16:40.000", "facts": 11, "view": "records",
        "box": "0", "sku": "B", "lot": "0", "meters": 15, "capacity": 15, "reserved": 4, "order": None,
        "status": "qualified_in_stock", "place": "1-02-1", "column": 1, "tier": 1, "missing": False,
        # 10 days old on 2 March; 180 days after 20 February is 19 August.
        "verified_on": "2026-02-20", "age_days": 10, "expires_on": "2026-08-19", "received_s": 20.0,
        "received_time": "2026-03-02T00:00:20.000", "assets": [asset_number(k) for k in range(15)], "reserved_for": [{"order": 9, "meters": 4}], "task": None,
        "sentence": "Box 0 is recorded in 1-02-1 1.1: 15 meters of B, qualified in stock, 4 reserved for order 9.",
        "last_event": {
            "seq": 10, "time_s": 50.0, "at": "2026-03-02 00:00:50", "event": "reserved",
            "text": "4 meters for order 9", "fact": "box_reserved", "place": "1-02-1", "column": 1, "tier": 1,
            "box": 0, "by": None, "robot": None, "person": None, "order": 9, "task": None, "box_name": "0",
        },
    }  # fmt: skip


def test_box_astray_on_both_sides():
    """By the records a box is in the slot that was named; in truth it is elsewhere, and both are told."""
    recorded, true = made(*ASTRAY), made(*ASTRAY, side="truth")
    assert (recorded.facts, len(recorded.told)) == (12, 10)
    assert ask(recorded, "box", box="0")["place"] == "1-02-1"
    row = ask(true, "box", box="0")
    assert [row[name] for name in ("place", "column", "tier")] == ["1-03-1", 1, 3]
    assert [row[f"recorded_{name}"] for name in ("place", "column", "tier", "meters")] == [
        "1-02-1",
        1,
        1,
        None,
    ]
    for instant, there, elsewhere in ((recorded, "1-02-1", "1-03-1"), (true, "1-03-1", "1-02-1")):
        assert [box["box"] for box in ask(instant, "slot", slot=there)["boxes"]] == ["0"]
        assert ask(instant, "slot", slot=elsewhere)["boxes"] == []
    assert everything_but_facts(recorded) == everything_but_facts(made(*STORED))


def everything_but_facts(instant):
    asked = [
        ("slots", {}), ("box", {"box": "0"}), ("box_history", {"box": "0"}), ("events", {}), ("tasks", {}),
        ("robots", {}), ("slot_history", {"slot": "1-02-1"}), ("slot_history", {"slot": "1-03-1"}), ("kpis", {}),
        ("meters", {}), ("stock", {}), ("robot_history", {"robot": "robot-1"}),
    ]  # fmt: skip
    return [{**ask(instant, view, **query), "facts": 0} for view, query in asked]


def test_lost_message_leaves_the_box_on_board():
    """Until the message is sent again box, place and task are as they were before it was lost."""
    instant = made(*LOST)
    assert everything_but_facts(instant) == everything_but_facts(made(*ARRIVED))
    row = ask(instant, "box", box="0")
    assert (row["place"], row["task"], row["sentence"]) == (
        "robot-1", 5, "Box 0 is recorded on robot-1: 15 meters of B, qualified in stock.",
    )  # fmt: skip
    assert ask(instant, "slots", row=1)["slots"][A]["reserved"] == 1
    assert ask(instant, "task", task=5)["status"] == "assigned"
    assert ask(made(*LOST, side="truth"), "box", box="0")["recorded_place"] == "robot-1"


def test_fates_of_meters():
    """Each meter has the state that it is in, whatever became of the others of its box."""
    rows = (
        *STORED,
        (50 * S, BOX_RESERVED, 0, 9, 0, 2),
        (60 * S, METERS_PICKED, 0, 9, 0b11, 0),
        (70 * S, METERS_ISSUED, 0, 9, 0b01),
        (80 * S, METERS_SCRAPPED, 0, 0b100, 0),
        (90 * S, METERS_RECORDED, 0, FULL & ~0b1111, WHY_OPENING),
    )
    told = ask(made(*rows), "meters", limit=5)["meters"]
    assert [(row["status"], row["place"], row["in_box"], row["order"]) for row in told] == [
        ("issued_pending_install", "handed-over", False, 9), ("reserved", "pick-station", False, 9),
        ("pending_scrap", None, False, None), ("lost", None, False, None),
        ("qualified_in_stock", "1-02-1", True, None),
    ]  # fmt: skip
    assert [row["asset"] for row in told] == [asset_number(k) for k in range(5)]
    for status, meters in (("lost", 1), ("reserved", 1), ("qualified_in_stock", 11), ("quarantined", 0)):
        assert len(whole(made(*rows), "meters", "meters", status=status)) == meters
    assert len(whole(made(*rows), "meters", "meters", slot="1-02-1")) == 11
    assert len(whole(made(*rows), "meters", "meters", place="handed-over")) == 1
    assert len(whole(made(*rows), "meters", "meters", in_store=False)) == 3
    lost = ask(made(*rows), "meter", asset=asset_number(3))
    assert lost["sentence"] == (
        f"Meter {asset_number(3)} is not in box 0 any more, as found on 2026-03-02 at 00:01:30."
    )


def test_box_that_leaves_takes_its_meters_along():
    """Meters that leave with their box have its state; when it comes back they are in it again."""
    left = (
        *STORED,
        (50 * S, BOX_STATE, 0, STATES.index("in_verification")),
        (50 * S, BOX_LEFT, 0, REVERIFIED),
        (50 * S, BOX_MOVED, 0, A, AWAY, NONE, NONE, NONE, NONE, AWAY),
    )
    row = ask(made(*left), "meter", asset=asset_number(0))
    assert (row["status"], row["place"], row["in_box"]) == ("in_verification", "outside", False)
    back = (
        *left,
        (60 * S, BOX_CAME_BACK, 0, REVERIFIED, NONE),
        (60 * S, BOX_MOVED, 0, AWAY, TRUCK, NONE, NONE, NONE, NONE, TRUCK),
    )
    row = ask(made(*back), "meter", asset=asset_number(0))
    assert (row["place"], row["in_box"]) == ("truck", True)


def test_statuses_of_slots():
    """A slot without places, one out of use, on hold, full, empty, open: of several the last of the list."""
    rows = [(0, LOT_CREATED, 0, 0, 0, DAY)]
    for box in range(6):
        slot = 1 if box < 5 else 2
        rows.append((0, BOX_CREATED, box, 0, 0, DAY, 15, slot, NONE))
        rows.append((0, BOX_MOVED, box, AWAY, slot, 0, box % 5, NONE, NONE, slot))
    rows += [(5 * S, SLOT_HELD, 3, 1), (6 * S, SLOT_BLOCKED, 4, 1), (6 * S, SLOT_HELD, 4, 1)]
    found = ask(made(*rows), "slots")["slots"]
    assert [row["status"] for row in found[:6]] == ["empty", "full", "open", "held", "blocked", "empty"]
    assert [row["slot"] for row in ask(made(*rows), "slots", min_fill=0.2)["slots"]] == ["1-01-2", "1-02-1"]
    assert [row["slot"] for row in ask(made(*rows), "slots", sku="A", status="open")["slots"]] == ["1-02-1"]
    assert [len(ask(made(*rows), "slots", row=row)["slots"]) for row in (1, 2)] == [6, 6]
    assert ask(made(*rows), "slots", limit=2, after=3)["next"] == 5
    assert len(ask(made(*rows), "slots", limit=500)["slots"]) == 12
    columns = slot_columns(made(*rows))
    assert columns["meters"].tolist()[:3] == [0, 75, 15]
    run = Simulation(load("luoyang_service_33"))
    assert Counter(row["status"] for row in ask(instant_of(run), "slots")["slots"])["none"] == 33


def test_last_count_of_a_slot():
    """A slot tells of the last look at it, and when the first of its boxes expires."""
    rows = (*STORED, (60 * S, SLOT_COUNTED, 2, A, 0, 0, 0, 1, 1), (70 * S, SLOT_COUNTED, 2, A, 2, 1, 1, 1, 0))
    told = ask(made(*rows), "slot", slot="1-02-1")
    assert told["last_count"] == {
        "t_s": 70.0, "time": "2026-03-02T00:01:10.000", "count": 2, "slot": "1-02-1", "look": 2,
        "method": "bar-code", "by": "person-1", "recorded": 1, "seen": 0,
    }  # fmt: skip
    assert (told["expires_on"], told["aisle"], told["z_m"]) == ("2026-08-19", 1, 0.0)
    assert ask(made(*STORED), "slot", slot="1-02-1")["last_count"] is None


def test_life_of_a_task():
    """A task waits, is assigned, given back, assigned again and done; each step is told."""
    steps = (
        *ARRIVED[:6],
        (25 * S, TASK_ASSIGNED, 5, 0, 1),
        (26 * S, TASK_RETURNED, 5, 0),
        (27 * S, TASK_ASSIGNED, 5, 1, 2),
        (40 * S, TASK_DONE, 5, 1),
    )
    told = [ask(made(*steps[:end]), "task", task=5) for end in (6, 7, 8, 9, 10)]
    assert [each["status"] for each in told] == ["waiting", "assigned", "waiting", "assigned", "done"]
    assert [each["robot"] for each in told] == [None, "robot-1", None, "person-1", "person-1"]
    assert [each["assigned_s"] for each in told] == [None, 25.0, None, 27.0, 27.0]
    assert [step["step"] for step in told[-1]["steps"]] == [
        "created", "allocated", "assigned", "returned", "assigned", "done",
    ]  # fmt: skip
    assert (told[-1]["class"], told[-1]["to_place"], told[-1]["ended_s"]) == ("put_away", "1-02-1", 40.0)
    assert [
        len(ask(made(*steps), "tasks", **{"class": name})["tasks"]) for name in ("put_away", "issue")
    ] == [1, 0]
    done = made(*steps[:9], (40 * S, TASK_DONE, 5, 0))
    assert len(ask(done, "tasks", slot="1-02-1", box="0", robot="robot-1", status="done")["tasks"]) == 1
    assert not ask(done, "tasks", slot="1-02-1", robot="robot-1", status="assigned")["tasks"]


ORDERED = (
    *STORED,
    (50 * S, ORDER_RELEASED, 0, 2, 200 * S, 1),
    (50 * S, ORDER_LINE, 0, 0, 1, 10),
    (50 * S, ORDER_LINE, 0, 1, 0, 7),
    (50 * S, BOX_RESERVED, 0, 0, 0, 10),
)


def test_order_that_waits_for_stock():
    """An order with a line that stock does not cover is short, and late when its time has passed."""
    told = ask(made(*ORDERED), "order", order=0)
    assert (told["status"], told["late"], told["meters"], told["reserved"], told["missing"]) == (
        "short",
        True,
        17,
        10,
        7,
    )
    assert [(line["sku"], line["meters"], line["missing"]) for line in told["lines"]] == [
        ("B", 10, 0),
        ("A", 7, 7),
    ]
    assert told["boxes"] == [
        {"box": "0", "reserved": 10, "issued": 0, "status": "qualified_in_stock", "place": "1-02-1"}
    ]
    for status, found in (("open", 1), ("short", 1), ("late", 1), ("handed_over", 0)):
        assert len(ask(made(*ORDERED), "orders", status=status)["orders"]) == found
    assert not ask(made(*ORDERED, t_s=199.0), "orders", status="late")["orders"]
    assert len(ask(made(*ORDERED), "orders", station="station 2", sku="A")["orders"]) == 1
    assert not ask(made(*ORDERED), "orders", station=1)["orders"]
    over = (
        *ORDERED,
        (60 * S, METERS_PICKED, 0, 0, 0b1111111111, 0),
        (70 * S, METERS_ISSUED, 0, 0, 0b1111111111),
        (300 * S, ORDER_HANDED_OVER, 0, 17, 100 * S),
    )
    told = ask(made(*over), "order", order="0")
    assert (told["status"], told["late"], told["late_s"], told["issued"], told["reserved"]) == (
        "handed_over", True, 100.0, 10, 0,
    )  # fmt: skip


def test_robot_on_its_way():
    """A robot on its way stands nowhere yet; from start, arrival and end its position can be worked out."""
    rows = (*ARRIVED, (35 * S, ROBOT_STRETCH, 0, WORKING, PORT, A, 240, 50 * S, 60 * S, 5))
    [row] = ask(made(*rows, t_s=40.0), "robots")["robots"]
    assert row == {
        "robot": "robot-1", "state": "work", "since_s": 35.0, "place": None, "slot": "1-02-1",
        "from_place": "port", "to_place": "1-02-1", "arrive_s": 50.0, "end_s": 60.0, "height_m": 0.24,
        "boxes": ["0"], "battery_permille": None, "task": 5, "tasks": [5], "tour": None,
    }  # fmt: skip
    assert ask(made(*rows, t_s=50.0), "robots")["robots"][0]["place"] == "1-02-1"
    idle = (*rows, (60 * S, ROBOT_STRETCH, 0, CHARGE, A, LAYOUT.chargers[0], 0, NONE, NONE, NONE))
    told = ask(made(*idle), "robot", robot="robot-1")
    assert (told["state"], told["place"], told["slot"], told["end_s"]) == ("charge", "charger-1", None, None)
    assert told["last_tasks"] == []
    assert [task["task"] for task in ask(made(*STORED), "robot", robot=0)["last_tasks"]] == [5]
    by_hand = instant_of(Simulation(load("luoyang_faults")))
    assert [ask(by_hand, "robot", robot=name)["state"] for name in ("robot-1", "person-2")] == ["idle", None]


def test_facts_with_their_names():
    """A fact has its fields by name, null where they do not apply, and beside them what they stand for."""
    told = ask(made(*STORED, (50 * S, FAULT_BEGAN, 0, 1, 0, NONE, A, 90 * S)), "events", limit=200)["events"]
    assert told[7] == {
        "seq": 7, "t_s": 30.0, "time": "2026-03-02T00:00:30.000", "kind": "box_moved", "box": 0, "box_name": "0",
        "from_place": PORT, "from_place_name": "port", "to_place": ROBOT, "to_place_name": "robot-1",
        "column": None, "tier": None, "robot": 0, "robot_name": "robot-1", "task": 5, "recorded": ROBOT,
        "recorded_name": "robot-1",
    }  # fmt: skip
    assert told[4]["task_class_name"] == "put_away"
    assert (told[-1]["cause_name"], told[-1]["place_name"], told[-1]["box"]) == ("minor_stop", "1-02-1", None)


def test_facts_that_are_asked_for():
    """Facts can be asked for by kind, box, place, order, robot, task and time, from either end."""
    instant = made(*ORDERED, (60 * S, STATION_CONSUMED, 1, 0, 3))

    def numbers(**query):
        return [fact["seq"] for fact in ask(instant, "events", **query)["events"]]

    assert numbers(kind="box_moved") == [3, 7, 8]
    assert numbers(box="0") == [1, 2, 3, 4, 5, 7, 8, 13]
    assert numbers(slot="1-02-1") == [4, 5, 8]
    assert numbers(order="0") == [10, 11, 12, 13]
    assert numbers(robot="robot-1") == [6, 7, 8, 9]
    assert numbers(task=5) == [4, 5, 6, 7, 8, 9]
    assert numbers(from_s=30, to_s=40.0) == [7, 8, 9]
    assert numbers(sort="newest", limit=3) == [14, 13, 12]
    assert numbers(sort="newest", limit=3, after=12) == [11, 10, 9]
    assert numbers(box="0", task=5, after=5) == [7, 8]
    assert ask(instant, "events", limit=3)["next"] == 2
    assert ask(instant, "events", limit=3, after=11)["next"] is None


def test_every_kind_is_an_object():
    """Each kind of fact is told as an object, with numbers that apply and with none, on the side of the truth."""
    rows = []
    for value in (NONE, 0, 1):
        rows += [
            (100 * S, kind.number, *([value] * len(kind.fields))) for kind in BY_NUMBER if kind.name not in
            ("box_created", "lot_created")
        ]  # fmt: skip
    told = ask(made(*STORED, *rows, side="truth"), "events", limit=200)["events"]
    assert len(told) == len(STORED) + len(rows)
    assert {fact["kind"] for fact in told} == set(KINDS)


# --- lists -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def luoyang():
    """The reference store with errors and counts, after some days."""
    sets = ["time.days=3", *MANY_ERRORS, "counting.plan=cyclic", "counting.slots_per_day=60"]
    run = Simulation(load("luoyang", sets))
    run.finish()
    return run


@pytest.mark.parametrize("side", ["records", "truth"])
@pytest.mark.parametrize(
    ("view", "query", "keep"),
    [
        ("boxes", {"status": "qualified_in_stock"}, lambda row: row["status"] == "qualified_in_stock"),
        ("boxes", {"sku": "single-phase B", "in_store": True}, lambda row: row["sku"] == "single-phase B" and row["place"] not in ("truck", "outside", "handed-over")),
        ("boxes", {"lot": "4"}, lambda row: row["lot"] == "4"),
        ("boxes", {"slot": "2-07-3"}, lambda row: row["place"] == "2-07-3"),
        ("boxes", {"place": "loose-rack"}, lambda row: row["place"] == "loose-rack"),
        ("boxes", {"verified_before": "2025-12-01"}, lambda row: row["verified_on"] < "2025-12-01"),
        ("boxes", {"min_age_days": 100}, lambda row: row["age_days"] >= 100),
        ("meters", {"sku": "single-phase C", "status": "qualified_in_stock"}, lambda row: row["sku"] == "single-phase C" and row["status"] == "qualified_in_stock"),
        ("meters", {"status": "issued_pending_install"}, lambda row: row["status"] == "issued_pending_install"),
        ("meters", {"slot": "2-07-3", "verified_before": date(2026, 1, 15)}, lambda row: row["place"] == "2-07-3" and row["verified_on"] < "2026-01-15"),
        ("lots", {"sku": "single-phase A"}, lambda row: row["sku"] == "single-phase A"),
        ("lots", {"recalled": True}, lambda row: row["recalled"]),
        ("tasks", {"class": "count", "status": "done"}, lambda row: row["class"] == "count" and row["status"] == "done"),
        ("tasks", {"order": 3}, lambda row: row["order"] == 3),
        ("orders", {"status": "handed_over"}, lambda row: row["status"] == "handed_over"),
        ("orders", {"station": "station 9"}, lambda row: row["station"] == "station 9"),
        ("counts", {"plan": "cyclic", "status": "ended"}, lambda row: row["status"] == "ended"),
    ],
)  # fmt: skip
def test_filters_leave_what_is_asked_for(luoyang, side, view, query, keep):
    """A filtered list is the whole list without what does not fit, whatever the size of a page."""
    instant = instant_of(luoyang, side)
    everyone = whole(instant, view, view)
    expected = [row for row in everyone if keep(row)]
    assert whole(instant, view, view, **query) == expected
    few = [row for row, _ in zip(whole_in(instant, view, query, 7), range(50), strict=False)]
    assert few == expected[:50]


def whole_in(instant, view, query, limit):
    """A list in small pages, row by row."""
    after = None
    while True:
        document = VIEWS[view](instant, {**query, "limit": limit, "after": after})
        yield from document[view]
        after = document["next"]
        if after is None:
            return


@pytest.mark.parametrize("side", ["records", "truth"])
@pytest.mark.parametrize("sort", ["oldest", "newest"])
def test_histories_in_pages(luoyang, side, sort):
    """Pages of any size make up the history; events of one fact are on one page."""
    instant = instant_of(luoyang, side)
    for kind, key, name in (
        ("box", "box", "1600"), ("slot", "slot", "2-07-3"), ("lot", "lot", "70"), ("robot", "robot", "robot-1"),
        ("order", "order", 5), ("meter", "asset", asset_number(15 * 1600)),
    ):  # fmt: skip
        pages, after = [], None
        for _ in range(10_000):
            page = ask(instant, f"{kind}_history", **{key: name}, limit=9, after=after, sort=sort)
            pages.append([event["seq"] for event in page["events"]])
            after = page["next"]
            if after is None:
                break
        numbers = [seq for page in pages for seq in page]
        assert numbers == sorted(numbers, reverse=sort == "newest")
        assert all(not set(a) & set(b) for a, b in pairwise(pages))
        story = views.track(instant.run, views.Subject(kind, instant.number(kind, name)))
        assert sorted(numbers) == [event.seq for event in story.events]


def test_order_of_a_history_by_its_other_name(luoyang):
    """`order=newest` turns a history round, but that of an order, whose number has the name."""
    instant = instant_of(luoyang)
    newest = ask(instant, "box_history", box="1600", order="newest", limit=200)["events"]
    assert newest == ask(instant, "box_history", box="1600", limit=200)["events"][::-1]


def test_meters_of_a_stock_list():
    """What a stock list has named goes by its names, in the order of asset numbers, beside the model's own."""
    assets = [asset_number(900 - k) for k in range(15)]
    names = {"boxes": {"0": "ZX-1"}, "lots": {"0": "L-7"}, "assets": {"0": assets}}
    instant = made(*STORED, (50 * S, BOX_CREATED, 1, 1, 0, DAY, 15, TRUCK, 4), names=names)
    found = whole(instant, "meters", "meters", limit=4)
    assert [row["asset"] for row in found] == [*(asset_number(15 + k) for k in range(15)), *sorted(assets)]
    assert {row["lot"] for row in found} == {"L-7"}
    assert found[-1]["box"] == "ZX-1"
    assert ask(instant, "meter", asset=assets[2])["box"] == "ZX-1"
    assert [row["box"] for row in ask(instant, "boxes", lot="L-7")["boxes"]] == ["ZX-1", "1"]
    assert ask(instant, "search", q="zx-")["found"][0]["path"] == "/runs/r1/boxes/ZX-1"
    assert [hit["name"] for hit in ask(instant, "search", q=assets[4])["found"]] == [assets[4]]


@pytest.mark.parametrize(
    ("view", "query", "words"),
    [
        ("slot", {"slot": "1-2-1"}, "slot: expected a slot of this store, found '1-2-1', did you mean '1-02-1'?"),
        ("slots", {"status": "ful"}, "status: expected 'empty', 'open', 'full', 'held', 'blocked' or 'none', found 'ful', did you mean 'full'?"),
        ("slots", {"row": 3}, "row: expected a row from 1 to 2, found 3"),
        ("slots", {"sku": "a"}, "sku: expected a SKU of this run, found 'a', did you mean 'A'?"),
        ("boxes", {"lot": "9"}, "lot: expected a lot from 0 to 0, found '9'"),
        ("boxes", {"place": "staging-1"}, "place: expected a place of this store, found 'staging-1', did you mean 'staging'?"),
        ("boxes", {"verified_before": "x"}, "verified_before: expected a date as 2026-03-02, found 'x'"),
        ("box", {"box": "7"}, "box: expected a box from 0 to 0, found '7'"),
        ("meter", {"asset": asset_number(99)}, f"asset: expected a meter of this run, found '{asset_number(99)}', the last is {asset_number(14)}"),
        ("robot", {"robot": "robot-2"}, "robot: expected a robot from 0 to 0, found 'robot-2', did you mean 'robot-1'?"),
        ("order", {"order": 3}, "order: expected an order, of which this run has none, found '3'"),
        ("task", {"task": 6}, "task: expected a task from 0 to 5, found '6'"),
        ("count", {"count": 0}, "count: expected a count, of which this run has none, found '0'"),
        ("orders", {"station": "north"}, "station: expected the name or the number of a station, found 'north'"),
        ("tasks", {"class": "isue"}, "class: expected 'issue', 'put_away', 'loose_return', 'empties' or 'count', found 'isue', did you mean 'issue'?"),
        ("events", {"kind": "box_mved"}, None),
        ("stock", {"by": "row"}, "by: expected 'sku', 'lot' or 'zone', found 'row'"),
        ("box_history", {"box": "0", "sort": "new"}, "sort: expected 'oldest' or 'newest', found 'new', did you mean 'newest'?"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused(view, query, words):
    """What the run does not have is refused in words, with the near miss."""
    with pytest.raises(NotFound) as caught:
        VIEWS[view](made(*STORED), query)
    if words is None:
        assert str(caught.value).endswith("found 'box_mved', did you mean 'box_moved'?")
    else:
        assert str(caught.value) == words


def test_search_finds_by_a_few_characters(luoyang):
    """What is called so comes first, then what begins so, then what has it inside."""
    instant = instant_of(luoyang)
    found = ask(instant, "search", q="12", limit=200)["found"]
    assert [(hit["kind"], hit["name"]) for hit in found[:2]] == [("box", "12"), ("order", "12")]
    assert {hit["kind"] for hit in found} == {"box", "order", "lot", "slot", "meter"}
    ranks = [0 if hit["name"] == "12" else 1 if hit["name"].startswith("12") else 2 for hit in found]
    assert ranks == sorted(ranks)
    for hit in found:
        key = {"meter": "asset"}.get(hit["kind"], hit["kind"])
        assert "12" in hit["name"]
        assert ask(instant, hit["kind"], **{key: hit["name"]})
    asset = asset_number(1234)
    for part in (asset, asset[:-1], asset[-9:]):
        assert asset in [hit["name"] for hit in ask(instant, "search", q=part, limit=200)["found"]]
    [hit] = ask(instant, "search", q="ROBOT")["found"]
    assert (hit["name"], hit["path"]) == ("robot-1", "/runs/r1/robots/robot-1")
    assert ask(instant, "search", q=" ")["found"] == ask(instant, "search", q="no such")["found"] == []


@given(st.lists(st.integers(0, 10**14 - 1), min_size=1, max_size=5), st.integers(0, 21), st.integers(1, 22))
@settings(max_examples=60)
def test_digits_are_found_in_asset_numbers(meters, first, length):
    """Asset numbers are searched as texts are, without being written."""
    part = asset_number(meters[0])[first : first + length]
    found = views._have_digits(np.array(meters, np.int64), part)
    assert found.tolist() == [part in asset_number(meter) for meter in meters]


# --- KPIs --------------------------------------------------------------------------------------------------


def test_kpis_are_those_of_the_run():
    """Where nothing goes wrong the KPIs are those of the result, but for those that hold records against truth."""
    run = Simulation(load("tiny"))
    run.advance(40 * HOUR_MS)
    told, expected = ask(instant_of(run), "kpis"), run.result().kpis()
    assert set(expected) - set(told["kpis"]) == KPIS_OF_TRUTH
    assert told["kpis"] == {name: expected[name] for name in told["kpis"]}
    assert ask(instant_of(run, "truth"), "kpis")["kpis"] == expected
    assert told["limits"].endswith(".")
    assert set(KPIS) >= KPIS_OF_TRUTH


def test_kpis_count_boxes_where_they_are_recorded(luoyang):
    """By the records a box stands where it is recorded, with the meters that are recorded."""
    instant = instant_of(luoyang)
    run = views._RecordFacts(
        instant.told, luoyang.scenario, luoyang.layout, luoyang.calendar, 0, luoyang.now_ms
    )
    state = state_at(luoyang.trace, luoyang.layout)
    last = {}
    for box, place, meters in zip(
        *(run.stays[name].tolist() for name in ("box", "place", "meters")), strict=True
    ):
        last[box] = place, meters
    assert [last[box][0] for box in range(len(last))] == state.recorded_place.tolist()
    assert (state.place != state.recorded_place).any()
    changes = meter_changes(luoyang.trace.table)
    assert (changes["left"] == ISSUED_WHOLE).any()
    held = [last[box][1] for box in range(len(last))]
    inside = (state.recorded_place < luoyang.layout.slots) & (state.recorded_mask == FULL)
    assert all(held[box] == 15 for box in np.flatnonzero(inside).tolist())
    assert ask(instant_of(luoyang, "truth"), "kpis")["kpis"]["errors_made"]["value"] > 0


# --- forms -------------------------------------------------------------------------------------------------


def test_every_view_has_its_form():
    """Every view has a sentence and a model of its answer, and every model a schema."""
    assert list(ANSWERS) == list(VIEWS)
    for name, view in VIEWS.items():
        assert view.__doc__, name
        schema = ANSWERS[name].model_json_schema(by_alias=True, mode="serialization")
        assert {"run", "t_s", "time", "facts", "view"} <= set(schema["properties"])
        assert ANSWERS[name].__doc__
    status = answers.Slots.model_json_schema()["$defs"]["SlotRow"]["properties"]["status"]
    assert status["enum"] == ["empty", "open", "full", "held", "blocked", "none"]
    with pytest.raises(ValueError, match="expected 'empty', 'open'"):
        answers.Slots.model_validate(
            {**ask(made(*STORED), "slots"), "slots": [{"slot": "1-01-1", "status": "new"}]}
        )


def test_store_before_anything_happens():
    """At time 0, and where nothing has come yet, every view that asks for no name has an answer."""
    run = Simulation(load("tiny", ["initial.fill=0", "demand.orders_per_day=0"]))
    for instant in (instant_of(run), instant_of(run, "truth"), instant_of(Simulation(load("tiny")))):
        for view in (
            "slots",
            "boxes",
            "meters",
            "lots",
            "stock",
            "tasks",
            "orders",
            "counts",
            "robots",
            "events",
            "kpis",
        ):
            ask(instant, view)
        ask(instant, "search", q="1")
        ask(instant, "slot_history", slot="1-01-1")


def test_instant_stays_while_the_run_goes_on():
    """An instant that was made before the run went on tells the same afterwards."""
    run = Simulation(load("tiny"))
    run.advance(20 * HOUR_MS)
    trace = Followed(run.trace)
    before, after = (
        Instant("r1", trace, run.scenario, run.layout, run.names(), run.now_ms) for _ in range(2)
    )
    told, facts = everything(before), len(run.trace)
    run.advance(35 * HOUR_MS)
    for kinds, data in run.trace.packed(facts):
        trace.extend(kinds, data)
    assert len(trace) > facts
    assert everything(after) == told


def test_removal_of_days_beyond_the_calendar():
    """A due time beyond all calendars has seconds and no date."""
    rows = (*STORED, (50 * S, ORDER_RELEASED, 0, 2, 10**17, 1))
    told = ask(made(*rows), "order", order=0)
    assert (told["due_s"], told["due_time"]) == (1e14, None)
    assert made(*rows).time(round(timedelta(days=1).total_seconds() * S)) == "2026-03-03T00:00:00.000"


def test_task_class_of_orders():
    """Tasks of an order are named with it."""
    rows = (*ORDERED, (55 * S, TASK_CREATED, 6, ISSUE, 0, A, LAYOUT.outbound, 0))
    assert ask(made(*rows), "order", order=0)["tasks"] == [6]
    assert ask(made(*rows), "box", box="0")["task"] == 6
