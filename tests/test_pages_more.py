"""Compare, Runs, Help, the 3D view and the wall, in a real Chromium in front of a real server."""

import csv
import io
import json
import re
import statistics
import tomllib
import zipfile
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from scipy import stats

from tests import browsers
from tests.browsers import Opened
from tests.servers import ROOT, Served

pytestmark = pytest.mark.browser
chromium, window, open_page = browsers.chromium, browsers.window, browsers.open_page

HOSTILE = '<img src=x onerror="document.title=1">'
PAGES = ("compare?runs=r2,r3", "runs?show=r2", "help")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server whose own run stands, with two runs of `tiny` that are over and differ in one value."""
    with Served(tmp_path_factory.mktemp("pages") / "data", "tiny") as server, server.client() as client:
        client.patch("/runs/r1", {"state": "paused"})
        for carry in (2, 1):
            run = client.post("/runs", {"scenario": "tiny", "seed": 2, "set": {"robots.carry": carry}})
            client.wait(run["id"])
        yield server


@pytest.fixture(scope="module")
def looked_at(chromium, served):
    """Opens a page once for all tests that only look at it."""
    pages, opened = {}, Opened(chromium)

    def looked(path):
        if path not in pages:
            pages[path] = filled(opened(served, path, width=1280))
        page = pages[path]
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
        return page

    yield looked
    opened.close()
    assert opened.faults == []


def filled(page):
    """Wait until a page has all that it asks for."""
    name = re.search(r"/ui/(\w+)", page.url)[1]
    page.wait_for_function(
        "([all, least]) => document.querySelectorAll(all).length >= least",
        arg={
            "compare": [".overlays .chart > svg .line", 12],
            "runs": [".onerun", 1],
            "help": [".glossary", 1],
        }[name],
    )
    return page


# --- every page ------------------------------------------------------------------------------------------

KEYS_LEFT = r"\b(?:cmp|runs|sf|dl|drop|gal|help|more|unit|sec|kpi|series|is|mode)\.[a-z_]{2,}"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_speak_both_languages(looked_at, path, lang):
    """Every page says so in its language, and no key stands where words should."""
    page = looked_at(f"{path}{'&' if '?' in path else '?'}lang={lang}" if lang == "zh" else path)
    assert page.evaluate("() => document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[lang]
    text = page.inner_text("main")
    assert bool(re.search(r"[\u4e00-\u9fff]", page.inner_text("main h2 >> nth=0"))) == (lang == "zh")
    assert re.findall(KEYS_LEFT, text) == []


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_a_phone(looked_at, path):
    """A screen of 420 points needs no sideways scrolling."""
    page = looked_at(path)
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_function("() => document.documentElement.scrollWidth === 420")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_them(looked_at, path, theme):
    """axe-core finds nothing to complain of in either theme, contrast included."""
    page = looked_at(path)
    page.emulate_media(color_scheme=theme)
    page.evaluate("() => { for (const each of document.querySelectorAll('details')) each.open = true; }")
    # By night nothing but the colours is another.
    found = Axe().run(page, options={"runOnly": ["color-contrast"]} if theme == "dark" else None)
    assert found.violations_count == 0, found.generate_report()


SENTENCES = [
    (
        "The 2 robots limit the store: the 2 robots were busy 97 % of the last hour and people 40 % of their shift time;"
        " 1 of 2 robots is out of order; 1,204 tasks wait, the oldest for 3 h; 3 of 12 open orders are short of stock;"
        " 1 box found no slot; 4 boxes found staging full."
    ),
    (
        "The shifts limit the store: the robot was busy 0 % of the last hour and the next shift begins on 2026-03-03 at"
        " 08:00; 1 task has waited for 12 min."
    ),
    "Nothing works near its limit: there is no robot and there are no people.",
    (
        "Supply limits the store: the robot is busy 12 % of shift time and people 30 %; an order is worked on for 4 % of"
        " its time and waits longest for a place that another robot works on (3 %); orders pile up, from 2 open at the"
        " start to 40 at the end; 12 boxes found staging full and went to the flat store."
    ),
]


def test_server_is_said_in_chinese(looked_at, served):
    """What limits the store now, or limited a whole run, is said in Chinese; so is the kind of a refusal."""
    page = looked_at("help?lang=zh")
    with served.client() as client:
        real = [client.get(f"/runs/{run}/kpis")["limits"] for run in ("r1", "r2", "r3")]
    script = (
        "async (all) => { const { said } = await import('/static/i18n.js'); return all.map(said.limits); }"
    )
    for told in page.evaluate(script, [*SENTENCES, *real]):
        assert re.search(r"[\u4e00-\u9fff]", told)
        assert not re.search(r"[A-Za-z]", told), told


def test_refusals_begin_in_chinese(open_page, served):
    """What is refused is named in Chinese by its kind before it is told as the server words it."""
    page = open_page(served, "help?lang=zh")
    script = (
        "async () => (await import('/static/api.js')).get('/runs/r1/report').catch((error) => error.message)"
    )
    told = "当前状态下无法执行\nrun r1 is paused: there is a report when it is over"
    assert page.evaluate(script) == told
    assert [fault for fault in open_page.faults if "409" not in fault] == []
    open_page.faults.clear()


def test_names_are_never_markup(open_page, served):
    """A run that is called like an element is shown as it is called."""
    with served.client() as client:
        client.patch("/runs/r3", {"name": HOSTILE})
        try:
            for path in PAGES[:2]:
                page = filled(open_page(served, path.replace("show=r2", "show=r3")))
                expect(page.locator("main")).to_contain_text(HOSTILE)
                assert page.locator("main img[src=x]").count() == 0
        finally:
            client.patch("/runs/r3", {"name": "tiny"})


# --- compare ---------------------------------------------------------------------------------------------


def kpis(served, run):
    with served.client() as client:
        return client.get(f"/runs/{run}/kpis")["kpis"]


def test_only_inputs_that_differ(looked_at):
    """Two runs that differ in one value show that value, and no other."""
    page = looked_at("compare?runs=r2,r3")
    assert page.locator(".inputs tbody tr").all_inner_texts() == ["robots.carry\t2\t1"]


def test_differences_have_sign_and_word(looked_at, served):
    """A shorter put-away time is better, and the same share of late orders is the same."""
    first, second = (kpis(served, run)["put_away_time_s"]["value"] for run in ("r2", "r3"))
    assert second < first  # a box that is alone on a tour does not wait on board for another
    share = (first - second) / first * 100
    page = looked_at("compare?runs=r2,r3")
    gap = page.locator(".kpis tbody tr", has_text="Put-away time").locator("td").nth(1).locator(".gap")
    expect(gap).to_have_text(f"\u2212{first - second:.1f} s (\u2212{share:.1f} %)better")
    same = page.locator(".kpis tbody tr", has_text="Late orders").locator(".gap")
    expect(same).to_have_text("the same")


def test_single_runs_have_no_interval(looked_at):
    """The page says that two single runs tell nothing of noise, and that both met the same demand."""
    page = looked_at("compare?runs=r2,r3")
    expect(page.locator(".notes")).to_contain_text("Replications: 1, no interval")
    expect(page.locator(".notes")).to_contain_text("the same demand, order by order")


def test_lines_begin_at_zero(looked_at):
    """Every chart has a zero line and a line for each run, told apart by dashes."""
    page = looked_at("compare?runs=r2,r3")
    charts = page.locator(".overlays .chart")
    expect(charts).to_have_count(6)
    for chart in charts.all():
        assert chart.locator(".zero").count() == 1
        assert chart.locator("text").first.text_content() == "0"
        dashes = {
            line.evaluate("(each) => getComputedStyle(each).strokeDasharray")
            for line in chart.locator("svg[role=img] .line").all()
        }
        assert len(dashes) == 2


def t_interval(values):
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return statistics.mean(values) - half, statistics.mean(values) + half


def test_seeds_become_one_column(open_page, served):
    """Runs of one scenario with other seeds are one column: mean, interval by Student's t, n; overlap is warned of."""
    with served.client() as client:
        groups = [
            [client.start("tiny", seed=seed, set={"robots.carry": carry})["id"] for seed in (11, 12, 13)]
            for carry in (2, 1)
        ]
        for run in groups[0] + groups[1]:
            client.wait(run)
    page = filled(open_page(served, f"compare?runs={','.join(groups[0] + groups[1])}"))
    expect(page.locator(".kpis thead th")).to_have_count(3)
    expect(page.locator(".runhead").first).to_contain_text("seeds 11–13")
    expect(page.locator(".runhead").nth(1)).to_contain_text("replications: 3")
    expect(page.locator(".notes")).not_to_contain_text("no interval")
    assert page.locator(".inputs tbody tr").all_inner_texts() == ["robots.carry\t2\t1"]
    first, second = ([kpis(served, run)["put_away_time_s"]["value"] for run in runs] for runs in groups)
    cells = page.locator(".kpis tbody tr", has_text="Put-away time").locator("td")
    low, high = t_interval(second)
    expect(cells.nth(1).locator(".interval")).to_have_text(f"{round(low, 1):g} s – {round(high, 1):g} s")
    low, high = t_interval([b - a for a, b in zip(first, second, strict=True)])
    assert high < 0
    told = f"pairs: \u2212{round(-low, 1):g} s to \u2212{round(-high, 1):g} s"
    expect(cells.nth(1).locator(".pairs")).to_have_text(told)
    # Put-away without waiting on board is better by far; the boxes moved an hour differ less than the seeds do.
    expect(cells.nth(1)).not_to_contain_text("overlap")
    hourly = [[kpis(served, run)["boxes_per_hour"]["value"] for run in runs] for runs in groups]
    spans = [t_interval(values) for values in hourly]
    assert spans[0][0] < spans[1][1]
    assert spans[1][0] < spans[0][1]
    cell = page.locator('.kpis tbody tr:has(th:text("Boxes per hour"))').locator("td").nth(1)
    expect(cell).to_contain_text("intervals overlap")


