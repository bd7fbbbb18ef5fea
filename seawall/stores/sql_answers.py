"""Answers kept for repeated requests (Idempotency-Key), in the records' database.

They live a day at most, so their table has no revision of its own: it is made where it is missing.
"""

import json
from typing import Any

import sqlalchemy as sa

from seawall.core.ports import KeptAnswer
from seawall.stores.sql_identities import SqlIdentities

MOST = 10_000
"""Claims of one asker that are kept; the oldest go first."""
_answers = sa.Table(
    "answers",
    sa.MetaData(),
    sa.Column("owner", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("at", sa.Float(53), nullable=False, index=True),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("secret", sa.Boolean, nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


class SqlAnswers(SqlIdentities):
    """The part of the port RecordStore for repeated requests."""

    def __init__(self, url: str, password: str | None = None) -> None:
        super().__init__(url, password)
        with self._write() as db:
            _answers.create(db, checkfirst=True)

    def claim(self, owner: str, key: str, fingerprint: str, at: float, oldest: float) -> KeptAnswer | None:
        """See the port."""
        mine = sa.and_(_answers.c.owner == owner, _answers.c.key == key)
        with self._write() as db:
            db.execute(_answers.delete().where(_answers.c.at < oldest))
            row = db.execute(sa.select(_answers).where(mine)).mappings().first()
            if row is not None:
                headers = json.loads(row["headers"])
                return KeptAnswer(
                    row["fingerprint"], row["status"], headers, bytes(row["body"]), bool(row["secret"])
                )
            values: dict[str, Any] = {"owner": owner, "key": key, "fingerprint": fingerprint, "at": at}
            db.execute(_answers.insert().values(status=0, secret=False, headers="{}", body=b"", **values))
            self._trim(db, owner)
        return None

    def _trim(self, db: sa.Connection, owner: str) -> None:
        theirs = _answers.c.owner == owner
        count = db.execute(sa.select(sa.func.count()).select_from(_answers).where(theirs)).scalar_one()
        if count > MOST:
            first = sa.select(_answers.c.key).where(theirs).order_by(_answers.c.at).limit(count - MOST)
            db.execute(_answers.delete().where(theirs, _answers.c.key.in_(first)))

    def keep_answer(self, owner: str, key: str, kept: KeptAnswer) -> None:
        """See the port."""
        values = {
            "status": kept.status,
            "secret": kept.secret,
            "headers": json.dumps(dict(kept.headers)),
            "body": kept.body,
        }
        with self._write() as db:
            mine = sa.and_(_answers.c.owner == owner, _answers.c.key == key)
            db.execute(_answers.update().where(mine).values(**values))

    def free_claim(self, owner: str, key: str) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(_answers.delete().where(_answers.c.owner == owner, _answers.c.key == key))
