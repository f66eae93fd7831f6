"""Compare, Runs, Help, the 3D view and the wall, in a real Chromium in front of a real server."""

import csv
import io
import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from tests.servers import ROOT, Served

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

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
def chromium():
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def browse(chromium, served, faults, path, width=1280, height=900):
    """A page of the server in a browser of its own; what is complained of, or asked of others, is a fault."""
    context = chromium.new_context(viewport={"width": width, "height": height}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda told: told.type == "error" and faults.append(told.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith((served.url, "blob:")) or faults.append(asked.url))
    page.goto(f"{served.url}/ui/{path}")
    return page


@pytest.fixture
def open_page(chromium, served):
    """Opens a page that the test may change."""
    pages, faults = [], []

    def opened(path, **size):
        pages.append(browse(chromium, served, faults, path, **size))
        return pages[-1]

    opened.faults = faults
    yield opened
    for page in pages:
        page.context.close()
    assert faults == []


@pytest.fixture(scope="module")
def looked_at(chromium, served):
    """Opens a page once for all tests that only look at it."""
    pages, faults = {}, []

    def opened(path):
        if path not in pages:
            pages[path] = filled(browse(chromium, served, faults, path))
        page = pages[path]
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
        return page

    yield opened
    assert faults == []


def filled(page):
    """Wait until a page has all that it asks for."""
    name = re.search(r"/ui/(\w+)", page.url)[1]
    page.wait_for_selector({"compare": ".overlay >> nth=5", "runs": ".onerun", "help": ".glossary"}[name])
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
    assert page.evaluate("() => document.documentElement.scrollWidth") == 420


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_them(looked_at, path, theme):
    """axe-core finds nothing to complain of in either theme, contrast included."""
    page = looked_at(path)
    page.emulate_media(color_scheme=theme)
    page.evaluate("() => { for (const each of document.querySelectorAll('details')) each.open = true; }")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_names_are_never_markup(open_page, served):
    """A run that is called like an element is shown as it is called."""
    with served.client() as client:
        client.patch("/runs/r3", {"name": HOSTILE})
        try:
            for path in PAGES[:2]:
                page = filled(open_page(path.replace("show=r2", "show=r3")))
                expect(page.locator("main")).to_contain_text(HOSTILE)
                assert page.locator("main img").count() == 0
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
    """The page says that a difference of two runs may be chance, and that both met the same demand."""
    page = looked_at("compare?runs=r2,r3")
    expect(page.locator(".notes")).to_contain_text("One run has no interval")
    expect(page.locator(".notes")).to_contain_text("the same demand, order by order")


def test_lines_begin_at_zero(looked_at):
    """Every chart has a zero line and a line for each run, told apart by dashes."""
    page = looked_at("compare?runs=r2,r3")
    for chart in page.locator(".overlay").all():
        assert chart.locator(".zero").count() == 1
        assert chart.locator("text").first.text_content() == "0"
        dashes = {
            line.evaluate("(each) => getComputedStyle(each).strokeDasharray")
            for line in chart.locator(".line").all()
        }
        assert len(dashes) == 2


def test_runs_are_chosen(open_page):
    """A third run is added to the table and to the address; a run alone is not compared."""
    page = filled(open_page("compare?runs=r2,r3"))
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
    page = filled(open_page("compare?runs=r2,r1"))
    hours, minutes = int(until // 3600), int(until % 3600 // 60)
    expect(page.locator(".notes")).to_contain_text("different instants")
    expect(page.locator(".notes")).to_contain_text(f"day 1, {hours:02}:{minutes:02}")


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


def test_chosen_runs_are_compared(open_page):
    """Two ticked runs lead to their comparison."""
    page = filled(open_page("runs?show=r2"))
    for run in ("r2", "r3"):
        page.locator(f'tr[data-run="{run}"] .tick').check()
    page.get_by_role("link", name="Compare 2").click()
    page.wait_for_url("**/ui/compare?runs=r2,r3")
    page.wait_for_selector(".kpis")


def start_form(page):
    filled(page)
    page.get_by_role("button", name="Start a run").click()
    page.wait_for_selector("#sf-scenario")
    page.locator("#sf-scenario").select_option("tiny")
    expect(page.locator(r"#sf-robots\.carry")).to_have_value("2")
    return page


def newest(served):
    with served.client() as client:
        return client.get("/runs", limit=1)["runs"][0]


def test_run_is_started(open_page, served):
    """The form sends what was changed, and no more; the new run appears in the list."""
    page = start_form(open_page("runs?show=r2"))
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
    page = start_form(open_page("runs?show=r2"))
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
    page = filled(open_page("runs?show=r2"))
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


def test_wrong_file_names_its_line(open_page, tmp_path):
    """What is not understood in a file is said with its line."""
    file = tmp_path / "wrong.toml"
    file.write_text('name = "x"\nrobots.count = two\n', encoding="utf-8")
    page = filled(open_page("runs?show=r2"))
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
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_run_is_taken_home(open_page, served):
    """Scenario, KPIs, slots and facts come as files that say what the API says."""
    page = filled(open_page("runs?show=r2"))
    with served.client() as client:
        values = client.get("/runs/r2/scenario")["begun_with"]
        slots = client.get("/runs/r2/slots")["slots"]
        events = list(client.pages("/runs/r2/events", "events", limit=200))
    assert tomllib.loads(saved(page, "Scenario (TOML)")) == without_none(values)
    rows = list(csv.DictReader(io.StringIO(saved(page, "Slots (CSV)"))))
    assert [(row["slot"], int(row["boxes"])) for row in rows] == [
        (slot["slot"], slot["boxes"]) for slot in slots
    ]
    told = {row["kpi"]: row["value"] for row in csv.DictReader(io.StringIO(saved(page, "KPIs (CSV)")))}
    assert float(told["fill_boxes"]) == kpis(served, "r2")["fill_boxes"]["value"]
    assert [json.loads(line) for line in saved(page, "Facts (JSONL)").splitlines()] == events


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


def test_click_in_3d_opens_a_slot(open_page):
    """The 3D view draws the store, and a click tells of the slot that was hit."""
    page = open_page("?view=3d")
    page.wait_for_function("() => document.querySelector('#solid canvas')?.width > 300")
    canvas = page.locator("#solid canvas")
    page.wait_for_function(
        """() => { const canvas = document.querySelector('#solid canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(data.filter((_, index) => index % 4 === 1)).size > 20; }"""
    )
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(page.locator("#detail h2")).to_have_text(re.compile(r"^\d-\d\d-\d$"))
    canvas.focus()
    before = canvas.evaluate("(each) => each.toDataURL()")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "(before) => document.querySelector('#solid canvas').toDataURL() !== before", arg=before
    )


def test_wall_is_read_from_afar(open_page, served):
    """The wall has five large figures and the alerts on one screen, and nothing to press."""
    page = open_page("?wall=1", width=1920, height=1080)
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
