"""A trace that is followed gives the same answers as the one that is written, now and for any past."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import trace as trace_module
from sim.facts import BY_NUMBER, KINDS
from sim.following import Followed
from sim.history import state_at
from sim.kpis import RunFacts, compute
from sim.scenario import load
from sim.simulation import Simulation
from sim.trace import FactsError, Trace

ROWS = st.lists(
    st.sampled_from(BY_NUMBER).flatmap(
        lambda kind: st.tuples(*(st.integers(-5, 5) for _ in kind.fields)).map(lambda f: (kind.number, *f))
    ),
    max_size=40,
)


def recorded(rows, start=0):
    trace = Trace(15)
    for at, row in enumerate(rows):
        trace.record((start + at // 2, *row))
    return trace


def assert_same(one, other):
    assert len(one) == len(other)
    assert list(one.rows()) == list(other.rows())
    assert (one.last_ms, one.digest()) == (other.last_ms, other.digest())
    for name in KINDS:
        mine, theirs = one.table(name), other.table(name)
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[column], theirs[column]) for column in mine), name


@given(ROWS, ROWS, st.integers(1, 7), st.integers(0, 80))
def test_followed_equals_written(first, second, part_rows, cut):
    """Bytes that come in two pieces give the same trace and the same past, wherever its blocks end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_module, "PART_ROWS", part_rows)
        trace = recorded(first)
        followed = Followed(trace)
        for at, row in enumerate(second):
            trace.record((50 + at, *row))
        for kinds, data in trace.packed(len(first)):
            followed.extend(kinds, data)
        assert_same(followed, trace)
        rows = list(trace.rows())[:cut]
        past = followed.until(cut)
        alone = Trace(15)
        for row in rows:
            alone.record(row)
        assert_same(past, alone)
        assert list(past.rows(3)) == rows[3:]
        t_ms = 5
        assert past.count_until(t_ms) == sum(row[0] <= t_ms for row in rows)


def test_past_stays_as_it_was():
    """A past does not change when its trace goes on."""
    followed = Followed(recorded([(0, 1, 2, 3, 4)]))
    past = followed.until(5)
    followed.extend(*next(recorded([(0, 5, 6, 7, 8)], start=9).packed()))
    assert len(past) == 1
    assert past.table("lot_created")["lot"].tolist() == [1]
    assert followed.table("lot_created")["lot"].tolist() == [1, 5]


@pytest.mark.parametrize(
    "change", [lambda k, d: (k, d[:-1]), lambda k, d: (k + b"\x00", d), lambda k, d: (b"\xff" + k[1:], d)]
)
def test_torn_bytes_are_refused(change):
    """Bytes that do not fit together are refused, and nothing of them is taken in."""
    followed = Followed(recorded([]))
    kinds, data = next(recorded([(0, 1, 2, 3, 4), (1, 0, 0, 0, 0, 0, 0, 0)]).packed())
    with pytest.raises(FactsError, match="expected packed facts"):
        followed.extend(*change(kinds, data))
    assert len(followed) == 0


def test_kpis_of_a_past():
    """The state and the KPIs of a past instant are those of a run that went no further."""
    whole, part = Simulation(load("tiny")), Simulation(load("tiny"))
    part.advance(30 * 3_600_000)
    result, until = whole.finish(), part.result()
    past = Followed(result.trace).until(len(until.trace))
    of_past, of_part = (state_at(trace, result.layout) for trace in (past, until.trace))
    for name in ("place", "recorded_place", "mask", "state", "reserved"):
        assert np.array_equal(getattr(of_past, name), getattr(of_part, name))
    found = compute(RunFacts(past, result.scenario, result.layout, result.calendar, 0, until.end_ms))
    assert found == until.kpis()
