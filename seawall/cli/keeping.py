"""What is kept, taken elsewhere: backup, restore, migrate."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.base import STATE, ConfigFlag, JsonFlag, StateFlag, app, say
from seawall.config import Config
from seawall.core.errors import InputError
from seawall.statefolder import held

DirArgument = Annotated[Path, typer.Argument(metavar="DIR")]


def _config(path: Path | None) -> Config:
    from seawall import config as configuration

    return configuration.load(configuration.locate(path, os.environ)[0])


def _progress(text: str) -> None:
    typer.echo(text, err=True)


@app.command()
def backup(
    folder: DirArgument, config: ConfigFlag = None, state: StateFlag = STATE, as_json: JsonFlag = False
) -> None:
    """Copy the state folder and the records into DIR, with checksums. Seawall must be stopped; what was
    interrupted goes on."""
    from seawall.backup import backup

    if held(state):
        raise InputError(str(state), "a Seawall works in it", "stop it for the time of the backup")
    done = backup(_config(config), state, folder, _progress)
    _told(done, f"backup in {folder}", as_json)


@app.command()
def restore(
    folder: DirArgument, config: ConfigFlag = None, state: StateFlag = STATE, as_json: JsonFlag = False
) -> None:
    """Put the backup in DIR into an empty state folder and empty records; every checksum is looked at."""
    from seawall.backup import restore

    done = restore(_config(config), state, folder, _progress)
    _told(done, f"restored into {state}", as_json)


def _told(manifest: dict[str, object], text: str, as_json: bool) -> None:
    files, records = manifest["files"], manifest["records"]
    assert isinstance(files, list)  # noqa: S101 - the manifest's shape
    assert isinstance(records, dict)  # noqa: S101
    size, rows = sum(it["bytes"] for it in files), sum(count for count, _ in records.values())
    if as_json:
        say({"files": len(files), "bytes": size, "records": rows})
    else:
        typer.echo(f"{text}: {len(files)} files, {size} bytes, {rows} records; every checksum holds")


@app.command()
def migrate(
    to: Annotated[Path, typer.Option("--to", help="The configuration whose stores are the destination.")],
    config: ConfigFlag = None,
    state: StateFlag = STATE,
    as_json: JsonFlag = False,
) -> None:
    """Copy the embedded stores into the servers that another configuration names, compared piece by piece.
    Seawall must be stopped; what was interrupted goes on. Exit 1 if something is short there."""
    from seawall.migrate import migrate

    done = migrate(_config(config), _config(to), state, _progress)
    for line in done.short:
        typer.echo(f"short: {line}", err=True)
    if as_json:
        say(asdict(done))
    else:
        typer.echo(
            f"{done.samples} samples, {done.events} events, {done.positions} positions and {done.records}"
            f" records are there and equal; {len(done.short)} pieces are short"
        )
    raise typer.Exit(1 if done.short else 0)
