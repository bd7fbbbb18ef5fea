"""Records in SQLite through SQLAlchemy. Schemes: sqlite, memory.

SQLite runs in WAL with synchronous=FULL and BEGIN IMMEDIATE, so that a committed change survives
kill -9 and a power cut, and compare-and-set needs no retry loop.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.pool import StaticPool

from seawall.core.actions import OPEN_STATES, TRANSITIONS, Action, ActionState
from seawall.core.errors import Conflict, InputError, NotFound
from seawall.core.incidents import Finding, Incident, IncidentState, TimelineEntry
from seawall.stores import audit_chain
from seawall.stores.schema import actions, audit, findings, flags, incidents, metadata, sessions, tokens

SCHEMES = ("sqlite", "memory")
_ACTION = TypeAdapter(Action)
_INCIDENT = TypeAdapter(Incident)
_LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)


def open_engine(url: str) -> sa.Engine:
    """An engine with the durability that the records promise; `memory:` lives in this process only."""
    if url.startswith("memory:"):
        engine = sa.create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
    else:
        path = Path(url.split(":", 1)[1].removeprefix("//"))
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            f"sqlite:///{path}", connect_args={"timeout": 30, "isolation_level": None}, pool_size=4
        )
    sa.event.listen(engine, "connect", _pragmas)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _pragmas(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-2000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("seawall_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class SqlRecords:
    """Incidents, actions, tokens, sessions and the audit chain."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._writing = self.engine.execution_options(seawall_write=True)
        # The one connection of an in-memory database cannot carry two transactions at once.
        self._turn: AbstractContextManager[Any] = RLock() if url.startswith("memory:") else nullcontext()
        metadata.create_all(self.engine)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._turn, self._writing.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._turn, self.engine.connect() as connection:
            yield connection

    # incidents -----------------------------------------------------------------------------

    def open_incident(
        self, finding: Finding, explanation: str, actor: str, into: str | None = None
    ) -> tuple[Incident, bool]:
        """See the port. A redelivery of an episode that was resolved since is that incident's still."""
        with self._write() as db:
            known = db.execute(
                sa.select(findings.c.incident, findings.c.closed_at)
                .where(findings.c.source == finding.source, findings.c.fingerprint == finding.fingerprint)
                .order_by(findings.c.number.desc())
            ).first()
            episode = finding.at if finding.episode is None else finding.episode
            if known and (known.closed_at is None or episode <= known.closed_at):
                return self._incident(db, known.incident), False
            same = sa.and_(
                incidents.c.registry == finding.registry, incidents.c.slo.is_not_distinct_from(finding.slo)
            )
            joined = db.execute(
                sa.select(incidents.c.body)
                .where(incidents.c.state.in_(_LIVE))
                .where(incidents.c.id == into if into else same)
            ).scalar()
            incident = (
                self._join(db, _INCIDENT.validate_json(joined), finding, actor)
                if joined
                else self._open(db, finding, explanation, actor)
            )
            db.execute(
                findings.insert().values(
                    source=finding.source,
                    fingerprint=finding.fingerprint,
                    incident=incident.id,
                    at=finding.at,
                )
            )
            return incident, joined is None

    def _open(self, db: sa.Connection, finding: Finding, explanation: str, actor: str) -> Incident:
        number = _next_number(db, incidents)
        incident = Incident(
            id=f"inc-{number}",
            state=IncidentState.OPEN,
            severity=finding.severity,
            registry=finding.registry,
            slo=finding.slo,
            title=finding.title,
            explanation=explanation,
            opened_at=finding.at,
            causes=(finding.reason,),
            findings=(f"{finding.source}:{finding.fingerprint}",),
            timeline=(TimelineEntry(finding.at, actor, f"opened: {finding.reason}"),),
        )
        db.execute(incidents.insert().values(number=number, **_incident_row(incident)))
        detail = {"registry": incident.registry, "slo": incident.slo, "reason": finding.reason}
        audit_chain.append(db, actor, "incident.opened", incident.id, detail, finding.at)
        return incident

    def _join(self, db: sa.Connection, incident: Incident, finding: Finding, actor: str) -> Incident:
        joined = replace(
            incident,
            causes=(*incident.causes, finding.reason),
            findings=(*incident.findings, f"{finding.source}:{finding.fingerprint}"),
            timeline=(
                *incident.timeline,
                TimelineEntry(finding.at, actor, f"{finding.source} reports: {finding.reason}"),
            ),
        )
        detail = {"source": finding.source, "fingerprint": finding.fingerprint}
        return self._set_incident(db, joined, actor, "incident.joined", detail, finding.at)

    def incident(self, id: str) -> Incident:
        """See the port."""
        with self._read() as db:
            return self._incident(db, id)

    def _incident(self, db: sa.Connection, id: str) -> Incident:
        body = db.execute(sa.select(incidents.c.body).where(incidents.c.id == id)).scalar()
        if body is None:
            raise NotFound(f"no incident {id!r}; `seawall incidents` lists them")
        return _INCIDENT.validate_json(body)

    def incidents(
        self, states: Sequence[IncidentState] | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Incident], str | None]:
        """See the port."""
        with self._read() as db:
            bodies, following = _page(db, incidents, states, limit, cursor)
        return [_INCIDENT.validate_json(body) for body in bodies], following

    def save_incident(
        self, incident: Incident, actor: str, event: str, detail: Mapping[str, Any], at: float
    ) -> Incident:
        """See the port."""
        with self._write() as db:
            return self._set_incident(db, incident, actor, event, detail, at)

    def _set_incident(
        self,
        db: sa.Connection,
        incident: Incident,
        actor: str,
        event: str,
        detail: Mapping[str, Any],
        at: float,
    ) -> Incident:
        after = replace(incident, version=incident.version + 1)
        done = db.execute(
            incidents.update()
            .where(incidents.c.id == incident.id, incidents.c.version == incident.version)
            .values(**_incident_row(after))
        )
        if done.rowcount != 1:
            raise Conflict(f"incident {incident.id} changed meanwhile; read it again")
        if after.state is IncidentState.RESOLVED:
            db.execute(
                findings.update()
                .where(findings.c.incident == after.id, findings.c.closed_at.is_(None))
                .values(closed_at=at)
            )
        audit_chain.append(db, actor, event, incident.id, detail, at)
        return after

    # actions -------------------------------------------------------------------------------

    def propose_action(self, action: Action, actor: str) -> Action | None:
        """See the port."""
        with self._write() as db:
            taken = db.execute(
                sa.select(actions.c.id).where(
                    actions.c.incident == action.incident,
                    actions.c.playbook == action.playbook,
                    actions.c.state.in_(tuple(OPEN_STATES)),
                )
            ).first()
            if taken:
                return None
            incident = self._incident(db, action.incident)
            number = _next_number(db, actions)
            new = replace(
                action,
                id=f"act-{number}",
                history=((action.created_at, actor, f"proposed {action.playbook}"),),
            )
            db.execute(actions.insert().values(number=number, **_action_row(new)))
            line = TimelineEntry(action.created_at, actor, f"proposed {action.playbook} as {new.id}")
            linked = replace(
                incident, actions=(*incident.actions, new.id), timeline=(*incident.timeline, line)
            )
            detail = {"action": new.id, "playbook": new.playbook}
            self._set_incident(db, linked, actor, "action.proposed", detail, action.created_at)
            return new

    def action(self, id: str) -> Action:
        """See the port."""
        with self._read() as db:
            body = db.execute(sa.select(actions.c.body).where(actions.c.id == id)).scalar()
        if body is None:
            raise NotFound(f"no action {id!r}; `seawall actions` lists them")
        return _ACTION.validate_json(body)

    def actions(
        self, states: Sequence[ActionState] | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Action], str | None]:
        """See the port."""
        with self._read() as db:
            bodies, following = _page(db, actions, states, limit, cursor)
        return [_ACTION.validate_json(body) for body in bodies], following

    def last_run_end(self, playbook: str, registry: str) -> float | None:
        """See the port."""
        query = sa.select(sa.func.max(actions.c.run_ended_at)).where(
            actions.c.playbook == playbook, actions.c.registry == registry
        )
        with self._read() as db:
            return db.execute(query).scalar()

    def transition(
        self, before: Action, after: Action, actor: str, at: float, detail: Mapping[str, Any]
    ) -> Action:
        """See the port."""
        if after.state is not before.state and after.state not in TRANSITIONS[before.state]:
            raise Conflict(f"action {before.id} is {before.state}; it cannot become {after.state}")
        text = str(detail.get("reason") or after.reason or after.state)
        new = replace(
            after,
            id=before.id,
            version=before.version + 1,
            history=(*before.history, (at, actor, f"{after.state}: {text}")),
        )
        with self._write() as db:
            done = db.execute(
                actions.update()
                .where(
                    actions.c.id == before.id,
                    actions.c.state == before.state,
                    actions.c.version == before.version,
                )
                .values(**_action_row(new))
            )
            if done.rowcount != 1:
                raise Conflict(f"action {before.id} is no longer {before.state}; somebody was first")
            audit_chain.append(db, actor, f"action.{after.state}", before.id, detail, at)
        return new

    # switches, tokens, sessions, audit -------------------------------------------------------

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

    def audit_entries(
        self, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """See the port."""
        query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit + 1)
        if cursor:
            query = query.where(audit.c.seq < _cursor(cursor))
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


