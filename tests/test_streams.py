"""Random numbers: addressed, independent of the order of asking, and right in distribution."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.streams import (
    Stream,
    Streams,
    choose,
    exponential,
    lognormal,
    normal_quantile,
    poisson,
    poisson_quantile,
)

numbers = st.integers(-(10**12), 10**12)
occurrences = st.integers(-3, 10**6)
uniforms = st.floats(0, 1, exclude_max=True)


class TestStream:
    def test_values_of_seed_one(self):
        """The numbers of a stream never change: they are part of every digest."""
        stream = Streams(1)["demand.size"]
        # The first 16 bytes of SHA-256("1/demand.size/0/0") are PCG64's state, the last its increment (made odd).
        address = hashlib.sha256(b"1/demand.size/0/0").digest()
        state, inc = (int.from_bytes(part, "little") for part in (address[:16], address[16:]))
        bits = np.random.PCG64()
        bits.state = {
            "bit_generator": "PCG64", "state": {"state": state, "inc": inc | 1}, "has_uint32": 0, "uinteger": 0,
        }  # fmt: skip
        raw = [int(bits.random_raw()) >> 11 for _ in range(32)]
        assert [stream.uniform(k) for k in range(32)] == [r / 2**53 for r in raw]
        assert [stream.uniform(k) for k in (-1, 0, 1)] == [
            0.7382716253387631, 0.12306611677955215, 0.21637539028628272,
        ]  # fmt: skip

    @given(st.lists(st.tuples(numbers, occurrences), min_size=1, max_size=40), st.randoms())
    def test_order_of_asking_is_free(self, addresses, random):
        """A number has the same uniform whenever and after whatever it is asked for."""
        stream = Stream(7, "a")
        first = {address: stream.uniform(*address) for address in addresses}
        shuffled = list(addresses)
        random.shuffle(shuffled)
        other = Stream(7, "a")
        assert {address: other.uniform(*address) for address in shuffled} == first

    def test_uniform_survives_the_cache(self):
        """Values are the same after more blocks than the stream keeps have been asked for."""
        stream = Stream(7, "a")
        before = [stream.uniform(n) for n in range(100)]
        for block in range(2000):
            stream.uniform(32 * block)
        assert [stream.uniform(n) for n in range(100)] == before

    @given(numbers, occurrences)
    def test_uniform_is_below_one(self, number, occurrence):
        """Every uniform lies on [0, 1), a multiple of 2**-53."""
        u = Stream(3, "b").uniform(number, occurrence)
        assert 0 <= u < 1
        assert (u * 2**53).is_integer()

    def test_addresses_share_no_value(self):
        """Numbers on both sides of zero, occurrences, names and seeds each have values of their own."""
        values = [
            Streams(seed)[name].uniform(number, occurrence)
            for seed in (0, 1, 2**63 - 1)
            for name in ("a", "b")
            for number in range(-70, 70)
            for occurrence in (-1, 0, 1)
        ]
        assert len(set(values)) == len(values) == 3 * 2 * 140 * 3

    def test_random_goes_on(self):
        """Successive draws are new, and the same again for the same seed and name."""
        first, again = Stream(5, "c"), Stream(5, "c")
        draws = [first.random() for _ in range(100)]
        assert len(set(draws)) == 100
        assert [again.random() for _ in range(100)] == draws

    def test_random_leaves_addressed_draws_alone(self):
        """Draws that belong to a decision shift none that belong to a number."""
        stream = Stream(5, "c")
        before = [stream.uniform(n) for n in range(5)]
        stream.random()
        assert [stream.uniform(n) for n in range(5)] == before

    def test_streams_are_made_once(self):
        """Asking for a stream again goes on with the same one."""
        streams = Streams(1)
        first = streams["x"].random()
        assert streams["x"].random() != first

    def test_another_stream_shifts_none(self):
        """A stream that is added later changes no draw of the others."""
        one, two = Streams(1), Streams(1)
        two["added"].random()
        assert one["x"].random() == two["x"].random()

    @pytest.mark.parametrize("step", [1, 32, 4096, 100_000])
    def test_uniforms_are_uniform(self, step):
        """20,000 uniforms, from neighbouring numbers or from far apart, pass a Kolmogorov-Smirnov test."""
        stream = Stream(11, "d")
        sample = [stream.uniform(step * n) for n in range(20_000 // (8 if step > 1 else 1))]
        assert stats.kstest(sample, "uniform").pvalue > 0.001

    def test_neighbours_are_uncorrelated(self):
        """Neighbouring numbers, occurrences and blocks show no correlation (99.9 %: 3.3 / sqrt(n))."""
        stream = Stream(11, "e")
        grid = np.array([[stream.uniform(32 * n, k) for n in range(1500)] for k in range(3)])
        along = np.corrcoef(grid[0][1:], grid[0][:-1])[0, 1]
        across = np.corrcoef(grid[0], grid[1])[0, 1]
        near = [stream.uniform(n) for n in range(1500)]
        beside = np.corrcoef(near[1:], near[:-1])[0, 1]
        assert max(abs(along), abs(across), abs(beside)) < 3.3 / math.sqrt(1499)


class TestVariates:
    @given(uniforms, st.floats(1e-3, 1e9))
    def test_exponential_is_the_quantile(self, u, mean):
        """An exponential variate is the quantile that scipy gives."""
        assert exponential(u, mean) == pytest.approx(stats.expon.ppf(u, scale=mean), rel=1e-9, abs=1e-300)

    def test_exponential_by_hand(self):
        """The median is the mean times ln 2; a uniform of 0 gives 0."""
        assert exponential(0.5, 10.0) == pytest.approx(6.931471805599453)
        assert exponential(0.0, 10.0) == 0.0

    @given(st.floats(1e-12, 1 - 1e-6))
    def test_normal_quantile_is_exact(self, u):
        """The normal quantile differs from scipy's by at most 1e-9."""
        assert normal_quantile(u) == pytest.approx(stats.norm.ppf(u), abs=1e-9)

    @given(st.floats(-15, -2))
    def test_normal_tails_mirror(self, exponent):
        """The upper tail is as exact as the lower one, down to the last float before 1."""
        u = 1.0 - 10.0**exponent
        assert normal_quantile(u) == pytest.approx(stats.norm.ppf(u), abs=1e-9)

    @pytest.mark.parametrize("u", [0.0, 5e-324, 1e-300, 2.0**-53, 1.0 - 2.0**-53, 1.0])
    def test_normal_quantile_stays_finite(self, u):
        """No uniform, however close to 0 or 1, gives an infinite variate."""
        assert math.isfinite(normal_quantile(u))

    def test_normal_quantile_never_falls(self):
        """The quantile rises with u, also where one approximation hands over to the next."""
        around = [0.02425, 0.5, 1 - 0.02425]
        us = sorted(
            [k / 1000 for k in range(1, 1000)] + [b + d * 1e-7 for b in around for d in range(-20, 21)]
        )
        found = [normal_quantile(u) for u in us]
        assert found == sorted(found)

    @given(st.integers(0, 10_000), st.floats(0.01, 500))
    def test_poisson_is_the_quantile(self, number, mean):
        """A Poisson variate is the smallest k whose distribution reaches u."""
        u = Stream(1, "poisson").uniform(number)
        assert poisson(u, mean) == stats.poisson.ppf(u, mean)

    def test_poisson_by_hand(self):
        """With mean 1 the distribution is 1/e = 0.3679, 2/e = 0.7358, 2.5/e = 0.9197 at 0, 1, 2."""
        assert [poisson(u, 1.0) for u in (0.0, 0.367, 0.368, 0.735, 0.736, 0.919, 0.920)] == [
            0,
            0,
            1,
            1,
            2,
            2,
            3,
        ]

    @pytest.mark.parametrize("mean", [0.0, -1.0])
    def test_poisson_of_nothing(self, mean):
        """A mean of zero or below gives none."""
        assert poisson(0.999, mean) == 0

    @pytest.mark.parametrize("mean", [501.0, 2_000.0, 1e6])
    @pytest.mark.parametrize("u", [1e-6, 0.01, 0.5, 0.99, 1 - 1e-6])
    def test_large_poisson_is_close(self, mean, u):
        """Beyond a mean of 500 the variate is a normal quantile, within 1 % of the exact one."""
        assert poisson(u, mean) == pytest.approx(stats.poisson.ppf(u, mean), rel=0.01)

    @given(st.floats(0.5, 0.9999), st.floats(0.01, 400))
    def test_poisson_quantile_reaches_level(self, level, mean):
        """The quantile reaches the level and the number below it does not."""
        k = poisson_quantile(level, mean)
        assert stats.poisson.cdf(k, mean) >= level - 1e-12
        assert k == 0 or stats.poisson.cdf(k - 1, mean) < level + 1e-12

    def test_poisson_quantile_at_equality(self):
        """A level that the distribution just reaches is reached: P(X <= 0) = 1/e with mean 1."""
        assert poisson_quantile(math.exp(-1.0), 1.0) == 0

    @given(st.floats(1e-9, 1 - 1e-9), st.floats(0.1, 1e6), st.floats(0.01, 5))
    def test_lognormal_is_the_quantile(self, u, mean, cv):
        """A lognormal variate is scipy's quantile for s2 = ln(1 + cv2) and exp(mu + s2/2) = mean."""
        s = math.sqrt(math.log(1 + cv * cv))
        expected = stats.lognorm.ppf(u, s, scale=mean * math.exp(-s * s / 2))
        assert lognormal(u, mean, cv) == pytest.approx(expected, rel=1e-7)

    def test_lognormal_keeps_its_mean(self):
        """Quantiles averaged over a fine grid of uniforms give the mean and the coefficient of variation."""
        sample = np.array([lognormal((k + 0.5) / 20_000, 60.0, 0.8) for k in range(20_000)])
        assert sample.mean() == pytest.approx(60.0, rel=0.002)
        assert sample.std() / sample.mean() == pytest.approx(0.8, rel=0.03)

    def test_lognormal_without_spread(self):
        """A coefficient of variation of 0 gives the mean itself."""
        assert lognormal(0.123, 60.0, 0.0) == 60.0

    def test_choice_by_hand(self):
        """Weights 1, 0, 3 cut the unit interval at 1/4; the weight of 0 is never chosen."""
        assert [choose(u, [1, 0, 3]) for u in (0.0, 0.2499, 0.25, 0.999999)] == [0, 0, 2, 2]

    @given(uniforms, st.lists(st.floats(0.001, 1000), min_size=1, max_size=12))
    def test_choice_is_by_share(self, u, weights):
        """The chosen index is the one whose cumulative share passes u."""
        index = choose(u, weights)
        total = math.fsum(weights)
        assert math.fsum(weights[:index]) / total <= u + 1e-12
        assert math.fsum(weights[: index + 1]) / total >= u - 1e-12
