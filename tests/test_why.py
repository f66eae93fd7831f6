"""Why a slot, a box, a robot: what is told is what the run had, and asking changes nothing."""

import json
import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from sim.allocation import LIVE_POLICIES, OWN_RULES, POLICIES, Rule, allocate
from sim.calendar import DAY_MS
from sim.cli import _print_why, main
from sim.commands import Entry, replay
from sim.facts import ISSUE, NONE, PUT_AWAY
from sim.history import state_at
from sim.kpis import KPIS
from sim.results import read_result
from sim.retrieval import RETRIEVAL, BoxesView
from sim.robots import DISPATCH
from sim.scenario import from_dict, load, resolved
from sim.simulation import Simulation
from sim.simulation import run as simulate
from sim.stocklist import write_stock
from sim.tables import RunFacts
from sim.why import (
    BEST,
    CONSTRAINTS,
    FIGURES,
    MEASURES,
    OCCASIONS,
    STATES_OF_BOXES,
    WhyError,
    _end,
    _heard,
    _Replay,
    _Witness,
    explain,
    explain_apart,
    known_of,
    loaded_of,
)
from tests.worlds import named, stretches_of

# The processes in which runs are played again are forked from one that has imported what they need.
multiprocessing.get_context("forkserver").set_forkserver_preload(["sim.why"])

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def played(scenario, seed=1, log=(), until_ms=None):
    """A run to its end, or to an instant."""
    run = Simulation(scenario, seed=seed)
    replay(run, log, run.end_ms if until_ms is None else until_ms)
    return run


def why(run, task, log=(), *, apart=False, **options):
    """What is told of a task of a run, held against its facts; without consequences unless asked."""
    options = {"consequences": False, "trace": run.trace, "until_ms": run.now_ms, **options}
    how = explain_apart if apart else explain
    return how(run.begun_with, run.seed, log, task, **options)


def rows(run, kind, **where):
    """The facts of a kind as dicts, filtered by field values."""
    return [fact for fact in named(run.trace.rows(), kind) if all(fact[k] == v for k, v in where.items())]


def tasks(run, task_class):
    return [fact["task"] for fact in rows(run, "task_created", task_class=task_class)]


def of_kind(told, kind):
    return [each for each in told["decisions"] if each["kind"] == kind]


def at_decision(scenario, seed, log, box, facts, look):
    """What a function of (run, box as rules see it, stream) gives in a run where a slot is about to be named."""
    found = []
    run = Simulation(scenario, seed=seed)
    ledger = run.ledger
    kept = ledger.allocate

    def watched(rule, number, now_ms, stream):
        if number == box and len(run.trace) == facts and not found:
            found.append(look(run, ledger.seen(number, now_ms), stream))
        return kept(rule, number, now_ms, stream)

    ledger.allocate = watched
    replay(run, log, run.end_ms)
    (value,) = found
    return value


TINY = load("tiny").scenario


def tiny(**changes):
    """The tiny store with values by dotted path."""
    values = resolved(TINY)
    for path, value in changes.items():
        section, _, key = path.partition("__")
        if key:
            values[section][key] = value
        else:
            values[section] = value
    return from_dict(values)


STACKS = tiny(
    robots__access="stack_lifo", robots__kind="top_gripper", policy__allocation="fewest-blockings",
    layout__boxes_per_slot=9, demand__full_box_share=1.0,
    skus=[{"name": "A", "share": 0.8, "stay_days": 5.0}, {"name": "B", "share": 0.2}],
)  # fmt: skip
"""The tiny store with free stacks, two in each slot."""


# -- why this slot ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", list(LIVE_POLICIES))
def test_named_slot_is_the_recorded_one(rule):
    """The first of the best slots is the one that the run recorded, by its own rule, for every put-away."""
    run = played(tiny(policy__allocation=rule))
    for task in tasks(run, PUT_AWAY)[::4]:
        (decision,) = of_kind(why(run, task), "slot")
        (fact,) = rows(run, "slot_allocated", task=task)
        best = decision["best"][0]
        assert (best["slot"], best["column"]) == (run.layout.names[fact["slot"]], fact["column"] + 1)
        assert decision["t_s"] == fact["time"] / 1000
        assert decision["rule"]["name"] == rule
        assert (decision["rule"]["measure"] is None) == (rule not in MEASURES)
        (chosen,) = [row for row in decision["others"] if row["is_chosen"]]
        assert rule in chosen["rules"]
        assert (chosen["slot"], chosen["port_s"]) == (best["slot"], best["port_s"])


@pytest.mark.parametrize("rule", list(LIVE_POLICIES))
def test_best_slots_are_named_one_after_another(rule):
    """The best five are what the rule names when all places of those before are taken."""

    def brute(run, box, stream):
        index, best, taken = run.ledger.index, [], []
        while len(best) < BEST and (slot := allocate(POLICIES[rule], box, index, stream)) != NONE:
            best.append(run.layout.names[slot])
            while index.room[slot]:
                index.take(slot)
                taken.append(slot)
        for slot in taken:  # the run goes on
            index.give(slot)
        return best

    scenario = tiny(policy__allocation=rule)
    run = played(scenario)
    task = tasks(run, PUT_AWAY)[5]
    (decision,) = of_kind(why(run, task), "slot")
    box = rows(run, "task_created", task=task)[0]["box"]
    assert at_decision(scenario, 1, (), box, decision["facts"], brute) == [
        row["slot"] for row in decision["best"]
    ]


