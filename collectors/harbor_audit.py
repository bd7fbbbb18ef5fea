"""Harbor's audit log -> ECS events: who pulled, pushed and deleted what, for installations without webhooks.

GET /api/v2.0/auditlog-exts (Harbor 2.13 and later), before that /audit-logs. Read newest first, page by
page, down to the newest time that is stored minus an overlap: entries that arrive meanwhile push others to a
later page, so that none is skipped, and one that was committed late, or at the same second as the last one,
is met in the overlap. Ids come from Harbor's own ids, so that what is read twice is kept once.
"""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from collectors.events import Json, event_id, make_event, text
from collectors.formats import mask_text
from collectors.harbor_client import HarborClient, NotThere
from seawall.core.errors import InputError
from seawall.core.signals import Batch, Event
from seawall.core.times import parse_time

DATASET = "harbor.audit"
OVERLAP = 60.0  # seconds that are read again
LOOK_BACK = 86_400.0  # seconds that the first reading goes back
PAGE_SIZE = 100
MAX_PAGES = 50  # of one collection; the rest is read in the next one
_NEW, _OLD = "auditlog-exts", "audit-logs"
_ACTIONS = {"pull": "pull", "create": "push", "delete": "delete"}
_DIGEST = re.compile(r"\bsha(?:256:[0-9a-f]+|512:[0-9a-f]+)")


class HarborAudit:
    """Collector of one Harbor's audit log; `source` names its checkpoint, the newest time stored."""

    def __init__(
        self, registry: str, client: HarborClient, interval: float = 15.0, timeout: float = 60.0
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "audit", registry, interval, timeout
        self.source = f"audit:{registry}"
        self._client = client
        self._stored_to: float | None = None
        self._walk: tuple[int, float] | None = None  # next page, newest time of the walk
        self._next: tuple[float | None, tuple[int, float] | None] = None, None
        self._api = _NEW
        self._seen: dict[str, float] = {}
        self._met: dict[str, float] = {}

    def restore(self, checkpoint: str | None) -> None:
        """Go on from a stored checkpoint; None reads the last day. InputError if it is none."""
        try:
            self._stored_to = float(json.loads(checkpoint)["time"]) if checkpoint else None
        except (ValueError, TypeError, KeyError) as error:
            remedy = "delete it to read the last day anew"
            raise InputError(f"checkpoint of {self.source}", str(error), remedy) from error

    async def collect(self, now: float) -> Batch:
        """Entries down to the stored time, at most `MAX_PAGES` pages of them; the rest comes next time."""
        page, newest = self._walk or (1, 0.0)
        until = (self._stored_to if self._stored_to is not None else now - LOOK_BACK) - OVERLAP
        batch, ended, began = Batch(), False, time.monotonic()
        self._met = {}
        async with self._client as client:
            for number in range(page, page + MAX_PAGES):
                entries, more = await self._page(client, number)
                times = self._take(entries, batch)
                newest = max([newest, *times])
                ended = not more or (bool(times) and max(times) < until)
                if ended or time.monotonic() - began > self.timeout / 2:
                    break
        self._settle(batch, number + 1, min(newest, now), ended)
        return batch

    def _settle(self, batch: Batch, page: int, newest: float, ended: bool) -> None:
        stored_to = max(self._stored_to or 0.0, newest) if ended else self._stored_to
        self._next = stored_to or self._stored_to, None if ended else (page, newest)
        if self._next[0] is not None:
            batch.checkpoints[self.source] = json.dumps({"time": self._next[0]})
        if not ended:
            batch.asides.append(f"the audit log is being caught up; page {page} comes next")

    async def stored(self) -> None:
        """The batch is durable: the position advances, and what the overlap will show again is known."""
        self._stored_to, self._walk = self._next
        newest = self._walk[1] if self._walk else self._stored_to or 0.0
        oldest = newest - 2 * OVERLAP
        self._seen = {id: at for id, at in (self._seen | self._met).items() if at >= oldest}

    async def _page(self, client: HarborClient, number: int) -> tuple[list[Any], bool]:
        query: dict[str, str | int] = {"sort": "-op_time", "page": number, "page_size": PAGE_SIZE}
        try:
            answer = await client.get(f"/{self._api}", query)
        except NotThere:
            if self._api == _OLD or number > 1:
                raise
            answer = await client.get(f"/{_OLD}", query)
            self._api = _OLD
        entries = answer.document
        if not isinstance(entries, list):
            remedy = "name Harbor's own address as url"
            raise InputError(f"{client.url}/{self._api}", "the answer is no list", remedy)
        more = answer.more if answer.more is not None else len(entries) >= PAGE_SIZE
        return entries, more and bool(entries)

    def _take(self, entries: Iterable[Any], batch: Batch) -> list[float]:
        """Add the new events of a page; the times of its entries."""
        times, broken = [], 0
        for entry in entries:
            try:
                at, event = parse_time(text(entry, "op_time")), parse_entry(entry, self.registry, self._api)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
                broken += 1
                continue
            times.append(at)
            if event and event.id not in self._seen:
                self._met[event.id] = at
                batch.events.append(event)
        if broken:
            batch.notes.append(f"{broken} entries without an id or a time were left out")
        return times


def parse_entry(entry: Json, registry: str, api: str) -> Event | None:
    """An artifact's entry of `api` (auditlog-exts or audit-logs) -> an event; None for log-ins and the rest.

    ValueError, KeyError or TypeError if it has no id or no time.
    """
    id, at = int(entry["id"]), parse_time(text(entry, "op_time"))
    action = _ACTIONS.get(text(entry, "operation"))
    if action is None or text(entry, "resource_type") not in ("artifact", "image"):
        return None
    repository, reference = _split(text(entry, "resource"))
    told = text(entry, "operation_description")
    digest = _DIGEST.search(told) or _DIGEST.search(reference)
    done = entry.get("operation_result", entry.get("is_successful", True))
    fields = {
        "event.action": action,
        "event.dataset": DATASET,
        "event.outcome": "failure" if done is False else "success",
        "seawall.format": DATASET,
        "registry.repository": repository,
        "registry.reference": reference or (digest[0] if digest else ""),
        "registry.digest": digest[0] if digest else "",
        "registry.operation": "manifest",
        "user.name": text(entry, "username"),
        "message": mask_text(told),
    }
    return make_event(event_id(DATASET, registry, api, str(id)), at, registry, fields)


def _split(resource: str) -> tuple[str, str]:
    """`library/nginx:1.27`, `...@sha256:1f` or `...:sha256:1f` -> (repository, tag or digest)."""
    repository, at, digest = resource.partition("@")
    if at:
        return repository.partition(":")[0], digest
    repository, _, reference = resource.partition(":")
    return repository, reference
