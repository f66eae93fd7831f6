"""What a client may rely on from one answer to the next: versions, past instants, cursors, steps and commands."""

import asyncio
import base64
import contextlib
import http.client
import json
import socket
import sqlite3
import threading
from collections import defaultdict
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import cursors
from api.asked import SlotsQuery
from api.channel import Message
from api.client import Refused
from api.routes import VIEWS_OVER_HTTP, _state
from api.runs import Where
from api.security import READ, Principal
from api.shell import PRINCIPAL
from api.views import VIEWS, Instant, Kept
from sim.assets import asset_number
from sim.calendar import DAY_MS
from sim.commands import Entry, replay
from sim.following import Followed
from sim.scenario import load
from sim.simulation import Simulation
from tests.processes import wait_until
from tests.servers import Served

MINUTE, HOUR, DAY = 60, 3600, 86_400
TWO_WEEKS = {"time.days": 14}

KEYS = {
    "slot": "1-01-1", "asset": asset_number(5), "box": "3", "lot": "0", "task": "0", "robot": "0", "order": "0",
    "count": "0",
}  # fmt: skip
"""Something of each kind that the run of two weeks has after its first morning."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that takes one batch run at a time; its own run stands."""
    folder = tmp_path_factory.mktemp("versions") / "data"
    with Served(folder, "tiny", "--truth", "--speed", "1", "--workers", "1", "--live", "20") as server:
        with server.client() as client:
            client.steer(state="paused")
        yield server


@pytest.fixture
def client(served):
    """A client without patience; the runs that it leaves are cleared away, and the log has no failure."""
    with served.client(patience_s=0.0) as client:
        yield client
    with served.client() as client:
        for run in client.get("/runs")["runs"]:
            if run["id"] != "r1" and not run["keep"]:
                client.delete(f"/runs/{run['id']}")
    assert "Traceback" not in served.log()


@pytest.fixture(scope="module")
def stood(served):
    """A run for all to read that stands in its second day, after a count."""
    with served.client() as client:
        name = begun(client, keep=True)
        step_to(client, name, HOUR)
        assert client.settled(client.command("count", run=name))["state"] == "applied"
        step_to(client, name, 34 * HOUR)
    return name


@pytest.fixture
def live(client):
    """A live run of two weeks that stands at its beginning."""
    return begun(client)


def begun(client, **more):
    name = client.start("tiny", **{"set": TWO_WEEKS, "mode": "live", "state": "paused", "speed": 60, **more})[
        "id"
    ]
    wait_until(lambda: client.get(f"/runs/{name}")["ready"])
    return name


def step_to(client, name, t_s):
    """Have a run that stands go on to a time, and stand there."""
    client.steer(name, step_s=t_s - client.get(f"/runs/{name}")["t_s"])
    told = wait_until(lambda: (found := client.get(f"/runs/{name}"))["state"] == "paused" and found)
    assert told["t_s"] == t_s
    return told


