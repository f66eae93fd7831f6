"""The registry of runs and commands on SQLite and PostgreSQL, whatever happens to them; and API keys."""

import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from api import registry as module
from api.keys import SCOPES, KeyFault, find, make_key
from api.registry import (
    FIXED,
    Answer,
    CommandRow,
    Conflict,
    Idempotency,
    KeyRow,
    NewCommand,
    NewRun,
    NotFound,
    Registry,
    RegistryError,
    Repeated,
    RunRow,
    Settled,
    Stored,
    Unavailable,
    registry_url,
)
from tests import databases

database_url = databases.database_url
durable_postgres = databases.durable_postgres

# Children are forked from a process that has imported this module and is otherwise idle.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.test_registry", "alembic.command", "alembic.script", "psycopg"])

RUN = NewRun(
    name="a peak",
    mode="live",
    scenario_name="tiny",
    scenario_id="ab" * 32,
    seed=2**63 - 1,
    resolved={"name": "tiny", "robots": {"count": 2, "speed_m_per_s": 1.5}, "text": "仓库 \0 \ud800"},
    model_version="2",
    end_ms=86_400_000,
    created_by="key 1a2b3c4d",
    speed=60.0,
    time_limit_s=1.5,
    memory_limit_mb=512,
)
BLOCK = NewCommand(type="slot.block", args={"slot": "2-07-3", "why": ["duct", 1, None]}, created_by="ann")


@pytest.fixture
def registry(database_url):
    with Registry(database_url) as opened:
        yield opened


@pytest.fixture
def on_file(tmp_path):
    with Registry(registry_url(tmp_path)) as opened:
        yield opened


def is_now(instant: datetime) -> bool:
    """In UTC, and within the last minute."""
    return instant.tzinfo is UTC and timedelta(0) <= datetime.now(UTC) - instant < timedelta(minutes=1)


def sql(registry: Registry, statement: str) -> list:
    with registry._writing() as connection:
        result = connection.exec_driver_sql(statement)
        return result.all() if result.returns_rows else []


def asked(key: str, fingerprint: str = "f", principal: str = "ann") -> Idempotency:
    """A request whose answer names the row it made."""
    return Idempotency(
        principal,
        key,
        fingerprint,
        lambda row: Answer(202, {"Location": f"/{row.id}"}, b'{"id": "\xc3\xa9"}'),
    )


def refused_at_opening(url: str) -> list[str]:
    registry = Registry(url)
    with pytest.raises(RegistryError) as caught:
        registry.open()
    assert not registry.is_ready()
    return caught.value.lines


# --- runs ------------------------------------------------------------------------------------------------


def test_run_is_stored_whole(registry):
    """A run comes back as it was given, with its number, the instant and empty results."""
    row = registry.add_run(RUN)
    assert row == RunRow(
        id="r1",
        number=1,
        name="a peak",
        mode="live",
        state="queued",
        speed=60.0,
        scenario_name="tiny",
        scenario_id="ab" * 32,
        seed=9_223_372_036_854_775_807,
        resolved={"name": "tiny", "robots": {"count": 2, "speed_m_per_s": 1.5}, "text": "仓库 \0 \ud800"},
        model_version="2",
        end_ms=86_400_000,
        t_ms=0,
        facts=0,
        digest=None,
        demand_digest=None,
        error=None,
        parent=None,
        parent_t_ms=None,
        incarnation=1,
        created_at=row.created_at,
        started_at=None,
        ended_at=None,
        created_by="key 1a2b3c4d",
        time_limit_s=1.5,
        memory_limit_mb=512,
        size_bytes=0,
        kpis=None,
        limits=None,
        keep=False,
    )
    assert is_now(row.created_at)
    assert list(row.resolved) == ["name", "robots", "text"]
    assert registry.run("r1") == row
    assert registry.runs() == [row]


def test_runs_stand_by_number(registry):
    """Runs are listed in the order of their numbers: r10 comes after r9."""
    for _ in range(11):
        registry.add_run(RUN)
    assert [row.id for row in registry.runs()] == [f"r{number}" for number in range(1, 12)]


def test_number_is_never_reused(registry):
    """The number of a deleted run is not given again, also when it was the last and the registry was closed."""
    assert [registry.add_run(RUN).id for _ in range(2)] == ["r1", "r2"]
    assert registry.delete_run("r2")
    registry.close()
    registry.open()
    assert registry.add_run(RUN).id == "r3"
    assert [row.id for row in registry.runs()] == ["r1", "r3"]


@pytest.mark.parametrize(
    "id", ["r2", "r01", "R1", "1", "", "r", "r-1", "r1\0", "r1\n", "r1\ud800", "r\u0661", "r" + "9" * 30]
)
def test_strange_ids_are_not_there(registry, id):
    """What is not the id of a run finds none, deletes none and has no commands, whatever its characters."""
    registry.add_run(RUN, commands=[BLOCK])
    assert registry.run(id) is None
    assert not registry.delete_run(id)
    assert registry.commands(id) == []
    assert registry.command(id, "c1") is None
    assert registry.command("r1", id.replace("r", "c")) is None
    with pytest.raises(NotFound, match=r"^no run '.*'; runs are listed at /runs$"):
        registry.update_run(id, state="running")
    with pytest.raises(NotFound, match="no run"):
        registry.add_command(id, BLOCK)
    assert len(registry.commands("r1")) == 1


def test_update_changes_what_is_named(registry):
    """An update changes the named fields, gives the row as it then is, and leaves other runs alone."""
    first, second = registry.add_run(RUN), registry.add_run(RUN)
    started = datetime(2026, 3, 2, 8, 0, 0, 123_456, timezone(timedelta(hours=8)))
    changes = {
        "name": "仓库",
        "mode": "batch",
        "state": "finished",
        "speed": None,
        "end_ms": 5,
        "t_ms": 2**62,
        "facts": 7,
        "digest": "d",
        "demand_digest": "e",
        "error": "no room",
        "incarnation": 2,
        "started_at": started,
        "ended_at": started,
        "time_limit_s": None,
        "memory_limit_mb": None,
        "size_bytes": 2**40,
        "kpis": {"box_moves": {"value": 3.5, "unit": "1"}},
        "limits": "The robot.",
        "keep": True,
    }
    assert set(changes) | FIXED == {field.name for field in fields(RunRow)}
    row = registry.update_run("r1", **changes)
    assert row == replace(first, **changes)
    assert row.started_at is not None
    assert row.started_at.isoformat() == "2026-03-02T00:00:00.123456+00:00"
    assert registry.runs() == [row, second]
    assert registry.update_run("r1", kpis=None).kpis is None
    assert registry.update_run("r1") == replace(row, kpis=None)


