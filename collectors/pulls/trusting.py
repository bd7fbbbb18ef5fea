"""Trust that is read again when one of its files has changed: a key that was exchanged counts at once."""

import logging
from collections.abc import Iterator
from pathlib import Path

from collectors.signatures.configured import read_trusts
from collectors.signatures.trust import Trusts
from seawall.config.trust import Trust
from seawall.core.errors import InputError

_Stamp = tuple[str, int, int]
log = logging.getLogger(__name__)


class TrustFiles:
    """Called, it gives the trust as it stands; the same object while nothing has changed."""

    def __init__(self, configured: Trust) -> None:
        self._configured = configured
        self._stamps = self._look()
        self._trusts = read_trusts(configured)

    def __call__(self) -> Trusts:
        """The trust, read anew where a file has changed."""
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._trusts = read_trusts(self._configured)
            except InputError as error:
                log.error("the trust stays as it was: %s", error)
        return self._trusts

    def _look(self) -> list[_Stamp]:
        """Name, time and size of each file; a missing one is not there."""
        found = []
        for path in self._paths():
            try:
                state = path.stat()
            except OSError:
                continue
            found.append((str(path), state.st_mtime_ns, state.st_size))
        return found

    def _paths(self) -> Iterator[Path]:
        for believed in (self._configured, *self._configured.repositories):
            yield from (key.file for key in believed.keys)
            if believed.keyless:
                yield from believed.keyless.files
            if believed.trust_store:
                yield believed.trust_store
                yield from sorted(believed.trust_store.rglob("*"))
        yield from (it for it in self._configured.revoked if isinstance(it, Path))
