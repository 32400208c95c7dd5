"""What an app password is good for, how long, and when it was used last."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("app_password", sa.Column("scope", sa.String, nullable=False, server_default="all"))
    op.add_column("app_password", sa.Column("expires", sa.Float, nullable=True))
    op.add_column("app_password", sa.Column("last_used", sa.Float, nullable=True))
    op.add_column("app_password", sa.Column("last_peer", sa.String, nullable=False, server_default=""))
    op.add_column("app_password", sa.Column("last_client", sa.String, nullable=False, server_default=""))
