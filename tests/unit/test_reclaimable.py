"""The walk through a Distribution storage that is not as it should be; a real one is in tests/integration."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from collectors import reclaimable as walk
from collectors.reclaimable import Reclaimable, Unreadable, reclaimable
from seawall.core.errors import InputError

NOW = time.time()


class Storage:
    """A storage written by hand, as docs/spec and registry/storage/paths.go have it."""

    def __init__(self, root):
        self.root, self.base = root, root / "docker/registry/v2"
        (self.base / "blobs").mkdir(parents=True)

    def blob(self, data: bytes, age: float = 7200.0) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self.base / "blobs/sha256" / name[:2] / name / "data"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (NOW - age, NOW - age))
        return f"sha256:{name}"

    def manifest(self, repository: str, document) -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = self.blob(data)
        self.link(repository, digest)
        return digest

    def link(self, repository: str, digest: str, text: str | None = None):
        path = self.base / "repositories" / repository / "_manifests/revisions/sha256" / digest[7:] / "link"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(digest if text is None else text)
        return path

    def garbage(self, grace=3600.0):
        return reclaimable(self.root, grace, NOW)


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path)


def test_what_any_form_of_manifest_names_is_kept(storage):
    blobs = [storage.blob(bytes([n])) for n in range(5)]
    image = {"config": {"digest": blobs[0]}, "layers": [{"digest": blobs[1]}]}
    child = storage.manifest("a/b/c", image)
    storage.manifest("a", {"manifests": [{"digest": child}]})
    storage.manifest("old", {"schemaVersion": 1, "fsLayers": [{"blobSum": blobs[2]}]})
    storage.manifest("artifact", {"blobs": [{"digest": blobs[3]}]})
    assert storage.garbage() == {blobs[4]: 1}


def test_a_deleted_manifest_frees_itself_and_what_only_it_named(storage):
    shared, own = storage.blob(b"shared"), storage.blob(b"its own")
    storage.manifest("kept", {"layers": [{"digest": shared}]})
    gone = storage.manifest("gone", {"layers": [{"digest": shared}, {"digest": own}]})
    storage.link("gone", gone).unlink()
    assert set(storage.garbage()) == {gone, own}


def test_a_child_of_an_index_is_kept_but_not_its_layers_once_its_link_is_gone(storage):
    """As garbage-collect has it (distribution#3178)."""
    layer = storage.blob(b"layer")
    child = storage.manifest("a", {"layers": [{"digest": layer}]})
    storage.manifest("a", {"manifests": [{"digest": child}]})
    storage.link("a", child).unlink()
    assert set(storage.garbage()) == {layer}


def test_a_young_blob_may_still_get_its_manifest(storage):
    storage.blob(b"young", age=60)
    assert storage.garbage() == {} and len(storage.garbage(grace=0)) == 1


def test_an_empty_storage_has_no_garbage(storage):
    assert storage.garbage() == {}


def test_what_lies_around_is_left_alone(storage):
    (storage.base / "blobs/sha256/zz/not-a-digest").mkdir(parents=True)
    (storage.base / "blobs/README").write_text("hello")
    (storage.base / "repositories/a/_uploads/1234").mkdir(parents=True)
    (storage.base / "repositories/loop").symlink_to(storage.base / "repositories")
    assert storage.garbage() == {}


@pytest.mark.parametrize(
    "document", [b"[]", b"5", b'{"layers": 5, "config": []}', b'{"layers": [1, {"digest": 2}]}']
)
def test_a_manifest_of_another_form_names_nothing(storage, document):
    storage.manifest("a", document)
    assert storage.garbage() == {}


@pytest.mark.parametrize("document", [b"no json", b"", b"[" * 100_000, b"\xff\xfe"])
def test_a_linked_manifest_that_cannot_be_read_makes_it_unknown(storage, document):
    storage.manifest("a", document)
    with pytest.raises(Unreadable, match="no JSON"):
        storage.garbage()


@pytest.mark.parametrize("text", ["", "sha256:short", "../../../../etc/passwd"])
def test_a_link_that_holds_no_digest_makes_it_unknown(storage, text):
    storage.link("a", storage.blob(b"{}"), text)
    with pytest.raises(Unreadable, match="holds no digest"):
        storage.garbage()


def test_a_link_to_a_manifest_that_is_gone_keeps_nothing(storage):
    storage.link("a", "sha256:" + "0" * 64)
    layer = storage.blob(b"layer")
    assert set(storage.garbage()) == {layer}


def test_more_blobs_than_it_may_hold_make_it_unknown(storage, monkeypatch):
    for n in range(4):
        storage.blob(bytes([n]))
    monkeypatch.setattr(walk, "MAX_BLOBS", 3)
    with pytest.raises(Unreadable, match="more than 3 blobs"):
        storage.garbage()


async def test_a_folder_that_is_no_storage_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no Distribution storage; name the storage's rootdirectory"):
        await Reclaimable("reg", str(tmp_path), 60.0).collect(1.0)


def held(storage) -> None:
    """A manifest that is a pipe holds the walk for ever."""
    digest = storage.manifest("a", b"{}")
    data = storage.base / "blobs/sha256" / digest[7:9] / digest[7:] / "data"
    data.unlink()
    os.mkfifo(data)


def test_a_walk_dies_by_itself_when_nobody_waits_any_more(storage):
    held(storage)
    command = [sys.executable, "-m", "collectors.reclaimable", str(storage.root), "0", "1"]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGALRM


async def test_a_walk_is_killed_when_its_time_is_up(storage):
    held(storage)
    before = set(psutil.Process().children())
    walking = asyncio.create_task(Reclaimable("reg", str(storage.root), 60.0).collect(1.0))
    while not (started := set(psutil.Process().children()) - before):
        await asyncio.sleep(0.01)
    walking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walking
    assert not any(child.is_running() for child in started)
