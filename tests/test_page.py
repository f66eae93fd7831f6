"""The live page in a real Chromium in front of a real server: what it shows, how it is steered, and what it costs."""

import contextlib
import gzip
import json
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from websockets.sync.client import connect

from tests import browsers
from tests.browsers import Opened
from tests.servers import ROOT, Served

pytestmark = pytest.mark.browser
chromium, window, open_page = browsers.chromium, browsers.window, browsers.open_page

WEB = ROOT / "api" / "web"
HOUR = 3600
PAGE_BYTES = 121_000
MOST_BYTES = {"index.html": 71_000, "compare.html": 38_500, "runs.html": 42_500, "help.html": 25_000}
FRAME_BYTES = 6000


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with the reference store, which stands at ten o'clock of its first day."""
    with Served(tmp_path_factory.mktemp("page") / "data", "luoyang", "--speed", "60") as server:
        with server.client() as client:
            client.patch("/runs/current", {"state": "paused"})
            at = client.get("/runs/current")["t_s"]
            step(client, "current", 10 * HOUR - at)
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A server that needs a key: a small store in which records go wrong, which stands in its third day.

    `keys` has one that may do all, and one that may read alone.
    """
    folder = tmp_path_factory.mktemp("locked") / "data"
    server = Served(
        folder,
        "tiny",
        "--require-key",
        "--set",
        "records.scale=1000",
        "--set",
        "demand.orders_per_day=20",
        "--set",
        "time.days=28",
    )
    server.keys = [new_key(folder, *scopes) for scopes in (("admin", "truth:read"), ("runs:read",))]
    server.key = server.keys[0]
    with server, server.client() as client:
        client.patch("/runs/current", {"state": "paused"})
        step(client, "current", 58 * HOUR)
        yield server


def new_key(folder, *scopes):
    """A key of a server that is not there yet."""
    wanted = [word for scope in scopes for word in ("--scope", scope)]
    made = subprocess.run(
        [sys.executable, "-m", "sim.cli", "key", "create", "page", *wanted, "--data", str(folder), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(made.stdout)["key"]


@pytest.fixture(scope="module")
def looked_at(chromium, served):
    """The store on one page, for all tests that leave it as it is; each begins with nothing chosen."""
    opened = Opened(chromium)
    page = opened(served)
    shown(page, "Paused")
    yield page
    opened.close()
    assert opened.faults == []


def step(client, run, seconds):
    """Have a run go on for so long, and wait until it stands."""
    if seconds > 0:
        client.steer(run, step_s=seconds)
    until = time.monotonic() + 60
    while client.get(f"/runs/{run}")["state"] != "paused":
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def any_run(served):
    """A run of the reference store for tests that do not care what has happened in it; it stands between them."""
    with served.client() as client:
        run = client.start("luoyang", mode="live", state="paused")["id"]
        step(client, run, 10 * HOUR)
        return run


@pytest.fixture
def live(served):
    """A run of the reference store of its own, which stands at ten o'clock."""
    with served.client() as client:
        run = client.start("luoyang", mode="live", state="paused")["id"]
        step(client, run, 10 * HOUR)
        yield run
        client.delete(f"/runs/{run}")


def shown(page, state):
    """Wait until the page says that the run is in a state."""
    expect(page.locator("#state")).to_have_text(state, timeout=30_000)


def bars(page):
    """How high the bar of each slot is, as a share of the highest one."""
    return [float(height) / 24 for height in in_order(page, ".bar", "height")]


def in_order(page, part, name):
    """An attribute of a part of each cell, in the order of slots."""
    return page.evaluate(
        """([part, name]) => {
            const cells = [...document.querySelectorAll('.cell')].sort((a, b) => a.dataset.slot - b.dataset.slot);
            return cells.map(each => each.querySelector(part).getAttribute(name));
        }""",
        [part, name],
    )


def as_told(page, fill):
    """Wait until the bars are as high as slots are full; they are drawn to a quarter of a unit of 24."""
    expect(page.locator(".cell")).to_have_count(len(fill))
    until = time.monotonic() + 20
    while off := [pair for pair in zip(bars(page), fill, strict=True) if abs(pair[0] - pair[1]) > 1 / 96]:
        assert time.monotonic() < until, off
        page.wait_for_timeout(50)


# --- what is sent ------------------------------------------------------------------------------------------


