"""The commands of studies: many runs of one store or of several, with honest uncertainty.

They end as those of `sim.cli` do: 0 done; 1 a replication came to
nothing, a precision was not reached or nothing was selected; 2 the input was wrong; 130 stopped by Ctrl-C,
with what is finished kept.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sim import printing
from sim.options import JsonOption, ScenarioArgument, SetOption, set_policy, spread

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sim.experiment import Cell, CellResult, Comparison, Replications, Runs, Selection, Sensitivity, Sweep
    from sim.figures import Difference, Figure, Horizon
    from sim.scenario import Loaded
    from sim.studytable import Found

DEFAULT_KPI: Final = "order_cycle_time_s"
DEFAULT_REPLICATIONS: Final = 10
_MOST_FOR_PRECISION: Final = 1000
"""Replications that are made for a precision at most, if nothing else is said."""

VaryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--vary", metavar="A.B=V1,V2", help="Values of a scenario value; several times for a grid of all."
    ),
]
FactorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--factor", metavar="A.B=LOW..HIGH", help="A number that varies between two; may be repeated."
    ),
]
KpiOption = Annotated[
    str, typer.Option("--kpi", metavar="NAME", help="The KPI that decides; also NAME.p95 or a part of it.")
]
KpisOption = Annotated[
    list[str] | None,
    typer.Option("--kpi", metavar="NAME", help="A KPI to show, also NAME.p95 or a part; may be repeated."),
]
SeedOption = Annotated[
    int | None,
    typer.Option(min=0, max=2**62 - 1, help="Seed of the first run instead of the scenario's own."),
]


class HorizonName(StrEnum):
    """What counts as one observation."""

    terminating = "terminating"
    cyclic = "cyclic"
    steady = "steady"


class DesignName(StrEnum):
    """Where the cells of a sweep over ranges lie."""

    latin = "latin"
    sobol = "sobol"


class MethodName(StrEnum):
    """How the influence of factors is measured."""

    sobol = "sobol"
    morris = "morris"


HorizonOption = Annotated[
    HorizonName | None,
    typer.Option(
        help="What one observation is: a run, or its whole weeks; terminating below 8 weeks, else cyclic."
    ),
]
TlsOption = Annotated[
    Path | None, typer.Option(metavar="FILE.pem", help="With the other two, for a cluster at tls://...")
]


@dataclass(frozen=True)
class Place:
    """Where runs are made and kept."""

    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Processes; as many as there are cores, none for what is short."),
    ] = None
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="Where runs are made: local, or dask (a cluster).")
    ] = "local"
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A running dask cluster, tls://HOST:PORT.")
    ] = None
    tls_ca: TlsOption = None
    tls_cert: TlsOption = None
    tls_key: TlsOption = None
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Keeps finished runs in a PostgreSQL database, postgresql://..., for all studies.",
        ),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keeps finished runs and result.json; the same again runs only what is missing.",
        ),
    ] = None


@dataclass(frozen=True)
class Amount:
    """How many runs are made, and what of them is one observation."""

    replications: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Runs of each cell, with seeds counted up; 10 if not given."),
    ] = None
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Runs until the half-width of the interval of --kpi is at most this share of its mean.",
        ),
    ] = None
    horizon: HorizonOption = None
    seed: SeedOption = None

    @property
    def most(self) -> int:
        """How many replications are made, or made at most when a precision is wanted."""
        if self.replications is not None:
            return self.replications
        return DEFAULT_REPLICATIONS if self.precision is None else _MOST_FOR_PRECISION

    def words(self, seed: int) -> dict[str, Any]:
        """These options as a command has them that is to make the same runs again."""
        return {
            "replications": self.replications, "precision": self.precision, "horizon": self.horizon,
            "seed": seed,
        }  # fmt: skip


# --- commands --------------------------------------------------------------------------------------------


@spread
def compare(
    scenario: ScenarioArgument,
    vary: VaryOption = None,
    kpi: KpiOption = DEFAULT_KPI,
    set_: SetOption = None,
    *,
    amount: Amount,
    place: Place,
    json: JsonOption = False,
) -> None:
    """Compares configurations on the same random events."""
    from sim import experiment

    cells, base = _cells(scenario, set_ or (), vary or (), least=2)
    with opened_runs(base, place) as runs:
        found = experiment.compare(
            base, cells, amount.most, precision=amount.precision, kpi=kpi, seed=amount.seed,
            horizon=_horizon(amount.horizon), runs=runs,
        )  # fmt: skip
        document = _written(runs, found, base, ["compare", scenario], {
            "set": set_, "vary": vary, "kpi": kpi, **amount.words(found.seed),
        })  # fmt: skip
    if json:
        printing.write_json(document, place.out)
    else:
        _print_comparison(found, base, place.out)
    _end(found)


@spread
def sweep(
    scenario: ScenarioArgument,
    vary: VaryOption = None,
    factor: FactorOption = None,
    design: Annotated[
        DesignName | None, typer.Option(help="Where cells lie in the ranges of --factor; latin if not given.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Cells of the design; 16 if not given.")
    ] = None,
    kpi: KpisOption = None,
    set_: SetOption = None,
    *,
    amount: Amount,
    place: Place,
    json: JsonOption = False,
) -> None:
    """Runs a grid or a design of configurations, one row a cell."""
    from sim import experiment

    cells, base = _cells(scenario, set_ or (), vary or (), least=0 if factor else 1)
    name = "grid"
    if factor:
        chosen = design or DesignName.latin
        name = _DESIGNS[chosen]
        cells = _designed(base, cells, factor, name, points or _POINTS, _seed(base, amount.seed))
    elif design is not None or points is not None:
        _refuse(["--factor: expected a range with --design and --points, found none"])
    with opened_runs(base, place) as runs:
        found = experiment.sweep(
            base, cells, amount.most, precision=amount.precision, kpi=kpi or [DEFAULT_KPI],
            seed=amount.seed, horizon=_horizon(amount.horizon), design=name, runs=runs,
        )  # fmt: skip
        document = _written(runs, found, base, ["sweep", scenario], {
            "set": set_, "vary": vary, "factor": factor, "design": design, "points": points, "kpi": kpi,
            **amount.words(found.seed),
        })  # fmt: skip
    if json:
        printing.write_json(document, place.out)
    else:
        _print_sweep(found, base, kpi or _SWEPT, place.out)
    _end(found)


@spread
def select(
    scenario: ScenarioArgument,
    delta: Annotated[
        float, typer.Option(metavar="D", help="The smallest difference that matters, in the unit of --kpi.")
    ],
    vary: VaryOption = None,
    confidence: Annotated[
        float, typer.Option(metavar="P", help="Least probability that the one selected is right.")
    ] = 0.95,
    kpi: KpiOption = DEFAULT_KPI,
    most: Annotated[
        int, typer.Option(min=2, max=1_000_000, help="Runs of a cell after which nothing is selected.")
    ] = 1000,
    start: Annotated[
        int, typer.Option(min=2, max=10_000, help="Runs of each cell before the first is dropped.")
    ] = 10,
    horizon: HorizonOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    *,
    place: Place,
    json: JsonOption = False,
) -> None:
    """Selects the best configuration, with a promised probability."""
    from sim import experiment

    cells, base = _cells(scenario, set_ or (), vary or (), least=2)
    with opened_runs(base, place) as runs:
        found = experiment.select(
            base, cells, delta, confidence, kpi=kpi, most=most, start=start, seed=seed,
            horizon=_horizon(horizon), runs=runs,
        )  # fmt: skip
        document = _written(runs, found, base, ["select", scenario], {
            "set": set_, "vary": vary, "delta": delta, "confidence": confidence, "kpi": kpi, "most": most,
            "start": start, "horizon": horizon, "seed": found.seed,
        })  # fmt: skip
    if json:
        printing.write_json(document, place.out)
    else:
        _print_selection(found, base, place.out)
    if found.selected is None:
        raise typer.Exit(1)


@spread
def sensitivity(
    scenario: ScenarioArgument,
    factor: FactorOption = None,
    method: Annotated[
        MethodName, typer.Option(help="Sobol's indices, or Morris's effects, which need far fewer runs.")
    ] = MethodName.sobol,
    points: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000, help="Base points, a power of 2 (64); or Morris's trajectories (10)."
        ),
    ] = None,
    replications: Annotated[int, typer.Option(min=1, max=10_000, help="Runs of each cell.")] = 1,
    kpi: KpiOption = DEFAULT_KPI,
    horizon: HorizonOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    *,
    place: Place,
    json: JsonOption = False,
) -> None:
    """Says how much of a KPI is due to each of some factors."""
    from sim import experiment
    from sim.scenario import load

    base = load(scenario, set_ or ())
    factors = _factors(factor or ())
    with opened_runs(base, place) as runs:
        found = experiment.sensitivity(
            base, factors, method="morris" if method is MethodName.morris else "sobol", points=points,
            kpi=kpi, replications=replications, seed=seed, horizon=_horizon(horizon), runs=runs,
        )  # fmt: skip
        document = _written(runs, found, base, ["sensitivity", scenario], {
            "set": set_, "factor": factor, "method": method, "points": found.points, "kpi": kpi,
            "replications": replications, "horizon": horizon, "seed": found.seed,
        })  # fmt: skip
    if json:
        printing.write_json(document, place.out)
    else:
        _print_sensitivity(found, base, place.out)


def run_many(
    loaded: "Loaded", seed: int, replications: int, out: Path | None, *,
    precision: float | None = None, kpi: Sequence[str] = (), workers: int | None = None, json: bool = False,
    given: Sequence[str] = (),
) -> None:  # fmt: skip
    """The command `run` for more than one run: a fixed number, or as many as a precision needs.

    `given` are the words of the command that say what is run.
    """
    from sim import experiment

    most = replications
    if precision is not None and replications == 1:
        most = _MOST_FOR_PRECISION
    names = list(kpi) or [DEFAULT_KPI]
    place = Place(workers=workers, out=out)
    with opened_runs(loaded, place) as runs:
        found = experiment.replicate(
            loaded, most, precision=precision, kpi=names, seed=seed, horizon="terminating", runs=runs
        )
        document = _written(runs, found, loaded, ["run", *given], {
            "kpi": kpi, "replications": most, "precision": precision, "seed": seed,
        })  # fmt: skip
    if json:
        printing.write_json(document, out)
    else:
        _print_replications(found, loaded, list(kpi), out)
    _end(found)


# --- input -----------------------------------------------------------------------------------------------

_DESIGNS: Final = {DesignName.latin: "latin-hypercube", DesignName.sobol: "sobol"}
_POINTS: Final = 16
_SWEPT: Final = ("order_cycle_time_s", "late_orders", "robot_utilisation")


def _refuse(lines: Sequence[str]) -> None:
    from sim.experiment import StudyError

    if lines:
        raise StudyError(lines)


def _horizon(name: HorizonName | None) -> "Horizon | None":
    return None if name is None else name.value


def _seed(base: "Loaded", seed: int | None) -> int:
    return base.scenario.seed if seed is None else seed


def _cells(
    scenario: str, sets: Sequence[str], vary: Sequence[str], *, least: int
) -> "tuple[list[Cell], Loaded]":
    """The grid of all values of --vary, and the scenario without them."""
    from sim.experiment import MOST_CELLS, Cell, name_of
    from sim.scenario import ScenarioError, load, resolved

    lines: list[str] = []
    axes = [axis for text in vary if (axis := _axis(text, lines)) is not None]
    keys = [key for key, _ in axes]
    lines += [
        f"--vary: expected every value once, found {key!r} twice" for key in set(keys) if keys.count(key) > 1
    ]
    _refuse(lines)
    many = 1
    for _, values in axes:
        many *= len(values)
    if many > MOST_CELLS or (many if axes else 0) < least:
        expected = f"at most {MOST_CELLS:,}" if many > MOST_CELLS else f"at least {least}"
        _refuse(
            [f"--vary: expected {expected} {'cells' if least > 1 else 'cell'}, found {many if axes else 0:,}"]
        )
    base = load(scenario, sets)
    cells: list[Cell] = []
    mistakes: dict[str, None] = {}
    for row in product(*(values for _, values in axes)) if axes else ():
        texts = [f"{key}={text}" for key, text in zip(keys, row, strict=True)]
        try:
            loaded = load(scenario, [*sets, *texts])
        except ScenarioError as error:
            mistakes.update(dict.fromkeys(_as_varied(line, keys) for line in error.lines))
            continue
        whole = resolved(loaded.scenario)
        set_here = {key: _held(whole, key) for key in keys}
        cells.append(Cell(name_of(set_here), set_here, whole, loaded.files()))
    if mistakes:
        raise ScenarioError(list(mistakes))
    return cells, base


def _axis(text: str, lines: list[str]) -> tuple[str, list[str]] | None:
    """A dotted path and the texts of its values; None and a line when a text is no such thing."""
    from sim.ownrule import is_own
    from sim.words import show

    key, equals, rest = text.partition("=")
    key, values = key.strip(), _split(rest)
    if not equals or not key or not all(values):
        lines.append(f"--vary: expected a.b=value,value, found {show(text)}")
        return None
    doubles = [value for at, value in enumerate(values) if value in values[:at]]
    if doubles:
        lines.append(f"--vary: {key}: expected values that differ, found {show(doubles[0])} twice")
        return None
    if key == _RULE and any(map(is_own, values)):
        values = [_own(value) if is_own(value) else value for value in values]
    return key, values


_RULE: Final = "policy.allocation"


def _own(text: str) -> str:
    """A rule of the user's own, loaded, by the name that scenarios know it by."""
    return set_policy(text, "--vary").partition("=")[2]


