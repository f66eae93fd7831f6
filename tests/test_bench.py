"""The benchmarks of allocation: the store that they fill, what they find, and what they tell of it."""

import json
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import bench
from sim.allocation import OWN_RULES, POLICIES, Rule, SlotIndex
from sim.bench import (
    BatchTrial,
    BenchError,
    IndexTrial,
    SingleTrial,
    Store,
    compare,
    ratios,
    run_allocation,
    table,
)
from sim.facts import NONE


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few steps and rounds: what is found is not looked at."""
    monkeypatch.setattr(bench, "ROUNDS", 2)
    monkeypatch.setattr(bench, "LEAST_ROUNDS", 2)
    monkeypatch.setattr(bench, "_ROUND_NS", 50_000)
    monkeypatch.setattr(bench, "_LEAST_LOOP_NS", 1_000)
    monkeypatch.setattr(bench, "_MOST_BATCH_NS", 1_000_000)


def state(store):
    """All that a round may change."""
    index = store.index
    orders = [bytes(index.order("port_time", k).open) for k in range(len(index.admits))]
    lots = {lot: dict(slots) for lot, slots in index.lots.items()}
    return list(index.room), orders, lots, list(store.held), list(index.stays.here), index.stays.boxes


class TestStore:
    @pytest.mark.parametrize("slots", [100, 101, 258, 999, 2_580])
    def test_rack_has_its_slots(self, slots):
        """Whatever the number, the grid has so many slots of ten boxes on five levels."""
        layout, _ = bench.rack(slots)
        assert layout.slots == slots
        assert set(layout.capacity) == {10}
        assert layout.levels == 5

    def test_rack_of_258_is_the_reference_grid(self):
        """4 rows x 13 columns x 5 levels less the openings of two ports."""
        layout, _ = bench.rack(258)
        assert (layout.rows, layout.columns, layout.omitted) == (4, 13, ["2-01-1", "3-01-1"])

    @pytest.mark.parametrize("fill", [50, 80, 95])
    def test_store_equals_one_filled_by_hand(self, fill):
        """Filled at one stroke, the index is as after a `take` of every box and a `block` of every slot."""
        store = Store(258, fill, constrained=True)
        index = SlotIndex(
            store.layout, store.port_ms, store.turnover, travel=store.travel,
            admits=store.index.admits, class_of_sku=store.index.class_of_sku,
        )  # fmt: skip
        for slot in np.flatnonzero(~store.is_used).tolist():
            index.block(slot, True)
        for slot, lot in zip(store.held, store.lot, strict=True):
            index.take(slot, lot)
        for slot, room in enumerate(store.room):
            while index.room[slot] > room:
                index.take(slot)
        assert index.room == store.index.room
        assert index.lots == store.index.lots
        for box_class in (0, 1):
            assert index.order("port_time", box_class).open == store.index.order("port_time", box_class).open
        # 2,580 places: 1,290, 2,064 or 2,451 boxes. Two slots of 258 are out of use.
        assert store.boxes == 2_580 * fill // 100 == 2_580 - sum(store.room)
        assert int((~store.is_used).sum()) == 2

    def test_boxes_lie_where_they_may(self):
        """No known box of a heavy SKU is on the top level, and none in a slot that is out of use."""
        store = Store(258, 80, constrained=True)
        for slot, sku in zip(store.held, store.sku, strict=True):
            assert store.is_used[slot]
            assert sku % 4 != 3 or store.layout.level[slot] < 5

    def test_seen_stays_follow_turnover(self):
        """The store has seen the fastest SKU stay shortest, and the five fastest shorter than the five slowest."""
        store = Store(2_580, 80, constrained=True)
        stays = [store.index.stays.stay_ms(sku) for sku in range(20)]
        assert min(stays) == stays[0]
        assert max(stays[:5]) < min(stays[-5:])
        assert store.index.stays.boxes == store.boxes

    def test_rules_do_not_pay_for_others(self):
        """After `forget` nothing is kept up but what every store keeps."""
        store = Store(258, 80, constrained=True)
        flips, more = list(store.index._flips), store.index._more
        for rule in POLICIES.values():
            if "departures" not in rule.needs:
                bench.decisions(store, "", rule)
        assert store.index._watchers
        assert len(store.index._flips) > len(flips)
        store.forget()
        assert not store.index._watchers
        assert (store.index._flips, store.index._more) == (flips, more)
        assert {name for name, _ in store.index._orders} == {"port_time"}


class TestTrials:
    @pytest.mark.parametrize(
        "name", [name for name, rule in POLICIES.items() if "departures" not in rule.needs]
    )
    def test_store_is_as_it_was(self, name):
        """Rounds of single calls and of batches leave the store as they found it."""
        store = Store(258, 95, constrained=True)
        before = state(store)
        for trial in (SingleTrial(store, POLICIES[name]), BatchTrial(store, POLICIES[name], 10)):
            trial.prepare()
            trial.time_references()
            trial.time_own()
            if isinstance(trial, SingleTrial) and trial.steps > 1:
                assert store.held != before[3]
            trial.undo()
            assert state(store) == before

    @pytest.mark.parametrize("operation", bench.OPERATIONS)
    def test_store_is_as_it_was_without_a_rule(self, operation):
        """Rounds of an index operation leave the store as they found it."""
        store = Store(258, 80, constrained=False)
        before = state(store)
        trial = IndexTrial(store, operation)
        trial.prepare()
        trial.time_own()
        assert store.held != before[3]
        trial.undo()
        assert state(store) == before

    def test_rounds_differ(self):
        """Each round has other boxes, numbered on from those before."""
        trial = SingleTrial(Store(258, 80, constrained=True), POLICIES["closest-open"])
        trial.prepare()
        first = list(trial._boxes)
        trial.prepare()
        assert trial._boxes[0].box == first[-1].box + 1
        assert [box.sku for box in trial._boxes] != [box.sku for box in first]

    def test_references_stand_beside(self):
        """A batch is timed beside the empty call pair, the copy, the argmin and single calls, round by round."""
        trial = BatchTrial(Store(258, 80, constrained=True), POLICIES["closest-open"])
        assert trial.boxes == 258
        times = bench.measure(trial)
        assert list(times) == ["own", "pair", "copy", "argmin", "single"]
        assert {len(each) for each in times.values()} == {2}
        assert all(ns > 0 for each in times.values() for ns in each)

    def test_batch_fits_the_store(self):
        """At 95 % of 100 slots there are 50 open places less those of the slot out of use: no more are asked for."""
        store = Store(100, 95, constrained=True)
        blocked = sum(room for room, used in zip(store.room, store.is_used, strict=True) if not used)
        assert BatchTrial(store, POLICIES["closest-open"]).boxes == 50 - blocked

    def test_box_without_a_slot_goes_back(self):
        """A rule may name no slot: the box goes where it came from."""
        store = Store(258, 80, constrained=True)
        held = list(store.held)
        trial = SingleTrial(store, Rule(lambda box, view, stream: NONE))
        trial.prepare()
        trial.time_own()
        assert store.held == held


class TestFigures:
    def test_figures_by_hand(self):
        """Best over best, and the median of the ratios of the rounds."""
        # Best: 300 over 100 = 3. Rounds: 400/100 = 4, 300/150 = 2, 500/200 = 2.5: median 2.5.
        found = bench.figures({"own": [400.0, 300.0, 500.0], "pair": [100.0, 150.0, 200.0]})
        assert found == {
            "rounds": 3,
            "ns": {"own": 300.0, "pair": 100.0},
            "median_ns": {"own": 400.0, "pair": 150.0},
            "ratio": {"pair": 3.0},
            "median_ratio": {"pair": 2.5},
        }

    def test_decisions_repeat(self):
        """A rule that decides alike has the same digest in a store of the same size and fill, another rule another."""
        digests = [
            bench.decisions(Store(258, 80, constrained=True), name, POLICIES[name])
            for name in ("closest-open", "closest-open", "farthest-open", "random", "random")
        ]
        assert digests[0] == digests[1] != digests[2]
        assert digests[3] == digests[4]
        assert all(re.fullmatch("[0-9a-f]{12}", digest) for digest in digests)

    @pytest.mark.parametrize("slot", [258, -2, 10**9])
    def test_slot_that_does_not_exist_is_refused(self, slot):
        """A rule that names no slot of the store is stopped in words."""
        rule = Rule(lambda box, view, stream: slot)
        with pytest.raises(BenchError) as error:
            bench.decisions(Store(258, 80, constrained=True), "mine.py:rule", rule)
        assert error.value.lines == [
            f"rule mine.py:rule, 258 slots, 80 % full: expected an open slot or NONE, found {slot}"
        ]

    def test_full_slot_is_refused(self):
        """So is one that names a slot without room."""
        store = Store(258, 95, constrained=True)
        full = store.room.index(0)
        with pytest.raises(BenchError, match=f"expected an open slot or NONE, found {full}"):
            bench.decisions(store, "mine.py:rule", Rule(lambda box, view, stream: full))

    def test_sorting_is_optimal(self):
        """258 boxes placed by sorting cost as much as by linear assignment."""
        placed = bench.place_optimally(258, rounds=1)
        assert placed["sort_value"] == pytest.approx(placed["assignment_value"], rel=1e-12)
        assert placed["boxes"] == 258
        assert placed["ratio"] == pytest.approx(placed["assignment_s"] / placed["sort_s"], rel=1e-3)


class TestRun:
    def test_run_has_every_case(self, monkeypatch):
        """Operations and rules, single and in batches, at each size and fill; progress grows up to 1."""
        monkeypatch.setitem(OWN_RULES, "mine.py:rule", Rule(lambda box, view, stream: view.last_open()))
        done = []
        rules = ["coi", "closest-open", "mine.py:rule"]
        results = run_allocation([258, 130], [50, 80, 80], rules, done.append)
        keys = [(c["kind"], c["rule"], c["slots"], c["fill"]) for c in results["cases"]]
        assert keys == [
            (kind, name, slots, fill)
            for slots in (130, 258)
            for fill in (50, 80)
            for kind, name in (
                *(("index", operation) for operation in bench.OPERATIONS),
                *((kind, name) for name in rules for kind in ("single", "batch")),
            )
        ]
        assert done == sorted(done)
        assert done[-1] == 1.0
        assert results["optimum"] is None  # optimal-turnover is not asked for
        assert results["sizes"] == [130, 258]
        assert results["fills"] == [50, 80]
        assert json.loads(json.dumps(results, allow_nan=False)) == results

    def test_all_live_rules_by_default(self, monkeypatch):
        """Without names all rules are timed that a store can follow, and the user's own."""
        monkeypatch.setattr(
            bench, "_time_rack", lambda slots, fill, names, cases: cases.extend(names) or iter(())
        )
        monkeypatch.setattr(bench, "place_optimally", lambda boxes: {"boxes": boxes})
        monkeypatch.setitem(OWN_RULES, "mine.py:rule", POLICIES["random"])
        results = run_allocation([258], [80])
        live = [name for name, rule in POLICIES.items() if "departures" not in rule.needs]
        assert results["cases"] == [*live, "mine.py:rule"]
        assert results["optimum"] == {"boxes": 2_475}
        assert run_allocation([258], [80], optimum=False)["optimum"] is None

    def test_what_cannot_be_timed_is_refused(self):
        """Sizes, fills and names that make no sense are refused together, a line each."""
        with pytest.raises(BenchError) as error:
            run_allocation([258, 10, 10**7], [80, 100], ["closest-opn", "offline-oracle", "random"])
        lines = error.value.lines
        assert lines[:3] == [
            "--size: expected 100 to 5,000,000 slots, found 10",
            "--size: expected 100 to 5,000,000 slots, found 10,000,000",
            "fill: expected 1 to 99 per cent, found 100",
        ]
        assert lines[3].startswith("--rule: expected 'closest-open'")
        assert lines[3].endswith("found 'closest-opn', did you mean 'closest-open'?")
        assert lines[4] == (
            "--rule: expected a rule that a store can follow, found 'offline-oracle', which must know all departures"
        )
        assert len(lines) == 5


