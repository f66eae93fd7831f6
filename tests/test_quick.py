"""The answers that are kept ready: as those of the routes, for as long as the run shows the same instant."""

import asyncio
import gzip
import time
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api import security
from api.keys import make_key
from api.logs import Log
from api.metrics import Metrics
from api.quick import Quick
from api.registry import RegistryError
from api.security import Keyring
from api.settings import Settings
from api.shell import Shell

TEXT = b'{"slots":[' + b"1," * 5000 + b"1]}"


class Clock(asyncio.Event):
    """An event that needs no loop to be looked at."""


def a_run(name="r1"):
    ready = Clock()
    ready.set()
    return SimpleNamespace(
        id=name, row=SimpleNamespace(state="running"), board=SimpleNamespace(sequence=2), ready=ready,
        removed=False, version=lambda by: f"{name}-1-10",
    )  # fmt: skip


class Runs:
    """Runs that tell one text for all slots and a short one for each."""

    def __init__(self):
        self.all = {name: a_run(name) for name in ("r1", "r2")}
        self.current = "r1"
        self.made = 0
        self.slots = {"1-01-1": b"{}"}

    def slots_text(self, run):
        self.made += 1
        return TEXT + run.id.encode()

    def slot_text(self, run, name):
        return self.slots.get(name)

    def slot_names(self, run):
        return frozenset({"1-01-1", "1-02-1"})


def shell(settings, rows=(), runs=None):
    ring = Keyring(settings)
    ring.learn(rows)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"routed"})

    made = Shell(app, settings, ring, Metrics(), Log())
    made.quick = Quick(runs or Runs())
    return made


