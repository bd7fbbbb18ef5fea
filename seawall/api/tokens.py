"""/api/v1/tokens: bearer tokens, by an admin."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api.deps import Admin, ServiceDep
from seawall.api.hops import OneHop
from seawall.api.users import Name, Roles
from seawall.core.accounts import NAME, Token
from seawall.core.errors import InputError
from seawall.core.times import parse_duration, rfc3339

router = APIRouter(route_class=OneHop, prefix="/api/v1/tokens", tags=["tokens"])


class NewToken(Roles):
    """A token to be made; `valid_for` is a duration such as 30d."""

    name: str = Field(pattern=NAME, examples=["ci"])
    valid_for: str | None = Field(default=None, max_length=32, examples=["30d"])


class Known(BaseModel):
    """A token without its secret, which nobody has but its bearer."""

    name: str = Field(examples=["ci"])
    role: str = Field(examples=["viewer"])
    registries: dict[str, str]
    created_at: str
    until: str | None
    last_used: str | None


class Tokens(BaseModel):
    """A list's envelope."""

    items: list[Known]
    next: str | None = None


class Issued(BaseModel):
    """With its secret, shown this once."""

    name: str
    role: str
    registries: dict[str, str]
    token: str
    until: str | None


class Revoked(BaseModel):
    """It opens nothing any more."""

    name: str
    revoked: bool


def shape(token: Token) -> dict[str, Any]:
    """What people may see of a token."""
    return {
        "name": token.name,
        "role": token.role,
        "registries": dict(token.grants),
        "created_at": rfc3339(token.at),
        "until": rfc3339(token.until) if token.until else None,
        "last_used": rfc3339(token.used_at) if token.used_at else None,
    }


@router.get("", response_model=Tokens)
def tokens(service: ServiceDep, who: Admin) -> dict[str, Any]:
    """All tokens by name, on one page; expired ones too."""
    return shapes.page([shape(token) for token in service.accounts.tokens()])


@router.post("", status_code=201, response_model=Issued)
def new_token(body: NewToken, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """A new token; its secret is shown this once."""
    until = service.clock.now() + _seconds(body.valid_for) if body.valid_for else None
    secret = service.accounts.new_token(body.name, body.role, body.registries, who.name, until)
    return {
        "name": body.name,
        "role": body.role,
        "registries": body.registries,
        "token": secret,
        "until": rfc3339(until) if until else None,
    }


def _seconds(text: str) -> float:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise InputError("valid_for", str(error), "write it like 30d") from error
    if not 0 < found <= 10 * 366 * 86400:
        raise InputError("valid_for", f"{text!r} is not between 0 and ten years", "write it like 30d")
    return found


@router.post("/{name}/revoke", response_model=Revoked)
def revoke(name: Name, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """It opens nothing from now on; sessions made from it end."""
    service.accounts.revoke_token(name, who.name)
    return {"name": name, "revoked": True}
