"""The report: one self-contained page, the same bytes for the same run, safe whatever it is called."""

import html
import re
import tomllib
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.textpath import TextPath
from PIL import Image

from sim import charts, report
from sim import facts as f
from sim.allocation import OWN_RULES, POLICIES, Rule
from sim.calendar import WorkCalendar
from sim.charts import (
    COLOURS,
    PictureError,
    accuracy_lines,
    duration,
    ladder,
    operation_gaps,
    percent,
    write_picture,
)  # fmt: skip
from sim.kpis import KPIS, RunFacts
from sim.layout import Layout, LayoutParams
from sim.report import render, write_report
from sim.scenario import Scenario
from sim.simulation import run
from sim.tables import steps
from sim.trace import Trace
from tests.test_kpis import DAY_MS, HOUR, NONE, R0, counting

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
        trace=result.trace, scenario=Scenario(), scenario_at_end=Scenario(), commands=[], layout=result.layout, calendar=result.calendar, seed=1,
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
            trace=Trace(15), scenario=scenario, scenario_at_end=scenario, commands=[], layout=two_days().layout,
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


# -- records ----------------------------------------------------------------------------------------------


@cache
def four_days():
    """Four days in which a box goes astray for two, a meter is taken unnoticed, and three slots are counted."""
    story = counting().robot(0, f.IDLE)
    story.move(DAY_MS, 2, 2, R0, 0).move(DAY_MS, 2, R0, 3, 0, recorded=NONE)
    story.tell(DAY_MS, "box_recorded", 2, 2, 0, 0, f.WHY_ERROR)
    story.tell(DAY_MS, "error_made", 0, f.WRONG_SLOT, 2, 0, 3)
    story.tell(2 * DAY_MS, "error_made", 1, f.UNRECORDED_REMOVAL, 0, 1, NONE)
    story.tell(3 * DAY_MS, "box_recorded", 2, 3, 0, 0, f.WHY_PLACE).tell(
        3 * DAY_MS, "error_found", 0, f.AT_PLACE, 2
    )
    facts = story.run(4 * DAY_MS)
    scenario = Scenario()
    return SimpleNamespace(
        trace=facts.trace, scenario=scenario, scenario_at_end=scenario, commands=[], layout=facts.layout, calendar=facts.calendar, seed=1,
        end_ms=facts.end_ms,
    )  # fmt: skip


def test_records_have_a_section():
    """A run in which truth and records part says how far, what was found and what it cost."""
    text = render(four_days())
    Tags(text)
    assert len(drawings(text)) == 7
    section = re.search(r"<h2>Records</h2>.*?</section>", text, re.DOTALL)[0]
    cards = re.findall(r'<dt>(.*?)</dt><dd class="value">(.*?)</dd><dd class="note">(.*?)</dd>', section)
    # Two of four slots for two of four days; found after two days; counted in 3 h by the robot.
    assert cards == [
        ("Slots recorded right", "75.0<small>%</small>", "time mean; least 50.0 %, 100.0 % at the end"),
        ("Errors found", "1", "2 made; 1 still in the store, 0 left unseen"),
        ("Error to discovery", "2<small>d</small>", "95 % within 2 d"),
        ("False alarms", "1", "of 2 second looks; 2 noted at the first"),
        ("Robot counts", "3<small>h</small>", "3 slots, 2 second looks"),
        ("People count", "1.50<small>h</small>", "slots by hand, boxes opened"),
    ]
    errors = re.search(r'<div class="sheet errors below">(.*?)</div>', section, re.DOTALL)[1]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", errors, re.DOTALL)]
    assert rows[1:] == [
        ["Box set down in another slot than recorded", "1", "1", "0", "2"],
        ["Meter taken and not written down", "1", "0", "1", "\N{EN DASH}"],
    ]


def test_no_section_without_errors():
    """Where records are never wrong and nobody counts, the page says nothing of them."""
    assert "<h2>Records</h2>" not in page()
    assert not charts.has_records_to_show(RunFacts.of(two_days()))


