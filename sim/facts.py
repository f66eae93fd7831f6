"""The vocabulary of the trace: every kind of thing that can happen, with its fields.

A fact is one tuple `(time_ms, kind, *fields)`, all whole numbers, recorded when it happens and never
before. KPIs, histories, exports, plots and the state at any past instant are functions of these rows.
Numbers for a kind are part of the digest: a kind is added at the end and never renumbered.

Places are the numbers of `layout.Layout`: slots first, then ports, chargers, areas and robots. `NONE`
(-1) stands wherever a field does not apply. Days are proleptic ordinals (`date.toordinal()`). Masks
hold one bit a meter of a box, bit k for meter `box * meters_per_box + k`.
"""

from typing import Final, NamedTuple

NONE: Final = -1


class Kind(NamedTuple):
    """One kind of fact: its number in the trace, its name, its int64 fields and its sentence."""

    number: int
    name: str
    fields: tuple[str, ...]
    sentence: str


_SPEC = """
lot_created         lot sku maker verified_day | A lot comes into being; verified_day is its earliest verification.
box_created         box sku lot verified_day meters place truck | A box of meters enters the model: on a truck, or in the store at time 0.
truck_called_off    truck sku boxes due | Boxes of a SKU are called off from the province, to arrive at the time due.
truck_arrived       truck boxes port | A truck stands at the port; its boxes are counted one SKU after another.
truck_unloaded      truck | The last box of a truck has passed the receiving scan.
box_moved           box from_place to_place column tier robot task recorded | A box changes its place in truth; recorded is the place the ledger now gives (NONE: unchanged).
box_received        box truck person | The receiving scan of a box is done: its meters are qualified in stock.
slot_allocated      box slot column task | The policy names a slot; a place in that tier column is reserved.
allocation_failed   box reason | No slot can be named: 0 full, 1 none of its class.
allocation_released box slot column | A reserved place is given back unused.
order_released      order station due exogenous | An order is released; due is the latest hand-over in time.
order_line          order line sku meters | One line of an order: meters of a SKU.
line_short          order line meters | Usable stock does not cover a line; these meters wait for stock.
box_reserved        box order line meters | Meters of a box are reserved for an order line (the whole box, or a part of an open one).
box_freed           box order meters | Reserved meters go back to qualified in stock.
meters_picked       box order mask person | Loose meters leave a box at the pick station for an order.
meters_issued       box order mask | Meters are handed over: issued, pending installation.
box_emptied         box | The last meter has left a box; the empty box leaves the model.
order_handed_over   order meters late | The last meters of an order are checked and signed for; late is the delay behind due (ms, not below 0).
box_expired         box | The verification of a box is too old: it may not be issued.
task_created        task task_class box from_place to_place order | A piece of robot work exists (class: see TASK_CLASSES).
task_assigned       task robot tour | A robot takes the task into its tour.
task_done           task robot | The task's box is where it should be.
task_returned       task robot | The tour was replanned and the task waits again.
robot_stretch       robot activity from_place to_place height_mm arrive end task | A stretch of robot time begins (activity: see ACTIVITIES): it drives until arrive, then handles until end; NONE: open-ended.
tour_started        robot tour put_aways retrievals | A robot begins a tour of this many boxes each way.
tour_ended          robot tour | The tour is over, all its boxes are set down.
box_dug             box slot to_place robot task | A blocking box is moved out of the way of the task's box.
battery             robot permille | State of charge, recorded when charging begins and ends.
person_work         person work end box order | A person begins a piece of work (see WORK) that ends then.
station_consumed    station sku meters | A supply station has installed meters (exogenous).
slot_blocked        slot blocked | A slot is taken out of use (1) or put back (0).
staging_overflow    box | Staging is full: the box goes to the flat store.
box_state           box state | The asset state of a box's meters is set, from a stock list (codes: see assets.STATES).
task_cancelled      task | A task is called off: its box is wanted elsewhere, or is not where it should be.
error_made          error cause box mask slot | An error enters the world (cause: see ERRORS): box and meters that it hits; slot in which the truth now differs.
error_found         error how box | The records meet the truth where an error had parted them (how: see LOOKS); the box is right again.
box_recorded        box place column tier why | The record of a box is set apart from any move: where the ledger now says it is (why: see WHYS).
meters_recorded     box mask why | The record of the meters in a box is set (why: see WHYS).
discrepancy         slot expected found task | A robot or person meets another box than the recorded one, or none (NONE) where one was, or one where none was.
slot_held           slot held | A discrepancy puts a slot on hold (1: no put-aways) or lets it go (0).
count_planned       count plan slots | A counting plan names slots to be counted (plan: its place in counting.PLANS).
slot_counted        count slot method look robot recorded seen | A slot has been counted (method: place in counting.METHODS; look 0 is the first): boxes on record there, and boxes seen.
count_difference    count slot box what verdict | A count and the records differ on a box (what: see DIFFERENCES; verdict: see VERDICTS).
count_ended         count slots differences boxes | The last slot of a count is done: slots counted, differences confirmed, and boxes seen, each once wherever it stood meanwhile.
meters_damaged      box mask | Meters are damaged in handling; nobody has noticed yet.
meters_scrapped     box mask person | Damaged meters are taken out of a box, to be scrapped.
tag_replaced        box meter | The unreadable tag of a meter is replaced; meter counts from 0 within its box.
fault_began         fault cause robot box place until | Something breaks (cause: see FAULTS); until is the planned end, NONE when not known yet.
fault_ended         fault cause robot | It works again.
box_came_back       box cause order | A box comes to the store again (cause: see RETURNS); its meters are those of its mask before it left.
box_verified        box day | The meters of a box have been verified again; day is the new verification day.
box_left            box cause | A box leaves the store other than by an order (cause: see RETURNS).
empties             place boxes | Empty boxes at a place after some came or went.
order_short         order line meters box | A hand-over lacks meters that the records promised; they are reserved anew.
lot_recalled        lot boxes | A lot is recalled: so many of its boxes are on record in the store.
"""


