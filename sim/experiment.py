"""Many runs of one store or of several: replications, comparisons, sweeps, selection and sensitivity.

A configuration is a `Cell`. Replication k has the same seed in every cell (common random numbers), so that
what differs between cells differs because of the cells. What runs show is worked out in `figures`; where they
run is the engine's matter, and what is done stays in the study book of `Runs`, so that the same call on the
same folder runs only what is missing. Results are plain data: `to_json()` for files, `table()` for notebooks.
"""

import html
import itertools
import json
import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sim.figures import (
    BEFORE_START,
    MOST_BEFORE_START,
    ON_ALLOCATION,
    WEEK_DAYS,
    Difference,
    Figure,
    Frame,
    Horizon,
    Replication,
    Values,
    Verdict,
    all_pairs,
    better_of,
    by_weeks,
    check_found,
    check_measures,
    default_horizon,
    differences,
    figures,
    frame_of,
    from_first,
    measures_of,
    span_text,
    title_of,
    unit_of,
    values_of,
    verdict,
)
from sim.jobs import Job, Outcome, make_jobs, run_job, seed_of
from sim.scenario import (
    Loaded,
    Scenario,
    ScenarioError,
    field_facts,
    from_dict,
    leaves,
    load,
    put_value,
    resolved,
    scenario_id,
)
from sim.statistics import Interval, Precision
from sim.warmup import advise, welch
from sim.words import dotted, near, one_of, printable, show

if TYPE_CHECKING:
    from sim.designs import Factor
    from sim.engines import Engine, Failed
    from sim.studybook import Studybook

DEFAULT_KPI: Final = "order_cycle_time_s"
DEFAULT_REPLICATIONS: Final = 10
MOST_REPLICATIONS: Final = 1000
"""As many are made for a precision or a selection at most, if nothing else is said."""

MOST_CELLS: Final = 100_000

RESULT_FILE: Final = "result.json"
BOOK_FILE: Final = "study.db"
"""As `sim.studybook` calls it."""

Progress = Callable[[int, int], None]
"""Told how many replications are done of how many."""


class StudyError(ValueError):
    """A study that makes no sense or has no place; `lines` has one line for each mistake."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        super().__init__("\n".join(self.lines))


# --- cells -----------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """One configuration: its name, what sets it apart, its resolved scenario and the files that it reads."""

    name: str
    sets: dict[str, Any]
    resolved: dict[str, Any]
    files: Mapping[str, Path] = MappingProxyType({})

    @property
    def days(self) -> int:
        """The length of its runs."""
        return int(self.resolved["time"]["days"])

    @property
    def warmup_days(self) -> int:
        """The first days that its KPIs leave out."""
        return int(self.resolved["time"]["warmup_days"])


def cell_of(base: Loaded | Scenario, sets: Mapping[str, Any] | None = None, name: str | None = None) -> Cell:
    """A scenario with some values set by dotted path; raises ScenarioError with every mistake in them."""
    scenario, files = (base, {}) if isinstance(base, Scenario) else (base.scenario, base.files())
    if not sets:
        return Cell(name or scenario.name, {}, resolved(scenario), files)
    values = resolved(scenario)
    lines = []
    for key, value in sets.items():
        if not put_value(values, key, value):
            lines.append(f"{key}: expected a value of the scenario, found {show(key)}")
    if lines:
        raise ScenarioError(lines)
    made = from_dict(values)
    return Cell(name or name_of(sets), dict(sets), resolved(made), files)


def name_of(sets: Mapping[str, Any]) -> str:
    """A name for a configuration: its value where that is one word, else its keys and values."""
    if len(sets) == 1 and isinstance(word := next(iter(sets.values())), str):
        return word
    return ", ".join(f"{key}={_shown(value)}" for key, value in sets.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def grid_cells(base: Loaded | Scenario, vary: Mapping[str, Sequence[Any]]) -> list[Cell]:
    """A cell for every combination of values; the key named last changes fastest.

    Raises ScenarioError with every mistake, one line each, and StudyError for nothing to vary.
    """
    many = math.prod(len(values) for values in vary.values())
    if not vary or not many:
        raise StudyError(["vary: expected a value at least, found none"])
    if many > MOST_CELLS:
        raise StudyError([f"vary: expected at most {MOST_CELLS:,} cells, found {many:,}"])
    rows = (dict(zip(vary, row, strict=True)) for row in itertools.product(*vary.values()))
    return cells_of(base, rows)


def cells_of(base: Loaded | Scenario, rows: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """A cell for every set of values; raises ScenarioError with every mistake in them, one line each."""
    cells: list[Cell] = []
    lines: dict[str, None] = {}
    for sets in rows:
        try:
            cells.append(cell_of(base, sets))
        except ScenarioError as error:
            lines.update(dict.fromkeys(error.lines))
    if lines:
        raise ScenarioError(list(lines))
    return cells


def factor_of(key: str, low: float, high: float) -> "Factor":
    """A scenario value that varies from low to high: whole numbers where it is one.

    Raises StudyError for a value that is not a number, or a range that is none.
    """
    from sim.designs import Range, Whole

    facts = field_facts(tuple(int(part) if part.isdigit() else part for part in key.split(".")))
    kinds = {facts.get("type"), *(each.get("type") for each in facts.get("anyOf", ()))}
    if not kinds & {"integer", "number"}:
        known = [dotted(leaf) for leaf, _ in leaves(Scenario())] if not facts else []
        raise StudyError(
            [f"{key}: expected a number of the scenario, found {_kind(facts)}{near(key, known)}"]
        )
    if not -math.inf < low < high < math.inf:
        raise StudyError([f"{key}: expected low..high with low below high, found {low:g}..{high:g}"])
    if "number" in kinds:
        return Range(low, high)
    if low != int(low) or high != int(high):
        raise StudyError([f"{key}: expected whole numbers, found {low:g}..{high:g}"])
    return Whole(int(low), int(high))


def _kind(facts: Mapping[str, Any]) -> str:
    if not facts:
        return "no such value"
    return "a choice" if "enum" in facts else f"a value of type {facts.get('type', 'table')}"


# --- where replications come from -------------------------------------------------------------------------


class Here:
    """An engine without processes: jobs run in this one, one after the other."""

    def run(
        self,
        jobs: Iterable[Job],
        *,
        workers: int,  # noqa: ARG002 - there is one
    ) -> "Generator[Outcome | Failed, None, None]":
        """Run jobs as every engine does; mistakes of the input, which have lines, are raised."""
        from sim.engines import Failed

        for job in jobs:
            try:
                yield run_job(job)
            except Exception as error:
                if lines := getattr(error, "lines", None):
                    raise StudyError([_from_here(line) for line in lines]) from error
                yield Failed(job.key, f"{type(error).__name__}: {error}", 1)


def _from_here(text: str) -> str:
    """A text that names files as they are seen from the folder that one works in."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")


