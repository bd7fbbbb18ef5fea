"""What Grafana reads at its start from /etc/grafana/provisioning: data sources, the folder of the boards, and
alert rules on Seawall's own judgement.

Source of the forms: https://grafana.com/docs/grafana/latest/administration/provisioning/ and
https://grafana.com/docs/grafana/latest/alerting/set-up/provision-alerting-resources/file-provisioning/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seawall.core.slos import SloRow

PROMETHEUS, ELASTICSEARCH, ALERTMANAGER = "prometheus", "elasticsearch", "alertmanager"
FOLDER = "Seawall"
BOARDS = "/var/lib/grafana/dashboards"
INDEX = "logs-seawall.*"
LONGEST_UID = 40  # of Grafana
ASKED = 600  # seconds that an alert's query looks back


@dataclass(frozen=True, slots=True)
class Provisioned:
    """`console` is Seawall's address for people, `scrape` Prometheus' interval in seconds, `runbooks` what
    stands before a runbook's name."""

    rows: Sequence[SloRow]
    console: str
    scrape: float
    runbooks: str


def provision(wanted: Provisioned) -> dict[str, dict[str, Any]]:
    """Path below the provisioning folder -> its content. Addresses are those of deploy's compose file."""
    return {
        "datasources/seawall.yaml": {"apiVersion": 1, "datasources": _sources(wanted.scrape)},
        "dashboards/seawall.yaml": {"apiVersion": 1, "providers": [_provider()]},
        "alerting/seawall.yaml": {"apiVersion": 1, "groups": [_group(wanted)]},
    }


def _sources(scrape: float) -> list[dict[str, Any]]:
    prometheus = {"httpMethod": "POST", "timeInterval": f"{scrape:g}s", "prometheusType": "Prometheus"}
    events = {
        "index": INDEX,
        "timeField": "@timestamp",
        "logMessageField": "message",
        "logLevelField": "log.level",
    }
    return [
        _source("Prometheus", PROMETHEUS, "prometheus", "http://prometheus:9090", prometheus),
        _source("Elasticsearch", ELASTICSEARCH, "elasticsearch", "http://elasticsearch:9200", events),
        _source(
            "Alertmanager", ALERTMANAGER, "alertmanager", "http://alertmanager:9093",
            {"implementation": "prometheus", "handleGrafanaManagedAlerts": False},
        ),
    ]  # fmt: skip


def _source(name: str, uid: str, kind: str, url: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "uid": uid,
        "type": kind,
        "access": "proxy",
        "url": url,
        "editable": False,
        "jsonData": dict(more),
    }


def _provider() -> dict[str, Any]:
    return {
        "name": "seawall",
        "folder": FOLDER,
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 60,
        "options": {"path": BOARDS},
    }


def _group(wanted: Provisioned) -> dict[str, Any]:
    rules = [_breached(row, wanted) for row in wanted.rows]
    gone = _rule(
        "seawall-not-scraped", "SeawallNotScraped", "absent(seawall_leader) or vector(0)", "5m",
        {"severity": "page"},
        _notes("Prometheus has no metrics of Seawall", "SeawallNotScraped", wanted),
    )  # fmt: skip
    return {"orgId": 1, "name": "seawall", "folder": FOLDER, "interval": "1m", "rules": [*rules, gone]}


def _breached(row: SloRow, wanted: Provisioned) -> dict[str, Any]:
    expr = f'max by (registry) (seawall_slo_status{{slo="{row.name}", status="breached"}})'
    promise = f"{row.objective.op} {row.objective.value:g}"
    said = f"{row.title} of {{{{ $labels.registry }}}} is beyond its promise ({promise})"
    notes = _notes(said, row.alert, wanted)
    uid = f"seawall-{row.name}".replace("_", "-")[:LONGEST_UID]
    return _rule(uid, row.alert, expr, "0s", {"severity": "page", "slo": row.name}, notes)


def _notes(summary: str, alert: str, wanted: Provisioned) -> dict[str, str]:
    return {
        "summary": summary,
        "runbook_url": f"{wanted.runbooks}{alert}.md",
        "console": f"{wanted.console}/",
    }


def _rule(
    uid: str, title: str, expr: str, wait: str, labels: Mapping[str, str], notes: Mapping[str, str]
) -> dict[str, Any]:
    asked = {"refId": "A", "expr": expr, "instant": True, "range": False}
    above = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
    }
    return {
        "uid": uid,
        "title": title,
        "condition": "B",
        "data": [_part("A", PROMETHEUS, asked), _part("B", "__expr__", above)],
        "noDataState": "NoData",  # unknown, never ok
        "execErrState": "Error",
        "for": wait,
        "labels": dict(labels),
        "annotations": dict(notes),
        "isPaused": False,
    }


def _part(ref: str, source: str, model: Mapping[str, Any]) -> dict[str, Any]:
    span = {"from": ASKED, "to": 0}
    return {"refId": ref, "datasourceUid": source, "relativeTimeRange": span, "model": dict(model)}
