"""Whom we believe: keys with their time and place, certificates of authorities, and what was revoked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from cryptography import x509

from collectors.signatures.identities import Keyless
from collectors.signatures.keys import PublicKey, fingerprint, read_file, read_public_key, signed_by
from collectors.signatures.verdicts import Code, Opinion
from seawall.core.errors import InputError
from seawall.core.times import rfc3339

FINGERPRINT = "sha256:"
_SUFFIXES = (".pem", ".crt", ".cer", ".cert", ".der")
_KINDS = ("ca", "signingAuthority", "tsa")
_REMEDY = "put the authorities' certificates (PEM or DER, .pem or .crt) into it"


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
    """For the images of one repository. `roots` are authorities of signers, `authorities` those of notation's
    signing authorities, `keyless` a Sigstore's; `revoked` are SHA-256 fingerprints of public keys (hex)."""

    keys: Sequence[TrustedKey] = ()
    roots: Sequence[x509.Certificate] = ()
    authorities: Sequence[x509.Certificate] = ()
    revoked: frozenset[str] = frozenset()
    keyless: Keyless | None = None

    @property
    def empty(self) -> bool:
        """Is there nobody to believe?"""
        return not self.keys and not self.roots and not self.authorities and self.keyless is None

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
    """A key file; a certificate's key counts within the certificate's own time too. InputError."""
    key, since, until = read_public_key(path)
    return TrustedKey(
        path.name,
        key,
        since if not_before is None else max(since, not_before),
        until if not_after is None else min(until, not_after),
    )


def read_revoked(named: Sequence[Path | str]) -> frozenset[str]:
    """Fingerprints (`sha256:<hex>` of the SubjectPublicKeyInfo), and those of key files. InputError."""
    return frozenset(
        fingerprint(read_public_key(it)[0]) if isinstance(it, Path) else it.removeprefix(FINGERPRINT)
        for it in named
    )


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The certificates of a trust store, by what they are believed for."""

    roots: Sequence[x509.Certificate] = ()
    authorities: Sequence[x509.Certificate] = ()


def read_trust_store(path: Path) -> TrustStore:
    """PEM or DER certificates (.pem, .crt, .cer, .cert) of a folder and the folders in it, or of one file. In
    notation's layout (`x509/ca`, `x509/signingAuthority`, `x509/tsa`) each counts for its own only; those of
    `tsa` sign no images. InputError."""
    files = _files(path)
    plain = [it for it in files if not _kind(it, path)]
    roots = plain + [it for it in files if _kind(it, path) == "ca"]
    authorities = plain + [it for it in files if _kind(it, path) == "signingAuthority"]
    if not roots and not authorities:
        raise InputError(str(path), "no certificate in this trust store", _REMEDY)
    read = {file: _certificates(file) for file in files}
    return TrustStore(*([it for file in some for it in read[file]] for some in (roots, authorities)))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(str(path), "no such folder", "name the trust store's folder")
    return sorted(it for it in path.rglob("*") if it.is_file() and it.suffix.lower() in _SUFFIXES)


def _kind(file: Path, store: Path) -> str:
    """Which of notation's folders a file is in, "" if in none."""
    parts = (store.name, *file.relative_to(store).parts) if file != store else ()
    pairs = pairwise(parts)
    return next((kind for above, kind in pairs if above == "x509" and kind in _KINDS), "")


def _certificates(file: Path) -> list[x509.Certificate]:
    data = read_file(file)
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, x509.InvalidVersion) as error:
        raise InputError(str(file), "no certificate", _REMEDY) from error
