"""One queue, two robots, 258 slots: the product's dispatch loop, and the same store in idiomatic SimPy.

Jobs come at random (Poisson), wait for a free robot in turn, and take a drive from the port to a slot, a pick
and the drive back. The product runs its own `Fleet`, fed by a process of arrivals as `Simulation` feeds it;
its floor does nothing but note waits and flow times, and the facts that it records are dropped. The twin is a
process a job that requests a `Resource`. Both get the same jobs and must tell the same of each.

The racks are those of the reference store. Two jobs for one slot never follow closely, and the lift is
quicker than any drive, so that no robot waits for another at a slot or at the port.
"""

import math
import random
from collections import deque
from collections.abc import Generator
from typing import Final, NamedTuple

import simpy

from sim.clock import Clock
from sim.facts import ISSUE
from sim.layout import Layout, LayoutParams, PortParams
from sim.robots import Fleet, Robot, RobotParams, Task, TourParams
from sim.travel import Travel

ROBOTS: Final = 2
LOAD: Final = 0.85
PICK_MS: Final = 6_000
APART: Final = 64
"""Jobs between two visits of one slot, at least."""

PARAMS: Final = RobotParams(
    count=ROBOTS, carry=1, passing=True, pick_s=PICK_MS / 1000, place_s=0.0, transfer_s=0.0,
    positioning_s=0.0, run_h=10_000.0, idle_draw=0.0, axes="simultaneous", lift_speed_m_per_s=20.0,
    lift_acceleration_m_per_s2=math.inf,
)  # fmt: skip
LAYOUT: Final = Layout(
    LayoutParams(ports=[PortParams(name="port", serves="both")]),
    meters_per_box=15, box_height_m=0.2, access="direct", robots=ROBOTS,
)  # fmt: skip
TRAVEL: Final = Travel(LAYOUT, PARAMS)
WAY_MS: Final[list[int]] = TRAVEL.one_way_ms(LAYOUT.outbound).tolist()


class Job(NamedTuple):
    """When a job comes, and the slot that it wants."""

    at_ms: int
    slot: int


class Told(NamedTuple):
    """What a run tells: how many jobs were done; waits and flow times of the jobs as they came."""

    jobs: int
    waits: list[int]
    flows: list[int]


def draw(jobs: int, seed: int = 1) -> list[Job]:
    """Poisson arrivals at a load of 0.85, and slots at random."""
    rng = random.Random(seed)
    mean_ms = (2 * sum(WAY_MS) / len(WAY_MS) + PICK_MS) / ROBOTS / LOAD
    recent: deque[int] = deque(maxlen=APART)
    at, drawn = 0.0, []
    for _ in range(jobs):
        at += rng.expovariate(1.0) * mean_ms
        slot = rng.randrange(LAYOUT.slots)
        while slot in recent:
            slot = rng.randrange(LAYOUT.slots)
        recent.append(slot)
        drawn.append(Job(round(at), slot))
    return drawn


class Floor:
    """The empty handling: all that the fleet asks of a warehouse, and the times of its jobs."""

    def __init__(self, env: Clock, jobs: int) -> None:
        self.env = env
        self.waits = [-1] * jobs
        self.flows = [-1] * jobs
        self.done = 0

    def expecting_put_aways(self) -> bool:
        return False

    def locate(self, task: Task) -> bool:
        return True

    def assigned(self, task: Task) -> None:
        self.waits[task.number] = self.env._now - task.created

    def where(self, box: int) -> tuple[int, int, int]:
        return box, 0, 0

    def picked(self, task: Task, robot: Robot) -> bool:
        return True

    def out_place(self, port: int) -> None:
        return None

    def delivered(self, task: Task, robot: Robot, port: int) -> None:
        self.flows[task.number] = self.env._now - task.created
        self.done += 1


class Product:
    """The fleet at work on jobs: `run` goes on until all are done."""

    def __init__(self, jobs: list[Job]) -> None:
        self.env = Clock()
        self.floor = Floor(self.env, len(jobs))
        self.fleet = Fleet(
            self.env, LAYOUT, TRAVEL, PARAMS, TourParams(), dispatch="priority", dwell="stay",
            ageing_ms=1_800_000.0, record=deque[tuple[int, ...]](maxlen=0).append,
        )  # fmt: skip
        self.fleet.floor = self.floor  # type: ignore[assignment]
        self.fleet.start()
        self.env.process(self._arrivals(jobs))

    def _arrivals(self, jobs: list[Job]) -> Generator[simpy.Event, object, None]:
        env, post, port = self.env, self.fleet.post, LAYOUT.outbound
        for number, (at, slot) in enumerate(jobs):
            if at > env._now:
                yield simpy.Timeout(env, at - env._now)
            # The box of a job has the number of its slot.
            post(Task(number, ISSUE, slot, slot, port, env._now))

    def run(self) -> Told:
        """Work off all jobs."""
        self.env.run()
        return Told(self.floor.done, self.floor.waits, self.floor.flows)


class Twin:
    """The same in the documented style of SimPy."""

    def __init__(self, jobs: list[Job]) -> None:
        self.env = simpy.Environment()
        self.robots = simpy.Resource(self.env, capacity=ROBOTS)
        self.waits = [-1] * len(jobs)
        self.flows = [-1] * len(jobs)
        self.done = 0
        self.env.process(self.source(jobs))

    def source(self, jobs: list[Job]) -> Generator[simpy.Event, object, None]:
        """Let each job come in its time."""
        for number, job in enumerate(jobs):
            yield self.env.timeout(job.at_ms - self.env.now)
            self.env.process(self.job(number, job.slot))

    def job(self, number: int, slot: int) -> Generator[simpy.Event, object, None]:
        """Wait for a robot, drive to the slot, pick, and drive back."""
        came = self.env.now
        with self.robots.request() as request:
            yield request
            self.waits[number] = int(self.env.now - came)
            yield self.env.timeout(WAY_MS[slot])
            yield self.env.timeout(PICK_MS)
            yield self.env.timeout(WAY_MS[slot])
        self.flows[number] = int(self.env.now - came)
        self.done += 1

    def run(self) -> Told:
        """Work off all jobs."""
        self.env.run()
        return Told(self.done, self.waits, self.flows)
