"""Measures everything beside its reference on this machine, and writes docs/performance.md from it.

With `--measure` all benchmarks run, which takes some ten minutes; what they found is kept in
`benchmarks/measured.json`. Without it the tables and pictures of the page are made anew from what is on
record there and in `benchmarks/before.json`: what the model took before its loop was made quicker. A
measurement of a part of the benchmarks (`--only WORD`, as pytest's `-k`) replaces its own rows only.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
FOLDER: Final = ROOT / "docs" / "performance"
MEASURED: Final = ROOT / "benchmarks" / "measured.json"
BEFORE: Final = ROOT / "benchmarks" / "before.json"

Figures = dict[str, Any]

OLD_ROWS: Final[dict[str, Callable[[Figures], float]]] = {
    "dispatch loop, jobs done": lambda old: old["kernel"]["ratio"],
    "complete model, box moves": lambda old: old["twin"]["ratio"],
    "complete model, box moves a timeout": lambda old: old["model"]["moves_a_timeout"],
}
"""The ratios of which it is on record what they were before, by name."""

COUNTS: Final[dict[str, Callable[[Figures], float]]] = {
    "events through SimPy's queue, a job of the dispatch loop": lambda f: f["kernel"]["events_a_job"],
    "Python calls, a job of the dispatch loop": lambda f: f["kernel"]["calls_a_job"],
    "events through SimPy's queue, a box move of the model": lambda f: f["model"]["counts_a_move"]["events"],
    "Python calls, a box move of the model": lambda f: f["model"]["counts_a_move"]["calls"],
    "facts, a box move of the model": lambda f: f["model"]["counts_a_move"]["rows"],
}
"""What is counted exactly, and where it stands."""


# --- measuring -------------------------------------------------------------------------------------------


def measure(only: str | None) -> Figures:
    """Run the benchmarks, and what says where a move's time goes; gives what is to be kept."""
    from benchmarks import kernel, where
    from sim.bench import machine_facts

    found: Figures = {"machine": machine_facts(), "rows": rows_of_benchmarks(only)}
    jobs = kernel.draw(2_000)
    product = kernel.Product(jobs)
    first = next(product.env._eid)
    calls = where.python_calls(product.run)
    events = next(product.env._eid) - first - 1
    found["kernel"] = {
        "events_a_job": round(events / len(jobs), 3), "calls_a_job": round(calls / len(jobs), 2),
    }  # fmt: skip
    found["model"] = where.figures(rounds=15)
    return found


def rows_of_benchmarks(only: str | None) -> list[Figures]:
    """The rows that the benchmarks hand over; raises CalledProcessError when one has a wrong answer."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "benchmarks.json"
        options = [
            "--benchmark-enable",
            "--benchmark-only",
            "--benchmark-quiet",
            "--timeout=3600",
            f"--benchmark-json={saved}",
        ]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "benchmarks",
            "-q",
            *options,
            *(["-k", only] if only else []),
        ]
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603
        results = json.loads(saved.read_text(encoding="utf-8"))
    return [row for case in results["benchmarks"] for row in case["extra_info"].get("ratios", [])]


def kept(new: Figures, old: Figures | None) -> Figures:
    """What is to be kept after a part was measured: rows that were not measured again stay."""
    measured = {row["name"]: row for row in new["rows"]}
    rows = [measured.pop(row["name"], row) for row in (old["rows"] if old else [])]
    rows += measured.values()
    first = list(OLD_ROWS)
    rows.sort(key=lambda row: first.index(row["name"]) if row["name"] in first else len(first))
    return {**new, "rows": rows}


# --- tables ----------------------------------------------------------------------------------------------


def ratios_table(now: Figures, before: Figures) -> str:
    """Every ratio beside its reference, with its limit and its verdict."""
    from benchmarks.ratios import figure, limit_words, verdict

    lines = [["what", "beside", "before", "found", "aim", "verdict"]]
    for row in now["rows"]:
        old = figure(OLD_ROWS[row["name"]](before)) if row["name"] in OLD_ROWS else ""
        lines.append([row["name"], row["against"], old, figure(row["found"]), limit_words(row), verdict(row)])
    return markdown(lines)


def where_table(now: Figures, before: Figures) -> str:
    """Microseconds and share of a move by part of the model, before and now."""
    old, new = before["model"], now["model"]
    lines = [["part", "before, us", "share", "now, us", "share"]]
    for part, share in new["parts"].items():
        was = old["parts"].get(part, {"us": 0.0, "share": 0.0})
        lines.append([part, *_us_and_share(was), *_us_and_share(share)])
    lines.append(["**all**", f"**{old['us_a_move']:.1f}**", "", f"**{new['us_a_move']:.1f}**", ""])
    lines.append(["a bare timeout", f"{old['us_a_timeout']:.2f}", "", f"{new['us_a_timeout']:.2f}", ""])
    return markdown(lines)


def _us_and_share(part: Mapping[str, float]) -> tuple[str, str]:
    return f"{part['us']:.1f}", f"{part['share']:.0%}".replace("%", " %")


def counts_table(now: Figures, before: Figures) -> str:
    """What is counted exactly, before and now."""
    lines = [["counted", "before", "now"]]
    lines += [[name, f"{of(before):.2f}", f"{of(now):.2f}"] for name, of in COUNTS.items()]
    return markdown(lines)


def machine_words(now: Figures, _before: Figures) -> str:
    """The machine, in a sentence."""
    from sim.bench import machine_line

    return f"Measured on: {machine_line(now)}."


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table of a Markdown page."""
    head, *rows = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