def _split(text: str) -> list[str]:
    """The values between commas; those within brackets, braces or quotes part nothing."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and not depth:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts]


def _as_varied(line: str, keys: Sequence[str]) -> str:
    """A mistake in a value of --vary, which the loader knows as one of --set."""
    rest = line.removeprefix("--set: ")
    is_ours = rest != line and any(rest.startswith((f"{key}:", f"{key}.")) for key in keys)
    return f"--vary: {rest}" if is_ours else line


def _held(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def _factors(texts: Sequence[str]) -> dict[str, Any]:
    """The ranges of --factor by dotted path."""
    from sim.experiment import StudyError, factor_of
    from sim.words import show

    factors: dict[str, Any] = {}
    lines: list[str] = []
    for text in texts:
        key, _, rest = text.partition("=")
        key, (low, dots, high) = key.strip(), rest.partition("..")
        try:
            ends = float(low), float(high)
        except ValueError:
            lines.append(f"--factor: expected a.b=low..high, found {show(text)}")
            continue
        if not dots or not key or key in factors:
            lines.append(f"--factor: expected every value once as a.b=low..high, found {show(text)}")
            continue
        try:
            factors[key] = factor_of(key, *ends)
        except StudyError as error:
            lines += [f"--factor: {line}" for line in error.lines]
    if not texts:
        lines.append("--factor: expected a.b=low..high at least once, found none")
    _refuse(lines)
    return factors


def _designed(
    base: "Loaded", cells: "Sequence[Cell]", texts: Sequence[str], design: str, points: int, seed: int
) -> "list[Cell]":
    """The cells of a design over ranges, for each cell of the grid if there is one."""
    from sim.designs import DESIGNS
    from sim.experiment import Cell, cells_of, name_of
    from sim.scenario import Loaded, from_dict

    rows = DESIGNS[design](_factors(texts), points, seed)
    if not cells:
        return cells_of(base, rows)
    found = []
    for cell in cells:
        varied = Loaded(from_dict(cell.resolved), {}, base.base_dir, base.path, base.shown)
        for made in cells_of(varied, rows):
            sets = {**cell.sets, **made.sets}
            found.append(Cell(name_of(sets), sets, made.resolved, cell.files))
    return found


# --- running ---------------------------------------------------------------------------------------------


@contextmanager
def opened_runs(base: "Loaded", place: Place) -> "Iterator[Runs]":
    """Where replications come from and stay, with a bar on a terminal; Ctrl-C is answered in words."""
    from sim.engines import EngineError
    from sim.experiment import StudyError, open_runs
    from sim.studybook import StudybookError

    tls = {"ca": place.tls_ca, "cert": place.tls_cert, "key": place.tls_key}
    try:
        with _bar(base.scenario.name) as progress, open_runs(
            workers=place.workers, engine=place.engine, address=place.address, tls=tls,
            database=place.database, out=place.out, progress=progress,
        ) as runs:  # fmt: skip
            yield runs
    except KeyboardInterrupt:
        kept = place.database or (None if place.out is None else str(place.out))
        where = (
            "nothing is kept without --out DIR"
            if kept is None
            else f"what is finished is kept in {_masked(kept)}"
        )
        again = "" if kept is None else "; the same command goes on with the rest"
        sys.stderr.write(f"stopped: {where}{again}\n")
        raise
    except (EngineError, StudybookError) as error:
        raise StudyError(error.lines) from error


def _masked(place: str) -> str:
    """A place without the password that a URL may have."""
    head, at, tail = place.rpartition("@")
    return f"...@{tail}" if at and "://" in head else place


def _written(
    runs: "Runs", found: "Found", base: "Loaded", command: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The document; into the folder it is written with what it takes to run it again, and as a report."""
    if runs.folder is not None:
        from sim.studyreport import keep_study

        keep_study(found, runs.folder, base, command=[*command, *words_of(options)])
    return found.to_json()


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Options as a command line has them; those that are not given are left out."""
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list | tuple) else [] if value is None else [value]
        words += [word for each in values for word in (f"--{name}", f"{each}")]
    return words


def _end(found: "Comparison | Replications | Sweep") -> None:
    """End with 1 when a replication came to nothing, or the wish for precision was not met."""
    if found.broken or (found.precision is not None and not found.precision.reached):
        raise typer.Exit(1)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes how many runs are done of how many; it moves a bar, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("runs"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


# --- printing --------------------------------------------------------------------------------------------


def _print_replications(found: "Replications", base: "Loaded", kpis: Sequence[str], out: Path | None) -> None:
    from sim.kpis import KPIS

    made = found.cell.replications
    title = _title(base, [each.seed for each in made], "run")
    table = printing.table(
        ">", "mean", ">", "95 % from", ">", "to", ">", "runs", first="measure", title=title
    )
    for name in [*KPIS, *[kpi for kpi in kpis if kpi not in KPIS]]:
        row = found.cell.figures.get(name)
        if row is not None and row.n:
            texts = [printing.amount(value, row.unit) for value in (row.mean, row.low, row.high)]
            table.add_row(_name(name), *texts, str(row.n))
    console = printing.console()
    printing.print_question(console, base)
    console.print(table)
    _print_end(console, found, out)


def _print_comparison(found: "Comparison", base: "Loaded", out: Path | None) -> None:
    console = printing.console()
    printing.print_question(console, base)
    first, *others = found.cells
    numbers = [each.seed for each in first.replications]
    console.print(_cells_table(found.cells, [found.kpi], _title(base, numbers, "replication")))
    console.print()
    table, same, is_wide = (
        _differences_table(found) if len(others) <= _MOST_SIDE_BY_SIDE else _pairs_table(found)
    )
    console.print(table)
    console.print(printing.filled(_comparison_note(found, same, is_wide=is_wide), console), highlight=False)
    console.print()
    told = found.verdict.sentence
    console.print(printing.filled(_sentence(told, _name(found.kpi)), console), style="bold", highlight=False)
    _print_end(console, found, out)


_MOST_SIDE_BY_SIDE: Final = 3
"""Cells beside the first whose differences have room in one line."""


def _differences_table(found: "Comparison") -> "tuple[Table, list[str], bool]":
    """One line a measure: the first cell, each other less it; what is the same in all; if any is wide."""
    first, *others = found.cells
    short = {cell.name: _short(cell) for cell in found.cells}
    heads = [text for cell in others for text in (">", f"{short[cell.name]}, difference")]
    table = printing.table(">", short[first.name], *heads, ">", "width", first="measure", wrap=True)
    same: list[str] = []
    is_wide = False
    for name in first.figures:
        pairs = (found.difference(name, cell.name, first.name) for cell in others)
        rows = [row for row in pairs if row is not None]
        is_shown = "." not in name or name in (found.kpi, f"{found.kpi}.p95")
        if not is_shown or not any(row.n for row in rows):
            continue
        if all(row.same for row in rows):
            same.append(_name(name))
            continue
        factor, unit = _row_scale(first.figures[name], rows)
        texts = [_difference_text(row, factor) for row in rows]
        style = "bold" if name == found.kpi else None
        mean = _mean_text(first.figures[name], factor)
        label = _name(name) if unit in _name(name) else f"{_name(name)}, {unit}"
        table.add_row(label, mean, *texts, _width_text(rows), style=style)
        is_wide = is_wide or (_width(rows) or 0.0) > _WIDE
    return table, same, is_wide


def _pairs_table(found: "Comparison") -> "tuple[Table, list[str], bool]":
    """One line a cell: how the deciding measure differs from the first cell's; the rest as beside."""
    first, *others = found.cells
    pairs = {cell.name: found.difference(found.kpi, cell.name, first.name) for cell in others}
    rows = {name: row for name, row in pairs.items() if row is not None}
    factor, unit = _row_scale(first.figures[found.kpi], list(rows.values()))
    heading = f"{_name(found.kpi)}, {unit}, less {_short(first)}"
    table = printing.table(">", heading, ">", "width", first="configuration")
    for name, row in rows.items():
        table.add_row(name, _difference_text(row, factor), _width_text([row]))
    return table, [], (_width(list(rows.values())) or 0.0) > _WIDE


