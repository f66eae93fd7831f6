"""A run that is killed while it writes its results: what it leaves is whole or not there, and says what it is."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.results import ResultError, read_result
from sim.trace import FactsError, read_facts, read_parts

# The reference store, its facts in parts of 3,000 rows instead of 500,000, for longer than it lives.
RUN = """
import sys
from pathlib import Path
from sim import trace
trace.PART_ROWS = 3000
from sim.cli import main
main(["run", "luoyang", "--set", "time.days=1000", "--out", sys.argv[1]])
"""


def finished(left: Path) -> int:
    """How many parts the folder of a run under way names (-1: not even the folder is there)."""
    path = left / "facts" / "so-far.json"
    return len(json.loads(path.read_text())["parts"]) if path.exists() else (left / "facts").is_dir() - 1


def killed(folder: Path, parts: int) -> Path:
    """Run into `folder`, kill -9 once so many parts are finished, and give the folder that is left."""
    left = folder.with_name(f".{folder.name}.unfinished")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while finished(left) < parts:
            assert process.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline, "the run wrote no parts"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    return left


@pytest.mark.parametrize("parts", [1, 4])
def test_killed_run_leaves_whole_parts(tmp_path, parts):
    """What a killed run leaves can be read, is the beginning of the facts, and says that it is not all."""
    folder = tmp_path / "run"
    left = killed(folder, parts)
    assert not folder.exists()
    with pytest.raises(FactsError, match="the run was interrupted"):
        read_facts(left / "facts")
    trace, is_whole = read_parts(left / "facts")
    assert not is_whole
    assert len(trace) % 3000 == 0
    assert len(trace) >= 3000 * parts
    from sim.scenario import load
    from sim.simulation import Simulation

    simulation = Simulation(load("luoyang", ["time.days=1000"]))
    simulation.advance(trace.last_ms + 1)
    whole = simulation.trace.rows()
    assert all(row == next(whole) for row in trace.rows())


def test_killed_run_is_no_result(tmp_path):
    """A killed run is refused in words that name what it has left; the next run of the name replaces it."""
    folder = tmp_path / "run"
    left = killed(folder, 2)
    with pytest.raises(
        ResultError, match=r"an interrupted run has left [\d,]+ facts up to [\d,]+ s in \.run\.un"
    ):
        read_result(folder)
    with pytest.raises(ResultError, match=r"found no result\.json in it; an interrupted run has left"):
        read_result(left)
    from sim.cli import main

    assert main(["run", "tiny", "--out", str(folder)]) == 0
    assert not left.exists()
    assert read_result(folder).scenario.name == "tiny"


def test_killed_before_the_first_part(tmp_path):
    """A run that was killed before a part was finished has nothing to read, and that is said."""
    folder = tmp_path / "run"
    left = killed(folder, 0)
    with pytest.raises(FactsError, match=r"expected so-far.json or manifest.json, found neither"):
        read_parts(left / "facts")


def test_torn_part_is_noticed(tmp_path):
    """A part that was cut short after it was finished is not taken for a whole one."""
    left = killed(tmp_path / "run", 2)
    part = left / "facts" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(FactsError, match="found a torn or altered file"):
        read_parts(left / "facts")


def test_whole_folder_is_whole(tmp_path):
    """Of a finished folder `read_parts` gives all facts, and says so."""
    from sim.cli import main

    assert main(["run", "tiny", "--out", str(tmp_path / "run")]) == 0
    trace, is_whole = read_parts(tmp_path / "run" / "facts")
    assert is_whole
    assert trace.digest() == read_facts(tmp_path / "run" / "facts").digest()
    assert not (tmp_path / "run" / "facts" / "so-far.json").exists()
