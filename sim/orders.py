"""What stations want and what the province sends: order streams, call-off, trucks and their lots.

An order type is a generator `(book, day) -> orders of that day` in `ORDER_TYPES`; a supply rule decides
once a day what is called off. Every draw belongs to a day, an order, a truck or a lot by number, so that all
policies meet the same demand and the same trucks. Left out: cancelled orders, trucks that come late.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from pydantic import Field

from sim.calendar import DAY_MS, WEEKDAYS, Clock, clock_ms
from sim.facts import NONE
from sim.params import JsonFloat, JsonInt, Params, fact
from sim.streams import choose, lognormal, poisson, poisson_quantile

if TYPE_CHECKING:
    from sim.calendar import WorkCalendar
    from sim.streams import Streams


ORDERS_A_DAY: Final = 1 << 20
"""Orders are numbered by day; more than this on one day are not drawn."""


class SkuParams(Params):
    """One SKU: a kind of meter that stations ask for by name."""

    name: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$", description="name of the SKU")
    ]
    share: JsonFloat = fact(
        1.0, "share of demand in meters, in proportion to the other SKUs", origin="assumption", gt=0
    )
    stay_days: JsonFloat | None = fact(
        None,
        "mean stay of a box, for policy.turnover = 'given'; as long as the others' when not given",
        unit="days",
        gt=0,
        le=36500,
    )
    device: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")] = fact(
        "single-phase", "device class, for layout.restricted slots"
    )
    meter_kg: JsonFloat = fact(0.55, "mass of a meter", unit="kg", origin="assumption", gt=0, le=1000)
    meters_per_box: JsonInt | None = fact(
        None,
        "meters in a full box, at most boxes.meters_per_box; as many as that when not given",
        unit="meters",
        origin="assumption",
        ge=1,
        le=60,
    )


class WindowParams(Params):
    """A part of the day that receives a share of the day's orders."""

    start: Annotated[Clock, Field(description="begin of the window")]
    end: Annotated[Clock, Field(description="end of the window")]
    share: JsonFloat = fact(1.0, "share of the day's orders", origin="assumption", ge=0, le=1)


class CampaignParams(Params):
    """A roll-out campaign: demand times a factor between two days of the run."""

    from_day: JsonInt = fact(
        0, "first day of the campaign, counted from time.start", unit="days", ge=0, le=36500, live=True
    )
    days: JsonInt = fact(
        42, "length of the campaign", unit="days", origin="assumption", ge=0, le=36500, live=True
    )
    factor: JsonFloat = fact(
        3.0, "demand is multiplied by this", origin="assumption", ge=0, le=1000, live=True
    )


class ScheduledOrderParams(Params):
    """One order of a schedule."""

    day: JsonInt = fact(0, "day of the run", unit="days", ge=0, le=36500)
    at: Clock = fact("09:00", "time of its release")
    sku: Annotated[str, Field(description="name of the SKU")]
    meters: JsonInt = fact(60, "meters wanted", unit="meters", gt=0, le=10_000_000)
    station: JsonInt = fact(0, "number of the supply station", ge=0, le=100_000)


class ScheduledDeliveryParams(Params):
    """One delivery of a schedule."""

    day: JsonInt = fact(0, "day of the run", unit="days", ge=0, le=36500)
    sku: Annotated[str, Field(description="name of the SKU")]
    boxes: JsonInt = fact(60, "boxes on the truck", unit="boxes", gt=0, le=100_000)


