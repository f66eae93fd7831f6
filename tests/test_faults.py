"""Faults: what breaks when, who repairs in which turn, stretches cut and gone on with, and that nothing is lost."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.calendar import CalendarParams, WorkCalendar
from sim.checks import Trial
from sim.clock import Clock
from sim.facts import (
    BOX_MOVED,
    BREAKDOWN,
    CHARGE,
    DIGGING,
    FAULT,
    GO_CHARGE,
    ISSUE,
    KINDS,
    MINOR_STOP,
    NONE,
    PARK,
    PERSON_WORK,
    POWER,
    PUT_AWAY,
    REPAIR,
    ROBOT_STRETCH,
    STATION,
    STOPPED,
    WORKING,
)
from sim.faults import FaultParams, Faults
from sim.repair_theory import availability, machine_repair
from sim.robots import Task
from sim.scenario import load
from sim.simulation import Simulation
from sim.streams import Streams
from tests.test_robots import CASES, IN_OUT, STACKS, STAY, Busy
from tests.worlds import START, World, named, stretches_of

SECOND = 1000
MINUTE = 60_000
HOUR = 3_600_000
DAY = 24 * HOUR

# Nothing breaks but for what a test says: a repair takes exactly two hours, by one of the store's own people.
QUIET = {
    "scale": 1, "mtbf_h": 500, "repair_kind": "constant", "vendor_share": 0, "minor_stop_share": 0,
    "power_failures_per_year": 0, "blocked_per_day": 0, "misshaped_share": 0,
}  # fmt: skip


class Told:
    """A stream whose uniforms are such that what a test asks for happens: by (occurrence, number)."""

    def __init__(self, uniforms, otherwise):
        self.uniforms = uniforms
        self.otherwise = otherwise

    def uniform(self, number, occurrence=0):
        told = self.uniforms.get(occurrence, ())
        return told[number] if number < len(told) else self.otherwise


def after(ms, mean_ms):
    """The uniform of which an exponential variate of the given mean is so long."""
    return -math.expm1(-ms / mean_ms)


class Script:
    """Streams in which faults come when a test says: times in ms from one fault of a kind to the next."""

    def __init__(self, breakdowns=None, power=(), station=(), stops=None, vendor=None, seed=1):
        never = 1 - 1e-15
        mean = 500 * HOUR
        self.streams = Streams(seed)
        self.told = {
            "breakdown": Told({r: [after(ms, mean) for ms in gaps] for r, gaps in (breakdowns or {}).items()}, never),
            "power": Told({0: [after(ms, 365 * DAY) for ms in power]}, never),
            "station": Told({0: [after(ms, DAY) for ms in station]}, never),
            "minor_stop": Told(stops or {}, never),
            "vendor": Told(vendor or {}, never),
        }  # fmt: skip

    def __getitem__(self, name):
        told = self.told.get(name.removeprefix("faults."))
        return told if told is not None else self.streams[name]


class FaultyWorld(World):
    """A small store in which things break: `faults` are parameters beside `QUIET`, `streams` what they draw from."""

    def __init__(self, *, faults=None, streams=None, shifts=None, **world):
        self.fault_params = FaultParams(**{**QUIET, **(faults or {})})
        self.fault_streams = streams or Streams(1)
        self.fault_calendar = None if shifts is None else WorkCalendar(CalendarParams(**shifts), START)
        super().__init__(**world)

    def start(self):
        faults = Faults(
            self.fault_params, self.fault_streams, self.env, self.rows.append, self.fault_calendar
        )
        self.faults = self.fleet._known_faults = faults
        self.fleet._faults = faults if faults.is_on else None
        return super().start()

    def start_fleet(self):
        """Let the robots alone begin."""
        people, self.people.start = self.people.start, lambda: None
        self.start()
        self.people.start = people
        return self


def retrieval(**world):
    """A box in the middle of aisle 1 is wanted at the outbound port: 19.936 s to have it, then home."""
    store = FaultyWorld(policy=STAY, **world)
    store.stock_box("2-05-3", 1, 2)
    store.order(15)
    return store


def shifted(rows, at, by):
    """Facts of a run in which everything stands still for a time, from a moment between two instants on."""
    late = [(row[0] + by, *row[1:]) if row[0] > at else row for row in rows if row[1] != ROBOT_STRETCH]
    return [
        (*row[:4], row[4] + by, *row[5:]) if row[1] == PERSON_WORK and row[0] > at else row for row in late
    ]


def but_faults(rows):
    """Facts without stretches and faults."""
    kinds = [KINDS[kind].number for kind in ("robot_stretch", "fault_began", "fault_ended")]
    return [row for row in rows if row[1] not in kinds]


def worked(rows, end, activities=(WORKING, DIGGING)):
    """Time that the robots worked, up to an instant."""
    total = 0
    for stretches in stretches_of(rows, end).values():
        starts = [s.start for s in stretches] + [end]
        for stretch, (begin, follows) in zip(stretches, itertools.pairwise(starts), strict=True):
            if stretch.activity in activities:
                total += follows - begin
    return total


def check_stretches(rows, end):
    """Every stretch that a fault cut goes on later for exactly the rest of its time; gives the number of cuts."""
    cuts = 0
    for stretches in stretches_of(rows, end).values():
        rest = None
        for stretch, follows in itertools.pairwise([*stretches, None]):
            stop = end if follows is None else follows.start
            assert stretch.start <= stop
            if stretch.activity == FAULT or (
                stretch.arrive == NONE and rest is not None and stretch.from_place != stretch.to_place
            ):
                if rest is not None:
                    assert (stretch.from_place, stretch.to_place, stretch.height_mm) == rest[1:4]
                continue
            if rest is not None:
                # Rest: what was left of the cut stretch at the fault, to the millisecond.
                activity, *goal, to_arrive, to_end, task = rest
                assert [stretch.activity, stretch.from_place, stretch.to_place, stretch.height_mm, stretch.task] == [
                    activity, *goal, task,
                ]  # fmt: skip
                assert stretch.arrive - stretch.start == to_arrive
                assert stretch.planned_end - stretch.start == to_end
                rest = None
            if stretch.planned_end == NONE:
                continue
            assert stop <= stretch.planned_end or follows is None
            if follows is not None and stop < stretch.planned_end:
                assert follows.activity == FAULT
                cuts += 1
                rest = (
                    stretch.activity, stretch.from_place, stretch.to_place, stretch.height_mm,
                    max(0, stretch.arrive - stop), stretch.planned_end - stop, stretch.task,
                )  # fmt: skip
    return cuts


def check_faults(rows, end):
    """Faults are numbered as they begin, end once, when they said they would; gives them with their ends."""
    began = {row["fault"]: row for row in named(rows, "fault_began")}
    assert list(began) == list(range(len(began)))
    faults = {number: {**row, "end": None} for number, row in began.items()}
    for row in named(rows, "fault_ended"):
        fault = faults[row["fault"]]
        assert fault["end"] is None
        assert (fault["cause"], fault["robot"]) == (row["cause"], row["robot"])
        assert fault["until"] in (NONE, row["time"])
        fault["end"] = row["time"]
    assert all(f["end"] is not None or f["until"] == NONE or f["until"] >= end for f in faults.values())
    return list(faults.values())


class TestParams:
    def test_defaults_are_those_of_the_notes(self):
        """MTBF 500 h, MTTR 2 h, vendor 20 % and 24 h, a minor stop in 2,000 missions, power twice a year, station twice a day."""
        p = FaultParams()
        assert (p.mtbf_h, p.mttr_h, p.mttr_sd_h, p.vendor_share, p.vendor_h) == (500, 2, 0.5, 0.2, 24)
        assert (1 / p.minor_stop_share, p.minor_stop_min) == (2000, 5)
        assert (p.power_failures_per_year, p.power_failure_h) == (2, 1)
        assert (p.blocked_per_day, p.blocked_min, p.misshaped_share, p.misshaped_s) == (2, 10, 0.003, 90)
        assert p.scale == 0

    @pytest.mark.parametrize(
        "wrong",
        [{"scale": -1}, {"mtbf_h": 0}, {"mtbf_h": math.nan}, {"clock": "wall"}, {"repairers": 0},
         {"vendor_share": 1.1}, {"repair_kind": "normal"}, {"mttr_h": math.inf}, {"rate": 1}],
    )  # fmt: skip
    def test_nonsense_is_refused(self, wrong):
        """Rates below 0, shares above 1, unknown clocks and keys are errors."""
        with pytest.raises(ValidationError):
            FaultParams(**wrong)

    def test_scale_multiplies_every_rate(self):
        """At scale 10 and rates as given, ten times as many faults of each kind as at scale 1 happen."""
        # 4 robots: 1,000 days x 4 at one breakdown in 1,000 h give 96 at scale 1; power and station 100 and 100.
        # Poisson counts of about 960 and 96 differ from ten times by less than 4 standard deviations of the small one.
        counts = []
        for scale in (1, 10):
            faults = {
                "mtbf_h": 1000, "clock": "powered", "power_failures_per_year": 36.5, "power_failure_h": 0.001,
                "blocked_per_day": 0.1, "blocked_min": 0.01, "mttr_h": 0.001, "scale": scale,
            }  # fmt: skip
            world = FaultyWorld(robots={"count": 4}, faults=faults)
            world.env.run(1000 * DAY)
            causes = [f["cause"] for f in world.facts("fault_began")]
            counts.append([causes.count(cause) for cause in (BREAKDOWN, POWER, STATION)])
        for few, many, mean in zip(*counts, (96, 100, 100), strict=True):
            assert abs(few - mean) < 4 * math.sqrt(mean)
            assert abs(many - 10 * mean) < 4 * math.sqrt(10 * mean)

    def test_each_fault_can_be_switched_off(self):
        """With an infinite MTBF and rates of 0 nothing ever breaks, whatever the scale."""
        world = FaultyWorld(
            robots={"count": 2}, faults={"mtbf_h": math.inf, "scale": 1000, "clock": "calendar"}
        )
        world.truck(4)
        world.env.run(100 * DAY)
        assert world.facts("fault_began") == []

    def test_scale_0_is_no_faults(self):
        """At scale 0 the facts of a busy store are those of a fleet that knows no faults."""
        plain = Busy()
        off = Busy(make=lambda **world: FaultyWorld(faults={"scale": 0, "mtbf_h": 0.01}, **world))
        plain.world.run(7200)
        off.world.run(7200)
        assert len(plain.world.rows) > 500
        assert plain.world.rows == off.world.rows

    @pytest.mark.parametrize("case", ["four robots", "three pass in stacks", "small battery"])
    def test_faults_to_come_change_nothing(self, case):
        """Until the first fault strikes, the facts are those of a store in which nothing breaks."""
        faults = {"power_failures_per_year": 1, "minor_stop_share": 1e-12, "clock": "powered"}
        plain = Busy(**CASES[case])
        on = Busy(make=lambda **world: FaultyWorld(faults=faults, streams=Script(), **world), **CASES[case])
        plain.world.run(7200)
        on.world.run(7200)
        assert len(plain.world.rows) > 500
        assert plain.world.rows == on.world.rows

    def test_misshaped_boxes(self):
        """3 boxes in 1,000 cost 90 s of a hand more, the same ones in every run."""

        def extra(**params):
            faults = Faults(FaultParams(**{**QUIET, **params}), Streams(7), Clock(), [].append)
            return [faults.misshaped_ms(box) for box in range(100_000)]

        ms = extra(misshaped_share=0.003)
        assert set(ms) == {0, 90_000}
        # 300 expected, standard deviation sqrt(300 x 0.997) = 17.3.
        assert abs(ms.count(90_000) - 300) < 4 * 17.3
        assert ms == extra(misshaped_share=0.0003, scale=10)
        assert set(extra()) == {0}


class TestCutStretches:
    # The way of test_single_retrieval: aisle 5.676 s, lift 6.760 s, at 12.436 s; positioning and pick until 19.936 s; to
    # the port at 40.300 s, positioning until 41.800 s, set down until 47.800 s.
    @pytest.mark.parametrize(
        ("at", "stretch"),
        [(3000, 0), (8000, 0), (12436, 0), (15000, 0), (19935, 0), (25000, 1), (41000, 1), (45000, 2)],
        ids=["drive", "lift", "arrival", "pick", "last moment", "way home", "positioning", "set down"],
    )  # fmt: skip
    def test_breakdown_at_work(self, at, stretch):
        """A robot that breaks down is repaired where it is and goes on with exactly the rest of its stretch."""
        plain, broken = retrieval().run(100), retrieval(streams=Script({0: [at]})).run(2 * 3600 + 100)
        old = plain.stretches()[:3]
        cut = old[stretch]
        path = [
            (s.activity, s.from_place, s.to_place, s.height_mm, s.start, s.end, s.task)
            for s in broken.stretches()
        ]
        goal = (cut.from_place, cut.to_place, cut.height_mm)
        back = at + 2 * HOUR
        resumed = [s._replace(start=s.start + 2 * HOUR, end=s.end + 2 * HOUR) for s in old[stretch + 1 :]]
        assert path[: len(old) + 2] == [
            *((s.activity, s.from_place, s.to_place, s.height_mm, s.start, s.end, s.task) for s in old[:stretch]),
            (cut.activity, *goal, cut.start, cut.end, cut.task),  # as planned when it began
            (FAULT, *goal, at, back, cut.task),
            (cut.activity, *goal, back, cut.end + 2 * HOUR, cut.task),
            *((s.activity, s.from_place, s.to_place, s.height_mm, s.start, s.end, s.task) for s in resumed),
        ]  # fmt: skip
        assert broken.stretches()[stretch + 2].arrive == max(back, cut.arrive + 2 * HOUR)
        assert broken.facts("fault_began") == [
            {"time": at, "fault": 0, "cause": BREAKDOWN, "robot": 0, "box": NONE, "place": cut.from_place, "until": back}
        ]  # fmt: skip
        assert broken.facts("fault_ended") == [{"time": back, "fault": 0, "cause": BREAKDOWN, "robot": 0}]
        # All else happens two hours later, in the same order.
        assert but_faults(broken.rows) == [
            r for r in shifted(plain.rows, at, 2 * HOUR) if r[0] <= broken.env.now
        ]

    def test_two_breakdowns_in_one_stretch(self):
        """Broken down at 3 s and, after 5 s of further work, again: two cuts, and the pick ends 4 h later."""
        world = retrieval(streams=Script({0: [3000, 5000]})).run(5 * 3600)
        first, second = 3000 + 2 * HOUR, 8000 + 4 * HOUR
        assert world.path()[:6] == [
            ("work", "2-05-3", 0, 19936), ("fault", "2-05-3", 3000, first),
            ("work", "2-05-3", first, 19936 + 2 * HOUR), ("fault", "2-05-3", 8000 + 2 * HOUR, second),
            ("work", "2-05-3", second, 19936 + 4 * HOUR),
            ("work", "out", 19936 + 4 * HOUR, 41800 + 4 * HOUR),
        ]  # fmt: skip
        assert check_stretches(world.rows, world.env.now) == 2

    def test_breakdown_between_stretches(self):
        """A breakdown at the very end of a stretch strikes before the next one: nothing of it has begun."""
        world = retrieval(streams=Script({0: [19936]})).run(3 * 3600)
        back = 19936 + 2 * HOUR
        assert world.path()[:3] == [
            ("work", "2-05-3", 0, 19936), ("fault", "out", 19936, back), ("work", "out", back, 41800 + 2 * HOUR),
        ]  # fmt: skip

    def test_operating_clock_stands_still_at_rest(self):
        """After 47.8 s of work and a day of rest, a breakdown due at 60 s of work strikes 12.2 s into the next work."""
        world = retrieval(streams=Script({0: [60_000]}))
        world.run(86_400)
        assert world.facts("fault_began") == []
        world.stock_box("2-05-3", 1, 2)
        world.order(15)
        world.run(100)
        assert [f["time"] for f in world.facts("fault_began")] == [86_400_000 + 60_000 - 47_800]

    @pytest.mark.parametrize("clock", ["powered", "calendar"])
    def test_breakdown_at_rest(self, clock):
        """By a clock that runs on, a robot breaks down where it rests, and rests again after the repair."""
        world = FaultyWorld(policy=STAY, faults={"clock": clock}, streams=Script({0: [10_000]})).run(10_000)
        back = 10_000 + 2 * HOUR
        assert world.path() == [
            ("idle", "in", 0, 10_000), ("fault", "in", 10_000, back), ("idle", "in", back, 10_000_000),
        ]  # fmt: skip

    @pytest.mark.parametrize("clock", ["powered", "calendar"])
    def test_work_that_came_meanwhile(self, clock):
        """Work that comes for a robot under repair is begun when it is repaired."""
        world = FaultyWorld(policy=STAY, faults={"clock": clock}, streams=Script({0: [10_000]}))
        world.at(20_000, lambda: world.truck(1))
        world.run(10_000)
        back = 10_000 + 2 * HOUR
        assert world.path()[2] == ("work", "in", back, back + 6000)

    def test_clocks_differ(self):
        """Gaps of 10 and 7,195 s: calendar passes the second over, powered counts on from the repair."""
        begins = {}
        for clock in ("powered", "calendar"):
            script = Script({0: [10_000, 7_195_000, 1_000_000]})
            world = FaultyWorld(faults={"clock": clock}, streams=script)
            world.env.run(40_000_000)
            begins[clock] = [f["time"] for f in world.facts("fault_began")]
        # Repaired at 7,210 s. Calendar: 10 + 7,195 = 7,205 s is in the repair, then 8,205 s. Powered: 14,405 s,
        # repaired at 21,605 s, then 22,605 s.
        assert begins == {
            "powered": [10_000, 14_405_000, 22_605_000], "calendar": [10_000, 8_205_000],
        }  # fmt: skip

    def test_breakdown_while_charging(self):
        """A charge that is cut by a breakdown ends two hours later; only the rest is charged then."""
        robots = {"run_h": 1.0, "charge_h": 1.0, "charge_below": 0.5, "resume_above": 0.9, "idle_draw": 1.0}
        plain = FaultyWorld(robots=robots, policy=STAY).run(2 * 3600)
        charge = next(s for s in plain.stretches() if s.activity == CHARGE)
        at = charge.start + 600_000
        broken = FaultyWorld(
            robots=robots, policy=STAY, faults={"clock": "powered"}, streams=Script({0: [at]})
        )
        broken.run(4 * 3600)
        assert check_stretches(broken.rows, broken.env.now) == 1
        charges = [s for s in broken.stretches() if s.activity == CHARGE]
        assert [(s.start, s.end) for s in charges[:2]] == [
            (charge.start, charge.end), (at + 2 * HOUR, charge.end + 2 * HOUR),
        ]  # fmt: skip
        told = [row["time"] for row in broken.facts("battery")]
        assert told[:2] == [charge.start, charge.end + 2 * HOUR]
        assert [r["permille"] for r in broken.facts("battery")[:2]] == [
            r["permille"] for r in plain.facts("battery")[:2]
        ]

    def test_breakdown_while_charging_at_rest(self):
        """A robot that rests at a charger is not charged while it is repaired there."""
        robots = {"run_h": 10.0, "charge_h": 10.0, "charge_below": 0.25, "idle_draw": 0.0}
        world = FaultyWorld(
            robots=robots, policy={"dwell": "charger"}, faults={"clock": "powered"},
            streams=Script({0: [1_800_000]}),
        )  # fmt: skip
        world.fleet.robots[0].charge_ms = 5 * HOUR
        world.run(4 * 3600)
        # Parked within seconds; charges 1:1 until 0.5 h, not until 2.5 h, then until 4 h: nothing is told in between.
        park = next(s for s in world.stretches() if s.activity == PARK)
        gained = (1_800_000 - park.end) / (10 * HOUR)
        spent = (park.end - park.start) / (10 * HOUR)
        told = [row["permille"] for row in world.facts("battery")]
        assert told[1] == round(1000 * (0.5 - spent + gained))

    @pytest.mark.parametrize(("at", "stands"), [(200_000, True), (1_049_449, True), (100_000, False)])
    def test_breakdown_while_waiting_at_the_port(self, at, stands):
        """A robot that breaks down before a full port waits on when repaired, or goes on if a place came free."""
        world = FaultyWorld(
            policy=STAY, people={"check_s": 1000}, ports=IN_OUT,
            faults={"clock": "powered", "mttr_h": 0.1 if stands else 1}, streams=Script({0: [at]}),
        )  # fmt: skip
        for _ in range(2):
            world.stock_box("3-01-2")
        world.order(30)
        world.run(6000)
        # As in test_full_port_blocks_the_robot: it waits from 49.450 until 1,049.450 s, then sets down for 8 s.
        # Repaired after 360 s it waits on if it is not yet 1,049.450 s; after 3,600 s the place is free.
        back = at + (360_000 if stands else HOUR)
        goes_on = max(back, 1_049_450)
        waits = [("wait_port", "out", back, goes_on)] if goes_on > back else []
        assert world.path(after=49_449)[:4] == [
            ("wait_port", "out", 49_450, at), ("fault", "out", at, back), *waits,
            ("work", "out", goes_on, goes_on + 8000), ("idle", "out", goes_on + 8000, 6_000_000),
        ][:4]  # fmt: skip
        assert len(world.facts("task_done")) == 2

    def test_breakdown_while_waiting_for_an_aisle(self):
        """A robot that breaks down outside an aisle keeps its turn; one inside keeps the other out."""
        for broken, first in ((0, 0), (1, 0)):
            world = FaultyWorld(
                robots={"count": 2, "carry": 1}, policy=STAY, faults={"clock": "powered"},
                streams=Script({broken: [10_000]}),
            )  # fmt: skip
            for name in ("1-05-1", "2-09-1"):
                world.stock_box(name)
                world.order(15)
            world.run(3 * 3600)
            # Robot 0 leaves the aisle at 18.852 s, or 2 h later; robot 1 goes in then, or when it is repaired.
            back = 10_000 + 2 * HOUR
            if broken == first:
                assert ("wait_aisle", "in", 0, 18_852 + 2 * HOUR) in world.path(1)
            else:
                assert world.path(1)[:3] == [
                    ("wait_aisle", "in", 0, 10_000), ("fault", "in", 10_000, back),
                    ("work", "2-09-1", back, back + 15_710),
                ]  # fmt: skip
            assert len(world.facts("task_done")) == 2

    def test_wait_for_a_fuller_tour(self):
        """A robot that breaks down while it waits to fill its tour starts, when repaired, with what there is."""
        world = FaultyWorld(
            policy=STAY, people={"unload_s": 50}, faults={"clock": "powered"}, streams=Script({0: [60_000]})
        )
        world.truck(3)
        world.run(3 * 3600)
        path = world.path()
        assert [activity for activity, *_ in path[:4]] == ["idle", "wait_tour", "fault", "work"]
        assert path[3][2] == 60_000 + 2 * HOUR
        assert world.facts("tour_started")[0]["put_aways"] == 3

    def test_lift_beside_the_drive(self):
        """A crane whose drive is cut gets no lift for nothing while it is down."""
        # 2.88 m at 0.1 m/s: up from 0 to 29.0 s, pick until 36.5 s, out of the aisle until 42.2 s, still coming down.
        crane = {"axes": "simultaneous", "count": 2, "carry": 1, "turn_s": 0, "lift_speed_m_per_s": 0.1}
        for at in (3000, 20_000, 35_000, 38_000, 45_000):
            plain, broken = (
                retrieval(robots=crane, streams=Script({0: [t], 1: [10**9]})) for t in (10**9, at)
            )
            plain.run(100)
            broken.run(3 * 3600)
            # One robot works, the other rests: the work takes as long with a breakdown in it as without.
            ends = [world.facts("task_done")[0]["time"] for world in (plain, broken)]
            assert ends[1] - ends[0] == 2 * HOUR
            assert worked(plain.rows, plain.env.now) == worked(broken.rows, broken.env.now)


class StoppedWorld(FaultyWorld):
    """A small store in which nothing breaks, and robots are stopped and set to work again when a test says."""

    def __init__(self, *, faults=None, **world):
        super().__init__(faults={"scale": 0} if faults is None else faults, **world)

    def stop(self, *spans, robot=0):
        """Stop a robot from one instant to another (ms), one span after the other."""
        for start, end in spans:
            for at, act in ((start, self.fleet.stop), (end, self.fleet.repair)):
                if at > self.env.now:
                    self.env.run(at)
                assert act(robot) is not False
                self.warehouse.check()
        return self


class TestStops:
    # The way of TestCutStretches, stopped for two hours by a command in a store without faults.
    @pytest.mark.parametrize("at", [1, 3000, 8000, 12436, 15000, 19935, 25000, 41000, 45000, 47_799])
    def test_stop_at_work(self, at):
        """A robot that is stopped goes on, when it is set to work again, with exactly the rest of its stretch."""
        plain, stopped = stopped_retrieval().run(100), stopped_retrieval().stop((at, at + 2 * HOUR)).run(100)
        old = plain.stretches()[:3]
        cut = next(s for s in old if s.start < at < s.end)
        stretch, back = old.index(cut), at + 2 * HOUR
        told = [
            (s.activity, s.from_place, s.to_place, s.height_mm, s.start, s.end, s.task)
            for s in stopped.stretches()
        ]
        goal = (cut.from_place, cut.to_place, cut.height_mm)
        resumed = [s._replace(start=s.start + 2 * HOUR, end=s.end + 2 * HOUR) for s in old[stretch + 1 :]]
        assert told[: len(old) + 2] == [
            *((s.activity, s.from_place, s.to_place, s.height_mm, s.start, s.end, s.task) for s in old[:stretch]),
            (cut.activity, *goal, cut.start, cut.end, cut.task),
            (FAULT, *goal, at, back, cut.task),
            (cut.activity, *goal, back, cut.end + 2 * HOUR, cut.task),
            *((s.activity, s.from_place, s.to_place, s.height_mm, s.start, s.end, s.task) for s in resumed),
        ]  # fmt: skip
        assert stopped.facts("fault_began") == [
            {"time": at, "fault": 0, "cause": STOPPED, "robot": 0, "box": NONE, "place": cut.from_place, "until": NONE}
        ]  # fmt: skip
        assert stopped.facts("fault_ended") == [{"time": back, "fault": 0, "cause": STOPPED, "robot": 0}]
        assert but_faults(stopped.rows) == [
            r for r in shifted(plain.rows, at, 2 * HOUR) if r[0] <= stopped.env.now
        ]

    def test_stop_at_the_end_of_a_stretch(self):
        """A stop at the instant at which a pick ends comes before it: the box is picked when the robot works again."""
        world = stopped_retrieval().stop((19_936, 19_936 + HOUR)).run(100)
        assert world.path()[:3] == [
            ("work", "2-05-3", 0, 19_936), ("fault", "2-05-3", 19_936, 19_936 + HOUR),
            ("work", "out", 19_936 + HOUR, 41_800 + HOUR),
        ]  # fmt: skip
        assert world.facts("box_moved")[1]["time"] == 19_936 + HOUR

    def test_stop_before_anything(self):
        """A robot that is stopped at time 0 begins with its first stretch when it is set to work again."""
        world = stopped_retrieval()
        world.fleet.stop(0)
        world.stop().run(50)
        assert world.path() == [("fault", "2-05-3", 0, 50_000)]
        assert world.fleet.repair(0)
        assert world.run(50).path()[:2] == [
            ("fault", "2-05-3", 0, 50_000), ("work", "2-05-3", 50_000, 69_936),
        ]  # fmt: skip

    def test_stop_and_repair_at_once(self):
        """A robot that is set to work again at the instant of its stop loses no time."""
        world = stopped_retrieval().stop((3000, 3000), (3000, 3000)).run(100)
        plain = stopped_retrieval().run(100)
        assert but_faults(world.rows) == but_faults(plain.rows)
        assert [f["time"] for f in world.facts("fault_ended")] == [3000, 3000]
        cancelled = stopped_retrieval()
        cancelled.fleet.stop(0)
        cancelled.fleet.repair(0)
        assert but_faults(cancelled.run(100).rows) == but_faults(plain.rows)

    def test_two_stops_in_one_stretch(self):
        """Stopped at 3 s and, after 5 s of further work, again: two cuts."""
        first, second = (3000, 3000 + HOUR), (8000 + HOUR, 8000 + 2 * HOUR)
        world = stopped_retrieval().stop(first, second).run(100)
        assert world.path()[:5] == [
            ("work", "2-05-3", 0, 19_936), ("fault", "2-05-3", *first), ("work", "2-05-3", first[1], 19_936 + HOUR),
            ("fault", "2-05-3", *second), ("work", "2-05-3", second[1], 19_936 + 2 * HOUR),
        ]  # fmt: skip
        assert check_stretches(world.rows, world.env.now) == 2

    def test_stop_at_rest(self):
        """A robot that rests is stopped where it rests; work that comes meanwhile waits for it."""
        world = StoppedWorld(policy=STAY)
        world.at(20_000, lambda: world.truck(1))
        world.stop((10_000, HOUR)).run(1000)
        assert world.path()[:3] == [
            ("idle", "in", 0, 10_000), ("fault", "in", 10_000, HOUR), ("work", "in", HOUR, HOUR + 6000),
        ]  # fmt: skip

    def test_stop_while_charging(self):
        """A charge that is cut by a stop ends as much later; only the rest is charged then."""
        robots = {"run_h": 1.0, "charge_h": 1.0, "charge_below": 0.5, "resume_above": 0.9, "idle_draw": 1.0}
        plain = StoppedWorld(robots=robots, policy=STAY).run(2 * 3600)
        charge = next(s for s in plain.stretches() if s.activity == CHARGE)
        at = charge.start + 600_000
        world = StoppedWorld(robots=robots, policy=STAY).stop((at, at + HOUR)).run(2 * 3600)
        charges = [s for s in world.stretches() if s.activity == CHARGE]
        assert [(s.start, s.end) for s in charges[:2]] == [
            (charge.start, charge.end), (at + HOUR, charge.end + HOUR),
        ]  # fmt: skip
        assert [r["permille"] for r in world.facts("battery")[:2]] == [
            r["permille"] for r in plain.facts("battery")[:2]
        ]

    def test_stop_while_charging_at_rest(self):
        """A robot that rests at a charger is not charged while it is stopped there."""
        robots = {"run_h": 10.0, "charge_h": 10.0, "charge_below": 0.25, "idle_draw": 0.0}
        world = StoppedWorld(robots=robots, policy={"dwell": "charger"})
        world.fleet.robots[0].charge_ms = 5 * HOUR
        world.stop((1_800_000, 3 * HOUR)).run(3600)
        park = next(s for s in world.stretches() if s.activity == PARK)
        gained = (1_800_000 - park.end) / (10 * HOUR)
        spent = (park.end - park.start) / (10 * HOUR)
        told = [row["permille"] for row in world.facts("battery")]
        assert told[1] == round(1000 * (0.5 - spent + gained))

    @pytest.mark.parametrize("back", [600_000, 1_049_450, 2 * HOUR])
    def test_stop_while_waiting_at_the_port(self, back):
        """A robot that is stopped before a full port waits on afterwards, or goes on if a place came free."""
        world = StoppedWorld(policy=STAY, people={"check_s": 1000}, ports=IN_OUT)
        for _ in range(2):
            world.stock_box("3-01-2")
        world.order(30)
        world.stop((200_000, back)).run(1100)
        goes_on = max(back, 1_049_450)
        waits = [("wait_port", "out", back, goes_on)] if goes_on > back else []
        assert world.path(after=49_449)[:4] == [
            ("wait_port", "out", 49_450, 200_000), ("fault", "out", 200_000, back), *waits,
            ("work", "out", goes_on, goes_on + 8000), ("idle", "out", goes_on + 8000, world.env.now),
        ][:4]  # fmt: skip

    def test_stop_while_waiting_for_an_aisle(self):
        """A robot that is stopped outside an aisle keeps its turn; one inside keeps the other out."""
        for stopped in (0, 1):
            world = StoppedWorld(robots={"count": 2, "carry": 1}, policy=STAY)
            for name in ("1-05-1", "2-09-1"):
                world.stock_box(name)
                world.order(15)
            world.stop((10_000, HOUR), robot=stopped).run(3600)
            if stopped == 0:  # it leaves the aisle at 18.852 s without the stop
                assert ("wait_aisle", "in", 0, 8852 + HOUR) in world.path(1)
            else:
                assert world.path(1)[:3] == [
                    ("wait_aisle", "in", 0, 10_000), ("fault", "in", 10_000, HOUR),
                    ("work", "2-09-1", HOUR, HOUR + 15_710),
                ]  # fmt: skip
            assert len(world.facts("task_done")) == 2

    def test_stop_while_waiting_for_a_fuller_tour(self):
        """A robot that is stopped while it waits to fill its tour starts with what there is."""
        world = StoppedWorld(policy=STAY, people={"unload_s": 50})
        world.truck(3)
        world.stop((60_000, HOUR)).run(3600)
        assert [activity for activity, *_ in world.path()[:4]] == ["idle", "wait_tour", "fault", "work"]
        assert world.facts("tour_started")[0]["put_aways"] == 3

    def test_stop_in_a_count(self):
        """A robot that is stopped while it looks at a slot finishes its look afterwards."""
        world = StoppedWorld(policy=STAY)
        world.warehouse.visit(world.slot("1-02-1"), 20_000)
        plain = StoppedWorld(policy=STAY)
        plain.warehouse.visit(plain.slot("1-02-1"), 20_000)
        done = plain.run(100).facts("task_done")[0]["time"]
        world.stop((done - 5000, done + HOUR)).run(100)
        assert [f["time"] for f in world.facts("task_done")] == [done + HOUR + 5000]

    def test_stop_in_a_dig(self):
        """A robot that is stopped with a blocker on board sets it down afterwards, and takes what it dug for."""

        def store():
            world = StoppedWorld(policy=STAY, robots=STACKS, rows=1, columns=2, levels=1, boxes_per_slot=10)
            for age in (60, 30, 30):
                world.stock_box(0, age=age)
            world.order(15)
            return world

        plain = store().run(600)
        dug, moved = plain.facts("box_dug"), plain.facts("box_moved")
        assert len(dug) == 2
        for at in range(1000, max(row["time"] for row in moved), 3501):
            world = store().stop((at, at + HOUR)).run(600)
            late = [{**row, "time": row["time"] + HOUR * (row["time"] >= at)} for row in moved]
            assert world.facts("box_moved") == late

    @given(
        spans=st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 60_000)), min_size=1, max_size=12),
        stacked=st.booleans(),
        axes=st.sampled_from(["sequential", "simultaneous"]),
    )
    @settings(max_examples=60)
    def test_work_takes_as_long(self, spans, stacked, axes):
        """However often a robot is stopped, it does every task, and works not a millisecond more or less."""

        def store():
            world = StoppedWorld(
                start=False, tour={"command": "dual"}, policy=STAY,
                robots={"axes": axes, **(STACKS if stacked else {})},
            )  # fmt: skip
            for name in ("2-05-3", "1-02-1", "3-07-4", "1-02-1", "4-01-2"):
                world.stock_box(name)
            world.truck(5)
            for _ in range(3):
                world.order(15)
            world.people.start()
            world.run(0.001)
            return world.start_fleet()

        plain, stopped = store().run(3600), store()
        ends = itertools.accumulate((ms for span in spans for ms in span), initial=1)
        next(ends)
        stopped.stop(*zip(ends, ends, strict=False)).run(3600)
        end = stopped.env.now
        assert len(plain.facts("task_done")) == len(stopped.facts("task_done")) == 8
        assert worked(stopped.rows, end) == worked(plain.rows, plain.env.now)
        check_stretches(stopped.rows, end)
        check_time_is_whole(stopped.rows, end)
        moves = [[row[1:] for row in world.rows if row[1] == BOX_MOVED] for world in (plain, stopped)]
        assert moves[0] == moves[1]

    @pytest.mark.parametrize("case", sorted(CASES))
    def test_busy_stores_go_on(self, case):
        """Stores of all kinds whose robots are stopped every few minutes serve orders and keep every invariant."""
        store = Busy(
            make=StoppedWorld, people={"count": 2, "unload_s": 20, "check_s": 10, "pick_setup_s": 5},
            **CASES[case],
        )  # fmt: skip
        world, robots = store.world, store.world.fleet.params.count
        for k in range(60):
            at = world.env.now + 1 + store.draw(400_000)
            world.stop((at, at + store.draw(200_000)), robot=k % robots)
        before = len(world.facts("order_handed_over"))
        store.world.run(3600)
        rows, end = world.rows, world.env.now
        assert before > 3
        assert len(world.facts("order_handed_over")) > before
        assert check_stretches(rows, end) > 5
        assert len(check_faults(rows, end)) == 60
        check_time_is_whole(rows, end)
        assert all(0 < robot.charge_ms <= world.fleet._full_ms for robot in world.fleet.robots)

    def test_stopped_and_broken(self):
        """A robot that is stopped while it is repaired, or without power, works again when both are over."""
        faults = {**QUIET, "power_failures_per_year": 1, "power_failure_h": 2}
        # Broken or dark from 3 s to 2 h and 3 s, stopped from an hour on: the command repairs the robot, too.
        for script, back, works in (
            ({"breakdowns": {0: [3000]}}, 3 * HOUR, 3 * HOUR),
            ({"breakdowns": {0: [3000]}}, 90 * MINUTE, 90 * MINUTE),
            ({"power": [3000]}, 3 * HOUR, 3 * HOUR),
            ({"power": [3000]}, 90 * MINUTE, 2 * HOUR + 3000),
        ):
            world = retrieval(faults=faults, streams=Script(**script))
            world.env.run(HOUR)
            world.fleet.stop(0)
            world.env.run(back)
            assert world.fleet.repair(0)
            world.run(3 * 3600)
            downs = [
                (s.start, follows.start)
                for s, follows in itertools.pairwise(world.stretches())
                if s.activity == FAULT
            ]
            assert (downs[0][0], downs[-1][1]) == (3000, works)
            assert check_stretches(world.rows, world.env.now) == 1
            assert len(world.facts("fault_ended")) == 2

    def test_power_fails_while_stopped(self):
        """A stopped robot that is set to work again in the dark waits for the power."""
        faults = {**QUIET, "power_failures_per_year": 1, "power_failure_h": 2}
        world = StoppedWorld(policy=STAY, faults=faults, streams=Script(power=[10_000]))
        world.stop((5000, HOUR))
        assert not world.fleet.repair(0)
        world.run(3 * 3600)
        assert world.path()[:4] == [
            ("idle", "in", 0, 5000), ("fault", "in", 5000, HOUR), ("fault", "in", HOUR, 2 * HOUR + 10_000),
            ("idle", "in", 2 * HOUR + 10_000, world.env.now),
        ]  # fmt: skip


def stopped_retrieval(**world):
    """The store of `retrieval` in which nothing breaks."""
    store = StoppedWorld(policy=STAY, **world)
    store.stock_box("2-05-3", 1, 2)
    store.order(15)
    return store


class TestRepairByCommand:
    def down(self, hour, faults=None, hours=10, **script):
        """Robots at rest that break down, of which robot 0 is set to work again by a command."""
        world = FaultyWorld(
            robots={"count": 3}, policy=STAY, faults={"clock": "powered", **(faults or {})},
            streams=Script(**script),
        )  # fmt: skip
        world.env.run(hour * HOUR)
        assert world.fleet.repair(0)
        assert not world.fleet.repair(0)
        world.env.run(hours * HOUR)
        return [(f["robot"], f["time"], f["end"]) for f in told_faults(world.rows)]

    def test_repairer_goes_to_the_next(self):
        """A robot that works again by a command gives its repairer to the one that waits; the old end is nothing."""
        found = self.down(1, breakdowns={0: [1000], 1: [2000], 2: [3000]})
        assert found == [
            (0, 1000, HOUR), (1, 2000, 3 * HOUR), (2, 3000, 5 * HOUR),
        ]  # fmt: skip

    def test_robot_that_waits_for_a_repairer(self):
        """A robot that waits for a repairer and works again by a command is not repaired later."""
        found = self.down(1, breakdowns={0: [2000], 1: [1000], 2: [3000]})
        assert found == [
            (1, 1000, 2 * HOUR + 1000), (0, 2000, HOUR), (2, 3000, 4 * HOUR + 1000),
        ]  # fmt: skip

    def test_vendor_comes_in_vain(self):
        """A robot that waits for the vendor works again by a command, and may break down again before he comes."""
        found = self.down(
            1, faults={"vendor_share": 0.5, "vendor_h": 6}, breakdowns={0: [1000, 3 * HOUR]},
            vendor={0: [0.0]}, hours=20,
        )  # fmt: skip
        # Broken again after 3 h in order, at 4 h; the vendor of the first time would have come at 6 h.
        assert found == [(0, 1000, HOUR), (0, 4 * HOUR, 6 * HOUR)]

    def test_minor_stop(self):
        """A minor stop is over by a command; people do not come for it when they have not begun."""
        for begun in (False, True):
            world = FaultyWorld(
                policy=STAY, faults={"minor_stop_share": 0.5, "minor_stop_sd_min": 0}, start=False,
                streams=Script(stops={0: [0.25]}), calendar={"shifts": [["08:00", "12:00"]]},
            )  # fmt: skip
            world.stock_box("2-05-3", 1, 2)
            world.order(15)
            world.start()
            world.faults.post_repair = world.people.post_repair
            at = 8 * HOUR + MINUTE if begun else 7 * HOUR
            world.env.run(at)
            assert world.fleet.repair(0)
            world.env.run(9 * HOUR)
            assert world.path()[:3] == [
                ("work", "2-05-3", 0, 19936), ("fault", "2-05-3", 9968, at), ("work", "2-05-3", at, at + 9968),
            ]  # fmt: skip
            assert len(world.facts("person_work", work=REPAIR)) == begun
            assert len(world.facts("fault_ended")) == 1


def told_faults(rows):
    """The faults with their ends, planned or not."""
    ends = {row["fault"]: row["time"] for row in named(rows, "fault_ended")}
    return [{**row, "end": ends.get(row["fault"])} for row in named(rows, "fault_began")]


class TestOtherRates:
    def begins(self, change, at=HOUR, hours=100, faults=None, **script):
        world = FaultyWorld(robots={"count": 2}, policy=STAY, faults=faults or {}, streams=Script(**script))
        world.env.run(at)
        world.faults.adopt(world.fault_params.model_copy(update=change))
        world.env.run(hours * HOUR)
        return [(f["cause"], f["robot"], f["time"]) for f in told_faults(world.rows)]

    def test_breakdowns_come_sooner(self):
        """Half the mean time to a breakdown halves what is left until it; a robot that is down is left alone."""
        gaps = {0: [5 * HOUR, 10 * HOUR], 1: [HOUR - 1, 4 * HOUR]}
        found = self.begins({"mtbf_h": 250.0}, breakdowns=gaps, faults={"clock": "powered"}, hours=10)
        # Robot 0: 4 h left become 2. Robot 1 is under repair until 3 h, and then needs 2 h and not 4.
        assert found == [
            (BREAKDOWN, 1, HOUR - 1), (BREAKDOWN, 0, 3 * HOUR), (BREAKDOWN, 1, 5 * HOUR - 1),
        ]  # fmt: skip

    def test_rates_that_were_none(self):
        """Where nothing broke before times are drawn from now on, and where nothing breaks any more none come."""
        gaps = {"breakdowns": {0: [2 * HOUR], 1: [200 * HOUR]}, "power": [5 * HOUR], "station": [3 * HOUR]}
        never = {"mtbf_h": math.inf}
        faults = {"clock": "calendar", **never}
        rates = {"mtbf_h": 500.0, "power_failures_per_year": 1.0, "blocked_per_day": 1.0}
        assert self.begins(rates, faults=faults, hours=8, **gaps) == [
            (BREAKDOWN, 0, 3 * HOUR), (STATION, NONE, 4 * HOUR), (POWER, NONE, 6 * HOUR),
        ]  # fmt: skip
        rates = {**never, "power_failures_per_year": 0.0, "blocked_per_day": 0.0}
        faults = {"clock": "calendar", "power_failures_per_year": 1, "blocked_per_day": 1}
        assert self.begins(rates, faults=faults, hours=300, **gaps) == []

    def test_power_and_station_in_proportion(self):
        """Four times the rate leaves a quarter of the time to the next failure of the power and block of the station."""
        rates = {"power_failures_per_year": 4.0, "blocked_per_day": 4.0}
        faults = {"power_failures_per_year": 1, "blocked_per_day": 1, "power_failure_h": 1}
        found = self.begins(rates, faults=faults, power=[9 * HOUR], station=[5 * HOUR], hours=7)
        assert found == [(STATION, NONE, 2 * HOUR), (POWER, NONE, 3 * HOUR)]

    def test_more_repairers(self):
        """A second repairer begins at once with a robot that waits; with one fewer both repairs go on."""
        gaps = {"breakdowns": {0: [1000], 1: [2000]}}
        world = FaultyWorld(
            robots={"count": 2}, policy=STAY, faults={"clock": "powered"}, streams=Script(**gaps)
        )
        for at, repairers in ((HOUR, 2), (90 * MINUTE, 1)):
            world.env.run(at)
            world.faults.adopt(world.faults.params.model_copy(update={"repairers": repairers}))
        world.env.run(10 * HOUR)
        assert [f["end"] for f in told_faults(world.rows)] == [2 * HOUR + 1000, 3 * HOUR]
        assert world.faults._free_repairers == 1

    def test_fault_that_comes_later(self):
        """A stretch that was cut for a breakdown that has become rarer goes on at once."""
        world = retrieval(streams=Script({0: [15_000]}))
        world.env.run(10_000)
        world.faults.adopt(world.fault_params.model_copy(update={"mtbf_h": 500_000.0}))
        world.run(100)
        assert world.path()[:3] == [
            ("work", "2-05-3", 0, 19_936), ("work", "2-05-3", 15_000, 19_936), ("work", "out", 19_936, 41_800),
        ]  # fmt: skip
        assert world.facts("fault_began") == []


class TestRepairs:
    def beginning_and_end(self, world):
        return [
            (f["robot"], f["time"], f["until"], f["end"]) for f in check_faults(world.rows, world.env.now)
        ]

    def down(self, breakdowns, faults=None, hours=100, robots=4, vendor=None, **world):
        """Robots with nothing to do that break down at given times."""
        faults = {"clock": "powered", **(faults or {})}
        world = FaultyWorld(
            robots={"count": robots},
            policy=STAY,
            faults=faults,
            streams=Script(breakdowns, vendor=vendor),
            **world,
        )
        world.env.run(hours * HOUR)
        return world

    def test_repairs_wait_in_turn(self):
        """With one repairer three robots are repaired one after the other, in the order in which they broke down."""
        world = self.down({2: [1000], 0: [2000], 1: [3000]})
        end = 1000 + 2 * HOUR
        assert self.beginning_and_end(world) == [
            (2, 1000, end, end), (0, 2000, NONE, end + 2 * HOUR), (1, 3000, NONE, end + 4 * HOUR),
        ]  # fmt: skip
        assert world.path(1)[1] == ("fault", "in", 3000, end + 4 * HOUR)

    def test_two_repairers(self):
        """With two repairers the third robot waits for the first of the two to be done."""
        world = self.down({2: [1000], 0: [2000], 1: [3000]}, {"repairers": 2})
        assert [end for *_, end in self.beginning_and_end(world)] == [
            1000 + 2 * HOUR, 2000 + 2 * HOUR, 1000 + 4 * HOUR,
        ]  # fmt: skip

    def test_vendor_comes_beside_the_repairers(self):
        """A breakdown that needs the vendor lasts 24 h, and others are repaired meanwhile."""
        world = self.down({2: [1000], 0: [2000]}, {"vendor_share": 0.2}, vendor={2: [0.19], 0: [0.2]})
        assert self.beginning_and_end(world) == [
            (2, 1000, 1000 + DAY, 1000 + DAY), (0, 2000, 2000 + 2 * HOUR, 2000 + 2 * HOUR),
        ]  # fmt: skip

    def test_vendor_share(self):
        """One breakdown in five needs the vendor."""
        world = FaultyWorld(faults={"clock": "powered", "vendor_share": 0.2, "mtbf_h": 10, "vendor_h": 24})
        world.env.run(20_000 * HOUR)
        lasted = [f["end"] - f["time"] for f in check_faults(world.rows, world.env.now) if f["end"]]
        assert set(lasted) == {2 * HOUR, 24 * HOUR}
        # About 20,000 / (10 + 0.8 x 2 + 0.2 x 24) = 1,220 breakdowns; the share's standard deviation is sqrt(0.16 / 1,220).
        assert lasted.count(24 * HOUR) / len(lasted) == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 1220))

    @pytest.mark.parametrize(
        ("kind", "deviation"), [("lognormal", 0.5), ("exponential", 2.0), ("constant", 0.0)]
    )
    def test_repair_times(self, kind, deviation):
        """Repairs take 2 h on average, with the standard deviation of their kind; breakdowns come as the MTBF says."""
        world = FaultyWorld(faults={"clock": "powered", "mtbf_h": 10, "repair_kind": kind})
        world.env.run(24_000 * HOUR)
        faults = [f for f in check_faults(world.rows, world.env.now) if f["end"]]
        hours = np.array([f["end"] - f["time"] for f in faults]) / HOUR
        gaps = np.array([b["time"] - a["end"] for a, b in itertools.pairwise(faults)]) / HOUR
        # 2,000 cycles of 12 h: means within 4 standard errors.
        assert len(faults) == pytest.approx(2000, abs=4 * math.sqrt(2000 * (100 + deviation**2)) / 12)
        assert hours.mean() == pytest.approx(2, abs=4 * deviation / math.sqrt(2000) + 1e-9)
        assert hours.std() == pytest.approx(deviation, rel=0.15)
        assert gaps.mean() == pytest.approx(10, abs=4 * 10 / math.sqrt(2000))
        assert gaps.std() == pytest.approx(10, rel=0.15)

    def test_repairs_in_shifts(self):
        """Where repairs go on in shifts only, one begun at 17:00 is done at 09:00; the vendor takes no notice."""
        # Shifts 08:00-12:00 and 14:30-18:00. Robot 0 at 17:00 Monday: 1 h until 18:00, 1 h from 08:00 on Tuesday.
        shifts = {"shifts": [["08:00", "12:00"], ["14:30", "18:00"]]}
        world = self.down({0: [17 * HOUR]}, {"repair_in_shifts": True}, shifts=shifts)
        assert self.beginning_and_end(world)[0][3] == DAY + 9 * HOUR
        world = self.down(
            {0: [17 * HOUR]}, {"repair_in_shifts": True, "vendor_share": 1}, shifts=shifts, vendor={0: [0.5]}
        )
        assert self.beginning_and_end(world)[0][3] == DAY + 17 * HOUR

    def test_others_take_the_work(self):
        """Work that comes while one robot is repaired is given to the other at once."""
        world = FaultyWorld(
            robots={"count": 2}, policy={"dwell": "port"}, faults={"clock": "powered"},
            streams=Script({0: [1000]}),
        )  # fmt: skip
        world.stock_box("2-05-3")
        world.at(5000, lambda: world.order(15))
        world.run(60)
        assert [(f["time"], f["robot"]) for f in world.facts("task_assigned")] == [(5000, 1)]


class TestMinorStops:
    def test_stop_in_the_middle_of_the_way(self):
        """A mission that is stopped halfway through its first stretch goes on when somebody has cleared the stop."""
        faults = {"minor_stop_share": 0.5, "minor_stop_sd_min": 0}
        # Uniforms below 0.5 mean a stop, at that share of the first stretch: 0.25 / 0.5 = half of 19.936 s.
        world = retrieval(faults=faults, streams=Script(stops={0: [0.25]})).run(1000)
        assert world.path()[:4] == [
            ("work", "2-05-3", 0, 19936), ("fault", "2-05-3", 9968, 309_968),
            ("work", "2-05-3", 309_968, 319_936), ("work", "out", 319_936, 341_800),
        ]  # fmt: skip
        assert [(f["cause"], f["robot"]) for f in world.facts("fault_began")] == [(MINOR_STOP, 0)]

    def test_each_mission_may_stop(self):
        """Of the four missions of a tour the second and the fourth are stopped, each in its own first stretch."""
        faults = {"minor_stop_share": 0.5, "minor_stop_sd_min": 0}
        world = FaultyWorld(
            policy=STAY, faults=faults, streams=Script(stops={0: [0.9, 0.0, 0.9, 0.4999]}), start=False
        )
        world.truck(4)
        world.people.start()
        world.run(0.001)
        world.start_fleet().run(3600)
        # Picks at the port of 6, 8, 8 and 8 s from 1 ms on: the second is stopped at its beginning, 6.001 s.
        stops = [(s.start, s.end, s.task) for s in world.stretches() if s.activity == FAULT]
        assert stops[0] == (6001, 306_001, 1)
        assert stops[1][2] == 3
        assert stops[1][0] == 22_001 + 300_000 + int(0.9998 * 8000)
        assert len(world.facts("task_done")) == 4

    def test_stop_waits_for_the_shift(self):
        """A stop in the night is cleared five minutes after the shift begins; one in the shift at once, or always."""
        shifts = {"shifts": [["08:00", "12:00"]]}
        for hour, in_shifts, clear in ((2, True, 8), (9, True, 9), (2, False, 2), (13, True, 32)):
            faults = {
                "minor_stop_share": 0.5, "minor_stop_sd_min": 0, "minor_stop_in_shifts": in_shifts
            }  # fmt: skip
            world = FaultyWorld(policy=STAY, faults=faults, shifts=shifts, streams=Script(stops={0: [0.0]}))
            world.stock_box("2-05-3", 1, 2)
            world.at(hour * HOUR, lambda world=world: world.order(15))
            world.env.run(40 * HOUR)
            (fault,) = check_faults(world.rows, world.env.now)
            cleared = clear * HOUR + 5 * MINUTE
            assert (fault["time"], fault["until"], fault["end"]) == (hour * HOUR, cleared, cleared)

    def test_people_clear_stops(self):
        """Where people clear stops it is a piece of work of theirs, begun in their shift: the robot waits for its end."""
        faults = {"minor_stop_share": 0.5, "minor_stop_sd_min": 0}
        world = FaultyWorld(
            policy=STAY, faults=faults, streams=Script(stops={0: [0.25]}), start=False,
            calendar={"shifts": [["08:00", "12:00"]]},
        )  # fmt: skip
        world.stock_box("2-05-3", 1, 2)
        world.order(15)
        world.start()
        world.fleet._faults.post_repair = world.people.post_repair
        world.env.run(9 * HOUR)
        cleared = 8 * HOUR + 5 * MINUTE
        assert world.path()[:3] == [
            ("work", "2-05-3", 0, 19936), ("fault", "2-05-3", 9968, cleared),
            ("work", "2-05-3", cleared, cleared + 9968),
        ]  # fmt: skip
        (fault,) = check_faults(world.rows, world.env.now)
        assert (fault["until"], fault["end"]) == (NONE, cleared)
        work = world.facts("person_work", work=REPAIR)
        assert [(row["time"], row["end"]) for row in work] == [(8 * HOUR, cleared)]

    def test_one_mission_in_twenty(self):
        """Missions stop with their share, wherever they are in their first stretch, for 5 min on average."""
        store = Busy(
            make=lambda **world: FaultyWorld(faults={"minor_stop_share": 0.05}, **world), backlog=6,
            people={"count": 2, "check_s": 5, "unload_s": 5},
        )  # fmt: skip
        store.world.run(60 * 3600)
        rows, end = store.world.rows, store.world.env.now
        faults = [f for f in check_faults(rows, end) if f["end"] is not None]
        missions = len(store.world.facts("task_assigned"))
        assert missions > 1500
        share, n = len(faults) / missions, len(faults)
        assert share == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / missions))
        minutes = np.array([f["end"] - f["time"] for f in faults]) / MINUTE
        assert minutes.mean() == pytest.approx(5, abs=4 * 2.5 / math.sqrt(n))
        assert minutes.std() == pytest.approx(2.5, rel=0.25)
        assert check_stretches(rows, end) > 0.9 * n  # a stop at the first instant of a stretch cuts nothing


class TestPower:
    def test_every_robot_stops(self):
        """Power fails at 10 s for an hour: a robot under way and one at rest stand still, and go on after it."""
        world = FaultyWorld(
            robots={"count": 2},
            policy=STAY,
            faults={"power_failures_per_year": 1},
            streams=Script(power=[10_000]),
        )
        world.stock_box("2-05-3", 1, 2)
        world.order(15)
        world.run(2 * 3600)
        back = 10_000 + HOUR
        assert world.path(0)[:3] == [
            ("work", "2-05-3", 0, 19936), ("fault", "2-05-3", 10_000, back), ("work", "2-05-3", back, 19936 + HOUR),
        ]  # fmt: skip
        assert world.path(1)[:3] == [
            ("idle", "in", 0, 10_000), ("fault", "in", 10_000, back), ("idle", "in", back, 2 * HOUR),
        ]  # fmt: skip
        assert world.facts("fault_began") == [
            {"time": 10_000, "fault": 0, "cause": POWER, "robot": NONE, "box": NONE, "place": NONE, "until": back}
        ]  # fmt: skip
        assert [f["time"] for f in world.facts("fault_ended")] == [back]

    def test_failures_follow_each_other(self):
        """The time to the next failure runs from the end of the one before; robots stand still in each."""
        faults = {"power_failures_per_year": 1}
        world = FaultyWorld(policy=STAY, faults=faults, streams=Script(power=[10_000, 5_000]))
        world.env.run(5 * HOUR)
        first, second = 10_000, 15_000 + HOUR
        assert world.path()[:5] == [
            ("idle", "in", 0, first), ("fault", "in", first, first + HOUR),
            ("idle", "in", first + HOUR, second), ("fault", "in", second, second + HOUR),
            ("idle", "in", second + HOUR, 5 * HOUR),
        ]  # fmt: skip

    @pytest.mark.parametrize("fails", [5000, 10_000, 10_001, 3 * HOUR])
    def test_repaired_in_the_dark(self, fails):
        """A robot that is repaired while the power is out stands until it is back."""
        faults = {"power_failures_per_year": 1, "power_failure_h": 4, "clock": "calendar"}
        world = FaultyWorld(faults=faults, streams=Script({0: [10_000]}, power=[fails]))
        world.env.run(20 * HOUR)
        down = [(s.start, s.end) for s in world.stretches() if s.activity == FAULT]
        repaired, light = 10_000 + 2 * HOUR, fails + 4 * HOUR
        expected = {
            5000: [(5000, light)],  # the breakdown by the calendar falls into the failure and is passed over
            10_000: [(10_000, repaired), (repaired, light)],
            10_001: [(10_000, repaired), (repaired, light)],
            3 * HOUR: [(10_000, repaired), (3 * HOUR, light)],
        }[fails]
        assert down == expected

    def test_powered_clock_stands_still_in_the_dark(self):
        """A breakdown due after 10 s of power comes 10 s later for every hour... that is, an hour later after one failure."""
        faults = {"power_failures_per_year": 1, "clock": "powered"}
        world = FaultyWorld(faults=faults, streams=Script({0: [10_000]}, power=[4000]))
        world.env.run(20 * HOUR)
        causes = [(f["time"], f["cause"]) for f in world.facts("fault_began")]
        assert causes == [(4000, POWER), (10_000 + HOUR, BREAKDOWN)]


class TestStation:
    def test_blocked_station_holds_the_robot(self):
        """While the outbound station is blocked robots wait at the port with their boxes, then set them down."""
        script = Script(station=[30_000, 10 * HOUR])
        world = retrieval(faults={"blocked_per_day": 1}, streams=script).run(1000)
        # The robot is at the port at 41.800 s; the station is blocked from 30 s to 630 s.
        assert world.path()[:4] == [
            ("work", "2-05-3", 0, 19936), ("work", "out", 19936, 41800), ("wait_port", "out", 41800, 630_000),
            ("work", "out", 630_000, 636_000),
        ]  # fmt: skip
        out = world.layout.outbound
        assert world.facts("fault_began") == [
            {"time": 30_000, "fault": 0, "cause": STATION, "robot": NONE, "box": NONE, "place": out, "until": 630_000}
        ]  # fmt: skip
        assert [f["time"] for f in world.facts("fault_ended")] == [630_000]

    def test_what_has_begun_is_finished(self):
        """A box that is being set down when the station is blocked is set down."""
        world = retrieval(faults={"blocked_per_day": 1}, streams=Script(station=[45_000])).run(1000)
        assert [f["time"] for f in world.facts("task_done")] == [47_800]

    def test_breakdown_before_a_blocked_station(self):
        """A robot that breaks down at a blocked station goes on when both are over."""
        script = Script({0: [60_000]}, station=[30_000])
        faults = {"blocked_per_day": 1, "clock": "powered"}
        world = retrieval(faults=faults, streams=script).run(3 * 3600)
        assert world.path()[2:5] == [
            ("wait_port", "out", 41_800, 60_000), ("fault", "out", 60_000, 60_000 + 2 * HOUR),
            ("work", "out", 60_000 + 2 * HOUR, 66_000 + 2 * HOUR),
        ]  # fmt: skip


# -- Nothing is lost ----------------------------------------------------------------------------------

WILD = {
    "mtbf_h": 0.3, "mttr_h": 0.1, "repair_kind": "lognormal", "mttr_sd_h": 0.05, "vendor_share": 0.1, "vendor_h": 0.5,
    "minor_stop_share": 0.1, "minor_stop_min": 2, "minor_stop_sd_min": 2, "power_failures_per_year": 5000,
    "power_failure_h": 0.05, "blocked_per_day": 40, "blocked_min": 3,
}  # fmt: skip


class TestNothingIsLost:
    @given(
        gaps=st.lists(st.integers(1, 120_000), min_size=1, max_size=12),
        power=st.lists(st.integers(1, 400_000), max_size=3),
        stops=st.lists(st.sampled_from([0.0, 0.02, 0.049, 0.9]), max_size=8),
        clock=st.sampled_from(["operating", "powered", "calendar"]),
        repair_s=st.sampled_from([1, 50, 7200]),
        stacked=st.booleans(),
        axes=st.sampled_from(["sequential", "simultaneous"]),
    )
    @settings(max_examples=60)
    def test_work_takes_as_long(self, gaps, power, stops, clock, repair_s, stacked, axes):
        """However often a robot is stopped, it does every task, and works not a millisecond more or less."""

        def store(**faults):
            world = FaultyWorld(
                start=False, tour={"command": "dual"}, policy=STAY,
                robots={"axes": axes, **(STACKS if stacked else {})}, **faults,
            )  # fmt: skip
            for name in ("2-05-3", "1-02-1", "3-07-4", "1-02-1", "4-01-2"):
                world.stock_box(name)
            world.truck(5)
            for _ in range(3):
                world.order(15)
            world.people.start()
            world.run(0.001)
            return world.start_fleet().run(60 * 3600)

        plain = store(faults={"scale": 0})
        faults = {
            "clock": clock, "mttr_h": repair_s / 3600, "minor_stop_share": 0.05, "power_failures_per_year": 1,
            "power_failure_h": 0.2,
        }  # fmt: skip
        broken = store(faults=faults, streams=Script({0: gaps}, power, stops={0: stops}))
        end = broken.env.now
        assert len(plain.facts("task_done")) == len(broken.facts("task_done")) == 8
        assert worked(broken.rows, end) == worked(plain.rows, end)
        check_stretches(broken.rows, end)
        check_faults(broken.rows, end)
        # The same moves in the same order, only later.
        moves = [[row[1:] for row in world.rows if row[1] == BOX_MOVED] for world in (plain, broken)]
        assert moves[0] == moves[1]

    @pytest.mark.parametrize("case", sorted(CASES))
    def test_busy_stores_go_on(self, case):
        """Stores of all kinds with a fault every few minutes serve orders hour by hour and keep every invariant."""
        clock = ("operating", "powered", "calendar")[sorted(CASES).index(case) % 3]
        store = Busy(
            make=lambda **world: FaultyWorld(faults={**WILD, "clock": clock}, **world),
            people={"count": 2, "unload_s": 20, "check_s": 10, "pick_setup_s": 5}, **CASES[case],
        )  # fmt: skip
        counts = store.handed(4)
        assert min(counts[0] + counts[1], counts[2] + counts[3]) > 0
        rows, end = store.world.rows, store.world.env.now
        assert check_stretches(rows, end) > 5
        causes = {fault["cause"] for fault in check_faults(rows, end)}
        assert causes == {BREAKDOWN, MINOR_STOP, POWER, STATION}
        check_time_is_whole(rows, end)

    def test_breakdowns_meet_the_same_draws(self):
        """Under any policy a robot breaks down after the same operating times, and repairs take the same times."""
        found = []
        for dispatch, dwell in (("priority", "port"), ("put-away-first", "stay")):
            store = Busy(
                make=lambda **world: FaultyWorld(faults={"mtbf_h": 0.2, "repair_kind": "lognormal"}, **world),
                robots={"count": 2, "run_h": 1000}, policy={"dispatch": dispatch, "dwell": dwell}, backlog=6,
            )  # fmt: skip
            store.world.run(24 * 3600)
            rows, end = store.world.rows, store.world.env.now
            active = (WORKING, DIGGING, PARK, GO_CHARGE)
            operated, repaired = defaultdict(list), defaultdict(list)
            for fault in check_faults(rows, end):
                before = [row for row in rows if row[1] != ROBOT_STRETCH or row[2] == fault["robot"]]
                operated[fault["robot"]].append(worked(before, fault["time"], active))
                if fault["until"] != NONE:
                    repaired[fault["robot"]].append(
                        (len(operated[fault["robot"]]), fault["until"] - fault["time"])
                    )
            found.append((operated, repaired))
        for robot in (0, 1):
            a, b = (operated[robot] for operated, _ in found)
            n = min(len(a), len(b))
            assert n > 4
            assert a[:n] == b[:n]
            # Repairs that did not wait for the repairer, of the same breakdowns.
            first, second = (dict(repaired[robot]) for _, repaired in found)
            both = first.keys() & second.keys()
            assert len(both) > 3
            assert all(first[k] == second[k] for k in both)

    @pytest.mark.parametrize("clock", ["operating", "powered", "calendar"])
    def test_slices_make_no_difference(self, clock):
        """A store with faults gives the same facts in one go and in odd slices."""

        def run(slices):
            store = Busy(
                make=lambda **world: FaultyWorld(faults={**WILD, "clock": clock}, **world),
                robots={"count": 3},
            )
            for ms in slices:
                store.world.env.run(ms)
            return store.world.rows

        whole = run([2 * HOUR])
        assert whole == run([*range(1, 2 * HOUR, 77_777), 2 * HOUR])
        assert len(whole) > 1000


def check_time_is_whole(rows, end):
    """Every robot is somewhere at every instant: stretches follow each other in time and place."""
    for stretches in stretches_of(rows, end).values():
        has_arrived = False
        for before, after_it in itertools.pairwise(stretches):
            stop = after_it.start
            assert stop >= before.start
            if before.planned_end != NONE and before.activity != FAULT:
                assert stop <= before.planned_end
                has_arrived = before.arrive <= stop
            # It goes on from its goal if it has arrived there, else from where the cut stretch began.
            places = {before.from_place} if not has_arrived else {before.from_place, before.to_place}
            if before.planned_end == stop and before.activity != FAULT:
                places = {before.to_place}
            assert after_it.from_place in places


# -- People who step in -------------------------------------------------------------------------------


class Person:
    """Someone who wants into an aisle, and stays for a time."""

    def __init__(self, world, aisle, at, stay, number=0):
        self.entered = self.left = None
        self.world, self.aisle, self.stay, self.number = world, aisle, stay, number
        world.env.process(self.live(at))

    def live(self, at):
        env, fleet = self.world.env, self.world.fleet
        yield env.timeout(at - env.now)
        yield from fleet.enter_by_hand(self.aisle, self.number)
        self.entered = env.now
        yield env.timeout(self.stay)
        self.left = env.now
        fleet.leave_by_hand(self.aisle, self.number)


FLEETS = {"alone": {}, "narrow": {"count": 2}, "passing": {"count": 2, "passing": True}}


class TestPeopleInAisles:
    @pytest.mark.parametrize("fleet", sorted(FLEETS))
    def test_robots_wait_for_people(self, fleet):
        """A robot bound for an aisle waits before it until the person in it has left."""
        world = retrieval(robots=FLEETS[fleet], faults={"scale": 0})
        person = Person(world, 0, 0, 60_000)
        # The person asks at 0 s as the robot sets out: the robot is first.
        other = FaultyWorld(policy=STAY, robots=FLEETS[fleet], faults={"scale": 0})
        other.stock_box("2-05-3", 1, 2)
        early = Person(other, 0, 1000, 60_000)
        other.at(2000, lambda: other.order(15))
        world.run(200)
        other.run(200)
        # First: out at the mouth or port when the aisle's 5.676 s are driven: narrow 19.936 + 5.676 = 25.612 s; else the
        # whole way to the port is one stretch, until 41.800 s (in a passing fleet without lift and positioning, 33.540 s).
        assert person.entered in {"alone": (0, 41_800), "narrow": (0, 25_612), "passing": (0, 33_540)}[fleet]
        assert early.entered == 1000
        robot = other.facts("task_assigned")[0]["robot"]
        assert ("wait_aisle", "in", 2000, 61_000) in other.path(robot)
        assert len(world.facts("task_done")) == len(other.facts("task_done")) == 1

    def test_person_waits_for_the_robot(self):
        """A person who comes while a robot is at work in the aisle goes in when it has left; the next robot waits."""
        world = FaultyWorld(policy=STAY, robots={"count": 2, "carry": 1}, faults={"scale": 0})
        for name in ("1-05-1", "2-09-1"):
            world.stock_box(name)
            world.order(15)
        person = Person(world, 0, 5000, 60_000)
        world.run(300)
        # As in test_second_robot_waits_for_the_aisle: robot 0 is out at 18.852 s. The person is before robot 1.
        assert (person.entered, person.left) == (18_852, 78_852)
        assert next(s for s in world.path(1) if s[0] == "work")[2] == 78_852
        assert len(world.facts("task_done")) == 2

    def test_person_who_waits_comes_first(self):
        """Robots that come for an aisle when a person already waits for it let the person go first."""
        world = FaultyWorld(
            policy=STAY, robots={"count": 2, "carry": 1, "passing": True}, faults={"scale": 0}
        )
        for name in ("1-05-1", "2-09-1"):
            world.stock_box(name)
        world.order(15)
        person = Person(world, 0, 5000, 60_000)
        world.at(6000, lambda: world.order(15))
        world.run(300)
        # Robot 0: in 5.676, 1.5 + 6: 13.176 s; to the outbound port, as far again, turn 4, cross 3.928: 26.780 s.
        assert person.entered == 26_780
        assert world.path(1)[1:3] == [
            ("wait_aisle", "in", 6000, 86_780), ("work", "2-09-1", 86_780, 86_780 + 15_710),
        ]  # fmt: skip

    def test_dead_robot_keeps_nobody_out(self):
        """A person may go to a robot that is down; it stands still, also when repaired, until the person has left."""
        for stay, goes_on in ((HOUR, 3000 + 2 * HOUR), (5 * HOUR, 60_000 + 5 * HOUR)):
            world = retrieval(streams=Script({0: [3000]}))
            person = Person(world, 0, 60_000, stay)
            world.run(8 * 3600)
            assert person.entered == 60_000
            work = [(s.start, s.arrive, s.end) for s in world.stretches() if s.activity == WORKING]
            assert work[1] == (goes_on, goes_on + 9436, goes_on + 16_936)
            waits = [s[0] for s in world.path()[2:3]]
            assert waits == (["wait_aisle"] if stay > 2 * HOUR else ["work"])
            assert check_stretches(world.rows, world.env.now) == 1

    def test_robot_at_rest_keeps_nobody_out(self):
        """A robot that rests in an aisle lets people in and moves only when they have left."""
        world = FaultyWorld(policy={"dwell": "centre"}, faults={"scale": 0})
        world.run(600)
        assert world.layout.aisle[world.fleet.robots[0].place] == 0
        box = world.stock_box("4-05-3")
        assert box == 0
        person = Person(world, 0, 700_000, 100_000)
        world.at(750_000, lambda: world.order(15))
        world.run(600)
        assert person.entered == 700_000
        assert next(s[2] for s in world.path(after=700_000) if s[0] == "work") == 800_000

    def test_people_share_an_aisle(self):
        """Two people may be in an aisle; robots wait for the last of them."""
        world = FaultyWorld(policy=STAY, faults={"scale": 0})
        world.stock_box("2-05-3", 1, 2)
        people = [Person(world, 0, 1000, 50_000, 0), Person(world, 0, 20_000, 60_000, 1)]
        world.at(2000, lambda: world.order(15))
        world.run(200)
        assert [p.entered for p in people] == [1000, 20_000]
        assert world.path()[1] == ("wait_aisle", "in", 2000, 80_000)

    @given(
        visits=st.lists(
            st.tuples(st.integers(0, 3 * HOUR), st.integers(0, 1), st.integers(1, 20 * MINUTE)),
            min_size=1, max_size=25,
        ),
        case=st.sampled_from(sorted(CASES)),
        seed=st.integers(0, 1000),
        is_faulty=st.booleans(),
    )  # fmt: skip
    @settings(max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None)
    def test_nobody_is_shut_out(self, visits, case, seed, is_faulty):
        """Whoever wants into an aisle gets in, no robot moves there meanwhile, and the store goes on."""
        faults = WILD if is_faulty else {"scale": 0}
        store = Busy(
            seed=seed, make=lambda **world: FaultyWorld(faults=faults, **world),
            people={"count": 2, "unload_s": 20, "check_s": 10, "pick_setup_s": 5}, **CASES[case],
        )  # fmt: skip
        world = store.world
        people = [Person(world, aisle, at, stay, k) for k, (at, aisle, stay) in enumerate(visits)]
        world.run(4 * 3600)
        before = len(world.facts("order_handed_over"))
        world.run(2 * 3600)
        assert len(world.facts("order_handed_over")) > before
        assert all(person.left is not None for person in people)
        rows, end = world.rows, world.env.now
        check_time_is_whole(rows, end)
        zone = world.fleet._zone
        for stretches in stretches_of(rows, end).values():
            for stretch, follows in itertools.pairwise(stretches):
                if stretch.activity in (WORKING, DIGGING, PARK, GO_CHARGE):
                    places = {zone[stretch.from_place], zone[stretch.to_place]}
                    for person in people:
                        if person.aisle in places:
                            assert follows.start <= person.entered or person.left <= stretch.start


class TestTakingOver:
    def test_down_since(self):
        """A robot says since when it is down, and whoever listens hears of its beginning and end."""
        world = FaultyWorld(faults={"clock": "powered"}, streams=Script({0: [10_000]}))
        heard = []
        world.fleet.on_down = lambda robot: heard.append((world.env.now, world.fleet.down_since_ms(robot)))
        seen = []
        for at in (9999, 10_001, 7_209_999, 7_210_001):
            world.at(at, lambda: seen.append(world.fleet.down_since_ms(0)))
        world.run(3 * 3600)
        assert seen == [NONE, 10_000, 10_000, NONE]
        assert heard == [(10_000, 10_000), (7_210_000, NONE)]

    def test_down_without_a_break(self):
        """Repaired in the dark, a robot is down from its breakdown until the power is back: heard of once."""
        faults = {"power_failures_per_year": 1, "power_failure_h": 4, "clock": "powered"}
        world = FaultyWorld(faults=faults, streams=Script({0: [10_000]}, power=[20_000]))
        heard = []
        world.fleet.on_down = lambda robot: heard.append((world.env.now, world.fleet.down_since_ms(robot)))
        world.run(8 * 3600)
        assert heard == [(10_000, 10_000), (20_000 + 4 * HOUR, NONE)]

    def test_on_work_is_told(self):
        """Whoever listens hears of every task that is added."""
        world = FaultyWorld(robots={"count": 0}, faults={"scale": 0})
        heard = []
        world.fleet.on_work = lambda: heard.append(len(world.fleet.waiting[ISSUE]))
        world.stock_box("2-05-3")
        world.order(15)
        assert heard == [1]

    def test_hand_tasks_follow_the_dispatch_rule(self):
        """Tasks for people: orders before put-aways by default, no counts, no cancelled ones, at most so many."""
        world = FaultyWorld(robots={"count": 0}, faults={"scale": 0})
        fleet = world.fleet
        for name in ("2-05-3", "1-02-1"):
            world.stock_box(name, age=90)
        world.truck(2)
        world.run(1)
        world.warehouse.visit(3, 1000)
        for _ in range(2):
            world.order(15)
        assert [task.kind for task in fleet.hand_tasks(1)] == [ISSUE]
        assert [task.kind for task in fleet.hand_tasks(2)] == [ISSUE, PUT_AWAY]
        fleet.waiting[PUT_AWAY][0].cancelled = True
        assert fleet.hand_tasks(5) == []
        assert [len(queue) for queue in fleet.waiting] == [0, 0, 0, 0, 1]

    def tour(self, at, **world):
        """A tour of two put-aways and two retrievals, broken down at a time; run for an hour."""
        world = FaultyWorld(
            policy=STAY, start=False, streams=Script({0: [at]}), faults={"clock": "calendar"}, **world
        )
        for name in ("3-07-4", "3-08-4"):
            world.stock_box(name, age=90)
        world.truck(2)
        world.order(30)
        world.people.start()
        world.run(0.001)
        world.start_fleet()
        return world

    def test_working_robot_keeps_its_boxes(self):
        """Nothing is taken off a robot that is in order."""
        world = self.tour(10**9)
        world.run(20)
        assert len(world.fleet.robots[0].board) == 2
        assert world.fleet.take_boxes_off(0) == []
        assert len(world.fleet.robots[0].board) == 2

    @pytest.mark.parametrize(
        ("at", "aboard", "waiting"),
        [(3000, 0, 4), (10_000, 1, 3), (17_000, 2, 2), (62_000, 0, 2), (80_000, 1, 1), (90_000, 2, 0),
         (120_000, 1, 0), (150_000, 0, 0)],
    )  # fmt: skip
    def test_people_take_over(self, at, aboard, waiting):
        """People get what is on board; what was not begun waits again; the robot goes on with what is left: nothing."""
        world = self.tour(at)
        world.run(at / 1000 + 60)
        robot = world.fleet.robots[0]
        was_down = robot.down_since
        assert was_down == at + 1  # the robots start at 1 ms
        loaded = list(robot.board)
        taken = world.fleet.take_boxes_off(0)
        assert [task.box for task in taken] == loaded
        assert robot.board == []
        assert robot.fork == NONE
        assert robot.tasks == {}
        assert world.fleet.take_boxes_off(0) == []
        queued = sum(len(queue) for queue in world.fleet.waiting)
        assert (len(taken), queued) == (aboard, waiting)
        # A person brings the boxes where they belong.
        for task in taken:
            carrier = type(robot)(1, world.layout.robot_place(0), robot.place, 0)
            if task.kind == ISSUE:
                world.fleet.floor.delivered(task, carrier, task.target)
            else:
                assert world.fleet.floor.stored(task, carrier)
        world.run(4 * 3600)
        assert len(world.facts("task_done")) == 4
        assert len({f["task"] for f in world.facts("task_done")}) == 4
        assert check_faults(world.rows, world.env.now)[0]["end"] == at + 1 + 2 * HOUR
        check_time_is_whole(world.rows, world.env.now)

    @pytest.mark.parametrize("cut", ["dig", "pick"])
    def test_people_change_a_stack_meanwhile(self, cut):
        """A robot that went down over a stack looks again: people may have moved boxes off it, or onto it."""
        # Box 0 is wanted and stands under box 1, or alone; the robot is down from 8 s on, before it has a box.
        world = FaultyWorld(
            robots={**STACKS, "carry": 2},
            policy=STAY,
            faults={"clock": "powered"},
            streams=Script({0: [8000]}),
        )
        wanted = world.stock_box("2-05-1", 0, age=90)
        other = world.stock_box("2-05-1" if cut == "dig" else "2-05-2", 0)
        world.order(15)
        world.run(60)
        (stretch,) = (s for s in world.stretches() if s.activity == FAULT)
        assert world.path()[0][0] == "work"
        floor, layout = world.fleet.floor, world.layout
        person = type(world.fleet.robots[0])(1, layout.robot_place(0), layout.inbound, 0)
        task = next(iter(world.fleet.robots[0].tasks.values()))
        target = (world.slot("2-05-1"), 1 if cut == "dig" else 0)
        world.ledger.reserve(other, *target)
        world.warehouse._kept_for_digs += 1
        floor.dig_out(other, task, person, target)
        floor.dig_in(other, task, person, target)
        world.run(4 * 3600)
        assert [f["task"] for f in world.facts("task_done")] == [task.number]
        assert task.box == wanted
        digs = world.facts("box_dug", robot=0)
        assert len(digs) == (0 if cut == "dig" else 1)
        assert stretch.end == 8000 + 2 * HOUR

    def test_place_at_the_port_is_given_up(self):
        """A robot whose box is taken off before a full port leaves its place in the queue to the next."""
        world = FaultyWorld(
            policy=STAY, people={"check_s": 1000}, ports=IN_OUT, faults={"clock": "powered"},
            streams=Script({0: [200_000]}),
        )  # fmt: skip
        for _ in range(2):
            world.stock_box("3-01-2")
        world.order(30)
        world.run(300)
        (task,) = world.fleet.take_boxes_off(0)
        place = world.fleet.floor.out_place(world.layout.outbound)
        woken = []
        place.callbacks.append(lambda _: woken.append(world.env.now))
        world.run(3 * 3600)
        assert woken == [1_049_450]
        assert world.path()[-1][0] == "idle"
        assert isinstance(task, Task)


# -- The whole model, and theory -------------------------------------------------------------------------


class TestWholeRuns:
    def test_scenario_in_slices(self):
        """A scenario with faults a hundred times the default gives the same digest whole and in slices."""
        scenario = load("tiny", ["faults.scale=100", "time.days=3"])
        whole = Simulation(scenario).finish()
        cut = Simulation(scenario)
        for ms in range(1, 3 * DAY, 7_777_777):
            cut.advance(ms)
        assert len(whole.trace.table("fault_began")["time_ms"]) > 5
        assert cut.finish().trace.digest() == whole.trace.digest()


class TestTheory:
    def test_one_robot_is_mtbf_by_mtbf_and_mttr(self):
        """With a repairer for each robot the availability is MTBF / (MTBF + MTTR)."""
        for robots in (1, 2, 4):
            assert availability(robots, robots, 100, 10) == pytest.approx(10 / 11, rel=1e-14)

    def test_two_robots_by_hand(self):
        """Two robots, one repairer, MTTR / MTBF = 0.1: weights 1, 0.2, 0.02."""
        # Up: (1 x 1 + 0.2 x 0.5) / 1.22 = 1.1 / 1.22.
        assert availability(2, 1, 100, 10) == pytest.approx(1.1 / 1.22, rel=1e-14)

    @given(
        robots=st.integers(1, 6),
        repairers=st.integers(1, 6),
        mtbf=st.floats(1, 1000),
        mttr=st.floats(0.1, 1000),
    )
    def test_chain_in_balance(self, robots, repairers, mtbf, mttr):
        """The chain's balance equations, solved as a linear system, give the same availability."""
        rates = np.zeros((robots + 1, robots + 1))
        for down in range(robots):
            rates[down, down + 1] = (robots - down) / mtbf
            rates[down + 1, down] = min(down + 1, repairers) / mttr
        balance = rates.T - np.diag(rates.sum(axis=1))
        balance[-1] = 1
        shares = np.linalg.solve(balance, np.eye(robots + 1)[-1])
        up = sum(share * (robots - down) / robots for down, share in enumerate(shares))
        assert availability(robots, repairers, mtbf, mttr) == pytest.approx(up, rel=1e-9)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(5))
    def test_fleet_agrees_with_the_chain(self, seed):
        """The model's own robots and repairers keep the availability of the machine-repair model."""
        checks = list(machine_repair(Trial(np.random.default_rng(seed), lambda _: None)))
        assert len(checks) == 6
        assert all(check.ok for check in checks), checks
