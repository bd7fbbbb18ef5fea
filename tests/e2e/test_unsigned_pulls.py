"""Pulls from a real docker-registry that tells them to a running Seawall: verdicts, the row, the incident."""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_following import metric
from tests.pulling import replying
from tests.registries import Registry
from tests.serving import Up, free_port, until
from tests.signing import OCI_INDEX, OCI_MANIFEST, Repository, digest, p256, public_file

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]
TOKEN = "webhook-token-for-tests"
ACCEPT = {"accept": f"{OCI_INDEX}, {OCI_MANIFEST}", "user-agent": "containerd/1.7.24"}

ACTION = """\
name: hold-image
playbook: playbook.yml
title: Hold an image
trigger: {slo: unsigned_pulls}
inputs:
  digest: {type: string, from: incident.digest, pattern: "sha256:[0-9a-f]{64}"}
targets: registry_servers
risk: medium
cooldown: 10m
timeout: 3m
verify: {slo: unsigned_pulls, window: 3m, rounds: 3}
undo: {none: for the test}
"""
PLAYS = "- hosts: registry_servers\n  gather_facts: false\n  tasks: [{debug: {msg: '{{ digest }}'}}]\n"


class Stand:
    """A registry, a Seawall that trusts one key, and what was pulled."""

    def __init__(self, folder: Path, token: Path, grace: str) -> None:
        self.key = p256()
        playbook = folder / "playbooks/hold-image"
        playbook.mkdir(parents=True)
        (playbook / "action.yaml").write_text(ACTION)
        (playbook / "playbook.yml").write_text(PLAYS)
        self.registry = Registry(folder)
        entry = {
            "name": "main",
            "url": self.registry.url,
            "trust": {"keys": [str(public_file(folder, self.key, "release.pub"))]},
        }
        self.up = Up(
            folder,
            {
                "registries": [entry],
                "probe": {"interval": "1s", "timeout": "900ms"},
                "playbooks": str(folder / "playbooks"),
                "pulls": {"grace": grace, "recheck": "1s", "lookups": 50},
                "webhooks": {"distribution": {"token_file": str(token)}},
            },
        )
        endpoint = (
            f"name: seawall, url: '{self.up.url}/api/v1/webhooks/distribution?registry=main',"
            f" headers: {{Authorization: ['Bearer {TOKEN}']}}, timeout: 2s, threshold: 3, backoff: 1s"
        )
        self.registry.extra = f"notifications: {{endpoints: [{{{endpoint}}}]}}\n"

    def repository(self, name: str) -> Repository:
        return Repository(self.registry.url, name)

    def pull(self, repository: Repository, reference: str, method: str = "GET") -> None:
        url = f"{repository.url}/v2/{repository.name}/manifests/{reference}"
        assert httpx.request(method, url, headers=ACCEPT, trust_env=False).status_code == 200

    def verdicts(self, repository: str | None = None) -> list[dict]:
        found = self.up.get("/events?limit=200")["items"]
        return [
            event
            for event in found
            if event.get("event.dataset") == "seawall.pull"
            and repository in (None, event["registry.repository"])
        ]

    def told(self, repository: Repository, count: int = 1) -> list[dict]:
        """The verdicts on a repository's pulls, once there are so many."""
        return until(
            lambda: len(found := self.verdicts(repository.name)) >= count and found,
            40,
            f"a verdict on {repository.name}; {self.up.log.read_text()[-1500:]}",
        )

    def row(self) -> dict:
        rows = self.up.get("/slos")["items"]
        return next(row for row in rows if row["name"] == "unsigned_pulls")

    def stop(self) -> None:
        self.up.stop()
        self.registry.stop()


@pytest.fixture
def stand(tmp_path, secret_file) -> Iterator[Stand]:
    made = Stand(tmp_path, secret_file("token", TOKEN), "3s")
    made.up.start()
    made.registry.start()
    yield made
    made.stop()


