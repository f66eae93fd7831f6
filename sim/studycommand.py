"""The command `meterhouse study`: a question answered in a sentence, with what it rests on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sim import printing
from sim.options import JsonOption, SetOption, spread
from sim.studycli import Place, opened_runs, words_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sim.study import Answer

NOTHING: Final = "-"
PICTURE_FILE: Final = "picture.svg"


@spread
def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="A study file, its name in scenarios/studies, or a number from 1 to 20."
        ),
    ],
    replications: Annotated[
        int | None,
        typer.Option(min=2, max=1_000_000, help="Runs of each cell, instead of those of the study."),
    ] = None,
    bands: Annotated[
        bool,
        typer.Option(
            "--bands/--no-bands", help="Draws the assumptions from their ranges; finds flip points."
        ),
    ] = True,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="Repeats the answer for the five slot profiles.")
    ] = False,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            "--cost", metavar="NAME=MONEY", help="A cost that the study asks for; it has no default."
        ),
    ] = None,
    set_: SetOption = None,
    *,
    place: Place,
    json: JsonOption = False,
) -> None:
    """Answers a question in a sentence, and says what it rests on."""
    from sim.scenario import load
    from sim.study import answer
    from sim.studychart import write
    from sim.studyfile import load_study
    from sim.studyreport import keep_study

    asked = load_study(name, set_ or ())
    costs = _costs(cost or ())
    out = place.out
    with opened_runs(load(asked.base), place) as runs:
        found = answer(asked, runs, replications=replications, costs=costs, bands=bands, profiles=profiles)
        document = found.to_json()
        if out is not None:
            words = words_of({"replications": found.replications, "set": set_, "cost": cost})
            flags = [*([] if bands else ["--no-bands"]), *(["--profiles"] if profiles else [])]
            command = ["study", name, *words, *flags]
            keep_study(found, out, load(asked.base), command=command, study=asked)
            write(document, out / PICTURE_FILE)
    if json:
        printing.write_json(document, out)
    else:
        _print(found, document, out)


def _costs(texts: Sequence[str]) -> dict[str, float]:
    """Costs by name; raises ScenarioError for what is no cost."""
    from sim.scenario import ScenarioError
    from sim.words import show

    costs, lines = {}, []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            costs[name.strip()] = float(value)
        except ValueError:
            lines.append(f"--cost: expected name=money, found {show(text)}")
    if lines:
        raise ScenarioError(lines)
    return costs


# --- printing --------------------------------------------------------------------------------------------


def _print(found: "Answer", document: Mapping[str, Any], out: Path | None) -> None:
    console = printing.console()
    console.print(printing.filled(found.question, console), highlight=False)
    console.print()
    console.print(_cells_table(found))
    if found.bands.get("assumptions"):
        console.print()
        console.print(_inputs_table(found))
    console.print()
    console.print(printing.filled(found.answer, console), style="bold", highlight=False)
    console.print()
    for note in _notes(found):
        console.print(printing.filled(note, console), highlight=False)
    for line in found.warnings:
        console.print()
        console.print(printing.filled(line, console), style="yellow", highlight=False)
    if out is not None:
        console.print(printing.filled(f"Kept in {out}, with {PICTURE_FILE}.", console), highlight=False)
    _print_profiles(console, document["profiles"])


def _notes(found: "Answer") -> list[str]:
    parts = "; ".join(part["part"] for part in found.relies_on)
    measures = [f"{name}: {each['words']}" for name, each in found.cells[0]["kpis"].items()]
    notes = [f"{'; '.join(measures)}.", *found.notes, f"It relies on {parts}."]
    if found.missing:
        notes.append(f"The model cannot say: {found.missing[:1].lower()}{found.missing[1:]}")
    asked = [f"{name} ({each['words']})" for name, each in found.costs.items() if each["value"] is None]
    if asked:
        notes.append(f"Not given: --cost {', '.join(asked)}.")
    return notes


def _cells_table(found: "Answer") -> "Table":
    from sim.statistics import Interval
    from sim.study import told

    shown = [name for name, each in found.cells[0]["kpis"].items() if any(_has(c, name) for c in found.cells)]
    heads = [part for name in shown for part in (">", name)]
    title = f"{found.replications} runs a cell, seeds from {found.seed}"
    table = printing.table(*heads, first="cell", title=title)
    for cell in found.cells:
        texts = []
        for name in shown:
            each = cell["kpis"][name]
            there = _has(cell, name)
            interval = Interval(each["mean"], each["low"], each["high"], each["n"]) if there else None
            texts.append(told(interval, each["unit"]) if there else NOTHING)
        table.add_row(f"{cell['name']}, {cell['group']}" if cell["group"] else cell["name"], *texts)
    return table


def _has(cell: Mapping[str, Any], name: str) -> bool:
    return cell["kpis"][name]["mean"] is not None


def _inputs_table(found: "Answer") -> "Table":
    """The inputs that were drawn, the most influential first, with their flip points."""
    band = found.bands["assumptions"]
    flips = {flip["input"]: flip for flip in found.flips}
    table = printing.table(
        ">", "default", ">", "from", ">", "to", ">", "rank correlation", ">", "flips at", first="assumption",
        title=f"{band['draws']} draws",
    )  # fmt: skip
    for path, each in sorted(band["inputs"].items(), key=lambda item: -abs(item[1]["influence"])):
        flip = flips.get(path)
        at = NOTHING if flip is None else "nowhere" if flip["at"] is None else f"{flip['at']:.3g}"
        texts = [f"{each[key]:g}" for key in ("value", "low", "high")]
        table.add_row(path, *texts, f"{each['influence']:.2f}", at)
    return table


def _print_profiles(console: "Console", profiles: Sequence[Mapping[str, Any]]) -> None:
    if not profiles:
        return
    table = printing.table("<", "outcome", "<", "best", first="slot profile", title="Slot profiles")
    for each in profiles:
        table.add_row(each["profile"], each["status"], each["best"])
    console.print()
    console.print(table)
