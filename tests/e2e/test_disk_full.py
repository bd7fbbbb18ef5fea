"""The disk under Seawall's own state fills up: nothing is acknowledged that is not kept; then it goes on."""

import os
import subprocess

import httpx
import pytest

from tests.e2e.test_following import config as following
from tests.e2e.test_following import count, grow, metric, read_up
from tests.e2e.test_up import TOKEN, alert, deliver
from tests.serving import Up, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def small_disk(tmp_path):
    """The state folder on a file system of 24 MiB."""
    folder = tmp_path / "state"
    folder.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=False
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path) -> None:
    """Until not one byte more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_refuses_and_a_freed_one_goes_on(tmp_path, small_disk, secret_file):
    config = {
        "registries": [{"name": "main", "url": "http://127.0.0.1:1"}],
        "probe": {"interval": "1s", "timeout": "800ms"},
        "webhooks": {"alertmanager": {"token_file": str(secret_file("alert-token", TOKEN))}},
    }
    service = Up(tmp_path, config).start()
    try:
        until(lambda: service.get("/incidents")["items"], 30, "our own incident")
        fill(small_disk / "ballast")
        refused = [deliver(service, alert(f"f{n}", registry=f"edge{n}")).status_code for n in range(40)]
        assert 503 in refused, refused
        assert service._healthy()
        accepted = {f"edge{n}" for n, status in enumerate(refused) if status == 202}
        kept = {it["registry"] for it in service.get("/incidents?limit=200")["items"]} - {"main"}
        assert kept == accepted, "what was answered 202, and nothing else, is there"
        (small_disk / "ballast").unlink()
        assert deliver(service, alert("again", registry="after")).status_code == 202
        turn = service.get("/slos")["items"][-1]["at"]
        until(lambda: service.get("/slos")["items"][-1]["at"] > turn, 30, "a turn after the disk was freed")
        service.kill()
        service.start()
        assert {it["registry"] for it in service.get("/incidents?limit=200")["items"]} >= kept | {"after"}
    finally:
        service.stop()


def test_a_log_is_kept_once_although_the_disk_was_full_in_its_middle(tmp_path, small_disk):
    path = tmp_path / "registry.log"
    path.touch()
    service = Up(tmp_path, following(str(path))).start()
    try:
        for part in range(2):
            if part:
                fill(small_disk / "ballast")
            grow(path, 8000, part)
            if part:
                until(lambda: 0.0 in dict(up_of_logs(service)).values(), 60, "the log's collector down")
                assert service._healthy()
                until(lambda: ready(service) == 503, 30, "to be told that nothing is kept")
                (small_disk / "ballast").unlink()
                until(lambda: ready(service) == 200, 30, "to be told that it is kept again")
                assert service.log.read_text().count("nothing is kept: ") == 1
            until(lambda: read_up(service), 60, "the end of the log")
        service.kill()
        service.start()
        assert count(service) == (16_000, 16_000, 8_000)
    finally:
        service.stop()


def ready(service) -> int:
    return httpx.get(f"{service.url}/readyz", timeout=20).status_code


def up_of_logs(service):
    """(labels, 0 or 1) of the collectors of logs."""
    return [(pairs, up) for pairs, up in metric(service, "seawall_collector_up") if "logs:" in pairs]
