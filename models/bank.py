"""A bank of series: named arrays [..., capacity] that grow together and are saved and restored exactly."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from seawall.core.errors import InputError

Array = NDArray[Any]
Index = slice | NDArray[np.intp]
FORMAT = 1
_DIGEST = hashlib.sha256().digest_size


class Bank:
    """Columns of every series. `shapes` maps an array's name to (leading shape, dtype)."""

    def __init__(self, shapes: Mapping[str, tuple[tuple[int, ...], type]], limit: int, place: str) -> None:
        self._shapes, self._limit, self._place = dict(shapes), limit, place
        self.names: list[str] = []
        self._columns: dict[str, int] = {}
        self.arrays: dict[str, Array] = self._empty(0)

    def index(self, names: Sequence[str]) -> Index:
        """Where known series live; all of them in the bank's own order is a slice, which copies nothing."""
        if names == self.names:
            return slice(0, len(names))
        return np.array([self._columns[name] for name in names], dtype=np.intp)

    def positions(self, names: Sequence[str]) -> NDArray[np.intp]:
        """The columns of known series [n]."""
        return np.array([self._columns[name] for name in names], dtype=np.intp)

    def join(self, names: Sequence[str]) -> list[int]:
        """Give new names a column; returns the positions within `names` of those that are new.

        InputError, with nothing changed, when the bank would hold more series than its limit.
        """
        new = [i for i, name in enumerate(names) if name not in self._columns]
        if new:
            self._grow(len(self.names) + len(new))
            for i in new:
                self._columns[names[i]] = len(self.names)
                self.names.append(names[i])
        return new

    def take(self, array: str, index: Index) -> Array:
        """[..., n] of the indexed series; a view when the index is a slice, else a copy."""
        return self.arrays[array][..., index]

    def put(self, array: str, index: Index, block: Array) -> None:
        """Write back what `take` gave; a view is there already."""
        if block.base is not self.arrays[array]:
            self.arrays[array][..., index] = block

    def save(self, kind: Mapping[str, str]) -> bytes:
        """SHA-256 then safetensors bytes; `kind` tells whose state it is."""
        header = json.dumps({"format": FORMAT, **kind, "names": self.names}).encode()
        used = {k: np.ascontiguousarray(a[..., : len(self.names)]) for k, a in self.arrays.items()}
        body: bytes = save({**used, "header": np.frombuffer(header, dtype=np.uint8)})
        return hashlib.sha256(body).digest() + body

    def load(self, state: bytes, kind: Mapping[str, str]) -> None:
        """Replace everything by a saved state of `kind`; InputError, with nothing changed, if it is none."""
        arrays = self._read(state)
        header = json.loads(arrays.pop("header").tobytes())
        expected = {"format": FORMAT, **kind}
        found = {key: header.get(key) for key in expected}
        if found != expected:
            raise self._refused(f"it is of {found}, this is {expected}")
        names = header["names"]
        self._fit(arrays, names)
        self.names, self._columns = names, {name: i for i, name in enumerate(names)}
        self.arrays = self._filled(arrays, len(names))

    def _read(self, state: bytes) -> dict[str, Array]:
        """The arrays of a saved state whose checksum holds."""
        if hashlib.sha256(state[_DIGEST:]).digest() != state[:_DIGEST]:
            raise self._refused("its checksum does not match: cut off, damaged or something else")
        try:
            arrays: dict[str, Array] = load(state[_DIGEST:])
        except SafetensorError as error:
            raise self._refused(f"not safetensors: {error}") from error
        if "header" not in arrays:
            raise self._refused("it has no header")
        return arrays

    def _fit(self, arrays: Mapping[str, Array], names: Sequence[str]) -> None:
        """Refuse arrays that are not this bank's, and more series than the limit."""
        self._within(len(names))
        wanted = {k: ((*lead, len(names)), np.dtype(kind)) for k, (lead, kind) in self._shapes.items()}
        if {k: (a.shape, a.dtype) for k, a in arrays.items()} != wanted:
            raise self._refused(f"its arrays are not {sorted(wanted)} over {len(names)} series")

    def _refused(self, finding: str) -> InputError:
        return InputError(f"{self._place} state", finding, "start without it; the detector learns anew")

    def _within(self, count: int) -> None:
        if count > self._limit:
            raise InputError(
                self._place, f"{count} series, more than {self._limit}", "watch fewer, or raise the limit"
            )

    def _grow(self, count: int) -> None:
        """Make room for `count` series."""
        self._within(count)
        if count > len(next(iter(self.arrays.values())).T):
            self.arrays = self._filled(self.arrays, count)

    def _filled(self, arrays: Mapping[str, Array], count: int) -> dict[str, Array]:
        """`arrays` within new ones of the capacity for `count` series."""
        new = self._empty(count)
        for name, array in arrays.items():
            new[name][..., : array.shape[-1]] = array
        return new

    def _empty(self, count: int) -> dict[str, Array]:
        """Zeros with room for `count` series: the next power of two from 16."""
        capacity = max(16, 1 << max(count - 1, 0).bit_length())
        return {name: np.zeros((*lead, capacity), dtype=kind) for name, (lead, kind) in self._shapes.items()}
