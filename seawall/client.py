"""The live verbs' way to the service: --url with $SEAWALL_TOKEN, else the socket in the state folder."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.core.errors import InputError, SeawallError
from seawall.statefolder import SOCKET, short_path

if TYPE_CHECKING:
    import ssl

    import httpx

TOKEN_ENV = "SEAWALL_TOKEN"  # noqa: S105 - a name, not a secret
CA_ENV = "SEAWALL_CA"
TIMEOUT = 30.0


class ServiceRefused(SeawallError):
    """The service answered with a problem; the message is its own."""


class Client:
    """JSON over HTTP; every failure is a SeawallError that names the remedy."""

    def __init__(
        self,
        url: str | None,
        state: Path,
        env: Mapping[str, str] = os.environ,
        timeout: float = TIMEOUT,
    ) -> None:
        import httpx  # here, since it would cost every verb 60 ms of start-up

        self._place = url or str(state / SOCKET)
        if url:
            token = env.get(TOKEN_ENV)
            if not token:
                raise InputError(f"${TOKEN_ENV}", "is not set", "put your API token into it, or drop --url")
            self._http = httpx.Client(
                base_url=url,
                timeout=timeout,
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
                verify=_authority(env.get(CA_ENV)),
            )
            return
        if not (state / SOCKET).exists():
            raise SeawallError(
                f"{state / SOCKET}: no Seawall is running there; start `seawall up`, or give --state or --url"
            )
        path, _folder = short_path(state)
        self._http = httpx.Client(
            base_url="http://seawall", timeout=timeout, transport=httpx.HTTPTransport(uds=path)
        )

    def get(self, path: str, **query: Any) -> Any:
        """GET a JSON document."""
        return self._ask("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON document."""
        return self._ask("POST", path, json=dict(body or {}))

    def pages(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All items of a list, page after page."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, limit=200, **query)
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(event, data) of a stream of server-sent events, until the service ends it."""
        import httpx

        waiting = httpx.Timeout(TIMEOUT)  # the service says something every 15 s
        try:
            with self._http.stream("GET", f"/api/v1{path}", timeout=waiting) as answer:
                if not answer.is_success:
                    answer.read()
                    raise ServiceRefused(detail(answer))
                kind = ""
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data":
                        yield kind, json.loads(value)
        except httpx.HTTPError as error:
            raise SeawallError(f"{self._place}: {error}; is `seawall up` running there?") from error

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            answer = self._http.request(method, f"/api/v1{path}", **options)
        except httpx.HTTPError as error:
            raise SeawallError(f"{self._place}: {error}; is `seawall up` running there?") from error
        if answer.is_success:
            return answer.json()
        raise ServiceRefused(detail(answer))


def _authority(path: str | None) -> "ssl.SSLContext | bool":
    """Whose certificates count: those of $SEAWALL_CA, else the well-known ones. InputError."""
    if not path:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        remedy = "name a PEM file with the authority's certificate"
        raise InputError(f"${CA_ENV}", f"cannot use {path} ({error.strerror or error})", remedy) from error


def detail(answer: "httpx.Response") -> str:
    """What the service says of a refusal."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
