"""One run: the same facts however it is run, and a store that behaves as its scenario says."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sim.allocation import HORIZON, LIVE_POLICIES, OWN_RULES, POLICIES
from sim.calendar import DAY_MS
from sim.facts import BY_NUMBER, ISSUE, KINDS, NONE, PUT_AWAY
from sim.history import state_at
from sim.ledger import QUALIFIED
from sim.orders import ORDER_TYPES
from sim.retrieval import RETRIEVAL
from sim.robots import DISPATCH, DWELL
from sim.scenario import ScenarioError, box_weight_g, from_dict, load
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


# -- allocation rules in a run ----------------------------------------------------------------------------

MACHINES = {
    "direct": {"carry": 2},
    "stacks": {"kind": "top_gripper", "access": "stack_lifo", "carry": 2},
    "two robots": {"count": 2, "carry": 1},
}


def kinds_of_device(seed=1, **sections):
    """A busy week with meters of three device classes; some slots are kept by class, some by weight."""
    base = {
        "boxes": {"tare_kg": 2},
        "layout": {
            "rows": 3, "columns": 4, "levels": 2, "profile": "uniform", "boxes_per_slot": 6,
            "restricted": [
                {"rows": [1], "devices": ["three-phase", "terminal"]},
                {"rows": [2], "columns": [1, 2], "devices": ["single-phase", "terminal"]},
                {"levels": [2], "most_box_kg": 20},
            ],
        },
        "skus": [
            {"name": "A", "share": 0.5, "stay_days": 10},
            {"name": "B", "share": 0.2, "stay_days": 25},
            {"name": "T", "share": 0.2, "device": "three-phase", "meter_kg": 1.4, "stay_days": 8},
            {"name": "C", "share": 0.1, "device": "terminal", "meter_kg": 1.0},
        ],
        "initial": {"fill": 0.8},
        "demand": {"orders_per_day": 12, "mean_meters": 25, "cap_boxes": 4, "months": [1.0] * 12},
        "supply": {"min_boxes": 4, "truck_boxes": 30},
        "staging": {"boxes": 10},
    }  # fmt: skip
    for section, values in sections.items():
        base[section] = {**base.get(section, {}), **values} if isinstance(values, dict) else values
    return small(seed, **base)


def wrong_slots(simulation):
    """Boxes that the facts show, or show on their way, in a slot that does not take them, as (fact, box)."""
    scenario, layout = simulation.scenario, simulation.layout
    may = []
    for sku in scenario.skus:
        weight = box_weight_g(scenario, sku.meter_kg)
        may.append([
            all(
                (entry.devices is None or sku.device in entry.devices)
                and (entry.most_box_kg is None or weight <= 1000 * entry.most_box_kg)
                for entry in scenario.layout.restricted
                if (entry.rows is None or layout.row[slot] in entry.rows)
                and (entry.columns is None or layout.column[slot] in entry.columns)
                and (entry.levels is None or layout.level[slot] in entry.levels)
            )
            for slot in range(layout.slots)
        ])  # fmt: skip
    created = simulation.trace.table("box_created")
    sku_of = dict(zip(created["box"].tolist(), created["sku"].tolist(), strict=True))
    wrong = []
    for name, field in (("box_moved", "to_place"), ("slot_allocated", "slot"), ("task_created", "to_place")):
        table = simulation.trace.table(name)
        for box, place in zip(table["box"].tolist(), table[field].tolist(), strict=True):
            if box != NONE and 0 <= place < layout.slots and not may[sku_of[box]][place]:
                wrong.append((name, box))
    return wrong


@pytest.mark.parametrize(
    ("machine", "decide_at"),
    [("direct", "receipt"), ("stacks", "receipt"), ("stacks", "pickup"), ("two robots", "pickup")],
)
@pytest.mark.parametrize("rule", LIVE_POLICIES)
def test_rule_in_a_restricted_store(rule, decide_at, machine):
    """Under every rule all invariants hold, no box is where it may not be, and slices change nothing."""
    choices = {"robots": MACHINES[machine], "policy": {"allocation": rule, "decide_at": decide_at}}
    simulation = kinds_of_device(time={"days": 5}, **choices)
    simulation.check()
    whole = digest_of(simulation)
    assert wrong_slots(simulation) == []
    again = kinds_of_device(time={"days": 5}, **choices)
    assert digest_of(again, 7_777_777, watched=True) == whole
    issued = simulation.trace.table("meters_issued")["box"].tolist()
    assert {simulation.ledger.sku[box] for box in issued} == {0, 1, 2, 3}  # every class came and went


@pytest.mark.parametrize("rule", LIVE_POLICIES)
def test_rule_in_tiny(rule):
    """Under every rule the tiny scenario runs to its end, in slices as in one go."""
    scenario = load("tiny", [f"policy.allocation={rule}"])
    assert digest_of(Simulation(scenario), 11 * MINUTE_MS, watched=True) == digest_of(Simulation(scenario))


@pytest.mark.parametrize(("alias", "rule"), [("coi", "turnover"), ("mean-stay", "turnover")])
def test_alias_is_its_rule(alias, rule):
    """An alias gives the run of its rule."""
    assert digest_of(small(policy={"allocation": alias})) == digest_of(small(policy={"allocation": rule}))


def test_own_rule_runs(monkeypatch):
    """A rule that the command line has loaded drives a run, the days before time 0 among it."""
    monkeypatch.setitem(OWN_RULES, "mine.py:far", POLICIES["farthest-open"])
    mine = digest_of(small(policy={"allocation": "mine.py:far"}))
    assert mine == digest_of(small(policy={"allocation": "farthest-open"}))


@pytest.mark.parametrize("overflow", ["outward", "inward", "nearest"])
def test_overflow_changes_where_boxes_go(overflow, tmp_path):
    """Zones that are too small for their class send boxes where policy.overflow says."""
    # 20 slots of one box in a row, by distance from the port; borders at .2 and .6 of demand, so that each SKU is a
    # class of its own. Stock goes by demand: .4, .35 and .25 of 20 places are the columns 1-8, 9-15 and 16-20.
    simulation = line(
        tmp_path,
        stock=dict.fromkeys(range(9, 16), "middle"),
        skus=[
            {"name": "fast", "share": 0.4}, {"name": "middle", "share": 0.35}, {"name": "slow", "share": 0.25},
        ],
        policy={
            "allocation": "class-based", "zones": 3, "zone_borders": [0.2, 0.6], "overflow": overflow,
        },
    )  # fmt: skip
    # Outward: the third zone, from its near end. Inward: the first one. Nearest: both are next to it, and of two the
    # outer comes first.
    assert bring(simulation, "middle") == {"outward": 16, "inward": 1, "nearest": 16}[overflow]
    assert bring(simulation, "fast") == (2 if overflow == "inward" else 1)
    assert bring(simulation, "slow") == (16 if overflow == "inward" else 17)


def line(folder, *, stock, skus, **sections):
    """A store of 20 slots of one box in one row from the port on, with boxes in some columns, that issues nothing."""
    path = folder / "stock.csv"
    rows = [f"{c},1-{c:02d}-1,,{name},L{c},2026-02-01,15," for c, name in stock.items()]
    heading = "box,slot,position,sku,lot,verified_on,meters,state"
    path.write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")
    return small(
        layout={
            "rows": 1, "columns": 20, "levels": 1, "single_sided": True, "boxes_per_slot": 1, "tiers": 1,
        },
        skus=skus,
        initial={"stock": str(path)} if stock else {"fill": 0},
        demand={"orders_per_day": 0},
        supply={"target_fill": 0.001, "min_boxes": 100},
        **sections,
    )  # fmt: skip


def bring(simulation, *skus):
    """One truck with a box of each SKU comes and is unloaded: the columns named for its boxes."""
    house, first = simulation.warehouse, len(simulation.ledger.sku)
    numbers = [simulation.sku_names.index(name) for name in skus]
    for sku in numbers:
        simulation.ledger.on_order[sku] += 15
    house.truck_arrives(first, [(sku, 0, [simulation.calendar.ordinal(0)]) for sku in numbers])
    simulation.advance((simulation.now_ms // DAY_MS + 1) * DAY_MS)
    simulation.check()
    named = simulation.trace.table("slot_allocated")
    slot_of = dict(zip(named["box"].tolist(), named["slot"].tolist(), strict=True))
    columns = [int(simulation.layout.column[slot_of[first + k]]) for k in range(len(skus))]
    return columns[0] if len(columns) == 1 else columns


TWO_SKUS = [{"name": "A", "share": 0.5}, {"name": "B", "share": 0.5}]


@pytest.mark.parametrize(
    ("turnover", "stock", "columns"),
    [
        # Both SKUs have half of the demand and, as far as is known, of the stock: in the order of the file A holds
        # the first half, its middle is at .25 of 10 boxes, B's at .75 of 11. Places 2 and 8 are columns 3 and 9.
        ("given", {"A": 2, "B": 8}, (3, 9)),
        ("given", {"A": 8, "B": 2}, (3, 9)),
        # The stock of time 0: A is the faster and holds .2, its middle .1 of 10 is place 1; B's is .2 + .4 of 11: 6.
        ("computed", {"A": 2, "B": 8}, (2, 7)),
        # The other way round: A's middle is .6 of 10: place 6; B's .1 of 11: place 1.
        ("computed", {"A": 8, "B": 2}, (7, 2)),
    ],
)
def test_given_and_computed_turnover(turnover, stock, columns, tmp_path):
    """`turnover` ranks SKUs by what is given, or by demand over the stock of time 0."""
    stock = dict(zip(range(20, 10, -1), list_of(stock), strict=True))
    policy = {"allocation": "turnover", "turnover": turnover}
    simulation = line(tmp_path, stock=stock, skus=TWO_SKUS, policy=policy)
    assert (bring(simulation, "A"), bring(simulation, "B")) == columns


def list_of(stock):
    return [name for name, boxes in stock.items() for _ in range(boxes)]


def test_given_stays_rank_skus(tmp_path):
    """Stays that are given count: stock is demand times stay."""
    skus = [{"name": "A", "share": 0.5, "stay_days": 90}, {"name": "B", "share": 0.5, "stay_days": 10}]
    stock = dict.fromkeys(range(11, 21), "A")
    simulation = line(tmp_path, stock=stock, skus=skus, policy={"allocation": "turnover"})
    # B has a tenth of the stock and is the faster. B's middle is .05 of 10 boxes: place 0; A's is .1 + .45 of 11: 6.
    assert (bring(simulation, "B"), bring(simulation, "A")) == (1, 7)


@pytest.mark.parametrize("leaves", ["A", "B"])
@pytest.mark.parametrize(
    "how", [{"allocation": "turnover", "turnover": "online"}, {"allocation": "learned-stay"}]
)
def test_seen_stays_rank_skus(leaves, how, tmp_path):
    """`turnover` under policy.turnover = 'online' and `learned-stay` go by the stays that the store has seen."""
    stays = "B" if leaves == "A" else "A"
    stock = dict(zip(range(20, 7, -1), list_of({leaves: 7, stays: 6}), strict=True))
    simulation = line(tmp_path, stock=stock, skus=TWO_SKUS, policy=how)
    simulation.advance(9 * HOUR_MS)
    simulation.warehouse.release_order(0, DAY_MS, [("AB".index(leaves), 4 * 15)], exogenous=True)
    simulation.advance(DAY_MS)
    assert simulation.ledger.index.stays.here == ([3, 6] if leaves == "A" else [6, 3])
    # Four of seven boxes have left after some nine hours T, none of the other six. Box-time over departures, two boxes
    # of the mean stay 13 T / 4 added: (7 + 6.5) T / 6 = 2.25 T and (6 + 6.5) T / 2 = 6.25 T. The one that leaves is
    # the faster: half of its three boxes is place 1; the other's place is 3 + half of six.
    assert bring(simulation, leaves) == 2
    assert bring(simulation, stays) == 7


@pytest.mark.parametrize(("turnover", "columns"), [("given", (1, 11)), ("computed", (1, 5))])
def test_zones_of_computed_turnover(turnover, columns, tmp_path):
    """Under `computed` class-based cuts its zones by the stock of time 0."""
    # Half of the demand is A's, and of the stock as far as is known: ten places are the first zone. With two boxes of
    # ten it is four.
    stock = dict(zip((6, 7, 8, 9, 10, 16, 17, 18, 19, 20), list_of({"A": 2, "B": 8}), strict=True))
    policy = {"allocation": "class-based", "turnover": turnover, "zones": 2, "zone_borders": [0.4]}
    simulation = line(tmp_path, stock=stock, skus=TWO_SKUS, policy=policy)
    assert (bring(simulation, "A"), bring(simulation, "B")) == columns


@pytest.mark.parametrize(("wanted", "blocker", "digs"), [("T", "A", 1), ("A", "T", 0)])
def test_blocker_goes_where_its_class_may(wanted, blocker, digs, tmp_path):
    """A blocker needs room that takes it: that of the box beneath is neither enough nor needed."""
    # Slot 1 takes all and holds the blocker on the wanted box; slot 2 is empty and takes single-phase only; slot 3
    # takes three-phase only and is full. So a single-phase blocker can go, a three-phase one cannot, and the box
    # beneath it is not touched.
    path = tmp_path / "stock.csv"
    boxes = [("1-01-1", wanted), ("1-01-1", blocker), ("1-03-1", "T"), ("1-03-1", "T")]
    rows = [
        f"{n},{slot},,{name},L{n},2026-02-0{2 if n > 1 else 1},15," for n, (slot, name) in enumerate(boxes)
    ]
    heading = "box,slot,position,sku,lot,verified_on,meters,state"
    path.write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")
    simulation = small(
        layout={
            "rows": 1, "columns": 3, "levels": 1, "boxes_per_slot": 2, "tiers": 2,
            "restricted": [
                {"columns": [2], "devices": ["single-phase"]}, {"columns": [3], "devices": ["three-phase"]},
            ],
        },
        skus=[{"name": "A"}, {"name": "T", "device": "three-phase"}],
        initial={"stock": str(path)},
        demand={
            "kind": "schedule", "schedule": [{"day": 0, "at": "09:00", "sku": wanted, "meters": 15}],
        },
        supply={"target_fill": 0.001, "min_boxes": 100},
        robots={"kind": "top_gripper", "access": "stack_lifo", "carry": 1},
    )  # fmt: skip
    simulation.finish()
    assert simulation.trace.table("box_reserved")["box"].tolist() == [0]
    assert simulation.trace.table("box_dug")["box"].tolist() == [1] * digs
    assert simulation.trace.table("order_handed_over")["order"].size == digs
    assert wrong_slots(simulation) == []


def test_one_class_does_not_hold_up_another():
    """When the slots of one class are full its boxes wait, and those of others are stored all the same."""
    simulation = kinds_of_device(
        initial={"fill": 0},
        time={"days": 1},
        demand={"orders_per_day": 0},
        supply={"target_fill": 0.001, "min_boxes": 1000},
    )
    today = simulation.calendar.ordinal(0)
    house, ledger = simulation.warehouse, simulation.ledger
    # Three-phase boxes (23 kg) may stand on level 1 of row 1, columns 3 and 4 of row 2 and row 3: 4 + 2 + 4 slots of 6.
    loads = [(2, 0, [today] * 70), (0, 0, [today] * 12)]
    for sku, _, days in loads:
        ledger.on_order[sku] += 15 * len(days)
    house.truck_arrives(0, loads)
    simulation.finish()
    stored = Counter(ledger.sku[box] for box, column in enumerate(ledger.column) if column != NONE)
    assert stored == {2: 60, 0: 12}
    assert len(house._unplaced) == 10
    assert ledger.index.removed(ledger.index.class_of_sku[2]) == {"class": 14, "full": 10}


def test_devices_scenario_answers_its_question():
    """In luoyang_devices 93 slots are kept for other devices; boxes wait for room, and without the keeping they do not."""
    apart = load("luoyang_devices")
    layout = apart.scenario.layout
    assert Simulation(apart).layout.admits("single-phase", 10_250).count(1) == 258 - 93
    assert {sku.device for sku in apart.scenario.skus} == {
        "single-phase", "three-phase", "terminal", "transformer",
    }  # fmt: skip
    assert layout.profile == "two_stack"
    failures = {}
    for name, loaded in (("apart", apart), ("together", load("luoyang_devices", ["layout.restricted=[]"]))):
        result = run(loaded)
        failures[name] = result.kpis()["allocation_failures"]["value"]
    assert failures["apart"] > 0
    assert failures["together"] == 0


# -- what a rule may know in a run ----------------------------------------------------------------------


class Asked:
    """What a rule was told each time that it was asked, and what it answered."""

    def __init__(self, monkeypatch, rule, **sections):
        self.seen = []
        wrapped = POLICIES[rule]._replace(choose=self._choose, batch=None)
        monkeypatch.setitem(OWN_RULES, "spy.py:rule", wrapped)
        self._rule = POLICIES[rule]
        policy = {**sections.pop("policy", {}), "allocation": "spy.py:rule"}
        self.simulation = kinds_of_device(policy=policy, **sections)
        self.seen.clear()  # the days before time 0
        self.simulation.finish()

    def _choose(self, box, view, stream):
        slot = self._rule.choose(box, view, stream)
        rows = len(self.simulation.trace) if hasattr(self, "simulation") else 0
        self.seen.append(
            (rows, box, tuple(view.announced), view.next_retrieval, list(view.open_slots()), slot)
        )
        return slot


LOOKING_AHEAD = {
    "demand": {"orders_per_day": 60},
    "robots": {"carry": 1},
    "people": {"count": 1},
    "supply": {"min_boxes": 4, "truck_boxes": 40},
}


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("decide_at", ["receipt", "pickup"])
def test_announced_boxes_will_ask_next(decide_at, people, monkeypatch):
    """Announced are the boxes that may stand where this one may and will ask after it.

    First those that wait for a robot without a slot, then those to be received, on trucks or in people's hands.
    """
    calm = LOOKING_AHEAD | {"people": {"count": people}, "initial": {"fill": 0.4}}
    asked = Asked(monkeypatch, "closest-open", policy={"decide_at": decide_at}, **calm)
    names = {kind.number: name for name, kind in KINDS.items()}
    facts, ledger = list(asked.simulation.trace.rows()), asked.simulation.ledger
    waiting, coming, failed = {}, {}, {}
    looked = done = 0
    for rows, box, announced, *_ in asked.seen:
        for row in facts[done:rows]:
            name = names[row[1]]
            if name == "box_created" and row[-1] != NONE:
                coming[row[2]] = None
            elif name == "box_received":
                del coming[row[2]]
            elif name == "task_created" and row[3] == PUT_AWAY and row[6] == NONE:
                waiting[row[2]] = row[4]
            elif name in ("task_cancelled", "task_assigned"):
                waiting.pop(row[2], None)
            elif name == "slot_allocated":
                waiting.pop(row[5], None)
            elif name == "allocation_failed":
                failed[row[2]] = row[0]
        done = rows
        # Who has been asked for at this very instant, in vain, does not follow.
        gone = {box.box, *(other for other, at in failed.items() if at == box.now_ms)}
        follow = [other for other in (*waiting.values(), *coming) if other not in gone]
        classes = [0, 0, 1, 2]  # A and B are of one device class and mass
        near = [b for b in follow[: HORIZON - 1] if classes[ledger.sku[b]] == classes[box.sku]]
        found = [other.box for other in announced]
        assert found[: len(near)] == near
        assert set(found) <= set(follow)
        looked += len(near) > 3
        for other in announced:
            assert (other.sku, other.lot, other.verified_day, other.meters, other.now_ms) == (
                ledger.sku[other.box], ledger.lot[other.box], ledger.verified_day[other.box], 15, box.now_ms
            )  # fmt: skip
    assert looked > 50


def next_task(facts, names):
    """The slot of the oldest retrieval that no robot has taken, from the facts; NONE when there is none."""
    waiting = {}
    for row in facts:
        name = names[row[1]]
        if name == "task_created" and row[3] == ISSUE:
            waiting[row[2]] = row[5]
        elif name in ("task_assigned", "task_cancelled"):
            waiting.pop(row[2], None)
    return waiting[min(waiting)] if waiting else NONE


@pytest.mark.parametrize("rule", ["closest-to-next-retrieval", "shortest-leg"])
@pytest.mark.parametrize("decide_at", ["receipt", "pickup"])
def test_next_retrieval_is_the_oldest_task(rule, decide_at, monkeypatch):
    """The next retrieval is the oldest one that waits for a robot; the slot is the nearest to it, or on the way to it.

    Times by hand: from the inbound port to the slot, and from the slot on to the box.
    """
    asked = Asked(
        monkeypatch, rule,
        time={"days": 2},
        policy={"decide_at": decide_at},
        demand={"kind": "saturated", "backlog_orders": 6, "full_box_share": 1.0},
        initial={"fill": 0.6},
        robots={"carry": 1},
    )  # fmt: skip
    simulation = asked.simulation
    names = {kind.number: name for name, kind in KINDS.items()}
    layout, between, height = simulation.layout, simulation.travel.between_ms, simulation.layout.z_mm.tolist()
    facts = list(simulation.trace.rows())
    directed = elsewhere = 0
    for rows, _, _, place, open_slots, slot in asked.seen[:400]:
        assert place == next_task(facts[:rows], names)
        if not open_slots:
            assert slot == NONE
            continue

        def way(to, place=place):
            from_port = between(layout.inbound, height[layout.inbound], to, height[to])
            onward = between(to, height[to], place, height[place]) if place != NONE else 0
            legs = (from_port, onward) if place == NONE or rule == "shortest-leg" else (onward,)
            return (
                sum(legs),
                from_port,
                *(int(axis[to]) for axis in (layout.column, layout.level, layout.row)),
            )

        assert slot == min(open_slots, key=way)
        directed += place != NONE
        elsewhere += slot != open_slots[0]
    assert directed > 100
    assert elsewhere > 100


def test_assignment_keeps_the_near_slot(tmp_path):
    """`assignment` leaves the nearest slot to a faster box that it knows to follow; alone a slow box gets it."""
    skus = [{"name": "slow", "share": 0.5, "stay_days": 90}, {"name": "fast", "share": 0.5, "stay_days": 10}]
    # Turnover is .5 / .9 of the mean for the slow and .5 / .1 for the fast SKU. The port is nearest to column 1.
    fast_at = {}
    for rule in ("closest-open", "assignment"):
        fast_at[rule] = bring(
            line(tmp_path, stock={}, skus=skus, policy={"allocation": rule}), "slow", "slow", "fast"
        )[-1]
        assert bring(line(tmp_path, stock={}, skus=skus, policy={"allocation": rule}), "slow") == 1
    assert fast_at == {"closest-open": 3, "assignment": 1}


def test_past_is_known_at_time_zero():
    """The stays that a store knows at time 0 are those of its pseudo-history; without one it knows none."""
    simulation = small(initial={"prefill_dwells": 3})
    stays, ledger = simulation.ledger.index.stays, simulation.ledger
    here = Counter(ledger.sku[box] for box, column in enumerate(ledger.column) if column != NONE)
    assert stays.here == [here[0], here[1]]
    # Three mean dwells of .65 x 120 = 78 boxes.
    assert sum(stays.left_boxes) == pytest.approx(3 * 78, rel=0.2)
    # By Little's law a stay is stock over departures: at most 78 boxes, 6 orders of 20 meters on five days of seven,
    # 5.7 boxes a day.
    for stay in stays.stays_ms(0):
        assert 0.5 * 78 / 5.7 * DAY_MS < stay < 78 / 5.7 * DAY_MS
    unborn = small(initial={"prefill_dwells": 0}).ledger.index.stays
    assert (unborn.left_boxes, sum(unborn.here)) == ([0, 0], 78)


def test_stays_follow_the_boxes():
    """At any time the boxes that the store counts for its stays are those in slots, on their way there, or dug."""
    for machine in MACHINES.values():
        simulation = kinds_of_device(robots=machine, staging={"loose_rack_boxes": 0})
        while simulation.now_ms < simulation.end_ms:
            simulation.advance(simulation.now_ms + 57 * MINUTE_MS)
            index = simulation.ledger.index
            held = simulation.layout.boxes - index.open_places
            assert index.stays.boxes == sum(index.stays.here) == held


# -- demand is the same for every policy ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["poisson", "stations", "hold_fill"])
def test_demand_is_the_same_for_all_policies(kind):
    """Allocation, retrieval, dispatch and dwell rules meet the same demand, in one demand digest."""
    choices = [("allocation", name) for name in LIVE_POLICIES] + [("retrieval", name) for name in RETRIEVAL]
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