def get(server, path, **headers):
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/ui/", "text/html; charset=utf-8"), ("/static/main.js", "text/javascript; charset=utf-8"),
     ("/static/style.css", "text/css; charset=utf-8"), ("/static/icon.svg", "image/svg+xml")],
)  # fmt: skip
def test_files_are_sent_as_they_are(served, path, kind):
    """Each file has its type, is asked for again each time, and is not sent again while it is the same."""
    status, headers, body = get(served, path)
    name = "index.html" if path == "/ui/" else path.rpartition("/")[2]
    assert (status, headers["content-type"], headers["cache-control"]) == (200, kind, "no-cache")
    assert headers["x-content-type-options"] == "nosniff"
    assert body == (WEB / name).read_bytes()
    status, again, empty = get(served, path, **{"If-None-Match": headers["etag"]})
    assert (status, empty) == (304, b"")
    # A browser puts them in the place of those it has: a page that may load nothing would be left.
    assert again["content-security-policy"] == headers["content-security-policy"]
    _, headers, packed = get(served, path, **{"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == body


def test_pages_trust_this_server_alone(served):
    """A page may load from this server and from nowhere else, and has no code or style of its own in it."""
    _, headers, body = get(served, "/ui/")
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert not re.search(rb"<script(?! type=\"module\" src)|<style|\sstyle=|\son[a-z]+=|https?://", body)


def test_the_front_door_leads_to_the_page(served):
    """`/` and `/ui` lead to the live page and keep what stands behind the question mark."""
    for path, there in (("/", "/ui/"), ("/ui", "/ui/"), ("/?lang=zh&run=r1", "/ui/?lang=zh&run=r1")):
        status, headers, _ = get(served, path)
        assert (status, headers["location"]) == (307, there)


@pytest.mark.parametrize(
    "path", ["/ui/nothing", "/static/nothing.js", "/static/..%2Fapp.py", "/static/%2e%2e", "/ui/index"]
)
def test_other_files_are_not_there(served, path):
    """Nothing but the pages and their parts is sent."""
    status, headers, body = get(served, path)
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["type"] == "/problems/not-found"


def needed_by(page):
    """The files that a page loads at once: what stands in it, what these import, and the words of one language."""
    ahead = set(re.findall(r"/static/([\w.]+)", (WEB / page).read_text("utf-8"))) | {"zh.js"}
    found = {page}
    while ahead:
        found |= ahead
        codes = [(WEB / name).read_text("utf-8") for name in ahead if name.endswith(".js")]
        ahead = {name for code in codes for name in re.findall(r'from "\./([\w.]+)"', code)} - found
    return found


def test_pages_weigh_little(served):
    """All files of all pages in both languages, and those of each page, are sent in so many bytes at most."""
    sizes = {
        path.name: len(get(served, f"/static/{path.name}", **{"Accept-Encoding": "gzip"})[2])
        for path in WEB.iterdir()
    }  # fmt: skip
    assert sum(sizes.values()) < PAGE_BYTES
    for page, most in MOST_BYTES.items():
        needed = needed_by(page)
        assert {"i18n.js", "make.js"} <= needed
        assert not {"racks3d.js", "wall.js", "en.js"} & needed
        assert sum(sizes[name] for name in needed) < most, page


def test_frames_are_small(served):
    """A frame in which all 258 slots have changed and figures are told is below 6 kB."""
    with served.client() as client:
        run = client.start("luoyang_two_robots", mode="live", state="paused")["id"]
        step(client, run, 0)
        with connect(f"{served.url.replace('http', 'ws')}/runs/{run}/live", max_size=None) as socket:
            whole = json.loads(socket.recv(30))
            frame = json.loads(socket.recv(30))
            # What a frame has beside slots, and the most that each slot can take.
            most = [[slot, each["capacity"], 3] for slot, each in enumerate(whole["snapshot"]["slots"])]
            text = json.dumps({**frame, "s": most, "k": whole["k"]}, separators=(",", ":"))
            assert len(most) == 258
            assert len(text.encode()) < FRAME_BYTES
            client.patch(f"/runs/{run}", {"state": "running", "speed": 3600})
            sizes = [len(socket.recv(30)) for _ in range(30)]
            assert max(sizes) < FRAME_BYTES
        client.delete(f"/runs/{run}")


# --- what is shown -----------------------------------------------------------------------------------------


def test_store_as_it_is(served, open_page):
    """The racks have 258 slots as full as /slots says, the clock that of the run, and the address of a slot opens it."""
    page = open_page(served, "?slot=2-07-3")
    shown(page, "Paused")
    expect(page.locator("#clock")).to_have_text("D1 10:00:00")
    expect(page.locator(".cell")).to_have_count(258)
    with served.client() as client:
        slots = client.get("/slots")["slots"]
        slot = client.get("/slots/2-07-3")
    as_told(page, [each["fill"] for each in slots])
    pane = page.locator("#detail")
    expect(pane.locator("h2")).to_have_text("2-07-3")
    for box in slot["boxes"]:
        expect(pane.get_by_role("button", name=box["box"], exact=True).first).to_be_visible()
    expect(page.locator(".cell.chosen")).to_have_attribute(
        "aria-label", f"2-07-3: {len(slot['boxes'])} of 10 boxes"
    )
    expect(page.locator("#limits")).to_contain_text("the robot was busy")
    assert page.locator(".cell.closed").count() == 0
    assert page.evaluate("() => document.querySelectorAll('[style*=\"url\"], script:not([src])').length") == 0


def test_run_is_started_and_paused(served, live, open_page):
    """Start has the clock go on and Pause has it stand; the space bar does the same; Step goes on for a minute."""
    page = open_page(served, f"?run={live}")
    shown(page, "Paused")
    page.click("#go")
    shown(page, "Running")
    page.wait_for_function("() => document.getElementById('clock').textContent > 'D1 10:00:30'")
    page.locator("h2").first.click()
    page.keyboard.press("Space")
    shown(page, "Paused")
    with served.client() as client:
        before = client.get(f"/runs/{live}")["t_s"]
        page.click("#step")
        step(client, live, 0)
        page.wait_for_function(f"() => document.getElementById('past').max >= {int(before + 60)}")
        assert client.get(f"/runs/{live}")["t_s"] == before + 60


def test_speed_is_chosen(served, any_run, open_page):
    """The slider has nine stops and the greatest speed; beside it stands what was asked for."""
    page = open_page(served, f"?run={any_run}")
    shown(page, "Paused")
    slider = page.locator("#speed")
    told = []
    with served.client() as client:
        for stop in range(10):
            slider.evaluate(
                f"each => {{ each.focus(); each.value = {stop}; each.dispatchEvent(new Event('input')); }}"
            )
            told.append(page.locator("#pace").text_content())
        slider.evaluate("each => { each.value = 8; each.dispatchEvent(new Event('change')); }")
        page.wait_for_function(f"async () => (await (await fetch('/runs/{any_run}')).json()).speed === 3600")
        assert client.get(f"/runs/{any_run}")["speed"] == 3600
    stops = ["1", "5", "10", "30", "60", "120", "600", "1,800", "3,600"]
    assert told == [*(f"\N{MULTIPLICATION SIGN}{stop}" for stop in stops), "max"]


def test_slots_follow_the_run(served, live, open_page):
    """While the run goes on the page changes with it: in the end every bar is as /slots says."""
    page = open_page(served, f"?run={live}")
    shown(page, "Paused")
    before = bars(page)
    with served.client() as client:
        client.patch(f"/runs/{live}", {"state": "running", "speed": 3600})
        page.wait_for_function("() => document.getElementById('clock').textContent >= 'D1 12'")
        client.patch(f"/runs/{live}", {"state": "paused"})
        shown(page, "Paused")
        slots = client.get(f"/runs/{live}/slots")["slots"]
    as_told(page, [each["fill"] for each in slots])
    assert bars(page) != before


def test_keyboard_reaches_a_slot(looked_at):
    """The racks are one stop; arrows, Home, End and Page keys go from slot to slot over the openings; Enter opens."""
    page = looked_at
    page.locator("#grid").focus()
    for key in ("Home", *["PageUp"] * 3, *["ArrowDown"] * 4):  # wherever the tests before have been
        page.keyboard.press(key)
    active = "() => document.querySelector('.cell.active')?.getAttribute('aria-label')?.split(':')[0]"
    seen = []
    for key in ("ArrowRight", "ArrowUp", "PageDown", "End", "Home", "ArrowDown", "ArrowDown", "PageUp"):
        page.keyboard.press(key)
        seen.append(page.evaluate(active))
    # From 1-01-1; 2-01-1 is the opening of a port, so that nothing is below 2-01-2.
    assert seen == ["1-02-1", "1-02-2", "2-02-2", "2-13-2", "2-01-2", "2-01-2", "2-01-2", "1-01-2"]
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_have_text("1-01-2")
    assert "slot=1-01-2" in page.url


@pytest.mark.parametrize(
    ("typed", "kind", "name"),
    [
        ("1-04-3", "Slot", "1-04-3"),
        ("robot", "Robot", "robot-1"),
        ("0126603", "Meter", "9930001000000000126603"),
    ],
)
def test_search_finds_by_a_few_characters(looked_at, typed, kind, name):
    """`/` goes to the search; a few characters and Enter open what they name."""
    page = looked_at
    page.keyboard.press("/")
    page.locator("#find").fill("")
    page.keyboard.type(typed)
    expect(page.locator("#found li").first).to_contain_text(kind)
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_have_text(name)
    expect(page.locator("#detail .kind")).to_have_text(kind)
    page.locator("#find").blur()
    page.keyboard.press("Escape")
    expect(page.locator("#detail h2")).to_have_text("Stock")
    expect(page.locator("#detail .kinds tbody tr")).to_have_count(5)  # though nothing goes on


def test_meter_tells_its_life(served, open_page):
    """A meter's page has its places and dates in order, from the opening on, each with its link."""
    page = open_page(served, "?meter=9930001000000000126603")
    first = page.locator("#detail .events li").first
    expect(first).to_contain_text("opening")
    expect(first).to_contain_text("D1 00:00:00")
    first.get_by_role("button", name="2-07-3").click()
    expect(page.locator("#detail h2")).to_have_text("2-07-3")


@pytest.mark.parametrize(("lang", "state"), [("zh", "已暂停"), ("en", "Paused")])
def test_page_speaks_a_language(served, open_page, lang, state):
    """The page says so in its language and loads the words of that alone; no element shows a key in place of words."""
    page = open_page(served, f"?lang={lang}&slot=2-07-3")
    shown(page, state)
    expect(page.locator("#detail h2")).to_have_text("2-07-3")
    assert page.evaluate("() => document.documentElement.lang") == {"zh": "zh-CN", "en": "en"}[lang]
    words = page.evaluate("async () => (await import('/static/i18n.js')).words")
    loaded = page.evaluate("() => performance.getEntriesByType('resource').map(each => each.name)")
    assert {name[-5:] for name in loaded if re.search(r"/(en|zh)\.js$", name)} == {f"{lang}.js"}
    seen = page.locator("body").inner_text() + " ".join(
        page.eval_on_selector_all("[aria-label], [title], [placeholder]", "all => all.flatMap(each => ['aria-label', 'title', 'placeholder'].map(name => each.getAttribute(name) ?? ''))")
    )  # fmt: skip
    keys = {key for key in words if "." in key}
    assert {word for word in re.findall(r"[\w.]+", seen) if word in keys} == set()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (420, "dark")])
