"""Every query of every board on a real Prometheus that scrapes a real Seawall: none is refused or empty.

The Seawall watches a real docker-registry, a second one that is its pull-through cache (over TLS), a stand-in
with Harbor's answers, and one with the metrics page of Distribution 3. What a query can only show after
something has happened is made to happen: pulls with and without a signature, hits of a cache, an outage, an
approved run that heals it.
"""

import json
import re
import shutil
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from alerts.slos import load_rows
from dashboards.build import build, marks, queries
from tests.certificates import Authority
from tests.e2e.test_up import slow_playbook
from tests.registries import Registry, http_server, push
from tests.serving import Up, until
from tests.signing import OCI_INDEX, OCI_MANIFEST, Repository, p256, public_file
from tests.store_servers import WITH_PROMETHEUS, Prometheus

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    WITH_PROMETHEUS,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]
ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden"
TOKEN = "webhook-token-for-tests"
DOCKER = "application/vnd.docker.distribution.manifest"
ACCEPT = {
    "accept": f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER}.v2+json, {DOCKER}.list.v2+json",
    "user-agent": "containerd/1.7.24",
}
REGISTRIES = ("main", "mirror", "harbor", "third")
GC_LOG = "2026-09-21T14:10:00Z [INFO] [/jobservice/job/impl/gc/garbage_collection.go:424]:" + (
    " [4021f70a][500/2000] delete blob from storage: sha256:1f0d\n"
)
# A promise that no registry keeps is foreseen to be broken at once; the models would need hours for the rest.
STRICT = {"pull_latency": 0.00001, "storage_capacity": 0.00001}


