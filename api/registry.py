"""What a server must never lose: runs, their commands, answers given, API keys, a few settings.

One schema for two databases: a SQLite file in the data folder (write-ahead log, each commit on the disk
before it is acknowledged) or PostgreSQL by URL. Every public method is one transaction: all of it is there
afterwards, or nothing. What raises `Unavailable` may have been done if the connection broke while it was
committed; all can be asked again, what makes something with its idempotency key. Calls may come from any
thread, one at a time. Facts are not here, they stand in the folder of the run.

Importing this costs little: the database libraries are imported when a registry is opened.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, Self, TypeVar, get_args
from urllib.parse import quote

from sim.words import near, one_of, printable, show

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

RunMode = Literal["batch", "live"]
RunState = Literal["queued", "running", "paused", "finished", "stopped", "failed", "interrupted"]
CommandState = Literal["accepted", "applied", "rejected", "expired"]

REGISTRY_FILE: Final = "registry.db"

WAIT_S: Final = 5
"""How long another process that holds the database, or a server that does not answer, is waited for."""

SILENT_MS: Final = 15_000
"""After so long without a sign of life the connection to PostgreSQL is given up."""

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = "postgresql+psycopg://"

_RUN_ID: Final = re.compile(r"r[1-9][0-9]{0,17}")
_COMMAND_ID: Final = re.compile(r"c([1-9][0-9]{0,17})")

R = TypeVar("R")


class RegistryError(ValueError):
    """A database that a person must mend before it can be used; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class Unavailable(Exception):  # noqa: N818 - it reads as what it is
    """The database cannot be used at the moment; `reason` says why without naming the machine.

    What the driver said is the cause. `full`: there is no room left on its disk.
    """

    def __init__(self, reason: str, *, full: bool) -> None:
        self.reason = reason
        self.full = full
        super().__init__(reason)


class Conflict(Exception):  # noqa: N818
    """What is asked contradicts what is stored, in words for whoever asked."""


class NotFound(LookupError):  # noqa: N818
    """No such run, command or key, in words for whoever asked."""


class Repeated(Exception):  # noqa: N818
    """The request was answered before: nothing was done, and `stored` is to be sent again."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        super().__init__("the request was answered before")


# --- rows ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run: what it is made of, where it is, what came out. Instants of the clock are in UTC.

    `speed` None: as fast as possible. `resolved`: the whole scenario as JSON. `parent_t_ms`: where a branch
    left its parent. `incarnation`: how many servers have run it. `limits`: the sentence on what limits the
    store. `keep`: no clearing up removes it.
    """

    id: str
    number: int
    name: str
    mode: RunMode
    state: RunState
    speed: float | None
    scenario_name: str
    scenario_id: str
    seed: int
    resolved: dict[str, Any]
    model_version: str
    end_ms: int
    t_ms: int
    facts: int
    digest: str | None
    demand_digest: str | None
    error: str | None
    parent: str | None
    parent_t_ms: int | None
    incarnation: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    created_by: str
    time_limit_s: float | None
    memory_limit_mb: int | None
    size_bytes: int
    kpis: dict[str, Any] | None
    limits: str | None
    keep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What the caller says of a run that is to be; the registry adds its number and the instant."""

    name: str
    mode: RunMode
    scenario_name: str
    scenario_id: str
    seed: int
    resolved: Mapping[str, Any]
    model_version: str
    end_ms: int
    created_by: str
    state: RunState = "queued"
    speed: float | None = None
    parent: str | None = None
    parent_t_ms: int | None = None
    time_limit_s: float | None = None
    memory_limit_mb: int | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command of a run.

    `t_ms` is the simulated instant at which it takes effect, stored before it does. `first_fact` and `facts`:
    the facts it caused; `made`: numbers of what it made, by kind. `inherited`: copied from the parent of a
    branch.
    """

    run: str
    sequence: int
    id: str
    type: str
    args: dict[str, Any]
    external_id: str | None
    state: CommandState
    reason: str | None
    apply_at_ms: int | None
    expires_at_ms: int | None
    if_version: int | None
    t_ms: int | None
    first_fact: int | None
    facts: int | None
    made: dict[str, int] | None
    accepted_at: datetime
    settled_at: datetime | None
    created_by: str
    inherited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """What the caller says of a command; from `state` on, what a branch copies from its parent's."""

    type: str
    args: Mapping[str, Any]
    created_by: str
    external_id: str | None = None
    apply_at_ms: int | None = None
    expires_at_ms: int | None = None
    if_version: int | None = None
    state: CommandState = "accepted"
    reason: str | None = None
    t_ms: int | None = None
    first_fact: int | None = None
    facts: int | None = None
    made: dict[str, int] | None = None
    accepted_at: datetime | None = None
    settled_at: datetime | None = None
    inherited: bool = False


