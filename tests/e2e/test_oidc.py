"""Logging in at an OpenID Connect provider, on a running Seawall: the way in, and every lie on the way.

Two providers: one of ours with PKCE, one-time codes and faults (tests/provider.py), and oidc-provider-mock.
"""

import json
import re
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml
from playwright.sync_api import expect

from tests.e2e.test_console_pages import chromium
from tests.e2e.test_console_story import seen
from tests.provider import CLIENT, SECRET, providing
from tests.serving import Up, free_port, until

__all__ = ["chromium"]
pytestmark = pytest.mark.e2e
ROLES = {"on-call": "approver", "staff": "viewer", "admins": "admin"}
LOGIN = "/api/v1/auth/oidc/login"


def start(folder, issuer: str, **more) -> Up:
    secret = folder / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    oidc = {
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret_file": str(secret),
        "label": "Harbour ID",
        "roles": ROLES,
        **more,
    }
    found = Up(folder, {})
    limits = {"requests_per_second": 1000, "requests_at_once": 1000}
    found.config.write_text(yaml.safe_dump({"server": {"public_url": found.url, "oidc": oidc, **limits}}))
    return found.start()


@pytest.fixture(scope="module")
def provider():
    with providing() as found:
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory, provider):
    found = start(tmp_path_factory.mktemp("oidc"), provider.issuer)
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def honest(provider):
    """Each test begins with a provider that tells the truth."""
    provider.honest()


ADDRESSES = iter(range(2, 250))


@pytest.fixture
def person(service):
    """A browser at an address of its own, so that one test's wrong attempts slow no other."""
    transport = httpx.HTTPTransport(local_address=f"127.0.0.{next(ADDRESSES)}")
    with httpx.Client(base_url=service.url, transport=transport, timeout=30) as found:
        found.headers["Origin"] = service.url
        yield found


