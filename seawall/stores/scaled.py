"""The stores at scale, opened by URL. What waits for them lies in `folder`/spool."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from seawall.config.stores import ElasticsearchAccess, PostgresqlAccess, PrometheusAccess
from seawall.stores import sql_engine
from seawall.stores.credentials import secret_of
from seawall.stores.sql import SqlRecords

if TYPE_CHECKING:
    from seawall.stores.elasticsearch import ElasticsearchEvents
    from seawall.stores.prometheus import PrometheusSamples

SAMPLES = ("prometheus+http", "prometheus+https")
RECORDS = ("postgresql",)
EVENTS = ("elasticsearch+http", "elasticsearch+https")


@runtime_checkable
class Spooling(Protocol):
    """A store behind a spool."""

    @property
    def depth(self) -> int:
        """Deliveries that wait."""
        ...


def depths(**stores: object) -> dict[str, Callable[[], int]]:
    """How much waits in the spool of each store that has one, as `spool_KIND`."""

    def asked(store: Spooling) -> Callable[[], int]:
        return lambda: store.depth

    return {f"spool_{kind}": asked(store) for kind, store in stores.items() if isinstance(store, Spooling)}


def open_samples(
    url: str, access: PrometheusAccess, folder: Path, clock: Callable[[], float]
) -> "PrometheusSamples | None":
    """The sample store of that URL; None for another scheme's. InputError. The libraries are loaded by those
    who use them only."""
    if url.partition(":")[0] not in SAMPLES:
        return None
    from seawall.stores.prometheus import PrometheusSamples

    return PrometheusSamples(url, access, folder / "spool" / "prometheus", clock)


def open_records(url: str, access: PostgresqlAccess, folder: Path) -> SqlRecords:
    """The records of any URL; `sqlite:` alone lies in `folder`. InputError, StoreUnavailable."""
    place = "stores.postgresql"
    password = secret_of(access.password_file, access.password_env, place)
    return SqlRecords(f"sqlite:{folder / 'records.sqlite'}" if url == "sqlite:" else url, password)


def ask_records(url: str, access: PostgresqlAccess) -> str:
    """What the server says it is. InputError, StoreUnavailable."""
    return sql_engine.ask(url, secret_of(access.password_file, access.password_env, "stores.postgresql"))


def open_events(
    url: str, access: ElasticsearchAccess, folder: Path, clock: Callable[[], float]
) -> "ElasticsearchEvents | None":
    """The same for events."""
    if url.partition(":")[0] not in EVENTS:
        return None
    from seawall.stores.elasticsearch import ElasticsearchEvents

    return ElasticsearchEvents(url, access, folder / "spool" / "elasticsearch", clock)
