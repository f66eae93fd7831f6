"""The HTTP API against a bare ASGI "hello" on the same uvicorn, beside a run, under load, and over time.

Both servers get the same requests in turn, round by round; keys, limits, security headers, figures and ETags
are on. Ratios of answers a second and of CPU time an answer are those of the best rounds: client and servers
share the machine. Without `--benchmark-enable` every case runs once, briefly, as a plain test.
"""

import gzip
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from api.board import HEAD, ROBOT_COLUMNS, Board, BoardError
from benchmarks.load import Load, Viewers, children, cpu_s, drive, request, resident_mb
from benchmarks.ratios import ratio
from sim.proposal import Asked, propose
from sim.scenario import load
from sim.simulation import Simulation
from tests.servers import ROOT, Served, free_port

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE_BYTES = 150_000
"""What all files of all pages may weigh together, packed."""

NOON_S = 10 * 86_400 + 12 * 3600
"""The store stands here: the twelfth day, with boxes in and out since."""

SLOT = "/slots/2-07-3"


class Bench:
    """A server with keys, the key, and how long each measurement takes."""

    def __init__(self, server: Served, key: str, *, is_enabled: bool) -> None:
        self.server = server
        self.key = {"X-API-Key": key}
        self.pid = server.process.pid
        self.port = server.port
        self.rounds = 7 if is_enabled else 1
        self.seconds = 1.0 if is_enabled else 0.05
        self.is_enabled = is_enabled

    def get(self, target: str, **headers: str) -> bytes:
        """GET with the key."""
        return request("GET", target, self.port, **self.key, **headers)


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server with the reference store, standing in the middle of a day."""
    config = request.config
    enabled = config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")
    folder = tmp_path_factory.mktemp("bench") / "data"
    make = ["key", "create", "bench", "--scope", "admin", "--data", str(folder), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "sim.cli", *make], cwd=ROOT, check=True, capture_output=True, text=True
    )
    key = json.loads(done.stdout)["key"]
    options = ["--set", "time.days=20000", "--require-key", "--rate", "1000000", "--time-limit", "0"]
    options += ["--memory-limit", "0"]
    with Served(folder, "luoyang", *options, "--speed", "1", key=key) as server:
        with server.client() as client:
            client.steer(state="paused")
            client.steer(step_s=NOON_S)
            while client.get("/runs/current")["t_s"] < NOON_S:
                time.sleep(0.05)
        yield Bench(server, key, is_enabled=enabled)


@pytest.fixture(scope="module")
def hello() -> Iterator[tuple[int, int]]:
    """Port and process of the bare server, as `meterhouse serve` starts its own."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.hello:app", "--port", str(port)]
    command += ["--http", "httptools", "--loop", "asyncio", "--no-access-log", "--no-server-header"]
    with subprocess.Popen([*command, "--log-level", "error"], cwd=ROOT) as process:
        until = time.monotonic() + 20
        while True:
            try:
                drive(port, [request("GET", "/", port)], 0.01, connections=1)
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                break
        yield port, process.pid
        process.terminate()


def best(loads: list[Load]) -> tuple[float, float]:
    """Answers a second and CPU microseconds an answer of the best rounds."""
    return max(load.per_s for load in loads), min(load.cpu_us for load in loads)


CASES = {
    "slots": ("/slots", {}, 200),
    "slots-gzip": ("/slots", {"Accept-Encoding": "gzip"}, 200),
    "slots-known": ("/slots", {"If-None-Match": "ETAG"}, 304),
    "slot": (SLOT, {}, 200),
    "slot-known": (SLOT, {"If-None-Match": "ETAG"}, 304),
    "slots-by-route": ("/slots?view=records", {}, 200),
    "slot-by-route": (f"{SLOT}?view=records", {}, 200),
}

GOALS = {"slots": ("in front of the framework", 0.8), "slots-by-route": ("by the framework", 0.3)}
"""What part of the bare server's answers is wanted, by case."""