class DemandParams(Params):
    """Orders: how many, when, how large, of what."""

    kind: Literal["poisson", "stations", "schedule", "trace", "hold_fill", "saturated"] = fact(
        "poisson", "how orders arise; `meterhouse list orders` says what each kind is"
    )
    orders_per_day: JsonFloat = fact(
        10.0,
        "orders on an average working day",
        unit="1/day",
        origin="assumption",
        ge=0,
        le=100_000,
        live=True,
    )
    day_cv: JsonFloat = fact(
        0.0,
        "coefficient of variation of a day's mean, lognormal, of kind = 'poisson' and 'hold_fill';"
        " with 0 the orders of a day are a Poisson number",
        origin="assumption",
        ge=0,
        le=10,
        live=True,
    )
    mean_meters: JsonFloat = fact(
        60.0, "mean size of an order", unit="meters", origin="assumption", gt=0, le=1_000_000, live=True
    )
    size_cv: JsonFloat = fact(
        0.8,
        "coefficient of variation of the lognormal order size",
        origin="assumption",
        ge=0,
        le=10,
        live=True,
    )
    cap_boxes: JsonInt = fact(
        24, "largest order", unit="boxes", origin="assumption", ge=1, le=100_000, live=True
    )
    full_box_share: JsonFloat = fact(
        0.55, "share of orders for whole boxes only", origin="assumption", ge=0, le=1, live=True
    )
    due_h: JsonFloat = fact(
        4.0,
        "time allowed from release to hand-over, in shift hours",
        unit="h",
        origin="assumption",
        gt=0,
        le=10_000,
        live=True,
    )
    windows: list[WindowParams] = fact(
        [{"start": "08:30", "end": "10:00", "share": 0.5}, {"start": "14:30", "end": "16:00", "share": 0.3}],
        "parts of the day with a share of the orders; the rest spreads evenly over the shifts",
        origin="assumption",
        live=True,
    )
    months: list[JsonFloat] = fact(
        [0.6, 0.4, 1.1, 1.3, 1.4, 1.1, 0.7, 0.7, 1.2, 1.4, 1.3, 0.8],
        "factor by month",
        origin="assumption",
        min_length=12,
        max_length=12,
        live=True,
    )
    weekdays: list[JsonFloat] = fact(
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "factor by weekday, Monday first",
        origin="assumption",
        min_length=7,
        max_length=7,
        live=True,
    )
    campaign: CampaignParams | None = fact(None, "a roll-out campaign, none when not given", live=True)
    stations: JsonInt = fact(40, "supply stations", origin="sourced", ge=1, le=100_000)
    review_days: JsonInt = fact(
        5,
        "days between two reviews of a station, T of (R,S)",
        unit="days",
        origin="sourced",
        ge=1,
        le=365,
        live=True,
    )
    service_level: JsonFloat = fact(
        0.95,
        "chance that a station's stock lasts until its next delivery",
        origin="sourced",
        gt=0,
        lt=1,
        live=True,
    )
    schedule: list[ScheduledOrderParams] = fact([], "the orders of kind = 'schedule'")
    file: str | None = fact(None, "the order list of kind = 'trace', a CSV or XLSX file beside the scenario")
    backlog_orders: JsonInt = fact(
        8, "orders always waiting under kind = 'saturated'", unit="orders", ge=1, le=10_000
    )
    max_age_days: JsonInt = fact(
        180, "a meter verified longer ago may not be issued", unit="days", origin="standard", ge=1, le=36500
    )


