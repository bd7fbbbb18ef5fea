"""What only Prometheus has: HTTP, remote write, a server that goes away."""

import json
import math
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from seawall.app import open_stores
from seawall.config import Config
from seawall.config.stores import PrometheusAccess
from seawall.core.errors import InputError, StoreUnavailable
from seawall.core.signals import Sample, labels
from seawall.core.slos import Status
from seawall.judging import judge_of
from seawall.stores.memory import MemoryEvents
from seawall.stores.prometheus_http import PrometheusHttp, Rejected
from tests.certificates import Authority
from tests.serving import until
from tests.store_servers import WITH_PROMETHEUS, Prometheus

pytestmark = [pytest.mark.integration, WITH_PROMETHEUS]
T = 1_790_000_000.0
DAY = 86400.0
# The password is `secret`, as bcrypt has it.
SECRET_HASHED = "$2y$04$3Yd9hjsQLPEjcIwkRy7VWODR.cP/RHy06ZStRIG2iESTNe8p32o.y"


def up(at: float, value: float = 1.0, site: str = "local") -> Sample:
    return Sample("main", "seawall_probe_success", at, value, labels(site=site))


def read(store, start: float = T - 40 * DAY, end: float = T + DAY) -> list[Sample]:
    return store.range("main", "seawall_probe_success", start, end)


def test_samples_come_back_exactly_with_their_own_times_and_values(prometheus_samples):
    store = prometheus_samples()
    sent = [
        up(T + 0.125, 0.1),
        up(T + 1.001, 1 / 3),
        up(T + 2, 1e300),
        up(T + 3, 5e-324),
        up(T + 4, math.inf),
    ]
    store.append(sent)
    assert read(store) == sent


def test_labels_may_hold_whatever_text(prometheus_samples):
    store = prometheus_samples()
    pairs = labels(site='a"b\\c\nd é 中文', phase="total")
    store.append([Sample('ma"in\\', "seawall_x", T, 1.0, pairs)])
    assert store.range('ma"in\\', "seawall_x", T, T + 1, pairs)[0].labels == pairs
    assert store.range("ma", "seawall_x", T, T + 1) == []


def test_a_month_is_read_in_chunks_without_a_gap_or_a_repeat(tmp_path, prometheus_samples):
    server = Prometheus(tmp_path / "server", window="40d").start()
    try:
        store = prometheus_samples(server.url, chunk=DAY)
        sent = [up(T - 30 * DAY + 3600 * hour) for hour in range(30 * 24)]
        store.append(sent)
        assert read(store) == sent
        assert store.range("main", "seawall_probe_success", -math.inf, math.inf) == sent
        assert len(store.slices("main", "seawall_probe_success", T - 30 * DAY, T)) == 720
        assert store.latest("main", "seawall_probe_success", T - 30 * DAY, T - 20 * DAY)[0].at == T - 20 * DAY
    finally:
        server.stop()


def test_a_question_that_is_too_large_is_asked_in_halves(tmp_path, prometheus_samples):
    server = Prometheus(tmp_path / "server")
    command = server.command()
    server.command = lambda: [*command, "--query.max-samples=300"]  # type: ignore[method-assign]
    server.start()
    try:
        store = prometheus_samples(server.url)
        sent = [up(T + number) for number in range(1000)]
        store.append(sent)
        assert read(store, T, T + DAY) == sent
    finally:
        server.stop()


def test_what_the_receiver_never_takes_is_kept_for_a_look_and_holds_nothing_up(tmp_path, prometheus_samples):
    store = prometheus_samples()
    store.append([up(T)])
    store.append([up(T + 1), up(T - 3 * DAY), up(T + 2)])
    assert [s.at for s in read(store)] == [T, T + 1, T + 2]
    [row] = [
        json.loads(line) for line in (tmp_path / "stores/prometheus/rejected.jsonl").read_text().splitlines()
    ]
    assert row["at"] == T - 3 * DAY and "too old" in row["reason"]


def test_a_repeat_with_another_value_changes_nothing(prometheus_samples):
    store = prometheus_samples()
    store.append([up(T, 1.0)])
    store.append([up(T, 0.0), up(T + 1, 0.0)])
    assert [(s.at, s.value) for s in read(store)] == [(T, 1.0), (T + 1, 0.0)]


def test_a_prometheus_that_is_away_makes_reads_fail_and_loses_and_doubles_nothing(
    tmp_path, prometheus_samples
):
    server = Prometheus(tmp_path / "server").start()
    store = prometheus_samples(server.url, job="gap")
    sent = [up(T)]
    store.append(sent)
    server.stop()
    for number in range(1, 50):
        sent.append(up(T + number))
        store.append(sent[-2:])
    with pytest.raises(StoreUnavailable, match="wait in the spool"):
        read(store)
    store.close()

    again = prometheus_samples(server.url, job="gap")  # Seawall was restarted meanwhile
    with pytest.raises(StoreUnavailable):
        read(again)
    server.start()
    try:
        until(lambda: again.depth == 0, 20, "the spool was emptied")
        assert read(again) == sent
    finally:
        server.stop()


def test_a_prometheus_that_is_away_when_seawall_starts_is_waited_for(tmp_path, prometheus_samples):
    server = Prometheus(tmp_path / "server")
    store = prometheus_samples(server.url)
    with pytest.raises(StoreUnavailable):
        store.latest("main", "seawall_probe_success", T, T + 1)
    store.append([up(T)])
    server.start()
    try:
        until(lambda: store.depth == 0, 20, "the spool was emptied")
        assert read(store) == [up(T)]
    finally:
        server.stop()


