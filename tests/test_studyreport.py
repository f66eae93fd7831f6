"""The report of many runs: it answers first, needs nothing else, and is the same bytes for the same study."""

import csv
import html
import json
import re
from functools import cache
from pathlib import Path

import duckdb
import pytest
from PIL import Image

from sim import studypictures, studyreport, studytable
from sim.cli import main
from sim.experiment import StudyError, compare, factor_of, replicate, select, sensitivity, sweep
from sim.results import ResultError
from sim.scenario import load
from sim.study import answer
from sim.studyfile import load_study
from sim.studyreport import keep_study, pictures, render, report_folder
from sim.studytable import Findings, is_study, read_study
from tests.test_report import Tags
from tests.test_study import ONE_OR_TWO, asked, on_pick, written

KPI = "put_away_time_s"
CARRY = ("compare", "tiny", "--vary", "robots.carry=1,2,3", "--replications", "4", "--kpi", KPI)
HOSTILE = '</title><script>alert("x")</script>'


@cache
def three():
    """Three cells of four runs each; by hand: boxes wait longer the more of them a tour takes along."""
    return compare("tiny", {"robots.carry": [1, 2, 3]}, 4, kpi=KPI)


@cache
def findings():
    return Findings.of(three(), load("tiny"), ["compare", "tiny", "--vary", "robots.carry=1,2,3"])


@cache
def page():
    return render(findings())


@cache
def by_kind():
    """A result of each kind, with its scenario."""
    tiny = load("tiny")
    factors = {"robots.speed_m_per_s": factor_of("robots.speed_m_per_s", 1, 2)}
    return {
        "compare": three(),
        "sweep": sweep(tiny, {"robots.carry": [1, 2, 3], "initial.fill": [0.4, 0.6]}, 2, kpi=KPI),
        "select": select(tiny, {"robots.carry": [1, 3]}, 10, kpi=KPI),
        "sensitivity": sensitivity(tiny, factors, points=2, kpi=KPI),
        "morris": sensitivity(tiny, factors, points=2, kpi=KPI, method="morris"),
        "replicate": replicate(tiny, 3, kpi=KPI),
        "weeks": compare(load("tiny", ["time.days=35", "time.warmup_days=7"]), {"robots.carry": [1, 2]}, 2, kpi=KPI, horizon="cyclic"),
        "single": compare(tiny, {"robots.carry": [1, 2]}, 1, kpi=KPI),
    }  # fmt: skip


@pytest.fixture
def call(capsys):
    """Runs a command line in this process; gives its exit code, its output and its error lines."""

    def run(*words: str) -> tuple[int, str, list[str]]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return run


def drawings(text):
    return re.findall(r"<svg.*?</svg>", text, re.DOTALL)


def order(text, *parts):
    """Whether parts of a page stand in this order."""
    places = [text.index(part) for part in parts]
    return places == sorted(places)


# --- the page --------------------------------------------------------------------------------------------


def test_page_answers_first():
    """The sentence of the verdict comes first, then what it rests on, and at the end how to get it again."""
    text = page()
    told = three().verdict.sentence.partition(",")[0].replace(" %", "\u00a0%")
    assert html.unescape(text).index(told[1:]) < text.index("<svg")
    assert '<span class="badge yes">decided</span>' in text
    heads = ("Differences", "Means", "Every run", "Where the time goes", "Inputs", "How to get this again")
    assert order(text, *(f"<h2>{head}</h2>" for head in heads))
    assert text.count("<h2>") == len(heads)
    assert "<pre>meterhouse compare tiny --vary robots.carry=1,2,3</pre>" in text
    assert three().demand_digest not in text  # that is over all replications; the table has those of each
    assert three().cells[0].replications[0].demand_digest in text


