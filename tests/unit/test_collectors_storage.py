"""Volumes: the same figures as df, and what cannot be measured is unknown."""

import asyncio
import os
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.storage import Space, Volume, in_own_thread
from seawall.core.errors import SeawallError
from seawall.core.signals import (
    STORAGE_BYTES,
    STORAGE_INODES,
    STORAGE_INODES_USED_RATIO,
    STORAGE_READ_ONLY,
    STORAGE_USED_RATIO,
)


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


async def test_a_volume_has_the_inodes_that_df_says(tmp_path):
    batch = await Volume("reg", str(tmp_path)).collect(1000.0)
    values = {dict(s.labels)["state"]: s.value for s in batch.samples if s.signal == STORAGE_INODES}
    command = ["df", "--output=iused,iavail", tmp_path]
    used, available = map(float, (await asyncio.to_thread(subprocess.check_output, command)).split()[2:])
    assert values["used"] == pytest.approx(used, rel=0.05, abs=5000)
    assert values["available"] == pytest.approx(available, rel=0.05, abs=5000)
    assert next(s.value for s in batch.samples if s.signal == STORAGE_READ_ONLY) == 0


def test_a_file_system_that_does_not_count_inodes_has_none():
    signals = {sample.signal for sample in Space(100.0, 40.0, 30.0).samples("reg", "/srv", 1.0)}
    assert not signals & {STORAGE_INODES, STORAGE_INODES_USED_RATIO}


FIGURES = st.floats() | st.integers(-5, 10**15).map(float)


@given(st.builds(Space, FIGURES, FIGURES, FIGURES, FIGURES, FIGURES))
def test_figures_that_cannot_be_right_are_a_fault_and_others_a_share(space):
    if not space.fault():
        ratios = (STORAGE_USED_RATIO, STORAGE_INODES_USED_RATIO)
        samples = [s for s in space.samples("reg", "/srv", 1.0) if s.signal in ratios]
        assert samples and all(0 <= sample.value <= 1 for sample in samples)


async def test_a_thread_of_its_own_gives_results_and_errors():
    assert await in_own_thread(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)


async def test_a_missing_path_is_unknown_and_says_what_to_do(tmp_path):
    with pytest.raises(SeawallError, match=r"gone: no such file or directory; give the path"):
        await Volume("reg", str(tmp_path / "gone")).collect(1000.0)


async def test_0_of_0_bytes_is_unknown():
    # /proc is a file system without blocks on every Linux.
    with pytest.raises(SeawallError, match="0 bytes available of 0"):
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


async def test_forty_hanging_mounts_leave_the_common_threads_free(tmp_path, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(os, "statvfs", lambda path: released.wait(10))
    volumes = [Volume("reg", str(tmp_path), timeout=0.05) for _ in range(40)]
    found = await asyncio.gather(*(volume.collect(1.0) for volume in volumes), return_exceptions=True)
    assert all("no answer within" in str(error) for error in found)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
    released.set()


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
