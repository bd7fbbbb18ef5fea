"""What an image is and what is said of its signature, looked up at a bounded pace and kept for a while."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from collectors.pulling.exchange import Endpoint, Exchange
from collectors.pulling.phases import LIMITS, Timeline
from collectors.pulling.tokens import Tokens
from collectors.signatures.discovery import Found, kinds_of, layers_of
from collectors.signatures.lookups import Lookups, Manifest
from collectors.signatures.trust import Trust, Trusts
from collectors.signatures.verdicts import UNKNOWN, UNSIGNED, Code, Verdict, judged
from collectors.signatures.verifier import Inquiry, children_of, indexes_with
from seawall.core.errors import SeawallError

DEADLINE = 15.0  # seconds for all look-ups of one image
ANSWER = 5.0  # seconds for one of them
MOST = 20_000  # images whose looks are kept
KEEP_SIGNED = 3600.0  # seconds; trust or a key that ends makes it shorter
ATTEMPTS = 3  # before a failed look-up is told as unknown
FIRST_RETRY, LAST_RETRY = 2.0, 600.0  # seconds between looks at an image that fail
_ARTIFACTS = (
    "application/vnd.dev.cosign.",
    "application/vnd.dev.sigstore.",
    "application/vnd.cncf.notary.",
    "application/vnd.in-toto",
    "application/vnd.dsse.",
    "application/vnd.cyclonedx",
    "application/spdx",
    "text/spdx",
)
log = logging.getLogger(__name__)
Key = tuple[str, str]  # repository, digest (or tag where no digest was told)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an image at `at` (Unix seconds), believed `until`. `artifact`: it signs, attests or lists
    another one, and is none itself. `searched`: its `parents` were looked for among the repository's tags.
    `failed` counts looks in a row that found no answer."""

    verdict: Verdict
    at: float = 0.0
    until: float = 0.0
    artifact: bool = False
    index: bool = False
    children: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    searched: bool = False
    failed: int = 0

    @property
    def settled(self) -> bool:
        """Has it an answer, or was it tried often enough?"""
        return not self.failed or self.failed >= ATTEMPTS


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is asked of a registry: images begun a second, and at once."""

    a_second: float = 20.0
    at_once: int = 4


class Looks:
    """The looks at one registry's images. `recheck` is for how long (seconds) an unsigned one, and a tag, is
    believed. `get` and `want` may be called in a thread beside the event loop that works; nothing else."""

    def __init__(
        self, endpoint: Endpoint, trusts: Callable[[], Trusts], recheck: float = 60.0, pace: Pace = Pace()
    ) -> None:
        limits: Mapping[str, float] = {**LIMITS, **endpoint.limits, "signature": ANSWER}
        self._endpoint = replace(endpoint, limits=limits)
        self._trusts, self._recheck, self._pace = trusts, recheck, pace
        self._trusted = trusts()
        self._tokens = Tokens()
        self._kept: OrderedDict[Key, Look] = OrderedDict()
        self._wanted: OrderedDict[Key, None] = OrderedDict()
        self._running: dict[asyncio.Task[None], Key] = {}
        self._credit, self._counted_at = 1.0, time.monotonic()
        self._told_at, self._turned_at = 0.0, time.monotonic()
        self.made = 0

    def get(self, key: Key) -> Look | None:
        """The newest look at an image, however old."""
        return self._kept.get(key)

    def want(self, key: Key) -> None:
        """Look at an image at the next turn, unless it failed a moment ago."""
        look = self._kept.get(key)
        if look is None or not look.failed or self.now() >= look.until:
            self._wanted[key] = None

    def now(self) -> float:
        """Unix seconds, as the last turn was told and counted on from there."""
        return self._told_at + time.monotonic() - self._turned_at

    def forget(self, key: Key) -> None:
        """Something about this image has changed."""
        self._kept.pop(key, None)

    @property
    def waiting(self) -> int:
        """Images that are to be looked at."""
        return len(self._wanted) + len(self._running)

    async def work(self, seconds: float) -> None:
        """Look at what is wanted, within the pace, for at most so long; what is under way then goes on."""
        end = time.monotonic() + seconds
        while self._wanted or self._running:
            pause = self._begin()
            left = min(end - time.monotonic(), pause)
            if left <= 0:
                return
            if self._running:
                await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(left)

    def turn(self, now: float) -> None:
        """A turn begins at `now`. Other trust makes other verdicts: nothing that was said before counts."""
        self._told_at, self._turned_at = now, time.monotonic()
        trusted = self._trusts()
        if trusted is not self._trusted:
            self._trusted = trusted
            self._kept.clear()

    def _begin(self) -> float:
        """Start looks while pace and room allow; seconds until another one may start."""
        now = time.monotonic()
        burst = max(1.0, self._pace.a_second)
        self._credit = min(burst, self._credit + (now - self._counted_at) * self._pace.a_second)
        self._counted_at = now
        while self._wanted and self._credit >= 1 and len(self._running) < self._pace.at_once:
            key, _ = self._wanted.popitem(last=False)
            if key in self._running.values():
                continue
            self._credit -= 1
            task = asyncio.create_task(self._look(key))
            self._running[task] = key
            task.add_done_callback(self._ended)
        return 1.0 if self._credit >= 1 else (1 - self._credit) / self._pace.a_second

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)

    async def _look(self, key: Key) -> None:
        self.made += 1
        trust, before = self._trusted.of(key[0]), self._kept.get(key)
        look = await self._ask(key, trust, search=before is None or not before.searched)
        failed = (before.failed if before else 0) + 1 if look.verdict.code is Code.LOOKUP_FAILED else 0
        if before and before.searched:
            look = replace(look, parents=before.parents, searched=True)
        now = self.now()
        look = replace(look, at=now, failed=failed, until=now + self._keep(look.verdict, failed, trust, now))
        self._note((key[0], look.verdict.digest or key[1]), look)
        if key[1] != look.verdict.digest and not failed:  # a tag may be another image's in a minute
            self._note(key, replace(look, until=min(look.until, now + self._recheck)))

    def _note(self, key: Key, look: Look) -> None:
        self._kept[key] = look
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def _keep(self, verdict: Verdict, failed: int, trust: Trust, now: float) -> float:
        if failed:
            return float(min(FIRST_RETRY * 2 ** min(failed - 1, 20), LAST_RETRY))
        if verdict.signature == UNSIGNED:
            return self._recheck
        return min(KEEP_SIGNED, _next_change(trust, now) - now)

    async def _ask(self, key: Key, trust: Trust, search: bool) -> Look:
        repository, reference = key
        until = asyncio.get_running_loop().time() + DEADLINE
        try:
            async with Exchange(self._endpoint, Timeline(), self._tokens) as exchange:
                lookups = Lookups(exchange, repository)
                verdict, image = await Inquiry(lookups, trust, until).own(reference)
                look = Look(verdict) if image is None else _examined(verdict, image)
                if not search or reference != verdict.digest or look.verdict.signature != UNSIGNED:
                    return look
                return look if look.artifact or look.index else await _searched(lookups, look, until)
        except SeawallError as error:  # our own files: a password, a certificate
            return _failed(str(error))
        except Exception:
            log.exception("look at %s of %s", reference, repository)
            return _failed("an unexpected fault; see the log")


def _failed(reason: str) -> Look:
    return Look(Verdict("", UNKNOWN, f"look-up failed: {reason}", Code.LOOKUP_FAILED))


def _examined(verdict: Verdict, image: Manifest) -> Look:
    children = tuple(children_of(image))
    return Look(verdict, artifact=is_artifact(image), index=bool(children), children=children)


async def _searched(lookups: Lookups, look: Look, until: float) -> Look:
    """With the indexes that hold the image: what was pulled by digest may be a part of one."""
    found = Found()
    try:
        async with asyncio.timeout_at(until):
            parents = tuple(await indexes_with(lookups, look.verdict.digest, found))
    except TimeoutError:
        found.failures.append("indexes that hold the image: not all answers came in time")
        parents = ()
    if found.failures and not parents:
        return replace(look, verdict=judged(look.verdict.digest, [], found.failures))
    return replace(look, parents=parents, searched=True)


def is_artifact(manifest: Manifest) -> bool:
    """A signature, attestation or SBOM: it names a subject, or is of their kinds."""
    kinds = kinds_of(manifest) | {str(it.get("mediaType")) for it in layers_of(manifest)}
    named = isinstance(manifest.document.get("subject"), dict)
    return named or any(kind.startswith(_ARTIFACTS) for kind in kinds)


def _next_change(trust: Trust, now: float) -> float:
    """When a key or an authority begins or ceases to count next; infinity if none does."""
    times = [at for key in trust.keys for at in (key.not_before, key.not_after)]
    for root in (*trust.roots, *trust.authorities):
        times += [root.not_valid_before_utc.timestamp(), root.not_valid_after_utc.timestamp()]
    return min((at for at in times if at > now), default=float("inf"))
