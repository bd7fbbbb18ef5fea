"""A stand-in for Harbor's API: a real HTTP server that pages as Harbor does (X-Total-Count, Link).

`faults` are answered first, one a request: a status, "half" (half of a body), or "page" (no JSON). With
`links` off there is no Link header, as behind some proxies.
"""

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOGIN = ("seawall", "hunter2-password")
Lists = dict[str, Callable[[], list[dict[str, Any]]]]


class HarborStand:
    """A context manager; `lists` maps a path below /api/v2.0 to what it lists, `asked` keeps the requests."""

    def __init__(self, lists: Lists, links: bool = True) -> None:
        self.lists, self.links = lists, links
        self.faults: deque[int | str] = deque()
        self.asked: list[str] = []
        stand = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stand.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HarborStand":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request: a fault that is due, else the page asked for."""
        self.asked.append(request.path)
        fault = self.faults.popleft() if self.faults else 0
        login = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
        url = urlsplit(request.path)
        found = self.lists.get(url.path.removeprefix("/api/v2.0"))
        if request.headers.get("authorization") != login:
            self._send(request, 401, {"errors": [{"code": "UNAUTHORIZED", "message": "unauthorized"}]})
        elif isinstance(fault, int) and fault:
            self._send(request, fault, {"errors": [{"code": "X", "message": "fault"}]})
        elif fault == "page":
            self._send(request, 200, None)
        elif found is None:
            self._send(request, 404, {"errors": [{"code": "NOT_FOUND", "message": "not found"}]})
        else:
            self._list(request, found(), parse_qs(url.query), half=fault == "half")

    def _list(
        self, request: BaseHTTPRequestHandler, items: list[Any], query: dict[str, list[str]], half: bool
    ) -> None:
        if query.get("sort") == ["-op_time"]:
            items = sorted(items, key=lambda item: item["op_time"], reverse=True)
        page, size = int(query.get("page", ["1"])[0]), min(100, int(query.get("page_size", ["10"])[0]))
        shown = items[(page - 1) * size : page * size]
        headers = {"X-Total-Count": str(len(items))}
        if self.links:
            next = f'</api?page={page + 1}>; rel="next"' if page * size < len(items) else ""
            headers["Link"] = ", ".join(filter(None, ['</api?page=1>; rel="prev"' if page > 1 else "", next]))
        self._send(request, 200, shown, headers, half)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        document: Any,
        headers: dict[str, str] | None = None,
        half: bool = False,
    ) -> None:
        body = b"<html>log in</html>" if document is None else json.dumps(document).encode()
        request.send_response(status)
        for name, value in ({"Retry-After": "7"} if status == 429 else headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if half else body)
        request.close_connection = True
