"""Pulls of images -> verdicts on their signatures, as events: read from the event store, looked up apart.

Nothing here is in the way of a pull. The position in the store never passes a pull without a verdict, or a
push whose grace runs; ids are made from what was pulled, by whom and when: a restart, `kill -9` included,
reads again and neither loses nor doubles. A look-up that failed makes an `unknown`, which is tried again
for a day and then settled.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.events import event_id, make_event
from collectors.pulls.families import Families
from collectors.pulls.judging import Judgement, Judging, Wait
from collectors.pulls.looks import Looks
from collectors.pulls.pushes import Pushes
from collectors.pulls.told import Excluded, Sources, Told, read_told
from collectors.pulls.windows import SPAN, Windows
from collectors.signatures.verdicts import UNKNOWN, Verdict
from seawall.core.errors import InputError
from seawall.core.ports import EventStore
from seawall.core.pulls import DATASET, SIGNATURES, Counted
from seawall.core.signals import PULLS_WAITING, Batch, Event, Sample
from seawall.core.times import parse_time, rfc3339

LOOK_BACK = 90_000.0  # seconds: a day, and an hour for what comes late
READ = 2000  # events of one turn
MOST_WAITING = 20_000  # pulls without a verdict; then the store waits
MOST_OPEN = 5000  # unknown verdicts that are tried again
ROUNDS = 3  # of looks and verdicts in one turn: an image, its index, and again
WORK = 1.0  # seconds of looks in one of them
SIGN_OF_LIFE = 30.0  # seconds between two samples
_OTHER = "other"


@dataclass(slots=True)
class _Waiting:
    """A pull without a verdict, read at `read_at`, and held for its push's grace until `held_until`."""

    told: Told
    read_at: float
    held_until: float = 0.0