def test_quantiles_are_those_of_student(looked_at):
    """The quantile behind the intervals is right to four digits for any number of runs."""
    freedoms = [1, 2, 3, 4, 5, 9, 19, 59]
    found = looked_at("help").evaluate(
        "async (all) => { const { student } = await import('/static/replications.js'); return all.map(student); }",
        freedoms,
    )
    assert found == pytest.approx([stats.t.ppf(0.975, freedom) for freedom in freedoms], rel=1e-5)


def test_runs_are_chosen(open_page, served):
    """A third run is added to the table and to the address; a run alone is not compared."""
    page = filled(open_page(served, "compare?runs=r2,r3"))
    page.locator(".picker summary").click()
    page.locator('.picker input[value="r1"]').check()
    expect(page.locator(".kpis thead th")).to_have_count(4)
    assert "runs=r2,r3,r1" in page.url
    for run in ("r1", "r2"):
        page.locator(f'.picker input[value="{run}"]').uncheck()
    expect(page.locator("#result")).to_contain_text("at least two runs")


def test_uneven_runs_are_cut(open_page, served):
    """Runs that have come to different instants are compared at the earlier one."""
    with served.client() as client:
        until = client.get("/runs/r1")["t_s"]
    assert until < 172_800
    page = filled(open_page(served, "compare?runs=r2,r1"))
    hours, minutes = int(until // 3600), int(until % 3600 // 60)
    expect(page.locator(".notes")).to_contain_text("different instants")
    expect(page.locator(".notes")).to_contain_text(f"day 1, {hours:02}:{minutes:02}")


def test_rebuilt_runs_are_waited_for(open_page, served):
    """A run that is still being rebuilt is asked for its figures only when it is there."""
    page = open_page(served, "help")
    looks, figures = [], []

    def look(route):
        answer = route.fetch()
        looks.append(len(looks) >= 2)
        route.fulfill(response=answer, json={**answer.json(), "ready": looks[-1]})

    page.route("**/runs/r2", look)
    page.on("request", lambda asked: "/runs/r2/kpis" in asked.url and figures.append(len(looks)))
    page.goto(f"{served.url}/ui/compare?runs=r2,r3")
    filled(page)
    assert looks == [False, False, True]
    assert figures == [3]


# --- runs ------------------------------------------------------------------------------------------------


def test_list_has_all_runs(looked_at, served):
    """Each run has its state and its key figures, the newest first."""
    page = looked_at("runs?show=r2")
    with served.client() as client:
        runs = client.get("/runs")["runs"]
    expect(page.locator(".runlist tbody tr")).to_have_count(len(runs))
    row = page.locator('tr[data-run="r2"]')
    expect(row).to_contain_text("Finished")
    late = kpis(served, "r2")["late_orders"]["value"]
    expect(row.locator('[data-kpi="late_orders"]')).to_have_text(f"{late * 100:g} %")


def test_chosen_runs_are_compared(open_page, served):
    """Two ticked runs lead to their comparison."""
    page = filled(open_page(served, "runs?show=r2"))
    for run in ("r2", "r3"):
        page.locator(f'tr[data-run="{run}"] .tick').check()
    page.get_by_role("link", name="Compare 2").click()
    page.wait_for_url("**/ui/compare?runs=r2,r3")
    page.wait_for_selector(".kpis")


def start_form(page):
    filled(page)
    page.get_by_role("button", name="Start a run", exact=True).click()
    page.wait_for_selector("#sf-scenario")
    page.locator("#sf-scenario").select_option("tiny")
    expect(page.locator(r"#sf-robots\.carry")).to_have_value("2")
    return page


def newest(served):
    with served.client() as client:
        return client.get("/runs", limit=1)["runs"][0]


def test_run_is_started(open_page, served):
    """The form sends what was changed, and no more; the new run appears in the list."""
    page = start_form(open_page(served, "runs?show=r2"))
    page.locator(r"#sf-robots\.carry").fill("1")
    page.locator("#sf-seed").fill("7")
    page.locator("#sf-mode").select_option("batch")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        page.get_by_role("button", name="Start", exact=True).click()
    assert json.loads(answered.value.request.post_data) == {
        "scenario": "tiny", "mode": "batch", "seed": 7, "name": "tiny", "set": {"robots.carry": 1},
    }  # fmt: skip
    run = answered.value.json()
    expect(page.locator(f'tr[data-run="{run["id"]}"]')).to_contain_text("seed 7")
    with served.client() as client:
        client.wait(run["id"])


def test_mistakes_stand_beside_values(open_page, served):
    """What the form or the server finds wrong is said where the value is, and nothing is started."""
    before = newest(served)["id"]
    page = start_form(open_page(served, "runs?show=r2"))
    page.locator(r"#sf-robots\.carry").fill("99")
    page.get_by_role("button", name="Start", exact=True).click()
    wrong = page.locator(r"#sf-robots\.carry-wrong")
    expect(wrong).to_have_text("expected a whole number ≥ 1, ≤ 16")
    expect(page.locator(r"#sf-robots\.carry")).to_be_focused()
    page.locator(r"#sf-robots\.carry").fill("2")
    page.locator("#sf-find").fill("layout.omit")
    page.locator(r"#sf-layout\.omit").fill('["9-99-9"]')
    page.get_by_role("button", name="Start", exact=True).click()
    told = page.locator(r"#sf-layout\.omit-wrong")
    expect(told).to_have_text("expected a place from 1-01-1 to 2-03-2, found '9-99-9'")
    expect(wrong).to_be_hidden()
    assert newest(served)["id"] == before
    assert [fault for fault in open_page.faults if "409" not in fault] == []
    open_page.faults.clear()


def test_file_fills_the_form(open_page, served, tmp_path):
    """A scenario file is read in the browser and starts a run with its values."""
    file = tmp_path / "mine.toml"
    file.write_text('extends = "tiny"\nname = "mine"\n[robots]  # two of them\ncount = 2\n', encoding="utf-8")
    page = filled(open_page(served, "runs?show=r2"))
    page.locator("#file").set_input_files(file)
    expect(page.locator(r"#sf-robots\.count")).to_have_value("2")
    expect(page.locator("#sf-name")).to_have_value("mine")
    page.locator("#sf-mode").select_option("batch")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_selector(".onerun:has-text('mine')")
    run = newest(served)
    assert (run["name"], run["scenario"]["name"]) == ("mine", "mine")
    with served.client() as client:
        values = client.get(f"/runs/{run['id']}/scenario")["begun_with"]
        client.wait(run["id"])
    assert (values["robots"]["count"], values["layout"]["columns"]) == (2, 3)


def test_wrong_file_names_its_line(looked_at, tmp_path):
    """What is not understood in a file is said with its line."""
    file = tmp_path / "wrong.toml"
    file.write_text('name = "x"\nrobots.count = two\n', encoding="utf-8")
    page = looked_at("runs?show=r2")
    page.locator("#file").set_input_files(file)
    expect(page.locator("#dropped")).to_have_text("wrong.toml, line 2: not understood here: two")


def without_none(value):
    """A value as a TOML file can have it."""
    if isinstance(value, dict):
        return {key: without_none(each) for key, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value


def saved(page, button):
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_bytes()


def test_run_is_taken_home(looked_at, served):
    """Report, tables, facts and scenario come as files that say what the API says."""
    page = looked_at("runs?show=r2")
    with served.client() as client:
        run = client.get("/runs/r2")
        values = client.get("/runs/r2/scenario")["begun_with"]
        slots = client.get("/runs/r2/slots")["slots"]
        orders = list(client.pages("/runs/r2/orders", "orders", limit=200))
        events = list(client.pages("/runs/r2/events", "events", limit=200))
    assert tomllib.loads(saved(page, "Scenario (TOML)").decode()) == without_none(values)
    assert [json.loads(line) for line in saved(page, "Facts (JSONL)").splitlines()] == events
    with zipfile.ZipFile(io.BytesIO(saved(page, "Tables (CSV, zip)"))) as packed:
        assert packed.testzip() is None
        tables = {
            name: list(csv.DictReader(io.StringIO(packed.read(name).decode()))) for name in packed.namelist()
        }
    assert list(tables) == ["kpis.csv", "slots.csv", "orders.csv", "tasks.csv", "events.csv"]
    assert [(row["slot"], int(row["boxes"])) for row in tables["slots.csv"]] == [
        (slot["slot"], slot["boxes"]) for slot in slots
    ]
    assert [float(row["due_s"]) for row in tables["orders.csv"]] == [order["due_s"] for order in orders]
    assert [row["kind"] for row in tables["events.csv"]] == [event["kind"] for event in events]
    told = {row["kpi"]: row["value"] for row in tables["kpis.csv"]}
    assert float(told["fill_boxes"]) == kpis(served, "r2")["fill_boxes"]["value"]
    report = saved(page, "Report (HTML)").decode()
    assert run["digest"] in report
    assert "record_accuracy" not in report


def test_run_that_goes_on_has_no_report(looked_at):
    """A run that is not over offers all but its report."""
    page = looked_at("runs?show=r2")
    report = page.get_by_role("button", name="Report (HTML)")
    expect(report).to_be_visible()
    page.locator('tr[data-run="r1"] .open').click()
    expect(page.locator(".onerun header small")).to_have_text("r1")
    expect(page.get_by_role("button", name="Tables (CSV, zip)")).to_be_visible()
    expect(report).to_have_count(0)
    page.locator('tr[data-run="r2"] .open').click()
    expect(page.locator(".onerun header small")).to_have_text("r2")


def test_questions_are_shown(looked_at, served):
    """All twenty questions stand there with command, and, in a checkout, with answer and picture."""
    page = looked_at("runs?show=r2")
    with served.client() as client:
        questions = client.get("/questions")["questions"]
    cards = page.locator("[id^=question-]")
    expect(cards).to_have_count(20)
    card = page.locator("#question-6")
    expect(card).to_contain_text("6. Does a second robot")
    expect(card).to_contain_text(questions[5]["answer"][:60])
    expect(card).to_contain_text("meterhouse study q06_second_robot")
    picture = card.locator("img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('#question-6 img').naturalWidth > 600")
    assert picture.get_attribute("alt") == questions[5]["caption"]


def test_files_are_read_as_toml(looked_at):
    """Every scenario file that ships is read in the browser as Python reads it."""
    page = looked_at("help")
    for file in sorted((ROOT / "scenarios").rglob("*.toml")):
        text = file.read_text(encoding="utf-8")
        found = page.evaluate("async (text) => (await import('/static/toml.js')).parse(text)", text)
        # Days are texts, and what has no end is a word, as the API takes them.
        expected = json.dumps(tomllib.loads(text), default=str).replace("Infinity", '"inf"')
        assert found == json.loads(expected), file.name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\na = 2", 2),
        ("a = [1, 2", 1),
        ("\n[x\n", 2),
        ('a = "x', 1),
        ("a = 1 b = 2", 1),
        ('a = """x"""', 1),
    ],
)
def test_broken_toml_is_refused(looked_at, text, line):
    """Keys twice, lists and texts without an end, and what this reader does not know are refused with their line."""
    page = looked_at("help")
    script = "async (text) => { const { parse } = await import('/static/toml.js'); try { parse(text); } catch (error) { return error.line; } return null; }"
    assert page.evaluate(script, text) == line


