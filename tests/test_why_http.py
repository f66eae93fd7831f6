"""Reasons over HTTP: what `sim.why` tells of the same run, whatever the run is at, and nothing of it stays behind."""

import contextlib
import json
import os
import select
import signal
import socket

import pytest

from api.client import Refused
from sim.commands import Entry, replay
from sim.history import state_at
from sim.scenario import load
from sim.simulation import Simulation
from sim.stocklist import write_stock
from sim.why import explain, explain_apart
from tests.processes import Altered, processes_of, wait_for_processes, wait_until
from tests.servers import Served

HOUR, DAY = 3600, 86_400


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server whose own run stands in the middle of its second day."""
    folder = tmp_path_factory.mktemp("why") / "data"
    with Served(folder, "tiny", "--speed", "1", "--live", "20") as server:
        with server.client() as client:
            client.steer(state="paused")
            step_to(client, "current", 34 * HOUR)
        yield server


@pytest.fixture
def client(served):
    """A client; afterwards no process is there that was not there before, and the log has no failure."""
    before = processes_of(served)
    with served.client(patience_s=0.0, timeout_s=60) as client:
        yield client
    wait_for_processes(served, lambda found: not set(found) - set(before) or led(served) == [])
    assert led(served) == []
    log = served.log()
    assert "Traceback" not in log
    assert '"level": "error"' not in log


def led(server):
    """The processes that lead a group of their own: those that look for reasons."""
    return [process for process, group in processes_of(server).items() if group != server.process.pid]


def step_to(client, run, t_s):
    """Have a run stand at a time."""
    told = wait_until(lambda: (found := client.get(f"/runs/{run}"))["ready"] and found)
    client.steer(run, step_s=t_s - told["t_s"])
    wait_until(lambda: client.get(f"/runs/{run}")["t_s"] == t_s)


def why(client, run, task, **query):
    return client.get(f"/runs/{run}/tasks/{task}/why", **query)


def refused(client, path):
    with pytest.raises(Refused) as caught:
        client.request("GET", path)
    return caught.value


def entries(client, run):
    """The command log of a run, as another process plays it."""
    return [
        Entry(round(each["t_s"] * 1000), each["sequence"], each["type"], each["args"])
        for each in client.pages(f"/runs/{run}/commands", "commands", state="applied")
    ]


def tasks(client, run):
    """The last task of each class that was done, and the last of all."""
    found = list(client.pages(f"/runs/{run}/tasks", "tasks", limit=200))
    last = {each["class"]: each["task"] for each in found if each["status"] == "done"}
    return sorted({*last.values(), found[-1]["task"]})


def check(told, loaded, task, *, seed=1, log=(), consequences=False):
    """Hold an answer against what `sim.why` tells here of the same run at the same instant."""
    until_ms = round(told["t_s"] * 1000)
    run = Simulation(loaded, seed=seed)
    replay(run, log, until_ms)
    assert told["facts"] == len(run.trace)
    how = explain_apart if consequences else explain
    expected = how(loaded, seed, log, task, consequences=consequences, until_ms=until_ms, trace=run.trace)
    assert {key: told[key] for key in expected} == json.loads(json.dumps(expected))
    assert set(told) - set(expected) == {"run", "t_s", "time", "facts", "view"}
    assert told["verified"]["is_checked"]
    assert told["view"] == "records"


# --- the same answer -------------------------------------------------------------------------------------


def test_paused_run_tells_its_reasons(client):
    """Of a run that stands the answer is the one of the same run here, with and without consequences; it is untouched."""
    before = client.get("/runs/r1")
    numbers = tasks(client, "r1")
    assert len(numbers) >= 2
    for task in numbers:
        check(why(client, "current", task, consequences=False), load("tiny"), task)
    check(why(client, "r1", numbers[-1]), load("tiny"), numbers[-1], consequences=True)
    assert client.get("/runs/r1") == before


def test_moving_run_tells_its_reasons(client):
    """Of a run that goes on it is the one of the instant that the answer names, and the run goes on meanwhile."""
    name = client.start("tiny", mode="live", state="paused", speed=600, seed=4)["id"]
    step_to(client, name, 34 * HOUR)
    client.steer(name, state="running")
    for task in tasks(client, name):
        check(why(client, name, task, consequences=False), load("tiny"), task, seed=4)
    now_s = client.get(f"/runs/{name}")["t_s"]
    assert now_s > 34 * HOUR
    client.steer(name, speed="max")
    # To be asked has cost it nothing: it ends as if it never had been.
    alone = Simulation(load("tiny"), seed=4)
    alone.advance(alone.end_ms)
    assert client.wait(name, 60)["digest"] == alone.result().digest


def test_finished_run_tells_its_reasons(served, client):
    """Of a run that is over it is told from its result, which is not changed by it."""
    name = client.start("tiny", seed=9)["id"]
    told = client.wait(name, 60)
    folder = served.folder / "runs" / name

    def files():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}

    before = files()
    numbers = tasks(client, name)
    for task in numbers:
        check(why(client, name, task, consequences=False), load("tiny"), task, seed=9)
    check(why(client, name, numbers[0]), load("tiny"), numbers[0], seed=9, consequences=True)
    assert files() == before
    assert client.get(f"/runs/{name}") == told
    # Its last fact is at its end, or before it.
    assert why(client, name, numbers[0], consequences=False)["t_s"] == 2 * DAY


def test_commands_and_branches_are_played(client):
    """Commands are played again as they were given; a branch has those of its parent, and its own changes."""
    parent = client.start("tiny", mode="live", state="paused", seed=2)["id"]
    step_to(client, parent, 30 * HOUR)
    order = {"station": 3, "lines": [{"sku": "A", "meters": 20}]}
    for type_, args in (
        ("block_slot", {"slot": "1-01-1"}), ("order", order), ("change_policy", {"allocation": "farthest-open", "retrieval": "lifo"}),
    ):  # fmt: skip
        assert client.settled(client.command(type_, args, run=parent))["state"] == "applied"
    step_to(client, parent, 36 * HOUR)
    client.settled(client.command("block_slot", {"slot": "1-02-1"}, run=parent))
    step_to(client, parent, 40 * HOUR)
    log = entries(client, parent)
    assert [entry.type for entry in log] == ["block_slot", "order", "change_policy", "block_slot"]
    for task in tasks(client, parent):
        check(why(client, parent, task, consequences=False), load("tiny"), task, seed=2, log=log)
    child = client.post(f"/runs/{parent}/branch", {"at": 33 * HOUR, "set": {"policy.allocation": "random"}})[
        "id"
    ]
    assert client.wait(child, 60)["state"] == "finished"
    log = entries(client, child)
    assert [entry.type for entry in log] == ["block_slot", "order", "change_policy", "set"]
    numbers = tasks(client, child)
    for task in numbers:
        check(why(client, child, task, consequences=False), load("tiny"), task, seed=2, log=log)
    check(why(client, child, numbers[-1]), load("tiny"), numbers[-1], seed=2, log=log, consequences=True)


def test_files_are_played(tmp_path):
    """A run that began with a stock list of somebody's own is played again with it, though the file has gone since."""
    begun = Simulation(load("tiny"))
    stock = tmp_path / "our stock.csv"
    write_stock(
        stock, state_at(begun.trace, begun.layout, 0), begun.layout, [sku.name for sku in begun.scenario.skus],
        begun.scenario.time.start,
    )  # fmt: skip
    values = [f"initial.stock={stock}"]
    loaded = load("tiny", values)
    with (
        Served(tmp_path / "data", "tiny", "--set", *values, "--speed", "max") as server,
        server.client() as client,
    ):
        assert client.wait("current", 60)["state"] == "finished"
        numbers = tasks(client, "current")
        told = [why(client, "current", task, consequences=False) for task in numbers]
        stock.rename(tmp_path / "moved.csv")
        assert why(client, "current", numbers[0], consequences=False) == told[0]
        (tmp_path / "moved.csv").rename(stock)
        for task, each in zip(numbers, told, strict=True):
            check(each, loaded, task)


