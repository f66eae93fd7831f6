"""Order logs for tests: a large made-up one in the form of WEPAStacks, and a slow second way to import one."""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FILL = {str(sku): 107 + sku % 3 for sku in range(130, 0, -1)}
"""13,953 pallets of 130 SKUs."""


class Order(NamedTuple):
    """An order as any log says it; no unit means the oldest one."""

    time_ms: int
    arrives: bool
    sku: str
    dock: str
    unit: str | None = None


def write_large(path: Path, orders: int) -> int:
    """Write so many orders in order of time, indented as the real files are; gives how many are deliveries."""
    draw = random.Random(258)
    stock = dict(FILL)
    skus = list(FILL)
    time_s, deliveries = 86_466, 0
    with path.open("w", encoding="utf-8") as file:
        for number in range(orders):
            sku = skus[min(int(draw.expovariate(6 / len(skus))), len(skus) - 1)]
            is_delivery = draw.random() < 0.5 or not stock[sku]
            stock[sku] += 1 if is_delivery else -1
            deliveries += is_delivery
            time_s += draw.randrange(37)
            op = "delivery" if is_delivery else "retrieval"
            fields = (f'"{op}"', sku, time_s, draw.randrange(1, 11), number // 50, 1 + time_s // 604_800)
            inner = ",\n".join(f"        {field}" for field in fields)
            file.write(f"{',' if number else '['}\n    [\n{inner}\n    ]")
        file.write("\n]\n")
    return deliveries


def slow_rows(orders: Iterable[Order], fill: Mapping[str, int], *, drop: bool = False) -> list[str] | None:
    """The rows of the trace in plain lists; None where a departure finds no unit."""
    there: list[tuple[str, str]] = []
    rows: list[tuple[int, str, str, str, str]] = []
    numbered = 0
    for sku in sorted(fill, key=int):
        for _ in range(fill[sku]):
            there.append((str(numbered), sku))
            rows.append((0, "in", str(numbered), sku, "0"))
            numbered += 1
    for order in by_time(list(orders)):
        if order.arrives:
            unit = order.unit
            if unit is None:
                unit, numbered = str(numbered), numbered + 1
            there.append((unit, order.sku))
            rows.append((order.time_ms, "in", unit, order.sku, order.dock))
            continue
        fitting = [(u, s) for u, s in there if s == order.sku and order.unit in (None, u)]
        if fitting:
            there.remove(fitting[0])
            rows.append((order.time_ms, "out", fitting[0][0], order.sku, order.dock))
        elif not drop:
            return None
    return [f"{seq},{seconds(row[0])},{','.join(row[1:])}" for seq, row in enumerate(rows)]


def by_time(orders: Sequence[Order]) -> list[Order]:
    """Oldest first; a list that is newest first throughout is turned round."""
    newest_first = sorted(orders, key=lambda order: -order.time_ms)
    oldest_first = sorted(orders, key=lambda order: order.time_ms)
    if list(orders) == newest_first and list(orders) != oldest_first:
        return list(orders)[::-1]
    return oldest_first


def seconds(time_ms: int) -> str:
    """Seconds as a trace has them: 12 or 12.050."""
    return str(time_ms // 1000) + (f".{time_ms % 1000:03d}" if time_ms % 1000 else "")
