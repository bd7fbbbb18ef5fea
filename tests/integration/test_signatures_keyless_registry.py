"""`seawall verify` and keyless signatures, against a real docker-registry."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seawall.cli import app
from seawall.core.errors import InputError
from tests.registries import Registry
from tests.signing import BUNDLE, Repository, digest, p256, public_file, simple_payload
from tests.sigstore import ISSUER, SUBJECT, Fulcio, Sigstore
from tests.unit.test_signatures_rekor2 import Sigstore2, Tsa

pytestmark = pytest.mark.integration
AT = int(time.time()) - 200 * 86400


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    running = Registry(tmp_path_factory.mktemp("registry")).start()
    yield running.url
    running.stop()


@pytest.fixture(scope="module")
def store():
    return Sigstore(AT)


@pytest.fixture
def repository(url, request):
    """One of its own for each test."""
    return Repository(url, "team/" + "".join(c for c in request.node.name.lower() if c.isalnum())[:60])


def verify(repository: Repository, *flags: object) -> tuple[str, str, int]:
    """(signature, reason, exit code) of the command."""
    image = f"{repository.image_base}:1.0"
    result = CliRunner().invoke(app, ["verify", image, *map(str, flags), "--json"])
    said = json.loads(result.stdout)
    return said["signature"], said["reason"], result.exit_code


def trusted(store: Sigstore, folder: Path) -> tuple[object, ...]:
    return "--keyless-roots", store.fulcio.file(folder), "--rekor-key", store.rekor.file(folder)


WHO = ("--identity", SUBJECT, "--issuer", ISSUER)


def signed(repository: Repository, store: Sigstore, logged: int = 60) -> None:
    payload = simple_payload(digest(image := repository.image()))
    repository.cosign(image, (payload, store.layer(payload, logged)))


def test_cosigns_tag(repository, store, tmp_path):
    signed(repository, store)
    signature, reason, code = verify(repository, *trusted(store, tmp_path), *WHO)
    assert (signature, code) == ("signed", 0) and reason.startswith(
        f"signed by {SUBJECT} ({ISSUER}), logged at"
    )


def test_a_bundle(repository, store, tmp_path):
    image = repository.image()
    repository.referrer(image, BUNDLE, BUNDLE, store.bundle(digest(image)))
    assert verify(repository, *trusted(store, tmp_path), *WHO)[::2] == ("signed", 0)
    pattern = ("--identity", "nobody@example.com", "--identity", "*@example.com", "--issuer", ISSUER)
    assert verify(repository, *trusted(store, tmp_path), *pattern)[::2] == ("signed", 0)


def test_an_index_signed_keyless_and_its_child(repository, store, tmp_path):
    index = repository.index([child := repository.image(None)])
    payload = simple_payload(digest(index))
    repository.cosign(index, (payload, store.layer(payload)))
    image = f"{repository.image_base}@{digest(child)}"
    flags = map(str, (*trusted(store, tmp_path), *WHO))
    result = CliRunner().invoke(app, ["verify", image, *flags])
    assert result.exit_code == 0 and f"in the index {digest(index)}" in result.stdout


def test_the_wrong_signer_issuer_authority_log_and_time(repository, store, tmp_path):
    signed(repository, store)
    good = trusted(store, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    strange = Fulcio().file(other)
    for flags, words in [
        (good, "but no identity is configured"),
        ((*good, "--identity", "other@example.com", "--issuer", ISSUER), "none of the configured identities"),
        ((*good, "--identity", SUBJECT, "--issuer", "https://x.example.com"), "none of the configured"),
        (("--keyless-roots", strange, *good[2:], *WHO), "leads to none of the keyless roots"),
        ((*good[:3], public_file(other, p256()), *WHO), "log that is not configured"),
        ((*good, "--ct-key", public_file(other, p256()), *WHO), "no SCT of a configured CT log"),
        (("--key", public_file(other, p256())), "present, unverified: no roots are configured"),
    ]:
        signature, reason, code = verify(repository, *flags)
        assert (signature, code) == ("unsigned", 1) and words in reason
    signed(repository, store, logged=3600)
    signature, reason, _ = verify(repository, *good, *WHO)
    assert signature == "unsigned" and reason.startswith("expired: the certificate of")


def test_as_configured_by_registry_and_repository(repository, store, tmp_path):
    signed(repository, store)
    keyless = {"roots": str(store.fulcio.file(tmp_path)), "rekor_keys": [str(store.rekor.file(tmp_path))]}
    own = {**keyless, "identities": [{"issuer": ISSUER, "subject": "builder@*"}]}
    path = tmp_path / "seawall.yaml"

    def configured(trust: dict[str, object]) -> tuple[str, str, int]:
        registry = {"name": "main", "url": repository.url, "trust": trust}
        path.write_text(json.dumps({"registries": [registry]}))  # which is YAML too
        return verify(repository, "--config", path)

    assert configured({"keyless": own})[::2] == ("signed", 0)
    rule = {"match": "team/*", "keyless": keyless}
    signature, reason, _ = configured({"keyless": own, "repositories": [rule]})
    assert signature == "unsigned" and "no identity is configured" in reason
    assert (
        configured({"keyless": keyless, "repositories": [{"match": "team/*", "keyless": own}]})[0] == "signed"
    )


def test_a_bundle_of_rekor_2_dated_by_a_timestamp(repository, tmp_path):
    made = Sigstore2(AT)
    image = repository.image()
    repository.referrer(image, BUNDLE, BUNDLE, made.bundle(digest(image)))
    keyless = {"roots": str(made.fulcio.file(tmp_path)), "rekor_keys": str(made.rekor.file(tmp_path))}
    keyless["identities"] = [{"issuer": ISSUER, "subject": SUBJECT}]
    path = tmp_path / "seawall.yaml"

    def configured(**more: str) -> tuple[str, str, int]:
        registry = {"name": "main", "url": repository.url, "trust": {"keyless": {**keyless, **more}}}
        path.write_text(json.dumps({"registries": [registry]}))  # which is YAML too
        return verify(repository, "--config", path)

    signature, reason, code = configured(timestamp_authorities=str(made.tsa.file(tmp_path)))
    assert (signature, code) == ("signed", 0)
    assert reason.startswith(f"signed by {SUBJECT} ({ISSUER}), timestamped at")
    signature, reason, code = configured(timestamp_authorities=str(Tsa("other").file(tmp_path)))
    assert (signature, code) == ("unsigned", 1) and "none of the configured timestamp" in reason
    signature, reason, code = configured()
    assert (signature, code) == ("unsigned", 1) and "present, unverified" in reason


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--keyless-roots", "a.pem"], "stands without --rekor-key"),
        (["--identity", "a", "--issuer", "b"], "stands without --rekor-key"),
        (["--keyless-roots", "a", "--rekor-key", "b", "--identity", "c"], "stands without --issuer"),
        (["--keyless-roots", "a", "--rekor-key", "b", "--identity", "*", "--issuer", "c"], "anybody at all"),
        (["--keyless-roots", "a", "--rekor-key", "b", "--identity", "c", "--issuer", "*"], "is no pattern"),
        (["--keyless-roots", "missing.pem", "--rekor-key", "b"], "cannot be read"),
    ],
)
def test_misuse(repository, flags, words):
    result = CliRunner().invoke(app, ["verify", f"{repository.image_base}:1.0", *flags])
    assert isinstance(result.exception, InputError) and words in str(result.exception)
