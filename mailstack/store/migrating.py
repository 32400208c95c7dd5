"""The database's schema is brought to this version, by alembic: on a copy (upgrading.py)."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mailstack.store.errors import DataTooNew


@dataclass(frozen=True, slots=True)
class Step:
    """One migration, and what its file says of it: `text` is the first line, `changes` (COUNTS_CHANGE) the tables whose number
    of rows it changes, `touches` (TOUCHES) the files beside the database that it changes, too.
    """

    revision: str
    text: str
    changes: frozenset[str]
    touches: tuple[str, ...]


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def pending(current: str | None, migrations: Path, path: Path) -> list[Step]:
    """What is to be done from revision `current` on, in order; None for a new database. Raises DataTooNew."""
    script = ScriptDirectory.from_config(_config(migrations))
    revisions = list(script.walk_revisions())  # the newest first
    if current is not None and current not in {one.revision for one in revisions}:
        newest = revisions[0].revision
        raise DataTooNew(
            f"{path} was written by a newer version of mailstack (revision {current}, this one knows {newest}): "
            "start that version again, or restore a backup of before"
        )
    steps = []
    for one in revisions:
        if one.revision == current:
            break
        text = (one.doc or "").strip().splitlines()
        module = one.module
        changes, touches = getattr(module, "COUNTS_CHANGE", ()), getattr(module, "TOUCHES", ())
        steps.append(Step(one.revision, text[0] if text else "", frozenset(changes), tuple(touches)))
    return steps[::-1]


def migrate(connection: Connection, migrations: Path, revision: str) -> None:
    """Up to a revision. Raises whatever a migration raises."""
    config = _config(migrations)
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
