"""The store on paper: slots, ports, chargers and areas, where they are and how much they hold.

Rows of slots face straight aisles that open onto one cross-aisle at x = 0. A slot is a place in a
grid of rows, columns and levels; it holds boxes side by side in tier columns, each on its own support
(`direct`) or piled on one another (`stack_lifo`). Everything here is fixed for a run: what stands in a
slot is `stock`'s business, how long a drive takes is `travel`'s.

The reference grid of 4 rows x 13 columns x 5 levels less 2 port openings has 258 slots. 258 equal slots
cannot hold the 37,125 meters that were reported, so `profile` names the ways in which slots may differ.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictBool

from sim.params import JsonFloat, JsonInt, Params, fact

MOST_SLOTS: Final = 10_000_000
"""A store of more places than this is refused."""

Profile = Literal["two_stack", "mixed_10_9", "service_33", "zoned_165", "uniform_144", "uniform"]


class PortParams(Params):
    """A port: a place at which people and robots hand boxes over."""

    name: Annotated[
        str, Field(min_length=1, max_length=32, pattern=r"^\w[\w .-]*$", description="name of the port")
    ]
    aisle: JsonInt = fact(1, "aisle at which it stands, from 1", ge=1, le=MOST_SLOTS)
    x_m: JsonFloat = fact(0.0, "distance from the cross-aisle", unit="m", ge=0, le=100_000)
    z_m: JsonFloat = fact(0.0, "height of its places", unit="m", ge=0, le=1000)
    serves: Literal["in", "out", "both"] = fact("both", "boxes that come in, that go out, or both")
    in_places: JsonInt = fact(
        8, "places for boxes that come in", unit="boxes", origin="assumption", ge=0, le=10_000
    )
    out_places: JsonInt = fact(
        8, "places for boxes that go out", unit="boxes", origin="assumption", ge=0, le=10_000
    )


class ChargerParams(Params):
    """A place at which one robot can charge."""

    aisle: JsonInt = fact(1, "aisle at which it stands, from 1", ge=1, le=MOST_SLOTS)
    x_m: JsonFloat = fact(0.0, "distance from the cross-aisle", unit="m", ge=0, le=100_000)


class CapacityParams(Params):
    """Slots that hold another number of boxes than `boxes_per_slot`; what is not named means all."""

    rows: list[JsonInt] | None = fact(None, "their rows, from 1")
    columns: list[JsonInt] | None = fact(None, "their columns, from 1")
    levels: list[JsonInt] | None = fact(None, "their levels, from 1, the lowest first")
    boxes: JsonInt = fact(0, "boxes that each of them holds", unit="boxes", ge=0, le=1000)


class RestrictedParams(Params):
    """Slots that do not take every box; what is not named means all. Entries add up."""

    rows: list[JsonInt] | None = fact(None, "their rows, from 1")
    columns: list[JsonInt] | None = fact(None, "their columns, from 1")
    levels: list[JsonInt] | None = fact(None, "their levels, from 1, the lowest first")
    devices: list[str] | None = fact(None, "device classes that they take (skus.device); all if not given")
    most_box_kg: JsonFloat | None = fact(
        None, "heaviest full box that they take; any when not given", unit="kg", gt=0, le=100_000
    )


class GapParams(Params):
    """A stretch of rack without slots, where a pillar stands or an aisle crosses."""

    after_column: JsonInt = fact(1, "the column before the gap, from 1", ge=1, le=MOST_SLOTS)
    width_m: JsonFloat = fact(0.5, "its width", unit="m", gt=0, le=1000)


class LayoutParams(Params):
    """The racks, the aisles between them, and the ports and chargers at them."""

    rows: JsonInt = fact(4, "rows of slots", origin="assumption", ge=1, le=MOST_SLOTS)
    columns: JsonInt = fact(13, "columns of a row", origin="assumption", ge=1, le=MOST_SLOTS)
    levels: JsonInt = fact(5, "levels of a row", origin="assumption", ge=1, le=MOST_SLOTS)
    omit: list[str] | None = fact(
        None,
        "places of the grid without a slot, by name (row-column-level); when not given, the port openings"
        " 2-01-1 and 3-01-1 for a named profile and none for 'uniform'",
        origin="assumption",
    )
    profile: Profile = fact(
        "two_stack",
        "how many boxes each slot of the reference grid holds; 'uniform' for any other grid",
        origin="derived",
    )
    boxes_per_slot: JsonInt = fact(
        10, "boxes a slot holds under profile = 'uniform'", unit="boxes", ge=0, le=1000
    )
    capacity: list[CapacityParams] = fact(
        [], "slots that hold another number under profile = 'uniform'; a later entry wins"
    )
    restricted: list[RestrictedParams] = fact([], "slots that take some device classes or weights only")
    tiers: JsonInt | None = fact(
        None, "boxes one above the other in a slot; when not given, as many as fit a level", ge=1, le=1000
    )
    first_column_m: JsonFloat = fact(
        1.5, "from the cross-aisle to the middle of column 1", unit="m", origin="assumption", ge=0.01, le=1000
    )
    pitch_m: JsonFloat = fact(0.95, "from column to column", unit="m", origin="assumption", ge=0.01, le=1000)
    gaps: list[GapParams] = fact([], "gaps between columns, the same in every row")
    first_level_m: JsonFloat = fact(0.0, "height of the lowest level", unit="m", ge=0, le=1000)
    level_pitch_m: JsonFloat = fact(1.2, "from level to level", unit="m", origin="assumption", gt=0, le=1000)
    tier_pitch_m: JsonFloat | None = fact(
        None,
        "from tier to tier; when not given, box height plus clearance with direct access and box height"
        " in free stacks",
        unit="m",
        gt=0,
        le=1000,
    )
    clearance_m: JsonFloat = fact(
        0.04,
        "free height above a box (direct access) or a stack",
        unit="m",
        origin="assumption",
        ge=0,
        le=1000,
    )
    aisle_pitch_m: JsonFloat = fact(
        2.7, "from aisle to aisle", unit="m", origin="assumption", ge=0.01, le=1000
    )
    room_height_m: JsonFloat = fact(
        6.5, "clear height of the room", unit="m", origin="assumption", gt=0, le=1000
    )
    single_sided: StrictBool = fact(False, "whether an aisle has a row on one side only")
    ports: list[PortParams] | None = fact(
        None,
        "the ports; when not given, 'in' at aisle 1 and 'out' at aisle 2 (1 where there is no other)",
        origin="assumption",
    )
    chargers: list[ChargerParams] = fact(
        [{"aisle": 1, "x_m": 0.0}], "the charging places", origin="assumption", min_length=1, max_length=1000
    )


class ProfileRule(NamedTuple):
    """A named way in which the slots of the reference grid differ."""

    sentence: str
    boxes_per_slot: int
    capacity: tuple[CapacityParams, ...]


_REFERENCE_GRID: Final = (4, 13, 5)
_REFERENCE_OMIT: Final = ("2-01-1", "3-01-1")
_COLUMNS_1_TO_8: Final = list(range(1, 9))

PROFILES: Final[dict[str, ProfileRule]] = {
    "two_stack": ProfileRule(
        "237 slots of 10 boxes and 21 of 5: the top of row 1 and of columns 1-8 of row 4 lies under ducts",
        10,
        (
            CapacityParams(rows=[1], levels=[5], boxes=5),
            CapacityParams(rows=[4], columns=_COLUMNS_1_TO_8, levels=[5], boxes=5),
        ),
    ),
    "mixed_10_9": ProfileRule(
        "153 slots of 10 boxes and 105 of 9: wall bracing takes a place in row 1 and columns 1-8 of row 4",
        10,
        (CapacityParams(rows=[1], boxes=9), CapacityParams(rows=[4], columns=_COLUMNS_1_TO_8, boxes=9)),
    ),
    "service_33": ProfileRule(
        "225 slots of 11 boxes; 33 at floor level (rows 2 and 3, columns 1-9 of row 1) serve other needs",
        11,
        (
            CapacityParams(rows=[2, 3], levels=[1], boxes=0),
            CapacityParams(rows=[1], columns=list(range(1, 10)), levels=[1], boxes=0),
        ),
    ),
    "zoned_165": ProfileRule(
        "165 slots of 15 boxes; 93 (row 4, and columns 7-13 of row 3 above the floor) keep other devices",
        15,
        (
            CapacityParams(rows=[4], boxes=0),
            CapacityParams(rows=[3], columns=list(range(7, 14)), levels=[2, 3, 4, 5], boxes=0),
        ),
    ),
    "uniform_144": ProfileRule(
        "258 slots of 12 boxes of 12 meters: 37,152, the reported total with two digits swapped", 12, ()
    ),
}
"""The named profiles. Each is an interpretation of the reported figures, none is the built fact."""

AREAS: Final = ("truck", "staging", "overflow", "pick-station", "loose-rack", "handed-over", "outside")


Fault = tuple[str, str]
"""A mistake: the dotted path of the value, and "expected ..., found ..."."""


class Port(NamedTuple):
    """A port by its place, what it serves and how many boxes it takes each way."""

    place: int
    name: str
    inbound: bool
    outbound: bool
    in_places: int
    out_places: int


class LayoutError(ValueError):
    """A layout that cannot be built, or a place that it does not have.

    `faults` lists every mistake as (dotted path in the scenario, "expected ..., found ...").
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(f"{path}: {message}" for path, message in self.faults))


