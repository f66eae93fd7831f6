"""The twenty questions: what each study that ships asks, how to ask it, and what came of it where it is kept.

A study takes minutes to hours, so nobody runs one here. A checkout of the repository has the answers of all
of them, with a picture each, in docs/studies/questions; an installed package has the questions alone.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from sim.studyfile import study_files


def questions() -> list[dict[str, Any]]:
    """Every question in the order of its number."""
    told = [_told(name, path) for name, path in study_files().items()]
    return sorted(told, key=lambda each: each["number"])


def picture(name: str) -> Path | None:
    """The picture of an answer, an SVG file; None when there is none."""
    path = _kept(name, "svg")
    return path if name in study_files() and path.is_file() else None


def _told(name: str, path: Path) -> dict[str, Any]:
    study = tomllib.loads(path.read_text(encoding="utf-8"))
    kept = _kept(name, "json")
    answer = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    return {
        "name": name,
        "number": study["number"],
        "question": study["question"],
        "base": study.get("base", "luoyang"),
        "command": f"meterhouse study {name}",
        "answer": answer.get("answer"),
        "decided": answer.get("decided"),
        "caption": study["picture"]["caption"],
        "picture": None if picture(name) is None else f"/static/questions/{name}.svg",
    }


def _kept(name: str, kind: str) -> Path:
    """Where the repository keeps what is known of a study."""
    scenarios = next(iter(study_files().values())).parents[1]
    return scenarios.parent / "docs" / "studies" / "questions" / f"{name}.{kind}"
