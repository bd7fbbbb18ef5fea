"""Every sample of a log, captured from a real server or reconstructed, beside the documents it must give."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.formats import parse_line

GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLES = sorted(GOLDEN.rglob("*.log"))
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().removesuffix(b"\n").split(b"\n")


def documents_of(path: Path) -> list[dict | None]:
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: str(p.relative_to(GOLDEN)))
def test_a_sample_gives_exactly_its_documents(path):
    assert [parse_line(line, NOW) for line in lines_of(path)] == documents_of(path)


@pytest.mark.parametrize("path", sorted((GOLDEN / "captured").glob("*.log")), ids=lambda p: p.name)
def test_what_a_real_server_wrote_is_all_understood(path):
    assert None not in documents_of(path)


def test_captured_and_reconstructed_are_never_mixed_and_every_format_has_a_sample():
    assert {path.parent.name for path in SAMPLES} == {"captured", "reconstructed"}
    documents = [document for path in SAMPLES for document in documents_of(path) if document]
    assert {document["seawall.format"] for document in documents} == {
        "distribution.access", "distribution.json", "distribution.logfmt", "distribution.logstash",
        "distribution.notification", "distribution.terminal", "harbor.app", "harbor.audit", "harbor.nginx",
        "harbor.webhook", "nexus.request", "nginx.cache", "quay.nginx", "zot",
    }  # fmt: skip


def test_a_head_without_a_year_gives_a_time_only_to_who_knows_about_when():
    line = "Jun  3 19:49:04 host registry: level=info msg=hello"
    assert "@timestamp" not in parse_line(line)
    assert parse_line(line, NOW)["@timestamp"] == "2026-06-03T19:49:04Z"
    assert parse_line(line, NOW.replace(month=6, day=2, hour=20))["@timestamp"] == "2026-06-03T19:49:04Z"
    assert parse_line(line, NOW.replace(month=6, day=2, hour=19))["@timestamp"] == "2025-06-03T19:49:04Z"