def test_records_over_time():
    """The table has the mean and the least share of each day, and what happened on it."""
    chart = charts.records_over_time(RunFacts.of(four_days()))
    assert chart.table.head == [
        "Day",
        "Slots right: mean / least",
        "Errors made",
        "Found",
        "Looks into slots",
    ]
    # Counted on day 0: three slots, two of them again. Error 0 from day 1 to day 3, error 1 from day 2.
    assert chart.table.rows == [
        ["2 Mar", "100 % / 100 %", "0", "0", "5"], ["3 Mar", "50.0 % / 50.0 %", "1", "0", "0"],
        ["4 Mar", "50.0 % / 50.0 %", "1", "0", "0"], ["5 Mar", "100 % / 100 %", "0", "1", "0"],
    ]  # fmt: skip
    words = words_of(chart)
    assert {
        "2 errors made",
        "1 found",
        "5 looks into slots",
        "mean 75.0 %, least 50.0 %",
        "50 %",
        "100 %",
    } <= set(words)
    # A mark for each instant: two errors, one find, five looks at five instants.
    strokes = re.findall(r"stroke: var\(--(\w+)\); stroke-width: 1.4", chart.svg)
    assert [strokes.count(colour) for colour in ("mark", "accent", "muted")] == [2, 1, 5]


def ends_of(chart):
    """Each text of a drawing with its left and its right end in pixels, in the widest font of the page."""
    found = []
    for element in ElementTree.fromstring(chart.svg).iter():
        if element.tag.endswith("text"):
            text, style = element.text.strip(), element.get("style")
            size = float(re.search(r"font-size: ([\d.]+)px", style)[1]) * 4 / 3
            wide = TextPath((0, 0), text, size=size).get_extents().width if text else 0.0
            part = {"start": 0.0, "middle": 0.5, "end": 1.0}[re.search(r"text-anchor: (\w+)", style)[1]]
            left = float(element.get("x")) * 4 / 3 - part * wide
            found.append((text, left, left + wide))
    return found


@pytest.mark.parametrize(
    ("days", "last"), [(4, "5 Mar"), (15, "16 Mar"), (30, "30 Mar"), (365, "1 Mar"), (366, "1 Mar"),
                       (1093, "26 Feb 2029"), (4000, "18 Feb 2036")],
)  # fmt: skip
def test_no_text_is_cut(days, last):
    """All words of the charts over time lie in their drawing, and dates beside each other do not touch."""
    story = counting()
    for look in range(1200):
        story.tell(8 * HOUR + look, "slot_counted", 0, look % 3, 0, 0, 0, 1, 1)
    run = story.run(days * DAY_MS)
    records = charts.records_over_time(run)
    assert "1,205 looks into slots" in words_of(records)
    for chart in (records, charts.over_time(run)):
        ends = ends_of(chart)
        cut = [(text, left, right) for text, left, right in ends if left < 0 or right > 1072]
        assert cut == []
        dates = [end for end in ends if re.fullmatch(r"\d+ [A-Z][a-z]{2}( \d{4})?", end[0])]
        assert dates[-1][0] == last
        assert all(right + 2 < left for (_, _, right), (_, left, _) in pairwise(dates))


# -- studies ----------------------------------------------------------------------------------------------


def accuracy(**changes):
    """Two plans at two error rates over 100 days: one holds 99.5 % at the lower rate only, the other nowhere."""
    plans = {"cyclic": (0.0002, 0.02), "no\ncount": (0.05, 0.2)}
    panels = []
    for number, title in enumerate(("rates x 1", "rates x 100")):
        lines = []
        for plan, wrong in plans.items():
            mean = [1 - wrong[number]] * 3
            lines.append({"plan": plan, "mean": mean, "low": [m - 0.0001 for m in mean], "high": mean})
        panels.append({"title": title, "lines": lines})
    return {"days": [0, 50, 100], "target": 0.995, "panels": panels, **changes}


def heights_of(chart, colour):
    """Where the lines of a colour run, in pixels from the top."""
    paths = re.findall(
        r'<path d="M [\d.]+ ([\d.]+) \n([^"]*?)"[^>]*stroke: var\(--' + colour + r"\)", chart.svg
    )
    return [round(float(y) * 4 / 3, 1) for y, rest in paths if rest.count("L ") == 2]


