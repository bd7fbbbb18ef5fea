"""One measured figure beside its limit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` and `limit` in `unit`; the limit is kept while the value does not exceed it."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        """True while the value is within the limit."""
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "kept" if self.kept else "MISSED"
        return f"{self.name:<52} {self.value:9.2f} {self.unit:<4} limit {self.limit:g} {self.unit}: {verdict}"
