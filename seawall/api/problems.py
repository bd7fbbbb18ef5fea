"""Errors as application/problem+json (RFC 9457)."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from seawall.core.errors import (
    Conflict,
    InputError,
    NotFound,
    Overloaded,
    Refused,
    SeawallError,
    StoreUnavailable,
)

_STATUS: dict[type[SeawallError], int] = {
    InputError: 400,
    NotFound: 404,
    Conflict: 409,
    Refused: 403,
    Overloaded: 503,
    StoreUnavailable: 503,
}
log = logging.getLogger(__name__)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A problem document; the title is the status's own phrase."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    return problem(status, str(error), {"Retry-After": "5"} if status == 503 else None)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return problem(422, f"{place}: {first['msg']}")


async def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "an unexpected fault; Seawall's log has the details")


def install(app: FastAPI) -> None:
    """Every error of the application becomes a problem document."""
    app.add_exception_handler(SeawallError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
