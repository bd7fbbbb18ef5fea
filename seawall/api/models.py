"""The typed answers of the API: what /api/openapi.json says, and what every answer is held against.

Times are RFC 3339 UTC, durations seconds, ratios 0 to 1. A field that a part adds is passed on.
"""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Answer(BaseModel):
    """Fields that are not named here pass through."""

    model_config = ConfigDict(extra="allow")


class Page(BaseModel, Generic[T]):
    """A list's envelope; `next` is the cursor of the page after, null at the end."""

    items: list[T]
    next: str | None = Field(default=None, examples=["42"])


class Problem(Answer):
    """An error (RFC 9457, application/problem+json)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no incident inc-99"])


class Span(Answer):
    """From a time to a time."""

    start: str = Field(examples=["2026-11-01T00:00:00Z"])
    end: str = Field(examples=["2026-12-01T00:00:00Z"])


class SloRow(Answer):
    """A judged row of the matrix."""

    name: str = Field(examples=["availability"])
    registry: str = Field(examples=["main"])
    status: Literal["ok", "at_risk", "breached", "unknown"]
    indicator_ok: bool | None
    value: float | None
    unit: str = Field(examples=["s"])
    threshold: float = Field(examples=[300.0])
    window: Span
    samples: int
    budget_remaining_ratio: float | None
    burn_rate: float | None
    breach_probability: float | None
    reason: str
    at: str = Field(examples=["2026-11-24T03:00:00Z"])


class Trend(Span):
    """A row's newest value in each hour of a day."""

    name: str
    registry: str
    values: list[float | None]


class Band(Answer):
    """What a model expected, and its score."""

    model: str = Field(examples=["seasonal"])
    expected: float | None
    lower: float | None
    upper: float | None
    score: float | None
    silent: str


class Verdict(Answer):
    """What the gate found of the LSTM for a signal."""

    passed: bool
    reason: str
    version: str
    at: str
    samples: int
    losses: dict[str, float | None]
    bounds: dict[str, float | None]
    alerts: int
    allowed: int


class Signal(Band):
    """The models' newest word on a signal."""

    registry: str
    signal: str = Field(examples=["slo:pull_latency"])
    at: str
    observed: float | None
    shadow: Band | None
    gate: Verdict | None


class AnomalyPart(Answer):
    """A signal that was unusual at the same time."""

    signal: str
    score: float


class Anomaly(Answer):
    """An unusual episode of a signal."""

    registry: str
    signal: str
    model: str
    since: str
    until: str | None
    at: str
    observed: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    score: float
    channel: str
    parts: list[AnomalyPart]
    similar: list[str]
    promise: str
    text: str


class Crossing(Answer):
    """When a threshold is expected to be crossed."""

    expected: str | None
    earliest: str | None
    latest: str | None


class Forecast(Answer):
    """How likely a row is breached within its horizon."""

    slo: str
    registry: str
    at: str
    horizon: float
    probability: float | None
    at_risk: bool
    since: str | None
    crossing: Crossing
    model: str
    reason: str


class Impact(Answer):
    """Who was hurt."""

    failed_pulls: int
    repositories: int
    clients: int


class Incident(Answer):
    """What is, or was, wrong."""

    id: str = Field(examples=["inc-1"])
    state: Literal["open", "acknowledged", "resolved"]
    severity: Literal["page", "ticket"]
    registry: str
    slo: str | None = Field(examples=["availability"])
    title: str = Field(examples=["main is unavailable"])
    explanation: str
    impact: Impact
    opened_at: str = Field(examples=["2026-11-24T03:00:00Z"])
    acknowledged_by: str | None
    resolved_at: str | None
    causes: list[str]
    actions: list[str] = Field(examples=[["act-1"]])


class StoryLine(Answer):
    """A line of a story."""

    at: str
    actor: str
    text: str


