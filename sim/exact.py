"""What the model is held to: expected values that are known exactly, or from theory.

Travel: exact means over the slots of the rack at hand, and the continuous rack of Bozer and White. Storage:
the zones and the full turnover of Hausman, Schwarz and Graves. Waiting: Erlang, Pollaczek and Khinchine.
Occupancy, availability and records: closed forms. Nothing here draws a random number; `validation` compares
these values with what the model does.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.layout import Layout, LayoutParams, PortParams
from sim.robots import RobotParams
from sim.travel import Travel


class Handling(Protocol):
    """Seconds to take a box, to set one down and to position at a stop; `RobotParams` has them."""

    @property
    def pick_s(self) -> float: ...  # noqa: D102
    @property
    def place_s(self) -> float: ...  # noqa: D102
    @property
    def positioning_s(self) -> float: ...  # noqa: D102


def single_command_times_s(travel: Travel, port: int, handling: Handling) -> NDArray[np.float64]:
    """Seconds of a single command to each slot and back to the port, shape (slots,).

    One pick, one place, positioning once at the slot and once on return to the port, the box at the bottom of
    the slot. A robot cannot tell put-away from retrieval here: the times are the same.
    """
    fixed_s = handling.pick_s + handling.place_s + 2 * handling.positioning_s
    return 2 * travel.one_way_ms(port) / 1000 + fixed_s


def mean_single_command_s(travel: Travel, port: int, handling: Handling) -> float:
    """Mean seconds of a single command to a uniformly drawn slot: an exact sum over all slots."""
    return float(single_command_times_s(travel, port, handling).mean())


def mean_dual_command_s(travel: Travel, port: int, handling: Handling) -> float:
    """Mean seconds of a dual command over two different, uniformly drawn slots: an exact sum over all pairs.

    Port to the first slot, on to the second, back to the port: two picks, two places, positioning once at
    each slot and once on return. One box is on board at a time.
    """
    fixed_s = 2 * (handling.pick_s + handling.place_s) + 3 * handling.positioning_s
    return (2 * float(travel.one_way_ms(port).mean()) + mean_between_ms(travel)) / 1000 + fixed_s


def mean_between_ms(travel: Travel) -> float:
    """Mean milliseconds between two different, uniformly drawn slots, lowest box to lowest box.

    Stores of one aisle may have any size: pairs are counted by how far apart they lie. Others are summed over
    the whole matrix; ValueError beyond `travel.MATRIX_SLOTS` slots, or where there is only one slot.
    """
    slots = travel.layout.slots
    if slots < 2:
        raise ValueError("two different slots: expected at least 2 slots, found 1")
    pairs = slots * (slots - 1)
    total = _sum_between_ms(travel) if travel.layout.aisles == 1 else int(travel.matrix_ms().sum())
    return total / pairs


def bozer_white(b: float) -> tuple[float, float]:
    """Expected single and dual command times of a continuous rack, in units of the longer axis time.

    E(SC) = 1 + b^2/3 and E(DC) = 4/3 + b^2/2 - b^3/30 for a rack of shape b, the shorter axis time over the
    longer, 0 <= b <= 1; both axes move at once, port in the corner, slots uniform, no handling. Bozer and
    White (1984), Travel-time models for automated storage/retrieval systems, IIE Transactions 16(4), 329-338.
    """
    if not 0.0 <= b <= 1.0:
        raise ValueError(f"shape of a rack: expected 0 to 1, found {b:g}")
    return 1.0 + b**2 / 3.0, 4.0 / 3.0 + b**2 / 2.0 - b**3 / 30.0


def cell_rack(n: int, b: float) -> Travel:
    """The model's own layout and travel of n x n cell centres, whose longer axis takes 1,000 s.

    A rack 500 m long and high whose lift is so fast that the shape is b, both axes at once, no acceleration,
    port in the corner; 0.05 <= b <= 1, 2 <= n <= 1000. So the rounding to milliseconds shows in the sixth
    decimal only, and where n divides 250,000 (b = 1) not at all.
    """
    pitch_m = 500.0 / n
    params = LayoutParams(
        rows=1, columns=n, levels=n, single_sided=True, profile="uniform", boxes_per_slot=1,
        first_column_m=pitch_m / 2, pitch_m=pitch_m, first_level_m=pitch_m / 2, level_pitch_m=pitch_m,
        room_height_m=1000.0, tiers=1, ports=[PortParams(name="port", aisle=1)],
    )  # fmt: skip
    robot = RobotParams(
        axes="simultaneous", speed_m_per_s=0.5, acceleration_m_per_s2=math.inf, lift_speed_m_per_s=0.5 / b,
        lift_acceleration_m_per_s2=math.inf, turn_s=0.0,
    )  # fmt: skip
    return Travel(Layout(params, meters_per_box=1, box_height_m=0.2, access="direct", robots=0), robot)


def cell_centres(n: int, b: float) -> tuple[float, float]:
    """The model's single and dual command times on n x n cell centres, in units of the longer axis time.

    Means over the slots of `cell_rack`, without handling. As n grows they approach `bozer_white`.
    """
    travel = cell_rack(n, b)
    port, idle = travel.layout.inbound, RobotParams(pick_s=0.0, place_s=0.0, positioning_s=0.0)
    return mean_single_command_s(travel, port, idle) / 1000, mean_dual_command_s(travel, port, idle) / 1000


RANDOM_STORAGE: Final = 2 / 3
"""Mean one-way time to a uniformly drawn place of a rack that is square in time, its longest one way 1.