def _row_scale(figure: "Figure", rows: "Sequence[Difference]") -> tuple[float, str]:
    """What the numbers of a line are multiplied with, and the unit that they then share."""
    from sim.figures import scale

    numbers = [figure.mean, *[value for row in rows for value in (row.difference, row.low, row.high)]]
    return scale([value for value in numbers if value is not None], figure.unit)


def _difference_text(row: "Difference", factor: float) -> str:
    from sim.figures import bare_text

    if row.difference is None:
        return "none"
    return f"{bare_text(row.difference, row.low, row.high, factor)}{'' if row.differs or row.same else ' *'}"


def _width(rows: "Sequence[Difference]") -> float | None:
    """The widest interval of some differences, over that with other seeds."""
    return max((row.unpaired_ratio for row in rows if row.unpaired_ratio is not None), default=None)


def _width_text(rows: "Sequence[Difference]") -> str:
    width = _width(rows)
    return "" if width is None else f"{width:.0%}".replace("%", " %")


_WIDE: Final = 0.7
"""Above this the same seeds save less than half of the runs: what a width is worth goes by its square."""


def _short(cell: "CellResult") -> str:
    """A cell in a word: its value when it has only one."""
    return _set_text(next(iter(cell.sets.values()))) if len(cell.sets) == 1 else cell.name