@pytest.mark.parametrize("access", ["direct", "stack_lifo"])
def test_others_are_what_each_rule_names(access):
    """Every live rule stands beside the slot that it names at that instant, equal choices together."""
    kind = "acr" if access == "direct" else "top_gripper"
    scenario = tiny(robots__access=access, robots__kind=kind, policy__allocation="class-based")

    def each(run, box, stream):
        run.ledger.follow_lots()
        slots = {name: allocate(rule, box, run.ledger.index, stream) for name, rule in LIVE_POLICIES.items()}
        return {name: run.layout.names[slot] for name, slot in slots.items()}

    run = played(scenario)
    for task in tasks(run, PUT_AWAY)[1:12:5]:
        (decision,) = of_kind(why(run, task), "slot")
        box = rows(run, "task_created", task=task)[0]["box"]
        told = {name: row["slot"] for row in decision["others"] for name in row["rules"]}
        assert told == at_decision(scenario, 1, (), box, decision["facts"], each)
        places = [(row["slot"], row["column"]) for row in decision["others"]]
        assert len(set(places)) == len(places)


def shelf(**more):
    """Six slots of one box, two of them for metering devices of class x only; two boxes stand there."""
    return from_dict({
        "time": {"days": 1},
        "layout": {
            "rows": 1, "columns": 6, "levels": 1, "profile": "uniform", "boxes_per_slot": 1, "omit": [],
            "ports": [{"name": "port", "aisle": 1, "x_m": 0.0, "z_m": 0.0}],
            "restricted": [{"columns": [1, 2], "devices": ["x"]}],
        },
        "skus": [{"name": "A", "share": 1.0}, {"name": "X", "share": 0.001, "device": "x"}],
        "initial": {"fill": 0.0},
        "demand": {"orders_per_day": 0},
        "people": {"count": 1},
        **more,
    })  # fmt: skip


def entry(minute, sequence, type_, **args):
    return Entry(minute * MINUTE_MS, sequence, type_, args)


SHELF_LOG = [
    entry(480, 1, "delivery", loads=[{"sku": "A", "boxes": 1}]),
    entry(540, 2, "block_slot", slot="1-04-1"),
    entry(600, 3, "delivery", loads=[{"sku": "A", "boxes": 1}]),
    entry(600, 4, "block_slot", slot="1-05-1"),
]


def test_constraints_are_counted():
    """Each slot is counted once: restricted, full, blocked; what is left is open."""
    run = played(shelf(), log=SHELF_LOG)
    first, second = tasks(run, PUT_AWAY)
    # Slots 1 and 2 are for others. The first box takes slot 3. Then 4 and 5 are blocked, and 6 is left.
    counted = {"class": 2, "full": 1, "blocked": 2, "hold": 0}
    (decision,) = of_kind(why(run, second, SHELF_LOG), "slot")
    assert decision["constraints"] == {
        "slots": 6,
        "removed": [
            {"constraint": name, "slots": counted[name], "sentence": sentence}
            for name, sentence in CONSTRAINTS.items()
        ],
        "left": 1,
    }
    assert [row["slot"] for row in decision["best"]] == ["1-06-1"]
    assert decision["sentence"] == (
        "closest-open named 1-06-1 for box 1 on 2026-03-02 at 10:00:38, when the box was to be put away: of 6 slots"
        " 2 do not take such boxes (layout.restricted); 1 is full, places kept for boxes on their way counted;"
        " 2 are blocked; 1 is left. All of the 18 other rules would have chosen the same."
    )
    (decision,) = of_kind(why(run, first, SHELF_LOG), "slot")
    assert [row["slots"] for row in decision["constraints"]["removed"]] == [2, 0, 0, 0]
    assert [row["slot"] for row in decision["best"]] == ["1-03-1", "1-04-1", "1-05-1", "1-06-1"]


def test_constraints_add_up():
    """What is removed and what is left are all slots, as the index of the run has them."""
    scenario = tiny(initial__fill=0.9)

    def removed(run, box, _stream):
        return run.ledger.index.removed(), sum(
            run.ledger.index.is_open(slot) for slot in range(run.layout.slots)
        )

    run = played(scenario)
    for task in tasks(run, PUT_AWAY)[:6]:
        (decision,) = of_kind(why(run, task), "slot")
        box = rows(run, "task_created", task=task)[0]["box"]
        counts, left = at_decision(scenario, 1, (), box, decision["facts"], removed)
        told = {row["constraint"]: row["slots"] for row in decision["constraints"]["removed"]}
        assert told == {"blocked": 0, "hold": 0, **counts}
        assert sum(told.values()) + left == decision["constraints"]["slots"] == run.layout.slots
        assert decision["constraints"]["left"] == left


def test_scores_are_those_of_the_slots():
    """Ways, boxes, places kept and the own lot of a slot are told as they were."""
    run = played(shelf(), log=SHELF_LOG)
    travel, layout = run.travel, run.layout
    (decision,) = of_kind(why(run, tasks(run, PUT_AWAY)[0], SHELF_LOG), "slot")
    best = decision["best"][0]
    slot = layout.place("1-03-1")
    assert best == {
        "slot": "1-03-1", "column": 1, "port_s": travel.one_way_ms(layout.inbound)[slot] / 1000,
        "out_s": travel.one_way_ms(layout.outbound)[slot] / 1000, "boxes": 0, "kept": 0, "capacity": 1,
        "own_lot": False, "measure": None,
    }  # fmt: skip
    assert decision["box"] == {
        "box": "0", "sku": "A", "lot": "0", "verified": decision["box"]["verified"], "meters": 15,
        "weight_kg": run.ledger.weight_g(0, 15) / 1000, "place": "truck",
    }  # fmt: skip


def test_reference_store_is_explained():
    """In the store of 258 slots with two robots the same holds as in the tiny one."""
    run = played(load("luoyang_two_robots", ["time.days=2"]).scenario)
    for task in (tasks(run, PUT_AWAY)[30], tasks(run, ISSUE)[-2]):
        told = why(run, task)
        created = rows(run, "task_created", task=task)[0]
        for decision in told["decisions"]:
            if decision["kind"] == "slot":
                (fact,) = rows(run, "slot_allocated", task=task)
                assert decision["best"][0]["slot"] == run.layout.names[fact["slot"]]
                assert decision["constraints"]["slots"] == 258
            if decision["kind"] == "box":
                assert decision["box"]["box"] == decision["best"][0]["box"] == str(created["box"])


