"""What commands print: quiet tables, values with their units, one JSON object, a bar that moves.

Everything here is for people, except `write_json`. What a command has to say stands in the command.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from sim.scenario import Loaded


def console(least: int = 0) -> "Console":
    """Standard output for people; as wide as the terminal, at least 100 columns elsewhere.

    Text is shown as it is: names of files and policies may hold what others take for markup.
    """
    from rich.console import Console

    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    found = Console(**plain)
    return found if found.is_terminal else Console(width=max(100, least), **plain)


def table(*columns: str, first: str, title: str = "", wrap: bool = False) -> "Table":
    """A quiet table; its first column stays on one line unless `wrap`.

    A column after the word ">" is aligned to the right, the one after "<" takes the room that is left.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, no_wrap=True, overflow="ignore") if title else None  # may be wider than the table
    made = Table(
        title=heading, title_justify="left", title_style="bold",
        box=SIMPLE_HEAD, pad_edge=False, show_edge=False, expand="<" in columns,
    )  # fmt: skip
    made.add_column(first, no_wrap=not wrap)
    mark = ""
    for name in columns:
        if name not in ("<", ">"):
            justify: Any = "right" if mark == ">" else "left"
            made.add_column(name, justify=justify, no_wrap=mark != "<", ratio=1 if mark == "<" else None)
        mark = name
    return made


def numbers_table(first: str, *columns: str, title: str = "") -> "Table":
    """A quiet table of numbers: all its columns but the first are aligned to the right."""
    return table(*(text for name in columns for text in (">", name)), first=first, title=title)


def print_question(console: "Console", loaded: "Loaded") -> None:
    """Print the question that a scenario answers, if it has one."""
    if loaded.scenario.question:
        console.print(f"{filled(loaded.scenario.question, console)}\n", style="italic", highlight=False)


def filled(text: str, console: "Console") -> str:
    """A text in lines of the console's width; no number is parted from its per cent sign."""
    import textwrap

    return textwrap.fill(text.replace(" %", "\u00a0%"), console.width, break_on_hyphens=False)


def kpi_name(name: str) -> str:
    """The name of a KPI in words, without its unit."""
    for unit in ("_s", "_m", "_h"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


_LONG_S: Final = {"s": 1, "h": 3600, "days": 86_400}
"""Units of time in seconds; below one of them, smaller ones say more."""


def amount(value: float | None, unit: str) -> str:
    """A value with its unit, as short as it is useful."""
    if value is None:
        return "none"
    if unit == "share":
        from sim.charts import percent

        return percent(value)
    if unit == "s" or (unit in _LONG_S and 0 < abs(value) < 1):
        return duration(value * _LONG_S[unit])
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
    if 0 < value < _LEAST:
        number = f"< {_LEAST}"
    if number == "1" and unit.endswith("s"):
        unit = unit.removesuffix("es" if unit.endswith("xes") else "s")
    elif "/" in unit and value == 0:
        unit = ""
    return f"{number} {unit}".rstrip()


_LEAST: Final = 0.001
"""Less of anything that is counted is shown as less than this."""


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever reads best."""
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h"


def clock(t_ms: int) -> str:
    """An instant of a run as its day and the time of that day."""
    days, rest = divmod(t_ms // 60_000, 1440)
    return f"day {days}, {rest // 60:02d}:{rest % 60:02d}"


def count(number: int, one: str, many: str = "") -> str:
    """So many of something, in the singular if it is one."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value_text(value: Any) -> str:
    """A value as its scenario file would have it, near enough to read."""
    import json

    if isinstance(value, list):
        if any(isinstance(item, dict) for item in value):
            return "; ".join(value_text(item) for item in value)
        is_count = len(value) > 2 and all(isinstance(item, int) for item in value)
        if is_count and value == list(range(value[0], value[-1] + 1)):
            return f"{value[0]} to {value[-1]}"
        inner = [" to ".join(item) if isinstance(item, list) else value_text(item) for item in value]
        return ", ".join(inner) or "none"
    if isinstance(value, dict):
        given = {name: inner for name, inner in value.items() if inner is not None}
        return ", ".join(f"{name.replace('_', ' ')} {value_text(inner)}" for name, inner in given.items())
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def write(text: str) -> None:
    """Write a text to standard output as it is."""
    sys.stdout.write(text)


def write_json(document: Mapping[str, Any], out: "Path | None" = None) -> None:
    """Write a document as one line of JSON, with the folder in which results are, if there is one."""
    import json

    whole = {**document, **({} if out is None else {"out": str(out)})}
    write(json.dumps(whole, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def progress(title: str) -> Iterator[Callable[[float], None]]:
    """A function that takes the share done and moves a bar; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    title_column = TextColumn("{task.description}", markup=False)
    columns = (title_column, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda done: bar.update(task, completed=done)


def title(loaded: "Loaded", more: str) -> str:
    """What heads the table of a run: the scenario, the period, and more."""
    time = loaded.scenario.time
    warmup = f", {count(time.warmup_days, 'day')} of warm-up left out" if time.warmup_days else ""
    return f"{loaded.scenario.name}: {count(time.days, 'day')} from {time.start}{warmup}, {more}"


def all_of(words: Sequence[str]) -> str:
    """Words as a list in a sentence: a, b and c."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