def _parse() -> dict[str, Kind]:
    kinds = {}
    for number, line in enumerate(_SPEC.strip().splitlines()):
        head, sentence = line.split(" | ")
        name, *fields = head.split()
        kinds[name] = Kind(number, name, tuple(fields), sentence)
    return kinds


KINDS: Final[dict[str, Kind]] = _parse()
"""Every kind by name, in the order of its number."""

BY_NUMBER: Final[tuple[Kind, ...]] = tuple(KINDS.values())

(
    LOT_CREATED, BOX_CREATED, TRUCK_CALLED_OFF, TRUCK_ARRIVED, TRUCK_UNLOADED, BOX_MOVED, BOX_RECEIVED,
    SLOT_ALLOCATED, ALLOCATION_FAILED, ALLOCATION_RELEASED, ORDER_RELEASED, ORDER_LINE, LINE_SHORT,
    BOX_RESERVED, BOX_FREED, METERS_PICKED, METERS_ISSUED, BOX_EMPTIED, ORDER_HANDED_OVER, BOX_EXPIRED,
    TASK_CREATED, TASK_ASSIGNED, TASK_DONE, TASK_RETURNED, ROBOT_STRETCH, TOUR_STARTED, TOUR_ENDED,
    BOX_DUG, BATTERY, PERSON_WORK, STATION_CONSUMED, SLOT_BLOCKED, STAGING_OVERFLOW, BOX_STATE, TASK_CANCELLED,
    ERROR_MADE, ERROR_FOUND, BOX_RECORDED, METERS_RECORDED, DISCREPANCY, SLOT_HELD, COUNT_PLANNED, SLOT_COUNTED,
    COUNT_DIFFERENCE, COUNT_ENDED, METERS_DAMAGED, METERS_SCRAPPED, TAG_REPLACED, FAULT_BEGAN, FAULT_ENDED,
    BOX_CAME_BACK, BOX_VERIFIED, BOX_LEFT, EMPTIES_AT, ORDER_SHORT, LOT_RECALLED,
) = range(len(BY_NUMBER))  # fmt: skip

