"""What is recorded: states, reservations per tier column, and the faults that `check` finds."""

import copy
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import POLICIES, Rule, SlotIndex
from sim.assets import STATE_CODES, STATES, TRANSITIONS, IllegalMove
from sim.calendar import DAY_MS
from sim.facts import NONE
from sim.ledger import IN_TRANSIT, ISSUED, OVERDUE, QUALIFIED, RESERVED, Ledger, LedgerError
from sim.slots import Stack
from sim.stock import Stock
from sim.streams import Stream
from sim.turnover import Turnover
from tests.worlds import layout_of

FULL = (1 << 15) - 1
STREAM = Stream(1, "policy.allocation")
CLOSEST = POLICIES["closest-open"]


class Records(Ledger):
    """A ledger of two slots with a column of three and one of two places each, and its layout."""

    def __init__(self, boxes=0, access="direct"):
        self.layout = layout_of(rows=1, columns=2, levels=1, boxes_per_slot=5, tiers=3, access=access)
        super().__init__(self.layout, SlotIndex(self.layout, [10, 20], [1, 1]), [7, 8], 2)
        for box in range(boxes):
            self.new_box(box % 2, box // 2, 100 + box, FULL, self.layout.truck)
            self.set_state(box, QUALIFIED)

    def put(self, box, slot, column, tier):
        self.reserve(box, slot, column)
        self.stored(box, slot, column, tier)


class TestStates:
    def test_new_box_is_in_transit(self):
        """An announced box is in transit: not received, not promised, in no column."""
        ledger = Records()
        box = ledger.new_box(1, 4, 100, FULL, ledger.layout.truck)
        assert (ledger.sku[box], ledger.lot[box], ledger.verified_day[box], ledger.mask[box]) == (
            1,
            4,
            100,
            FULL,
        )
        assert (ledger.state[box], ledger.order[box], ledger.received_ms[box]) == (IN_TRANSIT, NONE, NONE)
        assert (ledger.place[box], ledger.column[box], ledger.tier[box]) == (ledger.layout.truck, NONE, NONE)

    @pytest.mark.parametrize("before", STATES)
    def test_only_listed_moves(self, before):
        """A state changes as the asset states allow and in no other way; a refusal names both and changes nothing."""
        ledger = Records(1)
        for after in STATES:
            ledger.state[0] = STATE_CODES[before]
            if after in TRANSITIONS[before]:
                ledger.set_state(0, STATE_CODES[after])
                assert ledger.state[0] == STATE_CODES[after]
            else:
                with pytest.raises(IllegalMove, match=f"^box 0: {before} -> {after} is not allowed$"):
                    ledger.set_state(0, STATE_CODES[after])
                assert ledger.state[0] == STATE_CODES[before]

    @pytest.mark.parametrize("end", [[RESERVED, ISSUED], [RESERVED, QUALIFIED], [OVERDUE]])
    def test_ways_of_a_box(self, end):
        """A qualified box is reserved and issued or freed, or becomes overdue."""
        ledger = Records(1)
        for state in end:
            ledger.set_state(0, state)
        assert ledger.state[0] == end[-1]

    def test_overdue_is_not_issued(self):
        """A box whose verification is too old can be neither reserved nor issued."""
        ledger = Records(1)
        ledger.set_state(0, OVERDUE)
        for state in (RESERVED, ISSUED):
            with pytest.raises(IllegalMove):
                ledger.set_state(0, state)


class TestReservations:
    def test_columns_fill_in_turn(self):
        """Places are reserved per tier column, the first with room first: three in column 0, then two in 1."""
        ledger = Records(5)
        assert [ledger.allocate(CLOSEST, box, 0, STREAM) for box in range(5)] == [
            (0, 0), (0, 0), (0, 0), (0, 1), (0, 1),
        ]  # fmt: skip
        assert ledger.column_room == [[0, 0], [3, 2]]
        ledger.check()

    def test_full_slot_refuses(self):
        """A rule that names a slot of five for a sixth box is at fault, and the slot is named."""
        ledger = Records(6)
        for box in range(5):
            ledger.allocate(CLOSEST, box, 0, STREAM)
        before = copy.deepcopy((ledger.column_room, ledger.index.lots, ledger.index.stays.boxes))
        with pytest.raises(LedgerError, match="named '1-01-1' for box 5, which is not an open slot"):
            ledger.allocate(Rule(lambda box, view, stream: 0), 5, 0, STREAM)
        assert (ledger.column_room, ledger.index.lots, ledger.index.stays.boxes) == before
        ledger.check()

    def test_full_column_refuses(self):
        """A third place in a column of two is a bug, named by slot and column."""
        ledger = Records(3)
        for box in range(2):
            ledger.reserve(box, 1, 1)
        with pytest.raises(LedgerError, match="slot 1 column 1 has no room"):
            ledger.reserve(2, 1, 1)
        ledger.check()

    def test_blocked_slot_refuses(self):
        """A rule that names a slot out of use is at fault, though it has room."""
        ledger = Records(1)
        ledger.index.block(1, True)
        with pytest.raises(LedgerError, match="named '1-02-1' for box 0, which is not an open slot"):
            ledger.allocate(Rule(lambda box, view, stream: 1), 0, 0, STREAM)
        ledger.check()

    @pytest.mark.parametrize("named", [-2, -3, 2, 99, None, "1-01-1", 0.5])
    def test_slot_that_is_none(self, named):
        """What is no number of a slot is refused with the rule at fault, and nothing is reserved."""
        ledger = Records(1)
        with pytest.raises(
            LedgerError, match=r"^the allocation rule named .* for box 0, which is not an open"
        ):
            ledger.allocate(Rule(lambda box, view, stream: named), 0, 0, STREAM)
        assert (ledger.index.room, ledger.index.lots, ledger.index.stays.boxes) == ([5, 5], {}, 0)
        ledger.check()

    def test_no_slot_reserves_nothing(self):
        """A rule that finds nothing leaves the books as they are."""
        ledger = Records(1)
        assert ledger.allocate(Rule(lambda box, view, stream: NONE), 0, 0, STREAM) == (NONE, NONE)
        assert (ledger.column_room, ledger.index.lots, ledger.index.stays.boxes) == ([[3, 2], [3, 2]], {}, 0)

    def test_rule_may_choose_the_column(self):
        """A rule that stacks names the tier column; NONE leaves the first with room."""
        ledger = Records(3)
        columns = iter([1, NONE, 1])
        rule = Rule(lambda box, view, stream: 0, column=lambda box, view, slot: next(columns))
        assert [ledger.allocate(rule, box, 0, STREAM) for box in range(3)] == [(0, 1), (0, 0), (0, 1)]
        assert ledger.column_room[0] == [2, 0]
        ledger.check()

    def test_allocated_box_is_counted(self):
        """From the reservation to the end of its stay a box counts as one of its SKU that is here."""
        ledger = Records(4)
        for box in range(3):
            ledger.allocate(CLOSEST, box, 100 * box, STREAM)
        # Boxes 0 and 2 are SKU 0, box 1 is SKU 1.
        assert (ledger.index.stays.here, ledger.index.stays.boxes) == ([2, 1], 3)
        ledger.release(2, 0, 0, 300)
        ledger.stored(0, 0, 0, 0)
        ledger.taken(0, ledger.layout.truck)
        ledger.left(0, 400)
        assert (ledger.index.stays.here, ledger.index.stays.left_boxes) == ([0, 1], [2, 0])

    def test_released_place_is_open(self):
        """A place given back is the next to be reserved, and the lot is forgotten."""
        ledger = Records(6)
        ledger.lot[:] = [3, 3, 3, 3, 4, 4]
        for box in range(4):
            ledger.allocate(CLOSEST, box, 0, STREAM)
        ledger.release(0, 0, 0, 0)
        assert ledger.allocate(CLOSEST, 4, 0, STREAM) == (0, 0)
        assert ledger.index.lots == {3: {0: 3}, 4: {0: 1}}

    def test_reservation_becomes_a_box(self):
        """A stored box fills the place that was reserved; taking it frees the place again."""
        ledger = Records(1)
        slot, column = ledger.allocate(CLOSEST, 0, 0, STREAM)
        ledger.stored(0, slot, column, 0)
        assert (ledger.place[0], ledger.column[0], ledger.tier[0]) == (0, 0, 0)
        assert (ledger.boxes_in(0), ledger.column_room[0]) == ([0], [2, 2])
        ledger.taken(0, ledger.layout.robot_place(0))
        assert (ledger.place[0], ledger.column[0], ledger.tier[0]) == (
            ledger.layout.robot_place(0),
            NONE,
            NONE,
        )
        assert (ledger.boxes_in(0), ledger.column_room[0], ledger.index.lots) == ([], [3, 2], {})
        ledger.check()

    def test_rule_is_told_the_box(self):
        """A rule sees SKU, lot, verification, meters, weight and the time of asking, not when the box leaves."""
        ledger = Records(2)
        ledger.mask[1] = 0b111
        ledger.weight_g = lambda sku, meters: 1000 * sku + meters
        told = []
        ledger.allocate(Rule(lambda box, view, stream: told.append(box) or NONE), 1, 70, STREAM)
        assert told == [(1, 1, 0, 101, 3, 70, NONE, 1003)]

    @pytest.mark.parametrize("access", ["direct", "stack_lifo"])
    @given(
        st.lists(
            st.tuples(st.sampled_from("aarxstf"), st.integers(0, 7), st.integers(0, 1), st.integers(0, 1))
        )
    )
    @settings(max_examples=150)
    def test_operations_keep_the_books(self, access, operations):
        """Allocating, reserving, releasing, storing and taking in any order: columns, slots and totals agree."""
        ledger = Records(8, access)
        reserved = {(slot, column): [] for slot in (0, 1) for column in (0, 1)}
        counted = set()
        for verb, box, slot, column in operations:
            held = reserved[slot, column]
            is_idle = ledger.column[box] == NONE and not any(box in boxes for boxes in reserved.values())
            if verb == "a" and is_idle and any(ledger.index.room):
                slot, column = ledger.allocate(CLOSEST, box, 0, STREAM)
                reserved[slot, column].append(box)
                counted.add(box)
            elif verb == "r" and is_idle and ledger.column_room[slot][column]:
                ledger.reserve(box, slot, column)
                held.append(box)
            elif verb == "x" and box in held and box in counted:
                ledger.release(box, slot, column, 0)
                held.remove(box)
                counted.discard(box)
            elif verb == "s" and box in held:
                ledger.stored(box, slot, column, ledger.cells[slot][column].index(NONE))
                held.remove(box)
            elif verb == "t" and ledger.column[box] != NONE:
                ledger.taken(box, ledger.layout.truck)
            elif verb == "f" and is_idle and ledger.column_room[slot][column]:
                ledger.found(box, slot, column, ledger.cells[slot][column].index(NONE))
            ledger.check()
            for (at, stack), boxes in reserved.items():
                standing = [each for each in ledger.cells[at][stack] if each != NONE]
                assert ledger.column_room[at][stack] == (3, 2)[stack] - len(standing) - len(boxes)
                if access == "stack_lifo":
                    room = ledger.column_room[at][stack]
                    assert ledger.index.stacks(at)[stack] == Stack(tuple(standing + boxes), room)
            lots = [ledger.lot[b] for b in range(8) if ledger.column[b] != NONE]
            lots += [ledger.lot[b] for boxes in reserved.values() for b in boxes]
            assert {lot: sum(slots.values()) for lot, slots in ledger.index.lots.items()} == {
                lot: lots.count(lot) for lot in lots
            }
            assert ledger.index.stays.boxes == len(counted)


class TestFound:
    def test_seen_box_needs_no_reservation(self):
        """A box that was seen in a slot is recorded there, on the tier where it stands, and takes its room."""
        ledger = Records(2)
        ledger.found(0, 1, 0, 2)
        assert (ledger.place[0], ledger.column[0], ledger.tier[0]) == (1, 0, 2)
        assert ledger.cells[1] == [[NONE, NONE, 0], [NONE, NONE]]
        assert (ledger.column_room[1], ledger.index.room[1]) == ([2, 2], 4)
        ledger.check()

    def test_seen_box_leaves_as_any_other(self):
        """It is taken out like a box that was put away."""
        ledger = Records(1)
        ledger.found(0, 0, 1, 0)
        ledger.taken(0, ledger.layout.outside)
        assert ledger.column_room[0] == [3, 2]
        assert ledger.index.open_places == 10
        ledger.check()

    def test_recorded_cell_is_refused(self):
        """No two boxes are recorded in one place."""
        ledger = Records(2)
        ledger.found(0, 0, 0, 1)
        with pytest.raises(LedgerError, match="slot 0 column 0 tier 1 is recorded as taken"):
            ledger.found(1, 0, 0, 1)
        ledger.check()

    def test_reserved_room_is_refused(self):
        """Room that is promised to boxes on their way is none."""
        ledger = Records(3)
        ledger.reserve(0, 0, 1)
        ledger.reserve(1, 0, 1)
        with pytest.raises(LedgerError, match="slot 0 column 1 has no room on record for box 2"):
            ledger.found(2, 0, 1, 0)
        ledger.check()


class TestStacks:
    def test_no_stacks_with_direct_access(self):
        """Where a robot reaches every box there are no stacks for a rule to look at."""
        ledger = Records(2)
        ledger.put(0, 0, 0, 0)
        assert ledger.index.stacks is None
        assert tuple(ledger.index.views[0].stacks(0)) == ()

    def test_promised_boxes_stand_on_top(self):
        """A stack is the boxes in it, from below, and then those bound for it, with the places left."""
        ledger = Records(4, "stack_lifo")
        ledger.put(0, 0, 0, 0)
        ledger.reserve(3, 0, 0)
        ledger.reserve(1, 0, 1)
        view = ledger.index.views[0]
        assert list(view.stacks(0)) == [Stack((0, 3), 1), Stack((1,), 1)]
        ledger.stored(3, 0, 0, 1)
        ledger.taken(3, ledger.layout.truck)
        assert list(view.stacks(0)) == [Stack((0,), 2), Stack((1,), 1)]

    def test_released_box_stands_nowhere(self):
        """A box that does not come after all is on no stack any more."""
        ledger = Records(2, "stack_lifo")
        for box in range(2):
            ledger.allocate(CLOSEST, box, 0, STREAM)
        ledger.release(0, 0, 0, 5)
        assert list(ledger.index.views[0].stacks(0)) == [Stack((1,), 2), Stack((), 2)]
        ledger.check()

    def test_boxes_leave_by_verification(self):
        """Boxes of SKUs that stay equally long are expected to leave by verification day."""
        ledger = Records(4, "stack_lifo")
        leaves = [ledger.index.views[0].leaves_ms(box) for box in range(4)]
        assert [b - a for a, b in pairwise(leaves)] == [DAY_MS] * 3

    def test_slow_sku_leaves_later(self):
        """A box of a SKU that stays longer is expected to leave later by the difference of the mean stays."""
        ledger = Records(4, "stack_lifo")
        stays, hour = ledger.index.stays, 3_600_000
        for k in range(100):
            for sku in (0, 1):
                stays.arrived(sku, 30 * k * hour, 100)
            stays.left(0, 30 * k * hour + hour, 100)
            stays.left(1, 30 * k * hour + 25 * hour, 100)
        leaves = [ledger.index.views[0].leaves_ms(box) for box in range(4)]
        # Boxes 1 and 2 are verified a day apart, 101 and 102, but SKU 1 stays a day longer than SKU 0.
        longer_ms = stays.stay_ms(1) - stays.stay_ms(0)
        assert leaves[2] - leaves[1] == pytest.approx(DAY_MS - longer_ms, abs=0.1)
        # A mean of 100 boxes is drawn to the mean of all (13 h) by two more: 24 h * 100 / 102.
        assert longer_ms == pytest.approx(24 * hour * 100 / 102, rel=0.03)


class TestFewestBlockings:
    """Free stacks: a box goes where the fewest boxes beneath are expected to leave before it."""

    RULE = POLICIES["fewest-blockings"]

    def store(self, days, columns=3, boxes_per_slot=2, tiers=2, skus=1):
        layout = layout_of(
            rows=1, columns=columns, levels=1, boxes_per_slot=boxes_per_slot, tiers=tiers, access="stack_lifo"
        )
        ledger = Ledger(layout, SlotIndex(layout, range(columns), Turnover([1] * skus)), [1] * columns, skus)
        for box, day in enumerate(days):
            ledger.new_box(box % skus, box, day, FULL, layout.truck)
        return ledger

    def test_young_box_goes_on_the_younger(self):
        """A box goes on one that leaves later, past one that leaves earlier, to the nearest with no blocking."""
        # Days 5, 9 stand in slots 0, 1; day 7 would block slot 0 (5 < 7) but not slot 1 (9).
        ledger = self.store([5, 9, 7])
        ledger.reserve(0, 0, 0)
        ledger.reserve(1, 1, 0)
        assert ledger.allocate(self.RULE, 2, 0, STREAM) == (1, 0)

    def test_promised_boxes_count(self):
        """A box that is only bound for a stack counts like one that stands in it."""
        ledger = self.store([5, 9, 7], columns=2)
        ledger.reserve(0, 0, 0)
        ledger.stored(0, 0, 0, 0)
        ledger.reserve(1, 1, 0)
        assert ledger.allocate(self.RULE, 2, 0, STREAM) == (1, 0)

    def test_nearest_of_equally_few(self):
        """When every stack would be blocked the nearest with the fewest beneath is named."""
        # Three stacks of three: [1, 2], [1], [1]; a box of day 9 blocks 2, 1, 1.
        ledger = self.store([1, 2, 1, 1, 9], boxes_per_slot=3, tiers=3)
        for box, slot in enumerate((0, 0, 1, 2)):
            ledger.reserve(box, slot, 0)
        assert ledger.allocate(self.RULE, 4, 0, STREAM) == (1, 0)

    def test_equal_days_block_nothing(self):
        """Boxes that are expected to leave at the same time do not block one another."""
        ledger = self.store([5, 5])
        ledger.reserve(0, 0, 0)
        assert ledger.allocate(self.RULE, 1, 0, STREAM) == (0, 0)

    def test_column_of_the_slot(self):
        """Within the slot it takes the stack with the fewest beneath that leave earlier, the first of several."""
        # One slot of two stacks of two; day 3 stands in stack 0: day 5 blocks it and goes to stack 1, day 2 not.
        ledger = self.store([3, 5, 2], columns=1, boxes_per_slot=4)
        ledger.reserve(0, 0, 0)
        assert ledger.allocate(self.RULE, 1, 0, STREAM) == (0, 1)
        assert ledger.allocate(self.RULE, 2, 0, STREAM) == (0, 0)

    def test_full_stack_is_passed_over(self):
        """A full stack of an open slot is not named, however few it would block."""
        # Stack 0 holds days 9, 9 (full); stack 1 holds day 1: day 5 blocks it, and has nowhere else to go.
        ledger = self.store([9, 9, 1, 5], columns=1, boxes_per_slot=4)
        for box, column in enumerate((0, 0, 1)):
            ledger.reserve(box, 0, column)
        assert ledger.allocate(self.RULE, 3, 0, STREAM) == (0, 1)

    @given(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 1)), max_size=14),
        st.integers(0, 9),
        st.booleans(),
    )
    @settings(max_examples=150)
    def test_rule_equals_obvious(self, rows, day, is_blocked):
        """In any state: of all stacks with room, by blockings, then port time, then number."""
        ledger = self.store([*(day for day, _, _ in rows), day], columns=4, boxes_per_slot=4)
        stacks = {(slot, column): [] for slot in range(4) for column in range(2)}
        for box, (_, slot, column) in enumerate(rows):
            if len(stacks[slot, column]) < 2:
                ledger.reserve(box, slot, column)
                stacks[slot, column].append(box)
                if box % 2:
                    ledger.stored(box, slot, column, ledger.cells[slot][column].index(NONE))
                    # What stands lies beneath what is on its way.
                    stacks[slot, column].sort(key=lambda each: ledger.column[each] == NONE)
        ledger.index.block(0, is_blocked)
        choices = [
            (sum(rows[below][0] < day for below in boxes), slot, column)
            for (slot, column), boxes in stacks.items()
            if len(boxes) < 2 and not (slot == 0 and is_blocked)
        ]
        expected = min(choices)[1:] if choices else (NONE, NONE)
        assert ledger.allocate(self.RULE, len(rows), 0, STREAM) == expected
        ledger.check()


