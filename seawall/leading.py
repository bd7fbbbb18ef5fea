"""Which of several Seawalls acts: chosen by where the records are, and the work that its lead brings.

All of them serve: pages, API, consent, webhooks. The leader alone opens incidents of its own judgement, makes
previews, runs and verifies, and tells people. What is decided at another one it finds in the records.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from remediation.leadership import Alone
from seawall.config import Config
from seawall.core.errors import SeawallError
from seawall.core.ports import Leadership, RecordStore
from seawall.stores import scaled
from seawall.stores.sql import SqlRecords
from seawall.stores.sql_leadership import Election

SWEEP = 2.0  # seconds between two looks for what another Seawall has left to do
log = logging.getLogger(__name__)


class Sweeping(Protocol):
    """The two ways in which remediation finds its work."""

    def recover(self) -> None:
        """All of it, after a start or a change of the leader."""
        ...

    def sweep(self) -> None:
        """What is there and nobody here has in hand."""
        ...


def leadership_of(records: RecordStore, state: Path) -> Leadership:
    """An election where several Seawalls may share the records."""
    if isinstance(records, SqlRecords) and records.engine.dialect.name == "postgresql":
        return Election(records.engine, f"{socket.gethostname()}:{os.getpid()}:{state}"[:256])
    return Alone()


def acting(leadership: Leadership) -> Callable[[], bool]:
    """Does this one act, as of the last look? Asks no server."""
    return (lambda: leadership.leading) if isinstance(leadership, Election) else (lambda: True)


def collects(config: Config, acts: Callable[[], bool]) -> Callable[[], bool]:
    """Stores of one's own are always filled; into shared ones only the leader writes what it collects."""
    shared = {config.stores.samples.partition(":")[0], config.stores.events.partition(":")[0]}
    return acts if shared & {*scaled.SAMPLES, *scaled.EVENTS} else (lambda: True)


def begin(leadership: Leadership, repair: Sweeping) -> None:
    """Stand for election, and find the open actions: at once, and at each lead that is won."""
    if isinstance(leadership, Election):
        leadership.start(lambda: _told(repair.recover))
    _told(repair.recover)


async def follow(repair: Sweeping, every: float = SWEEP) -> None:
    """Sweep until cancelled."""
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(_told, repair.sweep)


def end(leadership: Leadership) -> None:
    """Give the lead away."""
    if isinstance(leadership, Election):
        leadership.stop()


def _told(look: Callable[[], None]) -> None:
    try:
        look()
    except SeawallError as error:
        log.error("open actions cannot be looked for: %s", error)
