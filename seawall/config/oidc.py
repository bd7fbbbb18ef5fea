"""`server.oidc` of seawall.yaml: logging in at an OpenID Connect provider; without it there is none."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Oidc(BaseModel):
    """The provider, this client's name there, and which values of a claim give which role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    client_id: str = Field(min_length=1, max_length=256)
    client_secret_file: Path | None = None
    ca_file: Path | None = None
    label: str = Field(default="your provider", min_length=1, max_length=40)
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = Field(default="preferred_username", min_length=1)
    role_claim: str = Field(default="groups", min_length=1)
    roles: Mapping[str, Literal["viewer", "operator", "approver", "admin"]] = Field(min_length=1)

    @field_validator("issuer")
    @classmethod
    def _safe(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", value):
            raise ValueError("is no https:// URL without user, query and fragment")
        if value.startswith("http:") and urlsplit(value).hostname not in LOOPBACK:
            raise ValueError("must be https://: whoever sits on the way could log in as anybody")
        return value

    @field_validator("scopes")
    @classmethod
    def _open_id(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("lacks openid, without which a provider tells nobody's name")
        return value
