"""Timestamps of a signature by an authority (RFC 3161), which date what Rekor v2 does not.

`rfc3161-client` reads them, and checks the authority's signature (CMS), its purpose (timeStamping, critical)
and its chain at the time that the timestamp tells.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryptography import x509

from collectors.signatures.certificates import UNREADABLE, is_revoked
from collectors.signatures.identities import TimestampAuthorities
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code, broken, from_base64

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse, VerifierBuilder

MAX_TIMESTAMPS = 16
_HASHES = {  # by object identifier (RFC 5754)
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


def listed(material: object) -> Sequence[object]:
    """The timestamps of a bundle's `verificationMaterial` (base64 of TimeStampResp), unread. BadSignature."""
    found = material.get("timestampVerificationData") if isinstance(material, dict) else None
    stamps = found.get("rfc3161Timestamps", []) if isinstance(found, dict) else []
    if not isinstance(stamps, list) or len(stamps) > MAX_TIMESTAMPS:
        raise broken(f"its timestamps are no list of at most {MAX_TIMESTAMPS}")
    return [it.get("signedTimestamp") if isinstance(it, dict) else None for it in stamps]


def times(
    stamps: Sequence[object], signature: bytes, authorities: TimestampAuthorities, trust: Trust
) -> list[float]:
    """When (Unix seconds) authorities that are believed saw the signature, at least once; timestamps of no
    worth are passed over beside a good one. BadSignature of the first, where none is good."""
    found, faults = [], []
    for stamp in stamps:
        try:
            found.append(_time(stamp, signature, authorities, trust))
        except BadSignature as error:
            faults.append(error)
    if not found:
        raise faults[0]
    return found


def _time(stamp: object, signature: bytes, authorities: TimestampAuthorities, trust: Trust) -> float:
    from rfc3161_client import VerificationError

    response = _read(stamp)
    info = response.tst_info
    algorithm = _HASHES.get(info.message_imprint.hash_algorithm.dotted_string)
    if algorithm is None:
        raise broken("its timestamp is of a hash that is not read here")
    hashed = hashlib.new(algorithm, signature).digest()
    if info.message_imprint.message != hashed:
        raise broken("its timestamp is of another signature")
    stranger = BadSignature(
        Code.UNTRUSTED, "untrusted: its timestamp is by none of the configured timestamp authorities"
    )
    try:
        builder = _verifier(response, authorities, trust)
        if builder is None:
            raise stranger
        builder.build().verify(response, hashed)
    except (VerificationError, *UNREADABLE) as error:
        raise stranger from error
    return info.gen_time.timestamp()


def _read(stamp: object) -> "TimeStampResponse":
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(from_base64(stamp, "its timestamp"))
        _ = response.tst_info, response.signed_data  # a refusal has neither
    except UNREADABLE as error:
        raise broken("its timestamp cannot be read") from error
    return response


def _verifier(
    response: "TimeStampResponse", authorities: TimestampAuthorities, trust: Trust
) -> "VerifierBuilder | None":
    """None where a revoked certificate takes part, or nothing is left to lead to."""
    from rfc3161_client import VerifierBuilder

    roots, between = (
        [it for it in some if not is_revoked(it, trust)]
        for some in (authorities.roots, authorities.intermediates)
    )
    carried = [x509.load_der_x509_certificate(it) for it in response.signed_data.certificates]
    signer = None if carried else _signer(response, authorities.signers)
    if not roots or any(is_revoked(it, trust) for it in (*carried, *filter(None, [signer]))):
        return None
    return VerifierBuilder(tsa_certificate=signer, intermediates=between, roots=roots)


def _signer(response: "TimeStampResponse", signers: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The certificate that a timestamp without any names. Never one that it carries: the library believes
    what it is given here."""
    named = {(it.issuer, it.serial_number) for it in response.signed_data.signer_infos}
    return next((it for it in signers if (it.issuer, it.serial_number) in named), None)
