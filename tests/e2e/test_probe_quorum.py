"""Three sites and a quorum, in a real Seawall: one that fails is no outage, two are; both are named."""

import shutil

import httpx
import pytest

from tests.registries import Registry, push
from tests.serving import free_port, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]


def availability(service) -> dict:
    return next(row for row in service.get("/slos")["items"] if row["name"] == "availability")


def metric(service, line: str) -> float | None:
    text = httpx.get(f"{service.url}/metrics", timeout=20).text
    found = [it for it in text.splitlines() if it.startswith(f"{line} ")]
    return float(found[0].rsplit(" ", 1)[1]) if found else None


def test_one_failed_site_of_three_is_no_outage_and_two_are(up, registry, tmp_path):
    push(registry.url, "team/app", "1.0")
    (tmp_path / "mirror").mkdir()
    mirror = Registry(tmp_path / "mirror").start()
    try:
        push(mirror.url, "team/app", "1.0")
        sites = [
            {"name": "near", "source": "127.0.0.2"},
            {"name": "mirror", "urls": {"main": mirror.url}},
            {"name": "cut", "urls": {"main": f"http://127.0.0.1:{free_port()}"}},
        ]
        service = up(
            {
                "registries": [{"name": "main", "url": registry.url}],
                "probe": {"interval": "1s", "timeout": "800ms", "image": "team/app:1.0", "sites": sites},
            }
        )
        success = 'seawall_probe_success{registry="main",site="%s"}'
        until(lambda: metric(service, success % "cut") == 0.0, 30, "the cut site's failure")
        until(lambda: metric(service, success % "mirror") == 1.0, 30, "the mirror's success")
        verified = 'seawall_digest_verifications_total{registry="main",result="verified",site="near"}'
        until(lambda: (metric(service, verified) or 0) >= 15, 30, "three verified pulls")
        until(lambda: availability(service)["indicator_ok"], 30, "a judgement")
        assert not service.get("/incidents")["items"]
        mirror.stop()
        until(lambda: availability(service)["indicator_ok"] is False, 30, "the quorum")
        (incident,) = until(lambda: service.get("/incidents")["items"], 30, "an incident")
        events = service.get("/events?limit=200")["items"]
        failed = {it["seawall.site"] for it in events if it.get("event.dataset") == "seawall.probe"}
    finally:
        mirror.stop()
    assert incident["slo"] == "availability" and failed == {"mirror", "cut"}
