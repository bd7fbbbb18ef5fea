"""Stored history as the CSV files that `seawall import` reads back: values to six digits, gzip."""

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seawall.core.signals import SIGNALS
from seawall.core.times import rfc3339
from seawall.judging import History

EVER = (0.0, 4e9)
MOST = 1_000_000
SAID = ("observed", "expected", "expected_lower", "expected_upper", "anomaly_score")  # what the models said
LEFT_OUT = {"log.line", "message", "@timestamp", "http.request.id", "url.original"} | {
    "registry.reference",
    "registry.digest",
}


@contextmanager
def _rows(path: Path) -> Iterator[Any]:
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        yield csv.writer(text)
        text.flush()
        text.detach()


def write_samples(history: History, path: Path) -> None:
    """Every sample of every signal, by registry and signal."""
    with _rows(path) as rows:
        rows.writerow(("timestamp", "registry", "signal", "labels", "value"))
        for registry in history.registries:
            for name in (*SIGNALS, *(f"seawall_{part}" for part in SAID)):
                for it in history.samples.range(registry, name, *EVER):
                    pairs = ",".join(f"{key}={value}" for key, value in it.labels)
                    rows.writerow((f"{it.at:.3f}", it.registry, it.signal, pairs, f"{it.value:.6g}"))


def write_events(history: History, path: Path) -> None:
    """Every event, the oldest first; one column a field, of those that the notebooks read."""
    found = [it for name in history.registries for it in history.events.recent(name, *EVER, MOST)]
    columns = sorted({key for it in found for key in it.fields} - LEFT_OUT)
    with _rows(path) as rows:
        rows.writerow(("timestamp", "registry", "event.id", *columns))
        for it in sorted(found, key=lambda event: event.at):
            rows.writerow((rfc3339(it.at), it.registry, it.id, *(it.fields.get(c, "") for c in columns)))
