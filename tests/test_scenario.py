"""Scenarios: the files that ship, what the loader puts together, the ways in which a file can be wrong."""

import json
import math
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sim.allocation import ALIASES, LIVE_POLICIES, OWN_RULES, POLICIES, Rule, first_free
from sim.cli import main
from sim.counting import METHODS, PLANS
from sim.params import Params
from sim.scenario import (
    Loaded,
    Scenario,
    ScenarioError,
    box_weight_g,
    build_layout,
    counts_by_hand,
    examine,
    from_dict,
    leaves,
    load,
    may_carry_by_hand,
    mistakes,
    resolved,
    scenario_files,
    scenario_id,
    schema_text,
    tree_of,
)
from sim.toml_lines import key_lines
from sim.words import dotted, one_of

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted(scenario_files())


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path | str, *sets: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path, sets)
    return [line.replace(f"{Path(path).parent}{os.sep}", "") for line in caught.value.lines]


# --- what ships ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenario_loads_with_question(name):
    """Every scenario that ships is right, is called as its file, and asks its own question."""
    scenario = load(name).scenario
    assert scenario.name == name
    assert scenario.question.endswith("?") or "?" in scenario.question


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_file_names_schema(name):
    """The first line of a file tells editors its schema, and the file stands."""
    first = (ROOT / "scenarios" / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "#:schema ./scenario.schema.json"


def test_schema_is_current():
    """The schema beside the scenarios is the one of the models.

    When it is not: meterhouse check --schema > scenarios/scenario.schema.json
    """
    assert (ROOT / "scenarios" / "scenario.schema.json").read_text(encoding="utf-8") == schema_text()


def test_defaults_are_luoyang():
    """What luoyang.toml writes out are the defaults, and the two port openings that they imply."""
    luoyang = load("luoyang").scenario
    written = luoyang.model_copy(
        update={"name": "", "question": "", "layout": luoyang.layout.model_copy(update={"omit": None})}
    )
    assert written == Scenario()


@pytest.mark.parametrize(
    ("name", "meters"),
    [
        ("luoyang", 37_125),
        ("luoyang_mixed_10_9", 37_125),
        ("luoyang_service_33", 37_125),
        ("luoyang_zoned_165", 37_125),
        ("luoyang_uniform_144", 37_152),
    ],
)
def test_profiles_give_their_totals(name, meters):
    """Each profile has 258 slots; all but uniform_144 hold the 37,125 meters that were reported."""
    layout = build_layout(load(name).scenario)
    assert (layout.slots, layout.meters) == (258, meters)


def test_every_value_has_words():
    """Every value of a scenario has a description or a title, and every number in it an origin."""
    from sim.scenario import field_facts

    for path, value in leaves(Scenario()):
        facts = field_facts(path)
        assert facts, dotted(path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert facts.get("description"), dotted(path)
            assert facts.get("origin"), dotted(path)


# --- loading ---------------------------------------------------------------------------------------------


def test_empty_file_is_default(tmp_path):
    """An empty file is a scenario of defaults, called after its file."""
    loaded = load(write(tmp_path, "mine.toml", ""))
    assert loaded.scenario == Scenario(name="mine")
    assert set(loaded.origins.values()) == {"default"}


def test_file_may_have_windows_form(tmp_path):
    """A byte order mark and CRLF change nothing, and lines are counted all the same."""
    assert load(write(tmp_path, "a.toml", b"\xef\xbb\xbf[time]\r\ndays = 3\r\n")).scenario.time.days == 3
    path = write(tmp_path, "b.toml", b"\xef\xbb\xbf[time]\r\n\r\ndays = 0\r\n")
    assert refusal(path) == ["b.toml:3: time.days: expected a whole number from 1 to 36,500, found 0"]


def test_extends_merges_tables_replaces_lists(tmp_path):
    """Tables of parent and child become one, a list of the child stands alone; each has its own name."""
    write(
        tmp_path,
        "base.toml",
        'question = "Base?"\n[time]\ndays = 9\nwarmup_days = 2\n'
        '[layout]\nprofile = "uniform"\n[[skus]]\nname = "A"\n[[skus]]\nname = "B"\n',
    )
    child = write(tmp_path, "child.toml", 'extends = "base.toml"\n[time]\ndays = 5\n[[skus]]\nname = "C"\n')
    loaded = load(child)
    scenario = loaded.scenario
    assert (scenario.time.days, scenario.time.warmup_days) == (5, 2)
    assert [sku.name for sku in scenario.skus] == ["C"]
    assert (scenario.name, scenario.question) == ("child", "")
    origins = {path: Path(origin).name for path, origin in loaded.origins.items()}
    assert (origins["time.days"], origins["time.warmup_days"]) == ("child.toml", "base.toml")
    assert (origins["skus"], origins["time.start"]) == ("child.toml", "default")


def test_extends_takes_shipped_name(tmp_path):
    """A name without ending is one of the scenarios that ship."""
    loaded = load(write(tmp_path, "mine.toml", 'extends = "rack_a"\n'))
    assert loaded.scenario.layout == load("rack_a").scenario.layout


def test_set_wins_over_files(tmp_path):
    """--set takes TOML values, bare words, and elements of lists, defaults among them."""
    path = write(tmp_path, "a.toml", "[time]\ndays = 9\n")
    loaded = load(
        path,
        [
            "time.days=3",
            "policy.allocation=first-free",
            "supply.rule=s,Q",
            "skus[1].share=0.5",
            "demand.windows.0.share = 0.25",
            "demand.campaign={ from_day = 1 }",
            "robots.acceleration_m_per_s2=inf",
            "calendar.holidays=[2026-03-04]",
            "name=peak of 2026",
        ],
    )
    scenario = loaded.scenario
    assert scenario.time.days == 3
    assert (scenario.policy.allocation, scenario.supply.rule) == ("first-free", "s,Q")
    assert [sku.share for sku in scenario.skus] == [0.7, 0.5, 0.08, 0.05, 0.02]
    assert [window.share for window in scenario.demand.windows] == [0.25, 0.3]
    assert scenario.demand.campaign is not None
    assert scenario.robots.acceleration_m_per_s2 == math.inf
    assert scenario.calendar.holidays == [date(2026, 3, 4)]
    assert scenario.name == "peak of 2026"
    assert loaded.origins["time.days"] == "--set"


def test_files_are_found_beside_their_file(tmp_path):
    """A file name is relative to the file that sets it; once loaded, to the scenario's folder."""
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", "stock.csv", "")
    write(tmp_path / "data", "base.toml", '[initial]\nstock = "stock.csv"\n')
    loaded = load(write(tmp_path, "child.toml", 'extends = "data/base.toml"\n'))
    assert loaded.scenario.initial.stock == "data/stock.csv"
    assert {key: path.resolve() for key, path in loaded.files().items()} == {
        "initial.stock": (tmp_path / "data" / "stock.csv").resolve()
    }


def test_scenarios_are_found_from_anywhere(tmp_path, monkeypatch):
    """A name needs no folder: it is looked up in the repository from wherever one stands."""
    monkeypatch.chdir(tmp_path)
    assert load("luoyang").base_dir == ROOT / "scenarios"


def test_installed_package_has_its_own(tmp_path, monkeypatch):
    """Without a repository around it the package's own folder is read."""
    from sim import scenario

    monkeypatch.setattr(scenario, "__file__", str(tmp_path / "site-packages" / "sim" / "scenario.py"))
    folder = tmp_path / "site-packages" / "sim" / "_scenarios"
    folder.mkdir(parents=True)
    write(folder, "one.toml", "")
    (tmp_path / "site-packages" / "scenarios").mkdir()  # some other package's
    assert list(scenario_files()) == ["one"]


@pytest.mark.parametrize("name", SHIPPED)
def test_resolved_scenario_reads_back(name):
    """The resolved scenario is plain JSON and gives the same scenario again."""
    scenario = load(name).scenario
    text = json.dumps(resolved(scenario), allow_nan=False)
    assert from_dict(json.loads(text)) == scenario


def test_id_names_the_content(tmp_path):
    """Files of the same values have one id, whatever they are called; another value, another id."""
    a = load(write(tmp_path, "a.toml", 'question = "What?"\n[time]\ndays = 28\n')).scenario
    b = load(write(tmp_path, "b.toml", "")).scenario
    c = load(write(tmp_path, "c.toml", "seed = 2")).scenario
    assert scenario_id(a) == scenario_id(b) == scenario_id(Scenario()) != scenario_id(c)
    assert re.fullmatch("[0-9a-f]{64}", scenario_id(a))


# --- slots that do not take every box, and the rules' own values ------------------------------------------

_DEVICES = """
boxes.tare_kg = 1.5
[layout]
restricted = [
  { rows = [4], devices = ["three-phase", "terminal"] },
  { levels = [5], most_box_kg = 20 },
]
[[skus]]
name = "A"
stay_days = 30
[[skus]]
name = "T"
device = "three-phase"
meter_kg = 1.4
[[skus]]
name = "C"
device = "terminal"
meter_kg = 0.9
[policy]
zones = 20
overflow = "nearest"
turnover = "online"
"""


def test_new_values_are_read(tmp_path):
    """Restricted slots, devices, masses, stays and the values of zones stand in the scenario as written."""
    scenario = load(write(tmp_path, "s.toml", _DEVICES)).scenario
    assert [entry.model_dump(exclude_none=True) for entry in scenario.layout.restricted] == [
        {"rows": [4], "devices": ["three-phase", "terminal"]},
        {"levels": [5], "most_box_kg": 20},
    ]
    assert [(sku.device, sku.meter_kg, sku.stay_days) for sku in scenario.skus] == [
        ("single-phase", 0.55, 30),
        ("three-phase", 1.4, None),
        ("terminal", 0.9, None),
    ]
    policy = scenario.policy
    assert (policy.zones, policy.overflow, policy.turnover) == (20, "nearest", "online")
    assert from_dict(json.loads(json.dumps(resolved(scenario)))) == scenario


def test_box_weighs_tare_and_meters(tmp_path):
    """A box weighs its tare and its meters, in whole grams."""
    scenario = load(write(tmp_path, "s.toml", _DEVICES)).scenario
    # 1,500 g and 15 x 550 g; 1,500 g and 15 x 1,400 g; an open box with four meters of 900 g; an empty one.
    weights = [
        box_weight_g(scenario, 0.55), box_weight_g(scenario, 1.4), box_weight_g(scenario, 0.9, 4),
        box_weight_g(scenario, 0.9, 0),
    ]  # fmt: skip
    assert weights == [9_750, 22_500, 5_100, 1_500]


def test_nothing_is_restricted_by_default(tmp_path):
    """Without the new keys every slot takes every box, and borders are found and not given."""
    scenario = load(write(tmp_path, "s.toml", "")).scenario
    layout = build_layout(scenario)
    assert all(layout.admits(sku.device, 10**9) is None for sku in scenario.skus)
    policy = scenario.policy
    assert (policy.zones, policy.zone_borders, policy.overflow) == (3, [], "outward")
    assert policy.turnover == "given"


@pytest.mark.parametrize("zones", [2, 3, 20])
def test_borders_of_all_zones(zones, tmp_path):
    """From 2 to 20 zones may have their borders, one less than zones, between 0 and 1."""
    borders = [(k + 1) / zones for k in range(zones - 1)]
    text = f"[policy]\nzones = {zones}\nzone_borders = {borders}\n"
    assert load(write(tmp_path, "s.toml", text)).scenario.policy.zone_borders == borders


def test_zones_and_borders_may_come_from_two_places(tmp_path):
    """Borders of the file and zones of the command line must fit together; the line that set them is told."""
    path = write(tmp_path, "s.toml", "[policy]\nzone_borders = [0.4, 0.8]\n")
    assert refusal(path, "policy.zones=4") == [
        "s.toml:2: policy.zone_borders: expected 3 borders of 4 zones, or none, found 2"
    ]
    sets = ["policy.zones=4", "policy.zone_borders=[0.4, 0.8, 0.9]"]
    assert load(path, sets).scenario.policy.zone_borders == [0.4, 0.8, 0.9]


def test_child_replaces_restrictions(tmp_path):
    """A list of restricted slots replaces the parent's, and an empty one takes them away."""
    write(tmp_path, "base.toml", _DEVICES)
    child = write(tmp_path, "child.toml", 'extends = "base.toml"\nlayout.restricted = []\n')
    assert load(child).scenario.layout.restricted == []


def test_restriction_rests_on_the_skus_that_are_there(tmp_path):
    """SKUs of a child are held against the restrictions of its parent."""
    write(tmp_path, "base.toml", _DEVICES)
    child = write(
        tmp_path, "child.toml", 'extends = "base.toml"\n[[skus]]\nname = "X"\nmeter_kg = 2\ndevice = "gas"\n'
    )
    assert refusal(child) == [
        "base.toml:5: layout.restricted[0].devices[0]: expected the device class of a SKU, found 'three-phase'",
        "base.toml:5: layout.restricted[0].devices[1]: expected the device class of a SKU, found 'terminal'",
    ]


def test_devices_may_be_none(tmp_path):
    """Slots that take no device at all stand, as long as every SKU has others."""
    path = write(tmp_path, "s.toml", "[[layout.restricted]]\nrows = [4]\ndevices = []\n")
    scenario = load(path).scenario
    admits = build_layout(scenario).admits("single-phase", 1)
    assert admits is not None
    assert (sum(admits), len(admits)) == (258 - 65, 258)
    (line,) = refusal(path, "layout.restricted=[{devices=[]}]", "skus=[{name='A'}]")
    expected = "--set: skus[0]: expected a SKU whose boxes some slot takes"
    assert line == f"{expected}, found none for 'single-phase' and boxes of 10.25 kg"


def test_devices_and_weights_change_the_id(tmp_path):
    """Each new value is part of what a scenario is."""
    base = load(write(tmp_path, "s.toml", _DEVICES))
    ids = {scenario_id(base.scenario)}
    sets = (
        "boxes.tare_kg=1.6", "skus[1].meter_kg=1.41", "skus[0].stay_days=31", "skus[0].device=terminal",
        "layout.restricted[1].most_box_kg=21", "policy.zones=19", "policy.overflow=inward",
        "policy.turnover=computed",
    )  # fmt: skip
    for value in sets:
        ids.add(scenario_id(load(base.path, [value]).scenario))
    assert len(ids) == len(sets) + 1


@pytest.mark.parametrize("name", [*LIVE_POLICIES, *ALIASES])
def test_every_live_rule_may_be_named(name, tmp_path):
    """Every rule that a store can follow, and every alias of one, is a value of policy.allocation."""
    path = write(tmp_path, "s.toml", f'[policy]\nallocation = "{name}"\n')
    assert load(path).scenario.policy.allocation == name


def test_loaded_own_rule_may_be_named(tmp_path, monkeypatch):
    """A rule that the command line has loaded is a name; a file that names another one stays wrong."""
    monkeypatch.setitem(OWN_RULES, "mine.py:near", Rule(first_free))
    path = write(tmp_path, "s.toml", "")
    assert load(path, ["policy.allocation='mine.py:near'"]).scenario.policy.allocation == "mine.py:near"
    (line,) = refusal(path, "policy.allocation='mine.py:far'")
    assert line.startswith("--set: policy.allocation: expected ")
    assert "found 'mine.py:far'" in line


# --- errors, counts, faults, work by hand ----------------------------------------------------------------


def test_nothing_goes_wrong_by_default():
    """Without the new keys there are no errors, no counts, no faults, no other flows, and nobody carries."""
    scenario = Scenario()
    assert (scenario.records.scale, scenario.faults.scale, scenario.counting.plan) == (0, 0, "passive")
    assert (scenario.returns.unused_share, scenario.returns.share_here) == (0, 0)
    assert (scenario.reverify.on, scenario.empties.track, scenario.control.recalls) == (False, False, [])
    assert not may_carry_by_hand(scenario)
    assert not counts_by_hand(scenario)


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_may_be_named(plan, tmp_path):
    """Every counting plan that `list` names can stand in a file, with any method that may look again."""
    for name in (name for name, method in METHODS.items() if method.places):
        path = write(
            tmp_path, "s.toml", f'[counting]\nplan = "{plan}"\nmethod = "rfid"\nrecount = "{name}"\n'
        )
        counting = load(path).scenario.counting
        assert (counting.plan, counting.method, counting.recount) == (plan, "rfid", name)


def test_times_that_never_end_are_taken(tmp_path):
    """A robot may never break down, and people may never step in: both times can be infinite."""
    text = "[faults]\nscale = 1\nmtbf_h = inf\n[fallback]\nafter_min = inf\n"
    scenario = load(write(tmp_path, "s.toml", text)).scenario
    assert math.isinf(scenario.faults.mtbf_h)
    assert not may_carry_by_hand(scenario)
    # With the default of an hour they step in; with nobody who may, they do not; by hand they always carry.
    assert may_carry_by_hand(load("luoyang", ["faults.scale=1"]).scenario)
    assert not may_carry_by_hand(load("luoyang", ["faults.scale=1", "fallback.people=0"]).scenario)
    assert may_carry_by_hand(load("luoyang_manual").scenario)


def test_hands_count_where_a_plan_has_them():
    """People count slots when a plan that counts looks, or looks again, by a method of theirs."""
    # `passive` counts nothing, so its method is idle; `certify` looks again by bar code.
    assert not counts_by_hand(load("luoyang", ["counting.method=bar-code"]).scenario)
    assert counts_by_hand(load("luoyang", ["counting.plan=full", "counting.method=bar-code"]).scenario)
    again = ["counting.plan=certify", "counting.recount=handheld"]
    assert counts_by_hand(load("luoyang", again).scenario)
    assert not counts_by_hand(load("luoyang", ["counting.plan=certify"]).scenario)


# --- what is wrong ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A broken scenario: its text, or a function that makes its files, and the lines that it must give."""

    make: str | bytes | Callable[[Path], Path]
    lines: tuple[str, ...]


def _cases() -> dict[str, Broken]:
    """The cases that stand in broken/cases.txt."""
    cases = {}
    text = (Path(__file__).parent / "broken" / "cases.txt").read_text(encoding="utf-8")
    for block in text.split("\n## ")[1:]:
        title, rest = block.split("\n", 1)
        made, lines = rest.split("\n=>\n")
        cases[title] = Broken(made + "\n", tuple(lines.strip().split("\n")))
    return cases


def _cycle(folder: Path) -> Path:
    write(folder, "b.toml", 'extends = "s.toml"\n')
    return write(folder, "s.toml", '# a cycle\nextends = "b.toml"\n')


def _deep(folder: Path) -> Path:
    for n in range(10):
        write(folder, f"p{n}.toml", f'extends = "p{n + 1}.toml"\n')
    return write(folder, "s.toml", 'extends = "p0.toml"\n')


def _parent_is_wrong(folder: Path) -> Path:
    write(folder, "base.toml", "[robots]\nspeed_m_per_s = -1\n")
    return write(folder, "s.toml", 'extends = "base.toml"\n[robots]\ncarry = "two"\n')


def _parent_is_no_toml(folder: Path) -> Path:
    write(folder, "base.toml", "[robots]\n\ncount: 1\n")
    return write(folder, "s.toml", 'extends = "base.toml"\n[robots]\ncarry = 0\n')


def _table_over_value(folder: Path) -> Path:
    write(folder, "base.toml", "time = 3\n")
    return write(folder, "s.toml", 'extends = "base.toml"\n[robots]\ncarry = 0\n')


def _folder(folder: Path) -> Path:
    (folder / "s.toml").mkdir()
    return folder / "s.toml"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "s.toml")
    return folder / "s.toml"


def _absent(folder: Path) -> Path:
    write(folder, "store.toml", "")
    return folder / "stores.toml"


_CHINESE = '# 计量中心\nname = "洛阳"\n'
_CARRY = "robots.carry: expected a whole number from 1 to 16, found"
_GB18030 = "s.toml:1: expected UTF-8 text, found bytes of another encoding (GB18030?)"
_TOO_DEEP = "s.toml: expected at most 16 levels of nesting, found more"
_NO_LINE = "s.toml:2: expected TOML, found a line that is neither a table header nor key = value"
_RULES = f"s.toml:2: policy.allocation: expected {one_of([*LIVE_POLICIES, *ALIASES])}"
_CYCLE = "extends: expected a chain that ends, found the cycle"

BROKEN: dict[str, Broken] = {
    **_cases(),
    "unknown rule": Broken(
        '[policy]\nallocation = "closest_open"\n',
        (f"{_RULES}, found 'closest_open', did you mean 'closest-open'?",),
    ),
    "number of 5,000 digits": Broken(
        f"seed = {'9' * 5000}\n", ("s.toml:1: expected TOML, found a number of far too many digits",)
    ),
    "escape codes in a key": Broken(
        '[robots]\n"a\\u001b[31m" = 2\n',
        (r's.toml:2: robots."a\\x1b[31m": expected a key of robots, found ' + r"'a\x1b[31m'",),
    ),
    "nested too deep": Broken(f"x = {'[' * 40}{']' * 40}\n", (_TOO_DEEP,)),
    "nested without end": Broken(f"x = {'[' * 100_000}\n", (_TOO_DEEP,)),
    "key of too many parts": Broken(
        f"a{'.a' * 300_000} = 1\n", ("s.toml:1: expected a key of at most 16 parts, found more",)
    ),
    "UTF-16": Broken(_CHINESE.encode("utf-16"), ("s.toml: expected UTF-8 text, found UTF-16",)),
    "GB18030": Broken(_CHINESE.encode("gb18030"), (_GB18030,)),
    "bytes at random": Broken(
        b"# \xff\xff\nname = 'a'\n", ("s.toml:1: expected UTF-8 text, found the byte 0xff",)
    ),
    "NUL": Broken(b"name = 'a'\n\x00\n", (_NO_LINE,)),
    "NUL in text": Broken(
        '[[skus]]\nname = "a\\u0000"\n',
        (r"s.toml:2: skus[0].name: expected text of 1 to 64 characters, found 'a\x00'",),
    ),
    "NUL in a file name": Broken(
        '[initial]\nstock = "a\\u0000b"\n',
        (r"s.toml:2: initial.stock: expected a file beside the scenario, found no 'a\x00b'",),
    ),
    "over a megabyte": Broken(
        b"# " + b"x" * 1_000_000, ("s.toml: expected at most 1,000,000 bytes, found more",)
    ),
    "folder": Broken(_folder, ("s.toml: expected a scenario file, found a folder",)),
    "pipe": Broken(_pipe, ("s.toml: expected a scenario file, found a device or pipe",)),
    "no such file": Broken(
        _absent, ("stores.toml: expected a scenario file, found none, did you mean 'store.toml'?",)
    ),
    "cycle": Broken(_cycle, (f"b.toml:1: {_CYCLE} s.toml -> b.toml -> s.toml",)),
    "itself as parent": Broken('extends = "s.toml"\n', (f"s.toml:1: {_CYCLE} s.toml -> s.toml",)),
    "too many parents": Broken(_deep, ("p7.toml:1: extends: expected at most 8 parents, found more",)),
    "parent and child wrong": Broken(
        _parent_is_wrong,
        (
            "base.toml:2: robots.speed_m_per_s: expected a number above 0 and at most 20, found -1",
            f"s.toml:3: {_CARRY} 'two'",
        ),
    ),
    "parent that is no TOML": Broken(
        _parent_is_no_toml,
        ("base.toml:3: expected TOML, found a key without '=' after it", f"s.toml:3: {_CARRY} 0"),
    ),
    "parent with a value for a table": Broken(
        _table_over_value, ("base.toml:1: time: expected a table, found 3", f"s.toml:3: {_CARRY} 0")
    ),
}


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("title", BROKEN)
def test_broken_scenario_is_refused_in_words(title, tmp_path, monkeypatch, capsys):
    """A broken file ends with exit code 2 and exactly its lines; nothing is run and nothing is written."""
    broken = BROKEN[title]
    make = broken.make
    path = make(tmp_path) if callable(make) else write(tmp_path, "s.toml", make)
    monkeypatch.chdir(tmp_path)
    before = snapshot(tmp_path)
    for command in (
        ["check", path.name],
        ["run", path.name, "--out", "results"],
        ["show", path.name, "--json"],
    ):
        assert main(command) == 2
        printed = capsys.readouterr()
        assert printed.err.splitlines() == list(broken.lines)
        assert printed.out == ""
    assert snapshot(tmp_path) == before


def test_port_must_serve_something(tmp_path):
    """A store whose ports let nothing in or nothing out is refused."""
    path = write(tmp_path, "s.toml", '[layout]\nports = [{ name = "a", serves = "out" }]\n')
    (line,) = refusal(path)
    assert line.startswith("s.toml:2: layout.ports: expected ")


def test_set_mistakes_are_named(tmp_path):
    """Mistakes of --set are told like those of files, all at once, those of the file with them."""
    path = write(tmp_path, "s.toml", "seed = -1\n")
    assert refusal(
        path, "time.dys=3", "policy.zones=29", "nonsense", "skus[7].share=1", "layout.omit=[1,"
    ) == [
        "--set: expected a.b=value, found 'nonsense'",
        "--set: skus[7].share: expected an index below 5 in skus, found 7",
        "--set: layout.omit: expected a value in TOML or a bare word, found '[1,'",
        "s.toml:1: seed: expected a whole number from 0 to 9,223,372,036,854,775,807, found -1",
        "--set: time.dys: expected a key of time, found 'dys', did you mean 'days'?",
        "--set: policy.zones: expected a whole number from 2 to 20, found 29",
    ]


def test_set_cannot_smuggle_lines():
    """A value with a line break is one value or a mistake, never a second key."""
    assert refusal("luoyang", "time.days=3\nseed = 4") == [
        "--set: time.days: expected a value in TOML or a bare word, found '3\\nseed = 4'"
    ]


def test_unknown_name_lists_names():
    """A name that no scenario has is refused with all names and the nearest."""
    (line,) = refusal("luoyan")
    expected = f"expected a scenario file or one of {', '.join(SHIPPED)}, found neither"
    assert line == f"luoyan: {expected}, did you mean 'luoyang'?"


def test_many_mistakes_are_counted(tmp_path):
    """Beyond a thousand mistakes the rest is counted, so that a large file cannot flood the terminal."""
    text = "\n".join(f"wrong{n} = 1" for n in range(2500))
    lines = refusal(write(tmp_path, "s.toml", text))
    assert len(lines) == 1001
    assert lines[-1] == "s.toml: expected no mistakes, found 1,500 more"


def test_http_body_is_judged_alike():
    """Plain data is judged as a file is, with paths instead of lines."""
    with pytest.raises(ScenarioError) as caught:
        from_dict({"robots": {"count": True}, "time": {"days": 3, "warmup_days": 5}, "extends": "luoyang"})
    assert caught.value.lines == [
        "robots.count: expected a whole number from 0 to 50, found true",
        "extends: expected a key or table of a scenario, found 'extends'",
        "time.warmup_days: expected fewer days than time.days = 3, found 5",
    ]


# --- properties ------------------------------------------------------------------------------------------

_key = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
_words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12).map(
    lambda t: t.replace("\r", "")
)