def case(
    kind="single",
    rule="closest-open",
    slots=258,
    fill=80,
    ns=600.0,
    pair=100.0,
    decisions="a",
    median=None,
    **more,
):
    """A case with round figures."""
    times = {"own": ns, "pair": pair, "copy": 20.0, "argmin": 9.0 * slots, **more}
    others = {name: ns / value for name, value in times.items() if name != "own"}
    moved = others if median is None else {**others, "pair": median}
    return {
        "kind": kind, "rule": rule, "slots": slots, "fill": fill, "boxes": 1, "steps": 1000, "decisions": decisions,
        "rounds": 2, "ns": times, "median_ns": times, "ratio": others, "median_ratio": moved,
    }  # fmt: skip


def results_of(*cases, optimum=None):
    machine = {
        "processor": "A processor", "cores": 2, "system": "Linux x86_64", "python": "CPython 3.11.7", "numpy": "2.4.6",
        "load": 0.5,
    }  # fmt: skip
    return {
        "bench": "allocation", "version": "0.1.0", "machine": machine, "cases": list(cases), "optimum": optimum,
        "sizes": sorted({c["slots"] for c in cases}), "fills": sorted({c["fill"] for c in cases}),
    }  # fmt: skip


class TestRatios:
    def rows(self, *cases, optimum=None):
        rows = ratios(results_of(*cases, optimum=optimum))
        return {
            row["name"]: (row["goal"], row["found"], row["ok"]) for row in rows if row["found"] is not None
        }

    def test_single_calls_in_empty_pairs(self):
        """The index is held to 7 empty call pairs, nearest-to to 4, a rule to 12, at 258 slots."""
        rows = self.rows(
            case("index", "closest", ns=700), case("index", "dual command", ns=401),
            case(ns=1_200), case(rule="turnover", ns=1_210), case(rule="lot-pure", ns=9_000),
        )  # fmt: skip
        assert rows == {
            "index operation 'closest', 258 slots": ("at most 7", 7.0, True),
            "index operation 'dual command', 258 slots": ("at most 4", 4.01, False),
            "closest-open, 258 slots": ("at most 12", 12.0, True),
            "turnover, 258 slots": ("at most 12", 12.1, False),
        }

    def test_growth(self):
        """2.58 million slots cost at most six times what 258 do: 3,000 ns over 600 is 5, 3,660 is 6.1."""
        rows = self.rows(
            case(), case(slots=2_580_000, ns=3_000), case(rule="random"), case(rule="random", slots=2_580_000, ns=3_660)
        )  # fmt: skip
        assert rows["closest-open, 2,580,000 slots over 258"] == ("at most 6", 5.0, True)
        assert rows["random, 2,580,000 slots over 258"] == ("at most 6", 6.1, False)

    def test_batch_against_single_calls(self):
        """A box of a batch is at least 15 times cheaper than a single call: 600 over 40, and over 41."""
        rows = self.rows(
            case("batch", ns=40, single=600.0), case("batch", "class-based", ns=41, single=600.0)
        )
        assert rows == {
            "batch of 258 boxes by closest-open, 258 slots": ("at least 15", 15.0, True),
            "batch of 258 boxes by class-based, 258 slots": ("at least 15", 14.6, False),
        }

    def test_optimum(self):
        """Sorting is at least 10,000 times faster than linear assignment, at the same value."""
        placed = {"ratio": 9_999.0, "sort_value": 100.0, "assignment_value": 100.0}
        rows = self.rows(case(rule="lot-pure"), optimum=placed)
        assert rows == {
            "2,475 boxes by optimal-turnover": ("at least 10,000", 10_000.0, False),
            "2,475 boxes by optimal-turnover, value beside linear assignment": ("at most 1e-09", 0.0, True),
        }

    def test_what_was_not_measured(self):
        """Goals of which nothing is known are listed with neither a value nor a verdict."""
        rows = ratios(results_of(case(rule="lot-pure")))
        assert len(rows) == 9 + 10 + 5 + 2
        assert all(row["found"] is None and row["ok"] is None for row in rows)


