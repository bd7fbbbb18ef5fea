"""The tables of accounts, beside those of seawall.stores.schema."""

import sqlalchemy as sa

from seawall.stores import schema

metadata = schema.metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

token_details = sa.Table(
    "token_details",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("grants", sa.Text, nullable=False),
    sa.Column("used_at", sa.Float(53)),
)

revoked_tokens = sa.Table(
    "revoked_tokens",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
)

logins = sa.Table(
    "logins",
    metadata,
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

attempts = sa.Table(
    "login_attempts",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("wrong", sa.Integer, nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
)

marks = sa.Table(
    "audit_marks",
    metadata,
    sa.Column("target", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
)
