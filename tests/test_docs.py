"""The documentation tells the truth: its commands, tables, links, pictures and names."""

import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *DOCS.glob("*.md")))


@pytest.fixture(scope="module")
def make_text() -> Iterator[ModuleType]:
    yield from _imported("make_text")


@pytest.fixture(scope="module")
def make_pictures() -> Iterator[ModuleType]:
    yield from _imported("make_pictures")


def _imported(name: str) -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _prose(page: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", _text(page), flags=re.DOTALL | re.MULTILINE)


# --- commands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if "```console" in _text(page)])
def test_commands_print_what_is_shown(make_text: ModuleType, page: str, tmp_path: Path) -> None:
    """Every command of a console fence prints what the page shows, after the files that the page names."""
    session = make_text.Session(tmp_path)
    wrong = []
    for fence in make_text.fences(_text(page)):
        session.keep(fence)
        if fence.kind != "console":
            continue
        for command in make_text.commands(fence):
            if command.text in make_text.NOT_RUN:
                continue
            printed = session.output(command.text)
            if not make_text.agree(command.shown, printed):
                wrong.append("\n".join([f"$ {command.text}", *printed]))
    assert not wrong, "run `python docs/make_text.py`; these print something else:\n\n" + "\n\n".join(wrong)


def test_commands_left_out_are_known(make_text: ModuleType) -> None:
    """A command that is not run, or run as another, stands on a page and in the Makefile."""
    shown = {
        command.text
        for page in PAGES
        for fence in make_text.fences(_text(page))
        if fence.kind == "console"
        for command in make_text.commands(fence)
    }
    assert set(make_text.NOT_RUN) <= shown
    assert set(make_text.STAND_INS) <= shown
    makefile = _text("Makefile")
    for command in (*make_text.NOT_RUN, *make_text.STAND_INS):
        program, target = command.split()
        assert program == "make"
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for target, stand_in in make_text.STAND_INS.items():
        recipe = rf"^{target.split()[1]}:.*\n\t\$\(VENV\)/bin/{re.escape(stand_in)}$"
        assert re.search(recipe, makefile, re.MULTILINE)


def test_elision_stands_for_lines(make_text: ModuleType) -> None:
    """Three dots match any lines between the shown ones, and nothing else does."""
    printed = ["a", "b", "c", "d"]
    assert make_text.agree(["a", "...", "d"], printed)
    assert make_text.agree(["..."], printed)
    assert make_text.agree(["a", "b", "...", "c", "d", ""], printed)
    assert not make_text.agree(["a", "...", "c"], printed)
    assert not make_text.agree(["b", "...", "d"], printed)
    assert not make_text.agree(["a", "b"], printed)
    assert not make_text.agree(["a", "b", "c", "...", "b", "c", "d"], printed[:3])


def test_outputs_are_written_anew(make_text: ModuleType) -> None:
    """Refreshing replaces outputs, keeps what is left out, and leaves the rest of the page alone."""
    page = "# A\n\n```console\n$ meterhouse --version\nwrong\n$ make test\nkept\n```\n\nend\n"
    new = make_text.with_outputs(page)
    assert re.sub(r"meterhouse \d+\.\d+\.\d+", "meterhouse X", new) == page.replace("wrong", "meterhouse X")


def test_named_files_are_used(make_text: ModuleType) -> None:
    """A TOML fence that names a file is used by a command of its page."""
    for page in PAGES:
        text = _text(page)
        for fence in make_text.fences(text):
            if fence.kind == "toml":
                name = fence.lines[0].removeprefix("# ")
                assert re.search(rf"^\$ .*\b{re.escape(name)}", text, re.MULTILINE), f"{page}: {name}"


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in _text(page)])
def test_python_runs(
    make_text: ModuleType, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python of a page runs from its first line to its last."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for fence in make_text.fences(_text(page)):
        if fence.kind == "python":
            exec(compile("\n".join(fence.lines), page, "exec"), names)


def test_example_rule_is_the_file(make_text: ModuleType) -> None:
    """The rule that own-rule.md walks through is docs/my_rules.py, word for word."""
    (fence,) = [f for f in make_text.fences(_text("docs/own-rule.md")) if f.lines[:1] == ["# my_rules.py"]]
    assert "\n".join([*fence.lines[1:], ""]) == _text("docs/my_rules.py")


def test_rules_see_what_is_said() -> None:
    """What own-rule.md says of a box, a view and a stream is there."""
    from sim.slots import BoxView, SlotView
    from sim.streams import Stream

    shown = {"box": BoxView, "view": SlotView, "stream": Stream}
    named = set(re.findall(r"\b(box|view|stream)\.([a-z_]+)", _text("docs/own-rule.md")))
    assert len(named) > 20
    assert {f"{of}.{name}" for of, name in named if not hasattr(shown[of], name)} == set()


# --- tables ----------------------------------------------------------------------------------------------


def test_every_table_has_a_page(make_text: ModuleType) -> None:
    """Marks and functions belong together, and no table stands twice."""
    found = [name for page in PAGES for name in make_text.tables_in(_text(page))]
    assert sorted(found) == sorted(make_text.TABLES)
    begun = [name for page in PAGES for name in re.findall(r"<!-- begin ([\w-]+) -->", _text(page))]
    assert begun == found


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- begin " in _text(page)])
def test_tables_are_current(make_text: ModuleType, page: str) -> None:
    """A table that the program writes is what it would write today; slow ones are checked below."""
    for name, shown in make_text.tables_in(_text(page)).items():
        if name in make_text.SLOW or name in make_text.NEED_TRACE:
            continue
        assert shown == make_text.TABLES[name](), f"{page}: {name}: run `python docs/make_text.py`"


_COUNTING = {
    "days": 365, "seeds": [1, 2, 3], "scales": [1, 100], "plans": ["none", "full"],
    "cells": [
        {
            "plan": plan, "scale": scale,
            "kpis": {
                "record_accuracy_location": {"mean": right, "low": right - 0.001, "high": right + 0.001},
                "count_robot_hours": {"mean": hours, "low": hours, "high": hours},
                "days_to_discovery": {"mean": None, "low": None, "high": None},
            },
            "accuracy": {
                "days": [0, 100, 365], "mean": [1.0, right, right], "low": [1.0, 0.9, 0.9],
                "high": [1.0, 1.0, 1.0],
            },
        }
        for scale, plan, right, hours in (
            (1, "none", 0.998, 0.0), (1, "full", 0.999, 12.345), (100, "none", 0.91, 0.0),
            (100, "full", 0.97, 1234.5),
        )
    ],
    "found": ["Full counts help."],
}  # fmt: skip

_COUNTING_TABLES = """- Full counts help.

**The default error rates**, 365 days, 3 seeds, in brackets the 95 % interval:

| plan | record accuracy location | count robot hours, h | days to discovery |
| --- | --- | --- | --- |
| `none` | 99.80 % (99.70 to 99.90 %) | 0 | - |
| `full` | 99.90 % (99.80 to 100.00 %) | 12.35 | - |

Share of slots whose record is right, mean over the seeds:

| plan | day 0 | day 100 | day 365 |
| --- | --- | --- | --- |
| `none` | 100.00 % | 99.80 % | 99.80 % |
| `full` | 100.00 % | 99.90 % | 99.90 % |

**100 times the default error rates**, 365 days, 3 seeds, in brackets the 95 % interval:

| plan | record accuracy location | count robot hours, h | days to discovery |
| --- | --- | --- | --- |
| `none` | 91.00 % (90.90 to 91.10 %) | 0 | - |
| `full` | 97.00 % (96.90 to 97.10 %) | 1,234 | - |

Share of slots whose record is right, mean over the seeds:

| plan | day 0 | day 100 | day 365 |
| --- | --- | --- | --- |
| `none` | 100.00 % | 91.00 % | 91.00 % |
| `full` | 100.00 % | 97.00 % | 97.00 % |"""

_OPERATION = {
    "seeds": 10,
    "situations": [
        {
            "name": "Peak",
            "rows": [
                {
                    "measure": "person-hours per 1,000 meters", "unit": "h", "better": "less",
                    "robot": {"mean": 1.2, "low": 1.1, "high": 1.3},
                    "manual": {"mean": 4.8, "low": 4.7, "high": 4.9}, "ratio": 0.25, "low": 0.24, "high": 0.26,
                },
                {
                    "measure": "late orders", "unit": "share", "better": "less",
                    "robot": {"mean": 0.0, "low": 0.0, "high": 0.0},
                    "manual": {"mean": 0.05, "low": 0.04, "high": 0.06}, "ratio": None, "low": None,
                    "high": None,
                },
            ],
        }
    ],
    "found": [],
}  # fmt: skip

_OPERATION_TABLES = """### Peak

| measure | better | robot | by hand | robot / by hand |
| --- | --- | --- | --- | --- |
| person-hours per 1,000 meters, h | less | 1.20 (1.10 to 1.30) | 4.80 (4.70 to 4.90) | 0.250 (0.240 to 0.260) |
| late orders | less | 0.00 % | 5.00 % (4.00 to 6.00 %) | - |

10 seeds in each situation; in brackets the 95 % interval."""


@pytest.mark.parametrize(
    ("name", "result", "tables"),
    [("counting", _COUNTING, _COUNTING_TABLES), ("operation", _OPERATION, _OPERATION_TABLES)],
)
def test_studies_become_tables(
    make_text: ModuleType,
    make_pictures: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    result: object,
    tables: str,
) -> None:
    """The result of a study becomes tables and a picture; without one a sentence says so."""
    monkeypatch.setattr(make_text, "STUDIES", tmp_path)
    monkeypatch.setattr(make_text, "ROOT", tmp_path)
    table, picture = make_text.TABLES[f"{name}-study"], tmp_path / f"{name}-study.svg"
    assert table() == "The figures of this study are not in this copy."
    make_pictures.PICTURES[picture.name](picture)
    assert not picture.exists()
    (tmp_path / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
    assert table() == tables
    make_pictures.PICTURES[picture.name](picture)
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_real_trace_is_current(make_text: ModuleType, shared_data: Path) -> None:
    """The scores on the real trace are those of today."""
    for page, name in (("README.md", "real-trace"), ("docs/allocation.md", "ladder")):
        assert make_text.tables_in(_text(page))[name] == make_text.TABLES[name](), f"{page}: {name}"


def test_theory_is_current(make_text: ModuleType) -> None:
    """The exact comparisons are those of today, and every comparison that is shown has its row."""
    from sim.validation import run_checks

    lines = make_text.tables_in(_text("README.md"))["theory"].splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:] if line.startswith("|")
    ]
    assert [row[:2] for row in rows] == [[shown.what, shown.theory] for shown in make_text.THEORY]
    exact = {case: run_checks([case]) for case in ("rack-a", "acr", "bozer-white")}
    for shown, row in zip(make_text.THEORY, rows, strict=True):
        if shown.case in exact:
            assert row == make_text.theory_row(shown, exact[shown.case])
        assert float(row[4]) <= float(row[2]) <= float(row[5]), row
    assert re.fullmatch(r"All \d+ comparisons hold\.", lines[-1])