_MOST_NAMED: Final = 4


def _comparison_note(found: "Comparison", same: Sequence[str], *, is_wide: bool) -> str:
    """What the table does not say: how sure it is, what the width means, what is the same in all cells."""
    pairs = len(found.cells) - 1
    level = f"{found.level * 100:.4g} %"
    words = f"Paired differences with {level} intervals"
    if pairs > 1:
        words += f" that hold for the {pairs} comparisons of a measure together"
    words += "; * may be chance; width: the widest of a line, over that with other seeds."
    if is_wide:
        words += f" Where it is above {_WIDE:.0%}, the same seeds save few runs:".replace("%", " %")
        words += " what varies there comes from what each cell chooses, not from what all share."
    if len(same) > _MOST_NAMED:
        words += f" {len(same)} other measures are the same in all cells."
    elif same:
        words += f" The same in all cells: {', '.join(same)}."
    if found.other_demand:
        others = ", ".join(found.other_demand)
        words += f" Demand is not that of {found.cells[0].name} in {others}: that differs, too."
    elif found.demand_digest is not None:
        words += f" Demand is the same in all cells, digest {found.demand_digest[:16]}."
    return words


def _print_sweep(found: "Sweep", base: "Loaded", kpis: Sequence[str], out: Path | None) -> None:
    console = printing.console()
    printing.print_question(console, base)
    numbers = [each.seed for each in found.cells[0].replications]
    console.print(_cells_table(found.cells, kpis, _title(base, numbers, "replication")))
    _print_end(console, found, out)