def test_accuracy_says_who_holds():
    """Each panel names by their colours the plans whose mean holds the target; a document may say it itself."""
    chart = accuracy_lines(accuracy())
    words = words_of(chart)
    assert words.count("99.5 % held by") == 1
    assert words.count("99.5 % held by none") == 1
    assert {"cyclic", "no\\ncount", "rates x 1", "rates x 100", "99.99 %", "80 %"} <= set(words)
    assert [row[-2] for row in chart.table.rows] == ["yes", "no", "no", "no"]
    assert chart.table.rows[0] == [
        "rates x 1: cyclic", "99.98 %", "99.98 %", "99.98 % (99.97 % to 99.98 %)", "yes", "\N{EN DASH}",
    ]  # fmt: skip
    document = accuracy()
    document["panels"][1]["lines"][1] |= {"holds": True, "note": "9 robot-h"}
    chart = accuracy_lines(document)
    assert words_of(chart).count("99.5 % held by") == 2
    assert chart.table.rows[3][-2:] == ["yes", "9 robot-h"]


def test_accuracy_has_one_scale():
    """A share stands at the same height in every panel: equally many times wrong is equally far."""
    chart = accuracy_lines(accuracy())
    (a, b), (c, d) = heights_of(chart, "series-0"), heights_of(chart, "series-1")
    # 196 px from 0.01 % to 20 % wrong, which is 3.301 decades: 0.02 % to 2 % are two of them, 118.7 px.
    assert b - a == pytest.approx(2 * 196 / np.log10(2000), abs=0.2)
    # 5 % to 20 % wrong are 0.602 of them; 2 % lies 0.398 above 5 %.
    assert d - c == pytest.approx(0.602 * 196 / np.log10(2000), abs=0.2)
    assert c - b == pytest.approx(0.398 * 196 / np.log10(2000), abs=0.2)


def test_accuracy_of_all_days_stands_beside():
    """A dot with its interval stands right of the curves at their scale, and the table has both ends."""
    document = accuracy()
    line = document["panels"][0]["lines"][0]
    line["whole"] = {"mean": 0.9998, "low": 0.98, "high": 1.002, "n": 5}
    chart = accuracy_lines(document)
    curve = heights_of(chart, "series-0")[0]
    bars = re.findall(
        r'<path d="M ([\d.]+) ([\d.]+) \nL [\d.]+ ([\d.]+) [^"]*"[^>]*stroke-width: 2.4', chart.svg
    )
    # Two plans take 13 px each and 13 px more, of a panel of (900 - 62 - 18 - 22) / 2 = 399 px.
    across, low, high = (float(number) * 4 / 3 for number in bars[0])
    assert across == pytest.approx(62 + 399 - 2 * 13, abs=0.1)
    # From 2 % wrong, two decades below the curve at 0.02 %, up to the upper edge at 0.01 %.
    assert low - curve == pytest.approx(2 * 196 / np.log10(2000), abs=0.2)
    assert curve - high == pytest.approx(np.log10(2) * 196 / np.log10(2000), abs=0.2)
    assert chart.table.rows[0][1] == "99.98 % (98.00 % to 100 %)"
    assert words_of(chart).count("all days") == 2


def test_accuracy_without_bands():
    """A line without an interval is drawn as a line."""
    document = accuracy()
    for panel in document["panels"]:
        for line in panel["lines"]:
            del line["low"], line["high"]
    chart = accuracy_lines(document)
    banded = accuracy_lines(accuracy())
    assert ["opacity: 0.16" in drawing.svg for drawing in (chart, banded)] == [False, True]
    assert heights_of(chart, "series-0") == heights_of(banded, "series-0")
    assert chart.table.rows[0][3] == "99.98 %"


def test_accuracy_never_leaves_its_panel():
    """Nothing wrong at all, everything wrong, many plans and a single panel are drawn too."""
    lines = [
        {"plan": f"plan {k}", "mean": [1.0, share], "low": [1.0, 0.0], "high": [1.0, 1.0]}
        for k, share in enumerate(np.linspace(0, 1, 8).tolist())
    ]
    chart = accuracy_lines({"days": [0, 1], "target": 1.0, "panels": [{"title": "x", "lines": lines}]})
    assert [row[-2] for row in chart.table.rows] == ["no"] * 7 + ["yes"]
    assert {len(row) for row in chart.table.rows} == {len(chart.table.head)}
    assert "nan" not in chart.svg
    ElementTree.fromstring(accuracy_lines(accuracy(panels=[])).svg)


