"""The verbs of the store, told as the facts that they leave."""

import pytest

from sim.facts import BY_NUMBER, NONE
from sim.ledger import OVERDUE, QUALIFIED
from sim.scenario import from_dict
from sim.simulation import Simulation

DAY_S = 86_400
START = 739_677  # 2026-03-02 as an ordinal
PLACES = {"place", "port", "slot", "from_place", "to_place"}
ALWAYS = {"shifts": [["00:00", "24:00"]], "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}


def store(**sections):
    """An empty store that is always open: one slot of five tiers 2 m from the port; one person, one robot.

    1 m/s and no acceleration, 6 s to pick or place, 1.5 s to position, one box on board, no waiting for more.
    """
    data = {
        "calendar": ALWAYS,
        "layout": {
            "rows": 1, "columns": 1, "levels": 1, "profile": "uniform", "boxes_per_slot": 5,
            "first_column_m": 2.0, "ports": [{"name": "port", "serves": "both"}],
        },
        "skus": [{"name": "A"}, {"name": "B"}],
        "initial": {"fill": 0},
        "demand": {"orders_per_day": 0},
        "supply": {"target_fill": 0.001},
        "people": {"count": 1},
        "robots": {
            "carry": 1, "speed_m_per_s": 1, "acceleration_m_per_s2": "inf", "lift_speed_m_per_s": 1,
            "lift_acceleration_m_per_s2": "inf",
        },
        "tour": {"max_wait_s": 0},
        "policy": {"dwell": "port"},
    }  # fmt: skip
    for section, values in sections.items():
        data[section] = {**data.get(section, {}), **values} if isinstance(values, dict) else values
    return Simulation(from_dict(data))


def at(run, second):
    """Let time pass up to an instant."""
    run.advance(round(second * 1000))
    run.check()
    return run.warehouse


def hold(run, boxes, sku=0, age=0, slot=0, meters=15, day=None):
    """Give the store boxes of one lot at time 0, in the lowest free places of a slot."""
    house = run.warehouse
    lot = house.new_lot(sku, START - age, NONE)
    made = []
    for _ in range(boxes):
        box = house.new_box(sku, lot, START - age, (1 << meters) - 1, run.layout.outside, NONE)
        column, tier = next(
            (c, cells.index(NONE)) for c, cells in enumerate(run.stock.cells[slot]) if NONE in cells
        )
        house.place_at_start(box, slot, column, tier, -1)
        run.ledger.index.stays.arrived(sku, run.now_ms, START - age)
        made.append(box)
    return made


def bring(run, boxes, sku=0, age=10):
    """A truck with boxes of one lot arrives."""
    number = len(run.trace.table("truck_arrived")["seq"])
    run.warehouse.truck_arrives(number, [(sku, 0, [START - age] * boxes)])


def want(run, meters, sku=0, due_s=DAY_S):
    """An order for meters of one SKU is released."""
    return run.warehouse.release_order(0, due_s * 1000, [(sku, meters)], exogenous=True).number


def told(run, *kinds):
    """The facts of some kinds so far, as words: seconds, kind, and the fields that apply."""
    lines = []
    for row in run.trace.rows():
        kind = BY_NUMBER[row[1]]
        if kind.name not in kinds:
            continue
        words = [f"{row[0] / 1000:g} {kind.name}"]
        for field, value in zip(kind.fields, row[2:], strict=True):
            if field == "recorded":
                continue
            if field in PLACES and value != NONE:
                words.append(f"{field}={run.layout.place_name(value)}")
            elif value != NONE:
                words.append(f"{field}={value}")
        lines.append(" ".join(words))
    return lines


# -- coming in ----------------------------------------------------------------------------------------


def test_truck_of_three_boxes():
    """Each box goes from the truck by its receiving scan to the port, and by robot to its slot."""
    run = store()
    bring(run, 3)
    at(run, 300)
    # A person takes 30 + 8 = 38 s a box. The robot, back at the port each time, picks 6 s, drives 2 m = 2 s,
    # lifts 0.24 m a tier = 0.24 s, positions 1.5 s and places 6 s: 15.5, 15.74 and 15.98 s to tiers 0, 1, 2.
    assert told(
        run, "truck_arrived", "box_received", "truck_unloaded", "slot_allocated", "task_created", "box_moved",
        "task_done",
    ) == [
        "0 truck_arrived truck=0 boxes=3 port=port",
        "38 box_received box=0 truck=0 person=0",
        "38 task_created task=0 task_class=1 box=0 from_place=truck to_place=1-01-1",
        "38 slot_allocated box=0 slot=1-01-1 column=0 task=0",
        "38 box_moved box=0 from_place=truck to_place=port",
        "44 box_moved box=0 from_place=port to_place=robot-1 robot=0 task=0",
        "53.5 box_moved box=0 from_place=robot-1 to_place=1-01-1 column=0 tier=0 robot=0 task=0",
        "53.5 task_done task=0 robot=0",
        "76 box_received box=1 truck=0 person=0",
        "76 task_created task=1 task_class=1 box=1 from_place=truck to_place=1-01-1",
        "76 slot_allocated box=1 slot=1-01-1 column=0 task=1",
        "76 box_moved box=1 from_place=truck to_place=port",
        "82 box_moved box=1 from_place=port to_place=robot-1 robot=0 task=1",
        "91.74 box_moved box=1 from_place=robot-1 to_place=1-01-1 column=0 tier=1 robot=0 task=1",
        "91.74 task_done task=1 robot=0",
        "114 box_received box=2 truck=0 person=0",
        "114 truck_unloaded truck=0",
        "114 task_created task=2 task_class=1 box=2 from_place=truck to_place=1-01-1",
        "114 slot_allocated box=2 slot=1-01-1 column=0 task=2",
        "114 box_moved box=2 from_place=truck to_place=port",
        "120 box_moved box=2 from_place=port to_place=robot-1 robot=0 task=2",
        "129.98 box_moved box=2 from_place=robot-1 to_place=1-01-1 column=0 tier=2 robot=0 task=2",
        "129.98 task_done task=2 robot=0",
    ]  # fmt: skip


def test_loads_are_lots():
    """Each load of a truck is a lot of its own, with the earliest verification of its boxes."""
    run = store()
    run.warehouse.truck_arrives(0, [(1, 3, [START - 5, START - 7]), (0, 4, [START - 9])])
    assert told(run, "truck_arrived", "lot_created", "box_created") == [
        "0 truck_arrived truck=0 boxes=3 port=port",
        f"0 lot_created lot=0 sku=1 maker=3 verified_day={START - 7}",
        f"0 box_created box=0 sku=1 lot=0 verified_day={START - 5} meters=15 place=truck truck=0",
        f"0 box_created box=1 sku=1 lot=0 verified_day={START - 7} meters=15 place=truck truck=0",
        f"0 lot_created lot=1 sku=0 maker=4 verified_day={START - 9}",
        f"0 box_created box=2 sku=0 lot=1 verified_day={START - 9} meters=15 place=truck truck=0",
    ]


def test_trucks_take_turns_at_ports():
    """With two inbound ports, trucks stand at them in turn."""
    ports = [{"name": "west", "serves": "both"}, {"name": "east", "serves": "in"}]
    run = store(layout={"ports": ports})
    for _ in range(3):
        bring(run, 1)
    assert told(run, "truck_arrived") == [
        "0 truck_arrived truck=0 boxes=1 port=west",
        "0 truck_arrived truck=1 boxes=1 port=east",
        "0 truck_arrived truck=2 boxes=1 port=west",
    ]


def test_full_port_then_staging_then_overflow():
    """A box finds the port full and goes to staging; when that is full it goes to the flat store."""
    run = store(
        layout={"ports": [{"name": "port", "serves": "both", "in_places": 1}]},
        staging={"boxes": 1}, robots={"count": 0},
    )  # fmt: skip
    bring(run, 4)
    at(run, 200)
    assert told(run, "box_moved", "staging_overflow") == [
        "38 box_moved box=0 from_place=truck to_place=port",
        "76 box_moved box=1 from_place=truck to_place=staging",
        "114 staging_overflow box=2",
        "114 box_moved box=2 from_place=truck to_place=overflow",
        "152 staging_overflow box=3",
        "152 box_moved box=3 from_place=truck to_place=overflow",
    ]


def test_staged_boxes_move_up():
    """When the robot takes a box from the port, the box that has waited longest moves up to its place."""
    run = store(
        layout={"ports": [{"name": "port", "serves": "both", "in_places": 1}]},
        people={"unload_s": 0, "receive_s": 1},
    )
    bring(run, 3)
    at(run, 60)
    # Boxes at 1, 2, 3 s. Box 0 is picked at 1 + 6 = 7 s and stored 2 + 1.5 + 6 = 9.5 s later; box 1 is picked
    # 9.5 s after that and stored 0.24 s up, 9.74 s later; box 2 is picked 9.74 s and stored 9.98 s later.
    assert told(run, "box_moved") == [
        "1 box_moved box=0 from_place=truck to_place=port",
        "2 box_moved box=1 from_place=truck to_place=staging",
        "3 box_moved box=2 from_place=truck to_place=staging",
        "7 box_moved box=0 from_place=port to_place=robot-1 robot=0 task=0",
        "7 box_moved box=1 from_place=staging to_place=port",
        "16.5 box_moved box=0 from_place=robot-1 to_place=1-01-1 column=0 tier=0 robot=0 task=0",
        "26 box_moved box=1 from_place=port to_place=robot-1 robot=0 task=1",
        "26 box_moved box=2 from_place=staging to_place=port",
        "35.74 box_moved box=1 from_place=robot-1 to_place=1-01-1 column=0 tier=1 robot=0 task=1",
        "45.48 box_moved box=2 from_place=port to_place=robot-1 robot=0 task=2",
        "55.46 box_moved box=2 from_place=robot-1 to_place=1-01-1 column=0 tier=2 robot=0 task=2",
    ]


def test_full_store_recovers():
    """In a full store boxes wait in staging, without error, until the robot takes a box out of its slot."""
    run = store(layout={"boxes_per_slot": 1})
    hold(run, 1, age=100)
    bring(run, 1)
    at(run, 100)
    want(run, 15)
    at(run, 300)
    # Out: 2 + 1.5 + 6 = 9.5 s; to the port 2 + 1.5 + 6 = 9.5 s. In: picked 6 s, 2 + 1.5 + 6 = 9.5 s more.
    assert told(run, "allocation_failed", "slot_allocated", "box_moved", "task_created", "task_done") == [
        "0 box_moved box=0 from_place=outside to_place=1-01-1 column=0 tier=0",
        "38 allocation_failed box=1 reason=0",
        "38 box_moved box=1 from_place=truck to_place=staging",
        "100 task_created task=0 task_class=0 box=0 from_place=1-01-1 to_place=port order=0",
        "109.5 box_moved box=0 from_place=1-01-1 to_place=robot-1 robot=0 task=0",
        "109.5 task_created task=1 task_class=1 box=1 from_place=staging to_place=1-01-1",
        "109.5 slot_allocated box=1 slot=1-01-1 column=0 task=1",
        "109.5 box_moved box=1 from_place=staging to_place=port",
        "119 box_moved box=0 from_place=robot-1 to_place=port robot=0 task=0",
        "119 task_done task=0 robot=0",
        "125 box_moved box=1 from_place=port to_place=robot-1 robot=0 task=1",
        "134.5 box_moved box=1 from_place=robot-1 to_place=1-01-1 column=0 tier=0 robot=0 task=1",
        "134.5 task_done task=1 robot=0",
        "139 box_moved box=0 from_place=port to_place=handed-over",
    ]


def test_waiting_boxes_keep_their_turn():
    """Boxes that find the store full get the freed places in the order in which they were received."""
    run = store(layout={"boxes_per_slot": 2}, staging={"boxes": 1})
    hold(run, 2, age=100)
    bring(run, 3)
    at(run, 200)
    want(run, 30)
    at(run, 600)
    assert told(run, "allocation_failed", "slot_allocated") == [
        "38 allocation_failed box=2 reason=0",
        "209.5 slot_allocated box=2 slot=1-01-1 column=0 task=2",
        # At the port at 219 s; takes box 2 along, 6 s, sets it down 9.5 s later; 0.24 s up and 6 s for box 1.
        "240.74 slot_allocated box=3 slot=1-01-1 column=0 task=3",
    ]
    assert run.stock.place[2:5] == [0, 0, run.layout.overflow]


def devices(**sections):
    """Two slots of one box each: the first for boxes of A only, the second for those of B."""
    layout = {
        "columns": 2, "boxes_per_slot": 1,
        "restricted": [{"columns": [1], "devices": ["a"]}, {"columns": [2], "devices": ["b"]}],
    }  # fmt: skip
    skus = [{"name": "A", "device": "a"}, {"name": "B", "device": "b"}]
    return store(layout=layout, skus=skus, **sections)


def test_full_class_holds_up_no_other():
    """A box whose slots are full waits; the next box of another device class gets its slot at once."""
    run = devices()
    hold(run, 1, sku=0, age=100)
    run.warehouse.truck_arrives(0, [(0, 0, [START - 9]), (1, 0, [START - 9])])
    at(run, 200)
    assert told(run, "allocation_failed", "slot_allocated") == [
        "38 allocation_failed box=1 reason=0",
        "76 slot_allocated box=2 slot=1-02-1 column=0 task=0",
    ]
    want(run, 15, sku=0)
    at(run, 600)
    # At 200 s the robot sets out from the port: 2 s of way, 1.5 s to position and 6 s to take box 0.
    assert told(run, "allocation_failed", "slot_allocated")[2:] == [
        "209.5 slot_allocated box=1 slot=1-01-1 column=0 task=2"
    ]
    assert run.stock.place[1:3] == [0, 1]


def test_freed_place_goes_to_its_class():
    """A place that is freed goes past boxes that may not stand there to the first one that may; nobody else is asked."""
    run = devices(staging={"boxes": 4})
    hold(run, 1, sku=0, age=100)
    hold(run, 1, sku=1, age=100, slot=1)
    run.warehouse.truck_arrives(0, [(0, 0, [START - 9]), (0, 0, [START - 9]), (1, 0, [START - 9])])
    at(run, 200)
    want(run, 15, sku=1)
    at(run, 600)
    # Box 2 is the first of its class to be asked for; box 3 waits behind it and is not. At 200 s the robot sets out
    # from the port: 2.95 s of way, 1.5 s to position and 6 s to take box 1.
    assert told(run, "allocation_failed", "slot_allocated") == [
        "38 allocation_failed box=2 reason=0",
        "114 allocation_failed box=4 reason=0",
        "210.45 slot_allocated box=4 slot=1-02-1 column=0 task=1",
    ]
    assert run.stock.place[4] == 1


def test_blocked_slot_takes_nothing():
    """A slot out of use is not named; put back, it takes the boxes that wait."""
    run = store()
    run.warehouse.block_slot(0, blocked=True)
    bring(run, 1)
    at(run, 100)
    run.warehouse.block_slot(0, blocked=False)
    at(run, 200)
    assert told(run, "slot_blocked", "allocation_failed", "slot_allocated", "task_done") == [
        "0 slot_blocked slot=1-01-1 blocked=1",
        "38 allocation_failed box=0 reason=0",
        "100 slot_blocked slot=1-01-1 blocked=0",
        "100 slot_allocated box=0 slot=1-01-1 column=0 task=0",
        "115.5 task_done task=0 robot=0",
    ]


def test_blocked_slot_gives_its_boxes():
    """A slot out of use still gives its boxes to orders, and the place left is not offered."""
    run = store()
    hold(run, 1)
    run.warehouse.block_slot(0, blocked=True)
    want(run, 15)
    bring(run, 1)
    at(run, 300)
    assert told(run, "order_handed_over", "allocation_failed", "slot_allocated") == [
        # The robot delivers at 19 s, the person is at the first box until 38 s; then checks 20 s.
        "38 allocation_failed box=1 reason=0",
        "58 order_handed_over order=0 meters=15 late=0",
    ]


def test_slot_is_named_at_receipt():
    """decide_at = 'receipt': the slot is named with the receiving scan, though no robot comes."""
    run = store(policy={"decide_at": "receipt"}, robots={"count": 0})
    bring(run, 1)
    at(run, 100)
    assert told(run, "task_created", "slot_allocated") == [
        "38 task_created task=0 task_class=1 box=0 from_place=truck to_place=1-01-1",
        "38 slot_allocated box=0 slot=1-01-1 column=0 task=0",
    ]


def test_slot_is_named_at_pickup():
    """decide_at = 'pickup': the put-away has no slot, and holds no place, until a robot takes it."""
    run = store(policy={"decide_at": "pickup"})
    bring(run, 2)
    at(run, 38.001)
    assert told(run, "task_created", "slot_allocated", "task_assigned") == [
        "38 task_created task=0 task_class=1 box=0 from_place=truck",
        "38 slot_allocated box=0 slot=1-01-1 column=0 task=0",
        "38 task_assigned task=0 robot=0 tour=0",
    ]
    run = store(policy={"decide_at": "pickup"}, robots={"count": 0})
    bring(run, 1)
    at(run, 100)
    assert told(run, "task_created", "slot_allocated") == [
        "38 task_created task=0 task_class=1 box=0 from_place=truck"
    ]  # fmt: skip
    assert run.ledger.index.room == [5]


def test_pickup_waits_for_room():
    """decide_at = 'pickup' in a full store: the box waits at the port until the robot frees a place."""
    run = store(layout={"boxes_per_slot": 1}, policy={"decide_at": "pickup"})
    hold(run, 1, age=100)
    bring(run, 1)
    at(run, 100)
    want(run, 15)
    at(run, 300)
    assert told(run, "slot_allocated", "task_done") == [
        # Box 0 is taken at 109.5 s and set down at the port at 119 s; box 1 is stored 6 + 9.5 s later.
        "119 task_done task=1 robot=0",
        "119 slot_allocated box=1 slot=1-01-1 column=0 task=0",
        "134.5 task_done task=0 robot=0",
    ]


def test_decisions_one_after_another():
    """allocation_ms: the allocator decides one box at a time, each in its own time; boxes wait in staging."""
    run = store(policy={"allocation_ms": 10_000}, people={"count": 2}, robots={"count": 0})
    bring(run, 3)
    at(run, 200)
    # Two boxes at 38 s: decided at 48 and 58 s; the third, received at 76 s, at 86 s.
    assert told(run, "box_received", "box_moved", "slot_allocated") == [
        "38 box_received box=0 truck=0 person=0",
        "38 box_moved box=0 from_place=truck to_place=staging",
        "38 box_received box=1 truck=0 person=1",
        "38 box_moved box=1 from_place=truck to_place=staging",
        "48 slot_allocated box=0 slot=1-01-1 column=0 task=0",
        "48 box_moved box=0 from_place=staging to_place=port",
        "58 slot_allocated box=1 slot=1-01-1 column=0 task=1",
        "58 box_moved box=1 from_place=staging to_place=port",
        "76 box_received box=2 truck=0 person=0",
        "76 box_moved box=2 from_place=truck to_place=staging",
        "86 slot_allocated box=2 slot=1-01-1 column=0 task=2",
        "86 box_moved box=2 from_place=staging to_place=port",
    ]


# -- orders -------------------------------------------------------------------------------------------


def test_two_boxes_and_four_meters():
    """An order of 34 meters: two boxes and 4 meters of a third go by robot, person and check to hand-over."""
    run = store(robots={"carry": 4})
    hold(run, 3)
    want(run, 34)
    at(run, 300)
    # Robot: 2 + 1.5 + 6 = 9.5 s to have box 0; boxes 1 and 2 each 0.24 s up, 6 s, and 2 s to put the box on
    # the fork into the rack on board: 17.74 and 25.98 s. Back: 2 + 0.48 + 1.5 = 29.96 s. Box 0 is in the rack
    # and box 2 on the fork: 2 + 2 + 6 = 39.96 s; boxes 1 and 2: 2 + 6 = 47.96 and 55.96 s.
    # Person: checks box 0 39.96-59.96 and box 1 59.96-79.96, picks 20 + 4 x 4 = 36 s until 115.96, checks
    # the four meters until 135.96.
    assert told(
        run, "order_released", "order_line", "box_reserved", "task_created", "tour_started", "box_moved",
        "task_done", "person_work", "meters_picked", "meters_issued", "order_handed_over",
    )[3:] == [
        "0 order_released order=0 station=0 due=86400000 exogenous=1",
        "0 order_line order=0 line=0 sku=0 meters=34",
        "0 box_reserved box=0 order=0 line=0 meters=15",
        "0 task_created task=0 task_class=0 box=0 from_place=1-01-1 to_place=port order=0",
        "0 box_reserved box=1 order=0 line=0 meters=15",
        "0 task_created task=1 task_class=0 box=1 from_place=1-01-1 to_place=port order=0",
        "0 box_reserved box=2 order=0 line=0 meters=4",
        "0 task_created task=2 task_class=0 box=2 from_place=1-01-1 to_place=port order=0",
        "0 tour_started robot=0 tour=0 put_aways=0 retrievals=3",
        "9.5 box_moved box=0 from_place=1-01-1 to_place=robot-1 robot=0 task=0",
        "17.74 box_moved box=1 from_place=1-01-1 to_place=robot-1 robot=0 task=1",
        "25.98 box_moved box=2 from_place=1-01-1 to_place=robot-1 robot=0 task=2",
        "39.96 box_moved box=0 from_place=robot-1 to_place=port robot=0 task=0",
        "39.96 task_done task=0 robot=0",
        "39.96 person_work person=0 work=2 end=59960 box=0 order=0",
        "47.96 box_moved box=1 from_place=robot-1 to_place=port robot=0 task=1",
        "47.96 task_done task=1 robot=0",
        "55.96 box_moved box=2 from_place=robot-1 to_place=port robot=0 task=2",
        "55.96 task_done task=2 robot=0",
        "55.96 box_moved box=2 from_place=port to_place=pick-station",
        "59.96 meters_issued box=0 order=0 mask=32767",
        "59.96 box_moved box=0 from_place=port to_place=handed-over",
        "59.96 person_work person=0 work=2 end=79960 box=1 order=0",
        "79.96 meters_issued box=1 order=0 mask=32767",
        "79.96 box_moved box=1 from_place=port to_place=handed-over",
        "79.96 person_work person=0 work=1 end=115960 box=2 order=0",
        "115.96 meters_picked box=2 order=0 mask=15 person=0",
        "115.96 box_moved box=2 from_place=pick-station to_place=loose-rack",
        "115.96 person_work person=0 work=2 end=135960 box=2 order=0",
        "135.96 meters_issued box=2 order=0 mask=15",
        "135.96 order_handed_over order=0 meters=34 late=0",
    ]  # fmt: skip


def test_late_by_its_due_time():
    """An order handed over after its due time is late by the difference; before it, by nothing."""
    run = store()
    hold(run, 2)
    want(run, 15, due_s=30)
    want(run, 15, due_s=100)
    at(run, 300)
    # Delivered at 19 s, checked at 39 s: 9 s late. The second: 19 + 2 + 0.24 + 1.5 + 6 = 28.74, delivered
    # 2 + 0.24 + 1.5 + 6 = 9.74 s later at 38.48, checked 39 to 59 s.
    assert told(run, "order_handed_over") == [
        "39 order_handed_over order=0 meters=15 late=9000",
        "59 order_handed_over order=1 meters=15 late=0",
    ]


def test_order_of_several_lines():
    """An order of two SKUs is handed over with the last piece of either."""
    run = store(people={"check_s": 5})
    hold(run, 1, sku=0)
    hold(run, 1, sku=1)
    run.warehouse.release_order(3, 1000, [(1, 15), (0, 15)], exogenous=True)
    at(run, 300)
    assert told(run, "order_line", "box_reserved", "meters_issued", "order_handed_over") == [
        "0 order_line order=0 line=0 sku=1 meters=15",
        "0 order_line order=0 line=1 sku=0 meters=15",
        "0 box_reserved box=1 order=0 line=0 meters=15",
        "0 box_reserved box=0 order=0 line=1 meters=15",
        # Box 1 on tier 1: 2 + 0.24 + 1.5 + 6 = 9.74 s each way; box 0: 9.5 s each way; checks of 5 s.
        "24.48 meters_issued box=1 order=0 mask=32767",
        "43.48 meters_issued box=0 order=0 mask=32767",
        "43.48 order_handed_over order=0 meters=30 late=42480",
    ]


def test_open_box_is_used_first():
    """Loose meters come from the box that is open already, beside the pick station, and no robot moves."""
    run = store()
    hold(run, 2)
    want(run, 4)
    at(run, 200)
    want(run, 5)
    at(run, 300)
    # Delivered at 19 s, picked for 36 s, checked for 20 s: 75 s. Then 20 + 5 x 4 = 40 s and 20 s.
    # 4 meters are bits 0 to 3 (15), the next 5 bits 4 to 8 (496).
    assert told(run, "box_reserved", "task_created", "meters_picked", "order_handed_over") == [
        "0 box_reserved box=0 order=0 line=0 meters=4",
        "0 task_created task=0 task_class=0 box=0 from_place=1-01-1 to_place=port order=0",
        "55 meters_picked box=0 order=0 mask=15 person=0",
        "75 order_handed_over order=0 meters=4 late=0",
        "200 box_reserved box=0 order=1 line=0 meters=5",
        "240 meters_picked box=0 order=1 mask=496 person=0",
        "260 order_handed_over order=1 meters=5 late=0",
    ]


def test_empty_box_leaves():
    """The remainder of an open box and a second box serve an order; the empty box leaves the model."""
    run = store()
    hold(run, 2)
    want(run, 12)
    at(run, 200)
    want(run, 7)
    at(run, 400)
    # Three meters are left in box 0 (bits 12 to 14: 28,672), four come from box 1 (tier 1).
    # Box 0: 20 + 3 x 4 = 32 s, check 252 s. Box 1 is at the port at 200 + 9.74 + 9.74 = 219.48; the person
    # is free at 232 s and checks first; then 20 + 16 = 36 s, and 20 s.
    kinds = ("box_reserved", "meters_picked", "box_emptied", "box_moved", "order_handed_over")
    assert told(run, *kinds)[9:] == [
        "200 box_reserved box=0 order=1 line=0 meters=3",
        "200 box_reserved box=1 order=1 line=0 meters=4",
        "200 box_moved box=0 from_place=loose-rack to_place=pick-station",
        "209.74 box_moved box=1 from_place=1-01-1 to_place=robot-1 robot=0 task=1",
        "219.48 box_moved box=1 from_place=robot-1 to_place=port robot=0 task=1",
        "219.48 box_moved box=1 from_place=port to_place=pick-station",
        "232 meters_picked box=0 order=1 mask=28672 person=0",
        "232 box_emptied box=0",
        "232 box_moved box=0 from_place=pick-station to_place=outside",
        "288 meters_picked box=1 order=1 mask=15 person=0",
        "288 box_moved box=1 from_place=pick-station to_place=loose-rack",
        "308 order_handed_over order=1 meters=7 late=0",
    ]


def test_full_loose_rack_sends_back():
    """With no room in the loose rack, an open box goes back to a slot by a task of its own."""
    run = store(staging={"loose_rack_boxes": 0})
    hold(run, 1)
    want(run, 4)
    at(run, 300)
    # Picked at 19 + 36 = 55 s; the robot stands at the port: 6 s to pick, 2 + 1.5 + 6 = 9.5 s to store.
    assert told(run, "meters_picked", "task_created", "slot_allocated", "box_moved", "task_done")[1:] == [
        "0 task_created task=0 task_class=0 box=0 from_place=1-01-1 to_place=port order=0",
        "9.5 box_moved box=0 from_place=1-01-1 to_place=robot-1 robot=0 task=0",
        "19 box_moved box=0 from_place=robot-1 to_place=port robot=0 task=0",
        "19 task_done task=0 robot=0",
        "19 box_moved box=0 from_place=port to_place=pick-station",
        "55 meters_picked box=0 order=0 mask=15 person=0",
        "55 box_moved box=0 from_place=pick-station to_place=loose-rack",
        "55 task_created task=1 task_class=2 box=0 from_place=loose-rack to_place=1-01-1",
        "55 slot_allocated box=0 slot=1-01-1 column=0 task=1",
        "61 box_moved box=0 from_place=loose-rack to_place=robot-1 robot=0 task=1",
        "70.5 box_moved box=0 from_place=robot-1 to_place=1-01-1 column=0 tier=0 robot=0 task=1",
        "70.5 task_done task=1 robot=0",
    ]


def test_oldest_open_box_goes_back():
    """When the rack overflows, the box that came to it first goes back to a slot."""
    run = store(staging={"loose_rack_boxes": 1})
    hold(run, 1, sku=0)
    hold(run, 1, sku=1)
    want(run, 4, sku=0)
    want(run, 4, sku=1)
    at(run, 600)
    assert [line for line in told(run, "task_created") if "task_class=2" in line] == [
        # Box 0 picked at 55 s; check to 75 s; box 1 from 75 to 111 s.
        "111 task_created task=2 task_class=2 box=0 from_place=loose-rack to_place=1-01-1"
    ]
    assert (run.stock.place[0], run.stock.place[1]) == (0, run.layout.loose_rack)


def test_return_is_called_back():
    """An open box that waits for its way back and is wanted again stays: its task is called off."""
    run = store(staging={"loose_rack_boxes": 0})
    hold(run, 2)
    want(run, 4)
    at(run, 45)
    want(run, 15)  # the robot is away for this one when box 0 comes to the rack at 55 s
    at(run, 56)
    want(run, 11)
    at(run, 400)
    # The person checks order 0 until 75 s and picks 20 + 11 x 4 = 64 s.
    kinds = ("box_reserved", "task_created", "task_cancelled", "allocation_released", "meters_picked")
    assert told(run, *kinds) == [
        "0 box_reserved box=0 order=0 line=0 meters=4",
        "0 task_created task=0 task_class=0 box=0 from_place=1-01-1 to_place=port order=0",
        "45 box_reserved box=1 order=1 line=0 meters=15",
        "45 task_created task=1 task_class=0 box=1 from_place=1-01-1 to_place=port order=1",
        "55 meters_picked box=0 order=0 mask=15 person=0",
        "55 task_created task=2 task_class=2 box=0 from_place=loose-rack to_place=1-01-1",
        "56 box_reserved box=0 order=2 line=0 meters=11",
        "56 task_cancelled task=2",
        "56 allocation_released box=0 slot=1-01-1 column=0",
        "159 meters_picked box=0 order=2 mask=32752 person=0",
    ]


def test_returning_box_comes_again():
    """An open box that is wanted while the robot brings it back is stored first and then fetched."""
    run = store(staging={"loose_rack_boxes": 0})
    hold(run, 1)
    want(run, 4)
    at(run, 62)
    want(run, 5)
    at(run, 400)
    # Stored at 70.5 s (see above), fetched 6 s + 2 + 1.5 + 6 s later at the port: 86 s; 40 s to pick.
    assert told(run, "box_reserved", "task_created", "task_done", "meters_picked")[4:10] == [
        "55 task_created task=1 task_class=2 box=0 from_place=loose-rack to_place=1-01-1",
        "62 box_reserved box=0 order=1 line=0 meters=5",
        "70.5 task_done task=1 robot=0",
        "70.5 task_created task=2 task_class=0 box=0 from_place=1-01-1 to_place=port order=1",
        "86 task_done task=2 robot=0",
        "126 meters_picked box=0 order=1 mask=496 person=0",
    ]


def test_one_open_box_a_sku():
    """However orders fall, at most one box of a SKU has loose meters that nobody has reserved."""
    run = store(people={"count": 2}, staging={"loose_rack_boxes": 0}, robots={"carry": 2})
    hold(run, 5)
    for second, meters in ((0, 4), (3, 8), (30, 13), (61, 2), (90, 14), (95, 6), (300, 9)):
        at(run, second)
        want(run, meters)
        spare = [box for box in range(5) if 0 < _unreserved(run, box) < 15]
        assert len(spare) <= 1, f"at {second} s boxes {spare} are open"
    at(run, 3000)
    # 4 + 8 + 13 + 2 + 14 + 6 + 9 = 56 of 75 meters: three boxes are empty and one is open with 4 left.
    assert sorted(mask.bit_count() for mask in run.stock.mask) == [0, 0, 0, 4, 15]


def _unreserved(run, box):
    """The meters of a box that no order has reserved, by the facts."""
    left = 15
    for line in told(run, "box_reserved"):
        fields = dict(word.split("=") for word in line.split()[2:])
        left -= int(fields["meters"]) if int(fields["box"]) == box else 0
    return left


def test_station_takes_two_boxes():
    """A third open box waits at the port while two stand at the pick station."""
    skus = [{"name": name} for name in "ABC"]
    run = store(skus=skus, staging={"pick_buffer_boxes": 2}, people={"pick_setup_s": 100})
    for sku in range(3):
        hold(run, 1, sku=sku)
        want(run, 1, sku=sku)
    at(run, 600)
    moves = [line for line in told(run, "box_moved") if "to_place=pick-station" in line]
    # Delivered at 19, 38.48 (9.74 + 9.74) and 58.44 s (9.98 + 9.98); the first pick ends at 19 + 104 = 123 s.
    assert moves == [
        "19 box_moved box=0 from_place=port to_place=pick-station",
        "38.48 box_moved box=1 from_place=port to_place=pick-station",
        "123 box_moved box=2 from_place=port to_place=pick-station",
    ]


def test_full_port_blocks_robot():
    """With one place for boxes on their way out, the robot waits at the port until it is cleared."""
    ports = [{"name": "port", "serves": "both", "out_places": 1}]
    run = store(layout={"ports": ports}, people={"check_s": 60})
    hold(run, 2)
    want(run, 30)
    at(run, 300)
    # Box 0 is there at 19 s and gone at 79 s; box 1 comes to the port at 19 + 9.74 + 2.24 + 1.5 = 32.48 s, is
    # set down from 79 to 85 s and checked until 145 s.
    assert [line for line in told(run, "robot_stretch") if " activity=5 " in line] == [
        "32.48 robot_stretch robot=0 activity=5 from_place=port to_place=port height_mm=0 task=1"
    ]
    assert told(run, "order_handed_over") == ["145 order_handed_over order=0 meters=30 late=0"]


# -- orders and boxes that are not in a slot --------------------------------------------------------------


def test_order_is_served_from_staging():
    """A box wanted before its put-away begins is handed over from where it is; its place is given back."""
    run = store(robots={"count": 0})
    bring(run, 1)
    at(run, 50)
    want(run, 15)
    at(run, 100)
    kinds = ("slot_allocated", "box_reserved", "allocation_released", "box_moved", "order_handed_over")
    assert told(run, *kinds) == [
        "38 slot_allocated box=0 slot=1-01-1 column=0 task=0",
        "38 box_moved box=0 from_place=truck to_place=port",
        "50 box_reserved box=0 order=0 line=0 meters=15",
        "50 allocation_released box=0 slot=1-01-1 column=0",
        "70 box_moved box=0 from_place=port to_place=handed-over",
        "70 order_handed_over order=0 meters=15 late=0",
    ]
    assert run.ledger.index.room == [5]


def test_loose_meters_from_staging():
    """Loose meters are picked from a box that still waits in staging; it then stays in the loose rack."""
    run = store(robots={"count": 0})
    bring(run, 1)
    at(run, 50)
    want(run, 4)
    at(run, 150)
    assert told(run, "box_reserved", "allocation_released", "box_moved", "order_handed_over")[1:] == [
        "50 box_reserved box=0 order=0 line=0 meters=4",
        "50 allocation_released box=0 slot=1-01-1 column=0",
        "50 box_moved box=0 from_place=port to_place=pick-station",
        "86 box_moved box=0 from_place=pick-station to_place=loose-rack",
        "106 order_handed_over order=0 meters=4 late=0",
    ]


def test_called_off_place_is_reused():
    """The place that a called-off put-away gives back goes to the box that waits for one."""
    run = store(layout={"boxes_per_slot": 1}, robots={"count": 0})
    bring(run, 2)
    at(run, 100)
    want(run, 15)
    assert told(run, "slot_allocated", "allocation_failed", "allocation_released") == [
        "38 slot_allocated box=0 slot=1-01-1 column=0 task=0",
        "76 allocation_failed box=1 reason=0",
        "100 allocation_released box=0 slot=1-01-1 column=0",
        "100 slot_allocated box=1 slot=1-01-1 column=0 task=1",
    ]
    assert run.stock.place == [run.layout.inbound] * 2


def test_box_under_way_is_not_offered():
    """A box on the robot cannot be reserved; the order waits until the box is stored."""
    run = store()
    bring(run, 1)
    at(run, 45)
    want(run, 15)
    at(run, 200)
    # Picked from 38 to 44 s, stored at 53.5 s; 6 s to take it again, 2 + 1.5 + 6 s to the port, 20 s check.
    assert told(run, "line_short", "task_done", "box_reserved", "order_handed_over") == [
        "45 line_short order=0 line=0 meters=15",
        "53.5 task_done task=0 robot=0",
        "53.5 box_reserved box=0 order=0 line=0 meters=15",
        "69 task_done task=1 robot=0",
        "89 order_handed_over order=0 meters=15 late=0",
    ]


# -- waiting for stock ------------------------------------------------------------------------------------


def test_short_lines_in_turn():
    """Lines that wait for stock are served in the order of their release, though a later one would fit."""
    run = store()
    hold(run, 1)
    want(run, 30)
    want(run, 15)
    at(run, 10)
    bring(run, 1)
    at(run, 100)
    bring(run, 1)
    at(run, 300)
    assert told(run, "line_short", "box_reserved", "order_handed_over") == [
        "0 box_reserved box=0 order=0 line=0 meters=15",
        "0 line_short order=0 line=0 meters=15",
        "0 line_short order=1 line=0 meters=15",
        # The truck is unloaded from 10 to 48 s; then box 0 is checked until 68 s and box 1 until 88 s.
        "48 box_reserved box=1 order=0 line=0 meters=15",
        "88 order_handed_over order=0 meters=30 late=0",
        "138 box_reserved box=2 order=1 line=0 meters=15",
        "158 order_handed_over order=1 meters=15 late=0",
    ]


def test_short_of_loose_meters():
    """Of 20 meters 15 are there: the box goes ahead and 5 meters wait for stock."""
    run = store()
    hold(run, 1)
    want(run, 20)
    at(run, 60)
    bring(run, 1)
    at(run, 400)
    assert told(run, "line_short", "box_reserved", "meters_issued", "order_handed_over") == [
        "0 box_reserved box=0 order=0 line=0 meters=15",
        "0 line_short order=0 line=0 meters=5",
        "39 meters_issued box=0 order=0 mask=32767",
        # Unloaded at 98 s, picked 20 + 5 x 4 = 40 s, checked 20 s.
        "98 box_reserved box=1 order=0 line=0 meters=5",
        "158 meters_issued box=1 order=0 mask=31",
        "158 order_handed_over order=0 meters=20 late=0",
    ]


def test_other_sku_is_not_held_up():
    """A line that waits holds up later lines of its SKU only."""
    run = store()
    hold(run, 1, sku=1)
    want(run, 15, sku=0)
    want(run, 15, sku=1)
    at(run, 100)
    assert told(run, "line_short", "order_handed_over") == [
        "0 line_short order=0 line=0 meters=15",
        "39 order_handed_over order=1 meters=15 late=0",
    ]


# -- age --------------------------------------------------------------------------------------------------


def test_box_expires_at_midnight():
    """A box may be issued through day 180 after its verification; at the next midnight it is withdrawn."""
    run = store()
    hold(run, 1, age=179)
    hold(run, 1, age=178)
    at(run, DAY_S - 1)
    assert told(run, "box_expired") == []
    at(run, 2 * DAY_S + 1)
    # On day 1 the ages are 180 and 179, on day 2 181 and 180.
    assert told(run, "box_expired") == ["172800 box_expired box=0"]
    assert run.ledger.state == [OVERDUE, QUALIFIED]
    assert (0 in run.ledger.ready, 1 in run.ledger.ready) == (False, True)
    assert run.ledger.on_hand == [15, 0]


def test_expired_box_is_not_issued():
    """An order goes without when the only box of its SKU is overdue."""
    run = store()
    hold(run, 1, age=180)
    at(run, DAY_S + 1)
    want(run, 15)
    at(run, 2 * DAY_S)
    assert told(run, "box_expired", "line_short", "box_reserved") == [
        "86400 box_expired box=0", "86401 line_short order=0 line=0 meters=15"
    ]  # fmt: skip


def test_open_box_expires():
    """An open box in the rack expires too; its remaining meters are not picked."""
    run = store()
    hold(run, 1, age=180)
    want(run, 4)
    at(run, DAY_S + 1)
    want(run, 4)
    at(run, 2 * DAY_S)
    assert told(run, "meters_picked", "box_expired", "line_short") == [
        "55 meters_picked box=0 order=0 mask=15 person=0",
        "86400 box_expired box=0",
        "86401 line_short order=1 line=0 meters=4",
    ]
    assert run.ledger.on_hand == [0, 0]


def test_old_box_at_time_zero():
    """A box that is too old at time 0 is overdue from the start."""
    run = store()
    hold(run, 1, age=181)
    assert told(run, "box_expired") == ["0 box_expired box=0"]
    assert run.ledger.on_hand == [0, 0]


def test_old_box_on_a_truck():
    """A box that is too old when it is received is stored, but never offered to orders."""
    run = store()
    want(run, 15)
    bring(run, 1, age=181)
    at(run, 200)
    assert told(run, "box_expired", "box_reserved", "task_done") == [
        "38 box_expired box=0", "53.5 task_done task=0 robot=0"
    ]  # fmt: skip
    assert run.ledger.on_hand == [0, 0]


def test_box_expires_on_its_way():
    """A box whose last day ends while the robot carries it is overdue when it is stored."""
    run = store()
    at(run, DAY_S - 45)
    bring(run, 1, age=180)
    at(run, DAY_S + 1)
    want(run, 15)
    at(run, DAY_S + 100)
    # Received at 86,393 s, at the age of 180 days; on the robot from 86,399 to 86,408.5 s.
    assert told(run, "box_received", "line_short", "box_expired", "box_reserved", "task_done") == [
        "86393 box_received box=0 truck=0 person=0",
        "86401 line_short order=0 line=0 meters=15",
        "86408.5 task_done task=0 robot=0",
        "86408.5 box_expired box=0",
    ]
    assert run.ledger.state == [OVERDUE]


# -- boxes that are picked while they wait ----------------------------------------------------------------


def test_emptied_box_is_not_stored():
    """A box that was picked empty before the allocator came to it is gone, and no slot is named for it."""
    run = store(policy={"allocation_ms": 200_000})
    want(run, 8)
    want(run, 7)
    bring(run, 1)
    at(run, 1000)
    assert told(run, "box_emptied", "slot_allocated", "task_created") == [
        # Received at 38 s; picked for 20 + 32 = 52 s; checked 20 s; picked for 20 + 28 = 48 s.
        "158 box_emptied box=0"
    ]
    assert run.ledger.on_hand == [0, 0]


def test_reserved_box_is_not_stored():
    """A box that was reserved before the allocator came to it is handed over, and no slot is named for it."""
    run = store(policy={"allocation_ms": 30_000}, people={"check_s": 100})
    bring(run, 1)
    at(run, 50)
    want(run, 15)
    at(run, 300)
    # Received at 38 s, the allocator has it until 68 s, the check lasts from 50 to 150 s.
    assert told(run, "slot_allocated", "task_created", "box_moved", "order_handed_over") == [
        "38 box_moved box=0 from_place=truck to_place=staging",
        "150 box_moved box=0 from_place=staging to_place=handed-over",
        "150 order_handed_over order=0 meters=15 late=0",
    ]


def test_picked_box_stays_in_rack():
    """A box that was opened before the allocator came to it stays in the loose rack."""
    run = store(policy={"allocation_ms": 300_000})
    bring(run, 1)
    at(run, 50)
    want(run, 4)
    at(run, 500)
    # Received at 38 s, picked from 50 to 86 s; the allocator is done at 338 s.
    assert told(run, "slot_allocated", "task_created", "box_moved", "order_handed_over") == [
        "38 box_moved box=0 from_place=truck to_place=staging",
        "50 box_moved box=0 from_place=staging to_place=pick-station",
        "86 box_moved box=0 from_place=pick-station to_place=loose-rack",
        "106 order_handed_over order=0 meters=4 late=0",
    ]


def test_open_box_is_returned_once():
    """An open box that waits for a slot is named once, however often it has been picked from meanwhile."""
    run = store(
        layout={"boxes_per_slot": 1, "columns": 2},
        staging={"loose_rack_boxes": 0},
        robots={"carry": 2},
    )
    hold(run, 1, sku=1, slot=0)
    hold(run, 1, sku=1, slot=1)
    bring(run, 1)
    at(run, 50)
    for second in (50, 150, 250):
        at(run, second)
        want(run, 2)
    at(run, 400)
    want(run, 30, sku=1)
    at(run, 900)
    assert sum("task_class=2" in line for line in told(run, "task_created")) == 1
    assert sorted(run.stock.place) == [0, run.layout.handed_over, run.layout.handed_over]


def stacks(**sections):
    """The same store with free stacks: a gripper from above, and the store's one slot is a stack of five."""
    robots = {"kind": "top_gripper", "access": "stack_lifo", **sections.pop("robots", {})}
    return store(robots=robots, **sections)


def test_dug_open_box_is_wanted():
    """An open box that is wanted while the robot digs it away is fetched after it has been set down."""
    run = stacks(layout={"columns": 2}, robots={"carry": 1})
    hold(run, 1, sku=1)
    hold(run, 1, sku=0, meters=6)
    want(run, 15, sku=1)
    at(run, 10)  # the gripper has lifted box 1 off box 0: 2 s + 0.2 s + 1.5 s + 6 s = 9.7 s
    assert run.stock.place[1] == run.layout.robot_place(0)
    want(run, 2, sku=0)
    at(run, 400)
    assert [line.split(" ", 1)[1] for line in told(run, "order_handed_over")] == [
        "order_handed_over order=0 meters=15 late=0", "order_handed_over order=1 meters=2 late=0"
    ]  # fmt: skip


def test_dug_box_serves_short_line():
    """A line that went short while the only box was dug away is served when the box is set down."""
    run = stacks(layout={"columns": 2})
    hold(run, 1, sku=1)
    hold(run, 1, sku=0)
    want(run, 15, sku=1)
    at(run, 10)
    want(run, 15, sku=0)
    at(run, 400)
    assert [line.split(" ", 1)[1] for line in told(run, "line_short", "order_handed_over")] == [
        "line_short order=1 line=0 meters=15",
        "order_handed_over order=0 meters=15 late=0",
        "order_handed_over order=1 meters=15 late=0",
    ]


@pytest.mark.parametrize("fill", [0.7, 0.9])
def test_blocker_goes_to_the_nearest_open_stack(fill):
    """Aisle by aisle the same stack is found as by a look at every slot, over ten aisles and two days."""
    run = store(
        layout={
            "rows": 20, "columns": 4, "levels": 2, "profile": "uniform", "boxes_per_slot": 6, "tiers": 3,
            "first_column_m": 1.0,
        },
        initial={"fill": fill},
        demand={"orders_per_day": 60, "mean_meters": 30.0},
        supply={"target_fill": fill},
        robots={"kind": "top_gripper", "access": "stack_lifo", "carry": 1, "count": 2},
        people={"count": 4},
    )  # fmt: skip
    house, travel, height = run.warehouse, run.travel, run.layout.z_mm.tolist()
    quick, asked = house._nearest_stack, []

    def by_all(box, slot, before):
        is_open = run.ledger.index.view_of(run.ledger.sku[box]).is_open
        others = [other for other in range(run.layout.slots) if other != slot and is_open(other)]
        found = [
            (travel.between_ms(slot, height[slot], other, height[other]), other, column)
            for other in others
            if (column := house._open_stack(other, NONE, before)) != NONE
        ]
        return min(found)[1:] if found else (NONE, NONE)

    def both(box, slot, before):
        asked.append(by_all(box, slot, before))
        assert quick(box, slot, before) == asked[-1]
        return asked[-1]

    house._nearest_stack = both
    run.advance(48 * 3_600_000)
    aisles = {run.layout.aisle[slot] for slot, _ in asked if slot != NONE}
    assert len(asked) > 50, len(asked)
    assert len(aisles) > 3
