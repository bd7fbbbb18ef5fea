"""Whom we believe: keys with their time and place, certificates of authorities, and what was revoked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from cryptography import x509

from collectors.signatures.keys import PublicKey, fingerprint, read_file, read_public_key, signed_by
from collectors.signatures.verdicts import Code, Opinion
from seawall.core.errors import InputError
from seawall.core.times import rfc3339

_SUFFIXES = (".pem", ".crt", ".cer", ".cert")


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, believed from `not_before` to `not_after` (Unix seconds): a signature tells no time that
    could be trusted, so the moment of the look counts."""

    name: str
    key: PublicKey = field(repr=False)
    not_before: float = float("-inf")
    not_after: float = float("inf")


@dataclass(frozen=True, slots=True)
class Trust:
    """For the images of one repository. `revoked` are SHA-256 fingerprints of public keys (hex)."""

    keys: Sequence[TrustedKey] = ()
    roots: Sequence[x509.Certificate] = ()
    revoked: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Is there nobody to believe?"""
        return not self.keys and not self.roots

    def opinion(self, signature: bytes, message: bytes, now: float) -> Opinion | None:
        """Of a signature over `message` by one of our keys; None if none of them made it."""
        found = [self._of(one, now) for one in self.keys if signed_by(one.key, signature, message)]
        return next((it for it in found if it.code is Code.TRUSTED), found[0] if found else None)

    def _of(self, one: TrustedKey, now: float) -> Opinion:
        if fingerprint(one.key) in self.revoked:
            return Opinion(Code.REVOKED, f"signed by {one.name}, which is revoked", one.name)
        if now < one.not_before:
            since = rfc3339(one.not_before)
            return Opinion(Code.NOT_YET_VALID, f"signed by {one.name}, which counts from {since}", one.name)
        if now > one.not_after:
            until = rfc3339(one.not_after)
            return Opinion(
                Code.EXPIRED, f"expired: signed by {one.name}, which counted until {until}", one.name
            )
        return Opinion(Code.TRUSTED, f"signed by {one.name}", one.name)


@dataclass(frozen=True, slots=True)
class TrustRule:
    """Trust for the repositories that match a pattern (`*` and `?` as in a shell, `*` crosses slashes)."""

    match: str
    trust: Trust


@dataclass(frozen=True, slots=True)
class Trusts:
    """Trust by repository: the first rule that matches, else the registry's own."""

    own: Trust = Trust()
    rules: Sequence[TrustRule] = ()

    def of(self, repository: str) -> Trust:
        """What counts for a repository."""
        return next((rule.trust for rule in self.rules if fnmatchcase(repository, rule.match)), self.own)


def read_key(path: Path, not_before: float | None = None, not_after: float | None = None) -> TrustedKey:
    """A key file. InputError."""
    return TrustedKey(
        path.name,
        read_public_key(path),
        float("-inf") if not_before is None else not_before,
        float("inf") if not_after is None else not_after,
    )


def read_roots(folder: Path) -> list[x509.Certificate]:
    """The certificates of a trust store: PEM or DER files (.pem, .crt, .cer, .cert) in a folder and the
    folders in it, as notation keeps them, or one file. InputError."""
    remedy = "put the authorities' certificates (PEM or DER, .pem or .crt) into it"
    if folder.is_file():
        files = [folder]
    elif folder.is_dir():
        files = sorted(it for it in folder.rglob("*") if it.is_file() and it.suffix.lower() in _SUFFIXES)
    else:
        raise InputError(str(folder), "no such folder", "name the trust store's folder")
    if not files:
        raise InputError(str(folder), "no certificate in this trust store", remedy)
    return [certificate for file in files for certificate in _certificates(file, remedy)]


def _certificates(file: Path, remedy: str) -> list[x509.Certificate]:
    data = read_file(file)
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise InputError(str(file), "no certificate", remedy) from error
