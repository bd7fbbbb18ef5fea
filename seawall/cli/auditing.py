"""The audit log: does its chain hold?"""

from typing import Annotated, Any

import typer

from seawall.cli.asking import Client
from seawall.cli.base import STATE, JsonFlag, StateFlag, UrlFlag, app, say

audit = typer.Typer(help="The audit log: verify.", no_args_is_help=True)
app.add_typer(audit, name="audit")


@audit.command()
def verify(
    head: Annotated[
        str,
        typer.Option("--head", help="A hash noted before; it must be in the chain, or the end was cut off."),
    ] = "",
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Walk the chain: of the records file in the state folder, running or not; else ask the service. Exit 1
    if an entry was changed or removed, or if --head is not in it."""
    path = state / "records.sqlite"
    if url is None and path.exists():
        from seawall.stores.audit_file import verify_file

        found: dict[str, Any] = verify_file(path, head)
    else:
        found = Client(url, state).get("/audit/verify", head=head or None)
    if as_json:
        say(found)
    elif found["ok"]:
        typer.echo(f"{found['entries']} entries hold; the newest is {found['seq']}, {found['head']}")
    else:
        typer.echo(f"BROKEN: {found['fault']}; {found['entries']} entries before it hold")
    raise typer.Exit(0 if found["ok"] else 1)
