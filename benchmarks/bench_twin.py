"""The reference model against its twin in idiomatic SimPy: the same stock, orders and trucks, the same facts.

Both are set up before the clock starts. The product draws its demand in the run, the twin reads it from a
list.
"""

from collections import Counter
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.ratios import best_of, ratio
from benchmarks.twin import Given, Told, Twin, given, told_of
from sim.calendar import DAY_MS
from sim.facts import BY_NUMBER, KINDS
from sim.scenario import Scenario, load
from sim.simulation import Simulation

DAYS = 28
ROUNDS = 7
NEAR = 0.005
"""Mean times may differ by half a per cent: of two tours that are equally long each takes its own."""
MOST_UNLIKE = 0.02
"""So much of the facts may differ, beside the name of the person who does a piece of work."""


def scenario(days: int) -> Scenario:
    """The reference store over so many days."""
    return load("luoyang", [f"time.days={days}"]).scenario


def check(ours: Told, theirs: Told) -> None:
    """Raise unless both have come to the same: totals and rows of every kind equal, mean times near."""
    for name, our, their in zip(Told._fields, ours, theirs, strict=True):
        if name.endswith("_s"):
            assert abs(their / our - 1) <= NEAR, f"{name}: {our} and {their}"
        else:
            assert our == their, f"{name}: {our} and {their}"


def unlike(simulation: Simulation, twin: Twin) -> float:
    """The share of facts that only one of the two has, the names of persons left out."""
    kinds = [KINDS[row["kind"]] for row in twin.rows]
    theirs = Counter(
        _without_names((row["time"], kind.number, *(row[field] for field in kind.fields)))
        for row, kind in zip(twin.rows, kinds, strict=True)
    )
    ours = Counter(map(_without_names, simulation.trace.rows()))
    return (ours - theirs).total() / ours.total()


def _without_names(row: tuple[int, ...]) -> tuple[int, ...]:
    fields = ("time_ms", "kind", *BY_NUMBER[row[1]].fields)
    return tuple(value for field, value in zip(fields, row, strict=True) if field != "person")


def ready(scn: Scenario) -> Callable[[], object]:
    """A run of the product that is ready to begin."""
    simulation = Simulation(scn)

    def work() -> str:
        simulation.advance(scn.time.days * DAY_MS)
        return simulation.trace.digest()

    return work


def ready_twin(scn: Scenario, inputs: Given) -> Callable[[], object]:
    """A run of the twin that is ready to begin."""
    twin = Twin(scn, inputs)
    return lambda: twin.run(scn.time.days * DAY_MS)


def measure(rounds: int = ROUNDS, days: int = DAYS) -> dict[str, float]:
    """CPU microseconds a box move of the product and of its twin, which must come to the same."""
    scn = scenario(days)
    inputs, simulation = given(scn), Simulation(scn)
    twin = Twin(scn, inputs)
    simulation.advance(days * DAY_MS)
    twin.run(days * DAY_MS)
    ours = told_of(simulation)
    check(ours, twin.told())
    share = unlike(simulation, twin)
    assert share <= MOST_UNLIKE, f"{share:.2%} of the facts differ"
    del simulation, twin
    best = best_of(rounds, product=lambda: ready(scn), twin=lambda: ready_twin(scn, inputs))
    return {name: 1e6 * seconds / ours.box_moves for name, seconds in best.items()} | {"unlike": share}


def test_against_idiomatic_simpy(benchmark: BenchmarkFixture) -> None:
    """CPU time of the twin over that of the product, all facts kept and hashed by both."""
    us = measure() if benchmark.enabled else measure(1, 9)
    benchmark.extra_info.update(
        us_a_move_of_the_product=round(us["product"], 1), us_a_move_of_the_twin=round(us["twin"], 1),
        unlike_facts=round(us["unlike"], 5),
    )  # fmt: skip
    ratio(
        benchmark, "complete model, box moves", us["twin"] / us["product"], at_least=8.0,
        against="the same store in idiomatic SimPy",
    )  # fmt: skip
    scn = scenario(DAYS if benchmark.enabled else 9)
    benchmark.pedantic(lambda work: work(), setup=lambda: ((ready(scn),), {}), rounds=3)
