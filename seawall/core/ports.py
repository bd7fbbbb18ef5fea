"""The ports that reach outside: clock, collectors, stores, the runner, detectors.

Dry run, timing and retry are wrappers around a port, never an `if` inside it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from seawall.core.actions import Action, ActionState
from seawall.core.incidents import Finding, Incident, IncidentState
from seawall.core.looks import EventLooks
from seawall.core.pulls import PullEvents
from seawall.core.signals import Batch, Event, Labels, Sample


class Clock(Protocol):
    """The only thing that knows the time."""

    def now(self) -> float:
        """Unix seconds, UTC."""
        ...


class Collector(Protocol):
    """One source of one registry. `interval` and `timeout` are seconds."""

    name: str
    registry: str
    interval: float
    timeout: float

    async def collect(self, now: float) -> Batch:
        """Whatever is new. Raises SeawallError with a reason when the source cannot be read."""
        ...

    async def stored(self) -> None:
        """Called once the batch is durable: positions may advance."""
        ...


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile over `count` pooled raw values (seconds); value is None when there is none."""

    count: int
    value: float | None


class Slice(NamedTuple):
    """Probe rounds of one site within one minute."""

    minute: int
    site: str
    good: int
    failed: int


class SampleStore(Protocol):
    """Numbers over time."""

    def append(self, samples: Sequence[Sample]) -> None:
        """Keep them, durably; (registry, signal, labels, at) is unique, a repeat changes nothing."""
        ...

    def range(
        self, registry: str, signal: str, start: float, end: float, labels: Labels | None = None
    ) -> list[Sample]:
        """Samples in [start, end), by time; all label sets where `labels` is None."""
        ...

    def latest(self, registry: str, signal: str, since: float, until: float) -> list[Sample]:
        """The newest sample of each label set in [since, until]."""
        ...

    def slices(self, registry: str, signal: str, start: float, end: float) -> list[Slice]:
        """0/1 samples in [start, end) counted per minute (Unix minute) and site."""
        ...

    def close(self) -> None:
        """Release the engine."""
        ...