def test_update_refuses_other_fields(registry):
    """A field that there is not, one that makes the run what it is, and a state that there is not are refused."""
    row = registry.add_run(RUN)
    with pytest.raises(
        TypeError, match=r"^runs\.stat cannot be changed: no such field, did you mean 'state'\?$"
    ):
        registry.update_run("r1", name="x", stat="running")
    with pytest.raises(TypeError, match=r"^runs\.seed cannot be changed: it makes the run what it is$"):
        registry.update_run("r1", seed=2)
    with pytest.raises(ValueError, match=r"^runs\.state: expected 'queued', 'running', .*, found 'runing'$"):
        registry.update_run("r1", state="runing")
    with pytest.raises(ValueError, match=r"^runs\.mode: expected 'batch' or 'live', found nothing$"):
        registry.update_run("r1", mode=None)
    assert registry.runs() == [row]


def test_reached_is_stored_at_once(registry):
    """How far runs have come is stored for all of them, those that are gone left out."""
    rows = [registry.add_run(RUN) for _ in range(3)]
    registry.delete_run("r2")
    registry.reached([("r3", 3000, 30), ("r2", 2000, 20), ("r1", 1000, 10)])
    registry.reached([])
    assert registry.runs() == [replace(rows[0], t_ms=1000, facts=10), replace(rows[2], t_ms=3000, facts=30)]


def test_deleted_run_takes_its_commands(registry):
    """With a run go its commands, and nothing of other runs; its branches stay."""
    registry.add_run(RUN, commands=[BLOCK])
    branch = registry.add_run(replace(RUN, parent="r1", parent_t_ms=60_000), commands=[BLOCK])
    assert registry.delete_run("r1")
    assert not registry.delete_run("r1")
    assert registry.runs() == [branch]
    assert registry.commands("r1") == []
    assert [row.run for row in registry.commands("r2")] == ["r2"]


# --- commands --------------------------------------------------------------------------------------------


def test_command_is_stored_whole(registry):
    """A command comes back as it was given, under the next number of its run."""
    registry.add_run(RUN)
    registry.add_run(RUN)
    new = replace(BLOCK, external_id="wms-17", apply_at_ms=1000, expires_at_ms=2000, if_version=40)
    rows = [
        registry.add_command("r1", BLOCK),
        registry.add_command("r2", BLOCK),
        registry.add_command("r1", new),
    ]
    assert [(row.run, row.sequence, row.id) for row in rows] == [
        ("r1", 1, "c1"),
        ("r2", 1, "c1"),
        ("r1", 2, "c2"),
    ]
    assert rows[2] == CommandRow(
        run="r1",
        sequence=2,
        id="c2",
        type="slot.block",
        args={"slot": "2-07-3", "why": ["duct", 1, None]},
        external_id="wms-17",
        state="accepted",
        reason=None,
        apply_at_ms=1000,
        expires_at_ms=2000,
        if_version=40,
        t_ms=None,
        first_fact=None,
        made=None,
        facts=None,
        accepted_at=rows[2].accepted_at,
        settled_at=None,
        created_by="ann",
        inherited=False,
    )
    assert is_now(rows[2].accepted_at)
    assert registry.commands("r1") == [rows[0], rows[2]]
    assert registry.command("r1", "c2") == rows[2]
    assert registry.command("r2", "c2") is None


def test_same_external_id_is_one_command(registry):
    """A command sent again under its external id is the one that is stored; the order of keys says nothing."""
    registry.add_run(RUN)
    new = replace(BLOCK, external_id="wms-17", args={"a": 1, "b": {"c": 2, "d": 3}})
    row = registry.add_command("r1", new)
    registry.set_instants("r1", [(1, 5000)])
    again = replace(new, args={"b": {"d": 3, "c": 2}, "a": 1}, created_by="bob")
    assert registry.add_command("r1", again) == replace(row, t_ms=5000)
    assert len(registry.commands("r1")) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "slot.free"),
        ("args", {"n": True}),
        ("apply_at_ms", 1),
        ("expires_at_ms", 1),
        ("if_version", 1),
    ],
)
def test_external_id_stands_for_one_thing(registry, name, value):
    """A second command under an external id that asks for something else is a conflict; in another run it is not."""
    registry.add_run(RUN)
    registry.add_run(RUN)
    new = NewCommand(type="slot.block", args={"n": 1}, created_by="ann", external_id="wms-17")
    row = registry.add_command("r1", new)
    words = f"^external_id 'wms-17' is that of command c1, which has another {name}$"
    with pytest.raises(Conflict, match=words):
        registry.add_command("r1", replace(new, **{name: value}))
    assert registry.commands("r1") == [row]
    assert registry.add_command("r2", replace(new, **{name: value})).id == "c1"


def test_branch_inherits_commands(registry):
    """A branch is stored together with the commands of its parent, as they were, and goes on after them."""
    registry.add_run(RUN)
    registry.add_command("r1", replace(BLOCK, external_id="wms-17"))
    registry.add_command("r1", BLOCK)
    registry.set_instants("r1", [(1, 1000), (2, 2000)])
    registry.settle(
        "r1",
        [
            Settled(1, "applied", None, 12, 3, {"order": 7}),
            Settled(2, "rejected", "blocked already", None, None),
        ],
    )
    parent = registry.commands("r1")
    copied = [field.name for field in fields(NewCommand) if field.name != "inherited"]
    new = [NewCommand(**{name: getattr(row, name) for name in copied}, inherited=True) for row in parent]
    change = NewCommand(type="set", args={"robots.count": 2}, created_by="bob", t_ms=3000)
    branch = registry.add_run(replace(RUN, parent="r1", parent_t_ms=3000), commands=[*new, change])
    assert (branch.id, branch.parent, branch.parent_t_ms) == ("r2", "r1", 3000)
    rows = registry.commands("r2")
    assert rows[:2] == [replace(row, run="r2", inherited=True) for row in parent]
    assert (rows[2].id, rows[2].type, rows[2].t_ms, rows[2].inherited) == ("c3", "set", 3000, False)
    assert registry.add_command("r2", BLOCK).id == "c4"