def _print_selection(found: "Selection", base: "Loaded", out: Path | None) -> None:
    console = printing.console()
    printing.print_question(console, base)
    table = printing.table(
        ">",
        _name(found.kpi),
        ">",
        "runs",
        "",
        first="configuration",
        title=_title(base, (), ""),
    )
    for cell in found.cells:
        dropped = found.left_after.get(cell.name)
        word = "selected" if cell.name == found.selected else "still in" if dropped is None else "dropped"
        is_best = cell.name == found.selected
        runs = f"{len(cell.replications):,}"
        table.add_row(
            cell.name, _span_text(cell.figures[found.kpi]), runs, word, style="bold" if is_best else None
        )
    console.print(table)
    console.print()
    console.print(printing.filled(_sentence(found.sentence), console), style="bold", highlight=False)
    _print_end(console, found, out)


def _print_sensitivity(found: "Sensitivity", base: "Loaded", out: Path | None) -> None:
    from sim.figures import span_text, title_of, unit_of

    console = printing.console()
    printing.print_question(console, base)
    runs = f"{found.cells:,} cells, {printing.count(found.replications, 'run')} each"
    is_sobol = found.method == "sobol"
    heads = ("alone", "with interactions") if is_sobol else ("over its range", "either way", "spread")
    title = f"{base.scenario.name}: what {title_of(found.kpi)} is due to, {runs}"
    table = printing.table(
        ">", "from", ">", "to", *[text for head in heads for text in (">", head)], first="factor", title=title
    )
    unit = unit_of(found.kpi)
    for row in found.factors:
        if is_sobol:
            texts = [span_text(**row[key], unit="share") for key in ("first", "total")]
        else:
            texts = [span_text(row["mean"], None, None, unit, is_difference=True)]
            texts += [span_text(**row["size"], unit=unit, is_difference=True)]
            texts += [span_text(row["spread"], None, None, unit, is_difference=True)]
        table.add_row(row["factor"], f"{row['low']:g}", f"{row['high']:g}", *texts)
    console.print(table)
    console.print()
    console.print(printing.filled(_sensitivity_sentence(found), console), style="bold", highlight=False)
    _print_end(console, found, out)


