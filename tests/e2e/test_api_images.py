"""Images by the API on a real docker-registry: looked at, previewed, deleted, and their bytes freed."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.registries import INDEX, LAYERS, MANIFEST, Registry, digest, push
from tests.serving import Up

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry (Debian package)"),
]


def asking(registry: Registry) -> httpx.Client:
    return httpx.Client(base_url=registry.url, trust_env=False, headers={"accept": f"{INDEX}, {MANIFEST}"})


@pytest.fixture
def stand(up, tmp_path, monkeypatch):
    """A registry that deletes, with one image under two tags and another that shares a layer."""
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    registry = Registry(tmp_path).start()
    push(registry.url, "team/app", "1.0")
    with asking(registry) as client:
        index = client.get("/v2/team/app/manifests/1.0")
        put = client.put(
            "/v2/team/app/manifests/latest", content=index.content, headers={"content-type": INDEX}
        )
        assert put.status_code == 201
        keep(client, LAYERS[1])
    yield up({"registries": [{"name": "main", "url": registry.url}], "probe": {"interval": "600s"}}), registry
    registry.stop()


def keep(client: httpx.Client, layer: bytes) -> None:
    """Another repository with an image of one layer."""

    def blob(data: bytes) -> dict:
        where = client.post("/v2/team/other/blobs/uploads/").headers["location"]
        assert client.put(f"{where}&digest={digest(data)}", content=data).status_code == 201
        return {"digest": digest(data), "size": len(data), "mediaType": "application/octet-stream"}

    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blob(b"{}"), "layers": [blob(layer)]}
    body = json.dumps(document).encode()
    put = client.put("/v2/team/other/manifests/1", content=body, headers={"content-type": MANIFEST})
    assert put.status_code == 201


def stored(folder: Path) -> int:
    """Bytes of all blobs on disk."""
    return sum(it.stat().st_size for it in (folder / "data/docker/registry/v2/blobs").rglob("data"))


def test_an_image_is_previewed_deleted_and_its_bytes_are_freed(stand, tmp_path):
    service, registry = stand
    with service.api() as api, asking(registry) as client:
        names = api.get("/api/v1/images?registry=main").json()["items"]
        assert [it["repository"] for it in names] == ["team/app", "team/other"]
        first = api.get("/api/v1/images?registry=main&repository=team/app&limit=1").json()
        rest = api.get(f"/api/v1/images?registry=main&repository=team/app&cursor={first['next']}").json()
        tags = {it["tag"]: it["digest"] for it in [*first["items"], *rest["items"]]}
        assert set(tags) == {"1.0", "latest"} and tags["1.0"] == tags["latest"] and rest["next"] is None

        path = f"/api/v1/images/main/team/app@{tags['1.0']}"
        preview = api.delete(f"{path}?preview=true")
        plan = preview.json()
        assert preview.status_code == 200 and not plan["deleted"] and len(plan["children"]) == 1
        assert (plan["tags"], plan["kept_children"]) == (["1.0", "latest"], [])
        assert plan["bytes"] > sum(map(len, LAYERS))
        assert client.get("/v2/team/app/manifests/1.0").status_code == 200
        assert api.get(path).headers["etag"] == preview.headers["etag"]

        for role in ("viewer", "operator", "approver"):
            with service.api(service.person(f"a-{role}", role)) as lower:
                assert lower.delete(path).status_code == 403
        push(registry.url, "team/app", "1.0")  # the same content: nothing of the plan has changed
        wrong = api.delete(path, headers={"If-Match": '"before"'})
        assert wrong.status_code == 412
        before = stored(tmp_path)
        done = api.delete(path, headers={"If-Match": preview.headers["etag"]})
        assert done.status_code == 200 and done.json() == {**plan, "deleted": True}
        assert api.delete(path).status_code == 404

        for gone in (tags["1.0"], *plan["children"]):
            assert client.get(f"/v2/team/app/manifests/{gone}").status_code == 404
        entries = [it for it in service.get("/audit")["items"] if it["event"].startswith("image.")]
        assert [it["event"] for it in entries] == ["image.deleted", "image.deleting"]
        assert {(it["actor"], it["subject"]) for it in entries} == {("admin", f"main/team/app@{tags['1.0']}")}
    registry.stop()
    collected = subprocess.run(
        ["docker-registry", "garbage-collect", str(tmp_path / f"{registry.port}.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert collected.returncode == 0, collected.stderr
    assert before - stored(tmp_path) == plan["bytes"] - len(LAYERS[1])
    registry.start()
    with asking(registry) as client:
        assert client.get(f"/v2/team/app/blobs/{digest(LAYERS[0])}").status_code == 404
        assert client.get(f"/v2/team/other/blobs/{digest(LAYERS[1])}").status_code == 200


def test_a_child_that_another_tag_needs_stays(stand):
    service, registry = stand
    with service.api() as api, asking(registry) as client:
        index = client.get("/v2/team/app/manifests/1.0")
        other = json.dumps({**index.json(), "annotations": {"build": "2"}}).encode()
        put = client.put("/v2/team/app/manifests/2.0", content=other, headers={"content-type": INDEX})
        assert put.status_code == 201
        path = f"/api/v1/images/main/team/app@{digest(index.content)}"
        plan = api.delete(f"{path}?preview=1").json()
        assert plan["children"] == [] and len(plan["kept_children"]) == 1
        assert api.delete(path).json()["deleted"]
        assert client.get(f"/v2/team/app/manifests/{plan['kept_children'][0]}").status_code == 200
        assert client.get("/v2/team/app/manifests/2.0").status_code == 200


def test_what_cannot_be_deleted_is_told_with_its_remedy(up, registry):
    push(registry.url, "team/app", "1.0")
    service: Up = up(
        {
            "registries": [
                {"name": "main", "url": registry.url},
                {"name": "gone", "url": "http://127.0.0.1:1"},
            ],
            "probe": {"interval": "600s"},
        }
    )
    with service.api() as api:
        [held] = api.get("/api/v1/images?registry=main&repository=team/app").json()["items"]
        refused = api.delete(f"/api/v1/images/main/team/app@{held['digest']}")
        assert refused.status_code == 409 and "storage.delete.enabled" in refused.json()["detail"]
        away = api.get("/api/v1/images?registry=gone")
        assert away.status_code == 503 and "refused" in away.json()["detail"]
        assert api.get("/api/v1/images?registry=none").status_code == 404
        assert api.get("/api/v1/images?registry=main&repository=no/such").status_code == 404
        assert api.delete("/api/v1/images/main/team/app@sha256:12").status_code == 422
        assert api.delete(f"/api/v1/images/main/../app@{held['digest']}").status_code in (404, 422)
