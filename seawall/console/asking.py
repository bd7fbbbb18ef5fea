"""What a page asks for: the service, who asks, a bounded form, a safe way on. Coroutines, as in
seawall.api.deps."""

import asyncio
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from seawall.core.accounts import Identity
from seawall.core.errors import InputError, Refused
from seawall.identity.scopes import narrowed
from seawall.service import Service

FORM_LIMIT = 64 * 1024
FIELD_LIMIT = 2000
MOST_FIELDS = 20


async def service(request: Request) -> Service:
    """The service that seawall.app wired."""
    found: Service = request.app.state.service
    return found


async def visitor(request: Request) -> Identity | None:
    """Who asks, if anybody that we know."""
    found: Identity | None = request.scope.get("seawall.identity")
    return found


async def identity(request: Request) -> Identity:
    """Who asks; a stranger gets the login form."""
    who = await visitor(request)
    if who is None:
        raise HTTPException(401, "log in")
    here = await asyncio.to_thread(narrowed, request, request.app.state.service, who) if who.grants else who
    need(here, "viewer")
    return here


async def form(request: Request) -> Mapping[str, str]:
    """The fields of a URL-encoded form (WHATWG URL, section 5.1); 413 when it is over 64 KiB."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_LIMIT:
            raise HTTPException(413, f"the form is over {FORM_LIMIT} bytes; write less")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise InputError("form", "it cannot be read", "send it from Seawall's own page") from error
    for name, value in fields.items():
        if len(value) > FIELD_LIMIT:
            raise InputError(name, f"over {FIELD_LIMIT} characters", "write less")
    return {name: value.strip() for name, value in fields.items()}


def local_path(text: str) -> str:
    """`text` if it is a path of this site, else `/`: a login never sends anybody elsewhere."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if plain else "/"


def need(who: Identity, role: str) -> None:
    """Refused unless the role includes `role`."""
    if not who.may(role):
        raise Refused(f"{who.name} has the role {who.role} here; this needs the role {role}")


ServiceDep = Annotated[Service, Depends(service)]
Visitor = Annotated[Identity | None, Depends(visitor)]
Who = Annotated[Identity, Depends(identity)]
Form = Annotated[Mapping[str, str], Depends(form)]
