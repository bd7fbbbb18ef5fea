"""After the run: did it help, would it have got well by itself, and what if it did not.

One file of the cycle: it reads the records, the judge and the samples, and is the only one that ends a
verification. A repair that did not help is taken back by its playbook's undo, else escalated to people.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from seawall.core.actions import Action, ActionState, Run, Verification
from seawall.core.incidents import Incident, IncidentState
from seawall.core.ports import RecordStore, SampleStore
from seawall.core.slos import Indicator, Objective, SloRow, SloType
from seawall.core.stages import Judge, Repair

ROUNDS_BEFORE = 3
NEXT, POOLED = 0.001, 60.0
"""Seconds between two rounds before the run, at least."""
SIGNAL_FRESH = 300.0
"""Seconds: an older sample of a signal says nothing of how it stood at a moment."""
Measure = Callable[[float, float | None], Indicator]


@dataclass(frozen=True)
class Verifier:
    """Follows what has run. `amend(incident, event, detail, text)` writes into an incident's story,
    `resolve(incident, text)` closes it."""

    judge: Judge
    samples: SampleStore
    records: RecordStore
    repair: Repair
    amend: Callable[..., Incident]
    resolve: Callable[[Incident, str], Any]

    def follow(self, registry: str, now: float) -> None:
        """One step for every action of this registry whose effect is being measured or taken back."""
        for action in self.repair.verifying():
            if action.registry == registry and action.verification and action.run:
                if action.undo is not None:
                    self._taken_back(action, action.undo)
                else:
                    self._verify(action, action.verification, action.run, now)

    def _verify(self, action: Action, proof: Verification, run: Run, now: float) -> None:
        measure, title, better = self._way(action, proof)
        if measure is None:
            reason = f"slo {proof.slo!r} is gone from the matrix: nobody can tell whether it helped"
            self.repair.settle(action, ActionState.ESCALATED, reason, reason=reason)
            return
        checked = proof if proof.control else self._controlled(proof, measure, run.started_at, better)
        found = measure(now, run.ended_at or run.started_at)
        after = counted(checked, found)
        if after.good_rounds >= after.needed_rounds:
            self._succeed(action, after, found, now)
        elif now >= proof.until:
            self._give_up(action, after, f"{title} did not recover in time: {found.reason}")
        elif after != proof:
            text = f"good rounds: {after.good_rounds} of {after.needed_rounds}"
            if not proof.control:
                text += f"; {after.control}"
            self.repair.settle(action, ActionState.VERIFYING, text, verification=after)

    def _way(self, action: Action, proof: Verification) -> tuple[Measure | None, str, str]:
        """How it is measured, its title, and which way is better: `<`, `>`, or "" where only good counts."""
        if proof.signal:
            measure = signal_measure(self.samples, action.registry, proof)
            return measure, proof.signal, proof.op[:1]
        row = self.judge.row(proof.slo)
        if row is None:
            return None, proof.slo, ""
        return row_measure(self.judge, row, action.registry), row.title, row.objective.op[:1]

    def _controlled(self, proof: Verification, measure: Measure, started: float, better: str) -> Verification:
        row = None if proof.signal else self.judge.row(proof.slo)
        # A latency is pooled over a span up to the moment itself: its rounds are a minute apart.
        apart = POOLED if row is not None and row.type is SloType.LATENCY else NEXT
        recovering, words = control(rounds_before(measure, started, apart), better)
        return replace(proof, control=words, recovering=recovering)

    def _succeed(self, action: Action, proof: Verification, found: Indicator, now: float) -> None:
        reason = f"{proof.good_rounds} good rounds after the run: {found.reason}; {proof.control}"
        after = replace(proof, recovered_at=found.at)
        self.repair.settle(action, ActionState.SUCCEEDED, reason, verification=after)
        incident = self.records.incident(action.incident)
        if incident.state is IncidentState.RESOLVED:
            return
        if bad := self._still_bad(incident, proof, now):
            text = f"protected, not healed, by {action.id}: {found.reason}; still bad: {bad}"
            self.amend(incident, "incident.protected", {"action": action.id}, text=text)
            return
        how = f"{action.takes_back} was taken back" if action.takes_back else "healed"
        self.resolve(incident, f"{how} by {action.id}: {reason}")

    def _still_bad(self, incident: Incident, proof: Verification, now: float) -> str:
        """Why the incident's own row is not good yet, where something else was the proof; "" if it is."""
        row = self.judge.row(incident.slo) if incident.slo else None
        if row is None or (proof.slo == row.name and not proof.signal):
            return ""
        own = self.judge.indicator(row, incident.registry, now)
        return "" if own.ok and own.good else own.reason

    def _give_up(self, action: Action, proof: Verification, reason: str) -> None:
        incident = self.records.incident(action.incident)
        if self.repair.take_back(action, reason, proof):
            text = f"{reason}; {action.id} is taken back"
            self.amend(incident, "incident.undoing", {"action": action.id}, text=text)
            return
        self.repair.settle(action, ActionState.ESCALATED, reason, verification=proof, reason=reason)
        self.amend(incident, "incident.escalated", {"action": action.id}, text=f"escalated: {reason}")

    def _taken_back(self, action: Action, undo: Run) -> None:
        """The undo has ended (or not yet): rolled back, or a person is needed."""
        if undo.outcome is None:
            return
        done = undo.outcome == "successful"
        state = ActionState.ROLLED_BACK if done else ActionState.ESCALATED
        why = f"{undo.changed} change(s) taken back" if done else f"the undo {undo.outcome}: {undo.message}"
        reason = f"{action.reason}; {why}"
        self.repair.settle(action, state, reason, reason=reason)
        text = f"escalated, {'rolled back' if done else 'not rolled back'}: {reason}"
        incident = self.records.incident(action.incident)
        self.amend(incident, "incident.escalated", {"action": action.id}, text=text)


