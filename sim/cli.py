"""The command `meterhouse`: prints for people, or one JSON object with --json.

Exit codes: 0 done; 1 a check failed; 2 the input was wrong, with one line on standard error a mistake. What a
command needs is imported inside it, so that `meterhouse --help` stays quick.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sim.kpis import Kpi
    from sim.scenario import Loaded
    from sim.simulation import Result

app = typer.Typer(
    name="meterhouse",
    help="Simulates a robotic store for electricity meters.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ScenarioArgument = Annotated[
    str,
    typer.Argument(metavar="SCENARIO", help="A scenario file, or a name from `meterhouse list scenarios`."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Sets a scenario value; may be given several times."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Prints one JSON object.")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; wrong input ends in a line on standard error a mistake."""
    from typer.exceptions import TyperException

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
    return code if isinstance(code, int) else 0


# --- commands --------------------------------------------------------------------------------------------


@app.command()
def run(
    scenario: ScenarioArgument,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed instead of the scenario's own.")] = None,
    set_: SetOption = None,
    replications: Annotated[
        int, typer.Option(min=1, max=10_000, help="Runs, with seeds counted up from the first.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Writes a result folder: result.json, facts, report.html."),
    ] = None,
    slice_min: Annotated[
        float | None, typer.Option(metavar="N", help="Advances in slices of N simulated minutes.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Reads the state after every slice.")] = False,
    json: JsonOption = False,
) -> None:
    """Simulates a scenario and prints its KPIs."""
    from sim.results import ResultError, refuse_folder
    from sim.scenario import load

    loaded = load(scenario, set_ or ())
    if out is not None:
        refuse_folder(out)
    if slice_min is not None and not slice_min * 60_000 >= 1:
        raise ResultError([f"--slice-min: expected at least a millisecond, found {slice_min:g}"])
    if seed is not None and seed >= 2**63:
        raise ResultError([f"--seed: expected a whole number below {2**63:,}, found {seed}"])
    first = loaded.scenario.seed if seed is None else seed
    if replications > 1:
        _run_many(loaded, range(first, first + replications), out, json=json)
    else:
        slice_ms = None if slice_min is None else max(1, round(slice_min * 60_000))
        _run_once(loaded, first, out, slice_ms, watch=watch, json=json)


