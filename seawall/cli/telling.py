"""People told, and kept from being told: notify, silence."""

import getpass
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from seawall.cli.base import ConfigFlag, JsonFlag, app, say
from seawall.config import Config, load, locate
from seawall.core.errors import InputError, SeawallError
from seawall.core.times import parse_duration, rfc3339


@app.command()
def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test message over every channel.")] = False,
    config: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Try every channel, Alertmanager and the heartbeat, and say what each of them answered."""
    if not test:
        raise InputError("seawall notify", "nothing to do", "add --test")
    path, _ = locate(config, os.environ)
    results = [_tried(name, attempt) for name, attempt in _attempts(load(path))]
    if as_json:
        say({"ok": all(it["ok"] for it in results), "channels": results})
    for it in [] if as_json else results:
        typer.echo(f"{'ok' if it['ok'] else 'FAILED':<7} {it['name']}: {it['found']}")
    if not results and not as_json:
        typer.echo("no channel is configured (docs/notifications.md)")
    raise typer.Exit(0 if results and all(it["ok"] for it in results) else 1)


def _attempts(config: Config) -> list[tuple[str, Callable[[], object]]]:
    from alerts.channels import Message, send
    from seawall.telling import address_of, peer_of, ping

    at = rfc3339(time.time())
    message = Message(
        id=f"test:{at}", kind="test", severity="ticket", registry="", incident="seawall-test",
        title="Seawall: test message", text=f"Sent at {at} by `seawall notify --test`. Nothing is wrong.",
    )  # fmt: skip
    found: list[tuple[str, Callable[[], object]]] = [
        (it.name, partial(send, address_of(it), message)) for it in config.notify.channels
    ]
    if config.alertmanager:
        peer = config.alertmanager
        labels = {"alertname": "SeawallTest", "severity": "info"}
        alert = {"labels": labels, "annotations": {"summary": message.title}}
        found.append(("alertmanager", lambda: peer_of(peer).post("alerts", [alert])))
    if config.notify.heartbeat:
        beat = config.notify.heartbeat
        found.append(("heartbeat", lambda: ping(beat)))
    return found


def _tried(name: str, attempt: Callable[[], object]) -> dict[str, object]:
    try:
        attempt()
    except SeawallError as error:
        return {"name": name, "ok": False, "found": str(error)}
    return {"name": name, "ok": True, "found": "taken"}


@app.command()
def silence(
    registry: Annotated[str, typer.Argument(help="Name of the registry.")],
    span: Annotated[str, typer.Option("--for", help="How long: 2h.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; people see it in Alertmanager.")],
    config: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Silence the alerts of one registry in Alertmanager for a maintenance window that begins now."""
    from alerts.posting import silence as create
    from seawall.telling import peer_of

    path, _ = locate(config, os.environ)
    found = load(path)
    if registry not in (names := [it.name for it in found.registries]):
        raise InputError(
            "REGISTRY", f"no registry is named {registry!r}", f"known: {', '.join(names) or 'none'}"
        )
    if found.alertmanager is None:
        raise InputError("alertmanager", "no Alertmanager is configured", "set alertmanager.url")
    try:
        seconds = parse_duration(span)
    except ValueError as error:
        raise InputError("--for", str(error), "write it like 2h") from error
    now = time.time()
    id = create(peer_of(found.alertmanager), registry, now, now + seconds, getpass.getuser(), reason)
    if as_json:
        say({"id": id, "registry": registry, "until": rfc3339(now + seconds)})
    else:
        typer.echo(f"{registry} is silenced until {rfc3339(now + seconds)} ({id})")
