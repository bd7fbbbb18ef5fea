"""renew-certificate: a docker-registry with TLS gets a new pair if it is sound, and the old one back."""

import contextlib
import os
import shutil
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.playbooks import Bench, diff_of, until
from tests.registries import Registry

MISSING = [program for program in ("openssl", "docker-registry") if not shutil.which(program)]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


class Stand:
    """A registry with a certificate that ends in three days; `reload` restarts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority(folder / "ca")
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.place("old", self.certificate, self.key, end=3)
        self.registry = Registry(folder, tls=f"certificate: {self.certificate}, key: {self.key}").start()
        config, pid = folder / f"{self.registry.port}.yml", folder / "pid"
        pid.write_text(str(self.registry.process.pid))
        self.reload = folder / "reload"
        self.reload.write_text(
            f"#!/bin/sh\nset -e\nkill $(cat {pid})\nwhile kill -0 $(cat {pid}) 2>/dev/null &&"
            f" ! grep -q 'State:.*Z' /proc/$(cat {pid})/status; do sleep 0.1; done\n"
            f"setsid docker-registry serve {config} >>{folder}/log 2>&1 </dev/null & echo $! > {pid}\n"
        )
        self.reload.chmod(0o755)
        self.pid = pid
        self.new, self.new_key = folder / "new.crt", folder / "new.key"
        self.facts: dict[str, Any] = {
            "url": self.registry.url,
            "repairs": {
                "certificate": {
                    "file": str(self.certificate),
                    "key": str(self.key),
                    "new_file": str(self.new),
                    "new_key": str(self.new_key),
                    "ca_file": str(self.authority.ca),
                    "reload": [str(self.reload)],
                }
            },
        }

    def place(self, name: str, certificate: Path, key: Path, **how: Any) -> None:
        for source, target in zip(self.authority.issue(name, **how), (certificate, key), strict=True):
            shutil.copy2(source, target)

    def served(self) -> str:
        return until(self._served, 20)

    def _served(self) -> str | None:
        try:
            return ssl.get_server_certificate(("127.0.0.1", self.registry.port), timeout=3)
        except OSError:
            return None

    def pair(self) -> tuple[bytes, bytes]:
        return self.certificate.read_bytes(), self.key.read_bytes()

    def end(self) -> None:
        self.registry.stop()
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(self.pid.read_text()), 9)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.end()


@pytest.fixture
def bench(stand: Stand, tmp_path: Path) -> Bench:
    return Bench("renew-certificate", tmp_path, stand.facts)


def test_a_new_pair_is_put_in_place_and_taken_back(stand: Stand, bench: Bench) -> None:
    stand.place("new", stand.new, stand.new_key, end=200)
    before, old = stand.pair(), stand.served()
    shown = diff_of(bench.check())
    assert "-notAfter=" in shown
    assert "+notAfter=" in shown
    assert "PRIVATE KEY" not in shown
    assert stand.pair() == before

    assert bench.run().status == "successful"
    assert stand.pair() == (stand.new.read_bytes(), stand.new_key.read_bytes())
    assert stand.served().split() == stand.new.read_text().split()
    for path in (stand.key, Path(f"{stand.key}.seawall-old")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    bench.changes_nothing_again()

    assert bench.undo().status == "successful"
    assert (stand.pair(), stand.served()) == (before, old)
    assert bench.undo().changes == ()


def test_a_command_may_make_the_new_pair(stand: Stand, bench: Bench) -> None:
    stand.place("made", stand.folder / "made.crt", stand.folder / "made.key", end=200)
    script = stand.folder / "renew"
    script.write_text(
        f"#!/bin/sh\ncp {stand.folder}/made.crt {stand.new} && cp {stand.folder}/made.key {stand.new_key}\n"
    )
    script.chmod(0o755)
    stand.facts["repairs"]["certificate"]["renew"] = [str(script)]
    assert f"+certificate: as made by {script}" in diff_of(bench.check())
    assert not stand.new.exists()
    assert bench.run().status == "successful"
    assert stand.certificate.read_bytes() == (stand.folder / "made.crt").read_bytes()


def bad_key(stand: Stand) -> None:
    stand.place("new", stand.new, stand.new_key, end=200)
    stand.place("another", stand.folder / "x.crt", stand.new_key, end=200)


def bad_chain(stand: Stand) -> None:
    stranger = Authority(stand.folder / "stranger", "stranger")
    for source, target in zip(stranger.issue("new", end=200), (stand.new, stand.new_key), strict=True):
        shutil.copy2(source, target)


def bad_name(stand: Stand) -> None:
    from cryptography import x509

    stand.place("new", stand.new, stand.new_key, end=200, san=x509.DNSName("registry.example"))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda stand: None, "new.crt is missing"),
        (bad_key, "new.key is not the key of"),
        (bad_chain, "openssl verify: error "),
        (bad_name, "openssl verify: error "),
        (lambda stand: stand.place("new", stand.new, stand.new_key, end=5), "less than 30 days are left"),
        (lambda stand: (stand.new.write_text("x"), stand.new_key.write_text("x")), "openssl x509"),
    ],
    ids=["missing", "another key", "another authority", "another name", "too short", "no certificate"],
)
def test_a_pair_that_is_not_sound_is_never_put_in_place(
    stand: Stand, bench: Bench, make: Any, why: str
) -> None:
    make(stand)
    before, old = stand.pair(), stand.served()
    for outcome in (bench.check(), bench.run()):
        assert outcome.status == "failed"
        assert why in outcome.message
    assert (stand.pair(), stand.served()) == (before, old)


def test_a_reload_that_fails_brings_the_old_pair_back(stand: Stand, bench: Bench) -> None:
    stand.place("new", stand.new, stand.new_key, end=200)
    before = stand.pair()
    script = stand.folder / "broken"
    script.write_text("#!/bin/sh\necho no such unit >&2; exit 4\n")
    script.chmod(0o755)
    stand.facts["repairs"]["certificate"]["reload"] = [str(script)]
    outcome = bench.run()
    assert outcome.status == "failed"
    assert "the reload failed: no such unit; the old certificate is in place again" in outcome.message
    assert stand.pair() == before
