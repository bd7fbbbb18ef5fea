"""Which of what is told is a client's pull of an image, and which source counts."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.harbor_audit import parse_entry
from collectors.harbor_webhooks import parse_harbor
from collectors.notifications import parse_distribution
from collectors.pulls.pushes import Pushes
from collectors.pulls.told import SILENCE, Excluded, Sources, read_told
from collectors.pulls.windows import SPAN, Windows
from seawall.config import Pulls
from seawall.core.pulls import Counted
from tests.pulling import T, told

GOLDEN = Path(__file__).parent.parent / "golden/reconstructed"
SHIPPED = Excluded(Pulls().exclude_agents, Pulls().exclude_users)


def read(**fields):
    return read_told(1, told("sha256:1", **fields))


def test_each_source_tells_what_and_by_whom():
    notice = parse_distribution((GOLDEN / "distribution-notification.json").read_bytes(), "main")[0]
    hook = json.loads((GOLDEN / "harbor-webhooks.json").read_text())["default"]
    hooks = [event for it in hook for event in parse_harbor(json.dumps(it).encode(), "main")]
    entry = json.loads((GOLDEN / "harbor-audit.json").read_text())["auditlog-exts"][0]
    for event in (notice, hooks[0], parse_entry(entry, "main", "auditlog-exts")):
        pull = read_told(7, event)
        assert pull and pull.position == 7 and not pull.push and pull.at == event.at
        assert pull.repository and pull.asked.startswith("sha256:") and (pull.user or pull.client)


@pytest.mark.parametrize(
    "fields",
    [
        {"http__response__status_code": 304},
        {"http__response__status_code": 404},
        {"event__outcome": "failure"},
        {"registry__repository": None},
        {"registry__digest": None, "registry__reference": None},
    ],
)
def test_what_gave_nothing_or_names_nothing_is_no_pull(fields):
    assert read(**fields) is None


def test_a_log_line_by_tag_is_asked_for_by_its_tag():
    pull = read(registry__digest=None, registry__reference="1.0", http__response__status_code=200)
    assert pull.asked == "1.0"


@pytest.mark.parametrize(
    ("fields", "excluded"),
    [
        ({"user_agent__original": "seawall-probe/0.1.0"}, True),
        ({"user_agent__original": "harbor-registry-client"}, True),
        ({"user_agent__original": "cosign/v2.2.0 (linux; amd64)"}, True),
        ({"user_agent__original": "Notation/1.1.0"}, True),
        ({"user_agent__original": "trivy/0.50"}, True),
        ({"user__name": "robot$library+Trivy-5a3f"}, True),
        ({"user__name": "robot$library+ci"}, False),
        ({"user_agent__original": "docker/27.0 cosign"}, False),
        ({"user_agent__original": None}, False),
    ],
)
def test_whose_pulls_are_left_out(fields, excluded):
    assert SHIPPED.holds(read(**fields)) is excluded


def test_our_own_are_left_out_whatever_is_configured():
    assert Excluded().holds(read(user_agent__original="seawall-probe/0.1.0"))
    assert not Excluded().holds(read(user_agent__original="cosign/2"))


@pytest.mark.parametrize("suffix", ["", ".sig", ".att", ".sbom"])
def test_a_signatures_tag_names_what_it_signs(suffix):
    hexed = "0f" * 32
    assert read(registry__reference=f"sha256-{hexed}{suffix}").signs == f"sha256:{hexed}"
    assert read(registry__reference=f"sha256-{hexed}{suffix}x").signs == ""


def test_the_best_source_counts_until_it_has_been_silent_for_ten_minutes():
    sources = Sources()
    notice, line = read(), read(event__dataset="distribution.app")
    sources.hear(line)
    assert sources.count(line)
    sources.hear(notice)
    assert sources.count(notice) and not sources.count(line)
    later = read_told(2, told("sha256:1", T + SILENCE + 1, event__dataset="distribution.app"))
    assert sources.count(later)
    assert not Sources(json.loads(json.dumps(sources.seen))).count(line)


def test_a_harbor_webhook_speaks_for_its_project_only():
    sources = Sources()
    sources.hear(read(event__dataset="harbor.webhook", registry__repository="one/app"))
    for repository, counts in (("one/other", False), ("two/app", True)):
        entry = read(event__dataset="harbor.audit", registry__repository=repository)
        assert sources.count(entry) is counts


def test_the_grace_of_a_push_is_reckoned_by_the_sources_clock():
    pushes = Pushes(120.0)
    pushes.add(read_told(5, told("sha256:1", T - 5000, push=True, tag="1.0")), now=T)
    assert pushes.grace_left("team/app", ("1.0",), T - 4970) == 90
    assert pushes.grace_left("team/app", ("sha256:1", "2.0"), T - 4880) == 0
    assert pushes.grace_left("team/app", ("sha256:1",), T - 5001) == 120
    assert pushes.grace_left("team/b", ("sha256:1",), T - 4970) == 0
    assert pushes.oldest == 5
    pushes.prune(T + 119)
    assert pushes.oldest == 5
    pushes.prune(T + 120)
    assert pushes.oldest is None


class Kept:
    """Counted pulls, as a store gives them back."""

    def __init__(self) -> None:
        self.kept: list[Counted] = []

    def load(self, start: float, end: float) -> list[Counted]:
        return [it for it in self.kept if start <= it.at < end]


def pull(at: float, client: str = "10.0.0.1") -> Counted:
    return Counted(at, "team/app", "sha256:1", "", client)


@pytest.mark.parametrize(("apart", "counted"), [(0.0, 1), (SPAN - 0.5, 1), (SPAN, 2), (-SPAN + 0.5, 1)])
def test_one_count_within_five_minutes_also_over_the_edge_of_a_span(apart, counted):
    for start in (T, T // SPAN * SPAN, T // SPAN * SPAN - 0.5):
        windows = Windows(Kept().load)
        assert sum(windows.take(pull(at)) for at in (start, start + apart)) == counted
        assert windows.take(pull(start, "10.0.0.2"))


@given(st.lists(st.floats(0, 3000), max_size=40), st.sets(st.integers(0, 40)))
def test_whatever_the_order_counts_are_five_minutes_apart_and_each_pull_is_near_one(times, restarts):
    kept = Kept()
    windows = Windows(kept.load)
    for number, at in enumerate(times):
        if number in restarts:
            windows = Windows(kept.load)
        if windows.take(pull(T + at)):
            kept.kept.append(pull(T + at))
        windows.forget(T + at)
    counted = sorted(it.at for it in kept.kept)
    assert all(b - a >= SPAN for a, b in pairwise(counted))
    assert all(any(abs(T + at - it) < SPAN for it in counted) for at in times)
