"""The verdict on a pull: of the image itself, or of an index that holds it; and when it is too early."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from collectors.pulls.families import Families
from collectors.pulls.looks import Look, Looks
from collectors.pulls.pushes import Pushes
from collectors.pulls.told import Told
from collectors.signatures.verdicts import SIGNED, UNKNOWN, UNSIGNED, Verdict

TOGETHER = 5.0  # seconds in which the pull of an index is told, where that of its image came first
_MOST_PARENTS = 8


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of a pull: `image` is what was pulled, `digest` what counts as pulled (the index that holds it);
    without a verdict it is no pull of an image."""

    image: str
    digest: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Wait:
    """There is no verdict yet. `until` is when to look again at the earliest (0: as soon as can be)."""

    until: float = 0.0


class Judging:
    """Holds pulls against looks; wants looks where there are none, or none that still count."""

    def __init__(self, looks: Looks, families: Families, pushes: Pushes) -> None:
        self._looks, self._families, self._pushes = looks, families, pushes

    def judge(self, told: Told, since: float, held_until: float = 0.0) -> Judgement | Wait:
        """The verdict on a pull that was read at `since`; one that is unsigned must have been reached after
        `held_until`, where a push came shortly before it (Unix seconds, our clock)."""
        look = self._look(told.repository, told.asked, since, held_until)
        if look is None:
            return Wait()
        digest = look.verdict.digest or told.digest
        if look.artifact:
            return Judgement(digest, digest, None)
        self._families.learn(told.repository, digest, look.children)
        for parent in look.parents:
            self._families.learn(told.repository, parent, (digest,))
        indexes = () if look.index else self._families.of(told.repository, digest)[:_MOST_PARENTS]
        return self._with_indexes(told, look, digest, indexes, since, held_until)

    def expect(self, told: Told, since: float) -> None:
        """It will be asked for in a moment."""
        self._look(told.repository, told.asked, since, 0.0)

    def _with_indexes(
        self, told: Told, look: Look, digest: str, indexes: Sequence[str], since: float, held_until: float
    ) -> Judgement | Wait:
        found = {it: self._look(told.repository, it, since, held_until) for it in indexes}
        known = {index: of.verdict for index, of in found.items() if of is not None}
        signed = [index for index, verdict in known.items() if verdict.signature == SIGNED]
        counted = (signed or sorted(indexes) or [digest])[0]
        if look.verdict.signature == SIGNED:
            return Judgement(digest, counted, look.verdict)
        if signed:
            reason = f"{known[signed[0]].reason}, in the index {signed[0]}"
            return Judgement(digest, counted, replace(known[signed[0]], reason=reason))
        if len(known) < len(indexes):
            return Wait()
        verdicts = [look.verdict, *known.values()]
        verdict = next((it for it in verdicts if it.signature == UNKNOWN), look.verdict)
        if verdict.signature == UNSIGNED and not held_until:
            left = self._pushes.grace_left(told.repository, (told.reference, digest, *indexes), told.at)
            alone = not look.index and not indexes and told.reference == digest
            if left := max(left, TOGETHER if alone else 0.0):
                return Wait(since + left)
        return Judgement(digest, counted, verdict)

    def _look(self, repository: str, asked: str, since: float, held_until: float) -> Look | None:
        key = repository, asked
        look = self._looks.get(key)
        if look is None or not _counts(look, since, held_until):
            self._looks.want(key)
            return None
        return look


def _counts(look: Look, since: float, held_until: float) -> bool:
    """It was believed when the pull was read, or was made after that."""
    if not look.settled:
        return False
    if look.verdict.signature != SIGNED and not look.artifact and look.at < held_until:
        return False
    return look.at >= since or since < look.until
