"""The threads that carry steps of actions.

Daemons: a stop of Seawall does not wait for a playbook; its worker goes on and is found again.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable

from seawall.core.errors import SeawallError

CREW = 4
Step = Callable[[str], None]
log = logging.getLogger(__name__)


class Crew:
    """Calls `guarded(step, id)` for each submitted step, in one of a few threads."""

    def __init__(self, guarded: Callable[[Step, str], None], size: int = CREW) -> None:
        self._guarded, self._lock = guarded, threading.Lock()
        self._in_hand: Counter[str] = Counter()
        self._work: queue.SimpleQueue[tuple[Step, str]] = queue.SimpleQueue()
        for number in range(size):
            threading.Thread(target=self._labour, name=f"action-{number}", daemon=True).start()

    def submit(self, step: Step, id: str) -> None:
        """Do it soon."""
        with self._lock:
            self._in_hand[id] += 1
        self._work.put((step, id))

    def has(self, id: str) -> bool:
        """Is a step of this action waiting or under way?"""
        return self._in_hand[id] > 0

    def _labour(self) -> None:
        while True:
            step, id = self._work.get()
            try:
                self._guarded(step, id)
            except SeawallError as error:  # not even that it failed could be written
                log.error("action %s: %s", id, error)
            with self._lock:
                self._in_hand[id] -= 1
                if not self._in_hand[id]:
                    del self._in_hand[id]
