"""Validation: the model against theory, where theory knows the answer.

Each case of `CHECKS` sets the product's own parts (layout, travel, allocation, the robots' loop, whole runs)
a problem with a known answer and compares. Exact cases have to agree within 0.5 ms a leg. Random cases give
intervals that hold the expected values, all those of a run together at the 99.9 % level (Bonferroni), and
reach at most 1 % of them to either side.

A queue at high utilisation needs tens of millions of visits for that, more than the model drives in a minute.
Its cases have two levels (Giles 2008): the mean wait in a long run of the textbook recursion (Lindley 1952;
Kiefer and Wolfowitz 1955), plus the mean difference between the model's waits and those of the recursion on
the same arrivals. Their sum estimates the model's own mean without bias, whatever the model does, and its
interval covers both parts. The note of a check says how many visits the model drove. Shares of slots come
in two levels as well, and are corrected by the work that the drawn boxes bring, whose mean is known (a
control variate, Lavenberg and Welch 1981). Reads, samples and counts have their theory in `record_theory`,
robots that break down in `repair_theory`.
"""

import heapq
import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sim import exact
from sim.allocation import POLICIES, BoxView, SlotIndex, SlotView, allocate, allocate_batch
from sim.calendar import DAY_MS
from sim.checks import Check, Trial, exact_check, is_narrow, level_of_each, random_check, sum_of
from sim.clock import Clock
from sim.facts import IDLE, ISSUE, NONE, PUT_AWAY, ROBOT_STRETCH, TOUR_STARTED
from sim.layout import Layout
from sim.orders import ScheduledDeliveryParams, ScheduledOrderParams
from sim.record_theory import counted_records, overlooked_records, sample_meets_wrong, tag_misses
from sim.repair_theory import machine_repair
from sim.robots import Fleet, Floor, Life, Task
from sim.scenario import Scenario, build_layout, full_boxes, load
from sim.simulation import Result, Simulation
from sim.statistics import Interval, t_interval
from sim.streams import Streams
from sim.travel import Travel
from sim.turnover import Turnover
from sim.words import near, one_of, show

LEG_S: Final = 0.0005
"""What the model may add to, or take from, a leg or a lift by rounding to whole milliseconds."""

Ints = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]


def run_checks(
    only: Iterable[str] | None = None, seed: int = 1, progress: Callable[[float], None] | None = None
) -> list[Check]:
    """Run the cases of `CHECKS` and give their comparisons, in the order of the dict.

    Parameters
    ----------
    only : names of cases; all when not given. An unknown name is a ValueError in words.
    seed : of the random cases, at least 0; each case draws its own numbers, whichever others run.
    progress : called with the share of the work that is done.
    """
    chosen = list(CHECKS if only is None else only)
    for name in chosen:
        if name not in CHECKS:
            raise ValueError(f"expected {one_of(list(CHECKS))}, found {show(name)}{near(name, CHECKS)}")
    names = [name for name in CHECKS if name in chosen]
    checks: list[Check] = []
    for done, name in enumerate(names):

        def step(share: float, done: int = done) -> None:
            if progress is not None:
                progress((done + share) / len(names))

        checks += CHECKS[name](Trial(np.random.default_rng([seed, zlib.crc32(name.encode())]), step))
        step(1.0)
    return checks


_TIRELESS: Final = (
    "robots.run_h=10000", "robots.charge_below=0", "robots.idle_draw=0", "policy.dwell=port",
)  # fmt: skip
"""A robot that never has to charge, and waits at the port."""

_NO_FLOW: Final = ("initial.fill=0", "demand.orders_per_day=0", "time.days=36500")
"""A store without stock, orders or trucks."""


# -- Travel ---------------------------------------------------------------------------------------------


def travel_on_rack_a(trial: Trial) -> Iterator[Check]:
    """The robot drives to every slot of rack A and to every pair of slots: against sums over coordinates."""
    x_m, z_m = _rack_a_m()
    accelerations = (("no acceleration", math.inf, math.inf), ("0.5 and 0.3 m/s2", 0.5, 0.3))
    for done, (words, across, up) in enumerate(accelerations, 1):
        sets = [f"robots.acceleration_m_per_s2={across}", f"robots.lift_acceleration_m_per_s2={up}"]
        scenario = load("rack_a", [*sets, "tour.command=dual", *_TIRELESS]).scenario
        out_s = np.maximum(_leg_s(x_m, 2.0, across), _leg_s(z_m, 0.5, up))
        between_s = np.maximum(_leg_s(_apart(x_m), 2.0, across), _leg_s(_apart(z_m), 0.5, up))
        yield from _drives(
            f"rack A, {{}}, {words}", scenario, out_s, between_s, legs=(2, 3), handling_s=(0, 0)
        )
        trial.step(done / len(accelerations))


def travel_of_the_acr(trial: Trial) -> Iterator[Check]:
    """The default robot on one face of 13 x 5, to every slot and pair: against sums over coordinates."""
    column, level = np.meshgrid(np.arange(13), np.arange(5), indexing="ij")
    x_m, z_m = 1.5 + 0.95 * column.ravel(), 1.2 * level.ravel()
    out_s = _leg_s(x_m, 1.5, 0.7) + _leg_s(z_m, 0.5, 0.5)
    between_s = _leg_s(_apart(x_m), 1.5, 0.7) + _leg_s(_apart(z_m), 0.5, 0.5)
    # 6 s a pick or place; 1.5 s positioning at each slot and once on return.
    handling_s = (2 * 6 + 2 * 1.5, 4 * 6 + 3 * 1.5)
    sets = [
        "layout.rows=1", "layout.omit=[]", "layout.profile=uniform", "layout.boxes_per_slot=1",
        "layout.tiers=1", 'layout.ports=[{name = "port"}]', "robots.carry=1", "robots.turn_s=0",
        "tour.max_wait_s=0",
    ]  # fmt: skip
    scenario = load("luoyang", [*sets, *_TIRELESS]).scenario
    yield from _drives("ACR, 13 x 5, {}", scenario, out_s, between_s, legs=(4, 6), handling_s=handling_s)
    trial.step(0.5)
    expected = 2 * float(out_s.mean()) + handling_s[0]
    note = (
        "a whole run with truck, people, ports and allocation; the robot's time from start to rest, over {}"
    )
    for way, found in zip(("put-away", "retrieval"), _whole_run_cycles_s(scenario), strict=True):
        name = f"ACR, 13 x 5, {way}, whole run"
        yield exact_check(name, expected, found, 4 * LEG_S, "s", note.format("65 boxes in 65 slots"))


