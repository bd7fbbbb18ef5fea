"""compose.yaml: Compose's schema takes it, every file is there, every service can tell that it is well."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.config import load, read_secret

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IN_CONTAINER = "/run/secrets"


def passes(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def schema(path: Path) -> subprocess.CompletedProcess[str]:
    told = [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(told, capture_output=True, text=True, timeout=60)


def test_the_schema_of_compose_takes_it(tmp_path):
    assert schema(ROOT / "compose.yaml").returncode == 0
    slip = tmp_path / "compose.yaml"
    slip.write_text((ROOT / "compose.yaml").read_text().replace("healthcheck:", "heathcheck:", 1))
    assert schema(slip).returncode == 1


def test_all_parts_are_there_pinned_healthy_and_kept():
    others = {"registry", "prometheus", "alertmanager", "grafana", "elasticsearch", "postgres"}
    assert set(SERVICES) == {"seawall", *others}
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+\.\d+$|^postgres:\d+\.\d+$", service["image"]), name
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert service["restart"] == "unless-stopped", name
    for ports in (it.get("ports", []) for it in SERVICES.values()):
        assert all(port.startswith("127.0.0.1:") for port in ports), "published on loopback only"


def test_every_mount_has_its_file_or_volume():
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                used.add(source)
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert used == set(COMPOSE["volumes"])


def test_seawalls_configuration_names_what_is_beside_it():
    config = load(FOLDER / "seawall.yaml")
    stores = (config.stores.samples, config.stores.events, config.stores.records)
    urls = [*stores, config.alertmanager.url, config.registries[0].url]
    assert [re.search(r"//(?:\w+@)?([\w.]+)", url)[1] for url in urls] == [
        "prometheus", "elasticsearch", "postgres", "alertmanager", "registry",
    ]  # fmt: skip
    own = SERVICES["seawall"]
    files = {it.token_file for it in (config.webhooks.distribution, config.webhooks.alertmanager)}
    files |= {config.stores.postgresql.password_file, config.stores.elasticsearch.password_file}
    assert files == {Path(IN_CONTAINER, name) for name in own["secrets"]}
    mounted = {volume.split(":")[1] for volume in own["volumes"]}
    assert {"/etc/seawall/seawall.yaml", str(config.storage[0].path), "/var/lib/seawall"} <= mounted
    assert config.server.host == own["hostname"], "its name in the Host header of the others"


def test_prometheus_and_alertmanager_take_theirs():
    passes("promtool", "check", "config", "--syntax-only", FOLDER / "prometheus.yml")
    passes("amtool", "check-config", FOLDER / "alertmanager.yml")
    prometheus = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    # The job's name is in the rules; the receiver of remote write is what the store needs.
    assert "seawall" in {it["job_name"] for it in prometheus["scrape_configs"]}
    assert "--web.enable-remote-write-receiver" in SERVICES["prometheus"]["command"]


def test_grafana_finds_its_sources_and_dashboards():
    provisioning, mounts = ROOT / "dashboards" / "provisioning", SERVICES["grafana"]["volumes"]
    sources = yaml.safe_load((FOLDER / "grafana-datasources.yml").read_text())["datasources"]
    assert all(re.search(r"//(\w+):", it["url"])[1] in SERVICES for it in sources)
    login = next(it for it in sources if it["type"] == "elasticsearch")["secureJsonData"]
    assert login == {"basicAuthPassword": "$__file{/run/secrets/grafana-elasticsearch}"}
    (providers,) = (provisioning / "dashboards").iterdir()
    folder = yaml.safe_load(providers.read_text())["providers"][0]["options"]["path"]
    assert f"./dashboards/json:{folder}:ro" in mounts


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files to their readers")
def test_the_secrets_are_made_once_for_their_readers_only(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "compose", ignore=shutil.ignore_patterns("secrets"))
    script, folder = tmp_path / "compose" / "secrets.sh", tmp_path / "compose" / "secrets"
    passes(script)
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    wanted = {name: Path(it["file"]).name for name, it in COMPOSE["secrets"].items()}
    assert set(made) == set(wanted.values())
    assert made["postgres"] == made["seawall-postgres"] and made["elastic"] == made["grafana-elasticsearch"]
    assert made["distribution-token"] in made["registry-config"] and b"@" not in made["registry-config"]
    for name in SERVICES["seawall"]["secrets"]:
        assert (folder / name).stat().st_uid == 10001
        assert read_secret(folder / name, name) == made[name].decode()
    assert oct((folder / "elastic").stat().st_mode)[-3:] == "400", "Elasticsearch refuses another mode"
    passes(script)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made
