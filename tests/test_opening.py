"""What a store holds at time 0 when it has filled itself."""

from collections import Counter
from itertools import pairwise

import pytest

from sim.allocation import LIVE_POLICIES
from sim.calendar import DAY_MS
from sim.ledger import OVERDUE, QUALIFIED
from sim.opening import _in_proportion
from sim.orders import ORDER_TYPES
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


@pytest.mark.parametrize(("lead", "days_short"), [(0, 1), (2, 4), (5, 6)])
def test_reviewed_stock_meets_its_level(lead, days_short):
    """Under (R,S) the store at time 0, a Monday, holds S less what is on order and what Friday has taken."""
    boxes = [
        len(in_slots(opened(
            seed, skus=[{"name": "A"}], supply={"lead_time_days": lead, "min_boxes": 1},
            demand={"orders_per_day": 8, "mean_meters": 15, "size_cv": 0, "full_box_share": 1},
        )))
        for seed in range(40)
    ]  # fmt: skip
    # S = 78 + 8 (lead + 0.5 x 5 / 2) = 88, 104 and 128. In the past a review comes after the orders of its
    # day, so Friday is missing. On order is with lead 2 what Thursday called off (Tuesday to Thursday), with
    # lead 5 also what Monday called off (Friday and Monday). Demand is Poisson: four standard errors.
    expected = 78 + 8 * (lead + 1.25) - 8 * days_short
    assert abs(sum(boxes) / 40 - expected) < 4 * (8 * days_short / 40) ** 0.5


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
    """No truck of the past is left over to arrive at time 0, even when trucks come on the day of the call."""
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


def test_ages_are_those_of_the_last_orders():
    """First in, first out, one in for each out: of each day as many boxes are left as went out."""
    run = opened(
        initial={"fill": 1.0},
        skus=[{"name": "A"}],
        policy={"retrieval": "fifo"},
        demand={
            "kind": "hold_fill",
            "orders_per_day": 8,
            "mean_meters": 15,
            "size_cv": 0,
            "full_box_share": 1,
        },
    )
    # Each order is one box. The store holds the last 120 that came in, one for each of the last 120 orders.
    expected: Counter[int] = Counter()
    day = 0
    while expected.total() < 120:
        day -= 1
        orders = len(list(ORDER_TYPES["poisson"](run.book, day)))
        expected[day] += min(orders, 120 - expected.total())
    found = Counter(run.ledger.received_ms[box] // DAY_MS for box in in_slots(run))
    assert found == +expected
    # 120 boxes at 8 a working day last 15 working days, which are 21 days.
    assert abs(day + 21) <= 4


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


@pytest.mark.parametrize("allocation", list(LIVE_POLICIES))
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
    for allocation in LIVE_POLICIES:
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
    """What the past has brought beyond the places of the store stands in staging at time 0."""
    run = opened(
        seed=6,
        initial={"fill": 1.0},
        supply={"target_fill": 1.0, "lead_time_days": 0, "min_boxes": 1},
        robots={"count": 0},
    )
    # S = 120 + 8 x 1.25 = 130 boxes, of which about a day's demand has gone again by Monday.
    staged = [box for box, place in enumerate(run.stock.place) if place == run.layout.staging]
    assert (len(in_slots(run)), len(staged)) == (120, 3)
    assert all(box in run.ledger.ready for box in staged)
    racked = [
        mask
        for mask, place in zip(run.stock.mask, run.stock.place, strict=True)
        if place == run.layout.loose_rack
    ]
    assert sum(run.ledger.on_hand) == 15 * 123 + sum(mask.bit_count() for mask in racked)


def test_empty_store():
    """A fill of nothing is an empty store."""
    assert opened(initial={"fill": 0}).stock.place == []


def test_same_seed_same_store():
    """The same seed opens the same store, another seed another."""
    one, same, other = (opened(seed).trace.digest() for seed in (5, 5, 6))
    assert one == same
    assert one != other


RESTRICTED = {
    "layout": {"restricted": [{"rows": [1], "devices": ["near"]}, {"rows": [2], "devices": ["far"]}]},
    "skus": [{"name": "A", "share": 0.7, "device": "near"}, {"name": "B", "share": 0.3, "device": "far"}],
}


@pytest.mark.parametrize("kind", ["poisson", "hold_fill"])
@pytest.mark.parametrize("fill", [0.3, 0.95])
@pytest.mark.parametrize("allocation", ["closest-open", "class-based", "learned-stay", "age-zoned"])
@pytest.mark.parametrize("restricted", [False, True])
def test_stays_are_known(kind, fill, allocation, restricted):
    """At time 0, and later, the store knows how many boxes of each SKU are in the racks, and has seen stays."""
    more = RESTRICTED if restricted else {}
    layout = {"rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 10}
    run = opened(
        **{**more, "layout": {**layout, **more.get("layout", {})}}, initial={"fill": fill}, demand={"kind": kind},
        policy={"allocation": allocation},
    )  # fmt: skip
    stays = run.ledger.index.stays
    for day in range(3):
        bound = [
            task.box for task in run.warehouse._task_of.values() if task.target >= 0 and task.column >= 0
        ]
        count = Counter(run.ledger.sku[box] for box in {*in_slots(run), *bound})
        assert stays.here == [count[0], count[1]]
        assert stays.boxes == sum(stays.here)
        run.advance((day + 1) * DAY_MS)
        run.check()
    assert min(stays.left_boxes) > 0
    # A mean stay is of days, and none is negative.
    assert all(stay > DAY_MS / 24 for stay in stays.stays_ms(run.now_ms))


@pytest.mark.parametrize("allocation", ["closest-open", "class-based", "dedicated", "fewest-blockings"])
def test_restricted_slots_are_kept(allocation):
    """The past has put no box into a slot that does not take its device class."""
    layout = {"rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 10}
    run = opened(
        layout={**layout, **RESTRICTED["layout"]}, skus=RESTRICTED["skus"], initial={"fill": 0.9},
        demand={"kind": "hold_fill"}, policy={"allocation": allocation},
    )  # fmt: skip
    assert {(run.ledger.sku[box], run.layout.row[run.ledger.place[box]]) for box in in_slots(run)} == {
        (0, 1),
        (1, 2),
    }
    # 108 boxes, 76 of them A: 60 are in their row, the others wait in staging.
    assert Counter(run.ledger.sku[box] for box in in_slots(run)) == {0: 60, 1: 32}


@pytest.mark.parametrize("slot_first", [True, False])
def test_list_in_any_order(tmp_path, slot_first):
    """A box of a stock list keeps the slot that the list says, wherever in the list boxes in staging stand."""
    rows = ["1,1-01-1,,A,L1,2026-02-01,15,", "2,staging,,A,L1,2026-02-01,15,"]
    path = tmp_path / "stock.csv"
    heading = "box,slot,position,sku,lot,verified_on,meters,state"
    path.write_text("\n".join([heading, *(rows if slot_first else rows[::-1])]) + "\n", encoding="utf-8")
    run = opened(
        layout={"rows": 1, "columns": 2, "levels": 1, "profile": "uniform", "boxes_per_slot": 1, "single_sided": True},
        skus=[{"name": "A"}], initial={"stock": str(path)}, demand={"orders_per_day": 0},
        supply={"target_fill": 0.001, "min_boxes": 100},
    )  # fmt: skip
    run.advance(DAY_MS)
    run.check()
    assert run.ledger.place == ([0, 1] if slot_first else [1, 0])
