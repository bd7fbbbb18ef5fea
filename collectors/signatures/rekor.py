"""Entries of a Rekor transparency log: the log's promise (SET), the proof of inclusion, and what was entered.

https://github.com/sigstore/rekor (openapi.yaml, types hashedrekord 0.0.1, dsse 0.0.1, intoto 0.0.2), RFC 6962
section 2.1 (Merkle tree), https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint. Nothing is asked
of the log: what stands beside the signature is held against the log's key.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectors.signatures.keys import PublicKey, signed_by
from collectors.signatures.lookups import BadContent, strict_json
from collectors.signatures.verdicts import BadSignature, Code, broken, from_base64

NO_PROMISE = (
    "a keyless signature (Fulcio certificate) is present, unverified: its log entry has no inclusion promise"
)
_MOST = (1 << 53) - 1  # of a number in canonical JSON (RFC 8785)
_MAX_HASHES = 64
_SIGNATURE_LINE = "\u2014 "


@dataclass(frozen=True, slots=True)
class Proof:
    """That the entry is in the tree whose root the log has signed (`checkpoint`, a signed note)."""

    index: int
    size: int
    root: bytes
    hashes: Sequence[bytes]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `body` is base64 as it was signed, `log` the SHA-256 (hex) of the log's key, `at` Unix
    seconds; `proof` is None where there is none."""

    body: str
    at: int
    index: int
    log: str
    promise: bytes
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What was signed: the signature, the bytes whose SHA-256 the log holds, the certificate (DER)."""

    signature: bytes
    payload: bytes
    certificate: bytes


def annotated(text: object) -> Entry:
    """Of cosign's annotation `dev.sigstore.cosign/bundle`. BadSignature."""
    if not isinstance(text, str) or not text:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, NO_PROMISE)
    outer = _object(_json(text.encode()), "the log entry")
    payload = _object(outer.get("Payload"), "the log entry's payload")
    at, index = _number(payload.get("integratedTime")), _number(payload.get("logIndex"))
    if not isinstance(log := payload.get("logID"), str):
        raise broken("the log entry's payload lacks its log")
    body = payload.get("body")
    from_base64(body, "the log entry's body")
    return Entry(str(body), at, index, log, _promise(outer.get("SignedEntryTimestamp")))


def bundled(found: object, proven: bool = True) -> Entry:
    """Of one of a bundle's `tlogEntries` (protobuf as JSON: numbers are text); `proven`: it must have
    a proof of inclusion. BadSignature."""
    entry = _object(found, "the log entry")
    log = from_base64(_object(entry.get("logId"), "the log's name").get("keyId"), "the log's name").hex()
    body = entry.get("canonicalizedBody")
    from_base64(body, "the log entry's body")
    promise = entry.get("inclusionPromise")
    stamp = _promise(promise.get("signedEntryTimestamp") if isinstance(promise, dict) else None)
    proof = entry.get("inclusionProof")
    if proof is None and proven:
        raise broken("the log entry has no proof of inclusion")
    read = None if proof is None else _proof(_object(proof, "the proof of inclusion"))
    at, index = _decimal(entry.get("integratedTime")), _decimal(entry.get("logIndex"))
    return Entry(str(body), at, index, log, stamp, read)


def check(entry: Entry, logs: Mapping[str, PublicKey]) -> None:
    """The log has promised to hold this entry since `entry.at`; where there is a proof of inclusion, it
    holds too. BadSignature."""
    key = logs.get(entry.log)
    if key is None:
        reason = f"untrusted: its log entry is of a log that is not configured ({entry.log[:16]})"
        raise BadSignature(Code.UNTRUSTED, reason)
    fields = {"body": entry.body, "integratedTime": entry.at, "logID": entry.log, "logIndex": entry.index}
    # ASCII text and whole numbers: sorted and without blanks, this is RFC 8785.
    message = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    if not signed_by(key, entry.promise, message):
        raise broken("the log did not promise this entry (SET)")
    if entry.proof:
        _check_proof(entry.proof, base64.b64decode(entry.body), key)


