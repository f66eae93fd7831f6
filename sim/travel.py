"""How long a robot takes from place to place: straight legs from rest to rest, and turns between them.

A path lies in the floor plan: along the aisle, and between aisles along the cross-aisle at x = 0. Each
leg accelerates, cruises and brakes; a corner between two legs costs one turn. The lift moves after the
drive (`sequential`) or beside it (`simultaneous`). Load, jerk and the robot's heading are left out: one that
stands at a corner may leave it either way without a turn. What other robots cost is `robots`' business.
"""

import math
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.facts import NONE
from sim.layout import Layout

MATRIX_SLOTS: Final = 10_000
"""A matrix over more slots than this (800 MB) is refused."""


class Kinematics(Protocol):
    """What a robot's parameters say about motion; metres and seconds, infinite acceleration allowed."""

    @property
    def axes(self) -> str: ...  # noqa: D102
    @property
    def speed_m_per_s(self) -> float: ...  # noqa: D102
    @property
    def acceleration_m_per_s2(self) -> float: ...  # noqa: D102
    @property
    def lift_speed_m_per_s(self) -> float: ...  # noqa: D102
    @property
    def lift_acceleration_m_per_s2(self) -> float: ...  # noqa: D102
    @property
    def turn_s(self) -> float: ...  # noqa: D102


def leg_s(distance_m: float, speed: float, acceleration: float) -> float:
    """Seconds for a straight leg from rest to rest.

    A leg of d metres takes d/v + v/a where the speed v (m/s) is reached, d >= v^2/a, and 2 sqrt(d/a) where it
    is not. The acceleration a (m/s2), the same for braking, may be infinite.
    """
    if distance_m >= speed * speed / acceleration:
        return distance_m / speed + speed / acceleration
    return 2.0 * math.sqrt(distance_m / acceleration)


def leg_times(distance_m: NDArray[Any], speed: float, acceleration: float) -> NDArray[np.float64]:
    """`leg_s` of every distance of an array of any shape, in seconds, with equal values."""
    cruising = distance_m / speed + speed / acceleration
    return np.where(
        distance_m >= speed * speed / acceleration, cruising, 2.0 * np.sqrt(distance_m / acceleration)
    )


