"""Board `Registry golden signals`: latency, traffic, errors and saturation of each registry, on one page."""

from collections.abc import Sequence

from dashboards.sdk import Board, Shown
from dashboards.shared import (
    HALF,
    QUARTER,
    REGISTRY,
    THIRD,
    frame,
    lines,
    mean,
    placed,
    quantile,
    rate,
    row_on,
)
from dashboards.states import UP, over_time
from seawall.core.signals import (
    COMPONENT_DURATION,
    COMPONENT_UP,
    IN_FLIGHT,
    MANIFEST_DURATION,
    PROBE_SUCCESS,
    REQUESTS,
    STORAGE_USED_RATIO,
)
from seawall.core.slos import SloRow

UID = "seawall-golden-signals"
ALL = rate(REQUESTS, REGISTRY, "registry")
FAILED = rate(REQUESTS, f'{REGISTRY}, code=~"5.."', "registry")


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Four rows of panels, one a signal, and what clients and components say of being up."""
    about = "Latency, traffic, errors and saturation of each registry."
    made = frame(UID, "Registry golden signals", about, console, "now-6h")
    made = placed(made, "Is it there?", *_up())
    made = placed(made, "Latency", *_latency(rows))
    made = placed(made, "Traffic and errors", *_traffic())
    return placed(made, "Saturation", *_saturation(rows))


def _up() -> tuple[Shown, ...]:
    probes = f"min by (registry, site) ({PROBE_SUCCESS}{{{REGISTRY}}})"
    components = f"{COMPONENT_UP}{{{REGISTRY}}}"
    return (
        over_time("Synthetic pulls", probes, "{{registry}} from {{site}}", HALF, UP),
        over_time("Components (Harbor)", components, "{{registry}} {{component}}", HALF, UP),
    )


def _latency(rows: Sequence[SloRow]) -> tuple[Shown, ...]:
    shares = [
        (quantile(MANIFEST_DURATION, REGISTRY, it), f"{{{{registry}}}} P{100 * it:.0f}") for it in (0.5, 0.99)
    ]
    own = f"{COMPONENT_DURATION}{{{REGISTRY}}}"
    legend = "{{registry}} {{component}} {{operation}} {{quantile}}"
    about = "Each component's own quantiles, which cannot be pooled."
    return (
        lines("Manifests of real clients", *shares, unit="s", row=row_on(rows, MANIFEST_DURATION)),
        lines("Components (Harbor)", (own, legend), unit="s", about=about),
    )


def _traffic() -> tuple[Shown, ...]:
    by_handler = rate(REQUESTS, REGISTRY, "registry, handler")
    by_code = rate(REQUESTS, REGISTRY, "registry, code")
    failed = f"({FAILED} or 0 * {ALL}) / ({ALL} > 0)"
    return (
        lines("Requests by handler", (by_handler, "{{registry}} {{handler}}"), unit="reqps", span=THIRD),
        lines("Answers by code", (by_code, "{{registry}} {{code}}"), unit="reqps", span=THIRD),
        lines("Share of 5xx answers", (failed, "{{registry}}"), unit="percentunit", span=THIRD),
    )


def _saturation(rows: Sequence[SloRow]) -> tuple[Shown, ...]:
    flying = f"sum by (registry) ({IN_FLIGHT}{{{REGISTRY}}})"
    used = f"{STORAGE_USED_RATIO}{{{REGISTRY}}}"
    driver = mean("seawall_storage_action_seconds", REGISTRY, "registry, action")
    row = row_on(rows, STORAGE_USED_RATIO)
    return (
        lines("Requests in flight", (flying, "{{registry}}"), span=QUARTER),
        lines("Disk used", (used, "{{registry}} {{volume}}"), unit="percentunit", span=QUARTER, row=row),
        lines("Time in the storage driver", (driver, "{{registry}} {{action}}"), unit="s"),
    )
