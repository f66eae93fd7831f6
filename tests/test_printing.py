"""What commands print: values with their units, texts in lines, JSON."""

import json

import pytest
from rich.console import Console

from sim import printing


def test_amounts_are_short():
    """One of a unit is singular, shares are in per cent, short times in minutes."""
    shown = [
        (1, "boxes"),
        (2, "boxes"),
        (1, "times"),
        (0.5, "share"),
        (0.9999985, "share"),
        (0.9996, "share"),
        (1, "share"),
        (0.00001, "share"),
        (0, "share"),
        (0.05, "h"),
        (2.19, "h"),
        (0, "h"),
        (0.5, "h"),
        (90, "s"),
        (0.25, "days"),
        (0.01, "days"),
        (1, "days"),
        (60.5, "days"),
        (0.00025, "boxes"),
        (0, "boxes"),
    ]
    assert [printing.amount(value, unit) for value, unit in shown] == [
        "1 box", "2 boxes", "1 time", "50.0 %", "> 99.99 %", "99.96 %", "100.0 %", "< 0.01 %", "0.0 %", "3.0 min", "2.19 h", "0 h", "30.0 min", "90.0 s",
        "6.0 h", "14.4 min", "1 day", "60.5 days", "< 0.001 boxes", "0 boxes",
    ]  # fmt: skip
    assert printing.amount(None, "s") == "none"


@pytest.mark.parametrize("width", range(12, 40))
def test_number_stays_with_its_sign(width):
    """A sentence is put into lines that fit, and no line begins with a per cent sign."""
    text = "The robot is busy 9 % of shift time and bar-code readers 11 %."
    lines = printing.filled(text, Console(width=width)).splitlines()
    assert " ".join(lines).replace("\u00a0", " ") == text
    assert max(map(len, lines)) <= width
    assert not any(line.startswith("%") or line.endswith(("9", "11", "bar-")) for line in lines)


def test_json_says_where_results_are(tmp_path, capsys):
    """A document is one line of JSON as it is, and names its folder last where it has one."""
    printing.write_json({"name": "\u6d1b\u9633"})
    printing.write_json({"name": 1}, tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        '{"name": "\u6d1b\u9633"}', json.dumps({"name": 1, "out": str(tmp_path)})
    ]  # fmt: skip


def test_numbers_stand_on_the_right():
    """A table of numbers aligns its first column to the left and all others to the right."""
    made = printing.numbers_table("name", "a", "b", title="of numbers")
    assert [(column.header, column.justify) for column in made.columns] == [
        ("name", "left"), ("a", "right"), ("b", "right")
    ]  # fmt: skip


def test_words_make_a_list():
    """Words in a sentence are parted by commas, the last by and."""
    words = (["a"], ["a", "b"], ["a", "b", "c"], [])
    assert list(map(printing.all_of, words)) == ["a", "a and b", "a, b and c", ""]
