"""What sources tell of pulls and pushes, and which of it is a client's pull of an image.

Of a registry the best source counts (`seawall.core.pulls.SOURCES`): what a worse one tells counts only while
no better one has told anything for ten minutes, in Harbor's webhooks of that project.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from seawall.core.pulls import SOURCES
from seawall.core.signals import EXCLUDED_USER_AGENTS, Event

SILENCE = 600.0  # seconds without a word of a source until the next best one counts
_MOST_SCOPES = 4096
_RANK = {dataset: rank for rank, dataset in enumerate(SOURCES)}
_WEBHOOK = "harbor.webhook"
# cosign's signatures, attestations and SBOMs, and the tag that stands in for the referrers route.
_ARTIFACT_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?")


@dataclass(frozen=True, slots=True)
class Told:
    """A pull or a push of a manifest. `at` is the source's clock; what was not told is ""."""

    position: int
    at: float
    push: bool
    dataset: str
    repository: str
    reference: str
    digest: str
    user: str
    client: str
    agent: str

    @property
    def asked(self) -> str:
        """How to ask the registry for it: the digest, else the tag."""
        return self.digest or self.reference

    @property
    def signs(self) -> str:
        """The digest that a signature's tag names; "" if it is no such tag."""
        match = _ARTIFACT_TAG.fullmatch(self.reference)
        return f"sha256:{match[1]}" if match else ""


@dataclass(frozen=True, slots=True)
class Excluded:
    """Whose pulls do not count: user agents by their beginning, user names by pattern (`*`, `?`)."""

    agents: Sequence[str] = ()
    users: Sequence[str] = ()

    def holds(self, told: Told) -> bool:
        """Is this pull one of theirs?"""
        agent = told.agent.lower()
        named = (*EXCLUDED_USER_AGENTS, *self.agents)
        return agent.startswith(tuple(it.lower() for it in named)) or any(
            fnmatchcase(told.user, pattern) for pattern in self.users
        )


def read_told(position: int, event: Event) -> Told | None:
    """What an event tells; None if nothing was given, or it is not known of what."""
    fields = event.fields
    if fields.get("http.response.status_code", 200) not in (200, 201):
        return None  # 304 gives nothing, 404 neither
    if fields.get("event.outcome") == "failure":
        return None

    def text(key: str) -> str:
        return str(fields.get(key) or "")

    told = Told(
        position,
        event.at,
        fields.get("event.action") == "push",
        text("event.dataset"),
        text("registry.repository"),
        text("registry.reference"),
        text("registry.digest"),
        text("user.name"),
        text("client.ip") or text("client.address"),
        text("user_agent.original"),
    )
    return told if told.repository and told.asked else None


class Sources:
    """Which sources have told something, and when last (the source's clock)."""

    def __init__(self, seen: Mapping[str, float] | None = None) -> None:
        self.seen = dict(seen or {})

    def hear(self, told: Told) -> None:
        """A source has told something."""
        name = _scope(told.dataset, told.repository)
        if name in self.seen or len(self.seen) < _MOST_SCOPES:
            self.seen[name] = max(told.at, self.seen.get(name, 0.0))

    def count(self, told: Told) -> bool:
        """Is there no better source that tells of this pull too?"""
        better = SOURCES[: _RANK[told.dataset]]
        return all(
            abs(self.seen.get(_scope(dataset, told.repository), float("-inf")) - told.at) > SILENCE
            for dataset in better
        )


def _scope(dataset: str, repository: str) -> str:
    return f"{dataset}/{repository.partition('/')[0]}" if dataset == _WEBHOOK else dataset
