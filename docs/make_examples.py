"""Collects the examples of the OpenAPI document: asks a real server everything once, and keeps the answers.

A run of the reference store stands at one instant of its fourth day; before that it was sent every kind of
command, so that there is something of everything. A run is its scenario, its seed and its command log, so the
same answers come again, byte for byte. What is of the clock or of the machine is replaced by the values of
FIXED, and floats are rounded. Lists are cut to three elements and a few large objects to the keys of KEPT:
examples are to be read. `python docs/make_examples.py` writes api/examples.json anew.
"""

import argparse
import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from api.client import Client, Json, Refused, Unreachable

ROOT: Final = Path(__file__).resolve().parents[1]

# --- what is asked -----------------------------------------------------------------------------------------

RUN: Final[Json] = {
    "scenario": "luoyang_records", "set": {"time.days": 28}, "mode": "live", "state": "paused",
    "current": True,
}  # fmt: skip
"""The run of all examples: it begins paused, so that nothing but the steps below moves it."""

COMMANDS_S: Final = 3 * 86_400 + 10 * 3600
"""When it is sent the commands: Thursday at 10, as the robot fetches boxes for an order."""

MORE_S: Final = 150
"""How long it then goes on."""

PATH: Final = {
    "run": "current", "slot": "2-07-3", "asset": "9930001000000000126603", "box": "844", "lot": "36",
    "task": "19", "robot": "0", "order": "35", "count": "3", "command": "c1", "name": "tiny",
}  # fmt: skip
"""Parameters in paths."""

OWN_PATHS: Final = {"change_run": {"run": "r2"}, "delete_run": {"run": "r3"}, "report": {"run": "r3"}}
"""Operations for which they are others: who tries all examples still has the current run afterwards."""

_PAGE: Final = {"limit": 2}
_PAST: Final = {"limit": 3}
_GOODS: Final = {"slot": "2-07-3", **_PAGE}

QUERIES: Final[dict[str, Json]] = {
    "slots": {"status": "open", **_PAGE},
    "stock": {"by": "sku"},
    "meters": _GOODS,
    "boxes": _GOODS,
    "slot_history": {"sort": "newest", **_PAST},
    "meter_history": _PAST,
    "box_history": _PAST,
    "lot_history": {"sort": "newest", **_PAST},
    "robot_history": {"sort": "newest", **_PAST},
    "order_history": _PAST,
    "lots": _PAGE,
    "tasks": {"status": "assigned", **_PAGE},
    "orders": {"status": "open", **_PAGE},
    "counts": _PAGE,
    "events": {"kind": "count_ended", **_PAGE},
    "racks": {"by": "age"},
    "search": {"q": "2-07", "limit": 3},
    "series": {"name": "occupancy", "from": 0, "points": 3},
    "why": {"consequences": True},
    "list_runs": _PAGE,
    "list_commands": _PAGE,
}
"""Queries by operation, without `current_`; where there is none, none is needed."""

COMMANDS: Final[dict[str, Json]] = {
    "order": {
        "type": "order",
        "args": {"station": 7, "lines": [{"sku": "single-phase A", "meters": 45}], "due_in_s": 7200},
        "external_id": "ORDER-2026-0305-07",
        "expires_at": 300_000,
    },
    "delivery": {
        "type": "delivery", "args": {"loads": [{"sku": "single-phase B", "boxes": 12}], "in_s": 5400},
    },
    "block_slot": {"type": "block_slot", "args": {"slot": "1-08-1"}},
    "free_slot": {"type": "free_slot", "args": {"slot": "1-08-1"}},
    "stop_robot": {"type": "stop_robot", "args": {"robot": 0}},
    "repair_robot": {"type": "repair_robot", "args": {"robot": 0}},
    "count": {"type": "count", "args": {"slots": ["2-02-2"], "method": "camera"}},
    "recall": {"type": "recall", "args": {"lot": 36}},
    "transfer": {"type": "transfer", "args": {"box": 1629, "slot": "1-02-2"}},
    "hold_box": {"type": "hold_box", "args": {"box": 844}},
    "release_box": {"type": "release_box", "args": {"box": 844}},
    "scrap": {"type": "scrap", "args": {"box": 845}},
    "set": {"type": "set", "args": {"values": {"demand.orders_per_day": 20, "counting.slots_per_day": 26}}},
    "change_policy": {"type": "change_policy", "args": {"allocation": "random", "retrieval": "nearest"}},
}  # fmt: skip
"""One command of each kind; the run carries all of them out, in this order."""

