"""Incidents, actions, the button and the playbooks."""

import os
from typing import Annotated

import typer

from seawall.cli.base import (
    STATE,
    ConfigFlag,
    IdArgument,
    JsonFlag,
    ReasonFlag,
    StateFlag,
    UrlFlag,
    app,
    ask,
    say,
)
from seawall.client import Client


@app.command()
def incidents(state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False) -> None:
    """What is and was wrong, the newest first. Exit 1 if one is open."""
    from seawall import paint

    items = Client(url, state).pages("/incidents")
    if as_json:
        say({"items": items, "next": None})
    elif not items:
        typer.echo("no incidents")
    else:
        made = paint.table("id", "state", "severity", "opened", "title", "actions")
        for it in items:
            row = (
                it["id"],
                it["state"],
                it["severity"],
                it["opened_at"],
                it["title"],
                " ".join(it["actions"]),
            )
            made.add_row(*map(paint.escape, row))
        paint.console().print(made)
    raise typer.Exit(1 if any(it["state"] != "resolved" for it in items) else 0)


@app.command()
def actions(
    id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Proposed repairs, the newest first; with an ID, its preview and story."""
    from seawall import paint

    client = Client(url, state)
    if id is not None:
        _one_action(client, id, as_json)
        return
    items = client.pages("/actions")
    if as_json:
        say({"items": items, "next": None})
    elif not items:
        typer.echo("no actions")
    else:
        made = paint.table("id", "state", "risk", "playbook", "registry", "incident")
        for it in items:
            made.add_row(*(it[key] for key in ("id", "state", "risk", "playbook", "registry", "incident")))
        paint.console().print(made)


def _one_action(client: Client, id: str, as_json: bool) -> None:
    action = client.get(f"/actions/{id}")
    if as_json:
        say(action)
        return
    typer.echo(f"{action['id']}: {action['playbook']} on {action['registry']} is {action['state']}")
    typer.echo(f"for {action['incident']}, risk {action['risk']}, requested by {action['requested_by']}")
    if action["preview"]:
        typer.echo(f"\nwhat it would change:\n{action['preview']['diff'] or 'nothing'}")
        for task in action["preview"]["not_previewable"]:
            typer.echo(f"cannot be previewed: {task}")
        typer.echo(f"by hand: {action['preview']['manual']}\n")
    for line in client.get(f"/actions/{id}/history")["items"]:
        typer.echo(f"{line['at']}  {line['actor']:<12} {line['text']}")


@app.command()
def approve(
    id: IdArgument,
    reason: ReasonFlag = "",
    digest: Annotated[str | None, typer.Option(help="Only this preview (its digest).")] = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve an action's preview as it stands now; it runs at once."""
    action = ask(Client(url, state), f"/actions/{id}/approve", {"reason": reason, "digest": digest})
    say(action) if as_json else typer.echo(f"{action['id']} is {action['state']}")


@app.command()
def reject(
    id: IdArgument,
    reason: ReasonFlag = "",
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Reject an action, or take its approval back before it has begun."""
    action = ask(Client(url, state), f"/actions/{id}/reject", {"reason": reason})
    say(action) if as_json else typer.echo(f"{action['id']} is {action['state']}")


@app.command()
def freeze(
    reason: ReasonFlag = "", state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """Stop every run that has not started."""
    answer = ask(Client(url, state), "/freeze", {"reason": reason})
    say(answer) if as_json else typer.echo(f"frozen {answer['by']}")


@app.command()
def unfreeze(
    reason: ReasonFlag = "", state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """Lift the freeze."""
    answer = ask(Client(url, state), "/unfreeze", {"reason": reason})
    say(answer) if as_json else typer.echo("not frozen")


@app.command()
def playbooks(config: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """The playbooks on offer. Exit 1 if one of them is broken."""
    from remediation.catalogue import Catalogue
    from seawall import config as configuration
    from seawall import paint
    from seawall.app import SHIPPED_PLAYBOOKS

    path, _ = configuration.locate(config, os.environ)
    extra = configuration.load(path).playbooks
    catalogue, broken = Catalogue.load([SHIPPED_PLAYBOOKS, *([extra] if extra else [])])
    items = [playbook.summary_of() for playbook in catalogue]
    if as_json:
        say({"items": items, "next": None})
    else:
        made = paint.table("name", "risk", "trigger", "what it does")
        for it in items:
            made.add_row(it["name"], it["risk"], it["trigger"]["slo"], paint.escape(it["summary"]))
        paint.console().print(made)
    for fault in broken:
        typer.echo(f"left out: {fault}", err=True)
    raise typer.Exit(1 if broken else 0)
