"""Alertmanager's webhook, version 4 (prometheus/alertmanager notify/webhook/webhook.go).

Each alert is judged by its own status; the group's key, status and receiver are not used. An
episode is (source, fingerprint); startsAt says when it began but is no key, since Merge moves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from seawall.core.errors import InputError
from seawall.core.incidents import Finding, Severity
from seawall.core.slos import SloRow
from seawall.core.times import parse_time

SOURCE = "alertmanager"
WATCHDOG = "SeawallWatchdog"
INCIDENT = "seawall_incident"  # the annotation of alerts that Seawall posted itself
PLACE = "alertmanager webhook"


class _Alert(BaseModel):
    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: str
    fingerprint: str = Field(min_length=1, max_length=256)


class _Message(BaseModel):
    version: str
    alerts: list[_Alert] = Field(max_length=10_000)
    truncatedAlerts: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one delivery says: alerts that fire, and fingerprints of those that are over."""

    firing: tuple[Finding, ...]
    resolved: tuple[str, ...]


def parse(body: bytes, rows: Sequence[SloRow], registries: Sequence[str], now: float) -> Delivery:
    """A delivery read; unknown fields are accepted, another version is refused (InputError)."""
    try:
        message = _Message.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "body"
        raise InputError(PLACE, f"{key}: {first['msg']}", "send Alertmanager's version 4 message") from error
    if message.version != "4":
        raise InputError(PLACE, f"version is {message.version!r}", "this speaks version 4")
    alerts = [
        alert
        for alert in message.alerts
        if alert.labels.get("alertname") != WATCHDOG and INCIDENT not in alert.annotations
    ]
    return Delivery(
        tuple(_finding(a, rows, registries, now) for a in alerts if a.status == "firing"),
        tuple(a.fingerprint for a in alerts if a.status == "resolved"),
    )


def _finding(alert: _Alert, rows: Sequence[SloRow], registries: Sequence[str], now: float) -> Finding:
    name = alert.labels.get("alertname", "alert")
    slo = {row.alert: row.name for row in rows}.get(name) or _named(alert, rows)
    registry = alert.labels.get("registry") or (registries[0] if len(registries) == 1 else "unknown")
    summary = alert.annotations.get("summary") or alert.annotations.get("description") or name
    return Finding(
        source=SOURCE,
        fingerprint=alert.fingerprint,
        registry=registry[:128],
        slo=slo,
        title=f"{registry[:128]}: {name}"[:200],
        reason=f"Alertmanager says {name}: {summary}"[:1000],
        at=now,
        severity=Severity.TICKET if alert.labels.get("severity") in ("ticket", "warning") else Severity.PAGE,
        episode=min(_started(alert), now),
    )


def _named(alert: _Alert, rows: Sequence[SloRow]) -> str | None:
    named = alert.labels.get("slo")
    return named if named in {row.name for row in rows} else None


def _started(alert: _Alert) -> float:
    try:
        return parse_time(alert.startsAt)
    except ValueError as error:
        raise InputError(PLACE, f"startsAt {alert.startsAt!r} is no RFC 3339 time", "send one") from error
