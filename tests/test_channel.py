"""Messages between the server and its processes come whole, in order, and an end that closes is noticed."""

import asyncio
import socket
import threading

import pytest

from api.channel import Channel, Line


def test_messages_come_whole():
    """Heads and bodies of any size come as they were sent, both ways."""
    ours, theirs = socket.socketpair()
    bodies = [b"", b"x", bytes(range(256)) * 9000]

    def process():
        channel = Channel(theirs)
        for _ in bodies:
            message = channel.receive()
            channel.send({"back": message.head["n"], "text": "Zähler 表"}, message.body)
        theirs.close()

    async def server():
        line = await Line.on(ours)
        for n, body in enumerate(bodies):
            line.send({"n": n}, body)
        found = [await line.receive() for _ in bodies]
        assert await line.receive() is None
        line.close()
        return found

    thread = threading.Thread(target=process)
    thread.start()
    found = asyncio.run(server())
    thread.join()
    assert [(m.head, m.body) for m in found] == [
        ({"back": n, "text": "Zähler 表"}, body) for n, body in enumerate(bodies)
    ]


def test_closed_end_is_noticed():
    """A process whose server has gone gets EOFError, whether it reads or writes."""
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    assert channel.receive(0.0) is None
    ours.close()
    with pytest.raises(EOFError):
        channel.receive(1.0)
    with pytest.raises(EOFError):
        channel.send({"text": "x" * 10_000_000})
    theirs.close()