class Runs:
    """Replications: those that are there, and an engine for those that are missing.

    Parameters
    ----------
    book : where finished replications are kept; in memory if none.
    engine : what runs jobs; this process if none.
    workers : processes; without it this process does what is short, and as many as there are cores the rest.
    progress : told how many replications are done of how many.
    folder : where `write` puts the result.
    is_shared : whether the book is for many studies: then it is no matter which one it was made for.
    """

    def __init__(
        self,
        book: "Studybook | None" = None,
        engine: "Engine | None" = None,
        workers: int | None = 1,
        progress: Progress | None = None,
        folder: Path | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self.book = book
        self.engine: Engine = engine or Here()
        self.workers = workers
        self.progress = progress
        self.folder = folder
        self.is_shared = is_shared
        self.kept = False
        """Whether any replication is finished, now or before."""
        self._known: dict[str, Outcome | Failed] = {}

    def claim(self, kind: str, cells: Sequence[Cell], seed: int, **more: Any) -> None:
        """Say which study this is; raises StudyError when the book holds another one.

        The number of replications is no part of it: a study may be gone on with.
        """
        if self.book is None or self.is_shared:
            return
        plan: dict[str, Any] = {
            "kind": kind, "seed": seed, **more, "cells": [[cell.name, _digest(cell)] for cell in cells],
        }  # fmt: skip
        held = self.book.meta("study")
        if held is None:
            self.book.set_meta("study", plan)
        elif held != plan:
            where = printable(str(self.folder))
            raise StudyError([f"{where}: expected the study that it holds, {_about(held, plan)}"])

    def get(self, wanted: Sequence[tuple[int, Cell, int]], seed: int) -> "list[Replication | Failed]":
        """What replications came to, in the order of (number of cell, cell, number of replication)."""
        by_cell: dict[int, list[int]] = {}
        cells = {number: cell for number, cell, _ in wanted}
        for number, _, replication in wanted:
            by_cell.setdefault(number, []).append(replication)
        jobs: dict[tuple[int, int], Job] = {}
        for number, replications in by_cell.items():
            cell = cells[number]
            for job in make_jobs(number, cell.resolved, seed, replications, cell.files):
                jobs[number, job.replication] = job
        self._run([jobs[number, replication] for number, _, replication in wanted])
        return [
            _replication(replication, seed, self._known[jobs[number, replication].key])
            for number, _, replication in wanted
        ]

    def write(self, document: Mapping[str, Any]) -> None:
        """Write the result into the folder, if there is one: whole or not at all."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{RESULT_FILE}.unfinished"
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(self.folder / RESULT_FILE)

    def _run(self, jobs: Sequence[Job]) -> None:
        """Bring about what jobs come to."""
        missing = {job.key: job for job in jobs if job.key not in self._known}
        if self.book is not None and missing:
            self._known.update(self.book.done(list(missing)))
            self.kept = self.kept or any(key in self._known for key in missing)
        there = len(missing)
        missing = {key: job for key, job in missing.items() if key not in self._known}
        there -= len(missing)
        if not missing:
            return
        left = list(missing.values())
        if self.workers is None:
            took_s = self._work(left[:1], Here(), 1, there, there + len(left))
            left, there = left[1:], there + 1
            if took_s * len(left) < _WORTH_PROCESSES_S:
                self._work(left, Here(), 1, there, there + len(left))
                return
        self._work(left, self.engine, self.workers or _cores(), there, there + len(left))

    def _work(self, jobs: Sequence[Job], engine: "Engine", workers: int, there: int, total: int) -> float:
        """Have an engine run jobs; gives the processor time that they took, in s."""
        if not jobs:
            return 0.0

        def tell(done: int, _total: int) -> None:
            self.kept = self.kept or done > 0
            if self.progress is not None:
                self.progress(there + done, total)

        if self.book is not None:
            from sim.studybook import finish

            found = finish(jobs, self.book, engine, workers, tell)
        else:
            found = {}
            with closing(engine.run(jobs, workers=workers)) as results:
                for result in results:
                    found[result.key] = result
                    tell(len(found), len(jobs))
        self._known.update(found)
        return sum(each.seconds for each in found.values() if isinstance(each, Outcome))


_WORTH_PROCESSES_S: Final = 3.0
"""Less work than this is done sooner than processes have begun."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _digest(cell: Cell) -> str:
    """What tells a configuration from others, in hex: its values but for name and question, and its files."""
    values = {key: value for key, value in cell.resolved.items() if key not in ("name", "question", "seed")}
    files = {key: sha256(path.read_bytes()).hexdigest() for key, path in cell.files.items()}
    text = json.dumps([values, files], sort_keys=True, ensure_ascii=False, allow_nan=False)
    return sha256(text.encode()).hexdigest()[:24]


def _about(held: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """How the study that a folder holds and the one asked for differ, in words."""
    for key in found.keys() | held.keys():
        if key != "cells" and held.get(key) != found.get(key):
            return f"with {key} {show(held.get(key))}, found {key} {show(found.get(key))}"
    here, asked = ([name for name, _ in plan["cells"]] for plan in (held, found))
    if here != asked:
        return f"of {_few(here)}, found {_few(asked)}"
    return "found one with other values of the scenario"


def _few(names: Sequence[str]) -> str:
    shown = [show(name) for name in names[:3]]
    return f"{', '.join(shown)} and {len(names) - 3:,} more" if len(names) > 3 else ", ".join(shown)


def _replication(number: int, seed: int, found: "Outcome | Failed") -> "Replication | Failed":
    if not isinstance(found, Outcome):
        return found
    return Replication(
        number, seed_of(seed, number), found.digest, found.demand_digest, found.facts,
        measures_of(found.kpis), found.weeks,
    )  # fmt: skip


@contextmanager
def open_runs(
    out: Path | str | None = None,
    *,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    tls: Mapping[str, Path | None] | None = None,
    database: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Runs]:
    """Replications that are kept in a folder or a database, and run by an engine.

    Parameters
    ----------
    out : the folder of the study, new or one that holds the same study; without it nothing is kept.
    engine : a name of `sim.engines.ENGINES`.
    workers : processes; without it this process does what is short, and as many as there are cores the rest.
    address : of a running cluster, for the engine dask.
    tls : the files `ca`, `cert` and `key` with which that cluster is spoken to, for tls://...
    database : URL of a PostgreSQL database that keeps finished replications instead of the folder.

    Raises StudyError for a folder that holds something else.
    """
    from sim.engines import ENGINES

    if engine not in ENGINES:
        found = f"found {show(engine)}{near(engine, ENGINES)}"
        raise StudyError([f"--engine: expected {one_of(list(ENGINES))}, {found}"])
    folder = None if out is None else Path(out)
    if folder is not None:
        refuse_study_folder(folder, BOOK_FILE if database is None else RESULT_FILE)
    given = ["--address"] * (address is not None)
    given += [f"--tls-{name}" for name, file in (tls or {}).items() if file is not None]
    if given and engine == "local":
        raise StudyError([f"{given[0]}: expected the engine 'dask' with it, found {show(engine)}"])
    from sim.studybook import Studybook

    made = ENGINES[engine]() if engine == "local" else ENGINES[engine](address=address, **(tls or {}))
    if workers is None and engine != "local":
        workers = _cores()
    if folder is None and database is None:
        yield Runs(None, made, workers, progress)
        return
    before = None if folder is None or not folder.is_dir() else {path.name for path in folder.iterdir()}
    place = folder if database is None else database
    assert place is not None
    runs: Runs | None = None
    try:
        with Studybook(place) as book:
            runs = Runs(book, made, workers, progress, folder, is_shared=database is not None)
            yield runs
    except BaseException:
        if folder is not None and not (runs and runs.kept):
            _clear(folder, before)
        raise


def _clear(folder: Path, before: set[str] | None) -> None:
    """Leave a folder as it was when nothing came of a study; None means that there was none."""
    for name in (BOOK_FILE, f"{BOOK_FILE}-wal", f"{BOOK_FILE}-shm"):
        if name not in (before or ()):
            (folder / name).unlink(missing_ok=True)
    if before is None and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def refuse_study_folder(folder: Path, holds: str) -> None:
    """Raise StudyError when `folder` is neither new, nor empty, nor one that holds a certain file."""
    shown = printable(str(folder))
    if folder.is_dir():
        inside = {path.name for path in folder.iterdir()}
        if inside and holds not in inside:
            found = "the result of a run" if RESULT_FILE in inside else "other files in it"
            raise StudyError([f"{shown}: expected a new, empty or study folder, found {found}"])
    elif folder.exists() or folder.is_symlink():
        raise StudyError([f"{shown}: expected a folder, found a file"])
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        found = "cannot be written" if above.is_dir() else "is a file"
        raise StudyError([f"{shown}: expected a folder that can be made, found that {above} {found}"])


# --- what they give ---------------------------------------------------------------------------------------


class Broken(NamedTuple):
    """A replication that came to nothing, and why."""

    cell: str
    replication: int
    seed: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return self._asdict()


@dataclass(frozen=True)
class CellResult:
    """What the replications of one configuration show."""

    name: str
    sets: dict[str, Any]
    scenario_id: str
    figures: dict[str, Figure]
    replications: list[Replication]
    demand_digest: str
    frame: Frame = field(default_factory=Frame, repr=False)

    def values(self, measure: str) -> Values:
        """A measure, one value a replication: what its figure is made of."""
        return values_of(measure, self.replications, self.frame)

    def to_json(self, *, parts: Iterable[str] | None = None) -> dict[str, Any]:
        """The cell, ready for JSON; with `parts` only those parts of KPIs beside values and percentiles."""
        shown = self.figures if parts is None else _without_parts(self.figures, parts)
        return {
            "name": self.name,
            "set": self.sets,
            "scenario_id": self.scenario_id,
            "demand_digest": self.demand_digest,
            "kpis": {name: each.to_json() for name, each in shown.items()},
            "runs": [{"seed": each.seed, "digest": each.digest} for each in self.replications],
        }


def _without_parts(found: Mapping[str, Figure], keep: Iterable[str]) -> dict[str, Figure]:
    kept = set(keep)
    return {
        name: each
        for name, each in found.items()
        if name in kept or name.partition(".")[2] in ("", "p50", "p95")
    }


def _cell_result(cell: Cell, replications: list[Replication], frame: Frame) -> CellResult:
    digests = sorted({each.replication: each.demand_digest for each in replications}.items())
    demand = sha256("".join(digest for _, digest in digests).encode()).hexdigest()
    identity = scenario_id(from_dict(cell.resolved))
    found = figures(replications, frame)
    return CellResult(cell.name, cell.sets, identity, found, replications, demand, frame)


class _Shown:
    """What a notebook shows of a result: a table of its cells."""

    def table(self) -> dict[str, Any]:
        """The columns of the result as numpy arrays, one row a cell."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        columns = self.table()
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell_text(value))}</td>" for value in row) + "</tr>"
            for row in zip(*columns.values(), strict=True)
        )
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _cell_text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _columns(cells: Sequence[CellResult]) -> dict[str, Any]:
    """One row a cell: name, what is set, and mean, low and high of each measure; nan where there is none."""
    import numpy as np

    keys = list(dict.fromkeys(key for cell in cells for key in cell.sets))
    names = list(dict.fromkeys(name for cell in cells for name in cell.figures))
    columns: dict[str, Any] = {"cell": np.array([cell.name for cell in cells])}
    for key in keys:
        values = [cell.sets.get(key) for cell in cells]
        plain = all(isinstance(value, int | float | str) for value in values)
        columns[key] = np.array(values if plain else [_shown(value) for value in values])
    for name in names:
        for bound, title in (("mean", name), ("low", f"{name} low"), ("high", f"{name} high")):
            found = [getattr(cell.figures[name], bound) if name in cell.figures else None for cell in cells]
            columns[title] = np.array([math.nan if value is None else value for value in found])
    return columns


@dataclass(frozen=True)
class Reached:
    """What a wish for precision came to, for each measure: the half-width as a share of the mean."""

    wish: float
    reached: bool
    replications: int
    half_widths: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return dict(vars(self))


class Settling(NamedTuple):
    """Whether a warm-up is long enough, by the weeks of a measure.

    `cut_weeks` is where MSER would cut, `enough` None where there are too few weeks to tell; `weeks` are the
    means over the replications, from time 0 on.
    """

    cell: str
    kpi: str
    warmup_weeks: int
    cut_weeks: int | None
    enough: bool | None
    sentence: str
    weeks: list[float | None]

    def to_json(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return self._asdict()


def settling(cell: str, kpi: str, made: Sequence[Replication], frame: Frame) -> Settling | None:
    """Whether the warm-up of a cell is long enough; None where the observations of a measure are no weeks."""
    if not made or not by_weeks(kpi, made, frame):
        return None
    rows = [each.weeks[kpi] for each in made]
    advice = advise(rows, frame.warmup_weeks)
    sentence = f"{cell}, {title_of(kpi)}: {advice.words}"
    return Settling(cell, kpi, frame.warmup_weeks, advice.cut_weeks, advice.enough, sentence, welch(rows, 0))


@dataclass(frozen=True)
class Replications(_Shown):
    """Replications of one scenario."""

    scenario: str
    seed: int
    days: int
    cell: CellResult
    horizon: Horizon
    level: float
    precision: Reached | None
    broken: list[Broken] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    warmup: list[Settling] = field(default_factory=list)

    def table(self) -> dict[str, Any]:
        """The measures as numpy arrays, one row a measure."""
        import numpy as np

        rows = self.cell.figures
        numbers = {
            key: np.array([math.nan if (v := getattr(each, key)) is None else v for each in rows.values()])
            for key in ("mean", "low", "high", "n")
        }
        return {"measure": np.array(list(rows)), **numbers, "unit": np.array([e.unit for e in rows.values()])}

    def to_json(self) -> dict[str, Any]:
        """The document of `run --replications`."""
        from sim.kpis import KPIS

        return {
            "scenario": self.scenario,
            "scenario_id": self.cell.scenario_id,
            "simulated_s": self.days * 86_400.0,
            "horizon": self.horizon,
            "level": self.level,
            "kpis": {name: each.to_json() for name, each in self.cell.figures.items()},
            "runs": [
                {
                    "seed": each.seed,
                    "digest": each.digest,
                    "kpis": {name: each.measures[name] for name in KPIS if name in each.measures},
                }
                for each in self.cell.replications
            ],
            **({"precision": self.precision.to_json()} if self.precision else {}),
            **_troubles(self.broken, self.warnings, self.warmup),
        }


def _troubles(
    broken: Sequence[Broken], warnings: Sequence[str], warmup: Sequence[Settling] = ()
) -> dict[str, Any]:
    return {
        **({"warmup": [each.to_json() for each in warmup]} if warmup else {}),
        **({"failed": [each.to_json() for each in broken]} if broken else {}),
        **({"warnings": list(warnings)} if warnings else {}),
    }


@dataclass(frozen=True)
class Comparison(_Shown):
    """Cells with the same seeds, their paired differences and what they come to.

    Attributes
    ----------
    demand_digest : one digest over the demand of all replications; None where cells differ in it.
    other_demand : the cells whose demand is not that of the first.
    paired : every measure of the first cell less each other; for the deciding one, all pairs.
    warmup : by cell, what says whether the warm-up is long enough, for horizons with weeks.
    """

    scenario: str
    seed: int
    horizon: Horizon
    level: float
    kpi: str
    cells: list[CellResult]
    paired: list[Difference]
    verdict: Verdict
    demand_digest: str | None
    other_demand: list[str]
    precision: Reached | None = None
    broken: list[Broken] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    warmup: list[Settling] = field(default_factory=list)

    def table(self) -> dict[str, Any]:
        """The measures of the cells as numpy arrays, one row a cell."""
        return _columns(self.cells)

    def difference(self, measure: str, a: str, b: str) -> Difference | None:
        """The paired difference a - b of a measure, if these two were compared."""
        for row in self.paired:
            if row.kpi == measure and {row.a, row.b} == {a, b}:
                return row if row.a == a else row.reversed()
        return None

    def to_json(self) -> dict[str, Any]:
        """The document of `compare`."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "replications": max((len(cell.replications) for cell in self.cells), default=0),
            "horizon": self.horizon,
            "level": self.level,
            "kpi": self.kpi,
            "verdict": self.verdict.to_json(),
            "demand_digest": self.demand_digest,
            **({"other_demand": self.other_demand} if self.other_demand else {}),
            "cells": [cell.to_json() for cell in self.cells],
            "paired": [row.to_json() for row in self.paired],
            **({"precision": self.precision.to_json()} if self.precision else {}),
            **_troubles(self.broken, self.warnings, self.warmup),
        }


@dataclass(frozen=True)
class Sweep(_Shown):
    """A grid or a design of cells, one row a cell."""

    scenario: str
    seed: int
    horizon: Horizon
    level: float
    cells: list[CellResult]
    design: str = "grid"
    parts: tuple[str, ...] = ()
    precision: Reached | None = None
    broken: list[Broken] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    warmup: list[Settling] = field(default_factory=list)

    def table(self) -> dict[str, Any]:
        """The measures of the cells as numpy arrays, one row a cell."""
        return _columns(self.cells)

    def to_json(self) -> dict[str, Any]:
        """The document of `sweep`: of the parts of KPIs only those that were asked for."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "horizon": self.horizon,
            "level": self.level,
            "design": self.design,
            "cells": [cell.to_json(parts=self.parts) for cell in self.cells],
            **({"precision": self.precision.to_json()} if self.precision else {}),
            **_troubles(self.broken, self.warnings, self.warmup),
        }


@dataclass(frozen=True)
class Selection(_Shown):
    """The best of several cells, selected with a promise.

    Attributes
    ----------
    selected : its name; None when as many replications as allowed did not tell.
    left_after : by cell, the replications after which it was dropped.
    """

    scenario: str
    seed: int
    horizon: Horizon
    kpi: str
    delta: float
    confidence: float
    selected: str | None
    contenders: list[str]
    left_after: dict[str, int]
    cells: list[CellResult]
    sentence: str
    warnings: list[str] = field(default_factory=list)

    def table(self) -> dict[str, Any]:
        """The measures of the cells as numpy arrays, one row a cell."""
        return _columns(self.cells)

    def to_json(self) -> dict[str, Any]:
        """The document of `select`."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "horizon": self.horizon,
            "kpi": self.kpi,
            "delta": self.delta,
            "confidence": self.confidence,
            "selected": self.selected,
            "contenders": self.contenders,
            "answer": self.sentence,
            "cells": [
                {**cell.to_json(parts=(self.kpi,)), "dropped_after": self.left_after.get(cell.name)}
                for cell in self.cells
            ],
            **_troubles((), self.warnings),
        }


