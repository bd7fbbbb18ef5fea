"""`registries[].repairs` of seawall.yaml: where the playbooks find what they repair, on their target."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

Command = tuple[str, ...]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RenewedCertificate(_Model):
    """What `renew-certificate` works with. `renew` makes the new pair; without it something else does.
    `reload` makes the server take the pair in place."""

    file: Path
    key: Path
    new_file: Path
    new_key: Path
    renew: Command = ()
    reload: Command = Field(min_length=1)
    ca_file: Path | None = None
    renew_before_days: int = Field(default=30, ge=0, le=365)


class Repairs(_Model):
    """`config_file` and `garbage_collect` are Distribution's; `deny_map` is a file that an nginx before the
    registry includes."""

    config_file: Path | None = None
    garbage_collect: Command = ()
    deny_map: Path | None = None
    proxy_test: Command = ("nginx", "-t")
    proxy_reload: Command = ("nginx", "-s", "reload")
    certificate: RenewedCertificate | None = None


def repairs_facts(repairs: Repairs) -> dict[str, object]:
    """As plain data for `from: registry.repairs.*`; what is not configured is None."""
    facts: dict[str, object] = repairs.model_dump(mode="json")
    facts["garbage_collect"] = list(repairs.garbage_collect) or None
    return facts
