"""A user database of an earlier version is brought up to date with what it holds."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from mailstack.store.database import MIGRATIONS, Database, newest_revision
from mailstack.store.users.devices import Device
from mailstack.store.users.directory import Directory


async def test_the_first_versions_accounts_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "mailstack.sqlite3"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(path) as old:
        old.execute("INSERT INTO domain VALUES ('a.test')")
        old.execute("INSERT INTO account VALUES ('alice@a.test', 'a.test', '{PLAIN}x', 7, 0, 'a.test/alice', 1.0)")
        old.execute("INSERT INTO app_password VALUES ('digest', 'alice@a.test', 'phone', 1.0)")
    old.close()
    database = Database(path)
    database.start()
    directory = Directory(database, tmp_path / "mail")
    await directory.start()
    record = await directory.account("alice@a.test")
    assert record is not None
    assert (record.password, record.quota, record.folder, record.hidden, record.asked, record.scram) == (
        "{PLAIN}x", 7, "a.test/alice", frozenset(), frozenset(), None,
    )  # fmt: skip
    assert await directory.app_password("digest") == Device("digest", "alice@a.test", "phone")
    # Their passwords were not seen yet: SCRAM would lock them out.
    assert not directory.scram_whole
    database.close()


def test_the_newest_migration_is_known_by_its_name() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert newest_revision() == ScriptDirectory.from_config(config).get_current_head()
