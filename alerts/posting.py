"""Seawall's own alerts posted to Alertmanager (API v2), and its silences.

Open incidents are posted again and again, so that they are kept alive; each ends by itself when Seawall falls
silent. The labels are those of the generated rules (alertname, registry, slo, severity): where Prometheus
says the same, Alertmanager sees one alert. Nothing is kept: after a restart the records say what is open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from alerts.alertmanager import INCIDENT, WATCHDOG
from alerts.notify import Links
from seawall.core.errors import SeawallError
from seawall.core.incidents import Incident, IncidentState
from seawall.core.ports import Clock, RecordStore
from seawall.core.slos import SloRow
from seawall.core.times import rfc3339

ALIVE = 4  # an alert that is not posted again ends after so many turns
OTHER = "SeawallIncident"


@dataclass(frozen=True, slots=True)
class Peer:
    """Where Alertmanager is. `verify`: an ssl context, or True."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: httpx.Auth | None = None
    verify: Any = True
    timeout: float = 5.0

    def post(self, path: str, body: Any) -> Any:
        """POST JSON below /api/v2; the answer's JSON, or None. SeawallError."""
        client = httpx.Client(
            timeout=self.timeout,
            trust_env=False,
            verify=self.verify,
            auth=self.auth,
            headers=dict(self.headers),
        )
        try:
            with client:
                answer = client.post(f"{self.url}/api/v2/{path}", json=body)
        except httpx.HTTPError as error:
            raise SeawallError(f"Alertmanager at {self.url}: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise SeawallError(f"Alertmanager at {self.url}: HTTP {answer.status_code}: {answer.text[:200]}")
        return answer.json() if answer.content.strip() else None


class Poster:
    """Posts what is open, and once what was resolved. `resend` in seconds."""

    def __init__(
        self,
        peer: Peer,
        records: RecordStore,
        rows: Sequence[SloRow],
        clock: Clock,
        links: Links,
        resend: float,
    ) -> None:
        self._peer, self._records, self._clock, self._links = peer, records, clock, links
        self._alerts = {row.name: row.alert for row in rows}
        self._resend = resend
        self._posted_at = 0.0
        self._seen: dict[str, IncidentState] = {}

    def look(self) -> None:
        """Post if it is time, or if an incident has changed since. SeawallError: try at the next look."""
        now = self._clock.now()
        found = self._records.incidents(limit=200)[0]
        since = now - ALIVE * self._resend
        wanted = {
            it.id: it
            for it in found
            if it.state is not IncidentState.RESOLVED or (it.resolved_at or 0) > since
        }
        states = {id: _stage(it) for id, it in wanted.items()}
        if states == self._seen and now - self._posted_at < self._resend:
            return
        told = {id for id, state in self._seen.items() if state is IncidentState.RESOLVED}
        self._peer.post("alerts", [self._watchdog(now), *self._all(wanted.values(), told, now)])
        self._seen, self._posted_at = states, now

    def _all(self, incidents: Any, told: set[str], now: float) -> list[dict[str, Any]]:
        """One alert for each set of labels; an open incident wins over a resolved one."""
        alerts: dict[tuple[str, ...], dict[str, Any]] = {}
        for it in sorted(incidents, key=lambda it: it.state is not IncidentState.RESOLVED):
            if it.state is not IncidentState.RESOLVED or it.id not in told:
                alert = self._alert(it, now)
                alerts[tuple(alert["labels"].values())] = alert
        return list(alerts.values())

    def _alert(self, it: Incident, now: float) -> dict[str, Any]:
        name = self._alerts.get(it.slo or "", OTHER)
        over = it.state is IncidentState.RESOLVED and it.resolved_at is not None
        labels = {"alertname": name, "registry": it.registry, "severity": it.severity.value}
        notes = {"summary": it.title, "description": it.explanation or it.title, INCIDENT: it.id}
        notes |= {"runbook_url": self._links.runbook(name), "console_url": self._links.incident(it.id)}
        return {
            "labels": labels | ({"slo": it.slo} if it.slo else {}),
            "annotations": {key: value for key, value in notes.items() if value},
            "startsAt": rfc3339(it.opened_at),
            "endsAt": rfc3339((it.resolved_at or now) if over else now + ALIVE * self._resend),
            "generatorURL": self._links.incident(it.id),
        }

    def _watchdog(self, now: float) -> dict[str, Any]:
        return {
            "labels": {"alertname": WATCHDOG, "severity": "none"},
            "annotations": {"summary": "Alerting works"},
            "startsAt": rfc3339(now),
            "endsAt": rfc3339(now + ALIVE * self._resend),
        }


def _stage(it: Incident) -> IncidentState:
    return IncidentState.RESOLVED if it.state is IncidentState.RESOLVED else IncidentState.OPEN


def silence(peer: Peer, registry: str, start: float, end: float, by: str, reason: str) -> str:
    """Silence every alert of a registry in [start, end) (Unix seconds); the silence's id. SeawallError."""
    matcher = {"name": "registry", "value": registry, "isRegex": False, "isEqual": True}
    answer = peer.post(
        "silences",
        {
            "matchers": [matcher],
            "startsAt": rfc3339(start),
            "endsAt": rfc3339(end),
            "createdBy": by,
            "comment": reason,
        },
    )
    return str((answer or {}).get("silenceID", ""))
