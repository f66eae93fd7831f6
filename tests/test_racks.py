"""One value for each slot, by which racks are coloured, and what the time of one order went to."""

from datetime import date

import numpy as np
import pytest

from api.answers import RACKS
from api.views import Instant, NotFound
from sim.facts import NONE
from sim.following import Followed
from sim.kpis import KPIS
from sim.scenario import load
from sim.simulation import Simulation
from sim.tables import RunFacts
from tests.test_views import MANY_ERRORS, ask, instant_of, whole


@pytest.fixture(scope="module")
def erring():
    """The reference store with errors and counts, after three days."""
    run = Simulation(
        load("luoyang", ["time.days=3", *MANY_ERRORS, "counting.plan=cyclic", "counting.slots_per_day=60"])
    )
    run.finish()
    return run


def values(instant, by):
    told = ask(instant, "racks", by=by)
    assert told["unit"] == RACKS[by]
    assert len(told["values"]) == instant.layout.slots
    return told["values"]


@pytest.mark.parametrize("side", ["records", "truth"])
def test_values_are_those_of_the_lists(erring, side):
    """Boxes, ages and SKUs of each slot are those that the list of boxes has there."""
    instant = instant_of(erring, side)
    here = {name: [] for name in instant.layout.names[: instant.layout.slots]}
    for row in whole(instant, "boxes", "boxes"):
        if row["place"] in here:
            here[row["place"]].append(row)
    assert values(instant, "boxes") == [len(rows) for rows in here.values()]
    ages = [[row["age_days"] for row in rows if row["age_days"] is not None] for rows in here.values()]
    assert values(instant, "age") == [max(own, default=None) for own in ages]
    keys = ask(instant, "racks", by="sku")["keys"]
    for value, rows in zip(values(instant, "sku"), here.values(), strict=True):
        many = [sum(row["sku"] == key for row in rows) for key in keys]
        assert value == (many.index(max(many)) if rows else None)


def test_visits_are_the_moves_of_the_run(erring):
    """A visit is a box set down or taken after the beginning; what stood there at time 0 is none."""
    instant = instant_of(erring, "truth")
    moved = erring.trace.table("box_moved")
    expected = np.zeros(instant.layout.slots, int)
    for start, goal, t_ms in zip(moved["from_place"], moved["to_place"], moved["time_ms"], strict=True):
        for place in (start, goal):
            if t_ms > 0 and 0 <= place < expected.size:
                expected[place] += 1
    assert values(instant, "visits") == expected.tolist()
    assert sum(expected) > 100


def test_last_count_is_the_last_look(erring):
    """By how much the last look at a slot and the records parted is what the slot itself tells of it."""
    instant = instant_of(erring)
    told = values(instant, "count")
    looks = [ask(instant, "slot", slot=name)["last_count"] for name in instant.layout.names[: len(told)]]
    assert told == [None if look is None else abs(look["seen"] - look["recorded"]) for look in looks]
    assert {value for value in told if value} != set()
    assert None in told


def test_wrong_records_are_of_the_truth_alone(erring):
    """Slots whose record is wrong are told with the truth, box by box, and never without it."""
    with pytest.raises(NotFound, match="view=truth"):
        ask(instant_of(erring), "racks", by="differs")
    instant = instant_of(erring, "truth")
    both, expected = instant.both, np.zeros(instant.layout.slots, int)
    for true, recorded, mask, told in zip(
        both.place, both.recorded_place, both.mask, both.recorded_mask, strict=True
    ):
        places = {int(true), int(recorded)} if true != recorded else {int(true)} if mask != told else set()
        for place in places - {NONE}:
            if place < expected.size:
                expected[place] += 1
    assert values(instant, "differs") == expected.tolist()
    assert sum(expected) > 0


def test_unknown_colour_is_refused(erring):
    """A word that racks are not coloured by is refused with what there is."""
    with pytest.raises(NotFound, match="by: expected 'boxes', 'age'"):
        ask(instant_of(erring), "racks", by="boxs")


def test_ages_go_on_by_the_day(erring):
    """A day later the oldest verification in each slot is a day older, though nothing has happened."""
    now = instant_of(erring)
    later = instant_of(erring, t_ms=now.t_ms + 86_400_000)
    assert [age + 1 for age in values(now, "age") if age is not None] == [
        age for age in values(later, "age") if age is not None
    ]
    assert date.fromordinal(later.today) > date.fromordinal(now.today)


def test_time_of_orders_adds_up(erring):
    """An order's time by cause adds up to what it took, and that of all orders to the KPI."""
    instant = instant_of(erring, "truth")
    sums = {}
    orders = whole(instant, "orders", "orders", status="handed_over")
    assert len(orders) > 10
    for row in orders:
        causes = ask(instant, "order", order=str(row["order"]))["time_by_cause_s"]
        assert sum(causes.values()) == pytest.approx(row["handed_over_s"] - row["released_s"])
        for cause, seconds in causes.items():
            sums[cause] = sums.get(cause, 0.0) + seconds
    run = RunFacts(erring.trace, erring.scenario, erring.layout, erring.calendar, 0, erring.now_ms + 1)
    parts = KPIS["order_time_by_cause_s"].function(run)["parts"]
    assert {cause: total / len(orders) for cause, total in sums.items()} == pytest.approx(
        {cause: mean for cause, mean in parts.items() if mean}
    )


def test_open_orders_have_no_causes(erring):
    """What an order that is not handed over waits for is not told yet."""
    t_ms = int(erring.trace.table("order_released")["time_ms"][5])
    trace = Followed(erring.trace)
    then = Instant(
        "r1", trace.until(trace.count_until(t_ms)), erring.scenario, erring.layout, erring.names(), t_ms
    )
    told = ask(then, "order", order="5")
    assert (told["status"], told["time_by_cause_s"]) == ("open", None)