class TestCompare:
    @pytest.mark.parametrize(
        ("ns", "median", "verdict"),
        [
            # Before 6 pairs, best and median; the margin is 20 %: 7.2 and 5.
            (720, 7.2, "same"),
            (721, 7.3, "slower"),
            (721, 7.1, "same"),
            (500, 5.0, "same"),
            (499, 4.9, "faster"),
            (499, 5.1, "same"),
        ],
    )
    def test_margin(self, ns, median, verdict):
        """A case is slower or faster when best and median ratio both moved by more than the margin."""
        rows = compare(results_of(case(ns=ns, median=median)), results_of(case()))
        assert [(row["verdict"], row["ok"]) for row in rows] == [(verdict, verdict != "slower")]
        assert rows[0]["case"] == "closest-open, 258 slots, 80 % full"
        assert (rows[0]["old"], rows[0]["new"]) == (6.0, ns / 100)

    def test_machine_of_half_the_speed(self):
        """Twice the time beside an empty pair of twice the time is the same."""
        assert compare(results_of(case(ns=1_200, pair=200.0)), results_of(case()))[0]["ratio"] == 1.0

    def test_other_decisions_show(self):
        """A case that is as fast but decides otherwise is told apart, and is no failure."""
        row = compare(results_of(case(decisions="b")), results_of(case(decisions="a")))[0]
        assert (row["verdict"], row["ok"]) == ("decides otherwise", True)

    def test_cases_of_one_side(self):
        """What only one of the two has is listed without a ratio."""
        rows = compare(results_of(case(), case(rule="mine.py:rule")), results_of(case(slots=2_580), case()))
        assert [(row["case"], row["verdict"], row["ratio"], row["ok"]) for row in rows] == [
            ("closest-open, 2,580 slots, 80 % full", "only in the old", None, True),
            ("closest-open, 258 slots, 80 % full", "same", 1.0, True),
            ("mine.py:rule, 258 slots, 80 % full", "only in the new", None, True),
        ]