def test_everybody_can_use_it(served, open_page, width, scheme):
    """axe-core finds nothing to complain of, contrast included, and nothing is wider than the screen."""
    page = open_page(served, "?slot=2-07-3&colour=age", width=width, scheme=scheme)
    expect(page.locator("#detail h2")).to_have_text("2-07-3")
    expect(page.locator("#legend")).to_contain_text("150")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_other_stores_fit(served, open_page):
    """A rack with one face and a port in the middle of its use is drawn as it is: 43 columns, six levels, 258 slots."""
    with served.client() as client:
        run = client.start("rack_a", mode="live", state="paused")["id"]
        page = open_page(served, f"?run={run}", width=420)
        expect(page.locator(".cell")).to_have_count(258, timeout=30_000)
        assert page.locator(".aisle").count() == 1
        assert page.locator(".aisle [role=row]").count() == 6
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 420
        client.delete(f"/runs/{run}")


def test_racks_in_three_dimensions(served, open_page):
    """The 3D view is loaded on first use, draws something, and a click in it opens a slot."""
    page = open_page(served)
    shown(page, "Paused")
    assert (
        page.evaluate(
            "() => performance.getEntriesByType('resource').some(each => each.name.includes('racks3d'))"
        )
        is False
    )
    page.click("#tab-3d")
    canvas = page.locator("#solid canvas")
    expect(canvas).to_be_visible()
    bounds = canvas.bounding_box()
    for share in (0.5, 0.4, 0.6, 0.45, 0.55):
        page.mouse.click(bounds["x"] + 0.5 * bounds["width"], bounds["y"] + share * bounds["height"])
        if page.locator("#detail .kind").count():
            break
    expect(page.locator("#detail .kind")).to_have_text("Slot")
    assert len(set(canvas.screenshot())) > 50
    assert "view=3d" in page.url