class _Writer:
    """Writes a random TOML document whose n-th number is 7000000 + n, so that its line can be seen."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.numbers = iter(range(7_000_000, 8_000_000))

    def value(self, depth: int) -> object:
        kinds = ["number", "number", "text", "lines", "list", "inline"] if depth else ["number"]
        kind = self.draw(st.sampled_from(kinds))
        if kind == "text":
            return tomlkit.string(self.draw(_words))
        if kind == "lines":
            return tomlkit.string("\n" + self.draw(_words) + "\n# [x]\ny = 1", multiline=True)
        if kind == "list":
            items = tomlkit.array().multiline(self.draw(st.booleans()))
            for _ in range(self.draw(st.integers(0, 3))):
                items.append(self.value(depth - 1))
            return items
        if kind == "inline":
            table = tomlkit.inline_table()
            for key in self.draw(st.lists(_key, max_size=2, unique=True)):
                table.append(key, self.value(depth - 1))
            return table
        return next(self.numbers)

    def fill(self, table: Any, depth: int) -> Any:
        for key in self.draw(st.lists(_key, max_size=4, unique=True)):
            kinds = ["value", "value", "comment", "table", "tables"] if depth else ["value"]
            kind = self.draw(st.sampled_from(kinds))
            if kind == "comment":
                words = self.draw(_words).encode("unicode_escape").decode()
                table.add(tomlkit.comment(words))
                table.add(tomlkit.nl())
            elif kind == "table":
                table.add(tomlkit.key(key), self.fill(tomlkit.table(), depth - 1))
            elif kind == "tables":
                many = tomlkit.aot()
                for _ in range(self.draw(st.integers(1, 3))):
                    many.append(self.fill(tomlkit.table(), depth - 1))
                table.add(tomlkit.key(key), many)
            else:
                table.add(tomlkit.key(key), self.value(2))
        return table


@st.composite
def documents(draw: st.DrawFn) -> str:
    """The text of a random TOML document."""
    return tomlkit.dumps(_Writer(draw).fill(tomlkit.document(), 2))


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], object]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *[found for key, item in inner for found in paths(item, (*path, key))]]


@given(documents())
def test_line_of_every_key(text):
    """Every key path of a document has a line, and every number stands on the line of its path."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # tomlkit writes a few keys and comments that are no TOML
        return
    lines = key_lines(text)
    rows = text.split("\n")
    for path, value in paths(data):
        assert path in lines, path
        if isinstance(value, int):
            assert str(value) in rows[lines[path] - 1], (path, lines[path])
    assert set(lines) == {path for path, _ in paths(data)}


