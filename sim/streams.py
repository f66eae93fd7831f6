"""Random numbers: one named stream per purpose, addressed by number, so that order never matters.

Uniforms are the top 53 bits of PCG64's raw output, whose stream numpy guarantees, in short blocks that are
addressed by a hash; everything else is made from them by inversion with `math` on Python floats. What
belongs to a box, an order or a day is drawn by (stream, its number, occurrence): adding a stream shifts no
other, and every policy meets the same draws however events interleave.
"""

import hashlib
import math

import numpy as np

_BLOCK_BITS = 5
_BLOCK = 1 << _BLOCK_BITS
_BLOCK_MASK = _BLOCK - 1
_MOST_BLOCKS = 1024
_SCALE = 1.0 / (1 << 53)


class Stream:
    """The uniforms of one purpose; number n has the same value whenever it is asked for."""

    __slots__ = ("_bits", "_block", "_blocks", "_next", "_number", "_prefix")

    def __init__(self, seed: int, name: str) -> None:
        self._prefix = f"{seed}/{name}".encode()
        self._bits = np.random.PCG64(0)
        self._blocks: dict[tuple[int, int], list[float]] = {}
        self._next = 0
        self._number: int | None = None
        self._block: list[float] = []

    def uniform(self, number: int, occurrence: int = 0) -> float:
        """The uniform on [0, 1) that belongs to (number, occurrence); number may be negative."""
        block = number >> _BLOCK_BITS
        if not occurrence and block == self._number:
            return self._block[number & _BLOCK_MASK]
        key = (block, occurrence)
        values = self._blocks.get(key)
        if values is None:
            values = self._make(key)
        if not occurrence:
            self._number, self._block = block, values
        return values[number & _BLOCK_MASK]

    def random(self) -> float:
        """The next uniform of the stream, for draws that belong to a decision and to nothing else."""
        value = self.uniform(self._next, -1)
        self._next += 1
        return value

    def _make(self, key: tuple[int, int]) -> list[float]:
        # Each block starts PCG64 at a point of its own: state and odd increment are a SHA-256 of the address.
        address = hashlib.sha256(b"%s/%d/%d" % (self._prefix, *key)).digest()
        self._bits.state = {
            "bit_generator": "PCG64",
            "state": {
                "state": int.from_bytes(address[:16], "little"),
                "inc": int.from_bytes(address[16:], "little") | 1,
            },
            "has_uint32": 0,
            "uinteger": 0,
        }
        values = [(raw >> 11) * _SCALE for raw in self._bits.random_raw(_BLOCK).tolist()]
        if len(self._blocks) >= _MOST_BLOCKS:
            self._blocks.clear()
        self._blocks[key] = values
        return values


class Streams:
    """All streams of one run, made when first asked for, from the run's seed and their name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[str, Stream] = {}

    def __getitem__(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self._seed, name)
        return stream


def exponential(u: float, mean: float) -> float:
    """An exponential variate of the given mean, by inversion."""
    return -mean * math.log1p(-u)


def poisson(u: float, mean: float) -> int:
    """A Poisson variate by inversion of its distribution; exact for means up to about 700."""
    if mean <= 0.0:
        return 0
    if mean > 500.0:
        # Sum of two independent halves would need two uniforms; a normal quantile is within 1 % here.
        return max(0, round(mean + math.sqrt(mean) * normal_quantile(u)))
    term = total = math.exp(-mean)
    k = 0
    while u >= total and term > 0.0:
        k += 1
        term *= mean / k
        total += term
    return k


def lognormal(u: float, mean: float, cv: float) -> float:
    """A lognormal variate with the given mean and coefficient of variation, by inversion."""
    if cv <= 0.0:
        return mean
    variance = math.log1p(cv * cv)
    return math.exp(math.log(mean) - variance / 2.0 + math.sqrt(variance) * normal_quantile(u))


def poisson_quantile(level: float, mean: float) -> int:
    """The smallest k with P(X <= k) >= level for a Poisson variable of the given mean, level < 1."""
    return poisson(math.nextafter(level, 0.0), mean)


def choose(u: float, weights: list[float]) -> int:
    """The index that u falls into when the unit interval is cut in proportion to the weights."""
    total = sum(weights)
    target = u * total
    running = 0.0
    for index, weight in enumerate(weights):
        running += weight
        if target < running:
            return index
    return len(weights) - 1


def normal_quantile(u: float) -> float:
    """The standard normal quantile, to about 1e-9 (Acklam's rational approximation, one Newton step)."""
    if u > 0.5:
        return -normal_quantile(1.0 - u)
    u = max(u, 1e-300)
    if u < 0.02425:
        q = math.sqrt(-2.0 * math.log(u))
        x = _ratio(q, _TAIL_P, _TAIL_Q)
    else:
        q = u - 0.5
        x = q * _ratio(q * q, _CENTRE_P, _CENTRE_Q)
    error = 0.5 * math.erfc(-x / math.sqrt(2.0)) - u
    return x - error * math.sqrt(2.0 * math.pi) * math.exp(x * x / 2.0)


def _ratio(q: float, above: tuple[float, ...], below: tuple[float, ...]) -> float:
    p = 0.0
    for c in above:
        p = p * q + c
    d = 0.0
    for c in below:
        d = d * q + c
    return p / d


_CENTRE_P = (
    -3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02,
    1.383577518672690e02, -3.066479806614716e01, 2.506628277459239e00,
)  # fmt: skip
_CENTRE_Q = (
    -5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02,
    6.680131188771972e01, -1.328068155288572e01, 1.0,
)  # fmt: skip
_TAIL_P = (
    -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00,
    -2.549732539343734e00, 4.374664141464968e00, 2.938163982698783e00,
)  # fmt: skip
_TAIL_Q = (
    7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00,
    3.754408661907416e00, 1.0,
)  # fmt: skip
