"""The state folder that a notebook reads: your own, or a sample made here by Seawall's own parts.

SEAWALL_STATE   a state folder, or a restored backup of one; no Seawall may work in it
SEAWALL_CONFIG  its seawall.yaml (else built-in defaults: registries as the history tells of them)
"""

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from seawall import backfill
from seawall import config as configuration
from seawall.config import Config
from seawall.core.errors import InputError
from seawall.judging import History
from seawall.statefolder import held
from seawall.stores.sql import SqlRecords

RECORDED = Path(__file__).parent / "sample" / "incidents"


class Harbour(NamedTuple):
    """What is read: history (samples, events, judge), records, configuration, the folder, and whether it is
    the sample."""

    history: History
    records: SqlRecords
    config: Config
    state: Path
    sample: bool

    @property
    def registry(self) -> str:
        """The first that is watched."""
        return self.history.registries[0]


@contextmanager
def opened(sample: Callable[[Path], Path | None]) -> Iterator[Harbour]:
    """The folder of $SEAWALL_STATE, else one that `sample` fills (it returns its seawall.yaml or None).
    InputError where a Seawall works in it."""
    with tempfile.TemporaryDirectory(prefix="seawall-notebook-") as folder:
        given = os.environ.get("SEAWALL_STATE")
        state = Path(given) if given else Path(folder)
        named = None if given else sample(state)
        if held(state):
            raise InputError(
                str(state), "a Seawall works in it", "read a restored backup (`seawall restore`)"
            )
        path, _ = configuration.locate(named, os.environ) if given or named else (None, "")
        config = configuration.load(path)
        history, records = History(config, state), SqlRecords(f"sqlite:{state / 'records.sqlite'}")
        try:
            yield Harbour(history, records, config, state, not given)
        finally:
            records.close()
            history.close()


def recorded(state: Path) -> None:
    """Three failures of a real registry (notebooks/record.py), imported as `seawall import` does."""
    for kind in ("samples", "events"):
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            with gzip.open(RECORDED / f"{kind}.csv.gz") as packed:
                shutil.copyfileobj(packed, file)
            file.flush()
            done = backfill.run(kind, Path(file.name), state)
        if done.refused or not done.new:
            raise InputError(kind, f"{len(done.refused)} rows refused, {done.new} kept", "record it again")
    with gzip.open(RECORDED / "records.sqlite.gz") as packed, (state / "records.sqlite").open("wb") as file:
        shutil.copyfileobj(packed, file)
