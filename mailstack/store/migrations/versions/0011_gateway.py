"""Domains whose mail is passed on."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gateway",
        sa.Column("domain", sa.String, primary_key=True),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("knows", sa.String, nullable=False),
    )
    op.create_table(
        "gateway_recipient",
        sa.Column("domain", sa.String, sa.ForeignKey("gateway.domain", ondelete="CASCADE"), primary_key=True),
        sa.Column("address", sa.String, primary_key=True),
    )