class Settled(NamedTuple):
    """What became of a command of a run, by its sequence: as the fields of CommandRow."""

    sequence: int
    state: CommandState
    reason: str | None = None
    first_fact: int | None = None
    facts: int | None = None
    made: dict[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """An API key; `hash` is the SHA-256 of its secret in hex, which is stored nowhere else."""

    id: str
    name: str
    scopes: tuple[str, ...]
    hash: str
    created_at: datetime
    revoked_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that is kept for whoever asks again."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Stored(Answer):
    """An answer that was given; `fingerprint` tells one request from another with the same key."""

    fingerprint: str = field(kw_only=True)
    created_at: datetime = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Idempotency(Generic[R]):
    """A key that makes a request safe to send twice; `answer` makes what is stored, once the row is known."""

    principal: str
    key: str
    fingerprint: str
    answer: Callable[[R], Answer]


FIXED: Final = frozenset(
    {
        "id", "number", "scenario_name", "scenario_id", "seed", "resolved", "model_version", "parent",
        "parent_t_ms", "created_at", "created_by",
    }
)  # fmt: skip
"""What makes a run what it is (law 1): no update changes it."""

_CHOICES: Final[dict[str, tuple[str, ...]]] = {"mode": get_args(RunMode), "state": get_args(RunState)}


def registry_url(folder: Path) -> str:
    """The address of the SQLite registry in a data folder."""
    return f"{_SQLITE}{folder.absolute() / REGISTRY_FILE}"


# --- the registry ----------------------------------------------------------------------------------------


class Registry:
    """The registry at a URL: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Use it between `open` and `close`, or in a `with`. Every method may raise `Unavailable`; when the database
    is back, the same object works again; RegistryError when somebody has spoilt it meanwhile. A text that no
    database keeps (a NUL, half a surrogate pair) and a number of more than 64 bits raise ValueError, with
    nothing stored.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._file: Path | None = None
        self._identity: tuple[int, int] | None = None
        self._engine: Engine | None = None
        self._head = ""
        file = url.removeprefix(_SQLITE)
        if file not in (url, "", ":memory:"):
            self._file = Path(file).absolute()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Where the registry is, in words for people: a file, or an address without its password."""
        if self._file is not None:
            return printable(str(self._file))
        return printable(re.sub(r"(?<=://)([^/@:]*):.*@|(?<=[?&]password=)[^&]*", _masked, self.url))

    def open(self) -> None:
        """Connect, and bring the schema to the newest revision; make the database of a SQLite file.

        Raises
        ------
        RegistryError
            When the database cannot be opened, is not ours, or was made by a newer meterhouse.
        """
        from api.migrations import upgrade

        self.close()
        if self._file is None:
            engines = [_postgres_engine(self.url, self.place)] * 2
        else:
            make_file(self._file)
            engines = [sqlite_engine(self._file, is_migrating=migrating) for migrating in (True, False)]
        migrating, self._engine = engines
        try:
            with self._translated(), migrating.begin() as connection:
                self._head = upgrade(connection, self.place)
            self._identity = _identity(self._file)
        except Unavailable as error:
            self.close()
            found = printable(str(error.__cause__ or error).strip().partition("\n")[0])
            raise RegistryError(
                [f"{self.place}: expected a database that can be opened, found: {found}"]
            ) from error
        except BaseException:
            self.close()
            raise
        finally:
            migrating.dispose()

    def close(self) -> None:
        """Let go of the database. To close twice is nothing."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def is_ready(self) -> bool:
        """Whether the database can be reached and has the schema of this meterhouse. Raises nothing."""
        from sqlalchemy import text

        from api.migrations.tables import VERSION_TABLE

        if self._engine is None:
            return False
        try:
            with self._reading() as connection:
                found = connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all()  # noqa: S608
        except (Unavailable, RegistryError):
            return False
        return found == [self._head]

    # --- runs ---

    def add_run(
        self,
        new: NewRun,
        *,
        idempotency: Idempotency[RunRow] | None = None,
        commands: Sequence[NewCommand] = (),
    ) -> RunRow:
        """Store a run under the next number, which no other run ever had or will have.

        Parameters
        ----------
        new
            The run.
        idempotency
            The key of the request; its answer is stored together with the run.
        commands
            What a branch inherits and begins with; numbered 1, 2, ... in this order.

        Raises
        ------
        Repeated
            When the request was answered before.
        Conflict
            When another request had the same key, or two commands have one external id.
        """
        from api.migrations.tables import COUNTERS, RUNS

        with self._writing() as connection:
            # First: it keeps out every other server until the end, so that nobody answers the key meanwhile.
            counter = COUNTERS.c.name == "runs"
            connection.execute(COUNTERS.update().where(counter).values(last=COUNTERS.c.last + 1))
            number = connection.scalars(
                COUNTERS.select().with_only_columns(COUNTERS.c.last).where(counter)
            ).one()
            _refuse_repeated(connection, idempotency)
            values = {
                **_values(new),
                "id": f"r{number}",
                "number": number,
                "t_ms": 0,
                "facts": 0,
                "incarnation": 1,
                "created_at": _now(),
                "size_bytes": 0,
            }
            connection.execute(RUNS.insert().values(values))
            row = _run(connection, f"r{number}")
            assert row is not None
            _insert_commands(connection, row.id, 1, commands)
            _remember(connection, idempotency, row)
            return row

    def runs(self) -> list[RunRow]:
        """All runs by number."""
        from api.migrations.tables import RUNS

        with self._reading() as connection:
            return [
                _run_row(row) for row in connection.execute(RUNS.select().order_by(RUNS.c.number)).mappings()
            ]

    def run(self, id: str) -> RunRow | None:
        """The run; None when there is none."""
        with self._reading() as connection:
            return _run(connection, id)

    def update_run(self, id: str, **changes: object) -> RunRow:
        """Change fields of a run, and give it as it is then.

        Raises
        ------
        TypeError
            For a field that a run has not, or that makes it what it is (`FIXED`).
        ValueError
            For a mode or state that there is not.
        NotFound
            When there is no such run.
        """
        from api.migrations.tables import RUNS

        known = [column.name for column in RUNS.c if column.name not in FIXED]
        for name, value in changes.items():
            if name not in known:
                why = "it makes the run what it is" if name in FIXED else f"no such field{near(name, known)}"
                raise TypeError(f"runs.{name} cannot be changed: {why}")
            if name in _CHOICES and value not in _CHOICES[name]:
                raise ValueError(f"runs.{name}: expected {one_of(_CHOICES[name])}, found {show(value)}")
        with self._writing() as connection:
            if changes and _RUN_ID.fullmatch(id):
                connection.execute(RUNS.update().where(RUNS.c.id == id).values(changes))
            row = _run(connection, id)
            if row is None:
                raise _no_run(id)
            return row

    def reached(self, instants: Iterable[tuple[str, int, int]]) -> None:
        """Store how far runs have come: id, simulated instant, facts. Runs that are gone are left out."""
        from sqlalchemy import bindparam

        from api.migrations.tables import RUNS

        # By id, so that two servers never wait for each other.
        rows = [{"run": id, "t": t_ms, "n": facts} for id, t_ms, facts in sorted(instants)]
        if not rows:
            return
        with self._writing() as connection:
            connection.execute(
                RUNS.update()
                .where(RUNS.c.id == bindparam("run"))
                .values(t_ms=bindparam("t"), facts=bindparam("n")),
                rows,
            )

    def delete_run(self, id: str) -> bool:
        """Remove a run and its commands; whether it was there. Its number is not given again."""
        from api.migrations.tables import COMMANDS, RUNS

        with self._writing() as connection:
            if not _lock_run(connection, id):
                return False
            connection.execute(COMMANDS.delete().where(COMMANDS.c.run == id))
            connection.execute(RUNS.delete().where(RUNS.c.id == id))
            return True

    # --- commands ---

    def add_command(
        self, run: str, new: NewCommand, *, idempotency: Idempotency[CommandRow] | None = None
    ) -> CommandRow:
        """Store a command under the run's next sequence number.

        A command whose external id the run has already is the one that was stored, when it asks for the same;
        compared as JSON, whatever the order of keys.

        Raises
        ------
        NotFound
            When there is no such run.
        Repeated
            When the request was answered before.
        Conflict
            When the external id stands for something else, or another request had the same key.
        """
        from sqlalchemy import func, select

        from api.migrations.tables import COMMANDS

        with self._writing() as connection:
            is_there = _lock_run(connection, run)
            _refuse_repeated(connection, idempotency)
            if not is_there:
                raise _no_run(run)
            row = _same_command(connection, run, new)
            if row is None:
                last = connection.scalar(select(func.max(COMMANDS.c.sequence)).where(COMMANDS.c.run == run))
                sequence = 1 + (last or 0)
                _insert_commands(connection, run, sequence, [new])
                row = _command(connection, run, sequence)
                assert row is not None
            _remember(connection, idempotency, row)
            return row

    def commands(self, run: str) -> list[CommandRow]:
        """The command log of a run, by sequence; empty when there is no such run."""
        from api.migrations.tables import COMMANDS

        if not _RUN_ID.fullmatch(run):
            return []
        query = COMMANDS.select().where(COMMANDS.c.run == run).order_by(COMMANDS.c.sequence)
        with self._reading() as connection:
            return [_command_row(row) for row in connection.execute(query).mappings()]

    def command(self, run: str, id: str) -> CommandRow | None:
        """A command of a run by its id (`c7`); None when there is none."""
        match = _COMMAND_ID.fullmatch(id)
        if match is None:
            return None
        with self._reading() as connection:
            return _command(connection, run, int(match[1]))

    def set_instants(self, run: str, instants: Iterable[tuple[int, int]]) -> None:
        """Store when commands take effect: sequence, simulated instant. To store the same again is nothing.

        Raises
        ------
        NotFound
            When there is no such command.
        RuntimeError
            When a command has another instant: a run must not be rewritten.
        """
        from api.migrations.tables import COMMANDS

        with self._writing() as connection:
            _lock_run(connection, run)
            for sequence, t_ms in instants:
                row = _expected_command(connection, run, sequence)
                if row.t_ms is None:
                    connection.execute(_where_command(COMMANDS, run, sequence).values(t_ms=t_ms))
                elif row.t_ms != t_ms:
                    raise RuntimeError(
                        f"command {row.id} of run {run} takes effect at {row.t_ms} ms, found {t_ms} ms"
                    )

    def settle(self, run: str, outcomes: Iterable[Settled]) -> None:
        """Store what became of commands.

        A replay settles them again: the same outcome is nothing, and the first reason stays.

        Raises
        ------
        NotFound
            When there is no such command.
        RuntimeError
            When a command came to something else before: the replay is not the run.
        """
        from api.migrations.tables import COMMANDS

        with self._writing() as connection:
            _lock_run(connection, run)
            for settled in outcomes:
                if settled.state not in get_args(CommandState)[1:]:
                    expected = one_of(get_args(CommandState)[1:])
                    raise ValueError(f"commands.state: expected {expected}, found {show(settled.state)}")
                row = _expected_command(connection, run, settled.sequence)
                outcome = {
                    "state": settled.state, "first_fact": settled.first_fact, "facts": settled.facts,
                    "made": settled.made,
                }  # fmt: skip
                if row.state == "accepted":
                    values = {**outcome, "reason": settled.reason, "settled_at": _now()}
                    connection.execute(_where_command(COMMANDS, run, settled.sequence).values(values))
                elif (found := {name: getattr(row, name) for name in outcome}) != outcome:
                    raise RuntimeError(f"command {row.id} of run {run} came to {found}, now to {outcome}")

    # --- answers, keys, settings ---

    def idempotent(self, principal: str, key: str, fingerprint: str | None = None) -> Stored | None:
        """The answer that a request with this key got; None when there was none.

        Raises
        ------
        Conflict
            When a fingerprint is given, and the request was another one.
        """
        with self._reading() as connection:
            return _stored(connection, principal, key, fingerprint)

    def prune_idempotency(self, older_than: datetime) -> int:
        """Forget the answers given before an instant; how many they were."""
        from api.migrations.tables import ANSWERS

        with self._writing() as connection:
            return connection.execute(ANSWERS.delete().where(ANSWERS.c.created_at < older_than)).rowcount

    def add_key(self, row: KeyRow) -> None:
        """Store a key; Conflict when its id is taken."""
        from api.migrations.tables import KEYS

        with self._writing() as connection:
            if connection.execute(KEYS.select().where(KEYS.c.id == row.id)).first() is not None:
                raise Conflict(f"there is a key {show(row.id)} already")
            connection.execute(KEYS.insert().values({**_values(row), "scopes": list(row.scopes)}))

    def keys(self) -> list[KeyRow]:
        """All keys, the oldest first; those that are revoked or have expired too."""
        from api.migrations.tables import KEYS

        with self._reading() as connection:
            rows = connection.execute(KEYS.select().order_by(KEYS.c.created_at, KEYS.c.id)).mappings()
            return [_key_row(row) for row in rows]

    def revoke_key(self, id: str) -> KeyRow:
        """Revoke a key for ever, and give it as it is then; NotFound when there is none."""
        from api.migrations.tables import KEYS

        with self._writing() as connection:
            ids = list(connection.scalars(KEYS.select().with_only_columns(KEYS.c.id)))
            if id not in ids:
                raise NotFound(f"no key {show(id)}{near(id, ids)}")
            is_open = (KEYS.c.id == id) & KEYS.c.revoked_at.is_(None)
            connection.execute(KEYS.update().where(is_open).values(revoked_at=_now()))
            return _key_row(connection.execute(KEYS.select().where(KEYS.c.id == id)).mappings().one())

    def setting(self, name: str) -> str | None:
        """A setting, such as `current`: the run that is meant when none is named; None if it is not set."""
        from api.migrations.tables import SETTINGS

        with self._reading() as connection:
            query = SETTINGS.select().with_only_columns(SETTINGS.c.value).where(SETTINGS.c.name == name)
            return connection.scalars(query).first()

    def set_setting(self, name: str, value: str | None) -> None:
        """Store a setting; None removes it."""
        from api.migrations.tables import SETTINGS

        with self._writing() as connection:
            connection.execute(SETTINGS.delete().where(SETTINGS.c.name == name))
            if value is not None:
                connection.execute(SETTINGS.insert().values(name=name, value=value))

    # --- transactions ---

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or rolled back when anything is raised."""
        with self._translated(), self._opened().begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that sees one instant and waits for no writer."""
        with self._translated(), self._opened().execution_options(is_reading=True).begin() as connection:
            yield connection

    def _opened(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the registry is not open")
        if self._file is not None and (found := _identity(self._file)) != self._identity:
            # Somebody moved the file: what is still open would take rows that nobody ever finds again.
            self._engine.dispose()
            self._identity = found
        return self._engine

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Make words of what SQLAlchemy raises, and connect anew after a database was lost."""
        from sqlalchemy import exc

        try:
            yield
        except exc.DBAPIError as error:
            translated = _translation(error, self.place)
            # A full disk has no room for a new connection to SQLite, and the one there is can still read.
            is_lost = isinstance(translated, Unavailable) and translated.reason in (_UNREACHED, _UNWRITTEN)
            if is_lost and self._engine is not None:
                self._engine.dispose()
            raise translated from error.orig
        except exc.StatementError as error:  # a value that is refused before the database sees it
            raise (error.orig or error) from None
        except exc.TimeoutError as error:
            raise Unavailable("the registry is busy", full=False) from error
        except OverflowError as error:
            raise ValueError("expected numbers of at most 64 bits, found a larger one") from error


# --- within a transaction --------------------------------------------------------------------------------


def _run(connection: Connection, id: str) -> RunRow | None:
    from api.migrations.tables import RUNS

    if not _RUN_ID.fullmatch(id):
        return None
    row = connection.execute(RUNS.select().where(RUNS.c.id == id)).mappings().first()
    return None if row is None else _run_row(row)


def _lock_run(connection: Connection, id: str) -> bool:
    """Keep other servers from the run and its commands until the end; whether there is such a run."""
    from api.migrations.tables import RUNS

    query = RUNS.select().with_only_columns(RUNS.c.id).where(RUNS.c.id == id).with_for_update(key_share=True)
    return bool(_RUN_ID.fullmatch(id)) and connection.execute(query).first() is not None


def _command(connection: Connection, run: str, sequence: int) -> CommandRow | None:
    from api.migrations.tables import COMMANDS

    if not _RUN_ID.fullmatch(run):
        return None
    query = COMMANDS.select().where(COMMANDS.c.run == run, COMMANDS.c.sequence == sequence)
    row = connection.execute(query).mappings().first()
    return None if row is None else _command_row(row)


def _expected_command(connection: Connection, run: str, sequence: int) -> CommandRow:
    row = _command(connection, run, sequence)
    if row is None:
        raise NotFound(f"no command 'c{sequence}' in run {show(run)}")
    return row


def _where_command(commands: Table, run: str, sequence: int) -> Any:
    return commands.update().where(commands.c.run == run, commands.c.sequence == sequence)


def _same_command(connection: Connection, run: str, new: NewCommand) -> CommandRow | None:
    """The command that has the external id already; Conflict when it asks for something else."""
    from api.migrations.tables import COMMANDS

    if new.external_id is None:
        return None
    query = COMMANDS.select().where(COMMANDS.c.run == run, COMMANDS.c.external_id == new.external_id)
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    row = _command_row(found)
    for name in ("type", "args", "apply_at_ms", "expires_at_ms", "if_version"):
        if _canonical(getattr(row, name)) != _canonical(getattr(new, name)):
            raise Conflict(
                f"external_id {show(new.external_id)} is that of command {row.id}, which has another {name}"
            )
    return row


def _insert_commands(connection: Connection, run: str, first: int, new: Sequence[NewCommand]) -> None:
    from api.migrations.tables import COMMANDS

    now, seen = _now(), set[str]()
    rows: list[dict[str, Any]] = []
    for sequence, command in enumerate(new, first):
        if command.external_id is not None and command.external_id in seen:
            raise Conflict(f"external_id {show(command.external_id)} is that of two commands")
        seen |= set() if command.external_id is None else {command.external_id}
        values = {**_values(command), "accepted_at": command.accepted_at or now}
        rows.append({**values, "run": run, "sequence": sequence})
    if rows:
        connection.execute(COMMANDS.insert(), rows)


def _stored(connection: Connection, principal: str, key: str, fingerprint: str | None) -> Stored | None:
    from api.migrations.tables import ANSWERS

    query = ANSWERS.select().where(ANSWERS.c.principal == principal, ANSWERS.c.key == key)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    if fingerprint is not None and row["fingerprint"] != fingerprint:
        raise Conflict("the idempotency key was used for another request")
    return Stored(**{name: row[name] for name in _names(Stored)})


def _refuse_repeated(connection: Connection, idempotency: Idempotency[Any] | None) -> None:
    if idempotency is not None:
        stored = _stored(connection, idempotency.principal, idempotency.key, idempotency.fingerprint)
        if stored is not None:
            raise Repeated(stored)


def _remember(connection: Connection, idempotency: Idempotency[R] | None, row: R) -> None:
    from api.migrations.tables import ANSWERS

    if idempotency is not None:
        answer = idempotency.answer(row)
        asked = {name: getattr(idempotency, name) for name in ("principal", "key", "fingerprint")}
        given = {name: getattr(answer, name) for name in _names(Answer)}
        connection.execute(ANSWERS.insert().values({**asked, **given, "created_at": _now()}))


def _run_row(row: Mapping[Any, Any]) -> RunRow:
    return RunRow(**{**row, "resolved": _shared(row["scenario_id"], row["resolved"])})


def _shared(id: str, resolved: dict[str, Any]) -> dict[str, Any]:
    """The values of a scenario, the same object for all runs that have the same: nobody changes them."""
    for known_id, known in _VALUES:
        if known_id == id and known == resolved:
            return known
    _VALUES.appendleft((id, resolved))
    return resolved


_VALUES: Final[deque[tuple[str, dict[str, Any]]]] = deque(maxlen=8)
"""Scenarios of late, by their ids."""


def _command_row(row: Mapping[Any, Any]) -> CommandRow:
    return CommandRow(id=f"c{row['sequence']}", **row)


def _key_row(row: Mapping[Any, Any]) -> KeyRow:
    return KeyRow(**{**row, "scopes": tuple(row["scopes"])})


def _names(kind: type[Any]) -> list[str]:
    return [each.name for each in fields(kind)]


def _values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _names(type(row))}


