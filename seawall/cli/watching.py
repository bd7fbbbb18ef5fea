"""Serve and look: up, check, demo."""

import enum
import os
from typing import Annotated

import typer

from seawall.cli.base import STATE, ConfigFlag, JsonFlag, StateFlag, app, say
from seawall.core.errors import InputError


class DemoStores(enum.StrEnum):
    """The stores of `seawall demo`."""

    EMBEDDED = "embedded"
    SCALED = "scaled"


@app.command()
def up(
    config: ConfigFlag = None,
    host: Annotated[str | None, typer.Option(help="Default 127.0.0.1, or server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Default 8700, or server.port.", min=0, max=65535)] = None,
    state: StateFlag = STATE,
) -> None:
    """Serve API, console and /metrics, and watch the configured registries."""
    from seawall import config as configuration
    from seawall.server import up as serve

    path, why = configuration.locate(config, os.environ)
    loaded = configuration.load(path)
    typer.echo(f"configuration: {path or why}", err=True)
    listening = (host or loaded.server.host, loaded.server.port if port is None else port)
    serve(loaded, state, *listening)


@app.command()
def check(config: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """Validate the configuration and try every connection."""
    from seawall import checks, paint
    from seawall import config as configuration

    found = checks.run(*configuration.locate(config, os.environ))
    code = checks.exit_code(found)
    if as_json:
        say({"ok": code == 0, "checks": [one.shape() for one in found]})
    else:
        made = paint.table("", "check", "found", "remedy")
        for one in found:
            made.add_row(
                "ok" if one.ok else "FAIL", one.name, paint.escape(one.found), paint.escape(one.remedy)
            )
        paint.console().print(made)
    raise typer.Exit(code)


@app.command()
def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Approve as a second demo person.")] = False,
    auto: Annotated[bool, typer.Option("--auto", help="Let the policy approve.")] = False,
    process: Annotated[bool, typer.Option("--process", help="The registry as a plain process.")] = False,
    stores: Annotated[DemoStores, typer.Option(help="Where it keeps what it learns.")] = DemoStores.EMBEDDED,
    as_json: JsonFlag = False,
) -> None:
    """Watch a real registry die and be healed, in under three minutes."""
    from seawall.demo.story import Options, run

    if yes and auto:
        raise InputError("--auto", "stands beside --yes", "give one of the two")
    scaled = stores is DemoStores.SCALED
    raise typer.Exit(run(Options(yes=yes, auto=auto, process=process, as_json=as_json, scaled=scaled)))
