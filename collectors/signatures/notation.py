"""Notary Project signatures (notation): JWS (RFC 7515, flattened) and COSE_Sign1 (RFC 9052) envelopes.

https://github.com/notaryproject/specifications: signature-specification.md, signature-envelope-jws.md,
signature-envelope-cose.md. Timestamp countersignatures are not read: a certificate must be valid now.
"""

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from collectors.signatures.certificates import check_chain, leaf_key, name_of, read_chain, wanted_algorithm
from collectors.signatures.discovery import layers_of
from collectors.signatures.envelopes import Envelope, read_cose, read_jws
from collectors.signatures.keys import PublicKey
from collectors.signatures.lookups import BadContent, Lookups, Manifest, strict_json
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion, broken
from seawall.core.times import rfc3339

PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
SCHEME, EXPIRY = "io.cncf.notary.signingScheme", "io.cncf.notary.expiry"
SIGNING_TIME = "io.cncf.notary.authenticSigningTime"
_SCHEMES = ("notary.x509", "notary.x509.signingAuthority")
_UNDERSTOOD = frozenset((SCHEME, EXPIRY, SIGNING_TIME))
_READERS: dict[str, Callable[[bytes], Envelope]] = {
    "application/jose+json": read_jws,
    "application/cose": read_cose,
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}


async def opinions(
    lookups: Lookups, found: Manifest, image: Manifest, trust: Trust, now: float
) -> list[Opinion]:
    """Of the envelope in the manifest. LookupFailed if it cannot be asked for."""
    layers = layers_of(found)
    try:
        if len(layers) != 1:
            raise broken(f"{len(layers)} layers, where one envelope is wanted")
        reader = _READERS.get(str(layers[0].get("mediaType")))
        if reader is None:
            raise broken("its envelope is neither JWS nor COSE")
        body = await lookups.blob(str(layers[0].get("digest")), layers[0].get("size"))
        return [opinion_of(reader(body), image, trust, now)]
    except BadSignature as error:
        return [error.opinion]
    except BadContent as error:
        return [broken(str(error)).opinion]


def opinion_of(envelope: Envelope, image: Manifest, trust: Trust, now: float) -> Opinion:
    """Of one envelope. BadSignature, BadContent."""
    chain = read_chain(envelope.chain)
    key = leaf_key(chain)
    _check_headers(envelope)
    if envelope.algorithm != wanted_algorithm(key):
        raise broken(f"its algorithm {envelope.algorithm[:20]!r} is not the one of its key")
    if not holds(key, envelope.algorithm, envelope.signature, envelope.message):
        raise broken("it does not fit its content and certificate")
    signer = name_of(chain[0])
    _check_target(envelope.payload, image, signer)
    signs_itself = envelope.headers.get(SCHEME, _SCHEMES[0]) == _SCHEMES[0]
    check_chain(chain, trust, trust.roots if signs_itself else trust.authorities, now)
    if envelope.expiry is not None and now > envelope.expiry:
        raise BadSignature(Code.EXPIRED, f"expired: the signature ended {rfc3339(envelope.expiry)}", signer)
    return Opinion(Code.TRUSTED, f"signed by {signer}", signer)


def _check_headers(envelope: Envelope) -> None:
    """All that is there must be right; a missing scheme is the plain one, and an expiry counts, critical or
    not, so that nothing is believed that notation would not."""
    if envelope.content_type != PAYLOAD:
        raise broken(f"its content type is not {PAYLOAD}")
    critical, headers = envelope.critical, envelope.headers
    unknown = [name for name in critical if not isinstance(name, str) or name not in _UNDERSTOOD]
    if unknown:
        raise broken(f"a critical header that is not understood: {str(unknown[0])[:60]!r}")
    if len(set(critical)) != len(critical) or any(name not in headers for name in critical):
        raise broken("a critical header that is not there, or named twice")
    if headers.get(SCHEME, _SCHEMES[0]) not in _SCHEMES:
        raise broken("a signing scheme that is not known")


def holds(key: PublicKey, name: str, signature: bytes, message: bytes) -> bool:
    """Is it a signature as JOSE and COSE have it (RFC 7518, RFC 9053), by the algorithm of that name?"""
    algorithm = _HASHES[name[2:]]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            padded = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.DIGEST_LENGTH)
            key.verify(signature, message, padded, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(_der(signature, key), message, ec.ECDSA(algorithm))
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _der(raw: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """r and s side by side (RFC 7518 section 3.4) as DER. ValueError if the length is not the curve's."""
    size = (key.curve.key_size + 7) // 8
    if len(raw) != 2 * size:
        raise ValueError("a signature of another length")
    return encode_dss_signature(int.from_bytes(raw[:size]), int.from_bytes(raw[size:]))


def _check_target(payload: bytes, image: Manifest, signer: str) -> None:
    """Digest, media type and size of what was signed. BadSignature."""
    document = strict_json(payload)
    target: Any = document.get("targetArtifact") if isinstance(document, dict) else None
    if not isinstance(target, dict):
        raise broken("the payload names no target artifact")
    if target.get("digest") != image.digest:
        other = str(target.get("digest"))[:90]
        raise BadSignature(Code.WRONG_DIGEST, f"signed by {signer}, but for {other}", signer)
    if target.get("mediaType") != image.media_type or target.get("size") != len(image.body):
        reason = f"signed by {signer}, but for an artifact of another media type or size"
        raise BadSignature(Code.WRONG_DIGEST, reason, signer)