def continuous_rack(trial: Trial) -> Iterator[Check]:
    """Ever smaller cells approach the continuous rack of Bozer and White (1984), as 1 / n^2."""
    shapes, unit = (1.0, 0.5, 0.2), "longer axis"
    for done, b in enumerate(shapes, 1):
        means = {n: exact.cell_centres(n, b) for n in (50, 100, 200)}
        for dual, expected in enumerate(exact.bozer_white(b)):
            name = f"Bozer-White b {b:g}, {('single', 'dual')[dual]}"
            for n, found in means.items():
                below, above = _cell_bounds(n, b, dual=bool(dual))
                low, high = found[dual] - above, found[dual] + below
                ok = low <= expected <= high
                note = "times of the product's layout and travel; the interval is what cells can lose or gain"
                yield Check(f"{name}, {n} x {n}", expected, found[dual], low, high, ok, unit, note)
            # An error of c / n^2 vanishes from this combination; what is left is of the order of rounding.
            limit = (4 * means[200][dual] - means[100][dual]) / 3
            note = "100 x 100 and 200 x 200 cells, extrapolated by the law 1 / n^2 (Richardson)"
            yield exact_check(f"{name}, limit", expected, limit, 1e-6, unit, note)
        trial.step(done / len(shapes))


def _rack_a_m() -> tuple[Floats, Floats]:
    """Rack A by its definition: x and z of its slots in metres, each of shape (258,)."""
    column, level = np.meshgrid(np.arange(43), np.arange(6), indexing="ij")
    return 0.6 * (column.ravel() + 1), 0.5 * level.ravel()


def _apart(at_m: Floats) -> Floats:
    """Distances between all positions."""
    apart: Floats = np.abs(at_m - at_m[:, None])
    return apart


def _leg_s(way_m: Floats, speed: float, acceleration: float) -> Floats:
    """Seconds of legs from rest to rest: a trapezium, or a triangle where the speed is not reached."""
    triangle = 2 * np.sqrt(way_m / acceleration)
    return np.where(way_m < speed**2 / acceleration, triangle, way_m / speed + speed / acceleration)


def _drives(
    name: str, scenario: Scenario, out_s: Floats, between_s: Floats, *, legs: tuple[int, int],
    handling_s: tuple[float, float],
) -> Iterator[Check]:  # fmt: skip
    """Single and dual commands that the fleet drives, against the means of times to and between slots."""
    slots = range(len(out_s))
    single_s, dual_s = handling_s
    tours = [[(PUT_AWAY, s)] for s in slots] + [[(ISSUE, s)] for s in slots]
    expected = 2 * float(out_s.mean()) + single_s
    note = f"the robots' loop; each of {len(slots)} slots, once to store and once to fetch"
    yield exact_check(
        name.format("single"), expected, _mean_tour_s(scenario, tours), legs[0] * LEG_S, "s", note
    )

    tours = [[(PUT_AWAY, a), (ISSUE, b)] for a in slots for b in range(a)]
    expected = 2 * float(out_s.mean()) + float(between_s.sum()) / (2 * len(tours)) + dual_s
    note = f"the robots' loop; stores at one slot and fetches from another, all {len(tours):,} pairs"
    yield exact_check(
        name.format("dual"), expected, _mean_tour_s(scenario, tours), legs[1] * LEG_S, "s", note
    )


def _mean_tour_s(scenario: Scenario, tours: Sequence[Sequence[tuple[int, int]]]) -> float:
    """Mean seconds of tours of (task class, slot) commands, from the start until the robot rests again."""
    layout = build_layout(scenario)
    env = Clock()
    began, total = 0, 0

    def record(row: tuple[int, ...]) -> None:
        nonlocal began, total
        if row[1] == TOUR_STARTED:
            began = row[0]
        elif row[1] == ROBOT_STRETCH and row[3] == IDLE and row[0] > 0:
            total += row[0] - began

    def command() -> Life:
        numbers = itertools.count()
        for commands in tours:
            yield env.timeout(3_600_000)
            for kind, slot in commands:
                source, target = (layout.inbound, slot) if kind == PUT_AWAY else (slot, layout.outbound)
                task = Task(next(numbers), kind, slot, source, target, int(env.now))
                task.column = 0
                fleet.post(task)

    fleet = Fleet(
        env, layout, Travel(layout, scenario.robots), scenario.robots, scenario.tour,
        dispatch="priority", dwell="port", ageing_ms=1e9, record=record,
    )  # fmt: skip
    fleet.floor = _bare_floor()
    fleet.start()
    env.process(command())
    env.run()
    return total / len(tours) / 1000


def _bare_floor() -> Floor:
    """As much of a warehouse as a fleet needs to drive: box b stands at the bottom of slot b, alone."""

    def nothing(*_: object) -> None:
        pass

    answers = {
        "expecting_put_aways": lambda: False,
        "locate": lambda _: True,
        "where": lambda box: (box, 0, 0),
        "landing": lambda *_: 0,
        "blocker_of": lambda _: NONE,
        "picked": lambda *_: True,
        "stored": lambda *_: True,
    }
    told = ("assigned", "unassigned", "delivered", "visited", "out_place")
    return cast("Floor", SimpleNamespace(**dict.fromkeys(told, nothing), **answers))


