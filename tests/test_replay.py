"""The replay of order traces: hand-worked totals, a slow second implementation, what a rule may know, faults in words."""

import csv
import gzip
import hashlib
import json
import math
from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim.allocation import HORIZON, OWN_RULES, POLICIES, BoxView, Rule, SlotView
from sim.cli import main
from sim.commands import Entry, log_as_json, read_log
from sim.facts import NONE
from sim.replay import (
    MOST_FAULTS,
    NEVER_MS,
    STOCK_FILE,
    Prepared,
    TraceError,
    read_events,
    replay,
    robot_run,
)
from sim.scenario import Scenario, ScenarioError, from_dict, load
from sim.streams import Streams
from tests.slow_replay import (
    RULES,
    Rack,
    Row,
    Slot,
    SlowStore,
    Visit,
    as_decided,
    rack_a,
    rows_of,
    slow_replay,
    small_rack,
    text_of,
)

SYNTHETIC = Path(__file__).parent / "data" / "synthetic_200.csv"
RACK_A = load("rack_a")


def slots_of(prepared: Prepared, rack: Rack, policy: str, seed: int = 0) -> list[Slot]:
    """The slot that the replay gives each arrival, as the second implementation names it."""
    at = places_of(prepared)
    known = {at[slot.row, slot.column, slot.level]: slot for slot in rack.slots}
    return [known[slot] for slot in prepared.play(policy, seed).slots]


def places_of(prepared: Prepared) -> dict[tuple[int, int, int], int]:
    """The number of each slot by its row, column and level, from 0."""
    layout = prepared.layout
    axes = ((axis - 1).tolist() for axis in (layout.row, layout.column, layout.level))
    return {where: slot for slot, where in enumerate(zip(*axes, strict=True))}


# -- Totals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "total_s"), [("closest-open", 433.4), ("farthest-open", 2234.4), ("first-free", 522.2)]
)
def test_synthetic_trace_by_hand(policy: str, total_s: float) -> None:
    """200 events give the totals whose working stands in synthetic_200.md."""
    assert replay(SYNTHETIC, RACK_A, policy) == {
        "policy": policy,
        "moves": 188,  # 200 less the 12 at time 0
        "total_s": total_s,
        "per_move_s": total_s / 188,
        "peak": 58,
        "final": 4,
        "mean_occupancy": 5708 / 188,
    }


REAL_TOTALS_S = {
    "closest-open": 30653.0,
    "random": 37146.0,  # with seed 0; changes with the streams, and so with the model version
    "farthest-open": 43115.1,
    "first-free": 30774.5,
    "class-based": 30187.6,
    "turnover": 28077.4,
    "learned-stay": 28528.3,
    "duration-of-stay": 23414.9,
    "offline-oracle": 19692.5,
    "lot-pure": 30653.0,
    "levelling": 30653.0,
    "dedicated": 29636.5,
    "closest-to-destination": 30653.0,
    "closest-to-next-retrieval": 36870.1,
    "shortest-leg": 30550.7,
    "aisle-balanced": 30653.0,
    "heavy-low": 34603.9,
    "age-zoned": 42158.5,
    "fewest-blockings": 30653.0,
    "optimal-turnover": 30653.0,
    "assignment": 30504.0,
}
"""One slot holds one box, one port serves both ways and there is one aisle: seven rules are `closest-open` here."""


@pytest.fixture(scope="module")
def wepa258(shared_data: Path) -> Path:
    path = shared_data / "wepa258.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real trace at {path}: set METERHOUSE_SHARED to the shared folder")
    return path


@pytest.fixture(scope="module")
def real(wepa258: Path) -> Prepared:
    return Prepared(wepa258, RACK_A)


def test_real_trace_is_the_one(wepa258: Path) -> None:
    """The real trace is the file that its SOURCE.md describes, and says what it says of it."""
    text = text_of(wepa258)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "b179b6ab64f8b28cea14671b09e924d5eecdc3eeac63261f93fc171cf8091ba6"
    events = read_events(wepa258)
    assert (len(events.time_ms), events.units, len(set(events.sku))) == (5537, 2844, 108)
    assert events.time_ms.count(0) == 190
    assert events.time_ms[-1] == 7_657_200_000


def test_real_trace_covers_all_policies() -> None:
    """A new rule gets its total on the real trace, and a second implementation unless ties or chance decide."""
    assert set(REAL_TOTALS_S) == set(POLICIES)
    assert set(RULES) == set(POLICIES) - {"random", "offline-oracle", "assignment"}


@pytest.mark.parametrize("policy", REAL_TOTALS_S)
def test_real_trace_totals(real: Prepared, policy: str) -> None:
    """The real trace through every rule: exact totals, and the same moves and occupancy for all."""
    score = real.play(policy)
    assert (score.moves, score.peak, score.final, score.digs) == (2654 + 2693, 255, 151, None)
    assert score.total_ms == round(1000 * REAL_TOTALS_S[policy])