# --- colours and the truth ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colour", "by"), [("age", "age"), ("class", "sku"), ("visits", "visits"), ("count", "count")]
)
def test_racks_are_coloured(served, looked_at, colour, by):
    """Slots have the colour of their value: the same value is the same colour, and the address keeps the choice."""
    page = looked_at
    page.select_option("#by", colour)
    page.wait_for_url(f"**colour={colour}*")
    with served.client() as client:
        values = client.get("/runs/current/racks", by=by)["values"]
    tones = [each.split()[1] for each in in_order(page, ".bar", "class")]
    by_value = {}
    for value, tone in zip(values, tones, strict=True):
        assert by_value.setdefault(value, tone) == tone
        assert (tone == "none") is (value is None)
    if colour == "visits":  # ten parts of the greatest number of visits are five tones
        most = max(values)
        assert all(tone == f"s{-(-5 * value // most) if most else 0}" for value, tone in by_value.items())


def test_truth_is_refused_in_words(served, window):
    """Where the truth may not be seen the page says why, and shows what it showed before."""
    opened = Opened(window)
    page = opened(served)
    shown(page, "Paused")
    page.select_option("#by", "truth")
    expect(page.locator("#side")).to_contain_text("truth:read")
    expect(page.locator("#by")).to_have_value("fill")
    assert "colour" not in page.url
    opened.close()
    assert [fault for fault in opened.faults if "403" not in fault] == []


