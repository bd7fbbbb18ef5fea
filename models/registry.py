"""Named versions of the LSTM: the shipped one and those adapted here, with cards, promotion and roll-back.

A folder holds NAME.safetensors and NAME.json (the card) of each version and promotions.json, the list of
what served when. Everything is replaced atomically; weights are read back only with their card's SHA-256.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.lstm import WEIGHTS, Lstm
from models.recurrent import read_weights
from seawall.core.errors import Conflict, InputError, NotFound
from seawall.core.times import rfc3339

SHIPPED = WEIGHTS.stem
PROMOTIONS = "promotions.json"
ADAPTED = "adapted-"
KEPT = 10  # adapted versions; older ones that do not serve are removed


@dataclass(frozen=True, slots=True)
class Promotion:
    """From `at` (Unix seconds) this version served."""

    name: str
    by: str
    at: float
    reason: str
    rolled_back: bool = False


class ModelRegistry:
    """The versions of one installation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """The shipped version, then the adapted ones by name, which begins with their date."""
        return [SHIPPED, *sorted(path.stem for path in self._folder.glob(f"{ADAPTED}*.safetensors"))]

    def path(self, name: str) -> Path:
        """The weights of a version; NotFound if there is none of that name."""
        if name == SHIPPED:
            return WEIGHTS
        if name not in self.names():
            raise NotFound(f"no model version {name!r} in {self._folder}; known: {', '.join(self.names())}")
        return self._folder / f"{name}.safetensors"

    def card(self, name: str) -> dict[str, Any]:
        """What is known of a version; InputError if its files do not belong together."""
        return read_weights(self.path(name))[0]

    def load(self, name: str) -> Lstm:
        """The version, ready to learn from nothing."""
        return Lstm(self.path(name))

    def add(self, name: str, weights: bytes, card: Mapping[str, Any]) -> None:
        """Keep a new version. Conflict if the name is taken."""
        if name in self.names():
            raise Conflict(f"there is a model version {name!r} already")
        facts = {"file": f"{name}.safetensors", "sha256": hashlib.sha256(weights).hexdigest()}
        text = json.dumps({**card, "name": name, "weights": facts}, indent=1) + "\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(f"{name}.json", text.encode())
        self._write(f"{name}.safetensors", weights)
        self._tidy()

    def keep_state(self, name: str, state: bytes) -> None:
        """What the version has learnt of this installation's series, so that it need not start anew."""
        self._write(f"{name}.state", state)

    def state(self, name: str) -> bytes | None:
        """What keep_state kept, None if nothing was."""
        path = self._folder / f"{name}.state"
        return path.read_bytes() if path.exists() else None

    def promotions(self) -> list[Promotion]:
        """What served, the newest first; InputError if the file is damaged."""
        path = self._folder / PROMOTIONS
        try:
            return [Promotion(**one) for one in json.loads(path.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            remedy = f"remove it: {SHIPPED} serves again"
            raise InputError(str(path), f"cannot be read: {error!r}", remedy) from error

    def current(self) -> str:
        """The version that serves."""
        return self._served()[-1]

    def _served(self) -> list[str]:
        """The versions that served and were not rolled back, the present one last."""
        served = [SHIPPED]
        for promotion in reversed(self.promotions()):
            if promotion.rolled_back:
                served = served[:-1] or [SHIPPED]
            elif promotion.name != served[-1]:
                served.append(promotion.name)
        names = self.names()
        return [name for name in served if name in names]

    def promote(self, name: str, by: str, at: float, reason: str) -> None:
        """Let a version serve from now on; it is read once to the end first."""
        self.load(name)
        self._record(Promotion(name, by, at, reason))

    def roll_back(self, by: str, at: float, reason: str) -> str:
        """Let the version serve that served before the present one; returns its name. Conflict if there
        is none but the shipped one, which serves already."""
        served = self._served()
        if len(served) == 1:
            raise Conflict(f"{SHIPPED} serves, the version that ships: there is nothing before it")
        name, current = served[-2:]
        self._record(Promotion(name, by, at, f"rolled back from {current}: {reason}", rolled_back=True))
        return name

    def compare(self, one: str, other: str) -> dict[str, tuple[Any, Any]]:
        """Facts of two cards side by side: fact -> (of one, of the other), where either has it."""
        left, right = (_flat(self.card(name)) for name in (one, other))
        return {key: (left.get(key), right.get(key)) for key in sorted(left.keys() | right.keys())}

    def _record(self, promotion: Promotion) -> None:
        known = [asdict(it) for it in [promotion, *self.promotions()]]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write(PROMOTIONS, json.dumps(known, indent=1).encode())

    def _tidy(self) -> None:
        """Remove the oldest adapted versions that have never served or not lately."""
        adapted = self.names()[1:]
        serving = self._served()[-2:]
        for name in [it for it in adapted[:-KEPT] if it not in serving]:
            for kind in ("safetensors", "json", "state"):
                (self._folder / f"{name}.{kind}").unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        """A crash leaves the old or the new file, never half of one."""
        temporary = self._folder / f".{name}.new"
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / name)


def version_name(at: float) -> str:
    """The name of a version adapted at this moment: it sorts by time."""
    return f"{ADAPTED}{rfc3339(at)[:19].replace(':', '')}"


def _flat(card: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of a card's single facts."""
    out: dict[str, Any] = {}
    for key, value in card.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, Sequence) or isinstance(value, str):
            out[f"{prefix}{key}"] = value
    return out