class TestReadyBoxes:
    def test_nearness_is_to_the_outbound_port(self):
        """A ready box in a slot is as far as its slot, one outside the racks 0 ms."""
        ledger = Records(3)
        ledger.put(0, 0, 0, 0)
        ledger.put(1, 1, 0, 0)
        ledger.moved(2, ledger.layout.staging)
        for box in range(3):
            ledger.add_ready(box)
        assert [ledger.ready.keys_of(box % 2, 100 + box) for box in range(3)] == [
            [7 << 40 | 0],
            [8 << 40 | 1],
            [2],
        ]

    def test_blockers_stand_above(self):
        """Blockers are the boxes on the tiers above, in the same column only."""
        ledger = Records(4)
        for tier, box in enumerate((0, 1, 2)):
            ledger.put(box, 0, 0, tier)
        ledger.put(3, 0, 1, 0)
        assert [ledger.blockers(box) for box in range(4)] == [2, 1, 0, 0]
        ledger.taken(2, ledger.layout.truck)
        assert [ledger.blockers(box) for box in range(4)] == [1, 0, 0, 0]

    def test_boxes_come_by_column_and_tier(self):
        """The boxes of a slot are listed by column, then from below."""
        ledger = Records(4)
        for box, column, tier in ((0, 1, 0), (1, 0, 1), (2, 0, 0), (3, 1, 1)):
            ledger.put(box, 0, column, tier)
        assert ledger.boxes_in(0) == [2, 1, 0, 3]


