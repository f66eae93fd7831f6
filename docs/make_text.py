"""Writes the parts of the documentation that the program knows better: outputs of commands, and tables.

A fence ```console holds commands after "$ " and what they print; each document's commands run one after
another in a folder of their own, beside the repository's `scenarios` and `tests`, and beside the files that
fences name in their first line (`# peak.toml`). `meterhouse serve` runs on beside the commands after it,
until the next one or the end of the document. A line "..." stands for lines left out, "..." within a line
for text left out. Between `<!-- begin NAME -->` and `<!-- end NAME -->` stands what the function NAME of
`TABLES` gives. The tests hold both to the program; `python docs/make_text.py` writes both anew.
"""

import argparse
import ast
import contextlib
import http.client
import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NamedTuple, Self

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENTS: Final = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

# --- commands ----------------------------------------------------------------------------------------------

STAND_INS: Final = {"make run": "meterhouse run luoyang --out results/luoyang"}
"""Commands that are run as another one: what the Makefile makes of them."""

NOT_RUN: Final = {
    "make test": "would run itself",
    "make pictures": "writes into the repository",
}
"""Commands that stand in a console fence and are not run, with the reason."""

TOOLS: Final = ("meterhouse", "head", "cat", "ls", "curl", "python3")
"""Programs that a console fence may call."""

SHOWN_PORT: Final = 8000
"""The port that documents speak of; each session has one of its own in its place."""

READY_S: Final = 60.0
"""Time in which a server has to be ready."""

STOP_S: Final = 20.0
"""Time in which a server that was told to stop has to be gone."""

ELISION: Final = "..."


class Fence(NamedTuple):
    """A fenced block: what it holds, its lines, and the number of its first line, from 0."""

    kind: str
    lines: list[str]
    first: int


class Command(NamedTuple):
    """A command of a console fence and what the document says that it prints."""

    text: str
    shown: list[str]


def fences(text: str) -> Iterator[Fence]:
    """The fenced blocks of a document."""
    kind: str | None = None
    lines: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines()):
        if line.startswith("```"):
            if kind is None:
                kind, lines, first = line[3:].strip(), [], number + 1
            else:
                yield Fence(kind, lines, first)
                kind = None
        elif kind is not None:
            lines.append(line)


def commands(fence: Fence) -> list[Command]:
    """The commands of a console fence; lines before the first one are an error."""
    found: list[Command] = []
    for line in fence.lines:
        if line.startswith("$ "):
            found.append(Command(line[2:].strip(), []))
        else:
            found[-1].shown.append(line)
    return found


class Session:
    """A folder in which the commands of one document run, and the server that one of them has started.

    To be used in a `with`: whatever happens, no server is left behind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._code = 0
        self._values: dict[str, str] = {}
        self._server: subprocess.Popen[bytes] | None = None
        for name in ("scenarios", "tests"):
            (folder / name).symlink_to(ROOT / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def keep(self, fence: Fence) -> None:
        """Write the file that a fence names in its first line, if it names one."""
        match = re.fullmatch(r"# ([\w-]+\.\w+)", fence.lines[0]) if fence.lines else None
        if match:
            text = "\n".join(fence.lines[1:]) + "\n"
            (self.folder / match[1]).write_text(self._with_port(text), encoding="utf-8")

    def output(self, command: str) -> list[str]:
        """The lines that a command prints, on both streams, without blanks at their ends."""
        if command == "echo $?":
            return [str(self._code)]
        echo = []
        if command in STAND_INS:
            command = STAND_INS[command]
            echo = [f".venv/bin/{command}"]
        assignment = re.fullmatch(r"([A-Z]+)=\$\((.+)\)", command)
        text = assignment[2] if assignment else command
        for name, value in self._values.items():
            text = text.replace(f"${name}", value)
        programs = piped(self._with_port(text))
        if programs[0][:2] == ["meterhouse", "serve"]:
            printed = self._serve(programs[0][1:])
        elif assignment:
            done = self._run(programs[0], stderr=subprocess.PIPE)
            self._values[assignment[1]] = done.stdout.strip()
            printed = done.stderr
        elif len(programs) == 1:
            printed = self._run(programs[0]).stdout
        else:
            first, second = programs
            done = self._run(first, stderr=subprocess.PIPE, is_piped=True)
            printed = done.stderr + self._run(second, typed=done.stdout).stdout
        printed = self._without_port(printed)
        return [*echo, *(line.rstrip() for line in printed.rstrip().splitlines())]

    def stop(self) -> None:
        """Stop the server, if there is one, with all its processes."""
        server, self._server = self._server, None
        if server is None:
            return
        try:
            server.terminate()
            server.wait(STOP_S)
        finally:
            until = time.monotonic() + STOP_S
            with contextlib.suppress(ProcessLookupError):
                while time.monotonic() < until:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.poll()
                    time.sleep(0.02)
                raise RuntimeError("processes of the server are left")

    def _run(
        self, words: Sequence[str], *, stderr: int = subprocess.STDOUT, typed: str = "",
        is_piped: bool = False,
    ) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        """Run a program with what is typed into it, and remember how it ended."""
        program, *arguments = words
        line = {
            "meterhouse": [sys.executable, "-m", "sim.cli"],
            "python3": [sys.executable],
            # On a terminal curl shows no progress, and nobody's own settings count here.
            "curl": ["curl", "-q", *([] if is_piped else ["--no-progress-meter"])],
        }.get(program, [program])
        done = subprocess.run(  # noqa: S603
            [*line, *arguments], cwd=self.folder, env=_plain_environment(), input=typed,
            stdout=subprocess.PIPE, stderr=stderr, text=True, check=False,
        )  # fmt: skip
        self._code = done.returncode
        return done

    def _serve(self, arguments: Sequence[str]) -> str:
        """Start a server in the place of the one before; gives what it prints until it is ready or ends."""
        self.stop()
        if "--port" in arguments:
            raise ValueError(f"meterhouse {shlex.join(arguments)}: the port is the session's to choose")
        line = [sys.executable, "-m", "sim.cli", *arguments, "--port", str(self.port)]
        with tempfile.TemporaryFile("a+b") as said:
            self._server = subprocess.Popen(  # noqa: S603
                line, cwd=self.folder, env=_plain_environment(), stdin=subprocess.DEVNULL, stdout=said,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self._wait_ready(self._server, said)
            return _all_of(said)

    def _wait_ready(self, server: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
        until = time.monotonic() + READY_S
        while True:
            is_ready = self._is_ready()
            if server.poll() is not None:
                self._code = server.returncode
                self.stop()
                return
            if is_ready:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"the server is not ready after {READY_S:g} s:\n{_all_of(said)}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _with_port(self, text: str) -> str:
        return re.sub(rf"\b(localhost|127\.0\.0\.1):{SHOWN_PORT}\b", rf"\1:{self.port}", text)

    def _without_port(self, text: str) -> str:
        text = re.sub(rf"\b(localhost|127\.0\.0\.1):{self.port}\b", rf"\1:{SHOWN_PORT}", text)
        return text.replace(f'"port": {self.port},', f'"port": {SHOWN_PORT},')


def piped(text: str) -> list[list[str]]:
    """The words of each program of a command line; raises ValueError for what needs a real shell."""
    bare = re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", text)
    special = re.search(r"[][&;<>()*?$`~{}!\\'\"]", bare)
    if special:
        raise ValueError(f"{text}: expected {special[0]} in quotes")
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|")
    lexer.whitespace_split, lexer.commenters = True, ""
    programs: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            programs.append([])
        else:
            programs[-1].append(word)
    for words in programs:
        if not words or words[0] not in TOOLS:
            raise ValueError(f"{text}: expected one of {', '.join(TOOLS)}, found {' '.join(words[:1])!r}")
    if len(programs) > 2:
        raise ValueError(f"{text}: expected at most two programs in a pipe")
    return programs


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _plain_environment() -> dict[str, str]:
    """The environment without what would make programs behave or print otherwise for somebody."""
    own = {
        "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "METERHOUSE_DATA", "METERHOUSE_DATABASE", "HTTP_PROXY",
        "ALL_PROXY", "NO_PROXY",
    }  # fmt: skip
    return {name: value for name, value in os.environ.items() if name.upper() not in own}


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


# --- what is shown and what is printed ---------------------------------------------------------------------


def agree(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether the lines that a document shows are what was printed.

    A line that is ELISION stands for any lines, ELISION within a line for any text.
    """
    head, *rest = _parts(_trimmed(shown))
    printed = list(printed)
    if not rest:
        return _same(head, printed)
    *middle, tail = rest
    end = len(printed) - len(tail)
    if len(head) > end or not _same(head, printed[: len(head)]) or not _same(tail, printed[end:]):
        return False
    at = len(head)
    for part in middle:
        size = len(part)
        first = next((k for k in range(at, end - size + 1) if _same(part, printed[k : k + size])), None)
        if first is None:
            return False
        at = first + size
    return True


