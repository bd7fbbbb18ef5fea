"""The ticker: APScheduler calls the cycle, and nothing else. Deadlines live in the records."""

import asyncio
from collections.abc import Callable, Sequence

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from seawall.core.ports import Collector
from seawall.cycle import Cycle

HOUR = 3600


def build(
    cycle: Cycle,
    collectors: Sequence[Collector],
    leading: Callable[[Collector], bool],
    hourly: Callable[[], None],
) -> AsyncIOScheduler:
    """One job a collector at its own interval; after a `leading` one (the probe) its registry is judged."""
    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    )

    async def collect(collector: Collector) -> None:
        await cycle.collect(collector)
        if leading(collector):
            await asyncio.to_thread(cycle.turn, [collector.registry])

    for collector in collectors:
        name = f"{collector.registry}/{collector.name}"
        scheduler.add_job(
            collect, "interval", seconds=collector.interval, args=[collector], id=name, name=name
        )
    scheduler.add_job(asyncio.to_thread, "interval", seconds=HOUR, args=[hourly], id="hourly")
    return scheduler
