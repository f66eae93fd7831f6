"""The calendar: what is open when, and how much working time lies between two instants."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.calendar import DAY_MS, FOREVER, WEEKDAYS, CalendarParams, WorkCalendar, clock_ms

HOUR = 3_600_000
MINUTE = 60_000
MONDAY = date(2026, 3, 2)


@pytest.fixture
def calendar() -> WorkCalendar:
    """The default: 08:00-12:00 and 14:30-18:00, Monday to Friday, from Monday 2 March 2026."""
    return WorkCalendar(CalendarParams(), MONDAY)


def at(day: int, clock: str) -> int:
    return day * DAY_MS + clock_ms(clock)


def refusal(**changes: object) -> str:
    with pytest.raises(ValidationError) as caught:
        CalendarParams.model_validate(changes)
    (error,) = caught.value.errors()
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def test_shift_holds_start_not_end(calendar):
    """A shift is open from its start up to, not including, its end."""
    assert [calendar.is_open(at(0, "08:00") + d) for d in (-1, 0, 1)] == [False, True, True]
    assert [calendar.is_open(at(0, "12:00") + d) for d in (-1, 0, 1)] == [True, False, False]


def test_next_open_skips_lunch_night_weekend(calendar):
    """The next open instant is t itself, after lunch, next morning or on Monday."""
    assert calendar.next_open(at(0, "09:00")) == at(0, "09:00")
    assert calendar.next_open(at(0, "12:00")) == at(0, "14:30")
    assert calendar.next_open(at(0, "18:00")) == at(1, "08:00")
    assert calendar.next_open(at(4, "18:00")) == at(7, "08:00")
    assert calendar.next_open(0) == at(0, "08:00")


def test_closes_at_end_of_shift(calendar):
    """An open instant closes at the end of its shift; a closed one is refused."""
    assert calendar.closes_at(at(0, "08:00")) == at(0, "12:00")
    assert calendar.closes_at(at(0, "17:59")) == at(0, "18:00")
    with pytest.raises(ValueError, match="closed at 46800000 ms: 2026-03-02, 46800000 ms"):
        calendar.closes_at(at(0, "13:00"))


def test_days_before_start_count_down(calendar):
    """Day -1 is Sunday 1 March; pre-history has the same weeks."""
    assert calendar.day_of(-1) == -1
    assert calendar.date_of(-1) == date(2026, 3, 1)
    assert calendar.ordinal(0) == MONDAY.toordinal()
    assert [calendar.is_working_day(day) for day in (-3, -2, -1, 0)] == [True, False, False, True]
    assert calendar.next_open(at(-3, "18:00")) == at(0, "08:00")


def test_working_days_skip_holidays():
    """A holiday is no working day; one on a Sunday changes nothing."""
    calendar = WorkCalendar(CalendarParams(holidays=[date(2026, 3, 3), date(2026, 3, 8)]), MONDAY)
    assert [calendar.is_working_day(day) for day in range(7)] == [True, False, True, True, True, False, False]
    assert calendar.next_working_day(0) == 2
    # Day 0 Mon; working days after it: 2 Wed, 3 Thu, 4 Fri, 7 Mon.
    assert [calendar.add_working_days(0, n) for n in range(5)] == [0, 2, 3, 4, 7]
    # Before day 0: -3 Fri, -4 Thu.
    assert [calendar.add_working_days(0, -n) for n in (1, 2)] == [-3, -4]


def test_working_time_between_instants(calendar):
    """A working day has 7.5 h, a week 37.5 h; turned round, the time is negative."""
    assert calendar.open_ms(0, DAY_MS) == 7.5 * HOUR
    assert calendar.open_ms(0, 7 * DAY_MS) == 37.5 * HOUR
    assert calendar.open_ms(7 * DAY_MS, 0) == -37.5 * HOUR
    # Friday 17:00 to Monday 08:30: one hour on Friday, half an hour on Monday.
    assert calendar.open_ms(at(4, "17:00"), at(7, "08:30")) == 1.5 * HOUR
    assert calendar.open_ms(at(-7, "00:00"), 0) == 37.5 * HOUR


def test_working_time_is_added(calendar):
    """Time added runs on over lunch and nights, and may end at the very end of a shift."""
    assert calendar.add_open_ms(at(0, "07:00"), 0) == at(0, "07:00")
    assert calendar.add_open_ms(at(0, "08:00"), 4 * HOUR) == at(0, "12:00")
    assert calendar.add_open_ms(at(0, "08:00"), 4 * HOUR + 1) == at(0, "14:30") + 1
    assert calendar.add_open_ms(at(0, "11:00"), 4 * HOUR) == at(0, "17:30")
    # 37.5 h are exactly one week's work: Monday 08:00 to Friday 18:00.
    assert calendar.add_open_ms(at(0, "08:00"), int(37.5 * HOUR)) == at(4, "18:00")
    with pytest.raises(ValueError, match="expected working time >= 0 ms, got -1"):
        calendar.add_open_ms(0, -1)


def test_intervals_are_cut_to_range(calendar):
    """The intervals of a range are its shifts, the first and the last cut."""
    assert calendar.intervals(at(0, "10:00"), at(1, "09:00")) == [
        (at(0, "10:00"), at(0, "12:00")),
        (at(0, "14:30"), at(0, "18:00")),
        (at(1, "08:00"), at(1, "09:00")),
    ]
    assert calendar.intervals(at(5, "00:00"), at(7, "00:00")) == []


def test_always_open_never_closes():
    """Round the clock on all days is one interval without end."""
    calendar = WorkCalendar(CalendarParams(shifts=[("00:00", "24:00")], weekdays=list(WEEKDAYS)), MONDAY)
    assert calendar.is_open(-1)
    assert calendar.next_open(123) == 123
    assert calendar.closes_at(0) == FOREVER
    assert calendar.intervals(-5, 2 * DAY_MS + 7) == [(-5, 2 * DAY_MS + 7)]
    assert calendar.open_ms(-5, 2 * DAY_MS) == 2 * DAY_MS + 5
    assert calendar.add_open_ms(-5, 10 * DAY_MS) == 10 * DAY_MS - 5


def test_night_shift_joins_over_midnight():
    """22:00-24:00 and 00:00-06:00 are one interval where both days work."""
    calendar = WorkCalendar(CalendarParams(shifts=[("22:00", "24:00"), ("00:00", "06:00")]), MONDAY)
    assert calendar.closes_at(at(0, "23:00")) == at(1, "06:00")
    assert calendar.closes_at(at(4, "23:00")) == at(5, "00:00")
    assert calendar.next_open(at(5, "00:00")) == at(7, "00:00")


def test_shifts_that_touch_are_one():
    """08:00-12:00 and 12:00-16:00 close once, at 16:00, whatever order they are written in."""
    calendar = WorkCalendar(CalendarParams(shifts=[("12:00", "16:00"), ("08:00", "12:00")]), MONDAY)
    assert calendar.closes_at(at(0, "09:00")) == at(0, "16:00")


def test_wrong_calendars_are_refused():
    """What makes no sense is refused where it stands, in words."""
    assert refusal(shifts=[["08:00", "12:00"], ["18:00", "14:30"]]) == (
        "shifts.1: expected an end after the start (a night shift is two: to 24:00, and from 00:00)"
    )
    assert refusal(shifts=[["08:00", "12:00"], ["11:00", "13:00"]]) == (
        "shifts: expected shifts that do not overlap, but 08:00-12:00 and 11:00-13:00 do"
    )
    assert refusal(shifts=[]).startswith("shifts: List should have at least 1 item")
    assert refusal(shifts=[["8:00", "12:00"]]).startswith("shifts.0.0: String should match pattern")
    assert refusal(weekdays=["mon", "die"]).startswith("weekdays.1: Input should be 'mon', 'tue'")
    for nonsense in ("2026-02-30", "20260302", "2026-W10-1", 86_400, True, datetime(2026, 3, 2)):  # noqa: DTZ001
        assert refusal(holidays=[nonsense]) == "holidays.0: expected a date as 2026-03-02"


@st.composite
def calendars(draw: st.DrawFn) -> tuple[WorkCalendar, list[bool]]:
    """A calendar on half hours, and which half hours of its days -30 to 29 are open, worked out plainly."""
    marks = sorted(draw(st.sets(st.integers(0, 48), min_size=2, max_size=8)))
    marks = marks[: len(marks) // 2 * 2]
    shifts = [
        tuple(f"{m // 2:02d}:{m % 2 * 30:02d}" for m in pair)
        for pair in zip(marks[::2], marks[1::2], strict=True)
    ]
    weekdays = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True))
    start = MONDAY + timedelta(draw(st.integers(0, 6)))
    off = draw(st.sets(st.integers(-30, 29), max_size=9))
    params = CalendarParams(shifts=shifts, weekdays=weekdays, holidays=[start + timedelta(d) for d in off])
    is_open = [
        day not in off
        and WEEKDAYS[(start + timedelta(day)).weekday()] in weekdays
        and any(a <= half < b for a, b in zip(marks[::2], marks[1::2], strict=True))
        for day in range(-30, 30)
        for half in range(48)
    ]
    return WorkCalendar(params, start), is_open


@given(calendars(), st.integers(0, 60 * 48 - 1), st.integers(0, 60 * 48 - 1), st.integers(0, 10 * HOUR))
def test_agrees_with_plain_list(made, i, j, ms):
    """Every answer agrees with a list of open half hours."""
    calendar, is_open = made
    half = 30 * MINUTE
    i, j = min(i, j), max(i, j)
    a, b = (i - 30 * 48) * half, (j - 30 * 48) * half
    assert calendar.is_open(a) == is_open[i]
    worked = sum(is_open[i:j]) * half
    assert calendar.open_ms(a, b) == worked
    assert sum(end - start for start, end in calendar.intervals(a, b)) == worked
    if True in is_open[i:]:
        opens = is_open.index(True, i)
        assert calendar.next_open(a) == (opens - 30 * 48) * half
        if False in is_open[opens:]:
            assert calendar.closes_at(calendar.next_open(a)) == (is_open.index(False, opens) - 30 * 48) * half
    t = calendar.add_open_ms(a, ms)
    assert calendar.open_ms(a, t) == ms
    assert ms == 0 or calendar.open_ms(a, t - 1) == ms - 1
