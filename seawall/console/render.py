"""Templates -> pages; and every error of a page in the same look."""

import hashlib
import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from seawall.console import charts, drawings, figures, words
from seawall.console.engine import engine, line, word
from seawall.core.errors import SeawallError
from seawall.core.times import format_duration, rfc3339
from seawall.service import http_status

HERE = Path(__file__).parent
STATIC = HERE / "static"
log = logging.getLogger(__name__)


def _asset(name: str) -> str:
    """A static file's address with its content's hash, so that it may be cached for good."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"charts": charts, "drawings": drawings, "figures": figures}
    found.globals |= {"_": words.said, "_n": words.counted, "look": words.look}
    found.globals |= {"languages": words.LANGUAGES, "themes": words.THEMES}
    found.globals |= {
        "css": _asset("seawall.css"),
        "pages_css": _asset("pages.css"),
        "js": _asset("seawall.js"),
        "icon": _asset("icon.svg"),
    }
    found.filters |= {
        "engine": engine,
        "line": line,
        "word": word,
        "rfc3339": rfc3339,
        "utc": figures.utc,
        "timed": figures.with_times,
        "duration": format_duration,
    }
    found.globals["ui"] = found.get_template("macros.html").module
    return found


_ENVIRONMENT = _environment()


def render(template: str, **context: Any) -> str:
    """The HTML of a template; a name that it misses is an error, not a blank."""
    return _ENVIRONMENT.get_template(template).render(context)


def login_page(next: str = "", message: str = "", provider: str = "") -> str:
    """The form; with `message` when a log-in failed. `next` is the local path to go on to, `provider` what
    the button of an OpenID Connect provider calls it ("": there is none)."""
    return render("login.html", who=None, next=next, message=message, provider=provider)


def error_page(status: int, detail: str, who: object = None) -> str:
    """What went wrong, in the console's look, with a way back."""
    return render(
        "error.html", who=who, frozen=(False, ""), status=status, phrase=_phrase(status), detail=detail
    )


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page is never kept by a cache: it shows this moment, to this person."""
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


class PageRoute(APIRoute):
    """A route whose errors are pages, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, guarded."""
        inner = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            words.LOOK.set(words.look_of(request))
            try:
                return await inner(request)
            except Exception as error:
                return _failed(request, error)

        return guarded


def _failed(request: Request, error: Exception) -> HTMLResponse:
    status, detail = _told(error)
    if status == 401:
        external = request.app.state.service.external
        return html(login_page(provider=external.label if external else ""), 401)
    if status >= 500:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return html(error_page(status, detail, request.scope.get("seawall.identity")), status)


def _told(error: Exception) -> tuple[int, str]:
    """(status, what a person is told); an unexpected fault tells nothing of its inside."""
    if isinstance(error, SeawallError):
        return http_status(error), str(error)
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, RequestValidationError):
        return 400, "the request is not complete; go back and try again"
    return 500, "an unexpected fault; Seawall's log has the details"


class Assets(StaticFiles):
    """The static files; an address with its content's hash never changes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, to be kept for a year when its address names its content."""
        response = await super().get_response(path, scope)
        if response.status_code == 200 and scope.get("query_string", b"").startswith(b"v="):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def static_app() -> StaticFiles:
    """Stylesheet, script and icon, to be mounted at /static."""
    return Assets(directory=STATIC)