def test_branch_is_all_or_nothing(registry):
    """When one of its commands cannot be stored, a branch is not there either."""
    twice = replace(BLOCK, external_id="wms-17")
    with pytest.raises(Conflict, match=r"^external_id 'wms-17' is that of two commands$"):
        registry.add_run(RUN, commands=[twice, BLOCK, twice])
    with pytest.raises(ValueError, match="expected text without NUL"):
        registry.add_run(RUN, commands=[BLOCK, replace(BLOCK, type="a\0")])
    assert registry.runs() == []
    assert sql(registry, "SELECT * FROM commands") == []


def test_instant_is_set_once(registry):
    """The instant at which a command takes effect never changes; one that would takes its whole list along."""
    registry.add_run(RUN, commands=[BLOCK] * 3)
    registry.set_instants("r1", [(1, 1000), (2, 1000)])
    registry.set_instants("r1", [(2, 1000)])
    with pytest.raises(RuntimeError, match=r"^command c2 of run r1 takes effect at 1000 ms, found 1001 ms$"):
        registry.set_instants("r1", [(3, 1000), (2, 1001)])
    with pytest.raises(NotFound, match=r"^no command 'c4' in run 'r1'$"):
        registry.set_instants("r1", [(3, 1000), (4, 1000)])
    assert [row.t_ms for row in registry.commands("r1")] == [1000, 1000, None]


def test_commands_settle_once(registry):
    """What became of a command stays; a replay may say the same again, and nothing else."""
    registry.add_run(RUN, commands=[BLOCK] * 4)
    new = registry.commands("r1")
    registry.settle(
        "r1",
        [
            Settled(1, "applied", None, 12, 3, {"order": 7}),
            Settled(2, "rejected", "blocked already", None, None),
        ],
    )
    registry.settle("r1", [Settled(3, "expired", "too late", None, None)])
    rows = registry.commands("r1")
    settled = [row.settled_at for row in rows]
    assert rows == [
        replace(new[0], state="applied", first_fact=12, facts=3, made={"order": 7}, settled_at=settled[0]),
        replace(new[1], state="rejected", reason="blocked already", settled_at=settled[1]),
        replace(new[2], state="expired", reason="too late", settled_at=settled[2]),
        new[3],
    ]
    assert all(map(is_now, settled[:3]))
    registry.settle(
        "r1",
        [
            Settled(1, "applied", None, 12, 3, {"order": 7}),
            Settled(2, "rejected", "in other words", None, None),
        ],
    )
    with pytest.raises(
        RuntimeError, match=r"^command c1 of run r1 came to \{'state': 'applied', .*, now to \{"
    ):
        registry.settle("r1", [Settled(4, "applied", None, 15, 1), Settled(1, "applied", None, 13, 3)])
    with pytest.raises(NotFound, match=r"^no command 'c5' in run 'r1'$"):
        registry.settle("r1", [Settled(4, "applied", None, 15, 1), Settled(5, "applied", None, 13, 3)])
    with pytest.raises(ValueError, match=r"expected 'applied', 'rejected' or 'expired', found 'accepted'$"):
        registry.settle("r1", [Settled(4, "applied", None, 15, 1), Settled(4, "accepted", None, None, None)])
    assert registry.commands("r1") == rows


# --- idempotency -----------------------------------------------------------------------------------------


def test_answer_is_stored_with_its_run(registry):
    """The answer to a request is stored with the run it made; the same request again makes no second run."""
    assert registry.idempotent("ann", "k") is None
    row = registry.add_run(RUN, idempotency=asked("k"))
    stored = registry.idempotent("ann", "k", "f")
    assert stored == Stored(
        202, {"Location": "/r1"}, b'{"id": "\xc3\xa9"}', fingerprint="f", created_at=stored.created_at
    )
    assert is_now(stored.created_at)
    with pytest.raises(Repeated) as caught:
        registry.add_run(RUN, idempotency=asked("k"))
    assert caught.value.stored == stored
    assert registry.runs() == [row]


def test_answer_is_stored_with_its_command(registry):
    """So it is with a command; its external id alone is enough to get the command, and then the answer is stored."""
    registry.add_run(RUN)
    row = registry.add_command("r1", replace(BLOCK, external_id="wms-17"), idempotency=asked("k"))
    with pytest.raises(Repeated, match=r"^the request was answered before$"):
        registry.add_command("r1", replace(BLOCK, external_id="wms-17"), idempotency=asked("k"))
    assert registry.add_command("r1", replace(BLOCK, external_id="wms-17"), idempotency=asked("l")) == row
    assert registry.idempotent("ann", "l").headers == {"Location": "/c1"}
    registry.delete_run("r1")
    with pytest.raises(Repeated):
        registry.add_command("r1", BLOCK, idempotency=asked("k"))


def test_key_stands_for_one_request(registry):
    """A key with another fingerprint is a conflict, wherever it is asked; another caller's key is another."""
    registry.add_run(RUN, idempotency=asked("k"))
    words = r"^the idempotency key was used for another request$"
    with pytest.raises(Conflict, match=words):
        registry.idempotent("ann", "k", "g")
    with pytest.raises(Conflict, match=words):
        registry.add_run(RUN, idempotency=asked("k", "g"))
    with pytest.raises(Conflict, match=words):
        registry.add_command("r1", BLOCK, idempotency=asked("k", "g"))
    assert registry.commands("r1") == []
    assert registry.idempotent("ann", "k").fingerprint == "f"
    assert registry.add_run(RUN, idempotency=asked("k", "g", "bob")).id == "r2"


