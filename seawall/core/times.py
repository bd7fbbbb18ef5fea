"""RFC 3339 times, durations such as `10s` or `5m`, and calendar months; all UTC."""

import re
from datetime import UTC, datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
MINUTE = 60.0


def rfc3339(at: float) -> str:
    """Unix seconds -> `2026-11-24T03:00:00.123Z` (RFC 3339, milliseconds, UTC)."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """RFC 3339 -> Unix seconds; a time without offset is taken as UTC. ValueError if it is none."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str) -> float:
    """`1h30m`, `10s`, `250ms` -> seconds. ValueError says what was expected."""
    text = text.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write it like 10s, 5m, 1h30m or 30d")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Seconds -> the two largest units, for people: 5025 -> `1h23m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10 and seconds % 1:
        return f"{seconds:.1f}s"
    left, out = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size:
            out.append(f"{left // size}{unit}")
            left %= size
    return "".join(out[:2]) or "0s"


def month_of(at: float) -> tuple[float, float]:
    """The calendar month (UTC) that holds `at`, as [start, end) in Unix seconds."""
    moment = datetime.fromtimestamp(at, UTC)
    start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    return start.timestamp(), start.replace(year=year, month=month).timestamp()
