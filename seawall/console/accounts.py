"""The pages of identity: log in and out, the own account, users and tokens, the audit log."""

import base64
from collections.abc import Callable

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from seawall.console.asking import Form, ServiceDep, Who, local_path, need
from seawall.console.external import label_of
from seawall.console.render import PageRoute, html, login_page, render
from seawall.core.accounts import NAME, ROLES, Identity, LoginRefused, TooManyAttempts
from seawall.core.errors import InputError, SeawallError
from seawall.core.times import parse_duration
from seawall.identity import Entry, cookies
from seawall.identity.cookies import address_of
from seawall.identity.credentials import qr_of
from seawall.service import Service, http_status

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PAGE_SIZE = 50


# in and out ------------------------------------------------------------------------------------


@router.post("/login")
def log_in(request: Request, service: ServiceDep, form: Form) -> Response:
    """A session from name, password and code, or from a token; the cookie is for this site and no script."""
    onward, label = local_path(form.get("next", "")), label_of(service)
    # Strangers reach this form, so that the gate's check of changes by cookie has not seen it.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return html(login_page(onward, "foreign", label), 403)
    if "name" not in form:
        found = service.accounts.log_in_with_token(form.get("token", ""))
        if found is None:
            return html(login_page(onward, "wrong", label), 401)
        return _entered(request, service, found[1], onward)
    given = (form["name"], form.get("password", ""), form.get("code", ""))
    try:
        user, secret = service.accounts.log_in(*given, address_of(request))
    except LoginRefused:
        return html(login_page(onward, "refused", label), 401)
    except TooManyAttempts as error:
        answer = html(login_page(onward, "slow", label), 429)
        answer.headers["Retry-After"] = str(int(error.seconds) + 1)
        return answer
    return _entered(request, service, secret, onward if user.ready else "/account")


def _entered(request: Request, service: Service, secret: str, onward: str) -> Response:
    response = RedirectResponse(onward, 303)
    cookies.give(response, request, service, secret)
    return response


@router.post("/logout")
def log_out(request: Request, service: ServiceDep) -> Response:
    """End the session."""
    secret = cookies.cookie_of(request.headers)
    if secret:
        service.accounts.log_out(secret)
    response = RedirectResponse("/login", 303)
    cookies.take(response, request, service)
    return response


# the own account -------------------------------------------------------------------------------


def _owner(request: Request) -> str:
    """The local user of this session, set up or not."""
    entry: Entry | None = request.scope.get("seawall.entry")
    if entry is None:
        raise HTTPException(401, "log in")
    if entry.session.kind != "user":
        raise InputError("account", "this session was made from a token", "log in with name and password")
    service: Service = request.app.state.service
    if service.accounts.user(entry.session.name).issuer:
        raise InputError(
            "account", "password and second factor are kept by your provider", "change them there"
        )
    return entry.session.name


def _account_page(
    request: Request,
    service: Service,
    name: str,
    banner: str = "",
    status: int = 200,
    codes: list[str] | None = None,
) -> Response:
    user, secret, qr = service.accounts.user(name), "", ""
    if not user.must_change and not user.totp:
        secret, uri = service.accounts.begin_totp(name)
        qr = base64.b64encode(_document(qr_of(uri))).decode()
    who = request.scope.get("seawall.identity")
    return html(
        render(
            "account.html",
            who=who,
            frozen=service.records.frozen(),
            banner=banner,
            page="/account",
            user=user,
            secret=secret,
            qr=qr,
            codes=codes or [],
        ),
        status,
    )


def _document(svg: str) -> bytes:
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).encode()


@router.get("/account")
def account(request: Request, service: ServiceDep) -> Response:
    """What is still to be set up, and the own password."""
    return _account_page(request, service, _owner(request))


@router.post("/account/password")
def password(request: Request, service: ServiceDep, form: Form) -> Response:
    """Another password; the other sessions end."""
    name = _owner(request)
    try:
        if form.get("new", "") != form.get("again", ""):
            raise InputError("password", "the two are not the same", "write it twice")
        service.accounts.change_password(name, form.get("old", ""), form.get("new", ""), address_of(request))
    except SeawallError as error:
        return _account_page(request, service, name, str(error), _status(error))
    return _entered(request, service, service.accounts.fresh_session(name), "/account")


