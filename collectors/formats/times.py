"""Times of log lines -> RFC 3339 in UTC."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}
_CLF = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d) ([+-]\d\d)(\d\d)", re.ASCII)
_MINUTES = frozenset(f":{minute:02}:{second:02}" for minute in range(60) for second in range(60))
_SKEW = timedelta(days=1)


def utc(text: object) -> str | None:
    """RFC 3339 -> the same moment in UTC (its own digits kept where it is UTC), None if it is none."""
    if not isinstance(text, str) or _RFC3339.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return text if text.endswith("Z") else _rfc3339(moment)
    except (ValueError, OverflowError):
        return None


def clf_time(text: str) -> str | None:
    """Common log format, `14/Aug/2015:19:41:43 +0000` -> RFC 3339 in UTC, None if it is none."""
    if len(text) != 26 or (hour := _clf_hour(text[:14] + text[20:])) is None:
        return None
    minutes = text[14:20]
    if minutes not in _MINUTES:
        return None
    if isinstance(hour, str):
        return f"{hour}{minutes}Z"
    return _rfc3339(hour + timedelta(minutes=int(minutes[1:3]), seconds=int(minutes[4:])))


@lru_cache(maxsize=1024)
def _clf_hour(text: str) -> str | datetime | None:
    """`14/Aug/2015:19 +0200` -> `2015-08-14T17`; the moment itself where a zone is not in whole hours."""
    match = _CLF.fullmatch(text)
    if match is None or match[2] not in _MONTH or match[6] > "59":
        return None
    day, month, year, hour, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(hours[0] + minutes))
    try:
        moment = datetime(int(year), _MONTH[month], int(day), int(hour), tzinfo=UTC) - offset
    except (ValueError, OverflowError):
        return None
    if abs(offset) >= timedelta(days=1):
        return None
    return moment if moment.minute else f"{moment:%Y-%m-%dT%H}".rjust(13, "0")


def yearless_time(text: str, now: datetime) -> str | None:
    """RFC 3164's `Jun  3 19:49:04` -> RFC 3339: UTC, the latest such moment not after `now` and a day.

    The head names neither year nor zone. The day allows for a sender in another zone or with a clock ahead.
    """
    try:
        month, day = _MONTH[text[:3]], int(text[4:6])
        hour, minute, second = (int(part) for part in text[7:].split(":"))
    except (KeyError, ValueError):
        return None
    for year in range((now + _SKEW).year, now.year - 9, -1):
        try:
            moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:  # 29 February is there in leap years only
            continue
        if moment <= now + _SKEW:
            return _rfc3339(moment)
    return None


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
