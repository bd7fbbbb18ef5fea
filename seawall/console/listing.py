"""Which incidents the list shows: the records are walked, the newest first, until a page is full."""

from dataclasses import dataclass
from urllib.parse import urlencode

from seawall.core.incidents import Incident, IncidentState
from seawall.core.ports import RecordStore

PAGE_SIZE, LOOKS = 50, 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: "" is any. `state` and `severity` are values of their enumerations."""

    state: str = ""
    severity: str = ""
    registry: str = ""

    def fits(self, incident: Incident) -> bool:
        """Is it one of them?"""
        return self.severity in ("", incident.severity.value) and self.registry in ("", incident.registry)

    def address(self, state: str | None = None, cursor: str = "") -> str:
        """The list's address; with another `state`, or from `cursor` on."""
        asked = {
            "state": self.state if state is None else state,
            "severity": self.severity,
            "registry": self.registry,
            "cursor": cursor,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/incidents?{query}" if query else "/incidents"


def listed(records: RecordStore, wanted: Wanted, cursor: str | None) -> tuple[list[Incident], str | None]:
    """At most two pages' worth of incidents, and where to go on; at most LOOKS pages of records are read, so
    that a rare kind may need several steps."""
    states = [IncidentState(wanted.state)] if wanted.state else None
    found: list[Incident] = []
    for _ in range(LOOKS):
        page, cursor = records.incidents(states, PAGE_SIZE, cursor)
        found += [incident for incident in page if wanted.fits(incident)]
        if cursor is None or len(found) >= PAGE_SIZE:
            break
    return found, cursor