TASK_CLASSES: Final = ("issue", "put_away", "loose_return", "empties", "count")
ISSUE, PUT_AWAY, LOOSE_RETURN, EMPTIES, COUNT = range(5)

ACTIVITIES: Final = (
    "idle", "work", "dig", "wait_tour", "wait_aisle", "wait_port", "wait_conflict", "go_charge", "charge",
    "wait_charger", "park", "fault",
)  # fmt: skip
"""What a robot does in a stretch; `work` and `dig` drive until `arrive` and handle until `end`."""
(
    IDLE, WORKING, DIGGING, WAIT_TOUR, WAIT_AISLE, WAIT_PORT, WAIT_CONFLICT, GO_CHARGE, CHARGE,
    WAIT_CHARGER, PARK, FAULT,
) = range(len(ACTIVITIES))  # fmt: skip

WORK: Final = ("receive", "pick", "check", "carry", "count", "inspect", "repair", "sort")
"""What a person does: unload and scan a box, pick loose meters, check and hand over, carry a box by hand, count a
slot, open a box and count its meters, clear or repair what broke, sort returned meters."""
RECEIVE, PICK, CHECK, CARRY, COUNT_SLOT, INSPECT, REPAIR, SORT = range(8)

ERRORS: Final = ("wrong_slot", "lost_message", "short_packed", "unrecorded_removal", "damage", "miscount")
"""How truth and records part: a box in another slot than the recorded one; a confirmation that never arrives; a box
that comes with a meter less than advised; a meter taken and not written down; a meter damaged in handling; a box that
counts overlooked and wrote off."""
WRONG_SLOT, LOST_MESSAGE, SHORT_PACKED, UNRECORDED_REMOVAL, DAMAGE, MISCOUNT = range(6)

LOOKS: Final = ("gate", "pick", "place", "count", "opening", "check", "left", "resent")
"""Who finds an error: the receiving gate, a pick or place that meets another box, a count, whoever opens the box, the
check at hand-over; `left`: nobody, its box has left the store; a message that is sent again."""
GATE, AT_PICK, AT_PLACE, BY_COUNT, OPENING, AT_CHECK, NEVER, RESENT = range(8)

WHYS: Final = ("error", "pick", "place", "count", "opening", "check", "gate", "resent")
"""Why a record is set apart from a move: an error wrote it; or what was seen at a pick, a place, in a count, in an
opened box, at the check, at the receiving gate; or a message that is sent again."""
WHY_ERROR, WHY_PICK, WHY_PLACE, WHY_COUNT, WHY_OPENING, WHY_CHECK, WHY_GATE, WHY_RESENT = range(8)

DIFFERENCES: Final = ("missing", "surplus", "meters")
"""What a count says of a box: recorded and not seen; seen and recorded elsewhere; other meters than recorded."""
MISSING, SURPLUS, METERS = range(3)

VERDICTS: Final = ("noted", "confirmed", "refuted", "lost", "found")
"""What becomes of it: noted at the first look; confirmed or refuted by the second; posted as a loss, or as found."""
NOTED, CONFIRMED, REFUTED, LOST_POSTED, FOUND_POSTED = range(5)

FAULTS: Final = ("breakdown", "minor_stop", "power", "station", "misshaped_box", "stopped")
"""What breaks; `stopped`: nothing does, a command stops a robot until a command sets it to work again."""
BREAKDOWN, MINOR_STOP, POWER, STATION, MISSHAPED, STOPPED = range(6)

RETURNS: Final = ("unused", "removed", "reverified", "transferred", "scrapped", "recalled")
"""How a box comes back or leaves other than by an order: returned unused, meters removed from customers, for verification
again, to or from another store, to be scrapped, recalled."""
UNUSED, REMOVED, REVERIFIED, TRANSFERRED, SCRAPPED, RECALLED = range(6)

EXOGENOUS: Final = frozenset({"order_released", "order_line", "station_consumed"})
"""Kinds that the demand digest covers, as far as their order is exogenous."""
