"""Measure what size and length cost, and write docs/scale.md and docs/performance/scale.svg.

Each row is measured in a process of its own: CPU seconds, and the most memory that it ever had (`ru_maxrss`).
The figures are those of the machine at hand, which the page names; takes some three minutes of one core.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

MOVES: Final = 20_000
STORES: Final = 150
DAYS: Final = 7
WORKERS: Final = 2
LONG_RUNS: Final = (("tiny", 1), ("tiny", 10), ("luoyang", 1), ("luoyang", 10))


def peak_mb(who: str = "self") -> float:
    """The most memory that this process, or any process that it waited for, ever had."""
    import resource

    return resource.getrusage(getattr(resource, f"RUSAGE_{who.upper()}")).ru_maxrss / 1024


# --- what is measured, each in a process of its own ------------------------------------------------------


def size(slots: int, moves: int) -> dict[str, Any]:
    """Building a store and so many box moves in it; the reference store runs for more than a year."""
    from benchmarks.bench_scale import SIZES, Run, store

    scenario = store(SIZES[slots], 800)
    before, start = peak_mb(), time.process_time()
    run = Run(scenario)
    built, of_building = time.process_time() - start, peak_mb()
    spent = run.on(moves)
    run.simulation.check()
    layout = run.simulation.layout
    return {
        "slots": slots, "meters": layout.meters, "robots": SIZES[slots].robots, "moves": run.moves,
        "build_s": built, "us_per_move": 1e6 * spent / run.moves, "before_mb": before,
        "built_mb": of_building, "mb": peak_mb(),
    }  # fmt: skip


def years(name: str, count: int) -> dict[str, Any]:
    """A run of so many years, a day at a time, and its KPIs."""
    from sim.calendar import DAY_MS
    from sim.kpis import RunFacts, compute
    from sim.scenario import load
    from sim.simulation import Simulation

    simulation = Simulation(load(name, [f"time.days={365 * count}"]))
    before, start = peak_mb(), time.process_time()
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(simulation.now_ms + DAY_MS)
    result = simulation.result()
    ran, of_run = time.process_time() - start, peak_mb()
    start = time.process_time()
    kpis = compute(RunFacts.of(result))
    return {
        "scenario": name, "years": count, "facts": len(simulation.trace),
        "boxes": len(simulation.stock.place), "moves": kpis["box_moves"]["value"], "before_mb": before,
        "run_s": ran, "run_mb": of_run, "kpi_s": time.process_time() - start, "kpi_mb": peak_mb(),
    }  # fmt: skip


def side_by_side(count: int, days: int) -> dict[str, Any]:
    """So many reference stores, each with its own seed, over the engine of studies."""
    from sim.engines import Local
    from sim.jobs import Outcome, make_jobs
    from sim.scenario import load, resolved

    values = resolved(load("luoyang", [f"time.days={days}"]).scenario)
    outcomes = list(Local().run(make_jobs(0, values, 1, range(count)), workers=WORKERS))
    found = [each for each in outcomes if isinstance(each, Outcome)]
    assert len(found) == count
    moves = sum(int(each.kpis["box_moves"]["value"]) for each in found)
    seconds = sum(each.seconds for each in found)
    return {
        "stores": count, "days": days, "moves": moves, "s": seconds, "us_per_move": 1e6 * seconds / moves,
        "mb": peak_mb(), "worker_mb": peak_mb("children"),
    }  # fmt: skip


MEASURES: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "size": size, "years": years, "side_by_side": side_by_side,
}  # fmt: skip


def measured(name: str, *given: object) -> dict[str, Any]:
    """What a measure gives in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), name, json.dumps(given)]
    print(f"    {name} {given}", flush=True)
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return dict(json.loads(found.stdout))


# --- what is written -------------------------------------------------------------------------------------


