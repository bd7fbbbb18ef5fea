"""Samples in Prometheus, or in what speaks its API (Mimir, Thanos, VictoriaMetrics). Scheme:
prometheus+http(s).

With remote write (the default) samples arrive with their own times, to the millisecond, and are read back as
they were. Without it, Prometheus scrapes /metrics, and what it scraped is read: the times are the scrapes'.

Raw samples are read by range selectors in instant queries: a range query would give values at steps of its
own. Long spans are asked for in chunks. While the server is away what is new waits in a spool, and reads
raise StoreUnavailable, so that rows are unknown.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from seawall.config.stores import PrometheusAccess
from seawall.core.errors import StoreUnavailable
from seawall.core.ports import Slice
from seawall.core.signals import Labels, Sample
from seawall.stores.credentials import server_url
from seawall.stores.prometheus_http import PrometheusHttp, Rejected, TooMuch, selector
from seawall.stores.prometheus_wire import milliseconds, write_request
from seawall.stores.spool import Spool
from seawall.stores.spool_outbox import Outbox

SCHEMES = ("prometheus+http", "prometheus+https")
FIRST_LOOK = 900.0  # seconds; how far `latest` looks back before it looks further
SHORTEST = 60.0  # seconds of the shortest span that is asked for
_OURS = frozenset({"__name__", "registry", "job", "instance"})
log = logging.getLogger(__name__)


class PrometheusSamples:
    """The sample store over one server. `folder` holds the spool and what the server would never take;
    `clock` says where the newest sample may be."""

    def __init__(self, url: str, access: PrometheusAccess, folder: Path, clock: Callable[[], float]) -> None:
        self._http = PrometheusHttp(server_url(url, "prometheus", "stores.samples"), access)
        self._access, self._clock, self._rejected = access, clock, folder / "rejected.jsonl"
        self._ignored = _OURS | set(access.ignore_labels)
        spool = Spool(folder / "spool", access.spool << 20)
        self._outbox = Outbox(f"Prometheus {self._http.url}", spool, self._deliver)

    @property
    def depth(self) -> int:
        """Deliveries that wait in the spool."""
        return self._outbox.depth

    # write ---------------------------------------------------------------------------------

    def append(self, samples: Sequence[Sample]) -> None:
        """See the port. Without remote write nothing is sent: Prometheus comes for it."""
        if samples and self._access.remote_write:
            rows = [(s.registry, s.signal, s.at, s.value, s.labels) for s in samples]
            self._outbox.send(json.dumps(rows).encode())

    def _deliver(self, record: bytes) -> int:
        samples = [
            Sample(registry, signal, at, value, tuple((name, text) for name, text in pairs))
            for registry, signal, at, value, pairs in json.loads(record)
        ]
        return self._write(samples)

    def _write(self, samples: Sequence[Sample]) -> int:
        """How many were taken. What the receiver will never take is found by halves, and kept in a file."""
        try:
            self._http.write(write_request(samples, self._access.series_job))
            return len(samples)
        except Rejected as error:
            if len(samples) > 1:
                middle = len(samples) // 2
                return self._write(samples[:middle]) + self._write(samples[middle:])
            self._reject(samples[0], str(error))
            return 0

    def _reject(self, sample: Sample, reason: str) -> None:
        if "duplicate sample" in reason:
            return  # another value of the same time: the first one stands
        log.error(
            "Prometheus takes no %s of %s: %s; see %s", sample.signal, sample.registry, reason, self._rejected
        )
        row = {"reason": reason, "registry": sample.registry, "signal": sample.signal, "at": sample.at}
        row |= {"value": sample.value, "labels": dict(sample.labels)}
        with self._rejected.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    # read ----------------------------------------------------------------------------------

    def range(
        self, registry: str, signal: str, start: float, end: float, labels: Labels | None = None
    ) -> list[Sample]:
        """See the port."""
        self._outbox.check()
        wanted = None if labels is None else _valued(labels)
        found = [
            sample
            for first, last in self._chunks(self._begin(registry, signal, start, end, wanted), end)
            for sample in self._raw(registry, signal, first, last, wanted or ())
            if wanted in (None, sample.labels)
        ]
        return sorted(found, key=lambda s: s.at)

    def latest(self, registry: str, signal: str, since: float, until: float) -> list[Sample]:
        """See the port."""
        self._outbox.check()
        newest: dict[Labels, Sample] = {}
        known = self._label_sets(registry, signal, since, until)
        end, look = math.nextafter(until, math.inf), FIRST_LOOK
        while end > since and not known <= newest.keys():
            begin = max(since, end - look)
            fresh = {s.labels: s for s in sorted(self._raw(registry, signal, begin, end), key=lambda s: s.at)}
            newest = fresh | newest
            end, look = begin, min(look * 4, self._access.chunk)
        return [newest[key] for key in sorted(newest)]

    def slices(self, registry: str, signal: str, start: float, end: float) -> list[Slice]:
        """See the port."""
        good: Counter[tuple[int, str]] = Counter()
        failed: Counter[tuple[int, str]] = Counter()
        for s in self.range(registry, signal, start, end):
            (good if s.value >= 0.5 else failed)[int(s.at // 60), dict(s.labels).get("site", "")] += 1
        return [Slice(*key, good[key], failed[key]) for key in sorted(good.keys() | failed.keys())]

    def close(self) -> None:
        """See the port. What waits in the spool is found at the next start."""
        self._outbox.close()
        self._http.close()

    def _matchers(self, registry: str, pairs: Labels = ()) -> list[tuple[str, str]]:
        return [("job", self._access.series_job), ("registry", registry), *pairs]

    def _label_sets(self, registry: str, signal: str, start: float, end: float) -> set[Labels]:
        found = self._http.series(selector(signal, self._matchers(registry)), start, end)
        return {self._labels(metric) for metric in found}

    def _labels(self, metric: dict[str, str]) -> Labels:
        return tuple(sorted((name, value) for name, value in metric.items() if name not in self._ignored))

    def _begin(self, registry: str, signal: str, start: float, end: float, pairs: Labels | None) -> float:
        """Where the first sample may be: of a span of years only the days that hold something are read."""
        end = min(end, self._clock() + self._access.chunk)
        if end - start <= 2 * self._access.chunk:
            return start
        name = selector(signal, self._matchers(registry, pairs or ()))
        step = self._access.chunk
        first = max(start, end - 11_000 * step)
        held = f"group(present_over_time({name}[{math.ceil(step)}s]))"
        found = self._http.query_range(held, first + step, end + step, step)
        return max(
            start, min((float(at) - step for one in found for at, _ in one["values"]), default=end) - 1
        )

    def _chunks(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        end = min(end, self._clock() + self._access.chunk)
        while start < end:
            last = min(end, start + self._access.chunk)
            yield start, last
            start = last

    def _raw(self, registry: str, signal: str, start: float, end: float, pairs: Labels = ()) -> list[Sample]:
        """Samples in [start, end) of a short span, in no order."""
        first, last = milliseconds(start), milliseconds(end)
        # Prometheus 2 takes the sample at the left edge, Prometheus 3 does not: ask for more, keep what fits.
        span = f"[{last - first + 2}ms]"
        try:
            found = self._http.query(selector(signal, self._matchers(registry, pairs)) + span, last / 1000)
        except TooMuch as error:
            if end - start <= SHORTEST:
                raise StoreUnavailable(f"{self._http.url}: {error}; raise --query.max-samples") from error
            middle = (start + end) / 2
            early = self._raw(registry, signal, start, middle, pairs)
            return early + self._raw(registry, signal, middle, end, pairs)
        return [
            Sample(registry, signal, float(at), float(value), self._labels(one["metric"]))
            for one in found
            for at, value in one["values"]
            if start <= at < end
        ]


def _valued(labels: Labels) -> Labels:
    """Prometheus knows no label without a value."""
    return tuple(pair for pair in sorted(labels) if pair[1])
