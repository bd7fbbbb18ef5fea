"""The policy: who decides about a playbook and what stands in its way, as data. docs/policy.md tells it.

This module is the file's shape; remediation.policy_hours has its times, remediation.policy_limits judges the
limits against what has run.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field

from remediation.policy_hours import Hours, PolicyModel, Seconds
from seawall.core.actions import Risk
from seawall.yamlfile import read_yaml, validate

SHIPPED = Path(__file__).parent / "policy.yaml"
Mode = Literal["observe", "ask", "auto"]


class Rule(PolicyModel):
    """Fits when every key that it names fits; names may hold * and ?."""

    mode: Mode
    playbook: str = "*"
    registry: str = "*"
    risk: Risk | None = None
    hours: Hours | None = None

    def fits(self, playbook: str, registry: str, risk: Risk, at: float) -> bool:
        """True if the rule speaks about this action at this moment (Unix seconds)."""
        return (
            fnmatchcase(playbook, self.playbook)
            and fnmatchcase(registry, self.registry)
            and self.risk in (None, risk)
            and (self.hours is None or self.hours.hold(at))
        )


class Approvers(PolicyModel):
    """How many different people must approve, by risk."""

    low: int = Field(default=1, ge=1)
    medium: int = Field(default=1, ge=1)
    high: int = Field(default=2, ge=2)


class Limit(PolicyModel):
    """At most `runs` runs that began within the last `per` seconds, counted over what the patterns fit."""

    runs: int = Field(ge=1)
    per: Seconds = Field(default=3600.0, gt=0)
    playbook: str = "*"
    registry: str = "*"


class Blast(PolicyModel):
    """The most that one run may touch: `hosts`, and their share of the inventory (0..1)."""

    hosts: int | None = Field(default=None, ge=1)
    share: float | None = Field(default=None, gt=0, le=1)


class Window(PolicyModel):
    """Times in which nothing runs on registries that fit."""

    name: str = Field(min_length=1)
    hours: Hours
    registry: str = "*"


class Escalation(PolicyModel):
    """Whom to tell of a question that nobody has decided `after` seconds."""

    after: Seconds = Field(gt=0)
    notify: str = Field(min_length=1, max_length=128)


class Policy(PolicyModel):
    """policy.yaml; durations in seconds after parsing."""

    default: Mode = "ask"
    rules: tuple[Rule, ...] = ()
    ask_for: Seconds = 3600.0
    approval_valid_for: Seconds = 600.0
    approvers: Approvers = Approvers()
    cooldown: Seconds = 0.0
    limits: tuple[Limit, ...] = ()
    blast: Blast = Blast()
    groups: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    escalation: tuple[Escalation, ...] = ()

    def decide(self, playbook: str, registry: str, risk: Risk, at: float) -> tuple[Mode, str]:
        """The mode at this moment, and which line decided. High risk is never automatic: two people."""
        for number, rule in enumerate(self.rules, 1):
            if rule.fits(playbook, registry, risk, at):
                hours = f" ({rule.hours})" if rule.hours else ""
                if rule.mode == "auto" and risk is Risk.HIGH:
                    return "ask", f"rule {number} says auto{hours}, but high risk needs two people"
                return rule.mode, f"rule {number} says {rule.mode}{hours}"
        return self.default, f"the default is {self.default}"

    def people(self, risk: Risk) -> int:
        """How many different people must approve."""
        return int(getattr(self.approvers, risk.value))


def load_policy(path: Path | None = None) -> Policy:
    """The policy of a file, or the shipped one; InputError names file, line and key."""
    return validate(Policy, read_yaml(path or SHIPPED))