@dataclass(frozen=True)
class Sensitivity(_Shown):
    """How much a measure owes to each factor.

    `factors` has a row a factor: its range, and for Sobol's indices `first` and `total` (shares of variance),
    for Morris's effects `mean`, `size` and `spread` (in the unit of the measure); intervals as mean, low and
    high.
    """

    scenario: str
    seed: int
    horizon: Horizon
    kpi: str
    method: str
    points: int
    replications: int
    factors: list[dict[str, Any]]
    cells: int
    values: list[float]
    warnings: list[str] = field(default_factory=list)

    def table(self) -> dict[str, Any]:
        """The factors as numpy arrays, one row a factor."""
        import numpy as np

        flat = [_flat(row) for row in self.factors]
        return {key: np.array([row[key] for row in flat]) for key in flat[0]}

    def to_json(self) -> dict[str, Any]:
        """The document of `sensitivity`."""
        document = {key: value for key, value in vars(self).items() if key != "warnings"}
        return {**document, "unit": unit_of(self.kpi), **_troubles((), self.warnings)}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            found.update({f"{key} {bound}": number for bound, number in value.items()})
        else:
            found[key] = value
    return found


# --- experiments ------------------------------------------------------------------------------------------


def replicate(
    scenario: Loaded | Scenario | str,
    replications: int = DEFAULT_REPLICATIONS,
    *,
    precision: float | Precision | None = None,
    kpi: str | Sequence[str] = DEFAULT_KPI,
    seed: int | None = None,
    horizon: Horizon | None = None,
    level: float = 0.95,
    runs: Runs | None = None,
) -> Replications:
    """Run a scenario several times, each time with another seed, and give every measure with its interval.

    Parameters
    ----------
    scenario : what to run: loaded, or a name or file to load.
    replications : how many; with `precision` at most so many.
    precision : go on until the half-width of the interval is at most this share of the mean of every `kpi`,
        and stays so for the look-ahead.
    seed : of the first replication, the scenario's own if none; the others count up from it.
    horizon : what one observation is (`sim.figures.HORIZONS`); one value a replication below 8 weeks.
    runs : where replications come from and stay (`open_runs`); this process if none.

    Raises
    ------
    StudyError, MeasureError, ScenarioError
        For input that makes no sense, one line a mistake.
    """
    loaded = _loaded(scenario)
    cell = cell_of(loaded)
    names = [kpi] if isinstance(kpi, str) else list(kpi)
    plan = _Plan("replicate", [cell], names, _seed(loaded, seed), horizon, level, runs)
    reached = plan.repeat(replications, precision)
    (result,) = plan.results()
    return Replications(
        cell.resolved["name"], plan.seed, cell.days, result, plan.frame.horizon, level, reached, plan.broken,
        plan.warnings(), plan.warmup(),
    )  # fmt: skip


