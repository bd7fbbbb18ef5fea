"""The image's health check against real Seawalls: plain, with TLS, hung, gone (the image: test_image)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.certificates import Authority
from tests.serving import Up, free_port

HEALTHY = Path(__file__).parents[2] / "deploy" / "container" / "healthy.py"
pytestmark = pytest.mark.e2e


class SecureUp(Up):
    """Speaks HTTPS, with a certificate of an authority that the check does not know."""

    def __init__(self, folder: Path) -> None:
        cert, key = Authority(folder / "ca").issue("seawall")
        super().__init__(folder, {"server": {"tls_cert": str(cert), "tls_key": str(key)}})
        self.url = self.url.replace("http:", "https:")

    def _healthy(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, verify=False).is_success
        except httpx.HTTPError:
            return False


def check(place: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SEAWALL_HEALTH_URL": place}
    return subprocess.run([sys.executable, HEALTHY], capture_output=True, text=True, timeout=60, env=env)


@pytest.mark.parametrize("kind", [Up, SecureUp])
def test_both_schemes_are_found_and_one_that_hangs_is_told(kind, tmp_path):
    seawall = SecureUp(tmp_path) if kind is SecureUp else Up(tmp_path, {})
    try:
        seawall.start()
        place = f"127.0.0.1:{seawall.port}/healthz"
        assert check(place).returncode == 0
        assert check(f"{seawall.url}/healthz").returncode == 0
        assert check(f"{seawall.url}/nosuch").returncode == 1, "401 to a stranger is not healthy"
        seawall.process.send_signal(signal.SIGSTOP)
        hung = check(place)
        seawall.process.send_signal(signal.SIGCONT)
        assert hung.returncode == 1 and hung.stderr.count("timed out") == 2
    finally:
        seawall.stop()


def test_nobody_there_is_told():
    done = check(f"127.0.0.1:{free_port()}/healthz")
    assert done.returncode == 1 and done.stderr.count("Connection refused") == 2
    assert "Traceback" not in done.stderr
