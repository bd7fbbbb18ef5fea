"""A volume of another machine, as its node_exporter tells it (collector `filesystem`, names of version 1)."""

import httpx

from collectors.pages import Page, Target, fetch, read_page
from collectors.storage import Space
from seawall.core.errors import InputError
from seawall.core.signals import Batch

_REMEDY = "give the URL of a node_exporter with its collector filesystem as storage[].node_exporter"
_NAMES = {
    "size": "node_filesystem_size_bytes",
    "free": "node_filesystem_free_bytes",
    "available": "node_filesystem_avail_bytes",
    "inodes": "node_filesystem_files",
    "inodes_free": "node_filesystem_files_free",
    "read_only": "node_filesystem_readonly",
}
_ERROR = "node_filesystem_device_error"
_SHOWN = 8  # mount points that are told where the wanted one is not there


class RemoteVolume:
    """Collector of one mount point of a node_exporter page. The label `volume` is `host:path`, since several
    machines have the same paths."""

    def __init__(
        self, registry: str, path: str, url: str, interval: float = 30.0, timeout: float = 5.0
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "storage", registry, interval, timeout
        self.path, self.broken = path, 0
        self.volume = f"{httpx.URL(url).host}:{path}"
        self._target = Target(url, _REMEDY, timeout=timeout)

    async def collect(self, now: float) -> Batch:
        """One scrape. InputError if the mount point is not on the page, or cannot be measured there."""
        page = read_page(await fetch(self._target), (*_NAMES.values(), _ERROR), self._target)
        self.broken += page.broken
        space = self._space(page)
        batch = Batch(
            samples=space.samples(self.registry, self.volume, now), notes=list(map(str, page.findings))
        )
        if space.read_only:
            batch.notes.append(f"{self.volume}: mounted read-only")
        return batch

    async def stored(self) -> None:
        """Nothing to advance: a scrape has no position."""

    def _space(self, page: Page) -> Space:
        place = f"{self._target.url}: {self.path}"
        if self._value(page, _ERROR):
            raise InputError(place, "its device does not answer statfs", "look at that machine's dmesg")
        values = {field: self._value(page, name) for field, name in _NAMES.items()}
        if missing := [_NAMES[field] for field in ("size", "free", "available") if values[field] is None]:
            raise InputError(place, f"no {missing[0]} of this mount point", _there(page))
        space = Space(**{field: value for field, value in values.items() if value is not None})  # type: ignore[arg-type]
        if fault := space.fault():
            raise InputError(place, fault, "name the mount point of a real volume")
        return space

    def _value(self, page: Page, name: str) -> float | None:
        """Of mounts over one another the last one is what programs see."""
        found = [one.value for one in page.of(name) if one.labels.get("mountpoint") == self.path]
        return found[-1] if found else None


def _there(page: Page) -> str:
    found = sorted({one.labels.get("mountpoint", "") for one in page.of(_NAMES["size"])})
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"mount it, or name one that is there as path: {', '.join(found[:_SHOWN]) or 'none'}{more}"
