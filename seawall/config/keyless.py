"""`trust.keyless` of seawall.yaml: whose keyless (Sigstore) signatures count, and by which authorities."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

_WILD = "*"


class Identity(BaseModel):
    """Who may sign: the issuer of the identity word for word, and the subject, in which `*` stands for any
    text. ValueError for a pattern that lets everybody in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=500)
    subject: str = Field(min_length=1, max_length=500)

    @field_validator("issuer")
    @classmethod
    def _exact(cls, value: str) -> str:
        if _WILD in value:
            raise ValueError("an issuer is no pattern; write it whole, like https://accounts.example.com")
        return value

    @field_validator("subject")
    @classmethod
    def _somebody(cls, value: str) -> str:
        if not value.strip("* "):
            raise ValueError(f"{value!r} is anybody at all; name who may sign")
        return value


def _several(value: object) -> object:
    """One path may stand without brackets."""
    return (value,) if isinstance(value, str | Path) else value


Files = Annotated[tuple[Path, ...], BeforeValidator(_several)]


class Keyless(BaseModel):
    """The authorities and logs of a Sigstore, and who is believed. Without `identities` nobody is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roots: Annotated[Files, Field(min_length=1)]
    rekor_keys: Annotated[Files, Field(min_length=1)]
    ct_keys: Files = ()
    timestamp_authorities: Files = ()
    identities: tuple[Identity, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read for it."""
        return (*self.roots, *self.rekor_keys, *self.ct_keys, *self.timestamp_authorities)