_any_key = st.text(max_size=3) | st.sampled_from(
    [*Scenario.model_fields, "count", "kind", "name", "share", "days", "rows", "ports", "serves", "aisle"]
)
_any_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_any_key, inner, max_size=4),
    max_leaves=12,
)


@given(_any_data)
def test_no_data_crashes_the_check(data):
    """Whatever plain data comes, there is a scenario or there are mistakes, never an exception."""
    scenario, faults = examine(data if isinstance(data, dict) else {"time": data})
    assert (scenario is None) == bool(faults)
    for fault in faults:
        assert fault.message.startswith("expected ")
        assert "\n" not in dotted(fault.path) + fault.message


_SMALL: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "robots": {
        "count": st.integers(-1, 4),
        "carry": st.integers(0, 5),
        "kind": st.sampled_from(["acr", "top_gripper"]),
        "access": st.sampled_from(["direct", "stack_lifo"]),
        "axes": st.sampled_from(["sequential", "simultaneous"]),
    },
    "layout": {
        "rows": st.integers(0, 5),
        "columns": st.integers(0, 6),
        "levels": st.integers(0, 4),
        "profile": st.sampled_from(["uniform", "two_stack"]),
        "single_sided": st.booleans(),
        "boxes_per_slot": st.integers(0, 12),
        "tiers": st.integers(0, 6),
        "level_pitch_m": st.floats(0.1, 3),
        "clearance_m": st.floats(0, 1),
    },
    "policy": {
        "allocation": st.sampled_from([*POLICIES, *ALIASES]),
        "zones": st.integers(1, 21),
        "turnover": st.sampled_from(["given", "computed", "online"]),
    },
    "time": {"days": st.integers(0, 5), "warmup_days": st.integers(0, 5)},
    "initial": {"fill": st.floats(0, 1)},
    "demand": {"kind": st.sampled_from(["poisson", "stations", "schedule", "trace", "saturated"])},
}
_small_data = st.fixed_dictionaries(
    {}, optional={key: st.fixed_dictionaries({}, optional=values) for key, values in _SMALL.items()}
)


