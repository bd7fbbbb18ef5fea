"""One function a page: read from the service, render. `banner` is what a form's answer has to say."""

from collections.abc import Sequence

from starlette.responses import Response

from remediation.catalogue import Playbook
from seawall.console import logs, story
from seawall.console.listing import Wanted, listed
from seawall.console.overview import overview
from seawall.console.render import html, render
from seawall.core.actions import Action
from seawall.core.slos import SloRow
from seawall.identity import Entry
from seawall.service import Identity, Service


def overview_page(service: Service, who: Identity, banner: str = "", status: int = 200) -> Response:
    """Is all well?"""
    return html(
        render("overview.html", **common(service, who, banner), page="/", view=overview(service)), status
    )


def incidents_page(service: Service, who: Identity, wanted: Wanted, cursor: str | None) -> Response:
    """The incidents, the newest first, a page at a time."""
    found, following = listed(service.records, wanted, cursor)
    return html(
        render(
            "incidents.html",
            **common(service, who),
            page="/incidents",
            incidents=found,
            wanted=wanted,
            registries=service.registries,
            cursor=cursor,
            following=following,
        )
    )


def incident_page(
    service: Service, who: Identity, id: str, banner: str = "", status: int = 200, text: str = ""
) -> Response:
    """What is broken, for whom, why we think so, and what can be done. `text` was typed into the note."""
    incident = service.records.incident(id)
    actions = [service.records.action(name) for name in reversed(incident.actions)]
    earlier = story.earlier(incident, actions)
    return html(
        render(
            "incident.html",
            **common(service, who, banner),
            page=f"/incidents/{incident.id}",
            incident=incident,
            actions=[it for it in actions if it not in earlier],
            earlier=earlier,
            titles=_titles(service, actions),
            untold=story.untold(service, incident),
            picture=story.picture(service, incident),
            anomalies=story.anomalies(service, incident),
            related=[(it, logs.told(it)) for it in logs.related(service, incident)],
            text=text,
        ),
        status,
    )


def action_page(
    service: Service,
    who: Identity,
    entry: Entry | None,
    id: str,
    banner: str = "",
    status: int = 200,
    reason: str = "",
) -> Response:
    """The approval page; `entry` is the session, `reason` what was typed before a refusal."""
    action = service.records.action(id)
    return html(
        render(
            "action.html",
            **common(service, who, banner),
            page=f"/actions/{action.id}",
            action=action,
            incident=service.records.incident(action.incident),
            playbook=service.repair.catalogue.get(action.playbook),
            row=_row(service, action),
            steps=story.steps(action),
            hindrance=story.hindrance(service, action, who),
            confirm=service.confirmation.needed(entry, action.risk),
            diff=story.diff_lines(action.preview.diff) if action.preview else [],
            brief=service.repair.briefing(id),
            said=story.said(service, id),
            reason=reason,
        ),
        status,
    )


def playbooks_page(service: Service, who: Identity) -> Response:
    """The catalogue, and what was left out of it."""
    return html(
        render(
            "playbooks.html",
            **common(service, who),
            page="/playbooks",
            playbooks=list(service.repair.catalogue),
            broken=service.broken_playbooks,
        )
    )


def common(service: Service, who: Identity, banner: str = "") -> dict[str, object]:
    """What the frame of every page shows."""
    return {
        "who": who,
        "frozen": service.records.frozen(),
        "banner": banner,
        "now": service.clock.now(),
    }


def _titles(service: Service, actions: Sequence[Action]) -> dict[str, str]:
    """Each action's playbook title; a playbook that is gone keeps its name."""
    found: dict[str, Playbook | None] = {it.id: service.repair.catalogue.get(it.playbook) for it in actions}
    return {it.id: playbook.title if (playbook := found[it.id]) else it.playbook for it in actions}


def _row(service: Service, action: Action) -> SloRow | None:
    """The row that proves the repair, as it holds for its registry."""
    row = service.judge.row(action.verification.slo) if action.verification else None
    return row and row.of(action.registry)
