"""Stores: one file an engine; the scheme of the URL is the name of the file or listed in it."""