def compare(
    scenario: Loaded | Scenario | str,
    vary: Mapping[str, Sequence[Any]] | Sequence[Cell],
    replications: int = DEFAULT_REPLICATIONS,
    *,
    precision: float | Precision | None = None,
    kpi: str = DEFAULT_KPI,
    seed: int | None = None,
    horizon: Horizon | None = None,
    level: float = 0.95,
    runs: Runs | None = None,
) -> Comparison:
    """Run several configurations with the same seeds and say what differs, and which is best by one measure.

    Parameters
    ----------
    vary : values by dotted path, every combination a cell; or the cells themselves. The first is the one that
        the others are compared with.
    kpi : the measure that decides; it is compared between all pairs.

    The others are those of `replicate`.
    """
    loaded = _loaded(scenario)
    cells = grid_cells(loaded, vary) if isinstance(vary, Mapping) else list(vary)
    if len(cells) < 2:
        raise StudyError([f"--vary: expected at least 2 cells to compare, found {len(cells)}"])
    plan = _Plan("compare", cells, [kpi], _seed(loaded, seed), horizon, level, runs)
    reached = plan.repeat(replications, precision)
    results = plan.results()
    names = [cell.name for cell in cells]
    paired = plan.differences(results)
    deciding = differences(kpi, plan.values(kpi), all_pairs(names), plan.frame)
    first, others = results[0], results[1:]
    other_demand = [each.name for each in others if each.demand_digest != first.demand_digest]
    means = {name: _mean(values) for name, values in plan.values(kpi).items()}
    told = plan.refusal(results) or verdict(kpi, means, deciding, level)
    return Comparison(
        cells[0].resolved["name"], plan.seed, plan.frame.horizon, level, kpi, results,
        [*deciding, *[row for row in paired if row.kpi != kpi]], told,
        None if other_demand else first.demand_digest, other_demand, reached, plan.broken, plan.warnings(),
        plan.warmup(),
    )  # fmt: skip