@app.command()
def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO...", help="Scenario files, or names of scenarios.")
    ] = None,
    set_: SetOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Prints the JSON Schema of scenario files.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Validates scenario files, all mistakes at once."""
    from sim.scenario import ScenarioError, build_layout, load, schema_text

    if schema:
        _write(schema_text())
        return
    reports: list[dict[str, Any]] = []
    for file in files or _missing("SCENARIO"):
        try:
            loaded = load(file, set_ or ())
        except ScenarioError as error:
            reports.append({"file": file, "ok": False, "errors": error.lines})
        else:
            racks, days = build_layout(loaded.scenario), loaded.scenario.time.days
            size = {"slots": racks.slots, "boxes": racks.boxes, "meters": racks.meters}
            reports.append({"file": file, "ok": True, "errors": [], "days": days, **size})
    if json:
        _write_json({"files": reports})
    else:
        for report in reports:
            if report["ok"]:
                counts = [f"{report[key]:,} {key}" for key in ("slots", "boxes", "meters")]
                _write(f"{report['file']}: right: {', '.join(counts)}, {_count(report['days'], 'day')}\n")
    errors = [line for report in reports for line in report["errors"]]
    if errors:
        raise ScenarioError(errors)


@app.command()
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
        rows.append({"path": name, "value": value, **texts, "from": loaded.origins[name]})
    if json:
        about = {"scenario": loaded.scenario.name, "scenario_id": scenario_id(loaded.scenario)}
        _write_json({**about, "question": loaded.scenario.question, "values": rows})
        return
    table = _table("<", "value", "unit", "origin", "set by", first=loaded.scenario.name)
    for row in rows:
        if row["path"] in ("name", "question"):
            continue
        style, value = None if row["from"] == "default" else "bold", _value_text(row["value"])
        table.add_row(row["path"], value, row["unit"], row["origin"], Path(row["from"]).name, style=style)
    console = _console()
    _print_question(console, loaded)
    console.print(table)


@app.command()
def layout(scenario: ScenarioArgument, set_: SetOption = None, json: JsonOption = False) -> None:
    """Draws the racks and says what they hold."""
    from sim.drawing import draw
    from sim.layout import layout_summary
    from sim.scenario import build_layout, load

    racks = build_layout(load(scenario, set_ or ()).scenario)
    if json:
        _write_json(layout_summary(racks))
    else:
        console = _console()
        console.print(draw(racks, width=console.width), soft_wrap=True)


@app.command(name="list")
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
        _write_json({what or "lists": rows})
        return
    extra = [key for key in ("unit", "better") if key in rows[0]]
    table = _table(*extra, "<", "what it is", first="name", title=what or "what can be listed")
    for row in rows:
        table.add_row(row["name"], *[row[key] for key in extra], row["sentence"])
    _console().print(table)


@app.command()
def replay(
    trace: Annotated[
        Path, typer.Argument(metavar="TRACE.csv", help="A recorded order trace, CSV or CSV.gz.")
    ],
    layout: Annotated[
        str, typer.Option("--layout", metavar="SCENARIO", help="The scenario whose racks and speeds count.")
    ],
    policy: Annotated[str, typer.Option("--policy", metavar="POLICY", help="An allocation policy.")],
    set_: SetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of policies that draw.")] = 0,
    json: JsonOption = False,
) -> None:
    """Replays a recorded order trace through a policy."""
    from sim.replay import replay as replay_trace
    from sim.scenario import load

    score = replay_trace(trace, load(layout, set_ or ()), policy, seed=seed)
    if json:
        _write_json(score)
        return
    table = _table(">", "", first=f"{trace.name} on {layout}, {policy}")
    for name, unit, digits in (
        ("moves", "", 0), ("total_s", "s", 1), ("per_move_s", "s", 4),
        ("peak", "units", 0), ("final", "units", 0), ("mean_occupancy", "units", 2),
    ):  # fmt: skip
        value = score[name]
        text = "none" if value is None else f"{value:,.{digits}f} {unit}"
        table.add_row(name.removesuffix("_s").replace("_", " "), text.strip())
    _console().print(table)


@app.command()
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
    with _progress("checking") as advance:
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
        _write_json({"checks": rows})
    else:
        table = _table(
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
        console = _console()
        console.print(table)
        console.print()
        verdict = (
            f"{_count(failed, 'check')} of {len(rows)} failed" if failed else f"all {len(rows)} checks hold"
        )
        console.print(verdict, style="bold red" if failed else "bold", highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
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
    json: JsonOption = False,
) -> None:
    """Writes the stock of an instant as a stock list."""
    from sim.history import state_at
    from sim.results import ResultError, read_result
    from sim.stocklist import write_stock
    from sim.words import near, one_of, show

    encodings = ("utf-8", "utf-8-sig", "gb18030")
    if encoding not in encodings:
        wanted = f"{one_of(encodings)}, found {show(encoding)}{near(encoding, encodings)}"
        raise ResultError([f"--encoding: expected {wanted}"])
    result = read_result(folder)
    t_ms = result.end_ms if at is None else round(at * 1000) if abs(at) < 1e15 else -1
    if not 0 <= t_ms <= result.end_ms:
        raise ResultError([f"--at: expected seconds from 0 to {result.end_ms / 1000:,.0f}, found {at:g}"])
    scenario = result.scenario
    boxes = write_stock(
        stock, state_at(result.trace, result.layout, t_ms), result.layout,
        [sku.name for sku in scenario.skus], scenario.time.start,
        encoding=encoding, language="zh" if chinese else "en", assets=assets, names=result.names,  # type: ignore[arg-type]
    )  # fmt: skip
    if json:
        _write_json({"file": str(stock), "boxes": boxes, "at_s": t_ms / 1000})
    else:
        _write(f"{stock}: {_count(boxes, 'box', 'boxes')} at {_clock(t_ms)} of the run\n")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The result folder of a run.")],
    json: JsonOption = False,
) -> None:
    """Writes the report of a result folder again."""
    from sim.report import write_report
    from sim.results import read_result

    path = folder / "report.html"
    write_report(read_result(folder), path)
    if json:
        _write_json({"report": str(path)})
    else:
        _write(f"{path}\n")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Runs the benchmarks of a checkout."""
    import importlib.util
    import subprocess

    from sim.results import ResultError

    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks").is_dir() or importlib.util.find_spec("pytest_benchmark") is None:
        raise ResultError(
            ["bench: expected a checkout with its development packages, found none: use `make bench`"]
        )
    options = ["--benchmark-enable", "--benchmark-only", "--benchmark-group-by=group", *context.args]
    command = [sys.executable, "-m", "pytest", str(root / "benchmarks"), "-q", *options]
    raise typer.Exit(subprocess.call(command, cwd=root))  # noqa: S603


