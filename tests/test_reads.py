"""How tags and labels are read: the beta-binomial law, one draw a meter and occasion, strays on a shelf."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import integrate, stats

from sim.reads import ReadParams, TagReader, miss_chances, seen_in
from sim.streams import Streams

FULL = (1 << 15) - 1
boxes = st.integers(0, 5000)
masks = st.integers(0, FULL)
occasions = st.integers(0, 10**6)


def reader(seed: int = 1, meters: int = 15, **params: float) -> TagReader:
    return TagReader(ReadParams(**params), Streams(seed), meters)


def likely(chance: float, trials: int) -> tuple[float, float]:
    """What a number of successes lies between with a chance of at least 99.9 %, by the exact binomial."""
    return stats.binom.ppf(0.0005, trials, chance), stats.binom.ppf(0.9995, trials, chance)


def missed_by_all(mean: float, correlation: float, dead: float, passes: int) -> float:
    """The closed forms for one, two and three passes, written out one by one."""
    m, rho = mean, correlation
    q = {
        1: m,
        2: m * (m * (1 - rho) + rho),
        3: m * (m * (1 - rho) + rho) * (m * (1 - rho) + 2 * rho) / (1 + rho),
    }[passes]
    return dead + (1 - dead) * q


# -- What one, two and three passes miss --------------------------------------------------------------------


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize(
    ("mean", "correlation", "dead"),
    [(0.01, 0.0, 0.0), (0.01, 0.1, 0.001), (0.1, 0.0, 0.02), (0.1, 0.3, 0.0), (0.05, 0.9, 0.01)],
)
def test_missed_by_all_passes(mean: float, correlation: float, dead: float, passes: int) -> None:
    """The share of tags that all passes of an occasion miss is the closed form, dead tags included."""
    tags = reader(meter_miss=mean, correlation=correlation, dead=dead)
    missed = sum(15 - tags.read(box, FULL, passes, 7).bit_count() for box in range(12_000))
    low, high = likely(missed_by_all(mean, correlation, dead, passes), 180_000)
    assert low <= missed <= high


@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.5])
def test_misses_are_beta_binomial(correlation: float) -> None:
    """How many of three occasions miss a tag has the beta-binomial distribution."""
    tags, m, n = reader(meter_miss=0.1, correlation=correlation, dead=0.0), 0.1, 6000
    seen = [[tags.read(box, FULL, 1, occasion) for box in range(n)] for occasion in range(3)]
    misses = np.zeros(4, int)
    for masks in zip(*seen, strict=True):
        for k in range(15):
            misses[sum(1 - (mask >> k & 1) for mask in masks)] += 1
    law = stats.binom(3, m)
    if correlation:
        law = stats.betabinom(3, m * (1 / correlation - 1), (1 - m) * (1 / correlation - 1))
    for number, found in enumerate(misses.tolist()):
        low, high = likely(law.pmf(number), 15 * n)
        assert low <= found <= high


def test_beta_binomial_is_the_closed_form() -> None:
    """All of n passes miss with the product that the module gives, which is the beta-binomial's last term."""
    m, rho = 0.03, 0.2
    for n in (1, 2, 3):
        law = stats.betabinom(n, m * (1 / rho - 1), (1 - m) * (1 / rho - 1))
        product = math.prod((m * (1 - rho) + i * rho) / (1 - rho + i * rho) for i in range(n))
        assert law.pmf(n) == pytest.approx(product) == pytest.approx(missed_by_all(m, rho, 0.0, n))


@pytest.mark.parametrize("correlation", [0.0, 0.4])
@pytest.mark.parametrize(("miss", "whole"), [(0.01, 0.860), (0.005, 0.928), (0.001, 0.985)])
def test_whole_boxes_in_one_pass(miss: float, whole: float, correlation: float) -> None:
    """Of boxes with 15 tags at 99 %, 86.0 % are read whole in one pass, however tags differ."""
    # 0.99^15 = 0.86006, 0.995^15 = 0.92757, 0.999^15 = 0.98510.
    chance = (1 - miss) ** 15
    assert round(chance, 3) == whole
    tags, n = reader(meter_miss=miss, correlation=correlation, dead=0.0), 10_000
    low, high = likely(chance, n)
    assert low <= sum(tags.read(box, FULL, 1, 3) == FULL for box in range(n)) <= high


def test_whole_boxes_in_two_passes() -> None:
    """A second pass leaves 0.15 % of boxes incomplete where tags are alike, and 1.6 % at correlation 0.1."""
    # Equal: 1 - (1 - 0.01^2)^15 = 0.00150. Else q = 0.01 (0.01 0.9 + 0.1) = 0.00109, 1 - 0.99891^15 = 0.01623.
    for correlation, chance in ((0.0, 0.00150), (0.1, 0.01623)):
        q = missed_by_all(0.01, correlation, 0.0, 2)
        assert 1 - (1 - q) ** 15 == pytest.approx(chance, abs=5e-6)
        tags, n = reader(meter_miss=0.01, correlation=correlation, dead=0.0), 10_000
        low, high = likely(1 - (1 - q) ** 15, n)
        assert low <= sum(tags.read(box, FULL, 2, 0) != FULL for box in range(n)) <= high


