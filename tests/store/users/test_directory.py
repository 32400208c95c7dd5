"""Accounts, aliases and domains: what a key is, what an account may send as, where its mail lies."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.policy.routing import Local, Router, Unknown
from mailstack.store.database import Database
from mailstack.store.errors import DataTooNew
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory, DirectoryProblem
from tests.store.mailbox.test_account import append
from tests.support.server import Server

HOSTILE = (
    '"../x"', '".."', '"."', "%2e%2e", '"a/b"', '"/etc/passwd"', "UPPER", "upper.Case", '"a\\"b"', '"a b"', "'a'", "a+b",
    "a=2", "~root", "$HOME", "`id`", "*", "{a-b}", '"a\\\\b"', "ü" * 32, "漢" * 21, "a" * 64, "\U0001f600" * 16, "-rf",
    '".a."', "a|b",
)  # fmt: skip


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    database = Database(tmp_path / "mailstack.sqlite3")
    database.start()
    one = Directory(database, tmp_path / "mail")
    await one.add_domain("a.test")
    yield one
    database.close()


async def add(directory: Directory, address: str) -> str:
    """The folder of a new account."""
    return (await directory.add_accounts([(parse_address(address), "{PLAIN}x", None)], 0.0))[0].folder


async def test_no_address_leads_out_of_its_domains_folder(directory: Directory, tmp_path: Path) -> None:
    boxes = Mailboxes("mail.a.test")
    folders = []
    for local in HOSTILE:
        await add(directory, f"{local}@a.test")
        record = await directory.account(f"{local}@a.test")
        assert record is not None, local
        path = directory.folder(record).path
        assert path.parent == tmp_path / "mail" / "a.test", local
        assert len(path.name.encode()) <= 255
        assert path.name.isascii()
        assert not path.name.startswith(".")
        folders.append(path.name)
        account = await boxes.account(directory.folder(record))
        await append(account)
        assert (path / "Maildir" / "cur").is_dir(), local
    assert len({name.lower() for name in folders}) == len(HOSTILE), "two accounts would share a folder"
    assert sorted(path.name for path in (tmp_path / "mail" / "a.test").iterdir()) == sorted(folders)
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["a.test"]
    await boxes.close()


async def test_ordinary_addresses_have_readable_folders(directory: Directory) -> None:
    assert await add(directory, "first.last@a.test") == "a.test/first.last"
    assert await add(directory, "Jörg@a.test") == "a.test/j%C3%B6rg"
    assert await add(directory, "a+b_c=d-e@a.test") == "a.test/a+b_c=d-e"


async def test_removed_and_added_again_starts_empty(directory: Directory) -> None:
    boxes = Mailboxes("mail.a.test")
    seen = set()
    for number in range(3):
        await add(directory, "alice@a.test")
        record = await directory.account("alice@a.test")
        assert record is not None
        account = await boxes.account(directory.folder(record))
        status = await account.status("INBOX")
        assert status.messages == 0
        seen.add((record.folder, status.uid_validity, status.id))
        await append(account)
        await directory.remove_account("alice@a.test")
        assert await directory.account("alice@a.test") is None
        assert len(seen) == number + 1
    assert len({folder for folder, _, _ in seen}) == 3
    assert len({uid_validity for _, uid_validity, _ in seen}) == 3
    await boxes.close()


async def test_an_account_and_its_app_passwords_go_together(directory: Directory) -> None:
    await add(directory, "alice@a.test")
    await directory.add_app_password("alice@a.test", "phone", "digest", 0.0, "scram")
    await directory.remove_account("alice@a.test")
    assert await directory.app_password("digest") is None
    await add(directory, "alice@a.test")
    assert await directory.scram_keys("alice@a.test") == []


async def test_all_or_nothing(directory: Directory) -> None:
    rows = [(parse_address(address), "{PLAIN}x", None) for address in ("x@a.test", "y@a.test", "z@b.test")]
    with pytest.raises(DirectoryProblem):
        await directory.add_accounts(rows, 0.0)
    assert await directory.accounts() == []
    for again in ("x@a.test", "X@A.test"):
        with pytest.raises(DirectoryProblem):
            await directory.add_accounts([rows[0], (parse_address(again), "{PLAIN}x", None)], 0.0)
    assert await directory.accounts() == []


async def test_refused_changes(directory: Directory) -> None:
    await add(directory, "alice@a.test")
    with pytest.raises(DirectoryProblem):
        await directory.add_domain("a.test")
    with pytest.raises(DirectoryProblem):
        await directory.remove_domain("a.test")
    with pytest.raises(DirectoryProblem):
        await directory.remove_domain("b.test")
    with pytest.raises(DirectoryProblem):
        await directory.add_alias("alice@a.test", ["x@far.test"])
    with pytest.raises(DirectoryProblem):
        await directory.add_alias("x@b.test", ["alice@a.test"])
    await directory.add_alias("info@a.test", ["alice@a.test"])
    with pytest.raises(DirectoryProblem):
        await add(directory, "info@a.test")
    for key in ("nobody@a.test", "@a.test"):
        with pytest.raises(DirectoryProblem):
            await directory.set_password(key, "{PLAIN}x")
        with pytest.raises(DirectoryProblem):
            await directory.remove_account(key)
        with pytest.raises(DirectoryProblem):
            await directory.set_disabled(key, True)
    with pytest.raises(DirectoryProblem):
        await directory.add_app_password("nobody@a.test", "phone", "digest", 0.0)


async def test_what_an_account_may_send_as(directory: Directory) -> None:
    await add(directory, "alice@a.test")
    await add(directory, "bob@a.test")
    await directory.add_alias("info@a.test", ["alice@a.test"])
    await directory.add_alias("deep@a.test", ["info@a.test"])
    await directory.add_alias("all@a.test", ["alice@a.test", "bob@a.test"])
    await directory.add_alias("loop@a.test", ["pool@a.test"])
    await directory.add_alias("pool@a.test", ["loop@a.test"])
    await directory.add_alias("@a.test", ["info@a.test"])
    await directory.add_domain("c.test")
    await directory.add_alias("@c.test", ["alice@a.test", "bob@a.test"])
    alice = await directory.account("alice@a.test")
    assert alice is not None
    for text, mine in (
        ("alice@a.test", True), ("ALICE@a.test", True), ("alice+tag@a.test", True), ("info@a.test", True),
        ("deep@a.test", True),
        ("info+x@a.test", True), ("all@a.test", False), ("bob@a.test", False), ("loop@a.test", False),
        ("alice@b.test", False),
        ("anyone@a.test", True), ("any+one@a.test", True), ("+alice@a.test", True),  # by the catch-all
        ("bob+alice@a.test", False), ("postmaster@a.test", False), ("abuse+x@a.test", False), ("anyone@c.test", False),
    ):  # fmt: skip
        assert await directory.owns(alice, parse_address(text)) is mine, text


async def test_what_an_account_was_granted_to_send_as(directory: Directory) -> None:
    await add(directory, "alice@a.test")
    await add(directory, "bob@a.test")
    await directory.add_alias("team@a.test", ["alice@a.test", "bob@a.test"])

    async def owns(text: str) -> bool:
        alice = await directory.account("alice@a.test")
        assert alice is not None
        return await directory.owns(alice, parse_address(text))

    assert not await owns("team@a.test")
    await directory.grant_sender("alice@a.test", "team@a.test")
    await directory.grant_sender("alice@a.test", "@far.test")
    assert await directory.granted_senders("alice@a.test") == ["@far.test", "team@a.test"]
    for text, mine in (("team@a.test", True), ("Team+x@A.test", True), ("x@far.test", True), ("x@sub.far.test", False)):
        assert await owns(text) is mine, text
    assert not await owns("bob@a.test")
    await directory.revoke_sender("alice@a.test", "@far.test")
    assert not await owns("x@far.test")
    for call in (directory.grant_sender("no@a.test", "x@a.test"), directory.revoke_sender("alice@a.test", "x@a.test"),
                 directory.granted_senders("no@a.test")):  # fmt: skip
        with pytest.raises(DirectoryProblem):
            await call
    # Grants end with the account.
    await directory.remove_account("alice@a.test")
    await add(directory, "alice@a.test")
    assert not await owns("team@a.test")


async def test_alias_loops_end(directory: Directory) -> None:
    await add(directory, "alice@a.test")
    router = Router(directory, "postmaster@a.test", "secret", lambda: 0.0)
    await directory.add_alias("one@a.test", ["two@a.test"])
    await directory.add_alias("two@a.test", ["three@a.test", "alice@a.test"])
    await directory.add_alias("three@a.test", ["one@a.test", "three@a.test"])
    routes = await router.route(parse_address("one@a.test"))
    assert [route.account.address for route in routes if isinstance(route, Local)] == ["alice@a.test"]
    assert len(routes) == 1
    await directory.add_alias("self@a.test", ["self@a.test"])
    assert await router.route(parse_address("self@a.test")) == (Unknown(),)
    for number in range(40):
        await directory.add_alias(f"c{number}@a.test", [f"c{number + 1}@a.test"])
    assert await router.route(parse_address("c0@a.test")) == (Unknown(),)


async def test_one_normal_form_for_accounts_aliases_and_recipients(directory: Directory) -> None:
    await directory.add_domain("xn--mller-kva.test")
    await add(directory, "J\u00f6rg@m\u00fcller.test")
    await directory.add_alias(
        parse_address("b\u00fcro@m\u00fcller.test").key, [parse_address("JO\u0308RG@m\u00fcller.test").key]
    )
    router = Router(directory, "postmaster@a.test", "secret", lambda: 0.0)
    for text in (
        "j\u00f6rg@m\u00fcller.test", "jo\u0308rg@xn--mller-kva.test", "J\u00d6RG@MU\u0308LLER.test",
        "j\u00f6rg+tag@m\u00fcller.test",
        "bu\u0308ro@m\u00fcller.test", "B\u00dcRO@XN--MLLER-KVA.TEST",
    ):  # fmt: skip
        (route,) = await router.route(parse_address(text))
        assert isinstance(route, Local), text
        assert route.account.address == "j\u00f6rg@xn--mller-kva.test"
    with pytest.raises(DirectoryProblem):
        await add(directory, "JO\u0308RG@xn--mller-kva.test")


async def test_a_change_is_seen_at_once_and_the_cache_is_not_older(directory: Directory) -> None:
    assert (await directory.entry("alice@a.test")).account is None
    await add(directory, "alice@a.test")
    record = (await directory.entry("alice@a.test")).account
    assert record is not None
    await directory.set_quota("alice@a.test", 5)
    record = (await directory.entry("alice@a.test")).account
    assert record is not None
    assert record.quota == 5
    assert not await directory.is_local_domain("b.test")
    await directory.add_domain("b.test")
    assert await directory.is_local_domain("b.test")


async def test_settings_are_made_once_and_kept(directory: Directory) -> None:
    secret = await directory.setting("srs-secret")
    assert len(secret) == 32
    assert await directory.setting("srs-secret") == secret


# Migrations ---------------------------------------------------------------------------------------------------------

FIRST = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('0001');
CREATE TABLE domain (name VARCHAR NOT NULL, PRIMARY KEY (name));
CREATE TABLE account (address VARCHAR NOT NULL, domain VARCHAR NOT NULL, password VARCHAR NOT NULL, quota BIGINT,
  disabled BOOLEAN NOT NULL, folder VARCHAR NOT NULL, created FLOAT NOT NULL, PRIMARY KEY (address),
  FOREIGN KEY(domain) REFERENCES domain (name), UNIQUE (folder));
CREATE INDEX ix_account_domain ON account (domain);
CREATE TABLE alias (source VARCHAR NOT NULL, target VARCHAR NOT NULL, domain VARCHAR NOT NULL, PRIMARY KEY (source, target),
  FOREIGN KEY(domain) REFERENCES domain (name));
CREATE INDEX ix_alias_domain ON alias (domain);
CREATE TABLE app_password (digest VARCHAR NOT NULL, account VARCHAR NOT NULL, label VARCHAR NOT NULL, created FLOAT NOT NULL,
  PRIMARY KEY (digest), FOREIGN KEY(account) REFERENCES account (address) ON DELETE CASCADE);
CREATE INDEX ix_app_password_account ON app_password (account);
CREATE TABLE setting (name VARCHAR NOT NULL, value VARCHAR NOT NULL, PRIMARY KEY (name));
CREATE TABLE queued (id VARCHAR NOT NULL, next_attempt FLOAT NOT NULL, held BOOLEAN NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (id));
CREATE INDEX ix_queued_next_attempt ON queued (next_attempt);
INSERT INTO domain VALUES ('a.test');
INSERT INTO account VALUES ('alice@a.test', 'a.test', '{PLAIN}secret', 1000, 0, 'a.test/alice', 1.5);
INSERT INTO alias VALUES ('info@a.test', 'alice@a.test', 'a.test');
INSERT INTO setting VALUES ('srs-secret', 'kept');
"""


