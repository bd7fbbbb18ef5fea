"""Default deny, proved: every route times every role, through the real gate and application."""

import inspect
import re

import httpx
import pytest
from fastapi.routing import APIRoute

from seawall.api.gate import AUTH, OPEN, WEBHOOKS
from seawall.api.hosts import is_ours, names_of
from seawall.app import build_app, build_service
from seawall.config import Config, Stores
from seawall.core.accounts import ROLES, rank
from seawall.statefolder import StateFolder

ASKING = ("none", *ROLES)
UNLIMITED = {"requests_per_second": 1e6, "requests_at_once": 10**6}


def routes_of(found):
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from routes_of(getattr(getattr(route, "original_router", None), "routes", ()))


def role_of(route):
    """What its dependencies ask for; None where they ask for none."""
    calls = [found.call for part in route.dependant.dependencies for found in (part, *part.dependencies)]
    roles = [inspect.getclosurevars(call).nonlocals.get("role") for call in calls if inspect.isfunction(call)]
    return next((role for role in roles if role), None)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(application, its routes, a token for each role)."""
    state = StateFolder(tmp_path_factory.mktemp("roles"))
    stores = Stores(samples="memory:", events="memory:", records="memory:")
    config = Config.model_validate({"stores": stores.model_dump(), "server": UNLIMITED})
    service, opened = build_service(config, state)
    tokens = {
        role: service.accounts.new_token(
            role, role, {"main": "viewer"} if role == "none" else {}, "root", None
        )
        for role in ASKING
    }
    app = build_app(service)
    yield app, list(routes_of(app.routes)), tokens
    opened.records.close()


def asked(app, verb, path, token=None, **more):
    """The status of one request, its path's places filled in."""
    place = re.sub(r"\{[^}]+\}", "nothing-1", path)
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def ask():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.request(verb, place, headers=headers, **more)).status_code

    return ask()


def is_open(path):
    return path in OPEN or path.startswith((AUTH, WEBHOOKS))


def closed(routes):
    for route in routes:
        for verb in sorted(route.methods):
            if not is_open(route.path):
                yield verb, route


async def test_a_stranger_gets_401_from_every_route_that_is_not_open(world):
    app, routes, _ = world
    got = {f"{verb} {r.path}": await asked(app, verb, r.path) for verb, r in closed(routes)}
    assert len(got) > 40
    assert {name: status for name, status in got.items() if status != 401} == {}


def test_every_route_of_the_api_asks_for_a_role(world):
    _, routes, _ = world
    without = [r.path for _, r in closed(routes) if r.include_in_schema and role_of(r) not in ROLES]
    assert without == []


async def test_every_role_below_the_one_asked_for_is_refused_and_the_others_are_not(world):
    app, routes, tokens = world
    wrong = []
    for verb, route in closed(routes):
        needed = role_of(route)
        if needed is None or route.path in ("/api/v1/stream",) or route.path.endswith("/follow"):
            continue  # pages: below; streams do not end, the first check is the same
        for role in ASKING:
            status = await asked(app, verb, route.path, tokens[role], json={})
            refused = status == 403
            if refused != (rank(role) < rank(needed)) or status == 401 or status >= 500:
                wrong.append((verb, route.path, role, status))
    assert wrong == []


@pytest.mark.parametrize("role", ["none", "viewer", "operator", "approver"])
@pytest.mark.parametrize("path", ["/users", "/tokens", "/audit"])
async def test_the_admins_pages_are_for_the_admin(world, role, path):
    app, _, tokens = world
    assert await asked(app, "GET", path, tokens[role]) == 403
    assert await asked(app, "GET", path, tokens["admin"]) == 200


async def test_who_has_no_role_here_sees_no_page(world):
    app, routes, tokens = world
    pages = [r.path for verb, r in closed(routes) if verb == "GET" and not r.include_in_schema]
    got = {path: await asked(app, "GET", path, tokens["none"]) for path in pages if path != "/account"}
    assert got and {path: status for path, status in got.items() if status not in (403, 404)} == {}


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8700", True), ("[::1]:8700", True), ("192.0.2.7", True), ("localhost", True),
        ("LOCALHOST.:8700", True), ("seawall.example.com", True), ("other.example.com:443", True),
        ("evil.example", False), ("seawall.example.com.evil.example", False), ("", False),
        ("evil@127.0.0.1", False), ("127.0.0.1/evil", False), ("127.0.0.1:port", False),
    ],
)  # fmt: skip
def test_only_our_own_names_may_stand_in_the_host_header(host, ours):
    server = {"public_url": "https://seawall.example.com", "allowed_hosts": ["Other.example.com"]}
    assert is_ours(host, names_of(Config.model_validate({"server": server}))) is ours
