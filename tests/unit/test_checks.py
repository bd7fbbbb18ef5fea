"""`seawall check` sees what `up` refuses and what no repair can work with."""

import pytest
import yaml

from seawall import checks
from tests.scripted import registry
from tests.unit.test_cli_probe import served

AWAY = "http://127.0.0.1:1"


def checked(folder, **config):
    """The checks of a configuration, by name."""
    path = folder / "seawall.yaml"
    path.write_text(yaml.safe_dump(config))
    return {check.name: check for check in checks.run(path, "test")}


def main(**keys):
    return [{"name": "main", "url": AWAY, **keys}]


def program(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# secrets -------------------------------------------------------------------------------------


def with_secret(key, file):
    channel = {"name": "ops", "kind": "webhook", "url_file": file, "severities": ["page"]}
    return {
        "webhooks.harbor.token_file": {"webhooks": {"harbor": {"token_file": file}}},
        "alertmanager.token_file": {"alertmanager": {"url": AWAY, "token_file": file}},
        "notify.channels[ops].url_file": {"notify": {"channels": [channel]}},
        "registries[main].password_file": {"registries": main(username="u", password_file=file)},
        "stores.postgresql.password_file": {"stores": {"postgresql": {"password_file": file}}},
    }[key]


@pytest.mark.parametrize(
    "key",
    [
        "webhooks.harbor.token_file",
        "alertmanager.token_file",
        "notify.channels[ops].url_file",
        "registries[main].password_file",
        "stores.postgresql.password_file",
    ],
)
def test_each_secret_is_read_as_up_reads_it(tmp_path, key):
    missing = checked(tmp_path, **with_secret(key, "secret"))[key]
    assert not missing.ok and "cannot read" in missing.found and missing.kind == "file"
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t\n")
    secret.chmod(0o644)
    wide = checked(tmp_path, **with_secret(key, "secret"))[key]
    assert not wide.ok and "open to other users" in wide.found and wide.remedy == "chmod 600 it"
    secret.chmod(0o600)
    good = checked(tmp_path, **with_secret(key, "secret"))[key]
    assert good.ok and "s3cr3t" not in good.found


def test_a_secret_of_the_environment_that_is_not_set_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_OF_MAIN", raising=False)
    config = {"registries": main(username="u", password_env="SECRET_OF_MAIN")}
    found = checked(tmp_path, **config)["registries[main].password_env"]
    assert not found.ok and found.found == "$SECRET_OF_MAIN is not set" and found.remedy


# processes and containers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pidfile", "command", "words"),
    [
        ("nowhere/pid", "good", "process.pidfile: there is no folder"),
        ("pid", "missing", "there is no such program"),
        ("pid", "plain", "cannot be executed"),
        ("pid", "good", ""),
    ],
)
def test_a_process_that_cannot_be_started_fails(tmp_path, pidfile, command, words):
    program(tmp_path, "good", "true")
    (tmp_path / "plain").write_text("text")
    process = {"pidfile": pidfile, "command": [str(tmp_path / command)]}
    found = checked(tmp_path, registries=main(process=process))["process of main"]
    assert (found.ok, found.kind) == (not words, "file") and words in found.found
    assert found.ok or found.remedy


@pytest.fixture
def runtimes(tmp_path, monkeypatch):
    """A PATH of our own; podman and docker are what the test writes there."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin-of-nobody")
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


KNOWS = (
    'for last; do :; done; [ "$last" = registry ] && echo running || { echo "no such container"; exit 1; }'
)


def test_a_container_is_asked_for_at_its_runtime(tmp_path, runtimes):
    program(runtimes, "docker", f'[ "$WHERE" = here ] || exit 3; {KNOWS}')
    keys = {"runtime_env": {"WHERE": "here"}}
    found = checked(tmp_path, registries=main(container="registry", **keys))["container of main"]
    assert found.ok and found.found == "docker knows registry: running"
    typo = checked(tmp_path, registries=main(container="typo", **keys))["container of main"]
    assert not typo.ok and typo.remedy
    assert typo.found == "podman: it is not installed; docker: no such container"


def test_a_runtime_that_does_not_answer_ends_in_time(tmp_path, runtimes, monkeypatch):
    monkeypatch.setattr(checks, "RUNTIME_ANSWERS", 0.2)
    program(runtimes, "podman", "exec /bin/sleep 60")
    config = main(container="registry", runtime="podman")
    found = checked(tmp_path, registries=config)["container of main"]
    assert not found.ok and "podman: no answer within" in found.found


def test_containers_of_other_hosts_are_not_looked_for(tmp_path):
    (tmp_path / "inventory.ini").write_text("[registry_servers]\nfar\n")
    config = {"registries": main(container="registry"), "inventory": "inventory.ini"}
    found = checked(tmp_path, **config)["container of main"]
    assert found.ok and "not looked at" in found.found


# the probe's image ---------------------------------------------------------------------------


def answer(request):
    return (200, {}, b"{}") if request.path == "/v2/" else registry(request)


@pytest.mark.parametrize(("image", "ok"), [("team/app:1.0", True), ("team/typo:1.0", False)])
def test_the_image_of_the_probe_is_pulled(tmp_path, image, ok):
    with served(answer) as url:
        found = checked(tmp_path, registries=[{"name": "main", "url": url}], probe={"image": image})
    assert found["registry main"].ok
    row = found["image of main"]
    assert row.ok is ok and image in row.found
    assert ok or (row.found.startswith("healthy, but ") and "push it" in row.remedy)


def test_a_registry_that_is_away_is_told_once(tmp_path):
    found = checked(tmp_path, registries=main(), probe={"image": "team/app:1.0"})
    assert not found["registry main"].ok and "image of main" not in found
    assert checks.exit_code(list(found.values())) == 1
