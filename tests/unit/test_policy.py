"""The policy as data: who decides when, and what stands in a run's way."""

from datetime import UTC, datetime

import pytest

from remediation.policy import Blast, Limit, Policy, Rule, Window, load_policy
from remediation.policy_hours import Hours
from remediation.policy_limits import Ran, Subject, blocks
from seawall.core.actions import Risk
from seawall.core.errors import InputError

IT = Subject("act-9", "restart-registry", "main")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-03-04 12:00")  # a Wednesday


def rules(found) -> list[str]:
    return [block.rule for block in found]


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-03-04 07:59", False),  # Wednesday, 08:59 in Berlin
        ("2026-03-04 08:00", True),
        ("2026-03-04 15:59", True),
        ("2026-03-04 16:00", False),
        ("2026-03-07 12:00", False),  # Saturday
        ("2026-07-01 07:00", True),  # summer time
    ],
)
def test_hours_are_of_days_and_of_a_time_zone(moment, inside):
    hours = Hours(days=("mon", "tue", "wed", "thu", "fri"), start="09:00", to="17:00", zone="Europe/Berlin")
    assert hours.hold(at(moment)) is inside


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-03-06 21:59", False),
        ("2026-03-06 22:00", True),  # Friday
        ("2026-03-07 05:59", True),  # Saturday, still Friday's night
        ("2026-03-07 06:00", False),
        ("2026-03-07 23:00", False),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_began(moment, inside):
    assert Hours(days=("fri",), start="22:00", to="06:00").hold(at(moment)) is inside


def test_the_first_rule_that_fits_decides_and_names_itself():
    night = Hours(start="22:00", to="06:00")
    policy = Policy(rules=(Rule(mode="auto", playbook="restart-*", hours=night), Rule(mode="observe")))
    late = at("2026-03-04 23:00")
    assert policy.decide("restart-registry", "main", Risk.LOW, late) == (
        "auto",
        "rule 1 says auto (every day 22:00-06:00 UTC)",
    )
    assert policy.decide("restart-registry", "main", Risk.LOW, NOON) == ("observe", "rule 2 says observe")
    assert policy.decide("restart-registry", "main", Risk.HIGH, late)[0] == "ask"


def test_a_limit_counts_only_what_it_names_and_only_within_its_time():
    policy = Policy(limits=(Limit(runs=2, per="1h", registry="main"),))
    past = [
        Ran("act-1", "collect-garbage", "main", NOON - 3599, NOON - 3500),
        Ran("act-2", "restart-registry", "spare", NOON - 60, NOON - 50),
        Ran("act-3", "restart-registry", "main", NOON - 3600, NOON - 3590),
    ]
    assert blocks(policy, IT, past, NOON) == []
    [block] = blocks(policy, IT, [*past, Ran("act-4", "x", "main", NOON - 1, NOON)], NOON)
    assert (block.rule, block.passing) == ("limits", False)


def test_the_policys_cooldown_is_of_this_playbook_on_this_registry():
    policy = Policy(cooldown="30m")
    assert rules(
        blocks(policy, IT, [Ran("a", "restart-registry", "main", NOON - 1900, NOON - 1799)], NOON)
    ) == ["cooldown"]
    assert blocks(policy, IT, [Ran("a", "restart-registry", "main", NOON - 1900, NOON - 1800)], NOON) == []
    assert blocks(policy, IT, [Ran("a", "restart-registry", "spare", NOON - 9, NOON - 8)], NOON) == []


def test_the_blast_radius_is_hosts_and_their_share():
    wide = Subject("act-9", "restart-registry", "main", hosts=3, fleet=4)
    policy = Policy(blast=Blast(hosts=2, share=0.5))
    assert rules(blocks(policy, wide, [], NOON)) == ["blast.hosts", "blast.share"]
    assert blocks(policy, Subject("act-9", "restart-registry", "main", hosts=2, fleet=4), [], NOON) == []


def test_one_run_at_a_time_on_a_registry():
    going = Ran("act-1", "collect-garbage", "main", NOON - 60)
    assert [(it.rule, it.passing) for it in blocks(Policy(), IT, [going], NOON)] == [("lock", True)]
    ended = Ran("act-1", "collect-garbage", "main", NOON - 60, NOON - 5, proving=True)
    assert blocks(Policy(), IT, [ended], NOON) == []


@pytest.mark.parametrize(
    "other", [Ran("act-1", "x", "spare", NOON - 9), Ran("act-1", "x", "spare", 1, 2, True)]
)
def test_never_two_replicas_of_a_group_at_once(other):
    policy = Policy(groups={"pair": ("main", "spare")})
    assert [(it.rule, it.passing) for it in blocks(policy, IT, [other], NOON)] == [("groups", True)]
    assert blocks(Policy(groups={"pair": ("main", "third")}), IT, [other], NOON) == []


def test_nothing_runs_in_a_window():
    policy = Policy(windows=(Window(name="release", registry="ma*", hours=Hours(start="11:00", to="13:00")),))
    assert rules(blocks(policy, IT, [], NOON)) == ["windows"]
    assert blocks(policy, IT, [], NOON + 3600) == []
    assert blocks(policy, Subject("act-9", "restart-registry", "spare"), [], NOON) == []


def test_the_shipped_policy_asks_and_bounds_what_runs():
    policy = load_policy()
    assert policy.decide("restart-registry", "main", Risk.LOW, NOON)[0] == "ask"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules:\n  - {mode: auto, hours: {zone: Mars/Olympus}}\n", "no time zone"),
        ("windows:\n  - {name: x, hours: {from: '25:00'}}\n", "from"),
        ("limits:\n  - {runs: 0}\n", "runs"),
        ("silences: true\n", "silences"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(tmp_path, text, told):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        load_policy(path)
    assert "policy.yaml" in str(caught.value)
