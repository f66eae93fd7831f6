"""A load of requests over plain sockets, and what it costs a server: no client library stands between.

Each connection sends its next request when it has the answer to the last. Latencies are in seconds. What a
server needs is read from the operating system, for the server and the processes that belong to it.
"""

import os
import re
import select
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """What came of a load: answers by status, seconds, latencies (sorted), CPU seconds of the server."""

    statuses: dict[int, int]
    seconds: float
    latencies: list[float]
    cpu_s: float

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return sum(self.statuses.values())

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of the server an answer, in microseconds."""
        return 1e6 * self.cpu_s / max(1, self.answers)

    def at(self, q: float) -> float:
        """A quantile of the latencies in milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(q * len(self.latencies)))]


def request(method: str, target: str, port: int, body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Wire:
    """One connection and what has come on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen = bytearray()
        self.sent_at = 0.0

    def send(self, text: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(text)

    def answer(self) -> int:
        """The status when a whole answer is here, else 0."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server has closed a connection")
        self.seen += part
        end = self.seen.find(b"\r\n\r\n")
        if end < 0:
            return 0
        status = int(self.seen[9:12])
        length = _LENGTH.search(self.seen, 0, end + 2)
        size = end + 4 + (int(length[1]) if length and status != 304 else 0)
        if len(self.seen) < size:
            return 0
        del self.seen[:size]
        return status


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def drive(
    port: int, texts: Sequence[bytes], seconds: float, *, connections: int = 16, pid: int = 0,
    pause_s: float = 0.0,
) -> Load:  # fmt: skip
    """Send requests, text after text, for so long; `pause_s`: on one connection, with a pause after each."""
    wires = [_Wire(port) for _ in range(connections if not pause_s else 1)]
    by_handle = {wire.socket.fileno(): wire for wire in wires}
    poll = select.epoll()
    for handle in by_handle:
        poll.register(handle, select.EPOLLIN)
    statuses: dict[int, int] = {}
    latencies: list[float] = []
    turn = 0
    cpu = cpu_s(pid) if pid else 0.0
    begin = time.perf_counter()
    for wire in wires:
        wire.send(texts[turn % len(texts)])
        turn += 1
    until = begin + seconds
    open_ = len(wires)
    while open_:
        for handle, _ in poll.poll(5.0):
            wire = by_handle[handle]
            status = wire.answer()
            if not status:
                continue
            now = time.perf_counter()
            latencies.append(now - wire.sent_at)
            statuses[status] = statuses.get(status, 0) + 1
            if now >= until:
                poll.unregister(handle)
                open_ -= 1
                continue
            if pause_s:
                time.sleep(max(0.0, pause_s - (now - wire.sent_at)))
            wire.send(texts[turn % len(texts)])
            turn += 1
    took = time.perf_counter() - begin
    used = cpu_s(pid) - cpu if pid else 0.0
    for wire in wires:
        wire.socket.close()
    return Load(statuses, took, sorted(latencies), used)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_mb(pid: int) -> float:
    """Memory that a process takes, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def children(pid: int) -> list[int]:
    """The processes of a server: those below a process, however deep."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *children(child)]
    return found


class Viewers:
    """Open WebSockets that take what comes, and count it."""

    def __init__(self, port: int, target: str, count: int, **headers: str) -> None:
        self._poll = select.epoll()
        self._wires: dict[int, tuple[socket.socket, bytearray]] = {}
        self.messages: dict[int, int] = {}
        more = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13", **headers}
        for _ in range(count):
            wire = socket.create_connection(("127.0.0.1", port))
            wire.sendall(request("GET", target, port, Upgrade="websocket", Connection="Upgrade", **more))
            seen = bytearray()
            while (end := seen.find(b"\r\n\r\n")) < 0:
                seen += wire.recv(1 << 16)
            if b" 101 " not in seen[:20]:
                raise ConnectionError(f"expected 101, found {bytes(seen[:60])!r}")
            del seen[: end + 4]
            self._wires[wire.fileno()] = wire, seen
            self.messages[wire.fileno()] = 0
            self._poll.register(wire.fileno(), select.EPOLLIN)

    def look(self, seconds: float) -> None:
        """Take what comes for so long."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            for handle, _ in self._poll.poll(left):
                wire, seen = self._wires[handle]
                part = wire.recv(1 << 18)
                if not part:
                    raise ConnectionError("the server has closed a WebSocket")
                seen += part
                while (size := _frame_size(seen)) and len(seen) >= size:
                    self.messages[handle] += seen[0] & 15 == 1
                    del seen[:size]

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for wire, _ in self._wires.values():
            wire.close()


def _frame_size(seen: bytearray) -> int:
    """Bytes of the first WebSocket frame, which is not masked; 0 when that is not known yet."""
    if len(seen) < 2:
        return 0
    short = seen[1] & 127
    head = {126: 4, 127: 10}.get(short, 2)
    if len(seen) < head:
        return 0
    return head + (short if head == 2 else int.from_bytes(seen[2:head]))
