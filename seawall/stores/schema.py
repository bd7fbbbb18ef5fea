"""The tables of the records. Bodies are JSON; columns beside them are what is searched or compared."""

import sqlalchemy as sa

metadata = sa.MetaData()

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("registry", sa.String, nullable=False),
    sa.Column("slo", sa.String),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("incident", sa.ForeignKey("incidents.id"), nullable=False, index=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("closed_at", sa.Float(53)),
)
# One open episode per (source, fingerprint), whatever the number of replicas.
sa.Index(
    "one_open_episode",
    findings.c.source,
    findings.c.fingerprint,
    unique=True,
    sqlite_where=findings.c.closed_at.is_(None),
    postgresql_where=findings.c.closed_at.is_(None),
)

actions = sa.Table(
    "actions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("incident", sa.ForeignKey("incidents.id"), nullable=False, index=True),
    sa.Column("playbook", sa.String, nullable=False),
    sa.Column("registry", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_ended_at", sa.Float(53)),
    sa.Column("body", sa.Text, nullable=False),
)

flags = sa.Table(
    "flags",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
)


def _identity(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=name == "tokens"),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("until", sa.Float(53)),
    )


# What may be used once (the links of notifications), once it has been.
spent = sa.Table(
    "spent",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
)
# Which of several Seawalls acts; `term` grows with each change, and fences off runs of a former leader.
leadership = sa.Table(
    "leadership",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("term", sa.Integer, nullable=False),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("seen", sa.Float(53), nullable=False),  # by the server's clock, at each beat
)
tokens = _identity("tokens")
sessions = _identity("sessions")