def gap(measure, robot, manual, ratio, low=None, high=None, unit="h", better="less"):
    """A row of a comparison."""
    return {
        "measure": measure, "unit": unit, "better": better, "robot": robot, "manual": manual, "ratio": ratio,
        "low": low or ratio, "high": high or ratio,
    }  # fmt: skip


def comparison():
    """Robot better, worse, more of what is good, not told apart, and not comparable."""
    rows = [
        gap("person-hours", 1.25, 5.0, 0.25, 0.2, 0.3), gap("cycle <time>", 12.0, 6.0, 2.0, 1.5, 2.5, "min"),
        gap("boxes", 80, 40, 2.0, 1.9, 2.1, "boxes/h", "more"), gap("late", 0.012, 0.01, 1.2, 0.5, 2.0, "share"),
        gap("lost", 0, None, None),
    ]  # fmt: skip
    return {"situations": [{"name": "peak", "rows": rows}, {"name": "night", "rows": []}]}


def test_gaps_are_told_apart():
    """A dot has the colour of better or worse only where its interval leaves "no difference" out."""
    chart = operation_gaps(comparison())
    bars = re.findall(r"stroke: var\(--([\w-]+)\); stroke-width: 2.4", chart.svg)
    assert bars == ["accent", "mark", "accent", "muted"]
    words = words_of(chart)
    assert {
        "peak",
        "night",
        "no difference",
        "cycle <time>",
        "1.25 h",
        "80 boxes/h",
        "1.20 %",
        "not to be compared",
    } <= set(words)
    assert "1/2" in words
    assert "2 x" in words
    assert chart.table.rows[0] == ["peak: person-hours", "1.25 h", "5 h", "0.25", "0.2 to 0.3", "less"]
    none = "\N{EN DASH}"
    assert chart.table.rows[4] == ["peak: lost", "0 h", none, none, f"{none} to {none}", "less"]


@pytest.mark.parametrize(
    ("ends", "better", "words", "colour"),
    [
        ((-0.08, -0.05, -0.02), "less", "no ratio; less by 5.00 (2.00 to 8.0 points)", "accent"),
        ((0.02, 0.05, 0.08), "less", "no ratio; more by 5.00 (2.00 to 8.0 points)", "mark"),
        ((0.02, 0.05, 0.08), "more", "no ratio; more by 5.00 (2.00 to 8.0 points)", "accent"),
        ((-0.01, 0.05, 0.11), "less", "no ratio; no difference shown", "muted"),
        ((0.0, 0.0, 0.0), "less", "no ratio; no difference shown", "muted"),
    ],
)
def test_gaps_without_ratio_say_the_difference(ends, better, words, colour):
    """Where one side is zero there is no ratio, but the difference tells who is better."""
    row = gap("late", 0.0, 0.05, None, unit="share", better=better)
    row["difference"] = dict(zip(("low", "mean", "high"), ends, strict=True))
    chart = operation_gaps({"situations": [{"name": "x", "rows": [row]}]})
    assert re.findall(r"fill: var\(--(\w+)\)[^>]*>" + re.escape(words), chart.svg) == [colour]


def test_gaps_show_times_in_their_best_unit():
    """Less than an hour is told in minutes, seconds as a duration; the ends of a far interval are drawn."""
    rows = [
        gap("a", 0.5, 60.0, 1 / 120, 1 / 130, 1 / 110),
        gap("b", 90.0, 9000.0, 0.01, unit="s"),
        gap("c", 0, 2, None),
    ]
    chart = operation_gaps({"situations": [{"name": "x", "rows": rows}]})
    assert [row[1:3] for row in chart.table.rows] == [["30.0 min", "60 h"], ["90 s", "2.5 h"], ["0 h", "2 h"]]
    left, right = re.findall(
        r'<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+) [^"]*"[^>]*stroke-width: 2.4', chart.svg
    )[0]
    # From 1/162.5 at 268 px to 2.5 at 668 px: 1/130 lies log(1.25) above the lower end, 1/110 log(162.5/110).
    assert float(left) * 4 / 3 == pytest.approx(268 + 400 * np.log(1.25) / np.log(406.25), abs=0.1)
    assert float(right) * 4 / 3 == pytest.approx(268 + 400 * np.log(162.5 / 110) / np.log(406.25), abs=0.1)