def sweep(
    scenario: Loaded | Scenario | str,
    vary: Mapping[str, Sequence[Any]] | Sequence[Cell],
    replications: int = DEFAULT_REPLICATIONS,
    *,
    precision: float | Precision | None = None,
    kpi: str | Sequence[str] = DEFAULT_KPI,
    seed: int | None = None,
    horizon: Horizon | None = None,
    level: float = 0.95,
    design: str = "grid",
    runs: Runs | None = None,
) -> Sweep:
    """Run every cell of a grid or a design with the same seeds, and give one row a cell.

    The parameters are those of `compare`; nothing is compared. `design` only names where the cells come from.
    """
    loaded = _loaded(scenario)
    cells = grid_cells(loaded, vary) if isinstance(vary, Mapping) else list(vary)
    names = [kpi] if isinstance(kpi, str) else list(kpi)
    plan = _Plan("sweep", cells, names, _seed(loaded, seed), horizon, level, runs)
    reached = plan.repeat(replications, precision)
    return Sweep(
        cells[0].resolved["name"], plan.seed, plan.frame.horizon, level, plan.results(), design, tuple(names),
        reached, plan.broken, plan.warnings(), plan.warmup(),
    )  # fmt: skip


def select(
    scenario: Loaded | Scenario | str,
    vary: Mapping[str, Sequence[Any]] | Sequence[Cell],
    delta: float,
    confidence: float = 0.95,
    *,
    kpi: str = DEFAULT_KPI,
    most: int = MOST_REPLICATIONS,
    start: int = 10,
    seed: int | None = None,
    horizon: Horizon | None = None,
    runs: Runs | None = None,
) -> Selection:
    """Select the best cell by a measure, dropping those that have fallen behind after each replication (KN).

    If the best is better than every other by at least `delta` it is selected with at least the probability
    `confidence`; otherwise the one selected is, with that probability, within `delta` of it.

    Parameters
    ----------
    delta : the smallest difference that matters, in the unit of the measure.
    most : replications of a cell after which nothing is selected.
    start : replications before the first cell is dropped.

    The others are those of `compare`.
    """
    from sim.selection import KN

    loaded = _loaded(scenario)
    cells = grid_cells(loaded, vary) if isinstance(vary, Mapping) else list(vary)
    if better_of_checked(kpi) == "neither":
        raise StudyError([f"--kpi: expected a KPI of which more or less is better, found {show(kpi)}"])
    try:
        procedure = KN(len(cells), delta, confidence, start, largest=better_of(kpi) == "more")
    except ValueError as error:
        raise StudyError([f"select: {error}"]) from None
    plan = _Plan("select", cells, [kpi], _seed(loaded, seed), horizon, 0.95, runs)
    left_after: dict[str, int] = {}
    made = 0
    while procedure.wanted and procedure.replications < most:
        wanted = procedure.wanted
        number = procedure.replications
        if number == made:
            made = min(most, made + (_AHEAD if made else start))
            plan.extend(wanted, made)
            plan.refuse_broken()
        values = {at: plan.value(kpi, at, number) for at in wanted}
        missing = [cells[at].name for at, value in values.items() if value is None]
        if missing:
            found = f"found none in replication {number} of {_few(missing)}"
            raise StudyError([f"--kpi: expected a value of {title_of(kpi)} in every replication, {found}"])
        procedure.add({at: value for at, value in values.items() if value is not None})
        for at in wanted:
            if at not in procedure.contenders:
                left_after[cells[at].name] = procedure.replications
    # What was run ahead and not looked at is left out: the answer does not depend on how much that was.
    used = {at: left_after.get(cell.name, procedure.replications) for at, cell in enumerate(cells)}
    results = plan.results(used)
    best = None if procedure.selected is None else cells[procedure.selected].name
    contenders = [cells[at].name for at in procedure.contenders]
    return Selection(
        cells[0].resolved["name"], plan.seed, plan.frame.horizon, kpi, delta, confidence, best, contenders,
        left_after, results, _selected(kpi, best, contenders, delta, confidence, procedure.replications),
        plan.warnings(),
    )  # fmt: skip


