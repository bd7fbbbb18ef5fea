"""Volumes: the same figures as df, and what cannot be measured is unknown."""

import asyncio
import os
import subprocess
import threading

import pytest

from collectors.storage import Volume
from seawall.core.errors import SeawallError
from seawall.core.signals import STORAGE_BYTES, STORAGE_USED_RATIO


async def test_a_volume_has_the_bytes_that_df_says(tmp_path):
    batch = await Volume("reg", str(tmp_path)).collect(1000.0)
    values = {
        dict(sample.labels)["state"]: sample.value
        for sample in batch.samples
        if sample.signal == STORAGE_BYTES
    }
    ratio = next(sample.value for sample in batch.samples if sample.signal == STORAGE_USED_RATIO)
    df = await asyncio.to_thread(subprocess.check_output, ["df", "-B1", "--output=used,avail", tmp_path])
    used, available = map(float, df.splitlines()[1].split())
    # Other processes write to the same disk meanwhile.
    assert values["used"] == pytest.approx(used, rel=0.02, abs=2**26)
    assert values["available"] == pytest.approx(available, rel=0.02, abs=2**26)
    assert ratio == values["used"] / (values["used"] + values["available"])


async def test_a_missing_path_is_unknown_and_says_what_to_do(tmp_path):
    with pytest.raises(SeawallError, match=r"gone: no such file or directory; give the path"):
        await Volume("reg", str(tmp_path / "gone")).collect(1000.0)


async def test_0_of_0_bytes_is_unknown():
    # /proc is a file system without blocks on every Linux.
    with pytest.raises(SeawallError, match="0 bytes of 0"):
        await Volume("reg", "/proc").collect(1000.0)


async def test_a_path_that_is_no_mount_point_any_more_is_unknown(tmp_path, monkeypatch):
    mounted = True
    monkeypatch.setattr(os.path, "ismount", lambda path: mounted)
    volume = Volume("reg", str(tmp_path))
    assert (await volume.collect(1000.0)).samples
    mounted = False
    for _ in range(2):
        with pytest.raises(SeawallError, match="the device is gone"):
            await volume.collect(1000.0)
    mounted = True
    assert (await volume.collect(1000.0)).samples


async def test_a_hanging_mount_is_unknown_and_hangs_one_thread_only(tmp_path, monkeypatch):
    released, calls, real = threading.Event(), [], os.statvfs

    def hanging(path):
        calls.append(path)
        released.wait(10)
        return real(path)

    monkeypatch.setattr(os, "statvfs", hanging)
    volume = Volume("reg", str(tmp_path), timeout=0.05)
    for _ in range(3):
        with pytest.raises(SeawallError, match=r"no answer within 0\.05 s"):
            await volume.collect(1000.0)
    assert len(calls) == 1
    released.set()
    volume.timeout = 5
    assert (await volume.collect(1000.0)).samples
