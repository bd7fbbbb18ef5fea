"""What `seawall export` writes: the SLO matrix in other systems' words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alerts import openslo
from alerts.alertmanager_config import Receiver, Wiring
from alerts.alertmanager_config import config as alertmanager_config
from alerts.prometheus_rules import Rulebook, rules
from alerts.promtool_tests import RULE_FILE, tests
from alerts.slos import load_rows, load_windows
from alerts.written import as_yaml, write
from dashboards.build import build
from dashboards.provision import Provisioned, provision
from seawall.config import Config
from seawall.config.alerting import Channel

WEBHOOK = "/api/v1/webhooks/alertmanager"


@dataclass(frozen=True, slots=True)
class Options:
    """`scrape`: Prometheus' scrape interval in seconds; `runbooks`: what stands before a
    runbook's name, else `notify.runbooks`, else docs/runbooks/."""

    scrape: float = 15.0
    runbooks: str = ""


def prometheus(config: Config, options: Options) -> dict[str, str]:
    """The rules and their promtool tests."""
    base = _runbooks(config, options)
    rows, console = load_rows(config.slos), config.server.public_url or ""
    book = Rulebook(rows, load_windows(), options.scrape, base, console)
    return {RULE_FILE: as_yaml(rules(book)), "seawall_test.yml": as_yaml(tests(book))}


def alertmanager(config: Config, options: Options) -> dict[str, str]:
    """One alertmanager.yml. InputError for a channel that Alertmanager cannot have."""
    base = _console(config)
    hook, beat = config.webhooks.alertmanager, config.notify.heartbeat
    wiring = Wiring(base + WEBHOOK, hook.token_file if hook else None, beat.url if beat else None)
    channels = [c for c in config.notify.channels if c.kind not in ("dingtalk", "wecom")]
    found = alertmanager_config(load_rows(config.slos), [_receiver(c) for c in channels], wiring)
    return {"alertmanager.yml": as_yaml(found)}


def _receiver(it: Channel) -> Receiver:
    secret = it.password_file if it.kind == "email" else it.token_file
    return Receiver(
        it.name, it.kind, it.severities, it.url, it.url_file, secret,
        it.smtp or "", it.tls, it.sender or "", it.to, it.username,
    )  # fmt: skip


def slos(config: Config, options: Options) -> dict[str, str]:
    """One OpenSLO v1 document a row."""
    return {f"{row.name}.yaml": as_yaml(openslo.write(row)) for row in load_rows(config.slos)}


def grafana(config: Config, options: Options) -> dict[str, str]:
    """The dashboards' JSON."""
    return build(load_rows(config.slos), _console(config))


def provisioning(config: Config, options: Options) -> dict[str, str]:
    """What Grafana reads of /etc/grafana/provisioning: data sources, the folder of boards, alert rules."""
    wanted = Provisioned(load_rows(config.slos), _console(config), options.scrape, _runbooks(config, options))
    return {name: as_yaml(content) for name, content in provision(wanted).items()}


def _runbooks(config: Config, options: Options) -> str:
    return options.runbooks or f"{config.notify.runbooks or 'docs/runbooks'}/"


def _console(config: Config) -> str:
    return config.server.public_url or f"http://{config.server.host}:{config.server.port}"


KINDS: dict[str, Callable[[Config, Options], dict[str, str]]] = {
    "prometheus": prometheus,
    "alertmanager": alertmanager,
    "openslo": slos,
    "grafana": grafana,
    "grafana-provisioning": provisioning,
}


def export(kind: str, config: Config, options: Options, folder: Path) -> list[Path]:
    """Write the files of `kind` into `folder`; returns their paths."""
    return write(folder, KINDS[kind](config, options))
