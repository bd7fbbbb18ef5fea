"""A request in the registry's words: method and path -> operation, repository, reference, digest, action."""

import re
from urllib.parse import unquote

from collectors.formats.masking import mask_url
from collectors.formats.values import Fields

# Nexus serves the same API below /repository/NAME.
_ROUTE = re.compile(
    r"(?:/repository/[^/]+)?/v2/(?:(.+)/(manifests|blobs/uploads|blobs|tags|referrers)/(.*)|(_catalog)|)/?$"
)
_OPERATIONS = {
    "manifests": "manifest",
    "blobs": "blob",
    "blobs/uploads": "upload",
    "tags": "tags",
    "referrers": "referrers",
}
_ACTIONS = {"GET": "pull", "PUT": "push", "DELETE": "delete"}
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]+", re.ASCII)
_UPLOADED = re.compile(r"(?:^|&)(?:digest|mount)=([^&]+)")


def split_request(line: str) -> tuple[str, str]:
    """`GET /v2/ HTTP/1.1` -> method and URI; the version may be missing."""
    method, _, rest = line.partition(" ")
    return method, rest.rpartition(" ")[0] or rest


def request_fields(method: str, uri: str) -> Fields:
    """What was asked: method, masked URL, and for a path of the distribution API its parts."""
    fields: Fields = {}
    if method.isascii() and method.isalpha():
        fields["http.request.method"] = method
    if uri:
        fields["url.original"] = masked = mask_url(uri)
        _add_route(fields, masked)
    return fields


def answer_fields(method: str, operation: str, uri: str, status: int | None) -> Fields:
    """What was answered, and the action where the request is one; nothing without an answer."""
    if status is None:
        return {}
    fields: Fields = {
        "http.response.status_code": status,
        "event.outcome": "success" if status < 400 else "failure",
    }
    if action := _action(method, operation, uri, status):
        fields["event.action"] = action
    return fields


def exchange_fields(method: str, uri: str, status: int | None) -> Fields:
    """A request and its answer."""
    asked = request_fields(method, uri)
    return asked | answer_fields(method, asked.get("registry.operation", ""), uri, status)


def _add_route(fields: Fields, uri: str) -> None:
    path, _, query = uri.partition("?")
    match = _ROUTE.match(path)
    if match is None:
        return
    repository, kind, reference, catalog = match.groups()
    operation = _OPERATIONS[kind] if kind else "catalog" if catalog else "base"
    fields["registry.operation"] = operation
    if repository:
        fields["registry.repository"] = repository
    if operation in ("manifest", "blob", "referrers") and reference:
        fields["registry.reference"] = reference = unquote(reference)
    elif operation == "upload" and (found := _UPLOADED.search(query)):
        reference = unquote(found[1])
    if reference and _DIGEST.fullmatch(reference):
        fields["registry.digest"] = reference


def _action(method: str, operation: str, uri: str, status: int) -> str:
    """pull, push, delete or mount, where the request is one; HEAD asks, and an upload's last PUT pushes."""
    if operation in ("manifest", "blob"):
        return _ACTIONS.get(method, "")
    if operation == "upload" and method == "PUT":
        return "push"
    if operation == "upload" and method == "POST":
        if status == 201 and "mount=" in uri:
            return "mount"
        return "push" if "digest=" in uri.partition("?")[2] else ""
    return ""