def test_slot_named_at_pickup():
    """Where a slot is named when a robot comes, that is before it takes the task, or in that instant."""
    run = played(tiny(policy__decide_at="pickup"))
    told = [why(run, task) for task in tasks(run, PUT_AWAY)[:6]]
    for each in told:
        slot, robot = each["decisions"]
        assert (slot["kind"], robot["kind"], slot["occasion"]) == ("slot", "robot", "pickup")
        (fact,) = rows(run, "slot_allocated", task=each["task"]["task"])
        assert (slot["t_s"], slot["facts"]) == (fact["time"] / 1000, slot["facts"])
        assert slot["t_s"] <= robot["t_s"] == each["task"]["assigned_s"]
    assert any(each["decisions"][0]["t_s"] == each["decisions"][1]["t_s"] for each in told)


def test_slot_named_again():
    """A place that is found taken makes a second decision, with the slot that was named then."""
    scenario = tiny(records__scale=1.0, records__wrong_slot=0.5, time__days=8)
    run = next(
        run
        for run in (played(scenario, seed) for seed in range(30))
        if any(len(rows(run, "slot_allocated", task=task)) > 1 for task in tasks(run, PUT_AWAY))
    )
    task = next(task for task in tasks(run, PUT_AWAY) if len(rows(run, "slot_allocated", task=task)) > 1)
    slots = of_kind(why(run, task), "slot")
    recorded = [run.layout.names[fact["slot"]] for fact in rows(run, "slot_allocated", task=task)]
    assert [each["best"][0]["slot"] for each in slots] == recorded
    assert [each["occasion"] for each in slots] == ["put_away", *["taken"] * (len(slots) - 1)]


def test_slot_named_when_room_is_free_again():
    """A box that found the store full is told to have waited for a place."""
    log = [
        entry(480, 1, "delivery", loads=[{"sku": "A", "boxes": 5}]),
        entry(590, 2, "hold_box", box=4),
        entry(600, 3, "order", lines=[{"sku": "A", "meters": 15}]),
    ]
    run = played(shelf(), log=log)
    last = tasks(run, PUT_AWAY)[-1]
    (decision,) = of_kind(why(run, last, log), "slot")
    assert decision["occasion"] == "room"
    assert (decision["constraints"]["left"], OCCASIONS["room"] in decision["sentence"]) == (1, True)


def test_stacks_are_told():
    """In free stacks a choice is a slot and a stack; a rule may differ in the stack alone."""
    run = played(STACKS)
    seen = set()
    for task in tasks(run, PUT_AWAY):
        (decision,) = of_kind(why(run, task), "slot")
        (fact,) = rows(run, "slot_allocated", task=task)
        assert decision["best"][0]["column"] == fact["column"] + 1
        chosen, *others = decision["others"]
        seen |= {row["column"] for row in others if row["slot"] == chosen["slot"]}
    assert seen


# -- why this box -----------------------------------------------------------------------------------------


def at_reservation(scenario, facts, look):
    """What a function of the run gives where a box is about to be chosen."""
    found = []
    run = Simulation(scenario, seed=1)
    house = run.warehouse
    kept = house._retrieval

    def watched(sku, view):
        if len(run.trace) == facts and not found:
            found.append(look(run, sku, view))
        return kept(sku, view)

    house._retrieval = watched
    run.finish()
    return found[0]


@pytest.mark.parametrize("access", ["direct", "stack_lifo"])
@pytest.mark.parametrize("rule", list(RETRIEVAL))
def test_box_is_the_reserved_one(rule, access):
    """The box, the best five and what other rules would have taken are as the rules say at that instant."""
    kind = "acr" if access == "direct" else "top_gripper"
    scenario = tiny(
        policy__retrieval=rule, robots__access=access, robots__kind=kind, demand__full_box_share=1.0
    )
    run = played(scenario)

    def each(copy, sku, view):
        ready, best = copy.ledger.ready, []
        chosen = {name: other(sku, view) for name, other in RETRIEVAL.items()}
        while len(best) < BEST and (box := RETRIEVAL[rule](sku, view)) != NONE:
            best.append(box)
            ready.remove(box)
        for box in best:
            copy.ledger.add_ready(box)
        return chosen, best

    for task in tasks(run, ISSUE)[::5]:
        told = why(run, task)
        (decision,) = of_kind(told, "box")
        created = rows(run, "task_created", task=task)[0]
        chosen, best = at_reservation(scenario, decision["facts"], each)
        assert decision["box"]["box"] == str(created["box"]) == str(best[0])
        assert [row["box"] for row in decision["best"]] == [str(box) for box in best]
        assert {name: row["box"] for row in decision["others"] for name in row["rules"]} == {
            name: str(box) for name, box in chosen.items()
        }
        assert decision["order"]["order"] == created["order"]
        (reserved,) = rows(run, "box_reserved", box=created["box"], order=created["order"])
        assert decision["order"]["reserved"] == reserved["meters"]


def test_candidates_are_counted():
    """Boxes of the SKU are counted once each: promised, on hold, on a truck, and those that could be had."""
    log = [
        entry(480, 1, "delivery", loads=[{"sku": "A", "boxes": 4}]),
        entry(560, 2, "hold_box", box=0),
        entry(600, 3, "delivery", loads=[{"sku": "A", "boxes": 2}]),
        Entry(600 * MINUTE_MS + 20_000, 4, "order", {"lines": [{"sku": "A", "meters": 30}]}),
    ]
    run = played(shelf(), log=log)
    told = [of_kind(why(run, task, log), "box")[0]["constraints"] for task in tasks(run, ISSUE)]
    # Four boxes stand in slots 3 to 6, one of them on hold, and two come when the order is there.
    counts = [{row["constraint"]: row["boxes"] for row in each["removed"] if row["boxes"]} for each in told]
    assert [each["boxes"] for each in told] == [6, 6]
    assert [each["left"] for each in told] == [3, 2]
    assert counts == [{"held": 1, "not_received": 2}, {"held": 1, "not_received": 2, "reserved": 1}]
    assert set(STATES_OF_BOXES) == {row["constraint"] for row in told[0]["removed"]}


