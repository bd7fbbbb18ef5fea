"""A registry in a dictionary behind real HTTP, signed images in it, and events of pulls from it."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from collectors.pulling.exchange import Endpoint
from collectors.pulls.looks import Looks, Pace
from collectors.signatures.trust import Trust, TrustedKey, Trusts
from seawall.core.signals import Event
from tests.signing import (
    OCI_INDEX,
    OCI_MANIFEST,
    Document,
    artifact,
    body_of,
    descriptor,
    digest,
    p256,
    sign,
    simple_layer,
    simple_payload,
    tag_of,
)

T = 1_790_000_000.0


@contextmanager
def replying(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    """A server that answers each GET of a path with (status, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Stock:
    """Manifests and blobs of one repository by path; `down` answers 503. `asked` counts paths."""

    def __init__(self, repository: str = "team/app") -> None:
        self.repository, self.key, self.down = repository, p256(), False
        self.kept: dict[str, bytes] = {}
        self.tags: list[str] = []
        self.asked: Counter[str] = Counter()

    def answer(self, path: str) -> tuple[int, bytes]:
        path = path.partition("?")[0]
        self.asked[path] += 1
        if self.down:
            return 503, b""
        if path == f"/v2/{self.repository}/tags/list":
            return 200, body_of({"tags": self.tags})
        return (200, self.kept[path]) if path in self.kept else (404, b"")

    def served(self) -> AbstractContextManager[str]:
        return replying(self.answer)

    def keep(self, document: Document, tag: str | None = None) -> bytes:
        body = body_of(document)
        self.tags += [tag] if tag and tag not in self.tags else []
        for reference in {digest(body), tag or digest(body)}:
            self.kept[f"/v2/{self.repository}/manifests/{reference}"] = body
        return body

    def image(self, content: bytes = b"layer", tag: str | None = "1.0", **more: Any) -> bytes:
        layers = [descriptor("application/vnd.oci.image.layer.v1.tar", content)]
        config = descriptor("application/vnd.oci.image.config.v1+json", b"{}")
        made = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
        return self.keep({**made, **more}, tag)

    def index(self, *children: bytes, tag: str | None = "1.0") -> bytes:
        listed = [descriptor(OCI_MANIFEST, it) for it in children]
        return self.keep({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}, tag)

    def sign(self, image: bytes) -> bytes:
        payload = simple_payload(digest(image))
        self.kept[f"/v2/{self.repository}/blobs/{digest(payload)}"] = payload
        layer = simple_layer(payload, sign(self.key, payload))
        made = artifact("", [layer], None, "application/vnd.oci.image.config.v1+json")
        return self.keep(made, f"{tag_of(digest(image))}.sig")

    def trusts(self) -> Trusts:
        return Trusts(Trust([TrustedKey("release.pub", self.key.public_key())]))


def looks_at(url: str, trusts: Any, recheck: float = 60.0) -> Looks:
    return Looks(Endpoint(url), trusts, recheck, Pace(1000, 8))


def told(
    image: bytes | str, at: float = T, push: bool = False, tag: str | None = "1.0", **fields: Any
) -> Event:
    """A notification of a pull by `tag`, else by digest; `fields` over it, None takes one away."""
    named = digest(image) if isinstance(image, bytes) else image
    told.count += 1
    document = {
        "event.action": "push" if push else "pull",
        "event.dataset": "distribution.notification",
        "registry.operation": "manifest",
        "registry.repository": "team/app",
        "registry.digest": named,
        "registry.reference": tag or named,
        "http.request.method": "PUT" if push else "GET",
        "client.ip": "10.0.0.1",
        "user_agent.original": "containerd/1.7.24",
        **{key.replace("__", "."): value for key, value in fields.items()},
    }
    kept = {key: value for key, value in document.items() if value is not None}
    return Event(f"told-{told.count}", at, "main", json.loads(json.dumps(kept)))


told.count = 0  # of the ids
