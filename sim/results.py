"""A result folder: what a run leaves behind, written whole or not at all, and read back.

    result.json     digest, KPIs, the resolved scenario, its input files and the versions that made them
    facts/          the trace (`trace.write_facts`)
    slots.parquet   one row a slot: where it is, what it held, how often it was visited
    report.html     the same for people

The folder comes into being under another name (`.NAME.unfinished`) and is renamed at the end, so that a
folder with its own name is complete. A long run fills it while it goes on; what a run leaves that was cut off
says that it is not all (`trace.read_parts`). Nothing in it tells when, where or by whom it was made.
"""

import json
import os
import platform
import shutil
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.calendar import WorkCalendar
from sim.commands import log_as_json, scenario_after
from sim.ownrule import file_of, is_own, placeholder
from sim.scenario import Loaded, ScenarioError, build_layout, from_dict, resolved, scenario_id
from sim.simulation import Given, Result
from sim.trace import FactsError, FactsWriter, Trace, duckdb_here, read_facts, read_parts, sync_folder
from sim.words import printable

if TYPE_CHECKING:
    from sim.tables import RunFacts

RESULT_FILE: Final = "result.json"
RULE_KEY: Final = "policy.allocation"
"""Under this key of `inputs` stands the file of a rule of the user's own."""

_PACKAGES: Final = ("meterhouse", "simpy", "numpy", "pydantic")


class ResultError(ValueError):
    """A folder that cannot be used; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def summary(result: Result, kpis: Mapping[str, Any], sentence: str) -> dict[str, Any]:
    """A run in one JSON object: scenario, seed, digest, simulated seconds, facts, KPIs, what limits it.

    With the commands that it was given and what became of them, if there were any.
    """
    return {
        "scenario": result.scenario.name,
        "scenario_id": scenario_id(result.scenario),
        "seed": result.seed,
        "digest": result.digest,
        "simulated_s": result.end_ms / 1000,
        "facts": len(result.trace),
        "kpis": dict(kpis),
        "limits": sentence,
        **(log_as_json(result.commands) if result.commands else {}),
    }


def refuse_folder(folder: Path) -> None:
    """Raise ResultError when `folder` is something else than a new, an empty or a result folder."""
    shown = printable(str(folder))
    if folder.is_dir():
        inside = [path.name for path in folder.iterdir()]
        if inside and RESULT_FILE not in inside:
            raise ResultError([f"{shown}: expected a new, empty or result folder, found other files in it"])
    elif folder.exists() or folder.is_symlink():
        raise ResultError([f"{shown}: expected a folder, found a file"])
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        found = "cannot be written" if above.is_dir() else "is a file"
        raise ResultError([f"{shown}: expected a folder that can be made, found that {above} {found}"])


def _unfinished(folder: Path) -> Path:
    """Where a result folder comes into being."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.unfinished")


