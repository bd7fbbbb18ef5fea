"""/api/v1/auth: log in, the own session, password and second factor. Open to strangers, slowed, audited."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from seawall.api.deps import ServiceDep, identity
from seawall.api.hops import OneHop
from seawall.core.accounts import Identity, LoginRefused, TooManyAttempts
from seawall.core.errors import Refused
from seawall.core.times import rfc3339
from seawall.identity import Entry, cookies
from seawall.identity.cookies import address_of
from seawall.identity.credentials import qr_of
from seawall.service import Service

router = APIRouter(route_class=OneHop, prefix="/api/v1/auth", tags=["auth"])
T = TypeVar("T")


class Credentials(BaseModel):
    """`code` is the authenticator's six digits or a recovery code; not needed before one is enrolled."""

    name: str = Field(min_length=1, max_length=128, examples=["ada"])
    password: str = Field(min_length=1, max_length=256)
    code: str = Field(default="", max_length=32, examples=["123456"])


class NewPassword(BaseModel):
    """The old password and the new one (12 to 256 characters)."""

    old: str = Field(min_length=1, max_length=256)
    new: str = Field(min_length=1, max_length=256)


class Code(BaseModel):
    """A code of the authenticator."""

    code: str = Field(min_length=6, max_length=32, examples=["123456"])


class LoggedIn(BaseModel):
    """`stage` is full, or setup: the account must first change its password and enrol a second factor."""

    name: str = Field(examples=["ada"])
    role: str = Field(examples=["approver"])
    registries: dict[str, str]
    stage: str = Field(examples=["full"])
    must_change: bool
    second_factor: bool


class Me(BaseModel):
    """Who asks; `until` is when the session ends, null for tokens and the socket."""

    name: str = Field(examples=["ada"])
    role: str = Field(examples=["viewer"])
    registries: dict[str, str]
    via: str = Field(examples=["session"])
    until: str | None


class Enrolment(BaseModel):
    """A second factor to be confirmed; `qr` is an SVG of `uri`."""

    secret: str
    uri: str
    qr: str


class Recovery(BaseModel):
    """Recovery codes, shown this once; each opens the account once."""

    recovery_codes: list[str]


class Done(BaseModel):
    """It is done."""

    ok: bool


def tried(attempt: Callable[[], T]) -> T:
    """What was asked for; 401 when refused, 429 with Retry-After when it must wait."""
    try:
        return attempt()
    except LoginRefused as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from error
    except TooManyAttempts as error:
        raise HTTPException(429, str(error), {"Retry-After": str(int(error.seconds) + 1)}) from error


def owner(request: Request) -> Entry:
    """The session of a local user, set up or not."""
    entry: Entry | None = request.scope.get("seawall.entry")
    if entry is None:
        raise HTTPException(401, "log in with name and password first", {"WWW-Authenticate": "Bearer"})
    if entry.session.kind != "user":
        raise Refused("this session was made from a token; it has no password")
    return entry


Owner = Annotated[Entry, Depends(owner)]
ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"description": "refused, or nobody"},
    429: {"description": "too many wrong attempts; Retry-After says when"},
}


def logged_in(service: Service, name: str) -> LoggedIn:
    """How the account stands."""
    user = service.accounts.user(name)
    return LoggedIn(
        name=user.name,
        role=user.role,
        registries=dict(user.grants),
        stage="full" if user.ready else "setup",
        must_change=user.must_change,
        second_factor=bool(user.totp),
    )


@router.post("/login", responses=ANSWERS)
def log_in(body: Credentials, service: ServiceDep, request: Request, response: Response) -> LoggedIn:
    """A session, as a cookie."""
    user, secret = tried(
        lambda: service.accounts.log_in(body.name, body.password, body.code, address_of(request))
    )
    cookies.give(response, request, service, secret)
    return logged_in(service, user.name)


@router.post("/logout")
def log_out(service: ServiceDep, request: Request, response: Response) -> Done:
    """End the session, if there is one."""
    secret = cookies.cookie_of(request.headers)
    if secret:
        service.accounts.log_out(secret)
    cookies.take(response, request, service)
    return Done(ok=True)


@router.get("/me", responses={401: ANSWERS[401]})
def me(request: Request, who: Annotated[Identity, Depends(identity)]) -> Me:
    """Who asks."""
    entry: Entry | None = request.scope.get("seawall.entry")
    until = rfc3339(entry.session.until) if entry else None
    given: Identity = request.scope["seawall.identity"]
    return Me(name=who.name, role=who.role, registries=dict(given.grants), via=who.via, until=until)


@router.post("/password", responses=ANSWERS)
def password(
    body: NewPassword, service: ServiceDep, entry: Owner, request: Request, response: Response
) -> LoggedIn:
    """Change the own password; every session of the account ends, and this one gets a new cookie."""
    name = entry.session.name
    tried(lambda: service.accounts.change_password(name, body.old, body.new, address_of(request)))
    cookies.give(response, request, service, service.accounts.fresh_session(name))
    return logged_in(service, name)


@router.post("/totp", responses={401: ANSWERS[401]})
def totp(service: ServiceDep, entry: Owner) -> Enrolment:
    """Begin to enrol a second factor."""
    secret, uri = service.accounts.begin_totp(entry.session.name)
    return Enrolment(secret=secret, uri=uri, qr=qr_of(uri))


@router.post("/totp/confirm", responses=ANSWERS)
def confirm(body: Code, service: ServiceDep, entry: Owner, request: Request, response: Response) -> Recovery:
    """It counts from now on; recovery codes, this once."""
    name = entry.session.name
    codes = tried(lambda: service.accounts.confirm_totp(name, body.code, address_of(request)))
    cookies.give(response, request, service, service.accounts.fresh_session(name))
    return Recovery(recovery_codes=codes)