_AHEAD: Final = 5
"""Replications of the contenders that are made at once while a best one is looked for."""


def _selected(
    kpi: str, best: str | None, contenders: Sequence[str], delta: float, confidence: float, made: int
) -> str:
    unit = unit_of(kpi)
    promise = f"with a probability of at least {confidence * 100:.4g} %"
    within = span_text(delta, None, None, unit, is_difference=True)
    if best is None:
        return (
            f"not selected: {_few(contenders)} are still in after {made:,} replications;"
            " a larger --delta or more replications (--most) would tell"
        )
    which = "highest" if better_of(kpi) == "more" else "lowest"
    what = f"{best} has the {which} {title_of(kpi)}, or is within {within} of it"
    return f"{what}, {promise}; {made:,} replications"


def sensitivity(
    scenario: Loaded | Scenario | str,
    factors: "Mapping[str, Factor]",
    *,
    method: Literal["sobol", "morris"] = "sobol",
    points: int | None = None,
    kpi: str = DEFAULT_KPI,
    replications: int = 1,
    seed: int | None = None,
    horizon: Horizon | None = None,
    level: float = 0.95,
    runs: Runs | None = None,
) -> Sensitivity:
    """How much of a measure is due to each factor: Sobol's indices, or Morris's elementary effects.

    Parameters
    ----------
    factors : by dotted path, what varies (`factor_of`).
    method : sobol, of (factors + 2) cells a point; or morris, of (factors + 1) a trajectory.
    points : base points, a power of 2 (64 if not given); or trajectories (10).
    replications : of each cell, with the same seeds in all; their mean is what is explained.

    The others are those of `compare`.
    """
    from sim.influence import Morris, Saltelli

    loaded = _loaded(scenario)
    if replications < 1:
        raise StudyError([f"--replications: expected at least 1, found {replications}"])
    root = _seed(loaded, seed)
    many = points or (_SOBOL_POINTS if method == "sobol" else _MORRIS_TRAJECTORIES)
    design: Saltelli | Morris
    try:
        design = (Saltelli if method == "sobol" else Morris)(factors, many, root)
    except ValueError as error:
        raise StudyError([f"sensitivity: {error}"]) from None
    # Points may fall on the same values: what is the same is run once.
    cells = cells_of(loaded, design.cells)
    plan = _Plan("sensitivity", cells, [kpi], root, horizon, level, runs, method=method)
    plan.repeat(replications, None)
    plan.refuse_broken()
    values = []
    for at in range(len(cells)):
        found = [value for value in plan.cell_values(kpi, at) if value is not None]
        if len(found) < replications:
            found_none = f"found none in {cells[at].name}"
            raise StudyError([f"--kpi: expected a value of {title_of(kpi)} in every run, {found_none}"])
        values.append(math.fsum(found) / len(found))
    rows: list[dict[str, Any]] = []
    if isinstance(design, Saltelli):
        for name, each in design.indices(values, level).items():
            shares = {"first": _bounds(each.first), "total": _bounds(each.total)}
            rows.append({**_factor(name, factors), **shares})
        rows.sort(key=lambda row: -row["total"]["mean"])
    else:
        for name, effect in design.effects(values, level).items():
            found_row = {"mean": effect.mean, "size": _bounds(effect.size), "spread": effect.spread}
            rows.append({**_factor(name, factors), **found_row})
        rows.sort(key=lambda row: -row["size"]["mean"])
    return Sensitivity(
        cells[0].resolved["name"], root, plan.frame.horizon, kpi, method, many, replications, rows,
        len(cells), values, plan.warnings(),
    )  # fmt: skip


