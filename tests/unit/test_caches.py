"""Cache requests counted from log events, and the hit ratio over restarts."""

import pytest

from collectors.caches import ANSWERS, CacheRatios, CountedLog, status_of
from collectors.formats import parse_line
from collectors.logs import FollowedLog
from seawall.core.signals import CACHE_HIT_RATIO, CACHE_REQUESTS, Event, Sample, labels
from seawall.stores.memory import MemorySamples

LINE = (
    '{"upstream_cache_status":"%s","access_time":"13/May/2020:15:25:%02d +0000","uri":"/v2/a/manifests/1",'
    '"status":"200","bytes_sent":"529","host":"h","upstream":"u"}\n'
)


def counts(batch):
    return {dict(s.labels)["status"]: s.value for s in batch.samples if s.signal == CACHE_REQUESTS}


async def test_lines_of_nginx_are_counted_by_status_once_they_are_stored(tmp_path):
    path = tmp_path / "cache.log"
    path.write_text(
        "".join(LINE % (status, n) for n, status in enumerate(["HIT", "HIT", "MISS", "STALE", "-"]))
    )
    log = CountedLog(FollowedLog("reg", str(path)))
    expected = {"hit": 2, "miss": 1, "stale": 1}
    assert counts(await log.collect(1.0)) == expected
    assert counts(await log.collect(2.0)) == expected, "a batch that was not stored is collected again"
    await log.stored()
    with path.open("a") as file:
        file.write(LINE % ("HIT", 30))
    assert counts(await log.collect(3.0)) == {"hit": 3, "miss": 1, "stale": 1}
    assert log.lines and log.name == f"logs:{path}"


def test_every_status_of_nginx_is_read_from_its_line():
    read = {status_of(Event("1", 1.0, "reg", parse_line(LINE.strip() % (s.upper(), 1)))) for s in ANSWERS}
    assert read == ANSWERS


@pytest.mark.parametrize("status", ["", "-", "HITS", None, 5])
def test_what_is_no_status_is_not_counted(status):
    assert status_of(Event("1", 1.0, "reg", {"registry.cache_status": status})) is None


async def test_the_ratio_is_of_the_last_hour_and_over_restarts():
    store, now = MemorySamples(), 10_000.0

    def keep(cache, status, *readings):
        for n, value in enumerate(readings):
            pairs = labels(cache=cache, status=status)
            store.append([Sample("reg", CACHE_REQUESTS, now - 600 + 60 * n, float(value), pairs)])

    keep("nginx", "hit", 100, 130, 5)  # 30, restart, 5
    keep("nginx", "revalidated", 0, 5, 0)
    keep("nginx", "miss", 10, 20, 0)
    keep("idle", "hit", 7, 7, 7)
    store.append([Sample("reg", CACHE_REQUESTS, now - 4000, 0.0, labels(cache="nginx", status="hit"))])
    batch = await CacheRatios("reg", store).collect(now)
    assert [(s.signal, s.labels, s.value) for s in batch.samples] == [
        (CACHE_HIT_RATIO, labels(cache="nginx"), 40 / 50)
    ]
