"""Elasticsearch's dialect before osmem-server, the emulator that speaks OpenSearch's: a process that stands
between Seawall and the emulator and rewrites what differs.

What osmem lacks: vendor media types, index.mode, ILM, data streams (plain indices there), Elasticsearch's
points in time; and it says truly that it is OpenSearch. So whoever looks at the demo is told that this is no
Elasticsearch.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CLAIMED = "8.19.0"  # the version that the rewritten answers tell
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD"]
_TEMPLATES = ("/_component_template/", "/_index_template/")
_NOT_FORWARDED = {"host", "content-length", "connection", "accept-encoding"}
_NOT_RETURNED = {"content-length", "connection", "transfer-encoding", "content-encoding"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


def to_osmem(asked: Asked) -> Asked:
    """The same request in osmem's dialect."""
    headers = {name: _plain(value) for name, value in asked.headers.items()}
    target, body = asked.target, asked.body
    path = target.partition("?")[0]
    if path.startswith(_TEMPLATES) and body:
        body = _without(body)
    elif path == "/_pit" and body:
        target, body = "/_search/point_in_time", json.dumps({"pit_id": [json.loads(body)["id"]]}).encode()
    return Asked(asked.method, target.replace("/_pit?", "/_search/point_in_time?"), headers, body)


def from_osmem(target: str, status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to `target` (as Seawall asked it), as Elasticsearch would give it."""
    path = target.partition("?")[0]
    if path.startswith("/_data_stream/") and b"no handler found" in body:
        error = {"type": "index_not_found_exception", "reason": target}
        return 404, json.dumps({"error": error, "status": 404}).encode()
    if path == "/" and body:
        return status, json.dumps(json.loads(body) | {"version": {"number": CLAIMED}}).encode()
    if path.endswith("/_pit") and body:
        told = json.loads(body)
        return status, json.dumps(told | ({"id": told["pit_id"]} if "pit_id" in told else {})).encode()
    return status, body


def _plain(value: str) -> str:
    return value.replace("vnd.elasticsearch+", "").replace("; compatible-with=8", "")


def _without(body: bytes) -> bytes:
    """A template without what osmem does not have: its data streams are plain indices."""
    template: dict[str, Any] = json.loads(body)
    template.pop("data_stream", None)
    settings = template["template"].get("settings", {}).get("index", {})
    settings.pop("mode", None)
    settings.pop("lifecycle", None)
    return json.dumps(template).encode()


def application(upstream: str) -> Starlette:
    """The process' web application in front of the osmem at `upstream`."""
    client = httpx.AsyncClient(base_url=upstream, timeout=60.0, trust_env=False)

    async def forward(request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_FORWARDED}
        query = f"?{request.url.query}" if request.url.query else ""
        target = request.scope["raw_path"].decode() + query
        asked = to_osmem(Asked(request.method, target, headers, await request.body() or None))
        try:
            got = await client.request(
                asked.method, asked.target, headers=dict(asked.headers), content=asked.body
            )
        except httpx.TransportError as error:
            return Response(f"osmem-server at {upstream}: {error}", 502)
        status, body = from_osmem(target, got.status_code, got.content)
        kept = {name: value for name, value in got.headers.items() if name not in _NOT_RETURNED}
        return Response(body, status, kept)

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    return Starlette(routes=[Route("/{path:path}", forward, methods=METHODS)], lifespan=lifespan)


def main() -> None:
    """Serve on 127.0.0.1:--port until SIGTERM."""
    parser = argparse.ArgumentParser(description="Elasticsearch's dialect before osmem-server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    served = uvicorn.Config(
        application(arguments.upstream), "127.0.0.1", arguments.port, log_level="warning", access_log=False
    )
    asyncio.run(uvicorn.Server(served).serve())


if __name__ == "__main__":
    main()
