"""The Kubernetes manifests: Kubernetes' own schemas take them, they fit together, generated ones are true."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from fastapi.routing import APIRoute

from seawall.api import health
from seawall.config import Config, load

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
CUSTOM = {"PrometheusRule", "ServiceMonitor"}  # of the Prometheus operator: no schema of them here
OLDEST = "1.28"
GENERATED = runpy.run_path(str(ROOT / "deploy" / "generate.py"))["FILES"]
KUSTOMIZATION = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())


def documents() -> list[dict[str, Any]]:
    return [
        document
        for name in KUSTOMIZATION["resources"]
        for document in yaml.safe_load_all((KUBERNETES / name).read_text())
    ]


def the(kind: str) -> dict[str, Any]:
    (found,) = [it for it in documents() if it["kind"] == kind]
    return found


POD = the("Deployment")["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_kubernetes_schemas_take_them(version):
    unchecked = set()
    for document in documents():
        if document["kind"] in CUSTOM:
            unchecked.add(document["kind"])
        else:
            kubernetes_validate.validate(document, version, strict=True)
    assert unchecked == CUSTOM


def test_the_schemas_would_tell_a_slip():
    bad = the("Service") | {"spec": {"port": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, OLDEST, strict=True)


def test_the_kustomization_names_every_file_and_nothing_else():
    generator = [file for it in KUSTOMIZATION["configMapGenerator"] for file in it["files"]]
    named = {*KUSTOMIZATION["resources"], *generator, "kustomization.yaml"}
    assert named == {path.name for path in KUBERNETES.iterdir()}


@pytest.mark.parametrize("path", sorted(GENERATED), ids=lambda it: it.name)
def test_generated_files_are_what_is_generated_now(path):
    assert path.read_text() == GENERATED[path](), "run: .venv/bin/python deploy/generate.py"


def test_the_rules_and_dashboards_are_all_there():
    rules = yaml.safe_load((ROOT / "alerts/rules/seawall.rules.yml").read_text())
    assert the("PrometheusRule")["spec"] == rules
    maps = [it for it in documents() if it["kind"] == "ConfigMap"]
    boards = {name: text for it in maps for name, text in it["data"].items()}
    assert boards == {path.name: path.read_text() for path in (ROOT / "dashboards/json").glob("*.json")}
    # kubectl apply keeps each one whole in an annotation, which holds 256 KiB.
    assert all(len(json.dumps(it).encode()) < 256 << 10 for it in maps)


def test_names_fit_together():
    labels, ports = POD["metadata"]["labels"], {it["name"] for it in CONTAINER["ports"]}
    service, monitor = the("Service"), the("ServiceMonitor")["spec"]
    assert the("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels == the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {it["port"] for it in monitor["endpoints"]} <= {it["name"] for it in service["spec"]["ports"]}
    assert {it["targetPort"] for it in service["spec"]["ports"]} <= ports
    assert POD["spec"]["serviceAccountName"] == the("ServiceAccount")["metadata"]["name"]
    assert the("RoleBinding")["roleRef"]["name"] == the("Role")["metadata"]["name"]
    # The rules ask for up{job="seawall"}, and the operator names the job after the service.
    assert service["metadata"]["name"] == "seawall"


def test_every_volume_is_there_and_mounted():
    volumes = {it["name"]: it for it in POD["spec"]["volumes"]}
    assert {it["name"] for it in CONTAINER["volumeMounts"]} == set(volumes)
    claim = volumes["state"]["persistentVolumeClaim"]["claimName"]
    assert claim == the("PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == KUSTOMIZATION["configMapGenerator"][0]["name"]
    image = CONTAINER["image"].partition(":")[0]
    assert [it["name"] for it in KUSTOMIZATION["images"]] == [image]


def test_the_pod_has_no_right_that_it_does_not_need():
    pod, own = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Containerfile").read_text(), re.M)
    assert (pod["runAsUser"], pod["fsGroup"]) == (int(user[1]), int(user[2])) and pod["runAsNonRoot"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"] and own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert POD["spec"]["automountServiceAccountToken"] is False
    assert "limits" in CONTAINER["resources"] and "requests" in CONTAINER["resources"]


def test_probes_ask_what_strangers_may_ask():
    open_paths = {it.path for it in health.router.routes if isinstance(it, APIRoute)}
    for probe, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
        assert CONTAINER[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
        assert path in open_paths


def test_its_configuration_is_read_and_its_secrets_are_mounted():
    config = load(KUBERNETES / "seawall.yaml")
    assert config != Config()
    mounts = {it["name"]: it["mountPath"] for it in CONTAINER["volumeMounts"]}
    for hook in (config.webhooks.distribution, config.webhooks.alertmanager):
        assert hook is not None and str(hook.token_file.parent) == mounts["secrets"]
    assert "seawall.seawall.svc" in config.server.allowed_hosts