class SupplyParams(Params):
    """Call-off from the province and its trucks."""

    rule: Literal["R,S", "s,Q", "schedule"] = fact(
        "R,S", "periodic review, reorder point, or a list of deliveries", live=True
    )
    review_weekdays: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = fact(
        ["mon", "thu"],
        "days on which (R,S) reviews every SKU",
        origin="assumption",
        min_length=1,
        max_length=7,
        live=True,
    )
    target_fill: JsonFloat | None = fact(
        None,
        "what S aims at in usable stock, as a share of all box places; initial.fill when not given",
        origin="assumption",
        gt=0,
        le=1,
        live=True,
    )
    reorder_boxes: JsonInt = fact(
        200,
        "s of (s,Q), shared by demand; s and Q then set the stock, not initial.fill",
        unit="boxes",
        ge=0,
        le=10_000_000,
        live=True,
    )
    order_boxes: JsonInt = fact(
        150, "Q of (s,Q), shared among SKUs by demand", unit="boxes", ge=1, le=10_000_000, live=True
    )
    lead_time_days: JsonInt = fact(
        2, "working days from call-off to arrival", unit="days", origin="assumption", ge=0, le=365, live=True
    )
    truck_boxes: JsonInt = fact(
        150, "capacity of a truck", unit="boxes", origin="assumption", ge=1, le=100_000, live=True
    )
    min_boxes: JsonInt = fact(
        60,
        "a call-off below this waits for the next review",
        unit="boxes",
        origin="assumption",
        ge=1,
        le=100_000,
        live=True,
    )
    cover_days: JsonInt = fact(
        60,
        "a lot is at most this many days of its SKU's demand",
        unit="days",
        origin="assumption",
        ge=1,
        le=36500,
        live=True,
    )
    arrive_from: Clock = fact("09:00", "trucks arrive from this time of day", origin="assumption", live=True)
    arrive_to: Clock = fact("11:00", "trucks arrive up to this time of day", origin="assumption", live=True)
    age_days_min: JsonInt = fact(
        10,
        "least age of the verification on arrival",
        unit="days",
        origin="assumption",
        ge=0,
        le=3650,
        live=True,
    )
    age_days_max: JsonInt = fact(
        40,
        "greatest age of the verification on arrival",
        unit="days",
        origin="assumption",
        ge=0,
        le=3650,
        live=True,
    )
    lot_spread_days: JsonInt = fact(
        3,
        "spread of verification dates within a lot",
        unit="days",
        origin="assumption",
        ge=0,
        le=365,
        live=True,
    )
    older_chance: JsonFloat = fact(
        0.1,
        "chance that a lot is older than one that came before it",
        origin="assumption",
        ge=0,
        le=1,
        live=True,
    )
    older_days: JsonInt = fact(
        30, "how much older such a lot is", unit="days", origin="assumption", ge=0, le=3650, live=True
    )
    schedule: list[ScheduledDeliveryParams] = fact([], "the deliveries of rule = 'schedule'")


class OrderSpec(NamedTuple):
    """An order before its release: time, station, latest hand-over (None: by due_h), lines (SKU, meters)."""

    at_ms: int
    station: int
    due_ms: int | None
    lines: tuple[tuple[int, int], ...]
    exogenous: bool


class Consumption(NamedTuple):
    """What a station has installed on a day: (station, SKU, meters)."""

    station: int
    sku: int
    meters: int


