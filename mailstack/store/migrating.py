"""The database's schema is brought to this version, by alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mailstack.store.database import MIGRATIONS
from mailstack.store.errors import DataTooNew


def migrate(connection: Connection, current: str | None, path: Path) -> None:
    """From revision `current`, None for a new database. Raises DataTooNew, sqlalchemy's DatabaseError."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise DataTooNew(f"{path} was written by a newer version (revision {current})")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
