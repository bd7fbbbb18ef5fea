"""Keyless signatures: a key of minutes, whose certificate names a person or a build; a log proves when.

https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md (issuer, subject),
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md, the client specification of
https://github.com/sigstore/architecture-docs. Judged at the time at which the log took the entry, or which
timestamps tell.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from collectors.signatures import rekor, timestamps
from collectors.signatures.bodies import Made, check_body
from collectors.signatures.certificates import UNREADABLE, is_revoked, leads_by, leaf_key, read_chain
from collectors.signatures.identities import Keyless
from collectors.signatures.keys import signed_by
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, Opinion, broken
from seawall.core.times import rfc3339

PRESENT = "a keyless signature (Fulcio certificate) is present, unverified: no roots are configured"
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_ISSUER_RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_USERNAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")


@dataclass(frozen=True, slots=True)
class Moment:
    """When (Unix seconds) the signature was there, and `what` tells it: it was logged, or timestamped."""

    at: float
    what: str


def opinion(trust: Trust, entry: rekor.Entry, made: Made, stamps: Sequence[object] = ()) -> Opinion:
    """Of a signature by a certificate's key, with its log entry and its timestamps. TRUSTED; BadSignature
    says what is wrong, UNVERIFIED_KEYLESS where no roots are configured, or nothing can tell its time."""
    keyless = trust.keyless
    if keyless is None:
        return Opinion(Code.UNVERIFIED_KEYLESS, PRESENT)
    if entry.promise is None:
        _check_datable(keyless, stamps)
    leaf = read_chain([made.certificate])[0]
    issuer, subject = issuer_of(leaf), subject_of(leaf)
    if not signed_by(leaf_key([leaf]), made.signature, made.message):
        raise broken("its certificate's key did not sign it")
    logs = {name: key for name, key in keyless.logs.items() if name not in trust.revoked}
    rekor.check(entry, logs)
    check_body(entry.body, made)
    moments = [Moment(entry.at, "logged")]
    if entry.promise is None:
        times = timestamps.times(stamps, made.signature, keyless.timestamps, trust)
        moments = [Moment(at, "timestamped") for at in sorted(times)]
    for moment in moments:
        _check_leaf(leaf, keyless, trust, moment, subject)
    transparency = _transparent(leaf, keyless)
    _check_identity(keyless, issuer, subject)
    when = f"{moments[0].what} at {rfc3339(moments[0].at)}"
    return Opinion(Code.TRUSTED, f"signed by {subject} ({issuer}), {when}; {transparency}", subject)


def _check_datable(keyless: Keyless, stamps: Sequence[object]) -> None:
    """Without a promise, only a timestamp by somebody who is believed tells the time. BadSignature."""
    if not stamps:
        raise BadSignature(Code.UNVERIFIED_KEYLESS, f"{rekor.NO_PROMISE}, and it has no timestamp")
    if not keyless.timestamps.roots:
        reason = f"{rekor.NO_PROMISE}, and no timestamp authorities are configured"
        raise BadSignature(Code.UNVERIFIED_KEYLESS, reason)


def issuer_of(leaf: x509.Certificate) -> str:
    """Who vouched for the subject: 1.8 (DER), else the older 1.1 (plain text). BadSignature."""
    der, raw = _value(leaf, _ISSUER), _value(leaf, _ISSUER_RAW)
    try:
        newer = None if der is None else asn1.decode_der(str, der)
        older = None if raw is None else raw.decode()
    except ValueError as error:
        raise broken("its certificate's issuer of the identity cannot be read") from error
    if newer is not None and older is not None and newer != older:
        raise broken("its certificate names two issuers of the identity")
    issuer = newer or older
    if not issuer:
        raise broken("its certificate names no issuer of the identity")
    return issuer


def subject_of(leaf: x509.Certificate) -> str:
    """The one alternative name: an address, a URI or a user name. BadSignature."""
    try:
        listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise broken("its certificate names nobody") from error
    names = list(listed)
    name = names[0] if len(names) == 1 else None
    if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier) and name.value:
        return name.value
    if isinstance(name, x509.OtherName) and name.type_id == _USERNAME:
        try:
            return asn1.decode_der(str, name.value)
        except ValueError as error:
            raise broken("its certificate's user name cannot be read") from error
    raise broken("its certificate names not exactly one address, URI or user")


def _value(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        found = leaf.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    return found.value if isinstance(found, x509.UnrecognizedExtension) else None


def _check_leaf(leaf: x509.Certificate, keyless: Keyless, trust: Trust, moment: Moment, subject: str) -> None:
    """It was valid at the moment, is for signing code, and leads to a root. BadSignature."""
    at = moment.at
    since, until = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if not since <= at <= until:
        code, word = (Code.EXPIRED, "expired") if at > until else (Code.NOT_YET_VALID, "not yet valid")
        times = f"{rfc3339(since)} to {rfc3339(until)}, and was {moment.what} at {rfc3339(at)}"
        raise BadSignature(code, f"{word}: the certificate of {subject} was valid from {times}", subject)
    usages = _usages(leaf)
    if ExtendedKeyUsageOID.CODE_SIGNING not in usages:
        raise BadSignature(
            Code.UNTRUSTED, f"untrusted: the certificate of {subject} is not for signing code", subject
        )
    if is_revoked(leaf, trust):
        raise BadSignature(Code.REVOKED, f"revoked: the certificate of {subject}", subject)
    roots, between = (
        [it for it in some if not is_revoked(it, trust)] for some in (keyless.roots, keyless.intermediates)
    )
    if not leads_by(leaf, between, roots, at):
        when = rfc3339(at)
        reason = f"untrusted: the certificate of {subject} leads to none of the keyless roots at {when}"
        raise BadSignature(Code.UNTRUSTED, reason, subject)


def _usages(leaf: x509.Certificate) -> Sequence[x509.ObjectIdentifier]:
    try:
        return list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []


def _check_identity(keyless: Keyless, issuer: str, subject: str) -> None:
    if any(it.holds(issuer, subject) for it in keyless.identities):
        return
    what = "none of the configured identities" if keyless.identities else "but no identity is configured"
    reason = f"untrusted: a keyless signature by {subject} ({issuer}), {what}"
    raise BadSignature(Code.UNTRUSTED, reason, subject)


def _transparent(leaf: x509.Certificate, keyless: Keyless) -> str:
    """Was the certificate itself logged (RFC 6962 section 3.2)? In words; BadSignature if it was not, and
    keys are there to tell."""
    if not keyless.ct_logs:
        return "the certificate's own log (SCT) is not checked"
    try:
        found = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
        stamps = list(found.value)
    except (x509.ExtensionNotFound, *UNREADABLE):
        stamps = []
    issuers = [it for it in (*keyless.intermediates, *keyless.roots) if _issued(leaf, it)]
    for stamp in stamps:
        key = keyless.ct_logs.get(stamp.log_id.hex())
        if key and any(signed_by(key, stamp.signature, _stamped(leaf, it, stamp)) for it in issuers):
            return "its SCT is good"
    raise BadSignature(Code.UNTRUSTED, "untrusted: its certificate has no SCT of a configured CT log")


def _issued(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _stamped(
    leaf: x509.Certificate,
    issuer: x509.Certificate,
    stamp: x509.certificate_transparency.SignedCertificateTimestamp,
) -> bytes:
    """What the CT log has signed: the certificate without its SCTs."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    key = issuer.public_key().public_bytes(serialization.Encoding.DER, spki)
    body = leaf.tbs_precertificate_bytes
    raw = stamp.extension_bytes
    # The library gives the time without its zone, in whole milliseconds.
    moment = round(stamp.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
    head = struct.pack(">BBQH", 0, 0, moment, 1) + hashlib.sha256(key).digest()
    return head + len(body).to_bytes(3, "big") + body + len(raw).to_bytes(2, "big") + raw
