"""What Harbor tells only over its API (v2.0): the body of its health, volumes, quotas, garbage collection,
replication, job queues, statistics and the expiry of robots.

Every fact is asked on its own, so that a right that is missing takes nothing else away; a refusal names the
right of a system robot account that it needs. /health answers 200 whatever it says (harbor#16406).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from collectors.harbor_client import HarborClient, NotThere, TooLong
from collectors.harbor_facts import (
    collections,
    executions,
    health,
    progress,
    projects,
    queues,
    robots,
    running_collection,
    statistics,
    volumes,
)
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import COMPONENT_UP, Batch, Sample, labels

PAGE_SIZE = 100
MAX_PAGES = 20  # of quotas: 2,000 projects
_GONE = ("answered 502", "answered 503", "answered 504")
Reader = Callable[[Any, str, float], Batch]


@dataclass(frozen=True, slots=True)
class Fact:
    """One question: its path and query, who reads the answer, and the right that it needs ("" for none)."""

    path: str
    read: Reader
    right: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    paged: bool = False
    exported: bool = False  # the exporter's page has it too


_NEWEST = 100  # executions that are looked at
FACTS = (
    Fact("/systeminfo/volumes", volumes, "system-volumes read"),
    Fact("/system/gc", collections, "garbage-collection list", {"sort": "-creation_time", "page_size": 20}),
    Fact(
        "/replication/executions",
        executions,
        "replication list",
        {"sort": "-start_time", "page_size": _NEWEST},
    ),
    Fact("/jobservice/queues", queues, "jobservice-monitor list"),
    Fact("/robots", robots, "robot list", {"page_size": PAGE_SIZE}, paged=True),
    Fact("/quotas", projects, "quota list", {"reference": "project", "page_size": PAGE_SIZE}, True, True),
    Fact("/statistics", statistics, "", exported=True),
)


class HarborApi:
    """Collector of Harbor's API. `account`: is there a user to ask as; without one only /health answers.
    `exporter`: is the exporter's page read too; what it has is not asked again."""

    def __init__(
        self,
        registry: str,
        client: HarborClient,
        account: bool,
        exporter: bool,
        interval: float = 60.0,
        timeout: float = 30.0,
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "api", registry, interval, timeout
        self._client = client
        self._facts = [fact for fact in FACTS if account and not (exporter and fact.exported)]
        self._account = account
        self._log_too_long: int | None = None

    async def collect(self, now: float) -> Batch:
        """One round. SeawallError if Harbor cannot be reached, or answers no question at all."""
        async with self._client as client:
            try:
                batch = health((await client.get("/health", {})).document, self.registry, now)
            except SeawallError as error:
                return self._down(error, now)
            answers = await asyncio.gather(*(self._ask(client, fact, now) for fact in self._facts))
        if not self._account:
            batch.asides.append(f"{self._client.url}: no username, so only its health is known")
        for answer in answers:
            batch.samples += answer.samples
            batch.notes += answer.notes
            batch.asides += answer.asides
        return batch

    async def stored(self) -> None:
        """Nothing to advance: every round asks anew."""

    def _down(self, error: SeawallError, now: float) -> Batch:
        """A proxy that finds no core says so with 502 to 504: core is down, and that is all that is known."""
        if not isinstance(error, InputError) or error.finding not in _GONE:
            raise error
        sample = Sample(self.registry, COMPONENT_UP, now, 0.0, labels(component="core"))
        return Batch(samples=[sample], notes=[f"{error.place}: {error.finding}: core is down"])

    async def _ask(self, client: HarborClient, fact: Fact, now: float) -> Batch:
        try:
            document, whole = await self._document(client, fact)
            batch = fact.read(document, self.registry, now)
            if not whole:
                batch.asides.append(f"{fact.path}: only the first {len(document)} are looked at")
            if fact.read is collections and (running := running_collection(document)) is not None:
                batch.samples += await self._progress(client, running, now)
            return batch
        except NotThere as error:
            return Batch(notes=[f"{error.place}: this Harbor has it not (404)"])
        except InputError as error:
            return Batch(notes=[f"{error.place}: {error.finding}; {_remedy(error, fact)}"])
        except SeawallError as error:
            return Batch(notes=[str(error)])

    async def _document(self, client: HarborClient, fact: Fact) -> tuple[Any, bool]:
        """The answer, and is it whole: of a paged list the first `MAX_PAGES`."""
        if not fact.paged:
            return (await client.get(fact.path, fact.query)).document, True
        found: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            answer = await client.get(fact.path, {**fact.query, "page": page})
            entries = answer.document if isinstance(answer.document, list) else []
            found += entries
            if answer.more is False or len(entries) < PAGE_SIZE:
                return found, True
        return found, False

    async def _progress(self, client: HarborClient, number: int, now: float) -> Iterable[Sample]:
        """How far the running collection is, from the end of its log. One that has become too long to be read
        is not asked for again."""
        if number == self._log_too_long:
            return ()
        try:
            return progress(await client.text(f"/system/gc/{number}/log"), self.registry, now)
        except TooLong:
            self._log_too_long = number
        except SeawallError:
            return ()  # told by the other questions, or by the next round
        return ()


def _remedy(error: InputError, fact: Fact) -> str:
    if error.finding == "answered 403":
        return f"give the account the right {fact.right!r}" if fact.right else "give the account a login"
    return error.remedy