class Preview(Answer):
    """What a repair would change; an approval binds its digest."""

    digest: str
    diff: str
    not_previewable: list[str]
    manual: str


class Approval(Answer):
    """Somebody's consent."""

    by: str
    at: str
    until: str
    digest: str
    reason: str


class Run(Answer):
    """A run of a playbook."""

    id: str
    started_at: str
    ended_at: str | None
    outcome: str | None
    changed: int | None
    check_first_task_at: str | None
    first_task_at: str | None
    first_change_at: str | None
    message: str


class Verification(Answer):
    """Did it help."""

    slo: str
    until: str
    good_rounds: int
    needed_rounds: int
    recovered_at: str | None
    signal: str | None
    control: str
    recovering: bool | None
    undo: Run | None


class Action(Answer):
    """A proposed repair."""

    id: str = Field(examples=["act-1"])
    incident: str = Field(examples=["inc-1"])
    playbook: str = Field(examples=["restart-registry"])
    registry: str
    state: str = Field(examples=["awaiting_approval"])
    risk: Literal["low", "medium", "high"]
    requested_by: str
    preview: Preview | None
    approvals: list[Approval]
    run: Run | None
    verification: Verification | None


class OutputLine(Answer):
    """A line that a run's worker said."""

    cursor: str
    at: str
    phase: str
    text: str


class Statistics(Answer):
    """What came of a playbook before; `median_recovery` is seconds."""

    runs: int
    succeeded: int
    recovering: int
    rolled_back: int
    success_rate: float | None
    median_recovery: float | None
    text: str


class Briefing(Answer):
    """What to know before approving."""

    hosts: list[str]
    fleet: int
    share: float
    risk: str
    declared_risk: str
    risk_reason: str
    takes_back: str | None
    statistics: Statistics


class Freeze(Answer):
    """The freeze switch."""

    frozen: bool
    by: str


class Playbook(Answer):
    """A playbook of the catalogue, or a broken one with its `fault`."""

    name: str = Field(examples=["restart-registry"])


class Event(Answer):
    """A flat ECS document; docs/signals.md lists the fields."""

    timestamp: str = Field(alias="@timestamp", examples=["2026-11-24T03:00:00Z"])
    id: str = Field(alias="event.id")
    registry: str = Field(alias="registry.name")


class ImageName(Answer):
    """A repository, or a tag of it and what it names."""

    registry: str = Field(examples=["main"])
    repository: str = Field(examples=["team/app"])
    tag: str | None = Field(examples=["1.0"])
    digest: str | None


class ImagePlan(Answer):
    """An image and what goes with it; `bytes` is what garbage collection frees at most."""

    registry: str = Field(examples=["main"])
    repository: str = Field(examples=["team/app"])
    digest: str
    media_type: str
    tags: list[str] = Field(examples=[["1.0", "latest"]])
    children: list[str]
    kept_children: list[str]
    bytes: int
    note: str
    deleted: bool


class Report(Answer):
    """How the promises were kept in a month; docs/reports.md lists the fields."""

    month: str = Field(examples=["2026-10"])
    start: str
    end: str
    until: str
    rows: list[dict[str, Any]]
    incidents: list[dict[str, Any]]


class Compliance(Answer):
    """A month for an auditor; docs/reports.md lists the fields."""

    month: str = Field(examples=["2026-10"])
    start: str
    end: str
    until: str
    audit: dict[str, Any]
    actions: list[dict[str, Any]]
    pulls: list[dict[str, Any]]
    deletions: list[dict[str, Any]]
    cut: bool
    accounts: list[dict[str, Any]]
    failed_logins: list[dict[str, Any]]
    changes: list[dict[str, Any]]


class Taken(Answer):
    """A delivery that was committed."""

    events: int


class TakenAlerts(Answer):
    """Alerts that were committed, and the incidents they are in."""

    incidents: list[str]


class Health(Answer):
    """`ok`, or `late`."""

    status: Literal["ok", "late"]