def _whole_run_cycles_s(scenario: Scenario) -> tuple[float, float]:
    """Mean robot time to fill all slots of a store, one box at a time, and to empty them, in a whole run."""
    slots, sku = build_layout(scenario).slots, scenario.skus[0].name
    order = ScheduledOrderParams(day=1, at="09:00", sku=sku, meters=full_boxes(scenario)[0])
    delivery = ScheduledDeliveryParams(day=0, sku=sku, boxes=slots)
    changes = {
        "time": {"days": 2},
        "initial": {"fill": 0.0},
        "people": {"unload_s": 0.0, "receive_s": 0.0, "check_s": 0.0},
        "demand": {"kind": "schedule", "schedule": [order] * slots},
        "supply": {"rule": "schedule", "schedule": [delivery]},
    }
    sections = {name: getattr(scenario, name).model_copy(update=values) for name, values in changes.items()}
    trace = Simulation(scenario.model_copy(update=sections)).finish().trace
    moves = trace.table("box_moved")
    for places in (moves["to_place"], moves["from_place"]):
        if sorted(places[places < slots].tolist()) != list(range(slots)):
            raise RuntimeError("the run was to fill every slot once, and to empty it")
    stretches = trace.table("robot_stretch")
    began_ms = stretches["time_ms"][:-1]
    busy_ms = np.where(stretches["activity"][:-1] == IDLE, 0, np.diff(stretches["time_ms"]))
    filling = began_ms < DAY_MS
    return float(busy_ms[filling].sum()) / slots / 1000, float(busy_ms[~filling].sum()) / slots / 1000


def _cell_bounds(n: int, b: float, *, dual: bool) -> tuple[float, float]:
    """How far n x n cell centres can lie below and above the continuous rack, in units of its longer axis.

    A point of the rack is the centre of its cell plus a uniform rest. The way there takes max(x, b y) =
    (x + b y + |x - b y|) / 2, so centres lose only where the rest e can turn the sign of the difference d:
    E|d + e| - |d|. Summed over the lattice of d, 1 / n apart, that is at most n E(e^2) + E|e|, so a way loses
    at most (E(e^2) + E|e| / n) / 2, with E(e^2) = (1 + b^2) / 12 n^2 and E|e| = (1/4 + b^2/12) / n. Between
    two slots |dx + b dy| and |dx - b dy| count by half each; e has twice that variance, and E|e| is at most
    its root. Leaving out the way from a slot to itself makes the mean larger by 1 / (n^2 - 1).
    """
    one_way = ((1 + b**2) / 12 + 1 / 4 + b**2 / 12) / 2 / n**2
    if not dual:
        return 2 * one_way, 0.0
    variance = (1 + b**2) / 6
    single, both = exact.bozer_white(b)
    return 2 * one_way + (variance + math.sqrt(variance)) / n**2, (both - single) / (n**2 - 1)


# -- Waiting --------------------------------------------------------------------------------------------

UTILISATIONS: Final = (0.5, 0.7, 0.8, 0.9)

_VISITS: Final = 40_000
"""Visits that the model drives at each utilisation."""

_LANES: Final = 2000
_WARM_UP: Final = 4000
_STEPS: Final = 48_000
_BLOCK: Final = 100
"""The long run: independent lanes, customers of each that are not and that are counted, customers at once."""


def one_robot_queue(trial: Trial) -> Iterator[Check]:
    """One robot out and back to slots of rack A, Poisson arrivals: waits against Pollaczek and Khinchine."""
    rng = trial.rng
    scenario = load("rack_a", [*_TIRELESS, *_NO_FLOW]).scenario
    layout = build_layout(scenario)
    services_ms = 2 * Travel(layout, scenario.robots).one_way_ms(layout.inbound)
    # Theory knows the rack by its definition alone.
    x_m, z_m = _rack_a_m()
    services_s = 2 * np.maximum(x_m / 2.0, z_m / 0.5)
    mean_s, square_s2 = float(services_s.mean()), float((services_s**2).mean())
    for done, utilisation in enumerate(UTILISATIONS, 1):
        rate = utilisation / mean_s
        long = _long_run(
            rng,
            1,
            1000 / rate,
            lambda shape: rng.choice(services_ms, shape),
            level_of_each(len(UTILISATIONS)),
        )
        slots = rng.integers(layout.slots, size=_VISITS)
        visits = _Visits(
            _arrivals_ms(rng, 1000 / rate), slots, np.zeros(_VISITS, np.int64), services_ms[slots]
        )
        waits, note = _two_levels(scenario, visits, long)
        expected = exact.pollaczek_khinchine_wait(rate, mean_s, square_s2)
        yield random_check(f"Pollaczek-Khinchine at {utilisation:g}", expected, waits.mean_s, "s", note)
        trial.step(done / len(UTILISATIONS))


def two_robots_queue(trial: Trial) -> Iterator[Check]:
    """Two robots that can pass, Poisson arrivals, exponential services: against M/M/2 and Erlang C."""
    rng = trial.rng
    scenario = load("rack_a", [*_TWO_AT_HAND, *_TIRELESS, *_NO_FLOW]).scenario
    layout = build_layout(scenario)
    mean_s, utilisation = 600.0, 0.8  # of services, both ways included
    rate = 2 * utilisation / mean_s
    long = _long_run(
        rng, 2, 1000 / rate, lambda shape: rng.exponential(1000 * mean_s, shape), level_of_each(2)
    )
    trial.step(0.5)
    slots = np.arange(_VISITS) % layout.slots
    ways_ms = 2 * Travel(layout, scenario.robots).one_way_ms(layout.inbound)[slots]
    services_ms = np.maximum(np.rint(rng.exponential(1000 * mean_s, _VISITS)).astype(np.int64), ways_ms)
    visits = _Visits(_arrivals_ms(rng, 1000 / rate), slots, services_ms - ways_ms, services_ms)
    waits, note = _two_levels(scenario, visits, long)
    name = f"M/M/2 at {utilisation:g}"
    yield random_check(f"{name}, mean wait", exact.mmc_wait(rate, mean_s, 2), waits.mean_s, "s", note)
    yield random_check(f"{name}, share that waits", exact.erlang_c(2, rate * mean_s), waits.share, "1", note)


_TWO_AT_HAND: Final = (
    "layout.columns=100", "layout.levels=1", "layout.first_column_m=0.01", "layout.pitch_m=0.01",
    "robots.speed_m_per_s=20", "robots.count=2", "robots.passing=true",
)  # fmt: skip
"""Two robots and slots within 50 ms of the port, so many that no two robots meet at one."""


class _Visits(NamedTuple):
    """Visits to be driven: arrival, slot, time at the slot, and time with both ways; shapes (visits,)."""

    at_ms: Ints
    slots: Ints
    handling_ms: Ints
    services_ms: Ints


