"""The serving models: what they have learned is restored at the start and kept every minute."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from models.lstm import Lstm
from models.registry import SHIPPED, ModelRegistry
from models.watch import Watch
from seawall.core.errors import SeawallError
from seawall.core.slos import SloRow
from seawall.statefolder import StateFolder

MODELS = "models"
log = logging.getLogger(__name__)


async def keep_watch(watch: Watch, state: StateFolder, follow: Callable[[], None]) -> None:
    """Once a minute, for ever: `follow` what was promoted, save what was learnt."""
    while True:
        await asyncio.sleep(60)
        await asyncio.to_thread(follow)
        await asyncio.to_thread(save_watch, watch, state)


def save_watch(watch: Watch, state: StateFolder) -> None:
    """A full disk costs what was learned since the last time, and nothing else."""
    try:
        for part, content in watch.states().items():
            state.write_bytes(part, content)
    except OSError as error:
        log.error("what the models learned is not kept: %s", error)


def restored_watch(rows: Sequence[SloRow], state: StateFolder) -> Watch:
    """The promoted LSTM and the baseline, with what they have learned here; a part that does not fit is
    left aside, said."""
    watch = Watch(rows, _promoted(state.path / MODELS))
    for part in watch.PARTS:
        kept = state.read_bytes(part)
        if kept is None:
            continue
        try:
            watch.restore(part, kept)
        except SeawallError as error:
            log.warning("%s starts anew: %s", part, error)
    return watch


def _promoted(folder: Path) -> Lstm:
    """The version that was promoted last; the shipped one where that cannot be read, said."""
    versions = ModelRegistry(folder)
    try:
        return versions.load(versions.current())
    except SeawallError as error:
        log.warning("the shipped model serves: %s", error)
        return versions.load(SHIPPED)