def test_replay_gives_the_score(wepa258: Path) -> None:
    """`replay` gives seconds, a move and in all, and the occupancy."""
    result = replay(wepa258, RACK_A, "closest-open")
    assert result["total_s"] == 30653.0
    assert result["per_move_s"] == 30653.0 / 5347
    assert result["mean_occupancy"] == pytest.approx(203.10, abs=0.005)


# -- A slow, obvious second implementation --------------------------------------------------------------


@pytest.mark.parametrize("policy", RULES)
def test_synthetic_trace_second_implementation(policy: str) -> None:
    """Every rule that draws nothing decides as the slow implementation does on the synthetic trace."""
    prepared, rack = Prepared(SYNTHETIC, RACK_A), rack_a()
    slow, score = slow_replay(rack, rows_of(SYNTHETIC), RULES[policy]), prepared.play(policy)
    assert slots_of(prepared, rack, policy) == slow.slots
    assert (score.total_ms, score.rest_ms) == (slow.total_ms, slow.rest_ms)


@pytest.mark.parametrize("policy", RULES)
def test_real_trace_second_implementation(real: Prepared, wepa258: Path, policy: str) -> None:
    """Every rule that draws nothing decides as the slow implementation does on the real trace."""
    rack, score = rack_a(), real.play(policy)
    slow = slow_replay(rack, rows_of(wepa258), RULES[policy])
    assert slots_of(real, rack, policy) == slow.slots
    assert (score.total_ms, score.rest_ms) == (slow.total_ms, slow.rest_ms)


def slow_random_total_s(path: Path, seed: int) -> float:
    """Each open slot as likely, drawn from the sorted ones by one number; ours draws slots until one is open."""
    stream = Streams(seed)["another stream"]

    def drawn(store: SlowStore, visit: Visit) -> Slot:
        return store.open[int(stream.uniform(visit.number) * len(store.open))]

    return slow_replay(rack_a(), rows_of(path), drawn).total_ms / 1000


def test_random_is_uniform(real: Prepared, wepa258: Path) -> None:
    """`random` scores like any uniform choice of an open slot: within the spread of ten such replays."""
    others = [slow_random_total_s(wepa258, seed) for seed in range(10)]
    ours = [real.play("random", seed).total_ms / 1000 for seed in range(10)]
    assert len(set(ours)) == 10
    # Standard deviations are about 400 s: the means of ten differ by less than 4 x 400 x sqrt(2 / 10).
    assert abs(sum(ours) - sum(others)) / 10 < 716


def test_oracle_follows_a_plan_that_fits(real: Prepared, wepa258: Path) -> None:
    """The oracle's slots are its plan's, never taken twice at once, and their times add up to its total."""
    score = real.play("offline-oracle")
    assert score.slots == real.plan
    # as_decided refuses a slot that is taken.
    slow = slow_replay(rack_a(), rows_of(wepa258), as_decided(slots_of(real, rack_a(), "offline-oracle")))
    assert (score.total_ms, score.rest_ms) == (slow.total_ms, slow.rest_ms)


def cheapest_ms(speeds: Sequence[float], ways_ms: Sequence[int]) -> float:
    """The least sum of speed x time over all pairings: the fastest with the nearest (rearrangement inequality)."""
    return sum(s * w for s, w in zip(sorted(speeds, reverse=True), sorted(ways_ms), strict=False))


def test_assignment_is_cheapest(real: Prepared, wepa258: Path) -> None:
    """Each slot of `assignment` belongs to a cheapest assignment of the box and those announced to open places.

    Equally cheap ones are scipy's choice, so that the slot itself cannot be foretold.
    """
    rack, rows = rack_a(), rows_of(wepa258)
    store = SlowStore(rack, rows)
    speeds = [float(speed) for speed in store.learned.speed]
    decided = as_decided(slots_of(real, rack, "assignment"))
    others = 0

    def checked(store: SlowStore, visit: Visit) -> Slot:
        nonlocal others
        slot = decided(store, visit)
        ways_ms = [each.in_ms for each in store.open]
        boxes = [speeds[visit.sku], *(speeds[row.sku] for row in announced(rows, store.row))][: len(ways_ms)]
        # With this box in this slot, the others as cheap as can be.
        rest = cheapest_ms(boxes[1:], [each.in_ms for each in store.open if each != slot])
        assert boxes[0] * slot.in_ms + rest == pytest.approx(cheapest_ms(boxes, ways_ms), rel=1e-12)
        others += slot.in_ms > min(ways_ms)
        return slot

    slow = slow_replay(rack, rows, checked)
    assert others > 100  # it is another rule than closest-open
    assert slow.total_ms == real.play("assignment").total_ms


