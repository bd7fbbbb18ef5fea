"""`server:` of seawall.yaml, how much may be asked of the API."""

from pydantic import BaseModel, ConfigDict, Field


class RequestLimits(BaseModel):
    """Of each bearer token or session, and of each stranger's address: how many requests a second, and how
    many at once after a rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_second: float = Field(default=100.0, gt=0)
    requests_at_once: int = Field(default=500, ge=1)