class Stand:
    """Three registries, a Seawall, and a Prometheus that scrapes it every second."""

    def __init__(self, folder: Path, leaving: ExitStack) -> None:
        self.folder, self.key, self._leaving = folder, p256(), leaving
        for name in ("main", "mirror", "trivy"):
            (folder / name).mkdir()
        self.main = Registry(folder / "main")
        authority = Authority(folder / "tls")
        self.trusted = ssl.create_default_context(cafile=authority.ca)
        certificate, key = authority.issue("mirror")
        self.mirror = Registry(
            folder / "mirror", f"proxy: {{remoteurl: '{self.main.url}'}}\n",
            f"certificate: {certificate}, key: {key}",
        )  # fmt: skip
        self.harbor = leaving.enter_context(http_server(harbor()))
        self.up = Up(folder, self._config(authority.ca))
        endpoint = (
            f"name: seawall, url: '{self.up.url}/api/v1/webhooks/distribution?registry=main',"
            f" headers: {{Authorization: ['Bearer {TOKEN}']}}, timeout: 2s, threshold: 3, backoff: 1s"
        )
        self.main.extra = f"notifications: {{endpoints: [{{{endpoint}}}]}}\n"
        self.prometheus = Prometheus(folder / "prometheus", scraped=f"127.0.0.1:{self.up.port}")

    def _config(self, authority: Path) -> dict[str, Any]:
        (self.folder / "token").touch(mode=0o600)
        (self.folder / "token").write_text(TOKEN)
        log = self.folder / "cache.log"
        log.write_bytes((GOLDEN / "captured/nginx-1.22.1-cache.log").read_bytes())
        shutil.copy(GOLDEN / "reconstructed/trivy-report.json", self.folder / "trivy/report.json")
        rows = yaml.safe_load((ROOT / "alerts/slos.yaml").read_text())
        for row in rows["slos"]:
            if row["name"] in STRICT:
                row["objective"]["value"] = STRICT[row["name"]]
        (self.folder / "slos.yaml").write_text(yaml.safe_dump(rows))
        secret = str(self.folder / "token")
        return {
            "registries": [
                {
                    "name": "main", "url": self.main.url, "metrics_url": self.main.metrics_url,
                    "logs": [str(self.main.log), str(log)], "trivy_reports": str(self.folder / "trivy"),
                    "trust": {"keys": [str(public_file(self.folder, self.key, "release.pub"))]},
                },
                {
                    "name": "mirror", "url": self.mirror.url, "metrics_url": self.mirror.metrics_url,
                    "ca_file": str(authority),
                },
                {
                    "name": "harbor", "kind": "harbor", "url": self.harbor, "username": "robot",
                    "password_file": secret, "metrics_url": f"{self.harbor}/metrics",
                },
                {
                    "name": "third", "url": self.harbor,
                    "metrics_url": f"{self.harbor}/metrics?comp=distribution-3",
                },
            ],
            "storage": [{"registry": "main", "path": str(self.main.folder / "data"), "reclaimable": "5s"}],
            "slos": str(self.folder / "slos.yaml"),
            "probe": {"interval": "1s", "timeout": "900ms"},
            "pulls": {"grace": "1s", "recheck": "1s", "lookups": 50},
            "playbooks": str(slow_playbook(self.folder, self.folder / "marker", 1.0)),
            "webhooks": {"distribution": {"token_file": secret}},
        }  # fmt: skip

    def start(self) -> None:
        self.main.start()
        self._leaving.callback(self.main.stop)
        push(self.main.url, "team/app", "1.0")
        self._remember()
        self.mirror.start()
        self._leaving.callback(self.mirror.stop)
        self._leaving.callback(self.up.stop)
        self.up.start()
        self._leaving.callback(self.prometheus.stop)
        self.prometheus.start()
        first = "seawall_approval_wait_seconds_count == 0"  # what happens from here on is an increase
        until(lambda: self.get("query", query=first)["result"], 30, "a scrape")

    def _remember(self) -> None:
        """Half a day of a volume that fills, as an operator would bring it along; growth needs a history."""
        volume, now = self.main.folder / "data", time.time()
        used, labels = shutil.disk_usage(volume).used, f'"state=used,volume={volume}"'
        rows = [
            f"{now - 600 * ago},main,seawall_storage_bytes,{used - ago * 5e7:.0f},{labels}"
            for ago in range(72, 0, -1)
        ]
        history = self.folder / "history.csv"
        history.write_text("\n".join(["timestamp,registry,signal,value,labels", *rows]) + "\n")
        done = self.up.cli("import", "samples", str(history))
        assert done.returncode == 0, done.stderr

    def sign(self) -> None:
        """A signed and an unsigned image."""
        signed, bare = Repository(self.main.url, "team/signed"), Repository(self.main.url, "team/bare")
        signed.signed(signed.image(), self.key)
        bare.image()

    def pull(self) -> None:
        """As clients do: from the registry, some of it missing, and through its cache."""
        for path in ("team/app", "team/signed", "team/bare", "team/nothing"):
            httpx.get(f"{self.main.url}/v2/{path}/manifests/1.0", headers=ACCEPT, trust_env=False)
        base = f"{self.mirror.url}/v2/team/app"
        with httpx.Client(base_url=base, trust_env=False, verify=self.trusted) as client:
            for child in client.get("/manifests/1.0", headers=ACCEPT).raise_for_status().json()["manifests"]:
                image = client.get(f"/manifests/{child['digest']}", headers=ACCEPT).raise_for_status().json()
                client.get(f"/blobs/{image['config']['digest']}").raise_for_status()

    def heal(self) -> None:
        """The registry dies, a person approves, the playbook runs, the registry is back, it is proved."""
        self.main.stop()
        action = until(self._repair, 60, "a preview")
        with self.up.api(self.up.person("ada", "approver")) as api:
            api.post(f"/api/v1/actions/{action['id']}/approve").raise_for_status()
        path = f"/actions/{action['id']}"
        until(lambda: self.up.get(path)["state"] == "verifying", 60, "the end of the run")
        self.main.start()
        until(lambda: self.up.get(path)["state"] == "succeeded", 60, "the proof")

    def _repair(self) -> dict[str, Any] | None:
        found = self.up.get("/actions")["items"]
        wanted = ("slow-repair", "awaiting_approval")
        return next((it for it in found if (it["playbook"], it["state"]) == wanted), None)

    # asking as Grafana does -------------------------------------------------------------------

    def get(self, path: str, **more: Any) -> Any:
        answer = httpx.get(f"{self.prometheus.url}/api/v1/{path}", params=more, timeout=30, trust_env=False)
        told = answer.json()
        assert told["status"] == "success", (more, told)
        return told["data"]

    def filled(self, expr: str) -> str:
        """With its variables as Grafana fills them in: several chosen values are a regular expression in
        which every special character has two backslashes."""
        signals = sorted(self.get("label/signal/values"))
        quoted = [re.sub(r"([\\^$*+?.(){}|\[\]])", r"\\\\\1", name) for name in signals]
        for name, value in {
            "$registry": "|".join(REGISTRIES),
            "$signal": f"({'|'.join(quoted)})",
            "$__rate_interval": "1m",
            "$__range": "10m",
        }.items():
            expr = expr.replace(name, value)
        return expr

    def shows(self, expr: str) -> bool:
        """Is there a finite value within the last ten minutes?"""
        now = time.time()
        found = self.get("query_range", query=self.filled(expr), start=now - 600, end=now, step=5)["result"]
        return any(abs(float(value)) < float("inf") for it in found for _, value in it["values"])


