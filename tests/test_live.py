"""Live state over a WebSocket: the whole first, then what changes; everybody gets the same, nobody is waited for."""

import asyncio
import contextlib
import http.client
import json
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from api.live import QUEUE, Broadcaster
from api.logs import Log
from api.metrics import Metrics
from api.security import Keyring
from api.settings import Settings
from api.shell import Shell
from tests.servers import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with the reference store at a good pace."""
    folder = tmp_path_factory.mktemp("live") / "data"
    with Served(folder, "luoyang", "--set", "time.days=3000", "--speed", "3600") as server:
        yield server


def watch(server, run="current", **more):
    return connect(
        f"ws://127.0.0.1:{server.port}/runs/{run}/live", open_timeout=20, max_size=10_000_000, **more
    )


def message(socket, timeout=10):
    return json.loads(socket.recv(timeout=timeout))


def test_frames_add_up_to_the_store(served):
    """The first message and the frames after it give the slots as GET /slots gives them at the same version."""
    with served.client() as client, watch(served) as socket:
        first = message(socket)
        fill = list(first["snapshot"]["fill"])
        assert [slot["slot"] for slot in first["snapshot"]["slots"]][:2] == ["1-01-1", "1-01-2"]
        assert len(fill) == 258
        seq, t = first["seq"], first["t"]
        for _ in range(15):
            frame = message(socket)
            assert frame["seq"] == seq + 1
            assert frame["t"] >= t
            seq, t = frame["seq"], frame["t"]
            for slot, boxes, *_ in frame["s"]:
                fill[slot] = boxes
        client.steer(state="paused")
        until = time.monotonic() + 10
        while frame["state"] != "paused":
            assert time.monotonic() < until
            frame = message(socket)
            for slot, boxes, *_ in frame["s"]:
                fill[slot] = boxes
        told = client.get("/slots")
        assert frame["facts"] == told["facts"]
        assert fill == [slot["boxes"] for slot in told["slots"]]
        client.steer(state="running")


def test_run_that_stands_is_heard_of(served):
    """A paused run sends a frame a second, and no more."""
    with served.client() as client, watch(served) as socket:
        message(socket)
        client.steer(state="paused")
        time.sleep(0.3)
        while True:  # what was on its way
            try:
                message(socket, timeout=0.2)
            except TimeoutError:
                break
        begin = time.monotonic()
        frames = [message(socket, timeout=3) for _ in range(3)]
        assert 1.5 < time.monotonic() - begin < 4.5
        assert {frame["state"] for frame in frames} == {"paused"}
        assert all(frame["s"] == [] for frame in frames)
        client.steer(state="running")


def test_everybody_gets_the_same(served):
    """Twenty viewers get the same frames."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(watch(served)) for _ in range(20)]
        seen = [{} for _ in sockets]
        until = time.monotonic() + 60
        while len(common := set.intersection(*map(set, seen))) < 5:
            assert time.monotonic() < until
            for socket, frames in zip(sockets, seen, strict=True):
                text = socket.recv(timeout=10)
                frame = json.loads(text)
                if "snapshot" not in frame and "seq" in frame:
                    frames[frame["seq"]] = text
        for seq in common:
            assert len({frames[seq] for frames in seen}) == 1


def test_slow_viewer_is_told_to_ask_again():
    """A viewer whose queue is full loses what waits for it, and is told; others get every frame."""
    broadcaster = Broadcaster(None, None, None)
    slow, quick = asyncio.Queue(QUEUE), asyncio.Queue(QUEUE)
    broadcaster.viewers = {"slow": slow, "quick": quick}
    seen = []
    for number in range(QUEUE + 2):
        broadcaster.pass_on(str(number))
        seen.append(quick.get_nowait())
    assert seen == [str(number) for number in range(QUEUE + 2)]
    assert [slow.get_nowait() for _ in range(slow.qsize())] == ['{"resync":1}', str(QUEUE + 1)]


def test_viewer_that_does_not_read_holds_nobody_up(served):
    """While one viewer reads nothing the others miss no frame, and it gets the whole when it asks."""
    with watch(served, max_queue=1) as slow, watch(served) as quick:
        message(slow)
        first = message(quick)["seq"]
        numbers = [message(quick)["seq"] for _ in range(40)]
        assert numbers == list(range(first + 1, first + 41))
        slow.send('{"resync": 1}')
        until = time.monotonic() + 10
        while "snapshot" not in (found := message(slow)):
            assert time.monotonic() < until
        assert found["seq"] >= numbers[-1] - 1


