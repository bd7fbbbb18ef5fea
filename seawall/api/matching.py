"""ETag, If-None-Match and If-Match (RFC 9110, section 13): nobody changes what they have not seen."""

from typing import Annotated, Any

from fastapi import Depends, Header
from fastapi.responses import Response

from seawall.core.errors import Stale

IfNoneMatch = Annotated[
    str | None,
    Header(description="The ETag that is known: 304 without a body if it still holds.", max_length=1000),
]


def tag(id: str, version: int) -> str:
    """The strong ETag of a record."""
    return f'"{id}.{version}"'


async def _seen(
    id: str,
    if_match: Annotated[
        str | None,
        Header(
            description="The ETag of what was read: if it has changed since, nothing is done (412).",
            max_length=1000,
        ),
    ] = None,
) -> frozenset[int] | None:
    if if_match is None or "*" in (given := [part.strip() for part in if_match.split(",")]):
        return None
    ours = [part.strip('"').removeprefix(f"{id}.") for part in given if part.startswith(f'"{id}.')]
    return frozenset(int(it) for it in ours if it.isascii() and it.isdigit() and len(it) < 10)


Seen = Annotated[frozenset[int] | None, Depends(_seen)]
"""The versions that If-Match names; None: any will do."""


def must_match(seen: frozenset[int] | None, id: str, version: int) -> None:
    """Stale unless this version is one that was seen."""
    if seen is not None and version not in seen:
        raise Stale(f"{id} has changed: its ETag is {tag(id, version)} now; read it again")


def tagged(response: Response, document: dict[str, Any], etag: str, known: str | None = None) -> Any:
    """The document, its ETag set; or 304 if the asker knows it (`known` is If-None-Match)."""
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    names = [part.strip().removeprefix("W/") for part in (known or "").split(",")]
    if "*" in names or etag in names:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return document
