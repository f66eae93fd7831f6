"""Robots that break down and are repaired, against the machine-repair model of queueing theory."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final, cast

from sim.checks import Check, Trial, level_of_each, random_check
from sim.clock import Clock
from sim.facts import FAULT, ROBOT_STRETCH
from sim.faults import FaultParams, Faults
from sim.layout import Layout, LayoutParams
from sim.robots import Fleet, Floor, RobotParams, TourParams
from sim.statistics import Interval, t_interval
from sim.streams import Streams
from sim.travel import Travel

MTBF_H: Final = 100.0
"""Mean time between breakdowns of a robot in order, hours, exponential."""

MTTR_H: Final = 10.0
"""Mean time of a repair, hours, exponential."""

_BATCH_H: Final = {1: 60_000, 2: 40_000, 4: 30_000}
_REPAIRERS: Final = (1, 2)
_BATCHES: Final = 30
_WARMUP_H: Final = 1_000
_HOUR_MS: Final = 3_600_000


def availability(robots: int, repairers: int, mtbf_h: float, mttr_h: float) -> float:
    """The share of time that a robot is in order, when robots break down and wait in turn for a repairer.

    The number k of robots that are down is a birth-death chain: one more goes down at the rate
    (N - k) / MTBF, one comes back at the rate min(k, R) / MTTR, with N robots and R repairers. In balance the
    flow between neighbours is the same both ways, p(k + 1) min(k + 1, R) / MTTR = p(k) (N - k) / MTBF, so

        p(k + 1) = p(k) (N - k) / min(k + 1, R) x MTTR / MTBF,

    and the share sought is the mean of (N - k) / N. For R >= N it is MTBF / (MTBF + MTTR). Times are
    exponential; the clock of a robot stands still while it is down (`powered`).
    Source: Palm 1947; Gross and others, Fundamentals of Queueing Theory, section on finite sources.
    """
    weight, total, up = 1.0, 0.0, 0.0
    for down in range(robots + 1):
        total += weight
        up += weight * (robots - down) / robots
        weight *= (robots - down) / min(down + 1, repairers) * mttr_h / mtbf_h
    return up / total


def machine_repair(trial: Trial) -> Iterator[Check]:
    """Robots with nothing to do break down, and one or two people repair them: the share of time in order."""
    cases = [(n, r) for n in _BATCH_H for r in _REPAIRERS]
    for done, (robots, repairers) in enumerate(cases, 1):
        seed = int(trial.rng.integers(1 << 62))
        found = _driven(robots, repairers, seed, level_of_each(len(cases)))
        trial.step(done / len(cases))
        expected = availability(robots, repairers, MTBF_H, MTTR_H)
        who = f"{robots} robot{'s' * (robots > 1)}, {repairers} repairer{'s' * (repairers > 1)}"
        times = f"exponential, MTBF {MTBF_H:g} h and MTTR {MTTR_H:g} h"
        note = f"{times}; means of {found.n} batches of {_BATCH_H[robots]:,} h"
        yield random_check(f"availability of {who}", expected, found, "", note)


def _driven(robots: int, repairers: int, seed: int, level: float) -> Interval:
    """The share of time that the model's own robots are in order, by batch means over one long run."""
    env = Clock()
    layout = Layout(
        LayoutParams(rows=2, columns=2, levels=1, profile="uniform"),
        meters_per_box=15, box_height_m=0.2, access="direct", robots=robots,
    )  # fmt: skip
    params = RobotParams(count=robots, idle_draw=0.0)
    batch_ms = _BATCH_H[robots] * _HOUR_MS
    down_ms = [0] * _BATCHES
    since: dict[int, int] = {}

    def record(row: tuple[int, ...]) -> None:
        if row[1] != ROBOT_STRETCH:
            return
        if row[3] == FAULT:
            since.setdefault(row[2], row[0])
        elif row[2] in since:
            _share_out(since.pop(row[2]), row[0], batch_ms, down_ms)

    faults = Faults(
        FaultParams(
            scale=1.0, mtbf_h=MTBF_H, clock="powered", mttr_h=MTTR_H, repair_kind="exponential",
            repairers=repairers, vendor_share=0.0, minor_stop_share=0.0, power_failures_per_year=0.0,
            blocked_per_day=0.0,
        ),
        Streams(seed), env, record,
    )  # fmt: skip
    fleet = Fleet(
        env, layout, Travel(layout, params), params, TourParams(),
        dispatch="priority", dwell="stay", ageing_ms=1.0, record=record, faults=faults,
    )  # fmt: skip
    fleet.floor = cast("Floor", SimpleNamespace())
    fleet.start()
    end_ms = _WARMUP_H * _HOUR_MS + _BATCHES * batch_ms
    env.run(end_ms)
    for began in since.values():
        _share_out(began, end_ms, batch_ms, down_ms)
    return t_interval([1.0 - down / (robots * batch_ms) for down in down_ms], level)


def _share_out(began: int, ended: int, batch_ms: int, into: list[int]) -> None:
    """Add a down time to the batches in which it lies, from and to instants in milliseconds of the run."""
    warm = _WARMUP_H * _HOUR_MS
    at, end = max(began, warm) - warm, ended - warm
    while at < end:
        border = min(end, (at // batch_ms + 1) * batch_ms)
        into[at // batch_ms] += border - at
        at = border
