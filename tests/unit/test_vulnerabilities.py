"""The vulnerability state: Harbor's scan overviews, and Trivy's reports in a folder."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import harbor_scans
from collectors.harbor_client import HarborClient
from collectors.harbor_scans import HarborScans
from collectors.trivy import TrivyReports, parse_report
from collectors.vulnerabilities import read_overview
from seawall.core.errors import InputError, SeawallError
from tests.harbor import LOGIN, HarborStand

NOW = 1_790_000_000.0
REPORT = json.loads((Path(__file__).parent.parent / "golden/reconstructed/trivy-report.json").read_text())


def gauge(batch) -> dict[str, float]:
    """Severity -> images, where there are any."""
    return {dict(s.labels)["severity"]: s.value for s in batch.samples if s.value}


def overview(severity: str, status: str = "Success", **summary: int) -> dict:
    counts = {"total": sum(summary.values()), "fixable": 0, "summary": summary}
    return {"application/x": {"scan_status": status, "severity": severity, "summary": counts}}


# Harbor's scan overviews -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        (overview("Critical", Critical=1), "critical"),
        (overview("None"), "none"),
        (overview("", High=2, Low=1), "high"),
        (overview("Odd", Odd=2), "unknown"),
        (overview("High", status="Running", High=1), None),
        (overview("", status="Error"), None),
        ({}, None),
        ({"application/x": None}, None),
        ({"a": {"scan_status": "Stopped"}, "b": {"scan_status": "Success", "severity": "Low"}}, "low"),
    ],
)
def test_an_overview_tells_the_highest_severity_of_a_finished_scan(told, severity):
    scan = read_overview(told)
    assert (scan.severity if scan else None) == severity


def harbor(artifacts: dict[str, list[dict]]) -> dict:
    """Lists of projects, repositories and artifacts; names are `project/repository`."""
    projects = sorted({name.partition("/")[0] for name in artifacts})
    lists = {"/projects": lambda: [{"name": project} for project in projects]}
    for project in projects:
        names = [{"name": name} for name in sorted(artifacts) if name.partition("/")[0] == project]
        lists[f"/projects/{project}/repositories"] = lambda names=names: names
    for name, found in artifacts.items():
        project, _, repository = name.partition("/")
        path = f"/projects/{project}/repositories/{repository.replace('/', '%252F')}/artifacts"
        lists[path] = lambda found=found: found
    return lists


def scans(stand: HarborStand) -> HarborScans:
    return HarborScans("reg", HarborClient(stand.url, LOGIN[0], lambda: LOGIN[1]))


ARTIFACTS = {
    "library/nginx": [{"scan_overview": overview("Critical", Critical=2, High=1)}] * 3,
    "library/deep/er": [{"scan_overview": overview("High", High=1)}, {"scan_overview": overview("None")}],
    "team/app": [{"digest": "sha256:1"}, {"scan_overview": None}],
}


async def test_each_scanned_artifact_counts_once_under_its_highest_severity():
    with HarborStand(harbor(ARTIFACTS)) as stand:
        batch = await scans(stand).collect(NOW)
    assert gauge(batch) == {"critical": 3, "high": 1} and len(batch.samples) == 6
    assert batch.asides == ["5 images with a scan, 2 without"]


async def test_a_large_harbor_is_walked_over_several_rounds_and_never_told_by_half(monkeypatch):
    monkeypatch.setattr(harbor_scans, "MAX_REQUESTS", 3)
    with HarborStand(harbor(ARTIFACTS)) as stand:
        collector, batches = scans(stand), []
        while not batches or not batches[-1].samples:
            batches.append(await collector.collect(NOW))
        assert gauge(await collector.collect(NOW)) == {"critical": 3, "high": 1}
    assert len(batches) == 3 and all("the walk goes on" in b.asides[0] for b in batches[:-1])
    assert gauge(batches[-1]) == {"critical": 3, "high": 1}


async def test_several_pages_of_artifacts_are_read():
    many = {"library/nginx": [{"scan_overview": overview("Low", Low=1)}] * 250}
    with HarborStand(harbor(many)) as stand:
        assert gauge(await scans(stand).collect(NOW)) == {"low": 250}


async def test_a_repository_that_is_deleted_meanwhile_is_passed_over():
    lists = harbor(ARTIFACTS)
    del lists["/projects/library/repositories/nginx/artifacts"]
    with HarborStand(lists) as stand:
        assert gauge(await scans(stand).collect(NOW)) == {"high": 1}


@pytest.mark.parametrize("fault", [401, 403, 429, 500, "half", "page"])
async def test_a_fault_gives_no_gauge_and_the_next_walk_begins_anew(fault):
    with HarborStand(harbor(ARTIFACTS)) as stand:
        collector = scans(stand)
        stand.faults.extend([0, 0, fault])
        with pytest.raises(SeawallError):
            await collector.collect(NOW)
        collector = collector if fault != 429 else scans(stand)
        assert gauge(await collector.collect(NOW)) == {"critical": 3, "high": 1}


# Trivy's reports ---------------------------------------------------------------------------------


def report(name: str = "app", digest: str = "1", at: str = "2026-01-02T15:04:05Z", *severities: str) -> str:
    found = [{"VulnerabilityID": f"CVE-{n}", "Severity": s} for n, s in enumerate(severities)]
    return json.dumps(
        {
            "SchemaVersion": 2,
            "CreatedAt": at,
            "ArtifactName": f"localhost:5000/team/{name}:1",
            "ArtifactType": "container_image",
            "Metadata": {"RepoDigests": [f"localhost:5000/team/{name}@sha256:{digest}"]},
            "Results": [{"Target": "x", "Vulnerabilities": found}],
        }
    )


def test_a_report_becomes_exactly_this_event():
    event = parse_report(json.dumps(REPORT).encode(), "r.json", NOW).event("reg")
    assert event.fields == {
        "@timestamp": "2026-01-02T15:04:05.123Z",
        "event.action": "scan",
        "event.dataset": "trivy.report",
        "event.outcome": "success",
        "registry.digest": "sha256:" + "0a" * 32,
        "registry.name": "reg",
        "registry.reference": "1.0",
        "registry.repository": "team/app",
        "seawall.format": "trivy.report",
        "seawall.vulnerabilities.critical": 1,
        "seawall.vulnerabilities.fixable": 1,
        "seawall.vulnerabilities.high": 1,
        "seawall.vulnerabilities.low": 1,
        "seawall.vulnerabilities.total": 3,
        "vulnerability.scanner.vendor": "Trivy",
        "vulnerability.severity": "critical",
    }


@pytest.mark.parametrize(
    ("artifact", "repository", "reference"),
    [
        ("nginx", "nginx", ""),
        ("library/nginx:1.27", "library/nginx", "1.27"),
        ("localhost/app:1", "app", "1"),
        ("registry:5000/a/b/c@sha256:12", "a/b/c", "sha256:12"),
    ],
)
def test_the_host_is_no_part_of_a_repository(artifact, repository, reference):
    found = parse_report(json.dumps({"ArtifactName": artifact}).encode(), "r.json", NOW)
    assert (found.repository, found.reference, found.at) == (repository, reference, NOW)


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (b"{", "no JSON"),
        (b"[]", "no text `ArtifactName`"),
        (b'{"ArtifactName": "a", "Results": {}}', "`Results` is no list"),
        (b'{"ArtifactName": "a", "CreatedAt": "soon"}', "`CreatedAt` is no RFC 3339"),
        (b'{"ArtifactName": "a", "ArtifactType": "filesystem"}', "a report of a filesystem"),
    ],
)
def test_what_is_no_report_is_told_with_place_and_remedy(body, finding):
    with pytest.raises(InputError, match=finding) as refused:
        parse_report(body, "r.json", NOW)
    assert refused.value.place == "r.json" and "trivy image" in refused.value.remedy


async def collect(collector: TrivyReports):
    batch = await collector.collect(NOW)
    await collector.stored()
    return batch


async def test_the_folder_is_the_state_and_only_changes_are_events(tmp_path):
    collector = TrivyReports("reg", str(tmp_path))
    assert gauge(await collect(collector)) == {}
    (tmp_path / "a.json").write_text(report("a", "1", "2026-01-02T15:04:05Z", "LOW", "CRITICAL"))
    (tmp_path / "b.json").write_text(report("b", "2", "2026-01-02T15:04:05Z", "MEDIUM"))
    batch = await collect(collector)
    assert gauge(batch) == {"critical": 1, "medium": 1} and len(batch.events) == 2
    assert (await collect(collector)).events == []
    (tmp_path / "b.json").unlink()
    assert gauge(await collect(collector)) == {"critical": 1}


async def test_the_newest_report_of_an_image_counts(tmp_path):
    (tmp_path / "1.json").write_text(report("a", "1", "2026-01-03T00:00:00Z", "LOW"))
    (tmp_path / "0.json").write_text(report("a", "1", "2026-01-02T00:00:00Z", "CRITICAL"))
    (tmp_path / "2.json").write_text(report("a", "1", "2026-01-01T00:00:00Z", "HIGH"))
    assert gauge(await collect(TrivyReports("reg", str(tmp_path)))) == {"low": 1}


async def test_a_report_that_was_not_stored_is_told_again_under_the_same_id(tmp_path):
    (tmp_path / "a.json").write_text(report("a", "1", "2026-01-02T15:04:05Z", "LOW"))
    collector = TrivyReports("reg", str(tmp_path))
    lost, kept = await collector.collect(NOW), await collect(collector)
    again = await collect(TrivyReports("reg", str(tmp_path)))
    assert len({batch.events[0].id for batch in (lost, kept, again)}) == 1


async def test_a_broken_report_is_a_note_until_it_is_whole(tmp_path):
    whole = report("a", "1", "2026-01-02T15:04:05Z", "HIGH")
    (tmp_path / "a.json").write_text(whole[:50])
    (tmp_path / "b.json").write_text(report("b", "2", "2026-01-02T15:04:05Z", "LOW"))
    (tmp_path / "c.txt").write_text("no report")
    collector = TrivyReports("reg", str(tmp_path))
    batch = await collect(collector)
    assert gauge(batch) == {"low": 1} and "a.json: no JSON" in batch.notes[0]
    (tmp_path / "a.json").write_text(whole)
    batch = await collect(collector)
    assert gauge(batch) == {"low": 1, "high": 1} and batch.notes == []


async def test_an_empty_file_that_turns_old_in_place_is_seen(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(report("a", "1", "2026-01-02T15:04:05Z", "LOW"))
    collector = TrivyReports("reg", str(tmp_path))
    await collect(collector)
    path.write_text(report("a", "1", "2026-01-02T15:04:06Z", "HIG"))
    os.utime(path, ns=(1, 1))
    assert gauge(await collect(collector)) == {"unknown": 1}


async def test_a_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(SeawallError, match="no such file or directory; name the folder"):
        await TrivyReports("reg", str(tmp_path / "none")).collect(NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["CreatedAt", "Metadata", "Results", "ArtifactType"]), JSON))
def test_any_report_is_understood_or_refused(changes):
    try:
        found = parse_report(json.dumps(REPORT | changes).encode(), "r.json", NOW)
    except InputError:
        return
    json.dumps(dict(found.event("reg").fields)).encode()


@given(st.dictionaries(st.text(max_size=5), JSON))
def test_any_overview_is_understood(told):
    scan = read_overview(told)
    assert scan is None or scan.severity
