"""Keys that change nothing are named: each rule, the shipped scenarios, and that what is named really does nothing."""

import pytest

from sim.scenario import load, scenario_files
from sim.simulation import Simulation
from sim.unused import RULES, without_effect


@pytest.mark.parametrize(
    ("sets", "lines"),
    [
        (["records.wrong_slot=0.005"], ["records.wrong_slot: no effect with records.scale = 0"]),
        (["records.wrong_slot=0.005", "records.scale=1"], []),
        (["records.scale=0"], []),
        (["faults.mtbf_h=20"], ["faults.mtbf_h: no effect with faults.scale = 0"]),
        (["fallback.after_min=30"], ["fallback.after_min: no effect with faults.scale = 0"]),
        (["fallback.after_min=30", "faults.scale=1"], []),
        (
            ["counting.slots_per_day=40"],
            ["counting.slots_per_day: no effect with a counting.plan that counts nothing"],
        ),
        (
            ["counting.slots_per_day=40", "counting.plan=night"],
            ["counting.slots_per_day: no effect with this counting.plan"],
        ),
        (["counting.slots_per_day=40", "counting.plan=cyclic"], []),
        (
            ["counting.certify.accuracy=0.9", "counting.plan=full"],
            ["counting.certify.accuracy: no effect with this counting.plan"],
        ),
        (["reads.dead=0.1"], ["reads.dead: no effect with records.scale = 0 and a plan without counts"]),
        (["reads.dead=0.1", "counting.plan=full"], []),
        (
            ["returns.unused_days_min=1", "returns.hold_days=9"],
            [
                "returns.unused_days_min: no effect with returns.unused_share = 0",
                "returns.hold_days: no effect with returns.share_here = 0",
            ],
        ),
        (["returns.unused_share=0.1", "returns.unused_days_min=1"], []),
        (
            ["returns.arrive_at='17:10'"],
            ["returns.arrive_at: no effect with no returns and no empties.track"],
        ),
        (["returns.arrive_at='17:10'", "returns.unused_share=0.1"], []),
        (["returns.arrive_at='17:10'", "empties.track=true"], []),
        (["reverify.days_min=1"], ["reverify.days_min: no effect with reverify.on = false"]),
        (["empties.nested=2"], ["empties.nested: no effect with empties.track = false"]),
        (["control.recall_first=true"], ["control.recall_first: no effect with no control.recalls"]),
        (["time.days=3", "robots.count=2"], []),
    ],
)
def test_idle_keys_are_named(sets, lines):
    """A key that is set and has no effect is named with what stands in its way; others are not."""
    assert sorted(without_effect(load("luoyang", sets))) == sorted(lines)


@pytest.mark.parametrize("name", scenario_files())
def test_shipped_scenarios_have_none(name):
    """No scenario of the repository sets a key in vain."""
    assert without_effect(load(name)) == []


def test_parents_are_not_judged(tmp_path):
    """Keys of a file that is extended may wait for a child that switches them on; a child's own may not."""
    (tmp_path / "parent.toml").write_text('extends = "tiny"\n[records]\nwrong_slot = 0.1\n')
    (tmp_path / "child.toml").write_text('extends = "parent.toml"\n[faults]\nmtbf_h = 9\n')
    assert without_effect(load(tmp_path / "child.toml")) == ["faults.mtbf_h: no effect with faults.scale = 0"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.table}: {rule.reason}")
def test_rules_name_keys_that_exist(rule):
    """Every key of a rule is a key of the scenario."""
    table = getattr(load("tiny").scenario, rule.table)
    for key in rule.keys:
        assert key == "*" or key.removeprefix("-") in type(table).model_fields


@pytest.mark.parametrize(
    "key",
    [
        "records.wrong_slot=1.0", "records.by_hand_s=999.0", "reads.meter_miss=0.5", "faults.mtbf_h=0.5",
        "fallback.after_min=0.0", "counting.approval_h=0.0", "counting.method=rfid", "reverify.days_min=1",
        "empties.nested=1", "returns.sort_s=1.0",
    ],
)  # fmt: skip
def test_named_keys_do_nothing(key):
    """What is said to have no effect has none: the facts are the same."""
    loaded = load("tiny", [key])
    assert len(without_effect(loaded)) == 1
    assert Simulation(loaded).finish().digest == Simulation(load("tiny")).finish().digest


def test_run_says_so(capfd):
    """`meterhouse run` tells on standard error, and standard output stays what it is."""
    from sim.cli import main

    assert main(["run", "tiny", "--set", "faults.mtbf_h=20", "--json"]) == 0
    assert capfd.readouterr().err == "note: faults.mtbf_h: no effect with faults.scale = 0\n"
