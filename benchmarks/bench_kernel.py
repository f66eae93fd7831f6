"""The product's dispatch loop against the same queue in idiomatic SimPy: jobs done in the same CPU time."""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.kernel import Job, Product, Told, Twin, draw
from benchmarks.ratios import best_of, ratio

JOBS = 5_000
ROUNDS = 15


def prepare(model: type[Product] | type[Twin], jobs: list[Job], expected: Told) -> Callable[[], object]:
    """A run that is ready to begin, and that must tell what is expected."""
    run = model(jobs).run

    def work() -> None:
        assert run() == expected

    return work


def measure(rounds: int = ROUNDS, count: int = JOBS) -> dict[str, float]:
    """CPU microseconds a job of the product and of its twin; every run must tell the same of every job."""
    jobs = draw(count)
    expected = Twin(jobs).run()
    assert expected.jobs == count
    assert min(expected.flows) > 0
    best = best_of(
        rounds,
        product=lambda: prepare(Product, jobs, expected),
        twin=lambda: prepare(Twin, jobs, expected),
    )
    return {name: 1e6 * seconds / count for name, seconds in best.items()}


def test_against_idiomatic_simpy(benchmark: BenchmarkFixture) -> None:
    """CPU time of the twin over that of the product, for the same jobs, waits and flow times."""
    us = measure() if benchmark.enabled else measure(1, 500)
    benchmark.extra_info.update({f"us_a_job_of_the_{name}": round(value, 2) for name, value in us.items()})
    ratio(
        benchmark, "dispatch loop, jobs done", us["twin"] / us["product"], at_least=5.0,
        against="idiomatic SimPy, a process a job",
    )  # fmt: skip
    jobs = draw(JOBS if benchmark.enabled else 500)
    benchmark.pedantic(lambda model: model.run(), setup=lambda: ((Product(jobs),), {}), rounds=3)
