"""Commands into a run: what each does, when it is refused, and that the log rebuilds the run."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import LIVE_POLICIES
from sim.calendar import DAY_MS
from sim.cli import main
from sim.commands import (
    COMMANDS,
    CommandError,
    Entry,
    apply,
    examine,
    log_as_json,
    read_log,
    replay,
    scenario_after,
)
from sim.counting import METHODS, PLANS
from sim.facts import BY_NUMBER, FAULTS, NONE
from sim.history import record_gaps, state_at, truth_gaps
from sim.results import read_result
from sim.retrieval import RETRIEVAL
from sim.robots import DISPATCH, DWELL
from sim.scenario import Scenario, build_layout, changed, field_facts, from_dict, leaves, load
from sim.scenario import examine as examine_scenario
from sim.simulation import Simulation, build_index
from sim.words import dotted
from tests.test_invariants import (
    ALWAYS,
    _nobody_waits_in_vain,
    _stays_are_counted,
    _stock_is_counted,
    one_of,
    stores,
)

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def quiet(**more):
    """A store of 16 slots, always open, with boxes of two SKUs, in which nothing happens unless it is told."""
    data = {
        "time": {"days": 4}, "calendar": ALWAYS, "boxes": {"meters_per_box": 4},
        "layout": {"rows": 2, "columns": 4, "levels": 2, "profile": "uniform", "boxes_per_slot": 3},
        "skus": [{"name": "A"}, {"name": "B"}],
        "initial": {"fill": 0.5, "prefill_dwells": 0},
        "supply": {"rule": "s,Q", "reorder_boxes": 0},
        "demand": {"orders_per_day": 0, "due_h": 4},
        "robots": {"count": 1, "idle_draw": 0.0},
        "policy": {"dwell": "stay"},
    }  # fmt: skip
    run = Simulation(from_dict(merged(data, more)), seed=1)
    run.advance(HOUR_MS)
    return run


def merged(base, more):
    """Tables with some of their values replaced."""
    return {
        **base,
        **{
            key: {**base.get(key, {}), **value} if isinstance(value, dict) else value
            for key, value in more.items()
        },
    }


PLACES = {"slot", "from_place", "to_place", "place", "port", "recorded"}


def told(run, first, *kinds):
    """The facts from a number on (of some kinds) as words: the kind and the fields that apply."""
    lines = []
    for row in run.trace.rows(first):
        kind = BY_NUMBER[row[1]]
        if kinds and kind.name not in kinds:
            continue
        words = [kind.name]
        for field, value in zip(kind.fields, row[2:], strict=True):
            if value != NONE:
                if field in PLACES and kind.name != "slot_counted":
                    value = run.layout.place_name(value)
                elif field == "cause" and kind.name.startswith("fault"):
                    value = FAULTS[value]
                words.append(f"{field}={value}")
        lines.append(" ".join(words))
    return lines


def does(run, name, **args):
    """Carry a command out that can be, and give the facts that it caused at once."""
    outcome = apply(run, name, args)
    assert outcome.applied, outcome.reason
    assert outcome.first_fact + outcome.facts == len(run.trace)
    return told(run, outcome.first_fact)


def refused(run, name, **args):
    """Have a command refused, and give the reason; nothing has changed."""
    before = fingerprint(run)
    outcome = apply(run, name, args)
    assert not outcome.applied
    assert outcome.facts == 0
    assert fingerprint(run) == before
    return outcome.reason


def later(run, ms=HOUR_MS):
    """Let some time pass, and give the number of the first fact of it."""
    first = len(run.trace)
    run.advance(run.now_ms + ms)
    run.check()
    return first


def box_in_slot(run, sku=0, *, ready=True):
    """A box that stands in a slot."""
    ledger = run.ledger
    boxes = range(len(ledger.sku))
    return next(
        box
        for box in boxes
        if ledger.column[box] != NONE and ledger.sku[box] == sku and (box in ledger.ready) == ready
    )


# -- one command after the other ---------------------------------------------------------------------------


class TestOrder:
    def test_order_reserves_at_once(self):
        """An order is released with its lines, boxes are reserved, and robots get their tasks."""
        run = quiet()
        lines = does(run, "order", station=7, lines=[{"sku": "A", "meters": 8}, {"sku": "B", "meters": 4}])
        # Due in four hours of a store that is always open.
        assert lines[:3] == [
            f"order_released order=0 station=7 due={5 * HOUR_MS} exogenous=1", "order_line order=0 line=0 sku=0 meters=8",
            "order_line order=0 line=1 sku=1 meters=4",
        ]  # fmt: skip
        assert [line.split()[0] for line in lines[3:]] == ["box_reserved", "task_created"] * 3
        assert told(run, later(run), "order_handed_over") == ["order_handed_over order=0 meters=12 late=0"]

    def test_due_time_may_be_given(self):
        """An order that is due in a minute is handed over late."""
        run = quiet(people={"check_s": 60})
        assert "due=3660000" in does(run, "order", lines=[{"sku": "A", "meters": 4}], due_in_s=60)[0]
        assert "late=0" not in told(run, later(run), "order_handed_over")[0]

    def test_what_is_short_waits(self):
        """An order for more than there is waits for a truck."""
        run = quiet()
        lines = does(run, "order", lines=[{"sku": "A", "meters": 1000}])
        assert lines[-1].startswith("line_short order=0 line=0 meters=")

    def test_backlog_stays_as_large(self):
        """Where each order that is handed over brings the next, an injected one brings none."""
        run = quiet(demand={"kind": "saturated", "backlog_orders": 2, "mean_meters": 4})
        before = len(run.warehouse.orders)
        does(run, "order", lines=[{"sku": "B", "meters": 1}])
        later(run, 5 * HOUR_MS)
        assert len(run.warehouse.orders) == before


class TestDelivery:
    def test_truck_comes_when_it_says(self):
        """A truck is called off for each SKU on it, counts as on order, and arrives in ten minutes."""
        run = quiet()
        lines = does(run, "delivery", loads=[{"sku": "A", "boxes": 2}, {"sku": "B", "boxes": 1}], in_s=600)
        due = HOUR_MS + 600_000
        assert lines == [
            f"truck_called_off truck=0 sku=0 boxes=2 due={due}", f"truck_called_off truck=0 sku=1 boxes=1 due={due}",
        ]  # fmt: skip
        assert run.ledger.on_order == [8, 4]
        arrived = told(run, later(run), "truck_arrived", "lot_created", "box_received", "task_done")
        assert [line.split()[0] for line in arrived].count("box_received") == 3
        assert run.trace.table("truck_arrived")["time_ms"].tolist() == [due]
        assert run.ledger.on_order == [0, 0]

    def test_other_trucks_stay_as_they_were(self):
        """A delivery shifts no draw: trucks of the supply rule come at their times with the same lots."""
        base = merged(BUSY, {"time": {"days": 3}})
        plain, more = (Simulation(from_dict(base)) for _ in range(2))
        apply(more, "delivery", {"loads": [{"sku": "B", "boxes": 1}], "in_s": 3600})
        found = []
        for run in (plain, more):
            run.finish()
            trucks = run.trace.table("truck_called_off")
            own = [0] if run is more else []
            found.append([
                (due, sku) for truck, sku, due in zip(*(trucks[k].tolist() for k in ("truck", "sku", "due")), strict=True)
                if truck not in own
            ])  # fmt: skip
        assert found[0] == found[1]


class TestSlots:
    def test_block_and_free(self):
        """A blocked slot gets no boxes; freed it may get them again; either is refused when it is so already."""
        run = quiet()
        empty = next(s for s in range(run.layout.slots) if run.ledger.index.room[s])
        name = run.layout.place_name(empty)
        assert refused(run, "free_slot", slot=name) == f"slot {name} is not blocked"
        assert does(run, "block_slot", slot=name) == [f"slot_blocked slot={name} blocked=1"]
        assert refused(run, "block_slot", slot=name) == f"slot {name} is blocked already"
        assert not run.ledger.index.is_open(empty)
        assert does(run, "free_slot", slot=name) == [f"slot_blocked slot={name} blocked=0"]
        assert run.ledger.index.is_open(empty)

    def test_hold_is_not_a_block(self):
        """A slot on hold because of a discrepancy is not freed by a command, and may be blocked beside that."""
        run = quiet()
        run.warehouse.hold_slot(0, True)
        name = run.layout.place_name(0)
        assert refused(run, "free_slot", slot=name).endswith(
            "a discrepancy keeps it on hold until it is counted"
        )
        does(run, "block_slot", slot=name)
        does(run, "free_slot", slot=name)
        assert run.ledger.index.out_of_use(0) == {"hold"}

    def test_freed_slot_takes_what_waits(self):
        """Boxes that found no slot are put away as soon as one is freed."""
        run = quiet(initial={"fill": 0.0})
        for slot in range(run.layout.slots):
            does(run, "block_slot", slot=run.layout.place_name(slot))
        does(run, "delivery", loads=[{"sku": "A", "boxes": 2}])
        later(run)
        assert len(run.warehouse._unplaced) == 2
        lines = does(run, "free_slot", slot="1-01-1")
        assert [line.split()[0] for line in lines].count("slot_allocated") == 2


class TestRobots:
    def test_stop_says_where(self):
        """A robot that is stopped in the middle of a way leaves a fault and a stretch at once; what is left follows."""
        run = quiet()
        does(run, "order", lines=[{"sku": "A", "meters": 4}])
        run.advance(run.now_ms + 2000)
        lines = does(run, "stop_robot", robot=0)
        assert [line.split()[0] for line in lines] == ["fault_began", "robot_stretch"]
        assert "cause=stopped robot=0" in lines[0]
        assert refused(run, "stop_robot", robot=0) == "robot 0 is stopped already"
        assert told(run, later(run, DAY_MS), "order_handed_over") == []
        assert does(run, "repair_robot", robot=0) == ["fault_ended fault=0 cause=stopped robot=0"]
        assert len(told(run, later(run), "order_handed_over")) == 1
        assert refused(run, "repair_robot", robot=0) == "robot 0 is in order"

    def test_only_the_power_is_out(self):
        """A robot that only waits for the power cannot be repaired; one that was stopped as well is stopped no more."""
        run = quiet(
            faults={"scale": 1, "mtbf_h": "inf", "power_failures_per_year": 100_000, "power_failure_h": 10_000, "blocked_per_day": 0}
        )  # fmt: skip
        later(run)
        assert refused(run, "repair_robot", robot=0) == "robot 0 only waits for the power to come back"
        assert [line.split()[0] for line in does(run, "stop_robot", robot=0)] == ["fault_began"]
        does(run, "repair_robot", robot=0)
        assert refused(run, "repair_robot", robot=0) == "robot 0 only waits for the power to come back"

    def test_people_step_in(self):
        """Where people step in for broken robots they do for stopped ones."""
        rare = {"scale": 1e-9, "mtbf_h": "inf"}
        run = quiet(faults=rare, fallback={"after_min": 20, "people": 1})
        does(run, "stop_robot", robot=0)
        does(run, "order", lines=[{"sku": "A", "meters": 4}])
        handed = told(run, later(run), "order_handed_over", "task_assigned")
        assert handed[0].startswith("task_assigned task=0 robot=1")
        assert handed[-1].startswith("order_handed_over")

    def test_nobody_steps_in_without_places(self):
        """A run without faults has no places for boxes in hands: a stopped robot's work waits, also where people count."""
        run = quiet(
            counting={"plan": "full", "method": "bar-code", "recount": "bar-code", "interval_days": 99}
        )
        does(run, "stop_robot", robot=0)
        does(run, "order", lines=[{"sku": "A", "meters": 4}])
        assert told(run, later(run, DAY_MS), "order_handed_over", "task_assigned") == []


