"""Long runs and large stores: what stays in memory, and how much work a move is, in exact counts."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench_scale import Run, Size, store
from sim import tables, trace
from sim.kpis import RunFacts, compute
from sim.scenario import from_dict, load, resolved
from sim.simulation import Simulation
from sim.trace import BLOCKS_HERE, Trace, read_facts, write_facts
from sim.travel import Travel

DAY_MS = 86_400_000


def blocks_here(of: Trace) -> int:
    """How many blocks of facts a trace holds in memory."""
    return sum(block._away is None for block in of._blocks)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Blocks of 50 facts, put away under a folder of the test's own."""
    monkeypatch.setattr(trace, "BLOCK_ROWS", 50)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def run_of(name: str = "tiny", days: int = 20) -> Simulation:
    simulation = Simulation(load(name, [f"time.days={days}"]))
    simulation.advance(days * DAY_MS)
    simulation.trace.seal()
    return simulation


class TestFactsAreAway:
    def test_few_blocks_stay(self, small_blocks):
        """However long a run lasts, the latest few blocks are in memory, and the folder shows no file."""
        simulation = Simulation(load("tiny", ["time.days=20"]))
        for day in range(1, 21):
            simulation.advance(day * DAY_MS)
            simulation.trace.seal()
            assert blocks_here(simulation.trace) <= BLOCKS_HERE
        assert len(simulation.trace._blocks) > 10 * BLOCKS_HERE
        assert list(small_blocks.iterdir()) == []

    def test_readers_see_the_same(self, monkeypatch, tmp_path):
        """Digest, tables, rows, records and packed facts do not tell where the facts lie."""
        whole = run_of().trace
        monkeypatch.setattr(trace, "BLOCK_ROWS", 50)
        parted = run_of().trace
        assert (len(whole._blocks), blocks_here(parted)) == (1, BLOCKS_HERE)
        assert (parted.digest(), parted.demand_digest()) == (whole.digest(), whole.demand_digest())
        assert (len(parted), parted.last_ms) == (len(whole), whole.last_ms)
        for start in (0, 49, 50, 777, len(whole) - 1, len(whole)):
            assert list(parted.rows(start)) == list(whole.rows(start))
            ours, theirs = (
                [b"".join(parts) for parts in zip(*each.packed(start), strict=True)]
                for each in (parted, whole)
            )
            assert ours == theirs
        for name in trace.KINDS:
            expected = whole.table(name)
            for found in (parted.table(name), parted.columns(name), whole.columns(name)):
                assert list(found) == list(expected)
                assert all((found[column] == values).all() for column, values in expected.items())
        moved = {trace.KINDS["box_moved"].number}
        seq = np.concatenate([numbers for _, numbers, _ in parted.records(60, moved)])
        expected = whole.table("box_moved")["seq"]
        assert (seq == expected[expected >= 60]).all()

    def test_folder_gives_them_back(self, small_blocks, monkeypatch):
        """Parts of a folder hold several blocks, and what is read from it is put away as well."""
        monkeypatch.setattr(trace, "PART_ROWS", 1_000)
        written = run_of().trace
        write_facts(written, small_blocks / "facts")
        manifest = json.loads((small_blocks / "facts" / "manifest.json").read_text())
        assert {part["rows"] for part in manifest["parts"][:-1]} == {1_000}
        again = read_facts(small_blocks / "facts")
        assert again.digest() == written.digest()
        assert blocks_here(again) == BLOCKS_HERE

    def test_full_disk_is_survived(self, small_blocks, monkeypatch):
        """Where nothing can be put away the facts stay in memory, and the run goes on."""

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        expected = run_of().trace.digest()
        monkeypatch.setattr("os.pwrite", full)
        kept = run_of().trace
        assert blocks_here(kept) == len(kept._blocks) > BLOCKS_HERE
        assert kept.digest() == expected

    def test_fork_has_its_own_file(self, small_blocks):
        """A forked process goes on with the same facts and spoils none of its parent."""
        simulation = Simulation(load("tiny", ["time.days=20"]))
        simulation.advance(10 * DAY_MS)
        simulation.trace.seal()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            simulation.advance(20 * DAY_MS)
            os.write(write, simulation.trace.digest().encode())
            list(simulation.trace.rows())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        simulation.advance(20 * DAY_MS)
        rows = list(simulation.trace.rows())
        assert os.read(read, 64).decode() == simulation.trace.digest()
        assert rows == list(run_of().trace.rows())
        os.close(read)
        os.close(write)

    def test_columns_are_cut_when_asked(self):
        """A table of a run has only those columns in memory that somebody has asked for."""
        moved = run_of().trace.columns("box_moved")
        assert moved.nbytes == 0
        rows = moved["box"].size
        chosen = moved.chosen(moved["robot"] >= 0)
        assert moved.nbytes == 2 * 8 * rows
        assert chosen["task"].size == int((moved["robot"] >= 0).sum())
        assert {**moved}.keys() == trace.Trace(15).table("box_moved").keys()
        with pytest.raises(KeyError, match="slot"):
            moved["slot"]


