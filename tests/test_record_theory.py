"""Reads, samples and counts against theory: small cases, the pieces by hand, and that wrong models fail."""

import itertools
import math

import numpy as np
import pytest

from sim import counting, record_theory
from sim.checks import Check, Trial
from sim.counting import Counting
from sim.facts import NONE
from sim.reads import ReadParams, TagReader
from sim.record_theory import chance_to_meet, missed_by_all, wrong_after_count
from sim.simulation import Simulation
from sim.validation import run_checks


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.ok]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases of a tenth of their size: wider intervals, so width does not count."""
    for name, value in (
        ("_BAD_BOXES", 3000),
        ("_GOOD_BOXES", {"one pass": 2000, "two passes": 1000}),
        ("_SAMPLES", tuple(sample._replace(draws=3000) for sample in record_theory._SAMPLES)),
        ("_COUNTS", 12),
        ("_STEPS", 800),
        ("OVERLOOKING", ((0.5, 1.0, 40), (0.9, 1.0, 30))),
    ):
        monkeypatch.setattr(record_theory, name, value)
    monkeypatch.setattr("sim.checks.HALF_WIDTH", 0.2)


def trial(seed: int = 1) -> Trial:
    return Trial(np.random.default_rng(seed), lambda _: None)


CASES = ["tag-misses", "sampling", "counted-records", "overlooked-records"]


@pytest.mark.parametrize("case", CASES)
def test_small_cases(case: str, small: None) -> None:
    """Short runs agree with theory, and each check has a name of its own."""
    checks = run_checks([case])
    assert failed(checks) == []
    assert len({check.name for check in checks}) == len(checks) >= 2


def test_what_is_expected() -> None:
    """The records' expected shares are the closed forms at l T of 0.1, 1 and 5."""
    # 1 - (1 - 0.904837) / 0.1 = 0.048374, 1 - 0.632121 = 0.367879, 1 - 0.993262 / 5 = 0.801348.
    assert record_theory.EXPONENTS == (0.1, 1.0, 5.0)
    # d = 0.5: q = 0.5 0.632121 / (1 - 0.5 0.367879) = 0.387301, mean q + (1 - q) 0.367879 = 0.612700.
    # d = 0.9: q = 0.1 0.632121 / (1 - 0.1 0.367879) = 0.065626, mean 0.409363.
    assert [(d, x) for d, x, _ in record_theory.OVERLOOKING] == [(0.5, 1.0), (0.9, 1.0)]
    assert wrong_after_count(1.0, 0.5) == pytest.approx(0.387301, abs=1e-6)
    assert wrong_after_count(1.0, 0.9) == pytest.approx(0.065626, abs=1e-6)


# -- The pieces -----------------------------------------------------------------------------------------


def test_closed_forms_of_misses() -> None:
    """Independent passes miss with powers of m, a fully correlated second pass shows little that is new."""
    independent = ReadParams(meter_miss=0.3, correlation=0.0, dead=0.0)
    assert [missed_by_all(independent, n) for n in (1, 2, 3)] == pytest.approx([0.3, 0.09, 0.027])
    # 0.3 (0.3 0.1 + 0.9) = 0.279; dead tags: 0.1 + 0.9 0.279.
    assert missed_by_all(ReadParams(meter_miss=0.3, correlation=0.9, dead=0.0), 2) == pytest.approx(0.279)
    assert missed_by_all(ReadParams(meter_miss=0.3, correlation=0.9, dead=0.1), 2) == pytest.approx(0.3511)


@pytest.mark.parametrize("wrong", range(7))
@pytest.mark.parametrize("counted", range(7))
def test_chance_to_meet_by_enumeration(counted: int, wrong: int) -> None:
    """The chance is the share of all samples of six slots that hold one of the first `wrong`."""
    samples = list(itertools.combinations(range(6), counted))
    meeting = sum(any(slot < wrong for slot in sample) for sample in samples)
    assert chance_to_meet(6, counted, wrong) == pytest.approx(meeting / len(samples))


def test_least_sample_by_hand() -> None:
    """Of 10 slots 90 % have to be right: two wrong ones are too many, and seven slots meet them with 90 %."""
    # None of 2 wrong in a sample of n: (10 - n)(9 - n) / 90 is 6/90 = 0.067 for n = 7 and 12/90 for 6.
    assert record_theory._least_sample(10, 0.9, 0.9) == 7
    assert record_theory._least_sample(10, 1.0, 0.9) == 9  # one wrong: n / 10
    assert record_theory._least_sample(10, 0.9, 1 - 6.1 / 90) == 7


