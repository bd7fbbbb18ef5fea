"""Hand-written fakes at the ports that reach outside: the clock, the runner, the observer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.core.ports import Change, Found, Outcome, Target

T = 1_790_000_000.0


@dataclass
class FakeClock:
    """Stands still until it is moved."""

    at: float = T

    def now(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


def outcome(
    at: float, changes: tuple[Change, ...] = (), status: str = "successful", message: str = ""
) -> Outcome:
    return Outcome(status, message, changes, (), at, at + 1, at, at if changes else None)


@dataclass
class FakeRunner:
    """Keeps a tiny world: `world` is what a check shows; a run sets it right. `runs` counts real runs."""

    clock: FakeClock
    world: str = "exited"
    runs: list[str] = field(default_factory=list)
    checks: int = 0
    status: str = "successful"
    hold: threading.Event | None = None
    found: Found = field(default_factory=lambda: Found("lost"))
    cancelled: list[Path] = field(default_factory=list)

    def check(self, target: Target) -> Outcome:
        self.checks += 1
        diff = f"- state: {self.world}\n+ state: running\n" if self.world != "running" else ""
        changes = (Change("localhost", "Restart", diff),) if diff else ()
        return outcome(self.clock.now(), changes)

    def run(
        self, target: Target, approval_digest: str, on_line: Callable[[str], None] | None = None
    ) -> Outcome:
        self.runs.append(approval_digest)
        if self.hold is not None:
            self.hold.wait(10)
        changes = (Change("localhost", "Restart", ""),) if self.world != "running" else ()
        if self.status == "successful":
            self.world = "running"
        return outcome(self.clock.now(), changes, self.status)

    def find(self, folder: Path) -> Found:
        return self.found

    def wait(self, folder: Path, timeout: float, on_line: Callable[[str], None] | None = None) -> Found:
        return self.found

    def cancel(self, folder: Path) -> bool:
        self.cancelled.append(folder)
        return True


class FakeObserver:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def kept(self, collector: Any, batch: Any, new_events: int, seconds: float) -> None:
        self.heard.append(("kept", collector.name))

    def missed(self, collector: Any, reason: str, seconds: float) -> None:
        self.heard.append(("missed", reason))

    def judged(self, statuses: Any, seconds: float) -> None:
        self.heard.append(("judged", len(statuses)))

    def scored(self, registry: str, scores: Any, observed: Any, at: float) -> None:
        self.heard.append(("scored", dict(scores)))

    def foreseen(self, registry: str, sight: Any) -> None:
        self.heard.append(("foreseen", sight))

    def incident(self, incident: Any) -> None:
        self.heard.append(("incident", incident.state))

    def action(self, action: Any) -> None:
        self.heard.append(("action", action.state))
