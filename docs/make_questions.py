"""Answers the twenty questions and writes docs/questions.md with a picture of each answer.

Every study of scenarios/studies is run as `meterhouse study` runs it, and its answer kept as JSON in
docs/studies/questions; page and pictures are made of these alone. With names of studies after it only these
are run, with `--text` none. What is finished stays in the folder of `--keep`, so that the program can be
stopped and started again.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sim.experiment import open_runs
from sim.statistics import Interval
from sim.study import answer, between, told
from sim.studychart import draw
from sim.studyfile import load_study, study_files

HERE: Final = Path(__file__).resolve().parent
FOLDER: Final = HERE / "studies" / "questions"
PAGE: Final = HERE / "questions.md"


_ABOUT: Final = (
    "Each question is a study in `scenarios/studies`, answered by `meterhouse study"
    " NUMBER`. This page is written by `docs/make_questions.py` from what those runs gave, by version"
    " {versions} of the model. {answers} questions are answered with an interval; {decided} of them are"
    " decided by what is known."
)
_BANDS: Final = (
    "Two bands stand beside an answer. *Noise* is what other random numbers would change: the 95 % interval"
    " over the runs, of paired differences where cells are compared; where an answer rests on several, they"
    " hold together with 95 %. *Assumptions* is what is not known:"
    " every assumption with a stated range is drawn from it at once, and nine of ten draws lie within the"
    " band. Where that band spans zero, the sentence says so. A *flip point* is the value of one assumption"
    " at which the answer changes, all others at their defaults. Assumptions without a stated range stay"
    " fixed; so does everything that the question itself sets."
)


def main() -> None:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--text", action="store_true", help="runs nothing: page and pictures only")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keeps finished runs there")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="all if none is named")
    wanted = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in [] if wanted.text else wanted.studies or study_files():
        asked = load_study(name)
        place = None if wanted.keep is None else wanted.keep / asked.name
        with open_runs(place, workers=wanted.workers) as runs:
            found = answer(asked, runs)
        text = json.dumps(rounded(found.to_json()), indent=1, ensure_ascii=False, allow_nan=False)
        (FOLDER / f"{asked.name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{asked.name}: {found.answer}", file=sys.stderr, flush=True)
    for document in documents():
        (FOLDER / f"{document['name']}.svg").write_text(draw(document), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def rounded(value: Any) -> Any:
    """Six significant digits: enough for every table, and the same on every processor."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def documents() -> list[dict[str, Any]]:
    """The kept answers in the order of their questions."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]
    return sorted(found, key=lambda document: (document["number"], document["name"]))


def page() -> str:
    """The page of all answers."""
    answers = documents()
    decided = sum(1 for each in answers if each["decided"])
    versions = sorted({each["model_version"] for each in answers})
    parts = [
        "# Twenty questions",
        _ABOUT.format(versions=", ".join(versions), answers=len(answers), decided=decided),
        _BANDS,
        "\n".join(f"{each['number']}. [{each['question']}](#question-{each['number']})" for each in answers),
    ]
    for each in answers:
        parts += _answer(each)
    return "\n\n".join(parts) + "\n"


def _answer(document: Mapping[str, Any]) -> list[str]:
    number, name = document["number"], document["name"]
    parts = [
        f"## Question {number}",
        f"*{document['question']}*",
        f"**{document['answer']}**",
        f"![{document['picture']['caption']}](studies/questions/{name}.svg)",
        _cells(document),
        _bands(document),
    ]
    flips = _flips(document)
    if flips:
        parts.append(flips)
    if document["missing"]:
        parts.append(f"Not answered, as the model lacks it: {document['missing']}")
    relies = "\n".join(f"- {part['part']} (`{part['key']}`)" for part in document["relies_on"])
    parts.append(f"The answer relies on these parts of the model:\n\n{relies}")
    costs = [f"`--cost {name}=...` ({each['words']})" for name, each in document["costs"].items()]
    if costs:
        parts.append(f"Costs have no default: {', '.join(costs)}.")
    notes = " ".join(document["notes"])
    parts.append(f"`meterhouse study {name}`: {document['days']} days a run. {notes}")
    return parts


def _cells(document: Mapping[str, Any]) -> str:
    first = document["cells"][0]["kpis"]
    shown = [name for name in first if any(_has(cell, name) for cell in document["cells"])]
    head = ["cell", *(first[name]["words"] for name in shown)]
    rows = []
    for cell in document["cells"]:
        label = f"{cell['name']}, {cell['group']}" if cell["group"] else cell["name"]
        rows.append([label, *(_value(cell["kpis"][name]) for name in shown)])
    return _table(head, rows)


def _has(cell: Mapping[str, Any], name: str) -> bool:
    return cell["kpis"][name]["mean"] is not None


def _value(figure: Mapping[str, Any]) -> str:
    if figure["mean"] is None:
        return "-"
    low, high = (figure["mean"] if figure[key] is None else figure[key] for key in ("low", "high"))
    return told(Interval(figure["mean"], low, high, figure["n"]), figure["unit"])


def _bands(document: Mapping[str, Any]) -> str:
    noise, drawn = document["bands"]["noise"], document["bands"].get("assumptions")
    rows = []
    if noise["low"] is not None:
        rows.append(["noise", noise["of"], between(noise["low"], noise["high"], noise["unit"])])
    if drawn and drawn["low"] is not None:
        span = between(drawn["low"], drawn["high"], drawn["unit"])
        rows.append([f"assumptions, {drawn['draws']} draws", drawn["of"], span])
    return _table(["band", "of", "from and to"], rows)


def _flips(document: Mapping[str, Any]) -> str:
    rows = []
    for flip in document["flips"]:
        at = "nowhere" if flip["at"] is None else f"{flip['at']:.3g}"
        low, high = f"{flip['low']:g}", f"{flip['high']:g}"
        unit = f", {flip['unit']}" if flip["unit"] else ""
        rows.append([f"`{flip['input']}`{unit}", f"{flip['value']:g}", f"{low} to {high}", at])
    return (
        _table(["most influential assumption", "default", "stated range", "the answer flips at"], rows)
        if rows
        else ""
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    main()