def test_without_the_receiver_the_remedy_is_told(tmp_path, prometheus_samples):
    server = Prometheus(tmp_path / "server", receiver=False).start()
    try:
        store = prometheus_samples(server.url)
        store.append([up(T)])
        with pytest.raises(StoreUnavailable, match=r"--web\.enable-remote-write-receiver"):
            read(store)
    finally:
        server.stop()


def test_a_full_spool_takes_nothing_and_says_so(tmp_path, prometheus_samples):
    server = Prometheus(tmp_path / "server")
    store = prometheus_samples(server.url, spool=1)
    filling = [Sample("main", f"seawall_{n * n * 7919 % 99991:x}", T + n / 7, n / 3) for n in range(30_000)]
    with pytest.raises(StoreUnavailable, match="spool is full"):
        for _ in range(9):
            store.append(filling)


def test_password_and_authority_are_asked_for(tmp_path, secret_file, prometheus_samples):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    web = {
        "tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
        "basic_auth_users": {"seawall": SECRET_HASHED},
    }
    server = Prometheus(tmp_path / "server", **web).start()
    try:
        good = {
            "username": "seawall",
            "password_file": secret_file("password", "secret"),
            "ca_file": authority.ca,
        }
        store = prometheus_samples(server.url, **good)
        store.append([up(T)])
        assert read(store) == [up(T)]
        wrong = good | {"password_file": secret_file("wrong", "guess")}
        with pytest.raises(StoreUnavailable, match="401"):
            read(prometheus_samples(server.url, "wrong", **wrong))
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            read(prometheus_samples(server.url, "stranger", **(good | {"ca_file": None})))
    finally:
        server.stop()


def test_the_tenant_and_the_bearer_token_are_sent_and_a_part_is_no_answer(tmp_path, secret_file):
    heard: list[tuple[str, str | None, str | None]] = []

    class Mimir(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.path, self.headers["X-Scope-OrgID"], self.headers["Authorization"]))
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"status": "success", "isPartial": True, "data": {"result": []}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mimir)
    Thread(target=server.serve_forever).start()
    try:
        access = PrometheusAccess(tenant="harbour", token_file=secret_file("token", "s3cret"), retries=0)
        http = PrometheusHttp(f"http://127.0.0.1:{server.server_port}/prometheus", access)
        with pytest.raises(StoreUnavailable, match="only a part"):
            http.query("up", T)
        http.close()
    finally:
        server.shutdown()
        server.server_close()
    assert heard == [("/prometheus/api/v1/query", "harbour", "Bearer s3cret")]


def test_a_busy_server_is_asked_again_and_a_bad_request_is_not(tmp_path):
    answers = iter([429, 503, 204, 400])

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(next(answers))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Thread(target=server.serve_forever).start()
    try:
        http = PrometheusHttp(f"http://127.0.0.1:{server.server_port}", PrometheusAccess(retries=2))
        http.write(b"")
        with pytest.raises(Rejected):
            http.write(b"")
        http.close()
    finally:
        server.shutdown()
        server.server_close()
    assert next(answers, None) is None


@pytest.mark.parametrize("url", ["prometheus+http://a:b@c", "prometheus+ftp://c", "prometheus+http://"])
def test_a_bad_url_is_told_with_its_remedy(tmp_path, url):
    with pytest.raises(InputError, match=r"stores\.samples"):
        open_stores(Config(stores={"samples": url, "events": "memory:", "records": "memory:"}), tmp_path)


def test_what_prometheus_scraped_is_read_back(tmp_path, prometheus_samples):
    page = b'# TYPE seawall_probe_success gauge\nseawall_probe_success{registry="main",site="local"} 1\n'

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    target = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=target.serve_forever).start()
    server = Prometheus(tmp_path / "server", scraped=f"127.0.0.1:{target.server_port}").start()
    try:
        store = prometheus_samples(server.url, job=None, remote_write=False)
        began = time.time()
        store.append([up(began, 0.0)])  # nothing is sent
        found = until(lambda: read(store, began - 60, time.time() + 60), 20, "a scrape")
        assert {(s.value, s.labels) for s in found} == {(1.0, labels(site="local"))}
    finally:
        server.stop()
        target.shutdown()
        target.server_close()


def test_rows_are_unknown_while_a_store_is_away_and_say_why(tmp_path, prometheus_samples):
    server = Prometheus(tmp_path / "server").start()
    store = prometheus_samples(server.url)
    now = time.time()
    store.append([up(now - 20), up(now - 10), Sample("main", "seawall_storage_used_ratio", now - 5, 0.4)])
    judge = judge_of(Config(), store, MemoryEvents())
    before = {status.name: status for status in judge.judge("main", now)}
    assert (before["storage_capacity"].status, before["availability"].indicator_ok) == (Status.OK, True)
    server.stop()
    away = {status.name: status for status in judge.judge("main", now + 1)}
    assert {status.status for status in away.values()} == {Status.UNKNOWN}
    assert away["storage_capacity"].indicator_ok is None and server.url in away["storage_capacity"].reason
    server.start()
    try:
        back = {status.name: status for status in judge.judge("main", now + 2)}
        assert back["storage_capacity"].status is Status.OK
    finally:
        server.stop()
