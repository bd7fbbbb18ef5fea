"""Pull once and see: probe."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.base import ConfigFlag, JsonFlag, app, say

if TYPE_CHECKING:
    from collectors.pulling.pull import Pull

FileFlag = Annotated[Path | None, typer.Option(help="PEM file; else as configured.")]


@app.command()
def probe(
    image: Annotated[str, typer.Argument(help="registry.example.com:5000/team/app:1.0")],
    config: ConfigFlag = None,
    plain_http: Annotated[bool, typer.Option(help="Plain HTTP elsewhere than on loopback.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds for the whole pull.", min=0.1, max=600)] = 30.0,
    platform: Annotated[str | None, typer.Option(help="os/architecture[/variant]; else linux/amd64.")] = None,
    http2: Annotated[bool, typer.Option("--http2", help="HTTP/2 where the registry speaks it.")] = False,
    ca_file: FileFlag = None,
    client_cert: FileFlag = None,
    client_key: FileFlag = None,
    site: Annotated[str | None, typer.Option(help="From this site of the configuration.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Pull an image once, verify every byte, and show where the time went."""
    from seawall.probing import Asked, pull_once

    asked = Asked(image, timeout, plain_http, platform, http2, ca_file, client_cert, client_key, site)
    pull, url = asyncio.run(pull_once(asked, config))
    if as_json:
        say(_shape(image, pull))
    else:
        _show(pull, url)
    raise typer.Exit(0 if _good(pull) else 1)


def _good(pull: "Pull") -> bool:
    return pull.ok and not pull.note


def _shape(image: str, pull: "Pull") -> dict[str, Any]:
    keys = ("name", "start", "seconds", "bytes", "error", "target")
    return {
        "image": image,
        "ok": _good(pull),
        "seconds": pull.seconds,
        "bytes": pull.bytes,
        "phase": pull.phase,
        "reason": pull.reason or pull.note,
        "digests": {"verified": pull.digests["verified"], "mismatch": pull.digests["mismatch"]},
        "clock_skew": None if pull.skew is None else round(pull.skew),
        "phases": [{key: getattr(phase, key) for key in keys} for phase in pull.phases],
    }


def _show(pull: "Pull", url: str) -> None:
    from seawall import paint
    from seawall.cli.waterfall import told_bytes, told_seconds, waterfall

    console = paint.console()
    console.print(waterfall(pull.phases, pull.seconds, console.width))
    spent = f"{told_bytes(pull.bytes)} in {told_seconds(pull.seconds)}"
    if _good(pull):
        verdict = f"pulled, {pull.digests['verified']} digests verified, {spent}"
    elif pull.ok:
        verdict = f"healthy, but not pulled: {pull.note}"
    else:
        verdict = f"failed at {pull.phase}: {pull.reason} ({spent})"
    typer.echo(f"\n{url}: {verdict}")
    if clock := pull.clock():
        typer.echo(f"{url}: {clock}")