# --- 3D and the wall -------------------------------------------------------------------------------------

BUILD = """async ([rows, columns, levels, view]) => {
  const { racks3d } = await import("/static/racks3d.js");
  const { Model } = await import("/static/model.js");
  const model = new Model();
  for (let row = 1; row <= rows; row += 1) for (let column = 1; column <= columns; column += 1) for (let level = 1; level <= levels; level += 1) {
    model.slots.push({ slot: `${row}-${column}-${level}`, row, column, level, capacity: 10 });
  }
  model.index = new Map(model.slots.map((slot, index) => [slot.slot, index]));
  [model.rows, model.columns, model.levels] = [rows, columns, levels];
  const filled = (boxes) => ({ t: 0, fill: model.slots.map(() => boxes), flags: model.slots.map(() => 0), robots: [] });
  model.live = filled(10);
  const canvas = document.createElement("canvas");
  canvas.style.width = "600px";
  canvas.style.height = "400px";
  canvas.style.display = "block";
  document.querySelector("main").prepend(canvas);
  const solid = racks3d(canvas, model);
  solid.view(view);
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await drawn();
  const picked = {};
  for (let x = 0; x < 600; x += 4) for (let y = 0; y < 400; y += 4) {
    const slot = solid.pick(x, y);
    if (slot !== null) picked[model.slots[slot].slot] = (picked[model.slots[slot].slot] ?? 0) + 1;
  }
  const full = canvas.toDataURL();
  model.live = filled(0);
  solid.update();
  await drawn();
  await new Promise((done) => setTimeout(done, 900));
  const empty = canvas.toDataURL();
  solid.dispose();
  canvas.remove();
  return { picked, isOther: full !== empty, outside: solid.pick(2, 2) };
}"""


