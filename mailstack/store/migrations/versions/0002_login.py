"""An account's own choice of capabilities, and what SCRAM needs of its password."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("capabilities", sa.String, nullable=False, server_default=""))
    op.add_column("account", sa.Column("scram", sa.String, nullable=True))
