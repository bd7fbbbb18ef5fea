"""`seawall verify` against a real docker-registry: every signature that one may find there."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner, Result

from seawall.cli import app
from seawall.core.errors import InputError
from tests.certificates import Authority
from tests.registries import Registry, TokenServer, http_server
from tests.signing import (
    BUNDLE,
    COSE,
    COSIGN_ARTIFACT,
    JWS,
    MAKERS,
    NOTATION,
    OCI_MANIFEST,
    Repository,
    Signer,
    artifact,
    bundle,
    cose,
    descriptor,
    digest,
    jws,
    p256,
    public_file,
    sign,
    simple_layer,
    simple_payload,
    spki_fingerprint,
    target,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    running = Registry(tmp_path_factory.mktemp("registry")).start()
    yield running.url
    running.stop()


@pytest.fixture
def repository(url, request):
    """One of its own for each test."""
    return Repository(url, "team/" + "".join(c for c in request.node.name.lower() if c.isalnum())[:60])


@pytest.fixture
def key():
    return p256()


def verify(repository: Repository, reference: str, *flags: object) -> tuple[str, str, int]:
    """(signature, reason, exit code) of the command."""
    at = "@" if ":" in reference else ":"
    image = f"{repository.image_base}{at}{reference}"
    result: Result = CliRunner().invoke(app, ["verify", image, *map(str, flags), "--json"])
    said = json.loads(result.stdout)
    assert set(said) == {"image", "digest", "signature", "reason"} and said["image"] == image
    return said["signature"], said["reason"], result.exit_code


def test_signed_by_a_trusted_key(repository, key, tmp_path):
    image = repository.image()
    repository.signed(image, key)
    flags = ("--key", public_file(tmp_path, key, "release.pub"))
    assert verify(repository, "1.0", *flags) == ("signed", "signed by release.pub", 0)
    assert verify(repository, digest(image), *flags) == ("signed", "signed by release.pub", 0)


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_of_key(repository, tmp_path, kind):
    key = MAKERS[kind]()
    repository.signed(repository.image(), key)
    assert verify(repository, "1.0", "--key", public_file(tmp_path, key))[0] == "signed"


def test_by_an_untrusted_key(repository, key, tmp_path):
    repository.signed(repository.image(), p256())
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", "untrusted: signed by none of the trusted keys", 1)


def test_without_a_signature(repository, key, tmp_path):
    repository.image()
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", "no signature", 1)


def test_without_trust(repository, key):
    repository.signed(repository.image(), key)
    signature, reason, code = verify(repository, "1.0")
    assert (signature, code) == ("unknown", 1) and reason.startswith("no trust configured")


def test_for_another_digest(repository, key, tmp_path):
    image, other = repository.image(), repository.image("2.0", b"other")
    payload = simple_payload(digest(other))
    repository.cosign(image, (payload, simple_layer(payload, sign(key, payload))))
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", f"signed by key.pub, but for {digest(other)}", 1)


def test_one_good_signature_among_others_suffices(repository, key, tmp_path):
    image = repository.image()
    payload, other = simple_payload(digest(image)), simple_payload(digest(b"x"))
    layers = [
        (payload, simple_layer(payload, sign(p256(), payload))),
        (other, simple_layer(other, sign(key, other))),
        (payload, simple_layer(payload, sign(key, payload))),
    ]
    repository.cosign(image, *layers)
    assert verify(repository, "1.0", "--key", public_file(tmp_path, key))[0] == "signed"


def test_an_index_is_signed_and_its_child_pulled(repository, key, tmp_path):
    child, stranger = repository.image(None), repository.image("other", b"other")
    index = repository.index([child])
    repository.signed(index, key)
    flags = ("--key", public_file(tmp_path, key))
    assert verify(repository, "1.0", *flags)[0] == "signed"
    reason = f"signed by key.pub, in the index {digest(index)}"
    assert verify(repository, digest(child), *flags) == ("signed", reason, 0)
    assert verify(repository, digest(stranger), *flags) == ("unsigned", "no signature", 1)


def test_a_child_signed_alone_does_not_sign_its_index(repository, key, tmp_path):
    child = repository.image(None)
    repository.index([child])
    repository.signed(child, key)
    assert verify(repository, "1.0", "--key", public_file(tmp_path, key))[1] == "no signature"


def test_a_child_of_an_index_of_a_stranger(repository, key, tmp_path):
    child = repository.image(None)
    index = repository.index([child])
    repository.signed(index, p256())
    found = verify(repository, digest(child), "--key", public_file(tmp_path, key))
    reason = f"untrusted: signed by none of the trusted keys, in the index {digest(index)}"
    assert found == ("unsigned", reason, 1)


def test_a_bundle(repository, key, tmp_path):
    image = repository.image()
    repository.referrer(image, BUNDLE, BUNDLE, bundle(key, digest(image)))
    assert verify(repository, "1.0", "--key", public_file(tmp_path, key))[0] == "signed"


@pytest.mark.parametrize("predicate", ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"])
def test_provenance_and_sbom_bundles_are_no_signatures(repository, key, tmp_path, predicate):
    image = repository.image()
    repository.referrer(image, BUNDLE, BUNDLE, bundle(key, digest(image), predicate))
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", "no signature", 1)


def test_an_sbom_artifact_is_no_signature(repository, key, tmp_path):
    image = repository.image()
    repository.referrer(image, "application/spdx+json", "application/spdx+json", b"{}")
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", "no signature", 1)


def test_a_bundle_of_another_image(repository, key, tmp_path):
    image = repository.image()
    repository.referrer(image, BUNDLE, BUNDLE, bundle(key, digest(b"other")))
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", f"signed by key.pub, but for {digest(b'other')}", 1)


def test_an_oci_artifact_of_cosign(repository, key, tmp_path):
    image = repository.image()
    payload = repository.blob(simple_payload(digest(image)))
    repository.blob(b"{}")
    layers = [simple_layer(payload, sign(key, payload))]
    subject = descriptor(OCI_MANIFEST, image)
    repository.refer(image, artifact("", layers, subject, COSIGN_ARTIFACT))
    assert verify(repository, "1.0", "--key", public_file(tmp_path, key))[0] == "signed"


def test_a_referrer_of_another_image_does_not_count(repository, key, tmp_path):
    image, other = repository.image(), repository.image("2.0", b"other")
    layer = descriptor(BUNDLE, repository.blob(bundle(key, digest(image))))
    repository.blob(b"{}")
    repository.refer(image, artifact(BUNDLE, [layer], descriptor(OCI_MANIFEST, other)))
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", "no signature", 1)


def test_the_fallback_tag_must_be_an_index(repository, key, tmp_path):
    image = repository.image()
    repository.image(digest(image).replace(":", "-"), b"no index")
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unsigned", "no signature", 1)


@pytest.mark.parametrize(("media_type", "make"), [(JWS, jws), (COSE, cose)])
@pytest.mark.parametrize("config", ["", NOTATION])
def test_notation(repository, tmp_path, media_type, make, config):
    root = Signer("root", ca=True)
    signer = Signer("builder", Signer("middle", root, ca=True))
    image = repository.image()
    repository.referrer(image, NOTATION, media_type, make(signer, target(image)), config)
    found = verify(repository, "1.0", "--trust-store", root.store(tmp_path / "store"))
    assert found == ("signed", "signed by CN=builder", 0)


def test_notation_by_a_stranger(repository, tmp_path):
    image = repository.image()
    signer = Signer("builder", Signer("root", ca=True))
    repository.referrer(image, NOTATION, JWS, jws(signer, target(image)))
    store = Signer("root", ca=True).store(tmp_path / "store")
    found = verify(repository, "1.0", "--trust-store", store)
    assert found == ("unsigned", "untrusted: CN=builder leads to no certificate of the trust store", 1)


def test_notation_expired(repository, tmp_path):
    root, image = Signer("root", ca=True), repository.image()
    expiry = {"io.cncf.notary.expiry": "2025-01-01T00:00:00Z"}
    repository.referrer(image, NOTATION, JWS, jws(Signer("builder", root), target(image), **expiry))
    found = verify(repository, "1.0", "--trust-store", root.store(tmp_path / "store"))
    assert found == ("unsigned", "expired: the signature ended 2025-01-01T00:00:00.000Z", 1)


def test_notation_with_an_expired_certificate(repository, tmp_path):
    root, image = Signer("root", ca=True), repository.image()
    repository.referrer(image, NOTATION, JWS, jws(Signer("builder", root, end=-1), target(image)))
    signature, reason, _ = verify(repository, "1.0", "--trust-store", root.store(tmp_path / "store"))
    assert signature == "unsigned" and reason.startswith("expired: the certificate CN=builder was valid")


@pytest.mark.parametrize("by", ["file", "fingerprint"])
def test_a_revoked_key(repository, key, tmp_path, by):
    repository.signed(repository.image(), key)
    file = public_file(tmp_path, key)
    revoked = file if by == "file" else spki_fingerprint(key)
    found = verify(repository, "1.0", "--key", file, "--revoked", revoked)
    assert found == ("unsigned", "signed by key.pub, which is revoked", 1)


def test_a_keyless_signature_is_present_but_unverified(repository, key, tmp_path):
    pem = Signer("keyless").certificate.public_bytes(serialization.Encoding.PEM).decode()
    repository.signed(repository.image(), p256(), **{"dev.sigstore.cosign/certificate": pem})
    signature, reason, _ = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert signature == "unsigned" and "present, unverified" in reason


def _data_file(url_folder: Path, of: str) -> Path:
    value = of.removeprefix("sha256:")
    return url_folder / "data/docker/registry/v2/blobs/sha256" / value[:2] / value / "data"


@pytest.mark.parametrize("how", ["other bytes", "gone", "cut"])
def test_a_broken_payload_blob(registry, key, tmp_path, how):
    repository = Repository(registry.url)
    image = repository.image()
    repository.signed(image, key)
    file = _data_file(registry.folder, digest(simple_payload(digest(image))))
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + (b"" if how == "cut" else b"x"))
    signature, reason, code = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert (signature, code) == ("unsigned", 1) and reason.startswith("broken signature: blob sha256:")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--key", "missing.pub"], "cannot be read"),
        (["--trust-store", "missing"], "no such folder"),
        (["--revoked", "sha256:12"], "is no fingerprint"),
    ],
)
def test_misuse(repository, flags, words):
    result = CliRunner().invoke(app, ["verify", f"{repository.image_base}:1.0", *flags])
    assert isinstance(result.exception, InputError) and words in str(result.exception)


def test_no_such_image_is_unknown(repository, key, tmp_path):
    found = verify(repository, "1.0", "--key", public_file(tmp_path, key))
    assert found == ("unknown", "look-up failed: the registry has no such image", 1)


def test_a_registry_of_https_on_loopback(registry, key, tmp_path):
    repository = Repository(registry.url)
    repository.signed(repository.image(), key)
    authority = Authority(tmp_path / "tls")
    certificate, secret = authority.issue("server")
    secure = Registry(registry.folder, tls=f"certificate: {certificate}, key: {secret}").start()
    try:
        there = Repository(secure.url)
        flags = ("--key", public_file(tmp_path, key))
        assert verify(there, "1.0", *flags, "--ca-file", authority.ca)[0] == "signed"
        unknown, reason, _ = verify(there, "1.0", *flags)
        plain = verify(there, "1.0", *flags, "--plain-http")
    finally:
        secure.stop()
    assert unknown == "unknown" and "unknown authority" in reason
    assert plain[0] == "unknown" and "answered 400" in plain[1]


def test_an_account_of_the_command_line(registry, key, tmp_path, secret_file):
    repository = Repository(registry.url)
    repository.signed(repository.image(), key)
    issuer = TokenServer(registry.folder)
    flags = ("--key", public_file(tmp_path, key))
    alice = ("--username", "alice", "--password-file")
    with http_server(issuer.answer) as realm:
        token = f"realm: {realm}/token, service: registry, issuer: issuer, rootcertbundle: {issuer.bundle}"
        guarded = Registry(registry.folder, extra=f"auth: {{token: {{{token}}}}}\n").start()
        try:
            there = Repository(guarded.url)
            good = verify(there, "1.0", *flags, *alice, secret_file("good", "pw"))
            bad = verify(there, "1.0", *flags, *alice, secret_file("bad", "no"))
        finally:
            guarded.stop()
    assert good == ("signed", "signed by key.pub", 0)
    assert bad[0] == "unknown" and "401 after a fresh token" in bad[1]
