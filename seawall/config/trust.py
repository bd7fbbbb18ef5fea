"""`trust` of seawall.yaml: whose signatures count, in which repositories, and what is revoked."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from seawall.config.base import Model
from seawall.config.keyless import Keyless
from seawall.core.times import parse_time


def _moment(value: object) -> object:
    """A time or a day (its first second, UTC) -> Unix seconds."""
    if isinstance(value, date):
        value = value.isoformat()
    return parse_time(value) if isinstance(value, str) else value


def _key(value: object) -> object:
    return {"file": value} if isinstance(value, str | Path) else value


def revoked(value: Path | str) -> Path | str:
    """`sha256:<hex>` stays text, everything else is a path. ValueError."""
    if not isinstance(value, str) or not value.startswith("sha256:"):
        return Path(value) if isinstance(value, str) else value
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise ValueError(f"{value!r} is no fingerprint; write it like sha256:<64 hex digits>")
    return value


Moment = Annotated[float, BeforeValidator(_moment)]
Revoked = Annotated[Path | str, BeforeValidator(revoked)]


class SigningKey(Model):
    """A public key, and between which times its signatures count."""

    file: Path
    not_before: Moment | None = None
    not_after: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "SigningKey":
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise ValueError("not_before is not before not_after; exchange them")
        return self


class Believed(Model):
    """Whose signatures count: keys, and authorities of certificates."""

    keys: tuple[Annotated[SigningKey, BeforeValidator(_key)], ...] = ()
    trust_store: Path | None = None
    keyless: Keyless | None = None


class TrustRule(Believed):
    """For the repositories that `match` (`*` crosses slashes), instead of the registry's own."""

    match: str = Field(min_length=1)


class Trust(Believed):
    """Whose signatures count in a registry; what is revoked counts nowhere in it."""

    revoked: tuple[Revoked, ...] = ()
    repositories: tuple[TrustRule, ...] = ()

    @property
    def configured(self) -> bool:
        """Is there anybody to believe?"""
        return any(it.keys or it.trust_store or it.keyless for it in (self, *self.repositories))
