"""Retrieval: every rule against an obvious one over all boxes, and the list of ready boxes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import SlotIndex
from sim.facts import NONE
from sim.ledger import Ledger
from sim.retrieval import RETRIEVAL, BoxesView, ReadyBoxes
from tests.worlds import layout_of

FULL = (1 << 15) - 1


class Box:
    """A box as the obvious rules see it."""

    def __init__(self, number, sku, day, received, out_ms, above):
        self.number, self.sku, self.day, self.received = number, sku, day, received
        self.out_ms, self.above = out_ms, above


# The rules again, in the most obvious form; `boxes` are the ready ones of the SKU.
OBVIOUS = {
    "fefo": lambda boxes, tolerance: min(
        [b for b in boxes if b.day <= min(each.day for each in boxes) + tolerance],
        key=lambda b: (b.out_ms, b.number),
    ),
    "fifo": lambda boxes, tolerance: min(boxes, key=lambda b: (b.received, b.number)),
    "lifo": lambda boxes, tolerance: max(boxes, key=lambda b: (b.received, b.number)),
    "nearest": lambda boxes, tolerance: min(boxes, key=lambda b: (b.out_ms, b.number)),
    "fewest-digs": lambda boxes, tolerance: min(boxes, key=lambda b: (b.above, b.day, b.out_ms, b.number)),
}


class Store:
    """A ledger of three slots of two stacks of three, filled with the given (sku, day, received) boxes."""

    def __init__(self, rows, tolerance=0, out_ms=(10, 10, 20), skus=2):
        layout = layout_of(rows=1, columns=3, levels=1, boxes_per_slot=6, tiers=3)
        self.ledger = Ledger(layout, SlotIndex(layout, range(3)), list(out_ms), skus)
        self.view = BoxesView(self.ledger, self.ledger.ready, tolerance)
        self.tolerance = tolerance
        self.boxes = []
        for number, (sku, day, received) in enumerate(rows):
            slot, column, tier = number % 3, number // 3 % 2, number // 6
            self.ledger.new_box(sku, number, day, FULL, slot)
            self.ledger.received_ms[number] = received
            if tier < 3:
                self.ledger.reserve(number, slot, column)
                self.ledger.stored(number, slot, column, tier)
            else:  # more boxes than places: they wait in staging, 0 ms from the port
                self.ledger.moved(number, layout.staging)
            self.ledger.add_ready(number)
            at = out_ms[slot] if tier < 3 else 0
            self.boxes.append(Box(number, sku, day, received, at, NONE))
        for box in self.boxes:
            n = box.number
            on_top = [m for m in range(n + 6, len(rows), 6) if m // 6 < 3]
            box.above = len(on_top) if n // 6 < 3 else 0

    def remove(self, number):
        self.ledger.ready.remove(number)
        self.boxes = [box for box in self.boxes if box.number != number]

    def expected(self, rule, sku):
        boxes = [box for box in self.boxes if box.sku == sku]
        return OBVIOUS[rule](boxes, self.tolerance).number if boxes else NONE


rows = st.lists(st.tuples(st.integers(0, 1), st.integers(100, 109), st.integers(-5, 5)), max_size=24)


class TestRules:
    @pytest.mark.parametrize("rule", sorted(RETRIEVAL))
    @given(rows, st.integers(0, 5), st.integers(0, 1), st.sets(st.integers(0, 23)))
    @settings(max_examples=60)
    def test_rule_equals_obvious(self, rule, rows, tolerance, sku, gone):
        """A rule names the box that its sentence says, whatever boxes have come and gone."""
        store = Store(rows, tolerance)
        for number in sorted(gone):
            if number < len(rows):
                store.remove(number)
        assert RETRIEVAL[rule](sku, store.view) == store.expected(rule, sku)

    def test_fefo_within_tolerance(self):
        """Three days of tolerance: the nearest box among those due on days 100 to 103 leaves, not day 104's."""
        # Box 0 (day 100) and 1 (day 103) are 20 and 15 ms away, box 2 (day 104) only 5 ms.
        store = Store([(0, 100, 0), (0, 103, 0), (0, 104, 0)], tolerance=3, out_ms=(20, 15, 5))
        assert RETRIEVAL["fefo"](0, store.view) == 1

    def test_fefo_without_tolerance(self):
        """No tolerance: the earliest day leaves first, however far."""
        store = Store([(0, 100, 0), (0, 101, 0)], tolerance=0, out_ms=(20, 5, 5))
        assert RETRIEVAL["fefo"](0, store.view) == 0

    def test_fefo_counts_from_the_first(self):
        """The tolerance runs from the first box that is ready, not from the first of all."""
        store = Store([(0, 100, 0), (0, 103, 0), (0, 106, 0)], tolerance=3, out_ms=(20, 15, 5))
        store.remove(0)
        assert RETRIEVAL["fefo"](0, store.view) == 2

    def test_staging_is_nearest(self):
        """A box in staging is 0 ms from the outbound port."""
        store = Store([(0, 100, 0)] * 19)
        assert RETRIEVAL["nearest"](0, store.view) == 18

    def test_fewest_digs_takes_the_top(self):
        """The top box of a stack leaves before an older one under it."""
        # Boxes 0 and 6 stand in slot 0, stack 0: box 6 on box 0; no other box of SKU 0.
        store = Store([(0, 100, 0), *[(1, 100, 0)] * 5, (0, 105, 0)])
        assert RETRIEVAL["fewest-digs"](0, store.view) == 6

    def test_lifo_breaks_ties_by_number(self):
        """Of boxes received together the highest number leaves last-in-first-out, the lowest first-in-first-out."""
        store = Store([(0, 100, 7)] * 3)
        assert (RETRIEVAL["lifo"](0, store.view), RETRIEVAL["fifo"](0, store.view)) == (2, 0)


