"""Records: the switch, tokens, sessions and the audit log, and the database that holds them all."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock
from typing import Any

import sqlalchemy as sa

from seawall.core.errors import Conflict, InputError
from seawall.stores import audit_chain, sql_migrations
from seawall.stores.schema import audit, flags, sessions, spent, tokens
from seawall.stores.sql_accounts import SqlAccounts
from seawall.stores.sql_engine import open_engine, told


class SqlIdentities(SqlAccounts):
    """Half of the port RecordStore; SqlRecords is the other."""

    def __init__(self, url: str, password: str | None = None) -> None:
        self.engine = open_engine(url, password)
        self._writing = self.engine.execution_options(seawall_write=True)
        # The one connection of an in-memory database cannot carry two transactions at once.
        self._turn: AbstractContextManager[Any] = RLock() if url.startswith("memory:") else nullcontext()
        with self._write() as db:
            sql_migrations.upgrade(db)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._turn, told(), self._writing.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._turn, told(), self.engine.connect() as connection:
            yield connection

    def freeze(self, frozen: bool, actor: str, at: float, reason: str) -> None:
        """See the port."""
        text = f"by {actor}: {reason}" if reason else f"by {actor}"
        with self._write() as db:
            db.execute(flags.delete().where(flags.c.name == "frozen"))
            if frozen:
                db.execute(flags.insert().values(name="frozen", value=text))
            audit_chain.append(
                db, actor, "freeze" if frozen else "unfreeze", "seawall", {"reason": reason}, at
            )

    def frozen(self) -> tuple[bool, str]:
        """See the port."""
        with self._read() as db:
            value = db.execute(sa.select(flags.c.value).where(flags.c.name == "frozen")).scalar()
        return value is not None, value or ""

    def audit(self, actor: str, event: str, subject: str, detail: Mapping[str, Any], at: float) -> None:
        """See the port."""
        with self._write() as db:
            audit_chain.append(db, actor, event, subject, detail, at)

    def spend(
        self, name: str, actor: str, event: str, subject: str, detail: Mapping[str, Any], at: float
    ) -> bool:
        """See the port."""
        with self._write() as db:
            if db.execute(sa.select(spent.c.name).where(spent.c.name == name)).first():
                return False
            db.execute(spent.insert().values(name=name, at=at))
            audit_chain.append(db, actor, event, subject, detail, at)
        return True

    def audit_entries(
        self, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """See the port."""
        query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit + 1)
        if cursor:
            query = query.where(audit.c.seq < cursor_of(cursor))
        with self._read() as db:
            rows = [dict(row) for row in db.execute(query).mappings()]
        return rows[:limit], str(rows[limit - 1]["seq"]) if len(rows) > limit else None

    def audit_verify(self) -> tuple[int, str | None]:
        """See the port."""
        with self._read() as db:
            return audit_chain.verify(db)

    def add_token(
        self, name: str, role: str, hashed: str, actor: str, at: float, until: float | None
    ) -> None:
        """See the port."""
        try:
            with self._write() as db:
                db.execute(tokens.insert().values(hash=hashed, name=name, role=role, at=at, until=until))
                audit_chain.append(db, actor, "token.created", name, {"role": role}, at)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"a token named {name!r} exists; choose another name") from error

    def token_count(self) -> int:
        """See the port."""
        with self._read() as db:
            return int(db.execute(sa.select(sa.func.count()).select_from(tokens)).scalar_one())

    def token(self, hashed: str, at: float) -> tuple[str, str] | None:
        """See the port."""
        return self._identity(tokens, hashed, at)

    def add_session(self, hashed: str, name: str, role: str, at: float, until: float) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(sessions.delete().where(sessions.c.until < at))
            db.execute(sessions.insert().values(hash=hashed, name=name, role=role, at=at, until=until))
            audit_chain.append(db, name, "session.started", name, {"role": role}, at)

    def session(self, hashed: str, at: float) -> tuple[str, str] | None:
        """See the port."""
        return self._identity(sessions, hashed, at)

    def end_session(self, hashed: str) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(sessions.delete().where(sessions.c.hash == hashed))

    def _identity(self, table: sa.Table, hashed: str, at: float) -> tuple[str, str] | None:
        query = sa.select(table.c.name, table.c.role).where(
            table.c.hash == hashed, sa.or_(table.c.until.is_(None), table.c.until > at)
        )
        with self._read() as db:
            row = db.execute(query).first()
        return (row.name, row.role) if row else None

    def close(self) -> None:
        """See the port."""
        self.engine.dispose()


def cursor_of(cursor: str) -> int:
    """The number in a page's cursor. InputError if it is none of ours."""
    try:
        return int(cursor)
    except ValueError:
        raise InputError(
            "cursor", f"{cursor!r} is not one of ours", "use `next` of the former page"
        ) from None
