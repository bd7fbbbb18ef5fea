"""Streams end with the rights of who opened them: revoked, expired, logged out, disabled, another role.

What this process changes is seen before the next message is sent; what another replica changed, or what
ran out by itself, within CHECK seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

from starlette.requests import Request

from seawall.core.accounts import Identity
from seawall.core.errors import StoreUnavailable
from seawall.identity import Accounts, Entry
from seawall.service import Service

CHECK = 5.0
T = TypeVar("T")


class Asker:
    """Who opened a stream, and by what."""

    def __init__(self, request: Request, service: Service) -> None:
        entry: Entry | None = request.scope.get("seawall.entry")
        self._who: Identity = request.scope["seawall.identity"]
        self._session = entry.session.id if entry else ""
        self._token: str = request.scope.get("seawall.token", "")
        self._accounts: Accounts = service.accounts
        self._seen, self._at = self._accounts.changes, asyncio.get_running_loop().time()

    async def allowed(self) -> bool:
        """May they still? Asks the store only when something has changed or CHECK seconds have passed."""
        now = asyncio.get_running_loop().time()
        if self._accounts.changes == self._seen and now - self._at < CHECK:
            return True
        self._seen, self._at = self._accounts.changes, now
        try:
            return await asyncio.to_thread(self._accounts.still, self._who, self._session, self._token)
        except StoreUnavailable:  # asked again at the next look: a store that is away revokes nobody
            return True


async def while_allowed(source: AsyncGenerator[T, None], asker: Asker) -> AsyncIterator[T]:
    """The items of `source`, until it ends or the asker may no longer read them."""
    waiting = asyncio.ensure_future(anext(source))
    try:
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=CHECK)
            if not await asker.allowed():
                return
            if not done:
                continue
            try:
                item = waiting.result()
            except StopAsyncIteration:
                return
            yield item
            waiting = asyncio.ensure_future(anext(source))
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await waiting
        await source.aclose()
