"""The audit log: append-only, each entry hashed with its predecessor, so that a change shows.

hash = hex SHA-256 over the predecessor's hash and the entry as JSON with sorted keys (64 zeros
stand before the first). Cutting the newest entries off is only seen by whoever kept a later hash.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from seawall.stores.schema import audit

GENESIS = "0" * 64


def _hash(previous: str, entry: Mapping[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()


def append(
    db: sa.Connection, actor: str, event: str, subject: str, detail: Mapping[str, Any], at: float
) -> None:
    """Add one entry inside the caller's transaction."""
    last = db.execute(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    text = json.dumps(detail, sort_keys=True, ensure_ascii=False)
    entry = {"seq": seq, "at": at, "actor": actor, "event": event, "subject": subject, "detail": text}
    db.execute(audit.insert().values(**entry, previous=previous, hash=_hash(previous, entry)))


def verify(db: sa.Connection) -> tuple[int, str | None]:
    """Walk the chain from its start: (entries that hold, the first fault or None)."""
    previous, count = GENESIS, 0
    for row in db.execute(sa.select(audit).order_by(audit.c.seq)).mappings():
        entry = {key: row[key] for key in ("seq", "at", "actor", "event", "subject", "detail")}
        if row["seq"] != count + 1:
            return count, f"entry {count + 1} is missing"
        if row["previous"] != previous or row["hash"] != _hash(previous, entry):
            return count, f"entry {row['seq']} was changed after it was written"
        previous, count = row["hash"], count + 1
    return count, None
