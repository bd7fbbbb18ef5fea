"""The audit chain of a records file, checked without a running Seawall and without writing to it."""

import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from seawall.core.errors import InputError
from seawall.stores import audit_chain
from seawall.stores.schema import audit

_HASH = re.compile(r"[0-9a-f]{16,64}")


def verify_file(path: Path, head: str = "") -> dict[str, Any]:
    """{ok, entries, fault, seq, head} as GET /api/v1/audit/verify. InputError for another file."""
    engine = sa.create_engine(f"sqlite:///file:{path.absolute()}?mode=ro&uri=true")
    try:
        with engine.connect() as db:
            return verified(db, head)
    except sa.exc.DatabaseError as error:
        raise InputError(
            str(path), f"cannot read it ({error.orig})", "give --state a state folder"
        ) from error
    finally:
        engine.dispose()


def verified(db: sa.Connection, head: str = "") -> dict[str, Any]:
    """Walk the chain; with `head`, a hash or its first 16 digits and more, that entry must be in it."""
    if head and not _HASH.fullmatch(head):
        raise InputError("head", f"{head[:64]!r} is no hash", "give 16 to 64 hex digits, as a message shows")
    entries, fault = audit_chain.verify(db)
    newest = db.execute(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    named = sa.select(audit.c.seq).where(audit.c.hash.startswith(head))
    if fault is None and head and not db.execute(named).first():
        fault = (
            f"no entry has the hash {head[:64]}: the newest entries were cut off, or the log is another one"
        )
    seq, hashed = (newest.seq, newest.hash) if newest else (0, "")
    return {"ok": fault is None, "entries": entries, "fault": fault, "seq": seq, "head": hashed}
