"""`audit:` of seawall.yaml: where the audit log is sent, beside the records that hold it."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _syslog(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"(udp|tcp|tls)://[^\s/@]+:\d{1,5}|unix:/\S+", value):
        raise ValueError(
            "is no syslog server; write it like udp://logs.example.com:514, tcp://, tls:// or unix:/dev/log"
        )
    return value


class Audit(BaseModel):
    """`syslog`: RFC 5424 messages; `events`: into the event store, too, where every viewer reads them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    syslog: Annotated[str | None, BeforeValidator(_syslog)] = None
    facility: Literal["auth", "authpriv", "local0", "local1", "local2", "local3", "local4"] = "authpriv"
    events: bool = False
