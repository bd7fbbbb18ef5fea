"""Distribution's metrics page (2.8 and 3): requests served, by handler and status code.

The raw counters are kept, as Prometheus does: they fall to 0 when the registry restarts, and who reads
them counts a fall as a restart (rate, increase). The page has no repository label and no disk metric.
"""

import re
from collections import Counter
from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families

from collectors.exchange import USER_AGENT, reason_of, tls_context
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import REQUESTS, Batch, Sample, labels

MAX_PAGE = 32 << 20  # bytes
_WANTED = "registry_http_requests_total"
_REMEDY = "enable it with http.debug.addr and http.debug.prometheus.enabled, and give its URL as metrics_url"
_METRIC_LINE = re.compile(r"[a-zA-Z_:][\w:]*(?:\{.*\})? [-+]?(?:\d|\.\d|NaN|Inf)")


class DistributionMetrics:
    """Collector of seawall_requests_total{handler,code}, summed over methods, from a metrics URL."""

    def __init__(
        self,
        registry: str,
        url: str,
        ca_file: str | None = None,
        interval: float = 15.0,
        timeout: float = 5.0,
    ) -> None:
        self.name, self.registry, self.interval, self.timeout = "metrics", registry, interval, timeout
        self._url, self._ca_file = url, ca_file

    async def collect(self, now: float) -> Batch:
        """One scrape. SeawallError if the page cannot be had, InputError if it is no metrics page."""
        page = await self._page()
        batch = Batch(samples=list(self._samples(page, now)))
        if not batch.samples:
            batch.notes.append(f"{self._url}: no {_WANTED} yet; the registry has served no request")
        return batch

    async def stored(self) -> None:
        """Nothing to advance: a scrape has no position."""

    async def _page(self) -> str:
        headers = {"user-agent": USER_AGENT, "accept": "text/plain"}
        client = httpx.AsyncClient(
            verify=tls_context(self._ca_file), trust_env=False, timeout=self.timeout, headers=headers
        )
        try:
            async with client, client.stream("GET", self._url) as response:
                return await self._body(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SeawallError(f"{self._url}: {reason_of(error)}; {_REMEDY}") from error

    async def _body(self, response: httpx.Response) -> str:
        if response.status_code != 200:
            raise InputError(self._url, f"answered {response.status_code}", _REMEDY)
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_PAGE:
                raise InputError(self._url, f"a page of more than {MAX_PAGE} bytes", _REMEDY)
        return body.decode("utf-8", "replace")

    def _samples(self, page: str, now: float) -> Iterator[Sample]:
        totals: Counter[tuple[str, str]] = Counter()
        try:
            for family in text_string_to_metric_families(self._wanted(page)):
                for sample in family.samples:
                    key = sample.labels.get("handler", ""), sample.labels.get("code", "")
                    totals[key] += sample.value  # type: ignore[assignment]
        except ValueError as error:
            raise InputError(self._url, f"a broken line of {_WANTED} ({error})", _REMEDY) from error
        for (handler, code), value in sorted(totals.items()):
            yield Sample(self.registry, REQUESTS, now, float(value), labels(handler=handler, code=code))

    def _wanted(self, page: str) -> str:
        """The lines of the wanted family, picked before the parser, which is slow."""
        lines = page.split("\n")
        wanted = [line for line in lines if line.startswith(_WANTED)]
        if not wanted and not any(map(_METRIC_LINE.match, lines)):
            raise InputError(self._url, "no page of Prometheus metrics", _REMEDY)
        return "\n".join([f"# TYPE {_WANTED} counter", *wanted, ""])
