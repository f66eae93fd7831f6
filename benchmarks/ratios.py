"""The rows of the table that `make bench` ends with: a ratio, its reference, its limit and whether it holds.

A test measures two things side by side, in turn, asserts their answers, and hands the ratio over. A ratio
that falls short is said in the table and fails nothing: times depend on the machine, answers do not.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture


def ratio(
    benchmark: BenchmarkFixture, name: str, found: float, *, at_least: float | None = None,
    at_most: float | None = None, against: str = "",
) -> None:  # fmt: skip
    """Hand a row over for the table, with one of the limits; `against` names what it was measured beside."""
    assert (at_least is None) != (at_most is None), "expected one limit"
    row = {"name": name, "found": float(found), "at_least": at_least, "at_most": at_most, "against": against}
    benchmark.extra_info.setdefault("ratios", []).append(row)


def verdict(row: Mapping[str, Any]) -> str:
    """`holds`, or `falls short: x of y`."""
    found, limit = row["found"], row["at_most"] if row["at_least"] is None else row["at_least"]
    holds = found <= limit if row["at_least"] is None else found >= limit
    if holds:
        return "holds"
    shown = figure(found) if figure(found) != figure(limit) else f"{found:.12g}"
    return f"falls short: {shown} of {figure(limit)}"


def limit_words(row: Mapping[str, Any]) -> str:
    """The limit in words."""
    words, limit = ("at most", row["at_most"]) if row["at_least"] is None else ("at least", row["at_least"])
    return f"{words} {figure(limit)}"


def figure(value: float) -> str:
    """A number with three digits that count, whole from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The heading and the rows: what, found, beside what, limit, verdict."""
    lines = [["ratio", "found", "measured beside", "limit", "verdict"]]
    lines += [[r["name"], figure(r["found"]), r["against"], limit_words(r), verdict(r)] for r in rows]
    return lines


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """A table as plain text, its columns aligned."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    shown = ["  ".join(line).rstrip() for line in padded]
    return "\n".join([shown[0], rule, *shown[1:]])


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one call, what others have left for the collector paid first."""
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def best_of(rounds: int, **candidates: Callable[[], Callable[[], object]]) -> dict[str, float]:
    """The least CPU seconds of each candidate; all have their turn, round by round.

    A candidate prepares what it needs, which is not timed, and gives the call to be timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, prepare in candidates.items():
            taken[name].append(cpu_s(prepare()))
    return {name: min(times) for name, times in taken.items()}
