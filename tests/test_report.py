"""The report: one self-contained page, the same bytes for the same run, safe whatever it is called."""

import html
import re
import tomllib
from functools import cache
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from sim import charts
from sim.calendar import WorkCalendar
from sim.charts import COLOURS, duration
from sim.kpis import KPIS
from sim.layout import Layout, LayoutParams
from sim.report import render, write_report
from sim.scenario import Scenario
from sim.simulation import run
from sim.tables import steps
from sim.trace import Trace

HOSTILE = '</title><script>alert("x")</script>'


@cache
def two_days():
    return run(Scenario(name="two days", question="What happens?", time={"days": 2}))


@cache
def page():
    return render(two_days())


class Tags(HTMLParser):
    """The tags of a page with their attributes, checked to close in order."""

    void = ("meta", "link", "br", "img", "hr", "use", "path")

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag


def drawings(text):
    return re.findall(r"<svg.*?</svg>", text, re.DOTALL)


def test_same_run_same_bytes(tmp_path):
    """A report written twice, and one of the same run made again, are equal byte for byte."""
    write_report(two_days(), tmp_path / "a.html")
    write_report(two_days(), tmp_path / "b.html")
    two_days.cache_clear()
    write_report(two_days(), tmp_path / "c.html")
    first = (tmp_path / "a.html").read_bytes()
    assert first == (tmp_path / "b.html").read_bytes() == (tmp_path / "c.html").read_bytes()
    assert b"\r" not in first


