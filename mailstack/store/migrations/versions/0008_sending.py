"""As whom an account may send, how much it may and did, and whether it is stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "send_as",
        sa.Column("account", sa.String, sa.ForeignKey("account.address"), primary_key=True),
        sa.Column("address", sa.String, primary_key=True),
    )
    op.create_table(
        "sending_limit",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("hour", sa.Integer, nullable=True),
        sa.Column("day", sa.Integer, nullable=True),
        sa.Column("fresh", sa.Integer, nullable=True),
        sa.Column("recipients", sa.Integer, nullable=True),
    )
    op.create_table(
        "sent",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("fresh", sa.Integer, nullable=False),
    )
    op.create_table(
        "known_recipient",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("recipient", sa.String, primary_key=True),
    )
    op.create_table(
        "stopped",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("sign", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
    )