def _sensitivity_sentence(found: "Sensitivity") -> str:
    from sim.figures import span_text, title_of, unit_of

    first = found.factors[0]
    what = title_of(found.kpi)
    if found.method == "morris":
        size = span_text(**first["size"], unit=unit_of(found.kpi), is_difference=True)
        return f"{first['factor']} moves {what} most: by {size} over its range."
    if all(row["total"]["mean"] == 0 for row in found.factors):
        return f"Nothing moves {what}: it is the same in all cells."
    share = span_text(**first["total"], unit="share")
    return f"{first['factor']} explains most of {what}: {share} of its variance."


def _cells_table(cells: Sequence[Any], kpis: Sequence[str], title: str) -> "Table":
    """One line a cell: what sets it apart and its measures with their intervals."""
    keys = list(dict.fromkeys(key for cell in cells for key in cell.sets))
    last = [key.rpartition(".")[2] for key in keys]
    names = [word if last.count(word) == 1 else key for key, word in zip(keys, last, strict=True)]
    heads = [text for kpi in kpis for text in (">", _name(kpi))]
    table = printing.table(
        *names[1:], *heads, ">", "runs", first=names[0] if names else "configuration", title=title, wrap=True
    )
    for cell in cells:
        sets = [_set_text(cell.sets.get(key)) for key in keys] or [cell.name]
        texts = [_span_text(cell.figures[kpi]) if kpi in cell.figures else "none" for kpi in kpis]
        table.add_row(*sets, *texts, f"{len(cell.replications):,}")
    return table


