"""Look-ups that fail, in every way, at every place: unknown, unless a trusted signature was found anyway."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from collectors.pulling.exchange import Endpoint
from collectors.pulling.tokens import Credentials
from collectors.signatures import verifier
from collectors.signatures.trust import Trust, TrustedKey
from collectors.signatures.verdicts import Code, Verdict
from tests.scripted import Answer, Request, serving
from tests.signing import (
    BUNDLE,
    OCI_INDEX,
    OCI_MANIFEST,
    artifact,
    body_of,
    bundle,
    descriptor,
    digest,
    p256,
    sign,
    simple_layer,
    simple_payload,
    tag_of,
)

KEY = p256()
TRUST = Trust([TrustedKey("release.pub", KEY.public_key())])
IMAGE = body_of({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []})
PAYLOAD = simple_payload(digest(IMAGE))
BASE = "/v2/team/app"
SIG_TAG, FALLBACK = (
    f"{BASE}/manifests/{tag_of(digest(IMAGE))}.sig",
    f"{BASE}/manifests/{tag_of(digest(IMAGE))}",
)
REFERRERS = f"{BASE}/referrers/{digest(IMAGE)}"


@dataclass
class Held:
    """A small registry with the referrers route of OCI 1.1, `page` entries at a time; `faults` win."""

    content: dict[str, bytes] = field(default_factory=dict)
    referrers: list[bytes] = field(default_factory=list)
    faults: dict[str, Answer | None] = field(default_factory=dict)
    page: int = 1

    def __post_init__(self) -> None:
        self.put("manifests/1.0", IMAGE)
        self.put(f"manifests/{digest(IMAGE)}", IMAGE)

    def put(self, path: str, body: bytes) -> None:
        self.content[f"{BASE}/{path}"] = body

    def blob(self, data: bytes) -> None:
        self.put(f"blobs/{digest(data)}", data)

    def cosign(self, key=KEY) -> "Held":
        """A signature at cosign's tag."""
        self.content[SIG_TAG] = body_of(artifact("x", [simple_layer(PAYLOAD, sign(key, PAYLOAD))], None))
        self.blob(PAYLOAD)
        return self

    def refer(self, document: dict) -> bytes:
        body = body_of(document)
        self.put(f"manifests/{digest(body)}", body)
        self.referrers.append(body)
        return body

    def bundled(self, key=KEY) -> bytes:
        """A signature as a referrer."""
        data = bundle(key, digest(IMAGE))
        self.blob(data)
        return self.refer(artifact(BUNDLE, [descriptor(BUNDLE, data)], descriptor(OCI_MANIFEST, IMAGE)))

    def answer(self, request: Request) -> Answer | None:
        if request.path in self.faults:
            return self.faults[request.path]
        if request.path == REFERRERS:
            return self._page(int(request.query.get("page", ["0"])[0]))
        body = self.content.get(request.path)
        return (404, {}, b"{}") if body is None else (200, {"docker-content-digest": digest(body)}, body)

    def _page(self, number: int) -> Answer:
        some = self.referrers[number * self.page : (number + 1) * self.page]
        listed = {"schemaVersion": 2, "mediaType": OCI_INDEX}
        body = body_of({**listed, "manifests": [descriptor(OCI_MANIFEST, it) for it in some]})
        more = (number + 1) * self.page < len(self.referrers)
        link = {"link": f'<{REFERRERS}?page={number + 1}>; rel="next"'} if more else {}
        return 200, {"content-type": OCI_INDEX, **link}, body


async def verdict(answer: Callable[[Request], Answer | None], reference: str = "1.0", **more) -> Verdict:
    async with serving(answer) as server:
        return await verifier.verify(Endpoint(server.url), "team/app", reference, TRUST, **more)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(verifier, "ANSWER", 0.5)


