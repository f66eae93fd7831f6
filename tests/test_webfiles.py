"""The files of the pages as they stand: words in both languages, and nothing that nobody uses. No browser is needed."""

import json
import re
from typing import get_args

import pytest

from api.answers import TASK_STATUSES
from api.problems import PROBLEMS
from api.told import RunState
from api.views import RACKS
from sim.assets import STATES
from sim.commands import COMMANDS
from sim.facts import ACTIVITIES, TASK_CLASSES
from sim.kpis import _WAITS, KPIS
from sim.scenario import Scenario, build_layout, load
from sim.tables import ORDER_CAUSES
from sim.why import CONSTRAINTS, STATES_OF_BOXES
from tests.servers import ROOT

WEB = ROOT / "api" / "web"
LANGUAGES = ("en", "zh")
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


def code_of(path):
    """A module without its comments."""
    return re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", path.read_text("utf-8"), flags=re.DOTALL)


MODULES = {path.name: code_of(path) for path in sorted(WEB.glob("*.js"))}
PAGES = {path.name: path.read_text("utf-8") for path in sorted(WEB.glob("*.html"))}
STYLES = {
    path.name: re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
    for path in WEB.glob("*.css")
}
USERS = "\n".join([*(text for name, text in MODULES.items() if name[:-3] not in LANGUAGES), *PAGES.values()])


def words_of(lang):
    """The words of a language by their whole names, out of the object that its module exports first."""
    code = MODULES[f"{lang}.js"]
    start = code.index("{", code.index("words ="))
    texts = []

    def kept(found):
        texts.append(found[0])
        return f'"{len(texts) - 1}"'

    plain = TEXT.sub(kept, code[start : code.index("};") + 1])
    plain = re.sub(r"(\w+):", r'"-\1":', plain)  # a name that needs no quotes
    plain = re.sub(r",(\s*})", r"\1", plain)

    def named(key):
        return key[1:] if key.startswith("-") else json.loads(texts[int(key)])

    found = {}
    for key, own in json.loads(plain).items():
        for name, text in own.items() if isinstance(own, dict) else [("-", own)]:
            found[".".join(filter(None, (named(key), named(name))))] = json.loads(texts[int(text)])
    return found


@pytest.fixture(scope="module")
def words():
    return {lang: words_of(lang) for lang in LANGUAGES}


def test_languages_have_the_same_words(words):
    """Both have the same keys, and in each of them the same blanks."""
    assert len(words["en"]) > 500
    assert words["en"].keys() == words["zh"].keys()
    blanks = [
        {key: sorted(re.findall(r"{\w+}", text)) for key, text in words[lang].items()} for lang in LANGUAGES
    ]
    assert blanks[0] == blanks[1]
    assert all(text.strip() for lang in LANGUAGES for text in words[lang].values())


def test_every_word_that_is_asked_for_is_known(words):
    """Each key that a module or a page asks for by name is in the dictionary."""
    asked = set(re.findall(r'\bt\("([\w./]+)"', USERS)) | set(re.findall(r'data-[tlph]="([\w.]+)"', USERS))
    assert len(asked) > 150
    assert asked - words["en"].keys() == set()


VOCABULARIES = {
    "activity": {*ACTIVITIES, "down"},
    "asset": set(STATES),
    "by": {*RACKS, ""},
    "cause": set(ORDER_CAUSES),
    "class": set(TASK_CLASSES),
    "constraint": {*CONSTRAINTS, *STATES_OF_BOXES},
    "kpi": set(KPIS),
    "order": {"open", "short", "handed_over"},
    "place": set(build_layout(load("luoyang").scenario).names),
    "run": {*get_args(RunState), "restoring", "connecting", "lost", "past"},
    "sec": {*Scenario.model_fields, "often", "other"},
    "steer": set(COMMANDS),
    "step": {"10s", "1min", "10min", "1h", "8h"},
    "taskstate": set(TASK_STATUSES),
    "unit": {kpi.unit for kpi in KPIS.values()},
}
"""Parts of the dictionary whose words are names of the model, where a list of these is at hand."""


def test_every_word_is_used(words):
    """A key stands in the code, or is one of a part that is asked for by name, and a name that the model has."""
    named = set(re.findall(r'"([\w./]+)"', USERS))
    parts = set(re.findall(r"`([\w.]+)\.\$\{", USERS)) | set(re.findall(r'\bword\("(\w+)"', USERS))
    tracking = (ROOT / "sim" / "tracking.py").read_text("utf-8")
    tellings = {name for name in ACTIVITIES if "_" in name}

    def is_used(key):
        part, _, name = key.removesuffix(".what").rpartition(".")
        if part not in parts:
            return False
        if part == "event":
            return name in tellings or bool(re.search(rf"\b{name.replace('_', ' ')}\b", tracking))
        if part in VOCABULARIES:
            return name in VOCABULARIES[part]
        return bool(re.search(rf"\b{re.escape(name)}\b", USERS))

    assert sorted(key for key in words["en"].keys() - named if not is_used(key)) == []


