"""`seawall up` with a certificate of its own: HTTPS, secure cookies, HSTS, the socket, a new certificate."""

import shutil
import socket
import ssl
import subprocess
import sys

import httpx
import pytest

from tests.certificates import Authority
from tests.serving import Up, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


class SecureUp(Up):
    """Speaks HTTPS; `context` believes the authority of the test."""

    def __init__(self, folder, authority, files, **server):
        cert, key = files
        super().__init__(folder, {"server": {"tls_cert": str(cert), "tls_key": str(key), **server}})
        self.url = self.url.replace("http:", "https:")
        self.authority, self.context = authority, ssl.create_default_context(cafile=authority.ca)

    def _healthy(self):
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, verify=self.context).is_success
        except httpx.HTTPError:
            return False

    def serial(self):
        """Of the certificate that a new connection gets."""
        place = ("127.0.0.1", self.port)
        with (
            socket.create_connection(place, 5) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
        ):
            return line.getpeercert()["serialNumber"], line.version()


@pytest.fixture
def service(tmp_path, authority):
    found = SecureUp(tmp_path, authority, authority.issue("seawall"))
    yield found.start()
    found.stop()


def test_it_speaks_https_with_secure_cookies_and_hsts_and_no_plain_http(service):
    with httpx.Client(base_url=service.url, verify=service.context) as person:
        page = person.get("/login")
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        person.headers["Origin"] = service.url
        came = person.post("/login", data={"token": service.token()})
        assert came.status_code == 303
        assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(came.headers["set-cookie"].split("; "))
        assert person.get("/api/v1/auth/me").json()["via"] == "session"
        assert person.post("/freeze", data={"reason": "x"}).status_code == 303, "a change by the own pages"
        foreign = person.post("/unfreeze", headers={"Origin": service.url.replace("https", "http")[:-1]})
        assert foreign.status_code == 403
        out = person.post("/logout")
        assert "Secure" in out.headers["set-cookie"]
    with pytest.raises(httpx.HTTPError):
        httpx.get(service.url.replace("https:", "http:") + "/healthz", timeout=5)


def test_a_client_that_does_not_know_the_authority_or_speaks_old_tls_is_not_served(service):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{service.url}/healthz")
    assert service.serial()[1] == "TLSv1.3"
    service.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert service.serial()[1] == "TLSv1.2"
    openssl = shutil.which("openssl")
    assert openssl, "Debian's openssl"
    for version, spoken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True)):
        place = f"127.0.0.1:{service.port}"
        command = [openssl, "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect", place]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
        assert (b"BEGIN CERTIFICATE" in done.stdout) is spoken, (version, done.stdout)


def test_the_verbs_reach_it_by_the_socket_and_by_url_with_its_authority(service):
    by_socket = service.cli("token", "list")
    assert by_socket.returncode == 0 and "admin" in by_socket.stdout, by_socket.stderr
    env = {"SEAWALL_TOKEN": service.token()}
    assert service.cli("token", "list", "--url", service.url, env=env).returncode == 1
    env["SEAWALL_CA"] = str(service.authority.ca)
    by_url = service.cli("token", "list", "--url", service.url, env=env)
    assert by_url.returncode == 0 and "admin" in by_url.stdout, by_url.stderr
    env["SEAWALL_CA"] = "/nowhere.pem"
    missing = service.cli("token", "list", "--url", service.url, env=env)
    assert missing.returncode == 2 and "$SEAWALL_CA" in missing.stderr


def test_a_new_certificate_is_served_without_a_restart_and_a_broken_one_is_not(service):
    before, process = service.serial()[0], service.process.pid
    key = service.folder / "ca" / "seawall.key"
    whole = key.read_bytes()
    key.write_bytes(b"half a key")
    until(lambda: "the old certificate goes on" in service.log.read_text(), 30, "a word in the log")
    assert service.serial()[0] == before
    key.write_bytes(whole)
    service.authority.issue("seawall")
    until(lambda: service.serial()[0] != before, 30, "the new certificate")
    assert service.process.pid == process


@pytest.mark.parametrize("fault", ["missing", "not a certificate", "another key"])
def test_a_certificate_that_cannot_be_used_is_told_before_anything_listens(tmp_path, authority, fault):
    cert, key = authority.issue("seawall")
    if fault == "missing":
        cert.unlink()
    elif fault == "not a certificate":
        cert.write_text("hello")
    else:
        key = authority.issue("other")[1]
    config = tmp_path / "seawall.yaml"
    config.write_text(f"server: {{tls_cert: {cert}, tls_key: {key}}}\n")
    for verb, more in (("up", ["--port", "0", "--state", str(tmp_path / "state")]), ("check", [])):
        command = [sys.executable, "-m", "seawall", verb, "--config", str(config), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 2 and "server.tls_cert" in said and "Traceback" not in said, said


def test_check_tells_whom_it_names_and_refuses_one_that_has_ended(tmp_path, authority):
    config = tmp_path / "seawall.yaml"
    for begin, end, status, words in ((-1, 90, 0, "CN=seawall, until"), (-30, -1, 2, "ended at")):
        cert, key = authority.issue("seawall", begin, end)
        config.write_text(f"server: {{tls_cert: {cert}, tls_key: {key}}}\n")
        command = [sys.executable, "-m", "seawall", "check", "--json", "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status and words in done.stdout + done.stderr, done.stdout


def test_check_warns_of_a_loopback_address_while_somebody_is_told(tmp_path):
    config = tmp_path / "seawall.yaml"
    told = "notify: {channels: [{name: chat, kind: webhook, url: 'http://127.0.0.1:9/hook'}]}\n"
    command = [sys.executable, "-m", "seawall", "check", "--json", "--config", str(config)]
    for url, warned in (("http://127.0.0.1:8700", True), ("https://seawall.example.com", False)):
        config.write_text(told + f"server: {{public_url: '{url}'}}\n")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ("is loopback, while notifications are on" in done.stdout) is warned, done.stdout
