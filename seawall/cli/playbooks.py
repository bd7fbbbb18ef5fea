"""The playbooks on offer, and whether they are sound."""

import os
from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.base import ConfigFlag, JsonFlag, app, say


@app.command()
def playbooks(
    config: ConfigFlag = None,
    check: Annotated[
        bool, typer.Option("--check", help="Schema, inputs, Ansible's syntax check and ansible-lint of each.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """The playbooks on offer. Exit 1 if one of them is broken."""
    from seawall import config as configuration
    from seawall.app import SHIPPED_PLAYBOOKS

    path, _ = configuration.locate(config, os.environ)
    extra = configuration.load(path).playbooks
    folders = [SHIPPED_PLAYBOOKS, *([extra] if extra else [])]
    good = _checked(folders, as_json) if check else _listed(folders, as_json)
    raise typer.Exit(0 if good else 1)


def _listed(folders: list[Path], as_json: bool) -> bool:
    from remediation.catalogue import Catalogue
    from seawall import paint

    catalogue, broken = Catalogue.load(folders)
    items = [{**it.summary_of(), "answers": str(it.trigger)} for it in catalogue]
    if as_json:
        say({"items": items, "next": None})
    else:
        made = paint.table("name", "risk", "trigger", "what it does")
        for it in items:
            made.add_row(it["name"], it["risk"], paint.escape(it["answers"]), paint.escape(it["summary"]))
        paint.console().print(made)
    for fault in broken:
        typer.echo(f"left out: {fault}", err=True)
    return not broken


def _checked(folders: list[Path], as_json: bool) -> bool:
    from remediation import catalogue_check

    findings = []
    for finding in catalogue_check.check(folders):
        findings.append(finding)
        if not as_json:
            word = {True: "ok     ", False: "WRONG  ", None: "not known"}[finding.ok]
            told = f"  {finding.found}" if finding.found else ""
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            typer.echo(f"{word} {finding.playbook}: {finding.name}{told}{remedy}")
    good = catalogue_check.sound(findings)
    if as_json:
        say({"ok": good, "checks": [finding.as_json() for finding in findings]})
    return good
