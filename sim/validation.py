"""Validation: the model against theory, where theory knows the answer.

Each case of `CHECKS` sets the product's own parts (layout, travel, allocation, the robots' loop, whole runs) a
problem with a known answer and compares. Exact cases have to agree within 0.5 ms a leg. Random cases give an
interval at the 99.9 % level, which must hold the expected value and reach at most 1 % of it to either side.

A robot's queue at high utilisation needs tens of millions of visits for that, more than the model drives in a
minute. Such cases have two levels (Giles 2008): the mean wait of a long run of the textbook recursion (Lindley
1952; Kiefer and Wolfowitz 1955), plus the mean difference between the model and that recursion on the same
arrivals, visit by visit. The sum estimates the model's own mean without bias, whatever the model does, and its
interval covers both parts. The note of each check says how many visits the model drove.
"""

import heapq
import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from simpy import Environment, Event

from sim import exact
from sim.allocation import POLICIES, BoxView, SlotIndex, SlotView
from sim.calendar import DAY_MS
from sim.facts import IDLE, ISSUE, NONE, PUT_AWAY, ROBOT_STRETCH, TOUR_STARTED
from sim.layout import Layout
from sim.orders import ScheduledDeliveryParams, ScheduledOrderParams
from sim.robots import Fleet, Life, Robot, RobotParams, Task
from sim.scenario import Scenario, load
from sim.simulation import Result, Simulation, build_layout
from sim.statistics import Interval, t_interval
from sim.streams import Streams
from sim.travel import Travel
from sim.words import near, one_of, show

LEVEL: Final = 0.999
"""Level of the intervals of random cases."""

HALF_WIDTH: Final = 0.01
"""Greatest half-width of an interval, as a share of the expected value."""