class _Waits(NamedTuple):
    """Mean wait and share of customers that wait, by so many customers, with intervals at a level."""

    mean_s: Interval
    share: Interval
    customers: int
    level: float


def _arrivals_ms(rng: np.random.Generator, mean_gap_ms: float) -> Ints:
    return np.rint(np.cumsum(rng.exponential(mean_gap_ms, _VISITS))).astype(np.int64)


def _two_levels(scenario: Scenario, visits: _Visits, long: _Waits) -> tuple[_Waits, str]:
    """The model's waits: the long run of the recursion, plus the model less the recursion on some visits."""
    driven = driven_waits_ms(scenario, visits.at_ms, visits.slots, visits.handling_ms)
    textbook = recursion_waits_ms(visits.at_ms, visits.services_ms, scenario.robots.count)
    unequal = int((driven != textbook).sum())
    more_s = _batched((driven - textbook) / 1000, long.level)
    more_wait = _batched((driven > 0) * 1.0 - (textbook > 0), long.level)
    waits = _Waits(sum_of(long.mean_s, more_s), sum_of(long.share, more_wait), len(driven), long.level)
    return waits, (
        f"a whole run drove {len(driven):,} visits, {unequal or 'none'} of them with another wait than the"
        f" textbook's recursion, whose mean is known from {long.customers:,} customers"
    )


def driven_waits_ms(scenario: Scenario, at_ms: Ints, slots: Ints, handling_ms: Ints) -> Ints:
    """Waits of visits from arrival until a robot takes them into its tour, in a whole run."""
    simulation = Simulation(scenario)
    env, warehouse = simulation.env, simulation.warehouse

    def arrive() -> Life:
        for at, slot, handling in zip(at_ms.tolist(), slots.tolist(), handling_ms.tolist(), strict=True):
            if at > env.now:
                yield env.timeout(at - env.now)
            warehouse.visit(slot, handling)

    env.process(arrive())
    until_ms = int(at_ms[-1])
    while len(simulation.trace.table("task_done")["task"]) < len(at_ms):
        until_ms += DAY_MS
        if until_ms > simulation.end_ms:
            raise RuntimeError("the robots were to be done with all visits long before")
        simulation.advance(until_ms)
    created, assigned = simulation.trace.table("task_created"), simulation.trace.table("task_assigned")
    waits = np.empty(len(at_ms), np.int64)
    waits[assigned["task"]] = assigned["time_ms"]
    waits[created["task"]] -= created["time_ms"]
    return waits


def recursion_waits_ms(at_ms: Ints, services_ms: Ints, servers: int) -> Ints:
    """Waits before service in order of arrival: each customer takes the server that is free first.

    The recursion of Lindley (1952), for several servers of Kiefer and Wolfowitz (1955); shapes (customers,).
    """
    free_at = [0] * servers
    waits = []
    for at, service in zip(at_ms.tolist(), services_ms.tolist(), strict=True):
        start = max(at, free_at[0])
        waits.append(start - at)
        heapq.heapreplace(free_at, start + service)
    return np.array(waits, np.int64)


def _long_run(
    rng: np.random.Generator,
    servers: int,
    mean_gap_ms: float,
    draw_ms: Callable[[tuple[int, int]], NDArray[Any]],
    level: float,
) -> _Waits:
    """The same recursion for customers in independent lanes; `draw_ms` gives service times of a shape."""
    work = np.zeros((servers, _LANES))
    total_ms, waited = np.zeros(_LANES), np.zeros(_LANES)
    for first in range(0, _WARM_UP + _STEPS, _BLOCK):
        gaps_ms, services_ms = rng.exponential(mean_gap_ms, (_BLOCK, _LANES)), draw_ms((_BLOCK, _LANES))
        for gap_ms, service_ms in zip(gaps_ms, services_ms, strict=True):
            np.maximum(work - gap_ms, 0.0, out=work)
            if first >= _WARM_UP:
                total_ms += work[0]
                waited += work[0] > 0.0
            work[0] += service_ms
            if servers > 1:
                work.sort(axis=0)
    mean_s, share = (t_interval((sums / _STEPS).tolist(), level) for sums in (total_ms / 1000, waited))
    return _Waits(mean_s, share, _LANES * _STEPS, level)


def _batched(values: Floats, level: float, batches: int = 40) -> Interval:
    """The mean of a series whose values depend on each other, by the means of batches of it."""
    size = len(values) // batches
    return t_interval(values[: size * batches].reshape(batches, size).mean(axis=1).tolist(), level)


# -- Storage --------------------------------------------------------------------------------------------

_CURVES: Final = {"20/50": (200,), "20/60": (50, 100, 200), "20/80": (200,)}
"""ABC curves, the share of items over their share of demand, and the n x n racks that are filled by each."""

_BOXES_A_SKU: Final = 5
"""Boxes of each SKU in a full rack."""

_BORDER_ITEMS: Final = 10_000
_BORDER_OFF: Final = 0.01
"""How far a border may lie from the best one, in units of the longest one way, and among how many items."""

_RACK: Final = 100
_ITEMS: Final = 1600
_FILL: Final = 0.95
_TRUCK: Final = 20
_MOVES_BEFORE: Final = 40_000
_MOVES: Final = 120_000
"""The rack in use: n, items, share of places taken, boxes a truck brings, moves before and while counting."""