def test_open_box_comes_first():
    """Loose meters come from the box that is open; no rule is asked, and nothing else is played."""
    log = [
        entry(480, 1, "delivery", loads=[{"sku": "A", "boxes": 3}]),
        entry(600, 2, "order", lines=[{"sku": "A", "meters": 4}]),
        entry(660, 3, "set", values={"staging.loose_rack_boxes": 0}),
        entry(661, 4, "order", lines=[{"sku": "A", "meters": 2}]),
        entry(720, 5, "order", lines=[{"sku": "A", "meters": 3}]),
    ]
    run = played(shelf(), log=log)
    issues = tasks(run, ISSUE)
    told = [of_kind(why(run, task, log), "box")[0] for task in issues]
    assert [each["is_open"] for each in told] == [False, True]
    last = told[-1]
    assert (last["rule"]["name"], last["others"]) == ("open first", [])
    assert (last["constraints"]["left"], [row["box"] for row in last["best"]]) == (1, ["0"])
    assert {row["constraint"]: row["boxes"] for row in last["constraints"]["removed"] if row["boxes"]} == {
        "whole": 2
    }
    played_on = why(run, issues[-1], log, apart=True, consequences=True)
    (box,) = of_kind(played_on, "box")
    assert box["consequences"]["branches"] == []


def test_occasions_of_boxes():
    """A box is chosen when the order is released, or when the stock comes that it waits for."""
    log = [
        entry(480, 1, "order", lines=[{"sku": "A", "meters": 15}]),
        entry(490, 2, "delivery", loads=[{"sku": "A", "boxes": 3}]),
        entry(600, 3, "order", lines=[{"sku": "A", "meters": 15}]),
    ]
    run = played(shelf(), log=log)
    (decision,) = of_kind(why(run, tasks(run, ISSUE)[-1], log), "box")
    assert decision["occasion"] == "release"
    # The first order is served from the truck's boxes, which need no robot.
    assert rows(run, "box_reserved")[0]["time"] > 490 * MINUTE_MS


# -- why this robot ---------------------------------------------------------------------------------------


def test_robot_takes_what_its_rule_says():
    """What waited, what the robots did and what each dispatch rule would have begun with are told."""
    run = played(tiny())
    task = next(
        task for task in tasks(run, PUT_AWAY)
        if len({f["task"] for f in rows(run, "task_assigned", tour=rows(run, "task_assigned", task=task)[0]["tour"])}
               & set(tasks(run, ISSUE)))
    )  # fmt: skip
    told = why(run, task)
    (decision,) = of_kind(told, "robot")
    (fact,) = rows(run, "task_assigned", task=task)
    assert decision["t_s"] == told["task"]["assigned_s"] == fact["time"] / 1000
    assert decision["rule"]["name"] == "priority"
    assert {name for row in decision["others"] for name in row["rules"]} == set(DISPATCH)
    (chosen,) = [row for row in decision["others"] if row["is_chosen"]]
    assert chosen["class"] == decision["first"] == "issue"
    assert [row["class"] for row in decision["waiting"]] == ["issue", "put_away"]
    assert told["task"]["tours"] == [decision["tour"]["tour"]] == [fact["tour"]]
    along = {f["task"] for f in rows(run, "task_assigned", tour=fact["tour"])}
    assert {row["task"] for row in decision["tour"]["tasks"]} == along
    assert decision["sentence"] == (
        "robot-1 was waiting to fill a tour at charger-1 and took it into tour 3 on 2026-03-03 at 09:41:36: 1 issue"
        " (new) and 1 put-away (27.7 s) waited; priority put issue first, and the put-away went along."
    )


def test_every_robot_is_told():
    """Where there are several robots, each is told with what it did, the one that took the task marked."""
    run = played(tiny(robots__count=3, demand__orders_per_day=40))
    for task in tasks(run, ISSUE)[::7]:
        (fact, *_) = rows(run, "task_assigned", task=task)
        decision = of_kind(why(run, task), "robot")[0]
        assert [row["is_chosen"] for row in decision["robots"]] == [k == fact["robot"] for k in range(3)]
        at = stretches_of([row for row in run.trace.rows() if row[0] <= fact["time"]], fact["time"])
        for row, stretches in zip(decision["robots"], (at[k] for k in range(3)), strict=True):
            assert row["since_s"] * 1000 in {stretch.start for stretch in stretches}
            assert row["since_s"] <= decision["t_s"]


# -- asking changes nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"policy__allocation": "random"},
        {"policy__allocation": "levelling", "policy__decide_at": "pickup"},
        {"policy__allocation": "learned-stay", "robots__count": 2},
        {"policy__allocation": "fewest-blockings", "robots__access": "stack_lifo", "robots__kind": "top_gripper"},
    ],
)  # fmt: skip
def test_run_that_was_asked_goes_on_the_same(changes):
    """A run with a witness who asks at every decision of a task ends with the digest of the run."""
    scenario = tiny(**changes)
    run = played(scenario)
    digest = run.trace.digest()
    asked = 0
    for task in range(0, max(tasks(run, PUT_AWAY)), 3):
        witness = _Witness(known_of(run.trace, task), branches=False)
        again = _Replay(scenario, 1, witness)
        replay(again, (), again.end_ms)
        assert again.trace.digest() == digest
        again.check()
        asked += len(witness.decisions)
    assert asked > 10