# --- links and pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every link and picture of a page is a file of the repository, every anchor a heading of it."""
    here = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        name, _, anchor = target.partition("#")
        path = (here / name).resolve() if name else ROOT / page
        assert path.is_file(), f"{page}: {target}"
        assert path.is_relative_to(ROOT), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


def test_pictures_are_shown(make_pictures: ModuleType) -> None:
    """Every picture of docs/ is drawn by the project, stands on a page, is light and needs no network."""
    stored = {path.name for path in DOCS.iterdir() if path.suffix in (".svg", ".png")}
    studies = make_pictures.NEED_STUDY.items()
    assert stored == set(make_pictures.PICTURES) - {
        picture for picture, name in studies if not (DOCS / "studies" / f"{name}.json").is_file()
    }
    pages = "".join(_text(page) for page in PAGES)
    for name in sorted(stored):
        assert name in pages
        assert (DOCS / name).stat().st_size < 400_000
        if name.endswith(".svg"):
            text = (DOCS / name).read_text(encoding="utf-8")
            text = re.sub(r"http://www\.w3\.org/(?:2000/svg|1999/xlink)", "", text)
            assert not re.search(r"https?:|url\((?!#)|@import|href=\"(?!#)", text)


def test_terminal_picture_is_current(make_pictures: ModuleType, tmp_path: Path) -> None:
    """The racks are drawn as the terminal draws them today."""
    drawn = tmp_path / "layout.svg"
    make_pictures.PICTURES[drawn.name](drawn)
    assert drawn.read_text(encoding="utf-8") == _text("docs/layout.svg"), "run `make pictures`"