class TestCount:
    def test_count_where_nothing_is_counted(self):
        """A run whose plan counts nothing counts the slots of a command at once."""
        run = quiet()
        assert run.warehouse.counting is None
        lines = does(run, "count", slots=["1-01-1", "1-02-1"])
        assert [line.split()[0] for line in lines] == ["count_planned", "task_created", "task_created"]
        assert refused(run, "count", slots=["1-02-1"]) == "slot 1-02-1 waits for an urgent count already"
        done = told(run, later(run), "slot_counted", "count_ended")
        assert [line.split()[0] for line in done] == ["slot_counted", "slot_counted", "count_ended"]
        assert told(run, later(run, 3 * DAY_MS), "slot_counted", "count_planned") == []

    def test_all_slots(self):
        """Without names every slot that holds boxes is counted."""
        run = quiet()
        does(run, "count")
        assert len(told(run, later(run, 3 * HOUR_MS), "slot_counted")) == run.layout.slots

    def test_count_by_person(self):
        """A count by bar code is made by people, and robots keep out of the aisle."""
        run = quiet()
        does(run, "count", slots=["1-01-1"], method="bar-code")
        (line,) = told(run, later(run), "slot_counted")
        assert f"method={list(METHODS).index('bar-code')}" in line
        assert run.people.minds_robots

    def test_planned_count_hurries(self):
        """A slot that waits for the hours of its plan is counted at once."""
        run = quiet(
            calendar={"shifts": [["00:00", "23:00"]]},
            counting={"plan": "full", "interval_days": 1, "at": "00:30"},
        )
        assert told(run, later(run), "slot_counted") == []
        assert does(run, "count", slots=["1-01-1"]) == [
            "task_created task=0 task_class=4 from_place=1-01-1 to_place=1-01-1"
        ]
        assert len(told(run, later(run), "slot_counted")) == 1

    def test_meters_are_opened_where_they_differ(self):
        """A count by RFID has boxes opened whose meters did not answer, though no plan of the run reads meters."""
        run = quiet(reads={"dead": 0.3}, initial={"fill": 0.3})
        does(run, "count", method="rfid")
        assert told(run, later(run, 5 * HOUR_MS), "tag_replaced")

    def test_free_stacks(self):
        """Free stacks are counted by camera only, which has to read every label."""
        robots = {"kind": "top_gripper", "access": "stack_lifo"}
        only = "free stacks are counted by camera only, and with reads.box_miss = 0"
        assert refused(quiet(robots=robots), "count") == f"the first look by camera is not possible: {only}"
        run = quiet(robots=robots, reads={"box_miss": 0.0})
        assert refused(run, "count", method="rfid") == f"args.method: expected 'camera', found 'rfid': {only}"
        does(run, "count", slots=["1-01-1"])
        assert len(told(run, later(run), "slot_counted")) == 1
        run = quiet(robots=robots, reads={"box_miss": 0.0}, counting={"recount": "handheld"})
        assert (
            refused(run, "count") == f"the second look (counting.recount) by handheld is not possible: {only}"
        )

    def test_nobody_is_there(self):
        """Where there are no robots nobody counts by camera."""
        run = quiet(operation="manual", robots={"count": 0})
        assert refused(run, "count") == "the first look by camera is not possible: there is no robot"


