"""Sigstore bundles (v0.1 to v0.3) as cosign 3 attaches them: a DSSE envelope around an in-toto statement.

https://github.com/sigstore/protobuf-specs (sigstore_bundle.proto), https://github.com/secure-systems-lab/dsse
(protocol.md), https://in-toto.io/Statement/v1. Provenance and SBOMs come in the same bundles: only the
predicate of cosign's own signatures makes one a signature of the image.
"""

from collections.abc import Mapping
from typing import Any

from collectors.signatures import keyless, rekor, timestamps
from collectors.signatures.bodies import Made
from collectors.signatures.discovery import BUNDLE, layers_of
from collectors.signatures.lookups import BadContent, Lookups, Manifest, strict_json
from collectors.signatures.simplesigning import UNTRUSTED
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion, broken, from_base64

SIGNATURE_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_MAX_SIGNATURES = 16
_UNPROVEN = "application/vnd.dev.sigstore.bundle+json;version=0.1"  # later ones hold a proof of inclusion


async def opinions(lookups: Lookups, found: Manifest, digest: str, trust: Trust, now: float) -> list[Opinion]:
    """Of each bundle in the manifest; attestations are passed over. LookupFailed."""
    result = []
    for layer in layers_of(found)[:_MAX_SIGNATURES]:
        if not str(layer.get("mediaType")).startswith(BUNDLE):
            continue
        try:
            body = await lookups.blob(str(layer.get("digest")), layer.get("size"))
            opinion = opinion_of(body, digest, trust, now)
        except BadSignature as error:
            opinion = error.opinion
        except BadContent as error:
            opinion = broken(str(error)).opinion
        if opinion:
            result.append(opinion)
    return result


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def opinion_of(body: bytes, digest: str, trust: Trust, now: float) -> Opinion | None:
    """Of one bundle; None if it signs no image. BadSignature, BadContent."""
    bundle = _mapping(strict_json(body), "the bundle")
    envelope = bundle.get("dsseEnvelope")
    if not isinstance(envelope, dict):
        return None  # a messageSignature is one of a file, not of an image
    payload = _either(envelope.get("payload"))
    if envelope.get("payloadType") != _PAYLOAD_TYPE:
        return None
    statement = _mapping(strict_json(payload), "the statement")
    if statement.get("predicateType") != SIGNATURE_PREDICATE:
        return None
    if statement.get("_type") not in _STATEMENTS:
        raise broken("the payload is no in-toto statement")
    opinion = _signed(envelope, pae(_PAYLOAD_TYPE, payload), trust, now)
    if opinion is None:
        material = bundle.get("verificationMaterial")
        certificate = _certificate(material) if isinstance(material, dict) else None
        if certificate is None:
            return Opinion(Code.UNTRUSTED, UNTRUSTED)
        if trust.keyless is None:
            return Opinion(Code.UNVERIFIED_KEYLESS, keyless.PRESENT)
        opinion = _logged(bundle, certificate, payload, trust)
    _check_subject(statement, digest, opinion.signer)
    return opinion


def _signed(envelope: Mapping[str, Any], message: bytes, trust: Trust, now: float) -> Opinion | None:
    """Of the first signature by one of our keys."""
    listed = envelope.get("signatures")
    entries = [it for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []
    if not entries:
        raise broken("the envelope holds no signature")
    found = [trust.opinion(_either(entry.get("sig")), message, now) for entry in entries[:_MAX_SIGNATURES]]
    known = [it for it in found if it]
    return next((it for it in known if it.code is Code.TRUSTED), known[0] if known else None)


def _either(text: object) -> bytes:
    """DSSE allows both alphabets of base64 (protocol.md); what is neither is empty, and nobody signed it."""
    if not isinstance(text, str):
        return b""
    try:
        return from_base64(text.replace("-", "+").replace("_", "/"), "a part of the envelope")
    except BadSignature:
        return b""


def _check_subject(statement: Mapping[str, Any], digest: str, signer: str) -> None:
    algorithm, _, value = digest.partition(":")
    listed = statement.get("subject")
    subjects = [it.get("digest") for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []
    named = [it.get(algorithm) for it in subjects if isinstance(it, dict)]
    if value not in named:
        other = ", ".join(f"{algorithm}:{it}"[:90] for it in named[:3]) or "no image"
        raise BadSignature(Code.WRONG_DIGEST, f"signed by {signer}, but for {other}", signer)


def _certificate(material: Mapping[str, Any]) -> object:
    """The signer's (base64 of DER), in v0.3 alone, before it the first of a chain; None if there is none."""
    found = material.get("certificate")
    if not found:
        chain = material.get("x509CertificateChain")
        listed = chain.get("certificates") if isinstance(chain, dict) else None
        found = listed[0] if isinstance(listed, list) and listed else None
    return found.get("rawBytes", "") if isinstance(found, dict) else None


def _logged(bundle: Mapping[str, Any], certificate: object, payload: bytes, trust: Trust) -> Opinion:
    """Of a keyless bundle: the envelope's one signature by the certificate's key, and its log entry."""
    der = from_base64(certificate, "the bundle's certificate")
    material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
    listed, logged = envelope.get("signatures"), material.get("tlogEntries")
    if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], dict):
        raise broken("a keyless envelope holds exactly one signature")
    if not isinstance(logged, list) or not logged:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, rekor.NO_PROMISE)
    if len(logged) != 1:
        raise broken("more than one log entry")
    entry = rekor.bundled(logged[0], proven=bundle.get("mediaType") != _UNPROVEN)
    made = Made(_either(listed[0].get("sig")), pae(_PAYLOAD_TYPE, payload), payload, der)
    stamps = timestamps.listed(material) if entry.promise is None else ()
    return keyless.opinion(trust, entry, made, stamps)


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise broken(f"{what} is no JSON object")
    return value
