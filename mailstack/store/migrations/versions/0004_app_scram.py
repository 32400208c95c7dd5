"""What SCRAM needs of an app password."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("app_password", sa.Column("scram", sa.String, nullable=True))