def test_model_has_no_name_without_a_word(words):
    """Every KPI, cause, activity, asset state, class and state of a task has its words."""
    for part in ("activity", "asset", "cause", "class", "kpi", "taskstate"):
        missing = {name for name in VOCABULARIES[part] if f"{part}.{name}" not in words["en"]}
        assert missing == set(), part
    zh = MODULES["zh.js"]
    problems = set(
        re.findall(r'(?:"([\w-]+)"|(\w+)): "', zh[zh.index("problem: {") : zh.index("rejected: {")])
    )
    assert {quoted or plain for quoted, plain in problems} <= set(PROBLEMS)
    rejected = set(re.findall(r"(\w+):", zh[zh.index("rejected: {") : zh.index("limits(")])) - {"rejected"}
    assert rejected == set(COMMANDS)


def test_verdicts_are_known_in_chinese():
    """Every verdict on what limits a store, and everything that orders wait for, has its Chinese words."""
    verdicts = {
        found for name in ("kpis", "series")
        for found in re.findall(r'"((?:[A-Z][\w ]* (?:limits?) the store|Nothing works near its limit))"',
                                (ROOT / "sim" / f"{name}.py").read_text("utf-8"))
    }  # fmt: skip
    assert len(verdicts) >= 7
    zh = MODULES["zh.js"]
    assert all(f'"{verdict}":' in zh for verdict in verdicts | {"The robot limits the store"})
    waits = re.findall(r'(?:"([\w ,-]+)"|(\w+)): "', zh[zh.index("const WAITS") : zh.index("const CLAUSES")])
    assert {quoted or plain for quoted, plain in waits} == set(_WAITS.values())


FAMILIES = r"[sk]\d|[lb]\d|none|warn|bad|good"
"""Classes that are made of a number, or say how something stands."""


def test_every_rule_is_used():
    """Each class and name in a style sheet stands in a page or a module."""
    seen = 0
    for name, text in STYLES.items():
        for selector in re.findall(r"([^{}]+)\{", text):
            for found in re.findall(r"[.#]([A-Za-z][\w-]*)", selector):
                seen += 1
                is_used = re.search(rf"(?<![\w-]){re.escape(found)}(?![\w-])", USERS)
                assert is_used or re.fullmatch(FAMILIES, found), (name, found)
    assert seen > 300


def test_every_class_has_a_rule():
    """A class that a module or a page gives is one that a style sheet knows, or that code looks for."""
    given = set()
    for text in (USERS,):
        for found in re.findall(r'class(?:=|: )"([\w -]+)"', text):
            given |= set(found.split())
    ruled = {found for text in STYLES.values() for found in re.findall(r"\.([A-Za-z][\w-]*)", text)}
    selectors = " ".join(re.findall(r'querySelector(?:All)?\([`"]([^`"]+)', USERS))
    looked = set(re.findall(r"\.([a-z][\w-]*)", selectors))
    asked = {
        found
        for path in (ROOT / "tests").glob("test_page*.py")
        for found in re.findall(r"\.([a-z][\w-]*)", path.read_text("utf-8"))
    }
    assert given - ruled - looked - asked - {"sku"} == set()  # by which racks are coloured


def imports_of(name):
    return set(re.findall(r'(?:from |import\()"\./([\w.]+)"', MODULES[name]))


def test_every_module_is_reached():
    """Each file is asked for by a page or by a module that is, and whatever is asked for is there."""
    ahead = {name for text in PAGES.values() for name in re.findall(r"/static/([\w.]+)", text)}
    ahead |= {f"{lang}.js" for lang in LANGUAGES}
    found = set()
    while ahead:
        found |= ahead
        styles = {
            name
            for each in ahead & MODULES.keys()
            for name in re.findall(r"/static/([\w.]+\.css)", MODULES[each])
        }
        ahead = ({name for each in ahead & MODULES.keys() for name in imports_of(each)} | styles) - found
    assert found == {path.name for path in WEB.iterdir()} - PAGES.keys()


def test_what_is_imported_is_exported():
    """A name that a module takes from another is one that the other gives, and is used."""
    for name, code in MODULES.items():
        for names, other in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', code):
            for each in names.split(","):
                given, _, own = each.strip().partition(" as ")
                assert re.search(
                    rf"export (?:async )?(?:function|const|class) {given}\b|export {{[^}}]*\b{given}\b",
                    MODULES[other],
                ), (name, given)
                assert (
                    len(re.findall(rf"(?:(?<![\w$.])|(?<=\.\.\.)){re.escape(own or given)}\b", code)) > 1
                ), (name, own or given)
