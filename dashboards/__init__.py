"""Dashboards: pictures built from the SLO rows. Not built yet; see the README."""
