"""The ticker: APScheduler calls the cycle, and nothing else. Deadlines live in the records."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from seawall.core.ports import Collector
from seawall.cycle import Cycle
from seawall.turning import Turns

HOUR = 3600
FIRST = 10.0  # seconds within which also a slow collector is first asked


def build(
    cycle: Cycle,
    collectors: Sequence[Collector],
    leading: Callable[[Collector], bool],
    hourly: Mapping[str, Callable[[], None]],
    turns: Turns,
) -> AsyncIOScheduler:
    """One job a collector at its own interval, and again at once while it has `more`; after a `leading` one
    (the probe) its registry is judged. The first runs are spread over the interval: hundreds of probes
    that begin at one moment would measure one another."""
    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    )

    async def collect(collector: Collector) -> None:
        while await cycle.collect(collector) and getattr(collector, "more", False):
            continue
        if leading(collector):
            turns.due(collector.registry)

    async def quietly(work: Callable[..., Awaitable[object]], *args: object) -> None:
        try:
            await work(*args)
        except asyncio.CancelledError:  # said by nobody when Seawall stops
            if scheduler.running:
                raise

    start = datetime.now(UTC)
    for number, collector in enumerate(collectors, 1):
        name = f"{collector.registry}/{collector.name}"
        first = start + timedelta(seconds=min(collector.interval, FIRST) * number / len(collectors))
        scheduler.add_job(
            quietly,
            "interval",
            seconds=collector.interval,
            next_run_time=first,
            args=[collect, collector],
            id=name,
            name=name,
        )
    for name, job in hourly.items():
        scheduler.add_job(
            quietly, "interval", seconds=HOUR, args=[asyncio.to_thread, job], id=name, name=name
        )
    return scheduler


async def stop(scheduler: AsyncIOScheduler, cycle: Cycle, turns: Turns) -> None:
    """Begin nothing more, give up what waits for a registry, and finish what is being written or judged."""
    scheduler.pause()
    await asyncio.sleep(0)  # what was just begun is under way then, and can be given up
    scheduler.shutdown(wait=False)
    await turns.stop()
    await cycle.keeper.finish()