class Layout:
    """The places of a store, numbered: slots first, then ports, chargers, aisle mouths, areas and robots.

    Slots are numbered by (row, column, level) ascending, omitted ones skipped. Areas have no position of
    their own: they sit at the first inbound port, `pick_station`, `loose_rack` and `handed_over` at the first
    outbound one, robots at the first charger.

    Attributes
    ----------
    slots, places : number of slots; number of all places.
    row, column, level : arrays (slots,), from 1.
    x_mm, y_mm, z_mm : arrays (places,); x along the aisle from the cross-aisle, y the centre line of the
        aisle from which the place is served, z the height of its lowest box.
    aisle : aisle of each place, from 0.
    mouths : the place at the mouth of each aisle, on the cross-aisle at x = 0.
    at_mouth : whether a place stands at x = 0, outside the aisle proper.
    capacity : boxes that each slot holds.
    stacks : boxes that each tier column (or stack) of each slot holds.
    tiers, tier_mm : tier columns are at most so high; height from box to box.
    boxes, meters : totals.

    Parameters
    ----------
    params : the racks.
    meters_per_box : meters in a full box of single-phase meters; no box holds more.
    box_height_m : outer height of a box, in metres.
    access : "direct" or "stack_lifo".
    robots : robots of the store, each of which is a place for the boxes on board.
    hands : people who may carry boxes; each is such a place, too, numbered after the robots.
    full_boxes : meters in a full box by SKU, where it is not meters_per_box.

    Raises
    ------
    LayoutError
        With every mistake at once.
    """

    def __init__(
        self,
        params: LayoutParams,
        *,
        meters_per_box: int,
        box_height_m: float,
        access: str,
        robots: int,
        hands: int = 0,
        full_boxes: Sequence[int] = (),
    ) -> None:
        self.params = params
        self.meters_per_box = meters_per_box
        self._full_boxes = list(full_boxes)
        self.access = access
        self.rows, self.columns, self.levels = params.rows, params.columns, params.levels
        self.aisles = params.rows if params.single_sided else (params.rows + 1) // 2
        self._column_digits = max(2, len(str(params.columns)))
        ports = _default_ports(self.aisles) if params.ports is None else params.ports

        self.omitted = _omitted(params)
        self.tier_mm, self.tiers = _tiers(params, box_height_m, access)
        if _grid_size(params) > MOST_SLOTS:
            grid = f"{self.rows} x {self.columns} x {self.levels} = {_grid_size(params):,}"
            raise LayoutError([("layout", f"expected at most {MOST_SLOTS:,} slots, found {grid}")])
        faults = [
            *self._omit_faults(),
            *_height_faults(params, box_height_m, access),
            *_profile_faults(params),
            *_capacity_faults(params),
            *_port_faults(ports, self.aisles, params.room_height_m),
            *_aisle_faults("layout.chargers", [charger.aisle for charger in params.chargers], self.aisles),
        ]
        if faults:
            raise LayoutError(faults)

        self._number_slots()
        self._hold_boxes()
        if self.boxes == 0:
            raise LayoutError([("layout.boxes_per_slot", "expected a slot that holds a box, found none")])
        self._place_everything(ports, robots, hands)

    def _omit_faults(self) -> Iterator[Fault]:
        grid = f"{self.slot_name(1, 1, 1)} to {self.slot_name(self.rows, self.columns, self.levels)}"
        seen = set()
        for i, name in enumerate(self.params.omit or ()):
            place = self._grid_place(name)
            if place is None:
                yield f"layout.omit[{i}]", f"expected a place from {grid}, found {name!r}"
            elif name != self.slot_name(*place):
                near = self.slot_name(*place)
                yield (
                    f"layout.omit[{i}]",
                    f"expected a place from {grid}, found {name!r}, did you mean {near!r}?",
                )
            elif name in seen:
                yield f"layout.omit[{i}]", f"expected each place once, found {name!r} again"
            seen.add(name)
        if len(seen) == _grid_size(self.params):
            yield "layout.omit", "expected at least one place to remain a slot, found all omitted"

    def _number_slots(self) -> None:
        shape = (self.rows, self.columns, self.levels)
        is_slot = np.ones(shape, dtype=bool)
        for name in self.omitted:
            row, column, level = map(int, name.split("-"))
            is_slot[row - 1, column - 1, level - 1] = False
        where = np.nonzero(is_slot)  # in C order: by row, column, level
        self.row, self.column, self.level = (_frozen(axis + 1) for axis in where)
        self.slots = len(self.row)
        self._slot_at = np.full(shape, -1, dtype=np.int32)
        self._slot_at[where] = np.arange(self.slots, dtype=np.int32)

    def full_boxes(self, skus: int) -> list[int]:
        """The meters in a full box of each of so many SKUs."""
        return [*self._full_boxes, *[self.meters_per_box] * skus][:skus]

    def _hold_boxes(self) -> None:
        boxes_per_slot, exceptions = self.params.boxes_per_slot, tuple(self.params.capacity)
        if self.params.profile != "uniform":
            _, boxes_per_slot, exceptions = PROFILES[self.params.profile]
        capacity = np.full(self.slots, boxes_per_slot, dtype=np.int64)
        for entry in exceptions:
            capacity[self._named(entry)] = entry.boxes
        self.capacity: list[int] = capacity.tolist()
        stacks = {boxes: tier_columns(boxes, self.tiers) for boxes in set(self.capacity)}
        self.stacks: list[tuple[int, ...]] = [stacks[boxes] for boxes in self.capacity]
        self.boxes = int(capacity.sum())
        self.meters = self.boxes * self.meters_per_box

    def _named(self, entry: CapacityParams | RestrictedParams) -> NDArray[np.bool_]:
        """Which slots an entry of rows, columns and levels names."""
        here = np.ones(self.slots, dtype=bool)
        named = ((self.row, entry.rows), (self.column, entry.columns), (self.level, entry.levels))
        for axis, numbers in named:
            if numbers is not None:
                here &= np.isin(axis, numbers)
        return here

    def admits(self, device: str, box_g: int) -> bytes | None:
        """Which slots take boxes of a device class and a weight in grams, 0 or 1 a slot; None when all do."""
        taken = np.ones(self.slots, dtype=np.uint8)
        for entry in self.params.restricted:
            wrong_device = entry.devices is not None and device not in entry.devices
            too_heavy = entry.most_box_kg is not None and box_g > round(1000 * entry.most_box_kg)
            if wrong_device or too_heavy:
                taken[self._named(entry)] = 0
        return None if taken.all() else taken.tobytes()

    def _place_everything(self, ports: Sequence[PortParams], robots: int, hands: int) -> None:
        params = self.params
        chargers = params.chargers
        first_port = self.slots
        first_charger = first_port + len(ports)
        first_mouth = first_charger + len(chargers)
        first_area = first_mouth + self.aisles
        self._first_robot = first_area + len(AREAS)
        self.robots = robots
        self.hands = hands
        self.places = self._first_robot + robots + hands

        self.ports = [
            Port(
                first_port + i,
                port.name,
                port.serves != "out",
                port.serves != "in",
                port.in_places if port.serves != "out" else 0,
                port.out_places if port.serves != "in" else 0,
            )
            for i, port in enumerate(ports)
        ]
        self.inbound = next(port.place for port in self.ports if port.inbound)
        self.outbound = next(port.place for port in self.ports if port.outbound)
        self.chargers = list(range(first_charger, first_mouth))
        self.mouths = list(range(first_mouth, first_area))
        self.truck, self.staging, self.overflow = range(first_area, first_area + 3)
        self.pick_station, self.loose_rack, self.handed_over = range(first_area + 3, first_area + 6)
        self.outside = first_area + 6

        of_column = params.first_column_m + params.pitch_m * np.arange(self.columns, dtype=np.float64)
        for gap in params.gaps:
            of_column[gap.after_column :] += gap.width_m
        of_level = params.first_level_m + params.level_pitch_m * np.arange(self.levels, dtype=np.float64)
        x, z, aisle = (np.zeros(self.places, dtype=np.int64) for _ in range(3))
        x[: self.slots] = _mm(of_column)[self.column - 1]
        z[: self.slots] = _mm(of_level)[self.level - 1]
        aisle[: self.slots] = self.row - 1 if params.single_sided else (self.row - 1) // 2
        for place, port in enumerate(ports, first_port):
            x[place], z[place], aisle[place] = round(port.x_m * 1000), round(port.z_m * 1000), port.aisle - 1
        for place, charger in enumerate(chargers, first_charger):
            x[place], aisle[place] = round(charger.x_m * 1000), charger.aisle - 1
        aisle[first_mouth:first_area] = np.arange(self.aisles)
        at_inbound = [self.truck, self.staging, self.overflow, self.outside]
        at_outbound = [self.pick_station, self.loose_rack, self.handed_over]
        at_charger = list(range(self._first_robot, self.places))
        for theirs, anchor in (
            (at_inbound, self.inbound),
            (at_outbound, self.outbound),
            (at_charger, self.chargers[0]),
        ):
            for axis in (x, z, aisle):
                axis[theirs] = axis[anchor]

        self.x_mm, self.z_mm = _frozen(x), _frozen(z)
        self.y_mm = _frozen(_mm(aisle * params.aisle_pitch_m))
        self.aisle: list[int] = aisle.tolist()
        self.at_mouth: list[bool] = (x == 0).tolist()

    @cached_property
    def names(self) -> list[str]:
        """The name of every place, by its number."""
        rows, columns, levels = self.row.tolist(), self.column.tolist(), self.level.tolist()
        digits = self._column_digits
        of_slots = [f"{r}-{c:0{digits}d}-{v}" for r, c, v in zip(rows, columns, levels, strict=True)]
        of_chargers = [f"charger-{i + 1}" for i in range(len(self.chargers))]
        of_mouths = [f"mouth-{i + 1}" for i in range(self.aisles)]
        of_robots = [f"robot-{i + 1}" for i in range(self.robots)]
        of_robots += [f"person-{i + 1}" for i in range(self.hands)]
        return (
            of_slots + [port.name for port in self.ports] + of_chargers + of_mouths + list(AREAS) + of_robots
        )

    @cached_property
    def _place_of_other(self) -> dict[str, int]:
        return {self.place_name(place): place for place in range(self.slots, self.places)}

    def slot_name(self, row: int, column: int, level: int) -> str:
        """The name of a place of the grid, all numbers from 1, whether it has a slot or not."""
        return f"{row}-{column:0{self._column_digits}d}-{level}"

    def slot_at(self, row: int, column: int, level: int) -> int:
        """The slot at a place of the grid, all numbers from 1; -1 where the place is omitted."""
        return int(self._slot_at[row - 1, column - 1, level - 1])

    def place_name(self, place: int) -> str:
        """The name of a place; IndexError when there is no such number."""
        if place < 0:
            raise IndexError(f"no place {place}")
        return self.names[place]

    def place(self, name: str) -> int:
        """The number of the place of this name.

        Raises
        ------
        LayoutError
            When there is none; names the nearest that exists.
        """
        other = self._place_of_other.get(name)
        if other is not None:
            return other
        near = ""
        in_grid = self._grid_place(name)
        if in_grid is not None:
            slot = self.slot_at(*in_grid)
            canonical = self.slot_name(*in_grid)
            if slot >= 0 and canonical == name:
                return slot
            if slot >= 0:
                near = f", did you mean '{canonical}'?"
            else:
                near = f" (place {canonical} of the grid has no slot)"
        elif match := difflib.get_close_matches(name, self._place_of_other, n=1):
            near = f", did you mean '{match[0]}'?"
        raise LayoutError([("place", f"expected a place of this store, found {name!r}{near}")])

    def robot_place(self, robot: int) -> int:
        """The place that stands for what robot number `robot` (from 0) has on board, or a person in hand."""
        if not 0 <= robot < self.robots + self.hands:
            raise IndexError(f"no robot {robot}: there are {self.robots}")
        return self._first_robot + robot

    def rings(self, slot: int) -> list[list[int]]:
        """The other slots of a slot's row that hold boxes, by columns and levels away, nearest first."""
        row, column, level = self.row, self.column, self.level
        rings: dict[int, list[int]] = {}
        for other in np.flatnonzero(row == row[slot]).tolist():
            if other != slot and self.capacity[other]:
                away = abs(int(column[other] - column[slot])) + abs(int(level[other] - level[slot]))
                rings.setdefault(away, []).append(other)
        return [rings[away] for away in sorted(rings)]

    def neighbours(self, slot: int) -> tuple[int, ...]:
        """The slots beside, above and below a slot in its row that hold boxes, in ascending order."""
        row, column, level = (int(each[slot]) for each in (self.row, self.column, self.level))
        near = []
        for c, v in ((column - 1, level), (column, level - 1), (column, level + 1), (column + 1, level)):
            if 1 <= c <= self.columns and 1 <= v <= self.levels:
                other = self.slot_at(row, c, v)
                if other >= 0 and self.capacity[other]:
                    near.append(other)
        return tuple(sorted(near))

    def _grid_place(self, name: str) -> tuple[int, int, int] | None:
        """Row, column and level that a name means, also when written without leading zeros."""
        match = _SLOT_NAME.fullmatch(name.strip())
        if match is None:
            return None
        row, column, level = (int(group) for group in match.groups())
        inside = 1 <= row <= self.rows and 1 <= column <= self.columns and 1 <= level <= self.levels
        return (row, column, level) if inside else None


