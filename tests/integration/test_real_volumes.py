"""Volumes that fill up, turn read-only and go away, seen from here and through a real node_exporter."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from collectors.node_exporter import RemoteVolume
from collectors.storage import Volume
from seawall.core.errors import SeawallError
from seawall.core.signals import (
    STORAGE_BYTES,
    STORAGE_INODES,
    STORAGE_INODES_USED_RATIO,
    STORAGE_READ_ONLY,
    STORAGE_USED_RATIO,
)
from tests.serving import free_port

EXPORTER = shutil.which("prometheus-node-exporter")
pytestmark = pytest.mark.integration


@pytest.fixture
def disk(tmp_path: Path):
    """A file system of 4 MiB and 64 inodes, unmounted at the end."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=64", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def exporter():
    """The URL of a node_exporter of our own."""
    if EXPORTER is None:
        pytest.skip("no prometheus-node-exporter (Debian package)")
    url = f"http://127.0.0.1:{free_port()}/metrics"
    command = [EXPORTER, "--collector.disable-defaults", "--collector.filesystem"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address={url[7:-8]}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(url, trust_env=False)
            break
        except httpx.ConnectError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)


def of(batch, signal):
    return {dict(s.labels).get("state"): s.value for s in batch.samples if s.signal == signal}


def one(batch, signal):
    return next(iter(of(batch, signal).values()))


async def test_a_full_disk_is_full_and_one_without_inodes_too(disk):
    volume = Volume("reg", str(disk))
    assert one(await volume.collect(1.0), STORAGE_USED_RATIO) < 0.1
    (disk / "big").write_bytes(bytes(4 << 20))
    assert one(await volume.collect(1.0), STORAGE_USED_RATIO) == 1.0
    (disk / "big").unlink()
    with pytest.raises(OSError, match="No space left"):
        for n in range(100):
            (disk / str(n)).touch()
    batch = await volume.collect(1.0)
    assert one(batch, STORAGE_INODES_USED_RATIO) == 1.0 and one(batch, STORAGE_USED_RATIO) < 0.1


async def test_a_read_only_remount_is_noticed(disk):
    volume = Volume("reg", str(disk))
    assert one(await volume.collect(1.0), STORAGE_READ_ONLY) == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    batch = await volume.collect(1.0)
    assert one(batch, STORAGE_READ_ONLY) == 1 and "mounted read-only" in batch.notes[0]


async def test_a_device_that_goes_away_is_unknown_until_it_is_back(disk):
    volume = Volume("reg", str(disk))
    await volume.collect(1.0)
    subprocess.run(["umount", disk], check=True)
    with pytest.raises(SeawallError, match="the device is gone"):
        await volume.collect(1.0)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)
    assert (await volume.collect(1.0)).samples


async def test_node_exporter_says_the_same(disk, exporter):
    (disk / "some").write_bytes(bytes(1 << 20))
    here, there = Volume("reg", str(disk)), RemoteVolume("reg", str(disk), exporter)
    ours, theirs = await here.collect(1.0), await there.collect(1.0)
    for signal in (STORAGE_BYTES, STORAGE_USED_RATIO, STORAGE_INODES, STORAGE_READ_ONLY):
        assert of(ours, signal) == of(theirs, signal)
    subprocess.run(["umount", disk], check=True)
    with pytest.raises(SeawallError, match="no node_filesystem_size_bytes of this mount point; mount it"):
        await there.collect(1.0)