def row_measure(judge: Judge, row: SloRow, registry: str) -> Measure:
    """A row's indicator at a moment, on data measured after `since` where that is given."""
    return lambda now, since: judge.indicator(row, registry, now, since=since)


def signal_measure(samples: SampleStore, registry: str, proof: Verification) -> Measure:
    """A signal's newest samples (one a label set) at a moment, after `since`: good when all of them hold."""
    objective, name = Objective(proof.op, proof.value), proof.signal or ""

    def measure(now: float, since: float | None) -> Indicator:
        # latest() takes both ends in; a sample of the very moment in which the run ended proves nothing.
        start = now - SIGNAL_FRESH if since is None else since + 0.000001
        found = samples.latest(registry, name, start, now)
        if not found:
            return Indicator(None, f"{name} was not measured")
        good = all(objective.holds(sample.value) for sample in found)
        worst = max(found, key=lambda it: it.value if objective.op.startswith("<") else -it.value)
        reason = f"{name} is {worst.value:g}, wanted {objective.op} {objective.value:g}"
        at = max(sample.at for sample in found)
        return Indicator(good, reason, worst.value, good, at, None, len(found))

    return measure


def counted(proof: Verification, found: Indicator) -> Verification:
    """Consecutive good rounds, each counted once by the time that it was measured."""
    if found.ok is False or (found.ok and not found.good):
        return replace(proof, good_rounds=0)
    if found.ok and found.at is not None and (proof.last_round_at is None or found.at > proof.last_round_at):
        return replace(proof, good_rounds=proof.good_rounds + 1, last_round_at=found.at)
    return proof


def rounds_before(measure: Measure, started: float, apart: float = NEXT) -> list[Indicator]:
    """The last rounds measured before `started` (Unix seconds), the oldest first, at least `apart` seconds
    from one another."""
    found: list[Indicator] = []
    moment = started
    for _ in range(ROUNDS_BEFORE):
        it = measure(moment, None)
        if it.ok is None or it.at is None:
            break
        found.insert(0, it)
        moment = it.at - apart
    return found


def control(rounds: Sequence[Indicator], better: str) -> tuple[bool | None, str]:
    """Was it recovering before we acted? (yes, no or not known; in words). `better`: `<` or `>`, the way in
    which its value is good; values all alike are not getting better."""
    if not rounds:
        return None, "nothing was measured before the run, so nobody can tell whether it would have recovered"
    if rounds[-1].good:
        return True, "the last round before the run was good already: it may have recovered by itself"
    values = [it.value for it in rounds if it.value is not None]
    steps = [after - before for before, after in pairwise(values)]
    if len(steps) >= 2 and all(step < 0 if better == "<" else step > 0 for step in steps):
        shown = ", ".join(f"{value:.3g}" for value in values)
        return True, f"it was getting better before the run ({shown}): it may have recovered by itself"
    return False, f"the last {len(rounds)} round(s) before the run were bad and not getting better"
