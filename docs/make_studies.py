"""Run the studies of docs/studies.md again: counting plans compared, and the robot against people by hand.

Writes docs/studies/counting.json and operation.json, from which `make_text.py` makes the tables and
`make_pictures.py` the pictures. Takes some minutes; every figure is a function of the seeds below.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from sim.calendar import DAY_MS
from sim.facts import ERRORS
from sim.kpis import RunFacts, compute, wrong_slots
from sim.scenario import load
from sim.simulation import Result, Simulation
from sim.statistics import paired, poisson_interval, t_interval

FOLDER: Final = Path(__file__).parent / "studies"
SEEDS: Final = (1, 2, 3, 4, 5)
PLANS: Final = ("passive", "full", "cyclic", "location-risk", "on-access")
SCALES: Final = (30, 100, 300)
DAYS: Final = 365
TARGET: Final = 0.995
AT_DEFAULT_SEEDS: Final = tuple(range(1, 11))

COUNT_KPIS: Final = (
    "record_accuracy_location", "record_accuracy_box", "record_accuracy_meter", "count_robot_hours",
    "count_person_hours", "slots_counted", "discrepancies", "late_orders", "days_to_discovery",
)  # fmt: skip

SITUATIONS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "an ordinary month": ("luoyang", ()),
    "a month at three times the demand": (
        "luoyang", ("demand.campaign.factor=3", "demand.campaign.from_day=0", "demand.campaign.days=28"),
    ),
    "an ordinary month with a full count": (
        "luoyang", ("counting.plan=full", "counting.interval_days=14"),
    ),
}  # fmt: skip
_OF_ROBOTS_ONLY: Final = ("robot-hours of counting",)
BY_ROBOT: Final = ("records.scale=1", "counting.recount=camera", "counting.method=rfid")
BY_HAND: Final = (
    "records.scale=1", "operation=manual", "robots.count=0", "counting.method=bar-code",
    "counting.recount=bar-code",
)  # fmt: skip
MEASURES: Final = (
    ("person-hours per 1,000 meters", "person_hours_per_1000_meters", "h", "less"),
    ("boxes carried an hour of carrying", "boxes_per_hour", "boxes/h", "more"),
    ("time from receipt to slot", "put_away_time_s", "s", "less"),
    ("shift time from order to hand-over", "order_cycle_time_working_s", "s", "less"),
    ("late orders", "late_orders", "share", "less"),
    ("slots recorded wrongly", "wrong_slots", "share", "less"),
    ("person-hours of counting", "count_person_hours", "h", "less"),
    ("robot-hours of counting", "count_robot_hours", "h", "less"),
    ("clock time of a full count", "full_count_h", "h", "less"),
)
_BY_COUNT_ONLY: Final = ("count_person_hours", "count_robot_hours", "full_count_h")


def count_year(job: tuple[str, float, int]) -> dict[str, Any]:
    """A year of a plan at a multiple of the error rates: KPIs, and the wrong slots at each midnight."""
    plan, scale, seed = job
    sets = [f"counting.plan={plan}", f"records.scale={scale}", f"time.days={DAYS}"]
    result = Simulation(load("luoyang_records", sets), seed=seed).finish()
    run = RunFacts.of(result)
    kpis = compute(run)
    wrong = wrong_slots(run).at(np.arange(0, DAYS + 1) * DAY_MS - 1)
    made = result.trace.table("error_made")["cause"]
    return {
        "plan": plan,
        "scale": scale,
        "seed": seed,
        "kpis": {name: kpis[name]["value"] for name in COUNT_KPIS},
        "accuracy": (1 - wrong / result.layout.slots).tolist(),
        "errors": np.bincount(made, minlength=len(ERRORS)).tolist(),
    }


def work_month(job: tuple[str, bool, int]) -> dict[str, Any]:
    """A month of a situation, by robot or by hand."""
    situation, by_hand, seed = job
    name, sets = SITUATIONS[situation]
    given = [*sets, *(BY_HAND if by_hand else BY_ROBOT)]
    result = Simulation(load(name, given), seed=seed).finish()
    kpis = compute(RunFacts.of(result))
    values = {name: kpis[name]["value"] for _, name, _, _ in MEASURES if name in kpis}
    values["wrong_slots"] = 1 - kpis["record_accuracy_location"]["value"]
    values["late_orders"] = kpis["late_orders"]["value"]
    values["full_count_h"] = _full_count_h(result)
    if by_hand:
        values["boxes_per_hour"] = _by_hand_per_hour(kpis)
    return {"situation": situation, "by_hand": by_hand, "seed": seed, "values": values}


def _full_count_h(result: Result) -> float | None:
    """Clock hours of the finished counts of all slots, mean, from the plan to the last slot."""
    planned, ended = result.trace.table("count_planned"), result.trace.table("count_ended")
    slots = sum(1 for capacity in result.layout.capacity if capacity)
    began = dict(zip(planned["count"].tolist(), planned["time_ms"].tolist(), strict=True))
    hours = [
        (end - began[count]) / 3_600_000
        for count, end, many in zip(
            *(ended[name].tolist() for name in ("count", "time_ms", "slots")), strict=True
        )
        if many == slots
    ]
    return sum(hours) / len(hours) if hours else None


def _by_hand_per_hour(kpis: dict[str, Any]) -> float | None:
    parts = kpis["boxes_per_hour"].get("parts", {})
    return parts.get("by_hand", kpis["boxes_per_hour"]["value"])


def counting_study(rows: Sequence[dict[str, Any]], at_default: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The document of the counting study."""
    days = list(range(0, DAYS + 1, 5))
    cells = []
    for scale in SCALES:
        for plan in PLANS:
            runs = [row for row in rows if (row["plan"], row["scale"]) == (plan, scale)]
            kpis = {
                name: _interval(
                    [run["kpis"][name] for run in runs if run["kpis"][name] is not None],
                    most=1.0 if name.startswith("record_accuracy") else math.inf,
                )
                for name in COUNT_KPIS
            }
            curves = [_interval([run["accuracy"][day] for run in runs], most=1.0) for day in days]
            accuracy = {"days": days, **{key: [c[key] for c in curves] for key in ("mean", "low", "high")}}
            cells.append({"plan": plan, "scale": scale, "kpis": kpis, "accuracy": accuracy})
    events = {}
    for cause, name in enumerate(ERRORS):
        total = sum(run["errors"][cause] for run in at_default)
        low, high = poisson_interval(total, exposure=len(at_default) * DAYS / 365)
        events[name] = {"events": total, "years": len(at_default), "per_year": total / len(at_default),
                        "low": low, "high": high}  # fmt: skip
    return {
        "days": DAYS, "seeds": list(SEEDS), "scales": list(SCALES), "plans": list(PLANS), "target": TARGET,
        "cells": cells, "at_default_rates": events, "found": list(_counting_findings(cells)),
    }  # fmt: skip


