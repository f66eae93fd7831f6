"""One run: the same facts however it is run, and a store that behaves as its scenario says."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sim.allocation import POLICIES
from sim.calendar import DAY_MS
from sim.facts import BY_NUMBER, NONE
from sim.history import state_at
from sim.ledger import QUALIFIED
from sim.orders import ORDER_TYPES
from sim.retrieval import RETRIEVAL
from sim.robots import DISPATCH, DWELL
from sim.scenario import ScenarioError, from_dict, load
from sim.simulation import Simulation, run
from sim.stocklist import write_stock
from sim.trace import MODEL_VERSION

HERE = Path(__file__).parent
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def small(seed=1, **sections):
    """A week in a store of 120 places, 12 slots of 10 boxes, that issues 8 boxes a working day."""
    return Simulation(small_scenario(**sections), seed=seed)


def small_scenario(**sections):
    data = {
        "time": {"days": 7},
        "layout": {
            "rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 10,
            "ports": [{"name": "port", "serves": "both"}],
        },
        "skus": [{"name": "A", "share": 0.8}, {"name": "B", "share": 0.2}],
        "initial": {"fill": 0.65},
        "demand": {"orders_per_day": 6, "mean_meters": 20, "cap_boxes": 4, "months": [1.0] * 12},
        "supply": {"min_boxes": 4, "truck_boxes": 20},
    }  # fmt: skip
    for section, values in sections.items():
        data[section] = {**data.get(section, {}), **values} if isinstance(values, dict) else values
    return from_dict(data)


def digest_of(simulation, slice_ms=None, *, watched=False):
    """The digest of a run in one go or in slices, looked at after each slice if it is watched."""
    while simulation.now_ms < simulation.end_ms:
        step = slice_ms or simulation.end_ms
        simulation.advance(min(simulation.end_ms, simulation.now_ms + step))
        if watched:
            simulation.snapshot()
            simulation.check()
            len(simulation.result().trace)
    return simulation.result().digest


def mean_fill(simulation):
    """Time mean of the share of box places taken, from the facts."""
    slots = simulation.layout.slots
    moved = simulation.trace.table("box_moved")
    into = (moved["to_place"] >= 0) & (moved["to_place"] < slots)
    out_of = (moved["from_place"] >= 0) & (moved["from_place"] < slots)
    boxes = np.cumsum(into.astype(np.int64) - out_of)
    spans = np.diff(np.append(moved["time_ms"], simulation.end_ms))
    return float((boxes * spans).sum() / simulation.end_ms / simulation.layout.boxes)


# -- the same facts -------------------------------------------------------------------------------------


def test_stored_digest():
    """The tiny scenario gives the facts that it gave before.

    A change of this digest is a change of the model: it needs another MODEL_VERSION (sim/trace.py), a line in
    CHANGELOG.md that says what changed, and the new digest in tests/data/digests.json in the same commit.
    """
    stored = json.loads((HERE / "data" / "digests.json").read_text(encoding="utf-8"))
    result = run(load("tiny"))
    found = {
        "model_version": MODEL_VERSION,
        "facts": len(result.trace),
        "digest": result.digest,
        "demand_digest": result.trace.demand_digest(),
    }
    assert found == stored["tiny"], (
        "the model gives other facts than before; if that is meant, raise MODEL_VERSION in sim/trace.py, say"
        f" why in CHANGELOG.md and store this in tests/data/digests.json: {json.dumps(found)}"
    )


def test_slices_and_watching():
    """In one go, in slices of a minute or of odd length, watched or not: one digest."""
    scenario = load("tiny")
    whole = digest_of(Simulation(scenario))
    assert digest_of(Simulation(scenario), MINUTE_MS) == whole
    assert digest_of(Simulation(scenario), MINUTE_MS, watched=True) == whole
    assert digest_of(Simulation(scenario), 7_654_321, watched=True) == whole
    assert run(scenario).digest == whole


def test_luoyang_in_slices():
    """Four weeks of the reference store: in one go, in slices of ten minutes, and watched, one digest."""
    scenario = load("luoyang")
    whole = run(scenario).digest
    assert digest_of(Simulation(scenario), 10 * MINUTE_MS) == whole
    simulation = Simulation(scenario)
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(min(simulation.end_ms, simulation.now_ms + 97 * MINUTE_MS))
        simulation.snapshot()
    assert simulation.result().digest == whole


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_luoyang_by_the_minute():
    """Four weeks of the reference store in slices of one minute, watched, give the digest of one go."""
    scenario = load("luoyang")
    simulation = Simulation(scenario)
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(simulation.now_ms + MINUTE_MS)
        simulation.snapshot()
    assert simulation.result().digest == run(scenario).digest


@pytest.mark.parametrize("scenario", ["tiny", "luoyang"])
def test_hash_seed_does_not_matter(scenario):
    """Other processes under other hash seeds give the same digest."""
    code = f"from sim import load, run; print(run(load({scenario!r})).digest)"
    found = set()
    for hash_seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment, cwd=HERE.parent, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(done.stdout.strip())
    assert found == {run(load(scenario)).digest}


def test_seed_matters():
    """Another seed gives another digest; the scenario's own seed is the one that is used."""
    scenario = load("tiny")
    seeds = [run(scenario, seed).digest for seed in (1, 2, 1)]
    assert seeds[0] == seeds[2] == run(scenario).digest
    assert seeds[0] != seeds[1]


