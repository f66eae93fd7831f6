"""When people work: shifts, weekdays and holidays, in whole milliseconds of simulated time.

Time 0 is 00:00 of the run's first day and a day has 24 hours: no time zones, no change to summer time.
Every working day has the same shifts. Days are counted from the first day of the run and may be
negative; what happens outside the shifts is for others to say.
"""

import re
from bisect import bisect_left
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from sim.params import Params, fact

DAY_MS: Final = 86_400_000
"""Milliseconds of a day."""

FOREVER: Final = 1 << 62
"""What `WorkCalendar.closes_at` gives where nothing ever closes, in milliseconds."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Names of the days of a week, Monday first as in `date.weekday`."""


def _plain_date(value: object) -> object:
    if isinstance(value, datetime) or not isinstance(value, date | str):
        raise PydanticCustomError("date_type", "expected a date as 2026-03-02")
    if isinstance(value, date):
        return value
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError("date_type", "expected a date as 2026-03-02")


Day = Annotated[date, BeforeValidator(_plain_date)]
"""A date, written 2026-03-02 with or without quotes; a moment, a number or a week is refused."""

CLOCK: Final = r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$"
Clock = Annotated[str, Field(pattern=CLOCK)]
"""A time of day, HH:MM; 24:00 is the end of the day."""


def clock_ms(clock: str) -> int:
    """Milliseconds from midnight to a time of day written HH:MM."""
    hours, minutes = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000


def _forwards(shift: tuple[str, str]) -> tuple[str, str]:
    if clock_ms(shift[0]) >= clock_ms(shift[1]):
        raise PydanticCustomError(
            "shift_order",
            "expected an end after the start (a night shift is two: to 24:00, and from 00:00)",
        )
    return shift


