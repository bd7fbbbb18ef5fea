"""Times in a policy: days of the week, from-to, in a time zone."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from seawall.core.times import parse_duration

Seconds = Annotated[float, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"


class PolicyModel(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Hours(PolicyModel):
    """From `from` (in) to `to` (out) on these days; `to` at or before `from` goes over midnight and
    belongs to the day on which it began. Wall-clock time of `zone` (IANA)."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    start: str = Field(default="00:00", alias="from", pattern=_CLOCK)
    to: str = Field(default="00:00", pattern=_CLOCK)
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{zone!r} is no time zone; write one like UTC or Europe/Berlin") from error
        return zone

    def hold(self, at: float) -> bool:
        """True if Unix time `at` lies in them."""
        local = datetime.fromtimestamp(at, ZoneInfo(self.zone))
        now, today = local.strftime("%H:%M"), DAYS[local.weekday()]
        if self.start < self.to:
            return today in self.days and self.start <= now < self.to
        before = DAYS[(local - timedelta(days=1)).weekday()]
        return (today in self.days and now >= self.start) or (before in self.days and now < self.to)

    def __str__(self) -> str:
        """In words: `mon tue 09:00-17:00 Europe/Berlin`."""
        days = "every day" if self.days == DAYS else " ".join(self.days)
        return f"{days} {self.start}-{self.to} {self.zone}"
