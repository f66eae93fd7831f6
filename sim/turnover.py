"""How fast SKUs turn over: what is given or computed beforehand, and what a store learns while it works.

A box that stays a short time earns a place near the port more often than one that stays long. By Little's law
the mean stay of a SKU is its mean stock over its rate of departures, so that turnover, the cube-per-order
index and the mean stay put SKUs in one and the same order (Heskett 1963; Goetschalckx and Ratliff 1990).

Left out: trends and seasons; a SKU that changes its habits is followed only as its means follow.
"""

from bisect import bisect_left
from collections.abc import Sequence
from operator import mul
from typing import Final

PRIOR_BOXES: Final = 2.0
"""A SKU's own stays count against the mean stay of all boxes as if so many boxes had stayed that long."""

CLASS_BORDERS: Final = (2 / 3, 0.9)
"""Shares of demand up to which classes A and B reach, when all SKUs turn over alike (ABC analysis)."""

_MOST_STEPS: Final = 200


class Turnover:
    """Demand and stock of each SKU, known beforehand.

    Parameters
    ----------
    demand : moves of each SKU, in any unit; sequence (SKUs,).
    stock : mean boxes in stock of each SKU, in any unit; in proportion to demand when not given.
    """

    def __init__(self, demand: Sequence[float], stock: Sequence[float] | None = None) -> None:
        self.demand = _shares(demand)
        self.stock = self.demand if stock is None else _shares(stock)
        self.speed = [d / s if s > 0 else 0.0 for d, s in zip(self.demand, self.stock, strict=True)]
        """Demand over stock of each SKU, 1 for the mean of all: the reciprocal of its mean stay."""
        self.fastest: list[int] = sorted(
            range(len(self.demand)),
            # Rounded, so that SKUs that are alike are not put in order by noise.
            key=lambda sku: (-round(self.speed[sku], 9), -round(self.demand[sku], 12), sku),
        )
        """The SKUs, the one with the shortest stay first; ties by demand."""
        self.middles = [1.0] * len(self.demand)
        """For each SKU the share of the stock that turns over faster, and half of its own; 0 to 1."""
        before = 0.0
        for sku in self.fastest:
            self.middles[sku] = before + 0.5 * self.stock[sku]
            before += self.stock[sku]

    @property
    def is_even(self) -> bool:
        """Whether all SKUs that there are any boxes of stay equally long."""
        speeds = [speed for speed, stock in zip(self.speed, self.stock, strict=True) if stock > 0]
        return max(speeds, default=0.0) - min(speeds, default=0.0) < 1e-9

    def borders(self, zones: int) -> list[float]:
        """Shares of demand at which classes end, zones - 1 of them, ascending.

        They have the least expected one-way time in a rack whose time grows with the square root of its
        places (Hausman, Schwarz and Graves 1976), found over all borders between SKUs, of more than 200 over
        200 that lie equally far apart in time. Where all SKUs stay equally long no border is better than
        another: then A ends at 2/3 and B at 9/10 (further ones between 9/10 and 1).
        """
        fastest = [sku for sku in self.fastest if self.stock[sku] > 0]
        if self.is_even or len(fastest) < zones:
            upper = CLASS_BORDERS[1]
            more = zones - 1 - len(CLASS_BORDERS)
            return [
                *CLASS_BORDERS[: zones - 1],
                *(upper + (1 - upper) * (k + 1) / (more + 1) for k in range(more)),
            ]
        demand, stock = _running(self.demand, fastest), _running(self.stock, fastest)
        steps = list(range(len(fastest) + 1))
        if len(fastest) > _MOST_STEPS:
            marks = {bisect_left(stock, (k / _MOST_STEPS) ** 2, 0, len(fastest)) for k in range(_MOST_STEPS)}
            steps = sorted(marks | {len(fastest)})

        def cost(a: int, b: int) -> float:
            """Demand of a class times the mean of sqrt(place) over its places."""
            if stock[b] - stock[a] <= 0:
                return 0.0
            mean = 2 / 3 * (stock[b] ** 1.5 - stock[a] ** 1.5) / (stock[b] - stock[a])
            return (demand[b] - demand[a]) * float(mean)

        best = [(cost(0, b), [b]) for b in steps]
        for _ in range(zones - 1):
            best = [
                min(
                    ((round(best[i][0] + cost(steps[i], b), 12), [*best[i][1], b]) for i in range(1, j)),
                    default=(float("inf"), [b]),
                )
                for j, b in enumerate(steps)
            ]
        return [demand[k] for k in best[-1][1][:-1]]

    def classes(self, borders: Sequence[float]) -> tuple[list[int], list[float]]:
        """The class of each SKU, 0 the fastest, and the share of the stock that each class holds.

        A SKU belongs to the class in which its part of the demand begins, fastest SKUs first.
        """
        of_sku = [0] * len(self.demand)
        held = [0.0] * (len(borders) + 1)
        running, here = 0.0, 0
        for sku in self.fastest:
            of_sku[sku] = here
            held[here] += self.stock[sku]
            running += self.demand[sku]
            while here < len(borders) and running >= borders[here] - 1e-12:
                here += 1
        return of_sku, held