def _incident_row(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "state": incident.state,
        "registry": incident.registry,
        "slo": incident.slo,
        "version": incident.version,
        "body": _INCIDENT.dump_json(incident).decode(),
    }


def _action_row(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "incident": action.incident,
        "playbook": action.playbook,
        "registry": action.registry,
        "state": action.state,
        "version": action.version,
        "run_ended_at": action.run.ended_at if action.run else None,
        "body": _ACTION.dump_json(action).decode(),
    }


def _next_number(db: sa.Connection, table: sa.Table) -> int:
    return int(db.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.number), 0))).scalar_one()) + 1


def _cursor(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError:
        raise InputError(
            "cursor", f"{cursor!r} is not one of ours", "use `next` of the former page"
        ) from None


def _page(
    db: sa.Connection, table: sa.Table, states: Sequence[str] | None, limit: int, cursor: str | None
) -> tuple[list[str], str | None]:
    query = sa.select(table.c.number, table.c.body).order_by(table.c.number.desc()).limit(limit + 1)
    if states is not None:
        query = query.where(table.c.state.in_(tuple(states)))
    if cursor:
        query = query.where(table.c.number < _cursor(cursor))
    rows = db.execute(query).all()
    return [row.body for row in rows[:limit]], str(rows[limit - 1].number) if len(rows) > limit else None