# -- Tags ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "correlation"), [(0.01, 0.1), (0.1, 0.5), (0.001, 0.3), (0.5, 0.9)])
def test_moments_of_chances(mean: float, correlation: float) -> None:
    """Mean, second and third moment of the chances are those of their beta distribution, to 0.01 %."""
    chances = np.array(miss_chances(mean, correlation))
    # Part i takes (1 - i/4096)^2 - (1 - (i+1)/4096)^2 of the tags.
    share = np.array([(4096 - i) ** 2 - (4095 - i) ** 2 for i in range(4096)]) / 4096**2
    law = stats.beta(mean * (1 / correlation - 1), (1 - mean) * (1 / correlation - 1))
    for power in (1, 2, 3):
        assert chances**power @ share == pytest.approx(law.moment(power), rel=1e-4)
    assert chances @ share == pytest.approx(mean, rel=1e-6)
    assert (np.diff(chances) >= 0).all()


def test_chances_are_means_of_parts() -> None:
    """A chance is the mean of its part of the distribution, integrated numerically."""
    law, chances = stats.beta(0.1 * 4, 0.9 * 4), miss_chances(0.1, 0.2)
    for part in (500, 2000, 4000, 4090):
        low, high = law.ppf(1 - (1 - part / 4096) ** 2), law.ppf(1 - (1 - (part + 1) / 4096) ** 2)
        above, _ = integrate.quad(lambda x: x * law.pdf(x), low, high)
        below, _ = integrate.quad(law.pdf, low, high)
        assert chances[part] == pytest.approx(above / below, rel=1e-6)


def test_equal_tags() -> None:
    """Without correlation and dead tags every tag has the same chance; with a mean of 0 none is missed."""
    assert {reader(correlation=0.0, dead=0.0).miss_chance(meter) for meter in range(100)} == {0.01}
    assert set(miss_chances(0.0, 0.5)) == {0.0}


