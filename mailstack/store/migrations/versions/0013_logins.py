"""Who logged in where."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "login",
        sa.Column("account", sa.String, sa.ForeignKey("account.address"), primary_key=True),
        sa.Column("protocol", sa.String, primary_key=True),
        sa.Column("peer", sa.String, primary_key=True),
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("client", sa.String, nullable=False),
        sa.Column("first", sa.Float, nullable=False),
        sa.Column("last", sa.Float, nullable=False),
    )