def test_no_answer_no_run(registry):
    """When the answer cannot be made or stored, nothing is."""
    registry.add_run(RUN)

    def breaks(row):
        raise ZeroDivisionError(row.id)

    with pytest.raises(ZeroDivisionError, match="r2"):
        registry.add_run(RUN, idempotency=Idempotency("ann", "k", "f", breaks))
    with pytest.raises(ZeroDivisionError, match="c1"):
        registry.add_command("r1", BLOCK, idempotency=Idempotency("ann", "k", "f", breaks))
    with pytest.raises(TypeError, match="is not JSON serializable"):
        registry.add_run(
            RUN, idempotency=Idempotency("ann", "k", "f", lambda _: Answer(202, {"a": object()}, b""))
        )
    assert len(registry.runs()) == 1
    assert registry.commands("r1") == []
    assert registry.idempotent("ann", "k") is None


def test_old_answers_are_forgotten(registry):
    """Answers given before an instant are forgotten, the others stay."""
    registry.add_run(RUN, idempotency=asked("k"))
    between = datetime.now(UTC)
    registry.add_run(RUN, idempotency=asked("l"))
    assert registry.prune_idempotency(between) == 1
    assert registry.idempotent("ann", "k") is None
    assert registry.idempotent("ann", "l") is not None
    assert registry.prune_idempotency(between) == 0


# --- keys and settings -----------------------------------------------------------------------------------


def test_keys_are_stored_and_revoked(registry):
    """Keys are listed from the oldest; to revoke one twice leaves the first instant."""
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    old = KeyRow(id="ffffffff", name="the old", scopes=("runs:read",), hash="00", created_at=at)
    new = KeyRow(
        id="00000000",
        name="仓库",
        scopes=("runs:read", "admin"),
        hash="11",
        created_at=at + timedelta(1),
        expires_at=at,
    )
    registry.add_key(new)
    registry.add_key(old)
    assert registry.keys() == [old, new]
    with pytest.raises(Conflict, match=r"^there is a key '00000000' already$"):
        registry.add_key(replace(old, id="00000000"))
    revoked = registry.revoke_key("ffffffff")
    assert is_now(revoked.revoked_at)
    assert revoked == replace(old, revoked_at=revoked.revoked_at)
    assert registry.revoke_key("ffffffff") == revoked
    assert registry.keys() == [revoked, new]
    with pytest.raises(NotFound, match=r"^no key 'fffffff', did you mean 'ffffffff'\?$"):
        registry.revoke_key("fffffff")


def test_settings_are_kept(registry):
    """A setting keeps its last value until it is removed."""
    assert registry.setting("current") is None
    registry.set_setting("current", "r1")
    registry.set_setting("current", "r2")
    registry.set_setting("other", "")
    assert (registry.setting("current"), registry.setting("other")) == ("r2", "")
    registry.set_setting("current", None)
    assert (registry.setting("current"), registry.setting("other")) == (None, "")


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a\0b"}, r"^expected text without NUL or half of a surrogate pair, found 'a\\x00b'$"),
        ({"name": "\ud800"}, r"^expected text without NUL or half of a surrogate pair, found '\\ud800'$"),
        ({"name": None}, r"NOT NULL|not-null"),
        ({"t_ms": 2**63}, r"at most 64 bits|out of range"),
        ({"kpis": {"x": float("nan")}}, r"Out of range float values are not JSON compliant"),
        (
            {"started_at": datetime(2026, 3, 2, tzinfo=UTC).replace(tzinfo=None)},
            r"^expected an instant with its time zone, found 2026-03-02T00",
        ),
    ],
)
def test_value_no_database_keeps(registry, changes, words):
    """What cannot be stored is a ValueError on both databases, before anything is."""
    row = registry.add_run(RUN)
    with pytest.raises(ValueError, match=words):
        registry.update_run("r1", state="running", **changes)
    assert registry.runs() == [row]
    assert registry.is_ready()


def test_closed_registry_says_so(database_url):
    """A registry that is not open is not ready, and asking it is a mistake of ours."""
    registry = Registry(database_url)
    for _ in range(2):
        assert not registry.is_ready()
        with pytest.raises(RuntimeError, match=r"^the registry is not open$"):
            registry.runs()
        with registry:
            assert registry.is_ready()
        registry.close()