def test_gaps_lie_on_a_logarithmic_scale():
    """Half and double are equally far from no difference, to the pixel."""
    rows = [gap("half", 1, 2, 0.5, 0.4, 0.625), gap("double", 2, 1, 2.0, 1.6, 2.5)]
    chart = operation_gaps({"situations": [{"name": "x", "rows": rows}]})
    ends = re.findall(r'<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+) [^"]*"[^>]*stroke-width: 2.4', chart.svg)
    (a, b), (c, d) = ([float(x) * 4 / 3 for x in pair] for pair in ends)
    # The axis runs from 0.4/1.25 to 2.5 x 1.25, 268 to 668 px: no difference lies in its middle.
    assert ((a + d) / 2, (b + c) / 2) == (pytest.approx(468, abs=0.1), pytest.approx(468, abs=0.1))
    assert d - c == pytest.approx(400 * np.log(2.5 / 1.6) / np.log(3.125 / 0.32), abs=0.1)


def test_gaps_of_nothing():
    """A comparison without situations is drawn too."""
    ElementTree.fromstring(operation_gaps({"situations": []}).svg)


@pytest.mark.parametrize(
    "chart", [accuracy_lines(accuracy()), operation_gaps(comparison())], ids=["lines", "gaps"]
)
def test_studies_as_pictures(tmp_path, chart):
    """Both are files of their own, with every colour by day and by night."""
    write_picture(chart, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    day, night = re.search(r"svg\{(.*?)\}@media\(prefers-color-scheme:dark\)\{svg\{(.*?)\}\}", text).groups()
    used = set(re.findall(r"var\(--([\w-]+)\)", text))
    assert used == set(re.findall(r"--([\w-]+):#", day)) == set(re.findall(r"--([\w-]+):#", night))
    assert not re.search(r"#0f[0-9a-f]{2}a5", text)
    write_picture(chart, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] == 1800
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert not [colour for colour in colours if colour[0] == 0x0F and colour[2] == 0xA5]


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


@pytest.mark.parametrize(
    ("share", "places", "words"),
    [
        (0.5, 1, "50.0 %"), (0.5, 0, "50 %"), (1.0, 1, "100.0 %"), (0.0, 1, "0.0 %"), (1.0, 2, "100.00 %"),
        # 99.96 % would be 100.0 % with one place, 99.99985 % even with two.
        (0.9996, 1, "99.96 %"), (0.9999985, 1, "> 99.99 %"), (0.9999985, 2, "> 99.99 %"),
        (0.996, 0, "99.6 %"), (0.0004, 1, "0.04 %"), (2.6e-9, 1, "< 0.01 %"), (2.6e-9, 2, "< 0.01 %"),
        (-2.6e-9, 1, "0.0 %"), (-0.05, 1, "-5.0 %"), (1.25, 1, "125.0 %"),
    ],
)  # fmt: skip
def test_shares_in_words(share, places, words):
    """All and none are said of all and none only."""
    assert percent(share, places) == words


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0, 2))
@example(np.nextafter(1.0, 0.0), 1)
@example(5e-324, 1)
def test_no_share_looks_whole(share, places):
    """What is said of a share between none and all lies between them, at the share or on its side of it."""
    words = percent(share, places)
    number = float(re.fullmatch(r"(?:[<>] )?([\d.]+) %", words)[1]) / 100
    assert 0 < number < 1
    if words[0] == "<":
        assert 0 < share < number == pytest.approx(0.0001)
    elif words[0] == ">":
        assert 1 > share > number == pytest.approx(0.9999)
    else:
        assert abs(number - share) <= 0.5001 * 10 ** -(2 + places)


def test_amounts_of_the_report_never_look_whole():
    """A year in which one slot is wrong for a day is not 100 %, on a card, in a list or in a drawing."""
    share = 1 - 1 / (258 * 365 * 10)
    assert report._amount(share, "share") == "> 99.99 %"
    assert report._amount(1 - 0.004, "share") == "99.60 %"
    assert report._amount(1.0, "share") == "100.0 %"
    assert charts._fine(share) == "> 99.99 %"
    assert charts._fine(1.0) == "100 %"
    assert charts._part(9999.9, 10000.0) == "2.8 h (> 99.99 %)"


