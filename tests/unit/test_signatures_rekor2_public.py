"""Entries and timestamps that Sigstore itself made: Rekor v2 of staging, an envelope as a hashedrekord."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.signatures import keyless, rekor, timestamps
from collectors.signatures.bodies import Made
from collectors.signatures.bundle import pae
from collectors.signatures.identities import Identity, read_keyless
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion
from tests.unit.test_signatures_flipped import flips, judged, never_signed

# A flipped serial number may be zero, which the library only warns of.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
GOLDEN = Path(__file__).parents[1] / "golden/signatures"
SHARED = "insecure-cloudtop-shared-user@cloudtop-prod-us-east.iam.gserviceaccount.com"
BEACON = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ACTIONS = "https://token.actions.githubusercontent.com"
WHO = [
    Identity("https://accounts.google.com", SHARED),
    Identity("https://github.com/login/oauth", "*@goto.fi"),
    Identity(ACTIONS, BEACON),
]
STAGING = Trust(
    keyless=read_keyless(
        [GOLDEN / "staging-fulcio.pem"],
        [GOLDEN / "staging-rekor2.pub"],
        [GOLDEN / "staging-ctfe.pub"],
        WHO,
        [GOLDEN / "staging-tsa.pem"],
    )
)
PUBLIC = Trust(
    keyless=read_keyless(
        [GOLDEN / "fulcio.pem"],
        [GOLDEN / "rekor.pub"],
        [GOLDEN / "ctfe-1.pub", GOLDEN / "ctfe-2.pub"],
        WHO,
        [GOLDEN / "tsa.pem"],
    )
)
Document = dict[str, Any]


def read(name: str) -> Document:
    found: Document = json.loads((GOLDEN / f"{name}.sigstore.json").read_bytes())
    return found


def made_of(document: Document) -> Made:
    """Of an envelope, or of the one file that is signed by itself."""
    certificate = base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"])
    if "messageSignature" in document:
        signed = (GOLDEN / "rekor2-file.txt").read_bytes()
        return Made(base64.b64decode(document["messageSignature"]["signature"]), signed, signed, certificate)
    envelope = document["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    return Made(signature, pae("application/vnd.in-toto+json", payload), payload, certificate)


def of(document: Document, trust: Trust) -> Opinion:
    material = document["verificationMaterial"]
    entry = rekor.bundled(material["tlogEntries"][0])
    return keyless.opinion(trust, entry, made_of(document), timestamps.listed(material))


@pytest.mark.parametrize(
    ("name", "trust", "who"),
    [
        (
            "rekor2-dsse",
            STAGING,
            f"{SHARED} (https://accounts.google.com), timestamped at 2025-06-09T21:06:28",
        ),
        (
            "rekor2-file",
            STAGING,
            "jku@goto.fi (https://github.com/login/oauth), timestamped at 2025-06-09T11:57:38",
        ),
        ("hashedrekord-dsse", PUBLIC, f"{BEACON} ({ACTIONS}), logged at 2026-05-13T19:47:33"),
    ],
)
def test_signatures_that_sigstore_took_part_in(name, trust, who):
    found = of(read(name), trust)
    assert (found.code, found.reason) == (Code.TRUSTED, f"signed by {who}.000Z; its SCT is good")


def test_the_public_instances_authority_saw_the_signature_when_its_log_did():
    """Its timestamp carries no certificate."""
    document = read("hashedrekord-dsse")
    stamps = timestamps.listed(document["verificationMaterial"])
    signature, authorities = made_of(document).signature, PUBLIC.keyless.timestamps
    at = int(document["verificationMaterial"]["tlogEntries"][0]["integratedTime"])
    assert timestamps.times(stamps, signature, authorities, PUBLIC) == [at]
    for unknown in (STAGING.keyless.timestamps, replace(authorities, signers=[])):
        with pytest.raises(BadSignature, match="by none of the configured"):
            timestamps.times(stamps, signature, unknown, PUBLIC)


def test_staging_is_not_the_public_instance():
    document = read("rekor2-dsse")
    for name in ("roots", "logs", "timestamps"):
        trust = replace(STAGING, keyless=replace(STAGING.keyless, **{name: getattr(PUBLIC.keyless, name)}))
        with pytest.raises(BadSignature, match="untrusted"):
            of(document, trust)


@pytest.mark.parametrize("name", ["rekor2-dsse", "rekor2-file"])
@pytest.mark.parametrize("place", ["certificate", "body", "log", "root", "hash", "checkpoint"])
def test_no_flipped_bit_of_it_is_signed(name, place):
    document = read(name)
    material = document["verificationMaterial"]
    entry = material["tlogEntries"][0]
    proof = entry["inclusionProof"]
    holder, key = {
        "certificate": (material["certificate"], "rawBytes"),
        "body": (entry, "canonicalizedBody"),
        "log": (entry["logId"], "keyId"),
        "root": (proof, "rootHash"),
        "hash": (proof["hashes"], len(proof["hashes"]) - 1),
        "checkpoint": (proof["checkpoint"], "envelope"),
    }[place]

    def judge(data: bytes) -> Opinion:
        holder[key] = base64.b64encode(data).decode()
        if place == "checkpoint":  # the last line is the log's own signature
            holder[key] = f"{head} {holder[key]}\n"
        return of(document, STAGING)

    head, _, stamp = holder[key].strip().rpartition(" ") if place == "checkpoint" else ("", "", holder[key])
    never_signed(judge, base64.b64decode(stamp))


def test_no_flipped_bit_of_its_timestamp_changes_the_time():
    document = read("rekor2-dsse")
    right = of(document, STAGING)
    (stamp,) = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]

    def judge(data: bytes) -> Opinion:
        stamp["signedTimestamp"] = base64.b64encode(data).decode()
        return of(document, STAGING)

    for flipped in flips(base64.b64decode(stamp["signedTimestamp"])):
        if judged(judge, flipped) is Code.TRUSTED:
            assert judge(flipped) == right


def test_the_timestamp_of_another_signature():
    document, other = read("rekor2-dsse"), read("rekor2-file")
    material = document["verificationMaterial"]
    material["timestampVerificationData"] = other["verificationMaterial"]["timestampVerificationData"]
    with pytest.raises(BadSignature, match="its timestamp is of another signature"):
        of(document, STAGING)
    material["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    with pytest.raises(BadSignature, match="the log entry is of another payload"):
        of(document, STAGING)