def test_runs_do_not_disturb_each_other():
    """Two runs that take turns in one process give what each gives alone."""
    one, other = small(1), small(2)
    while one.now_ms < one.end_ms:
        one.advance(one.now_ms + HOUR_MS)
        other.advance(other.now_ms + HOUR_MS)
    assert one.result().digest == digest_of(small(1))
    assert other.result().digest == digest_of(small(2))


def test_end_belongs_to_the_next_slice():
    """What happens at the very instant to which a run is advanced happens in the next slice."""
    simulation = small(demand={"kind": "schedule", "schedule": [{"day": 0, "at": "09:00", "sku": "A"}]})
    simulation.advance(9 * HOUR_MS)
    assert simulation.trace.table("order_released")["time_ms"].tolist() == []
    simulation.advance(9 * HOUR_MS + 1)
    assert simulation.trace.table("order_released")["time_ms"].tolist() == [9 * HOUR_MS]


def test_facts_stand_in_order():
    """No fact is recorded before its time or after a later one, whatever the slices."""
    simulation = small()
    last = 0
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(simulation.now_ms + 3 * HOUR_MS)
        times = [row[0] for row in simulation.trace.rows()]
        assert times == sorted(times)
        assert times[-1] < simulation.now_ms
        assert len(times) >= last
        last = len(times)


# -- demand is the same for every policy ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["poisson", "stations", "hold_fill"])
def test_demand_is_the_same_for_all_policies(kind):
    """Allocation, retrieval, dispatch and dwell rules meet the same demand, in one demand digest."""
    choices = [("allocation", name) for name in POLICIES] + [("retrieval", name) for name in RETRIEVAL]
    choices += [("dispatch", name) for name in DISPATCH] + [("dwell", name) for name in DWELL]
    choices += [("decide_at", "pickup"), ("allocation_ms", 30_000)]
    demand, facts = set(), set()
    for key, name in choices:
        simulation = small(policy={key: name}, demand={"kind": kind})
        facts.add(digest_of(simulation))
        demand.add(simulation.trace.demand_digest())
    assert len(demand) == 1
    assert len(facts) > 5  # the policies do something


def test_demand_does_not_depend_on_robots():
    """Fewer robots, people and places leave demand as it is."""
    demand = set()
    for sections in ({}, {"robots": {"count": 3}}, {"people": {"count": 0}}, {"staging": {"boxes": 0}}):
        simulation = small(**sections)
        simulation.finish()
        demand.add(simulation.trace.demand_digest())
    assert len(demand) == 1


@pytest.mark.parametrize("kind", [kind for kind in ORDER_TYPES if kind != "trace"])
def test_every_demand_kind_runs(kind):
    """A week of every kind of demand hands orders over and keeps every invariant."""
    simulation = small(demand={"kind": kind, "schedule": [{"day": 1, "sku": "A", "meters": 40}]})
    simulation.finish()
    assert simulation.trace.table("order_handed_over")["order"].size >= 1


