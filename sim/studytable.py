"""What a study found, as its folder keeps it: a document, and one row a replication and measure beside it.

    result.json            the document of the command, and what it takes to run it again
    replications.parquet   the value of every measure in every replication, of which figures are the means
    report.html            the same for people (`sim.studyreport`)

A value is what the figures are made of: that of the run after its warm-up, or the mean of its whole weeks.
Measures of a study file stand there as `study.NAME`, beside the KPIs. Left out: the facts of the runs; their
digests tell whether they have been made again.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.experiment import (
    BOOK_FILE,
    RESULT_FILE,
    CellResult,
    Comparison,
    Replications,
    Selection,
    Sensitivity,
    StudyError,
    Sweep,
)
from sim.figures import Replication, Values, better_of, measures_of, title_of, unit_of
from sim.results import inputs, versions
from sim.scenario import Loaded, Scenario, resolved
from sim.simulation import Result
from sim.study import Answer
from sim.trace import MODEL_VERSION, duckdb_here
from sim.words import printable

if TYPE_CHECKING:
    from sim.studyfile import Study

VALUES_FILE: Final = "replications.parquet"
OWN: Final = "study."
"""What the names of the measures of a study file begin with, among KPIs."""

Found = Comparison | Sweep | Selection | Sensitivity | Replications | Answer


class Measure(NamedTuple):
    """What a report says of a measure: its words, its unit, and which way is better."""

    title: str
    unit: str
    better: str


class Run(NamedTuple):
    """A replication of a cell."""

    replication: int
    seed: int
    digest: str
    demand_digest: str


class CellValues(NamedTuple):
    """A cell, its replications, and its measures, one value a replication."""

    name: str
    sets: dict[str, Any]
    runs: list[Run]
    values: dict[str, Values]


@dataclass(frozen=True)
class Findings:
    """Everything that a report of a study says.

    Attributes
    ----------
    kind : the command that a study came from: a key of `KINDS`.
    document : what it prints with --json.
    shown : the measures that it is about, the deciding one first.
    base : the resolved scenario of which cells are variations, empty where it is not known.
    command : its words, without those that only say where runs are made and kept.
    file : the text of the study file, for a study.
    """

    kind: str
    document: dict[str, Any]
    shown: dict[str, Measure]
    cells: list[CellValues]
    base: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    file: str = ""

    @classmethod
    def of(
        cls,
        found: Found,
        base: Loaded | Scenario | None = None,
        command: Sequence[str] = (),
        study: "Study | None" = None,
    ) -> "Findings":
        """What an experiment gave, with the scenario of which its cells are variations."""
        scenario = base.scenario if isinstance(base, Loaded) else base
        document = _plain(found.to_json())
        if isinstance(found, Answer):
            # Its document leaves out what is without bounds.
            for told, cell in zip(document["cells"], found.cells, strict=True):
                told["set"] = _plain(cell["set"])
        return cls(
            KINDS[type(found)],
            document,
            _shown(found, study),
            list(_cells(found)),
            {} if scenario is None else _plain(resolved(scenario)),
            inputs(base) if isinstance(base, Loaded) else {},
            [_FOLDERS.sub(r"\1", word) for word in command],
            versions(MODEL_VERSION),
            "" if study is None else study.path.read_text(encoding="utf-8"),
        )

    def figures(self, measure: str) -> list[dict[str, Any]]:
        """The figure of a measure for every cell: mean, low, high, n; mean is None where there is none."""
        found = [self.document] if self.kind == "replicate" else self.document["cells"]
        nothing = {"mean": None, "low": None, "high": None, "n": 0}
        return [each["kpis"].get(measure, nothing) for each in found] if self.cells else []

    def values(self, measure: str) -> list[Values]:
        """A measure of every cell, one value a replication."""
        name = f"{OWN}{measure}" if self.kind == "study" else measure
        return [cell.values.get(name, []) for cell in self.cells]

    def write(self, folder: Path) -> None:
        """Write the values and the document into a folder, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = {
            **self.document,
            "kind": self.kind,
            "shown": {name: measure._asdict() for name, measure in self.shown.items()},
            "command": self.command,
            "inputs": self.files,
            "resolved": self.base,
            "versions": self.versions,
            **({"file": self.file} if self.file else {}),
        }
        if self.cells:
            path = _replaced(folder, VALUES_FILE, lambda path: write_columns(_long(self), path))
            whole["replications_sha256"] = sha256(path.read_bytes()).hexdigest()
        text = json.dumps(whole, ensure_ascii=False, indent=1, allow_nan=False)
        _replaced(folder, RESULT_FILE, lambda path: path.write_text(text + "\n", encoding="utf-8"))


_FOLDERS: Final = re.compile(r"""(^|[=,"'])(?:~?/|[A-Za-z]:[/\\])(?:[^,="']*[/\\])?""")
"""Where a file stands on this machine, in a word of a command: nobody else needs it."""

