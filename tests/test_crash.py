"""Nothing that was acknowledged is lost: kill -9 of everything, a full disk, a database that goes away."""

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from api.client import Refused, Unreachable
from sim.commands import Entry, replay
from sim.scenario import load
from sim.simulation import Simulation, run
from tests import databases
from tests.processes import kill_readers
from tests.servers import Served

database_url = databases.database_url
durable_postgres = databases.durable_postgres

ORDER = {"lines": [{"sku": "A", "meters": 20}]}


class Sender(threading.Thread):
    """Somebody who starts runs and sends commands, and notes what was acknowledged, until the server is gone."""

    def __init__(self, server, number, live):
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.live = live
        self.runs = {}
        self.commands = []
        self.trouble = []
        self.halt = False

    def run(self):
        """Start runs and send commands, one after the other."""
        rng = random.Random(self.number)
        with self.server.client(patience_s=0.0, timeout_s=20.0) as client:
            k = 0
            while not self.halt:
                k += 1
                mark = f"{self.number}-{k}"
                with contextlib.suppress(Unreachable, OSError):
                    try:
                        if rng.random() < 0.5:
                            told = client.start(
                                "tiny", seed=k, name=mark, set={"time.days": rng.choice([2, 10, 40])}
                            )
                            self.runs[told["id"]] = mark
                        else:
                            at = {"apply_at": rng.choice([0, 100_000, 170_000])} if rng.random() < 0.5 else {}
                            told = client.command("order", ORDER, run=self.live, external_id=mark, **at)
                            self.commands.append((told["id"], mark))
                    except Refused as refused:
                        if refused.status not in (409, 429, 503):
                            self.trouble.append(refused)


def checked(server, live, runs, commands):
    """Every acknowledged run and command is there, once."""
    with server.client() as client:
        told = list(client.pages("/runs", "runs", limit=200))
        names = [each["name"] for each in told]
        assert len({each["id"] for each in told}) == len(told)
        for number, mark in runs.items():
            assert names.count(mark) == 1
            assert next(each for each in told if each["id"] == number)["name"] == mark
        log = list(client.pages(f"/runs/{live}/commands", "commands", limit=200))
        assert [entry["sequence"] for entry in log] == list(range(1, len(log) + 1))
        marks = [entry["external_id"] for entry in log]
        assert len(set(marks)) == len(marks)
        for number, mark in commands:
            assert next(entry for entry in log if entry["id"] == number)["external_id"] == mark
        return told, log


def crash_rounds(server, rounds, seed):
    """Kill everything at random moments while runs are started and commands sent; then all is as undisturbed."""
    rng = random.Random(seed)
    runs, commands = {}, []
    reached_s = 0.0
    with server.client() as client:
        live = client.start("tiny", name="live", mode="live", speed=900)["id"]
    for number in range(rounds):
        senders = [Sender(server, 10 * number + k, live) for k in range(2)]
        for sender in senders:
            sender.start()
        time.sleep(rng.uniform(0.05, 1.2))
        with contextlib.suppress(Unreachable, Refused), server.client(patience_s=0.0) as client:
            told = client.get(f"/runs/{live}")
            reached_s = max(reached_s, told["t_s"] - 2.0 * 900) if told["ready"] else reached_s
        server.kill()
        for sender in senders:
            sender.halt = True
            sender.join(30)
            runs |= sender.runs
            commands += sender.commands
            assert sender.trouble == []
        server.start(wait=number % 3 != 0)  # now and then it is killed while it comes back
        if number % 3 == 0:
            time.sleep(rng.uniform(0.1, 1.5))
            server.kill()
            server.start()
        checked(server, live, runs, commands)
        with server.client() as client:
            assert client.get(f"/runs/{live}")["t_s"] >= min(reached_s, 172_800.0)
    with server.client() as client:
        for name in runs:
            client.wait(name, 120)
        if client.get(f"/runs/{live}")["state"] != "finished":
            client.steer(live, speed="max")
        client.wait(live, 60)
    told, log = checked(server, live, runs, commands)
    assert len(runs) > rounds
    assert len(commands) > rounds
    days = {}
    for each in told:
        if each["id"] in runs:
            days[each["id"]] = round(each["end_s"] / 86_400)
            undisturbed = run(load("tiny", [f"time.days={days[each['id']]}"]), seed=each["seed"])
            assert (each["state"], each["digest"]) == ("finished", undisturbed.digest)
    simulation = Simulation(load("tiny"))
    entries = [
        Entry(round(c["t_s"] * 1000), c["sequence"], c["type"], c["args"])
        for c in log
        if c["state"] == "applied"
    ]
    replay(simulation, entries, simulation.end_ms)
    of_live = next(each for each in told if each["id"] == live)
    assert of_live["digest"] == simulation.result().digest
    assert "Traceback" not in server.log()


