"""The other flows: what comes back, what leaves without an order, recalls, and the empty boxes.

Boxes come back unused, or from the laboratory with a new day of verification; meters that crews removed from
customers come in boxes of a SKU of their own, are sorted by people, kept for some time, and leave to be
scrapped, to be tested or to their maker. What leaves without an order is fetched a few boxes at a time while
no order waits, checked at the outbound port, and gone. Every draw belongs to a box or an order by number.
Left out: the handling of empty boxes, and what a vehicle that brings returns can carry.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import StrictBool
from simpy import Timeout

from sim.assets import STATE_CODES
from sim.calendar import DAY_MS, clock_ms
from sim.calendar import Clock as TimeOfDay
from sim.control import ControlParams, RecallParams
from sim.facts import (
    EMPTIES_AT,
    ISSUE,
    NONE,
    RECALLED,
    REMOVED,
    REVERIFIED,
    SCRAPPED,
    TRANSFERRED,
    UNUSED,
)
from sim.ledger import OVERDUE, QUARANTINED
from sim.params import JsonFloat, JsonInt, Params, fact

if TYPE_CHECKING:
    from sim.calendar import WorkCalendar
    from sim.people import Truck
    from sim.robots import Life
    from sim.streams import Streams
    from sim.warehouse import Order, Warehouse

FIRST_VEHICLE: Final = 1_000_000
"""Vehicles that bring boxes back are numbered as trucks from here on."""

RETRY_MS: Final = 60_000
"""So often it is tried again to fetch boxes that could not be had, or had to wait for orders."""

REMOVED_FROM_SITE: Final = STATE_CODES["removed_pending_return"]
RETURNED: Final = STATE_CODES["returned_pending_sort"]
PENDING_VERIFICATION: Final = STATE_CODES["pending_verification"]
IN_VERIFICATION: Final = STATE_CODES["in_verification"]
PENDING_SCRAP: Final = STATE_CODES["pending_scrap"]
PENDING_TEST: Final = STATE_CODES["pending_test"]
TO_MAKER: Final = STATE_CODES["to_maker"]
SCRAPPED_STATE: Final = STATE_CODES["scrapped"]


class ReturnsParams(Params):
    """What comes back from the stations: boxes that nobody opened, and meters removed from customers."""

    unused_share: JsonFloat = fact(
        0.0, "share of whole boxes handed over that come back unopened; 0: none", origin="assumption",
        ge=0, le=1,
    )  # fmt: skip
    unused_days_min: JsonInt = fact(
        2, "least time until such a box comes back", unit="days", origin="assumption", ge=1, le=3650
    )
    unused_days_max: JsonInt = fact(
        14, "greatest time until such a box comes back", unit="days", origin="assumption", ge=1, le=3650
    )
    share_here: JsonFloat = fact(
        0.0, "share of the removed meters that this store takes in; 0: they stay outside",
        origin="assumption", ge=0, le=1,
    )  # fmt: skip
    sku: str | None = fact(
        None,
        "SKU of the removed meters, which nobody orders; layout.restricted with its device class gives them"
        " slots of their own",
        min_length=1,
    )
    removed_per_issued: JsonFloat = fact(
        0.85, "meters removed for each one issued", unit="meters", origin="assumption", ge=0, le=10
    )
    removed_days_min: JsonInt = fact(
        3, "least time from hand-over to the return of the removed meters", unit="days",
        origin="assumption", ge=1, le=3650,
    )  # fmt: skip
    removed_days_max: JsonInt = fact(
        30, "greatest time from hand-over to the return of the removed meters", unit="days",
        origin="assumption", ge=1, le=3650,
    )  # fmt: skip
    arrive_at: TimeOfDay = fact("16:00", "time of day at which returns arrive", origin="assumption")
    sort_s: JsonFloat = fact(
        90.0, "to sort a box of removed meters by hand", unit="s/box", origin="assumption", ge=0, le=86400
    )
    hold_days: JsonInt = fact(
        60, "removed meters are kept so long before they leave, in case of a dispute", unit="days",
        origin="standard", ge=0, le=3650,
    )  # fmt: skip
    test_share: JsonFloat = fact(
        0.1, "share of the boxes of removed meters that go to be tested", origin="assumption", ge=0, le=1
    )
    maker_share: JsonFloat = fact(
        0.1, "share of those that go back to their maker; the rest is scrapped", origin="assumption",
        ge=0, le=1,
    )  # fmt: skip


class ReverifyParams(Params):
    """Boxes whose verification has become too old: they leave to be verified again, and come back."""

    on: StrictBool = fact(False, "whether overdue boxes are sent to be verified again")
    at: TimeOfDay = fact(
        "08:00",
        "time of a working day from which overdue boxes, and removed meters kept long enough, are fetched",
        origin="assumption",
    )
    days_min: JsonInt = fact(
        3, "shortest absence; a box comes back on a working day", unit="days", origin="assumption", ge=1,
        le=3650,
    )  # fmt: skip
    days_max: JsonInt = fact(10, "longest absence", unit="days", origin="assumption", ge=1, le=3650)
    arrive_at: TimeOfDay = fact("10:00", "time of day at which verified boxes arrive", origin="assumption")


class EmptiesParams(Params):
    """Empty boxes: they come back from the stations, stand nested in staging, and trucks collect them."""

    track: StrictBool = fact(
        False, "whether empty boxes are kept account of; else they leave the model at once"
    )
    days_min: JsonInt = fact(
        5, "least time until a box handed over comes back empty", unit="days", origin="assumption", ge=1,
        le=3650,
    )  # fmt: skip
    days_max: JsonInt = fact(
        30, "greatest time until a box handed over comes back empty", unit="days", origin="assumption",
        ge=1, le=3650,
    )  # fmt: skip
    nested: JsonInt = fact(
        4, "empty boxes that stand nested on one floor place", unit="boxes", origin="assumption", ge=1,
        le=1000,
    )  # fmt: skip
    per_truck: JsonInt = fact(
        300, "empty boxes that a truck takes along when it is unloaded", unit="boxes",
        origin="assumption", ge=0, le=100_000,
    )  # fmt: skip


class Away(NamedTuple):
    """What was in a box when it left: meters in truth and on record, and those damaged, as masks."""

    mask: int
    recorded: int
    damaged: int


class Comeback(NamedTuple):
    """A box on its way back: cause (of facts.RETURNS), order, content, new day of verification or NONE."""

    box: int
    cause: int
    order: int
    away: Away
    verified_day: int


class Flows:
    """The flows of one run beside supply and orders, and the boxes that are to leave without an order.

    Parameters
    ----------
    warehouse : the store; its `flows` is to be set to this object.
    calendar : its working days.
    streams : of the run; used are `returns.*`, `reverify.*` and `empties.*`.
    skus : the names of the SKUs, by number.
    """

    def __init__(
        self,
        warehouse: "Warehouse",
        calendar: "WorkCalendar",
        streams: "Streams",
        *,
        returns: ReturnsParams | None = None,
        reverify: ReverifyParams | None = None,
        empties: EmptiesParams | None = None,
        control: ControlParams | None = None,
        skus: Sequence[str] = (),
    ) -> None:
        self.returns = ReturnsParams() if returns is None else returns
        self.reverify = ReverifyParams() if reverify is None else reverify
        self.control = ControlParams() if control is None else control
        takes_removed = self.returns.sku is not None and self.returns.share_here > 0
        self.removed_sku = skus.index(self.returns.sku) if takes_removed and self.returns.sku else NONE
        """The SKU of removed meters, NONE when they stay outside."""
        self.recalled: set[int] = set()
        """Lots that are recalled: no box of them may be had any more."""
        self._house = warehouse
        self._skus = skus
        self._calendar = calendar
        self._streams = streams
        empties = EmptiesParams() if empties is None else empties
        self.empties = Empties(warehouse, empties) if empties.track else None
        self._wanted: dict[int, int] = {}
        self._going: dict[int, int] = {}
        self._transfers: dict[int, int] = {}
        self._kept: dict[int, tuple[int, int]] = {}
        self._due: dict[int, list[Comeback]] = {}
        self._verified_due: dict[int, list[Comeback]] = {}
        self._empties_due: dict[int, int] = {}
        self._removed_due: dict[int, int] = {}
        self._removed_rest = 0
        self._handed: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self._vehicles = 0
        self._is_waiting = False
        self._most_at_once = _most_at_once(warehouse)

    def adopt(self, control: ControlParams) -> None:
        """Go on with another order in which boxes leave, and with tours of another size."""
        self.control = control
        self._most_at_once = _most_at_once(self._house)

    def is_to_be_transferred(self, box: int) -> bool:
        """Whether a box is to go to another slot, or is on its way there."""
        waits = self._wanted.get(box) == TRANSFERRED
        return waits or (self._going.get(box) == TRANSFERRED and self._house.is_on_its_way_out(box))

    def start(self) -> None:
        """Begin what happens by the calendar."""
        env, returns = self._house.env, self.returns
        takes_removed = self.removed_sku != NONE
        if takes_removed:
            self._chain_hand_over()
        if takes_removed or returns.unused_share or self.empties is not None:
            env.process(self._on_working_days(clock_ms(returns.arrive_at), self._bring_returns))
        if takes_removed or self.reverify.on:
            env.process(self._on_working_days(clock_ms(self.reverify.at), self._send))
        if self.reverify.on:
            env.process(self._on_working_days(clock_ms(self.reverify.arrive_at), self._bring_verified))
        for recall in sorted(self.control.recalls, key=lambda r: (r.day, clock_ms(r.at))):
            env.process(self._recall_on(recall))

    # -- what the warehouse tells -----------------------------------------------------------------

    def handed_over(self, box: int, order: int) -> None:
        """A whole box is about to be handed over: it may come back unused, or empty."""
        returns, today = self.returns, self._today()
        if self.empties is None and not returns.unused_share:
            return
        if self.empties is not None:
            self.empties.handed_over()
        occurrence = self._handed.get(box, 0)
        self._handed[box] = occurrence + 1
        u = self._streams["returns.unused"].uniform(box, occurrence)
        if u < returns.unused_share:
            lag = self._streams["returns.unused_days"].uniform(box, occurrence)
            day = self._later(today, lag, returns.unused_days_min, returns.unused_days_max)
            back = Comeback(box, UNUSED, order, self._content(box), NONE)
            self._due.setdefault(day, []).append(back)
        elif self.empties is not None:
            lag = self._streams["empties.days"].uniform(box, occurrence)
            params = self.empties.params
            day = self._later(today, lag, params.days_min, params.days_max)
            self._empties_due[day] = self._empties_due.get(day, 0) + 1

    def emptied(self) -> None:
        """The last meter has left a box at the pick station."""
        if self.empties is not None:
            self.empties.emptied()

    def received(self, box: int, truck: "Truck") -> None:
        """A box has passed the receiving scan; a truck that is unloaded takes empty boxes along."""
        if self._house.ledger.lot[box] in self.recalled:
            self.keeps(box)
        if self.empties is not None and not truck.left and truck.number < FIRST_VEHICLE:
            self.empties.collect()

    def keeps(self, box: int) -> bool:
        """Whether a box that could be had again may not: it is recalled, or holds removed meters."""
        house = self._house
        if house.ledger.lot[box] in self.recalled:
            house.withhold([box])
            self.want(box, RECALLED)
            return True
        if box in self._kept:
            house.keep_for_scrap(box)
            self._kept[box] = self._kept[box][0], SCRAPPED_STATE
            return True
        return False

    def out(self, box: int) -> None:
        """A box that was to leave stands at the port and is checked: it goes."""
        house, cause = self._house, self._going.pop(box)
        if cause == TRANSFERRED:
            house.turn_round(box, self._transfers.pop(box))
        elif cause == REVERIFIED:
            self._to_laboratory(box)
        elif cause == RECALLED:
            house.leave(box, RECALLED, (TO_MAKER,))
        elif box in self._kept and self._kept[box][1] != SCRAPPED_STATE:
            house.leave(box, REMOVED, ())
        else:
            house.leave(box, SCRAPPED, (SCRAPPED_STATE,))
        self._kept.pop(box, None)
        self.fetch()

    # -- what leaves without an order ---------------------------------------------------------------

    def want(self, box: int, cause: int, *, is_coming: bool = False) -> None:
        """Have a box fetched for a cause of facts.RETURNS; one that is coming anyway gets another cause."""
        self._want(box, cause, is_coming=is_coming)
        self.fetch()

    def _want(self, box: int, cause: int, *, is_coming: bool = False) -> None:
        if is_coming or (box in self._going and self._house.is_on_its_way_out(box)):
            self._wanted.pop(box, None)
            self._going[box] = cause
        else:
            self._going.pop(box, None)
            self._wanted[box] = cause

    def transfer(self, box: int, slot: int) -> None:
        """Have a box go to another slot, by the ports."""
        self._transfers[box] = slot
        self.want(box, TRANSFERRED)

    def fetch(self) -> None:
        """Send for boxes that are wanted: a few at a time while no order waits for a robot."""
        house = self._house
        for box, cause in list(self._going.items()):
            if house.call_back(box):
                self._wanted[box] = cause
            if not house.is_on_its_way_out(box):  # or missed on its way, or found to be elsewhere
                del self._going[box]
        tasks = house.fleet.waiting[ISSUE]
        orders_wait = any(task.order != NONE and not task.cancelled for task in tasks)
        # Recalled boxes come first, and of free stacks what stands highest.
        for box, cause in sorted(self._wanted.items(), key=self._turn):
            has_turn = not orders_wait and len(self._going) < self._most_at_once
            if house.is_gone(box):
                del self._wanted[box]
                self._transfers.pop(box, None)
            elif (has_turn or (cause == RECALLED and self.control.recall_first)) and house.send_out(box):
                self._going[box] = self._wanted.pop(box)
        if self._wanted and not self._is_waiting:
            self._is_waiting = True
            house.env.process(self._try_again())

    def _turn(self, wanted: tuple[int, int]) -> tuple[bool, int]:
        box, cause = wanted
        stock = self._house.stock
        return cause != RECALLED, self._house.ledger.blockers(box) if stock.stacked else 0

    def _try_again(self) -> "Life":
        yield Timeout(self._house.env, RETRY_MS)
        self._is_waiting = False
        self.fetch()

    def _to_laboratory(self, box: int) -> None:
        house, params = self._house, self.reverify
        # A box that is on hold since a count has to be checked all the same.
        is_held = house.ledger.state[box] == QUARANTINED
        content = self._content(box)
        house.leave(
            box, REVERIFIED, (PENDING_VERIFICATION, IN_VERIFICATION) if is_held else (IN_VERIFICATION,)
        )
        occurrence = self._sent.get(box, 0)
        self._sent[box] = occurrence + 1
        u = self._streams["reverify.days"].uniform(box, occurrence)
        day = self._later(self._today(), u, params.days_min, params.days_max)
        back = Comeback(box, REVERIFIED, NONE, content, self._calendar.ordinal(day))
        self._verified_due.setdefault(day, []).append(back)

    def _send(self, day: int) -> None:
        """The work of a morning: what is overdue, and removed meters that were kept long enough."""
        house = self._house
        if self.reverify.on:
            for box, state in enumerate(house.ledger.state):
                if state == OVERDUE and box not in house.missing:
                    self._want(box, REVERIFIED)
        for box, (until, _) in self._kept.items():
            is_sorted = house.ledger.state[box] in (PENDING_SCRAP, PENDING_TEST, TO_MAKER)
            if until <= day and is_sorted and box not in house.missing:
                self._want(box, SCRAPPED)
        self.fetch()

    # -- what comes back ------------------------------------------------------------------------------

    def _bring_returns(self, day: int) -> None:
        """The returns of a day: unused boxes, empty ones, and removed meters as far as they fill boxes."""
        unused = self._due.pop(day, [])
        if self.empties is not None:
            self.empties.taken_back(len(unused))
            self.empties.came_back(self._empties_due.pop(day, 0))
        if unused:
            self._house.come_back(self._vehicle(), unused, by_hand=True)
        boxes = 0
        if self.removed_sku != NONE:
            rest = self._removed_rest + self._removed_due.pop(day, 0)
            boxes, self._removed_rest = divmod(rest, 1000 * self._house.ledger.full[self.removed_sku])
        if boxes:
            ms = round(1000 * self.returns.sort_s)
            states = (REMOVED_FROM_SITE, RETURNED)
            for box in self._house.removed_come(self.removed_sku, boxes, states):
                self._kept[box] = day + self.returns.hold_days, SCRAPPED_STATE
                self._house.people.post_sort(box, ms, self._sorter(box))

    def _sorter(self, box: int) -> Callable[[int], None]:
        return lambda _: self._sorted(box)

    def _sorted(self, box: int) -> None:
        """A box of removed meters is sorted: what becomes of it is known, and it waits for that in a slot."""
        returns = self.returns
        u = self._streams["returns.fate"].uniform(box)
        state, fate = PENDING_SCRAP, SCRAPPED_STATE
        if u < returns.test_share:
            state = fate = PENDING_TEST
        elif u < returns.test_share + returns.maker_share:
            state = fate = TO_MAKER
        self._kept[box] = self._kept[box][0], fate
        self._house.put_by_sorted(box, state)

    def _bring_verified(self, day: int) -> None:
        """Boxes that were verified again come back by truck."""
        boxes = self._verified_due.pop(day, [])
        if boxes:
            self._house.come_back(self._vehicle(), boxes, by_hand=False)

    def _chain_hand_over(self) -> None:
        """Hear of orders that are handed over, beside whoever does already."""
        before = self._house.on_hand_over

        def heard(order: "Order") -> None:
            self._expect_removed(order)
            if before is not None:
                before(order)

        self._house.on_hand_over = heard

    def _expect_removed(self, order: "Order") -> None:
        """For the meters of an order old ones come back; counted in thousandths of a meter."""
        returns = self.returns
        meters = round(1000 * order.meters * returns.removed_per_issued * returns.share_here)
        u = self._streams["returns.removed_days"].uniform(order.number)
        day = self._later(self._today(), u, returns.removed_days_min, returns.removed_days_max)
        self._removed_due[day] = self._removed_due.get(day, 0) + meters

    # -- recalls ----------------------------------------------------------------------------------------

    def _recall_on(self, recall: RecallParams) -> "Life":
        env = self._house.env
        yield Timeout(env, max(0, recall.day * DAY_MS + clock_ms(recall.at) - env._now))
        for lot in self._lots_of(recall):
            self._house.recall(lot)

    def _lots_of(self, recall: RecallParams) -> Iterable[int]:
        """The lots that a recall means, as the records stand."""
        if isinstance(recall.lot, int):
            return [recall.lot]
        house = self._house
        boxes: dict[int, int] = {}
        for box in house.boxes_to_recall():
            lot, sku = house.ledger.lot[box], house.ledger.sku[box]
            is_meant = recall.sku is None or self._skus[sku] == recall.sku
            if is_meant and lot not in self.recalled:
                boxes[lot] = boxes.get(lot, 0) + 1
        if recall.lot is None:
            return sorted(boxes)
        return [min(boxes, key=lambda lot: (-boxes[lot], lot))] if boxes else []

    # -- small things -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise unless every empty box is accounted for."""
        if self.empties is not None:
            self.empties.check()

    def _content(self, box: int) -> Away:
        stock = self._house.stock
        return Away(stock.mask[box], self._house.ledger.mask[box], stock.damaged.get(box, 0))

    def _vehicle(self) -> int:
        self._vehicles += 1
        return FIRST_VEHICLE + self._vehicles - 1

    def _today(self) -> int:
        return self._house.env._now // DAY_MS

    def _later(self, day: int, u: float, least: int, most: int) -> int:
        """The working day on which something comes back that a uniform delays by least to most days."""
        later = day + least + int(u * (most - least + 1))
        return later if self._calendar.is_working_day(later) else self._calendar.next_working_day(later)

    def _on_working_days(self, at_ms: int, act: Callable[[int], None]) -> "Life":
        env, day = self._house.env, -1
        while True:
            day = self._calendar.next_working_day(day)
            wait = day * DAY_MS + at_ms - env._now
            if wait >= 0:
                yield Timeout(env, wait)
                act(day)