KINDS: Final[dict[type, str]] = {
    Comparison: "compare",
    Sweep: "sweep",
    Selection: "select",
    Sensitivity: "sensitivity",
    Replications: "replicate",
    Answer: "study",
}
"""What each result is called: the command that gives it, `replicate` for `run` with many replications."""


def is_study(folder: Path) -> bool:
    """Whether a folder holds many runs, finished or not, and not one."""
    try:
        return json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))["kind"] in KINDS.values()
    except FileNotFoundError:
        return (folder / BOOK_FILE).is_file()
    except (ValueError, KeyError, TypeError, OSError):
        return False


def read_study(folder: Path) -> Findings:
    """What a study has left in its folder; raises StudyError for one that is not finished or not whole."""
    shown = printable(str(folder))
    try:
        whole = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = "found one that was interrupted: the same command goes on with it"
        raise StudyError([f"{shown}: expected a finished study, {found}"]) from None
    extra = {key: whole.pop(key) for key in ("kind", "shown", "command", "inputs", "resolved", "versions")}
    file, digest = whole.pop("file", ""), whole.pop("replications_sha256", None)
    cells = [] if digest is None else _read_cells(folder / VALUES_FILE, digest, whole)
    measures = {name: Measure(**measure) for name, measure in extra["shown"].items()}
    return Findings(
        extra["kind"], whole, measures, cells, extra["resolved"], extra["inputs"], extra["command"],
        extra["versions"], file,
    )  # fmt: skip


# --- what there is -----------------------------------------------------------------------------------------


def _shown(found: Found, study: "Study | None") -> dict[str, Measure]:
    """The measures that a result is about."""
    if isinstance(found, Answer):
        kpis = found.cells[0]["kpis"]
        first = next(iter(kpis)) if study is None else study.params.decides.measure
        better = "neither" if study is None else study.params.decides.better
        return {
            name: Measure(kpis[name]["words"], kpis[name]["unit"], better if name == first else "neither")
            for name in dict.fromkeys([first, *kpis])
        }
    if isinstance(found, Sweep):
        names = list(found.parts)
    elif isinstance(found, Replications):
        names = list(found.precision.half_widths) if found.precision else []
    else:
        names = [found.kpi]
    # The first is what the study is about; the others tell what else it did.
    known = None if isinstance(found, Sensitivity) else _of_cells(found)[0].figures
    usual = [] if known is None else [name for name in _USUAL if name in known]
    return {
        name: Measure(title_of(name), unit_of(name), better_of(name))
        for name in dict.fromkeys([*names, *usual])
    }


_USUAL: Final = (
    "order_cycle_time_s", "put_away_time_s", "late_orders", "robot_utilisation", "fill_boxes",
)  # fmt: skip


def _of_cells(found: Comparison | Sweep | Selection | Replications) -> list[CellResult]:
    return [found.cell] if isinstance(found, Replications) else found.cells


def _cells(found: Found) -> Iterator[CellValues]:
    if isinstance(found, Sensitivity):
        return
    if isinstance(found, Answer):
        for cell, replications, observed in zip(found.cells, found.replicated, found.observed, strict=True):
            name = f"{cell['name']}, {cell['group']}" if cell["group"] else cell["name"]
            kpis = dict.fromkeys(kpi for each in replications for kpi in each.measures)
            values: dict[str, Values] = {f"{OWN}{measure}": own for measure, own in observed.items()}
            values.update({kpi: [each.measures.get(kpi) for each in replications] for kpi in kpis})
            yield CellValues(name, _plain(cell["set"]), _runs(replications), values)
        return
    for result in _of_cells(found):
        values = {measure: result.values(measure) for measure in result.figures}
        yield CellValues(result.name, _plain(result.sets), _runs(result.replications), values)


def _runs(replications: Sequence[Replication]) -> list[Run]:
    return [Run(each.replication, each.seed, each.digest, each.demand_digest) for each in replications]


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same as it comes back from a file."""
    found = _finite(document)
    assert isinstance(found, dict)
    return found


def _finite(value: Any) -> Any:
    """A value as JSON has it; what is without bounds in the word that scenarios have for it."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# --- tables ------------------------------------------------------------------------------------------------

LONG: Final = ("number", "cell", "replication", "seed", "digest", "demand_digest", "kpi", "value", "unit")
"""The columns of `VALUES_FILE`; `number` counts the cells from 0."""


def _long(found: Findings) -> dict[str, Any]:
    """One row a replication and measure, as columns of numpy."""
    import numpy as np

    units = {f"{OWN}{name}": measure.unit for name, measure in found.shown.items()}
    rows = [
        (
            number,
            cell.name,
            *run,
            measure,
            values[at],
            units[measure] if measure in units else unit_of(measure),
        )
        for number, cell in enumerate(found.cells)
        for at, run in enumerate(cell.runs)
        for measure, values in cell.values.items()
    ]
    kinds = {"number": np.int32, "replication": np.int32, "seed": np.int64, "value": np.float64}
    columns = list(zip(*rows, strict=True)) or [()] * len(LONG)
    return {
        name: np.array(column, dtype=kinds.get(name, object))
        for name, column in zip(LONG, columns, strict=True)
    }


