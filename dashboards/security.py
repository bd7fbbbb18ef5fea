"""Board `Security`: who pulled what unsigned, what is vulnerable, what expires, who was refused?

Counts come from Prometheus; repositories, digests and clients never become labels, so that they are asked of
the events in Elasticsearch.
"""

from collections.abc import Sequence

from dashboards.events import most, newest, over_time
from dashboards.sdk import Board, Shown, dashboard
from dashboards.shared import (
    HALF,
    QUARTER,
    RATE,
    REGISTRY,
    THIRD,
    WHOLE,
    frame,
    lines,
    number,
    placed,
    row_on,
)
from seawall.core.pulls import DATASET
from seawall.core.signals import (
    CERTIFICATE_NOT_AFTER,
    DIGESTS,
    IMAGES_VULNERABLE,
    PULLS,
    PULLS_WAITING,
    ROBOT_EXPIRY,
)
from seawall.core.slos import SloRow

UID = "seawall-security"
UNSIGNED = f"event.dataset:{DATASET} AND seawall.signature:unsigned"
TOLD = ("registry.repository", "registry.reference", "user.name", "client.ip", "seawall.reason")
SOON: list[tuple[float | None, str]] = [(None, "red"), (7 * 86400, "orange"), (30 * 86400, "green")]


def board(rows: Sequence[SloRow], console: str) -> Board:
    """Signatures, then what scans and certificates tell, then log-ins and changes."""
    about = "Who pulled what without a good signature, what is vulnerable, what expires, who was refused?"
    made = frame(UID, "Security", about, console, "now-7d")
    made = made.with_variable(
        dashboard.DatasourceVariable("elasticsearch").label("Elasticsearch").type("elasticsearch")
    )
    made = placed(made, "Signatures", *_verdicts(row_on(rows, PULLS)))
    made = placed(made, "Pulls of unsigned images", *_unsigned())
    made = placed(made, "Scans, content, ends", *_content())
    return placed(made, "Who was refused, who changed what", *_access())


def _verdicts(row: SloRow | None) -> list[Shown]:
    pulled = f"sum by (registry, signature) (increase({PULLS}{{{REGISTRY}}}{RATE}))"
    panels: list[Shown] = [
        lines("Pulls by signature", (pulled, "{{registry}} {{signature}}"), span=HALF, stacked=True),
        lines("Waiting for a verdict", (f"{PULLS_WAITING}{{{REGISTRY}}}", "{{registry}}"), span=QUARTER),
    ]
    if row:
        value = f'seawall_slo_value{{{REGISTRY}, slo="{row.name}"}}'
        panels.insert(0, number(row.title, value, row=row))
    return panels


def _unsigned() -> tuple[Shown, ...]:
    return (
        over_time("By reason", UNSIGNED, "seawall.code"),
        most("Repositories", UNSIGNED, "registry.repository", QUARTER),
        most("Clients", UNSIGNED, "client.ip", QUARTER),
        newest("The newest", UNSIGNED, TOLD, WHOLE),
    )


def _content() -> tuple[Shown, ...]:
    images = f"{IMAGES_VULNERABLE}{{{REGISTRY}}}"
    wrong = f"sum by (registry, site, result) ({DIGESTS}{{{REGISTRY}}})"
    return (
        lines("Images by highest severity", (images, "{{registry}} {{severity}}"), span=THIRD, stacked=True),
        lines("Digests of pulled content", (wrong, "{{registry}} {{site}} {{result}}"), span=THIRD),
        number(
            "Certificate ends in",
            f"{CERTIFICATE_NOT_AFTER}{{{REGISTRY}}} - time()",
            unit="s",
            span=4,
            steps=SOON,
        ),
        number(
            "Next robot expires in", f"{ROBOT_EXPIRY}{{{REGISTRY}}} - time()", unit="s", span=4, steps=SOON
        ),
    )


def _access() -> tuple[Shown, ...]:
    refused = "http.response.status_code:(401 OR 403)"
    about = "A client without a token is answered 401 once before it logs in: look at who stands out."
    changed = "event.action:(push OR delete)"
    who = ("event.action", "user.name", "client.ip", "registry.repository", "registry.reference")
    return (
        over_time("Answers 401 and 403", refused, "http.response.status_code", about=about),
        most("Refused clients", refused, "client.ip", QUARTER),
        most("Who pushed and deleted", changed, "user.name", QUARTER),
        over_time("Pushes and deletions", changed, "event.action"),
        newest("The newest of them", changed, who, HALF),
    )
