"""What another policy would have done over the recorded actions: replay."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.base import STATE, JsonFlag, StateFlag, app, say
from seawall.core.errors import InputError
from seawall.core.times import format_duration, parse_time, rfc3339

if TYPE_CHECKING:
    from remediation.replay import Replayed

FILE = "records.sqlite"


@app.command()
def replay(
    since: Annotated[str, typer.Option("--from", help="Actions proposed at this RFC 3339 time or later.")],
    policy: Annotated[Path, typer.Option("--policy", help="The other policy.yaml.")],
    until: Annotated[str | None, typer.Option("--to", help="And before this one; else up to now.")] = None,
    state: StateFlag = STATE,
    as_json: JsonFlag = False,
) -> None:
    """What another policy would have done over the recorded actions, beside what happened."""
    from remediation import replay as replaying
    from remediation.policy import load_policy
    from seawall.stores.sql import SqlRecords

    start = _moment("--from", since)
    end = _moment("--to", until) if until else time.time()
    other = load_policy(policy)
    path = state / FILE
    if not path.exists():
        raise InputError(str(path), "no such file", "name the state folder of a Seawall with --state")
    records = SqlRecords(f"sqlite:{path}")
    try:
        found = list(replaying.replay(replaying.recorded(records, start, end), other))
    finally:
        records.close()
    if as_json:
        say({"items": [_shape(it) for it in found], "next": None})
    elif not found:
        typer.echo("no action was previewed in that time")
    else:
        _table(found)


def _moment(flag: str, text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        remedy = "write it like 2026-11-24T03:00:00Z"
        raise InputError(flag, f"{text!r} is no RFC 3339 time", remedy) from error


def _shape(it: "Replayed") -> dict[str, Any]:
    action = it.action
    return {
        "id": action.id,
        "incident": action.incident,
        "playbook": action.playbook,
        "registry": action.registry,
        "risk": action.risk.value,
        "at": rfc3339(action.created_at),
        "was": {
            "mode": it.was,
            "state": action.state.value,
            "ran": action.run is not None,
            "waited": it.waited,
            "approved_by": [approval.by for approval in action.approvals],
        },
        "would": {
            "mode": it.mode,
            "reason": it.why,
            "blocked_by": list(it.blocked),
            "run": it.would_run,
            "wait": it.would_wait,
        },
    }


def _table(found: "list[Replayed]") -> None:
    from seawall import paint

    made = paint.table("id", "playbook", "registry", "was", "waited", "would be", "would run", "why")
    for it in found:
        waited = "-" if it.waited is None else format_duration(it.waited)
        runs = {True: "yes", False: "no", None: "a person decides"}[it.would_run]
        was = f"{it.was}, {it.action.state.value}"
        made.add_row(it.action.id, it.action.playbook, it.action.registry, was, waited, it.mode, runs, it.why)
    paint.console().print(made)