class TestBoxes:
    def test_recall(self):
        """A recalled lot leaves, box by box; a lot is recalled once."""
        run = quiet()
        lot = run.ledger.lot[box_in_slot(run)]
        lines = does(run, "recall", lot=lot)
        assert lines[0].startswith(f"lot_recalled lot={lot} boxes=")
        left = told(run, later(run, 5 * HOUR_MS), "box_left")
        assert len(left) == int(lines[0].rpartition("=")[2])
        assert refused(run, "recall", lot=lot) == f"lot {lot} is recalled already"
        assert (
            refused(run, "recall", lot=999) == f"no lot 999 has come: the last is {run.warehouse.lots() - 1}"
        )
        assert refused(run, "recall", lot="L-7") == "no lot of the stock list is named 'L-7'"

    def test_robot_by_name(self):
        """A robot goes by the name that answers give it, or by its number."""
        run = quiet()
        does(run, "stop_robot", robot="robot-1")
        assert refused(run, "stop_robot", robot=0) == "robot 0 is stopped already"
        assert refused(run, "stop_robot", robot="robot-1") == "robot-1 is stopped already"
        does(run, "repair_robot", robot="robot-1")
        later(run, 1)
        assert refused(run, "repair_robot", robot="robot-1") == "robot-1 is in order"
        assert refused(run, "stop_robot", robot="robot-2") == (
            "args.robot: expected robot-1, found 'robot-2', did you mean 'robot-1'?"
        )

    def test_numbers_as_text(self):
        """Answers tell numbers of boxes and lots as text: so they may be sent back, by whoever reads them."""
        run = quiet()
        box = box_in_slot(run)
        assert does(run, "hold_box", box=str(box))[0].startswith(f"box_state box={box} ")
        assert refused(run, "hold_box", box=box) == f"box {box} is on hold already"
        assert refused(run, "hold_box", box="9" * 18).startswith(f"no box {'9' * 18} has come")
        for text in ("9" * 30, "٣", "1e3", "-1", " 1"):
            assert refused(run, "recall", lot=text).startswith("no lot of the stock list is named ")

    def test_transfer(self):
        """A box goes to another slot, by the ports."""
        run = quiet()
        box = box_in_slot(run)
        target = next(
            s for s in range(run.layout.slots) if run.ledger.index.room[s] and s != run.ledger.place[box]
        )
        name = run.layout.place_name(target)
        assert does(run, "transfer", box=box, slot=name)[0].startswith("task_created")
        assert refused(run, "transfer", box=box, slot=name) == f"box {box} is being transferred already"
        later(run)
        assert run.stock.place[box] == target
        assert refused(run, "transfer", box=box, slot=name) == f"box {box} stands in slot {name} already"

    def test_transfer_is_refused_in_words(self):
        """Each case in which a box cannot go to a slot has its own words."""
        run = quiet(layout={"restricted": [{"rows": [2], "levels": [2], "devices": ["other"]}]}, skus=[
            {"name": "A"}, {"name": "B"}, {"name": "C", "device": "other", "share": 0.01},
        ])  # fmt: skip
        index, house, layout = run.ledger.index, run.warehouse, run.layout
        box = box_in_slot(run)
        own = run.ledger.place[box]
        full = next(s for s in range(layout.slots) if not index.room[s] and s != own)
        free = [s for s in range(layout.slots) if index.view_of(0).is_open(s) and s != own]
        others = next(s for s in range(layout.slots) if index.room[s] and not index.view_of(0).is_open(s))

        def reason(slot, box=box):
            return refused(run, "transfer", box=box, slot=layout.place_name(slot))

        assert reason(full) == f"slot {layout.place_name(full)} is full, reserved places counted"
        assert (
            reason(others) == f"slot {layout.place_name(others)} does not take such boxes (layout.restricted)"
        )
        house.block_slot(free[0], blocked=True)
        assert reason(free[0]) == f"slot {layout.place_name(free[0])} is blocked"
        house.block_slot(free[0], blocked=False)
        house.hold_slot(free[0], True)
        assert (
            reason(free[0])
            == f"slot {layout.place_name(free[0])} is on hold: a discrepancy there is not cleared"
        )
        does(run, "hold_box", box=box)
        assert reason(free[1]) == f"box {box} is quarantined: only qualified boxes are transferred"
        does(run, "release_box", box=box)
        does(run, "order", lines=[{"sku": "B", "meters": 1}])
        opened = next(iter(house._open_left))
        assert reason(free[1], opened) == f"box {opened} is promised to order 0"
        later(run)
        assert reason(free[1], opened) == f"box {opened} is open: only whole boxes are transferred"
        assert reason(free[1], 9999) == f"no box 9999 has come: the last is {len(run.ledger.sku) - 1}"

    def test_boxes_that_are_not_here(self):
        """A box on its truck, one that was handed over, one that has left and one that is missing are told apart."""
        run = quiet(records={"scale": 1e-12})
        ledger = run.ledger
        does(run, "delivery", loads=[{"sku": "A", "boxes": 9}])
        run.advance(run.now_ms + 1)
        assert (
            refused(run, "scrap", box=len(ledger.sku) - 1)
            == f"box {len(ledger.sku) - 1} is still on its truck"
        )
        does(run, "order", lines=[{"sku": "A", "meters": 4}])
        handed = next(box for box, order in enumerate(ledger.order) if order == 0)
        assert refused(run, "hold_box", box=handed) == f"box {handed} is promised to order 0"
        scrapped = box_in_slot(run, 1)
        does(run, "scrap", box=scrapped)
        assert (
            refused(run, "scrap", box=scrapped) == f"box {scrapped} is pending scrap: it cannot be scrapped"
        )
        assert (
            refused(run, "hold_box", box=scrapped) == f"box {scrapped} is pending scrap: nobody can have it"
        )
        lost = box_in_slot(run, 1)
        run.warehouse.miss(lost, 3)
        assert refused(run, "release_box", box=lost) == f"box {lost} is missing: nobody knows where it is"
        later(run)
        assert refused(run, "hold_box", box=handed) == f"box {handed} was handed over to a station"
        assert refused(run, "scrap", box=scrapped) == f"box {scrapped} has left the store"

    def test_hold_and_release(self):
        """A box on hold is not reserved; released it is there for the line that waits."""
        run = quiet()
        boxes = [box for box in run.ledger.ready if run.ledger.sku[box] == 1]
        for box in boxes:
            assert does(run, "hold_box", box=box) == [f"box_state box={box} state=16"]
        assert refused(run, "hold_box", box=boxes[0]) == f"box {boxes[0]} is on hold already"
        assert does(run, "order", lines=[{"sku": "B", "meters": 4}])[-1].startswith("line_short")
        lines = does(run, "release_box", box=boxes[0])
        assert lines[0].startswith("box_state")
        assert lines[1].startswith(f"box_reserved box={boxes[0]}")
        assert refused(run, "release_box", box=boxes[0]) == (
            f"box {boxes[0]} is not on hold by a command: it is reserved"
        )

    def test_counts_do_not_end_a_hold(self):
        """A count that first overlooks a box and then sees it leaves a hold by a command as it is."""
        run = quiet()
        box = box_in_slot(run)
        does(run, "hold_box", box=box)
        hidden = iter([box])
        run._reader.box_is_read = lambda b, _occasion: not (b == box and next(hidden, None) is not None)
        does(run, "count", slots=[run.layout.place_name(run.ledger.place[box])])
        while not told(run, 0, "count_difference"):
            later(run, 5000)
        assert refused(run, "release_box", box=box).endswith(
            "was not seen in a count: it is looked for again first"
        )
        later(run)
        assert run.warehouse.is_put_on_hold(box)
        assert run.ledger.state[box] == 16
        does(run, "release_box", box=box)
        assert box in run.ledger.ready

    def test_held_box_of_a_recalled_lot(self):
        """A box on hold whose lot is recalled leaves, and can neither be released nor scrapped."""
        run = quiet()
        box = box_in_slot(run)
        does(run, "stop_robot", robot=0)
        does(run, "hold_box", box=box)
        does(run, "recall", lot=run.ledger.lot[box])
        leaves_ = f"box {box} leaves: its lot {run.ledger.lot[box]} is recalled"
        assert refused(run, "release_box", box=box) == leaves_
        assert refused(run, "scrap", box=box) == leaves_

    def test_scrap(self):
        """A scrapped box leaves with its meters."""
        run = quiet()
        box = box_in_slot(run)
        assert [line.split()[0] for line in does(run, "scrap", box=box)][:2] == ["box_state", "box_state"]
        assert told(run, later(run), "box_left") == [f"box_left box={box} cause=4"]

    def test_names_of_a_stock_list(self, tmp_path):
        """Boxes and lots of a stock list are known by its names."""
        folder = tmp_path / "run"
        assert main(["run", "tiny", "--out", str(folder)]) == 0
        assert main(["export", str(folder), "--stock", str(tmp_path / "stock.csv"), "--at", "36000"]) == 0
        (tmp_path / "own.toml").write_text('extends = "tiny"\n[initial]\nstock = "stock.csv"\n')
        run = Simulation(load(str(tmp_path / "own.toml")))
        name = run.names()["boxes"]["3"]
        assert does(run, "hold_box", box=name)[0].startswith("box_state box=3 ")
        close = f"{name}x"
        assert refused(run, "hold_box", box=close).startswith(
            f"no box of the stock list is named '{close}', did you mean '"
        )
        lot = run.names()["lots"]["0"]
        assert does(run, "recall", lot=lot)[0].startswith("lot_recalled lot=0 ")


# -- values that change ------------------------------------------------------------------------------------

BUSY = {
    "time": {"days": 2},
    "calendar": {**ALWAYS, "shifts": [["06:00", "20:00"]]},
    "boxes": {"meters_per_box": 5},
    "layout": {"rows": 2, "columns": 4, "levels": 3, "profile": "uniform", "boxes_per_slot": 6},
    "skus": [{"name": "A", "share": 0.7, "meter_kg": 0.5}, {"name": "B", "share": 0.3, "meter_kg": 1.0}],
    "initial": {"fill": 0.0},
    "supply": {
        "target_fill": 0.6, "review_weekdays": ["mon", "tue", "wed"], "lead_time_days": 0, "min_boxes": 1,
        "truck_boxes": 30, "arrive_from": "06:30", "arrive_to": "07:00",
    },
    "demand": {"orders_per_day": 60, "mean_meters": 8, "cap_boxes": 4, "months": [1.0] * 12},
    "staging": {"boxes": 20},
    "robots": {"count": 1, "run_h": 3.0},
    "records": {"scale": 20},
    "counting": {"plan": "cyclic", "slots_per_day": 6, "hours": "any", "at": "12:00"},
    "faults": {"scale": 20, "mtbf_h": 100},
}  # fmt: skip
"""A store in which nearly everything happens within two days, and that begins empty."""

