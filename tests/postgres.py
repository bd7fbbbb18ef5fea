"""A real PostgreSQL on a free port of loopback, in a folder of its own, run by an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from tests.serving import free_port, until


def program(name: str) -> str | None:
    """From the path, else where Debian keeps it."""
    places = [str(it) for it in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name) or shutil.which(name, path=":".join(places))


WITH_POSTGRES = pytest.mark.skipif(program("postgres") is None, reason="no postgresql (Debian package)")


PLAIN = ["--no-sync", "--encoding=UTF8", "--locale=C"]


class Postgres:
    """`kill` is SIGKILL of the server's first process (the others follow), `stop` its fast shutdown."""

    def __init__(self) -> None:
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="seawall-pg-")), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # postgres refuses to be root
        self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        made = subprocess.run(
            [str(program("initdb")), "-D", str(self.folder / "data"), "-U", "seawall", "-A", "trust", *PLAIN],
            capture_output=True,
            text=True,
            cwd=self.folder,
            **self._as,
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> "Postgres":
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(program("postgres")), "-D", str(self.folder / "data"), *where],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as,
            )
        until(self._answers, 30, f"PostgreSQL ({self.folder / 'log'})")
        return self

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def dsn(self, database: str) -> str:
        return f"postgresql://seawall@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """The URL of a new database."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    def stop(self, signal: int = 2) -> None:  # SIGINT: fast
        if self.process is not None:
            self.process.send_signal(signal)
            self.process.wait(30)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