def test_pictures_show_the_run_of_the_text() -> None:
    """What the pictures show is the run, and the validation, that the README tells of."""
    from PIL import Image

    readme = _text("README.md")
    digest = re.search(r"facts, digest ([0-9a-f]{64})", readme)
    checks = re.search(r"^All (\d+) comparisons hold", readme, re.MULTILINE)
    assert digest is not None
    assert checks is not None
    assert digest[1] in _text("docs/run.svg"), "run `make pictures`"
    assert f"all {checks[1]} checks hold" in _text("docs/validate.svg"), "run `make pictures`"
    for name in ("report.png", "report-racks.png"):
        with Image.open(DOCS / name) as picture:
            assert picture.info["digest"] == digest[1], "run `make pictures`"


# --- names -----------------------------------------------------------------------------------------------

_SECTIONS = (
    r"time|calendar|boxes|layout|initial|supply|demand|people|staging|robots|tour|policy"
    r"|records|reads|counting|faults|fallback|returns|reverify|empties|control"
)


@pytest.mark.parametrize("page", PAGES)
def test_parameters_exist(page: str) -> None:
    """A dotted name in code quotes that begins with a section of the scenario is one of its values."""
    from sim.scenario import field_facts

    for name in re.findall(rf"`((?:{_SECTIONS})\.[a-z_0-9.]+)(?: = [^`]+)?`", _prose(page)):
        assert field_facts(tuple(name.split("."))), f"{page}: {name}"


