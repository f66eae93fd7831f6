"""The book of a study: each replication once, whatever dies, on SQLite and PostgreSQL."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sim import studybook as module
from sim.engines import Dask, Failed, Local
from sim.jobs import Outcome, make_jobs, run_job
from sim.scenario import load, resolved
from sim.studybook import BOOK_FILE, Studybook, StudybookError, finish
from tests import databases
from tests.odd_jobs import hollow, tiny_jobs

durable_postgres = databases.durable_postgres
ROOT = Path(__file__).resolve().parents[1]

OUTCOME = Outcome(
    key="0123456789abcdef01234567",
    digest="ab" * 32,
    demand_digest="cd" * 32,
    facts=2**40,
    kpis={
        "orders": {"value": 3, "parts": {"released": 4, "仓库": None}, "unit": "orders"},
        "x": {"value": 0.1},
    },
    weeks={"orders": [1, 0.30000000000000004, None], "none": []},
    seconds=0.05,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a book can be, of either kind."""
    if request.param == "sqlite":
        yield str(tmp_path / "study")
        return
    with databases.postgres_database() as url:
        yield url


@pytest.fixture
def book(place):
    with Studybook(place) as opened:
        yield opened


@pytest.fixture
def on_file(tmp_path):
    with Studybook(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def odd(tmp_path, monkeypatch):
    monkeypatch.setenv("METERHOUSE_ODD", str(tmp_path))


def outcome(number: int) -> Outcome:
    return OUTCOME._replace(key=f"{number:024x}")


def store(book: Studybook, numbers: range) -> None:
    for number in numbers:
        book.add(outcome(number))


def refused(place) -> str:
    """The one line with which a book is refused."""
    with pytest.raises(StudybookError) as caught:
        Studybook(place)
    [line] = caught.value.lines
    return line


class Counted:
    """An engine in this process that notes what it is given."""

    def __init__(self, work=hollow):
        self.work, self.given, self.is_closed = work, [], False

    def run(self, jobs, *, workers):
        try:
            for job in jobs:
                self.given.append(job.replication)
                yield self.work(job)
        finally:
            self.is_closed = True


# --- rows ------------------------------------------------------------------------------------------------


def test_outcome_is_stored_whole(book, place):
    """An outcome comes back as it was given, also from another connection."""
    book.add(OUTCOME)
    assert book.done([OUTCOME.key]) == {OUTCOME.key: OUTCOME}
    with Studybook(place) as other:
        assert other.done([OUTCOME.key]) == {OUTCOME.key: OUTCOME}


def test_done_keeps_the_order_of_asking(book):
    """What is there comes in the order in which it was asked for, once; what is not there is left out."""
    store(book, range(1200))
    keys = [outcome(number).key for number in reversed(range(1300))]
    assert list(book.done([*keys, *keys])) == keys[100:]
    assert book.done([]) == {}
    assert book.done(["'; DROP TABLE study_replications; --", "", "仓库"]) == {}


def test_real_outcome_is_stored_whole(book):
    """What a run comes to comes back the same, figure by figure."""
    [job] = tiny_jobs(1, "time.days=8")
    found = run_job(job)
    book.add(found)
    assert book.done([job.key]) == {job.key: found}


def test_same_outcome_twice_is_one(book):
    """An outcome that two commands have come to is stored once."""
    book.add(OUTCOME)
    book.add(OUTCOME._replace(seconds=9.0))
    assert book.done([OUTCOME.key]) == {OUTCOME.key: OUTCOME}


def test_other_facts_of_the_same_work_are_said(book):
    """The same work with another digest is a broken promise, and what is there stays."""
    book.add(OUTCOME)
    expected = rf"{OUTCOME.key}: expected digest {'ab' * 32} again, found ee: the same work gave other facts$"
    with pytest.raises(StudybookError, match=expected):
        book.add(OUTCOME._replace(digest="ee"))
    assert book.done([OUTCOME.key]) == {OUTCOME.key: OUTCOME}


def test_failures_last_until_there_is_an_outcome(book):
    """A failure is told until the job has an outcome after all; the last reason counts."""
    failed = Failed(OUTCOME.key, "a robot of no speed\nand 仓库 \0", 1)
    book.add_failed(failed)
    book.add_failed(failed._replace(attempts=3))
    assert book.failed([OUTCOME.key, "other"]) == {
        OUTCOME.key: Failed(OUTCOME.key, "a robot of no speed\nand 仓库 \\0", 3)
    }
    assert book.done([OUTCOME.key]) == {}
    book.add(OUTCOME)
    assert book.failed([OUTCOME.key]) == {}


def test_meta_is_kept_by_study(place):
    """What is said about a study is kept under its name, and replaced by what is said later."""
    with Studybook(place, "one") as one, Studybook(place, "two") as two:
        assert one.meta("plan") is None
        one.set_meta("plan", {"cells": 3})
        two.set_meta("plan", ["仓库", 0.1, None])
        one.set_meta("plan", {"cells": 4})
        assert one.meta("plan") == {"cells": 4}
        assert two.meta("plan") == ["仓库", 0.1, None]


# --- finishing -------------------------------------------------------------------------------------------


def test_finish_runs_what_is_missing(book):
    """What is there is taken, what is missing is run and committed, in the order of the jobs."""
    jobs = tiny_jobs(5)
    for number in (1, 3):
        book.add(hollow(jobs[number]))
    engine, told = Counted(), []
    found = finish(iter(jobs), book, engine, 2, lambda *done: told.append(done))
    assert engine.given == [0, 2, 4]
    assert list(found) == [job.key for job in jobs]
    assert list(found.values()) == [hollow(job) for job in jobs]
    assert told == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert finish(jobs, book, again := Counted(), 2) == found
    assert again.given == []


def test_finish_does_the_same_work_once(book):
    """Two cells of one configuration are the same work."""
    values = resolved(load("tiny").scenario)
    jobs = [job for cell in range(2) for job in make_jobs(cell, values, 1, range(2))]
    engine = Counted()
    assert len(finish(jobs, book, engine, 1)) == 2
    assert engine.given == [0, 1]


def test_finish_tries_failures_again(book):
    """A failure is committed and told, and tried again the next time."""
    jobs = tiny_jobs(2)
    engine = Counted(lambda job: Failed(job.key, "no", 1) if job.replication else hollow(job))
    failed = Failed(jobs[1].key, "no", 1)
    assert finish(jobs, book, engine, 1)[jobs[1].key] == failed
    assert book.failed(job.key for job in jobs) == {failed.key: failed}
    again = Counted()
    assert finish(jobs, book, again, 1)[jobs[1].key] == hollow(jobs[1])
    assert again.given == [1]
    assert book.failed([failed.key]) == {}


def test_finish_takes_what_another_command_did(book, place):
    """What another command commits in the meantime is not run."""
    jobs, told = tiny_jobs(4), []
    with Studybook(place) as other:

        def work(job):
            if job.replication == 0:
                other.add(hollow(jobs[2]))
            return hollow(job)

        engine = Counted(work)
        found = finish(jobs, book, engine, 1, lambda *done: told.append(done))
    assert engine.given == [0, 1, 3]
    assert list(found.values()) == [hollow(job) for job in jobs]
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_finish_closes_its_engine(book):
    """Whatever is raised on the way, the engine is closed, and what was committed is there."""
    jobs, engine = tiny_jobs(4), Counted()

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(jobs, book, engine, 1, stop)
    assert engine.is_closed
    assert list(book.done(job.key for job in jobs)) == [jobs[0].key, jobs[1].key]


@pytest.mark.parametrize("engine", [Local, Dask])
def test_engines_finish_alike(tmp_path, engine):
    """The book of either engine holds the same, digest by digest."""
    jobs = tiny_jobs(4)
    with Studybook(tmp_path) as book:
        found = finish(jobs, book, engine(), 2)
        assert book.done(found) == found
    assert [each[:-1] for each in found.values()] == [run_job(job)[:-1] for job in jobs]


# --- what dies -------------------------------------------------------------------------------------------


def command(place: str, count: int) -> subprocess.Popen:
    """A command that finishes a study with two workers, and says so line by line."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.odd_jobs", place, str(count), "2"], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_killed_study_goes_on(place):
    """Killed half way with kill -9 and begun again, a study ends as one that nobody disturbed."""
    jobs = tiny_jobs(24)
    keys = [job.key for job in jobs]
    with command(place, len(jobs)) as first:
        while not first.stdout.readline().startswith("8 "):
            assert first.poll() is None
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    with Studybook(place) as book:
        before = book.done(keys)
    assert 8 <= len(before) < 24
    second = command(place, len(jobs))
    out, err = second.communicate()
    assert (second.returncode, err) == (0, "")
    assert out.splitlines()[0] == f"{len(before)} of 24"
    assert out.splitlines()[-1] == "24 of 24"
    assert len(out.splitlines()) == 24 - len(before) + 1
    with Studybook(place) as book:
        found = book.done(keys)
    # In every figure, the time that the first command needed among them, what was there has stayed.
    assert before.items() <= found.items()
    assert [each[:-1] for each in found.values()] == [run_job(job)[:-1] for job in jobs]


def test_two_commands_on_one_book(place):
    """Two commands that finish the same study at the same time both end, and each replication is there once."""
    jobs = tiny_jobs(10)
    both = [command(place, len(jobs)) for _ in range(2)]
    for each in both:
        out, err = each.communicate(timeout=100)
        assert (each.returncode, err) == (0, "")
        assert out.splitlines()[-1] == "10 of 10"
    with Studybook(place) as book:
        found = book.done(job.key for job in jobs)
    assert [each[:-1] for each in found.values()] == [run_job(job)[:-1] for job in jobs]


def test_opening_at_the_same_time(place):
    """Any number of commands may be the first to open a book."""
    program = "import sys; from sim.studybook import Studybook; Studybook(sys.argv[1]).close()"
    several = [
        subprocess.Popen([sys.executable, "-c", program, place], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    assert [each.communicate()[1] for each in several] == [b""] * 6


# --- books that cannot be used ---------------------------------------------------------------------------


def test_something_else_is_refused(tmp_path):
    """A file that is no database, and a database of something else, are refused and left as they are."""
    file = tmp_path / BOOK_FILE
    file.write_text("not a database" * 100)
    mend = "move the file away, and what it held is simulated again"
    expected = f"{file}: expected a study's book, found a damaged one: file is not a database; {mend}"
    assert refused(tmp_path) == expected
    assert file.read_text() == "not a database" * 100
    file.unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE runs (id)")
    assert refused(tmp_path) == f"{file}: expected a study's book, found a database of something else"


def test_torn_file_is_refused(tmp_path):
    """A book of which a page was overwritten or the end is missing is refused when it is opened."""
    with Studybook(tmp_path) as book:
        store(book, range(300))
    file = tmp_path / BOOK_FILE
    whole = file.read_bytes()
    assert len(whole) > 100_000
    for torn in (whole[:60_000] + b"\xff" * 8_000 + whole[68_000:], whole[: len(whole) // 2]):
        file.write_bytes(torn)
        assert f"{file}: expected a study's book, found a damaged one: " in refused(tmp_path)
    file.write_bytes(whole)
    Studybook(tmp_path).close()


def test_altered_row_is_refused(on_file):
    """A figure that is not the one that was stored is noticed."""
    on_file.add(OUTCOME)
    on_file._connection.execute("UPDATE study_replications SET kpis = replace(kpis, '0.1', '0.2')")
    with pytest.raises(
        StudybookError, match=rf"damaged one: replication {OUTCOME.key} is not as it was stored;"
    ):
        on_file.done([OUTCOME.key])


def test_other_form_is_refused(book, place):
    """A book of another version is refused in words."""
    book._execute("set_meta", {"study": "", "name": "format", "value": json.dumps(2)})
    expected = "expected a study's book of form 1, found one of form 2: another version of meterhouse made it"
    assert refused(place) == f"{book.place}: {expected}"


def test_full_disk_is_said(on_file, tmp_path):
    """On a full disk nothing is stored by halves; what was committed is there, and there is a line to read."""
    on_file.add(OUTCOME)
    large = outcome(1)._replace(kpis={"x": {"value": 1, "parts": {str(k): k for k in range(50_000)}}})
    line = f"{tmp_path / BOOK_FILE}: expected a book that can be read and written, found no room left on the disk"
    on_file._connection.execute("PRAGMA max_page_count=20")
    with pytest.raises(StudybookError) as caught:
        on_file.add(large)
    assert caught.value.lines == [f"{line} (database or disk is full)"]
    assert on_file.done([OUTCOME.key, large.key]) == {OUTCOME.key: OUTCOME}
    on_file._connection.execute("PRAGMA max_page_count=10000")
    on_file.add(large)
    assert on_file.done([large.key]) == {large.key: large}


def test_file_that_may_not_grow_is_said(on_file):
    """So does a file system that refuses to write."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, unlimited[1]))
    try:
        with pytest.raises(StudybookError, match=r"expected a book that can be read and written, found "):
            store(on_file, range(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, handler)
    stored = len(on_file.done(outcome(number).key for number in range(200)))
    assert 0 < stored < 200
    on_file.add(outcome(stored))
    assert len(on_file.done(outcome(number).key for number in range(200))) == stored + 1


def test_locked_file_is_said(tmp_path, monkeypatch):
    """A file that another program holds for longer than we wait is said."""
    monkeypatch.setattr(module, "WAIT_S", 1)
    file = tmp_path / BOOK_FILE
    with Studybook(tmp_path) as book, closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        line = f"{file}: expected a book that can be read and written, found it locked by another program"
        with pytest.raises(StudybookError) as caught:
            book.add(OUTCOME)
        assert caught.value.lines == [f"{line} (database is locked)"]
        other.execute("COMMIT")
        book.add(OUTCOME)


def test_no_folder_is_said(tmp_path):
    """A file in the place of the folder is said."""
    (tmp_path / "study").write_text("")
    line = f"{tmp_path / 'study' / BOOK_FILE}: expected a folder that can be written, found: file exists"
    assert refused(tmp_path / "study") == line


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "mysql://ann:secret@host/x",
            "mysql://ann:***@host/x: expected a folder or postgresql://USER:PASSWORD@HOST",
        ),
        (
            "postgresql://ann:secret@127.0.0.1:9/x",
            "postgresql://ann:***@127.0.0.1:9/x: expected a book that can be read and written, found that it cannot",
        ),
    ],
)
def test_addresses_are_said_without_their_password(url, line):
    """An address that is none, or where nobody is, is said without its password."""
    said = refused(url)
    assert said.startswith(line)
    assert "secret" not in said


def test_missing_driver_is_said(monkeypatch):
    """Without psycopg one line says what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    expected = "expected psycopg to be installed for PostgreSQL: pip install 'meterhouse[postgres]'"
    assert refused("postgresql://host/x") == f"postgresql://host/x: {expected}"


def test_lost_server_is_said(durable_postgres):
    """When the server stops, that is said, and what was committed is there when it is back."""
    server, url = durable_postgres
    with Studybook(url) as book:
        book.add(OUTCOME)
        server.stop()
        try:
            with pytest.raises(StudybookError, match=r"found that it cannot be reached \("):
                book.add(outcome(1))
        finally:
            server.start()
    with Studybook(url) as book:
        assert book.done([OUTCOME.key, outcome(1).key]) == {OUTCOME.key: OUTCOME}
