"""What every part of the API keeps to: pages, filters, ETags, idempotency, resume, rate limits."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_up import TOKEN, alert, deliver
from tests.serving import Up

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    secret = folder / "token"
    secret.touch(mode=0o600)
    secret.write_text(TOKEN)
    config = {
        "registries": [{"name": name, "url": "http://127.0.0.1:1"} for name in ("main", "other")],
        "probe": {"interval": "600s", "timeout": "500ms"},
        "webhooks": {name: {"token_file": str(secret)} for name in ("alertmanager", "distribution")},
    }
    running = Up(folder, config).start()
    notify(running, "main", [("pull", f"team/app{number}") for number in range(7)])
    notify(running, "main", [("push", "team/new"), ("push", "team/New-ER")])
    notify(running, "other", [("pull", "team/app1")])
    yield running
    running.stop()


def notify(service: Up, registry: str, what: list[tuple[str, str]]) -> None:
    """Notifications as a Distribution registry sends them."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    events = [
        {
            "id": f"{registry}-{action}-{repository}",
            "timestamp": now,
            "action": action,
            "target": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": "sha256:" + "0" * 64,
                "repository": repository.lower(),
                "url": f"http://127.0.0.1/v2/{repository}/manifests/x",
            },
            "request": {
                "id": "r",
                "addr": "10.0.0.1:1",
                "method": "GET",
                "useragent": f"agent of {repository}",
            },
            "actor": {"name": "ada"},
        }
        for action, repository in what
    ]
    answer = httpx.post(
        f"{service.url}/api/v1/webhooks/distribution?registry={registry}",
        json={"events": events},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert answer.json() == {"events": len(events)}


def every(api: httpx.Client, path: str, **query) -> list[dict]:
    """All items, page by page."""
    items, cursor = [], None
    for _ in range(100):
        page = api.get(path, params={**query, **({"cursor": cursor} if cursor else {})}).json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items
    raise AssertionError("the pages do not end")


def incident(service: Up) -> dict:
    """The incident of an alert."""
    answer = deliver(service, alert())
    assert answer.status_code == 202, answer.text
    return service.get(f"/incidents/{answer.json()['incidents'][0]}")


def test_events_go_by_pages_and_filters(service):
    with service.api() as api:
        every_one = every(api, "/api/v1/events", user="ada", limit=3)
        assert len(every_one) == 10 == len({it["event.id"] for it in every_one})
        assert every_one == every(api, "/api/v1/events", user="ada")
        assert len(every(api, "/api/v1/events", user="ada", registry="main", action="pull", limit=2)) == 7
        assert len(every(api, "/api/v1/events", user="ada", action="push", q="NEW-er")) == 1
        assert {
            it["registry.name"] for it in every(api, "/api/v1/events", user="ada", repository="team/app1")
        } == {
            "main",
            "other",
        }
        assert every(api, "/api/v1/events", user="eve") == []
        assert every(api, "/api/v1/events", user="ada", until="2020-01-01T00:00:00Z") == []
        assert len(every(api, "/api/v1/events", user="ada", since="2020-01-01T00:00:00Z")) == 10
        for wrong in ("since=yesterday", "cursor=nonsense", "cursor=WzEsMl0", "until=0000"):
            answer = api.get(f"/api/v1/events?{wrong}")
            assert answer.status_code == 400, wrong
            assert answer.headers["content-type"] == "application/problem+json"


def test_lists_in_memory_go_by_pages_too(service):
    with service.api() as api:
        rows = every(api, "/api/v1/slos", limit=3)
        named = [(row["registry"], row["name"]) for row in rows]
        assert len(rows) == 2 * len({row["name"] for row in rows}) > 3
        assert named == [(row["registry"], row["name"]) for row in every(api, "/api/v1/slos")]
        assert len(named) == len(set(named))
        unknown = every(api, "/api/v1/slos", registry="main", status="unknown")
        assert unknown and {(row["registry"], row["status"]) for row in unknown} == {("main", "unknown")}
        assert len(every(api, "/api/v1/playbooks", limit=2)) == len(every(api, "/api/v1/playbooks"))


def test_nobody_changes_what_they_have_not_seen(service):
    with service.api() as api:
        path = f"/api/v1/incidents/{incident(service)['id']}"
        first = api.get(path)
        etag = first.headers["etag"]
        assert api.get(path, headers={"If-None-Match": etag}).status_code == 304
        changed = api.post(f"{path}/note", json={"text": "one"}, headers={"If-Match": etag})
        assert changed.status_code == 200 and changed.headers["etag"] != etag
        stale = api.post(f"{path}/note", json={"text": "two"}, headers={"If-Match": etag})
        assert stale.status_code == 412 and changed.headers["etag"] in stale.json()["detail"]
        assert api.get(path, headers={"If-None-Match": etag}).status_code == 200
        told = [line["text"] for line in api.get(f"{path}/timeline").json()["items"]]
        assert "one" in told and "two" not in told
        found = every(api, "/api/v1/incidents", registry="main", limit=1)
        assert [it["registry"] for it in found] == ["main"] * len(found) and found
        assert every(api, "/api/v1/incidents", registry="other") == []


def test_a_repeated_post_has_one_effect_also_after_a_crash(service):
    path = f"/api/v1/incidents/{incident(service)['id']}"
    key = {"Idempotency-Key": "4ee7ba41-note"}

    def notes() -> int:
        return [it["text"] for it in service.get(f"{path[7:]}/timeline")["items"]].count("only once")

    with service.api() as api, ThreadPoolExecutor(8) as many:

        def send(_number: int) -> httpx.Response:
            return api.post(f"{path}/note", json={"text": "only once"}, headers=key)

        answers = list(many.map(send, range(8)))
        assert {it.status_code for it in answers} <= {200, 409}
        good = next(it for it in answers if it.status_code == 200)
        assert notes() == 1
        service.kill()
        service.start()
        again = send(9)
        assert again.headers["idempotent-replayed"] == "true"
        assert (again.json(), again.headers["etag"]) == (good.json(), good.headers["etag"])
        other = api.post(f"{path}/note", json={"text": "another"}, headers=key)
        assert other.status_code == 422
        assert (
            api.post(
                f"{path}/note", json={"text": ""}, headers={"Idempotency-Key": "the-next-key"}
            ).status_code
            == 422
        )
        assert (
            api.post(
                f"{path}/note", json={"text": "k"}, headers={"Idempotency-Key": "the-next-key"}
            ).status_code
            == 200
        )
        assert (
            api.post(f"{path}/note", json={"text": "k"}, headers={"Idempotency-Key": "short"}).status_code
            == 400
        )
    assert notes() == 1


def test_a_secret_is_shown_once_and_kept_nowhere(service):
    with service.api() as api:
        new = {"json": {"name": "once", "role": "viewer"}, "headers": {"Idempotency-Key": "a-new-token"}}
        first = api.post("/api/v1/tokens", **new)
        assert first.status_code == 201
        assert api.post("/api/v1/tokens", **new).status_code == 409
    secret = first.json()["token"].encode()
    assert all(secret not in it.read_bytes() for it in service.state.glob("records.sqlite*"))


def heard(service: Up, count: int, last: str = "") -> list[tuple[str, str, str]]:
    """(id, event, data) of so many messages of the stream; those of the cycle, which turns, are left out."""
    found, fields = [], {}
    headers = {"Last-Event-ID": last} if last else {}
    with service.api() as api, api.stream("GET", "/api/v1/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        if not last:
            switch(service)
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if not line and "event" in fields:
                if fields["event"] in ("freeze", "reset"):
                    found.append((fields["id"], fields["event"], fields["data"]))
                fields = {}
                if len(found) == count:
                    return found
            elif name:
                fields[name] = value
    raise AssertionError("the stream ended")


def switch(service: Up) -> None:
    with service.api() as api:
        for verb in ("freeze", "unfreeze"):
            assert api.post(f"/api/v1/{verb}", json={"reason": "a test"}).status_code == 200


def test_the_stream_goes_on_where_it_broke_off(service):
    first = heard(service, 2)
    assert [(event, data) for _, event, data in first] == [
        ("freeze", '{"frozen": true}'),
        ("freeze", '{"frozen": false}'),
    ]
    switch(service)
    missed = heard(service, 3, first[0][0])
    assert missed[0] == first[1]
    assert [event for _, event, _ in missed] == ["freeze"] * 3
    [(at, event, _)] = heard(service, 1, "another-7")
    assert event == "reset" and int(at.rpartition("-")[2]) >= int(missed[2][0].rpartition("-")[2])
    assert heard(service, 1, "nonsense")[0][1] == "reset"


def test_the_examples_of_the_page_run(service):
    page = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    told = {"url": service.url, "token": service.token(), "incident": incident(service)["id"]}
    exec(compile(code, "docs/api.md", "exec"), told)
    assert len(told["pushes"]) == 2 and told["last"] and told["answer"].headers["idempotent-replayed"]
    assert all(row["status"] == "breached" for row in told["broken"])
    notes = [it["text"] for it in service.get(f"/incidents/{told['incident']}/timeline")["items"]]
    assert notes.count("looking") == 1
    told["api"].close()


def test_too_many_requests_are_told_when_to_come_back(up):
    slow = up({"server": {"requests_per_second": 0.5, "requests_at_once": 3}})
    with slow.api() as api:
        assert [api.get("/api/v1/freeze").status_code for _ in range(6)].count(429) >= 2
        refused = api.get("/api/v1/freeze")
        assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 2
        assert refused.headers["content-type"] == "application/problem+json"
        assert {api.get(path).status_code for path in ("/healthz", "/readyz", "/metrics") * 3} == {200}
    codes = set()
    for number in range(8):  # a guesser gets no new bucket by another guess
        with slow.api(f"sw_guess{number}") as stranger:
            codes.add(stranger.get("/api/v1/freeze").status_code)
    assert codes == {401, 429}
