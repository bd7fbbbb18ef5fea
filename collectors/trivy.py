"""A folder of Trivy's JSON reports (`trivy image --format json --output DIR/NAME.json IMAGE`), one an image.

https://trivy.dev/latest/docs/configuration/reporting/#json, SchemaVersion 2. The folder is the state: an
image counts while its report lies there, a newer report of the same image stands for the older. Each new or
changed report becomes an event too.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.events import Json, event_id, inner, make_event, text
from collectors.formats import mask_text
from collectors.vulnerabilities import Scan, counted, gauge, highest
from seawall.core.errors import InputError
from seawall.core.signals import Batch, Event
from seawall.core.times import parse_time

DATASET = "trivy.report"
MAX_REPORT = 64 << 20  # bytes
MAX_REPORTS = 20_000
_ROUND = 256 << 20  # bytes of reports that one collection reads
_REMEDY = "write it with `trivy image --format json --output FILE IMAGE`"
_Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Report:
    """One report: the image that it is about, when it was made, what it found; `id` is its content's."""

    id: str
    repository: str
    reference: str
    digest: str
    at: float
    scan: Scan

    @property
    def image(self) -> str:
        """What makes it this image: the digest where there is one."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.reference}"

    def event(self, registry: str) -> Event:
        """The report as an event of the registry."""
        fields = {
            "event.action": "scan",
            "event.dataset": DATASET,
            "event.outcome": "success",
            "seawall.format": DATASET,
            "registry.repository": self.repository,
            "registry.reference": self.reference or self.digest,
            "registry.digest": self.digest,
            **self.scan.fields(),
        }
        return make_event(event_id(DATASET, registry, self.id), self.at, registry, fields)


def parse_report(body: bytes, place: str, written_at: float) -> Report:
    """A report read; one without `CreatedAt` was made when it was written. InputError names what is wrong."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(place, f"no JSON ({error})", _REMEDY) from error
    if not isinstance(document, dict) or not text(document, "ArtifactName"):
        raise InputError(place, "no text `ArtifactName`", _REMEDY)
    if text(document, "ArtifactType") not in ("", "container_image"):
        raise InputError(place, f"a report of a {text(document, 'ArtifactType')}, not of an image", _REMEDY)
    results = [] if document.get("Results") is None else document["Results"]
    if not isinstance(results, list):
        raise InputError(place, "`Results` is no list", _REMEDY)
    counts = counted((severity, 1) for severity in _severities(results))
    repository, reference = _name_of(text(document, "ArtifactName"))
    return Report(
        event_id(body.decode("latin-1")),
        repository,
        reference,
        _digest_of(document),
        _time_of(document, place, written_at),
        Scan(highest(counts), counts, _fixable(results), "Trivy"),
    )


_Known = dict[str, tuple[_Version, Report | str]]


class TrivyReports:
    """Collector of a folder of reports, for one registry."""

    def __init__(self, registry: str, folder: str, interval: float = 60.0, timeout: float = 30.0) -> None:
        self.name, self.registry, self.interval, self.timeout = "trivy", registry, interval, timeout
        self._folder = Path(folder)
        self._known: _Known = {}
        self._next: _Known = {}

    async def collect(self, now: float) -> Batch:
        """Events of new reports, and the gauge over all. InputError if the folder cannot be read."""
        return await asyncio.to_thread(self._collect, now)

    async def stored(self) -> None:
        """The batch is durable: what was read is not read again before it changes."""
        self._known = self._next

    def _collect(self, now: float) -> Batch:
        try:
            files = dict(self._files())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(str(self._folder), reason, "name the folder of Trivy's reports") from error
        batch, read = Batch(), 0
        known = {name: self._known[name] for name in files if name in self._known}
        for name, version in files.items():
            if name in known and known[name][0] == version:
                continue
            if read > _ROUND:
                batch.asides.append(f"{self._folder}: more reports are read in the next round")
                break
            read += version[1]
            known[name] = version, self._read(name, version[0] / 1e9)
            if isinstance(report := known[name][1], Report):
                batch.events.append(report.event(self.registry))
        self._next = known
        batch.notes += [found for _, found in known.values() if isinstance(found, str)][:10]
        batch.samples = gauge(self.registry, now, _images(known))
        return batch

    def _files(self) -> Iterator[tuple[str, _Version]]:
        with os.scandir(self._folder) as entries:
            for number, entry in enumerate(e for e in entries if e.name.endswith(".json") and e.is_file()):
                if number >= MAX_REPORTS:
                    break
                stat = entry.stat()
                yield entry.name, (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _read(self, name: str, written_at: float) -> Report | str:
        """A report, or why it is none."""
        path = self._folder / name
        try:
            if path.stat().st_size > MAX_REPORT:
                raise InputError(str(path), f"over {MAX_REPORT} bytes", "leave out what is no vulnerability")
            return parse_report(path.read_bytes(), str(path), written_at)
        except (InputError, OSError) as error:
            return mask_text(str(error))


def _images(known: _Known) -> Iterator[str]:
    """The highest severity of each image, from its newest report."""
    newest: dict[str, Report] = {}
    for _, report in known.values():
        if isinstance(report, Report) and report.at >= newest.get(report.image, report).at:
            newest[report.image] = report
    return (report.scan.severity for report in newest.values())


def _severities(results: list[Any]) -> Iterator[object]:
    for vulnerability in _vulnerabilities(results):
        yield vulnerability.get("Severity") or "unknown"


def _vulnerabilities(results: list[Any]) -> Iterator[Json]:
    for result in results:
        found = result.get("Vulnerabilities") if isinstance(result, dict) else None
        yield from (item for item in (found if isinstance(found, list) else []) if isinstance(item, dict))


def _fixable(results: list[Any]) -> int:
    return sum(1 for vulnerability in _vulnerabilities(results) if text(vulnerability, "FixedVersion"))


def _time_of(document: Json, place: str, written_at: float) -> float:
    created = text(document, "CreatedAt")
    try:
        return parse_time(created) if created else written_at
    except (ValueError, OverflowError) as error:
        raise InputError(place, f"`CreatedAt` is no RFC 3339 time ({error})", _REMEDY) from error


def _name_of(artifact: str) -> tuple[str, str]:
    """`registry.example.com:5000/team/app:1.0` -> (`team/app`, `1.0`); the host is left out."""
    name, _, digest = artifact.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        name = rest
    name, _, tag = name.partition(":")
    return name, tag or digest


def _digest_of(document: Json) -> str:
    """The manifest's digest of the first of `Metadata.RepoDigests`."""
    digests = inner(document, "Metadata").get("RepoDigests")
    first = digests[0] if isinstance(digests, list) and digests else ""
    return first.partition("@")[2] if isinstance(first, str) else ""
