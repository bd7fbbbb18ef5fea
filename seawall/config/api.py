"""`server:` of seawall.yaml: where Seawall listens, how much may be asked, how people prove who they are."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seawall.config.alerting import Url
from seawall.config.oidc import Oidc
from seawall.core.times import parse_duration


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


class RequestLimits(BaseModel):
    """Of each bearer token or session, and of each stranger's address: how many requests a second, and how
    many at once after a rest. `confirm_within`: seconds for which a second factor stands for an approval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_second: float = Field(default=100.0, gt=0)
    requests_at_once: int = Field(default=500, ge=1)
    confirm_within: Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=12 * 3600)] = 300.0


class Server(RequestLimits):
    """Where Seawall itself listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    public_url: Url | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    oidc: Oidc | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Server":
        if self.tls_key and not self.tls_cert:
            raise ValueError("has tls_key without tls_cert, so that it would speak plain HTTP; name both")
        if self.oidc and not self.public_url:
            raise ValueError("has oidc without public_url, to which the provider sends people back; set it")
        return self