def _trimmed(shown: Sequence[str]) -> list[str]:
    """Shown lines without blanks at their ends, and without blank lines at the end."""
    return "\n".join(line.rstrip() for line in shown).rstrip("\n").split("\n") if any(shown) else []


def _parts(items: Sequence[str]) -> list[list[str]]:
    """What stands before, between and after elisions."""
    parts: list[list[str]] = [[]]
    for item in items:
        if item == ELISION:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _same(shown: Sequence[str], printed: Sequence[str]) -> bool:
    return len(shown) == len(printed) and all(map(_same_line, shown, printed))


def _same_line(shown: str, printed: str) -> bool:
    if ELISION not in shown:
        return shown == printed
    return re.fullmatch(".*".join(map(re.escape, shown.split(ELISION))), printed) is not None


def renewed(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """What a document shows now: what is left out stays left out, in lines and between them.

    Before the first ELISION and after the last stand as many lines as before; what stands between two is
    where most of it is found again. When that cannot be, nothing is left out.
    """
    shown = _trimmed(shown)
    if agree(shown, printed):
        return shown
    parts = _parts(shown)
    found = _found_again(parts, printed, _likeness)
    if found is None:
        return list(printed)
    lines: list[str] = []
    for old, new in zip(parts, found, strict=True):
        if len(old) == len(new):
            lines += map(_renewed_line, old, new)
        else:  # nothing was left out around them, and there are more or fewer of them
            lines += [next((o for o in old if _same_line(o, line)), line) for line in new]
        lines.append(ELISION)
    return lines[:-1]


def _renewed_line(shown: str, printed: str) -> str:
    """A line as it is printed now, with what was left out of it left out again."""
    if _same_line(shown, printed):
        return shown
    pieces = re.findall(r"\.\.\.|\w+|\W", shown)
    found = _found_again(_parts(pieces), re.findall(r"\w+|\W", printed), lambda a, b: float(a == b))
    return printed if found is None else ELISION.join("".join(part) for part in found)


def _found_again(
    parts: Sequence[Sequence[str]], items: Sequence[str], likeness: Callable[[str, str], float]
) -> list[list[str]] | None:
    """The stretches of `items` that stand where `parts` of another list stood; None if there is no room."""
    if len(parts) == 1:
        return [list(items)]
    head, *middle, tail = parts
    at, end = len(head), len(items) - len(tail)
    found = [list(items[:at])]
    for part in middle:
        places = range(at, end - len(part) + 1)
        if not places:
            return None
        scores = {k: sum(map(likeness, part, items[k : k + len(part)])) for k in places}
        best = max(places, key=lambda k: scores[k])
        at = best + len(part)
        found.append(list(items[best:at]))
    return [*found, list(items[end:])] if at <= end else None


def _likeness(a: str, b: str) -> float:
    return 2.0 if _same_line(a, b) else SequenceMatcher(None, a, b, autojunk=False).ratio()


def with_outputs(text: str) -> str:
    """A document with the outputs of its commands written anew."""
    lines = text.splitlines()
    changes: list[tuple[Fence, list[str]]] = []
    with tempfile.TemporaryDirectory() as folder, Session(Path(folder)) as session:
        for fence in fences(text):
            session.keep(fence)
            if fence.kind == "console":
                new = []
                for command in commands(fence):
                    shown = command.shown
                    if command.text not in NOT_RUN:
                        shown = renewed(shown, session.output(command.text))
                        print(f"    $ {command.text}", flush=True)
                    new += [f"$ {command.text}", *shown]
                changes.append((fence, new))
    for fence, new in reversed(changes):
        lines[fence.first : fence.first + len(fence.lines)] = new
    return "\n".join(lines) + "\n"


# --- tables ------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def parameters() -> str:
    """Every scenario value, section by section, from the models that check it."""
    from sim.scenario import Scenario, scenario_schema
    from sim.words import inlined

    schema = inlined(scenario_schema())
    tree = schema["properties"]
    defaults = Scenario().model_dump(mode="json")
    top = {name: node for name, node in tree.items() if node.get("type") in ("string", "integer")}
    parts = [f"## At the top of the file\n\n{_parameter_table(top, defaults, schema)}"]
    for name, node in tree.items():
        if name not in top:
            parts += _section(name, node, defaults[name])
    return "\n\n".join(parts)


def _section(path: str, node: Mapping[str, Any], defaults: Any) -> Iterator[str]:
    """A table of a section's values, and one for each table or list of tables inside it."""
    is_list = node.get("type") == "array"
    inner = node["items"] if is_list else node
    known = defaults if isinstance(defaults, dict) else {}
    heading, bracket = "##" if "." not in path else "###", (f"[[{path}]]" if is_list else f"[{path}]")
    about = inner.get("description", "") if is_list or "." in path else _sentence_of(path)
    yield f"{heading} `{bracket}`\n\n{about}\n\n{_parameter_table(inner['properties'], known, inner)}"
    for name, child in inner["properties"].items():
        if "properties" in child or "properties" in child.get("items", {}):
            yield from _section(f"{path}.{name}", child, known.get(name))


def _sentence_of(section: str) -> str:
    """The docstring of a section's model; the description of its field may say something else."""
    from sim.scenario import Scenario

    model: Any = Scenario.model_fields[section].annotation
    return " ".join((model.__doc__ or "").split())


def _parameter_table(
    nodes: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any], owner: Mapping[str, Any]
) -> str:
    from sim.words import describe

    rows = []
    for name, node in nodes.items():
        default = _default(defaults.get(name, node.get("default")), needed=name in owner.get("required", ()))
        about = node.get("description", "")
        if "properties" in node and not default:
            about = f"a table of its own, see `{name}` below"
        limits = describe(node).replace("'", "`")
        live = "yes" if node.get("live") else ""
        rows.append([_code(name), default, node.get("unit", ""), limits, node.get("origin", ""), live, about])
    return _table(["key", "default", "unit", "may be", "origin", "mid-run", "what it is"], rows)