def test_frame_is_small(served):
    """A frame with all slots changed stays under 6 kB."""
    with served.client() as client, watch(served) as socket:
        message(socket)
        client.steer(speed="max")
        sizes = []
        for _ in range(12):
            text = socket.recv(timeout=10)
            sizes.append((len(json.loads(text)["s"]), len(text)))
        client.steer(speed=3600)
        assert max(changed for changed, _ in sizes) > 200
        assert max(size for _, size in sizes) < 6000


def test_unknown_run_is_denied(served):
    """A socket to a run that is not there, or from another site, is refused with a problem document."""
    with pytest.raises(InvalidStatus) as refused:
        watch(served, "r999")
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["type"] == "/problems/not-found"
    with pytest.raises(InvalidStatus) as refused:
        watch(served, origin="http://evil.example")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/live", "/slots", "/runs/live", "/runs/current/slots", "/runs/current/x/live", "/runs/current/live/"],
)
def test_other_paths_are_no_sockets(served, path):
    """A socket to any other path is refused with a problem document, like an unknown path."""
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{served.port}{path}", open_timeout=20)
    response = refused.value.response
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    document = json.loads(response.body)
    assert (document["type"], document["status"], document["instance"]) == ("/problems/not-found", 404, path)


def test_plain_request_is_told_of_the_socket(served):
    """GET of the path of a socket is a 426 that says what to upgrade to; of an unknown run it is a 404."""
    for run, expected in (("current", 426), ("r1", 426), ("r999", 404)):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", f"/runs/{run}/live")
            answer = connection.getresponse()
            document = json.loads(answer.read())
        assert answer.status == document["status"] == expected
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Upgrade"] == ("websocket" if expected == 426 else None)


def test_bytes_are_not_understood(served):
    """A binary message closes the socket with 1003, in words; other viewers see the next frame."""
    with watch(served) as other, watch(served) as socket:
        message(socket)
        socket.send(b"\x00")
        with pytest.raises(ConnectionClosed) as closed:
            until_closed(socket)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1003, "expected text")
        seq = message(other)["seq"]
        assert message(other)["seq"] == seq + 1
    assert "Traceback" not in served.log()


def test_text_is_taken_or_left(served):
    """Of what a viewer says, only the wish for the whole is heard; the rest is passed over."""
    with watch(served) as socket:
        message(socket)
        for text in ("", "{", "null", '{"resync":0}', "x" * 60_000):
            socket.send(text)
        assert all("snapshot" not in message(socket) for _ in range(5))
        socket.send(' { "resync" : 1 } ')
        until = time.monotonic() + 10
        while "snapshot" not in message(socket):
            assert time.monotonic() < until


def test_refusal_says_what_is_missing():
    """A socket without the key that it needs is refused with the headers of every such answer."""
    settings = Settings(data="x", host="0.0.0.0", names=("*",))
    shell = Shell(None, settings, Keyring(settings), Metrics(), Log())
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "path": "/runs/r1/live",
        "headers": [(b"host", b"store")],
        "client": ("127.0.0.1", 5000),
    }
    asyncio.run(shell(scope, receive, send))
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == json.loads(sent[1]["body"])["status"] == 401
    assert headers[b"www-authenticate"] == b'Bearer realm="meterhouse"'
    assert headers[b"content-type"] == b"application/problem+json"
    assert b"content-security-policy" in headers


def test_server_goes_within_seconds(tmp_path):
    """With sockets open the server ends within seconds, and tells its viewers."""
    with Served(tmp_path / "data", "tiny", "--speed", "60") as server:
        with ExitStack() as stack:
            sockets = [stack.enter_context(watch(server)) for _ in range(5)]
            for socket in sockets:
                message(socket)
            assert server.stop() < 5
            for socket in sockets:
                with pytest.raises(ConnectionClosed):
                    until_closed(socket)
        assert "Traceback" not in server.log()


def until_closed(socket):
    """Read until the other end closes."""
    while True:
        socket.recv(timeout=5)
