"""The documentation tells the truth: its commands, tables, links, pictures and names."""

import ast
import http.client
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *DOCS.glob("*.md")))


@pytest.fixture(scope="module")
def make_text() -> Iterator[ModuleType]:
    yield from _imported("make_text")


@pytest.fixture(scope="module")
def make_pictures() -> Iterator[ModuleType]:
    yield from _imported("make_pictures")


@pytest.fixture
def make_screenshots() -> Iterator[ModuleType]:
    yield from _imported("make_screenshots")


def _imported(name: str) -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _prose(page: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", _text(page), flags=re.DOTALL | re.MULTILINE)


# --- commands --------------------------------------------------------------------------------------------


@pytest.fixture
def session(make_text: ModuleType, tmp_path: Path) -> Iterator[object]:
    """A folder for commands, as the pages have one; its server ends with the test."""
    _need("curl")
    with make_text.Session(tmp_path) as session:
        yield session


def _need(program: str) -> None:
    """Skip a test for which a program is not here; where everything is to be tested, fail."""
    if shutil.which(program) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{program} is not here")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if "```console" in _text(page)])
def test_commands_print_what_is_shown(make_text: ModuleType, page: str, tmp_path: Path) -> None:
    """Every command of a console fence prints what the page shows, after the files that the page names."""
    if re.search(r"^\$ .*\bcurl\b", _text(page), re.MULTILINE):
        _need("curl")
    wrong = []
    with make_text.Session(tmp_path) as session:
        for fence in make_text.fences(_text(page)):
            session.keep(fence)
            if fence.kind != "console":
                continue
            for command in make_text.commands(fence):
                if command.text in make_text.NOT_RUN:
                    continue
                printed = session.output(command.text)
                if not make_text.agree(command.shown, printed):
                    wrong.append("\n".join([f"$ {command.text}", *printed]))
    assert not wrong, "run `python docs/make_text.py`; these print something else:\n\n" + "\n\n".join(wrong)


def test_commands_left_out_are_known(make_text: ModuleType) -> None:
    """A command that is not run, or run as another, stands on a page and in the Makefile."""
    shown = {
        command.text
        for page in PAGES
        for fence in make_text.fences(_text(page))
        if fence.kind == "console"
        for command in make_text.commands(fence)
    }
    assert set(make_text.NOT_RUN) <= shown
    assert set(make_text.STAND_INS) <= shown
    makefile = _text("Makefile")
    for command in (*make_text.NOT_RUN, *make_text.STAND_INS):
        program, target = command.split()
        assert program == "make"
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for target, stand_in in make_text.STAND_INS.items():
        recipe = rf"^{target.split()[1]}:.*\n\t\$\(VENV\)/bin/{re.escape(stand_in)}$"
        assert re.search(recipe, makefile, re.MULTILINE)


def test_elision_stands_for_lines(make_text: ModuleType) -> None:
    """Three dots match any lines between the shown ones, and nothing else does."""
    printed = ["a", "b", "c", "d"]
    assert make_text.agree(["a", "...", "d"], printed)
    assert make_text.agree(["..."], printed)
    assert make_text.agree(["a", "b", "...", "c", "d", ""], printed)
    assert not make_text.agree(["a", "...", "c"], printed)
    assert not make_text.agree(["b", "...", "d"], printed)
    assert not make_text.agree(["a", "b"], printed)
    assert not make_text.agree(["a", "b", "c", "...", "b", "c", "d"], printed[:3])


def test_elisions_may_be_several(make_text: ModuleType) -> None:
    """What stands between two elisions has to be printed, whole and in its order."""
    printed = ["{", "a", "b", "c", "d", "e", "}"]
    assert make_text.agree(["{", "...", "b", "c", "...", "e", "}"], printed)
    assert make_text.agree(["...", "b", "...", "d", "..."], printed)
    assert make_text.agree(["{", "...", "a", "...", "}"], printed)
    assert not make_text.agree(["{", "...", "c", "...", "b", "...", "}"], printed)
    assert not make_text.agree(["{", "...", "b", "d", "...", "}"], printed)
    assert not make_text.agree(["{", "...", "x", "...", "}"], printed)
    assert not make_text.agree(["{", "...", "e", "...", "e", "}"], printed)
    assert not make_text.agree(["{", "a", "b", "...", "b", "...", "}"], printed)


def test_elision_stands_for_text(make_text: ModuleType) -> None:
    """Within a line three dots match any text of that line, and what is around them has to be there."""
    printed = ['{"run":"r1","t_s":12.5,"facts":3327}', "end"]
    assert make_text.agree(['{"run":"r1","t_s":...,"facts":3327}', "end"], printed)
    assert make_text.agree(['{"run":...,"facts":...}', "..."], printed)
    assert make_text.agree(["...", "e...d"], printed)
    assert not make_text.agree(['{"run":"r2","t_s":...,"facts":3327}', "end"], printed)
    assert not make_text.agree(['{"t_s":...,"facts":3327}', "end"], printed)
    assert not make_text.agree(['{"run":...', "e...d", "..."], ['{"run":1}'])
    assert not make_text.agree(["a.c", "end"], ["abc", "end"])


def test_what_is_left_out_stays_out(make_text: ModuleType) -> None:
    """Anew, an output has its elisions where they were, in its lines and between them."""
    shown = ["{", '    "t_s": ...,', "...", '    "boxes": 8,', '    "meters": 120,', "...", "}"]
    printed = [
        "{",
        '    "t_s": 7,',
        '    "slot": "a",',
        '    "boxes": 9,',
        '    "meters": 135,',
        '    "z": 1',
        "}",
    ]
    new = ["{", '    "t_s": ...,', "...", '    "boxes": 9,', '    "meters": 135,', "...", "}"]
    assert make_text.renewed(shown, printed) == new
    assert make_text.agree(new, printed)
    assert make_text.renewed(new, printed) == new
    (line,) = make_text.renewed(['{"t_s":...,"facts":1,...}'], ['{"t_s":5.5,"facts":12,"view":"records"}'])
    assert line == '{"t_s":...,"facts":12,...}'
    assert make_text.renewed(["a", "...", "b", "...", "c"], ["refused"]) == ["refused"]
    assert make_text.renewed(["id ...", "a"], ["id 7", "b", "c"]) == ["id ...", "b", "c"]


def test_shell_is_not_needed(make_text: ModuleType) -> None:
    """Two programs may be joined by a pipe; what a shell would read in another way has to be in quotes."""
    get = "curl -s 'localhost:8000/slots?row=2&limit=1'"
    words = ["curl", "-s", "localhost:8000/slots?row=2&limit=1"]
    assert make_text.piped(get) == [words]
    assert make_text.piped(f"{get} | python3 -m json.tool") == [words, ["python3", "-m", "json.tool"]]
    assert make_text.piped('curl --json \'{"a": "b|c"}\' x') == [["curl", "--json", '{"a": "b|c"}', "x"]]
    for line, found in (
        ("curl localhost:8000/slots?row=2&limit=1", "in quotes"),
        ("cat a > b", "in quotes"),
        ("cat 'a", "in quotes"),
        ('cat "$HOME"', "in quotes"),
        ("wget x", "found 'wget'"),
        ("cat a | wget x", "found 'wget'"),
        ("cat a |", "found ''"),
        ("cat a | head | head", "at most two"),
    ):
        with pytest.raises(ValueError, match=re.escape(found)):
            make_text.piped(line)


def test_server_runs_beside_its_page(session: Any) -> None:
    """A server is there for the commands after it, under the port that pages speak of; the next takes its place."""
    said = session.output("meterhouse serve tiny --speed 1")
    assert [json.loads(line)["event"] for line in said] == ["run taken in", "server ready"]
    first = session._server
    (health,) = session.output("curl localhost:8000/health")
    assert json.loads(health)["status"] == "ok"
    head = session.output("curl -s -i localhost:8000/")
    assert head[0].startswith("HTTP/1.1 307")
    told = session.output("curl -s localhost:8000/nothing | python3 -m json.tool")
    assert told[0] == "{"
    assert json.loads("".join(told))["status"] == 404
    assert str(session.port) not in "".join([*said, *head, *told])
    said = session.output("meterhouse serve tiny")
    assert first.poll() is not None
    assert [json.loads(line)["event"] for line in said] == ["run goes on", "server ready"]


def test_server_that_refuses_is_over(session: Any) -> None:
    """A server that does not start has printed why, and its exit code is known."""
    (line,) = session.output("meterhouse serve no_such_scenario")
    assert line.startswith("no_such_scenario")
    assert session.output("echo $?") == ["2"]
    with pytest.raises(ValueError, match="port"):
        session.output("meterhouse serve tiny --port 9000")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_server_is_never_left(make_text: ModuleType, tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever ends a page, its server and all processes of it are gone."""

    def broken_off() -> None:
        with session:
            session.output("meterhouse serve tiny")
            groups.append(session._server.pid)
            os.killpg(groups[0], 0)
            raise error

    session, groups = make_text.Session(tmp_path), []
    with pytest.raises(error):
        broken_off()
    with pytest.raises(ProcessLookupError):
        os.killpg(groups[0], 0)
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", session.port).request("GET", "/health")


def test_value_is_kept(session: Any) -> None:
    """What a command prints can be given to a later one, as a shell does; what it says beside it is shown."""
    said = session.output("KEY=$(meterhouse key create grafana)")
    assert re.fullmatch(r"Key [0-9a-f]{8} for grafana may runs:read\. .*", said[0])
    session.output("meterhouse serve tiny --require-key")
    (refused,) = session.output("curl -s localhost:8000/slots/1-01-1")
    assert json.loads(refused)["status"] == 401
    (told,) = session.output('curl -s -H "X-API-Key: $KEY" localhost:8000/slots/1-01-1')
    assert json.loads(told)["slot"] == "1-01-1"


def test_outputs_are_written_anew(make_text: ModuleType) -> None:
    """Refreshing replaces outputs, keeps what is left out, and leaves the rest of the page alone."""
    page = "# A\n\n```console\n$ meterhouse --version\nwrong\n$ make test\nkept\n```\n\nend\n"
    new = make_text.with_outputs(page)
    assert re.sub(r"meterhouse \d+\.\d+\.\d+", "meterhouse X", new) == page.replace("wrong", "meterhouse X")


def test_named_files_are_used(make_text: ModuleType) -> None:
    """A fence that names a file is used by a command of its page."""
    for page in PAGES:
        text = _text(page)
        for fence in make_text.fences(text):
            match = re.fullmatch(r"# ([\w-]+\.\w+)", fence.lines[0]) if fence.lines else None
            assert match or fence.kind != "toml", f"{page}: {fence.lines[0]}"
            if match and fence.kind != "text":
                assert re.search(rf"^\$ .*\b{re.escape(match[1])}", text, re.MULTILINE), f"{page}: {match[1]}"


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in _text(page)])
def test_python_runs(
    make_text: ModuleType, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python of a page runs from its first line to its last; what a command of it runs is run there."""
    monkeypatch.chdir(tmp_path)
    text, names = _text(page), {}
    for fence in make_text.fences(text):
        program = f"$ python3 {fence.lines[0].removeprefix('# ')}" if fence.lines else ""
        if fence.kind == "python" and not re.search(rf"^{re.escape(program)}\b", text, re.MULTILINE):
            exec(compile("\n".join(fence.lines), page, "exec"), names)


def test_example_rule_is_the_file(make_text: ModuleType) -> None:
    """The rule that own-rule.md walks through is docs/my_rules.py, word for word."""
    (fence,) = [f for f in make_text.fences(_text("docs/own-rule.md")) if f.lines[:1] == ["# my_rules.py"]]
    assert "\n".join([*fence.lines[1:], ""]) == _text("docs/my_rules.py")


def test_rules_see_what_is_said() -> None:
    """What own-rule.md says of a box, a view and a stream is there."""
    from sim.slots import BoxView, SlotView
    from sim.streams import Stream

    shown = {"box": BoxView, "view": SlotView, "stream": Stream}
    named = set(re.findall(r"\b(box|view|stream)\.([a-z_]+)", _text("docs/own-rule.md")))
    assert len(named) > 20
    assert {f"{of}.{name}" for of, name in named if not hasattr(shown[of], name)} == set()


# --- tables ----------------------------------------------------------------------------------------------


def test_every_table_has_a_page(make_text: ModuleType) -> None:
    """Marks and functions belong together, and no table stands twice."""
    found = [name for page in PAGES for name in make_text.tables_in(_text(page))]
    assert sorted(found) == sorted(make_text.TABLES)
    begun = [name for page in PAGES for name in re.findall(r"<!-- begin ([\w-]+) -->", _text(page))]
    assert begun == found


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- begin " in _text(page)])
def test_tables_are_current(make_text: ModuleType, page: str) -> None:
    """A table that the program writes is what it would write today; slow ones are checked below."""
    for name, shown in make_text.tables_in(_text(page)).items():
        if name in make_text.SLOW or name in make_text.NEED_TRACE:
            continue
        assert shown == make_text.TABLES[name](), f"{page}: {name}: run `python docs/make_text.py`"


_COUNTING = {
    "days": 365, "seeds": [1, 2, 3], "scales": [1, 100], "plans": ["none", "full"],
    "cells": [
        {
            "plan": plan, "scale": scale,
            "kpis": {
                "record_accuracy_location": {"mean": right, "low": right - 0.001, "high": right + 0.001},
                "count_robot_hours": {"mean": hours, "low": hours, "high": hours},
                "days_to_discovery": {"mean": None, "low": None, "high": None},
            },
            "accuracy": {
                "days": [0, 100, 365], "mean": [1.0, right, right], "low": [1.0, 0.9, 0.9],
                "high": [1.0, 1.0, 1.0],
            },
        }
        for scale, plan, right, hours in (
            (1, "none", 0.998, 0.0), (1, "full", 0.999, 12.345), (100, "none", 0.91, 0.0),
            (100, "full", 0.97, 1234.5),
        )
    ],
    "found": ["Full counts help."],
}  # fmt: skip

_COUNTING_TABLES = """- Full counts help.

**The default error rates**, 365 days, 3 seeds, in brackets the 95 % interval:

| plan | record accuracy location | count robot hours, h | days to discovery |
| --- | --- | --- | --- |
| `none` | 99.80 % (99.70 to 99.90 %) | 0 | - |
| `full` | 99.90 % (99.80 to 100.00 %) | 12.35 | - |

Share of slots whose record is right, mean over the seeds:

| plan | day 0 | day 100 | day 365 |
| --- | --- | --- | --- |
| `none` | 100.00 % | 99.80 % | 99.80 % |
| `full` | 100.00 % | 99.90 % | 99.90 % |

**100 times the default error rates**, 365 days, 3 seeds, in brackets the 95 % interval:

| plan | record accuracy location | count robot hours, h | days to discovery |
| --- | --- | --- | --- |
| `none` | 91.00 % (90.90 to 91.10 %) | 0 | - |
| `full` | 97.00 % (96.90 to 97.10 %) | 1,234 | - |

Share of slots whose record is right, mean over the seeds:

| plan | day 0 | day 100 | day 365 |
| --- | --- | --- | --- |
| `none` | 100.00 % | 91.00 % | 91.00 % |
| `full` | 100.00 % | 97.00 % | 97.00 % |"""

_OPERATION = {
    "seeds": 10,
    "situations": [
        {
            "name": "Peak",
            "rows": [
                {
                    "measure": "person-hours per 1,000 meters", "unit": "h", "better": "less",
                    "robot": {"mean": 1.2, "low": 1.1, "high": 1.3},
                    "manual": {"mean": 4.8, "low": 4.7, "high": 4.9}, "ratio": 0.25, "low": 0.24, "high": 0.26,
                },
                {
                    "measure": "late orders", "unit": "share", "better": "less",
                    "robot": {"mean": 0.0, "low": 0.0, "high": 0.0},
                    "manual": {"mean": 0.05, "low": 0.04, "high": 0.06}, "ratio": None, "low": None,
                    "high": None,
                },
            ],
        }
    ],
    "found": [],
}  # fmt: skip

_OPERATION_TABLES = """### Peak

| measure | better | robot | by hand | robot / by hand |
| --- | --- | --- | --- | --- |
| person-hours per 1,000 meters, h | less | 1.20 (1.10 to 1.30) | 4.80 (4.70 to 4.90) | 0.250 (0.240 to 0.260) |
| late orders | less | 0.00 % | 5.00 % (4.00 to 6.00 %) | - |

10 seeds in each situation; in brackets the 95 % interval."""


@pytest.mark.parametrize(
    ("name", "result", "tables"),
    [("counting", _COUNTING, _COUNTING_TABLES), ("operation", _OPERATION, _OPERATION_TABLES)],
)
def test_studies_become_tables(
    make_text: ModuleType,
    make_pictures: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    result: object,
    tables: str,
) -> None:
    """The result of a study becomes tables and a picture; without one a sentence says so."""
    monkeypatch.setattr(make_text, "STUDIES", tmp_path)
    monkeypatch.setattr(make_text, "ROOT", tmp_path)
    table, picture = make_text.TABLES[f"{name}-study"], tmp_path / f"{name}-study.svg"
    assert table() == "The figures of this study are not in this copy."
    make_pictures.PICTURES[picture.name](picture)
    assert not picture.exists()
    (tmp_path / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
    assert table() == tables
    make_pictures.PICTURES[picture.name](picture)
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_real_trace_is_current(make_text: ModuleType, shared_data: Path) -> None:
    """The scores on the real trace are those of today."""
    for page, name in (("README.md", "real-trace"), ("docs/allocation.md", "ladder")):
        assert make_text.tables_in(_text(page))[name] == make_text.TABLES[name](), f"{page}: {name}"


def test_theory_is_current(make_text: ModuleType) -> None:
    """The exact comparisons are those of today, and every comparison that is shown has its row."""
    from sim.validation import run_checks

    lines = make_text.tables_in(_text("README.md"))["theory"].splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:] if line.startswith("|")
    ]
    assert [row[:2] for row in rows] == [[shown.what, shown.theory] for shown in make_text.THEORY]
    exact = {case: run_checks([case]) for case in ("rack-a", "acr", "bozer-white")}
    for shown, row in zip(make_text.THEORY, rows, strict=True):
        if shown.case in exact:
            assert row == make_text.theory_row(shown, exact[shown.case])
        assert float(row[4]) <= float(row[2]) <= float(row[5]), row
    assert re.fullmatch(r"All \d+ comparisons hold\.", lines[-1])


# --- the server ------------------------------------------------------------------------------------------


def _rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line begins so, without its head."""
    text = _text(page)
    lines = text[text.index(f"\n{head}") + 1 :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\\\)\|", line)[1:-1]] for line in lines[2:]]


def _words(cells: Iterable[str]) -> list[str]:
    """What stands in code quotes."""
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_metrics_are_those_of_a_server(session: Any) -> None:
    """Each metric that a server tells is on the page with its type and sentence, and no other."""
    session.output("meterhouse serve tiny --speed max")
    session.output("curl -s --retry 20 --retry-connrefused localhost:8000/slots")
    told = {}
    for line in session.output("curl -s localhost:8000/metrics"):
        _, kind, name, text = [*line.split(" ", 3), "", "", ""][:4]
        if kind in ("HELP", "TYPE") and not name.endswith("_created"):
            told.setdefault(name, {})[kind] = text
    shown = {
        _words([name])[0]: {"HELP": says, "TYPE": kind}
        for name, kind, says in _rows("docs/operating.md", "| name | type | what it is |")
    }
    assert shown == told


def test_log_events_are_told() -> None:
    """The page on running a server has every event that is logged, and no other."""
    logged = {
        node.args[0].value
        for path in (ROOT / "api").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
        if node.func.attr in ("info", "warning", "error", "failure")
        and isinstance(node.args[0], ast.Constant)
    }
    shown = _words(row[0] for row in _rows("docs/operating.md", "| event | says |"))
    assert sorted(shown) == sorted(logged)


def test_live_messages_are_told(make_text: ModuleType, session: Any) -> None:
    """The page has every key of the messages over the WebSocket, and no other."""
    session.output("meterhouse serve tiny --speed 1")
    for fence in make_text.fences(_text("docs/http.md")):
        session.keep(fence)
    keys, inner, frame = session.output("python3 watch.py")
    rows = _rows("docs/http.md", "| key | in | says |")
    assert sorted(_words(row[0] for row in rows)) == sorted(keys.split())
    assert set(_words(row[0] for row in rows if row[1] == "both")) <= set(json.loads(frame))
    whole = next(row for row in rows if row[0] == "`snapshot`")
    assert set(_words(whole[2:])) <= set(inner.split())


def test_kinds_of_problems_are_met(make_text: ModuleType) -> None:
    """A kind of problem that no code raises stands without a status on its page."""
    found = make_text.statuses_of_problems()
    assert {"not-found": {404}, "invalid": {422}, "does-not-fit": {409}}.items() <= found.items()
    assert all(400 <= status < 600 for statuses in found.values() for status in statuses)


def test_unit_is_right(tmp_path: Path) -> None:
    """systemd takes the unit; it runs as nobody special, on a read-only system, and its options are there."""
    text = _text("docs/meterhouse.service")
    service = dict(
        line.split("=", 1) for line in text[text.index("[Service]") :].splitlines() if re.match(r"\w+=", line)
    )
    assert service["Type"] == "exec"
    assert service["User"] == "meterhouse"
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectory"] == "meterhouse"
    program, *options = service["ExecStart"].split()
    assert program == "meterhouse"
    assert options == ["serve", "luoyang", "--data", "%S/meterhouse"]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "meterhouse.service"
    installed = Path(sys.executable).with_name("meterhouse")
    unit.write_text(text.replace("ExecStart=meterhouse", f"ExecStart={installed}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_container_file_fits_the_repository(session: Any) -> None:
    """What an image copies is here, its user has no rights, and its health check tells a server from none."""
    lines = _text("docs/Containerfile").replace("\\\n", "").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    copied = [
        arguments.split()[:-1] for step, arguments in steps if step == "COPY" and "--from" not in arguments
    ]
    assert copied
    for source in (name for sources in copied for name in sources):
        assert (ROOT / source).exists(), source
    assert [arguments for step, arguments in steps if step == "USER"] == ["10001"]
    assert ["EXPOSE", "8000"] in steps
    assert any("--require-hashes -r requirements.lock" in arguments for _, arguments in steps)
    check = next(arguments for step, arguments in steps if step == "HEALTHCHECK")
    program, *words = json.loads(check[check.index("[") :])
    assert program == "python"
    words[1] = session._with_port(words[1])
    assert subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode == 1
    session.output("meterhouse key create somebody")
    session.output("meterhouse serve tiny --require-key")
    assert subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode == 0


# --- links and pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every link and picture of a page is a file of the repository, every anchor a heading of it."""
    here = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        name, _, anchor = target.partition("#")
        path = (here / name).resolve() if name else ROOT / page
        assert path.is_file(), f"{page}: {target}"
        assert path.is_relative_to(ROOT), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


def test_pictures_are_shown(make_pictures: ModuleType, make_screenshots: ModuleType) -> None:
    """Every picture of docs/ is drawn by the project, stands on a page, is light and needs no network."""
    stored = {path.name for path in DOCS.iterdir() if path.suffix in (".svg", ".png")}
    studies = make_pictures.NEED_STUDY.items()
    drawn = set(make_pictures.PICTURES) - {
        picture for picture, name in studies if not (DOCS / "studies" / f"{name}.json").is_file()
    }
    assert stored == drawn | {f"{name}.png" for name in make_screenshots.PICTURES}
    pages = "".join(_text(page) for page in PAGES)
    for name in sorted(stored):
        assert name in pages
        assert (DOCS / name).stat().st_size < 400_000
        if name.endswith(".svg"):
            text = (DOCS / name).read_text(encoding="utf-8")
            text = re.sub(r"http://www\.w3\.org/(?:2000/svg|1999/xlink)", "", text)
            assert not re.search(r"https?:|url\((?!#)|@import|href=\"(?!#)", text)


def test_terminal_picture_is_current(make_pictures: ModuleType, tmp_path: Path) -> None:
    """The racks are drawn as the terminal draws them today."""
    drawn = tmp_path / "layout.svg"
    make_pictures.PICTURES[drawn.name](drawn)
    assert drawn.read_text(encoding="utf-8") == _text("docs/layout.svg"), "run `make pictures`"


def test_pictures_show_the_run_of_the_text() -> None:
    """What the pictures show is the run, and the validation, that the README tells of."""
    from PIL import Image

    readme = _text("README.md")
    digest = re.search(r"facts, digest ([0-9a-f]{64})", readme)
    checks = re.search(r"^All (\d+) comparisons hold", readme, re.MULTILINE)
    assert digest is not None
    assert checks is not None
    assert digest[1] in _text("docs/run.svg"), "run `make pictures`"
    assert f"all {checks[1]} checks hold" in _text("docs/validate.svg"), "run `make pictures`"
    for name in ("report.png", "report-racks.png"):
        with Image.open(DOCS / name) as picture:
            assert picture.info["digest"] == digest[1], "run `make pictures`"


# --- names -----------------------------------------------------------------------------------------------

_SECTIONS = (
    r"time|calendar|boxes|layout|initial|supply|demand|people|staging|robots|tour|policy"
    r"|records|reads|counting|faults|fallback|returns|reverify|empties|control"
)


@pytest.mark.parametrize("page", PAGES)
def test_parameters_exist(page: str) -> None:
    """A dotted name in code quotes that begins with a section of the scenario is one of its values."""
    from sim.scenario import field_facts

    for name in re.findall(rf"`((?:{_SECTIONS})\.[a-z_0-9.]+)(?: = [^`]+)?`", _prose(page)):
        assert field_facts(tuple(name.split("."))), f"{page}: {name}"


def test_facts_of_the_journey_exist() -> None:
    """What a box is said to leave behind on its way are kinds of facts."""
    from sim.facts import KINDS

    text = _prose("docs/architecture.md")
    journey = text[text.index("Step by step") : text.index("## How a fact travels")]
    names = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", journey))
    assert len(names) > 20
    assert names <= set(KINDS)


def test_places_for_changes_exist() -> None:
    """What the page says to open is there, with the dicts that it names beside it."""
    text = _prose("docs/architecture.md")
    rows = text[text.index("## Where to add what") : text.index("A function's first sentence")].splitlines()
    seen = 0
    for row in rows:
        path = None
        for word in re.findall(r"`([^`]+)`", row):
            if re.fullmatch(r"[\w/]+\.py", word):
                path = word
                assert (ROOT / path).is_file(), row
            elif re.fullmatch(r"_?[A-Z][A-Z_]+", word):
                assert path is not None, row
                assert hasattr(importlib.import_module(path[:-3].replace("/", ".")), word), row
                seen += 1
    assert seen > 15


def test_every_module_has_a_level(make_text: ModuleType) -> None:
    """The import contract, from which the module map is made, names every module of sim."""
    levels = [name for level in make_text.layers() for name in level]
    modules = {path.stem for path in (ROOT / "sim").glob("*.py")} - {"__init__"}
    assert sorted(levels) == sorted(modules)


def test_changelog_names_the_versions() -> None:
    """The newest entry of the changelog that is released is the version of the project; the first says the model's."""
    from sim.trace import MODEL_VERSION

    project = tomllib.loads(_text("pyproject.toml"))["project"]
    entries = _text("CHANGELOG.md").split("\n## ")[1:]
    newest = next(entry for entry in entries if "(unreleased)" not in entry.partition("\n")[0])
    assert re.match(rf"{re.escape(project['version'])} \(\d{{4}}-\d\d-\d\d\)\n", newest)
    assert f"model_version {MODEL_VERSION}:" in entries[0]


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_clean(page: str) -> None:
    """No address but the reader's own machine, no path of somebody's, nothing left to do, no line without an end."""
    text = _text(page)
    for word in ("index-url", "TODO", "FIXME", "XXX"):
        assert word.lower() not in text.lower(), f"{page}: {word}"
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users|usr|opt)/", text)
    assert not re.search(r"https?://(?!localhost:8000\b)", text)
    assert text.endswith("\n")
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