MANUAL = {
    "operation": "manual",
    "robots": {"count": 0},
    "records": {"scale": 20},
    "counting": {"plan": "passive"},
}
STACKS = {
    "robots": {"kind": "top_gripper", "access": "stack_lifo", "run_h": 3.0},
    "counting": {"plan": "passive"},
}
STATIONS = {
    "demand": {
        "kind": "stations",
        "stations": 5,
        "review_days": 1,
        "weekdays": [1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    }
}
CAMPAIGN = {
    "demand": {
        "orders_per_day": 60,
        "mean_meters": 8,
        "months": [1.0] * 12,
        "campaign": {"from_day": 0, "days": 1, "factor": 2.0},
    }
}
FALLBACK = {"faults": {"scale": 20, "mtbf_h": 10, "mttr_h": 6}, "fallback": {"after_min": 30, "people": 1}}
REORDER = {
    "demand": {"orders_per_day": 5},
    "supply": {
        "rule": "s,Q",
        "reorder_boxes": 60,
        "order_boxes": 30,
        "lead_time_days": 0,
        "arrive_from": "06:30",
        "arrive_to": "07:00",
    },
}
AGED = {"demand": {"orders_per_day": 60, "mean_meters": 8, "months": [1.0] * 12, "max_age_days": 30}}
RETURNS = {
    "returns": {"unused_share": 0.5, "unused_days_min": 1, "unused_days_max": 1, "arrive_at": "08:00"},
    "records": {"scale": 20},
}
RECALL = {"control": {"recalls": [{"day": 1, "at": "10:00", "lot": "largest"}]}}


def counting(**more):
    return {"counting": {"plan": "cyclic", "slots_per_day": 6, "hours": "any", "at": "12:00", **more}}


ZONES = {
    "policy": {"allocation": "class-based"},
    "skus": [{"name": n, "share": s} for n, s in (("A", 0.5), ("B", 0.25), ("C", 0.15), ("D", 0.1))],
}
FULL_ZONES = {
    "policy": {"allocation": "class-based", "zone_borders": [0.3, 0.7]},
    "skus": [
        {"name": n, "share": s, "stay_days": d} for n, s, d in (("C", 0.3, 40), ("B", 0.4, 3), ("A", 0.3, 1))
    ],
}
OTHER = {
    "supply.rule": ("s,Q", {"supply": {**REORDER["supply"], "rule": "R,S", "review_weekdays": ["tue"]}}),
    "supply.review_weekdays": (["tue"], {}),
    "supply.target_fill": (0.2, {}),
    "supply.reorder_boxes": (5, REORDER),
    "supply.order_boxes": (12, REORDER),
    "supply.lead_time_days": (1, {}),
    "supply.truck_boxes": (7, {}),
    "supply.min_boxes": (100, {}),
    "supply.cover_days": (1, {}),
    "supply.arrive_from": ("06:55", {}),
    "supply.arrive_to": ("09:00", {}),
    "supply.age_days_min": (39, {}),
    "supply.age_days_max": (12, {}),
    "supply.lot_spread_days": (30, {}),
    "supply.older_chance": (1.0, {}),
    "supply.older_days": (90, {"supply": {"older_chance": 1.0}}),
    "demand.orders_per_day": (20, {}),
    "demand.mean_meters": (3, {}),
    "demand.size_cv": (0, {}),
    "demand.cap_boxes": (1, {}),
    "demand.day_cv": (1.5, {}),
    "demand.full_box_share": (1.0, {}),
    "demand.due_h": (1.0, {}),
    "demand.windows": ([], {}),
    "demand.months": ([2.0] * 12, {}),
    "demand.weekdays": ([0.5] * 7, {}),
    "demand.campaign": ({"from_day": 0, "days": 1, "factor": 3.0}, {}),
    "demand.campaign.from_day": (1, CAMPAIGN),
    "demand.campaign.days": (2, CAMPAIGN),
    "demand.campaign.factor": (0.5, CAMPAIGN),
    "demand.review_days": (2, STATIONS),
    "demand.service_level": (0.6, STATIONS),
    "people.unload_s": (5, {}),
    "people.receive_s": (60, {}),
    "people.pick_setup_s": (60, {}),
    "people.pick_meter_s": (20, {}),
    "people.inspect_meter_s": (30, counting(method="bar-code")),
    "people.check_s": (60, {}),
    "people.carry_per_h": (20, MANUAL),
    "people.allocate_s": (90, MANUAL),
    "staging.boxes": (1, {}),
    "staging.pick_buffer_boxes": (1, {"people": {"pick_meter_s": 200}}),
    "staging.loose_rack_boxes": (0, {}),
    "robots.carry": (1, {}),
    "robots.speed_m_per_s": (0.4, {}),
    "robots.acceleration_m_per_s2": ("inf", {}),
    "robots.lift_speed_m_per_s": (0.1, {}),
    "robots.lift_acceleration_m_per_s2": (0.05, {}),
    "robots.pick_s": (20, {}),
    "robots.place_s": (1, {}),
    "robots.positioning_s": (5, {}),
    "robots.turn_s": (0, {"layout": {"rows": 4}}),
    "robots.transfer_s": (7, {}),
    "robots.charge_below": (0.7, {"policy": {"dwell": "port"}}),
    "robots.resume_above": (0.9, {"policy": {"dwell": "port"}, "robots": {"run_h": 1.0}}),
    "tour.command": ("single", {}),
    "tour.max_wait_s": (0, {}),
    "policy.allocation": ("lot-pure", {}),
    "policy.retrieval": ("lifo", {}),
    "policy.dispatch": ("put-away-first", {}),
    "policy.dwell": ("port", {}),
    "policy.decide_at": ("pickup", {}),
    "policy.allocation_ms": (20_000, {}),
    "policy.tolerance_days": (40, {}),
    "policy.zones": (2, ZONES),
    "policy.zone_borders": ([0.1, 0.2], ZONES),
    "policy.overflow": ("inward", FULL_ZONES),
    "policy.ageing_min": (
        1000.0,
        {"policy": {"ageing_min": 0.5}, "robots": {"speed_m_per_s": 0.1, "carry": 1}},
    ),
    "records.scale": (500, {}),
    "records.wrong_slot": (0.05, {}),
    "records.wrong_slot_by_hand": (0.0, MANUAL),
    "records.bad_choice_by_hand": (0.0, MANUAL),
    "records.lost_message": (0.02, {}),
    "records.resend_h": (2.0, {"records": {"scale": 20, "lost_message": 0.02}}),
    "records.short_packed": (0.05, {}),
    "records.short_packed_by_hand": (0.05, RETURNS),
    "records.unrecorded_removal": (0.05, {}),
    "records.damage": (0.05, {}),
    "records.check_finds": (0.0, {"records": {"scale": 100, "gate": "boxes", "short_packed": 0.01}}),
    "records.gate": ("boxes", {}),
    "records.gate_pass_s": (60, {"reads": {"meter_miss": 0.3}}),
    "records.by_hand_s": (400, {"reads": {"meter_miss": 0.3}}),
    "counting.plan": ("full", counting(interval_days=1)),
    "counting.method": ("rfid", {}),
    "counting.recount": ("handheld", {"reads": {"box_miss": 0.2}}),
    "counting.recount_above": (5, {"reads": {"box_miss": 0.2}}),
    "counting.interval_days": (2, counting(plan="full", interval_days=1)),
    "counting.slots_per_day": (2, {}),
    "counting.every_accesses": (5, counting(plan="on-access")),
    "counting.at": ("15:00", {}),
    "counting.hours": ("closed", {}),
    "counting.camera_slot_s": (60, {}),
    "counting.camera_box_s": (20, {}),
    "counting.rfid_slot_s": (60, counting(method="rfid")),
    "counting.barcode_per_h": (5000, counting(method="bar-code")),
    "counting.barcode_right": (0.1, counting(method="bar-code")),
    "counting.handheld_per_h": (500, counting(method="handheld")),
    "counting.approval_h": (1, {"reads": {"box_miss": 0.4}}),
    "counting.certify.accuracy": (0.8, counting(plan="certify", interval_days=1, certify={"accuracy": 0.9})),
    "counting.certify.confidence": (
        0.5,
        counting(plan="certify", interval_days=1, certify={"accuracy": 0.8}),
    ),
    "faults.scale": (1, {}),
    "faults.mtbf_h": (5, {}),
    "faults.mttr_h": (9, {"faults": {"scale": 20, "mtbf_h": 10, "vendor_share": 0}}),
    "faults.mttr_sd_h": (0, {"faults": {"scale": 20, "mtbf_h": 10, "vendor_share": 0}}),
    "faults.repair_kind": ("exponential", {"faults": {"scale": 20, "mtbf_h": 10, "vendor_share": 0}}),
    "faults.repairers": (
        3,
        {
            "robots": {"count": 3},
            "faults": {"scale": 20, "mtbf_h": 5, "vendor_share": 0, "mttr_h": 9, "clock": "powered"},
        },
    ),
    "faults.repair_in_shifts": (
        True,
        {"faults": {"scale": 20, "mtbf_h": 10, "vendor_share": 0, "mttr_h": 9}},
    ),
    "faults.vendor_share": (1, {"faults": {"scale": 20, "mtbf_h": 10, "vendor_share": 0}}),
    "faults.vendor_h": (2, {"faults": {"scale": 20, "mtbf_h": 10, "vendor_share": 1}}),
    "faults.minor_stop_share": (0.02, {}),
    "faults.minor_stop_min": (50, {}),
    "faults.minor_stop_sd_min": (0, {}),
    "faults.minor_stop_in_shifts": (False, {}),
    "faults.power_failures_per_year": (50, {}),
    "faults.power_failure_h": (3, {"faults": {"scale": 20, "power_failures_per_year": 50}}),
    "faults.blocked_per_day": (0, {}),
    "faults.blocked_min": (1, {}),
    "faults.misshaped_share": (0, {}),
    "faults.misshaped_s": (900, {}),
    "fallback.after_min": (5, FALLBACK),
    "fallback.people": (2, FALLBACK),
    "control.recall_first": (True, RECALL),
}
# For each parameter that can change another value, and what else has to hold for it to matter.


def live_paths():
    """Every parameter that says that it can change in mid-run."""
    with_campaign = from_dict({"demand": {"campaign": {}}})
    return {
        dotted(path)
        for scenario in (Scenario(), with_campaign)
        for path, _ in leaves(scenario)
        if field_facts(path).get("live")
    }


class TestSet:
    def test_every_live_parameter_is_tried(self):
        """The table above has each parameter that can change, and no other."""
        assert set(OTHER) == live_paths()

    @pytest.mark.parametrize("key", sorted(OTHER))
    def test_set_at_the_beginning(self, key):
        """A value that is set before anything happens gives the run that has it from its scenario, and matters."""
        value, more = OTHER[key]
        base = from_dict(merged(BUSY, more))
        other, faults = changed(base, {key: value})
        assert not faults
        told_so = Simulation(base)
        assert apply(told_so, "set", {"values": {key: value}}).applied
        assert told_so.scenario == other
        digest = told_so.finish().digest
        assert digest == Simulation(other).finish().digest
        assert digest != Simulation(base).finish().digest

    @pytest.mark.parametrize("key", sorted(OTHER))
    def test_set_and_set_back(self, key):
        """A value that is set and set back in the middle of a run leaves invariants, records and KPIs whole."""
        value, more = OTHER[key]
        run = Simulation(from_dict(merged(BUSY, more)))
        before = dict(leaves_of(run.scenario)).get(key)
        for at_ms, values in ((10 * HOUR_MS, {key: value}), (15 * HOUR_MS, {key: before})):
            run.advance(at_ms)
            assert apply(run, "set", {"values": values}).applied
            check_run(run)
        assert run.scenario == run.begun_with
        result = run.finish()
        result.kpis()
        assert truth_gaps(state_at(run.trace, run.layout), run.stock) == []
        assert record_gaps(state_at(run.trace, run.layout), run.ledger) == []

    def test_same_value_changes_nothing(self):
        """To set what holds anyway leaves the facts of the run as they are."""
        plain, same = (Simulation(from_dict(BUSY)) for _ in range(2))
        values = {key: value for key, value in leaves_of(plain.scenario) if key in OTHER}
        for at_ms in (0, 9 * HOUR_MS, 30 * HOUR_MS):
            same.advance(at_ms)
            assert apply(same, "set", {"values": values}).facts == 0
        assert same.finish().digest == plain.finish().digest

    def test_lots_are_found(self):
        """A rule that asks where lots stand knows it at once, reserved places included."""
        for stacked in (False, True):
            machine = {"kind": "top_gripper", "access": "stack_lifo"} if stacked else {}
            run = Simulation(from_dict(merged(BUSY, {"robots": machine, "counting": {"plan": "passive"}})))
            own = Simulation(from_dict(merged(BUSY, {"robots": machine, "counting": {"plan": "passive"}})))
            own.ledger.index.follows_lots = True
            for at_ms in range(7 * HOUR_MS, 20 * HOUR_MS, 97 * MINUTE_MS):
                run.ledger.index.follows_lots = False
                run.ledger.index.lots = {}
                run.advance(at_ms)
                own.advance(at_ms)
                assert apply(run, "set", {"values": {"policy.allocation": "lot-pure"}}).applied
                assert run.ledger.index.lots == own.ledger.index.lots
                apply(run, "set", {"values": {"policy.allocation": "closest-open"}})

    def test_other_speeds_rank_slots_anew(self):
        """After a change of speed slots are ranked as in a store that began with it, and open as before."""
        run = Simulation(from_dict(BUSY))
        run.advance(9 * HOUR_MS)
        does(run, "block_slot", slot="1-02-1")
        old = run.ledger.index
        apply(run, "set", {"values": {"robots.lift_speed_m_per_s": 0.05, "robots.speed_m_per_s": 3}})
        index = run.ledger.index
        fresh = build_index(run.scenario, run.layout, run.travel)
        assert index is not old
        assert index.port_time_ms == fresh.port_time_ms != old.port_time_ms
        slots = range(run.layout.slots)
        assert [index.is_open(s) for s in slots] == [old.is_open(s) for s in slots]
        ranked = [s for s in fresh.order("port_time").slots if old.is_open(s)]
        assert list(index.view_of(0).open_slots()) == ranked

    def test_robot_at_rest_goes_to_its_new_place(self):
        """A robot that rests leaves for the new dwell point at once."""
        run = quiet()
        does(run, "change_policy", dwell="outbound")
        (line,) = told(run, later(run, 1000), "robot_stretch")
        assert f"to_place={run.layout.place_name(run.layout.outbound)}" in line

    def test_tour_keeps_its_size(self):
        """A robot that has four boxes on board when it may have one brings them all, and then one at a time."""
        run = quiet(initial={"fill": 0.0}, tour={"max_wait_s": 600})
        does(run, "delivery", loads=[{"sku": "A", "boxes": 8}])
        while len(run.fleet.robots[0].board) < 4:
            later(run, 1000)
        does(run, "set", values={"robots.carry": 1})
        first = later(run, 3 * HOUR_MS)
        assert {line.split()[3] for line in told(run, first, "tour_started")} == {"put_aways=1"}
        assert sum(column != NONE for column in run.ledger.column) == 8

    def test_all_values_or_none(self):
        """When one value is wrong none changes, and each mistake has its line."""
        run = quiet()
        before = run.scenario
        with pytest.raises(CommandError) as caught:
            examine("set", {"values": {
                "robots.carry": 2, "robots.count": 3, "robots.cary": 2, "policy.allocation": "rndom",
                "robots.resume_above": 0.1, "faults.mtbf_h": "often",
            }}, run.scenario, run.layout)  # fmt: skip
        assert caught.value.lines[:3] == [
            "args.values.robots.count: expected a value that can change in mid-run, found one that is fixed when a run begins",
            "args.values.robots.cary: expected a value of the scenario, found 'robots.cary', did you mean 'robots.carry'?",
            "args.values.faults.mtbf_h: expected a number above 0, found 'often'",
        ]  # fmt: skip
        assert caught.value.lines[4].endswith("found 'rndom', did you mean 'random'?")
        assert len(caught.value.lines) == 5
        assert [path for path, _ in caught.value.faults][:2] == [
            ("values", "robots.count"),
            ("values", "robots.cary"),
        ]
        assert refused(run, "set", values={"robots.resume_above": 0.1, "robots.carry": 2}) == (
            "args.values.robots.resume_above: robots.charge_below: expected less than robots.resume_above = 0.1, found 0.25"
        )
        assert refused(run, "set", values={"robots.carry": 2, "robots": {"carry": 1}}) == (
            "args.values.robots: expected a value that can change in mid-run, found a table"
        )
        assert run.scenario is before

    def test_faults_where_people_would_step_in(self):
        """Faults are switched on in mid-run only where nobody would step in: there are no places for their boxes."""
        run = quiet()
        reason = refused(run, "set", values={"faults.scale": 5})
        assert reason.startswith("people would step in for robots (fallback)")
        does(run, "set", values={"faults.scale": 5, "fallback.people": 0})
        assert run.fleet._faults is not None

    def test_own_rules_have_to_be_loaded(self):
        """A rule of a file that was not loaded is refused in words."""
        reason = refused(quiet(), "set", values={"policy.allocation": "mine.py:rule"})
        assert "own rules are given on the command line" in reason

    def test_plan_that_starts_in_mid_run(self):
        """A plan that is set counts from its next time of day on, and one that is changed does not count twice."""
        run = quiet(time={"days": 9})
        does(
            run,
            "set",
            values={
                "counting.plan": "full",
                "counting.interval_days": 1,
                "counting.hours": "any",
                "counting.at": "03:00",
            },
        )
        later(run, 7 * HOUR_MS)
        assert run.trace.table("count_planned")["time_ms"].tolist() == [3 * HOUR_MS]
        does(run, "set", values={"counting.at": "09:00"})
        later(run, DAY_MS)
        does(run, "set", values={"counting.plan": "passive"})
        later(run, 3 * DAY_MS)
        assert run.trace.table("count_planned")["time_ms"].tolist() == [3 * HOUR_MS, 9 * HOUR_MS]

    def test_orders_change_from_the_next_day_on(self):
        """Rates that are read day by day hold from midnight."""
        run = Simulation(from_dict(merged(BUSY, {"time": {"days": 3}})))
        run.advance(5 * HOUR_MS)
        apply(run, "set", {"values": {"demand.orders_per_day": 0}})
        run.finish()
        assert (run.trace.table("order_released")["time_ms"] < DAY_MS).all()

    def test_schema_says_what_is_live(self):
        """Show, the schema of scenario files and the parameters themselves say alike what can change."""
        assert field_facts(("policy", "allocation"))["live"] is True
        assert "live" not in field_facts(("robots", "count"))
        assert len(live_paths()) > 100


def leaves_of(scenario):
    found = [(dotted(path), value) for path, value in leaves(scenario)]
    campaign = scenario.demand.campaign
    return [*found, *([("demand.campaign", campaign.model_dump())] if campaign else [])]


# -- arguments ---------------------------------------------------------------------------------------------

ALL = "'order', 'delivery', 'block_slot', 'free_slot', 'stop_robot', 'repair_robot', 'count', 'recall', 'transfer', 'hold_box', 'release_box', 'scrap', 'set' or 'change_policy'"
FIXED = "expected a value that can change in mid-run, found one that is fixed when a run begins"
WRONG = {
    "unknown": ("oder", {}, [f"type: expected {ALL}, found 'oder', did you mean 'order'?"]),
    "no table": ("order", [], ["args: expected a table, found []"]),
    "nothing": ("order", {}, ["args.lines: expected a list of 1 to 1,000 tables, found nothing"]),
    "lines": (
        "order", {"lines": [{"sku": "C", "meters": 1}, {"sku": "A", "meters": "3"}, {"sku": "A"}], "due": 3, "station": -1},
        [
            "args.station: expected a whole number from 0 to 100,000, found -1",
            "args.lines[1].meters: expected a whole number above 0 and at most 10,000,000, found '3'",
            "args.lines[2].meters: expected a whole number above 0 and at most 10,000,000, found nothing",
            "args.due: expected 'station', 'lines' or 'due_in_s', found 'due'",
            "args.lines[0].sku: expected the name of a SKU, found 'C'",
        ],
    ),
    "sku": ("delivery", {"loads": [{"sku": "single", "boxes": 1}]}, ["args.loads[0].sku: expected the name of a SKU, found 'single'"]),
    "slot": ("block_slot", {"slot": "1-1-1"}, ["args.slot: expected a place of this store, found '1-1-1', did you mean '1-01-1'?"]),
    "no slot": ("free_slot", {"slot": "in"}, ["args.slot: expected a slot as 1-01-1, found 'in'"]),
    "robot": ("stop_robot", {"robot": 1}, ["args.robot: expected 0, the only robot, found 1"]),
    "half": ("repair_robot", {"robot": 0.5}, ["args.robot: expected a whole number at least 0 or text of at most 100 characters, found 0.5"]),
    "twice": ("count", {"slots": ["1-01-1", "1-01-1", "9-01-1"]}, [
        "args.slots[1]: expected each slot once, found '1-01-1' again", "args.slots[2]: expected a place of this store, found '9-01-1'",
    ]),
    "method": ("count", {"method": "camra"}, ["args.method: expected 'camera', 'rfid', 'bar-code' or 'handheld', found 'camra', did you mean 'camera'?"]),
    "box": ("scrap", {"box": True}, ["args.box: expected a whole number at least 0 or text of at most 100 characters, found true"]),
    "both": ("transfer", {"box": -1, "slot": "x"}, [
        "args.box: expected a whole number at least 0 or text of at most 100 characters, found -1",
        "args.slot: expected a slot as 1-01-1, found 'x'",
    ]),
    "no values": ("set", {"values": {}}, ["args.values: expected at least one value, found none"]),
    "no rule": ("change_policy", {}, ["args: expected at least one of 'allocation', 'retrieval', 'dispatch' or 'dwell', found none"]),
    "rules": ("change_policy", {"dwell": "hom", "retrieval": 3}, [
        "args.retrieval: expected text, found 3", "args.dwell: expected 'port', 'outbound', 'stay', 'charger' or 'centre', found 'hom'",
    ]),
}  # fmt: skip


class TestArguments:
    @pytest.mark.parametrize("case", sorted(WRONG))
    def test_every_mistake_has_its_line(self, case):
        """Arguments that can never be right are told all at once, each with where it is; an outcome joins the lines."""
        type_, args, lines = WRONG[case]
        run = quiet()
        with pytest.raises(CommandError) as caught:
            examine(type_, args, run.scenario, run.layout)
        assert caught.value.lines == lines
        assert [message for _, message in caught.value.faults] == [line.partition(": ")[2] for line in lines]
        outcome = apply(run, type_, args)
        assert (outcome.applied, outcome.reason, outcome.facts) == (False, "; ".join(lines), 0)

    def test_any_arguments_can_be_kept(self):
        """Arguments that no JSON or no UTF-8 could hold, or too deep ones, are refused and kept as something that it can."""
        run, deep = quiet(), []
        for _ in range(2000):
            deep = [deep]
        for args in (
            {"slot": "\ud800"},
            {"slot": float("nan")},
            {"slot": (1, 2)},
            {"slot": deep},
            {1: 2},
            {"slot": 10**400},
        ):
            assert not apply(run, "block_slot", args).applied
        json.dumps(log_as_json(run.commands), ensure_ascii=False, allow_nan=False).encode()
        assert run.commands[3].reason == "args: expected at most 16 levels of nesting, found more"

    def test_store_without_robots(self):
        """Where people carry there is no robot to stop."""
        run = quiet(operation="manual", robots={"count": 0})
        assert refused(run, "stop_robot", robot=0) == (
            "args.robot: expected a store with robots, found robots.count = 0 and 0"
        )

    def test_removed_meters_are_not_ordered(self):
        """Nobody orders the SKU of removed meters, and nobody brings it by truck."""
        scenario = from_dict(
            {"skus": [{"name": "A"}, {"name": "old"}], "returns": {"share_here": 0.5, "sku": "old"}}
        )
        for type_, args in (
            ("order", {"lines": [{"sku": "old", "meters": 1}]}), ("delivery", {"loads": [{"sku": "old", "boxes": 1}]}),
        ):  # fmt: skip
            with pytest.raises(CommandError, match=r"expected a SKU other than returns\.sku, found 'old'"):
                examine(type_, args, scenario, build_layout(scenario))

    def test_every_command_has_its_sentence(self):
        """Each command says in a sentence what it does, and each of its arguments says what it is."""
        for name, kind in COMMANDS.items():
            assert kind.sentence.endswith("."), name
            for field in kind.params.model_fields.values():
                assert field.description, name


# -- a run and its log -------------------------------------------------------------------------------------


class TestLog:
    LOG = (
        Entry(0, 1, "order", {"lines": [{"sku": "A", "meters": 9}]}),
        Entry(7 * HOUR_MS, 2, "stop_robot", {"robot": 0}),
        Entry(7 * HOUR_MS, 3, "stop_robot", {"robot": 0}),
        Entry(8 * HOUR_MS, 4, "repair_robot", {"robot": 0}),
        Entry(
            9 * HOUR_MS, 6, "set", {"values": {"policy.allocation": "lot-pure", "robots.speed_m_per_s": 0.5}}
        ),
        Entry(9 * HOUR_MS, 7, "count", {}),
        Entry(30 * HOUR_MS, 9, "recall", {"lot": 2}),
    )

    def replayed(self, *borders):
        run = Simulation(from_dict(BUSY))
        for until_ms in (*borders, run.end_ms):
            replay(run, self.LOG, until_ms)
        return run

    def test_slices_make_no_difference(self):
        """A log gives the same facts in one go, in slices, and in slices that end where commands act."""
        whole = self.replayed()
        assert [given.applied for given in whole.commands] == [True, True, False, True, True, True, True]
        for borders in (
            range(1, 48 * HOUR_MS, 777_777),
            [7 * HOUR_MS, 7 * HOUR_MS, 9 * HOUR_MS, 30 * HOUR_MS],
        ):
            again = self.replayed(*borders)
            assert again.result().digest == whole.result().digest
            assert again.commands == whole.commands

    def test_hash_seeds_make_no_difference(self, tmp_path):
        """The same log gives the same digest under any PYTHONHASHSEED, and on the command line."""
        (tmp_path / "log.json").write_text(json.dumps(log_as_json(
            [Entry(t, k, type_, args) for t, k, type_, args in self.LOG if type_ != "recall"]
        )))  # fmt: skip
        digests = set()
        for seed in ("0", "1", "12345"):
            line = [sys.executable, "-m", "sim.cli", "run", "tiny", "--commands", "log.json", "--json"]
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            done = subprocess.run(
                line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
            )
            digests.add(json.loads(done.stdout)["digest"])
        run = Simulation(load("tiny"))
        replay(run, [entry for entry in self.LOG if entry.type != "recall"], run.end_ms)
        assert digests == {run.result().digest}

    def test_commands_act_before_the_instant(self):
        """A command at an instant comes before all else that happens then, several in their sequence."""
        run = Simulation(from_dict(BUSY))
        run.advance(9 * HOUR_MS)
        at_ms = run.trace.table("order_released")["time_ms"].tolist()[-1]
        again = Simulation(from_dict(BUSY))
        order = {"lines": [{"sku": "B", "meters": 1}]}
        log = [
            Entry(at_ms, 2, "order", {**order, "station": 92}),
            Entry(at_ms, 1, "order", {**order, "station": 91}),
        ]
        replay(again, log, at_ms + 1)
        released = again.trace.table("order_released")
        now = released["time_ms"] == at_ms
        assert released["station"][now].tolist()[:2] == [91, 92]
        assert len(released["station"][now]) == 3

    def test_stands_at_the_end(self):
        """After a replay the run stands at the instant, with the commands of that instant and nothing else of it."""
        run = Simulation(from_dict(BUSY))
        replay(run, self.LOG, 9 * HOUR_MS)
        assert run.now_ms == 9 * HOUR_MS
        assert [given.sequence for given in run.commands] == [1, 2, 3, 4, 6, 7]
        with pytest.raises(ValueError, match="command 1 acts at 5 s, and the run stands at 32400 s"):
            replay(run, [Entry(5000, 1, "count", {})], 10 * HOUR_MS)

    def test_progress_is_told(self):
        """A replay tells its share of the run at least once a day."""
        shares = []
        run = Simulation(from_dict(BUSY))
        replay(run, self.LOG, run.end_ms, shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert len(shares) >= 2

    def test_numbers_go_on(self):
        """A command without a number of its own gets the next one."""
        run = quiet()
        does(run, "count", slots=["1-01-1"])
        apply(run, "count", {"slots": ["1-02-1"]}, sequence=7)
        refused(run, "free_slot", slot="1-01-1")
        assert [(given.sequence, given.type, given.applied) for given in run.commands] == [
            (1, "count", True), (7, "count", True), (8, "free_slot", False),
        ]  # fmt: skip

    def test_scenario_before_and_after(self):
        """A result keeps the scenario that the run began with, and reads its facts by the one at its end."""
        run = quiet()
        does(run, "set", values={"policy.tolerance_days": 50, "robots.acceleration_m_per_s2": float("inf")})
        does(run, "change_policy", retrieval="lifo")
        result = run.result()
        assert result.scenario == run.begun_with
        assert result.scenario.policy.tolerance_days == 3
        assert result.scenario_at_end == run.scenario
        assert result.scenario_at_end.policy.retrieval == "lifo"
        assert scenario_after(run.begun_with, run.commands) == run.scenario
        json.dumps(log_as_json(run.commands), allow_nan=False)

    def test_result_folder(self, tmp_path):
        """A result folder keeps the log with its outcomes; its log gives the same run again."""
        log, out, again = tmp_path / "log.json", tmp_path / "out", tmp_path / "again"
        log.write_text(json.dumps(log_as_json(self.LOG[1:])))
        assert main(["run", "tiny", "--commands", str(log), "--out", str(out)]) == 0
        result = read_result(out)
        assert [given.applied for given in result.commands] == [True, False, True, True, True, True]
        assert result.scenario_at_end.policy.allocation == "lot-pure"
        document = json.loads((out / "result.json").read_text())
        assert document["commands"][1] == {
            "t_s": 25_200.0, "sequence": 3, "type": "stop_robot", "args": {"robot": 0}, "applied": False,
            "reason": "robot 0 is stopped already",
        }  # fmt: skip
        assert document["resolved"]["policy"]["allocation"] == "closest-open"
        for source in (str(log), str(out / "result.json")):
            assert main(["run", "tiny", "--commands", source, "--slice-min", "13", "--out", str(again)]) == 0
            assert read_result(again).digest == result.digest
        assert main(["report", str(out)]) == 0
        page = (out / "report.html").read_text()
        assert "rejected: robot 0 is stopped already" in page
        assert "meterhouse run again.toml --seed 1 --commands result.json" in page

    def test_no_commands_no_key(self, tmp_path):
        """A run without commands has the document that it had before there were any."""
        assert main(["run", "tiny", "--out", str(tmp_path / "out")]) == 0
        assert "commands" not in json.loads((tmp_path / "out" / "result.json").read_text())
        assert read_result(tmp_path / "out").commands == []


FILES = {
    "no json": ('{"commands": [1,\n}', ["log.json:2: expected JSON, found a mistake: expecting value"]),
    "no number": ('{"commands": [{"t_s": NaN}]}', ["log.json: expected JSON, found NaN, which is no JSON number"]),
    "no log": ("[]", ['log.json:1: expected an object {"commands": [...]}, found something else']),
    "more": (
        '{\n"commands": [],\n"more": 1,\n"more": 2}',
        ["log.json:4: more: expected each key once, found it again", "log.json:4: more: expected 'commands' only, found 'more'"],
    ),
    "rows": (
        """{"commands": [
          {"t_s": -1, "sequence": 1, "type": "stop_robt", "args": {"robot": 0}, "x": 1},
          {"t_s": 10, "sequence": 2,
           "type": "order"},
          {"t_s": 10, "sequence": 3, "type": "count", "args": {}},
          {"t_s": 11, "sequence": 3, "type": "count", "args": {}, "applied": 1},
          7
        ]}""",
        [
            "log.json:2: commands[0].x: expected 't_s', 'sequence', 'type' or 'args', found 'x'",
            "log.json:2: commands[0].t_s: expected simulated seconds from 0, found -1",
            f"log.json:2: commands[0].type: expected {ALL}, found 'stop_robt', did you mean 'stop_robot'?",
            "log.json:3: commands[1].args: expected a table, found nothing",
            "log.json:6: commands[3].sequence: expected a number of its own, found 3 again",
            "log.json:6: commands[3].applied: expected true or false, found 1",
            "log.json:7: commands[4]: expected a table with 't_s', 'sequence', 'type' or 'args', found 7",
        ],
    ),
    "arguments": (
        """{"commands": [
          {"t_s": 5, "sequence": 2, "type": "set", "args": {"values": {
            "robots.charge_below": 0.85,
            "robots.count": 2}}},
          {"t_s": 1, "sequence": 1, "type": "set", "args": {"values": {"robots.resume_above": 0.9}}},
          {"t_s": 172801, "sequence": 3, "type": "count", "args": {"slots": ["1-01-1",
            "9-01-1"]}},
          {"t_s": 6, "sequence": 4, "type": "stop_robot", "args": {"robot": 5}, "applied": false, "reason": "none such"}
        ]}""",
        [
            f"log.json:4: commands[0].args.values.robots.count: {FIXED}",
            "log.json:6: commands[2].t_s: expected at most the length of the run, 172,800 s, found 172,801",
            "log.json:7: commands[2].args.slots[1]: expected a place of this store, found '9-01-1'",
        ],
    ),
}  # fmt: skip


class TestLogFile:
    @pytest.mark.parametrize("case", sorted(FILES))
    def test_mistakes_by_line(self, case, tmp_path, monkeypatch, capsys):
        """A log that is wrong ends in a line for each mistake, with its line in the file, and exit code 2."""
        text, lines = FILES[case]
        monkeypatch.chdir(tmp_path)
        Path("log.json").write_text(text)
        assert main(["run", "tiny", "--commands", "log.json"]) == 2
        shown = capsys.readouterr()
        assert shown.err.splitlines() == lines
        assert shown.out == ""

    def test_log_comes_back(self, tmp_path):
        """A log that is written is read back in the order of its commands."""
        log = [*TestLog.LOG][::-1]
        (tmp_path / "log.json").write_text(json.dumps(log_as_json(log), indent=2))
        assert read_log(tmp_path / "log.json") == [*TestLog.LOG]

    def test_run_says_what_became_of_them(self, tmp_path, capsys):
        """The command line counts the commands that were applied, and says why the others were not."""
        (tmp_path / "log.json").write_text(json.dumps(log_as_json([
            Entry(3_600_000, 1, "block_slot", {"slot": "1-02-1"}), Entry(7_200_000, 2, "block_slot", {"slot": "1-02-1"}),
        ])))  # fmt: skip
        assert main(["run", "tiny", "--commands", str(tmp_path / "log.json")]) == 0
        assert (
            "1 command applied, 1 rejected:\n  2 block_slot, day 0, 02:00: slot 1-02-1 is blocked already\n"
            in capsys.readouterr().out
        )

    def test_one_run_only(self, tmp_path, capsys):
        """A log belongs to one run, not to many."""
        assert main(["run", "tiny", "--commands", "log.json", "--replications", "2"]) == 2
        assert capsys.readouterr().err == "--commands: expected one run, found --replications 2\n"

    def test_commands_are_listed(self, capsys):
        """The command line lists what a run may be told, and says of each value whether it can change."""
        assert main(["list", "commands", "--json"]) == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)["commands"]] == list(COMMANDS)
        assert main(["show", "tiny", "--json"]) == 0
        shown = {row["path"]: row["live"] for row in json.loads(capsys.readouterr().out)["values"]}
        assert {path for path, is_live in shown.items() if is_live} == live_paths() & set(shown)


