"""The physical world: heights, gaps, stacks, meters, and the faults that `check` finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.facts import NONE
from sim.stock import Stock, StockError
from tests.worlds import layout_of

FULL = (1 << 15) - 1


class Boxes(Stock):
    """A stock that names two places outside the racks: the floor, and a robot's fork."""

    def __init__(self, layout, *, stacked):
        super().__init__(layout, stacked=stacked)
        self.floor, self.fork = layout.staging, layout.robot_place(0)


def stock_of(boxes=0, *, stacked=False, **layout):
    """Boxes of 15 meters on the floor before two slots of two columns (or stacks) of three."""
    params = {"rows": 1, "columns": 2, "levels": 1, "boxes_per_slot": 6, "tiers": 3, **layout}
    layout = layout_of(access="stack_lifo" if stacked else "direct", **params)
    stock = Boxes(layout, stacked=stacked)
    for _ in range(boxes):
        stock.new_box(stock.floor, FULL)
    return stock


def filled(boxes, *, stacked=False):
    """The same with all boxes in slot 0, column 0."""
    stock = stock_of(boxes, stacked=stacked)
    for box in range(boxes):
        stock.put(box, 0, 0)
    return stock


class TestPlaces:
    def test_cells_follow_the_layout(self):
        """A slot has a cell for each place: 10 boxes are two columns of 5, 9 a column of 5 and one of 4."""
        layout = layout_of(profile="mixed_10_9")
        stock = Stock(layout, stacked=False)
        assert stock.cells[layout.place("2-02-1")] == [[NONE] * 5, [NONE] * 5]
        assert stock.cells[layout.place("1-01-1")] == [[NONE] * 5, [NONE] * 4]

    def test_box_takes_lowest_tier(self):
        """Boxes stand from the lowest free tier upwards."""
        stock = stock_of(3)
        assert [stock.put(box, 0, 1) for box in range(3)] == [0, 1, 2]
        assert stock.cells[0] == [[NONE] * 3, [0, 1, 2]]

    def test_gap_is_filled_first(self):
        """With supports of their own, the gap that a box leaves takes the next one."""
        stock = filled(3)
        stock.take(1, stock.fork)
        assert stock.cells[0][0] == [0, NONE, 2]
        stock.check()
        assert stock.put(stock.new_box(stock.floor, FULL), 0, 0) == 1

    def test_full_column_refuses(self):
        """A box for a full column is a bug, named by slot, column and box."""
        stock = filled(3)
        stock.new_box(stock.floor, FULL)
        with pytest.raises(StockError, match="slot 0 column 0 is full, box 3 cannot be set down"):
            stock.put(3, 0, 0)

    def test_taken_cell_refuses(self):
        """A tier that holds a box takes no other."""
        stock = filled(1)
        stock.new_box(stock.floor, FULL)
        with pytest.raises(StockError, match="slot 0 column 0 tier 0 cannot take box 1"):
            stock.put_at(1, 0, 0, 0)

    def test_taking_leaves_the_slot(self):
        """A box taken is at the robot's place, in no column and on no tier; its cell is free."""
        stock = filled(1)
        stock.take(0, stock.fork)
        assert (stock.place[0], stock.column[0], stock.tier[0]) == (stock.fork, NONE, NONE)
        assert stock.cells[0][0] == [NONE] * 3

    def test_taking_what_is_elsewhere(self):
        """A box outside the racks cannot be taken out of a slot."""
        stock = stock_of(1)
        with pytest.raises(StockError, match=f"box 0 is not in a slot but at place {stock.floor}"):
            stock.take(0, stock.fork)

    def test_moving_out_of_a_slot(self):
        """A box in a slot is not moved but taken."""
        stock = filled(1)
        with pytest.raises(StockError, match="box 0 stands in slot 0: take it out first"):
            stock.move(0, stock.floor)

    def test_moving_into_a_slot(self):
        """A slot is no place to move a box to: it would stand on no tier."""
        stock = stock_of(1)
        with pytest.raises(StockError, match="box 0"):
            stock.move(0, 1)

    def test_moving_on_the_floor(self):
        """A box outside the racks moves from place to place."""
        stock = stock_of(1)
        stock.move(0, stock.fork)
        assert stock.place[0] == stock.fork
        stock.check()


