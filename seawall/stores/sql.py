"""Records in SQLite and PostgreSQL through SQLAlchemy. Schemes: sqlite, postgresql, memory.

SQLite runs in WAL with synchronous=FULL and BEGIN IMMEDIATE, PostgreSQL with synchronous_commit=on and one
writer at a time (sql_engine), so that a committed change survives kill -9 and a power cut.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from seawall.core.actions import OPEN_STATES, TRANSITIONS, Action, ActionState
from seawall.core.errors import Conflict, NotFound
from seawall.core.incidents import Finding, Incident, IncidentState, TimelineEntry
from seawall.stores import audit_chain
from seawall.stores.schema import actions, findings, incidents
from seawall.stores.sql_answers import SqlAnswers
from seawall.stores.sql_identities import cursor_of
from seawall.stores.sql_leadership import fence

SCHEMES = ("sqlite", "postgresql", "memory")
_ACTION = TypeAdapter(Action)
_INCIDENT = TypeAdapter(Incident)
_LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)


class SqlRecords(SqlAnswers):
    """The whole port RecordStore: incidents and actions here, the rest in SqlIdentities."""

    # incidents -----------------------------------------------------------------------------

    def open_incident(
        self, finding: Finding, actor: str, into: str | None = None, reopen_since: float = math.inf
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
            back = None if joined else self._resolved_since(db, finding, actor, reopen_since)
            if joined:
                incident = self._join(db, _INCIDENT.validate_json(joined), finding, actor)
            else:
                incident = self._reopen(db, back, finding, actor) if back else self._open(db, finding, actor)
            db.execute(
                findings.insert().values(
                    source=finding.source,
                    fingerprint=finding.fingerprint,
                    incident=incident.id,
                    at=finding.at,
                )
            )
            return incident, joined is None

    def _resolved_since(
        self, db: sa.Connection, finding: Finding, actor: str, since: float
    ) -> Incident | None:
        """The newest incident of this registry and row, if `actor` resolved it by itself at `since` or later:
        what a person has closed stays closed."""
        same = sa.and_(
            incidents.c.registry == finding.registry, incidents.c.slo.is_not_distinct_from(finding.slo)
        )
        body = db.execute(
            sa.select(incidents.c.body).where(same).order_by(incidents.c.number.desc()).limit(1)
        ).scalar()
        found = _INCIDENT.validate_json(body) if body else None
        if found is None or found.resolved_at is None or found.resolved_by != actor:
            return None
        return found if found.resolved_at >= since else None

    def _reopen(self, db: sa.Connection, incident: Incident, finding: Finding, actor: str) -> Incident:
        named = f"{finding.source}:{finding.fingerprint}"
        again = replace(
            incident,
            state=IncidentState.OPEN,
            severity=min(incident.severity, finding.severity),
            acknowledged_by=None,
            resolved_at=None,
            resolved_by=None,
            explanation="",
            causes=(finding.reason,),
            findings=(*(it for it in incident.findings if it != named), named),
            timeline=(*incident.timeline, TimelineEntry(finding.at, actor, f"reopened: {finding.reason}")),
            facts=finding.facts,
            reopened=incident.reopened + 1,
            reopened_at=finding.at,
        )
        detail = {"reason": finding.reason, "times": again.reopened}
        return self._set_incident(db, again, actor, "incident.reopened", detail, finding.at)

    def _open(self, db: sa.Connection, finding: Finding, actor: str) -> Incident:
        number = _next_number(db, incidents)
        incident = Incident(
            id=f"inc-{number}",
            state=IncidentState.OPEN,
            severity=finding.severity,
            registry=finding.registry,
            slo=finding.slo,
            title=finding.title,
            explanation="",
            opened_at=finding.at,
            causes=(finding.reason,),
            findings=(f"{finding.source}:{finding.fingerprint}",),
            timeline=(TimelineEntry(finding.at, actor, f"opened: {finding.reason}"),),
            facts=finding.facts,
        )
        db.execute(incidents.insert().values(number=number, **_incident_row(incident)))
        detail = {"registry": incident.registry, "slo": incident.slo, "reason": finding.reason}
        audit_chain.append(db, actor, "incident.opened", incident.id, detail, finding.at)
        return incident

    def _join(self, db: sa.Connection, incident: Incident, finding: Finding, actor: str) -> Incident:
        joined = replace(
            incident,
            severity=min(incident.severity, finding.severity),  # page comes before ticket
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
            for begun in (new.run if before.run is None else None, new.undo if before.undo is None else None):
                if begun is not None:
                    fence(db, begun.term)
            audit_chain.append(db, actor, f"action.{after.state}", before.id, detail, at)
        return new


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


def _page(
    db: sa.Connection, table: sa.Table, states: Sequence[str] | None, limit: int, cursor: str | None
) -> tuple[list[str], str | None]:
    query = sa.select(table.c.number, table.c.body).order_by(table.c.number.desc()).limit(limit + 1)
    if states is not None:
        query = query.where(table.c.state.in_(tuple(states)))
    if cursor:
        query = query.where(table.c.number < cursor_of(cursor))
    rows = db.execute(query).all()
    return [row.body for row in rows[:limit]], str(rows[limit - 1].number) if len(rows) > limit else None
