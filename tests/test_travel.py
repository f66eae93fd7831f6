"""Travel times by hand, and the laws that hold for any of them."""

import math
import timeit
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.layout import Layout, LayoutParams
from sim.robots import RobotParams
from sim.travel import Travel, leg_s, leg_times


class Motion(NamedTuple):
    """A robot's kinematics, without the limits of a scenario."""

    axes: str = "sequential"
    speed_m_per_s: float = 1.5
    acceleration_m_per_s2: float = 0.7
    lift_speed_m_per_s: float = 0.5
    lift_acceleration_m_per_s2: float = 0.5
    turn_s: float = 4.0


def travel(robot=None, **params):
    layout = Layout(LayoutParams(**params), meters_per_box=15, box_height_m=0.2, access="direct", robots=1)
    return Travel(layout, robot or RobotParams())


speeds = st.floats(0.1, 20)
accelerations = st.one_of(st.floats(0.05, 20), st.just(math.inf))


@st.composite
def stores(draw):
    """Small stores with ports and chargers anywhere, and any motion."""
    rows, columns, levels = draw(st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4)))
    single = draw(st.booleans())
    aisles = rows if single else (rows + 1) // 2
    inside = st.tuples(st.integers(1, aisles), st.sampled_from([0.0, 1.25, 3.0]))
    (in_aisle, in_x), (out_aisle, out_x), (charger_aisle, charger_x) = draw(st.tuples(inside, inside, inside))
    motion = Motion(
        draw(st.sampled_from(["sequential", "simultaneous"])),
        *draw(st.tuples(speeds, accelerations, speeds, accelerations)),
        draw(st.sampled_from([0.0, 4.0, 2.3])),
    )
    return travel(
        motion, rows=rows, columns=columns, levels=levels, single_sided=single, profile="uniform",
        pitch_m=0.613,
        ports=[
            {"name": "a", "aisle": in_aisle, "x_m": in_x, "z_m": draw(st.sampled_from([0, 0.8]))},
            {"name": "b", "aisle": out_aisle, "x_m": out_x},
        ],
        chargers=[{"aisle": charger_aisle, "x_m": charger_x}],
    )  # fmt: skip


class TestLeg:
    @pytest.mark.parametrize(
        ("distance", "speed", "acceleration", "seconds"),
        [
            (6.0, 2.0, 1.0, 5.0),  # reaches 2 m/s in 2 s and 2 m: 6/2 + 2/1
            (4.0, 2.0, 1.0, 4.0),  # just reaches it: 4/2 + 2/1 = 2 sqrt(4/1)
            (1.0, 2.0, 1.0, 2.0),  # never reaches it: 2 sqrt(1/1)
            (3.0, 1.5, math.inf, 2.0),
            (0.0, 1.5, 0.7, 0.0),
            (0.0, 1.5, math.inf, 0.0),
        ],
    )
    def test_leg_by_hand(self, distance, speed, acceleration, seconds):
        """A leg accelerates, cruises and brakes; a short one has a peak instead of a cruise."""
        assert leg_s(distance, speed, acceleration) == pytest.approx(seconds, abs=1e-12)

    @given(st.lists(st.floats(0, 1e4), min_size=1), speeds, accelerations)
    def test_vectorised_leg_is_equal(self, distances, speed, acceleration):
        """The vectorised form gives the same numbers, to the last bit."""
        times = leg_times(np.array(distances), speed, acceleration)
        assert times.tolist() == [leg_s(d, speed, acceleration) for d in distances]

    @given(st.floats(0, 1e4), st.floats(0, 1e4), speeds, accelerations)
    def test_longer_legs_take_longer(self, a, b, speed, acceleration):
        """Time grows with distance, and one leg beats two with a stop between."""
        short, long = sorted((a, b))
        assert leg_s(short, speed, acceleration) <= leg_s(long, speed, acceleration) + 1e-9
        together = leg_s(a + b, speed, acceleration)
        assert together <= leg_s(a, speed, acceleration) + leg_s(b, speed, acceleration) + 1e-9


class TestDrive:
    def test_same_aisle_is_one_leg(self):
        """Column 1 of row 1 to column 7 of row 2: 5.7 m at 1.5 m/s and 0.7 m/s2."""
        t = travel()
        # 5.7 >= 1.5^2 / 0.7 = 3.214, so 5.7 / 1.5 + 1.5 / 0.7 = 3.8 + 2.142857 s
        assert t.drive_ms(t.layout.place("1-01-1"), t.layout.place("2-07-4")) == 5943

    def test_other_aisle_has_two_turns(self):
        """Column 1 of row 1 to column 2 of row 3: out, turn, across, turn, in."""
        t = travel()
        # 2 sqrt(1.5 / 0.7) = 2.927700; 2 sqrt(2.7 / 0.7) = 3.927922; 2 sqrt(2.45 / 0.7) = 3.741657; turns 8 s
        assert (
            t.drive_ms(t.layout.place("1-01-1"), t.layout.place("3-02-1")) == 2928 + 4000 + 3928 + 4000 + 3742
        )

    def test_mouth_to_other_aisle_turns_once(self):
        """From the inbound port there is no leg and no corner before the cross-aisle."""
        t = travel()
        assert t.drive_ms(t.layout.inbound, t.layout.place("3-02-1")) == 3928 + 4000 + 3742

    def test_ports_are_one_leg_apart(self):
        """The two ports stand 2.7 m apart on the cross-aisle."""
        t = travel()
        assert t.drive_ms(t.layout.inbound, t.layout.outbound) == 3928

    def test_port_inside_an_aisle(self):
        """A port at x = 4 m is reached along the aisle."""
        t = travel(ports=[{"name": "p", "aisle": 2, "x_m": 4.0}])
        # 7.2 - 4.0 = 3.2 m: 2 sqrt(3.2 / 0.7) = 4.276180
        assert t.drive_ms(t.layout.inbound, t.layout.place("4-07-1")) == 4276

    def test_two_stops_at_one_stand(self):
        """Levels of one column, on both sides of the aisle, need no drive."""
        t = travel()
        assert t.drive_ms(t.layout.place("1-05-1"), t.layout.place("2-05-4")) == 0


