"""Start-up: a small run, what a run needs to import, and the help text, against the libraries alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.ratios import ratio as row
from sim import load, run

ROUNDS = 9
IMPORTS = "import numpy, simpy, pydantic, typer"
LIBRARIES = "import numpy, simpy; from pydantic import BaseModel, Field, BeforeValidator"
PRODUCT = "from sim import Simulation, load, run"
BARE_TYPER = (
    "import typer\napp = typer.Typer(rich_markup_mode=None)\n"
    "@app.command()\ndef a(): ...\n@app.command()\ndef b(): ...\napp()"
)


def cpu_s(*arguments: str) -> float:
    """CPU seconds of one fresh process: of a program, or of Python with these arguments."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = os.times()
    command = arguments if Path(arguments[0]).is_file() else (sys.executable, *arguments)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def ratio(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """Best CPU time of a over best CPU time of b, interleaved after one round that is not counted."""
    pairs = [(cpu_s(*a), cpu_s(*b)) for _ in range(ROUNDS + 1)][1:]
    return min(pair[0] for pair in pairs) / min(pair[1] for pair in pairs)


def test_run_against_libraries(benchmark: BenchmarkFixture) -> None:
    """`meterhouse run tiny --json` over importing numpy, simpy, pydantic and typer."""
    command = (str(Path(sys.executable).with_name("meterhouse")), "run", "tiny", "--json")
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    # What is timed has done its work: the same facts as those of a run by hand.
    assert told["digest"] == run(load("tiny")).digest
    found = ratio(command, ("-c", IMPORTS))
    row(benchmark, "a run of tiny, started by hand", found, at_most=2, against="importing four libraries")
    benchmark.pedantic(lambda: cpu_s(*command), rounds=3)


def test_import_against_libraries(benchmark: BenchmarkFixture) -> None:
    """Importing what a run needs, over importing numpy, simpy and pydantic."""
    found = ratio(("-c", PRODUCT), ("-c", LIBRARIES))
    benchmark.extra_info["ratio"] = round(found, 2)
    print(f"\nimport: {found:.2f} x the libraries")
    benchmark.pedantic(lambda: cpu_s("-c", PRODUCT), rounds=3)


def test_help_against_typer(benchmark: BenchmarkFixture) -> None:
    """`meterhouse --help` over the help of a typer program of two commands."""
    meterhouse = str(Path(sys.executable).with_name("meterhouse"))
    found = ratio((meterhouse, "--help"), ("-c", BARE_TYPER, "--help"))
    benchmark.extra_info["ratio"] = round(found, 2)
    print(f"\n--help: {found:.2f} x bare typer")
    benchmark.pedantic(lambda: cpu_s(meterhouse, "--help"), rounds=3)
