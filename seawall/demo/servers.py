"""The servers of `seawall demo --stores scaled`: Prometheus, Alertmanager, PostgreSQL, and an emulator where
Elasticsearch would stand. All on free ports of loopback, in the demo's folder, ended by their pids.

Prometheus takes Seawall's samples by remote write, which keeps each probe's own time, and scrapes /metrics
beside that; Seawall reads back what it wrote.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import yaml

from seawall.config.stores import PrometheusAccess
from seawall.core.errors import InputError, SeawallError
from seawall.demo.host import call, find, free_ports, install, until

PROMETHEUS, ALERTMANAGER = "prometheus", "prometheus-alertmanager"
POSTGRES = ("postgres", "initdb", "createdb", "psql")
EMULATOR = "osmem-server"
SCRAPED_JOB, WRITTEN_JOB = "seawall", PrometheusAccess().series_job
READY_SECONDS = 30.0
DATABASE = USER = "seawall"
SAID = (
    "events: osmem-server, an emulator, stands where Elasticsearch would: this is NOT Elasticsearch. "
    "It keeps events in memory and has no data streams, no ILM, no rollover"
)


class Start(Protocol):
    """Starts a program with its output in a file; who gave it ends it."""

    def __call__(self, command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
        """The process."""
        ...


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers. `settings` is their part of seawall.yaml, `password` that of PostgreSQL's user."""

    prometheus: str
    alertmanager: str
    events: str
    postgres_port: int
    password: str
    settings: Mapping[str, Any]

    def figures(self, incident: str) -> dict[str, Any]:
        """What lies in them, asked of each by its own protocol and not through Seawall; of the incident too.
        SeawallError if one does not answer."""
        chosen = f"'{incident}'"
        return {
            "samples": {
                "server": PROMETHEUS,
                "written": self._samples(WRITTEN_JOB),
                "scraped": self._samples(SCRAPED_JOB),
            },
            "events": {"server": f"{EMULATOR} (an emulator, not Elasticsearch)", "documents": self._events()},
            "records": {
                "server": "postgresql",
                "incidents": self._rows(f"incidents WHERE id = {chosen}"),
                "actions": self._rows(f"actions WHERE incident = {chosen}"),
                "audit": self._rows("audit"),
            },
        }

    def alerts(self) -> list[str]:
        """Names of the alerts on a registry that Alertmanager holds now."""
        found = _json(f"{self.alertmanager}/api/v2/alerts", {})
        return sorted(it["labels"]["alertname"] for it in found if "registry" in it["labels"])

    def _samples(self, job: str) -> int:
        """Probe rounds of the last hour."""
        asked = {"query": f"sum(count_over_time(seawall_probe_success{{job='{job}'}}[1h]))"}
        found = _json(f"{self.prometheus}/api/v1/query", asked)
        return sum(int(float(it["value"][1])) for it in found["data"]["result"])

    def _events(self) -> int:
        _json(f"{self.events}/logs-seawall.*/_refresh", {})
        return int(_json(f"{self.events}/logs-seawall.*/_count", {})["count"])

    def _rows(self, source: str) -> int:
        place = ["-h", "127.0.0.1", "-p", str(self.postgres_port), "-U", USER, "-d", DATABASE]
        query = f"SELECT count(*) FROM {source}"  # noqa: S608 - tables of ours
        return int(
            call([_postgres("psql"), *place, "-XAtc", query], {"PGPASSWORD": self.password}, timeout=20.0)
        )


def _json(url: str, params: Mapping[str, str]) -> Any:
    try:
        answer = httpx.get(url, params=params, timeout=20.0, trust_env=False)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise SeawallError(f"{url}: {error}; see whether it still runs") from error


def check_programs() -> None:
    """InputError that names everything that is missing, and how to install it."""
    missing = [name for name in (PROMETHEUS, ALERTMANAGER) if find(name) is None]
    missing += [name for name in POSTGRES if _find_postgres(name) is None][:1]
    if missing:
        verb = "it is" if len(missing) == 1 else "they are"
        raise InputError(", ".join(missing), f"{verb} not installed", install(*missing))
    if not _emulator().exists():
        raise InputError(EMULATOR, "it is not installed", "run `pip install -e '.[demo]'` beside Seawall")


