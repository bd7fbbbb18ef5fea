"""Errors as application/problem+json (RFC 9457)."""

import logging
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from seawall.core.accounts import TooManyAttempts
from seawall.core.errors import SeawallError
from seawall.service import Identity, http_status

log = logging.getLogger(__name__)
Page = Callable[[int, str, Identity | None], str]


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A problem document; the title is the status's own phrase."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    status = http_status(error)
    if isinstance(error, TooManyAttempts):
        return problem(status, str(error), {"Retry-After": str(int(error.seconds) + 1)})
    return problem(status, str(error), {"Retry-After": "5"} if status == 503 else None)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return problem(422, f"{place}: {first['msg']}")


async def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "an unexpected fault; Seawall's log has the details")


def install(app: FastAPI, page: Page) -> None:
    """Every error becomes a problem document; a browser that asks for a path of no page gets `page`."""

    async def _http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and not request.url.path.startswith("/api/"):
            who = request.scope.get("seawall.identity")
            return HTMLResponse(page(error.status_code, str(error.detail), who), error.status_code)
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    app.add_exception_handler(SeawallError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
