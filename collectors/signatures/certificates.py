"""Chains of signing certificates, judged by cryptography's X.509 verifier (RFC 5280), with notation's rules
for the leaf: https://github.com/notaryproject/specifications (signature-specification.md, "Certificate
Requirements").
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from collectors.signatures.keys import PublicKey, fingerprint, usable
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, broken
from seawall.core.errors import InputError
from seawall.core.times import rfc3339

MAX_CHAIN = 8
# What cryptography raises for certificates that are none, or are beyond it.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,  # a name's text of a kind it does not know
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def read_chain(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """DER certificates, the leaf first. BadSignature."""
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise broken(f"{len(chain)} certificates, where 1 to {MAX_CHAIN} are wanted")
    try:
        read = [x509.load_der_x509_certificate(der) for der in chain]
        for certificate in read:  # the library reads these parts when they are first asked for
            _ = certificate.public_key(), certificate.subject, certificate.issuer, certificate.extensions
    except UNREADABLE as error:
        raise broken("a certificate of its chain cannot be read") from error
    # OpenSSL lets the bit string of the outer signature claim unused bits, which nothing else protects.
    if not all(der.endswith(b"\0" + it.signature) for der, it in zip(chain, read, strict=True)):
        raise broken("a certificate of its chain is not in DER")
    return read


def leaf_key(chain: Sequence[x509.Certificate]) -> PublicKey:
    """The key that signed. BadSignature if it is none that we trust."""
    try:
        return usable(chain[0].public_key(), "its certificate")
    except (InputError, *UNREADABLE) as error:
        raise broken(str(error)) from error


def name_of(certificate: x509.Certificate) -> str:
    """The subject, as people write it."""
    return certificate.subject.rfc4514_string()[:200] or "a certificate without a subject"


def check_chain(
    chain: Sequence[x509.Certificate], trust: Trust, roots: Sequence[x509.Certificate], now: float
) -> None:
    """Each certificate was issued by the next, none is revoked, and the leaf leads to one of `roots`, now.
    BadSignature says what is wrong."""
    signer = name_of(chain[0])
    _check_order(chain)
    for certificate in chain:
        if is_revoked(certificate, trust):
            reason = f"revoked: {name_of(certificate)} is on the list of what was revoked"
            raise BadSignature(Code.REVOKED, reason, signer)
    believed = [it for it in roots if not is_revoked(it, trust)]
    if _leads(chain, believed, now):
        return
    _check_times(chain, believed, now, signer)
    reason = f"untrusted: {signer} leads to no certificate of the trust store"
    raise BadSignature(Code.UNTRUSTED, reason, signer)


def _check_order(chain: Sequence[x509.Certificate]) -> None:
    """As notation wants it: nothing stands in a chain that does not belong to it, so that no bit of it can
    change unnoticed."""
    last = chain[-1]
    itself = [(last, last)] if last.subject == last.issuer else []
    try:
        for issued, issuer in [*pairwise(chain), *itself]:
            issued.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature) as error:
        raise broken("its certificates are not each issued by the next") from error


def _check_times(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: float, signer: str
) -> None:
    """Expired or not yet valid is what is wrong with a chain that was or will be good."""
    since = max(it.not_valid_before_utc.timestamp() for it in chain)
    until = min(it.not_valid_after_utc.timestamp() for it in chain)
    if since > until or not _leads(chain, roots, (since + until) / 2):
        return
    if now > until:
        reason = f"expired: the certificate {signer} was valid until {rfc3339(until)}"
        raise BadSignature(Code.EXPIRED, reason, signer)
    if now < since:
        reason = f"not yet valid: the certificate {signer} is valid from {rfc3339(since)}"
        raise BadSignature(Code.NOT_YET_VALID, reason, signer)


def _leads(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: float) -> bool:
    if not any(_ends_in(chain[-1], root) for root in roots):
        return False
    return leads_by(chain[0], chain[1:], roots, at)


def leads_by(
    leaf: x509.Certificate, between: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: float
) -> bool:
    """Does the leaf lead to one of `roots` by some of `between`, at a time (Unix seconds)?"""
    if not roots:
        return False
    authority = verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, _authority
    )
    authority = authority.may_be_present(
        x509.KeyUsage, verification.Criticality.AGNOSTIC, _signs_certificates
    )
    ours = verification.ExtensionPolicy.permit_all()
    ours = ours.may_be_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _no_authority)
    ours = ours.may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _signs)
    ours = ours.may_be_present(x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _signs_code)
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(roots)))
        .time(datetime.fromtimestamp(at, UTC).replace(tzinfo=None))
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ca_policy=authority, ee_policy=ours)
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, list(between))
    except (*UNREADABLE, verification.VerificationError):
        return False
    return True


def _ends_in(last: x509.Certificate, root: x509.Certificate) -> bool:
    if last == root:
        return True
    try:
        last.verify_directly_issued_by(root)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _authority(_: object, __: x509.Certificate, found: x509.BasicConstraints) -> None:
    if not found.ca:
        raise ValueError("no authority")


def _no_authority(_: object, __: x509.Certificate, found: x509.BasicConstraints | None) -> None:
    if found and found.ca:
        raise ValueError("an authority's certificate signs no images")


def _signs_certificates(_: object, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
    if found and not found.key_cert_sign:
        raise ValueError("not for signing certificates")


def _signs(_: object, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
    if found and not found.digital_signature:
        raise ValueError("not for signatures")


def _signs_code(_: object, __: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
    if found and ExtendedKeyUsageOID.CODE_SIGNING not in found:
        raise ValueError("not for signing code")


def is_revoked(certificate: x509.Certificate, trust: Trust) -> bool:
    """Is its key on the list of what was revoked?"""
    if not trust.revoked:
        return False
    try:
        return fingerprint(usable(certificate.public_key(), "")) in trust.revoked
    except (InputError, *UNREADABLE):
        return False


def wanted_algorithm(key: PublicKey) -> str:
    """The one algorithm that notation allows for a key (JOSE's names, RFC 7518). BadSignature."""
    if isinstance(key, rsa.RSAPublicKey):
        found = {2048: "PS256", 3072: "PS384", 4096: "PS512"}.get(key.key_size)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        found = {256: "ES256", 384: "ES384", 521: "ES512"}[key.curve.key_size]
    else:
        found = None
    if found is None:
        raise broken("its key is of a kind or size that notation does not allow")
    return found
