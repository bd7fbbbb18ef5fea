"""The records' schema over time: one Alembic revision a file in versions/, the same for every engine."""
