"""What Elasticsearch is told before the first event: policies, component templates, index templates.

One data stream per kind of event, `logs-seawall.KIND-NAMESPACE`. ECS fields are mapped as ECS has them; what
is not mapped is kept but not searched. Our own objects are strict: a field that nobody mapped is a fault, not
noise. Sources: https://www.elastic.co/docs/reference/ecs, https://www.elastic.co/docs/manage-data/data-store/data-streams.
"""

from typing import Any

from seawall.config.stores import ElasticsearchAccess
from seawall.core.pulls import DATASET
from seawall.core.signals import Event

KINDS = ("access", "audit", "pull", "run")
PRIORITY = 500  # above Elastic's own templates for logs-*-*
_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_TYPES: dict[str, dict[str, Any]] = {
    "keyword": _KEYWORD,
    "long": {"type": "long"},
    "date": {"type": "date"},
    "ip": {"type": "ip", "ignore_malformed": True},
    "text": {"type": "match_only_text"},
    "wildcard": {"type": "wildcard", "ignore_above": 8191},
}
ECS = {
    "keyword": (
        "event.id event.action event.outcome event.dataset event.code event.provider"
        " http.request.id http.request.method http.request.referrer http.response.mime_type"
        " user_agent.original client.address user.name log.level log.origin.file.name error.code"
        " service.version service.node.name"
        " vulnerability.severity vulnerability.scanner.vendor vulnerability.report_id"
    ),
    "long": (
        "event.duration http.response.status_code http.response.body.bytes http.response.bytes log.line"
        " log.origin.file.line"
    ),
    "date": "@timestamp event.created",
    "ip": "client.ip",
    "text": "message error.message",
    "wildcard": "url.original",
}
OURS = {
    "keyword": (
        "registry.name registry.repository registry.reference registry.digest registry.operation"
        " registry.cache_status registry.media_type registry.job_status registry.image_digest"
        " seawall.signature seawall.reason seawall.code seawall.signer seawall.identity seawall.settles"
        " seawall.format seawall.phase seawall.site"
    ),
    "long": (
        "registry.gc.done registry.gc.total registry.gc.deleted_blobs registry.gc.deleted_manifests"
        " registry.gc.freed_bytes registry.size"
        " seawall.vulnerabilities.total seawall.vulnerabilities.fixable"
        " seawall.vulnerabilities.critical seawall.vulnerabilities.high seawall.vulnerabilities.medium"
        " seawall.vulnerabilities.low seawall.vulnerabilities.negligible seawall.vulnerabilities.unknown"
    ),
}
# What the store itself needs; `seq` is the order of arrival, `added` names the fields that the event itself
# lacks.
STORE = {
    "id": {"type": "keyword"},
    "at": {"type": "double"},
    "minute": {"type": "long"},
    "seq": {"type": "long"},
    "judged": {"type": "double"},
    "client_request": {"type": "boolean"},
    "client_manifest": {"type": "boolean"},
    "source": {"type": "boolean"},
    "image": {"type": "boolean"},
    "who": {"type": "keyword"},
    "added": {"type": "keyword", "index": False, "doc_values": False},
}


def kind_of(event: Event) -> str:
    """The data stream of an event."""
    dataset = str(event.fields.get("event.dataset", ""))
    if dataset == DATASET:
        return "pull"
    if dataset.startswith("seawall.run"):
        return "run"
    return "audit" if "audit" in dataset.split(".") else "access"


def stream(kind: str, namespace: str) -> str:
    """The name of a data stream; `*` for all of ours."""
    return f"logs-seawall.{kind}-{namespace}"


def checkpoints_index(namespace: str) -> str:
    """The small index of positions, one document a source."""
    return f"seawall-checkpoints-{namespace}"


def policy(retention: float) -> dict[str, Any]:
    """ILM: a new backing index every day or 50 GB of a shard; deleted `retention` seconds after it was
    closed."""
    return {
        "phases": {
            "hot": {
                "min_age": "0ms",
                "actions": {"rollover": {"max_age": "1d", "max_primary_shard_size": "50gb"}},
            },
            "delete": {"min_age": f"{round(retention)}s", "actions": {"delete": {}}},
        }
    }


def mappings(fields: dict[str, str], strict: bool) -> dict[str, Any]:
    """Nested properties of dotted names by type; objects refuse what is not named where `strict`."""
    root: dict[str, Any] = {"properties": {}}
    for kind, names in fields.items():
        for name in names.split():
            *path, last = name.split(".")
            at = root
            for part in path:
                at = at["properties"].setdefault(part, {"properties": {}})
                if strict:
                    at["dynamic"] = "strict"
            at["properties"][last] = _TYPES[kind]
    return root


def components(access: ElasticsearchAccess) -> dict[str, dict[str, Any]]:
    """Component templates by name."""
    ecs = mappings(ECS, strict=False) | {"dynamic": False}
    ours = mappings(OURS, strict=True)
    ours["properties"]["seawall_store"] = {"dynamic": "strict", "properties": STORE}
    settings = {
        "index": {"number_of_replicas": access.replicas, "mode": "standard", "codec": "best_compression"}
    }
    return {
        "seawall-ecs@mappings": {"template": {"mappings": ecs}},
        "seawall@mappings": {"template": {"mappings": ours}},
        "seawall@settings": {"template": {"settings": settings}},
    }


def index_template(kind: str, namespace: str) -> dict[str, Any]:
    """The index template of a kind."""
    constants = {
        name: {"type": "constant_keyword", "value": value}
        for name, value in (("type", "logs"), ("dataset", f"seawall.{kind}"), ("namespace", namespace))
    }
    return {
        "index_patterns": [stream(kind, namespace)],
        "data_stream": {},
        "composed_of": ["seawall-ecs@mappings", "seawall@mappings", "seawall@settings"],
        "priority": PRIORITY,
        "template": {
            "settings": {"index": {"lifecycle": {"name": policy_name(kind, namespace)}}},
            "mappings": {"properties": {"data_stream": {"properties": constants}}},
        },
        "_meta": {"owner": "seawall"},
    }


def policy_name(kind: str, namespace: str) -> str:
    """The lifecycle policy of a kind; also the index template's name."""
    return f"seawall-{kind}-{namespace}"


def checkpoints_template(access: ElasticsearchAccess) -> dict[str, Any]:
    """The index of positions: found by id, read as they were written."""
    keyword = {"type": "keyword", "index": False, "doc_values": False}
    return {
        "index_patterns": [checkpoints_index(access.namespace)],
        "priority": PRIORITY,
        "template": {
            "settings": {"index": {"number_of_replicas": access.replicas}},
            "mappings": {"dynamic": "strict", "properties": {"source": keyword, "position": keyword}},
        },
    }