@pytest.mark.parametrize(
    "kind", ["compare", "sweep", "select", "sensitivity", "morris", "replicate", "weeks", "single"]
)
def test_every_kind_has_a_page(kind):
    """Each result has a page that closes its tags, needs nothing from elsewhere and runs no script."""
    text = render(Findings.of(by_kind()[kind], load("tiny")))
    tags = Tags(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags.found}
    assert set(re.findall(r"https?://[^\"' <]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert re.search(
        r'<p class="answer">(?:<span class="badge (?:yes|no)">[^<]+</span><br>)?[^<]{10,}</p>', text
    )
    assert len(drawings(text)) >= 1
    assert "#0f" not in text.replace("&#0f", "")  # no code that stands for a colour is left
    assert not re.search(r"\bnan\b|\binf\b|None\b", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))


def test_same_study_same_bytes():
    """A report made twice, and one of the same study made again, are equal."""
    first = page()
    assert render(findings()) == first
    again = compare("tiny", {"robots.carry": [1, 2, 3]}, 4, kpi=KPI)
    assert render(Findings.of(again, load("tiny"), findings().command)) == first
    assert "\r" not in first


def test_differences_are_drawn():
    """Every pair of the deciding measure is a line; later less earlier, in the words of its interval."""
    chart = studypictures.decisive(findings())
    rows = [row for row in three().paired if row.kpi == KPI]
    shown = {row[0]: row[1] for row in chart.table.rows}
    assert list(shown) == [f"{row.b} less {row.a}" for row in rows]
    assert len(rows) == 3
    least = min(float(text.split(" ")[0]) for text in shown.values())
    assert least > 0  # more on board, longer waiting: by hand
    assert chart.swatches == [("mark", "worse")]


def test_chance_is_told_from_difference():
    """A difference whose interval holds 0 is open and grey; else green or red by what is better."""
    judged = studypictures._judged
    assert judged(1.0, -0.5, 2.5, "less") == ("muted", True)
    assert judged(1.0, None, None, "less") == ("muted", True)
    assert judged(1.0, 0.5, 1.5, "less") == ("mark", False)
    assert judged(1.0, 0.5, 1.5, "more") == ("accent", False)
    assert judged(-1.0, -1.5, -0.5, "less") == ("accent", False)
    assert judged(-1.0, -1.5, -0.5, "neither") == ("ink", False)


def test_others_are_shares_of_the_first():
    """What else differs is a share of the first cell's mean; what is the same everywhere is named."""
    found = studypictures.others(findings())
    first = three().cells[0].figures["tours"].mean
    rows = {row[0]: row for row in found.chart.table.rows}
    row = rows["tours · robots.carry=3"]
    difference = three().difference("tours", "robots.carry=3", "robots.carry=1").difference
    assert float(row[2].removesuffix(" %")) == pytest.approx(100 * difference / first, rel=0.01)
    assert not any(name.startswith("put away time ·") for name in rows)  # it has its own picture
    same = studypictures.same_in_all(findings())
    assert "meters issued" in same
    assert "tours" not in same


def test_distribution_holds_every_run():
    """A panel a cell with a dot a replication, on one axis."""
    chart = studypictures.distributions(findings())
    assert [row[:2] for row in chart.table.rows] == [[cell.name, "4"] for cell in three().cells]
    for row, cell in zip(chart.table.rows, three().cells, strict=True):
        values = sorted(cell.values(KPI))
        told = [float(text) for text in row[2:]]
        assert told == pytest.approx([values[0], (values[1] + values[2]) / 2, values[-1]], rel=0.01)
    axes = chart.figure.axes
    assert len(axes) == 3
    assert len({each.get_xlim() for each in axes}) == 1
    assert [len(each.collections[0].get_offsets()) for each in axes] == [4, 4, 4]