# -- fill, steady state, backlog ------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [0.5, 0.65, 0.8, 0.95])
def test_hold_fill(fill):
    """One box in for each box out keeps the mean fill of the reference store within one point, four weeks."""
    simulation = Simulation(load("hold_fill", [f"initial.fill={fill}", "time.days=28"]))
    simulation.finish()
    assert abs(mean_fill(simulation) - fill) < 0.01


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fill", [0.5, 0.65, 0.8, 0.95])
def test_hold_fill_two_years(fill):
    """The same over two years."""
    simulation = Simulation(load("hold_fill", [f"initial.fill={fill}", "time.days=730"]))
    simulation.finish()
    assert abs(mean_fill(simulation) - fill) < 0.01


def steady(days):
    """Mean fill of each year, expired boxes and orders left open of the reference store."""
    simulation = Simulation(load("luoyang", [f"time.days={days}"]))
    simulation.finish()
    moved = simulation.trace.table("box_moved")
    slots = simulation.layout.slots
    into = (moved["to_place"] >= 0) & (moved["to_place"] < slots)
    out_of = (moved["from_place"] >= 0) & (moved["from_place"] < slots)
    boxes = np.cumsum(into.astype(np.int64) - out_of)
    noons = np.arange(days) * DAY_MS + 12 * HOUR_MS
    by_day = boxes[np.searchsorted(moved["time_ms"], noons, side="right") - 1] / simulation.layout.boxes
    expired = simulation.trace.table("box_expired")["box"].size
    created = simulation.trace.table("box_created")["box"].size
    return by_day, expired / created, len(simulation.warehouse.orders)


def test_steady_state_of_a_year():
    """The default supply keeps the store between half and four fifths full through a year of seasons."""
    by_day, expired, left_open = steady(365)
    assert 0.5 < by_day.min() < by_day.max() < 0.8
    assert abs(by_day.mean() - 0.65) < 0.03
    assert expired < 0.002
    assert left_open <= 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_steady_state_of_five_years():
    """Over five years the fill neither rises nor falls: the means of the years lie within two points."""
    by_day, expired, left_open = steady(5 * 365)
    years = by_day.reshape(5, 365).mean(axis=1)
    assert years.max() - years.min() < 0.02
    assert np.all(np.abs(years - 0.65) < 0.03)
    assert 0.5 < by_day.min() < by_day.max() < 0.8
    assert expired < 0.002
    assert left_open <= 10


def test_hold_fill_replaces_one_by_one():
    """Under hold_fill a truck with one box of the SKU comes at the very moment a box has left."""
    simulation = small(demand={"kind": "hold_fill"})
    simulation.finish()
    arrived = simulation.trace.table("truck_arrived")
    issued, emptied = simulation.trace.table("meters_issued"), simulation.trace.table("box_emptied")
    handed_over = issued["time_ms"][issued["mask"] == (1 << 15) - 1]
    assert set(arrived["boxes"].tolist()) == {1}
    assert sorted(arrived["time_ms"].tolist()) == sorted(
        [*handed_over.tolist(), *emptied["time_ms"].tolist()]
    )


def test_saturated_keeps_its_backlog():
    """Under `saturated` there are always as many orders open as the backlog says."""
    simulation = small(demand={"kind": "saturated", "backlog_orders": 5})
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(simulation.now_ms + 17 * MINUTE_MS)
        assert len(simulation.warehouse.orders) == 5
        simulation.check()
    released = simulation.trace.table("order_released")
    handed = simulation.trace.table("order_handed_over")
    # Five at time 0, then one at each hand-over.
    assert released["time_ms"].tolist() == [0] * 5 + handed["time_ms"].tolist()
    assert set(released["exogenous"].tolist()) == {0}


# -- supply in the run ----------------------------------------------------------------------------------


