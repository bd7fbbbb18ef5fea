"""`alertmanager:` and `notify:` of seawall.yaml: who is told, and over which channels."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seawall.core.times import parse_duration


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _url(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
            raise ValueError("is not an http:// or https:// URL without user and password in it")
        return value.rstrip("/")
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Url = Annotated[str, BeforeValidator(_url)]
Kind = Literal["webhook", "slack", "dingtalk", "wecom", "pagerduty", "email"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Alertmanager(_Model):
    """The Alertmanager that Seawall posts its alerts to and asks for silences. `resend` is how often an
    open alert is posted again (seconds); it ends by itself after four of them."""

    url: Url
    username: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    resend: Seconds = 60.0
    timeout: Seconds = 5.0

    @model_validator(mode="after")
    def _one_login(self) -> "Alertmanager":
        if self.token_file and self.username:
            raise ValueError("has both token_file and username; keep one")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("needs username together with password_file")
        return self


class Channel(_Model):
    """One way to reach people. The secret part of an address stands in a file of mode 0600."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
    kind: Kind
    url: Url | None = None
    url_file: Path | None = None
    token_file: Path | None = None
    severities: tuple[Literal["page", "ticket"], ...] = ("page", "ticket")
    smtp: str | None = Field(default=None, pattern=r"^[^\s:@/]+:\d{1,5}$")
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender: str | None = None
    to: tuple[str, ...] = ()
    username: str | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Channel":
        if self.kind == "email":
            if not (self.smtp and self.sender and self.to):
                raise ValueError("of kind email needs smtp (host:port), sender and to")
        elif self.kind == "pagerduty":
            if not self.token_file:
                raise ValueError("of kind pagerduty needs token_file with the integration key")
        elif bool(self.url) == bool(self.url_file):
            raise ValueError(f"of kind {self.kind} needs one of url and url_file")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("needs username together with password_file")
        return self


class Heartbeat(_Model):
    """A URL that is fetched while Seawall turns; whoever owns it pages when it falls silent."""

    url: Url | None = None
    url_file: Path | None = None
    interval: Seconds = 60.0

    @model_validator(mode="after")
    def _one(self) -> "Heartbeat":
        if bool(self.url) == bool(self.url_file):
            raise ValueError("needs one of url and url_file")
        return self


class Notify(_Model):
    """Channels by name, the dead man's switch, and where the folder of runbooks can be read."""

    channels: tuple[Channel, ...] = ()
    heartbeat: Heartbeat | None = None
    runbooks: Url | None = None

    @model_validator(mode="after")
    def _names(self) -> "Notify":
        names = [channel.name for channel in self.channels]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"channels: the name {sorted(double)[0]!r} stands twice; names are unique")
        return self

    def own(self, alertmanager: Alertmanager | None) -> tuple[Channel, ...]:
        """The channels that Seawall serves itself: all without an Alertmanager; with one, those that it
        cannot speak to (DingTalk, WeCom)."""
        return tuple(c for c in self.channels if alertmanager is None or c.kind in ("dingtalk", "wecom"))
