"""Who may ask: user, token."""

import json
from typing import Annotated, Any

import typer

from seawall.cli.asking import Client
from seawall.cli.base import STATE, JsonFlag, StateFlag, UrlFlag, app, ask, known, say, watched
from seawall.core.errors import InputError

user = typer.Typer(help="Local accounts: add, list, disable, enable, reset, role.", no_args_is_help=True)
token = typer.Typer(help="API tokens: add, list, revoke.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(token, name="token")
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
RoleFlag = Annotated[str, typer.Option("--role", help="viewer, operator, approver, admin, or none.")]
RegistryFlag = Annotated[
    list[str] | None, typer.Option("--registry", help="NAME=ROLE: a role for one registry; repeat it.")
]


def _grants(client: Client, given: list[str] | None) -> dict[str, str]:
    """What --registry says. InputError for another form, or a registry that is not watched."""
    found = {}
    for text in given or []:
        name, sign, role = text.partition("=")
        if not (name and sign and role):
            raise InputError("--registry", f"{text!r} is not NAME=ROLE", "write it like main=approver")
        found[name] = role
    there = watched(client) if found else set()
    for name in found:
        known(name, there)
    return found


def _table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from seawall import paint

    made = paint.table(*headings)
    for row in rows:
        made.add_row(*(paint.escape(str(cell)) if cell is not None else "–" for cell in row))
    paint.console().print(made)


def _roles(it: dict[str, Any]) -> str:
    return " ".join([it["role"], *(f"{name}={role}" for name, role in it["registries"].items())])


# users -----------------------------------------------------------------------------------------


@user.command("add")
def add_user(
    name: NameArgument,
    role: RoleFlag = "viewer",
    registry: RegistryFlag = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """A new account; prints its one-time password, this once."""
    client = Client(url, state)
    body = {"name": name, "role": role, "registries": _grants(client, registry)}
    made = ask(client, "/users", body)
    say(made) if as_json else typer.echo(f"one-time password of {name}: {made['password']}")


@user.command("list")
def list_users(state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False) -> None:
    """All accounts."""
    found = Client(url, state).get("/users")
    if as_json:
        say(found)
        return
    rows = [(it["name"], _roles(it), _standing(it), it["last_login"]) for it in found["items"]]
    _table(("name", "role", "state", "last log-in"), rows)


def _standing(it: dict[str, Any]) -> str:
    if it["disabled"]:
        return "disabled"
    if it["issuer"]:
        return "at its provider"
    return "ready" if it["second_factor"] and not it["must_change"] else "not set up yet"


@user.command()
def disable(
    name: NameArgument, state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """Shut an account; its sessions end."""
    made = ask(Client(url, state), f"/users/{name}/disable", {})
    say(made) if as_json else typer.echo(f"{name} is disabled")


@user.command()
def enable(
    name: NameArgument, state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """Open it again."""
    made = ask(Client(url, state), f"/users/{name}/enable", {})
    say(made) if as_json else typer.echo(f"{name} is enabled")


@user.command()
def reset(
    name: NameArgument, state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """A new one-time password; second factor, recovery codes and sessions are gone."""
    made = ask(Client(url, state), f"/users/{name}/reset", {})
    say(made) if as_json else typer.echo(f"one-time password of {name}: {made['password']}")


@user.command()
def role(
    name: NameArgument,
    role: RoleFlag,
    registry: RegistryFlag = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Another role, from the next request on."""
    client = Client(url, state)
    body = {"role": role, "registries": _grants(client, registry)}
    made = ask(client, f"/users/{name}/role", body)
    say(made) if as_json else typer.echo(f"{name} is {_roles(made)}")


# tokens ----------------------------------------------------------------------------------------


@token.command("add")
def add_token(
    name: NameArgument,
    role: RoleFlag = "viewer",
    registry: RegistryFlag = None,
    valid_for: Annotated[
        str | None, typer.Option("--for", help="How long: 90d. Without it, until revoked.")
    ] = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """A new token; prints its secret, this once."""
    client = Client(url, state)
    body = {"name": name, "role": role, "registries": _grants(client, registry), "valid_for": valid_for}
    made = ask(client, "/tokens", body)
    typer.echo(json.dumps(made) if as_json else made["token"])


@token.command("list")
def list_tokens(state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False) -> None:
    """All tokens; secrets are not kept, so that they cannot be shown."""
    found = Client(url, state).get("/tokens")
    if as_json:
        say(found)
        return
    rows = [(it["name"], _roles(it), it["until"] or "no end", it["last_used"]) for it in found["items"]]
    _table(("name", "role", "valid until", "last used"), rows)


@token.command()
def revoke(
    name: NameArgument, state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """It opens nothing from now on; sessions made from it end."""
    made = ask(Client(url, state), f"/tokens/{name}/revoke", {})
    say(made) if as_json else typer.echo(f"{name} is revoked")
