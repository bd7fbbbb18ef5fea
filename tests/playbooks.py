"""Runs a shipped playbook as Seawall does, on this machine: preview, run, second run, undo."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.catalogue import SHIPPED, Playbook, load_playbook
from remediation.inventory import inventory_text
from remediation.runs import AnsibleRunner
from seawall.core.ports import Outcome, Target


@dataclass
class Bench:
    """`facts` are the registry's, `told` the incident's; each run gets a fresh folder below `folder`."""

    name: str
    folder: Path
    facts: Mapping[str, Any]
    told: Mapping[str, Any] = field(default_factory=dict)
    runs: int = 0

    @property
    def playbook(self) -> Playbook:
        return load_playbook(SHIPPED / self.name)

    def target(self, path: Path | None = None) -> Target:
        inputs, reason = self.playbook.resolve(self.facts, self.told)
        assert inputs is not None, reason
        self.runs += 1
        inventory = inventory_text(self.playbook.targets)
        where = self.folder / f"run-{self.runs}"
        return Target(where, path or self.playbook.path, inputs, inventory, self.playbook.timeout)

    def check(self) -> Outcome:
        return AnsibleRunner().check(self.target())

    def run(self) -> Outcome:
        return AnsibleRunner().run(self.target(), "d")

    def undo(self, check: bool = False) -> Outcome:
        assert self.playbook.undo is not None
        target = self.target(self.playbook.undo)
        return AnsibleRunner().check(target) if check else AnsibleRunner().run(target, "d")

    def changes_nothing_again(self) -> None:
        """The second run, and its preview."""
        for outcome in (self.check(), self.run()):
            assert (outcome.status, outcome.message, outcome.changes) == ("successful", "", ())


def diff_of(outcome: Outcome) -> str:
    """All of what it shows."""
    assert (outcome.status, outcome.message) == ("successful", "")
    return "\n".join(f"{change.task}\n{change.diff}" for change in outcome.changes)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """What `condition` says once it is true."""
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")