# -- random commands ---------------------------------------------------------------------------------------

TROUBLE = st.fixed_dictionaries(
    {},
    optional={
        "records": st.builds(lambda scale: {"scale": scale}, one_of(1, 300)),
        "reads": st.builds(lambda miss: {"box_miss": miss}, one_of(0, 0.1)),
        "faults": st.builds(lambda scale, clock: {"scale": scale, "clock": clock}, one_of(1, 300), one_of("operating", "powered", "calendar")),
        "fallback": st.builds(lambda after, people: {"after_min": after, "people": people}, one_of(0, 20), one_of(0, 1, 3)),
        "counting": st.builds(lambda plan, method: {"plan": plan, "method": method, "hours": "any"}, one_of(*PLANS), one_of(*METHODS)),
        "returns": st.just({"unused_share": 0.3, "unused_days_min": 1, "unused_days_max": 2}),
        "reverify": st.just({"on": True, "days_min": 1, "days_max": 2}),
        "empties": st.just({"track": True, "days_min": 1, "days_max": 2}),
    },
)  # fmt: skip
"""Errors, faults, counts and returns, each of them or not."""

VALUES = {
    "policy.allocation": list(LIVE_POLICIES), "policy.retrieval": list(RETRIEVAL),
    "policy.dispatch": list(DISPATCH), "policy.dwell": list(DWELL),
    "policy.decide_at": ["receipt", "pickup"], "policy.allocation_ms": [0, 5000, 60_000],
    "policy.tolerance_days": [0, 30], "policy.ageing_min": [1.0, 1000.0], "policy.zones": [2, 3, 6],
    "policy.overflow": ["outward", "inward", "nearest"],
    "robots.carry": [1, 2, 4, 16], "robots.speed_m_per_s": [0.2, 3], "robots.turn_s": [0, 9],
    "robots.acceleration_m_per_s2": [0.1, "inf"], "robots.lift_speed_m_per_s": [0.1, 2],
    "robots.pick_s": [0, 30], "robots.place_s": [0, 20], "robots.positioning_s": [0, 5], "robots.transfer_s": [0, 9],
    "robots.charge_below": [0.05, 0.7], "robots.resume_above": [0.75, 1.0],
    "tour.command": ["single", "dual"], "tour.max_wait_s": [0, 600],
    "people.unload_s": [0, 300], "people.check_s": [0, 200], "people.pick_meter_s": [0, 30],
    "people.carry_per_h": [5, 500], "people.allocate_s": [0, 90],
    "staging.boxes": [0, 1, 50], "staging.pick_buffer_boxes": [1, 5], "staging.loose_rack_boxes": [0, 5],
    "demand.orders_per_day": [0, 100], "demand.mean_meters": [1, 100], "demand.due_h": [1, 40],
    "demand.full_box_share": [0, 1], "demand.review_days": [1, 3], "demand.service_level": [0.5, 0.99],
    "demand.campaign": [None, {"from_day": 1, "days": 2, "factor": 5}],
    "supply.target_fill": [0.1, 1.0, None], "supply.lead_time_days": [0, 3], "supply.min_boxes": [1, 30],
    "supply.rule": ["R,S", "s,Q"], "supply.truck_boxes": [1, 40], "supply.review_weekdays": [["mon", "tue", "wed", "thu", "fri"]],
    "records.scale": [0, 1, 300], "records.wrong_slot": [0, 0.5], "records.gate": ["meters", "boxes"],
    "counting.plan": list(PLANS), "counting.method": list(METHODS), "counting.recount": ["camera", "bar-code", "handheld"],
    "counting.hours": ["closed", "any"], "counting.at": ["03:00", "12:00"], "counting.slots_per_day": [1, 50],
    "counting.every_accesses": [1, 4], "counting.recount_above": [0, 3], "counting.interval_days": [1, 2],
    "faults.scale": [0, 1, 50, 1000], "faults.mtbf_h": [1, 10_000, "inf"], "faults.repairers": [1, 2, 5],
    "faults.minor_stop_share": [0, 0.5], "faults.blocked_per_day": [0, 50], "faults.power_failures_per_year": [0, 300],
    "faults.vendor_share": [0, 1], "faults.mttr_h": [0.1, 5], "faults.minor_stop_in_shifts": [True, False],
    "fallback.people": [0, 1, 2], "fallback.after_min": [0, 30, "inf"],
    "control.recall_first": [True, False],
}  # fmt: skip
"""Values to choose from, for every parameter that can change in mid-run in a way of its own."""

