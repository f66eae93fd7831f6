"""The store on paper: totals, names, positions, and layouts refused in words."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.drawing import draw
from sim.layout import PROFILES, Layout, LayoutError, LayoutParams, PortParams, layout_summary, tier_columns

TINY = {"rows": 2, "columns": 3, "levels": 2, "profile": "uniform", "boxes_per_slot": 2}


def layout(*, meters_per_box=15, box_height_m=0.2, access="direct", robots=1, **params):
    return Layout(
        LayoutParams(**params),
        meters_per_box=meters_per_box,
        box_height_m=box_height_m,
        access=access,
        robots=robots,
    )


def faults(**params):
    with pytest.raises(LayoutError) as error:
        layout(**params)
    return error.value.faults


class TestTotals:
    def test_default_has_both_published_numbers(self):
        """The default profile has 258 slots and 37,125 meters."""
        store = layout()
        assert (store.slots, store.boxes, store.meters) == (258, 2475, 37125)

    @pytest.mark.parametrize(
        ("profile", "meters_per_box", "capacities", "meters"),
        [
            ("two_stack", 15, {"10": 237, "5": 21}, 37125),  # 2,370 + 105 boxes
            ("mixed_10_9", 15, {"10": 153, "9": 105}, 37125),  # 1,530 + 945
            ("service_33", 15, {"11": 225, "0": 33}, 37125),  # 225 x 11
            ("zoned_165", 15, {"15": 165, "0": 93}, 37125),  # 165 x 15
            ("uniform_144", 12, {"12": 258}, 37152),  # 258 x 12 x 12
        ],
    )
    def test_profiles_keep_their_totals(self, profile, meters_per_box, capacities, meters):
        """Each named profile has the slots and meters of its table."""
        summary = layout_summary(layout(profile=profile, meters_per_box=meters_per_box))
        assert (summary["slots"], summary["capacities"], summary["meters"]) == (258, capacities, meters)

    def test_every_profile_is_tested(self):
        assert set(PROFILES) == {"two_stack", "mixed_10_9", "service_33", "zoned_165", "uniform_144"}

    def test_short_slots_lie_under_ducts(self):
        """The 21 short slots are the top level of row 1 and of columns 1-8 of row 4."""
        store = layout()
        short = {store.names[slot] for slot, boxes in enumerate(store.capacity) if boxes == 5}
        assert short == {f"1-{c:02d}-5" for c in range(1, 14)} | {f"4-{c:02d}-5" for c in range(1, 9)}

    def test_later_capacity_entry_wins(self):
        """Capacities are set by rows, columns and levels; the last entry that names a slot decides."""
        store = layout(
            **TINY, capacity=[{"columns": [1, 2], "boxes": 4}, {"columns": [2], "levels": [2], "boxes": 0}]
        )
        by_name = dict(zip(store.names, store.capacity, strict=False))
        assert by_name["1-01-2"] == 4
        assert by_name["2-02-1"] == 4
        assert by_name["2-02-2"] == 0
        assert by_name["1-03-1"] == 2
        assert store.boxes == 4 * 4 + 2 * 4 + 2 * 0 + 4 * 2

    def test_summary_is_complete(self):
        """The summary has what `meterhouse layout --json` prints."""
        mouth_of_1 = {"aisle": 1, "x_m": 0.0, "z_m": 0.0}
        assert layout_summary(layout(**TINY)) == {
            "slots": 12, "boxes": 24, "meters": 360, "meters_per_box": 15, "profile": "uniform",
            "rows": 2, "columns": 3, "levels": 2, "tiers": 5, "aisles": 1, "omitted": [],
            "capacities": {"2": 12},
            "ports": [
                mouth_of_1 | {"name": "in", "serves": "in", "in_places": 8, "out_places": 0},
                mouth_of_1 | {"name": "out", "serves": "out", "in_places": 0, "out_places": 8},
            ],
            "chargers": [{"name": "charger-1", "aisle": 1, "x_m": 0.0}],
            # 1.5 + 2 x 0.95 + 0.475 m long, one aisle wide
            "room_m": [3.875, 2.7, 6.5],
        }  # fmt: skip


THREE_PHASE = {"devices": ["three-phase"]}


class TestRestricted:
    def test_nothing_restricted_admits_all(self):
        """Without restrictions every slot takes every box, and there is no table of slots."""
        assert layout().admits("single-phase", 10_000) is None

    def test_devices_name_who_may_stand_there(self):
        """Slots with a list of devices take those only; slots that no entry names take all."""
        store = layout(**TINY, restricted=[{"rows": [2], "columns": [3], **THREE_PHASE}])
        assert self.taken(store, "single-phase") == set(store.names[:12]) - {"2-03-1", "2-03-2"}
        assert store.admits("three-phase", 1) is None

    def test_weight_is_of_the_full_box(self):
        """A box as heavy as the limit still stands; one gram more does not."""
        store = layout(**TINY, restricted=[{"levels": [2], "most_box_kg": 12.345}])
        assert store.admits("meter", 12_345) is None
        assert self.taken(store, "meter", 12_346) == {
            name for name in store.names[:12] if name.endswith("-1")
        }

    def test_entries_add_up(self):
        """A slot that several entries name takes a box only when all of them do."""
        restricted = [
            {"columns": [1, 2], "devices": ["single-phase", "three-phase"]},
            {"rows": [1], **THREE_PHASE},
            {"levels": [1], "most_box_kg": 20},
        ]
        store = layout(**TINY, restricted=restricted)
        assert self.taken(store, "single-phase", 10_000) == {f"2-0{c}-{v}" for c in (1, 2, 3) for v in (1, 2)}
        assert self.taken(store, "three-phase", 25_000) == {f"{r}-0{c}-2" for r in (1, 2) for c in (1, 2, 3)}
        assert self.taken(store, "terminal", 10_000) == {"2-03-1", "2-03-2"}

    def test_no_devices_takes_nothing(self):
        """An empty list of devices keeps slots for what is not modelled."""
        store = layout(**TINY, restricted=[{"columns": [1], "devices": []}])
        assert self.taken(store, "any") == {name for name in store.names[:12] if "-01-" not in name}

    def test_omitted_places_stay_out(self):
        """An entry may name places that have no slot; the table has the slots only."""
        store = layout(**TINY, omit=["1-01-1"], restricted=[{"rows": [1], **THREE_PHASE}])
        admits = store.admits("single-phase", 1)
        assert admits == bytes([0] * 5 + [1] * 6)

    def test_zoned_slots_of_the_reference_store(self):
        """Row 4 and columns 7-13 of row 3 above the floor are the 93 slots of `zoned_165`: 65 and 28."""
        other = [
            {"rows": [4], **THREE_PHASE},
            {"rows": [3], "columns": list(range(7, 14)), "levels": [2, 3, 4, 5], **THREE_PHASE},
        ]
        admits = layout(restricted=other).admits("single-phase", 10_000)
        kept = layout(profile="zoned_165").capacity
        assert [bool(taken) for taken in admits] == [boxes > 0 for boxes in kept]
        assert sum(admits) == 165

    @staticmethod
    def taken(store, device, box_g=1):
        """Names of the slots that take a box."""
        admits = store.admits(device, box_g)
        return {name for name, taken in zip(store.names, admits, strict=False) if taken}


class TestTiers:
    @pytest.mark.parametrize(
        ("boxes", "stacks"),
        [(10, (5, 5)), (5, (5,)), (9, (5, 4)), (11, (4, 4, 3)), (15, (5, 5, 5)), (12, (4, 4, 4)), (0, ())],
    )
    def test_slots_divide_evenly(self, boxes, stacks):
        """A slot has as few tier columns as possible, of even height."""
        assert tier_columns(boxes, 5) == stacks

    @given(st.integers(0, 1000), st.integers(1, 40))
    def test_division_keeps_boxes(self, boxes, tiers):
        """Tier columns hold all boxes, none is too high, and none could be spared."""
        stacks = tier_columns(boxes, tiers)
        assert sum(stacks) == boxes
        assert all(0 < height <= tiers for height in stacks)
        assert len(stacks) == -(-boxes // tiers)

    def test_direct_access_adds_clearance(self):
        """A box on its own support takes its height and the clearance: 0.20 + 0.04 m."""
        store = layout()
        assert (store.tier_mm, store.tiers) == (240, 5)

    def test_stacks_need_clearance_once(self):
        """A free stack in a level of 1.20 m: (1.20 - 0.04) / 0.20 is 5 boxes."""
        store = layout(access="stack_lifo")
        assert (store.tier_mm, store.tiers) == (200, 5)

    def test_tiers_follow_box_height(self):
        """A box of 0.3 m makes tiers of 0.34 m, of which three fit 1.2 m: 10 boxes are 3 + 3 + 2 + 2."""
        store = layout(box_height_m=0.3)
        assert (store.tier_mm, store.tiers) == (340, 3)
        assert store.stacks[store.place("1-01-1")] == (3, 3, 2, 2)


class TestPlaces:
    def test_slots_ascend_by_place(self):
        """Slots are numbered by row, column and level; the openings are skipped."""
        store = layout()
        assert store.names[:6] == ["1-01-1", "1-01-2", "1-01-3", "1-01-4", "1-01-5", "1-02-1"]
        assert store.names[65] == "2-01-2"
        assert store.names[257] == "4-13-5"
        keys = list(zip(store.row.tolist(), store.column.tolist(), store.level.tolist(), strict=True))
        assert keys == sorted(keys)
        assert (2, 1, 1) not in keys
        assert (3, 1, 1) not in keys

    def test_every_place_is_named_once(self):
        """Slots, ports, chargers, mouths, areas and robots have names of their own that lead back."""
        store = layout(robots=2)
        assert len(store.names) == len(set(store.names)) == store.places
        assert [store.place(name) for name in store.names] == list(range(store.places))
        assert store.names[258:] == [
            "in", "out", "charger-1", "mouth-1", "mouth-2", "truck", "staging", "overflow", "pick-station",
            "loose-rack", "handed-over", "outside", "robot-1", "robot-2",
        ]  # fmt: skip
        assert store.place_name(store.robot_place(1)) == "robot-2"
        assert store.place_name(store.pick_station) == "pick-station"

    def test_wide_stores_have_longer_names(self):
        """Column numbers have as many digits as the last column."""
        assert layout(**TINY | {"columns": 100}).names[0] == "1-001-1"

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("2-7-3", "expected a place of this store, found '2-7-3', did you mean '2-07-3'?"),
            (
                "2-01-1",
                "expected a place of this store, found '2-01-1' (place 2-01-1 of the grid has no slot)",
            ),
            ("stagging", "expected a place of this store, found 'stagging', did you mean 'staging'?"),
            ("9-01-1", "expected a place of this store, found '9-01-1'"),
        ],
    )
    def test_unknown_places_get_near_miss(self, name, message):
        """A name that the store lacks is answered with the nearest that it has."""
        with pytest.raises(LayoutError) as error:
            layout().place(name)
        assert error.value.faults == [("place", message)]

    def test_robots_are_counted(self):
        with pytest.raises(IndexError, match="no robot 1: there are 1"):
            layout().robot_place(1)

    def test_reference_positions(self):
        """Column 7, level 3 of row 3: x = 1.5 + 6 x 0.95, aisle 2 at y = 2.7, z = 2 x 1.2."""
        store = layout()
        slot = store.place("3-07-3")
        assert (store.x_mm[slot], store.y_mm[slot], store.z_mm[slot]) == (7200, 2700, 2400)
        assert store.aisle[slot] == 1
        assert not store.at_mouth[slot]
        assert store.at_mouth[store.inbound]
        assert store.at_mouth[store.chargers[0]]

    def test_areas_sit_at_their_port(self):
        """What comes in waits at the inbound port, what goes out at the outbound one."""
        store = layout(
            ports=[
                {"name": "in", "aisle": 2, "serves": "in", "z_m": 0.8},
                {"name": "out", "aisle": 1, "serves": "out", "x_m": 4.0},
            ]
        )
        for area in (store.truck, store.staging, store.overflow, store.outside):
            assert (store.x_mm[area], store.y_mm[area], store.z_mm[area]) == (0, 2700, 800)
        for area in (store.pick_station, store.loose_rack, store.handed_over):
            assert (store.x_mm[area], store.y_mm[area], store.z_mm[area]) == (4000, 0, 0)
        assert not store.at_mouth[store.outbound]

    def test_ports_serve_their_ways(self):
        """A port keeps places only for the ways that it serves; the first of each way is the default."""
        store = layout(ports=[{"name": "a", "serves": "out"}, {"name": "b", "aisle": 2, "out_places": 3}])
        assert [tuple(port) for port in store.ports] == [
            (258, "a", False, True, 0, 8),
            (259, "b", True, True, 8, 3),
        ]
        assert (store.inbound, store.outbound) == (259, 258)

    def test_gaps_move_later_columns(self):
        """A pillar of 0.5 m after column 2 moves column 3 only."""
        store = layout(**TINY, gaps=[{"after_column": 2, "width_m": 0.5}])
        assert [int(store.x_mm[store.place(f"1-0{c}-1")]) for c in (1, 2, 3)] == [1500, 2450, 3900]

    def test_single_sided_rows_have_aisles(self):
        """With rows on one side only, each row has an aisle of its own."""
        store = layout(**TINY, single_sided=True)
        assert store.aisles == 2
        assert [store.aisle[store.place(name)] for name in ("1-01-1", "2-01-1")] == [0, 1]

    def test_odd_rows_leave_one_alone(self):
        """Three rows stand at two aisles."""
        assert layout(**TINY | {"rows": 3}).aisles == 2

    def test_arrays_cannot_change(self):
        with pytest.raises(ValueError, match="read-only"):
            layout().x_mm[0] = 1


class TestRefusals:
    def test_every_mistake_at_once(self):
        """All mistakes of a layout are told together, each with its path."""
        found = faults(
            profile="uniform",
            levels=6,
            tiers=9,
            tier_pitch_m=0.1,
            omit=["2-1-1", "9-01-1", "pillar", "1-01-1", "1-01-1"],
            capacity=[{"levels": [7], "boxes": 1}],
            restricted=[{"rows": [4, 5], "columns": [0], "devices": []}, {"levels": [7], "most_box_kg": 1}],
            gaps=[{"after_column": 13}],
            ports=[
                {"name": "truck", "aisle": 3, "serves": "in", "in_places": 0},
                {"name": "high", "serves": "in", "z_m": 7},
            ],
            chargers=[{"aisle": 5}],
        )
        assert found == [
            (
                "layout.omit[0]",
                "expected a place from 1-01-1 to 4-13-6, found '2-1-1', did you mean '2-01-1'?",
            ),
            ("layout.omit[1]", "expected a place from 1-01-1 to 4-13-6, found '9-01-1'"),
            ("layout.omit[2]", "expected a place from 1-01-1 to 4-13-6, found 'pillar'"),
            ("layout.omit[4]", "expected each place once, found '1-01-1' again"),
            ("layout.tier_pitch_m", "expected at least the box height of 0.2 m, found 0.1 m"),
            ("layout.room_height_m", "expected at least 7.2 m for 6 levels of 1.2 m, found 6.5 m"),
            ("layout.capacity[0].levels", "expected numbers from 1 to 6, found 7"),
            ("layout.restricted[0].rows", "expected numbers from 1 to 4, found 5"),
            ("layout.restricted[0].columns", "expected numbers from 1 to 13, found 0"),
            ("layout.restricted[1].levels", "expected numbers from 1 to 6, found 7"),
            ("layout.gaps[0].after_column", "expected a column before the last of 13, found 13"),
            ("layout.ports[0].name", "expected a name of its own, found 'truck'"),
            ("layout.ports[0].in_places", "expected at least 1 where a port serves 'in', found 0"),
            ("layout.ports[1].z_m", "expected at most the room height of 6.5 m, found 7 m"),
            ("layout.ports[0].aisle", "expected an aisle of the store, which has 2 aisles, found 3"),
            (
                "layout.ports",
                "expected a port through which boxes go out, found 'truck' serving 'in', 'high' serving 'in'",
            ),
            ("layout.chargers[0].aisle", "expected an aisle of the store, which has 2 aisles, found 5"),
        ]

    @pytest.mark.parametrize(
        ("params", "path", "words"),
        [
            ({"rows": 2}, "layout.profile", "expected 'uniform' for 2 x 13 x 5, found 'two_stack'"),
            (
                {"omit": []},
                "layout.profile",
                "which belongs to the reference grid of 4 x 13 x 5 less 2-01-1 and 3-01-1",
            ),
            ({"capacity": [{"boxes": 1}]}, "layout.capacity", "expected none beside the profile 'two_stack'"),
            ({"tiers": 6}, "layout.tiers", "expected at most 5 tiers of 0.24 m in a level of 1.2 m, found 6"),
            (
                {"level_pitch_m": 0.2},
                "layout.level_pitch_m",
                "expected room for a tier of 0.24 m and its clearance",
            ),
            (
                TINY | {"boxes_per_slot": 0},
                "layout.boxes_per_slot",
                "expected a slot that holds a box, found none",
            ),
            (
                TINY | {"ports": []},
                "layout.ports",
                "expected a port through which boxes come in, found no port",
            ),
            (
                TINY | {"restricted": [{"rows": [1]}]},
                "layout.restricted[0]",
                "expected devices or most_box_kg, found neither",
            ),
            (TINY | {"ports": [{"name": "1-01-1"}]}, "layout.ports[0].name", "expected a name of its own"),
            (
                TINY | {"omit": [f"{r}-0{c}-{v}" for r in (1, 2) for c in (1, 2, 3) for v in (1, 2)]},
                "layout.omit",
                "expected at least one place to remain a slot, found all omitted",
            ),
        ],
    )
    def test_impossible_layouts(self, params, path, words):
        """What cannot be built is refused at its key, in words."""
        where, message = faults(**params)[0]
        assert where == path
        assert words in message

    def test_too_many_slots_refused_at_once(self):
        """A store of more than 10 million places is refused before anything is built."""
        began = time.perf_counter()
        found = faults(rows=1_000, columns=1_000, levels=11, profile="uniform")
        assert time.perf_counter() - began < 0.1
        assert found == [("layout", "expected at most 10,000,000 slots, found 1000 x 1000 x 11 = 11,000,000")]

    def test_large_store_builds_soon(self):
        """100 x 100 x 10 two-sided places, names included, in about a second."""
        began = time.perf_counter()
        store = layout(rows=100, columns=100, levels=10, profile="uniform", room_height_m=12)
        assert store.names[99_999] == "100-100-10"
        assert store.slots == 100_000
        assert time.perf_counter() - began < 3.0

    @given(
        rows=st.integers(1, 7), columns=st.integers(1, 12), levels=st.integers(1, 5), data=st.data(),
        boxes=st.integers(1, 30), single=st.booleans(), access=st.sampled_from(["direct", "stack_lifo"]),
    )  # fmt: skip
    def test_small_grids_add_up(self, rows, columns, levels, boxes, single, access, data):
        """Any small grid with omitted places has consistent numbers, names and capacities."""
        grid = [
            f"{r}-{c:02d}-{v}"
            for r in range(1, rows + 1)
            for c in range(1, columns + 1)
            for v in range(1, levels + 1)
        ]
        omit = data.draw(st.lists(st.sampled_from(grid), unique=True, max_size=len(grid) - 1))
        store = layout(
            rows=rows, columns=columns, levels=levels, omit=omit, profile="uniform", boxes_per_slot=boxes,
            single_sided=single, access=access,
        )  # fmt: skip
        assert store.names[: store.slots] == [name for name in grid if name not in omit]
        assert store.boxes == sum(map(sum, store.stacks)) == boxes * store.slots
        assert all(len(axis) == store.places for axis in (store.x_mm, store.y_mm, store.z_mm, store.aisle))
        assert np.all(store.x_mm[: store.slots] > 0)
        assert max(store.aisle) < store.aisles


class TestDrawing:
    def test_reference_store(self):
        """The racks stand two by two about their aisle, with their openings, legend and totals."""
        lines = draw(layout(), width=100).plain.splitlines()
        assert max(map(len, lines)) <= 100
        assert [line.rstrip() for line in lines] == [
            "   row 1, aisle 1                                 row 2, aisle 1",
            "     1           5             10                   1           5             10",
            "  ┌────────────────────────────────────────┐     ┌────────────────────────────────────────┐",
            "5 │  5  5  5  5  5  5  5  5  5  5  5  5  5 │   5 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "4 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   4 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "3 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   3 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "2 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   2 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "1 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   1 │  ▶ 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "  └────────────────────────────────────────┘     └────────────────────────────────────────┘",
            "",
            "   row 3, aisle 2                                 row 4, aisle 2",
            "     1           5             10                   1           5             10",
            "  ┌────────────────────────────────────────┐     ┌────────────────────────────────────────┐",
            "5 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   5 │  5  5  5  5  5  5  5  5 10 10 10 10 10 │",
            "4 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   4 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "3 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   3 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "2 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │   2 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "1 │  ◀ 10 10 10 10 10 10 10 10 10 10 10 10 │   1 │ 10 10 10 10 10 10 10 10 10 10 10 10 10 │",
            "  └────────────────────────────────────────┘     └────────────────────────────────────────┘",
            "",
            "a number is what the slot holds, in boxes; blank is no slot",
            "▶ port 'in' at the mouth of aisle 1, 8 places in",
            "◀ port 'out' at the mouth of aisle 2, 8 places out",
            "↯ charger-1 at the mouth of aisle 1",
            "",
            "258 slots, 2,475 boxes, 37,125 meters",
            "237 slots of 10 boxes, 21 of 5; 15 meters a box",
            "levels 1.2 m high with 5 tiers of 0.24 m, columns 0.95 m, aisles 2.7 m apart",
            f"profile two_stack, an interpretation: {PROFILES['two_stack'].sentence[:58]}",
            "columns 1-8 of row 4 lies under ducts",
        ]

    def test_values_and_hatching(self):
        """Values stand in the cells instead of capacities; slots that hold nothing stay hatched."""
        store = layout(**TINY, capacity=[{"columns": [3], "boxes": 0}])
        drawn = draw(store, [12, 0, 3.6, 1, 0, 0] * 2, width=60).plain
        assert "2 │  ·  1 ░░ │   2 │  ·  1 ░░ │" in drawn
        assert "1 │ 12  4 ░░ │   1 │ 12  4 ░░ │" in drawn
        assert "a number is the slot's value; ░░ holds no boxes; · is nothing" in drawn

    def test_wrong_number_of_values(self):
        with pytest.raises(ValueError, match="values to draw: expected 12, one a slot, found 3"):
            draw(layout(**TINY), [1, 2, 3])

    @given(
        rows=st.integers(1, 30), columns=st.integers(1, 60), levels=st.integers(1, 12),
        width=st.integers(80, 130), boxes=st.integers(1, 200),
    )  # fmt: skip
    def test_lines_keep_to_width(self, rows, columns, levels, width, boxes):
        """Whatever the grid, no line is wider than the terminal."""
        store = layout(
            rows=rows, columns=columns, levels=levels, profile="uniform", boxes_per_slot=boxes,
            room_height_m=20, ports=[PortParams(name="p")],
        )  # fmt: skip
        assert max(map(len, draw(store, width=width).plain.splitlines())) <= width
