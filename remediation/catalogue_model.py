"""action.yaml: what a playbook of the catalogue says of itself, and the inputs that it takes."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from seawall.core.actions import Risk, Verification
from seawall.core.times import parse_duration

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
FileName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*\.ya?ml$", max_length=128)]
Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=128)]
Seconds = Annotated[float, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v)]
_LISTED = re.compile(r"[^\n\r\0]*")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _row_or_signal(slo: str | None, signal: str | None, op: str | None, value: float | None) -> None:
    if (slo is None) == (signal is None):
        raise ValueError("give either slo (a row of the matrix) or signal")
    if signal is not None and (op is None or value is None):
        raise ValueError("a signal needs op and value")
    if slo is not None and (op is not None or value is not None):
        raise ValueError("op and value belong to a signal; the row has its own")


class Trigger(_Model):
    """What the playbook answers: a row of the SLO matrix (its incidents), or a signal that is `op` `value`,
    which nobody proposes by itself yet."""

    slo: str | None = None
    signal: Metric | None = None
    op: Literal["<", "<=", ">", ">="] | None = None
    value: float | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _row_or_signal(self.slo, self.signal, self.op, self.value)
        return self

    def __str__(self) -> str:
        return self.slo or f"{self.signal} {self.op} {self.value:g}"


class Verify(_Model):
    """The row whose indicator must be good, or the signal whose newest samples must be `op` `value`, for
    `rounds` rounds within `window` seconds."""

    slo: str | None = None
    signal: Metric | None = None
    op: Literal["<", "<=", ">", ">="] | None = None
    value: float | None = None
    window: Seconds = Field(gt=0)
    rounds: int = Field(default=3, ge=1, le=100)

    @model_validator(mode="after")
    def _one(self) -> Self:
        _row_or_signal(self.slo, self.signal, self.op, self.value)
        return self


class Undo(_Model):
    """The playbook in the same folder that takes it back, with the same inputs, or why there is none.
    `offered`: it is offered when the incident's row is good again, for a repair that only protects."""

    playbook: FileName | None = None
    none: str | None = Field(default=None, min_length=1)
    offered: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.playbook is None) == (self.none is None):
            raise ValueError("give either playbook or none (with the reason)")
        if self.offered and self.playbook is None:
            raise ValueError("offered needs playbook: there is nothing to offer")
        return self


class InputSpec(_Model):
    """One input. `from: registry.KEY` takes it from the registry's facts, `from: incident.KEY` from what the
    incident tells, else `default`. One that is not `required` is left out where nothing gives it a value."""

    type: Literal["string", "integer", "boolean", "url", "path", "list", "map"]
    source: str | None = Field(
        default=None, alias="from", pattern=r"^(registry|incident)\.[a-z_]+(\.[a-z_]+)*$"
    )
    required: bool = True
    default: Any = None
    choices: tuple[Any, ...] | None = None
    pattern: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    description: str = ""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        """Bounds that no value can meet, and patterns that are none, are told at once."""
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if not self.required and self.default is not None:
            raise ValueError("has a default, so `required: false` says nothing; drop one of the two")
        if self.pattern is not None and self.type in ("integer", "boolean"):
            raise ValueError(f"pattern does not fit type {self.type}; use minimum, maximum or choices")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from error
        return self

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
    """action.yaml; durations in seconds after parsing. `targets` is the inventory group, `previewable` false
    where check mode shows less than all that a run would change."""

    name: Name
    playbook: FileName
    title: str = Field(min_length=1, max_length=200)
    summary: str = Field(default="", max_length=500)
    trigger: Trigger
    inputs: Mapping[str, InputSpec] = Field(default_factory=dict)
    targets: str = Field(pattern=r"^[a-z_][a-z0-9_]*$")
    risk: Risk
    cooldown: Seconds = Field(ge=0)
    timeout: Seconds = Field(gt=0, le=86400)
    previewable: bool = True
    verify: Verify
    way_back: Undo = Field(alias="undo")
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return self._folder

    @property
    def path(self) -> Path:
        """Its Ansible playbook."""
        return self._folder / self.playbook

    @property
    def undo(self) -> Path | None:
        """The playbook in its folder that takes it back, run with the same inputs; None if there is none."""
        return self._folder / self.way_back.playbook if self.way_back.playbook else None

    @property
    def undo_reason(self) -> str:
        """Why there is no undo; empty if there is one."""
        return self.way_back.none or ""

    def resolve(
        self, facts: Mapping[str, Any], told: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[dict[str, Any] | None, str]:
        """The inputs for a registry with these facts, and an incident that `told` this, or None and the
        reason."""
        inputs = {}
        for name, spec in self.inputs.items():
            value = spec.resolve(facts, told)
            if value is None:
                if not spec.required:
                    continue
                remedy = "the incident does not tell" if str(spec.source).startswith("incident.") else "set"
                source = f"; {remedy} {spec.source}" if spec.source else ""
                return None, f"{self.name} does not apply: input {name} has no value{source}"
            if fault := spec.fault(value):
                return None, f"{self.name} does not apply: input {name} {fault}"
            inputs[name] = value
        return inputs, ""

    def verification(self, until: float) -> Verification:
        """What must be measured after a run, until that moment (Unix seconds)."""
        verify = self.verify
        return Verification(
            slo=verify.slo or "",
            until=until,
            needed_rounds=verify.rounds,
            signal=verify.signal,
            op=verify.op or "",
            value=verify.value or 0.0,
        )

    def summary_of(self) -> dict[str, Any]:
        """For lists; durations in seconds."""
        return {
            **self.model_dump(mode="json", by_alias=True, exclude={"inputs", "playbook"}, exclude_none=True),
            "inputs": {
                name: spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
                for name, spec in self.inputs.items()
            },
            "path": str(self.path),
        }
