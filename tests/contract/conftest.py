"""The servers behind the contracts: one of each kind for a file of tests, a name of its own for each test."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seawall.config.stores import ElasticsearchAccess, PrometheusAccess
from seawall.stores.elasticsearch import ElasticsearchEvents
from seawall.stores.elasticsearch_templates import KINDS, checkpoints_index, policy_name
from seawall.stores.prometheus import PrometheusSamples
from tests.store_servers import EMULATORS, NODES, Prometheus, Remote, Server

# Laws of a real cluster only; without one they are not collected.
collect_ignore = [] if os.environ.get("ES_URL") else ["test_elasticsearch_cluster.py"]
NUMBERS = itertools.count(int(time.time()))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[Prometheus]:
    """A real Prometheus."""
    server = Prometheus(tmp_path_factory.mktemp("prometheus")).start()
    yield server
    server.stop()


@pytest.fixture
def prometheus_samples(request, tmp_path: Path) -> Iterator[Callable[..., PrometheusSamples]]:
    """Opens a store with series of its own in the module's Prometheus."""
    opened: list[PrometheusSamples] = []

    def open_store(url: str = "", folder: str = "prometheus", **access: object) -> PrometheusSamples:
        settings = PrometheusAccess(**{"job": f"test-{next(NUMBERS)}", "retries": 0, **access})
        url = url or request.getfixturevalue("prometheus").url
        opened.append(
            PrometheusSamples(f"prometheus+{url}", settings, tmp_path / "stores" / folder, time.time)
        )
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Callable[[str], Server]]:
    """Starts an emulator when it is first asked for."""
    running: dict[str, Server] = {}

    def started(name: str) -> Server:
        if name not in running:
            running[name] = EMULATORS[name](tmp_path_factory.mktemp(name)).start()
        return running[name]

    yield started
    for server in running.values():
        server.stop()


@pytest.fixture
def elasticsearch_events(tmp_path: Path) -> Iterator[Callable[..., ElasticsearchEvents]]:
    """Opens a store with a namespace of its own in a server."""
    opened: list[ElasticsearchEvents] = []
    servers: dict[ElasticsearchEvents, Server | Remote] = {}

    def open_store(server: Server, folder: str = "elasticsearch", **access: object) -> ElasticsearchEvents:
        if isinstance(server, Remote) and os.environ.get("ES_API_KEY"):
            access["token_env"] = "ES_API_KEY"
        settings = ElasticsearchAccess(
            **{"namespace": f"test{next(NUMBERS)}", "retries": 0, "replicas": 0, **access}
        )
        node = NODES.get(type(server))
        url = f"elasticsearch+{server.url}"
        opened.append(ElasticsearchEvents(url, settings, tmp_path / "stores" / folder, time.time, node))
        servers[opened[-1]] = server
        return opened[-1]

    yield open_store
    for store in opened:
        if isinstance(servers[store], Remote):
            remove(store)
        store.close()


def remove(store: ElasticsearchEvents) -> None:
    """Everything of a test's namespace in a real cluster."""
    namespace, client = store._access.namespace, store._client.options(ignore_status=404)
    client.indices.delete_data_stream(name=f"logs-seawall.*-{namespace}")
    client.indices.delete(index=checkpoints_index(namespace))
    client.indices.delete_index_template(name=checkpoints_index(namespace))
    for kind in KINDS:
        client.indices.delete_index_template(name=policy_name(kind, namespace))
        client.ilm.delete_lifecycle(name=policy_name(kind, namespace))
