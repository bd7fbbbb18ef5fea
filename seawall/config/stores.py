"""`stores.prometheus`, `.elasticsearch` and `.postgresql` of seawall.yaml: how servers are reached."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from seawall.core.times import parse_duration

Seconds = Annotated[
    float, BeforeValidator(lambda it: parse_duration(it) if isinstance(it, str) else it), Field(gt=0)
]
DAY = 86400.0


class Access(BaseModel):
    """Credentials, TLS and patience. `token` is a bearer token, or an API key of Elasticsearch. `spool` is
    how many MiB may wait on disk while the server is away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    token_file: Path | None = None
    token_env: str | None = None
    ca_file: Path | None = None
    timeout: Seconds = 10.0
    retries: int = Field(default=2, ge=0, le=10)
    spool: int = Field(default=4096, ge=1)

    @model_validator(mode="after")
    def _one_secret(self) -> "Access":
        passwords = [it for it in (self.password_file, self.password_env) if it]
        tokens = [it for it in (self.token_file, self.token_env) if it]
        if len(passwords) > 1 or len(tokens) > 1:
            raise ValueError("names a secret both by file and by env; keep one")
        if bool(self.username) != bool(passwords):
            raise ValueError("needs username together with password_file or password_env")
        if self.username and tokens:
            raise ValueError("has a username and a token; keep one of them")
        return self


class PrometheusAccess(Access):
    """`remote_write` sends samples with their own times; without it, what Prometheus scrapes is read. `job`
    is the label by which Seawall's series are told from others; `chunk` is the longest span of one
    question."""

    remote_write: bool = True
    write_url: str | None = Field(default=None, pattern=r"^https?://[^\s@]+$")
    job: str | None = Field(default=None, min_length=1)
    tenant: str | None = Field(default=None, min_length=1)
    ignore_labels: tuple[str, ...] = ()
    chunk: Seconds = DAY

    @property
    def series_job(self) -> str:
        """The job label; what is written is never mixed with what is scraped."""
        return self.job or ("seawall-samples" if self.remote_write else "seawall")


class PostgresqlAccess(BaseModel):
    """The password of the user whom the URL of `stores.records` names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password_file: Path | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> "PostgresqlAccess":
        if self.password_file and self.password_env:
            raise ValueError("names a secret both by file and by env; keep one")
        return self


class Retention(BaseModel):
    """Seconds that each kind of event is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access: Seconds = 180 * DAY
    audit: Seconds = 365 * DAY
    pull: Seconds = 180 * DAY
    run: Seconds = 365 * DAY


class ElasticsearchAccess(Access):
    """`namespace` ends the names of the data streams; `batch` is the most events of one bulk request."""

    namespace: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9_.]{0,99}$")
    retention: Retention = Retention()
    replicas: int = Field(default=1, ge=0, le=10)
    batch: int = Field(default=2000, ge=1, le=20000)


class AtScale(BaseModel):
    """How the servers that `stores` names are reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prometheus: PrometheusAccess = PrometheusAccess()
    elasticsearch: ElasticsearchAccess = ElasticsearchAccess()
    postgresql: PostgresqlAccess = PostgresqlAccess()
