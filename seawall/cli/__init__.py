"""The verbs. Plain text for people, --json for machines; exit 0 fine, 1 trouble found, 2 misuse."""

from seawall import one_thread  # isort: skip - before the first import of numpy
from seawall.cli import (
    auditing,
    exporting,
    history,
    incidents,
    keeping,
    models,
    parsing,
    people,
    playbooks,
    probing,
    repairing,
    replaying,
    reporting,
    running,
    telling,
    training,
    verifying,
    watching,
)
from seawall.cli.base import app, main

__all__ = [
    "app",
    "auditing",
    "exporting",
    "history",
    "incidents",
    "keeping",
    "main",
    "models",
    "one_thread",
    "parsing",
    "people",
    "playbooks",
    "probing",
    "repairing",
    "replaying",
    "reporting",
    "running",
    "telling",
    "training",
    "verifying",
    "watching",
]
