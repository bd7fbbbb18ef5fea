"""Distribution's notifications (application/vnd.docker.distribution.events.v2+json) -> ECS events.

https://distribution.github.io/distribution/about/notifications/; fields that are not known are accepted.
"""

import json
from collections.abc import Mapping
from typing import Any

from collectors.events import event_id, inner, make_event
from collectors.formats import host_of, mask_url
from seawall.core.errors import InputError
from seawall.core.signals import Event
from seawall.core.times import parse_time

_PLACE = "distribution notification"
_REMEDY = "send the body that the registry posts to its notification endpoint"
_ACTIONS = ("pull", "push", "mount", "delete")


def parse_distribution(body: bytes, registry: str) -> list[Event]:
    """The events of one envelope. Ids come from the registry's own event ids, so that its endless retries
    stay one event. InputError names what is wrong; then none of the envelope is taken."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(_PLACE, f"no JSON ({error})", _REMEDY) from error
    items = envelope.get("events") if isinstance(envelope, dict) else None
    if not isinstance(items, list):
        raise InputError(_PLACE, "no list `events`", _REMEDY)
    return [_event(item, f"{_PLACE}: events[{index}]", registry) for index, item in enumerate(items)]


def _event(item: object, place: str, registry: str) -> Event:
    if not isinstance(item, dict) or item.get("action") not in _ACTIONS:
        raise InputError(place, f"`action` is none of {', '.join(_ACTIONS)}", _REMEDY)
    try:
        at = parse_time(str(item.get("timestamp")))
    except (ValueError, OverflowError) as error:
        raise InputError(place, f"`timestamp` is no RFC 3339 time ({error})", _REMEDY) from error
    given = str(item.get("id") or json.dumps(item, sort_keys=True))
    return make_event(event_id("notification", registry, given), at, registry, _fields(item))


def _fields(item: Mapping[str, Any]) -> dict[str, Any]:
    target, request = inner(item, "target"), inner(item, "request")
    size = target.get("size")
    address, url = str(request.get("addr") or ""), str(target.get("url") or "")
    return {
        "event.action": item["action"],
        "event.dataset": "distribution.notification",
        "event.outcome": "success",
        "seawall.format": "distribution.notification",
        "registry.repository": target.get("repository"),
        "registry.digest": target.get("digest"),
        "registry.reference": target.get("tag") or target.get("digest"),
        "registry.operation": _operation(target),
        "registry.media_type": target.get("mediaType"),
        "registry.size": size if isinstance(size, int) else None,
        "url.original": mask_url(url),
        "http.request.id": request.get("id"),
        "http.request.method": request.get("method"),
        "user_agent.original": request.get("useragent"),
        "client.ip": host_of(address),
        "user.name": inner(item, "actor").get("name"),
    }


def _operation(target: Mapping[str, Any]) -> str:
    """manifest or blob, by media type, else by the path of the target's URL."""
    kind, url = str(target.get("mediaType") or ""), str(target.get("url") or "")
    if "manifest" in kind or "image.index" in kind or "/manifests/" in url or target.get("tag"):
        return "manifest"
    return "blob" if kind or "/blobs/" in url else ""