class TestBetween:
    def test_sequential_adds_the_lift(self):
        """Drive, then lift: from the port to 2.4 m up in column 7."""
        t = travel()
        slot = t.layout.place("1-07-3")
        # drive 7.2 / 1.5 + 1.5 / 0.7 = 6.942857; lift 2.4 / 0.5 + 0.5 / 0.5 = 5.8
        assert t.between_ms(t.layout.inbound, 0, slot, 2400) == 6943 + 5800
        assert t.lift_ms(-2400) == t.lift_ms(2400) == 5800

    def test_simultaneous_takes_the_longer(self):
        """A crane drives and lifts at once."""
        t = travel(RobotParams(axes="simultaneous"))
        slot = t.layout.place("1-07-3")
        assert t.between_ms(t.layout.inbound, 0, slot, 2400) == 6943
        assert t.between_ms(t.layout.place("1-07-1"), 0, slot, 2400) == 5800

    def test_infinite_acceleration(self):
        """Without acceleration a leg is distance over speed."""
        robot = RobotParams(acceleration_m_per_s2=math.inf, lift_acceleration_m_per_s2=math.inf)
        t = travel(robot)
        assert t.between_ms(t.layout.inbound, 0, t.layout.place("1-07-3"), 2400) == 4800 + 4800

    def test_one_question_is_quick(self):
        """A look-up takes a microsecond at most; three times that is allowed on a busy machine."""
        t = travel()
        assert (
            min(timeit.repeat(lambda: t.between_ms(3, 240, 200, 2400), number=20_000, repeat=5)) / 20_000
            < 3e-6
        )


class TestLaws:
    @given(stores())
    def test_drive_is_symmetric(self, t):
        """There and back take equally long, and nowhere is a drive below zero."""
        places = range(t.layout.places)
        for a in places:
            assert t.drive_ms(a, a) == 0
            for b in places:
                assert t.drive_ms(a, b) == t.drive_ms(b, a) >= 0

    @given(stores(), st.data())
    def test_no_detour_is_shorter(self, t, data):
        """Going by way of a third place saves at most the turn at a corner where it stops, and rounding."""
        place = st.integers(0, t.layout.places - 1)
        a, b, c = data.draw(st.tuples(place, place, place))
        saved = t.drive_ms(a, b) - t.drive_ms(a, c) - t.drive_ms(c, b)
        corner = t.layout.at_mouth[c] and t.layout.aisle[a] != t.layout.aisle[b]
        assert saved <= (t.turn_ms if corner else 0) + 3

    @given(stores())
    def test_drive_divides_at_the_mouth(self, t):
        """Leaving an aisle and going on from its mouth is the whole drive."""
        layout = t.layout
        for a in range(layout.places):
            for b in range(layout.places):
                if layout.aisle[a] == layout.aisle[b] and not layout.at_mouth[a] and not layout.at_mouth[b]:
                    continue  # the direct way does not touch the mouth
                onward = t.from_mouth_ms(layout.aisle[a], b, arriving=not layout.at_mouth[a])
                assert t.exit_ms(a) + onward == t.drive_ms(a, b)

    @given(stores())
    def test_matrix_equals_scalar(self, t):
        """Vectorised times are the scalar ones, slot by slot and from every other place."""
        layout = t.layout
        z = layout.z_mm.tolist()
        matrix = t.matrix_ms()
        for a in range(layout.places):
            expected = [t.between_ms(a, z[a], b, z[b]) for b in range(layout.slots)]
            assert t.one_way_ms(a).tolist() == expected
            if a < layout.slots:
                assert matrix[a].tolist() == expected
        assert matrix.dtype == np.int64

    @given(stores())
    def test_offsets_equal_scalar(self, t):
        """Times by offset are those between places of one aisle."""
        layout = t.layout
        same = [s for s in range(layout.slots) if layout.aisle[s] == 0]
        dx, dz = layout.x_mm[same] - layout.x_mm[0], layout.z_mm[same] - layout.z_mm[0]
        assert t.in_aisle_ms(dx, dz).tolist() == t.one_way_ms(0)[same].tolist()

    def test_large_matrix_is_refused(self):
        """A matrix that would fill the memory is refused in words."""
        t = travel(rows=2, columns=1000, levels=6, profile="uniform", room_height_m=10)
        with pytest.raises(
            ValueError, match="a matrix of times: expected at most 10,000 slots, found 12,000"
        ):
            t.matrix_ms()

    def test_answers_are_plain_integers(self):
        """The robot's loop never meets a numpy scalar."""
        t = travel()
        answers = (t.drive_ms(0, 250), t.lift_ms(1200), t.between_ms(0, 0, 250, 240), t.exit_ms(9), t.turn_ms)
        assert [type(answer) for answer in answers] == [int] * 5
        assert type(t.from_mouth_ms(0, 250, arriving=True)) is int