def test_scheduled_day():
    """A listed order and a listed delivery happen when they are due, and nothing else does."""
    simulation = small(
        initial={"fill": 0},
        time={"days": 3},
        supply={"rule": "schedule", "schedule": [{"day": 1, "sku": "B", "boxes": 2}]},
        demand={
            "kind": "schedule",
            "schedule": [{"day": 1, "at": "10:30", "sku": "B", "meters": 20, "station": 4}],
        },
    )
    simulation.finish()
    tables = {
        name: simulation.trace.table(name) for name in ("truck_called_off", "truck_arrived", "order_released")
    }
    (due,) = tables["truck_called_off"]["due"].tolist()
    assert DAY_MS + 9 * HOUR_MS <= due < DAY_MS + 11 * HOUR_MS
    assert tables["truck_called_off"]["time_ms"].tolist() == [DAY_MS]
    assert tables["truck_arrived"]["time_ms"].tolist() == [due]
    assert tables["order_released"]["time_ms"].tolist() == [DAY_MS + 10 * HOUR_MS + 30 * MINUTE_MS]
    # Due four shift hours later: 1.5 h until 12:00, 2.5 h from 14:30.
    assert tables["order_released"]["due"].tolist() == [DAY_MS + 17 * HOUR_MS]
    assert simulation.trace.table("order_handed_over")["meters"].tolist() == [20]


def test_stock_position_is_kept():
    """On order is what was called off and is not received yet; on hand is what nobody has reserved."""
    simulation = small()
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(simulation.now_ms + 5 * HOUR_MS)
        called = simulation.trace.table("truck_called_off")
        received = simulation.trace.table("box_received")["box"]
        sku_of = np.array(simulation.ledger.sku)
        state = state_at(simulation.trace, simulation.layout)
        for sku in (0, 1):
            on_order = called["boxes"][called["sku"] == sku].sum() - (sku_of[received] == sku).sum()
            assert simulation.ledger.on_order[sku] == 15 * on_order
            mine = (state.sku == sku) & (state.state == QUALIFIED) & (state.mask != 0)
            assert simulation.ledger.on_hand[sku] == (state.meters - state.reserved)[mine].sum()


def test_review_sees_waiting_lines():
    """Meters that orders wait for are called off on top of the level."""
    simulation = small(
        initial={"fill": 0},
        skus=[{"name": "A"}],
        supply={
            "target_fill": 0.1,
            "lead_time_days": 5,
            "cover_days": 1000,
            "review_weekdays": ["mon", "tue"],
        },
        demand={"kind": "schedule", "schedule": [{"day": 0, "at": "10:00", "sku": "A", "meters": 600}]},
    )
    simulation.finish()
    called = simulation.trace.table("truck_called_off")
    # S = 12 + 8 x (5 + 1.25) = 62 boxes on Monday; on Tuesday 40 boxes more are missing.
    by_day = Counter()
    for at, boxes in zip(called["time_ms"].tolist(), called["boxes"].tolist(), strict=True):
        by_day[at // DAY_MS] += boxes
    assert by_day == {0: 62, 1: 40}


# -- people and calendar --------------------------------------------------------------------------------


def test_work_only_in_shifts():
    """People begin work only in their shifts on working days, and not in their breaks."""
    simulation = small(
        people={"count": 2, "breaks": [["09:30", "09:45"], ["11:50", "15:00"]]},
        calendar={"holidays": ["2026-03-04"]},
        demand={"orders_per_day": 40},
    )
    simulation.finish()
    begun = simulation.trace.table("person_work")["time_ms"]
    assert begun.size > 200
    days, clocks = begun // DAY_MS, begun % DAY_MS / HOUR_MS
    assert set(days.tolist()) <= {0, 1, 3, 4}
    # 08:00-12:00 and 14:30-18:00 less the breaks.
    spans = [(8, 9.5), (9.75, 11 + 5 / 6), (15, 18)]
    assert all(any(a <= clock < b for a, b in spans) for clock in clocks.tolist())
    assert all(any(a <= clock < b for clock in clocks.tolist()) for a, b in spans)


def test_one_person_one_work():
    """A person does one thing at a time."""
    simulation = small(people={"count": 3}, demand={"orders_per_day": 60})
    simulation.finish()
    work = simulation.trace.table("person_work")
    for person in range(3):
        mine = work["person"] == person
        assert mine.sum() > 50
        assert np.all(work["time_ms"][mine][1:] >= work["end"][mine][:-1])


# -- the past ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"demand": {"orders_per_day": 30, "full_box_share": 0.1}, "staging": {"loose_rack_boxes": 0}},
        {"robots": {"kind": "top_gripper", "access": "stack_lifo"}, "demand": {"kind": "hold_fill"}},
        {"demand": {"max_age_days": 45}},
    ],
)
def test_history_equals_the_run(sections):
    """The state worked out from the facts is the live state, at any instant at which one looks."""
    simulation = small(time={"days": 5}, **sections)
    at = np.random.default_rng(7).integers(1, simulation.end_ms, 40)
    seen = []
    for instant in sorted(at.tolist()):
        simulation.advance(instant)
        seen.append((instant, live(simulation)))
    simulation.finish()
    for instant, state in seen:
        assert told(simulation, instant - 1) == state


