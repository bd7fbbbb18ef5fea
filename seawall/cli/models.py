"""Detectors over recordings: detect, backtest."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from seawall.cli.base import JsonFlag, app, say
from seawall.core.errors import InputError
from seawall.core.slos import Objective
from seawall.core.times import parse_duration

if TYPE_CHECKING:
    from models.backtest import Promise, Series
    from models.files import Recording, Verdict
    from models.streaming import Streaming

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="timestamp,value CSV, gzip too.")
]
QuietFlag = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]


@app.command()
def detect(
    file: FilesArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of the answers, made if need be.")],
    detector: Annotated[str, typer.Option("--detector", help="Which one.")] = "lstm",
    without_lstm: Annotated[
        bool, typer.Option("--without-lstm", help="The same without the network.")
    ] = False,
    threshold: Annotated[float | None, typer.Option(help="Alert score from which a row alerts.")] = None,
    quiet: QuietFlag = False,
) -> None:
    """Score recordings: for each FILE one of the same name with band, score and alerts."""
    from models import files
    from models.alerting import THRESHOLD, Alerting
    from models.detection import detect as detected

    made = _detector(detector, not without_lstm)
    alerting = Alerting(forecast=not without_lstm)
    places = dict(zip(file, files.destinations(_present(file, out), out), strict=True))
    recordings, faults = _read(file)
    if recordings:
        with _progress("scoring", sum(one.values.size for one in recordings), quiet) as advanced:
            limit = THRESHOLD if threshold is None else threshold
            verdicts = detected(recordings, made, alerting, limit, advanced)
        faults += _write([places[one.path] for one in recordings], recordings, verdicts)
    raise typer.Exit(1 if faults else 0)


@app.command()
def backtest(
    file: FilesArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of page, pictures and figures.")] = None,
    objective: Annotated[str | None, typer.Option(help="The promise, such as '<= 0.5'.")] = None,
    horizon: Annotated[str, typer.Option(help="How far ahead a breach is forecast.")] = "1h",
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """How good the LSTM and its baselines would have been on recordings: band, alerts, breaches foretold."""
    from models import DETECTORS, files, summary
    from models.backtest import backtest as tested
    from models.gate import BASELINES, LSTM

    places = dict(zip(file, files.destinations(_present(file, out), out or Path()), strict=True))
    promise = _promise(objective, horizon)
    recordings, faults = _read(file)
    makers = {name: DETECTORS[name] for name in (LSTM, *BASELINES)}
    with _progress("testing", sum(one.values.size for one in recordings) * len(makers), quiet) as advanced:
        series = tested(recordings, makers, promise, advanced)
    if as_json:
        say(summary.shape(series))
    else:
        _table(*summary.rows(series))
    if out is not None:
        names = [places[one.path].with_suffix("") for one in recordings for _ in one.columns]
        faults += _keep(out, series, names, promise)
    raise typer.Exit(1 if faults else 0)


def _promise(objective: str | None, horizon: str) -> "Promise | None":
    """What `--objective` and `--horizon` say; InputError (misuse) where they say nothing."""
    from models.backtest import Promise

    try:
        seconds = parse_duration(horizon)
    except ValueError as error:
        raise InputError("--horizon", str(error), "give one such as 15m, 1h or 24h") from None
    if objective is None:
        return None
    found = re.fullmatch(r"\s*(<=|>=|<|>)\s*([-+.\deE]+)\s*", objective)
    try:
        return Promise(Objective(found[1], float(found[2])), seconds) if found else _refuse(objective)
    except ValueError:
        return _refuse(objective)


def _refuse(objective: str) -> NoReturn:
    raise InputError("--objective", f"{objective!r} is none", "give one such as '<= 0.5'")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from seawall import paint

    made = paint.table(*columns)
    for row in rows:
        made.add_row(*row)
    paint.console().print(made)


def _keep(out: Path, series: Sequence["Series"], names: Sequence[Path], promise: "Promise | None") -> int:
    """Write the page, the figures and a picture of each series; 1 if the disk refuses, which is told."""
    from models import drawing, page, picture, summary
    from models.gate import LSTM

    limit = None if promise is None else promise.objective.value
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "backtest.html").write_text(page.page(series, LSTM, promise), encoding="utf-8")
        (out / "backtest.json").write_text(json.dumps(summary.shape(series), indent=1) + "\n")
        if shown := page.diagram(series):
            (out / "reliability.png").write_bytes(drawing.png(shown))
        for name, one in zip(names, series, strict=True):
            place = name.with_name(re.sub(r"[^\w.-]+", "-", re.sub(r"\.csv(\.gz)?", "", one.name)) + ".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(drawing.png(picture.drawn(page.panel(one, LSTM, limit))))
    except OSError as error:
        typer.echo(
            f"seawall: {out}: cannot be written: {error.strerror}; make room or name another", err=True
        )
        return 1
    return 0


def _read(paths: Sequence[Path]) -> tuple[list["Recording"], int]:
    """The files that can be used, and how many cannot, each of which is told."""
    from models.files import read

    recordings, faults = list["Recording"](), 0
    for path in paths:
        try:
            recordings.append(read(path))
        except InputError as error:
            typer.echo(f"seawall: {error}", err=True)
            faults += 1
    return recordings, faults


def _write(places: Sequence[Path], recordings: Sequence["Recording"], verdicts: Sequence["Verdict"]) -> int:
    """Keep the answers; how many could not be written, each of which is told."""
    from models.files import write

    faults = 0
    for place, recording, verdict in zip(places, recordings, verdicts, strict=True):
        try:
            write(place, recording, verdict)
        except OSError as error:
            finding = f"{place}: cannot be written: {error.strerror}; make room or name another --out"
            typer.echo(f"seawall: {finding}", err=True)
            faults += 1
    return faults


def _present(paths: Sequence[Path], out: Path | None) -> Sequence[Path]:
    """The files, all of which are there; InputError (misuse) names the first that is not."""
    if out and out.exists() and not out.is_dir():
        raise InputError("--out", f"{out} is no folder", "name a folder")
    for path in paths:
        if not path.is_file():
            finding = "is a folder" if path.is_dir() else "there is no such file"
            raise InputError(str(path), finding, "name CSV files, such as recordings/*.csv")
    return paths


def _detector(name: str, network: bool) -> "Streaming":
    """A new detector of that name; without `network`, the LSTM's features alone."""
    from models import DETECTORS
    from models.gate import LSTM
    from models.lstm import Lstm

    if name not in DETECTORS:
        raise InputError("--detector", f"{name!r} is none", f"choose one of {', '.join(DETECTORS)}")
    if network:
        return DETECTORS[name]()
    if name != LSTM:
        raise InputError("--without-lstm", f"{name} has no network", f"use it with --detector {LSTM}")
    return Lstm(network=False)


@contextmanager
def _progress(what: str, total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where that is a terminal; yields what to tell the number of values done."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
