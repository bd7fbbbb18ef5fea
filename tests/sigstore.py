"""A Sigstore of our own: an authority like Fulcio's, a log like Rekor's, and what cosign keeps of both."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from collectors.signatures.identities import Identity, Keyless
from tests.signing import BUNDLE, SIGN_PREDICATE, Key, Signer, body_of, p256, pae, sign, simple_layer

ISSUER, SUBJECT = "https://accounts.example.com", "builder@example.com"
ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
ISSUER_RAW_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
Document = dict[str, Any]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@dataclass
class Fulcio:
    """A root, an intermediate, and certificates that live ten minutes."""

    name: str = "fulcio"

    def __post_init__(self) -> None:
        self.root = Signer(f"{self.name} root", ca=True, begin=-900, end=900)
        self.middle = Signer(f"{self.name} intermediate", self.root, ca=True, begin=-900, end=900)

    def issue(
        self,
        key: Key,
        at: float,
        subject: Sequence[x509.GeneralName] = (x509.RFC822Name(SUBJECT),),
        issuer: str | None = ISSUER,
        older: str | None = ISSUER,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
    ) -> x509.Certificate:
        """Valid for ten minutes from `at` (Unix seconds)."""
        begin = datetime.fromtimestamp(int(at), UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.middle.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(minutes=10))
        )
        if subject:
            made = made.add_extension(x509.SubjectAlternativeName(subject), True)
        if purposes:
            made = made.add_extension(x509.ExtendedKeyUsage(purposes), False)
        if issuer is not None:
            value = x509.UnrecognizedExtension(ISSUER_OID, asn1.encode_der(issuer))
            made = made.add_extension(value, False)
        if older is not None:
            made = made.add_extension(x509.UnrecognizedExtension(ISSUER_RAW_OID, older.encode()), False)
        return made.sign(self.middle.key, hashes.SHA256())

    def file(self, folder: Path) -> Path:
        path = folder / f"{self.name}.pem"
        path.write_bytes(pem(self.middle.certificate) + pem(self.root.certificate))
        return path


@dataclass
class Rekor:
    """A log: it promises (SET), and proves with a tree of four entries and a checkpoint."""

    key: Key = field(default_factory=p256)

    @property
    def name(self) -> str:
        spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(spki).hexdigest()

    def promise(self, body: bytes, at: int, index: int) -> bytes:
        fields = {"body": b64(body), "integratedTime": at, "logID": self.name, "logIndex": index}
        return sign(self.key, json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())

    def annotation(self, body: bytes, at: int, index: int = 7) -> str:
        """cosign's `dev.sigstore.cosign/bundle`."""
        payload = {"body": b64(body), "integratedTime": at, "logIndex": index, "logID": self.name}
        stamp = b64(self.promise(body, at, index))
        return json.dumps({"SignedEntryTimestamp": stamp, "Payload": payload})

    def entry(self, body: bytes, at: int, index: int = 7, place: int = 2, size: int = 4) -> Document:
        """One of a bundle's `tlogEntries`, at a place of a tree of so many leaves."""
        leaves = [b"entry %d" % number for number in range(size)]
        leaves[place] = body
        root, path = _tree([hashlib.sha256(b"\0" + it).digest() for it in leaves], place)
        return {
            "logIndex": str(index),
            "logId": {"keyId": b64(bytes.fromhex(self.name))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.promise(body, at, index))},
            "inclusionProof": {
                "logIndex": str(place),
                "treeSize": str(size),
                "rootHash": b64(root),
                "hashes": [b64(it) for it in path],
                "checkpoint": {"envelope": self.checkpoint(size, root)},
            },
            "canonicalizedBody": b64(body),
        }

    def checkpoint(self, size: int, root: bytes) -> str:
        note = f"log.example.com - 1\n{size}\n{b64(root)}\n"
        stamp = bytes.fromhex(self.name)[:4] + sign(self.key, note.encode())
        return f"{note}\n\u2014 log.example.com {b64(stamp)}\n"

    def file(self, folder: Path, name: str = "rekor.pub") -> Path:
        path = folder / name
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        path.write_bytes(self.key.public_key().public_bytes(serialization.Encoding.PEM, spki))
        return path


def _tree(leaves: list[bytes], place: int) -> tuple[bytes, list[bytes]]:
    """Root and path of a leaf, written as RFC 6962 2.1 and 2.1.1 define them (not as they are checked)."""
    if len(leaves) == 1:
        return leaves[0], []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = leaves[:half], leaves[half:]
    if place < half:
        root, path = _tree(left, place)
        other = _tree(right, 0)[0]
        return hashlib.sha256(b"\1" + root + other).digest(), [*path, other]
    root, path = _tree(right, place - half)
    other = _tree(left, 0)[0]
    return hashlib.sha256(b"\1" + other + root).digest(), [*path, other]


def hashedrekord(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    hashed = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    made = {"content": b64(signature), "publicKey": {"content": b64(pem(certificate))}}
    return body_of(
        {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"data": {"hash": hashed}, "signature": made}}
    )


def dsse(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    hashed = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    made = [{"signature": b64(signature), "verifier": b64(pem(certificate))}]
    spec = {"envelopeHash": hashed, "payloadHash": hashed, "signatures": made}
    return body_of({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})


def intoto(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    hashed = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    made = [{"sig": b64(b64(signature).encode()), "publicKey": b64(pem(certificate))}]
    content = {"envelope": {"payloadType": PAYLOAD_TYPE, "signatures": made}, "payloadHash": hashed}
    return body_of({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": content}})


@dataclass
class Sigstore:
    """Signs images without a key that lasts, at a time (Unix seconds) long gone by."""

    at: int
    fulcio: Fulcio = field(default_factory=Fulcio)
    rekor: Rekor = field(default_factory=Rekor)

    def keyless(self, *identities: Identity, others: Sequence["Sigstore"] = ()) -> Keyless:
        """The trust in this one, and in others beside it."""
        all_of = (self, *others)
        return Keyless(
            [it.fulcio.root.certificate for it in all_of],
            [it.fulcio.middle.certificate for it in all_of],
            {it.rekor.name: it.rekor.key.public_key() for it in all_of},
            {},
            identities,
        )

    def layer(self, payload: bytes, logged: int = 60, **certificate: Any) -> Document:
        """cosign's layer with certificate and log entry; logged so many seconds after its certificate's
        beginning."""
        key = p256()
        made, signature = self.fulcio.issue(key, self.at, **certificate), sign(key, payload)
        noted = self.rekor.annotation(hashedrekord(payload, signature, made), self.at + logged)
        annotations = {
            "dev.sigstore.cosign/certificate": pem(made).decode(),
            "dev.sigstore.cosign/bundle": noted,
        }
        return simple_layer(payload, signature, **annotations)

    def bundle(self, image: str, body: Any = dsse, **entry: Any) -> bytes:
        """A bundle v0.3 of cosign 3."""
        subject = [{"digest": {"sha256": image.removeprefix("sha256:")}}]
        statement = {"_type": "https://in-toto.io/Statement/v1", "subject": subject}
        payload = body_of({**statement, "predicateType": SIGN_PREDICATE, "predicate": {}})
        key = p256()
        made, signature = self.fulcio.issue(key, self.at), sign(key, pae(PAYLOAD_TYPE, payload))
        logged = self.rekor.entry(body(payload, signature, made), self.at + 60, **entry)
        material = {"certificate": {"rawBytes": b64(der(made))}, "tlogEntries": [logged]}
        envelope = {
            "payload": b64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": b64(signature)}],
        }
        return body_of({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope})
