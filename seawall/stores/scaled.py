"""The stores of samples and events at scale, opened by URL. What waits for them lies in `folder`/spool."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from seawall.config_stores import ElasticsearchAccess, PrometheusAccess

if TYPE_CHECKING:
    from seawall.stores.elasticsearch import ElasticsearchEvents
    from seawall.stores.prometheus import PrometheusSamples

SAMPLES = ("prometheus+http", "prometheus+https")
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


def open_events(
    url: str, access: ElasticsearchAccess, folder: Path, clock: Callable[[], float]
) -> "ElasticsearchEvents | None":
    """The same for events."""
    if url.partition(":")[0] not in EVENTS:
        return None
    from seawall.stores.elasticsearch import ElasticsearchEvents

    return ElasticsearchEvents(url, access, folder / "spool" / "elasticsearch", clock)
