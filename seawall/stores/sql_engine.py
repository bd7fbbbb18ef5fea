"""Engines of the records by URL: SQLite and PostgreSQL (psycopg 3), with the durability that they promise.

A transaction that writes has the database to itself from its first statement: `BEGIN IMMEDIATE` in SQLite, an
advisory lock in PostgreSQL. The audit chain orders all writes anyway, and so compare-and-set needs no retry.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from seawall.core.errors import InputError, StoreUnavailable

WRITER = 0x5EA_0001  # the advisory locks (pg_advisory_lock takes a bigint): who writes, who leads
LEADER = 0x5EA_0002
POSTGRESQL = "postgresql"
_RESTORE = "put a backup into an empty folder: `seawall restore DIR --state FOLDER`"
_PATIENCE = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,  # milliseconds
    "application_name": "seawall",
    # A vanished client is noticed by the server within 6 s, one that hangs in a transaction within 10 s.
    "options": "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
    " -c idle_in_transaction_session_timeout=10s -c lock_timeout=30s"
    " -c synchronous_commit=on -c client_encoding=UTF8",
}


def open_engine(url: str, password: str | None = None) -> sa.Engine:
    """An engine; `memory:` lives in this process only. Nothing is asked yet. InputError for a URL that is not
    one, or that carries a password."""
    if url.startswith(POSTGRESQL):
        engine = _postgresql(url, password)
    else:
        engine = _sqlite(url)
        sa.event.listen(engine, "connect", partial(_pragmas, engine.url.database or "records"))
    sa.event.listen(engine, "begin", _begin)
    return engine


def ask(url: str, password: str | None) -> str:
    """What the server of a PostgreSQL URL says it is; nothing is made there. InputError, StoreUnavailable."""
    engine = open_engine(url, password)
    try:
        with told(), engine.connect() as db:
            return f"PostgreSQL {db.exec_driver_sql('SHOW server_version').scalar()}"
    finally:
        engine.dispose()


def _sqlite(url: str) -> sa.Engine:
    if url.startswith("memory:"):
        return sa.create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
    path = Path(url.split(":", 1)[1].removeprefix("//"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": 30, "isolation_level": None}, pool_size=4
    )


def _postgresql(url: str, password: str | None) -> sa.Engine:
    place, like = "stores.records", "write it like postgresql://seawall@host:5432/seawall"
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InputError(place, "names no PostgreSQL database", like) from error
    if parsed.password is not None or "password" in parsed.query:
        raise InputError(place, "a password stands in the URL", "use stores.postgresql.password_file")
    if parsed.drivername != POSTGRESQL or not parsed.database:
        raise InputError(place, f"{url!r} names no PostgreSQL database", like)
    full = parsed.set(drivername=f"{POSTGRESQL}+psycopg", password=password)
    return sa.create_engine(
        full, connect_args=_PATIENCE, pool_size=5, max_overflow=10, pool_timeout=10, pool_pre_ping=True
    )


def _pragmas(place: str, connection: Any, _record: Any) -> None:
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-2000"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError as error:
        if not _damaged(error):
            raise
        raise StoreUnavailable(f"{place}: damaged ({error}); {_RESTORE}") from error


def _damaged(error: object) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _begin(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("seawall_write", False)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
    elif writing:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")


@contextmanager
def told() -> Iterator[None]:
    """A full disk, a lock held too long, a server away, a damaged file: StoreUnavailable. What the engine
    cannot hold (a NUL in PostgreSQL's text): InputError. Nothing was committed in either case, unless the
    connection was lost in the very moment of the commit."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise StoreUnavailable(f"records: {getattr(error, 'orig', error)}") from error
    except sa.exc.DataError as error:
        raise InputError(
            "records", f"a value cannot be kept ({error.orig})", "mend it and send it again"
        ) from error
    except sa.exc.DBAPIError as error:
        if _damaged(error.orig):
            raise StoreUnavailable(f"records: damaged ({error.orig}); {_RESTORE}") from error
        if not error.connection_invalidated:
            raise
        raise StoreUnavailable(f"records: {error.orig}") from error