def live(simulation):
    """Boxes of the running store as (place, column, tier, meters, state, order)."""
    stock, ledger = simulation.stock, simulation.ledger
    assert (stock.place, stock.column, stock.tier) == (ledger.place, ledger.column, ledger.tier)
    assert stock.mask == ledger.mask
    return [
        (place, column, tier, mask, state if mask else NONE, order if mask else NONE)
        for place, column, tier, mask, state, order in zip(
            stock.place, stock.column, stock.tier, stock.mask, ledger.state, ledger.order, strict=True
        )
    ]


def told(simulation, instant):
    """The same from the facts up to an instant."""
    past = state_at(simulation.trace, simulation.layout, instant)
    assert np.array_equal(past.place, past.recorded_place)
    assert np.array_equal(past.tier, past.recorded_tier)
    columns = (past.place, past.column, past.tier, past.mask, past.state, past.order)
    return [
        (place, column, tier, mask, state if mask else NONE, order if mask else NONE)
        for place, column, tier, mask, state, order in zip(*(c.tolist() for c in columns), strict=True)
    ]


# -- a real store's lists -----------------------------------------------------------------------------------


def exported(simulation, path, **how):
    """Write the stock of a run now as a list."""
    state = state_at(simulation.trace, simulation.layout)
    write_stock(path, state, simulation.layout, simulation.sku_names, simulation.start, **how)


def ledger_of(simulation):
    """What the records say of the boxes in the store, in the order of where they stand."""
    ledger, layout = simulation.ledger, simulation.layout
    gone = {layout.truck, layout.handed_over, layout.outside}
    lots = {}
    boxes = []
    for box, place in enumerate(ledger.place):
        if place not in gone and ledger.mask[box]:
            first = lots.setdefault(ledger.lot[box], len(lots))
            boxes.append((
                layout.place_name(place), ledger.column[box], ledger.tier[box], ledger.sku[box], first,
                ledger.verified_day[box], ledger.mask[box].bit_count(), ledger.state[box],
            ))  # fmt: skip
    return boxes


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("stock.csv", {}),
        ("stock.csv", {"encoding": "utf-8-sig"}),
        ("stock.csv", {"encoding": "gb18030", "language": "zh"}),
        ("stock.xlsx", {}),
        ("stock.xlsx", {"language": "zh", "assets": True}),
    ],
)
@pytest.mark.parametrize("hour", [33, 60])
def test_export_and_start_again(tmp_path, name, how, hour):
    """The stock of an instant, written as a list and read by a new run, gives an equal ledger."""
    path = tmp_path / name
    simulation = small(demand={"orders_per_day": 12}, time={"start": "2026-03-02"})
    simulation.advance(hour * HOUR_MS)
    exported(simulation, path, **how)
    # The new run begins on the day of the export, or a box could be verified in its future.
    again = small(initial={"stock": str(path)}, time={"start": "2026-03-04"})
    again.check()
    expected = [_settled(box, simulation) for box in ledger_of(simulation)]
    # Boxes at a port, on a robot or at the pick station come to stand in staging or in the loose rack.
    assert [_settled(box, again) for box in ledger_of(again)] == expected
    slots = again.layout.slots
    assert sum(0 <= place < slots for place in again.ledger.place) == sum(
        0 <= place < slots for place in simulation.ledger.place
    )
    again.finish()


