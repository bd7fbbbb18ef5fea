"""The policy: who decides about a playbook, as data."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from seawall.core.actions import Risk
from seawall.core.times import parse_duration
from seawall.yamlfile import read_yaml, validate

SHIPPED = Path(__file__).parent / "policy.yaml"
Mode = Literal["observe", "ask", "auto"]
Seconds = Annotated[float, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Model):
    """Fits when every key that it names fits; names may hold * and ?."""

    mode: Mode
    playbook: str = "*"
    registry: str = "*"
    risk: Risk | None = None

    def fits(self, playbook: str, registry: str, risk: Risk) -> bool:
        """True if the rule speaks about this action."""
        return (
            fnmatchcase(playbook, self.playbook)
            and fnmatchcase(registry, self.registry)
            and self.risk in (None, risk)
        )


class Approvers(_Model):
    """How many different people must approve, by risk."""

    low: int = Field(default=1, ge=1)
    medium: int = Field(default=1, ge=1)
    high: int = Field(default=2, ge=2)


class Policy(_Model):
    """policy.yaml; durations in seconds after parsing."""

    default: Mode = "ask"
    rules: tuple[Rule, ...] = ()
    ask_for: Seconds = 3600.0
    approval_valid_for: Seconds = 600.0
    approvers: Approvers = Approvers()

    def decide(self, playbook: str, registry: str, risk: Risk) -> tuple[Mode, str]:
        """The mode, and which line decided. High risk is never automatic: it needs two people."""
        for number, rule in enumerate(self.rules, 1):
            if rule.fits(playbook, registry, risk):
                if rule.mode == "auto" and risk is Risk.HIGH:
                    return "ask", f"rule {number} says auto, but high risk needs two people"
                return rule.mode, f"rule {number} says {rule.mode}"
        return self.default, f"the default is {self.default}"

    def people(self, risk: Risk) -> int:
        """How many different people must approve."""
        return int(getattr(self.approvers, risk.value))


def load_policy(path: Path | None = None) -> Policy:
    """The policy of a file, or the shipped one; InputError names file, line and key."""
    return validate(Policy, read_yaml(path or SHIPPED))
