"""Public keys: reading them, naming them, and the one place where a signature is checked against one.

Algorithms: ECDSA (P-256, P-384, P-521; DER), RSA from 2,048 bits (PKCS #1 v1.5, PSS), Ed25519 (RFC 8032).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from seawall.core.errors import InputError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
MAX_FILE = 1 << 20  # bytes of a key or certificate file
_LEAST_RSA = 2048  # bits
_CURVES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_REMEDY = "give a PEM public key (ECDSA P-256/384/521, RSA from 2048 bits, Ed25519) or certificate"


def read_public_key(path: Path) -> tuple[PublicKey, float, float]:
    """A PEM public key (RFC 7468), or the key of a PEM certificate, with the Unix seconds between which it is
    valid: always, if it is no certificate's. InputError."""
    data = read_file(path)
    if data.count(b"-----BEGIN ") > 1:
        raise InputError(str(path), "more than one PEM block", "keep one key a file")
    try:
        if b"BEGIN CERTIFICATE-----" in data:
            made = x509.load_pem_x509_certificate(data)
            times = made.not_valid_before_utc.timestamp(), made.not_valid_after_utc.timestamp()
            return usable(made.public_key(), str(path)), *times
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        secret = "; this is a private key" if b"PRIVATE KEY" in data else ""
        raise InputError(str(path), f"no public key{secret}", _REMEDY) from error
    return usable(key, str(path)), float("-inf"), float("inf")


def read_file(path: Path) -> bytes:
    """A small file's bytes. InputError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", _REMEDY) from error
    if len(data) > MAX_FILE:
        raise InputError(str(path), f"more than {MAX_FILE} bytes", _REMEDY)
    return data


def usable(key: object, place: str) -> PublicKey:
    """The key, if it is of a kind and size that we trust. InputError."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA:
        raise InputError(place, f"an RSA key of {key.key_size} bits, too short to trust", _REMEDY)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise InputError(place, f"an elliptic curve {key.curve.name}", _REMEDY)
    if not isinstance(key, PublicKey):
        raise InputError(place, f"a key of an unknown kind ({type(key).__name__})", _REMEDY)
    return key


def fingerprint(key: PublicKey) -> str:
    """SHA-256 (hex) of the key's SubjectPublicKeyInfo (RFC 5280), however it was written down."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def curve_hash(key: ec.EllipticCurvePublicKey) -> hashes.HashAlgorithm:
    """The hash that belongs to the curve: SHA-256, SHA-384 or SHA-512."""
    return _CURVES[key.curve.name]


def signed_by(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Did `key` sign `message`? As cosign and DSSE do: ECDSA over SHA-256 whatever the curve, or over the
    curve's own hash (sigstore-go); RSA with SHA-256; Ed25519 over the message itself."""
    return any(_holds(key, signature, message, attempt) for attempt in _attempts(key))


_Attempt = tuple[padding.AsymmetricPadding | None, hashes.HashAlgorithm]


def _attempts(key: PublicKey) -> Iterable[_Attempt]:
    sha256 = hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePublicKey):
        own = curve_hash(key)
        return [(None, sha256)] if own.name == sha256.name else [(None, own), (None, sha256)]
    if isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(mgf=padding.MGF1(sha256), salt_length=padding.PSS.AUTO)
        return [(padding.PKCS1v15(), sha256), (pss, sha256)]
    return [(None, sha256)]  # Ed25519 hashes by itself


def _holds(key: PublicKey, signature: bytes, message: bytes, attempt: _Attempt) -> bool:
    padded, algorithm = attempt
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padded or padding.PKCS1v15(), algorithm)
        else:
            key.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