def _default(value: Any, *, needed: bool) -> str:
    if value is None:
        return "" if not needed else "needed"
    text = json.dumps(value, ensure_ascii=False)
    return _code(text) if len(text) <= 75 else f"{len(value)} entries"


def kpis() -> str:
    """Every KPI under its heading, as `sim.kpis` lists them."""
    from sim.kpis import GROUPS, KPIS

    parts = []
    for heading, names in GROUPS.items():
        rows = [[_code(name), KPIS[name].unit, KPIS[name].better, KPIS[name].sentence] for name in names]
        parts.append(f"## {heading}\n\n{_table(['name', 'unit', 'better', 'what it is'], rows)}")
    return "\n\n".join(parts)


def command_table() -> str:
    """Every command with its arguments, as `sim.commands` lists them."""
    from sim.commands import COMMANDS

    rows = []
    for name, kind in COMMANDS.items():
        fields = kind.params.model_fields.items()
        arguments = ", ".join(_code(field if value.is_required() else f"{field}?") for field, value in fields)
        rows.append([_code(name), arguments, kind.sentence])
    return _table(["command", "arguments", "what it does"], rows)


def facts() -> str:
    """Every kind of fact with its number, as `sim.facts` lists them."""
    from sim.facts import KINDS

    rows = [[str(k.number), _code(k.name), _code(" ".join(k.fields)), k.sentence] for k in KINDS.values()]
    return _table(["kind", "name", "fields", "what it says"], rows)


def codes() -> str:
    """What the small numbers in facts stand for."""
    from sim.assets import STATES
    from sim.counting import METHODS, PLANS
    from sim.facts import (
        ACTIVITIES,
        DIFFERENCES,
        ERRORS,
        FAULTS,
        LOOKS,
        RETURNS,
        TASK_CLASSES,
        VERDICTS,
        WHYS,
        WORK,
    )  # fmt: skip

    fields = {
        "`class` of a task": TASK_CLASSES, "`activity` of a stretch": ACTIVITIES,
        "`work` of a person": WORK, "`state` of a box": STATES,
        "`cause` of an error": ERRORS, "`how` an error is found": LOOKS, "`why` records change": WHYS,
        "`what` a count finds": DIFFERENCES, "`verdict` on it": VERDICTS, "`cause` of a fault": FAULTS,
        "`cause` of a return": RETURNS, "`plan` of a count": tuple(PLANS),
        "`method` of a look": tuple(METHODS),
    }  # fmt: skip
    rows = [
        [field, ", ".join(f"{i} {_code(n)}" for i, n in enumerate(names))] for field, names in fields.items()
    ]
    return _table(["field", "numbers"], rows)


def modules() -> str:
    """The modules of `sim` by level, from the import contract; each imports from levels below its own."""
    levels = layers()
    rows = [
        [str(len(levels) - above), _code(name), _about(ROOT / "sim" / f"{name}.py")]
        for above, names in enumerate(levels)
        for name in sorted(names)
    ]
    return _table(["level", "module", "what it is"], rows)