BODIES: Final[dict[str, dict[str, Json]]] = {
    "start_run": {
        "a scenario that ships, with other values": {
            "scenario": "luoyang", "set": {"time.days": 7, "robots.count": 2}, "seed": 7,
            "name": "two robots",
        },
        "a live run at ten minutes a second": {"scenario": "tiny", "mode": "live", "speed": 600},
        "a scenario of one's own": {
            "scenario": {"extends": "tiny", "name": "busy", "demand": {"orders_per_day": 12}},
            "limits": {"time_s": 60, "memory_mb": 512},
            "keep": True,
        },
    },
    "branch_run": {
        "another rule from an instant on": {
            "at": 36_000, "set": {"policy.allocation": "random"}, "name": "random from 10:00",
        },
    },
    "send_command": COMMANDS,
    "change_run": {
        "another pace": {"speed": 600},
        "an hour, then pause": {"step_s": 3600},
        "pause": {"state": "paused"},
        "go on as fast as possible": {"state": "running", "speed": "max"},
        "another name, and keep it": {"name": "tried out", "keep": True},
        "stop": {"state": "stopped"},
    },
    "allocate": {
        "one box": {"boxes": [{"sku": "single-phase A"}]},
        "several boxes, by another rule": {
            "run": "current",
            "policy": "random",
            "boxes": [
                {"sku": "single-phase A", "lot": "36", "verified_on": "2026-02-20"},
                {"sku": "single-phase B", "meters": 9},
            ],
        },
    },
}  # fmt: skip
"""Bodies by operation; the first one's answer is the example."""

WRONG: Final[Json] = {
    "type": "order", "args": {"station": 7, "lines": [{"sku": "single-phase Z", "meters": 45}]},
}  # fmt: skip
"""A command that is refused: its answer is the example of a problem."""

# --- what is kept of the answers ---------------------------------------------------------------------------

MOST: Final = 3
"""Elements of a list."""

MOST_TEXT: Final = 60
"""Characters of a page."""

KEPT: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "kpis": {"kpis": ("orders", "order_cycle_time_s", "robot_utilisation", "fill_boxes", "box_moves")},
    "get_scenario": {
        "values": ("name", "question", "seed", "time", "robots", "policy"),
        "origins": ("question", "time.days", "robots.carry"),
    },
    "scenario_of_run": {"begun_with": ("name", "robots", "policy"), "now": ("name", "robots", "policy")},
    "scenario_schema": {"properties": ("name", "time", "policy"), "$defs": ("TimeParams", "PolicyParams")},
}
"""Keys that are kept of large objects."""

FIXED: Final[Json] = {
    "created_at": "2026-12-01T08:00:00.000Z",
    "accepted_at": "2026-12-01T08:00:00.000Z",
    "started_at": "2026-12-01T08:00:00.250Z",
    "settled_at": "2026-12-01T08:00:00.250Z",
    "ended_at": "2026-12-01T08:00:02.000Z",
    "reached_speed": 600.0,
    "size_bytes": 200_000,
    "version": "1.0.0",
    "model_version": "1",
}
"""What stands for values of the clock, of the machine and of this version, where there is one."""

FIGURES: Final = re.compile(
    r"(# (HELP|TYPE) )?meterhouse_(runs|slot_occupancy|open_orders|record_accuracy)[ {]"
)
"""Lines of the figures that are not of the clock."""


def told(operation: str, answer: Any) -> Any:
    """An answer as the example has it."""
    if operation == "report":
        return f"{answer[:MOST_TEXT]} ..."
    if isinstance(answer, str):
        return "".join(line for line in answer.splitlines(keepends=True) if FIGURES.match(line))
    for name, keys in KEPT.get(operation.removeprefix("current_"), {}).items():
        answer = {**answer, name: {key: answer[name][key] for key in keys}}
    return _short(answer)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: FIXED[key] if key in FIXED and inner else _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in value[:MOST]]
    return round(value, 6) if isinstance(value, float) else value


