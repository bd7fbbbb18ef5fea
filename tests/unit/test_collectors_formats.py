"""Log lines: golden files, masking, and laws that hold for any input."""

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import go_duration, mask_text, mask_url, parse_line, split_head

GOLDEN = Path(__file__).parent.parent / "golden"
ACCESS = '10.0.0.1 - {user} [15/Oct/2024:04:44:10 {zone}] "{request}" {status} 12 "" "containerd/v1.7.2"'


def access(request: str, status: int = 200, user: str = "-", zone: str = "+0000") -> dict:
    fields = parse_line(ACCESS.format(user=user, zone=zone, request=request, status=status))
    assert fields is not None
    return fields


def test_the_reconstructed_lines_give_exactly_their_golden_documents():
    lines = (GOLDEN / "reconstructed/distribution-lines.log").read_bytes().splitlines()
    expected = (GOLDEN / "reconstructed/distribution-lines.jsonl").read_text().splitlines()
    assert [parse_line(line) for line in lines] == [json.loads(line) for line in expected]


@pytest.mark.parametrize("format", ["text", "json"])
def test_each_captured_request_is_logged_twice_alike_and_timed_once(format):
    lines = (GOLDEN / f"captured/distribution-2.8.2-{format}.log").read_bytes().splitlines()
    parsed = [parse_line(line) for line in lines]
    assert None not in parsed

    def requests(dataset):
        return [
            (p["http.request.method"], p["url.original"], p["http.response.status_code"])
            for p in parsed
            if p["event.dataset"] == dataset
            and "http.response.status_code" in p
            and p["registry.operation"] != "referrers"  # 2.8 has no such route and logs no answer for it
        ]

    assert requests("distribution.access") == requests("distribution.app") != []
    timed = [p for p in parsed if "event.duration" in p]
    assert {p["event.dataset"] for p in timed} == {"distribution.app"}
    assert all(100_000 < p["event.duration"] < 1_000_000_000 for p in timed)


@pytest.mark.parametrize(
    ("request_line", "status", "operation", "action", "repository", "digest"),
    [
        ("GET /v2/ HTTP/1.1", 401, "base", None, None, None),
        ("GET /v2/_catalog?n=5 HTTP/1.1", 200, "catalog", None, None, None),
        ("GET /v2/a/b/tags/list HTTP/1.1", 200, "tags", None, "a/b", None),
        ("GET /v2/a/b/manifests/1.0 HTTP/1.1", 200, "manifest", "pull", "a/b", None),
        ("HEAD /v2/a/b/manifests/1.0 HTTP/1.1", 200, "manifest", None, "a/b", None),
        ("PUT /v2/a/manifests/sha256:ab12 HTTP/1.1", 201, "manifest", "push", "a", "sha256:ab12"),
        ("DELETE /v2/a/manifests/sha256:ab12 HTTP/1.1", 202, "manifest", "delete", "a", "sha256:ab12"),
        ("GET /v2/a/blobs/sha256%3Aab12 HTTP/1.1", 200, "blob", "pull", "a", "sha256:ab12"),
        ("POST /v2/a/blobs/uploads/ HTTP/1.1", 202, "upload", None, "a", None),
        ("POST /v2/a/blobs/uploads/?mount=sha256:ab12 HTTP/1.1", 201, "upload", "mount", "a", "sha256:ab12"),
        ("POST /v2/a/blobs/uploads/?mount=sha256:ab12 HTTP/1.1", 202, "upload", None, "a", "sha256:ab12"),
        ("PATCH /v2/a/blobs/uploads/uuid-1 HTTP/1.1", 202, "upload", None, "a", None),
        ("PUT /v2/a/blobs/uploads/u?digest=sha256:ab12 HTTP/1.1", 201, "upload", "push", "a", "sha256:ab12"),
        ("GET /v2/a/referrers/sha256:ab12 HTTP/1.1", 404, "referrers", None, "a", "sha256:ab12"),
        ("GET /v2/blobs/manifests/tags HTTP/1.1", 200, "manifest", "pull", "blobs", None),
        ("GET /favicon.ico HTTP/1.1", 404, None, None, None, None),
    ],
)  # fmt: skip
def test_a_request_is_told_in_the_registry_s_words(
    request_line, status, operation, action, repository, digest
):
    fields = access(request_line, status)
    assert fields.get("registry.operation") == operation
    assert fields.get("event.action") == action
    assert fields.get("registry.repository") == repository
    assert fields.get("registry.digest") == digest
    assert fields["event.outcome"] == ("success" if status < 400 else "failure")


