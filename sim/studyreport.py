"""The report of many runs: one HTML page of a comparison, a sweep, a selection or a study.

It answers first: the sentence, how sure it is, and what to know before it is believed. Then come paired
differences, means, every replication, where the time goes, what the cells set, all inputs, and how to get it
again. Like the report of a run it needs no script and nothing from elsewhere, and the same study gives the
same bytes.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim import studypictures as drawn
from sim.charts import COLOURS, HEAT, NOTHING, Chart, Table, day_words
from sim.figures import span_text, title_of
from sim.report import Input, page, run_pictures, toml, write_report
from sim.results import read_result
from sim.scenario import Loaded, Scenario, field_facts, resolved
from sim.simulation import Result
from sim.studytable import Findings, Found, is_study, read_study, write_csv, write_kpis, write_parquet

if TYPE_CHECKING:
    from sim.studyfile import Study

REPORT_FILE: Final = "report.html"
MOST_CELLS: Final = 200
MOST_RUNS: Final = 2000


def keep_study(
    found: Found, folder: Path | str, base: Loaded, *, command: Sequence[str] = (),
    study: "Study | None" = None,
) -> None:  # fmt: skip
    """Write a finished study into its folder: the document, the values of its replications, the report."""
    findings = Findings.of(found, base, command, study)
    findings.write(Path(folder))
    _write(findings, Path(folder) / REPORT_FILE)


def report_folder(
    folder: Path, *, png: bool = False, csv: bool = False, parquet: bool = False
) -> tuple[Path, list[Path]]:
    """Write the report of a folder again, with pictures and tables beside it if they are asked for.

    Gives the report and the other files. Raises StudyError for a folder whose study is not finished or whole,
    ResultError and FactsError for that of a run.
    """
    if not is_study(folder):
        return _report_run(folder, png=png, csv=csv, parquet=parquet)
    findings = read_study(folder)
    path = folder / REPORT_FILE
    _write(findings, path)
    more = _write_all(list(_pictures(findings)), folder) if png else []
    more += write_csv(findings, folder) if csv else []
    more += write_parquet(findings, folder) if parquet else []
    return path, list(dict.fromkeys(more))


def _report_run(folder: Path, *, png: bool, csv: bool, parquet: bool) -> tuple[Path, list[Path]]:
    """The same for the folder of one run; its table is that of its KPIs."""
    result = read_result(folder)
    path = folder / REPORT_FILE
    write_report(result, path)
    more = _write_all(list(run_pictures(result)), folder) if png else []
    if csv or parquet:
        more += write_kpis(result, folder, csv=csv, parquet=parquet)
    return path, more


def write_study_report(found: Found, path: Path | str, base: Loaded | Scenario | None = None) -> None:
    """Write the report of an experiment as one HTML file, with the scenario that its cells vary, if given."""
    _write(Findings.of(found, base), Path(path))


def _write(findings: Findings, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(render(findings), encoding="utf-8", newline="\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def pictures(found: Result | Findings | Found) -> dict[str, Chart]:
    """The pictures of a run or of a study by their titles, in the order of its report."""
    if isinstance(found, Result):
        several = run_pictures(found)
    else:
        several = _pictures(found if isinstance(found, Findings) else Findings.of(found))
    return {title: chart for _, title, chart in several}


def _write_all(several: Sequence[tuple[str, str, Chart]], folder: Path) -> list[Path]:
    """Write pictures as PNG, numbered in the order of the report."""
    paths = []
    for number, (name, title, chart) in enumerate(several, 1):
        paths.append(folder / f"{number:02d}-{name}.png")
        drawn.write_png(title, chart, paths[-1])
    return paths


def _pictures(found: Findings) -> Iterator[tuple[str, str, Chart]]:
    """Every picture: the name of its file, its title, and itself."""
    first = _capital(next(iter(found.shown.values())).title) if found.shown else ""
    several: list[tuple[str, str, Chart | None]] = [
        ("differences", f"{first}: paired differences", drawn.decisive(found)),
        ("other-differences", "What else differs", drawn.others(found).chart),
        ("influence", f"What {_small(first)} is due to", drawn.influence(found)),
        ("bands", "What the answer could be", drawn.bands(found)),
        *(("means", title, chart) for title, chart in drawn.means(found)),
        ("distributions", f"{first} in every run", drawn.distributions(found)),
        *(("time-by-cause", title, chart) for title, chart in drawn.time_by_cause(found)),
        ("warm-up", "The weeks from the beginning on", drawn.warmup(found)),
    ]
    yield from ((name, title, chart) for name, title, chart in several if chart is not None)


# --- the page ----------------------------------------------------------------------------------------------


def render(found: Findings) -> str:
    """The report of a study as the text of one HTML page."""
    document = found.document
    is_study = found.kind == "study"
    differing, common = _sets(found)
    first = next(iter(found.shown.values()), None)
    return page(
        "studyreport.html.j2",
        kind=found.kind,
        kicker=_KICKERS[found.kind],
        title=_title(found),
        name=document["name"] if is_study else "",
        question=document["question"] if is_study else found.base.get("question", ""),
        facts=list(_facts(found)),
        answer=answer(found),
        badge=_badge(found),
        warnings=list(_warnings(found)),
        first="" if first is None else first.title,
        decisive=drawn.decisive(found),
        pairs_table=_pairs_table(found),
        correction=_correction(found),
        others=drawn.others(found),
        same=drawn.same_in_all(found),
        influence=drawn.influence(found),
        bands=drawn.bands(found),
        bands_of=document["bands"]["noise"]["of"].replace(" - ", " less ") if is_study else "",
        assumptions=_assumptions(found),
        refused=document.get("bands", {}).get("assumptions", {}).get("refused", []) if is_study else [],
        means=drawn.means(found),
        cells_table=_cells_table(found, differing),
        figures_table=_figures_table(found),
        distributions=drawn.distributions(found),
        most_panels=drawn.MOST_PANELS,
        many_cells=len(found.cells),
        time_split=drawn.time_by_cause(found),
        warmup=drawn.warmup(found),
        warmup_words=[row["sentence"] for row in document.get("warmup", ())],
        sets=_sets_table(found, differing),
        common=common,
        inputs=list(_given(found.base)),
        everything=[
            f"{key} = {toml(_without_none(value))}" for key, value in _leaves(found.base) if value is not None
        ],
        files=found.files,
        rests=document.get("relies_on", []) if is_study else [],
        missing=document.get("missing", "") if is_study else "",
        costs=document.get("costs", {}) if is_study else {},
        notes=document.get("notes", []) if is_study else [],
        profiles=document.get("profiles", []) if is_study else [],
        command=_command(found),
        file=found.file,
        versions=found.versions,
        demand=_demand_table(found),
        runs=_runs_table(found),
        most_cells=MOST_CELLS,
        most_runs=MOST_RUNS,
        causes=[name for name in COLOURS if name.startswith("cause-")],
        series=[name for name in COLOURS if name.startswith("series-")],
        heat=HEAT,
    )


_KICKERS: Final = {
    "compare": "comparison",
    "sweep": "sweep",
    "select": "selection",
    "sensitivity": "sensitivity",
    "replicate": "replications",
    "study": "study",
}


def _title(found: Findings) -> str:
    document = found.document
    if found.kind != "study":
        return document["scenario"] or "A store"
    return document["name"] if document["number"] is None else f"Question {document['number']}"


def answer(found: Findings) -> str:
    """The answer in a sentence."""
    document = found.document
    if found.kind == "compare":
        return _sentence(document["verdict"]["sentence"], title_of(document["kpi"]))
    if found.kind in ("select", "study"):
        return _sentence(document["answer"])
    measure, about = next(iter(found.shown.items()))
    if found.kind == "sensitivity":
        return _sensitivity(document, about.title)
    rows = [
        (figure, cell.name)
        for figure, cell in zip(found.figures(measure), found.cells, strict=True)
        if figure["mean"] is not None
    ]
    if not rows:
        return f"Nothing was observed of {about.title}."
    low, high = (choose(rows, key=lambda row: row[0]["mean"]) for choose in (min, max))
    if low[0]["mean"] == high[0]["mean"]:
        where = "" if len(rows) == 1 else f" in all {len(rows):,} cells"
        return f"{_capital(about.title)} is {_span(low[0], about.unit)}{where}."
    least, most = (f"{_span(figure, about.unit)} with {name}" for figure, name in (low, high))
    return f"{_capital(about.title)} goes from {least} to {most}."


def _sensitivity(document: Mapping[str, Any], what: str) -> str:
    first = document["factors"][0]
    if document["method"] == "morris":
        size = span_text(**first["size"], unit=document["unit"], is_difference=True)
        return f"{first['factor']} moves {what} most: by {size} over its range."
    if all(row["total"]["mean"] == 0 for row in document["factors"]):
        return f"Nothing moves {what}: it is the same in all cells."
    share = span_text(**first["total"], unit="share")
    return f"{first['factor']} explains most of {what}: {share} of its variance."


def _badge(found: Findings) -> tuple[str, bool] | None:
    """How sure the answer is, in words, and whether it is decided."""
    document = found.document
    if found.kind == "compare":
        told = document["verdict"]
        return ("decided" if told["decided"] else "not decided"), told["decided"]
    if found.kind == "select":
        is_selected = document["selected"] is not None
        return ("selected" if is_selected else "not selected"), is_selected
    if found.kind == "study":
        return ("decided by the runs" if document["decided"] else "not decided"), document["decided"]
    return None


def _warnings(found: Findings) -> Iterator[str]:
    """What to know before the figures are believed."""
    document = found.document
    yield from document.get("warnings", ())
    if others := document.get("other_demand"):
        names = ", ".join(others)
        yield f"Demand is not that of {found.cells[0].name} in {names}: that differs, too."
    precision = document.get("precision")
    if precision is not None and not precision["reached"]:
        wish = f"{precision['wish'] * 100:.4g} %"
        yield f"The precision of {wish} was not reached with {precision['replications']:,} replications."


def _facts(found: Findings) -> Iterator[str]:
    document, time = found.document, found.base.get("time", {})
    days = time.get("days")
    if found.kind == "study":
        days = document["days"]
    if days is not None:
        start = f" from {day_words(date.fromisoformat(time['start']), year=True)}" if "start" in time else ""
        varies = any(key.startswith("time.") for cell in found.cells for key in cell.sets)
        yield (
            f"{days:,} days{start}" if not varies or found.kind == "study" else "days as the cells have them"
        )
    if found.kind == "sensitivity":
        yield f"{document['cells']:,} cells of {_many(document['replications'], 'run')}"
    else:
        if len(found.cells) > 1:
            yield f"{len(found.cells):,} cells"
        many = sorted({len(cell.runs) for cell in found.cells})
        words = f"{many[0]:,} to {many[-1]:,} runs each" if len(many) > 1 else _many(many[0], "run")
        yield words if len(many) > 1 or len(found.cells) == 1 else f"{words} each"
        seeds = sorted({run.seed for cell in found.cells for run in cell.runs})
        if seeds:
            same = ", the same in all" if len(found.cells) > 1 else ""
            yield f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}{same}"
    yield f"horizon {document['horizon']}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _correction(found: Findings) -> str:
    rows = found.document.get("paired") or []
    if not rows:
        return ""
    if found.kind == "study":
        return f"Intervals hold together with 95 % ({rows[0]['method']})."
    level, many = found.document["level"] * 100, rows[0]["comparisons"]
    together = "" if many == 1 else f" that hold together for {many} comparisons (Bonferroni)"
    return f"{level:.4g} % intervals{together}."


# --- tables ------------------------------------------------------------------------------------------------


def _pairs_table(found: Findings) -> Table | None:
    """The differences of the deciding measure where there are too many to be drawn."""
    measure = next(iter(found.shown), "")
    rows = [row for row in found.document.get("paired", ()) if row["kpi"] == measure]
    if len(rows) <= drawn.MOST_ROWS:
        return None
    unit = found.shown[measure].unit
    shown = [
        [row["a"], row["b"], NOTHING if row["difference"] is None else _difference(row, unit)]
        for row in rows[:MOST_RUNS]
    ]
    return Table(["First", "Second", "First less second"], shown)


def _difference(row: Mapping[str, Any], unit: str) -> str:
    return span_text(row["difference"], row["low"], row["high"], unit, is_difference=True)


def _sets(found: Findings) -> tuple[list[str], dict[str, str]]:
    """The keys in which cells differ, and what all of them set."""
    keys = list(dict.fromkeys(key for cell in found.cells for key in cell.sets))
    common, differing = {}, []
    for key in keys:
        texts = {toml(cell.sets[key]) if key in cell.sets else None for cell in found.cells}
        if len(texts) == 1 and len(found.cells) > 1:
            common[key] = texts.pop() or ""
        else:
            differing.append(key)
    return differing, common


def _sets_table(found: Findings, differing: Sequence[str]) -> Table | None:
    """What sets cells apart: one line a cell."""
    if not differing:
        return None
    leaves = dict(_leaves(found.base))
    rows = [
        [cell.name, *(_shown(cell.sets.get(key, _held(leaves, found.base, key))) for key in differing)]
        for cell in found.cells[:MOST_CELLS]
    ]
    return Table(["Cell", *differing], rows)


def _held(leaves: Mapping[str, Any], base: Any, key: str) -> Any:
    """A value of the base scenario; the cell takes it where it sets none."""
    if key in leaves:
        return leaves[key]
    for part in key.split("."):
        try:
            base = base[int(part)] if isinstance(base, list) else base[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return base


def _cells_table(found: Findings, differing: Sequence[str]) -> Table | None:
    """The measures shown, one line a cell: what a sweep gives."""
    if found.kind != "sweep":
        return None
    figures = {measure: found.figures(measure) for measure in found.shown}
    rows = [
        [
            *(_shown(cell.sets.get(key)) for key in differing),
            *(_span(figures[measure][at], about.unit) for measure, about in found.shown.items()),
            f"{len(cell.runs):,}",
        ]
        for at, cell in enumerate(found.cells[:MOST_CELLS])
    ]
    keys = [key.rpartition(".")[2] for key in differing]
    heads = keys if len(set(keys)) == len(keys) else list(differing)
    return Table([*heads, *(_capital(about.title) for about in found.shown.values()), "Runs"], rows)


def _figures_table(found: Findings) -> Table | None:
    """Every KPI with its interval, a column a cell."""
    if found.kind in ("sensitivity", "study") or len(found.cells) > _MOST_COLUMNS:
        return None
    documents = [found.document] if found.kind == "replicate" else found.document["cells"]
    rows = []
    for measure in dict.fromkeys(name for each in documents for name in each["kpis"]):
        texts = [
            _span(each["kpis"][measure], each["kpis"][measure]["unit"])
            if measure in each["kpis"]
            else NOTHING
            for each in documents
        ]
        if "." not in measure or measure.endswith((".p50", ".p95")):
            rows.append([f"{_capital(title_of(measure))} ({measure})", *texts])
    return Table(["Measure", *(cell.name for cell in found.cells)], rows)


_MOST_COLUMNS: Final = 5


def _demand_table(found: Findings) -> Table | None:
    """The digests of demand, which are the same in all cells where demand is."""
    if not found.cells:
        return None
    by_digest: dict[str, list[str]] = {}
    for cell in found.cells:
        first = cell.runs[0].demand_digest if cell.runs else NOTHING
        by_digest.setdefault(first, []).append(cell.name)
    names = {
        digest: "all cells" if len(cells) == len(found.cells) > 1 else ", ".join(cells)
        for digest, cells in by_digest.items()
    }
    return Table(["Digest of the demand of replication 0", "Cells"], [
        [digest, cells] for digest, cells in list(names.items())[:MOST_CELLS]
    ])  # fmt: skip


def _runs_table(found: Findings) -> Table | None:
    rows = [
        [cell.name, str(run.replication), str(run.seed), run.digest]
        for cell in found.cells
        for run in cell.runs
    ]
    return Table(["Cell", "Replication", "Seed", "Digest of its facts"], rows[:MOST_RUNS]) if rows else None


def _assumptions(found: Findings) -> Table | None:
    """The inputs that were drawn from their ranges, the most influential first, with their flip points."""
    band = found.document.get("bands", {}).get("assumptions") if found.kind == "study" else None
    if not band:
        return None
    flips = {flip["input"]: flip for flip in found.document["flips"]}
    rows = []
    for path, each in sorted(band["inputs"].items(), key=lambda item: -abs(item[1]["influence"])):
        flip = flips.get(path)
        at = NOTHING if flip is None else "nowhere" if flip["at"] is None else f"{flip['at']:.3g}"
        texts = [NOTHING if each[key] is None else f"{each[key]:g}" for key in ("value", "low", "high")]
        unit = field_facts(tuple(path.split("."))).get("unit", "")
        rows.append([f"{path}, {unit}" if unit else path, *texts, f"{each['influence']:.2f}", at])
    return Table(["Assumption", "Default", "From", "To", "Rank correlation", "The answer flips at"], rows)


def _command(found: Findings) -> str:
    return shlex.join(["meterhouse", *found.command]) if found.command else ""


# --- inputs ------------------------------------------------------------------------------------------------


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _given(base: Mapping[str, Any]) -> Iterator[Input]:
    """The values of the scenario that are not the defaults."""
    usual = dict(_leaves(json.loads(json.dumps(resolved(Scenario())))))
    for key, value in _leaves(base):
        if key not in ("name", "question", "seed") and value != usual.get(key):
            facts = field_facts(tuple(key.split(".")))
            default = "" if key not in usual else _shown(usual[key])
            yield Input(
                key, _shown(value), default, facts.get("unit", ""), facts.get("description", ""), value
            )


def _shown(value: Any) -> str:
    """A value for a table: what is not given within it is left out, and what is long is cut."""
    if value is None:
        return "not given"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else toml(_without_none(value))
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS].rstrip()} …"


_MOST_LETTERS: Final = 240


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value


# --- words -------------------------------------------------------------------------------------------------


def _span(figure: Mapping[str, Any], unit: str) -> str:
    if figure["mean"] is None:
        return NOTHING
    return span_text(figure["mean"], figure["low"], figure["high"], unit)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _sentence(text: str, name: str = "not ") -> str:
    """A text as a sentence; what names a cell begins as that does."""
    text = _capital(text) if text.startswith(("not ", "no ", name)) else text
    return text if text.endswith(".") else f"{text}."