def layers() -> list[list[str]]:
    """The levels of the import contract, top first: the modules of each that exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    found = next(c["layers"] for c in contracts if c["type"] == "layers")
    levels = [[name.strip(" ()") for name in re.split("[|:]", level)] for level in found]
    return [[name for name in level if (ROOT / "sim" / f"{name}.py").is_file()] for level in levels]


def _about(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(re.split(r"(?<=[.!?])\s|\n\n", text, maxsplit=1)[0].split())


def api_modules() -> str:
    """The modules of `api`, by name."""
    paths = [path for path in sorted((ROOT / "api").glob("*.py")) if path.stem != "__init__"]
    return _table(["module", "what it is"], [[_code(path.stem), _about(path)] for path in paths])


def _choices(what: str, head: str) -> Callable[[], str]:
    def table() -> str:
        from sim.cli import LISTS

        rows = [[_code(row["name"]), row["sentence"]] for row in LISTS[what][1]()]
        return _table([head, "what it is"], rows)

    return table


def error_rates() -> str:
    """How often each error happens and each read fails, with the origin of every rate."""
    from sim.scenario import scenario_schema
    from sim.words import inlined

    tree = inlined(scenario_schema())["properties"]
    rows = []
    for section, names in _RATES.items():
        for name in names:
            node = tree[section]["properties"][name]
            default = f"{node['default']:.6f}".rstrip("0")
            about = [node.get("unit", ""), node.get("origin", ""), node["description"]]
            rows.append([_code(f"{section}.{name}"), default, *about])
    return _table(["key", "default", "unit", "origin", "what it is"], rows)


_RATES: Final = {
    "records": (
        "wrong_slot", "wrong_slot_by_hand", "bad_choice_by_hand", "lost_message", "short_packed",
        "short_packed_by_hand", "unrecorded_removal", "damage",
    ),
}  # fmt: skip
"""The chances that `records.scale` multiplies, by section."""


def count_methods() -> str:
    """How a slot can be counted: by whom, what is seen, and how long a full slot takes."""
    from sim.counting import METHODS, CountingParams
    from sim.reads import ReadParams

    params, passes = CountingParams(), ReadParams().passes
    rows = []
    for name, method in METHODS.items():
        seconds = method.takes_ms(params, 10, 150, passes) / 1000
        rows.append([_code(name), method.sentence, "yes" if method.places else "no", f"{seconds:,.0f} s"])
    head = [
        "`counting.method`",
        "who, with what, sees what",
        "may be `counting.recount`",
        "a full slot of 10 boxes",
    ]
    return _table(head, rows)


def story() -> str:
    """One box of `tiny` from its truck to its hand-over: every fact that names it, its tasks or its order."""
    from sim import load, run
    from sim.facts import BY_NUMBER

    for seed in range(1, 100):
        result = run(load("tiny"), seed)
        box = _travelled(result.trace)
        if box is not None:
            break
    trace, places = result.trace, result.layout.names
    created, fetched = trace.table("box_created"), trace.table("task_created")
    row = created["box"].tolist().index(box)
    mine = fetched["box"] == box
    own = {
        "box": {box}, "task": set(fetched["task"][mine].tolist()), "lot": {int(created["lot"][row])},
        "truck": {int(created["truck"][row])}, "order": set(fetched["order"][mine].tolist()) - {-1},
    }  # fmt: skip
    kinds_of = {
        "lot": ("lot_created",), "truck": ("truck_called_off", "truck_arrived", "truck_unloaded"),
        "order": ("order_released", "order_line", "order_handed_over"),
    }  # fmt: skip
    rows = []
    for time_ms, kind, *values in trace.rows():
        name, fields = BY_NUMBER[kind].name, dict(zip(BY_NUMBER[kind].fields, values, strict=True))
        ours = fields.get("box") == box or ("box" not in fields and fields.get("task") in own["task"])
        if ours or any(name in names and fields[key] in own[key] for key, names in kinds_of.items()):
            rows.append([_clock(time_ms), _code(name), _said(fields, places)])
    return f"`meterhouse run tiny --seed {seed}`, box {box}:\n\n{_table(['time', 'fact', 'says'], rows)}"


def _travelled(trace: Any) -> int | None:
    """The first box that came on a truck, was stored, fetched and issued whole; None when there is none."""
    created, tasks = trace.table("box_created"), trace.table("task_created")
    by_truck = set(created["box"][created["truck"] != -1].tolist())
    fetched = set(tasks["box"][tasks["task_class"] == 0].tolist())
    opened = set(trace.table("meters_picked")["box"].tolist())
    issued = trace.table("meters_issued")["box"].tolist()
    return next((box for box in issued if box in by_truck & fetched - opened), None)


def _clock(time_ms: int) -> str:
    day, rest = divmod(time_ms, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    return f"day {day}, {hours:02d}:{rest // 60_000:02d}:{rest % 60_000 / 1000:06.3f}"


def _said(fields: Mapping[str, int], places: Sequence[str]) -> str:
    """The fields of a fact in words, those that do not apply left out."""
    from datetime import date

    from sim.facts import ACTIVITIES, TASK_CLASSES, WORK

    words = []
    for name, value in fields.items():
        if value == -1:
            continue
        shown = str(value)
        if name in ("from_place", "to_place", "place", "recorded", "port", "slot"):
            shown = places[value]
        elif name == "task_class":
            shown = TASK_CLASSES[value]
        elif name == "activity":
            shown = ACTIVITIES[value]
        elif name == "work":
            shown = WORK[value]
        elif name in ("arrive", "end", "due") and value > 10**6:
            shown = _clock(value)
        elif name == "verified_day":
            shown = date.fromordinal(value).isoformat()
        elif name == "mask":
            shown = f"{value:b}"
        words.append(f"{name} {shown}")
    return ", ".join(words)


def origins() -> str:
    """How many values of the reference scenario are sourced, standard, derived, assumed or settings."""
    from collections import Counter

    from sim.scenario import field_facts, leaves, load

    counts = Counter(
        field_facts(path).get("origin", "setting") for path, _ in leaves(load("luoyang").scenario)
    )
    words = {
        "sourced": "read in public material",
        "standard": "follows a named standard",
        "derived": "worked out from published figures",
        "assumption": "a judgement; change it when you know better",
        "setting": "a choice or a switch that claims nothing",
    }
    return _table(["origin", "values", "means"], [[name, str(counts[name]), words[name]] for name in words])


# --- tables of the HTTP API --------------------------------------------------------------------------------


@cache
def _described() -> dict[str, Any]:
    """The OpenAPI document."""
    from api.app import Server
    from api.settings import Settings

    described: dict[str, Any] = Server(Settings(data="nowhere")).app.openapi()
    return described


def operations() -> str:
    """Every operation by subject, from the OpenAPI document; the short path of one beside its long one."""
    described = _described()
    rows: dict[str, dict[str, list[str]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            asked = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
            sentence = operation.get("description", "").partition("\n\n")[0]
            row = [method.upper(), _code(path), ", ".join(map(_code, asked)), sentence]
            rows.setdefault(operation["tags"][0], {})[f"{method} {path}"] = row
    short = rows.pop("current run")
    for name in short:
        method, path = name.split()
        row = rows["state of a run"][f"{method} /runs/{{run}}{path}"]
        row[1] = f"{_code(path)}, {row[1]}"
    head = ["method", "path", "query", "what it gives or does"]
    about = {tag["name"]: tag["description"] for tag in described["tags"]}
    parts = []
    for subject, found in rows.items():
        heading = f"{subject[:1].upper()}{subject[1:]}"
        parts.append(f"**{heading}.** {about[subject]}\n\n{_table(head, found.values())}")
    return "\n\n".join(parts)


def bodies() -> str:
    """What the bodies of requests about runs and slots may have, from the OpenAPI document."""
    schemas = _described()["components"]["schemas"]
    rows, known = [], {}
    for body, said in _BODIES.items():
        schema = schemas[body]
        for number, (name, node) in enumerate(schema["properties"].items()):
            needed = "needed" if name in schema.get("required", ()) else _default_of(node)
            of = node.get("$ref") or node.get("items", {}).get("$ref", "")
            about = node.get("description") or schemas.get(of.rpartition("/")[2], {}).get("description")
            rows.append(["" if number else said, _code(name), needed, about or f"as in {known[name]}"])
            known.setdefault(name, said)
    return _table(["body of", "key", "default", "what it is"], rows)


_BODIES: Final = {
    "RunBody": "`POST /runs`",
    "RunPatch": "`PATCH /runs/{run}`",
    "BranchBody": "`POST /runs/{run}/branch`",
    "AllocateBody": "`POST /allocate`",
    "AskedBox": "a box of it",
}


def _default_of(node: Mapping[str, Any]) -> str:
    default = node.get("default")
    return "" if default is None or default == {} else _code(json.dumps(default).strip('"'))


def series() -> str:
    """Every series, as `sim.series` lists them."""
    from sim.series import SERIES

    rows = [[_code(name), each.unit, each.sentence] for name, each in SERIES.items()]
    return _table(["name", "unit", "what it is"], rows)


def problems() -> str:
    """Every kind of problem with the statuses that it has where it is raised."""
    from api.problems import PROBLEMS

    found = statuses_of_problems()
    rows = [
        [_code(name), ", ".join(map(str, sorted(found.get(name, ())))), title]
        for name, title in PROBLEMS.items()
    ]
    return _table(["kind", "status", "title"], rows)


def statuses_of_problems() -> dict[str, set[int]]:
    """The statuses of each kind of problem: a number with a kind beside it, anywhere in `api`."""
    from api.problems import PROBLEMS

    found: dict[str, set[int]] = {}
    for node in _nodes_of_api():
        if isinstance(node, ast.Call):
            values: list[Any] = [a.value for a in node.args if isinstance(a, ast.Constant)]
        elif isinstance(node, ast.Dict):
            values = [v.value for v in node.values if isinstance(v, ast.Constant)]
        else:
            continue
        for status, kind in itertools.pairwise(values):
            if kind in PROBLEMS and isinstance(status, int):
                found.setdefault(kind, set()).add(status)
    return found


def _nodes_of_api() -> Iterator[ast.AST]:
    """Every node of every module of `api`."""
    for path in sorted((ROOT / "api").glob("*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def scopes() -> str:
    """Every scope of an API key, as `api.keys` lists them."""
    from api.keys import SCOPES

    return _table(["scope", "what it allows"], [[_code(name), says] for name, says in SCOPES.items()])


def metrics() -> str:
    """Every metric, with its labels: those that the server counts, and those it works out when asked."""
    from api.metrics import Metrics

    rows = {}
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows[name] = [_code(name), family.type, family.documentation]
    for node in _nodes_of_api():
        values = (
            [each.value for each in node.elts if isinstance(each, ast.Constant)]
            if isinstance(node, ast.Tuple)
            else []
        )
        if len(values) == 2 and str(values[0]).startswith("meterhouse_"):
            rows[str(values[0])] = [_code(str(values[0])), "gauge", str(values[1])]
    return _table(["name", "type", "what it is"], rows.values())


def limits() -> str:
    """What one server or one request may ask for, beside what options set."""
    from api import asked, live, processes, runs, security, shell
    from api.settings import Settings

    settings = Settings(data="nowhere")
    rows = [
        ["body of a request", f"{settings.most_body:,} bytes", "413"],
        ["time until it is here", f"{shell.BODY_S:g} s", "408"],
        ["levels of nesting in it", f"{shell.MOST_DEPTH}", "400"],
        ["entries of a page", f"{asked.MOST_LISTED}", "422"],
        ["slots of a page, and of a store told at once", f"{asked.MOST_WHOLE_SLOTS:,}", "422"],
        ["boxes of one question to `/allocate`", f"{asked.MOST_BOXES:,}", "422"],
        ["places of the grid of a store that is sent", f"{settings.most_places:,}", "409"],
        ["time for an answer about facts", f"{settings.answer_s:g} s", "503"],
        ["time for the reasons of a task", f"{runs.WHY_S:g} s", "503"],
        ["reasons that are looked for at once", f"{processes.APART}", "they wait"],
        ["reasons that wait", f"{processes.APART_WAITING}", "429"],
        ["time for a run to do what it is told", f"{runs.CONTROL_S:g} s", "503"],
        ["requests of a client at once, where there is a rate", f"{settings.burst}", "429"],
        ["wrong keys of a client at once", f"{security.FAILURES:,}", "429"],
        ["wrong keys of a client a second from then on", f"{security.FAILURES_S:g}", "429"],
        ["viewers of live state", f"{live.MOST_VIEWERS}", "429"],
    ]  # fmt: skip
    return _table(["what", "at most", "else"], rows)


def serve_options() -> str:
    """The options of `meterhouse serve`, as its help has them."""
    from typer.main import get_command

    from sim.cli import app

    group: Any = get_command(app)
    rows = []
    for option in group.commands["serve"].params:
        if option.param_type_name == "argument":
            continue
        default = option.default
        is_said = default not in (None, "", False, ()) and not callable(default)
        about = f"{option.help or 'Port to listen on.'}"
        if option.envvar:
            about += f" Also from the environment: `{option.envvar}`."
        rows.append([_code(option.opts[0]), _code(_plain(default)) if is_said else "", about])
    return _table(["option", "default", "what it does"], rows)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- tables that take long ---------------------------------------------------------------------------------


class Shown(NamedTuple):
    """A comparison that the README shows: its case, words of its name there, and what is compared."""

    case: str
    words: tuple[str, ...]
    what: str
    theory: str


THEORY: Final = (
    Shown("rack-a", ("single", "no acc"), "rack A, single command, s", "exact sum over 258 slots"),
    Shown("rack-a", ("dual", "0.5"), "rack A with acceleration, dual command, s", "exact sum over all pairs"),
    Shown("acr", ("single",), "default robot, single command, s", "exact sum over 65 slots"),
    Shown("acr", ("dual",), "default robot, dual command, s", "exact sum over all pairs"),
    Shown("acr", ("retrieval",), "the same single command in a whole run, s", "exact sum over 65 slots"),
    Shown(
        "bozer-white", ("b 1,", "dual", "limit"), "continuous square rack, dual command",
        "Bozer and White: 9/5",
    ),
    Shown("pollaczek-khinchine", ("0.9",), "mean wait at utilisation 0.9, s", "Pollaczek and Khinchine"),
    Shown("m-m-2", ("mean wait",), "mean wait for two robots at 0.8, s", "M/M/2: Erlang C"),
    Shown(
        "ordered-hunting", ("258", "151", "exponential"), "slots 151 to 200 taken under `closest-open`",
        "Erlang's law of ordered hunting",
    ),
    Shown("full-racks", ("20/60", "200 x 200, 2 zones"), "two zones, of the longest way", "Hausman et al."),
    Shown("full-racks", ("20/60", "200 x 200, 3 zones"), "three zones", "the same, by zone"),
    Shown("full-racks", ("20/60", "200 x 200, turnover"), "full turnover", "4s/(5s + 1)"),
    Shown("littles-law", ("boxes in slots",), "boxes in slots of `luoyang`", "Little's law: rate x stay"),
    Shown("littles-law", ("open orders",), "open orders of `luoyang`", "Little's law: rate x stay"),
    Shown(
        "tag-misses", ("boxes read whole, correlated, two",), "boxes whose tags are all read by two passes",
        "beta-binomial",
    ),
    Shown("sampling", ("0.99 at 0.95", "slots to count"), "slots that prove 99 % at 95 %", "hypergeometric"),
    Shown(
        "counted-records", ("lT 1",), "records wrong, counted once in a mean time to the error",
        "1 - (1 - e^-lT) / lT",
    ),
    Shown(
        "overlooked-records", ("noticed with 0.9",), "the same, a count notices 9 in 10", "its fixed point"
    ),
    Shown(
        "machine-repair", ("4 robots, 1 repairer",), "availability of four robots and one repairer",
        "machine repair, Palm",
    ),
)  # fmt: skip
"""Each names exactly one comparison of its case."""


def theory() -> str:
    """Some of the checks of `meterhouse validate`, and how many there are."""
    from sim.validation import CHECKS, run_checks

    checks = {case: run_checks([case]) for case in CHECKS}
    rows = [theory_row(shown, checks[shown.case]) for shown in THEORY]
    every = [check for found in checks.values() for check in found]
    failed = sum(not check.ok for check in every)
    verdict = (
        f"{failed} of {len(every)} comparisons fail." if failed else f"All {len(every)} comparisons hold."
    )
    return f"{_table(['what', 'theory', 'expected', 'found', 'from', 'to'], rows)}\n\n{verdict}"


def theory_row(shown: Shown, checks: Sequence[Any]) -> list[str]:
    """The row of one comparison, out of those of its case."""
    found = [check for check in checks if all(word in check.name for word in shown.words)]
    if len(found) != 1:
        names = "; ".join(check.name for check in checks)
        raise ValueError(f"THEORY: expected one check with {shown.words}, found {len(found)} among: {names}")
    numbers = (found[0].expected, found[0].found, found[0].low, found[0].high)
    return [shown.what, shown.theory, *(f"{value:.6g}" for value in numbers)]


def rules() -> str:
    """Every allocation rule: what it does, what happens when its first choice is taken, its source."""
    from sim.cli import LISTS

    rows = []
    for row in LISTS["policies"][1]():
        names = ", ".join(_code(name) for name in (row["name"], *row["aliases"]))
        mark = " (replay only)" if "departures" in row["needs"] else ""
        rows.append([names + mark, row["sentence"], row["fallback"], row["source"]])
    return _table(["`policy.allocation`", "what it does", "when its first choice is taken", "from"], rows)


# --- studies -----------------------------------------------------------------------------------------------

STUDIES: Final = ROOT / "docs" / "studies"
"""Where the results of studies are kept, as JSON."""


def counting_study() -> str:
    """Counting plans at several multiples of the default error rates, and how the records fare over time."""
    result = study("counting")
    if result is None:
        return _NO_STUDY
    parts = [*_found(result), *_at_default_rates(result.get("at_default_rates", {}))]
    for scale in result["scales"]:
        cells = [cell for cell in result["cells"] if cell["scale"] == scale]
        parts.append(f"**{_multiple(scale)}**, {_over(result)}:")
        names = list(cells[0]["kpis"])
        for first in range(0, len(names), _COLUMNS):
            some = names[first : first + _COLUMNS]
            rows = [
                [_code(cell["plan"]), *(_kpi_cell(name, cell["kpis"][name]) for name in some)]
                for cell in cells
            ]
            parts.append(_table(["plan", *(_kpi_head(name) for name in some)], rows))
        parts.append("Share of slots whose record is right, mean over the seeds:")
        days = _some_days(cells[0]["accuracy"]["days"])
        rows = [
            [_code(cell["plan"]), *(_share(cell["accuracy"]["mean"][index]) for index, _ in days)]
            for cell in cells
        ]
        parts.append(_table(["plan", *(f"day {day:g}" for _, day in days)], rows))
    words = "Share of slots whose record is right over the days of the run, a line for each plan"
    parts += _picture(f"{words}, a panel for each multiple of the error rates", "counting-study.svg")
    return "\n\n".join(parts)


def _at_default_rates(events: Mapping[str, Any]) -> list[str]:
    """Events a year at the default rates, with exact Poisson intervals."""
    if not events:
        return []
    rows = [
        [
            cause.replace("_", " "),
            str(row["events"]),
            f"{row['per_year']:g}",
            f"{row['low']:.2g} to {row['high']:.2g}",
        ]
        for cause, row in events.items()
    ]
    years = next(iter(events.values()))["years"]
    told = (
        f"**At the default rates** errors are too few for shares: what happened in {years} years (seeds) of"
        " the reference store, a year, with exact 95 % Poisson intervals (Garwood):"
    )
    return [told, _table(["error", "events in all", "a year", "interval"], rows)]


def operation_study() -> str:
    """Robot against people, situation by situation."""
    result = study("operation")
    if result is None:
        return _NO_STUDY
    parts = _found(result)
    for situation in result["situations"]:
        rows = []
        for row in situation["rows"]:
            unit, values = _readable(row["unit"], [row["robot"], row["manual"]])
            cells = [_value_cell(value, unit) for value in values]
            name = row["measure"] if unit == "share" else f"{row['measure']}, {unit}"
            rows.append([name, row["better"], *cells, _ratio(row)])
        parts.append(f"### {situation['name'][:1].upper()}{situation['name'][1:]}")
        parts.append(_table(["measure", "better", "robot", "by hand", "robot / by hand"], rows))
    parts.append(f"{_seeds(result)} in each situation; in brackets the 95 % interval.")
    parts += _picture("Each ratio of robot to people with its interval, by situation", "operation-study.svg")
    return "\n\n".join(parts)


_NO_STUDY: Final = "The figures of this study are not in this copy."
_COLUMNS: Final = 3


def _picture(words: str, name: str) -> list[str]:
    """A picture of docs/, when it has been drawn."""
    return [f"![{words}]({name})"] if (ROOT / "docs" / name).is_file() else []


def study(name: str) -> dict[str, Any] | None:
    """The result of a study; None when it is not there."""
    path = STUDIES / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _found(study: Mapping[str, Any]) -> list[str]:
    """What a study has found, as one list."""
    found = "\n".join(f"- {sentence}" for sentence in study.get("found", ()))
    return [found] if found else []


def _multiple(scale: float) -> str:
    return "The default error rates" if scale == 1 else f"{scale:g} times the default error rates"


def _over(study: Mapping[str, Any]) -> str:
    return f"{study['days']:,} days, {_seeds(study)}, in brackets the 95 % interval"


def _seeds(study: Mapping[str, Any]) -> str:
    number = study["seeds"] if isinstance(study["seeds"], int) else len(study["seeds"])
    return f"{number} seed{'s' * (number != 1)}"


def _kpi_head(name: str) -> str:
    """A KPI in words, with its unit; shares have none."""
    from sim.kpis import KPIS

    unit = KPIS[name].unit if name in KPIS else ""
    words = re.sub(r"_(s|h|m)$", "", name).replace("_", " ")
    return words if unit in ("", "share") or unit in words.split() else f"{words}, {unit}"


def _kpi_cell(name: str, value: Mapping[str, Any]) -> str:
    from sim.kpis import KPIS

    return _value_cell(value, KPIS[name].unit if name in KPIS else "")


def _value_cell(value: Mapping[str, Any] | None, unit: str) -> str:
    """A mean with its interval; a dash where nothing was observed."""
    if value is None or value["mean"] is None:
        return "-"
    show = _share if unit == "share" else _number
    if value["low"] is None or value["low"] == value["high"]:
        return show(value["mean"])
    low, high = show(value["low"]).removesuffix(" %"), show(value["high"])
    return f"{show(value['mean'])} ({low} to {high})"


def _readable(
    unit: str, values: Sequence[Mapping[str, Any] | None]
) -> tuple[str, list[Mapping[str, Any] | None]]:
    """Values in a unit that people read: many seconds as minutes or hours, all alike."""
    most = max((value["mean"] or 0.0 for value in values if value is not None), default=0.0)
    if unit != "s" or most < 120:
        return unit, list(values)
    unit, by = ("h", 3600) if most >= 7200 else ("min", 60)
    return unit, [value and {k: v and v / by for k, v in value.items()} for value in values]


def _share(value: float) -> str:
    text = f"{100 * value:.2f} %"
    return text.removeprefix("-") if text == "-0.00 %" else text


def _number(value: float) -> str:
    """Three digits that say something, thousands apart, nothing below a thousandth."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _ratio(row: Mapping[str, Any]) -> str:
    if row.get("ratio") is None:
        return "-"
    return f"{_number(row['ratio'])} ({_number(row['low'])} to {_number(row['high'])})"


