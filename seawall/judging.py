"""The judge as configured: of this moment, and of a past one by what had arrived by then."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from alerts.evaluate import Evaluator
from alerts.slos import load_rows, load_windows
from seawall.config import Config
from seawall.core.errors import InputError
from seawall.core.ports import EventStore, SampleStore
from seawall.core.slos import Exclusion, SloStatus
from seawall.stores.duckdb import DuckDatabase, DuckEvents, DuckSamples


@runtime_checkable
class Recalls(Protocol):
    """A store that knows when each row arrived."""

    def past(self, at: float) -> Any:
        """The same store, as if it were `at` (Unix seconds)."""
        ...


class Planned:
    """The recorded maintenance, by registry."""

    def __init__(self, config: Config) -> None:
        self._all = config.maintenance

    def __call__(self, registry: str) -> Sequence[Exclusion]:
        """What is excluded for it, in the file's order."""
        return [it for planned in self._all if (it := planned.of(registry)) is not None]


def judge_of(config: Config, samples: SampleStore, events: EventStore) -> Evaluator:
    """The matrix of the configuration over two stores."""
    trusted = [registry.name for registry in config.registries if registry.trust.configured]
    return Evaluator(
        load_rows(config.slos),
        load_windows(),
        samples,
        events,
        config.probe.interval,
        trusted,
        Planned(config),
    )


def recall(config: Config, samples: SampleStore, events: EventStore, at: float) -> Evaluator:
    """A judge that knows what had arrived by `at`. A store that does not know when its rows arrived (memory,
    Prometheus) is read as it is."""
    if isinstance(samples, Recalls):
        samples = samples.past(at)
    if isinstance(events, Recalls):
        events = events.past(at)
    return judge_of(config, samples, events)


class History:
    """The embedded stores of a state folder, read without a service. SeawallError while one works in it."""

    def __init__(self, config: Config, state: Path) -> None:
        folder = state / "data"
        if not (folder / "open.duckdb").exists():
            raise InputError(
                str(state), "no embedded history is kept here", "give --state, or `seawall import` some"
            )
        self._config, self._database = config, DuckDatabase(folder)
        self.samples, self.events = DuckSamples(self._database), DuckEvents(self._database)

    @property
    def registries(self) -> list[str]:
        """Those of the configuration; where it has none, those that the history tells of."""
        named = [registry.name for registry in self._config.registries]
        return named or self._database.registries()

    def judge(self, at: float) -> Evaluator:
        """See `recall`."""
        return recall(self._config, self.samples, self.events, at)

    def judge_now(self) -> Evaluator:
        """Of all that is kept."""
        return judge_of(self._config, self.samples, self.events)

    def statuses(self, at: float, registry: str | None = None) -> list[SloStatus]:
        """Every row of every registry as of `at`."""
        judge = self.judge(at)
        return [it for name in self.registries if registry in (None, name) for it in judge.judge(name, at)]

    def close(self) -> None:
        """Release the folder."""
        self._database.close()
