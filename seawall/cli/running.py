"""A run seen live, and stopped."""

import json
from typing import Any

import typer

from seawall.cli.asking import Client
from seawall.cli.base import STATE, IdArgument, JsonFlag, ReasonFlag, StateFlag, UrlFlag, app, ask, say


@app.command()
def cancel(
    id: IdArgument,
    reason: ReasonFlag = "",
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Stop a run with everything that it started; one that has not begun is rejected."""
    action = ask(Client(url, state), f"/actions/{id}/cancel", {"reason": reason})
    say(action) if as_json else typer.echo(f"{action['id']} is {action['state']}")


def follow(client: Client, id: str, as_json: bool) -> bool:
    """Print what an action's workers say until it is over; JSON lines for machines. True if it succeeded."""
    for kind, data in client.events(f"/actions/{id}/follow"):
        if as_json:
            typer.echo(json.dumps({"event": kind, **data}, ensure_ascii=False))
        elif kind == "line":
            typer.echo(f"{data['at'][11:19]} {data['phase']:<11} {data['text']}")
        elif kind == "state":
            typer.echo(_news(data))
        if kind == "end":
            return bool(data["state"] == "succeeded")
    return False


def _news(data: dict[str, Any]) -> str:
    because = f": {data['reason']}" if data["reason"] else ""
    return f"{data['id']} is {data['state']}{because}"