def check_body(entry: Entry, made: Made) -> None:
    """The entry is of this very signature, certificate and payload. BadSignature."""
    body = _object(_json(base64.b64decode(entry.body)), "the log entry's body")
    kind = f"{body.get('kind')} {body.get('apiVersion')}"[:60]
    reader = _KINDS.get(kind)
    if reader is None:
        raise broken(f"the log entry is of a kind that is not read here ({kind})")
    try:
        hashed, pairs = reader(_object(body.get("spec"), "the log entry's body"))
    except (KeyError, TypeError, AttributeError) as error:
        raise broken(f"the log entry is no {kind}") from error
    expected = {"algorithm": "sha256", "value": hashlib.sha256(made.payload).hexdigest()}
    if {name: hashed.get(name) for name in expected} != expected:
        raise broken("the log entry is of another payload")
    signature = base64.b64encode(made.signature).decode()
    if not any(text == signature and _der(pem) == made.certificate for text, pem in pairs):
        raise broken("the log entry is of another signature or certificate")


_Read = tuple[Mapping[str, Any], list[tuple[str, str]]]


def _hashedrekord(spec: Mapping[str, Any]) -> _Read:
    signature = spec["signature"]
    return spec["data"]["hash"], [(signature["content"], signature["publicKey"]["content"])]


def _dsse(spec: Mapping[str, Any]) -> _Read:
    return spec["payloadHash"], [(it["signature"], it["verifier"]) for it in spec["signatures"]]


def _intoto(spec: Mapping[str, Any]) -> _Read:
    """Its signatures are base64 of base64."""
    content = spec["content"]
    listed = content["envelope"]["signatures"]
    pairs = [(from_base64(it["sig"], "a signature").decode("latin-1"), it["publicKey"]) for it in listed]
    return content["payloadHash"], pairs


_KINDS = {"hashedrekord 0.0.1": _hashedrekord, "dsse 0.0.1": _dsse, "intoto 0.0.2": _intoto}


def _der(text: object) -> bytes:
    """A PEM certificate in base64 -> DER; empty if it is none."""
    lines = from_base64(text, "a log entry's certificate").decode("latin-1").split()
    if lines[:2] != ["-----BEGIN", "CERTIFICATE-----"] or lines[-2:] != ["-----END", "CERTIFICATE-----"]:
        return b""
    return from_base64("".join(lines[2:-2]), "a log entry's certificate")


def _check_proof(proof: Proof, leaf: bytes, key: PublicKey) -> None:
    if _root(proof, hashlib.sha256(b"\0" + leaf).digest()) != proof.root:
        raise broken("the log entry is not in the tree that its proof names")
    text, _, rest = proof.checkpoint.partition("\n\n")
    lines, note = text.split("\n"), f"{text}\n".encode()
    if lines[1:3] != [str(proof.size), base64.b64encode(proof.root).decode()]:
        raise broken("the log's checkpoint is of another tree")
    stamps = [it.rpartition(" ")[2] for it in rest.split("\n") if it.startswith(_SIGNATURE_LINE)]
    # Four bytes name the key; which one it was is told by the signature.
    if not any(signed_by(key, from_base64(it, "a checkpoint's signature")[4:], note) for it in stamps):
        raise broken("the checkpoint is not signed by the entry's log")


def _root(proof: Proof, leaf: bytes) -> bytes:
    """The root that the path leads to (RFC 9162, 2.1.3.2); empty if it leads nowhere."""
    if not 0 <= proof.index < proof.size:
        return b""
    place, last, found = proof.index, proof.size - 1, leaf
    for other in proof.hashes:
        if last == 0:
            return b""
        if place & 1 or place == last:
            found = hashlib.sha256(b"\1" + other + found).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + other).digest()
        place, last = place >> 1, last >> 1
    return found if last == 0 else b""


def _proof(found: Mapping[str, Any]) -> Proof:
    hashes = found.get("hashes", [])
    checkpoint = _object(found.get("checkpoint"), "the log's checkpoint").get("envelope")
    if not isinstance(hashes, list) or len(hashes) > _MAX_HASHES or not isinstance(checkpoint, str):
        raise broken("the proof of inclusion has no path or no checkpoint")
    return Proof(
        _decimal(found.get("logIndex", "0")),
        _decimal(found.get("treeSize")),
        from_base64(found.get("rootHash"), "the root of the log's tree"),
        [from_base64(it, "a hash of the proof") for it in hashes],
        checkpoint,
    )


def _promise(text: object) -> bytes:
    if text is None:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, NO_PROMISE)
    return from_base64(text, "the log's promise")


def _decimal(text: object) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > 16:
        raise broken("a number of the log entry is none")
    if str(int(text)) != text:
        raise broken("a number of the log entry is none")
    return _number(int(text))


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise broken("a number of the log entry is none")
    return value


def _json(data: bytes) -> object:
    try:
        return strict_json(data)
    except BadContent as error:
        raise broken("the log entry is no JSON") from error


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise broken(f"{what} is no JSON object")
    return value