def _some_days(days: Sequence[float]) -> list[tuple[int, float]]:
    """Up to seven of the days with their index, evenly spread, the last among them."""
    last, most = len(days) - 1, 7
    wanted = sorted({round(last * k / (most - 1)) for k in range(most)}) if last >= 0 else []
    return [(index, days[index]) for index in wanted]


NEED_TRACE: Final = ("real-trace", "ladder")
"""Tables that need the recorded trace, which is not part of the repository."""

README_RULES: Final = (
    "offline-oracle", "duration-of-stay", "turnover", "learned-stay", "class-based", "closest-open", "random",
    "farthest-open",
)  # fmt: skip
"""Rules of which the README shows the score; the whole ladder stands in allocation.md."""


def _trace_path() -> Path:
    """The recorded trace; raises FileNotFoundError when it is not at hand."""
    trace = Path(os.environ.get("METERHOUSE_SHARED", ROOT.parent / "shared"), "data", "wepa258.csv.gz")
    if not trace.is_file():
        raise FileNotFoundError(trace)
    return trace


@cache
def _real_ladder(trace: Path) -> dict[str, Any]:
    from sim import load
    from sim.replay import ladder as replay_ladder

    return replay_ladder(trace, load("rack_a"))


def _ladder_rows(names: Iterable[str]) -> Iterator[list[str]]:
    """The lower bound, then the rules of these names: cheapest first."""
    found, chosen = _real_ladder(_trace_path()), set(names)
    least, moves = found["bound_total_s"], found["moves"]
    yield ["no assignment is below", f"{least:,.1f}", f"{least / moves:.4f}", "", ""]
    for row in found["policies"]:
        if row["policy"] in chosen:
            yield [
                _code(row["policy"]), f"{row['total_s']:,.1f}", f"{row['per_move_s']:.4f}",
                f"{100 * row['regret']:.1f} %", f"{100 * row['rest_regret']:.1f} %",
            ]  # fmt: skip


