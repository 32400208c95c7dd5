"""Client certificates that are bound to accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bound_certificate",
        sa.Column("account", sa.String, sa.ForeignKey("account.address"), primary_key=True),
        sa.Column("label", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False, index=True),
        sa.Column("pem", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