def full_racks(trial: Trial) -> Iterator[Check]:
    """Racks filled by class-based and full-turnover rules: against Hausman, Schwarz and Graves (1976)."""
    racks = [(curve, n) for curve, sizes in _CURVES.items() for n in sizes]
    rules = [("class-based", 2), ("class-based", 3), *((rule, 0) for rule in _FULL_TURNOVER)]
    note = "every place filled through the allocator; the interval is what cells and SKUs can add or take"
    for done, (curve, n) in enumerate(racks, 1):
        s = _exponent(curve)
        for rule, zones in rules:
            found, demand, stock = filled_rack(rule, s, n, zones)
            if zones:
                expected, words = exact.best_zones(s, zones)[0], f"{zones} zones"
                more = _border_loss(s, zones)
            else:
                expected, words = exact.full_turnover(s), rule
                more = exact.zones_mean(demand, stock) - expected
            below, above = _rack_bounds(demand, stock, n)
            low, high = found - more - above, found + below
            ok = low <= expected <= high
            yield Check(f"{curve}, {n} x {n}, {words}", expected, found, low, high, ok, "longest way", note)
        trial.step(done / (len(racks) + 1))
    note = (
        f"the closed form at the borders found for {_BORDER_ITEMS:,} items, against its minimum; the interval"
        f" is what borders can cost that lie {_BORDER_OFF:g} of the longest way off"
    )
    for curve, zones in itertools.product(_CURVES, (2, 3)):
        s = _exponent(curve)
        least, found = exact.best_zones(s, zones)[0], exact.class_based(s, found_borders(s, zones))
        low, high = found - _border_loss(s, zones), found + 1e-9
        ok = low <= least <= high
        yield Check(f"{curve}, borders of {zones} zones", least, found, low, high, ok, "longest way", note)


def rack_in_use(trial: Trial) -> Iterator[Check]:
    """Boxes leave a rack by demand and trucks bring their like: mean ways by rule against closed forms."""
    curve, level, unit = "20/60", level_of_each(len(_IN_USE)), "longest way"
    intervals = []
    for done, (words, rule, zones) in enumerate(_IN_USE, 1):
        goods, ways = ways_in_use(trial.rng, rule, zones, _exponent(curve))
        found = t_interval(ways.tolist(), level)
        intervals.append(found)
        fill, turnover = sum(goods.boxes) / _RACK**2, goods.turnover
        name = f"{curve} in use, {words}"
        note = (
            f"{_MOVES:,} boxes of {_ITEMS:,} items leave by demand, {_TRUCK} come at a time, {fill:.1%} full"
        )
        if rule == "random":
            yield random_check(name, exact.RANDOM_STORAGE, found, unit, f"{note}; 2/3 of the longest way")
        elif rule == "class-based":
            of_item, held = turnover.classes(turnover.borders(zones))
            expected = exact.zones_mean(np.bincount(of_item, turnover.demand, zones), held, fill)
            yield random_check(
                name, expected, found, unit, f"{note}; the open places lie at the end of each zone"
            )
        else:
            by_speed = turnover.fastest
            expected = exact.zones_mean(np.array(turnover.demand)[by_speed], np.array(goods.boxes)[by_speed])
            # The open places lie anywhere from evenly among the boxes, as if there were none, to all beyond.
            note += "; open places shorten ways by up to the root of the fill, which the interval covers"
            found = found._replace(low=found.low, high=found.high / math.sqrt(fill))
            ok = expected in found and is_narrow(intervals[-1], expected)
            yield Check(name, expected, found.mean, found.low, found.high, ok, unit, note)
        trial.step(done / len(_IN_USE))
    apart = sum(slower.low > faster.high for slower, faster in itertools.pairwise(intervals))
    note = "how many of random, 2 zones, 3 zones and full turnover are slower than the next, intervals apart"
    yield exact_check(f"{curve} in use, order of rules", len(_IN_USE) - 1, apart, 0, "rules", note)


_FULL_TURNOVER: Final = ("turnover", "optimal-turnover", "dedicated")
"""Rules that give each SKU the places that its turnover has earned."""

_IN_USE: Final = (
    ("random", "random", 1), ("2 zones", "class-based", 2), ("3 zones", "class-based", 3),
    ("full turnover", "turnover", 1),
)  # fmt: skip
"""The rules of the rack in use, the slowest first: words, rule and zones."""


class _Goods(NamedTuple):
    """Items of an ABC curve: boxes of each in the rack, in proportion to the root of demand; (items,)."""

    turnover: Turnover
    boxes: list[int]


def _exponent(curve: str) -> float:
    items, demand = curve.split("/")
    return exact.abc_exponent(int(items) / 100, int(demand) / 100)


def filled_rack(rule_name: str, s: float, n: int, zones: int = 0) -> tuple[float, Floats, Floats]:
    """Mean one-way time of a rack of n x n places that a rule has filled, in units of the longest way.

    A SKU holds `_BOXES_A_SKU` boxes, and with them the next equal share of the stock: it stands for as many
    items as that takes, whose turnover is all but the same. Boxes come in turn, one of each SKU, the slowest
    first. Class-based storage (`zones` > 0) has no say in which place of its zone a box gets, so its boxes
    count as in any order; otherwise every SKU counts by its own places. Also gives the demand and the share
    of the stock of the zones or SKUs, the fastest first.
    """
    travel = exact.cell_rack(n, 1.0)
    ways_ms = travel.one_way_ms(travel.layout.inbound)
    skus = n * n // _BOXES_A_SKU
    demand = np.diff([exact.abc_demand(s, k / skus) for k in range(skus + 1)])
    turnover = Turnover(demand.tolist(), [1.0] * skus)
    index = SlotIndex(travel.layout, ways_ms.tolist(), turnover, max(1, zones))
    sku_of = np.tile(np.arange(skus)[::-1], _BOXES_A_SKU)
    boxes = [BoxView(box, sku, NONE, 0, 1) for box, sku in enumerate(sku_of.tolist())]
    for box in boxes:
        index.stays.arrived(box.sku, 0, 0)
    rule, stream = POLICIES[rule_name], Streams(0)["policy.allocation"]
    if rule.batch is not None:
        slots = allocate_batch(rule, boxes, index, stream).tolist()
    else:
        slots = []
        for box in boxes:
            slots.append(allocate(rule, box, index, stream))
            index.take(slots[-1])
    if sorted(slots) != list(range(n * n)):
        raise RuntimeError(f"{rule_name} was to fill every place once")
    group_of, stock = np.arange(skus), np.full(skus, 1.0 / skus)
    if zones:
        of_sku, held = turnover.classes(turnover.borders(zones))
        group_of, stock = np.array(of_sku), np.array(held)
    moves = np.bincount(group_of, demand).astype(np.float64)
    way = np.bincount(group_of[sku_of], ways_ms[slots] / 1e6) / np.bincount(group_of[sku_of])
    return float(moves @ way), moves, stock


