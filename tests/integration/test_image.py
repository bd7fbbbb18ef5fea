"""The container image: built from the Containerfile, run as its users run it, without any right."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from remediation.catalogue import SHIPPED
from tests import images
from tests.integration.test_container_state import Podman
from tests.serving import until

NEEDED = ("podman", "runc", "mmdebstrap", "systemd-analyze")
MISSING = [program for program in NEEDED if not shutil.which(program)]
SOAK = bool(os.environ.get("SEAWALL_SOAK"))
pytestmark = [
    pytest.mark.integration,
    pytest.mark.soak,
    pytest.mark.timeout(3000 if SOAK else 600),
    pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason=f"needs root and {', '.join(NEEDED)}"),
]
IMAGE, NAME, STATE = "localhost/seawall-test:1", "seawall-test-image", "/var/lib/seawall/state"
# As deploy/kubernetes has it: no capability, nothing writable but /tmp and the volume; and no network at all.
LOCKED = ("--network=none", "--read-only", "--tmpfs=/tmp:rw,mode=1777", "--cap-drop=all")
SEALED = "--security-opt=no-new-privileges"
HEALTHY = "/opt/seawall/libexec/healthy.py"
CONFIG = {
    "registries": [
        {
            "name": "main",
            "url": "http://127.0.0.1:5000",
            "process": {"pidfile": "/tmp/registry.pid", "command": ["sleep", "1000"]},
        }
    ],
    "probe": {"interval": "1s", "timeout": "900ms"},
}


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="swi-", ignore_cleanup_errors=True) as name:
        podman = images.engine(Path(name))
        yield podman
        podman("rm", "--all", "--force", "--time", "0")
        podman("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def running(podman: Podman) -> Podman:
    """The image with what it ships to run without torch, on a base that has ssh and tini already: the whole
    build, over the network, is the soak's."""
    packages = images.BASE_PACKAGES if SOAK else (*images.BASE_PACKAGES, "openssh-client", "tini")
    images.build(podman, IMAGE, "[train]" if SOAK else "", packages)
    folder = Path(podman.env["CONTAINERS_CONF"]).parent
    config = folder / "seawall.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    config.chmod(0o644)
    mount = f"--volume={config}:/etc/seawall/seawall.yaml:ro"
    sealed = (SEALED, f"--security-opt=seccomp={images.system_service(folder)}")
    podman("run", "--detach", f"--name={NAME}", *LOCKED, *sealed, mount, IMAGE)
    until(lambda: healthy(podman), 60, lambda: f"a healthy container ({logs(podman)})")
    return podman


def healthy(podman: Podman) -> bool:
    """What the image's own HEALTHCHECK says; podman's timers need systemd, so it is asked here."""
    done = subprocess.run(
        ["podman", "healthcheck", "run", NAME], env={**os.environ, **podman.env}, capture_output=True
    )
    return done.returncode == 0


def logs(podman: Podman) -> str:
    done = subprocess.run(
        ["podman", "logs", NAME], env={**os.environ, **podman.env}, capture_output=True, text=True
    )
    return (done.stdout + done.stderr)[-3000:]


def inside(podman: Podman, *command: str) -> str:
    return podman("exec", NAME, *command)


def test_it_is_healthy_and_nobody(running):
    told = json.loads(running("container", "inspect", NAME))[0]
    assert told["State"]["Health"]["Status"] == "healthy"
    assert inside(running, "id", "-u") == "10001" and inside(running, "id", "-g") == "10001"
    status = inside(running, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    assert inside(running, "stat", "-c", "%u %a", f"{STATE}/admin-token") == "10001 600"
    with pytest.raises(subprocess.CalledProcessError, match="touch"):
        inside(running, "touch", "/opt/seawall/x")
    assert inside(running, "seawall", "--version")


def test_the_health_check_tells_a_seawall_that_does_not_answer(running):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        running("exec", "--env=SEAWALL_HEALTH_URL=http://127.0.0.1:1/healthz", NAME, "python3", HEALTHY)
    assert refused.value.returncode == 1 and "Connection refused" in refused.value.stderr


def test_everything_that_it_needs_is_in_it(running):
    names = {it["name"] for it in json.loads(inside(running, "seawall", "playbooks", "--json"))["items"]}
    assert names == {path.name for path in SHIPPED.iterdir() if path.is_dir()}
    inside(running, "sh", "-c", "printf 'timestamp,value\\n1,1\\n2,1\\n' > /tmp/x.csv")
    inside(running, "seawall", "detect", "/tmp/x.csv", "--out", "/tmp/scored", "--quiet")
    assert inside(running, "sh", "-c", "cat /tmp/scored/x.csv").count("\n") == 2
    inside(running, "seawall", "export", "prometheus", "/tmp/rules")
    assert "SeawallRegistryUnavailable" in inside(running, "cat", "/tmp/rules/seawall.rules.yml")
    inside(running, "sh", "-c", "ssh -V 2>&1 | grep -q OpenSSH")
    inside(running, "/opt/seawall/bin/pip", "check")
    has_torch = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"
    inside(running, "python3", "-c", has_torch if SOAK else has_torch.replace(" is ", " is not "))


def test_a_repair_is_previewed_in_it(running):
    """Ansible works: it has its modules, a folder to write and nothing that needs another right."""

    def waiting() -> list[dict]:
        items = json.loads(inside(running, "seawall", "actions", "--state", STATE, "--json"))["items"]
        return [it for it in items if it["state"] == "awaiting_approval"]

    found = until(
        waiting, 90, lambda: f"a preview ({inside(running, 'seawall', 'actions', '--state', STATE)})"
    )
    assert found[0]["playbook"] == "restart-registry-process"
    detail = json.loads(inside(running, "seawall", "actions", found[0]["id"], "--state", STATE, "--json"))
    assert detail["preview"]["diff"] and detail["preview"]["digest"]


def test_sigterm_ends_it_in_order_and_its_state_stays(running):
    token = inside(running, "cat", f"{STATE}/admin-token")
    running("stop", "--time", "60", NAME)
    assert running.state(NAME)["ExitCode"] == 0
    assert "Application shutdown complete" in logs(running)
    running("start", NAME)
    until(lambda: healthy(running), 60, lambda: f"a healthy container again ({logs(running)})")
    assert inside(running, "cat", f"{STATE}/admin-token") == token
