"""The verbs. Plain text for people, --json for machines; exit 0 fine, 1 trouble found, 2 misuse."""

import asyncio
import json
import os
import sys
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
    try:
        app()
    except InputError as error:
        _stop(error, 2)
    except SeawallError as error:
        _stop(error, 1)


def _stop(error: Exception, code: int) -> None:
    print(f"seawall: {error}", file=sys.stderr)  # noqa: T201 - the one place that speaks to people of errors
    sys.exit(code)


def _say(data: Any) -> None:
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


# serve and look --------------------------------------------------------------------------------


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
        _say({"ok": code == 0, "checks": [one.shape() for one in found]})
    else:
        made = paint.table("", "check", "found", "remedy")
        for one in found:
            made.add_row(
                "ok" if one.ok else "FAIL", one.name, paint.escape(one.found), paint.escape(one.remedy)
            )
        paint.console().print(made)
    raise typer.Exit(code)


@app.command()
def probe(
    image: Annotated[str, typer.Argument(help="registry.example.com:5000/team/app:1.0")],
    config: ConfigFlag = None,
    plain_http: Annotated[bool, typer.Option(help="Plain HTTP elsewhere than on loopback.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds for the whole pull.", min=0.1, max=600)] = 30.0,
    as_json: JsonFlag = False,
) -> None:
    """Pull an image once, verify every byte, and show where the time went."""
    from seawall import paint
    from seawall.probing import pull_once

    pull, url = asyncio.run(pull_once(image, config, plain_http, timeout))
    good = pull.ok and not pull.note
    if as_json:
        phases = [
            {"name": p.name, "start": p.start, "seconds": p.seconds, "bytes": p.bytes, "error": p.error}
            for p in pull.phases
        ]
        _say({"image": image, "ok": good, "seconds": pull.seconds, "bytes": pull.bytes,
              "phase": pull.phase, "reason": pull.reason or pull.note, "phases": phases})  # fmt: skip
    else:
        paint.console().print(paint.waterfall(pull.phases, pull.seconds))
        verdict = (
            "pulled and verified"
            if good
            else f"failed at {pull.phase}: {pull.reason}"
            if not pull.ok
            else pull.note
        )
        typer.echo(f"{url}: {verdict}: {pull.bytes} bytes in {pull.seconds * 1000:.0f} ms")
    raise typer.Exit(0 if good else 1)


