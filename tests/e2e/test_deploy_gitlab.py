"""The gate of the GitLab example: a real Seawall judges, Trivy's reports speak for and against."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Up, until

ROOT = Path(__file__).parents[2]
GITLAB = ROOT / "deploy" / "gitlab"
SAMPLE = json.loads((ROOT / "tests/golden/reconstructed/trivy-report.json").read_text())
SLOS = """slos:
  - {name: roomy, title: Disk, type: level, signal: seawall_storage_used_ratio, window: 5m, indicator: 5m,
     objective: {op: "<=", value: 1.0}, alert: Roomy}
  - {name: full, title: Disk, type: level, signal: seawall_storage_used_ratio, window: 5m, indicator: 5m,
     objective: {op: "<=", value: 0.000001}, alert: Full}
  - {name: silent, title: Inodes, type: level, signal: seawall_certificate_not_after_timestamp_seconds,
     window: 5m, indicator: 5m, objective: {op: ">=", value: 1}, alert: Silent}
"""
pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def seawall(tmp_path_factory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("gate")
    (folder / "slos.yaml").write_text(SLOS)
    config = {
        "registries": [{"name": "main", "url": "http://127.0.0.1:9"}],
        "storage": [{"registry": "main", "path": str(folder)}],
        "slos": str(folder / "slos.yaml"),
        "probe": {"interval": "1s", "timeout": "900ms"},
    }
    running = Up(folder, config).start()
    until(
        lambda: {row["status"] for row in rows(running)} == {"ok", "breached", "unknown"}, 60, "a judgement"
    )
    yield running
    running.stop()


def rows(seawall: Up) -> list[dict]:
    return seawall.get("/slos")["items"]


def report(folder: Path, *severities: str, fixed: str = "1.2") -> Path:
    """A report of the sample's image with these vulnerabilities."""
    kinds = {"VulnerabilityID": "CVE-1", "PkgName": "libc6", "InstalledVersion": "1.1", "FixedVersion": fixed}
    found = [{**kinds, "Severity": severity} for severity in severities]
    path = folder / "trivy.json"
    path.write_text(json.dumps({**SAMPLE, "Results": [{"Target": "debian", "Vulnerabilities": found}]}))
    return path


def gate(path: Path, seawall: Up | None, *options: str, token: str | None = None):
    program = Path(sys.executable).parent / "seawall"
    url = seawall.url if seawall else "http://127.0.0.1:9"
    told = [sys.executable, GITLAB / "gate.py", path, "--seawall", program, "--url", url, *options]
    env = {"SEAWALL_TOKEN": token or (seawall.person("ci", "viewer") if seawall else "sw_x")}
    return subprocess.run(told, capture_output=True, text=True, timeout=90, env=env)


@pytest.fixture(scope="module")
def token(seawall: Up) -> str:
    """A viewer's: the least that reads the matrix."""
    return seawall.person("pipeline", "viewer")


def test_a_clean_image_and_a_kept_promise_pass(seawall, token, tmp_path):
    done = gate(report(tmp_path, "LOW", "MEDIUM"), seawall, "--row", "roomy", token=token)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")


@pytest.mark.parametrize("severity", ["HIGH", "CRITICAL", "APOCALYPTIC"])
def test_a_vulnerable_image_is_refused(seawall, token, tmp_path, severity):
    done = gate(report(tmp_path, "LOW", severity), seawall, "--row", "roomy", token=token)
    assert done.returncode == 1
    assert done.stdout == f"refused: CVE-1 ({severity}) in libc6 1.1, fixed in 1.2\n"


def test_severity_and_fixes_are_the_callers_choice(seawall, token, tmp_path):
    strict = gate(report(tmp_path, "LOW"), seawall, "--row", "roomy", "--severity", "LOW", token=token)
    assert strict.returncode == 1
    unfixed = report(tmp_path, "CRITICAL", fixed="")
    assert "no fix yet" in gate(unfixed, seawall, "--row", "roomy", token=token).stdout
    assert gate(unfixed, seawall, "--row", "roomy", "--ignore-unfixed", token=token).returncode == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--row", "full"), "main: full is breached"),
        (("--row", "silent"), "main: silent is unknown"),
        ((), "main: full is breached"),
        (("--row", "roomy", "--row", "nosuch"), "Seawall has no row nosuch here"),
    ],
)
def test_a_promise_that_is_not_known_to_be_kept_refuses(seawall, token, tmp_path, options, told):
    done = gate(report(tmp_path), seawall, *options, token=token)
    assert done.returncode == 1 and f"refused: {told}" in done.stdout


def test_the_report_must_be_of_the_image(seawall, token, tmp_path):
    path = report(tmp_path)
    for name in (SAMPLE["ArtifactName"], *SAMPLE["Metadata"]["RepoDigests"]):
        assert gate(path, seawall, "--row", "roomy", "--image", name, token=token).returncode == 0
    other = gate(path, seawall, "--row", "roomy", "--image", "other:1", token=token)
    assert other.returncode == 1 and "not of other:1" in other.stdout


def test_a_seawall_that_says_nothing_refuses(seawall, tmp_path):
    away = gate(report(tmp_path), None)
    assert away.returncode == 1 and "could not be asked" in away.stdout


def test_a_refused_token_and_an_unknown_registry_are_misuse(seawall, token, tmp_path):
    stranger = gate(report(tmp_path), seawall, token="sw_wrong")
    assert stranger.returncode == 2 and "refused this token" in stranger.stderr
    elsewhere = gate(report(tmp_path), seawall, "--registry", "other", token=token)
    assert elsewhere.returncode == 2 and "no registry other; known: main" in elsewhere.stderr


@pytest.mark.parametrize("text", ["", "{}", '{"SchemaVersion": 2, "ArtifactName": "x", "Results": [1]}'])
def test_what_is_no_report_is_misuse(seawall, token, tmp_path, text):
    path = tmp_path / "trivy.json"
    path.write_text(text)
    done = gate(path, seawall, token=token)
    assert done.returncode == 2 and done.stderr.startswith("gate: ") and "Traceback" not in done.stderr


def test_the_pipeline_fits_gitlabs_schema():
    check = [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    told = [*check, "--data-transform", "gitlab-ci", GITLAB / ".gitlab-ci.yml"]
    done = subprocess.run(told, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
