"""The examples of the OpenAPI document, and its page: made from real answers, right, and current."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from api import docspage
from api.document import known_examples
from sim.commands import COMMANDS
from tests.servers import Served

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs" / "make_examples.py"


@pytest.fixture(scope="module")
def make_examples():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        yield importlib.import_module(SCRIPT.stem)
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def served(tmp_path_factory, make_examples):
    """A server with the run of the examples, at the instant of the commands."""
    with Served(tmp_path_factory.mktemp("examples") / "data") as server:
        with server.client() as client:
            make_examples.started(client)
        yield server


@pytest.fixture(scope="module")
def document():
    """The document as `python -m api.document` writes it."""
    ran = subprocess.run(
        [sys.executable, "-m", "api.document"], cwd=ROOT, capture_output=True, check=True, timeout=100
    )
    return json.loads(ran.stdout)


def operations(document):
    """Method, path and operation of everything that can be asked."""
    for path, by_method in document["paths"].items():
        for method, operation in by_method.items():
            yield method, path, operation


def success(operation):
    """The status of success, and the contents of its answer."""
    ((status, response),) = [each for each in operation["responses"].items() if each[0].startswith("2")]
    return status, list(response.get("content", {}).values())


def body_of(operation):
    return operation.get("requestBody", {}).get("content", {}).get("application/json")


def faults(document, schema, value):
    """What is wrong with a value by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    validator = Draft202012Validator(whole, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


# --- the document ----------------------------------------------------------------------------------------


def test_every_operation_has_an_example(document):
    """Each has an answer on success, where there is one, and each body has at least one."""
    for _, _, operation in operations(document):
        status, contents = success(operation)
        assert all("example" in content for content in contents), operation["operationId"]
        assert bool(contents) == (status != "204"), operation["operationId"]
        if (body := body_of(operation)) is not None:
            assert body["examples"], operation["operationId"]


def test_every_command_has_an_example(document):
    """There is a body for each kind of command."""
    examples = body_of(document["paths"]["/runs/{run}/commands"]["post"])["examples"]
    assert {example["value"]["type"] for example in examples.values()} == set(COMMANDS)
    assert len(examples) == len(COMMANDS)


def test_no_example_is_left_over(document):
    """What the file has is asked for by the document."""
    names = {operation["operationId"] for _, _, operation in operations(document)}
    assert set(known_examples()) == names | {"ProblemTold"}
    assert list(known_examples()) == sorted(known_examples())


def test_examples_fit_their_schemas(document):
    """Every example of an answer, a body, a parameter and a problem is right by the document itself."""
    wrong, seen = {}, 0
    for _, _, operation in operations(document):
        pairs = [(content["schema"], content["example"]) for content in success(operation)[1]]
        pairs += [
            (each["schema"], each["example"]) for each in operation.get("parameters", ()) if "example" in each
        ]
        if (body := body_of(operation)) is not None:
            pairs += [(body["schema"], example["value"]) for example in body["examples"].values()]
        for schema, value in pairs:
            seen += 1
            if found := faults(document, schema, value):
                wrong[operation["operationId"]] = found
    problem = document["components"]["schemas"]["ProblemTold"]
    for value in problem["examples"]:
        assert faults(document, problem, value) == []
    assert not wrong
    assert seen > 150


def test_wrong_values_are_seen(document):
    """The check that finds nothing above finds what is wrong, through references, too."""
    ((content,), example) = (
        success(document["paths"]["/slots"]["get"])[1],
        known_examples()["slots"]["response"],
    )
    assert faults(document, content["schema"], example) == []
    row = {**example["slots"][0], "status": "ajar", "boxes": "nine"}
    found = faults(document, content["schema"], {**example, "slots": [row]})
    assert [fault.partition(":")[0] for fault in found] == ["$.slots[0].status", "$.slots[0].boxes"]


def test_path_parameters_have_examples(document):
    """Documentation and tools show values that work wherever a path has a parameter."""
    for _, path, operation in operations(document):
        parameters = {each["name"]: each for each in operation.get("parameters", ())}
        for name in re.findall(r"{(\w+)}", path):
            assert "example" in parameters[name], (path, name)


def test_examples_are_short():
    """Lists have three elements at most, and all of them together weigh little."""

    def lists(value):
        if isinstance(value, list):
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from lists(inner)

    assert (
        max(len(found) for example in known_examples().values() for found in lists(example.get("response")))
        == 3
    )
    assert (ROOT / "api" / "examples.json").stat().st_size < 150_000


def test_document_is_that_of_a_server(document, served):
    """The command writes what a server on this machine answers."""
    with served.client() as client:
        assert client.get("/openapi.json") == document


# --- the server ------------------------------------------------------------------------------------------


def test_bodies_are_accepted(document, served):
    """Every body is accepted where its operation is, and every command is carried out."""
    rank = {"post": 0, "patch": 1}
    with_body = [each for each in operations(document) if body_of(each[2]) is not None]
    assert {method for method, _, _ in with_body} == set(rank)
    with served.client() as client:
        for method, path, operation in sorted(with_body, key=lambda each: rank[each[0]]):
            given = {each["name"]: each.get("example") for each in operation.get("parameters", ())}
            for name, example in body_of(operation)["examples"].items():
                status, _, answer = client.request(method.upper(), path.format_map(given), example["value"])
                assert str(status) == success(operation)[0], (path, name)
                if operation["operationId"] == "send_command":
                    settled = client.settled(answer)
                    assert (settled["state"], settled["reason"]) == ("applied", None), name


def test_examples_are_current(tmp_path):
    """The file is what the script makes today; it asks a real server, twice the same."""
    made = tmp_path / "examples.json"
    subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(made)],
        cwd=ROOT,
        check=True,
        timeout=110,
        stdout=subprocess.DEVNULL,
    )
    stored = (ROOT / "api" / "examples.json").read_text(encoding="utf-8")
    assert made.read_text(encoding="utf-8") == stored, "run `python docs/make_examples.py`"