def test_truth_is_shown_and_said(locked, open_page):
    """With the right to see it, slots whose record is wrong are marked, and the page says that this is the truth."""
    page = open_page(locked, "?colour=truth", key=locked.keys[0])
    expect(page.locator("#side")).to_contain_text("the truth")
    with locked.client() as client:
        wrong = client.get("/runs/current/racks", by="differs", view="truth")["values"]
    assert sum(wrong) > 0
    expect(page.locator(".bar.warn, .bar.bad")).to_have_count(sum(value > 0 for value in wrong))


# --- the past ----------------------------------------------------------------------------------------------


def test_past_instant_is_shown(served, open_page):
    """At an instant of the past racks and figures are those of then, and Live leads back."""
    at = 35_900
    page = open_page(served, f"?at={at}")
    shown(page, "In the past")
    expect(page.locator("#clock")).to_have_text("D1 09:58:20")
    with served.client() as client:
        then = [each["fill"] for each in client.get("/slots", at=at)["slots"]]
        now = [each["fill"] for each in client.get("/slots")["slots"]]
        queue = client.get("/runs/current/series", name="queue", **{"from": at}, to=at, points=1)["last"][0]
    assert then != now
    as_told(page, then)
    expect(page.locator("#card-queue .value")).to_have_text(f"{queue}tasks")
    page.click("#to-live")
    shown(page, "Paused")
    as_told(page, now)
    assert "at=" not in page.url


def test_branch_is_compared(served, live, open_page):
    """From an instant on a branch goes on with other values beside the run as it is, and both are compared."""
    page = open_page(served, f"?run={live}&at=34000")
    shown(page, "In the past")
    page.route("**/ui/compare*", lambda route: route.fulfill(body="compared", content_type="text/plain"))
    page.click("#branch")
    page.fill("dialog input[name=carry]", "1")
    page.click("#begin-branch")
    page.wait_for_url("**/ui/compare?runs=*")
    same, changed = re.search(r"runs=(r\d+)(?:%2C|,)(r\d+)", page.url).groups()
    with served.client() as client:
        for run in (same, changed):
            assert client.get(f"/runs/{run}")["parent"] == {"run": live, "at_s": 34000.0}
        carry = [client.get(f"/runs/{run}/scenario")["now"]["robots"]["carry"] for run in (same, changed)]
        assert carry == [4, 1]
        for run in (same, changed):
            client.delete(f"/runs/{run}")


# --- why ---------------------------------------------------------------------------------------------------


