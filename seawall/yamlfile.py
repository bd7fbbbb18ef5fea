"""Strict YAML: one UTF-8 document of plain data, whose every error names file, line and remedy."""

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from seawall.core.errors import InputError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 1 << 20
_MAX_DEPTH = 50
_A_LIST, _A_MAPPING = "write a list: [...]", "write keys with values: {key: value}"
_WORDS = {  # pydantic's types of a fault, for people
    "tuple_type": _A_LIST, "list_type": _A_LIST, "set_type": _A_LIST, "frozen_set_type": _A_LIST,
    "dict_type": _A_MAPPING, "mapping_type": _A_MAPPING, "model_type": _A_MAPPING,
    "bool_type": "write true or false", "bool_parsing": "write true or false",
    "int_type": "write a whole number", "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number", "float_parsing": "write a number",
    "string_type": "write text; in quotes, where it looks like something else",
    "path_type": "write a path",
}  # fmt: skip
_NAMES = ("name", "registry")
_KINDS = {dict: "a mapping", list: "a list", type(None): "empty"}
KeyPath = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """`data` is plain Python; `lines` maps key paths to 1-based lines."""

    path: Path
    data: Any
    lines: Mapping[KeyPath, int]

    def line(self, key: KeyPath) -> int:
        """The line of `key`, or of its nearest known parent."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def place(self, key: KeyPath) -> str:
        """`file.yaml:12`."""
        return f"{self.path}:{self.line(key)}"


def read_text(path: Path) -> str:
    """UTF-8 text of at most 1 MiB. InputError says what is wrong with the file."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "check the path and its mode"
        ) from error
    if len(raw) > _MAX_BYTES:
        raise InputError(str(path), f"has {len(raw)} bytes", "keep it under 1 MiB")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}", "is not UTF-8", "save the file as UTF-8") from error


def read_yaml(path: Path) -> Document:
    """One document without tags, anchors, duplicate or non-text keys. InputError names the line."""
    text = read_text(path)
    try:
        _refuse_extras(path, text)
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            raise InputError(f"{path}:1", "the file is empty", "write at least one key")
        lines = dict(_walk(path, node, ()))
        return Document(path, yaml.load(text, Loader=_LOADER), lines)  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, ValueError) as error:
        raise yaml_error(path, error) from error


def yaml_error(path: Path, error: Exception) -> InputError:
    """PyYAML's error as an InputError with file and line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = f"{path}:{mark.line + 1}" if mark else str(path)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return InputError(place, f"broken YAML: {problem}", "mend the syntax at or just above this line")


def _refuse_extras(path: Path, text: str) -> None:
    depth = documents = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
    for event in events:
        place = f"{path}:{event.start_mark.line + 1}"
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise InputError(place, "a second document starts here", "keep one document a file")
        if depth > _MAX_DEPTH:
            raise InputError(place, f"nested deeper than {_MAX_DEPTH} levels", "flatten it")
        if anchor := getattr(event, "anchor", None):
            raise InputError(place, f"anchor or alias {anchor!r}", "write the value out where it is used")
        if tag := getattr(event, "tag", None):
            raise InputError(place, f"tag {tag!r}", "write a plain value; tags are refused")


def _walk(path: Path, node: yaml.Node, key: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    yield key, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(path, item, (*key, index))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            text, line = _key(path, name), name.start_mark.line + 1
            if text in seen:
                raise InputError(
                    f"{path}:{line}",
                    f"duplicate key {dotted((*key, text))!r} (first on line {seen[text]})",
                    "keep one of them",
                )
            seen[text] = line
            yield from _walk(path, value, (*key, text))
            yield (*key, text), line


def _key(path: Path, node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str":
        return str(node.value)
    raise InputError(
        f"{path}:{node.start_mark.line + 1}",
        f"the key {node.value!r} is not text",
        "put the key in quotes (YAML reads yes, no, on, off and numbers as other types)",
    )


def dotted(key: KeyPath) -> str:
    """('registries', 0, 'url') -> `registries[0].url`."""
    out = ""
    for part in key:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def validate(model: type[Model], document: Document) -> Model:
    """`document` as a `model`. InputError tells the first fault by file, line and dotted key, and
    how many more there are."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        # An unknown key first: it is often the misspelt form of one that is told as missing.
        faults = sorted(error.errors(include_url=False), key=lambda f: f["type"] != "extra_forbidden")
        raise _fault(model, document, faults[0], len(faults) - 1) from error


