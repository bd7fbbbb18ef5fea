"""The probe against a real docker-registry that is loaded, killed, paused, slow, full, expired or out of
time: each is seen by its phase and its reason."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from collectors.exchange import TlsFiles
from collectors.probe import PullProbe
from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import Image
from collectors.pulling.pull import Pull, Wanted, probe
from collectors.pulling.tokens import Credentials
from seawall.core.signals import labels
from tests.certificates import Authority
from tests.registries import LAYERS, Registry, TokenServer, digest, http_server, push
from tests.relay import relay, shifted
from tests.serving import free_port

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]
IMAGE = Image("", "team/app", "1.0")
ALICE = Credentials("alice", lambda: "pw")


def prober(
    url: str, image: Image | None = IMAGE, timeout: float = 5, login: Credentials | None = None
) -> PullProbe:
    return PullProbe("reg", Endpoint(url, login), Wanted(image, timeout), "here")


def value(batch, phase: str | None = None) -> float | None:
    wanted = labels(site="here", phase=phase) if phase else labels(site="here")
    return next((sample.value for sample in batch.samples if sample.labels == wanted), None)


async def pulled(
    url: str, tls: TlsFiles | None = None, deadline: float = 10, login: Credentials | None = None
) -> Pull:
    return await probe(Endpoint(url, login, tls or TlsFiles()), Wanted(IMAGE, deadline), now=time.time())


async def test_an_image_is_pulled_by_phases_and_every_byte_verified(registry):
    push(registry.url, "team/app", "1.0")
    collector = prober(registry.url)
    batch = await collector.collect(1000.0)
    assert value(batch) == 1.0 and not batch.events
    assert dict(collector.digests) == {"verified": 5, "mismatch": 0}
    for phase in ("connect", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer"):
        assert 0 < value(batch, phase) < 5
    blob = registry.folder.glob(f"data/docker/registry/v2/blobs/sha256/*/{digest(LAYERS[0])[7:]}/data")
    next(blob).write_bytes(b"bit rot".ljust(len(LAYERS[0])))
    batch = await collector.collect(1010.0)
    assert value(batch) == 0.0 and "blob_transfer: wrong content" in batch.notes[-1]
    assert collector.digests["mismatch"] == 1


async def test_a_killed_registry_refuses_the_connection(registry):
    collector = prober(registry.url, None)
    assert value(await collector.collect(1000.0)) == 1.0
    registry.stop()
    batch = await collector.collect(1010.0)
    assert value(batch) == 0.0
    assert batch.notes[0].startswith("connect: connection refused after ")
    assert batch.events[0].fields["seawall.phase"] == "connect"
    registry.start()
    assert value(await collector.collect(1020.0)) == 1.0


@pytest.mark.parametrize(("image", "phase"), [(IMAGE, "manifest_index"), (None, "base")])
async def test_a_paused_registry_is_left_at_the_deadline(registry, image, phase):
    push(registry.url, "team/app", "1.0")
    registry.signal(signal.SIGSTOP)
    batch = await prober(registry.url, image, 0.5).collect(1000.0)
    assert value(batch) == 0.0
    assert batch.notes[0].startswith(f"{phase}: no answer within 0.5 s after ")
    registry.signal(signal.SIGCONT)
    assert value(await prober(registry.url, image, 10).collect(1010.0)) == 1.0


async def test_an_image_that_is_not_there_is_no_failure_of_the_registry(registry):
    batch = await prober(registry.url, Image("", "no/such", "1")).collect(1000.0)
    assert value(batch) == 1.0 and "answered 404" in batch.notes[0] and not batch.events


async def test_a_registry_under_load_is_still_pulled_and_verified(registry):
    """Twenty clients pull all the time; the probe sees a registry that is slower, and well."""
    push(registry.url, "team/app", "1.0")
    stop = asyncio.Event()

    async def client() -> int:
        done = 0
        while not stop.is_set():
            done += (await pulled(registry.url, deadline=30)).ok
        return done

    clients = [asyncio.create_task(client()) for _ in range(20)]
    collector = prober(registry.url, timeout=30)
    batches = [await collector.collect(1000.0 + 10 * n) for n in range(5)]
    stop.set()
    done = await asyncio.gather(*clients)
    assert [value(batch) for batch in batches] == [1.0] * 5 and min(done) >= 1
    assert dict(collector.digests) == {"verified": 25, "mismatch": 0}


async def test_a_slow_registry_is_seen_in_the_phase_that_is_slow(registry):
    push(registry.url, "team/app", "1.0")
    async with relay(registry.port, rate=500_000) as url:
        slow = await pulled(url)
        cut = await pulled(url, deadline=0.25)
    async with relay(registry.port, delay=0.4) as url:
        late = await pulled(url)
        limited = await probe(Endpoint(url, limits={"manifest_index": 0.2}), Wanted(IMAGE, 10))
    assert slow.ok and slow.seconds_by_phase()["blob_transfer"] > 0.3
    assert (cut.phase, cut.reason) == ("blob_transfer", "not complete within 0.25 s")
    assert late.ok and late.seconds_by_phase()["manifest_index"] > 0.4 > late.seconds_by_phase()["connect"]
    assert (limited.phase, limited.reason) == ("manifest_index", "no answer within 0.2 s")


def secure(folder: Path, files: tuple[Path, Path], more: str = "") -> Registry:
    return Registry(folder, tls=f"certificate: {files[0]}, key: {files[1]}{more}").start()


@pytest.mark.parametrize(
    ("begin", "end", "reason"), [(-9, -1, "certificate expired"), (1, 9, "certificate not yet valid")]
)
async def test_a_certificate_out_of_its_time_is_a_failure_of_tls(tmp_path, begin, end, reason):
    authority = Authority(tmp_path / "tls")
    registry = secure(tmp_path, authority.issue("server", begin, end))
    try:
        pull = await pulled(registry.url, TlsFiles(str(authority.ca)))
    finally:
        registry.stop()
    assert (pull.phase, pull.reason) == ("tls", reason)


async def test_a_real_registry_speaks_http2_and_plain_http_to_it_is_told(tmp_path):
    authority = Authority(tmp_path / "tls")
    registry = secure(tmp_path, authority.issue("server"))
    try:
        push(registry.url, "team/app", "1.0", verify=str(authority.ca))
        one = await pulled(registry.url, TlsFiles(str(authority.ca)))
        two = await pulled(registry.url, TlsFiles(str(authority.ca), http2=True))
        plain = await pulled(registry.url.replace("https:", "http:"))
    finally:
        registry.stop()
    assert one.ok and two.ok and one.digests == two.digests == {"verified": 5} and one.bytes == two.bytes
    assert sum(phase.name == "tls" for phase in two.phases) == 1 < sum(p.name == "tls" for p in one.phases)
    assert not plain.ok and plain.reason == "manifest 1.0: the registry answered 400"


@pytest.mark.parametrize("http2", [False, True])
async def test_a_registry_that_demands_a_client_certificate_says_what_is_missing(tmp_path, http2):
    authority, strangers = Authority(tmp_path / "tls"), Authority(tmp_path / "strangers", "strangers")
    registry = secure(tmp_path, authority.issue("server"), f", clientcas: [{authority.ca}]")

    async def shown(*files: Path) -> Pull:
        return await pulled(registry.url, TlsFiles(str(authority.ca), *map(str, files), http2=http2))

    try:
        known = await shown(*authority.issue("client"))
        none = await shown()
        expired = await shown(*authority.issue("expired", -9, -1))
        strange = await shown(*strangers.issue("client"))
    finally:
        registry.stop()
    assert known.ok and "answered 404" in known.note
    assert {none.phase, expired.phase, strange.phase} == {"tls"}
    assert "client certificate" in none.reason  # the words depend on the alert that the server's TLS sends
    assert "client certificate" in expired.reason and "client certificate" in strange.reason


@pytest.mark.parametrize(("seconds", "told"), [(-3600, "3600 s behind"), (120, "120 s ahead of")])
async def test_a_registry_whose_clock_is_wrong_is_well_and_said_to_be_wrong(registry, seconds, told):
    push(registry.url, "team/app", "1.0")
    async with relay(registry.port, edit=shifted(seconds)) as url:
        batch = await prober(url).collect(time.time())
    assert value(batch) == 1.0 and batch.notes == [f"the registry's clock is {told} ours"]
    skew = next(s.value for s in batch.samples if s.signal == "seawall_registry_clock_skew_seconds")
    assert abs(skew - seconds) <= 1


def guarded(folder: Path, issuer: TokenServer, realm: str) -> Registry:
    extra = (
        f"auth: {{token: {{realm: {realm}/token, service: seawall-test, issuer: issuer,"
        f" rootcertbundle: {issuer.bundle}}}}}\n"
    )
    return Registry(folder, extra).start()


async def test_a_registry_behind_a_token_server_is_pulled_with_one_token(registry):
    push(registry.url, "team/app", "1.0")
    issuer = TokenServer(registry.folder)
    with http_server(issuer.answer) as realm:
        real = guarded(registry.folder, issuer, realm)
        try:
            alice = prober(real.url, login=ALICE)
            first, second = await alice.collect(1000.0), await alice.collect(1010.0)
            mallory = await prober(real.url, login=Credentials("m", lambda: "x")).collect(1000.0)
            anonymous = await prober(real.url, None).collect(1000.0)
        finally:
            real.stop()
    assert not first.events and not second.events and value(first) == value(second) == 1.0
    assert value(first, "total") and value(second, "total")
    assert value(first, "auth_token") > 0 and value(second, "auth_token") is None
    assert value(mallory) == 1.0 and "401 after a fresh token" in mallory.notes[0]
    assert value(anonymous) == 1.0 and not anonymous.events
    assert len(issuer.asked) == 2


async def test_a_token_server_that_is_down_or_slow_is_named(registry):
    issuer = TokenServer(registry.folder)
    port = free_port()
    real = guarded(registry.folder, issuer, f"http://127.0.0.1:{port}")
    try:
        down = await pulled(real.url, login=ALICE)
        with socket.create_server(("127.0.0.1", port)):  # accepts in the kernel, and says nothing
            limits = {"auth_token": 0.3}
            slow = await probe(Endpoint(real.url, ALICE, limits=limits), Wanted(IMAGE, 10))
    finally:
        real.stop()
    assert (down.phase, down.reason) == ("auth_token", f"token server 127.0.0.1:{port}: connection refused")
    assert (slow.phase, slow.reason) == (
        "auth_token",
        f"token server 127.0.0.1:{port}: no answer within 0.3 s",
    )


async def test_a_token_server_ahead_of_the_registry_is_named_as_the_cause(registry):
    """Its tokens are not valid yet for the registry: 401 after a fresh token, and two clocks that differ."""
    issuer = TokenServer(registry.folder, ahead=300)
    with http_server(issuer.answer, ahead=300) as realm:
        real = guarded(registry.folder, issuer, realm)
        try:
            pull = await pulled(real.url, login=ALICE)
        finally:
            real.stop()
    assert pull.ok and pull.note.startswith(
        "401 after a fresh token (invalid_token); the token server's clock is "
    )
    assert pull.note.endswith(" s ahead of the registry's")


@pytest.fixture
def small_disk(tmp_path):
    """The registry's data on a file system of 8 MiB."""
    folder = tmp_path / "data"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_registry_with_a_full_disk_serves_pulls_and_refuses_pushes(small_disk, registry):
    push(registry.url, "team/app", "1.0")
    with (
        (small_disk / "ballast").open("wb", buffering=0) as ballast,
        pytest.raises(OSError, match="No space"),
    ):
        while True:
            ballast.write(bytes(4096))
    async with httpx.AsyncClient(base_url=registry.url, trust_env=False) as client:
        refused = await client.post("/v2/team/app/blobs/uploads/")
    pull = await pulled(registry.url)
    (small_disk / "ballast").unlink()
    assert refused.status_code >= 500
    assert pull.ok and not pull.note and pull.digests == {"verified": 5}
