"""The ports between the stages: what one turn of the cycle asks of judge, correlator, repair and observer."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from seawall.core.actions import Action, ActionState, Verification
from seawall.core.foresight import Sight
from seawall.core.incidents import Finding, Impact, Incident
from seawall.core.ports import Collector, Score
from seawall.core.signals import Batch
from seawall.core.slos import Indicator, SloRow, SloStatus


class Judge(Protocol):
    """Judges the rows of the matrix."""

    rows: tuple[SloRow, ...]

    def judge(self, registry: str, now: float) -> list[SloStatus]:
        """Every row of one registry, in the matrix's order."""
        ...

    def row(self, name: str) -> SloRow | None:
        """The row of that name."""
        ...

    def heard(self, registry: str, at: float) -> None:
        """Data measured at `at` (Unix seconds) is kept now: late data counts, however old it is."""
        ...

    def indicator(self, row: SloRow, registry: str, now: float, since: float | None = None) -> Indicator:
        """The row's indicator; with `since`, only on data measured after that moment."""
        ...


class Correlator(Protocol):
    """Finds what belongs together and says what it means."""

    def findings(self, statuses: Sequence[SloStatus]) -> list[Finding]:
        """One for each thing that is wrong."""
        ...

    def explained_by(self, finding: Finding, incidents: Sequence[Incident]) -> Incident | None:
        """The incident, of those given, whose trouble causes this finding: a registry that is (or was a
        moment ago) down explains its latency."""
        ...

    def causes(self, finding: Finding, statuses: Sequence[SloStatus]) -> tuple[str, ...]:
        """What is likely the first cause and what follows from it, ranked, each with its evidence."""
        ...

    def explain(
        self,
        finding: Finding,
        impact: Impact,
        evidence: Sequence[str],
        statuses: Sequence[SloStatus],
    ) -> str:
        """Three sentences, the impact first; `statuses` are the registry's rows at that moment."""
        ...


class Repair(Protocol):
    """Carries actions from their proposal to the end of their run."""

    def propose(self, incident: Incident) -> tuple[list[Action], list[str]]:
        """Actions for an incident's row, and why other playbooks of that row cannot be offered."""
        ...

    def expire(self, now: float) -> None:
        """Approvals that nobody gave in time."""
        ...

    def moot(self, incident: Incident, reason: str) -> None:
        """The incident is over: what has not begun will not begin."""
        ...

    def verifying(self) -> list[Action]:
        """Actions whose effect is being measured."""
        ...

    def take_back(self, action: Action, reason: str, proof: Verification) -> bool:
        """Begin the playbook's undo; its outcome stands in the action's `undo` once it has ended. False if
        the playbook has none: nothing was done."""
        ...

    def releasing(self, incident: Incident) -> bool:
        """The row is good again: True while a repair that only protects is in place; its undo is offered,
        and the incident stays open until that is decided."""
        ...

    def settle(self, action: Action, to: ActionState, text: str, **changes: Any) -> Action:
        """Write a step of the verification."""
        ...


class Observer(Protocol):
    """Hears what the cycle did: /metrics and the live stream."""

    def kept(self, collector: Collector, batch: Batch, new_events: int, seconds: float) -> None:
        """A collection was stored."""
        ...

    def missed(self, collector: Collector, reason: str, seconds: float) -> None:
        """A collection failed."""
        ...

    def judged(self, statuses: Sequence[SloStatus], seconds: float) -> None:
        """A turn was judged."""
        ...

    def scored(
        self, registry: str, scores: Mapping[str, Score], observed: Mapping[str, float], at: float
    ) -> None:
        """The models spoke, by signal, of what was observed at `at`."""
        ...

    def foreseen(self, registry: str, sight: Sight) -> None:
        """The rest of what they saw: words in shadow, forecasts, anomalies that began, changed or ended."""
        ...

    def incident(self, incident: Incident) -> None:
        """An incident opened or changed."""
        ...

    def action(self, action: Action) -> None:
        """An action changed."""
        ...
