"""The HTTP API of Prometheus, and what speaks it: Mimir, Thanos, VictoriaMetrics.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from seawall.config.stores import PrometheusAccess
from seawall.core.errors import InputError, StoreUnavailable
from seawall.stores.credentials import basic_auth, token
from seawall.stores.prometheus_wire import HEADERS

PLACE = "stores.prometheus"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds, between tries
# A part of the answer is no answer: Thanos and VictoriaMetrics say so when they are asked to; Thanos is not
# to answer from downsampled blocks. Prometheus does not look at what it does not know.
_REFUSED = ("too old sample", "out of order sample", "out of bounds", "duplicate sample")
_WHOLE = {"partial_response": "false", "deny_partial_response": "1", "max_source_resolution": "0s"}


class TooMuch(Exception):
    """The server will not load that many samples for one question."""


class Rejected(Exception):
    """The receiver will never take this request (4xx)."""


class PrometheusHttp:
    """One server. Every error is a StoreUnavailable that says what was asked and what was found."""

    def __init__(self, url: str, access: PrometheusAccess) -> None:
        self.url = url
        self._write_url, self._tries = access.write_url or f"{url}/api/v1/write", access.retries + 1
        headers = {"User-Agent": "seawall"} | ({"X-Scope-OrgID": access.tenant} if access.tenant else {})
        bearer = token(access, PLACE)
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        self._client = httpx.Client(
            headers=headers,
            auth=basic_auth(access, PLACE),
            timeout=access.timeout,
            verify=_trust(access),
            trust_env=False,
        )

    def query(self, promql: str, at: float) -> list[dict[str, Any]]:
        """The result of an instant query. TooMuch where a shorter span should be asked for."""
        found = self._ask("query", {"query": promql, "time": f"{at:.3f}", **_WHOLE})
        result: list[dict[str, Any]] = found["result"]
        return result

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The result of a range query: values at start, start + step ... <= end. TooMuch as above."""
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        result: list[dict[str, Any]] = self._ask("query_range", {"query": promql, **span, **_WHOLE})["result"]
        return result

    def series(self, selector: str, start: float, end: float) -> list[dict[str, str]]:
        """Label sets that the selector finds, roughly within the span."""
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}"}
        found: list[dict[str, str]] = self._ask("series", {"match[]": selector, **span, **_WHOLE})
        return found

    def write(self, body: bytes) -> None:
        """Remote write. Rejected when no later try would be taken either."""
        response = self._send(self._write_url, HEADERS, content=body)
        if response.status_code // 100 == 2:
            return
        said = response.text.strip()[:500]
        if response.status_code == 400 or _refused(response):
            raise Rejected(said)
        remedy = {
            404: "; start Prometheus with --web.enable-remote-write-receiver, or set remote_write: false",
            401: "; mend the credentials under stores.prometheus",
            403: "; mend the credentials under stores.prometheus",
        }.get(response.status_code, "")
        raise StoreUnavailable(f"{self._write_url}: answered {response.status_code}: {said}{remedy}")

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _ask(self, what: str, form: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{what}"
        response = self._send(url, {}, data=form)
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        if response.status_code == 200 and answer.get("status") == "success" and not answer.get("isPartial"):
            return answer["data"]
        said = answer.get("error") or response.text.strip()[:500] or "no reason given"
        if response.status_code in (400, 422) and ("too many" in said or "exceeded maximum" in said):
            raise TooMuch(said)
        if answer.get("isPartial"):
            said = "only a part of the data was there"
        raise StoreUnavailable(f"{url}: answered {response.status_code}: {said}")

    def _send(self, url: str, headers: Mapping[str, str], **body: Any) -> httpx.Response:
        """Posts; tries again while the server is away, overloaded (429) or at fault (5xx)."""
        pause, told = FIRST_PAUSE, ""
        for left in reversed(range(self._tries)):
            try:
                response = self._client.post(url, headers=dict(headers), **body)
                if response.status_code != 429 and (response.status_code < 500 or _refused(response)):
                    return response
                told = f"answered {response.status_code}: {response.text.strip()[:200]}"
            except httpx.HTTPError as error:
                told = str(error) or type(error).__name__
            if left:
                time.sleep(pause)  # the server's rest, not a wait for anything of ours
                pause = min(LONGEST_PAUSE, pause * 2)
        raise StoreUnavailable(f"{url}: {told}; tried {self._tries} times")


def _refused(response: httpx.Response) -> bool:
    """Prometheus 2 says 500 where it will never take a sample."""
    return response.status_code == 500 and any(it in response.text for it in _REFUSED)


def _trust(access: PrometheusAccess) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        finding = f"cannot read {access.ca_file} ({error})"
        raise InputError(f"{PLACE}.ca_file", finding, "name a PEM file of certificates") from error


def selector(name: str, matchers: Sequence[tuple[str, str]]) -> str:
    """A PromQL selector of exact matches."""
    pairs = [("__name__", name), *matchers]
    return "{" + ",".join(f"{label}={quoted(value)}" for label, value in pairs) + "}"


def quoted(text: str) -> str:
    """A PromQL string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
