"""A registry in a container: the engine's command line, its settings, and the image from scratch."""

import contextlib
import json
import os
import shutil
import tarfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

from seawall.core.errors import InputError
from seawall.core.times import parse_time
from seawall.demo.host import call, need
from seawall.demo.registry import Notify, RegistryStand, container_name, run_root


class ContainerStand(RegistryStand):
    """A container made from the machine's own docker-registry; `runtime` is podman or docker, and
    `runtime_env` is what its command line needs to find `container`."""

    kind = "container"
    runtime: str

    def __init__(self, folder: Path, notify: Notify | None, why: str) -> None:
        super().__init__(folder, notify, why)
        self.container, self.runtime_env = container_name(folder), self._environment()
        self.image = image_name(self.container)

    def trial(self) -> None:
        """Make the image and really run a container. InputError if that is not possible here."""
        rootfs = self.folder / "engine" / "rootfs.tar"
        rootfs.parent.mkdir(exist_ok=True)
        write_rootfs(rootfs)
        self.engine("import", "--change", 'ENTRYPOINT ["/bin/docker-registry"]', str(rootfs), self.image)
        rootfs.unlink()
        self.engine("run", "--rm", *self._run_options(), self.image, "--version")

    def engine(self, *arguments: str) -> str:
        """The output of one command of the runtime. InputError if it fails."""
        return call([self.runtime, *arguments], self.runtime_env)

    def running(self) -> bool:
        """True while the engine says that the container runs."""
        with contextlib.suppress(InputError):
            return bool(self._inspect()["State"]["Running"])
        return False

    def started_at(self) -> float:
        """Unix seconds at which the container last started. InputError if there is none."""
        return parse_time(self._inspect()["State"]["StartedAt"])

    def _inspect(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.engine("container", "inspect", self.container))[0]
        return document

    def _launch(self) -> None:
        if self._exists():
            self.engine("start", self.container)
            return
        binds = [f"--mount=type=bind,source={p},target={p}" for p in (self.data, self.config)]
        options = (*self._run_options(), *self._log_options(), *binds)
        self.engine(
            "run", "--detach", "--name", self.container, *options, self.image, "serve", str(self.config)
        )

    def _exists(self) -> bool:
        return bool(self.engine("ps", "--all", "--quiet", "--filter", f"name=^{self.container}$").strip())

    def _kill(self) -> None:
        self.engine("kill", "--signal", "KILL", self.container)

    def _remove(self) -> None:
        remove_container(self.runtime, self.runtime_env, self.container, self.image)

    @abstractmethod
    def _environment(self) -> dict[str, str]: ...

    def _run_options(self) -> tuple[str, ...]:
        return ("--network", "host")

    @abstractmethod
    def _log_options(self) -> tuple[str, ...]: ...


class PodmanStand(ContainerStand):
    """podman with runc (crun where there is no runc); images, locks and settings stay in the folder."""

    runtime = "podman"

    def __init__(self, folder: Path, notify: Notify | None, why: str) -> None:
        write_podman_settings(folder)
        super().__init__(folder, notify, why)

    def _environment(self) -> dict[str, str]:
        return podman_environment(self.folder)

    def _log_options(self) -> tuple[str, ...]:
        return ("--log-driver", "k8s-file", "--log-opt", f"path={self.log_file}")


class DockerStand(ContainerStand):
    """A Docker engine on this machine, with its json-file log."""

    runtime = "docker"

    @property
    def log_file(self) -> Path:
        """The engine's json-file log; known once the container exists."""
        return Path(self._inspect()["LogPath"])

    def _environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if k.startswith("DOCKER_")}

    def _run_options(self) -> tuple[str, ...]:
        return (*super()._run_options(), "--user", f"{os.getuid()}:{os.getgid()}")

    def _log_options(self) -> tuple[str, ...]:
        return ("--log-driver", "json-file")


def docker_answers() -> None:
    """InputError unless a Docker engine answers and its logs can be read here by this user."""
    answer = call(["docker", "info", "--format", "{{.ServerVersion}} {{.DockerRootDir}}"], {}, timeout=5.0)
    root = Path(answer.strip().partition(" ")[2])
    if not os.access(root, os.R_OK | os.X_OK):
        raise InputError("docker", f"its logs under {root} are not readable by this user", "run as root")


def podman_is_there() -> None:
    """InputError unless podman and an OCI runtime are installed."""
    need("podman")
    need(oci_runtime())


def oci_runtime() -> str:
    """runc, which also starts where crun may not raise limits; crun only where there is no runc."""
    return "crun" if shutil.which("crun") and not shutil.which("runc") else "runc"


def image_name(container: str) -> str:
    """The image's name; one image a stand, so that two stands never remove each other's."""
    return f"localhost/{container}:latest"


def podman_environment(folder: Path) -> dict[str, str]:
    """The environment that names podman's settings under `folder`."""
    engine = folder / "engine"
    return {
        "CONTAINERS_STORAGE_CONF": str(engine / "storage.conf"),
        "CONTAINERS_CONF": str(engine / "containers.conf"),
    }


def write_podman_settings(folder: Path) -> None:
    """Storage, locks and state of our own: on the shared ones a new storage would free the locks of other
    containers on this machine."""
    engine, run = folder / "engine", run_root(folder)
    engine.mkdir(parents=True)
    run.mkdir(mode=0o700)
    (engine / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{run}"\ngraphroot = "{engine}/graph"\n'
    )
    (engine / "containers.conf").write_text(
        '[containers]\nnetns = "host"\ncgroups = "enabled"\nlog_driver = "k8s-file"\n'
        'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
        f'[engine]\nruntime = "{oci_runtime()}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'lock_type = "file"\ntmp_dir = "{engine}/state"\n'
    )


def write_rootfs(path: Path) -> None:
    """A tar archive of docker-registry, its libraries and a shell: the whole image."""
    registry = need("docker-registry")
    libraries = [word for word in call([need("ldd"), registry], {}).split() if word.startswith("/")]
    with tarfile.open(path, "w", dereference=True) as archive:
        archive.add(registry, "bin/docker-registry")
        archive.add(need("busybox"), "bin/sh")
        for library in libraries:
            archive.add(library, library)


def remove_container(runtime: str, environment: dict[str, str], container: str, image: str) -> None:
    """Kill and remove the container and its image; what is not there is fine."""
    # rm --force alone would send SIGTERM and wait, so the container is killed before.
    steps = (("kill", "--signal", "KILL", container), ("rm", "--force", container), ("rmi", "--force", image))
    for step in steps:
        with contextlib.suppress(InputError):
            call([runtime, *step], environment)
