"""The collectors of events that a registry's configuration names: logs, Harbor's audit log, scans."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from collectors.behind_proxy import BehindProxy
from collectors.container_logs import ContainerLogs
from collectors.harbor_audit import HarborAudit
from collectors.harbor_client import HarborClient
from collectors.harbor_scans import HarborScans
from collectors.log_globs import GlobbedLogs, is_pattern
from collectors.log_streams import PipedLog
from collectors.logs import Claims, FollowedLog
from collectors.trivy import TrivyReports
from seawall.config import CONTAINER, Registry
from seawall.core.ports import Collector, EventStore


def event_collectors(registry: Registry, events: EventStore, interval: float) -> Iterator[Collector]:
    """Each goes on where `events` says that it stopped; logs are read every `interval` seconds."""
    claims: Claims = {}
    for source in registry.logs:
        log = _log_of(registry, source, events, interval, claims)
        counted = not registry.client_logs or source in registry.client_logs
        yield log if counted else BehindProxy(log)
    if registry.audit_log:
        audit = HarborAudit(registry.name, client_of(registry))
        audit.restore(events.checkpoint(audit.source))
        yield audit
    if registry.trivy_reports:
        yield TrivyReports(registry.name, str(registry.trivy_reports))
    elif registry.scan_overview:
        yield HarborScans(registry.name, client_of(registry))


def client_of(registry: Registry) -> HarborClient:
    """Harbor's API at the registry's own URL, with its account."""
    return HarborClient(
        registry.url,
        registry.username,
        registry.password if registry.username else None,
        str(registry.ca_file) if registry.ca_file else None,
    )


def _log_of(
    registry: Registry, source: Path | str, events: EventStore, interval: float, claims: Claims
) -> Collector:
    if source == "-":
        return PipedLog(registry.name, standard_input)
    if isinstance(source, str):
        return ContainerLogs(
            registry.name,
            source.removeprefix(CONTAINER),
            events.checkpoint,
            registry.runtime,
            registry.runtime_env,
            interval,
        )
    if is_pattern(str(source)) and not source.exists():
        return GlobbedLogs(registry.name, str(source), events.checkpoint, interval, claims=claims)
    log = FollowedLog(registry.name, str(source), interval, claims=claims)
    log.restore(events.checkpoint(log.source))
    return log


def standard_input() -> BinaryIO:
    """Our standard input, for us alone: what we start from now on gets an empty one."""
    own = os.dup(sys.stdin.fileno())
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, sys.stdin.fileno())
    os.close(empty)
    return os.fdopen(own, "rb")