def test_facts_of_the_journey_exist() -> None:
    """What a box is said to leave behind on its way are kinds of facts."""
    from sim.facts import KINDS

    text = _prose("docs/architecture.md")
    journey = text[text.index("Step by step") : text.index("## How a fact travels")]
    names = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", journey))
    assert len(names) > 20
    assert names <= set(KINDS)


def test_places_for_changes_exist() -> None:
    """What the page says to open is there, with the dicts that it names."""
    text = _prose("docs/architecture.md")
    rows = text[text.index("## Where to add what") : text.index("A function's first sentence")].splitlines()
    for row in rows:
        path, names = re.search(r"`(\w+/\w+\.py)`", row), re.findall(r"`(_?[A-Z][A-Z_]+)`", row)
        if path:
            assert (ROOT / path[1]).is_file(), row
        for name in names:
            assert path is not None
            assert hasattr(importlib.import_module(path[1][:-3].replace("/", ".")), name), row


def test_every_module_has_a_level(make_text: ModuleType) -> None:
    """The import contract, from which the module map is made, names every module of sim."""
    levels = [name for level in make_text.layers() for name in level]
    modules = {path.stem for path in (ROOT / "sim").glob("*.py")} - {"__init__"}
    assert sorted(levels) == sorted(modules)


def test_changelog_names_the_versions() -> None:
    """The newest entry of the changelog that is released is the version of the project; the first says the model's."""
    from sim.trace import MODEL_VERSION

    project = tomllib.loads(_text("pyproject.toml"))["project"]
    entries = _text("CHANGELOG.md").split("\n## ")[1:]
    newest = next(entry for entry in entries if "(unreleased)" not in entry.partition("\n")[0])
    assert re.match(rf"{re.escape(project['version'])} \(\d{{4}}-\d\d-\d\d\)\n", newest)
    assert f"model_version {MODEL_VERSION}:" in entries[0]


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_clean(page: str) -> None:
    """No address of a registry, no path of somebody's machine, nothing left to do, no line without an end."""
    text = _text(page)
    for word in ("index-url", "TODO", "FIXME", "XXX"):
        assert word.lower() not in text.lower(), f"{page}: {word}"
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users|usr|opt)/", text)
    assert not re.search(r"https?://", text)
    assert text.endswith("\n")
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
