"""`runs:` of seawall.yaml: what a run may take, and how long its folder is kept."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from seawall.core.times import parse_duration

Seconds = Annotated[
    float, BeforeValidator(lambda it: parse_duration(it) if isinstance(it, str) else it), Field(gt=0)
]


class Runs(BaseModel):
    """`keep` is seconds after an action's end, `memory` MiB that the processes of a run may hold together.
    `folder` is where runs live; Seawalls that share records share it, so that each finds the others' runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: Seconds = 90 * 86400.0
    folder: Path | None = None
    memory: int = Field(default=1024, ge=256)