def test_equal_tags_without_scipy() -> None:
    """Where tags are alike, scipy is not imported."""
    code = (
        "import sys; from sim.reads import *; from sim.streams import Streams;"
        "r = TagReader(ReadParams(correlation=0), Streams(1), 15); r.read(3, 7, 2, 1);"
        "sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_dead_tags_never_answer() -> None:
    """The share `dead` of tags has the miss chance 1 and is missed by any number of passes."""
    tags = reader(dead=0.05)
    dead = {meter for meter in range(15_000) if tags.miss_chance(meter) == 1.0}
    low, high = likely(0.05, 15_000)
    assert low <= len(dead) <= high
    for box in range(1000):
        missed = FULL & ~tags.read(box, FULL, 100, 0)
        assert {15 * box + k for k in range(15) if missed >> k & 1} == dead & set(
            range(15 * box, 15 * box + 15)
        )


def test_replaced_tag_is_another() -> None:
    """A replaced tag has a chance of its own, is read by it, and its neighbours keep theirs."""
    tags = reader(dead=0.2)
    dead = next(m for m in range(1000) if tags.miss_chance(m) == 1.0 > tags.miss_chance(m, 1))
    box, bit = dead // 15, 1 << dead % 15
    before = tags.read(box, FULL, 100, 0)
    assert not before & bit
    tags.replace(dead)
    assert tags.read(box, FULL, 100, 0) == before | bit
    assert tags.miss_chance(dead) == 1.0
    # The third tag of a meter is not its first or second.
    assert len({tags.miss_chance(7, replaced) for replaced in range(3)}) == 3


def test_tags_belong_to_their_seed() -> None:
    """Two seeds give other tags; one seed always gives the same."""
    chances = [[reader(seed).miss_chance(meter) for meter in range(50)] for seed in (1, 1, 2)]
    assert chances[0] == chances[1] != chances[2]


# -- Reading ------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(boxes, masks, st.integers(1, 4), occasions), max_size=30), st.randoms())
def test_order_of_reading_is_free(reads: list[tuple[int, int, int, int]], random) -> None:
    """A box is read the same at the same occasion, whatever was read before."""
    tags = reader(meter_miss=0.3)
    found = {read: tags.read(*read) for read in reads}
    labels = {read: tags.box_is_read(read[0], read[3]) for read in reads}
    shelves = {read: tags.shelf(0, [read[:2]], [1, 2], read[3]) for read in reads}
    random.shuffle(reads)
    again = reader(meter_miss=0.3)
    for read in reads:
        assert again.shelf(0, [read[:2]], [1, 2], read[3]) == shelves[read]
        assert again.box_is_read(read[0], read[3]) == labels[read]
        assert again.read(*read) == found[read]


@given(boxes, masks, masks, occasions)
def test_meters_are_read_one_by_one(box: int, mask: int, other: int, occasion: int) -> None:
    """Only meters in the box are seen, each whatever else is there, and more passes see no less."""
    tags = reader(meter_miss=0.3, correlation=0.2)
    once, twice = (tags.read(box, mask, passes, occasion) for passes in (1, 2))
    assert once & ~twice == 0 == twice & ~mask
    assert tags.read(box, mask & other, 2, occasion) == twice & other


@pytest.mark.parametrize("meters", [1, 2, 15, 16, 60])
def test_meters_share_no_draw(meters: int) -> None:
    """Whatever a box holds, every meter of every box has draws of its own."""
    tags, asked = reader(meters=meters), []
    tags._pass = lambda number, occasion: asked.append(number) or 0.5
    tags._tag = lambda number, replaced: asked.append(-number - 1) or 0.5
    for box in range(20):
        tags.read(box, 1, 1, 3)
    assert len(asked) == len(set(asked)) == 2 * 20 * meters


def test_perfect_reader_sees_all() -> None:
    """With all rates at 0 everything is read at the first try, and nothing elsewhere."""
    tags = reader(meter_miss=0, dead=0, box_miss=0, stray=0)
    for box in range(500):
        assert tags.read(box, box, 1, box) == box
        assert tags.box_is_read(box, 9)
        assert tags.shelf(4, [(box, FULL)], [3, 5], 1) == {4: {box: FULL}}


@pytest.mark.parametrize("reads", [1, 2, 3])
def test_labels_are_missed_at_their_rate(reads: int) -> None:
    """A label is missed by all of n tries with the n-th power of its chance."""
    tags, n = reader(box_miss=0.3), 40_000
    low, high = likely(0.3**reads, n)
    assert low <= sum(not tags.box_is_read(box, 5, reads) for box in range(n)) <= high


# -- Shelves ------------------------------------------------------------------------------------------------


def test_strays_go_to_neighbours() -> None:
    """The share `stray` of seen tags is put into neighbour slots, each alike; no tag into two slots."""
    tags, n = reader(stray=0.1, meter_miss=0.1, dead=0.0, passes=1, correlation=0.3), 6000
    found = dict.fromkeys((4, 5, 6, 7), 0)
    for first in range(0, n, 10):
        seen = tags.shelf(5, [(box, FULL) for box in range(first, first + 10)], [4, 6, 7], first)
        for slot, by_box in seen.items():
            assert all(by_box.values())
            found[slot] += sum(mask.bit_count() for mask in by_box.values())
        for box in range(first, first + 10):
            parts = [by_box.get(box, 0) for by_box in seen.values()]
            assert sum(part.bit_count() for part in parts) == int(np.bitwise_or.reduce(parts)).bit_count()
    low, high = likely(0.9, 15 * n)
    total = sum(found.values())
    assert low <= total <= high
    for slot, share in ((5, 0.9), (4, 0.1 / 3), (6, 0.1 / 3), (7, 0.1 / 3)):
        low, high = likely(share, total)
        assert low <= found[slot] <= high


def test_lone_slot_has_no_strays() -> None:
    """Where a slot has no neighbours, or its boxes no meters, nothing is seen elsewhere."""
    tags = reader(stray=0.5, meter_miss=0.0, dead=0.0)
    assert tags.shelf(3, [(8, FULL), (9, 5)], [], 0) == {3: {8: FULL, 9: 5}}
    assert tags.shelf(3, [(8, 0)], [2, 4], 0) == {3: {}}
    assert tags.shelf(3, [], [2, 4], 0) == {3: {}}


def test_shelf_misses_what_all_passes_miss() -> None:
    """A shelf is passed `passes` times: the share missed is that of so many passes."""
    tags = reader(meter_miss=0.2, correlation=0.2, dead=0.0, passes=2)
    missed = sum(
        15
        - sum(by_box[box].bit_count() for by_box in tags.shelf(0, [(box, FULL)], [1], 2).values() if by_box)
        for box in range(6000)
    )
    low, high = likely(missed_by_all(0.2, 0.2, 0.0, 2), 90_000)
    assert low <= missed <= high


@pytest.mark.parametrize(
    ("seen", "recorded", "there"),
    [
        (0b0011, 0b0111, True),  # 2 of 3
        (0b0001, 0b0111, False),  # 1 of 3
        (0b0011, 0b1111, True),  # half
        (0b1000, 0b0111, False),  # a meter that is not on record says nothing
        (0b1011, 0b0111, True),
        (0b1111, 0b0000, False),  # no tags to be known by
        (0b0000, 0b0001, False),
    ],
)
def test_box_is_seen_by_half_of_its_meters(seen: int, recorded: int, there: bool) -> None:
    """A box is in a slot when at least half of its recorded meters are seen there."""
    assert seen_in(seen, recorded) is there


# -- Parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["meter_miss", "dead", "box_miss", "stray", "correlation"])
def test_rates_have_a_range(name: str) -> None:
    """A rate below 0 or above its limit is refused."""
    highest = 0.9 if name == "correlation" else 0.5
    for value in (0, highest):
        assert getattr(ReadParams(**{name: value}), name) == value
    for value in (-0.001, highest + 0.001, True, "0.1"):
        with pytest.raises(ValidationError, match=name):
            ReadParams(**{name: value})


def test_at_least_one_pass() -> None:
    """Readers pass at least once."""
    for name in ("passes", "gate_passes"):
        with pytest.raises(ValidationError, match=name):
            ReadParams(**{name: 0})
