"""Which of several systems is best, with a promise that it is: ranking and selection.

The promise: if the best system is better than every other by at least `delta`, it is selected with at least
the probability `confidence`; otherwise the one selected is, with that probability, within `delta` of it.
`KN` looks after every replication and drops what has fallen behind; common random numbers help it. `Rinott`
looks twice: it says after the first n0 replications how many each system needs, and wants the systems to be
independent. Observations are taken to be normal, so feed means or KPIs of whole replications. Allocation of a
fixed budget (OCBA) is left out: it promises nothing.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Protocol


class Procedure(Protocol):
    """What experiments need of a way to select; systems are numbered from 0."""

    @property
    def contenders(self) -> tuple[int, ...]:
        """The systems that are still in, by number."""

    @property
    def wanted(self) -> tuple[int, ...]:
        """The systems of which the next replication is needed; none once one is selected."""

    @property
    def selected(self) -> int | None:
        """The system selected, or None as long as there is none."""

    def add(self, values: Mapping[int, float]) -> None:
        """Take the next replication of each wanted system."""


def kn_eta(systems: int, confidence: float, n0: int) -> float:
    """The constant eta of the procedure KN, for c = 1: ((2 alpha / (k - 1)) ^ (-2 / (n0 - 1)) - 1) / 2.

    Kim and Nelson, A fully sequential procedure for indifference-zone selection in simulation, ACM TOMACS 11,
    2001. Raises ValueError for fewer than 2 systems or first replications and for a confidence that guessing
    would reach.
    """
    _check(systems, 1.0, confidence, n0)
    alpha = 1.0 - confidence
    return (math.pow(2.0 * alpha / (systems - 1), -2.0 / (n0 - 1)) - 1.0) / 2.0


class KN:
    """Fully sequential selection: after each replication, systems that have fallen behind are dropped.

    System i is dropped when its mean is behind that of a system j still in by more than W = max(0, delta / 2r
    (h2 S2 / delta2 - r)) after r replications, S2 being the variance of the difference of the two over the
    first n0, and h2 = 2 eta (n0 - 1) (Kim and Nelson 2001, with c = 1). Random numbers may be common to all
    systems, and should: the smaller the variance of differences, the fewer replications are needed.

    Parameters
    ----------
    systems : how many, from 2; they are numbered from 0.
    delta : the smallest difference that matters, above 0, in the unit of the values.
    confidence : probability of a right selection, above 1 / systems.
    n0 : replications of each system before the first is dropped, from 2.
    largest : whether the largest mean is best, or the smallest.

    Raises
    ------
    ValueError
        For values outside these ranges.
    """

    def __init__(
        self, systems: int, delta: float, confidence: float = 0.95, n0: int = 10, *, largest: bool = True
    ) -> None:
        _check(systems, delta, confidence, n0)
        self.delta = delta
        self.n0 = n0
        self.replications = 0
        self._sign = 1.0 if largest else -1.0
        self._h2 = 2.0 * kn_eta(systems, confidence, n0) * (n0 - 1)
        self._in = tuple(range(systems))
        self._first: list[list[float]] = [[] for _ in range(systems)]
        self._sums = [0.0] * systems
        self._variances: dict[tuple[int, int], float] = {}

    @property
    def contenders(self) -> tuple[int, ...]:
        """The systems that are still in, by number."""
        return self._in

    @property
    def wanted(self) -> tuple[int, ...]:
        """The systems of which the next replication is needed; none once one is selected."""
        return self._in if len(self._in) > 1 else ()

    @property
    def selected(self) -> int | None:
        """The system selected, or None as long as more than one is in."""
        return self._in[0] if len(self._in) == 1 else None

    @property
    def most_replications(self) -> int | None:
        """After how many replications one will be selected at the latest; None before there are n0."""
        if self.replications < self.n0:
            return None
        if len(self._in) == 1:
            return self.replications
        largest = max(self._variances[i, j] for i in self._in for j in self._in if i < j)
        return max(self.replications, math.floor(self._h2 * largest / self.delta**2) + 1)

    def add(self, values: Mapping[int, float]) -> None:
        """Take one more replication of every contender; values of others are not looked at.

        Raises ValueError when one is selected already, a contender has no value or it is not a finite number.
        """
        for system, value in _next(self.wanted, values):
            self._sums[system] += self._sign * value
            if self.replications < self.n0:
                self._first[system].append(self._sign * value)
        self.replications += 1
        if self.replications < self.n0:
            return
        if self.replications == self.n0:
            self._variances = {
                (i, j): _variance([a - b for a, b in zip(self._first[i], self._first[j], strict=True)])
                for i in self._in
                for j in self._in
                if i < j
            }
        self._screen()

    def _screen(self) -> None:
        r, sums = self.replications, self._sums
        behind = set()
        for at, i in enumerate(self._in):
            for j in self._in[at + 1 :]:
                allowed = max(0.0, (self._h2 * self._variances[i, j] / self.delta - r * self.delta) / 2.0)
                # Sums, not means: both sides times r.
                if sums[i] < sums[j] - allowed:
                    behind.add(i)
                elif sums[j] < sums[i] - allowed:
                    behind.add(j)
                elif allowed == 0.0:
                    # Equal to the last digit when nothing is allowed any more: the first of them will do.
                    behind.add(j)
        self._in = tuple(system for system in self._in if system not in behind)


@lru_cache(maxsize=256)
def rinott_h(systems: int, confidence: float, n0: int) -> float:
    """The constant h of Rinott's procedure, by quadrature and halving, to 1e-9.

    The h at which E[(E[Phi(h / sqrt((n0 - 1) (1/X + 1/Y))) | Y])^(k - 1)] is the confidence, X and Y being
    chi square with n0 - 1 degrees of freedom (Rinott, On two-stage selection procedures and related
    probability-inequalities, Communications in Statistics A7, 1978). Raises ValueError as `kn_eta`.
    """
    _check(systems, 1.0, confidence, n0)
    import numpy as np
    from scipy.special import gammainccinv, gammaincinv, gammaln, ndtr

    half = (n0 - 1) / 2.0
    # X / 2 is gamma; in its logarithm the density falls fast on both sides, where the plain sum is exact.
    ends = np.log([float(gammaincinv(half, _NOTHING)), float(gammainccinv(half, _NOTHING))])
    places = np.linspace(ends[0], ends[1], _POINTS)
    weights = np.exp(half * places - np.exp(places) - gammaln(half)) * (places[1] - places[0])
    inverse = np.exp(-places) / 2.0
    spread = np.sqrt((n0 - 1) * (inverse[:, None] + inverse[None, :]))

    def chance(h: float) -> float:
        return float(weights @ (ndtr(h / spread) @ weights) ** (systems - 1))

    return _where(chance, confidence)


class Rinott:
    """Selection in two stages: the first n0 replications say how many each system needs.

    System i gets max(n0, (h S / delta)^2) replications, rounded up, S being its standard deviation over the
    first n0; then the best mean is selected. Random numbers must not be common: each system needs seeds of
    its own. With `screen` the systems that are clearly behind after the first stage are dropped (procedure
    NSGS: Nelson, Swann, Goldsman and Song, Simple procedures for selecting the best simulated system when the
    number of alternatives is large, Operations Research 49, 2001); half of the risk is spent on that.

    Parameters are those of `KN`.
    """

    def __init__(
        self,
        systems: int,
        delta: float,
        confidence: float = 0.95,
        n0: int = 10,
        *,
        largest: bool = True,
        screen: bool = False,
    ) -> None:
        _check(systems, delta, confidence, n0)
        self.delta = delta
        self.n0 = n0
        self.screen = screen
        self._confidence = confidence
        self._sign = 1.0 if largest else -1.0
        self._values: list[list[float]] = [[] for _ in range(systems)]
        self._in = tuple(range(systems))
        self._needed = [n0] * systems
        self._staged = False

    @property
    def contenders(self) -> tuple[int, ...]:
        """The systems that are still in, by number; only the selected one in the end."""
        return self._in

    @property
    def wanted(self) -> tuple[int, ...]:
        """The systems of which the next replication is needed; none once one is selected."""
        if self.selected is not None:
            return ()
        return tuple(system for system in self._in if len(self._values[system]) < self._needed[system])

    @property
    def selected(self) -> int | None:
        """The system selected, or None as long as replications are missing."""
        return self._in[0] if len(self._in) == 1 else None

    @property
    def needed(self) -> tuple[int, ...] | None:
        """How many replications each system gets in all; None before there are n0."""
        return tuple(self._needed) if self._staged else None

    def add(self, values: Mapping[int, float]) -> None:
        """Take one more replication of every wanted system; values of others are not looked at.

        Raises ValueError when one is selected already, a wanted system has no value or it is not a finite
        number.
        """
        for system, value in _next(self.wanted, values):
            self._values[system].append(self._sign * value)
        if not self._staged and not self.wanted:
            self._stage()
        if self._staged and not self.wanted and len(self._in) > 1:
            self._in = (max(self._in, key=lambda system: _mean(self._values[system])),)

    def _stage(self) -> None:
        self._staged = True
        systems, confidence = len(self._values), self._confidence
        variances = [_variance(values) for values in self._values]
        if self.screen:
            risk = (1.0 - confidence) / 2.0
            confidence = 1.0 - risk
            self._in = self._kept(variances, (1.0 - risk) ** (1.0 / (systems - 1)))
        if len(self._in) > 1:
            h = rinott_h(systems, confidence, self.n0)
            for system in self._in:
                wanted = math.ceil((h / self.delta) ** 2 * variances[system])
                self._needed[system] = max(self.n0, wanted)

    def _kept(self, variances: list[float], chance: float) -> tuple[int, ...]:
        from scipy.special import stdtrit

        t = float(stdtrit(self.n0 - 1, chance))
        means = [_mean(values) for values in self._values]

        def is_behind(i: int, j: int) -> bool:
            allowed = t * math.sqrt((variances[i] + variances[j]) / self.n0) - self.delta
            return means[i] < means[j] - max(0.0, allowed)

        return tuple(i for i in self._in if not any(is_behind(i, j) for j in self._in if j != i))


PROCEDURES: Final[dict[str, Callable[..., Procedure]]] = {"kn": KN, "rinott": Rinott}
"""The ways to select, called with systems, delta, confidence, n0 and largest."""

_NOTHING: Final = 1e-18
_POINTS: Final = 200


def _where(rising: Callable[[float], float], wanted: float) -> float:
    """The argument above 0 at which a rising function has a value, to 1e-9 of it."""
    low, high = 0.0, 1.0
    while rising(high) < wanted:
        low, high = high, 2.0 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return high


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: list[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _next(wanted: tuple[int, ...], values: Mapping[int, float]) -> list[tuple[int, float]]:
    if not wanted:
        raise ValueError("expected no further replication: one system is selected")
    missing = [system for system in wanted if system not in values]
    if missing:
        raise ValueError(f"expected a value of every system in {list(wanted)}, found none of {missing}")
    for system in wanted:
        if not math.isfinite(values[system]):
            raise ValueError(f"expected a finite value of system {system}, found {values[system]}")
    return [(system, values[system]) for system in wanted]


def _check(systems: int, delta: float, confidence: float, n0: int) -> None:
    if systems < 2:
        raise ValueError(f"expected at least 2 systems to select from, found {systems}")
    if not 0.0 < delta < math.inf:
        raise ValueError(f"expected a difference that matters above 0, found {delta}")
    if not 1.0 / systems < confidence < 1.0:
        raise ValueError(f"expected a confidence above 1/{systems} and below 1, found {confidence}")
    if n0 < 2:
        raise ValueError(f"expected at least 2 replications to start with, found {n0}")
