"""quarantine-image: a real nginx before a real docker-registry refuses an image, and lets it go again."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.playbooks import Bench, diff_of, until
from tests.registries import INDEX, Registry, push
from tests.serving import free_port

MISSING = [program for program in ("nginx", "docker-registry") if not shutil.which(program)]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


class Proxy:
    """nginx before a registry, as docs/playbooks.md says."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url, self.map = f"http://127.0.0.1:{self.port}", folder / "seawall-deny.map"
        self.map.write_text('"~^/v2/old/" 1; # by hand\n')
        self.config = folder / "nginx.conf"
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.config.write_text(
            f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\nhttp {{\n{temporary}"
            f"access_log {folder}/access.log;\n"
            f"map $uri $quarantined {{\n  default 0;\n  include {self.map};\n}}\n"
            f"server {{\n  listen 127.0.0.1:{self.port};\n  location / {{\n"
            f"    if ($quarantined) {{ return 403; }}\n    proxy_pass {upstream};\n  }}\n}}\n}}\n"
        )
        self.command = ["nginx", "-p", str(folder), "-c", str(self.config)]
        self.process = subprocess.Popen([*self.command, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
        until(lambda: self.status("/v2/") == 200)

    def status(self, path: str, **headers: str) -> int:
        try:
            return httpx.get(f"{self.url}{path}", headers=headers, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    def master(self) -> str:
        """Its processes: they are others after a reload."""
        done = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return done.stdout


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    registry = Registry(tmp_path).start()
    push(registry.url, "team/app", "1.0")
    push(registry.url, "team/other", "2.0")
    made = Proxy(tmp_path, registry.url)
    yield made
    made.process.terminate()
    made.process.wait(10)
    registry.stop()


def digest_of(proxy: Proxy, repository: str, tag: str) -> str:
    answer = httpx.get(
        f"{proxy.url}/v2/{repository}/manifests/{tag}", headers={"accept": INDEX}, trust_env=False
    )
    return "sha256:" + hashlib.sha256(answer.content).hexdigest()


@pytest.fixture
def bench(proxy: Proxy, tmp_path: Path) -> Bench:
    repairs: dict[str, Any] = {
        "deny_map": str(proxy.map),
        "proxy_test": [*proxy.command, "-t"],
        "proxy_reload": [*proxy.command, "-s", "reload"],
    }
    told = {"repository": "team/app", "reference": "1.0", "digest": digest_of(proxy, "team/app", "1.0")}
    return Bench("quarantine-image", tmp_path, {"url": proxy.url, "repairs": repairs}, told)


def test_an_image_is_refused_by_tag_and_digest_and_released(proxy: Proxy, bench: Bench) -> None:
    by_digest = f"/v2/team/app/manifests/{bench.told['digest']}"
    text = proxy.map.read_text()
    # The file is right and the proxy has not taken it: that is a change, too.
    shown = diff_of(bench.check())
    assert f'+"~/manifests/{bench.told["digest"]}$" 1;' in shown
    assert '+"~^/v2/team/app/manifests/1\\.0$" 1;' in shown
    assert (proxy.map.read_text(), proxy.status(by_digest, accept=INDEX)) == (text, 200)

    assert bench.run().status == "successful"
    tagged = "/v2/team/app/manifests/1.0"
    assert [proxy.status(path, accept=INDEX) for path in (by_digest, tagged)] == [403, 403]
    assert proxy.status("/v2/team/app/manifests/1%2E0", accept=INDEX) == 403
    assert proxy.status("/v2/team/app/tags/list") == 200
    assert proxy.map.read_text().startswith(text)
    workers = proxy.master()
    bench.changes_nothing_again()
    assert proxy.master() == workers

    assert bench.undo().status == "successful"
    until(lambda: proxy.status(by_digest, accept=INDEX) == 200)
    assert proxy.status(tagged, accept=INDEX) == 200
    assert proxy.map.read_text() == text
    assert bench.undo().changes == ()


def test_a_run_that_was_cut_off_before_the_reload_is_finished(proxy: Proxy, bench: Bench) -> None:
    digest = bench.told["digest"]
    lines = f'"~/manifests/{digest}$" 1;\n"~^/v2/team/app/manifests/1\\.0$" 1; # {digest}\n'
    proxy.map.write_text(proxy.map.read_text() + lines)
    assert "-# not loaded by the proxy" in diff_of(bench.check())
    assert bench.run().status == "successful"
    assert proxy.status(f"/v2/team/app/manifests/{digest}", accept=INDEX) == 403


def test_a_proxy_whose_test_fails_is_not_reloaded_and_keeps_its_file(proxy: Proxy, bench: Bench) -> None:
    text, workers = proxy.map.read_text(), proxy.master()
    proxy.config.write_text(proxy.config.read_text() + "nonsense;\n")
    outcome = bench.run()
    assert outcome.status == "failed"
    assert "the proxy's test failed, " in outcome.message
    assert (proxy.map.read_text(), proxy.master()) == (text, workers)
    assert proxy.status("/v2/team/app/manifests/1.0", accept=INDEX) == 200


def test_a_digest_that_is_none_is_never_offered(bench: Bench) -> None:
    told = {**bench.told, "digest": "sha256:../../etc"}
    inputs, reason = bench.playbook.resolve(bench.facts, told)
    assert inputs is None
    assert "input digest does not match" in reason