def test_access_times_are_turned_to_utc_and_users_kept():
    fields = access("GET /v2/ HTTP/1.1", user="alice", zone="+0200")
    assert (fields["@timestamp"], fields["user.name"]) == ("2024-10-15T02:44:10Z", "alice")
    assert parse_line(ACCESS.format(user="-", zone="+9900", request="GET / HTTP/1.1", status=200)) is None


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1m51.900179248s", 111_900_179_248),
        ("77.4µs", 77_400),
        ("77.4μs", 77_400),
        ("8.937191ms", 8_937_191),
        ("1h2m3s", 3_723_000_000_000),
        ("0s", 0),
        (1500, 1500),
        ("", None),
        ("-5ms", None),
        ("5 ms", None),
        (True, None),
        ("9" * 39 + "h", None),
    ],
)
def test_go_durations_become_nanoseconds(text, nanoseconds):
    assert go_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "/v2/a/blobs/sha256:1?X-Amz-Signature=hunter2&X-Amz-Date=1",
        "/token?scope=x&access_token=hunter2",
        "https://alice:hunter2@example.com/v2/",
        "/v2/a/blobs/uploads/1?_state=hunter2&digest=sha256:1",
        "/blob?sv=2020&sig=hunter2",
        "https://u@h/x?Signature=hunter2",
    ],
)
def test_credentials_in_urls_are_masked(text):
    assert "hunter2" not in mask_url(text)
    assert "hunter2" not in json.dumps(access(f"GET {text} HTTP/1.1"))


@pytest.mark.parametrize(
    "text",
    [
        "header Authorization: Bearer hunter2secret sent",
        "Basic aHVudGVyMg== hunter2".replace(" hunter2", ""),
        "login with password=hunter2 failed",
        '{"password": "hunter2"}',
        "GET https://bob:hunter2@registry/v2/ refused",
        "redirect to https://s3/x?X-Amz-Credential=hunter2&a=1",
    ],
)
def test_credentials_in_messages_are_masked(text):
    masked = mask_text(text)
    assert "hunter2" not in masked and "aHVudGVyMg" not in masked and "***" in masked
    line = json.dumps({"level": "error", "msg": text, "time": "2024-01-01T00:00:00Z"})
    assert "hunter2" not in json.dumps(parse_line(line))


def test_harmless_text_is_left_alone():
    for text in ("/v2/a/tags/list?n=100&last=b", "response completed", "token server at host is slow"):
        assert mask_text(text) == mask_url(text) == text


def test_a_split_container_line_says_that_it_goes_on():
    payload = split_head("2024-10-15T04:44:10.1+02:00 stderr P first half")
    assert (payload.text, payload.stream, payload.partial) == ("first half", "stderr", True)
    assert payload.at == "2024-10-15T02:44:10.100000Z"
    assert split_head('{"log":"half","stream":"stdout","time":"2024-10-15T04:44:11Z"}').partial


def test_a_head_s_time_stands_in_for_a_missing_one():
    line = "2024-10-15T04:44:10.1Z stdout F level=info msg=hello"
    assert parse_line(line)["@timestamp"] == "2024-10-15T04:44:10.1Z"
    assert "@timestamp" not in parse_line("level=info msg=hello")


def test_go_s_quoting_is_undone():
    fields = parse_line(r'time="2024-01-01T00:00:00Z" level=info msg="say \"hi\"\tnow \u00e9\xff\x00"')
    assert fields["message"] == 'say "hi"\tnow é\ufffd\ufffd'


@pytest.mark.parametrize("bad", ["99999999999", "-1", "1e9", "abc", "42"])
def test_impossible_statuses_are_left_out(bad):
    fields = parse_line(f'level=info msg=x http.response.status={bad} http.response.duration="1ms"')
    assert "http.response.status_code" not in fields and "event.duration" not in fields


FRAGMENTS = st.sampled_from(
    [
        'level=', 'msg="', '"', "\\", "\\ud800", "\\u0000", "{", '{"log":"', '","stream":"stdout","time":"',
        '{"level":"info","msg":"', '"}', "2024-10-15T04:44:10.1+00:00 stdout P ", "Jun  4 13:07:21 h p[1]: ",
        '1.2.3.4 - - [15/Oct/2024:04:44:10 +0000] "GET /v2/', ' HTTP/1.1" 200 7 "" "x"', "/manifests/",
        "?token=", "http.response.status=", "http.response.duration=", "1m", "9" * 30,
        "\x00", "\udc80", " ", "\n",
    ]
)  # fmt: skip


@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=300), st.lists(FRAGMENTS, max_size=14).map("".join))
)
def test_garbage_is_none_or_a_document_that_every_store_can_keep(line):
    fields = parse_line(line)
    if fields is not None:
        text = json.dumps(fields, ensure_ascii=False)
        assert "\x00" not in text and "\\u0000" not in text
        text.encode("utf-8")
        status = fields.get("http.response.status_code", 200)
        assert 100 <= status <= 999 and fields.get("event.duration", 0) < 2**63
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", fields.get("@timestamp", "2024-01-01T00:00:00Z")
        )


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "line",
    [
        "level=info msg=" + "a" * 2**20,
        'level=info msg="' + "a " * 2**19,
        "level=info msg=x " + "b" * 2**20,
        '1.1.1.1 - - [15/Oct/2024:04:44:10 +0000] "GET /' + "\\" * 2**20,
        "level=info msg=x http.request.uri=/v2/" + "/blobs" * 2**17,
        "level=info msg=x http.response.status=200 http.response.duration=" + "1" * 2**20,
        'level=info msg="' + "?token" * 2**17 + '"',
        'level=info msg="' + "://a:" * 2**17 + '"',
        'level=info msg="' + "password" * 2**17 + '"',
        "{" * 2**20,
    ],
    ids=lambda line: line[:40],
)
def test_a_hostile_line_of_a_mebibyte_costs_linear_time(line):
    started = time.process_time()
    parse_line(line)
    assert time.process_time() - started < 2.0
