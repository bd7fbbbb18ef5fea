"""Learning here: train, models."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.base import STATE, ConfigFlag, JsonFlag, StateFlag, app, say
from seawall.core.errors import InputError

if TYPE_CHECKING:
    from models.gate import History
    from models.training import Adapt, Outcome

POLITE = 19
CsvFlag = Annotated[
    list[Path] | None, typer.Option("--csv", help="Recordings instead of the stored history.")
]


@app.command()
def train(
    csv: CsvFlag = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of versions; else STATE/models.")] = None,
    seed: Annotated[int, typer.Option(help="Of the adaptation.")] = 1,
    judge_only: Annotated[bool, typer.Option("--judge-only", help="Adapt nothing.")] = False,
    polite: Annotated[bool, typer.Option("--polite", help="At the lowest priority.")] = False,
    config: ConfigFlag = None,
    state: StateFlag = STATE,
    as_json: JsonFlag = False,
) -> None:
    """Judge the LSTM on this installation's own history, adapt it slowly, promote it through the gate."""
    from models.registry import ModelRegistry
    from models.training import learn, write_outcome
    from seawall.retraining import MODELS, OUTCOME

    if polite:
        os.nice(POLITE)
    folder = out or state / MODELS
    histories = _recorded(csv) if csv else _stored(config, state)
    folder.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    adapt = None if judge_only else _adaptation(seed, notes)
    outcome = learn(histories, ModelRegistry(folder), time.time(), adapt, _told)
    write_outcome(folder / OUTCOME, outcome)
    _say(outcome, notes, as_json)


def _told(text: str) -> None:
    typer.echo(text, err=True)


def _adaptation(seed: int, notes: list[str]) -> "Adapt | None":
    """How to adapt, where torch is installed."""
    try:
        from models.adapt import adaptation
    except ImportError:
        notes.append("torch is not installed, so nothing is adapted; pip install 'seawall[train]'")
        return None
    return adaptation(seed, _told)


def _recorded(paths: list[Path]) -> "list[History]":
    """Every column of every CSV file as a history of its own."""
    from models.files import read
    from models.gate import History

    histories = []
    for path in paths:
        recording = read(path)
        for column, values in zip(recording.columns, recording.values, strict=True):
            histories.append(History(f"{path.stem} {column}", recording.at, values))
    return histories


def _stored(config: Path | None, state: Path) -> "list[History]":
    """From the stores where no Seawall works in them, else what it wrote last."""
    from models.training import read_histories
    from seawall import config as configuration
    from seawall.app import open_stores
    from seawall.retraining import history_file, read_history
    from seawall.statefolder import StateFolder

    if not state.exists():
        raise InputError(
            str(state), "there is no such state folder", "give --state, or recordings with --csv"
        )
    try:
        StateFolder(state).acquire()
    except InputError:
        return read_histories(history_file(state))
    loaded = configuration.load(configuration.locate(config, os.environ)[0])
    stores = open_stores(loaded, state)
    try:
        return read_history(stores.samples, [it.name for it in loaded.registries], time.time())
    finally:
        stores.samples.close()
        stores.records.close()


def _say(outcome: "Outcome", notes: list[str], as_json: bool) -> None:
    from seawall import paint, shapes

    notes = [*notes, *outcome.notes]
    if as_json:
        items = [{"signal": it.signal, **shapes.verdict(it)} for it in outcome.verdicts]
        say({"version": outcome.version, "verdicts": items, "notes": notes})
        return
    made = paint.table("signal", "the LSTM", "why")
    for it in outcome.verdicts:
        made.add_row(paint.escape(it.signal), "serves" if it.passed else "in shadow", paint.escape(it.reason))
    paint.console().print(made)
    for note in notes:
        typer.echo(note)
    typer.echo(f"{outcome.version} serves")


@app.command()
def models(
    promote: Annotated[
        str | None, typer.Option("--promote", metavar="NAME", help="Let this one serve.")
    ] = None,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Let the one before serve again.")] = False,
    compare: Annotated[
        tuple[str, str] | None, typer.Option("--compare", metavar="NAME NAME", help="Two cards side by side.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    state: StateFlag = STATE,
    as_json: JsonFlag = False,
) -> None:
    """Versions of the LSTM: list them, compare two, promote one, roll back. A running Seawall follows."""
    from models.registry import ModelRegistry
    from seawall.retraining import MODELS

    versions = ModelRegistry(state / MODELS)
    by = _user()
    if compare:
        _compared(versions.compare(*compare), compare, as_json)
        return
    if promote and roll_back:
        raise InputError("--promote", "stands beside --roll-back", "give one of the two")
    if promote:
        versions.promote(promote, by, time.time(), reason or "by hand")
    elif roll_back:
        versions.roll_back(by, time.time(), reason or "by hand")
    _listed(versions, as_json)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _compared(facts: dict[str, tuple[Any, Any]], names: tuple[str, str], as_json: bool) -> None:
    from seawall import paint

    if as_json:
        say({key: dict(zip(names, pair, strict=True)) for key, pair in facts.items()})
        return
    made = paint.table("", *names)
    for key, pair in facts.items():
        made.add_row(key, *(paint.escape(str("" if value is None else value)) for value in pair))
    paint.console().print(made)


def _listed(versions: Any, as_json: bool) -> None:
    from seawall import paint
    from seawall.core.times import rfc3339

    current = versions.current()
    latest = {it.name: it for it in reversed(versions.promotions())}
    items = [
        {"name": name, "serves": name == current, "promoted_at": rfc3339(latest[name].at) if name in latest
         else None, "reason": latest[name].reason if name in latest else ""}
        for name in versions.names()
    ]  # fmt: skip
    if as_json:
        say({"items": items, "next": None})
        return
    made = paint.table("name", "", "promoted", "why")
    for it in items:
        made.add_row(
            it["name"], "serves" if it["serves"] else "", it["promoted_at"] or "", paint.escape(it["reason"])
        )
    paint.console().print(made)
