"""How tags and labels are read: which meters of a box answer, and in which slot a shelf read puts them.

Reads are not coin flips. Each meter's tag has a chance of its own, for life, that one pass misses it: its
place in the box, its make and its meter's metal make some tags hard to read again and again. The chances
have a beta distribution of mean m (`meter_miss`) and correlation rho (`correlation`),

    a = m (1 - rho) / rho,    b = (1 - m) (1 - rho) / rho,

and a share D of tags is dead. The number of passes out of n that miss a tag then has the beta-binomial
distribution (Skellam 1948, A probability distribution derived from the binomial distribution, Journal of
the Royal Statistical Society B 10), two passes over a tag that is not dead miss it with correlation rho, and
all of n passes miss a tag with the chance D + (1 - D) q(n), where

    q(1) = m,    q(2) = m (m (1 - rho) + rho),    q(3) = q(2) (m (1 - rho) + 2 rho) / (1 + rho),
    q(n) = product over i < n of (m (1 - rho) + i rho) / (1 - rho + i rho).

Tags are independent of each other, so a box of k meters is read whole with the k-th power of the chance
(1 - D) (1 - q(n)). With 15 meters, m = 1 %, D = 0 and one pass that is 86.0 % whatever rho is. A second pass
leaves 0.15 % of boxes incomplete if rho = 0, and 1.6 % if rho = 0.1: it helps less than a coin flip would.

Every draw belongs to a meter (or box) and an occasion, a number that the caller gives to each time that
somebody reads: the same box at the same occasion is read the same, in whatever order. One uniform u says in
which pass of an occasion a tag first answers: with the chance p of its own it is missed by n passes if
u < p^n, so that more passes never see less. Left out: readers that differ, and tags that age.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from sim.params import JsonFloat, JsonInt, Params, fact

if TYPE_CHECKING:
    from sim.streams import Streams

_BINS = 4096
_LEAST_CORRELATION = 1e-6
"""Tags that differ less are taken for equal: from a mean of 0.1 % up, two passes notice 0.1 % at most."""


class ReadParams(Params):
    """How well tags and labels are read, one pass or one read at a time."""

    meter_miss: JsonFloat = fact(
        0.01, "chance that one pass misses a meter's tag, mean of all tags that are not dead",
        origin="sourced", ge=0, le=0.5,
    )  # fmt: skip
    correlation: JsonFloat = fact(
        0.1, "correlation of two passes over one tag; 0: every pass is a coin flip", origin="assumption",
        ge=0, le=0.9,
    )  # fmt: skip
    dead: JsonFloat = fact(
        0.001, "share of meters whose tag never answers", origin="assumption", ge=0, le=0.5
    )
    box_miss: JsonFloat = fact(
        0.002, "chance that one read misses the label of a box", origin="sourced", ge=0, le=0.5
    )
    stray: JsonFloat = fact(
        0.002, "share of tags read at a shelf that are taken for a neighbour slot's", origin="assumption",
        ge=0, le=0.5,
    )  # fmt: skip
    passes: JsonInt = fact(2, "passes over a box or shelf in one count by tag", unit="passes", ge=1, le=100)
    gate_passes: JsonInt = fact(
        3, "passes at the receiving gate before a person counts", unit="passes", ge=1, le=100
    )


class TagReader:
    """What readers see of the tags and labels in the store. Masks hold one bit a meter of a box."""

    def __init__(self, params: ReadParams, streams: "Streams", meters_per_box: int) -> None:
        self.params = params
        self._meters = meters_per_box
        # Boxes start at powers of two: two boxes of 15 then share one block of a stream.
        self._stride = 1 << (meters_per_box - 1).bit_length()
        self._tag = streams["reads.tag"].uniform
        self._pass = streams["reads.pass"].uniform
        self._shelf = streams["reads.shelf"].uniform
        self._box = streams["reads.box"].uniform
        self._tables: dict[int, list[float]] = {}
        self._chances: dict[int, dict[int, list[float]]] = {}
        self._replaced: dict[int, int] = {}

    def miss_chance(self, meter: int, replaced: int = 0) -> float:
        """The chance, for life, that a pass misses a meter's tag, the one that came after so many others."""
        return self._table(1)[self._bin(meter, replaced)]

    def replace(self, meter: int) -> None:
        """Give a meter another tag, with a chance of its own."""
        self._replaced[meter] = self._replaced.get(meter, 0) + 1
        for chances in self._chances.values():
            chances.pop(meter // self._meters, None)

    def read(self, box: int, mask: int, passes: int, occasion: int) -> int:
        """The meters of `mask` that answer in at least one of so many passes over a box (passes >= 1)."""
        first, uniform, missed = box * self._stride, self._pass, 0
        for k, chance in enumerate(self._missed(box, passes), first):
            if uniform(k, occasion) < chance:
                missed |= 1 << k - first
        return mask & ~missed

    def box_is_read(self, box: int, occasion: int, reads: int = 1) -> bool:
        """Whether a box's label is read in at least one of so many tries (reads >= 1)."""
        return self._box(box, occasion) >= self.params.box_miss**reads

    def shelf(
        self, slot: int, boxes: Sequence[tuple[int, int]], neighbours: Sequence[int], occasion: int
    ) -> dict[int, dict[int, int]]:
        """What `passes` passes along a slot see of its boxes, and the slots in which they see it.

        Parameters
        ----------
        slot : the slot in which the boxes truly are.
        boxes : pairs of a box and the mask of its meters.
        neighbours : other slots; a tag is taken for one of them with the chance `stray`, each alike, and
            never if there are none.

        Returns
        -------
        By slot and box the mask of the meters seen there. `slot` is always among the slots, the others and
        the boxes only where something is seen. A meter is seen in one slot at most; `seen_in` says in which
        slots a box then is.
        """
        uniform, passes, stray = self._shelf, self.params.passes, self.params.stray
        seen: dict[int, dict[int, int]] = {slot: {}}
        for box, mask in boxes:
            first = box * self._stride
            for k, chance in enumerate(self._missed(box, passes)):
                u = uniform(first + k, occasion)
                if u < chance or not mask >> k & 1:
                    continue
                # What is above the chance to miss is uniform again: it says where the tag is taken to be.
                where = slot
                if neighbours and (rest := 1.0 - u) <= (strays := stray * (1.0 - chance)):
                    where = neighbours[min(int(rest / strays * len(neighbours)), len(neighbours) - 1)]
                there = seen.setdefault(where, {})
                there[box] = there.get(box, 0) | 1 << k
        return seen

    def _missed(self, box: int, passes: int) -> list[float]:
        """The chances that all of so many passes miss the tags of a box; shape (meters_per_box,)."""
        chances = self._chances.setdefault(passes, {})
        found = chances.get(box)
        if found is None:
            table, replaced = self._table(passes), self._replaced
            meters = range(box * self._meters, (box + 1) * self._meters)
            found = chances[box] = [table[self._bin(meter, replaced.get(meter, 0))] for meter in meters]
        return found

    def _bin(self, meter: int, replaced: int) -> int:
        dead = self.params.dead
        u = self._tag(meter, replaced)
        if u >= 1.0 - dead:
            return _BINS
        return int(_BINS * (1.0 - math.sqrt(1.0 - u / (1.0 - dead))))

    def _table(self, passes: int) -> list[float]:
        """Chances that all passes miss a tag, by its bin; the last is that of dead tags."""
        table = self._tables.get(passes)
        if table is None:
            chances = miss_chances(self.params.meter_miss, self.params.correlation)
            table = self._tables[passes] = [chance**passes for chance in (*chances, 1.0)]
        return table


def seen_in(seen: int, recorded: int) -> bool:
    """Whether a box counts as seen in a slot: at least half of its recorded meters are seen there.

    A box without recorded meters has no tags to be seen by. Exactly half can be seen in two slots at once,
    where a box holds an even number; then the box is seen in both, and the records decide.
    """
    return recorded != 0 and 2 * (seen & recorded).bit_count() >= recorded.bit_count()


@cache
def miss_chances(mean: float, correlation: float) -> tuple[float, ...]:
    """Miss chances of tags, ascending: the means of 4,096 parts of their beta distribution, to 9 digits.

    Part i holds the tags with uniforms u from 1 - (1 - i/4096)^2 to 1 - (1 - (i+1)/4096)^2, so that parts
    are the finer the more their tags are missed. From a mean of 0.1 % up, mean, second and third moment,
    those that one, two and three passes ask for, are those of the beta to 0.01 %. Rounded, because the
    inverse of the incomplete beta function may differ in its last digits between releases of scipy.
    """
    if mean == 0.0 or correlation < _LEAST_CORRELATION:
        return (mean,) * _BINS
    # They take longer to import than a small run takes.
    import numpy as np
    from scipy.special import betainc, betaincinv

    a, b = mean * (1.0 - correlation) / correlation, (1.0 - mean) * (1.0 - correlation) / correlation
    above = (1.0 - np.arange(_BINS + 1) / _BINS) ** 2
    ends = betaincinv(a, b, 1.0 - above)
    # x times the density of beta(a, b) is the mean times the density of beta(a + 1, b).
    means = mean * np.diff(betainc(a + 1.0, b, ends)) / -np.diff(above)
    return tuple(round(chance, 9) for chance in np.clip(means, ends[:-1], ends[1:]).tolist())
