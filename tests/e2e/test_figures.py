"""`seawall up` over a registry, its pull-through cache and Harbor's names: what /metrics and `check` say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from tests.registries import Registry, http_server, push
from tests.serving import Up, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]


def lines_of(up: Up, *parts: str) -> list[str]:
    """Lines of /metrics that hold all of these."""
    text = httpx.get(f"{up.url}/metrics", timeout=20).text
    return [line for line in text.splitlines() if all(part in line for part in parts)]


def config_of(registry: Registry, logs: Path) -> dict:
    return {
        "registries": [
            {"name": "main", "url": registry.url, "metrics_url": registry.metrics_url, "logs": [str(logs)]},
            {"name": "dead", "kind": "harbor", "url": "http://127.0.0.1:1"},
        ],
        "storage": [
            {"registry": "main", "path": str(registry.folder / "data"), "reclaimable": "1s"},
            {"registry": "main", "path": "/"},
        ],
        "probe": {"interval": "1s", "timeout": "900ms"},
    }


def test_the_figures_of_a_registry_come_and_go_with_it(registry, up, tmp_path):
    push(registry.url, "team/app", "1.0")
    logs = tmp_path / "cache.log"
    logs.write_text(
        '{"upstream_cache_status":"HIT","access_time":"13/May/2020:15:25:30 +0000","uri":"/v2/a/manifests/1",'
        '"status":"200","bytes_sent":"5","host":"h","upstream":"u"}\n'
    )
    running = up(config_of(registry, logs))
    for parts in (
        ("seawall_requests_total{", 'handler="manifest"', 'code="201"', " 2.0"),
        ("seawall_storage_action_seconds_count{", 'action="PutContent"'),
        ("seawall_storage_inodes_used_ratio{", 'volume="/"'),
        ("seawall_storage_reclaimable_bytes{", " 0.0"),
        ("seawall_cache_requests_total{", 'cache="nginx"', 'status="hit"', " 1.0"),
        ('seawall_collector_up{collector="storage-2"', " 1.0"),
        ('seawall_collector_up{collector="api",registry="dead"}', " 0.0"),
        ("seawall_queue_depth{", " 0.0"),
    ):
        until(lambda wanted=parts: lines_of(running, *wanted), 60, " ".join(parts))
    registry.stop()
    until(lambda: lines_of(running, 'collector="metrics"', "seawall_collector_up", " 0.0"), 60, "the end")
    assert not lines_of(running, "seawall_requests_total{")
    assert lines_of(running, "seawall_storage_used_ratio{"), "the disk is still there"


def checked(tmp_path: Path, config: dict) -> tuple[int, dict]:
    """The exit code of `seawall check --json`, and its checks by name."""
    file = tmp_path / "checked.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "seawall", "check", "--json", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_a_check_says_what_each_kind_cannot_tell_and_what_is_wrong(registry, tmp_path):
    logs = tmp_path / "empty.log"
    logs.touch()
    code, found = checked(tmp_path, config_of(registry, logs))
    assert code == 1
    assert "tells nothing of disk" in found["kind of main"]["found"]
    assert "summaries" in found["kind of dead"]["found"]
    assert found["metrics of main"]["ok"] and "sample(s)" in found["metrics of main"]["found"]
    assert not found["api of dead"]["ok"] and "connection refused" in found["api of dead"]["found"]
    assert not [name for name in found if name.startswith(("reclaimable", "growth", "cache"))]


def test_harbor_is_read_by_its_pages_and_its_api(tmp_path, secret_file):
    golden = Path(__file__).parent.parent / "golden/reconstructed"
    documents = json.loads((golden / "harbor-api.json").read_text())

    def answer(handler) -> bytes:
        url = urlsplit(handler.path)
        if url.path == "/metrics":
            component = parse_qs(url.query).get("comp", ["exporter"])[0]
            captured = golden.parent / "captured/distribution-2.8.2-cached-metrics.txt"
            return (captured if component == "registry" else golden / f"harbor-{component}.prom").read_bytes()
        return json.dumps(documents.get(url.path.removeprefix("/api/v2.0"), {})).encode()

    with http_server(answer) as url:
        harbor = {"name": "main", "kind": "harbor", "url": url, "metrics_url": f"{url}/metrics"}
        harbor |= {"username": "robot", "password_file": str(secret_file("password", "secret"))}
        _, found = checked(tmp_path, {"registries": [harbor]})
    assert "jobservice is unhealthy: failed to check health" in found["api of main"]["found"]
    assert "project team-a uses 97% of its quota" in found["metrics-exporter of main"]["found"]
    for name in ("api", "metrics-core", "metrics-registry", "metrics-jobservice", "metrics-exporter"):
        assert found[f"{name} of main"]["ok"] and "0 sample(s)" not in found[f"{name} of main"]["found"]