def tier_columns(boxes: int, tiers: int) -> tuple[int, ...]:
    """How a slot of so many boxes is divided into as few tier columns of at most `tiers` as possible, evenly.

    10 boxes in 5 tiers are (5, 5), 11 are (4, 4, 3), none are ().
    """
    count = math.ceil(boxes / tiers)
    if count == 0:
        return ()
    height, higher = divmod(boxes, count)
    return (height + 1,) * higher + (height,) * (count - higher)


def layout_summary(layout: Layout) -> dict[str, Any]:
    """The layout in a few JSON-ready figures, metres for lengths; `capacities` counts slots by boxes held."""
    params = layout.params
    counts = Counter(layout.capacity)
    length_mm = int(layout.x_mm[: layout.slots].max()) + round(params.pitch_m * 500)
    return {
        "slots": layout.slots,
        "boxes": layout.boxes,
        "meters": layout.meters,
        "meters_per_box": layout.meters_per_box,
        "profile": params.profile,
        "rows": layout.rows,
        "columns": layout.columns,
        "levels": layout.levels,
        "tiers": layout.tiers,
        "aisles": layout.aisles,
        "omitted": list(layout.omitted),
        "capacities": {str(boxes): counts[boxes] for boxes in sorted(counts, reverse=True)},
        "ports": [
            {
                "name": port.name,
                "aisle": layout.aisle[port.place] + 1,
                "x_m": int(layout.x_mm[port.place]) / 1000,
                "z_m": int(layout.z_mm[port.place]) / 1000,
                "serves": "both" if port.inbound and port.outbound else "in" if port.inbound else "out",
                "in_places": port.in_places,
                "out_places": port.out_places,
            }
            for port in layout.ports
        ],
        "chargers": [
            {"name": layout.place_name(c), "aisle": layout.aisle[c] + 1, "x_m": int(layout.x_mm[c]) / 1000}
            for c in layout.chargers
        ],
        "room_m": [length_mm / 1000, round(layout.aisles * params.aisle_pitch_m, 3), params.room_height_m],
    }