def test_time_by_cause_adds_up():
    """The parts of a bar are the time of an order in that cell."""
    (title, chart), (_, shifts) = studypictures.time_by_cause(findings())
    assert title == "An order, from release to hand-over"
    bars = chart.figure.axes[0].patches
    widths = [0.0, 0.0, 0.0]
    for bar in bars:
        widths[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()
    means = [cell.figures["order_cycle_time_s"].mean for cell in three().cells]
    assert widths == pytest.approx([mean / max(means) for mean in means], rel=1e-6)
    whole = [0.0, 0.0, 0.0]
    for bar in shifts.figure.axes[0].patches:
        whole[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()
    assert whole == pytest.approx([1.0, 1.0, 1.0])


def test_warmup_is_drawn_for_weeks():
    """Where weeks are observed, their means stand with the warm-up; elsewhere there is nothing to draw."""
    chart = studypictures.warmup(Findings.of(by_kind()["weeks"], load("tiny")))
    assert len(chart.table.rows) == 2 * 5
    assert studypictures.warmup(findings()) is None


def test_sweep_is_lines_over_a_number():
    """A grid with a number of three values is lines over it; two values are a line a cell."""
    found = Findings.of(by_kind()["sweep"], load("tiny"))
    lines, key = studypictures._lines_of(found)
    assert (key, list(lines)) == ("robots.carry", ["fill 0.4", "fill 0.6"])
    assert [x for x, _ in lines["fill 0.4"]] == [1.0, 2.0, 3.0]
    two = Findings.of(sweep("tiny", {"robots.carry": [1, 2]}, 2, kpi=KPI), load("tiny"))
    assert studypictures._lines_of(two) is None


def test_sweep_over_ranges_is_dots():
    """A design has a panel a factor."""
    rows = [{"robots.carry": 1, "initial.fill": 0.4}, {"robots.carry": 2, "initial.fill": 0.6}]
    from sim.experiment import cells_of

    found = sweep("tiny", cells_of(load("tiny"), rows), 2, kpi=KPI, design="latin-hypercube")
    _, chart = studypictures.means(Findings.of(found))[0]
    assert [axes.get_xlabel() for axes in chart.figure.axes] == ["robots.carry", "initial.fill"]


def test_warnings_are_shown():
    """What has to be known before the figures are believed stands under the answer."""
    broken = compare("tiny", {"robots.carry": [1, 2]}, 2, kpi=KPI, precision=1e-6)
    text = render(Findings.of(broken, load("tiny")))
    assert "<li>The precision of 0.0001\u00a0% was not reached with 2 replications.</li>" in text
    other = compare("tiny", {"demand.orders_per_day": [6, 8]}, 2, kpi=KPI)
    text = render(Findings.of(other, load("tiny")))
    assert (
        "Demand is not that of demand.orders_per_day=6 in demand.orders_per_day=8: that differs, too." in text
    )
    assert '<ul class="warnings">' not in page()


def test_undecided_says_so():
    """A comparison that tells nothing apart has a badge that says so."""
    text = render(Findings.of(by_kind()["single"], load("tiny")))
    assert '<span class="badge no">not decided</span>' in text
    assert "more are needed" in text


def test_hostile_names_stay_text():
    """Names of scenarios, cells and files are text, in pages and in drawings, whatever letters they have."""
    store = load("tiny").with_({"name": HOSTILE, "question": HOSTILE})
    cells = [
        studytable_cell(store, name, carry) for name, carry in ((HOSTILE, 1), ("电表 $x_1$ 库房" * 9, 2))
    ]
    found = compare(store, cells, 3, kpi=KPI)
    text = render(Findings.of(found, store, ["compare", HOSTILE]))
    assert "<script" not in text
    Tags(text)
    assert "电表 $x_1$" in text
    assert "…" in text  # cut in a drawing, whole in the tables
    assert "电表 $x_1$ 库房" * 9 in text


def studytable_cell(store, name, carry):
    from sim.experiment import cell_of

    return cell_of(store, {"robots.carry": carry}, name)


def test_many_cells_are_cut(monkeypatch):
    """More cells than there is room for stand in tables only so far, and the page says how many there are."""
    monkeypatch.setattr(studyreport, "MOST_CELLS", 5)
    monkeypatch.setattr(studypictures, "MOST_ROWS", 5)
    found = sweep(
        "tiny",
        {"demand.mean_meters": [float(n) for n in range(10, 17)], "robots.kind": ["acr"]},
        1,
        kpi="boxes_in",
    )
    text = render(Findings.of(found, load("tiny")))
    assert text.count("The first 5 of 7 cells") == 2


# --- folders ---------------------------------------------------------------------------------------------


def test_command_writes_the_report(call, tmp_path):
    """A comparison with --out has its report; `report` writes the same bytes again, and so does a rerun."""
    out = tmp_path / "s"
    assert call(*CARRY, "--out", str(out))[0] == 0
    report, values = ((out / name).read_bytes() for name in ("report.html", "replications.parquet"))
    assert (
        b"meterhouse compare tiny --vary robots.carry=1,2,3 --kpi put_away_time_s --replications 4 --seed 1"
        in report
    )
    (out / "report.html").unlink()
    code, printed, errors = call("report", str(out))
    assert (code, printed, errors) == (0, f"{out / 'report.html'}\n", [])
    assert (out / "report.html").read_bytes() == report
    assert call(*CARRY, "--out", str(out))[0] == 0
    assert (out / "report.html").read_bytes() == report
    assert (out / "replications.parquet").read_bytes() == values
    assert str(tmp_path).encode() not in report


@pytest.mark.parametrize("kind", ["compare", "sweep", "select", "sensitivity", "replicate", "weeks"])
def test_folder_gives_the_same_findings(tmp_path, kind):
    """What is read back from a folder is what was written: document, cells, values and pictures."""
    found = Findings.of(by_kind()[kind], load("tiny"), ["compare", "tiny"])
    found.write(tmp_path)
    back = read_study(tmp_path)
    assert back == found
    assert render(back) == render(found)
    assert is_study(tmp_path)


def test_study_has_a_report(call, tmp_path):
    """A study's folder holds the values of its own measures, and a page with its question and its answer."""
    out = tmp_path / "kept"
    path = written(tmp_path, ONE_OR_TWO)
    code, printed, errors = call("study", path, "--no-bands", "--workers", "1", "--out", str(out), "--json")
    assert (code, errors) == (0, [])
    document = json.loads(printed)
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Does a second robot help?" in text
    assert html.escape(document["answer"], quote=False).replace(" %", "\u00a0%") in text
    assert "paired by common random numbers, Bonferroni for 1" in text
    assert "orders (<code>demand.orders_per_day</code>)" in text
    assert "question = &#34;Does a second robot help?&#34;" in text  # the study file, folded
    assert call("report", str(out))[0] == 0
    assert (out / "report.html").read_text(encoding="utf-8") == text
    back = read_study(out)
    study = load_study(path)
    found = answer(study, bands=False)
    assert back.values("cycle") == [observed["cycle"] for observed in found.observed]
    assert back.values("cycle") == [cell.values["order_cycle_time_s"] for cell in back.cells]


def test_study_shows_both_bands(tmp_path):
    """The noise, the assumptions with their ranges, and where the answer flips."""
    found = asked(tmp_path, ONE_OR_TWO, on_pick(7.1))
    shown = Findings.of(found, load("tiny"), study=load_study(str(tmp_path / "asked.toml")))
    chart = studypictures.bands(shown)
    assert [row[0] for row in chart.table.rows] == [
        "other random numbers: 95 % interval", "other assumptions: 90 % of 20 draws",
    ]  # fmt: skip
    rows = {row[0]: row[1:] for row in studyreport._assumptions(shown).rows}
    # A pick takes 5 to 8 s, 6 if nothing is said; one robot takes 7.1 s.
    assert rows["robots.pick_s, s"][:3] == ["6", "5", "8"]
    assert float(rows["robots.pick_s, s"][4]) == pytest.approx(7.1, abs=0.06)
    text = render(shown)
    assert order(
        text,
        "<h2>Differences</h2>",
        "<h2>How sure this is</h2>",
        "<h2>Means</h2>",
        "<h2>What it rests on</h2>",
    )
    assert '<span class="badge no">not decided</span>' in text


def test_infinite_values_are_words(tmp_path):
    """A cell that sets what has no bound has it in its folder as scenarios write it."""
    sets = 'sets = { "robots.acceleration_m_per_s2" = inf }'
    study = load_study(written(tmp_path, ONE_OR_TWO.replace('sets = { "robots.count" = 2 }', sets)))
    found = Findings.of(answer(study, bands=False), load("tiny"), study=study)
    found.write(tmp_path / "s")
    assert read_study(tmp_path / "s") == found
    assert found.cells[1].sets == {"robots.acceleration_m_per_s2": "inf"}


def test_interrupted_study_is_refused(call, tmp_path):
    """A study without a result, one whose values are gone or altered, and no folder end in a line each."""
    out = tmp_path / "s"
    assert call(*CARRY, "--out", str(out))[0] == 0
    result = (out / "result.json").read_bytes()
    (out / "result.json").unlink()
    interrupted = (
        "expected a finished study, found one that was interrupted: the same command goes on with it"
    )
    assert call("report", str(out)) == (2, "", [f"{out}: {interrupted}"])
    (out / "result.json").write_bytes(result)
    values = (out / "replications.parquet").read_bytes()
    (out / "replications.parquet").write_bytes(values[:-1] + b"x")
    assert call("report", str(out))[2][0].startswith(
        f"{out / 'replications.parquet'}: expected the replications of the study with SHA-256 "
    )
    (out / "replications.parquet").unlink()
    assert call("report", str(out)) == (
        2, "", [f"{out / 'replications.parquet'}: expected the replications of the study, found no such file"],
    )  # fmt: skip
    assert call("report", str(tmp_path / "none")) == (
        2,
        "",
        [f"{tmp_path / 'none'}: expected a result folder, found none"],
    )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "result.json").write_text("[]")
    with pytest.raises(ResultError):
        report_folder(tmp_path / "other")
    with pytest.raises(StudyError):
        read_study(tmp_path / "none")


# --- tables and pictures -----------------------------------------------------------------------------------


def test_tables_have_a_row_a_run(call, tmp_path):
    """--csv gives one row a replication and KPI, and the pairs; --parquet the same numbers."""
    out = tmp_path / "s"
    assert call(*CARRY, "--out", str(out))[0] == 0
    code, printed, errors = call("report", str(out), "--csv", "--parquet", "--json")
    assert (code, errors) == (0, [])
    names = ["replications.csv", "paired.csv", "replications.parquet", "paired.parquet"]
    assert json.loads(printed) == {
        "report": str(out / "report.html"),
        "files": [str(out / name) for name in names],
    }
    with (out / "replications.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["cell", "replication", "seed", "kpi", "value", "unit"]
    mine = [row for row in rows if row["kpi"] == KPI]
    assert [(row["cell"], row["replication"], row["seed"]) for row in mine] == [
        (f"robots.carry={carry}", str(k), str(k + 1)) for carry in (1, 2, 3) for k in range(4)
    ]
    assert [float(row["value"]) for row in mine] == [
        value for cell in three().cells for value in cell.values(KPI)
    ]
    assert {row["value"] for row in rows if row["kpi"] == "recall_time_h"} == {""}
    with duckdb.connect() as connection:
        values = connection.execute(
            f"SELECT value FROM '{out}/replications.parquet' WHERE kpi = '{KPI}'"
        ).fetchall()
        pairs = connection.execute(
            f"SELECT kpi, a, b, difference, low, high FROM '{out}/paired.parquet'"
        ).fetchall()
    assert [value for (value,) in values] == [float(row["value"]) for row in mine]
    assert pairs == [(row.kpi, row.a, row.b, row.difference, row.low, row.high) for row in three().paired]
    with (out / "paired.csv").open(encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    assert len(told) == len(pairs)
    assert float(told[0]["difference"]) == pairs[0][3]


def test_study_measures_are_named(tmp_path):
    """The measures of a study file stand beside the KPIs under a name that no KPI has."""
    study = load_study(
        written(
            tmp_path,
            ONE_OR_TWO.replace("[measures.cycle]", "[measures.tours]").replace(
                'measure = "cycle"', 'measure = "tours"'
            ),
        )
    )
    found = Findings.of(answer(study, bands=False), load("tiny"), study=study)
    cell = found.cells[0]
    assert cell.values["study.tours"] == cell.values["order_cycle_time_s"] != cell.values["tours"]
    columns = studytable._long(found)
    units = dict(zip(columns["kpi"].tolist(), columns["unit"].tolist(), strict=True))
    assert (units["study.tours"], units["tours"]) == ("s", "tours")
    assert {row["kpi"] for row in studytable._pairs(found)} == {"study.tours"}


def test_pictures_are_files(call, tmp_path):
    """--png writes every picture of the page with its title and legend; twice gives the same bytes."""
    out = tmp_path / "s"
    assert call(*CARRY, "--out", str(out))[0] == 0
    report = (out / "report.html").read_bytes()
    code, printed, _ = call("report", str(out), "--png")
    assert code == 0
    paths = [Path(line) for line in printed.splitlines()[1:]]
    assert len(paths) == len(pictures(three())) == len(list(out.glob("*.png")))
    assert [path.name for path in paths[:2]] == ["01-differences.png", "02-other-differences.png"]
    first = [path.read_bytes() for path in paths]
    for path in paths:
        with Image.open(path) as image:
            assert image.size[0] >= 1000
            assert len(image.convert("RGB").getcolors(1 << 24)) > 5
    call("report", str(out), "--png")
    assert [path.read_bytes() for path in paths] == first
    assert (out / "report.html").read_bytes() == report


def test_run_has_tables_and_pictures(call, tmp_path):
    """The folder of one run has its KPIs as tables and its charts as pictures."""
    out = tmp_path / "run"
    assert call("run", "tiny", "--out", str(out))[0] == 0
    code, printed, _ = call("report", str(out), "--png", "--csv", "--parquet", "--json")
    assert code == 0
    names = [Path(file).name for file in json.loads(printed)["files"]]
    assert names == [
        "01-time-by-cause.png", "02-over-time.png", "03-lead-times.png", "04-fill.png", "05-visits.png",
        "06-stock-age.png", "kpis.csv", "kpis.parquet",
    ]  # fmt: skip
    kpis = json.loads((out / "result.json").read_text())["kpis"]
    with (out / "kpis.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["kpi"]: row for row in csv.DictReader(file)}
    assert float(rows["order_cycle_time_s.p95"]["value"]) == kpis["order_cycle_time_s"]["p95"]
    assert rows["order_cycle_time_s"]["unit"] == "s"


def test_legend_wraps_and_text_is_cut():
    """A legend goes on in a next line where there is no room; letters of East Asia count twice."""
    lines = studypictures._legend_lines([("mark", "a" * 20), ("accent", "b" * 20), ("ink", "c" * 20)], 320)
    assert [[words for _, _, words in line] for line in lines] == [["a" * 20, "b" * 20], ["c" * 20]]
    assert studypictures._px("电") == 2 * studypictures._px("a")
    assert studypictures._cut("a" * 50, 100) == "a" * 13 + "…"
    assert studypictures._cut("short", 100) == "short"


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("/home/ann/my store.toml", "my store.toml"),
        (
            "policy.allocation=random,/tmp/a/my_rules.py:nearest",
            "policy.allocation=random,my_rules.py:nearest",
        ),
        ("C:\\stores\\peak.toml", "peak.toml"),
        ("~/peak.toml", "peak.toml"),
        ("stores/peak.toml", "stores/peak.toml"),
        ("robots.carry=1,2", "robots.carry=1,2"),
    ],
)
def test_folders_are_left_out(word, kept):
    """A command in a report names files, not where they stand on a machine."""
    assert Findings.of(three(), command=["compare", word]).command == ["compare", kept]


def test_kept_without_a_command(tmp_path):
    """What was run from Python says its seeds instead of a command."""
    keep_study(three(), tmp_path, load("tiny"))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The cells above, with these seeds." in text
    assert "meterhouse compare" not in text
