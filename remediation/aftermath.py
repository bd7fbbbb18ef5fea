"""After a run: the undo of a repair that did not help, and what is kept of the runs' folders.

An undo is a run of its own, `N-undo`, of the very copies that were approved. It is written on the action
before it begins, so that a restart finds it: ended, still running, or never begun.
"""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from remediation.archive import is_packed, pack
from remediation.catalogue import Playbook
from remediation.workshop import Workshop
from seawall.core.actions import OPEN_STATES, Action, ActionState, Run, Verification
from seawall.core.errors import NotFound, RunFailed
from seawall.core.ports import Outcome, Target

SAID_EVERY = 0.5
"""Seconds between two words that a run has said something; who listens then reads all of it."""
log = logging.getLogger(__name__)


class Aftermath:
    """`move(action, state, text, **changes)` is the lifecycle's compare-and-set, `target` its fresh folder of
    a kind for an action, `submit` its queue of steps, `said(id)` tells that a run has said something."""

    def __init__(
        self,
        shop: Workshop,
        move: Callable[..., Action],
        target: Callable[[Action, Playbook, str], Target],
        submit: Callable[[Callable[[str], None], str], None],
        said: Callable[[str], None],
    ) -> None:
        self._shop, self._move, self._target, self._submit = shop, move, target, submit
        self._said = said

    # undo ------------------------------------------------------------------------------------

    def can_take_back(self, action: Action) -> bool:
        """Is there an undo, and may it run (Seawall is not frozen)?"""
        playbook = self._shop.catalogue.get(action.playbook)
        able = playbook is not None and playbook.undo is not None and action.run is not None
        return able and action.takes_back is None and not self._shop.records.frozen()[0]

    def take_back(self, action: Action, reason: str, proof: Verification, **changes: Any) -> bool:
        """Begin the undo; False if there is none. The action is `verifying` until it has ended."""
        if not self.can_take_back(action):
            return False
        playbook = self._shop.catalogue.get(action.playbook)
        assert playbook is not None  # noqa: S101 - can_take_back has looked
        folder = self._target(action, playbook, "undo").folder
        undo = Run(folder.name, self._shop.clock.now(), term=self._shop.leadership.term())
        changes |= {"verification": proof, "undo": undo, "reason": reason}
        self._move(action, ActionState.VERIFYING, f"{reason}; taken back by {undo.id}", **changes)
        self._submit(self.undo, action.id)
        return True

    def undo(self, id: str) -> None:
        """The step: run it, or find it again after a restart."""
        action = self._shop.records.action(id)
        if action.undo is None or action.undo.outcome is not None:
            return
        folder = self._shop.folder / id / action.undo.id
        try:
            playbook = self._playbook(action)
            if (folder / "job.json").exists():
                outcome = self._shop.runner.wait(folder, playbook.timeout, self.pulse(id)).outcome
            else:
                outcome = self._run(action, playbook, folder)
        except (RunFailed, NotFound) as error:
            self._ended(action, action.undo, None, str(error))
            return
        self._ended(action, action.undo, outcome, "nothing tells how it ended")

    def _playbook(self, action: Action) -> Playbook:
        playbook = self._shop.catalogue.get(action.playbook)
        if playbook is None:
            raise NotFound(f"playbook {action.playbook!r} is gone from the catalogue")
        return playbook

    def _run(self, action: Action, playbook: Playbook, folder: Path) -> Outcome:
        assert action.run is not None  # noqa: S101 - what is taken back has run
        approved, undo = self._shop.folder / action.id / action.run.id, playbook.undo
        if undo is None:
            raise NotFound(f"playbook {playbook.name!r} has no undo any more")
        target = replace(
            self._target(action, playbook, "undo"),
            folder=folder,
            playbook=approved / "project" / undo.relative_to(playbook.folder),
            library=approved / "library",
        )
        return self._shop.runner.run(target, action.approvals[0].digest, self.pulse(action.id))

    def _ended(self, action: Action, undo: Run, outcome: Outcome | None, why: str) -> None:
        """Written as it is; the verification says what that means for the incident."""
        if outcome is None:
            after = replace(undo, ended_at=self._shop.clock.now(), outcome="lost", message=why)
        else:
            after = replace(
                undo,
                ended_at=outcome.ended_at,
                outcome=outcome.status,
                changed=len(outcome.changes),
                first_task_at=outcome.first_task_at,
                first_change_at=outcome.first_change_at,
                message=outcome.message,
            )
        self._move(action, action.state, f"the undo ended {after.outcome}", undo=after)

    def pulse(self, id: str) -> Callable[[str], None]:
        """For a run's lines: tells that there are some, not what they are, and not too often."""
        last = [0.0]

        def line(_: str) -> None:
            if time.monotonic() - last[0] >= SAID_EVERY:
                last[0] = time.monotonic()
                self._said(id)

        return line

    # folders ---------------------------------------------------------------------------------

    def tidy(self, id: str) -> None:
        """The step after an action's end: its folders are packed. A disk that refuses is told in the log;
        the hourly house keeping tries again."""
        with contextlib.suppress(NotFound):
            if self._shop.records.action(id).state in OPEN_STATES:
                return
        for folder in self._folders(id):
            try:
                if not is_packed(folder):
                    pack(folder)
            except OSError as error:
                log.warning("%s cannot be packed: %s", folder, error)

    def keep(self, seconds: float) -> None:
        """Pack what a crash left unpacked; delete folders of actions that ended more than `seconds` ago."""
        oldest = self._shop.clock.now() - seconds
        for parent in sorted(self._shop.folder.iterdir()) if self._shop.folder.is_dir() else ():
            try:
                action = self._shop.records.action(parent.name)
            except NotFound:
                continue
            if action.state in OPEN_STATES:
                continue
            ended = action.history[-1][0] if action.history else action.created_at
            if ended < oldest:
                shutil.rmtree(parent, ignore_errors=True)
            else:
                self.tidy(action.id)

    def _folders(self, id: str) -> Iterator[Path]:
        parent = self._shop.folder / id
        if parent.is_dir():
            yield from (it for it in parent.iterdir() if it.is_dir())
