"""A mounted volume, measured with statvfs as `df` does; what cannot be measured is unknown, never full."""

import asyncio
import contextlib
import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from seawall.core.errors import SeawallError
from seawall.core.signals import (
    STORAGE_BYTES,
    STORAGE_INODES,
    STORAGE_INODES_USED_RATIO,
    STORAGE_READ_ONLY,
    STORAGE_USED_RATIO,
    Batch,
    Sample,
    labels,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Space:
    """A file system's room in bytes; `free` is root's too, `available` everybody's. `inodes` is 0 where the
    file system does not count them."""

    size: float
    free: float
    available: float
    inodes: float = 0.0
    inodes_free: float = 0.0
    read_only: bool = False

    def samples(self, registry: str, volume: str, now: float) -> list[Sample]:
        """Bytes and inodes by state, the used shares of both, and whether it is read-only. The used share of
        the bytes is used / (used + available), as `df` has it: reserved bytes are root's only."""
        used, reserved = self.size - self.free, max(0.0, self.free - self.available)
        states = {"used": used, "available": self.available, "reserved": reserved}
        samples = _by_state(registry, STORAGE_BYTES, volume, now, states)
        ratios = {
            STORAGE_USED_RATIO: used / (used + self.available),
            STORAGE_READ_ONLY: float(self.read_only),
        }
        if self.inodes > 0:
            inodes = {"used": self.inodes - self.inodes_free, "available": self.inodes_free}
            samples += _by_state(registry, STORAGE_INODES, volume, now, inodes)
            ratios[STORAGE_INODES_USED_RATIO] = inodes["used"] / self.inodes
        of = labels(volume=volume)
        return samples + [Sample(registry, signal, now, value, of) for signal, value in ratios.items()]

    def fault(self) -> str:
        """Why these figures are none, or "" if they can be right."""
        if not 0 <= self.free <= self.size or not 0 <= self.inodes_free <= max(self.inodes, 0.0):
            inodes = f"{self.inodes_free:g} of {self.inodes:g} inodes"
            return f"{self.free:g} of {self.size:g} bytes free, {inodes}"
        if not 0 < self.size - self.free + self.available < math.inf or self.available < 0:
            return f"{self.available:g} bytes available of {self.size:g}"
        return ""


def _by_state(
    registry: str, signal: str, volume: str, now: float, states: Mapping[str, float]
) -> list[Sample]:
    return [
        Sample(registry, signal, now, value, labels(volume=volume, state=state))
        for state, value in states.items()
    ]


class Volume:
    """Collector of one path on this machine; see `Space.samples`.

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
        space = space_of(found)
        if fault := space.fault():
            raise self._unknown(fault, "name a path on a real volume")
        batch = Batch(samples=space.samples(self.registry, self.path, now))
        if space.read_only:
            batch.notes.append(f"{self.path}: mounted read-only; see dmesg for errors of its device")
        return batch

    async def stored(self) -> None:
        """Nothing to advance: a measurement has no position."""

    async def _measured(self) -> os.statvfs_result:
        """In its own thread, since statvfs of a dead network mount hangs; at most one hangs at a time."""
        if self._measuring is None or self._measuring.done():
            self._measuring = in_own_thread(self._statvfs)
        return await asyncio.wait_for(asyncio.shield(self._measuring), self.timeout)

    def _statvfs(self) -> os.statvfs_result:
        found, mounted = os.statvfs(self.path), os.path.ismount(self.path)
        if self._mounted and not mounted:
            raise OSError(None, "the device is gone: it is no mount point any more")
        self._mounted = mounted
        return found

    def _unknown(self, finding: str, remedy: str) -> SeawallError:
        return SeawallError(f"{self.path}: {finding}; {remedy}")


def space_of(found: os.statvfs_result) -> Space:
    """statvfs(3) -> Space."""
    unit = float(found.f_frsize)
    return Space(
        size=found.f_blocks * unit,
        free=found.f_bfree * unit,
        available=found.f_bavail * unit,
        inodes=float(found.f_files),
        inodes_free=float(found.f_ffree),
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def in_own_thread(step: Callable[[], T]) -> "asyncio.Future[T]":
    """Run `step` in a daemon thread: one that hangs takes no worker from the pool that others share, and
    does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    def settle(value: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = step()
        except Exception as fault:
            error = fault
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="storage", daemon=True).start()
    return future
