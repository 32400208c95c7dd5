"""Domains, accounts, aliases, app passwords, settings, the queue's schedule."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("domain", sa.Column("name", sa.String, primary_key=True))
    op.create_table(
        "account",
        sa.Column("address", sa.String, primary_key=True),
        sa.Column("domain", sa.String, sa.ForeignKey("domain.name"), nullable=False, index=True),
        sa.Column("password", sa.String, nullable=False),
        sa.Column("quota", sa.BigInteger, nullable=True),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("folder", sa.String, nullable=False, unique=True),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "alias",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("target", sa.String, primary_key=True),
        sa.Column("domain", sa.String, sa.ForeignKey("domain.name"), nullable=False, index=True),
    )
    op.create_table(
        "app_password",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("account", sa.String, sa.ForeignKey("account.address", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table("setting", sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False))
    op.create_table(
        "queued",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("next_attempt", sa.Float, nullable=False, index=True),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
