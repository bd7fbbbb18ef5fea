"""The matrix, now and then: slo, import."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.asking import Client
from seawall.cli.base import STATE, ConfigFlag, JsonFlag, StateFlag, UrlFlag, app, known, say, watched
from seawall.core.errors import InputError
from seawall.core.times import parse_time
from seawall.statefolder import held


@app.command()
def slo(
    registry: Annotated[str | None, typer.Option(help="Only this registry.")] = None,
    at: Annotated[
        str | None, typer.Option(help="As of this RFC 3339 time, by what had arrived by then.")
    ] = None,
    config: ConfigFlag = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """The SLO matrix, judged now or then (--at, also where no Seawall runs). Exit 1 if a row is breached or
    bad now."""
    from seawall import paint

    moment = _moment(at) if at is not None else None
    if moment is not None and url is None and not held(state):
        page, trends = _offline(config, state, moment, registry)
    else:
        client = Client(url, state)
        page = client.get("/slos", registry=registry, at=at)
        if registry is not None and not page["items"]:
            known(registry, watched(client))
        trends = [] if as_json else client.get("/slos/trends", registry=registry, at=at)["items"]
    if as_json:
        say(page)
    elif page["items"]:
        paint.console().print(paint.matrix(page["items"], trends))
    else:
        typer.echo("no registry is watched; name one in seawall.yaml (docs/configuration.md)")
    bad = any(row["status"] == "breached" or row["indicator_ok"] is False for row in page["items"])
    raise typer.Exit(1 if bad else 0)


def _moment(at: str) -> float:
    """InputError for no time, or one to come."""
    try:
        moment = parse_time(at)
    except ValueError as error:
        remedy = "write it like 2026-11-24T03:00:00Z"
        raise InputError("--at", f"{at!r} is no RFC 3339 time", remedy) from error
    if moment > time.time():
        raise InputError("--at", f"{at} lies in the future", "name a moment that has been")
    return moment


def _offline(
    config: Path | None, state: Path, moment: float, registry: str | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same from the folder itself."""
    from seawall import config as configuration
    from seawall import shapes
    from seawall.judging import History
    from seawall.trends import trends

    path, _ = configuration.locate(config, os.environ)
    history = History(configuration.load(path), state)
    try:
        known(registry, history.registries)
        statuses = history.statuses(moment, registry)
        page = shapes.page([shapes.slo(status) for status in statuses])
        return page, trends(history.samples.past(moment), statuses)
    finally:
        history.close()


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="samples, probe or events.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.csv")],
    state: StateFlag = STATE,
    as_json: JsonFlag = False,
) -> None:
    """Back-fill history from CSV into the embedded store. Exit 1 if a row was refused."""
    from seawall import backfill
    from seawall.statefolder import StateFolder

    StateFolder(state).acquire()
    done = backfill.run(kind, file, state)
    for line in done.refused:
        typer.echo(line, err=True)
    if as_json:
        say({"kind": kind, "read": done.read, "new": done.new, "refused": len(done.refused)})
    else:
        typer.echo(f"{done.read} rows read, {done.new} new, {len(done.refused)} refused")
    raise typer.Exit(1 if done.refused else 0)