# --- the page --------------------------------------------------------------------------------------------

VOID = {"meta", "link", "wbr"}


class Parsed(HTMLParser):
    """A page: whether its tags are balanced, its ids and links, its text without what may break lines."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.wrong, self.ids, self.links, self.text = [], [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if len(given) != len(attributes):
            self.wrong.append(f"<{tag}> has an attribute twice")
        if "id" in given:
            self.ids.append(given["id"])
        self.links += [value for name, value in attributes if name in ("href", "src", "srcset", "action")]
        self.wrong += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        self.wrong += ["<p> in <p>"] * (tag == "p" and "p" in self.open)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(document):
    return docspage.page(document)


def test_page_is_balanced(page):
    """Every element that is opened is closed in its turn; there is no script and no style within."""
    parsed = Parsed(page)
    assert page.startswith("<!doctype html>")
    assert (parsed.wrong, parsed.open) == ([], [])
    assert not {"script", "iframe", "img", "style"} & set(re.findall(r"<(\w+)", page))
    assert Parsed("<p><b>x</p></b>").wrong == ["</p>", "</b>"]


def test_page_tells_every_operation(document, page):
    """Each stands there once, with its path; every link within the page leads somewhere."""
    parsed = Parsed(page)
    assert [name for name, number in Counter(parsed.ids).items() if number > 1] == []
    for method, path, operation in operations(document):
        assert operation["operationId"] in parsed.ids
        assert f"{method.upper()} {path} " in parsed.text
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)


def test_page_needs_nothing_from_elsewhere(page):
    """Page, style and icon name no other host; the style has no rule that would fetch anything."""
    assert all(re.match(r"[/#](?!/)", link) for link in Parsed(page).links)
    pages = ROOT / "api" / "pages"
    assert not re.search(r"url\(|@import|https?:", (pages / "docs.css").read_text(encoding="utf-8"))
    icon = (pages / "docs.svg").read_text(encoding="utf-8")
    assert not re.search(r"href|url\(|https?:", icon.replace('xmlns="http://www.w3.org/2000/svg"', ""))


def test_page_shows_examples(page):
    """What was asked stands above what was answered, folded up; bodies stand with the fields they have."""
    text = Parsed(page).text
    assert "Example: GET /runs/current/slots?status=open&limit=2{" in text
    assert (
        'Example: a live run at ten minutes a second{"scenario": "tiny", "mode": "live", "speed": 600}'
        in text
    )
    assert "args.lines[].sku required" in text
    assert "<details open" not in page


def test_json_is_laid_out_short():
    """What fits stands on one line, plain values side by side, and it is still the same JSON."""
    value = {"a": 1, "b": ["x" * 40, "y" * 40], "c": {"d": None}, "e": "z" * 70, "f": []}
    assert docspage.laid_out({"a": 1}) == '{"a": 1}'
    assert docspage.laid_out(value).splitlines() == [
        "{",
        '  "a": 1,',
        '  "b": [',
        f'    "{"x" * 40}",',
        f'    "{"y" * 40}"',
        "  ],",
        '  "c": {"d": null},',
        f'  "e": "{"z" * 70}",',
        '  "f": []',
        "}",
    ]
    for example in known_examples().values():
        assert json.loads(docspage.laid_out(example)) == example


def test_colours_can_be_read():
    """Text stands out from its ground by 4.5 to 1 at least, by day and by night."""

    def light(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    css = (ROOT / "api" / "pages" / "docs.css").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", each)) for each in css.split("@media")[:2]]
    for colours in themes:
        for ground in ("paper", "ground"):
            for ink in ("ink", "muted", "accent", "good", "mark", "bad"):
                pair = sorted((light(colours[ground]), light(colours[ink])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ink, colours[ink], ground)
        assert (max(a := light(colours["band"]), b := light(colours["ink"])) + 0.05) / (
            min(a, b) + 0.05
        ) >= 4.5


# --- in a browser ----------------------------------------------------------------------------------------

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; without one the tests are skipped, and fail where every test has to run."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    if found is None:
        word = "expected chromium on the path, found none"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(word)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_page_fits_the_screen(browser, served, width, scheme):
    """Folded up or not, nothing sticks out at the side, nothing fails, and nothing leaves the server."""
    with browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        tab, said, asked = context.new_page(), [], []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("requestfailed", lambda request: said.append(request.url))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{served.url}/docs", wait_until="networkidle")
        overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.evaluate(overflow) == 0
        tab.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert tab.evaluate(overflow) == 0
        beyond = tab.evaluate(
            "() => [...document.querySelectorAll('main *')].filter("
            "each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5"
            ").map(each => each.outerHTML.slice(0, 120))"
        )
        ground = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert beyond == []
    assert ground == {"light": "rgb(245, 246, 244)", "dark": "rgb(18, 23, 28)"}[scheme]
    assert said == []
    assert {url.removeprefix(served.url) for url in asked} >= {"/docs", "/docs.css"}
    assert all(url.startswith(f"{served.url}/") for url in asked)


@pytest.mark.browser
def test_link_unfolds_an_operation(browser, served):
    """A link to an operation, or to a form, shows it, though everything is folded up at first."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        tab = context.new_page()
        tab.goto(f"{served.url}/docs")
        assert tab.locator("details[open]").count() == 0
        tab.goto(f"{served.url}/docs#allocate")
        tab.wait_for_function("() => document.querySelector('#allocate').closest('details').open")
        tab.locator("#allocate a[href='#form-AllocateTold']").click()
        tab.wait_for_function("() => document.querySelector('#form-AllocateTold').closest('details').open")


def test_problem_page_is_whole(served):
    """The page of a kind of problem is of the same make."""
    with urllib.request.urlopen(f"{served.url}/problems/does-not-fit", timeout=20) as answer:
        parsed = Parsed(answer.read().decode())
    assert (parsed.wrong, parsed.open) == ([], [])
    assert "does not fit what is here" in parsed.text
    assert parsed.links == ["/docs.svg", "/docs.css", "/docs#every-request"]
