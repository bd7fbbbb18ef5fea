"""collect-garbage and protect-disk against a real docker-registry process."""

import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from remediation.runs import AnsibleRunner
from seawall.core.errors import RunFailed
from tests.playbooks import Bench, diff_of, until
from tests.registries import LAYERS, Registry, push

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("docker-registry"), reason="needs docker-registry"),
]
LOST = os.urandom(300_000)


class Stand:
    """A docker-registry that is known by its pidfile, with an image and (once) a blob that nobody needs."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry(folder, extra="# the last line\n").start()
        self.config = folder / f"{self.registry.port}.yml"
        self.pidfile = folder / "pid"
        self.pidfile.write_text(f"{self.registry.process.pid}\n")
        self.command = ["docker-registry", "serve", str(self.config)]
        self.url = self.registry.url
        push(self.url, "team/app", "1.0")
        self.facts = {
            "url": self.url,
            "storage": str(folder / "data"),
            "process": {"pidfile": str(self.pidfile), "command": self.command, "log": str(folder / "log")},
            "repairs": {
                "config_file": str(self.config),
                "garbage_collect": ["docker-registry", "garbage-collect", str(self.config)],
            },
        }

    def upload(self, data: bytes) -> int:
        """Status of the upload's begin, or of its end."""
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            begun = client.post("/v2/team/app/blobs/uploads/")
            if begun.status_code != 202:
                return begun.status_code
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            return client.put(f"{begun.headers['location']}&digest={digest}", content=data).status_code

    def blob(self, data: bytes) -> Path:
        name = hashlib.sha256(data).hexdigest()
        return self.registry.folder / "data/docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def untag(self) -> str:
        """The tag's link is gone, the manifest stays; its digest."""
        tag = self.registry.folder / "data/docker/registry/v2/repositories/team/app/_manifests/tags/1.0"
        digest = (tag / "current" / "link").read_text()
        shutil.rmtree(tag)
        return digest

    def process(self) -> psutil.Process:
        return psutil.Process(int(self.pidfile.read_text()))

    def end(self) -> None:
        self.registry.stop()
        for process in psutil.process_iter(["cmdline"]):
            if process.info["cmdline"] == self.command:
                process.kill()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.end()


@pytest.fixture
def bench(stand: Stand, tmp_path: Path) -> Bench:
    return Bench("collect-garbage", tmp_path, stand.facts)


def pulls(stand: Stand, reference: str) -> bool:
    with httpx.Client(base_url=stand.url, trust_env=False) as client:
        accept = {"accept": "application/vnd.docker.distribution.manifest.list.v2+json"}
        index = client.get(f"/v2/team/app/manifests/{reference}", headers=accept)
        if index.status_code != 200:
            return False
        child = index.json()["manifests"][0]
        image = client.get(
            f"/v2/team/app/manifests/{child['digest']}", headers={"accept": child["mediaType"]}
        )
        blobs = [client.get(f"/v2/team/app/blobs/{layer['digest']}") for layer in image.json()["layers"]]
        return [blob.content for blob in blobs] == LAYERS


def test_garbage_is_collected_and_what_an_untagged_manifest_names_stays(stand: Stand, bench: Bench) -> None:
    assert stand.upload(LOST) == 201
    digest = stand.untag()
    text = stand.config.read_bytes()
    shown = diff_of(bench.check())
    assert (
        "-blobs that no manifest names: 1, 300000 bytes\n+blobs that no manifest names: 0, 0 bytes" in shown
    )
    assert "+storage.maintenance.readonly.enabled: true (until the garbage is collected)" in shown
    assert stand.blob(LOST).exists()

    outcome = bench.run()
    assert "300000 bytes" in diff_of(outcome)
    assert not stand.blob(LOST).exists()
    assert stand.config.read_bytes() == text
    assert pulls(stand, digest)
    assert stand.upload(b"pushed after") == 201
    # What was pushed after is garbage too, until its manifest comes: take it away by name.
    stand.blob(b"pushed after").unlink()
    stand.blob(b"pushed after").parent.rmdir()
    pid = stand.process().pid
    bench.changes_nothing_again()
    assert stand.process().pid == pid