class TestTelling:
    RESULTS = results_of(
        case("index", "closest", ns=500.0), case("index", "closest", slots=2_580, ns=550.0),
        case(), case(slots=2_580, ns=12_345.0), case("batch", ns=40.0, single=600.0),
        case(fill=50, ns=400.0), case(rule="turnover", slots=2_580, ns=9.4e6),
    )  # fmt: skip

    def test_table(self):
        """Operations first, then rules with a time at the smallest size, then references; one fill, sizes across."""
        assert table(self.RESULTS, 80) == (
            ["rule", "258 slots", "2,580 slots", "empty pairs", "batch of 258"],
            [
                ["index: closest", "500 ns", "550 ns", "5.0", ""],
                ["closest-open", "600 ns", "12.3 us", "6.0", "40.0 ns"],
                ["copy of the answer", "20.0 ns", "20.0 ns", "0.2", ""],
                ["empty call pair", "100 ns", "100 ns", "1.0", ""],
                ["numpy masked argmin", "2,322 ns", "23.2 us", "23.2", ""],
            ],
        )

    @pytest.mark.parametrize(
        ("ns", "words"),
        [
            (0.4167, "0.42 ns"), (9.994, "9.99 ns"), (12.34, "12.3 ns"), (614.4, "614 ns"), (9_999.0, "9,999 ns"),
            (10_000.0, "10.0 us"), (123_456.0, "123 us"), (9_400_000.0, "9,400 us"), (23.2e6, "23.2 ms"), (24e9, "24.0 s"),
        ],
    )  # fmt: skip
    def test_time_in_words(self, ns, words):
        """Three or four digits with the unit that suits them."""
        assert bench.time_words(ns) == words

    def test_machine_in_a_line(self):
        """The machine is told with its load, and a load that is not known as such."""
        line = "A processor, 2 cores, Linux x86_64, CPython 3.11.7, numpy 2.4.6, load 0.5 at the start"
        assert bench.machine_line(self.RESULTS) == line
        lonely = {"machine": {**self.RESULTS["machine"], "load": None, "cores": 1}}
        assert bench.machine_line(lonely) == line.replace("2 cores", "1 core").replace("0.5", "unknown")

    def test_machine_names_no_host(self):
        """What is kept of the machine says nothing of who or where it is."""
        import getpass
        import socket

        facts = json.dumps(bench.machine_facts())
        assert set(bench.machine_facts()) == {"processor", "cores", "system", "python", "numpy", "load"}
        for secret in (socket.gethostname(), getpass.getuser()):
            assert f'"{secret}"' not in facts

    def test_saved_results_come_back(self, tmp_path):
        """What was saved is read again; nothing else is left in the folder."""
        path = tmp_path / "here.json"
        bench.save(self.RESULTS, path)
        assert bench.read(path) == self.RESULTS
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            "null",
            '{"bench": "allocation"}',
            '{"bench": "allocation", "cases": [{}]}',
            "\udcff",
        ],
    )
    def test_another_file_is_refused(self, tmp_path, text):
        """A file that is no saved result is refused in one line."""
        path = tmp_path / "other.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(BenchError) as error:
            bench.read(path)
        wanted = "expected a result saved by `meterhouse bench allocation`, found another file"
        assert error.value.lines == [f"{path}: {wanted}"]


