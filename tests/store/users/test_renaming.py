"""An account gets another address: everything that hangs on it comes along."""

from pathlib import Path

import pytest
from sqlmodel import SQLModel

from mailstack.message.address import parse_address
from mailstack.store.database import Database
from mailstack.store.users.directory import Directory, DirectoryProblem
from tests.store.users.test_directory import add


@pytest.fixture
async def directory(tmp_path: Path) -> Directory:
    database = Database(tmp_path / "mailstack.sqlite3")
    database.start()
    one = Directory(database, tmp_path / "mail")
    for name in ("a.test", "b.test"):
        await one.add_domain(name)
    return one


async def test_what_hangs_on_an_account_comes_along(directory: Directory) -> None:
    folder = await add(directory, "alice@a.test")
    await add(directory, "bob@a.test")
    await directory.add_alias("info@a.test", ["alice@a.test", "bob@a.test"])
    await directory.add_app_password("alice@a.test", "phone", "digest", 1.0)
    await directory.grant_sender("alice@a.test", "shop@a.test")
    ended: list[str] = []
    directory.on_revoked.append(ended.append)
    await directory.rename_account("alice@a.test", parse_address("Alice@b.test"), keep=True)
    record = await directory.account("alice@b.test")
    assert record is not None
    assert (record.folder, record.password, ended) == (folder, "{PLAIN}x", ["alice@a.test"])
    assert await directory.account("alice@a.test") is None
    entry = await directory.entry("alice@a.test")
    assert entry.targets == ("alice@b.test",)
    assert sorted((await directory.entry("info@a.test")).targets) == ["alice@b.test", "bob@a.test"]
    assert await directory.granted_senders("alice@b.test") == ["shop@a.test"]
    # And back: the alias that it had left behind is the account again.
    await directory.rename_account("alice@b.test", parse_address("alice@a.test"), keep=False)
    assert (await directory.entry("alice@b.test")).targets == ()
    assert (await directory.account("alice@a.test")) is not None


async def test_what_can_not_be(directory: Directory) -> None:
    await add(directory, "alice@a.test")
    await add(directory, "alice@b.test")
    await directory.add_alias("info@b.test", ["alice@b.test"])
    for old, new in (
        ("nobody@a.test", "x@b.test"),
        ("alice@a.test", "alice@b.test"),
        ("alice@a.test", "info@b.test"),
        ("alice@a.test", "x@c.test"),
    ):
        with pytest.raises(DirectoryProblem):
            await directory.rename_account(old, parse_address(new), keep=True)
    assert await directory.account("alice@a.test") is not None


def test_no_table_is_forgotten() -> None:
    """Columns that are called like it refer to it, or are known to hold it loosely."""
    from mailstack.store.users.renaming import LOOSE

    loose = {(one.class_.__tablename__, one.property.columns[0].name) for one in LOOSE}
    for table in SQLModel.metadata.sorted_tables:
        if "account" in table.columns and not table.columns["account"].foreign_keys:
            assert (table.name, "account") in loose, table.name


async def test_a_renamed_account_that_was_removed_comes_back_by_its_last_name(directory: Directory) -> None:
    folder = await add(directory, "dan@a.test")
    await directory.rename_account("dan@a.test", parse_address("robert@a.test"), keep=False)
    await directory.remove_account("robert@a.test")
    with pytest.raises(DirectoryProblem, match="was removed here"):
        await directory.take_back(parse_address("dan@a.test"), "{PLAIN}x", None, 0.0)  # who may be somebody else
    back = await directory.take_back(parse_address("robert@a.test"), "{PLAIN}x", None, 0.0)
    assert back.folder == folder
    with pytest.raises(DirectoryProblem):
        await directory.take_back(parse_address("robert@a.test"), "{PLAIN}x", None, 0.0)
