"""How a reader wants the console: language and theme, kept in two cookies of the browser."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from seawall.console.asking import Form, Who, local_path
from seawall.console.render import PageRoute
from seawall.console.words import LANGUAGE_COOKIE, LANGUAGES, THEME_COOKIE, THEMES, YEAR_SECONDS
from seawall.core.errors import InputError

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.post("/preferences")
def prefer(request: Request, who: Who, form: Form) -> Response:
    """Keep `language` or `theme` and go on to the page that asked. InputError for a value that is none."""
    response = RedirectResponse(local_path(form.get("next", "/")), 303)
    for field, cookie, known in (
        ("language", LANGUAGE_COOKIE, tuple(LANGUAGES)),
        ("theme", THEME_COOKIE, THEMES),
    ):
        value = form.get(field)
        if value is None:
            continue
        if value not in known:
            raise InputError(field, f"{value[:40]!r} is none", f"use one of {', '.join(known)}")
        response.set_cookie(
            cookie,
            value,
            max_age=YEAR_SECONDS,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
    return response
