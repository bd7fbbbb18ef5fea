"""What the engine writes in English (titles, why a row stands as it stands) -> the reader's words.

`engine_zh.json` has the Chinese of each form of sentence; a place such as `{time}` stands for what is put in,
which is kept, or translated itself where it is text of the engine. What has no form stays as it was written:
people's own titles, and what other systems said.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from seawall.console import words

LONGEST = 2000
"""Characters of a text of the engine; what other systems wrote may be longer, and is not looked at."""
_WITHIN = frozenset({"row", "reason", "requests", "pulls"})  # places that hold text of the engine
_MUST = frozenset(
    {"row", "requests", "pulls"}
)  # and without a form of their own this sentence is another one
_SHAPES = {"registry": r"[A-Za-z0-9][A-Za-z0-9_.-]*", "share": r"[0-9.]+%", "count": r"[0-9]+"}
_FORMS: Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]


def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", form)
    made = [
        f"(?P<{part}>{_SHAPES.get(part, '.+')})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    ]
    return re.compile("".join(made))


def forms(language: str) -> Mapping[str, str]:
    """Every form of a sentence in English, and in that language."""
    path = Path(__file__).parent / f"engine_{language}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


_FORMS = {
    language: tuple((_pattern(form), told) for form, told in forms(language).items())
    for language in words.LANGUAGES
}


def engine(text: str) -> str:
    """`text` in the reader's language, part by part; each part that has no form as it is."""
    language = words.look().language
    return _translated(text, language) if _FORMS[language] and len(text) <= LONGEST else text


@lru_cache(2000)
def _translated(text: str, language: str) -> str:
    parts = text.split("; ")
    told = [_part(part, language) for part in parts]
    if all(it is None for it in told):
        return text
    return "；".join(part if it is None else it for part, it in zip(parts, told, strict=True))


def _part(text: str, language: str) -> str | None:
    for pattern, form in _FORMS[language]:
        found = pattern.fullmatch(text)
        if found is None:
            continue
        places = found.groupdict()
        inner = {name: _part(value, language) for name, value in places.items() if name in _WITHIN}
        if any(it is None for name, it in inner.items() if name in _MUST):
            continue
        return form.format(**places | {name: it for name, it in inner.items() if it is not None})
    return None
