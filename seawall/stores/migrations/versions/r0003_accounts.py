"""Local users, what tokens may and when they were used, sessions that turn, wrong log-ins, audit exports."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables; a session of before is void, its holder logs in again."""
    op.create_table(
        "users",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "token_details",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("used_at", sa.Float(53)),
    )
    op.create_table(
        "revoked_tokens",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    _logins()
    op.create_table(
        "login_attempts",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "audit_marks",
        sa.Column("target", sa.String, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
    )


def _logins() -> None:
    op.create_table(
        "logins",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("hash", sa.String, nullable=False, index=True),
        sa.Column("following", sa.String, nullable=False, index=True),
        sa.Column("previous", sa.String, nullable=False, index=True),
        sa.Column("name", sa.String, nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("used_at", sa.Float(53), nullable=False),
        sa.Column("rotated_at", sa.Float(53), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
    )
