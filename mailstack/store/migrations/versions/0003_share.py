"""Which accounts may share mailboxes with which."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "share",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("grantee", sa.String, primary_key=True, index=True),
    )
