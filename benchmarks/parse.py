"""`seawall parse FILE > /dev/null` in processor seconds, beside mtail and goaccess on the same file.

mtail and goaccess are left out where they are not installed (`apt-get install mtail goaccess`).
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.figure import Figure

LINES = int(os.environ.get("SEAWALL_PARSE_LINES", "1000000"))
OTHER_LINES = LINES // 4
SEAWALL = [sys.executable, "-m", "seawall", "parse"]
MTAIL = r"""
counter requests by method, status
counter bytes_total
/^(?P<client>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+) (?P<proto>[^"]+)" (?P<status>\d{3}) (?P<bytes>\d+) "(?P<ref>[^"]*)" "(?P<agent>[^"]*)"$/ {
  strptime($time, "02/Jan/2006:15:04:05 -0700")
  requests[$method][$status]++
  bytes_total += $bytes
}
"""  # noqa: E501 - one pattern
AGENTS = (
    "containerd/v1.7.2", "containers/5.26.1 (github.com/containers/image)", "skopeo/1.9.3", "curl/7.88.1",
    "docker/24.0.7 go/go1.20.10 git-commit/311b9ff kernel/5.15.0 os/linux arch/amd64", "buildkit/v0.12",
    "harbor-registry-client", "go-containerregistry/v0.19.1",
)  # fmt: skip


class Request(NamedTuple):
    """One request to a registry."""

    at: int
    client: str
    user: str
    method: str
    path: str
    status: int
    size: int
    agent: str


def requests(count: int) -> Iterator[Request]:
    """A registry's day: 400 repositories, mostly pulls by digest, four of five digests seen before."""
    rng = random.Random(7)
    repositories = [f"team{i % 17}/{'app' if i % 3 else 'svc/deep'}-{i}" for i in range(400)]
    known = [f"sha256:{rng.getrandbits(256):064x}" for _ in range(20_000)]
    at = 1_728_967_450
    for _ in range(count):
        at += rng.random() < 0.02
        client = f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)}"
        user = rng.choice(("-", "-", "-", "alice", "robot$ci"))
        name, kind = f"/v2/{rng.choice(repositories)}", rng.random()
        digest = rng.choice(known) if rng.random() < 0.8 else f"sha256:{rng.getrandbits(256):064x}"
        method, path, status = "GET", "/v2/", rng.choice((200, 401))
        if kind < 0.3:
            method, status = rng.choice(("GET", "HEAD")), rng.choice((200, 200, 304, 404))
            path = f"{name}/manifests/{rng.choice(('latest', '1.2', 'v3.4.5'))}"
        elif kind < 0.5:
            path, status = f"{name}/manifests/{digest}", 200
        elif kind < 0.9:
            path, status = f"{name}/blobs/{digest}", rng.choice((200, 200, 206, 307, 404, 500))
        elif kind < 0.93:
            method, path, status = "POST", f"{name}/blobs/uploads/", 202
        elif kind < 0.95:
            state = f"{rng.getrandbits(400):x}"
            path = f"{name}/blobs/uploads/{rng.getrandbits(128):032x}?_state={state}&digest={digest}"
            method, status = "PUT", 201
        size = rng.randrange(200_000_000) if status == 200 else 157
        yield Request(at, client, user, method, path, status, size, rng.choice(AGENTS))


def clf(at: int) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at))


def iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(at))


def combined(r: Request) -> str:
    asked = f'"{r.method} {r.path} HTTP/1.1"'
    return f'{r.client} - {r.user} [{clf(r.at)}] {asked} {r.status} {r.size} "" "{r.agent}"'


def logfmt(r: Request) -> str:
    return (
        f'time="{iso(r.at)}" level=info msg="response completed" go.version=go1.21.5 '
        f'http.request.host="registry.example.com" http.request.id={r.size:032x} '
        f'http.request.method={r.method} http.request.remoteaddr="{r.client}:51742" '
        f'http.request.uri="{r.path}" http.request.useragent="{r.agent}" '
        "http.response.contenttype=application/octet-stream "
        f"http.response.duration=8.937191ms http.response.status={r.status} http.response.written={r.size}"
    )


def app_json(r: Request) -> str:
    return (
        f'{{"go.version":"go1.21.5","http.request.host":"registry.example.com","http.request.id":"{r.size:032x}",'
        f'"http.request.method":"{r.method}","http.request.remoteaddr":"{r.client}:51742",'
        f'"http.request.uri":"{r.path}","http.request.useragent":"{r.agent}",'
        f'"http.response.duration":"8.937191ms","http.response.status":{r.status},'
        f'"http.response.written":{r.size},"level":"info","msg":"response completed","time":"{iso(r.at)}"}}'
    )