NAMES = st.sampled_from([*COMMANDS, "set", "set", "stop_robot", "repair_robot", "count", "transfer", "order"])


def plausible(run, name, a, b, c):
    """Arguments for a command that mostly fit the store, chosen by whole numbers."""
    layout = run.layout
    slot = layout.names[a % layout.slots]
    box = a % max(1, len(run.ledger.sku))
    sku = run.sku_names[b % len(run.sku_names)]
    if name == "order":
        lines = [{"sku": sku, "meters": 1 + c % 40}, {"sku": run.sku_names[0], "meters": 1 + a % 7}]
        return {"lines": lines[: 1 + c % 2], "due_in_s": None if a % 2 else c % 9999}
    if name == "delivery":
        return {"loads": [{"sku": sku, "boxes": 1 + c % 6}], "in_s": a % 3000}
    if name in ("block_slot", "free_slot"):
        blocked = [s for s in range(layout.slots) if "blocked" in run.ledger.index.out_of_use(s)]
        return {"slot": layout.names[blocked[a % len(blocked)]] if name == "free_slot" and blocked else slot}
    if name in ("stop_robot", "repair_robot"):
        down = [robot.number for robot in run.fleet.robots if robot.down_since != NONE]
        if name == "repair_robot" and down:
            return {"robot": down[a % len(down)]}
        return {"robot": a % max(1, run.scenario.robots.count)}
    if name == "count":
        slots = [layout.names[s] for s in dict.fromkeys([a % layout.slots, b % layout.slots])]
        return {"slots": None if c % 3 == 0 else slots, "method": [None, *METHODS][c % (1 + len(METHODS))]}
    if name == "recall":
        return {"lot": a % max(1, run.warehouse.lots())}
    if name == "transfer":
        ready = [box for box in sorted(run.ledger.ready) if run.ledger.column[box] != NONE]
        box = ready[b % len(ready)] if ready else box
        here = run.ledger.place[box] if run.ledger.place else NONE
        others = [s for s in range(layout.slots) if run.ledger.index.is_open(s) and s != here]
        return {"box": box, "slot": layout.names[others[a % len(others)]] if others and c % 4 else slot}
    if name in ("hold_box", "release_box", "scrap"):
        held = sorted(run.warehouse._put_on_hold)
        here = [box for box, column in enumerate(run.ledger.column) if column != NONE]
        some = held if name == "release_box" and held else here or [box]
        return {"box": some[b % len(some)]}
    if name == "set":
        keys = [list(VALUES)[(a + k * b) % len(VALUES)] for k in range(1 + c % 3)]
        values = {key: VALUES[key][c % len(VALUES[key])] for key in keys}
        if "faults.scale" in values and c % 2:
            values["fallback.people"] = 0
        return {"values": values}
    rules = {"allocation": LIVE_POLICIES, "retrieval": RETRIEVAL, "dispatch": DISPATCH, "dwell": DWELL}
    return {key: list(rules[key])[b % len(rules[key])] for key in list(rules)[: 1 + c % 4]}