class SeenStays:
    """What a store has seen of its boxes: how many of each SKU are here, and how long they stay.

    The estimate is box-time over departures, which counts the time of boxes still here and so has no bias
    towards those that left soon; a SKU seldom seen is drawn towards the mean of all (`PRIOR_BOXES`). It is
    made anew after as many arrivals and departures as there are SKUs, at least 16, from what was seen up to
    then: a decision costs the same however many SKUs there are, and does not depend on who else has asked.
    """

    def __init__(self, skus: int) -> None:
        self.here = [0] * skus
        self.boxes = 0
        self.left_boxes = [0] * skus
        self._box_ms = [0] * skus
        self._seen_ms = [0] * skus
        self._days: dict[int, int] = {}
        self._days_of: list[dict[int, int]] = [{} for _ in range(skus)]
        self._every = max(16, skus)
        self._until_look = 1
        self._look: tuple[list[int], list[float]] | None = None
        self._here = [0] * skus
        self._fastest = list(range(skus))
        self._before = [0] * skus
        self._before_of: dict[int, list[int]] = {}
        self._stays_ms = [0.0] * skus

    def copy(self) -> "SeenStays":
        """What has been seen so far, to go on from without changing it."""
        other = SeenStays.__new__(SeenStays)
        for name, value in vars(self).items():
            setattr(other, name, value[:] if isinstance(value, list) else value)
        other._days = dict(self._days)
        other._days_of = [dict(days) for days in self._days_of]
        return other

    def forget_weights(self) -> None:
        """Drop what was worked out for weights, of which there will be others."""
        self._before_of = {}

    def arrived(self, sku: int, now_ms: int, verified_day: int) -> None:
        """A box of the SKU came in."""
        for days in (self._days, self._days_of[sku]):
            days[verified_day] = days.get(verified_day, 0) + 1
        self._box_ms[sku] += self.here[sku] * (now_ms - self._seen_ms[sku])
        self._seen_ms[sku] = now_ms
        self.here[sku] += 1
        self.boxes += 1
        self._until_look -= 1
        if not self._until_look:
            self._take_look(now_ms)

    def left(self, sku: int, now_ms: int, verified_day: int) -> None:
        """A box of the SKU left."""
        for days in (self._days, self._days_of[sku]):
            if days[verified_day] > 1:
                days[verified_day] -= 1
            else:
                del days[verified_day]
        self._box_ms[sku] += self.here[sku] * (now_ms - self._seen_ms[sku])
        self._seen_ms[sku] = now_ms
        self.here[sku] -= 1
        self.boxes -= 1
        self.left_boxes[sku] += 1
        self._until_look -= 1
        if not self._until_look:
            self._take_look(now_ms)

    def stays_ms(self, now_ms: int) -> list[float]:
        """The estimated mean stay of each SKU, at a time not before the last event."""
        box_ms = [
            seen + here * (now_ms - at)
            for seen, here, at in zip(self._box_ms, self.here, self._seen_ms, strict=True)
        ]
        mean = sum(box_ms) / max(1, sum(self.left_boxes))
        return [
            (ms + PRIOR_BOXES * mean) / (left + PRIOR_BOXES)
            for ms, left in zip(box_ms, self.left_boxes, strict=True)
        ]

    def stay_ms(self, sku: int) -> float:
        """The estimated mean stay of a SKU."""
        if self._look is not None:
            self._order()
        return self._stays_ms[sku] if sku < len(self._stays_ms) else 0.0

    def boxes_before(self, sku: int, weights: Sequence[float] | None = None) -> int:
        """Boxes here of SKUs with a shorter estimated stay, and half of its own: the place it has earned.

        `weights` are the shares of the SKUs' boxes that compete with it, (SKUs,); all of them if not given.
        """
        if self._look is not None:
            self._order()
        if sku >= len(self._before):
            return self.boxes
        if weights is None:
            return self._before[sku]
        places = self._before_of.get(id(weights))
        if places is None:
            places = self._before_of[id(weights)] = [0] * len(self._before)
            before = 0.0
            for other in self._fastest:
                boxes = weights[other] * self._here[other]
                places[other] = int(before + boxes / 2)
                before += boxes
        return places[sku]

    def boxes_due_before(self, verified_day: int, weights: Sequence[float] | None = None) -> int:
        """Boxes here that were verified before a day, and half of those verified on it."""
        all_days = [self._days] if weights is None else self._days_of
        boxes = 0.0
        for days, weight in zip(all_days, weights or (1.0,), strict=True):
            older = sum(count for day, count in days.items() if day < verified_day)
            boxes += weight * (older + days.get(verified_day, 0) / 2)
        return int(boxes)

    def boxes_of(self, weights: Sequence[float]) -> float:
        """Boxes here, each SKU's by its weight."""
        return float(sum(map(mul, weights, self.here)))

    def turnover(self, now_ms: int) -> Turnover:
        """What has been seen, as fixed demand and stock."""
        stays = self.stays_ms(now_ms)
        demand = [left + PRIOR_BOXES / len(stays) for left in self.left_boxes]
        return Turnover(demand, [d * stay for d, stay in zip(demand, stays, strict=True)])

    def _take_look(self, now_ms: int) -> None:
        self._look = (self.here[:], self.stays_ms(now_ms))
        self._until_look = self._every

    def _order(self) -> None:
        """Put the SKUs in the order of their stays, as of the last look."""
        assert self._look is not None
        self._here, self._stays_ms = self._look
        self._look = None
        self._before_of = {}
        self._fastest = sorted(range(len(self._here)), key=lambda sku: (self._stays_ms[sku], sku))
        before = 0
        for sku in self._fastest:
            self._before[sku] = before + self._here[sku] // 2
            before += self._here[sku]


def _shares(amounts: Sequence[float]) -> list[float]:
    total = sum(amounts)
    return [amount / total for amount in amounts] if total > 0 else [1 / len(amounts)] * len(amounts)


def _running(shares: Sequence[float], order: Sequence[int]) -> list[float]:
    sums = [0.0]
    for sku in order:
        sums.append(sums[-1] + shares[sku])
    return sums
