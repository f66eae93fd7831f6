"""What size costs: stores of 258, 2,580 and 25,800 slots, and many stores side by side.

The larger stores are reference stores end to end and side by side, with robots, people, demand and trucks in
proportion. All run in turn, a few hundred box moves at a time, so that what others do on the machine falls on
each alike; the figure is the CPU time of a box move in the largest beside one in the smallest. Building (the
layout, the rank orders, the days before time 0) is measured apart.
"""

import math
import time
from typing import NamedTuple

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.ratios import cpu_s, ratio
from sim.engines import Local
from sim.facts import BOX_MOVED
from sim.jobs import Outcome, make_jobs, run_job
from sim.scenario import Scenario, from_dict, load, resolved
from sim.simulation import Simulation

HOUR_MS = 3_600_000
MOVES = 4_000
"""Box moves that every store makes."""
ROUNDS = 8


class Size(NamedTuple):
    """How many reference stores stand end to end and side by side, and how many robots there are."""

    long: int
    wide: int
    robots: int


SIZES = {258: Size(1, 1, 1), 1_032: Size(2, 2, 2), 2_580: Size(2, 5, 5), 25_800: Size(4, 25, 50)}
"""Stores by their slots, from 2 aisles of 13 columns with one robot to 50 aisles of 52 columns with fifty."""