def test_order_tells_where_its_time_went(served, open_page):
    """An order that was handed over shows its time by cause, which adds up to what it took."""
    with served.client() as client:
        order = client.get("/runs/current/orders", status="handed_over")["orders"][0]
        causes = client.get(f"/runs/current/orders/{order['order']}")["time_by_cause_s"]
    assert sum(causes.values()) == pytest.approx(order["handed_over_s"] - order["released_s"])
    page = open_page(served, f"?order={order['order']}")
    expect(page.locator("#detail .split i")).to_have_count(len(causes))
    page.locator("#chart-lead h3 button").click()
    expect(page.locator("#detail h2")).to_have_text("Lead time")
    expect(page.locator("#detail .split i").first).to_be_visible()


def test_why_is_drawn_on_the_racks(served, open_page):
    """A task's reasons: slots that each constraint removed, and the best five, numbered on the racks."""
    with served.client() as client:
        task = client.get("/runs/current/tasks", **{"class": "put_away"}, status="done")["tasks"][0]["task"]
        slot = client.get(f"/runs/current/tasks/{task}/why", consequences="false")["decisions"][0]
    page = open_page(served, f"?task={task}")
    page.click("#why")
    expect(page.locator(".mark.best")).to_have_count(
        len({each["slot"] for each in slot["best"]}), timeout=40_000
    )
    first = page.locator(".mark.best circle + text").filter(has_text="1").first
    assert first.evaluate("each => each.closest('.cell').id") == page.evaluate(
        "async name => `slot-${(await (await fetch('/slots')).json()).slots.findIndex(each => each.slot === name)}`",
        slot["best"][0]["slot"],
    )
    left = slot["constraints"]["left"]
    expect(page.locator("#detail")).to_contain_text(str(left))


# --- steering ----------------------------------------------------------------------------------------------


def commands(client, run):
    return [(each["type"], each["state"]) for each in client.get(f"/runs/{run}/commands")["commands"]]


def test_slot_is_blocked_with_two_clicks(served, live, open_page):
    """Block and Send: the slot shows its cross, and the command stands in the log on the page and on the server."""
    page = open_page(served, f"?run={live}&slot=1-08-1")
    expect(page.locator("#detail h2")).to_have_text("1-08-1")
    page.click("#steer-block_slot")
    page.click("#send")
    expect(page.locator(".cell.chosen .flag.blocked")).to_be_visible()
    expect(page.locator("#commands li").first).to_contain_text("Block a slot")
    expect(page.locator("#commands li").first).to_contain_text("applied")
    page.click("#steer-block_slot")
    page.click("#send")
    expect(page.locator("#notice")).to_contain_text("blocked already")
    with served.client() as client:
        assert commands(client, live) == [("block_slot", "applied"), ("block_slot", "rejected")]


def test_order_robot_and_rules(served, live, open_page):
    """An order is sent and opened, a robot is stopped and repaired, rules change: each is in the command log."""
    page = open_page(served, f"?run={live}")
    shown(page, "Paused")
    page.click("#steer-order")
    page.click("#send")
    expect(page.locator("#detail .kind")).to_have_text("Order")
    page.click("#steer-stop_robot")
    page.click("#send")
    expect(page.locator("#detail")).to_contain_text("out of order")
    page.get_by_role("button", name="Repair the robot").click()
    page.click("#send")
    expect(page.locator("#commands li")).to_have_count(3)
    page.click("#steer-change_policy")
    page.select_option("dialog select[name=allocation]", "random")
    page.click("#send")
    expect(page.locator("#commands li")).to_have_count(4)
    with served.client() as client:
        assert commands(client, live) == [
            (name, "applied") for name in ("order", "stop_robot", "repair_robot", "change_policy")
        ]
        assert client.get(f"/runs/{live}/scenario")["now"]["policy"]["allocation"] == "random"


def test_wrong_command_says_why(served, any_run, open_page):
    """What can never be right is refused beside its form, with what was expected."""
    opened = open_page
    page = opened(served, f"?run={any_run}")
    shown(page, "Paused")
    page.click("#steer-count")
    page.fill("dialog input[name=slots]", "9-99-9")
    page.click("#send")
    expect(page.locator("dialog [role=alert]")).to_contain_text("9-99-9")
    opened.faults[:] = [fault for fault in opened.faults if "409" not in fault]


# --- keys, hostile names, lost connections -------------------------------------------------------------------