class TestCheck:
    def fault(self, plant):
        ledger = Records(3)
        ledger.put(0, 0, 0, 0)
        ledger.check()
        plant(ledger)
        with pytest.raises(LedgerError) as error:
            ledger.check()
        return str(error.value)

    def test_too_much_room_is_found(self):
        """A column that has room for more boxes than places are left."""

        def widen(ledger):
            ledger.column_room[0][0] = 3
            ledger.index.room[0] += 1

        assert self.fault(widen) == "slot 0 column 0: 1 boxes, room 3"

    def test_negative_room_is_found(self):
        """A column with less than no room."""

        def narrow(ledger):
            ledger.column_room[0][1] = -1

        assert self.fault(narrow) == "slot 0 column 1: 0 boxes, room -1"

    def test_index_apart_is_found(self):
        """Open places that allocation sees but no column has."""

        def lose(ledger):
            ledger.column_room[1][0] = 2

        assert self.fault(lose) == "slot 1: index room 5, columns 4"

    @pytest.mark.parametrize("state", [IN_TRANSIT, RESERVED, OVERDUE, ISSUED])
    def test_wrong_offer_is_found(self, state):
        """A box offered to orders that is not qualified and free."""

        def offer(ledger):
            ledger.add_ready(0)
            ledger.state[0] = state

        assert self.fault(offer) == f"box 0 is offered to orders but is {STATES[state]}"

    def test_promised_offer_is_found(self):
        """A box offered to orders that belongs to one."""

        def offer(ledger):
            ledger.add_ready(0)
            ledger.order[0] = 5

        assert self.fault(offer).startswith("box 0 is offered to orders")

    def test_differences_name_the_boxes(self):
        """Boxes whose recorded place is not the true one are listed."""
        ledger = Records(3)
        stock = Stock(ledger.layout, stacked=False)
        for _ in range(3):
            stock.new_box(ledger.layout.truck, FULL)
        assert ledger.differences(stock) == []
        stock.move(1, ledger.layout.staging)
        assert ledger.differences(stock) == [1]

    def test_differences_of_height_and_meters(self):
        """A box on another tier, or with other meters than recorded, differs too; damage alone does not."""
        ledger = Records(3)
        stock = Stock(ledger.layout, stacked=False)
        for box in range(3):
            stock.new_box(ledger.layout.truck, FULL)
            stock.put_at(box, 0, 0, box)
            ledger.put(box, 0, 0, (1, 0, 2)[box])
        assert ledger.differences(stock) == [0, 1]
        stock.damaged[2] = 1
        assert ledger.differences(stock) == [0, 1]
        stock.lose_meters(2, 1)
        assert ledger.differences(stock) == [0, 1, 2]
