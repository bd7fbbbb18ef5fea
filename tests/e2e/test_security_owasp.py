"""The OWASP API Security Top 10 (2023): each attack tried against a running Seawall."""

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pyotp
import pytest

from seawall.api.gate import LARGEST
from tests.e2e.test_up import TOKEN, alert, deliver
from tests.serving import Up

pytestmark = pytest.mark.e2e
OWN = "a long passphrase of mine"
PLANTED = "planted-Secret-7f3a"
OPENED: list[httpx.Client] = []


@pytest.fixture(autouse=True)
def closing():
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="module")
def seawall(tmp_path_factory):
    """A running Seawall with two registries (nobody at home), one webhook, and planted secrets."""
    folder = tmp_path_factory.mktemp("owasp")
    for name, text in (("hook", TOKEN), ("password", PLANTED)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    login = {"username": "robot", "password_file": str(folder / "password")}
    config = {
        "registries": [
            {"name": "main", "url": "http://127.0.0.1:9", **login},
            {"name": "other", "url": "http://127.0.0.1:9"},
        ],
        "webhooks": {"alertmanager": {"token_file": str(folder / "hook")}},
    }
    service = Up(folder, config)
    try:
        yield service.start()
    finally:
        service.stop()


def token(seawall, name, role, **registries):
    with seawall.api() as api:
        made = api.post("/api/v1/tokens", json={"name": name, "role": role, "registries": registries})
    assert made.status_code == 201, made.text
    return made.json()["token"]


def browser(seawall, address="127.0.0.1"):
    """A client at an address of its own, so that one attacker's waits are not another's."""
    transport = httpx.HTTPTransport(local_address=address)
    headers = {"Origin": seawall.url}
    OPENED.append(httpx.Client(base_url=seawall.url, headers=headers, timeout=30, transport=transport))
    return OPENED[-1]


def set_up(seawall, name, role="viewer"):
    """A local account, set up as its owner does it: (client, TOTP secret, recovery codes)."""
    with seawall.api() as api:
        once = api.post("/api/v1/users", json={"name": name, "role": role}).json()["password"]
    own = browser(seawall)
    assert own.post("/api/v1/auth/login", json={"name": name, "password": once}).json()["stage"] == "setup"
    assert own.get("/api/v1/slos").status_code == 401
    assert own.post("/api/v1/auth/password", json={"old": once, "new": OWN}).status_code == 200
    secret = own.post("/api/v1/auth/totp").json()["secret"]
    codes = own.post("/api/v1/auth/totp/confirm", json={"code": pyotp.TOTP(secret).now()}).json()
    assert own.get("/api/v1/slos").status_code == 200
    return own, secret, codes["recovery_codes"]


def test_api1_broken_object_level_authorization(seawall):
    """An object of another registry, by its id."""
    assert deliver(seawall, alert("a1")).status_code == 202
    with seawall.api() as api:
        id = api.get("/api/v1/incidents").json()["items"][0]["id"]
    theirs, ours = (
        token(seawall, "theirs", "none", other="approver"),
        token(seawall, "ours", "none", main="operator"),
    )
    with seawall.api(theirs) as api:
        for path in (f"/api/v1/incidents/{id}", f"/api/v1/incidents/{id}/timeline", f"/incidents/{id}"):
            assert api.get(path).status_code == 403, path
        assert api.post(f"/api/v1/incidents/{id}/acknowledge").status_code == 403
        # Naming one's own registry beside another's object, or twice, helps nobody.
        assert api.get(f"/api/v1/incidents/{id}?registry=other").status_code == 403
        assert api.get("/api/v1/slos?registry=other&registry=main").status_code == 403
        assert {it["registry"] for it in api.get("/api/v1/slos?registry=other").json()["items"]} == {"other"}
        assert api.get("/api/v1/slos").status_code == 403
    with seawall.api(ours) as api:
        assert api.post(f"/api/v1/incidents/{id}/acknowledge").json()["acknowledged_by"] == "ours"


def test_api2_broken_authentication(seawall):
    """Guessing, replay of a code, fixation, theft of a cookie, logging in from another site."""
    own, _, codes = set_up(seawall, "ada")
    stolen = own.cookies["seawall_session"]
    thief = browser(seawall, "127.0.0.66")
    answers = [
        thief.post("/api/v1/auth/login", json={"name": "ada", "password": f"guess {n}", "code": "1"})
        for n in range(7)
    ]
    assert [it.status_code for it in answers[:5]] == [401] * 5
    slowed = next(it for it in answers if it.status_code == 429)
    assert int(slowed.headers["retry-after"]) >= 1
    assert "wrong" in answers[0].json()["detail"] and not thief.cookies
    time.sleep(int(answers[-1].headers.get("retry-after", "1")) + 1)
    right = {"name": "ada", "password": OWN, "code": codes[0]}
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert thief.post("/api/v1/auth/login", json=right, headers=foreign).status_code == 403
    fixed = browser(seawall)
    fixed.cookies.set("seawall_session", "chosen-by-the-attacker")
    came = fixed.post("/api/v1/auth/login", json=right)
    assert came.status_code == 200 and "chosen-by" not in came.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(came.headers["set-cookie"].split("; "))
    again = browser(seawall).post("/api/v1/auth/login", json=right)
    assert again.status_code == 401, "a recovery code counts once"
    assert own.post("/api/v1/auth/logout").status_code == 200
    with_stolen = httpx.get(f"{seawall.url}/api/v1/slos", cookies={"seawall_session": stolen})
    assert with_stolen.status_code == 401


def test_api3_broken_object_property_level_authorization(seawall):
    """Properties that a client must not set, and those it must not see."""
    with seawall.api() as api:
        api.post(
            "/api/v1/users",
            json={"name": "bob", "role": "viewer", "version": 9, "totp": "x", "must_change": False},
        )
        shown = next(it for it in api.get("/api/v1/users").json()["items"] if it["name"] == "bob")
        everything = api.get("/api/v1/users").text + api.get("/api/v1/tokens").text
    assert shown["must_change"] is True and shown["second_factor"] is False
    for hidden in ("argon2", '"hash"', '"totp"', '"recovery":', "sw_"):
        assert hidden not in everything
    me = browser(seawall)
    me.headers["Authorization"] = f"Bearer {token(seawall, 'eve', 'viewer')}"
    assert me.post("/api/v1/users/eve/role", json={"role": "admin"}).status_code == 403
    assert me.get("/api/v1/auth/me").json()["role"] == "viewer"


def test_api4_unrestricted_resource_consumption(seawall):
    """Large bodies, announced or not, long lists, costly passwords, a flood."""
    with seawall.api() as api:
        big = b"x" * (LARGEST + 1)
        assert api.post("/api/v1/users", content=big).status_code == 413
        assert (
            api.post(
                "/api/v1/users", content=(big[i : i + 65536] for i in range(0, len(big), 65536))
            ).status_code
            == 413
        )
        assert api.get("/api/v1/incidents?limit=100000").status_code == 422
    stranger = browser(seawall)
    assert stranger.post("/api/v1/auth/login", content=big).status_code == 413
    long = {"name": "x", "password": "y" * 100_000}
    assert stranger.post("/api/v1/auth/login", json=long).status_code == 422
    flood = browser(seawall, "127.0.0.77")
    with ThreadPoolExecutor(8) as pool:
        guess = {"name": "flood", "password": "guess"}
        answers = pool.map(lambda _: flood.post("/api/v1/auth/login", json=guess).status_code, range(40))
        codes = list(answers)
    assert set(codes) <= {401, 429} and codes.count(429) > 20, codes
    assert httpx.get(f"{seawall.url}/healthz").status_code == 200


def test_api5_broken_function_level_authorization(seawall):
    """An admin's functions, by a viewer and by disguised paths. All routes: test_every_route."""
    with seawall.api(token(seawall, "small", "viewer")) as api:
        for verb, path in (
            ("POST", "/api/v1/tokens"),
            ("GET", "/api/v1/users"),
            ("GET", "/api/v1/audit"),
            ("POST", "/api/v1/freeze"),
            ("POST", "/users"),
            ("GET", "/audit"),
        ):
            assert api.request(verb, path, json={"name": "x", "role": "admin"}).status_code == 403, path
        for path in (
            "/api/v1/AUDIT",
            "/api/v1//audit",
            "/api/v1/audit/",
            "/api/v1/auth/../audit",
            "/static/../api/v1/audit",
        ):
            assert api.get(path).status_code in (403, 404), path
    for path in (
        "/api/v1/auth/%2e%2e/audit",
        "/static/../api/v1/audit",
        "/login/../api/v1/audit",
        "//api/v1/audit",
    ):
        assert raw(seawall, "GET", path) in (401, 404), path


def raw(seawall, verb, path, headers=None, host=None):
    """The status of a request whose path no client has tidied."""
    line = http.client.HTTPConnection("127.0.0.1", seawall.port, timeout=10)
    line.putrequest(verb, path, skip_host=True)
    for name, value in {"Host": host or f"127.0.0.1:{seawall.port}", **(headers or {})}.items():
        line.putheader(name, value)
    line.endheaders()
    status = line.getresponse().status
    line.close()
    return status


def test_api6_unrestricted_access_to_sensitive_business_flows(seawall):
    """Repairs set off in masses: five deliveries of one alert make one incident; freezing stops all."""
    ids = {json.dumps(deliver(seawall, alert("same", registry="other")).json()) for _ in range(5)}
    assert len(ids) == 1
    with seawall.api() as api:
        assert api.post("/api/v1/freeze", json={"reason": "test"}).status_code == 200
        assert api.get("/api/v1/freeze").json()["frozen"] is True
        assert api.post("/api/v1/unfreeze", json={"reason": "test"}).status_code == 200


def test_api7_server_side_request_forgery(seawall):
    """No request makes Seawall fetch a URL of the caller: a listener that every field names hears nothing."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(3)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/latest/meta-data"
        bad = alert("ssrf")
        bad["externalURL"] = url
        for it in bad["alerts"]:
            it["generatorURL"] = url
            it["annotations"] = {"runbook_url": url, "summary": url}
        assert deliver(seawall, bad).status_code in (202, 400)
        with seawall.api() as api:
            api.post("/api/v1/freeze", json={"reason": url})
            api.post("/api/v1/unfreeze", json={"reason": url})
            api.get("/api/v1/slos", params={"registry": url})
            api.get("/api/v1/slos", headers={"X-Forwarded-Host": url, "Referer": url})
        with pytest.raises(TimeoutError):
            trap.accept()


def test_api8_security_misconfiguration(seawall):
    """Headers, host names, methods, cross-site changes, faults that tell."""
    page = httpx.get(f"{seawall.url}/login")
    policy = page.headers["content-security-policy"]
    assert (
        "default-src 'none'" in policy
        and "unsafe-inline" not in policy
        and "frame-ancestors 'none'" in policy
    )
    assert page.headers["x-content-type-options"] == "nosniff" and "server" not in page.headers
    assert (
        "access-control-allow-origin"
        not in httpx.get(page.url, headers={"Origin": "https://evil.example"}).headers
    )
    for host in ("evil.example", "127.0.0.1.evil.example", f"evil.example:{seawall.port}"):
        assert raw(seawall, "GET", "/login", host=host) == 421
        assert (
            raw(seawall, "GET", "/api/v1/slos", {"Authorization": f"Bearer {seawall.token()}"}, host) == 421
        )
    for verb in ("TRACE", "PROPFIND", "CONNECT"):
        assert raw(seawall, verb, "/login") in (400, 401, 404, 405), verb
    person = browser(seawall)
    person.post("/login", data={"token": token(seawall, "csrf", "operator")})
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        assert person.post("/freeze", data={"reason": "x"}, headers=headers).status_code == 403
    with seawall.api() as api:
        assert api.get("/api/v1/audit").headers["cache-control"] == "no-store"
        fault = api.get("/api/v1/incidents?cursor=%27;DROP TABLE users")
    assert fault.status_code == 400 and "Traceback" not in fault.text and "sqlite" not in fault.text.lower()


def test_api9_improper_inventory_management(seawall):
    """No forgotten door: documentation pages, old versions, debug paths, metrics of other tools."""
    with seawall.api() as api:
        for path in (
            "/docs",
            "/redoc",
            "/openapi.json",
            "/api/v0/slos",
            "/api/v2/slos",
            "/debug/pprof",
            "/.env",
            "/.git/config",
            "/actuator",
            "/server-status",
            "/api/v1/internal",
        ):
            assert api.get(path).status_code == 404, path
        told = api.get("/api/openapi.json").json()["paths"]
    assert all(path.startswith(("/api/v1/", "/healthz", "/readyz", "/metrics")) for path in told)


def test_api10_unsafe_consumption_of_apis(seawall):
    """What other systems send is data: markup, SQL, templates and broken JSON in a webhook."""
    nasty = "<script>alert(1)</script>{{ 7*7 }}'; DROP TABLE incidents; --"
    bad = alert("nasty")
    for it in bad["alerts"]:
        it["annotations"] = {"summary": nasty, "description": nasty}
        it["labels"] |= {"alertname": nasty}
    status = deliver(seawall, bad).status_code
    assert status in (202, 400)
    person = browser(seawall)
    person.post("/login", data={"token": token(seawall, "looker", "viewer")})
    text = person.get("/incidents").text
    with seawall.api() as api:
        ids = [it["id"] for it in api.get("/api/v1/incidents").json()["items"]]
    text += "".join(person.get(f"/incidents/{id}").text for id in ids)
    assert "<script>alert" not in text
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for body in (b"{", b"[" * 100_000, b'{"alerts": 1}', "ä".encode("latin-1")):
        answer = httpx.post(f"{seawall.url}/api/v1/webhooks/alertmanager", content=body, headers=headers)
        assert answer.status_code == 400, (body[:10], answer.status_code)
    assert httpx.get(f"{seawall.url}/readyz").status_code in (200, 503)


def test_no_secret_is_in_logs_files_database_or_answers(seawall):
    """Planted and made secrets, looked for in everything that Seawall has written and says."""
    own, secret, codes = set_up(seawall, "carol", "admin")
    bearer = token(seawall, "grepped", "viewer")
    cookie = own.cookies["seawall_session"]
    mine = [PLANTED, TOKEN, OWN, secret, codes[3], bearer, cookie, seawall.token()]
    with seawall.api() as api:
        said = "".join(
            api.get(path).text
            for path in (
                "/metrics",
                "/api/v1/audit?limit=200",
                "/api/v1/users",
                "/api/v1/tokens",
                "/api/v1/events",
                "/api/v1/incidents",
                "/api/openapi.json",
            )
        )
    said += seawall.log.read_text() + own.get("/users").text + own.get("/tokens").text
    found = {secret[:6] for secret in mine if secret in said}
    for path in seawall.state.rglob("*"):
        if path.is_file() and path.name not in ("admin-token", "admin-password"):
            data = path.read_bytes()
            found |= {f"{one[:6]} in {path.name}" for one in mine if one.encode() in data}
    assert found == set()


def test_the_audit_log_is_verified_offline_and_a_lost_end_is_seen(seawall):
    live = seawall.get("/audit/verify")
    assert live["ok"] and len(live["head"]) == 64
    metrics = httpx.get(f"{seawall.url}/metrics").text
    assert 'seawall_audit_head_info{hash="' in metrics
    done = seawall.cli("audit", "verify", "--head", live["head"])
    assert done.returncode == 0 and "entries hold" in done.stdout, done.stderr
    lost = seawall.cli("audit", "verify", "--head", "f" * 64, "--json")
    assert lost.returncode == 1 and "cut off" in json.loads(lost.stdout)["fault"]


def test_the_verbs_of_users_and_tokens(seawall):
    made = seawall.cli("user", "add", "dora", "--role", "viewer", "--registry", "main=approver")
    assert made.returncode == 0 and "one-time password of dora: " in made.stdout, made.stderr
    once = made.stdout.split(": ")[1].strip()
    assert (
        browser(seawall).post("/api/v1/auth/login", json={"name": "dora", "password": once}).status_code
        == 200
    )
    assert seawall.cli("user", "disable", "dora").returncode == 0
    assert (
        browser(seawall).post("/api/v1/auth/login", json={"name": "dora", "password": once}).status_code
        == 401
    )
    assert "dora" in seawall.cli("user", "list").stdout
    assert seawall.cli("user", "reset", "nobody").returncode == 1
    secret = seawall.cli("token", "add", "cron", "--role", "operator", "--for", "30d").stdout.strip()
    assert (
        httpx.get(f"{seawall.url}/api/v1/slos", headers={"Authorization": f"Bearer {secret}"}).status_code
        == 200
    )
    assert {"cron"} <= {it["name"] for it in seawall.cli_json("token", "list")["items"]}
    assert seawall.cli("token", "revoke", "cron").returncode == 0
    assert (
        httpx.get(f"{seawall.url}/api/v1/slos", headers={"Authorization": f"Bearer {secret}"}).status_code
        == 401
    )
    assert seawall.cli("token", "add", "x", "--registry", "main").returncode == 2