def signatures(verdicts: list[dict]) -> list[str]:
    return [event["seawall.signature"] for event in verdicts]


def test_every_pull_gets_its_verdict_and_the_row_and_the_incident_tell_of_the_unsigned_one(stand):
    signed, several, bare = (stand.repository(f"team/{it}") for it in ("signed", "several", "bare"))
    signed.signed(signed.image(), stand.key)
    children = [several.image(None, content) for content in (b"a", b"b")]
    several.signed(several.index(children), stand.key)
    unsigned = bare.image()
    time.sleep(3)  # the pushes' grace

    stand.pull(signed, "1.0", "HEAD")
    stand.pull(signed, "1.0")
    stand.pull(signed, "1.0")
    stand.pull(several, "1.0")
    stand.pull(several, digest(children[0]))
    (one,) = stand.told(signed)
    assert (one["seawall.signature"], one["seawall.reason"]) == ("signed", "signed by release.pub")
    (pulled,) = stand.told(several)
    assert (pulled["seawall.signature"], pulled["registry.reference"]) == ("signed", "1.0")
    until(lambda: stand.row()["samples"] == 2, 20, "the row")
    assert (stand.row()["status"], stand.row()["value"]) == ("ok", 0)

    stand.pull(bare, "1.0")
    (bad,) = stand.told(bare)
    assert (bad["seawall.signature"], bad["seawall.reason"]) == ("unsigned", "no signature")
    until(lambda: stand.row()["status"] == "breached", 20, "the breach")
    row = stand.row()
    assert (row["value"], row["indicator_ok"], row["threshold"]) == (1, False, 0)
    incident = until(
        lambda: [it for it in stand.up.get("/incidents")["items"] if it["slo"] == "unsigned_pulls"],
        20,
        "the incident",
    )[0]
    for part in ("team/bare:1.0", digest(unsigned), "127.0.0.1", "once", "no signature"):
        assert part in incident["explanation"], part
    assert incident["impact"] == {"failed_pulls": 0, "repositories": 1, "clients": 1}
    (id,) = incident["actions"]
    action = until(lambda: (it := stand.up.get(f"/actions/{id}"))["preview"] and it, 60, "the preview")
    assert action["playbook"] == "hold-image" and digest(unsigned) in action["preview"]["manual"]
    counts = dict(metric(stand.up, "seawall_pulls_total"))
    assert sorted(counts.values()) == [1, 2] and any("unsigned" in pairs for pairs in counts)
    time.sleep(4)  # our own look-ups are told too, as the registry's log says; none of them counts
    assert len(stand.verdicts()) == 3 and "seawall" in stand.registry.log.read_text()


def test_a_push_that_is_signed_within_the_grace_was_never_unsigned(stand):
    late, never = stand.repository("team/late"), stand.repository("team/never")
    image = late.image()
    never.image()
    for repository in (late, never):
        stand.pull(repository, "1.0")
    time.sleep(1)
    assert stand.verdicts() == []
    late.signed(image, stand.key)
    assert signatures(stand.told(late)) == ["signed"]
    assert signatures(stand.told(never)) == ["unsigned"]
    assert signatures(stand.told(late)) == ["signed"]


