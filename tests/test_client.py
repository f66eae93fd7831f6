"""The client against a server that answers as it is told to: what is sent again, what is not, and what is given up."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

import api.client
from api.client import IDLE_S, Client, Refused, Unreachable

PROBLEM = {"type": "/problems/unavailable", "title": "not now", "detail": "the registry cannot be reached"}


class Script(ThreadingHTTPServer):
    """A server that gives the answers of a list, one after the other, and notes what it was asked.

    An answer is a status with a document (or bytes) and headers; "drop" hangs up without a word, "cut" in the
    middle of an answer.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Scripted)
        self.answers, self.asked, self.connections = [], [], 0
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def will(self, *answers):
        self.answers += answers
        return self


class Scripted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.server.connections += 1
        super().setup()

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append(
            SimpleNamespace(method=self.command, path=self.path, body=body, headers=self.headers)
        )
        answer = self.server.answers.pop(0)
        if answer == "drop":
            self.close_connection = True
            return
        status, document, headers = (answer, {}, {}) if isinstance(answer, int) else (*answer, {})[:3]
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        text = b"" if status in (204, 304) else text
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        cut = headers.get("X-Cut")
        self.send_header("Content-Length", str(len(text) + (100 if cut else 0)))
        self.end_headers()
        self.wfile.write(text)
        self.close_connection = bool(cut)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - so the base class wants it

    def log_message(self, *_):
        pass


class Clock:
    """Time that passes when somebody sleeps, and at no other time."""

    def __init__(self):
        self.now, self.slept = 1_000_000.0, []

    def monotonic(self):
        return self.now

    time = monotonic

    def sleep(self, seconds):
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(api.client, "time", clock)
    return clock


@pytest.fixture
def script():
    with Script() as script:
        yield script


@pytest.fixture
def store(script, clock):
    with Client(f"http://127.0.0.1:{script.server_port}", "mh_key") as store:
        yield store


CUT = (200, {"half": "an answer"}, {"X-Cut": "1"})


@pytest.mark.parametrize("failure", [408, 429, 502, 503, 504, "drop", CUT])
def test_failure_is_tried_again(script, store, clock, failure):
    """What fails on its way is sent again, a little later each time, with the same idempotency key."""
    script.will(failure, failure, failure, (202, {"id": "r1"}))
    assert store.post("/runs", {"scenario": "tiny"}) == {"id": "r1"}
    assert [each.method for each in script.asked] == ["POST"] * 4
    assert [each.body for each in script.asked] == [{"scenario": "tiny"}] * 4
    keys = {each.headers["Idempotency-Key"] for each in script.asked}
    assert len(keys) == 1
    assert len(keys.pop()) >= 20
    assert clock.slept == [0.1, 0.2, 0.4]


def test_each_post_has_its_own_key(script, store):
    """Two requests are two, however alike."""
    script.will((202, {"id": "r1"}), (202, {"id": "r2"}))
    assert [store.start("tiny")["id"], store.start("tiny")["id"]] == ["r1", "r2"]
    assert len({each.headers["Idempotency-Key"] for each in script.asked}) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 415, 421, 422, 500, 507])
def test_refusal_is_final(script, store, clock, status):
    """What the server refuses for good is not asked again."""
    errors = [{"pointer": "/scenario", "detail": "expected a name"}, "strange"]
    script.will((status, {"type": "/problems/does-not-fit", "detail": "no", "errors": errors}))
    with pytest.raises(Refused) as refused:
        store.post("/runs", {})
    assert (refused.value.status, refused.value.kind, refused.value.detail) == (status, "does-not-fit", "no")
    assert refused.value.errors == errors[:1]
    assert str(refused.value) == f"{status} does-not-fit: no\n  /scenario: expected a name"
    assert clock.slept == []


def test_wait_is_as_long_as_asked(script, store, clock):
    """Retry-After is waited for, in seconds or until a date; a wait that makes no sense is none."""
    later = formatdate(clock.now + 7, usegmt=True)
    script.will(
        (429, PROBLEM, {"Retry-After": "3"}), (503, PROBLEM, {"Retry-After": later}),
        (503, PROBLEM, {"Retry-After": "soon"}), (503, PROBLEM, {"Retry-After": "-5"}), (200, {"runs": []}),
    )  # fmt: skip
    assert store.get("/runs") == {"runs": []}
    # 7 s from the beginning, of which 3 are over.
    assert clock.slept == [3.0, 4.0, 0.4, 0.8]


def test_wait_beyond_patience_is_none(script, store, clock):
    """Who is told to come back after longer than it has patience does not wait at all."""
    script.will((429, PROBLEM, {"Retry-After": "31"}))
    with pytest.raises(Refused, match="429 unavailable: the registry cannot be reached"):
        store.get("/runs")
    assert clock.slept == []