LEG_S: Final = 0.0005
"""What the model may add to or take from a straight leg or a lift by rounding to whole milliseconds."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Step = Callable[[float], None]
"""Called by a case with the share of its work that is done."""


class Check(NamedTuple):
    """One comparison: `ok` when `expected` lies between `low` and `high`, the interval around `found`.

    In a random case `ok` also says that the interval is narrow enough.
    """

    name: str
    expected: float
    found: float
    low: float
    high: float
    ok: bool
    unit: str
    note: str


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
    names = list(CHECKS) if only is None else list(only)
    for name in names:
        if name not in CHECKS:
            raise ValueError(f"expected {one_of(list(CHECKS))}, found {show(name)}{near(name, CHECKS)}")
    checks: list[Check] = []
    for done, name in enumerate(name for name in CHECKS if name in names):

        def step(share: float, done: int = done) -> None:
            if progress is not None:
                progress((done + share) / len(names))

        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        checks += CHECKS[name](rng, step)
        step(1.0)
    return checks


def _exact(name: str, expected: float, found: float, tolerance: float, unit: str, note: str) -> Check:
    low, high = found - tolerance, found + tolerance
    return Check(name, expected, found, low, high, low <= expected <= high, unit, note)


def _random(name: str, expected: float, found: Interval, unit: str, note: str) -> Check:
    narrow = (found.high - found.low) / 2 <= HALF_WIDTH * abs(expected)
    ok = found.low <= expected <= found.high and narrow
    return Check(name, expected, found.mean, found.low, found.high, ok, unit, note)


# -- Travel ---------------------------------------------------------------------------------------------


def travel_on_rack_a(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """A robot drives to every slot of rack A and to every pair of slots: against sums over coordinates."""
    columns, levels = np.meshgrid(np.arange(43), np.arange(6), indexing="ij")
    x_m, z_m = 0.6 * (columns.ravel() + 1), 0.5 * levels.ravel()
    for k, (words, horizontal, vertical) in enumerate(
        [("no acceleration", math.inf, math.inf), ("0.5 and 0.3 m/s2", 0.5, 0.3)]
    ):
        sets = [f"robots.acceleration_m_per_s2={horizontal}", f"robots.lift_acceleration_m_per_s2={vertical}"]
        scenario = load("rack_a", [*sets, "tour.command=dual", *_TIRELESS]).scenario
        drive_s = _legs_s(x_m, 2.0, horizontal)
        lift_s = _legs_s(z_m, 0.5, vertical)
        out_s = np.maximum(drive_s(0.0), lift_s(0.0))
        between_s = np.maximum(drive_s(x_m[:, None]), lift_s(z_m[:, None]))
        yield from _drives(f"rack A, {words}", scenario, out_s, between_s, legs=(2, 3), handling_s=(0.0, 0.0))
        step((k + 1) / 2)


def travel_of_the_acr(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """The default robot on one face of 13 x 5, driving to every slot and pair: against sums over coordinates."""
    columns, levels = np.meshgrid(np.arange(13), np.arange(5), indexing="ij")
    x_m, z_m = 1.5 + 0.95 * columns.ravel(), 1.2 * levels.ravel()
    drive_s, lift_s = _legs_s(x_m, 1.5, 0.7), _legs_s(z_m, 0.5, 0.5)
    out_s = drive_s(0.0) + lift_s(0.0)
    between_s = drive_s(x_m[:, None]) + lift_s(z_m[:, None])
    # 6 s a pick or place; 1.5 s positioning at each slot and once on return.
    handling_s = (2 * 6 + 2 * 1.5, 4 * 6 + 3 * 1.5)
    yield from _drives("ACR, 13 x 5", _one_face(), out_s, between_s, legs=(4, 6), handling_s=handling_s)
    step(0.5)
    expected = float(2 * out_s.mean()) + handling_s[0]
    boxes_in, boxes_out = _whole_store_cycles_s(_one_face())
    note = "65 boxes through a whole run: truck, receiving, port, a slot each; the robot's time from start to rest"
    yield _exact("ACR, 13 x 5, put-away in a whole run", expected, boxes_in, 4 * LEG_S, "s", note)
    note = "65 orders of a box in a whole run, the slots emptied; the robot's time from start to rest"
    yield _exact("ACR, 13 x 5, retrieval in a whole run", expected, boxes_out, 4 * LEG_S, "s", note)


def continuous_rack(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """Ever smaller cells approach the continuous rack of Bozer and White (1984), as 1 / n^2."""
    shapes = (1.0, 0.5, 0.2)
    for k, b in enumerate(shapes):
        expected = exact.bozer_white(b)
        found = {n: exact.cell_centres(n, b) for n in (50, 100, 200)}
        for kind, words in enumerate(("single", "dual")):
            for n, means in found.items():
                below, above = _cell_bounds(n, b, dual=bool(kind))
                low, high = means[kind] - above, means[kind] + below
                note = f"layout and travel of {n} x {n} cells; the interval is what the cells may take away or add"
                name = f"rack {b:g}, {n} x {n}, {words} command"
                ok = low <= expected[kind] <= high
                yield Check(name, expected[kind], means[kind], low, high, ok, "longer axis", note)
            # The error is c / n^2 and a rest: two sizes tell c, and what is left has to be as small as rounding.
            limit = (4 * found[200][kind] - found[100][kind]) / 3
            note = "100 and 200 cells a side extrapolated by 1 / n^2 (Richardson)"
            yield _exact(f"rack {b:g}, limit, {words} command", expected[kind], limit, 2e-6, "longer axis", note)
        step((k + 1) / len(shapes))


def _legs_s(at_m: Floats, speed: float, acceleration: float) -> Callable[[float | Floats], Floats]:
    """Seconds from other positions to those of an array: legs from rest to rest, a trapezium or a triangle."""

    def seconds(from_m: float | Floats) -> Floats:
        way_m = np.abs(at_m - from_m)
        ramps_m = speed**2 / acceleration
        long = way_m / speed + speed / acceleration
        short = 2 * np.sqrt(way_m / acceleration)
        return np.where(way_m >= ramps_m, long, short)

    return seconds


def _drives(
    name: str, scenario: Scenario, out_s: Floats, between_s: Floats, *, legs: tuple[int, int],
    handling_s: tuple[float, float],
) -> Iterator[Check]:  # fmt: skip
    """Single and dual commands that the fleet drives, against means of the given times."""
    slots = len(out_s)
    expected = 2 * float(out_s.mean()) + handling_s[0]
    each = range(slots)
    singles = _tour_times_ms(scenario, [[(PUT_AWAY, s)] for s in each] + [[(ISSUE, s)] for s in each])
    note = f"the fleet drives to each of {slots} slots, once to store and once to fetch"
    yield _exact(f"{name}, single command", expected, _mean_s(singles), legs[0] * LEG_S, "s", note)
    expected = 2 * float(out_s.mean()) + float(between_s.sum()) / (slots * (slots - 1)) + handling_s[1]
    pairs = [[(PUT_AWAY, a), (ISSUE, b)] for a in each for b in range(a)]
    duals = _tour_times_ms(scenario, pairs)
    note = f"the fleet stores at one slot and fetches at another, all {len(pairs):,} pairs"
    yield _exact(f"{name}, dual command", expected, _mean_s(duals), legs[1] * LEG_S, "s", note)


def _mean_s(times_ms: Sequence[int]) -> float:
    return sum(times_ms) / len(times_ms) / 1000


class _BareFloor:
    """As much of a warehouse as a fleet needs to drive: box b stands at the bottom of slot b, alone."""

    def expecting_put_aways(self) -> bool:
        return False

    def locate(self, task: Task) -> bool:
        return True

    def assigned(self, task: Task) -> None:
        pass

    unassigned = assigned

    def picked(self, task: Task, robot: Robot) -> None:
        pass

    stored = visited = picked

    def delivered(self, task: Task, robot: Robot, port: int) -> None:
        pass

    def out_place(self, port: int) -> Event | None:
        return None

    def where(self, box: int) -> tuple[int, int, int]:
        return box, 0, 0

    def landing(self, slot: int, column: int) -> int:
        return 0

    def blocker_of(self, task: Task) -> int:
        return NONE

    def dig_target(self, box: int, robot: Robot, on_board: bool) -> tuple[int, int] | None:
        return None

    def dig_out(self, box: int, task: Task, robot: Robot, target: tuple[int, int]) -> None:
        pass

    dig_in = dig_out


def _tour_times_ms(scenario: Scenario, tours: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """Milliseconds of each tour of (task class, slot) commands, from its start until the robot rests again."""
    layout = build_layout(scenario)
    env = Environment(0)
    began, times = 0, []

    def record(row: tuple[int, ...]) -> None:
        nonlocal began
        if row[1] == TOUR_STARTED:
            began = row[0]
        elif row[1] == ROBOT_STRETCH and row[3] == IDLE and row[0] > 0:
            times.append(row[0] - began)

    fleet = Fleet(
        env, layout, Travel(layout, scenario.robots), scenario.robots, scenario.tour,
        dispatch="priority", dwell="port", ageing_ms=1e9, record=record,
    )  # fmt: skip
    fleet.floor = _BareFloor()
    fleet.start()

    def order() -> Life:
        for number, commands in enumerate(tours):
            yield env.timeout(3_600_000)
            for kind, slot in commands:
                source, target = (layout.inbound, slot) if kind == PUT_AWAY else (slot, layout.outbound)
                task = Task(number, kind, slot, source, target, int(env.now))
                task.column = 0
                fleet.post(task)

    env.process(order())
    env.run()
    return times


def _one_face() -> Scenario:
    """The default robot, one box on board, no turns, on one face of 13 x 5 slots with a port at (0, 0)."""
    sets = [
        "layout.rows=1", "layout.omit=[]", "layout.profile=uniform", "layout.boxes_per_slot=1", "layout.tiers=1",
        'layout.ports=[{name = "port"}]', "robots.carry=1", "robots.turn_s=0", "tour.max_wait_s=0",
    ]  # fmt: skip
    return load("luoyang", [*sets, *_TIRELESS]).scenario


_TIRELESS: Final = ("robots.run_h=10000", "robots.charge_below=0", "robots.idle_draw=0")
"""A robot that never has to charge."""

_NO_FLOW: Final = ("initial.fill=0", "demand.orders_per_day=0", "time.days=36500")
"""A store without stock, orders or trucks."""


def _whole_store_cycles_s(scenario: Scenario) -> tuple[float, float]:
    """Mean robot time to fill all slots of a store, one box at a time, and to empty them, in whole runs."""
    slots = build_layout(scenario).slots
    sku = scenario.skus[0].name
    people = dict.fromkeys(("unload_s", "receive_s", "check_s"), 0.0)
    orders = [ScheduledOrderParams(day=1, at="09:00", sku=sku, meters=scenario.boxes.meters_per_box)] * slots
    deliveries = [ScheduledDeliveryParams(day=0, sku=sku, boxes=slots)]
    scenario = scenario.model_copy(
        update={
            "time": scenario.time.model_copy(update={"days": 2}),
            "initial": scenario.initial.model_copy(update={"fill": 0.0}),
            "people": scenario.people.model_copy(update=people),
            "demand": scenario.demand.model_copy(update={"kind": "schedule", "schedule": orders}),
            "supply": scenario.supply.model_copy(update={"rule": "schedule", "schedule": deliveries}),
        }
    )
    trace = Simulation(scenario).finish().trace
    moves = trace.table("box_moved")
    stored = moves["to_place"] < slots
    taken = moves["from_place"] < slots
    if len(set(moves["to_place"][stored].tolist())) < slots or len(set(moves["from_place"][taken].tolist())) < slots:
        raise RuntimeError("the run was to fill and to empty every slot")
    stretches = trace.table("robot_stretch")
    lasted_ms = np.diff(stretches["time_ms"])
    busy_ms = np.where(stretches["activity"][:-1] == IDLE, 0, lasted_ms)
    first_day = stretches["time_ms"][:-1] < DAY_MS
    return float(busy_ms[first_day].sum()) / slots / 1000, float(busy_ms[~first_day].sum()) / slots / 1000


def _cell_bounds(n: int, b: float, *, dual: bool) -> tuple[float, float]:
    """How far n x n cell centres can lie below and above the continuous rack, in units of its longer axis.

    A point is its cell's centre plus a uniform rest of 1 / n. The time is max(x, b y) =
    (x + b y + |x - b y|) / 2, so the centre loses only E|d + e| - |d| where the rest e can change the sign of
    the difference d at the centre. On a lattice of spacing 1 / n the sum of that is at most
    n E(e^2) + E|e|, hence the loss at most (E(e^2) + E|e| / n) / 2; E(e^2) = (1 + b^2) / 12 n^2 and
    E|e| = (1/4 + b^2 / 12) / n. Between two slots e has twice that variance, E|e| at most its root, and both
    |dx + b dy| and |dx - b dy| count by half. Leaving out a slot's way to itself makes the mean larger by
    1 / (n^2 - 1).
    """
    one_way = ((1 + b**2) / 12 + 1 / 4 + b**2 / 12) / 2 / n**2
    if not dual:
        return 2 * one_way, 0.0
    variance = (1 + b**2) / 6
    between = (variance + math.sqrt(variance)) / n**2
    single, both = exact.bozer_white(b)
    return 2 * one_way + between, (both - single) / (n**2 - 1)


# -- Waiting --------------------------------------------------------------------------------------------

UTILISATIONS: Final = (0.5, 0.7, 0.8, 0.9)

_VISITS: Final = 40_000
"""Visits that the model drives in each case of waiting."""


def one_robot_queue(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """One robot out and back to slots of rack A, Poisson arrivals: waits against Pollaczek and Khinchine."""
    scenario = load("rack_a", [*_TIRELESS, *_NO_FLOW]).scenario
    layout = build_layout(scenario)
    services_ms = 2 * Travel(layout, scenario.robots).one_way_ms(layout.inbound)
    # Theory knows the rack by its coordinates alone.
    columns, levels = np.meshgrid(np.arange(43), np.arange(6), indexing="ij")
    services_s = 2 * np.maximum(0.6 * (columns + 1) / 2.0, 0.5 * levels / 0.5)
    mean_s, square_s2 = float(services_s.mean()), float((services_s**2).mean())
    for k, utilisation in enumerate(UTILISATIONS):
        rate = utilisation / mean_s
        slots = rng.integers(layout.slots, size=_VISITS)
        waits = _two_levels(
            scenario, rng, _arrivals_ms(rng, 1000 / rate), slots, np.zeros(_VISITS, np.int64), services_ms[slots],
            lambda shape: rng.choice(services_ms, shape), 1000 / rate,
        )  # fmt: skip
        yield _random(
            f"one robot, utilisation {utilisation:g}, mean wait",
            exact.pollaczek_khinchine_wait(rate, mean_s, square_s2), waits.mean_s, "s", waits.note,
        )  # fmt: skip
        step((k + 1) / len(UTILISATIONS))


def two_robots_queue(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """Two robots that can pass each other, Poisson arrivals, exponential services: against M/M/2 and Erlang C."""
    # Slots within 50 ms of the port, so many that two robots never meet at one; the way is part of the service.
    sets = [
        "layout.columns=100", "layout.levels=1", "layout.first_column_m=0.01", "layout.pitch_m=0.01",
        "robots.speed_m_per_s=20", "robots.count=2", "robots.passing=true",
    ]  # fmt: skip
    scenario = load("rack_a", [*sets, *_TIRELESS, *_NO_FLOW]).scenario
    layout = build_layout(scenario)
    slots = np.arange(_VISITS) % layout.slots
    ways_ms = 2 * Travel(layout, scenario.robots).one_way_ms(layout.inbound)[slots]
    mean_s, utilisation = 600.0, 0.8
    rate = 2 * utilisation / mean_s
    services_ms = np.maximum(np.rint(rng.exponential(1000 * mean_s, _VISITS)).astype(np.int64), ways_ms)
    waits = _two_levels(
        scenario, rng, _arrivals_ms(rng, 1000 / rate), slots, services_ms - ways_ms, services_ms,
        lambda shape: rng.exponential(1000 * mean_s, shape), 1000 / rate,
    )  # fmt: skip
    expected = exact.mmc_wait(rate, mean_s, 2)
    yield _random(f"two robots, utilisation {utilisation:g}, mean wait", expected, waits.mean_s, "s", waits.note)
    expected = exact.erlang_c(2, 2 * utilisation)
    yield _random(f"two robots, utilisation {utilisation:g}, share that waits", expected, waits.share, "1", waits.note)


class _Waits(NamedTuple):
    """The mean wait and the share of visits that wait."""

    mean_s: Interval
    share: Interval
    note: str


def _arrivals_ms(rng: np.random.Generator, mean_gap_ms: float) -> Ints:
    return np.rint(np.cumsum(rng.exponential(mean_gap_ms, _VISITS))).astype(np.int64)


def _two_levels(
    scenario: Scenario, rng: np.random.Generator, at_ms: Ints, slots: Ints, handling_ms: Ints, services_ms: Ints,
    draw: Callable[[tuple[int, int]], NDArray[Any]], mean_gap_ms: float,
) -> _Waits:  # fmt: skip
    """The model's waits: a long run of the recursion, plus the model less the recursion on the same arrivals."""
    servers = scenario.robots.count
    driven = _driven_waits_ms(scenario, at_ms, slots, handling_ms)
    textbook = recursion_waits_ms(at_ms, services_ms, servers)
    mean_ms, share, customers = _long_run(rng, servers, mean_gap_ms, draw)
    unequal = int((driven != textbook).sum())
    note = (
        f"{len(at_ms):,} visits of a whole run, {unequal or 'none'} with another wait than by the recursion,"
        f" and {customers:,} of the recursion"
    )
    more = _batched((driven - textbook) / 1000)
    return _Waits(_sum(_scaled(mean_ms, 1000), more), _sum(share, _batched((driven > 0) * 1.0 - (textbook > 0))), note)


