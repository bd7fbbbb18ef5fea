"""A log behind a proxy whose own log is followed too: its lines tell once more what the proxy's line told."""

from dataclasses import replace
from typing import Any

from seawall.core.ports import Collector
from seawall.core.signals import BEHIND_PROXY, Batch


class BehindProxy:
    """A log collector whose requests are kept and shown, but not counted a second time (latency, failures,
    traffic): a wrapper around the port. All but the mark on its events is the wrapped collector's."""

    def __init__(self, log: Collector) -> None:
        self.name, self.registry, self.interval, self.timeout = (
            log.name,
            log.registry,
            log.interval,
            log.timeout,
        )
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def collect(self, now: float) -> Batch:
        """What the log brings, each event marked."""
        batch = await self._log.collect(now)
        batch.events = [replace(it, fields={**it.fields, BEHIND_PROXY: True}) for it in batch.events]
        return batch

    async def stored(self) -> None:
        """The events are durable."""
        await self._log.stored()
