"""Figures of docs/benchmarks.md, each printed with its limit; `python -m benchmarks [NAME...]`."""