def found_borders(s: float, zones: int) -> list[float]:
    """Where the product ends its zones, for many items of an ABC curve: shares of the stock, ascending."""
    items = np.arange(_BORDER_ITEMS + 1) / _BORDER_ITEMS
    turnover = Turnover(np.diff(items**s).tolist(), np.diff(items ** ((s + 1) / 2)).tolist())
    _, held = turnover.classes(turnover.borders(zones))
    return list(itertools.accumulate(held))[:-1]


def _border_loss(s: float, zones: int) -> float:
    """How much longer ways get when all borders lie `_BORDER_OFF` off the best ones, the worst way round."""
    least, borders = exact.best_zones(s, zones)
    ends = np.sqrt(borders)
    off = itertools.product((-_BORDER_OFF, _BORDER_OFF), repeat=zones - 1)
    return max(exact.class_based(s, ((ends + by) ** 2).tolist()) for by in off) - least


def _rack_bounds(demand: Floats, stock: Floats, n: int) -> tuple[float, float]:
    """How far zones of n x n cell centres can lie below and above zones of the continuous rack.

    The 2k - 1 cells whose way is (k - 1/2) / n stand for the places of the continuous rack from way
    (k - 1) / n to k / n. Summed over the places up to way R, the ways of cells exceed those of the rack by
    E(R), the integral over 2r dr of (k - 1/2) / n - r. At the ends of such a ring E is -R / 6n^2, which is
    its least, and between it is at most R / 4n^2, near the ring's middle. Zones weigh their places by demand
    over stock, g, which falls from zone to zone (and to 0 after the last), so that summed by parts they
    differ by the sum of E (g - next g) over the ends of zones, all of it with positive weights.
    """
    weight = -np.diff(np.append(demand / stock, 0.0))
    reach = float(weight @ np.sqrt(np.cumsum(stock))) / n**2
    return reach / 6, reach / 4


def ways_in_use(rng: np.random.Generator, rule_name: str, zones: int, s: float) -> tuple[_Goods, Floats]:
    """Mean one-way times of boxes that leave a rack in which a rule stores, by batches; (batches,).

    Items leave by demand, any box of the item alike. After each `_TRUCK` boxes a truck brings as many of the
    same items, so that stocks stay what they are; the rack is opened by the rule itself. In units of the
    longest way.
    """
    travel = exact.cell_rack(_RACK, 1.0)
    ways_ms = travel.one_way_ms(travel.layout.inbound)
    share = np.diff((np.arange(_ITEMS + 1) / _ITEMS) ** s)
    boxes = np.maximum(1, np.rint(_FILL * _RACK**2 * np.sqrt(share) / np.sqrt(share).sum())).astype(np.int64)
    goods = _Goods(Turnover(share.tolist(), boxes.tolist()), boxes.tolist())
    index = SlotIndex(travel.layout, ways_ms.tolist(), goods.turnover, zones)
    stream = Streams(int(rng.integers(1 << 32)))["policy.allocation"]
    rule, view, stays = POLICIES[rule_name], SlotView(index), index.stays
    slots_of: list[list[int]] = [[] for _ in range(_ITEMS)]
    stored = 0

    def store(item: int) -> None:
        nonlocal stored
        slot = rule(BoxView(stored, item, NONE, 0, 1), view, stream)
        index.take(slot)
        slots_of[item].append(slot)
        stored += 1

    opening = rng.permutation(np.repeat(np.arange(_ITEMS), boxes)).tolist()
    for item in opening:
        stays.arrived(item, 0, 0)
    for item in opening:
        store(item)
    leaving = rng.choice(_ITEMS, _MOVES_BEFORE + _MOVES, p=share / share.sum()).tolist()
    drawn = rng.random(len(leaving)).tolist()
    left: list[int] = []
    for first in range(0, len(leaving), _TRUCK):
        gone = []
        for item, u in zip(leaving[first : first + _TRUCK], drawn[first : first + _TRUCK], strict=True):
            slots = slots_of[item]
            if not slots:
                continue  # its last boxes have left since the truck before
            slot = slots.pop(int(u * len(slots)))
            index.give(slot)
            stays.left(item, 0, 0)
            left.append(slot)
            gone.append(item)
        for item in gone:
            stays.arrived(item, 0, 0)
            store(item)
    counted = np.array(left[_MOVES_BEFORE:])
    ways = ways_ms[counted[: len(counted) // _BATCHES * _BATCHES]] / 1e6
    return goods, ways.reshape(_BATCHES, -1).mean(axis=1)


# -- Occupancy ------------------------------------------------------------------------------------------

_BATCHES: Final = 100


class _Hunt(NamedTuple):
    """A loss system of slots: load a slot, stretches of slots to compare, and how long to look.

    `boxes` go through the allocator; the long run has lanes, boxes of each that are not and that are counted.
    """

    load: float
    stretches: tuple[tuple[int, int], ...]
    boxes: int
    lanes: int
    before: int
    counted: int


_OF_SLOTS: Final[dict[int, tuple[str, ...]]] = {5: ("layout.columns=5", "layout.levels=1"), 258: ()}

HUNTS: Final = {
    5: (_Hunt(0.8, ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5)), 40_000, 1000, 400, 5000),),
    258: (
        _Hunt(0.2, ((1, 25), (26, 50), (51, 75)), 40_000, 100, 1500, 25_000),
        _Hunt(0.8, ((1, 50), (51, 100), (101, 150), (151, 200)), 40_000, 100, 4000, 16_000),
        _Hunt(1.2, ((1, 100), (101, 200), (201, 258)), 40_000, 100, 4000, 16_000),
    ),
}
"""Slots, and the loads under which they fill: light, busy and more than they can hold."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]
"""Draws stays of a shape."""

_SLOW_SHARE: Final = 0.5 - 0.5 * math.sqrt(3 / 5)


def _mixed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Hyperexponential stays of variance 4: of a short or a long mean that take equal shares of time."""
    mean = np.where(rng.random(shape) < _SLOW_SHARE, 0.5 / _SLOW_SHARE, 0.5 / (1 - _SLOW_SHARE))
    return rng.exponential(1.0, shape) * mean


