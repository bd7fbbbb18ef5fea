"""cosign's simple signing: the payload is a blob, its signature an annotation of the layer that names it.

https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md; the same layers stand in the manifest
tagged `sha256-<hex>.sig` and in an OCI 1.1 artifact.
"""

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from collectors.signatures import keyless, rekor
from collectors.signatures.bodies import Made
from collectors.signatures.discovery import SIMPLE_SIGNING, layers_of
from collectors.signatures.lookups import BadContent, Lookups, Manifest, strict_json
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion, broken, from_base64

_SIGNATURE = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_LOGGED = "dev.sigstore.cosign/bundle"
_TYPE = "cosign container image signature"
MAX_SIGNATURES = 64
UNTRUSTED = "untrusted: signed by none of the trusted keys"


async def opinions(lookups: Lookups, found: Manifest, digest: str, trust: Trust, now: float) -> list[Opinion]:
    """Of each signature in the manifest. LookupFailed if a payload cannot be asked for."""
    layers = [it for it in layers_of(found) if it.get("mediaType") == SIMPLE_SIGNING]
    result = []
    for layer in layers[:MAX_SIGNATURES]:
        try:
            payload = await lookups.blob(str(layer.get("digest")), layer.get("size"))
            noted = layer.get("annotations")
            annotations = noted if isinstance(noted, dict) else {}
            result.append(opinion_of(annotations, payload, digest, trust, now))
        except BadSignature as error:
            result.append(error.opinion)
        except BadContent as error:
            result.append(broken(str(error)).opinion)
    return result


def opinion_of(
    annotations: Mapping[str, Any], payload: bytes, digest: str, trust: Trust, now: float
) -> Opinion:
    """Of one layer: its payload, and the signature in its annotations. BadSignature, BadContent."""
    signature = from_base64(annotations.get(_SIGNATURE), "the annotation of the signature")
    opinion = trust.opinion(signature, payload, now)
    if opinion is None:
        if not annotations.get(_CERTIFICATE):
            return Opinion(Code.UNTRUSTED, UNTRUSTED)
        opinion = _keyless(annotations, signature, payload, trust)
        if opinion.code is not Code.TRUSTED:
            return opinion
    _check(payload, digest, opinion.signer)
    return opinion


def _keyless(annotations: Mapping[str, Any], signature: bytes, payload: bytes, trust: Trust) -> Opinion:
    if trust.keyless is None:
        return Opinion(Code.UNVERIFIED_KEYLESS, keyless.PRESENT)
    entry = rekor.annotated(annotations.get(_LOGGED))
    certificate = _der(annotations[_CERTIFICATE])
    return keyless.opinion(trust, entry, Made(signature, payload, payload, certificate))


def _der(text: object) -> bytes:
    """One PEM certificate, in the one spelling that cosign writes. BadSignature."""
    try:
        read = x509.load_pem_x509_certificate(str(text).encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise broken("the annotation of the certificate is no PEM certificate") from error
    pem = read.public_bytes(serialization.Encoding.PEM).decode()
    if text not in (pem, pem.removesuffix("\n")):
        raise broken("the annotation of the certificate is not one PEM certificate")
    return read.public_bytes(serialization.Encoding.DER)


def _check(payload: bytes, digest: str, signer: str) -> None:
    """What was signed must be this image. BadSignature, BadContent."""
    document = strict_json(payload)
    critical = document.get("critical") if isinstance(document, dict) else None
    image = critical.get("image") if isinstance(critical, dict) else None
    if not isinstance(critical, dict) or not isinstance(image, dict):
        raise broken("the payload is no simple signing document")
    if critical.get("type") != _TYPE:
        raise broken(f"the payload's type is not {_TYPE!r}")
    named = {image[key] for key in ("docker-manifest-digest", "Docker-manifest-digest") if key in image}
    if named != {digest}:
        other = ", ".join(sorted(map(str, named)))[:90] or "no image"
        raise BadSignature(Code.WRONG_DIGEST, f"signed by {signer}, but for {other}", signer)
