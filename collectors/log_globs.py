"""Several followed logs by one pattern, such as `/var/log/harbor/*.log`; new files are found as they come.

A rotated or compressed file is no log of its own: `x.log.1` and `x-20261124.log` belong to `x.log`.
"""

import asyncio
import glob
from collections import Counter, deque
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from collectors.log_lines import KEPT_LINES, Backlog
from collectors.logs import Claims, FollowedLog, rotations_of
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import Batch

MAX_FILES = 500
_FULL = 30_000  # events
_REMEDY = "give a pattern of the registry's logs, and let Seawall's user list the folder"
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst")


def is_pattern(path: str) -> bool:
    """Does the path hold `*`, `?` or `[`?"""
    return glob.has_magic(path)


class GlobbedLogs:
    """Collector of every log that a pattern names. `position` gives the stored checkpoint of a source.

    A file that cannot be read is a note while others can; only then do the others go on.
    """

    def __init__(
        self,
        registry: str,
        pattern: str,
        position: Callable[[str], str | None],
        interval: float = 5.0,
        timeout: float = 30.0,
        claims: Claims | None = None,
    ) -> None:
        self.name, self.registry = f"logs:{pattern}", registry
        self.interval, self.timeout = interval, timeout
        self._pattern, self._position = pattern, position
        self._claims = claims if claims is not None else {}
        self._logs: dict[str, FollowedLog] = {}
        self._collected: list[FollowedLog] = []
        self._waiting = False
        self._forgotten: Counter[str] = Counter()
        self._backlog = Backlog(registry, self.name)

    @property
    def lines(self) -> Counter[str]:
        """What became of the lines that are stored, over all files."""
        return sum((log.lines for log in self._logs.values()), self._forgotten)

    @property
    def odd_lines(self) -> deque[str]:
        """Some lines that were not understood, masked."""
        return deque(chain.from_iterable(log.odd_lines for log in self._logs.values()), KEPT_LINES)

    @property
    def backlog(self) -> int:
        """Bytes that the last collection left unread, over all files."""
        return self._backlog.bytes

    @property
    def more(self) -> bool:
        """Did a file's last collection stop because it had read enough, or wait for its turn?"""
        return self._waiting or any(log.more for log in self._collected)

    async def collect(self, now: float) -> Batch:
        """The lines added to the files; after `_FULL` events the other files wait for their turn."""
        batch, faults = Batch(), []
        self._collected, self._waiting = [], False
        await asyncio.to_thread(self._find)
        for path, log in list(self._logs.items()):
            self._waiting = len(batch.events) > _FULL
            if self._waiting:
                break
            self._logs[path] = self._logs.pop(path)  # to the end of the queue
            try:
                found = await log.collect(now)
            except SeawallError as error:
                faults.append(str(error))
                self._forget_gone(path, log)
                continue
            self._collected.append(log)
            batch.events += found.events
            batch.checkpoints.update(found.checkpoints)
        if not self._collected:
            finding = "; ".join(faults[:3]) or "no file has such a name"
            raise InputError(self._pattern, finding, _REMEDY)
        batch.notes += faults[:10]
        self._backlog.tell(batch, sum(log.backlog for log in self._logs.values()), now)
        return batch

    async def stored(self) -> None:
        """The batch is durable: every position in it advances."""
        for log in self._collected:
            await log.stored()

    def _find(self) -> None:
        """Follow what is new, from its stored checkpoint or its beginning."""
        found = glob.glob(self._pattern, recursive=True)  # noqa: PTH207 - Path's takes no absolute pattern
        for path in _originals(found):
            if path not in self._logs and len(self._logs) < MAX_FILES:
                log = FollowedLog(self.registry, path, claims=self._claims)
                log.restore(self._position(log.source))
                self._logs[path] = log

    def _forget_gone(self, path: str, log: FollowedLog) -> None:
        """A file that is gone is found again if it comes back; its counts stay."""
        if not Path(path).exists():
            log.close()
            self._forgotten += self._logs.pop(path).lines


def _originals(paths: list[str]) -> list[str]:
    """Without rotated and compressed files, and without further names of a file."""
    candidates = sorted(path for path in paths if not path.endswith(_COMPRESSED) and Path(path).is_file())
    files: dict[tuple[int, int], str] = {}
    for path in candidates:
        if not any(
            rotations_of(Path(other)).fullmatch(Path(path).name) for other in _beside(path, candidates)
        ):
            found = Path(path).stat()
            files.setdefault((found.st_dev, found.st_ino), path)
    return list(files.values())


def _beside(path: str, candidates: list[str]) -> list[str]:
    """Files of the same folder of which this one may be a rotation: their names begin it."""
    folder, name = Path(path).parent, Path(path).name
    return [
        other
        for other in candidates
        if other != path and Path(other).parent == folder and name.startswith(Path(other).stem)
    ]
