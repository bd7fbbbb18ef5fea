"""Accounts in the database of the records: the port AccountStore."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from typing import Any

import sqlalchemy as sa

from seawall.core.accounts import Session, Token, User
from seawall.core.errors import Conflict, NotFound
from seawall.stores import audit_chain, audit_file
from seawall.stores.schema import audit, tokens
from seawall.stores.schema_accounts import attempts, logins, marks, revoked_tokens, token_details, users

_SESSION = tuple(field.name for field in fields(Session))


class SqlAccounts(ABC):
    """A part of SqlRecords, which brings the two transactions."""

    @abstractmethod
    def _write(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that writes."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that reads."""

    # users ---------------------------------------------------------------------------------

    def add_user(self, user: User, actor: str) -> None:
        """See the port."""
        try:
            with self._write() as db:
                db.execute(users.insert().values(name=user.name, version=0, body=_body(user)))
                detail = {"role": user.role, "registries": dict(user.grants)}
                audit_chain.append(db, actor, "user.created", user.name, detail, user.created_at)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"a user named {user.name!r} exists; choose another name") from error

    def user(self, name: str) -> User | None:
        """See the port."""
        with self._read() as db:
            body = db.execute(sa.select(users.c.body).where(users.c.name == name)).scalar()
        return _user(body) if body else None

    def users(self) -> list[User]:
        """See the port."""
        with self._read() as db:
            return [
                _user(body) for body in db.execute(sa.select(users.c.body).order_by(users.c.name)).scalars()
            ]

    def save_user(self, user: User, actor: str, event: str, detail: Mapping[str, Any], at: float) -> User:
        """See the port."""
        after = replace(user, version=user.version + 1)
        with self._write() as db:
            done = db.execute(
                users.update()
                .where(users.c.name == user.name, users.c.version == user.version)
                .values(version=after.version, body=_body(after))
            )
            if done.rowcount != 1:
                raise Conflict(f"the user {user.name} changed meanwhile; try again")
            if event:
                audit_chain.append(db, actor, event, user.name, detail, at)
        return after

    # tokens --------------------------------------------------------------------------------

    def issue_token(self, token: Token, actor: str) -> None:
        """See the port."""
        row = {key: getattr(token, key) for key in ("hash", "name", "role", "at", "until")}
        detail = {"role": token.role} | ({"registries": dict(token.grants)} if token.grants else {})
        try:
            with self._write() as db:
                db.execute(tokens.insert().values(**row))
                db.execute(token_details.insert().values(hash=token.hash, grants=json.dumps(token.grants)))
                audit_chain.append(db, actor, "token.created", token.name, detail, token.at)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"a token named {token.name!r} exists; choose another name") from error

    def tokens(self) -> list[Token]:
        """See the port."""
        with self._read() as db:
            return [_token(row) for row in db.execute(_TOKENS.order_by(tokens.c.name))]

    def live_token(self, hashed: str, at: float) -> Token | None:
        """See the port."""
        live = sa.or_(tokens.c.until.is_(None), tokens.c.until > at)
        with self._read() as db:
            row = db.execute(_TOKENS.where(tokens.c.hash == hashed, live)).first()
        return _token(row) if row else None

    def touch_token(self, hashed: str, at: float) -> None:
        """See the port."""
        with self._write() as db:
            seen = token_details.update().where(token_details.c.hash == hashed).values(used_at=at)
            if db.execute(seen).rowcount == 0:
                db.execute(token_details.insert().values(hash=hashed, grants="[]", used_at=at))

    def revoke_token(self, name: str, actor: str, at: float) -> None:
        """See the port."""
        with self._write() as db:
            hashed = db.execute(sa.select(tokens.c.hash).where(tokens.c.name == name)).scalar()
            if hashed is None:
                raise NotFound(f"no token {name!r}; `seawall token list` lists them")
            db.execute(tokens.delete().where(tokens.c.hash == hashed))
            db.execute(token_details.delete().where(token_details.c.hash == hashed))
            db.execute(revoked_tokens.insert().values(hash=hashed, at=at))
            db.execute(logins.delete().where(logins.c.source == hashed))
            audit_chain.append(db, actor, "token.revoked", name, {}, at)

    def was_revoked(self, hashed: str) -> bool:
        """See the port."""
        with self._read() as db:
            return (
                db.execute(sa.select(revoked_tokens.c.at).where(revoked_tokens.c.hash == hashed)).first()
                is not None
            )

    # sessions ------------------------------------------------------------------------------

    def start_session(self, session: Session) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(logins.delete().where(logins.c.until < session.at))
            db.execute(logins.insert().values(**asdict(session)))
            detail = {"kind": session.kind, "stage": session.stage}
            audit_chain.append(db, session.name, "session.started", session.name, detail, session.at)

    def session_of(self, hashed: str) -> Session | None:
        """See the port."""
        mine = sa.or_(logins.c.hash == hashed, logins.c.following == hashed, logins.c.previous == hashed)
        return self._session(mine)

    def session_with(self, id: str) -> Session | None:
        """See the port."""
        return self._session(logins.c.id == id)

    def _session(self, which: sa.ColumnElement[bool]) -> Session | None:
        with self._read() as db:
            row = db.execute(sa.select(logins).where(which)).first()
        return Session(**{name: getattr(row, name) for name in _SESSION}) if row else None

    def save_session(self, session: Session) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(logins.update().where(logins.c.id == session.id).values(**asdict(session)))

    def end_sessions(self, id: str = "", name: str = "") -> None:
        """See the port."""
        with self._write() as db:
            db.execute(logins.delete().where(logins.c.id == id if id else logins.c.name == name))

    # attempts and exports ------------------------------------------------------------------

    def attempts(self, keys: Sequence[str]) -> dict[str, tuple[int, float]]:
        """See the port."""
        with self._read() as db:
            rows = db.execute(sa.select(attempts).where(attempts.c.key.in_(keys)))
            return {row.key: (row.wrong, row.at) for row in rows}

    def note_attempts(self, counts: Mapping[str, int], at: float, forget_before: float) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(
                attempts.delete().where(sa.or_(attempts.c.key.in_(counts), attempts.c.at < forget_before))
            )
            rows = [{"key": key, "wrong": wrong, "at": at} for key, wrong in counts.items() if wrong]
            if rows:
                db.execute(attempts.insert(), rows)

    def audit_check(self, head: str) -> dict[str, Any]:
        """See the port."""
        with self._read() as db:
            return audit_file.verified(db, head)

    def audit_since(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """See the port."""
        query = sa.select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(limit)
        with self._read() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    def audit_mark(self, target: str, seq: int | None = None) -> int:
        """See the port."""
        if seq is not None:
            with self._write() as db:
                db.execute(marks.delete().where(marks.c.target == target))
                db.execute(marks.insert().values(target=target, seq=seq))
            return seq
        with self._read() as db:
            return int(db.execute(sa.select(marks.c.seq).where(marks.c.target == target)).scalar() or 0)


_TOKENS = sa.select(tokens, token_details.c.grants, token_details.c.used_at).join_from(
    tokens, token_details, tokens.c.hash == token_details.c.hash, isouter=True
)


def _pairs(found: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, role) for name, role in found)


def _token(row: Any) -> Token:
    grants = _pairs(json.loads(row.grants or "[]"))
    return Token(row.name, row.role, row.hash, row.at, row.until, grants, row.used_at)


def _body(user: User) -> str:
    return json.dumps(asdict(user), sort_keys=True)


def _user(body: str) -> User:
    found = json.loads(body)
    return User(**(found | {"grants": _pairs(found["grants"]), "recovery": tuple(found["recovery"])}))