def _no_run(id: str) -> NotFound:
    return NotFound(f"no run {show(id)}; runs are listed at /runs")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _now() -> datetime:
    return datetime.now(UTC)


# --- databases -------------------------------------------------------------------------------------------


def _masked(match: re.Match[str]) -> str:
    return "***" if match[1] is None else f"{match[1]}:***@"


def make_file(file: Path) -> None:
    """Make an empty database, if there is none, in a folder that is made as well."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():  # to open and close one that is in use would end the locks of this process
            file.touch()
    except OSError as error:
        found = (error.strerror or "an error").lower()
        raise RegistryError(
            [f"{printable(str(file))}: expected a file that can be written, found: {found}"]
        ) from None


def _identity(file: Path | None) -> tuple[int, int] | None:
    """What tells a file from another one that comes to bear its name; None when there is none."""
    try:
        found = None if file is None else file.stat()
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def sqlite_engine(file: Path, *, is_migrating: bool) -> Engine:
    """The way to a SQLite file that is there; one that migrates looks at no references."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import QueuePool

    def connect() -> sqlite3.Connection:
        # mode=rw: a file that has gone is an error, not a new and empty database.
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(file))}?mode=rw",
            uri=True,
            timeout=WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # A table that is copied is dropped under its old name, and would take what refers to it along.
            connection.execute(f"PRAGMA foreign_keys={'OFF' if is_migrating else 'ON'}")
            connection.execute("PRAGMA synchronous=FULL")
            _write_ahead(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, **_ENGINE)

    # The driver's own transactions begin too late, and let two writers read before one of them is refused.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_reading = connection.get_execution_options().get("is_reading", False)
        connection.exec_driver_sql("BEGIN DEFERRED" if is_reading else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Have changes logged ahead. Of several who are first to, SQLite refuses all but one without waiting."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres_engine(url: str, place: str) -> Engine:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError

    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise RegistryError([f"{place}: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"])
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise RegistryError(
            [f"{place}: expected psycopg to be installed for PostgreSQL: pip install 'meterhouse[postgres]'"]
        ) from None
    asked = None
    with suppress(ArgumentError, ValueError):
        asked = make_url(_POSTGRES + rest)
    if asked is None or "@" in (asked.database or ""):  # what seems to be the name is the end of a password
        form = "postgresql://USER:PASSWORD@HOST:5432/NAME, with %40 for @ and %2F for / in the password"
        raise RegistryError([f"{place}: expected {form}"])
    # A commit is on the disk before it is acknowledged, whatever the server is set to.
    usual = {
        "connect_timeout": str(WAIT_S),
        "tcp_user_timeout": str(SILENT_MS),
        "options": f"-c synchronous_commit=on -c lock_timeout={WAIT_S * 1000}",
        "application_name": "meterhouse",
    }
    missing = {name: value for name, value in usual.items() if name not in asked.query}
    return create_engine(asked, connect_args=missing, **_ENGINE)


_ENGINE: Final[dict[str, Any]] = {
    "pool_size": 2,
    "max_overflow": 0,
    "pool_timeout": WAIT_S,
    "pool_pre_ping": True,
    "hide_parameters": True,
    "json_serializer": partial(json.dumps, allow_nan=False),
}


def _translation(error: Any, place: str) -> Exception:
    """What an error of a driver means: unavailable, a value that is refused, or something to mend."""
    from sqlalchemy import exc

    cause: Any = error.orig
    said = printable(str(cause).strip().partition("\n")[0])
    if isinstance(error, exc.IntegrityError):
        is_empty = getattr(cause, "sqlstate", None) == "23502" or "NOT NULL" in said
        return (
            ValueError(said)
            if is_empty
            else Conflict("someone else stored the same at this moment: ask again")
        )
    mend = RegistryError([f"{place}: expected a registry, found: {said}"])
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        reason = _SQLITE_REASONS.get(code) or _SQLITE_REASONS.get(code & 0xFF)
        return mend if reason is None else Unavailable(reason, full=reason == _FULL)
    state = getattr(cause, "sqlstate", None) or ""
    if state == "53100":
        return Unavailable(_FULL, full=True)
    if isinstance(error, exc.DataError):
        return ValueError(said)
    if state in _POSTGRES_LOCKED:
        return Unavailable(_LOCKED, full=False)
    if isinstance(error, exc.OperationalError | exc.InterfaceError) or state == "25006":
        return Unavailable(_UNREACHED, full=False)
    return mend


_FULL: Final = "the registry has no room left on its disk"
_LOCKED: Final = "the registry is locked by someone else"
_UNREACHED: Final = "the registry cannot be reached"
_UNWRITTEN: Final = "the registry cannot be read or written"

_SQLITE_REASONS: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_CANTOPEN: _UNREACHED,
    sqlite3.SQLITE_IOERR: _UNWRITTEN,
    sqlite3.SQLITE_READONLY: _UNWRITTEN,
    sqlite3.SQLITE_PERM: _UNWRITTEN,
    sqlite3.SQLITE_NOMEM: _UNWRITTEN,
}

_POSTGRES_LOCKED: Final = ("55P03", "40P01", "40001")
"""Waited too long for a lock; two that wait for each other; two that cannot be put one after the other."""