def _fault(model: type[BaseModel], document: Document, fault: Any, more: int) -> InputError:
    key = _real(document, tuple(fault["loc"]))
    rest = f" (and {more} more in this file)" if more else ""
    if fault["type"] == "extra_forbidden":
        known = sorted(_fields(model, key[:-1]))
        near = difflib.get_close_matches(str(key[-1]), known, 1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return InputError(document.place(key), f"unknown key {dotted(key)!r}{rest}", remedy)
    if fault["type"] == "missing":
        return InputError(
            document.place(key[:-1]), f"key {dotted(key)!r} is missing{rest}", f"add {key[-1]!r}"
        )
    return _wrong(document, key, fault, rest)


def _wrong(document: Document, key: KeyPath, fault: Any, rest: str) -> InputError:
    """A value that stands there, but is none for its key."""
    while key and key not in document.lines:  # pydantic's name for a member of a union
        key = key[:-1]
    name = dotted(key) or "the document"
    said = _WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    shown = _shown(fault["input"], bool(key), fault["type"] in _WORDS)
    if fault["type"] == "value_error" and (found := _meant(document, key, said)):
        name, shown, key = dotted(found), "", found
        said = said.partition(": ")[2]
    return InputError(document.place(key), f"{name}{shown}{rest}", said[:1].lower() + said[1:])


def _shown(given: Any, somewhere: bool, of_a_type: bool) -> str:
    """What stands there: a value in a place of its own, else of which kind it is."""
    if isinstance(given, str | int | float | bool) and (somewhere or of_a_type):
        return f" is {_masked(given)!r}"
    return f" is {_KINDS[type(given)]}" if of_a_type and type(given) in _KINDS else ""


def _meant(document: Document, key: KeyPath, said: str) -> KeyPath:
    """The place of the name that a message about a whole mapping tells: `storage: no registry is named 'x'`
    stands at `storage[2].registry`. () where it is not known."""
    told = re.match(r"([\w.]+)\S*: .*?'([^']*)'", said)
    top = (*key, *told[1].split(".")) if told else key
    if told is None or top not in document.lines:
        return ()
    below = [it for it in document.lines if it[: len(top)] == top]
    named = [it for it in below if it[-1] == told[2] or (it[-1] in _NAMES and _at(document, it) == told[2])]
    return max(named, key=document.line, default=top)


def _at(document: Document, key: KeyPath) -> Any:
    found = document.data
    for part in key:
        found = found[part]
    return found


def _masked(given: Any) -> Any:
    """A URL without the user and password that somebody wrote into it."""
    return re.sub(r"//[^/\s]*@", "//***@", given) if isinstance(given, str) else given


def _real(document: Document, loc: KeyPath) -> KeyPath:
    """`loc` without the parts that pydantic adds for unions: those that are not keys of the file."""
    key: KeyPath = ()
    for index, part in enumerate(loc):
        if (*key, part) in document.lines or index == len(loc) - 1:
            key = (*key, part)
    return key


def _fields(model: type[BaseModel], key: KeyPath) -> set[str]:
    """The keys that the file may have at `key`."""
    here: list[Any] = [model]
    for part in key:
        here = [step for kind in here for step in _step(kind, part)]
    return {
        field.alias or name
        for kind in here
        for name, field in getattr(kind, "model_fields", {}).items()
    }  # fmt: skip


def _step(kind: Any, part: str | int) -> list[Any]:
    for name, field in getattr(kind, "model_fields", {}).items():
        if part in (name, field.alias):
            return _plain(field.annotation)
    return [found for argument in get_args(kind) for found in _plain(argument)]


def _plain(kind: Any) -> list[Any]:
    """The members of a union, else the type itself."""
    if get_origin(kind) in (Union, types.UnionType):
        return [found for member in get_args(kind) for found in _plain(member)]
    return [kind]
