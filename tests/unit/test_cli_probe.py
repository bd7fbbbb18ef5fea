"""`seawall probe` and what the configuration says of it: options, exit codes, JSON, the waterfall."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import yaml
from rich.console import Console

from collectors.pulling.phases import Phase
from seawall import checks, config
from seawall.cli.waterfall import told_bytes, told_seconds, waterfall
from seawall.core.errors import InputError
from seawall.sources import build_collectors, endpoint_of, tls_of
from seawall.stores.memory import MemoryEvents
from tests.certificates import Authority, server_context
from tests.scripted import Answer, Request, changed, registry, serving


@contextmanager
def served(answer: Callable[[Request], Answer | None] = registry, tls=None) -> Iterator[str]:
    """The scripted registry in a thread of its own, for commands that run beside it; its URL."""
    ready, stop = threading.Event(), asyncio.Event()
    found: dict[str, object] = {}

    async def run() -> None:
        async with serving(answer, tls) as server:
            found.update(url=server.url, loop=asyncio.get_running_loop())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield str(found["url"])
    finally:
        found["loop"].call_soon_threadsafe(stop.set)
        thread.join(10)


def seawall(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", "probe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_pull_is_drawn_and_told_and_exits_with_0():
    with served() as url:
        done = seawall(f"{url.removeprefix('http://')}/team/app:1.0")
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["phase", "connect", "manifest_index"]
    assert lines[-1].startswith(f"{url}: pulled, 3 digests verified, 5.")


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        (
            "/v2/team/app/manifests/",
            (404, {}, b""),
            "healthy, but not pulled: manifest 1.0: the registry answered",
        ),
        ("/v2/team/app/blobs/", (500, {}, b""), "failed at blob_ttfb: blob sha256:"),
    ],
)
def test_trouble_is_told_in_words_and_exits_with_1(path, answer, words):
    with served(changed(path, answer)) as url:
        done = seawall(f"{url.removeprefix('http://')}/team/app:1.0")
    assert done.returncode == 1 and f"{url}: {words}" in done.stdout and not done.stderr


def test_json_is_the_same_for_machines():
    with served() as url:
        done = seawall(f"{url.removeprefix('http://')}/team/app:1.0", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["ok"] and found["digests"] == {"verified": 3, "mismatch": 0}
    assert {key for phase in found["phases"] for key in phase} == {
        "name", "start", "seconds", "bytes", "error", "target",
    }  # fmt: skip
    assert found["clock_skew"] is None and found["phase"] == found["reason"] == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "names no registry"),
        (["127.0.0.1:1/A"], "no image reference"),
        (["127.0.0.1:1/a", "--platform", "amd64"], "write it like linux/amd64"),
        (["127.0.0.1:1/a", "--site", "berlin"], "no such site"),
        (["registry.example.com/a", "--ca-file", "missing.pem"], "missing.pem"),
        (["registry.example.com/a", "--client-cert", "missing.pem"], "missing.pem"),
    ],
)
def test_misuse_is_one_line_and_exits_with_2(arguments, words):
    done = seawall(*arguments)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_tls_files_of_the_command_line_are_used(tmp_path):
    authority = Authority(tmp_path / "tls")
    certificate, key = authority.issue("client")
    with served(tls=server_context(authority.issue("server"), clients=authority.ca)) as url:
        path = tmp_path / "seawall.yaml"
        path.write_text(yaml.safe_dump({"registries": [{"name": "main", "url": url}]}))
        flags = [
            "--ca-file",
            authority.ca,
            "--client-cert",
            certificate,
            "--client-key",
            key,
            "--config",
            path,
        ]
        done = seawall(f"{url.removeprefix('https://')}/team/app:1.0", *map(str, flags))
    assert done.returncode == 0, done.stdout + done.stderr


# the waterfall ---------------------------------------------------------------------------------

PHASES = (
    Phase("dns", 0.0, 0.010, target="1.0"),
    Phase("connect", 0.010, 0.0, target="1.0"),
    Phase("manifest_index", 0.010, 0.040, bytes=512, target="1.0"),
    Phase("blob_transfer", 0.050, 0.050, bytes=3 << 20, error="reset", target="sha256:" + "ab" * 32),
)


@pytest.mark.parametrize("width", [40, 80, 160, 400])
def test_bars_stand_where_their_time_is_and_fit_the_terminal(width):
    console = Console(width=max(width, 80), record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(waterfall(PHASES, 0.1, width))
    console.file.close()
    head, *rows = console.export_text().splitlines()
    begin, room = head.index("0"), len("0" + head.split("0", 1)[1].split("ms")[0]) + 2
    bars = [row[begin : begin + room] for row in rows]
    assert all(bar.strip() for bar in bars), "no phase is invisible"
    assert all(len(row.rstrip()) <= max(width, 80) for row in rows)
    starts = [len(bar) - len(bar.lstrip()) for bar in bars]
    assert starts == sorted(starts) and abs(starts[3] - room / 2) <= 1
    assert abs(len(bars[3].rstrip()) - room) <= 1 and "abababababab" in rows[3] and "3.0 MiB" in rows[3]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.00042, "0.42 ms"), (0.0099, "9.90 ms"), (0.042, "42 ms"), (4.24, "4.2 s")]
)
def test_seconds_are_told_in_their_size(seconds, told):
    assert told_seconds(seconds) == told


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_bytes_are_told_in_their_size(size, told):
    assert told_bytes(size) == told


# configuration ---------------------------------------------------------------------------------


def loaded(tmp_path, **document) -> config.Config:
    path = tmp_path / "seawall.yaml"
    path.write_text(
        yaml.safe_dump({"registries": [{"name": "main", "url": "http://127.0.0.1:1"}], **document})
    )
    return config.load(path)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({"sites": [{"name": "a"}, {"name": "a"}]}, "stands twice"),
        ({"sites": [{"name": "a", "urls": {"other": "http://x"}}]}, "no registry is named 'other'"),
        ({"sites": [{"name": "a", "proxy": "https://proxy"}]}, "is no proxy"),
        ({"sites": [{"name": "a", "source": "eth0"}]}, "source"),
        ({"platform": "amd64"}, "platform"),
        ({"timeouts": {"blob": "1s"}}, "blob"),
        ({"timeouts": {"dns": 0}}, "dns"),
    ],
)
def test_a_probe_that_cannot_be_is_refused_by_its_key(tmp_path, probe, words):
    with pytest.raises(InputError, match=words):
        loaded(tmp_path, probe=probe)


def test_limits_and_sites_reach_the_probe(tmp_path):
    sites = [{"name": "near", "source": "127.0.0.2"}, {"name": "far", "proxy": "http://127.0.0.1:3128"}]
    made = loaded(tmp_path, probe={"timeouts": {"dns": "1s"}, "sites": sites})
    names = [collector.name for collector in build_collectors(made, MemoryEvents())]
    assert names == ["probe@near", "probe@far"]
    near, far = (endpoint_of(made.registries[0], made.probe, site, "http://x") for site in made.probe.sites)
    assert near.route.source == "127.0.0.2" and str(far.route.proxy) == "http://127.0.0.1:3128/"
    assert near.limits["dns"] == 1.0 and near.limits["tls"] == 3.0 and "blob_transfer" not in near.limits


def test_a_client_key_that_others_can_read_is_refused(tmp_path):
    certificate, key = Authority(tmp_path / "tls").issue("client")
    key.chmod(0o644)
    of = config.Registry(name="main", url="https://x", client_cert=certificate, client_key=key)
    with pytest.raises(InputError, match="open to other users"):
        tls_of(of)
    with pytest.raises(ValueError, match="client_key without client_cert"):
        config.Registry(name="main", url="https://x", client_key=key)


@pytest.mark.parametrize(
    ("days", "ok", "words"),
    [
        ((-1, 90), True, "valid until"),
        ((-1, 3), False, "expires in 3 days"),
        ((-1, 800), True, "over one year"),
    ],
)
def test_check_tells_of_the_certificate(tmp_path, days, ok, words):
    authority = Authority(tmp_path / "tls")
    with served(lambda r: (200, {}, b"{}"), server_context(authority.issue("server", *days))) as url:
        path = tmp_path / "seawall.yaml"
        main = {"name": "main", "url": url, "ca_file": str(authority.ca)}
        sites = [{"name": "near"}, {"name": "far", "source": "127.0.0.2"}]
        path.write_text(yaml.safe_dump({"registries": [main], "probe": {"sites": sites}}))
        found = {check.name: check for check in checks.run(path, "test")}
    assert found["registry main from near"].ok and found["registry main from far"].ok
    certificate = found["certificate of main"]
    assert (
        certificate.ok is ok
        and words in certificate.found
        and bool(certificate.remedy) is (words != "valid until")
    )
