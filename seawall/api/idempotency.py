"""Idempotency-Key on POST (draft-ietf-httpapi-idempotency-key-header): a repeated request has one effect.

The key is claimed, durably, before the request is carried out; its answer (2xx) is kept before it is sent,
for KEPT seconds. A repetition gets that answer with `Idempotent-Replayed: true`. The same key with another
request is 422. A claim without an answer (still running, or cut off by a crash) is 409: look at the thing
itself. An answer that shows a secret is not kept: its repetition is 409. Any other answer frees the key.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.api.deps import BODY_LIMIT
from seawall.api.problems import problem
from seawall.core.accounts import Identity
from seawall.core.errors import SeawallError
from seawall.core.ports import KeptAnswer
from seawall.service import Service, http_status

KEPT = 86400.0
SECRETS = ("/api/v1/tokens", "/api/v1/users", "/api/v1/auth/")
_OUT = ("/api/v1/webhooks/",)
_KEY = re.compile(r"[\x21-\x7e]{8,128}")
_HEADERS = ("content-type", "etag")


class Idempotency:
    """Pure ASGI middleware inside the gate: the key belongs to the one who asks."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry it out once, or answer as before."""
        who = scope.get("seawall.identity")
        key = Headers(scope=scope).get("idempotency-key") if _counted(scope) else None
        if key is None or who is None:
            await self._app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            refusal = "Idempotency-Key: not 8 to 128 visible ASCII characters; send a UUID"
            await problem(400, refusal)(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            refusal = f"the body is over {BODY_LIMIT} bytes; send less at once"
            await problem(413, refusal)(scope, receive, send)
            return
        try:
            await self._once(scope, send, who, key, body)
        except SeawallError as error:
            await problem(http_status(error), str(error))(scope, receive, send)

    async def _once(self, scope: Scope, send: Send, who: Identity, key: str, body: bytes) -> None:
        fingerprint, records = _fingerprint(scope, body), self._service.records
        now = self._service.clock.now()
        found = await asyncio.to_thread(records.claim, who.name, key, fingerprint, now, now - KEPT)
        if found is not None:
            await _again(found, fingerprint)(scope, _said(body), send)
            return
        heard = _Heard()
        await self._app(scope, _said(body), heard)
        if 200 <= heard.status < 300:
            secret = scope["path"].startswith(SECRETS)
            kept = KeptAnswer(
                fingerprint, heard.status, heard.headers(), b"" if secret else heard.body, secret
            )
            await asyncio.to_thread(records.keep_answer, who.name, key, kept)
        else:
            await asyncio.to_thread(records.free_claim, who.name, key)
        for message in heard.messages:
            await send(message)


class _Heard:
    """What the application answered, held back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"]) if self.messages else 500

    @property
    def body(self) -> bytes:
        return b"".join(it.get("body", b"") for it in self.messages[1:])

    def headers(self) -> Mapping[str, str]:
        found = MutableHeaders(raw=list(self.messages[0]["headers"]))
        return {name: found[name] for name in _HEADERS if name in found}


def _counted(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path: str = scope["path"]
    return path.startswith("/api/v1/") and not path.startswith(_OUT)


def _fingerprint(scope: Scope, body: bytes) -> str:
    request = b"\0".join((scope["path"].encode(), scope["query_string"], body))
    return hashlib.sha256(request).hexdigest()


def _again(found: KeptAnswer, fingerprint: str) -> Response:
    if found.fingerprint != fingerprint:
        return problem(422, "Idempotency-Key: it was used for another request; use a new one for each")
    if found.status == 0:
        return problem(
            409, "the request with this Idempotency-Key runs still, or was cut off; look at what it changes"
        )
    if found.secret:
        return problem(
            409, "the request with this Idempotency-Key is done, and its secret was shown only once"
        )
    headers = {**found.headers, "Idempotent-Replayed": "true"}
    return Response(found.body, found.status, headers)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None as soon as it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _said(body: bytes) -> Receive:
    told = False

    async def receive() -> Message:
        nonlocal told
        if told:
            return {"type": "http.disconnect"}
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