PARTS: Final[dict[str, Callable[[Figures, Figures], str]]] = {
    "machine": machine_words,
    "ratios": ratios_table,
    "where": where_table,
    "counts": counts_table,
}
"""What of the page is made from figures, by the name in its markers."""


def with_parts(text: str, now: Figures, before: Figures) -> str:
    """The page with all that is made from figures written anew; raises ValueError for want of a marker."""
    for name, make in PARTS.items():
        marked = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"{PAGE.name}: expected the markers of {name!r}, found none")
        made = make(now, before)
        text = marked.sub(lambda match, made=made: f"{match[1]}\n{made}\n\n{match[2]}", text)
    return text


# --- pictures --------------------------------------------------------------------------------------------

_INK, _MUTED, _LINE, _HELD, _MISSED = "#17202b", "#5c6875", "#dde2e7", "#2f6d4d", "#b04a12"
_HUES: Final = (
    "#146b7f", "#b04a12", "#2f6d4d", "#7a4fa3", "#a3303f", "#5c6875", "#8a6d00", "#2b5fb3", "#b7791f",
    "#9aa3ab",
)  # fmt: skip


def draw_ratios(now: Figures, _before: Figures, path: Path) -> None:
    """Draw how far each ratio is from its aim, on a logarithmic scale: right of the line it holds."""
    from benchmarks.ratios import verdict

    rows = [row for row in now["rows"] if row["at_most"] != 0][::-1]
    figure, axes = _figure(8.6, 0.26 * len(rows) + 0.9, left=0.55, bottom=0.55)
    for height, row in enumerate(rows):
        far = row["found"] / row["at_least"] if row["at_most"] is None else row["at_most"] / row["found"]
        far = min(max(far, 0.01), 100.0)
        colour = _HELD if verdict(row) == "holds" else _MISSED
        axes.plot([1, far], [height, height], color=colour, linewidth=1.6, solid_capstyle="round")
        axes.plot([far], [height], color=colour, marker="o", markersize=4.5)
    axes.axvline(1, color=_INK, linewidth=1.0)
    axes.set_xscale("log")
    axes.set_xlim(0.009, 111)
    axes.set_xticks([0.01, 0.1, 1, 10, 100], ["1/100", "1/10", "aim", "10 x", "100 x"])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="x", color=_LINE, linewidth=0.7)
    _save(figure, path)


def draw_where(now: Figures, before: Figures, path: Path) -> None:
    """Draw where the microseconds of a box move go, before and now, part by part."""
    figure, axes = _figure(7.4, 2.9, left=0.1, bottom=0.5, right=0.68)
    names = list(now["model"]["parts"])
    for height, figures in enumerate((now, before)):
        parts, left = figures["model"]["parts"], 0.0
        for k, name in enumerate(names):
            us = parts.get(name, {"us": 0.0})["us"]
            label = name if height == 0 else None
            axes.barh(
                height, us, 0.55, left=left, color=_HUES[k % len(_HUES)], label=label, edgecolor="white"
            )
            left += us
        axes.text(
            left + 0.4, height, f"{figures['model']['us_a_move']:.1f} us", va="center", fontsize=9, color=_INK
        )
    axes.set_yticks([0, 1], ["now", "before"])
    axes.set_xlim(0, 1.14 * before["model"]["us_a_move"])
    axes.set_xlabel("microseconds of CPU time a box move", fontsize=8.5, color=_MUTED)
    axes.grid(axis="x", color=_LINE, linewidth=0.7)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8.5)
    _save(figure, path)


def _figure(wide: float, high: float, *, left: float, bottom: float, right: float = 0.97) -> tuple[Any, Any]:
    """A figure in inches with one pair of axes; `bottom` in inches, the others as shares."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((left, bottom / high, right - left, (high - bottom - 0.15) / high))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.tick_params(length=0, colors=_MUTED, labelsize=8.5, pad=5)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "performance", "font.family": "sans-serif"}):
        nobody = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(path, format="svg", metadata=nobody)
    # It names no address, and its lines end without blanks, as in every text of the project.
    text = re.sub(r"<!DOCTYPE[^>]*>\n", "", path.read_text(encoding="utf-8"))
    path.write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), encoding="utf-8")


PICTURES: Final[dict[str, Callable[[Figures, Figures, Path], None]]] = {
    "ratios.svg": draw_ratios,
    "where.svg": draw_where,
}
"""The pictures of the page, in docs/performance/."""


def refresh(names: Iterable[str] = PICTURES) -> None:
    """Make page and pictures anew from what is on record."""
    now, before = (json.loads(path.read_text(encoding="utf-8")) for path in (MEASURED, BEFORE))
    PAGE.write_text(with_parts(PAGE.read_text(encoding="utf-8"), now, before), encoding="utf-8")
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        PICTURES[name](now, before, FOLDER / name)
        print(f"docs/performance/{name}: {(FOLDER / name).stat().st_size / 1000:,.0f} kB", flush=True)


def main() -> None:
    """Measure if that is wanted, then make the page."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description="measures, and writes docs/performance.md and its pictures")
    parser.add_argument("--measure", action="store_true", help="runs the benchmarks first")
    parser.add_argument("--only", metavar="WORD", help="those only whose names have it")
    chosen = parser.parse_args()
    if chosen.measure or chosen.only:
        old = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else None
        found = kept(measure(chosen.only), old)
        MEASURED.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    refresh()


if __name__ == "__main__":
    main()
