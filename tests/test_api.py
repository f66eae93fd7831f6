"""The API as its users meet it: a real server, real processes, answers held against runs in this process."""

import json
import time
from itertools import pairwise

import pytest

from api.client import Client, Refused
from sim.commands import Entry, replay
from sim.facts import ORDER_RELEASED
from sim.history import by_records, state_at
from sim.scenario import load
from sim.simulation import Simulation, run
from tests.servers import Served

HOUR, DAY = 3600, 86_400


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with the reference store, paused on its second morning, that everybody here shares."""
    folder = tmp_path_factory.mktemp("served") / "data"
    with Served(folder, "luoyang", "--truth", "--set", "time.days=7", "--speed", "1") as server:
        with server.client() as client:
            client.steer(state="paused")
            now_s = client.get("/runs/current")["t_s"]
            if now_s < DAY + 10 * HOUR:
                client.steer(step_s=DAY + 10 * HOUR - now_s)
            paused(client, "current")
        yield server


def paused(client, name):
    """Wait until a step is over."""
    until = time.monotonic() + 30
    while (told := client.get(f"/runs/{name}"))["state"] != "paused":
        assert time.monotonic() < until, told
        time.sleep(0.01)
    return told


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


def refused(client, method, path, body=None, **headers):
    """The problem document that a request is answered with."""
    with pytest.raises(Refused) as caught:
        client.request(method, path, body, headers=headers)
    document = caught.value.document
    assert document["status"] == caught.value.status
    assert document["type"].startswith("/problems/")
    assert document["title"]
    return document


def reference(t_s, *, days=7, log=()):
    """The same run in this process, at an instant."""
    simulation = Simulation(load("luoyang", [f"time.days={days}"]))
    replay(simulation, log, round(t_s * 1000))
    return simulation


# --- state -----------------------------------------------------------------------------------------------


def test_answers_are_the_run(client):
    """Slots, stock and boxes over HTTP are the ledger of the same run in this process at the stamped instant."""
    told = client.get("/slots")
    simulation = reference(told["t_s"])
    assert told["facts"] == len(simulation.trace)
    assert told["view"] == "records"
    ledger, kept = simulation.ledger, simulation.warehouse.kept_places()
    expected = [
        (
            name,
            len(ledger.boxes_in(slot)),
            kept[slot],
            sum(ledger.mask[b].bit_count() for b in ledger.boxes_in(slot)),
        )
        for slot, name in enumerate(simulation.layout.names[: simulation.layout.slots])
    ]
    assert [(s["slot"], s["boxes"], s["reserved"], s["meters"]) for s in told["slots"]] == expected
    one = client.get("/slots/2-07-3")
    slot = simulation.layout.names.index("2-07-3")
    assert [box["box"] for box in one["boxes"]] == [str(box) for box in ledger.boxes_in(slot)]
    boxes = {box["box"]: box["place"] for box in client.pages("/boxes", "boxes", limit=200)}
    assert boxes == {str(box): simulation.layout.names[place] for box, place in enumerate(ledger.place)}


def test_shell_and_routes_agree(client):
    """What the shell answers at once is what the reader works out from facts."""
    at_once = client.get("/slots")
    worked_out = client.get("/slots", limit=10_000)
    assert at_once == worked_out
    assert client.request("GET", "/slots?view=records")[2] == at_once
    assert client.request("GET", "/runs/r1/slots")[2] == at_once
    assert list(at_once) == list(worked_out)
    assert list(at_once["slots"][0]) == list(worked_out["slots"][0])
    once, again = client.request("GET", "/slots/1-01-1"), client.request("GET", "/slots/1-01-1?view=records")
    assert once[2] == again[2]


def test_past_is_as_it_was(client):
    """`at` gives what the run was at a past instant, also far back, and the answer names it."""
    told = client.get("/slots", at=DAY + 9 * HOUR)
    simulation = reference(DAY + 9 * HOUR + 0.001)
    assert told["t_s"] == DAY + 9 * HOUR
    assert told["time"] == "2026-03-03T09:00:00.000"
    assert told["facts"] == len(simulation.trace)
    state = by_records(state_at(simulation.trace, simulation.layout))
    assert [slot["boxes"] for slot in told["slots"]] == state.slot_counts.tolist()


def test_future_is_refused(client):
    """A time that the run has not reached is no past instant."""
    document = refused(client, "GET", f"/slots?at={3 * DAY}")
    assert document["status"] == 409
    assert document["errors"][0]["pointer"] == "/at"


def test_truth_is_labelled(client):
    """The truth says that it is the truth."""
    told = client.get("/slots", view="truth")
    assert told["view"] == "truth"


def test_version_is_known(client):
    """An unchanged version is answered with 304, from the shell and from the routes."""
    for path in ("/slots", "/slots/2-07-3", "/stock", "/runs/r1/orders", "/slots?row=2"):
        status, headers, _ = client.request("GET", path)
        assert status == 200
        etag = headers["etag"]
        status, headers, document = client.request("GET", path, headers={"If-None-Match": f'"x", {etag}'})
        assert (status, document, headers["etag"]) == (304, {}, etag)
        assert client.request("GET", path, headers={"If-None-Match": '"other"'})[0] == 200


def test_pages_are_of_one_instant(served, client):
    """A list that is read while its run goes on is of the instant of its first page."""
    body = {"scenario": "luoyang", "set": {"time.days": 300}, "mode": "live", "speed": "max"}
    name = client.post("/runs", body)["id"]
    try:
        first = client.get(f"/runs/{name}/boxes", limit=200, in_store=True)
        pages = [first]
        while pages[-1]["next"]:
            time.sleep(0.05)
            pages.append(
                client.get(f"/runs/{name}/boxes", limit=200, in_store=True, cursor=pages[-1]["next"])
            )
        assert {(page["t_s"], page["facts"]) for page in pages} == {(first["t_s"], first["facts"])}
        assert client.get(f"/runs/{name}/boxes", limit=1)["facts"] > first["facts"]
        found = [box["box"] for page in pages for box in page["boxes"]]
        simulation = reference(first["t_s"], days=300)
        here = [
            str(box) for box, place in enumerate(simulation.ledger.place)
            if simulation.layout.names[place] not in ("truck", "outside", "handed-over")
        ]  # fmt: skip
        assert found == here
    finally:
        client.delete(f"/runs/{name}")


def test_foreign_cursor_is_refused(client):
    """A cursor goes with its list and its filters, and with nothing else."""
    cursor = client.get("/boxes", limit=1)["next"]
    for path in (
        f"/meters?cursor={cursor}",
        f"/boxes?sku=single-phase%20A&cursor={cursor}",
        "/boxes?cursor=AAAA",
    ):
        assert refused(client, "GET", path)["type"] == "/problems/does-not-fit"
    assert refused(client, "GET", "/boxes?cursor=%00")["status"] == 422


def test_unknown_names_are_refused(client):
    """Names that the run has not are refused with the nearest that it has."""
    assert "did you mean '2-07-3'" in refused(client, "GET", "/slots/2-7-3")["detail"]
    assert "single-phase A" in refused(client, "GET", "/boxes?sku=single-phase%20a")["detail"]
    assert refused(client, "GET", "/runs/r999/slots")["status"] == 404
    assert refused(client, "GET", "/meters/9930001000000000000001")["status"] == 404


# --- what is no success ----------------------------------------------------------------------------------


def test_every_refusal_is_a_problem(served, client):
    """Whatever is refused, and by whatever layer, is a problem document."""
    import http.client

    def raw(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response, text

    json_type = {"Content-Type": "application/json"}
    for method, path, body, headers, status in (
        ("GET", "/nothing", None, None, 404),
        ("GET", "/runs/x", None, None, 404),
        ("PUT", "/runs", None, None, 405),
        ("DELETE", "/slots", None, None, 405),
        ("POST", "/runs", b"{", json_type, 400),
        ("POST", "/runs", b'{"scenario":"tiny","scenario":"luoyang"}', json_type, 400),
        ("POST", "/runs", b"{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/runs", b"{}", json_type, 422),
        ("POST", "/runs", b'{"scenario":"tiny","sceanrio":1}', json_type, 422),
        ("POST", "/runs", b'{"scenario":null}', json_type, 422),
        ("POST", "/runs", b" " * 1_000_001, json_type, 413),
        ("POST", "/runs", None, {**json_type, "Content-Length": "99999999999999"}, 413),
        ("GET", "/slots?colour=red", None, None, 422),
        ("GET", "/slots?row=true", None, None, 422),
        ("GET", "/boxes?limit=201", None, None, 422),
        ("GET", "/slots", None, {"Host": "evil.example"}, 421),
        ("POST", "/runs", b"{}", {**json_type, "Origin": "http://evil.example"}, 403),
        ("GET", "/slots", None, {"X-API-Key": "mh_00000000_" + "0" * 64}, 401),
    ):
        response, text = raw(method, path, body, headers)
        assert response.status == status, (method, path, response.status, text)
        assert response.headers["Content-Type"] == "application/problem+json"
        document = json.loads(text)
        assert document["status"] == status
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in response.headers


def test_allow_names_all_methods(client):
    """405 says what a path takes, whichever route it belongs to."""
    with pytest.raises(Refused) as caught:
        client.request("PUT", "/runs/r1")
    assert caught.value.status == 405
    assert "DELETE, GET, HEAD, PATCH" in caught.value.detail.replace(" or ", ", ")


def test_mistakes_of_a_scenario_are_all_told(client):
    """Every mistake of a scenario has its place and the near miss."""
    body = {
        "scenario": {
            "extends": "luoyang",
            "robots": {"coutn": 2, "carry": "x"},
            "initial": {"stock": "/etc/passwd"},
        },
        "set": {"policy.allocation": "closest-opne"},
    }
    document = refused(client, "POST", "/runs", body)
    told = {error["pointer"]: error["detail"] for error in document["errors"]}
    assert document["type"] == "/problems/does-not-fit"
    assert "did you mean 'count'" in told["/scenario/robots/coutn"]
    assert "whole number from 1 to 16" in told["/scenario/robots/carry"]
    assert "files are not read" in told["/scenario/initial/stock"]
    assert "did you mean 'closest-open'" in told["/set/policy.allocation"]


# --- runs ------------------------------------------------------------------------------------------------


def test_batch_run_is_the_run(client):
    """A batch run ends with the digest, the KPIs and the sentence of the same run in this process."""
    started = client.start({"extends": "tiny", "robots": {"carry": 2}}, seed=5, name="two on board")
    assert started["state"] in ("queued", "running")
    told = client.wait(started["id"], 60)
    result = run(load("tiny", ["robots.carry=2"]), seed=5)
    assert (told["state"], told["digest"], told["facts"]) == ("finished", result.digest, len(result.trace))
    kpis = client.get(f"/runs/{told['id']}/kpis", view="truth")
    ours = {name: kpi["value"] for name, kpi in result.kpis().items()}
    assert {name: kpi["value"] for name, kpi in kpis["kpis"].items()} == pytest.approx(ours, nan_ok=True)
    assert told["limits"] == kpis["limits"]
    client.delete(f"/runs/{told['id']}")
    assert refused(client, "GET", f"/runs/{told['id']}")["status"] == 404


def test_live_run_is_steered(client):
    """A live run stands, steps, goes on at a pace that is reached, and stops where it is told to."""
    name = client.start("luoyang", set={"time.days": 300}, mode="live", state="paused", speed=600)["id"]
    told = paused(client, name)
    assert told["t_s"] == 0
    client.steer(name, step_s=5 * HOUR)
    assert paused(client, name)["t_s"] == 5 * HOUR
    client.steer(name, state="running")
    begin, from_s = time.monotonic(), 5 * HOUR
    time.sleep(1.5)
    told = client.get(f"/runs/{name}")
    pace = (told["t_s"] - from_s) / (time.monotonic() - begin)
    assert 0.5 * 600 < pace < 1.5 * 600
    assert told["speed"] == 600
    assert 0.5 * 600 < told["reached_speed"] < 1.5 * 600
    client.steer(name, speed="max")
    time.sleep(0.3)
    told = client.steer(name, state="stopped")
    assert told["state"] == "stopped"
    assert client.get(f"/runs/{name}/slots")["t_s"] == told["t_s"]
    assert told["digest"] == reference(told["t_s"], days=300).trace.digest()
    assert refused(client, "PATCH", f"/runs/{name}", {"state": "running"})["status"] == 409
    client.delete(f"/runs/{name}")


def test_run_changes_only_as_known(client):
    """If-Match holds a change back when the run is not as its client knows it."""
    name = client.start("luoyang", mode="live", state="paused")["id"]
    paused(client, name)
    _, headers, _ = client.request("GET", f"/runs/{name}")
    etag = headers["etag"]
    client.request("PATCH", f"/runs/{name}", {"name": "renamed"}, headers={"If-Match": etag})
    assert refused(client, "PATCH", f"/runs/{name}", {"name": "again"}, **{"If-Match": etag})["status"] == 412
    assert refused(client, "DELETE", f"/runs/{name}", **{"If-Match": etag})["status"] == 412
    assert client.get(f"/runs/{name}")["name"] == "renamed"
    client.delete(f"/runs/{name}")


def test_same_key_is_done_once(client):
    """A request that is sent again with its idempotency key gets its answer, and starts nothing."""
    key = {"Idempotency-Key": "once-only-1"}
    body = {"scenario": "tiny", "seed": 3}
    first = client.request("POST", "/runs", body, headers=key)
    again = client.request("POST", "/runs", body, headers=key)
    assert first[0] == again[0] == 202
    assert first[2]["id"] == again[2]["id"]
    assert again[1]["idempotent-replayed"] == "true"
    assert refused(client, "POST", "/runs", {"scenario": "tiny", "seed": 4}, **key)["status"] == 409
    client.wait(first[2]["id"])
    client.delete(f"/runs/{first[2]['id']}")


def test_run_out_of_limits_fails(client):
    """A run that takes more than it may fails in words, and what it has shown can be read."""
    name = client.start("luoyang", set={"time.days": 3650}, limits={"time_s": 0.2})["id"]
    told = client.wait(name, 60)
    assert told["state"] == "failed"
    assert "at most 0.2 s of computing" in told["error"]
    assert client.get(f"/runs/{name}/slots")["facts"] == told["facts"] > 0
    name = client.start("luoyang", set={"time.days": 3650}, limits={"memory_mb": 100})["id"]
    told = client.wait(name, 60)
    assert told["state"] == "failed"
    assert "100 MB of memory" in told["error"]


# --- commands --------------------------------------------------------------------------------------------


@pytest.fixture
def live(client):
    """A live run of its own, paused at nine in the morning of the first day."""
    name = client.start("luoyang", set={"time.days": 7}, mode="live", state="paused")["id"]
    paused(client, name)
    client.steer(name, step_s=9 * HOUR)
    paused(client, name)
    yield name
    client.delete(f"/runs/{name}")


def entries(client, name):
    """The command log of a run, as another process replays it."""
    return [
        Entry(round(c["t_s"] * 1000), c["sequence"], c["type"], c["args"])
        for c in client.pages(f"/runs/{name}/commands", "commands", state="applied")
    ]  # fmt: skip


def test_command_becomes_facts(client, live):
    """A command is accepted, then applied at an instant, with the facts that it caused."""
    args = {"station": 3, "lines": [{"sku": "single-phase A", "meters": 30}]}
    accepted = client.command("order", args, run=live, external_id="wms-1")
    assert accepted["state"] in ("accepted", "applied")
    done = client.settled(accepted)
    assert (done["state"], done["t_s"]) == ("applied", 9 * HOUR)
    facts = client.get(f"/runs/{live}/events", kind="order_released", sort="newest", limit=1)["events"]
    assert facts[0]["station"] == 3
    simulation = reference(9 * HOUR, log=entries(client, live))
    rows = list(simulation.trace.rows(done["facts"]["first"]))
    assert len(rows) == done["facts"]["count"]
    assert rows[0][1] == ORDER_RELEASED
    again = client.command("order", args, run=live, external_id="wms-1")
    assert again["id"] == done["id"]
    with pytest.raises(Refused, match="409"):
        client.command("order", {**args, "station": 4}, run=live, external_id="wms-1")


def test_commands_have_their_time(client, live):
    """A command waits for its time, is dropped after its last, and holds a version to its word."""
    later = client.command("block_slot", {"slot": "2-07-3"}, run=live, apply_at=10 * HOUR)
    late = client.command("block_slot", {"slot": "2-07-4"}, run=live, expires_at=1 * HOUR)
    with pytest.raises(Refused, match="expected an end not before `apply_at`"):
        client.command("block_slot", {"slot": "2-07-6"}, run=live, apply_at=11 * HOUR, expires_at=10 * HOUR)
    version = client.get(f"/runs/{live}")["facts"]
    wrong = client.command("block_slot", {"slot": "2-07-5"}, run=live, if_version=version - 1)
    right = client.command("block_slot", {"slot": "2-08-1"}, run=live, if_version=version)
    assert client.settled(wrong)["state"] == "rejected"
    assert client.settled(right)["state"] == "applied"
    twice = client.settled(client.command("block_slot", {"slot": "2-08-1"}, run=live))
    assert twice["state"] == "rejected"
    assert "blocked" in twice["reason"] or "out of use" in twice["reason"]
    assert client.get(later["links"]["self"])["state"] == "accepted"
    client.steer(live, step_s=3 * HOUR)
    paused(client, live)
    assert client.settled(later)["t_s"] == 10 * HOUR
    assert client.settled(late)["state"] == "expired"
    assert client.get(f"/runs/{live}/slots/2-07-3")["status"] == "blocked"
    told = client.get(f"/runs/{live}")
    assert told["facts"] == len(reference(told["t_s"], log=entries(client, live)).trace)


def test_command_that_fits_nothing_is_refused(client, live):
    """A command with a wrong form, or with names that the run has not, is not taken in."""
    body = {"type": "order", "args": {"lines": [{"sku": "single-phase A", "meters": 0}]}}
    assert refused(client, "POST", f"/runs/{live}/commands", body)["status"] == 422
    body["args"]["lines"][0] = {"sku": "single-phase a", "meters": 1}
    document = refused(client, "POST", f"/runs/{live}/commands", body)
    assert document["status"] == 409
    assert document["errors"][0]["pointer"] == "/args/lines/0/sku"
    body = {"type": "dance", "args": {}}
    assert refused(client, "POST", f"/runs/{live}/commands", body)["status"] == 422
    assert client.get(f"/runs/{live}/commands")["commands"] == []


def test_branch_is_the_same_until_it_leaves(client, live):
    """A branch has its parent's facts up to its instant, its changes from then on, and leaves the parent alone."""
    client.settled(client.command("block_slot", {"slot": "2-07-3"}, run=live))
    client.steer(live, step_s=12 * HOUR)
    parent = paused(client, live)
    child = client.post(
        f"/runs/{live}/branch", {"at": 12 * HOUR, "set": {"policy.allocation": "random"}, "mode": "batch"}
    )
    assert child["parent"] == {"run": live, "at_s": 12 * HOUR}
    told = client.wait(child["id"], 60)
    log = entries(client, child["id"])
    assert [(entry.type, entry.t_ms) for entry in log] == [
        ("block_slot", 9 * HOUR * 1000),
        ("set", 12 * HOUR * 1000),
    ]
    simulation = Simulation(load("luoyang", ["time.days=7"]))
    replay(simulation, log, simulation.end_ms)
    assert told["digest"] == simulation.result().digest
    ours = list(reference(12 * HOUR, log=entries(client, live)).trace.rows())
    theirs = client.get(f"/runs/{child['id']}/slots", at=12 * HOUR - 0.001)
    assert theirs["facts"] <= len(ours)
    assert client.get(f"/runs/{live}")["facts"] == parent["facts"]
    assert refused(client, "POST", f"/runs/{live}/branch", {"at": 6 * DAY})["status"] == 409
    document = refused(client, "POST", f"/runs/{live}/branch", {"set": {"robots.count": 2}})
    assert document["errors"][0]["pointer"] == "/set/robots.count"
    client.delete(f"/runs/{child['id']}")


