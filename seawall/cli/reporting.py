"""report slo, report compliance: the month as Markdown, HTML or JSON."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seawall.cli.asking import Client
from seawall.cli.base import STATE, ConfigFlag, JsonFlag, StateFlag, UrlFlag, app, known, say, watched
from seawall.core.errors import InputError
from seawall.statefolder import held

if TYPE_CHECKING:
    from seawall.judging import History
    from seawall.stores.sql import SqlRecords

report = typer.Typer(help="Reports for managers and auditors.", no_args_is_help=True)
app.add_typer(report, name="report")


@report.command()
def slo(
    month: Annotated[str, typer.Option(help="Such as 2026-10; UTC.")],
    registry: Annotated[str | None, typer.Option(help="Only this registry.")] = None,
    format: Annotated[Literal["md", "html"], typer.Option(help="Markdown, or one HTML page.")] = "md",
    config: ConfigFlag = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """How the promises were kept in a month. Exit 1 if one was broken. Also where no Seawall runs."""
    from seawall.console import report as rendering

    if url is None and not held(state):
        made = _offline(config, state, month, registry, _slo)
    else:
        made = _asked(url, state, "/reports/slo", month, registry)
    if as_json:
        say(made)
    else:
        typer.echo(rendering.html(made) if format == "html" else rendering.markdown(made), nl=False)
    raise typer.Exit(1 if any(row["kept"] is False for row in made["rows"]) else 0)


@report.command()
def compliance(
    month: Annotated[str, typer.Option(help="Such as 2026-10; UTC.")],
    registry: Annotated[str | None, typer.Option(help="Pulls and deletions of this registry alone.")] = None,
    format: Annotated[Literal["md", "html"], typer.Option(help="Markdown, or one HTML page.")] = "md",
    config: ConfigFlag = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Who approved what, unsigned pulls, deletions, accounts, and whether the audit log holds. Exit 1 if it
    does not. Also where no Seawall runs."""
    from seawall.console import compliance as rendering

    if url is None and not held(state):
        made = _offline(config, state, month, registry, _compliance)
    else:
        made = _asked(url, state, "/reports/compliance", month, registry)
    if as_json:
        say(made)
    else:
        typer.echo(rendering.html(made) if format == "html" else rendering.markdown(made), nl=False)
    raise typer.Exit(0 if made["audit"]["verified"] else 1)


def _asked(url: str | None, state: Path, path: str, month: str, registry: str | None) -> Any:
    client = Client(url, state, timeout=600.0)
    if registry is not None:
        known(registry, watched(client))
    return client.get(path, month=month, registry=registry)


Make = Callable[["History", "SqlRecords", list[str], str, float], dict[str, Any]]


def _slo(
    history: "History", records: "SqlRecords", names: list[str], month: str, now: float
) -> dict[str, Any]:
    from seawall.reports.month import every_incident, slo_report

    return slo_report(history.judge_now(), names, every_incident(records), month, now)


def _compliance(
    history: "History", records: "SqlRecords", names: list[str], month: str, now: float
) -> dict[str, Any]:
    from seawall.reports.compliance import compliance_report

    return compliance_report(records, history.events, names, month, now)


def _offline(
    config: Path | None, state: Path, month: str, registry: str | None, make: Make
) -> dict[str, Any]:
    from seawall import config as configuration
    from seawall.app import SystemClock
    from seawall.judging import History
    from seawall.stores.sql import SqlRecords

    path, _ = configuration.locate(config, os.environ)
    history = History(configuration.load(path), state)
    records = SqlRecords(f"sqlite:{state / 'records.sqlite'}")
    try:
        known(registry, history.registries)
        names = [name for name in history.registries if registry in (None, name)]
        return make(history, records, names, month, SystemClock().now())
    except ValueError as error:
        raise InputError("--month", str(error), "name a month that has begun") from error
    finally:
        records.close()
        history.close()