def test_rows_without_a_database_library():
    """The dataclasses, the errors and the keys are imported without SQLAlchemy, Alembic or a driver of PostgreSQL."""
    heavy = "{'sqlalchemy', 'alembic', 'psycopg', 'numpy', 'pydantic'}"
    code = f"import api.keys, sys; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_postgres_without_its_driver(monkeypatch):
    """Without psycopg the extra that brings it is named."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (line,) = refused_at_opening("postgresql://ann:secret@db/meterhouse")
    assert line.startswith(
        "postgresql://ann:***@db/meterhouse: expected psycopg to be installed for PostgreSQL: "
    )
    assert line.endswith(": pip install 'meterhouse[postgres]'")


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///", "mysql://a:b@c/d", "registry.db", ""]
)
def test_other_databases_are_refused(url):
    """Only a SQLite file and PostgreSQL are taken; a registry in memory would be lost."""
    shown = url.replace(":b@", ":***@")
    assert refused_at_opening(url) == [
        f"{shown}: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    ]


def test_password_is_never_shown():
    """Whoever reads an error learns no password, however it stands in the address."""
    for url in (
        "postgresql://ann:qq@zz/w:rd@localhost:1/x",
        "postgresql://ann:qq%40zz@localhost:1/x",
        "postgresql://localhost:1/x?user=ann&password=qq%40zz",
        "postgresql://ann:qq%40zz@localhost:no/x",
    ):
        (line,) = refused_at_opening(url)
        assert "***" in line
        assert not re.search("qq|zz|w:rd", line)


def test_missing_server_is_refused():
    """A server that does not answer is said in a line."""
    (line,) = refused_at_opening("postgresql://meterhouse@127.0.0.1:1/x")
    assert re.match(
        r"postgresql://meterhouse@127\.0\.0\.1:1/x: expected a database that can be opened, found: .*refused",
        line,
    )


def test_postgres_by_any_of_its_names(monkeypatch):
    """`postgres://`, `postgresql://` and `postgresql+psycopg://` are one; what the address sets is kept."""
    with databases.postgres_database() as url:
        rest = url.partition("://")[2]
        for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
            with Registry(f"{scheme}://{rest}?application_name=tested") as registry:
                assert sql(registry, "SHOW application_name") == [("tested",)]
                assert sql(registry, "SHOW synchronous_commit") == [("on",)]


def test_file_is_no_database(tmp_path):
    """A file that is something else is refused and left as it is."""
    file = tmp_path / "registry.db"
    file.write_text("not a database" * 100)
    assert refused_at_opening(registry_url(tmp_path)) == [
        f"{file}: expected a registry, found: file is not a database"
    ]
    assert file.read_text() == "not a database" * 100


def test_folder_that_cannot_be_made(tmp_path):
    """A data folder that cannot be there is said in a line; one that can is made."""
    (tmp_path / "file").touch()
    file = tmp_path / "file" / "data" / "registry.db"
    assert refused_at_opening(registry_url(file.parent)) == [
        f"{file}: expected a file that can be written, found: not a directory"
    ]
    with Registry(registry_url(tmp_path / "a" / "100% new? #1 ü")) as registry:
        assert registry.add_run(RUN).id == "r1"
    assert (tmp_path / "a" / "100% new? #1 ü" / "registry.db").exists()


def test_database_of_somebody_else(database_url):
    """A database whose tables are not ours is refused, and nothing of ours is left in it."""
    registry = Registry(database_url)
    with registry:
        for table in ("commands", "runs", "answers", "keys", "settings", "counters", "registry_version"):
            sql(registry, f"DROP TABLE {table}")
        sql(registry, "CREATE TABLE runs (id INTEGER)")
        assert not registry.is_ready()
        with pytest.raises(
            RegistryError, match=r": expected a registry, found: .*(settings|counters|number)"
        ):
            registry.add_run(RUN)
    (line,) = refused_at_opening(database_url)
    assert re.search(r": expected a registry, found: .*runs.* already exists", line)
    monitor = Registry(database_url)
    monitor._engine = engine_of(database_url)
    try:
        assert table_names(monitor) == {"runs"}
    finally:
        monitor.close()


# --- schema ----------------------------------------------------------------------------------------------


def engine_of(url: str):
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        module.make_file(file)
        return module.sqlite_engine(file, is_migrating=True)
    return module._postgres_engine(url, url)


def table_names(registry: Registry) -> set[str]:
    from sqlalchemy import inspect

    with registry._engine.begin() as connection:
        return set(inspect(connection).get_table_names())


@pytest.fixture
def migrated(database_url):
    """Runs one of Alembic's commands on the database."""
    from api.migrations import config_for

    engine = engine_of(database_url)

    def run(function, *arguments):
        with engine.begin() as connection:
            return function(config_for(connection), *arguments)

    yield run
    engine.dispose()


def test_schema_is_what_tables_say(registry, migrated):
    """The steps lead to the tables as they are declared."""
    from alembic import command

    migrated(command.check)


def test_schema_goes_up_and_down(database_url, migrated):
    """From nothing to the first revision, to the newest, back to nothing and up again."""
    from alembic import command

    registry = Registry(database_url)
    migrated(command.upgrade, "0001")
    with registry:
        row = registry.add_run(RUN, commands=[BLOCK])
        tables = table_names(registry)
    migrated(command.downgrade, "0001")
    with registry:
        assert registry.runs() == [row]
        assert len(registry.commands("r1")) == 1
        migrated(command.downgrade, "base")
        assert table_names(registry) == {"registry_version"}
        assert not registry.is_ready()
    with registry:
        assert registry.is_ready()
        assert table_names(registry) == tables
        assert registry.runs() == []


def test_newer_schema_is_refused(database_url):
    """A database that a newer meterhouse has changed is refused in words, and left as it is."""
    registry = Registry(database_url)
    with registry:
        registry.add_run(RUN)
        sql(registry, "UPDATE registry_version SET version_num = '0999'")
        assert not registry.is_ready()
    assert refused_at_opening(database_url) == [
        f"{registry.place}: expected a registry of revision 0001 or older, found 0999: a newer meterhouse made it"
    ]
    registry._engine = engine_of(database_url)
    try:
        assert sql(registry, "SELECT id FROM runs") == [("r1",)]
        assert sql(registry, "SELECT version_num FROM registry_version") == [("0999",)]
    finally:
        registry.close()


def test_failed_step_leaves_nothing(database_url, monkeypatch):
    """A step that fails halfway leaves no table behind, on SQLite neither."""
    from alembic.operations import Operations

    create = Operations.create_table

    def breaks(self, name, *arguments, **more):
        if name == "runs":
            raise ZeroDivisionError
        return create(self, name, *arguments, **more)

    registry = Registry(database_url)
    with monkeypatch.context() as patched:
        patched.setattr(Operations, "create_table", breaks)
        with pytest.raises(ZeroDivisionError):
            registry.open()
    registry._engine = engine_of(database_url)
    assert table_names(registry) == set()
    registry.close()
    with registry:
        assert registry.add_run(RUN).id == "r1"