HALF = 200, {"content-length": "9999", "connection": "close"}, b"{"
FAULTS: dict[str, tuple[Answer | None, str]] = {
    "401": ((401, {}, b""), "asks for a password and none is configured"),
    "403": ((403, {}, b""), "answered 403"),
    "429": ((429, {}, b""), "answered 429"),
    "500": ((500, {}, b""), "answered 500"),
    "503": ((503, {}, b""), "answered 503"),
    "no answer": (None, "no answer within 0.5 s"),
    "half a body": (HALF, "short body"),
    "too large": ((200, {}, b" " * ((4 << 20) + 1)), "more than 4194304 bytes"),
    "no redirect": ((302, {}, b""), "no URL"),
    "loop": ((302, {"location": "http://127.0.0.1:1/"}, b""), "sent to 127.0.0.1:1: connection refused"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["image", "tag", "referrers", "fallback", "payload", "referrer", "bundle"])
async def test_a_failed_look_up_is_unknown(place, fault):
    held = Held()
    answer, words = FAULTS[fault]
    paths = {
        "image": f"{BASE}/manifests/1.0",
        "tag": SIG_TAG,
        "referrers": REFERRERS,
        "fallback": FALLBACK,
        "payload": f"{BASE}/blobs/{digest(PAYLOAD)}",
    }
    if place == "payload":
        held.cosign()
    if place == "fallback":
        held.faults[REFERRERS] = 404, {}, b""
    if place in ("referrer", "bundle"):
        body = held.bundled()
        layer = json.loads(body)["layers"][0]["digest"]
        paths.update(referrer=f"{BASE}/manifests/{digest(body)}", bundle=f"{BASE}/blobs/{layer}")
    held.faults[paths[place]] = answer
    found = await verdict(held.answer)
    assert (found.signature, found.code) == ("unknown", Code.LOOKUP_FAILED)
    assert found.reason.startswith("look-up failed: ") and words in found.reason


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_signature_that_was_found_stays(fault):
    answer, _ = FAULTS[fault]
    one, other = Held().cosign(), Held()
    one.faults[REFERRERS] = answer
    other.bundled()
    other.faults[SIG_TAG] = answer
    assert (await verdict(one.answer)).signature == "signed"
    assert (await verdict(other.answer)).signature == "signed"


async def test_an_untrusted_signature_and_a_failed_look_up_are_unknown():
    held = Held().cosign(p256())
    held.faults[REFERRERS] = 503, {}, b""
    assert (await verdict(held.answer)).signature == "unknown"


async def test_what_was_found_before_the_deadline_counts():
    held = Held().cosign(p256())
    held.faults[REFERRERS] = None
    found = await verdict(held.answer, deadline=0.3)
    assert found.signature == "unknown" and found.digest == digest(IMAGE) and "in time" in found.reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"manifests": 1}', b"[" * 100_000])
async def test_referrers_that_are_no_index_are_unknown(body):
    held = Held()
    held.faults[REFERRERS] = 200, {}, body
    found = await verdict(held.answer)
    assert found.signature == "unknown" and "is no image index" in found.reason


@pytest.mark.parametrize("status", [400, 404, 405, 406])
async def test_a_registry_without_the_route_is_asked_for_the_fallback_tag(status):
    held = Held()
    held.bundled()
    held.faults[REFERRERS] = status, {}, b""
    listed = [descriptor(OCI_MANIFEST, it) for it in held.referrers]
    held.content[FALLBACK] = body_of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})
    assert (await verdict(held.answer)).signature == "signed"


async def test_every_page_of_the_referrers_is_read():
    held = Held()
    for number in range(9):
        held.refer(artifact(f"application/{number}", [], descriptor(OCI_MANIFEST, IMAGE)))
    held.bundled()
    assert (await verdict(held.answer)).signature == "signed"


async def test_pages_without_end_and_more_referrers_than_are_read_are_unknown():
    held = Held()
    held.faults[REFERRERS] = 200, {"link": f'<{REFERRERS}>; rel="next"'}, b'{"manifests": []}'
    assert "more than 16 pages" in (await verdict(held.answer)).reason
    many = Held(page=100)
    for number in range(70):
        many.refer(artifact(f"application/{number}", [], descriptor(OCI_MANIFEST, IMAGE)))
    found = await verdict(many.answer)
    assert found.signature == "unknown" and "70 referrers, 64 are read" in found.reason


