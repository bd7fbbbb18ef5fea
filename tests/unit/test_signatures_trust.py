"""Whom we believe: keys with times, what is revoked, patterns, trust stores, notation's rules for chains."""

import shutil
import time
from dataclasses import replace

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from collectors.signatures import notation
from collectors.signatures.configured import read_trusts
from collectors.signatures.envelopes import read_cose, read_jws
from collectors.signatures.keys import fingerprint, read_public_key
from collectors.signatures.lookups import Manifest
from collectors.signatures.trust import Trust, TrustedKey, read_key, read_trust_store
from collectors.signatures.verdicts import BadSignature, Code
from seawall import config
from seawall.cli import app
from seawall.core.errors import InputError
from tests.signing import (
    MAKERS,
    OCI_MANIFEST,
    Signer,
    body_of,
    cose,
    digest,
    jws,
    p256,
    public_file,
    sign,
    target,
)

BODY = body_of({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []})
IMAGE = Manifest(digest(BODY), OCI_MANIFEST, BODY, {})
ROOT = Signer("root", ca=True)
NOW = time.time()


def said(envelope: bytes, roots: list[Signer] | None = None, read=read_jws) -> tuple[Code, str]:
    trusted = [it.certificate for it in roots or [ROOT]]
    trust = Trust(roots=trusted, authorities=trusted)
    try:
        opinion = notation.opinion_of(read(envelope), IMAGE, trust, NOW)
    except BadSignature as error:
        opinion = error.opinion
    return opinion.code, opinion.reason


# keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [(-9, 9, Code.TRUSTED), (1, 9, Code.NOT_YET_VALID), (-9, -1, Code.EXPIRED)],
)
def test_a_keys_times_are_judged_now(since, until, code):
    key = p256()
    trust = Trust([TrustedKey("a", key.public_key(), NOW + since, NOW + until)])
    assert trust.opinion(sign(key, b"x"), b"x", NOW).code is code


def test_of_two_entries_of_one_key_the_one_that_counts_now_is_taken():
    key = p256()
    entries = [TrustedKey("old", key.public_key(), not_after=NOW - 1), TrustedKey("new", key.public_key())]
    assert Trust(entries).opinion(sign(key, b"x"), b"x", NOW).signer == "new"


@pytest.mark.parametrize("kind", MAKERS)
def test_key_files(tmp_path, kind):
    key = MAKERS[kind]()
    read = read_key(public_file(tmp_path, key))
    assert Trust([read]).opinion(sign(key, b"x"), b"x", NOW).code is Code.TRUSTED
    assert Trust([read]).opinion(sign(key, b"x"), b"y", NOW) is None


def test_a_certificates_key_counts_while_the_certificate_is_valid(tmp_path):
    signer = Signer("old", begin=-9, end=-1)
    file = signer.store(tmp_path) / "old.pem"
    assert Trust([read_key(file)]).opinion(sign(signer.key, b"x"), b"x", NOW).code is Code.EXPIRED


def test_rsa_with_pss():
    key = MAKERS["RSA"]()
    trust = Trust([TrustedKey("a", key.public_key())])
    assert trust.opinion(sign(key, b"x", pss=True), b"x", NOW).code is Code.TRUSTED


