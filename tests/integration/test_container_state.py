"""restart-registry and container_state against a real registry in a real podman container."""

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation import diffs
from remediation.catalogue import SHIPPED, load_playbook
from remediation.inventory import inventory_text
from remediation.runs import AnsibleRunner
from seawall.core.ports import Outcome, Target
from tests.serving import free_port

NEEDED = ("podman", "runc", "docker-registry", "busybox")
MISSING = [program for program in NEEDED if not shutil.which(program)]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason=f"needs root and {', '.join(NEEDED)}"),
]
RUNNER = AnsibleRunner()
RESTART = load_playbook(SHIPPED / "restart-registry")
IMAGE = "localhost/seawall-test-registry:1"
CONTAINER = "seawall-test-registry"


class Podman:
    """podman with storage, locks and settings of its own, under one folder."""

    def __init__(self, folder: Path) -> None:
        storage, containers = folder / "storage.conf", folder / "containers.conf"
        storage.write_text(f'[storage]\ndriver="vfs"\nrunroot="{folder}/run"\ngraphroot="{folder}/graph"\n')
        containers.write_text(
            '[containers]\nnetns="host"\ncgroups="enabled"\nlog_driver="k8s-file"\n'
            'default_ulimits=["nofile=4096:4096", "nproc=4096:4096"]\n'
            '[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n'
            f'lock_type="file"\ntmp_dir="{folder}/state"\n'
        )
        self.env = {"CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(containers)}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            ["podman", *arguments], env={**os.environ, **self.env}, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def state(self, name: str = CONTAINER) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self("container", "inspect", name))[0]["State"]
        return state


@contextlib.contextmanager
def running_podman(*options: str) -> Iterator[Podman]:
    """With an image of docker-registry. In a short folder: podman does not note a container's end where the
    paths of its sockets are too long."""
    with tempfile.TemporaryDirectory(prefix="swp-", ignore_cleanup_errors=True) as name:
        podman = Podman(Path(name))
        podman("import", *options, str(root_of_image(Path(name))), IMAGE)
        yield podman
        with contextlib.suppress(subprocess.CalledProcessError):
            podman("rm", "--all", "--force", "--time", "0")
        podman("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with running_podman("--change", 'ENTRYPOINT ["/bin/docker-registry"]') as podman:
        yield podman


def root_of_image(folder: Path) -> Path:
    """docker-registry with its libraries, and a shell: everything that is in the image."""
    registry, busybox = str(shutil.which("docker-registry")), str(shutil.which("busybox"))
    linked = subprocess.run(["ldd", registry], capture_output=True, text=True, check=True).stdout
    with tarfile.open(folder / "root.tar", "w", dereference=True) as archive:
        archive.add(registry, "bin/docker-registry")
        archive.add(busybox, "bin/sh")
        for library in (word for word in linked.split() if word.startswith("/")):
            archive.add(library, library)
    return folder / "root.tar"


@pytest.fixture
def registry(podman: Podman, tmp_path: Path) -> Iterator[str]:
    """A registry that answers; its URL."""
    port = free_port()
    (tmp_path / "data").mkdir()
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    mounts = (f"--volume={tmp_path}:{tmp_path}",)
    podman("run", "--detach", "--name", CONTAINER, *mounts, IMAGE, "serve", str(config))
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(url))
    yield url
    podman("rm", "--force", "--time", "0", CONTAINER)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v2/", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def repair(podman: Podman, tmp_path: Path) -> Callable[..., Outcome]:
    """Check or run restart-registry, each time in a fresh folder."""
    count = iter(range(100))

    def go(mode: str, url: str, container: str = CONTAINER, runtime: str = "auto") -> Outcome:
        facts = {"url": url, "container": container, "runtime": runtime, "runtime_env": podman.env}
        inputs, reason = RESTART.resolve(facts)
        assert inputs is not None, reason
        inventory = inventory_text(RESTART.targets)
        target = Target(tmp_path / f"run-{next(count)}", RESTART.path, inputs, inventory, RESTART.timeout)
        return RUNNER.check(target) if mode == "check" else RUNNER.run(target, "d")

    return go


def test_a_killed_registry_is_previewed_restarted_and_left_alone_after(
    podman: Podman, registry: str, repair: Callable[..., Outcome]
) -> None:
    podman("kill", "--signal", "KILL", CONTAINER)
    dead = until(lambda: podman.state() if podman.state()["Status"] == "exited" else None)

    preview = repair("check", registry)
    assert (preview.status, preview.message, preview.skipped) == ("successful", "", ())
    [change] = preview.changes
    assert (change.host, change.task) == ("localhost", "Restart the container")
    lines = change.diff.splitlines()
    assert [line for line in lines if line[0] in "+-"][2:] == [
        "-status: exited",
        "-exit code: 137",
        "+status: running",
    ]
    assert f" image: {IMAGE}" in lines
    assert "restart policy: no" in diffs.render(preview)
    assert podman.state() == dead
    assert preview.first_task_at is not None
    assert preview.first_change_at is not None
    assert preview.first_task_at < preview.first_change_at

    done = repair("run", registry)
    assert (done.status, done.message) == ("successful", "")
    assert done.changes == preview.changes
    assert answers(registry)
    alive = podman.state()
    assert alive["Status"] == "running"
    assert alive["StartedAt"] != dead["StartedAt"]

    again = repair("run", registry)
    assert (again.status, again.changes, again.first_change_at) == ("successful", (), None)
    assert podman.state()["StartedAt"] == alive["StartedAt"]


def test_a_registry_that_hangs_is_restarted(
    podman: Podman, registry: str, repair: Callable[..., Outcome]
) -> None:
    before = podman.state()["StartedAt"]
    podman("pause", CONTAINER)
    outcome = repair("run", registry)
    assert (outcome.status, outcome.message) == ("successful", "")
    assert "-status: paused\n+status: running (restarted)" in outcome.changes[0].diff
    assert podman.state()["StartedAt"] != before
    assert answers(registry)


def test_an_unknown_container_fails_clearly(repair: Callable[..., Outcome]) -> None:
    outcome = repair("check", "http://127.0.0.1:1", "no-such", "podman")
    assert outcome.status == "failed"
    assert outcome.message.startswith(
        "localhost: Restart the container: container 'no-such' cannot be inspected"
    )
    assert "no such container" in outcome.message.lower()
    assert outcome.changes == ()


@pytest.fixture
def module(podman: Podman, tmp_path: Path) -> Callable[..., Outcome]:
    """Check or run one container_state task."""
    count = iter(range(100))

    def go(mode: str, **arguments: Any) -> Outcome:
        play = {"hosts": "all", "gather_facts": False, "environment": podman.env}
        number = next(count)
        playbook = tmp_path / f"playbook-{number}" / "playbook.yml"
        playbook.parent.mkdir()
        playbook.write_text(json.dumps([{**play, "tasks": [{"name": "It", "container_state": arguments}]}]))
        target = Target(tmp_path / f"module-{number}", playbook, {}, inventory_text("all_of_them"), 60)
        return RUNNER.check(target) if mode == "check" else RUNNER.run(target, "d")

    return go


def test_a_container_that_ends_at_once_fails_with_its_exit_code(
    podman: Podman, module: Callable[..., Outcome]
) -> None:
    podman("create", "--name", "broken", IMAGE, "serve", "/no/such/config")
    outcome = module("run", name="broken", state="restarted", wait_seconds=2)
    assert outcome.status == "failed"
    expected = "localhost: It: container 'broken' is exited, exit code 1 after 2 s, not running"
    assert outcome.message == expected


def test_stopped_and_started(podman: Podman, registry: str, module: Callable[..., Outcome]) -> None:
    stop = {"name": CONTAINER, "state": "stopped", "stop_seconds": 3}
    assert "-status: running\n+status: exited" in module("check", **stop).changes[0].diff
    assert podman.state()["Status"] == "running"
    assert len(module("run", **stop).changes) == 1
    assert podman.state()["Status"] == "exited"
    assert module("run", **stop).changes == ()
    assert len(module("run", name=CONTAINER, state="started", runtime="podman").changes) == 1
    assert podman.state()["Status"] == "running"
    assert module("run", name=CONTAINER).changes == ()
    until(lambda: answers(registry))