@pytest.mark.parametrize("case", CASES)
def test_against_hello(benchmark: BenchmarkFixture, bench: Bench, hello: tuple[int, int], case: str) -> None:
    """Slots over the bare server, by rate and by CPU time."""
    target, headers, status = CASES[case]
    port, pid = hello
    with bench.server.client() as client:
        answer = client.request("GET", target)
    known = {name: answer[1]["etag"] if value == "ETAG" else value for name, value in headers.items()}
    ours, theirs = [bench.get(target, **known)], [request("GET", target, port, **bench.key, **known)]
    loads: list[Load] = []
    bare: list[Load] = []

    def one_round() -> None:
        bare.append(drive(port, theirs, bench.seconds, pid=pid))
        loads.append(drive(bench.port, ours, bench.seconds, pid=bench.pid))

    benchmark.pedantic(one_round, rounds=bench.rounds)
    assert {code for load_ in loads for code in load_.statuses} == {status}
    assert {code for load_ in bare for code in load_.statuses} == {200}
    (rate, cost), (bare_rate, bare_cost) = best(loads), best(bare)
    benchmark.extra_info.update(
        answers_per_s=round(rate), hello_per_s=round(bare_rate), of_hello=round(rate / bare_rate, 3),
        of_hello_cpu=round(bare_cost / cost, 3) if cost else None, cpu_us=round(cost, 1),
        p50_ms=round(min(load_.at(0.5) for load_ in loads), 2),
        p99_ms=round(min(load_.at(0.99) for load_ in loads), 2),
    )  # fmt: skip
    if case in GOALS and cost:
        ratio(
            benchmark, f"GET /slots {GOALS[case][0]}, same CPU time", bare_cost / cost,
            at_least=GOALS[case][1], against="a bare ASGI hello",
        )  # fmt: skip