def _settled(box, simulation):
    """A box's record, with all places outside the racks taken as one."""
    place, *rest = box
    return (place if rest[0] != NONE else "floor", *rest)


def test_stock_list_of_states(tmp_path):
    """Boxes that a list gives another state than qualified stand in their slots and are kept from orders."""
    path = tmp_path / "stock.csv"
    path.write_text(
        "box,slot,position,sku,lot,verified_on,meters,state\n"
        "1,1-01-1,1.1,A,L1,2026-02-01,15,quarantined\n"
        "2,1-01-1,1.2,A,L1,2026-02-02,15,qualified_in_stock\n"
        "3,1-01-1,1.3,A,L1,2026-02-03,15,overdue_pending_reverify\n",
        encoding="utf-8",
    )
    simulation = small(
        initial={"stock": str(path)},
        demand={"kind": "schedule", "schedule": [{"day": 0, "at": "09:00", "sku": "A", "meters": 30}]},
        supply={"target_fill": 0.001, "min_boxes": 100},
    )
    assert simulation.ledger.on_hand == [15, 0]
    simulation.advance(DAY_MS)
    assert simulation.trace.table("box_reserved")["box"].tolist() == [1]
    assert simulation.trace.table("line_short")["meters"].tolist() == [15]


def test_open_boxes_of_a_list(tmp_path):
    """An open box of a list is used first: from its slot, from the loose rack or from staging."""
    for place in ("1-01-1", "loose-rack", "staging"):
        path = tmp_path / f"{place}.csv"
        path.write_text(
            "box,slot,position,sku,lot,verified_on,meters,state\n"
            f"1,1-02-1,1.1,A,L1,2026-01-01,15,\n2,{place},,A,L1,2026-02-02,7,\n",
            encoding="utf-8",
        )
        schedule = [{"day": 0, "at": "09:00", "sku": "A", "meters": meters} for meters in (4, 3)]
        simulation = small(
            initial={"stock": str(path)},
            demand={"kind": "schedule", "schedule": schedule},
            supply={"target_fill": 0.001, "min_boxes": 100},
        )
        simulation.advance(DAY_MS)
        assert simulation.trace.table("meters_picked")["box"].tolist() == [1, 1]
        assert simulation.trace.table("box_emptied")["box"].tolist() == [1]
        simulation.check()


def test_orders_at_time_zero(tmp_path):
    """Orders of a list are released when it says, those from before time 0 at once; due counts from then."""
    path = tmp_path / "orders.csv"
    path.write_text(
        "order,released,station,sku,meters,due\n"
        "X1,2026-02-27 16:00,North,A,30,\n"
        "X2,2026-03-03 09:00,South,A,15,\n"
        "X3,2026-03-02 10:00,North,B,4,2026-03-02 11:00\n"
        "X3,2026-03-02 10:00,North,A,15,2026-03-02 11:00\n",
        encoding="utf-8",
    )
    simulation = small(initial={"orders": str(path)}, demand={"orders_per_day": 0})
    simulation.finish()
    released = simulation.trace.table("order_released")
    found = zip(
        *(released[name].tolist() for name in ("time_ms", "station", "due", "exogenous")), strict=True
    )
    # Due four shift hours later: the first shift is 08:00 to 12:00, so noon, and on Tuesday 15:30.
    assert list(found) == [
        (0, 0, 12 * HOUR_MS, 1),
        (10 * HOUR_MS, 0, 11 * HOUR_MS, 1),
        (DAY_MS + 9 * HOUR_MS, 1, DAY_MS + 15 * HOUR_MS + 30 * MINUTE_MS, 1),
    ]
    lines = simulation.trace.table("order_line")
    assert list(zip(*(lines[name].tolist() for name in ("order", "sku", "meters")), strict=True)) == [
        (0, 0, 30), (1, 1, 4), (1, 0, 15), (2, 0, 15)
    ]  # fmt: skip
    assert simulation.names()["stations"] == ["North", "South"]
    assert sorted(simulation.trace.table("order_handed_over")["order"].tolist()) == [0, 1, 2]


