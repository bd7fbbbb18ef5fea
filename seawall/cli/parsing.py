"""Turn a log into JSON lines: parse."""

import gc
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

import typer

from seawall.cli.base import app
from seawall.core.errors import InputError, SeawallError

if TYPE_CHECKING:
    from collectors.formats.stream import LogReader

_GZIP = b"\x1f\x8b"


@app.command()
def parse(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A log, also gzipped; - is standard input.")],
) -> None:
    """Print a log as JSON lines with ECS fields; exit 1 if a line was not understood."""
    from collectors.formats.stream import LogReader

    gc.disable()  # nothing here makes cycles, and looking for them costs a tenth of the time
    with _opened(file) as (log, written):
        reader = LogReader(written)
        try:
            for lines in reader.read(log):
                _print(lines)
        except BrokenPipeError:  # whoever read has enough; Python would complain at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            _tell(reader)
    raise typer.Exit(1 if reader.odd.count else 0)


@contextmanager
def _opened(name: str) -> Iterator[tuple[io.BufferedIOBase, datetime]]:
    """The log's bytes, and about when it was written: a file's own time, else now."""
    try:
        with sys.stdin.buffer if name == "-" else open(name, "rb") as raw:  # noqa: PTH123 - "-" is no path
            file = cast(io.BufferedReader, raw)
            status = os.fstat(file.fileno())
            regular = stat.S_ISREG(status.st_mode)
            written = datetime.fromtimestamp(status.st_mtime, UTC) if regular else datetime.now(UTC)
            packed = file.peek(len(_GZIP)).startswith(_GZIP)
            yield (gzip.GzipFile(fileobj=file) if packed else file), written
    except BrokenPipeError:
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SeawallError(f"{name}: {str(error).lower()}; give the whole gzip file") from error
    except OSError as error:
        finding = (error.strerror or str(error)).lower()
        raise InputError(name, finding, "give a log that can be read, or - for standard input") from error


def _print(lines: bytes) -> None:
    try:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        finding = (error.strerror or str(error)).lower()
        raise SeawallError(f"standard output: {finding}; make room, or send it elsewhere") from error


def _tell(reader: "LogReader") -> None:
    for name, count in sorted(reader.formats.items()):
        typer.echo(f"{name}: {count}", err=True)
    if reader.blank:
        typer.echo(f"blank: {reader.blank}", err=True)
    if reader.odd.count:
        typer.echo(f"not understood: {reader.odd.count} of {reader.lines}, lines {reader.odd}", err=True)
