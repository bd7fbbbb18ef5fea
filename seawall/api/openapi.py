"""/api/openapi.json: what FastAPI knows of the routes, and what every route has in common.

Every route behind the gate may answer 401, 403, 422, 429 and 503; those with a name in their path 404, those
that change something 409 and 413. All are application/problem+json.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from seawall.api.gate import OPEN, WEBHOOKS
from seawall.api.models import Problem

REF = "#/components/schemas/Problem"
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A UUID of this request, such as 7c9e6679-7425-40de-944b-e07fc1f90ae7: repeated within"
    " a day it has one effect and the same answer.",
    "schema": {"type": "string", "pattern": "^[!-~]{8,128}$"},
}
WORDS = {
    400: ("Bad input", "cursor: 'x' is none of ours; give the `next` of the page before"),
    401: ("Nobody: no token, or none of ours", "log in, or send a bearer token"),
    403: ("The role, the policy or the switch forbids it", "vic is viewer; this needs the role operator"),
    404: ("There is none of that name", "there is no incident inc-99"),
    409: ("Another state", "incident inc-1 is resolved already"),
    421: (
        "Not the name of this Seawall",
        "this is not the name of this Seawall; add it to server.allowed_hosts",
    ),
    412: ("It has changed since it was read", 'inc-1 has changed: its ETag is "inc-1.4" now; read it again'),
    413: ("Over 1 MiB", "the body is over 1048576 bytes; send less at once"),
    422: ("A field is wrong", "query.limit: Input should be less than or equal to 200"),
    429: ("Too many requests; Retry-After", "too many requests; the next one may come in 0.01 s"),
    503: ("Full, or a store is away; Retry-After", "16 deliveries are being committed already"),
}
ALWAYS = (400, 421, 422, 429, 503)


def install(app: FastAPI) -> None:
    """The application's `openapi()` from now on; made at the first asking, kept."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]


def _schema(app: FastAPI) -> dict[str, Any]:
    spec = get_openapi(
        title=app.title,
        version=app.version,
        summary="Observability and self-healing for private container registries",
        description="docs/api.md tells it in words.",
        routes=app.routes,
    )
    parts = spec.setdefault("components", {})
    parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    schemes = parts.setdefault("securitySchemes", {})
    schemes["token"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token, or a webhook's own.",
    }
    schemes["session"] = {"type": "apiKey", "in": "cookie", "name": "seawall_session"}
    for path, verbs in spec["paths"].items():
        for verb, operation in verbs.items():
            _complete(path, verb, operation)
    return spec


def _complete(path: str, verb: str, operation: dict[str, Any]) -> None:
    answers = operation.setdefault("responses", {})
    strangers = path in OPEN or path.startswith("/api/v1/auth/")
    operation["security"] = [] if strangers else [{"token": []}]
    if not strangers and not path.startswith(WEBHOOKS):
        operation["security"].append({"session": []})
    for parameter in operation.get("parameters", ()):
        _example(path, parameter)
    if path in OPEN:
        return
    codes = {*ALWAYS, 401, 403}
    changes = verb != "get"
    if "{" in path or "/images" in path:
        codes.add(404)
    if changes:
        codes |= {404, 409, 413}
    if any(it["name"].lower() == "if-match" for it in operation.get("parameters", ())):
        codes.add(412)
    if any(it["name"].lower() == "if-none-match" for it in operation.get("parameters", ())):
        answers["304"] = {"description": "What is known still holds"}
    if verb == "post" and not path.startswith(WEBHOOKS):
        operation.setdefault("parameters", []).append(KEY)
    for code in sorted(codes):
        answers[str(code)] = _problem(code)


def _example(path: str, parameter: dict[str, Any]) -> None:
    """An example for the names that stand in paths, where the route gives none."""
    told = {"id": "act-1" if "/actions/" in path else "inc-1", "registry": "main"}
    if parameter["in"] == "path" and parameter["name"] in told and "example" not in parameter:
        parameter["example"] = told[parameter["name"]]


def _problem(code: int) -> dict[str, Any]:
    words, detail = WORDS[code]
    example = {"type": "about:blank", "title": words, "status": code, "detail": detail}
    content = {"application/problem+json": {"schema": {"$ref": REF}, "example": example}}
    return {"description": words, "content": content}