def harbor():
    """Answers of Harbor's API and metrics pages, with the names of its sources."""
    documents = json.loads((GOLDEN / "reconstructed/harbor-api.json").read_text())
    documents["/robots"][0]["expires_at"] = int(time.time()) + 30 * 86400

    def answer(handler) -> bytes:
        url = urlsplit(handler.path)
        if url.path == "/metrics":
            component = url.query.partition("comp=")[2] or "exporter"
            pages = {
                "registry": GOLDEN / "captured/distribution-2.8.2-cached-metrics.txt",
                "distribution-3": GOLDEN / "reconstructed/distribution-3-metrics.prom",
            }
            return pages.get(component, GOLDEN / f"reconstructed/harbor-{component}.prom").read_bytes()
        if url.path.endswith("/log"):
            return GC_LOG.encode()
        return json.dumps(documents.get(url.path.removeprefix("/api/v2.0"), {})).encode()

    return answer


@pytest.fixture(scope="module")
def stand(tmp_path_factory) -> Iterator[Stand]:
    with ExitStack() as leaving:
        made = Stand(tmp_path_factory.mktemp("grafana"), leaving)
        made.start()
        made.sign()
        made.pull()
        made.heal()
        yield made


def test_every_variable_has_values(stand):
    asked = {
        it["query"]
        for text in build(load_rows(), stand.up.url).values()
        for it in json.loads(text)["templating"]["list"]
        if it["type"] == "query"
    }
    for query in asked:
        metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
        match = {"match[]": stand.filled(metric)}
        until(lambda label=label, match=match: stand.get(f"label/{label}/values", **match), 60, query)


def test_a_query_that_shows_nothing_is_noticed(stand):
    assert stand.shows('seawall_probe_success{registry=~"$registry"}')
    assert not stand.shows('seawall_probe_success{registry=~"$registry", site="moon"}')
    assert not stand.shows("0 * seawall_leader / 0")


def test_every_query_of_every_board_shows_something(stand):
    files = build(load_rows(), stand.up.url)
    waiting = {
        (name, title, expr) for name, text in files.items() for title, expr in (*queries(text), *marks(text))
    }
    assert len(waiting) > 100
    end = time.monotonic() + 180
    while waiting and time.monotonic() < end:
        stand.pull()
        waiting = {it for it in waiting if not stand.shows(it[2])}
        time.sleep(1)
    told = "\n".join(f"{name} {title}: {expr}" for name, title, expr in sorted(waiting))
    assert not waiting, f"empty:\n{told}\n{stand.up.log.read_text()[-3000:]}"
