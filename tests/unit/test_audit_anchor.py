"""The audit log's newest hash leaves the machine with each message; a log that was cut off is found by it."""

import pytest
import sqlalchemy as sa

from alerts.notify import Links, Notifier
from alerts.outbox import Outbox
from alerts.slos import load_rows
from seawall.audit.head import anchor_of, head_of
from seawall.core.errors import InputError
from seawall.stores.audit_file import verify_file
from seawall.stores.schema import audit
from seawall.stores.sql import SqlRecords
from tests.unit.test_notify import Clock, address, listener, opened

__all__ = ["listener"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records.sqlite"


@pytest.fixture
def records(path):
    found = SqlRecords(f"sqlite:{path}")
    yield found
    found.close()


def test_each_message_carries_the_newest_entry_and_a_log_cut_off_later_is_found_by_it(
    records, path, listener, tmp_path
):
    opened(records)
    links = Links("https://seawall.example", "", anchor=lambda: anchor_of(records))
    kinds = [address(listener, kind, kind) for kind in ("webhook", "slack", "pagerduty")]
    notifier = Notifier(records, Outbox(tmp_path / "outbox.sqlite"), kinds, load_rows(), Clock(), links)
    notifier.look()
    notifier.deliver()
    seq, head = head_of(records)
    anchor = f"audit log: entry {seq}, hash {head[:16]}"
    webhook, slack, pagerduty = (body for _, _, body in listener.got)
    assert webhook["anchor"] == anchor == pagerduty["payload"]["custom_details"]["audit"]
    assert slack["text"].endswith(f"\n{anchor}")
    noted = webhook["anchor"].rpartition(" ")[2]
    records.audit("ada", "user.created", "eve", {}, 1.0)
    assert verify_file(path, noted)["ok"]
    with (
        records._write() as db
    ):  # an attacker with the database: the newest entries are gone, the chain holds
        db.execute(sa.delete(audit).where(audit.c.seq >= seq))
    assert verify_file(path)["ok"]
    cut = verify_file(path, noted)
    assert not cut["ok"] and "cut off" in cut["fault"]


def test_an_empty_log_has_no_anchor():
    records = SqlRecords("memory:")
    assert anchor_of(records) == ""
    records.close()


@pytest.mark.parametrize("head", ["abc", "%" * 16, "f" * 65, "F" * 16])
def test_what_is_no_hash_is_refused(records, path, head):
    with pytest.raises(InputError, match="no hash"):
        verify_file(path, head)
