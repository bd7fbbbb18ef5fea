"""Distribution's metrics pages and /debug/vars, served by a scripted HTTP server."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.distribution import REMEDY, DistributionMetrics, Rising, samples_of_vars
from collectors.pages import Target
from seawall.core.counters import increase
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import (
    CACHE_BYTES,
    CACHE_REQUESTS,
    NOTIFICATIONS,
    NOTIFICATIONS_PENDING,
    REGISTRY_MANIFEST,
    REQUESTS,
    STORAGE_ACTION,
    labels,
)
from tests.scripted import serving

GOLDEN = Path(__file__).parent.parent / "golden"
CAPTURED = (GOLDEN / "captured/distribution-2.8.2-metrics.txt").read_bytes()
CACHED = (GOLDEN / "captured/distribution-2.8.2-cached-metrics.txt").read_bytes()
VARS = (GOLDEN / "captured/distribution-2.8.2-vars.json").read_bytes()
THREE = (GOLDEN / "reconstructed/distribution-3-metrics.prom").read_bytes()


async def scrape(body: bytes, status: int = 200, variables: bytes = b"{}", rounds: int = 1):
    pages = {"/metrics": (status, {}, body), "/debug/vars": (200, {}, variables)}
    async with serving(lambda request: pages[request.path]) as server:
        collector = DistributionMetrics("reg", Target(f"{server.url}/metrics", REMEDY))
        for _ in range(rounds):
            batch = await collector.collect(1000.0)
    return batch


def of(batch, signal):
    return {sample.labels: sample.value for sample in batch.samples if sample.signal == signal}


async def test_requests_of_a_captured_page_are_summed_over_methods():
    batch = await scrape(CAPTURED)
    values = of(batch, REQUESTS)
    # Both a GET and a DELETE were answered 404.
    assert values[labels(handler="manifest", code="404")] == 2
    assert values[labels(handler="manifest", code="200")] == 1
    assert values[labels(handler="manifest", code="201")] == 2
    assert values[labels(handler="blob", code="404")] == 3
    assert {(sample.registry, sample.at) for sample in batch.samples} == {("reg", 1000.0)}
    assert batch.notes == []


async def test_2_8_has_its_old_action_name_and_cache_translated():
    """Captured from a registry with `storage.cache.blobdescriptor: inmemory`."""
    batch = await scrape(CACHED)
    actions = {dict(pairs)["action"] for pairs in of(batch, f"{STORAGE_ACTION}_count")}
    assert actions == {"Delete", "GetContent", "List", "Move", "PutContent", "RedirectURL", "Stat"}
    assert of(batch, CACHE_REQUESTS) == {
        labels(cache="descriptor", status="hit"): 89,
        labels(cache="descriptor", status="miss"): 11,
    }


async def test_3_gives_cache_proxy_histogram_and_notifications():
    batch = await scrape(THREE)
    assert of(batch, CACHE_REQUESTS) == {
        labels(cache="descriptor", status="hit"): 80,
        labels(cache="descriptor", status="miss"): 19,
        labels(cache="proxy_blob", status="hit"): 30,
        labels(cache="proxy_blob", status="miss"): 10,
        labels(cache="proxy_manifest", status="hit"): 6,
        labels(cache="proxy_manifest", status="miss"): 2,
    }
    assert of(batch, CACHE_BYTES)[labels(cache="proxy_blob", direction="pulled")] == 1 << 20
    assert of(batch, f"{REGISTRY_MANIFEST}_bucket") == {
        labels(le="0.25"): 90, labels(le="0.5"): 98, labels(le="1"): 99, labels(le="+Inf"): 100,
    }  # fmt: skip
    assert of(batch, f"{REGISTRY_MANIFEST}_sum") == {(): 12.5}
    assert of(batch, NOTIFICATIONS) == {
        labels(endpoint="seawall", result="success"): 9,
        labels(endpoint="seawall", result="failure"): 1,
        labels(endpoint="seawall", result="error"): 2,
    }
    assert of(batch, NOTIFICATIONS_PENDING) == {labels(endpoint="seawall"): 0}
    assert batch.notes == []


async def test_2_8_tells_its_pull_through_cache_on_debug_vars():
    """Captured after three pulls of one image through an empty cache: 3 of 9 manifests were fetched."""
    batch = await scrape(CAPTURED, variables=VARS)
    found = {pairs: value for pairs, value in of(batch, CACHE_REQUESTS).items() if "proxy" in str(pairs)}
    assert found == {
        labels(cache="proxy_manifest", status="hit"): 6,
        labels(cache="proxy_manifest", status="miss"): 3,
    }


async def test_a_registry_that_is_no_cache_claims_none():
    untouched = json.loads(VARS)
    untouched["registry"]["proxy"]["manifests"] = dict.fromkeys(("Requests", "Hits", "Misses"), 0)
    batch = await scrape(CAPTURED, variables=json.dumps(untouched).encode())
    assert not [pairs for pairs in of(batch, CACHE_REQUESTS) if "proxy" in str(pairs)]


@pytest.mark.parametrize("variables", [b"", b"<html>", b"[" * 100_000])
async def test_variables_that_are_none_are_told_once_and_take_nothing_away(variables):
    first = await scrape(CAPTURED, variables=variables)
    assert of(first, REQUESTS) and "figures of cache and notifications are unknown" in first.notes[0]
    assert (await scrape(CAPTURED, variables=variables, rounds=2)).notes == []


async def test_a_registry_without_requests_says_so():
    batch = await scrape(b"# HELP go_goroutines x\n# TYPE go_goroutines gauge\ngo_goroutines 10\n")
    assert batch.samples == [] and "no request" in batch.asides[0]


async def test_a_broken_family_leaves_its_neighbours():
    broken = THREE.replace(
        b'registry_proxy_hits_total{type="blob"} 30', b'registry_proxy_hits_total{type="blob} 30'
    )
    batch = await scrape(broken)
    assert labels(cache="proxy_blob", status="hit") not in of(batch, CACHE_REQUESTS)
    assert of(batch, CACHE_REQUESTS)[labels(cache="proxy_blob", status="miss")] == 10
    assert of(batch, REQUESTS) and "broken line" in batch.notes[0]


@pytest.mark.parametrize(
    ("body", "status", "finding"),
    [
        (b"<html>not found</html>", 404, "answered 404.*http.debug.prometheus.enabled"),
        (b"<html>welcome</html>", 200, "no page of Prometheus metrics.*http.debug.prometheus.enabled"),
        (b"", 200, "no page of Prometheus metrics.*http.debug.prometheus.enabled"),
        (b'registry_http_requests_total{handler="blob" 7x\n', 200, "line 1: broken line.*until"),
    ],
)
async def test_what_is_no_metrics_page_is_told_with_the_remedy(body, status, finding):
    with pytest.raises(InputError, match=f"/metrics.*{finding}"):
        await scrape(body, status)


async def test_an_unreachable_page_is_told():
    async with serving(lambda request: None) as server:
        target = Target(f"{server.url}/metrics", REMEDY)
    with pytest.raises(SeawallError, match="connection refused"):
        await DistributionMetrics("reg", target).collect(1000.0)


async def test_a_page_of_5_mb_is_read_whole():
    lines = [
        b'registry_storage_action_seconds_bucket{driver="s3",action="Stat",le="%d"} 1' % i
        for i in range(60000)
    ]
    wanted = [
        b'registry_http_requests_total{handler="blob",code="200",method="m%d"} 1' % i for i in range(3000)
    ]
    batch = await scrape(b"\n".join(lines + wanted) + b"\n")
    assert of(batch, REQUESTS) == {labels(handler="blob", code="200"): 3000}


def test_a_difference_that_dips_between_two_readings_is_no_restart():
    rising = Rising()
    shown = [rising.of("hits", asked, missed) for asked, missed in [(9, 3), (9, 4), (10, 4), (11, 4)]]
    assert shown == [6, 6, 6, 7] and increase(shown) == 1


def test_a_difference_falls_with_its_registry():
    rising = Rising()
    assert [rising.of("hits", asked, missed) for asked, missed in [(9, 3), (2, 1)]] == [6, 1]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "registry",
                    "proxy",
                    "manifests",
                    "Requests",
                    "Misses",
                    "notifications",
                    "endpoints",
                    "name",
                    "Metrics",
                    "Pending",
                    "Errors",
                )
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_any_variables_give_finite_samples_or_none(document, inner):
    for found in (document, {"registry": {"proxy": inner, "notifications": inner}}):
        for sample in samples_of_vars(found, "reg", 1.0, Rising()):
            assert abs(sample.value) < float("inf")


async def test_one_page_that_hangs_delays_no_other():
    pages = {"/metrics": None, "/quick": (200, {}, CAPTURED), "/debug/vars": (200, {}, VARS)}
    async with serving(lambda request: pages[request.path]) as server:
        slow = DistributionMetrics("slow", Target(f"{server.url}/metrics", REMEDY, timeout=30.0))
        quick = DistributionMetrics("quick", Target(f"{server.url}/quick", REMEDY))
        hanging = asyncio.create_task(slow.collect(1.0))
        for _ in range(3):
            assert (await quick.collect(1.0)).samples
        assert not hanging.done()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
