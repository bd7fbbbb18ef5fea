"""The newest hash of the audit log on /metrics and in messages: an anchor outside, which a cut-off log does
not reach."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from seawall.core.errors import SeawallError
from seawall.core.ports import RecordStore

HEAD = "seawall_audit_head_info"
SHORT = 16  # hex digits in a message; `seawall audit verify --head` takes them


def head_of(records: RecordStore) -> tuple[int, str]:
    """(number, hash) of the newest entry; (0, "") where there is none."""
    found, _ = records.audit_entries(1)
    return (int(found[0]["seq"]), str(found[0]["hash"])) if found else (0, "")


def anchor_of(records: RecordStore) -> str:
    """The line that messages to people carry; "" where the log is empty."""
    seq, head = head_of(records)
    return f"audit log: entry {seq}, hash {head[:SHORT]}" if seq else ""


class HeadCollector(Collector):
    """The newest hash on /metrics: whoever scrapes it has an anchor outside, which nobody can cut off."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The value is the entry's number."""
        family = GaugeMetricFamily(HEAD, "Number of the newest audit entry, and its hash", labels=("hash",))
        try:
            seq, head = head_of(self._records)
        except SeawallError:  # a store that is away costs this figure, not the page
            return
        family.add_metric((head,), seq)
        yield family

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Its name, without asking the store."""
        yield GaugeMetricFamily(HEAD, "Number of the newest audit entry, and its hash", labels=("hash",))
