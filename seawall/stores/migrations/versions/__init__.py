"""The revisions, oldest first by name. A revision that has shipped is never changed."""