_SOBOL_POINTS: Final = 64
_MORRIS_TRAJECTORIES: Final = 10


def _factor(name: str, factors: "Mapping[str, Factor]") -> dict[str, Any]:
    factor = factors[name]
    ends = {"low": factor[0], "high": factor[1]} if len(factor) == 2 else {"values": list(factor[0])}
    return {"factor": name, **ends}


def _bounds(found: Interval) -> dict[str, float | None]:
    low, high = (value if math.isfinite(value) else None for value in (found.low, found.high))
    return {"mean": found.mean, "low": low, "high": high}


def better_of_checked(kpi: str) -> str:
    """Whether more or less of a measure is better; raises MeasureError for one that there is not."""
    check_measures("--kpi", [kpi])
    return better_of(kpi)


# --- what they have in common -----------------------------------------------------------------------------


def _loaded(scenario: Loaded | Scenario | str) -> Loaded | Scenario:
    return load(scenario) if isinstance(scenario, str) else scenario


def _seed(base: Loaded | Scenario, seed: int | None) -> int:
    scenario = base if isinstance(base, Scenario) else base.scenario
    return scenario.seed if seed is None else seed


class _Plan:
    """Cells with the replications that are at hand, and what they show."""

    def __init__(
        self,
        kind: str,
        cells: Sequence[Cell],
        kpis: Sequence[str],
        seed: int,
        horizon: Horizon | None,
        level: float,
        runs: Runs | None,
        **more: Any,
    ) -> None:
        check_measures("--kpi", kpis)
        if not 0 <= seed < 2**62:
            raise StudyError([f"--seed: expected a whole number from 0, below {2**62:,}, found {seed}"])
        names = [cell.name for cell in cells]
        doubles = [name for at, name in enumerate(names) if name in names[:at]]
        if doubles and kind in ("compare", "select"):
            raise StudyError([f"--vary: expected cells that differ, found {_few(doubles)} twice"])
        days, warmup_days = min(cell.days for cell in cells), max(cell.warmup_days for cell in cells)
        self.frame = frame_of(horizon or default_horizon(days), days, warmup_days, level)
        self.cells, self.kpis, self.seed = list(cells), list(kpis), seed
        self.runs = runs or Runs()
        self.broken: list[Broken] = []
        self._made: list[dict[int, Replication]] = [{} for _ in cells]
        self._advice: list[str] = []
        self.runs.claim(kind, cells, seed, **more)

    def extend(self, cells: Iterable[int], replications: int) -> None:
        """Bring cells to so many replications."""
        if replications > 1 and not any(self._made) and any("." in kpi for kpi in self.kpis):
            # Whether a KPI has such a part is known when there is one run: say it before there are many.
            self.extend([0], 1)
        lost = {(each.cell, each.replication) for each in self.broken}
        wanted = [
            (at, self.cells[at], number)
            for number in range(replications)
            for at in cells
            if number not in self._made[at] and (self.cells[at].name, number) not in lost
        ]
        for (at, cell, number), found in zip(wanted, self.runs.get(wanted, self.seed), strict=True):
            if isinstance(found, Replication):
                self._made[at][number] = found
            else:
                self.broken.append(Broken(cell.name, number, seed_of(self.seed, number), found.reason))
        check_found("--kpi", self.kpis, [each for made in self._made for each in made.values()])

    def repeat(self, replications: int, precision: float | Precision | None) -> Reached | None:
        """Bring all cells to so many replications, or to a precision of the deciding measures."""
        everyone = range(len(self.cells))
        if precision is None:
            self.extend(everyone, replications)
            return None
        try:
            rule = (
                precision
                if isinstance(precision, Precision)
                else Precision(precision, level=self.frame.level)
            )
        except ValueError as error:
            raise StudyError([f"--precision: {error}"]) from None
        made = min(replications, rule.start + rule.look_ahead)
        while True:
            self.extend(everyone, made)
            rows = [self.cell_values(kpi, at) for kpi in self.kpis for at in everyone]
            stops = [_stop(rule, row) for row in rows]
            if None not in stops:
                # What was run beyond it is left out: the answer does not depend on how much that was.
                made = max(stop for stop in stops if stop is not None)
                break
            if made >= replications:
                break
            foreseen = max(rule.foreseen([value for value in row if value is not None]) for row in rows)
            made = min(replications, max(made + rule.look_ahead, min(foreseen, 2 * made)))
        for held in self._made:
            for number in [number for number in held if number >= made]:
                del held[number]
        widths = {kpi: self._width(kpi, rule) for kpi in self.kpis}
        return Reached(rule.half_width, None not in stops, made, widths)

    def _width(self, kpi: str, rule: Precision) -> float | None:
        """The widest half-width of a measure in any cell, as a share of its mean if the wish is one."""
        from sim.statistics import t_interval

        widest = 0.0
        for at in range(len(self.cells)):
            values = [value for value in self.cell_values(kpi, at) if value is not None]
            if len(values) < 2:
                return None
            found = t_interval(values, rule.level)
            half = found.high - found.mean
            if rule.relative and half > 0:
                if found.mean == 0:
                    return None
                half /= abs(found.mean)
            widest = max(widest, half)
        return widest

    def refuse_broken(self) -> None:
        """Raise StudyError when a replication came to nothing, for what cannot do without one."""
        if self.broken:
            raise StudyError([failed_line(each) for each in self.broken])

    def numbers(self) -> list[int]:
        """The replications that every cell has: only these can be paired."""
        there = [set(made) for made in self._made]
        return sorted(set.intersection(*there)) if there else []

    def value(self, kpi: str, at: int, number: int) -> float | None:
        """A measure of one replication of a cell."""
        return values_of(kpi, [self._made[at][number]], self.frame)[0]

    def cell_values(self, kpi: str, at: int) -> Values:
        """A measure of a cell, one value a replication, in their order."""
        return values_of(kpi, [self._made[at][number] for number in sorted(self._made[at])], self.frame)

    def values(self, kpi: str) -> dict[str, Values]:
        """A measure by cell, one value for each replication that all cells have."""
        numbers = self.numbers()
        return {
            cell.name: values_of(kpi, [made[number] for number in numbers], self.frame)
            for cell, made in zip(self.cells, self._made, strict=True)
        }

    def results(self, used: Mapping[int, int] | None = None) -> list[CellResult]:
        """What the replications of each cell show; of those that all have where cells are compared."""
        results = []
        for at, (cell, made) in enumerate(zip(self.cells, self._made, strict=True)):
            most = math.inf if used is None else used[at]
            results.append(
                _cell_result(cell, [made[number] for number in sorted(made) if number < most], self.frame)
            )
        return results

    def differences(self, results: Sequence[CellResult]) -> list[Difference]:
        """Every measure of the first cell less each other."""
        pairs = from_first([cell.name for cell in self.cells])
        names = dict.fromkeys(name for each in results for name in each.figures)
        return [row for name in names for row in differences(name, self.values(name), pairs, self.frame)]

    def warmup(self) -> list[Settling]:
        """Whether the warm-up of each cell is long enough, by its weeks and each deciding measure.

        By MSER on the means of weeks over the replications; only where the observations are weeks.
        """
        found = (
            settling(cell.name, kpi, list(made.values()), self.frame)
            for cell, made in zip(self.cells, self._made, strict=True)
            for kpi in self.kpis
        )
        return [each for each in found if each is not None]

    def warnings(self) -> list[str]:
        """What to know before the figures are believed: a warm-up too short, replications left out."""
        lines = [each.sentence for each in self.warmup() if each.enough is False]
        if self.broken:
            many = "1 replication" if len(self.broken) == 1 else f"{len(self.broken):,} replications"
            lines.append(f"{many} left out that came to nothing, the first: {failed_line(self.broken[0])}")
        return lines

    def refusal(self, results: Sequence[CellResult]) -> Verdict | None:
        """Why there is no verdict on allocation: too much that leaves stood in the store at time 0.

        What helps is tried, with a longer run of every cell, before it is said.
        """
        if not any(key in ON_ALLOCATION for cell in self.cells for key in cell.sets):
            return None
        shares = {each.name: share.mean for each in results if (share := each.figures.get(BEFORE_START))}
        known = {name: share for name, share in shares.items() if share is not None}
        if not known or max(known.values()) <= MOST_BEFORE_START:
            return None
        worst = max(known, key=lambda name: known[name])
        found = f"{known[worst]:.0%} of the boxes that {worst} issued stood in the store at time 0"
        wanted = f"a verdict on allocation wants at most {MOST_BEFORE_START:.0%}"
        sentence = f"not decided: {found}; {wanted}. {self._way_out()}".replace("%", " %")
        pairs = all_pairs([cell.name for cell in self.cells])
        return Verdict(self.kpis[0], False, None, sentence, self.frame.level, max(1, len(pairs)))

    def _way_out(self) -> str:
        """What would make a verdict possible, tried on the first replication of every cell."""
        measured = min(cell.days - cell.warmup_days for cell in self.cells)
        days = max(cell.days for cell in self.cells)
        while days < _MOST_TRIED_DAYS:
            days = min(_MOST_TRIED_DAYS, max(2 * days, days + 8 * WEEK_DAYS))
            longer = [_longer(cell, days) for cell in self.cells]
            wanted = [(len(self.cells) + at, cell, 0) for at, cell in enumerate(longer)]
            found = self.runs.get(wanted, self.seed)
            weeks = [each.weeks.get(BEFORE_START, []) for each in found if isinstance(each, Replication)]
            if len(weeks) < len(longer):
                return "What would help could not be tried: longer runs came to nothing."
            needed = max(_settled(each) for each in weeks)
            # Settled is what has been seen to stay so, for as long as is measured and some weeks at least.
            if needed * WEEK_DAYS + max(measured, _SEEN_DAYS) <= days:
                warmup = needed * WEEK_DAYS
                return (
                    f"A longer warm-up gives one: --set time.warmup_days={warmup} --set"
                    f" time.days={warmup + measured}; from day {warmup} on it was at most"
                    f" {_SETTLED_SHARE:.0%} a week in a trial of every cell."
                )
        return (
            f"No warm-up would do in a trial of every cell over {days} days: what stood in the store at"
            " time 0 keeps being issued."
        )


