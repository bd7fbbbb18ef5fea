"""The generated files: committed ones are true, and promtool, amtool and the SDK's reader take them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts import openslo
from alerts.prometheus_rules import COMMON, Rulebook, rules
from alerts.promtool_tests import tests as promtool_tests
from alerts.slos import load_rows, load_windows
from alerts.written import as_yaml, write
from dashboards.build import queries
from seawall.cli import app as cli
from seawall.config import Config, load
from seawall.core.errors import InputError
from seawall.exports import KINDS, Options, export

ROOT = Path(__file__).parents[2]
ROWS = load_rows()
CHANNELS = """
server: {public_url: "https://seawall.example.com"}
webhooks: {alertmanager: {token_file: token}}
notify:
  heartbeat: {url: "http://127.0.0.1:9/beat"}
  channels:
    - {name: chat, kind: slack, url_file: slack-url}
    - {name: duty, kind: pagerduty, token_file: key, severities: [page]}
    - {name: post, kind: email, smtp: "127.0.0.1:25", sender: s@example.com, to: [a@example.com],
       username: s, password_file: pw}
    - {name: hook, kind: webhook, url: "http://127.0.0.1:9/hook", token_file: key}
    - {name: ding, kind: dingtalk, url_file: ding-url}
"""


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed (apt-test.txt)"
    return found


def passes(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "folder"), [("prometheus", "alerts/rules"), ("grafana", "dashboards/json")])
def test_committed_files_are_what_is_generated_now(kind, folder):
    now = KINDS[kind](Config(), Options())
    assert {path.name: path.read_text() for path in (ROOT / folder).iterdir()} == now


@pytest.mark.parametrize("scrape", [5.0, 15.0, 60.0])
def test_promtool_takes_the_rules(tmp_path, scrape):
    written = export("prometheus", Config(), Options(scrape=scrape), tmp_path)
    assert all(path.name.endswith((".rules.yml", "_test.yml")) for path in written)
    passes(program("promtool"), "check", "rules", str(tmp_path / "seawall.rules.yml"))


def test_promtool_tests_pass_for_every_row(tmp_path):
    export("prometheus", Config(), Options(), tmp_path)
    names = [case["name"] for case in yaml.safe_load((tmp_path / "seawall_test.yml").read_text())["tests"]]
    for row in ROWS:
        assert {f"{row.name}: broken", f"{row.name}: kept", f"{row.name}: absent"} <= set(names)
    passes(program("promtool"), "test", "rules", str(tmp_path / "seawall_test.yml"))


def test_promtool_tests_notice_alerts_that_are_silent(tmp_path):
    """Every row's alert made silent: each row's generated test must fail."""
    book, silent = Rulebook(ROWS, load_windows()), {row.alert for row in ROWS}
    made = rules(book)
    for group in made["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") in silent and "burn" not in rule["labels"]:
                rule["expr"] = f"({rule['expr']}) and on () vector(1) == 2"
    write(tmp_path, {"seawall.rules.yml": as_yaml(made), "seawall_test.yml": as_yaml(promtool_tests(book))})
    command = [program("promtool"), "test", "rules", str(tmp_path / "seawall_test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert {alert for alert in silent if alert in done.stdout + done.stderr} == silent


def test_amtool_takes_the_configuration_and_secrets_stay_in_files(tmp_path):
    (tmp_path / "seawall.yaml").write_text(CHANNELS)
    [path] = export("alertmanager", load(tmp_path / "seawall.yaml"), Options(), tmp_path / "out")
    assert path.name == "alertmanager.yml"
    passes(program("amtool"), "check-config", str(path))
    made = yaml.safe_load(path.read_text())
    receivers = {it["name"]: it for it in made["receivers"]}
    page = {"name", "slack_configs", "pagerduty_configs", "email_configs", "webhook_configs"}
    assert set(receivers["page"]) == page
    assert set(receivers["ticket"]) == page - {"pagerduty_configs"}
    assert receivers["page"]["slack_configs"][0]["api_url_file"] == str(tmp_path / "slack-url")


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=SeawallRegistryUnavailable", "severity=page", "registry=a"], "seawall,page"),
        (["alertname=SeawallRegistryUnavailable", "severity=page", "burn=1h/5m"], "page"),
        (["alertname=SeawallDataMissing", "severity=ticket"], "ticket"),
        (["alertname=SeawallBreachForecast", "severity=info"], "nobody"),
        (["alertname=SeawallWatchdog", "severity=none"], "heartbeat"),
        (["alertname=Custom", "severity=page"], "page"),
    ],
)
def test_alertmanager_routes(tmp_path, labels, receivers):
    [path] = export("alertmanager", Config(), Options(), tmp_path)
    command = [program("amtool"), "config", "routes", "test", f"--config.file={path}", *labels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, receivers)


def test_alertmanager_cannot_read_a_webhook_url_from_a_file(tmp_path):
    channel = {"name": "x", "kind": "webhook", "url_file": "f"}
    with pytest.raises(InputError, match=r"notify\.channels\[x\].*token_file"):
        export(
            "alertmanager", Config.model_validate({"notify": {"channels": [channel]}}), Options(), tmp_path
        )


def test_openslo_goes_there_and_back(tmp_path):
    export("openslo", Config(), Options(), tmp_path)
    assert [openslo.read(tmp_path / f"{row.name}.yaml") for row in ROWS] == list(ROWS)


def test_a_foreign_openslo_document_says_what_is_missing(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: x}\nspec: {}\n")
    with pytest.raises(InputError, match=r"x\.yaml:3.*seawall/type"):
        openslo.read(path)
    path.write_text("apiVersion: v2\nkind: SLO\n")
    with pytest.raises(InputError, match="openslo/v1"):
        openslo.read(path)


def test_every_alert_of_the_rules_has_its_runbook():
    made = rules(Rulebook(ROWS, load_windows()))
    alerts = {rule["alert"]: rule for group in made["groups"] for rule in group["rules"] if "alert" in rule}
    assert set(alerts) == {row.alert for row in ROWS} | set(COMMON)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert (ROOT / "docs" / "runbooks" / f"{name}.md").is_file(), name


def test_the_dashboard_shows_every_row_and_names_only_our_metrics():
    text = KINDS["grafana"](Config(), Options())["seawall-slo-matrix.json"]
    asked = list(queries(text))
    documented = (ROOT / "docs" / "signals.md").read_text()
    for row in ROWS:
        assert any(title == row.title and f'slo="{row.name}"' in expr for title, expr in asked)
    for _, expr in asked:
        assert all(f"`{name}`" in documented for name in re.findall(r"\bseawall_[a-z_]+", expr))
    assert json.loads(text)["uid"] == "seawall-slo-matrix"


def test_the_command_writes_and_refuses(tmp_path):
    run = CliRunner()
    done = run.invoke(cli, ["export", "openslo", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == len(ROWS)
    bad = run.invoke(cli, ["export", "prometheus", str(tmp_path), "--scrape-interval", "often"])
    assert isinstance(bad.exception, InputError)
