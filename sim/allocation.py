"""Slot allocation: which slot takes a box.

A rule is a function `(box, view, stream) -> slot` and a line in `POLICIES` that says where it comes from and
what it does when its first choice is taken. It sees the open slots through a read-only `SlotView` that shows
only slots which may take the box (room, blocked, on hold, device class, weight), and returns one of them, or
`NONE` when there is none. `allocate` asks a rule for one box, `allocate_batch` for several at once.

Left out: which tier column of the slot takes the box is the ledger's choice, except for rules that stack.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.facts import NONE
from sim.slots import BoxView, SlotIndex, SlotView

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.streams import Stream

__all__ = [
    "ALIASES", "HORIZON", "LIVE_POLICIES", "OWN_RULES", "POLICIES", "BoxView", "Policy", "Rule", "SlotIndex",
    "SlotView", "allocate", "allocate_batch", "assign", "rule_named",
]  # fmt: skip

Policy = Callable[[BoxView, SlotView, "Stream"], int]
"""An allocation rule: the slot for a box, or NONE when nothing fits."""

BatchPolicy = Callable[[Sequence[BoxView], SlotView, "Stream"], "NDArray[np.int64]"]
"""A rule for several boxes of one class, none of which is placed yet: a slot each, or NONE."""

ColumnPolicy = Callable[[BoxView, SlotView, int], int]
"""Which tier column of a slot takes the box: its number, or NONE for the first with room."""

_SKU: Final = itemgetter(BoxView._fields.index("sku"))

HORIZON: Final = 20
"""Boxes that `assignment` looks ahead, the one that is asked for included."""


class Rule(NamedTuple):
    """An allocation rule with what its user should know of it.

    `fallback` says what happens when the first choice is taken; `needs` what must be known ("departures":
    only a replay knows them; "travel": times between slots; "lots": which lots stand where). Without `batch`
    a batch is decided box by box; `at_once` says that it is decided with all its boxes in view.
    """

    choose: Policy
    source: str = ""
    fallback: str = "none: names no slot when nothing fits"
    needs: frozenset[str] = frozenset()
    batch: BatchPolicy | None = None
    column: ColumnPolicy | None = None
    at_once: bool = False

    def __call__(self, box: BoxView, view: SlotView, stream: "Stream") -> int:
        """The slot that the rule names for a box."""
        return self.choose(box, view, stream)


def allocate(rule: Rule, box: BoxView, index: SlotIndex, stream: "Stream") -> int:
    """The slot for one box, or NONE; changes nothing."""
    return rule.choose(box, index.view_of(box.sku), stream)


def allocate_batch(
    rule: Rule, boxes: Sequence[BoxView], index: SlotIndex, stream: "Stream"
) -> "NDArray[np.int64]":
    """The slots for boxes that come one after the other, (boxes,), NONE where nothing is left.

    Changes nothing. The same as asking for each in turn and reserving its place before the next is asked for,
    except for the rules that see all boxes `at_once`: those decide one class of boxes after the other.
    """
    if not boxes:
        return np.empty(0, dtype=np.int64)
    first = index.view_of(boxes[0].sku)
    if rule.batch is not None and (
        len(index.views) == 1 or all(index.view_of(sku) is first for sku in set(map(_SKU, boxes)))
    ):
        return rule.batch(boxes, first, stream)
    views = [index.view_of(box.sku) for box in boxes]
    slots = np.full(len(boxes), NONE, dtype=np.int64)
    with index.trial() as place:
        if rule.batch is not None and rule.at_once:
            for view in dict.fromkeys(views):
                mine = [i for i, of_box in enumerate(views) if of_box is view]
                slots[mine] = rule.batch([boxes[i] for i in mine], view, stream)
                for i in mine:
                    if slots[i] != NONE:
                        place(boxes[i], int(slots[i]), NONE)
            return slots
        for i, box in enumerate(boxes):
            view = index.view_of(box.sku)
            slot = slots[i] = rule.choose(box, view, stream)
            if slot != NONE:
                place(box, slot, rule.column(box, view, slot) if rule.column is not None else NONE)
    return slots


# --- rules that look at the port ------------------------------------------------------------------------


def closest_open(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot that the robot reaches soonest from the inbound port."""
    return view.first_open("port_time")