def test_copied_table_keeps_its_commands(on_file):
    """A step that copies a table, as SQLite needs it, takes along nothing that refers to it."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    row = on_file.add_run(RUN, commands=[BLOCK])
    commands = on_file.commands("r1")
    engine = engine_of(on_file.url)
    with engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("runs", recreate="always") as batch:
            batch.alter_column("name", nullable=True)
    engine.dispose()
    assert on_file.runs() == [row]
    assert on_file.commands("r1") == commands
    assert on_file.delete_run("r1")
    assert on_file.add_run(RUN).id == "r2"


def test_step_may_not_tear_rows(tmp_path, monkeypatch):
    """A step that leaves rows which refer to nothing is not done."""
    from alembic import command

    def tears(config, _):
        upgrade(config, "head")
        config.attributes["connection"].exec_driver_sql(
            "INSERT INTO commands VALUES ('r9', 1, 't', '{}', NULL, 's', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, '', 0)"
        )

    upgrade = command.upgrade
    registry = Registry(registry_url(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", tears)
        with pytest.raises(
            RuntimeError, match=r"^rows of commands refer to nothing after the schema was changed$"
        ):
            registry.open()
    with registry:
        assert sql(registry, "SELECT * FROM commands") == []


def test_steps_are_package_data():
    """What Alembic reads is found in the package, wherever that is installed."""
    here = files("api.migrations")
    assert (here / "script.py.mako").is_file()
    assert (here / "versions" / "0001_first.py").is_file()


# --- side by side ----------------------------------------------------------------------------------------


def add_commands(url: str, who: str, count: int, start) -> None:
    with Registry(url) as registry:
        start.wait(30)
        for k in range(count):
            registry.add_command(
                "r1", replace(BLOCK, external_id=f"{who}-{k}"), idempotency=asked(f"{who}-{k}")
            )


def together(target, arguments: list[tuple]) -> None:
    """Run a function in processes of their own that begin at the same moment."""
    start = CHILDREN.Barrier(len(arguments))
    children = [CHILDREN.Process(target=target, args=(*each, start)) for each in arguments]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
        child.close()


def test_processes_share_a_log(registry, database_url):
    """Commands that several processes add to one run get the numbers 1, 2, ..., each once."""
    registry.add_run(RUN)
    together(add_commands, [(database_url, who, 20) for who in "abc"])
    rows = registry.commands("r1")
    assert [row.sequence for row in rows] == list(range(1, 61))
    for who in "abc":
        assert [row.external_id for row in rows if row.external_id[0] == who] == [
            f"{who}-{k}" for k in range(20)
        ]
    assert all(
        registry.idempotent("ann", row.external_id).headers == {"Location": f"/{row.id}"} for row in rows
    )


def test_threads_share_a_registry(registry):
    """So do threads that use one registry, even at once."""
    registry.add_run(RUN)
    threads = [
        threading.Thread(target=lambda: [registry.add_command("r1", BLOCK) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.sequence for row in registry.commands("r1")] == list(range(1, 41))


def open_at_once(urls: list[str], start) -> None:
    for url in urls:
        registry = Registry(url)
        start.wait(30)
        with registry:
            registry.add_run(RUN)


def test_processes_open_at_once(database_url, tmp_path):
    """Several processes may open an empty database at the same moment: one makes the tables."""
    urls = [database_url]
    if database_url.startswith("sqlite"):
        urls += [registry_url(tmp_path / str(k)) for k in range(12)]
    together(open_at_once, [(urls,)] * 4)
    for url in urls:
        with Registry(url) as registry:
            assert [row.number for row in registry.runs()] == [1, 2, 3, 4]


def add_same_run(url: str, start) -> None:
    with Registry(url) as registry:
        start.wait(30)
        with suppress(Repeated):
            registry.add_run(RUN, idempotency=asked("k"))
        assert registry.idempotent("ann", "k", "f").headers == {"Location": "/r1"}


def test_same_request_at_once(registry, database_url):
    """A request that is sent twice to two servers at the same moment makes one run, and has one answer."""
    together(add_same_run, [(database_url,)] * 4)
    assert [row.id for row in registry.runs()] == ["r1"]


def test_readers_wait_for_no_writer(registry, database_url, monkeypatch):
    """While somebody writes, others read what was there before; who would write waits, then is told."""
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    row = registry.add_run(RUN)
    with Registry(database_url) as other:
        with registry._writing() as connection:
            connection.exec_driver_sql("UPDATE runs SET facts = 9")
            assert other.runs() == [row]
            assert other.is_ready()
            with pytest.raises(Unavailable, match=r"^the registry is locked by someone else$") as caught:
                other.update_run("r1", facts=5)
            assert not caught.value.full
        assert other.update_run("r1", t_ms=5) == replace(row, t_ms=5, facts=9)


def test_busy_registry_says_so(database_url, monkeypatch):
    """Who asks while all connections are in use waits, then is told."""
    monkeypatch.setattr(module, "_ENGINE", {**module._ENGINE, "pool_timeout": 0.1})
    with Registry(database_url) as registry:
        with (
            registry._reading(),
            registry._reading(),
            pytest.raises(Unavailable, match=r"^the registry is busy$"),
        ):
            registry.runs()
        assert registry.runs() == []


def test_locked_database_is_refused(database_url, monkeypatch):
    """A database that somebody else holds cannot be opened, and the line says so."""
    monkeypatch.setattr(module, "WAIT_S", 0.2)
    engine = engine_of(database_url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            from api.migrations import _LOCK

            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        (line,) = refused_at_opening(database_url)
        assert re.search(r": expected a database that can be opened, found: .*(is locked|lock timeout)", line)
    engine.dispose()
    with Registry(database_url) as registry:
        assert registry.is_ready()


# --- killed ----------------------------------------------------------------------------------------------


def write_until_killed(url: str, told) -> None:
    """Runs with two commands and an answer each, told once they are acknowledged."""
    with Registry(url) as registry:
        while True:
            key = os.urandom(8).hex()
            row = registry.add_run(RUN, idempotency=asked(key), commands=[BLOCK, BLOCK])
            registry.update_run(row.id, state="running")
            told.send((row.id, key))


def until_end(pipe) -> Iterator:
    with closing(pipe), suppress(EOFError):
        while True:
            yield pipe.recv()


def test_killed_writer_loses_nothing(registry, database_url):
    """After kill -9, ten times, all that was acknowledged is there, and nothing by halves."""
    rng = random.Random(7)
    acknowledged = []
    for _ in range(10):
        ours, theirs = CHILDREN.Pipe(duplex=False)
        child = CHILDREN.Process(target=write_until_killed, args=(database_url, theirs))
        child.start()
        theirs.close()
        acknowledged += [ours.recv() for _ in range(rng.randrange(1, 8))]
        time.sleep(rng.random() * 0.005)
        child.kill()
        child.join()
        child.close()
        acknowledged += until_end(ours)
        rows = {row.id: row for row in registry.runs()}
        assert {id for id, _ in acknowledged} <= set(rows)
        # In one statement: PostgreSQL may still be at work on the last that the child said.
        whole = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM answers), (SELECT count(*) FROM commands)"
        ((runs, answers, commands),) = sql(registry, whole)
        assert (answers, commands) == (runs, 2 * runs)
    for id, key in acknowledged:
        assert rows[id].state == "running"
        assert registry.idempotent("ann", key, "f").headers == {"Location": f"/{id}"}
        assert [row.id for row in registry.commands(id)] == ["c1", "c2"]
    registry.close()
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(registry._file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# --- lost and back ---------------------------------------------------------------------------------------


def test_server_stops_and_comes_back(durable_postgres):
    """While PostgreSQL is down all is unavailable; afterwards the same registry goes on, without a word."""
    server, url = durable_postgres
    with Registry(url) as registry:
        row = registry.add_run(RUN)
        for mode in ("fast", "immediate"):
            server.stop(mode)
            try:
                assert not registry.is_ready()
                for ask in (registry.runs, lambda: registry.add_command("r1", BLOCK)):
                    with pytest.raises(Unavailable, match=r"^the registry cannot be reached$") as caught:
                        ask()
                    assert not caught.value.full
            finally:
                server.start()
            assert registry.is_ready()
            assert registry.runs() == [row]
            registry.add_command("r1", BLOCK)
        server.stop()
        server.start()
        assert [registry.add_command("r1", BLOCK).id for _ in range(2)] == ["c3", "c4"]


def test_server_crashes_under_a_writer(durable_postgres):
    """Who asks again with its external id after a crash has each command once, and none is lost."""
    server, url = durable_postgres
    with Registry(url) as registry:
        registry.add_run(RUN)
        done, lost, is_over = [], [], threading.Event()

        def write():
            while not is_over.is_set():
                try:
                    done.append(registry.add_command("r1", replace(BLOCK, external_id=f"wms-{len(done)}")).id)
                except Unavailable as error:
                    lost.append(error.reason)
                    time.sleep(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(2):
                before = len(done)
                while len(done) < before + 20:
                    time.sleep(0.01)
                server.stop("immediate")
                server.start()
        finally:
            is_over.set()
            writer.join(30)
        assert set(lost) == {"the registry cannot be reached"}
        rows = registry.commands("r1")
        assert [row.id for row in rows] == [f"c{k}" for k in range(1, len(rows) + 1)]
        assert done == [row.id for row in rows][: len(done)]
        assert len(rows) - len(done) in (0, 1)
        assert [row.external_id for row in rows] == [f"wms-{k}" for k in range(len(rows))]


def test_file_is_moved_and_comes_back(on_file, tmp_path):
    """A file that was moved takes no row that nobody would find; when it is back, the registry goes on."""
    row = on_file.add_run(RUN)
    (tmp_path / "away").mkdir()
    for name in ("registry.db", "registry.db-wal", "registry.db-shm"):
        (tmp_path / name).rename(tmp_path / "away" / name)
    assert not on_file.is_ready()
    for ask in (on_file.runs, lambda: on_file.add_run(RUN)):
        with pytest.raises(Unavailable, match=r"^the registry cannot be reached$"):
            ask()
    assert not (tmp_path / "registry.db").exists()
    for left in (tmp_path / "away").iterdir():
        left.rename(tmp_path / left.name)
    assert on_file.is_ready()
    assert on_file.runs() == [row]
    assert on_file.add_run(RUN).id == "r2"


def test_other_file_takes_its_place(on_file, tmp_path):
    """An older copy that is put in its place is what the registry reads from then on."""
    row = on_file.add_run(RUN)
    on_file.close()
    shutil.copy(tmp_path / "registry.db", tmp_path / "copy.db")
    on_file.open()
    on_file.add_run(RUN)
    for name in ("registry.db", "registry.db-wal", "registry.db-shm"):
        (tmp_path / name).unlink()
    (tmp_path / "copy.db").rename(tmp_path / "registry.db")
    assert on_file.runs() == [row]
    (tmp_path / "registry.db").unlink()
    (tmp_path / "registry.db").touch()
    assert not on_file.is_ready()
    with pytest.raises(RegistryError, match=r"expected a registry, found: no such table: runs$"):
        on_file.runs()


def test_full_disk_is_said(on_file):
    """A database that cannot grow is full: nothing is stored by halves, reading goes on, and then it works again."""
    row = on_file.add_run(RUN)
    large = replace(RUN, resolved={"text": "x" * 100_000})
    sql(on_file, "PRAGMA max_page_count=30")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"^the registry has no room left on its disk$") as caught:
            on_file.add_run(large, idempotency=asked("k"), commands=[BLOCK])
        assert caught.value.full
        assert on_file.runs() == [row]
        assert on_file.idempotent("ann", "k") is None
    sql(on_file, "PRAGMA max_page_count=1000")
    assert on_file.add_run(large, idempotency=asked("k"), commands=[BLOCK]).id == "r2"
    assert len(on_file.commands("r2")) == 1


def write_beyond_the_limit(url: str, told) -> None:
    """In a process that may write no file of more than 200 kB, and then may again."""
    with Registry(url) as registry:
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, unlimited[1]))
        stored, reason = 0, ""
        while not reason:
            try:
                registry.add_run(
                    replace(RUN, resolved={"text": "x" * 10_000}), idempotency=asked(str(stored))
                )
                stored += 1
            except Unavailable as error:
                reason = error.reason
        seen = len(registry.runs()), registry.is_ready()
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        told.send((stored, reason, seen, registry.add_run(RUN, idempotency=asked(str(stored))).number))


def test_file_that_cannot_grow(on_file):
    """When the file system takes no more, writing is unavailable and reading is not; afterwards it goes on."""
    ours, theirs = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=write_beyond_the_limit, args=(on_file.url, theirs))
    child.start()
    theirs.close()
    stored, reason, seen, number = ours.recv()
    child.join(30)
    assert child.exitcode == 0
    assert stored > 3
    assert reason == "the registry cannot be read or written"
    assert seen == (stored, True)
    assert number == stored + 1
    assert len(on_file.runs()) == stored + 1
    assert sql(on_file, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("code", "reason", "is_full"),
    [
        (sqlite3.SQLITE_FULL, "the registry has no room left on its disk", True),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "the registry has no room left on its disk", True),
        (sqlite3.SQLITE_IOERR_FSYNC, "the registry cannot be read or written", False),
        (sqlite3.SQLITE_READONLY_DBMOVED, "the registry cannot be read or written", False),
        (sqlite3.SQLITE_CANTOPEN, "the registry cannot be reached", False),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "the registry is locked by someone else", False),
        (sqlite3.SQLITE_CORRUPT, None, False),
    ],
)
def test_errors_of_sqlite(on_file, code, reason, is_full):
    """Whatever SQLite says becomes words: unavailable for now, or something that a person must mend."""
    from sqlalchemy import exc

    cause = sqlite3.OperationalError("the disk said so")
    cause.sqlite_errorcode = code
    with pytest.raises((Unavailable, RegistryError)) as caught, on_file._writing():
        raise exc.OperationalError("INSERT", {}, cause)
    assert caught.value.__cause__ is cause
    if reason is None:
        assert caught.value.lines == [f"{on_file.place}: expected a registry, found: the disk said so"]
    else:
        assert (caught.value.reason, caught.value.full) == (reason, is_full)
    assert on_file.is_ready()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("53100", "the registry has no room left on its disk"),
        ("40P01", "the registry is locked by someone else"),
        ("57P01", "the registry cannot be reached"),
        ("25006", "the registry cannot be reached"),
        ("42501", None),
    ],
)
def test_errors_of_postgres(on_file, state, reason):
    """So does what PostgreSQL says, by its code."""
    errors = pytest.importorskip("psycopg").errors
    from sqlalchemy import exc

    cause = errors.lookup(state)("the server said so\nDETAIL: and more")
    wrapped = exc.DBAPIError.instance("INSERT", {}, cause, errors.Error)
    with pytest.raises((Unavailable, RegistryError)) as caught, on_file._writing():
        raise wrapped
    if reason is None:
        assert caught.value.lines == [f"{on_file.place}: expected a registry, found: the server said so"]
    else:
        assert (caught.value.reason, caught.value.full) == (reason, state == "53100")


# --- keys ------------------------------------------------------------------------------------------------


def test_key_is_found_by_its_text():
    """A new key is found by its text, which is kept nowhere: 256 random bits, of which the hash is stored."""
    others = [make_key("other", ["admin"])[1] for _ in range(3)]
    text, row = make_key("the WMS", ["truth:read", "runs:read", "truth:read"])
    assert re.fullmatch(r"mh_[0-9a-f]{8}_[0-9a-f]{64}", text)
    _, id, secret = text.split("_")
    assert row == KeyRow(
        id=id,
        name="the WMS",
        scopes=("runs:read", "truth:read"),
        hash=hashlib.sha256(secret.encode()).hexdigest(),
        created_at=row.created_at,
    )
    assert is_now(row.created_at)
    assert find([*others, row], text) == row
    assert make_key("the WMS", ["admin"])[0] != make_key("the WMS", ["admin"])[0]


def test_other_texts_find_no_key():
    """Another secret, another key's secret, a piece, more, and what is no key at all find nothing."""
    text, row = make_key("the WMS", ["runs:read"])
    other_text, other = make_key("other", ["runs:read"])
    secret = text.split("_")[2]
    wrong = [
        "", "mh_", "mh__", secret, row.hash, f"mh_{row.id}_", f"mh_{row.id}_{row.hash}", f"mh_{other.id}_{secret}",
        text[:-1], text + "0", text + "\n", text.upper(), f" {text}", "mh_00000000_" + secret, "\0", "\ud800", "\u0661" * 76,
    ]  # fmt: skip
    assert [find([row, other], each) for each in wrong] == [None] * len(wrong)
    assert find([row, other], other_text) == other
    assert find([], text) is None


