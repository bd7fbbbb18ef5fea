"""The two envelopes of notation, read into one form; nothing is believed yet."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import cbor2

from collectors.signatures.lookups import strict_json
from collectors.signatures.verdicts import broken, from_base64
from seawall.core.times import parse_time

_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*")
_EXPIRY = "io.cncf.notary.expiry"
# COSE's labels (RFC 9052 section 3.1, RFC 9360) and algorithms (RFC 9053, RFC 8230).
_ALGORITHM, _CRITICAL, _CONTENT_TYPE, _CHAIN = 1, 2, 3, 33
_ALGORITHMS = {-7: "ES256", -35: "ES384", -36: "ES512", -37: "PS256", -38: "PS384", -39: "PS512"}
_COSE_SIGN1 = 18
_YEAR_10000 = 253402300800


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signature with what it covers: `message` is the signed bytes, `payload` the part of it that names the
    image; `headers` are the protected ones, `chain` DER certificates, `expiry` Unix seconds."""

    algorithm: str
    critical: Sequence[object]
    content_type: object
    headers: Mapping[object, Any]
    expiry: float | None
    chain: Sequence[bytes]
    message: bytes
    signature: bytes
    payload: bytes


def read_jws(body: bytes) -> Envelope:
    """A flattened JWS (RFC 7515 section 7.2.2): the signed bytes are the texts as they came. BadSignature."""
    document = _object(strict_json(body), "the envelope")
    protected, payload = _text(document, "protected"), _text(document, "payload")
    headers = _object(strict_json(_decoded(protected)), "the protected header")
    unprotected = _object(document.get("header"), "the unprotected header")
    if set(unprotected) & set(headers):
        raise broken("a header stands twice")
    return Envelope(
        algorithm=str(headers.get("alg")),
        critical=_list(headers["crit"], "crit") if "crit" in headers else (),
        content_type=headers.get("cty"),
        headers=headers,
        expiry=_moment(headers.get(_EXPIRY)),
        chain=[from_base64(it, "a certificate of its chain") for it in _list(unprotected.get("x5c"), "x5c")],
        message=f"{protected}.{payload}".encode(),
        signature=_decoded(_text(document, "signature")),
        payload=_decoded(payload),
    )


def read_cose(body: bytes) -> Envelope:
    """A COSE_Sign1 message (RFC 9052 section 4.2). BadSignature."""
    tag = _cbor(body)
    parts = tag.value if isinstance(tag, cbor2.CBORTag) and tag.tag == _COSE_SIGN1 else None
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise broken("the envelope is no COSE_Sign1 message")
    protected, unprotected, payload, signature = parts
    if not all(isinstance(it, bytes) for it in (protected, payload, signature)):
        raise broken("the envelope is no COSE_Sign1 message")
    headers = _object(_cbor(protected), "the protected header")
    loose = _object(unprotected, "the unprotected header")
    if set(loose) & set(headers):
        raise broken("a header stands twice")
    chain = loose.get(_CHAIN)
    return Envelope(
        algorithm=_ALGORITHMS.get(_hashable(headers.get(_ALGORITHM)), "unknown"),
        critical=_list(headers[_CRITICAL], "crit") if _CRITICAL in headers else (),
        content_type=headers.get(_CONTENT_TYPE),
        headers=headers,
        expiry=_moment(headers.get(_EXPIRY)),
        chain=[_bytes(it) for it in ([chain] if isinstance(chain, bytes) else _list(chain, "x5chain"))],
        message=sig_structure(protected, payload),
        signature=signature,
        payload=payload,
    )


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """What a COSE_Sign1 signs (RFC 9052 section 4.4)."""
    return cbor2.dumps(["Signature1", protected, b"", payload])


def _cbor(data: bytes) -> Any:
    """One item and nothing after it. BadSignature."""
    stream = BytesIO(data)
    try:
        found = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError) as error:
        raise broken("the envelope is no CBOR") from error
    if stream.read(1):
        raise broken("the envelope has something behind its end")
    return found


def _moment(value: object) -> float | None:
    """Unix seconds; None if there is none. BadSignature."""
    if value is None:
        return None
    try:
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            return parse_time(value)
        if isinstance(value, int | float) and 0 <= value < _YEAR_10000:
            return float(value)
    except (ValueError, OverflowError) as error:
        raise broken("its expiry is no time") from error
    raise broken("its expiry is no time")


def _object(value: object, what: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise broken(f"{what} is missing or no map")
    return value


def _list(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not value:
        raise broken(f"{what} is missing or no list")
    return value


def _text(document: Mapping[Any, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise broken(f"the envelope has no {key}")
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise broken("a certificate of its chain cannot be read")
    return value


def _hashable(value: object) -> int:
    return value if isinstance(value, int) else 0


def _decoded(text: str) -> bytes:
    """base64url without padding (RFC 7515 section 2), in its only spelling. BadSignature."""
    if _URL_SAFE.fullmatch(text):
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            data = b""
        if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text:
            return data
    raise broken("a part of the envelope is no base64url")
