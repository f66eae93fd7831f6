"""Counting the stock: which slots are counted when, how a count sees, and what becomes of a difference.

A plan names slots, a method says what a look at a slot shows. The first look is blind: what is recorded is
compared afterwards. A difference puts the slot and its boxes on hold and brings a second look; what that
confirms is recorded. Boxes that nobody finds are written off once that is approved, and a box that turns up
again may be had once that is. A count sees the truth only through a method. Slots that a plan names wait
here, a few at a time with the robots: urgent work comes between, and a count goes on where it stopped.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from simpy import Timeout

from sim.calendar import DAY_MS, FOREVER, clock_ms
from sim.calendar import Clock as TimeOfDay
from sim.facts import (
    CONFIRMED,
    COUNT_DIFFERENCE,
    COUNT_ENDED,
    COUNT_PLANNED,
    FOUND_POSTED,
    LOST_POSTED,
    METERS,
    MISSING,
    NONE,
    NOTED,
    REFUTED,
    SLOT_COUNTED,
    SURPLUS,
    TAG_REPLACED,
    WHY_COUNT,
)
from sim.ledger import SURPLUS as SURPLUS_STATE
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.reads import seen_in
from sim.tours import count_tour

if TYPE_CHECKING:
    from sim.calendar import WorkCalendar
    from sim.layout import Layout
    from sim.reads import TagReader
    from sim.robots import Life, Task
    from sim.stock import Stock
    from sim.streams import Streams
    from sim.warehouse import Warehouse

AT_ONCE: Final = 8
"""So many visits wait with the robots at a time."""

MOST_LOOKS: Final = 3
"""After so many looks a difference that still shows counts as confirmed."""


class CertifyParams(Params):
    """What a sample count is to prove."""

    accuracy: JsonFloat = fact(
        0.99, "share of slots that are right", origin="assumption", gt=0, le=1, live=True
    )
    confidence: JsonFloat = fact(
        0.95, "confidence with which that is said", origin="assumption", gt=0, lt=1, live=True
    )


class CountingParams(Params):
    """How the store counts its stock; `meterhouse list plans` says what each plan does."""

    plan: str = fact("passive", "which slots are counted when", live=True)
    method: str = fact("camera", "how a slot is looked at first", live=True)
    recount: str = fact("camera", "how a difference is looked at again", live=True)
    recount_above: JsonInt = fact(
        0, "differences of a slot up to which its first look is believed; more bring a second one",
        unit="boxes", origin="assumption", ge=0, le=1_000_000, live=True,
    )  # fmt: skip
    interval_days: JsonInt = fact(
        28,
        "days between two full counts, or two samples",
        unit="days",
        origin="assumption",
        ge=1,
        le=3660,
        live=True,
    )
    slots_per_day: JsonInt = fact(
        13, "slots that a cyclic, ABC or risk plan counts on a working day", unit="slots",
        origin="assumption", ge=1, le=1_000_000, live=True,
    )  # fmt: skip
    every_accesses: JsonInt = fact(
        1, "boxes put into or taken out of a slot between two counts on access", unit="boxes",
        origin="assumption", ge=1, le=1_000_000, live=True,
    )  # fmt: skip
    at: TimeOfDay = fact(
        "18:00", "time of day at which a plan names its slots", origin="assumption", live=True
    )
    hours: Literal["closed", "any"] = fact(
        "closed", "when robots go on with planned counts: outside shifts (the few visits already begun are"
        " finished), or whenever they are free",
        origin="assumption", live=True,
    )  # fmt: skip
    camera_slot_s: JsonFloat = fact(
        5.0, "to look at a slot by camera", unit="s/slot", origin="derived", ge=0, le=86400, live=True
    )
    camera_box_s: JsonFloat = fact(
        1.0, "for each box in it", unit="s/box", origin="derived", ge=0, le=86400, live=True
    )
    rfid_slot_s: JsonFloat = fact(
        5.0, "an RFID pass over a slot", unit="s/pass", origin="assumption", ge=0, le=86400, live=True
    )
    barcode_per_h: JsonFloat = fact(
        500.0,
        "meters that a person counts by bar code",
        unit="1/h",
        origin="sourced",
        gt=0,
        le=1_000_000,
        live=True,
    )
    barcode_right: JsonFloat = fact(
        0.85, "chance that a box counted by bar code comes out right", origin="sourced", ge=0, le=1, live=True
    )
    handheld_per_h: JsonFloat = fact(
        3750.0, "meters that a person counts by RFID handheld", unit="1/h", origin="sourced", gt=0,
        le=1_000_000, live=True,
    )  # fmt: skip
    approval_h: JsonFloat = fact(
        4.0, "shift hours until a loss or a surplus is approved", unit="h", origin="assumption", ge=0,
        le=10_000, live=True,
    )  # fmt: skip
    certify: CertifyParams = fact(CertifyParams(), "what the plan certify proves", live=True)


# -- methods ----------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What a look at a slot shows: boxes by (tier column, tier), or None; meters by box, or None."""

    cells: dict[tuple[int, int], int] | None
    meters: dict[int, int] | None