def names(rows, columns, levels):
    return [f"{row}-{column}-{level}" for row in rows for column in columns for level in levels]


def test_front_hides_what_is_behind(looked_at):
    """From the front each slot of the first row is met more often than any behind it, which gaps let through."""
    found = looked_at("help").evaluate(BUILD, [2, 3, 2, "front"])
    front = [found["picked"][name] for name in names([1], [1, 2, 3], [1, 2])]
    behind = [found["picked"].get(name, 0) for name in names([2], [1, 2, 3], [1])]
    assert min(front) > 4 * max(behind)
    assert found["isOther"]
    assert found["outside"] is None


def test_above_shows_the_top(looked_at):
    """From above the upper slots of all rows are met, the lower ones hardly."""
    found = looked_at("help").evaluate(BUILD, [4, 3, 2, "above"])
    top = [found["picked"][name] for name in names([1, 2, 3, 4], [1, 2, 3], [2])]
    low = [found["picked"].get(name, 0) for name in names([1, 2, 3, 4], [1, 2, 3], [1])]
    assert min(top) > max(low)


def test_click_in_3d_opens_a_slot(open_page, served):
    """The 3D view draws the store, and a click tells of the slot that was hit."""
    page = open_page(served, "?view=3d")
    page.wait_for_function("() => document.querySelector('#solid canvas')?.width > 300")
    canvas = page.locator("#solid canvas")
    page.wait_for_function("() => document.querySelector('#solid canvas').toDataURL().length > 20_000")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(page.locator("#detail h2")).to_have_text(re.compile(r"^\d-\d\d-\d$"))
    canvas.focus()
    before = canvas.evaluate("(each) => each.toDataURL()")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "(before) => document.querySelector('#solid canvas').toDataURL() !== before", arg=before
    )