class EventStore(PullEvents, EventLooks, Protocol):
    """Things that happened."""

    def append(self, events: Sequence[Event], checkpoints: Mapping[str, str]) -> int:
        """Keep both in one transaction; an id that is there already is dropped. Returns how many were new."""
        ...

    def checkpoint(self, source: str) -> str | None:
        """The last position kept for a source."""
        ...

    def recent(self, registry: str | None, start: float, end: float, limit: int) -> list[Event]:
        """Newest first."""
        ...

    def manifest_latency(self, registry: str, start: float, end: float, quantile: float) -> Quantile:
        """Over real clients' manifest GETs (200 or 304) in [start, end): registries.md section 3."""
        ...

    def manifest_latency_of_last(
        self, registry: str, end: float, count: int, quantile: float
    ) -> tuple[Quantile, float | None]:
        """The same over the last `count` requests before `end`, and when the oldest of them was."""
        ...

    def impact(self, registry: str, start: float, end: float) -> tuple[int, int, int]:
        """(failed requests, repositories, clients) of real clients, failed = 5xx, in [start, end)."""
        ...

    def errors_by_minute(self, registry: str, start: float, end: float) -> list[tuple[int, int, int]]:
        """(Unix minute, requests, 5xx answers) of real clients in [start, end), by minute."""
        ...

    def close(self) -> None:
        """Release the engine."""
        ...


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a POST with an Idempotency-Key; `status` 0: none yet. `fingerprint` is the request's
    SHA-256; of an answer that showed a secret the body is not kept."""

    fingerprint: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    secret: bool


class RecordStore(Protocol):
    """Incidents, actions, tokens, sessions and the audit chain; every change is one transaction."""

    def open_incident(
        self, finding: Finding, actor: str, into: str | None = None, reopen_since: float = math.inf
    ) -> tuple[Incident, bool]:
        """The open incident of this finding: joined if its registry and row have one (or to `into`,
        the id of its cause), reopened (True) if `actor` itself resolved the last one at `reopen_since` (Unix
        seconds) or later, else new (True). A finding already in it changes nothing."""
        ...

    def incident(self, id: str) -> Incident:
        """NotFound if there is none."""
        ...

    def incidents(
        self, states: Sequence[IncidentState] | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Incident], str | None]:
        """Newest first, and the cursor of the next page."""
        ...

    def save_incident(
        self, incident: Incident, actor: str, event: str, detail: Mapping[str, Any], at: float
    ) -> Incident:
        """Compare-and-set on `version`, with an audit entry. Conflict if somebody was first."""
        ...

    def propose_action(self, action: Action, actor: str) -> Action | None:
        """Store a new action (id assigned) and link it to its incident, unless the incident has an
        open action of the same playbook: then None."""
        ...

    def action(self, id: str) -> Action:
        """NotFound if there is none."""
        ...

    def actions(
        self, states: Sequence[ActionState] | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Action], str | None]:
        """Newest first, and the cursor of the next page."""
        ...

    def last_run_end(self, playbook: str, registry: str) -> float | None:
        """When this playbook last ended a run on this registry (for its cooldown)."""
        ...

    def transition(
        self, before: Action, after: Action, actor: str, at: float, detail: Mapping[str, Any]
    ) -> Action:
        """Compare-and-set from `before` (state and version) to `after`, with an audit entry, in one
        durable transaction. Conflict if the record moved or the state machine forbids it."""
        ...

    def freeze(self, frozen: bool, actor: str, at: float, reason: str) -> None:
        """Set or lift the kill switch; durable when it returns."""
        ...

    def frozen(self) -> tuple[bool, str]:
        """(is it set, by whom and why)."""
        ...

    def audit(self, actor: str, event: str, subject: str, detail: Mapping[str, Any], at: float) -> None:
        """Append to the hash chain."""
        ...

    def spend(
        self, name: str, actor: str, event: str, subject: str, detail: Mapping[str, Any], at: float
    ) -> bool:
        """Use up a name (at most 64 characters) and append to the hash chain, in one durable transaction;
        False, and nothing is written, if it was used before."""
        ...

    def audit_entries(
        self, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Newest first, and the cursor of the next page."""
        ...

    def audit_verify(self) -> tuple[int, str | None]:
        """(entries checked, what is wrong or None)."""
        ...

    def claim(self, owner: str, key: str, fingerprint: str, at: float, oldest: float) -> KeptAnswer | None:
        """Claim an asker's Idempotency-Key, durably; None: it was free. Those before `oldest` are dropped."""
        ...

    def keep_answer(self, owner: str, key: str, kept: KeptAnswer) -> None:
        """Keep the answer of a claimed request."""
        ...

    def free_claim(self, owner: str, key: str) -> None:
        """Forget a claim: the request had no effect."""
        ...

    def add_token(
        self, name: str, role: str, hashed: str, actor: str, at: float, until: float | None
    ) -> None:
        """Keep a token's SHA-256 (hex); Conflict if the name is taken."""
        ...

    def token_count(self) -> int:
        """How many tokens there are, live or not."""
        ...

    def token(self, hashed: str, at: float) -> tuple[str, str] | None:
        """(name, role) of a live token."""
        ...

    def add_session(self, hashed: str, name: str, role: str, at: float, until: float) -> None:
        """Keep a session's SHA-256 (hex)."""
        ...

    def session(self, hashed: str, at: float) -> tuple[str, str] | None:
        """(name, role) of a live session."""
        ...

    def end_session(self, hashed: str) -> None:
        """Forget it."""
        ...

    def close(self) -> None:
        """Release the engine."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Everything a worker needs: a private folder, the playbook, its inputs and its inventory.

    The worker copies the playbook's folder to FOLDER/project and the modules of `library` (None: those
    that ship) to FOLDER/library, and runs the copies.
    """

    folder: Path
    playbook: Path
    inputs: Mapping[str, Any]
    inventory: str
    timeout: float
    library: Path | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One task that changed (or would change) one host; `diff` is unified text, "" if it has none."""

    host: str
    task: str
    diff: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker ended. status: successful | failed | unreachable | timeout | cancelled.

    Times are Unix seconds; `skipped` names the tasks that check mode could not run.
    """

    status: str
    message: str
    changes: tuple[Change, ...]
    skipped: tuple[str, ...]
    started_at: float
    ended_at: float
    first_task_at: float | None
    first_change_at: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a restart finds of a run: still `running`, `ended` (with its outcome), or `lost`."""

    state: str
    outcome: Outcome | None = None


class Runner(Protocol):
    """Runs playbooks, one worker process each."""

    def check(self, target: Target) -> Outcome:
        """Check mode with diff; changes nothing. Blocks."""
        ...

    def run(
        self, target: Target, approval_digest: str, on_line: Callable[[str], None] | None = None
    ) -> Outcome:
        """The real run; blocks. The worker outlives a killed Seawall and leaves its outcome in the folder."""
        ...

    def find(self, folder: Path) -> Found:
        """What became of the run of that folder."""
        ...

    def wait(self, folder: Path, timeout: float, on_line: Callable[[str], None] | None = None) -> Found:
        """Wait for a run that another Seawall process started."""
        ...

    def cancel(self, folder: Path) -> bool:
        """Stop it and everything that it started; False if it is not running."""
        ...


class Leadership(Protocol):
    """Which of several Seawalls on one set of records may act. Asked just before a run begins."""

    def leads(self) -> bool:
        """True while this one alone may start a run; False if it must leave it to another."""
        ...

    def term(self) -> int:
        """The fencing token: grows by each change of the leader, and is written into each run."""
        ...


class Silences(Protocol):
    """What is kept quiet elsewhere (Alertmanager): silenced by people, inhibited, muted. Asked when a repair
    is decided and when it begins."""

    def silenced(self, registry: str, slo: str | None) -> str | None:
        """In words, what keeps the alerts of this registry and row quiet now; None if nothing does.
        SeawallError if it cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """A detector's word on one sample: what it expected (median and band, in the signal's unit), the
    anomaly score in 0..1, why it is silent ("" when it is not), and the name of the model that spoke."""

    expected: float
    lower: float
    upper: float
    score: float
    silent: str
    model: str = ""


class Detector(Protocol):
    """Streaming and causal: the score at t uses data up to t. One step is O(1) per series."""

    name: str

    def update(self, at: float, values: Mapping[str, float]) -> dict[str, Score]:
        """One batched step over the named series present now; a series not named is missing."""
        ...

    def state(self) -> bytes:
        """Everything it has learned, to be restored exactly."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue from `state`; InputError if it is not one of this detector's."""
        ...
