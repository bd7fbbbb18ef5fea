"""What the roof offers: the one object that API, console and webhooks work with."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.watch import Watch
from remediation.leadership import Alone
from remediation.lifecycle import Lifecycle
from seawall.config import Config
from seawall.core.accounts import Identity as Identity
from seawall.core.accounts import LoginRefused, TooManyAttempts
from seawall.core.actions import Action
from seawall.core.errors import (
    Conflict,
    InputError,
    NotFound,
    Overloaded,
    Refused,
    SeawallError,
    Stale,
    StoreUnavailable,
)
from seawall.core.incidents import Incident, IncidentState
from seawall.core.ports import Clock, EventStore, Leadership, RecordStore, SampleStore
from seawall.core.signals import Event
from seawall.core.slos import SloStatus
from seawall.core.stages import Judge
from seawall.cycle import Cycle, amend
from seawall.identity import Accounts
from seawall.identity.confirm import Confirmation, Proof
from seawall.identity.external import ExternalLogin
from seawall.identity.signed_links import SignedLinks
from seawall.telemetry import Telemetry

SESSION_COOKIE = "seawall_session"
QUEUE_SIZE = 2000
BATCH_SIZE = 500
Seen = frozenset[int] | None  # versions of a record that an asker has read; None: any will do


_STATUS: tuple[tuple[type[SeawallError], int], ...] = (
    (InputError, 400),
    (NotFound, 404),
    (Stale, 412),
    (Conflict, 409),
    (Refused, 403),
    (LoginRefused, 403),
    (TooManyAttempts, 429),
    (Overloaded, 503),
    (StoreUnavailable, 503),
)


def http_status(error: Exception) -> int:
    """The HTTP status of one of our errors; 500 for any other."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


