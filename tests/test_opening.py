"""What a store holds at time 0 when it has filled itself."""

from collections import Counter
from itertools import pairwise

import pytest

from sim.allocation import POLICIES
from sim.calendar import DAY_MS
from sim.ledger import OVERDUE, QUALIFIED
from sim.opening import _in_proportion
from sim.retrieval import RETRIEVAL
from sim.scenario import from_dict, load
from sim.simulation import Simulation

FLAT = [1.0] * 12


def opened(seed=1, **sections):
    """A store of 120 places at time 0: 12 slots of 10 boxes, 8 boxes in demand a working day."""
    data = {
        "layout": {"rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 10},
        "skus": [{"name": "A", "share": 0.8}, {"name": "B", "share": 0.2}],
        "initial": {"fill": 0.65},
        "demand": {"orders_per_day": 6, "mean_meters": 20, "cap_boxes": 4, "months": FLAT},
        "supply": {"min_boxes": 4, "truck_boxes": 20},
    }
    for section, values in sections.items():
        data[section] = {**data.get(section, {}), **values} if isinstance(values, dict) else values
    run = Simulation(from_dict(data), seed=seed)
    run.check()
    return run


def in_slots(run):
    return [box for box, column in enumerate(run.ledger.column) if column >= 0]


@pytest.mark.parametrize("fill", [0.05, 0.5, 0.65, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("prefill_dwells", [0, 3])
def test_fill_is_held(fill, prefill_dwells):
    """With one box in for each box out, the store holds its fill to the box, however long it has lived."""
    run = opened(initial={"fill": fill, "prefill_dwells": prefill_dwells}, demand={"kind": "hold_fill"})
    assert len(in_slots(run)) == round(fill * 120)


@pytest.mark.parametrize("skus", [1, 7, 10, 30])
def test_fill_of_many_skus(skus):
    """Shares that round badly change no totals."""
    run = opened(
        skus=[{"name": f"S{k}"} for k in range(skus)], initial={"fill": 0.1, "prefill_dwells": 0},
        demand={"kind": "hold_fill"},
    )  # fmt: skip
    assert len(in_slots(run)) == 12


@pytest.mark.parametrize(
    ("total", "shares", "parts"),
    [
        (10, [0.5, 0.3, 0.2], [5, 3, 2]),
        (11, [0.5, 0.3, 0.2], [6, 3, 2]),  # 5.5, 3.3, 2.2: the largest rest is the first
        (6, [0.1] * 10, [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]),  # equal rests: the first ones
        (0, [0.5, 0.5], [0, 0]),
    ],
)
def test_cut_in_proportion(total, shares, parts):
    """A number of boxes is cut by largest remainders."""
    assert _in_proportion(total, shares) == parts


def test_skus_in_proportion():
    """The first boxes are shared among SKUs as demand is."""
    run = opened(initial={"fill": 0.5, "prefill_dwells": 0})
    # 60 boxes: 48 and 12.
    assert Counter(run.ledger.sku) == {0: 48, 1: 12}


@pytest.mark.parametrize("lead", [0, 2, 5])
def test_reviewed_stock_meets_target(lead):
    """Under (R,S) the store at time 0 is filled to the target on average, whatever the lead time."""
    fills = [
        len(in_slots(opened(seed, supply={"lead_time_days": lead, "min_boxes": 1}))) / 120 for seed in range(40)
    ]  # fmt: skip
    # Day 0 is a review day: half a review's demand above the mean is not there yet, or 8 x 1.25 / 120 = 0.08.
    # Standard error: the fill spreads over a review's demand, about 0.1, so 0.016 in 40 runs.
    assert abs(sum(fills) / len(fills) - 0.65) < 0.08 + 4 * 0.016, fills


def test_luoyang_opens_at_its_fill():
    """The reference store opens within three points of its 65 %."""
    run = Simulation(load("luoyang"))
    assert abs(len(in_slots(run)) / run.layout.boxes - 0.65) < 0.03


def test_trucks_under_way():
    """Trucks that were called off before time 0 are on order at time 0 and come when they are due."""
    run = opened(supply={"lead_time_days": 3, "min_boxes": 1})
    called = run.trace.table("truck_called_off")
    assert called["boxes"].size > 0
    assert all(due >= 0 for due in called["due"].tolist())
    for sku in (0, 1):
        boxes = called["boxes"][called["sku"] == sku].sum()
        assert run.ledger.on_order[sku] == 15 * boxes
    run.advance(int(called["due"].max()) + 1)
    arrived = run.trace.table("truck_arrived")
    assert arrived["time_ms"].tolist() == sorted(set(called["due"].tolist()))


def test_nothing_at_the_gate_at_midnight():
    """No truck of the past is left over to arrive at time 0, even when trucks come the day they are called."""
    run = opened(supply={"lead_time_days": 0, "min_boxes": 1})
    run.advance(3_600_000)
    assert run.trace.table("truck_arrived")["time_ms"].size == 0
    assert len(in_slots(run)) > 40


def test_scheduled_supply_keeps_the_fill():
    """Where deliveries come from a list there is no past to live: the store opens at its fill."""
    run = opened(supply={"rule": "schedule", "schedule": [{"day": 1, "sku": "A", "boxes": 5}]})
    assert len(in_slots(run)) == 78


def test_listed_demand_keeps_the_fill():
    """Where orders come from a list the store opens at its fill too."""
    run = opened(demand={"kind": "schedule", "schedule": [{"sku": "A"}]})
    assert len(in_slots(run)) == 78


def test_ages_spread_over_a_dwell():
    """First in, first out: ages in store spread evenly from nothing to one dwell."""
    run = opened(
        initial={"fill": 1.0}, demand={"kind": "hold_fill", "weekdays": [1.0] * 7},
        skus=[{"name": "A"}], policy={"retrieval": "fifo"},
        calendar={"weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
    )  # fmt: skip
    ages = sorted(-run.ledger.received_ms[box] / DAY_MS for box in in_slots(run))
    # 120 boxes at 8 a day, days without rest: 15 days. In 15 days come 120 boxes, give or take sqrt(15 x 6) orders
    # of 20 meters and their spread, about 16 boxes: quartiles at 3.75, 7.5 and 11.25, each within 2 days.
    assert ages[0] >= 0.99
    assert 12 <= ages[-1] <= 19
    for quartile in (1, 2, 3):
        assert abs(ages[30 * quartile] - 3.75 * quartile) < 2.5


def test_old_lots_leave():
    """Boxes whose verification had become too old before time 0 are not there."""
    run = opened(
        demand={"max_age_days": 45, "orders_per_day": 1}, supply={"age_days_min": 5, "age_days_max": 30}
    )
    first = run.calendar.ordinal(0)
    ages = [first - run.ledger.verified_day[box] for box in range(len(run.ledger.sku))]
    # Day -1 is the last day of the past: 45 days then, 46 at time 0 at most, and those are marked at once.
    assert max(ages) <= 46
    assert {box for box, age in enumerate(ages) if age > 45} == {
        box for box, state in enumerate(run.ledger.state) if state == OVERDUE
    }
    assert set(run.ledger.state) <= {QUALIFIED, OVERDUE}


@pytest.mark.parametrize("allocation", list(POLICIES))
@pytest.mark.parametrize("access", ["direct", "stack_lifo"])
def test_boxes_stand_legally(allocation, access):
    """Under every allocation rule boxes stand in tiers that there are, and in stacks without a gap."""
    robots = {"kind": "acr" if access == "direct" else "top_gripper", "access": access}
    run = opened(policy={"allocation": allocation}, robots=robots)
    assert len(in_slots(run)) > 40
    for slot, columns in enumerate(run.stock.cells):
        assert tuple(len(cells) for cells in columns) == run.layout.stacks[slot]
        for cells in columns if access == "stack_lifo" else []:
            assert all(above < 0 or below >= 0 for below, above in pairwise(cells)), (slot, cells)


@pytest.mark.parametrize("retrieval", list(RETRIEVAL))
def test_every_retrieval_rule_opens(retrieval):
    """The store fills itself under every retrieval rule."""
    run = opened(policy={"retrieval": retrieval}, demand={"kind": "hold_fill"})
    assert len(in_slots(run)) == 78


def test_same_boxes_for_every_allocation():
    """Allocation decides where boxes stand, not which boxes the past has left."""
    left = set()
    for allocation in POLICIES:
        run = opened(policy={"allocation": allocation, "tolerance_days": 0}, demand={"kind": "hold_fill"})
        boxes = ((run.ledger.sku[box], run.ledger.verified_day[box]) for box in in_slots(run))
        left.add(tuple(sorted(boxes)))
    assert len(left) == 1


def test_slots_are_those_of_the_rule():
    """The nearest slots are full under closest-open, the farthest under farthest-open."""
    for allocation, nearest in (("closest-open", 10), ("farthest-open", 0)):
        run = opened(policy={"allocation": allocation}, initial={"fill": 0.5, "prefill_dwells": 0})
        times = run.travel.one_way_ms(run.layout.inbound).tolist()
        by_time = sorted(range(12), key=lambda slot: times[slot])
        assert [len(run.ledger.boxes_in(slot)) for slot in by_time] == [nearest] * 6 + [10 - nearest] * 6


def test_open_boxes_stand_in_the_rack():
    """At most one open box a SKU is left over; it stands in the loose rack and is used first."""
    run = opened(demand={"full_box_share": 0.0})
    open_boxes = [box for box, mask in enumerate(run.ledger.mask) if mask != (1 << 15) - 1]
    assert open_boxes
    assert {run.ledger.place[box] for box in open_boxes} == {run.layout.loose_rack}
    assert len({run.ledger.sku[box] for box in open_boxes}) == len(open_boxes)
    box = open_boxes[0]
    order = run.warehouse.release_order(0, 0, [(run.ledger.sku[box], 1)], exogenous=True)
    reserved = run.trace.table("box_reserved")
    assert (reserved["box"].tolist(), reserved["order"].tolist()) == ([box], [order.number])


def test_boxes_too_many_wait_in_staging():
    """What the past has brought beyond the places stands in staging at time 0, and is stored when there is room."""
    run = opened(
        initial={"fill": 1.0},
        supply={"target_fill": 1.0, "lead_time_days": 0, "min_boxes": 1},
        people={"count": 0},
    )
    staged = [box for box, place in enumerate(run.stock.place) if place == run.layout.staging]
    meters = 15 * (len(in_slots(run)) + len(staged)) + sum(
        mask.bit_count()
        for box, mask in enumerate(run.stock.mask)
        if run.stock.place[box] == run.layout.loose_rack
    )
    assert meters == sum(run.ledger.on_hand)
    assert len(in_slots(run)) == 120 or not staged


def test_empty_store():
    """A fill of nothing is an empty store."""
    assert opened(initial={"fill": 0}).stock.place == []


def test_same_seed_same_store():
    """The same seed opens the same store, another seed another."""
    one, same, other = (opened(seed).trace.digest() for seed in (5, 5, 6))
    assert one == same
    assert one != other
