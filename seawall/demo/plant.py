"""What the demo starts: the registry, Seawall on it as a user would start it, and clients that pull."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from seawall.client import Client
from seawall.core.errors import SeawallError
from seawall.demo import images
from seawall.demo.host import free_ports, until
from seawall.demo.servers import Servers, check_programs, open_servers
from seawall.demo.stand import ContainerStand, Prefer, ProcessStand, RegistryStand, open_stand

REGISTRY = "harbour"
PROBE_INTERVAL = 5.0
PREFERRED_PORT = 8700
TRAFFIC_SECONDS = 900.0
FEWER_PULLS = 2.0  # a second: the emulator's searches take seconds from 15,000 events on
Say = Callable[[str], None]


class Plant:
    """Everything lies in one temporary folder; `close` leaves nothing behind and may be called twice."""

    def __init__(self, prefer: Prefer, auto: bool, scaled: bool = False) -> None:
        if scaled:
            check_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="seawall-demo-"))
        self.state = self.folder / "state"
        self.port = _port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._prefer, self._auto, self._scaled = prefer, auto, scaled
        self.servers: Servers | None = None
        self.stand: RegistryStand | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    def open(self, say: Say, progress: images.Progress) -> RegistryStand:
        """Stores at scale if wanted, registry, images, Seawall, traffic, in this order; each step is said."""
        token = secrets.token_urlsafe(24)
        self._secret("distribution-token", token)
        notify = f"{self.url}/api/v1/webhooks/distribution", f"Bearer {token}"
        if self._scaled:
            say("starting the stores at scale")
            address = self.url.removeprefix("http://")
            self.servers = open_servers(self.folder / "servers", address, self._start, say)
        say("starting a Distribution registry")
        stand = self.stand = open_stand(self.folder / "registry", self._prefer, notify)
        stand.start()
        say(f"registry at {stand.url} in a {_what(stand)} ({stand.why})")
        pushed = images.push_all(stand.url, progress)
        images.save(pushed[1:], self.folder / "images.json")  # the first is the probe's own
        total = sum(image.size for image in pushed) / 2**20
        say(f"pushed {len(pushed)} multi-layer images, {total:.0f} MiB for one platform")
        self._configure(stand)
        self._seawall()
        say(f"Seawall at {self.url}/ — log in with the token in {self.state / 'admin-token'}")
        self._traffic(stand)
        return stand

    def client(self) -> Client:
        """Through the socket, as the user who runs the demo."""
        return Client(None, self.state)

    def second_person(self) -> Client:
        """Through the API, as another person with a token of their own."""
        made = self.client().post("/tokens", {"name": "second-person", "role": "approver", "valid_for": "1h"})
        return Client(self.url, self.state, {"SEAWALL_TOKEN": made["token"]})

    def traffic(self) -> dict[str, Any]:
        """The generator's newest report."""
        path = self.folder / "traffic.json"
        report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return report

    def _configure(self, stand: RegistryStand) -> None:
        registry: dict[str, Any] = {
            "name": REGISTRY,
            "kind": "distribution",
            "url": stand.url,
            "metrics_url": stand.metrics_url,
            "logs": [str(stand.log_file)],
        }
        if isinstance(stand, ContainerStand):
            registry |= {
                "container": stand.container,
                "runtime": stand.runtime,
                "runtime_env": stand.runtime_env,
            }
        elif isinstance(stand, ProcessStand):
            registry["process"] = {
                "pidfile": str(stand.pidfile),
                "command": stand.serve,
                "log": str(stand.log_file),
            }
        rules = [{"playbook": "restart-registry*", "mode": "auto"}] if self._auto else []
        self._yaml("policy.yaml", {"default": "ask", "rules": rules})
        self._yaml(
            "seawall.yaml",
            {
                "registries": [registry],
                "storage": [{"registry": REGISTRY, "path": str(stand.data)}],
                "probe": {"interval": f"{PROBE_INTERVAL:g}s", "timeout": "4s", "image": "seawall/probe:1"},
                "policy": "policy.yaml",
                "webhooks": {"distribution": {"token_file": "distribution-token"}},
                **(self.servers.settings if self.servers else {}),
            },
        )

    def _seawall(self) -> None:
        log = self.folder / "seawall.log"
        command = [sys.executable, "-m", "seawall", "up", "--config", str(self.folder / "seawall.yaml")]
        command += ["--port", str(self.port), "--state", str(self.state)]
        process = self._start(command, log)
        up = until(lambda: process.poll() is not None or self._healthy(), 40.0)
        if not up or process.poll() is not None:
            raise SeawallError(f"Seawall did not start; its log ends:\n{log.read_text()[-2000:]}")

    def _healthy(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", timeout=2.0).is_success
        return False

    def _traffic(self, stand: RegistryStand) -> None:
        command = [sys.executable, "-m", "seawall.demo.traffic", "--url", stand.url]
        command += [
            "--images",
            str(self.folder / "images.json"),
            "--report",
            str(self.folder / "traffic.json"),
        ]
        command += ["--seconds", str(TRAFFIC_SECONDS)]
        command += ["--pulls-per-second", str(FEWER_PULLS)] if self._scaled else []
        self._start(command, self.folder / "traffic.log")

    def _start(self, command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C comes to the demo alone, which then stops everything in order.
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **options
            )
        self._processes.append(process)
        return process

    def _secret(self, name: str, text: str) -> None:
        with os.fdopen(os.open(self.folder / name, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)

    def _yaml(self, name: str, data: dict[str, Any]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(data, sort_keys=False))

    def close(self) -> None:
        """Clients first, then Seawall, then its stores, then the registry, then the folder."""
        while self._processes:
            process = self._processes.pop()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.stand is not None:
            self.stand.close()
            self.stand = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _what(stand: RegistryStand) -> str:
    return f"{stand.runtime} container" if isinstance(stand, ContainerStand) else "plain process"


def _port() -> int:
    import socket

    with socket.socket() as probe:
        return PREFERRED_PORT if probe.connect_ex(("127.0.0.1", PREFERRED_PORT)) else free_ports(1)[0]