def fingerprint(run):
    """What a refused command must not have touched."""
    house, ledger = run.warehouse, run.ledger
    return (
        len(run.trace), run.scenario, list(ledger.state), list(ledger.place), list(ledger.order), list(ledger.on_hand),
        list(ledger.on_order), list(ledger.index.room), dict(ledger.index._blocked), sorted(ledger.ready),
        sorted(house._task_of), dict(house.missing), sorted(house.orders), [list(q) for q in run.fleet.waiting],
        {name: stream._next for name, stream in run.streams._streams.items()}, house.counting,
        run.supply._trucks, run.supply._lots_beside, len(run.env._queue), sorted(run.warehouse.flows.recalled),
    )  # fmt: skip


def check_run(run):
    """What must hold between any two events, whatever a run was told."""
    run.check()
    run.warehouse.check_cheaply()
    _stays_are_counted_with_errors(run)
    _lots_are_known(run)
    for robot in run.fleet.robots:
        assert 0 <= robot.charge_ms <= run.fleet._full_ms + 1 or robot.charge_ms < 0, robot.charge_ms
        assert len(robot.board) <= robot.carry
        assert run.fleet.is_stopped(robot.number) <= (robot.down_since != NONE or run.now_ms == 0)


def _stays_are_counted_with_errors(run):
    if not run.warehouse._unconfirmed and not run.warehouse.missing:
        _stays_are_counted(run)


