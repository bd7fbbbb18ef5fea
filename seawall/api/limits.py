"""Rate limits: so many requests a second for each bearer token or session, and for each stranger's address.

A token bucket each (server.requests_per_second, server.requests_at_once). Strangers, and whoever sends a
token that is none of ours, are counted by address, so that guessing tokens buys no new bucket. Health pages,
metrics, static files and webhooks (which have bounded queues of their own) are not counted.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from seawall.api.problems import problem

FREE = frozenset({"/healthz", "/readyz", "/metrics"})
FREE_BELOW = ("/static/", "/api/v1/webhooks/")
BUCKETS = 10_000
"""How many askers are remembered; the one that asked longest ago is forgotten first."""


class Buckets:
    """Token buckets by name; `clock` is monotonic seconds."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """0 if the request may pass, else the seconds until the next one may."""
        now = self._clock()
        left, at = self._kept.pop(name, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._kept[name] = (left if wait else left - 1, now)
        if len(self._kept) > BUCKETS:
            self._kept.popitem(last=False)
        return wait


class RateLimit:
    """Pure ASGI middleware outside the gate: a refused request costs next to nothing."""

    def __init__(self, app: ASGIApp, buckets: Buckets) -> None:
        self._app, self._buckets = app, buckets
        self._known: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or answer 429 with Retry-After (seconds)."""
        if scope["type"] != "http" or scope["path"] in FREE or scope["path"].startswith(FREE_BELOW):
            await self._app(scope, receive, send)
            return
        shown = _shown(scope)
        client = scope.get("client")
        name = shown if shown in self._known else str(client[0] if client else "")
        wait = self._buckets.take(name)
        if wait:
            detail = f"too many requests; the next one may come in {wait:.2f} s"
            await problem(429, detail, {"Retry-After": str(math.ceil(wait))})(scope, receive, send)
            return
        await self._app(scope, receive, send)
        self._learn(shown, scope.get("seawall.identity") is not None)

    def _learn(self, shown: str, good: bool) -> None:
        self._known.pop(shown, None)
        if good and shown:
            self._known[shown] = None
            if len(self._known) > BUCKETS:
                self._known.popitem(last=False)


def _shown(scope: Scope) -> str:
    """What the asker shows for a credential, hashed; "" for none."""
    headers = Headers(scope=scope)
    text = headers.get("authorization", "") or headers.get("cookie", "")
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
