"""What nobody should send: the server refuses it in words, goes on answering, and its log has no traceback."""

import json
import random
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from api.security import FAILURES
from tests.servers import Served

MANY = 500


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with a run, as anybody might find it."""
    folder = tmp_path_factory.mktemp("hostile") / "data"
    with Served(folder, "luoyang", "--speed", "60") as server:
        yield server


def sent(port, text, timeout=20.0):
    """What the server answers to some bytes: status, content type, body; (0, "", b"") when it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as wire:
        with suppress(OSError):
            wire.sendall(text)
        seen = bytearray()
        with suppress(OSError):
            while True:
                end = seen.find(b"\r\n\r\n")
                if end >= 0 and b" 100 " in seen[:20]:
                    del seen[: end + 4]
                    continue
                if end >= 0:
                    head = bytes(seen[:end]).lower()
                    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    if (
                        b" 304" in head[:20]
                        or text.startswith(b"HEAD")
                        or (length and len(seen) >= end + 4 + int(length))
                    ):
                        break
                part = wire.recv(65_536)
                if not part:
                    break
                seen += part
    if not seen:
        return 0, "", b""
    head, _, body = bytes(seen).partition(b"\r\n\r\n")
    kind = head.lower().partition(b"content-type: ")[2].partition(b"\r\n")[0].decode("latin-1")
    return int(head[9:12]), kind, body


def http(method, target, port, body=b"", headers=()):
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1", "replace"), f"Host: 127.0.0.1:{port}".encode()]
    lines += [
        header if isinstance(header, bytes) else header.encode("latin-1", "replace") for header in headers
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}".encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


JSON = "Content-Type: application/json"
TARGETS = (
    "/slots/../../etc/passwd", "/slots/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/runs/..%2f..%2f/slots", "/runs/r1%00/slots",
    "/scenarios/../pyproject", "/scenarios/%2e%2e%2fluoyang", "/scenarios//etc/passwd", "/problems/..%2f..%2fapp",
    "/slots/2-07-3%0d%0aX-Evil:%201", "/slots/%ff%fe", "/slots/" + "9" * 5000, "/runs/r99999999999999999999/slots",
    "/slots?at=1e400", "/slots?at=nan", "/slots?at=-1", "/slots?at=inf", "/slots?min_fill=1e999", "/slots?row=99999999999999999999",
    "/slots?cursor=" + "A" * 400, "/slots?sku=%00", "/slots?sku=" + "%F0%9F%92%A9" * 30, "/meters/" + "1" * 22,
    "/boxes?limit=-5", "/boxes?limit=1e3", "/boxes?verified_before=2026-99-99", "/boxes?verified_before=0000-00-00",
    "/runs/current/events?from=5&to=1", "/runs/current/series?name=__class__", "/runs/current/series?name=occupancy&points=0",
    "/runs/current/tasks/-1", "/runs/current/tasks/1e9", "/runs/current/search?q=%25", "/runs/current/search?q=" + "x" * 5000,
    "/slots?view=truth", "/slots?view=admin", "/metrics/../runs", "//slots", "/slots//", "/SLOTS", "/openapi.json/..", "/docs/../../x",
    "/runs?state=finished%27%20OR%201=1", "/runs?cursor=eyJ2IjoicnVucyJ9", "/runs/current/commands/c0", "*", "http://evil.example/slots",
)  # fmt: skip
BODIES = (
    b"", b"{", b"null", b"[]", b'"x"', b"1", b"{}", b'{"scenario":1}', b'{"scenario":[]}', b'{"scenario":""}',
    b'{"scenario":"../../etc/passwd"}', b'{"scenario":{"extends":"/etc/passwd"}}', b'{"scenario":{"extends":5}}',
    b'{"scenario":{"initial":{"stock":"/etc/shadow"}}}', b'{"scenario":{"demand":{"kind":"trace","file":"/dev/zero"}}}',
    b'{"scenario":{"layout":{"rows":10000000,"columns":10000000,"levels":1000}}}',
    b'{"scenario":{"layout":{"profile":"uniform","rows":1,"columns":1,"levels":1,"boxes_per_slot":1000}}}',
    b'{"scenario":{"policy":{"allocation":"/tmp/evil.py:run"}}}', b'{"scenario":{"time":{"days":1e308}}}',
    b'{"scenario":"tiny","seed":1e400}', b'{"scenario":"tiny","seed":-1}', b'{"scenario":"tiny","seed":"1"}',
    b'{"scenario":"tiny","seed":true}', b'{"scenario":"tiny","speed":0}', b'{"scenario":"tiny","speed":1e300}',
    b'{"scenario":"tiny","name":"\\u0000"}', b'{"scenario":"tiny","name":"\\ud800"}', b'{"scenario":"tiny","name":"a\\nb"}',
    b'{"scenario":"tiny","set":{"__proto__":1,"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r":1}}',
    b'{"scenario":"tiny","set":{"robots[999999999].count":1}}', b'{"scenario":"tiny","set":{"time.days":' + b"9" * 4000 + b"}}",
    b'{"scenario":"tiny","limits":{"time_s":-1}}', b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500,
    b"\xff\xfe\x00\x01", b"\x00" * 1000, '{"scenario":"żółć"}'.encode("iso-8859-2"), b'{"scenario":"' + b"x" * 300_000 + b'"}',
    b'{"type":"order","args":{"lines":[' + b'{"sku":"single-phase A","meters":1},' * 5000 + b"1]}}",
    b'{"type":"__init__","args":{}}', b'{"type":"set","args":{"values":{"seed":1}}}', b'{"type":"recall","args":{"lot":1e99}}',
    b'{"type":"block_slot","args":{"slot":"../../x"}}', b'{"boxes":[]}', b'{"boxes":[{"sku":"x"}],"run":"../r1"}',
)  # fmt: skip
HEADERS = (
    (), ("X-API-Key: mh_00000000_" + "0" * 64,), ("X-API-Key: \xff\xfe",), ("Authorization: Bearer",),
    ("Authorization: Bearer " + "A" * 5000,), ("Idempotency-Key: " + "\x01" * 3,), ("If-None-Match: \xff",),
    ("Idempotency-Key: " + "x" * 3000,), ("Origin: null",), ("Origin: http://evil.example",), ("Cookie: " + "a=b;" * 1500,),
    ("Transfer-Encoding: chunked, identity",), ("Expect: 100-continue",), ("Content-Encoding: gzip",), ("X-Forwarded-For: 1.2.3.4",),
    ("X-HTTP-Method-Override: DELETE",), ("Range: bytes=0-1,5-9,-1",), ("Accept: application/xml",), ("Upgrade: h2c", "Connection: Upgrade"),
)  # fmt: skip
RAW = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 200,
    b"GET /slots HTTP/1.1\r\n\r\n", b"GET /slots HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"A" * 70_000 + b"\r\n\r\n",
    b"GET /slots HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 80_000 + b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST /runs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    b"POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET /slots HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n", b"GET /slots\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    (b"GET /runs/current/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"),
)  # fmt: skip


