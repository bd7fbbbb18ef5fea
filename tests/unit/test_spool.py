"""The spool: order, limits, and what a kill leaves."""

import pytest

from seawall.core.errors import StoreUnavailable
from seawall.stores.spool import Spool
from seawall.stores.spool_outbox import Outbox
from tests.serving import until

LIMIT = 1 << 20


def drained(spool: Spool) -> list[bytes]:
    found = []
    while (record := spool.first()) is not None:
        found.append(record)
        spool.drop()
    return found


def test_records_come_in_order_and_again_after_a_restart(tmp_path):
    spool = Spool(tmp_path, LIMIT, segment=100)
    sent = [f"record {number}".encode() * 5 for number in range(30)]
    for record in sent:
        spool.put(record)
    assert spool.first() == sent[0] and len(list(tmp_path.glob("*.seg"))) > 3
    for _ in range(7):
        spool.drop()
    again = Spool(tmp_path, LIMIT, segment=100)
    assert again.last() == sent[-1] and len(again) == 23
    assert drained(again) == sent[7:] and again.size == 0
    assert list(tmp_path.iterdir()) == []


def test_a_position_of_a_file_that_is_gone_does_not_skip_records_of_a_new_one(tmp_path):
    spool = Spool(tmp_path, LIMIT)
    spool.put(b"a")
    spool.put(b"b")
    spool.drop()
    spool.drop()
    spool.put(b"c")
    assert drained(Spool(tmp_path, LIMIT)) == [b"c"]


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_record_that_was_half_written_at_a_kill_is_cut_off(tmp_path, cut):
    spool = Spool(tmp_path, LIMIT)
    spool.put(b"whole")
    [path] = tmp_path.glob("*.seg")
    whole = path.read_bytes()
    spool.put(b"half written")
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    again = Spool(tmp_path, LIMIT)
    again.put(b"new")
    assert drained(Spool(tmp_path, LIMIT)) == [b"whole", b"new"]


def test_beyond_its_limit_nothing_is_taken_and_nothing_lost(tmp_path):
    spool = Spool(tmp_path, 60)
    spool.put(b"first")
    with pytest.raises(StoreUnavailable, match="spool is full"):
        spool.put(bytes(range(256)))
    assert drained(Spool(tmp_path, 60)) == [b"first"]


def test_the_first_lines_of_all_records_are_told(tmp_path):
    spool = Spool(tmp_path, 10 * LIMIT)
    spool.put(b"head one\n" + b"x" * 200_000)
    spool.put(b"y" * 100_000 + b"\nrest")
    assert list(spool.heads()) == [b"head one", b"y" * 100_000]


def test_the_oldest_records_are_taken_together_up_to_a_size(tmp_path):
    spool = Spool(tmp_path, LIMIT, segment=100)
    sent = [f"record {number}".encode() * 5 for number in range(30)]
    for record in sent:
        spool.put(record)
    assert spool.leading(1000, LIMIT) == sent and spool.leading(3, LIMIT) == sent[:3]
    assert spool.leading(1000, 100) == sent[:3] and spool.leading(1000, 1) == sent[:1]
    spool.drop(9)
    again = Spool(tmp_path, LIMIT, segment=100)
    assert len(again) == 21 and again.leading(2, LIMIT) == sent[9:11]
    again.drop(21)
    assert again.leading(5, LIMIT) == [] and again.size == 0 and list(tmp_path.iterdir()) == []


def test_what_waited_goes_out_together_and_stays_until_it_was_taken(tmp_path):
    away, heard = [True], []

    def deliver(record: bytes) -> int:
        if away[0]:
            raise StoreUnavailable("it is away")
        heard.append(record)
        return 1

    outbox = Outbox("server", Spool(tmp_path, LIMIT), deliver, b"+".join)
    for number in range(150):
        assert outbox.send(b"%d" % number) is None
    outbox.close()
    assert outbox.depth == 150 and heard == []
    away[0] = False
    again = Outbox("server", Spool(tmp_path, LIMIT), deliver, b"+".join)
    until(lambda: again.depth == 0, 20, "the spool was emptied")
    assert b"+".join(heard).split(b"+") == [b"%d" % number for number in range(150)] and len(heard) == 3
    again.close()


def test_while_something_waits_what_is_new_waits_behind_it(tmp_path):
    away, heard = [True], []

    def deliver(record: bytes) -> int:
        if away[0]:
            raise StoreUnavailable("it is away")
        heard.append(record)
        return 1

    outbox = Outbox("server", Spool(tmp_path, LIMIT), deliver)
    assert [outbox.send(b"1"), outbox.send(b"2")] == [None, None]
    with pytest.raises(StoreUnavailable, match="it is away"):
        outbox.check()
    away[0] = False
    outbox.send(b"3")
    until(lambda: outbox.depth == 0, 20, "the spool was emptied")
    outbox.check()
    assert outbox.send(b"4") == 1 and heard == [b"1", b"2", b"3", b"4"]
    outbox.close()
