"""The commands `meterhouse fit` and `meterhouse forecast`: from lists to demand, and to the day ahead."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sim import printing
from sim.options import JsonOption, SetOption

if TYPE_CHECKING:
    from datetime import date

_SHOWN_SKUS: Final = 10


def fit(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log of orders: CSV, CSV.gz or XLSX.")],
    time: Annotated[str, typer.Option(metavar="COLUMN", help="The column of times: dates, or seconds.")],
    sku: Annotated[str, typer.Option(metavar="COLUMN", help="The column of SKUs.")],
    out: Annotated[Path, typer.Option(metavar="SCENARIO.toml", help="The scenario to write.")],
    quantity: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of meters; a row is one full box without it."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that tells orders (out) from arrivals (in)."),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of order numbers; a row is an order without it."),
    ] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="Quantities are boxes, not meters.")] = False,
    start: Annotated[
        str | None, typer.Option(metavar="DATE", help="The day of second 0, where times are seconds.")
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="SCENARIO", help="The scenario for what the log does not say.")
    ] = "luoyang",
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draws recorded beside fitted, SVG or PNG.")
    ] = None,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Fits the demand of a scenario to a recorded log."""
    from sim.charts import PictureError, write_picture
    from sim.fit import Columns, fit_log, write_scenario
    from sim.scenario import load

    if picture is not None and picture.suffix.lower() not in (".svg", ".png"):
        raise PictureError([f"--picture: expected a name in .svg or .png, found '{picture}'"])
    if picture is not None and not picture.parent.is_dir():
        raise PictureError([f"--picture: expected a file in a folder that is there, found '{picture}'"])
    day = None if start is None else _date("--start", start)
    loaded = load(base, set_ or ())
    columns = Columns(time, sku, quantity, kind, order)
    with printing.progress(log.name) as advance:
        fitted = fit_log(log, columns, loaded, in_boxes=boxes, start=day, progress=advance)
    write_scenario(fitted, loaded, out)
    document = {"scenario": str(out), **fitted.to_json()}
    if picture is not None:
        from sim.fitchart import fit_picture

        write_picture(fit_picture(document), picture)
    if json:
        printing.write_json(document)
        return
    _print_fit(document, out, picture)


def forecast(
    stock: Annotated[Path, typer.Argument(metavar="STOCK", help="The stock list of now, CSV or XLSX.")],
    orders: Annotated[Path, typer.Argument(metavar="ORDERS", help="The open orders, CSV or XLSX.")],
    scenario: Annotated[
        str, typer.Argument(metavar="[SCENARIO]", help="The store: a scenario file or name.")
    ] = "luoyang",
    *,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="How far: 18:00 of the day, or 2026-03-03T12:00.")
    ],
    at: Annotated[
        str, typer.Option(metavar="HH:MM", help="The time at which the lists were true.")
    ] = "00:00",
    day: Annotated[
        str | None, typer.Option(metavar="DATE", help="The day; that of the last release if not given.")
    ] = None,
    replications: Annotated[int, typer.Option(min=1, max=10_000, help="Runs a number of people.")] = 100,
    people: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Numbers of people to compare.")
    ] = None,
    no_new_orders: Annotated[
        bool, typer.Option("--no-new-orders", help="No more orders come than those of the list.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Processes at work.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed instead of the scenario's own.")] = None,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Says each open order's chance of being late."""
    from sim.forecast import forecast as forecast_day
    from sim.scenario import load

    first = None if day is None else _date("--day", day)
    counts = [] if people is None else _numbers("--people", people)
    loaded = load(scenario, set_ or ())
    with printing.progress("forecast") as advance:
        document = forecast_day(
            loaded, stock, orders, until=until, at=at, day=first, replications=replications, people=counts,
            new_orders=not no_new_orders, seed=seed, workers=workers, progress=advance,
        )  # fmt: skip
    if json:
        printing.write_json(document)
    else:
        _print_forecast(document)


# -- What people read -----------------------------------------------------------------------------------


