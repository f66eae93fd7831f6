"""The whole model against a bare SimPy timeout, side by side in one run.

The reference scenario runs with all facts kept and hashed; the figure is box moves for each timeout that a
bare SimPy process makes in the same CPU time. Writing the facts as Parquet is timed apart. Where the time of
a move goes says `benchmarks/where.py`.
"""

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
import simpy
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.ratios import best_of, ratio
from sim.calendar import DAY_MS
from sim.scenario import Scenario, load
from sim.simulation import Simulation
from sim.trace import write_facts

DAYS = 56
TIMEOUTS = 100_000
ROUNDS = 7


def reference() -> Scenario:
    """The reference store over eight weeks."""
    return load("luoyang", [f"time.days={DAYS}"]).scenario


def bare_timeouts() -> int:
    """One process that yields nothing but timeouts."""
    env = simpy.Environment()

    def tick() -> Generator[simpy.Event, object, None]:
        for _ in range(TIMEOUTS):
            yield env.timeout(1)

    env.process(tick())
    env.run()
    return int(env.now)


def run_and_hash(simulation: Simulation) -> str:
    """The run, all its facts kept and hashed."""
    simulation.advance(DAYS * DAY_MS)
    return simulation.trace.digest()


def box_moves(simulation: Simulation) -> int:
    """Boxes that robots set down in a slot or at a port."""
    moved = simulation.trace.table("box_moved")
    ports = [port.place for port in simulation.layout.ports]
    down = (moved["to_place"] < simulation.layout.slots) | np.isin(moved["to_place"], ports)
    return int(((moved["robot"] >= 0) & down).sum())


def test_moves_per_bare_timeout(benchmark: BenchmarkFixture) -> None:
    """Box moves for each bare timeout of the same CPU time: best of each, interleaved."""
    expected = Simulation(reference())
    digest = run_and_hash(expected)
    moves, rows, events = box_moves(expected), len(expected.trace), next(expected.env._eid)
    assert moves == len(expected.trace.table("task_done")["seq"])
    del expected

    def timeouts() -> None:
        assert bare_timeouts() == TIMEOUTS

    def model() -> Callable[[], object]:
        simulation = Simulation(reference())

        def work() -> None:
            assert run_and_hash(simulation) == digest

        return work

    best = best_of(ROUNDS if benchmark.enabled else 1, bare=lambda: timeouts, model=model)
    a_timeout, a_move = best["bare"] / TIMEOUTS, best["model"] / moves
    benchmark.extra_info.update(
        moves=moves,
        moves_per_timeout=round(a_timeout / a_move, 4),
        fact_rows_per_move=round(rows / moves, 2),
        events_per_move=round(events / moves, 2),
        us_per_move=round(1e6 * a_move, 1),
        us_per_timeout=round(1e6 * a_timeout, 3),
    )
    ratio(
        benchmark, "complete model, box moves a timeout", a_timeout / a_move, at_least=0.05,
        against="a process of nothing but timeouts",
    )  # fmt: skip
    benchmark.pedantic(lambda: Simulation(reference()).advance(DAYS * DAY_MS), rounds=3)


def test_parquet_apart(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Writing the facts of a run as Parquet, for each fact."""
    simulation = Simulation(reference())
    simulation.advance(DAYS * DAY_MS)
    folders = iter(tmp_path / str(k) for k in range(1000))
    benchmark.pedantic(lambda: write_facts(simulation.trace, next(folders)), rounds=3)
    benchmark.extra_info["facts"] = len(simulation.trace)


@pytest.mark.parametrize("days", [28, 112])
def test_memory_follows_facts(benchmark: BenchmarkFixture, days: int) -> None:
    """Bytes held for each fact do not depend on the length of the run."""
    import tracemalloc

    def held() -> float:
        tracemalloc.start()
        simulation = Simulation(load("luoyang", [f"time.days={days}"]))
        simulation.advance(days * DAY_MS)
        simulation.trace.seal()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size / len(simulation.trace)

    per_fact = benchmark.pedantic(held, rounds=1)
    benchmark.extra_info["bytes_per_fact"] = round(per_fact)
    assert per_fact < 400
