"""What routes ask for: the service, who asks, and a bounded body.

All are coroutines: a plain function would cost each request a hop to another thread, and on a busy core a
wait for the interpreter's lock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.exceptions import HTTPException

from seawall.core.accounts import Identity
from seawall.core.errors import Refused
from seawall.identity.scopes import narrowed
from seawall.service import Service

BODY_LIMIT = 1024 * 1024


async def service(request: Request) -> Service:
    """The service that seawall.app wired."""
    found: Service = request.app.state.service
    return found


async def identity(request: Request) -> Identity:
    """Who asks, with the role that counts here; the gate has let nobody in without."""
    who: Identity | None = request.scope.get("seawall.identity")
    if who is None:
        raise HTTPException(401, "log in, or send a bearer token")
    if not who.grants:
        return who
    return await asyncio.to_thread(narrowed, request, request.app.state.service, who)


def needs(role: str) -> Callable[[Identity], Awaitable[Identity]]:
    """A dependency that lets only this role and higher ones through."""

    async def check(who: Annotated[Identity, Depends(identity)]) -> Identity:
        if not who.may(role):
            raise Refused(f"{who.name} has the role {who.role} here; this needs the role {role}")
        return who

    return check


ServiceDep = Annotated[Service, Depends(service)]
Viewer = Annotated[Identity, Depends(needs("viewer"))]
Operator = Annotated[Identity, Depends(needs("operator"))]
Approver = Annotated[Identity, Depends(needs("approver"))]
Admin = Annotated[Identity, Depends(needs("admin"))]
Limit = Annotated[int, Query(ge=1, le=200)]


async def bounded_body(request: Request) -> bytes:
    """The body, or 413 as soon as it is more than 1 MiB."""
    length = request.headers.get("content-length", "")
    body = bytearray()
    if not (length.isdigit() and int(length) > BODY_LIMIT):
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_LIMIT:
                break
        else:
            return bytes(body)
    raise HTTPException(413, f"the body is over {BODY_LIMIT} bytes; send less at once")


Body = Annotated[bytes, Depends(bounded_body)]
