"""Seawall beside ansible-rulebook on this machine: the same webhooks, the same one-task playbook.

`python -m benchmarks.rulebook` makes a virtual environment of its own for ansible-rulebook (it needs Java 17)
below --venv, starts each of the two, and prints a line a figure. It is not part of `make bench`, since it
fetches packages. What differs by design is said in docs/benchmarks.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import yaml

from tests.e2e.test_up import TOKEN, alert
from tests.serving import Up, free_port, until

PACKAGES = ("ansible-rulebook==1.3.2", "ansible-runner==2.4.3", "ansible-core==2.19.14")
IDENTICAL, ACKNOWLEDGED, CLIENTS, SECONDS = 5, 300, 8, 10.0
LINE = {"path": "{{ marks }}", "create": True, "mode": "0600", "line": "{{ now(fmt='%s.%f') }}"}
Post = Callable[[httpx.Client, int], httpx.Response]


@dataclass(frozen=True)
class Measured:
    """`first` is seconds from the first of the identical webhooks to the first effect, `p99` of one answer
    in seconds, `rate` answers a second over all clients, `rss` bytes of the process tree at rest."""

    name: str
    runs: int
    first: float
    p99: float
    rate: float
    rss: int

    def __str__(self) -> str:
        figures = (
            f"runs of {IDENTICAL} identical webhooks {self.runs}",
            f"first effect {self.first:.2f} s",
            f"answer p99 {self.p99 * 1000:.1f} ms",
            f"{self.rate:.0f} events/s",
            f"RSS {self.rss / (1 << 20):.0f} MiB",
        )
        return f"{self.name:<18} {'; '.join(figures)}"


def playbook(folder: Path, marks: Path, hosts: str) -> Path:
    """One task that leaves a line; the same text for both."""
    play = {
        "name": "Mark",
        "hosts": hosts,
        "gather_facts": False,
        "vars": {"marks": str(marks)},
        "tasks": [{"name": "Mark", "ansible.builtin.lineinfile": LINE}],
    }
    path = folder / "playbook.yml"
    path.write_text(yaml.safe_dump([play], width=1000))
    return path


def measure(name: str, root: int, post: Post, note: Post, marks: Path, settle: float) -> Measured:
    """`post` sends the webhook that runs the playbook, `note` one that is only taken in."""
    with httpx.Client(timeout=30) as client:
        rss = _rss(root)
        began = time.time()
        for _ in range(IDENTICAL):
            post(client, 0).raise_for_status()
        until(lambda: marks.exists() and marks.read_text().strip(), 60, "the first effect")
        first = float(marks.read_text().split()[0]) - began
        _quiet(marks, settle)
        took = sorted(_timed(client, note, number) for number in range(ACKNOWLEDGED))
    rate = _rate(note)
    runs = len(marks.read_text().splitlines())
    return Measured(name, runs, first, took[int(len(took) * 0.99)], rate, rss)


def _quiet(marks: Path, seconds: float) -> None:
    """Until no further run has left a line for that long."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        if (size := marks.stat().st_size) != last:
            last, since = size, time.monotonic()
        time.sleep(0.2)


def _timed(client: httpx.Client, post: Post, number: int) -> float:
    began = time.perf_counter()
    post(client, number).raise_for_status()
    return time.perf_counter() - began