class Looker(NamedTuple):
    """What a method looks with: the truth, the reader of tags, the parameters, chances by box."""

    stock: "Stock"
    reader: "TagReader"
    params: CountingParams
    neighbours: "Callable[[int], Sequence[int]]"
    chance: "Callable[[str, int], float]"
    occasion: Callable[[int], int]


class CountMethod(NamedTuple):
    """A way to count a slot: how it looks, who does it, how long that takes (ms), what it sees.

    `takes_ms` is given the parameters, the boxes and meters on record in the slot, and the RFID passes.
    """

    look: Callable[[Looker, int], Seen]
    by: Literal["robot", "person"]
    takes_ms: Callable[[CountingParams, int, int, int], float]
    places: bool
    meters: bool
    sentence: str


def _boxes_of(looker: Looker, slot: int) -> list[tuple[int, int, int]]:
    return [
        (column, tier, box)
        for column, cells in enumerate(looker.stock.cells[slot])
        for tier, box in enumerate(cells)
        if box != NONE
    ]


def by_camera(looker: Looker, slot: int) -> Seen:
    """The robot reads the code of each box and where it stands; a code that is not read leaves a gap."""
    seen = {}
    for column, tier, box in _boxes_of(looker, slot):
        if looker.reader.box_is_read(box, looker.occasion(box)):
            seen[column, tier] = box
    return Seen(seen, None)


def by_rfid(looker: Looker, slot: int) -> Seen:
    """The robot reads the tags of all meters around: which boxes and meters are here, not where they stand.

    A tag may be taken for one of a slot beside.
    """
    mask = looker.stock.mask
    boxes = [(box, mask[box]) for _, _, box in _boxes_of(looker, slot)]
    seen = looker.reader.shelf(slot, boxes, looker.neighbours(slot), looker.occasion(-1 - slot))[slot]
    return Seen(None, seen)


def by_bar_code(looker: Looker, slot: int) -> Seen:
    """A person scans box and meters one by one; a box that comes out wrong has one meter overlooked."""
    seen, meters = {}, {}
    for column, tier, box in _boxes_of(looker, slot):
        seen[column, tier] = box
        mask = looker.stock.mask[box]
        meters[box] = mask
        if mask and looker.chance("bar_code", box) >= looker.params.barcode_right:
            meters[box] = mask & (mask - 1)
    return Seen(seen, meters)


def by_handheld(looker: Looker, slot: int) -> Seen:
    """A person reads the tags with a handheld and the codes of the boxes one by one."""
    seen, meters = {}, {}
    for column, tier, box in _boxes_of(looker, slot):
        seen[column, tier] = box
        passes = looker.reader.params.passes
        meters[box] = looker.reader.read(box, looker.stock.mask[box], passes, looker.occasion(box))
    return Seen(seen, meters)


