"""Files of trust: read again when they change, told by `seawall check` when they are wrong."""

import os

import pytest

from collectors.pulls.trusting import TrustFiles
from seawall.checks import exit_code, run
from seawall.config.trust import SigningKey, Trust, TrustRule
from seawall.core.errors import InputError
from tests.serving import free_port
from tests.signing import Signer, p256, public_file


def rewritten(path, data: bytes) -> None:
    """Other content at another time, as an exchange of keys is."""
    path.write_bytes(data)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


def test_trust_is_read_again_when_a_key_changes_and_stays_when_it_cannot_be(tmp_path):
    path = public_file(tmp_path, p256())
    files = TrustFiles(Trust(keys=(SigningKey(file=path),)))
    first = files()
    assert files() is first
    rewritten(path, b"no key")
    assert files() is first
    rewritten(path, public_file(tmp_path, p256(), "new.pub").read_bytes())
    assert files() is not first and files() is files()
    assert files().own.keys[0].key != first.own.keys[0].key
    path.unlink()
    assert files().own.keys


def test_a_certificate_that_is_added_to_a_store_counts(tmp_path):
    store = Signer("one", ca=True).store(tmp_path / "store")
    files = TrustFiles(Trust(repositories=(TrustRule(match="team/*", trust_store=store),)))
    assert len(files().of("team/app").roots) == 1
    Signer("two", ca=True).store(store)
    assert len(files().of("team/app").roots) == 2


def test_a_broken_key_is_an_error_at_the_start(tmp_path):
    path = tmp_path / "broken.pub"
    path.write_text("no key")
    with pytest.raises(InputError, match=r"broken\.pub"):
        TrustFiles(Trust(keys=(SigningKey(file=path),)))


def test_a_check_reads_the_trust_and_names_a_broken_file(tmp_path):
    public_file(tmp_path, p256(), "good.pub")
    (tmp_path / "bad.pub").write_text("no key")
    config = tmp_path / "seawall.yaml"
    entries = [
        f"{{name: {name}, url: 'http://127.0.0.1:{free_port()}', trust: {{keys: [{name}.pub]}}}}"
        for name in ("good", "bad")
    ]
    config.write_text(f"registries: [{', '.join(entries)}]\n")
    found = {check.name: check for check in run(config, "a test")}
    good, bad = found["trust of good"], found["trust of bad"]
    assert (good.ok, good.found) == (True, "1 key(s), 0 authority certificate(s)")
    assert not bad.ok and "bad.pub" in bad.found and bad.remedy and exit_code(list(found.values())) == 2
