"""What every stand is, whatever keeps its registry, and the registry's settings."""

import contextlib
import hashlib
import secrets
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from seawall.core.errors import InputError, SeawallError
from seawall.demo.host import free_ports, sweep, until

Notify = tuple[str, str]
READY_SECONDS = 20.0
_NAMES = ("data", "engine", "registry.yml", "registry.log", "registry.pid")


class RegistryStand(ABC):
    """One registry: `url`, `metrics_url`, `data` (storage on this host), `why` this kind was picked.

    `start` also starts it again after `kill`; `close` removes every trace and may be called twice.
    """

    kind: str

    def __init__(self, folder: Path, notify: Notify | None, why: str) -> None:
        self.folder, self.why = folder, why
        self.data, self.config = folder / "data", folder / "registry.yml"
        port, debug_port = free_ports(2)
        self.url, self.metrics_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{debug_port}/metrics"
        self.data.mkdir(parents=True, exist_ok=True)
        self.config.touch(mode=0o600)
        self.config.write_text(yaml.safe_dump(registry_config(self.data, port, debug_port, notify)))

    @property
    def log_file(self) -> Path:
        """The registry's log (access log and application log) as a file on this host."""
        return self.folder / "registry.log"

    def start(self) -> None:
        """Start it, or start it again; returns once it answers. InputError says why it does not."""
        self._launch()
        if not until(self._answers, READY_SECONDS):
            raise InputError(
                self.url,
                f"the registry does not answer within {READY_SECONDS:.0f} s",
                f"read {self.log_file}",
            )

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        self._kill()
        if not until(lambda: not self.running(), 10.0):
            raise SeawallError(f"{self.url}: the registry still runs 10 s after SIGKILL")

    def close(self) -> None:
        """Remove the registry, its data and whatever kept it; nothing of it is left on the machine."""
        self._remove()
        remove_all(self.folder)

    @abstractmethod
    def running(self) -> bool:
        """True while the registry's process lives."""

    @abstractmethod
    def started_at(self) -> float:
        """Unix seconds at which the present container or process started."""

    @abstractmethod
    def _launch(self) -> None: ...

    @abstractmethod
    def _kill(self) -> None: ...

    @abstractmethod
    def _remove(self) -> None: ...

    def _answers(self) -> bool:
        try:
            return all(httpx.get(u, timeout=2.0).is_success for u in (f"{self.url}/v2/", self.metrics_url))
        except httpx.HTTPError:
            return False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def container_name(folder: Path) -> str:
    """The same name for the same folder, so that a later stand finds what a crashed one left."""
    return f"seawall-demo-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def run_root(folder: Path) -> Path:
    """Podman's volatile state. In a folder with a name of over 50 characters podman 4 takes 20 s to notice
    that a container has ended, so it is not in the stand's own folder."""
    return Path(tempfile.gettempdir()) / container_name(folder)


def owned(folder: Path) -> list[Path]:
    """Everything that a stand in `folder` keeps on the disk."""
    return [*(folder / name for name in _NAMES), run_root(folder)]


def remove_all(folder: Path) -> None:
    """Sweep away what a stand in `folder` left, and the folder itself if nothing else is in it."""
    sweep(owned(folder))
    with contextlib.suppress(OSError):
        folder.rmdir()


def registry_config(data: Path, port: int, debug_port: int, notify: Notify | None) -> dict[str, Any]:
    """Distribution 2.8: both kinds of log lines, deletion, Prometheus; only manifest events are notified."""
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {
            "addr": f"127.0.0.1:{port}",
            "secret": secrets.token_hex(16),
            "debug": {"addr": f"127.0.0.1:{debug_port}", "prometheus": {"enabled": True, "path": "/metrics"}},
        },
    }
    if notify is not None:
        config["notifications"] = {"endpoints": [_endpoint(*notify)]}
    return config


def _endpoint(url: str, authorization: str) -> dict[str, Any]:
    """The images are pushed some seconds before Seawall listens: one line of error then, not one a second."""
    return {
        "name": "seawall",
        "url": url,
        "headers": {"Authorization": [authorization]},
        "timeout": "2s",
        "threshold": 1,
        "backoff": "10s",
        "ignore": {"mediatypes": ["application/octet-stream"]},
    }
