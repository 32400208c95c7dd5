"""Links that set up a device live over a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "setup_link",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("account", sa.String, sa.ForeignKey("account.address"), nullable=False, index=True),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("sealed", sa.String, nullable=False),
        sa.Column("ends", sa.Float, nullable=False, index=True),
    )