async def test_a_redirect_is_followed_without_the_account_and_what_comes_is_checked():
    held = Held().cosign()
    path = f"{BASE}/blobs/{digest(PAYLOAD)}"
    async with serving(held.answer) as other:
        front = Held().cosign()
        front.faults[path] = 307, {"location": f"{other.url}{path}"}, b""
        challenged = asking(front.answer)
        async with serving(challenged) as server:
            endpoint = Endpoint(server.url, Credentials("alice", lambda: "pw"))
            found = await verifier.verify(endpoint, "team/app", "1.0", TRUST)
        assert found.signature == "signed"
        assert any("authorization" in it.headers for it in server.requests)
        assert other.requests and not any("authorization" in it.headers for it in other.requests)


def asking(answer: Callable[[Request], Answer | None]) -> Callable[[Request], Answer | None]:
    """The same registry, for those alone who have an account."""
    challenge = 401, {"www-authenticate": 'Basic realm="x"'}, b""
    return lambda request: answer(request) if "authorization" in request.headers else challenge


async def test_another_hosts_no_is_not_the_registrys():
    async with serving(lambda _: (404, {}, b"")) as other:
        held = Held()
        held.faults[SIG_TAG] = 302, {"location": f"{other.url}/x"}, b""
        found = await verdict(held.answer)
    assert found.signature == "unknown" and "sent to 127.0.0.1:" in found.reason
    assert "answered 404" in found.reason


async def test_content_with_another_digest_is_a_broken_signature():
    held = Held().cosign()
    held.content[f"{BASE}/blobs/{digest(PAYLOAD)}"] = PAYLOAD[:-1] + b" "
    found = await verdict(held.answer)
    assert (found.signature, found.code) == ("unsigned", Code.BROKEN)
    other = Held()
    other.content[f"{BASE}/manifests/{digest(IMAGE)}"] = IMAGE + b" "
    assert (await verdict(other.answer, digest(IMAGE))).signature == "unknown"


async def test_an_index_is_found_by_its_tag_or_by_name_and_must_hold_the_image():
    index = body_of(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI_MANIFEST, IMAGE)]}
    )
    payload = simple_payload(digest(index))
    held = Held()
    for reference in ("multi", digest(index)):
        held.put(f"manifests/{reference}", index)
    held.put(
        f"manifests/{tag_of(digest(index))}.sig",
        body_of(artifact("x", [simple_layer(payload, sign(KEY, payload))], None)),
    )
    held.blob(payload)
    held.put("tags/list", b'{"tags": ["1.0", "multi"]}')
    by_tag = await verdict(held.answer, parents=True)
    by_name = await verdict(held.answer, parents=[digest(index)])
    assert by_tag == by_name and (by_tag.signature, by_tag.parent) == ("signed", digest(index))
    assert by_tag.digest == digest(IMAGE)
    assert (await verdict(held.answer)).signature == "unsigned"
    stranger = body_of({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "annotations": {}})
    held.put(f"manifests/{digest(stranger)}", stranger)
    found = await verdict(held.answer, digest(stranger), parents=[digest(index)])
    assert found.signature == "unsigned"


@pytest.mark.parametrize("path", ["tags/list", "manifests/multi"])
async def test_indexes_that_cannot_be_asked_for_leave_it_open(path):
    held = Held()
    held.put("tags/list", b'{"tags": ["multi"]}')
    held.faults[f"{BASE}/{path}"] = 503, {}, b""
    found = await verdict(held.answer, parents=True)
    assert (found.signature, found.digest) == ("unknown", digest(IMAGE))


async def test_it_is_known_by_its_user_agent():
    async with serving(Held().cosign().answer) as server:
        await verifier.verify(Endpoint(server.url), "team/app", "1.0", TRUST)
    assert {it.headers["user-agent"].split("/")[0] for it in server.requests} == {"seawall-probe"}
