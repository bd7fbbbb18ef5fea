"""The audit log outside of Seawall: sent on, and its newest hash."""
