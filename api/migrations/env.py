"""What Alembic runs: the steps, on the connection and in the transaction that it was handed.

Whoever calls opens the transaction and commits it (`api.registry`), so that a step is done whole or not at
all, on SQLite too. There is no way to run it without a connection.
"""

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from api.migrations.tables import METADATA, VERSION_TABLE


def render_item(kind: str, item: Any, _: object) -> str | Literal[False]:
    """A column type in a new step, without the types of ours that may change later."""
    return f"sa.{item.impl!r}" if kind == "type" and isinstance(item, TypeDecorator) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter a column: the table is copied
    render_item=render_item,
    transactional_ddl=True,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
