"""What a server takes and what it does not: runs, time, memory, requests, bytes, and runs of another model."""

import contextlib
import http.client
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.client import Client, Refused
from sim.trace import MODEL_VERSION
from tests.processes import kill_readers, wait_until
from tests.servers import Served

HOUR = 3600
LONG = {"scenario": "luoyang", "set": {"time.days": 36_500}}
LARGE = {"scenario": {"extends": "tiny", "layout": {"rows": 4, "columns": 700, "levels": 5}}}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that takes little: a batch run at a time, two that wait, two live runs, two seconds, 100 MB."""
    limits = ("--workers", "1", "--queue", "2", "--live", "2", "--time-limit", "2", "--memory-limit", "100")
    with Served(tmp_path_factory.mktemp("limits") / "data", "tiny", "--speed", "1", *limits) as server:
        yield server


@pytest.fixture
def client(served):
    """A client without patience; what it leaves is cleared away, and the server is as it was."""
    with served.client(patience_s=0.0) as client:
        yield client
    with served.client() as client:
        for run in client.get("/runs")["runs"]:
            if run["id"] != "r1":
                client.delete(f"/runs/{run['id']}")
        assert client.get("/ready")["ready"]
        assert client.get("/runs/current")["state"] == "running"
    assert "Traceback" not in served.log()


def refused(client, method, path, body=None, **headers):
    """The refusal of a request, and the headers that came with it."""
    with pytest.raises(Refused) as caught:
        client.request(method, path, body, headers=headers)
    return caught.value


def raw(server, method, path, body=None, headers=(), source="127.0.0.1", **more):
    """Status, headers and document of an answer, by the library's own client."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request(method, path, body, dict(headers), **more)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read() or b"{}")


def running(client, name):
    """Wait until a run has begun to move."""
    return wait_until(lambda: (told := client.get(f"/runs/{name}"))["t_s"] > 0 and told)


# --- runs ------------------------------------------------------------------------------------------------


def test_queue_is_limited(served, client):
    """A run too many is refused in words, and not remembered: sent again it is taken in as soon as there is room."""
    first = client.post("/runs", {**LONG, "speed": 1})["id"]
    running(client, first)
    waiting = [client.start("tiny", seed=seed)["id"] for seed in (1, 2)]
    assert [client.get(f"/runs/{name}")["state"] for name in waiting] == ["queued"] * 2
    key = {"Idempotency-Key": "one-too-many"}
    body = {"scenario": "tiny", "seed": 3}
    found = refused(client, "POST", "/runs", body, **key)
    assert (found.status, found.kind) == (429, "queue-full")
    assert found.detail == "2 runs wait already, and no more may"
    assert found.document["title"] == "No more runs can wait"
    status, headers, _ = raw(served, "POST", "/runs", json.dumps(body), {"Content-Type": "application/json"})
    assert (status, headers["Retry-After"]) == (429, "10")
    with pytest.raises(Refused, match="2 runs wait already"):
        client.post(f"/runs/{first}/branch", {"at": 0})
    assert [run["id"] for run in client.get("/runs")["runs"]] == [*reversed(waiting), first, "r1"]
    # What waits can be stopped, and makes room at once, for the very request that was refused.
    assert client.steer(waiting[1], state="stopped")["state"] == "stopped"
    third = client.request("POST", "/runs", body, headers=key)[2]["id"]
    assert client.steer(first, state="stopped")["state"] == "stopped"
    assert [client.wait(name, 60)["state"] for name in (waiting[0], third)] == ["finished"] * 2


def test_live_runs_are_limited(client):
    """A live run too many is refused in words, a branch of one as well; paused ones count, those that are over do not."""
    body = {"scenario": "tiny", "mode": "live", "state": "paused"}
    second = client.post("/runs", body)["id"]
    words = "2 live runs are open already, and no more may be; stop one first"
    for path, asked in (("/runs", body), ("/runs/r1/branch", {"at": 0, "mode": "live"})):
        found = refused(client, "POST", path, asked)
        assert (found.status, found.kind, found.detail) == (429, "queue-full", words)
    wait_until(lambda: client.get(f"/runs/{second}")["ready"])
    client.steer(second, state="stopped")
    assert client.post("/runs", body)["state"] == "paused"
    # Batch runs are no matter of this limit.
    assert client.wait(client.start("tiny")["id"], 60)["state"] == "finished"