@pytest.mark.parametrize("notices", [0.01, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("exponent", [0.1, 1.0, 5.0])
def test_fixed_point_of_counts(exponent: float, notices: float) -> None:
    """From any share on, count after count leads to the fixed point."""
    wrong = 0.7
    for _ in range(3000):
        wrong = (1 - notices) * (1 - (1 - wrong) * math.exp(-exponent))
    assert wrong_after_count(exponent, notices) == pytest.approx(wrong, abs=1e-12)


def test_long_run_is_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lane of the long run is one record, worked out count by count."""
    for name, value in (("_LANES", 5), ("_STEPS", 40)):
        monkeypatch.setattr(record_theory, name, value)
    errors = np.random.default_rng(1).exponential(1.0, (40, 5))
    draws = np.random.default_rng(2).random((41, 5))

    class Drawn:
        number = 0

        def random(self, lanes: int) -> np.ndarray:
            self.number += 1
            return draws[self.number - 1]

        def exponential(self, mean: float, lanes: int) -> np.ndarray:
            assert mean == 0.5
            return errors[self.number - 1] * mean

    found = record_theory._long_run(Drawn(), 2.0, 0.6, 0.99)
    shares = []
    for lane in range(5):
        is_wrong, total = draws[0, lane] < wrong_after_count(2.0, 0.6), 0.0
        for step in range(40):
            error = 0.5 * errors[step, lane]
            total += 1.0 if is_wrong else max(0.0, 1.0 - error)
            is_wrong = (is_wrong or error < 1.0) and draws[step + 1, lane] >= 0.6
        shares.append(total / 40)
    assert found.mean == pytest.approx(np.mean(shares))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time mean of a store begins after two counts."""
    monkeypatch.setattr(record_theory, "_BEFORE", 2)


@pytest.mark.parametrize("notices", [1.0, 0.5])
def test_wrong_shares_are_the_state(notices: float, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares by the facts are what one sees who compares stock and ledger every two hours."""
    seen: list[list[bool]] = []
    advance = Simulation.advance

    def in_steps(simulation: Simulation, until_ms: int) -> None:
        stock, ledger = simulation.stock, simulation.ledger
        for at in range(3_600_000, until_ms, 7_200_000):
            advance(simulation, at)
            seen.append([stock.place[box] != ledger.place[box] for box in range(258)])
        advance(simulation, until_ms)

    monkeypatch.setattr(Simulation, "advance", in_steps)
    store = record_theory._CountedStore(trial(), 1.0, notices, 5)
    begin_ms, end_ms = store._window_ms()
    part = np.array(seen[begin_ms // 7_200_000 : end_ms // 7_200_000])
    assert len(part) == 3 * 240
    shares = store.wrong_shares()
    # A slot goes wrong and right at most three times, each time seen at most an hour early or late of 1,440.
    assert shares == pytest.approx(part.mean(axis=0), abs=6 / 1440)
    assert shares.mean() == pytest.approx(part.mean(), abs=0.0005)


def test_rule_shares_by_hand(few: None) -> None:
    """The rule on given errors, slot by slot and error by error."""
    store = record_theory._CountedStore(trial(), 1.0, 0.5, 6)
    interval = 1_728_000_000
    expected = []
    for slot in range(258):
        times = (store._at_ms[store._slots == slot] - store._first_ms).tolist()
        # Chance that it is wrong, over all that counts may notice.
        wrong, total = 0.0, 0.0
        for number in range(6):
            errors = [t for t in times if number * interval <= t < (number + 1) * interval]
            free = (errors[0] - number * interval) / interval if errors else 1.0
            if number >= 2:
                total += wrong + (1 - wrong) * (1 - free)
            wrong = 0.5 * (1.0 if errors else wrong)
        expected.append(total / 4)
    assert store.rule_shares() == pytest.approx(expected)


def test_store_does_as_the_rule(few: None) -> None:
    """Where counts always notice, every slot is wrong as long as the rule says, to the time of a count."""
    store = record_theory._CountedStore(trial(), 1.0, 1.0, 8)
    # A count and its second looks take half a minute of its 20 days. An error in these minutes comes before
    # the look at its slot or after it: for 258 slots and 7 counts, 258 7 / 57,600 = 0.03 such errors are expected.
    apart = np.abs(store.wrong_shares() - store.rule_shares())
    assert (apart > 0.0001).sum() <= 2
    recorded = store.simulation.trace.table("box_recorded")
    # Both kinds of difference are met: boxes that are missing, and boxes that are too many.
    outside = store.simulation.layout.outside
    assert (recorded["place"] == outside).sum() > 100
    assert (recorded["place"] != outside).sum() > 100
    assert set(store.simulation.trace.table("error_found")["how"].tolist()) == {3}  # by a count


def test_second_look_is_needed(few: None) -> None:
    """A label that is read with the chance r is recorded with r^2: once is not enough."""
    store = record_theory._CountedStore(trial(), 1.0, 0.5, 12)
    noted = store.simulation.trace.table("count_difference")
    verdicts = np.bincount(noted["verdict"], minlength=3)[:3]
    # Of differences noted at the first look, r = 0.707 are confirmed; more than 1,500 of them.
    assert verdicts[0] == verdicts[1] + verdicts[2] > 1500
    assert verdicts[1] / verdicts[0] == pytest.approx(math.sqrt(0.5), abs=4 * 0.46 / math.sqrt(verdicts[0]))


# -- A wrong model fails ----------------------------------------------------------------------------------


def test_coin_flips_fail(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags that all have the same chance are no correlated tags: one pass shows nothing, two passes do."""
    monkeypatch.setattr("sim.reads.miss_chances", lambda mean, _: (mean,) * 4096)
    names = failed(run_checks(["tag-misses"]))
    assert "tags, correlated, missed by two passes" in names
    assert "tags, correlated, missed by one of two passes" in names
    assert not any("independent" in name or name.endswith("missed by one pass") for name in names)


def test_lost_second_pass_fails(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that passes once when it should pass twice is seen."""
    read = TagReader.read
    monkeypatch.setattr(
        TagReader, "read", lambda self, box, mask, passes, occasion: read(self, box, mask, 1, occasion)
    )
    names = failed(run_checks(["tag-misses"]))
    assert [name for name in names if name.startswith("tags")] == [
        "tags, independent, missed by two passes",
        "tags, correlated, missed by two passes",
    ]


def test_sample_with_replacement_fails(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that may draw a slot twice meets the wrong ones less often."""

    def sample(self: Counting, count: int) -> list[int]:
        return [self.slots[int(self._sample.random() * len(self.slots))] for _ in range(count)]

    monkeypatch.setattr(Counting, "sample", sample)
    names = failed(run_checks(["sampling"]))
    assert len([name for name in names if "0.99" in name]) == 4


def test_sample_of_neighbours_fails(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of slots that follow each other meets those in a corner too rarely."""

    def sample(self: Counting, count: int) -> list[int]:
        first = int(self._sample.random() * len(self.slots))
        return [self.slots[(first + k) % len(self.slots)] for k in range(count)]

    monkeypatch.setattr(Counting, "sample", sample)
    assert len([name for name in failed(run_checks(["sampling"])) if "corner" in name]) == 4


def test_small_sample_fails(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that counts a slot less than it has to is seen."""
    monkeypatch.setitem(
        counting.PLANS,
        "certify",
        counting.PLANS["certify"]._replace(choose=lambda view: counting.certify(view)[1:]),
    )
    names = failed(run_checks(["sampling"]))
    assert [name for name in names if "slots to count" in name] == [
        "certify 0.99 at 0.95, slots to count",
        "certify 0.95 at 0.9, slots to count",
    ]


def test_blind_look_fails(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that overlooks one box in twenty is no perfect count, nor one that notices with 0.9."""
    is_read = TagReader.box_is_read

    def worse(self: TagReader, box: int, occasion: int, reads: int = 1) -> bool:
        return is_read(self, box, occasion, reads) and (box + 7 * occasion) % 20 > 0

    monkeypatch.setattr(TagReader, "box_is_read", worse)
    names = failed(run_checks(["counted-records", "overlooked-records"]))
    assert "records wrong, counted at lT 1" in names
    assert "records wrong, lT 1, noticed with 0.9" in names


def test_unposted_differences_fail(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that does not record boxes that are too many leaves records wrong."""
    monkeypatch.setattr("sim.warehouse.Warehouse.see", lambda *_: False)
    assert len(failed(run_checks(["counted-records"]))) == 3


def test_late_posting_fails(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that follow a day after the count are wrong for longer: by 5 % of the time between counts."""
    monkeypatch.setattr("sim.checks.HALF_WIDTH", math.inf)
    store = record_theory._CountedStore
    places = store._places

    def later(self: record_theory._CountedStore) -> list[list[int]]:
        rows = [
            [n, at + 86_400_000 * (truth == NONE), box, truth, record]
            for n, at, box, truth, record in places(self)
        ]
        return sorted(rows, key=lambda row: row[1])

    monkeypatch.setattr(store, "_places", later)
    assert len(failed(run_checks(["counted-records"]))) == 3


def test_truth_alone_moves(few: None) -> None:
    """Errors change no record; records change by counts alone, and end as the facts tell."""
    store = record_theory._CountedStore(trial(), 1.0, 1.0, 4)
    trace, ledger, stock = store.simulation.trace, store.simulation.ledger, store.simulation.stock
    truth, record = [NONE] * 258, [NONE] * 258
    for _, _, box, true_place, recorded_place in store._places():
        truth[box] = true_place if true_place != NONE else truth[box]
        record[box] = recorded_place if recorded_place != NONE else record[box]
    assert (truth, record) == (stock.place, ledger.place)
    moved = trace.table("box_moved")
    assert set(moved["recorded"][moved["time_ms"] > 0].tolist()) == {NONE}
    assert len(trace.table("error_made")["error"]) == (moved["time_ms"] > 0).sum()
