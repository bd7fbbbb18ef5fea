"""Keyless signatures in a log of Rekor v2, dated by timestamps; and a Sigstore of our own like that."""

import base64
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collectors.signatures import bundle
from collectors.signatures.certificates import read_chain
from collectors.signatures.identities import Identity, Keyless, TimestampAuthorities
from collectors.signatures.keys import fingerprint
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion
from tests.signing import MAKERS, Key, Signer, body_of, digest, p256, pae, sign
from tests.sigstore import ISSUER, PAYLOAD_TYPE, SUBJECT, Rekor, Sigstore, b64, der, dsse, pem

# A flipped serial number may be zero, which the library only warns of.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
Document = dict[str, Any]
WITNESS = "\u2014 witness.example.com " + b64(bytes(76))


@dataclass
class Rekor2(Rekor):
    """A log of Rekor v2: no promise and no time; a witness stands under its checkpoint too."""

    key: Key = field(default_factory=MAKERS["Ed25519"])
    origin: str = "log2.example.com"

    @property
    def name(self) -> str:
        raw = self.key.public_key().public_bytes_raw()
        return hashlib.sha256(self.origin.encode() + b"\n\x01" + raw).hexdigest()

    def entry(self, body: bytes, at: int, index: int = 2, place: int = 2, size: int = 4) -> Document:
        made = super().entry(body, at, place, place, size)
        del made["inclusionPromise"], made["integratedTime"]
        return {**made, "logIndex": str(index)}

    def checkpoint(self, size: int, root: bytes) -> str:
        note = f"{self.origin}\n{size}\n{b64(root)}\n"
        stamp = bytes.fromhex(self.name)[:4] + sign(self.key, note.encode())
        return f"{note}\n{WITNESS}\n\u2014 {self.origin} {b64(stamp)}\n\u2014 odd line\n"


def _tlv(tag: int, *parts: bytes) -> bytes:
    """DER (X.690)."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _number(value: int) -> bytes:
    return _tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    groups = [first * 40 + second, *rest]
    content = b""
    for group in groups:
        digits = [group & 127]
        while group := group >> 7:
            digits.insert(0, 128 | group & 127)
        content += bytes(digits)
    return _tlv(6, content)


SHA256 = _tlv(0x30, _oid("2.16.840.1.101.3.4.2.1"))
_SIGNED, _TOKEN = _oid("1.2.840.113549.1.7.2"), _oid("1.2.840.113549.1.9.16.1.4")
_KIND, _DIGEST = _oid("1.2.840.113549.1.9.3"), _oid("1.2.840.113549.1.9.4")


@dataclass
class Tsa:
    """A timestamp authority (RFC 3161, RFC 5652): root, intermediate and signer. Times are days from now."""

    name: str = "tsa"
    begin: float = -900
    end: float = 900
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.TIME_STAMPING,)
    key: Key = field(default_factory=p256)

    def __post_init__(self) -> None:
        self.root = Signer(f"{self.name} root", ca=True, begin=-900, end=900)
        self.middle = Signer(f"{self.name} intermediate", self.root, ca=True, begin=-900, end=900)
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .issuer_name(self.middle.certificate.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=self.begin))
            .not_valid_after(now + timedelta(days=self.end))
            .add_extension(x509.ExtendedKeyUsage(self.purposes), True)
            .sign(self.middle.key, hashes.SHA256())
        )

    @property
    def believed(self) -> TimestampAuthorities:
        return TimestampAuthorities([self.root.certificate], [self.middle.certificate], [self.certificate])

    def file(self, folder: Path) -> Path:
        path = folder / f"{self.name}.pem"
        path.write_bytes(
            b"".join(map(pem, (self.certificate, self.middle.certificate, self.root.certificate)))
        )
        return path

    def stamp(self, signature: bytes, at: float, carried: bool = True, status: int = 0) -> str:
        """A TimeStampResp in base64, as a bundle holds it; `carried`: with the signer's certificate."""
        moment = datetime.fromtimestamp(int(at), UTC).strftime("%Y%m%d%H%M%SZ").encode()
        imprint = _tlv(0x30, SHA256, _tlv(4, hashlib.sha256(signature).digest()))
        parts = _number(1), _oid("1.3.6.1.4.1.57264.2"), imprint, _number(7), _tlv(0x18, moment)
        token = self._signed(_tlv(0x30, *parts), carried)
        return b64(_tlv(0x30, _tlv(0x30, _number(status)), token))

    def _signed(self, info: bytes, carried: bool) -> bytes:
        kind = _tlv(0x30, _KIND, _tlv(0x31, _TOKEN))
        hashed = _tlv(0x30, _DIGEST, _tlv(0x31, _tlv(4, hashlib.sha256(info).digest())))
        made = self.key.sign(_tlv(0x31, kind, hashed), ec.ECDSA(hashes.SHA256()))
        who = _tlv(0x30, self.certificate.issuer.public_bytes(), _number(self.certificate.serial_number))
        ecdsa = _tlv(0x30, _oid("1.2.840.10045.4.3.2"))
        signer = _tlv(0x30, _number(1), who, SHA256, _tlv(0xA0, kind, hashed), ecdsa, _tlv(4, made))
        content = _tlv(0x30, _TOKEN, _tlv(0xA0, _tlv(4, info)))
        certificates = [_tlv(0xA0, der(self.certificate))] if carried else []
        parts = _number(3), _tlv(0x31, SHA256), content, *certificates, _tlv(0x31, signer)
        return _tlv(0x30, _SIGNED, _tlv(0xA0, _tlv(0x30, *parts)))