# -- The ladder and pictures of their own ---------------------------------------------------------------


def rung(policy, per_move_s, regret=None, **more):
    """A row of a ladder of 100 moves."""
    row = {"policy": policy, "per_move_s": per_move_s, "total_s": 100 * per_move_s, "regret": regret}
    return {**row, "rest_regret": regret and regret + 0.01, "against_random": None, **more}


def three_rules(**changes):
    """Two rules that a store can follow and one that knows the departures; the bound is 2 s a move."""
    rows = [rung("offline-oracle", 2.004, 0.002), rung("turnover", 2.5, 0.25), rung("random", 4.0, 1.0)]
    return {"moves": 100, "bound_total_s": 200.0, "rest_bound_total_s": 150.0, "policies": rows, **changes}


def words_of(chart):
    """The texts of a drawing, from the top of the file down."""
    tree = ElementTree.fromstring(chart.svg)
    return [element.text.strip() for element in tree.iter() if element.tag.endswith("text")]


def bars_of(chart):
    """The horizontal extents of the bars of a drawing by their fill, in pixels."""
    shapes = re.findall(
        r'<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+) [^"]*z\n" style="fill: var\(--(\w[\w-]*)\)', chart.svg
    )
    return [(round(float(a) * 4 / 3, 1), round(float(b) * 4 / 3, 1), fill) for a, b, fill in shapes]


def test_ladder_says_the_finding():
    """The title names the best rule that a store can follow; each bar has its share above the bound, and its seconds."""
    chart = ladder(three_rules())
    words = words_of(chart)
    finding = "Best rule that a store can follow: turnover, 25\xa0% above the least possible"
    assert finding in words
    assert chart.alt == f"Bars, one a rule. {finding}."
    rows = [words[words.index(name) :][:4] for name in ("offline-oracle", "turnover", "random")]
    assert rows == [
        ["offline-oracle", "+0.2\xa0%", "2.00", "+1.2\xa0%"],
        ["turnover", "+25\xa0%", "2.50", "+26\xa0%"],
        ["random", "+100\xa0%", "4.00", "+101\xa0%"],
    ]
    assert "least possible: 2.00" in words
    assert "knows when each unit will leave, as no store does" in words


def test_ladder_bars_start_at_zero():
    """Bars begin at 0 and are as long as their seconds; what is above the bound is a part of its own."""
    # 514 px are 4 s: the bound of 2 s lies at 180 + 257 = 437, and 2.5 s at 180 + 321.25 = 501.25.
    bars = [bar for bar in bars_of(ladder(three_rules())) if bar[1] - bar[0] > 18]  # the key has 18 px
    assert bars == [
        (180.0, 437.5, "paper"),  # 2.004 s
        (180.0, 437.0, "accent-soft"), (437.0, 501.2, "accent"),
        (180.0, 437.0, "accent-soft"), (437.0, 694.0, "accent"),
    ]  # fmt: skip


def test_ladder_without_bound():
    """Without a bound the bars are whole, no shares are named, and the title gives seconds."""
    rows = [rung("turnover", 2.5), rung("closest-open", 2.5), rung("random", 4.0)]
    chart = ladder(three_rules(bound_total_s=None, rest_bound_total_s=None, policies=rows))
    words = words_of(chart)
    assert "Best rules: turnover and 1 more, 2.50 s a move" in words
    assert not [
        text for text in words if "%" in text or "possible" in text or "2/3" in text or "knows" in text
    ]
    assert {fill for _, _, fill in bars_of(chart)} == {"accent"}


def test_ladder_of_nothing():
    """A ladder without a move, and one without a rule, are drawn too."""
    rows = [{**rung("random", 0.0), "per_move_s": None}]
    assert "Nothing was moved" in words_of(ladder(three_rules(moves=0, bound_total_s=0.0, policies=rows)))
    assert "Nothing was moved" in words_of(ladder(three_rules(policies=[])))


