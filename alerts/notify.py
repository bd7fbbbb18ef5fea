"""The embedded notifier: tells people of incidents opened, repairs that want an approval, repairs that were
escalated, and incidents resolved.

It compares the records with its outbox at every look instead of listening: what happened while Seawall was
killed is told after the restart. An incident that was resolved before anybody was told of it stays untold.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from alerts.channels import Address, Message, send
from alerts.outbox import Outbox
from seawall.core.actions import Action, ActionState, escalations
from seawall.core.errors import NotFound, SeawallError
from seawall.core.incidents import Incident, IncidentState
from seawall.core.ports import Clock, RecordStore
from seawall.core.slos import SloRow

LOOK_BACK = 200
BURST = 20
TOLD = {
    ActionState.AWAITING_APPROVAL: ("approval_wanted", "approval wanted: {}"),
    ActionState.ESCALATED: ("escalated", "escalated: {} did not help"),
    ActionState.IN_DOUBT: ("escalated", "escalated: the outcome of {} is not known"),
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Links:
    """`console` is Seawall's public URL and `runbooks` the URL of their folder; "" where there is none.
    `sign` makes a fresh single-use link to an action's approval page ("": it cannot), `draw` an SVG of an
    incident's signal ("": there is none), `anchor` the newest entry of the audit log in short."""

    console: str = ""
    runbooks: str = ""
    sign: Callable[[Action], str] | None = None
    draw: Callable[[Incident], str] | None = None
    anchor: Callable[[], str] | None = None

    def incident(self, id: str) -> str:
        """The incident's page."""
        return f"{self.console}/incidents/{id}" if self.console else ""

    def runbook(self, alert: str | None) -> str:
        """The runbook of an alert."""
        return f"{self.runbooks}/{alert}.md" if self.runbooks and alert else ""


class Notifier:
    """Looks, and empties its outbox. `look` and `deliver` block; one thread at a time."""

    def __init__(
        self,
        records: RecordStore,
        outbox: Outbox,
        addresses: Sequence[Address],
        rows: Sequence[SloRow],
        clock: Clock,
        links: Links,
        deliver: Callable[[Address, Message], None] = send,
        named: Sequence[Address] = (),
    ) -> None:
        """`named`: channels that are told of an escalation step only, and only of one that names them."""
        self._records, self._outbox, self._clock, self._links = records, outbox, clock, links
        self._own = [address.name for address in addresses]
        self._addresses = {address.name: address for address in (*named, *addresses)}
        self._alerts = {row.name: row.alert for row in rows}
        self._deliver = deliver

    def look(self) -> None:
        """Put into the outbox what has not been told yet."""
        for incident in reversed(self._records.incidents(limit=LOOK_BACK)[0]):
            self._incident(incident)
        for action in self._records.actions(tuple(TOLD), limit=LOOK_BACK)[0]:
            self._action(action)
            if action.state is ActionState.AWAITING_APPROVAL:
                self._steps(action)

    def _incident(self, incident: Incident) -> None:
        known = self._outbox.known(f"{incident.id}:")
        episode = sum(1 for id in known if ":opened:" in id)
        over = f"{incident.id}:resolved:{episode}" in known
        if incident.state is not IncidentState.RESOLVED:
            if episode == 0 or over:
                self._put(incident, "opened", f"{incident.id}:opened:{episode + 1}", incident.title)
        elif episode and not over:
            title = f"resolved: {incident.title}"
            self._put(incident, "resolved", f"{incident.id}:resolved:{episode}", title)

    def _action(self, action: Action) -> None:
        kind, words = TOLD[action.state]
        asks = action.state is ActionState.AWAITING_APPROVAL
        id = f"{action.id}:{kind}" + (f":{action.preview.digest[:16]}" if asks and action.preview else "")
        if id in self._outbox.known(id):
            return
        incident = self._unresolved(action)
        if incident:
            title = f"{incident.registry}: {words.format(action.playbook)}"
            self._put(incident, kind, id, title, action if asks else None)

    def _steps(self, action: Action) -> None:
        """Steps of the escalation chain: to the channel that a step names, else to all."""
        for at, number, whom in escalations(action):
            id = f"{action.id}:step:{number}:{int(at)}"
            incident = None if id in self._outbox.known(id) else self._unresolved(action)
            if incident:
                title = f"{incident.registry}: nobody has decided on {action.playbook}; step {number}: {whom}"
                only = [whom] if whom in self._addresses else None
                self._put(incident, "escalation", id, title, action, only)

    def _unresolved(self, action: Action) -> Incident | None:
        try:
            incident = self._records.incident(action.incident)
        except NotFound:
            return None
        return None if incident.state is IncidentState.RESOLVED else incident

    def _put(
        self,
        incident: Incident,
        kind: str,
        id: str,
        title: str,
        asks: Action | None = None,
        only: list[str] | None = None,
    ) -> None:
        """`asks`: the action whose approval page the message links to, each channel by a link of its own."""
        text = incident.explanation or incident.title
        if kind == "resolved" and incident.timeline:
            text = incident.timeline[-1].text
        message = Message(
            id=id,
            kind=kind,
            severity=incident.severity.value,
            registry=incident.registry,
            incident=incident.id,
            title=title,
            text=text,
            url=self._links.incident(incident.id),
            runbook=self._links.runbook(self._alerts.get(incident.slo or "")),
            picture=self._links.draw(incident) if self._links.draw else "",
            anchor=self._links.anchor() if self._links.anchor else "",
        )
        channels = only or [n for n in self._own if message.severity in self._addresses[n].severities]
        sign = self._links.sign if asks else None
        messages = {
            name: replace(message, url=sign(asks) or message.url) if sign and asks else message
            for name in channels
        }
        self._outbox.put(messages, self._clock.now())

    def deliver(self) -> None:
        """Send what is due, in order for each channel; a channel that fails delays no other."""
        for _ in range(BURST):
            due = list(self._outbox.due(self._clock.now()))
            for number, channel, message in due:
                self._send(number, channel, message)
            if not due:
                return

    def _send(self, number: int, channel: str, message: Message) -> None:
        address = self._addresses.get(channel)
        now = self._clock.now()
        if address is None:
            self._outbox.failed(number, "no such channel in the configuration", now)
            return
        try:
            self._deliver(address, message)
        except SeawallError as error:
            log.error("not told: %s", error)
            self._outbox.failed(number, str(error), self._clock.now())
            return
        self._outbox.sent(number, self._clock.now())

    def waiting(self) -> int:
        """Messages that wait in the outbox."""
        return self._outbox.waiting(self._clock.now())
