"""Planted credentials never come out of a line, whatever its format and the field that they stand in."""

import io
import json
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.stream import LogReader

SECRET = "hunter2hunter2"
IN_URLS = [
    "/v2/a/blobs/sha256:1f?X-Amz-Signature={}&X-Amz-Date=1",
    "/v2/a/blobs/uploads/u?_state={}&digest=sha256:1f",
    "/token?scope=x&access_token={}",
    "https://alice:{}@example.com/v2/a/manifests/1.0",
    "/blob?sv=2020&sig={}",
    "/c/oidc/callback?code={}&state={}",
    "/v2/a/manifests/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJh{}.{}",
    "/v2/a/blobs/sha256:" + "1f" * 32 + "?token={}",
]
IN_TEXT = [
    *IN_URLS,
    "header Authorization: Bearer {} sent",
    "Authorization=Token {}",
    "authorization: Digest username=a, response={}",
    'Set-Cookie: "sid={}; Path=/"',
    "Basic {}",
    "bearer {}",
    "login with password={} failed",
    "password: {}",
    '{"password": "{}"}',
    "map[secret:{}]",
    "api_key={}",
    "got eyJhbGciOiJIUzI1NiJ9.{}.{}",
]


def json_line(**fields: object) -> str:
    return json.dumps(fields)


ACCESS = '- - [15/Oct/2024:04:44:10 +0000] "GET {url} HTTP/1.1" 200 1 "{text}" "{text}"'
CARRIERS = {
    "access": lambda url, text: "1.1.1.1 " + ACCESS.format(url=url, text=go(text)),
    "access of a host": lambda url, text: url + " " + ACCESS.format(url="/v2/", text=""),
    "harbor.nginx": lambda url, text: (
        f'1.1.1.1 - "GET {url} HTTP/1.1" 200 1 "{go(text)}" "{go(text)}" 0.1 - .'
    ),
    "nexus": lambda url, text: (
        f'1.1.1.1 - - [15/Oct/2024:04:44:10 +0000] "GET {url} HTTP/1.1" 200 - 1 1 "{go(text)}" [t]'
    ),
    "quay": lambda url, text: f"1.1.1.1 () {ACCESS.format(url=url, text=go(text))} (0.1 1 0.1)",
    "logfmt": lambda url, text: (
        f'level=error msg="{go(text)}" err.message="{go(text)}" err.detail="{go(text)}"'
        f' http.request.uri="{go(url)}" http.request.useragent="{go(text)}" http.request.referer="{go(text)}"'
        f' vars.reference="{go(text)}" http.response.status=200 auth.user.name="{go(text)}"'
    ),
    "terminal": lambda url, text: f'\x1b[31mERRO\x1b[0m[0001] {text} \x1b[31merror\x1b[0m="{go(text)}"',
    "json": lambda url, text: json_line(
        **{"level": "info", "msg": text, "error": text, "http.request.uri": url}
    ),
    "logstash": lambda url, text: json_line(**{"@version": "1", "level": "info", "message": text}),
    "harbor.app": lambda url, text: f"2025-04-23T09:45:55Z [INFO] [/a.go:1]: {text} {url}",
    "harbor.audit": lambda url, text: json_line(
        id=1, operation="pull", resource="a:1", resource_type="artifact", op_time="2026-01-02T15:04:05Z",
        operation_description=text,
    ),
    "harbor.webhook": lambda url, text: json_line(
        type="PULL_ARTIFACT", occur_at=1, operator="a", event_data={"resources": [{"resource_url": url}]}
    ),
    "notification": lambda url, text: json_line(events=[{
        "id": "1", "timestamp": "2026-01-02T15:04:05Z", "action": "pull", "target": {"url": url},
        "request": {"useragent": text},
    }]),
    "nginx.cache": lambda url, text: json_line(
        upstream_cache_status="HIT", uri=url, http_user_agent=text, http_authorization=text, status="200"
    ),
    "zot": lambda url, text: json_line(
        level="info", clientIP="1.1.1.1:1", path=url, message=text, error=text, method="GET",
        headers={"User-Agent": [text], "Authorization": [text]},
    ),
}  # fmt: skip
HEADS = ["{}", "Jun  3 19:49:04 h p[1]: {}", "2024-10-15T04:44:10Z stdout F {}", "<1>1 - h a - - - {}"]


def go(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def printed(line: str) -> str:
    reader = LogReader(datetime.now(UTC))
    out = b"".join(reader.read(io.BytesIO(line.encode()))).decode()
    assert reader.odd.count == 0, line
    return out


@pytest.mark.parametrize("carrier", CARRIERS)
def test_each_format_with_each_credential(carrier):
    for url, text in product(IN_URLS, IN_TEXT):
        out = printed(CARRIERS[carrier](url.replace("{}", SECRET), text.replace("{}", SECRET)))
        assert SECRET not in out and out.count("\n") == 1


@given(
    st.sampled_from(sorted(CARRIERS)),
    st.sampled_from(IN_URLS),
    st.sampled_from(IN_TEXT),
    st.sampled_from(HEADS),
    st.text("abcXYZ0123456789", min_size=12, max_size=24),
    st.text("abcXYZ ,.:/", max_size=10),
)
def test_any_credential_behind_any_head_and_words(carrier, url, text, head, secret, words):
    secret = f"q{secret}q"
    line = CARRIERS[carrier](url.replace("{}", secret), f"{words} {text.replace('{}', secret)}")
    assert secret not in printed(head.replace("{}", line))