# --- allocation ------------------------------------------------------------------------------------------


def test_allocate_is_what_the_store_would_do(client):
    """Asked for slots, the run names those that it would give, and has the same facts afterwards."""
    from sim.allocation import rule_named
    from sim.proposal import Asked, propose

    before = client.get("/runs/current")["facts"]
    simulation = reference(client.get("/runs/current")["t_s"])
    names = simulation.layout.names
    for policy in (None, "random", "lot-pure", "class-based", "learned-stay"):
        told = client.allocate(
            [{"sku": "single-phase A"}, {"sku": "single-phase E", "meters": 3}] * 10, policy=policy
        )
        rule = None if policy is None else rule_named(policy)
        expected = propose(simulation, [Asked(0), Asked(4, 3)] * 10, rule)
        assert [slot["slot"] for slot in told["slots"]] == [names[each.slot] for each in expected]
        assert [slot["column"] for slot in told["slots"]] == [each.column + 1 for each in expected]
    assert client.get("/runs/current")["facts"] == before


def test_run_that_is_over_can_be_asked(client):
    """A run that is over is set up again at its end when somebody asks it for a slot."""
    name = client.start("tiny")["id"]
    client.wait(name)
    told = client.allocate([{"sku": "A"}], run=name)
    assert told["slots"][0]["slot"] is not None
    assert told["t_s"] == 2 * DAY
    client.delete(f"/runs/{name}")


