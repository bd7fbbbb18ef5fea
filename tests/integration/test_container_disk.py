"""collect-garbage and protect-disk against a real registry in a real podman container."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from remediation.runs import AnsibleRunner
from tests.integration.test_container_state import CONTAINER, Podman, podman, pytestmark, registry
from tests.playbooks import Bench, diff_of
from tests.registries import LAYERS, push

__all__ = ["podman", "pytestmark", "registry"]  # fixtures and marks of the container's own tests
LOST = os.urandom(300_000)


class Stand:
    """The container's registry with an image and a blob that nobody needs."""

    def __init__(self, folder: Path, podman: Podman, url: str) -> None:
        self.folder, self.podman, self.url = folder, podman, url
        self.config = folder / "registry.yml"
        collect = ["podman", "exec", CONTAINER, "/bin/docker-registry", "garbage-collect", str(self.config)]
        self.facts: dict[str, Any] = {
            "url": url,
            "container": CONTAINER,
            "runtime": "podman",
            "runtime_env": podman.env,
            "storage": str(folder / "data"),
            "repairs": {"config_file": str(self.config), "garbage_collect": collect},
        }
        push(url, "team/app", "1.0")
        assert self.upload(LOST) == 201

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
        return self.folder / "data/docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def pulls(self) -> bool:
        digests = [hashlib.sha256(layer).hexdigest() for layer in LAYERS]
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            answers = [client.get(f"/v2/team/app/blobs/sha256:{digest}") for digest in digests]
        return [answer.content for answer in answers] == LAYERS

    def began(self) -> str:
        return str(self.podman.state()["StartedAt"])


@pytest.fixture
def stand(podman: Podman, registry: str, tmp_path: Path) -> Iterator[Stand]:
    yield Stand(tmp_path, podman, registry)


@pytest.fixture
def bench(stand: Stand, tmp_path: Path) -> Callable[[str], Bench]:
    return lambda name: Bench(name, tmp_path / name, stand.facts)


def test_garbage_in_a_container_is_previewed_collected_and_the_container_is_writable_after(
    stand: Stand, bench: Callable[[str], Bench]
) -> None:
    collect, text, began = bench("collect-garbage"), stand.config.read_bytes(), stand.began()
    shown = diff_of(collect.check())
    assert "-blobs that no manifest names: 1, 300000 bytes" in shown
    assert "status: running (restarted)" in shown
    assert (stand.blob(LOST).exists(), stand.began()) == (True, began)  # a preview changes nothing

    outcome = collect.run()
    assert "300000 bytes" in diff_of(outcome)
    assert not stand.blob(LOST).exists()
    assert stand.config.read_bytes() == text
    assert stand.began() != began
    assert stand.pulls()
    collect.changes_nothing_again()
    assert stand.upload(b"pushed after") == 201


def test_a_collection_that_fails_in_a_container_leaves_it_writable(
    stand: Stand, bench: Callable[[str], Bench]
) -> None:
    text = stand.config.read_bytes()
    script = stand.folder / "collector"
    script.write_text(
        '#!/bin/sh\ncase "$*" in *--dry-run*) exec podman "$@";; esac\necho the disk is broken >&2; exit 3\n'
    )
    script.chmod(0o755)
    stand.facts["repairs"]["garbage_collect"][0] = str(script)
    outcome = bench("collect-garbage").run()
    assert outcome.status == "failed" and "the disk is broken" in outcome.message
    assert stand.config.read_bytes() == text
    assert stand.blob(LOST).exists()
    assert stand.upload(b"still welcome") == 201


def test_a_disk_under_a_container_is_protected_and_the_undo_opens_it(
    stand: Stand, bench: Callable[[str], Bench]
) -> None:
    protect, text = bench("protect-disk"), stand.config.read_bytes()

    def run(check: bool = False):
        target = protect.target()
        target.inputs["near_full"] = 0  # type: ignore[index]
        return AnsibleRunner().check(target) if check else AnsibleRunner().run(target, "d")

    assert "+storage.maintenance.readonly.enabled: true" in diff_of(run(check=True))
    assert stand.upload(b"before") == 201
    assert "status: running (restarted)" in diff_of(run())
    assert stand.upload(b"refused") == 405
    assert stand.pulls()
    began = stand.began()
    again = run()
    assert (again.status, again.changes, stand.began()) == ("successful", (), began)

    assert "+storage.maintenance.readonly.enabled: false" in diff_of(protect.undo(check=True))
    assert protect.undo().status == "successful"
    assert stand.config.read_bytes() == text
    assert stand.upload(b"welcome") == 201
    assert protect.undo().changes == ()
