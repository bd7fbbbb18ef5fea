"""Keyless trust as seawall.yaml has it: refused where it is wrong, read again where it changes."""

import os

import pytest
import yaml

from collectors.pulls.trusting import TrustFiles
from collectors.signatures.configured import read_trusts
from seawall import config
from seawall.checks import _trusted
from seawall.config.keyless import Identity, Keyless
from seawall.config.trust import Trust
from seawall.core.errors import InputError
from tests.signing import Signer, p256, public_file
from tests.sigstore import ISSUER, Fulcio, Rekor, pem
from tests.unit.test_signatures_rekor2 import Tsa

FILES = {"roots": "a.pem", "rekor_keys": "a.pub"}


def keyless(folder, *identities: Identity) -> Keyless:
    return Keyless(roots=Fulcio().file(folder), rekor_keys=Rekor().file(folder), identities=identities)


@pytest.mark.parametrize(
    ("keyless", "words"),
    [
        ({"roots": "a.pem"}, "rekor_keys"),
        ({"rekor_keys": "a.pub"}, "roots"),
        ({"roots": [], "rekor_keys": "a.pub"}, "roots"),
        ({**FILES, "identities": [{"issuer": ISSUER}]}, "subject"),
        ({**FILES, "identities": [{"subject": "a"}]}, "issuer"),
        ({**FILES, "identities": [{"issuer": ISSUER, "subject": "*"}]}, "anybody at all"),
        ({**FILES, "identities": [{"issuer": ISSUER, "subject": " ** "}]}, "anybody at all"),
        ({**FILES, "identities": [{"issuer": "https://*", "subject": "a"}]}, "is no pattern"),
        ({**FILES, "identity": []}, "identity"),
        ({**FILES, "timestamp_authorities": 1}, "timestamp_authorities"),
    ],
)
def test_a_wrong_keyless_trust_is_refused(tmp_path, keyless, words):
    path = tmp_path / "seawall.yaml"
    registry = {"name": "main", "url": "https://registry.example.com", "trust": {"keyless": keyless}}
    path.write_text(yaml.safe_dump({"registries": [registry]}))
    with pytest.raises(InputError, match=words.replace("*", r"\*")):
        config.load(path)


def test_it_is_trust_and_check_counts_its_identities(tmp_path):
    trust = Trust(keyless=keyless(tmp_path, Identity(issuer=ISSUER, subject="a")))
    assert trust.configured and not read_trusts(trust).own.empty
    assert _trusted(trust) == "0 key(s), 0 authority certificate(s), 1 keyless identity(ies)"


def test_roots_without_a_root_and_files_that_are_none(tmp_path):
    found = keyless(tmp_path)
    found.roots[0].write_bytes(pem(Fulcio().middle.certificate))
    with pytest.raises(InputError, match="no root"):
        read_trusts(Trust(keyless=found))
    found.roots[0].write_bytes(b"none")
    with pytest.raises(InputError, match="no PEM certificate"):
        read_trusts(Trust(keyless=found))
    found.roots[0].write_bytes(pem(Signer("root", ca=True).certificate))
    found.rekor_keys[0].write_bytes(b"none")
    with pytest.raises(InputError, match="no public key"):
        read_trusts(Trust(keyless=found))


def test_timestamp_authorities_are_told_apart_and_looked_after(tmp_path):
    tsa = Tsa()
    found = keyless(tmp_path).model_copy(update={"timestamp_authorities": (tsa.file(tmp_path),)})
    assert found.files[-1] == found.timestamp_authorities[0]
    assert read_trusts(Trust(keyless=found)).own.keyless.timestamps == tsa.believed
    assert not read_trusts(Trust(keyless=keyless(tmp_path))).own.keyless.timestamps.roots
    for data, words in [(pem(tsa.certificate), "no root"), (b"none", "no PEM certificate")]:
        found.timestamp_authorities[0].write_bytes(data)
        with pytest.raises(InputError, match=words) as error:
            read_trusts(Trust(keyless=found))
        assert "tsa.pem" in str(error.value)


def test_a_key_of_the_log_that_is_exchanged_counts_at_once(tmp_path):
    found = keyless(tmp_path)
    files = TrustFiles(Trust(keyless=found))
    first = files()
    assert files() is first
    path = found.rekor_keys[0]
    path.write_bytes(public_file(tmp_path, p256(), "new.pub").read_bytes())
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))
    assert files().own.keyless.logs.keys() != first.own.keyless.logs.keys()