def test_key_is_asked_for(locked, window):
    """A server that needs a key gives the page to anybody and the data to who types the key, who may do what it allows."""
    opened = Opened(window)
    page = opened(locked)
    dialog = page.locator("dialog")
    expect(dialog).to_be_visible(timeout=30_000)
    assert page.locator(".cell").count() == 0
    dialog.locator("input").fill(locked.keys[1])
    dialog.locator("button").click()
    shown(page, "Paused")
    expect(page.locator(".cell").first).to_be_visible()
    page.click("#go")
    expect(page.locator("#notice")).to_contain_text("runs:write")
    opened.close()
    assert [fault for fault in opened.faults if not re.search("401|403", fault)] == []


HOSTILE = '<img src=x onerror="document.title=1">'


def test_hostile_names_stay_text(served, open_page):
    """Markup in names of SKUs, ports and runs is shown and never obeyed."""
    with served.client() as client:
        scenario = {"extends": "tiny", "skus": [{"name": HOSTILE}]}
        body = {"scenario": scenario, "name": HOSTILE, "mode": "live", "state": "paused"}
        run = client.post("/runs", body)["id"]
        page = open_page(served, f"?run={run}&slot=1-01-1&colour=class")
        expect(page.locator("#legend")).to_contain_text(HOSTILE)
        expect(page.locator("#detail")).to_contain_text(HOSTILE)
        assert page.locator("img").count() == 0
        assert page.title() == f"Paused · {HOSTILE}"
        client.delete(f"/runs/{run}")


def test_restart_of_the_server_is_survived(locked, window):
    """When the server is gone the page says so, and goes on by itself with the slot still chosen and nothing built anew."""
    opened = Opened(window)
    page = opened(locked, "?slot=1-02-1", key=locked.key)
    expect(page.locator("#detail h2")).to_have_text("1-02-1")
    page.evaluate("() => { document.querySelector('.cell.chosen').dataset.mine = 'yes'; }")
    locked.kill()
    shown(page, "Connection lost")
    locked.start()
    shown(page, "Paused")
    assert page.locator(".cell.chosen").get_attribute("data-mine") == "yes"
    expect(page.locator("#detail h2")).to_have_text("1-02-1")
    opened.close()
    assert [fault for fault in opened.faults if not re.search("WebSocket|Failed to load", fault)] == []


# --- load --------------------------------------------------------------------------------------------------


def test_slow_browser_stays_live(served, any_run, open_page):
    """With a processor four times slower, what is on the screen is hardly older than a second at full speed."""
    page = open_page(served, f"?run={any_run}")
    shown(page, "Paused")
    page.evaluate(
        """() => {
            window.ages = [];
            const clock = document.getElementById('clock');
            new MutationObserver(() => window.ages.push(performance.now())).observe(clock, {childList: true, characterData: true, subtree: true});
        }"""
    )
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    with served.client() as client:
        client.patch(f"/runs/{any_run}", {"state": "running", "speed": 600})
        page.wait_for_function("() => window.ages.length > 40", timeout=40_000)
        gaps = page.evaluate("() => window.ages.slice(1).map((at, k) => at - window.ages[k])")
        behind = client.get(f"/runs/{any_run}")["t_s"] - page.evaluate(
            "() => Number(document.getElementById('past').max)"
        )
        client.patch(f"/runs/{any_run}", {"state": "paused"})
    assert statistics.quantiles(gaps, n=20)[-1] < 1000
    assert behind / 600 < 2


def test_all_viewers_get_the_same(served, any_run):
    """Twenty viewers get the same frames in the same order."""
    url = f"{served.url.replace('http', 'ws')}/runs/{any_run}/live"

    def watch(_):
        with connect(url, max_size=None) as socket:
            first = json.loads(socket.recv(30))["seq"]
            frames = [json.loads(socket.recv(30)) for _ in range(15)]
        return first, {frame["seq"]: (frame["t"], frame["facts"]) for frame in frames}

    with served.client() as client:
        client.patch(f"/runs/{any_run}", {"state": "running", "speed": 600})
        with ThreadPoolExecutor(20) as pool:
            found = list(pool.map(watch, range(20)))
        client.patch(f"/runs/{any_run}", {"state": "paused"})
    known = {}
    for first, frames in found:
        assert list(frames) == list(range(first + 1, first + 16))
        for seq, told in frames.items():
            assert known.setdefault(seq, told) == told