def test_decisions_at_time_0_are_told():
    """What a saturated store decides while it is opened can be asked for, too."""
    scenario = tiny(demand__kind="saturated", time__days=1)
    run = played(scenario)
    task = next(task for task in tasks(run, ISSUE) if rows(run, "task_created", task=task)[0]["time"] == 0)
    (decision,) = of_kind(why(run, task), "box")
    assert decision["t_s"] == 0
    assert decision["box"]["box"] == str(rows(run, "task_created", task=task)[0]["box"])


def test_replay_without_facts_says_so():
    """Without the facts of the run the answer is the same, and says that nothing was held against them."""
    run = played(tiny())
    held, free = why(run, 3), why(run, 3, trace=None, until_ms=None)
    assert (held["verified"]["is_checked"], free["verified"]["is_checked"]) == (True, False)
    assert "not at hand" in free["verified"]["sentence"]
    assert held["verified"]["digest"] == free["verified"]["digest"]
    assert held["decisions"] == free["decisions"]
    assert held["task"] == free["task"]


def test_other_facts_are_refused():
    """Facts that are not those of the run are noticed."""
    run, other = played(tiny()), played(tiny(robots__speed_m_per_s=1.4))
    with pytest.raises(WhyError) as refused:
        explain(run.begun_with, 1, (), 20, consequences=False, trace=other.trace)
    assert refused.value.lines == [
        "task 20: expected the facts of the run when it is played again, found others"
    ]
    other.trace.model_version = "1"
    with pytest.raises(WhyError, match=r"task 20: expected a run of model_version \d+, found one of 1"):
        explain(run.begun_with, 1, (), 20, consequences=False, trace=other.trace)


# -- what another choice would have changed ---------------------------------------------------------------


def by_hand(run, since_ms, until_ms):
    """The figures of a run between two instants, worked out apart from `sim.why`."""
    facts = RunFacts(run.trace, run.scenario, run.layout, run.calendar, since_ms, until_ms)
    travel = 0
    for stretches in stretches_of(run.trace.rows(), until_ms).values():
        ends = [*(stretch.start for stretch in stretches[1:]), until_ms]
        for stretch, end in zip(stretches, ends, strict=True):
            if stretch.arrive != NONE and stretch.activity not in (
                8,
                11,
            ):  # neither charging nor out of order
                travel += max(0, min(stretch.arrive, end, until_ms) - max(stretch.start, since_ms))
    values = {
        name: KPIS[name].function(facts)["value"]
        for name in ("order_cycle_time_s", "put_away_time_s", "orders", "box_moves", "digs")
    }
    late = sum(f["late"] > 0 for f in rows(run, "order_handed_over") if since_ms <= f["time"] <= until_ms)
    return {"robot_travel_s": travel / 1000, "late_orders": late, **values}


@pytest.fixture
def forced():
    """Have a rule of the test's own name one slot for one box at an instant, and else what another rule names."""

    def force(box, now_ms, slot, rule):
        def choose(seen, view, stream):
            return slot if (seen.box, seen.now_ms) == (box, now_ms) else rule(seen, view, stream)

        OWN_RULES["test.py:forced"] = Rule(choose)

    yield force
    OWN_RULES.pop("test.py:forced", None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"robots__count": 2, "policy__allocation": "class-based", "demand__orders_per_day": 30},
        {"policy__allocation": "levelling", "policy__decide_at": "pickup"},
    ],
)
def test_consequences_are_those_of_another_run(forced, changes):
    """Each other slot changes what a run has changed whose rule names that slot for that box."""
    scenario = tiny(**changes)
    run = played(scenario)
    task = tasks(run, PUT_AWAY)[4]
    told = why(run, task, apart=True, consequences=True)
    (decision,) = of_kind(told, "slot")
    follows = decision["consequences"]
    box = rows(run, "task_created", task=task)[0]["box"]
    since, until = round(decision["t_s"] * 1000), round(follows["until_s"] * 1000)
    assert until == run.end_ms
    assert follows["run"] == pytest.approx(by_hand(run, since, until))
    differing = [row["slot"] for row in decision["others"] if not row["is_chosen"]]
    assert [branch["slot"] for branch in follows["branches"]] == differing
    assert differing
    rule = scenario.policy.allocation
    for branch in follows["branches"]:
        forced(box, since, run.layout.place(branch["slot"]), POLICIES[rule])
        values = resolved(scenario)
        values["policy"]["allocation"] = "test.py:forced"
        other = played(from_dict(values))
        assert rows(other, "slot_allocated", box=box)[0]["slot"] == run.layout.place(branch["slot"])
        figures = by_hand(other, since, until)
        assert branch["figures"] == pytest.approx(figures)
        for name, difference in branch["differences"].items():
            assert difference == pytest.approx(figures[name] - follows["run"][name], abs=1e-9)
    # The run itself went on behind the forks as it had before.
    assert told["verified"]["facts"] == len(run.trace)
    assert told["verified"]["digest"] == run.trace.digest()


def test_consequences_of_another_box():
    """For a box that another rule would have taken, the run goes on with that box."""
    run = played(tiny())
    task = tasks(run, ISSUE)[1]
    (decision,) = of_kind(why(run, task, apart=True, consequences=True), "box")
    follows = decision["consequences"]
    since, until = round(decision["t_s"] * 1000), round(follows["until_s"] * 1000)
    assert {branch["box"] for branch in follows["branches"]} == {
        row["box"] for row in decision["others"] if not row["is_chosen"]
    }
    wanted = rows(run, "task_created", task=task)[0]
    for branch in follows["branches"]:
        other = Simulation(run.begun_with, seed=1)
        house, kept = other.warehouse, other.warehouse._retrieval
        facts = decision["facts"]

        def forced(sku, view, other=other, facts=facts, kept=kept, box=int(branch["box"])):
            return box if len(other.trace) == facts else kept(sku, view)

        house._retrieval = forced
        other.finish()
        assert rows(other, "box_reserved", order=wanted["order"])[0]["box"] == int(branch["box"])
        assert branch["figures"] == pytest.approx(by_hand(other, since, until))


