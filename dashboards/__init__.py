"""Dashboards for Grafana: one file a board, listed in build.py, from the parts in shared.py."""
