"""Passwords and tokens: https://distribution.github.io/distribution/spec/auth/token/, RFC 7617, RFC 6750."""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from collectors.pulling.faults import Broken

_DEFAULT_EXPIRY = 60.0  # seconds, of a token that names none (the token specification)
_USED_SHARE = 0.9  # of a token's life: it must not end under way
_PARAMETER = re.compile(r'(\w+)="([^"]*)"|(\w+)=([^\s,"]+)')
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and where to read the password, asked for each time it is sent."""

    username: str
    password: Callable[[], str] = field(repr=False)

    def basic(self) -> str:
        """The value of a Basic Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password()}".encode()
        return "Basic " + base64.b64encode(pair).decode()


@dataclass(slots=True)
class Tokens:
    """Authorization headers by scope, each until it expires (monotonic seconds: no clock but its own)."""

    kept: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def get(self, scope: str) -> str | None:
        """The live header of a scope."""
        header, until = self.kept.get(scope, ("", 0.0))
        return header if time.monotonic() < until else None

    def keep(self, scope: str, header: str, seconds: float) -> None:
        """Keep a header for so long."""
        self.kept[scope] = header, time.monotonic() + seconds


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for: `scheme` is bearer, basic or "" (nothing that we can answer)."""

    scheme: str
    parameters: dict[str, str]


def read_challenge(header: str) -> Challenge:
    """A WWW-Authenticate header; bearer is preferred."""
    if match := re.search(r"\bbearer\s+(.*)", header, re.IGNORECASE):
        return Challenge("bearer", {a or c: b or d for a, b, c, d in _PARAMETER.findall(match[1])})
    return Challenge("basic" if re.search(r"\bbasic\b", header, re.IGNORECASE) else "", {})


def read_token(status: int, body: bytes, date: float | None) -> tuple[str, float]:
    """(Authorization header, seconds to keep it). `date` is the token server's own clock, as it answered:
    what is left of a token that it had issued before is told by that clock alone, so that a skew between
    its clock and ours does no harm. Broken."""
    if status != 200:
        raise Broken(f"the token server answered {status}")
    try:
        document = json.loads(body)
        token = document.get("token") or document["access_token"]
        seconds = float(document.get("expires_in") or _DEFAULT_EXPIRY)
        age = _age(document.get("issued_at"), date)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Broken("the token server's answer holds no token") from error
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise Broken("the token server's token is no token")
    return f"Bearer {token}", _USED_SHARE * (seconds - age)


def _age(issued_at: object, date: float | None) -> float:
    if date is None or not isinstance(issued_at, str):
        return 0.0
    try:
        return max(0.0, date - datetime.fromisoformat(issued_at).timestamp())
    except (ValueError, OverflowError):
        return 0.0


@lru_cache(maxsize=256)
def read_date(header: str | None) -> float | None:
    """A Date header (RFC 9110 section 5.6.7) as Unix seconds; None if it is none."""
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
