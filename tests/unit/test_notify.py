"""The embedded notifier, its durable outbox and its channels, against real listeners on loopback."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerts.channels import Address, Message, NotSent, send
from alerts.notify import Links, Notifier
from alerts.outbox import Outbox
from alerts.slos import load_rows
from seawall.core.incidents import Finding, IncidentState, Severity
from seawall.stores.sql import SqlRecords
from tests.fakes import T

MESSAGE = Message("inc-1:opened:1", "opened", "page", "main", "inc-1", "main is down", "nobody can pull", "u")


class Clock:
    def __init__(self) -> None:
        self.at = T

    def now(self) -> float:
        return self.at


class Listener:
    """A real HTTP server that keeps what it is sent; `status` and `answer` are what it says."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], dict]] = []
        self.status, self.answer = 200, b"{}"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.got.append((self.path, dict(self.headers), body))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.answer)))
                self.end_headers()
                self.wfile.write(outer.answer)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kinds(self) -> list[str]:
        return [body["kind"] for _, _, body in self.got]


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    yield one
    one.server.shutdown()
    one.server.server_close()


def address(listener: Listener, kind: str = "webhook", name: str = "hook") -> Address:
    return Address(name, kind, ("page", "ticket"), lambda: f"{listener.url}/in", lambda: "s3cret")


@pytest.fixture
def records() -> Iterator[SqlRecords]:
    store = SqlRecords("memory:")
    yield store
    store.close()


def opened(records: SqlRecords, severity: Severity = Severity.PAGE):
    finding = Finding("seawall", "availability", "main", "availability", "main is down", "x", T, severity)
    return records.open_incident(finding, "seawall")[0]


def resolved(records: SqlRecords, incident):
    over = replace(records.incident(incident.id), state=IncidentState.RESOLVED, resolved_at=T + 60)
    return records.save_incident(over, "seawall", "incident.resolved", {}, T + 60)


def notifier(records, path, addresses, clock, **more) -> Notifier:
    return Notifier(
        records, Outbox(path), addresses, load_rows(), clock, Links("https://s", "https://r"), **more
    )


def turn(one: Notifier) -> None:
    one.look()
    one.deliver()


def test_one_state_is_told_once_over_restarts(records, tmp_path, listener):
    clock, path = Clock(), tmp_path / "outbox.sqlite"
    incident = opened(records)
    for _ in range(3):  # each a restart
        turn(notifier(records, path, [address(listener)], clock))
    assert listener.kinds() == ["opened"]
    body = listener.got[0][2]
    assert (body["url"], body["runbook"]) == (
        f"https://s/incidents/{incident.id}", "https://r/SeawallRegistryUnavailable.md",
    )  # fmt: skip
    resolved(records, incident)
    for _ in range(3):
        turn(notifier(records, path, [address(listener)], clock))
    assert listener.kinds() == ["opened", "resolved"]


def test_what_was_put_in_and_not_sent_is_sent_after_the_kill(records, tmp_path, listener):
    clock, path = Clock(), tmp_path / "outbox.sqlite"
    opened(records)

    def dies(to: Address, message: Message) -> None:
        raise KeyboardInterrupt  # the process ends inside the attempt

    dying = notifier(records, path, [address(listener)], clock, deliver=dies)
    dying.look()
    with pytest.raises(KeyboardInterrupt):
        dying.deliver()
    assert listener.got == []
    turn(notifier(records, path, [address(listener)], clock))
    assert listener.kinds() == ["opened"]


def test_a_channel_that_fails_is_tried_later_in_order_and_delays_no_other(records, tmp_path, listener):
    clock, other = Clock(), Listener()
    other.status = 500
    two = [address(other, name="broken"), address(listener)]
    one = notifier(records, tmp_path / "o.sqlite", two, clock)
    incident = opened(records)
    turn(one)
    resolved(records, incident)
    turn(one)
    assert listener.kinds() == ["opened", "resolved"]
    assert (other.kinds(), one.waiting()) == (["opened"], 2)  # not again within the pause
    other.status = 200
    clock.at += 6
    turn(one)
    assert (other.kinds(), one.waiting()) == (["opened", "opened", "resolved"], 0)
    other.server.shutdown()
    other.server.server_close()


def test_reopened_is_told_again_and_what_nobody_heard_of_is_not_resolved(records, tmp_path, listener):
    one = notifier(records, tmp_path / "o.sqlite", [address(listener)], Clock())
    incident = resolved(records, opened(records))
    turn(one)
    assert listener.got == []
    incident = records.save_incident(
        replace(incident, state=IncidentState.OPEN, resolved_at=None), "a", "incident.reopened", {}, T + 70
    )
    turn(one)
    incident = resolved(records, incident)
    turn(one)
    records.save_incident(replace(incident, state=IncidentState.OPEN), "a", "incident.reopened", {}, T + 90)
    turn(one)
    assert listener.kinds() == ["opened", "resolved", "opened"]


def test_a_channel_gets_only_its_severities(records, tmp_path, listener):
    pages = replace(address(listener), severities=("page",))
    opened(records, Severity.TICKET)
    turn(notifier(records, tmp_path / "o.sqlite", [pages], Clock()))
    assert listener.got == []


@pytest.mark.parametrize("kind", ["webhook", "slack", "pagerduty"])
def test_a_refusal_is_an_error_without_the_secret(listener, kind):
    send(address(listener, kind), MESSAGE)
    listener.status = 403
    with pytest.raises(NotSent, match="HTTP 403") as error:
        send(address(listener, kind), MESSAGE)
    assert "s3cret" not in str(error.value)
    assert listener.url not in str(error.value)


@pytest.mark.parametrize("kind", ["dingtalk", "wecom"])
def test_these_answer_200_and_tell_the_truth_in_errcode(listener, kind):
    listener.answer = b'{"errcode": 0}'
    send(address(listener, kind), MESSAGE)
    assert listener.got[0][2]["msgtype"] == "markdown"
    assert ("sign=" in listener.got[0][0]) is (kind == "dingtalk")
    listener.answer = b'{"errcode": 310000, "errmsg": "sign not match"}'
    with pytest.raises(NotSent, match="errcode 310000"):
        send(address(listener, kind), MESSAGE)


def test_pagerduty_resolves_what_it_triggered(listener):
    send(address(listener, "pagerduty"), MESSAGE)
    send(address(listener, "pagerduty"), replace(MESSAGE, kind="resolved"))
    events = [body for _, _, body in listener.got]
    assert [it["event_action"] for it in events] == ["trigger", "resolve"]
    assert {it["dedup_key"] for it in events} == {"inc-1"}
