"""A keyless signature that Sigstore's public instance took part in, and no bit of one that may be changed."""

import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.signatures import bundle, keyless, rekor, simplesigning
from collectors.signatures.bodies import Made
from collectors.signatures.bundle import pae
from collectors.signatures.identities import Identity, read_keyless
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion
from tests.signing import digest, public_file, simple_payload
from tests.sigstore import ISSUER, SUBJECT, Rekor, Sigstore
from tests.unit.test_signatures_flipped import flips, judged, never_signed

# A flipped serial number may be zero, which the library only warns of.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
GOLDEN = Path(__file__).parents[1] / "golden/signatures"
WHO = "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml@refs/tags/v0.0.19"
BY = "https://token.actions.githubusercontent.com"
NOW = time.time()
IMAGE = digest(b"image")
STORE = Sigstore(int(NOW) - 200 * 86400)
TRUST = Trust(keyless=STORE.keyless(Identity(ISSUER, SUBJECT)))


def public_trust(*ct_keys: Path) -> Trust:
    who = Identity(BY, WHO.replace("v0.0.19", "*"))
    return Trust(keyless=read_keyless([GOLDEN / "fulcio.pem"], [GOLDEN / "rekor.pub"], ct_keys, [who]))


def of_public(trust: Trust, document: dict[str, Any]) -> Opinion:
    material, envelope = document["verification_material"], document["envelope"]
    payload = base64.b64decode(envelope["statement"])
    message = pae("application/vnd.in-toto+json", payload)
    entry = rekor.bundled(material["transparency_entries"][0])
    certificate, signature = (base64.b64decode(it) for it in (material["certificate"], envelope["signature"]))
    return keyless.opinion(trust, entry, Made(signature, message, payload, certificate))


def public() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "sigstore.attestation.json").read_bytes())
    return found


CT_KEYS = [GOLDEN / "ctfe-1.pub", GOLDEN / "ctfe-2.pub"]


def test_a_signature_of_sigstores_public_instance():
    found = of_public(public_trust(*CT_KEYS), public())
    reason = f"signed by {WHO} ({BY}), logged at 2024-12-04T23:14:01.000Z; its SCT is good"
    assert found == Opinion(Code.TRUSTED, reason, WHO)
    assert "is not checked" in of_public(public_trust(), public()).reason


def test_its_certificate_in_no_log_that_is_known(tmp_path):
    with pytest.raises(BadSignature, match="no SCT of a configured CT log"):
        of_public(public_trust(public_file(tmp_path, Rekor().key)), public())


def test_its_proof_is_of_the_logs_tree():
    """Not by luck: the path, the root and the checkpoint are needed."""
    for name, value in [
        ("hashes", []),
        ("rootHash", base64.b64encode(b"x" * 32).decode()),
        ("treeSize", "1"),
    ]:
        document = public()
        document["verification_material"]["transparency_entries"][0]["inclusionProof"][name] = value
        with pytest.raises(BadSignature):
            of_public(public_trust(), document)


@pytest.mark.parametrize(
    "place", ["certificate", "statement", "signature", "body", "promise", "root", "hash"]
)
def test_no_flipped_bit_of_it_is_signed(place):
    trust, document = public_trust(*CT_KEYS), public()
    material = document["verification_material"]
    entry = material["transparency_entries"][0]
    proof = entry["inclusionProof"]
    holder, name = {
        "certificate": (material, "certificate"),
        "statement": (document["envelope"], "statement"),
        "signature": (document["envelope"], "signature"),
        "body": (entry, "canonicalizedBody"),
        "promise": (entry["inclusionPromise"], "signedEntryTimestamp"),
        "root": (proof, "rootHash"),
        "hash": (proof["hashes"], len(proof["hashes"]) - 1),
    }[place]

    def of(data: bytes) -> Opinion:
        holder[name] = base64.b64encode(data).decode()
        return of_public(trust, document)

    never_signed(of, base64.b64decode(holder[name]))


def test_no_flipped_bit_of_cosigns_layer_is_signed():
    payload = simple_payload(IMAGE)
    noted: dict[str, str] = STORE.layer(payload)["annotations"]

    def of(payload: bytes, annotations: dict[str, str]) -> Opinion:
        return simplesigning.opinion_of(annotations, payload, IMAGE, TRUST, NOW)

    never_signed(lambda data: of(data, noted), payload)
    for name, text in noted.items():
        data = text.encode()
        assert judged(lambda _: of(payload, noted), data) is Code.TRUSTED
        spare = name == "dev.sigstore.cosign/certificate"  # its last end of line
        for flipped in flips(data[:-1] if spare else data):
            value = flipped.decode("latin-1") + ("\n" if spare else "")
            found = judged(lambda _, name=name, value=value: of(payload, {**noted, name: value}), b"")
            assert found is not Code.TRUSTED or _same(text, value), (name, value)


def _same(one: str, other: str) -> bool:
    """Blanks between the tokens of JSON say nothing."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_no_flipped_bit_of_a_bundle_is_signed():
    data = STORE.bundle(IMAGE)
    first = json.loads(data)
    assert judged(lambda it: bundle.opinion_of(it, IMAGE, TRUST, NOW), data) is Code.TRUSTED
    for flipped in flips(data):
        if judged(lambda it: bundle.opinion_of(it, IMAGE, TRUST, NOW), flipped) is Code.TRUSTED:
            assert _relevant(json.loads(flipped)) == _relevant(first), flipped


def _relevant(document: dict[str, Any]) -> list[Any]:
    """All that is signed, or proves it, as JSON is read."""
    material = document["verificationMaterial"]
    entry = material["tlogEntries"][0]
    proof = entry["inclusionProof"]
    parts = [
        entry["canonicalizedBody"],
        entry["inclusionPromise"],
        entry["integratedTime"],
        entry["logIndex"],
    ]
    tree = [proof["logIndex"], proof["treeSize"], proof["rootHash"], proof["hashes"]]
    note = proof["checkpoint"]["envelope"].partition("\n\n")[0]
    envelope = document["dsseEnvelope"]
    signed = [envelope["payload"], envelope["payloadType"], envelope["signatures"][0]["sig"]]
    return [material["certificate"], entry["logId"], parts, tree, note, signed]


def test_two_entries_are_not_one():
    document = json.loads(STORE.bundle(IMAGE))
    material = document["verificationMaterial"]
    material["tlogEntries"] = material["tlogEntries"] * 2
    with pytest.raises(BadSignature, match="more than one log entry"):
        bundle.opinion_of(json.dumps(document).encode(), IMAGE, TRUST, NOW)
    trust = replace(TRUST, keyless=None)
    found = bundle.opinion_of(json.dumps(document).encode(), IMAGE, trust, NOW)
    assert found is not None and found.code is Code.UNVERIFIED_KEYLESS