@pytest.mark.parametrize(
    ("scenario", "limit", "words"),
    [
        (LONG, {"time_s": 1000}, "expected at most 2 s of computing, found 2 s at "),
        (LARGE, {"memory_mb": 900_000}, "expected at most 100 MB of memory, found "),
    ],
)  # fmt: skip
def test_server_has_the_last_word(client, scenario, limit, words):
    """A run gets no more time or memory than the server gives, whatever it asks for; what it has shown stays."""
    name = client.post("/runs", {**scenario, "limits": limit})["id"]
    assert client.get("/slots")["run"] == "r1"
    told = client.wait(name, 60)
    assert told["state"] == "failed"
    assert told["error"].startswith(words)
    assert client.get(f"/runs/{name}/slots", limit=1)["facts"] == told["facts"] > 0


def test_workers_are_limited(served, client):
    """However many runs are started at once, no more are at work than there may be."""

    def start(seed):
        with served.client() as own:
            return own.post("/runs", {"scenario": "tiny", "speed": 1, "seed": seed})["id"]

    with ThreadPoolExecutor(3) as pool:
        names = sorted(pool.map(start, range(3)))
    wait_until(lambda: any(client.get(f"/runs/{name}")["t_s"] > 0 for name in names))
    time.sleep(0.3)  # long enough for the others to begin, if they do
    states = sorted(client.get(f"/runs/{name}")["state"] for name in names)
    assert states == ["queued", "queued", "running"]


# --- requests --------------------------------------------------------------------------------------------


def test_body_is_limited(served):
    """A body beyond a million bytes is refused, whether its length was told or not; one below is read."""
    kind = {"Content-Type": "application/json"}
    for size, status in ((1_000_000, 422), (1_000_001, 413)):
        body = b'{"scenario":"' + b"x" * (size - 15) + b'"}'
        parts = [body[k : k + 100_000] for k in range(0, len(body), 100_000)]
        assert len(body) == size
        for answer in (
            raw(served, "POST", "/runs", body, kind),
            raw(
                served,
                "POST",
                "/runs",
                iter(parts),
                {**kind, "Transfer-Encoding": "chunked"},
                encode_chunked=True,
            ),
        ):
            assert answer[0] == answer[2]["status"] == status
    found = "found more"
    assert answer[2]["detail"] == f"expected a body of at most 1,000,000 bytes, {found}"
    assert answer[2]["type"] == "/problems/too-large"


def test_store_is_limited(client):
    """A store with too many places is refused before anything is made of it, by its values or by --set."""
    words = "expected a grid of at most 200,000 places, found 250,000"
    big = {"rows": 100, "columns": 500, "levels": 5}
    for body, place in (
        ({"scenario": {"extends": "tiny", "layout": big}}, "/scenario/layout"),
        ({"scenario": "tiny", "set": {f"layout.{name}": number for name, number in big.items()}}, "/set"),
    ):
        found = refused(client, "POST", "/runs", body)
        assert (found.status, found.kind) == (409, "does-not-fit")
        assert found.errors == [{"pointer": place, "detail": words}]
    assert client.get("/runs", limit=1)["runs"][0]["id"] == "r1"


def test_pace_of_clients_is_limited(tmp_path):
    """Beyond its pace a client gets 429 and how long to wait, which is enough; each client has its own."""
    with Served(tmp_path / "data", "--rate", "20") as server:
        found = [raw(server, "GET", "/health", source="127.0.0.2") for _ in range(300)]
        assert [status for status, _, _ in found[:200]] == [200] * 200
        status, headers, document = next(answer for answer in found if answer[0] != 200)
        assert (status, document["type"]) == (429, "/problems/too-many-requests")
        assert document["detail"] == "at most 20 requests a second"
        seconds = int(headers["Retry-After"])
        assert seconds >= 1
        assert raw(server, "GET", "/health", source="127.0.0.3")[0] == 200
        time.sleep(seconds)
        assert raw(server, "GET", "/health", source="127.0.0.2")[0] == 200
        # The client of the project waits by itself.
        with Client(server.url) as client:
            assert {client.get("/health")["status"] for _ in range(205)} == {"ok"}
        assert "Traceback" not in server.log()


# --- runs of another model -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    """A server on runs that another model has made, and what they told of themselves: live, over, at work, waiting."""
    folder = tmp_path_factory.mktemp("other") / "data"
    told = {}
    with Served(folder, "luoyang", "--speed", "1", "--workers", "1") as server, server.client() as client:
        client.steer(state="paused")
        client.steer(step_s=12 * HOUR)
        wait_until(lambda: client.get("/runs/r1")["t_s"] >= 12 * HOUR)
        client.settled(client.command("block_slot", {"slot": "2-07-3"}))
        assert client.wait(client.start("tiny")["id"], 60)["id"] == "r2"
        assert client.post("/runs", {**LONG, "speed": 3600})["id"] == "r3"
        running(client, "r3")
        assert client.start("tiny")["id"] == "r4"
        for name in ("r1", "r2"):
            for path in ("slots", "stock", "kpis", "orders"):
                told[name, path] = client.get(f"/runs/{name}/{path}")
        told["past"] = client.get("/runs/r1/slots", at=10 * HOUR)
        told["slot"] = client.get("/runs/r1/slots/2-07-3")
    with contextlib.closing(sqlite3.connect(folder / "registry.db")) as database, database:
        assert database.execute("UPDATE runs SET model_version = '0.9'").rowcount == 4
    with Served(folder, "luoyang", "--speed", "1") as server:
        server.told = told
        yield server


