"""Reads, samples and counts against theory: what tags miss, what a sample meets, how long records stay wrong.

**Tags.** Every tag has a chance of its own to be missed by a pass, drawn from a beta distribution of mean m
and correlation rho, and a share D of tags is dead (`reads`). A tag that is not dead is missed by all of n
passes with the chance E(p^n), the n-th moment of the beta,

    q(n) = product over i < n of (a + i) / (a + b + i) = product of (m (1 - rho) + i rho) / (1 - rho + i rho),

with a = m (1 - rho) / rho and b = (1 - m) (1 - rho) / rho, so that a + b = (1 - rho) / rho: q(1) = m and
q(2) = m (m (1 - rho) + rho), which is m^2 where rho = 0 (independent passes) and m where rho = 1 (a second
pass shows nothing new). With dead tags it is D + (1 - D) q(n). Passes of different occasions over one tag are
passes too: the number of misses among n of them is beta-binomial, so that exactly one of two passes misses a
tag with the chance 2 (q(1) - q(2)). Tags are drawn apart, so a box of k is read whole with the k-th power.

**Samples.** Of N slots D are wrong, and n are drawn without replacement. None of the wrong ones is among them
in C(N - D, n) of C(N, n) samples, so at least one is met with the chance 1 - C(N - D, n) / C(N, n)
(hypergeometric). Which slots are wrong makes no difference if the draw is fair, so the wrong ones stay the
same here from sample to sample: those of one corner, and some spread over the rack. The size of the sample is
the plan's own. It has to be the smallest one that meets, with the wanted confidence, one of the fewest wrong
slots that the wanted accuracy does not allow.

**Counts.** Records go wrong at a rate l each, independently, and are counted every T. A record that is wrong
may go wrong again: it stays wrong, and the next count that notices sets it right, whatever has happened.
With x = l T, a record that is right just after a count is still right a time t later with the chance
e^(-l t), so that it is wrong for the share

    v = (1/T) integral from 0 to T of (1 - e^(-l t)) dt = 1 - (1 - e^(-x)) / x

of the time until the next count. If a count always notices, every record is right just after it, and v is the
time mean. If it notices with the chance d only, whatever happened before, let q be the share of records that
are wrong just after a count. Just before the next one 1 - (1 - q) e^(-x) are wrong, of which 1 - d stay so:

    q' = (1 - d) (1 - (1 - q) e^(-x)),    q* = (1 - d) (1 - e^(-x)) / (1 - (1 - d) e^(-x)).

Each count brings q nearer to the fixed point q* by the factor (1 - d) e^(-x). A record that is wrong after a
count is wrong until the next, so the time mean there is q* + (1 - q*) v. With d = 1 it is v again; with
d = 0 nothing is ever set right, and it is 1.

The counts are the product's own: a rack of 258 slots of one box each, the plan `full`, a robot with a camera,
every 20 days and within a minute. The outside world moves boxes in the truth only. Where a count always
notices, a box on record is taken out of its slot or put back, one after the other, so that counts have to
find what is missing and what is too much. Where it overlooks, boxes appear in slots that are empty on
record; the camera reads a label with the chance r, and a difference is recorded when the second look shows
it too, so that a count notices with the chance d = r^2. (A box on record whose label is not read is another
error, which the theory leaves out: what a count has found leaves the store an hour later.)

Both have two levels (Giles 2008), as the queues of `validation`: the time mean of a long run of the rule
above, record by record, plus the mean difference between what the store did and what the rule says on the
same errors. Where a count overlooks, the rule is averaged over what counts notice, by the recursion for q.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.calendar import DAY_MS
from sim.checks import Check, Trial, exact_check, level_of_each, random_check, sum_of
from sim.counting import PLANS, CountView
from sim.exact import wrong_records
from sim.facts import BOX_MOVED, NONE, WRONG_SLOT
from sim.reads import ReadParams, TagReader
from sim.scenario import load
from sim.simulation import Simulation
from sim.statistics import Interval, share_interval, t_interval
from sim.streams import Streams

if TYPE_CHECKING:
    from sim.robots import Life

Ints = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]


# -- Tags -----------------------------------------------------------------------------------------------

_BAD_TAGS: Final = {
    "independent": ReadParams(meter_miss=0.5, correlation=0.0, dead=0.0),
    "correlated": ReadParams(meter_miss=0.4, correlation=0.3, dead=0.02),
}
"""Tags far worse than real ones: what two passes miss is then common enough to be known to 1 %."""

_GOOD_TAGS: Final = {
    "independent": ReadParams(correlation=0.0, dead=0.0),
    "correlated": ReadParams(correlation=0.1, dead=0.0),
}
"""Tags that a pass reads with 99 %."""

_BAD_BOXES: Final = 36_000
_GOOD_BOXES: Final = {"one pass": 27_000, "two passes": 4000}
_METERS: Final = 15
_FULL: Final = (1 << _METERS) - 1
"""Boxes that are read, meters in each, and the mask of all of them."""


def tag_misses(trial: Trial) -> Iterator[Check]:
    """Readers pass boxes once and twice, with tags alike and tags that differ: against the beta-binomial."""
    level = level_of_each(5 * len(_BAD_TAGS))
    for done, (words, params) in enumerate(_BAD_TAGS.items(), 1):
        once, twice = (missed_by_all(params, n) for n in (1, 2))
        tags = _reader(trial, params)
        # One pass at an occasion and one at another; one and a second pass at the same.
        first, second, two = (
            np.array([tags.read(box, _FULL, passes, occasion) for box in range(_BAD_BOXES)])
            for passes, occasion in ((1, 0), (1, 1), (2, 1))
        )
        n, name = _METERS * _BAD_BOXES, f"tags, {words}, {{}}"
        note = f"m {params.meter_miss:g}, rho {params.correlation:g}, {params.dead:g} dead; {n:,} tags"
        for what, expected, answered in (
            ("missed by one pass", once, first),
            ("missed by two passes", twice, two),
            ("missed by one of two passes", 2 * (once - twice), _FULL & ~(first ^ second)),
        ):
            missed = n - int(np.bitwise_count(answered).sum())
            yield random_check(name.format(what), expected, share_interval(missed, n, level), "share", note)
        trial.step(0.4 * done)
    for words, params in _GOOD_TAGS.items():
        tags = _reader(trial, params)
        for n, (what, boxes) in enumerate(_GOOD_BOXES.items(), 1):
            note = f"m {params.meter_miss:g}, rho {params.correlation:g}; {boxes:,} boxes of {_METERS}"
            whole = sum(tags.read(box, _FULL, n, n) == _FULL for box in range(boxes))
            found = share_interval(whole, boxes, level)
            expected = (1 - missed_by_all(params, n)) ** _METERS
            yield random_check(f"boxes read whole, {words}, {what}", expected, found, "share", note)


def missed_by_all(params: ReadParams, passes: int) -> float:
    """The chance that all of so many passes miss a tag, by the closed form."""
    m, rho = params.meter_miss, params.correlation
    of_live = math.prod((m * (1 - rho) + i * rho) / (1 - rho + i * rho) for i in range(passes))
    return params.dead + (1 - params.dead) * of_live


def _reader(trial: Trial, params: ReadParams) -> TagReader:
    return TagReader(params, Streams(int(trial.rng.integers(1 << 32))), _METERS)


# -- Samples --------------------------------------------------------------------------------------------


class _Sample(NamedTuple):
    """What a sample is to prove, numbers of wrong slots to look for, and how many samples are drawn."""

    accuracy: float
    confidence: float
    wrong: tuple[int, ...]
    draws: int


_SAMPLES: Final = (_Sample(0.99, 0.95, (3, 4), 9000), _Sample(0.95, 0.9, (10, 13), 34_000))


def sample_meets_wrong(trial: Trial) -> Iterator[Check]:
    """The plan certify draws slots of a rack of 258, some wrong: against the hypergeometric distribution."""
    level = level_of_each(2 * sum(len(sample.wrong) for sample in _SAMPLES))
    for done, sample in enumerate(_SAMPLES, 1):
        proves = f"accuracy={sample.accuracy}", f"confidence={sample.confidence}"
        sets = ["plan=certify", "interval_days=1", *(f"certify.{words}" for words in proves)]
        simulation = _store(trial, [f"counting.{words}" for words in sets])
        assert simulation.warehouse.counting is not None
        view = CountView(simulation.warehouse.counting)
        slots, counted = len(view.slots), len(PLANS["certify"].choose(view))
        name = f"certify {sample.accuracy:g} at {sample.confidence:g}"
        note = (
            "the smallest sample that meets, with the confidence, one of the fewest wrong slots not allowed"
        )
        least = _least_sample(slots, sample.accuracy, sample.confidence)
        yield exact_check(f"{name}, slots to count", least, counted, 0, "slots", note)
        drawn = np.zeros((sample.draws, slots), dtype=bool)
        for row in drawn:
            row[view.draw(counted)] = True
        for wrong in sample.wrong:
            expected = chance_to_meet(slots, counted, wrong)
            for words, where in (
                ("in a corner", np.arange(wrong)),
                ("spread", np.arange(wrong) * slots // wrong),
            ):
                met = int(drawn[:, where].any(axis=1).sum())
                found = share_interval(met, sample.draws, level)
                note = f"{sample.draws:,} samples of {counted} of {slots} slots"
                yield random_check(f"{name}, {wrong} wrong {words}", expected, found, "share", note)
        trial.step(done / len(_SAMPLES))


def chance_to_meet(slots: int, counted: int, wrong: int) -> float:
    """The chance that a sample of slots, drawn without replacement, holds at least one of the wrong ones."""
    return 1.0 - math.comb(slots - wrong, counted) / math.comb(slots, counted)


def _least_sample(slots: int, accuracy: float, confidence: float) -> int:
    """The smallest sample that meets wrong slots, of which there are just too many, with the confidence."""
    wrong = next(d for d in range(slots + 1) if round(1 - d / slots, 12) < accuracy)
    return next(n for n in range(slots + 1) if chance_to_meet(slots, n, wrong) >= confidence)


# -- Counts ---------------------------------------------------------------------------------------------

EXPONENTS: Final = (0.1, 1.0, 5.0)
"""Errors a record in the time between two counts, l T, where counts always notice."""

OVERLOOKING: Final = ((0.5, 1.0, 260), (0.9, 1.0, 170))
"""Chance d that a count notices, l T, and counts of the store in the time mean."""

_INTERVAL_DAYS: Final = 20
_BEFORE: Final = 8
_COUNTS: Final = 40
"""Counts of the store before the time mean begins, and in it where counts always notice."""

_LANES: Final = 1000
_STEPS: Final = 8000
"""The long run of the rule: records, and counts of each."""


def counted_records(trial: Trial) -> Iterator[Check]:
    """Records go wrong at random and are counted regularly: share wrong against 1 - (1 - e^(-lT)) / (lT)."""
    level = level_of_each(len(EXPONENTS))
    for done, exponent in enumerate(EXPONENTS, 1):
        found, note = _two_levels(trial, exponent, 1.0, _COUNTS, level)
        expected = wrong_records(exponent, 1.0)
        yield random_check(f"records wrong, counted at lT {exponent:g}", expected, found, "share", note)
        trial.step(done / len(EXPONENTS))


def overlooked_records(trial: Trial) -> Iterator[Check]:
    """Counts notice a wrong record with a chance below 1: the share wrong against its fixed point."""
    level = level_of_each(len(OVERLOOKING))
    for done, (notices, exponent, counts) in enumerate(OVERLOOKING, 1):
        found, note = _two_levels(trial, exponent, notices, counts, level)
        after = wrong_after_count(exponent, notices)
        expected = after + (1 - after) * wrong_records(exponent, 1.0)
        name = f"records wrong, lT {exponent:g}, noticed with {notices:g}"
        yield random_check(
            name, expected, found, "share", f"{note}; {after:.4g} are wrong just after a count"
        )
        trial.step(done / len(OVERLOOKING))


def wrong_after_count(exponent: float, notices: float) -> float:
    """The share of records wrong just after a count, in the long run: the fixed point q*."""
    return (1 - notices) * -math.expm1(-exponent) / (1 - (1 - notices) * math.exp(-exponent))


def _two_levels(
    trial: Trial, exponent: float, notices: float, counts: int, level: float
) -> tuple[Interval, str]:
    """Share of time that records are wrong: a long run of the rule, and the store less the rule on errors."""
    long = _long_run(trial.rng, exponent, notices, level)
    store = _CountedStore(trial, exponent, notices, _BEFORE + counts)
    driven, rule = store.wrong_shares(), store.rule_shares()
    more = t_interval((driven - rule).tolist(), level)
    return sum_of(long, more), (
        f"{len(driven)} slots of a store, counted {counts} times; the share is {more.mean:+.2g} more than the"
        f" rule's, which is known from {_LANES * _STEPS:,} counts"
    )


def _long_run(rng: np.random.Generator, exponent: float, notices: float, level: float) -> Interval:
    """Share of time that records are wrong by the rule, record by record, T the unit of time."""
    total, is_wrong = np.zeros(_LANES), rng.random(_LANES) < wrong_after_count(exponent, notices)
    for _ in range(_STEPS):
        until_error = rng.exponential(1 / exponent, _LANES)
        total += np.where(is_wrong, 1.0, np.maximum(1.0 - until_error, 0.0))
        is_wrong |= until_error < 1.0
        is_wrong &= rng.random(_LANES) >= notices
    return t_interval((total / _STEPS).tolist(), level)


def _store(trial: Trial, sets: Sequence[str]) -> Simulation:
    """Rack A, empty: 258 slots of one box each, without orders and trucks."""
    scenario = load("rack_a", [*_QUIET, *sets]).scenario
    return Simulation(scenario, seed=int(trial.rng.integers(1 << 32)))


_QUIET: Final = (
    "initial.fill=0", "demand.orders_per_day=0", "demand.max_age_days=36500", "time.days=36500",
    "counting.hours=any", "counting.camera_slot_s=0", "counting.camera_box_s=0", "tour.command=dual",
    "robots.speed_m_per_s=20", "robots.lift_speed_m_per_s=20",
    "robots.run_h=10000", "robots.charge_below=0", "robots.idle_draw=0", "policy.dwell=stay",
)  # fmt: skip
"""Nothing but counts, as fast as a tireless robot can go from slot to slot."""


class _CountedStore:
    """A store that is counted in full, and the errors that move its boxes in the truth only.

    Box b belongs to slot b: it is there or outside, in truth and on record. Errors and counts begin after
    the first count, when all records are right.
    """

    def __init__(self, trial: Trial, exponent: float, notices: float, counts: int) -> None:
        # A difference is recorded when both looks show it.
        sets = (
            "counting.plan=full", f"counting.interval_days={_INTERVAL_DAYS}", "counting.approval_h=0",
            "counting.at=18:00", "counting.method=camera", "counting.recount=camera",
            f"reads.box_miss={1 - math.sqrt(notices)}",
        )  # fmt: skip
        self.simulation = simulation = _store(trial, sets)
        self._house, self._layout = simulation.warehouse, simulation.layout
        self._overlooks = notices < 1.0
        self._counts, self._notices = counts, notices
        self._interval_ms = _INTERVAL_DAYS * DAY_MS
        self._first_ms = self._interval_ms - DAY_MS + _COUNT_AT_MS
        last_ms = self._first_ms + counts * self._interval_ms
        # By slot the times of its errors; what is drawn beyond the end does not happen.
        mean, most = self._interval_ms / exponent, counts * exponent
        shape = (self._layout.slots, math.ceil(most + 8 * math.sqrt(most) + 8))
        after_ms = np.cumsum(trial.rng.exponential(mean, shape), axis=1)
        at_ms = self._first_ms + np.rint(after_ms).astype(np.int64)
        assert at_ms[:, -1].min() >= last_ms
        self._slots, which = np.nonzero(at_ms < last_ms)
        self._at_ms = at_ms[self._slots, which]
        self._open()
        simulation.env.process(self._err())
        if self._overlooks:
            simulation.env.process(self._clear())
        simulation.advance(last_ms)
        simulation.check()

    def wrong_shares(self) -> Floats:
        """Share of time that the record of each slot was wrong, by the facts; shape (slots,)."""
        truth, record = [NONE] * self._layout.slots, [NONE] * self._layout.slots
        since, wrong_ms = [0] * self._layout.slots, [0] * self._layout.slots
        begin_ms, end_ms = self._window_ms()
        for _, at, box, true_place, recorded_place in self._places():
            if truth[box] != record[box]:
                wrong_ms[box] += max(0, min(at, end_ms) - max(since[box], begin_ms))
            since[box] = at
            if true_place != NONE:
                truth[box] = true_place
            if recorded_place != NONE:
                record[box] = recorded_place
        for box, is_wrong in enumerate(a != b for a, b in zip(truth, record, strict=True)):
            if is_wrong:
                wrong_ms[box] += max(0, end_ms - max(since[box], begin_ms))
        return np.array(wrong_ms) / (end_ms - begin_ms)

    def _places(self) -> list[list[int]]:
        """By the facts, in order: number, time, box, its place in truth and on record (NONE: as before)."""
        trace, rows = self.simulation.trace, []
        for kind, truth, record in (("box_moved", "to_place", "recorded"), ("box_recorded", "", "place")):
            table = trace.table(kind)
            nowhere = np.full(len(table["seq"]), NONE)
            columns = (table["seq"], table["time_ms"], table["box"], table.get(truth, nowhere), table[record])
            rows += np.column_stack(columns).tolist()
        return sorted(rows)

    def rule_shares(self) -> Floats:
        """The same by the rule on the same errors, averaged over what counts notice; shape (slots,)."""
        # From count to count: the first error after each, as a share of the interval, 1 where there is none.
        first = np.ones((self._layout.slots, self._counts))
        interval, rest = np.divmod(self._at_ms - self._first_ms, self._interval_ms)
        np.minimum.at(first, (self._slots, interval), rest / self._interval_ms)
        total, wrong = np.zeros(self._layout.slots), np.zeros(self._layout.slots)
        for number in range(self._counts):
            until_error = first[:, number]
            if number >= _BEFORE:
                total += wrong + (1 - wrong) * (1 - until_error)
            wrong = (1 - self._notices) * np.where(until_error < 1.0, 1.0, wrong)
        return total / (self._counts - _BEFORE)

    def _window_ms(self) -> tuple[int, int]:
        begin_ms = self._first_ms + _BEFORE * self._interval_ms
        return begin_ms, self._first_ms + self._counts * self._interval_ms

    def _open(self) -> None:
        """Every slot with its box; where counts overlook, the boxes are outside and the slots empty."""
        house, slots = self._house, self._layout.slots
        day = self.simulation.calendar.ordinal(0)
        lot = house.new_lot(0, day, NONE)
        full = (1 << self._layout.meters_per_box) - 1
        for slot in range(slots):
            box = house.new_box(0, lot, day, full, self._layout.outside, NONE)
            house.ledger.index.stays.arrived(0, 0, day)
            house.place_at_start(box, slot, 0, 0, 0)
            if self._overlooks:
                self._issue(box)

    def _err(self) -> "Life":
        """Errors as they fall due; a record that is wrong stays as it is."""
        env, stock, ledger = self.simulation.env, self._house.stock, self._house.ledger
        in_order = np.argsort(self._at_ms, kind="stable")
        for at, box in zip(self._at_ms[in_order].tolist(), self._slots[in_order].tolist(), strict=True):
            if at > env.now:
                yield env.timeout(at - env.now)
            if stock.place[box] != ledger.place[box]:
                continue
            if self._overlooks and stock.column[box] != NONE:
                self._issue(box)
            self._house.mishaps.made(WRONG_SLOT, box, 0, box)
            if stock.column[box] != NONE:
                self._move(box, self._layout.outside, NONE)
            else:
                self._move(box, box, NONE)

    def _clear(self) -> "Life":
        """What a count has found leaves an hour after each count."""
        env, stock, ledger = self.simulation.env, self._house.stock, self._house.ledger
        yield env.timeout(self._first_ms + _HOUR_MS)
        while True:
            for box in range(self._layout.slots):
                if ledger.column[box] != NONE and stock.place[box] == ledger.place[box]:
                    self._issue(box)
            yield env.timeout(self._interval_ms)

    def _issue(self, box: int) -> None:
        """A box leaves its slot, in truth and on record."""
        ledger = self._house.ledger
        if box in ledger.ready:
            ledger.ready.remove(box)
        ledger.taken(box, self._layout.outside)
        self._move(box, self._layout.outside, self._layout.outside)

    def _move(self, box: int, place: int, recorded: int) -> None:
        """Move a box in the truth; `recorded` is what the records make of it."""
        stock, source = self._house.stock, self._house.stock.place[box]
        column = tier = NONE
        if place < self._layout.slots:
            column = tier = 0
            stock.put_at(box, place, column, tier)
        else:
            stock.take(box, place)
        now = self.simulation.now_ms
        self._house.record((now, BOX_MOVED, box, source, place, column, tier, NONE, NONE, recorded))


_HOUR_MS: Final = 3_600_000
_COUNT_AT_MS: Final = 18 * _HOUR_MS
"""When plans name their slots, `counting.at`."""
