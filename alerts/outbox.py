"""The durable outbox: what is still to be told to whom. One SQLite file.

A message has an id per state of its incident, so that it is put in once however often the state is seen; it
leaves when the channel has taken it. Killed in between, it is sent again: at least once.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from alerts.channels import Message

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, channel TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL,
    sent_at REAL, tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL DEFAULT 0, error TEXT,
    UNIQUE (id, channel))
"""
FIRST, LONGEST = 5.0, 300.0
GIVE_UP = 86400.0
KEPT = 180 * 86400.0


class Outbox:
    """Used by one thread at a time. Times are Unix seconds."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_SCHEMA)

    def put(self, messages: Mapping[str, Message], at: float) -> None:
        """Keep each channel's message, durably, all or none; one that is there already stays as it is."""
        rows = [(it.id, channel, json.dumps(asdict(it)), at) for channel, it in messages.items()]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT OR IGNORE INTO outbox (id, channel, body, at) VALUES (?, ?, ?, ?)",
            rows,
        )
        self._db.execute("COMMIT")

    def known(self, prefix: str) -> set[str]:
        """Ids that begin so, sent or not."""
        rows = self._db.execute(
            "SELECT DISTINCT id FROM outbox WHERE substr(id, 1, ?) = ?", (len(prefix), prefix)
        )
        return {row[0] for row in rows}

    def due(self, now: float) -> Iterator[tuple[int, str, Message]]:
        """The oldest waiting message of each channel, if its time has come: (number, channel, message)."""
        found = self._db.execute(
            "SELECT number, channel, body FROM outbox WHERE number IN (SELECT min(number) FROM outbox"
            " WHERE sent_at IS NULL AND at > ? GROUP BY channel) AND next_at <= ? ORDER BY number",
            (now - GIVE_UP, now),
        ).fetchall()
        for number, channel, body in found:
            yield number, channel, Message(**json.loads(body))

    def sent(self, number: int, at: float) -> None:
        """The channel took it."""
        self._db.execute("UPDATE outbox SET sent_at = ?, error = NULL WHERE number = ?", (at, number))

    def failed(self, number: int, error: str, now: float) -> None:
        """It did not: again after 5 s, doubled up to 5 minutes, for a day."""
        (tries,) = self._db.execute("SELECT tries FROM outbox WHERE number = ?", (number,)).fetchone()
        wait = min(LONGEST, FIRST * 2**tries)
        self._db.execute(
            "UPDATE outbox SET tries = tries + 1, next_at = ?, error = ? WHERE number = ?",
            (now + wait, error[:500], number),
        )

    def waiting(self, now: float) -> int:
        """How many are still to be sent."""
        query = "SELECT count(*) FROM outbox WHERE sent_at IS NULL AND at > ?"
        return int(self._db.execute(query, (now - GIVE_UP,)).fetchone()[0])

    def expire(self, now: float) -> None:
        """Forget what is older than 180 days."""
        self._db.execute("DELETE FROM outbox WHERE at < ?", (now - KEPT,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
