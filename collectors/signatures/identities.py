"""Keyless trust: authorities (Fulcio), transparency logs (Rekor, CT) and the identities that may sign."""

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
class Keyless:
    """`logs` are Rekor's keys and `ct_logs` those of certificate transparency, by the SHA-256 (hex) of their
    SubjectPublicKeyInfo, which is how their entries name them."""

    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]
    logs: dict[str, PublicKey]
    ct_logs: dict[str, PublicKey]
    identities: Sequence[Identity] = ()


def read_keyless(
    roots: Sequence[Path], logs: Sequence[Path], ct_logs: Sequence[Path], identities: Sequence[Identity]
) -> Keyless:
    """From PEM files: certificates that were issued by themselves are believed, the others may lead to them.
    InputError names the file that is wrong."""
    read = [it for path in roots for it in _certificates(path)]
    own = [it for it in read if it.subject == it.issuer]
    if not own:
        raise InputError(str(roots[0]), "no root: none of these certificates is its own issuer", _REMEDY)
    between = [it for it in read if it.subject != it.issuer]
    return Keyless(own, between, _keys(logs), _keys(ct_logs), tuple(identities))


def _keys(paths: Sequence[Path]) -> dict[str, PublicKey]:
    read = [read_public_key(path)[0] for path in paths]
    return {fingerprint(key): key for key in read}


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(read_file(path))
    except (ValueError, x509.InvalidVersion) as error:
        raise InputError(str(path), "no PEM certificate", _REMEDY) from error
