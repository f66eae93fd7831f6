"""The board shows one consistent instant, however the worker and the server run into each other."""

import multiprocessing
import time

import numpy as np
import pytest

from api.board import HEAD, ROBOT_COLUMNS, SLOT_COLUMNS, Board, BoardError

SLOTS, ROBOTS = 258, 3


def board_of(slots=SLOTS, robots=ROBOTS):
    memory = multiprocessing.get_context("forkserver").RawArray("b", Board.size(slots, robots))
    return Board(memory, slots, robots)


def head(facts, **more):
    return {**dict.fromkeys(HEAD, 0), "facts": facts, **more}


def test_written_is_read():
    """What was written last of each slot and robot is what is read."""
    board = board_of(4, 1)
    board.write(head(5, t_ms=70), {0: (1, 2, 3, 0, 5, 9), 3: (4, 0, 60, 1, 5, 1)}, [tuple(range(11))])
    board.write(head(6, t_ms=80), {3: (5, 1, 75, 0, 6, 3)}, [tuple(range(1, 12))])
    shown = board.read()
    assert shown.head == head(6, t_ms=80)
    assert {name: shown.slots[name].tolist() for name in SLOT_COLUMNS} == {
        "boxes": [1, 0, 0, 5], "reserved": [2, 0, 0, 1], "meters": [3, 0, 0, 75], "flags": [0, 0, 0, 0],
        "changed": [5, 0, 0, 6],
    }  # fmt: skip
    assert shown.skus.tolist() == [9, 0, 0, 3]
    assert shown.robots.tolist() == [list(range(1, 12))]
    assert len(ROBOT_COLUMNS) == 11


def test_copy_stays():
    """A copy does not change when the board does, and the counter says that it has."""
    board = board_of(2, 0)
    board.write(head(1), {0: (1, 0, 0, 0, 1, 0)}, [])
    before = board.read()
    board.write(head(2), {0: (2, 0, 0, 0, 2, 0)}, [])
    assert before.slots["boxes"].tolist() == [1, 0]
    assert board.sequence != before.sequence
    board.write_head(state=2)
    assert (board.read().head["state"], board.read().head["facts"]) == (2, 2)


def test_dead_writer_is_told():
    """A board whose worker died in the middle of writing is not read for ever, but refused."""
    board = board_of(2, 0)
    board.write(head(1), {}, [])
    np.frombuffer(board.memory, np.int64)[0] += 1
    with pytest.raises(BoardError, match="stands still, or died, while it wrote"):
        board.read()


def test_altered_board_is_told():
    """The checksum tells what the counter does not."""
    board = board_of(2, 0)
    board.write(head(1), {0: (1, 0, 0, 0, 1, 0)}, [])
    np.frombuffer(board.memory, np.int64)[-1] += 1
    with pytest.raises(BoardError):
        board.read()


def _write_without_pause(memory, stop):
    board = Board(memory, SLOTS, ROBOTS)
    n = 0
    while not stop.value:
        n += 1
        board.write(head(n), dict.fromkeys(range(0, SLOTS, 16), (n, n, n, n, n, n)), [(n,) * 11] * ROBOTS)


def test_no_torn_reads():
    """Beside a worker that writes without pause no read is torn; without the counter many would be."""
    board = board_of()
    stop = multiprocessing.get_context("fork").RawValue("b", 0)
    process = multiprocessing.get_context("fork").Process(
        target=_write_without_pause, args=(board.memory, stop)
    )
    process.start()
    torn = naked = reads = 0
    try:
        until = time.monotonic() + 1.5
        raw = np.frombuffer(board.memory, np.int64)
        while time.monotonic() < until or reads < 200:
            shown = board.read()
            reads += 1
            values = {
                shown.head["facts"],
                *shown.slots["boxes"][::16].tolist(),
                *shown.robots.ravel().tolist(),
            }
            torn += len(values) > 1
            copy = Board(raw.copy(), SLOTS, ROBOTS)
            values = {int(copy._head[0]), *copy._slots[0, ::16].tolist(), *copy._robots.ravel().tolist()}
            naked += len(values) > 1
    finally:
        stop.value = 1
        process.join(10)
    assert torn == 0
    assert naked > 0
    assert reads >= 200
