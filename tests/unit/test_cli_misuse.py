"""Wrong options, settings and values are told in one line and end with exit code 2."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from seawall import backfill
from seawall.cli import main
from seawall.statefolder import StateFolder

ROW = {"registry": "main", "status": "ok", "indicator_ok": True}


class Service(BaseHTTPRequestHandler):
    """A Seawall with one registry; it knows one token."""

    posted: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query).get("registry")
        items = [ROW] if asked in (None, ["main"]) else []
        self._answer(200, {"items": items, "next": None, "rows": [], "audit": {"verified": True}})

    def do_POST(self):
        self.posted.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        said = "reason: a rejection needs a reason; say why"
        code = 422 if self.path.endswith("reject") else 409
        self._answer(code, {"detail": said if code == 422 else "somebody was first"})

    def _answer(self, code, body):
        known = self.headers["Authorization"] == "Bearer good"
        text = json.dumps(body if known else {"detail": "log in, or send a bearer token"}).encode()
        self.send_response(code if known else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def url(monkeypatch):
    monkeypatch.setenv("SEAWALL_TOKEN", "good")
    Service.posted.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def seawall(monkeypatch, capsys, tmp_path):
    """The command line in this process; (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEAWALL_CONFIG", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["seawall", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["people", "json"])
@pytest.mark.parametrize(
    "verb",
    [
        ("slo",),
        ("slo", "--at", "2026-10-05T00:00:00Z"),
        ("report", "slo", "--month", "2026-10"),
        ("report", "compliance", "--month", "2026-10"),
        ("user", "add", "ada"),
        ("user", "role", "ada", "--role", "viewer"),
        ("token", "add", "cron"),
    ],
    ids=" ".join,
)
def test_a_registry_that_is_not_watched_is_misuse(seawall, url, verb, flags):
    given = "typo=viewer" if verb[0] in ("user", "token") else "typo"
    code, out, err = seawall(*verb, "--registry", given, "--url", url, *flags)
    assert (code, out) == (2, "") and not Service.posted
    assert err == "seawall: --registry: there is no registry typo; known: main\n"


def test_the_same_without_a_running_seawall(seawall, tmp_path):
    rows = tmp_path / "probe.csv"
    rows.write_text("timestamp,registry,success\n2026-10-05T00:00:00Z,main,1\n")
    backfill.run("probe", rows, tmp_path / "state")
    place = ("--state", tmp_path / "state", "--registry")
    at = ("--at", "2026-10-05T01:00:00Z")
    told = (2, "", "seawall: --registry: there is no registry typo; known: main\n")
    assert seawall("slo", *at, *place, "typo") == told
    assert seawall("report", "slo", "--month", "2026-10", *place, "typo") == told
    assert seawall("slo", *at, *place, "main", "--json")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slo", "--at", "yesterday"), "--at: 'yesterday' is no RFC 3339 time; write it like"),
        (("slo", "--at", "2999-01-01T00:00:00Z"), "--at: 2999-01-01T00:00:00Z lies in the future;"),
        (("slo", "--state", "nowhere"), "--state: there is no folder nowhere; name the folder"),
        (("incidents", "--state", "nowhere"), "--state: there is no folder nowhere; name the folder"),
        (("incidents", "resolve", "SW-1"), "--reason: it is missing; say why"),
        (("incidents", "resolve", "SW-1", "--reason", " "), "--reason: it is missing; say why"),
        (("demo", "--yes", "--auto"), "--auto: stands beside --yes; give one of the two"),
    ],
)
def test_misuse_ends_with_2(seawall, arguments, words):
    code, out, err = seawall(*arguments)
    assert (code, out) == (2, "") and err.startswith(f"seawall: {words}"), err


def test_a_missing_seawall_is_trouble_and_no_misuse(seawall):
    code, _, err = seawall("slo")
    assert code == 1 and "no Seawall is running there" in err


def test_what_the_service_refuses_as_wrong_is_misuse_the_rest_is_trouble(seawall, url):
    code, _, err = seawall("reject", "A-1", "--url", url)
    assert (code, err) == (2, "seawall: reason: a rejection needs a reason; say why\n")
    code, _, err = seawall("approve", "A-1", "--url", url)
    assert (code, err) == (1, "seawall: refused: somebody was first\n")


def test_a_token_that_is_refused_is_told_with_its_origin(seawall, url, monkeypatch):
    monkeypatch.setenv("SEAWALL_TOKEN", "bad")
    code, _, err = seawall("slo", "--url", url)
    assert code == 2 and err.startswith(f"seawall: $SEAWALL_TOKEN: {url} refused this token; "), err


def test_a_backup_beside_a_running_seawall_has_one_remedy(seawall, tmp_path):
    with StateFolder(tmp_path / "state").owned():
        code, _, err = seawall("backup", tmp_path / "to", "--state", tmp_path / "state")
    assert code == 2 and "a Seawall works in it; stop it" in err and "--state" not in err


@pytest.mark.parametrize("secret", ["hook", "state/admin-token"])
def test_a_start_that_fails_says_one_line(tmp_path, secret):
    (tmp_path / "state").mkdir(mode=0o700)
    for name in ("hook", "state/admin-token"):
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o644 if name == secret else 0o600)
    config = tmp_path / "seawall.yaml"
    config.write_text("webhooks: {harbor: {token_file: hook}}\n")
    command = [sys.executable, "-m", "seawall", "up", "--config", config, "--port", "0"]
    env = {**os.environ, "SEAWALL_CONFIG": ""}
    done = subprocess.run(
        [*map(str, command), "--state", str(tmp_path / "state")],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "nanobind" not in done.stderr
    told = done.stderr.splitlines()
    assert len(told) == 2 and "open to other users" in told[1], done.stderr
