"""What Alertmanager keeps quiet of Seawall's alerts: silences that people have set (GET /api/v2/silences),
and alerts that it suppresses by itself (GET /api/v2/alerts: inhibited, or muted by a time interval).

A silence counts if its matchers fit the labels that Seawall posts and the generated rules carry: alertname,
registry, slo, severity. Alerts of that name, registry and row count as suppressed when all of them are: one
that another severity of itself inhibits still fires. Each call asks anew: a silence may follow an approval.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from alerts.posting import OTHER, Peer
from seawall.core.errors import SeawallError
from seawall.core.slos import SloRow

SEVERITIES = ("page", "ticket")


class AlertmanagerSilences:
    """The port Silences over one Alertmanager."""

    def __init__(self, peer: Peer, rows: Sequence[SloRow]) -> None:
        self._peer = peer
        self._alerts = {row.name: row.alert for row in rows}

    def silenced(self, registry: str, slo: str | None) -> str | None:
        """In words, the silence, inhibition or mute over a registry's row; None if there is none.
        SeawallError if it cannot be asked."""
        name = self._alerts.get(slo or "", OTHER)
        labels = {"alertname": name, "registry": registry} | ({"slo": slo} if slo else {})
        return self._covered(labels) or self._suppressed(labels)

    def _covered(self, labels: Mapping[str, str]) -> str | None:
        active = [it for it in self._all("silences") if it.get("status", {}).get("state") == "active"]
        for it in active:
            if any(covers(it.get("matchers", ()), {**labels, "severity": level}) for level in SEVERITIES):
                by, why = it.get("createdBy") or "somebody", it.get("comment") or "no comment"
                return f"silenced in Alertmanager by {by} until {it.get('endsAt')}: {why}"
        return None

    def _suppressed(self, labels: Mapping[str, str]) -> str | None:
        """Alertmanager's own word on the alerts that are there now (silencedBy, inhibitedBy; newer ones tell
        mutedBy, too)."""
        found = self._all("alerts", {"filter": f"registry={json.dumps(labels['registry'])}"})
        ours = [it for it in found if labels.items() <= it.get("labels", {}).items()]
        reasons = [_why(it.get("status", {}), found) for it in ours]
        if not ours or not all(reasons):
            return None
        return f"{labels['alertname']} is {reasons[0]} in Alertmanager"

    def _all(self, what: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        peer = self._peer
        try:
            with httpx.Client(timeout=peer.timeout, trust_env=False, verify=peer.verify) as client:
                url = f"{peer.url}/api/v2/{what}"
                answer = client.get(url, headers=dict(peer.headers), auth=peer.auth, params=query)
            found = answer.json() if answer.is_success else None
        except (httpx.HTTPError, ValueError) as error:
            raise SeawallError(f"Alertmanager at {peer.url}: {type(error).__name__}: {error}") from error
        if not isinstance(found, list) or not all(isinstance(it, dict) for it in found):
            raise SeawallError(f"Alertmanager at {peer.url}: HTTP {answer.status_code} to GET {what}")
        return found


def _why(status: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]]) -> str:
    """Why it does not tell of this alert; "" if it does."""
    if by := status.get("inhibitedBy"):
        named = {it.get("fingerprint"): it.get("labels", {}).get("alertname") for it in alerts}
        return f"inhibited by {', '.join(sorted({str(named.get(it) or it) for it in by}))}"
    if by := status.get("silencedBy"):
        return f"silenced by {', '.join(map(str, by))}"
    if by := status.get("mutedBy"):
        return f"muted by the time interval {', '.join(map(str, by))}"
    return ""


def covers(matchers: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    """Do all matchers (name, value, isRegex, isEqual) fit the labels? A label that is missing is empty;
    regular expressions match the whole value."""
    return bool(matchers) and all(_fits(it, labels.get(str(it.get("name")), "")) for it in matchers)


def _fits(matcher: Mapping[str, Any], value: str) -> bool:
    wanted = str(matcher.get("value", ""))
    try:
        same = bool(re.fullmatch(wanted, value)) if matcher.get("isRegex") else wanted == value
    except re.error:  # RE2 knows some that Python does not: to be careful, it covers
        return True
    return same is bool(matcher.get("isEqual", True))
