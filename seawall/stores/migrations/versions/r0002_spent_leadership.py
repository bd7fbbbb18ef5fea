"""What may be used once (the links of notifications), and who leads."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make `spent` (a Seawall between two revisions may have made it) and `leadership`."""
    op.create_table(
        "spent",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "leadership",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("seen", sa.Float(53), nullable=False),
    )
