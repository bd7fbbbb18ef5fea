"""Keyless trust: authorities (Fulcio), logs (Rekor, CT), timestamp authorities, and who may sign."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from collectors.signatures.keys import PublicKey, fingerprint, read_file, read_public_key
from seawall.core.errors import InputError

_REMEDY = "give PEM certificates of the authority: the root, and what stands between it and the signers"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may sign: the issuer word for word, the subject with `*` for any text (slashes too)."""

    issuer: str
    subject: str

    def holds(self, issuer: str, subject: str) -> bool:
        """Is it this one? Letter case counts."""
        wanted = ".*".join(re.escape(part) for part in self.subject.split("*"))
        return issuer == self.issuer and re.fullmatch(wanted, subject, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class TimestampAuthorities:
    """Whose timestamps (RFC 3161) count: `signers` are needed where a timestamp carries no certificate."""

    roots: Sequence[x509.Certificate] = ()
    intermediates: Sequence[x509.Certificate] = ()
    signers: Sequence[x509.Certificate] = ()


@dataclass(frozen=True, slots=True)
class Keyless:
    """`logs` are Rekor's keys and `ct_logs` those of certificate transparency, by the SHA-256 (hex) of their
    SubjectPublicKeyInfo, which is how their entries name them."""

    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]
    logs: dict[str, PublicKey]
    ct_logs: dict[str, PublicKey]
    identities: Sequence[Identity] = ()
    timestamps: TimestampAuthorities = TimestampAuthorities()


def read_keyless(
    roots: Sequence[Path],
    logs: Sequence[Path],
    ct_logs: Sequence[Path],
    identities: Sequence[Identity],
    timestamps: Sequence[Path] = (),
) -> Keyless:
    """From PEM files: certificates that were issued by themselves are believed, the others may lead to them.
    InputError names the file that is wrong."""
    own, between = _chain(roots)
    dated = _authorities(timestamps) if timestamps else TimestampAuthorities()
    return Keyless(own, between, _keys(logs), _keys(ct_logs), tuple(identities), dated)


def _authorities(paths: Sequence[Path]) -> TimestampAuthorities:
    own, others = _chain(paths)
    between = [it for it in others if _is_authority(it)]
    return TimestampAuthorities(own, between, [it for it in others if it not in between])


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _chain(paths: Sequence[Path]) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """Roots, and the other certificates. InputError if there is no root."""
    read = [it for path in paths for it in _certificates(path)]
    own = [it for it in read if it.subject == it.issuer]
    if not own:
        raise InputError(str(paths[0]), "no root: none of these certificates is its own issuer", _REMEDY)
    return own, [it for it in read if it.subject != it.issuer]


def _keys(paths: Sequence[Path]) -> dict[str, PublicKey]:
    read = [read_public_key(path)[0] for path in paths]
    return {fingerprint(key): key for key in read}


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(read_file(path))
    except (ValueError, x509.InvalidVersion) as error:
        raise InputError(str(path), "no PEM certificate", _REMEDY) from error
