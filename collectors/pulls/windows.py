"""One count per repository, digest, client and five minutes, whatever the order in which pulls are told."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from seawall.core.signals import Event

SPAN = 300.0  # seconds of one logical pull
_REMEMBER = 2 * SPAN
Load = Callable[[float, float], Sequence[Event]]


class Windows:
    """The logical pulls that were counted, by time. `load(start, end)` gives verdicts that are stored."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._counted: dict[bytes, tuple[float, ...]] = {}
        self._since: float | None = None

    def reach(self, times: Iterable[float]) -> None:
        """Remember what was counted around the earliest of these times."""
        wanted = min(times, default=float("inf")) - SPAN
        if self._since is not None and wanted >= self._since:
            return
        end = self._since if self._since is not None else float("inf")
        for event in self._load(wanted, end):
            self._note(_key(event.fields), event.at)
        self._since = wanted

    def near(self, repository: str, digest: str, user: str, client: str, at: float) -> bool:
        """Was such a pull counted within five minutes of `at`?"""
        return self._near(_name(repository, digest, user, client), at)

    def take(self, repository: str, digest: str, user: str, client: str, at: float) -> bool:
        """Count it; False if it belongs to one that was counted already."""
        key = _name(repository, digest, user, client)
        if self._near(key, at):
            return False
        self._note(key, at)
        return True

    def prune(self, now: float) -> None:
        """Forget what is long past; it is loaded again where it is needed."""
        edge = now - _REMEMBER
        if self._since is None or self._since >= edge - SPAN:
            return
        self._counted = {
            key: kept
            for key, times in self._counted.items()
            if (kept := tuple(at for at in times if at >= edge))
        }
        self._since = edge

    def _near(self, key: bytes, at: float) -> bool:
        return any(abs(at - known) < SPAN for known in self._counted.get(key, ()))

    def _note(self, key: bytes, at: float) -> None:
        self._counted[key] = (*self._counted.get(key, ()), at)


def _key(fields: Mapping[str, object]) -> bytes:
    names = ("registry.repository", "registry.digest", "user.name", "client.ip")
    return _name(*(str(fields.get(name) or "") for name in names))


def _name(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).digest()