STAYS: Final[dict[str, Draw]] = {
    "exponential": lambda rng, shape: rng.exponential(1.0, shape),
    "constant": lambda _, shape: np.ones(shape),
    "mixed": _mixed,
}
"""How long boxes stay, mean 1: the law asks for nothing but the mean."""


def ordered_hunting(trial: Trial) -> Iterator[Check]:
    """Boxes come at random to closest-open, stay, and are lost when all slots are taken: against Erlang."""
    rng = trial.rng
    cases = [(slots, hunt, stays) for slots, hunts in HUNTS.items() for hunt in hunts for stays in STAYS]
    for done, (slots, hunt, stays) in enumerate(cases, 1):
        scenario = load("rack_a", _OF_SLOTS[slots]).scenario
        layout = build_layout(scenario)
        way_ms = Travel(layout, scenario.robots).one_way_ms(layout.inbound)
        offered, draw = hunt.load * slots, STAYS[stays]
        more, unequal = _driven_hunt(rng, layout, way_ms, offered, draw, hunt.boxes)
        shares, excess = _long_hunt(rng, slots, offered, draw, hunt)
        level, expected = (
            level_of_each(len(hunt.stretches) + 1),
            np.array(exact.ordered_hunting(slots, offered)),
        )
        name = f"hunting {slots} at {hunt.load:g}, {{}}, {stays}"
        note = (
            f"{hunt.boxes:,} boxes through the allocator, {unequal or 'none'} of them to another slot than in"
            f" the textbook, whose {{}} is known from {hunt.lanes * hunt.counted:,} boxes"
        )
        for first, last in hunt.stretches:
            part = slice(first - 1, last)
            found = sum_of(
                _controlled(shares[:, part].sum(axis=1), excess, level),
                t_interval(more[:, part].sum(axis=1).tolist(), level),
            )
            words = f"slot {first}" if first == last else f"slots {first}-{last}"
            what, unit = ("share of time taken", "1") if first == last else ("mean number taken", "slots")
            yield random_check(
                name.format(words), float(expected[part].sum()), found, unit, note.format(what)
            )
        by_rank_s = np.sort(way_ms) / 1000
        found = sum_of(
            _controlled(shares @ by_rank_s / offered, excess, level),
            t_interval((more @ by_rank_s / offered).tolist(), level),
        )
        mean_s = float(expected @ by_rank_s) / offered
        what = "way from the port, 0 for a lost box,"
        yield random_check(name.format("mean way"), mean_s, found, "s", note.format(what))
        trial.step(done / len(cases))


def _controlled(values: Floats, control: Floats, level: float) -> Interval:
    """The mean of batches, less what a control of known mean 0 explains; shapes (batches,)."""
    n = len(values)
    centred = control - control.mean()
    spread = float(centred @ centred)
    slope = float(centred @ values) / spread
    rest = values - values.mean() - slope * centred
    mean = float(values.mean() - slope * control.mean())
    error = math.sqrt(float(rest @ rest) / (n - 2) * (1 / n + float(control.mean()) ** 2 / spread))
    half = float(stdtrit(n - 2, (1.0 + level) / 2.0)) * error
    return Interval(mean, mean - half, mean + half, n)


def _driven_hunt(
    rng: np.random.Generator, layout: Layout, way_ms: Ints, offered: float, draw: Draw, boxes: int
) -> tuple[Floats, int]:
    """How much more of the time the allocator takes each slot, the nearest first, than the textbook does.

    Shape (batches, slots), and how many boxes got another slot. Both see the same boxes, which come at a load
    of `offered` erlangs, a mean stay the unit of time. In the textbook a box takes the first free slot.
    """
    index = SlotIndex(layout, way_ms.tolist())
    rule, view, stream = POLICIES["closest-open"], SlotView(index), Streams(0)["policy.allocation"]
    nearest = np.lexsort((layout.level[: layout.slots], layout.column[: layout.slots], way_ms)).tolist()
    at, stay = np.cumsum(rng.exponential(1 / offered, boxes)), draw(rng, (boxes,))
    leaving: list[tuple[float, int]] = []
    free, until = list(range(len(nearest))), [(math.inf, 0)]
    driven, textbook = np.full(boxes, NONE), np.full(boxes, NONE)
    for number, (now, leaves) in enumerate(zip(at.tolist(), (at + stay).tolist(), strict=True)):
        while leaving and leaving[0][0] <= now:
            index.give(heapq.heappop(leaving)[1])
        slot = driven[number] = rule(BoxView(number, 0, NONE, 0, 1), view, stream)
        if slot != NONE:
            index.take(slot)
            heapq.heappush(leaving, (leaves, slot))
        while until[0][0] <= now:
            heapq.heappush(free, heapq.heappop(until)[1])
        if free:
            rank = heapq.heappop(free)
            textbook[number] = nearest[rank]
            heapq.heappush(until, (leaves, rank))
    batch, taken = np.arange(boxes) * _BATCHES // boxes, np.zeros((2, _BATCHES, len(nearest)))
    for slots, times in zip((driven, textbook), taken, strict=True):
        stored = slots != NONE
        np.add.at(times, (batch[stored], slots[stored]), stay[stored])
    more = (taken[0] - taken[1])[:, nearest] / (float(at[-1]) / _BATCHES)
    return more, int((driven != textbook).sum())


def _long_hunt(
    rng: np.random.Generator, slots: int, offered: float, draw: Draw, hunt: _Hunt
) -> tuple[Floats, Floats]:
    """Share of time that each slot is taken, and the load that was drawn above `offered`, by the textbook.

    Shapes (lanes, slots) and (lanes,); in each lane boxes take the first free slot or are lost.
    """
    lanes = np.arange(hunt.lanes)
    # All slots are taken at first; what is left of constant stays has the distribution that it keeps.
    until = rng.random((hunt.lanes, slots)) * draw(rng, (hunt.lanes, slots))
    now, began = np.zeros(hunt.lanes), np.zeros(hunt.lanes)
    taken, brought = np.zeros((hunt.lanes, slots)), np.zeros(hunt.lanes)
    for first in range(0, hunt.before + hunt.counted, _BLOCK):
        if first == hunt.before:
            began[:], taken[:], brought[:] = now, 0.0, 0.0
        gaps, stays = rng.exponential(1 / offered, (_BLOCK, hunt.lanes)), draw(rng, (_BLOCK, hunt.lanes))
        brought += stays.sum(axis=0)
        for gap, stay in zip(gaps, stays, strict=True):
            now += gap
            is_free = until <= now[:, None]
            slot = is_free.argmax(axis=1)
            lane = lanes[is_free[lanes, slot]]
            slot, stay = slot[lane], stay[lane]
            until[lane, slot] = now[lane] + stay
            # The stays that begin while the lane counts stand for those that it sees.
            taken[lane, slot] += stay
    lasted = now - began
    return taken / lasted[:, None], brought / lasted - offered