@pytest.mark.parametrize(
    "content", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
def test_a_file_that_is_no_key(tmp_path, content):
    (tmp_path / "a.pub").write_bytes(content)
    with pytest.raises(InputError, match="no public key"):
        read_public_key(tmp_path / "a.pub")


def test_a_weak_key_and_two_keys_in_one_file(tmp_path):
    weak = public_file(tmp_path, rsa.generate_private_key(65537, 1024), "weak.pub")
    with pytest.raises(InputError, match="too short"):
        read_public_key(weak)
    two = tmp_path / "two.pub"
    two.write_bytes(public_file(tmp_path, p256()).read_bytes() * 2)
    with pytest.raises(InputError, match="more than one"):
        read_public_key(two)


# configuration ---------------------------------------------------------------------------------


def test_trust_by_repository(tmp_path):
    own, other = p256(), p256()
    public_file(tmp_path, own, "own.pub")
    public_file(tmp_path, other, "other.pub")
    rules = [{"match": "payments/*", "keys": [{"file": "other.pub", "not_before": "2020-01-01"}]}]
    rules.append({"match": "scratch/*"})
    trust = {"keys": ["own.pub"], "revoked": ["other.pub"], "repositories": rules}
    path = tmp_path / "seawall.yaml"
    registry = {"name": "main", "url": "https://registry.example.com", "trust": trust}
    path.write_text(yaml.safe_dump({"registries": [registry]}))
    trusts = read_trusts(config.load(path).registries[0].trust)
    assert [it.name for it in trusts.of("team/app").keys] == ["own.pub"]
    assert trusts.of("payments/a/b").keys[0].not_before == 1577836800
    assert trusts.of("payments/a").opinion(sign(other, b"x"), b"x", NOW).code is Code.REVOKED
    assert trusts.of("scratch/x").empty


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        ({"keys": [{"file": "a", "not_before": "2026-02-01", "not_after": "2026-01-01"}]}, "is not before"),
        ({"keys": [{"file": "a", "not_after": "soon"}]}, "soon"),
        ({"revoked": ["sha256:12"]}, "is no fingerprint"),
        ({"repositories": [{"keys": ["a"]}]}, "match"),
    ],
)
def test_a_wrong_trust_is_refused(tmp_path, trust, words):
    path = tmp_path / "seawall.yaml"
    registry = {"name": "main", "url": "https://registry.example.com", "trust": trust}
    path.write_text(yaml.safe_dump({"registries": [registry]}))
    with pytest.raises(InputError, match=words):
        config.load(path)


# trust stores ----------------------------------------------------------------------------------


def test_in_notations_layout_each_certificate_counts_for_its_own(tmp_path):
    store = tmp_path / "truststore"
    for kind in ("ca", "signingAuthority", "tsa"):
        Signer(kind, ca=True).store(store / "x509" / kind / "mine")
    read = read_trust_store(store)
    names = [[it.subject.rfc4514_string() for it in some] for some in (read.roots, read.authorities)]
    assert names == [["CN=ca"], ["CN=signingAuthority"]]
    shutil.rmtree(store / "x509" / "ca")
    shutil.rmtree(store / "x509" / "signingAuthority")
    with pytest.raises(InputError, match="no certificate in this trust store"):
        read_trust_store(store)


def test_a_store_that_is_empty_or_garbage(tmp_path):
    with pytest.raises(InputError, match="no certificate in this trust store"):
        read_trust_store(tmp_path)
    (tmp_path / "a.pem").write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"a\.pem: no certificate"):
        read_trust_store(tmp_path)


# notation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA"])
@pytest.mark.parametrize(("make", "read"), [(jws, read_jws), (cose, read_cose)])
def test_every_algorithm(kind, make, read):
    signer = Signer("builder", ROOT, key=MAKERS[kind]())
    assert said(make(signer, target(BODY)), read=read)[0] is Code.TRUSTED


def test_a_certificate_that_is_in_the_store_itself_counts():
    signer = Signer("alone")
    assert said(jws(signer, target(BODY)), [signer])[0] is Code.TRUSTED
    assert said(jws(Signer("alone"), target(BODY)), [signer])[0] is Code.UNTRUSTED