A way takes at most y for the share y^2 of the places, P(t <= y) = y^2, so that E(t) is the integral of
y 2y = 2/3. Hausman, Schwarz and Graves (1976), Optimal storage assignment in automatic warehousing systems,
Management Science 22(6), 629-638; so are the next ones. They leave out acceleration, handling and open slots.
"""


def abc_exponent(items: float, demand: float) -> float:
    """The s of the ABC curve G(i) = i^s on which the fastest `items` of all items have `demand` of it all.

    s = ln(demand) / ln(items): 0.4307, 0.3174 and 0.1386 for the curves 20/50, 20/60 and 20/80. Both are
    shares with 0 < items <= demand < 1, so that 0 < s <= 1 (1: all items alike); ValueError otherwise.
    """
    if not 0.0 < items <= demand < 1.0:
        raise ValueError(f"an ABC curve: expected 0 < items <= demand < 1, found {items:g} and {demand:g}")
    return math.log(demand) / math.log(items)


def abc_demand(s: float, stock: float) -> float:
    """The share of demand of the fastest items that hold a share of the stock, both 0 to 1.

    An item's demand is D(i) = G'(i) = s i^(s-1). Ordered in economic lots its stock is in proportion to
    sqrt(D), which is i^((s-1)/2), so the items up to i hold the share j = i^((s+1)/2) of the stock; put into
    G, that is j^(2s/(s+1)). Turnover is demand over stock and so falls with i: 0 < s <= 1, else ValueError.
    """
    if not 0.0 < s <= 1.0:
        raise ValueError(f"exponent of an ABC curve: expected above 0 and up to 1, found {s:g}")
    return float(stock ** (2.0 * s / (s + 1.0)))


def full_turnover(s: float) -> float:
    """Mean one-way time when every item has the places that its turnover has earned: 4s / (5s + 1).

    The item at the share j of the stock lies sqrt(j) away, so the mean is the integral of sqrt(j) d j^p with
    p = 2s/(s+1) of `abc_demand`: p / (p + 1/2). Places by shared storage, as many as the mean stock; in units
    of the longest one way (`RANDOM_STORAGE`); 0 < s <= 1, else ValueError.
    """
    abc_demand(s, 1.0)
    return 4.0 * s / (5.0 * s + 1.0)


def class_based(s: float, borders: Sequence[float]) -> float:
    """Mean one-way time when classes have zones, random within, that end at given shares of the stock.

    `borders` ascend between 0 and 1: one fewer than zones, none for random storage. By `zones_mean` with the
    demands of `abc_demand`; in units of the longest one way. 0 < s <= 1, else ValueError.
    """
    ends = [0.0, *borders, 1.0]
    demand = [abc_demand(s, end) for end in ends]
    return zones_mean(np.diff(demand), np.diff(ends))


def zones_mean(
    demand: Sequence[float] | NDArray[Any], stock: Sequence[float] | NDArray[Any], fill: float = 1.0
) -> float:
    """Mean one-way time of zones that follow one another from the port, by their demand and their places.

    A zone that begins where the share R1^2 of the places ends and ends at R2^2 lies between the one-way times
    R1 and R2. A place of it, drawn uniformly, is at most y away with (y^2 - R1^2) / (R2^2 - R1^2), so that
    its mean is 2/3 (R2^3 - R1^3) / (R2^2 - R1^2). With a zone for each item this is the full turnover of
    finitely many items. Where boxes take the nearest open place of their zone and only the share `fill` of
    its places is taken, the open ones gather at its end: R2^2 is then R1^2 + fill (R2^2 - R1^2).

    Demand and stock have any unit, shapes (zones,), the zone nearest the port first, none without places; the
    mean is in units of the longest one way. 0 < fill <= 1, else ValueError.
    """
    if not 0.0 < fill <= 1.0:
        raise ValueError(f"share of places taken: expected above 0 and up to 1, found {fill:g}")
    moves, places = np.asarray(demand, np.float64), np.asarray(stock, np.float64)
    end = np.cumsum(places) / places.sum()
    start = np.append(0.0, end[:-1])
    taken = start + fill * (end - start)
    means = 2 / 3 * (taken**1.5 - start**1.5) / (taken - start)
    return float(moves @ means / moves.sum())


def best_zones(s: float, zones: int) -> tuple[float, list[float]]:
    """The least mean one-way time of so many zones, and where they end: shares of the stock, ascending.

    The minimum of `class_based` over its borders, by `scipy.optimize` (Nelder and Mead). 1 <= zones <= 5 and
    0 < s < 1, as items that all turn over alike have no best zones; else ValueError.
    """
    if not 1 <= zones <= 5 or not 0.0 < s < 1.0:
        raise ValueError(f"best zones: expected 1 to 5 zones and 0 < s < 1, found {zones} and {s:g}")
    if zones == 1:
        return RANDOM_STORAGE, []
    from scipy.optimize import minimize

    def mean(ends: NDArray[np.float64]) -> float:
        """By the one-way times at which zones end, among which the minimum is less skew."""
        inside = [0.0, *ends.tolist(), 1.0]
        if any(a >= b for a, b in itertools.pairwise(inside)):
            return 1.0  # no way is longer
        return class_based(s, [end**2 for end in inside[1:-1]])

    found = minimize(
        mean, [k / zones for k in range(1, zones)], method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 10_000, "maxfev": 10_000},
    )  # fmt: skip
    return float(found.fun), [float(end) ** 2 for end in found.x]


def erlang_b(servers: int, load: float) -> float:
    """Share of Poisson arrivals that find all servers busy and are lost.

    `load` is arrival rate times mean service time (erlang); service times may have any distribution. Erlang
    (1917), by the recursion B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)).
    """
    return _erlang_b_up_to(servers, load)[-1]


def erlang_c(servers: int, load: float) -> float:
    """Share of Poisson arrivals that must wait for one of the servers; exponential service times.

    `load` is arrival rate times mean service time (erlang), below the number of servers. Erlang (1917):
    C = B / (1 - rho (1 - B)) with B of `erlang_b` and rho = load / servers.
    """
    _refuse_overload(load / servers)
    blocked = erlang_b(servers, load)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def ordered_hunting(slots: int, load: float) -> list[float]:
    """Share of time that each of the slots is taken when an arrival takes the first free one, or is lost.

    P(slot k taken) = a [B(k-1, a) - B(k, a)], k = 1 to `slots`, for Poisson arrivals and any distribution of
    stays: the first k slots are an Erlang loss system of their own. Cooper (1981), Introduction to Queueing
    Theory, section 3.3. Their sum is the mean number of taken slots, a [1 - B(slots, a)].
    """
    blocked = _erlang_b_up_to(slots, load)
    return [load * (before - after) for before, after in itertools.pairwise(blocked)]


def pollaczek_khinchine_wait(rate: float, mean: float, second_moment: float) -> float:
    """Mean wait before service, one server, Poisson arrivals in order of arrival.

    W = l E(S^2) / (2 (1 - l E(S))), with the arrival rate l and the first two moments of the service time S
    in one unit of time; the wait is in that unit. Pollaczek (1930), Khinchine (1932). ValueError where the
    utilisation l E(S) is 1 or more.
    """
    _refuse_overload(rate * mean)
    return rate * second_moment / (2.0 * (1.0 - rate * mean))


def mmc_wait(rate: float, mean: float, servers: int) -> float:
    """Mean wait before service, Poisson arrivals at `servers` servers, exponential service times.

    W = C(c, a) E(S) / (c - a) with a = rate x mean; in the unit of `mean`. ValueError at a >= c.
    """
    load = rate * mean
    return erlang_c(servers, load) * mean / (servers - load)


def availability(mtbf: float, mttr: float) -> float:
    """Share of time that a machine works: MTBF / (MTBF + MTTR), both in one unit (FEM 9.221)."""
    return mtbf / (mtbf + mttr)


def wrong_records(rate: float, interval: float) -> float:
    """Share of records that are wrong, time mean, when each goes wrong at a rate and is counted regularly.

    1 - (1 - e^(-l T)) / (l T) for errors at rate l and counts every T: a record is right until its first
    error, and every count puts it right. Rate and interval in matching units of time.
    """
    exponent = rate * interval
    if exponent < 1e-5:
        return exponent / 2.0 - exponent**2 / 6.0  # the closed form cancels to noise here
    return 1.0 + math.expm1(-exponent) / exponent


def _sum_between_ms(travel: Travel) -> int:
    """Milliseconds summed over all ordered pairs of slots of a store of one aisle.

    Slots are counted on a lattice; its autocorrelation is the number of pairs at each offset.
    """
    layout = travel.layout
    x, z = layout.x_mm[: layout.slots], layout.z_mm[: layout.slots]
    step_x, step_z = _lattice_step(x), _lattice_step(z)
    i, k = (x - x.min()) // step_x, (z - z.min()) // step_z
    width, height = int(i.max()) + 1, int(k.max()) + 1
    taken = np.zeros((2 * width, 2 * height))
    np.add.at(taken, (i, k), 1.0)
    spectrum = np.fft.rfft2(taken)
    pairs = np.rint(np.fft.irfft2(np.abs(spectrum) ** 2, s=taken.shape)).astype(np.int64)
    # Offset j and its mirror image 2 w - j lie equally far apart.
    dx, dz = (np.minimum(np.arange(2 * w), 2 * w - np.arange(2 * w)) for w in (width, height))
    return int((pairs * travel.in_aisle_ms(dx[:, None] * step_x, dz[None, :] * step_z)).sum())


def _lattice_step(positions: NDArray[np.int64]) -> int:
    return max(1, int(np.gcd.reduce(positions - positions.min())))


def _erlang_b_up_to(servers: int, load: float) -> list[float]:
    blocked = [1.0]
    for k in range(1, servers + 1):
        blocked.append(load * blocked[-1] / (k + load * blocked[-1]))
    return blocked


def _refuse_overload(utilisation: float) -> None:
    if utilisation >= 1.0:
        raise ValueError(f"a queue that settles: expected a utilisation below 1, found {utilisation:g}")
