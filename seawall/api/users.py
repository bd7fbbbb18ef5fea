"""/api/v1/users: local accounts, by an admin."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from seawall import shapes
from seawall.api.deps import Admin, ServiceDep
from seawall.api.hops import OneHop
from seawall.core.accounts import NAME, User
from seawall.core.errors import Conflict
from seawall.core.times import rfc3339

router = APIRouter(route_class=OneHop, prefix="/api/v1/users", tags=["users"])
Role = Literal["none", "viewer", "operator", "approver", "admin"]
RegistryRole = Literal["viewer", "operator", "approver", "admin"]
Name = Annotated[str, Path(max_length=128)]


class Roles(BaseModel):
    """A role everywhere, and higher ones for single registries; `none` only together with such."""

    role: Role = "viewer"
    registries: dict[str, RegistryRole] = Field(default_factory=dict, max_length=200)


class NewUser(Roles):
    """An account to be made."""

    name: str = Field(pattern=NAME, examples=["ada"])


class Account(BaseModel):
    """An account. `must_change`: its password is a one-time one; `issuer`: the provider that keeps it
    instead (an external user), else null."""

    name: str = Field(examples=["ada"])
    role: str = Field(examples=["approver"])
    registries: dict[str, str]
    disabled: bool
    must_change: bool
    second_factor: bool
    recovery_codes: int = Field(description="how many are left")
    created_at: str
    last_login: str | None
    issuer: str | None


class Accounts(BaseModel):
    """A list's envelope."""

    items: list[Account]
    next: str | None = None


class OneTime(Account):
    """With its one-time password, shown this once."""

    password: str


def shape(user: User) -> dict[str, Any]:
    """What people may see of an account: no hash, no secret."""
    return {
        "name": user.name,
        "role": user.role,
        "registries": dict(user.grants),
        "disabled": user.disabled,
        "must_change": user.must_change,
        "second_factor": bool(user.totp),
        "recovery_codes": len(user.recovery),
        "created_at": rfc3339(user.created_at),
        "last_login": rfc3339(user.last_login) if user.last_login else None,
        "issuer": user.issuer or None,
    }


@router.get("", response_model=Accounts)
def users(service: ServiceDep, who: Admin) -> dict[str, Any]:
    """All accounts by name, on one page."""
    return shapes.page([shape(user) for user in service.accounts.users()])


@router.post("", status_code=201, response_model=OneTime)
def add(body: NewUser, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """A new account; its one-time password is shown this once."""
    password = service.accounts.add_user(body.name, body.role, body.registries, who.name)
    return {**shape(service.accounts.user(body.name)), "password": password}


@router.post("/{name}/disable", response_model=Account)
def disable(name: Name, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """Nobody gets in with it, from now on."""
    if who.name == name and who.via == "session":
        raise Conflict("nobody disables their own account; ask another admin")
    return shape(service.accounts.disable(name, True, who.name))


@router.post("/{name}/enable", response_model=Account)
def enable(name: Name, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """Open it again."""
    return shape(service.accounts.disable(name, False, who.name))


@router.post("/{name}/reset", response_model=OneTime)
def reset(name: Name, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """A new one-time password; second factor and sessions are gone."""
    password = service.accounts.reset(name, who.name)
    return {**shape(service.accounts.user(name)), "password": password}


@router.post("/{name}/role", response_model=Account)
def role(name: Name, body: Roles, service: ServiceDep, who: Admin) -> dict[str, Any]:
    """Another role, from the next request on."""
    return shape(service.accounts.set_role(name, body.role, body.registries, who.name))
