"""The serving detector: what it has learned is restored at the start and kept every minute."""

import asyncio
import logging

from models.lstm import Lstm
from seawall.core.errors import InputError
from seawall.core.ports import Detector
from seawall.statefolder import StateFolder

log = logging.getLogger(__name__)


async def keep_detector(detector: Detector, state: StateFolder) -> None:
    """Save its state once a minute, for ever."""
    while True:
        await asyncio.sleep(60)
        await asyncio.to_thread(save_detector, detector, state)


def save_detector(detector: Detector, state: StateFolder) -> None:
    """A full disk costs what was learned since the last time, and nothing else."""
    try:
        state.write_bytes(f"detector-{detector.name}", detector.state())
    except OSError as error:
        log.error("the detector's state is not kept: %s", error)


def restored_detector(state: StateFolder) -> Detector:
    """The shipped LSTM, with what it has learned here; a state that does not fit is left aside, said."""
    detector = Lstm()
    kept = state.read_bytes(f"detector-{detector.name}")
    if kept is not None:
        try:
            detector.restore(kept)
        except InputError as error:
            log.warning("the detector starts anew: %s", error)
            return Lstm()
    return detector
