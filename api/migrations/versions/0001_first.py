"""The first tables: runs, commands, answers given, keys, settings, and the last number of a run."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring a database of the revision before to this one."""
    op.create_table(
        "answers",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name="answers_pk"),
    )
    op.create_index("answers_created_at_ix", "answers", ["created_at"])
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="counters_pk"),
    )
    op.execute("INSERT INTO counters (name, last) VALUES ('runs', 0)")
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="keys_pk"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("speed", sa.Double()),
        sa.Column("scenario_name", sa.Text(), nullable=False),
        sa.Column("scenario_id", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("t_ms", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text()),
        sa.Column("demand_digest", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("parent", sa.Text()),
        sa.Column("parent_t_ms", sa.BigInteger()),
        sa.Column("incarnation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("time_limit_s", sa.Double()),
        sa.Column("memory_limit_mb", sa.BigInteger()),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("kpis", sa.JSON()),
        sa.Column("limits", sa.Text()),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="runs_pk"),
        sa.UniqueConstraint("number", name="runs_number"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="settings_pk"),
    )
    op.create_table(
        "commands",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("external_id", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("apply_at_ms", sa.BigInteger()),
        sa.Column("expires_at_ms", sa.BigInteger()),
        sa.Column("if_version", sa.BigInteger()),
        sa.Column("t_ms", sa.BigInteger()),
        sa.Column("first_fact", sa.BigInteger()),
        sa.Column("facts", sa.BigInteger()),
        sa.Column("made", sa.JSON()),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("inherited", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="commands_run_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "sequence", name="commands_pk"),
        sa.UniqueConstraint("run", "external_id", name="commands_run_external_id"),
    )


def downgrade() -> None:
    """Bring a database of this revision to the one before."""
    op.drop_table("commands")
    op.drop_table("settings")
    op.drop_table("runs")
    op.drop_table("keys")
    op.drop_table("counters")
    op.drop_table("answers")