def _lots_are_known(run):
    """Where lots are followed, the index knows how many of each stand in a slot or are bound for it."""
    ledger, index = run.ledger, run.ledger.index
    if not index.follows_lots:
        return
    assert sum(sum(slots.values()) for slots in index.lots.values()) == sum(index.capacity) - sum(index.room)
    here = Counter(
        (ledger.lot[box], ledger.place[box]) for box, column in enumerate(ledger.column) if column != NONE
    )
    known = Counter({(lot, slot): n for lot, slots in index.lots.items() for slot, n in slots.items()})
    assert not here - known


def with_trouble(data, more):
    """A store with as many of the troubles as fit it."""
    for key in list(more):
        if examine_scenario({**data, key: more[key]})[0] is not None:
            data = {**data, key: more[key]}
    return data


STEPS = st.lists(
    st.tuples(st.integers(0, 400), NAMES, st.integers(0, 999), st.integers(0, 999), st.integers(0, 999)),
    min_size=1, max_size=25,
)  # fmt: skip


def run_with_commands(data, seed, steps, check=lambda run: None):
    """A run that is told things, and the log of them."""
    run = Simulation(from_dict(data), seed=seed)
    log = []
    for minutes, name, a, b, c in steps:
        run.advance(min(run.end_ms, run.now_ms + minutes * MINUTE_MS + a * minutes))
        check(run)
        args = plausible(run, name, a, b, c)
        before = fingerprint(run)
        outcome = apply(run, name, args)
        log.append(Entry(run.now_ms, len(log) + 1, name, args))
        assert outcome.first_fact + outcome.facts == len(run.trace)
        if not outcome.applied:
            assert outcome.facts == 0
            assert outcome.reason
            assert fingerprint(run) == before
        check(run)
    return run, log


def check_random_commands(data, more, seed, steps):
    data = with_trouble(data, more)
    run, log = run_with_commands(data, seed, steps, check_run)
    while run.now_ms < run.end_ms:
        run.advance(min(run.end_ms, run.now_ms + 5 * HOUR_MS))
        check_run(run)
    state = state_at(run.trace, run.layout)
    assert truth_gaps(state, run.stock) == []
    assert record_gaps(state, run.ledger) == []
    result = run.result()
    result.kpis()
    again = Simulation(from_dict(data), seed=seed)
    for at_ms in range(97 * MINUTE_MS, again.end_ms, 97 * MINUTE_MS):
        replay(again, log, at_ms)
    replay(again, log, again.end_ms)
    assert again.result().digest == result.digest
    assert again.commands == run.commands
    return run


@pytest.mark.timeout(900)
@given(stores(), TROUBLE, st.integers(0, 2**63 - 1), STEPS)
@settings(max_examples=50)
def test_random_commands(data, more, seed, steps):
    """Whatever a store is told, its invariants hold, its facts tell what is there, and its log gives it again."""
    check_random_commands(data, more, seed, steps)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@given(stores(), TROUBLE, st.integers(0, 2**63 - 1), STEPS)
@settings(max_examples=1000)
def test_many_random_commands(data, more, seed, steps):
    """The same for very many stores."""
    check_random_commands(data, more, seed, steps)


@pytest.mark.timeout(900)
@given(stores(), st.integers(0, 2**63 - 1), STEPS)
@settings(max_examples=30)
def test_work_goes_on_afterwards(data, seed, steps):
    """Whatever a store was told: with its robots at work and its slots free nothing waits in vain two days later."""
    data = {**data, "people": {"count": max(1, data["people"]["count"])}, "calendar": ALWAYS}
    run, _ = run_with_commands(data, seed, steps)
    for robot in range(run.scenario.robots.count):
        apply(run, "repair_robot", {"robot": robot})
    for slot in range(run.layout.slots):
        apply(run, "free_slot", {"slot": run.layout.names[slot]})
    apply(run, "set", {"values": {"faults.scale": 0, "demand.orders_per_day": 0}})
    run.advance(run.now_ms + 60 * HOUR_MS)
    check_run(run)
    _stock_is_counted(run)
    if run.scenario.demand.kind != "saturated":
        _nobody_waits_in_vain(run)
