"""The set-up guides: what they say to write is what works. Distribution's is run, whole."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from collectors.harbor_api import FACTS
from collectors.harbor_webhooks import _SAYS as HARBORS_EVENTS
from seawall.config import load
from tests.registries import INDEX, push
from tests.serving import Up, free_port, until

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
NAMES = sorted(path.stem for path in GUIDES.glob("*.md"))
NEEDED = ("docker-registry", "nginx")
MISSING = [program for program in NEEDED if not shutil.which(program)]
SEAWALL, CI = ("seawall", "let-me-read"), ("ci", "let-me-push")
# bcrypt of the two passwords, with the least cost
HTPASSWD = """seawall:$2b$04$osMHVbAQ0AfHOBLYohLi0eKGtQrRWoFFCEuILrJHGL9S7fKu75xqG
ci:$2b$04$DYfxJvAvEosXTsx5z5nABOGoMXeT40QUWAihtPBdHz7x2vUPNzZ2C
"""
TOKEN = "told-by-the-registry"
NGINX = """daemon off; user root; pid {0}/nginx.pid; error_log {0}/nginx.log; events {{}}
http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
{1}}}
"""


def block(guide: str, first: str) -> str:
    """The code block of a guide whose first line begins with `first`."""
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    found = [it for it in re.findall(r"^```\w+\n(.*?)^```$", text, re.M | re.S) if it.startswith(first)]
    assert len(found) == 1, f"{guide}: {len(found)} blocks begin with {first}"
    return found[0]


def documents(guide: str) -> list[dict]:
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    return [json.loads(it) for it in re.findall(r"^```json\n(.*?)^```$", text, re.M | re.S)]


@pytest.mark.parametrize("guide", NAMES)
def test_seawalls_part_is_read_by_its_loader(guide, tmp_path):
    (tmp_path / "seawall.yaml").write_text(block(guide, "# seawall.yaml"))
    config = load(tmp_path / "seawall.yaml")
    assert config.registries[0].kind == guide and config.registries[0].username and config.storage


def test_harbors_robot_has_the_rights_that_are_asked_for_and_no_other():
    robot, _hook = documents("harbor")
    system, projects = robot["permissions"]
    granted = {f"{it['resource']} {it['action']}" for it in system["access"]}
    asked = {fact.right for fact in FACTS if fact.right}
    # Beyond the facts: the progress of a collection, the audit log, and the walk over scans.
    assert granted == asked | {"garbage-collection read", "audit-log list", "project list"}
    assert {it["action"] for it in (*system["access"], *projects["access"])} == {"list", "read", "pull"}


def test_harbors_webhook_sends_what_seawall_understands():
    _robot, hook = documents("harbor")
    assert set(hook["event_types"]) == set(HARBORS_EVENTS)
    assert hook["targets"][0]["payload_format"] == "CloudEvents"


def test_nexus_role_has_the_privilege_and_only_reads():
    privilege, role = documents("nexus")
    assert privilege["actions"] == ["READ"] and privilege["name"] in role["privileges"]
    others = [it for it in role["privileges"] if it != privilege["name"]]
    assert all(it.endswith(("-read", "-browse")) for it in others) and role["roles"] == []


class Stand:
    """Distribution's guide, followed on this machine: other ports and folders, nothing else changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        (folder / "blobs").mkdir()
        self.seawall = Up(folder, {})
        ports = {old: free_port() for old in ("127.0.0.1:5000", "127.0.0.1:5001", "127.0.0.1:8443")}
        self.changed = {old: f"127.0.0.1:{new}" for old, new in ports.items()} | {
            "127.0.0.1:8700": f"127.0.0.1:{self.seawall.port}",
            "/etc/docker/registry/htpasswd": f"{folder}/htpasswd",
            "/var/lib/registry": f"{folder}/blobs",
            "/var/log/registry/registry.log": f"{folder}/registry.log",
            "/etc/seawall/": f"{folder}/",
            "THE-TEXT-OF-distribution-token": TOKEN,
        }
        self.url = f"http://{self.changed['127.0.0.1:8443']}"
        for name, text in (
            ("htpasswd", HTPASSWD),
            ("registry-password", SEAWALL[1]),
            ("distribution-token", TOKEN),
        ):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text)

    def text(self, first: str) -> str:
        """A block of the guide, moved to this machine."""
        text = block("distribution", first)
        for old, new in self.changed.items():
            text = text.replace(old, new)
        return text

    def start(self) -> None:
        (self.folder / "config.yml").write_text(self.text("# config.yml of the registry"))
        (self.folder / "nginx.conf").write_text(NGINX.format(self.folder, self.text("# nginx.conf")))
        self._run("registry", "docker-registry", "serve", self.folder / "config.yml")
        nginx = ("nginx", "-c", self.folder / "nginx.conf", "-e", self.folder / "nginx.log")
        self._run("nginx", *nginx)
        until(lambda: self.ask("GET", "/v2/", SEAWALL) == 200, 20, self.logs)
        push(self.url, "team/small", "1", auth=CI)
        self.seawall.config.write_text(self.text("# seawall.yaml"))
        self.seawall.start()

    def _run(self, name: str, *command: str | Path) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def logs(self) -> str:
        return "".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))

    def ask(self, method: str, path: str, account: tuple[str, str] | None) -> int:
        """Status, 0 while nobody listens."""
        try:
            accept, url = {"accept": INDEX}, self.url + path
            return httpx.request(method, url, auth=account, headers=accept, trust_env=False).status_code
        except httpx.ConnectError:
            return 0

    def stop(self) -> None:
        self.seawall.stop()
        for process in self.processes:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def stand(tmp_path_factory) -> Iterator[Stand]:
    running = Stand(tmp_path_factory.mktemp("guide"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


real = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(NEEDED)}"),
]


