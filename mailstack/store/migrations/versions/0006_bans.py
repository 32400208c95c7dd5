"""Networks from which nobody may log in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ban",
        sa.Column("network", sa.String, primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
    )