class TestStacks:
    def test_only_the_top_leaves(self):
        """A box under another cannot be taken; the error names both."""
        stock = filled(3, stacked=True)
        with pytest.raises(StockError, match="box 1 is under box 2"):
            stock.take(1, stock.fork)

    def test_stack_empties_from_the_top(self):
        """Boxes leave a stack last in, first out."""
        stock = filled(3, stacked=True)
        left = []
        while (box := stock.top(0, 0)) != NONE:
            stock.take(box, stock.fork)
            stock.check()
            left.append(box)
        assert left == [2, 1, 0]

    def test_supports_let_any_box_leave(self):
        """With a support for each box the lowest leaves first if wanted."""
        stock = filled(3)
        stock.take(0, stock.fork)
        stock.check()

    def test_no_box_floats(self):
        """In a free stack a box cannot be set down over a gap; on supports it can."""
        stock = stock_of(1, stacked=True)
        with pytest.raises(StockError, match="slot 0 column 0 tier 1 cannot take box 0"):
            stock.put_at(0, 0, 0, 1)
        stock = stock_of(1)
        stock.put_at(0, 0, 0, 1)
        stock.check()
        assert stock.top(0, 0) == 0

    def test_top_of_nothing(self):
        """An empty stack has no top."""
        assert stock_of().top(0, 1) == NONE


class TestMeters:
    def test_loose_meters_by_hand(self):
        """15 meters come in; 4 are picked, 3 of them handed over, and the box goes out with the other 11."""
        stock = stock_of(1)
        stock.pick_meters(0, 0b1111)
        stock.issue_picked(3)
        assert (stock.meters_in, stock.mask[0].bit_count(), stock.meters_picked, stock.meters_out) == (
            15,
            11,
            1,
            3,
        )
        assert stock.issue_box(0) == 11
        assert (stock.mask[0], stock.meters_picked, stock.meters_out) == (0, 1, 14)
        stock.check()

    def test_missing_meters_are_not_picked(self):
        """A meter that is not in the box cannot be picked from it."""
        stock = stock_of(1)
        stock.pick_meters(0, 0b1)
        with pytest.raises(StockError, match="box 0 does not hold all meters of 11"):
            stock.pick_meters(0, 0b11)

    def test_handing_over_unpicked(self):
        """More loose meters than were picked cannot be handed over unnoticed."""
        stock = stock_of(1)
        with pytest.raises(StockError):  # noqa: PT012 - at once or by the check
            stock.issue_picked(5)
            stock.check()


class TestLosses:
    def test_lost_meters_are_counted(self):
        """Meters that are gone and nobody knows where to still count as having come in."""
        stock = filled(1)
        stock.lose_meters(0, 0b101)
        assert (stock.mask[0], stock.meters_lost) == (FULL & ~0b101, 2)
        stock.check()

    def test_damaged_meters_are_scrapped(self):
        """What is scrapped leaves its box and is damaged there no more; other damage stays."""
        stock = filled(1)
        stock.damaged[0] = 0b110
        stock.scrap_meters(0, 0b010)
        assert (stock.mask[0], stock.meters_scrapped, stock.damaged) == (FULL & ~0b010, 1, {0: 0b100})
        stock.scrap_meters(0, 0b100)
        assert stock.damaged == {}
        stock.check()

    @pytest.mark.parametrize("verb", ["pick_meters", "lose_meters"])
    def test_damage_goes_with_the_meter(self, verb):
        """A damaged meter that is picked or lost is no damage of the box any more."""
        stock = filled(1)
        stock.damaged[0] = 0b11
        getattr(stock, verb)(0, 0b01)
        assert stock.damaged == {0: 0b10}
        stock.check()

    def test_box_goes_with_its_damage(self):
        """A whole box that is handed over takes its damaged meters along."""
        stock = filled(1)
        stock.damaged[0] = 1
        assert stock.issue_box(0) == 15
        assert stock.damaged == {}
        stock.check()

    @pytest.mark.parametrize("verb", ["lose_meters", "scrap_meters"])
    def test_meters_that_are_not_there(self, verb):
        """Nothing can be lost or scrapped twice."""
        stock = filled(1)
        getattr(stock, verb)(0, 0b11)
        with pytest.raises(StockError, match="box 0 does not hold all meters of 110"):
            getattr(stock, verb)(0, 0b110)
        assert stock.mask[0] == FULL & ~0b11
        stock.check()


