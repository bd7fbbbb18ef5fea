"""A real Distribution registry on loopback that the demo and the tests may kill.

    open_stand      picks docker, else podman with runc, else a plain process, and says why
    ContainerStand  PodmanStand (own storage and settings under the folder) and DockerStand
    ProcessStand    docker-registry under Debian's start-stop-daemon

Everything lies in one folder; a stand that crashed there is cleaned away by the next one.
"""

import contextlib
from pathlib import Path
from typing import Literal

import psutil

from seawall.core.errors import InputError, SeawallError
from seawall.demo.containers import (
    ContainerStand,
    DockerStand,
    PodmanStand,
    docker_answers,
    image_name,
    podman_environment,
    podman_is_there,
    remove_container,
)
from seawall.demo.host import call, install, need
from seawall.demo.registry import Notify, RegistryStand, container_name, remove_all

__all__ = ["ContainerStand", "Notify", "Prefer", "ProcessStand", "RegistryStand", "open_stand"]
Prefer = Literal["auto", "container", "process"]


class ProcessStand(RegistryStand):
    """A plain process. `serve` is its command line; `command` starts it in the background, writes
    `pidfile` and does nothing if it runs already."""

    kind = "process"

    def __init__(self, folder: Path, notify: Notify | None, why: str) -> None:
        program = need("docker-registry")
        super().__init__(folder, notify, why)
        self.pidfile = folder / "registry.pid"
        self.serve: list[str] = [program, "serve", str(self.config)]
        self.command: list[str] = [
            *(need("start-stop-daemon"), "--start", "--oknodo", "--background", "--make-pidfile"),
            *("--pidfile", str(self.pidfile), "--output", str(self.log_file)),
            *("--exec", self.serve[0], "--", *self.serve[1:]),
        ]

    def running(self) -> bool:
        """True while the process of the pidfile is this registry, and no zombie."""
        return self._process() is not None

    def started_at(self) -> float:
        """Unix seconds at which the pidfile was written. SeawallError if it does not run.

        psutil's create_time is up to a second early: the kernel tells the boot time in whole seconds.
        """
        if not self.running():
            raise SeawallError(f"{self.url}: the registry does not run")
        return self.pidfile.stat().st_mtime

    def _process(self) -> psutil.Process | None:
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self.pidfile.read_text()))
            if process.status() != psutil.STATUS_ZOMBIE and str(self.config) in process.cmdline():
                return process
        return None

    def _launch(self) -> None:
        call(self.command, {})

    def _kill(self) -> None:
        if (process := self._process()) is not None:
            process.kill()

    def _remove(self) -> None:
        self._kill()


def open_stand(folder: Path, prefer: Prefer = "auto", notify: Notify | None = None) -> RegistryStand:
    """A stand that is not started yet (`with` starts it). `notify` is (url, Authorization value).

    InputError with the remedy if nothing fits, or no container can run and `prefer` is container.
    """
    folder = folder.resolve()
    clear(folder)
    if prefer == "process":
        return ProcessStand(folder, notify, "a plain process was asked for")
    reasons: list[str] = []
    for make, applies in ((DockerStand, docker_answers), (PodmanStand, podman_is_there)):
        try:
            applies()
            return _tried(make(folder, notify, "; ".join([*reasons, f"{make.runtime} runs containers here"])))
        except InputError as error:
            reasons.append(f"not {make.runtime}: {error.finding}")
    if prefer == "container":
        raise InputError("container", "none can be run: " + "; ".join(reasons), install("podman", "runc"))
    return ProcessStand(folder, notify, "; ".join([*reasons, "so a plain process"]))


def _tried(stand: ContainerStand) -> ContainerStand:
    try:
        stand.trial()
    except BaseException:
        stand.close()
        raise
    return stand


def clear(folder: Path) -> None:
    """Remove what a crashed stand left in `folder`."""
    name = container_name(folder)
    if (folder / "engine" / "storage.conf").exists():
        remove_container("podman", podman_environment(folder), name, image_name(name))
    if folder.exists():
        remove_container("docker", {}, name, image_name(name))
    remove_all(folder)
