"""Where the time of a box move goes: events, calls and own time by part of the model, of the reference store.

Recording and hashing is timed alone, by doing it again with the facts of the run. The rest is shared out by
own time from cProfile, a call of C counted to the Python function that makes it. A profiler costs more where
calls are short, so that shares lean towards parts with many small calls. Counts are exact.
"""

import cProfile
import pstats
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from benchmarks.bench_model import bare_timeouts, box_moves
from benchmarks.ratios import best_of
from sim.calendar import DAY_MS
from sim.scenario import load
from sim.simulation import Simulation
from sim.trace import Trace

DAYS: Final = 28
TIMEOUTS: Final = 100_000

PARTS: Final = {
    "events (SimPy, clock)": ("simpy", "clock"),
    "recording and hashing": ("trace",),
    "robots, tours and travel": ("robots", "tours", "travel", "battery"),
    "people": ("people",),
    "store: verbs and truth": ("warehouse", "stock", "faults", "mishaps", "flows", "counting", "reads"),
    "ledger": ("ledger",),
    "policies": ("allocation", "slots", "retrieval", "turnover"),
    "demand, supply, calendar": ("orders", "calendar", "simulation"),
    "random numbers": ("streams",),
}
"""The parts of the model by module; what stands in none of them is `everything else`."""

_OTHER: Final = "everything else"
_RECORDING: Final = "recording and hashing"


def a_run(days: int = DAYS) -> Simulation:
    """The reference store as it stands before its first event."""
    return Simulation(load("luoyang", [f"time.days={days}"]).scenario)


def run(simulation: Simulation, days: int = DAYS) -> str:
    """The run with all its facts kept and hashed."""
    simulation.advance(days * DAY_MS)
    return simulation.trace.digest()


def python_calls(work: Callable[[], object]) -> int:
    """How many Python functions and generators are entered; calls of C are not counted."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event == "call":
            calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def counts(days: int = DAYS) -> dict[str, float]:
    """Exact counts of a box move: events through SimPy's queue, Python calls and rows of facts."""
    simulation = a_run(days)
    before, rows = next(simulation.env._eid), len(simulation.trace)
    calls = python_calls(lambda: simulation.advance(days * DAY_MS))
    moves = box_moves(simulation)
    return {
        "moves": moves,
        "events": (next(simulation.env._eid) - before - 1) / moves,
        "calls": calls / moves,
        "rows": (len(simulation.trace) - rows) / moves,
    }


def part_of(file: str) -> str:
    """The part of the model to which a function of Python belongs."""
    path = Path(file)
    module = "simpy" if "simpy" in path.parts else path.stem
    return next((part for part, modules in PARTS.items() if module in modules), _OTHER)


def shares(days: int = DAYS) -> dict[str, float]:
    """The share of own time of each part, the largest first."""
    simulation, profile = a_run(days), cProfile.Profile()
    profile.runcall(run, simulation, days)
    own: Counter[str] = Counter()
    stats: dict[tuple[str, int, str], tuple[Any, ...]] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, _), (_, _, seconds, _, callers) in stats.items():
        if file != "~":
            own[part_of(file)] += seconds
            continue
        for (caller, _, _), (_, _, its_seconds, _) in callers.items():
            own[part_of(caller)] += its_seconds
    total = sum(own.values())
    return {part: seconds / total for part, seconds in own.most_common()}


def rows_again(rows: list[tuple[int, ...]]) -> str:
    """The facts of a run recorded and hashed again, with nothing between them."""
    trace = Trace(15)
    record = trace.record
    for row in rows:
        record(row)
    return trace.digest()


def figures(rounds: int = 7, days: int = DAYS) -> dict[str, Any]:
    """Everything: microseconds of a move, of its parts and of a timeout, and the counts."""
    done = a_run(days)
    digest, rows = run(done, days), list(done.trace.rows())

    def model() -> Callable[[], object]:
        simulation = a_run(days)

        def work() -> None:
            assert run(simulation, days) == digest

        return work

    def recording() -> None:
        assert rows_again(rows) == digest

    best = best_of(rounds, bare=lambda: bare_timeouts, model=model, recording=lambda: recording)
    moves = box_moves(done)
    us, alone = (1e6 * best[name] / moves for name in ("model", "recording"))
    own = shares(days)
    others = 1 - own.pop(_RECORDING)
    parts = {_RECORDING: alone, **{part: share / others * (us - alone) for part, share in own.items()}}
    counted = counts(days)
    return {
        "days": days,
        "digest": digest,
        "moves": moves,
        "us_a_move": round(us, 2),
        "us_a_timeout": round(1e6 * best["bare"] / TIMEOUTS, 4),
        "moves_a_timeout": round(best["bare"] / TIMEOUTS / (best["model"] / moves), 4),
        "counts_a_move": {name: round(counted[name], 3) for name in ("events", "calls", "rows")},
        "parts": {
            part: {"us": round(value, 2), "share": round(value / us, 4)}
            for part, value in sorted(parts.items(), key=lambda item: -item[1])
        },
    }
