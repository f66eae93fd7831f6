"""What is recorded: states, reservations per tier column, and the faults that `check` finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import SlotIndex
from sim.assets import STATE_CODES, STATES, TRANSITIONS, IllegalMove
from sim.facts import NONE
from sim.ledger import IN_TRANSIT, ISSUED, OVERDUE, QUALIFIED, RESERVED, Ledger, LedgerError
from sim.stock import Stock
from tests.worlds import layout_of

FULL = (1 << 15) - 1


class Records(Ledger):
    """A ledger of two slots with a column of three and one of two places each, and its layout."""

    def __init__(self, boxes=0):
        self.layout = layout_of(rows=1, columns=2, levels=1, boxes_per_slot=5, tiers=3)
        super().__init__(self.layout, SlotIndex(self.layout, [10, 20]), [7, 8], 2)
        for box in range(boxes):
            self.new_box(box % 2, box // 2, 100 + box, FULL, self.layout.truck)
            self.set_state(box, QUALIFIED)

    def put(self, box, slot, column, tier):
        self.reserve_column(slot, column, self.lot[box])
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
        ledger = Records()
        assert [ledger.reserve_place(0, 0) for _ in range(5)] == [0, 0, 0, 1, 1]
        assert ledger.column_room == [[0, 0], [3, 2]]
        ledger.check()

    def test_full_slot_refuses(self):
        """A sixth place in a slot of five is a bug, named by slot."""
        ledger = Records()
        for _ in range(5):
            ledger.reserve_place(0, 0)
        with pytest.raises(LedgerError, match="slot 0 has no column with room"):
            ledger.reserve_place(0, 0)
        ledger.check()

    def test_full_column_refuses(self):
        """A third place in a column of two is a bug, named by slot and column."""
        ledger = Records()
        for _ in range(2):
            ledger.reserve_column(1, 1, 0)
        with pytest.raises(LedgerError, match="slot 1 column 1 has no room"):
            ledger.reserve_column(1, 1, 0)
        ledger.check()

    def test_released_place_is_open(self):
        """A place given back is the next to be reserved, and the lot is forgotten."""
        ledger = Records()
        for _ in range(4):
            ledger.reserve_place(0, 3)
        ledger.release_place(0, 0, 3)
        assert ledger.reserve_place(0, 4) == 0
        assert ledger.index.lots == {3: {0: 3}, 4: {0: 1}}

    def test_reservation_becomes_a_box(self):
        """A stored box fills the place that was reserved; taking it frees the place again."""
        ledger = Records(1)
        column = ledger.reserve_place(0, 0)
        ledger.stored(0, 0, column, 0)
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

    @given(
        st.lists(st.tuples(st.sampled_from("rcxst"), st.integers(0, 7), st.integers(0, 1), st.integers(0, 1)))
    )
    @settings(max_examples=150)
    def test_operations_keep_the_books(self, operations):
        """Reserving, releasing, storing and taking in any order: columns, slots and totals agree."""
        ledger = Records(8)
        reserved = {(slot, column): [] for slot in (0, 1) for column in (0, 1)}
        for verb, box, slot, column in operations:
            held, lot = reserved[slot, column], ledger.lot[box]
            if verb == "r" and sum(ledger.column_room[slot]):
                reserved[slot, ledger.reserve_place(slot, lot)].append(lot)
            elif verb == "c" and ledger.column_room[slot][column]:
                ledger.reserve_column(slot, column, lot)
                held.append(lot)
            elif verb == "x" and lot in held:
                ledger.release_place(slot, column, lot)
                held.remove(lot)
            elif verb == "s" and lot in held and ledger.column[box] == NONE:
                ledger.stored(box, slot, column, ledger.cells[slot][column].index(NONE))
                held.remove(lot)
            elif verb == "t" and ledger.column[box] != NONE:
                ledger.taken(box, ledger.layout.truck)
            ledger.check()
            for (at, stack), lots in reserved.items():
                boxes = sum(1 for each in ledger.cells[at][stack] if each != NONE)
                assert ledger.column_room[at][stack] == (3, 2)[stack] - boxes - len(lots)


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
            ledger.index.open_places += 1

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

    def test_wrong_total_is_found(self):
        """A total of open places that is not the sum of the slots."""

        def count(ledger):
            ledger.index.open_places += 1

        assert self.fault(count) == "the count of open places is wrong"

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
