"""Credentials never leave a line: tokens, signatures, passwords and signed state become `***`."""

import re
from functools import lru_cache

MASK = "***"

# Names of query parameters and keys that hold credentials or signed state.
_SENSITIVE_NAME = (
    r"(?:[\w.-]*(?:token|signature|password|passwd|secret|credential|api[_-]?key)|sig|_state"
    r"|awsaccesskeyid|googleaccessid|policy|code|state)"
)
_SENSITIVE_PARAMETER = re.compile(rf"([?&;]{_SENSITIVE_NAME}=)[^&;\s\"']+", re.IGNORECASE)
_USER_INFO = re.compile(r"://[^/\s:@\"]*(?::[^/\s@\"]*)?@")
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", re.ASCII)
_SENSITIVE_TEXT = (
    # The whole value of a header that authenticates, whatever its scheme.
    re.compile(
        r"((?:authorization|cookie|x-registry-auth)\\?[\"']?\s*+[:=]\s*+[\[\\\"']*+)[^\"'\\\]\r\n]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE),
    re.compile(
        r"(?<!\w)((?=\w{0,64}?(?:password|passwd|secret|token|authorization|signature|api_?key))"
        r"\w++\\?[\"']?\s*+[=:]\s*\\?[\"']?)"
        r"(?!(?:bearer|basic)\b|(?<=token: )[a-z]{1,8}: )[^\s\"',;&\\]+",
        re.IGNORECASE,
    ),
)
# A text without any of these, in lower case, holds no credential that the patterns would find.
_SUSPECT = (
    "?", "@", "=", "pass", "secret", "token", "auth", "key", "bearer", "basic", "signature", "cookie",
    "credential", "eyj",
)  # fmt: skip
_REMEMBERED = 256  # characters; user agents and messages repeat, and the patterns are slow


def mask_url(url: str) -> str:
    """Credentials in a URL's query (tokens, signatures, signed upload state) and user info become `***`."""
    if "?" in url or "@" in url:
        url = _USER_INFO.sub(f"://{MASK}@", _SENSITIVE_PARAMETER.sub(_mask_value, url))
    return _JWT.sub(MASK, url) if "eyJ" in url else url


def _mask_value(match: re.Match[str]) -> str:
    """What stands before a value is kept; several times faster than a template."""
    return match[1] + MASK


def mask_text(text: str) -> str:
    """Credentials in free text (in URLs, Authorization, passwords, tokens) become `***`."""
    return _remembered(text) if len(text) <= _REMEMBERED else _masked(text)


def _masked(text: str) -> str:
    lowered = text.lower()
    if not any(word in lowered for word in _SUSPECT):
        return text
    text = mask_url(text)
    for pattern in _SENSITIVE_TEXT:
        text = pattern.sub(_mask_value, text)
    return _JWT.sub(MASK, text)


_remembered = lru_cache(maxsize=4096)(_masked)
