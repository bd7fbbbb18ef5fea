"""The log of a named container, of podman or Docker, through restarts and re-creations of the container.

Where the engine keeps it in a file that can be read here (podman's k8s-file, Docker's json-file) that file is
followed: each line exactly once, also over kills of Seawall. Else (journald, a remote engine, no right to the
file) the engine is asked with `logs --timestamps --since`, one second before the last line anew; equal lines
of one moment are told apart by their number. What the engine itself drops is lost: a part that it rotates
away, or the log of a container that was removed while Seawall was away.
"""

import asyncio
import contextlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from collectors.events import Json, inner, text
from collectors.log_lines import Lines, payload_of
from collectors.log_streams import Repeats
from collectors.logs import FollowedLog
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import Batch

ENGINES = ("podman", "docker")
INSPECTED = 30.0  # seconds for which a container is taken to be the same
_FILES = ("k8s-file", "json-file")
_OVERLAP = timedelta(seconds=1)
_MAX_OUTPUT = 8 << 20  # bytes of one answer of the engine
_REMEDY = "start the container, or mend its name in logs; Seawall's user must be allowed to ask the engine"


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine says of it; `log` is the file of its log, None where there is none to read."""

    engine: str
    id: str
    driver: str
    log: Path | None


class ContainerLogs:
    """Collector of one container's log. `position` gives the stored checkpoint of a source."""

    def __init__(
        self,
        registry: str,
        container: str,
        position: Callable[[str], str | None],
        engine: str = "auto",
        environment: Mapping[str, str] | None = None,
        interval: float = 5.0,
        timeout: float = 30.0,
    ) -> None:
        self.name, self.registry = f"logs:container:{container}", registry
        self.interval, self.timeout = interval, timeout
        self._container, self._position = container, position
        self._engines = ENGINES if engine == "auto" else (engine,)
        self._environment = {**os.environ, **(environment or {})}
        self._id = ""
        self._found_at = float("-inf")
        self._source: FollowedLog | AskedLog | None = None
        self._ended: Counter[str] = Counter()

    @property
    def lines(self) -> Counter[str]:
        """What became of the lines that are stored, over all containers of this name."""
        return self._ended + self._source.lines if self._source else self._ended

    @property
    def odd_lines(self) -> deque[str]:
        """The last few lines that were not understood, masked."""
        return self._source.odd_lines if self._source else deque()

    @property
    def backlog(self) -> int:
        """Bytes that the last collection left unread."""
        return self._source.backlog if self._source else 0

    @property
    def more(self) -> bool:
        """Did the last collection stop because it had read enough?"""
        return self._source is not None and self._source.more

    async def collect(self, now: float) -> Batch:
        """The lines added since; those of a container that was replaced or removed come first."""
        stale = self._source is None or abs(now - self._found_at) >= INSPECTED
        if stale and (rest := await self._look(now)):
            return rest
        try:
            return await self._source.collect(now) if self._source else Batch()
        except SeawallError:
            self._found_at = float("-inf")
            raise

    async def _look(self, now: float) -> Batch | None:
        """Find the container; what the one before still had to say, if it is another one now."""
        try:
            found = await self._inspect()
        except SeawallError:
            if rest := await self._rest(now):
                return rest
            raise
        if self._source is None or found.id != self._id:
            if rest := await self._rest(now):
                return rest
            self._follow(found)
        self._found_at = now
        return None

    async def stored(self) -> None:
        """The batch is durable: the position advances."""
        if self._source is not None:
            await self._source.stored()

    async def _rest(self, now: float) -> Batch | None:
        """The rest of the log that is open; a file that was removed can be read to its end."""
        with contextlib.suppress(SeawallError):
            batch = await self._source.collect(now) if self._source else Batch()
            return batch if batch.events else None
        return None

    def _follow(self, found: Container) -> None:
        if self._source is not None:
            self._ended += self._source.lines
        source = f"log:{self.registry}:container:{self._container}:{found.id[:16]}"
        if found.log is not None:
            self._source = FollowedLog(self.registry, str(found.log), source=source, name=self.name)
        else:
            self._source = AskedLog(self.registry, self._container, source, self._ask, found.engine)
        self._source.restore(self._position(source))
        self._id = found.id

    async def _inspect(self) -> Container:
        """Ask each engine for the container. SeawallError says why none knows it."""
        reasons = []
        for engine in self._engines:
            try:
                answer = await self._ask(engine, "container", "inspect", self._container)
                return _container(engine, json.loads(answer)[0])
            except SeawallError as error:
                reasons.append(str(error))
            except (ValueError, LookupError, AttributeError) as error:
                reasons.append(f"{engine}: its answer is no description of a container ({error})")
        raise InputError(f"container {self._container}", "; ".join(reasons), _REMEDY)

    async def _ask(self, engine: str, *arguments: str) -> bytes:
        """The output of an engine's command, both streams. SeawallError with its reason if it fails."""
        try:
            process = await asyncio.create_subprocess_exec(
                engine,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                limit=_MAX_OUTPUT,
            )
        except OSError as error:
            raise SeawallError(f"{engine}: {(error.strerror or str(error)).lower()}") from error
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            output = await _read(process.stdout)
            full = len(output) >= _MAX_OUTPUT
            if not full and await process.wait() != 0:
                raise SeawallError(f"{engine}: {_reason(output)}")
            return output
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