@app.command()
def slo(
    registry: Annotated[str | None, typer.Option(help="Only this registry.")] = None,
    at: Annotated[str | None, typer.Option(help="Judge stored history as of this RFC 3339 time.")] = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """The SLO matrix, judged now. Exit 1 if a row is breached or bad now."""
    from seawall import paint

    page = Client(url, state).get("/slos", registry=registry, at=at)
    if as_json:
        _say(page)
    elif page["items"]:
        paint.console().print(paint.matrix(page["items"]))
    else:
        typer.echo("no registry is watched; name one in seawall.yaml (docs/configuration.md)")
    bad = any(row["status"] == "breached" or row["indicator_ok"] is False for row in page["items"])
    raise typer.Exit(1 if bad else 0)


# incidents and actions -------------------------------------------------------------------------


@app.command()
def incidents(state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False) -> None:
    """What is and was wrong, the newest first. Exit 1 if one is open."""
    from seawall import paint

    items = Client(url, state).pages("/incidents")
    if as_json:
        _say({"items": items, "next": None})
    elif not items:
        typer.echo("no incidents")
    else:
        made = paint.table("id", "state", "severity", "opened", "title", "actions")
        for it in items:
            row = (
                it["id"],
                it["state"],
                it["severity"],
                it["opened_at"],
                it["title"],
                " ".join(it["actions"]),
            )
            made.add_row(*map(paint.escape, row))
        paint.console().print(made)
    raise typer.Exit(1 if any(it["state"] != "resolved" for it in items) else 0)


@app.command()
def actions(
    id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Proposed repairs, the newest first; with an ID, its preview and story."""
    from seawall import paint

    client = Client(url, state)
    if id is not None:
        _one_action(client, id, as_json)
        return
    items = client.pages("/actions")
    if as_json:
        _say({"items": items, "next": None})
    elif not items:
        typer.echo("no actions")
    else:
        made = paint.table("id", "state", "risk", "playbook", "registry", "incident")
        for it in items:
            made.add_row(*(it[key] for key in ("id", "state", "risk", "playbook", "registry", "incident")))
        paint.console().print(made)


def _one_action(client: Client, id: str, as_json: bool) -> None:
    action = client.get(f"/actions/{id}")
    if as_json:
        _say(action)
        return
    typer.echo(f"{action['id']}: {action['playbook']} on {action['registry']} is {action['state']}")
    typer.echo(f"for {action['incident']}, risk {action['risk']}, requested by {action['requested_by']}")
    if action["preview"]:
        typer.echo(f"\nwhat it would change:\n{action['preview']['diff'] or 'nothing'}")
        for task in action["preview"]["not_previewable"]:
            typer.echo(f"cannot be previewed: {task}")
        typer.echo(f"by hand: {action['preview']['manual']}\n")
    for line in client.get(f"/actions/{id}/history")["items"]:
        typer.echo(f"{line['at']}  {line['actor']:<12} {line['text']}")


@app.command()
def approve(
    id: IdArgument,
    reason: ReasonFlag = "",
    digest: Annotated[str | None, typer.Option(help="Only this preview (its digest).")] = None,
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve an action's preview as it stands now; it runs at once."""
    action = _ask(Client(url, state), f"/actions/{id}/approve", {"reason": reason, "digest": digest})
    _say(action) if as_json else typer.echo(f"{action['id']} is {action['state']}")


@app.command()
def reject(
    id: IdArgument,
    reason: ReasonFlag = "",
    state: StateFlag = STATE,
    url: UrlFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Reject an action, or take its approval back before it has begun."""
    action = _ask(Client(url, state), f"/actions/{id}/reject", {"reason": reason})
    _say(action) if as_json else typer.echo(f"{action['id']} is {action['state']}")


@app.command()
def freeze(
    reason: ReasonFlag = "", state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """Stop every run that has not started."""
    answer = _ask(Client(url, state), "/freeze", {"reason": reason})
    _say(answer) if as_json else typer.echo(f"frozen {answer['by']}")


@app.command()
def unfreeze(
    reason: ReasonFlag = "", state: StateFlag = STATE, url: UrlFlag = None, as_json: JsonFlag = False
) -> None:
    """Lift the freeze."""
    answer = _ask(Client(url, state), "/unfreeze", {"reason": reason})
    _say(answer) if as_json else typer.echo("not frozen")


def _ask(client: Client, path: str, body: dict[str, Any]) -> Any:
    try:
        return client.post(path, body)
    except ServiceRefused as error:
        raise SeawallError(f"refused: {error}") from error


@app.command()
def playbooks(config: ConfigFlag = None, as_json: JsonFlag = False) -> None:
    """The playbooks on offer. Exit 1 if one of them is broken."""
    from remediation.catalogue import Catalogue
    from seawall import config as configuration
    from seawall import paint
    from seawall.app import SHIPPED_PLAYBOOKS

    path, _ = configuration.locate(config, os.environ)
    extra = configuration.load(path).playbooks
    catalogue, broken = Catalogue.load([SHIPPED_PLAYBOOKS, *([extra] if extra else [])])
    items = [playbook.summary_of() for playbook in catalogue]
    if as_json:
        _say({"items": items, "next": None})
    else:
        made = paint.table("name", "risk", "trigger", "what it does")
        for it in items:
            made.add_row(it["name"], it["risk"], it["trigger"]["slo"], paint.escape(it["summary"]))
        paint.console().print(made)
    for fault in broken:
        typer.echo(f"left out: {fault}", err=True)
    raise typer.Exit(1 if broken else 0)


@app.command()
def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Approve as a second demo person.")] = False,
    auto: Annotated[bool, typer.Option("--auto", help="Let the policy approve.")] = False,
    process: Annotated[bool, typer.Option("--process", help="The registry as a plain process.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Watch a real registry die and be healed, in under three minutes."""
    from seawall.demo.story import Options, run

    raise typer.Exit(run(Options(yes=yes, auto=auto, process=process, as_json=as_json)))