def _driven_waits_ms(scenario: Scenario, at_ms: Ints, slots: Ints, handling_ms: Ints) -> Ints:
    """Waits from arrival until a robot takes the visit into its tour, in a run of the whole model."""
    simulation = Simulation(scenario)
    env, warehouse = simulation.env, simulation.warehouse

    def arrive() -> Life:
        for at, slot, handling in zip(at_ms.tolist(), slots.tolist(), handling_ms.tolist(), strict=True):
            if at > env.now:
                yield env.timeout(at - env.now)
            warehouse.visit(slot, handling)

    env.process(arrive())
    done, until = 0, int(at_ms[-1])
    while done < len(at_ms):
        until += DAY_MS
        simulation.advance(until)
        done = simulation.trace.table("task_done")["task"].size
    created, assigned = simulation.trace.table("task_created"), simulation.trace.table("task_assigned")
    waits = np.empty(len(at_ms), np.int64)
    waits[assigned["task"]] = assigned["time_ms"]
    return waits - created["time_ms"]


def recursion_waits_ms(at_ms: Ints, services_ms: Ints, servers: int) -> Ints:
    """Waits before service in order of arrival, by the recursion of Kiefer and Wolfowitz (1955)."""
    free_at = [0] * servers
    waits = []
    for at, service in zip(at_ms.tolist(), services_ms.tolist(), strict=True):
        start = max(at, free_at[0])
        waits.append(start - at)
        heapq.heapreplace(free_at, start + service)
    return np.array(waits, np.int64)