@given(_small_data)
def test_random_scenario_is_right_or_refused(data):
    """Random values are refused in words, or they make a layout and read back."""
    scenario, faults = examine(data)
    if scenario is None:
        assert faults
    else:
        assert build_layout(scenario).boxes > 0
        assert scenario.policy.allocation not in set(POLICIES) - set(LIVE_POLICIES)
        assert from_dict(json.loads(json.dumps(resolved(scenario)))) == scenario


_restrictions = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "rows": st.lists(st.integers(1, 2), max_size=2),
            "columns": st.lists(st.integers(1, 3), max_size=3),
            "levels": st.lists(st.integers(1, 2), max_size=2),
            "devices": st.lists(st.sampled_from(["single-phase", "three-phase"]), max_size=2),
            "most_box_kg": st.sampled_from([9, 10.25, 23, 50]),
        },
    ).filter(lambda entry: {"devices", "most_box_kg"} & set(entry)),
    max_size=4,
)


def takes(entries: list[dict[str, Any]], place: tuple[int, int, int], device: str, box_kg: float) -> bool:
    """Whether a slot at (row, column, level) takes a box, entry by entry."""
    for entry in entries:
        named = all(
            number in entry.get(axis, [number])
            for axis, number in zip(("rows", "columns", "levels"), place, strict=True)
        )
        if named and (
            device not in entry.get("devices", [device]) or box_kg > entry.get("most_box_kg", box_kg)
        ):
            return False
    return True


