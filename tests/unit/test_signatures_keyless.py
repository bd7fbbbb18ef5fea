"""Keyless signatures: certificate, log entry and identity, each of them wrong in every way."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from collectors.signatures import bundle, simplesigning
from collectors.signatures.identities import Identity
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion
from tests.signing import digest, p256, sign, simple_payload
from tests.sigstore import ISSUER, SUBJECT, Fulcio, Rekor, Sigstore, dsse, hashedrekord, intoto, pem

NOW = int(time.time())
AT = NOW - 200 * 86400
IMAGE = digest(b"image")
PAYLOAD = simple_payload(IMAGE)
STORE = Sigstore(AT)
BUILDER = Identity(ISSUER, SUBJECT)
TRUST = Trust(keyless=STORE.keyless(BUILDER))
CERTIFICATE, LOGGED = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle"
SIGNATURE = "dev.cosignproject.cosign/signature"


def of_layer(layer: dict[str, Any], trust: Trust = TRUST, payload: bytes = PAYLOAD) -> Opinion:
    try:
        return simplesigning.opinion_of(layer["annotations"], payload, IMAGE, trust, NOW)
    except BadSignature as error:
        return error.opinion


def of_bundle(data: bytes, trust: Trust = TRUST, image: str = IMAGE) -> Opinion:
    try:
        opinion = bundle.opinion_of(data, image, trust, NOW)
    except BadSignature as error:
        return error.opinion
    assert opinion is not None
    return opinion


def changed(layer: dict[str, Any], **annotations: str) -> dict[str, Any]:
    named = {
        {"certificate": CERTIFICATE, "logged": LOGGED, "signature": SIGNATURE}[k]: v
        for k, v in annotations.items()
    }
    return {**layer, "annotations": {**layer["annotations"], **named}}


def test_a_layer_of_cosign_long_after_its_certificate_ended():
    found = of_layer(STORE.layer(PAYLOAD))
    assert found.code is Code.TRUSTED and found.signer == SUBJECT
    assert f"signed by {SUBJECT} ({ISSUER}), logged at 20" in found.reason
    assert found.reason.endswith("(SCT) is not checked")


@pytest.mark.parametrize("body", [dsse, intoto])
def test_a_bundle(body):
    assert of_bundle(STORE.bundle(IMAGE, body)).code is Code.TRUSTED


@pytest.mark.parametrize("size", range(1, 10))
def test_proofs_in_trees_of_every_shape(size):
    for place in range(size):
        data = STORE.bundle(IMAGE, place=place, size=size)
        assert of_bundle(data).code is Code.TRUSTED, (place, size)
        logged = json.loads(data)
        proof = logged["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
        for wrong in {(place + 1) % (size + 1), size - place} - {place}:
            proof["logIndex"] = str(wrong)
            assert of_bundle(json.dumps(logged).encode()).code is Code.BROKEN, (place, wrong, size)


def test_without_roots_it_is_present_and_unverified():
    for trust in (Trust(), Trust(keys=())):
        found = of_layer(STORE.layer(PAYLOAD), trust)
        assert found.code is Code.UNVERIFIED_KEYLESS
        assert found.reason.startswith("a keyless signature (Fulcio certificate) is present, unverified")
        assert of_bundle(STORE.bundle(IMAGE), trust) == found


@pytest.mark.parametrize(
    ("identities", "reason"),
    [
        ([], "but no identity is configured"),
        ([Identity(ISSUER, "other@example.com")], "none of the configured identities"),
        ([Identity("https://other.example.com", SUBJECT)], "none of the configured identities"),
        ([Identity(ISSUER, SUBJECT.upper())], "none of the configured identities"),
        ([Identity(ISSUER, SUBJECT[:-1])], "none of the configured identities"),
        ([Identity(ISSUER, "builder@example.com.*")], "none of the configured identities"),
        ([Identity(ISSUER, "builder@example?com")], "none of the configured identities"),
    ],
)
def test_identities_that_are_not_the_signer(identities, reason):
    trust = Trust(keyless=STORE.keyless(*identities))
    for found in (of_layer(STORE.layer(PAYLOAD), trust), of_bundle(STORE.bundle(IMAGE), trust)):
        assert found.code is Code.UNTRUSTED and reason in found.reason
        assert SUBJECT in found.reason and ISSUER in found.reason


def test_a_pattern_and_one_of_several_identities():
    uri = "https://ci.example.com/team/app/build.yml@refs/heads/main"
    layer = STORE.layer(PAYLOAD, subject=[x509.UniformResourceIdentifier(uri)])
    own = Identity(ISSUER, "https://ci.example.com/team/*@refs/heads/main")
    assert of_layer(layer, Trust(keyless=STORE.keyless(BUILDER, own))).code is Code.TRUSTED
    other = Identity(ISSUER, "https://ci.example.com/team/*@refs/heads/release")
    assert of_layer(layer, Trust(keyless=STORE.keyless(BUILDER, other))).code is Code.UNTRUSTED


@pytest.mark.parametrize(
    ("logged", "code"),
    [(0, Code.TRUSTED), (600, Code.TRUSTED), (601, Code.EXPIRED), (-1, Code.NOT_YET_VALID)],
)
def test_the_certificate_is_judged_when_the_log_took_it(logged, code):
    assert of_layer(STORE.layer(PAYLOAD, logged=logged)).code is code


@pytest.mark.parametrize(
    ("certificate", "code", "reason"),
    [
        ({"issuer": None}, Code.TRUSTED, "signed by"),
        ({"older": None}, Code.TRUSTED, "signed by"),
        ({"issuer": None, "older": None}, Code.BROKEN, "names no issuer"),
        ({"older": "https://other.example.com"}, Code.BROKEN, "two issuers"),
        ({"issuer": "https://other.example.com", "older": None}, Code.UNTRUSTED, "none of the configured"),
        ({"subject": []}, Code.BROKEN, "names nobody"),
        ({"subject": [x509.RFC822Name(SUBJECT)] * 2}, Code.BROKEN, "not exactly one"),
        ({"subject": [x509.DNSName("example.com")]}, Code.BROKEN, "not exactly one"),
        ({"purposes": []}, Code.UNTRUSTED, "not for signing code"),
        ({"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]}, Code.UNTRUSTED, "not for signing code"),
    ],
)
def test_certificates(certificate, code, reason):
    found = of_layer(STORE.layer(PAYLOAD, **certificate))
    assert (found.code, reason in found.reason) == (code, True), found


def test_an_authority_or_a_log_of_somebody_else():
    forged = replace(STORE, fulcio=Fulcio())  # the same names, other keys
    assert "leads to none of the keyless roots" in of_layer(forged.layer(PAYLOAD)).reason
    for stranger in (replace(STORE, rekor=Rekor()), Sigstore(AT)):
        for found in (of_layer(stranger.layer(PAYLOAD)), of_bundle(stranger.bundle(IMAGE))):
            assert found.code is Code.UNTRUSTED and "log that is not configured" in found.reason


def test_two_sigstores_side_by_side_while_they_rotate():
    new = Sigstore(AT, Fulcio("new"))
    both = Trust(keyless=new.keyless(BUILDER, others=[STORE]))
    for one in (STORE, new):
        assert of_layer(one.layer(PAYLOAD), both).code is Code.TRUSTED
        assert of_bundle(one.bundle(IMAGE), both).code is Code.TRUSTED
    assert of_layer(new.layer(PAYLOAD)).code is Code.UNTRUSTED


def test_what_is_revoked_counts_no_more():
    def without(key: Any) -> Trust:
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        name = digest(key.public_key().public_bytes(serialization.Encoding.DER, spki))
        return replace(TRUST, revoked=frozenset([name.removeprefix("sha256:")]))

    for key in (STORE.fulcio.root.key, STORE.fulcio.middle.key, STORE.rekor.key):
        assert of_layer(STORE.layer(PAYLOAD), without(key)).code is Code.UNTRUSTED


def test_an_entry_of_another_signature_does_not_count():
    mine, other = STORE.layer(PAYLOAD), STORE.layer(PAYLOAD)
    found = of_layer(changed(mine, logged=other["annotations"][LOGGED]))
    assert found.reason == "broken signature: the log entry is of another signature or certificate"
    other = STORE.layer(b"another payload")
    found = of_layer(changed(mine, logged=other["annotations"][LOGGED]))
    assert found.reason == "broken signature: the log entry is of another payload"
    found = of_layer(changed(mine, certificate=other["annotations"][CERTIFICATE]))
    assert found.reason == "broken signature: its certificate's key did not sign it"


def test_the_promise_of_another_entry_does_not_count():
    mine, other = (json.loads(STORE.layer(PAYLOAD)["annotations"][LOGGED]) for _ in range(2))
    layer = STORE.layer(PAYLOAD)
    logged = json.loads(layer["annotations"][LOGGED])
    for stamp in (mine, other):
        text = json.dumps({**logged, "SignedEntryTimestamp": stamp["SignedEntryTimestamp"]})
        assert "did not promise" in of_layer(changed(layer, logged=text)).reason


@pytest.mark.parametrize("name", ["integratedTime", "logIndex"])
def test_a_time_or_place_that_the_log_did_not_promise(name):
    layer = STORE.layer(PAYLOAD)
    logged = json.loads(layer["annotations"][LOGGED])
    for value in (logged["Payload"][name] + 1, str(logged["Payload"][name]), 1e3, None, -1, True, 1 << 60):
        text = json.dumps({**logged, "Payload": {**logged["Payload"], name: value}})
        assert of_layer(changed(layer, logged=text)).code is Code.BROKEN


def test_a_log_entry_of_the_same_key_in_another_certificate():
    """The body must hold this certificate, not only one with its key."""
    key = p256()
    made = [STORE.fulcio.issue(key, AT) for _ in range(2)]
    signature = sign(key, PAYLOAD)
    noted = {
        SIGNATURE: base64.b64encode(signature).decode(),
        CERTIFICATE: pem(made[0]).decode(),
        LOGGED: STORE.rekor.annotation(hashedrekord(PAYLOAD, signature, made[1]), AT + 60),
    }
    assert "another signature or certificate" in of_layer({"annotations": noted}).reason


def test_another_image_and_another_kind_of_entry():
    other = simple_payload(digest(b"other"))
    found = of_layer(STORE.layer(other), payload=other)
    assert found.code is Code.WRONG_DIGEST and found.reason.startswith(f"signed by {SUBJECT}, but for")
    assert of_bundle(STORE.bundle(digest(b"other"))).code is Code.WRONG_DIGEST
    found = of_bundle(STORE.bundle(IMAGE, lambda *_: b'{"kind":"rpm","apiVersion":"0.0.1","spec":{}}'))
    assert found.reason == "broken signature: the log entry is of a kind that is not read here (rpm 0.0.1)"
    for text in (b"{}", b"[]", b"x", b'{"kind":"dsse","apiVersion":"0.0.1","spec":{"payloadHash":1}}'):
        assert of_bundle(STORE.bundle(IMAGE, lambda *_, said=text: said)).code is Code.BROKEN


def entry_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["verificationMaterial"]["tlogEntries"][0]


def test_a_checkpoint_by_another_key_and_of_another_tree():
    document = json.loads(STORE.bundle(IMAGE))
    proof = entry_of(document)["inclusionProof"]
    root = base64.b64decode(proof["rootHash"])
    for checkpoint, reason in [
        (Rekor().checkpoint(4, root), "not signed by the entry's log"),
        (STORE.rekor.checkpoint(5, root), "of another tree"),
        (STORE.rekor.checkpoint(4, b"x" * 32), "of another tree"),
        (proof["checkpoint"]["envelope"].partition("\n\n")[0], "not signed by the entry's log"),
        ("", "of another tree"),
    ]:
        proof["checkpoint"] = {"envelope": checkpoint}
        assert reason in of_bundle(json.dumps(document).encode()).reason
    del proof["checkpoint"]
    assert of_bundle(json.dumps(document).encode()).code is Code.BROKEN


def test_only_in_the_first_version_a_proof_may_lack_and_without_promise_nothing_does():
    document = json.loads(STORE.bundle(IMAGE))
    del entry_of(document)["inclusionProof"]
    assert "no proof of inclusion" in of_bundle(json.dumps(document).encode()).reason
    document["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
    assert of_bundle(json.dumps(document).encode()).code is Code.TRUSTED
    del entry_of(document)["inclusionPromise"]
    assert of_bundle(json.dumps(document).encode()).code is Code.UNVERIFIED_KEYLESS
    document["verificationMaterial"]["tlogEntries"] = []
    assert of_bundle(json.dumps(document).encode()).code is Code.UNVERIFIED_KEYLESS
    layer = STORE.layer(PAYLOAD)
    del layer["annotations"][LOGGED]
    found = of_layer(layer)
    assert found.code is Code.UNVERIFIED_KEYLESS and found.reason.endswith("has no inclusion promise")
