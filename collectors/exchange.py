"""What every HTTP client of ours shares: its name, TLS contexts, and the words for what went wrong.

A TLS context is made once for each set of files, and again when a file changes (a renewed certificate).
"""

import asyncio
import errno
import os
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from seawall import __version__
from seawall.core.errors import InputError

USER_AGENT = f"seawall-probe/{__version__}"  # left out of clients' figures: signals.EXCLUDED_USER_AGENTS
INTERRUPTED = "interrupted"
_File = tuple[str, int, int]  # path, mtime in ns, size
# X509_V_ERR_* of OpenSSL's x509_vfy.h
_CERTIFICATE = {
    9: "certificate not yet valid",
    10: "certificate expired",
    18: "certificate is self-signed and not trusted",
    19: "certificate signed by an unknown authority",
    20: "certificate signed by an unknown authority",
    21: "certificate signed by an unknown authority",
    23: "certificate revoked",
    62: "certificate is for another name",
    64: "certificate is for another address",
}
_SYSTEM = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer to the connection",
    errno.EADDRNOTAVAIL: "the source address is not one of this machine",
    errno.EMFILE: "no file descriptor left here; raise the limit (ulimit -n)",
}
_NAMES = {
    socket.EAI_NONAME: "no such host",
    socket.EAI_AGAIN: "the name server does not answer",
    socket.EAI_FAIL: "the name server failed",
}
_ALERTS = {
    "CERTIFICATE_REQUIRED": "the registry asks for a client certificate",
    "BAD_CERTIFICATE": "the registry does not accept the client certificate, or wants one",
    "UNKNOWN_CA": "the registry does not know the authority of the client certificate",
    "CERTIFICATE_EXPIRED": "the client certificate has expired",
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "RECORD_LAYER_FAILURE": "the other side does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the connection was closed in the handshake",
    "HANDSHAKE_FAILURE": "no common TLS version or cipher, or a client certificate is missing",
}


def tls_context(
    ca_file: str | None = None,
    client_cert: str | None = None,
    client_key: str | None = None,
    http2: bool = False,
) -> ssl.SSLContext:
    """The system's authorities and those of `ca_file`; the client certificate, its key in the same file or
    in `client_key` (PEM, without a passphrase). InputError names the file that cannot be used."""
    return _context(_stamp(ca_file), _stamp(client_cert), _stamp(client_key), http2)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files by path, read at use: authorities, and a client certificate for the registry alone."""

    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    http2: bool = False

    def context(self, own: bool) -> ssl.SSLContext:
        """For the registry itself (`own`), or for a host that it sends us to. InputError."""
        if own:
            return tls_context(self.ca_file, self.client_cert, self.client_key, self.http2)
        return tls_context(self.ca_file, http2=self.http2)


def _stamp(file: str | None) -> _File | None:
    if file is None:
        return None
    try:
        found = Path(file).stat()
    except OSError as error:
        raise InputError(file, reason_of(error), "name a PEM file that is there") from error
    return file, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1024)
def _context(ca: _File | None, certificate: _File | None, key: _File | None, http2: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    if ca:
        try:
            context.load_verify_locations(ca[0])
        except OSError as error:
            raise InputError(ca[0], reason_of(error), "name a PEM file of certificates") from error
    load_client(context, certificate[0] if certificate else None, key[0] if key else None)
    return context


def load_client(context: ssl.SSLContext, certificate: str | None, key: str | None) -> None:
    """Have a context show our certificate, whose key is in `key` or in the same file. InputError."""
    if not certificate:
        return
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        files = f"{certificate} and {key}" if key else certificate
        remedy = "name the PEM certificate and its own key, without a passphrase"
        raise InputError(files, f"no certificate with its key ({reason_of(error)})", remedy) from error


def reason_of(error: BaseException) -> str:
    """Why, in a few words, from the innermost cause that says it."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return INTERRUPTED
    cause: BaseException | None = error
    while cause is not None:
        if words := _known(cause):
            return words
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _known(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, f"certificate not accepted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        told = next((words for name, words in _ALERTS.items() if name in reason), None)
        return told or f"TLS: {reason.lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return _NAMES.get(error.errno or 0, f"name not resolved: {(error.strerror or str(error)).lower()}")
    if isinstance(error, OSError) and error.errno:
        return _SYSTEM.get(error.errno, os.strerror(error.errno).lower())
    return "no answer in time" if isinstance(error, TimeoutError) else ""
