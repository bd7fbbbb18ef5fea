"""The log of a real podman container, through restarts, re-creations and both ways of reading it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from collectors.container_logs import AskedLog, ContainerLogs
from seawall.core.errors import SeawallError
from tests.integration.test_container_state import IMAGE, Podman, running_podman

NEEDED = ("podman", "runc", "docker-registry", "busybox")
MISSING = [program for program in NEEDED if not shutil.which(program)]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason=f"needs root and {', '.join(NEEDED)}"),
]
NAME = "seawall-test-log"
SAY = 'echo "level=info msg=$0-out"; echo "level=warn msg=$0-err" >&2; echo "level=info msg=$0-out"'


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with running_podman() as podman:
        yield podman


class Kept:
    """Events by id and checkpoints, as a store has them."""

    def __init__(self, podman: Podman) -> None:
        self.podman = podman
        self.messages: dict[str, str] = {}
        self.checkpoints: dict[str, str] = {}

    def logs(self, engine: str = "podman") -> ContainerLogs:
        return ContainerLogs("reg", NAME, self.checkpoints.get, engine, self.podman.env)

    async def round(self, log, now: float | None = None):
        batch = await log.collect(time.time() if now is None else now)
        self.messages.update({event.id: event.fields["message"] for event in batch.events})
        self.checkpoints.update(batch.checkpoints)
        await log.stored()
        return batch

    async def until(self, log, count: int) -> list[str]:
        """Collect until so many messages are there, and once more."""
        for _ in range(200):
            await self.round(log)
            if len(self.messages) >= count:
                await self.round(log)
                return sorted(self.messages.values())
            await asyncio.sleep(0.05)
        raise AssertionError(self.messages)


@pytest.fixture
def kept(podman: Podman) -> Iterator[Kept]:
    yield Kept(podman)
    with contextlib.suppress(subprocess.CalledProcessError):
        podman("rm", "--force", "--time", "0", NAME)


def run(podman: Podman, word: str, *options: str) -> None:
    podman("run", "--detach", "--name", NAME, *options, IMAGE, "/bin/sh", "-c", SAY, word)


async def test_each_line_of_both_streams_is_read_once_over_restarts(kept, podman):
    run(podman, "a")
    log = kept.logs()
    assert await kept.until(log, 3) == ["a-err", "a-out", "a-out"]
    podman("start", NAME)
    assert await kept.until(kept.logs(), 6) == ["a-err", "a-err"] + ["a-out"] * 4
    assert sum(log.lines.values()) == 3


async def test_a_container_that_is_made_anew_is_read_from_its_start(kept, podman):
    run(podman, "a")
    log = kept.logs()
    await kept.until(log, 3)
    podman("start", NAME)
    podman("wait", NAME)
    podman("rm", NAME)
    run(podman, "b")
    for _ in range(3):
        await kept.round(log, now=time.time() + 60)
    assert sorted(kept.messages.values()) == ["a-err", "a-err"] + ["a-out"] * 4 + ["b-err"] + ["b-out"] * 2


async def test_the_engine_is_asked_where_there_is_no_file(kept, podman):
    run(podman, "a")
    podman("wait", NAME)

    def asked() -> AskedLog:
        log = AskedLog("reg", NAME, "log:reg:asked", kept.logs()._ask, "podman")
        log.restore(kept.checkpoints.get("log:reg:asked"))
        return log

    assert await kept.until(asked(), 3) == ["a-err", "a-out", "a-out"]
    assert len((await kept.round(asked())).events) == 3 and len(kept.messages) == 3
    await asyncio.sleep(1.1)
    podman("start", NAME)
    assert len(await kept.until(asked(), 6)) == 6
    assert len((await kept.round(asked())).events) == 3


async def test_a_container_that_is_not_there_says_why_and_what_to_do(kept):
    with pytest.raises(SeawallError, match=f"container {NAME}: podman: .*no such container.*; start the"):
        await kept.round(kept.logs())
    with pytest.raises(SeawallError, match=r"podman: .*; docker: .*"):
        await kept.round(kept.logs("auto"))


async def test_a_container_without_a_log_says_so(kept, podman):
    run(podman, "a", "--log-driver", "none")
    with pytest.raises(SeawallError, match="its log driver is none; start it with k8s-file or json-file"):
        await kept.round(kept.logs())


async def test_an_engine_that_hangs_is_left_and_killed(kept, tmp_path):
    (tmp_path / "podman").write_text("#!/bin/sh\necho $$ > $(dirname $0)/pid\nexec sleep 1000\n")
    (tmp_path / "podman").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    log = ContainerLogs("reg", NAME, kept.checkpoints.get, str(tmp_path / "podman"), environment)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(log.collect(time.time()), 1)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