def to_the_provider(person, query: str = "") -> str:
    """The provider's address to which the browser is sent."""
    answer = person.get(f"{LOGIN}{query}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def back(person, query: str = "") -> str:
    """The address to which the provider sends the browser back."""
    answer = httpx.get(to_the_provider(person, query))
    return answer.headers["location"]


def name_of(person) -> str | None:
    answer = person.get("/api/v1/auth/me")
    return answer.json()["name"] if answer.status_code == 200 else None


def refused(service, person, answer) -> str:
    """Why, as the audit log has it; nobody is in, and the page tells nothing of it."""
    assert answer.status_code == 401, answer.text
    assert "did not succeed" in answer.text and "seawall_session" not in answer.cookies
    assert name_of(person) is None
    entry = service.get("/audit?limit=1")["items"][0]
    assert entry["event"] == "login.failed" and entry["actor"] == "(provider)"
    why = str(entry["detail"])
    assert "eyJ" not in why and "eyJ" not in answer.text, "no token is written down"
    return why


def test_who_comes_from_the_provider_has_the_role_of_their_claim_and_no_password(service, person, provider):
    assert "Log in with Harbour ID" in person.get("/login").text
    asked = parse_qs(urlsplit(to_the_provider(person, "?next=/incidents")).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["response_type"] == ["code"]
    assert (
        len(asked["state"][0]) >= 32
        and len(asked["nonce"][0]) >= 32
        and len(asked["code_challenge"][0]) == 43
    )
    came = person.get(back(person, "?next=/incidents"))
    assert (came.status_code, came.headers["location"]) == (303, "/incidents")
    me = person.get("/api/v1/auth/me").json()
    assert (me["name"], me["role"], me["via"]) == ("ada", "approver", "session")
    assert person.get("/incidents", headers={"Accept": "text/html"}).status_code == 200
    shown = next(it for it in service.get("/users")["items"] if it["name"] == "ada")
    assert shown["issuer"] == provider.issuer and not shown["must_change"]
    account = person.get("/account", headers={"Accept": "text/html"})
    assert account.status_code == 400 and "kept by your provider" in account.text
    assert "at its provider" in service.cli("user", "list").stdout
    with service.api() as api:
        assert "At the provider" in api.get("/users").text
        assert api.post("/api/v1/users/ada/reset").status_code == 409
    change = {"old": "", "new": "a long passphrase of mine"}
    assert person.post("/api/v1/auth/password", json={**change, "old": "x"}).status_code == 409
    assert person.post("/api/v1/auth/totp").status_code == 409
    for password in ("", "x"):
        form = {"name": "ada", "password": password or " ", "code": ""}
        assert httpx.post(f"{service.url}/login", data=form).status_code in (401, 429)
    events = [it["event"] for it in service.get("/audit?limit=20")["items"]]
    assert {"user.created", "login.succeeded", "session.started"} <= set(events)


def test_the_role_is_that_of_the_claim_at_each_log_in_and_none_is_no_way_in(service, person, provider):
    provider.person = {"sub": "1002", "preferred_username": "ben", "groups": "staff"}
    assert person.get(back(person)).status_code == 303
    assert person.get("/api/v1/auth/me").json()["role"] == "viewer"
    provider.person["groups"] = ["admins", "staff"]
    assert person.get(back(person)).status_code == 303
    assert person.get("/api/v1/auth/me").json()["role"] == "admin"
    person.post("/api/v1/auth/logout")
    provider.person["groups"] = ["others"]
    assert "gives a role here" in refused(service, person, person.get(back(person)))


def test_a_disabled_account_stays_out(service, person, provider):
    provider.person |= {"sub": "1003", "preferred_username": "cat"}
    assert person.get(back(person)).status_code == 303
    with service.api() as api:
        api.post("/api/v1/users/cat/disable").raise_for_status()
    assert name_of(person) is None
    assert "disabled" in refused(service, person, person.get(back(person)))


@pytest.mark.parametrize("name", ["admin", "robot", "policy", "seawall", "bad name", "", None])
def test_nobodys_name_is_taken_over(service, person, provider, name):
    if name == "robot":
        service.person("robot", "viewer")  # a token's name
    provider.person |= {"sub": f"thief-{name}", "preferred_username": name}
    why = refused(service, person, person.get(back(person)))
    assert "belongs to somebody else" in why or "no name that Seawall takes" in why
    assert not [it for it in service.get("/users")["items"] if it["name"] == name and it["issuer"]]


def test_another_subject_with_the_same_name_is_another_person(service, person, provider):
    provider.person |= {"sub": "1004", "preferred_username": "dan"}
    assert person.get(back(person)).status_code == 303
    person.post("/api/v1/auth/logout")
    provider.person["sub"] = "9999"
    assert "belongs to somebody else" in refused(service, person, person.get(back(person)))


LIES = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "another-client"},
    "no audience": {"aud": None},
    "several audiences, no party": {"aud": [CLIENT, "another-client"]},
    "another party": {"aud": [CLIENT, "another-client"], "azp": "another-client"},
    "another nonce": {"nonce": "n" * 32},
    "no nonce": {"nonce": None},
    "expired": {"exp": int(time.time()) - 3600},
    "no end": {"exp": None},
    "from the future": {"iat": int(time.time()) + 3600},
    "not yet": {"nbf": int(time.time()) + 3600},
    "nobody": {"sub": None},
    "an empty subject": {"sub": ""},
    "a number for a subject": {"sub": 7},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_does_not_hold_opens_nothing(service, person, provider, lie):
    provider.lie = LIES[lie]
    refused(service, person, person.get(back(person)))


@pytest.mark.parametrize("how", ["unsigned", "by_another_key", "by_shared_secret", "changed"])
def test_a_token_that_is_not_signed_by_the_providers_key_opens_nothing(service, person, provider, how):
    provider.sign = getattr(provider, how)
    assert "does not hold" in refused(service, person, person.get(back(person)))


def test_an_answer_counts_once_even_where_the_provider_takes_its_code_again(service, person, provider):
    provider.one_time = False
    answer, cookie = back(person), person.cookies["seawall_oidc"]
    assert person.get(answer).status_code == 303
    assert "seawall_oidc" not in person.cookies, "the cookie is gone"
    person.post("/api/v1/auth/logout")
    person.cookies.set("seawall_oidc", cookie, path="/api/v1/auth/oidc")
    assert "used before" in refused(service, person, person.get(answer))
    provider.one_time = True
    assert person.get(answer).status_code == 401


def test_a_code_that_the_provider_has_taken_opens_nothing(service, person, provider):
    answer, cookie = back(person), person.cookies["seawall_oidc"]
    assert person.get(answer).status_code == 303
    person.post("/api/v1/auth/logout")
    person.cookies.set("seawall_oidc", cookie, path="/api/v1/auth/oidc")
    assert "its own code" in refused(service, person, person.get(answer))
    assert provider.refused == ["invalid_grant"]


def test_a_code_that_was_given_to_another_browser_is_bound_by_state_and_verifier(service, person, provider):
    """Log-in forgery: the attacker's answer in the victim's browser; a stolen code in the attacker's."""
    with httpx.Client(base_url=service.url) as attacker:
        theirs = back(attacker)
    assert "not begun in this browser" in refused(service, person, person.get(theirs))
    to_the_provider(person)
    assert "not for this browser" in refused(service, person, person.get(theirs))
    mine = parse_qs(urlsplit(to_the_provider(person)).query)["state"][0]
    stolen = parse_qs(urlsplit(theirs).query)["code"][0]
    forged = f"/api/v1/auth/oidc/callback?code={stolen}&state={mine}"
    assert "its own code" in refused(service, person, person.get(forged))
    assert provider.refused == ["invalid_grant: PKCE"]


def test_an_answer_of_another_provider_and_a_refusal_are_told_apart_from_nothing(service, person, provider):
    state = parse_qs(urlsplit(to_the_provider(person)).query)["state"][0]
    mixed = f"/api/v1/auth/oidc/callback?code=x&state={state}&iss=https://evil.example"
    assert "another provider" in refused(service, person, person.get(mixed))
    state = parse_qs(urlsplit(to_the_provider(person)).query)["state"][0]
    denied = f"/api/v1/auth/oidc/callback?error=access_denied&state={state}"
    assert "did not let you in" in refused(service, person, person.get(denied))
    double = "/api/v1/auth/oidc/callback?code=x&code=y&state=z"
    assert person.get(double).status_code == 400
    assert person.get(f"/api/v1/auth/oidc/callback?state={'x' * 9000}").status_code in (400, 414)


@pytest.mark.parametrize("next", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_log_in_never_leads_elsewhere(service, person, provider, next):
    assert person.get(back(person, f"?next={next}")).headers["location"] == "/"


def test_wrong_answers_cost_time_for_their_address_alone(service, person, provider):
    statuses = [person.get("/api/v1/auth/oidc/callback?code=x&state=y").status_code for _ in range(7)]
    assert statuses[:5] == [401] * 5 and 429 in statuses[5:]
    with httpx.Client(base_url=service.url, headers={"Origin": service.url}) as other:
        assert other.get(back(other)).status_code == 303


def test_a_provider_of_another_name_or_with_addresses_elsewhere_is_not_asked(tmp_path, provider):
    """A discovery document that points at plain HTTP on this network (server-side request forgery)."""
    trap = "http://169.254.169.254/latest/meta-data"
    service = start(tmp_path, provider.issuer)
    try:
        for fault in (
            {"issuer": "https://evil.example"},
            {"authorization_endpoint": trap},
            {"authorization_endpoint": None},
        ):
            provider.metadata = fault
            answer = httpx.get(f"{service.url}{LOGIN}")
            assert answer.status_code == 503 and "cannot be reached" in answer.text, fault
            service.stop()
            service.start()
        for fault in ({"token_endpoint": trap}, {"jwks_uri": trap}):
            provider.metadata = fault
            with httpx.Client(base_url=service.url) as person:
                answer = person.get(back(person))
                assert answer.status_code == 503 and name_of(person) is None, fault
            service.stop()
            service.start()
    finally:
        service.stop()


def test_a_browser_goes_there_and_back_and_comes_to_the_page_it_asked_for(service, chromium):
    context = chromium.new_context()
    page = context.new_page()
    complaints = []
    page.on("console", lambda it: complaints.append(it.text) if it.type == "error" else None)
    page.goto(f"{service.url}/playbooks")
    expect(page.locator("#provider")).to_have_attribute("href", re.compile("next=%2Fplaybooks$"))
    seen(page, "12-login-provider")
    page.get_by_role("link", name="Log in with Harbour ID").click()
    expect(page.locator("h1")).to_have_text("Playbooks")
    expect(page.locator(".who")).to_contain_text("ada")
    assert [it for it in complaints if "status of 401" not in it] == []
    context.close()


def test_check_asks_the_provider_and_tells_what_is_wrong(service, provider):
    command = [sys.executable, "-m", "seawall", "check", "--json", "--config", str(service.config)]
    for metadata, ok in (({}, True), ({"issuer": "https://evil.example"}, False)):
        provider.metadata = metadata
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        found = next(it for it in json.loads(done.stdout)["checks"] if it["name"] == "server.oidc")
        assert found["ok"] is ok and done.returncode == (0 if ok else 1), found


def test_there_is_no_provider_until_one_is_configured(up):
    service = up({})
    assert httpx.get(f"{service.url}{LOGIN}").status_code == 404
    assert "oidc" not in httpx.get(f"{service.url}/login").text


def test_another_implementation_lets_people_in(tmp_path):
    """oidc-provider-mock (authlib's grants), by its form, as a browser sends it."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce"]
    claims = '{"sub": "eva-1", "preferred_username": "eva", "groups": ["on-call"]}'
    with (tmp_path / "mock.log").open("wb") as out:
        process = subprocess.Popen([*command, "--user-claims", claims], stdout=out, stderr=out)
    issuer = f"http://localhost:{port}"
    try:
        until(lambda: answers(f"{issuer}/jwks"), 30, "the provider")
        service = start(tmp_path, issuer)
        try:
            with httpx.Client(base_url=service.url) as person:
                form = to_the_provider(person)
                assert 'name="sub"' in httpx.get(form).text
                came = httpx.post(form, data={"sub": "eva-1"})
                assert came.status_code == 302, came.text
                assert person.get(came.headers["location"]).status_code == 303
                assert person.get("/api/v1/auth/me").json()["role"] == "approver"
                again = person.get(came.headers["location"])
                assert again.status_code == 401
                denied = httpx.post(to_the_provider(person), data={"action": "deny"})
                assert re.search("error=access_denied", denied.headers["location"])
        finally:
            service.stop()
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
