"""The synthetic pull against a scripted server: the way from a tag to the last byte, and what breaks it."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from collectors.pulling.images import Image, child_of, parse_image, parse_platform
from seawall.core.errors import InputError
from seawall.core.signals import EXCLUDED_USER_AGENTS
from tests.fakes import T
from tests.scripted import (
    CONTENT,
    INDEX,
    LAYER,
    MANIFEST,
    Answer,
    Request,
    changed,
    digest,
    pulled,
    registry,
    serving,
)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("host:5000/a/b:1.0", Image("host:5000", "a/b", "1.0")),
        ("registry.example.com/a", Image("registry.example.com", "a", "latest")),
        ("localhost/a", Image("localhost", "a", "latest")),
        ("a/b", Image("", "a/b", "latest")),
        ("nginx:1.27", Image("", "nginx", "1.27")),
        (f"h.x/a:t@{digest(b'')}", Image("h.x", "a", digest(b""))),
    ],
)
def test_image_references_are_read_as_docker_does(text, image):
    assert parse_image(text) == image


@pytest.mark.parametrize(
    "text", ["", "A/b", "a:", "a@sha256:12", "h.x/", "a b", "a/../b", "a:t/b", "h:5000/a:b:c"]
)
def test_what_is_no_image_reference_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"write it like registry\.example\.com"):
        parse_image(text)


async def test_a_pull_walks_index_manifest_and_blobs_and_counts_every_byte():
    async with serving(registry) as server:
        pull = await pulled(server.url)
    assert pull.ok and not pull.note
    assert pull.bytes == sum(map(len, CONTENT.values()))
    assert set(pull.seconds_by_phase()) == {
        "connect", "manifest_index", "manifest_child", "blob_ttfb", "blob_transfer",
    }  # fmt: skip
    assert all(0 < seconds <= pull.seconds for seconds in pull.seconds_by_phase().values())
    assert all(r.headers["user-agent"].startswith(EXCLUDED_USER_AGENTS) for r in server.requests)


async def test_a_tag_that_names_a_manifest_needs_no_child():
    async with serving(lambda r: (200, {}, MANIFEST) if r.path.endswith("1.0") else registry(r)) as server:
        pull = await pulled(server.url)
    assert pull.ok and "manifest_child" not in pull.seconds_by_phase()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_registry_that_says_no_is_healthy_and_says_why(status):
    async with serving(lambda r: (status, {}, b"{}")) as server:
        pull = await pulled(server.url)
    assert pull.ok and not pull.reason
    assert str(status) in pull.note or "asks for a password" in pull.note


@pytest.mark.parametrize("throttling_fails", [False, True])
async def test_throttling_is_a_setting(throttling_fails):
    async with serving(lambda r: (429, {}, b"{}")) as server:
        pull = await pulled(server.url, throttling_fails=throttling_fails)
    assert pull.ok is not throttling_fails


@pytest.mark.parametrize(
    ("path", "answer", "phase", "reason"),
    [
        ("/v2/team/app/manifests/1.0", (500, {}, b""), "manifest_index", "answered 500"),
        ("/v2/team/app/manifests/1.0", (200, {}, b"<html>"), "manifest_index", "no JSON"),
        ("/v2/team/app/manifests/1.0", (200, {}, b'{"config": 3}'), "manifest_index", "without digest"),
        (
            "/v2/team/app/manifests/1.0",
            (200, {"docker-content-digest": digest(b"other")}, INDEX),
            "manifest_index",
            "wrong content",
        ),
        ("/v2/team/app/manifests/sha256:", (200, {}, b"{}"), "manifest_child", "wrong content"),
        ("/v2/team/app/manifests/sha256:", (502, {}, b""), "manifest_child", "answered 502"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (503, {}, b""), "blob_ttfb", "answered 503"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (200, {}, LAYER[::-1]), "blob_transfer", "wrong content"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (200, {}, LAYER + b"!"), "blob_transfer", "longer than"),
        (f"/v2/team/app/blobs/{digest(LAYER)}", (200, {}, LAYER[:9]), "blob_transfer", "9 of 5000 bytes"),
        ("/v2/", (307, {"location": "/v2/again"}, b""), "redirect", "redirect loop"),
        ("/v2/", (307, {"location": "file:///etc/passwd"}, b""), "redirect", "no URL of HTTP"),
        ("/v2/", (307, {"location": "http://x:port/"}, b""), "redirect", "no URL"),
    ],
)  # fmt: skip
async def test_a_failure_names_its_phase_and_reason(path, answer, phase, reason):
    async with serving(changed(path, answer)) as server:
        pull = await pulled(server.url)
    assert not pull.ok and pull.phase == phase and reason in pull.reason
    assert [p.name for p in pull.phases if p.error == pull.reason] == [phase]


@pytest.mark.parametrize(
    ("path", "phase"),
    [
        ("/v2/team/app/manifests/1.0", "manifest_index"),
        ("/v2/team/app/manifests/sha256:", "manifest_child"),
        ("/v2/team/app/blobs/", "blob_ttfb"),
    ],
)
async def test_a_registry_that_hangs_is_left_at_the_deadline_and_the_phase_named(path, phase):
    async with serving(changed(path, None)) as server:
        pull = await pulled(server.url, deadline=0.3)
    assert not pull.ok and (pull.phase, pull.reason) == (phase, "no answer within 0.3 s")
    assert 0.3 <= pull.seconds < 1.5


async def test_a_connection_cut_in_the_middle_of_a_blob_is_a_failure_of_the_transfer():
    cut = (200, {"content-length": "5000", "connection": "close"}, b"")

    async with serving(changed(f"/v2/team/app/blobs/{digest(LAYER)}", cut)) as server:
        pull = await pulled(server.url)
    assert not pull.ok and pull.phase == "blob_transfer"
    assert pull.reason == "short body: the connection was closed after 0 of 5000 bytes"


@pytest.mark.parametrize(("status", "ok"), [(200, True), (401, True), (404, False), (500, False)])
async def test_without_an_image_the_base_is_asked(status, ok):
    async with serving(lambda r: (status, {}, b"")) as server:
        pull = await pulled(server.url, None)
    assert pull.ok is ok and [r.path for r in server.requests] == ["/v2/"]
    assert ok or pull.phase == "base"


async def test_a_name_with_several_addresses_is_tried_in_turn():
    # localhost is ::1 and 127.0.0.1 on most machines; the server listens on the second only.
    async with serving(registry) as server:
        pull = await pulled(server.url.replace("127.0.0.1", "localhost"))
    assert pull.ok and pull.seconds_by_phase()["dns"] > 0


def indexed(*entries: dict) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode()


def entry(os: str, architecture: str, variant: str | None = None, body: bytes = MANIFEST) -> dict:
    platform = {"os": os, "architecture": architecture} | ({"variant": variant} if variant else {})
    return {"digest": digest(body), "size": len(body), "platform": platform}


@pytest.mark.parametrize(
    ("platform", "child"),
    [("linux/arm/v7", b"v7"), ("linux/arm/v6", b"v6"), ("linux/arm", b"v6"), ("linux/arm64", b"64")],
)
def test_the_platform_chooses_the_child(platform, child):
    index = indexed(
        entry("unknown", "unknown", body=b"attestation"),
        entry("linux", "arm", "v6", b"v6"),
        entry("linux", "arm", "v7", b"v7"),
        entry("linux", "arm64", "v8", b"64"),
    )
    assert child_of(json.loads(index), parse_platform(platform)) == digest(child)


async def test_an_index_without_the_platform_is_noted_with_what_it_has():
    index = indexed(entry("unknown", "unknown"), entry("linux", "s390x"))
    async with serving(changed("/v2/team/app/manifests/1.0", (200, {}, index))) as server:
        pull = await pulled(server.url)
    assert pull.ok and pull.note == "the index has no linux/amd64, only linux/s390x"


async def test_an_index_in_an_index_is_followed():
    inner = indexed(entry("linux", "amd64"))
    outer = indexed(entry("linux", "amd64", body=inner))

    def answer(request: Request) -> Answer:
        bodies = {"/v2/team/app/manifests/1.0": outer, f"/v2/team/app/manifests/{digest(inner)}": inner}
        return (200, {}, bodies[request.path]) if request.path in bodies else registry(request)

    async with serving(answer) as server:
        pull = await pulled(server.url)
    assert pull.ok and not pull.note and pull.digests["verified"] == 4


async def test_foreign_layers_are_left_and_a_blob_named_twice_is_pulled_once():
    foreign = {"digest": digest(b"windows"), "size": 7, "urls": ["http://192.0.2.1/layer"]}
    layer = {"digest": digest(LAYER), "size": len(LAYER)}
    body = json.dumps(json.loads(MANIFEST) | {"layers": [layer, foreign, layer]}).encode()
    async with serving(changed("/v2/team/app/manifests/1.0", (200, {}, body))) as server:
        pull = await pulled(server.url)
    assert pull.ok and not pull.note
    assert sum("/blobs/" in request.path for request in server.requests) == 2


async def test_a_manifest_of_schema_1_is_noted():
    async with serving(lambda r: (200, {}, b'{"schemaVersion": 1, "fsLayers": []}')) as server:
        pull = await pulled(server.url)
    assert pull.ok and "schema 1" in pull.note


@pytest.mark.parametrize(
    ("path", "phase"),
    [("/v2/team/app/manifests/1.0", "manifest_index"), ("/v2/team/app/blobs/", "blob_ttfb")],
)
async def test_a_phase_has_a_limit_of_its_own(path, phase):
    async with serving(changed(path, None)) as server:
        pull = await pulled(server.url, deadline=20, limits={phase: 0.2})
    assert not pull.ok and (pull.phase, pull.reason) == (phase, "no answer within 0.2 s")
    assert 0.2 <= pull.seconds < 5


async def test_one_slow_blob_is_the_failure_and_its_neighbours_are_interrupted():
    def answer(request: Request) -> Answer | None:
        if request.path.endswith(digest(LAYER)):
            return 200, {"content-length": str(len(LAYER))}, b""
        return registry(request)

    async with serving(answer) as server:
        pull = await pulled(server.url, limits={"blob_transfer": 0.2})
    assert (pull.phase, pull.reason) == ("blob_transfer", "not complete within 0.2 s")
    assert [p.target for p in pull.phases if p.error == pull.reason] == [digest(LAYER)]


@pytest.mark.parametrize(
    ("ahead", "told"), [(0, ""), (3, ""), (3600, "3600 s ahead of"), (-120, "120 s behind")]
)
async def test_a_registry_whose_clock_is_wrong_is_said_to_be(ahead, told):
    date = format_datetime(datetime.fromtimestamp(T + ahead, UTC), usegmt=True)

    def answer(request: Request) -> Answer:
        status, headers, body = registry(request)
        return status, {**headers, "date": date}, body

    async with serving(answer) as server:
        pull = await pulled(server.url, now=T)
    assert pull.ok and pull.clock() == (f"the registry's clock is {told} ours" if told else "")


async def test_indexes_within_indexes_without_end_are_no_image():
    bodies = [indexed(entry("linux", "amd64"))]
    for _ in range(5):
        bodies.append(indexed(entry("linux", "amd64", body=bodies[-1])))
    known = {digest(body): body for body in bodies}

    def answer(request: Request) -> Answer:
        return 200, {}, known.get(request.path.rpartition("/")[2], bodies[-1])

    async with serving(answer) as server:
        pull = await pulled(server.url)
    assert not pull.ok and pull.phase == "manifest_child" and "indexes" in pull.reason