class TestKpisForget:
    def test_little_room_changes_nothing(self, monkeypatch):
        """KPIs and weekly values are the same when tables are computed again and again."""
        from sim.jobs import make_jobs, run_job

        values = resolved(load("luoyang_records", ["time.days=14", "time.warmup_days=3"]).scenario)
        job = next(make_jobs(0, values, 1, [0]))
        expected = run_job(job)
        monkeypatch.setattr(tables, "MOST_KEPT_BYTES", 1)
        found = run_job(job)
        assert (found.kpis, found.weeks) == (expected.kpis, expected.weeks)

    def test_room_is_kept_to(self, monkeypatch):
        """Whenever a table is added, the ones before it have no more bytes than allowed."""
        monkeypatch.setattr(tables, "MOST_KEPT_BYTES", 100_000)
        facts = RunFacts.of(run_of("luoyang", 28).result())
        compute(facts)
        facts._keep("one more", lambda _: np.zeros(10, np.int64))
        sizes = [tables._bytes_of(value) for value in facts._kept.values()]
        assert sum(sizes[:-1]) <= 100_000

    def test_boxes_in_parts(self, monkeypatch):
        """Truth and record side by side are the same table in one go and for a few boxes at a time."""
        result = run_of("luoyang_records", 14).result()
        whole = RunFacts.of(result).both_sides
        monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 100)
        parted = RunFacts.of(result).both_sides
        assert all((parted[name] == column).all() for name, column in whole.items())


def calls(work: Callable[[], object]) -> int:
    """How many Python functions a piece of work calls, generators that go on included."""
    count = 0

    def heard(_frame: object, event: str, _value: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(heard)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def grown(slots: Size, sets: dict[str, dict[str, object]]) -> Run:
    values = resolved(store(slots, 28))
    for section, changes in sets.items():
        values[section] |= changes
    return Run(from_dict(values))


SMALL, LARGE = Size(1, 1, 2), Size(2, 2, 2)
"""258 and 1,032 slots with two robots each."""

ONE, FOUR = Size(1, 1, 1), Size(2, 2, 4)
"""258 and 1,032 slots with demand in proportion: boxes stay as long in one as in the other."""

CHOICES = {
    "as it is": {},
    "full": {"initial": {"fill": 1.0}},
    "first in, first out": {"policy": {"retrieval": "fifo"}},
    "last in, first out": {"policy": {"retrieval": "lifo"}},
}


class TestWorkOverSize:
    @pytest.mark.parametrize("choice", CHOICES)
    def test_calls_per_move(self, choice):
        """A store of four times the slots calls as many functions for a box move."""
        moves, by_size = 300, []
        for size in (SMALL, LARGE):
            run = grown(size, CHOICES[choice])
            by_size.append(calls(lambda run=run: run.on(moves)) / run.moves)
        # Tours reach further and trucks are larger: the same work, not the same steps.
        assert by_size[1] < 1.25 * by_size[0]

    @pytest.mark.parametrize("choice", CHOICES)
    def test_calls_to_build(self, choice):
        """A store of four times the slots calls about four times as many functions to be built."""
        small, large = (calls(lambda size=size: grown(size, CHOICES[choice])) for size in (ONE, FOUR))
        assert large < 4 * 1.25 * small


@pytest.mark.parametrize("axes", ["sequential", "simultaneous"])
class TestPlaces:
    def layout(self, axes, size):
        values = resolved(store(size, 1))
        values["robots"]["axes"] = axes
        scenario = from_dict(values)
        simulation = Simulation(from_dict({**values, "initial": {"fill": 0.0}}))
        return scenario, simulation.layout, Travel(simulation.layout, scenario.robots)

    def test_centre_is_nearest_to_all(self, axes):
        """The centre is the first slot with the least sum of times to all slots."""
        _, layout, travel = self.layout(axes, Size(2, 2, 2))
        sums = [int(travel.one_way_ms(slot).sum()) for slot in range(layout.slots)]
        assert travel.centre() == sums.index(min(sums))
