"""What is left of a run: its outcome and its log, and one compressed file with all that it was made of.

A packed folder keeps lock, job.json and outcome.json, so that it can never be run again and is still
found; inputs, temporary files, facts and Ansible's own artifacts are gone.
"""

import gzip
import os
import shutil
import tarfile
from pathlib import Path

KEPT = ("lock", "job.json", "outcome.json", "events.jsonl.gz", "artifacts.tar.gz")
PACKED = ("project", "library", "inventory", "worker.log")


def pack(folder: Path) -> None:
    """Compress a run's folder that nothing will be started from again. May be repeated after a kill at
    any moment. OSError if the disk refuses."""
    if not folder.is_dir() or not (folder / "job.json").exists():
        return
    if not (folder / "artifacts.tar.gz").exists():
        with _new(folder / "artifacts.tar.gz") as path, tarfile.open(path, "w:gz") as archive:
            for name in PACKED:
                if (folder / name).exists():
                    archive.add(folder / name, arcname=name)
    log = folder / "events.jsonl"
    if log.exists() and not (folder / "events.jsonl.gz").exists():
        with _new(folder / "events.jsonl.gz") as path, gzip.open(path, "wb") as file:
            file.write(log.read_bytes())
    for it in folder.iterdir():
        if it.name not in KEPT:
            shutil.rmtree(it) if it.is_dir() and not it.is_symlink() else it.unlink(missing_ok=True)


class _new:
    """A 0600 file that appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")

    def __enter__(self) -> Path:
        self._part.unlink(missing_ok=True)
        os.close(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return self._part

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._part.rename(self._path)


def is_packed(folder: Path) -> bool:
    """True once nothing but what is kept is left."""
    return (folder / "artifacts.tar.gz").exists() and all(it.name in KEPT for it in folder.iterdir())
