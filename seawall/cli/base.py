"""The command line's root: the Typer application, the options that verbs share, errors as one line."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall import __version__
from seawall.client import Client, ServiceRefused
from seawall.core.errors import InputError, SeawallError

app = typer.Typer(
    help="Observability and self-healing for private container registries.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ConfigFlag = Annotated[Path | None, typer.Option("--config", help="seawall.yaml; else $SEAWALL_CONFIG.")]
StateFlag = Annotated[Path, typer.Option("--state", help="The state folder.")]
UrlFlag = Annotated[str | None, typer.Option("--url", help="A Seawall elsewhere, with $SEAWALL_TOKEN.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
ReasonFlag = Annotated[str, typer.Option("--reason", help="Why, for the audit log.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID")]
STATE = Path("seawall-state")


def main() -> None:
    """The entry point: our errors become one line and an exit code, never a traceback."""
    sys.exit(_run())


def _run() -> int:
    """The exit code. When it is there, the error and what its frames held (opened stores) are gone."""
    try:
        app()
    except InputError as error:
        return _told(error, 2)
    except SeawallError as error:
        return _told(error, 1)
    return 0


def _told(error: Exception, code: int) -> int:
    print(f"seawall: {error}", file=sys.stderr)  # noqa: T201 - the one place that speaks to people of errors
    return code


def say(data: Any) -> None:
    """JSON on stdout."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Watch a registry, see it fail, heal it with approval, prove it."""


def ask(client: Client, path: str, body: dict[str, Any]) -> Any:
    """POST to the service; what it refuses is trouble found (exit 1)."""
    try:
        return client.post(path, body)
    except ServiceRefused as error:
        raise SeawallError(f"refused: {error}") from error


def known(registry: str | None, names: Iterable[str]) -> None:
    """InputError for a --registry that is none of these."""
    if registry is not None and registry not in (there := sorted(set(names))):
        remedy = f"known: {', '.join(there) or 'none; name one in seawall.yaml'}"
        raise InputError("--registry", f"there is no registry {registry}", remedy)


def watched(client: Client) -> set[str]:
    """The names of the registries that the service watches, as far as the asker may see them."""
    return {row["registry"] for row in client.pages("/slos")}