def raw(server, method, target, body=None, headers=()):
    """Status, headers and bytes of an answer, with nothing in between that would know better."""
    sent = {} if body is None else {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, target, data, {**sent, **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def problem(server, method, target, body=None, **headers):
    """The problem document of an answer."""
    status, told, text = raw(server, method, target, body, headers)
    assert told["Content-Type"] == "application/problem+json", (target, status, text)
    document = json.loads(text)
    assert document["status"] == status
    return document


def path_of(spec, name):
    """The path of a view of a run, with something that is there."""
    return f"/runs/{name}{spec.path.format_map(KEYS)}{'?q=1' if spec.view == 'search' else ''}"


def unstamped(document):
    """An answer without the instant that it is of, which a cursor carries as well."""
    return {key: value for key, value in document.items() if key not in ("t_s", "time", "next")}


# --- steps -----------------------------------------------------------------------------------------------


def stored_state(server, name):
    """The state that a run has in the registry, in which it is brought back."""
    with contextlib.closing(
        sqlite3.connect(f"file:{server.folder / 'registry.db'}?mode=ro", uri=True)
    ) as database:
        return database.execute("SELECT state FROM runs WHERE id = ?", (name,)).fetchone()[0]


def test_run_stands_after_each_step(served, client, live):
    """Ten steps, each begun when the one before is over, come ten times to where they were to come."""
    for k in range(1, 11):
        assert client.steer(live, step_s=10 * MINUTE)["state"] in ("running", "paused")
        told = wait_until(lambda: (found := client.get(f"/runs/{live}"))["state"] == "paused" and found)
        assert told["t_s"] == k * 10 * MINUTE
        assert client.request("GET", f"/runs/{live}/slots")[2]["t_s"] == told["t_s"]
    wait_until(lambda: stored_state(served, live) == "paused")
    assert client.get("/runs", state="paused")["runs"][0]["id"] == live


def test_steps_at_once_end(served, client, live):
    """Ten steps sent without waiting come to an end: the last one counts, from where it began."""
    told = [client.steer(live, step_s=10 * MINUTE) for _ in range(10)]
    assert all(each["state"] in ("running", "paused") for each in told)
    done = wait_until(lambda: (found := client.get(f"/runs/{live}"))["state"] == "paused" and found)
    assert told[-1]["t_s"] <= done["t_s"] <= 100 * MINUTE
    assert done["t_s"] >= 10 * MINUTE
    wait_until(lambda: stored_state(served, live) == "paused")
    client.steer(live, step_s=0.001)
    wait_until(lambda: client.get(f"/runs/{live}")["t_s"] == pytest.approx(done["t_s"] + 0.001, abs=1e-9))
    assert client.get(f"/runs/{live}")["state"] == "paused"


def test_run_runs_while_it_steps(served, client):
    """A step that takes long is seen as a run that runs, wherever it is looked at, and can be broken off."""
    name = begun(client, set={"time.days": 36_500})
    told = client.steer(name, step_s=30_000 * DAY)
    assert told["state"] == "running"
    before = client.get(f"/runs/{name}")
    assert (before["state"], before["ready"]) == ("running", True)
    wait_until(lambda: client.get(f"/runs/{name}")["t_s"] > before["t_s"])
    for state, is_listed in (("running", True), ("paused", False)):
        assert (name in [run["id"] for run in client.get("/runs", state=state)["runs"]]) is is_listed
    # Another pace does not break the step off: it goes as fast as it can.
    assert client.steer(name, speed=1)["state"] == "running"
    at = client.get(f"/runs/{name}")["t_s"]
    wait_until(lambda: client.get(f"/runs/{name}")["t_s"] > at + DAY)
    told = client.steer(name, state="paused")
    assert told["state"] == "paused"
    assert told["t_s"] < 30_000 * DAY
    assert client.get(f"/runs/{name}")["t_s"] == told["t_s"]
    client.steer(name, step_s=600)
    wait_until(lambda: client.get(f"/runs/{name}")["t_s"] == pytest.approx(told["t_s"] + 600, abs=1e-6))
    wait_until(lambda: stored_state(served, name) == "paused")


def test_step_of_a_running_run(served, client, live):
    """A run that runs makes the step from where it is, and stands; told to go on, it does."""
    before = client.steer(live, state="running")
    assert before["state"] == "running"
    begin = client.steer(live, step_s=3 * HOUR)
    assert begin["t_s"] >= before["t_s"]
    told = wait_until(lambda: (found := client.get(f"/runs/{live}"))["state"] == "paused" and found)
    # It may have moved before it was told to step, and have moved on before that was answered.
    assert before["t_s"] + 3 * HOUR <= told["t_s"] <= begin["t_s"] + 3 * HOUR
    wait_until(lambda: stored_state(served, live) == "paused")
    assert client.steer(live, state="running")["state"] == "running"
    wait_until(lambda: client.get(f"/runs/{live}")["t_s"] > told["t_s"])
    assert stored_state(served, live) == "running"


def test_step_ends_with_the_run(client, live):
    """A step beyond the end stands at the end, where all can be seen; the run is over when it goes on."""
    client.steer(live, step_s=100 * DAY)
    told = wait_until(lambda: (found := client.get(f"/runs/{live}"))["state"] == "paused" and found)
    assert (told["t_s"], told["progress"], told["digest"]) == (14 * DAY, 1.0, None)
    client.steer(live, step_s=1)
    assert client.wait(live, 30)["state"] == "finished"


# --- what points at a mistake ----------------------------------------------------------------------------

COMMANDS, ALLOCATE = "/runs/current/commands", "/allocate"
MISTAKES = [
    ("POST", COMMANDS, {}, {"/type": "expected a value, found none"}),
    ("POST", COMMANDS, {"type": 5}, {"/type": "expected 'order', "}),
    ("POST", COMMANDS, {"type": "Order"}, {"/type": "found 'Order'"}),
    ("POST", COMMANDS, [], {"": "found []"}),
    ("POST", COMMANDS, {"type": "order"}, {"/args": "expected a value, found none"}),
    ("POST", COMMANDS, {"type": "order", "args": None}, {"/args": "expected a value for args"}),
    ("POST", COMMANDS, {"type": "order", "args": {"lines": []}}, {"/args/lines": "at least 1 item"}),
    ("POST", COMMANDS, {"type": "order", "args": {"lines": [{"sku": "A", "meters": 1}, {"sku": 7}], "colour": 1}}, {
        "/args/lines/1/sku": "found 7", "/args/lines/1/meters": "expected a value, found none",
        "/args/colour": "expected no such name",
    }),
    ("POST", COMMANDS, {"type": "block_slot", "args": {"slot": "1-01-1"}, "apply_at": None}, {"/apply_at": "found null"}),
    ("POST", COMMANDS, {"type": "block_slot", "args": {}, "external_id": "a b", "if_version": -1}, {
        "/args/slot": "expected a value, found none", "/external_id": "found 'a b'", "/if_version": "found -1",
    }),
    ("POST", COMMANDS, {"type": "stop_robot", "args": {"robot": True}}, {"/args/robot": "found true"}),
    ("POST", COMMANDS, {"type": "count", "args": {"slots": ["1-01-1", 7]}}, {"/args/slots/1": "found 7"}),
    ("POST", COMMANDS, {"type": "set", "args": {"values": 5}}, {"/args/values": "found 5"}),
    ("POST", "/runs", {"scenario": 5}, {"/scenario": "found 5"}),
    ("POST", "/runs", {"scenario": "tiny", "set": []}, {"/set": "found []"}),
    ("POST", "/runs", {"scenario": "tiny", "mode": "x", "seed": "1", "keep": 1, "speed": "fast"}, {
        "/mode": "found 'x'", "/seed": "found '1'", "/keep": "found 1", "/speed": "found 'fast'",
    }),
    ("POST", "/runs", {"scenario": "tiny", "limits": {"time_s": 0, "cpu": 1}}, {
        "/limits/time_s": "found 0", "/limits/cpu": "expected no such name",
    }),
    ("POST", "/runs/current/branch", {"at": -1, "mode": "x"}, {"/at": "found -1", "/mode": "found 'x'"}),
    ("PATCH", "/runs/r1", {"state": "gone"}, {"/state": "found 'gone'"}),
    ("PATCH", "/runs/r1", {"step_s": 0, "speed": 0, "name": "", "colour": 1}, {
        "/step_s": "found 0", "/speed": "found 0", "/name": "found ''", "/colour": "expected no such name",
    }),
    ("PATCH", "/runs/r1", {"keep": None}, {"/keep": "found null"}),
    ("PATCH", "/runs/r1", None, {"": "expected a value, found none"}),
    ("POST", ALLOCATE, {"boxes": []}, {"/boxes": "at least 1 item"}),
    ("POST", ALLOCATE, {"boxes": [{"sku": "A", "meters": 0}, {"sku": 5}, {}]}, {
        "/boxes/0/meters": "found 0", "/boxes/1/sku": "found 5", "/boxes/2/sku": "expected a value, found none",
    }),
    ("POST", ALLOCATE, {"run": "x", "policy": "best", "boxes": [{"sku": "A", "verified_on": "2026-2-2"}]}, {
        "/run": "found 'x'", "/policy": "found 'best'", "/boxes/0/verified_on": "found '2026-2-2'",
    }),
    ("GET", "/slots?row=0&colour=red", None, {"/row": "found '0'", "/colour": "expected no such name"}),
    ("GET", "/slots?a~%2Fb=1", None, {"/a~0~1b": "expected no such name"}),
    ("GET", "/runs/r1/tasks?class=x", None, {"/class": "found 'x'"}),
    ("GET", "/runs/r1/events?from=x&to=-1", None, {"/from": "found 'x'", "/to": "found '-1'"}),
    ("GET", "/runs?limit=0", None, {"/limit": "found '0'"}),
    ("GET", "/slots?limit=1&limit=2", None, {"/limit": "found again"}),
    ("GET", "/slots?row=1&limit=1&lim%69t=2&row=1", None, {"/limit": "found again", "/row": "found again"}),
    ("GET", "/runs?state&state", None, {"/state": "found again"}),
    ("POST", "/runs?x=1&x=2", {"scenario": "tiny"}, {"/x": "found again"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "wanted"), MISTAKES)
def test_mistake_is_pointed_at(served, client, method, target, body, wanted):
    """What has not the right form is a 422 with all its mistakes, each with its place in what was sent, and its words."""
    document = problem(served, method, target, body)
    assert (document["status"], document["type"]) == (422, "/problems/invalid")
    found = {error["pointer"]: error["detail"] for error in document["errors"]}
    assert set(found) == set(wanted)
    for pointer, words in wanted.items():
        assert words in found[pointer]


@pytest.mark.parametrize(
    ("target", "body", "pointers"),
    [
        ("/runs", {"scenario": "tiny", "set": {"layout": {"rows": 0}}}, ["/set/layout/rows"]),
        ("/runs", {"scenario": "tiny", "set": {"layout": {"columns": 3}, "layout.rows": 0}}, ["/set/layout.rows"]),
        ("/runs", {"scenario": "tiny", "set": {"a/b": 1, "robots.": 2}}, ["/set/a~1b", "/set/robots."]),
        ("/runs", {"scenario": "tyni"}, ["/scenario"]),
        ("/runs", {"scenario": {"extends": "tyni"}}, ["/scenario/extends"]),
        ("/runs", {"scenario": {"extends": "tiny", "skus": [{"name": "A", "share": 1}, {"name": "B", "share": -1}]}}, ["/scenario/skus/1/share"]),
        ("/runs", {"scenario": {"extends": "tiny", "a/b": 1}}, ["/scenario/a~1b"]),
        (COMMANDS, {"type": "block_slot", "args": {"slot": "1-01-9"}}, ["/args/slot"]),
        (COMMANDS, {"type": "count", "args": {"slots": ["1-01-1", "x"], "method": "y"}}, ["/args/slots/1", "/args/method"]),
        (COMMANDS, {"type": "set", "args": {"values": {"robots.count": 2, "demand.due_h": -1}}},
         ["/args/values/robots.count", "/args/values/demand.due_h"]),
        (COMMANDS, {"type": "change_policy", "args": {"allocation": "best"}}, ["/args/allocation"]),
        (ALLOCATE, {"boxes": [{"sku": "A"}, {"sku": "Z"}, {"sku": "a"}]}, ["/boxes/1/sku", "/boxes/2/sku"]),
    ],
)  # fmt: skip
def test_misfit_is_pointed_at(served, client, target, body, pointers):
    """What has the right form and does not fit is a 409 that points at every misfit as it was sent."""
    document = problem(served, "POST", target, body)
    assert (document["status"], document["type"]) == (409, "/problems/does-not-fit")
    assert sorted(error["pointer"] for error in document["errors"]) == sorted(pointers)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("GET", path, None) for path in (
            "/health", "/ready", "/metrics", "/scenarios", "/scenarios/tiny", "/scenario-schema", "/policies", "/kpis",
            "/commands", "/problems", "/problems/invalid", "/openapi.json", "/docs", "/docs.css", "/docs.svg", "/runs/r1",
            "/runs/r1/scenario", "/runs/r1/commands/c1", "/runs/r1/live",
        )),
        ("POST", "/runs", {"scenario": "tiny"}), ("POST", "/runs/r1/branch", {"at": 0}), ("POST", ALLOCATE, {"boxes": [{"sku": "A"}]}),
        ("POST", "/runs/r1/commands", {"type": "count"}), ("PATCH", "/runs/r1", {"name": "other"}), ("DELETE", "/runs/r1", None),
    ],
)  # fmt: skip
def test_needless_query_is_refused(served, client, method, path, body):
    """Where nothing can be asked a query is refused by its names, and nothing is done."""
    before = client.get("/runs")
    document = problem(served, method, f"{path}?at=5&limit=", body)
    assert (document["status"], document["type"]) == (422, "/problems/invalid")
    assert [error["pointer"] for error in document["errors"]] == ["/at", "/limit"]
    after = client.get("/runs")
    assert [(run["id"], run["name"]) for run in after["runs"]] == [
        (run["id"], run["name"]) for run in before["runs"]
    ]
    assert client.get("/runs/r1/commands")["commands"] == []


