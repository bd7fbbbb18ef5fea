"""Alerts: judge the promise, find causes, say so. Nothing here changes a registry."""