def farthest_open(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot that the robot reaches last: the worst sensible rule, for comparison."""
    return view.last_open("port_time")


def first_free(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The first open slot by column, then level, then row, as a keeper fills a rack."""
    return view.first_open("position")


def random_open(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """Any open slot, each as likely: the reference of the literature."""
    return view.any_open(stream.uniform(box.box))


def closest_to_destination(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot from which the robot reaches the outbound port soonest."""
    return view.first_open("out_time")


def closest_to_next_retrieval(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot nearest to the box that leaves next, so that the robot goes on to it at once."""
    place = view.next_retrieval
    return view.nearest_to(place) if place != NONE else view.first_open("port_time")


def shortest_leg(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot with the shortest way from the inbound port by it to the box that leaves next."""
    place = view.next_retrieval
    return view.on_the_way_to(place) if place != NONE else view.first_open("port_time")


# --- rules that look at turnover ------------------------------------------------------------------------


def class_based(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The nearest open slot of the zone of the SKU's turnover class, fast classes near the port."""
    for start, end in view.zones_of(box.sku):
        slot = view.first_open("port_time", start, end)
        if slot != NONE:
            return slot
    return NONE


def turnover(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot closest to the rank that the SKU's turnover has earned: short stays near the port."""
    return view.nearest_open(view.earned_rank(box.sku))


def learned_stay(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """As turnover, by the stays that the store has seen so far: box-time over departures of each SKU."""
    return view.nearest_open(view.earned_rank(box.sku, learned=True))


def duration_of_stay(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot closest to the box's rank by stay among the boxes here: the shortest stay nearest."""
    return view.nearest_open(view.rank_by_stay(box.leaves_ms - box.now_ms))


def offline_oracle(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The slot of a plan made with the whole trace in hand: what hindsight could have reached."""
    slot = view.planned(box.box)
    return slot if view.is_open(slot) else view.first_open("port_time")


def dedicated(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The nearest open slot of the SKU's own ones, in proportion to its stock, fast SKUs nearest."""
    slot = view.first_open("port_time", *view.range_of(box.sku))
    return slot if slot != NONE else view.first_open("port_time")


def age_zoned(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The open slot closest to the box's rank by verification day: boxes soon due near the port."""
    return view.nearest_open(view.rank_by_age(box.verified_day))


# --- rules that look at what stands where ---------------------------------------------------------------


def lot_pure(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """A slot that holds the box's lot; else the nearest empty slot; else the nearest open one."""
    slot = view.with_lot(box.lot)
    if slot == NONE:
        slot = view.first_empty()
    if slot == NONE:
        slot = view.first_open("port_time")
    return slot


def levelling(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The slot with the most open places, the nearest of several: all slots fill evenly."""
    return view.roomiest()


def aisle_balanced(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The nearest open slot of the aisle with the most room for its size: no aisle carries all the work."""
    return view.first_open("aisle", *view.roomiest_aisle())


def heavy_low(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The nearest open slot of the level that the box's weight calls for: the heaviest at the bottom."""
    levels = view.level_ranges()
    wanted = round((1.0 - view.heaviness(box.weight_g)) * (len(levels) - 1))
    for level in sorted(range(len(levels)), key=lambda level: (abs(level - wanted), level)):
        slot = view.first_open("level", *levels[level])
        if slot != NONE:
            return slot
    return NONE


def fewest_blockings(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The nearest slot with a stack in which the fewest boxes beneath should leave before the box."""
    best, fewest = NONE, -1
    leaves = view.leaves_ms(box.box)
    for slot in view.open_slots("port_time"):
        blocked = _blocked_beneath(view, slot, leaves)[0]
        if best == NONE or blocked < fewest:
            best, fewest = slot, blocked
            if not blocked:
                break
    return best


def fewest_blockings_column(box: BoxView, view: SlotView, slot: int) -> int:
    """The stack of a slot on which the fewest boxes beneath are expected to leave before the box."""
    return _blocked_beneath(view, slot, view.leaves_ms(box.box))[1]


def _blocked_beneath(view: SlotView, slot: int, leaves_ms: float) -> tuple[int, int]:
    """The least number of boxes that a box would block in a stack of the slot, and that stack."""
    best, column = 0, NONE
    for number, stack in enumerate(view.stacks(slot)):
        if stack.room > 0:
            blocked = sum(view.leaves_ms(below) < leaves_ms for below in stack.boxes)
            if column == NONE or blocked < best:
                best, column = blocked, number
    return best, column


# --- rules that look at several boxes at once -----------------------------------------------------------


def optimal_turnover(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """Of several boxes the fastest SKU gets the nearest open place: the least expected way of the batch."""
    return view.first_open("port_time")


def assignment(box: BoxView, view: SlotView, stream: "Stream") -> int:
    """The slot that the box gets in the cheapest assignment of it and the boxes known to follow to places."""
    return assign([box, *view.announced[: HORIZON - 1]], view)[0]


CostsMs = Callable[[Sequence[BoxView], Sequence[int], SlotView], "NDArray[np.float64]"]
"""What each box costs in each of some places (slots, repeated): an array (boxes, places), in milliseconds."""

MIXING_MS: Final = 5_000.0
"""What `assignment` pays for a box in a slot that holds only other lots: half a dig."""


def expected_costs_ms(
    boxes: Sequence[BoxView], slots: Sequence[int], view: SlotView
) -> "NDArray[np.float64]":
    """One-way times weighted by the SKU's turnover, and `MIXING_MS` where lots get mixed; (boxes, places)."""
    ways = np.array([view.port_time_ms(slot) for slot in slots], dtype=np.float64)
    speeds = np.array([view.speed(box.sku) for box in boxes])
    costs: NDArray[np.float64] = np.outer(speeds, ways)
    is_empty = np.array([view.room(slot) == view.capacity(slot) for slot in slots])
    for lot in {box.lot for box in boxes}:
        is_mixed = ~is_empty & ~np.array([view.holds_lot(slot, lot) for slot in slots])
        costs[np.ix_([i for i, box in enumerate(boxes) if box.lot == lot], is_mixed)] += MIXING_MS
    return costs


def assign(
    boxes: Sequence[BoxView], view: SlotView, costs_ms: CostsMs = expected_costs_ms, *, candidates: int = 0
) -> list[int]:
    """The cheapest assignment of boxes to open places for any costs; NONE for the last ones without a place.

    Looks at so many candidates, the nearest open places (4 a box and at least 64 when 0 is given); solved by
    `scipy.optimize.linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    slots = view.places(candidates or max(64, 4 * len(boxes))).tolist()
    named = [NONE] * len(boxes)
    if slots:
        costs = costs_ms(boxes[: len(slots)], slots, view)
        given: dict[bytes, list[tuple[int, int]]] = {}
        for row, column in zip(*linear_sum_assignment(costs), strict=True):
            given.setdefault(costs[row].tobytes(), []).append((int(row), int(column)))
        # Boxes of the same costs share their places in order, whichever way the solver dealt them out.
        for pairs in given.values():
            columns = sorted(column for _, column in pairs)
            for (box, _), place in zip(pairs, columns, strict=True):
                named[box] = slots[place]
    return named


# --- several boxes at once ------------------------------------------------------------------------------


def _filled(slots: "NDArray[np.int64]", boxes: Sequence[BoxView]) -> "NDArray[np.int64]":
    missing = len(boxes) - len(slots)
    return np.append(slots, [NONE] * missing) if missing else slots


def _closest_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    return _filled(view.places(len(boxes)), boxes)


def _farthest_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    return _filled(view.places(len(boxes), last=True), boxes)


def _first_free_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    return _filled(view.places(len(boxes), "position"), boxes)


def _destination_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    return _filled(view.places(len(boxes), "out_time"), boxes)


def _class_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    # Each zone hands out its places in order, to its own boxes and to those that overflow into it.
    left: dict[tuple[int, int], list[int]] = {}
    of_sku: dict[int, list[list[int]]] = {}
    named = []
    for sku in map(_SKU, boxes):
        zones = of_sku.get(sku)
        if zones is None:
            zones = of_sku[sku] = []
            for zone in view.zones_of(sku):
                if zone not in left:
                    left[zone] = view.places(len(boxes), "port_time", *zone)[::-1].tolist()
                zones.append(left[zone])
        for places in zones:
            if places:
                named.append(places.pop())
                break
        else:
            named.append(NONE)
    return np.array(named, dtype=np.int64)


def _sorted_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    # The largest turnover meets the smallest distance: no other pairing has a smaller sum of products (the
    # rearrangement inequality), so sorting reaches the optimum of the linear assignment.
    slots = view.places(len(boxes))
    speed_of = {sku: -view.speed(sku) for sku in set(map(_SKU, boxes))}
    fastest = np.argsort(np.fromiter(map(speed_of.__getitem__, map(_SKU, boxes)), float), kind="stable")
    named = np.full(len(boxes), NONE, dtype=np.int64)
    named[fastest[: len(slots)]] = slots
    return named


def _assignment_batch(boxes: Sequence[BoxView], view: SlotView, stream: "Stream") -> "NDArray[np.int64]":
    return np.array(assign(boxes, view), dtype=np.int64)


_NEAREST: Final = "none needed: any open slot will do; NONE when none is open"
_RANKED: Final = "the open slot whose rank is next closest, the nearer to the port of two"
_DEPARTURES: Final = frozenset({"departures"})
_TRAVEL: Final = frozenset({"travel"})
_LOTS: Final = frozenset({"lots"})

POLICIES: Final[dict[str, Rule]] = {
    "closest-open": Rule(
        closest_open,
        "Schwarz, Graves and Hausman 1978: closest open location",
        _NEAREST,
        batch=_closest_batch,
    ),
    "random": Rule(random_open, "Hausman, Schwarz and Graves 1976", _NEAREST),
    "farthest-open": Rule(
        farthest_open, "the reverse of closest open location", _NEAREST, batch=_farthest_batch
    ),
    "first-free": Rule(first_free, "trade practice", _NEAREST, batch=_first_free_batch),
    "class-based": Rule(
        class_based,
        "Hausman, Schwarz and Graves 1976; borders as policy.zone_borders, else of least expected time",
        "when the zone is full the other zones in the order of policy.overflow",
        batch=_class_batch,
    ),
    "turnover": Rule(
        turnover,
        "Hausman, Schwarz and Graves 1976: full turnover; Heskett 1963: cube per order",
        _RANKED,
    ),
    "learned-stay": Rule(
        learned_stay, "Goetschalckx and Ratliff 1990, with stays learned by Little's law", _RANKED
    ),
    "duration-of-stay": Rule(
        duration_of_stay,
        "Goetschalckx and Ratliff 1990: shared storage by duration of stay",
        _RANKED,
        _DEPARTURES,
    ),
    "offline-oracle": Rule(
        offline_oracle,
        "weighted interval scheduling, slot by slot, over the whole trace",
        "closest-open when the planned slot is taken",
        _DEPARTURES,
    ),
    "lot-pure": Rule(
        lot_pure,
        "trade practice: any box of a pure slot is equally old",
        "the nearest empty slot, then any open one",
        _LOTS,
    ),
    "levelling": Rule(levelling, "trade practice: even load on the racks", _NEAREST),
    "dedicated": Rule(
        dedicated, "Heskett 1963: dedicated storage", "the nearest open slot of any SKU when its own are full"
    ),
    "closest-to-destination": Rule(
        closest_to_destination, "trade practice", _NEAREST, _TRAVEL, batch=_destination_batch
    ),
    "closest-to-next-retrieval": Rule(
        closest_to_next_retrieval,
        "Han, McGinnis, Shieh and White 1987: nearest neighbour of dual commands",
        "closest-open when no retrieval is known",
        _TRAVEL,
    ),
    "shortest-leg": Rule(
        shortest_leg,
        "Han, McGinnis, Shieh and White 1987: shortest leg of dual commands",
        "closest-open when no retrieval is known",
        _TRAVEL,
    ),
    "aisle-balanced": Rule(aisle_balanced, "trade practice: robots spread over the aisles", _NEAREST),
    "heavy-low": Rule(heavy_low, "trade practice: stable racks", "the level next to it, the lower one first"),
    "age-zoned": Rule(age_zoned, "trade practice: soon due boxes at hand", _RANKED),
    "fewest-blockings": Rule(
        fewest_blockings,
        "container stacking: fewest expected relocations; stays learned by the store",
        "the nearest of the slots with equally few; closest-open where boxes do not stand on one another",
        column=fewest_blockings_column,
    ),
    "optimal-turnover": Rule(
        optimal_turnover,
        "rearrangement inequality: sorting is the optimum of the linear assignment",
        "a box alone takes the nearest open slot",
        batch=_sorted_batch,
        at_once=True,
    ),
    "assignment": Rule(
        assignment,
        "linear assignment (Kuhn 1955) over a rolling horizon",
        "the next cheapest place of the assignment",
        _LOTS,
        batch=_assignment_batch,
        at_once=True,
    ),
}

LIVE_POLICIES: Final = {name: rule for name, rule in POLICIES.items() if "departures" not in rule.needs}
"""The rules that a store can follow, without knowing when its boxes will leave."""

ALIASES: Final[dict[str, str]] = {"coi": "turnover", "mean-stay": "turnover"}
"""Other names of a rule: by Little's law stock over departures is the mean stay, so these sort SKUs alike."""


OWN_RULES: Final[dict[str, Rule]] = {}
"""Rules of the user's own files, as FILE.py:FUNCTION; only the command line puts any in."""


def rule_named(name: str) -> Rule:
    """The rule of a name, alias or own rule that was loaded; KeyError when there is none."""
    name = ALIASES.get(name, name)
    return POLICIES[name] if name in POLICIES else OWN_RULES[name]