_MOST_TRIED_DAYS: Final = 728
_SEEN_DAYS: Final = 28
_SETTLED_SHARE: Final = 0.05
"""A week with no larger share of boxes from before time 0 is settled: half of what is allowed."""


def _settled(weeks: Sequence[float | None]) -> int:
    """The week from which on the share stays settled; beyond the end when it does not."""
    unsettled = [at for at, share in enumerate(weeks) if share is not None and share > _SETTLED_SHARE]
    return unsettled[-1] + 1 if unsettled else 0


def _longer(cell: Cell, days: int) -> Cell:
    time = {**cell.resolved["time"], "days": days, "warmup_days": 0}
    return cell._replace(resolved={**cell.resolved, "time": time})


def _mean(values: Values) -> float | None:
    found = [value for value in values if value is not None]
    return math.fsum(found) / len(found) if found else None


def _stop(rule: Precision, values: Values) -> int | None:
    """After how many replications a measure is precise enough, those without an observation counted along."""
    there = [number for number, value in enumerate(values, 1) if value is not None]
    stop = rule.stops_at([value for value in values if value is not None])
    return None if stop is None else there[stop - 1]


def failed_line(broken: Broken) -> str:
    """A replication that came to nothing, in a line."""
    reason = _from_here(" ".join(broken.reason.split()))
    return f"{broken.cell}, replication {broken.replication} (seed {broken.seed}): {reason}"