def _print_fit(document: Mapping[str, Any], out: Path, picture: Path | None) -> None:
    console, values = printing.console(), document["values"]
    about = f"{document['log']}: {document['orders']:,} orders in {document['days']:,} days"
    table = printing.numbers_table("fitted value", "value", "95 % from", "to", "observations", title=about)
    for name, row in values.items():
        if name.startswith(("skus", "demand.months", "demand.weekdays")):
            continue
        bounds = [_short(row[key]) for key in ("low", "high")]
        table.add_row(name.removeprefix("demand."), _short(row["value"]), *bounds, f"{row['n']:,}")
    console.print(table)
    console.print()
    table = printing.numbers_table("orders a working day", "recorded", "fitted", "factor", "95 % from", "to")
    for name, numbers in (("weekdays", _WEEKDAY_KEYS), ("months", _MONTH_KEYS)):
        for row in document[name]:
            factor = values[f"demand.{name}[{numbers.index(row['name'])}]"]
            bounds = [_short(factor[key]) for key in ("value", "low", "high")]
            table.add_row(row["name"], _short(row["recorded"]), _short(row["fitted"]), *bounds)
        table.add_section()
    console.print(table)
    console.print()
    table = printing.numbers_table("share of the orders", "recorded", "fitted")
    for row in document["hours"]:
        if row["recorded"] or row["fitted"] > _LEAST_SHARE:
            name = f"{row['hour']:02d}:00 to {row['hour'] + 1:02d}:00"
            table.add_row(name, _percent(row["recorded"]), _percent(row["fitted"]))
    console.print(table)
    console.print()
    table = printing.numbers_table("order size", "recorded", "fitted")
    for row in document["sizes"]:
        show = _percent if row["unit"] == "share" else _short
        unit = "" if row["unit"] == "share" else " meters"
        table.add_row(row["name"], f"{show(row['recorded'])}{unit}", f"{show(row['fitted'])}{unit}")
    console.print(table)
    console.print()
    table = printing.numbers_table("SKU, share of the meters", "share", "95 % from", "to", "of the orders")
    for row in document["skus"][:_SHOWN_SKUS]:
        shares = [_percent(row[key]) for key in ("value", "low", "high", "of_orders")]
        table.add_row(row["sku"], *shares)
    if len(document["skus"]) > _SHOWN_SKUS:
        table.add_row(f"and {len(document['skus']) - _SHOWN_SKUS} more", "", "", "", "")
    console.print(table)
    console.print()
    for each in document["goodness"]:
        console.print(each["words"], style=None if each["fits"] else "bold")
    if document["notes"]:
        console.print()
    for note in document["notes"]:
        console.print(f"- {note}")
    more = "" if picture is None else f", picture in {picture}"
    console.print(f"\nscenario in {out}{more}", soft_wrap=True)


_WEEKDAY_KEYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH_KEYS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LEAST_SHARE: Final = 0.0005


def _print_forecast(document: Mapping[str, Any]) -> None:
    console, cases = printing.console(), document["cases"]
    since, until = (document[key].replace("T", " ") for key in ("from", "until"))
    title = f"{document['scenario']}, {since} to {until}, {printing.count(document['replications'], 'run')}"
    if len(cases) > 1:
        title += " for each number of people: share late (95 %)"
    if len(cases) > 1:
        table = printing.numbers_table(
            "order", "due", *(printing.count(c["people"], "person", "people") for c in cases), title=title
        )
    else:
        table = printing.numbers_table(
            "order", "released", "due", "late", "95 %", "half by", "95 % by", title=title
        )
    for number, order in enumerate(cases[0]["orders"]):
        shown = [_late(case["orders"][number]) for case in cases]
        due = _time_of(order["due"], document["from"])
        if len(cases) > 1:
            table.add_row(order["order"], due, *(" ".join(words) for words in shown))
        else:
            times = (order["released"], order["handed_over"]["p50"], order["handed_over"]["p95"])
            released, *handed = (_time_of(moment, document["from"]) for moment in times)
            table.add_row(order["order"], released, due, *shown[0], *handed)
    console.print(table)
    console.print()
    for case in cases:
        late = case["late_orders"]
        text = f"{late['mean']:.2g} of {printing.count(len(case['orders']), 'order')} late in the mean"
        if late["low"] is not None:
            text += f" (95 %: {max(0.0, late['low']):.2g} to {late['high']:.2g})"
        who = printing.count(case["people"], "person", "people")
        console.print(f"{who}: {text}", style="bold")


def _late(order: Mapping[str, Any]) -> tuple[str, str]:
    """The chance that an order is late, and its interval, in words."""
    late = order["late"]
    if late is None:
        return f"{_percent(order['open'])} open", "(due later)"
    return _percent(late["share"]), f"({100 * late['low']:.0f} to {100 * late['high']:.0f} %)"


def _time_of(moment: str | None, of: str) -> str:
    """A time; with its date where that is another day's."""
    if moment is None:
        return "-"
    day, time = moment.split("T")
    return time if day == of.split("T")[0] else f"{day[5:]} {time}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _percent(share: float) -> str:
    from sim.charts import percent

    return percent(share)


# -- What is given --------------------------------------------------------------------------------------


class OptionError(ValueError):
    """An option that cannot be read; `lines` says why."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def _date(option: str, text: str) -> "date":
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OptionError([f"{option}: expected a date as 2026-03-02, found {text!r}"]) from None


def _numbers(option: str, text: str) -> list[int]:
    """Whole numbers apart by commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) <= 4 for part in parts):
        raise OptionError([f"{option}: expected whole numbers as 1,2,3, found {text!r}"])
    return [int(part) for part in parts]
