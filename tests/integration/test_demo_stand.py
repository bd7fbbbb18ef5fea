"""The demo's real parts: a registry that is killed and started again, images, and pulls of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from seawall.core.errors import InputError
from seawall.demo import host, images, stand
from seawall.demo.registry import owned
from seawall.demo.stand import ContainerStand, ProcessStand, RegistryStand, open_stand

pytestmark = pytest.mark.integration
SMALL = (images.PROBE, images.Recipe("harbour/buoy", "1.0", (300_000, 200_000)))


@pytest.fixture(params=["container", "process"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RegistryStand]:
    with open_stand(tmp_path / "stand", request.param) as opened:
        yield opened


class Listener:
    """A fake of Seawall's notification endpoint: keeps headers and events of what is POSTed."""

    def __init__(self) -> None:
        self.got: list[tuple[str | None, dict[str, Any]]] = []
        keep = self.got.append

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for event in body["events"]:
                    keep((self.headers["authorization"], event))
                self.send_response(202)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def count(self, action: str) -> int:
        return sum(event["action"] == action for _, event in self.got)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


class Traffic:
    """The generator as a child process, and its report."""

    def __init__(self, url: str, pushed: list[images.Image], folder: Path, *more: str) -> None:
        self.report_file = folder / "report.json"
        images.save(pushed, folder / "images.json")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "seawall.demo.traffic", "--url", url),
                *("--images", str(folder / "images.json"), "--report", str(self.report_file), *more),
            ]
        )

    def report(self) -> dict[str, Any]:
        """The newest report; {} before the first."""
        told: dict[str, Any] = json.loads(self.report_file.read_text()) if self.report_file.exists() else {}
        return told

    def wait_for(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert host.until(lambda: holds(self.report() or {"pulls": 0, "failed_pulls": 0}), 20), self.report()
        return self.report()

    def stop(self) -> dict[str, Any]:
        self.process.terminate()
        assert self.process.wait(10) == 0
        return self.report()


def restart(registry: RegistryStand) -> None:
    """As a playbook would do it: by the runtime's own command, or by the start command."""
    if isinstance(registry, ContainerStand):
        command, environment = [registry.runtime, "restart", registry.container], registry.runtime_env
    else:
        assert isinstance(registry, ProcessStand)
        command, environment = registry.command, {}
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=30, capture_output=True)


