"""The SLO matrix for other systems: export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.base import ConfigFlag, app
from seawall.config import load, locate
from seawall.core.errors import InputError
from seawall.core.times import parse_duration


class Kind(StrEnum):
    """What can be written."""

    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    OPENSLO = "openslo"
    GRAFANA = "grafana"
    PROVISIONING = "grafana-provisioning"


@app.command()
def export(
    kind: Annotated[Kind, typer.Argument(help="For which system.")],
    folder: Annotated[Path, typer.Argument(help="Made where it is missing.")],
    config: ConfigFlag = None,
    scrape_interval: Annotated[str, typer.Option(help="How often Prometheus scrapes Seawall.")] = "15s",
    runbooks: Annotated[str, typer.Option(help="Before a runbook's name; else as configured.")] = "",
) -> None:
    """Write rules, an Alertmanager configuration, OpenSLO documents, Grafana's dashboards or provisioning."""
    import os

    from seawall.exports import Options
    from seawall.exports import export as write

    try:
        scrape = parse_duration(scrape_interval)
    except ValueError as error:
        raise InputError("--scrape-interval", str(error), "write it like 15s") from error
    path, _ = locate(config, os.environ)
    for written in write(kind, load(path), Options(scrape, runbooks), folder):
        typer.echo(written)