def test_revoked_and_expired_keys():
    """A key is not found from the instant it expires, nor once it is revoked."""
    expires = datetime(2026, 3, 2, 8, tzinfo=timezone(timedelta(hours=8)))
    text, row = make_key("the WMS", ["runs:read"], expires)
    assert row.expires_at.isoformat() == "2026-03-02T00:00:00+00:00"
    assert find([row], text, expires - timedelta(microseconds=1)) == row
    assert find([row], text, expires) is None
    text, row = make_key("the WMS", ["runs:read"], datetime.now(UTC) + timedelta(hours=1))
    assert find([row], text) == row
    assert find([replace(row, revoked_at=row.created_at)], text) is None


def test_secret_is_compared_in_constant_time(monkeypatch):
    """The hash is compared once whether the id is known or not, and by `hmac.compare_digest`."""
    from api import keys

    compared = []
    fake = SimpleNamespace(compare_digest=lambda a, b: compared.append((a, b)) or a == b)
    monkeypatch.setattr(keys, "hmac", fake)
    text, row = make_key("the WMS", ["runs:read"])
    find([row], text)
    find([row], "mh_00000000_" + "0" * 64)
    find([row], "nonsense")
    assert [len(a) == len(b) == 64 for a, b in compared] == [True] * 3


def test_key_that_cannot_be_made():
    """A key needs a name and at least one scope that there is; all mistakes are said at once."""
    with pytest.raises(KeyFault) as caught:
        make_key(" ", ["runs:raed", "admin"])
    assert caught.value.lines == [
        "name: expected a name for the key, found nothing",
        "scopes: expected runs:read, runs:write, truth:read, admin, found 'runs:raed', did you mean 'runs:read'?",
    ]
    with pytest.raises(
        KeyFault, match=r"^scopes: expected at least one of runs:read, .*, admin, found nothing$"
    ):
        make_key("the WMS", [])


def test_scopes_say_what_they_allow():
    """Each scope has its sentence."""
    assert list(SCOPES) == ["runs:read", "runs:write", "truth:read", "admin"]
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in SCOPES.values())


def test_key_survives_the_registry(registry):
    """A key that was stored is found by its text."""
    text, row = make_key("the WMS", ["runs:read", "admin"], datetime.now(UTC) + timedelta(days=1))
    registry.add_key(row)
    assert find(registry.keys(), text) == row
    registry.revoke_key(row.id)
    assert find(registry.keys(), text) is None
    assert json.dumps(sql(registry, "SELECT hash FROM keys")[0][0]) not in text
