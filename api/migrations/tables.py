"""The tables of the registry, as the newest revision leaves them: one schema for SQLite and PostgreSQL.

Columns bear the names of the fields of the dataclasses in `api.registry`. Imported only where the database is
used.
"""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

VERSION_TABLE: Final = "registry_version"
"""Where the revision of the database stands; a name of our own, since a database may be shared."""

METADATA: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    }
)


class Words(TypeDecorator[str]):
    """Text that both databases keep as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """The text itself; ValueError when it has what PostgreSQL or UTF-8 does not know."""
        if value is not None and ("\0" in value or not _is_utf8(value)):
            raise ValueError(f"expected text without NUL or half of a surrogate pair, found {value[:40]!a}")
        return value


class Instant(TypeDecorator[datetime]):
    """An instant in UTC, to the microsecond. SQLite keeps it without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The instant in UTC; ValueError when it has no zone."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"expected an instant with its time zone, found {value.isoformat()}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The instant with UTC as its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", Words, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("mode", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("speed", Double),
    Column("scenario_name", Words, nullable=False),
    Column("scenario_id", Words, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("resolved", JSON, nullable=False),
    Column("model_version", Words, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("t_ms", BigInteger, nullable=False),
    Column("facts", BigInteger, nullable=False),
    Column("digest", Words),
    Column("demand_digest", Words),
    Column("error", Words),
    Column("parent", Words),  # may be deleted while its branch stays
    Column("parent_t_ms", BigInteger),
    Column("incarnation", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("created_by", Words, nullable=False),
    Column("time_limit_s", Double),
    Column("memory_limit_mb", BigInteger),
    Column("size_bytes", BigInteger, nullable=False),
    Column("kpis", JSON(none_as_null=True)),
    Column("limits", Words),
    Column("keep", Boolean, nullable=False),
)

COMMANDS: Final = Table(
    "commands",
    METADATA,
    Column("run", Words, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("type", Words, nullable=False),
    Column("args", JSON, nullable=False),
    Column("external_id", Words),
    Column("state", Words, nullable=False),
    Column("reason", Words),
    Column("apply_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("if_version", BigInteger),
    Column("t_ms", BigInteger),
    Column("first_fact", BigInteger),
    Column("facts", BigInteger),
    Column("made", JSON(none_as_null=True)),
    Column("accepted_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("created_by", Words, nullable=False),
    Column("inherited", Boolean, nullable=False),
    UniqueConstraint("run", "external_id"),
)

ANSWERS: Final = Table(
    "answers",
    METADATA,
    Column("principal", Words, primary_key=True),
    Column("key", Words, primary_key=True),
    Column("fingerprint", Words, nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
)

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("hash", Words, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("expires_at", Instant),
)

SETTINGS: Final = Table(
    "settings",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("value", Words, nullable=False),
)

COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""The last number given. The first step brings the row `runs`, which outlives the runs and a copied table."""
