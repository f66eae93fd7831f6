"""Every answer about slots is one instant of the run, whatever the run does meanwhile."""

import json
import socket

import numpy as np
import pytest

from sim.following import Followed
from sim.history import by_records, state_at
from sim.scenario import load
from sim.simulation import Simulation
from tests.servers import Served

READS = 10_000
INSTANTS = 20
DAYS = 5000


def bodies(port, target):
    """Answers to GET over one connection, one after the other."""
    text = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as wire:
        seen = bytearray()
        while True:
            wire.sendall(text)
            while (end := seen.find(b"\r\n\r\n")) < 0:
                seen += wire.recv(1 << 18)
            head = bytes(seen[:end]).lower()
            assert head.startswith(b"http/1.1 200"), head
            size = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(seen) < size:
                seen += wire.recv(1 << 18)
            yield bytes(seen[end + 4 : size])
            del seen[:size]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ["luoyang", "luoyang_records"])
def test_ten_thousand_reads_are_instants(tmp_path, scenario):
    """10,000 reads and more during a run at full speed are each the ledger of the run at the stamp that it has."""
    sets = [f"time.days={DAYS}", *(["records.scale=100"] if scenario == "luoyang_records" else [])]
    options = [option for each in sets for option in ("--set", each)]
    with Served(tmp_path / "data", scenario, *options, "--speed", "max") as server:
        by_stamp = {}
        for number, body in enumerate(bodies(server.port, "/slots"), 1):
            stamp = body[: body.index(b',"view"')]
            assert by_stamp.setdefault(stamp, body) == body
            if number >= READS and len(by_stamp) > INSTANTS:
                break
        with server.client() as client:
            client.steer(state="paused")
    told = sorted((json.loads(body) for body in by_stamp.values()), key=lambda each: each["facts"])
    assert told[-1]["t_s"] < DAYS * 86_400, "the run has ended before the reads did"
    simulation = Simulation(load(scenario, sets))
    names, slots = simulation.layout.names, simulation.layout.slots
    for each in told:
        simulation.advance(round(each["t_s"] * 1000))
        assert each["facts"] == len(simulation.trace)
        ledger, kept = simulation.ledger, simulation.warehouse.kept_places()
        found = [
            (
                names[slot], len(boxes), kept[slot], sum(ledger.mask[box].bit_count() for box in boxes),
                sorted({simulation.sku_names[ledger.sku[box]] for box in boxes}), sorted(ledger.index.out_of_use(slot)),
            )
            for slot in range(slots) for boxes in [ledger.boxes_in(slot)]
        ]  # fmt: skip
        out = {"blocked": ["blocked"], "held": ["hold"]}
        assert [
            (s["slot"], s["boxes"], s["reserved"], s["meters"], sorted(s["skus"]), out.get(s["status"], []))
            for s in each["slots"]
        ] == found
    # The trace alone confirms it as well: the state after the first so many facts.
    trace = Followed(simulation.trace)
    for each in told[:: max(1, len(told) // 10)]:
        state = by_records(state_at(trace.until(each["facts"]), simulation.layout))
        assert np.array_equal([slot["boxes"] for slot in each["slots"]], state.slot_counts)