METHODS: Final[dict[str, CountMethod]] = {
    "camera": CountMethod(
        by_camera, "robot",
        lambda params, boxes, _meters, _passes: 1000 * (params.camera_slot_s + boxes * params.camera_box_s),
        True, False, "robot, camera: boxes and where they stand",
    ),
    "rfid": CountMethod(
        by_rfid, "robot",
        lambda params, _boxes, _meters, passes: 1000 * passes * params.rfid_slot_s,
        False, True, "robot, RFID: meters and boxes, not where they stand",
    ),
    "bar-code": CountMethod(
        by_bar_code, "person",
        lambda params, _boxes, meters, _passes: 3_600_000 * meters / params.barcode_per_h,
        True, True, "person, bar-code scanner: boxes, places and meters",
    ),
    "handheld": CountMethod(
        by_handheld, "person",
        lambda params, _boxes, meters, _passes: 3_600_000 * meters / params.handheld_per_h,
        True, True, "person, RFID handheld: boxes, places and meters",
    ),
}  # fmt: skip
"""How a slot can be counted."""


# -- plans ------------------------------------------------------------------------------------------------


class CountView:
    """What a plan may see. Nothing of the truth, and nothing can be changed through it."""

    __slots__ = ("_counting",)

    def __init__(self, counting: "Counting") -> None:
        self._counting = counting

    @property
    def params(self) -> CountingParams:
        """The parameters of the plan."""
        return self._counting.params

    @property
    def slots(self) -> Sequence[int]:
        """Every slot that holds boxes."""
        return self._counting.slots

    @property
    def day(self) -> int:
        """The day of the run, from 0."""
        return self._counting.now_ms // DAY_MS

    def is_working_day(self) -> bool:
        """Whether today is one."""
        return self._counting.calendar.is_working_day(self.day)

    def counted_ms(self, slot: int) -> int:
        """When a slot was counted last (-1: not in this run)."""
        return self._counting.counted_ms[slot]

    def accesses(self, slot: int) -> int:
        """Boxes put into a slot or taken out since it was counted last."""
        return self._counting.accesses[slot]

    def all_accesses(self, slot: int) -> int:
        """Boxes put into a slot or taken out in this run."""
        return self._counting.all_accesses[slot]

    def draw(self, count: int) -> list[int]:
        """So many slots at random, none twice."""
        return self._counting.sample(count)


class Plan(NamedTuple):
    """A counting plan: the slots it names on a day, and what else makes it name one.

    Records are corrected by what picks and places see, or not; a plan may count nothing at all.
    """

    choose: Callable[[CountView], Sequence[int]]
    on: frozenset[str] = frozenset({"discrepancy"})
    corrects: bool = True
    counts: bool = True

    @property
    def sentence(self) -> str:
        """What the plan does."""
        return " ".join((self.choose.__doc__ or "").split())


def no_counts(_: CountView) -> Sequence[int]:
    """Nothing is counted and nothing corrected: a box that an order misses stays on hold for ever."""
    return ()


def passive(_: CountView) -> Sequence[int]:
    """Nothing is counted; the code of each box that a pick or place meets corrects the records."""
    return ()


def triggered(_: CountView) -> Sequence[int]:
    """A slot in which a pick or place met something unexpected is counted, and those beside it."""
    return ()


def full(view: CountView) -> Sequence[int]:
    """All slots, every interval_days."""
    return view.slots if view.day % view.params.interval_days == view.params.interval_days - 1 else ()


def cyclic(view: CountView) -> Sequence[int]:
    """So many slots each working day, those that were not counted for longest."""
    return _most(view, lambda slot: -view.counted_ms(slot))


def by_turnover(view: CountView) -> Sequence[int]:
    """So many slots each working day: the busiest fifth of them four times, the next 30 % twice as often."""
    ranked = sorted(view.slots, key=lambda slot: (-view.all_accesses(slot), slot))
    weight = {}
    for rank, slot in enumerate(ranked):
        share = rank / len(ranked)
        weight[slot] = 4 if share < 0.2 else 2 if share < 0.5 else 1
    now = view.day * DAY_MS
    return _most(view, lambda slot: weight[slot] * (now - view.counted_ms(slot)))