@app.callback(invoke_without_command=True)
def _start(
    version: Annotated[
        bool, typer.Option("--version", help="Prints the version and stops.", is_eager=True)
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        _write(f"meterhouse {version_of('meterhouse')}\n")
        raise typer.Exit


# --- run -------------------------------------------------------------------------------------------------


def _run_once(
    loaded: "Loaded", seed: int, out: Path | None, slice_ms: int | None, *, watch: bool, json: bool
) -> None:
    from sim.kpis import RunFacts, limits
    from sim.results import summary, write_result

    with _progress(loaded.scenario.name) as advance:
        result = _simulate(loaded, seed, advance, slice_ms, watch=watch)
    kpis = result.kpis()
    about = summary(result, kpis, limits(RunFacts.of(result)))
    if out is not None:
        write_result(result, out, loaded=loaded, about=about)
    if json:
        _write_json({**about, **({"out": str(out)} if out else {})})
        return
    console = _console()
    _print_question(console, loaded)
    console.print(_kpi_table(kpis, _title(loaded, f"seed {seed}"), console.width))
    split = _split_table(kpis)
    if split is not None:
        console.print()
        console.print(split)
    console.print()
    console.print(about["limits"].replace(" %", "\u00a0%"), style="bold", highlight=False)
    console.print(f"\n{len(result.trace):,} facts, digest {result.digest}", highlight=False, soft_wrap=True)
    if out is not None:
        console.print(f"results in {out}, report in {out / 'report.html'}", highlight=False, soft_wrap=True)


def _simulate(
    loaded: "Loaded", seed: int, advance: Callable[[float], None], slice_ms: int | None, *, watch: bool
) -> "Result":
    """A run to its end, in slices, which change nothing."""
    from sim.calendar import DAY_MS
    from sim.simulation import Simulation

    simulation = Simulation(loaded, seed=seed)
    step = slice_ms or DAY_MS
    while simulation.now_ms < simulation.end_ms:
        simulation.advance(min(simulation.end_ms, (simulation.now_ms // step + 1) * step))
        if watch:
            simulation.snapshot()
        advance(simulation.now_ms / simulation.end_ms)
    return simulation.result()


def _run_many(loaded: "Loaded", seeds: range, out: Path | None, *, json: bool) -> None:
    from sim.kpis import KPIS
    from sim.results import write_document
    from sim.scenario import resolved, scenario_id
    from sim.statistics import t_interval

    runs: list[dict[str, Any]] = []
    with _progress(loaded.scenario.name) as advance:
        for index, seed in enumerate(seeds):

            def advance_one(done: float, index: int = index) -> None:
                advance((index + done) / len(seeds))

            result = _simulate(loaded, seed, advance_one, None, watch=False)
            values = {name: kpi["value"] for name, kpi in result.kpis().items()}
            runs.append({"seed": seed, "digest": result.digest, "kpis": values})
    kpis: dict[str, dict[str, Any]] = {}
    for name, kpi in KPIS.items():
        found = [run["kpis"][name] for run in runs if run["kpis"][name] is not None]
        interval = t_interval(found) if found else None
        bounds = (interval.low, interval.high) if interval and interval.n > 1 else (None, None)
        mean = interval.mean if interval else None
        kpis[name] = {"mean": mean, "low": bounds[0], "high": bounds[1], "n": len(found), "unit": kpi.unit}
    document = {
        "scenario": loaded.scenario.name,
        "scenario_id": scenario_id(loaded.scenario),
        "simulated_s": loaded.scenario.time.days * 86_400.0,
        "kpis": kpis,
        "runs": runs,
    }
    if out is not None:
        write_document({**document, "resolved": resolved(loaded.scenario)}, out)
    if json:
        _write_json({**document, **({"out": str(out)} if out else {})})
        return
    title = _title(loaded, f"{len(seeds)} runs, seeds {seeds[0]} to {seeds[-1]}")
    table = _table(">", "mean", ">", "95 % from", ">", "to", ">", "runs", first="measure", title=title)
    for name, row in kpis.items():
        if row["n"]:
            texts = [_amount(row[key], row["unit"]) for key in ("mean", "low", "high")]
            table.add_row(_kpi_name(name), *texts, str(row["n"]))
    console = _console()
    _print_question(console, loaded)
    console.print(table)
    if out is not None:
        console.print(f"results in {out}", highlight=False, soft_wrap=True)


def _title(loaded: "Loaded", more: str) -> str:
    time = loaded.scenario.time
    warmup = f", {_count(time.warmup_days, 'day')} of warm-up left out" if time.warmup_days else ""
    return f"{loaded.scenario.name}: {_count(time.days, 'day')} from {time.start}{warmup}, {more}"


def _kpi_table(kpis: dict[str, dict[str, Any]], title: str, width: int) -> "Table":
    """One line a KPI: its value, for a distribution the middle and the 95th percentile, and its sentence."""
    from sim.kpis import GROUPS, KPIS

    words = ("<", "what it is") if width >= _ROOM_FOR_WORDS else ()
    table = _table(">", "value", ">", "p50", ">", "p95", *words, first="measure", title=title)
    for heading, names in GROUPS.items():
        shown = [name for name in names if name in kpis and not _is_split(kpis[name])]
        if shown:
            table.add_section()
            table.add_row(heading, style="bold")
        for name in shown:
            row = kpis[name]
            texts = [_amount(row[key], row["unit"]) if key in row else "" for key in ("value", "p50", "p95")]
            sentence = [KPIS[name].sentence] if words else []
            table.add_row(
                f"  {_kpi_name(name)}", *texts, *sentence, style="dim" if row["value"] is None else None
            )
    return table


def _is_split(row: dict[str, Any]) -> bool:
    """Whether a KPI is shown by its parts, in a table of its own."""
    return row["unit"] == "s" and bool(row.get("parts"))


_ROOM_FOR_WORDS: Final = 140


def _split_table(kpis: dict[str, dict[str, Any]]) -> "Table | None":
    """Where times go: one column a KPI in seconds that has parts, one line a cause, in shares of its sum."""
    splits: dict[str, dict[str, float]] = {}
    for name, row in kpis.items():
        if not _is_split(row):
            continue
        whole = _kpi_name(name).removesuffix("time by cause").strip() or "robot"
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
    table = _table(*headers, first="where the time goes")
    table.add_row("mean", *[_duration(totals[name]) for name in splits], style="bold")
    for cause in dict.fromkeys(cause for causes in splits.values() for cause in causes):
        shares = [causes.get(cause, 0.0) / totals[name] for name, causes in splits.items()]
        if any(shares):
            table.add_row(
                cause.replace("_", " "), *[_amount(share, "share") if share else "" for share in shares]
            )
    return table


# --- lists -----------------------------------------------------------------------------------------------

Rows = list[dict[str, str]]


def _functions(choices: dict[str, Any]) -> Rows:
    """The choices of a dict of functions, each with the first sentence of its docstring."""
    return [
        {"name": name, "sentence": _first_sentence(choice.__doc__ or "")} for name, choice in choices.items()
    ]


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _list_policies() -> Rows:
    from sim.allocation import POLICIES

    return _functions(POLICIES)


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


def _list_profiles() -> Rows:
    from sim.layout import PROFILES

    named = [{"name": name, "sentence": rule.sentence} for name, rule in PROFILES.items()]
    return [
        *named,
        {"name": "uniform", "sentence": "any grid: layout.boxes_per_slot, except where layout.capacity says"},
    ]


LISTS: Final[dict[str, tuple[str, Callable[[], Rows]]]] = {
    "policies": ("which slot takes a box (policy.allocation)", _list_policies),
    "retrieval": ("which boxes leave (policy.retrieval)", _list_retrieval),
    "dispatch": ("which work a free robot takes (policy.dispatch)", _list_dispatch),
    "dwell": ("where an idle robot waits (policy.dwell)", _list_dwell),
    "orders": ("how orders arise (demand.kind)", _list_orders),
    "profiles": ("how many boxes each slot holds (layout.profile)", _list_profiles),
    "scenarios": ("the scenarios that ship, with their questions", _list_scenarios),
    "kpis": ("what is measured", _list_kpis),
    "facts": ("what a run records", _list_facts),
    "checks": ("what `meterhouse validate` holds against theory", _list_checks),
}
"""What `meterhouse list` knows: a sentence, and the function that gives the rows."""


# --- printing --------------------------------------------------------------------------------------------


def _console() -> "Console":
    """Standard output for people; as wide as the terminal, 100 columns elsewhere."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=100, highlight=False)


def _table(*columns: str, first: str, title: str = "", wrap: bool = False) -> "Table":
    """A quiet table; its first column stays on one line unless `wrap`.

    A column after the word ">" is aligned to the right, the one after "<" takes the room that is left.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title or None, title_justify="left", title_style="bold",
        box=SIMPLE_HEAD, pad_edge=False, show_edge=False, expand="<" in columns,
    )  # fmt: skip
    table.add_column(first, no_wrap=not wrap)
    mark = ""
    for name in columns:
        if name not in ("<", ">"):
            justify: Any = "right" if mark == ">" else "left"
            table.add_column(name, justify=justify, no_wrap=mark != "<", ratio=1 if mark == "<" else None)
        mark = name
    return table


def _print_question(console: "Console", loaded: "Loaded") -> None:
    if loaded.scenario.question:
        console.print(f"{loaded.scenario.question}\n", style="italic", highlight=False, markup=False)


def _kpi_name(name: str) -> str:
    for unit in ("_s", "_m"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _amount(value: float | None, unit: str) -> str:
    """A value with its unit, as short as it is useful."""
    if value is None:
        return "none"
    if unit == "share":
        return f"{value:.1%}".replace("%", " %")
    if unit == "s":
        return _duration(value)
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
    if number == "1" and unit.endswith("s"):
        unit = unit.removesuffix("s")
    elif "/" in unit and value == 0:
        unit = ""
    return f"{number} {unit}".rstrip()


def _duration(seconds: float) -> str:
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h"


def _clock(t_ms: int) -> str:
    days, rest = divmod(t_ms // 60_000, 1440)
    return f"day {days}, {rest // 60:02d}:{rest % 60:02d}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _value_text(value: Any) -> str:
    """A value as its scenario file would have it, near enough to read."""
    import json

    if isinstance(value, list):
        inner = [" to ".join(item) if isinstance(item, list) else _value_text(item) for item in value]
        return ", ".join(inner) or "none"
    if isinstance(value, dict):
        return " ".join(_value_text(inner) for inner in value.values())
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _write(text: str) -> None:
    sys.stdout.write(text)


def _write_json(document: dict[str, Any]) -> None:
    import json

    _write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _progress(title: str) -> Iterator[Callable[[float], None]]:
    """A function that takes the share done and moves a bar; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda done: bar.update(task, completed=done)


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
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
