"""Collectors: read a registry the way its clients feel it. One file a kind; no judgement here."""