def _set_text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printing.value_text(value)


def _span_text(figure: "Figure") -> str:
    from sim.figures import span_text

    if figure.mean is None:
        return "none"
    return span_text(figure.mean, figure.low, figure.high, figure.unit)


def _mean_text(figure: "Figure", factor: float) -> str:
    from sim.figures import bare_text

    if figure.mean is None:
        return "none"
    return bare_text(figure.mean, figure.low, figure.high, factor).partition(" (")[0]


def _name(measure: str) -> str:
    from sim.figures import title_of

    return title_of(measure).replace("95th percentile", "p95")


def _title(base: "Loaded", seeds: Sequence[int], what: str) -> str:
    more = f"{printing.count(len(seeds), what)}, seeds {seeds[0]} to {seeds[-1]}" if seeds else ""
    return printing.title(base, more).removesuffix(", ")


def _sentence(text: str, name: str = "not ") -> str:
    """A text as a sentence; what names a cell begins as that does."""
    text = text[:1].upper() + text[1:] if text.startswith(("not ", "no ", name)) else text
    return text if text.endswith(".") else f"{text}."


def _print_end(console: "Console", found: Any, out: Path | None) -> None:
    """What an observation is, precision, warnings, and where results are."""
    if found.horizon != "terminating":
        words = "figures are means of whole weeks after the warm-up, of percentiles those of runs"
        console.print(f"\nhorizon {found.horizon}: {words}", highlight=False)
    precision = getattr(found, "precision", None)
    if precision is not None:
        made = printing.count(precision.replications, "replication")
        word = "reached" if precision.reached else "not reached"
        widths = [width for width in precision.half_widths.values() if width is not None]
        half = f": half-width {max(widths) * 100:.2g} % of the mean" if widths else ""
        console.print(f"\nprecision {precision.wish * 100:.4g} % {word} with {made}{half}", highlight=False)
    for line in found.warnings:
        console.print()
        console.print(printing.filled(line, console), style="yellow", highlight=False)
    if out is not None:
        console.print(f"results in {out}", highlight=False, soft_wrap=True)