# --- what is known already -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_weeks():
    """The run of two weeks in this process, with a count of everything after an hour."""
    simulation = Simulation(load("tiny", ["time.days=14"]))
    replay(simulation, [Entry(1000 * HOUR, 1, "count", {})], simulation.end_ms)
    return simulation


@pytest.fixture(scope="module")
def stillness(two_weeks):
    """The longest time in which that run has no new fact: from a fact to the next one, in seconds, and facts before."""
    times = [row[0] for row in two_weeks.trace.rows()]
    lasted, at = max((then - now, k) for k, (now, then) in enumerate(pairwise(times)))
    # From Friday afternoon, when the last order is handed over, to Monday.
    assert lasted > 2 * DAY_MS
    return times[at] / 1000, times[at + 1] / 1000, at + 1


def test_versions_last_as_long_as_answers(served, client, stillness):
    """Without new facts a version by facts stays for days, one by day until midnight; one by time changes with time."""
    first, last, facts = stillness
    name = begun(client)
    step_to(client, name, HOUR)
    assert client.settled(client.command("count", run=name))["state"] == "applied"
    # Twice on Friday, a simulated day later, an hour later.
    instants = [
        first + 5 * MINUTE,
        first + 65 * MINUTE,
        first + 65 * MINUTE + DAY,
        first + 125 * MINUTE + DAY,
    ]
    assert [at // DAY for at in instants] == [4, 4, 5, 5]
    seen = defaultdict(list)
    for at in (*instants, last + 1):
        assert (step_to(client, name, at)["facts"] == facts) is (at < last)
        for spec in VIEWS_OVER_HTTP:
            status, headers, text = raw(served, "GET", path_of(spec, name))
            assert status == 200, spec
            seen[spec].append((headers["ETag"], unstamped(json.loads(text))))
    for spec, found in seen.items():
        tags = [tag for tag, _ in found]
        assert len({tag for tag, _ in found[:4]}) == {"facts": 1, "day": 2, "time": 4}[spec.by], spec
        assert tags[4] not in tags[:4]
        for k in range(3):
            assert tags[k] != tags[k + 1] or found[k] == found[k + 1], spec
    days = {spec.view: [answer for _, answer in found] for spec, found in seen.items()}
    assert days["boxes"][1]["boxes"][0]["age_days"] + 1 == days["boxes"][2]["boxes"][0]["age_days"]


@pytest.mark.parametrize("spec", VIEWS_OVER_HTTP, ids=lambda spec: spec.view)
def test_known_version_is_not_sent_again(served, stood, spec):
    """A view is answered with 304 to who names its version, strong or weak, alone or among others; else with 200."""
    target = path_of(spec, stood)
    status, told, text = raw(served, "GET", target)
    tag = told["ETag"]
    bare = tag.removeprefix("W/")
    assert (status, tag, bare[0], bare[-1]) == (200, f"W/{bare}", '"', '"')
    for known in (tag, bare, f'"x", {tag}', f'{bare},"x"', f'W/"x" ,\t{bare} , "y"', "*"):
        status, headers, body = raw(served, "GET", target, headers={"If-None-Match": known})
        assert (status, headers["ETag"], body) == (304, tag, b""), known
        assert headers["Cache-Control"] == told["Cache-Control"] == "no-cache"
    for other in ('"x"', 'W/"x"', bare[:-2] + '"', bare[1:-1], f"{bare}x", ""):
        status, headers, body = raw(served, "GET", target, headers={"If-None-Match": other})
        assert (status, headers["ETag"], body) == (200, tag, text), other


EVENTFUL = (
    "time.days=6", "records.scale=300", "records.check_finds=0.5", "counting.plan=cyclic", "counting.slots_per_day=6",
    "faults.scale=100", "demand.max_age_days=40", 'control.recalls=[{day=3, lot="largest"}]', "returns.unused_share=0.5",
    "returns.unused_days_min=1", "returns.unused_days_max=1", "reverify.days_min=1", "reverify.days_max=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def eventful():
    """Six days of a small store in which all goes wrong that can, its facts, and its stretches without any, in ms."""
    run = Simulation(load("tiny", EVENTFUL))
    run.finish()
    for kind in (
        "error_made",
        "fault_began",
        "lot_recalled",
        "slot_counted",
        "box_came_back",
    ):
        assert run.trace.table(kind)["seq"].size, kind
    times = [*(row[0] for row in run.trace.rows()), run.end_ms + 1]
    still = [(k + 1, now, then - 1) for k, (now, then) in enumerate(pairwise(times)) if then - now > 1]
    return run, Followed(run.trace), Kept(), still


QUERIES = {
    "slots": [{}, {"status": "open"}, {"sku": "A", "min_fill": 0.5}], "boxes": [{}, {"min_age_days": 30}, {"verified_before": "2026-02-01"}],
    "meters": [{"min_age_days": 30}, {"status": "issued_pending_install"}], "lots": [{}, {"recalled": True}],
    "stock": [{"by": "sku"}, {"by": "lot"}, {"by": "zone"}], "racks": [{"by": by} for by in ("boxes", "age", "sku", "visits", "count")],
}  # fmt: skip


@given(st.data(), st.sampled_from(["records", "truth"]))
@settings(max_examples=20)
def test_time_alone_changes_no_such_answer(eventful, data, side):
    """Between two instants of one day with the same facts, answers by facts or by day differ in their stamp alone."""
    run, trace, keep, still = eventful
    facts, first, last = data.draw(st.sampled_from(still))
    t_ms = sorted(data.draw(st.tuples(st.integers(first, last), st.integers(first, last))))
    if t_ms[0] // DAY_MS != t_ms[1] // DAY_MS:
        t_ms[0] = t_ms[1] // DAY_MS * DAY_MS
    names = {
        "slot": run.layout.names[: run.layout.slots], "box": [str(box) for box in run.trace.table("box_created")["box"].tolist()],
        "lot": [str(lot) for lot in run.trace.table("lot_created")["lot"].tolist()],
    }  # fmt: skip
    then, later = (
        Instant("r1", trace.until(facts), run.scenario, run.layout, run.names(), at, side, keep)
        for at in t_ms
    )
    known = {
        "box": then.table("box_created")["box"].size,
        "lot": then.table("lot_created")["lot"].size,
        "slot": run.layout.slots,
    }
    for spec in VIEWS_OVER_HTTP:
        if spec.by == "time":
            continue
        queries = QUERIES.get(spec.view, [{}])
        for key in spec.keys:
            number = data.draw(st.integers(0, known["box" if key == "asset" else key] - 1), label=spec.view)
            queries = [{key: asset_number(15 * number) if key == "asset" else names[key][number]}]
        for query in queries:
            assert unstamped(VIEWS[spec.view](then, query)) == unstamped(VIEWS[spec.view](later, query)), (
                spec,
                query,
            )


def test_version_is_of_the_answer(served, client, live):
    """While commands change values of the scenario each version belongs to one answer: none names a newer state."""
    step_to(client, live, 9 * HOUR)
    seen, over = defaultdict(set), threading.Event()

    def poll():
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        with contextlib.closing(connection):
            while not over.is_set():
                connection.request("GET", f"/runs/{live}/stock")
                answer = connection.getresponse()
                seen[answer.headers["ETag"]].add(answer.read())

    pollers = [threading.Thread(target=poll) for _ in range(4)]
    for each in pollers:
        each.start()
    try:
        for orders in range(10, 22):
            client.settled(client.command("set", {"values": {"demand.orders_per_day": orders}}, run=live))
    finally:
        over.set()
        for each in pollers:
            each.join()
    assert len(seen) >= 3
    assert {tag: len(answers) for tag, answers in seen.items() if len(answers) > 1} == {}


def test_answer_at_hand_is_of_its_version():
    """When a run goes on while its answer is put together, text and version are still of one instant."""
    run = SimpleNamespace(
        id="r1", is_over=False, where=Where(1, 10), version=lambda _, where, changes: f"r1-{where.facts}"
    )

    def goes_on(_):
        run.where = Where(2, 11)
        return b"of 10 facts"

    async def ready_run(_):
        return run

    async def commands_of(_):
        return ()

    async def ask(*_, **__):
        return Message({"t_ms": run.where.t_ms, "facts": run.where.facts, "changes": 0}, b"of 11 facts")

    runs = SimpleNamespace(ready_run=ready_run, commands_of=commands_of, slots_text=goes_on, ask=ask)
    request = SimpleNamespace(
        scope={PRINCIPAL: Principal("reader", frozenset({READ}))},
        app=SimpleNamespace(state=SimpleNamespace(runs=runs)),
    )
    answer = asyncio.run(_state(request, "r1", VIEWS_OVER_HTTP[0], SlotsQuery(), {}, None))
    assert (answer.body, answer.headers["ETag"]) == (b"of 11 facts", 'W/"r1-11"')
    runs.slots_text = lambda _: b"of 11 facts, at once"
    answer = asyncio.run(_state(request, "r1", VIEWS_OVER_HTTP[0], SlotsQuery(), {}, None))
    assert (answer.body, answer.headers["ETag"]) == (b"of 11 facts, at once", 'W/"r1-11"')


# --- instants of the past --------------------------------------------------------------------------------

PAST = ("/slots", "/slots/1-01-1", "/stock", "/boxes", "/orders", "/kpis", "/robots")


def test_past_is_of_its_own_values(served, client, live):
    """What was true before a change of values is told as before, at its own versions; from the change on it is another."""
    changes = [
        {"t_s": 10.0 * HOUR, "type": "set", "args": {"values": {"demand.orders_per_day": 12.0, "policy.tolerance_days": 9}}},
        {"t_s": 12.0 * HOUR, "type": "change_policy", "args": {"allocation": "random"}},
    ]  # fmt: skip
    step_to(client, live, 9 * HOUR)
    before = {path: raw(served, "GET", f"/runs/{live}{path}?at={8 * HOUR}") for path in PAST}
    values = client.get(f"/runs/{live}/scenario")
    assert values["begun_with"] == values["now"]
    assert (values["changes"], values["t_s"]) == ([], 9 * HOUR)
    sent = [client.command(each["type"], each["args"], run=live, apply_at=each["t_s"]) for each in changes]
    late = client.command("set", {"values": {"demand.due_h": 1}}, run=live, apply_at=11 * HOUR, if_version=0)
    step_to(client, live, 14 * HOUR)
    assert [client.settled(each)["state"] for each in (*sent, late)] == ["applied", "applied", "rejected"]

    def check():
        for path, (_, headers, body) in before.items():
            target = f"/runs/{live}{path}?at={8 * HOUR}"
            status, told, again = raw(served, "GET", target)
            assert (status, told["ETag"], again) == (200, headers["ETag"], body), path
            assert raw(served, "GET", target, headers={"If-None-Match": headers["ETag"]})[0] == 304
        # Safety stock: 2 days of 6 (then 12) orders of 20 meters a day, four fifths of them for A.
        for at, stock in ((10 * HOUR - 0.001, 192), (10 * HOUR, 384), (14 * HOUR, 384)):
            told = client.get(f"/runs/{live}/stock", at=at)
            assert [line["safety"] for line in told["lines"]] == [stock, stock // 4]
        assert client.get(f"/runs/{live}/stock")["lines"][0]["safety"] == 384
        told = client.get(f"/runs/{live}/scenario")
        assert told["begun_with"] == values["begun_with"]
        assert told["changes"] == changes
        expected = json.loads(json.dumps(values["now"]))
        expected["demand"]["orders_per_day"] = 12.0
        expected["policy"].update(tolerance_days=9, allocation="random")
        assert told["now"] == expected

    check()
    client.steer(live, state="stopped")
    check()


# --- cursors ---------------------------------------------------------------------------------------------

LISTS = (
    ("/slots", "slots", {"limit": 5}), ("/slots", "slots", {"limit": 2, "row": 1}), ("/boxes", "boxes", {"limit": 7}),
    ("/boxes", "boxes", {"limit": 3, "sku": "B"}), ("/meters", "meters", {"limit": 150, "sku": "A"}), ("/lots", "lots", {"limit": 2}),
    ("/tasks", "tasks", {"limit": 2, "class": "issue"}), ("/orders", "orders", {"limit": 2}),
    ("/events", "events", {"limit": 20, "kind": "robot_stretch", "sort": "newest"}), ("/events", "events", {"limit": 120, "after_seq": 40}),
    ("/slots/1-01-1/history", "events", {"limit": 4}), ("/robots/0/history", "events", {"limit": 40, "sort": "newest"}),
)  # fmt: skip


def rest_of(client, path, key, query, page):
    """The three pages after a page, as far as there are any, and the instants that they are of."""
    pages = []
    while page["next"] and len(pages) < 3:
        page = client.get(path, **query, cursor=page["next"])
        pages.append(page)
    return [each[key] for each in pages], [(each["t_s"], each["facts"]) for each in pages]


def values_of(cursor):
    """What a cursor says, as anybody can read it."""
    values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    del values["c"]
    return values


def test_tampered_cursor_is_refused(served, client, stood):
    """A cursor with a character changed, lost or added is refused, and so is one with other values in it."""
    path = f"/runs/{stood}/events"
    cursor = client.get(path, limit=1)["next"]
    spoilt = {
        cursor[:-1],
        cursor[:-4],
        cursor[4:],
        f"{cursor}A",
        f"{cursor}AAAA",
        cursor * 2,
        cursor.swapcase(),
    }
    for at, letter in enumerate(cursor):
        spoilt.add(cursor[:at] + ("A" if letter != "A" else "9") + cursor[at + 1 :])
    whole = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for change in ({"a": whole["a"] + 1}, {"f": 10**9}, {"f": 0}, {"t": 0}, {"a": None}, {"z": 1}, {"c": ""}):
        text = json.dumps({**whole, **change}, separators=(",", ":"))
        spoilt.add(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))
    assert cursor not in spoilt
    for each in sorted(spoilt):
        document = problem(served, "GET", f"{path}?limit=1&cursor={each}")
        assert (document["status"], document["errors"][0]["pointer"]) == (409, "/cursor"), each
    assert client.get(path, limit=1, cursor=cursor)["events"][0]["seq"] == whole["a"] + 1


@pytest.mark.parametrize(
    ("path", "change", "kind"),
    [
        ("/boxes", {"f": 1}, "conflict"), ("/boxes", {"t": 1}, "conflict"), ("/boxes", {"a": "3"}, "does-not-fit"),
        ("/boxes", {"a": -1}, "does-not-fit"), ("/boxes", {"a": 2**62}, "does-not-fit"), ("/meters", {"a": 3}, "does-not-fit"),
        ("/meters", {"a": "9930001x"}, "does-not-fit"), ("/meters", {"a": ""}, "does-not-fit"),
    ],
)  # fmt: skip
def test_impossible_cursor_is_refused(served, client, stood, path, change, kind):
    """A cursor made by somebody who knows how is refused as well, when the run was never so, or no list goes on there."""
    values = values_of(client.get(f"/runs/{stood}{path}", limit=1)["next"])
    made = {key: values[key] + value if key in "ft" else value for key, value in change.items()}
    document = problem(served, "GET", f"/runs/{stood}{path}?cursor={cursors.encoded({**values, **made})}")
    assert (document["status"], document["type"]) == (409, f"/problems/{kind}")


def test_cursor_goes_with_its_list(served, client, stood):
    """A cursor of another list, run, side, slot or filter is refused; how many at a time may change."""
    of = {
        target: client.request("GET", target)[2]["next"] for target in (
            f"/runs/{stood}/boxes?limit=1", f"/runs/{stood}/boxes?limit=1&sku=A", f"/runs/{stood}/boxes?limit=1&view=truth",
            f"/runs/{stood}/slots?limit=1", f"/runs/{stood}/slots/1-01-1/history?limit=1", f"/runs/{stood}/slots/1-01-2/history?limit=1",
            f"/runs/{stood}/slots/1-01-1/history?limit=1&sort=newest", f"/runs/{stood}/events?limit=1",
            f"/runs/{stood}/events?limit=1&after_seq=1", f"/runs/{stood}/events?limit=1&from=3600", f"/runs/{stood}/lots?limit=1",
            "/runs/r1/boxes?limit=1", "/runs?limit=1", "/runs?limit=1&scenario=tiny",
        )
    }  # fmt: skip
    assert all(of.values())
    for target in of:
        for other, cursor in of.items():
            status, _, text = raw(served, "GET", f"{target}&cursor={cursor}")
            assert status == (200 if target == other else 409), (target, other, text)
    target = f"/runs/{stood}/boxes?limit=1"
    assert raw(served, "GET", f"{target.replace('=1', '=2')}&cursor={of[target]}")[0] == 200
    problem_of = problem(served, "GET", f"/runs/{stood}/commands?cursor={of[target]}")
    assert (problem_of["status"], problem_of["errors"][0]["pointer"]) == (409, "/cursor")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A server that a test may stop, kill and start again."""
    with Served(
        tmp_path_factory.mktemp("own") / "data", "tiny", "--set", "time.days=14", "--speed", "1", "--truth"
    ) as server:
        with server.client() as client:
            client.steer(state="paused")
            step_to(client, "current", 34 * HOUR)
        yield server
        assert "Traceback" not in server.log()


def test_cursors_outlive_the_server(own):
    """After a restart a list goes on from the cursor of before, with the pages that would have come; so do past instants."""
    with own.client() as client:
        for slot in ("1-01-1", "1-01-2", "1-02-1"):
            client.settled(client.command("block_slot", {"slot": slot}))
        client.settled(client.command("set", {"values": {"demand.orders_per_day": 12}}))
        over = client.start("tiny")["id"]
        client.wait(over, 30)
        chosen = [("r1", *each) for each in LISTS] + [(over, *each) for each in LISTS[::3]]
        lists = [(f"/runs/{run}{path}", key, query) for run, path, key, query in chosen]
        firsts = [client.get(path, **query) for path, _, query in lists]
        rests = [rest_of(client, *each, first) for each, first in zip(lists, firsts, strict=True)]
        assert [each for each, (pages, _) in zip(lists, rests, strict=True) if not pages] == []
        commands = client.get("/runs/r1/commands", limit=2)
        past = [client.get("/runs/r1/stock", at=at) for at in (20 * HOUR, 34 * HOUR)]
        assert past[0]["lines"][0]["safety"] != past[1]["lines"][0]["safety"]
        values = client.get("/runs/r1/scenario")
    own.stop()
    with own.start().client() as client:
        for each, first, rest in zip(lists, firsts, rests, strict=True):
            assert rest_of(client, *each, first) == rest
            assert rest[1] == [(first["t_s"], first["facts"])] * len(rest[0])
        more = client.get("/runs/r1/commands", limit=2, cursor=commands["next"])
        assert [each["id"] for each in more["commands"]] == ["c3", "c4"]
        assert [client.get("/runs/r1/stock", at=at) for at in (20 * HOUR, 34 * HOUR)] == past
        assert client.get("/runs/r1/scenario") == values


def test_lost_second_leaves_no_version(own):
    """What a run has shown shortly before a crash may come otherwise: its versions are not known any more."""
    with own.client() as client:
        name = begun(client, set={"time.days": 36_500})
        client.steer(name, step_s=36_500 * DAY)
        with contextlib.closing(
            sqlite3.connect(own.folder / "registry.db", isolation_level=None)
        ) as database:
            database.execute("BEGIN IMMEDIATE")  # from here on nobody stores how far it has come
            (stored_ms,) = database.execute("SELECT t_ms FROM runs WHERE id = ?", (name,)).fetchone()
            wait_until(lambda: client.get(f"/runs/{name}")["t_s"] > stored_ms / 1000 + DAY)
            at = client.get(f"/runs/{name}")["t_s"] // 1
            wait_until(lambda: client.get(f"/runs/{name}")["t_s"] > at)
            target = f"/runs/{name}/slots?at={at}"
            _, headers, shown = raw(own, "GET", target)
            own.kill()
    with own.start().client() as client:
        told = client.get(f"/runs/{name}")
        assert (told["state"], told["t_s"]) == ("paused", stored_ms / 1000)
        client.settled(client.command("block_slot", {"slot": "1-01-1"}, run=name))
        step_to(client, name, at + 1)
        status, _, again = raw(own, "GET", target, headers={"If-None-Match": headers["ETag"]})
        assert status == 200
        assert json.loads(shown)["slots"][0]["status"] != json.loads(again)["slots"][0]["status"] == "blocked"


# --- commands --------------------------------------------------------------------------------------------


def test_command_tells_what_it_made(client, live):
    """An order that was sent names the order that it made, under which it is found; so do a truck and a count."""
    step_to(client, live, 9 * HOUR)
    lines = [{"sku": "B", "meters": 4}, {"sku": "A", "meters": 17}]
    accepted = client.command(
        "order", {"station": 3, "lines": lines, "due_in_s": 7200}, run=live, external_id="wms/1"
    )
    assert accepted["made"] is None or accepted["state"] == "applied"
    done = client.settled(accepted)
    told = client.get(f"/runs/{live}/orders/{done['made']['order']}")
    assert (told["released_s"], told["due_s"]) == (9 * HOUR, 11 * HOUR)
    assert [(line["sku"], line["meters"]) for line in told["lines"]] == [("B", 4), ("A", 17)]
    assert done["made"]["order"] == client.get(f"/runs/{live}/orders", limit=200)["orders"][-1]["order"]
    assert done["made"].get("task") in (None, *told["tasks"])
    truck = client.settled(client.command("delivery", {"loads": [{"sku": "A", "boxes": 2}]}, run=live))
    called = client.get(f"/runs/{live}/events", kind="truck_called_off", sort="newest", limit=1)["events"][0]
    assert truck["made"] == {"truck": called["truck"]}
    count = client.settled(client.command("count", {"slots": ["1-01-1"]}, run=live))
    assert client.get(f"/runs/{live}/counts/{count['made']['count']}")["planned_s"] == 9 * HOUR
    assert client.settled(client.command("block_slot", {"slot": "1-01-1"}, run=live))["made"] is None


def test_command_is_found_by_its_sender(client, live):
    """A command is found by the sender's name for it; sent again it is the same command, also when the run is over."""
    step_to(client, live, 9 * HOUR)
    body = {"type": "order", "args": {"lines": [{"sku": "A", "meters": 5}]}, "external_id": "wms:7/a"}
    first = client.settled(client.post(f"/runs/{live}/commands", body))
    client.settled(client.command("block_slot", {"slot": "1-01-1"}, run=live, external_id="wms:7/b"))
    client.settled(client.command("free_slot", {"slot": "1-01-1"}, run=live))

    def check():
        assert client.get(f"/runs/{live}/commands", external_id="wms:7/a")["commands"] == [first]
        assert client.get(f"/runs/{live}/commands", external_id="wms:7")["commands"] == []
        assert client.post(f"/runs/{live}/commands", body) == first
        with pytest.raises(Refused) as refused:
            client.post(f"/runs/{live}/commands", {**body, "args": {"lines": [{"sku": "A", "meters": 6}]}})
        assert (refused.value.status, refused.value.kind) == (409, "conflict")
        assert len(client.get(f"/runs/{live}/commands")["commands"]) == 3

    check()
    client.steer(live, state="stopped")
    check()
    with pytest.raises(Refused) as refused:
        client.post(f"/runs/{live}/commands", {**body, "external_id": "wms:8"})
    assert (refused.value.status, refused.value.detail) == (
        409,
        f"run {live} is over (stopped): it takes no commands",
    )


def test_stopped_run_rejects_what_waits(client):
    """A run that is stopped while it waits or stands rejects, in words, the commands that it has not carried out."""
    at_work = client.post("/runs", {"scenario": "tiny", "set": TWO_WEEKS, "speed": 1})["id"]
    waits = client.start("tiny")["id"]
    assert client.get(f"/runs/{waits}")["state"] == "queued"
    sent = client.command("block_slot", {"slot": "1-01-1"}, run=waits, external_id="early")
    assert (sent["state"], sent["t_s"], sent["made"]) == ("accepted", None, None)
    assert client.steer(waits, state="stopped")["state"] == "stopped"
    told = client.get(sent["links"]["self"])
    assert (told["state"], told["reason"], told["t_s"]) == ("rejected", "the run is over (stopped)", None)
    assert told["settled_at"] is not None
    again = client.command("block_slot", {"slot": "1-01-1"}, run=waits, external_id="early")
    assert again == told
    stands = begun(client)
    step_to(client, stands, 9 * HOUR)
    later = [
        client.command("block_slot", {"slot": "1-01-1"}, run=stands, apply_at=at * HOUR) for at in (10, 11)
    ]
    assert [each["state"] for each in later] == ["accepted"] * 2
    assert client.steer(stands, state="stopped")["state"] == "stopped"
    for each in later:
        told = client.get(each["links"]["self"])
        assert (told["state"], told["reason"], told["t_s"]) == ("rejected", "the run ended at 32400 s", None)
    assert client.get(f"/runs/{stands}/slots/1-01-1")["status"] != "blocked"
    assert client.get(f"/runs/{at_work}")["state"] == "running"


def test_command_ends_not_before_it_acts(served, client, live):
    """An end before the time at which a command is to act is refused at its place, and nothing is in the log; one at it is not."""
    body = {"type": "block_slot", "args": {"slot": "1-01-1"}, "apply_at": 10.5, "expires_at": 10.499}
    document = problem(served, "POST", f"/runs/{live}/commands", body)
    assert (document["status"], document["type"]) == (409, "/problems/does-not-fit")
    assert [error["pointer"] for error in document["errors"]] == ["/expires_at"]
    assert client.get(f"/runs/{live}/commands")["commands"] == []
    sent = client.post(f"/runs/{live}/commands", {**body, "expires_at": 10.5})
    step_to(client, live, 60)
    assert (client.settled(sent)["state"], client.settled(sent)["t_s"]) == ("applied", 10.5)


# --- facts in pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["records", "truth"])
def test_facts_come_once(client, view):
    """Who asks for what is behind the last fact seen, while the run goes on, sees every fact once and in order."""
    sets = dict(each.split("=", 1) for each in EVENTFUL[1:3])
    name = begun(client, set={"time.days": 3, **{key: float(value) for key, value in sets.items()}})
    seen = []

    def behind():
        return client.get(
            f"/runs/{name}/events", view=view, limit=23, after_seq=seen[-1]["seq"] if seen else None
        )["events"]

    for k in range(1, 9):
        step_to(client, name, k * 6 * HOUR)
        for _ in range(k):  # sometimes all that there is, sometimes less
            seen += behind()
    while page := behind():
        seen += page
    whole = list(client.pages(f"/runs/{name}/events", "events", view=view, limit=200))
    assert seen == whole
    assert [fact["seq"] for fact in whole] == list(range(len(whole)))
    if view == "truth":
        assert len(whole) == client.get(f"/runs/{name}")["facts"]
    kind = client.get(f"/runs/{name}/events", view=view, kind="box_moved", limit=200, after_seq=100)["events"]
    assert kind == [fact for fact in whole if fact["kind"] == "box_moved" and fact["seq"] > 100][:200] != []
    assert client.get(f"/runs/{name}/events", view=view, after_seq=len(whole) - 1)["events"] == []
    assert client.get(f"/runs/{name}/events", view=view, after_seq=2**62)["events"] == []


# --- HEAD ------------------------------------------------------------------------------------------------


def heads(server, *requests):
    """Heads of answers to requests that are sent at once on one connection, each with the bytes of what follows it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        lines = [f"{line} HTTP/1.1\r\nHost: localhost:{server.port}\r\n{more}\r\n" for line, more in requests]
        wire.sendall("".join(lines).encode())
        seen = bytearray()
        while seen.count(b"HTTP/1.1 ") < len(requests) or not seen.endswith(b"}"):
            part = wire.recv(65_536)
            assert part, bytes(seen)
            seen += part
    return seen.split(b"HTTP/1.1 ")[1:]


@pytest.mark.parametrize(
    "path",
    [
        "/runs/{run}/slots", "/runs/{run}/slots/1-01-1", "/slots/1-01-9", "/runs/{run}/stock", "/runs", "/runs/{run}", "/nothing",
        "/runs/r999", "/runs/{run}/slots?x=1", "/runs/{run}/boxes?limit=2", "/runs/{run}/commands", "/runs/{run}/live", "/allocate",
    ],
)  # fmt: skip
def test_head_is_get_without_body(served, stood, path):
    """HEAD has the status and the headers of GET, the length too, and no byte behind them, whatever the answer."""
    path = path.format(run=stood)
    heads(served, (f"GET {path}", ""))  # from now on it is answered in the same manner
    # The third answer is sent with a body, so that the end is seen.
    head, get, health = heads(served, (f"HEAD {path}", ""), (f"GET {path}", ""), ("GET /health", ""))
    head_lines, get_lines = ([*each.partition(b"\r\n\r\n")[0].split(b"\r\n")] for each in (head, get))
    if path == "/allocate":  # it takes POST alone
        assert head_lines[0] == get_lines[0] == b"405 Method Not Allowed"
        get = get.replace(b"found GET", b"found HEAD")
    undated = [
        [line for line in lines if not line.lower().startswith(b"date:")] for lines in (head_lines, get_lines)
    ]
    assert sorted(undated[0]) == sorted(undated[1])
    assert head.endswith(b"\r\n\r\n")
    assert not get.endswith(b"\r\n\r\n")
    assert health.startswith(b"200 ")


@pytest.mark.parametrize(
    "path",
    [
        "/runs/{run}/slots",
        "/runs/{run}/slots/1-01-1",
        "/runs/{run}/stock",
        "/runs/{run}",
        "/runs/{run}/events",
    ],
)
def test_head_knows_versions(served, stood, path):
    """HEAD with a version that is known is a 304, as GET is; with another it is the whole, without its body."""
    path = path.format(run=stood)
    tag = raw(served, "HEAD", path)[1]["ETag"]
    for method in ("HEAD", "GET"):
        status, headers, body = raw(served, method, path, headers={"If-None-Match": f'"x", {tag}'})
        assert (status, headers["ETag"], body) == (304, tag, b"")
    for _ in range(2):  # worked out, and kept ready
        status, headers, body = raw(served, "HEAD", path, headers={"If-None-Match": '"x"'})
        assert (status, headers["ETag"], body) == (200, tag, b"")
        assert int(headers["Content-Length"]) == len(raw(served, "GET", path)[2])