def open_servers(folder: Path, scraped: str, start: Start, say: Callable[[str], None]) -> Servers:
    """All of them, answering; `scraped` is HOST:PORT of Seawall's /metrics. InputError for what is missing,
    SeawallError for one that does not come up. What was started is in the hands of `start`."""
    check_programs()
    folder.mkdir()
    ports = free_ports(5)
    prometheus = _prometheus(folder / PROMETHEUS, ports[0], scraped, start)
    alertmanager = _alertmanager(folder / ALERTMANAGER, ports[1], start)
    events = _events(folder / EMULATOR, ports[2], ports[3], start)
    password = secrets.token_urlsafe(24)
    _database(folder / "postgresql", ports[4], password, start)
    for name, url in (("samples: Prometheus", prometheus), ("alerts: Alertmanager", alertmanager)):
        say(f"{name} at {url}")
    say(f"records: PostgreSQL at 127.0.0.1:{ports[4]}")
    say(f"{SAID}; {events}")
    secret = folder / "postgres-password"
    with os.fdopen(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(password)
    settings = {
        "stores": {
            "samples": f"prometheus+{prometheus}",
            "events": f"elasticsearch+{events}",
            "records": f"postgresql://{USER}@127.0.0.1:{ports[4]}/{DATABASE}",
            "postgresql": {"password_file": str(secret)},
            "elasticsearch": {"replicas": 0, "namespace": "demo", "timeout": "60s"},
        },
        "alertmanager": {"url": alertmanager, "resend": "10s"},
    }
    return Servers(prometheus, alertmanager, events, ports[4], password, settings)


def _prometheus(folder: Path, port: int, scraped: str, start: Start) -> str:
    folder.mkdir()
    job = {"job_name": SCRAPED_JOB, "static_configs": [{"targets": [scraped]}]}
    config = {
        "global": {"scrape_interval": "5s"},
        "storage": {"tsdb": {"out_of_order_time_window": "1d"}},
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        *(str(find(PROMETHEUS)), f"--config.file={folder / 'prometheus.yml'}"),
        *(f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"),
        "--web.enable-remote-write-receiver",
    ]
    return _served(start, command, folder, f"http://127.0.0.1:{port}", "/-/ready")


def _alertmanager(folder: Path, port: int, start: Start) -> str:
    folder.mkdir()
    config = {"route": {"receiver": "shown"}, "receivers": [{"name": "shown"}]}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    command = [
        *(str(find(ALERTMANAGER)), f"--config.file={folder / 'alertmanager.yml'}"),
        *(f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=",
    ]
    return _served(start, command, folder, f"http://127.0.0.1:{port}", "/-/ready")


def _events(folder: Path, port: int, behind: int, start: Start) -> str:
    """The emulator, and before it what gives it Elasticsearch's dialect (seawall.demo.dialect)."""
    folder.mkdir()
    command = [str(_emulator()), "--addr", f"127.0.0.1:{behind}", "-no-stdin-watch"]
    upstream = _served(start, command, folder, f"http://127.0.0.1:{behind}", "/")
    dialect = [sys.executable, "-m", "seawall.demo.dialect", "--port", str(port), "--upstream", upstream]
    (folder / "dialect").mkdir()
    return _served(start, dialect, folder / "dialect", f"http://127.0.0.1:{port}", "/")


def _database(folder: Path, port: int, password: str, start: Start) -> None:
    """PostgreSQL, which refuses to be root: then it is `nobody`'s."""
    folder.mkdir()
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    run_as: dict[str, Any] = {}
    if user is not None:
        _let_in(folder)
        os.chown(folder, user.pw_uid, user.pw_gid)
        run_as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    secret = folder / "password"
    secret.write_text(password)
    if user is not None:
        os.chown(secret, user.pw_uid, user.pw_gid)
    made = subprocess.run(
        [
            *(_postgres("initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256"),
            *("--pwfile", str(secret), "--no-sync", "--encoding=UTF8", "--locale=C"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        start_new_session=True,
        **run_as,
    )
    if made.returncode:
        raise SeawallError(f"initdb: {made.stderr.strip()[-500:]}; run it by hand to see more")
    secret.unlink()
    # Its unix socket would lie in a folder whose name can be too long for one.
    command = [
        _postgres("postgres"),
        "-D",
        str(folder / "data"),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-k",
        "",
    ]
    process = start(command, folder / "log", cwd=folder, **run_as)

    def created() -> bool:
        place = ["-h", "127.0.0.1", "-p", str(port), "-U", USER]
        with contextlib.suppress(InputError):
            call([_postgres("createdb"), *place, DATABASE], {"PGPASSWORD": password}, timeout=20.0)
            return True
        return False

    _await(process, created, "PostgreSQL", folder / "log")


def _let_in(folder: Path) -> None:
    """`nobody` may pass through the demo's own folders, without reading them. InputError where it cannot."""
    for ours in (folder.parent, folder.parent.parent):
        ours.chmod(0o711)
    closed = next((it for it in folder.parents if not it.stat().st_mode & 0o001), None)
    if closed is not None:
        finding = "nobody may not pass through it, and PostgreSQL refuses to run as root"
        raise InputError(str(closed), finding, "run the demo as another user, or set TMPDIR=/tmp")


def _served(start: Start, command: list[str], folder: Path, url: str, ready: str) -> str:
    process = start(command, folder / "log", cwd=folder)

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(url + ready, timeout=2.0, trust_env=False).is_success
        return False

    _await(process, answers, Path(command[0]).name, folder / "log")
    return url


def _await(process: subprocess.Popen[bytes], holds: Callable[[], bool], name: str, log: Path) -> None:
    up = until(lambda: process.poll() is not None or holds(), READY_SECONDS)
    if not up or process.poll() is not None:
        raise SeawallError(f"{name} did not start; its log ends:\n{log.read_text(errors='replace')[-1500:]}")


def _find_postgres(name: str) -> str | None:
    places = [str(it) for it in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=":".join(places)) or shutil.which(name)


def _postgres(name: str) -> str:
    found = _find_postgres(name)
    if found is None:
        raise InputError(name, "it is not installed", install(name))
    return found


def _emulator() -> Path:
    # The wheel's script is a wrapper that starts this program; it itself can be ended by its pid.
    return Path(sysconfig.get_path("purelib")) / "osmem_server" / "bin" / EMULATOR