def write_columns(columns: Mapping[str, Any], path: Path) -> None:
    """Write columns of numpy as Parquet, in their order; nan becomes nothing."""
    with duckdb_here() as connection:
        connection.execute("SET threads = 1")  # the same rows, the same bytes
        connection.register("given", dict(columns))
        shown = [
            f"CASE WHEN isnan({_quoted(name)}) THEN NULL ELSE {_quoted(name)} END AS {_quoted(name)}"
            if values.dtype.kind == "f"
            else _quoted(name)
            for name, values in columns.items()
        ]
        where = str(path).replace("'", "''")
        rows = f"SELECT {', '.join(shown)} FROM given"  # noqa: S608 - the names are quoted
        connection.execute(f"COPY ({rows}) TO '{where}' (FORMAT parquet, COMPRESSION zstd)")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read_cells(path: Path, digest: str, document: Mapping[str, Any]) -> list[CellValues]:
    shown = printable(str(path))
    try:
        found = sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise StudyError([f"{shown}: expected the replications of the study, found no such file"]) from None
    if found != digest:
        expected = f"expected the replications of the study with SHA-256 {digest}"
        raise StudyError([f"{shown}: {expected}, found {found}"])
    sets = [cell["set"] for cell in document["cells"]] if "cells" in document else [{}]
    with duckdb_here() as connection:
        where = str(path).replace("'", "''")
        rows = connection.execute(f"SELECT * FROM read_parquet('{where}')").fetchall()  # noqa: S608
    cells: list[CellValues] = []
    for number, name, replication, seed, run_digest, demand, measure, value, _ in rows:
        if number == len(cells):
            cells.append(CellValues(name, sets[number], [], {}))
        cell = cells[number]
        run = Run(replication, seed, run_digest, demand)
        if not cell.runs or cell.runs[-1] != run:
            cell.runs.append(run)
        cell.values.setdefault(measure, []).append(value)
    return cells


def _replaced(folder: Path, name: str, write: Callable[[Path], object]) -> Path:
    """A file that is written under another name first."""
    unfinished = folder / f".{name}.unfinished"
    write(unfinished)
    return unfinished.replace(folder / name)


# --- for other programs ------------------------------------------------------------------------------------

ROWS: Final = ("cell", "replication", "seed", "kpi", "value", "unit")
PAIRS: Final = (
    "kpi", "a", "b", "difference", "low", "high", "n", "unit", "level", "comparisons", "unpaired_ratio",
)  # fmt: skip


def write_csv(found: Findings, folder: Path) -> list[Path]:
    """Write replications.csv, one row a replication and measure, and paired.csv if anything is paired."""
    paths = [folder / "replications.csv"] if found.cells else []
    for path in paths:
        columns = _long(found)
        rows = zip(*(columns[name].tolist() for name in ROWS), strict=True)
        _write_rows(path, ROWS, rows)
    if found.document.get("paired"):
        paths.append(folder / "paired.csv")
        pairs = ([row.get(name) for name in PAIRS] for row in _pairs(found))
        _write_rows(paths[-1], PAIRS, pairs)
    return paths


def write_parquet(found: Findings, folder: Path) -> list[Path]:
    """The same as Parquet: replications.parquet, which is there, and paired.parquet."""
    import numpy as np

    paths = [folder / VALUES_FILE] if found.cells else []
    pairs = list(_pairs(found))
    if pairs:
        texts = ("kpi", "a", "b", "unit")
        columns = {
            name: np.array([row.get(name) for row in pairs], dtype=object)
            if name in texts
            else np.array([math.nan if row.get(name) is None else row[name] for row in pairs], dtype=float)
            for name in PAIRS
        }
        paths.append(folder / "paired.parquet")
        write_columns(columns, paths[-1])
    return paths


def write_kpis(result: Result, folder: Path, *, csv: bool, parquet: bool) -> list[Path]:
    """Write the KPIs of one run, kpis.csv or kpis.parquet: values, percentiles and parts, one a row."""
    import numpy as np

    measures = measures_of(result.kpis())
    rows = [(name, value, unit_of(name)) for name, value in measures.items()]
    paths = []
    if csv:
        paths.append(folder / "kpis.csv")
        _write_rows(paths[-1], ("kpi", "value", "unit"), rows)
    if parquet:
        names, values, units = zip(*rows, strict=True)
        columns = {
            "kpi": np.array(names, dtype=object), "value": np.array(values, dtype=float),
            "unit": np.array(units, dtype=object),
        }  # fmt: skip
        paths.append(folder / "kpis.parquet")
        write_columns(columns, paths[-1])
    return paths


def _pairs(found: Findings) -> Iterator[dict[str, Any]]:
    for row in found.document.get("paired", ()):
        yield {**row, "kpi": f"{OWN}{row['kpi']}"} if found.kind == "study" else row


def _write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(head)
        out.writerows(
            [
                "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
                for value in row
            ]
            for row in rows
        )