def test_patience_ends(script, clock):
    """After its patience a client gives up: with the last refusal, or as Unreachable when there was no answer."""
    script.will(*[(503, PROBLEM)] * 5, *["drop"] * 5)
    with Client(f"http://127.0.0.1:{script.server_port}", patience_s=2.0) as store:
        with pytest.raises(Refused, match="503 unavailable"):
            store.get("/runs")
        # 0.1 + 0.2 + 0.4 + 0.8 = 1.5 s; another 1.6 s would be after 2 s.
        assert clock.slept == [0.1, 0.2, 0.4, 0.8]
        with pytest.raises(Unreachable, match="GET /runs: RemoteDisconnected"):
            store.get("/runs")
        assert clock.slept == [0.1, 0.2, 0.4, 0.8] * 2
    assert script.answers == []


def test_nobody_there_is_unreachable(clock):
    """Where nobody listens a client gives up in the end, and names what it asked."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused for as long as it is ours
        with (
            Client(f"http://127.0.0.1:{taken.getsockname()[1]}", patience_s=1.0) as store,
            pytest.raises(Unreachable, match="POST /runs: ConnectionRefusedError"),
        ):
            store.start("tiny")
    assert clock.slept == [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("failure", "error"), [(503, Refused), (429, Refused), ("drop", Unreachable), (CUT, Unreachable)]
)
def test_post_without_key_is_sent_once(script, store, clock, failure, error):
    """A POST that has no key could be done twice: it is sent once."""
    script.will(failure, (202, {}))
    with pytest.raises(error):
        store.request("POST", "/runs", {"scenario": "tiny"})
    assert len(script.asked) == 1
    assert clock.slept == []


def test_step_is_not_taken_twice(script, store, clock):
    """A step that may have been taken is not sent again; one that certainly was not is, and so is any other change."""
    script.will(
        (503, {"type": "/problems/restoring"}), 429, (503, {"type": "/problems/too-many-requests"}), "drop"
    )
    with pytest.raises(Refused, match="429"):
        store.steer(step_s=60)
    script.answers.pop(0)
    with pytest.raises(Unreachable):
        store.steer(step_s=60)
    for unsure in ("timeout", "unavailable"):
        script.will((503, {"type": f"/problems/{unsure}"}))
        with pytest.raises(Refused, match=unsure):
            store.steer(step_s=60)
    assert [each.body for each in script.asked] == [{"step_s": 60}] * 5
    script.will("drop", 503, (200, {"state": "paused"}))
    assert store.steer("r1", state="paused") == {"state": "paused"}
    assert [(each.path, each.body) for each in script.asked[5:]] == [("/runs/r1", {"state": "paused"})] * 3


def test_equal_version_comes_from_memory(script, store):
    """With the version that it knows a client asks for changes only, and what it gives away is not what it keeps."""
    script.will((200, {"slots": [1]}, {"ETag": 'W/"a"'}), 304, (200, {"slots": [2]}, {"ETag": 'W/"b"'}), 304)
    first = store.get("/slots", row=2)
    first["slots"].append("spoilt")
    assert store.get("/slots", row=2) == {"slots": [1]}
    assert store.get("/slots", row=2) == {"slots": [2]}
    assert store.get("/slots", row=2) == {"slots": [2]}
    known = [each.headers["If-None-Match"] for each in script.asked]
    assert known == [None, 'W/"a"', 'W/"a"', 'W/"b"']
    assert {each.path for each in script.asked} == {"/slots?row=2"}
    script.will((200, {"slots": [3]}))
    assert store.get("/slots", row=3) == {"slots": [3]}
    assert script.asked[-1].headers["If-None-Match"] is None


def test_pages_are_read_on(script, store):
    """A list is read page by page, with the same filters and the cursor of the page before; none is asked too many."""
    script.will(
        (200, {"boxes": [{"box": "1"}, {"box": "2"}], "next": "abc_-"}), (200, {"boxes": [], "next": "def="}),
        (200, {"boxes": [{"box": "3"}], "next": None}),
    )  # fmt: skip
    found = store.pages("/boxes", "boxes", limit=2, in_store=True, sku="single-phase A", lot=None)
    assert [box["box"] for box in found] == ["1", "2", "3"]
    query = "/boxes?limit=2&in_store=true&sku=single-phase+A"
    assert [each.path for each in script.asked] == [query, f"{query}&cursor=abc_-", f"{query}&cursor=def%3D"]
    script.will((200, {"boxes": [{"box": "1"}], "next": "abc"}))
    assert next(store.pages("/boxes", "boxes")) == {"box": "1"}
    assert script.answers == []


def test_repeated_delete_may_find_nothing(script, store):
    """404 means success when DELETE had to be sent again, and is an error when it was the first."""
    script.will("drop", (404, PROBLEM), 204, (404, PROBLEM))
    store.delete("/runs/r1")
    store.delete("/runs/r2")
    with pytest.raises(Refused, match="404"):
        store.delete("/runs/r2")


def test_stranger_on_the_way_is_heard(script, store):
    """An answer that is no problem document is one of its words; one that is no JSON object is an error in words."""
    page = b"<html><h1>502 Bad Gateway</h1></html>"
    script.will(
        (502, page), (200, {"ok": True}), (403, page), (404, b'["x"]'), (200, b"plain"), (200, b"[1]")
    )
    assert store.get("/runs") == {"ok": True}
    with pytest.raises(Refused) as refused:
        store.get("/runs")
    assert (refused.value.status, refused.value.kind) == (403, "")
    assert refused.value.detail == page.decode()
    with pytest.raises(Refused, match=r'404 : \["x"\]'):
        store.get("/runs")
    for text in ("plain", "[1]"):
        with pytest.raises(ValueError, match="GET /metrics: expected a JSON object, found") as error:
            store.get("/metrics")
        assert text in str(error.value)


def test_connection_is_kept_while_it_is_fresh(script, store, clock):
    """Requests go over one connection; one that has long been idle is not trusted with what must not fail."""
    script.will(*[200] * 3)
    store.get("/a")
    clock.now += IDLE_S
    store.get("/b")
    assert script.connections == 1
    clock.now += IDLE_S + 1
    store.get("/c")
    assert script.connections == 2


def test_requests_say_who_and_what(script, store):
    """The key, the kind of body and the kind of answer go with each request; names and paths are escaped."""
    script.will(*[(200, {})] * 3)
    store.request("PATCH", "/runs/r1", {"name": "表"})
    store.get("/meters/a b", class_="issue", from_=5)
    asked = script.asked[0]
    assert asked.body == {"name": "表"}
    assert asked.headers["X-API-Key"] == "mh_key"
    assert asked.headers["Content-Type"] == asked.headers["Accept"] == "application/json"
    assert script.asked[1].path == "/meters/a%20b?class=issue&from=5"
    assert script.asked[1].headers["Content-Type"] is None
    with Client(f"http://127.0.0.1:{script.server_port}/below/") as below:
        below.get("/runs")
    assert script.asked[2].path == "/below/runs"
    assert script.asked[2].headers["X-API-Key"] is None


def test_results_are_waited_for(script, store, clock):
    """A run is asked about until it is over, a command until it is settled; both have an end."""
    script.will(*[(200, {"state": state}) for state in ("queued", "running", "finished")])
    assert store.wait("r1") == {"state": "finished"}
    script.will(*[(200, {"state": "paused"})] * 50)
    with pytest.raises(TimeoutError, match="run r1 is paused after 1 s"):
        store.wait("r1", 1.0)
    script.answers.clear()
    command = {"links": {"self": "/runs/r1/commands/c1"}}
    accepted = {"state": "accepted", "id": "c1", "run": "r1"}
    script.will((200, accepted), (200, {"state": "applied"}))
    assert store.settled(command) == {"state": "applied"}
    script.will(*[(200, accepted)] * 100)
    with pytest.raises(TimeoutError, match="command c1 of r1 is not done after 1 s"):
        store.settled(command, 1.0)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x:port"])
def test_wrong_address_is_refused(url):
    """An address that is none is refused before anything is sent."""
    with pytest.raises(ValueError, match=r"expected http://HOST:PORT|Port could not be cast"):
        Client(url)


def test_unknown_certificate_is_no_matter_of_patience(clock, tmp_path):
    """A certificate that is not trusted will not be in a second either."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-days",
        "2",
    ]
    subprocess.run([*made, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Script() as script:
        script.socket = context.wrap_socket(script.socket, server_side=True)
        script.handle_error = lambda *_: None
        with (
            Client(f"https://localhost:{script.server_port}") as store,
            pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            store.get("/runs")
    assert clock.slept == []


def test_file_stands_alone(script, tmp_path):
    """The file works where nothing else of the project is, and imports the standard library only."""
    shutil.copy(api.client.__file__, tmp_path / "client.py")
    script.will((200, {"slots": []}))
    code = (
        "import sys, client\n"
        "print(client.Client(sys.argv[1]).get('/slots'))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))\n"
        "print([path for path in sys.path if 'site-packages' in path])\n"
    )
    command = [sys.executable, "-S", "-E", "-c", code, f"http://127.0.0.1:{script.server_port}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    answer, others, paths = ran.stdout.splitlines()
    assert answer == "{'slots': []}"
    assert others == "['__main__', 'client']"
    assert paths == "[]"
    assert Path(tmp_path / "client.py").exists()