@pytest.mark.parametrize(
    "signer",
    [
        Signer("a", ROOT, usage=False),
        Signer("a", ROOT, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        Signer("a", ROOT, ca=True),
        Signer("a", Signer("no authority", ROOT)),
    ],
    ids=["not for signatures", "not for code", "an authority", "issued by a leaf"],
)
def test_a_certificate_for_something_else(signer):
    assert said(jws(signer, target(BODY)))[0] is Code.UNTRUSTED


def test_a_leaf_without_key_usage_counts():
    assert said(jws(Signer("a", ROOT, usage=None, purposes=()), target(BODY)))[0] is Code.TRUSTED


def test_chains_of_another_order_or_with_a_strangers_certificate_are_broken():
    signer = Signer("builder", Signer("middle", ROOT, ca=True))
    leaf, middle, root = signer.chain
    for chain in ([leaf, root, middle], [leaf, middle, root, Signer("x", ca=True).chain[0]], [leaf, root]):
        assert said(jws(signer, target(BODY), chain))[0] is Code.BROKEN
    assert said(jws(signer, target(BODY), [leaf, middle]))[0] is Code.TRUSTED
    assert said(jws(signer, target(BODY), [leaf]))[0] is Code.UNTRUSTED


@pytest.mark.parametrize(
    ("headers", "code", "words"),
    [
        ({"crit": ["io.cncf.notary.signingScheme", "x"], "x": 1}, Code.BROKEN, "not understood"),
        ({"crit": ["io.cncf.notary.expiry"]}, Code.BROKEN, "is not there"),
        ({"cty": "text/plain"}, Code.BROKEN, "content type"),
        ({"alg": "ES384"}, Code.BROKEN, "is not the one of its key"),
        ({"alg": "none"}, Code.BROKEN, "is not the one of its key"),
        ({"alg": "HS256"}, Code.BROKEN, "is not the one of its key"),
        ({"io.cncf.notary.signingScheme": "mine"}, Code.BROKEN, "scheme"),
        ({"io.cncf.notary.expiry": "2020-01-01T00:00:00Z"}, Code.EXPIRED, "ended 2020"),
        ({"io.cncf.notary.expiry": "never"}, Code.BROKEN, "no time"),
        ({"io.cncf.notary.expiry": True, "crit": ["io.cncf.notary.expiry"]}, Code.EXPIRED, "ended 1970"),
        ({"io.cncf.notary.expiry": "2999-01-01T00:00:00Z"}, Code.TRUSTED, "signed by CN=builder"),
    ],
)
def test_protected_headers(headers, code, words):
    found = said(jws(Signer("builder", ROOT), target(BODY), **headers))
    assert found[0] is code and words in found[1]


@pytest.mark.parametrize("other", [{"mediaType": "x"}, {"size": 1}, {"digest": digest(b"x")}])
def test_the_target_is_compared_whole(other):
    assert said(jws(Signer("builder", ROOT), target(BODY, **other)))[0] is Code.WRONG_DIGEST


def test_a_revoked_certificate_of_the_chain():
    signer = Signer("builder", Signer("middle", ROOT, ca=True))
    for revoked in (signer, signer.issuer, ROOT):
        trust = replace(Trust(roots=[ROOT.certificate]), revoked=_fingerprint(revoked))
        with pytest.raises(BadSignature) as found:
            notation.opinion_of(read_jws(jws(signer, target(BODY))), IMAGE, trust, NOW)
        assert found.value.opinion.code is Code.REVOKED


def _fingerprint(signer: Signer) -> frozenset[str]:
    return frozenset([fingerprint(signer.key.public_key())])


# the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "names no registry"),
        (["127.0.0.1:1/A"], "no image reference"),
        (["127.0.0.1:1/a", "--key", "missing.pub"], "missing.pub: cannot be read"),
        (["127.0.0.1:1/a", "--trust-store", "missing"], "missing: no such folder"),
        (["127.0.0.1:1/a", "--username", "alice"], "give both"),
        (["127.0.0.1:1/a", "--config", "missing.yaml"], "no such file"),
    ],
)
def test_misuse(arguments, words):
    result = CliRunner().invoke(app, ["verify", *arguments])
    assert isinstance(result.exception, InputError) and words in str(result.exception)


def test_a_registry_that_is_away_is_unknown():
    result = CliRunner().invoke(app, ["verify", "127.0.0.1:1/a"])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "unknown: look-up failed: manifest latest: connection refused",
        "127.0.0.1:1/a: no digest known",
    ]