@router.post("/account/totp")
def confirm(request: Request, service: ServiceDep, form: Form) -> Response:
    """The second factor counts from now on; the recovery codes are shown this once."""
    name = _owner(request)
    try:
        codes = service.accounts.confirm_totp(name, form.get("code", ""), address_of(request))
    except SeawallError as error:
        return _account_page(request, service, name, str(error), _status(error))
    response = _account_page(request, service, name, codes=codes)
    cookies.give(response, request, service, service.accounts.fresh_session(name))
    return response


def _status(error: SeawallError) -> int:
    if isinstance(error, LoginRefused):
        return 403
    return 429 if isinstance(error, TooManyAttempts) else http_status(error)


# users and tokens, by an admin -----------------------------------------------------------------


def _users_page(
    service: Service, who: Identity, banner: str = "", status: int = 200, once: tuple[str, str] | None = None
) -> Response:
    need(who, "admin")
    found = service.accounts.users()
    common = {"who": who, "frozen": service.records.frozen(), "banner": banner, "page": "/users"}
    return html(
        render("users.html", **common, users=found, roles=ROLES, once=once, now=service.clock.now()), status
    )


def _tokens_page(
    service: Service, who: Identity, banner: str = "", status: int = 200, once: tuple[str, str] | None = None
) -> Response:
    need(who, "admin")
    found = service.accounts.tokens()
    common = {"who": who, "frozen": service.records.frozen(), "banner": banner, "page": "/tokens"}
    return html(
        render("tokens.html", **common, tokens=found, roles=ROLES, once=once, now=service.clock.now()), status
    )


def _done(
    who: Identity, do: Callable[[], object], page: Callable[..., Response], service: Service
) -> Response:
    """Do it and show the page again; a secret that it gives is shown there, this once."""
    need(who, "admin")
    try:
        made = do()
    except SeawallError as error:
        return page(service, who, str(error), http_status(error))
    return page(service, who, once=made if isinstance(made, tuple) else None)


def _named(form: Form) -> str:
    import re

    name = form.get("name", "")
    if not re.fullmatch(NAME, name):
        raise InputError(
            "name", "it is empty, too long, or holds other characters", "take letters, digits, . _ @ -"
        )
    return name


@router.get("/users")
def users(service: ServiceDep, who: Who) -> Response:
    """All accounts."""
    return _users_page(service, who)


@router.post("/users")
def add_user(service: ServiceDep, who: Who, form: Form) -> Response:
    """A new account; its one-time password is shown this once."""

    def add() -> tuple[str, str]:
        name = _named(form)
        return name, service.accounts.add_user(name, form.get("role", ""), {}, who.name)

    return _done(who, add, _users_page, service)


@router.post("/users/{name}/{verb}")
def change_user(name: str, verb: str, service: ServiceDep, who: Who) -> Response:
    """Disable, enable or reset."""

    def change() -> object:
        if verb == "reset":
            return name, service.accounts.reset(name, who.name)
        if verb not in ("disable", "enable"):
            raise HTTPException(404, "no such page")
        if name == who.name:
            raise InputError("account", "it is your own", "ask another admin")
        return service.accounts.disable(name, verb == "disable", who.name) and None

    return _done(who, change, _users_page, service)


@router.get("/tokens")
def tokens(service: ServiceDep, who: Who) -> Response:
    """All tokens."""
    return _tokens_page(service, who)


@router.post("/tokens")
def add_token(service: ServiceDep, who: Who, form: Form) -> Response:
    """A new token; its secret is shown this once."""

    def add() -> tuple[str, str]:
        name = _named(form)
        try:
            seconds = parse_duration(form.get("valid_for") or "90d")
        except ValueError as error:
            raise InputError("valid for", str(error), "write it like 90d") from error
        until = service.clock.now() + seconds
        return name, service.accounts.new_token(name, form.get("role", ""), {}, who.name, until)

    return _done(who, add, _tokens_page, service)


@router.post("/tokens/{name}/revoke")
def revoke(name: str, service: ServiceDep, who: Who) -> Response:
    """It opens nothing from now on."""
    return _done(who, lambda: service.accounts.revoke_token(name, who.name), _tokens_page, service)


# the audit log ---------------------------------------------------------------------------------


@router.get("/audit")
def audit(service: ServiceDep, who: Who, cursor: str | None = None, verify: str = "") -> Response:
    """The log, the newest first; with `verify`, whether its chain holds."""
    need(who, "admin")
    entries, following = service.records.audit_entries(PAGE_SIZE, cursor)
    checked = service.records.audit_verify() if verify else None
    return html(
        render(
            "audit.html",
            who=who,
            frozen=service.records.frozen(),
            page="/audit",
            entries=entries,
            following=following,
            cursor=cursor,
            checked=checked,
        )
    )
