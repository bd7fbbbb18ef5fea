"""The catalogue: a playbook is a folder with action.yaml, playbook.yml and README.md."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from remediation.diffs import LIBRARY
from seawall.core.actions import Risk, Verification
from seawall.core.errors import InputError
from seawall.core.times import parse_duration
from seawall.yamlfile import read_text, read_yaml, validate, yaml_error

SHIPPED = Path(__file__).parent / "playbooks"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
Seconds = Annotated[float, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v)]
_LISTED = re.compile(r"[^\n\r\0]*")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trigger(_Model):
    """The row of the SLO matrix whose incident the playbook answers."""

    slo: str


class Verify(_Model):
    """The row whose indicator must be good for `rounds` rounds within `window` seconds."""

    slo: str
    window: Seconds = Field(gt=0)
    rounds: int = Field(default=3, ge=1, le=100)


class Undo(_Model):
    """The playbook that takes it back, or the reason why there is none."""

    playbook: Name | None = None
    none: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.playbook is None) == (self.none is None):
            raise ValueError("give either playbook or none (with the reason)")
        return self


class InputSpec(_Model):
    """One input. `from: registry.KEY` takes it from the registry's facts, `from: incident.KEY` from what the
    incident tells, else `default`."""

    type: Literal["string", "integer", "boolean", "url", "path", "list", "map"]
    source: str | None = Field(
        default=None, alias="from", pattern=r"^(registry|incident)\.[a-z_]+(\.[a-z_]+)*$"
    )
    default: Any = None
    choices: tuple[Any, ...] | None = None
    pattern: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    description: str = ""

    def resolve(self, facts: Mapping[str, Any], told: Mapping[str, Any]) -> Any:
        """The value from the registry's facts, from what the incident told, or the default; None if none
        knows it."""
        value: Any = {"registry": facts, "incident": told}
        for key in self.source.split(".") if self.source else ():
            value = value.get(key) if isinstance(value, Mapping) else None
        return self.default if self.source is None or value is None else value

    def fault(self, value: Any) -> str | None:
        """What is wrong with `value`, or None. Bounds are the number, or the length."""
        texts = [value] if isinstance(value, str) else _texts(value)
        if not _IS[self.type](value):
            return f"is not of type {self.type}"
        if any(not _LISTED.fullmatch(text) or _TEMPLATE.search(text) for text in texts):
            return "holds a line break or a template"
        if self.choices is not None and value not in self.choices:
            return f"is not one of {', '.join(map(str, self.choices))}"
        if self.pattern is not None and not all(re.fullmatch(self.pattern, text) for text in texts):
            return f"does not match {self.pattern}"
        return self._out_of_bounds(value if isinstance(value, int) else len(value))

    def _out_of_bounds(self, size: int) -> str | None:
        if self.minimum is not None and size < self.minimum:
            return f"is below {self.minimum}"
        if self.maximum is not None and size > self.maximum:
            return f"is above {self.maximum}"
        return None


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for pair in value.items() for text in pair if isinstance(text, str)]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_url(value: Any) -> bool:
    parts = urlsplit(value) if isinstance(value, str) else None
    return bool(parts and parts.scheme in ("http", "https") and parts.hostname and not parts.password)


_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str) and v != "",
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "url": _is_url,
    "path": lambda v: isinstance(v, str) and v.startswith("/") and ".." not in v.split("/"),
    "list": lambda v: isinstance(v, list) and all(isinstance(item, str | int) for item in v),
    "map": lambda v: isinstance(v, Mapping) and all(isinstance(t, str) for p in v.items() for t in p),
}


class Playbook(_Model):
    """action.yaml; durations in seconds after parsing. `targets` is the inventory group."""

    name: Name
    playbook: str = Field(pattern=r"^[\w.-]+\.ya?ml$")
    title: str = Field(min_length=1, max_length=200)
    summary: str = ""
    trigger: Trigger
    inputs: Mapping[str, InputSpec] = Field(default_factory=dict)
    targets: str = Field(pattern=r"^[a-z_][a-z0-9_]*$")
    risk: Risk
    cooldown: Seconds = Field(ge=0)
    timeout: Seconds = Field(gt=0, le=86400)
    verify: Verify
    undo: Undo
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return self._folder

    @property
    def path(self) -> Path:
        """Its Ansible playbook."""
        return self._folder / self.playbook

    def resolve(
        self, facts: Mapping[str, Any], told: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[dict[str, Any] | None, str]:
        """The inputs for a registry with these facts, and an incident that `told` this, or None and the
        reason."""
        inputs = {}
        for name, spec in self.inputs.items():
            value = spec.resolve(facts, told)
            if value is None:
                remedy = "the incident does not tell" if str(spec.source).startswith("incident.") else "set"
                source = f"; {remedy} {spec.source}" if spec.source else ""
                return None, f"{self.name} does not apply: input {name} has no value{source}"
            if fault := spec.fault(value):
                return None, f"{self.name} does not apply: input {name} {fault}"
            inputs[name] = value
        return inputs, ""

    def verification(self, until: float) -> Verification:
        """What must be measured after a run, until that moment (Unix seconds)."""
        return Verification(slo=self.verify.slo, until=until, needed_rounds=self.verify.rounds)

    def summary_of(self) -> dict[str, Any]:
        """For lists; durations in seconds."""
        return {
            **self.model_dump(mode="json", exclude={"inputs", "playbook"}, exclude_none=True),
            "inputs": {
                name: spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
                for name, spec in self.inputs.items()
            },
            "path": str(self.path),
        }


class Catalogue:
    """The playbooks on offer, by name."""

    def __init__(self, playbooks: Sequence[Playbook]) -> None:
        self._playbooks = {playbook.name: playbook for playbook in playbooks}

    @classmethod
    def load(cls, folders: Sequence[Path]) -> tuple[Self, list[InputError]]:
        """Every playbook of `folders`, and what is wrong with those that are left out.

        InputError if one of `folders` itself is missing.
        """
        found: dict[str, Playbook] = {}
        faults: list[InputError] = []
        for folder in (folder for root in folders for folder in _subfolders(root)):
            try:
                playbook = load_playbook(folder)
                if first := found.get(playbook.name):
                    finding = f"playbook {playbook.name!r} stands in {first.folder} already"
                    raise InputError(str(folder / "action.yaml"), finding, "give it another name")
                found[playbook.name] = playbook
            except InputError as fault:
                faults.append(fault)
        return cls(list(found.values())), faults

    def __iter__(self) -> Iterator[Playbook]:
        """By name."""
        return iter(sorted(self._playbooks.values(), key=lambda playbook: playbook.name))

    def get(self, name: str) -> Playbook | None:
        """The playbook of that name."""
        return self._playbooks.get(name)

    def digest(self, playbook: Playbook) -> str:
        """Hex SHA-256 of what a run would execute, read from disk now."""
        return content_digest(playbook.folder)

    def proposals(
        self, slo: str, facts: Mapping[str, Any], told: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[list[tuple[Playbook, dict[str, Any]]], list[str]]:
        """Playbooks for a row of a registry with these facts, and an incident that `told` this, with their
        inputs, and why others of that row do not apply."""
        offers, reasons = [], []
        for playbook in self:
            if playbook.trigger.slo == slo:
                inputs, reason = playbook.resolve(facts, told)
                if inputs is None:
                    reasons.append(reason)
                else:
                    offers.append((playbook, inputs))
        return offers, reasons


def _subfolders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError(str(root), "is not a folder of playbooks", "create it, or mend `playbooks:`")
    return sorted(it for it in root.iterdir() if it.is_dir() and not it.name.startswith((".", "__")))


def load_playbook(folder: Path) -> Playbook:
    """One playbook. InputError names file, line and key."""
    document = read_yaml(folder / "action.yaml")
    playbook = validate(Playbook, document)
    playbook._folder = folder.resolve()
    if playbook.name != folder.name:
        finding = f"name is {playbook.name!r}, but the folder is {folder.name!r}"
        raise InputError(document.place(("name",)), finding, "make them equal")
    for name, spec in playbook.inputs.items():
        if spec.default is not None and (fault := spec.fault(spec.default)):
            place = document.place(("inputs", name, "default"))
            raise InputError(place, f"inputs.{name}.default {fault}", "mend the default")
    _check_plays(playbook)
    return playbook


class _Lenient(yaml.SafeLoader):
    """Ansible's own tags (!vault, !unsafe) are let through; their values are not looked at."""


