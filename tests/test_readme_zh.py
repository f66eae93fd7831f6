"""The Chinese README says what the English one says: the same figures, commands and pictures."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

MORE_PICTURES = {"docs/page-zh.png", "docs/page-3d.png"}


def rows(text, title):
    """The rows of the tables of a section, each as its cells that are figures."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    found = [tuple(cell for cell in row if re.fullmatch(r"[\d,.]+( %)?", cell)) for row in cells]
    return [row for row in found if row]


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("What the model answers to", "与理论对照"),
        ("Which slot takes a box", "货位分配"),
    ],
)
def test_tables_have_the_same_figures(english, chinese):
    """Each row of a table is a row of the English one, figure for figure."""
    found = rows(CHINESE, chinese)
    assert len(found) >= 9
    assert [row for row in found if row not in rows(ENGLISH, english)] == []


def test_prose_has_the_same_figures():
    """No figure stands in the Chinese text that the English one does not have."""
    prose = re.sub(r"^```.*?^```$", "", CHINESE, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose)
    own = {"2021", "11", "1,000"}  # a date, eleven plans, ten million slots in another unit
    found = set(re.findall(r"\d[\d,.]*\d|\d", prose)) - own
    english = set(re.findall(r"\d[\d,.]*\d|\d", ENGLISH))
    assert found - english == set()


def test_commands_are_in_both():
    """A command that is shown is shown in English, too, or is one of checking a file."""
    commands = re.findall(r"^\$ (.*)$", CHINESE, re.MULTILINE)
    assert len(commands) >= 8
    english = re.findall(r"^\$ (.*)$", ENGLISH, re.MULTILINE)
    assert [
        each for each in commands if each not in english and not each.startswith("meterhouse check ")
    ] == []


def test_pictures_are_there():
    """Every picture is a file here, and is in the English page but for those of the pages."""
    pictures = set(re.findall(r"!\[[^\]]*\]\(([^)]*)\)", CHINESE))
    assert {each for each in pictures if not (ROOT / each).is_file()} == set()
    assert pictures - set(re.findall(r"\]\(([^)]*)\)", ENGLISH)) <= MORE_PICTURES