# --- what is not told ------------------------------------------------------------------------------------


def test_unknown_tasks_are_refused(client):
    """A task that is not there, yet or at all, is 404, and a run that has not begun 409."""
    last = list(client.pages("/runs/r1/tasks", "tasks", limit=200))[-1]["task"]
    found = refused(client, f"/runs/r1/tasks/{last + 1}/why")
    assert (found.status, found.kind) == (404, "not-found")
    assert found.detail == f"no task {last + 1}; {last + 1} so far"
    for path in (
        "/runs/r1/tasks/x/why",
        "/runs/r1/tasks/-1/why",
        f"/runs/r1/tasks/{'9' * 19}/why",
        "/runs/r999/tasks/0/why",
    ):
        assert refused(client, path).status == 404
    assert refused(client, f"/runs/r1/tasks/{'9' * 18}/why").status == 404
    found = refused(client, "/runs/r1/tasks/0/why?consequences=maybe&depth=3")
    assert found.status == 422
    assert sorted(error["pointer"] for error in found.errors) == ["/consequences", "/depth"]
    ahead = client.start("tiny", mode="live", state="paused")["id"]
    wait_until(lambda: client.get(f"/runs/{ahead}")["ready"])
    assert refused(client, f"/runs/{ahead}/tasks/{last}/why").status == 404