def test_kills_lose_nothing(tmp_path, database_url):
    """Three kills in a row lose no acknowledged run or command, and change no digest, on both databases."""
    with Served(tmp_path / "data", "--database", database_url, "--workers", "2") as server:
        crash_rounds(server, 3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_lose_nothing(tmp_path, database_url):
    """Nor do twenty."""
    with Served(tmp_path / "data", "--database", database_url, "--workers", "2") as server:
        crash_rounds(server, 20, seed=2)


@pytest.mark.timeout(400)
def test_dead_worker_is_replaced(tmp_path):
    """A run whose process is killed is rebuilt, and ends with its digest; one that always dies has failed."""
    with Served(tmp_path / "data") as server, server.client() as client:
        name = client.start("luoyang", set={"time.days": 400})["id"]
        killed = 0
        while killed < 2:
            told = client.get(f"/runs/{name}")
            if told["t_s"] > 0 and told["ready"]:
                killed += kill_workers(server)
            time.sleep(0.05)
        told = client.wait(name, 60)
        assert told["digest"] == run(load("luoyang", ["time.days=400"])).digest
        name = client.start("luoyang", set={"time.days": 4000})["id"]
        while client.get(f"/runs/{name}")["state"] != "failed":
            kill_workers(server)
            time.sleep(0.05)
        assert "has ended 3 times" in client.get(f"/runs/{name}")["error"]
        assert client.get("/ready")["ready"]


def kill_workers(server):
    """Kill every process that simulates; gives how many they were. They are nicer than the server."""
    killed, nice = 0, os.getpriority(os.PRIO_PROCESS, server.process.pid)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == server.process.pid and int(fields[16]) > nice:
                os.kill(int(stat.parent.name), 9)
                killed += 1
    return killed


def test_dead_reader_is_replaced(tmp_path):
    """When the process that answers is killed, the next question is answered by another."""
    with Served(tmp_path / "data", "luoyang", "--speed", "1") as server, server.client() as client:
        assert client.get("/stock")["facts"] > 0
        assert kill_readers(server) == 1
        assert client.get("/stock", by="lot")["facts"] > 0


def test_lost_database_is_survived(tmp_path, durable_postgres):
    """Without its database the server answers about state, takes nothing in, says so, and goes on when it is back."""
    database, url = durable_postgres
    with Served(tmp_path / "data", "luoyang", "--speed", "60", "--database", url) as server:
        with server.client(patience_s=0.0, timeout_s=30) as client:
            kept = client.command("block_slot", {"slot": "2-07-3"})
            client.settled(kept)
            database.stop("immediate")
            before = client.get("/slots")
            assert before["facts"] > 0
            for body in ({"scenario": "tiny"},):
                with pytest.raises(Refused) as refused:
                    client.post("/runs", body)
                assert refused.value.status == 503
                assert refused.value.kind == "unavailable"
            with pytest.raises(Refused) as refused:
                client.command("block_slot", {"slot": "2-07-4"})
            assert refused.value.status == 503
            with pytest.raises(Refused) as refused:
                client.get("/ready")
            assert refused.value.status == 503
            assert refused.value.document["checks"][0]["ok"] is False
            assert client.get("/health")["status"] == "ok"
            database.start()
            deadline = time.monotonic() + 30
            while True:
                with contextlib.suppress(Refused):
                    if client.get("/ready")["ready"]:
                        break
                assert time.monotonic() < deadline
                time.sleep(0.1)
            done = client.settled(client.command("block_slot", {"slot": "2-07-4"}))
            assert done["state"] == "applied"
            assert [c["id"] for c in client.get("/runs/current/commands")["commands"]] == [
                kept["id"],
                done["id"],
            ]
        assert "Traceback" not in server.log()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"no small file system: {mounted.stderr.decode()}")
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def start_many(client):
    """Start runs until one is refused."""
    for seed in range(50):
        client.start("tiny", seed=seed)


def test_full_disk_is_survived(small_disk):
    """On a full disk nothing new is taken in, runs stand, all that was acknowledged stays; with room it goes on."""
    with (
        Served(small_disk / "data", "luoyang", "--speed", "60") as server,
        server.client(patience_s=0.0) as client,
    ):
        first = client.start("tiny", seed=1)["id"]
        client.wait(first, 60)
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(b"\0" * 4096)
                file.flush()
        assert shutil.disk_usage(small_disk).free < 8192
        with pytest.raises(Refused) as refused:
            start_many(client)
        assert refused.value.status in (503, 507)
        assert refused.value.kind in ("storage-full", "unavailable")
        client.get("/slots")
        assert client.get("/health")["status"] == "ok"
        ballast.unlink()
        deadline = time.monotonic() + 30
        while True:
            try:
                name = client.start("tiny", seed=7)["id"]
                break
            except Refused:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert client.wait(name, 60)["digest"] == run(load("tiny"), seed=7).digest
        assert client.get(f"/runs/{first}")["digest"] == run(load("tiny"), seed=1).digest
        if client.get("/runs/current")["state"] == "paused":
            client.steer(state="running")
        assert "Traceback" not in server.log()
