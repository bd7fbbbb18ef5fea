"""What the engine writes in English (titles, reasons, explanations, stories) -> the reader's words.

`engine_zh.json` has the Chinese of each form of sentence. A place such as `{time}` stands for what is put in:
it is kept, or translated itself where it is text of the engine. A form `PLACE=...` is one of that place only
(`outcome=failed`). What has no form stays as it was written: people's words, and what other systems said.

No text costs much, whatever others put into it: it is read from left to right without going back, at most
`MOST` parts of it are looked up, each in forms that are literals between places.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from seawall.console import words

LONGEST = 2000
"""Characters of a text of the engine; what other systems wrote may be longer, and is not looked at."""
MOST = 300
"""Parts of one text that are looked up; what comes after them stays as it is."""
DEEPEST = 8
"""Forms within forms."""
JOINED = 3
"""Parts between semicolons that may be one form together."""
ENGINE = frozenset({"seawall", "policy"})
"""Actors whose lines the engine writes; of other actors' lines only their frame is the engine's."""
_TEXTS = frozenset(
    {"reason", "told", "cause", "evidence", "troubles", "risks"}
)  # places that hold text of the engine
_PHRASES = frozenset({"row", "title", "signal", "requests", "pulls", "pulled"})  # one part of such a text
_LISTS = {"rows": (", ", "row"), "others": (", ", "signal"), "slos": (" and ", "slo")}  # several of them
_MUST = frozenset(
    {"told", "cause", "row", "requests", "pulls", "pulled"}
)  # without a form this sentence is another
_FREE = frozenset(
    {"message", "comment", "summary", "verdict", "typed", "error", "fault"}
)  # others' words: anything
_NESTED = "evidence"  # it stands in parentheses and may hold some
_MOMENT, _WORD = r"[0-9TZ:.-]+", r"[a-z0-9_]+"
_SHAPES = {
    name: re.compile(shape, re.ASCII)
    for name, shape in {
        "registry": r"[A-Za-z0-9][A-Za-z0-9_.-]*",
        "share": r"[0-9.]+%",
        "count": r"[0-9]+",
        "took": r"[0-9.]+",
        "time": r"[0-9a-z.]+",
        "since": _MOMENT,
        "until": _MOMENT,
        "at": _MOMENT,
        "action": r"act-[0-9]+",
        "playbook": r"[A-Za-z0-9_'-]+",
        "run": r"[0-9]+-[a-z-]+",
        "outcome": r"[a-z]+",
        "mode": r"[a-z]+",
        "model": r"[a-z ]+",
        "hours": r"[^()]+",
        "early": r"[a-z0-9. ]+",
        "late": r"[a-z0-9. ]+",
        "slo": _WORD,
        "phase": _WORD,
        "metric": r"[A-Za-z0-9_:]+",
        "source": r"(registry|incident)\.[A-Za-z0-9_.]+",
    }.items()
}
_SENTENCES, _PARTS = re.compile(r"(?<=\.) (?=[A-Z])"), re.compile("; ")
_SCOPED, _PLACE = re.compile(r"([a-z]+)=(.+)", re.DOTALL), re.compile(r"\{(\w+)\}")
_PLURAL = re.compile(r"\b([0-9]+) ([a-z]+)\(s\)")
SENTENCE = "."
"""The scope of forms that end with a full stop: only whole sentences are looked up there."""


@dataclass(frozen=True, slots=True)
class Form:
    """A sentence of `scope` ("": it may stand anywhere): `literals` with `places` between them, and how it is
    `told` in the other language."""

    scope: str
    literals: tuple[str, ...]
    places: tuple[str, ...]
    told: str

    def fits(self, text: str) -> dict[str, str] | None:
        """What stands in the places; None where the text is no sentence of this form."""
        first, last = self.literals[0], self.literals[-1]
        if not self.places:
            return {} if text == first else None
        at, end = len(first), len(text) - len(last)
        if end < at or not text.startswith(first) or not text.endswith(last):
            return None
        found = {}
        for index, name in enumerate(self.places):
            stop = self._stop(text, index, at, end)
            value = text[at:stop]
            if stop < at or not _may_be(name, value):
                return None
            found[name], at = value, stop + len(self.literals[index + 1])
        return found

    def _stop(self, text: str, index: int, at: int, end: int) -> int:
        """Where the place ends that begins at `at`; -1 if it does not."""
        if index + 1 == len(self.places):
            return end
        literal, following = self.literals[index + 1], self.places[index + 1]
        if following == _NESTED:
            stop = _opening(text, end) - len(literal) + 1
            return stop if text.startswith(literal, max(stop, 0)) else -1
        if index + 2 == len(self.places) and following in _SHAPES:
            return text.rfind(literal, at + 1, end)
        return text.find(literal, at + 1, end)


def _may_be(name: str, value: str) -> bool:
    shape = _SHAPES.get(name)
    if shape is not None:
        return shape.fullmatch(value) is not None
    return name in _FREE or (value != "" and (name in _TEXTS or "; " not in value))


def _opening(text: str, closing: int) -> int:
    """Where the parenthesis opens that closes at `closing`; -1 if nowhere."""
    depth = 0
    for at in range(closing, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return at
    return -1


def _cut(text: str, between: re.Pattern[str]) -> list[str]:
    """Cut where `between` stands outside of parentheses; everywhere where these do not pair."""
    depths = list(accumulate((it == "(") - (it == ")") for it in text))
    paired = not depths or (depths[-1] == 0 and min(depths) == 0)
    pieces, at = [], 0
    for found in between.finditer(text):
        if not (paired and depths[found.start()]):
            pieces.append(text[at : found.start()])
            at = found.end()
    return [*pieces, text[at:]]


def forms(language: str) -> Mapping[str, str]:
    """Every form of a sentence in English, and in that language."""
    path = Path(__file__).parent / f"engine_{language}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def read(english: str, told: str) -> Form:
    """One entry of `forms`."""
    scoped = _SCOPED.fullmatch(english)
    scope, text = (scoped[1], scoped[2]) if scoped else ("", english)
    pieces = _PLACE.split(text)
    scope = SENTENCE if not scope and text.endswith(".") else scope
    return Form(scope, tuple(pieces[::2]), tuple(pieces[1::2]), told)


def _indexed(language: str) -> Mapping[str, tuple[Form, ...]]:
    """The forms by scope and first letters; those that begin with a place, or nearly so, by scope alone."""
    index: dict[str, tuple[Form, ...]] = {}
    for form in (read(*entry) for entry in forms(language).items()):
        first = form.literals[0]
        key = _key(form.scope, first if len(first) >= 3 else "")
        index[key] = (*index.get(key, ()), form)
    return index


def _key(scope: str, text: str) -> str:
    return f"{scope}={text[:3]}"


_FORMS = {language: _indexed(language) for language in words.LANGUAGES}


def engine(text: str, scope: str = "") -> str:
    """`text` in the reader's language, sentence by sentence; each that has no form as it is. `scope` names a
    place whose forms it may be, too."""
    return _told(text, scope)


def line(text: str, actor: str) -> str:
    """A line of a story in the reader's language; of a person's only its frame (`resolved by ada: ...`)."""
    return _told(text, "line") if actor in ENGINE else word(text, "people")


def word(text: str, place: str) -> str:
    """`text` in the reader's language where the whole of it is a form of that place."""
    language = words.look().language
    return _word(text, place, language) if _readable(text, language) else text


