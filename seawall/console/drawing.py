"""The picture of an incident's signal for messages: one SVG that stands alone, drawn by the charts."""

from seawall.console import charts, story
from seawall.core.errors import SeawallError
from seawall.core.incidents import Incident
from seawall.service import Service


def drawn(service: Service, incident: Incident) -> str:
    """SVG of the signal from a quarter of an hour before the incident: probe rounds, or what was observed
    against the threshold; "" where there is none, or the store is away."""
    try:
        found = story.picture(service, incident)
    except SeawallError:
        return ""
    if found is None:
        return ""
    title = f"{incident.registry}: {found.row.title}"
    if found.rounds:
        return str(charts.strip(found.rounds, found.span, title))
    return str(charts.chart(found.points, found.threshold, found.span, title, marks=[incident.opened_at]))
