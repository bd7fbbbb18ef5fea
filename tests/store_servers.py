"""Real Prometheus, and the two emulators that stand for Elasticsearch, each on a free port of loopback."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from elastic_transport import Urllib3HttpNode
from elastic_transport.client_utils import DEFAULT

from seawall.demo.dialect import Asked, from_osmem, to_osmem
from tests.serving import free_port, until

PROMETHEUS = shutil.which("prometheus")
WITH_PROMETHEUS = pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus (Debian package)")
FLOOD_STAGE = "index.blocks.read_only_allow_delete"


class Server:
    """A program that listens; `stop` ends it by its pid, `start` starts it again on its port and folder."""

    ready = "/"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> Any:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        until(self._answers, 30, f"{type(self).__name__} at {self.url}")
        return self

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self.folder / "log").read_text()
        try:
            return httpx.get(self.url + self.ready, timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(250)  # an emulator that holds a million documents takes its time
            self._process = None


class Prometheus(Server):
    """Takes remote write, and samples up to `window` older than the newest of their series. `scraped` is
    HOST:PORT of what it scrapes every second; `web` is a web configuration (TLS, passwords)."""

    ready = "/-/ready"

    def __init__(
        self, folder: Path, window: str = "1d", scraped: str = "", receiver: bool = True, **web: Any
    ) -> None:
        super().__init__(folder)
        self._receiver, self._web = receiver, web
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s"},
            "storage": {"tsdb": {"out_of_order_time_window": window}},
        }
        if scraped:
            config["scrape_configs"] = [{"job_name": "seawall", "static_configs": [{"targets": [scraped]}]}]
        (folder / "p.yml").write_text(yaml.safe_dump(config))
        (folder / "web.yml").write_text(yaml.safe_dump(web))
        if web:
            self.url = self.url.replace("http:", "https:")

    def command(self) -> list[str]:
        return [
            str(PROMETHEUS),
            f"--config.file={self.folder / 'p.yml'}",
            f"--web.config.file={self.folder / 'web.yml'}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *(["--web.enable-remote-write-receiver"] if self._receiver else []),
        ]

    def _answers(self) -> bool:
        if not self._web:
            return super()._answers()
        try:
            answer = httpx.get(self.url, timeout=2, trust_env=False, verify=False)
            return answer.status_code == 401
        except httpx.HTTPError:
            return False


class Noida(Server):
    """noida-db: claims to be Elasticsearch 8.15.3. Writes, bulk, conflicts, refresh, PIT, a disk's block."""

    def command(self) -> list[str]:
        # The wheel's script is a wrapper that starts this program; it itself can be ended by its pid.
        program = Path(sysconfig.get_path("purelib")) / "noida_db" / "noida-db"
        options = ["--only", "elasticsearch", "--elasticsearch-port", str(self.port)]
        return [str(program), "start", *options, "--data-dir", str(self.folder / "data")]


class Osmem(Server):
    """osmem-server: the dialect of OpenSearch. Searches, sorts, aggregations."""

    def command(self) -> list[str]:
        program = Path(sysconfig.get_path("purelib")) / "osmem_server" / "bin" / "osmem-server"
        return [str(program), "--addr", f"127.0.0.1:{self.port}", "-no-stdin-watch"]


class Remote:
    """The real cluster of $ES_URL."""

    def __init__(self, _folder: Path) -> None:
        self.url = os.environ["ES_URL"].rstrip("/")

    def start(self) -> Any:
        return self

    def stop(self) -> None:
        """It is not ours."""


EMULATORS = {"noida": Noida, "osmem": Osmem} | ({"elasticsearch": Remote} if os.environ.get("ES_URL") else {})
assert sys.prefix != sys.base_prefix, "run the tests in the virtual environment"


class EmulatorNode(Urllib3HttpNode):
    """What an emulator lacks of Elasticsearch: looking at data streams is answered as if there were none."""

    def perform_request(self, method, target, body=None, headers=None, request_timeout=DEFAULT):
        answer = super().perform_request(method, target, body, headers, request_timeout)
        if target.startswith("/_data_stream/") and b"no handler found" in answer[1]:
            raw = json.dumps(
                {"error": {"type": "index_not_found_exception", "reason": target}, "status": 404}
            )
            return type(answer)(replace(answer[0], status=404), raw.encode())
        return answer


class OsmemNode(EmulatorNode):
    """And osmem, by the rewriting of the demo; `honest` lets it say that it is no Elasticsearch."""

    honest = False

    def perform_request(self, method, target, body=None, headers=None, request_timeout=DEFAULT):
        asked = to_osmem(Asked(method, target, dict(headers or {}), body))
        answer = super().perform_request(
            asked.method, asked.target, asked.body, asked.headers, request_timeout
        )
        if target == "/" and self.honest:
            return answer
        status, raw = from_osmem(target, answer[0].status, answer[1])
        return type(answer)(replace(answer[0], status=status), raw)


# noida has no composite aggregation: what groups is proven by the others.
GROUPING = pytest.mark.parametrize(
    "events", ["memory", "duckdb", *sorted(EMULATORS.keys() - {"noida"})], indirect=True
)
NODES = {Noida: EmulatorNode, Osmem: OsmemNode}