def _told(text: str, scope: str) -> str:
    language = words.look().language
    return _translated(text, scope, language) if _readable(text, language) else _PLURAL.sub(_counted, text)


def _counted(found: re.Match[str]) -> str:
    return f"{found[1]} {found[2]}" if found[1] == "1" else f"{found[1]} {found[2]}s"


def _readable(text: str, language: str) -> bool:
    return bool(_FORMS[language]) and len(text) <= LONGEST


@lru_cache(4000)
def _translated(text: str, scope: str, language: str) -> str:
    found = Reading(language).text(text, scope)
    return text if found is None else found


@lru_cache(1000)
def _word(text: str, place: str, language: str) -> str:
    found = Reading(language).form(place, text, 0)
    return text if found is None else found


class Reading:
    """One text being translated; None stands for what has no form."""

    def __init__(self, language: str) -> None:
        self._forms, self.left = _FORMS[language], MOST
        self._seen: dict[tuple[str, str], str | None] = {}

    def text(self, text: str, scope: str = "", depth: int = 0) -> str | None:
        """Sentence after sentence."""
        if depth > DEEPEST or not self.left:
            return None
        pieces = _cut(text, _SENTENCES)
        found = [self._sentence(it, scope, depth) for it in pieces]
        if all(it is None for it in found):
            return None
        told = ""
        for piece, it in zip(pieces, found, strict=True):
            told += " " if told and not told.endswith("。") else ""
            told += piece if it is None else it
        return told

    def _sentence(self, text: str, scope: str, depth: int) -> str | None:
        """As a whole, else part after part. A part that has no form keeps the semicolon before it, too."""
        whole = self.form(SENTENCE, text, depth) if text.endswith(".") else None
        if whole is not None:
            return whole
        known, told = False, ""
        for part, found in self._parts(_cut(text, _PARTS), scope, depth):
            known = known or found is not None
            told += ("; " if found is None else "；") if told else ""
            told += part if found is None else found
        return told if known else None

    def _parts(self, parts: list[str], scope: str, depth: int) -> Iterator[tuple[str, str | None]]:
        """Each part, or the fewest together that are one form, and how it is told."""
        at = 0
        while at < len(parts):
            size, found = 0, None
            while found is None and size < min(JOINED, len(parts) - at):
                size += 1
                found = self._phrase("; ".join(parts[at : at + size]), scope, depth)
            size = 1 if found is None else size
            yield "; ".join(parts[at : at + size]), found
            at += size

    def _phrase(self, text: str, scope: str, depth: int) -> str | None:
        own = self.form(scope, text, depth) if scope else None
        return self.form("", text, depth) if own is None else own

    def form(self, scope: str, text: str, depth: int) -> str | None:
        """`text` as the first form of the scope that it is."""
        key = scope, text
        if key not in self._seen:
            if depth > DEEPEST or not self.left:
                return None
            self.left -= 1
            self._seen[key] = None
            self._seen[key] = self._first(scope, text, depth)
        return self._seen[key]

    def _first(self, scope: str, text: str, depth: int) -> str | None:
        for form in (*self._forms.get(_key(scope, text), ()), *self._forms.get(_key(scope, ""), ())):
            places = form.fits(text)
            if places is None:
                continue
            told = {name: self._place(name, value, depth + 1) for name, value in places.items()}
            if not any(told[name] is None for name in told.keys() & _MUST):
                kept = {name: it for name, it in told.items() if it is not None}
                return form.told.format(**places | kept)
        return None

    def _place(self, name: str, value: str, depth: int) -> str | None:
        if name in _TEXTS:
            return self.text(value, name, depth)
        if name in _PHRASES:
            return self._phrase(value, name, depth)
        if name in _LISTS:
            between, item = _LISTS[name]
            return "、".join(self._phrase(it, item, depth) or it for it in value.split(between))
        return self.form(name, value, depth)