def _apart(shifts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    by_start = sorted(shifts)
    for (a, b), (c, d) in pairwise(by_start):
        if clock_ms(c) < clock_ms(b):
            raise PydanticCustomError(
                "shift_overlap",
                "expected shifts that do not overlap, but {a}-{b} and {c}-{d} do",
                {"a": a, "b": b, "c": c, "d": d},
            )
    return shifts


Shift = Annotated[tuple[Clock, Clock], AfterValidator(_forwards)]
"""A part of a day, as [start, end]."""


class CalendarParams(Params):
    """When the store works."""

    shifts: Annotated[list[Shift], AfterValidator(_apart)] = fact(
        [["08:00", "12:00"], ["14:30", "18:00"]], "start and end of each shift of a working day",
        origin="assumption", min_length=1, max_length=24)  # fmt: skip
    weekdays: list[Weekday] = fact(
        ["mon", "tue", "wed", "thu", "fri"], "days of the week on which people work",
        origin="assumption", min_length=1, max_length=7)  # fmt: skip
    holidays: list[Day] = fact([], "dates on which nobody works", max_length=10_000)


class WorkCalendar:
    """Answers what is open when; instants are milliseconds since 00:00 of `start`, days count from it.

    An open interval holds its start and not its end; intervals that touch, also over midnight, are one.
    """

    def __init__(self, params: CalendarParams, start: date) -> None:
        self._first = start.toordinal()
        self._shifts = _merged([(clock_ms(a), clock_ms(b)) for a, b in params.shifts])
        self._day_ms = sum(b - a for a, b in self._shifts)
        works = [name in params.weekdays for name in WEEKDAYS]
        # Ordinal 1 is a Monday: weekday of a run day = (ordinal - 1) % 7.
        self._works = [works[(self._first + day - 1) % 7] for day in range(7)]
        self._before = [sum(self._works[:day]) for day in range(8)]
        self._holidays = sorted(
            {day.toordinal() - self._first for day in params.holidays if works[day.weekday()]}
        )
        self._always = self._shifts == [(0, DAY_MS)] and all(works) and not self._holidays
        self._cache: dict[int, bool] = {}

    def day_of(self, t_ms: int) -> int:
        """The day of the run that an instant falls on; 0 is the first, negative days lie before it."""
        return t_ms // DAY_MS

    def ordinal(self, day: int) -> int:
        """The proleptic ordinal (`date.toordinal`) of a day of the run."""
        return self._first + day

    def date_of(self, day: int) -> date:
        """The date of a day of the run; raises ValueError or OverflowError outside the years 1 to 9999."""
        return date.fromordinal(self._first + day)

    def is_working_day(self, day: int) -> bool:
        """Whether people work on a day of the run."""
        known = self._cache.get(day)
        if known is None:
            index = bisect_left(self._holidays, day)
            is_holiday = index < len(self._holidays) and self._holidays[index] == day
            known = self._cache[day] = self._works[day % 7] and not is_holiday
        return known

    def next_working_day(self, day: int) -> int:
        """The first working day strictly later than a day."""
        day += 1
        while not self.is_working_day(day):
            day += 1
        return day

    def add_working_days(self, day: int, n: int) -> int:
        """The n-th working day strictly later than a day (earlier when n < 0); the day itself for n = 0."""
        step = 1 if n > 0 else -1
        for _ in range(abs(n)):
            day += step
            while not self.is_working_day(day):
                day += step
        return day

    def is_open(self, t_ms: int) -> bool:
        """Whether people work at an instant: from the start of a shift up to, not including, its end."""
        day, rest = divmod(t_ms, DAY_MS)
        if not self.is_working_day(day):
            return False
        return any(a <= rest < b for a, b in self._shifts)

    def next_open(self, t_ms: int) -> int:
        """The first open instant not before t, in milliseconds; t itself when open."""
        day, rest = divmod(t_ms, DAY_MS)
        if self.is_working_day(day):
            for a, b in self._shifts:
                if rest < b:
                    return t_ms if rest >= a else day * DAY_MS + a
        return self.next_working_day(day) * DAY_MS + self._shifts[0][0]

    def closes_at(self, t_ms: int) -> int:
        """The end of the open interval that holds t, in milliseconds; FOREVER when nothing ever closes.

        Raises ValueError when t is not open.
        """
        if not self.is_open(t_ms):
            raise ValueError(f"closed at {t_ms} ms: {self.date_of(t_ms // DAY_MS)}, {t_ms % DAY_MS} ms")
        if self._always:
            return FOREVER
        day, rest = divmod(t_ms, DAY_MS)
        end = next(b for a, b in self._shifts if a <= rest < b)
        while end == DAY_MS and self._shifts[0][0] == 0 and self.is_working_day(day + 1):
            day += 1
            end = self._shifts[0][1]
            if day * DAY_MS - t_ms > _LONGEST_MS:
                return FOREVER
        return day * DAY_MS + end

    def intervals(self, a_ms: int, b_ms: int) -> list[tuple[int, int]]:
        """The open intervals between two instants, cut to them, in order, as (start, end) milliseconds."""
        found = [
            (max(day * DAY_MS + a, a_ms), min(day * DAY_MS + b, b_ms))
            for day in range(a_ms // DAY_MS, -(-b_ms // DAY_MS))
            if self.is_working_day(day)
            for a, b in self._shifts
        ]
        return _merged([(a, b) for a, b in found if a < b])

    def open_ms(self, a_ms: int, b_ms: int) -> int:
        """Working time between two instants, in milliseconds; negative when b lies before a."""
        return self._worked(b_ms) - self._worked(a_ms)

    def add_open_ms(self, t_ms: int, ms: int) -> int:
        """The earliest instant by which so much working time has passed since t (t itself for none).

        Raises ValueError for a negative time.
        """
        if ms < 0:
            raise ValueError(f"expected working time >= 0 ms, got {ms}")
        if ms == 0:
            return t_ms
        t = self.next_open(t_ms)
        day, rest = divmod(t, DAY_MS)
        for a, b in self._shifts:
            if rest < b:
                a = max(a, rest)
                if ms <= b - a:
                    return day * DAY_MS + a + ms
                ms -= b - a
        full, ms = divmod(ms - 1, self._day_ms)
        ms += 1
        day = self._nth_working_day(day, full + 1)
        for a, b in self._shifts:
            if ms <= b - a:
                return day * DAY_MS + a + ms
            ms -= b - a
        raise AssertionError("a working day holds less than its own working time")

    def _worked(self, t_ms: int) -> int:
        """Working time from the first day of the run to t (negative before it)."""
        day, rest = divmod(t_ms, DAY_MS)
        ms = self._working_days_before(day) * self._day_ms
        if self.is_working_day(day):
            ms += sum(min(rest, b) - a for a, b in self._shifts if rest > a)
        return ms

    def _working_days_before(self, day: int) -> int:
        weeks, rest = divmod(day, 7)
        holidays = bisect_left(self._holidays, day) - bisect_left(self._holidays, 0)
        return weeks * self._before[7] + self._before[rest] - holidays

    def _nth_working_day(self, day: int, n: int) -> int:
        """The n-th working day after a day, n >= 1, in steps of whole weeks at first."""
        target = self._working_days_before(day + 1) + n
        while (missing := target - self._working_days_before(day + 1)) > self._before[7]:
            day += 7 * ((missing - 1) // self._before[7])
        return self.add_working_days(day, missing)


_LONGEST_MS: Final = 400 * 366 * DAY_MS


def _merged(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted intervals, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for a, b in sorted(intervals):
        if joined and joined[-1][1] >= a:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    return joined
