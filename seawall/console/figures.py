"""Numbers and times as people read them; words stay in the templates."""

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

from seawall.core.incidents import Incident
from seawall.core.slos import SloRow, SloStatus, SloType
from seawall.core.times import MINUTE, format_duration, parse_time

_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)


def amount(value: float, unit: str) -> str:
    """A value in its base unit -> `420 ms`, `22 %`, `1.2 s`, `3 pulls`."""
    if unit == "ratio":
        return f"{_short(value * 100, 1 if abs(value) >= 0.01 else 3)} %"
    if unit == "s":
        return seconds(value)
    return f"{value:,g} {unit}".rstrip()


def seconds(value: float) -> str:
    """Seconds -> `420 ms`, `1.25 s`, `1h23m`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{_short(value, 2)} s" if value < MINUTE else format_duration(value)


def minutes(value: float) -> str:
    """Seconds -> `0 min`, `2.5 min`."""
    return f"{_short(value / MINUTE, 1)} min"


def value_of(status: SloStatus, row: SloRow) -> str | None:
    """A row's value for people; None when it is not known."""
    if status.value is None:
        return None
    return minutes(status.value) if row.type is SloType.TIME_SLICES else amount(status.value, status.unit)


def threshold_of(row: SloRow) -> str:
    """A row's limit for people."""
    value = row.objective.value
    return minutes(value) if row.type is SloType.TIME_SLICES else amount(value, row.unit)


def bytes_told(value: float) -> str:
    """Bytes -> `512 B`, `1.5 MiB`, `2 TiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{_short(value, 0 if unit == 'B' else 1)} {unit}"
        value /= 1024
    return f"{_short(value, 1)} TiB"


def percent(ratio: float) -> str:
    """A share, 0 to 1 -> `40 %`."""
    return f"{ratio * 100:.0f} %"


def began(incident: Incident) -> float:
    """Since when it is bad: since it came back last, where it did."""
    return incident.reopened_at or incident.opened_at


def utc(at: float) -> str:
    """Unix seconds -> `24 Nov 2026, 03:00:12 UTC`."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M:%S} UTC"


def with_times(text: str) -> Markup:
    """Text of our own whose RFC 3339 moments become times that a browser can localise; all else escaped."""
    return Markup(_MOMENT.sub(_moment, str(escape(text))))  # noqa: S704 - escaped before


def _moment(found: re.Match[str]) -> str:
    try:
        return f'<time datetime="{found[0]}">{utc(parse_time(found[0]))}</time>'
    except ValueError:
        return found[0]


def _short(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
