"""`seawall up` on growing logs: killed, rotated, piped, with a full disk. Every line is kept exactly once."""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.follow import START, lines
from seawall.stores.duckdb import DuckDatabase
from tests.serving import Up, until

PARTS = 2
SIZE = (1 << 30 if os.environ.get("SEAWALL_SOAK") else 32 << 20) // PARTS
LINE = 354  # bytes of one line, about
PIECE = 4000 if os.environ.get("SEAWALL_SOAK") else 400  # lines that are written at once, ten times a second
pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(3600)]


def config(*logs: str) -> dict:
    """A registry that nobody serves; its log is read every second."""
    return {
        "registries": [{"name": "main", "url": "http://127.0.0.1:1", "logs": list(logs)}],
        "probe": {"interval": "2s", "timeout": "500ms"},
    }


def grow(path: Path, count: int, part: int) -> None:
    """Append so many lines, in pieces, as a registry under load does; each part has its own hour."""
    with path.open("a") as file:
        for number, line in enumerate(lines(count, START + 100_000 * part, part * count)):
            file.write(line)
            if number % PIECE == 0:
                file.flush()
                time.sleep(0.1)


def metric(service: Up, name: str) -> Iterator[tuple[str, float]]:
    """(labels, value) of a family on /metrics."""
    with service.api() as api:
        text = api.get("/metrics").text
    for row in text.splitlines():
        if row.startswith(name) and "_created" not in row:
            pairs, _, value = row[len(name) :].rpartition(" ")
            yield pairs, float(value)


def read_up(service: Up) -> bool:
    """Nothing is unread, and something was read since the last start."""
    told = list(metric(service, "seawall_log_backlog_bytes"))
    return bool(told) and not any(value for _, value in told)


def count(service: Up) -> tuple[int, int, int]:
    """(events of the log, different ids, different requests that have both of their lines)."""
    service.stop()
    database = DuckDatabase(service.state / "data")
    try:
        (found,) = database.query(
            "SELECT count(*), count(DISTINCT id) FROM events_all WHERE dataset LIKE 'distribution.%'"
        )
        (pairs,) = database.query(
            "SELECT count(*) FROM (SELECT json_extract_string(body, '$.\"registry.digest\"') AS digest"
            " FROM events_all WHERE dataset LIKE 'distribution.%' GROUP BY digest"
            " HAVING count(*) = 2 AND count(DISTINCT dataset) = 2)"
        )
        return (*found, *pairs)
    finally:
        database.close()


def test_kills_in_the_middle_of_a_growing_log_lose_and_double_nothing(tmp_path, record_property):
    """Kill -9 at random moments of the reading, and a rotation while Seawall is dead."""
    path, rng, part_lines = tmp_path / "registry.log", random.Random(3), SIZE // LINE // 2 * 2
    path.touch()
    service = Up(tmp_path, config(str(path))).start()
    began, peak, kills = time.monotonic(), 0, 0
    try:
        until(lambda: read_up(service), 30, "the empty log")
        service.kill()
        for part in range(PARTS):
            writer = threading.Thread(target=grow, args=(path, part_lines, part))
            writer.start()
            while writer.is_alive():
                service.start()
                until(lambda: list(metric(service, "seawall_log_lines_total")), 30, "the first lines")
                time.sleep(rng.uniform(0.0, 1.0))
                peak = max(peak, psutil.Process(service.process.pid).memory_info().rss)
                service.kill()
                kills += 1
            path.rename(path.with_name(f"registry.log.{PARTS - part}"))
            path.touch()
        service.start()
        until(lambda: read_up(service), 1800, "the end of the log")
        peak = max(peak, psutil.Process(service.process.pid).memory_info().rss)
        wanted = PARTS * part_lines
        assert count(service) == (wanted, wanted, wanted // 2)
    finally:
        service.stop()
    record_property(
        "figures", f"{wanted} lines, {kills} kills, {time.monotonic() - began:.0f} s, {peak} bytes"
    )
    assert kills >= PARTS and peak < 500 << 20