def verifier(certificate: x509.Certificate) -> Document:
    return {"x509Certificate": {"rawBytes": b64(der(certificate))}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}


def hashedrekord2(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    hashed = hashlib.sha256(pae(PAYLOAD_TYPE, payload)).digest()
    made = {"content": b64(signature), "verifier": verifier(certificate)}
    entry = {"data": {"algorithm": "SHA2_256", "digest": b64(hashed)}, "signature": made}
    return body_of({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": entry}})


def dsse2(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    hashed = {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(payload).digest())}
    made = [{"content": b64(signature), "verifier": verifier(certificate)}]
    spec = {"dsseV002": {"payloadHash": hashed, "signatures": made}}
    return body_of({"apiVersion": "0.0.2", "kind": "dsse", "spec": spec})


@dataclass
class Sigstore2(Sigstore):
    """Signs as cosign 3 does with Rekor v2 and a timestamp authority."""

    rekor: Rekor = field(default_factory=Rekor2)
    tsa: Tsa = field(default_factory=Tsa)

    def keyless(self, *identities: Identity, others: Sequence[Sigstore] = ()) -> Keyless:
        made = super().keyless(*identities, others=others)
        logs = {fingerprint(key): key for key in made.logs.values()}
        return replace(made, logs=logs, timestamps=self.tsa.believed)

    def bundle(self, image: str, body: Any = hashedrekord2, after: float = 30, **entry: Any) -> bytes:
        """Timestamped so many seconds after the certificate's beginning."""
        made = json.loads(super().bundle(image, body, **entry))
        return self.dated(made, [self.tsa.stamp(signature_of(made), self.at + after)])

    @staticmethod
    def dated(made: Document, stamps: Sequence[object]) -> bytes:
        listed = [{"signedTimestamp": it} for it in stamps]
        made["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": listed}
        return body_of(made)


def signature_of(document: Document) -> bytes:
    return base64.b64decode(document["dsseEnvelope"]["signatures"][0]["sig"])


NOW = int(time.time())
IMAGE = digest(b"image")
STORE = Sigstore2(NOW - 200 * 86400)
BUILDER = Identity(ISSUER, SUBJECT)
TRUST = Trust(keyless=STORE.keyless(BUILDER))


def of(data: bytes, trust: Trust = TRUST) -> Opinion:
    try:
        opinion = bundle.opinion_of(data, IMAGE, trust, NOW)
    except BadSignature as error:
        return error.opinion
    assert opinion is not None
    return opinion


def stamped(*stamps: object) -> Opinion:
    """A good bundle with these timestamps in place of its own."""
    return of(STORE.dated(json.loads(BUNDLE), stamps))


BUNDLE = STORE.bundle(IMAGE)
SIGNATURE = signature_of(json.loads(BUNDLE))
GOOD = STORE.tsa.stamp(SIGNATURE, STORE.at + 30)


@pytest.mark.parametrize("body", [hashedrekord2, dsse2])
def test_a_bundle_long_after_its_certificate_ended(body):
    found = of(STORE.bundle(IMAGE, body))
    moment = datetime.fromtimestamp(STORE.at + 30, UTC).isoformat()[:19]
    assert found.code is Code.TRUSTED and found.signer == SUBJECT
    assert found.reason.startswith(f"signed by {SUBJECT} ({ISSUER}), timestamped at {moment}")


def test_timestamps_without_the_signers_certificate_need_it_configured():
    bare = STORE.tsa.stamp(SIGNATURE, STORE.at + 30, carried=False)
    assert stamped(bare).code is Code.TRUSTED
    believed = replace(STORE.tsa.believed, signers=[])
    trust = Trust(keyless=replace(STORE.keyless(BUILDER), timestamps=believed))
    assert of(STORE.dated(json.loads(BUNDLE), [bare]), trust).code is Code.UNTRUSTED
    assert of(BUNDLE, trust).code is Code.TRUSTED


def test_without_authorities_or_timestamps_it_is_present_and_unverified():
    trust = Trust(keyless=replace(STORE.keyless(BUILDER), timestamps=TimestampAuthorities()))
    found = of(BUNDLE, trust)
    assert found.code is Code.UNVERIFIED_KEYLESS and "present, unverified" in found.reason
    assert found.reason.endswith("and no timestamp authorities are configured")
    found = stamped()
    assert found.code is Code.UNVERIFIED_KEYLESS and found.reason.endswith("and it has no timestamp")
    document = json.loads(BUNDLE)
    del document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    assert of(body_of(document)).code is Code.UNVERIFIED_KEYLESS
    assert of(BUNDLE, Trust()).reason.endswith("no roots are configured")


@pytest.mark.parametrize(
    ("after", "code"),
    [(0, Code.TRUSTED), (600, Code.TRUSTED), (601, Code.EXPIRED), (-1, Code.NOT_YET_VALID)],
)
def test_the_certificate_is_judged_when_it_was_timestamped(after, code):
    found = of(STORE.bundle(IMAGE, after=after))
    assert found.code is code and "timestamped at" in found.reason


def test_every_good_timestamp_must_fit_and_one_must_be_good():
    late = STORE.tsa.stamp(SIGNATURE, STORE.at + 3600)
    assert stamped(GOOD, late).code is stamped(late, GOOD).code is Code.EXPIRED
    for bad in (Tsa().stamp(SIGNATURE, STORE.at + 3600), STORE.tsa.stamp(b"other", STORE.at), "x", None, 1):
        assert stamped(bad, GOOD).code is stamped(GOOD, bad).code is Code.TRUSTED


@pytest.mark.parametrize(
    ("stamp", "code", "reason"),
    [
        (STORE.tsa.stamp(b"other", STORE.at + 30), Code.BROKEN, "of another signature"),
        (Tsa().stamp(SIGNATURE, STORE.at + 30), Code.UNTRUSTED, "by none of the configured"),
        (Tsa().stamp(SIGNATURE, STORE.at + 30, carried=False), Code.UNTRUSTED, "by none of the configured"),
        (STORE.tsa.stamp(SIGNATURE, STORE.at + 30, status=2), Code.UNTRUSTED, "by none of the configured"),
        (STORE.tsa.stamp(SIGNATURE, NOW - 1000 * 86400), Code.UNTRUSTED, "by none of the configured"),
        (b64(b"x"), Code.BROKEN, "cannot be read"),
        (b64(_tlv(0x30, _tlv(0x30, _number(2)))), Code.BROKEN, "cannot be read"),
        ("-", Code.BROKEN, "no base64"),
        (None, Code.BROKEN, "is missing"),
    ],
)
def test_timestamps_that_do_not_count(stamp, code, reason):
    found = stamped(stamp)
    assert (found.code, reason in found.reason) == (code, True), found


@pytest.mark.parametrize(
    "more",
    [
        {"purposes": [ExtendedKeyUsageOID.CODE_SIGNING]},
        {"end": -300},
        {"begin": -100},
    ],
)
@pytest.mark.parametrize("carried", [True, False])
def test_a_signer_of_timestamps_for_another_purpose_or_time(more, carried):
    tsa = Tsa(**more)
    trust = Trust(keyless=replace(STORE.keyless(BUILDER), timestamps=tsa.believed))
    stamp = tsa.stamp(SIGNATURE, STORE.at + 30, carried)
    found = of(STORE.dated(json.loads(BUNDLE), [stamp]), trust)
    assert found.code is Code.UNTRUSTED and "by none of the configured" in found.reason


@pytest.mark.parametrize("carried", [True, False])
def test_only_a_root_is_believed_and_not_what_leads_to_it(carried):
    """Nor what a timestamp carries: a signer that is its own issuer."""
    stamp = STORE.tsa.stamp(SIGNATURE, STORE.at + 30, carried)
    believed = replace(STORE.tsa.believed, roots=[Tsa().root.certificate])
    trust = Trust(keyless=replace(STORE.keyless(BUILDER), timestamps=believed))
    assert of(STORE.dated(json.loads(BUNDLE), [stamp]), trust).code is Code.UNTRUSTED
    between = replace(STORE.tsa.believed, intermediates=[])
    trust = Trust(keyless=replace(STORE.keyless(BUILDER), timestamps=between))
    assert of(STORE.dated(json.loads(BUNDLE), [stamp]), trust).code is Code.UNTRUSTED
    own = Tsa()
    own.certificate = (
        x509.CertificateBuilder(own.certificate.subject, own.certificate.subject, own.key.public_key(), 7)
        .not_valid_before(own.certificate.not_valid_before_utc)
        .not_valid_after(own.certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage(own.purposes), True)
        .sign(own.key, hashes.SHA256())
    )
    assert stamped(own.stamp(SIGNATURE, STORE.at + 30, carried)).code is Code.UNTRUSTED


def test_a_signers_name_of_an_unknown_kind_of_text():
    """cryptography raises KeyError for it; found by changing bytes at random."""
    data = bytearray(base64.b64decode(GOOD))
    data[data.rindex(b"tsa intermediate") - 2] = 0x80
    assert "by none of the configured" in stamped(b64(bytes(data))).reason
    chain = bytearray(der(STORE.tsa.certificate))
    chain[chain.index(b"tsa intermediate") - 2] = 0x80
    with pytest.raises(BadSignature, match="cannot be read"):
        read_chain([bytes(chain)])


def test_too_many_timestamps_and_none_in_a_list():
    assert stamped(*[GOOD] * 16).code is Code.TRUSTED
    assert stamped(*[GOOD] * 17).code is Code.BROKEN
    document = json.loads(BUNDLE)
    document["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": GOOD}
    assert of(body_of(document)).code is Code.BROKEN


def test_what_is_revoked_counts_no_more():
    tsa, log = STORE.tsa, STORE.rekor.key.public_key()
    for key in (tsa.root.key, tsa.middle.key, tsa.key):
        trust = replace(TRUST, revoked=frozenset([fingerprint(key.public_key())]))
        assert "by none of the configured" in of(BUNDLE, trust).reason
    trust = replace(TRUST, revoked=frozenset([fingerprint(log)]))
    assert "log that is not configured" in of(BUNDLE, trust).reason


def test_a_promise_dates_by_itself_and_its_timestamps_are_not_read():
    older = Sigstore(STORE.at, STORE.fulcio)
    trust = Trust(keyless=STORE.keyless(BUILDER, others=[older]))
    made = json.loads(older.bundle(IMAGE))
    for stamps in ([], ["x"] * 20, [STORE.tsa.stamp(signature_of(made), NOW)]):
        found = of(STORE.dated(made, stamps), trust)
        assert found.code is Code.TRUSTED and ", logged at" in found.reason


def test_a_log_of_the_older_kind_may_be_dated_by_timestamps():
    """ECDSA, named by its key alone; without a promise the time it tells is nobody's."""
    older = Sigstore(STORE.at, STORE.fulcio)
    trust = Trust(keyless=STORE.keyless(BUILDER, others=[older]))
    made = json.loads(older.bundle(IMAGE, dsse, index=2))
    entry = made["verificationMaterial"]["tlogEntries"][0]
    del entry["inclusionPromise"]
    entry["integratedTime"] = str(STORE.at + 60)
    assert of(body_of(made), trust).code is Code.UNVERIFIED_KEYLESS
    stamp = STORE.tsa.stamp(signature_of(made), STORE.at + 30)
    assert "timestamped at" in of(STORE.dated(made, [stamp]), trust).reason
