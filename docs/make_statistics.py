"""Measure what the statistics promise: how often intervals hold, how often the best system is selected.

Prints a table and writes docs/studies/statistics.json. Each row is a share of trials in which something held,
with its exact interval at the 99.9 % level, against what it should be. Rows marked as a warning show what
goes wrong without the precaution. Takes some two minutes; every figure is a function of the seeds below.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from sim.designs import Range
from sim.influence import Saltelli
from sim.kpis import RunFacts, compute
from sim.scenario import load
from sim.selection import KN, Procedure, Rinott
from sim.simulation import Simulation
from sim.statistics import (
    Interval,
    Precision,
    batch_means,
    family,
    quantile_interval,
    share_interval,
    t_interval,
)
from sim.warmup import advise, mser

FILE: Final = Path(__file__).parent / "studies" / "statistics.json"
SEED: Final = 20260302
LEVEL: Final = 0.999
"""Level of the interval of each share found."""
_MUCH_LESS: Final = 0.935
"""A 95 % interval that holds less often than this is marked as a warning."""
GROUP: Final = 10
"""Replications of which one interval of the store is made."""
STORES: Final[dict[str, tuple[str, tuple[str, ...], int]]] = {
    "two days of the tiny store": ("tiny", (), 400),
    "a week of the reference store": ("luoyang", ("time.days=7", "time.warmup_days=0"), 600),
}  # fmt: skip
STORE_KPI: Final = ("order_cycle_time_s", "p95")

_NORMAL_975: Final = 1.959963984540054

Floats = NDArray[np.float64]
Relation = Literal["=", ">=", "<="]


class Row(NamedTuple):
    """A share of trials against what it should be, or an estimate against a known value."""

    what: str
    nominal: float
    """What is promised, or hoped for."""
    relation: Relation
    expected: float
    """What the interval of the share must be in accord with: the promise, or a known answer."""
    found: Interval
    warning: bool = False

    @property
    def ok(self) -> bool:
        """Whether what was found is in accord with what is expected."""
        if self.relation == ">=":
            return self.found.high >= self.expected
        if self.relation == "<=":
            return self.found.low <= self.expected
        return self.expected in self.found

    def to_json(self) -> dict[str, Any]:
        """The row, ready for JSON, to six digits."""
        found = {
            "found": self.found.mean, "n": self.found.n, "low": self.found.low, "high": self.found.high,
        }  # fmt: skip
        row = {
            "what": self.what, "nominal": self.nominal, "relation": self.relation, "expected": self.expected,
            **found, "warning": self.warning, "ok": self.ok,
        }  # fmt: skip
        return {key: float(f"{value:.6g}") if type(value) is float else value for key, value in row.items()}


# -- Intervals ------------------------------------------------------------------------------------------


def intervals(trials: int) -> Iterator[Row]:
    """Student's t on normal values, and two ordered values of skewed ones: both are exact."""
    rng = _generator("intervals")
    held = [0.0 in t_interval(values) for values in _normal(rng, trials, 10).tolist()]
    yield _row("95 % t interval of 10 normal values", 0.95, "=", held)
    for n, share, exact in ((20, 0.5, 0.9586), (100, 0.95, 0.9826)):
        true = -math.log(1.0 - share)
        held = [true in quantile_interval(values, share) for values in _exponential(rng, trials, n).tolist()]
        what = f"95 % interval of the {100 * share:.0f} % quantile of {n} exponential values"
        yield _row(what, 0.95, "=", held, expected=exact)


