#!/usr/bin/env python3
"""May this image be deployed now? Only if its scan is clean and the registry keeps its promises.

    gate.py trivy.json --url https://seawall.example.com --registry main --image "$IMAGE"

Reads a report of `trivy image --format json` and asks a running Seawall (`seawall slo --json --url`, with the
token in $SEAWALL_TOKEN). Says each reason on a line. Exit 0: deploy; 1: do not; 2: misuse. What is unknown is
not ok: a row without data, a report of another image, a Seawall that does not answer all refuse.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
SECONDS = 60.0


class Misuse(Exception):
    """The gate cannot judge: a file or an option is wrong."""


def scanned(report: Any, image: str | None, severity: str, unfixed: bool) -> Iterator[str]:
    """Reasons against the deployment in Trivy's report (SchemaVersion 2). Misuse if it is none."""
    if not isinstance(report, dict) or report.get("SchemaVersion") != 2 or "ArtifactName" not in report:
        raise Misuse("the report is no JSON report of Trivy; make it with: trivy image --format json")
    about = report.get("Metadata")
    digests = about.get("RepoDigests") if isinstance(about, dict) else None
    names = {str(report["ArtifactName"]), *(map(str, digests) if isinstance(digests, list) else ())}
    if image and image not in names:
        yield f"the report is of {report['ArtifactName']}, not of {image}"
    worst = SEVERITIES.index(severity)
    for found in vulnerabilities(report):
        level, fixed = str(found.get("Severity")).upper(), found.get("FixedVersion")
        # A severity that Trivy did not have when this was written counts as the worst.
        known = SEVERITIES.index(level) if level in SEVERITIES else len(SEVERITIES)
        if known >= worst and (fixed or not unfixed):
            remedy = f"fixed in {fixed}" if fixed else "no fix yet"
            name = f"{found.get('PkgName')} {found.get('InstalledVersion')}"
            yield f"{found.get('VulnerabilityID')} ({level}) in {name}, {remedy}"


def vulnerabilities(report: dict[str, Any]) -> list[dict[str, Any]]:
    """All of them, of every target in the image. Misuse if the report has another form."""
    try:
        found = [one for result in report.get("Results") or () for one in result.get("Vulnerabilities") or ()]
    except (AttributeError, TypeError):
        found = [None]
    if not all(isinstance(one, dict) for one in found):
        raise Misuse("the report's Results are not as Trivy writes them; make it anew")
    return found


def judged(matrix: Any, wanted: list[str]) -> Iterator[str]:
    """Reasons against it in the answer of `seawall slo --json`; `wanted` are the rows that count, or all."""
    rows = [row for row in matrix["items"] if not wanted or row["name"] in wanted]
    if matrix["next"] is not None:
        yield "Seawall has more rows than one answer holds; name one registry with --registry"
    for name in sorted(set(wanted) - {row["name"] for row in rows}) if wanted else ():
        yield f"Seawall has no row {name} here"
    if not rows:
        yield "Seawall judges nothing here"
    for row in rows:
        said = f"{row['registry']}: {row['name']} is"
        if row["status"] in ("breached", "unknown"):
            yield f"{said} {row['status']}: {row['reason']}"
        elif row["indicator_ok"] is False:
            yield f"{said} {row['status']}, but its indicator is bad now: {row['reason']}"


def matrix(seawall: str, url: str, registry: str | None) -> Any:
    """What `seawall slo --json` says, or (str) why it says nothing. Misuse if it is called wrongly."""
    command = [seawall, "slo", "--json", "--url", url]
    command += ["--registry", registry] if registry else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except OSError as error:
        raise Misuse(f"{seawall}: {error.strerror}; use the image of Seawall for this job") from error
    except subprocess.TimeoutExpired:
        return f"Seawall at {url} did not answer within {SECONDS:.0f} s"
    if done.returncode == 2:
        raise Misuse(done.stderr.strip())
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return f"Seawall could not be asked: {done.stderr.strip()}"


def read(path: Path) -> Any:
    """The report. Misuse if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misuse(f"{path}: {error}") from error


def reasons(told: argparse.Namespace) -> Iterator[str]:
    """Everything that speaks against the deployment."""
    yield from scanned(read(told.report), told.image, told.severity, told.ignore_unfixed)
    answer = matrix(told.seawall, told.url, told.registry)
    yield from [answer] if isinstance(answer, str) else judged(answer, told.row)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path, help="trivy's JSON report")
    parser.add_argument("--url", required=True, help="Seawall's, with an API token in $SEAWALL_TOKEN")
    parser.add_argument("--image", help="refuse a report of another image than this name or digest")
    parser.add_argument("--registry", help="only this registry's rows")
    parser.add_argument("--row", action="append", default=[], help="only this row; may be repeated")
    parser.add_argument("--severity", choices=SEVERITIES, default="HIGH", help="refuse from here on")
    parser.add_argument("--ignore-unfixed", action="store_true", help="let pass what has no fix yet")
    parser.add_argument("--seawall", default="seawall", help="the program")
    try:
        against = list(reasons(parser.parse_args()))
    except Misuse as error:
        sys.stderr.write(f"gate: {error}\n")
        return 2
    sys.stdout.write("".join(f"refused: {one}\n" for one in against) or "passed\n")
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
