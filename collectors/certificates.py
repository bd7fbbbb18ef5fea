"""A registry's TLS certificate: when it ends, and for how long it was issued.

It is read with a handshake of its own that trusts anything, sends nothing and asks for nothing: the
certificate that matters most is the one that no client accepts any more.
"""

import asyncio
import ssl
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509

from collectors.exchange import TlsFiles, load_client, reason_of
from collectors.pulling.address import parse_url
from collectors.pulling.dial import Dialler
from collectors.pulling.exchange import Endpoint
from collectors.pulling.faults import Broken
from collectors.pulling.phases import Steps, Timeline
from seawall.core.errors import SeawallError
from seawall.core.signals import CERTIFICATE_NOT_AFTER, CERTIFICATE_NOT_BEFORE, Batch, Sample

DAY = 86400.0
SOON = 14 * DAY
LONG = 366 * DAY


@dataclass(frozen=True, slots=True)
class Certificate:
    """Its validity as Unix seconds, both ends included (RFC 5280 section 4.1.2.5)."""

    not_before: float
    not_after: float
    issuer: str

    def trouble(self, now: float) -> str:
        """What is wrong with its time at `now`, or will be soon; "" if nothing."""
        if now < self.not_before:
            return f"the certificate is valid only in {_days(self.not_before - now)}"
        if now > self.not_after:
            return f"the certificate expired {_days(now - self.not_after)} ago"
        if self.not_after - now < SOON:
            return f"the certificate expires in {_days(self.not_after - now)}"
        return ""

    def lifetime(self) -> str:
        """`issued for 825 days, which is over one year`, or ""."""
        seconds = self.not_after - self.not_before
        return f"issued for {_days(seconds)}, which is over one year" if seconds > LONG else ""


def _days(seconds: float) -> str:
    days = seconds / DAY
    return f"{days:.0f} days" if days >= 2 else f"{seconds / 3600:.0f} hours"


@lru_cache(maxsize=1024)
def parse_certificate(der: bytes) -> Certificate:
    """The leaf of a chain. SeawallError if it cannot be read."""
    try:
        found = x509.load_der_x509_certificate(der)
        begin, end = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
        return Certificate(begin, end, found.issuer.rfc4514_string())
    except (ValueError, OverflowError) as error:
        raise SeawallError(f"the certificate cannot be read ({error})") from error


async def read_certificate(endpoint: Endpoint) -> Certificate:
    """The certificate that the registry shows now. SeawallError says why there is none."""
    url, timeline = parse_url(endpoint.url), Timeline()
    context = _trusting(endpoint.tls)
    try:
        async with asyncio.timeout(None) as alarm:
            steps = Steps(timeline, "", endpoint.limits, alarm)
            link = await Dialler(url.host, endpoint.route).open(url, context, steps)
    except (OSError, Broken) as error:
        phase = timeline.phases[-1].name if timeline.phases else "connect"
        raise SeawallError(f"{phase}: {reason_of(error)}") from error
    try:
        return parse_certificate(link.certificate() or b"")
    finally:
        link.abort()


def _trusting(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    load_client(context, files.client_cert, files.client_key)
    return context


class RegistryCertificate:
    """Collector of seawall_certificate_not_{after,before}_timestamp_seconds; a note where it is expired, not
    yet valid or about to end."""

    def __init__(self, registry: str, endpoint: Endpoint, interval: float = 60.0) -> None:
        self.name, self.registry, self.interval = "certificate", registry, interval
        self.timeout = 1 + sum(endpoint.limits.get(name, 0.0) for name in ("dns", "connect", "tls"))
        self._endpoint = endpoint

    async def look(self) -> Certificate:
        """See `read_certificate`."""
        return await read_certificate(self._endpoint)

    async def collect(self, now: float) -> Batch:
        """Two samples. SeawallError if no certificate is shown."""
        found = await self.look()
        batch = Batch(
            [
                Sample(self.registry, CERTIFICATE_NOT_AFTER, now, found.not_after),
                Sample(self.registry, CERTIFICATE_NOT_BEFORE, now, found.not_before),
            ]
        )
        if trouble := found.trouble(now):
            batch.notes.append(trouble)
        return batch

    async def stored(self) -> None:
        """Nothing to advance."""
