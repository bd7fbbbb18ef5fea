"""The vulnerability state of images: each image counts once, under its highest severity.

Harbor's scan overview (goharbor/harbor src/pkg/scan/vuln/summary.go) and Trivy's report spell severities
differently; here they are lower case. An image without a finished scan is not known, and not counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collectors.events import Json, inner, text
from seawall.core.signals import IMAGES_VULNERABLE, Sample, labels

_COUNTS = (
    "seawall.vulnerabilities.critical",
    "seawall.vulnerabilities.high",
    "seawall.vulnerabilities.medium",
    "seawall.vulnerabilities.low",
    "seawall.vulnerabilities.negligible",
    "seawall.vulnerabilities.unknown",
)
SEVERITIES = tuple(name.rpartition(".")[2] for name in _COUNTS)  # the highest first
NONE = "none"


@dataclass(frozen=True, slots=True)
class Scan:
    """One finished scan. `counts` maps a severity to its number of vulnerabilities."""

    severity: str
    counts: Mapping[str, int]
    fixable: int | None = None
    scanner: str = ""
    report: str = ""

    def fields(self) -> dict[str, object]:
        """ECS `vulnerability.*`, and the counts as `seawall.vulnerabilities.*`."""
        found = zip(_COUNTS, map(self.counts.get, SEVERITIES), strict=True)
        return {
            "vulnerability.severity": self.severity,
            "vulnerability.scanner.vendor": self.scanner,
            "vulnerability.report_id": self.report,
            "seawall.vulnerabilities.total": sum(self.counts.values()),
            "seawall.vulnerabilities.fixable": self.fixable,
            **dict(found),
        }


def highest(counts: Mapping[str, int]) -> str:
    """The highest severity of which there is one; `none` of nothing."""
    return next((name for name in SEVERITIES if counts.get(name)), NONE)


def counted(given: Iterable[tuple[object, object]]) -> dict[str, int]:
    """(severity in any spelling, number) pairs summed; what is no severity counts as unknown."""
    counts: Counter[str] = Counter()
    for name, number in given:
        if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**31:
            lower = str(name).lower()
            counts[lower if lower in SEVERITIES else "unknown"] += number
    return dict(counts)


def read_overview(overview: Json) -> Scan | None:
    """Harbor's `scan_overview` (report type -> summary); None while no scan has ended well."""
    for report in overview.values():
        if not isinstance(report, dict) or text(report, "scan_status") != "Success":
            continue
        summary = inner(report, "summary")
        counts = counted(inner(summary, "summary").items())
        fixable = summary.get("fixable")
        told = text(report, "severity").lower()
        return Scan(
            severity=told if told in (*SEVERITIES, NONE) else highest(counts),
            counts=counts,
            fixable=fixable if isinstance(fixable, int) else None,
            scanner=text(inner(report, "scanner"), "name"),
            report=text(report, "report_id"),
        )
    return None


def gauge(registry: str, now: float, severities: Iterable[str]) -> list[Sample]:
    """seawall_images_vulnerable{severity} over the highest severity of each scanned image."""
    counts = Counter(severities)
    return [
        Sample(registry, IMAGES_VULNERABLE, now, float(counts[name]), labels(severity=name))
        for name in SEVERITIES
    ]
