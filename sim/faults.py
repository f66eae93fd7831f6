"""What breaks: robots, the power, the outbound station. Each fault names the clock on which its time runs.

Times to the next fault are drawn ahead, by (robot, occurrence) or by occurrence alone, each from a stream
of its own, so that every policy meets the same. A robot asks how long it may work until its next fault and
cuts its stretch there; one that stands is told. A command may stop a robot, repair one, or change rates: what
is drawn ahead then comes sooner or later in proportion, which for exponential times is exact. Left out: the
people who repair, and spare parts.
"""

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pydantic import StrictBool
from simpy import Event, Interrupt, Timeout

from sim.calendar import FOREVER
from sim.facts import (
    BREAKDOWN,
    FAULT_BEGAN,
    FAULT_ENDED,
    MINOR_STOP,
    MISSHAPED,
    NONE,
    POWER,
    STATION,
    STOPPED,
)
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.streams import exponential, lognormal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from simpy import Process

    from sim.calendar import WorkCalendar
    from sim.clock import Clock
    from sim.streams import Streams

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_YEAR_MS: Final = 365 * _DAY_MS


class FaultParams(Params):
    """What breaks, how often and for how long; every rate is multiplied by `scale`.

    Clocks. `operating` runs while a robot drives, lifts and handles; `powered` whenever it is not down;
    `calendar` always. Breakdowns run on the clock that `clock` names, minor stops on missions (a task that a
    robot takes), power failures and blocked stations on the calendar, misshaped boxes on boxes.
    """

    scale: JsonFloat = fact(
        0.0,
        "multiple of every rate below; 0: nothing breaks, 1: the rates as given",
        ge=0,
        le=10_000,
        live=True,
    )
    mtbf_h: JsonFloat = fact(
        500.0, "mean time of a robot between breakdowns, exponential, on the clock `clock`; inf for none",
        unit="h", origin="sourced", gt=0, allow_inf_nan=True, live=True,
    )  # fmt: skip
    clock: Literal["operating", "powered", "calendar"] = fact(
        "operating",
        "what counts towards a breakdown: driving, lifting and handling; all time in order; all time",
        origin="assumption",
    )
    mttr_h: JsonFloat = fact(
        2.0, "mean time to repair a robot", unit="h", origin="sourced", gt=0, le=10_000, live=True
    )
    mttr_sd_h: JsonFloat = fact(
        0.5,
        "standard deviation of a lognormal repair",
        unit="h",
        origin="sourced",
        ge=0,
        le=10_000,
        live=True,
    )
    repair_kind: Literal["lognormal", "exponential", "constant"] = fact(
        "lognormal", "distribution of the time to repair", origin="sourced", live=True
    )
    repairers: JsonInt = fact(
        1,
        "robots that can be repaired at the same time; others wait in turn",
        origin="assumption",
        ge=1,
        le=50,
        live=True,
    )
    repair_in_shifts: StrictBool = fact(
        False, "whether repairs go on in the shifts only, not round the clock", origin="assumption", live=True
    )
    vendor_share: JsonFloat = fact(
        0.2, "share of breakdowns that need the vendor, who repairs round the clock and beside the repairers",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    vendor_h: JsonFloat = fact(
        24.0,
        "time until the vendor has repaired a robot",
        unit="h",
        origin="assumption",
        gt=0,
        le=10_000,
        live=True,
    )
    minor_stop_share: JsonFloat = fact(
        0.0005, "chance of a minor stop in a mission: a task that a robot takes", unit="1/task",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    minor_stop_min: JsonFloat = fact(
        5.0,
        "mean time to clear a minor stop, lognormal",
        unit="min",
        origin="assumption",
        gt=0,
        le=100_000,
        live=True,
    )
    minor_stop_sd_min: JsonFloat = fact(
        2.5, "its standard deviation", unit="min", origin="assumption", ge=0, le=100_000, live=True
    )
    minor_stop_in_shifts: StrictBool = fact(
        True, "whether clearing a minor stop begins in a shift only", origin="assumption", live=True
    )
    power_failures_per_year: JsonFloat = fact(
        2.0, "failures of power or network, exponential, calendar clock: every robot stops where it is,"
        " people go on",
        unit="1/year", origin="assumption", ge=0, le=100_000, live=True,
    )  # fmt: skip
    power_failure_h: JsonFloat = fact(
        1.0, "how long each lasts", unit="h", origin="assumption", gt=0, le=10_000, live=True
    )
    blocked_per_day: JsonFloat = fact(
        2.0, "times that the outbound station is blocked or left, exponential, calendar clock",
        unit="1/day", origin="assumption", ge=0, le=10_000, live=True,
    )  # fmt: skip
    blocked_min: JsonFloat = fact(
        10.0,
        "how long each lasts; robots wait at the port",
        unit="min",
        origin="assumption",
        gt=0,
        le=100_000,
        live=True,
    )
    misshaped_share: JsonFloat = fact(
        0.003, "share of boxes out of shape, which need a hand when they are received",
        origin="assumption", ge=0, le=1, live=True,
    )  # fmt: skip
    misshaped_s: JsonFloat = fact(
        90.0,
        "hand time for a box that is out of shape",
        unit="s/box",
        origin="assumption",
        ge=0,
        le=86400,
        live=True,
    )


class _Open(NamedTuple):
    """A fault that keeps a robot from work: its number and cause, and the event of its end.

    `has_repairer`: one of the store's repairers is at it; `call_off` withdraws the work from people.
    """

    number: int
    cause: int
    over: Event
    has_repairer: bool = False
    call_off: "Callable[[], None] | None" = None


class Faults:
    """The faults of one run: when the next ones strike, who is being repaired, what is out.

    Parameters
    ----------
    params : rates and times; `is_on` says whether anything can break.
    streams : of the run; used are those whose names begin with `faults.`.
    env : the clock of the run.
    record : takes each fact.
    calendar : the shifts, for what waits for them; without one it is always a shift.

    `post_repair`, when it is set, is called for minor stops that wait for a shift, with the time that it
    takes to clear one (ms) and what to call with the person's number when it is cleared: people then have the
    work among their other work. It gives what calls the work off. When it is not set somebody is there as
    soon as there is a shift.
    """

    def __init__(
        self,
        params: FaultParams,
        streams: "Streams",
        env: "Clock",
        record: "Callable[[tuple[int, ...]], None]",
        calendar: "WorkCalendar | None" = None,
    ) -> None:
        self.post_repair: Callable[[int, Callable[[int], object]], Callable[[], None]] | None = None
        self._env = env
        self._record = record
        self._calendar = calendar
        self._draws = {name: streams[f"faults.{name}"] for name in _STREAMS}
        self._set_rates(params)
        self._operating = params.clock == "operating"
        self._calendar_clock = params.clock == "calendar"
        self._next = 0
        # By robot: work left until the breakdown, or the instant of it, as its clock has it.
        self._left: list[int] = []
        self._at: list[int] = []
        self._drawn: list[int] = []
        self._broken: list[int] = []
        self._missions: list[int] = []
        self._stopped: list[int] = []
        self._stops: dict[int, float] = {}
        self._is_down: list[bool] = []
        self._open: dict[int, _Open] = {}
        self._halts: dict[int, _Open] = {}
        self._free_repairers = params.repairers
        self._to_repair: deque[tuple[int, int, int, Event]] = deque()
        self._power_at = FOREVER
        self._power_until = NONE
        self._power_fault = NONE
        self._power_back: Event | None = None
        self._power_number = 0
        self._power_turn = 0
        self._port = NONE
        self._station: Event | None = None
        self._blocking: Process | None = None
        self._stop: Callable[[int], None] = lambda _: None

    def _set_rates(self, params: FaultParams) -> None:
        scale = params.scale
        self.params = params
        self.is_on = scale > 0
        self._mtbf_ms = params.mtbf_h * _HOUR_MS / scale if scale else float("inf")
        self._minor_share = min(1.0, params.minor_stop_share * scale)
        self._misshaped_share = min(1.0, params.misshaped_share * scale)
        self._power_ms = _mean_gap(_YEAR_MS, params.power_failures_per_year * scale)
        self._station_ms = _mean_gap(_DAY_MS, params.blocked_per_day * scale)

    def start(self, robots: int, port: int, stop: "Callable[[int], None]") -> None:
        """Draw the first faults.

        Parameters
        ----------
        robots : how many there are; they are numbered from 0.
        port : place of the outbound station.
        stop : called with the number of a robot when a fault strikes by the calendar, or by a clock that runs
            while a robot stands.
        """
        self._stop = stop
        self._port = port
        self._is_down = [False] * robots
        self._left = [FOREVER] * robots
        self._at = [FOREVER] * robots
        self._drawn = [0] * robots
        self._broken = [0] * robots
        self._missions = [0] * robots
        self._stopped = [0] * robots
        self._await_power(0)
        if self._station_ms < FOREVER:
            self._blocking = self._env.process(self._block_station(port))
        for robot in range(robots):
            gap = self._gap_to_breakdown(robot)
            if self._operating:
                self._left[robot] = gap
            else:
                self._set_alarm(robot, min(FOREVER, self._env._now + gap))

    # -- what a command does ----------------------------------------------------------------------------

    def halt(self, robot: int, place: int) -> None:
        """Stop a robot until it is repaired; it has begun its stretch at `place`."""
        self._halts[robot] = _Open(self._began(STOPPED, robot, place, NONE), STOPPED, Event(self._env))

    def is_halted(self, robot: int) -> bool:
        """Whether a command has stopped a robot."""
        return robot in self._halts

    def repair(self, robot: int) -> bool:
        """Set a robot to work again that is stopped, broken down or in a minor stop; False for any other.

        Its repairer has time for the next one. Work of people on it that has begun is finished in vain.
        """
        fault, halt = self._open.get(robot), self._halts.pop(robot, None)
        if fault is not None:
            if fault.call_off is not None:
                fault.call_off()
            self._to_repair = deque(waiting for waiting in self._to_repair if waiting[1] != robot)
            end = self._cleared if fault.cause == MINOR_STOP else self._repaired
            (self._free_repairer if fault.has_repairer else end)(fault.number, robot)
        if halt is not None:
            self._ended(halt.number, STOPPED, robot)
            halt.over.succeed()
        return fault is not None or halt is not None

    def adopt(self, params: FaultParams) -> None:
        """Go on with other rates and times; `clock` has to stay. What is under way ends as it was to end.

        A stretch that a robot has begun goes on up to the fault that it was cut for.
        """
        mtbf_ms, power_ms, station_ms = self._mtbf_ms, self._power_ms, self._station_ms
        self._free_repairers += params.repairers - self.params.repairers
        self._set_rates(params)
        if self._port == NONE:  # nothing is drawn yet
            return
        self._begin_repairs()
        for robot in range(len(self._at)) if self._mtbf_ms != mtbf_ms else ():
            self._hurry_breakdown(robot, mtbf_ms)
        if self._power_ms != power_ms and not self.is_dark:
            left = self._power_at - self._env._now
            if power_ms < FOREVER:
                self._expect_power(round(left * self._power_ms / power_ms))
            else:
                self._await_power(self._power_number)
        if self._blocking is None and self._station_ms < FOREVER:
            self._blocking = self._env.process(self._block_station(self._port))
        elif self._blocking is not None and self._station is None and self._station_ms != station_ms:
            self._blocking.interrupt()

    # -- what a robot asks ------------------------------------------------------------------------------

    def until_ms(self, robot: int, *, works: bool) -> int:
        """Time from now until a robot's next fault if it goes on as it does; 0: one is due.

        `works`: it drives, lifts or handles, so that its operating clock runs.
        """
        if robot in self._halts:
            return 0
        now = self._env._now
        at = self._at[robot]
        if self._power_at < at:
            at = self._power_at
        ahead = max(0, at - now)
        return min(ahead, self._left[robot]) if works and self._operating else ahead

    def due(self, robot: int, *, works: bool) -> int:
        """The cause of the fault that strikes a robot now, or NONE."""
        if robot in self._halts:
            return STOPPED
        now = self._env._now
        if self._at[robot] <= now or (works and self._operating and self._left[robot] <= 0):
            return BREAKDOWN
        return POWER if self._power_at <= now else NONE

    def worked(self, robot: int, ms: int) -> None:
        """A robot has driven or handled for so long."""
        if self._operating and self._left[robot] < FOREVER:
            self._left[robot] -= ms

    def mission(self, robot: int, task: int) -> None:
        """A robot takes a task; a minor stop may lie ahead in it."""
        if self._minor_share > 0:
            mission = self._missions[robot]
            self._missions[robot] = mission + 1
            u = self._draws["minor_stop"].uniform(mission, robot)
            if u < self._minor_share:
                self._stops[task] = u / self._minor_share

    def minor_stop_ms(self, task: int, stretch_ms: int) -> int:
        """When in a stretch of work on a task the robot has a minor stop, from 0; FOREVER for not at all.

        It falls in the first stretch of work on the task that lasts, anywhere with equal chance.
        """
        if not self._stops or stretch_ms <= 0:
            return FOREVER
        share = self._stops.pop(task, None)
        return FOREVER if share is None else int(share * stretch_ms)

    def forget(self, task: int) -> None:
        """A robot's task ends, or another has it: its minor stop does not happen any more."""
        self._stops.pop(task, None)

    def goes_down(self, robot: int) -> None:
        """A robot is down from now on: its powered clock stands still."""
        self._is_down[robot] = True
        if not self._operating and not self._calendar_clock and self._at[robot] < FOREVER:
            self._left[robot] = max(0, self._at[robot] - self._env._now)
            self._at[robot] = FOREVER

    def comes_up(self, robot: int) -> None:
        """A robot is in order again; breakdowns by the calendar that fell in its down time are left out."""
        self._is_down[robot] = False
        if self._operating:
            return
        now = self._env._now
        if not self._calendar_clock:
            if self._left[robot] < FOREVER:
                self._set_alarm(robot, now + self._left[robot])
            return
        at = self._at[robot]
        if at <= now:
            while at <= now:
                at += self._gap_to_breakdown(robot)
            self._set_alarm(robot, at)

    def strike(self, robot: int, cause: int, place: int) -> tuple[int, Event]:
        """A fault strikes a robot: when it will be over (ms; NONE: not known yet) and the event of that.

        `cause` is BREAKDOWN, MINOR_STOP, POWER for a failure that has begun, or STOPPED after `halt`.
        """
        if cause == STOPPED:
            return NONE, self._halts[robot].over
        if cause == POWER:
            self._begin_power_failure()
            assert self._power_back is not None
            return self._power_until, self._power_back
        over = Event(self._env)
        if cause == MINOR_STOP:
            return self._stop_shortly(robot, place, over)
        return self._break_down(robot, place, over)

    @property
    def is_dark(self) -> bool:
        """Whether a power failure lasts."""
        return self._power_back is not None

    @property
    def blocked(self) -> Event | None:
        """None when the outbound station takes boxes, else the event of its taking them again."""
        return self._station

    # -- what others ask --------------------------------------------------------------------------------

    def misshaped_ms(self, box: int) -> int:
        """Hand time that a box needs at the receiving scan because it is out of shape; 0 for most boxes."""
        if self._misshaped_share <= 0 or self._draws["misshaped"].uniform(box) >= self._misshaped_share:
            return 0
        ms = round(self.params.misshaped_s * 1000)
        fault = self._began(MISSHAPED, NONE, NONE, self._env._now + ms, box)
        self._after(ms, lambda: self._ended(fault, MISSHAPED, NONE))
        return ms

    # -- robots -----------------------------------------------------------------------------------------

    def _gap_to_breakdown(self, robot: int) -> int:
        """Time to a robot's next breakdown, on its clock."""
        if self._mtbf_ms == float("inf"):
            return FOREVER
        u = self._draws["breakdown"].uniform(self._drawn[robot], robot)
        self._drawn[robot] += 1
        return max(1, round(exponential(u, self._mtbf_ms)))

    def _set_alarm(self, robot: int, at: int) -> None:
        """Tell a robot that stands of its breakdown, unless another instant is set meanwhile."""
        self._at[robot] = at
        if at < FOREVER:
            self._after(at - self._env._now, lambda: self._ring(robot, at))

    def _ring(self, robot: int, at: int) -> None:
        if self._at[robot] == at:
            self._stop(robot)

    def _break_down(self, robot: int, place: int, over: Event) -> tuple[int, Event]:
        k = self._broken[robot]
        self._broken[robot] = k + 1
        params, now = self.params, self._env._now
        if self._draws["vendor"].uniform(k, robot) < params.vendor_share:
            ms = max(1, round(params.vendor_h * _HOUR_MS))
            fault = self._began(BREAKDOWN, robot, place, now + ms)
            self._open[robot] = _Open(fault, BREAKDOWN, over)
            self._after(ms, lambda: self._repaired(fault, robot))
            return now + ms, over
        ms = self._repair_ms(self._draws["repair"].uniform(k, robot))
        if self._free_repairers <= 0:
            fault = self._began(BREAKDOWN, robot, place, NONE)
            self._open[robot] = _Open(fault, BREAKDOWN, over)
            self._to_repair.append((fault, robot, ms, over))
            return NONE, over
        self._free_repairers -= 1
        end = self._repair_end(ms)
        self._repair(self._began(BREAKDOWN, robot, place, end), robot, end, over)
        return end, over

    def _stop_shortly(self, robot: int, place: int, over: Event) -> tuple[int, Event]:
        """A minor stop: somebody clears it."""
        ms, end = self._clearing_ms(robot), self._env._now
        in_shifts = self.params.minor_stop_in_shifts
        if in_shifts and self.post_repair is not None:
            fault = self._began(MINOR_STOP, robot, place, NONE)
            call_off = self.post_repair(ms, lambda _: self._cleared(fault, robot))
            self._open[robot] = _Open(fault, MINOR_STOP, over, call_off=call_off)
            return NONE, over
        if in_shifts and self._calendar is not None:
            end = self._calendar.next_open(end)
        end += ms
        fault = self._began(MINOR_STOP, robot, place, end)
        self._open[robot] = _Open(fault, MINOR_STOP, over)
        self._after(end - self._env._now, lambda: self._cleared(fault, robot))
        return end, over

    def _repair_ms(self, u: float) -> int:
        params = self.params
        mean = params.mttr_h * _HOUR_MS
        if params.repair_kind == "exponential":
            mean = exponential(u, mean)
        elif params.repair_kind == "lognormal":
            mean = lognormal(u, mean, params.mttr_sd_h / params.mttr_h)
        return max(1, round(mean))

    def _clearing_ms(self, robot: int) -> int:
        u = self._draws["clearing"].uniform(self._stopped[robot], robot)
        self._stopped[robot] += 1
        mean, deviation = self.params.minor_stop_min, self.params.minor_stop_sd_min
        return max(1, round(60_000 * lognormal(u, mean, deviation / mean)))

    def _repair_end(self, ms: int) -> int:
        """When a repair that begins now is done."""
        if self.params.repair_in_shifts and self._calendar is not None:
            return self._calendar.add_open_ms(self._env._now, ms)
        return self._env._now + ms

    def _repair(self, fault: int, robot: int, end: int, over: Event) -> None:
        self._open[robot] = _Open(fault, BREAKDOWN, over, has_repairer=True)
        self._after(end - self._env._now, lambda: self._free_repairer(fault, robot))

    def _free_repairer(self, fault: int, robot: int) -> None:
        if self._repaired(fault, robot):
            self._free_repairers += 1
            self._begin_repairs()

    def _begin_repairs(self) -> None:
        """Set repairers to the robots that wait for one."""
        while self._free_repairers > 0 and self._to_repair:
            self._free_repairers -= 1
            fault, robot, ms, over = self._to_repair.popleft()
            self._repair(fault, robot, self._repair_end(ms), over)

    def _repaired(self, fault: int, robot: int) -> bool:
        """A robot is repaired; False when a command has done that before."""
        if not self._is_over(fault, robot):
            return False
        if not self._calendar_clock:
            self._left[robot] = self._gap_to_breakdown(robot)
        self._open.pop(robot).over.succeed()
        return True

    def _cleared(self, fault: int, robot: int) -> bool:
        """A minor stop is cleared; False when a command has done that before."""
        if not self._is_over(fault, robot):
            return False
        self._open.pop(robot).over.succeed()
        return True

    def _is_over(self, fault: int, robot: int) -> bool:
        """Note that a robot's fault is over, if it has lasted until now."""
        known = self._open.get(robot)
        if known is None or known.number != fault:
            return False
        self._ended(fault, known.cause, robot)
        return True

    def _hurry_breakdown(self, robot: int, before_ms: float) -> None:
        """Let a robot's breakdown come as much sooner or later as the mean between two says."""
        now = self._env._now
        waits = self._operating or (self._is_down[robot] and not self._calendar_clock)
        left = self._left[robot] if waits else self._at[robot] - now
        if left <= 0:  # it is being repaired, or about to break down
            return
        if before_ms == float("inf"):
            left = self._gap_to_breakdown(robot)
        else:
            ratio = self._mtbf_ms / before_ms
            left = FOREVER if ratio == float("inf") else max(1, round(left * ratio))
        if waits:
            self._left[robot] = left
        else:
            self._left[robot] = FOREVER
            self._set_alarm(robot, min(FOREVER, now + left))

    # -- power and station ------------------------------------------------------------------------------

    def _await_power(self, k: int) -> None:
        """Wait for power failure k; the time to it runs from the end of the one before."""
        self._power_number = k
        self._expect_power(max(1, round(exponential(self._draws["power"].uniform(k), self._power_ms))))

    def _expect_power(self, gap: int) -> None:
        """Let the power fail after a time, if power fails at all, unless another time is set meanwhile."""
        self._power_turn += 1
        self._power_at = FOREVER
        if self._power_ms < FOREVER:
            turn = self._power_turn
            self._power_at = self._env._now + gap
            self._after(gap, lambda: self._fail_power(turn))

    def _fail_power(self, turn: int) -> None:
        if turn != self._power_turn:
            return
        k = self._power_number
        self._begin_power_failure()
        self._after(self._power_until - self._env._now, lambda: self._restore_power(k))
        for robot in range(len(self._at)):
            self._stop(robot)

    def _begin_power_failure(self) -> None:
        if self._power_back is None:
            self._power_until = self._env._now + max(1, round(self.params.power_failure_h * _HOUR_MS))
            self._power_fault = self._began(POWER, NONE, NONE, self._power_until)
            self._power_back = Event(self._env)

    def _restore_power(self, k: int) -> None:
        self._ended(self._power_fault, POWER, NONE)
        back = self._power_back
        assert back is not None
        self._power_back = None
        # The next failure is waited for before anybody moves, so that at one instant it comes first.
        self._await_power(k + 1)
        back.succeed()

    def _block_station(self, port: int) -> "Generator[Event, object, None]":
        env = self._env
        k = 0
        while True:
            yield from self._await_block(self._draws["station"].uniform(k))
            ms = max(1, round(self.params.blocked_min * 60_000))
            fault = self._began(STATION, NONE, port, env._now + ms)
            self._station = Event(env)
            yield Timeout(env, ms)
            self._ended(fault, STATION, NONE)
            opened, self._station = self._station, None
            opened.succeed()
            k += 1

    def _await_block(self, u: float) -> "Generator[Event, object, None]":
        """Wait for the time that a uniform picks; a rate that changes changes what is left of it."""
        env, mean_ms = self._env, self._station_ms
        left = max(1, round(exponential(u, mean_ms)))
        while True:
            since = env._now
            try:
                yield Timeout(env, left)
            except Interrupt:
                left = round((left - (env._now - since)) * self._station_ms / mean_ms)
                mean_ms = self._station_ms
            else:
                return

    # -- small ------------------------------------------------------------------------------------------

    def _began(self, cause: int, robot: int, place: int, until: int, box: int = NONE) -> int:
        fault = self._next
        self._next += 1
        self._record((self._env._now, FAULT_BEGAN, fault, cause, robot, box, place, until))
        return fault

    def _ended(self, fault: int, cause: int, robot: int) -> None:
        self._record((self._env._now, FAULT_ENDED, fault, cause, robot))

    def _after(self, ms: int, do: "Callable[[], object]") -> None:
        def happen(_: Event) -> None:
            do()

        timer = Timeout(self._env, ms)
        assert timer.callbacks is not None
        timer.callbacks.append(happen)


_STREAMS: Final = ("breakdown", "repair", "vendor", "minor_stop", "clearing", "power", "station", "misshaped")


def _mean_gap(period_ms: int, rate: float) -> float:
    """Mean time between faults that happen at a rate per period; FOREVER for a rate of 0."""
    return period_ms / rate if rate > 0 else float(FOREVER)