def test_page_needs_nothing_else():
    """The page names no other address, loads nothing and runs no script."""
    text = page()
    addresses = set(re.findall(r"https?://[^\"' <]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    tags = Tags(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags.found}
    for _, attributes in tags.found:
        assert attributes.get("xlink:href", "#").startswith("#")
        assert not {"src", "href", "onload", "onclick"} & set(attributes)


def test_hostile_names_stay_text():
    """Markup in a scenario's texts is shown, not obeyed."""
    sku = {"name": '<img src=x onerror="y">'}
    text = render(run(Scenario(name=HOSTILE, question=HOSTILE, time={"days": 1}, skus=[sku])))
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;/title&gt;&lt;script&gt;" in text
    Tags(text)


def test_answer_comes_first():
    """The sentence on what limits the store stands above every chart, and the digest is on the page."""
    text = page()
    assert 0 < text.index('class="answer"') < text.index("<svg")
    assert two_days().digest in text
    assert "What happens?" in text


def test_every_chart_has_its_table():
    """Under each drawing stands a table with as many cells a row as it has headings."""
    text = page()
    assert len(drawings(text)) == 6
    assert text.count("<figure>") == text.count("<details>") == 6
    for table in re.findall(r"<details>.*?</details>", text, re.DOTALL):
        rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        assert len(rows) > 1
        assert len({row.count("<td>") + row.count('<th scope="col">') for row in rows}) == 1


def test_drawings_follow_the_page_colours():
    """Drawings are XML of their own, and every colour in them is defined for light and for print."""
    text = page()
    for drawing in drawings(text):
        ElementTree.fromstring(drawing)
        assert not re.search(r"#[0-9a-f]{6}\b(?!\")", re.sub(r'(?:href="|url\()#\w+', "", drawing))
    defined = set(re.findall(r"--([\w-]+):", text))
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= defined
    assert set(COLOURS) <= defined


def test_every_kpi_is_listed():
    """Each KPI stands in the table with its sentence."""
    text = page()
    for name in KPIS:
        assert f'<div class="name">{name}' in text


def test_run_can_be_made_again():
    """The lines of the last section are a scenario file that gives the same scenario."""
    scenario = {
        "name": 'a "b" \\ 单相', "question": "é?\x85", "seed": 7,
        "time": {"days": 1, "start": "2026-04-01"},
        "layout": {"ports": [{"name": "gate", "x_m": 0.0, "serves": "both"}]},
        "calendar": {"shifts": [["00:00", "24:00"]], "holidays": ["2026-04-06"]},
        "robots": {"count": 2, "acceleration_m_per_s2": float("inf"), "passing": True},
        "demand": {"campaign": {"factor": 2.5}, "kind": "schedule", "schedule": [{"sku": "A", "meters": 30}]},
        "skus": [{"name": "A"}], "policy": {"tolerance_days": 0},
    }  # fmt: skip
    result = run(Scenario.model_validate(scenario))
    text = render(result)
    lines = re.search(r"<pre>\n(.*?)</pre>", text, re.DOTALL)[1]
    again = tomllib.loads(html.unescape(lines))
    assert Scenario.model_validate({**again, "seed": 7}) == result.scenario
    assert "meterhouse run again.toml --seed 7" in text


def test_defaults_need_no_lines():
    """A run of the default scenario says so."""
    result = two_days()
    bare = SimpleNamespace(
        trace=result.trace, scenario=Scenario(), layout=result.layout, calendar=result.calendar, seed=1,
        end_ms=result.end_ms,
    )  # fmt: skip
    text = render(bare)
    assert "Nothing: every value is the default." in text
    assert "<h1>A run</h1>" in text


def test_nothing_happened():
    """A run without facts, and one of no time at all, still give a page."""
    scenario = Scenario()
    for end_ms in (0, 86_400_000):
        empty = SimpleNamespace(
            trace=Trace(15), scenario=scenario, layout=two_days().layout,
            calendar=WorkCalendar(scenario.calendar, scenario.time.start), seed=1, end_ms=end_ms,
        )  # fmt: skip
        Tags(render(empty))


def test_a_large_store_is_drawn_as_one_map():
    """A store with too many cells to see is summed up, row by row and column by column."""
    layout = Layout(
        LayoutParams(rows=40, columns=240, levels=2, profile="uniform", boxes_per_slot=1),
        meters_per_box=15, box_height_m=0.2, access="direct", robots=1,
    )  # fmt: skip
    values = np.where(layout.row == 1, 1.0, 0.0)
    values[layout.column > 120] = np.nan
    ((label, matrix),) = charts._panels(layout, values)
    assert label == "40 rows upwards, 240 columns: mean of slots side by side"
    assert matrix.shape == (40, 120)
    assert matrix[0, :60].tolist() == [1.0] * 60
    assert matrix[1, :60].tolist() == [0.0] * 60
    assert np.isnan(matrix[:, 60:]).all()
    assert charts._slot_table(layout, values, values).head[0] == "The 200 slots visited most"


def test_rows_are_drawn_level_by_level():
    """A cell is NaN where there is no slot and infinite where a slot holds no boxes."""
    layout = Layout(
        LayoutParams(rows=1, columns=2, levels=2, profile="uniform", boxes_per_slot=1, omit=["1-02-1"]),
        meters_per_box=15, box_height_m=0.2, access="direct", robots=1,
    )  # fmt: skip
    ((label, matrix),) = charts._panels(layout, np.array([0.5, np.nan, 1.0]))
    # Slots in order: column 1 level 1, column 1 level 2, column 2 level 2.
    assert label == "Row 1"
    np.testing.assert_array_equal(matrix, [[0.5, np.nan], [np.inf, 1.0]])


def test_samples_keep_mean_and_peak():
    """A sampled series has the mean of each span, and no peak is lost however short."""
    line = steps(np.array([0, 500]), np.array([1000, 501]))
    edges, mean, most = charts._sampled(line, 0, 56_000)
    # 560 spans of 100 ms: one thing for 1000 ms, and a second one from 500 to 501 ms.
    assert edges[:3].tolist() == [0, 100, 200]
    assert mean[[0, 5, 9, 10]].tolist() == [1.0, 1.01, 1.0, 0.0]
    assert most[[0, 5, 9, 10]].tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"), (0.25, "0.2 s"), (9.96, "10.0 s"), (98.4, "98 s"), (120.0, "2.0 min"),
        (2250.2, "37.5 min"), (7200.0, "2.0 h"), (540_000.0, "150.0 h"), (5_184_000.0, "60.0 d"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    """A duration has the unit that reads best."""
    assert duration(seconds) == words
