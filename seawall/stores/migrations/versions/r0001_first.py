"""The records as they were before there were revisions; a database that holds them is adopted."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of incidents, findings, actions, flags, the audit log, tokens and sessions."""
    op.create_table(
        "incidents",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("registry", sa.String, nullable=False),
        sa.Column("slo", sa.String),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    _findings()
    op.create_table(
        "actions",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("incident", sa.String, sa.ForeignKey("incidents.id"), nullable=False, index=True),
        sa.Column("playbook", sa.String, nullable=False),
        sa.Column("registry", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("run_ended_at", sa.Float(53)),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "flags", sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    _audit()
    for name in ("tokens", "sessions"):
        op.create_table(
            name,
            sa.Column("hash", sa.String, primary_key=True),
            sa.Column("name", sa.String, nullable=False, unique=name == "tokens"),
            sa.Column("role", sa.String, nullable=False),
            sa.Column("at", sa.Float(53), nullable=False),
            sa.Column("until", sa.Float(53)),
        )


def _findings() -> None:
    op.create_table(
        "findings",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("incident", sa.String, sa.ForeignKey("incidents.id"), nullable=False, index=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("closed_at", sa.Float(53)),
    )
    still_open = sa.text("closed_at IS NULL")
    op.create_index(
        "one_open_episode",
        "findings",
        ["source", "fingerprint"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
    )
