"""Which registry a request is about, so that a role for one registry counts there and nowhere else.

What cannot be told belongs to no registry: there only the role for everything counts.
"""

from fastapi import Request

from seawall.core.accounts import Identity
from seawall.core.errors import NotFound
from seawall.service import Service


def registry_of(request: Request, service: Service) -> str | None:
    """By the path (registry, incident or action), else by `?registry` where the route reads it."""
    given = request.path_params
    path = request.url.path.removeprefix("/api/v1")
    try:
        if "registry" in given:
            return str(given["registry"])
        if path.startswith("/incidents/") and "id" in given:
            return service.records.incident(given["id"]).registry
        if path.startswith("/actions/") and "id" in given:
            return service.records.action(given["id"]).registry
    except NotFound:
        return None
    named = request.query_params.getlist("registry")
    dependant = getattr(request.scope.get("route"), "dependant", None)
    reads = dependant is not None and any(it.name == "registry" for it in dependant.query_params)
    return named[0] if reads and len(named) == 1 and named[0] else None


def narrowed(request: Request, service: Service, who: Identity) -> Identity:
    """The person with the role that counts for this request."""
    return who.within(registry_of(request, service)) if who.grants else who