def store(size: Size, days: int) -> Scenario:
    """Reference stores grown together: the racks, box places and port openings of each as they are in one.

    Every pair of aisles has a port for boxes that come in; one in the middle serves all that go out. There
    are two people, ten orders a day, a charger, staging and places at the outbound port for each robot.
    """
    long, wide, robots = size
    columns = 13 * long
    digits = max(2, len(str(columns)))
    values = resolved(load("luoyang", [f"time.days={days}"]).scenario)
    values["name"] = f"store of {258 * long * wide} slots"
    values["layout"] |= {
        "rows": 4 * wide, "columns": columns, "profile": "uniform", "boxes_per_slot": 10,
        "omit": [
            f"{4 * w + row}-{13 * k + 1:0{digits}d}-1"
            for w in range(wide) for k in range(long) for row in (2, 3)
        ],
        "capacity": [
            {"rows": [4 * w + 1 for w in range(wide)], "levels": [5], "boxes": 5},
            {
                "rows": [4 * w + 4 for w in range(wide)], "levels": [5], "boxes": 5,
                "columns": [13 * k + column for k in range(long) for column in range(1, 9)],
            },
        ],
        "ports": [
            *({"name": f"in {w + 1}", "aisle": 2 * w + 1, "serves": "in"} for w in range(wide)),
            {"name": "out", "aisle": 2 * (wide // 2) + 2, "serves": "out", "out_places": 8 * robots},
        ],
        "chargers": [{"aisle": 1 + 2 * wide * robot // robots} for robot in range(robots)],
    }  # fmt: skip
    values["robots"]["count"] = robots
    values["people"]["count"] = 2 * robots
    values["demand"]["orders_per_day"] = 10 * robots
    staging = values["staging"]
    values["staging"] = {key: most * robots for key, most in staging.items()}
    return from_dict(values)


class Run:
    """A run that goes on by box moves: boxes that robots set down in a slot or at a port."""

    def __init__(self, scenario: Scenario) -> None:
        self.simulation = Simulation(scenario)
        layout = self.simulation.layout
        self._places = [*range(layout.slots), *(port.place for port in layout.ports)]
        self._seen = len(self.simulation.trace)
        self.moves = 0

    def on(self, moves: int) -> float:
        """Go on, an hour at a time, until so many moves are made in all; gives the CPU seconds of it."""
        seconds = 0.0
        while self.moves < moves:
            until = self.simulation.now_ms + HOUR_MS
            assert until <= self.simulation.end_ms, "the run is too short for so many moves"
            begun = time.process_time()
            self.simulation.advance(until)
            seconds += time.process_time() - begun
            self._count()
        return seconds

    def _count(self) -> None:
        for _, _, moved in self.simulation.trace.records(self._seen, {BOX_MOVED}):
            down = (moved["robot"] >= 0) & np.isin(moved["to_place"], self._places)
            self.moves += int(down.sum())
        self._seen = len(self.simulation.trace)


def test_move_over_size(benchmark: BenchmarkFixture) -> None:
    """CPU time of a box move, and of building a slot, in the largest store beside the smallest."""
    slots = [258, 2_580, 25_800] if benchmark.enabled else [258, 1_032]
    moves = MOVES if benchmark.enabled else 400
    first, last = slots[0], slots[-1]
    runs: dict[int, Run] = {}

    def build(each: int) -> float:
        scenario = store(SIZES[each], 84)
        return cpu_s(lambda: runs.update({each: Run(scenario)})) / each

    by_slot = {each: build(each) for each in slots}
    by_slot[first] = min(build(first) for _ in range(5))
    spent = dict.fromkeys(slots, 0.0)
    for part in range(1, ROUNDS + 1):
        for each, run in runs.items():
            spent[each] += run.on(moves * part // ROUNDS)
    for each, run in runs.items():
        run.simulation.check()
        assert run.simulation.layout.slots == each
        assert run.simulation.layout.boxes * 258 == 2_475 * each
        assert run.moves >= moves
    by_move = {each: spent[each] / run.moves for each, run in runs.items()}
    benchmark.extra_info["us_per_move"] = {each: round(1e6 * cost, 1) for each, cost in by_move.items()}
    benchmark.extra_info["us_per_slot"] = {each: round(1e6 * cost) for each, cost in by_slot.items()}
    log_n = math.log(last) / math.log(first)  # n log n in all, so log n for each
    ratio(
        benchmark, f"a box move at {last:,} slots", by_move[last] / by_move[first], at_most=log_n,
        against=f"the same at {first:,} slots",
    )  # fmt: skip
    ratio(
        benchmark, f"building a slot of {last:,}", by_slot[last] / by_slot[first], at_most=log_n,
        against=f"the same of {first:,} slots",
    )  # fmt: skip
    benchmark.pedantic(lambda: Run(store(SIZES[258], 84)).on(moves // 10), rounds=3)


def moved(outcome: Outcome) -> int:
    """Box moves of a replication."""
    return int(outcome.kpis["box_moves"]["value"])


def test_many_stores(benchmark: BenchmarkFixture) -> None:
    """Stores of the reference size side by side, for each move, beside one of them here."""
    count = 12 if benchmark.enabled else 3
    values = resolved(load("luoyang", ["time.days=7"]).scenario)
    jobs = list(make_jobs(0, values, 1, range(count)))
    run_job(jobs[0])
    alone = [run_job(job) for job in jobs[:3]]
    found = list(Local().run(jobs, workers=2))
    assert all(isinstance(each, Outcome) for each in found)
    outcomes = {each.key: each for each in found if isinstance(each, Outcome)}
    assert [outcomes[each.key].digest for each in alone] == [each.digest for each in alone]
    moves = sum(map(moved, outcomes.values()))
    together = sum(each.seconds for each in outcomes.values()) / moves
    by_one = sum(each.seconds for each in alone) / sum(map(moved, alone))
    benchmark.extra_info.update(stores=count, moves=moves, us_per_move=round(1e6 * together, 1))
    ratio(
        benchmark, f"a box move in {count} stores side by side", together / by_one, at_most=1.5,
        against="one store in this process",
    )  # fmt: skip
    benchmark.pedantic(lambda: run_job(jobs[0]), rounds=3)


@pytest.mark.parametrize("slots", SIZES)
def test_stores_are_in_proportion(benchmark: BenchmarkFixture, slots: int) -> None:
    """Every store has the meters for each slot, the aisles for each row and the ports that it should."""
    from sim.scenario import build_layout

    layout = build_layout(store(SIZES[slots], 1))
    assert (layout.slots, layout.meters) == (slots, 37_125 * slots // 258)
    assert layout.aisles == 2 * SIZES[slots].wide
    benchmark.pedantic(lambda: build_layout(store(SIZES[258], 1)), rounds=1)