def test_later_commands_act_in_other_runs():
    """Other choices meet the commands that come later, and a command that ends otherwise is told."""
    log = [
        *SHELF_LOG[:1],
        entry(600, 5, "block_slot", slot="1-03-1"),
        entry(601, 6, "transfer", box=0, slot="1-06-1"),
    ]  # fmt: skip
    run = played(shelf(policy={"allocation": "closest-open"}), log=log)
    assert [given.applied for given in run.commands] == [True, True, True]
    told = why(run, tasks(run, PUT_AWAY)[0], log, apart=True, consequences=True)
    (decision,) = of_kind(told, "slot")
    branches = {branch["slot"]: branch for branch in decision["consequences"]["branches"]}
    # `farthest-open` would have put the box into the very slot to which it is transferred: that is refused then.
    assert branches["1-06-1"]["commands"] == [6]
    assert "1 command ends otherwise" in branches["1-06-1"]["sentence"]


@pytest.mark.parametrize(("hour", "days", "until_h"), [(9, 3, 24), (19.9, 3, 24), (20.1, 3, 48), (22, 1, 24)])
def test_choices_are_played_to_midnight(hour, days, until_h):
    """Choices are played to the end of the day, of the next one with less than 4 h left, and of the run."""
    always = {"shifts": [["00:00", "24:00"]], "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    log = [entry(round(60 * hour), 1, "delivery", loads=[{"sku": "A", "boxes": 1}])]
    run = played(shelf(time={"days": days}, calendar=always), log=log)
    told = why(run, tasks(run, PUT_AWAY)[0], log, apart=True, consequences=True)
    (decision,) = of_kind(told, "slot")
    assert decision["consequences"]["until_s"] == until_h * 3600
    by = {
        (24, 3): "by midnight",
        (48, 3): "by the midnight of the next day",
        (24, 1): "by the end of the run",
    }
    assert all(by[until_h, days] in b["sentence"] for b in decision["consequences"]["branches"])
    assert decision["consequences"]["branches"]


def test_run_under_way_is_played_on():
    """Of a run that stands at an instant, choices are played on behind it, as if nothing more were told it."""
    run = played(tiny(), until_ms=DAY_MS + 11 * HOUR_MS)
    told = why(run, tasks(run, PUT_AWAY)[0], apart=True, consequences=True)
    (decision,) = of_kind(told, "slot")
    assert decision["consequences"]["is_beyond_run"]
    assert decision["consequences"]["until_s"] == 2 * 86_400
    assert told["verified"]["is_checked"]


def test_change_is_a_sentence():
    """Travel first, then what else changes; nothing, where nothing does."""
    from sim.why import _change_sentence

    def said(commands=(), **differences):
        told = {"differences": {**dict.fromkeys(FIGURES, 0), **differences}, "commands": list(commands)}
        return _change_sentence("2-07-3 instead of 1-04-2", "by midnight", told)

    names = "2-07-3 instead of 1-04-2 would have"
    assert (
        said(robot_travel_s=3.1) == f"{names} cost 3.1 s of robot travel by midnight; nothing else changes."
    )
    assert said(robot_travel_s=-130.0, digs=1, late_orders=-2) == (
        f"{names} saved 2.2 min of robot travel by midnight; 2 orders fewer late and 1 dig more."
    )
    assert said(put_away_time_s=0.004, order_cycle_time_s=None) == (
        f"{names} cost no travel by midnight, but put-aways take 4 ms longer on average."
    )
    assert said() == f"{names} changed nothing by midnight."
    assert said(commands=[3, 4]) == f"{names} cost no travel by midnight, but 2 commands end otherwise."


def test_process_without_an_answer_is_told(monkeypatch):
    """A forked process that tells nothing, or nothing in time, is told in words, and is gone afterwards."""
    ours, theirs = os.pipe()
    os.close(theirs)
    assert _heard(ours) == {"error": "its process ended without an answer"}
    os.close(ours)
    ours, theirs = os.pipe()
    monkeypatch.setattr("sim.why.BRANCH_S", 0)
    assert _heard(ours) == {"error": "it took longer than 0 s"}
    os.close(theirs)
    child = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    _end(child, ours)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_threads_are_not_forked():
    """In a process with threads `explain` does not play other choices; `explain_apart` does."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="use explain_apart"):
            explain(TINY, 1, (), 3)
        heard = []
        told = explain_apart(TINY, 1, (), 3, progress=heard.append)
    finally:
        stop.set()
        thread.join()
    assert of_kind(told, "slot")[0]["consequences"]["branches"]
    assert 0 < min(heard) <= max(heard) <= 1


def test_silent_process_is_given_up(monkeypatch):
    """A process of which nothing is heard in time is ended, and one line says so."""
    monkeypatch.setattr("sim.why.SILENCE_S", 0)
    with pytest.raises(WhyError) as refused:
        explain_apart(TINY, 1, (), 3)
    assert refused.value.lines == ["task 3: expected an answer within 0 s, found none"]
    assert multiprocessing.active_children() == []


# -- commands, and what there is nothing to tell of -------------------------------------------------------


def test_commands_are_respected():
    """A rule that a command set is the rule that is told, and slots that a command blocked are counted."""
    log = [
        entry(24 * 60 + 30, 1, "block_slot", slot="1-01-1"),
        entry(24 * 60 + 31, 2, "change_policy", allocation="farthest-open", retrieval="lifo"),
    ]
    run = played(tiny(), log=log)
    task, other = tasks(run, PUT_AWAY)[0], tasks(run, ISSUE)[-1]
    (slot,) = of_kind(why(run, task, log), "slot")
    (box,) = of_kind(why(run, other, log), "box")
    assert (slot["rule"]["name"], box["rule"]["name"]) == ("farthest-open", "lifo")
    assert {row["constraint"]: row["slots"] for row in slot["constraints"]["removed"]}["blocked"] == 1
    assert slot["best"][0]["port_s"] == max(row["port_s"] for row in slot["best"])
    with pytest.raises(WhyError, match="expected the facts of the run"):
        why(run, task)


def test_unknown_task_is_refused():
    """A number that no task has is told with the numbers that there are, up to the instant that is asked."""
    run = played(tiny())
    for options, last in (({}, 25), ({"trace": None}, 25), ({"until_ms": DAY_MS}, 1)):
        with pytest.raises(WhyError) as refused:
            why(run, 99, **options)
        assert refused.value.lines == [f"task: expected a number from 0 to {last}, found 99"]
    with pytest.raises(WhyError) as refused:
        why(run, 20, until_ms=DAY_MS, apart=True)
    assert refused.value.lines == ["task: expected a number from 0 to 1, found 20"]
    empty = played(shelf())
    with pytest.raises(WhyError) as refused:
        why(empty, 0, trace=None, apart=True)
    assert refused.value.lines == ["task: expected a run with tasks, found 0"]


def test_task_without_a_decision_is_refused():
    """A count that no robot has taken has nothing to explain; once one has, that is told."""
    log = [entry(600, 1, "count", slots=["1-03-1"], method="camera"), entry(600, 2, "stop_robot", robot=0)]
    run = played(shelf(), log=log, until_ms=601 * MINUTE_MS)
    (task,) = [fact["task"] for fact in rows(run, "task_created")]
    with pytest.raises(WhyError) as refused:
        why(run, task, log)
    assert refused.value.lines == [
        f"task {task}: nothing to explain: no rule named a slot or a box for this count, no robot took it"
    ]
    log = log[:1]
    run = played(shelf(), log=log)
    told = why(run, task, log)
    assert [each["kind"] for each in told["decisions"]] == ["robot"]
    assert told["task"]["sentence"].startswith(f"Task {task} calls at 1-03-1 to count it: created")


def test_given_slot_is_no_decision():
    """A slot that a command gave was named by no rule: the task says so."""
    log = [*SHELF_LOG[:1], entry(600, 6, "transfer", box=0, slot="1-06-1")]
    run = played(shelf(), log=log)
    out, back = tasks(run, ISSUE)[-1], tasks(run, PUT_AWAY)[-1]
    told = why(run, back, log)
    assert [each["kind"] for each in told["decisions"]] == ["robot"]
    assert "a command gave it a slot, and no rule was asked" in told["task"]["sentence"]
    assert [each["kind"] for each in why(run, out, log)["decisions"]] == ["robot"]


def test_task_under_way_is_told():
    """Of a run that stands in the middle of a task, what was decided up to then is told."""
    whole = played(tiny())
    (fact,) = rows(whole, "task_assigned", task=3)
    run = played(tiny(), until_ms=fact["time"] - 1)
    told = why(run, 3)
    assert (told["task"]["status"], told["task"]["robot"]) == ("waiting", None)
    assert [each["kind"] for each in told["decisions"]] == ["slot"]
    run = played(tiny(), until_ms=fact["time"] + 1)
    told = why(run, 3)
    assert (told["task"]["status"], told["task"]["robot"]) == ("assigned", "robot-1")
    assert [each["kind"] for each in told["decisions"]] == ["slot", "robot"]


def test_work_by_hand_has_no_robot():
    """Where people carry, the slot is told, and the person who carried."""
    run = played(tiny(operation="manual", robots__count=0, people__count=2))
    told = why(run, tasks(run, PUT_AWAY)[0])
    assert [each["kind"] for each in told["decisions"]] == ["slot"]
    assert told["task"]["robot"].startswith("person-")


def test_answer_is_json():
    """The whole answer passes through JSON unchanged."""
    run = played(tiny())
    for task in (0, 3):
        told = why(run, task, apart=True, consequences=True)
        assert json.loads(json.dumps(told, allow_nan=False)) == told


# -- the command ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("why") / "tiny"
    assert main(["run", "tiny", "--out", str(path), "--json"]) == 0
    return path


@pytest.fixture
def call(capsys):
    """A command's exit code, what it prints, and its lines of errors."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, errors = capsys.readouterr()
        return code, out, errors.splitlines()

    return call


def test_command_prints_object(call, folder):
    """--json prints what `explain` gives."""
    code, out, errors = call("why", folder, 3, "--no-consequences", "--json")
    assert (code, errors) == (0, [])
    run = played(TINY)
    assert json.loads(out) == why(run, 3)


def test_command_prints_for_people(call, folder):
    """People get a sentence for each decision, then its tables, then what else would have followed."""
    code, out, errors = call("why", folder, 3)
    assert (code, errors) == (0, [])
    flat = " ".join(out.split())
    document = json.loads(call("why", folder, 3, "--json")[1])
    for decision in document["decisions"]:
        assert decision["sentence"] in flat
    assert document["task"]["sentence"] in flat
    assert document["verified"]["sentence"] in flat
    heads = ["what took them", "best slots", "slot named", "instead", "robot     at", "first by rule"]
    assert [out.index(head) for head in heads] == sorted(out.index(head) for head in heads)
    assert "\n2-01-1          +4.0 s" in out
    assert "instead " not in call("why", folder, 3, "--no-consequences")[1]
    code, out, errors = call("why", folder, 25)
    assert (code, errors) == (0, [])
    assert "best boxes" in out


def test_stacks_are_printed(capsys):
    """In free stacks people see stacks where rules differ in them, and boxes that stand on others."""
    run = played(STACKS)
    for task in [*tasks(run, PUT_AWAY), *tasks(run, ISSUE)]:
        _print_why(why(run, task))
    out = capsys.readouterr().out
    assert "boxes on it" in out
    assert "slot named   stack" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["99"], "task: expected a number from 0 to 25, found 99"),
        (["3", "--policy", "closest-open"], "--policy: expected FILE.py:FUNCTION, found 'closest-open'"),
    ],
)
def test_wrong_question_is_one_line(call, folder, words, line):
    """A task that there is not ends in one line with those that there are."""
    assert call("why", folder, *words) == (2, "", [line])