class PullSignatures:
    """Collector of one registry's verdicts. `pulls` counts them since the start of Seawall."""

    def __init__(
        self,
        registry: str,
        events: EventStore,
        looks: Looks,
        excluded: Excluded | None = None,
        grace: float = 120.0,
        interval: float = 2.0,
        timeout: float = 60.0,
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "signatures", registry, interval, timeout
        self.source, self.more = f"pulls:{registry}", False
        self.pulls: Counter[str] = Counter()
        self._events, self._looks, self._excluded = events, looks, excluded or Excluded()
        self._pushes, self._sources = Pushes(grace), Sources()
        self._judging = Judging(looks, Families(), self._pushes)
        self._windows = Windows(lambda start, end: events.counted(registry, start, end))
        self._position, self._kept, self._said_at = 0, "", float("-inf")
        self._waiting: list[_Waiting] = []
        self._same: dict[tuple[str, ...], float] = {}
        self._open: dict[str, Event] | None = None
        self._made: dict[str, Event] = {}

    def restore(self, checkpoint: str | None) -> None:
        """Go on from a stored checkpoint. InputError if it is none."""
        try:
            kept: Any = json.loads(checkpoint) if checkpoint else {"position": 0, "sources": {}}
            self._position, self._sources = int(kept["position"]), Sources(kept["sources"])
        except (ValueError, TypeError, KeyError) as error:
            remedy = "delete it to judge the pulls of the last day anew"
            raise InputError(f"checkpoint of {self.source}", str(error), remedy) from error

    async def collect(self, now: float) -> Batch:
        """One turn: read, look up for some seconds, tell the verdicts that are reached."""
        self._looks.turn(now)
        await asyncio.to_thread(self._read, now)
        for _ in range(ROUNDS):
            await self._looks.work(WORK)
            await asyncio.to_thread(self._judge)
            if not self._looks.waiting:
                break
        self._pushes.prune(self._looks.now())
        batch = Batch(self._sign_of_life(now), list(self._made.values()), self._checkpoints())
        if self.waiting:
            batch.asides.append(f"{self.waiting} pulls wait for a verdict")
        return batch

    async def stored(self) -> None:
        """What was told is durable."""
        verdicts = (event.fields["seawall.signature"] for event in self._made.values())
        self.pulls.update(it for it in verdicts if it in SIGNATURES)
        self._made.clear()
        self._kept = self._checkpoint()
        self._windows.forget(self._looks.now())

    @property
    def waiting(self) -> int:
        """Pulls that were read and have no verdict."""
        return len(self._waiting)

    def _sign_of_life(self, now: float) -> list[Sample]:
        """What the row is told by that pulls are judged."""
        if abs(now - self._said_at) < SIGN_OF_LIFE:
            return []
        self._said_at = now
        return [Sample(self.registry, PULLS_WAITING, now, float(self.waiting))]

    def _checkpoints(self) -> dict[str, str]:
        checkpoint = self._checkpoint()
        return {} if checkpoint == self._kept and not self._made else {self.source: checkpoint}

    def _checkpoint(self) -> str:
        marks = [it.told.position for it in self._waiting]
        if (oldest := self._pushes.oldest) is not None:
            marks.append(oldest)
        position = min(self._position, min(marks) - 1) if marks else self._position
        return json.dumps({"position": position, "sources": self._sources.seen})

    # read --------------------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        if self._open is None:
            unsettled = self._events.unsettled(self.registry, now - LOOK_BACK, now + LOOK_BACK, MOST_OPEN)
            self._open = {event.id: event for event in unsettled}
        self.more = False
        if len(self._waiting) >= MOST_WAITING:
            return
        arrivals = self._events.images(self.registry, self._position, READ)
        for position, event in arrivals.events:
            if (told := read_told(position, event)) is not None and told.at > now - LOOK_BACK:
                self._hear(told, now)
        self._position, self.more = arrivals.upto, len(arrivals.events) == READ
        self._judge()

    def _hear(self, told: Told, now: float) -> None:
        self._sources.hear(told)
        if told.push:
            self._pushes.add(told, now)
            for name in {told.signs, told.reference} - {""}:
                self._looks.forget((told.repository, name))
        elif not told.signs and not self._excluded.holds(told) and self._sources.count(told):
            key = told.repository, told.asked, told.user, told.client
            if abs(self._same.get(key, float("-inf")) - told.at) >= SPAN:
                self._same[key] = told.at
                self._waiting.append(_Waiting(told, now))

    # judge -------------------------------------------------------------------------------------

    def _judge(self) -> None:
        now = self._looks.now()
        held_up = set[str]()
        self._waiting = [it for it in self._waiting if not self._decided(it, now, held_up)]
        self._same = {
            (it.told.repository, it.told.asked, it.told.user, it.told.client): it.told.at
            for it in self._waiting
        }
        self._settle_open(now)

    def _decided(self, one: _Waiting, now: float, held_up: set[str]) -> bool:
        """Tell the verdict if there is one. A repository's pulls are judged in their order, so that an index
        is known before its images are."""
        if now < one.held_until:
            return False
        if one.told.repository in held_up:
            self._judging.expect(one.told, one.read_at)
            return False
        found = self._judging.judge(one.told, one.read_at, one.held_until)
        if isinstance(found, Wait):
            one.held_until = max(one.held_until, found.until)
            if not found.until:
                held_up.add(one.told.repository)
            return False
        if found.verdict is not None:
            self._tell(one.told, found, found.verdict, now)
        return True

    def _tell(self, told: Told, found: Judgement, verdict: Verdict, now: float) -> None:
        counted = found.digest or told.asked
        if not self._windows.take(Counted(told.at, told.repository, counted, told.user, told.client)):
            return
        id = event_id(DATASET, self.registry, told.repository, counted, told.user, told.client, repr(told.at))
        event = make_event(id, told.at, self.registry, _fields(told, found, verdict, now))
        self._made[id] = event
        if verdict.signature == UNKNOWN and self._open is not None and len(self._open) < MOST_OPEN:
            self._open[id] = event

    # settle ------------------------------------------------------------------------------------

    def _settle_open(self, now: float) -> None:
        """What was unknown may be known now; it is asked for at longer and longer intervals."""
        opened = self._open or {}
        for id, event in list(opened.items()):
            if id in self._made:
                continue
            if event.at < now - LOOK_BACK:
                del opened[id]
            elif (settled := self._settled(event, now)) is not None:
                self._made[settled.id] = settled
                del opened[id]

    def _settled(self, event: Event, now: float) -> Event | None:
        fields = event.fields
        told = _told_of(event)
        if self._pushes.grace_left(told.repository, (told.reference, told.digest), told.at):
            return None
        found = self._judging.judge(told, now, parse_time(str(fields["event.created"])))
        if isinstance(found, Wait):
            return None
        verdict = found.verdict
        if verdict is not None and verdict.signature == UNKNOWN:
            return None
        said: Mapping[str, Any] = (
            {"seawall.signature": _OTHER, "seawall.reason": "no image"} if verdict is None else _said(verdict)
        )
        kept = {**fields, **said, "event.created": rfc3339(now), "seawall.settles": event.id}
        return make_event(event_id(DATASET, "settles", event.id), event.at, self.registry, kept)


def _fields(told: Told, found: Judgement, verdict: Verdict, now: float) -> dict[str, Any]:
    return {
        "event.action": "pull",
        "event.dataset": DATASET,
        "event.outcome": "success",
        "event.created": rfc3339(now),
        "event.provider": told.dataset,
        "registry.repository": told.repository,
        "registry.reference": told.reference,
        "registry.digest": found.digest or told.asked,
        "registry.image_digest": found.image if found.image != found.digest else "",
        "user.name": told.user,
        "client.ip": told.client,
        "user_agent.original": told.agent,
        **_said(verdict),
    }


def _said(verdict: Verdict) -> dict[str, Any]:
    return {
        "seawall.signature": verdict.signature,
        "seawall.reason": verdict.reason,
        "seawall.code": str(verdict.code),
        "seawall.signer": verdict.signer,
    }


def _told_of(event: Event) -> Told:
    """The pull of a verdict, to be judged again."""
    fields = event.fields

    def text(key: str) -> str:
        return str(fields.get(key) or "")

    pulled = text("registry.image_digest") or text("registry.digest")
    return Told(
        0, event.at, False, text("event.provider"), text("registry.repository"), text("registry.reference"),
        pulled if ":" in pulled else "", text("user.name"), text("client.ip"), text("user_agent.original"),
    )  # fmt: skip
