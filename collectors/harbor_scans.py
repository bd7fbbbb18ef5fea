"""The scan overviews of every artifact in Harbor -> seawall_images_vulnerable.

GET /projects, /projects/P/repositories, /projects/P/repositories/R/artifacts?with_scan_overview=true. One
walk over all of them takes as many collections as it needs, each of a bounded number of requests; the gauge
is of the last walk that has ended, so that it never shows half of the images.
"""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

from collectors.events import Json, inner, text
from collectors.harbor_client import HarborClient, NotThere
from collectors.vulnerabilities import gauge, read_overview
from seawall.core.errors import InputError
from seawall.core.signals import Batch

PAGE_SIZE = 100
MAX_REQUESTS = 200  # of one collection
_REPORTS = {
    "x-accept-vulnerabilities": "application/vnd.security.vulnerability.report; version=1.1, "
    "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
}


class HarborScans:
    """Collector of the vulnerability state of one Harbor, from its scanners' summaries."""

    def __init__(
        self, registry: str, client: HarborClient, interval: float = 300.0, timeout: float = 120.0
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "scans", registry, interval, timeout
        self._client = client
        self._walk: AsyncIterator[list[str | None]] | None = None
        self._found: list[str] = []
        self._ended: list[str] | None = None
        self._unscanned = 0

    async def collect(self, now: float) -> Batch:
        """Go on with the walk; the gauge of the last one. SeawallError begins it anew next time."""
        began, batch = time.monotonic(), Batch()
        async with self._client:
            try:
                for _ in range(MAX_REQUESTS):
                    if self._walk is None:
                        self._walk, self._found, self._unscanned = self._artifacts(), [], 0
                    severities = await anext(self._walk, None)
                    if severities is None:
                        self._walk, self._ended = None, self._found
                        break
                    self._count(severities)
                    if time.monotonic() - began > self.timeout / 2:
                        break
            except BaseException:
                self._walk = None
                raise
        batch.asides.append(self._note())
        if self._ended is not None:
            batch.samples = gauge(self.registry, now, self._ended)
        return batch

    async def stored(self) -> None:
        """Nothing to advance: the walk begins anew when it has ended."""

    def _count(self, severities: list[str | None]) -> None:
        self._found += [severity for severity in severities if severity is not None]
        self._unscanned += sum(severity is None for severity in severities)

    def _note(self) -> str:
        seen = f"{len(self._found)} images with a scan, {self._unscanned} without"
        return seen if self._walk is None else f"{seen} so far; the walk goes on"

    async def _artifacts(self) -> AsyncIterator[list[str | None]]:
        """The highest severity of each artifact, None of one without a scan; one list a request."""
        async for projects in self._pages("/projects"):
            yield []
            for project in _names(projects):
                async for repositories in self._pages(f"/projects/{quote(project, safe='')}/repositories"):
                    yield []
                    for repository in _names(repositories):
                        short = repository.removeprefix(f"{project}/")
                        # Harbor decodes the name twice where it holds a slash.
                        name = quote(quote(short, safe=""), safe="")
                        path = f"/projects/{quote(project, safe='')}/repositories/{name}/artifacts"
                        async for page in self._pages(path, with_scan_overview="true", with_tag="false"):
                            yield [_severity(artifact) for artifact in page]

    async def _pages(self, path: str, **query: str) -> AsyncIterator[list[Json]]:
        """Every page of a list; one that was deleted meanwhile has ended."""
        number, more = 1, True
        while more:
            try:
                answer = await self._client.get(
                    path, {**query, "page": number, "page_size": PAGE_SIZE}, _REPORTS
                )
            except NotThere:
                if path == "/projects":
                    raise
                return
            page = answer.document
            if not isinstance(page, list):
                raise InputError(
                    f"{self._client.url}{path}", "the answer is no list", "name Harbor's own address"
                )
            more = bool(page) and (answer.more if answer.more is not None else len(page) >= PAGE_SIZE)
            yield [item for item in page if isinstance(item, dict)]
            number += 1


def _names(items: list[Json]) -> Iterator[str]:
    return (name for item in items if (name := text(item, "name")))


def _severity(artifact: Any) -> str | None:
    scan = read_overview(inner(artifact, "scan_overview"))
    return scan.severity if scan else None