def test_missing_input_is_a_line(call, folder, tmp_path, monkeypatch):
    """A run that began with a stock list needs that file, here or beside its folder, and unchanged."""
    monkeypatch.chdir(tmp_path)
    assert call("export", folder, "--stock", "stock.csv")[0] == 0
    (tmp_path / "mine.toml").write_text('extends = "tiny"\ninitial.stock = "stock.csv"\n')
    assert call("run", "mine.toml", "--out", "out")[0] == 0
    assert call("why", "out", 0, "--no-consequences")[0] == 0
    text = Path("stock.csv").read_text()
    Path("stock.csv").rename("elsewhere.csv")
    missing = (
        "out: initial.stock: expected 'stock.csv', with which the run began, found none here or beside it"
    )
    assert call("why", "out", 0) == (2, "", [missing])
    Path("stock.csv").write_text(text + "\n")
    code, out, errors = call("why", "out", 0)
    assert (code, out, len(errors)) == (2, "", 1)
    assert errors[0].startswith("out: initial.stock: expected a file with SHA-256 ")
    Path("stock.csv").unlink()
    Path("out", "stock.csv").write_text(text)
    assert call("why", Path("out").resolve(), 0, "--no-consequences")[0] == 0


def test_own_rule_is_replayed_when_loaded(call, tmp_path, monkeypatch):
    """A run by a rule of a file is explained when the file is given; without it one line says so."""
    monkeypatch.chdir(tmp_path)
    rule = 'def back(box, view, stream):\n    """The last open slot."""\n    return view.last_open("port_time")\n'
    Path("mine.py").write_text(rule)
    try:
        assert call("run", "tiny", "--policy", "mine.py:back", "--out", "out")[0] == 0
        OWN_RULES.clear()
        line = (
            "out: policy.allocation: expected the file of 'mine.py:back', found only its name:"
            " give it with --policy FILE.py:FUNCTION"
        )
        assert call("why", "out", 3) == (2, "", [line])
        code, out, errors = call("why", "out", 3, "--policy", "mine.py:back", "--json")
        assert (code, errors) == (0, [])
        (decision,) = of_kind(json.loads(out), "slot")
        assert decision["rule"]["sentence"] == "The last open slot."
        (chosen,) = [row for row in decision["others"] if row["is_chosen"]]
        assert set(chosen["rules"]) >= {"farthest-open", "mine.py:back"}
        Path("mine.py").write_text(rule + "\n")
        code, out, errors = call("why", "out", 3, "--policy", "mine.py:back")
        assert (code, out, len(errors)) == (2, "", 1)
        assert errors[0].startswith("out: policy.allocation: expected a file with SHA-256 ")
    finally:
        OWN_RULES.clear()


