"""Messages between the server and its processes, over a pair of sockets: a JSON head and a body of bytes.

The side of the server is asynchronous, that of a process is not. A message is 8 bytes of lengths, a JSON
object and, for answers that go on to a client as they are, bytes. Who finds the other end closed ends.
"""

import json
import select
import socket
import struct
from asyncio import IncompleteReadError, StreamReader, StreamWriter, open_connection
from typing import Any, Final, NamedTuple

_LENGTHS: Final = struct.Struct("<II")


class Message(NamedTuple):
    """What one side tells the other: an object, and bytes that belong to it."""

    head: dict[str, Any]
    body: bytes = b""


def _packed(head: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(head, ensure_ascii=False, allow_nan=False).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


class Channel:
    """The end of a process: it may wait for a message, or look whether one is there."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(True)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a message; raises EOFError when nobody is there any more."""
        try:
            self._end.sendall(_packed(head, body))
        except OSError as error:
            raise EOFError("the server has gone") from error

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None when none came in time (0: only what is here; None: wait).

        Raises EOFError when the other end is closed.
        """
        if timeout_s is not None and not select.select([self._end], [], [], timeout_s)[0]:
            return None
        head_size, body_size = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        head = json.loads(self._exactly(head_size))
        return Message(head, self._exactly(body_size))

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self._end.recv(min(size - len(parts), 1 << 20))
            except OSError as error:
                raise EOFError("the server has gone") from error
            if not part:
                raise EOFError("the server has gone")
            parts += part
        return bytes(parts)


class Line:
    """The end of the server."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def on(cls, end: socket.socket) -> "Line":
        """The server's end of a pair of sockets."""
        end.setblocking(False)
        return cls(*await open_connection(sock=end, limit=1 << 20))

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a message, or nothing when the process has gone: `receive` then says so."""
        if not self._writer.is_closing():
            self._writer.write(_packed(head, body))

    async def receive(self) -> Message | None:
        """The next message; None when the process has gone."""
        try:
            head_size, body_size = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            head = json.loads(await self._reader.readexactly(head_size))
            return Message(head, await self._reader.readexactly(body_size))
        except (IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Let go of the socket."""
        self._writer.close()
