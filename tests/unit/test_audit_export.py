"""The audit log sent on: real sockets, a real database, a real event store."""

import json
import re
import socket

import pytest

from seawall.audit.export import AuditExport
from seawall.config.audit import Audit
from seawall.stores.memory import MemoryEvents
from seawall.stores.sql import SqlRecords
from tests.fakes import T

RFC5424 = re.compile(rb"<(\d+)>1 (\S+) (\S+) seawall (\d+) (\S+) - (\{.*\})", re.S)


@pytest.fixture
def records():
    found = SqlRecords("memory:")
    found.audit("ada", "action.approved", "act-1", {"reason": "because\nof <that>"}, T)
    found.audit("(unknown)", "login.failed", "(unknown)", {"address": "192.0.2.1"}, T + 1)
    yield found
    found.close()


def test_syslog_gets_each_entry_once_in_order_over_udp(records):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        target = Audit(syslog=f"udp://127.0.0.1:{server.getsockname()[1]}")
        export = AuditExport(target, records, MemoryEvents())
        assert export.step() == 2 and export.step() == 0
        found = [RFC5424.fullmatch(server.recv(9000)).groups() for _ in range(2)]
        records.audit("ada", "big", "x", {"text": "y" * 9000}, T + 2)
        again = AuditExport(target, records, MemoryEvents())
        assert again.step() == 1, "where it had come to outlives a restart"
        cut = json.loads(RFC5424.fullmatch(server.recv(9000))[6])
    assert [(it[0], it[4]) for it in found] == [(b"85", b"action.approved"), (b"84", b"login.failed")]
    first = json.loads(found[0][5])
    assert (first["seq"], first["actor"], first["detail"]) == (1, "ada", {"reason": "because\nof <that>"})
    assert first["hash"] == records.audit_since(0, 1)[0]["hash"]
    assert cut["detail"]["cut"] > 9000


def test_over_tcp_each_message_says_its_length(records):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        target = Audit(syslog=f"tcp://127.0.0.1:{server.getsockname()[1]}", facility="local0")
        assert AuditExport(target, records, MemoryEvents()).step() == 2
        peer, _ = server.accept()
        with peer, peer.makefile("rb") as stream:
            data = stream.read()
    for _ in range(2):
        length, _, data = data.partition(b" ")
        message, data = data[: int(length)], data[int(length) :]
        assert RFC5424.fullmatch(message)
    assert data == b""


def test_a_server_that_is_away_gets_all_of_it_later_and_is_told_of_once(records, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    export = AuditExport(Audit(syslog=f"tcp://127.0.0.1:{port}", events=True), records, MemoryEvents())
    assert export.step() == 2, "the event store takes them all the same"
    assert export.step() == 0
    assert len([it for it in caplog.records if "audit log not sent" in it.message]) == 1
    with socket.create_server(("127.0.0.1", port)):
        assert export.step() == 2


def test_the_event_store_gets_events_and_again_has_no_effect(records):
    events = MemoryEvents()
    assert AuditExport(Audit(events=True), records, events).step() == 2
    records.audit_mark("events", 0)
    AuditExport(Audit(events=True), records, events).step()
    found = events.recent(None, T - 1, T + 10, 10)
    assert len(found) == 2
    assert found[0].fields["event.action"] == "login.failed" and found[0].fields["event.outcome"] == "failure"


@pytest.mark.parametrize("url", ["logs.example.com", "http://x:1", "udp://user@x:1", "udp://x", "unix:dev"])
def test_a_wrong_server_is_refused(url):
    with pytest.raises(ValueError, match="is no syslog server"):
        Audit(syslog=url)
