"""The waterfall of one pull: every phase as a bar on one time axis, as wide as the terminal allows."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from collectors.pulling.phases import Phase

STYLES = {
    "dns": "blue", "connect": "blue", "tls": "blue", "auth_token": "magenta", "redirect": "yellow",
    "manifest_index": "cyan", "manifest_child": "cyan", "base": "cyan", "blob_ttfb": "bright_green",
    "blob_transfer": "green",
}  # fmt: skip
_OTHER_COLUMNS = 51  # phase, took, size, of, and the gaps between
_NARROWEST, _WIDEST = 16, 100
_PARTS = " ▏▎▍▌▋▊▉█"


def waterfall(phases: Sequence[Phase], total: float, width: int) -> Table:
    """`total` is in seconds, `width` in columns of the terminal."""
    room = max(_NARROWEST, min(_WIDEST, width - _OTHER_COLUMNS))
    end = told_seconds(total)
    axis = "0" + end.rjust(room - 1)
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    made.add_column("phase", no_wrap=True)
    made.add_column(axis, no_wrap=True, width=room)
    made.add_column("took", justify="right", no_wrap=True)
    made.add_column("size", justify="right", no_wrap=True)
    made.add_column("of", no_wrap=True, width=14)
    for phase in phases:
        style = "bold red" if phase.error else STYLES.get(phase.name, "")
        made.add_row(
            Text(phase.name, style),
            Text(_bar(phase, total, room), style),
            told_seconds(phase.seconds),
            told_bytes(phase.bytes) if phase.bytes else "",
            Text(_short(phase.target), "dim"),
        )
    return made


def _bar(phase: Phase, total: float, room: int) -> str:
    """In eighths of a column; never invisible."""
    scale = room * 8 / total if total else 0.0
    before = min(int(phase.start * scale) // 8, room - 1)
    eighths = max(1, min(round(phase.seconds * scale), (room - before) * 8))
    return " " * before + "█" * (eighths // 8) + _PARTS[eighths % 8].strip()


def _short(target: str) -> str:
    _, colon, digest = target.partition(":")
    return f"{digest[:12]}" if colon and len(digest) > 12 else target[:14]


def told_seconds(seconds: float) -> str:
    """`0.42 ms`, `42 ms`, `4.2 s`."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2f} ms"


def told_bytes(size: float) -> str:
    """`512 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
