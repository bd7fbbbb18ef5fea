"""Reading a registry's large metrics page: 5 MB of which 5 % of the lines are wanted."""

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.figure import Figure
from collectors.distribution import DistributionMetrics

OTHER = b'registry_storage_action_seconds_bucket{driver="s3",action="Stat",le="%d"} 1\n'
WANTED = b'registry_http_requests_total{handler="blob",code="200",method="m%d"} 1\n'
PAGE = b"".join(OTHER % i for i in range(60_000)) + b"".join(WANTED % i for i in range(3_000))


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The page, whatever is asked for."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def measure() -> list[Figure]:
    """Processor time of one collection after a first one, the page's own server included."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            seconds = asyncio.run(_collect(f"http://127.0.0.1:{server.server_port}/metrics"))
        finally:
            server.shutdown()
    return [Figure(f"metrics page of {len(PAGE) / 1e6:.1f} MB, processor time", seconds, 0.25, "s")]


async def _collect(url: str) -> float:
    collector = DistributionMetrics("main", url)
    await collector.collect(1.0)
    began = time.process_time()
    batch = await collector.collect(2.0)
    spent = time.process_time() - began
    assert batch.samples[0].value == 3_000
    return spent