def machine() -> str:
    """The machine, in words."""
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = named[0] if named else cpu
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def in_rows(head: str, rows: list[str]) -> str:
    """A table of Markdown: names to the left, figures to the right."""
    marks = ["---" if k == 0 else "---:" for k in range(head.count("|") - 1)]
    return "\n".join([head, f"|{'|'.join(marks)}|", *rows])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Time and memory over slots, on logarithmic scales, beside what n, n log n and log n would be."""
    import math

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "meterhouse"
    slots = [row["slots"] for row in rows]
    ratios = {
        "n": [n / slots[0] for n in slots],
        "n log n": [n / slots[0] * math.log(n) / math.log(slots[0]) for n in slots],
        "log n": [math.log(n) / math.log(slots[0]) for n in slots],
    }
    panels = {
        "building the store, CPU s": ([row["build_s"] for row in rows], ("n", "n log n")),
        "a box move, CPU us": ([row["us_per_move"] for row in rows], ("log n", "n")),
        "most memory, MB": ([row["mb"] for row in rows], ("n", "n log n")),
    }
    figure, places = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    for axes, (title, (found, references)) in zip(places, panels.items(), strict=True):
        axes.loglog(slots, found, "o-", color="#16697a", label="measured")
        for name, style in zip(references, (":", "--"), strict=True):
            axes.loglog(slots, [found[0] * each for each in ratios[name]], style, color="0.6", label=name)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("slots")
        axes.set_xticks(slots, [f"{n:,}" for n in slots])
        axes.minorticks_off()
        axes.grid(visible=True, color="0.92")
        axes.legend(frameon=False, fontsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def page(sizes: list[dict[str, Any]], runs: list[dict[str, Any]], province: dict[str, Any]) -> str:
    """The page."""
    first, last = sizes[0], sizes[-1]
    slots = in_rows(
        "| slots | meters | robots | box moves | building, CPU s | a move, CPU us | most memory, MB |",
        [
            f"| {r['slots']:,} | {r['meters']:,} | {r['robots']} | {r['moves']:,} | {r['build_s']:.2f}"
            f" | {r['us_per_move']:.0f} | {r['mb']:.0f} |"
            for r in sizes
        ]
        + [
            (
                f"| {province['stores']} x 258 | {province['stores'] * 37_125:,} | {province['stores']} x 1"
                f" | {province['moves']:,} | in the moves | {province['us_per_move']:.0f}"
                f" | {province['mb']:.0f} + {WORKERS} x {province['worker_mb']:.0f} |"
            )
        ],
    )
    long_runs = in_rows(
        "| run | years | facts | boxes ever | run, CPU s | most memory of the run, MB | KPIs, CPU s"
        " | most memory with KPIs, MB |",
        [
            f"| `{r['scenario']}` | {r['years']} | {r['facts']:,} | {r['boxes']:,} | {r['run_s']:.1f}"
            f" | {r['run_mb']:.0f} | {r['kpi_s']:.1f} | {r['kpi_mb']:.0f} |"
            for r in runs
        ],
    )
    by_slot = 1024 * (last["mb"] - first["mb"]) / (last["slots"] - first["slots"])
    one, ten = runs[-2], runs[-1]
    by_box = 1024 * 1024 * (ten["run_mb"] - one["run_mb"]) / (ten["boxes"] - one["boxes"])
    log_n = f"{last['us_per_move'] / first['us_per_move']:.1f}"
    meter = by_slot * 1024 / 144
    return f"""# How far it goes: large stores and long runs

`python docs/make_scale.py` measures this page and writes it: {machine()},
shared with other work. Times are CPU times of one process, memory is the most that the process ever had;
another machine gives other figures, and the same growth.

## Large stores

Larger stores are reference stores grown together, end to end and side by side (`store` in
`benchmarks/bench_scale.py`): racks, box places and port openings as in one; demand, people, trucks and
staging for each robot. All make the same number of box moves or a little more.

{slots}

![Time and memory over slots, both on logarithmic scales](performance/scale.svg)

- Building a store (its layout, its rank orders, the days before time 0 in which it fills itself) grows with
  its slots. A box move costs {log_n} times as much in a store of 100 times the slots: robots that share
  aisles take more stretches for a move, and the processor finds less in its caches (log n alone would be
  1.8). With the same robots a move calls as many functions in a store of four times the slots, which exact
  counts hold to (`tests/test_scale.py`).
- A slot takes {by_slot:.1f} kB at most, the ten boxes in it and the days before time 0 included: {meter:.0f}
  bytes a meter.
- The last row is a province: {province["stores"]} stores, each with a seed of its own, for
  {province["days"]} days over the engine of studies ([experiments.md](experiments.md)). A move there includes
  building the store and all KPIs, by week too; {province["s"]:.0f} CPU s in all.

What would cost the square of the slots changes its form by itself:

| what | up to | beyond |
|---|---|---|
| slots near a place, for rules that ask | 1,024 slots: a list a place | along the lines of the racks |
| boxes by receipt (`fifo`, `lifo`) | any number | a heap for each SKU, brought up to date when asked |
| a batch of boxes | 4,096 slots: cut from all of them | cut from as many as it takes |
| a counting tour | 8 slots: exact; 600: every pair is weighed | exchanges between neighbours of a sweep |

{STILL}

## Long runs

{long_runs}

Facts are most of what a run makes, some 60 bytes each. The latest four blocks of 50,000 facts stay in memory
(12 MB); older ones lie in a file without a name: in the result folder where there is one, else in the folder
for temporary files (`TMPDIR` names another). It is mapped back while somebody reads and is gone with the
process, however that ends. When the disk is full the facts stay in memory and the run goes on. Digest, tables
and files do not depend on where facts lie.

What still grows with a run is what is known of each box that ever came, {by_box:.0f} bytes: where it is, what
is in it, what it was promised to.

KPIs read of each kind of fact only the columns that they use. They keep tables up to 64 MB and compute others
again: those of a short run take no longer, those of ten years twice the time in less than half of the memory.
"""


STILL: Final = """What still goes over many slots or boxes for one move: `fewest-blockings` and `fewest-
digs` look at stacks until they find one that nothing blocks; `shortest-leg` under
simultaneous axes passes over the open slots of a large store. In free stacks, a dig looks
at the slots of an aisle for the nearest place, and at those of further aisles as long as
one may be nearer."""


def main() -> None:
    """Measure everything, then write the page and its picture."""
    if len(sys.argv) > 1:
        name, given = sys.argv[1:]
        print(json.dumps(MEASURES[name](*json.loads(given))))
        return
    sizes = [measured("size", slots, MOVES) for slots in (258, 2_580, 25_800)]
    runs = [measured("years", *run) for run in LONG_RUNS]
    province = measured("side_by_side", STORES, DAYS)
    draw(sizes, HERE / "performance" / "scale.svg")
    (HERE / "scale.md").write_text(page(sizes, runs, province), encoding="utf-8")


if __name__ == "__main__":
    main()
