"""The log of facts gives back what was written, up to the last whole frame."""

import errno
import os

import pytest

from api.factslog import FactsLog, read_frames
from sim.following import Followed
from sim.scenario import load
from sim.simulation import Simulation
from sim.trace import Trace


def followed(path, start=0, end=None):
    trace = Followed(Trace(15))
    for frame in read_frames(path, start, end):
        trace.extend(frame.kinds, frame.data)
    return trace


def test_log_is_the_trace(tmp_path):
    """Facts written in pieces while a run goes on are its facts, and each piece ends at an instant of the run."""
    simulation = Simulation(load("tiny"))
    log = FactsLog(tmp_path / "log")
    borders = []
    for hour in range(1, 49):
        simulation.advance(hour * 3_600_000)
        before = log.size
        log.write(simulation.trace, simulation.now_ms)
        if log.size > before:
            borders.append((simulation.now_ms, log.size))
    assert [(frame.t_ms, frame.end) for frame in read_frames(tmp_path / "log")] == borders
    assert followed(tmp_path / "log").digest() == simulation.trace.digest()
    middle = borders[len(borders) // 2][1]
    part, rest = followed(tmp_path / "log", 0, middle), followed(tmp_path / "log", middle)
    assert len(part) + len(rest) == len(simulation.trace)


@pytest.mark.parametrize("cut", [1, 9, 24, 40])
def test_torn_end_is_left_out(tmp_path, cut):
    """Of a log that was cut off, or altered in its last frame, the whole frames are read."""
    simulation = Simulation(load("tiny"))
    path = tmp_path / "log"
    log = FactsLog(path)
    simulation.advance(10 * 3_600_000)
    log.write(simulation.trace, simulation.now_ms)
    whole, facts = log.size, len(simulation.trace)
    simulation.advance(20 * 3_600_000)
    log.write(simulation.trace, simulation.now_ms)
    text = path.read_bytes()
    path.write_bytes(text[: whole + cut])
    assert len(followed(path)) == facts
    path.write_bytes(text[:whole] + bytes(b ^ 0xFF for b in text[whole : whole + cut]) + text[whole + cut :])
    assert len(followed(path)) == facts


def test_full_disk_loses_nothing(tmp_path, monkeypatch):
    """A frame that found no room is taken back whole, and written again when there is room."""
    simulation = Simulation(load("tiny"))
    path = tmp_path / "log"
    log = FactsLog(path)
    simulation.advance(10 * 3_600_000)
    log.write(simulation.trace, simulation.now_ms)
    size = log.size
    simulation.advance(20 * 3_600_000)
    real, calls = os.write, []

    def write(handle, data):
        calls.append(len(data))
        if len(calls) == 1:
            return real(handle, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        log.write(simulation.trace, simulation.now_ms)
    monkeypatch.undo()
    assert path.stat().st_size == size == log.size
    log.write(simulation.trace, simulation.now_ms)
    assert followed(path).digest() == simulation.trace.digest()