_Lenient.add_multi_constructor("!", lambda loader, suffix, node: None)


def _check_plays(playbook: Playbook) -> None:
    """The playbook is a list of plays on its own targets, and none of them asks questions."""
    path = playbook.path
    try:
        root = yaml.compose(read_text(path), Loader=_Lenient)
        plays = yaml.load(read_text(path), Loader=_Lenient)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise yaml_error(path, error) from error
    if not isinstance(plays, list) or not plays or not isinstance(root, yaml.SequenceNode):
        raise InputError(f"{path}:1", "is not a list of plays", "begin with `- hosts: ...`")
    for play, node in zip(plays, root.value, strict=True):
        if finding := _play_fault(play, playbook.targets):
            remedy = f"a play needs `hosts: {playbook.targets}`, tasks or roles, and no vars_prompt"
            raise InputError(f"{path}:{node.start_mark.line + 1}", finding, remedy)


def _play_fault(play: Any, targets: str) -> str | None:
    if not isinstance(play, dict):
        return "this is not a play"
    if play.get("hosts") not in (targets, "all"):
        return f"hosts is {play.get('hosts')!r}, but targets is {targets!r}"
    if not {"tasks", "roles", "pre_tasks", "post_tasks"} & set(play):
        return "this play has nothing to do"
    return "vars_prompt waits for a person, and nobody is there" if "vars_prompt" in play else None


def content_digest(folder: Path, library: Path = LIBRARY) -> str:
    """Hex SHA-256 over the names and bytes of every file of a playbook's folder and of the modules."""
    total = hashlib.sha256()
    for root in (folder, library):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                one = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{path.relative_to(root).as_posix()}\0{one}\n".encode())
        total.update(b"--\n")
    return total.hexdigest()
