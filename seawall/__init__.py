"""Seawall: observability and self-healing for private container registries."""

__version__ = "0.1.0"