# --- asking ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """A server of its own in a temporary folder; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w+") as log:
        command = [sys.executable, "-m", "sim.cli", "serve", "--port", str(port)]
        server = subprocess.Popen(  # noqa: S603
            [*command, "--data", str(Path(folder, "data"))], cwd=ROOT, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_ready(server, port, Path(log.name))
            yield port
        finally:
            server.terminate()
            server.wait(30)


def _wait_ready(server: "subprocess.Popen[bytes]", port: int, log: Path, timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(Refused, Unreachable), client_of(port, patience_s=0.0) as client:
            if client.get("/ready")["ready"]:
                return
        time.sleep(0.05)
    raise SystemExit(f"make_examples: the server is not ready:\n{log.read_text(encoding='utf-8')}")


def client_of(port: int, **more: Any) -> Client:
    """A client of the server at a port of this machine."""
    return Client(f"http://127.0.0.1:{port}", **more)


def started(client: Client) -> None:
    """Start r1, the run of the examples, and bring it to the instant of the commands; r2 and r3 beside it."""
    run = client.post("/runs", RUN)
    step(client, run["id"], COMMANDS_S)
    client.start("tiny", set={"time.days": 3650}, mode="live", state="paused")
    client.wait(client.start("tiny", seed=7)["id"])


def step(client: Client, run: str, seconds: float) -> None:
    """Have a run go on for so long, and wait until it stands."""
    client.steer(run, step_s=seconds)
    until = time.monotonic() + 60
    while client.get(f"/runs/{run}")["state"] != "paused":
        if time.monotonic() > until:
            raise SystemExit(f"make_examples: run {run} does not stand after 60 s")
        time.sleep(0.02)


def path_of(operation: str, template: str) -> dict[str, str]:
    """The parameters of a path, by name."""
    values = {**PATH, **OWN_PATHS.get(operation, {})}
    return {name: values[name] for name in re.findall(r"{(\w+)}", template)}


def collected(port: int) -> dict[str, Any]:
    """Every operation of the document: how it was asked, and what was answered."""
    with client_of(port, patience_s=30.0) as client:
        started(client)
        sent = [client.command(**_words(body)) for body in COMMANDS.values()]
        for command in sent:
            if (done := client.settled(command))["state"] != "applied":
                raise SystemExit(f"make_examples: {done['type']}: {done['reason']}")
        problem = _refused(client, "/runs/current/commands", WRONG)
        step(client, "current", MORE_S)

        found: dict[str, Any] = {"ProblemTold": {"response": problem}}
        document = client.get("/openapi.json")
        operations = [
            (method, path, operation["operationId"])
            for path, by_method in document["paths"].items()
            for method, operation in by_method.items()
        ]
        # What changes nothing is asked first, and what ends a run last.
        order = {"get": 0, "post": 1, "patch": 2, "delete": 3}
        for method, template, operation in sorted(operations, key=lambda each: order[each[0]]):
            given = path_of(operation, template)
            path = template.format_map(given)
            query = QUERIES.get(operation.removeprefix("current_"), {}) if method == "get" else {}
            example: Json = {}
            if given or query:
                example["parameters"] = {**given, **query}
            if method == "get":
                is_text = operation in ("metrics", "report")
                answer = _text(port, path) if is_text else client.get(path, **query)
                example["response"] = told(operation, answer)
            elif method == "delete":
                client.delete(path)
            elif operation == "send_command":
                example |= {"request": COMMANDS, "response": told(operation, sent[0])}
            else:
                bodies = BODIES[operation]
                answers = [client.request(method.upper(), path, body)[2] for body in bodies.values()]
                example |= {"request": bodies, "response": told(operation, answers[0])}
            found[operation] = example
    return dict(sorted(found.items()))


def _words(body: Json) -> Json:
    """The body of a command as the client takes it."""
    return {"type_": body["type"], **{name: value for name, value in body.items() if name != "type"}}


def _refused(client: Client, path: str, body: Mapping[str, Any]) -> Json:
    try:
        client.post(path, body)
    except Refused as refused:
        return refused.document
    raise SystemExit(f"make_examples: POST {path} should have been refused")


def _text(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def main() -> None:
    """Write the examples to the file that the command line names, or where the package has them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "api" / "examples.json", help="the file to write")
    out: Path = parser.parse_args().out
    with serving() as port:
        found = collected(port)
    text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
    out.write_text(text, encoding="utf-8")
    print(f"{out.name}: {len(found)} examples, {len(text.encode()) / 1000:,.0f} kB", flush=True)


if __name__ == "__main__":
    main()
