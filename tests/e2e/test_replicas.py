"""Two `seawall up` on one PostgreSQL: one acts, both serve; the leader killed, the server restarted."""

import signal
import time
from pathlib import Path

import httpx
import pytest
import yaml

from seawall.stores.sql import SqlRecords
from tests.e2e.test_kills import playbook
from tests.e2e.test_up import TOKEN, alert, deliver
from tests.postgres import WITH_POSTGRES, Postgres
from tests.serving import Up, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), WITH_POSTGRES]
WORK = 6  # seconds that a run takes


@pytest.fixture
def server():
    one = Postgres().start()
    yield one
    one.close()


@pytest.fixture
def pair(tmp_path, secret_file, server):
    """Two replicas; the first leads. A run leaves a mark, and then works for some seconds."""
    books = playbook(tmp_path, tmp_path / "marks")
    play = yaml.safe_load((books / "mark" / "playbook.yml").read_text())
    play[0]["tasks"][1]["ansible.builtin.wait_for"]["timeout"] = WORK
    (books / "mark" / "playbook.yml").write_text(yaml.safe_dump(play))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"default": "auto"}))
    config = {
        "registries": [{"name": "main", "url": "http://127.0.0.1:1"}],
        "probe": {"interval": "30s", "timeout": "1s"},
        "policy": str(tmp_path / "policy.yaml"),
        "playbooks": str(books),
        "webhooks": {"alertmanager": {"token_file": str(secret_file("token", TOKEN))}},
        "stores": {"records": server.database("seawall")},
        "runs": {"folder": str(tmp_path / "runs")},
    }
    both = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        both.append(Up(tmp_path / name, config).start())
    until(lambda: leads(both[0]), 10, "the first to lead")
    yield both
    for one in both:
        one.stop()


def leads(one: Up) -> bool:
    text = httpx.get(f"{one.url}/metrics", timeout=5).text
    return "seawall_leader 1.0" in text.splitlines()


def action(one: Up):
    found = one.get("/actions")["items"]
    return found[0] if found else None


def lines(folder: Path) -> list[str]:
    path = folder / "marks"
    return path.read_text().splitlines() if path.exists() else []


def test_a_run_whose_leader_is_killed_is_found_by_the_other_and_not_repeated(pair, tmp_path, server):
    one, two = pair
    assert not leads(two)
    assert (
        deliver(two, alert(fingerprint="f", registry="main")).status_code == 202
    )  # told to who does not act
    until(lambda: lines(tmp_path), 60, "the run to begin")
    began = action(two)
    assert began["state"] == "running"
    one.kill()
    killed = time.monotonic()
    until(lambda: leads(two), 20, "the other to lead")
    assert time.monotonic() - killed < 10
    until(lambda: action(two)["state"] == "verifying", 60, "the end of the run")
    one.start()
    until(lambda: action(one)["run"] == action(two)["run"], 10)
    assert leads(two) and not leads(one)
    assert action(one)["run"]["id"] == began["run"]["id"] and action(one)["run"]["outcome"] == "successful"
    assert len(lines(tmp_path)) == 1, "it ran twice"
    judge(server, terms=[1])


def test_postgresql_restarted_in_the_middle_of_a_run_loses_and_doubles_nothing(pair, tmp_path, server):
    one, two = pair
    deliver(one, alert(fingerprint="f", registry="main"))
    until(lambda: lines(tmp_path), 60, "the run to begin")
    server.stop()
    assert httpx.get(f"{one.url}/readyz", timeout=10).status_code == 503
    assert (
        deliver(one, alert(fingerprint="g", registry="main")).status_code == 503
    )  # not taken, so told again
    until(lambda: ended(tmp_path), 60, "the end of the run while the records are away")
    server.start()
    until(lambda: leads(one) or leads(two), 10, "a leader")
    assert not (leads(one) and leads(two))
    assert deliver(one, alert(fingerprint="g", registry="main")).status_code == 202
    until(lambda: action(two)["state"] == "verifying", 60, "the run to be found")
    assert len(lines(tmp_path)) == 1
    judge(server, terms=[1])


def test_a_leader_that_hangs_is_deposed_and_runs_nothing_when_it_wakes(pair, tmp_path, server):
    one, two = pair
    one.process.send_signal(signal.SIGSTOP)
    hung = time.monotonic()
    until(lambda: leads(two), 20, "the other to lead")
    assert time.monotonic() - hung < 10
    deliver(two, alert(fingerprint="f", registry="main"))
    until(lambda: lines(tmp_path), 60, "the run to begin")
    one.process.send_signal(signal.SIGCONT)
    until(lambda: not leads(one), 10, "the former leader to notice")
    until(lambda: action(one)["state"] == "verifying", 60, "the end of the run")
    assert len(lines(tmp_path)) == 1 and leads(two)
    judge(server, terms=[2])


def ended(folder: Path) -> bool:
    return any((folder / "runs").glob("*/*-run/outcome.json"))


def judge(server: Postgres, terms: list[int]) -> None:
    records = SqlRecords(server.dsn("seawall"))
    try:
        actions = records.actions(limit=200)[0]
        assert len(records.incidents(limit=200)[0]) == 1
        assert [it.run.term for it in actions if it.run] == terms
        assert records.audit_verify()[1] is None
    finally:
        records.close()