def asked(shell_, path, host=b"localhost:8000", query=b"", **headers):
    """Status, headers and body of GET."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    pairs = [(b"host", host), *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())]
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": query, "headers": pairs,
        "client": ("127.0.0.1", 5000),
    }  # fmt: skip
    asyncio.run(shell_(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:])


def test_second_answer_is_kept_ready():
    """The first request is looked at closely, the next ones get the same answer from what is at hand."""
    runs = Runs()
    server = shell(Settings(data="x"), runs=runs)
    assert asked(server, "/slots")[0] == 299
    first, again = asked(server, "/slots"), asked(server, "/slots")
    assert first == again == (200, first[1], TEXT + b"r1")
    assert (first[1][b"etag"], first[1][b"content-length"]) == (b'W/"r1-1-10"', b"%d" % len(TEXT + b"r1"))
    assert first[1][b"x-content-type-options"] == b"nosniff"
    assert runs.made == 1
    assert asked(server, "/runs/r2/slots")[2] == TEXT + b"r2"
    assert asked(server, "/slots/1-01-1")[2] == b"{}"
    for path, query in (
        ("/slots/9-99-9", b""),
        ("/slots", b"row=1"),
        ("/slots/", b""),
        ("/runs/r3/slots", b""),
    ):
        assert asked(server, path, query=query)[0] == 299, path


def test_kept_answer_ends_with_its_instant():
    """Another board, counter, row or current run: what was kept is not told any more."""
    runs = Runs()
    quick, run = Quick(runs), runs.all["r1"]
    kept = quick.ready("/slots")
    assert quick.ready("/slots") is kept
    changes = (
        lambda: setattr(run.board, "sequence", run.board.sequence + 2),
        lambda: setattr(run, "board", SimpleNamespace(sequence=run.board.sequence)),
        lambda: setattr(run, "row", SimpleNamespace(state="paused")),
        lambda: setattr(runs, "current", "r2"),
    )
    for change in changes:
        change()
        fresh = quick.ready("/slots")
        assert fresh is not kept
        kept = fresh
    assert kept.text.endswith(b"r2")
    runs.all["r2"].removed = True
    del runs.all["r2"]
    assert quick.ready("/slots") is None
    run.ready.clear()
    assert quick.ready("/runs/r1/slots") is None


def test_what_changes_meanwhile_is_not_kept():
    """A run that goes on while its answer is made gives text and mark of two instants: neither is told."""
    runs = Runs()
    run = runs.all["r1"]

    def slots_text(of):
        run.board.sequence += 2
        run.version = lambda by: "r1-1-11"
        return TEXT

    runs.slots_text = slots_text
    assert Quick(runs).ready("/slots") is None


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ('W/"r1-1-10"', 304), ('"r1-1-10"', 304), ("*", 304), ('"a", W/"r1-1-10"', 304), ('"r1-1-9"', 200),
        ('"r1-1-10', 200), ("", 200), ("r1-1-10", 200),
    ],
)  # fmt: skip
def test_known_versions_are_not_sent(wanted, status):
    """304 has the mark and the security headers, and no body."""
    server = shell(Settings(data="x"))
    asked(server, "/slots")
    found, headers, body = asked(server, "/slots", if_none_match=wanted)
    assert (found, body == b"") == (status, status == 304)
    assert headers[b"etag"] == b'W/"r1-1-10"'
    assert b"content-security-policy" in headers


def test_known_slot_needs_no_text():
    """Who has the version of a slot is told so before anybody has asked for its text; others are passed on."""
    runs = Runs()
    server = shell(Settings(data="x"), runs=runs)
    known = {"if_none_match": 'W/"r1-1-10"'}
    assert asked(server, "/slots/1-02-1", **known)[0] == 299
    assert [asked(server, "/slots/1-02-1", **known)[0] for _ in range(2)] == [304, 304]
    assert asked(server, "/slots/1-02-1")[0] == 299
    assert asked(server, "/slots/1-02-1", if_none_match='"r1-1-9"')[0] == 299
    assert asked(server, "/slots/9-99-9", **known)[0] == 299
    runs.slots["1-02-1"] = b"[]"
    assert asked(server, "/slots/1-02-1")[2] == b"[]"
    assert asked(server, "/slots/1-02-1", **known)[0] == 304


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=1.0, br", True), ("gzip;q=0", False),
        ("br, gzip; q=0.000, *", False), ("identity", False), ("", False),
    ],
)  # fmt: skip
def test_long_answers_are_packed(accepted, is_packed):
    """Who says that it unpacks gzip gets the same text packed; short answers are not."""
    server = shell(Settings(data="x"))
    asked(server, "/slots")
    for _ in range(2):
        _, headers, body = asked(server, "/slots", accept_encoding=accepted)
        assert headers[b"vary"] == b"accept-encoding"
        assert headers[b"content-length"] == b"%d" % len(body)
        assert headers.get(b"content-encoding") == (b"gzip" if is_packed else None)
        assert (gzip.decompress(body) if is_packed else body) == TEXT + b"r1"
    assert b"content-encoding" not in asked(server, "/slots/1-01-1", accept_encoding=accepted)[1]


def test_ready_answers_are_limited_and_counted():
    """The limit of a client and the figures hold for what is kept ready, too."""
    server = shell(Settings(data="x", rate=0.001, burst=4))
    assert [asked(server, "/slots")[0] for _ in range(6)] == [299, 200, 200, 200, 429, 429]
    families = {
        family.name: family for family in text_string_to_metric_families(server._metrics.text().decode())
    }
    counts = {
        (each.labels["route"], each.labels["status"]): each.value
        for each in families["meterhouse_http_requests"].samples if each.name.endswith("_total")
    }  # fmt: skip
    assert counts == {("none", "299"): 1, ("/runs/{run}/slots", "200"): 3, ("none", "429"): 2}
    times = families["meterhouse_http_request_seconds"].samples
    of_slots = [each for each in times if each.labels["route"] == "/runs/{run}/slots"]
    buckets = [each.value for each in of_slots if each.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == next(each.value for each in of_slots if each.name.endswith("_count")) == 3
    assert next(each.value for each in of_slots if each.name.endswith("_sum")) > 0


def test_keys_count_for_ready_answers(monkeypatch):
    """Only a header that was found good a moment ago opens what is kept ready, and no longer than that."""
    text, row = make_key("screen", ["runs:read"])
    other, other_row = make_key("writer", ["runs:write"])
    server = shell(Settings(data="x", host="0.0.0.0", names=("*",)), [row, other_row])
    assert asked(server, "/slots")[0] == 401
    assert asked(server, "/slots", x_api_key=text)[0] == 299
    assert asked(server, "/slots", x_api_key=text)[0] == 200
    assert asked(server, "/slots", authorization=f"Bearer {text}")[0] == 299
    assert asked(server, "/slots", authorization=f"Bearer {text}")[0] == 200
    assert asked(server, "/slots")[0] == 401
    assert asked(server, "/slots", x_api_key=text[:-1] + ("0" if text[-1] != "0" else "1"))[0] == 401
    assert asked(server, "/slots", x_api_key="", authorization=f"Bearer {text}")[0] == 401
    assert [asked(server, "/slots", x_api_key=other)[0] for _ in range(2)] == [299, 299]  # the routes say 403
    later = time.monotonic() + security.REFRESH_S + 1
    monkeypatch.setattr(security.time, "monotonic", lambda: later)
    server._keyring.learn([])
    assert asked(server, "/slots", x_api_key=text)[0] == 401


def test_foreign_host_is_refused():
    """A name that this server has not is refused, however often it is tried."""
    server = shell(Settings(data="x"))
    assert [asked(server, "/slots", host=b"evil.example")[0] for _ in range(3)] == [421] * 3
    assert asked(server, "/slots")[0] == 299
    assert asked(server, "/slots", host=b"evil.example")[0] == 421


def test_failure_is_a_problem_document(capsys):
    """What goes wrong in here is answered as everything that goes wrong, without a traceback."""
    runs = Runs()

    def fail(run):
        raise RegistryError(["no"])

    runs.slots_text = fail
    server = shell(Settings(data="x"), runs=runs)
    asked(server, "/slots")
    status, headers, body = asked(server, "/slots")
    assert (status, headers[b"content-type"]) == (500, b"application/problem+json")
    assert b"internal" in body
    assert "Traceback" not in capsys.readouterr().err
