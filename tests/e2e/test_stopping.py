"""SIGTERM of a busy `seawall up`: an end within seconds, without a traceback, and nothing half done."""

import signal
import time

import pytest

from seawall.stores.duckdb import DuckDatabase
from tests.registries import Registry
from tests.serving import Up, until

pytestmark = pytest.mark.e2e


def test_sigterm_under_load_ends_soon_and_says_nothing_bad(tmp_path):
    registry = Registry(tmp_path).start()
    urls = [registry.url] * 40 + ["http://127.0.0.1:1"] * 10
    service = Up(
        tmp_path,
        {
            "registries": [{"name": f"r{n}", "url": url} for n, url in enumerate(urls)],
            "probe": {"interval": "1s", "timeout": "500ms"},
        },
    ).start()
    try:
        with service.api() as api:
            until(lambda: 'seawall_slo_status{registry="r0"' in api.get("/metrics").text, 60, "a turn")
        began = time.monotonic()
        service.process.terminate()
        assert service.process.wait(60) in (0, -signal.SIGTERM), "uvicorn raises the signal again at its end"
        took, said = time.monotonic() - began, service.log.read_text()
        assert took < 20, f"{took:.1f} s"
        for word in ("Traceback", "CancelledError", "already closed", "ERROR"):
            assert word not in said, said[-3000:]
        database = DuckDatabase(service.state / "data")
        (rounds, distinct) = database.query(
            "SELECT count(*), count(DISTINCT (registry, ts)) FROM samples_all"
            " WHERE signal = 'seawall_probe_success'"
        )[0]
        database.close()
        assert rounds == distinct > 0
    finally:
        service.stop()
        registry.stop()
