"""Entries of a Rekor transparency log: the log's promise (SET), and the proof of inclusion.

https://github.com/sigstore/rekor (openapi.yaml), https://github.com/sigstore/rekor-tiles (CLIENTS.md: Rekor
v2 promises nothing and tells no time), RFC 6962 section 2.1 (Merkle tree), https://c2sp.org/signed-note and
https://c2sp.org/tlog-checkpoint. Nothing is asked of the log: what stands beside the signature is held
against the log's key.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from collectors.signatures.bodies import as_object, read_json
from collectors.signatures.keys import PublicKey, signed_by
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
    """One entry. `body` is base64 as it was signed, `log` (hex) names the log, `promise` holds for `at` (Unix
    seconds); where there is none, no time is told, and there is a proof."""

    body: str
    at: int
    index: int
    log: str
    promise: bytes | None
    proof: Proof | None = None


def annotated(text: object) -> Entry:
    """Of cosign's annotation `dev.sigstore.cosign/bundle`. BadSignature."""
    if not isinstance(text, str) or not text:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, NO_PROMISE)
    outer = as_object(read_json(_utf8(text, "the log entry")), "the log entry")
    payload = as_object(outer.get("Payload"), "the log entry's payload")
    at, index = _number(payload.get("integratedTime")), _number(payload.get("logIndex"))
    if not isinstance(log := payload.get("logID"), str):
        raise broken("the log entry's payload lacks its log")
    body, promise = payload.get("body"), outer.get("SignedEntryTimestamp")
    from_base64(body, "the log entry's body")
    if promise is None:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, NO_PROMISE)
    return Entry(str(body), at, index, log, from_base64(promise, "the log's promise"))


def bundled(found: object, proven: bool = True) -> Entry:
    """Of one of a bundle's `tlogEntries` (protobuf as JSON: numbers are text); `proven`: it must have
    a proof of inclusion. BadSignature."""
    entry = as_object(found, "the log entry")
    log = from_base64(as_object(entry.get("logId"), "the log's name").get("keyId"), "the log's name").hex()
    body = entry.get("canonicalizedBody")
    from_base64(body, "the log entry's body")
    promise = entry.get("inclusionPromise")
    stamp = promise.get("signedEntryTimestamp") if isinstance(promise, dict) else None
    proof = entry.get("inclusionProof")
    if stamp is None and proof is None:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, NO_PROMISE)
    if proof is None and proven:
        raise broken("the log entry has no proof of inclusion")
    read = None if proof is None else _proof(as_object(proof, "the proof of inclusion"))
    index = _decimal(entry.get("logIndex", "0"))
    if stamp is None:
        return Entry(str(body), 0, index, log, None, read)
    at = _decimal(entry.get("integratedTime"))
    return Entry(str(body), at, index, log, from_base64(stamp, "the log's promise"), read)


def check(entry: Entry, logs: Mapping[str, PublicKey]) -> None:
    """The log has promised to hold this entry since `entry.at`, or has proven that it does; where there are
    promise and proof, both hold. BadSignature."""
    key = logs.get(entry.log) or _by_note(entry, logs.values())
    if key is None:
        reason = f"untrusted: its log entry is of a log that is not configured ({entry.log[:16]})"
        raise BadSignature(Code.UNTRUSTED, reason)
    if entry.promise is not None and not signed_by(key, entry.promise, _promised(entry)):
        raise broken("the log did not promise this entry (SET)")
    if entry.proof:
        if entry.promise is None and entry.index != entry.proof.index:
            raise broken("the log entry has another number than its proof")
        _check_proof(entry, entry.proof, key)


def _promised(entry: Entry) -> bytes:
    """ASCII text and whole numbers: sorted and without blanks, this is RFC 8785."""
    fields = {"body": entry.body, "integratedTime": entry.at, "logID": entry.log, "logIndex": entry.index}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _by_note(entry: Entry, keys: Iterable[PublicKey]) -> PublicKey | None:
    """The key of a log of Rekor v2, which is named by the key ID of its checkpoints, in full."""
    if entry.proof is None:
        return None
    origin = entry.proof.checkpoint.partition("\n")[0]
    return next((it for it in keys if _note_id(origin, it).hex() == entry.log), None)


def _note_id(name: str, key: PublicKey) -> bytes:
    """Of a signer of notes with Ed25519 (c2sp.org/signed-note, signature type 1); else empty."""
    if not isinstance(key, ed25519.Ed25519PublicKey):
        return b""
    return hashlib.sha256(name.encode() + b"\n\x01" + key.public_bytes_raw()).digest()


def _check_proof(entry: Entry, proof: Proof, key: PublicKey) -> None:
    leaf = hashlib.sha256(b"\0" + base64.b64decode(entry.body)).digest()
    if _root(proof, leaf) != proof.root:
        raise broken("the log entry is not in the tree that its proof names")
    text, _, rest = proof.checkpoint.partition("\n\n")
    lines, note = text.split("\n"), f"{text}\n".encode()
    if lines[1:3] != [str(proof.size), base64.b64encode(proof.root).decode()]:
        raise broken("the log's checkpoint is of another tree")
    name = bytes.fromhex(entry.log)[:4]
    stamps = [it[4:] for it in _stamps(rest) if it[:4] == name]
    if not any(signed_by(key, it, note) for it in stamps):
        raise broken("the checkpoint is not signed by the entry's log")


def _stamps(text: str) -> Iterator[bytes]:
    """The signatures under a note, each after four bytes that name its key; other lines are passed over."""
    for line in text.split("\n"):
        if line.startswith(_SIGNATURE_LINE):
            try:
                yield from_base64(line.rpartition(" ")[2], "a checkpoint's signature")
            except BadSignature:
                continue


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
    checkpoint = as_object(found.get("checkpoint"), "the log's checkpoint").get("envelope")
    if not isinstance(hashes, list) or len(hashes) > _MAX_HASHES or not isinstance(checkpoint, str):
        raise broken("the proof of inclusion has no path or no checkpoint")
    _utf8(checkpoint, "the log's checkpoint")
    return Proof(
        _decimal(found.get("logIndex", "0")),
        _decimal(found.get("treeSize")),
        from_base64(found.get("rootHash"), "the root of the log's tree"),
        [from_base64(it, "a hash of the proof") for it in hashes],
        checkpoint,
    )


def _utf8(text: str, what: str) -> bytes:
    """JSON can write half of a surrogate pair, which no UTF-8 has. BadSignature."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise broken(f"{what} is no text") from error


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