class TestCheck:
    def test_check_of_a_sound_store(self):
        """A store that was only changed by its verbs has no fault."""
        stock = filled(3, stacked=True)
        stock.check()

    def plant(self, what, stacked=False):
        stock = filled(3, stacked=stacked)
        what(stock)
        with pytest.raises(StockError) as error:
            stock.check()
        return str(error.value)

    def test_floating_box_is_found(self):
        """A box over a gap in a free stack."""

        def float_box(stock):
            stock.cells[0][0][1] = NONE
            stock.place[1], stock.column[1], stock.tier[1] = stock.floor, NONE, NONE

        assert self.plant(float_box, stacked=True) == "box 2 floats in slot 0 column 0 tier 2"

    def test_box_in_two_cells_is_found(self):
        """A box that stands in two cells."""

        def double(stock):
            stock.cells[1][0][0] = 2

        assert self.plant(double) == "box 2 stands in slot 1 but says place 0"

    def test_wrong_tier_is_found(self):
        """A box that says another height than it stands on."""

        def lift(stock):
            stock.tier[2] = 1

        assert "box 2 stands in slot 0" in self.plant(lift)

    def test_lost_box_is_found(self):
        """A box that says it is in a slot but stands in no cell."""

        def lose(stock):
            stock.cells[0][0][2] = NONE

        assert self.plant(lose) == "3 boxes say that they are in a slot, 2 are"

    def test_box_without_height_is_found(self):
        """A box whose place is a slot but that stands on no tier of it."""

        def drop(stock):
            stock.new_box(stock.floor, FULL)
            stock.place[3] = 1

        assert "box" in self.plant(drop)

    @pytest.mark.parametrize("meters", [-1, 1])
    def test_vanished_meter_is_found(self, meters):
        """Meters in are meters in boxes, picked and out."""

        def lose(stock):
            stock.meters_out += meters

        # 3 boxes of 15 came in and are still there.
        assert (
            self.plant(lose)
            == f"45 meters came in, 45 are in boxes, 0 picked, {meters} out, 0 lost, 0 scrapped"
        )


class TestLaws:
    @given(
        st.booleans(), st.lists(st.tuples(st.sampled_from("tpmlixs"), st.integers(0, 99), st.integers(0, 99)))
    )
    @settings(max_examples=150)
    def test_verbs_keep_the_laws(self, stacked, operations):
        """Whatever is asked, in whatever order: refused, or done with every box and meter in one place."""
        stock = stock_of(8, stacked=stacked)
        for verb, a, b in operations:
            box = a % 8
            try:
                if verb == "t":
                    stock.take(box, stock.fork)
                elif verb == "p" and stock.column[box] == NONE:
                    stock.put(box, b % 2, b // 2 % 2)
                elif verb == "m":
                    stock.move(box, stock.floor)
                elif verb == "l":
                    stock.pick_meters(box, b)
                elif verb == "i":
                    stock.issue_box(box)
                elif verb == "x":
                    stock.lose_meters(box, b)
                elif verb == "s":
                    stock.scrap_meters(box, b)
            except StockError:
                pass
            stock.check()
        assert stock.meters_in == 8 * 15