def requests(port):
    """So many requests that nobody should send, the same ones every time."""
    rng = random.Random(7)
    posts = (
        "/runs",
        "/runs/current/commands",
        "/runs/current/branch",
        "/allocate",
        "/runs/r1/commands",
        "/slots",
        "/health",
    )
    made = [http("GET", target, port) for target in TARGETS]
    made += [http("POST", rng.choice(posts), port, body, (JSON,)) for body in BODIES]
    made += [http("GET", "/slots", port, headers=headers) for headers in HEADERS]
    made += RAW
    while len(made) < MANY:
        method = rng.choice(("GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "FOO", "HEAD"))
        target = rng.choice(TARGETS + posts) if rng.random() < 0.7 else "/" + rng.randbytes(12).hex()
        body = rng.choice(BODIES) if method in ("POST", "PATCH", "PUT") else b""
        if body and rng.random() < 0.3:
            body = bytearray(body[:2000])
            for _ in range(5):
                body[rng.randrange(len(body))] = rng.randrange(256)
            body = bytes(body)
        headers = rng.choice(HEADERS)
        if method == "DELETE" and target in ("/runs/current", "/runs/r1"):
            continue
        made.append(http(method, target, port, body, (JSON, *headers) if body else headers))
    return made[:MANY]


def test_hostile_requests_change_nothing(served):
    """500 hostile requests are refused as problems; the server answers as before, and logs no traceback."""
    statuses = {}
    with served.client() as client:
        before = client.get("/runs/current")
        for text in requests(served.port):
            status, kind, body = sent(served.port, text, timeout=3.0)
            statuses[status] = statuses.get(status, 0) + 1
            assert status < 500, (text[:300], body[:500])
            assert b"x-evil" not in body.lower() or status >= 400
            is_ours = kind.startswith("application/problem+json")
            if status >= 400 and not kind.startswith("text/plain") and not text.startswith(b"HEAD"):
                assert is_ours, (text[:200], status, kind)
                assert json.loads(body)["status"] == status
            # Only what is no HTTP at all is refused by the protocol itself, before us.
            if kind.startswith("text/plain") and status >= 400:
                assert status == 400, (text[:200], body[:200])
        assert sum(statuses.values()) == MANY
        assert statuses.get(200, 0) + statuses.get(304, 0) < MANY / 4
        assert client.get("/ready")["ready"]
        after = client.get("/runs/current")
        assert (after["id"], after["state"]) == (before["id"], before["state"])
        assert after["facts"] >= before["facts"]
    log = served.log()
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    assert "mh_0000" not in log


def test_slow_clients_hold_nobody_up(served):
    """A hundred clients that never finish their request leave the server answering at once."""
    with ExitStack() as stack:
        for k in range(100):
            wire = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            if k % 2:
                wire.sendall(b"GET /slots HTTP/1.1\r\nHost: 127")
            else:
                wire.sendall(
                    b"POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
                )
        slowest = 0.0
        for _ in range(50):
            begin = time.monotonic()
            assert sent(served.port, http("GET", "/slots", served.port))[0] == 200
            slowest = max(slowest, time.monotonic() - begin)
        assert slowest < 2.0
    assert "Traceback" not in served.log()


def test_slow_body_is_given_up(served):
    """A body that does not come is waited for no longer than it may take."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=40) as wire:
        wire.sendall(
            b"POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert wire.recv(20).startswith(b"HTTP/1.1 408")


def test_limit_holds(tmp_path):
    """Beyond its rate a client gets 429 with the seconds to wait, and soon is served again."""
    with Served(tmp_path / "data", "tiny", "--speed", "1", "--rate", "20") as server:
        found = [sent(server.port, http("GET", "/slots", server.port)) for _ in range(300)]
        refused = [json.loads(body) for status, _, body in found if status == 429]
        assert refused
        assert refused[0]["type"] == "/problems/too-many-requests"
        time.sleep(1.1)
        assert sent(server.port, http("GET", "/slots", server.port))[0] == 200


def test_keys_are_needed_and_never_told(tmp_path):
    """With --require-key nothing but health is told without one, scopes hold, and no key is in the log."""
    folder = tmp_path / "data"
    from api.serve import create_key
    from api.settings import Settings

    folder.mkdir()
    url = Settings(data=str(folder)).registry_url
    reader = create_key(url, "reader", ["runs:read"], None)["key"]
    writer = create_key(url, "writer", ["runs:read", "runs:write"], None)["key"]
    auditor = create_key(url, "auditor", ["runs:read", "truth:read"], None)["key"]
    with Served(folder, "tiny", "--speed", "60", "--require-key", "--log-requests", key=reader) as server:
        port = server.port

        def status(method, target, key=None, body=b""):
            headers = [JSON] * bool(body) + [f"X-API-Key: {key}"] * bool(key)
            return sent(port, http(method, target, port, body, headers))[0]

        assert status("GET", "/health") == 200
        closed = ["/slots", "/runs", "/metrics", "/docs", "/openapi.json", "/kpis", "/runs/current/live"]
        assert {status("GET", target) for target in closed} == {401}
        assert status("GET", "/slots", reader) == 200
        start = b'{"scenario":"tiny"}'
        assert status("POST", "/runs", reader, start) == 403
        assert status("POST", "/runs", writer, start) == 202
        assert status("GET", "/slots?view=truth", reader) == 403
        assert status("GET", "/slots?view=truth", auditor) == 200
        assert status("GET", "/slots", reader[:-1] + ("0" if reader[-1] != "0" else "1")) == 401
        assert status("DELETE", "/runs/current", writer) == 403  # somebody else's
        wrong = "mh_00000000_" + "0" * 64
        tries = (status("GET", "/slots", wrong) for _ in range(4 * FAILURES))
        assert next((number for number, code in enumerate(tries) if code == 429), 0) >= FAILURES // 2
        log = server.log()
        for key in (reader, writer, auditor):
            assert key not in log
            assert key[12:] not in log