def _rate(post: Post) -> float:
    counts, end = [0] * CLIENTS, time.monotonic() + SECONDS

    def send(who: int) -> None:
        with httpx.Client(timeout=30) as client:
            while time.monotonic() < end:
                if post(client, ACKNOWLEDGED + who + CLIENTS * counts[who]).is_success:
                    counts[who] += 1

    threads = [threading.Thread(target=send, args=(who,)) for who in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def _rss(root: int) -> int:
    process = psutil.Process(root)
    return sum(it.memory_info().rss for it in [process, *process.children(recursive=True)])


# ours ------------------------------------------------------------------------------------------


def ours(folder: Path) -> Measured:
    """Policy auto, no probe in between; webhooks of Alertmanager run it, notifications are taken in."""
    marks, book = folder / "marks", folder / "books" / "mark"
    book.mkdir(parents=True)
    playbook(book, marks, "registry_servers")
    (book / "README.md").write_text("For a benchmark.\n")
    (book / "action.yaml").write_text(yaml.safe_dump(_action()))
    (folder / "policy.yaml").write_text(yaml.safe_dump({"default": "auto"}))
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    hook = {"token_file": str(token)}
    config = {
        "registries": [{"name": "main", "url": "http://127.0.0.1:1"}],
        "probe": {"interval": "1h", "timeout": "1s"},
        "policy": str(folder / "policy.yaml"),
        "playbooks": str(folder / "books"),
        "webhooks": {"alertmanager": hook, "distribution": dict(hook)},
    }
    service = Up(folder, config).start()
    try:
        assert service.process is not None
        # The first round of the probe, within ten seconds of the start, is not what is measured.
        until(lambda: _probed(service), 30, "the first probe")
        return measure(
            "Seawall", service.process.pid, _alerting(service), _notifying(service), marks, settle=8
        )
    finally:
        service.stop()


def _probed(service: Up) -> bool:
    page = httpx.get(f"{service.url}/metrics", timeout=5).text
    return 'seawall_collector_up{collector="probe' in page or "seawall_probe_duration_seconds_count{" in page


def _action() -> dict[str, object]:
    return {
        "name": "mark",
        "playbook": "playbook.yml",
        "title": "Leave a mark",
        "trigger": {"slo": "availability"},
        "targets": "registry_servers",
        "risk": "low",
        "cooldown": "1h",
        "timeout": "1m",
        "verify": {"slo": "availability", "window": "10m"},
        "undo": {"none": "a benchmark"},
    }


def _alerting(service: Up) -> Post:
    body = json.dumps(alert(registry="main")).encode()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{service.url}/api/v1/webhooks/alertmanager"
    return lambda client, _: client.post(url, content=body, headers=headers)


def _notifying(service: Up) -> Post:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{service.url}/api/v1/webhooks/distribution"
    return lambda client, number: client.post(url, json={"events": [_event(number)]}, headers=headers)


def _event(number: int) -> dict[str, object]:
    """A pull, as Distribution tells it."""
    return {
        "id": f"e{number}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "action": "pull",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{number:064x}",
            "repository": "team/app",
            "url": f"http://127.0.0.1/v2/team/app/manifests/sha256:{number:064x}",
            "tag": "1",
        },
        "request": {
            "id": f"q{number}",
            "addr": "127.0.0.1",
            "host": "127.0.0.1",
            "method": "GET",
            "useragent": "x",
        },
        "actor": {},
        "source": {"addr": "127.0.0.1:5000", "instanceID": "i"},
    }


# theirs ----------------------------------------------------------------------------------------


def theirs(folder: Path, venv: Path) -> Measured:
    """One rule runs the playbook, every other event matches nothing; its webhook source is its own."""
    marks, port = folder / "marks", free_port()
    path = playbook(folder, marks, "all")
    rules = [
        {
            "name": "run",
            "condition": "event.payload.run == 1",
            "action": {"run_playbook": {"name": str(path)}},
        }
    ]
    source = {"eda.builtin.webhook": {"host": "127.0.0.1", "port": port}}
    (folder / "rulebook.yml").write_text(
        yaml.safe_dump([{"name": "marks", "hosts": "all", "sources": [source], "rules": rules}])
    )
    (folder / "inventory").write_text(
        "localhost ansible_connection=local ansible_python_interpreter=auto_silent\n"
    )
    with _rulebook(folder, venv, port) as root:
        url = f"http://127.0.0.1:{port}/endpoint"
        return measure(
            "ansible-rulebook",
            root,
            lambda client, _: client.post(url, json={"run": 1}),
            lambda client, number: client.post(url, json={"run": 0, **_event(number)}),
            marks,
            settle=8,
        )


@contextmanager
def _rulebook(folder: Path, venv: Path, port: int) -> Iterator[int]:
    command = [venv / "bin" / "ansible-rulebook", "-r", folder / "rulebook.yml", "-i", folder / "inventory"]
    path = f"{venv / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    env = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8"}
    with (folder / "rulebook.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=env, cwd=folder, start_new_session=True
        )
    try:
        until(lambda: _listens(port), 60, f"ansible-rulebook ({folder / 'rulebook.log'})")
        yield process.pid
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in family:
            one.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=2)
    except httpx.HTTPError:
        return False
    return True


def environment(venv: Path) -> Path:
    """The virtual environment of ansible-rulebook; made where it is missing."""
    if not shutil.which("java"):
        sys.exit("ansible-rulebook needs Java 17: install openjdk-17-jre-headless")
    if not (venv / "bin" / "ansible-rulebook").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
    return venv


@contextmanager
def _folder() -> Iterator[Path]:
    # What runs on for a moment after its server was stopped may still write.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def main(arguments: Sequence[str]) -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rulebook")
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "seawall-rulebook")
    venv = environment(parser.parse_args(arguments).venv)
    with _folder() as first, _folder() as second:
        print(ours(first))
        print(theirs(second, venv))


if __name__ == "__main__":
    main(sys.argv[1:])