@given(_restrictions, st.lists(st.sampled_from([0, 1, 5]), min_size=2, max_size=2))
def test_a_slot_for_every_sku(entries, levels):
    """Any restrictions are right as long as each SKU has a slot with room, and say which SKU has none."""
    scenario, faults = examine({
        "layout": {
            "rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 5,
            "capacity": [{"levels": [k + 1], "boxes": boxes} for k, boxes in enumerate(levels)],
            "restricted": entries,
        },
        "skus": [{"name": "A"}, {"name": "T", "device": "three-phase", "meter_kg": 1.4}],
    })  # fmt: skip
    grid = [(r, c, v) for r in (1, 2) for c in (1, 2, 3) for v in (1, 2)]
    # 2 kg and 15 x 0.55 kg; 2 kg and 15 x 1.4 kg.
    boxes = [("single-phase", 10.25), ("three-phase", 23)]
    homeless = [
        ("skus", k)
        for k, (device, kg) in enumerate(boxes)
        if not any(levels[place[2] - 1] and takes(entries, place, device, kg) for place in grid)
    ]
    if not any(levels):
        assert [fault.path for fault in faults] == [("layout", "boxes_per_slot")]
    else:
        assert [fault.path for fault in faults] == homeless
    if scenario is not None:
        layout = build_layout(scenario)
        for device, kg in boxes:
            wanted = bytes(takes(entries, place, device, kg) for place in grid)
            found = layout.admits(device, round(1000 * kg))
            assert (found or bytes([1] * 12)) == wanted


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_file_crashes_the_loader(tmp_path_factory, content):
    """Whatever a file holds, it is a scenario or it is refused."""
    folder = tmp_path_factory.mktemp("any")
    try:
        loaded = load(write(folder, "s.toml", content))
    except ScenarioError as error:
        lines = error.lines
    else:
        lines = []
        assert isinstance(loaded, Loaded)
    assert all("expected " in line for line in lines)


