"""The state folder: stores, runs, the admin's token, the socket. One Seawall owns it at a time."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seawall.core.errors import InputError

SOCKET = "seawall.sock"
_LONGEST_SOCKET_PATH = 100


class StateFolder:
    """Made with mode 0700; `acquire` takes its lock for the life of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def acquire(self) -> None:
        """InputError if it cannot be made or another Seawall holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            remedy = "give --state a folder that this user may write"
            raise InputError(str(self.path), f"cannot use it ({error.strerror})", remedy) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            remedy = "stop it, or give --state another folder"
            raise InputError(str(self.path), "another Seawall works in it", remedy) from error

    @contextmanager
    def owned(self) -> Iterator["StateFolder"]:
        """Hold its lock for a while. InputError as `acquire`."""
        self.acquire()
        try:
            yield self
        finally:
            assert self._lock is not None  # noqa: S101 - acquire has set it
            os.close(self._lock)
            self._lock = None

    def write_secret(self, name: str, text: str) -> None:
        """A file for its owner only, durable when this returns."""
        self.write_bytes(name, f"{text}\n".encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replace a file atomically: a crash leaves the old or the new one, never half."""
        temporary = self.path / f".{name}.new"
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    def read_bytes(self, name: str) -> bytes | None:
        """A file's content, None if it is not there."""
        path = self.path / name
        return path.read_bytes() if path.exists() else None

    def listen(self) -> socket.socket:
        """The listening socket for this machine's users; only the folder's owner can reach it."""
        (self.path / SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path, folder = short_path(self.path)
        listener.bind(path)
        (self.path / SOCKET).chmod(0o600)
        if folder is not None:
            os.close(folder)
        return listener


def held(state: Path) -> bool:
    """Does a Seawall work in this folder at the moment?"""
    try:
        lock = os.open(state / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def short_path(state: Path) -> tuple[str, int | None]:
    """The socket's path, through an open folder where it is too long for a socket address (108 bytes)."""
    path = str(state.absolute() / SOCKET)
    if len(path.encode()) <= _LONGEST_SOCKET_PATH:
        return path, None
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    return f"/proc/self/fd/{folder}/{SOCKET}", folder