class Empties:
    """Account of the boxes without meters: at the stations, here, and collected."""

    def __init__(self, warehouse: "Warehouse", params: EmptiesParams) -> None:
        self.params = params
        self.at_stations = 0
        """Boxes that were handed over with their meters and have not come back."""
        self.here = 0
        self.collected = 0
        self._emptied = 0
        self._house = warehouse

    def handed_over(self) -> None:
        """A box leaves with its meters for a station."""
        self.at_stations += 1

    def taken_back(self, boxes: int) -> None:
        """Boxes come back from the stations with their meters."""
        self.at_stations -= boxes

    def emptied(self) -> None:
        """The last meter has left a box here."""
        self._emptied += 1
        self._stand(self.here + 1)

    def came_back(self, boxes: int) -> None:
        """Empty boxes come back from the stations."""
        if boxes:
            self.at_stations -= boxes
            self._stand(self.here + boxes)

    def collect(self) -> None:
        """A truck takes as many along as it can."""
        boxes = min(self.here, self.params.per_truck)
        if boxes:
            self.collected += boxes
            self._stand(self.here - boxes)

    def _stand(self, boxes: int) -> None:
        house = self._house
        self.here = boxes
        house.places_for_empties = -(-boxes // self.params.nested)
        house.record((house.env._now, EMPTIES_AT, house.layout.staging, boxes))

    def check(self) -> None:
        """Raise unless every box that lost its meters here or at a station is in one place."""
        place = self._house.layout.handed_over
        out = sum(1 for each in self._house.stock.place if each == place)
        accounted = self.at_stations + self.here + self.collected
        if out + self._emptied != accounted:
            raise RuntimeError(
                f"{out} boxes were handed over and {self._emptied} emptied, {self.at_stations} are at"
                f" stations, {self.here} here, {self.collected} collected"
            )


def _most_at_once(warehouse: "Warehouse") -> int:
    """Boxes that are on their way out at a time: a tour, and never more than half of the outbound port."""
    layout = warehouse.layout
    places = next(port.out_places for port in layout.ports if port.place == layout.outbound)
    return max(1, min(warehouse.fleet.params.carry, places // 2))