# -- Little's law ---------------------------------------------------------------------------------------


def littles_law(trial: Trial) -> Iterator[Check]:
    """Every buffer of two weeks of luoyang: the mean number, counted, is arrival rate x mean time in it."""
    simulation = Simulation(load("luoyang", ["time.days=14"]), seed=int(trial.rng.integers(1 << 32)))
    result = simulation.finish(trial.step)
    tasks = {
        "task_created": (NONE, 0),
        "task_assigned": (0, 1),
        "task_returned": (1, 0),
        "task_done": (1, NONE),
    }
    orders = {"order_released": (NONE, 0), "order_handed_over": (0, NONE)}
    trucks = {"truck_arrived": (NONE, 0), "truck_unloaded": (0, NONE)}
    for moves, names in (
        _box_moves(result),
        (_moves_by_kind(result, "task", tasks), ["tasks waiting", "tasks under way"]),
        (_moves_by_kind(result, "order", orders), ["open orders"]),
        (_moves_by_kind(result, "truck", trucks), ["trucks at the ports"]),
    ):
        for buffer, name in enumerate(names):
            yield _little(name, buffer, moves, result.end_ms)


class _Moves(NamedTuple):
    """Items on their way from buffer to buffer (NONE: elsewhere), in the order of recording."""

    time_ms: Ints
    item: Ints
    before: Ints
    after: Ints


def _little(name: str, buffer: int, moves: _Moves, end_ms: int) -> Check:
    """The mean number in a buffer, by what comes and goes and by how long each item stays."""
    # Which item moves is not looked at: the number goes up and down with the rows.
    change = (moves.after == buffer).astype(np.int64) - (moves.before == buffer)
    inside = np.cumsum(change)
    counted = float(inside @ np.diff(moves.time_ms, append=end_ms)) / end_ms
    # Where it came from is not looked at: an item is there from its row until its own next one.
    by_item = np.argsort(moves.item, kind="stable")
    time_ms, item = moves.time_ms[by_item], moves.item[by_item]
    is_last = np.append(item[1:] != item[:-1], True)
    until_ms = np.where(is_last, end_ms, np.append(time_ms[1:], end_ms))
    stays_ms = (until_ms - time_ms)[moves.after[by_item] == buffer]
    rate_per_ms = len(stays_ms) / end_ms
    mean_ms = float(stays_ms.mean()) if len(stays_ms) else 0.0
    note = (
        f"{len(stays_ms):,} stays in a whole run: {rate_per_ms * 3_600_000:.4g} an hour of"
        f" {mean_ms / 1000:.6g} s each; expected is the count over time"
    )
    found = rate_per_ms * mean_ms if inside.min(initial=0) >= 0 else float(inside.min())
    return exact_check(f"Little, {name}", counted, found, 1e-9 * max(1.0, counted), "items", note)


def _box_moves(result: Result) -> tuple[_Moves, list[str]]:
    """Boxes between the places of the store, and the names of these."""
    layout = result.layout
    places = {
        "boxes on trucks": [layout.truck],
        "boxes in staging": [layout.staging],
        "boxes in the overflow": [layout.overflow],
        **{f"boxes at port {port.name}": [port.place] for port in layout.ports},
        "boxes on board of robots": [layout.robot_place(r) for r in range(layout.robots)],
        "boxes in slots": list(range(layout.slots)),
        "boxes at the pick station": [layout.pick_station],
        "boxes in the loose rack": [layout.loose_rack],
    }
    buffer_of = np.full(layout.places, NONE)
    for buffer, inside in enumerate(places.values()):
        buffer_of[inside] = buffer
    created, moved = result.trace.table("box_created"), result.trace.table("box_moved")
    # Boxes of time 0 are moved in from outside; the others are first seen on their truck.
    arrived = {field: column[created["truck"] != NONE] for field, column in created.items()}
    elsewhere = np.full(len(arrived["seq"]), NONE)
    return _in_order(
        [
            (moved["seq"], moved["time_ms"], moved["box"],
             buffer_of[moved["from_place"]], buffer_of[moved["to_place"]]),
            (arrived["seq"], arrived["time_ms"], arrived["box"], elsewhere, buffer_of[arrived["place"]]),
        ]
    ), list(places)  # fmt: skip


def _moves_by_kind(result: Result, item: str, kinds: dict[str, tuple[int, int]]) -> _Moves:
    """Moves that kinds of facts stand for, each from one buffer to another."""
    columns = []
    for kind, (before, after) in kinds.items():
        table = result.trace.table(kind)
        rows = len(table["seq"])
        columns.append(
            (table["seq"], table["time_ms"], table[item], np.full(rows, before), np.full(rows, after))
        )
    return _in_order(columns)


def _in_order(columns: Sequence[tuple[Ints, ...]]) -> _Moves:
    seq, *rest = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.argsort(seq)
    return _Moves(*(column[order] for column in rest))


CHECKS: Final[dict[str, Callable[[Trial], Iterator[Check]]]] = {
    "rack-a": travel_on_rack_a,
    "acr": travel_of_the_acr,
    "bozer-white": continuous_rack,
    "pollaczek-khinchine": one_robot_queue,
    "m-m-2": two_robots_queue,
    "full-racks": full_racks,
    "rack-in-use": rack_in_use,
    "ordered-hunting": ordered_hunting,
    "littles-law": littles_law,
    "tag-misses": tag_misses,
    "sampling": sample_meets_wrong,
    "counted-records": counted_records,
    "overlooked-records": overlooked_records,
    "machine-repair": machine_repair,
}
"""The cases by name."""
