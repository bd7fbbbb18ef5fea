"""Actions and the button."""

from typing import Annotated

import typer

from seawall.cli.asking import Client
from seawall.cli.base import (
    STATE,
    IdArgument,
    JsonFlag,
    ReasonFlag,
    StateFlag,
    UrlFlag,
    app,
    ask,
    say,
)
from seawall.cli.running import follow
from seawall.core.errors import InputError


@app.command()
def actions(
    id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    live: Annotated[bool, typer.Option("--follow", help="With an ID: what its run says, live.")] = False,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Proposed repairs, the newest first; with an ID, its preview and story."""
    from seawall import paint

    client = Client(url, state)
    if live and id is None:
        raise InputError("--follow", "no action is named", "write `seawall actions ID --follow`")
    if live and id is not None:
        raise typer.Exit(0 if follow(client, id, as_json) else 1)
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
    """Reject an action before its run has begun; --reason is required."""
    action = ask(Client(url, state), f"/actions/{id}/reject", {"reason": reason})
    say(action) if as_json else typer.echo(f"{action['id']} is {action['state']}")


@app.command()
def revoke(
    id: IdArgument,
    reason: ReasonFlag = "",
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Take an approval back before the run has begun; --reason is required."""
    action = ask(Client(url, state), f"/actions/{id}/revoke", {"reason": reason})
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