class Travel:
    """Travel times of one robot in one layout, in whole milliseconds.

    Each leg is rounded to the millisecond and remembered by its length, so that a second question is two
    look-ups. Vectorised answers equal the scalar ones.

    Parameters
    ----------
    layout : the places.
    robot : speeds, accelerations, axes and turn time (`RobotParams`).
    """

    def __init__(self, layout: Layout, robot: Kinematics) -> None:
        self.layout = layout
        self.turn_ms = round(robot.turn_s * 1000)
        self.is_simultaneous = robot.axes == "simultaneous"
        self._drive = _Legs(robot.speed_m_per_s, robot.acceleration_m_per_s2)
        self._lift = _Legs(robot.lift_speed_m_per_s, robot.lift_acceleration_m_per_s2)
        self._x: list[int] = layout.x_mm.tolist()
        self._y: list[int] = layout.y_mm.tolist()
        self._aisle = layout.aisle
        # Out of the aisle and turned into the cross-aisle; nothing for a place at the mouth.
        self._out_ms = self._drive.of(layout.x_mm) + np.where(layout.x_mm > 0, self.turn_ms, 0)
        self._out: list[int] = self._out_ms.tolist()

    def drive_ms(self, a: int, b: int) -> int:
        """Time to drive from place a to place b, turns included, lift left out."""
        if self._aisle[a] == self._aisle[b]:
            return self._drive[abs(self._x[a] - self._x[b])]
        return self._out[a] + self._drive[abs(self._y[a] - self._y[b])] + self._out[b]

    def lift_ms(self, dz_mm: int) -> int:
        """Time to lift or lower by so many millimetres."""
        return self._lift[abs(dz_mm)]

    def between_ms(self, a: int, za_mm: int, b: int, zb_mm: int) -> int:
        """Time from place a with the fork at height za_mm to place b with the fork at zb_mm."""
        if self._aisle[a] == self._aisle[b]:
            drive = self._drive[abs(self._x[a] - self._x[b])]
        else:
            drive = self._out[a] + self._drive[abs(self._y[a] - self._y[b])] + self._out[b]
        lift = self._lift[abs(za_mm - zb_mm)]
        if self.is_simultaneous:
            return drive if drive > lift else lift  # noqa: FURB136  (max is three times slower)
        return drive + lift

    def exit_ms(self, a: int) -> int:
        """Time to drive from place a to the mouth of its aisle, without the turn there."""
        return self._drive[self._x[a]]

    def from_mouth_ms(self, aisle: int, b: int, *, arriving: bool) -> int:
        """Time to drive from the mouth of an aisle (from 0) to place b, in whatever aisle that is.

        `arriving` says that the robot comes out of the aisle and so has to turn before it follows the
        cross-aisle. Between different aisles, `drive_ms(a, b)` is `exit_ms(a) + from_mouth_ms(...)`.
        """
        if self._aisle[b] == aisle:
            return self._drive[self._x[b]]
        cross = self._drive[abs(self._y_of(aisle) - self._y[b])] + self._out[b]
        return cross + self.turn_ms if arriving else cross

    def in_aisle_ms(self, dx_mm: NDArray[np.int64], dz_mm: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times between places of one aisle that lie so far apart; the arrays broadcast together."""
        return self._together(self._drive.of(dx_mm), self._lift.of(dz_mm))

    def one_way_ms(self, place: int) -> NDArray[np.int64]:
        """Times from a place to every slot, from and to the height of their lowest boxes; shape (slots,)."""
        layout, slots = self.layout, self.layout.slots
        dx, dy, dz = (axis[:slots] - axis[place] for axis in (layout.x_mm, layout.y_mm, layout.z_mm))
        around = self._out[place] + self._drive.of(dy) + self._out_ms[:slots]
        return self._together(np.where(dy == 0, self._drive.of(dx), around), self._lift.of(dz))

    def centre(self) -> int:
        """The slot from which all slots are nearest on average, the first of several.

        Times are those of `between_ms` at the height of the slots' lowest boxes. Slots are counted by aisle
        and by level, so that no pair of aisles is gone through slot by slot.
        """
        slots = self.layout.slots
        aisle = np.asarray(self._aisle)[:slots]
        x, y, z = (axis[:slots] for axis in (self.layout.x_mm, self.layout.y_mm, self.layout.z_mm))
        out, levels = self._out_ms[:slots], np.unique(z)
        lift_ms = self._lift.of(levels[:, None] - levels[None, :])
        level, sums = np.searchsorted(levels, z), np.zeros(slots, np.int64)
        members = [np.flatnonzero(aisle == number) for number in np.unique(aisle)]
        # Of every aisle and level: the ways out of the aisle, rising, and their running sum.
        ways = [[np.sort(out[own[level[own] == k]]) for k in range(levels.size)] for own in members]
        totals = [[np.append(0, np.cumsum(way)) for way in of_aisle] for of_aisle in ways]
        for own in members:
            lift = lift_ms[level[own]][:, level[own]]
            sums[own] += self._together(self._drive.of(x[own, None] - x[own]), lift).sum(axis=1)
            for other, of_aisle, total in zip(members, ways, totals, strict=True):
                if other is own:
                    continue
                start = out[own] + self._drive.of(y[own] - y[other[0]])
                for k, way in enumerate(of_aisle):
                    sums[own] += start * way.size + total[k][-1]
                    lifts = lift_ms[level[own], k]
                    if not self.is_simultaneous:
                        sums[own] += lifts * way.size
                    elif way.size and (lifts > start + way[0]).any():
                        short = np.searchsorted(way, lifts - start)  # ways that end before the lift does
                        sums[own] += short * (lifts - start) - total[k][short]
        return int(sums.argmin()) if slots else NONE

    def matrix_ms(self) -> NDArray[np.int64]:
        """Times between all slots, from and to the height of their lowest boxes; shape (slots, slots).

        Raises ValueError above `MATRIX_SLOTS` slots: ask `one_way_ms` row by row there.
        """
        slots = self.layout.slots
        if slots > MATRIX_SLOTS:
            raise ValueError(f"a matrix of times: expected at most {MATRIX_SLOTS:,} slots, found {slots:,}")
        return np.stack([self.one_way_ms(slot) for slot in range(slots)])

    def _together(self, drive: NDArray[np.int64], lift: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum(drive, lift) if self.is_simultaneous else drive + lift

    def _y_of(self, aisle: int) -> int:
        return round(aisle * self.layout.params.aisle_pitch_m * 1000)


class _Legs(dict[int, int]):
    """Whole milliseconds of a leg by its length in millimetres, worked out when first asked for."""

    __slots__ = ("_acceleration", "_speed")

    def __init__(self, speed: float, acceleration: float) -> None:
        super().__init__()
        self._speed, self._acceleration = speed, acceleration

    def __missing__(self, length_mm: int) -> int:
        time = self[length_mm] = round(1000.0 * leg_s(length_mm / 1000.0, self._speed, self._acceleration))
        return time

    def of(self, length_mm: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same for an array of signed lengths."""
        seconds = leg_times(np.abs(length_mm) / 1000.0, self._speed, self._acceleration)
        return np.rint(1000.0 * seconds).astype(np.int64)