def _ladder_table(names: Iterable[str]) -> str:
    head = ["rule", "one-way times, s", "a move, s", "over the bound", "last two thirds"]
    return _table(head, _ladder_rows(names))


def real_trace() -> str:
    """The real trace under some allocation rules; what stood there when the trace is not at hand."""
    return _ladder_table(README_RULES)


def ladder() -> str:
    """The real trace under every allocation rule; what stood there when the trace is not at hand."""
    from sim.allocation import POLICIES

    return _ladder_table(POLICIES)


BEST_FOUND_SEEDS: Final = (1, 2, 3)


def best_found() -> str:
    """What a box move costs the robot of `luoyang` in driving, under every rule that a store can follow."""
    from sim import load, run
    from sim.allocation import LIVE_POLICIES

    costs = {}
    for name in LIVE_POLICIES:
        found = []
        for seed in BEST_FOUND_SEEDS:
            kpis = run(load("luoyang", [f"policy.allocation={name}"]), seed).kpis()
            found.append(kpis["time_by_cause_s"]["parts"]["travel"] / kpis["box_moves"]["value"])
        costs[name] = sum(found) / len(found)
    best = min(costs.values())
    rows = [
        [_code(name), f"{cost:.2f}", f"{100 * cost / best - 100:.1f} %" if cost > best else "best found"]
        for name, cost in sorted(costs.items(), key=lambda item: item[1])
    ]
    return _table(["rule", "driving a box move, s", "over the best found"], rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "parameters": parameters,
    "kpis": kpis,
    "commands": command_table,
    "facts": facts,
    "codes": codes,
    "modules": modules,
    "api-modules": api_modules,
    "operations": operations,
    "bodies": bodies,
    "series": series,
    "problems": problems,
    "scopes": scopes,
    "metrics": metrics,
    "limits": limits,
    "serve-options": serve_options,
    "rules": rules,
    "retrieval": _choices("retrieval", "`policy.retrieval`"),
    "dispatch": _choices("dispatch", "`policy.dispatch`"),
    "dwell": _choices("dwell", "`policy.dwell`"),
    "orders": _choices("orders", "`demand.kind`"),
    "profiles": _choices("profiles", "`layout.profile`"),
    "scenarios": _choices("scenarios", "scenario"),
    "checks": _choices("checks", "check"),
    "plans": _choices("plans", "`counting.plan`"),
    "count-methods": count_methods,
    "errors": _choices("errors", "error"),
    "error-rates": error_rates,
    "faults": _choices("faults", "fault"),
    "counting-study": counting_study,
    "operation-study": operation_study,
    "story": story,
    "origins": origins,
    "theory": theory,
    "real-trace": real_trace,
    "ladder": ladder,
    "best-found": best_found,
}
"""Every table that the program writes, by the name in its marks."""