class Intake:
    """Events pushed to us, committed in groups: a bounded queue, one writer, an answer after the commit."""

    def __init__(self, events: EventStore, telemetry: Telemetry) -> None:
        self._events, self._telemetry = events, telemetry
        self._queue: asyncio.Queue[tuple[Sequence[Event], asyncio.Future[None]]]
        self._queue = asyncio.Queue(QUEUE_SIZE)
        telemetry.queues["webhooks"] = self.depth

    def depth(self) -> int:
        """Deliveries that wait."""
        return self._queue.qsize()

    async def keep(self, events: Sequence[Event]) -> None:
        """Returns once they are durable. Overloaded when the queue is full: nothing was taken."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((events, done))
        except asyncio.QueueFull:
            raise Overloaded(f"{QUEUE_SIZE} deliveries wait already; send it again later") from None
        await done

    async def write(self) -> None:
        """The writer; runs until it is cancelled."""
        while True:
            waiting = [await self._queue.get()]
            while len(waiting) < BATCH_SIZE and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            events = [event for batch, _ in waiting for event in batch]
            try:
                new = await asyncio.to_thread(self._events.append, events, {})
            except Exception as error:
                _answer(waiting, error)
                continue
            if new:
                self._telemetry.observe_events(events)
            _answer(waiting, None)


def _answer(waiting: Sequence[tuple[Sequence[Event], asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


@dataclass
class Service:
    """Everything that the roof may use, wired by seawall.app."""

    config: Config
    clock: Clock
    samples: SampleStore
    events: EventStore
    records: RecordStore
    judge: Judge
    cycle: Cycle
    watch: Watch
    repair: Lifecycle
    telemetry: Telemetry
    intake: Intake
    accounts: Accounts
    confirmation: Confirmation
    webhook_tokens: Mapping[str, str] = field(default_factory=dict)
    leadership: Leadership = field(default_factory=Alone)
    broken_playbooks: Sequence[InputError] = ()
    recall: Callable[[float], Judge] | None = None
    links: SignedLinks | None = None
    external: ExternalLogin | None = None

    @property
    def registries(self) -> list[str]:
        """Names of the watched registries."""
        return [registry.name for registry in self.config.registries]

    def ready(self) -> bool:
        """The stores answer and keep what comes in, and the cycle turns (or has nothing to watch)."""
        self.records.frozen()
        late = self.clock.now() - self.cycle.last_turn > 6 * self.config.probe.interval
        return not (self.cycle.keeper.failing or (self.registries and self.cycle.last_turn and late))

    # judgement -----------------------------------------------------------------------------

    def statuses(self, registry: str | None = None, at: float | None = None) -> list[SloStatus]:
        """Every row of every registry: as of the last turn, or judged by what had arrived by `at`."""
        names = [name for name in self.registries if registry in (None, name)]
        if at is not None:
            judge = self.recall(at) if self.recall else self.judge
            return [status for name in names for status in judge.judge(name, at)]
        now = self.clock.now()
        return [s for name in names for s in self.cycle.statuses.get(name) or self.judge.judge(name, now)]

    # incidents -----------------------------------------------------------------------------

    def acknowledge(self, id: str, by: str, seen: Seen = None) -> Incident:
        """Somebody is on it."""
        incident = self._incident(id, seen)
        if incident.state is not IncidentState.OPEN:
            raise Conflict(f"incident {id} is {incident.state}; only an open one can be acknowledged")
        changes = {"state": IncidentState.ACKNOWLEDGED, "acknowledged_by": by}
        return self._amend(incident, "incident.acknowledged", f"acknowledged by {by}", by, seen, **changes)

    def resolve(self, id: str, by: str, reason: str, seen: Seen = None) -> Incident:
        """A person closes it by hand."""
        incident = self._incident(id, seen)
        if incident.state is IncidentState.RESOLVED:
            raise Conflict(f"incident {id} is resolved already")
        changes = {"state": IncidentState.RESOLVED, "resolved_at": self.clock.now(), "resolved_by": by}
        text = f"resolved by {by}" + (f": {reason}" if reason else "")
        saved = self._amend(incident, "incident.resolved", text, by, seen, **changes)
        self.repair.moot(saved, f"the incident was resolved by {by}")
        return saved

    def note(self, id: str, by: str, text: str, seen: Seen = None) -> Incident:
        """Add a line to the story."""
        return self._amend(self._incident(id, seen), "incident.note", text, by, seen)

    def assign(self, id: str, by: str, to: str, seen: Seen = None) -> Incident:
        """Hand it over: `to` is on it from now."""
        incident = self._incident(id, seen)
        if incident.state is IncidentState.RESOLVED:
            raise Conflict(f"incident {id} is resolved; nobody needs to be on it")
        changes = {"state": IncidentState.ACKNOWLEDGED, "acknowledged_by": to}
        return self._amend(incident, "incident.assigned", f"handed over to {to} by {by}", by, seen, **changes)

    def _incident(self, id: str, seen: Seen) -> Incident:
        """The incident whose change is asked for; Stale unless its version is among those `seen`."""
        incident = self.records.incident(id)
        if seen is not None and incident.version not in seen:
            raise Stale(f'{id} has changed: its ETag is "{id}.{incident.version}" now; read it again')
        return incident

    def _amend(
        self, incident: Incident, event: str, text: str, by: str, seen: Seen, **changes: Any
    ) -> Incident:
        parts, tries = (self.records, self.telemetry, self.clock), 10 if seen is None else 1
        try:
            return amend(*parts, incident, event, {"text": text}, text, by, tries, **changes)
        except Conflict as error:
            raise (
                error if seen is None else Stale(f"{incident.id} has just changed; read it again")
            ) from error

    # actions and the switch ------------------------------------------------------------------

    def approve(self, id: str, who: Identity, reason: str, digest: str | None, proof: Proof) -> Action:
        """One person's consent; needs the role approver, and the second factor (seawall.identity.confirm)."""
        if not who.may("approver"):
            raise Refused(f"{who.name} is {who.role}; approving needs the role approver")
        risk = self.records.action(id).risk
        self.confirmation.check(proof, risk)
        approved = self.repair.approve(id, who.name, reason, digest)
        self.confirmation.used(proof, risk)
        return approved

    def open_link(self, token: str, who: Identity) -> Action:
        """The action that a notification's signed link leads to; needs the role approver, so that nobody
        else uses it up. Errors as in seawall.identity.signed_links."""
        if self.links is None:
            raise NotFound("there are no signed links here")
        who = who.within(self.links.action(token).registry)
        if not who.may("approver"):
            raise Refused(f"{who.name} is {who.role}; this link is for the role approver")
        return self.links.open(token, who.name)

    def freeze(self, frozen: bool, who: Identity, reason: str) -> None:
        """Durable when it returns; runs that have begun go on."""
        self.records.freeze(frozen, who.name, self.clock.now(), reason)
        if not frozen:
            self.repair.thaw()
        self.telemetry.say("freeze", {"frozen": frozen})

    # tokens, in short (the rest: seawall.identity) ---------------------------------------------

    def new_token(self, name: str, role: str, by: str, until: float | None) -> str:
        """A new token's secret, shown this once."""
        return self.accounts.new_token(name, role, {}, by, until)

    def by_token(self, secret: str) -> Identity | None:
        """The bearer of a live token."""
        return self.accounts.by_token(secret)