def harbor_nginx(r: Request) -> str:
    head = time.strftime("%b %e %H:%M:%S", time.gmtime(r.at))
    asked = f'{r.client} - "{r.method} {r.path} HTTP/1.1" {r.status} {r.size}'
    return f'{head} 172.19.0.1 proxy[1297]: {asked} "-" "{r.agent}" 0.012 0.011 .'


def harbor_app(r: Request) -> str:
    return (
        f"{iso(r.at)} [INFO] [/jobservice/job/impl/gc/garbage_collection.go:424]: "
        f"[4021f70a][{r.at % 60136}/1822475] delete blob from storage: sha256:{r.size:064x}"
    )


def nexus(r: Request) -> str:
    asked = f'"{r.method} /repository/docker{r.path} HTTP/1.1" {r.status}'
    return f'{r.client} - {r.user} [{clf(r.at)}] {asked} - {r.size} 12 "{r.agent}" [qtp18131-163]'


def zot(r: Request) -> str:
    return (
        f'{{"level":"info","module":"http","clientIP":"{r.client}:59979","method":"{r.method}","path":"{r.path}",'
        f'"statusCode":{r.status},"latency":"77.4µs","bodySize":{r.size},"headers":{{"User-Agent":["{r.agent}"]}},'
        f'"goroutine":93,"caller":"session.go:137","time":"{iso(r.at)}","message":"HTTP API"}}'
    )


def nginx_cache(r: Request) -> str:
    return (
        f'{{"upstream_cache_status":"HIT","access_time":"{clf(r.at)}","uri":"{r.path}","status":"{r.status}",'
        f'"bytes_sent":"{r.size}","host":"mirror.example.com","upstream":"10.0.0.1:443"}}'
    )


def containers(r: Request) -> str:
    return f"{iso(r.at)} stdout F {combined(r)}"


# Processor seconds a million lines may cost; access lines are held against mtail instead.
OTHERS: dict[str, tuple[Callable[[Request], str], float]] = {
    "access lines behind a CRI head": (containers, 10),
    "Distribution, logfmt": (logfmt, 40),
    "Distribution, JSON": (app_json, 25),
    "Harbor's nginx": (harbor_nginx, 25),
    "Harbor's jobservice": (harbor_app, 15),
    "Nexus's request.log": (nexus, 20),
    "zot": (zot, 25),
    "nginx cache": (nginx_cache, 15),
}


def measure() -> list[Figure]:
    """Access lines against mtail and in memory, then the other formats."""
    with tempfile.TemporaryDirectory(prefix="seawall-parse-") as name:
        folder = Path(name)
        log = folder / "access.log"
        write(log, combined, LINES)
        seconds, mebibytes = run([*SEAWALL, str(log)])
        million = LINES / 1e6
        figures = [Figure("access lines, processor time a million", seconds / million, 2.9, "s")]
        figures += beside(log, folder, seconds)
        with subprocess.Popen(["cat", *[str(log)] * 10], stdout=subprocess.PIPE) as ten:
            _, more = run([*SEAWALL, "-"], stdin=ten.stdout)
        figures.append(
            Figure(f"memory, {10 * million:g} million lines over {million:g}", more / mebibytes, 1.1, "x")
        )
        for title, (form, limit) in OTHERS.items():
            write(log, form, OTHER_LINES)
            figures.append(
                Figure(f"{title}, a million", run([*SEAWALL, str(log)])[0] * 1e6 / OTHER_LINES, limit, "s")
            )
        return figures


def beside(log: Path, folder: Path, seconds: float) -> Iterator[Figure]:
    """The same file read by others."""
    program = folder / "registry.mtail"
    program.write_text(MTAIL)
    if shutil.which("mtail"):
        command = ["mtail", "--one_shot", "--progs", str(program), "--logs", str(log), "--logtostderr"]
        mtail, _ = run(command)
        yield Figure(f"access lines, of what mtail takes ({mtail:.1f} s)", seconds / mtail, 1 / 3, "x")
    if shutil.which("goaccess"):
        command = [
            "goaccess",
            str(log),
            "--log-format=COMBINED",
            "--no-global-config",
            "-o",
            str(folder / "x.json"),
        ]
        goaccess, _ = run(command)
        yield Figure(f"access lines, of what goaccess takes ({goaccess:.1f} s)", seconds / goaccess, 1, "x")


def write(path: Path, form: Callable[[Request], str], count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(form(request) + "\n" for request in requests(count))


def run(command: list[str], stdin: object = subprocess.DEVNULL) -> tuple[float, float]:
    """Processor seconds (user and system) and peak memory in MiB of one process."""
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
