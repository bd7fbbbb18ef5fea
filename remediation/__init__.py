"""Remediation: preview, approve, run, verify. Nothing here decides what is wrong."""
