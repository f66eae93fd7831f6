"""The command `meterhouse`: prints for people, or one JSON object with --json.

Exit codes: 0 done; 1 a check failed; 2 the input was wrong, with one line on standard error a mistake. What a
command needs is imported inside it, so that `meterhouse --help` stays quick.
"""

import gc
import os
import sys
from bisect import bisect_right
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from sim import printing
from sim.options import JsonOption, PoliciesOption, ScenarioArgument, SetOption, rules_of, set_policy

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sim.commands import Entry
    from sim.history import StoreState
    from sim.kpis import Kpi
    from sim.scenario import Loaded
    from sim.simulation import Result
    from sim.trace import FactsWriter
    from sim.tracking import Run, Story


class _Commands(UserDict[str, Any]):
    """The commands of `COMMANDS` as typer has them, each made when it is asked for: one pays for no other."""

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if isinstance(found, str):
            module, _, function = found.partition(":")
            found = getattr(import_module(module), function)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False, **_LOOK)
            found.command(name, context_settings=_SETTINGS.get(name))(function)
        return get_command(found)


class _Group(TyperGroup):
    """`meterhouse` itself."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(COMMANDS)


_LOOK: Final[dict[str, Any]] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}

app = typer.Typer(
    name="meterhouse",
    cls=_Group,
    help="Simulates a robotic store for electricity meters.",
    no_args_is_help=True,
    **_LOOK,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SPARED: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # no matrix here is worth a second thread, and starting one costs a tenth
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # what a scenario means is not for other packages to change
}
"""What libraries need not do for a command line, unless the environment says so."""

_OBJECTS: Final = 10_000
"""So many new objects before rings of garbage are looked for: almost all that start-up makes stays."""

_INTERRUPTED_QUERY: Final = "Query interrupted"
"""What DuckDB makes of Ctrl-C while it works."""

_MOST_EVENTS: Final = 100
"""How many events of a history people are shown when they do not say how many."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; wrong input ends in a line on standard error a mistake."""
    from typer.exceptions import TyperException

    for name, value in _SPARED.items():
        os.environ.setdefault(name, value)
    gc.set_threshold(_OBJECTS)
    try:
        code = app(args=None if argv is None else list(argv), prog_name="meterhouse", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except TyperException as error:
        return _print_usage(error)
    except BrokenPipeError:
        _close_quietly(sys.stdout)
        return 1
    except (ValueError, OSError) as error:
        lines = _lines_of(error)
        if lines is None:
            raise
        for line in lines:
            print(line, file=sys.stderr)  # noqa: T201
        return 2
    except RuntimeError as error:
        if str(error) != _INTERRUPTED_QUERY:
            raise
        return 130
    return code if isinstance(code, int) else 0


# --- commands --------------------------------------------------------------------------------------------


def run(
    scenario: ScenarioArgument,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed instead of the scenario's own.")] = None,
    set_: SetOption = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="Short for --set policy.allocation=POLICY; or FILE.py:FUNCTION."),
    ] = None,
    replications: Annotated[
        int, typer.Option(min=1, max=10_000, help="Runs, with seeds counted up from the first.")
    ] = 1,
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="As many runs as make the half-width of --kpi at most this share; --replications at most.",
        ),
    ] = None,
    kpi: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A KPI that is to be so precise; order_cycle_time_s if not given."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Processes for many runs; one a core, none for what is short."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Writes a result folder: result.json, facts, report.html; of many runs, what goes on.",
        ),
    ] = None,
    slice_min: Annotated[
        float | None, typer.Option(metavar="N", help="Advances in slices of N simulated minutes.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Reads the state after every slice.")] = False,
    commands: Annotated[
        Path | None, typer.Option(metavar="LOG.json", help="Gives the run the commands of a log.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Simulates a scenario and prints its KPIs."""
    from sim.commands import read_log
    from sim.results import ResultError, refuse_folder
    from sim.scenario import build_layout, load

    loaded = load(scenario, [*(set_ or ()), *([] if policy is None else [set_policy(policy)])])
    is_many = replications > 1 or precision is not None
    if out is not None and not is_many:
        refuse_folder(out)
        _refuse_study(out)
    if kpi and not is_many:
        raise ResultError(["--kpi: expected --precision or --replications with it, found neither"])
    if slice_min is not None and not slice_min * 60_000 >= 1:
        raise ResultError([f"--slice-min: expected at least a millisecond, found {slice_min:g}"])
    if seed is not None and seed >= 2**63:
        raise ResultError([f"--seed: expected a whole number below {2**63:,}, found {seed}"])
    if commands is not None and is_many:
        found = f"--replications {replications}" if precision is None else f"--precision {precision:g}"
        raise ResultError([f"--commands: expected one run, found {found}"])
    first = loaded.scenario.seed if seed is None else seed
    log = []
    if commands is not None:
        log = read_log(commands, loaded.scenario, build_layout(loaded.scenario))
    _note(loaded)
    if is_many:
        from sim.studycli import run_many, words_of

        given = [scenario, *words_of({"set": set_, "policy": policy})]
        run_many(
            loaded, first, replications, out, precision=precision, kpi=kpi or (), workers=workers, json=json,
            given=given,
        )  # fmt: skip
    else:
        slice_ms = None if slice_min is None else max(1, round(slice_min * 60_000))
        _run_once(loaded, first, out, slice_ms, log, watch=watch, json=json)


def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO...", help="Scenario files, or names of scenarios.")
    ] = None,
    set_: SetOption = None,
    policy: PoliciesOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Prints the JSON Schema of scenario files.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Validates scenario files and allocation policies."""
    from sim.scenario import ScenarioError, build_layout, load, schema_text

    if schema:
        printing.write(schema_text())
        return
    rules = rules_of(policy or ())
    reports: list[dict[str, Any]] = []
    for file in files or ([] if rules else _missing("SCENARIO")):
        try:
            loaded = load(file, set_ or ())
        except ScenarioError as error:
            reports.append({"file": file, "ok": False, "errors": error.lines})
        else:
            racks, days = build_layout(loaded.scenario), loaded.scenario.time.days
            size = {"slots": racks.slots, "boxes": racks.boxes, "meters": racks.meters}
            reports.append({"file": file, "ok": True, "errors": [], "days": days, **size})
    checked = [_checked_rule(name) for name in rules]
    if json:
        printing.write_json({"files": reports, **({"policies": checked} if rules else {})})
    else:
        for report in reports:
            if report["ok"]:
                counts = [f"{report[key]:,} {key}" for key in ("slots", "boxes", "meters")]
                printing.write(
                    f"{report['file']}: right: {', '.join(counts)}, {printing.count(report['days'], 'day')}\n"
                )
        for each in checked:
            _print_checked_rule(each)
    errors = [line for report in reports for line in report["errors"]]
    if errors:
        raise ScenarioError(errors)
    if not all(each["ok"] for each in checked):
        raise typer.Exit(1)


def show(
    scenario: ScenarioArgument,
    set_: SetOption = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only values that differ from the default.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Prints every value of a scenario and what set it."""
    from sim.scenario import Scenario, field_facts, leaves, load, scenario_id
    from sim.words import dotted

    loaded = load(scenario, set_ or ())
    defaults = dict(leaves(Scenario()))
    rows = []
    for path, value in leaves(loaded.scenario):
        if changed and path in defaults and value == defaults[path]:
            continue
        facts, name = field_facts(path), dotted(path)
        texts = {key: facts.get(key, "") for key in ("unit", "origin", "description")}
        is_live = bool(facts.get("live", False))
        rows.append({"path": name, "value": value, **texts, "live": is_live, "from": loaded.origins[name]})
    if json:
        about = {"scenario": loaded.scenario.name, "scenario_id": scenario_id(loaded.scenario)}
        printing.write_json({**about, "question": loaded.scenario.question, "values": rows})
        return
    table = printing.table("<", "value", "unit", "origin", "set by", first=loaded.scenario.name)
    for row in rows:
        if row["path"] in ("name", "question"):
            continue
        style, value = None if row["from"] == "default" else "bold", printing.value_text(row["value"])
        table.add_row(row["path"], value, row["unit"], row["origin"], Path(row["from"]).name, style=style)
    console = printing.console()
    printing.print_question(console, loaded)
    console.print(table)


def layout(scenario: ScenarioArgument, set_: SetOption = None, json: JsonOption = False) -> None:
    """Draws the racks and says what they hold."""
    from sim.drawing import draw
    from sim.layout import layout_summary
    from sim.scenario import build_layout, load

    racks = build_layout(load(scenario, set_ or ()).scenario)
    if json:
        printing.write_json(layout_summary(racks))
    else:
        console = printing.console()
        console.print(draw(racks, width=console.width), soft_wrap=True)


def list_(
    what: Annotated[
        str | None, typer.Argument(metavar="WHAT", help="What to list; without it, what there is.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Lists what can be chosen, one sentence each."""
    from sim.scenario import ScenarioError
    from sim.words import near, one_of, show

    if what is not None and what not in LISTS:
        raise ScenarioError([f"list: expected {one_of(list(LISTS))}, found {show(what)}{near(what, LISTS)}"])
    if what is None:
        rows = [{"name": name, "sentence": sentence} for name, (sentence, _) in LISTS.items()]
    else:
        rows = LISTS[what][1]()
    if json:
        printing.write_json({what or "lists": rows})
        return
    console = printing.console()
    extra = [key for key in ("unit", "better") if key in rows[0]]
    more = ["fallback"] if "fallback" in rows[0] and console.width >= _ROOM_FOR_WORDS else []
    heads = [text for name in (*more, "what it is") for text in ("<", name)]
    table = printing.table(*extra, *heads, first="name", title=what or "what can be listed")
    for row in rows:
        table.add_row(row["name"], *[row[key] for key in (*extra, *more)], row["sentence"])
    console.print(table)
    if what == "policies":
        knowing = [row["name"] for row in rows if "departures" in row["needs"]]
        console.print(
            f"\n{printing.all_of(knowing)} must know when boxes leave: in `meterhouse replay` only."
            " Rules of your own: --policy FILE.py:FUNCTION.", highlight=False,
        )  # fmt: skip


def replay(
    trace: Annotated[
        Path, typer.Argument(metavar="TRACE.csv", help="A recorded order trace, CSV or CSV.gz.")
    ],
    layout: Annotated[
        str, typer.Option("--layout", metavar="SCENARIO", help="The scenario whose racks and speeds count.")
    ],
    policy: PoliciesOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Every policy, side by side.")] = False,
    bound: Annotated[
        bool, typer.Option("--bound", help="Also the time that no assignment to slots goes below.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draws the policies side by side.")
    ] = None,
    robot: Annotated[
        bool, typer.Option("--robot", help="Drives the whole model, robots and people, by the trace.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --robot and one policy: writes a result folder."),
    ] = None,
    set_: SetOption = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of policies that draw; of the run with --robot.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Replays an order trace through policies or the whole model."""
    from sim.allocation import LIVE_POLICIES, POLICIES, rule_named
    from sim.replay import ladder
    from sim.replay import replay as replay_trace
    from sim.results import ResultError
    from sim.scenario import load

    every = LIVE_POLICIES if robot else POLICIES
    rules = list(dict.fromkeys([*(every if all_ else ()), *rules_of(policy or ())]))
    if not rules:
        raise ResultError(["replay: expected --policy POLICY or --all, found neither"])
    if robot:
        if bound or picture is not None:
            option = "--bound" if bound else "--picture"
            raise ResultError([f"{option}: expected a replay without --robot, found one with it"])
        _replay_whole(trace, load(layout, set_ or ()), rules, seed, out, json=json)
        return
    if out is not None:
        raise ResultError(["--out: expected a replay with --robot, found one without"])
    if picture is not None:
        _refuse_file("--picture", picture, (".svg", ".png"))
    loaded = load(layout, set_ or ())
    if len(rules) == 1 and not bound and picture is None:
        score = replay_trace(trace, loaded, rules[0], seed=seed)
        if json:
            printing.write_json(score)
        else:
            _print_score(score, f"{trace.name} on {layout}, {rules[0]}")
        return
    with printing.progress(trace.name) as advance:
        document = ladder(trace, loaded, rules, seed=seed, bound=bound, progress=advance)
    if picture is not None:
        from sim.charts import ladder as draw_ladder
        from sim.charts import write_picture

        write_picture(draw_ladder(document), picture)
    if json:
        printing.write_json(document)
        return
    console = printing.console()
    console.print(_ladder_table(document, f"{trace.name} on {layout}", console.width))
    if any("departures" in rule_named(row["policy"]).needs for row in document["policies"]):
        console.print("* knows when each unit leaves", highlight=False)
    console.print()
    console.print(printing.filled(_ladder_sentence(document), console), style="bold", highlight=False)
    if picture is not None:
        console.print(f"picture in {picture}", highlight=False, soft_wrap=True)


def import_(
    orders: Annotated[
        Path, typer.Argument(metavar="ORDERS", help="An order log: CSV with named columns, or JSON lists.")
    ],
    out: Annotated[Path, typer.Option(metavar="TRACE.csv", help="The trace to write, CSV or CSV.gz.")],
    initial: Annotated[
        Path | None, typer.Option(metavar="FILL.json", help="The stock before the first order, as JSON.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="The log's heading for a column; may be repeated."),
    ] = None,
    drop_unmatched: Annotated[
        bool, typer.Option("--drop-unmatched", help="Leaves departures out for which no unit is there.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Makes a trace to replay out of another system's order log."""
    from sim.orderlog import import_log

    columns = _pairs("--column", column or ())
    with printing.progress(orders.name) as advance:
        made = import_log(
            orders, out, initial=initial, columns=columns or None, drop_unmatched=drop_unmatched,
            progress=advance,
        )  # fmt: skip
    if json:
        printing.write_json({"trace": str(out), **made._asdict()})
        return
    console = printing.console()
    table = printing.table(">", "", first=f"{orders.name} as {out.name}")
    dropped = [("departures left out", made.dropped)] if made.dropped else []
    for name, number in (
        ("rows", made.rows), ("units", made.units), ("SKUs", made.skus), ("initial stock", made.initial),
        ("arrivals", made.arrivals), ("departures", made.departures), *dropped,
        ("most units at once", made.peak), ("units at the end", made.final),
    ):  # fmt: skip
        table.add_row(name, f"{number:,}")
    table.add_row("time covered", printing.duration(made.last_time_s))
    console.print(table)


def validate(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this check; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random checks.")] = 1,
    json: JsonOption = False,
) -> None:
    """Holds the model against theory."""
    from sim.results import ResultError
    from sim.validation import CHECKS, run_checks
    from sim.words import near, one_of, show

    unknown = [name for name in only or () if name not in CHECKS]
    if unknown:
        wanted = one_of(list(CHECKS))
        raise ResultError([f"--only: expected {wanted}, found {show(n)}{near(n, CHECKS)}" for n in unknown])
    with printing.progress("checking") as advance:
        checks = run_checks(only or None, seed, advance)
    rows: list[dict[str, Any]] = [
        {
            "name": c.name,
            "expected": c.expected,
            "found": c.found,
            "low": c.low,
            "high": c.high,
            "ok": bool(c.ok),
            "unit": c.unit,
            "note": c.note,
        }
        for c in checks
    ]
    failed = sum(not row["ok"] for row in rows)
    if json:
        printing.write_json({"checks": rows})
    else:
        table = printing.table(
            ">", "expected", ">", "found", ">", "low", ">", "high", "verdict",
            first="check", title="the model against theory", wrap=True,
        )  # fmt: skip
        for row in rows:
            numbers = [f"{row[key]:.6g}" for key in ("expected", "found", "low", "high")]
            table.add_row(
                row["name"],
                *numbers,
                "ok" if row["ok"] else "FAILED",
                style=None if row["ok"] else "bold red",
            )
        console = printing.console()
        console.print(table)
        console.print()
        _print_verdict(console, [row["ok"] for row in rows])
    if failed:
        raise typer.Exit(1)


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The result folder of a run.")],
    stock: Annotated[
        Path, typer.Option("--stock", metavar="FILE", help="The stock list to write, CSV or XLSX.")
    ],
    at: Annotated[
        float | None,
        typer.Option("--at", metavar="T_SECONDS", help="Simulated seconds; the end of the run if not given."),
    ] = None,
    encoding: Annotated[str, typer.Option(help="utf-8, utf-8-sig or gb18030, for CSV.")] = "utf-8",
    chinese: Annotated[bool, typer.Option("--chinese", help="Writes Chinese headings and states.")] = False,
    assets: Annotated[bool, typer.Option("--assets", help="Adds the asset numbers of the meters.")] = False,
    truth: Annotated[
        bool, typer.Option("--truth", help="What truly is there, not what the records say; says so in it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Writes the stock of an instant, as recorded, as a stock list."""
    from sim.history import state_at
    from sim.results import ResultError, read_result
    from sim.stocklist import write_stock
    from sim.words import near, one_of, show

    encodings = ("utf-8", "utf-8-sig", "gb18030")
    if encoding not in encodings:
        wanted = f"{one_of(encodings)}, found {show(encoding)}{near(encoding, encodings)}"
        raise ResultError([f"--encoding: expected {wanted}"])
    result = read_result(folder)
    t_ms = _instant(at, result.end_ms)
    scenario = result.scenario
    state = state_at(result.trace, result.layout, t_ms)
    boxes = write_stock(
        stock, _as_true(state) if truth else state, result.layout,
        [sku.name for sku in scenario.skus], scenario.time.start,
        encoding=encoding, language="zh" if chinese else "en", assets=assets, names=result.names,  # type: ignore[arg-type]
    )  # fmt: skip
    if truth:
        _label_truth(stock, encoding)
    if json:
        printing.write_json({
            "file": str(stock), "boxes": boxes, "at_s": t_ms / 1000, "side": "truth" if truth else "records",
        })  # fmt: skip
    else:
        side = ", as it truly was," if truth else ""
        printing.write(
            f"{stock}: {printing.count(boxes, 'box', 'boxes')}{side} at {printing.clock(t_ms)} of the run\n"
        )


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="An asset number, box:5, slot:2-07-3, lot:4, robot:0, order:17, or a stock list's name.",
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The result folder of a run.")],
    at: Annotated[
        float | None,
        typer.Option("--at", metavar="T_SECONDS", help="Simulated seconds; the end of the run if not given."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000_000, metavar="N",
            help=f"Only the last N events; people see {_MOST_EVENTS} if not given.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also holds all facts of the run against their digest.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also tells of an interrupted run, from what it has left.")
    ] = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Tells where an asset is, and everything that happened to it."""
    from sim.tracking import as_json, is_astray, open_run, subject_of, track

    run = open_run(folder, verify=verify, partial=partial)
    at_ms = _instant(at, run.end_ms)
    last = limit if json or limit else _MOST_EVENTS
    story = track(run, subject_of(run, what), at_ms, last)
    if json:
        printing.write_json({
            "kind": story.subject.kind, "number": story.subject.number, "name": story.name,
            "at_s": at_ms / 1000, "sentence": story.sentence, "where": story.where, "earlier": story.earlier,
            "events": [as_json(run, event) for event in story.events], "verified": verify,
            "whole": run.is_whole,
        })  # fmt: skip
        return
    console = printing.console()
    if not run.is_whole:
        console.print(
            f"Not all: the run was interrupted, and what it has left ends at {run.when(run.end_ms)}.\n"
        )
    when = "" if at is None else f"{run.when(at_ms)}: "
    console.print(f"{when}{story.sentence}", style="bold", highlight=False)
    if story.events:
        console.print()
        console.print(_story_table(run, story))
    notes = [f"{printing.count(story.earlier, 'earlier event')} left out (--limit)"] * bool(story.earlier)
    notes += ["* not where it was recorded"] * any(map(is_astray, story.events))
    if notes:
        console.print("\n" + "\n".join(notes), highlight=False)


def why(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The result folder of a run.")],
    task: Annotated[int, typer.Argument(min=0, metavar="TASK", help="The number of a task.")],
    no_consequences: Annotated[
        bool, typer.Option("--no-consequences", help="Does not play what other choices would have changed.")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:FUNCTION", help="The rule of your own that the run followed."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Says why a task got its slot, its box and its robot."""
    from sim.commands import Entry
    from sim.ownrule import is_own
    from sim.results import ResultError, read_result
    from sim.why import explain_apart, loaded_of
    from sim.words import show

    if policy is not None and not is_own(policy):
        raise ResultError([f"--policy: expected FILE.py:FUNCTION, found {show(policy)}"])
    rules_of([] if policy is None else [policy])
    result = read_result(folder)
    with printing.progress(f"task {task}") as advance:
        told = explain_apart(
            loaded_of(folder, result.scenario), result.seed, [Entry(*given[:4]) for given in result.commands],
            task, consequences=not no_consequences, until_ms=result.end_ms, trace=result.trace,
            progress=advance,
        )  # fmt: skip
    if json:
        printing.write_json(told)
    else:
        _print_why(told)


def stock(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The result folder of a run.")],
    at: Annotated[
        float | None,
        typer.Option("--at", metavar="T_SECONDS", help="Simulated seconds; the end of the run if not given."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="WHAT", help="sku, lot or zone.")] = "sku",
    json: JsonOption = False,
) -> None:
    """Says what is in stock on record, what is old, short or full."""
    from sim.control import BY, stock_report
    from sim.results import ResultError, read_result
    from sim.words import near, one_of, show

    if by not in BY:
        raise ResultError([f"--by: expected {one_of(BY)}, found {show(by)}{near(by, BY)}"])
    result = read_result(folder)
    told = stock_report(
        result.trace, result.layout, result.scenario_at_end, t_ms=_instant(at, result.end_ms), by=by
    )
    if json:
        printing.write_json(_stock_document(told))
    else:
        _print_stock(told, result)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run or of a study.")],
    png: Annotated[bool, typer.Option("--png", help="Writes its pictures beside it.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Writes its figures beside it: of a study, one row a run and KPI.")
    ] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Writes the same as Parquet.")] = False,
    json: JsonOption = False,
) -> None:
    """Writes the report of a run, a comparison or a study again."""
    from sim.studyreport import report_folder

    path, more = report_folder(folder, png=png, csv=csv, parquet=parquet)
    if json:
        printing.write_json(
            {"report": str(path), **({"files": [str(each) for each in more]} if more else {})}
        )
    else:
        printing.write("".join(f"{each}\n" for each in (path, *more)))


def bench(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(metavar="WHAT", help="allocation; without it all benchmarks of a checkout."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small stores at one fill, in a fraction of the time.")
    ] = False,
    size: Annotated[
        list[int] | None, typer.Option(min=1, metavar="SLOTS", help="A store's size; may be repeated.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this policy; may be repeated.")
    ] = None,
    policy: PoliciesOption = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Keeps the results.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Kept results to compare with.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draws time per box over slots, SVG or PNG.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Times allocation policies, or runs all benchmarks."""
    from sim.results import ResultError
    from sim.words import near, show

    if what == "allocation":
        names = [*rules_of(rule or (), "--rule"), *rules_of(policy or ())]
        _bench_allocation(
            names, quick=quick, sizes=size, save=save, against=against, picture=picture, json=json
        )
        return
    if what is not None and not what.startswith("-"):
        raise ResultError([f"bench: expected 'allocation', found {show(what)}{near(what, ['allocation'])}"])
    given = {
        "--quick": quick, "--size": size, "--rule": rule, "--policy": policy,
        "--save": save, "--against": against, "--picture": picture, "--json": json,
    }  # fmt: skip
    if options := [name for name, value in given.items() if value]:
        raise ResultError([f"bench: expected 'allocation' before {printing.all_of(options)}, found nothing"])
    _bench_checkout([*([] if what is None else [what]), *context.args])


DataOption = Annotated[
    Path,
    typer.Option(
        "--data", metavar="DIR", envvar="METERHOUSE_DATA", help="The folder of a server: registry and runs."
    ),
]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="METERHOUSE_DATABASE",
        help="The registry: postgresql://...; SQLite in the data folder if not given.",
    ),
]
DEFAULT_DATA: Final = Path("meterhouse-data")
MOST_DAYS: Final = 36_500


def serve(
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="SCENARIO", help="What to run: a file or a name; only the API without it."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than the loopback needs API keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    data: DataOption = DEFAULT_DATA,
    database: DatabaseOption = "",
    set_: SetOption = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed instead of the scenario's own.")
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            metavar="X",
            help="Simulated seconds a second of a run that begins, or max for as fast as possible.",
        ),
    ] = "60",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begins anew, though an unfinished run of it is in the folder.")
    ] = False,
    require_key: Annotated[
        bool, typer.Option("--require-key", help="Needs API keys on the loopback, too.")
    ] = False,
    truth: Annotated[
        bool, typer.Option("--truth", help="Lets whoever needs no key look at the truth (view=truth).")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="A name of this server to others; may be repeated."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Batch runs at a time.")] = 2,
    readers: Annotated[int, typer.Option(min=1, max=16, help="Processes that answer about facts.")] = 1,
    live: Annotated[int, typer.Option(min=1, max=100, help="Live runs at a time.")] = 8,
    queue: Annotated[int, typer.Option(min=0, max=1_000_000, help="Batch runs that may wait.")] = 1000,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            help="Requests a second that a client may make, 0 for no limit; 200 beyond the loopback.",
        ),
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(min=0, max=1e7, metavar="S", help="Seconds that a run may compute; 0 for no limit."),
    ] = 3600.0,
    memory_limit: Annotated[
        int,
        typer.Option(min=0, max=1_000_000, metavar="MB", help="Memory that a run may take; 0 for no limit."),
    ] = 4096,
    keep_days: Annotated[
        float,
        typer.Option(min=0, max=MOST_DAYS, help="Age at which runs that are over are removed; 0 for never."),
    ] = 0.0,
    keep_gb: Annotated[
        float,
        typer.Option(
            min=0, max=1e6, help="Size of all results from which the oldest are removed; 0 for none."
        ),
    ] = 0.0,
    ssl_certfile: Annotated[Path | None, typer.Option(help="Certificate, to serve by TLS.")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Logs every request, not only those that change something.")
    ] = False,
) -> None:
    """Serves runs over HTTP, with live state and commands."""
    api = _api("serve")
    settings = api.Settings(
        data=str(data), database=database, host=host, port=port, names=tuple(name or ()),
        scenario=scenario or "", sets=tuple(set_ or ()), seed=seed, speed=_speed(speed), fresh=fresh,
        require_key=require_key, truth=truth, workers=workers, readers=readers, live=live, queue=queue,
        rate=(0.0 if api.is_loopback(host) else 200.0) if rate is None else rate,
        time_limit_s=time_limit, memory_limit_mb=memory_limit, keep_days=keep_days, keep_gb=keep_gb,
        log_requests=log_requests, pretty_logs=sys.stderr.isatty(),
    )  # fmt: skip
    api.serve(settings, certificate=ssl_certfile, key=ssl_keyfile)


key_app = typer.Typer(help="API keys of a server.", no_args_is_help=True)


@key_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what will use it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="runs:read, runs:write, truth:read or admin; may be repeated."),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, max=MOST_DAYS, help="Days until it expires; never if not given.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    database: DatabaseOption = "",
    json: JsonOption = False,
) -> None:
    """Makes a key and prints it, this once."""
    made = _api("serve").create_key(_registry(data, database), name, scope or ["runs:read"], days)
    if json:
        printing.write_json(made)
        return
    printing.write(f"{made['key']}\n")
    sys.stderr.write(
        f"Key {made['id']} for {name} may {', '.join(made['scopes'])}."
        " It is shown this once: only its hash is kept.\n"
    )


@key_app.command("list")
def list_keys(
    data: DataOption = DEFAULT_DATA, database: DatabaseOption = "", json: JsonOption = False
) -> None:
    """Lists keys, without what nobody but their owners knows."""
    keys = _api("serve").list_keys(_known_registry(data, database))
    if json:
        printing.write_json({"keys": keys})
        return
    table = printing.table("<", "name", "scopes", "state", "made", "expires", first="key")
    for each in keys:
        table.add_row(
            each["id"], each["name"], ", ".join(each["scopes"]), each["state"], each["created_at"][:10],
            (each["expires_at"] or "")[:10], style=None if each["state"] == "good" else "dim",
        )  # fmt: skip
    printing.console().print(table)


@key_app.command("revoke")
def revoke_key(
    key: Annotated[
        str, typer.Argument(metavar="ID", help="The key's id, as `meterhouse key list` shows it.")
    ],
    data: DataOption = DEFAULT_DATA,
    database: DatabaseOption = "",
    json: JsonOption = False,
) -> None:
    """Makes a key worthless, within seconds and for ever."""
    done = _api("serve").revoke_key(_known_registry(data, database), key)
    if json:
        printing.write_json(done)
    else:
        printing.write(f"key {done['id']} ({done['name']}) is revoked\n")


data_app = typer.Typer(help="The runs in a server's data folder.", no_args_is_help=True)


@data_app.command("list")
def list_data(
    data: DataOption = DEFAULT_DATA, database: DatabaseOption = "", json: JsonOption = False
) -> None:
    """Lists runs with their state, age and size."""
    told = _api("serve").list_data(_known_registry(data, database), data)
    if json:
        printing.write_json(told)
        return
    table = printing.table(
        "<", "name", "state", ">", "simulated", ">", "facts", ">", "size", "made", "",
        first="run", title=str(data),
    )  # fmt: skip
    for run in told["runs"]:
        marks = ", ".join(word for word in ("current", "keep") if run[word])
        table.add_row(
            run["run"], run["name"], run["state"], printing.duration(run["simulated_s"]), f"{run['facts']:,}",
            _bytes(run["bytes"]), run["created_at"][:10], marks,
        )  # fmt: skip
    console = printing.console()
    console.print(table)
    console.print(f"\n{printing.count(len(told['runs']), 'run')}, {_bytes(told['bytes'])}", highlight=False)
    if told["strays"]:
        strays = printing.count(len(told["strays"]), "folder")
        console.print(f"{strays} of no run: `meterhouse data clean` removes them")


@data_app.command("clean")
def clean_data(
    run: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Runs to be removed.")] = None,
    older_than: Annotated[
        float,
        typer.Option(min=0, max=MOST_DAYS, metavar="DAYS", help="Removes runs that ended so many days ago."),
    ] = 0.0,
    larger_than: Annotated[
        float,
        typer.Option(
            min=0, max=1e6, metavar="GB", help="Removes the oldest until all results are this small."
        ),
    ] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only says what would go.")] = False,
    data: DataOption = DEFAULT_DATA,
    database: DatabaseOption = "",
    json: JsonOption = False,
) -> None:
    """Removes runs that are over; never one that goes on, waits, is current or is to be kept."""
    done = _api("serve").clean_data(
        _known_registry(data, database), data, names=run or (), keep_days=older_than, keep_gb=larger_than,
        dry=dry_run,
    )  # fmt: skip
    if json:
        printing.write_json(done)
        return
    would = "would be " if done["dry"] else ""
    names = f": {', '.join(done['removed'])}" if done["removed"] else ""
    strays = f" and {printing.count(len(done['strays']), 'folder')} of no run" if done["strays"] else ""
    freed = f"{_bytes(done['bytes'])} {would}freed"
    printing.write(f"{printing.count(len(done['removed']), 'run')}{strays} {would}removed{names}; {freed}\n")


def _api(module: str) -> Any:
    """A module of the server, which the model knows by name only."""
    from importlib import import_module

    return import_module(f"api.{module}")


def _registry(data: Path, database: str) -> str:
    """Where the registry of a server is."""
    url: str = _api("serve").Settings(data=str(data), database=database).registry_url
    return url


def _known_registry(data: Path, database: str) -> str:
    """The same; raises ResultError when a folder has none, which would be made otherwise."""
    from sim.results import ResultError

    if not database and not (data / _api("registry").REGISTRY_FILE).is_file():
        raise ResultError([f"--data: expected the folder of a server, found no registry under {str(data)!r}"])
    return _registry(data, database)


def _speed(text: str) -> float:
    """A pace as the server has it: 0 for as fast as possible."""
    from sim.results import ResultError

    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0.001 <= speed <= 1_000_000:
        raise ResultError([f"--speed: expected a number from 0.001 to 1,000,000, or max, found {text!r}"])
    return speed


def _bytes(number: float) -> str:
    """A size in bytes, as short as it is useful."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"


@app.callback(invoke_without_command=True)
def _start(
    version: Annotated[
        bool, typer.Option("--version", help="Prints the version and stops.", is_eager=True)
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        printing.write(f"meterhouse {version_of('meterhouse')}\n")
        raise typer.Exit


# --- policies --------------------------------------------------------------------------------------------


def _checked_rule(name: str) -> dict[str, Any]:
    """What a rule keeps to, ready for JSON."""
    from sim.allocation import rule_named
    from sim.ownrule import check_rule

    checks = check_rule(rule_named(name), name)
    is_right = all(check.ok for check in checks)
    return {"policy": name, "ok": is_right, "checks": [check._asdict() for check in checks]}


def _print_checked_rule(checked: dict[str, Any]) -> None:
    table = printing.table("verdict", "<", "finding", first="check", title=checked["policy"])
    for check in checked["checks"]:
        style = None if check["ok"] else "bold red"
        table.add_row(check["check"], "ok" if check["ok"] else "FAILED", check["finding"], style=style)
    console = printing.console()
    console.print(table)
    console.print()
    _print_verdict(console, [check["ok"] for check in checked["checks"]])


def _print_verdict(console: "Console", verdicts: Sequence[bool]) -> None:
    failed = verdicts.count(False)
    verdict = f"{printing.count(failed, 'check')} of {len(verdicts)} failed" if failed else ""
    style = "bold red" if failed else "bold"
    console.print(verdict or f"all {len(verdicts)} checks hold", style=style, highlight=False)


def _replay_whole(
    trace: Path, loaded: "Loaded", rules: Sequence[str], seed: int, out: Path | None, *, json: bool
) -> None:
    """Drive the whole model by a trace, once a policy."""
    import shutil
    from tempfile import TemporaryDirectory

    from sim.kpis import RunFacts, limits
    from sim.replay import STOCK_FILE, robot_run
    from sim.results import ResultError, refuse_folder, summary, write_result

    if out is not None:
        if len(rules) > 1:
            raise ResultError([f"--out: expected one policy, found {len(rules)}"])
        refuse_folder(out)
    rows: list[dict[str, Any]] = []
    with printing.progress(trace.name) as advance, TemporaryDirectory() as folder:
        for number, rule in enumerate(rules):

            def advance_one(done: float, number: int = number) -> None:
                advance((number + done) / len(rules))

            run = robot_run(trace, loaded, rule, Path(folder), seed=seed, progress=advance_one)
            kpis = run.result.kpis()
            about = summary(run.result, kpis, limits(RunFacts.of(run.result)))
            if out is not None:
                write_result(run.result, out, loaded=run.loaded, about=about)
                if run.loaded.scenario.initial.stock is not None:
                    shutil.copyfile(Path(folder) / STOCK_FILE, out / STOCK_FILE)
            given = {
                key: about[key] for key in ("scenario_id", "digest", "simulated_s", "facts", "kpis", "limits")
            }
            rows.append({
                "policy": rule, "demand_digest": run.result.trace.demand_digest(), "initial": run.initial,
                "deliveries": run.deliveries, "orders": run.orders, "open_orders": run.open_orders, **given,
            })  # fmt: skip
    if json:
        printing.write_json(
            {"trace": str(trace), "scenario": loaded.scenario.name, "seed": seed, "runs": rows}
        )
        return
    console, first = printing.console(), rows[0]
    title = f"{trace.name} through {loaded.scenario.name}: {printing.count(first['orders'], 'order')},"
    boxes = printing.count(first["initial"], "box", "boxes")
    title += f" {printing.count(first['deliveries'], 'truck')}, {boxes} at time 0"
    if len(rows) == 1:
        console.print(_kpi_table(first["kpis"], f"{title}, {first['policy']}", console.width))
        console.print()
        console.print(printing.filled(first["limits"], console), style="bold", highlight=False)
        console.print(f"\n{first['facts']:,} facts, digest {first['digest']}", soft_wrap=True)
    else:
        heads = [text for name in _WHOLE_KPIS.values() for text in (">", name)]
        table = printing.table(*heads, ">", "open orders", first="policy", title=title)
        for row in rows:
            cells = [
                printing.amount(row["kpis"][name]["value"], row["kpis"][name]["unit"]) for name in _WHOLE_KPIS
            ]
            table.add_row(row["policy"], *cells, f"{row['open_orders']:,}")
        console.print(table)
    if out is not None:
        console.print(f"results in {out}, report in {out / 'report.html'}", highlight=False, soft_wrap=True)


_WHOLE_KPIS: Final = {
    "order_cycle_time_working_s": "cycle time",
    "late_orders": "late orders",
    "put_away_time_s": "put-away",
    "robot_utilisation": "robot busy",
    "digs": "digs",
}
"""What `replay --robot` shows of each of several policies, and how it is headed; times in shift hours."""


def _print_score(score: dict[str, Any], title: str) -> None:
    table = printing.table(">", "", first=title)
    for name, unit, digits in (
        ("moves", "", 0), ("total_s", "s", 1), ("per_move_s", "s", 4),
        ("peak", "units", 0), ("final", "units", 0), ("mean_occupancy", "units", 2), ("digs", "", 0),
    ):  # fmt: skip
        if name in score:
            value = score[name]
            text = "none" if value is None else f"{value:,.{digits}f} {unit}"
            table.add_row(name.removesuffix("_s").replace("_", " "), text.strip())
    printing.console().print(table)


def _ladder_table(document: dict[str, Any], title: str, width: int) -> "Table":
    """One line a rule, the cheapest first, and the bound above them; a bar where there is room."""
    from sim.allocation import rule_named

    rows, moves, least_s = document["policies"], document["moves"], document["bound_total_s"]
    random_s = next((row["total_s"] for row in rows if row["policy"] == "random"), None)
    heads = ["total, s", "a move, s"]
    heads += ["regret", "last 2/3"] * (least_s is not None)
    heads += ["v. random"] * bool(random_s) + ["digs"] * any("digs" in row for row in rows)
    lines: list[tuple[list[str], float]] = []
    if least_s is not None:
        cells = {"total, s": f"{least_s:,.1f}", "a move, s": f"{least_s / moves:.4f}" if moves else ""}
        if random_s:
            cells["v. random"] = _share(least_s / random_s - 1)
        lines.append((["lower bound", *(cells.get(head, "") for head in heads)], least_s))
    for row in rows:
        mark = " *" if "departures" in rule_named(row["policy"]).needs else ""
        cells = {
            "total, s": f"{row['total_s']:,.1f}",
            "a move, s": f"{row['per_move_s']:.4f}" if moves else "",
            "regret": _share(row["regret"]),
            "last 2/3": _share(row["rest_regret"]),
            "v. random": _share(row["against_random"]),
            "digs": f"{row.get('digs', 0):,}",
        }
        lines.append(([f"{row['policy']}{mark}", *(cells[head] for head in heads)], row["total_s"]))
    taken = [
        max(map(len, column)) + 3 for column in zip(["", *heads], *(line for line, _ in lines), strict=True)
    ]
    room = min(24, width - sum(taken))
    longest_s = max(total_s for _, total_s in lines) or 1.0
    about = f"{title}: {moves:,} moves, at most {printing.count(document['peak'], 'unit')}"
    table = printing.table(
        *(text for head in heads for text in (">", head)), *[""] * (room >= _LEAST_BAR),
        first="policy", title=about,
    )  # fmt: skip
    for number, (line, total_s) in enumerate(lines):
        bar = [_bar(room * total_s / longest_s)] * (room >= _LEAST_BAR)
        table.add_row(*line, *bar, style="bold" if least_s is not None and not number else None)
    return table


def _ladder_sentence(document: dict[str, Any]) -> str:
    """Which rule that a store can follow is best, and how far it stays from what no rule goes below."""
    from sim.allocation import rule_named

    rows = document["policies"]
    live = [row for row in rows if "departures" not in rule_named(row["policy"]).needs]
    if not live:
        return "No store can follow these policies: it does not know when boxes leave."
    best = min(live, key=lambda row: row["total_s"])
    also = [row["policy"] for row in live if row["total_s"] == best["total_s"] and row is not best]
    words = best["policy"]
    if len(live) > 1:
        words += " is best of the policies that a store can follow"
        words += (
            f", with {printing.all_of(also) if len(also) < 3 else f'{len(also)} others'} as good"
            if also
            else ""
        )
    if best["regret"] is not None:
        words += f"{':' if len(live) > 1 else ' is'} {_share(best['regret'])} above the lower bound"
        later = min(live, key=lambda row: row["rest_total_s"])
        words += "; on the last two thirds of the trace "
        if later["rest_total_s"] < best["rest_total_s"]:
            words += f"it is {later['policy']}, "
        words += _share(later["rest_regret"])
    if "digs" in best:
        least = min(live, key=lambda row: row["digs"])
        digs = f"{least['policy']} digs least, {printing.count(least['digs'], 'time')}"
        words += f". Digging is left out of these times: {digs}" if len(live) > 1 else ""
    return f"{words}."


_LEAST_BAR: Final = 6
_EIGHTHS: Final = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589"


def _bar(columns: float) -> str:
    """A bar of so many columns, to an eighth of one."""
    whole, part = divmod(round(8 * columns), 8)
    return f"{chr(0x2588) * whole}{_EIGHTHS[part]}".rstrip()


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}".replace("%", "\u00a0%")


# --- files -----------------------------------------------------------------------------------------------


def _refuse_file(option: str, path: Path, endings: Sequence[str]) -> None:
    """Raise ResultError, before anything takes time, when a file cannot be written under this name."""
    from sim.results import ResultError
    from sim.words import one_of, show

    if path.suffix.lower() not in endings:
        raise ResultError([f"{option}: expected a name in {one_of(endings)}, found {show(str(path))}"])
    if path.is_dir():
        raise ResultError([f"{option}: expected a file, found the folder {show(str(path))}"])
    if not path.parent.is_dir():
        raise ResultError([f"{option}: expected a file in a folder that is there, found {show(str(path))}"])


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Texts OURS=THEIRS as a dict; raises ResultError where one is not, or a name stands twice."""
    from sim.results import ResultError
    from sim.words import show

    pairs: dict[str, str] = {}
    lines = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            lines.append(f"{option}: expected OURS=THEIRS, found {show(text)}")
        elif name.strip() in pairs:
            lines.append(f"{option}: expected each column once, found {show(name.strip())} again")
        pairs[name.strip()] = value.strip()
    if lines:
        raise ResultError(lines)
    return pairs


def _instant(at: float | None, end_ms: int) -> int:
    """The instant of --at in ms, the end of the run if not given; raises ResultError for one outside it."""
    at_ms = end_ms if at is None else round(at * 1000) if abs(at) < 1e15 else -1
    if not 0 <= at_ms <= end_ms:
        from sim.results import ResultError  # takes half a second

        raise ResultError([f"--at: expected seconds from 0 to {end_ms / 1000:,.0f}, found {at:g}"])
    return at_ms


def _as_true(state: "StoreState") -> "StoreState":
    """A state whose records are the truth."""
    from dataclasses import replace

    return replace(
        state, recorded_place=state.place, recorded_column=state.column, recorded_tier=state.tier,
        recorded_mask=state.mask,
    )  # fmt: skip


def _label_truth(path: Path, encoding: str) -> None:
    """Say in the headings of a written list that its places are true ones: no run takes it for records."""
    if path.suffix.lower() == ".csv":
        box, slot, rest = path.read_text(encoding=encoding).split(",", 2)
        path.write_text(f"{box},{slot} (truth),{rest}", encoding=encoding, newline="")
        return
    from openpyxl import load_workbook

    book = load_workbook(path)
    sheet = book.worksheets[0]
    heading = sheet["B1"]
    heading.value = f"{heading.value} (truth)"
    book.save(path)


# --- stock -----------------------------------------------------------------------------------------------

_STOCK_COLUMNS: Final = (
    "boxes", "on_hand", "qualified", "reserved", "held", "overdue", "returned", "safety", "usable",
    "on_order",
)  # fmt: skip
_OFTEN_NONE: Final = ("reserved", "held", "overdue", "returned", "on_order")
_WORKED_OUT: Final = ("boxes", "on_hand", "safety")
"""Columns that a narrow terminal does without, in this order: others say as much."""

_MOST_LISTED: Final = 10
"""How many old boxes, and how many boxes of a recall, people are shown."""


def _stock_document(told: dict[str, Any]) -> dict[str, Any]:
    """A report of the stock with times in seconds, those that do not apply null."""

    def in_s(values: dict[str, Any]) -> dict[str, Any]:
        return {
            f"{name.removesuffix('_ms')}_s" if name.endswith("_ms") else name: (
                value if not name.endswith("_ms") else None if value < 0 else value / 1000
            )
            for name, value in values.items()
        }

    recalls = [in_s(recall) for recall in told["recalls"]]
    return {"at_s": told["t_ms"] / 1000, **{k: v for k, v in told.items() if k != "t_ms"}, "recalls": recalls}


def _print_stock(told: dict[str, Any], result: "Result") -> None:
    from sim.tracking import Run

    run, console = Run.of(result), printing.console()
    wide = console.options.update(width=1000)
    for fewer in range(len(_WORKED_OUT) + 1):
        table = _stock_table(told, run, _WORKED_OUT[:fewer])
        if console.measure(table, options=wide).maximum <= console.width:
            break
    console.print(table)
    if told["alerts"]:
        console.print()
    for alert in told["alerts"]:
        console.print(f"{alert['level']:<6}  {alert['text']}", style=alert["level"])
    if told["old"]:
        console.print()
        console.print(_old_table(told["old"], run))
        more = len(told["old"]) - _MOST_LISTED
        if more > 0:
            console.print(f"and {more:,} more")
    if told["recalls"]:
        console.print()
    for recall in told["recalls"]:
        console.print(_recall_sentence(recall, run))


def _stock_table(told: dict[str, Any], run: "Run", fewer: Sequence[str]) -> "Table":
    """One line a SKU, lot or zone in meters, and their sums; columns in which nothing stands are left out."""
    from rich.text import Text

    lines, what = told["lines"], told["by"].replace("sku", "SKU")
    sums = {name: sum(line[name] for line in lines) for name in _STOCK_COLUMNS}
    left_out = {name for name in _OFTEN_NONE if not any(line[name] for line in lines)}
    left_out |= {*fewer} if what == "SKU" else {*fewer, "safety"}
    shown = [name for name in _STOCK_COLUMNS if name not in left_out]
    table = printing.table(
        *(text for name in shown for text in (">", name.replace("_", " "))),
        first=what, title=f"stock on record at {run.when(told['t_ms'])}, in meters",
    )  # fmt: skip
    table.collapse_padding = True

    def cells(line: Mapping[str, int]) -> list[Text]:
        touched = {"usable"} if line["usable"] < 0 else set()
        return [Text(f"{line[name]:,}", style="red" if name in touched else "") for name in shown]

    for line in lines:
        table.add_row(run.lot(int(line["key"])) if what == "lot" else line["key"], *cells(line))
    table.add_section()
    table.add_row("all", *cells(sums), style="bold")
    return table


def _old_table(old: Sequence[dict[str, Any]], run: "Run") -> "Table":
    table = printing.table(
        "place", "SKU", "lot", ">", "meters", ">", "verified", first="box", title="oldest boxes"
    )
    for box in old[:_MOST_LISTED]:
        table.add_row(
            run.box(box["box"]), box["place"], box["sku"], run.lot(box["lot"]), str(box["meters"]),
            f"{printing.count(box['age_days'], 'day')} ago", style="red" if box["is_red"] else None,
        )  # fmt: skip
    return table


def _recall_sentence(recall: dict[str, Any], run: "Run") -> str:
    """How a recall went, and which boxes are still to leave."""
    words = f"lot {run.lot(recall['lot'])}, recalled {run.moment(recall['recalled_ms'])}:"
    words += f" {recall['left']:,} of {printing.count(recall['boxes'], 'box', 'boxes')} left"
    words += (
        f", the last {printing.duration(recall['lasted_ms'] / 1000)} later"
        if recall["lasted_ms"] >= 0
        else ""
    )
    words += f", {printing.count(recall['digs'], 'dig')}" if recall["digs"] else ""
    missing = recall["missing"]
    for boxes, what in (
        ([box for box in recall["open"] if box not in missing], "still to leave"), (missing, "missing"),
    ):  # fmt: skip
        if boxes:
            names = [run.box(box) for box in boxes]
            more = [f"{len(names) - _MOST_LISTED:,} more"] * (len(names) > _MOST_LISTED)
            words += f"; {len(boxes):,} {what}: {'box' if len(boxes) == 1 else 'boxes'} "
            words += printing.all_of([*names[:_MOST_LISTED], *more])
    return words


# --- tracking --------------------------------------------------------------------------------------------


def _story_table(run: "Run", story: "Story") -> "Table":
    """One line an event, under its day: where the box truly was, with a mark where the records differed."""
    from datetime import date

    from sim.tracking import Event, is_astray

    is_of_one = story.subject.kind in ("meter", "box")
    boxes = [] if is_of_one else ["box"]
    table = printing.table("event", *boxes, "where", "by", "<", "what happened", first="time")

    def cells(event: Event, clock: str) -> list[str]:
        where = f"{event.place} {event.column + 1}.{event.tier + 1}" if event.column >= 0 else event.place
        where += " *" if is_astray(event) else ""
        box = [run.box(event.box) if event.box >= 0 else ""] if boxes else []
        return [clock, event.word, *box, where, event.by, event.text]

    today = ""
    for event in story.events:
        day, clock = run.day_and_clock(event.time_ms)
        if day != today:
            weekday = "" if day.startswith("day") else f"{date.fromisoformat(day):%A}"
            table.add_row(day, weekday, style="bold")
            today = day
        # What nobody knew then stands out.
        table.add_row(*cells(event, f"  {clock}"), style="red" if event.side == "truth" else None)
    return table


# --- reasons ---------------------------------------------------------------------------------------------


def _print_why(told: dict[str, Any]) -> None:
    """A task, then each of its decisions: a sentence, and tables of what it was chosen from."""
    console = printing.console()
    console.print(printing.filled(told["task"]["sentence"], console), highlight=False)
    for decision in told["decisions"]:
        console.print()
        console.print(printing.filled(decision["sentence"], console), style="bold", highlight=False)
        if "rule" in decision and decision["rule"]["sentence"]:
            rule = decision["rule"]
            console.print(printing.filled(f"{rule['name']}: {rule['sentence']}", console), highlight=False)
        tables = _robot_tables if decision["kind"] == "robot" else _choice_tables
        for table in tables(decision):
            console.print()
            console.print(table)
        if consequences := decision.get("consequences"):
            console.print()
            console.print(printing.filled(consequences["sentence"], console), highlight=False)
            if consequences["branches"]:
                console.print()
                console.print(_consequence_table(decision))
    console.print()
    console.print(printing.filled(told["verified"]["sentence"], console), highlight=False)


def _choice_tables(decision: dict[str, Any]) -> "Iterator[Table]":
    """What took slots or boxes, the best that were left, what other rules would have chosen."""
    what, many = ("slot", "slots") if decision["kind"] == "slot" else ("box", "boxes")
    counts = decision["constraints"]
    table = printing.table(">", many, first="what took them")
    for row in counts["removed"]:
        if row[many]:
            table.add_row(row["constraint"].replace("_", " "), f"{row[many]:,}")
    table.add_row("left", f"{counts['left']:,}", style="bold")
    yield table
    yield _slot_table(decision) if what == "slot" else _box_table(decision)
    if decision["others"]:
        table = printing.table(
            *["stack"] * _has_stacks(decision), ">", "port", "<", "rules", first=f"{what} named"
        )
        for row in decision["others"]:
            cells = [str(row.get("column"))] * _has_stacks(decision)
            port = "" if row["port_s"] is None else printing.duration(row["port_s"])
            style = "bold" if row["is_chosen"] else None
            table.add_row(row[what] or "none", *cells, port, ", ".join(row["rules"]), style=style)
        yield table


def _has_stacks(decision: dict[str, Any]) -> bool:
    """Whether rules differ in the stack of a slot: it is then told."""
    named = [row["slot"] for row in decision["others"]] if decision["kind"] == "slot" else []
    return len(set(named)) < len(named)


def _slot_table(decision: dict[str, Any]) -> "Table":
    measure = decision["rule"]["measure"]
    more = [] if measure is None else [">", measure["name"]]
    table = printing.table(
        ">", "from port", ">", "to port", ">", "boxes", ">", "places", "own lot", *more, first="best slots"
    )
    for row in decision["best"]:
        boxes = f"{row['boxes']:,}" + (f" + {row['kept']:,} coming" if row["kept"] else "")
        value = [] if measure is None else [printing.amount(row["measure"], measure["unit"])]
        own = "yes" if row["own_lot"] else ""
        ways = [printing.duration(row[key]) for key in ("port_s", "out_s")]
        table.add_row(row["slot"], *ways, boxes, f"{row['capacity']:,}", own, *value)
    return table


def _box_table(decision: dict[str, Any]) -> "Table":
    is_dug = any(row["blockers"] for row in decision["best"])
    table = printing.table(
        "verified", ">", "age", "place", ">", "to port", *[">", "boxes on it"] * is_dug, first="best boxes"
    )
    for row in decision["best"]:
        cells = [
            row["verified"],
            printing.count(row["age_days"], "day"),
            row["place"],
            printing.duration(row["port_s"]),
        ]
        table.add_row(row["box"], *cells, *[str(row["blockers"])] * is_dug)
    return table


def _robot_tables(decision: dict[str, Any]) -> "Iterator[Table]":
    """What each robot did, and with what each dispatch rule would have begun."""
    from sim.why import ACTIVITY_WORDS

    table = printing.table("at", "since", "doing", ">", "boxes", first="robot")
    for row in decision["robots"]:
        style = "bold" if row["is_chosen"] else None
        since = printing.clock(round(1000 * row["since_s"]))
        table.add_row(
            row["robot"], row["place"], since, ACTIVITY_WORDS[row["activity"]], str(row["boxes"]), style=style
        )
    yield table
    table = printing.table(">", "task", "<", "rules", first="first by rule")
    for row in decision["others"]:
        style = "bold" if row["is_chosen"] else None
        table.add_row(row["class"].replace("_", " "), str(row["task"]), ", ".join(row["rules"]), style=style)
    yield table


def _consequence_table(decision: dict[str, Any]) -> "Table":
    """What each other choice would have changed, below what the run has."""
    from sim.why import FIGURES

    told, what = decision["consequences"], decision["kind"]
    names = [name for name, value in told["run"].items() if value is not None]
    heads = [text for name in names for text in (">", printing.kpi_name(name))]
    table = printing.table(*heads, first="instead")
    chosen = decision["best"][0] if what == "slot" else decision["box"]
    table.add_row(
        chosen[what], *(_figure(told["run"][name], FIGURES[name].unit) for name in names), style="bold"
    )
    for row in told["branches"]:
        differences = row["differences"] or {}
        cells = [_figure(differences.get(name), FIGURES[name].unit, sign="+") for name in names]
        stack = f" stack {row['column']}" if what == "slot" and row["slot"] == chosen["slot"] else ""
        table.add_row(f"{row[what]}{stack}", *cells)
    return table


def _figure(value: float | None, unit: str, sign: str = "") -> str:
    """A figure, or (with a sign) by how much one is more or less; nothing for one that is the same."""
    if value is None or (sign and abs(value) < 0.05):
        return ""
    return f"{value:{sign},.1f} s" if unit == "s" else f"{value:{sign},.0f}"


# --- benchmarks ------------------------------------------------------------------------------------------


def _bench_checkout(options: Sequence[str]) -> NoReturn:
    import importlib.util
    import subprocess

    from sim.results import ResultError

    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks").is_dir() or importlib.util.find_spec("pytest_benchmark") is None:
        raise ResultError(
            ["bench: expected a checkout with its development packages, found none: use `make bench`"]
        )
    fixed = ["--benchmark-enable", "--benchmark-only", "--benchmark-group-by=group"]
    command = [sys.executable, "-m", "pytest", str(root / "benchmarks"), "-q", *fixed, *options]
    raise typer.Exit(subprocess.call(command, cwd=root))  # noqa: S603


def _bench_allocation(
    names: Sequence[str], *, quick: bool, sizes: Sequence[int] | None, save: Path | None,
    against: Path | None, picture: Path | None, json: bool,
) -> None:  # fmt: skip
    from sim import bench
    from sim.allocation import OWN_RULES

    # A rule of the user's own stands beside all of ours, unless some of these are named as well.
    chosen = names if any(name not in OWN_RULES for name in names) else None
    if save is not None:
        _refuse_file("--save", save, (".json",))
    if picture is not None:
        _refuse_file("--picture", picture, (".svg", ".png"))
    old = None if against is None else bench.read(against)
    with printing.progress("timing") as advance:
        results = bench.run_allocation(
            sizes or (bench.QUICK_SIZES if quick else bench.SIZES),
            bench.QUICK_FILLS if quick else bench.FILLS, chosen, advance, optimum=not quick,
        )  # fmt: skip
    made = {"results": save, "picture": picture}
    if save is not None:
        bench.save(results, save)
    if picture is not None:
        bench.draw(results, picture)
    ratios = bench.ratios(results)
    compared = None if old is None else bench.compare(results, old)
    if json:
        printing.write_json(
            {**results, "ratios": ratios, **({} if compared is None else {"compared": compared})}
        )
    else:
        _print_bench(results, ratios, compared)
        for what, path in made.items():
            if path is not None:
                printing.write(f"{what} in {path}\n")
    if compared is not None and not all(row["ok"] for row in compared):
        raise typer.Exit(1)


def _print_bench(
    results: dict[str, Any], ratios: list[dict[str, Any]], compared: list[dict[str, Any]] | None
) -> None:
    from sim import bench

    head, rows = bench.table(results)
    # A column a size of store: no reader of a file wants them cut.
    console = printing.console(sum(max(map(len, column)) + 3 for column in zip(head, *rows, strict=True)))
    table = printing.table(*(text for name in head[1:] for text in (">", name)), first=head[0])
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
    table = printing.table(">", "goal", ">", "found", "<", "in", "", first="ratio", wrap=True)
    measured = [ratio for ratio in ratios if ratio["found"] is not None]
    for ratio in measured:
        verdict = "ok" if ratio["ok"] else "short"
        table.add_row(ratio["name"], ratio["goal"], f"{ratio['found']:,.3g}", ratio["unit"], verdict)
    if measured:
        console.print(table)
    if len(measured) < len(ratios):
        more = printing.count(len(ratios) - len(measured), "ratio")
        console.print(f"\n{more} not measured: that takes all sizes and rules", highlight=False)
    if compared is not None:
        console.print()
        table = printing.table(
            ">", "before", ">", "now", ">", "ratio", "", first="case, in empty call pairs", wrap=True
        )
        for pair in compared:
            numbers = ["" if pair[key] is None else f"{pair[key]:.3g}" for key in ("old", "new", "ratio")]
            table.add_row(pair["case"], *numbers, pair["verdict"], style=None if pair["ok"] else "bold red")
        console.print(table)
    console.print(f"\n{bench.machine_line(results)}", highlight=False)


# --- run -------------------------------------------------------------------------------------------------


def _note(loaded: "Loaded") -> None:
    """Say on standard error which keys were set and change nothing."""
    from sim.unused import without_effect

    for line in without_effect(loaded):
        sys.stderr.write(f"note: {line}\n")


def _run_once(
    loaded: "Loaded", seed: int, out: Path | None, slice_ms: int | None, log: "Sequence[Entry]", *,
    watch: bool, json: bool,
) -> None:  # fmt: skip
    from sim.kpis import RunFacts, limits
    from sim.results import summary, write_result

    with printing.progress(loaded.scenario.name) as advance:
        result, facts = _simulate(loaded, seed, advance, slice_ms, out, log, watch=watch)
    kpis = result.kpis()
    about = summary(result, kpis, limits(RunFacts.of(result)))
    if out is not None:
        write_result(result, out, loaded=loaded, about=about, facts=facts)
    if json:
        printing.write_json(about, out)
        return
    console = printing.console()
    printing.print_question(console, loaded)
    console.print(_kpi_table(kpis, printing.title(loaded, f"seed {seed}"), console.width))
    split = _split_table(kpis)
    if split is not None:
        console.print()
        console.print(split)
    console.print()
    console.print(printing.filled(about["limits"], console), style="bold", highlight=False)
    if result.commands:
        console.print()
        _print_commands(console, result)
    console.print(f"\n{len(result.trace):,} facts, digest {result.digest}", highlight=False, soft_wrap=True)
    if out is not None:
        console.print(f"results in {out}, report in {out / 'report.html'}", highlight=False, soft_wrap=True)


def _print_commands(console: "Console", result: "Result") -> None:
    """Say how many commands were applied, and why the others were not."""
    from sim.words import printable

    refused = [given for given in result.commands if not given.applied]
    count = printing.count(len(result.commands) - len(refused), "command")
    console.print(f"{count} applied, {len(refused):,} rejected{':' if refused else ''}", highlight=False)
    for given in refused[:_MOST_LISTED]:
        reason = printable(given.reason)
        console.print(
            f"  {given.sequence} {given.type}, {printing.clock(given.t_ms)}: {reason}", soft_wrap=True
        )
    if len(refused) > _MOST_LISTED:
        console.print(f"  and {len(refused) - _MOST_LISTED:,} more")


def _simulate(
    loaded: "Loaded",
    seed: int,
    advance: Callable[[float], None],
    slice_ms: int | None,
    out: Path | None,
    log: "Sequence[Entry]" = (),
    *,
    watch: bool,
) -> "tuple[Result, FactsWriter | None]":
    """A run to its end, in slices, which change nothing; its facts go to the folder as they come."""
    from sim.calendar import DAY_MS
    from sim.commands import replay
    from sim.results import begin_result
    from sim.simulation import Simulation

    simulation = Simulation(loaded, seed=seed)
    facts = None if out is None else begin_result(simulation.trace, simulation.names(), out)
    step, given = slice_ms or DAY_MS, 0
    try:
        while simulation.now_ms < simulation.end_ms:
            until_ms = min(simulation.end_ms, (simulation.now_ms // step + 1) * step)
            due = bisect_right(log, until_ms, lo=given, key=lambda entry: entry.t_ms)
            replay(simulation, log[given:due], until_ms)
            given = due
            if watch:
                simulation.snapshot()
            if facts is not None:
                facts.write_ready()
            advance(simulation.now_ms / simulation.end_ms)
    except BaseException:  # also Ctrl-C: only a run that is killed leaves what it has written
        if out is not None:
            from sim.results import drop_result

            drop_result(out)
        raise
    return simulation.result(), facts


def _refuse_study(folder: Path) -> None:
    """A run replaces the folder of its like; that of a study holds the work of many runs."""
    from sim.results import ResultError
    from sim.studybook import BOOK_FILE

    if (folder / BOOK_FILE).exists():
        raise ResultError([f"{folder}: expected a new, empty or result folder, found that of a study"])


def _kpi_table(kpis: dict[str, dict[str, Any]], title: str, width: int) -> "Table":
    """One line a KPI: its value, for a distribution the middle and the 95th percentile, and its sentence."""
    from sim.kpis import GROUPS, KPIS

    words = ("<", "what it is") if width >= _ROOM_FOR_WORDS else ()
    table = printing.table(">", "value", ">", "p50", ">", "p95", *words, first="measure", title=title)
    for heading, names in GROUPS.items():
        shown = [name for name in names if name in kpis and not _is_split(kpis[name], name)]
        is_empty = not any(kpis[name]["value"] for name in shown)
        if shown:
            table.add_section()
            table.add_row(heading, "none" if is_empty else "", style="bold")
        if is_empty:
            continue
        for name in shown:
            row = kpis[name]
            texts = [
                printing.amount(row[key], row["unit"]) if key in row else ""
                for key in ("value", "p50", "p95")
            ]
            sentence = [KPIS[name].sentence] if words else []
            table.add_row(
                f"  {printing.kpi_name(name)}",
                *texts,
                *sentence,
                style="dim" if row["value"] is None else None,
            )
    return table


def _is_split(row: dict[str, Any], name: str) -> bool:
    """Whether a KPI is shown by its parts, in a table of its own; one without a value is not shown at all."""
    return row["unit"] == "s" and (bool(row.get("parts")) or name.endswith("time_by_cause_s"))


_ROOM_FOR_WORDS: Final = 140


def _split_table(kpis: dict[str, dict[str, Any]]) -> "Table | None":
    """Where times go: one column a KPI in seconds that has parts, one line a cause, in shares of its sum."""
    splits: dict[str, dict[str, float]] = {}
    for name, row in kpis.items():
        if not row.get("parts") or not _is_split(row, name):
            continue
        whole = printing.kpi_name(name).removesuffix("time by cause").strip() or "robot"
        for part, value in row["parts"].items():
            # Some are split once more, by class: then each class is a column.
            if isinstance(value, dict):
                causes = {cause: time for cause, time in value.items() if cause not in ("n", "total")}
                splits[f"{part.replace('_', ' ')} {whole}"] = causes
            else:
                splits.setdefault(whole, {})[part] = value
    totals = {name: sum(causes.values()) for name, causes in splits.items()}
    splits = {name: causes for name, causes in splits.items() if totals[name]}
    if not splits:
        return None
    headers = [text for name in splits for text in (">", name)]
    table = printing.table(*headers, first="where the time goes")
    table.add_row("mean", *[printing.duration(totals[name]) for name in splits], style="bold")
    for cause in dict.fromkeys(cause for causes in splits.values() for cause in causes):
        shares = [causes.get(cause, 0.0) / totals[name] for name, causes in splits.items()]
        if any(shares):
            table.add_row(
                cause.replace("_", " "),
                *[printing.amount(share, "share") if share else "" for share in shares],
            )
    return table


# --- lists -----------------------------------------------------------------------------------------------

Rows = list[dict[str, Any]]


def _functions(choices: dict[str, Any]) -> Rows:
    """The choices of a dict of functions, each with the first sentence of its docstring."""
    return [
        {"name": name, "sentence": _first_sentence(choice.__doc__ or "")} for name, choice in choices.items()
    ]


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _list_policies() -> Rows:
    from sim.allocation import ALIASES, POLICIES

    return [
        {
            "name": name,
            "sentence": _first_sentence(rule.choose.__doc__ or ""),
            "source": rule.source,
            "fallback": rule.fallback,
            "needs": sorted(rule.needs),
            "aliases": [alias for alias, meant in ALIASES.items() if meant == name],
        }
        for name, rule in POLICIES.items()
    ]


def _list_retrieval() -> Rows:
    from sim.retrieval import RETRIEVAL

    return _functions(RETRIEVAL)


def _list_dispatch() -> Rows:
    from sim.robots import DISPATCH

    return _functions(DISPATCH)


def _list_dwell() -> Rows:
    from sim.robots import DWELL

    return _functions(DWELL)


def _list_orders() -> Rows:
    from sim.orders import ORDER_TYPES

    return _functions(ORDER_TYPES)


def _list_kpis() -> Rows:
    from sim.kpis import KPIS

    def row(name: str, kpi: "Kpi") -> dict[str, str]:
        return {"name": name, "unit": kpi.unit, "better": kpi.better, "sentence": kpi.sentence}

    return [row(name, kpi) for name, kpi in KPIS.items()]


def _list_scenarios() -> Rows:
    from sim.scenario import load, scenario_files

    return [{"name": name, "sentence": load(name).scenario.question} for name in scenario_files()]


def _list_facts() -> Rows:
    from sim.facts import KINDS

    return [{"name": kind.name, "sentence": kind.sentence} for kind in KINDS.values()]


def _list_checks() -> Rows:
    from sim.validation import CHECKS

    return _functions(CHECKS)


def _sentences(choices: Mapping[str, Any]) -> Rows:
    """The choices of a dict, each with its own sentence."""
    return [{"name": name, "sentence": _first_sentence(choice.sentence)} for name, choice in choices.items()]


def _list_plans() -> Rows:
    from sim.counting import PLANS

    return _sentences(PLANS)


def _list_count_methods() -> Rows:
    from sim.counting import METHODS

    return _sentences(METHODS)


def _list_errors() -> Rows:
    from sim.facts import ERRORS
    from sim.tracking import ERROR_SENTENCES

    return [{"name": name, "sentence": ERROR_SENTENCES[name]} for name in ERRORS]


def _list_faults() -> Rows:
    from sim.facts import FAULTS
    from sim.tracking import FAULT_SENTENCES

    return [{"name": name, "sentence": FAULT_SENTENCES[name]} for name in FAULTS]


def _list_profiles() -> Rows:
    from sim.layout import PROFILES

    named = [{"name": name, "sentence": rule.sentence} for name, rule in PROFILES.items()]
    return [
        *named,
        {"name": "uniform", "sentence": "any grid: layout.boxes_per_slot, except where layout.capacity says"},
    ]


def _list_commands() -> Rows:
    from sim.commands import COMMANDS

    return _sentences(COMMANDS)


def _list_horizons() -> Rows:
    from sim.figures import HORIZONS

    return [{"name": name, "sentence": sentence} for name, sentence in HORIZONS.items()]


def _list_engines() -> Rows:
    from sim.engines import ENGINES

    return _functions(dict(ENGINES))


LISTS: Final[dict[str, tuple[str, Callable[[], Rows]]]] = {
    "policies": ("which slot takes a box (policy.allocation)", _list_policies),
    "retrieval": ("which boxes leave (policy.retrieval)", _list_retrieval),
    "dispatch": ("which work a free robot takes (policy.dispatch)", _list_dispatch),
    "dwell": ("where an idle robot waits (policy.dwell)", _list_dwell),
    "orders": ("how orders arise (demand.kind)", _list_orders),
    "plans": ("which slots are counted, and when (counting.plan)", _list_plans),
    "count-methods": ("how a slot is counted (counting.method)", _list_count_methods),
    "errors": ("how truth and records part (records.*)", _list_errors),
    "faults": ("what breaks (faults.*)", _list_faults),
    "commands": ("what a run may be told while it goes on", _list_commands),
    "profiles": ("how many boxes each slot holds (layout.profile)", _list_profiles),
    "scenarios": ("the scenarios that ship, with their questions", _list_scenarios),
    "kpis": ("what is measured", _list_kpis),
    "facts": ("what a run records", _list_facts),
    "checks": ("what `meterhouse validate` holds against theory", _list_checks),
    "horizons": ("what counts as one observation of many runs (--horizon)", _list_horizons),
    "engines": ("where many runs are made (--engine)", _list_engines),
}
"""What `meterhouse list` knows: a sentence, and the function that gives the rows."""


# --- all commands ----------------------------------------------------------------------------------------

COMMANDS: Final[dict[str, Callable[..., None] | typer.Typer | str]] = {
    "run": run,
    "check": check,
    "show": show,
    "layout": layout,
    "list": list_,
    "replay": replay,
    "import": import_,
    "fit": "sim.fitcommand:fit",
    "forecast": "sim.fitcommand:forecast",
    "validate": validate,
    "export": export,
    "trace": trace,
    "why": why,
    "stock": stock,
    "report": report,
    "bench": bench,
    "serve": serve,
    "compare": "sim.studycli:compare",
    "sweep": "sim.studycli:sweep",
    "select": "sim.studycli:select",
    "sensitivity": "sim.studycli:sensitivity",
    "study": "sim.studycommand:study",
    "key": key_app,
    "data": data_app,
}
"""What `meterhouse` can do, in the order of its help; by its place where another module has it."""

_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "bench": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""Commands that take what they do not know."""

# --- what went wrong -------------------------------------------------------------------------------------


def _lines_of(error: BaseException) -> list[str] | None:
    """The lines for people of an error that wrong input makes; None when the error is a bug of ours."""
    from sim.layout import LayoutError
    from sim.trace import FactsError

    if isinstance(error, LayoutError):
        return [f"{path}: {message}" for path, message in error.faults]
    lines = getattr(error, "lines", None) or getattr(error, "faults", None)
    if isinstance(lines, list):
        return [str(line) for line in lines]
    if isinstance(error, FactsError):
        return [str(error)]
    if isinstance(error, OSError) and error.filename is not None:
        reason = (error.strerror or "an error").lower()
        return [f"{error.filename}: expected a file or folder that can be used, found: {reason}"]
    return None


def _print_usage(error: Any) -> int:
    """One line for a command line that makes no sense, or the help when nothing was asked."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{error.format_message()}\n")
        return 0
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "meterhouse"
    message = " ".join(error.format_message().split())
    sys.stderr.write(f"{command}: {message} (`{command} --help` says more)\n")
    return int(getattr(error, "exit_code", 2))


def _missing(what: str) -> NoReturn:
    from sim.results import ResultError

    raise ResultError([f"check: expected at least one {what}, found none"])


def _close_quietly(stream: Any) -> None:
    """Let a reader that has gone away, such as `head`, be no error at the end of the program either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