async def test_a_database_of_the_first_revision_goes_forward(tmp_path: Path) -> None:
    """The text above is what the first release writes: it must stay readable for ever."""
    path = tmp_path / "mailstack.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST)
    connection.close()
    database = Database(path)
    database.start()
    directory = Directory(database, tmp_path / "mail")
    record = await directory.account("alice@a.test")
    assert record is not None
    assert (record.password, record.quota, record.disabled, record.folder) == ("{PLAIN}secret", 1000, False, "a.test/alice")
    assert (await directory.entry("info@a.test")).targets == ("alice@a.test",)
    assert await directory.setting("srs-secret") == "kept"
    await add(directory, "bob@a.test")
    assert [row["address"] for row in await directory.accounts()] == ["alice@a.test", "bob@a.test"]
    database.close()


def test_a_new_database_has_the_schema_that_the_models_say(tmp_path: Path) -> None:
    for name, text in (("new", ""), ("old", FIRST)):
        with sqlite3.connect(tmp_path / name) as connection:
            connection.executescript(text)
        connection.close()
        database = Database(tmp_path / name)
        database.start()
        database.close()
    columns = []
    for name in ("new", "old"):
        with sqlite3.connect(tmp_path / name) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
            columns.append({table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in tables})
        connection.close()
    assert columns[0] == columns[1]


def test_a_newer_database_is_refused_by_name(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.provision()
    path = server.data / "mailstack.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    connection.close()
    with pytest.raises(DataTooNew, match=r"mailstack\.sqlite3"):
        Database(path).start()
    done = server.run("serve", check=False)
    assert done.returncode == 2
    assert str(path) in done.stdout + done.stderr
    assert "newer" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert server.run("user", "list", check=False).returncode == 2