def test_ladder_has_all_rules(monkeypatch):
    """Every rule has its name and its line of the table; the hollow bars are those that know the departures."""
    monkeypatch.setitem(OWN_RULES, "mine.py:seer", Rule(lambda *_: 0, needs=frozenset({"departures"})))
    names = [*POLICIES, "coi", "mine.py:seer", "gone.py:rule"]
    chart = ladder(three_rules(policies=[rung(name, 2.5, 0.25, digs=k) for k, name in enumerate(names)]))
    assert [row[0] for row in chart.table.rows] == names
    assert {len(row) for row in chart.table.rows} == {len(chart.table.head)} == {7}
    assert [fill for a, _, fill in bars_of(chart) if a == 180.0].count("paper") == 3
    assert set(names) <= set(words_of(chart))


def test_ladder_hostile_names():
    """Markup, mathematics and line ends in the name of an own rule are shown as text, cut to what fits."""
    name = "<script>$x^2$\n&" + 40 * "x" + ".py:mine"
    chart = ladder(three_rules(policies=[rung(name, 2.5, 0.25)]))
    assert "<script" not in chart.svg
    assert "…" + 18 * "x" + ".py:mine" not in name
    assert any(
        text.startswith("…") and text.endswith("x.py:mine") and len(text) == 26 for text in words_of(chart)
    )
    short = ladder(three_rules(policies=[rung("<b>$x^2$\n&", 2.5, 0.25)]))
    assert "<b>$x^2$\\n&" in words_of(short)


def test_picture_by_day_and_by_night(tmp_path):
    """An SVG of its own needs nothing else: every colour is given, for light and for dark, and the same twice."""
    chart = ladder(three_rules())
    write_picture(chart, tmp_path / "a.svg")
    write_picture(ladder(three_rules()), str(tmp_path / "b.SVG"))
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.SVG").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.SVG"]
    tree = ElementTree.fromstring(text)
    assert (tree.get("width"), tree.get("role"), tree[0].text) == ("900", "img", chart.alt)
    day, night = re.search(r"svg\{(.*?)\}@media\(prefers-color-scheme:dark\)\{svg\{(.*?)\}\}", text).groups()
    used = set(re.findall(r"var\(--([\w-]+)\)", text))
    assert used == set(re.findall(r"--([\w-]+):#", day)) == set(re.findall(r"--([\w-]+):#", night))
    assert not re.search(r"https?:|url\(|@import|href", text.replace("http://www.w3.org/2000/svg", ""))


def test_picture_in_pixels(tmp_path):
    """A PNG has the colours of the page by day, at twice the size."""
    write_picture(ladder(three_rules()), tmp_path / "ladder.png")
    with Image.open(tmp_path / "ladder.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
        assert picture.size == (1800, 2 * (116 + 3 * 24 + 68))
    day = charts._palettes()[0]
    for name in ("paper", "accent", "accent-soft", "mark"):
        assert tuple(round(255 * part) for part in to_rgb(day[name])) in colours
    # None of the codes that stand for colours is left.
    assert not [colour for colour in colours if colour[0] == 0x0F and colour[2] == 0xA5]


@pytest.mark.parametrize("name", ["ladder.pdf", "ladder", "svg", "ladder.svg.gz"])
def test_other_pictures_are_refused(tmp_path, name):
    """Any other ending is refused in words, and nothing is written."""
    with pytest.raises(PictureError) as caught:
        write_picture(ladder(three_rules()), tmp_path / name)
    assert caught.value.lines == [f"{tmp_path / name}: expected a name in .svg or .png, found '{name}'"]
    assert list(tmp_path.iterdir()) == []


def test_page_charts_as_pictures(tmp_path):
    """A chart of the report becomes an SVG or a PNG; without a figure there is no PNG of it."""
    chart = charts.over_time(RunFacts.of(two_days()))
    write_picture(chart, tmp_path / "run.svg")
    ElementTree.fromstring((tmp_path / "run.svg").read_text(encoding="utf-8"))
    write_picture(chart, tmp_path / "run.png")
    with Image.open(tmp_path / "run.png") as image:
        assert image.size[0] == 2 * 1072
    with pytest.raises(PictureError, match=r"expected a name in \.svg, found 'none\.png'$"):
        write_picture(chart._replace(figure=None), tmp_path / "none.png")


def test_picture_half_written(tmp_path):
    """A picture that cannot be written leaves nothing behind."""
    (tmp_path / "taken.svg").mkdir()
    with pytest.raises(OSError, match=r"taken\.svg"):
        write_picture(ladder(three_rules()), tmp_path / "taken.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.svg"]
