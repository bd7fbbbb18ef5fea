"""What the pages' forms do. A refusal comes back on the page it came from, with what was typed."""

from collections.abc import Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from seawall.console import views
from seawall.console.asking import Form, ServiceDep, Who, local_path, need
from seawall.console.render import PageRoute
from seawall.core.accounts import Identity
from seawall.core.errors import Conflict, InputError, NotFound, SeawallError
from seawall.identity.cookies import proof_of
from seawall.service import Service, http_status

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def _on(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303)


def _answer(
    who: Identity, role: str, do: Callable[[], object], path: str, again: Callable[[str, int], Response]
) -> Response:
    """Do it, if `who` has the role, and go on to `path`; or show the page again with the reason why not."""
    try:
        need(who, role)
        do()
    except NotFound:
        raise
    except SeawallError as error:
        return again(str(error), http_status(error))
    return _on(path)


# incidents -------------------------------------------------------------------------------------


@router.post("/incidents/{id}/acknowledge")
def acknowledge(id: str, service: ServiceDep, who: Who) -> Response:
    """Somebody is on it."""
    return _answer(
        who,
        "operator",
        lambda: service.acknowledge(id, who.name),
        f"/incidents/{id}",
        lambda why, status: views.incident_page(service, who, id, why, status),
    )


@router.post("/incidents/{id}/note")
def note(id: str, service: ServiceDep, who: Who, form: Form) -> Response:
    """A line for the story."""
    text = form.get("text", "")

    def write() -> None:
        if not text:
            raise InputError("note", "it is empty", "write a line first")
        service.note(id, who.name, text)

    return _answer(
        who,
        "operator",
        write,
        f"/incidents/{id}#timeline",
        lambda why, status: views.incident_page(service, who, id, why, status, text),
    )


@router.post("/incidents/{id}/assign")
def assign(id: str, service: ServiceDep, who: Who, form: Form) -> Response:
    """Hand it over."""
    to = form.get("to", "").strip()

    def hand() -> None:
        if not to or len(to) > 128:
            raise InputError("name", "it is empty or too long", "write who is on it from now")
        service.assign(id, who.name, to)

    return _answer(
        who,
        "operator",
        hand,
        f"/incidents/{id}",
        lambda why, status: views.incident_page(service, who, id, why, status),
    )


@router.post("/incidents/{id}/resolve")
def resolve(id: str, service: ServiceDep, who: Who, form: Form) -> Response:
    """A person closes it by hand."""
    return _answer(
        who,
        "operator",
        lambda: service.resolve(id, who.name, form.get("reason", "")),
        f"/incidents/{id}",
        lambda why, status: views.incident_page(service, who, id, why, status),
    )


# actions ---------------------------------------------------------------------------------------


@router.post("/actions/{id}/approve")
def approve(id: str, request: Request, service: ServiceDep, who: Who, form: Form) -> Response:
    """Consent to exactly the preview that the page showed; a local user's code with it."""
    proof = proof_of(request, form.get("code", ""))

    def consent() -> None:
        if not form.get("digest"):
            raise Conflict("the form did not say which preview it approves; read the page again")
        service.approve(id, who, form.get("reason", ""), form["digest"], proof)

    again = _action_again(request, service, who, id, form.get("reason", ""))
    return _answer(who, "approver", consent, f"/actions/{id}", again)


@router.post("/actions/{id}/reject")
def reject(id: str, request: Request, service: ServiceDep, who: Who, form: Form) -> Response:
    """It will not run."""
    reason = form.get("reason", "")
    again = _action_again(request, service, who, id, reason)
    return _answer(
        who, "approver", lambda: service.repair.reject(id, who.name, reason), f"/actions/{id}", again
    )


@router.post("/actions/{id}/revoke")
def revoke(id: str, request: Request, service: ServiceDep, who: Who, form: Form) -> Response:
    """Take an approval back before the run has begun; the reason is required."""
    reason = form.get("reason", "")
    again = _action_again(request, service, who, id, reason)
    return _answer(
        who, "approver", lambda: service.repair.revoke(id, who.name, reason), f"/actions/{id}", again
    )


@router.post("/actions/{id}/cancel")
def cancel(id: str, request: Request, service: ServiceDep, who: Who, form: Form) -> Response:
    """Stop the run, or take the approval back before it began."""
    reason = form.get("reason", "")
    again = _action_again(request, service, who, id, reason)
    return _answer(
        who, "approver", lambda: service.repair.cancel(id, who.name, reason), f"/actions/{id}", again
    )


def _action_again(
    request: Request, service: Service, who: Identity, id: str, reason: str
) -> Callable[[str, int], Response]:
    entry = request.scope.get("seawall.entry")
    return lambda why, status: views.action_page(service, who, entry, id, why, status, reason)


# the switch ------------------------------------------------------------------------------------


@router.post("/freeze")
def freeze(service: ServiceDep, who: Who, form: Form) -> Response:
    """No run starts from now on."""
    return _switch(service, who, True, "operator", form.get("reason", ""), form.get("next", "/"))


@router.post("/unfreeze")
def unfreeze(service: ServiceDep, who: Who, form: Form) -> Response:
    """What is approved and not expired goes on."""
    return _switch(service, who, False, "approver", form.get("reason", ""), form.get("next", "/"))


def _switch(
    service: Service, who: Identity, frozen: bool, role: str, reason: str, onward: str = "/"
) -> Response:
    return _answer(
        who,
        role,
        lambda: service.freeze(frozen, who, reason),
        local_path(onward),
        lambda why, status: views.overview_page(service, who, why, status),
    )