@pytest.fixture
def reader(other_model):
    with other_model.client(patience_s=0.0) as client:
        yield client
    assert "Traceback" not in other_model.log()


def test_run_of_another_model_is_interrupted(reader):
    """A run of another model that was not over is interrupted, in words; what is over stays as it is; ours begins anew."""
    words = f"made by model version 0.9, this is {MODEL_VERSION}: it can be read as far as it had come, and does not go on"
    found = {run["id"]: (run["state"], run["error"]) for run in reader.get("/runs")["runs"]}
    assert found == {
        "r1": ("interrupted", words), "r2": ("finished", None), "r3": ("interrupted", words), "r4": ("interrupted", words),
        "r5": ("running", None),
    }  # fmt: skip
    assert reader.get("/runs/current")["id"] == "r5"
    assert reader.get("/ready")["ready"]


def test_run_of_another_model_is_read(other_model, reader):
    """It can be read as far as it had come, and tells the same as before, of the past as well."""
    told = other_model.told
    for name in ("r1", "r2"):
        for path in ("slots", "stock", "kpis", "orders"):
            assert reader.get(f"/runs/{name}/{path}") == told[name, path]
    assert reader.get("/runs/r1/slots", at=10 * HOUR) == told["past"]
    assert reader.get("/runs/r1/slots/2-07-3") == told["slot"]
    assert told["slot"]["status"] == "blocked"
    assert [(each["type"], each["state"]) for each in reader.get("/runs/r1/commands")["commands"]] == [
        ("block_slot", "applied")
    ]
    at_work = reader.get("/runs/r3")
    assert reader.get("/runs/r3/slots")["facts"] == at_work["facts"] > 0
    waited = refused(reader, "GET", "/runs/r4/slots")
    assert (waited.status, waited.detail) == (409, "run r4 has no state")


@pytest.mark.parametrize("name", ["r1", "r3"])
def test_run_of_another_model_refuses_changes(reader, name):
    """It takes no commands, no steering and no branch, and cannot be asked for reasons or slots; it says why."""
    made = f"run {name} is of model version 0.9, this is {MODEL_VERSION}"
    block = {"type": "block_slot", "args": {"slot": "2-07-4"}}
    for method, path, body, kind, detail in (
        (
            "PATCH",
            "",
            {"state": "running"},
            "conflict",
            f"run {name} is over (interrupted): nothing can be changed",
        ),
        ("PATCH", "", {"step_s": 1}, "conflict", f"run {name} is over (interrupted): nothing can be changed"),
        ("POST", "/commands", block, "conflict", f"run {name} is over (interrupted): it takes no commands"),
        ("POST", "/branch", {"at": 10}, "read-only", made),
        ("GET", "/tasks/0/why", None, "read-only", f"{made}: it cannot be played again"),
    ):
        found = refused(reader, method, f"/runs/{name}{path}", body)
        assert (found.status, found.kind, found.detail) == (409, kind, detail)
    boxes = {"run": name, "boxes": [{"sku": "single-phase A"}]}
    assert refused(reader, "POST", "/allocate", boxes).status == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/runs/r2/tasks/0/why", None), ("POST", "/runs/r2/branch", {"at": 10}),
        ("POST", "/allocate", {"run": "r2", "boxes": [{"sku": "A"}]}),
    ],
)  # fmt: skip
def test_finished_run_of_another_model_is_not_played(reader, method, path, body):
    """A finished run of another model is not played again by this one, for reasons, branches or slots."""
    found = refused(reader, method, path, body)
    assert (found.status, found.kind) == (409, "read-only")


def test_lost_facts_are_told(other_model, reader):
    """A run whose facts are not there, or not all, is not told as an empty store."""
    (log,) = Path(other_model.folder / "work" / "r3").glob("facts-*.log")
    log.unlink()
    assert kill_readers(other_model) == 1  # the next one has nothing at hand
    assert refused(reader, "GET", "/runs/r3/stock").kind == "facts-damaged"


def test_run_of_another_model_is_removed(other_model, reader):
    """It can be removed, with all that it left."""
    assert (other_model.folder / "work" / "r1").is_dir()
    reader.delete("/runs/r1")
    assert refused(reader, "GET", "/runs/r1").status == 404
    assert not (other_model.folder / "work" / "r1").exists()
