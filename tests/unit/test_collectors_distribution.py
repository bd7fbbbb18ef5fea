"""Distribution's metrics page, served by a scripted HTTP server."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collectors.distribution import DistributionMetrics
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import REQUESTS, labels

CAPTURED = Path(__file__).parent.parent / "golden/captured/distribution-2.8.2-metrics.txt"


@asynccontextmanager
async def page(body: bytes, status: int = 200):
    async def client(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    finally:
        server.close()


async def scrape(body: bytes, status: int = 200):
    async with page(body, status) as url:
        return await DistributionMetrics("reg", url).collect(1000.0)


async def test_requests_of_a_captured_page_are_summed_over_methods():
    batch = await scrape(CAPTURED.read_bytes())
    values = {sample.labels: sample.value for sample in batch.samples}
    # Both a GET and a DELETE were answered 404.
    assert values[labels(handler="manifest", code="404")] == 2
    assert values[labels(handler="manifest", code="200")] == 1
    assert values[labels(handler="manifest", code="201")] == 2
    assert values[labels(handler="blob", code="404")] == 3
    assert {(s.signal, s.registry, s.at) for s in batch.samples} == {(REQUESTS, "reg", 1000.0)}
    assert batch.notes == []


async def test_a_registry_without_requests_says_so():
    batch = await scrape(b"# HELP go_goroutines x\n# TYPE go_goroutines gauge\ngo_goroutines 10\n")
    assert batch.samples == [] and "no request" in batch.notes[0]


@pytest.mark.parametrize(
    ("body", "status", "finding"),
    [
        (b"<html>not found</html>", 404, "answered 404"),
        (b"<html>welcome</html>", 200, "no page of Prometheus metrics"),
        (b"", 200, "no page of Prometheus metrics"),
        (b'registry_http_requests_total{handler="blob" 7x\n', 200, "a broken line"),
    ],
)
async def test_what_is_no_metrics_page_is_told_with_the_remedy(body, status, finding):
    with pytest.raises(InputError, match=f"/metrics: {finding}.*http.debug.prometheus.enabled"):
        await scrape(body, status)


async def test_an_unreachable_page_is_told():
    async with page(b"") as url:
        pass
    with pytest.raises(SeawallError, match="connection refused"):
        await DistributionMetrics("reg", url).collect(1000.0)


async def test_a_page_of_5_mb_is_read_whole():
    lines = [
        b'registry_storage_action_seconds_bucket{driver="s3",action="Stat",le="%d"} 1' % i
        for i in range(60000)
    ]
    wanted = [
        b'registry_http_requests_total{handler="blob",code="200",method="m%d"} 1' % i for i in range(3000)
    ]
    async with page(b"\n".join(lines + wanted) + b"\n") as url:
        collector = DistributionMetrics("reg", url)
        batch = await collector.collect(2.0)
    assert batch.samples[0].value == 3000
