"""An action's word in the story of its incident."""

import logging
from dataclasses import replace

from seawall.core.actions import Action
from seawall.core.errors import Conflict, SeawallError
from seawall.core.incidents import TimelineEntry
from seawall.core.ports import RecordStore

SEAWALL = "seawall"
TRIES = 10
log = logging.getLogger(__name__)


def told_on(records: RecordStore, action: Action, event: str, text: str, at: float) -> None:
    """Add the line `ACTION: text` to the incident's timeline, audited as `event`; reads the incident again
    when somebody else was first. `at` in Unix seconds. What cannot be written is said in the log: the
    action's own history has it already."""
    try:
        _tell(records, action, event, text, at)
    except SeawallError as error:
        log.error("the story of %s misses a word of %s (%s): %s", action.incident, action.id, text, error)


def _tell(records: RecordStore, action: Action, event: str, text: str, at: float) -> None:
    for _ in range(TRIES):
        incident = records.incident(action.incident)
        line = TimelineEntry(at, SEAWALL, f"{action.id}: {text}")
        after = replace(incident, timeline=(*incident.timeline, line))
        try:
            records.save_incident(after, SEAWALL, event, {"action": action.id, "text": text}, at)
        except Conflict:
            continue
        return
    raise Conflict("it changes too fast")