def test_a_kill_neither_loses_nor_doubles_a_pull(stand):
    repositories = [stand.repository(f"team/app{number}") for number in range(6)]
    for number, repository in enumerate(repositories):
        image = repository.image(content=b"%d" % number)
        if number % 2:
            repository.signed(image, stand.key)
    for number, repository in enumerate(repositories):
        stand.pull(repository, "1.0")
        if number in (2, 4):
            time.sleep(1.5)
            stand.up.kill()
            stand.up.start()
    until(lambda: len(stand.verdicts()) >= 6, 60, "every verdict")
    stand.up.kill()
    stand.up.start()
    until(lambda: stand.row()["samples"] == 6, 30, "the row")
    found = Counter((event["registry.repository"], event["seawall.signature"]) for event in stand.verdicts())
    assert found == {(f"team/app{n}", "signed" if n % 2 else "unsigned"): 1 for n in range(6)}
    assert stand.row()["value"] == 3


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="no skopeo (Debian package)")
def test_a_real_clients_pull_of_an_index_is_one(stand, tmp_path):
    several = stand.repository("team/several")
    several.signed(several.index([several.image(None, it) for it in (b"a", b"b")]), stand.key)
    time.sleep(3)
    source = f"docker://{several.image_base}:1.0"
    command = ["skopeo", "copy", "--src-tls-verify=false", "--override-os=linux", "--override-arch=amd64"]
    done = subprocess.run(
        [*command, source, f"dir:{tmp_path}/copy"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (event,) = stand.told(several)
    assert event["seawall.signature"] == "signed" and "skopeo" in event["user_agent.original"]
    time.sleep(3)
    assert len(stand.verdicts(several.name)) == 1


def test_look_ups_that_fail_are_unknown_and_settled_when_they_succeed(up, secret_file, tmp_path):
    """The registry answers 503 at first, then as if nothing had been."""
    key, broken = p256(), [True]
    real = Registry(tmp_path).start()
    repository = Repository(real.url)
    image = repository.image()

    def front(path: str) -> tuple[int, bytes]:
        """503, or what the registry says."""
        if broken[0]:
            return 503, b""
        found = httpx.get(f"{real.url}{path}", headers=ACCEPT, trust_env=False)
        return found.status_code, found.content

    trust = {"keys": [str(public_file(tmp_path, key))]}
    notice = Path(__file__).parent.parent / "golden/reconstructed/distribution-notification.json"
    document = json.loads(notice.read_text())
    event = document["events"][0]
    event |= {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "actor": {"name": "alice"}}
    event["target"] |= {"digest": digest(image), "repository": repository.name, "tag": "1.0"}
    try:
        with replying(front) as url:
            running = up(
                {
                    "registries": [{"name": "main", "url": url, "trust": trust}],
                    "probe": {"interval": "1s", "timeout": "900ms"},
                    "webhooks": {"distribution": {"token_file": str(secret_file("token", TOKEN))}},
                }
            )
            hook = f"{running.url}/api/v1/webhooks/distribution?registry=main"
            answer = httpx.post(hook, json=document, headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 202

            def row() -> dict:
                return next(it for it in running.get("/slos")["items"] if it["name"] == "unsigned_pulls")

            until(lambda: "without a verdict" in row()["reason"], 40, "the unknown verdict")
            assert (row()["status"], row()["indicator_ok"]) == ("unknown", None)
            assert "503" in row()["reason"]
            assert not [it for it in running.get("/incidents")["items"] if it["slo"] == "unsigned_pulls"]
            broken[0] = False
            until(lambda: row()["status"] == "breached", 60, "the settled verdict")
            assert row()["value"] == 1 and "by alice from 192.168.64.11" in row()["reason"]
    finally:
        real.stop()


def test_nobody_tells_and_nobody_is_trusted(up, tmp_path):
    trust = {"keys": [str(public_file(tmp_path, p256()))]}
    dead = f"http://127.0.0.1:{free_port()}"
    running = up(
        {
            "registries": [
                {"name": "mute", "url": dead, "trust": trust},
                {"name": "free", "url": dead},
            ],
            "probe": {"interval": "1s", "timeout": "900ms"},
        }
    )
    rows = {it["registry"]: it for it in running.get("/slos")["items"] if it["name"] == "unsigned_pulls"}
    assert {row["status"] for row in rows.values()} == {"unknown"}
    assert rows["free"]["reason"] == "no trust configured"
    assert (
        rows["mute"]["reason"].startswith("no source has told of pulls")
        and "notifications" in rows["mute"]["reason"]
    )
