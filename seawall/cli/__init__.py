"""The verbs. Plain text for people, --json for machines; exit 0 fine, 1 trouble found, 2 misuse."""

from seawall.cli import models, parsing, probing, repairing, training, verifying, watching
from seawall.cli.base import app, main

__all__ = ["app", "main", "models", "parsing", "probing", "repairing", "training", "verifying", "watching"]
