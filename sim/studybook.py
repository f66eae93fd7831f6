"""The replications that are finished: a book in which each stands once, whatever dies while a study goes on.

A book is a SQLite file in the folder of the study, `study.db`, or a PostgreSQL database that studies share.
An outcome is committed as soon as there is one, so that the same command takes up where the last one ended.
A commit outlives the process, killed or not. It does not wait for the disk: after a power cut the last few
may be missing, the book is whole all the same, and what is missing is simulated again, to the same digest.
That is why SQLite runs in WAL mode with synchronous=NORMAL, and PostgreSQL with synchronous_commit off.

Left out: who does what. Two commands on one book may simulate the same replication at the same time; it is
stored once, and both have to come to the same digest.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from pydantic_core import from_json, to_json

from sim.engines import Engine, Failed
from sim.jobs import Job, Outcome
from sim.words import printable

BOOK_FILE: Final = "study.db"
"""The name of the book in the folder of a study."""

FORMAT: Final = 1
"""The form of the tables; a book of another form is refused."""

WAIT_S: Final = 10
"""How long another process that holds the book, or a server that does not answer, is waited for."""


class StudybookError(RuntimeError):
    """A book that cannot be used, for now or at all; `lines` says why. What was committed before holds."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Studybook:
    """The book of a study, open from the beginning on; close it, or use it in a `with`.

    Parameters
    ----------
    place : the folder of the study, which is made if there is none, or postgresql://USER:PASSWORD@HOST/NAME.
    study : the name under which `meta` is kept, where studies share a database.

    Raises StudybookError when it cannot be opened: no access, a damaged file, a file of something else.
    """

    def __init__(self, place: Path | str, study: str = "") -> None:
        self._study = study
        self._connection: Any = None
        is_folder = isinstance(place, Path) or "://" not in place
        self._file = Path(place) / BOOK_FILE if is_folder else None
        self.place = printable(str(self._file) if self._file is not None else _masked(str(place)))
        try:
            with self._translated():
                if self._file is not None:
                    self._connection, self._statements = _sqlite(self._file), _STATEMENTS
                else:
                    self._connection = _postgres(str(place), self.place)
                    self._statements = _for_postgres(_STATEMENTS)
                self._prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def done(self, keys: Iterable[str]) -> dict[str, Outcome]:
        """The outcomes that are there, of those asked for, by key and in the order of asking."""
        return {row[0]: self._outcome(row) for row in self._rows("done", keys)}

    def add(self, outcome: Outcome) -> None:
        """Commit an outcome; one that is there already stays.

        Raises StudybookError when the one that is there has another digest: same work, other facts.
        """
        kpis, weeks = _json(outcome.kpis), _json(outcome.weeks)
        seal = _seal(outcome.key, outcome.digest, outcome.demand_digest, outcome.facts, kpis, weeks)
        added = self._execute("add", {**outcome._asdict(), "kpis": kpis, "weeks": weeks, "seal": seal})
        if not added.rowcount:
            [there] = self.done([outcome.key]).values()
            if there.digest != outcome.digest:
                expected = f"expected digest {there.digest} again, found {outcome.digest}"
                raise StudybookError(
                    [f"{self.place}: {outcome.key}: {expected}: the same work gave other facts"]
                )

    def add_failed(self, failed: Failed) -> None:
        """Commit that a job has failed; what is known of it from before is replaced."""
        # PostgreSQL takes no NUL.
        self._execute("add_failed", failed._replace(reason=failed.reason.replace("\0", "\\0"))._asdict())

    def failed(self, keys: Iterable[str]) -> dict[str, Failed]:
        """The jobs that have failed and have no outcome, of those asked for, by key."""
        return {row[0]: Failed(*row) for row in self._rows("failed", keys)}

    def meta(self, name: str) -> Any:
        """What was stored under a name for this study; None when nothing was."""
        row = self._execute("meta", {"study": self._study, "name": name}).fetchone()
        return None if row is None else from_json(row[0])

    def set_meta(self, name: str, value: Any) -> None:
        """Store a value, ready for JSON, under a name for this study."""
        self._execute("set_meta", {"study": self._study, "name": name, "value": _json(value)})

    def _prepare(self) -> None:
        """Make the tables where there are none, and look whether those that there are can be used."""
        execute = self._connection.execute
        if self._file is not None:
            said = execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                raise _damaged(self.place, said)
        execute("BEGIN" if self._file is None else "BEGIN IMMEDIATE")
        if self._file is None:
            execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        else:
            tables = [name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            if tables and "study_meta" not in tables:
                expected = "expected a study's book, found a database of something else"
                raise StudybookError([f"{self.place}: {expected}"])
        for table in _TABLES:
            execute(table)
        form = {"study": "", "name": "format", "value": _json(FORMAT)}
        found = self._execute("meta", form).fetchone()
        if found is None:
            self._execute("set_meta", form)
        elif found[0] != form["value"]:
            expected = f"expected a study's book of form {FORMAT}, found one of form {printable(found[0])}"
            raise StudybookError([f"{self.place}: {expected}: another version of meterhouse made it"])
        execute("COMMIT")

    def _rows(self, name: str, keys: Iterable[str]) -> Iterator[Sequence[Any]]:
        """The rows that a statement finds, by key and in the order of asking."""
        rest = iter(dict.fromkeys(keys))
        while some := list(islice(rest, _AT_A_TIME)):
            rows = {row[0]: row for row in self._execute(name, {"keys": _json(some)}).fetchall()}
            yield from (rows[key] for key in some if key in rows)

    def _outcome(self, row: Sequence[Any]) -> Outcome:
        key, digest, demand_digest, facts, kpis, weeks, seconds, seal = row
        if seal != _seal(key, digest, demand_digest, facts, kpis, weeks):
            raise _damaged(self.place, f"replication {printable(str(key))} is not as it was stored")
        return Outcome(key, digest, demand_digest, facts, from_json(kpis), from_json(weeks), seconds)

    def _execute(self, name: str, values: Mapping[str, Any]) -> Any:
        """One statement, committed at once where it writes."""
        with self._translated():
            return self._connection.execute(self._statements[name], values)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Make words of what databases and files raise."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or "an error").lower()
            expected = "expected a folder that can be written"
            raise StudybookError([f"{self.place}: {expected}, found: {reason}"]) from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise _damaged(self.place, printable(str(error))) from error
            raise self._unusable(
                _SQLITE_REASONS.get(code) or _SQLITE_REASONS.get(code & 0xFF), error
            ) from error
        except Exception as error:
            if self._file is not None or type(error).__module__.partition(".")[0] != "psycopg":
                raise
            state = getattr(error, "sqlstate", None) or _NO_STATE
            raise self._unusable(_POSTGRES_REASONS.get(state), error) from error

    def _unusable(self, found: str | None, cause: Exception) -> StudybookError:
        said = printable(str(cause).strip().partition("\n")[0])
        found = said if found is None else f"{found} ({said})"
        return StudybookError([f"{self.place}: expected a book that can be read and written, found {found}"])


def finish(
    jobs: Iterable[Job],
    book: Studybook,
    engine: Engine,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Outcome | Failed]:
    """Every job's outcome, or why it failed, by key and in the order of the jobs.

    What stands in the book is taken from it; the rest is run, and each outcome committed as it comes. A job
    that failed before is tried again. `progress` is told how many are there, of how many, at the beginning
    and after each. Whatever is raised on the way, Ctrl-C included, nothing goes on behind it.
    """
    wanted = {job.key: job for job in jobs}
    found: dict[str, Outcome | Failed] = dict(book.done(wanted))

    def told() -> None:
        if progress is not None:
            progress(len(found), len(wanted))

    def missing(keys: Sequence[str]) -> Iterator[Job]:
        for key in keys:
            # Another command on the same book may have come first.
            there = book.done([key])
            if there:
                found.update(there)
                told()
            else:
                yield wanted[key]

    told()
    with closing(engine.run(missing([key for key in wanted if key not in found]), workers=workers)) as ended:
        for each in ended:
            if isinstance(each, Outcome):
                book.add(each)
            else:
                book.add_failed(each)
            found[each.key] = each
            told()
    return {key: found[key] for key in wanted}


# --- tables ----------------------------------------------------------------------------------------------

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS study_replications (
        key TEXT PRIMARY KEY, digest TEXT NOT NULL, demand_digest TEXT NOT NULL, facts BIGINT NOT NULL,
        kpis TEXT NOT NULL, weeks TEXT NOT NULL, seconds DOUBLE PRECISION NOT NULL, seal TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS study_failures (
        key TEXT PRIMARY KEY, reason TEXT NOT NULL, attempts BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS study_meta (
        study TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (study, name))""",
)
"""Statements that SQLite and PostgreSQL both take."""

_STATEMENTS: Final = {
    "done": """SELECT key, digest, demand_digest, facts, kpis, weeks, seconds, seal
        FROM study_replications WHERE key IN (SELECT value FROM json_each(:keys))""",
    "add": """INSERT INTO study_replications
        VALUES (:key, :digest, :demand_digest, :facts, :kpis, :weeks, :seconds, :seal)
        ON CONFLICT (key) DO NOTHING""",
    "failed": """SELECT key, reason, attempts FROM study_failures
        WHERE key IN (SELECT value FROM json_each(:keys))
        AND key NOT IN (SELECT key FROM study_replications)""",
    "add_failed": """INSERT INTO study_failures VALUES (:key, :reason, :attempts)
        ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts""",
    "meta": "SELECT value FROM study_meta WHERE study = :study AND name = :name",
    "set_meta": """INSERT INTO study_meta VALUES (:study, :name, :value)
        ON CONFLICT (study, name) DO UPDATE SET value = excluded.value""",
}
"""As SQLite takes them; `_for_postgres` says them in its own way."""

_AT_A_TIME: Final = 500
_LOCK: Final = 0x5354554459
"""Among those who prepare a PostgreSQL database, one at a time."""


def _for_postgres(statements: Mapping[str, str]) -> dict[str, str]:
    keys = "json_array_elements_text(CAST(:keys AS json)) AS asked (value)"
    in_its_way = {name: sql.replace("json_each(:keys)", keys) for name, sql in statements.items()}
    return {name: re.sub(r":(\w+)", r"%(\1)s", sql) for name, sql in in_its_way.items()}


def _json(value: Any) -> str:
    """JSON as `json.dumps` writes it without spaces, in a third of its time."""
    return to_json(value, inf_nan_mode="constants").decode()


def _seal(*values: object) -> str:
    """What tells that a row is as it was stored: the first 16 hex digits of a SHA-256 over it."""
    return sha256("\n".join(map(str, values)).encode()).hexdigest()[:16]


def _damaged(place: str, found: str) -> StudybookError:
    mend = "move the file away, and what it held is simulated again"
    return StudybookError([f"{place}: expected a study's book, found a damaged one: {found}; {mend}"])


# --- databases -------------------------------------------------------------------------------------------


def _sqlite(file: Path) -> sqlite3.Connection:
    """A connection on which each statement that writes is a transaction of its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        _write_ahead(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Have changes logged ahead. Of several who are first to, SQLite refuses all but one without waiting."""
    for left in reversed(range(100 * WAIT_S)):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres(url: str, place: str) -> Any:
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        form = "postgresql://USER:PASSWORD@HOST:5432/NAME"
        raise StudybookError([f"{place}: expected a folder or {form}"])
    try:
        import psycopg
    except ImportError:
        mend = "pip install 'meterhouse[postgres]'"
        raise StudybookError([f"{place}: expected psycopg to be installed for PostgreSQL: {mend}"]) from None
    connection = psycopg.connect(
        f"postgresql://{rest}", autocommit=True, connect_timeout=WAIT_S, application_name="meterhouse"
    )
    connection.execute("SET synchronous_commit TO off")
    connection.execute(f"SET lock_timeout TO '{WAIT_S}s'")
    return connection


def _masked(url: str) -> str:
    """An address without its password."""
    return re.sub(r"(?<=://)([^/@:]*):.*@|(?<=[?&]password=)[^&]*", _mask, url)


def _mask(match: re.Match[str]) -> str:
    return "***" if match[1] is None else f"{match[1]}:***@"


_FULL: Final = "no room left on the disk"
_LOCKED: Final = "it locked by another program"
_UNREACHED: Final = "that it cannot be reached"
_UNWRITTEN: Final = "that it cannot be written"

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
}

_NO_STATE: Final = "none"
_POSTGRES_REASONS: Final = {
    "53100": _FULL,
    "55P03": _LOCKED,
    "40P01": _LOCKED,
    "25006": _UNWRITTEN,
    "57P01": _UNREACHED,
    "57P03": _UNREACHED,
    _NO_STATE: _UNREACHED,
}
"""By the code of the server's error; one that has none says that the server was not reached or was lost."""