def test_result_gives_its_scenario_back(folder):
    """A result folder without input files gives the scenario to be played again."""
    result = read_result(folder)
    assert loaded_of(folder, result.scenario).scenario is result.scenario


def test_files_of_the_run_go_before_others(tmp_path, monkeypatch):
    """A file of the same name that lies where the command is given is not taken for the one of the run."""
    beside, here = tmp_path / "beside", tmp_path / "here"
    for place in (beside, here):
        place.mkdir()
    begun = simulate(load("tiny", ["time.days=1"]))
    stock = beside / "stock.csv"
    skus, start = [sku.name for sku in begun.scenario.skus], begun.scenario.time.start
    write_stock(stock, state_at(begun.trace, begun.layout, begun.end_ms), begun.layout, skus, start)
    text = 'extends = "tiny"\n[time]\ndays = 1\n[initial]\nstock = "stock.csv"\n'
    (beside / "mine.toml").write_text(text, encoding="utf-8")
    out = beside / "out"
    assert main(["run", str(beside / "mine.toml"), "--out", str(out), "--json"]) == 0
    result = read_result(out)
    lines = stock.read_text(encoding="utf-8").splitlines(keepends=True)
    (here / "stock.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    monkeypatch.chdir(here)
    assert loaded_of(out, result.scenario).files() == {"initial.stock": stock}
    # Elsewhere the run's own file is still found where the command is given.
    moved = stock.rename(here / "stock.csv")
    assert loaded_of(out, result.scenario).files() == {"initial.stock": moved}
    moved.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(
        WhyError, match=r"initial\.stock: expected a file with SHA-256 .*, found one that was changed"
    ):
        loaded_of(out, result.scenario)


def test_measures_are_what_rules_go_by():
    """Where a rule goes by one number a slot, its first slot has the best of them."""
    for rule, measure in MEASURES.items():
        run = played(tiny(policy__allocation=rule))
        (decision,) = of_kind(why(run, tasks(run, PUT_AWAY)[5]), "slot")
        assert decision["rule"]["measure"] == {"name": measure.name, "unit": measure.unit}
        values = np.array([row["measure"] for row in decision["best"]])
        more_is_better = rule in ("levelling", "aisle-balanced", "dedicated")
        assert values[0] == (values.max() if more_is_better else values.min()), rule


def test_boxes_view_is_left_alone():
    """Asking which boxes a rule would take one after another leaves those that may be had as they were."""
    run = played(tiny(), until_ms=DAY_MS)
    view = BoxesView(run.ledger, run.ledger.ready, 3)
    before = [list(view.boxes(sku)) for sku in range(2)]
    witness = _Witness(known_of(run.trace, 0), branches=False)
    again = _Replay(run.begun_with, 1, witness)
    replay(again, (), DAY_MS)
    view = BoxesView(again.ledger, again.ledger.ready, 3)
    assert [list(view.boxes(sku)) for sku in range(2)] == before
    assert list(again.ledger.ready) == list(run.ledger.ready)