def by_location_risk(view: CountView) -> Sequence[int]:
    """So many slots each working day, those with most boxes put in or taken out since their last count."""
    return _most(view, lambda slot: view.accesses(slot))


def on_access(_: CountView) -> Sequence[int]:
    """A slot is counted after every_accesses boxes put in or taken out, as soon as a robot is free."""
    return ()


def zero_confirmation(_: CountView) -> Sequence[int]:
    """A slot that has become empty by the records is looked at, to see whether it is."""
    return ()


def night(view: CountView) -> Sequence[int]:
    """Every evening all slots in one tour, as far as robots come until morning; the rest go first then."""
    return view.slots


def certify(view: CountView) -> Sequence[int]:
    """Every interval_days a random sample, as large as certify.accuracy and certify.confidence demand."""
    if view.day % view.params.interval_days != view.params.interval_days - 1:
        return ()
    from sim.statistics import certify_sample  # takes scipy along

    wanted = view.params.certify
    return view.draw(certify_sample(len(view.slots), wanted.accuracy, wanted.confidence))


PLANS: Final[dict[str, Plan]] = {
    "none": Plan(no_counts, frozenset(), corrects=False, counts=False),
    "passive": Plan(passive, frozenset(), counts=False),
    "triggered": Plan(triggered),
    "full": Plan(full),
    "cyclic": Plan(cyclic),
    "abc": Plan(by_turnover),
    "location-risk": Plan(by_location_risk),
    "on-access": Plan(on_access, frozenset({"discrepancy", "access"})),
    "zero-confirmation": Plan(zero_confirmation, frozenset({"discrepancy", "empty"})),
    "night": Plan(night),
    "certify": Plan(certify),
}
"""Every counting plan by name."""


def _most(view: CountView, score: Callable[[int], float]) -> Sequence[int]:
    """The slots of the highest score for a working day, lower numbers first among equals."""
    if not view.is_working_day():
        return ()
    return sorted(view.slots, key=lambda slot: (-score(slot), slot))[: view.params.slots_per_day]


# -- counting ---------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """A slot to be looked at for a count: the how-many-th look, and by which method."""

    of_count: int
    slot: int
    number: int
    method: str


class _Count:
    """A count under way: its slots that are not done, those that are, differences confirmed, boxes seen.

    A box that moves from one slot to another meanwhile is seen once.
    """

    __slots__ = ("differences", "done", "open", "seen")

    def __init__(self, slots: Sequence[int]) -> None:
        self.open = set(slots)
        self.done = 0
        self.differences = 0
        self.seen: set[int] = set()