class _Inner(Params):
    size: int = 1


class _Empty(Params):
    pass


class _Outer(Params):
    named: dict[str, _Inner] = Field(default_factory=dict)
    tables: dict[str, dict[str, _Inner]] = Field(default_factory=dict)
    formed: dict[Annotated[str, Field(pattern="^[a-z]+$")], _Inner] = Field(default_factory=dict)
    empty: dict[str, _Empty] = Field(default_factory=dict)


def test_unknown_key_under_a_free_name():
    """In a table whose names are free an unknown key is told with those that there are."""
    data = {
        "named": {"a": {"sise": 1}},
        "tables": {"a": {"b": {"size": 2, "colour": 1}}},
        "formed": {"c": {"size": "x"}},
        "empty": {"d": {"size": 1}},
    }
    with pytest.raises(ValidationError) as wrong:
        _Outer.model_validate(data)
    assert [(fault.path, fault.message) for fault in mistakes(wrong.value, data, tree_of(_Outer))] == [
        (("named", "a", "sise"), "expected 'size', found 'sise', did you mean 'size'?"),
        (("tables", "a", "b", "colour"), "expected 'size', found 'colour'"),
        (("formed", "c", "size"), "expected a whole number, found 'x'"),
        (("empty", "d", "size"), "expected nothing here, found 'size'"),
    ]


def test_sections_are_made_with_the_scenario():
    """A scenario of defaults has every section as its model makes it alone."""
    scenario = Scenario()
    for name, info in Scenario.model_fields.items():
        if isinstance(kind := info.annotation, type) and issubclass(kind, Params):
            assert getattr(scenario, name) == kind(), name