_SLOT_NAME = re.compile(r"(\d{1,8})-(\d{1,8})-(\d{1,8})", re.ASCII)


def _frozen(values: NDArray[np.int64]) -> NDArray[np.int64]:
    values.setflags(write=False)
    return values


def _mm(metres: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    mm: NDArray[np.int64] = np.rint(metres * 1000).astype(np.int64)
    return mm


def _default_ports(aisles: int) -> list[PortParams]:
    outbound = min(2, aisles)
    return [PortParams(name="in", aisle=1, serves="in"), PortParams(name="out", aisle=outbound, serves="out")]


def _grid_size(params: LayoutParams) -> int:
    return params.rows * params.columns * params.levels


def _omitted(params: LayoutParams) -> list[str]:
    if params.omit is not None:
        return list(params.omit)
    return [] if params.profile == "uniform" else list(_REFERENCE_OMIT)


def _tiers(params: LayoutParams, box_height_m: float, access: str) -> tuple[int, int]:
    """Height from tier to tier in mm, and tiers of a slot (0 when not one box fits)."""
    direct = access == "direct"
    pitch_m = params.tier_pitch_m
    if pitch_m is None:
        pitch_m = box_height_m + params.clearance_m if direct else box_height_m
    # A free stack needs its clearance once, on top; with direct access it is part of every tier.
    room_m = params.level_pitch_m if direct else params.level_pitch_m - params.clearance_m
    tier_mm = max(1, round(pitch_m * 1000))
    return tier_mm, params.tiers or max(0, round(room_m * 1000) // tier_mm)


def _height_faults(params: LayoutParams, box_height_m: float, access: str) -> Iterator[Fault]:
    tier_mm, fitting = _tiers(params.model_copy(update={"tiers": None}), box_height_m, access)
    level, tier = f"{params.level_pitch_m:g} m", f"{tier_mm / 1000:g} m"
    if tier_mm < round(box_height_m * 1000):
        yield "layout.tier_pitch_m", f"expected at least the box height of {box_height_m:g} m, found {tier}"
    if fitting < 1:
        yield "layout.level_pitch_m", f"expected room for a tier of {tier} and its clearance, found {level}"
    elif params.tiers is not None and params.tiers > fitting:
        fits = f"{fitting} tiers of {tier} in a level of {level}"
        yield "layout.tiers", f"expected at most {fits}, found {params.tiers}"
    top_m = params.first_level_m + params.levels * params.level_pitch_m
    if round(top_m * 1000) > round(params.room_height_m * 1000):
        racks = f"{top_m:g} m for {params.levels} levels of {level}"
        yield "layout.room_height_m", f"expected at least {racks}, found {params.room_height_m:g} m"


def _profile_faults(params: LayoutParams) -> Iterator[Fault]:
    if params.profile == "uniform":
        return
    grid = (params.rows, params.columns, params.levels)
    if grid != _REFERENCE_GRID or sorted(_omitted(params)) != sorted(_REFERENCE_OMIT):
        own = "the reference grid of 4 x 13 x 5 less " + " and ".join(_REFERENCE_OMIT)
        this = " x ".join(map(str, grid)) + (f" less {len(params.omit)}" if params.omit else "")
        yield (
            "layout.profile",
            f"expected 'uniform' for {this}, found {params.profile!r}, which belongs to {own}",
        )
    if params.capacity:
        yield "layout.capacity", f"expected none beside the profile {params.profile!r}, found some"


def _capacity_faults(params: LayoutParams) -> Iterator[Fault]:
    for i, restriction in enumerate(params.restricted):
        if restriction.devices is None and restriction.most_box_kg is None:
            yield f"layout.restricted[{i}]", "expected devices or most_box_kg, found neither"
    named = [(f"capacity[{i}]", entry) for i, entry in enumerate(params.capacity)]
    restricted = [(f"restricted[{i}]", entry) for i, entry in enumerate(params.restricted)]
    for name, entry in [*named, *restricted]:
        for axis in ("rows", "columns", "levels"):
            last = getattr(params, axis)
            for number in getattr(entry, axis) or ():
                if not 1 <= number <= last:
                    yield f"layout.{name}.{axis}", f"expected numbers from 1 to {last}, found {number}"
    for i, gap in enumerate(params.gaps):
        if gap.after_column >= params.columns:
            before = f"a column before the last of {params.columns}"
            yield f"layout.gaps[{i}].after_column", f"expected {before}, found {gap.after_column}"


def _port_faults(ports: Sequence[PortParams], aisles: int, room_height_m: float) -> Iterator[Fault]:
    names = set(AREAS)
    for i, port in enumerate(ports):
        path = f"layout.ports[{i}]"
        reserved = _SLOT_NAME.fullmatch(port.name) or re.fullmatch(r"(charger|mouth|robot)-\d+", port.name)
        if port.name in names or reserved:
            yield f"{path}.name", f"expected a name of its own, found {port.name!r}"
        names.add(port.name)
        if port.z_m > room_height_m:
            yield (
                f"{path}.z_m",
                f"expected at most the room height of {room_height_m:g} m, found {port.z_m:g} m",
            )
        for way, places in (("in", port.in_places), ("out", port.out_places)):
            if port.serves in (way, "both") and places == 0:
                yield (
                    f"{path}.{way}_places",
                    f"expected at least 1 where a port serves {port.serves!r}, found 0",
                )
    yield from _aisle_faults("layout.ports", [port.aisle for port in ports], aisles)
    for way, verb in (("in", "come in"), ("out", "go out")):
        if not any(port.serves in (way, "both") for port in ports):
            found = ", ".join(f"{port.name!r} serving {port.serves!r}" for port in ports) or "no port"
            yield "layout.ports", f"expected a port through which boxes {verb}, found {found}"


def _aisle_faults(path: str, theirs: Sequence[int], aisles: int) -> Iterator[Fault]:
    for i, aisle in enumerate(theirs):
        if aisle > aisles:
            has = "1 aisle" if aisles == 1 else f"{aisles} aisles"
            yield f"{path}[{i}].aisle", f"expected an aisle of the store, which has {has}, found {aisle}"
