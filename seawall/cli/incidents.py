"""Incidents, and people's part in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.asking import Client
from seawall.cli.base import STATE, IdArgument, JsonFlag, ReasonFlag, StateFlag, UrlFlag, app, ask, say
from seawall.core.errors import InputError

incidents = typer.Typer(help="What is and was wrong, the newest first; acknowledge, assign, note, resolve.")
app.add_typer(incidents, name="incidents")


@dataclass(frozen=True)
class _Flags:
    state: Path = STATE
    url: str | None = None
    as_json: bool = False


@incidents.callback(invoke_without_command=True)
def every(
    context: typer.Context, state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """What is and was wrong, the newest first. Exit 1 if one is open."""
    if context.invoked_subcommand is not None:
        context.obj = _Flags(state, url, as_json)
        return
    items = Client(url, state).pages("/incidents")
    if as_json:
        say({"items": items, "next": None})
    elif not items:
        typer.echo("no incidents")
    else:
        _table(items)
    raise typer.Exit(1 if any(it["state"] != "resolved" for it in items) else 0)


def _table(items: list[dict[str, Any]]) -> None:
    from seawall import paint

    made = paint.table("id", "state", "severity", "opened", "title", "on it", "actions")
    for it in items:
        cells = (it["id"], it["state"], it["severity"], it["opened_at"], it["title"])
        made.add_row(*map(paint.escape, (*cells, it["acknowledged_by"] or "–", " ".join(it["actions"]))))
    paint.console().print(made)


def _do(context: typer.Context, flags: _Flags, id: str, verb: str, body: dict[str, Any]) -> None:
    """Options may stand before the verb or behind it; those behind it win."""
    before = context.obj or _Flags()
    state = flags.state if flags.state != STATE else before.state
    it = ask(Client(flags.url or before.url, state), f"/incidents/{id}/{verb}", body)
    if flags.as_json or before.as_json:
        say(it)
        return
    on = it["acknowledged_by"] if it["state"] != "resolved" else None
    typer.echo(f"{it['id']} is {it['state']}" + (f", {on} is on it" if on else ""))


@incidents.command()
def ack(
    context: typer.Context,
    id: IdArgument,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Acknowledge it: you are on it."""
    _do(context, _Flags(state, url, as_json), id, "acknowledge", {})


@incidents.command()
def assign(
    context: typer.Context,
    id: IdArgument,
    to: Annotated[str, typer.Argument(metavar="NAME")],
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Hand it over: NAME is on it from now."""
    _do(context, _Flags(state, url, as_json), id, "assign", {"to": to})


@incidents.command()
def note(
    context: typer.Context,
    id: IdArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a line to its timeline."""
    _do(context, _Flags(state, url, as_json), id, "note", {"text": text})


@incidents.command()
def resolve(
    context: typer.Context,
    id: IdArgument,
    reason: ReasonFlag = "",
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Close it by hand; --reason is required."""
    if not reason.strip():
        raise InputError("--reason", "it is missing", "say why, for the audit log: --reason WHY")
    _do(context, _Flags(state, url, as_json), id, "resolve", {"reason": reason})