def test_slots_of_several_boxes() -> None:
    """A store of ten boxes a slot and two ports replays too: room is counted in boxes."""
    result = replay(SYNTHETIC, load("luoyang"), "closest-open")
    assert (result["moves"], result["peak"], result["final"]) == (188, 58, 4)


# -- Small stores and traces ----------------------------------------------------------------------------

TraceRow = tuple[int, str, str, int]
"""Seconds, in or out, unit, SKU."""


def small_scenario(
    rows: int, columns: int, levels: int, capacity: int, out_aisle: int, out_x_mm: int, stacks: int = 0
) -> Scenario:
    """The scenario of `small_rack`."""
    machine = {"kind": "top_gripper", "access": "stack_lifo"} if stacks else {}
    port = {"name": "out", "aisle": out_aisle + 1, "x_m": out_x_mm / 1000, "serves": "out"}
    return from_dict(
        {
            "layout": {
                "profile": "uniform", "rows": rows, "columns": columns, "levels": levels, "single_sided": True,
                "boxes_per_slot": capacity, "tiers": capacity // max(1, stacks), "first_column_m": 1.0, "pitch_m": 1.0,
                "level_pitch_m": 1.0, "aisle_pitch_m": 2.0, "ports": [{"name": "in", "serves": "in"}, port],
            },
            "boxes": {"height_m": 0.2},
            "robots": {
                "axes": "sequential", "speed_m_per_s": 1.0, "acceleration_m_per_s2": math.inf,
                "lift_speed_m_per_s": 1.0, "lift_acceleration_m_per_s2": math.inf, "turn_s": 0,
                **machine,
            },
        }
    )  # fmt: skip


@st.composite
def small_racks(draw: st.DrawFn) -> tuple[int, int, int, int, int, int]:
    """Rows (an aisle each), columns, levels, boxes a slot, and where the outbound port stands."""
    rows, columns, levels = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    capacity, out_x_mm = draw(st.integers(1, 3)), draw(st.sampled_from([0, 1500, 4000]))
    return rows, columns, levels, capacity, draw(st.integers(0, rows - 1)), out_x_mm


STEPS_S = (0, 0, 1, 3600, 40_000, 90_000)
"""From one row to the next, so that several share a day and some a second."""


def inside(trace: Sequence[TraceRow]) -> dict[str, int]:
    """The units in the store after a trace, with their SKUs."""
    here: dict[str, int] = {}
    for _, op, unit, sku in trace:
        if op == "in":
            here[unit] = sku
        else:
            del here[unit]
    return here


