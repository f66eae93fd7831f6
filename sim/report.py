"""The report of a run: one HTML page that holds everything, for the screen by day and night and for paper.

It answers first and explains after: what limits the store, the figures that matter, where the time goes,
charts with their data beneath, every KPI, what the scenario sets, and how to get the run again. The page
needs no script and nothing from elsewhere, and the same result gives the same bytes.
"""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel

from sim import charts
from sim.calendar import DAY_MS
from sim.charts import NOTHING, Table, day_words, duration, percent
from sim.kpis import GROUPS, KPIS, KpiValue, RunFacts, compute, limits
from sim.ownrule import is_own

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sim.simulation import Result


def write_report(result: Result, path: Path | str) -> None:
    """Write the report of a run as one HTML file. Raises OSError as files do."""
    Path(path).write_text(render(result), encoding="utf-8", newline="\n")


def render(result: Result, run: RunFacts | None = None, *, without: Collection[str] = ()) -> str:
    """The report of a run as the text of one HTML page.

    Parameters
    ----------
    run : the facts to tell, for who may not know all; those of the result when not given.
    without : KPIs that are not told; when there are any, records are not held against the truth either.
    """
    run, scenario = RunFacts.of(result) if run is None else run, result.scenario
    kpis, date_of = compute(run), run.calendar.date_of
    inputs = list(_compare(scenario, type(scenario)(), ""))
    rule = scenario.policy.allocation
    # What the command line says, a rule of the user's among it, a file need not or must not say.
    elsewhere = {"seed", "policy.allocation"} if is_own(rule) else {"seed"}
    return page(
        "report.html.j2",
        scenario=scenario,
        title=scenario.name or "A run",
        layout=run.layout,
        seed=result.seed,
        first_day=day_words(date_of(run.start_ms // DAY_MS), year=True),
        last_day=day_words(date_of(max(run.end_ms - 1, run.start_ms) // DAY_MS), year=True),
        days=f"{run.span_ms / DAY_MS:g}",
        warmup_days=f"{run.start_ms / DAY_MS:g}",
        answer=limits(run),
        cards=list(_cards(kpis)),
        causes=[name for name in charts.COLOURS if name.startswith("cause-")],
        heat=charts.HEAT,
        time_split=charts.time_split(kpis),
        over_time=charts.over_time(run),
        records=charts.records_over_time(run) if not without and charts.has_records_to_show(run) else None,
        record_cards=list(_record_cards(kpis)),
        error_table=_error_table(kpis),
        lead_times=charts.lead_times(run),
        racks=charts.racks(run),
        narrow=charts.has_narrow_rows(run.layout),
        stock_age=charts.stock_age(kpis),
        groups={
            heading: [_kpi_row(name, kpis[name]) for name in names if name not in without]
            for heading, names in GROUPS.items()
        },
        inputs=[row for row in inputs if row.key not in ("name", "question", "seed")],
        lines=[
            f"{row.key} = {toml(row.raw)}"
            for row in inputs
            if row.raw is not None and row.key not in elsewhere
        ],
        own_rule=f" --policy {rule}" if is_own(rule) else "",
        commands=_command_table(result) if result.commands else None,
        facts=len(result.trace),
        model_version=result.trace.model_version,
        digest=result.trace.digest(),
    )


def page(template: str, **values: Any) -> str:
    """A page of the templates, with these values in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sim"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(template).render(**values)


def run_pictures(result: Result) -> Iterator[tuple[str, str, charts.Chart]]:
    """The charts of a run in the order of its report: a short name, a title, and the chart."""
    run = RunFacts.of(result)
    kpis = compute(run)
    yield "time-by-cause", "Where the time goes", charts.time_split(kpis)
    yield "over-time", "Over time", charts.over_time(run)
    if charts.has_records_to_show(run):
        yield "records", "Records", charts.records_over_time(run)
    yield "lead-times", "Lead times", charts.lead_times(run)
    for name, (title, chart) in zip(("fill", "visits"), charts.racks(run), strict=True):
        yield name, title, chart
    if (stock_age := charts.stock_age(kpis)) is not None:
        yield "stock-age", "Age of the stock", stock_age


class Card(NamedTuple):
    """One of the figures at the top of the page."""

    label: str
    value: str
    unit: str
    note: str


class KpiRow(NamedTuple):
    """A line of the table of KPIs."""

    name: str
    sentence: str
    value: str
    details: Sequence[str]
    better: str


class Input(NamedTuple):
    """A scenario value that is not the default; `raw` is it as JSON has it."""

    key: str
    value: str
    default: str
    unit: str
    sentence: str
    raw: Any


def _cards(kpis: dict[str, KpiValue]) -> Iterator[Card]:
    late = kpis["late_orders"]["value"]
    words = f"{percent(late)} late" if late else "none to judge" if late is None else "none late"
    yield Card("Orders handed over", f"{kpis['orders']['value']:,}", "", words)
    for label, kind, name in (
        ("Order cycle time", "shift time", "order_cycle_time_working_s"),
        ("Put-away time", "clock time", "put_away_time_s"),
    ):
        kpi = kpis[name]
        value, unit = (NOTHING, "") if kpi["value"] is None else duration(kpi["value"]).split(" ")
        within = "" if kpi["value"] is None else f", 95 % within {duration(kpi['p95'])}"
        yield Card(label, value, unit, f"{kind}{within}")
    for label, note, name in (
        ("Robot busy", "of shift time, fleet mean", "robot_utilisation"),
        ("Box places taken", "time mean", "fill_boxes"),
    ):
        share = kpis[name]["value"]
        yield Card(label, NOTHING if share is None else percent(share).removesuffix(" %"), "%", note)
    hours = kpis["person_hours_per_1000_meters"]["value"]
    yield Card("Hands-on work", NOTHING if hours is None else _number(hours), "h", "per 1,000 meters issued")


def _record_cards(kpis: dict[str, KpiValue]) -> Iterator[Card]:
    right, made, found = (kpis[name] for name in ("record_accuracy_location", "errors_made", "errors_found"))
    parts = {name: _amount(share, "share") for name, share in right.get("parts", {}).items()}
    value = _amount(right["value"], "share").removesuffix(" %") if parts else NOTHING
    note = f"time mean; least {parts['least']}, {parts['end']} at the end" if parts else "time mean"
    yield Card("Slots recorded right", value, "%" if parts else "", note)
    missed = kpis["errors_missed"]
    lost = missed.get("parts", {"in_store": 0, "left": 0})
    note = f"{made['value']:,} made; {lost['in_store']:,} still in the store, {lost['left']:,} left unseen"
    yield Card("Errors found", f"{found['value'] or 0:,}", "", note)
    days = kpis["days_to_discovery"]
    late = "none was found" if days["value"] is None else f"95 % within {_number(days['p95'])} d"
    yield Card("Error to discovery", NOTHING if days["value"] is None else _number(days["value"]), "d", late)
    noted, alarms = kpis["differences_noted"]["value"], kpis["count_false_alarms"]
    judged = f"of {alarms.get('n', 0):,} second looks; {noted or 0:,} noted at the first"
    yield Card("False alarms", NOTHING if noted is None else f"{alarms['value']:,}", "", judged)
    robot, counted = kpis["count_robot_hours"]["value"], kpis["slots_counted"]
    looks = f"{counted['value']:,} slots, {counted['parts']['second_look']:,} second looks"
    yield Card("Robot counts", _number(robot), "h", looks)
    yield Card(
        "People count", _number(kpis["count_person_hours"]["value"]), "h", "slots by hand, boxes opened"
    )


def _error_table(kpis: dict[str, KpiValue]) -> Table:
    """The errors by cause: made, found, missed, and how long they stayed unknown."""
    made, found, missed = (kpis[f"errors_{what}"] for what in ("made", "found", "missed"))
    days, rows = kpis["days_to_discovery"].get("parts", {}), []
    for cause, sentence in _CAUSES_OF_ERRORS.items():
        numbers = [part.get(cause, 0) for part in (
            made["parts"], found.get("by_cause", {}), missed.get("by_cause", {})
        )]  # fmt: skip
        if any(numbers):
            lasted = _number(days[cause]) if cause in days else NOTHING
            rows.append([sentence, *(f"{number:,}" for number in numbers), lasted])
    return Table(["Error", "Made", "Found", "Missed", "Days to discovery, mean"], rows)


_CAUSES_OF_ERRORS: Final = {
    "wrong_slot": "Box set down in another slot than recorded",
    "lost_message": "Put-away of which the records never heard",
    "short_packed": "Box that came with a meter less than advised",
    "unrecorded_removal": "Meter taken and not written down",
    "damage": "Meter damaged in handling",
    "miscount": "Box that counts overlooked and wrote off",
}


def _command_table(result: Result) -> Table:
    """What the run was told while it went on, and what became of it."""
    rows = []
    for given in result.commands:
        day, ms = divmod(given.t_ms, DAY_MS)
        minutes = ms // 60_000
        when = f"{day_words(result.calendar.date_of(day))}, {minutes // 60:02d}:{minutes % 60:02d}"
        became = "applied" if given.applied else f"rejected: {given.reason}"
        rows.append([when, given.type, json.dumps(given.args, ensure_ascii=False), became])
    return Table(["When", "Command", "Arguments", "Became of it"], rows)


def _kpi_row(name: str, kpi: KpiValue) -> KpiRow:
    unit, better = KPIS[name].unit, KPIS[name].better
    details = []
    if kpi.get("p50") is not None:
        details += [f"half within {_amount(kpi['p50'], unit)}", f"95 % within {_amount(kpi['p95'], unit)}"]
    if kpi.get("n"):
        details.append(f"n = {kpi['n']:,}")
    if name not in _DRAWN and not (name.startswith("record_accuracy") and kpi["value"] == 1.0):
        parts = {key: part for key, part in kpi.get("parts", {}).items() if part}
        details += [
            f"{key.replace('_', ' ')} {_amount(part, 'share' if key == 'share' else unit)}"
            for key, part in parts.items()
        ]
    value = _amount(kpi["value"], unit)
    return KpiRow(name, KPIS[name].sentence, value, details, "" if better == "neither" else better)


_DRAWN: Final = {"time_by_cause_s", "order_time_by_cause_s", "task_time_by_cause_s", "stock_age_days"}


# The scenario


def _compare(given: BaseModel, default: BaseModel, path: str) -> Iterator[Input]:
    """The values of a model that are not the defaults, by dotted key."""
    for name, field in type(given).model_fields.items():
        value, usual, key = getattr(given, name), getattr(default, name), f"{path}{name}"
        if isinstance(value, BaseModel) and isinstance(usual, BaseModel):
            yield from _compare(value, usual, f"{key}.")
        elif value != usual:
            extra = field.json_schema_extra
            unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
            raw = _plain(value)
            yield Input(key, _shown(raw), _shown(_plain(usual)), unit, field.description or "", raw)


def _plain(value: Any) -> Any:
    """A value of a model as JSON has it; of a model within, only what differs from its defaults."""
    if isinstance(value, BaseModel):
        return {key: _plain(getattr(value, key)) for key in value.model_dump(exclude_defaults=True)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _shown(value: Any) -> str:
    """A value for a table."""
    if value is None:
        return "not given"
    return value if isinstance(value, str) else toml(value)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# Numbers in words


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    if unit == "s":
        return duration(value)
    if unit == "share":
        return percent(value, 2 if 0.99 < value < 1.0 else 1)
    return f"{_number(value)} {unit}"


def _number(value: float) -> str:
    """A whole number with separators, any other with three figures."""
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
