"""What the stand asks of this machine: programs, free ports, waiting, and sweeping up after itself."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from seawall.core.errors import InputError

PACKAGES = {
    "docker-registry": "docker-registry",
    "busybox": "busybox-static",
    "podman": "podman",
    "runc": "runc",
    "start-stop-daemon": "dpkg",
    "ldd": "libc-bin",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    **dict.fromkeys(("postgres", "initdb", "createdb", "psql"), "postgresql"),
}
SYSTEM_PATH = "/usr/sbin:/sbin"
REGISTRY = "docker-registry"
_PROGRAMS = frozenset({REGISTRY, "conmon", "podman", "runc"})
_FIRST_PORT = 15000


def find(program: str) -> str | None:
    """The program's path, None if it is missing."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)


def need(program: str) -> str:
    """The program's path. InputError with the package to install if it is missing."""
    path = find(program)
    if path is None:
        raise InputError(program, "it is not installed", install(program))
    return path


def install(*programs: str) -> str:
    """The command that installs the Debian packages of these programs."""
    names = " ".join(PACKAGES[p] for p in programs)
    return f"run `apt-get install -y --no-install-recommends {names}` as root"


def call(command: list[str], environment: Mapping[str, str], timeout: float = 60.0) -> str:
    """Standard output of a command with `environment` on top of ours. InputError if it fails.

    It gets a session of its own, so that Ctrl-C reaches us and not a half-done change of the engine.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise InputError(command[0], "it is not installed", "install it") from None
    except subprocess.TimeoutExpired:
        raise InputError(
            " ".join(command[:2]), f"no answer within {timeout:.0f} s", "see what blocks it"
        ) from None
    except subprocess.CalledProcessError as error:
        finding = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        raise InputError(" ".join(command[:2]), finding, "run it by hand to see more") from None
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Free TCP ports of 127.0.0.1 below the ephemeral range.

    Inside it, a client that retries a dead server can be given the server's own port by the kernel,
    connect to itself, and keep the server from starting again.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(_FIRST_PORT, ephemeral) if ephemeral > _FIRST_PORT + 1000 else range(ephemeral, 61000)
    order = random.SystemRandom().sample(candidates, len(candidates))
    found = [port for port in order[:1000] if _free(port)][:count]
    if len(found) < count:
        raise InputError("127.0.0.1", "no free port was found", "end what listens there")
    return found


def _free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def until(holds: Callable[[], bool], timeout: float) -> bool:
    """Ask until it holds (True) or `timeout` seconds are over (False)."""
    deadline = time.perf_counter() + timeout
    while not holds():
        if time.perf_counter() > deadline:
            return False
        time.sleep(0.05)
    return True


def processes_of(paths: Sequence[Path]) -> Iterator[psutil.Process]:
    """Live registry and engine processes that name one of `paths`, or something in it, as an argument."""
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        told = process.info
        named = any(_inside(word, paths) for word in told["cmdline"] or ())
        if named and told["name"] in _PROGRAMS and told["status"] != psutil.STATUS_ZOMBIE:
            yield process


def mounts_of(paths: Sequence[Path]) -> list[str]:
    """Mount points in `paths`, innermost first."""
    points = [partition.mountpoint for partition in psutil.disk_partitions(all=True)]
    return [point for point in reversed(points) if _inside(point, paths)]


def _inside(name: str, paths: Sequence[Path]) -> bool:
    return any(name == str(path) or name.startswith(f"{path}/") for path in paths)


def sweep(paths: Sequence[Path]) -> None:
    """End the processes of these files and folders, undo mounts in them, and delete them."""
    _end(process for process in processes_of(paths) if process.name() == REGISTRY)
    # conmon ends its container's clean-up on its own; killed in the middle it would leave mounts.
    until(lambda: not any(processes_of(paths)), 5.0)
    _end(processes_of(paths))
    for mount in mounts_of(paths):
        call([need("umount"), "--lazy", mount], {})
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _end(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
