"""The service as the verbs ask it: a wrong option, setting or value is misuse, the rest trouble."""

from pathlib import Path
from typing import TYPE_CHECKING

from seawall import client
from seawall.cli.base import STATE
from seawall.core.errors import InputError

if TYPE_CHECKING:
    import httpx


class Client(client.Client):
    """`InputError` also where --state is no folder, the token is not taken, or a value is refused."""

    def __init__(self, url: str | None, state: Path, timeout: float = client.TIMEOUT) -> None:
        if url is None and state != STATE and not state.is_dir():
            raise InputError(
                "--state", f"there is no folder {state}", "name the folder that `seawall up` works in"
            )
        super().__init__(url, state, timeout=timeout)
        self._http.event_hooks = {"response": [self._look]}

    def _look(self, answer: "httpx.Response") -> None:
        if answer.status_code == 401 and "Authorization" in answer.request.headers:
            remedy = "it is unknown, revoked or too old; put a good one there (`seawall token add`)"
            raise InputError(f"${client.TOKEN_ENV}", f"{self._place} refused this token", remedy)
        if answer.status_code == 422:
            answer.read()
            raise _misuse(client.detail(answer))


def _misuse(detail: str) -> InputError:
    """What the service said as `place: finding; remedy`."""
    place, _, rest = detail.partition(": ")
    finding, _, remedy = rest.partition("; ")
    return InputError(place, finding or "the service refused it", remedy or "see --help")