def test_it_is_read_only_while_it_collects_and_writable_when_that_fails(stand: Stand, bench: Bench) -> None:
    assert stand.upload(LOST) == 201
    seen = stand.registry.folder / "seen"
    script = stand.registry.folder / "collector"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *--dry-run*) exec docker-registry "$@";; esac\n'
        f"grep -A1 -n readonly {stand.config} > {seen}; echo the disk is broken >&2; exit 3\n"
    )
    script.chmod(0o755)
    stand.facts["repairs"]["garbage_collect"][0] = str(script)
    text = stand.config.read_bytes()
    outcome = bench.run()
    assert outcome.status == "failed"
    assert "ended with code 3: the disk is broken" in outcome.message
    assert "readonly: {enabled: true}" in seen.read_text()
    assert stand.config.read_bytes() == text
    assert stand.blob(LOST).exists()
    assert stand.upload(b"still welcome") == 201


def test_a_run_that_was_killed_in_the_middle_is_mended_by_the_next_one(stand: Stand, bench: Bench) -> None:
    assert stand.upload(LOST) == 201
    text, script = stand.config.read_bytes(), stand.registry.folder / "collector"
    reached = stand.registry.folder / "reached"
    script.write_text(
        '#!/bin/sh\ncase "$*" in *--dry-run*) exec docker-registry "$@";; esac\n'
        f"touch {reached}; exec sleep 120\n"
    )
    script.chmod(0o755)
    command = list(stand.facts["repairs"]["garbage_collect"])
    stand.facts["repairs"]["garbage_collect"][0] = str(script)
    target = bench.target()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(AnsibleRunner().run, target, "d")
        until(reached.exists)
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("SEAWALL_RUN") == str(target.folder):
                process.send_signal(signal.SIGKILL)
        with pytest.raises(RunFailed):
            run.result(60)
    assert stand.upload(b"refused") == 405
    assert stand.config.read_text().startswith(
        "# Read-only by Seawall (collect-garbage); before: absent:maintenance"
    )

    stand.facts["repairs"]["garbage_collect"] = command
    assert bench.run().status == "successful"
    assert stand.config.read_bytes() == text
    assert not stand.blob(LOST).exists()
    assert stand.upload(b"welcome") == 201


def test_a_registry_that_does_not_answer_is_left_alone(stand: Stand, bench: Bench) -> None:
    assert stand.upload(LOST) == 201
    stand.registry.stop()
    outcome = bench.check()
    assert outcome.status == "failed"
    assert "Ask the registry" in outcome.message
    assert stand.blob(LOST).exists()


def test_untagged_manifests_are_never_deleted(stand: Stand, bench: Bench) -> None:
    stand.facts["repairs"]["garbage_collect"].insert(2, "--delete-untagged=true")
    outcome = bench.check()
    assert "--delete-untagged=true is refused: untagged manifests may still be needed" in outcome.message


def test_a_full_disk_is_protected_and_the_undo_opens_the_registry(stand: Stand, tmp_path: Path) -> None:
    bench = Bench("protect-disk", tmp_path, stand.facts)
    text = stand.config.read_bytes()
    assert (bench.check().status, bench.check().changes) == ("successful", ())  # 95 % is not reached

    full = bench.target()
    full.inputs["near_full"] = 0
    outcome = AnsibleRunner().run(full, "d")
    assert "+storage.maintenance.readonly.enabled: true (until it is taken back)" in diff_of(outcome)
    assert stand.upload(b"refused") == 405
    assert pulls(stand, "1.0")
    again = bench.target()
    again.inputs["near_full"] = 0
    outcome = AnsibleRunner().run(again, "d")
    assert (outcome.status, outcome.message, outcome.changes) == ("successful", "", ())

    # Garbage is collected meanwhile: it stays read-only, since somebody else made it so.
    collect = Bench("collect-garbage", tmp_path / "other", stand.facts)
    stand.blob(LOST).parent.mkdir(parents=True)
    stand.blob(LOST).write_bytes(LOST)
    assert collect.run().status == "successful"
    assert not stand.blob(LOST).exists()
    assert stand.upload(b"refused") == 405

    assert "+storage.maintenance.readonly.enabled: false" in diff_of(bench.undo(check=True))
    assert bench.undo().status == "successful"
    assert stand.config.read_bytes() == text
    assert stand.upload(b"welcome") == 201
    assert bench.undo().changes == ()


def test_a_registry_that_a_person_made_read_only_stays_so(stand: Stand, tmp_path: Path) -> None:
    storage = f"storage: {{filesystem: {{rootdirectory: {stand.registry.folder}/data}}"
    text = stand.config.read_text().replace(
        storage, f"{storage}, maintenance: {{readonly: {{enabled: yes}}}}"
    )
    assert "readonly" in text
    stand.config.write_text(text)
    bench = Bench("protect-disk", tmp_path, stand.facts)
    assert bench.undo().changes == ()
    assert stand.config.read_text() == text
