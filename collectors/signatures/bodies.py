"""What a log entry is about: its body must name this very signature, certificate and payload.

https://github.com/sigstore/rekor (hashedrekord 0.0.1, dsse 0.0.1, intoto 0.0.2),
https://github.com/sigstore/rekor-tiles (CLIENTS.md, api/proto/rekor/v2: hashedrekord 0.0.2, dsse 0.0.2). A
hashedrekord holds the hash of what was signed, the others that of the payload in the envelope.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.signatures.lookups import BadContent, strict_json
from collectors.signatures.verdicts import broken, from_base64

_OLDER = {"sha256": "sha256"}
_NEWER = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}


@dataclass(frozen=True, slots=True)
class Made:
    """What was signed: `message` are the signed bytes, `payload` what they speak of (of cosign's layers the
    same), `certificate` is DER."""

    signature: bytes
    message: bytes
    payload: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class _Named:
    """What a body names: a hash (hex), of what bytes, and signatures with their certificates (DER)."""

    algorithm: str
    value: str
    of: bytes
    pairs: list[tuple[str, bytes]]


def check_body(text: str, made: Made) -> None:
    """The entry (base64 of its body) is of this signature, certificate and payload. BadSignature."""
    body = as_object(read_json(base64.b64decode(text)), "the log entry's body")
    kind = f"{body.get('kind')} {body.get('apiVersion')}"[:60]
    reader = _KINDS.get(kind)
    if reader is None:
        raise broken(f"the log entry is of a kind that is not read here ({kind})")
    try:
        named = reader(as_object(body.get("spec"), "the log entry's body"), made)
    except (KeyError, TypeError, AttributeError) as error:
        raise broken(f"the log entry is no {kind}") from error
    if hashlib.new(named.algorithm, named.of).hexdigest() != named.value:
        raise broken("the log entry is of another payload")
    signature = base64.b64encode(made.signature).decode()
    if (signature, made.certificate) not in named.pairs:
        raise broken("the log entry is of another signature or certificate")


def _hashedrekord(spec: Mapping[str, Any], made: Made) -> _Named:
    hashed, signature = spec["data"]["hash"], spec["signature"]
    pairs = [(signature["content"], _of_pem(signature["publicKey"]["content"]))]
    return _Named(_OLDER[hashed["algorithm"]], hashed["value"], made.message, pairs)


def _dsse(spec: Mapping[str, Any], made: Made) -> _Named:
    hashed = spec["payloadHash"]
    pairs = [(it["signature"], _of_pem(it["verifier"])) for it in spec["signatures"]]
    return _Named(_OLDER[hashed["algorithm"]], hashed["value"], made.payload, pairs)


def _intoto(spec: Mapping[str, Any], made: Made) -> _Named:
    """Its signatures are base64 of base64."""
    hashed, listed = spec["content"]["payloadHash"], spec["content"]["envelope"]["signatures"]
    pairs = [
        (from_base64(it["sig"], "a signature").decode("latin-1"), _of_pem(it["publicKey"])) for it in listed
    ]
    return _Named(_OLDER[hashed["algorithm"]], hashed["value"], made.payload, pairs)


def _hashedrekord_2(spec: Mapping[str, Any], made: Made) -> _Named:
    entry = spec["hashedRekordV002"]
    return _newer(entry["data"], made.message, [entry["signature"]])


def _dsse_2(spec: Mapping[str, Any], made: Made) -> _Named:
    entry = spec["dsseV002"]
    return _newer(entry["payloadHash"], made.payload, entry["signatures"])


def _newer(hashed: Mapping[str, Any], of: bytes, signatures: list[Mapping[str, Any]]) -> _Named:
    """HashOutput and Signature of the protobufs; one by a bare key names no certificate."""
    digest = from_base64(hashed["digest"], "the log entry's digest").hex()
    what, certificate = "a log entry's certificate", "x509Certificate"
    pairs = [
        (it["content"], from_base64(it["verifier"][certificate]["rawBytes"], what))
        for it in signatures
        if certificate in it["verifier"]
    ]
    return _Named(_NEWER[hashed["algorithm"]], digest, of, pairs)


_KINDS = {
    "hashedrekord 0.0.1": _hashedrekord,
    "dsse 0.0.1": _dsse,
    "intoto 0.0.2": _intoto,
    "hashedrekord 0.0.2": _hashedrekord_2,
    "dsse 0.0.2": _dsse_2,
}


def _of_pem(text: object) -> bytes:
    """A PEM certificate in base64 -> DER; empty if it is none."""
    lines = from_base64(text, "a log entry's certificate").decode("latin-1").split()
    if lines[:2] != ["-----BEGIN", "CERTIFICATE-----"] or lines[-2:] != ["-----END", "CERTIFICATE-----"]:
        return b""
    return from_base64("".join(lines[2:-2]), "a log entry's certificate")


def read_json(data: bytes) -> object:
    """Of a part of the log entry. BadSignature."""
    try:
        return strict_json(data)
    except BadContent as error:
        raise broken("the log entry is no JSON") from error


def as_object(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object. BadSignature if it is none."""
    if not isinstance(value, dict):
        raise broken(f"{what} is no JSON object")
    return value