# --- the rest --------------------------------------------------------------------------------------------


def test_metrics_tell_of_the_store(served, client):
    """Prometheus reads requests, runs, pace, occupancy and record accuracy."""
    import urllib.request

    text = urllib.request.urlopen(f"{served.url}/metrics", timeout=20).read().decode()
    values = dict(
        line.rpartition(" ")[::2] for line in text.splitlines() if line and not line.startswith("#")
    )
    assert float(values["meterhouse_slot_occupancy"]) == pytest.approx(0.65, abs=0.03)
    assert float(values['meterhouse_record_accuracy{of="slots"}']) == 1.0
    assert float(values['meterhouse_runs{state="paused"}']) >= 1
    assert any(line.startswith("meterhouse_http_requests_total") for line in values)
    assert any('route="/runs/{run}/slots"' in line for line in values)


def test_document_is_valid(client):
    """The OpenAPI document is a valid one, and every operation has an example."""
    from openapi_spec_validator import validate

    document = client.get("/openapi.json")
    validate(document)
    names = [op["operationId"] for by in document["paths"].values() for op in by.values()]
    assert len(names) == len(set(names))


def test_docs_page_needs_nothing(served):
    """The page of the API is whole without a script, and nothing in it comes from elsewhere."""
    import re
    import urllib.request

    with urllib.request.urlopen(f"{served.url}/docs", timeout=20) as answer:
        text = answer.read().decode()
        assert "script" not in answer.headers["Content-Security-Policy"].replace("default-src", "")
    assert "<script" not in text
    assert all(link.startswith(("/", "#")) for link in re.findall(r'(?:src|href)="([^"]+)"', text))


def test_times_rise(client):
    """Polling a run that goes on shows times and versions that never fall."""
    name = client.start("luoyang", set={"time.days": 1000}, mode="live", speed="max")["id"]
    seen = []
    begin = time.monotonic()
    while time.monotonic() < begin + 1.5 or (len(set(seen)) <= 3 and time.monotonic() < begin + 30):
        told = client.request("GET", f"/runs/{name}/slots")[2]
        seen.append((told["facts"], told["t_s"]))
    assert all(a <= b for a, b in pairwise(seen))
    assert len(set(seen)) > 3
    client.delete(f"/runs/{name}")


def test_stop_takes_seconds(tmp_path):
    """A server with runs at work ends within seconds when it is told to, and goes on where it was."""
    with Served(tmp_path / "data", "luoyang", "--speed", "3600") as server:
        with server.client() as client:
            client.start("luoyang", set={"time.days": 3650})
            while not client.get("/runs/current")["t_s"]:
                time.sleep(0.05)
        assert server.stop() < 5
        with server.start().client() as client:
            told = client.get("/runs/current")
            assert told["t_s"] > 0
            assert told["state"] == "running"
            assert isinstance(client, Client)
