"""Keyless signatures in a log of Rekor v2 whose entry, proof or checkpoint is of something else."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from collectors.signatures import bundle, rekor
from collectors.signatures.verdicts import BadSignature, Code
from tests.signing import body_of, p256, pae
from tests.sigstore import PAYLOAD_TYPE, Rekor, b64, der
from tests.unit.test_signatures_flipped import flips, judged
from tests.unit.test_signatures_rekor2 import (
    BUNDLE,
    GOOD,
    IMAGE,
    NOW,
    SIGNATURE,
    STORE,
    TRUST,
    WITNESS,
    Document,
    Rekor2,
    dsse2,
    hashedrekord2,
    of,
    stamped,
)

# A flipped serial number may be zero, which the library only warns of.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def entry_of(document: Document) -> Document:
    return document["verificationMaterial"]["tlogEntries"][0]


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (Rekor2(), "not signed by the entry's log"),
        (Rekor2(STORE.rekor.key, "other.example.com"), "log that is not configured"),
        (Rekor(), "log that is not configured"),
    ],
)
def test_a_checkpoint_of_another_log(log, words):
    document = json.loads(BUNDLE)
    proof = entry_of(document)["inclusionProof"]
    proof["checkpoint"]["envelope"] = log.checkpoint(4, base64.b64decode(proof["rootHash"]))
    assert words in of(body_of(document)).reason


def test_an_entry_of_another_log():
    stranger = replace(STORE, rekor=Rekor2())
    found = of(stranger.bundle(IMAGE))
    assert found.code is Code.UNTRUSTED and "log that is not configured" in found.reason


def test_a_checkpoint_that_only_a_witness_or_nobody_has_signed():
    document = json.loads(BUNDLE)
    checkpoint = entry_of(document)["inclusionProof"]["checkpoint"]
    note = checkpoint["envelope"].partition("\n\n")[0]
    for under in ("", WITNESS, f"\u2014 {STORE.rekor.origin} {b64(bytes.fromhex(STORE.rekor.name)[:4])}"):
        checkpoint["envelope"] = f"{note}\n\n{under}\n"
        assert "not signed by the entry's log" in of(body_of(document)).reason


def test_half_a_surrogate_pair_which_json_can_write():
    document = json.loads(BUNDLE)
    checkpoint = entry_of(document)["inclusionProof"]["checkpoint"]
    good = checkpoint["envelope"]
    for text in (f"\ud800{good}", good.replace("\n\n", "\n\ud800\n\n"), f"{good}\ud800"):
        checkpoint["envelope"] = text
        assert of(body_of(document)).reason == "broken signature: the log's checkpoint is no text"
    with pytest.raises(BadSignature, match="the log entry is no text"):
        rekor.annotated("\ud800")


def test_a_proof_of_another_place_or_tree():
    document = json.loads(BUNDLE)
    proof = entry_of(document)["inclusionProof"]
    for name, value, words in [
        ("logIndex", "1", "another number than its proof"),
        ("treeSize", "5", ""),
        ("rootHash", b64(b"x" * 32), "not in the tree"),
        ("hashes", [], "not in the tree"),
    ]:
        old, proof[name] = proof[name], value
        found = of(body_of(document))
        assert found.code is Code.BROKEN and words in found.reason
        proof[name] = old
    entry_of(document)["logIndex"] = "3"
    assert "another number than its proof" in of(body_of(document)).reason
    assert of(STORE.bundle(IMAGE, place=0, index=0)).code is Code.TRUSTED


def changed(maker: Any, **parts: Any) -> Any:
    """A maker of bodies, given something else than what was signed."""

    def body(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
        given = {"payload": payload, "signature": signature, "certificate": certificate, **parts}
        return maker(**given)

    return body


def of_payload(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    """A hashedrekord with the hash of the payload, which is not what was signed."""
    right = hashlib.sha256(pae(PAYLOAD_TYPE, payload)).digest()
    wrong = hashlib.sha256(payload).digest()
    return hashedrekord2(payload, signature, certificate).replace(b64(right).encode(), b64(wrong).encode())


def by_a_bare_key(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    key = certificate.public_key().public_bytes(serialization.Encoding.DER, spki)
    document = json.loads(hashedrekord2(payload, signature, certificate))
    document["spec"]["hashedRekordV002"]["signature"]["verifier"] = {"publicKey": {"rawBytes": b64(key)}}
    return body_of(document)


OTHER = STORE.fulcio.issue(p256(), STORE.at)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (changed(hashedrekord2, payload=b"other"), "of another payload"),
        (changed(dsse2, payload=b"other"), "of another payload"),
        (changed(hashedrekord2, signature=b"other"), "of another signature or certificate"),
        (changed(dsse2, signature=b"other"), "of another signature or certificate"),
        (changed(hashedrekord2, certificate=OTHER), "of another signature or certificate"),
        (changed(dsse2, certificate=OTHER), "of another signature or certificate"),
        (of_payload, "of another payload"),
        (by_a_bare_key, "of another signature or certificate"),
        (lambda *it: hashedrekord2(*it).replace(b"SHA2_256", b"SHA3_256"), "is no hashedrekord 0.0.2"),
        (lambda *it: hashedrekord2(*it).replace(b'"0.0.2"', b'"0.0.1"'), "is no hashedrekord 0.0.1"),
        (lambda *it: hashedrekord2(*it).replace(b'"hashedrekord"', b'"dsse"'), "is no dsse 0.0.2"),
        (lambda *it: dsse2(*it).replace(b'"0.0.2"', b'"0.0.3"'), "a kind that is not read here (dsse 0.0.3)"),
    ],
)
def test_an_entry_of_something_else(body, reason):
    found = of(STORE.bundle(IMAGE, body))
    assert found.code is Code.BROKEN and reason in found.reason


def test_no_flipped_bit_of_a_bundle_is_signed():
    first = relevant(json.loads(BUNDLE))
    stamp = json.loads(BUNDLE)["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
    spare = json.dumps(stamp["signedTimestamp"]).encode()
    assert of(BUNDLE).code is Code.TRUSTED
    for flipped in flips(BUNDLE, spare):
        if judged(lambda it: bundle.opinion_of(it, IMAGE, TRUST, NOW), flipped) is Code.TRUSTED:
            assert relevant(json.loads(flipped)) == first, flipped


def relevant(document: Document) -> list[Any]:
    """All that is signed, or proves it, as JSON is read. Of the checkpoint not who else has signed it, nor
    the log's name before its signature, which begins with a hash of it."""
    entry, envelope = entry_of(document), document["dsseEnvelope"]
    proof = {**entry["inclusionProof"]}
    note, _, under = proof.pop("checkpoint")["envelope"].partition("\n\n")
    name = b64(bytes.fromhex(STORE.rekor.name)[:3])
    own = [it for line in under.split("\n") if (it := line.rpartition(" ")[2]).startswith(name)]
    parts = [entry[name] for name in ("logIndex", "logId", "canonicalizedBody")]
    signed = [envelope["payload"], envelope["payloadType"], envelope["signatures"][0]["sig"]]
    return [document["verificationMaterial"]["certificate"], parts, proof, note, own, signed]


def test_no_flipped_bit_of_a_timestamp_changes_the_time():
    """What CMS leaves unsigned and OpenSSL unread may change (names of algorithms), and says nothing."""
    data, right = base64.b64decode(GOOD), stamped(GOOD)
    assert right.code is Code.TRUSTED
    parts = (der(STORE.tsa.certificate), hashlib.sha256(SIGNATURE).digest())
    held = [range(data.index(it), data.index(it) + len(it)) for it in parts]
    held.append(range(len(data) - 64, len(data)))  # the authority's signature
    for flipped in flips(data):
        found = stamped(b64(flipped))
        if found.code is Code.TRUSTED:
            place = next(at for at, byte in enumerate(flipped) if byte != data[at])
            assert found == right and not any(place in span for span in held), place
