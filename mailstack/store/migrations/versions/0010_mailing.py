"""Aliases that are mailing lists."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mailing",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("domain", sa.String, sa.ForeignKey("domain.name", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("posting", sa.String, nullable=False),
        sa.Column("posters", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("unsubscribe", sa.String, nullable=False),
    )
