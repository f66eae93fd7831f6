"""The schema of the registry, and the steps that bring an older database to it.

To change the schema: change `tables`, then write the step, and read it over before it is committed:

    python -c "from api.migrations import new_step; print(new_step('Runs have a colour'))"

A step that is released is never changed. It names its columns itself, since `tables` goes on without it.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from api.registry import RegistryError, make_file, sqlite_engine

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

_LOCK = 0x6D68_0001
"""PostgreSQL's number for: somebody of ours is changing the schema."""


def config_for(connection: Connection) -> Config:
    """What Alembic's commands need to work on a connection, whose transaction is the caller's."""
    from alembic.config import Config

    config = Config(stdout=io.StringIO())  # what it prints is for Alembic's own command line
    config.set_main_option("script_location", "api:migrations")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, place: str) -> str:
    """Bring the database to the newest revision, within the transaction, and give that revision.

    Raises
    ------
    RegistryError
        When a newer meterhouse made the database.
    """
    from alembic import command
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import text

    from api.migrations.tables import VERSION_TABLE

    is_sqlite = connection.dialect.name == "sqlite"
    if not is_sqlite:  # two servers may start at once
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    config = config_for(connection)
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    assert head is not None
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    if newer := set(found) - {each.revision for each in script.walk_revisions()}:
        shown = f"expected a registry of revision {head} or older, found {', '.join(sorted(newer))}"
        raise RegistryError([f"{place}: {shown}: a newer meterhouse made it"])
    if found != (head,):
        command.upgrade(config, "head")
        if is_sqlite and (torn := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
            raise RuntimeError(f"rows of {torn[0][0]} refer to nothing after the schema was changed")
    return head


def new_step(sentence: str) -> Path:
    """Write the next step, from what differs between the steps so far and the tables."""
    from alembic import command
    from alembic.script import Script, ScriptDirectory

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "registry.db"
        make_file(file)
        engine = sqlite_engine(file, is_migrating=True)
        with engine.begin() as connection:
            config = config_for(connection)
            upgrade(connection, folder)
            number = 1 + len(list(ScriptDirectory.from_config(config).walk_revisions()))
            made = command.revision(config, sentence, autogenerate=True, rev_id=f"{number:04}")
        engine.dispose()
    assert isinstance(made, Script)
    return Path(made.path)