def _counting_findings(cells: Sequence[dict[str, Any]]) -> Iterable[str]:
    for scale in SCALES:
        here = [cell for cell in cells if cell["scale"] == scale]
        held = [cell for cell in here if cell["kpis"]["record_accuracy_location"]["low"] >= TARGET]
        rate = f"At {scale} times the default error rates ({scale * 0.005:g} % of put-aways in a wrong slot)"
        if not held:
            yield f"{rate} none of the plans holds {TARGET:.1%} of slots right."
            continue
        cheapest = min(held, key=lambda cell: cell["kpis"]["count_robot_hours"]["mean"])
        hours = cheapest["kpis"]["count_robot_hours"]
        right = cheapest["kpis"]["record_accuracy_location"]
        names = ", ".join(cell["plan"] for cell in held)
        yield (
            f"{rate} {TARGET:.1%} of slots right is held by: {names}. The cheapest is {cheapest['plan']}:"
            f" {right['mean']:.2%} for {hours['mean']:.0f} robot-hours a year."
        )


def operation_study(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The document of the study of robot against manual."""
    situations = []
    for situation in SITUATIONS:
        table = []
        for measure, name, unit, better in MEASURES:
            if name in _BY_COUNT_ONLY and "count" not in situation:
                continue
            by_robot, by_hand = (
                [
                    row["values"].get(name)
                    for row in sorted(rows, key=lambda row: row["seed"])
                    if row["situation"] == situation and row["by_hand"] is hand
                ]
                for hand in (False, True)
            )
            table.append({"measure": measure, "unit": unit, "better": better, **_compared(by_robot, by_hand)})
        situations.append({"name": situation, "rows": table})
    return {"seeds": list(SEEDS), "situations": situations, "found": list(_operation_findings(situations))}


def _compared(by_robot: Sequence[float | None], by_hand: Sequence[float | None]) -> dict[str, Any]:
    robot = _interval([value for value in by_robot if value is not None])
    manual = _interval([value for value in by_hand if value is not None])
    pairs = [(a, b) for a, b in zip(by_robot, by_hand, strict=True) if a is not None and b is not None]
    document: dict[str, Any] = {"robot": robot, "manual": manual, "ratio": None, "low": None, "high": None}
    if len(pairs) > 1:
        difference = paired([a for a, _ in pairs], [b for _, b in pairs])
        document["difference"] = {"mean": difference.mean, "low": difference.low, "high": difference.high}
    if len(pairs) > 1 and all(a > 0 and b > 0 for a, b in pairs):
        logs = t_interval([math.log(a / b) for a, b in pairs])
        document |= {"ratio": math.exp(logs.mean), "low": math.exp(logs.low), "high": math.exp(logs.high)}
    return document


def _operation_findings(situations: Sequence[dict[str, Any]]) -> Iterable[str]:
    for situation in situations:
        better: list[str] = []
        worse: list[str] = []
        same: list[str] = []
        for row in situation["rows"]:
            gap = row.get("difference")
            if gap is None or row["measure"] in _OF_ROBOTS_ONLY:
                continue
            # By the ratio of each pair where there is one: its interval suits times and counts better.
            low, high, even = (row["low"], row["high"], 1) if row["ratio"] else (gap["low"], gap["high"], 0)
            if low <= even <= high:
                same.append(row["measure"])
            else:
                (better if (high < even) == (row["better"] == "less") else worse).append(row["measure"])
        parts = [
            f"{words} {', '.join(names)}"
            for words, names in (("the robot is better in", better), ("people are better in", worse),
                                 ("no difference is shown in", same))
            if names
        ]  # fmt: skip
        yield f"In {situation['name']}: {'; '.join(parts)}."


def _interval(values: Sequence[float], most: float = math.inf) -> dict[str, Any]:
    """Mean and 95 % interval over the seeds, none below 0; None for all where nothing was observed."""
    if not values:
        return {"mean": None, "low": None, "high": None, "n": 0}
    found = t_interval(values)
    low, high = (found.low, found.high) if len(values) > 1 else (found.mean, found.mean)
    return {"mean": found.mean, "low": max(low, 0.0), "high": min(high, most), "n": found.n}


def _all(work: Callable[[Any], dict[str, Any]], jobs: Sequence[Any]) -> list[dict[str, Any]]:
    rows = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for row in pool.map(work, jobs):
            rows.append(row)
            print(f"\r{len(rows)} of {len(jobs)} runs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


def _rounded(value: Any) -> Any:
    """Six significant digits: enough for every table, and the same on every processor."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main() -> None:
    """Run the studies that are named, or both, and write their documents."""
    FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["operation", "counting"]
    if "operation" in wanted:
        months = [(s, hand, seed) for s in SITUATIONS for hand in (False, True) for seed in SEEDS]
        _write("operation.json", operation_study(_all(work_month, months)))
    if "counting" not in wanted:
        return
    years = [(plan, scale, seed) for scale in SCALES for plan in PLANS for seed in SEEDS]
    at_default = [("passive", 1, seed) for seed in AT_DEFAULT_SEEDS]
    rows = _all(count_year, [*years, *at_default])
    _write("counting.json", counting_study(rows[: len(years)], rows[len(years) :]))


def _write(name: str, document: dict[str, Any]) -> None:
    text = json.dumps(_rounded(document), indent=1, ensure_ascii=False, allow_nan=False)
    (FOLDER / name).write_text(text + "\n", encoding="utf-8")
    for sentence in document["found"]:
        print(sentence)


if __name__ == "__main__":
    main()