class AskedLog:
    """The log of one container as its engine tells it; `ask` runs a command of the engine."""

    def __init__(
        self, registry: str, container: str, source: str, ask: Callable[..., Any], engine: str
    ) -> None:
        self.source, self.backlog, self.more = source, 0, False
        self._lines, self._ask, self._engine = Lines(registry, source), ask, engine
        self._container = container
        self._since = self._next = ""

    @property
    def lines(self) -> Counter[str]:
        """What became of the lines that are stored."""
        return self._lines.durable

    @property
    def odd_lines(self) -> deque[str]:
        """The last few lines that were not understood, masked."""
        return self._lines.odd

    def restore(self, checkpoint: str | None) -> None:
        """Go on from the time of the last line; None is the log's beginning. InputError if it is none."""
        try:
            self._since = datetime.fromisoformat(checkpoint).isoformat() if checkpoint else ""
        except ValueError as error:
            remedy = "delete it to read the log anew"
            raise InputError(f"checkpoint of {self.source}", str(error), remedy) from error

    async def collect(self, now: float) -> Batch:
        """The lines since the last one; those of the second before come again, under the same ids."""
        since = []
        if self._since:
            since = ["--since", (datetime.fromisoformat(self._since) - _OVERLAP).isoformat()]
        output = await self._ask(self._engine, "logs", "--timestamps", *since, self._container)
        self._lines.begin(now)
        batch, repeats, newest = Batch(), Repeats(), self._since
        for raw in output.splitlines(keepends=True):
            at, _, line = raw.partition(b" ")
            moment = _moment(at)
            if moment is None or not raw.endswith(b"\n"):
                continue
            payload = payload_of(line)
            place = f"{moment}\0{repeats.number(moment, payload.text)}"
            if event := self._lines.event(payload._replace(at=payload.at or moment), place):
                batch.events.append(event)
            newest = moment
        self._next = newest
        self.more = len(output) >= _MAX_OUTPUT and newest != self._since
        self.backlog = len(output) if self.more else 0
        if newest:
            batch.checkpoints[self.source] = newest
        return batch

    async def stored(self) -> None:
        """The batch is durable: the position advances."""
        self._since = self._next
        self._lines.stored()


def _container(engine: str, told: Json) -> Container:
    """What `container inspect` says; podman and Docker name the log's file in different places."""
    settings = inner(inner(told, "HostConfig"), "LogConfig")
    driver, id = text(settings, "Type"), text(told, "Id")
    if not id:
        raise ValueError("no Id")
    if driver == "none":
        raise InputError(
            f"container {text(told, 'Name')}", "its log driver is none", "start it with k8s-file or json-file"
        )
    path = Path(text(told, "LogPath") or text(settings, "Path"))
    readable = driver in _FILES and path.is_file() and os.access(path, os.R_OK)
    return Container(engine, id, driver, path if readable else None)


async def _read(stream: asyncio.StreamReader) -> bytes:
    output = bytearray()
    while len(output) < _MAX_OUTPUT and (piece := await stream.read(1 << 16)):
        output += piece
    return bytes(output)


def _reason(output: bytes) -> str:
    """The last line of a command that failed."""
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it failed without a word"


def _moment(at: bytes) -> str | None:
    """An RFC 3339 time of an engine, in UTC with its own digits; None if it is none."""
    try:
        given = at.decode("ascii").replace("+00:00", "Z")
        datetime.fromisoformat(given)
    except ValueError:
        return None
    return given
