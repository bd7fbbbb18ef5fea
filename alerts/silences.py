"""Silences that people have set in Alertmanager (GET /api/v2/silences), over Seawall's own alerts.

A silence counts if its matchers fit the labels that Seawall posts and the generated rules carry: alertname,
registry, slo, severity. Each call asks anew: a silence may follow an approval.
"""

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
        """In words, the silence that covers a registry's row; None if none does. SeawallError."""
        name = self._alerts.get(slo or "", OTHER)
        labels = {"alertname": name, "registry": registry} | ({"slo": slo} if slo else {})
        active = [it for it in self._all() if it.get("status", {}).get("state") == "active"]
        for it in active:
            if any(covers(it.get("matchers", ()), labels | {"severity": level}) for level in SEVERITIES):
                by, why = it.get("createdBy") or "somebody", it.get("comment") or "no comment"
                return f"silenced in Alertmanager by {by} until {it.get('endsAt')}: {why}"
        return None

    def _all(self) -> list[dict[str, Any]]:
        peer = self._peer
        try:
            with httpx.Client(timeout=peer.timeout, trust_env=False, verify=peer.verify) as client:
                url = f"{peer.url}/api/v2/silences"
                answer = client.get(url, headers=dict(peer.headers), auth=peer.auth)
            found = answer.json() if answer.is_success else None
        except (httpx.HTTPError, ValueError) as error:
            raise SeawallError(f"Alertmanager at {peer.url}: {type(error).__name__}: {error}") from error
        if not isinstance(found, list):
            raise SeawallError(f"Alertmanager at {peer.url}: HTTP {answer.status_code} to GET silences")
        return found


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
