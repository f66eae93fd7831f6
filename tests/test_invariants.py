"""Random small stores and random events: nothing is lost, promised twice or left waiting."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sim.allocation import LIVE_POLICIES
from sim.calendar import DAY_MS
from sim.facts import ISSUE, NONE
from sim.history import state_at
from sim.ledger import QUALIFIED
from sim.retrieval import RETRIEVAL
from sim.robots import DISPATCH, DWELL
from sim.scenario import examine, from_dict, full_weights_g
from sim.simulation import Simulation

MINUTE_MS = 60_000
TWO_HOURS_MS = 7_200_000
ALWAYS = {"shifts": [["00:00", "24:00"]], "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}


def check_store(run):
    """Everything that must hold at any instant between two events."""
    run.check()
    run.warehouse.check_cheaply()
    _records_are_true(run)
    _nothing_is_overfull(run)
    _stock_is_counted(run)
    _boxes_stand_where_they_may(run)
    _stays_are_counted(run)
    _nobody_waits_in_vain(run)


def _records_are_true(run):
    stock, ledger = run.stock, run.ledger
    assert stock.place == ledger.place
    assert (stock.column, stock.tier, stock.cells) == (ledger.column, ledger.tier, ledger.cells)
    assert stock.mask == ledger.mask


def _nothing_is_overfull(run):
    here = Counter(run.stock.place)
    for port in run.layout.ports:
        assert here[port.place] <= port.in_places + port.out_places, port.name
    for robot in run.fleet.robots:
        assert here[robot.own] <= run.scenario.robots.carry, robot.number
    assert here[run.layout.staging] <= run.scenario.staging.boxes


def _stock_is_counted(run):
    """On hand are the meters of qualified boxes that no order has; a SKU has one open box to pick from."""
    ledger, left = run.ledger, run.warehouse._open_left
    on_hand = [0] * len(ledger.on_hand)
    open_boxes = Counter()
    for box, state in enumerate(ledger.state):
        if state == QUALIFIED:
            on_hand[ledger.sku[box]] += left.get(box, ledger.mask[box].bit_count())
            open_boxes[ledger.sku[box]] += left.get(box, 0) > 0
    assert on_hand == ledger.on_hand
    assert all(boxes <= 1 for boxes in open_boxes.values()), open_boxes


def may_stand(run, sku, slot):
    """Whether a slot takes the boxes of a SKU, by the restrictions of the scenario alone."""
    scenario, layout = run.scenario, run.layout
    device, weight = scenario.skus[sku].device, full_weights_g(scenario)[sku]
    at = {"rows": layout.row[slot], "columns": layout.column[slot], "levels": layout.level[slot]}
    for entry in scenario.layout.restricted:
        if all(getattr(entry, axis) is None or number in getattr(entry, axis) for axis, number in at.items()):
            if entry.devices is not None and device not in entry.devices:
                return False
            if entry.most_box_kg is not None and weight > 1000 * entry.most_box_kg:
                return False
    return True


def _boxes_stand_where_they_may(run):
    """No box stands, or is bound for, a slot that does not take it."""
    if not run.scenario.layout.restricted:
        return
    stock, ledger = run.stock, run.ledger
    for box, (place, column) in enumerate(zip(stock.place, stock.column, strict=True)):
        assert column == NONE or may_stand(run, ledger.sku[box], place), f"box {box} stands in slot {place}"
    for box, task in run.warehouse._task_of.items():
        if 0 <= task.target < run.layout.slots:
            assert may_stand(run, ledger.sku[box], task.target), f"box {box} is bound for slot {task.target}"


def _stays_are_counted(run):
    """The boxes whose stay goes on are those that stand in slots, are on their way there, or have been dug out."""
    stays, house = run.ledger.index.stays, run.warehouse
    here = Counter(run.ledger.sku[box] for box, column in enumerate(run.ledger.column) if column != NONE)
    here.update(run.ledger.sku[box] for box in house._dug)
    here.update(
        run.ledger.sku[box]
        for box, task in house._task_of.items()
        if task.kind != ISSUE and task.target != NONE
    )
    assert stays.here == [here[sku] for sku in range(len(run.scenario.skus))]
    assert stays.boxes == here.total()


def _nobody_waits_in_vain(run):
    """No line waits for stock that is there, no box for room, no task for a robot that rests."""
    house, ledger = run.warehouse, run.ledger
    for sku, waiting in house._short.items():
        assert waiting
        assert ledger.ready.counts[sku] == 0, f"SKU {sku} is there, but a line of it waits"
    # A blocked slot has room that nobody may use.
    open_slots = [slot for slot in range(run.layout.slots) if ledger.index.is_open(slot)]
    room = [any(may_stand(run, sku, slot) for slot in open_slots) for sku in range(len(run.scenario.skus))]
    waiting = [box for box in house._unplaced if room[ledger.sku[box]]]
    assert not waiting, f"boxes {waiting} wait for a slot though there is room"
    if all(robot.wake is None for robot in run.fleet.robots):
        return
    for kind, queue in enumerate(run.fleet.waiting):
        for task in queue:
            # Retrievals from free stacks may wait for room to dig; put-aways decided at pickup for a slot.
            wanting = kind != 0 and task.box != NONE and task.target == NONE
            blocked = run.stock.stacked if kind == 0 else wanting and not room[ledger.sku[task.box]]
            late = run.now_ms - task.created > TWO_HOURS_MS
            assert task.cancelled or blocked or not late, f"task {task.number} waits and a robot rests"


def check_facts(run):
    """What the facts tell is what is there, and they tell it whole."""
    state = state_at(run.trace, run.layout)
    stock = run.stock
    assert state.place.tolist() == stock.place
    assert (state.column.tolist(), state.tier.tolist()) == (stock.column, stock.tier)
    assert state.mask.tolist() == stock.mask
    live = np.array(stock.mask, np.int64) != 0
    assert state.state[live].tolist() == np.array(run.ledger.state, np.int64)[live].tolist()
    tables = {
        name: run.trace.table(name)
        for name in ("order_line", "box_created", "meters_issued", "meters_picked")
    }
    issued = np.bitwise_count(tables["meters_issued"]["mask"]).sum()
    assert tables["box_created"]["meters"].sum() == stock.meters_in
    assert issued == stock.meters_out
    wanted = Counter()
    for order, meters in zip(
        *(tables["order_line"][name].tolist() for name in ("order", "meters")), strict=True
    ):
        wanted[order] += meters
    handed = run.trace.table("order_handed_over")
    for order, meters in zip(handed["order"].tolist(), handed["meters"].tolist(), strict=True):
        assert wanted.pop(order) == meters
    assert sorted(wanted) == sorted(run.warehouse.orders)
    _no_fact_twice(run)
    _only_boxes_in_date_are_reserved(run)


def _only_boxes_in_date_are_reserved(run):
    """What orders get was verified at most max_age_days before it was reserved."""
    reserved = run.trace.table("box_reserved")
    today = run.calendar.ordinal(0) + reserved["time_ms"] // DAY_MS
    age = today - np.array([run.ledger.verified_day[box] for box in reserved["box"].tolist()], np.int64)
    assert age.max(initial=0) <= run.scenario.demand.max_age_days


def _no_fact_twice(run):
    """A task ends once at most, a box is received and expires once at most, an order is handed over once."""
    for name, field in (
        ("task_created", "task"), ("task_done", "task"), ("task_cancelled", "task"), ("box_received", "box"),
        ("box_expired", "box"), ("box_emptied", "box"), ("order_handed_over", "order"),
    ):  # fmt: skip
        column = run.trace.table(name)[field]
        assert np.unique(column).size == column.size, name
    done, called_off = (
        set(run.trace.table(name)["task"].tolist()) for name in ("task_done", "task_cancelled")
    )
    assert not done & called_off


# -- random stores ----------------------------------------------------------------------------------------


def one_of(*values):
    return st.sampled_from(values)


SMALL_PORT = st.builds(
    lambda inward, outward: [{"name": "p", "serves": "both", "in_places": inward, "out_places": outward}],
    st.integers(1, 3),
    st.integers(1, 3),
)

MACHINES = one_of(
    {"kind": "acr", "access": "direct"},
    {"kind": "top_gripper", "access": "stack_lifo"},
    {"kind": "top_gripper", "access": "stack_lifo", "handling_unit": "stack"},
)


@st.composite
def stores(draw):
    """A random small store: racks, machine, people, demand, supply and rules."""
    names = "ABCD"[: draw(st.integers(1, 4))]
    data = {
        "time": {"days": 4},
        "calendar": draw(one_of({}, ALWAYS, {"shifts": [["08:00", "09:00"]]})),
        "boxes": {"meters_per_box": draw(one_of(1, 2, 5, 15))},
        "layout": {
            "rows": draw(st.integers(1, 4)), "columns": draw(st.integers(1, 4)),
            "levels": draw(st.integers(1, 3)), "profile": "uniform",
            "boxes_per_slot": draw(st.integers(1, 10)), "single_sided": draw(st.booleans()),
        },
        "skus": [draw(sku_named(name)) for name in names],
        "initial": {"fill": draw(one_of(0.0, 0.3, 0.65, 0.95, 1.0)), "prefill_dwells": draw(one_of(0, 1, 3))},
        "supply": {
            "rule": draw(one_of("R,S", "s,Q")), "lead_time_days": draw(st.integers(0, 2)),
            "truck_boxes": draw(one_of(3, 10, 50)), "min_boxes": draw(one_of(1, 4)),
            "reorder_boxes": draw(one_of(2, 20)), "order_boxes": draw(one_of(5, 30)),
            "age_days_min": 5, "age_days_max": draw(one_of(10, 40)),
        },
        "demand": {
            "kind": draw(one_of("poisson", "stations", "hold_fill", "saturated")),
            "orders_per_day": draw(one_of(1, 5, 20, 60)), "mean_meters": draw(one_of(2, 10, 40)),
            "cap_boxes": draw(one_of(1, 4, 24)), "full_box_share": draw(one_of(0.0, 0.5, 1.0)),
            "max_age_days": draw(one_of(15, 45, 180)), "stations": draw(one_of(1, 3)),
            "backlog_orders": draw(st.integers(1, 8)),
        },
        "people": {"count": draw(st.integers(0, 3))},
        "staging": {
            "boxes": draw(one_of(0, 2, 20)), "pick_buffer_boxes": draw(st.integers(1, 2)),
            "loose_rack_boxes": draw(one_of(0, 1, 3)),
        },
        "robots": {
            **draw(MACHINES), "count": draw(st.integers(1, 3)), "carry": draw(one_of(1, 2, 4)),
            "passing": draw(st.booleans()), "axes": draw(one_of("sequential", "simultaneous")),
            "run_h": draw(one_of(0.5, 8.4)), "charge_h": draw(one_of(0.2, 2.7)),
        },
        "tour": {"command": draw(one_of("single", "dual")), "max_wait_s": draw(one_of(0, 60))},
        "policy": {
            "allocation": draw(one_of(*LIVE_POLICIES)), "retrieval": draw(one_of(*RETRIEVAL)),
            "dispatch": draw(one_of(*DISPATCH)), "dwell": draw(one_of(*DWELL)),
            "decide_at": draw(one_of("receipt", "pickup")), "allocation_ms": draw(one_of(0, 20_000)),
            "tolerance_days": draw(one_of(0, 3)), "overflow": draw(one_of("outward", "inward", "nearest")),
            "turnover": draw(one_of("given", "computed", "online")),
            **draw(one_of({}, {"zones": 2}, {"zones": 5}, {"zones": 4, "zone_borders": [0.2, 0.5, 0.95]})),
        },
    }  # fmt: skip
    for sku in data["skus"]:
        if draw(one_of(False, False, True)):
            sku["meters_per_box"] = draw(st.integers(1, data["boxes"]["meters_per_box"]))
    if draw(st.booleans()):
        data["layout"]["ports"] = draw(SMALL_PORT)
    data["layout"]["restricted"] = restricted = draw(restrictions(data))
    # As many of them as leave a slot for every SKU.
    while restricted and examine(data)[0] is None:
        restricted.pop()
    return data


def sku_named(name):
    """A SKU of one of two device classes, light or heavy."""
    return st.fixed_dictionaries(
        {
            "name": st.just(name), "share": one_of(0.1, 0.5, 1.0), "device": one_of("meter", "terminal"),
            "meter_kg": one_of(0.3, 1.4),
        },
        optional={"stay_days": one_of(3, 60)},
    )  # fmt: skip


@st.composite
def restrictions(draw, data):
    """Up to two cuts through the racks, each with what its two sides take."""
    skus, restricted = data["skus"], []
    devices = sorted({sku["device"] for sku in skus})
    full = data["boxes"]["meters_per_box"]
    for _ in range(draw(one_of(0, 1, 1, 2))):
        axis = draw(
            one_of(*[axis for axis in ("rows", "columns", "levels") if data["layout"][axis] > 1] or ["rows"])
        )
        last = data["layout"][axis]
        cut = draw(st.integers(1, max(1, last - 1)))
        sides = [list(range(1, cut + 1)), list(range(cut + 1, last + 1))]
        if draw(st.booleans()):
            restricted += [
                {axis: side, "devices": [device]}
                for side, device in zip(sides, devices, strict=False)
                if side
            ]
        else:
            # A box of 0.3 kg a meter may stand there, a large one of 1.4 kg may not.
            restricted.append({axis: sides[-1], "most_box_kg": 2 + 0.9 * full})
    return restricted


@pytest.mark.timeout(600)  # long enough to find the smallest example
@given(stores(), st.integers(0, 2**63 - 1), st.lists(st.integers(1, 720), min_size=1, max_size=12))
@settings(max_examples=100)
def test_random_stores(data, seed, minutes):
    """Whatever the store, it works for days without breaking, and whenever one looks, all holds."""
    run = Simulation(from_dict(data), seed=seed)
    check_store(run)
    turn = 0
    while run.now_ms < run.end_ms:
        run.advance(min(run.end_ms, run.now_ms + minutes[turn % len(minutes)] * MINUTE_MS + turn))
        check_store(run)
        turn += 1 + turn // 10 * 30  # looks often at first
        if turn > 200:
            run.advance(run.end_ms)
    check_store(run)
    run.result()
    check_facts(run)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(stores(), st.integers(0, 2**63 - 1))
@settings(max_examples=2000)
def test_many_random_stores(data, seed):
    """The same for very many stores, looked at every 40 minutes."""
    run = Simulation(from_dict(data), seed=seed)
    while run.now_ms < run.end_ms:
        run.advance(min(run.end_ms, run.now_ms + 40 * MINUTE_MS))
        check_store(run)
    check_facts(run)


@pytest.mark.timeout(600)
@given(stores(), st.integers(0, 2**63 - 1))
@settings(max_examples=25)
def test_random_stores_repeat(data, seed):
    """Any store gives the same digest again, in slices."""
    data["time"] = {"days": 2}
    scenario = from_dict(data)
    whole = Simulation(scenario, seed=seed).finish().digest
    again = Simulation(scenario, seed=seed)
    while again.now_ms < again.end_ms:
        again.advance(min(again.end_ms, again.now_ms + 41 * MINUTE_MS))
        again.snapshot()
    assert again.result().digest == whole


# -- random things that happen ----------------------------------------------------------------------------


class Keeper(RuleBasedStateMachine):
    """Trucks, orders, blocked slots and time come to a small store in any order."""

    @initialize(
        machine=MACHINES,
        robots=st.integers(1, 3),
        carry=one_of(1, 2, 4),
        passing=st.booleans(),
        slots=st.integers(1, 4),
        boxes=one_of(1, 3, 6),
        places=st.integers(1, 2),
        staging=one_of(0, 2),
        rack=one_of(0, 1),
        allocation=one_of(*LIVE_POLICIES),
        retrieval=one_of(*RETRIEVAL),
        decide_at=one_of("receipt", "pickup"),
        allocation_ms=one_of(0, 15_000, 90_000),
        dwell=one_of(*DWELL),
        turnover=one_of("given", "computed", "online"),
        restricted=one_of(
            [],
            [{"rows": [1], "devices": ["meter"]}],
            [{"rows": [1], "devices": ["meter"]}, {"rows": [2], "devices": ["terminal"]}],
            [{"columns": [1], "most_box_kg": 5}],
        ),
    )
    def open(
        self, machine, robots, carry, passing, slots, boxes, places, staging, rack, allocation, retrieval,
        decide_at, allocation_ms, dwell, turnover, restricted,
    ):  # fmt: skip
        """A store of one to four slots, always open, with two people."""
        self.run = Simulation(from_dict({
            "calendar": ALWAYS,
            "boxes": {"meters_per_box": 4},
            "layout": {
                "rows": 2, "columns": slots, "levels": 1, "profile": "uniform", "boxes_per_slot": boxes,
                "ports": [{"name": "port", "serves": "both", "in_places": places, "out_places": places}],
                # A box of B weighs 7.6 kg; with one column there would be no slot for it.
                "restricted": restricted if slots > 1 or "columns" not in str(restricted) else [],
            },
            "skus": [
                {"name": "A", "device": "meter", "meter_kg": 0.5},
                {"name": "B", "device": "terminal", "meter_kg": 1.4},
            ],
            "initial": {"fill": 0.0},
            "supply": {"target_fill": 0.001},
            "demand": {"orders_per_day": 0, "max_age_days": 20},
            "staging": {"boxes": staging, "loose_rack_boxes": rack, "pick_buffer_boxes": 1},
            "robots": {**machine, "count": robots, "carry": carry, "passing": passing},
            "policy": {
                "allocation": allocation, "retrieval": retrieval, "decide_at": decide_at, "dwell": dwell,
                "allocation_ms": allocation_ms, "turnover": turnover,
            },
        }))  # fmt: skip
        self.trucks = 0

    @rule(sku=st.integers(0, 1), ages=st.lists(st.integers(0, 22), min_size=1, max_size=6))
    def truck(self, sku, ages):
        """A truck comes with boxes of one SKU, some of them too old."""
        today = self.run.calendar.ordinal(self.run.now_ms // DAY_MS)
        self.run.ledger.on_order[sku] += 4 * len(ages)
        self.run.warehouse.truck_arrives(self.trucks, [(sku, 0, [today - age for age in ages])])
        self.trucks += 1

    @rule(lines=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 13)), min_size=1, max_size=3))
    def order(self, lines):
        """An order of up to three lines is released."""
        self.run.warehouse.release_order(0, self.run.now_ms, lines, exogenous=True)

    @rule(slot=st.integers(0, 7), blocked=st.booleans())
    def block(self, slot, blocked):
        """A slot is taken out of use, or put back."""
        if slot < self.run.layout.slots:
            self.run.warehouse.block_slot(slot, blocked=blocked)

    @rule(slot=st.integers(0, 7), seconds=st.integers(1, 60))
    def visit(self, slot, seconds):
        """A robot is to call at a slot."""
        if slot < self.run.layout.slots:
            self.run.warehouse.visit(slot, seconds * 1000)

    @rule(ms=st.integers(1, 120_000))
    def wait(self, ms):
        """Up to two minutes pass."""
        self.run.advance(self.run.now_ms + ms)

    @rule(hours=st.integers(1, 60))
    def rest(self, hours):
        """Hours or days pass."""
        self.run.advance(self.run.now_ms + hours * 3_600_000)

    @precondition(lambda self: hasattr(self, "run"))
    @invariant()
    def holds(self):
        """All invariants hold between any two things."""
        check_store(self.run)

    def teardown(self):
        """In the end the facts tell what is there."""
        if hasattr(self, "run"):
            self.run.advance(self.run.now_ms + 3_600_000)
            check_store(self.run)
            check_facts(self.run)


TestKeeper = pytest.mark.timeout(600)(Keeper.TestCase)
TestKeeper.settings = settings(max_examples=120, stateful_step_count=40)


# -- cases that once broke ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dwell", ["stay", "centre"])
def test_robots_resting_at_one_slot(dwell):
    """Two robots that rest at the same slot do not dig in its stacks at the same time."""
    run = Simulation(from_dict({
        "time": {"days": 3},
        "calendar": ALWAYS,
        "layout": {"rows": 1, "columns": 2, "levels": 1, "profile": "uniform", "boxes_per_slot": 10},
        "skus": [{"name": "A"}, {"name": "B"}],
        "initial": {"fill": 0.6},
        "demand": {"kind": "saturated", "backlog_orders": 2, "full_box_share": 1.0, "mean_meters": 15},
        "people": {"count": 1},
        "robots": {"count": 2, "kind": "top_gripper", "access": "stack_lifo", "carry": 1, "passing": True},
        "policy": {"dwell": dwell},
    }))  # fmt: skip
    while run.now_ms < run.end_ms:
        run.advance(run.now_ms + 20 * MINUTE_MS)
        check_store(run)
    assert run.trace.table("box_dug")["box"].size > 0
