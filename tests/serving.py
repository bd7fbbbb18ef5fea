"""A real `seawall up` in a process of its own, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from seawall.demo.host import free_ports

T_START = 40.0


def free_port() -> int:
    """A free TCP port of loopback, which no outgoing connection is given while a server restarts on it."""
    return free_ports(1)[0]


def until(ask: Callable[[], Any], seconds: float = 30.0, what: str | Callable[[], str] = "it") -> Any:
    """Ask until the answer is true; AssertionError after `seconds`, with `what` as it is then."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() >= end:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"{told} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


def kill_process(process: psutil.Process) -> bool:
    """SIGKILL; False if it had ended by itself."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


class Up:
    """`seawall up` with a configuration; `kill` is SIGKILL, `start` starts it again on the same state."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.state = folder, folder / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "seawall.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self.log = folder / "seawall.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, stdin: int = subprocess.DEVNULL) -> "Up":
        command = [sys.executable, "-m", "seawall", "up", "--config", str(self.config)]
        command += ["--port", str(self.port), "--state", str(self.state)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=stdin, stdout=out, stderr=out, start_new_session=True
            )
        until(self._healthy, T_START, f"a healthy Seawall (log: {self.log.read_text()[-2000:]})")
        return self

    def _healthy(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def workers(self) -> list[psutil.Process]:
        """Workers and whatever they started: their environment names their folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.state / "runs") in " ".join([*process.cmdline(), *process.environ().values()]):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_workers(self) -> int:
        """SIGKILL until none is left, also of those that start meanwhile; how many were killed."""
        killed = 0
        while workers := self.workers():
            killed += sum(kill_process(process) for process in workers)
            psutil.wait_procs(workers, 10)
        return killed

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def token(self) -> str:
        return (self.state / "admin-token").read_text().strip()

    def api(self, token: str | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token or self.token()}"}, timeout=20
        )

    def get(self, path: str) -> Any:
        with self.api() as api:
            answer = api.get(f"/api/v1{path}")
        answer.raise_for_status()
        return answer.json()

    def person(self, name: str, role: str) -> str:
        """The token of a new person."""
        with self.api() as api:
            answer = api.post("/api/v1/tokens", json={"name": name, "role": role})
        answer.raise_for_status()
        return str(answer.json()["token"])

    def cli(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "seawall", *arguments, "--state", str(self.state)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def cli_json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments, "--json").stdout)
