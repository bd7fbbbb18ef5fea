"""A pull that the proxy's log and the registry's log both tell is one request of a client."""

import asyncio
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from seawall.config import Config
from seawall.sources.events import event_collectors
from seawall.stores.duckdb import DuckDatabase, DuckEvents

CAPTURED = Path(__file__).parents[1] / "golden" / "captured"
PROXY, REGISTRY = "nginx-1.22.1-harbor.log", "distribution-2.8.2-text.log"


def config(folder: Path, **more) -> Config:
    logs = [str(folder / PROXY), str(folder / REGISTRY)]
    one = {"name": "main", "url": "http://127.0.0.1:1", "logs": logs, **more}
    return Config.model_validate({"registries": [one]})


@pytest.mark.parametrize(("client_logs", "requests"), [([], 3), ([PROXY], 2), ([REGISTRY], 1)])
def test_only_the_lines_of_the_named_log_count(tmp_path, client_logs, requests):
    for name in (PROXY, REGISTRY):
        shutil.copy(CAPTURED / name, tmp_path / name)
    database = DuckDatabase(tmp_path / "data")
    store = DuckEvents(database)
    found = config(tmp_path, client_logs=[str(tmp_path / name) for name in client_logs])
    for collector in event_collectors(found.registries[0], store, 5.0):
        batch = asyncio.run(collector.collect(1e9))
        assert len(batch.events) > 3
        store.append(batch.events, batch.checkpoints)
        asyncio.run(collector.stored())
        assert collector.lines.total() == len(batch.events), "the wrapped log's counts are its own"
    assert store.manifest_latency("main", 0, 4e9, 0.99).count == requests
    kept, marked = database.query(
        "SELECT count(*), count(*) FILTER (contains(body, 'seawall.behind_proxy')) FROM events_all"
    )[0]
    assert kept > 20 and bool(marked) == bool(client_logs), "every line is kept"
    database.close()


def test_a_log_that_is_not_followed_cannot_be_the_clients(tmp_path):
    with pytest.raises(ValidationError, match=r"client_logs names .*other\.log, which logs does not"):
        config(tmp_path, client_logs=[str(tmp_path / "other.log")])
