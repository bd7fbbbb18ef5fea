"""The image, built from the repository's Containerfile on a Debian root of our own and run with podman."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.test_container_state import Podman

ROOT = Path(__file__).parents[1]
BASE = "localhost/seawall-test-base:1"
BASE_PYTHON = "3.11"
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates")
LEAN = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def engine(folder: Path) -> Podman:
    """podman under `folder`, on overlay where the kernel has it there: vfs copies the root at each step."""
    podman = Podman(folder)
    storage = Path(podman.env["CONTAINERS_STORAGE_CONF"])
    with tempfile.TemporaryDirectory(dir=folder) as name:
        trial = storage.read_text().replace(f'"{folder}/', f'"{name}/').replace('"vfs"', '"overlay"')
        (Path(name) / "storage.conf").write_text(trial)
        settings = {"CONTAINERS_STORAGE_CONF": f"{name}/storage.conf", "CONTAINERS_CONF": os.devnull}
        told = subprocess.run(["podman", "info"], env={**os.environ, **settings}, capture_output=True)
    if told.returncode == 0:
        storage.write_text(storage.read_text().replace('"vfs"', '"overlay"'))
    return podman


def debian_root(tar: Path, packages: tuple[str, ...]) -> None:
    """A minimal Debian 12 with Python, as python:3.11-slim-bookworm has it for users."""
    lean = [f"--dpkgopt=path-exclude={path}" for path in LEAN]
    told = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", *lean]
    called([*told, "bookworm", str(tar)], 300)


def wheelhouse(folder: Path, extras: str) -> None:
    """What the image needs, fetched as this machine's pip does but for the base's Python; so that the build
    itself asks no index."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip"]
    hatchling = (ROOT / "pyproject.toml").read_text().split('requires = ["', 1)[1].split('"', 1)[0]
    called([*pip, "wheel", *quiet, "--no-deps", "-w", str(folder), "."], 300)
    (own,) = folder.glob("seawall-*.whl")
    fetch = ["download", *quiet, "--only-binary=:all:", f"--python-version={BASE_PYTHON}", "-d", str(folder)]
    called([*pip, *fetch, "-c", "requirements.lock", f"{own}{extras}", hatchling], 600)


def build(podman: Podman, name: str, extras: str = "", packages: tuple[str, ...] = BASE_PACKAGES) -> None:
    """Build `name` from the Containerfile; `extras` is its build argument, `packages` are in its base."""
    folder = Path(podman.env["CONTAINERS_CONF"]).parent
    wheels, tar = folder / "wheels", folder / "base.tar"
    with ThreadPoolExecutor() as pool:
        for done in [
            pool.submit(debian_root, tar, packages),
            pool.submit(wheelhouse, wheels, extras),
        ]:
            done.result()
    podman("import", str(tar), BASE)
    tar.unlink()
    arguments = (f"BASE={BASE}", f"EXTRAS={extras}", "PIP_ARGS=--no-index --find-links /wheels")
    told = [f"--build-arg={one}" for one in arguments]
    told += ["--format=docker", "--layers=false", f"--volume={wheels}:/wheels:ro", f"--tag={name}"]
    podman("build", *told, f"--file={ROOT / 'Containerfile'}", str(ROOT))


def called(command: list[str], seconds: float) -> None:
    """Run it in the repository; AssertionError with what it said if it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"


def system_service(folder: Path) -> Path:
    """A seccomp profile with the calls of systemd's @system-service, which deploy/systemd allows: without a
    running systemd, podman keeps them."""
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": sorted(_calls("@system-service")), "action": "SCMP_ACT_ALLOW"}],
    }
    path = folder / "seccomp.json"
    path.write_text(json.dumps(profile))
    return path


def _calls(group: str) -> set[str]:
    told = ["systemd-analyze", "syscall-filter", "--no-pager", group]
    lines = subprocess.run(told, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    names = {line.strip() for line in lines if line.strip() and not line.strip().startswith("#")}
    inner = {call for name in names if name.startswith("@") for call in _calls(name)}
    return {name for name in names if not name.startswith("@")} | inner