def test_orders_of_a_file(tmp_path):
    """demand.kind = 'trace' releases exactly the orders of its file, and draws none."""
    path = tmp_path / "orders.csv"
    path.write_text(
        "order,released,station,sku,meters\n1,2026-03-02 09:00,7,A,15\n2,2026-03-04 09:30:15,8,B,5\n",
        encoding="utf-8",
    )
    simulation = small(demand={"kind": "trace", "file": str(path)})
    simulation.finish()
    released = simulation.trace.table("order_released")["time_ms"].tolist()
    assert released == [9 * HOUR_MS, 2 * DAY_MS + 9 * HOUR_MS + 30 * MINUTE_MS + 15_000]


# -- what can be asked ---------------------------------------------------------------------------------


def test_snapshot_tells_where_boxes_are():
    """A snapshot is JSON-ready and shows every box in a slot or on a robot, at any instant."""
    simulation = small(demand={"orders_per_day": 40})
    robots = [simulation.layout.robot_place(robot.number) for robot in simulation.fleet.robots]
    aboard = 0
    for instant in range(8 * HOUR_MS, 12 * HOUR_MS, 53_000):
        simulation.advance(instant)
        snapshot = json.loads(json.dumps(simulation.snapshot()))
        assert snapshot["t_ms"] == instant
        assert snapshot["facts"] == len(simulation.trace)
        in_slots = {entry["slot"]: entry["boxes"] for entry in snapshot["slots"]}
        places = [place for place in simulation.ledger.place if place < simulation.layout.slots]
        assert {slot: n for slot, n in in_slots.items() if n} == Counter(
            simulation.layout.names[p] for p in places
        )
        for robot, entry in zip(robots, snapshot["robots"], strict=True):
            on_board = [box for box, place in enumerate(simulation.ledger.place) if place == robot]
            assert sorted(entry["boxes"]) == on_board
            aboard += len(on_board)
    assert aboard > 0


def test_snapshot_shares_nothing():
    """A snapshot does not change when the run goes on, and changing it changes no run."""
    simulation = small()
    simulation.advance(10 * HOUR_MS)
    snapshot = simulation.snapshot()
    kept = json.dumps(snapshot)
    simulation.advance(20 * HOUR_MS)
    assert json.dumps(snapshot) == kept
    for entry in snapshot["robots"]:
        entry["boxes"].append(99)
    snapshot["slots"].clear()
    simulation.check()
    simulation.finish()


def test_progress_reaches_the_end():
    """Progress is told once a simulated day, as a share that ends at 1."""
    told_so_far = []
    run(small_scenario(time={"days": 4}), progress=told_so_far.append)
    assert told_so_far == [0.25, 0.5, 0.75, 1.0]


def test_invariants_are_looked_at():
    """A run whose truth was tampered with does not give a result."""
    simulation = small()
    simulation.advance(DAY_MS)
    box = next(box for box, column in enumerate(simulation.stock.column) if column != NONE)
    simulation.stock.place[box] += 1
    with pytest.raises(RuntimeError, match=rf"box {box} "):
        simulation.result()


def test_kinds_of_facts_are_known():
    """A run records only kinds of the vocabulary, with all their fields."""
    simulation = small(demand={"orders_per_day": 20})
    simulation.finish()
    for row in simulation.trace.rows():
        assert len(row) == 2 + len(BY_NUMBER[row[1]].fields)


def test_scenario_without_people_or_robots():
    """A store without people, or without robots, stands still without breaking."""
    for sections in ({"people": {"count": 0}}, {"robots": {"count": 0}}):
        simulation = small(**sections)
        simulation.finish()
        assert simulation.trace.table("order_released")["order"].size > 0


def test_breaks_must_leave_work():
    """Breaks that leave nothing of the shifts are refused in words."""
    with pytest.raises(ScenarioError, match=r"people\.breaks: expected breaks that leave some of the shifts"):
        small(people={"breaks": [["00:00", "24:00"]]})
