"""Who is told: the channels, Alertmanager and the heartbeat of seawall.yaml, built and kept going."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from alerts.channels import Address
from alerts.notify import Links, Notifier
from alerts.outbox import Outbox
from alerts.posting import Peer, Poster
from alerts.slos import load_rows
from seawall.audit.head import anchor_of
from seawall.config import Config, read_secret
from seawall.config.alerting import Alertmanager, Channel, Heartbeat
from seawall.core.actions import Action
from seawall.core.errors import SeawallError
from seawall.core.incidents import Incident
from seawall.core.ports import Clock, RecordStore

LOOK_EVERY = 2.0
SILENT = 60.0  # seconds without a turn after which the heartbeat stops
log = logging.getLogger(__name__)


def address_of(channel: Channel) -> Address:
    """A channel whose secrets are read at each use."""
    place = f"notify.channels[{channel.name}]"
    file = channel.password_file or channel.token_file
    return Address(
        name=channel.name,
        kind=channel.kind,
        severities=channel.severities,
        url=lambda: channel.url or (read_secret(channel.url_file, place) if channel.url_file else ""),
        secret=lambda: read_secret(file, place) if file else None,
        smtp=channel.smtp or "",
        tls=channel.tls,
        sender=channel.sender or "",
        to=channel.to,
        username=channel.username,
    )


def peer_of(it: Alertmanager) -> Peer:
    """Alertmanager with its login. InputError for a secret that cannot be read."""
    token = read_secret(it.token_file, "alertmanager.token_file") if it.token_file else None
    auth = None
    if it.username and it.password_file:
        auth = httpx.BasicAuth(it.username, read_secret(it.password_file, "alertmanager.password_file"))
    return Peer(
        url=it.url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        auth=auth,
        verify=ssl.create_default_context(cafile=str(it.ca_file)) if it.ca_file else True,
        timeout=it.timeout,
    )


def links_of(config: Config) -> Links:
    """What messages link to."""
    return Links(config.server.public_url or "", config.notify.runbooks or "")


def ping(heartbeat: Heartbeat) -> None:
    """Fetch the URL. SeawallError."""
    file = heartbeat.url_file
    url = heartbeat.url or (read_secret(file, "notify.heartbeat.url_file") if file else "")
    try:
        with httpx.Client(timeout=10, trust_env=False) as client:
            answer = client.get(url)
    except httpx.HTTPError as error:
        raise SeawallError(f"heartbeat: {type(error).__name__}") from error
    if not answer.is_success:
        raise SeawallError(f"heartbeat: HTTP {answer.status_code}")


class Telling:
    """`last_turn`: when the cycle last turned (Unix seconds; 0 while nothing can be kept); the heartbeat
    stops when that is long ago.
    `sign` makes the link to an action that wants an approval, `draw` the picture of an incident's signal."""

    def __init__(
        self,
        config: Config,
        records: RecordStore,
        clock: Clock,
        folder: Path,
        last_turn: Callable[[], float],
        sign: Callable[[Action], str] | None = None,
        draw: Callable[[Incident], str] | None = None,
    ) -> None:
        rows, links = load_rows(config.slos), replace(links_of(config), sign=sign, draw=draw)
        links = replace(links, anchor=lambda: anchor_of(records))
        self._clock, self._last_turn = clock, last_turn
        self._heartbeat, self._pinged = config.notify.heartbeat, 0.0
        self._said: dict[str, str] = {}
        self.acting: Callable[[], bool] = lambda: True  # else another Seawall tells
        own = config.notify.own(config.alertmanager)
        self._notifier = None
        others = [address_of(c) for c in config.notify.channels if c not in own]
        if own or others:
            outbox = Outbox(folder / "outbox.sqlite")
            self._notifier = Notifier(
                records, outbox, [address_of(c) for c in own], rows, clock, links, named=others
            )
        it = config.alertmanager
        self._poster = Poster(peer_of(it), records, rows, clock, links, it.resend) if it else None

    def waiting(self) -> int:
        """Messages in the outbox."""
        return self._notifier.waiting() if self._notifier else 0

    async def follow(self) -> None:
        """Look every two seconds until cancelled: three jobs side by side, so that none delays another."""
        jobs = [self._beat]
        if self._poster:
            jobs.append(self._poster.look)
        if self._notifier:
            jobs.append(self._tell)
        await asyncio.gather(*(self._repeat(job) for job in jobs))

    async def _repeat(self, job: Callable[[], None]) -> None:
        name = getattr(job, "__qualname__", "job")
        while True:
            try:
                if job == self._beat or self.acting():
                    await asyncio.to_thread(job)
                self._said.pop(name, None)
            except SeawallError as error:
                self._complain(name, str(error))
            except Exception:
                log.exception("%s", name)
            await asyncio.sleep(LOOK_EVERY)

    def _complain(self, name: str, words: str) -> None:
        """Each fault once, not every two seconds."""
        if self._said.get(name) != words:
            log.error("%s", words)
            self._said[name] = words

    def _tell(self) -> None:
        if self._notifier:
            self._notifier.look()
            self._notifier.deliver()

    def _beat(self) -> None:
        now = self._clock.now()
        if self._heartbeat is None or now - self._pinged < self._heartbeat.interval:
            return
        if now - self._last_turn() > SILENT:
            return
        self._pinged = now
        ping(self._heartbeat)
