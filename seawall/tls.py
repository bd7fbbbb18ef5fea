"""The certificate that Seawall serves with: read before anything listens, read again when its file is new."""

import ssl
from pathlib import Path

from cryptography import x509

from seawall.config.api import Server
from seawall.core.errors import InputError

PLACE = "server.tls_cert"


class Certificate:
    """`server.tls_cert` and `server.tls_key`; TLS 1.2 and later (RFC 9325), Python's own ciphers."""

    def __init__(self, server: Server) -> None:
        assert server.tls_cert is not None  # noqa: S101 - asked for only where there is one
        self._files = (server.tls_cert, server.tls_key)
        self._seen = self._stamp()
        self.context = self._read()

    def _read(self) -> ssl.SSLContext:
        """InputError where a file is missing, is no certificate or key, or the two do not fit."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files
        try:
            context.load_cert_chain(certificate, key, password=lambda: "")
        except (OSError, ValueError) as error:
            names = f"{certificate} with {key}" if key else str(certificate)
            words = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it has a password"
            remedy = "name a PEM chain, the server's own first, and its key without a password"
            raise InputError(PLACE, f"cannot use {names} ({words})", remedy) from error

    def renew(self) -> bool:
        """Take the files again if they are new: True if new connections get the new certificate. InputError:
        they cannot be used, and the old one goes on."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        self._read()  # the live context is touched only by a pair that is whole
        self._load(self.context)
        return True

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [path.stat() for path in self._files if path is not None]
        except OSError:
            return ()
        return tuple((it.st_ino, it.st_mtime_ns, it.st_size) for it in found)


def described(server: Server, now: float) -> str:
    """Whom the certificate names and until when, for `seawall check`. InputError: unusable, or ended."""
    Certificate(server)
    path: Path | None = server.tls_cert
    assert path is not None  # noqa: S101 - the caller has looked
    found = x509.load_pem_x509_certificates(path.read_bytes())[0]
    end = found.not_valid_after_utc
    if end.timestamp() <= now:
        raise InputError(PLACE, f"{path} ended at {end:%Y-%m-%d %H:%M} UTC", "renew it")
    return f"{found.subject.rfc4514_string()}, until {end:%Y-%m-%d %H:%M} UTC"
