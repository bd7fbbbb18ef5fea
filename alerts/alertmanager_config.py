"""Alertmanager's configuration, generated: routes, grouping, inhibition, receivers. Valid for 0.25.

Secrets stay in files. DingTalk and WeCom do not understand Alertmanager's body: the receiver `seawall` hands
every alert to Seawall, and Seawall itself writes to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerts.prometheus_rules import DOWN, FORECAST, MISSING, WATCHDOG
from seawall.core.errors import InputError
from seawall.core.slos import SloRow, SloType

NOBODY = "nobody"
SEAWALL = "seawall"
TITLE = "{{ .CommonAnnotations.summary }}"
TEXT = "{{ range .Alerts }}{{ .Annotations.description }} {{ .Annotations.runbook_url }}\n{{ end }}"


@dataclass(frozen=True, slots=True)
class Receiver:
    """A channel as Alertmanager needs it. `kind`: webhook, slack, pagerduty or email; `secret` is the file
    with the URL (slack), the token (webhook), the key (pagerduty) or the password (email)."""

    name: str
    kind: str
    severities: Sequence[str]
    url: str | None = None
    url_file: Path | None = None
    secret: Path | None = None
    smtp: str = ""
    tls: str = "starttls"
    sender: str = ""
    to: Sequence[str] = ()
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where Seawall listens (its webhook's URL and token file), and a URL for the watchdog, or None."""

    webhook: str
    token_file: Path | None
    heartbeat: str | None = None


def config(rows: Sequence[SloRow], receivers: Sequence[Receiver], wiring: Wiring) -> dict[str, Any]:
    """The content of alertmanager.yml. InputError for a receiver that Alertmanager 0.25 cannot have."""
    return {
        "route": _route(rows),
        "inhibit_rules": _inhibitions(rows),
        "receivers": [
            {"name": NOBODY},
            {"name": "heartbeat"} | _heartbeat(wiring),
            {"name": SEAWALL, "webhook_configs": [_webhook(wiring.webhook, wiring.token_file)]},
            *({"name": severity} | _people(receivers, severity) for severity in ("page", "ticket")),
        ],
    }


def _route(rows: Sequence[SloRow]) -> dict[str, Any]:
    """Only what hurts now goes to Seawall: it opens incidents and offers repairs for that."""
    hurting = "|".join(row.alert for row in rows)
    return {
        "receiver": NOBODY,
        "group_by": ["registry", "alertname"],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "4h",
        "routes": [
            {
                "receiver": "heartbeat",
                "matchers": [f'alertname="{WATCHDOG}"'],
                "group_wait": "0s",
                "repeat_interval": "1m",
            },
            {"receiver": NOBODY, "matchers": ['severity="info"']},
            {
                "receiver": SEAWALL,
                "matchers": [f'alertname=~"{hurting}"', 'burn=""', 'severity="page"'],
                "continue": True,
            },
            {"receiver": "page", "matchers": ['severity="page"']},
            {"receiver": "ticket", "matchers": ['severity="ticket"']},
        ],
    }


def _inhibitions(rows: Sequence[SloRow]) -> list[dict[str, Any]]:
    """A registry that is down explains its latency; what has come explains its forecast and its burning."""
    down = [row.alert for row in rows if row.type is SloType.TIME_SLICES]
    slow = [row.alert for row in rows if row.type is SloType.LATENCY]
    rules = [
        _inhibit([f'alertname="{alert}"', 'burn=""'], [f'alertname=~"{"|".join(slow)}"'], ["registry"])
        for alert in down
        if slow
    ]
    return [
        *rules,
        _inhibit(
            [f'alertname=~"{"|".join(row.alert for row in rows)}"', 'burn=""'],
            [f'alertname="{FORECAST}"'],
            ["registry", "slo"],
        ),
        _inhibit(['burn=""', 'slo!=""', 'severity="page"'], ['burn!=""'], ["registry", "slo", "alertname"]),
        _inhibit([f'alertname="{DOWN}"'], [f'alertname="{MISSING}"'], []),
    ]


def _inhibit(source: list[str], target: list[str], equal: list[str]) -> dict[str, Any]:
    rule: dict[str, Any] = {"source_matchers": source, "target_matchers": target}
    return rule | ({"equal": equal} if equal else {})


def _heartbeat(wiring: Wiring) -> dict[str, Any]:
    if not wiring.heartbeat:
        return {}
    return {"webhook_configs": [{"url": wiring.heartbeat, "send_resolved": False}]}


def _webhook(url: str, token_file: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {"url": url, "send_resolved": True}
    if token_file:
        found["http_config"] = {"authorization": {"credentials_file": str(token_file)}}
    return found


def _people(receivers: Sequence[Receiver], severity: str) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {}
    for receiver in receivers:
        if severity in receiver.severities:
            found.setdefault(f"{receiver.kind}_configs", []).append(_receiver(receiver))
    return found


def _receiver(it: Receiver) -> dict[str, Any]:
    match it.kind:
        case "slack":
            address = {"api_url": it.url} if it.url else {"api_url_file": str(it.url_file)}
            return address | {"send_resolved": True, "title": TITLE, "text": TEXT}
        case "pagerduty":
            return {"routing_key_file": str(it.secret), "send_resolved": True, "description": TITLE}
        case "email":
            return _email(it)
        case _:
            if not it.url:
                finding = "Alertmanager 0.25 reads a webhook's URL from its own file only"
                raise InputError(
                    f"notify.channels[{it.name}]", finding, "use url, and token_file for the secret"
                )
            return _webhook(it.url, it.secret)


def _email(it: Receiver) -> dict[str, Any]:
    found: dict[str, Any] = {
        "to": ", ".join(it.to),
        "from": it.sender,
        "smarthost": it.smtp,
        "require_tls": it.tls == "starttls",
        "send_resolved": True,
        "headers": {"Subject": TITLE},
    }
    if it.username:
        found |= {"auth_username": it.username, "auth_password_file": str(it.secret)}
    return found
