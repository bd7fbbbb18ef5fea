"""`maintenance:` of seawall.yaml, spans that spend no error budget by a recorded choice, and `incidents:`."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seawall.core.slos import Exclusion
from seawall.core.times import parse_duration, parse_time


def _moment(value: object) -> object:
    if isinstance(value, float):
        return value  # read already
    try:
        return parse_time(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no RFC 3339 time; write it like 2026-11-24T03:00:00Z") from None


class Incidents(BaseModel):
    """How incidents are kept: one that Seawall resolved is reopened when its trouble is back within `reopen`
    seconds; 0 makes it a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reopen: Annotated[
        float, BeforeValidator(lambda it: parse_duration(it) if isinstance(it, str) else it), Field(ge=0)
    ] = 600.0


class Maintenance(BaseModel):
    """One planned span: minutes in it are neither bad nor watched. Who chose it and why is shown wherever it
    counts. Where `registry` is missing it holds for all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: str | None = None
    start: Annotated[float, BeforeValidator(_moment)]
    end: Annotated[float, BeforeValidator(_moment)]
    reason: str = Field(min_length=1, max_length=500)
    by: str = Field(min_length=1, max_length=128)

    @model_validator(mode="after")
    def _in_order(self) -> "Maintenance":
        if self.end <= self.start:
            raise ValueError("end is not after start; exchange them")
        return self

    def of(self, registry: str) -> Exclusion | None:
        """What it excludes for this registry."""
        if self.registry not in (None, registry):
            return None
        return Exclusion(registry, self.start, self.end, self.reason, self.by)