def test_pages_weigh_little(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """All files of all pages together, packed as they are sent."""

    def weight() -> int:
        sizes = []
        for path in sorted((ROOT / "api" / "web").iterdir()):
            if path.suffix != ".html":
                url, headers = f"{bench.server.url}/static/{path.name}", {"Accept-Encoding": "gzip"}
                asked = urllib.request.Request(url, headers={**bench.key, **headers})
                with urllib.request.urlopen(asked, timeout=10) as answer:
                    sent, is_packed = answer.read(), answer.headers["content-encoding"] == "gzip"
                assert (gzip.decompress(sent) if is_packed else sent) == path.read_bytes()
                sizes.append(len(sent))
        return sum(sizes)

    found = benchmark.pedantic(weight, rounds=1)
    ratio(benchmark, "all pages, bytes sent", found, at_most=PAGE_BYTES, against="nothing: they are packed")


def test_torn_reads(benchmark: BenchmarkFixture) -> None:
    """Reads of the live state beside a worker that writes without pause, with and without its counter."""
    board, fork = board_of(), multiprocessing.get_context("fork")
    stop = fork.RawValue("b", 0)
    writer = fork.Process(target=write_without_pause, args=(board.memory, stop))
    raw = np.frombuffer(board.memory, np.int64)
    reads = torn = torn_without = refused = 0

    def stress() -> None:
        nonlocal reads, torn, torn_without, refused
        until = time.monotonic() + (10.0 if benchmark.enabled else 1.0)
        while time.monotonic() < until or reads < 200:
            try:
                shown = board.read()
            except BoardError:  # a writer that is kept from its processor in the middle of writing
                refused += 1
                continue
            reads += 1
            torn += len(instants(shown.head["facts"], shown.slots["boxes"], shown.robots)) > 1
            copy = Board(raw.copy(), SLOTS, ROBOTS)
            torn_without += len(instants(copy._head[0], copy._slots[0], copy._robots)) > 1

    writer.start()
    try:
        benchmark.pedantic(stress, rounds=1)
    finally:
        stop.value = 1
        writer.join(10)
    assert torn_without > 0, "the stress shows nothing"
    assert torn == 0
    benchmark.extra_info.update(reads=reads, refused=refused, torn_without_the_counter=torn_without)
    ratio(
        benchmark, "torn reads of the live state", torn, at_most=0,
        against=f"{torn_without:,} of {reads:,} without the counter",
    )  # fmt: skip


SLOTS, ROBOTS = 258, 3


def board_of() -> Board:
    """The board of a store of 258 slots."""
    memory = multiprocessing.get_context("forkserver").RawArray("b", Board.size(SLOTS, ROBOTS))
    return Board(memory, SLOTS, ROBOTS)


def write_without_pause(memory: Any, stop: Any) -> None:
    """Write the number of the instant everywhere, instant after instant."""
    board, slots = Board(memory, SLOTS, ROBOTS), range(0, SLOTS, 16)
    n = 0
    while not stop.value:
        n += 1
        head = {**dict.fromkeys(HEAD, 0), "facts": n}
        board.write(head, dict.fromkeys(slots, (n,) * 6), [(n,) * len(ROBOT_COLUMNS)] * ROBOTS)


def instants(facts: int, boxes: "NDArray[np.int64]", robots: "NDArray[np.int64]") -> set[int]:
    """The instants that a copy of the board shows: one when it is whole."""
    return {int(facts), *boxes[::16].tolist(), *robots.ravel().tolist()}


@pytest.mark.parametrize("boxes", [1, 100])
def test_allocate(benchmark: BenchmarkFixture, bench: Bench, boxes: int) -> None:
    """POST /allocate over the same call in the process of a run."""
    simulation = Simulation(load("luoyang"))
    simulation.advance(NOON_S * 1000)
    asked = [Asked(0) for _ in range(boxes)]
    body = json.dumps({"boxes": [{"sku": simulation.sku_names[0]}] * boxes}).encode()
    text = request("POST", "/allocate", bench.port, body, **bench.key)
    inside: list[float] = []
    outside: list[Load] = []

    def one_round() -> None:
        calls = 200 if bench.is_enabled else 2
        begin = time.perf_counter()
        for _ in range(calls):
            propose(simulation, asked)
        inside.append((time.perf_counter() - begin) / calls)
        outside.append(drive(bench.port, [text], bench.seconds, connections=1, pid=bench.pid))

    benchmark.pedantic(one_round, rounds=bench.rounds)
    assert {code for load_ in outside for code in load_.statuses} == {200}
    with bench.server.client() as client:
        told = client.allocate([{"sku": simulation.sku_names[0]}] * boxes)
    assert [slot["slot"] for slot in told["slots"]] == [
        simulation.layout.names[each.slot] for each in propose(simulation, asked)
    ]
    call_s, answer_s = min(inside), min(load_.at(0.5) for load_ in outside) / 1000
    benchmark.extra_info.update(
        call_us=round(1e6 * call_s, 1), answer_us=round(1e6 * answer_s), ratio=round(answer_s / call_s, 2),
        us_per_box=round(1e6 * answer_s / boxes, 1),
    )  # fmt: skip


def test_beside_a_run(benchmark: BenchmarkFixture, bench: Bench, tmp_path: Path) -> None:
    """Latencies at 100 requests a second beside a run at full speed, over those while it stands."""
    seconds = 8.0 if bench.is_enabled else 0.3
    with (
        Served(tmp_path / "data", "luoyang", "--set", "time.days=20000", "--speed", "1", "--time-limit", "0",
               "--memory-limit", "0") as server,
        server.client() as client,
    ):  # fmt: skip
        port = server.port
        texts = [request("GET", "/slots", port)]
        client.steer(state="paused")

        def pace(with_load: bool) -> tuple[float, Load]:
            before, begin = client.get("/runs/current")["t_s"], time.monotonic()
            if with_load:
                found = drive(port, texts, seconds, pause_s=0.01)
            else:
                time.sleep(seconds)
                found = Load({}, seconds, [0.0], 0.0)
            return (client.get("/runs/current")["t_s"] - before) / (time.monotonic() - begin), found

        idle, busy, alone, loaded = [], [], [], []

        def one_round() -> None:
            idle.append(drive(port, texts, seconds, pause_s=0.01))
            client.steer(state="running", speed="max")
            alone.append(pace(with_load=False)[0])
            reached, found = pace(with_load=True)
            loaded.append(reached)
            busy.append(found)
            client.steer(state="paused")

        benchmark.pedantic(one_round, rounds=3 if bench.is_enabled else 1)
    assert {code for load_ in (*idle, *busy) for code in load_.statuses} == {200}
    benchmark.extra_info.update({
        f"p{q}_{word}_ms": round(min(load_.at(q / 100) for load_ in loads), 2)
        for q in (50, 99) for word, loads in (("idle", idle), ("busy", busy))
    })  # fmt: skip
    info = benchmark.extra_info
    info["p50_ratio"] = round(info["p50_busy_ms"] / info["p50_idle_ms"], 2)
    info["p99_ratio"] = round(info["p99_busy_ms"] / info["p99_idle_ms"], 2)
    info["pace_ratio"] = round(statistics.median(loaded) / statistics.median(alone), 3)
    ratio(
        benchmark, "GET /slots, latency beside a run at full speed", info["p50_ratio"], at_most=1.3,
        against="the same while the run stands",
    )  # fmt: skip
    ratio(
        benchmark, "speed of a run beside 100 requests a second", info["pace_ratio"], at_least=0.9,
        against="its speed alone",
    )  # fmt: skip


def test_many_clients(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """64 clients for 30 s, everything that a screen asks for: no error."""
    with bench.server.client() as client:
        box = client.get(SLOT)["boxes"][0]["box"]
    targets = ("/slots", SLOT, "/slots?status=full&limit=20", "/stock", f"/boxes/{box}")
    targets += tuple(
        f"/runs/current{rest}" for rest in ("", "/robots", "/orders?limit=20", "/kpis", "/search?q=2-07")
    )
    found: list[Load] = []
    seconds = 30.0 if bench.is_enabled else 0.5
    texts = [bench.get(target) for target in targets]
    benchmark.pedantic(
        lambda: found.append(drive(bench.port, texts, seconds, connections=64, pid=bench.pid)), rounds=1
    )
    assert set(found[0].statuses) == {200}
    benchmark.extra_info.update(
        answers=found[0].answers, answers_per_s=round(found[0].per_s), p50_ms=round(found[0].at(0.5), 1),
        p99_ms=round(found[0].at(0.99), 1),
    )  # fmt: skip


def test_viewers(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """50 viewers of a run at ten frames a second: what that costs the server."""
    count = 50 if bench.is_enabled else 3
    seconds = 10.0 if bench.is_enabled else 0.5
    used: list[float] = []
    rates: list[float] = []
    with bench.server.client() as client:
        client.steer(state="running", speed=3600)
        viewers = Viewers(bench.port, "/runs/current/live", count, **bench.key)

        def look() -> None:
            before, cpu = dict(viewers.messages), cpu_s(bench.pid)
            viewers.look(seconds)
            used.append((cpu_s(bench.pid) - cpu) / seconds)
            rates.append(min(viewers.messages[one] - before[one] for one in before) / seconds)

        viewers.look(0.5)
        benchmark.pedantic(look, rounds=3 if bench.is_enabled else 1)
        viewers.close()
        client.steer(state="paused")
    assert min(rates) > 5.0
    benchmark.extra_info.update(
        viewers=count, least_frames_per_s=round(min(rates), 1), server_cpu_share=round(min(used), 3)
    )


def test_memory_over_runs(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Memory and open files of the server and what belongs to it, before and after 100 runs."""

    def now() -> tuple[float, float, int]:
        pids = [server.process.pid, *children(server.process.pid)]
        files = len(list(Path(f"/proc/{pids[0]}/fd").iterdir()))
        return resident_mb(pids[0]), sum(resident_mb(pid) for pid in pids[1:]), files

    def runs(count: int) -> None:
        for _ in range(count):
            name = client.start("tiny", mode="batch")["id"]
            assert client.wait(name)["state"] == "finished"
            assert client.get(f"/runs/{name}/slots")["slots"]

    count = 100 if benchmark.enabled else 3
    with Served(tmp_path / "data") as server, server.client() as client:
        runs(10 if benchmark.enabled else 1)
        own, others, files = now()
        benchmark.pedantic(lambda: runs(count), rounds=1)
        own_after, others_after, files_after = now()
    benchmark.extra_info.update(
        runs=count, server_mb=round(own, 1), server_grew_mb=round(own_after - own, 1),
        others_mb=round(others, 1), others_grew_mb=round(others_after - others, 1),
        files_grew=files_after - files,
    )  # fmt: skip
    assert files_after <= files + 8
