"""A repair that protects and does not heal: its undo is offered when the incident's row is good again.

The undo is an action of its own (`Action.takes_back`), previewed, asked about and verified like any other.
The incident stays open until it has been decided, since what was protected is still shut.
"""

from collections.abc import Callable
from pathlib import Path

from remediation.catalogue import Catalogue, Playbook
from remediation.story import told_on
from remediation.workshop import Workshop
from seawall.core.actions import OPEN_STATES, Action, ActionState
from seawall.core.errors import NotFound
from seawall.core.incidents import Incident
from seawall.core.ports import RecordStore

S = ActionState


def releasing(shop: Workshop, incident: Incident, propose: Callable[..., Action | None]) -> bool:
    """The incident's row is good again: True while a repair that only protects is still in place, so that the
    incident must stay open. Its undo is proposed by `propose(playbook, inputs, incident, takes_back)`."""
    action = protecting(incident, shop.records, shop.catalogue)
    if action is None:
        return False
    playbook = shop.catalogue.get(action.playbook)
    if playbook is None or waits(action, incident, shop.records):
        return True
    if made := propose(playbook, action.inputs, incident, action.id):
        text = f"the row is good again; this would take {action.id} ({action.playbook}) back"
        told_on(shop.records, made, "action.release_offered", text, shop.clock.now())
    return True


def file_of(action: Action, playbook: Playbook) -> Path:
    """The playbook that this action runs: the undo where it takes another action back. NotFound."""
    if action.takes_back is None:
        return playbook.path
    if playbook.undo is None:
        raise NotFound(f"playbook {playbook.name!r} has no undo any more")
    return playbook.undo


def protecting(incident: Incident, records: RecordStore, catalogue: Catalogue) -> Action | None:
    """The newest repair of this incident that still protects: it succeeded, its playbook says `undo.offered`,
    and no undo of it has succeeded or was rejected by a person; None if there is none."""
    actions = [records.action(id) for id in incident.actions]
    for action in reversed(actions):
        playbook = catalogue.get(action.playbook)
        offered = playbook is not None and playbook.way_back.offered
        if not offered or action.takes_back is not None or action.state is not S.SUCCEEDED:
            continue
        undone = [it.state for it in actions if it.takes_back == action.id]
        return None if S.SUCCEEDED in undone or S.REJECTED in undone else action
    return None


def waits(action: Action, incident: Incident, records: RecordStore) -> bool:
    """Was its undo offered already? Then a person decides, or it failed and is theirs; one that ran out or
    is in doubt is offered again."""
    undone = [it.state for id in incident.actions if (it := records.action(id)).takes_back == action.id]
    again = (S.EXPIRED, S.IN_DOUBT)
    return bool(undone) and (undone[-1] not in again or any(state in OPEN_STATES for state in undone))
