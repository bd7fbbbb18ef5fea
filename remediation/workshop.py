"""What an action's way is worked with: stores, runner, catalogue, policy, clock, and where runs live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.catalogue import Catalogue
from remediation.leadership import Alone
from remediation.policy import Policy
from seawall.core.ports import Clock, Leadership, RecordStore, Runner, Silences


@dataclass(frozen=True)
class Workshop:
    """What the lifecycle works with. `facts` (by registry) fill the playbooks' inputs."""

    records: RecordStore
    runner: Runner
    catalogue: Catalogue
    policy: Policy
    clock: Clock
    facts: Mapping[str, Mapping[str, Any]]
    folder: Path
    inventory: Path | None = None
    leadership: Leadership = field(default_factory=Alone)
    silences: Silences | None = None
