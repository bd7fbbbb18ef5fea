"""Harbor's core and jobservice: `RFC3339 [LEVEL] [/file.go:line][k="v"]: message`, with GC's progress."""

import re

from collectors.formats.masking import mask_text
from collectors.formats.times import utc
from collectors.formats.values import Fields

_LINE = re.compile(
    r"(\d{4}-\d\d-\d\dT\S+) \[([A-Z]+)\] (?:\[([^\]:\s]+):(\d{1,9})\])?"
    r"((?:\[[^\]=]++=\"[^\"]*+\"[^\]]*+\])*+): ?(.*)",
    re.DOTALL | re.ASCII,
)
_REQUEST_ID = re.compile(r'requestID="([^"]+)"')
# goharbor/harbor src/jobservice/job/impl/gc/garbage_collection.go
_PROGRESS = re.compile(r"\[[0-9a-f-]+\]\[(\d{1,12})/(\d{1,12})\] ", re.ASCII)
_DIGEST = re.compile(r"\bsha256:[0-9a-f]+\b")
_DELETED = re.compile(r"(\d{1,12}) blobs and (\d{1,12}) manifests are actually deleted", re.ASCII)
_FREED = re.compile(r"The GC job actual frees up (\d{1,12}) MB space", re.ASCII)


def parse_harbor_app(text: str) -> Fields | None:
    """A line of core, jobservice, registryctl or exporter -> ECS fields, or None."""
    match = _LINE.match(text)
    if match is None or (at := utc(match[1])) is None:
        return None
    _, level, file, line, pairs, message = match.groups()
    fields: Fields = {
        "@timestamp": at,
        "event.dataset": "harbor.app",
        "seawall.format": "harbor.app",
        "message": mask_text(message),
        "log.level": level.lower(),
    }
    if file:
        fields |= {"log.origin.file.name": file, "log.origin.file.line": int(line)}
    if found := _REQUEST_ID.search(pairs):
        fields["http.request.id"] = found[1]
    return fields | _collection(message)


def _collection(message: str) -> Fields:
    """What a line of the garbage collection tells: how far it is, what it deletes, what it freed."""
    if found := _PROGRESS.match(message):
        fields: Fields = {"registry.gc.done": int(found[1]), "registry.gc.total": int(found[2])}
        if digest := _DIGEST.search(message):
            fields["registry.digest"] = digest[0]
        return fields
    if found := _DELETED.search(message):
        return {"registry.gc.deleted_blobs": int(found[1]), "registry.gc.deleted_manifests": int(found[2])}
    if found := _FREED.search(message):
        return {"registry.gc.freed_bytes": int(found[1]) << 20}
    return {}
