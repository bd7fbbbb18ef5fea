"""Reading a large metrics page: 5 MB of which 5 % of the lines are wanted, of every wanted family."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle, islice

from benchmarks.figure import Figure
from collectors.distribution import REMEDY, DistributionMetrics
from collectors.harbor import HarborExporter, harbor_page
from collectors.pages import Target
from seawall.core.ports import Collector

SIZE, SHARE = 5_000_000, 0.05
LIMIT = 0.25  # seconds of processor time
Lines = tuple[tuple[str, ...], str]

DISTRIBUTION: Lines = (
    (
        'registry_http_requests_total{{code="200",handler="blob",method="m{n}"}} 1',
        'registry_http_request_duration_seconds_bucket{{handler="manifest",method="get",le="{n}"}} 1',
        'registry_storage_action_seconds_sum{{action="a{n}",driver="s3aws"}} 1.25',
        'registry_storage_action_seconds_count{{action="a{n}",driver="s3aws"}} 17',
        'registry_proxy_hits_total{{type="blob",shard="{n}"}} 30',
        'registry_notifications_events_total{{endpoint="e{n}",type="Successes"}} 30',
        'registry_http_in_flight_requests{{handler="h{n}"}} 1',
    ),
    'registry_storage_action_seconds_bucket{{action="Stat",driver="s3aws",le="{n}"}} 1',
)
CORE: Lines = (
    (
        'harbor_core_http_request_total{{code="200",method="GET",operation="o{n}"}} 4011',
        'harbor_core_http_request_duration_seconds{{method="GET",operation="v2_blob",quantile="{n}"}} 0.25',
    ),
    'harbor_core_http_request_duration_seconds_sum{{method="GET",operation="o{n}"}} 81.5',
)
EXPORTER: Lines = (
    (
        'harbor_project_quota_usage_byte{{project_name="team-{n}"}} 1.2e+09',
        'harbor_project_quota_byte{{project_name="team-{n}"}} 1.073741824e+10',
        'harbor_task_queue_size{{type="T{n}"}} 4',
        'harbor_up{{component="c{n}"}} 1',
    ),
    'harbor_project_member_total{{project_name="team-{n}"}} 5',
)


def page_of(lines: Lines) -> bytes:
    """About `SIZE` bytes: `SHARE` of them wanted lines, in turn, the rest the other one."""
    wanted, other = lines
    parts = [*_up_to(SIZE * SHARE, wanted), *_up_to(SIZE * (1 - SHARE), (other,))]
    return ("harbor_health 1\n" + "".join(parts)).encode()


def _up_to(size: float, forms: tuple[str, ...]) -> Iterator[str]:
    lines = (form.format(n=n) + "\n" for form, n in zip(cycle(forms), count(), strict=False))
    return islice(lines, int(size / len(forms[0])))


def measure() -> list[Figure]:
    """Processor time of one collection after a first one, the page's own server included."""
    kinds: dict[str, tuple[Lines, Callable[[Target], Collector]]] = {
        "Distribution": (DISTRIBUTION, lambda target: DistributionMetrics("main", target)),
        "Harbor core": (CORE, lambda target: harbor_page("main", target, "core")),
        "Harbor exporter": (EXPORTER, lambda target: HarborExporter("main", target)),
    }
    figures = []
    for kind, (lines, make) in kinds.items():
        page = page_of(lines)
        seconds = _seconds(page, make)
        figures.append(
            Figure(f"metrics page, {kind}, {len(page) / 1e6:.1f} MB, processor time", seconds, LIMIT, "s")
        )
    return figures


def _seconds(page: bytes, make: Callable[[Target], Collector]) -> float:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The page, whatever is asked for."""
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            target = Target(f"http://127.0.0.1:{server.server_port}/metrics", REMEDY, timeout=60.0)
            return asyncio.run(_collect(make(target)))
        finally:
            server.shutdown()


async def _collect(collector: Collector) -> float:
    await collector.collect(1.0)
    began = time.process_time()
    batch = await collector.collect(2.0)
    spent = time.process_time() - began
    assert len(batch.samples) > 100 or any(sample.value for sample in batch.samples)
    return spent
