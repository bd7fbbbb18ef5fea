"""Harbor's webhooks -> ECS events, in both payload formats: Default and CloudEvents.

goharbor/harbor src/pkg/notifier/formats/{default,cloudevents}.go. The CloudEvents form has an id, which
Harbor's retries repeat. The Default form has none, and its time is in whole seconds: its id is its content,
so that two equal pulls by one user in one second are one event. Fields that are not known are accepted.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from collectors.events import Json, canonical, event_id, inner, make_event, text
from collectors.formats import mask_text, mask_url
from collectors.vulnerabilities import read_overview
from seawall.core.errors import InputError
from seawall.core.signals import Event
from seawall.core.times import parse_time

DATASET = "harbor.webhook"
_PLACE = "harbor webhook"
_REMEDY = "let a Harbor webhook of notify type http post here, in payload format CloudEvents or Default"
_CLOUD = MappingProxyType(
    {
        "harbor.artifact.pulled": "PULL_ARTIFACT",
        "harbor.artifact.pushed": "PUSH_ARTIFACT",
        "harbor.artifact.deleted": "DELETE_ARTIFACT",
        "harbor.tag.created": "CREATE_TAG",
        "harbor.quota.exceeded": "QUOTA_EXCEED",
        "harbor.quota.warned": "QUOTA_WARNING",
        "harbor.replication.status.changed": "REPLICATION",
        "harbor.scan.completed": "SCANNING_COMPLETED",
        "harbor.scan.failed": "SCANNING_FAILED",
        "harbor.scan.stopped": "SCANNING_STOPPED",
        "harbor.tag_retention.finished": "TAG_RETENTION",
    }
)
# What each type says: event.action, and event.outcome where the type itself tells it.
_SAYS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "PULL_ARTIFACT": ("pull", "success"),
        "PUSH_ARTIFACT": ("push", "success"),
        "DELETE_ARTIFACT": ("delete", "success"),
        "SCANNING_COMPLETED": ("scan", "success"),
        "SCANNING_FAILED": ("scan", "failure"),
        "SCANNING_STOPPED": ("scan", "unknown"),
        "QUOTA_EXCEED": ("quota", "failure"),
        "QUOTA_WARNING": ("quota", "success"),
        "REPLICATION": ("replication", ""),
        "TAG_RETENTION": ("retention", ""),
    }
)
_OUTCOMES = {"success": "success", "error": "failure", "failed": "failure"}


class _Delivery(NamedTuple):
    """One delivery of either form; `name` is what makes it this one."""

    kind: str
    at: float
    operator: str
    request: str
    name: tuple[str, ...]
    data: Json


def parse_harbor(body: bytes, registry: str) -> list[Event]:
    """The events of one delivery: one a resource, or one where it names none.

    InputError names what is wrong; then nothing of it is taken.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(_PLACE, f"no JSON ({error})", _REMEDY) from error
    if not isinstance(document, dict) or not text(document, "type"):
        raise InputError(_PLACE, "no text `type`", _REMEDY)
    try:
        delivery = _cloud(document) if "specversion" in document else _default(document)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(_PLACE, str(error), _REMEDY) from error
    resources = delivery.data.get("resources")
    listed = resources if isinstance(resources, list) and resources else [{}]
    return [
        make_event(
            event_id(DATASET, registry, *delivery.name, str(index)),
            delivery.at,
            registry,
            _fields(delivery, resource if isinstance(resource, dict) else {}),
        )
        for index, resource in enumerate(listed)
    ]


def _cloud(document: Json) -> _Delivery:
    kind, id = text(document, "type"), text(document, "id")
    if not id:
        raise ValueError("no `id`, which CloudEvents requires")
    try:
        at = parse_time(text(document, "time"))
    except ValueError as error:
        raise ValueError(f"`time` is no RFC 3339 time ({error})") from error
    name = (text(document, "source"), id)
    operator, request = text(document, "operator"), text(document, "requestid")
    return _Delivery(_CLOUD.get(kind, kind), at, operator, request, name, inner(document, "data"))


def _default(document: Json) -> _Delivery:
    at = document.get("occur_at")
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise ValueError("`occur_at` is no number of seconds")
    datetime.fromtimestamp(at, UTC)  # ValueError, OverflowError or OSError if it is no time
    name, data = canonical(document), inner(document, "event_data")
    return _Delivery(text(document, "type"), float(at), text(document, "operator"), "", (name,), data)


def _fields(delivery: _Delivery, resource: Json) -> dict[str, Any]:
    action, outcome = _SAYS.get(delivery.kind, ("", ""))
    digest, tag = text(resource, "digest"), text(resource, "tag")
    fields: dict[str, Any] = {
        "event.action": action,
        "event.code": delivery.kind,
        "event.dataset": DATASET,
        "event.outcome": outcome,
        "seawall.format": DATASET,
        "http.request.id": delivery.request,
        "registry.repository": text(inner(delivery.data, "repository"), "repo_full_name"),
        "registry.digest": digest,
        "registry.reference": tag or digest,
        "registry.operation": "manifest" if action in ("pull", "push", "delete") else "",
        "url.original": mask_url(text(resource, "resource_url")),
        "user.name": delivery.operator,
        "message": mask_text(text(inner(delivery.data, "custom_attributes"), "Details")),
    }
    if scan := read_overview(inner(resource, "scan_overview")):
        fields.update(scan.fields())
    if replication := inner(delivery.data, "replication"):
        fields.update(_replication(replication))
    if retention := inner(delivery.data, "retention"):
        fields.update(_retention(retention))
    return fields


def _replication(told: Json) -> dict[str, Any]:
    """A replication task: from where to where, how it stands, and what failed."""
    ends = " -> ".join(_end(inner(told, key)) for key in ("src_resource", "dest_resource"))
    status = text(told, "job_status")
    failed = told.get("failed_artifact")
    reasons = [
        f"{text(item, 'name_tag')} {text(item, 'fail_reason')}".strip()
        for item in (failed if isinstance(failed, list) else [])
        if isinstance(item, dict)
    ]
    return {
        "event.outcome": _OUTCOMES.get(status.lower(), "unknown"),
        "registry.job_status": status,
        "message": mask_text("; ".join([f"replication {ends}: {status}", *reasons[:20]])),
    }


def _end(resource: Json) -> str:
    kind, space = text(resource, "registry_type"), text(resource, "namespace")
    return " ".join(part for part in (text(resource, "registry_name") or kind, space) if part)


def _retention(told: Json) -> dict[str, Any]:
    status = text(told, "result")
    kept = f"{told.get('retained')} of {told.get('total')}"
    return {
        "event.outcome": _OUTCOMES.get(status.lower(), "unknown"),
        "registry.job_status": status,
        "message": mask_text(f"tag retention of {text(told, 'project_name')}: {kept} kept, {status}"),
    }