class TestView:
    @given(rows, st.integers(0, 5))
    @settings(max_examples=40)
    def test_rules_change_nothing(self, rows, tolerance):
        """Asking every rule leaves the ready boxes and all answers as they were."""
        store = Store(rows, tolerance)
        before = sorted(store.ledger.ready), list(store.ledger.ready.counts)
        first = [rule(sku, store.view) for rule in RETRIEVAL.values() for sku in (0, 1)]
        assert [rule(sku, store.view) for rule in RETRIEVAL.values() for sku in (0, 1)] == first
        assert (sorted(store.ledger.ready), list(store.ledger.ready.counts)) == before

    def test_view_takes_no_attributes(self):
        """A rule can neither set the tolerance nor add anything."""
        view = Store([]).view
        for name in ("tolerance_days", "days", "anything"):
            with pytest.raises(AttributeError):
                setattr(view, name, 1)

    def test_view_hands_out_copies(self):
        """The days that the view gives cannot be changed."""
        assert isinstance(Store([(0, 100, 0)]).view.days(0), tuple)

    def test_view_tells_the_box(self):
        """The view gives days, boxes in order, receipt, verification and blockers."""
        store = Store([(0, 101, 3), (0, 100, 4), (1, 99, 5)])
        view = store.view
        assert view.days(0) == (100, 101)
        assert list(view.boxes(0)) == [1, 0]
        assert (view.received_ms(1), view.verified_day(1), view.blockers(1)) == (4, 100, 0)


class TestReady:
    @given(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 5)), max_size=30), st.data()
    )
    @settings(max_examples=60)
    def test_ready_equals_sorting(self, rows, data):
        """Boxes come by day, then nearness, then number, after any additions and removals."""
        ready = ReadyBoxes(2)
        kept = {}
        for box, (sku, day, near) in enumerate(rows):
            ready.add(box, sku, day, near)
            kept[box] = (sku, day, near)
            if data.draw(st.booleans()):
                gone = data.draw(st.sampled_from(sorted(kept)))
                ready.remove(gone)
                del kept[gone]
        for sku in (0, 1):
            mine = {box: row for box, row in kept.items() if row[0] == sku}
            assert ready.counts[sku] == len(mine)
            assert ready.days(sku) == sorted({day for _, day, _ in mine.values()})
            for day in ready.days(sku):
                of_day = sorted((near, box) for box, (_, d, near) in mine.items() if d == day)
                assert ready.keys_of(sku, day) == [near << 40 | box for near, box in of_day]
        assert sorted(ready) == sorted(kept)
        assert all(box in ready for box in kept)

    def test_removing_twice(self):
        """A box that is not ready cannot be taken out."""
        ready = ReadyBoxes(1)
        ready.add(3, 0, 100, 5)
        ready.remove(3)
        with pytest.raises(KeyError):
            ready.remove(3)


class TestByReceipt:
    @given(st.lists(st.tuples(st.integers(0, 11), st.integers(-3, 3)), max_size=80), st.integers(1, 5))
    @settings(max_examples=100)
    def test_first_and_last_as_boxes_come_and_go(self, changes, every):
        """Whatever comes, goes and comes back between two questions, the first and the last are named."""
        ready, received = ReadyBoxes(2), [NONE] * 12
        here = set()
        for turn, (box, ms) in enumerate(changes):
            if box in here:
                ready.remove(box)
                here.remove(box)
            else:
                received[box] = ms
                ready.add(box, box % 2, 100 + ms, ms + 3)
                here.add(box)
            if turn % every:
                continue
            for sku in range(2):
                keys = [(received[each], each) for each in here if each % 2 == sku]
                first, last = min(keys, default=(0, NONE)), max(keys, default=(0, NONE))
                assert (ready.by_receipt(sku, received, 1), ready.by_receipt(sku, received, -1)) == (
                    first[1],
                    last[1],
                )

    def test_queue_stays_short(self):
        """A box that comes and goes for ever does not make the queue long, asked or not."""
        ready = ReadyBoxes(1)
        ready.add(0, 0, 100, 5)
        ready.by_receipt(0, [7], 1)
        for turn in range(1000):
            ready.remove(0)
            ready.add(0, 0, 100, 5)
            if turn % 3:
                assert ready.by_receipt(0, [7], 1) == 0
        assert all(len(heap) + len(come) < 200 for heap, come in ready._queues.values())
