"""Tokens of the HTTP API, what was sent by it, and hooks."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("label", sa.String, nullable=False, unique=True),
        sa.Column("account", sa.String, sa.ForeignKey("account.address")),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("last_used", sa.Float),
        sa.Column("last_peer", sa.String),
    )
    op.create_table(
        "api_sent",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("time", sa.Float, nullable=False, index=True),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("events", sa.String, nullable=False),
        sa.Column("account", sa.String, sa.ForeignKey("account.address")),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "webhook_due",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("hook", sa.String, sa.ForeignKey("webhook.id"), nullable=False),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.Float, nullable=False, index=True),
        sa.Column("problem", sa.String),
    )
