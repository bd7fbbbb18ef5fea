"""What is sent to a server: at once while it answers, through the spool while it does not.

Order is kept: while anything waits, all that is new waits behind it. A read while something waits would be
told half of the truth, so it is refused: its rows are unknown.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from seawall.core.errors import StoreUnavailable
from seawall.stores.spool import Spool

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # seconds
MOST, LARGEST = 64, 16 << 20  # records and bytes that go out at once after an outage
log = logging.getLogger(__name__)


class Outbox:
    """`deliver` takes a record and returns how many items were new; StoreUnavailable: try again later. A
    repeat of a record must change nothing."""

    def __init__(
        self,
        name: str,
        spool: Spool,
        deliver: Callable[[bytes], int],
        merge: Callable[[Sequence[bytes]], bytes] | None = None,
    ) -> None:
        """`merge` makes one record of several that follow one another, so that what waited goes out in large
        deliveries; without it each goes out alone."""
        self._name, self._spool, self._deliver, self._merge = name, spool, deliver, merge
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._worker: threading.Thread | None = None
        self._reason = "it was not delivered before a restart"
        if len(spool):
            self._start()

    @property
    def depth(self) -> int:
        """Records that wait."""
        return len(self._spool)

    def send(self, record: bytes) -> int | None:
        """How many items were new; None if the record waits in the spool, durably. StoreUnavailable when the
        spool is full: nothing was taken."""
        with self._lock:
            if not len(self._spool):
                try:
                    return self._deliver(record)
                except StoreUnavailable as error:
                    self._reason = str(error)
                    log.error("%s; what is new waits in the spool", error)
            self._spool.put(record)
            self._start()
            return None

    def check(self) -> None:
        """StoreUnavailable while something waits."""
        if len(self._spool):
            raise StoreUnavailable(
                f"{self._name}: {len(self._spool)} deliveries ({self._spool.size >> 10} KiB)"
                f" wait in the spool; {self._reason}"
            )

    def close(self) -> None:
        """Stop delivering; what waits is found at the next start."""
        self._stop.set()
        if self._worker is not None:
            self._worker.join()

    def _start(self) -> None:
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._drain, name=f"spool {self._name}", daemon=True)
            self._worker.start()

    def _drain(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            records = self._spool.leading(MOST if self._merge else 1, LARGEST)
            if not records and self._done():
                return
            if not records:
                continue
            try:
                self._deliver(self._merge(records) if self._merge and len(records) > 1 else records[0])
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    log.exception("%s: an unexpected fault; the delivery stays in the spool", self._name)
                self._reason = str(error)
                self._stop.wait(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            self._spool.drop(len(records))
            pause = FIRST_PAUSE

    def _done(self) -> bool:
        """True if nothing waits; the next record that must wait starts a new worker."""
        with self._lock:
            if len(self._spool):
                return False
            self._worker = None
            log.warning("%s: the spool is empty again", self._name)
            return True
