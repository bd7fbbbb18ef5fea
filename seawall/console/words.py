"""The console's languages: a text of a template -> the reader's words, from one catalogue a language.

The key is the English text (as in gettext); `catalogue_zh.json` has the Chinese of every key. A text without
an entry stays English. Texts are ours and may carry markup; what is put into them is escaped.
"""

import json
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from starlette.requests import Request

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
TAGS = {"en": "en", "zh": "zh-Hans"}
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "seawall_language", "seawall_theme"
YEAR_SECONDS = 365 * 86400
_CATALOGUES: Mapping[str, Mapping[str, str]] = {
    "en": {},
    "zh": json.loads((Path(__file__).parent / "catalogue_zh.json").read_text(encoding="utf-8")),
}
_ACCEPTED = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([0-9.]{1,5}))?\s*")


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is shown to this reader: a key of LANGUAGES, one of THEMES."""

    language: str = "en"
    theme: str = "auto"

    @property
    def tag(self) -> str:
        """The language as HTML names it (BCP 47)."""
        return TAGS[self.language]


_PLAIN = Look()
LOOK: ContextVar[Look] = ContextVar("seawall.look", default=_PLAIN)


def look() -> Look:
    """Of the request being answered."""
    return LOOK.get()


def look_of(request: Request) -> Look:
    """What the reader chose (cookies), else what the browser asks for (Accept-Language, RFC 9110 12.5.4)."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    theme = request.cookies.get(THEME_COOKIE, "")
    language = chosen if chosen in LANGUAGES else accepted(request.headers.get("accept-language", ""))
    return Look(language, theme if theme in THEMES else "auto")


def accepted(header: str) -> str:
    """The best of our languages that a browser asks for; English if it asks for none of them."""
    best, weight = "en", 0.0
    for part in header.split(",")[:20]:
        found = _ACCEPTED.fullmatch(part)
        language = found[1].lower() if found else ""
        if found is None or language not in LANGUAGES:
            continue
        quality = _quality(found[2])
        if quality > weight:
            best, weight = language, quality
    return best


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


def said(text: str, /, **values: object) -> Markup:
    """`text` in the reader's language, `{name}` replaced by the escaped value of that name."""
    template = Markup(_CATALOGUES[look().language].get(text, text))  # noqa: S704 - texts of our own templates
    return template.format(**values) if values else template


def counted(one: str, many: str, n: int, /, **values: object) -> Markup:
    """`one` where n is 1, else `many`; `{n}` is the number."""
    return said(one if n == 1 else many, n=n, **values)


def catalogue(language: str) -> Mapping[str, str]:
    """All entries of a language."""
    return _CATALOGUES[language]