_LANES: Final = 2000
_WARM_UP: Final = 4000
_STEPS: Final = 48_000
_BLOCK: Final = 100


def _long_run(
    rng: np.random.Generator, servers: int, mean_gap: float, draw: Callable[[tuple[int, int]], NDArray[Any]]
) -> tuple[Interval, Interval, int]:
    """The same recursion in many independent lanes at once: mean wait, share that waits, customers."""
    work = np.zeros((servers, _LANES))
    total, waited = np.zeros(_LANES), np.zeros(_LANES)
    for block in range((_WARM_UP + _STEPS) // _BLOCK):
        gaps, services = rng.exponential(mean_gap, (_BLOCK, _LANES)), draw((_BLOCK, _LANES))
        for gap, service in zip(gaps, services, strict=True):
            np.maximum(work - gap, 0.0, out=work)
            if block >= _WARM_UP // _BLOCK:
                total += work[0]
                waited += work[0] > 0.0
            work[0] += service
            if servers > 1:
                work.sort(axis=0)
    means = [t_interval((sums / _STEPS).tolist(), LEVEL) for sums in (total, waited)]
    return means[0], means[1], _LANES * _STEPS


def _batched(values: Floats, batches: int = 40) -> Interval:
    """The mean of a series that is not independent, by the means of batches of it."""
    size = len(values) // batches
    return t_interval(values[: size * batches].reshape(batches, size).mean(axis=1).tolist(), LEVEL)


def _sum(a: Interval, b: Interval) -> Interval:
    """The interval of the sum of two independent means."""
    half = math.hypot(a.high - a.mean, b.high - b.mean)
    mean = a.mean + b.mean
    return Interval(mean, mean - half, mean + half, min(a.n, b.n))


def _scaled(a: Interval, by: float) -> Interval:
    return Interval(a.mean / by, a.low / by, a.high / by, a.n)


# -- Occupancy ------------------------------------------------------------------------------------------


def ordered_hunting(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """Boxes come at random to closest-open, stay, and are lost when all slots are taken: against Erlang."""
    stays: dict[str, Callable[[int], Floats]] = {
        "exponential": lambda boxes: rng.exponential(1.0, boxes),
        "constant": np.ones,
    }
    for k, (slots, kind) in enumerate(itertools.product((5, 258), stays)):
        offered, boxes, sets = (2.0, 8_000_000, _FIVE_SLOTS) if slots == 5 else (200.0, 1_500_000, ())
        scenario = load("rack_a", sets).scenario
        layout = build_layout(scenario)
        way_ms = Travel(layout, scenario.robots).one_way_ms(layout.inbound)
        shares = _shares_taken(rng, layout, way_ms, offered, stays[kind], boxes)
        expected = np.array(exact.ordered_hunting(slots, offered))
        name = f"{slots} slots, load {offered:g}, {kind} stays"
        note = f"{boxes:,} boxes through the allocator"
        if slots == 5:
            for slot, share in enumerate(expected.tolist()):
                found = t_interval(shares[:, slot].tolist(), LEVEL)
                yield _random(f"{name}, slot {slot + 1}", share, found, "1", f"{note}; share of time that it is taken")
        else:
            for first, last in ((1, 50), (51, 100), (101, 150), (151, 200), (1, 258)):
                found = t_interval(shares[:, first - 1 : last].sum(axis=1).tolist(), LEVEL)
                mean = float(expected[first - 1 : last].sum())
                yield _random(f"{name}, slots {first} to {last}", mean, found, "slots", f"{note}; mean number taken")
            by_rank_s = np.sort(way_ms) / 1000
            found = t_interval((shares @ by_rank_s / shares.sum(axis=1)).tolist(), LEVEL)
            mean = float(expected @ by_rank_s / expected.sum())
            yield _random(f"{name}, mean way", mean, found, "s", f"{note}; mean way to the slots taken")
        step((k + 1) / 4)


_FIVE_SLOTS: Final = ("layout.columns=5", "layout.levels=1")
_BATCHES: Final = 100


def _shares_taken(
    rng: np.random.Generator, layout: Layout, way_ms: Ints, offered: float, stays: Callable[[int], Floats], boxes: int
) -> Floats:
    """Share of time that each slot, the nearest first, is taken; one row a batch, the warm-up left out.

    The allocator names the slots. `offered` is the load in erlangs, a mean stay the unit of time.
    """
    index = SlotIndex(layout, way_ms.tolist())
    rule, view, stream = POLICIES["closest-open"], SlotView(index), Streams(0)["policy.allocation"]
    box = BoxView(0, 0, 0, 0, 1)
    nearest = np.lexsort((layout.level, layout.column, way_ms))
    leaving: list[tuple[float, int]] = []
    began, rows = 0.0, []
    for _ in range(1 + _BATCHES):
        at = began + np.cumsum(rng.exponential(1 / offered, boxes // _BATCHES))
        stay = stays(len(at))
        taken = []
        for now, until in zip(at.tolist(), (at + stay).tolist(), strict=True):
            while leaving and leaving[0][0] <= now:
                index.give(heapq.heappop(leaving)[1], 0)
            slot = rule(box, view, stream)
            taken.append(slot)
            if slot != NONE:
                index.take(slot, 0)
                heapq.heappush(leaving, (until, slot))
        # The stays that begin in a batch stand for those that end in it.
        stored = np.array(taken) != NONE
        taken_for = np.bincount(np.array(taken)[stored], stay[stored], len(nearest))
        rows.append(taken_for[nearest] / (at[-1] - began))
        began = float(at[-1])
    return np.array(rows[1:])


# -- Little's law -----------------------------------------------------------------------------------------


def littles_law(rng: np.random.Generator, step: Step) -> Iterator[Check]:
    """Every buffer of two weeks of luoyang: mean number by counting, against arrival rate x mean time in it."""
    simulation = Simulation(load("luoyang", ["time.days=14"]), seed=int(rng.integers(1 << 32)))
    result = simulation.finish(step)
    for moves, names in (_box_moves(result), _task_moves(result), _order_moves(result), _truck_moves(result)):
        for buffer, name in enumerate(names):
            yield _little(name, buffer, moves, result.end_ms)


class _Moves(NamedTuple):
    """Items from buffer to buffer (NONE: elsewhere), in the order of recording."""

    time_ms: Ints
    item: Ints
    before: Ints
    after: Ints


def _little(name: str, buffer: int, moves: _Moves, end_ms: int) -> Check:
    """The two ways to a mean number: how many come and go, and how long each item stays."""
    # Items are not looked at: the number in the buffer goes up and down by its own rows.
    change = (moves.after == buffer).astype(np.int64) - (moves.before == buffer)
    lasted_ms = np.diff(moves.time_ms, append=end_ms)
    inside = np.cumsum(change)
    counted = float(inside @ lasted_ms) / end_ms
    # The number is not looked at: each item is there from its row until its next one.
    by_item = np.argsort(moves.item, kind="stable")
    time_ms, item, after = moves.time_ms[by_item], moves.item[by_item], moves.after[by_item]
    last = np.append(item[1:] != item[:-1], True)
    until_ms = np.where(last, end_ms, np.append(time_ms[1:], end_ms))
    stays_ms = (until_ms - time_ms)[after == buffer]
    rate_per_ms, mean_ms = len(stays_ms) / end_ms, float(stays_ms.mean()) if len(stays_ms) else 0.0
    note = (
        f"lambda {rate_per_ms * 3_600_000:.4g} an hour x W {mean_ms / 1000:.6g} s, {len(stays_ms):,} stays;"
        " expected is the count over time"
    )
    tolerance = 1e-9 * max(1.0, counted)
    if inside.min(initial=0) < 0:
        tolerance, note = -math.inf, f"the number falls to {inside.min()}"
    return _exact(f"Little, {name}", counted, rate_per_ms * mean_ms, tolerance, "items", note)


def _box_moves(result: Result) -> tuple[_Moves, list[str]]:
    layout, trace = result.layout, result.trace
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
    created, moved = trace.table("box_created"), trace.table("box_moved")
    on_truck = created["truck"] != NONE  # the others are moved in from outside
    columns = [
        (moved["seq"], moved["time_ms"], moved["box"], buffer_of[moved["from_place"]], buffer_of[moved["to_place"]]),
        (
            created["seq"][on_truck], created["time_ms"][on_truck], created["box"][on_truck],
            np.full(on_truck.sum(), NONE), buffer_of[created["place"]][on_truck],
        ),
    ]  # fmt: skip
    return _in_order(columns), list(places)


def _task_moves(result: Result) -> tuple[_Moves, list[str]]:
    kinds = {"task_created": (NONE, 0), "task_assigned": (0, 1), "task_returned": (1, 0), "task_done": (1, NONE)}
    return _moves_of(result, "task", kinds), ["tasks that wait for a robot", "tasks under way"]


def _order_moves(result: Result) -> tuple[_Moves, list[str]]:
    return _moves_of(result, "order", {"order_released": (NONE, 0), "order_handed_over": (0, NONE)}), ["open orders"]


def _truck_moves(result: Result) -> tuple[_Moves, list[str]]:
    kinds = {"truck_arrived": (NONE, 0), "truck_unloaded": (0, NONE)}
    return _moves_of(result, "truck", kinds), ["trucks at the ports"]


def _moves_of(result: Result, item: str, kinds: dict[str, tuple[int, int]]) -> _Moves:
    """Moves between buffers by kind of fact."""
    columns = []
    for kind, (before, after) in kinds.items():
        table = result.trace.table(kind)
        size = len(table["seq"])
        columns.append((table["seq"], table["time_ms"], table[item], np.full(size, before), np.full(size, after)))
    return _in_order(columns)


def _in_order(columns: Sequence[tuple[Ints, ...]]) -> _Moves:
    seq, *rest = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.argsort(seq)
    return _Moves(*(column[order] for column in rest))


CHECKS: Final[dict[str, Callable[[np.random.Generator, Step], Iterator[Check]]]] = {
    "rack-a": travel_on_rack_a,
    "acr": travel_of_the_acr,
    "continuous-rack": continuous_rack,
    "one-robot": one_robot_queue,
    "two-robots": two_robots_queue,
    "ordered-hunting": ordered_hunting,
    "littles-law": littles_law,
}
"""The cases by name; each has its sentence."""