class TestDistribution:
    """With a real registry, a real proxy and a real Seawall."""

    pytestmark = real

    def test_seawalls_account_may_only_read(self, stand):
        assert stand.ask("GET", "/v2/team/small/manifests/1", SEAWALL) == 200
        assert stand.ask("HEAD", "/v2/team/small/manifests/1", SEAWALL) == 200
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/2"), ("DELETE", "manifests/1")):
            assert stand.ask(method, f"/v2/team/small/{path}", SEAWALL) == 403
        assert stand.ask("POST", "/v2/team/small/blobs/uploads/", CI) == 202
        assert stand.ask("GET", "/v2/team/small/manifests/1", ("seawall", "wrong")) == 401
        assert stand.ask("GET", "/v2/team/small/manifests/1", None) == 401

    def test_check_finds_nothing_wrong(self, stand):
        told = [sys.executable, "-m", "seawall", "check", "--config", stand.seawall.config, "--json"]
        done = subprocess.run(told, capture_output=True, text=True, timeout=60, env=dict(os.environ))
        found = json.loads(done.stdout)
        assert done.returncode == 0 and found["ok"], [it for it in found["checks"] if not it["ok"]]

    def test_all_that_the_guide_promises_arrives(self, stand):
        def missing() -> set[str]:
            """Of probe, log, metrics, notifications and disk, what is not there yet."""
            told = httpx.get(f"{stand.seawall.url}/metrics", trust_env=False).text
            wanted = {
                "probe": re.search(r'^seawall_probe_success\{.*registry="main".*\} 1\.0$', told, re.M),
                "metrics": re.search(r'^seawall_requests_total\{.*handler="manifest".*\}', told, re.M),
            }
            for dataset in ("distribution.notification", "distribution.app"):
                query = f"/events?dataset={dataset}&repository=team/small&limit=1"
                wanted[dataset] = stand.seawall.get(query)["items"]
            rows = {row["name"]: row["status"] for row in stand.seawall.get("/slos")["items"]}
            wanted["storage"] = rows.get("storage_capacity") == "ok"
            return {name for name, found in wanted.items() if not found}

        until(lambda: not missing(), 90, lambda: f"{missing()} of what the guide promises")


def test_the_guides_configurations_are_yaml():
    assert yaml.safe_load(block("distribution", "# config.yml"))["http"]["debug"]["prometheus"]["enabled"]
    assert yaml.safe_load(block("harbor", "# harbor.yml"))["metric"]["enabled"]
