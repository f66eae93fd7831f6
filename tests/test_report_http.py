"""Reports of runs over HTTP, and the twenty questions: what is told, to whom, and what is refused in words."""

import http.client
import json

import pytest

from api.client import Refused
from api.views import KPIS_OF_TRUTH
from sim.studyfile import load_study, study_files
from tests.servers import ROOT, Served


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that may tell the truth, with a run that stands, and one with errors that is over."""
    folder = tmp_path_factory.mktemp("report") / "data"
    with Served(folder, "tiny", "--truth") as server, server.client() as client:
        client.patch("/runs/r1", {"state": "paused"})
        errors = {"records.scale": 1000, "demand.orders_per_day": 20}
        client.wait(client.post("/runs", {"scenario": "tiny", "seed": 2, "set": errors})["id"])
        yield server


def got(server, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_report_of_a_run(served):
    """The report is one page to be saved, with the run's digest, its KPIs, and nothing from elsewhere."""
    status, headers, body = got(served, "/runs/r2/report")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-disposition"] == 'attachment; filename="r2-report.html"'
    text = body.decode()
    with served.client() as client:
        run = client.get("/runs/r2")
        kpis = client.get("/runs/r2/kpis")["kpis"]
    assert run["digest"] in text
    assert all(name in text for name in kpis)
    assert "<script" not in text


def test_report_keeps_to_the_records(served):
    """What only the truth can tell is in the report of the truth, and not in that of the records."""
    records, truth = (
        got(served, f"/runs/r2/report?view={view}")[2].decode() for view in ("records", "truth")
    )
    for name in KPIS_OF_TRUTH:
        assert name in truth
        assert name not in records
    assert "Slots recorded right" in truth
    assert "Slots recorded right" not in records


def test_truth_needs_its_scope(tmp_path):
    """Without the right to see the truth its report is refused, and that of the records is not."""
    with Served(tmp_path / "data", "tiny") as server, server.client() as client:
        client.wait(client.post("/runs", {"scenario": "tiny"})["id"])
        assert got(server, "/runs/r2/report")[0] == 200
        status, _, body = got(server, "/runs/r2/report?view=truth")
        assert (status, json.loads(body)["type"]) == (403, "/problems/forbidden")


@pytest.mark.parametrize(
    ("run", "status", "detail"),
    [
        ("r1", 409, "run r1 is paused: there is a report when it is over"),
        ("r99", 404, "no run 'r99'"),
    ],
)
def test_report_is_refused_in_words(served, run, status, detail):
    """A run that goes on, and one that is not there, have none."""
    with served.client() as client, pytest.raises(Refused) as refused:
        client.get(f"/runs/{run}/report")
    assert refused.value.status == status
    assert refused.value.document["detail"].startswith(detail)


def test_questions_are_the_studies(served):
    """All twenty stand in order, as the studies ask them, with the answers that the repository keeps."""
    with served.client() as client:
        questions = client.get("/questions")["questions"]
    assert [each["number"] for each in questions] == list(range(1, 21))
    for each in questions:
        kept = json.loads(
            (ROOT / "docs" / "studies" / "questions" / f"{each['name']}.json").read_text("utf-8")
        )
        assert each["question"] == load_study(each["name"]).params.question == kept["question"]
        assert (each["answer"], each["decided"]) == (kept["answer"], kept["decided"])
        assert each["command"] == f"meterhouse study {each['name']}"
    assert {each["name"] for each in questions} == set(study_files())


def test_pictures_are_sent(served):
    """Each answer has a picture; a name that is no study has none."""
    with served.client() as client:
        questions = client.get("/questions")["questions"]
    status, headers, body = got(served, questions[0]["picture"], **{"Accept-Encoding": "gzip"})
    assert (status, headers["content-type"], headers["content-encoding"]) == (200, "image/svg+xml", "gzip")
    assert got(served, questions[0]["picture"])[2].startswith(b"<?xml")
    assert body[:2] == b"\x1f\x8b"
    for name in ("q99", "..%2Fcounting", "..%2F..%2Fpage"):
        assert got(served, f"/static/questions/{name}.svg")[0] == 404


def test_questions_without_answers(monkeypatch, tmp_path):
    """An installed package, which has no folder of answers, asks all the same and tells no answer."""
    from api import questions

    monkeypatch.setattr(questions, "_kept", lambda name, kind: tmp_path / f"{name}.{kind}")
    told = questions.questions()
    assert len(told) == 20
    assert {(each["answer"], each["decided"], each["picture"]) for each in told} == {(None, None, None)}
    assert all(each["question"] for each in told)