class Counting:
    """The counts of one run: what is due, what was seen, what is on hold."""

    def __init__(
        self,
        warehouse: "Warehouse",
        params: CountingParams,
        calendar: "WorkCalendar",
        reader: "TagReader",
        streams: "Streams",
        cost: Callable[[int, int], int],
    ) -> None:
        self.params = params
        self.calendar = calendar
        self.plan = PLANS[params.plan]
        self.corrects = self.plan.corrects
        self._house = warehouse
        self._layout: Layout = warehouse.layout
        self._ledger = warehouse.ledger
        self._reader = reader
        self._sample = streams["counting.sample"]
        self._cost = cost
        self._record = warehouse.record
        self._names = list(PLANS)
        self._method_names = list(METHODS)
        if not warehouse.stock.stacked:
            warehouse.mishaps.is_on = True  # a count that overlooks a box parts truth and records, too
        self._looker = Looker(
            warehouse.stock, reader, params, self._layout.neighbours, warehouse.mishaps.uniform,
            self._occasion,
        )  # fmt: skip
        self._reads: dict[int, int] = {}
        slots = self._layout.slots
        self.slots = [slot for slot in range(slots) if self._layout.capacity[slot]]
        self.counted_ms = [NONE] * slots
        self.accesses = [0] * slots
        self.all_accesses = [0] * slots
        self._counts: dict[int, _Count] = {}
        self._next_count = 0
        self._urgent: deque[Look] = deque()
        self._planned: deque[Look] = deque()
        self._looks: dict[int, Look] = {}
        self._due: set[int] = set()
        self._by_hand = 0
        self._noted: dict[int, dict[int, int]] = {}
        self._held: set[int] = set()
        self._inspected: dict[int, tuple[int, int]] = {}
        self._wrong: set[int] = set()
        self._to_open: deque[int] = deque()
        self._opening: set[int] = set()
        self._turn_of: dict[int, int] = {}
        self._at_any_hour = self._goes_on_at_any_hour()
        self._start = 0
        self._has_mornings = False

    @property
    def now_ms(self) -> int:
        """The simulated time."""
        return self._house.env._now

    def start(self) -> None:
        """Let the plan name slots day by day."""
        self._start += 1
        self._house.env.process(self._days(self._start))
        self._open_in_mornings(self.params.method, self.params.recount)
        if not self._at_any_hour:
            self._house.env.process(self._shifts(self._start))

    def adopt(self, params: CountingParams) -> None:
        """Go on with another plan or other numbers; slots that are due are counted as they were to be."""
        self.params = params
        self.plan = PLANS[params.plan]
        self.corrects = self.plan.corrects
        self._looker = self._looker._replace(params=params)
        self._at_any_hour = self._goes_on_at_any_hour()
        self.start()
        self._feed()

    def use_travel(self, cost: Callable[[int, int], int]) -> None:
        """Go by other times between slots from the next count on."""
        self._cost = cost
        self._turn_of = {}

    def _goes_on_at_any_hour(self) -> bool:
        calendar = self.calendar
        always_open = calendar.closes_at(calendar.next_open(0)) >= FOREVER
        return self.params.hours == "any" or always_open

    def _open_in_mornings(self, *methods: str) -> None:
        """Where methods count meters, have boxes fetched to be opened whenever people come."""
        if not self._has_mornings and any(METHODS[name].meters for name in methods):
            self._has_mornings = True
            self._house.env.process(self._mornings())

    def _days(self, start: int) -> "Life":
        env, view = self._house.env, CountView(self)
        at = clock_ms(self.params.at)
        while True:
            now = env._now
            wait = (at - now) % DAY_MS
            yield Timeout(env, wait)
            if start != self._start:
                return
            slots = self.plan.choose(view)
            if slots:
                self.count(slots)
            yield Timeout(env, 1)

    def _shifts(self, start: int) -> "Life":
        """Planned counts go on whenever a shift ends."""
        env, calendar = self._house.env, self.calendar
        while start == self._start:
            if calendar.is_open(env._now):
                yield Timeout(env, calendar.closes_at(env._now) - env._now)
            self._feed()
            opens = calendar.next_open(env._now)
            if opens <= env._now:
                continue
            yield Timeout(env, opens - env._now)

    # -- what makes a slot due ----------------------------------------------------------------------

    def may_hurry(self, slots: Sequence[int]) -> bool:
        """Whether any slot can be counted sooner than it would be: it is not due, or waits for its hours."""
        planned = {look.slot for look in self._planned}
        return any(slot not in self._due or slot in planned for slot in slots)

    def is_noted(self, box: int) -> bool:
        """Whether a count has noted that a box is not where it is recorded, and looks again."""
        return any(noted.get(box) == MISSING for noted in self._noted.values())

    def count(self, slots: Sequence[int], *, urgent: bool = False, method: str = "") -> int:
        """Plan a count of slots; those that wait for one anyway are left out. Gives its number, or NONE."""
        if urgent and self._planned:
            self._hurry(set(slots))
        slots = [slot for slot in slots if slot not in self._due and self._layout.capacity[slot]]
        self._open_in_mornings(method or self.params.method)
        if not slots:
            self._feed()
            return NONE
        number = self._next_count
        self._next_count += 1
        self._counts[number] = _Count(slots)
        self._due.update(slots)
        self._record((self.now_ms, COUNT_PLANNED, number, self._names.index(self.params.plan), len(slots)))
        queue = self._urgent if urgent else self._planned
        for slot in self._in_tour(slots):
            queue.append(Look(number, slot, 0, method or self.params.method))
        self._feed()
        return number

    def _in_tour(self, slots: Sequence[int]) -> Sequence[int]:
        """Slots in the order of one good tour through all of them: a part of it is good enough, and quick."""
        if len(slots) <= 1:
            return slots
        if not self._turn_of:
            tour = count_tour(self.slots, self._layout.inbound, self._cost, self._layout)
            self._turn_of = {slot: turn for turn, slot in enumerate(tour)}
        return sorted(slots, key=self._turn_of.__getitem__)

    def _hurry(self, slots: set[int]) -> None:
        """Let planned looks at some slots go before all others."""
        self._urgent.extend(look for look in self._planned if look.slot in slots)
        self._planned = deque(look for look in self._planned if look.slot not in slots)

    def accessed(self, slot: int) -> None:
        """A box was put into a slot or taken out."""
        self.accesses[slot] += 1
        self.all_accesses[slot] += 1
        on = self.plan.on
        is_due = "access" in on and self.accesses[slot] >= self.params.every_accesses
        if is_due or ("empty" in on and not self._ledger.boxes_in(slot)):
            self.count([slot], urgent=True)

    def discrepancy(self, slot: int) -> None:
        """A pick or place met something unexpected in a slot."""
        if "discrepancy" in self.plan.on:
            self.count([slot, *self._layout.neighbours(slot)], urgent=True)

    def sample(self, count: int) -> list[int]:
        """So many slots at random, none twice."""
        left = list(self.slots)
        return [left.pop(int(self._sample.random() * len(left))) for _ in range(min(count, len(left)))]

    # -- looking ------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Hand looks over to robots and people, a few at a time: urgent ones first, others in their hours."""
        house = self._house
        while len(self._looks) < AT_ONCE:
            if self._urgent:
                look = self._urgent.popleft()
            elif self._planned and self._may_go_on():
                look = self._planned.popleft()
            else:
                return
            method = METHODS[look.method]
            boxes = self._ledger.boxes_in(look.slot)
            meters = sum(map(self._meters_in, boxes))
            ms = round(method.takes_ms(self.params, len(boxes), meters, self._reader.params.passes))
            if method.by == "person":
                self._by_hand -= 1
                key = self._by_hand
                self._looks[key] = look
                house.people.post_count(look.slot, ms, self._done_by_hand(key))
            else:
                task = house.visit(look.slot, ms)
                self._looks[task.number] = look

    def _may_go_on(self) -> bool:
        return self._at_any_hour or not self.calendar.is_open(self.now_ms) or self._is_for_people()

    def _is_for_people(self) -> bool:
        return METHODS[self._planned[0].method].by == "person"

    def _done_by_hand(self, key: int) -> Callable[[int], None]:
        return lambda person: self._look(self._looks.pop(key), self._layout.robots + person)

    def visited(self, task: "Task", robot: int) -> None:
        """A robot has called at a slot; what it saw there is compared with the records of this instant."""
        look = self._looks.pop(task.number, None)
        if look is not None:
            self._look(look, robot)

    def _occasion(self, box: int) -> int:
        number = self._reads.get(box, 0)
        self._reads[box] = number + 1
        return number

    def _look(self, look: Look, robot: int) -> None:
        slot = look.slot
        seen = METHODS[look.method].look(self._looker, slot)
        recorded = self._ledger.boxes_in(slot)
        here = self._boxes_in(seen)
        self._counts[look.of_count].seen |= here
        method = self._method_names.index(look.method)
        self._record((
            self.now_ms, SLOT_COUNTED, look.of_count, slot, method, look.number, robot, len(recorded),
            len(here),
        ))  # fmt: skip
        self.counted_ms[slot] = self.now_ms
        self.accesses[slot] = 0
        found = self._compare(slot, recorded, seen, here)
        noted = self._noted.get(slot, {})
        for box, what in noted.items():
            if found.get(box) != what:
                self._tell(look, box, what, REFUTED)
                if what == MISSING:
                    self._house.let_go(box)
        if seen.meters is not None:
            for box in recorded:
                if box in here:
                    self._inspect(look, box, seen.meters[box])
        if not found:
            self._settle(look)
            return
        again = {box: what for box, what in found.items() if noted.get(box) != what}
        is_small = look.number == 0 and seen.cells is not None and len(found) <= self.params.recount_above
        if again and look.number + 1 < MOST_LOOKS and not is_small:
            for box, what in again.items():
                self._tell(look, box, what, NOTED)
                if what == MISSING:
                    self._house.hold(box)
            self._noted[slot] = found
            self._hold(slot)
            self._urgent.append(Look(look.of_count, slot, look.number + 1, self.params.recount))
            self._feed()
            return
        twice = {box: what for box, what in found.items() if noted.get(box) == what}
        self._post(look, found if is_small else twice, seen)
        self._settle(look)

    def _boxes_in(self, seen: Seen) -> set[int]:
        """The boxes that a look has shown in its slot; by tags alone, those of which half the meters are."""
        if seen.cells is not None:
            return set(seen.cells.values())
        mask = self._ledger.mask
        return {box for box, meters in (seen.meters or {}).items() if seen_in(meters, mask[box])}

    def _compare(self, slot: int, recorded: Sequence[int], seen: Seen, here: set[int]) -> dict[int, int]:
        """Where a look and the records differ: MISSING or SURPLUS by box."""
        found = dict.fromkeys((box for box in recorded if box not in here), MISSING)
        if seen.cells is None:
            found.update(dict.fromkeys(sorted(here.difference(recorded)), SURPLUS))
        else:
            where = self._house.where
            for (column, tier), box in seen.cells.items():
                if where(box) != (slot, column, tier):
                    found[box] = SURPLUS
        return found

    def _post(self, look: Look, found: dict[int, int], seen: Seen) -> None:
        """Record what a second look has confirmed: first what is not here, then what is."""
        house, slot = self._house, look.slot
        count = self._counts[look.of_count]
        search: list[int] = []
        for box, what in found.items():
            self._tell(look, box, what, CONFIRMED)
            count.differences += 1
            if what == MISSING and self._ledger.column[box] != NONE and self._ledger.place[box] == slot:
                house.miss(box, WHY_COUNT)
                search = list(self._layout.neighbours(slot))
        for (column, tier), box in (seen.cells or {}).items():
            if found.get(box) == SURPLUS:
                house.see(box, slot, column, tier, WHY_COUNT)
        if search:
            self.count(search, urgent=True)

    def _settle(self, look: Look) -> None:
        """A slot is done: it is let go, and with the last one its count ends."""
        slot = look.slot
        self._noted.pop(slot, None)
        self._due.discard(slot)
        if slot in self._held:
            self._held.discard(slot)
            self._house.hold_slot(slot, False)
        count = self._counts[look.of_count]
        count.open.discard(slot)
        count.done += 1
        if not count.open:
            del self._counts[look.of_count]
            ended = (look.of_count, count.done, count.differences, len(count.seen))
            self._record((self.now_ms, COUNT_ENDED, *ended))
        self._feed()

    def _hold(self, slot: int) -> None:
        if slot not in self._held:
            self._held.add(slot)
            self._house.hold_slot(slot, True)

    def _tell(self, look: Look, box: int, what: int, verdict: int) -> None:
        self._record((self.now_ms, COUNT_DIFFERENCE, look.of_count, look.slot, box, what, verdict))

    # -- meters --------------------------------------------------------------------------------------

    def _inspect(self, look: Look, box: int, meters: int) -> None:
        """A box whose meters are not those on record is opened and counted, unless it is promised.

        A robot brings it to the pick station; a person who stands there opens it in its slot.
        """
        if box in self._inspected or meters == self._ledger.mask[box]:
            return
        if METHODS[look.method].by == "person":
            if not self._house.may_be_opened(box):
                return
            people = self._house.people
            seconds = people.params.pick_setup_s + self._meters_in(box) * people.params.inspect_meter_s
            people.post_count(look.slot, round(1000 * seconds), lambda _: self._opened_in_slot(box))
        else:
            self._to_open.append(box)
        self._inspected[box] = (look.of_count, look.slot)
        self._record((self.now_ms, COUNT_DIFFERENCE, look.of_count, look.slot, box, METERS, NOTED))
        self._fetch_to_open()

    def _fetch_to_open(self) -> None:
        """Have boxes brought that are to be opened, while people are there, and few at a time."""
        house = self._house
        while (
            self._to_open
            and len(self._opening) < house.staging.pick_buffer_boxes
            and self.calendar.is_open(self.now_ms)
        ):
            box = self._to_open.popleft()
            if box not in self._inspected:
                continue
            if house.inspect(box):
                self._opening.add(box)
            else:
                self.called_off(box)

    def _mornings(self) -> "Life":
        """Boxes that were noted outside the shifts are fetched when people come."""
        env, calendar = self._house.env, self.calendar
        while True:
            now = env._now
            opens = calendar.next_open(now)
            if opens > now:
                yield Timeout(env, opens - now)
            self._fetch_to_open()
            closes = calendar.closes_at(env._now)
            if closes >= FOREVER:
                return
            yield Timeout(env, closes - env._now)

    def _meters_in(self, box: int) -> int:
        return self._ledger.mask[box].bit_count()

    def _opened_in_slot(self, box: int) -> None:
        """A person has opened a box where it stands; if it has been promised meanwhile, others will look."""
        if self._house.may_be_opened(box):
            self._house.open_in_slot(box)
            self.inspected(box)
        else:
            self.called_off(box)

    def corrected(self, box: int) -> None:
        """The meters on record in a box were found wrong."""
        if box in self._inspected:
            self._wrong.add(box)

    def called_off(self, box: int) -> None:
        """A box that was to be opened and counted is not there."""
        self._inspected.pop(box, None)
        self._wrong.discard(box)
        self._opening.discard(box)

    def inspected(self, box: int) -> None:
        """A box was opened and counted; a tag that nobody can read is replaced."""
        found = self._inspected.pop(box, None)
        if found is None:
            return
        self._opening.discard(box)
        self._fetch_to_open()
        verdict = CONFIRMED if box in self._wrong else REFUTED
        self._wrong.discard(box)
        self._record((self.now_ms, COUNT_DIFFERENCE, *found, box, METERS, verdict))
        full = self._layout.meters_per_box
        mask = self._ledger.mask[box]
        unread = mask & ~self._reader.read(box, mask, self._reader.params.passes, self._occasion(box))
        for k in range(full):
            if unread >> k & 1:
                self._reader.replace(box * full + k)
                self._record((self.now_ms, TAG_REPLACED, box, k))

    # -- losses and surpluses -------------------------------------------------------------------------

    def missed(self, box: int) -> None:
        """A box is missing; it is written off, when that is approved, if nobody has seen it until then."""
        if self.corrects:
            self._house.env.process(self._approve_loss(box, self.now_ms))

    def _approve_loss(self, box: int, since: int) -> "Life":
        house = self._house
        yield Timeout(house.env, self._approved_at() - self.now_ms)
        if house.missing.get(box) == since and house.write_off(box):
            self._record((self.now_ms, COUNT_DIFFERENCE, NONE, NONE, box, MISSING, LOST_POSTED))

    def came_back(self, box: int) -> None:
        """A box that was written off has been seen; it may be had when that is approved."""
        self._house.env.process(self._approve_surplus(box))

    def _approve_surplus(self, box: int) -> "Life":
        yield Timeout(self._house.env, self._approved_at() - self.now_ms)
        if self._ledger.state[box] == SURPLUS_STATE and box not in self._house.missing:
            self._house.post_surplus(box)
            self._record((self.now_ms, COUNT_DIFFERENCE, NONE, NONE, box, SURPLUS, FOUND_POSTED))

    def _approved_at(self) -> int:
        wait = round(self.params.approval_h * 3_600_000)
        return max(self.now_ms, self.calendar.add_open_ms(self.now_ms, wait))
