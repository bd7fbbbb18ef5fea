"""What others say and count, as it stands at a scrape: the collectors' last samples, a follower's lines, a
queue's depth.

A collector that fails takes its samples with it, and a sample that is not in its newest batch is gone: what
is not known is not shown. Of a series that two collectors give, the younger sample counts.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from seawall.core.ports import Collector
from seawall.core.signals import DIGESTS, PULLS, PULLS_WAITING, SIGNALS, Sample, Signal

_FAMILY = {series: signal.name for signal in SIGNALS.values() for series in signal.series()}


class Mirror:
    """A collector of prometheus-client. `observed` names the signals that are counted elsewhere; `queues`
    asks each queue how much waits in it."""

    def __init__(self, observed: Collection[str], queues: Mapping[str, Callable[[], int]]) -> None:
        self._observed, self._queues = frozenset(observed), queues
        self._sources: dict[tuple[str, str], Collector] = {}
        self._latest: dict[tuple[str, str], Sequence[Sample]] = {}

    def keep(self, collector: Collector, samples: Sequence[Sample]) -> None:
        """The newest batch of a collector; empty when it failed."""
        key = collector.registry, collector.name
        self._sources[key] = collector
        self._latest[key] = [
            sample for sample in samples if _FAMILY.get(sample.signal, "") not in ("", *self._observed)
        ]

    def collect(self) -> Iterator[Metric]:
        """Read at a scrape."""
        found = self._families()
        for name, signal in SIGNALS.items():
            if name in found:
                yield _metric(signal, found[name])
        yield from self._counts()

    def _families(self) -> dict[str, list[Sample]]:
        newest: dict[tuple[str, str, tuple[tuple[str, str], ...]], Sample] = {}
        for samples in list(self._latest.values()):
            for sample in samples:
                key = sample.registry, sample.signal, sample.labels
                if key not in newest or newest[key].at <= sample.at:
                    newest[key] = sample
        families: dict[str, list[Sample]] = {}
        for sample in newest.values():
            families.setdefault(_FAMILY[sample.signal], []).append(sample)
        return families

    def _counts(self) -> Iterator[Metric]:
        lines = CounterMetricFamily(
            "seawall_log_lines", "Log lines by what became of them", labels=("registry", "source", "result")
        )
        broken = CounterMetricFamily(
            "seawall_page_lines_broken",
            "Lines of metrics pages that could not be read",
            labels=("registry", "collector"),
        )
        digests = CounterMetricFamily(DIGESTS, SIGNALS[DIGESTS].help, labels=SIGNALS[DIGESTS].labels)
        waiting = GaugeMetricFamily(
            PULLS_WAITING, SIGNALS[PULLS_WAITING].help, labels=SIGNALS[PULLS_WAITING].labels
        )
        pulls = CounterMetricFamily(PULLS, SIGNALS[PULLS].help, labels=SIGNALS[PULLS].labels)
        for (registry, name), collector in list(self._sources.items()):
            for signature, count in dict(getattr(collector, "pulls", {})).items():
                pulls.add_metric([registry, signature], count)
            for result, count in getattr(collector, "lines", {}).items():
                lines.add_metric([registry, name, result], count)
            for result, count in getattr(collector, "digests", {}).items():
                digests.add_metric([registry, getattr(collector, "site", ""), result], count)
            if hasattr(collector, "waiting"):
                waiting.add_metric([registry], collector.waiting)
            if hasattr(collector, "broken"):
                broken.add_metric([registry, name], collector.broken)
        depth = GaugeMetricFamily("seawall_queue_depth", "What waits in a bounded queue", labels=("queue",))
        for queue, ask in list(self._queues.items()):
            depth.add_metric([queue], ask())
        yield from (lines, broken, digests, pulls, waiting, depth)


def _metric(signal: Signal, samples: Sequence[Sample]) -> Metric:
    metric = Metric(signal.name.removesuffix("_total"), signal.help, signal.kind)
    for sample in sorted(samples, key=_order):
        pairs = {"registry": sample.registry, **dict(sample.labels)}
        metric.add_sample(sample.signal, pairs, sample.value)
        if pairs.get("le") == "+Inf":
            whole = {name: value for name, value in pairs.items() if name != "le"}
            metric.add_sample(f"{signal.name}_count", whole, sample.value)
    return metric


def _order(sample: Sample) -> tuple[str, list[tuple[str, str]], str, float]:
    """A histogram's buckets stand together, and rise."""
    edge = dict(sample.labels).get("le", "0")
    others = [pair for pair in sample.labels if pair[0] != "le"]
    return sample.registry, others, sample.signal, float(edge)
