"""Which index holds which image: cosign signs the index alone, and a pull of it is told twice."""

from collections import OrderedDict
from collections.abc import Iterable

MOST = 100_000  # images whose indexes are remembered
_MOST_PARENTS = 8  # of one image


class Families:
    """child -> indexes, per repository; learned from the manifests of indexes."""

    def __init__(self) -> None:
        self._parents: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def learn(self, repository: str, index: str, children: Iterable[str]) -> None:
        """An index holds these images."""
        for child in children:
            key = repository, child
            known = self._parents.get(key, ())
            if index not in known:
                self._parents[key] = (index, *known)[:_MOST_PARENTS]
            self._parents.move_to_end(key)
        while len(self._parents) > MOST:
            self._parents.popitem(last=False)

    def of(self, repository: str, child: str) -> tuple[str, ...]:
        """The indexes that hold an image, the newest known first."""
        return self._parents.get((repository, child), ())