def answers(registry: RegistryStand) -> bool:
    try:
        return httpx.get(f"{registry.url}/v2/", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_kill_and_restart_under_traffic(registry: RegistryStand, tmp_path: Path) -> None:
    pushed = images.push_all(registry.url, recipes=SMALL)
    started, log_size = registry.started_at(), registry.log_file.stat().st_size
    assert abs(started - time.time()) < 30
    traffic = Traffic(registry.url, pushed[1:], tmp_path, "--pulls-per-second", "10")
    try:
        before = traffic.wait_for(lambda r: r["pulls"] >= 20)
        assert before["failed_pulls"] == 0 and before["errors"] == {}
        registry.kill()
        assert not registry.running()
        failed_at = time.time()
        down = traffic.wait_for(lambda r: r["failed_pulls"] >= 5)
        assert failed_at - 5 < down["first_failure_at"] <= down["last_failure_at"]
        restart(registry)
        assert host.until(lambda: answers(registry), 10) and registry.running()
        healed = traffic.report()["pulls"]
        traffic.wait_for(lambda r: r["pulls"] >= healed + 10)
    finally:
        after = traffic.stop()
    assert after["ended"] == "SIGTERM" and sum(after["errors"].values()) == after["failed_pulls"]
    assert registry.started_at() > started
    text = registry.log_file.read_bytes()[log_size:].decode()
    assert text.count("containerd/1.7.24") >= 2 * after["manifest_requests"]
    assert 'msg="response completed"' in text and '"GET /v2/harbour/buoy/manifests/' in text


def test_data_and_digests(registry: RegistryStand) -> None:
    progress: list[tuple[int, int]] = []
    pushed = images.push_all(registry.url, lambda done, total: progress.append((done, total)), SMALL)
    assert [image.repository for image in pushed] == ["seawall/probe", "harbour/buoy"]
    assert progress[-1][0] == progress[-1][1] == 2 * sum(sum(recipe.layers) for recipe in SMALL)
    registry.kill()
    registry.start()
    for image in pushed:
        answer = httpx.get(
            f"{registry.url}/v2/{image.repository}/manifests/{image.tag}", headers={"accept": images.INDEX}
        )
        assert images.digest_of(answer.content) == answer.headers["docker-content-digest"] == image.digest
    assert images.push_all(registry.url, recipes=SMALL) == pushed
    assert "registry_http_requests_total" in httpx.get(registry.metrics_url).text
    assert any(registry.data.rglob("link"))


@pytest.mark.parametrize("prefer", ["container", "process"])
def test_only_manifest_events_are_notified(prefer: stand.Prefer, tmp_path: Path, listener: Listener) -> None:
    with open_stand(tmp_path / "stand", prefer, (listener.url, "Bearer told-to-nobody")) as registry:
        pushed = images.push_all(registry.url, recipes=SMALL)
        traffic = Traffic(registry.url, pushed, tmp_path, "--pulls-per-second", "5", "--seconds", "2")
        assert traffic.process.wait(15) == 0
        report = traffic.report()
        assert report["pulls"] == 10 and report["ended"] == "seconds"
        assert host.until(lambda: listener.count("pull") >= report["manifest_requests"], 10)
    assert {sender for sender, _ in listener.got} == {"Bearer told-to-nobody"}
    assert {event["target"]["mediaType"] for _, event in listener.got} == {images.INDEX, images.MANIFEST}
    assert listener.count("pull") == report["manifest_requests"] and listener.count("push") == 3 * len(SMALL)


def left_over(folder: Path) -> list[str]:
    """Processes, mounts and files of a stand in `folder`."""
    paths = owned(folder)
    found = [*(" ".join(process.cmdline()) for process in host.processes_of(paths)), *host.mounts_of(paths)]
    return [*found, *(str(path) for path in (folder, *paths) if path.exists())]


@pytest.mark.parametrize("prefer", ["container", "process"])
def test_close_leaves_nothing(prefer: stand.Prefer, tmp_path: Path) -> None:
    folder = tmp_path / "stand"
    with open_stand(folder, prefer) as registry:
        assert left_over(folder) and registry.kind == prefer
    assert left_over(folder) == [] and not registry.running()
    registry.close()
    assert not folder.exists()


@pytest.mark.parametrize("prefer", ["container", "process"])
def test_a_crashed_stand_is_cleaned_by_the_next(prefer: stand.Prefer, tmp_path: Path) -> None:
    folder = tmp_path / "stand"
    crashed = open_stand(folder, prefer)
    crashed.start()
    images.push_all(crashed.url, recipes=SMALL[:1])
    with open_stand(folder, "process") as fresh:
        assert fresh.url != crashed.url and not answers(crashed) and answers(fresh)
        assert len(list(host.processes_of(owned(folder)))) == 1
        assert httpx.get(f"{fresh.url}/v2/_catalog").json() == {"repositories": []}
    assert left_over(folder) == []


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stand"
    code = (
        # A parent that runs in the background hands SIGINT on as ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from seawall.demo.stand import open_stand\n"
        f"with open_stand(Path({str(folder)!r})): input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert host.until(lambda: any(host.processes_of(owned(folder))), 20)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=30)
    finally:
        child.kill()
    assert b"KeyboardInterrupt" in error
    assert left_over(folder) == []


def test_no_container_here_means_a_process_or_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for program in ("docker-registry", "start-stop-daemon", "ldd"):
        (tools / program).symlink_to(host.need(program))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(host, "SYSTEM_PATH", "")
    with open_stand(tmp_path / "stand") as registry:
        assert registry.kind == "process" and "podman: it is not installed" in registry.why
    with pytest.raises(InputError, match=r"apt-get install -y --no-install-recommends podman runc"):
        open_stand(tmp_path / "stand", "container")
    (tools / "docker-registry").unlink()
    with pytest.raises(InputError, match=r"apt-get install -y --no-install-recommends docker-registry"):
        open_stand(tmp_path / "stand")


def test_the_generator_follows_its_parent(tmp_path: Path) -> None:
    with open_stand(tmp_path / "stand", "process") as registry:
        images.save(images.push_all(registry.url, recipes=SMALL), tmp_path / "images.json")
        report = tmp_path / "report.json"
        command = [sys.executable, "-m", "seawall.demo.traffic", "--url", registry.url]
        command += ["--images", str(tmp_path / "images.json"), "--report", str(report)]
        code = f"import subprocess, sys; p = subprocess.Popen({command!r}); print(p.pid, flush=True); input()"
        parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert parent.stdout is not None
        generator = psutil.Process(int(parent.stdout.readline()))
        assert host.until(report.exists, 10)
        parent.kill()
        parent.communicate()
        assert host.until(lambda: json.loads(report.read_text())["ended"] == "parent gone", 5)
        assert host.until(lambda: gone(generator), 5)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_slow_registry_is_not_spared(tmp_path: Path) -> None:
    """One answer takes 2 s: pulls go on being due, and past the bound they are skipped and counted."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def scenario() -> dict[str, Any]:
        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        image = images.Image("harbour/buoy", "1.0", "sha256:0", 1000)
        more = ("--pulls-per-second", "20", "--seconds", "60", "--in-flight", "4")
        traffic = Traffic(url, [image], tmp_path, *more)
        await asyncio.to_thread(traffic.wait_for, lambda r: r.get("skipped_pulls", 0) >= 20)
        report = await asyncio.to_thread(traffic.stop)
        server.close()
        await server.wait_closed()
        return report

    report = asyncio.run(scenario())
    assert report["pulls"] == 0 and report["failed_pulls"] == 0
    due = 20 * (report["updated"] - report["started"])
    assert abs(report["skipped_pulls"] + 4 - due) <= 12


def test_a_wrong_body_is_a_failed_pull(tmp_path: Path) -> None:
    with open_stand(tmp_path / "stand", "process") as registry:
        pushed = images.push_all(registry.url, recipes=SMALL[1:])
        blobs = sorted(registry.data.rglob("data"), key=lambda path: -path.stat().st_size)
        for path in blobs[:4]:
            path.write_bytes(b"x" + path.read_bytes()[1:])
        traffic = Traffic(registry.url, pushed, tmp_path, "--pulls-per-second", "5", "--seconds", "1")
        assert traffic.process.wait(15) == 0
        assert traffic.report()["errors"] == {"digest mismatch": 5} and traffic.report()["pulls"] == 0


def test_traffic_goes_to_loopback_only(tmp_path: Path) -> None:
    traffic = Traffic("http://192.0.2.1:5000", [images.Image("a", "1", "sha256:0", 1)], tmp_path)
    assert traffic.process.wait(15) != 0 and traffic.report() == {}