def test_click_in_3d_opens_a_robot(open_page, served):
    """A click on the robot itself, and on its name, tells of the robot."""
    page = open_page(served, "?view=3d")
    page.wait_for_function("() => document.querySelector('#solid canvas')?.width > 300")
    canvas = page.locator("#solid canvas")
    canvas.hover(position={"x": 5, "y": 5})
    box = canvas.bounding_box()
    spots = [(x, y) for y in range(4, int(box["height"]), 6) for x in range(4, int(box["width"]), 6)]
    # What the pointer would meet is the title of the canvas.
    met = canvas.evaluate(
        """(canvas, spots) => spots.filter(([x, y]) => {
            const { left, top } = canvas.getBoundingClientRect();
            canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: left + x, clientY: top + y }));
            return canvas.title === 'R1';
        })""",
        spots,
    )
    name = min(met, key=lambda spot: spot[1])
    body = max(met, key=lambda spot: spot[1])
    assert body[1] - name[1] > 40  # its name hangs over the store, and it stands on the floor
    for x, y in (body, name):
        canvas.click(position={"x": x, "y": y})
        expect(page.locator("#detail h2")).to_have_text("robot-1")
        page.locator("#detail .close").click()
        expect(page.locator("#detail h2")).to_have_text("Stock")


def test_wall_is_read_from_afar(open_page, served):
    """The wall has five large figures and the alerts on one screen, and nothing to press."""
    page = open_page(served, "?wall=1", width=1920, height=1080)
    with served.client() as client:
        run = client.get("/runs/r1")
        slots = client.get("/runs/r1/slots")["slots"]
    share = sum(slot["boxes"] for slot in slots) / sum(slot["capacity"] for slot in slots)
    figure = page.locator(".wall-figure b")
    expect(figure).to_have_count(5)
    expect(figure.first).to_have_text(f"{share * 100:.1f}")
    assert all(
        each.evaluate("(each) => parseFloat(getComputedStyle(each).fontSize)") >= 56 for each in figure.all()
    )
    hours, minutes = int(run["t_s"] // 3600), int(run["t_s"] % 3600 // 60)
    expect(page.locator(".wall-clock")).to_contain_text(f"D1 {hours:02}:{minutes:02}")
    expect(page.locator(".wall-alerts")).not_to_be_empty()
    expect(page.locator("#go")).to_be_hidden()
    page.wait_for_function(
        "() => document.querySelector('.wall-alerts').getBoundingClientRect().bottom <= innerHeight"
    )
    page.keyboard.press("Escape")
    expect(page.locator("#go")).to_be_visible()