def grown(
    draw: st.DrawFn,
    before: Sequence[TraceRow],
    rows: int,
    places: int,
    skus: int,
    *,
    arriving: bool = False,
    steps_s: Sequence[int] = STEPS_S,
) -> list[TraceRow]:
    """A trace continued to so many rows, for a store of so many places; `arriving`: by arrivals only."""
    trace, here = list(before), inside(before)
    while len(trace) < rows:
        time_s = (trace[-1][0] if trace else 0) + draw(st.sampled_from(steps_s))
        if arriving or not here or (len(here) < places and draw(st.booleans())):
            # A name is used again when its unit has left.
            unit = next(str(k) for k in range(places) if str(k) not in here)
            here[unit] = draw(st.integers(0, skus - 1))
            trace.append((time_s, "in", unit, here[unit]))
        else:
            unit = draw(st.sampled_from(sorted(here)))
            trace.append((time_s, "out", unit, here.pop(unit)))
    return trace


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[tuple[int, int, int, int, int, int], list[TraceRow]]:
    """A rack and a trace for it, with some stock at time 0."""
    dims = draw(small_racks())
    places, skus, rows = math.prod(dims[:4]), draw(st.integers(1, 5)), draw(st.integers(4, 40))
    units = draw(st.integers(0, min(places, rows // 3)))
    opening = grown(draw, (), units, places, skus, arriving=True, steps_s=(0,))
    return dims, grown(draw, opening, rows, places, skus)


def written(folder: Path, trace: Sequence[TraceRow], name: str = "trace.csv") -> Path:
    path = folder / name
    lines = (f"{seq},{','.join(map(str, row))}\n" for seq, row in enumerate(trace))
    path.write_text("seq,time_s,op,unit,sku\n" + "".join(lines))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@given(case=small_cases())
@settings(max_examples=60)
def test_small_stores_second_implementation(folder: Path, case: Any) -> None:
    """Every rule decides as the slow implementation does: several aisles, boxes a slot, two ports."""
    dims, trace = case
    rack, path = small_rack(*dims), written(folder, trace)
    prepared, rows = Prepared(path, small_scenario(*dims)), rows_of(path)
    for policy, rule in RULES.items():
        slow, score = slow_replay(rack, rows, rule), prepared.play(policy)
        assert slots_of(prepared, rack, policy) == slow.slots, policy
        assert (score.total_ms, score.rest_ms) == (slow.total_ms, slow.rest_ms), policy


@given(case=small_cases())
@settings(max_examples=60)
def test_no_total_below_the_bound(folder: Path, case: Any) -> None:
    """No rule, whatever it knows, has a total below the bound; nor one of the rows after the learned ones."""
    dims, trace = case
    prepared = Prepared(written(folder, trace), small_scenario(*dims))
    least_ms, rest_ms = prepared.bound_ms(), prepared.bound_ms(prepared.learned_rows)
    scores = {policy: prepared.play(policy) for policy in POLICIES}
    assert min(score.total_ms for score in scores.values()) >= least_ms
    assert min(score.rest_ms for score in scores.values()) >= rest_ms
    assert scores["offline-oracle"].total_ms <= scores["closest-open"].total_ms


# -- What a rule may know -------------------------------------------------------------------------------

KNOW_ALL = {name for name, rule in POLICIES.items() if "departures" in rule.needs}
KNOW_NEXT = {"closest-to-next-retrieval", "shortest-leg", "assignment"}
"""Rules that look a little ahead: at the unit that leaves next, at the arrivals up to the next departure."""


def announced(rows: Sequence[Row], row: int) -> list[Row]:
    """The arrivals that follow a row at its own time before any departure, 19 at most."""

    def is_on_truck(later: Row) -> bool:
        return later.arrives and later.time_ms == rows[row].time_ms

    return list(takewhile(is_on_truck, islice(rows, row + 1, row + HORIZON)))


@st.composite
def forks(draw: st.DrawFn, shared: str = "") -> tuple[Any, int, list[TraceRow], list[TraceRow]]:
    """A rack, a number of rows from a third on, and two traces of one length that agree up to there.

    Afterwards they agree in nothing, in the unit that leaves next, or in the arrivals before anything leaves.
    Every SKU is in stock at time 0: how many there are is no secret.
    """
    dims = draw(small_racks())
    places = math.prod(dims[:4])
    assume(places >= 3)
    skus, rows = draw(st.integers(1, min(4, places - 1))), draw(st.integers(15, 36))
    kept = draw(st.integers(-(-rows // 3), rows - 6))
    before = grown(draw, [(0, "in", str(sku), sku) for sku in range(skus)], kept, places, skus)
    here = inside(before)
    assume(here)
    leaver = draw(st.sampled_from(sorted(here)))
    room = min(places - len(here), 4)

    def some_arrivals() -> list[TraceRow]:
        upto = kept + draw(st.integers(0, room))
        return grown(draw, before, upto, places, skus, arriving=True)

    follow = some_arrivals()
    forked = []
    for _ in range(2):
        trace = before
        if shared:
            trace = some_arrivals() if shared == "leaver" else follow
            goes = leaver if shared == "leaver" else draw(st.sampled_from(sorted(inside(trace))))
            leaves_s = trace[-1][0] + draw(st.sampled_from(STEPS_S))
            trace = [*trace, (leaves_s, "out", goes, inside(trace)[goes])]
        forked.append(grown(draw, trace, rows, places, skus))
    return dims, kept, forked[0], forked[1]


def decided(
    folder: Path, fork: Any, policies: Sequence[str], *, stacks: int = 0
) -> list[dict[str, list[int]]]:
    """The slots that each rule names on either branch of a fork for the arrivals that they share."""
    dims, kept, *traces = fork
    arrivals = sum(op == "in" for _, op, _, _ in traces[0][:kept])
    branches = []
    for trace in traces:
        prepared = Prepared(written(folder, trace), small_scenario(*dims, stacks))
        branches.append({policy: prepared.play(policy).slots[:arrivals] for policy in policies})
    return branches


@pytest.mark.parametrize("stacks", [0, 1], ids=["direct", "stacks"])
@given(data=st.data())
@settings(max_examples=60)
def test_no_rule_knows_the_rows_to_come(folder: Path, stacks: int, data: st.DataObject) -> None:
    """What comes after a row, from a third of the rows on, changes no decision up to it."""
    blind = sorted(set(POLICIES) - KNOW_ALL - KNOW_NEXT)
    one, other = decided(folder, data.draw(forks()), blind, stacks=stacks)
    assert one == other


@given(fork=forks("leaver"))
@settings(max_examples=60)
def test_only_the_next_to_leave_is_known(folder: Path, fork: Any) -> None:
    """Of the departures to come, dual commands know the next one's unit, and not when it leaves or what follows."""
    one, other = decided(folder, fork, ["closest-to-next-retrieval", "shortest-leg"])
    assert one == other


@given(fork=forks("arrivals"))
@settings(max_examples=60)
def test_only_arrivals_at_once_are_known(folder: Path, fork: Any) -> None:
    """Of the rows to come, `assignment` knows at most the arrivals before the next departure."""
    one, other = decided(folder, fork, ["assignment"])
    assert one == other


@pytest.mark.parametrize("needs", ["", "departures"])
@given(case=small_cases())
@settings(max_examples=60)
def test_what_a_rule_is_told(folder: Path, needs: str, case: Any) -> None:
    """A rule is told the box, where the unit that leaves next is, and what is announced; departures if it needs them."""
    dims, trace = case
    path = written(folder, trace)
    prepared, rows = Prepared(path, small_scenario(*dims)), rows_of(path)
    at = {slot: where for where, slot in places_of(prepared).items()}
    told, known = list[Any](), list[Any]()

    def spy(box: BoxView, view: SlotView, stream: Any) -> int:
        boxes = [(each.box, each.sku, each.now_ms, each.leaves_ms) for each in view.announced]
        told.append((box.box, box.sku, box.now_ms, box.leaves_ms, at.get(view.next_retrieval), boxes))
        return view.first_open()

    def known_then(store: SlowStore, visit: Visit) -> Slot:
        leaves_ms = min(visit.leaves_ms, NEVER_MS) if needs else NONE
        leaver, follow = store.next_leaver(), announced(rows, store.row)
        boxes = [(visit.number + k, row.sku, row.time_ms, NONE) for k, row in enumerate(follow, 1)]
        where = leaver and (leaver.slot.row, leaver.slot.column, leaver.slot.level)
        known.append((visit.number, visit.sku, visit.arrives_ms, leaves_ms, where, boxes))
        return min(store.open)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OWN_RULES, "spy", Rule(spy, needs=frozenset([needs] if needs else [])))
        prepared.play("spy")
    slow_replay(small_rack(*dims), rows, known_then)
    assert told == known


def test_nineteen_boxes_are_announced(folder: Path) -> None:
    """However many arrivals follow one another at a time, 19 of them are announced."""
    path = written(folder, [(7, "in", str(k), 0) for k in range(25)])
    told = []

    def spy(box: BoxView, view: SlotView, stream: Any) -> int:
        told.append([each.box for each in view.announced])
        return view.first_open()

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OWN_RULES, "spy", Rule(spy))
        Prepared(path, small_scenario(1, 3, 3, 3, 0, 0)).play("spy")
    assert told == [list(range(k + 1, min(k + 20, 25))) for k in range(25)]


# -- What a trace may look like -------------------------------------------------------------------------


def write(path: Path, rows: str, head: str = "seq,time_s,op,unit,sku,dock\n") -> Path:
    path.write_text(head + rows)
    return path


def test_rows_in_any_order(tmp_path: Path) -> None:
    """`seq` gives the order, not the line of the file."""
    head, *rows = SYNTHETIC.read_text().splitlines()
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([head, *rows[100:], *rows[:100]]))
    assert replay(shuffled, RACK_A, "first-free") == replay(SYNTHETIC, RACK_A, "first-free")


def test_other_forms_of_csv(tmp_path: Path) -> None:
    """A BOM, quotes, CRLF, columns in another order, decimal seconds and a blank line at the end are fine."""
    path = tmp_path / "trace.csv"
    path.write_bytes(
        b'\xef\xbb\xbfOp,"unit",sku,seq,time_s,remark\r\n'
        b'in,"a",x,0,0.0,"one, two"\r\nin,b,x,1,1.5,\r\nout,a,x,2,2.25,\r\n\r\n'
    )
    # Unit b arrives at the second slot, 0.6 s; unit a leaves the first, 0.3 s.
    # One unit for 1.5 s, two for 0.75 s: 3 unit-seconds in 2.25 s.
    result = replay(path, RACK_A, "closest-open")
    assert (result["moves"], result["total_s"], result["mean_occupancy"]) == (2, 0.9, 3 / 2.25)


def test_unit_comes_back(tmp_path: Path) -> None:
    """A unit that has left may arrive again."""
    path = write(tmp_path / "t.csv", "0,0,in,a,x,1\n1,5,out,a,x,1\n2,9,in,a,x,1\n")
    assert replay(path, RACK_A, "closest-open")["total_s"] == 0.6


def test_only_time_zero(tmp_path: Path) -> None:
    """A trace without a scored move has no time a move, and an occupancy without a duration."""
    path = write(tmp_path / "t.csv", "0,0,in,a,x,1\n1,0,in,b,x,1\n")
    assert replay(path, RACK_A, "closest-open") == {
        "policy": "closest-open", "moves": 0, "total_s": 0.0, "per_move_s": None,
        "peak": 2, "final": 2, "mean_occupancy": 2.0,
    }  # fmt: skip


# -- Faults -------------------------------------------------------------------------------------------

FAULTS = {
    "absent unit leaves": (
        "0,0,in,a,x,1\n1,5,out,b,x,1\n",
        ["3: unit: expected a unit that is in the store, found 'b', which is not"],
    ),
    "unit arrives twice": (
        "0,0,in,a,x,1\n1,5,in,a,x,1\n",
        ["3: unit: expected a unit that is not in the store, found 'a', which is"],
    ),
    "time goes back": (
        "0,7.5,in,a,x,1\n1,5,in,b,x,1\n",
        ["3: time_s: expected at least 7.5 s, the time before, found 5 s"],
    ),
    "another sku": (
        "0,0,in,a,x,1\n1,5,out,a,y,1\n",
        ["3: sku: expected 'x', with which unit 'a' arrived, found 'y'"],
    ),
    "unknown op": (
        "0,0,inn,a,x,1\n1,0,move,b,x,1\n",
        [
            "2: op: expected in or out, found 'inn', did you mean 'in'?",
            "3: op: expected in or out, found 'move'",
        ],
    ),
    "numbers": (
        "0.5,-1,in,,x,1\n٣,nan,in,b,,1\n1,1e3,in,c,x,1\n2,99999999999,in,d,x,1\n",
        [
            "2: seq: expected a whole number, not below 0, found '0.5'",
            "2: time_s: expected seconds from 0 to 1e+10, found '-1'",
            "2: unit: expected a name or number, found nothing",
            "3: seq: expected a whole number, not below 0, found '٣'",
            "3: time_s: expected seconds from 0 to 1e+10, found 'nan'",
            "3: sku: expected a name or number, found nothing",
            "4: time_s: expected seconds from 0 to 1e+10, found '1e3'",
            "5: time_s: expected seconds from 0 to 1e+10, found '99999999999'",
        ],
    ),
    "same seq": (
        "4,0,in,a,x,1\n4,5,in,b,x,1\n",
        ["3: seq: expected each number once, found 4 as in row 2"],
    ),
    "short row": ("0,0,in,a\n", ["2: expected 6 cells, found 4"]),
    "no rows": ("", [" expected rows of arrivals and departures, found none"]),
    "open quote": ('0,0,in,"a,x,1\n', [" expected CSV, found unexpected end of data"]),
    "long line": (
        "0,0,in,a,x," + "1" * 20_000,
        ["2: expected a line of text of less than 10,000 characters, found a longer one"],
    ),
    "zero byte": (
        "0,0,in,a\0,x,1\n",
        ["2: expected a line of text of less than 10,000 characters, found a zero byte"],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_by_row(tmp_path: Path, case: str) -> None:
    """Every fault of a trace is named with its file, row and column, all of them at once."""
    rows, lines = FAULTS[case]
    path = write(tmp_path / "t.csv", rows)
    with pytest.raises(TraceError) as caught:
        replay(path, RACK_A, "closest-open")
    assert caught.value.lines == [f"{path}:{line}" for line in lines]


def test_missing_columns(tmp_path: Path) -> None:
    """Missing and doubled columns are named, with the near miss."""
    path = write(tmp_path / "t.csv", "0,0,in,a,x\n", head="seq,time,op,op,units\n")
    with pytest.raises(TraceError) as caught:
        read_events(path)
    assert caught.value.lines == [
        f"{path}:1: time_s: expected a column of this name, found none, did you mean 'time'?",
        f"{path}:1: op: expected one column of this name, found 2",
        f"{path}:1: unit: expected a column of this name, found none, did you mean 'units'?",
        f"{path}:1: sku: expected a column of this name, found none",
    ]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("empty.csv", b"", "expected the columns seq, time_s, op, unit, sku, found an empty file"),
        ("gb.csv", "seq,unit\n0,电表\n".encode("gb18030"), "expected UTF-8 text, found the byte 0xb5"),
        ("utf16.csv", "seq,time_s".encode("utf-16"), "expected UTF-8 text, found the byte 0xff"),
        ("no.csv.gz", b"seq,time_s\n", "expected a whole gzip file, found Not a gzipped file (b'se')"),
        (
            "torn.csv.gz",
            gzip.compress(SYNTHETIC.read_bytes())[:500],
            "expected a whole gzip file, found Compr",
        ),
    ],
)
def test_files_that_are_no_trace(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    """Empty, wrongly encoded and torn files are named in words."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read_events(path)
    (line,) = caught.value.lines
    assert line.startswith(f"{path}: {text}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and a folder are named in words."""
    for path, text in [(tmp_path / "none.csv", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(TraceError) as caught:
            read_events(path)
        assert caught.value.lines == [f"{path}: expected a readable file, found {text}"]


def test_store_is_full(tmp_path: Path) -> None:
    """The unit that finds no slot is named by its row."""
    path = write(tmp_path / "t.csv", "".join(f"{k},{k},in,{k},x,1\n" for k in range(259)))
    with pytest.raises(TraceError) as caught:
        replay(path, RACK_A, "closest-open")
    where = f"{path}:260: op: expected a departure or room for a unit"
    assert caught.value.lines == [f"{where}, found an arrival with all 258 places taken"]


def test_faults_are_bounded(tmp_path: Path) -> None:
    """A file that is wrong throughout gives a page of faults, not a flood."""
    path = write(tmp_path / "t.csv", "x\n" * 5000)
    with pytest.raises(TraceError) as caught:
        read_events(path)
    assert len(caught.value.lines) == MOST_FAULTS + 1
    assert caught.value.lines[-1] == f"{path}: reading stopped after 20 faults"


def test_unknown_policy() -> None:
    """A rule that does not exist is refused with the near miss."""
    line = r"^policy: expected one of .*, found 'closest', did you mean 'closest-open'\?$"
    with pytest.raises(TraceError, match=line):
        replay(SYNTHETIC, RACK_A, "closest")


# -- The whole model ------------------------------------------------------------------------------------

ROUND_THE_CLOCK = 'calendar.shifts=[["00:00", "24:00"]]'


def exogenous(run: Any) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """When which SKU was ordered, and when which came, by name."""
    trace, names = run.result.trace, run.result.names["skus"]
    lines = trace.table("order_line")
    came = trace.table("box_created")
    ordered = [
        (t, names[sku]) for t, sku in zip(lines["time_ms"].tolist(), lines["sku"].tolist(), strict=True)
    ]
    boxes = zip(came["time_ms"].tolist(), came["sku"].tolist(), came["truck"].tolist(), strict=True)
    return ordered, [(t, names[sku]) for t, sku, truck in boxes if truck != NONE]


def test_robot_run_keeps_the_instants(tmp_path: Path) -> None:
    """Every order is released, and every box arrives, at its recorded instant, and of its SKU."""
    run = robot_run(SYNTHETIC, load("rack_a", [ROUND_THE_CLOCK]), "closest-open", tmp_path)
    with SYNTHETIC.open(encoding="utf-8") as file:
        rows = [(round(float(row["time_s"]) * 1000), row["op"], row["sku"]) for row in csv.DictReader(file)]
    ordered, came = exogenous(run)
    assert sorted(ordered) == sorted((t, sku) for t, op, sku in rows if op == "out")
    assert sorted(came) == sorted((t, sku) for t, op, sku in rows if op == "in" and t)
    # 200 rows: 12 at time 0, 90 arrivals, 98 departures, as synthetic_200.md has it.
    assert (run.initial, run.deliveries, run.orders, run.open_orders) == (12, 90, 98, 0)


def test_robot_run_starts_where_the_rule_puts_units(tmp_path: Path) -> None:
    """The units at time 0 stand in the slots that the rule names, in the stock list and in the run."""
    run = robot_run(SYNTHETIC, RACK_A, "farthest-open", tmp_path)
    prepared = Prepared(SYNTHETIC, RACK_A)
    slots = [prepared.layout.place_name(slot) for slot in prepared.play("farthest-open").slots[:12]]
    with (tmp_path / STOCK_FILE).open(encoding="utf-8") as file:
        assert [row["slot"] for row in csv.DictReader(file)] == slots
    moved = run.result.trace.table("box_created")
    first = moved["place"][moved["time_ms"] == 0].tolist()
    assert first == [prepared.layout.place(slot) for slot in slots]


def test_robot_run_is_a_run_with_a_log(tmp_path: Path) -> None:
    """Scenario, seed, stock list and command log give the same facts again; the log can be kept as JSON."""
    run = robot_run(SYNTHETIC, RACK_A, "random", tmp_path, seed=5)
    again = robot_run(SYNTHETIC, RACK_A, "random", tmp_path, seed=5)
    assert again.result.digest == run.result.digest
    assert robot_run(SYNTHETIC, RACK_A, "random", tmp_path, seed=6).result.digest != run.result.digest
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"commands": log_as_json(run.result.commands)["commands"]}), encoding="utf-8")
    log = read_log(path, run.loaded.scenario, run.result.layout)
    assert log == [Entry(*given[:4]) for given in run.result.commands]
    assert len(log) == 188


def test_robot_run_shares_demand_between_rules(tmp_path: Path) -> None:
    """Every rule meets the same orders and trucks: one demand digest, other travel."""
    runs = [robot_run(SYNTHETIC, RACK_A, rule, tmp_path) for rule in ("closest-open", "farthest-open")]
    near, far = (run.result for run in runs)
    assert near.trace.demand_digest() == far.trace.demand_digest()
    put_away = [run.kpis()["put_away_time_s"]["value"] for run in (near, far)]
    assert put_away[0] < put_away[1]
    assert exogenous(runs[0]) == exogenous(runs[1])


def test_arrivals_of_one_instant_share_a_truck(tmp_path: Path) -> None:
    """Units of one instant come on one truck, and an order that comes first waits for stock."""
    path = write(
        tmp_path / "t.csv",
        "0,32400,in,a,x,1\n1,32400,in,b,y,1\n2,32400,in,c,x,1\n3,32401,out,c,x,1\n4,36000,in,d,z,1\n5,36000,out,d,z,1\n",
    )
    run = robot_run(path, load("tiny"), "closest-open", tmp_path)
    given = [(entry.t_ms, entry.type, entry.args) for entry in run.result.commands]
    assert given[0] == (
        32_400_000,
        "delivery",
        {"loads": [{"sku": "x", "boxes": 2}, {"sku": "y", "boxes": 1}], "in_s": 0},
    )
    assert [each[:2] for each in given[1:]] == [
        (32_401_000, "order"), (36_000_000, "delivery"), (36_000_000, "order"),
    ]  # fmt: skip
    assert run.loaded.scenario.initial.stock is None
    assert (run.deliveries, run.orders, run.open_orders) == (2, 2, 0)
    short = run.result.trace.table("line_short")["time_ms"].tolist()
    assert short == [32_401_000, 36_000_000]  # nothing was unloaded yet
    assert run.result.trace.table("truck_arrived")["boxes"].tolist() == [3, 1]


def test_robot_run_has_no_demand_of_its_own(tmp_path: Path) -> None:
    """Whatever the scenario asks for and calls off, only the trace comes: demand, campaign and lists are off."""
    sets = ["demand.orders_per_day=50", "demand.campaign.factor=5", "supply.rule=s,Q", ROUND_THE_CLOCK]
    run = robot_run(SYNTHETIC, load("rack_a", sets), "closest-open", tmp_path)
    plain = robot_run(SYNTHETIC, load("rack_a", [ROUND_THE_CLOCK]), "closest-open", tmp_path)
    assert exogenous(run) == exogenous(plain)
    assert len(exogenous(run)[0]) == 98


def test_rule_that_knows_departures_cannot_drive(tmp_path: Path) -> None:
    """A rule that must know when boxes leave is refused by the whole model, in words; so is an unknown one."""
    with pytest.raises(ScenarioError, match="needs to know when boxes leave"):
        robot_run(SYNTHETIC, RACK_A, "duration-of-stay", tmp_path)
    with pytest.raises(TraceError, match="did you mean 'closest-open'"):
        robot_run(SYNTHETIC, RACK_A, "closest", tmp_path)


def test_real_trace_through_the_model(wepa258: Path, tmp_path: Path) -> None:
    """The real trace drives the reference store: every departure is ordered and handed over."""
    run = robot_run(wepa258, load("luoyang"), "closest-open", tmp_path)
    assert (run.initial, run.orders, run.open_orders) == (190, 2693, 0)
    ordered, came = exogenous(run)
    assert (len(ordered), len(came)) == (2693, 2654)
    created = run.result.trace.table("box_created")["time_ms"]
    handed_over = run.result.trace.table("order_handed_over")["order"]
    # 2,844 units, of which 151 remain, as SOURCE.md says.
    assert (len(created), len(created) - len(handed_over)) == (2844, 151)


def test_robot_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command shows policies side by side, writes a result folder for one, and JSON."""
    command = ["replay", str(SYNTHETIC), "--layout", "rack_a", "--robot"]
    assert main([*command, "--policy", "closest-open", "--policy", "random"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("synthetic_200.csv through rack_a: 98 orders, 90 trucks, 12 boxes at time 0\n")
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["closest-open", "random"]
    folder = tmp_path / "run"
    assert main([*command, "--policy", "closest-open", "--out", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["runs"]
    assert (row["orders"], row["open_orders"]) == (98, 0)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["digest"] == row["digest"]
    assert len(result["commands"]) == 188
    assert (folder / STOCK_FILE).is_file()
    assert main(["why", str(folder), "3", "--json"]) == 0


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--robot", "--bound"], "--bound: expected a replay without --robot, found one with it"),
        (
            ["--robot", "--picture", "x.svg"],
            "--picture: expected a replay without --robot, found one with it",
        ),
        (["--out", "x"], "--out: expected a replay with --robot, found one without"),
        (["--robot", "--policy", "random", "--out", "x"], "--out: expected one policy, found 2"),
    ],
)
def test_robot_command_refuses(capsys: pytest.CaptureFixture[str], args: list[str], line: str) -> None:
    """Options that do not go together end in one line and code 2."""
    code = main(["replay", str(SYNTHETIC), "--layout", "rack_a", "--policy", "closest-open", *args])
    assert (code, capsys.readouterr().err) == (2, f"{line}\n")
