"""Pushes of the last minutes: an image that was pushed a moment ago may be signed in the next one."""

from collections.abc import Iterable
from dataclasses import dataclass

from collectors.pulls.told import Told

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class _Push:
    at: float  # the source's clock
    read_at: float  # ours
    position: int


class Pushes:
    """What was pushed, by tag and by digest, for `grace` seconds after it was read."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._kept: dict[tuple[str, str], _Push] = {}

    def add(self, told: Told, now: float) -> None:
        """A push was told."""
        for name in {told.reference, told.digest} - {""}:
            self._kept[told.repository, name] = _Push(told.at, now, told.position)
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    def grace_left(self, repository: str, names: Iterable[str], at: float) -> float:
        """Seconds of grace that were left for one of these names at the time `at`; 0 if none."""
        pushes = [self._kept.get((repository, name)) for name in names]
        ages = [at - push.at for push in pushes if push is not None]
        return max(0.0, max((self._grace - max(0.0, age) for age in ages), default=0.0))

    def prune(self, now: float) -> None:
        """Forget those whose grace is over."""
        self._kept = {key: it for key, it in self._kept.items() if now < it.read_at + self._grace}

    @property
    def oldest(self) -> int | None:
        """The position of the oldest one."""
        return min((it.position for it in self._kept.values()), default=None)
