"""What another policy would have done, over actions that a real lifecycle has recorded."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from remediation.policy import Blast, Limit, Policy, Rule
from remediation.replay import recorded, replay
from seawall.cli import app
from seawall.core.actions import ActionState as S
from seawall.core.incidents import Finding
from seawall.core.times import rfc3339
from seawall.stores.sql import SqlRecords
from tests.fakes import T
from tests.unit.test_lifecycle import Bench


@pytest.fixture
def state(tmp_path):
    """act-1 was asked and ran after a minute; act-2, ten minutes later, was rejected."""
    records = SqlRecords(f"sqlite:{tmp_path / 'records.sqlite'}")
    bench = Bench(tmp_path / "runs", records=records)
    first = bench.awaiting()
    bench.clock.move(60)
    bench.cycle.approve(first.id, "ada", "yes")
    after = bench.until(first.id, S.VERIFYING)
    bench.cycle.settle(after, S.SUCCEEDED, "healed")
    bench.clock.move(3600)
    bench.runner.world = "exited"
    found = Finding("other", "x", "main", "availability", "down", "down", bench.clock.now())
    incident = bench.records.open_incident(found, "seawall")[0]
    [second] = bench.cycle.propose(incident)[0]
    bench.until(second.id, S.AWAITING_APPROVAL)
    bench.cycle.reject(second.id, "bob", "not now")
    yield tmp_path
    records.close()


def replayed(state, policy: Policy):
    records = SqlRecords(f"sqlite:{state / 'records.sqlite'}")
    try:
        return list(replay(recorded(records, T, T + 86400), policy))
    finally:
        records.close()


def test_the_same_policy_tells_what_happened(state):
    first, second = replayed(state, Policy())
    assert (first.was, first.waited, first.mode, first.would_run) == ("ask", 60.0, "ask", True)
    assert (second.was, second.mode, second.would_run) == ("ask", "ask", False)


def test_auto_would_not_have_waited_and_its_limit_counts_what_it_would_have_run(state):
    auto = Policy(rules=(Rule(mode="auto"),))
    assert [(it.would_run, it.would_wait) for it in replayed(state, auto)] == [(True, 0.0), (True, 0.0)]
    limited = auto.model_copy(update={"limits": (Limit(runs=1, per=7200.0),)})
    first, second = replayed(state, limited)
    assert first.blocked == () and second.blocked == ("limits",)
    assert (second.mode, second.would_run) == ("ask", False)


def test_observe_would_have_run_nothing(state):
    assert [it.would_run for it in replayed(state, Policy(default="observe"))] == [False, False]


def test_more_people_than_approved_then_would_not_have_run(state):
    first = replayed(state, Policy.model_validate({"approvers": {"low": 2, "medium": 2}}))[0]
    assert first.would_run is False


def test_who_was_never_asked_has_no_known_answer(state):
    records = SqlRecords(f"sqlite:{state / 'records.sqlite'}")
    action = records.action("act-1")
    records.close()
    by_policy = replace(action.approvals[0], by="policy")
    [told] = replay([replace(action, approvals=(by_policy,))], Policy())
    assert (told.was, told.mode, told.would_run) == ("auto", "ask", None)


def test_the_blast_radius_is_judged_on_the_recorded_preview(state):
    records = SqlRecords(f"sqlite:{state / 'records.sqlite'}")
    action = records.action("act-1")
    wide = replace(action, preview=replace(action.preview, hosts=("a", "b"), fleet=2))
    records.close()
    [told] = replay([wide], Policy(blast=Blast(share=0.5)))
    assert told.blocked == ("blast.share",) and told.would_run is False


def test_the_verb_prints_both_sides_and_wants_right_words(state):
    policy = state / "other.yaml"
    policy.write_text("rules:\n  - {mode: auto}\n")
    span = ["--from", rfc3339(T), "--to", rfc3339(T + 60), "--policy", str(policy), "--state", str(state)]
    done = CliRunner().invoke(app, ["replay", *span, "--json"], catch_exceptions=False)
    [item] = json.loads(done.stdout)["items"]
    assert done.exit_code == 0 and item["was"]["approved_by"] == ["ada"]
    assert item["was"]["waited"] == 60.0
    assert item["would"] == {
        "mode": "auto",
        "reason": "rule 1 says auto",
        "blocked_by": [],
        "run": True,
        "wait": 0.0,
    }
    plain = CliRunner().invoke(app, ["replay", *span], catch_exceptions=False)
    assert "act-1" in plain.stdout and plain.exit_code == 0
