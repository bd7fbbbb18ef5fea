"""Board `Pull latency`: how long do pulls take, how are they spread, and in which phase is the time?"""

from collections.abc import Sequence

from dashboards.sdk import Board, Shown
from dashboards.shared import (
    HALF,
    RATE,
    REGISTRY,
    THIRD,
    WHOLE,
    frame,
    heat,
    lines,
    mean,
    placed,
    quantile,
    rate,
    row_on,
)
from seawall.core.signals import (
    CLOCK_SKEW,
    MANIFEST_BUCKETS,
    MANIFEST_DURATION,
    PROBE_DURATION,
    REGISTRY_MANIFEST,
)
from seawall.core.slos import SloRow

UID = "seawall-pull-latency"
PHASES = f'{REGISTRY}, phase!="total"'
TOTAL = f'{REGISTRY}, phase="total"'


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Clients first, then the registry's own word, then the probe by phases."""
    about = "How long do pulls take, how are they spread, and in which phase is the time?"
    made = frame(UID, "Pull latency", about, console, "now-6h")
    made = placed(made, "Manifest requests of real clients", *_clients(row_on(rows, MANIFEST_DURATION)))
    own = "Every status code, our probe's requests too."
    made = placed(
        made,
        "As the registry timed them",
        heat("Manifest requests", REGISTRY_MANIFEST, REGISTRY, about=own),
        lines("P99", (quantile(REGISTRY_MANIFEST, REGISTRY, 0.99), "{{registry}}"), unit="s"),
    )
    return placed(made, "Synthetic pulls", *_probes())


def _clients(row: SloRow | None) -> list[Shown]:
    shares = [
        (quantile(MANIFEST_DURATION, REGISTRY, share), f"{{{{registry}}}} P{100 * share:g}")
        for share in sorted({0.5, 0.9, row.quantile if row else 0.99})
    ]
    count = rate(f"{MANIFEST_DURATION}_count", REGISTRY, "registry")
    panels: list[Shown] = [
        heat("Spread", MANIFEST_DURATION, REGISTRY),
        lines("Quantiles", *shares, unit="s", row=row),
        lines("Requests", (count, "{{registry}}"), unit="reqps"),
    ]
    if row and row.objective.value in MANIFEST_BUCKETS:  # only at a bucket's edge is the share exact
        edge = f'{REGISTRY}, le="{float(row.objective.value)}"'
        within = f"{rate(f'{MANIFEST_DURATION}_bucket', edge, 'registry')} / {count}"
        title = f"Share within {row.objective.value:g} s"
        panels.append(lines(title, (within, "{{registry}}"), unit="percentunit"))
    return panels


def _probes() -> tuple[Shown, ...]:
    by_phase = mean(PROBE_DURATION, PHASES, "registry, site, phase")
    slow = quantile(PROBE_DURATION, TOTAL, 0.9, "registry, site")
    skew = f"{CLOCK_SKEW}{{{REGISTRY}}}"
    verified = f"sum by (registry, result) (increase(seawall_digest_verifications_total{{{REGISTRY}}}{RATE}))"
    return (
        lines(
            "Mean by phase", (by_phase, "{{registry}} {{site}} {{phase}}"), unit="s", span=WHOLE, stacked=True
        ),
        heat("Spread of whole pulls", PROBE_DURATION, TOTAL),
        lines("P90 of whole pulls", (slow, "{{registry}} {{site}}"), unit="s", span=HALF),
        lines("Clock of the registry, ahead of ours", (skew, "{{registry}} {{site}}"), unit="s", span=THIRD),
        lines("Digests of pulled content", (verified, "{{registry}} {{result}}"), span=THIRD),
    )