def long_runs(trials: int) -> Iterator[Row]:
    """Batch means of an AR(1) series with phi = 0.8, and what the plain t interval does to it."""
    rng = _generator("long runs")
    # Without batches the error is taken for a third of what it is: the standard deviation of the mean is
    # sqrt((1 + phi) / (1 - phi)) = 3 times that of independent values.
    plain = float(2.0 * ndtr(_NORMAL_975 / 3.0) - 1.0)
    for n, batched, many in ((1_000, 0.939, trials), (10_000, 0.95, trials // 2)):
        by_batches, by_all, seen = [], [], []
        for _ in range(many):
            values = _autoregressive(rng, n, 0.8)
            means = batch_means(values)
            by_batches.append(0.0 in means.interval)
            seen.append(not means.independent)
            by_all.append(0.0 in t_interval(values))
        series = f"{n:,} values of AR(1), phi 0.8"
        yield _row(f"95 % interval from 20 batch means of {series}", 0.95, "=", by_batches, expected=batched)
        yield _row(f"plain t interval of {series}", 0.95, "=", by_all, expected=plain, warning=True)
    alarms = [not batch_means(values).independent for values in _normal(rng, trials, 200).tolist()]
    yield _row("batches called too short though all is independent", 0.05, "<=", alarms)
    short = [not batch_means(_autoregressive(rng, 100, 0.8)).independent for _ in range(trials)]
    yield _row("batches of 5 of AR(1), phi 0.8, called too short", 0.5, ">=", short)


def stopping(trials: int) -> Iterator[Row]:
    """Replications of an exponential value until the half-width is as wished, a share of the mean.

    The known answers are those of 20,000 trials with other seeds: a rule that looks at what it stops gives a
    little away, more so the coarser the wish, and most without the look-ahead.
    """
    rng = _generator("stopping")
    for rule, expected, many in (
        (Precision(0.1), 0.945, trials // 4),
        (Precision(0.2), 0.938, trials),
        (Precision(0.2, start=3, look_ahead=0), 0.930, trials),
        (Precision(0.4), 0.917, trials),
        (Precision(0.4, start=3, look_ahead=0), 0.884, trials),
    ):
        held = []
        for _ in range(many):
            values: list[float] = []
            stop = None
            while stop is None:
                values += _exponential(rng, 1, 50)[0].tolist()
                stop = rule.stops_at(values)
            held.append(1.0 in t_interval(values[:stop]))
        how = f"from {rule.start}, look-ahead {rule.look_ahead}"
        what = f"95 % t interval stopped at {100 * rule.half_width:.0f} %, {how}"
        yield _row(what, 0.95, "=", held, expected=expected, warning=expected < _MUCH_LESS)


def families(trials: int) -> Iterator[Row]:
    """Ten systems against one they share, 20 replications; none differs, or half of them do."""
    rng = _generator("families")
    plain, corrected, together, holm, power = [], [], [], [], []
    for _ in range(trials):
        control, *others = _normal(rng, 11, 20).tolist()
        pairs = [(other, control) for other in others]
        plain.append(any(each.differs for each in family(pairs, correction="none")))
        found = family(pairs)
        corrected.append(any(each.differs for each in found))
        together.append(all(0.0 in each.interval for each in found))
        shifted = [([x + 1.0 for x in other], control) for other in others[:5]] + pairs[5:]
        by_holm, by_bonferroni = family(shifted, correction="holm"), family(shifted)
        holm.append(any(each.differs for each in by_holm[5:]))
        found_by = [sum(each.differs for each in result[:5]) for result in (by_holm, by_bonferroni)]
        power.append(found_by[0] >= found_by[1])
    yield _row("any of 10 false differences, uncorrected", 0.05, ">=", plain, expected=0.2, warning=True)
    yield _row("any of 10 false differences, Bonferroni", 0.05, "<=", corrected)
    yield _row("all of 10 intervals hold, Bonferroni", 0.95, ">=", together)
    yield _row("any of 5 false differences beside 5 true ones, Holm", 0.05, "<=", holm)
    yield _row("Holm finds no fewer true differences than Bonferroni", 1.0, "=", power)


def warm_ups(trials: int) -> Iterator[Row]:
    """Advice on a warm-up of 1 week, from 20 weeks of 3 runs: weeks that never change, and that settle."""
    rng = _generator("warm-ups")
    raw, false, true = [], [], []
    transient = 4.0 * np.exp(-np.arange(20) / 3.0)
    for _ in range(trials):
        weeks = _normal(rng, 3, 20)
        raw.append(mser(weeks.mean(axis=0).tolist(), batch=1).cut > 1)
        false.append(advise(weeks.tolist(), 1).enough is False)
        true.append(advise((weeks + transient).tolist(), 1).enough is False)
    yield _row(
        "MSER cuts more than 1 week of weeks that never change", 0.05, ">=", raw, expected=0.2, warning=True
    )
    yield _row("a warm-up called too short though weeks never change", 0.05, "<=", false)
    yield _row("a warm-up called too short that is", 0.95, ">=", true)


# -- Selection ------------------------------------------------------------------------------------------

DEVIATIONS: Final = (1.0, 1.5, 2.0, 2.5, 3.0)


def selection(trials: int) -> Iterator[Row]:
    """Five systems of unequal variance, the best one better by delta = 1 than the rest, first and last."""
    rng = _generator("selection")
    for name, make, common in (
        ("KN", lambda: KN(5, 1.0), 0.0),
        ("KN, common random numbers", lambda: KN(5, 1.0), 2.0),
        ("Rinott", lambda: Rinott(5, 1.0), 0.0),
        ("NSGS", lambda: Rinott(5, 1.0, screen=True), 0.0),
    ):
        for place, best in (("first", 0), ("last", 4)):
            right = [_select(make(), rng, best, common) == best for _ in range(trials)]
            yield _row(f"{name} selects the best of 5, which comes {place}", 0.95, ">=", right)


def _select(procedure: Procedure, rng: np.random.Generator, best: int, common: float) -> int | None:
    """The system selected, its values being normal; what they have in common has this deviation."""
    means = [1.0 if system == best else 0.0 for system in range(5)]
    while procedure.selected is None:
        for own, shared in zip(_normal(rng, 100, 5).tolist(), _normal(rng, 1, 100)[0].tolist(), strict=True):
            procedure.add(
                {
                    system: means[system] + DEVIATIONS[system] * own[system] + common * shared
                    for system in procedure.wanted
                }
            )
            if procedure.selected is not None:
                break
    return procedure.selected


# -- Influence ------------------------------------------------------------------------------------------

ISHIGAMI: Final = {"x": (0.3139, 0.5576), "y": (0.4424, 0.4424), "z": (0.0, 0.2437)}
"""First and total index of each factor, for a = 7 and b = 0.1 (Ishigami and Homma 1990)."""


def ishigami(cell: dict[str, Any]) -> float:
    """The function of Ishigami and Homma: one factor acts alone, two together."""
    x, y, z = cell["x"], cell["y"], cell["z"]
    return float(math.sin(x) + 7.0 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x))


def influence(points: int) -> Iterator[Row]:
    """Sobol indices of the Ishigami function, from points (a power of 2) times 5 cells."""
    n = 1 << max(5, (points - 1).bit_length())
    design = Saltelli(dict.fromkeys(ISHIGAMI, Range(-math.pi, math.pi)), n, SEED)
    found = design.indices([ishigami(cell) for cell in design.cells], level=LEVEL)
    for name, (first, total) in ISHIGAMI.items():
        yield Row(f"Ishigami function, first index of {name}", first, "=", first, found[name].first)
        yield Row(f"Ishigami function, total index of {name}", total, "=", total, found[name].total)


# -- The store ------------------------------------------------------------------------------------------


def coverage_of_store(values: Sequence[float], group: int = GROUP, level: float = 0.95) -> Interval:
    """The share of t intervals, each of `group` replications, that hold the mean of all replications.

    The mean of all stands for the true one. It holds each group's own values too, which with g groups makes
    intervals look wider by a factor of sqrt(g / (g - 1)): below 1 % from 50 groups on. Values beyond the last
    whole group are left out. Raises ValueError for fewer than two groups.
    """
    groups = len(values) // group
    if groups < 2:
        raise ValueError(f"expected at least {2 * group} values, found {len(values)}")
    used = values[: groups * group]
    mean = math.fsum(used) / len(used)
    held = sum(mean in t_interval(used[at : at + group], level) for at in range(0, len(used), group))
    return share_interval(held, groups, LEVEL)


def store_rows(values: dict[str, Sequence[float]]) -> Iterator[Row]:
    """The coverage of the 95th percentile of the order cycle time, for each store.

    Of the tiny store one run in twenty-five has an order that waits for the next delivery, hours where others
    take minutes: most groups of ten do not know of it. No interval can tell what was never observed.
    """
    for store, found in values.items():
        what = f"95 % t interval of {GROUP} runs of {store}, p95 of order cycle time"
        if STORES[store][0] == "tiny":
            yield Row(what, 0.95, "<=", 0.5, coverage_of_store(found), warning=True)
        else:
            yield Row(what, 0.95, "=", 0.95, coverage_of_store(found))


def simulate(job: tuple[str, Sequence[int]]) -> list[float]:
    """The KPI of runs of a store, one a seed."""
    store, seeds = job
    name, sets, _ = STORES[store]
    scenario = load(name, list(sets))
    kpi, key = STORE_KPI
    found = [compute(RunFacts.of(Simulation(scenario, seed=seed).finish()))[kpi][key] for seed in seeds]
    missing = [seed for seed, value in zip(seeds, found, strict=True) if value is None]
    if missing:
        raise ValueError(f"expected orders in every run of {store}, found none with seeds {missing}")
    return [float(value) for value in found]


# -- All together ---------------------------------------------------------------------------------------

CASES: Final[dict[str, tuple[Callable[[int], Iterable[Row]], int]]] = {
    "intervals": (intervals, 10_000),
    "long runs": (long_runs, 4_000),
    "stopping": (stopping, 4_000),
    "families": (families, 4_000),
    "warm-ups": (warm_ups, 4_000),
    "selection": (selection, 2_000),
    "influence": (influence, 4_096),
}
"""What is measured, and with how many trials."""


def measure(case: str, trials: int | None = None) -> list[Row]:
    """The rows of a case."""
    work, usual = CASES[case]
    return list(work(usual if trials is None else trials))


def _generator(case: str) -> np.random.Generator:
    return np.random.default_rng([SEED, *case.encode()])


def _normal(rng: np.random.Generator, rows: int, n: int) -> Floats:
    # Uniforms from 2^-54 on: 0 would be infinite.
    return np.asarray(ndtri(rng.random((rows, n)) + 2.0**-54), dtype=np.float64)


def _exponential(rng: np.random.Generator, rows: int, n: int) -> Floats:
    return -np.log1p(-rng.random((rows, n)))


def _autoregressive(rng: np.random.Generator, n: int, phi: float) -> list[float]:
    """A stationary AR(1) series with normal innovations and mean 0: its start has settled."""
    shocks = _normal(rng, 1, n)[0]
    shocks[0] /= math.sqrt(1.0 - phi**2)
    return list(map(float, lfilter([1.0], [1.0, -phi], shocks)))


def _row(
    what: str,
    nominal: float,
    relation: Relation,
    held: Sequence[bool],
    *,
    expected: float | None = None,
    warning: bool = False,
) -> Row:
    wanted = nominal if expected is None else expected
    return Row(what, nominal, relation, wanted, share_interval(sum(held), len(held), LEVEL), warning)


def main() -> int:
    """Measure everything, print the table and write the document; 1 if a promise is not kept."""
    # Jobs of some seconds each, so that two processors end together.
    jobs = [
        (store, range(start, min(start + 100, runs + 1)))
        for store, (_, _, runs) in STORES.items()
        for start in range(1, runs + 1, 100)
    ]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        running = [pool.submit(measure, case) for case in CASES]
        runs: dict[str, list[float]] = {store: [] for store in STORES}
        for (store, _), values in zip(jobs, pool.map(simulate, jobs), strict=True):
            runs[store] += values
            print(f"\r{sum(map(len, runs.values()))} runs", end="", file=sys.stderr, flush=True)
        rows = [row for each in running for row in each.result()]
    print(file=sys.stderr)
    rows += store_rows(dict(runs))
    document = {"seed": SEED, "level": LEVEL, "rows": [row.to_json() for row in rows]}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    width = max(len(row.what) for row in rows)
    print(f"{'what':{width}}  nominal   expected   found       n  99.9 % interval   verdict")
    for row in rows:
        verdict = ("as known" if row.warning else "holds") if row.ok else "FAILS"
        found = row.found
        print(
            f"{row.what:{width}}  {row.nominal:7.4f}  {row.relation:>2}{row.expected:7.4f}  {found.mean:7.4f}"
            f"  {found.n:6}  {found.low:7.4f} {found.high:7.4f}  {verdict}"
        )
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