class TestPicture:
    def test_svg_names_all_lines(self, tmp_path):
        """Every rule and every reference stands at its line in words, with the machine; twice the same bytes."""
        paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
        for path in paths:
            bench.draw(TestTelling.RESULTS, path)
        svg = paths[0].read_text(encoding="utf-8")
        for words in (
            "closest-open", "turnover", "empty call pair", "copy of the answer", "numpy masked argmin", "linear", "flat",
            "A processor, 2 cores", "2,580", "80 % of the places taken",
        ):  # fmt: skip
            assert words in svg
        assert paths[0].read_bytes() == paths[1].read_bytes()
        assert sorted(tmp_path.iterdir()) == paths

    @pytest.mark.parametrize("cases", [(case(),), (case(slots=130), case("index", "closest", slots=130)), ()])
    def test_little_is_drawn_too(self, tmp_path, cases):
        """One size alone, or no batch, makes a picture without a warning."""
        path = tmp_path / "one.PNG"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if cases:
                bench.draw(results_of(*cases), path)
                assert path.read_bytes().startswith(b"\x89PNG")

    def test_other_endings_are_refused(self, tmp_path):
        """A picture is an SVG or a PNG."""
        with pytest.raises(BenchError) as error:
            bench.draw(TestTelling.RESULTS, tmp_path / "picture.pdf")
        assert error.value.lines == ["--picture: expected a name ending in .svg or .png, found 'picture.pdf'"]
        assert list(tmp_path.iterdir()) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=30).map(sorted))
    def test_labels_stand_apart(self, wanted):
        """Labels keep their order and a gap; those that have room stay, and the sum of all moves is nought."""
        heights = bench._apart(wanted, 0.03)
        assert all(b - a >= 0.03 - 1e-9 for a, b in pairwise(heights))
        assert sum(heights) == pytest.approx(sum(wanted), abs=1e-6)
        if all(b - a >= 0.03 for a, b in pairwise(wanted)):
            assert heights == pytest.approx(wanted)