def begin_result(trace: Trace, names: Mapping[str, Any], folder: Path) -> FactsWriter:
    """Begin the result folder of a run that goes on: its facts are written as they come.

    `names` are those of `Simulation.names`. What an interrupted run has left under the same name is removed.
    Raises as `write_result`.
    """
    refuse_folder(folder)
    unfinished = _unfinished(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    trace.names.update(names)
    return FactsWriter(trace, unfinished / "facts")


def drop_result(folder: Path) -> None:
    """Remove what a run has left that ended before its result was written."""
    shutil.rmtree(_unfinished(folder), ignore_errors=True)


def write_result(
    result: Result,
    folder: Path,
    *,
    loaded: Loaded,
    about: Mapping[str, Any],
    facts: FactsWriter | None = None,
    report: bool = True,
) -> None:
    """Write the result folder of a run; an older one of the same name is replaced.

    `about` is what `summary` gives, `facts` what `begin_result` gave when the run began. Without `report` it
    holds none: `meterhouse report` writes it later. Raises ResultError when other files stand in the way,
    OSError as files do.
    """
    if facts is None:
        facts = begin_result(result.trace, result.names, folder)
    folder = folder.resolve()
    unfinished = _unfinished(folder)
    try:
        result.trace.names.update(result.names)
        facts.finish()
        write_slots(result, unfinished / "slots.parquet")
        if report:
            from sim.report import write_report

            write_report(result, unfinished / "report.html")
        text = json.dumps(
            {**about, **_provenance(result, loaded)}, ensure_ascii=False, indent=1, allow_nan=False
        )
        (unfinished / RESULT_FILE).write_text(text + "\n", encoding="utf-8")
        _replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_document(document: Mapping[str, Any], folder: Path) -> None:
    """Write a result folder that holds a result.json only, as many runs together leave it."""
    refuse_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{RESULT_FILE}.unfinished"
    _write_json(document, unfinished)
    unfinished.replace(folder / RESULT_FILE)


def read_result(folder: Path) -> Result:
    """The result of a run from its folder, its facts checked against their digest.

    Raises ResultError for a folder without a result, FactsError for facts that are torn or altered.
    """
    shown = printable(str(folder))
    if not folder.is_dir():
        found = "a file" if folder.exists() else f"none{_what_is_left(_unfinished(folder))}"
        raise ResultError([f"{shown}: expected a result folder, found {found}"])
    path = f"{shown}/{RESULT_FILE}"
    try:
        document = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        values, seed, digest = document["resolved"], int(document["seed"]), str(document["digest"])
        end_ms = round(document["simulated_s"] * 1000)
        commands = [
            Given(
                round(1000 * row["t_s"]), row["sequence"], row["type"], row["args"], row["applied"],
                row["reason"],
            )
            for row in document.get("commands", ())
        ]  # fmt: skip
    except FileNotFoundError:
        left = _what_is_left(folder)
        raise ResultError(
            [f"{shown}: expected a result folder, found no {RESULT_FILE} in it{left}"]
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ResultError([f"{path}: expected the result of one run, found something else"]) from None
    try:
        with placeholder(rule) if (rule := _own_rule(document)) else nullcontext():
            scenario = from_dict(values)
            at_end = scenario_after(scenario, commands)
    except ScenarioError as error:
        raise ResultError([f"{path}: resolved.{line}" for line in error.lines]) from None
    trace = read_facts(folder / "facts")
    if trace.digest() != digest:
        raise ResultError([f"{shown}: expected facts with digest {digest}, found {trace.digest()}"])
    calendar = WorkCalendar(scenario.calendar, scenario.time.start)
    return Result(
        trace, scenario, build_layout(scenario), calendar, seed, end_ms, trace.names,
        commands=commands, scenario_at_end=at_end,
    )  # fmt: skip


def _what_is_left(unfinished: Path) -> str:
    """What an interrupted run has left in a folder, in words; nothing when there is none."""
    if not (unfinished / "facts").is_dir():
        return ""
    try:
        trace, _ = read_parts(unfinished / "facts")
    except FactsError:
        return (
            f"; a run was interrupted before a part of its facts was finished ({printable(unfinished.name)})"
        )
    until = f"{len(trace):,} facts up to {trace.last_ms / 1000:,.0f} s"
    return f"; an interrupted run has left {until} in {printable(unfinished.name)}, which are not all"


def _own_rule(document: Mapping[str, Any]) -> str:
    """The name of the rule of the user's own that made a result, whose file need not be here any more."""
    try:
        name, inputs = document["resolved"]["policy"]["allocation"], document["inputs"]
        return name if is_own(name) and RULE_KEY in inputs else ""
    except (KeyError, TypeError):
        return ""


def write_slots(result: Result, path: Path) -> None:
    """Write one row a slot as Parquet."""
    columns = slot_table(result)
    with duckdb_here() as connection:
        connection.register("slots", columns)
        quoted = str(path).replace("'", "''")
        connection.execute(f"COPY (FROM slots ORDER BY slot) TO '{quoted}' (FORMAT parquet)")


def kpi_table(result: Result) -> dict[str, Any]:
    """The KPIs of a run as columns of numpy, one row a KPI; nan where nothing was observed."""
    from sim.kpis import KPIS

    kpis = result.kpis()
    numbers = {
        key: np.array([np.nan if kpi.get(key) is None else float(kpi[key]) for kpi in kpis.values()])
        for key in ("value", "p50", "p95", "n")
    }
    units = np.array([KPIS[name].unit for name in kpis])
    return {"kpi": np.array(list(kpis)), **numbers, "unit": units}


def slot_table(result: Result) -> dict[str, Any]:
    """The slots of a run as columns of numpy: place in metres, capacity, mean fill and visits by robots."""
    from sim.kpis import slot_fill, slot_visits
    from sim.tables import RunFacts

    layout, run = result.layout, RunFacts.of(result)
    return {
        "slot": np.arange(layout.slots),
        "name": np.array(layout.names[: layout.slots], dtype=object),
        "row": layout.row,
        "column": layout.column,
        "level": layout.level,
        "x_m": layout.x_mm[: layout.slots] / 1000,
        "y_m": layout.y_mm[: layout.slots] / 1000,
        "z_m": layout.z_mm[: layout.slots] / 1000,
        "capacity_boxes": np.array(layout.capacity),
        "mean_fill": slot_fill(run),
        "visits": slot_visits(run),
        "boxes_at_end": _boxes_at_end(run),
    }


def _boxes_at_end(run: "RunFacts") -> Any:
    from sim.history import state_at

    return state_at(run.trace, run.layout, run.end_ms).slot_counts


def _provenance(result: Result, loaded: Loaded) -> dict[str, Any]:
    made_by = versions(result.trace.model_version)
    return {"inputs": inputs(loaded), "resolved": resolved(result.scenario), "versions": made_by}


def versions(model: str) -> dict[str, str]:
    """What made a result: the version of the model, of Python, and of the packages that have a say in it."""
    found = {"model": model, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def inputs(loaded: Loaded) -> dict[str, dict[str, str]]:
    """The files that went into a run by dotted path, that of its own rule among them, with their SHA-256."""
    files = {
        path: {"file": file.name, "sha256": sha256(file.read_bytes()).hexdigest()}
        for path, file in loaded.files().items()
    }
    rule = file_of(loaded.scenario.policy.allocation)
    return files if rule is None else {**files, RULE_KEY: rule}


def _write_json(document: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _replace(unfinished: Path, folder: Path) -> None:
    """Give a finished folder its name; what had it before goes."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