class OrderBook:
    """What order types draw from: parameters, calendar, streams; and the stations' stock positions."""

    def __init__(
        self,
        params: DemandParams,
        shares: Sequence[float],
        calendar: "WorkCalendar",
        streams: "Streams",
        *,
        meters_per_box: int,
        full_boxes: Sequence[int] = (),
        orders: Sequence[OrderSpec] = (),
    ) -> None:
        total = sum(shares)
        self.shares = [share / total for share in shares]
        self.calendar = calendar
        self.streams = streams
        self.full_boxes = list(full_boxes) or [meters_per_box] * len(self.shares)
        """Meters in a full box, by SKU."""
        self.consumed: list[Consumption] = []
        self.box_shares = in_boxes(self.shares, self.full_boxes)
        """Share of each SKU in the boxes that demand takes."""
        self._listed: dict[int, list[OrderSpec]] = {}
        for order in orders:
            self._listed.setdefault(order.at_ms // DAY_MS, []).append(order)
        self._position: dict[tuple[int, int], int] = {}
        self.adopt(params)

    def adopt(self, params: DemandParams) -> None:
        """Go by these rates and times, from the next day on; who orders, and how, has to stay."""
        self.params = params
        self.daily_meters = params.orders_per_day * params.mean_meters
        """Mean demand of a working day, in meters."""
        self.daily_boxes = self.daily_meters / meters_of_a_box(self.shares, self.full_boxes)
        """Mean demand of a working day, in boxes."""
        self._windows = [(clock_ms(w.start), clock_ms(w.end), w.share) for w in params.windows]

    def listed(self, day: int) -> list[OrderSpec]:
        """The orders of a list (a schedule or a file) that are released on a day."""
        return sorted(self._listed.get(day, ()), key=lambda order: order.at_ms)

    def factor(self, day: int) -> float:
        """Demand of a day relative to the average working day; 0 on days without work."""
        if not self.calendar.is_working_day(day):
            return 0.0
        date = self.calendar.date_of(day)
        factor = self.params.months[date.month - 1] * self.params.weekdays[date.weekday()]
        campaign = self.params.campaign
        if campaign is not None and campaign.from_day <= day < campaign.from_day + campaign.days:
            factor *= campaign.factor
        return factor

    def busyness(self, day: int) -> float:
        """What a day has of its mean demand, beyond season and weekday: 1 in the mean."""
        if self.params.day_cv == 0.0:
            return 1.0
        return lognormal(self.streams["demand.day"].uniform(day), 1.0, self.params.day_cv)

    def time_of_day(self, day: int, u: float) -> int:
        """The instant of a day that a uniform u picks: windows by their share, the rest over the shifts."""
        midnight = day * DAY_MS
        for start, end, share in self._windows:
            if u < share:
                return midnight + start + int(u / share * (end - start))
            u -= share
        rest = 1.0 - sum(share for _, _, share in self._windows)
        intervals = self.calendar.intervals(midnight, midnight + DAY_MS)
        left = int(u / rest * sum(b - a for a, b in intervals)) if rest > 0 else 0
        for a, b in intervals:
            if left < b - a:
                return a + left
            left -= b - a
        return midnight

    def size(self, number: int, sku: int = 0) -> int:
        """The meters of an order of a SKU by its number: whole boxes, or with a loose remainder."""
        params = self.params
        box = self.full_boxes[sku]
        meters = lognormal(self.streams["demand.size"].uniform(number), params.mean_meters, params.size_cv)
        meters = min(meters, params.cap_boxes * box)
        if self.streams["demand.loose"].uniform(number) < params.full_box_share:
            return max(1, round(meters / box)) * box
        return max(1, round(meters))

    def order(self, day: int, k: int) -> OrderSpec:
        """The k-th random order of a day."""
        number = day * ORDERS_A_DAY + k
        streams = self.streams
        sku = choose(streams["demand.sku"].uniform(number), self.shares)
        station = int(streams["demand.station"].uniform(number) * self.params.stations)
        at = self.time_of_day(day, streams["demand.time"].uniform(number))
        return OrderSpec(at, station, None, ((sku, self.size(number, sku)),), exogenous=True)

    def consume(self, day: int) -> None:
        """Let every station install meters for a day; what it used is in `consumed`."""
        mean = self.daily_meters * self.factor(day) / self.params.stations
        self.consumed = []
        if mean <= 0:
            return
        uniforms = self.streams["demand.station_use"]
        for station in range(self.params.stations):
            for sku, share in enumerate(self.shares):
                u = uniforms.uniform((day * self.params.stations + station) * len(self.shares) + sku)
                meters = poisson(u, mean * share)
                if meters:
                    self.consumed.append(Consumption(station, sku, meters))
                    key = (station, sku)
                    self._position[key] = self._position.get(key, self.order_up_to(day, share)) - meters

    def order_up_to(self, day: int, share: float) -> int:
        """S of a station: the Poisson quantile of a review period's demand, one day for delivery added."""
        mean = self.daily_meters * max(self.factor(day), 0.1) * share / self.params.stations
        return poisson_quantile(self.params.service_level, mean * (self.params.review_days + 1))

    def replenish(self, day: int, station: int) -> tuple[tuple[int, int], ...]:
        """What a station orders at its review: S less its position, SKU by SKU."""
        lines = []
        for sku, share in enumerate(self.shares):
            level = self.order_up_to(day, share)
            position = self._position.get((station, sku), level)
            if level > position:
                lines.append((sku, level - position))
                self._position[station, sku] = level
        return tuple(lines)


def in_boxes(shares: Sequence[float], full_boxes: Sequence[int]) -> list[float]:
    """Shares in meters of SKUs as shares in boxes, with the same sum; `full_boxes` are meters a box."""
    mean = meters_of_a_box(shares, full_boxes)
    return [
        share if full == mean else share * mean / full for share, full in zip(shares, full_boxes, strict=True)
    ]


def meters_of_a_box(shares: Sequence[float], full_boxes: Sequence[int]) -> float:
    """The mean meters of a box where SKUs have shares in meters."""
    if len(set(full_boxes)) == 1:
        return full_boxes[0]
    boxes = (share / full for share, full in zip(shares, full_boxes, strict=True))
    return math.fsum(shares) / math.fsum(boxes)


OrderType = Callable[[OrderBook, int], Iterator[OrderSpec]]
"""An order type: the orders of one day of the run, in order of time."""


def poisson_orders(book: OrderBook, day: int) -> Iterator[OrderSpec]:
    """Random orders: a Poisson number a day with season and windows, lognormal sizes, SKUs by share."""
    mean = book.params.orders_per_day * book.factor(day) * book.busyness(day)
    count = min(poisson(book.streams["demand.count"].uniform(day), mean), ORDERS_A_DAY)
    yield from sorted((book.order(day, k) for k in range(count)), key=lambda order: order.at_ms)


def station_orders(book: OrderBook, day: int) -> Iterator[OrderSpec]:
    """Supply stations under (R,S): each installs meters daily and orders up to S at its review."""
    book.consume(day)
    calendar, params = book.calendar, book.params
    if not calendar.is_working_day(day):
        return
    first = calendar.next_open(day * DAY_MS)
    working_day = calendar.open_ms(0, first) // max(1, calendar.open_ms(first, first + DAY_MS))
    orders = []
    for station in range(params.stations):
        if (working_day + station) % params.review_days == 0:
            lines = book.replenish(day, station)
            if lines:
                u = book.streams["demand.time"].uniform(day * 100_000 + station)
                orders.append(OrderSpec(book.time_of_day(day, u), station, None, lines, exogenous=False))
    yield from sorted(orders, key=lambda order: (order.at_ms, order.station))


def listed_orders(book: OrderBook, day: int) -> Iterator[OrderSpec]:
    """The orders that the scenario lists in `demand.schedule`."""
    yield from book.listed(day)


def trace_orders(book: OrderBook, day: int) -> Iterator[OrderSpec]:
    """The orders of a recorded list: the CSV or XLSX file that `demand.file` names."""
    yield from book.listed(day)


def held_orders(book: OrderBook, day: int) -> Iterator[OrderSpec]:
    """Orders as under `poisson`, and for each box that leaves one of its SKU comes: the fill stays."""
    yield from poisson_orders(book, day)


def no_timed_orders(book: OrderBook, day: int) -> Iterator[OrderSpec]:
    """A backlog that never empties: as soon as an order is handed over the next one is released."""
    yield from ()


ORDER_TYPES: Final[dict[str, OrderType]] = {
    "poisson": poisson_orders,
    "stations": station_orders,
    "schedule": listed_orders,
    "trace": trace_orders,
    "hold_fill": held_orders,
    "saturated": no_timed_orders,
}


class Delivery(NamedTuple):
    """A truck under way: its number, when it arrives, and its loads as (SKU, boxes)."""

    truck: int
    at_ms: int
    loads: tuple[tuple[int, int], ...]


class Supply:
    """Call-off from the province: what is ordered when, on which trucks, of which lots."""

    def __init__(
        self,
        params: SupplyParams,
        book: OrderBook,
        *,
        places: int,
        target_fill: float,
        deliveries: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        self._book = book
        self._calendar = book.calendar
        self._streams = book.streams
        self._places = places
        self._scheduled = deliveries
        self._trucks = 0
        self._lots = 0
        self._boxes = 0
        self._beside: set[int] = set()
        self._lots_beside = 0
        self._boxes_beside = 0
        self.adopt(params, target_fill)

    def adopt(self, params: SupplyParams, target_fill: float) -> None:
        """Call off by these values from now on; what is called off comes as it was to come."""
        self.params = params
        self._fill = target_fill
        self._review = {WEEKDAYS.index(day) for day in params.review_weekdays}

    def order_up_to(self, sku: int) -> float:
        """S of a SKU in boxes: its share of the target, and its demand over lead time and half a review."""
        share, daily = self._book.box_shares[sku], self._book.daily_boxes
        wait = self.params.lead_time_days + 0.5 * 5.0 / len(self._review)
        return share * (self._fill * self._places + daily * wait)

    def call_off(self, day: int, positions: Sequence[int]) -> list[Delivery]:
        """The trucks ordered on a day; `positions` are usable meters plus those on order, by SKU."""
        rule = self.params.rule
        if rule == "schedule":
            return [self._truck(at, ((sku, boxes),)) for at, sku, boxes in self._scheduled if at == day]
        if not self._calendar.is_working_day(day):
            return []
        shares, full = self._book.box_shares, self._book.full_boxes
        wanted = [0] * len(shares)
        if rule == "R,S":
            if self._calendar.date_of(day).weekday() not in self._review:
                return []
            for sku in range(len(shares)):
                missing = self.order_up_to(sku) - positions[sku] / full[sku]
                wanted[sku] = min(max(0, math.floor(missing)), self._cover(sku))
        else:
            for sku, share in enumerate(shares):
                if positions[sku] / full[sku] <= self.params.reorder_boxes * share:
                    wanted[sku] = min(max(1, round(self.params.order_boxes * share)), self._cover(sku))
        if sum(wanted) < (self.params.min_boxes if rule == "R,S" else 1):
            return []
        arrives = self._calendar.add_working_days(day, self.params.lead_time_days)
        return [self._truck(arrives, loads) for loads in _loads(wanted, self.params.truck_boxes)]

    def single(self, sku: int, at_ms: int) -> Delivery:
        """A delivery of one box, as one leaves (hold_fill)."""
        self._trucks += 1
        return Delivery(self._trucks - 1, at_ms, ((sku, 1),))

    def beside(self, at_ms: int, loads: tuple[tuple[int, int], ...]) -> Delivery:
        """A truck beside those that the rule calls off: it shifts no draw of theirs."""
        self._beside.add(self._trucks)
        self._trucks += 1
        return Delivery(self._trucks - 1, at_ms, loads)

    def lot(self, arrival_day: int, boxes: int, truck: int = NONE) -> tuple[int, list[int]]:
        """The maker of the next lot and the verification day (ordinal) of each of its boxes.

        `truck` brings it, which is only asked for those that `beside` gave.
        """
        params, streams = self.params, self._streams
        if truck in self._beside:  # draws of negative numbers are nobody else's
            self._lots_beside += 1
            self._boxes_beside += boxes
            number, first = -self._lots_beside, -self._boxes_beside
        else:
            number, first = self._lots, self._boxes
            self._lots += 1
            self._boxes += boxes
        ages = params.age_days_max - params.age_days_min + 1
        age = params.age_days_min + int(streams["supply.age"].uniform(number) * ages)
        if streams["supply.older"].uniform(number) < params.older_chance:
            age += params.older_days
        verified = self._calendar.ordinal(arrival_day) - age
        spread = streams["supply.spread"]
        width = params.lot_spread_days + 1
        maker = int(streams["supply.maker"].uniform(number) * 5)
        return maker, [verified - int(spread.uniform(first + k) * width) for k in range(boxes)]

    def _cover(self, sku: int) -> int:
        """The largest lot of a SKU: so many days of its demand."""
        daily = self._book.daily_meters * self._book.shares[sku] / self._book.full_boxes[sku]
        return max(1, round(self.params.cover_days * daily)) if daily > 0 else self._places

    def _truck(self, day: int, loads: tuple[tuple[int, int], ...]) -> Delivery:
        number = self._trucks
        self._trucks += 1
        start, end = clock_ms(self.params.arrive_from), clock_ms(self.params.arrive_to)
        u = self._streams["supply.arrival"].uniform(number - len(self._beside))
        return Delivery(number, day * DAY_MS + start + int(u * (end - start)), loads)


def _loads(wanted: Sequence[int], truck_boxes: int) -> list[tuple[tuple[int, int], ...]]:
    """Boxes by SKU cut into truck loads, one SKU after another."""
    trucks: list[list[tuple[int, int]]] = []
    room = 0
    for sku, boxes in enumerate(wanted):
        left = boxes
        while left:
            if not room:
                trucks.append([])
                room = truck_boxes
            part = min(left, room)
            trucks[-1].append((sku, part))
            left -= part
            room -= part
    return [tuple(loads) for loads in trucks]
