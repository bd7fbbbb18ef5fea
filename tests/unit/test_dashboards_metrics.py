"""The series that only boards ask for: what was expected, what waits, how long until all was well again."""

from dataclasses import replace

import pytest

from seawall.core.actions import Action, ActionState, Risk, Verification
from seawall.core.incidents import Finding
from seawall.core.ports import Score
from seawall.stores.sql import SqlRecords
from seawall.telemetry import Telemetry

T = 1_790_000_000.0


@pytest.fixture
def records():
    made = SqlRecords("memory:")
    yield made
    made.close()


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def said(telemetry: Telemetry, silent: str) -> dict[str, float | None]:
    telemetry.scored("main", {"x": Score(1.0, 0.5, 1.5, 0.1, silent)}, {"x": 1.25}, T)
    return {
        bound: value(telemetry, "seawall_anomaly_expected", registry="main", signal="x", bound=bound)
        for bound in ("low", "likely", "high")
    }


def test_a_silent_model_expects_nothing_and_what_was_observed_stays(records):
    telemetry = Telemetry(records)
    assert set(said(telemetry, "learning").values()) == {None}
    assert said(telemetry, "") == {"low": 0.5, "likely": 1.0, "high": 1.5}
    assert set(said(telemetry, "missing").values()) == {None}
    assert value(telemetry, "seawall_anomaly_observed", registry="main", signal="x") == 1.25


def healing(records: SqlRecords) -> Action:
    finding = Finding("seawall", "f", "main", "availability", "down", "it is down", T)
    incident, _ = records.open_incident(finding, "seawall")
    proposed = Action(
        id="", incident=incident.id, playbook="restart", registry="main", state=ActionState.PROPOSED,
        risk=Risk.LOW, requested_by="seawall", inputs={}, created_at=T,
    )  # fmt: skip
    action = records.propose_action(proposed, "seawall")
    assert action is not None
    return action


def test_what_has_not_ended_is_counted_by_its_state(records):
    telemetry = Telemetry(records)
    telemetry.count_incidents()
    assert value(telemetry, "seawall_actions", state="proposed") == 0
    healing(records)
    telemetry.count_incidents()
    assert value(telemetry, "seawall_actions", state="proposed") == 1
    assert value(telemetry, "seawall_actions", state="succeeded") is None


def test_the_time_to_recover_runs_from_the_incident_to_the_proof(records):
    telemetry, action = Telemetry(records), healing(records)
    proof = Verification("availability", T + 300, recovered_at=T + 42)
    telemetry.action(replace(action, state=ActionState.VERIFYING, verification=proof))
    assert value(telemetry, "seawall_recovery_seconds_count") == 0
    telemetry.action(replace(action, state=ActionState.ESCALATED, verification=proof))
    telemetry.action(replace(action, state=ActionState.SUCCEEDED, verification=proof, takes_back="act-0"))
    assert value(telemetry, "seawall_recovery_seconds_count") == 0, "neither healed anything"
    telemetry.action(replace(action, state=ActionState.SUCCEEDED, verification=proof))
    assert value(telemetry, "seawall_recovery_seconds_count") == 1
    assert value(telemetry, "seawall_recovery_seconds_sum") == 42
