"""What /metrics shows of the collectors: what they said last, and nothing that is not known any more."""

from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families

from seawall.core.signals import (
    CACHE_REQUESTS,
    COMPONENT_UP,
    REGISTRY_MANIFEST,
    REQUESTS,
    SIGNALS,
    STORAGE_ACTION,
    STORAGE_FULL,
    STORAGE_USED_RATIO,
    Batch,
    Sample,
    labels,
)
from seawall.stores.sql import SqlRecords
from seawall.telemetry import Telemetry
from tests.fakes import T

USED = Sample("reg", STORAGE_USED_RATIO, T, 0.5, labels(volume="/srv"))


class Named:
    """What Telemetry reads of a collector."""

    interval = timeout = 5.0
    broken = 0

    def __init__(self, name: str) -> None:
        self.name, self.registry = name, "reg"

    async def collect(self, now: float) -> Batch:
        return Batch()

    async def stored(self) -> None:
        return None


class Shown:
    """A telemetry, and its page as Prometheus reads it."""

    def __init__(self) -> None:
        self.telemetry = Telemetry(SqlRecords("memory:"))

    def say(self, collector: Named, *samples: Sample) -> None:
        self.telemetry.kept(collector, Batch(list(samples)), 0, 0.1)

    def of(self, family: str) -> dict[str, float]:
        """Series of a family, as `name{labels}` without the registry."""
        text = generate_latest(self.telemetry.registry).decode()
        found = [f for f in text_string_to_metric_families(text) if f.name == family.removesuffix("_total")]
        return {
            f"{s.name}{sorted((k, v) for k, v in s.labels.items() if k != 'registry')}": s.value
            for f in found
            for s in f.samples
        }


def test_a_sample_stays_until_the_next_batch_is_without_it():
    shown, storage = Shown(), Named("storage")
    full = Sample("reg", STORAGE_FULL, T, 60.0, labels(volume="/srv", bound="likely"))
    shown.say(storage, USED, full)
    assert shown.of(STORAGE_FULL) and shown.of(STORAGE_USED_RATIO)
    shown.say(storage, USED)
    assert not shown.of(STORAGE_FULL) and shown.of(STORAGE_USED_RATIO)


def test_a_collector_that_fails_takes_its_own_samples_with_it():
    shown, storage, pages = Shown(), Named("storage"), Named("metrics")
    shown.say(storage, USED)
    shown.say(pages, Sample("reg", REQUESTS, T, 3.0, labels(handler="blob", code="200")))
    shown.telemetry.missed(storage, "the device is gone", 0.1)
    assert not shown.of(STORAGE_USED_RATIO) and shown.of(REQUESTS)
    assert shown.of("seawall_collector_up") == {
        "seawall_collector_up[('collector', 'metrics')]": 1,
        "seawall_collector_up[('collector', 'storage')]": 0,
    }


def test_of_two_collectors_that_say_the_same_the_younger_counts():
    shown = Shown()
    for name, at, value in (("api", T + 5, 0.0), ("metrics-exporter", T, 1.0)):
        shown.say(Named(name), Sample("reg", COMPONENT_UP, at, value, labels(component="core")))
    assert list(shown.of(COMPONENT_UP).values()) == [0]


def test_counters_histograms_and_summaries_are_what_they_are():
    shown = Shown()
    shown.say(
        Named("metrics"),
        *(Sample("reg", f"{REGISTRY_MANIFEST}_bucket", T, v, labels(le=e)) for e, v in
          (("+Inf", 9.0), ("10", 8.0), ("2.5", 7.0))),
        Sample("reg", f"{REGISTRY_MANIFEST}_sum", T, 4.5),
        Sample("reg", f"{STORAGE_ACTION}_sum", T, 1.5, labels(action="Stat")),
        Sample("reg", f"{STORAGE_ACTION}_count", T, 3.0, labels(action="Stat")),
        Sample("reg", CACHE_REQUESTS, T, 2.0, labels(cache="nginx", status="hit")),
    )  # fmt: skip
    assert list(shown.of(REGISTRY_MANIFEST).items()) == [
        (f"{REGISTRY_MANIFEST}_bucket[('le', '2.5')]", 7),
        (f"{REGISTRY_MANIFEST}_bucket[('le', '10')]", 8),
        (f"{REGISTRY_MANIFEST}_bucket[('le', '+Inf')]", 9),
        (f"{REGISTRY_MANIFEST}_count[]", 9),
        (f"{REGISTRY_MANIFEST}_sum[]", 4.5),
    ]
    assert len(shown.of(STORAGE_ACTION)) == 2 and len(shown.of(CACHE_REQUESTS)) == 1
    assert (
        "# TYPE seawall_storage_action_seconds summary" in generate_latest(shown.telemetry.registry).decode()
    )


def test_a_label_with_anything_in_it_makes_no_broken_page():
    shown, name = Shown(), 'a"b\\c\nd{}'
    shown.say(Named("storage"), Sample("reg", STORAGE_USED_RATIO, T, 0.5, labels(volume=name)))
    assert f"('volume', {name!r})" in next(iter(shown.of(STORAGE_USED_RATIO)))


def test_what_is_no_signal_is_not_shown():
    shown = Shown()
    shown.say(Named("x"), Sample("reg", "seawall_expected", T, 1.0, labels(signal="y")))
    assert not shown.of("seawall_expected")


def test_lines_of_pages_that_were_broken_are_counted():
    shown, pages = Shown(), Named("metrics")
    pages.broken = 3
    shown.say(pages)
    assert list(shown.of("seawall_page_lines_broken").values()) == [3]


def test_the_whole_page_is_valid_openmetrics_too():
    from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

    shown = Shown()
    for signal in SIGNALS.values():
        for series, names in signal.series().items():
            pairs = {name: "+Inf" if name == "le" else "x" for name in names}
            shown.say(Named(series), Sample("reg", series, T, 1.0, labels(**pairs)))
    assert len(list(strict(openmetrics(shown.telemetry.registry).decode()))) > 40
