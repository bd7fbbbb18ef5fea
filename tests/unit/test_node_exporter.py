"""A volume of another machine, from node_exporter's page over HTTP."""

import pytest

from collectors.node_exporter import RemoteVolume
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import (
    STORAGE_BYTES,
    STORAGE_INODES_USED_RATIO,
    STORAGE_READ_ONLY,
    STORAGE_USED_RATIO,
)
from tests.scripted import serving

AT = '{device="/dev/sdb1",fstype="ext4",mountpoint="/srv/registry"}'
ROOT = '{device="/dev/sda1",fstype="ext4",mountpoint="/"}'
FIGURES = {
    "size_bytes": 1000, "free_bytes": 300, "avail_bytes": 250, "files": 100, "files_free": 40, "readonly": 0,
    "device_error": 0,
}  # fmt: skip


def page(**changed) -> str:
    figures = {**FIGURES, **changed}
    lines = [f"node_filesystem_{name}{AT} {value}" for name, value in figures.items() if value is not None]
    return "\n".join([*lines, f"node_filesystem_size_bytes{ROOT} 5", ""])


async def read(text: str, path: str = "/srv/registry"):
    async with serving(lambda request: (200, {}, text.encode())) as server:
        return await RemoteVolume("reg", path, server.url).collect(1.0)


def of(batch, signal):
    return [sample.value for sample in batch.samples if sample.signal == signal]


async def test_a_mount_point_has_bytes_inodes_and_its_mode():
    batch = await read(page())
    assert of(batch, STORAGE_BYTES) == [700, 250, 50] and of(batch, STORAGE_USED_RATIO) == [700 / 950]
    assert of(batch, STORAGE_INODES_USED_RATIO) == [0.6] and of(batch, STORAGE_READ_ONLY) == [0]


async def test_the_volume_is_named_with_its_machine():
    batch = await read(page())
    assert {dict(sample.labels)["volume"] for sample in batch.samples} == {"127.0.0.1:/srv/registry"}


async def test_a_read_only_remount_is_noticed():
    batch = await read(page(readonly=1))
    assert of(batch, STORAGE_READ_ONLY) == [1] and "mounted read-only" in batch.notes[0]


async def test_an_exporter_without_inodes_leaves_them_out():
    batch = await read(page(files=None, files_free=None))
    assert of(batch, STORAGE_USED_RATIO) and not of(batch, STORAGE_INODES_USED_RATIO)


async def test_of_mounts_over_one_another_the_last_one_counts():
    over = page() + f"node_filesystem_avail_bytes{AT.replace('sdb1', 'sdc1')} 1\n"
    assert of(await read(over), STORAGE_BYTES)[1] == 1


@pytest.mark.parametrize(
    ("text", "path", "finding"),
    [
        (page(), "/srv/gone", "no node_filesystem_size_bytes.*one that is there as path: /, /srv/registry"),
        ("node_load1 1\n", "/srv/registry", "one that is there as path: none"),
        (page(device_error=1), "/srv/registry", "its device does not answer statfs"),
        (page(size_bytes=0, free_bytes=0, avail_bytes=0), "/srv/registry", "0 bytes available of 0"),
        (page(free_bytes=2000), "/srv/registry", "2000 of 1000 bytes free"),
        (page(avail_bytes="NaN"), "/srv/registry", "nan bytes available of 1000"),
        (page(avail_bytes="x"), "/srv/registry", "no node_filesystem_avail_bytes"),
        ("<html>", "/srv/registry", "no page of Prometheus metrics.*node_exporter"),
    ],
)
async def test_what_cannot_be_measured_is_unknown_and_told(text, path, finding):
    with pytest.raises(InputError, match=finding):
        await read(text, path)


async def test_an_unreachable_exporter_is_told():
    async with serving(lambda request: None) as server:
        pass
    with pytest.raises(SeawallError, match="connection refused; give the URL of a node_exporter"):
        await RemoteVolume("reg", "/", server.url).collect(1.0)
