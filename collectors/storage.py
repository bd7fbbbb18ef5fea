"""A mounted volume, measured with statvfs as `df` does; what cannot be measured is unknown, never full."""

import asyncio
import os

from seawall.core.errors import SeawallError
from seawall.core.signals import STORAGE_BYTES, STORAGE_USED_RATIO, Batch, Sample, labels


class Volume:
    """Collector of one path: seawall_storage_bytes{volume,state=used|available|reserved} and
    seawall_storage_used_ratio{volume} = used / (used + available), where reserved bytes are root's only.

    A path that was a mount point and is one no more (the device is gone, so its parent answers) is an error.
    """

    def __init__(self, registry: str, path: str, interval: float = 30.0, timeout: float = 5.0) -> None:
        self.name, self.registry, self.interval, self.timeout = "storage", registry, interval, timeout
        self.path = path
        self._mounted = False
        self._measuring: asyncio.Future[os.statvfs_result] | None = None

    async def collect(self, now: float) -> Batch:
        """One measurement; SeawallError if the path is missing, gone, empty or does not answer in time."""
        try:
            found = await self._measured()
        except TimeoutError as error:
            raise self._unknown(
                f"no answer within {self.timeout:g} s", "is its network storage reachable?"
            ) from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise self._unknown(reason, "give the path where the registry's storage is mounted") from error
        return Batch(samples=self._samples(found, now))

    async def stored(self) -> None:
        """Nothing to advance: a measurement has no position."""

    async def _measured(self) -> os.statvfs_result:
        """In a thread, since statvfs of a dead network mount hangs; at most one hangs at a time."""
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.ensure_future(asyncio.to_thread(self._statvfs))
        return await asyncio.wait_for(asyncio.shield(self._measuring), self.timeout)

    def _statvfs(self) -> os.statvfs_result:
        found, mounted = os.statvfs(self.path), os.path.ismount(self.path)
        if self._mounted and not mounted:
            raise OSError(None, "the device is gone: it is no mount point any more")
        self._mounted = mounted
        return found

    def _samples(self, found: os.statvfs_result, now: float) -> list[Sample]:
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        available = found.f_bavail * found.f_frsize
        reserved = max(0, found.f_bfree - found.f_bavail) * found.f_frsize
        if used + available <= 0:
            raise self._unknown("0 bytes of 0", "name a path on a real volume")
        states = {"used": used, "available": available, "reserved": reserved}
        samples = [
            Sample(self.registry, STORAGE_BYTES, now, float(size), labels(volume=self.path, state=state))
            for state, size in states.items()
        ]
        ratio = used / (used + available)
        return [*samples, Sample(self.registry, STORAGE_USED_RATIO, now, ratio, labels(volume=self.path))]

    def _unknown(self, finding: str, remedy: str) -> SeawallError:
        return SeawallError(f"{self.path}: {finding}; {remedy}")
