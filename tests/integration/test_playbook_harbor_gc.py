"""harbor-gc against a stand-in for Harbor's API. It was never run on a real Harbor."""

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks import Bench, diff_of

LOGIN = "Basic " + base64.b64encode(b"gc-robot:hunter2-password").decode()
pytestmark = pytest.mark.integration


class Harbor:
    """Lists collections, the newest first, and starts one; each look brings it a step nearer to `ends`."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.started: list[dict[str, Any]] = []
        self.ends, self.refuse = "Success", 0
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand.answer(self, 200, stand.newest())

            def do_POST(self) -> None:
                stand.started.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                assert self.path == "/api/v2.0/system/gc/schedule"
                stand.jobs.insert(0, job(len(stand.jobs) + 1, "Pending", datetime.now(UTC)))
                stand.answer(self, 201, None)

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread.start()

    def newest(self) -> list[dict[str, Any]]:
        found = [dict(it) for it in self.jobs[:1]]
        if self.jobs and self.jobs[0]["job_status"] in ("Pending", "Running"):
            step = {"Pending": "Running", "Running": self.ends}[self.jobs[0]["job_status"]]
            self.jobs[0] |= {"job_status": step, "update_time": datetime.now(UTC).isoformat()}
        return found

    def answer(self, request: BaseHTTPRequestHandler, status: int, document: Any) -> None:
        if request.headers["authorization"] != LOGIN:
            status, document = 401, {"errors": [{"code": "UNAUTHORIZED"}]}
        elif self.refuse:
            status, document = self.refuse, {"errors": [{"code": "FORBIDDEN"}]}
        body = b"" if document is None else json.dumps(document).encode()
        request.send_response(status)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def job(number: int, status: str, at: datetime) -> dict[str, Any]:
    moment = at.isoformat().replace("+00:00", "Z")
    return {
        "id": number,
        "job_name": "GARBAGE_COLLECTION",
        "job_kind": "MANUAL",
        "job_parameters": '{"delete_untagged":false}',
        "job_status": status,
        "creation_time": moment,
        "update_time": moment,
    }


@pytest.fixture
def harbor() -> Iterator[Harbor]:
    made = Harbor()
    yield made
    made.stop()


@pytest.fixture
def bench(harbor: Harbor, tmp_path: Path) -> Bench:
    login = tmp_path / "login"
    login.write_text("hunter2-password\n")
    facts = {"url": harbor.url, "harbor": {"username": "gc-robot", "login_file": str(login)}}
    return Bench("harbor-gc", tmp_path, facts)


def test_a_collection_is_started_waited_for_and_not_repeated(harbor: Harbor, bench: Bench) -> None:
    harbor.jobs = [job(1, "Success", datetime.now(UTC) - timedelta(days=3))]
    assert "+garbage collection: success (untagged artifacts are kept)" in diff_of(bench.check())
    assert harbor.started == []
    assert bench.run().status == "successful"
    body = {"schedule": {"type": "Manual"}, "parameters": {"delete_untagged": False, "dry_run": False}}
    assert harbor.started == [body]
    bench.changes_nothing_again()
    assert harbor.started == [body]


def test_one_that_runs_is_waited_for(harbor: Harbor, bench: Bench) -> None:
    harbor.jobs = [job(7, "Pending", datetime.now(UTC))]
    outcome = bench.run()
    assert (outcome.status, outcome.changes, harbor.started) == ("successful", (), [])
    assert harbor.jobs[0]["job_status"] == "Success"


def test_one_that_fails_fails_the_run(harbor: Harbor, bench: Bench) -> None:
    harbor.ends = "Error"
    outcome = bench.run()
    assert outcome.status == "failed"
    assert "the collection 1 ended as Error" in outcome.message


def test_a_refused_login_and_a_missing_right_are_named(harbor: Harbor, bench: Bench, tmp_path: Path) -> None:
    harbor.refuse = 403
    assert "the account may not collect garbage" in bench.check().message
    (tmp_path / "login").write_text("wrong-password\n")
    message = bench.check().message
    assert "401: the login is refused" in message
    assert "wrong-password" not in message