SLOW: Final = ("theory", "best-found")
"""Tables that take minutes."""

_MARKED: Final = re.compile(r"(<!-- begin ([\w-]+) -->\n)(.*?)(<!-- end \2 -->)", re.DOTALL)


def tables_in(text: str) -> dict[str, str]:
    """The tables of a document by name, as they stand there."""
    return {match[2]: match[3].strip("\n") for match in _MARKED.finditer(text)}


def with_tables(text: str, names: Iterable[str], problems: list[str] | None = None) -> str:
    """A document with those of its tables that `names` holds written anew; what fails goes to `problems`."""
    chosen = set(names)

    def new(match: re.Match[str]) -> str:
        name = match[2]
        if name not in chosen:
            return match[0]
        print(f"    table {name}", flush=True)
        try:
            table = TABLES[name]()
        except FileNotFoundError as error:
            print(f"    kept as it is, for want of {error}", flush=True)
            return match[0]
        except ValueError as error:
            if problems is None:
                raise
            problems.append(f"{name}: {error}")
            return match[0]
        return f"{match[1]}\n{table}\n\n{match[4]}"

    return _MARKED.sub(new, text)


def refresh(documents: Iterable[Path] = (), *, slow: bool = False) -> None:
    """Write all commands' outputs and tables of documents anew (all of them if none are named).

    Slow tables only when asked. What cannot be written stays as it is; the program then ends with what was
    wrong.
    """
    names = [name for name in TABLES if slow or name not in SLOW]
    problems: list[str] = []
    for path in [path.resolve() for path in documents] or DOCUMENTS:
        print(path.relative_to(ROOT), flush=True)
        before = path.read_text(encoding="utf-8")
        after = with_outputs(with_tables(before, names, problems))
        if after != before:
            path.write_text(after, encoding="utf-8")
    if problems:
        raise SystemExit("\n".join(problems))


def _end(number: int, _: object) -> None:
    """End as after an error, so that what was begun is cleared away."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slow", action="store_true", help="also the tables that take minutes")
    parser.add_argument("documents", nargs="*", type=Path, metavar="DOCUMENT", help="all if none is named")
    signal.signal(signal.SIGTERM, _end)
    wanted = parser.parse_args()
    refresh(wanted.documents, slow=wanted.slow)
