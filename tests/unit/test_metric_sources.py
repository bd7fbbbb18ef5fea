"""Which collectors of figures a configuration makes."""

import pytest
import yaml

from collectors.caches import CacheRatios, CountedLog
from collectors.distribution import DistributionMetrics
from collectors.growth import StorageGrowth
from collectors.harbor import HarborExporter
from collectors.harbor_api import HarborApi
from collectors.node_exporter import RemoteVolume
from collectors.reclaimable import Reclaimable
from collectors.rules import MetricsPage
from collectors.storage import Volume
from seawall import config
from seawall.core.errors import InputError
from seawall.sources import build_collectors
from seawall.sources.metrics import CANNOT, target_of
from seawall.stores.memory import MemoryEvents, MemorySamples

PAGE = "https://reg.example/metrics"


def loaded(tmp_path, **keys):
    path = tmp_path / "seawall.yaml"
    path.write_text(yaml.safe_dump(keys))
    return config.load(path)


def one(**keys):
    return {"name": "main", "url": "https://reg.example", **keys}


def built(tmp_path, registry, samples=True, **keys):
    found = loaded(tmp_path, registries=[registry], **keys)
    made = build_collectors(found, MemoryEvents(), MemorySamples() if samples else None)
    return {collector.name: type(collector) for collector in made}


def test_distribution_has_one_page(tmp_path):
    assert built(tmp_path, one(metrics_url=PAGE))["metrics"] is DistributionMetrics


def test_harbor_has_four_pages_and_its_api(tmp_path):
    found = built(tmp_path, one(kind="harbor", metrics_url=PAGE))
    assert found["metrics-exporter"] is HarborExporter and found["api"] is HarborApi
    assert {name for name, kind in found.items() if kind is MetricsPage} == {
        "metrics-core", "metrics-registry", "metrics-jobservice",
    }  # fmt: skip
    assert built(tmp_path, one(kind="harbor"))["api"] is HarborApi


@pytest.mark.parametrize("kind", ["zot", "quay", "nexus"])
def test_the_others_have_their_page(tmp_path, kind):
    assert built(tmp_path, one(kind=kind, metrics_url=PAGE))["metrics"] is MetricsPage


def test_every_kind_says_what_it_cannot_tell():
    assert set(CANNOT) == set(config.Registry.model_fields["kind"].annotation.__args__)


def test_volumes_here_and_elsewhere_are_told_apart(tmp_path):
    storage = [
        {"registry": "main", "path": "/srv/a", "reclaimable": "6h"},
        {"registry": "main", "path": "/srv/b"},
        {"registry": "main", "path": "/srv/c", "node_exporter": "http://10.0.0.5:9100/metrics"},
    ]
    found = built(tmp_path, one(), storage=storage)
    assert (found["storage"], found["storage-2"], found["storage-3"]) == (Volume, Volume, RemoteVolume)
    assert found["reclaimable"] is Reclaimable


def test_what_reads_back_or_walks_is_not_for_a_check(tmp_path):
    storage = [{"registry": "main", "path": "/srv/a", "reclaimable": "6h"}]
    slow = {StorageGrowth, CacheRatios, Reclaimable}
    assert slow <= set(built(tmp_path, one(), storage=storage).values())
    assert not slow & set(built(tmp_path, one(), samples=False, storage=storage).values())


def test_a_log_also_counts_its_cache(tmp_path):
    assert CountedLog in built(tmp_path, one(logs=["/var/log/registry.log"])).values()


def test_a_walk_on_another_machine_is_refused(tmp_path):
    volume = {"registry": "main", "path": "/srv", "node_exporter": "http://h:9100", "reclaimable": "6h"}
    with pytest.raises(InputError, match="reclaimable walks a folder of this machine"):
        loaded(tmp_path, registries=[one()], storage=[volume])


@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("https://reg.example/metrics", True),
        ("https://reg.example:443/metrics", True),
        ("https://reg.example:5001/metrics", False),
        ("http://reg.example/metrics", False),
        ("https://other.example/metrics", False),
    ],
)
def test_the_account_goes_to_the_registrys_own_address_only(tmp_path, monkeypatch, page, sent):
    monkeypatch.setenv("PASSWORD", "secret")
    registry = one(username="ada", password_env="PASSWORD", metrics_url=page)
    found = loaded(tmp_path, registries=[registry]).registries[0]
    login = target_of(found, page).login
    assert (login() if login else None) == (("ada", "secret") if sent else None)