def test_task_without_a_decision_is_refused(client):
    """A task for which nothing was decided is 409, in words; once a robot has taken it, that is told."""
    name = client.start("tiny", mode="live", state="paused", seed=3)["id"]
    step_to(client, name, 10 * HOUR)
    client.settled(client.command("stop_robot", {"robot": 0}, run=name))
    client.settled(client.command("count", {"slots": ["1-01-1"], "method": "camera"}, run=name))
    step_to(client, name, 10 * HOUR + 60)
    task = list(client.pages(f"/runs/{name}/tasks", "tasks", limit=200))[-1]
    assert task["class"] == "count"
    found = refused(client, f"/runs/{name}/tasks/{task['task']}/why")
    assert (found.status, found.kind) == (409, "conflict")
    nothing = "no rule named a slot or a box for this count, no robot took it"
    assert found.detail == f"task {task['task']}: nothing to explain: {nothing}"
    client.settled(client.command("repair_robot", {"robot": 0}, run=name))
    step_to(client, name, 12 * HOUR)
    told = why(client, name, task["task"])
    assert [each["kind"] for each in told["decisions"]] == ["robot"]


# --- processes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_run(served):
    """A run of the reference store that is over, whose reasons take some seconds to find, and one of its tasks."""
    with served.client() as client:
        name = client.start("luoyang", set={"time.days": 60})["id"]
        client.wait(name, 60)
        last = client.get(f"/runs/{name}/events", kind="task_created", sort="newest", limit=1)["events"][0]
        return f"/runs/{name}/tasks/{last['task']}/why"


@contextlib.contextmanager
def asked(server, path, count=1):
    """So many requests that are on their way, each on a connection of its own."""
    with contextlib.ExitStack() as stack:
        wires = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            for _ in range(count)
        ]
        for wire in wires:
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        yield wires


def held(server, count=1):
    """Hold the processes that look for reasons, so that they never end by themselves."""
    found = wait_for_processes(
        server, lambda found: sum(g != server.process.pid for g in found.values()) >= count
    )
    groups = {group for group in found.values() if group != server.process.pid}
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    return groups


def test_question_that_nobody_waits_for_is_dropped(served, client, long_run):
    """When the one who asked has hung up, the process that looked for the reasons ends soon."""
    with asked(served, long_run):
        held(served)
    wait_for_processes(served, lambda _: led(served) == [], timeout_s=10)
    assert client.get("/ready")["ready"]


def test_few_questions_are_answered_at_a_time(served, client, long_run):
    """Two questions are answered at a time and twenty wait; those beyond are told when to come back, and all others answered."""
    with asked(served, long_run, 2), contextlib.ExitStack() as stack:
        groups = held(served, 2)
        assert len(groups) == 2
        task = tasks(client, "r1")[0]
        wires = stack.enter_context(asked(served, f"/runs/r1/tasks/{task}/why?consequences=false", 25))
        refusals = wait_until(lambda: len(found := select.select(wires, [], [], 0)[0]) == 5 and found)
        texts = [whole(wire) for wire in refusals]
        for text in texts:
            head, _, body = text.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 429")
            assert b"retry-after: 5" in head.lower()
            assert json.loads(body)["detail"] == "20 questions of this kind wait already"
        # Nobody else is held up by them.
        assert client.get("/slots")["run"] == "r1"
        assert client.get("/runs/r1/tasks", limit=1)["tasks"]
        assert len(led(served)) >= 2
        for group in groups:
            os.killpg(group, signal.SIGCONT)
        answers = [whole(wire) for wire in wires if wire not in refusals]
        assert [text[:12] for text in answers] == [b"HTTP/1.1 200"] * 20


def whole(wire):
    """All that comes on a connection until it is closed."""
    parts = []
    while part := wire.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def test_endless_search_is_given_up(tmp_path):
    """Reasons that are not found in time are given up in words; a server that ends meanwhile leaves nothing behind."""
    server = Altered(
        tmp_path / "data", "luoyang", "--set", "time.days=60", "--speed", "max", change="api.runs.WHY_S = 2.0"
    )
    with server, server.client(patience_s=0.0) as client:
        client.wait("current", 60)
        last = client.get("/runs/r1/events", kind="task_created", sort="newest", limit=1)["events"][0]
        path = f"/runs/r1/tasks/{last['task']}/why"
        with asked(server, path) as (wire,):
            held(server)
            head, _, body = whole(wire).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 10" in head.lower()
        assert json.loads(body)["type"] == "/problems/timeout"
        assert json.loads(body)["detail"] == "the answer took more than 2 s"
        assert led(server) == []
        with asked(server, path):
            held(server)
            server.process.terminate()
            assert server.process.wait(20) == -signal.SIGTERM
        wait_for_processes(server, lambda found: not found)
    assert "Traceback" not in server.log()
